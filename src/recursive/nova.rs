//! The step circuit as Nova's `StepCircuit`.

use std::sync::Arc;

use nova_snark::{
    frontend::{ConstraintSystem, SynthesisError, num::AllocatedNum},
    traits::circuit::StepCircuit,
};

use super::{
    Unrolled,
    bridge::{Bridge, error_out, variable_in, variable_out},
    state::StepWitness,
    step,
};
use crate::backend::F;

/// A step of a program, with its witness.
#[derive(Clone)]
pub(crate) struct InferenceStep {
    step: Arc<Unrolled>,
    witness: Arc<StepWitness>,
}

impl InferenceStep {
    pub(crate) fn new(step: Arc<Unrolled>, witness: StepWitness) -> Self {
        Self {
            step,
            witness: Arc::new(witness),
        }
    }

    /// For the shape pass.
    pub(crate) fn shape(step: Arc<Unrolled>) -> Self {
        let witness = StepWitness::dummy(&step);
        Self::new(step, witness)
    }
}

impl StepCircuit<F> for InferenceStep {
    fn arity(&self) -> usize {
        2
    }

    fn synthesize<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        z: &[AllocatedNum<F>],
    ) -> Result<Vec<AllocatedNum<F>>, SynthesisError> {
        let [activations, run] = z else {
            return Err(SynthesisError::IncompatibleLengthVector("z".to_owned()));
        };
        let z = [activations, run].map(|z| variable_in(z.get_variable()));
        let next = step::synthesize(&mut Bridge::new(cs), &self.step, z, &self.witness)
            .map_err(error_out)?;
        Ok(next
            .into_iter()
            .map(|n| AllocatedNum::from_parts(variable_out(n.get_variable()), n.get_value()))
            .collect())
    }
}
