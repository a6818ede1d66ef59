//! The state of a run, and what a step is given beside it. Native twins of what the circuit hashes.

use ff::Field;
use layerfold_gadgets::{
    Kind,
    packing::pack_native,
    poseidon::{hash_native, vector_digest_native},
    sumcheck::RoundValues,
};

use super::{Encoding, StepTrace, Unrolled};
use crate::{
    backend::F,
    program::{BankDimensions, Register},
    weights::WeightClaim,
};

/// The parts of `z.run` (protocol notes, 2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunState {
    /// What the run is bound to; constant.
    pub(crate) binding: F,
    /// Frames consumed.
    pub(crate) frames: u64,
    /// Steps done in the current inference.
    pub(crate) phase: u64,
    /// Running digest of the frames.
    pub(crate) inputs: F,
    /// Running digest of the outputs.
    pub(crate) outputs: F,
    /// The running weight claim.
    pub(crate) claim: WeightClaim,
}

impl RunState {
    /// The state before the first step.
    pub(crate) fn initial(dimensions: &BankDimensions, binding: F) -> Self {
        Self {
            binding,
            frames: 0,
            phase: 0,
            inputs: F::ZERO,
            outputs: F::ZERO,
            claim: WeightClaim::initial(dimensions),
        }
    }

    /// `H(4, d, 0; binding, frames, phase, inputs, outputs, P, V)`.
    pub(crate) fn digest(&self) -> F {
        let mut elements = vec![
            self.binding,
            F::from(self.frames),
            F::from(self.phase),
            self.inputs,
            self.outputs,
        ];
        elements.extend(&self.claim.point);
        elements.push(self.claim.value);
        hash_native(Kind::Run, self.claim.point.len() as u32, 0, &elements)
    }
}

/// `z_0`: the digest of the initial vector, parameters of the run included, 0 if nothing is
/// carried, and of the initial state.
pub(crate) fn initial_z(step: &Unrolled, binding: F, carried: &[Vec<i64>]) -> [F; 2] {
    let activations = carried_digest(F::ZERO, carried, &step.carried_encodings());
    let state = RunState::initial(&step.dimensions, binding);
    [activations, state.digest()]
}

/// `D(salt; parts)`, 0 if nothing is carried.
pub(crate) fn carried_digest(salt: F, parts: &[Vec<i64>], shapes: &[Encoding]) -> F {
    if parts.is_empty() {
        return F::ZERO;
    }
    let parts: Vec<(Vec<u64>, u32)> = parts
        .iter()
        .zip(shapes)
        .map(|(values, shape)| (unsigned(values, shape), shape.width))
        .collect();
    let parts: Vec<(&[u64], u32)> = parts.iter().map(|(u, w)| (u.as_slice(), *w)).collect();
    vector_digest_native(salt, &parts)
}

/// The integers `u` that a vector is packed as. Values must be in range.
fn unsigned(values: &[i64], shape: &Encoding) -> Vec<u64> {
    values
        .iter()
        .map(|v| (i128::from(*v) + i128::from(shape.offset)) as u64)
        .collect()
}

/// `D(salt; vector)` of one register.
pub(crate) fn vector_digest(salt: F, values: &[i64], shape: &Encoding) -> F {
    vector_digest_native(salt, &[(&unsigned(values, shape), shape.width)])
}

/// `inputs' = H(2, 0, 0; inputs, D(salt; frame))`.
pub(crate) fn absorb_input(inputs: F, digest: F) -> F {
    hash_native(Kind::Inputs, 0, 0, &[inputs, digest])
}

/// `outputs' = H(3, 0, 0; outputs, D(salt; output))`.
pub(crate) fn absorb_output(outputs: F, digest: F) -> F {
    hash_native(Kind::Outputs, 0, 0, &[outputs, digest])
}

/// `R = H(5, K, n; pack(y_1), …, pack(y_K), D(frames), pack(x-registers))`.
pub(crate) fn registers_digest(step: &Unrolled, trace: &StepTrace, frame_salts: &[F]) -> F {
    let accumulators: Vec<Register> = step
        .affine_nodes()
        .map(|(i, _)| Register::result_of(i))
        .collect();
    let mut elements = Vec::new();
    for register in accumulators.iter().chain(step.bound()) {
        let shape = step.encoding(*register);
        if let Some(slot) = step.slots.iter().position(|s| s.frame == *register) {
            elements.push(vector_digest(
                frame_salts[slot],
                trace.register(*register),
                shape,
            ));
            continue;
        }
        elements.extend(pack_native::<F>(
            &unsigned(trace.register(*register), shape),
            shape.width,
        ));
    }
    let operations = accumulators.len() as u32;
    hash_native(
        Kind::Registers,
        operations,
        elements.len() as u32,
        &elements,
    )
}

/// `H(6, d, K; τ, z.activations, z.run, frames', inputs', R)`: what all challenges of a step depend
/// on.
pub(crate) fn seed(
    step: &Unrolled,
    tau: F,
    z: [F; 2],
    next_frames: u64,
    next_inputs: F,
    registers: F,
) -> F {
    hash_native(
        Kind::Seed,
        step.dimensions.rounds() as u32,
        step.affine_nodes().count() as u32,
        &[
            tau,
            z[0],
            z[1],
            F::from(next_frames),
            next_inputs,
            registers,
        ],
    )
}

/// Everything a step circuit is given: the parts of its state and the hints of its prover.
///
/// Nothing here is trusted; the circuit constrains all of it.
#[derive(Clone)]
pub(crate) struct StepWitness {
    pub(crate) state: RunState,
    /// The phase that the selectors are set to; an honest prover's is that of the state.
    pub(crate) selected_phase: u64,
    /// `on_2 … on_F`; an honest prover's are those of the frames that are there.
    pub(crate) on: Vec<bool>,
    /// `z.activations`.
    pub(crate) activations: F,
    /// Parts of the carried vector.
    pub(crate) carried: Vec<Vec<i64>>,
    pub(crate) carried_salt: F,
    /// Of every slot, zeros where none is there.
    pub(crate) frames: Vec<Vec<i64>>,
    pub(crate) frame_salts: Vec<F>,
    /// Values of the accumulators, in the order of the affine operations.
    pub(crate) accumulators: Vec<Vec<i64>>,
    pub(crate) tau: F,
    pub(crate) messages: Vec<RoundValues<F>>,
    /// `v`, the value of the new claim.
    pub(crate) value: F,
    /// One for each output that the step emits.
    pub(crate) output_salts: Vec<F>,
    pub(crate) next_salt: F,
}

impl StepWitness {
    /// A witness of the right shape and no meaning, for the shape pass.
    pub(crate) fn dummy(step: &Unrolled) -> Self {
        let zeros = |r: Register| vec![0; step.encoding(r).len];
        let zero = RoundValues {
            a: F::ZERO,
            c: F::ZERO,
        };
        let frames = step.slots.len();
        Self {
            state: RunState::initial(&step.dimensions, F::ZERO),
            selected_phase: 0,
            on: vec![false; frames - 1],
            activations: F::ZERO,
            carried: step.opened().into_iter().map(zeros).collect(),
            carried_salt: F::ZERO,
            frames: step.slots.iter().map(|s| zeros(s.frame)).collect(),
            frame_salts: vec![F::ZERO; frames],
            accumulators: step
                .affine_nodes()
                .map(|(i, _)| zeros(Register::result_of(i)))
                .collect(),
            tau: F::ZERO,
            messages: vec![zero; step.dimensions.rounds()],
            value: F::ZERO,
            output_salts: vec![F::ZERO; frames],
            next_salt: F::ZERO,
        }
    }
}
