//! Flat proofs: the steps of a short run folded outside any circuit (protocol notes, 13).
//!
//! The recursive kind makes every step prove the fold of the one before, on two curves. A run of a
//! few steps needs none of that: the verifier can fold the steps himself. What he is given of each
//! is a commitment to its witness and the state that it leads to; he folds the instances of the
//! plain step circuit pairwise, level by level, then a random one into the result, and verifies one
//! SNARK about what is left.

mod fold;
mod keys;
mod proof;
mod prover;
mod transcript;
mod verifier;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;

use nova_snark::{
    r1cs::{R1CSInstance, R1CSWitness, RelaxedR1CSInstance, RelaxedR1CSWitness},
    traits::commitment::CommitmentEngineTrait,
};

use crate::backend::{E1, Pedersen};

pub(crate) use keys::{FlatProver, FlatSize, FlatVerifier};
pub(crate) use proof::{FlatProof, flat_lengths, most_steps};
pub(crate) use prover::{Folded, KeptStep};

/// Most steps that a verifier folds; [`most_steps`] never allows as many.
pub(crate) const MOST_STEPS: usize = 128;

type Instance = RelaxedR1CSInstance<E1>;
type Witness = RelaxedR1CSWitness<E1>;
type StepInstance = R1CSInstance<E1>;
type StepWitnessVector = R1CSWitness<E1>;
type DerandKey = <Pedersen<E1> as CommitmentEngineTrait<E1>>::DerandKey;
