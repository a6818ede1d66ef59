//! Sums of 16-bit integers times field elements with delayed reduction (protocol notes, 10).
//!
//! A field element is eight 32-bit limbs; `(w + 2^15)·limb < 2^48` is added into 64-bit lanes, so
//! 2^16 products fit before a reduction is due. The shift by `2^15` makes every factor unsigned,
//! which is what the vector units multiply; it is taken off at the end.

use ff::{Field, PrimeField};
use nova_snark::traits::PrimeFieldExt;

use crate::backend::F;

/// The eight 32-bit limbs of the canonical form, least significant first, each in a 64-bit lane.
pub(super) type Limbs = [u64; 8];

/// Products that may be summed before a reduction.
const CAPACITY: usize = 1 << 16;
const SHIFT: i32 = 1 << 15;

pub(super) fn limbs(x: &F) -> Limbs {
    let repr = x.to_repr();
    let bytes: &[u8] = repr.as_ref();
    let mut out = [0; 8];
    for (limb, chunk) in out.iter_mut().zip(bytes.chunks_exact(4)) {
        *limb = u64::from(u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]));
    }
    out
}

/// `Σ_k lane_k·2^(32k)` in the field.
fn reduce(lanes: &Limbs) -> F {
    let mut bytes = [0u8; 64];
    let mut carry = 0u128;
    for (k, lane) in lanes.iter().enumerate() {
        carry += u128::from(*lane);
        bytes[4 * k..4 * k + 4].copy_from_slice(&(carry as u32).to_le_bytes());
        carry >>= 32;
    }
    bytes[32..48].copy_from_slice(&carry.to_le_bytes());
    F::from_uniform(&bytes)
}

pub(crate) fn from_i64(x: i64) -> F {
    let magnitude = F::from(x.unsigned_abs());
    if x < 0 { -magnitude } else { magnitude }
}

/// `Σ_rows coefficient·row[j]` for all columns `j` at once.
pub(super) struct ColumnSums {
    lanes: Vec<Limbs>,
    /// What was flushed out of the lanes before they could overflow.
    flushed: Vec<F>,
    /// `Σ coefficient` of the rows that are at least this long: what the shift must take off.
    shift_off: Vec<F>,
    pending: usize,
}

impl ColumnSums {
    pub(super) fn new(columns: usize) -> Self {
        Self {
            lanes: vec![[0; 8]; columns],
            flushed: vec![F::ZERO; columns],
            shift_off: vec![F::ZERO; columns + 1],
            pending: 0,
        }
    }

    /// Adds `coefficient·row` at columns `from..`.
    pub(super) fn add(&mut self, from: usize, row: &[i16], coefficient: &F) {
        if self.pending == CAPACITY {
            self.flush();
        }
        self.pending += 1;
        let c = limbs(coefficient);
        for (lanes, w) in self.lanes[from..from + row.len()].iter_mut().zip(row) {
            let w = (i32::from(*w) + SHIFT) as u32;
            for (lane, limb) in lanes.iter_mut().zip(&c) {
                *lane += u64::from(w) * u64::from(*limb as u32);
            }
        }
        self.shift_off[from] += coefficient;
        self.shift_off[from + row.len()] -= coefficient;
    }

    /// Adds a field element at one column.
    pub(super) fn add_element(&mut self, column: usize, value: F) {
        self.flushed[column] += value;
    }

    fn flush(&mut self) {
        for (lanes, sum) in self.lanes.iter_mut().zip(&mut self.flushed) {
            *sum += reduce(lanes);
            *lanes = [0; 8];
        }
        self.pending = 0;
    }

    /// The sums.
    pub(super) fn finish(mut self) -> Vec<F> {
        self.flush();
        let shift = F::from(SHIFT as u64);
        let mut off = F::ZERO;
        for (sum, change) in self.flushed.iter_mut().zip(&self.shift_off) {
            off += change;
            *sum -= shift * off;
        }
        self.flushed
    }
}

/// Inner products of rows of integers with one vector of field elements.
pub(super) struct RowProducts {
    limbs: Vec<Limbs>,
    /// `2^15·Σ_{j<k} v_j`.
    shift_off: Vec<F>,
}

impl RowProducts {
    pub(super) fn new(vector: &[F]) -> Self {
        let shift = F::from(SHIFT as u64);
        let mut off = F::ZERO;
        let mut shift_off = vec![off];
        for v in vector {
            off += shift * v;
            shift_off.push(off);
        }
        Self {
            limbs: vector.iter().map(limbs).collect(),
            shift_off,
        }
    }

    /// `Σ_j row[j]·v[from + j]`.
    pub(super) fn product(&self, from: usize, row: &[i16]) -> F {
        let mut total = F::ZERO;
        for (chunk, vector) in row
            .chunks(CAPACITY)
            .zip(self.limbs[from..].chunks(CAPACITY))
        {
            let mut lanes = [0u64; 8];
            for (w, v) in chunk.iter().zip(vector) {
                let w = (i32::from(*w) + SHIFT) as u32;
                for (lane, limb) in lanes.iter_mut().zip(v) {
                    *lane += u64::from(w) * u64::from(*limb as u32);
                }
            }
            total += reduce(&lanes);
        }
        total - (self.shift_off[from + row.len()] - self.shift_off[from])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_core::OsRng;

    fn naive(row: &[i16], v: &[F]) -> F {
        row.iter()
            .zip(v)
            .map(|(w, v)| from_i64(i64::from(*w)) * v)
            .sum()
    }

    proptest! {
        #[test]
        fn row_products_equal_plain_field_arithmetic(row in prop::collection::vec(any::<i16>(), 0..40), from in 0usize..5) {
            let v: Vec<F> = (0..50).map(|_| F::random(OsRng)).collect();
            prop_assert_eq!(RowProducts::new(&v).product(from, &row), naive(&row, &v[from..]));
        }

        #[test]
        fn column_sums_equal_plain_field_arithmetic(rows in prop::collection::vec((0usize..6, prop::collection::vec(any::<i16>(), 0..6)), 0..20)) {
            let mut sums = ColumnSums::new(12);
            let mut expected = vec![F::ZERO; 12];
            for (from, row) in &rows {
                let c = F::random(OsRng);
                sums.add(*from, row, &c);
                for (j, w) in row.iter().enumerate() {
                    expected[from + j] += from_i64(i64::from(*w)) * c;
                }
            }
            prop_assert_eq!(sums.finish(), expected);
        }
    }

    #[test]
    fn the_largest_products_do_not_overflow_before_the_flush() {
        let c = -F::ONE;
        let mut sums = ColumnSums::new(1);
        let count = CAPACITY + 3;
        for _ in 0..count {
            sums.add(0, &[i16::MAX], &c);
        }
        let expected = F::from(count as u64) * F::from(i16::MAX as u64) * c;
        assert_eq!(sums.finish(), vec![expected]);

        let v = vec![c; count];
        assert_eq!(
            RowProducts::new(&v).product(0, &vec![i16::MAX; count]),
            expected
        );
        assert_eq!(
            RowProducts::new(&v).product(0, &vec![i16::MIN; count]),
            F::from(count as u64) * F::from(1 << 15)
        );
    }

    #[test]
    fn the_widest_lanes_reduce_exactly() {
        let lanes = [u64::MAX; 8];
        let mut expected = F::ZERO;
        for lane in lanes.iter().rev() {
            expected = expected * F::from(1 << 32) + F::from(*lane);
        }
        assert_eq!(reduce(&lanes), expected);
    }
}
