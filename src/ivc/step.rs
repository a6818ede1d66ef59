//! From the registers of a step to its witness and the next state. Independent of how steps are
//! chained.

use ff::Field;
use rand_core::OsRng;

use super::{InputVisibility, OutputVisibility, Visibility};
use crate::{
    backend::F,
    circuit::{
        RunState, StepWitness,
        state::{absorb_input, absorb_output, initial_z, registers_digest, seed, vector_digest},
    },
    error::Error,
    program::{MapRef, Program, Register, RegisterShape, interpreter::StepTrace},
    weights::{
        Mask, WeightBank,
        sumcheck::{AffineInstance, Product, StepProof, prover},
    },
};

/// Where a run stands: the parts of `z_i`.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) state: RunState,
    pub(crate) carried: Vec<i64>,
    pub(crate) carried_salt: F,
    pub(crate) z: [F; 2],
    pub(crate) steps: u64,
}

impl Run {
    /// Before the first step.
    pub(crate) fn initial(program: &Program, binding: F) -> Self {
        Self {
            state: RunState::initial(program, binding),
            carried: program.initial_carried(),
            carried_salt: F::ZERO,
            z: initial_z(program, binding),
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
    pub(crate) program: &'a Program,
    /// Shapes of the program's registers.
    pub(crate) shapes: &'a [RegisterShape],
    pub(crate) bank: &'a WeightBank,
    pub(crate) mask: &'a Mask,
    pub(crate) visibility: Visibility,
}

impl StepContext<'_> {
    /// Draws salts and `τ`, proves the products, computes the next state.
    pub(crate) fn prepare(&self, run: &Run, trace: &StepTrace) -> Result<PreparedStep, Error> {
        let program = self.program;
        let state = &run.state;
        let shape = |r: Register| &self.shapes[r.index()];
        // A salt of 0 where the vector is public, a fresh one where it is not.
        let salt = |public: bool| if public { F::ZERO } else { F::random(OsRng) };

        let frame_salt = salt(self.visibility.inputs == InputVisibility::Public);
        let frame = trace.register(Register::FRAME);
        let (frames, inputs) = if state.phase == 0 {
            let digest = vector_digest(frame_salt, frame, shape(Register::FRAME));
            (state.frames + 1, absorb_input(state.inputs, digest))
        } else {
            (state.frames, state.inputs)
        };

        let tau = F::random(OsRng);
        let registers = registers_digest(program, trace);
        let seed = seed(program, tau, run.z, frames, inputs, registers);
        let proof = self.prove_products(run, trace, seed)?;

        let output_salt = salt(self.visibility.outputs == OutputVisibility::Public);
        let last = state.phase + 1 == program.steps_per_frame();
        let outputs = if last {
            let output = program.output_of(trace);
            let digest = vector_digest(output_salt, &output, &program.output_shape());
            absorb_output(state.outputs, digest)
        } else {
            state.outputs
        };
        let next_salt = F::random(OsRng);
        let (carried, activations) = match &program.carried {
            Some(c) => {
                let carried = trace.register(c.next).to_vec();
                let digest = vector_digest(next_salt, &carried, shape(Register::CARRIED));
                (carried, digest)
            }
            None => (Vec::new(), F::ZERO),
        };
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
            carried: run.carried.clone(),
            carried_salt: run.carried_salt,
            frame: frame.to_vec(),
            frame_salt,
            accumulators: program
                .affine_operations()
                .map(|(i, _)| trace.register(Register::result_of(i)).to_vec())
                .collect(),
            tau,
            messages: proof.messages,
            value: proof.claim.value,
            output_salt,
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
        let slots = u64::from(self.program.layers_per_step().unwrap_or(1));
        let operations: Vec<AffineInstance<'_>> = self
            .program
            .affine_operations()
            .map(|(_, terms)| AffineInstance {
                products: terms
                    .iter()
                    .enumerate()
                    .map(|(b, term)| Product {
                        map: match term.map {
                            MapRef::Fixed(l) => l.into(),
                            MapRef::Slot(k) => run.state.phase * slots + u64::from(k),
                        },
                        input: trace.register(term.input),
                        with_bias: b == 0,
                    })
                    .collect(),
            })
            .collect();
        let dimensions = self.program.bank();
        let claim = &run.state.claim;
        prover::prove(self.bank, &dimensions, self.mask, claim, &operations, seed)
            .ok_or_else(|| Error::proving("sumcheck", "the claim is of another program"))
    }
}
