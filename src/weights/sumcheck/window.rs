//! What stands under a window, at a point and summed over positions, as constraints (protocol notes,
//! 5.4).

use bellpepper_core::{ConstraintSystem, SynthesisError, num::Num};
use ff::Field;
use layerfold_gadgets::{mle, num};

use crate::{
    backend::F,
    program::{Order, Window, WindowAxis},
};

/// Exponents of `ρ`: where the results of a map stand among those of its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Strides {
    /// From row to row.
    pub(crate) row: u64,
    /// From position to position.
    pub(crate) position: u64,
}

impl Strides {
    /// Of a map, at the positions of a window if it has one; rows have `mu` bits.
    ///
    /// A map may have more rows in the polynomial than the program knows of. With rows apart by the
    /// number of positions these follow all others; position by position they need places of their own.
    pub(crate) fn of(window: Option<&Window>, mu: u32) -> Self {
        match window.map(|w| (w.order, w.positions() as u64)) {
            None => Self {
                row: 1,
                position: 0,
            },
            Some((Order::Rows, positions)) => Self {
                row: positions,
                position: 1,
            },
            Some((Order::Positions, _)) => Self {
                row: 1,
                position: 1 << mu,
            },
        }
    }
}

/// `ρ^exponent` from `ρ, ρ^2, ρ^4, …`.
pub(super) fn power<CS: ConstraintSystem<F>>(
    mut cs: CS,
    squares: &[Num<F>],
    exponent: u64,
) -> Result<Num<F>, SynthesisError> {
    let mut product: Option<Num<F>> = None;
    for bit in (0..u64::BITS as usize).filter(|bit| exponent >> bit & 1 == 1) {
        let square = squares.get(bit).ok_or(SynthesisError::AssignmentMissing)?;
        product = Some(match product {
            None => square.clone(),
            Some(before) => {
                num::mul(cs.namespace(|| format!("bit {bit}")), &before, square)?.into()
            }
        });
    }
    Ok(product.unwrap_or_else(|| num::constant::<F, CS>(F::ONE)))
}

/// A factor that costs nothing if it is 1.
#[derive(Clone)]
enum Factor {
    One,
    Some(Num<F>),
}

impl Factor {
    fn times<CS: ConstraintSystem<F>>(&self, cs: CS, other: &Self) -> Result<Self, SynthesisError> {
        Ok(match (self, other) {
            (Self::One, other) => other.clone(),
            (own, Self::One) => own.clone(),
            (Self::Some(a), Self::Some(b)) => Self::Some(num::mul(cs, a, b)?.into()),
        })
    }

    fn num<CS: ConstraintSystem<F>>(&self) -> Num<F> {
        match self {
            Self::One => num::constant::<F, CS>(F::ONE),
            Self::Some(n) => n.clone(),
        }
    }
}

/// `eq(r, d)` for `d < count`, most significant coordinate first.
fn eq_table<CS: ConstraintSystem<F>>(
    mut cs: CS,
    point: &[Num<F>],
    count: usize,
) -> Result<Vec<Factor>, SynthesisError> {
    let mut level = vec![Factor::One];
    for (k, r) in point.iter().enumerate() {
        let left = point.len() - k - 1;
        let mut next = Vec::with_capacity(2 * level.len());
        for (i, node) in level.iter().enumerate() {
            let cs = cs.namespace(|| format!("coordinate {k} node {i}"));
            let high = node.times(cs, &Factor::Some(r.clone()))?.num::<CS>();
            next.push(Factor::Some(num::sub(&node.num::<CS>(), &high)));
            next.push(Factor::Some(high));
        }
        next.truncate(count.div_ceil(1 << left));
        level = next;
    }
    Ok(level)
}

/// The challenges that windows are evaluated at.
pub(super) struct Challenges<'a> {
    /// `r_j`.
    pub(super) columns: &'a [Num<F>],
    /// `ρ, ρ^2, ρ^4, …`.
    pub(super) squares: &'a [Num<F>],
    /// Bits of a row.
    pub(super) mu: u32,
}

/// What the entries of a register are worth under a window.
pub(super) struct Under {
    /// `Σ_p weight(p)`: of the bias.
    pub(super) positions: Num<F>,
    /// `Σ_p weight(p)·Σ_d x[entry(p, d)]·eq(r_j, column(d) + 1)`.
    pub(super) entries: Num<F>,
}

/// The extension of what stands under a window, summed over its positions with their powers of `ρ`.
///
/// **Statement** the two sums of [`Under`], for `entries` of the register, zeros beyond them.
///
/// **Assumes** that `challenges` are at least as many as the window's columns and positions need.
///
/// **Enforces** axis by axis, the last first, the sums over its entries with weights that are
/// `Σ_{p, d} ρ^(…p)·eq(…, d)`.
///
/// **Cost** about one constraint for each entry, and one for each position and offset of an axis.
///
/// **Soundness** Every variable is a function of those before it.
pub(super) fn under<CS: ConstraintSystem<F>>(
    mut cs: CS,
    window: &Window,
    entries: &[Num<F>],
    challenges: &Challenges<'_>,
) -> Result<Under, SynthesisError> {
    let aligned = window.aligned_bits();
    let (above, mut digits) = match aligned {
        Some(bits) => challenges
            .columns
            .split_at_checked(challenges.columns.len().wrapping_sub(bits as usize))
            .ok_or(SynthesisError::AssignmentMissing)?,
        None => (challenges.columns, &[][..]),
    };
    let mut offsets = Vec::with_capacity(window.axes.len());
    for (a, axis) in window.axes.iter().enumerate() {
        if aligned.is_none() {
            offsets.push(vec![Factor::One]);
            continue;
        }
        let (own, rest) = digits.split_at(axis.offset_bits() as usize);
        digits = rest;
        let cs = cs.namespace(|| format!("offsets {a}"));
        offsets.push(eq_table(cs, own, axis.offsets as usize)?);
    }
    let mut values: Vec<Num<F>> = entries.to_vec();
    values.resize(window.len(), Num::zero());
    let mut all_positions = Factor::One;
    let mut unit = Strides::of(Some(window), challenges.mu).position;
    // What is left of the axes after this one: one number, or those of an axis of plain columns.
    let mut inner = 1;
    for (a, axis) in window.axes.iter().enumerate().rev() {
        let mut cs = cs.namespace(|| format!("axis {a}"));
        let powers = powers(cs.namespace(|| "powers"), challenges.squares, unit, axis)?;
        unit *= u64::from(axis.positions);
        let sum = match powers.as_slice() {
            [Factor::One] => Factor::One,
            powers => Factor::Some(num::sum(
                &powers.iter().map(Factor::num::<CS>).collect::<Vec<_>>(),
            )),
        };
        all_positions = all_positions.times(cs.namespace(|| "all positions"), &sum)?;
        let size = axis.size as usize;
        if aligned.is_none() && axis.offsets > 1 {
            // Its entries stand beside each other until the others are summed.
            inner = size;
            continue;
        }
        let weights = weights(cs.namespace(|| "weights"), axis, &powers, &offsets[a])?;
        let mut sums = Vec::with_capacity(values.len() / size);
        for (o, rows) in values.chunks(size * inner).enumerate() {
            for i in 0..inner {
                let mut sum = Num::zero();
                for (e, weight) in &weights {
                    let x = &rows[e * inner + i];
                    sum = sum.add(&match weight {
                        Factor::One => x.clone(),
                        Factor::Some(weight) => {
                            num::mul(cs.namespace(|| format!("row {o} {i} entry {e}")), weight, x)?
                                .into()
                        }
                    });
                }
                sums.push(sum);
            }
        }
        values = sums;
    }
    let positions = all_positions.num::<CS>();
    let entries = match aligned {
        Some(_) => {
            let sum = values.into_iter().next().unwrap_or_else(Num::zero);
            let (top, rest) = above
                .split_last()
                .ok_or(SynthesisError::AssignmentMissing)?;
            let mut sum: Num<F> = num::mul(cs.namespace(|| "top"), &sum, top)?.into();
            let one = num::constant::<F, CS>(F::ONE);
            for (k, r) in rest.iter().enumerate() {
                let not = num::sub(&one, r);
                sum = num::mul(cs.namespace(|| format!("above {k}")), &sum, &not)?.into();
            }
            sum
        }
        // Column 0 is that of the bias.
        None => {
            let mut columns = vec![Num::zero()];
            match window.axes.iter().find(|axis| axis.offsets > 1) {
                Some(axis) => columns.extend((0..axis.offsets as usize).map(|d| {
                    let entry = axis.entry(0, d).and_then(|at| values.get(at));
                    entry.cloned().unwrap_or_else(Num::zero)
                })),
                None => columns.extend(values),
            }
            mle::evaluate(cs.namespace(|| "columns"), &columns, challenges.columns)?
        }
    };
    Ok(Under { positions, entries })
}

/// `ρ^(unit·p)` for every position of an axis.
fn powers<CS: ConstraintSystem<F>>(
    mut cs: CS,
    squares: &[Num<F>],
    unit: u64,
    axis: &WindowAxis,
) -> Result<Vec<Factor>, SynthesisError> {
    let mut powers = vec![Factor::One];
    if axis.positions > 1 {
        let base = Factor::Some(power(cs.namespace(|| "base"), squares, unit)?);
        for p in 1..axis.positions as usize {
            let cs = cs.namespace(|| format!("power {p}"));
            let next = powers[p - 1].times(cs, &base)?;
            powers.push(next);
        }
    }
    Ok(powers)
}

/// `Σ_{p, d} power(p)·offset(d)` over what reads an entry, for every entry that something reads.
fn weights<CS: ConstraintSystem<F>>(
    mut cs: CS,
    axis: &WindowAxis,
    powers: &[Factor],
    offsets: &[Factor],
) -> Result<Vec<(usize, Factor)>, SynthesisError> {
    let mut of_entries: Vec<Vec<Factor>> = vec![Vec::new(); axis.size as usize];
    for (p, power) in powers.iter().enumerate() {
        for (d, offset) in offsets.iter().enumerate() {
            if let Some(entry) = axis.entry(p, d) {
                let cs = cs.namespace(|| format!("position {p} offset {d}"));
                of_entries[entry].push(power.times(cs, offset)?);
            }
        }
    }
    let mut weights = Vec::new();
    for (entry, factors) in of_entries.into_iter().enumerate() {
        let weight = match factors.as_slice() {
            [] => continue,
            [one] => one.clone(),
            several => {
                let sum = num::sum(&several.iter().map(Factor::num::<CS>).collect::<Vec<_>>());
                Factor::Some(num::allocate(cs.namespace(|| format!("entry {entry}")), &sum)?.into())
            }
        };
        weights.push((entry, weight));
    }
    Ok(weights)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use bellpepper_core::{num::AllocatedNum, test_cs::TestConstraintSystem};
    use layerfold_gadgets::mle::eq_evals;

    use super::*;
    use crate::{program::window::axis, weights::window::columns};

    /// Rows that the polynomial has beyond a map's, whose weights are the committer's choice, stand in the
    /// place of no result.
    #[test]
    fn every_row_at_every_position_has_a_place_of_its_own() {
        let (mu, rows) = (3, 5);
        for order in [Order::Rows, Order::Positions] {
            let axes = vec![WindowAxis::kept(6)];
            let window = Window { axes, order };
            let strides = Strides::of(Some(&window), mu);
            let place = |i: u64, p: u64| i * strides.row + p * strides.position;
            let all = (0..1 << mu).flat_map(|i| (0..6).map(move |p| place(i, p)));
            let places: std::collections::BTreeSet<u64> = all.collect();
            assert_eq!(places.len(), 6 << mu);
            // Three bits of positions.
            assert!(places.iter().all(|at| *at < 1 << (mu + 3)));
            for (i, p) in (0..rows).flat_map(|i| (0..6).map(move |p| (i, p))) {
                let result = match order {
                    Order::Rows => i * 6 + p,
                    Order::Positions => (p << mu) | i,
                };
                assert_eq!(place(i, p), result);
            }
        }
    }

    /// The sums that the circuit computes are those over columns and positions.
    #[test]
    fn what_stands_under_a_window_is_summed_column_by_column() {
        let windows = [
            vec![
                WindowAxis::summed(3),
                axis(5, 5, 3, 1, -1),
                axis(4, 2, 2, 2, 0),
            ],
            vec![WindowAxis::kept(4), WindowAxis::summed(5)],
            vec![WindowAxis::summed(3), WindowAxis::kept(4)],
            vec![WindowAxis::kept(2), axis(6, 3, 2, 2, 0)],
            vec![WindowAxis::kept(2), WindowAxis::kept(3)],
        ];
        for (axes, order) in windows
            .into_iter()
            .flat_map(|axes| [Order::Rows, Order::Positions].map(|order| (axes.clone(), order)))
        {
            let window = Window { axes, order };
            let (nu, mu) = (
                (window.columns() + 1).next_power_of_two().ilog2() as usize + 1,
                2,
            );
            let rho = F::from(77);
            let field = |n: usize, k: u64| -> Vec<F> {
                (0..n as u64).map(|x| F::from(k + 5 * x * x + x)).collect()
            };
            let (r, x) = (field(nu, 13), field(window.len(), 3));
            let mut cs = TestConstraintSystem::<F>::new();
            let mut given = |name: &str, values: &[F]| -> Vec<Num<F>> {
                let mut cs = cs.namespace(|| name.to_owned());
                let alloc = |(k, v): (usize, &F)| {
                    AllocatedNum::alloc(cs.namespace(|| format!("{k}")), || Ok(*v))
                        .unwrap()
                        .into()
                };
                values.iter().enumerate().map(alloc).collect()
            };
            let (columns_at, entries) = (given("r", &r), given("x", &x));
            let rho_at = given("rho", &[rho]);
            let squares =
                mle::repeated_squares(cs.namespace(|| "squares"), &rho_at[0], 12).unwrap();
            let challenges = Challenges {
                columns: &columns_at,
                squares: &squares,
                mu,
            };
            let got = under(cs.namespace(|| "under"), &window, &entries, &challenges).unwrap();
            assert!(cs.is_satisfied(), "{window:?}");
            let unit = Strides::of(Some(&window), mu).position;
            let weights: Vec<F> = (0..window.positions() as u64)
                .map(|p| rho.pow_vartime([unit * p]))
                .collect();
            assert_eq!(got.positions.get_value(), Some(weights.iter().sum()));
            let eq = eq_evals(&r);
            let sum: F = (columns(&window, &weights, &x).iter().zip(&eq[1..]))
                .map(|(x, e)| *x * e)
                .sum();
            assert_eq!(got.entries.get_value(), Some(sum), "{window:?}");
        }
    }
}
