//! The mask that hides the value of the final claim (protocol notes, 4).

use ff::Field;
use nova_snark::traits::commitment::CommitmentEngineTrait;
use rand_core::OsRng;

use crate::{
    backend::{Commitment, CommitmentKey, E1, F, Pedersen},
    program::BankDimensions,
};

/// A random row `M`, put at `(t, l, i) = (1, 0, 0)` of the masked bank, and the blind of its
/// commitment. One for a session; secret.
#[derive(Clone)]
pub(crate) struct Mask {
    /// `2^g` coefficients, `g = min(c, ν)`.
    pub(crate) row: Vec<F>,
    pub(crate) blind: F,
}

impl Mask {
    /// A fresh mask, from the operating system's randomness.
    pub(crate) fn random(dimensions: &BankDimensions, column_bits: u32) -> Self {
        Self {
            row: (0..Self::len(dimensions, column_bits))
                .map(|_| F::random(OsRng))
                .collect(),
            blind: F::random(OsRng),
        }
    }

    /// `2^g`.
    pub(crate) fn len(dimensions: &BankDimensions, column_bits: u32) -> usize {
        1 << column_bits.min(dimensions.nu)
    }

    /// How many proofs may show a linear function of it: half as many as it has coefficients.
    pub(crate) fn proofs(&self) -> u64 {
        (self.row.len() as u64 / 2).max(1)
    }

    /// `C_m = Σ_j M(j)·G_j + s·H`.
    pub(crate) fn commit(&self, key: &CommitmentKey<E1>) -> Commitment<E1> {
        Pedersen::commit(key, &self.row, &self.blind)
    }
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mask({} coefficients, redacted)", self.row.len())
    }
}

impl Drop for Mask {
    fn drop(&mut self) {
        self.row.fill(F::ZERO);
        self.blind = F::ZERO;
        // What was written is looked at, so that it is written.
        std::hint::black_box((&self.row, &self.blind));
    }
}
