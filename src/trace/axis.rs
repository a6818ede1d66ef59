//! Linear maps of one axis: which cells of a register an entry of a form reads.

use std::sync::Arc;

use ff::Field;

use crate::{backend::F, weights::from_i64};

/// The coefficients `Ω(x, c)` of one axis, `x` an index of the form and `c` a cell of the register.
///
/// Every variant holds for `from ≤ x < to` and is zero elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AxisMap {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) kind: AxisKind,
}

/// What is read at `x`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum AxisKind {
    /// The cell `x + shift`.
    Shift(i64),
    /// One cell, whatever `x` is.
    Cell(usize),
    /// The sum of the cells up to `x + shift`.
    Prefix(i64),
    /// `Σ_c weights(c)·cell(c)`, whatever `x` is.
    Weights(Arc<Vec<i64>>),
}

impl AxisMap {
    /// The cell `x` itself.
    pub(crate) fn identity(len: usize) -> Self {
        Self::slice(0, len)
    }

    /// The cell `start + x`.
    pub(crate) fn slice(start: usize, len: usize) -> Self {
        Self {
            from: 0,
            to: len,
            kind: AxisKind::Shift(start as i64),
        }
    }

    /// `len` cells that stand at `start..`.
    pub(crate) fn place(start: usize, len: usize) -> Self {
        Self {
            from: start,
            to: start + len,
            kind: AxisKind::Shift(-(start as i64)),
        }
    }

    /// Whether it reads sums of cells.
    pub(crate) fn is_sum(&self) -> bool {
        matches!(self.kind, AxisKind::Prefix(_) | AxisKind::Weights(_))
    }

    /// One cell for all `len` entries.
    pub(crate) fn cell(index: usize, len: usize) -> Self {
        Self {
            from: 0,
            to: len,
            kind: AxisKind::Cell(index),
        }
    }

    /// Sums up to and including `x`.
    pub(crate) fn prefix(len: usize) -> Self {
        Self {
            from: 0,
            to: len,
            kind: AxisKind::Prefix(0),
        }
    }

    /// One weighted sum of all cells.
    pub(crate) fn weights(weights: Vec<i64>) -> Self {
        Self {
            from: 0,
            to: 1,
            kind: AxisKind::Weights(Arc::new(weights)),
        }
    }

    /// Whether it is the identity of an axis of this size.
    pub(crate) fn is_identity(&self, len: usize) -> bool {
        self.from == 0 && self.to == len && self.kind == AxisKind::Shift(0)
    }

    fn new(from: i64, to: i64, kind: AxisKind) -> Self {
        let from = from.max(0) as usize;
        Self {
            from,
            to: (to.max(0) as usize).max(from),
            kind,
        }
    }

    /// This map read through `outer`, with a factor; `None` if that is no map of these kinds.
    pub(crate) fn after(&self, outer: &Self) -> Option<(Self, i64)> {
        let (f, t) = (outer.from as i64, outer.to as i64);
        let (g, u) = (self.from as i64, self.to as i64);
        let one = |from, to, kind| Some((Self::new(from, to, kind), 1));
        match (&outer.kind, &self.kind) {
            (AxisKind::Shift(s), inner) => {
                let inner = match inner {
                    AxisKind::Shift(r) => AxisKind::Shift(r + s),
                    AxisKind::Prefix(r) => AxisKind::Prefix(r + s),
                    other => other.clone(),
                };
                one(f.max(g - s), t.min(u - s), inner)
            }
            (AxisKind::Cell(k), inner) => {
                let at = *k as i64;
                if at < g || at >= u {
                    return one(f, f, AxisKind::Cell(0));
                }
                match inner {
                    AxisKind::Shift(r) if at + r < 0 => one(f, f, AxisKind::Cell(0)),
                    AxisKind::Shift(r) => one(f, t, AxisKind::Cell((at + r) as usize)),
                    AxisKind::Prefix(r) => {
                        let count = (at + r + 1).max(0) as usize;
                        one(f, t, AxisKind::Weights(Arc::new(vec![1; count])))
                    }
                    other => one(f, t, other.clone()),
                }
            }
            // Sums of what is read one to one, from the first cell on.
            (AxisKind::Prefix(s), AxisKind::Shift(r)) if g + r == 0 && t + s <= u => {
                one(f, t, AxisKind::Prefix(s + r))
            }
            (AxisKind::Weights(w), AxisKind::Shift(r)) => {
                let mut weights = vec![0; (u + r).max(0) as usize];
                for x in g.max(-r)..u.min(w.len() as i64) {
                    weights[(x + r) as usize] = w[x as usize];
                }
                one(f, t, AxisKind::Weights(Arc::new(weights)))
            }
            (AxisKind::Weights(w), AxisKind::Cell(k)) => {
                let reach = self.to.min(w.len());
                let sum = w.get(self.from..reach).unwrap_or_default().iter().sum();
                Some((Self::new(f, t, AxisKind::Cell(*k)), sum))
            }
            _ => None,
        }
    }

    /// `Σ_x e(x)·Ω(x, c)` for all `cells` cells `c`.
    pub(crate) fn pull(&self, e: &[F], cells: usize) -> Vec<F> {
        let mut out = vec![F::ZERO; cells];
        let to = self.to.min(e.len());
        let range = self.from.min(to)..to;
        match &self.kind {
            AxisKind::Shift(shift) => {
                for x in range {
                    if let Ok(c) = usize::try_from(x as i64 + shift)
                        && let Some(out) = out.get_mut(c)
                    {
                        *out = e[x];
                    }
                }
            }
            AxisKind::Cell(index) => {
                if let Some(out) = out.get_mut(*index) {
                    *out = e[range].iter().sum();
                }
            }
            AxisKind::Prefix(shift) => {
                // Cell c is part of the sums of all x ≥ c − shift.
                let mut sum = F::ZERO;
                let mut x = to;
                for (c, out) in out.iter_mut().enumerate().rev() {
                    let first = c as i64 - shift;
                    while x > range.start && (x as i64 - 1) >= first {
                        x -= 1;
                        sum += e[x];
                    }
                    *out = sum;
                }
            }
            AxisKind::Weights(weights) => {
                let sum: F = e[range].iter().sum();
                for (out, w) in out.iter_mut().zip(weights.iter()) {
                    *out = sum * from_i64(*w);
                }
            }
        }
        out
    }

    /// `Σ_c Ω(x, c)·cells(c)` for all `x < len`.
    pub(crate) fn apply<T>(&self, cells: &[T], len: usize, scaled: impl Fn(&T, i64) -> T) -> Vec<T>
    where
        T: Copy + Default + std::ops::AddAssign,
    {
        let mut out = vec![T::default(); len];
        let at = |c: i64| {
            usize::try_from(c)
                .ok()
                .and_then(|c| cells.get(c))
                .copied()
                .unwrap_or_default()
        };
        let to = self.to.min(len);
        match &self.kind {
            AxisKind::Shift(shift) => {
                for (x, out) in out.iter_mut().enumerate().take(to).skip(self.from) {
                    *out = at(x as i64 + shift);
                }
            }
            AxisKind::Cell(index) => {
                for out in out.get_mut(self.from..to).unwrap_or_default() {
                    *out = at(*index as i64);
                }
            }
            AxisKind::Prefix(shift) => {
                let mut sum = T::default();
                let mut next = 0;
                for (x, out) in out.iter_mut().enumerate().take(to) {
                    while next <= x as i64 + shift {
                        sum += at(next);
                        next += 1;
                    }
                    if x >= self.from {
                        *out = sum;
                    }
                }
            }
            AxisKind::Weights(weights) => {
                let mut sum = T::default();
                for (c, w) in cells.iter().zip(weights.iter()) {
                    sum += scaled(c, *w);
                }
                for out in out.get_mut(self.from..to).unwrap_or_default() {
                    *out = sum;
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(len: usize) -> Vec<AxisMap> {
        let kinds = [
            AxisKind::Shift(0),
            AxisKind::Shift(1),
            AxisKind::Shift(-1),
            AxisKind::Cell(2),
            AxisKind::Prefix(0),
            AxisKind::Prefix(-1),
            AxisKind::Weights(Arc::new(vec![3, -1, 2, 5])),
        ];
        let ranges = [(0, len), (1, len), (0, 1), (1, len - 1)];
        kinds
            .into_iter()
            .flat_map(|kind| {
                ranges.map(|(from, to)| AxisMap {
                    from,
                    to,
                    kind: kind.clone(),
                })
            })
            .collect()
    }

    fn eval(map: &AxisMap, cells: &[i64], len: usize) -> Vec<i64> {
        map.apply(cells, len, |c, w| c * w)
    }

    #[test]
    fn pulling_is_the_transpose_of_applying() {
        let cells = [4i64, -7, 11, 2];
        for map in all(5) {
            let e: Vec<F> = (1..=5).map(|x| F::from(x * x)).collect();
            let applied = eval(&map, &cells, 5);
            let left: F = (applied.iter().zip(&e))
                .map(|(a, e)| from_i64(*a) * e)
                .sum();
            let right: F = (map.pull(&e, 4).iter().zip(&cells))
                .map(|(v, c)| from_i64(*c) * v)
                .sum();
            assert_eq!(left, right, "{map:?}");
        }
    }

    #[test]
    fn reading_through_a_map_is_applying_twice() {
        let cells = [4i64, -7, 11, 2];
        for inner in all(5) {
            for outer in all(5) {
                let Some((both, factor)) = inner.after(&outer) else {
                    continue;
                };
                let expected = eval(&outer, &eval(&inner, &cells, 5), 5);
                let got: Vec<i64> = eval(&both, &cells, 5).iter().map(|x| x * factor).collect();
                assert_eq!(got, expected, "{outer:?} of {inner:?}");
            }
        }
    }
}
