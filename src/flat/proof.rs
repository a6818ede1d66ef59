//! What a flat proof consists of.

use serde::{Deserialize, Serialize};

use super::{FlatSize, Instance};
use crate::{
    backend::{Commitment, E1, F, Snark},
    circuit::PUBLIC_VALUES,
    program::BankDimensions,
    proof::snark_lengths,
};

/// One step: where it leads, and a commitment to its witness.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct FlatStep {
    pub(crate) witness: Commitment<E1>,
    /// `z_{i+1}`: activations, run.
    pub(crate) z: [F; 2],
}

/// An argument for a chain of steps.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct FlatProof {
    /// In order.
    pub(crate) steps: Vec<FlatStep>,
    /// Of the folds, level by level from the left; that with the random instance comes last.
    pub(crate) cross_terms: Vec<Commitment<E1>>,
    /// A relaxed instance with a random witness, which hides those of the steps.
    pub(crate) random: Instance,
    /// Blinds of the commitments of what all was folded into.
    pub(crate) witness_blind: F,
    pub(crate) error_blind: F,
    pub(crate) snark: Snark<E1>,
}

/// Lengths of all sequences of a proof of so many steps, in the order of serialisation.
pub(crate) fn flat_lengths(size: FlatSize, steps: usize) -> Vec<usize> {
    let mut lengths = vec![steps, steps, PUBLIC_VALUES];
    snark_lengths(size.log() as usize, &mut lengths);
    lengths
}

/// Bytes of the argument of a proof of so many steps, if the model commitment has `column_bits`.
///
/// Public vectors, context and parameters come on top.
pub(super) fn argument_bytes(
    size: FlatSize,
    bank: &BankDimensions,
    column_bits: u32,
    steps: usize,
) -> usize {
    const ELEMENT: usize = 32;
    /// Lengths below `2^14` take two bytes at most.
    const LENGTH: usize = 2;
    let vector = |elements: usize| LENGTH + ELEMENT * elements;
    let argument = |log: usize| {
        let [left, right, tail] = crate::ipa::lengths(log);
        vector(left) + vector(right) + vector(tail)
    };
    let log = size.log() as usize;
    let sumcheck = |rounds: usize, coefficients: usize| LENGTH + rounds * vector(coefficients);
    // Three claims and the values of E and W stand between the sumchecks.
    let snark = sumcheck(log, 3)
        + sumcheck(log + 1, 2)
        + sumcheck(log, 2)
        + 5 * ELEMENT
        + vector(2)
        + argument(log);
    // C_W, C_E, u, X; the two blinds.
    let random = 3 * ELEMENT + vector(PUBLIC_VALUES) + 2 * ELEMENT;
    let chain = 2 * LENGTH + steps * 4 * ELEMENT + random + snark;
    // C_m, P, V; C_0, v_0, s_w.
    let claim = 2 * ELEMENT + vector(bank.rounds());
    claim + 1 + chain + 3 * ELEMENT + argument(column_bits as usize)
}

/// Most bytes of a flat proof, public vectors, context and parameters not counted.
const MOST_BYTES: usize = 16_000;
/// Header, digests, counters: all of a proof but its argument, if nothing is public.
const HEAD_BYTES: usize = 200;
/// Most bytes of witnesses that are folded together.
const MOST_WITNESS_BYTES: usize = 64 << 20;

/// Most steps of a flat proof that stays within 16 kB and the memory of whose witnesses within
/// 64 MiB; 0 if not even one step does.
pub(crate) fn most_steps(size: FlatSize, bank: &BankDimensions) -> u64 {
    let columns = bank.default_column_bits();
    let fits = |steps: usize| {
        HEAD_BYTES + argument_bytes(size, bank, columns, steps) <= MOST_BYTES
            && steps * size.variables.saturating_mul(32) <= MOST_WITNESS_BYTES
    };
    (1..super::MOST_STEPS).take_while(|n| fits(*n)).count() as u64
}
