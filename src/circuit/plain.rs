//! The step circuit on its own, with `z_i` and `z_{i+1}` as public values, over nova's constraint
//! systems.

use nova_snark::frontend::{ConstraintSystem, SynthesisError};

use super::{
    bridge::{Bridge, error_out, variable_in, variable_out},
    state::StepWitness,
    step,
};
use crate::{backend::F, program::Unrolled};

/// Public values of a plain step: `z_i`, then `z_{i+1}`, two elements each.
pub(crate) const PUBLIC_VALUES: usize = 4;

/// Constraints that bind the public `z_{i+1}`, beside those of the step.
pub(crate) const PLAIN_CONSTRAINTS: usize = 2;

/// Synthesises one step from the public `z_i`; gives `z_{i+1}`.
///
/// **Statement** `z_{i+1}` follows from `z_i` by one step of the program ([`step::synthesize`]).
///
/// **Enforces** 1. the step, from the public `z_i`; 2. the public `z_{i+1}` is what the step gives.
///
/// **Cost** those of the step, and [`PLAIN_CONSTRAINTS`].
pub(crate) fn synthesize_plain<CS: ConstraintSystem<F>>(
    cs: &mut CS,
    step: &Unrolled,
    z: [F; 2],
    witness: &StepWitness,
) -> Result<[F; 2], SynthesisError> {
    let activations = cs.alloc_input(|| "z_i.activations", || Ok(z[0]))?;
    let run = cs.alloc_input(|| "z_i.run", || Ok(z[1]))?;
    let before = [activations, run].map(variable_in);
    let after = step::synthesize(&mut Bridge::new(cs), step, before, witness).map_err(error_out)?;
    let mut next = [F::default(); 2];
    for (k, (result, next)) in after.iter().zip(&mut next).enumerate() {
        // The shape pass runs on a witness of zeros, so values are there in every pass.
        *next = result
            .get_value()
            .ok_or(SynthesisError::AssignmentMissing)?;
        let public = cs.alloc_input(|| format!("z_(i+1) {k}"), || Ok(*next))?;
        // result · 1 = z_{i+1}[k]
        cs.enforce(
            || format!("z_(i+1) {k} is the step's"),
            |lc| lc + variable_out(result.get_variable()),
            |lc| lc + CS::one(),
            |lc| lc + public,
        );
    }
    Ok(next)
}
