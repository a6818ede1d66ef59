//! The verifier.

use nova_snark::traits::snark::RelaxedR1CSSNARKTrait;

use super::{
    FlatProof, FlatVerifier, Instance, MOST_STEPS, StepInstance,
    fold::{fold_level, levels},
    transcript::Transcript,
};
use crate::backend::{Commitment, E1, F};

/// Why a chain does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlatError;

impl FlatProof {
    /// Verifies that so many steps lead from `z_0`; gives `z_n`.
    ///
    /// Sequences have the lengths of [`flat_lengths`](super::flat_lengths).
    pub(crate) fn verify(
        &self,
        key: &FlatVerifier,
        binding: F,
        z_0: [F; 2],
    ) -> Result<[F; 2], FlatError> {
        let instances = self.instances(z_0);
        let mut transcript = Transcript::begin(&key.digest, &binding, &instances, &self.random);
        let folded = self.fold(instances, |terms| transcript.challenge(terms))?;
        self.verify_folded(key, &folded)?;
        self.steps.last().map(|s| s.z).ok_or(FlatError)
    }

    /// The instances of the steps: each begins where the one before led to.
    pub(super) fn instances(&self, z_0: [F; 2]) -> Vec<StepInstance> {
        let mut before = z_0;
        let instance = |step: &super::proof::FlatStep| {
            let public = [before, step.z].concat();
            before = step.z;
            StepInstance::new_unchecked(&step.witness, &public).ok()
        };
        self.steps.iter().filter_map(instance).collect()
    }

    /// Folds in the order of the protocol; `challenge` is given the cross terms of each level.
    pub(super) fn fold(
        &self,
        steps: Vec<StepInstance>,
        mut challenge: impl FnMut(&[Commitment<E1>]) -> F,
    ) -> Result<Instance, FlatError> {
        let count = steps.len();
        // One for each fold in the tree, and one for the random instance.
        if count == 0 || count > MOST_STEPS || self.cross_terms.len() != count {
            return Err(FlatError);
        }
        let relaxed = |u: &StepInstance| Instance::from_r1cs_instance_unchecked(u.comm_W(), u.X());
        let mut level: Vec<Instance> = steps.iter().map(relaxed).collect();
        let mut rest = self.cross_terms.as_slice();
        for pairs in levels(count) {
            let (terms, later) = rest.split_at_checked(pairs).ok_or(FlatError)?;
            rest = later;
            let r = challenge(terms);
            level = fold_level(level, |k, left, right| {
                let term = terms.get(k).ok_or(FlatError)?;
                Ok(left.fold_relaxed(&right, term, &r))
            })?;
        }
        let ([term], Some(last)) = (rest, level.pop()) else {
            return Err(FlatError);
        };
        let r = challenge(rest);
        Ok(last.fold_relaxed(&self.random, term, &r))
    }

    pub(super) fn verify_folded(
        &self,
        key: &FlatVerifier,
        folded: &Instance,
    ) -> Result<(), FlatError> {
        let instance = folded.derandomize(&key.derandomize, &self.witness_blind, &self.error_blind);
        self.snark
            .verify(&key.snark, &instance)
            .map_err(|_| FlatError)
    }
}
