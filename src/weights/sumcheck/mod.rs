//! One sumcheck for all matrix products of a step (protocol notes, 5.4, 10).
//!
//! The prover works on the integers of the bank in [`prover`]; the verifier is part of the step
//! circuit, in [`circuit`].

pub(crate) mod circuit;
pub(crate) mod prover;
pub(crate) mod window;

use crate::{backend::F, program::Window};

/// One product `A_l·x` with the register it reads, or one for every position of a window.
pub(crate) struct Product<'a> {
    /// Index `l` in the bank; it may be beyond the last map, where the bank is zero.
    pub(crate) map: u64,
    /// The input `x`, without the constant in front.
    pub(crate) input: &'a [i64],
    pub(crate) window: Option<&'a Window>,
    /// Whether the constant in front is 1 (the first term) or 0.
    pub(crate) with_bias: bool,
}

/// The products of one affine operation of a step, `Σ_b A_b·x_b`.
pub(crate) struct AffineInstance<'a> {
    pub(crate) products: Vec<Product<'a>>,
}

/// The messages of a step's sumcheck and the claim it leaves.
#[derive(Clone, Debug)]
pub(crate) struct StepProof {
    pub(crate) messages: Vec<layerfold_gadgets::sumcheck::RoundValues<F>>,
    pub(crate) claim: super::WeightClaim,
}
