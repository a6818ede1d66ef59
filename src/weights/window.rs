//! Windows at a point: what the columns of a map are multiplied with, summed over positions, and the
//! same as weights of the entries that are read (protocol notes, 5.4, 13.6).

use ff::Field;
use layerfold_gadgets::mle::eq_evals;

use crate::{
    backend::F,
    program::{Window, WindowAxis},
};

/// Weights of the offsets of every axis: their products are `eq(r_j, column + 1)`, but for the factor.
struct Offsets {
    of_axes: Vec<Vec<F>>,
    factor: F,
}

impl Offsets {
    fn new(window: &Window, columns: &[F]) -> Self {
        let Some(bits) = window.aligned_bits() else {
            // The one axis that has offsets, if there is one: its columns follow that of the bias.
            let offsets = window.axes.iter().map(|a| a.offsets as usize).max();
            let known = offsets.unwrap_or(1) + 1;
            let bits = known.next_power_of_two().trailing_zeros() as usize;
            let (above, own) = columns.split_at(columns.len() - bits);
            let mut factor = above.iter().fold(F::ONE, |f, r| f * (F::ONE - r));
            let mut all = eq_evals(own);
            all.truncate(known);
            all.remove(0);
            if known == 2 {
                factor *= all[0];
            }
            let of_axes = window.axes.iter().map(|axis| match axis.offsets {
                1 => vec![F::ONE],
                _ => std::mem::take(&mut all),
            });
            return Self {
                of_axes: of_axes.collect(),
                factor,
            };
        };
        let (above, mut own) = columns.split_at(columns.len() - bits as usize);
        let (top, above) = above.split_last().unwrap_or((&F::ZERO, &[]));
        let factor = above.iter().fold(*top, |f, r| f * (F::ONE - r));
        let of_axes = window.axes.iter().map(|axis| {
            let (digit, rest) = own.split_at(axis.offset_bits() as usize);
            own = rest;
            let mut all = eq_evals(digit);
            all.truncate(axis.offsets as usize);
            all
        });
        Self {
            of_axes: of_axes.collect(),
            factor,
        }
    }
}

/// One axis of a tensor, `positions` of it, replaced by another: `out[e] = Σ weight·x[p]`.
fn replace(x: &[F], (outer, inner): (usize, usize), axis: &WindowAxis, offsets: &[F]) -> Vec<F> {
    let (positions, size) = (axis.positions as usize, axis.size as usize);
    let mut out = vec![F::ZERO; outer * size * inner];
    for o in 0..outer {
        for p in 0..positions {
            let from = &x[(o * positions + p) * inner..][..inner];
            for (d, weight) in offsets.iter().enumerate() {
                let Some(entry) = axis.entry(p, d) else {
                    continue;
                };
                let to = &mut out[(o * size + entry) * inner..][..inner];
                for (to, x) in to.iter_mut().zip(from) {
                    *to += *weight * x;
                }
            }
        }
    }
    out
}

/// `Σ positions(p)·eq(columns, column(d) + 1)` over the positions and offsets that read an entry, for
/// every entry.
pub(crate) fn entries(window: &Window, positions: &[F], columns: &[F]) -> Vec<F> {
    let offsets = Offsets::new(window, columns);
    let mut sizes: Vec<usize> = window.axes.iter().map(|a| a.positions as usize).collect();
    let mut out: Vec<F> = positions.iter().map(|e| *e * offsets.factor).collect();
    // The axes with positions first: then the tensor is small while there are offsets to sum over.
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|a| window.axes[*a].positions == 1);
    for a in order {
        let around = (sizes[..a].iter().product(), sizes[a + 1..].iter().product());
        out = replace(&out, around, &window.axes[a], &offsets.of_axes[a]);
        sizes[a] = window.axes[a].size as usize;
    }
    out
}

/// `Σ_p positions(p)·entries(p, d)` for every offset `d`, at its column; zero in other columns.
pub(crate) fn columns(window: &Window, positions: &[F], entries: &[F]) -> Vec<F> {
    let mut out = vec![F::ZERO; window.columns()];
    for (p, weight) in positions.iter().enumerate() {
        for (column, entry) in window.at(p) {
            if let Some(entry) = entry {
                out[column] += *weight * entries[entry];
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{Order, window};

    fn axis(size: u32, positions: u32, offsets: u32, stride: u32, start: i32) -> WindowAxis {
        WindowAxis {
            dilation: 2,
            ..window::axis(size, positions, offsets, stride, start)
        }
    }

    #[test]
    fn entries_and_columns_are_the_same_sum() {
        let windows = [
            vec![
                WindowAxis::summed(3),
                axis(5, 3, 2, 2, -1),
                axis(4, 4, 3, 1, -2),
            ],
            vec![WindowAxis::kept(4), WindowAxis::summed(5)],
            vec![WindowAxis::kept(3), axis(6, 2, 2, 3, 0)],
            vec![WindowAxis::kept(3), WindowAxis::kept(2)],
            vec![
                axis(7, 3, 1, 2, 1),
                WindowAxis::summed(2),
                WindowAxis::summed(3),
            ],
        ];
        for axes in windows {
            let window = Window {
                axes,
                order: Order::Rows,
            };
            let nu = (window.columns() + 1).next_power_of_two().ilog2() as usize + 1;
            let field = |n: usize, k: u64| -> Vec<F> {
                (0..n as u64)
                    .map(|x| F::from(k + x * x * 7 + 3 * x))
                    .collect()
            };
            let r = field(nu, 11);
            let (e, x) = (field(window.positions(), 5), field(window.len(), 2));
            let eq = eq_evals(&r);
            let by_column: F = (columns(&window, &e, &x).iter().zip(&eq[1..]))
                .map(|(x, eq)| *x * eq)
                .sum();
            let by_entry: F = (entries(&window, &e, &r).iter().zip(&x))
                .map(|(w, x)| *w * x)
                .sum();
            assert_eq!(by_column, by_entry, "{window:?}");
        }
    }
}
