//! From the registers of a step to its witness and the next state. Independent of how steps are
//! chained.

use ff::Field;
use rand_core::OsRng;

use super::{
    RunState, StepTrace, StepWitness, Unrolled,
    state::{
        absorb_input, absorb_output, carried_digest, initial_z, registers_digest, seed,
        vector_digest,
    },
};
use crate::{
    backend::F,
    error::Error,
    program::{Emission, Register, WeightBank},
    statement::salts::Salts,
    weights::{
        Mask,
        sumcheck::{AffineInstance, Product, StepProof, prover},
    },
};

/// Where a run stands: the parts of `z_i`.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) state: RunState,
    /// Parts of the carried vector.
    pub(crate) carried: Vec<Vec<i64>>,
    pub(crate) carried_salt: F,
    pub(crate) z: [F; 2],
    pub(crate) steps: u64,
}

impl Run {
    /// Before the first step.
    pub(crate) fn initial(step: &Unrolled, binding: F, carried: Vec<Vec<i64>>) -> Self {
        Self {
            state: RunState::initial(&step.dimensions, binding),
            z: initial_z(step, binding, &carried),
            carried,
            carried_salt: F::ZERO,
            steps: 0,
        }
    }
}

/// A step ready to be chained to the run, and where it leads.
#[derive(Clone)]
pub(crate) struct PreparedStep {
    pub(crate) witness: StepWitness,
    pub(crate) next: Run,
}

/// What stays the same from step to step.
pub(crate) struct StepContext<'a> {
    pub(crate) step: &'a Unrolled,
    pub(crate) bank: &'a WeightBank,
    pub(crate) mask: &'a Mask,
    pub(crate) salts: &'a Salts,
}

impl StepContext<'_> {
    /// Draws `τ` and the salt of the carried vector, proves the products, computes the next state.
    pub(crate) fn prepare(&self, run: &Run, trace: &StepTrace) -> Result<PreparedStep, Error> {
        let step = self.step;
        let state = &run.state;
        let slots = step.slots.len();

        // The frames that are there, and the digests that move with them.
        let mut frame_salts = vec![F::ZERO; slots];
        let (mut frames, mut inputs) = (state.frames, state.inputs);
        if state.phase == 0 {
            let there = step.slots.iter().zip(&mut frame_salts).zip(&trace.on);
            for ((slot, salt), _) in there.filter(|(_, on)| **on) {
                *salt = self.salts.input(frames);
                let frame = trace.register(slot.frame);
                let digest = vector_digest(*salt, frame, step.encoding(slot.frame));
                inputs = absorb_input(inputs, digest);
                frames += 1;
            }
        }

        let tau = F::random(OsRng);
        let registers = registers_digest(step, trace, &frame_salts);
        let seed = seed(step, tau, run.z, frames, inputs, registers);
        let proof = self.prove_products(run, trace, seed)?;

        let mut output_salts = vec![F::ZERO; slots];
        let last = state.phase + 1 == step.phases;
        let shape = step.output_encoding();
        let digest = |salt, register| {
            let output = &trace.register(register)[..shape.len];
            vector_digest(salt, output, &shape)
        };
        let mut outputs = state.outputs;
        if last {
            // The output of frame k has salt k, whichever step it belongs to.
            match step.emission {
                Emission::Each => {
                    let there = step.slots.iter().zip(&mut output_salts).zip(&trace.on);
                    let there = there.filter(|(_, on)| **on);
                    let count = trace.on.iter().filter(|on| **on).count() as u64;
                    let first = frames.saturating_sub(count);
                    for (k, ((slot, salt), _)) in (first..).zip(there) {
                        *salt = self.salts.output(k);
                        outputs = absorb_output(outputs, digest(*salt, slot.output));
                    }
                }
                Emission::Last => {
                    output_salts[0] = self.salts.output(frames - 1);
                    outputs = absorb_output(F::ZERO, digest(output_salts[0], step.output));
                }
            }
        }
        let next_salt = F::random(OsRng);
        let after = step.slots.last().map_or(&[][..], |s| &s.carried);
        let carried: Vec<Vec<i64>> = after.iter().map(|r| trace.register(*r).to_vec()).collect();
        let activations = carried_digest(next_salt, &carried, &step.carried_encodings());
        let next = RunState {
            binding: state.binding,
            frames,
            phase: if last { 0 } else { state.phase + 1 },
            inputs,
            outputs,
            claim: proof.claim.clone(),
        };
        let witness = StepWitness {
            state: state.clone(),
            selected_phase: state.phase,
            on: trace.on[1..].to_vec(),
            activations: run.z[0],
            carried: run.carried.clone(),
            carried_salt: run.carried_salt,
            frames: step
                .slots
                .iter()
                .map(|s| trace.register(s.frame).to_vec())
                .collect(),
            frame_salts,
            accumulators: step
                .affine_nodes()
                .map(|(i, _)| trace.register(Register::result_of(i)).to_vec())
                .collect(),
            tau,
            messages: proof.messages,
            value: proof.claim.value,
            output_salts,
            next_salt,
        };
        Ok(PreparedStep {
            next: Run {
                z: [activations, next.digest()],
                state: next,
                carried,
                carried_salt: next_salt,
                steps: run.steps + 1,
            },
            witness,
        })
    }

    #[tracing::instrument(name = "sumcheck", skip_all)]
    fn prove_products(&self, run: &Run, trace: &StepTrace, seed: F) -> Result<StepProof, Error> {
        let operations: Vec<AffineInstance<'_>> = self
            .step
            .affine_nodes()
            .map(|(_, terms)| AffineInstance {
                products: Unrolled::products(terms, run.state.phase)
                    .map(|(map, term, with_bias)| Product {
                        map: map as u64,
                        input: trace.register(term.input),
                        window: term.window.as_ref(),
                        with_bias,
                    })
                    .collect(),
            })
            .collect();
        let dimensions = self.step.dimensions;
        let claim = &run.state.claim;
        let separation = self.step.separation();
        let proof = prover::prove(
            self.bank,
            &dimensions,
            self.mask,
            claim,
            &operations,
            separation,
            seed,
        );
        proof.ok_or_else(|| Error::proving("sumcheck", "the claim is of another program"))
    }
}
