//! The weight claim: bank, hiding commitment, mask, sumcheck and opening (protocol notes, 3, 4, 5, 7).
//!
//! A run never puts a weight into a circuit. Each step reduces its matrix products, by a sumcheck
//! that the step circuit verifies, to one claim `Ŵ~(P) = V` about the masked bank, merged with the
//! claim of the step before; the claim of the last step is opened once, outside any circuit.

mod commitment;
mod delayed;
mod mask;
mod multiples;
mod opening;
pub(crate) mod sumcheck;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
pub(crate) mod window;

pub use crate::program::{AffineMap, Row, WeightBank};
pub use commitment::{BlindingSeed, ModelCommitment, ModelDigest};

pub(crate) use commitment::{CommittedBank, element_bytes, element_from_bytes, point_from_bytes};
pub(crate) use delayed::{combined_rows, from_i64};
pub(crate) use mask::Mask;
pub(crate) use multiples::{Base, Multiples};
#[cfg(test)]
pub(crate) use opening::OwnedStatement;
pub(crate) use opening::{OpeningProof, OpeningStatement};

use ff::Field;

use crate::{backend::F, program::BankDimensions};

/// The running claim `Ŵ~(P) = V`, `P` in the order t, l, i, j.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WeightClaim {
    pub(crate) point: Vec<F>,
    pub(crate) value: F,
}

impl WeightClaim {
    /// `P = (1, …, 1)`, `V = 0`: true for every bank and every mask, as the bank has no part in
    /// `t = 1` and the mask's only row is `(l, i) = (0, 0)`, which this point is not.
    pub(crate) fn initial(dimensions: &BankDimensions) -> Self {
        Self {
            point: vec![F::ONE; dimensions.rounds()],
            value: F::ZERO,
        }
    }
}

/// A point cut into its groups of coordinates.
pub(crate) struct SplitPoint<'a> {
    pub(crate) t: F,
    pub(crate) l: &'a [F],
    pub(crate) i: &'a [F],
    pub(crate) j: &'a [F],
}

impl<'a> SplitPoint<'a> {
    /// Cuts `(t, l, i, j)`; `None` if the number of coordinates is another.
    pub(crate) fn new(point: &'a [F], dimensions: &BankDimensions) -> Option<Self> {
        let (t, rest) = point.split_first()?;
        let (l, rest) = rest.split_at_checked(dimensions.lambda as usize)?;
        let (i, j) = rest.split_at_checked(dimensions.mu as usize)?;
        (j.len() == dimensions.nu as usize).then_some(Self { t: *t, l, i, j })
    }
}
