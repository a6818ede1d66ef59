//! One step as constraints (protocol notes, 5, 6).

use bellpepper_core::{
    ConstraintSystem, SynthesisError, Variable,
    num::{AllocatedNum, Num},
};
use ff::Field;
use layerfold_gadgets::{Entry, Kind, num, packing::pack, poseidon::hash};

use super::{
    operations::{self, Registers, Selectors},
    state::StepWitness,
};
use crate::{
    backend::F,
    program::{MapRef, Program, Register},
    weights::sumcheck::circuit::{AffineCircuit, ClaimCircuit, MapIndex, ProductCircuit, verify},
};

/// The parts of `z.run` in the circuit.
struct StateCircuit {
    binding: Num<F>,
    frames: Num<F>,
    phase: Num<F>,
    inputs: Num<F>,
    outputs: Num<F>,
    claim: ClaimCircuit,
}

impl StateCircuit {
    fn alloc<CS: ConstraintSystem<F>>(
        mut cs: CS,
        witness: &StepWitness,
    ) -> Result<Self, SynthesisError> {
        let mut part = |name: &str, value: F| {
            AllocatedNum::alloc(cs.namespace(|| name.to_owned()), || Ok(value)).map(Num::from)
        };
        let state = &witness.state;
        Ok(Self {
            binding: part("binding", state.binding)?,
            frames: part("frames", F::from(state.frames))?,
            phase: part("phase", F::from(state.phase))?,
            inputs: part("inputs", state.inputs)?,
            outputs: part("outputs", state.outputs)?,
            claim: ClaimCircuit {
                point: state
                    .claim
                    .point
                    .iter()
                    .enumerate()
                    .map(|(k, p)| part(&format!("P {k}"), *p))
                    .collect::<Result<_, _>>()?,
                value: part("V", state.claim.value)?,
            },
        })
    }

    /// `H(4, d, 0; binding, frames, phase, inputs, outputs, P, V)`.
    fn digest<CS: ConstraintSystem<F>>(&self, cs: CS) -> Result<AllocatedNum<F>, SynthesisError> {
        let mut elements = vec![
            self.binding.clone(),
            self.frames.clone(),
            self.phase.clone(),
            self.inputs.clone(),
            self.outputs.clone(),
        ];
        elements.extend(self.claim.point.iter().cloned());
        elements.push(self.claim.value.clone());
        hash(cs, Kind::Run, self.claim.point.len() as u32, 0, &elements)
    }
}

/// Synthesises one step from `z = (activations, run)`; gives the next `z`.
///
/// **Statement** The step of the protocol notes, 5 and 6.
///
/// **Assumes** nothing of the witness.
///
/// **Enforces** 1. `z.run` opens to the state, `z.activations` to the carried vector, all entries
/// in range; 2. accumulators in range; 3. every operation but the products; 4. the products and
/// the old claim follow from the new claim; 5. the next `z` holds the same binding, the counters,
/// the digests, the next carried vector and the new claim.
///
/// **Does not enforce** that the new claim is true.
///
/// **Soundness** Nothing is chosen after the challenge: the seed hashes `z`, the frames (through
/// `inputs'`, or as data where a step may not absorb them), every accumulator and every derived
/// register that a product reads.
pub(crate) fn synthesize<CS: ConstraintSystem<F>>(
    cs: &mut CS,
    program: &Program,
    z: [Variable; 2],
    witness: &StepWitness,
) -> Result<[AllocatedNum<F>; 2], SynthesisError> {
    let shapes = program.register_shapes();
    let dimensions = program.bank();
    let steps = program.steps_per_frame();
    let [z_activations, z_run] = z;

    // 1. Open the state, the carried vector and the frame.
    let state = StateCircuit::alloc(cs.namespace(|| "state"), witness)?;
    let run = state.digest(cs.namespace(|| "state digest"))?;
    num::enforce_equal_variable(cs.namespace(|| "z.run opens"), &run.clone().into(), z_run);
    let selectors = Selectors::alloc(
        cs.namespace(|| "phase"),
        steps,
        &state.phase,
        witness.selected_phase,
    )?;

    let mut vectors = Vectors {
        cs: &mut *cs,
        packed: Vec::new(),
    };
    let carried = vectors.alloc(
        "carried",
        &witness.carried,
        shapes[Register::CARRIED.index()].width,
    )?;
    let activations = if program.carried.is_some() {
        let digest = vectors.digest("carried digest", witness.carried_salt, &carried)?;
        num::enforce_equal_variable(
            vectors.cs.namespace(|| "z.activations opens"),
            &digest.clone().into(),
            z_activations,
        );
        Num::from(digest)
    } else {
        // Nothing is carried: z.activations is 0, here and in every step.
        num::enforce_equal_variable(
            vectors.cs.namespace(|| "z.activations is 0"),
            &Num::zero(),
            z_activations,
        );
        Num::zero()
    };
    let frame = vectors.alloc(
        "frame",
        &witness.frame,
        shapes[Register::FRAME.index()].width,
    )?;
    let frame_digest = vectors.digest("frame digest", witness.frame_salt, &frame)?;
    let packed_frame = vectors.packed.pop().unwrap_or_default();
    let absorbed = hash(
        cs.namespace(|| "inputs"),
        Kind::Inputs,
        0,
        0,
        &[state.inputs.clone(), frame_digest.into()],
    )?;
    let consumes = selectors.indicator::<CS>(|p| p == 0);
    let next_inputs = when(
        cs.namespace(|| "inputs move in phase 0"),
        steps > 1,
        &consumes,
        &absorbed.into(),
        &state.inputs,
    )?;
    let next_frames = state.frames.clone().add(&consumes);

    // 2, 3. Accumulators and operations.
    let registers = operations::synthesize(
        cs.namespace(|| "operations"),
        program,
        &selectors,
        frame,
        carried,
        &witness.accumulators,
    )?;

    // 4. The seed.
    let seed = seed(
        cs,
        program,
        &registers,
        packed_frame,
        witness.tau,
        [
            activations,
            run.into(),
            next_frames.clone(),
            next_inputs.clone(),
        ],
    )?;

    // 4–7. The sumcheck.
    let affine: Vec<AffineCircuit<'_>> = program
        .affine_operations()
        .zip(&registers.accumulators)
        .map(|((_, terms), output)| AffineCircuit {
            products: terms
                .iter()
                .enumerate()
                .map(|(b, term)| ProductCircuit {
                    map: match term.map {
                        MapRef::Fixed(l) => MapIndex::Constant(l.into()),
                        MapRef::Slot(k) => {
                            let slots = u64::from(program.layers_per_step().unwrap_or(1));
                            MapIndex::Bits(selectors.bits::<CS>(dimensions.lambda as usize, |p| {
                                p * slots + u64::from(k)
                            }))
                        }
                    },
                    input: registers.get(term.input),
                    with_bias: b == 0,
                })
                .collect(),
            output,
        })
        .collect();
    let claim = verify(
        cs.namespace(|| "sumcheck"),
        &dimensions,
        &seed,
        &state.claim,
        &affine,
        &witness.messages,
        witness.value,
    )?;

    // 8. The next state.
    let mut vectors = Vectors {
        cs: &mut *cs,
        packed: Vec::new(),
    };
    let output = &registers.get(program.output.register)[..program.output.len as usize];
    let output_digest = vectors.digest("output digest", witness.output_salt, output)?;
    let next_activations = match &program.carried {
        Some(carried) => vectors.digest(
            "next carried digest",
            witness.next_salt,
            registers.get(carried.next),
        )?,
        None => num::allocate(cs.namespace(|| "nothing is carried"), &Num::zero())?,
    };
    let emitted = hash(
        cs.namespace(|| "outputs"),
        Kind::Outputs,
        0,
        0,
        &[state.outputs.clone(), output_digest.into()],
    )?;
    let last = selectors.indicator::<CS>(|p| p == steps - 1);
    let next_outputs = when(
        cs.namespace(|| "outputs move in the last phase"),
        steps > 1,
        &last,
        &emitted.into(),
        &state.outputs,
    )?;
    // phase' = phase + 1 − S·sel_{S−1}
    let next_phase = state
        .phase
        .clone()
        .add(&num::constant::<F, CS>(F::ONE))
        .add(&last.scale(-F::from(steps)));
    let next = StateCircuit {
        binding: state.binding,
        frames: next_frames,
        phase: next_phase,
        inputs: next_inputs,
        outputs: next_outputs,
        claim,
    };
    let next_run = next.digest(cs.namespace(|| "next state digest"))?;
    Ok([next_activations, next_run])
}

/// `bit ? if_one : if_zero`; `if_one` without a constraint if it is not conditional.
fn when<CS: ConstraintSystem<F>>(
    cs: CS,
    conditional: bool,
    bit: &Num<F>,
    if_one: &Num<F>,
    if_zero: &Num<F>,
) -> Result<Num<F>, SynthesisError> {
    if conditional {
        num::select(cs, bit, if_one, if_zero).map(Num::from)
    } else {
        Ok(if_one.clone())
    }
}

/// Allocates and digests vectors, keeping what it packed.
struct Vectors<'a, CS> {
    cs: &'a mut CS,
    packed: Vec<Vec<AllocatedNum<F>>>,
}

impl<CS: ConstraintSystem<F>> Vectors<'_, CS> {
    fn alloc(
        &mut self,
        name: &str,
        values: &[i64],
        width: u32,
    ) -> Result<Vec<Entry<F>>, SynthesisError> {
        let mut cs = self.cs.namespace(|| name.to_owned());
        values
            .iter()
            .enumerate()
            .map(|(i, v)| Entry::alloc(cs.namespace(|| format!("entry {i}")), width, Some(*v)))
            .collect()
    }

    /// `D(salt; entries)`, the salt a free witness.
    fn digest(
        &mut self,
        name: &str,
        salt: F,
        entries: &[Entry<F>],
    ) -> Result<AllocatedNum<F>, SynthesisError> {
        let mut cs = self.cs.namespace(|| name.to_owned());
        let salt = AllocatedNum::alloc(cs.namespace(|| "salt"), || Ok(salt))?;
        let packed = pack(cs.namespace(|| "pack"), entries)?;
        let mut elements = vec![Num::from(salt)];
        elements.extend(packed.iter().cloned().map(Num::from));
        self.packed.push(packed);
        hash(
            cs.namespace(|| "hash"),
            Kind::Vector,
            entries.len() as u32,
            1,
            &elements,
        )
    }
}

/// `H(6, d, K; τ, z.activations, z.run, frames', inputs', R)`.
fn seed<CS: ConstraintSystem<F>>(
    cs: &mut CS,
    program: &Program,
    registers: &Registers,
    packed_frame: Vec<AllocatedNum<F>>,
    tau: F,
    state: [Num<F>; 4],
) -> Result<Num<F>, SynthesisError> {
    let mut cs = cs.namespace(|| "seed");
    let operations = registers.accumulators.len() as u32;
    let mut elements = Vec::new();
    let accumulators = program
        .affine_operations()
        .map(|(i, _)| Register::result_of(i));
    for register in accumulators.chain(program.bound_registers()) {
        if register == Register::FRAME {
            elements.extend(packed_frame.iter().cloned().map(Num::from));
            continue;
        }
        let cs = cs.namespace(|| format!("pack register {}", register.index()));
        let packed = pack(cs, registers.get(register))?;
        elements.extend(packed.into_iter().map(Num::from));
    }
    let digest = hash(
        cs.namespace(|| "registers"),
        Kind::Registers,
        operations,
        elements.len() as u32,
        &elements,
    )?;
    let tau = AllocatedNum::alloc(cs.namespace(|| "tau"), || Ok(tau))?;
    let mut parts = vec![Num::from(tau)];
    parts.extend(state);
    parts.push(digest.into());
    let seed = hash(
        cs.namespace(|| "hash"),
        Kind::Seed,
        program.bank().rounds() as u32,
        operations,
        &parts,
    )?;
    Ok(seed.into())
}
