//! Challenges of the folds.

use halo2curves::group::GroupEncoding;
use nova_snark::{provider::traits::DlogGroup, traits::PrimeFieldExt};
use sha3::{
    Shake256,
    digest::{ExtendableOutput, Update, XofReader},
};

use super::{Instance, StepInstance};
use crate::{
    backend::{Commitment, E1, F},
    weights::element_bytes,
};

const PROTOCOL: &[u8] = b"layerfold/flat/1";

/// SHAKE256 of everything said so far, every part with its name and the length of both.
///
/// Everything that a challenge must depend on goes in before the first challenge is drawn, but for
/// the cross terms, each of which goes in before the challenge of its fold. nova's own
/// `NIFS::prove` does not absorb the running instance, as in the recursion the new instance has its
/// hash among its public values; here nothing else binds it.
#[derive(Clone)]
pub(super) struct Transcript(Shake256);

impl Transcript {
    /// Absorbs the keys, the run, all steps and the random instance.
    pub(super) fn begin(keys: &F, binding: &F, steps: &[StepInstance], random: &Instance) -> Self {
        let mut transcript = Self::of_steps(keys, binding, steps);
        transcript.instance(random);
        transcript
    }

    fn of_steps(keys: &F, binding: &F, steps: &[StepInstance]) -> Self {
        let mut transcript = Self(Shake256::default());
        transcript.absorb("protocol", PROTOCOL);
        transcript.absorb("keys", &element_bytes(keys));
        transcript.absorb("binding", &element_bytes(binding));
        transcript.absorb("steps", &(steps.len() as u64).to_le_bytes());
        for step in steps {
            transcript.point("W", step.comm_W());
            transcript.elements("z", step.X());
        }
        transcript
    }

    fn instance(&mut self, random: &Instance) {
        self.point("random W", random.comm_W());
        self.point("random E", random.comm_E());
        self.elements("random u", &[random.u()]);
        self.elements("random X", random.X());
    }

    /// Absorbs the cross terms of a level and gives the challenge of its folds.
    pub(super) fn challenge(&mut self, cross_terms: &[Commitment<E1>]) -> F {
        for term in cross_terms {
            self.point("T", term);
        }
        self.absorb("challenge", &[]);
        let mut wide = [0; 64];
        self.0.clone().finalize_xof().read(&mut wide);
        F::from_uniform(&wide)
    }

    fn absorb(&mut self, name: &str, bytes: &[u8]) {
        for part in [name.as_bytes(), bytes] {
            self.0.update(&(part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
    }

    /// 32 compressed bytes, zeros for the identity.
    fn point(&mut self, name: &str, point: &Commitment<E1>) {
        self.absorb(name, point.comm.affine().to_bytes().as_ref());
    }

    fn elements(&mut self, name: &str, elements: &[F]) {
        let bytes: Vec<u8> = elements.iter().flat_map(element_bytes).collect();
        self.absorb(name, &bytes);
    }
}

#[cfg(test)]
impl Transcript {
    /// Without the random instance, for a prover who chooses it later.
    pub(super) fn without_random_for_test(keys: &F, binding: &F, steps: &[StepInstance]) -> Self {
        Self::of_steps(keys, binding, steps)
    }
}
