//! One step as constraints (protocol notes, 5, 6).

use bellpepper_core::{
    ConstraintSystem, SynthesisError, Variable,
    boolean::{AllocatedBit, Boolean},
    num::{AllocatedNum, Num},
};
use ff::Field;
use layerfold_gadgets::{Entry, Kind, num, packing::pack, poseidon::hash};

use super::{
    operations::{self, Inputs, Registers, Selectors},
    state::StepWitness,
};
use crate::{
    backend::F,
    program::{Emission, MapRef, Register, RegisterShape, Unrolled},
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
/// in range; 2. `1 = on_1 ≥ on_2 ≥ … ≥ on_F`; 3. accumulators in range; 4. every operation but the
/// products; where a slot is off, the carried vector, the counter and the digests stay as they
/// are; 5. the products and the old claim follow from the new claim; 6. the next `z` holds the same
/// binding, the counters, the digests, the next carried vector and the new claim.
///
/// **Does not enforce** that the new claim is true.
///
/// **Soundness** Nothing is chosen after the challenge: the seed hashes `z`, the frames (through
/// `inputs'`, or as data where a step may not absorb them), every accumulator and every derived
/// register that a product reads.
pub(crate) fn synthesize<CS: ConstraintSystem<F>>(
    cs: &mut CS,
    step: &Unrolled,
    z: [Variable; 2],
    witness: &StepWitness,
) -> Result<[AllocatedNum<F>; 2], SynthesisError> {
    let program = &step.program;
    let dimensions = program.bank();
    let steps = program.steps_per_frame();
    let slots = step.slots.len();
    let [z_activations, z_run] = z;
    let sizes = [
        witness.frames.len(),
        witness.frame_salts.len(),
        witness.output_salts.len(),
        witness.on.len() + 1,
    ];
    if sizes.iter().any(|n| *n != slots) || witness.carried.len() != step.opened.len() {
        return Err(SynthesisError::IncompatibleLengthVector(
            "witness of a step".to_owned(),
        ));
    }

    // 1. Open the state, the carried vector and the frames.
    let state = StateCircuit::alloc(cs.namespace(|| "state"), witness)?;
    let run = state.digest(cs.namespace(|| "state digest"))?;
    num::enforce_equal_variable(cs.namespace(|| "z.run opens"), &run.clone().into(), z_run);
    let selectors = Selectors::alloc(
        cs.namespace(|| "phase"),
        steps,
        &state.phase,
        witness.selected_phase,
    )?;
    let on = presence(cs.namespace(|| "frames that are there"), &witness.on)?;

    let mut vectors = Vectors {
        cs: &mut *cs,
        packed: Vec::new(),
    };
    let carried = step
        .opened
        .iter()
        .zip(&witness.carried)
        .enumerate()
        .map(|(part, (register, values))| {
            vectors.alloc(&numbered("carried", part), values, step.shape(*register))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let activations = if carried.is_empty() {
        // Nothing is carried: z.activations is 0, here and in every step.
        num::enforce_equal_variable(
            vectors.cs.namespace(|| "z.activations is zero"),
            &Num::zero(),
            z_activations,
        );
        Num::zero()
    } else {
        let parts: Vec<&[Entry<F>]> = carried.iter().map(Vec::as_slice).collect();
        let digest = vectors.digest("carried digest", witness.carried_salt, &parts)?;
        num::enforce_equal_variable(
            vectors.cs.namespace(|| "z.activations opens"),
            &digest.clone().into(),
            z_activations,
        );
        Num::from(digest)
    };
    let mut frames = Vec::with_capacity(slots);
    let mut packed_frames = Vec::with_capacity(slots);
    let mut next_inputs = state.inputs.clone();
    let mut next_frames = state.frames.clone();
    let consumes = selectors.indicator::<CS>(|p| p == 0);
    for (slot, values) in witness.frames.iter().enumerate() {
        let name = numbered("frame", slot);
        let frame = vectors.alloc(&name, values, step.shape(Register::FRAME))?;
        let salt = witness.frame_salts[slot];
        let digest = vectors.digest(&numbered("frame digest", slot), salt, &[&frame])?;
        packed_frames.push(vectors.packed.pop().unwrap_or_default());
        frames.push(frame);
        let absorbed = hash(
            vectors.cs.namespace(|| numbered("inputs", slot)),
            Kind::Inputs,
            0,
            0,
            &[next_inputs.clone(), digest.into()],
        )?;
        // With several steps to an inference there is one slot, and with several slots one step.
        let (moves, conditional) = match slot {
            0 => (&consumes, steps > 1),
            _ => (&on[slot], true),
        };
        let name = match slot {
            0 => "inputs move in phase 0".to_owned(),
            _ => numbered("inputs move", slot),
        };
        next_inputs = when(
            vectors.cs.namespace(|| name),
            conditional,
            moves,
            &absorbed.into(),
            &next_inputs,
        )?;
        next_frames = next_frames.add(moves);
    }

    // 2, 3. Accumulators and operations.
    let registers = operations::synthesize(
        cs.namespace(|| "operations"),
        step,
        Inputs {
            selectors: &selectors,
            on: &on,
            frames,
            carried,
            accumulators: &witness.accumulators,
        },
    )?;

    // 4. The seed.
    let seed = seed(
        cs,
        step,
        &registers,
        &packed_frames,
        witness.tau,
        [
            activations,
            run.into(),
            next_frames.clone(),
            next_inputs.clone(),
        ],
    )?;

    // 4–7. The sumcheck.
    let affine: Vec<AffineCircuit<'_>> = step
        .affine_operations()
        .map(|(at, terms)| AffineCircuit {
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
            output: registers.accumulators(Register::result_of(at)),
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
    let len = program.output.len as usize;
    let last = selectors.indicator::<CS>(|p| p == steps - 1);
    let emitted = match program.emission {
        Emission::Each => step.slots.iter().map(|s| s.output).collect(),
        Emission::Last => vec![step.output],
    };
    // Before the last output there is nothing to remember.
    let mut next_outputs = match program.emission {
        Emission::Each => state.outputs.clone(),
        Emission::Last => Num::zero(),
    };
    let mut next_activations = None;
    for (slot, register) in emitted.into_iter().enumerate() {
        let output = &registers.get(register)[..len];
        let salt = witness.output_salts[slot];
        let digest = vectors.digest(&numbered("output digest", slot), salt, &[output])?;
        if slot == 0 {
            next_activations = Some(next_carried(&mut vectors, step, &registers, witness)?);
        }
        let emitted = hash(
            vectors.cs.namespace(|| numbered("outputs", slot)),
            Kind::Outputs,
            0,
            0,
            &[next_outputs.clone(), digest.into()],
        )?;
        let (moves, conditional) = match slot {
            0 => (&last, steps > 1),
            _ => (&on[slot], true),
        };
        let name = match slot {
            0 => "outputs move in the last phase".to_owned(),
            _ => numbered("outputs move", slot),
        };
        next_outputs = when(
            vectors.cs.namespace(|| name),
            conditional,
            moves,
            &emitted.into(),
            &next_outputs,
        )?;
    }
    let next_activations = next_activations.ok_or(SynthesisError::AssignmentMissing)?;
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

/// The next `z.activations`.
fn next_carried<CS: ConstraintSystem<F>>(
    vectors: &mut Vectors<'_, CS>,
    step: &Unrolled,
    registers: &Registers,
    witness: &StepWitness,
) -> Result<AllocatedNum<F>, SynthesisError> {
    let after = step.slots.last().map_or(&[][..], |s| &s.carried);
    if after.is_empty() {
        return num::allocate(vectors.cs.namespace(|| "nothing is carried"), &Num::zero());
    }
    let parts: Vec<&[Entry<F>]> = after.iter().map(|r| registers.get(*r)).collect();
    vectors.digest("next carried digest", witness.next_salt, &parts)
}

/// `on_1 … on_F`, which say of which slots there is a frame.
///
/// **Enforces** 1. `on_1 = 1`, as a constant; 2. `on_2 … on_F` are bits; 3. `on_{f+1}·(1 − on_f) =
/// 0`, so that none is on after one that is off.
fn presence<CS: ConstraintSystem<F>>(
    mut cs: CS,
    hints: &[bool],
) -> Result<Vec<Num<F>>, SynthesisError> {
    let one = num::constant::<F, CS>(F::ONE);
    let mut on = vec![one.clone()];
    for (f, hint) in hints.iter().enumerate() {
        let bit = AllocatedBit::alloc(cs.namespace(|| format!("on {}", f + 1)), Some(*hint))?;
        let bit = Num::zero().add_bool_with_coeff(CS::one(), &Boolean::Is(bit), F::ONE);
        if f > 0 {
            // on_{f+1}·(1 − on_f) = 0
            let off = num::sub(&one, &on[f]);
            cs.enforce(
                || format!("on {} only after {f}", f + 1),
                |_| bit.lc(F::ONE),
                |_| off.lc(F::ONE),
                |lc| lc,
            );
        }
        on.push(bit);
    }
    Ok(on)
}

/// `name` for the first, `name k` for the others.
fn numbered(name: &str, k: usize) -> String {
    match k {
        0 => name.to_owned(),
        _ => format!("{name} {k}"),
    }
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
        shape: &RegisterShape,
    ) -> Result<Vec<Entry<F>>, SynthesisError> {
        if values.len() != shape.len {
            return Err(SynthesisError::IncompatibleLengthVector(name.to_owned()));
        }
        let mut cs = self.cs.namespace(|| name.to_owned());
        values
            .iter()
            .enumerate()
            .map(|(i, v)| {
                Entry::alloc(cs.namespace(|| format!("entry {i}")), shape.width, Some(*v))
            })
            .collect()
    }

    /// `D(salt; parts)`, the salt a free witness.
    fn digest(
        &mut self,
        name: &str,
        salt: F,
        parts: &[&[Entry<F>]],
    ) -> Result<AllocatedNum<F>, SynthesisError> {
        let mut cs = self.cs.namespace(|| name.to_owned());
        let salt = AllocatedNum::alloc(cs.namespace(|| "salt"), || Ok(salt))?;
        let mut packed = Vec::new();
        for (part, entries) in parts.iter().enumerate() {
            packed.extend(pack(cs.namespace(|| numbered("pack", part)), entries)?);
        }
        let mut elements = vec![Num::from(salt)];
        elements.extend(packed.iter().cloned().map(Num::from));
        self.packed.push(packed);
        let entries: usize = parts.iter().map(|p| p.len()).sum();
        hash(
            cs.namespace(|| "hash"),
            Kind::Vector,
            entries as u32,
            parts.len() as u32,
            &elements,
        )
    }
}

/// `H(6, d, K; τ, z.activations, z.run, frames', inputs', R)`.
fn seed<CS: ConstraintSystem<F>>(
    cs: &mut CS,
    step: &Unrolled,
    registers: &Registers,
    packed_frames: &[Vec<AllocatedNum<F>>],
    tau: F,
    state: [Num<F>; 4],
) -> Result<Num<F>, SynthesisError> {
    let mut cs = cs.namespace(|| "seed");
    let mut elements = Vec::new();
    let accumulators: Vec<Register> = step
        .affine_operations()
        .map(|(i, _)| Register::result_of(i))
        .collect();
    for register in accumulators.iter().chain(step.bound()) {
        let slot = step.slots.iter().position(|s| s.frame == *register);
        if let Some(slot) = slot {
            elements.extend(packed_frames[slot].iter().cloned().map(Num::from));
            continue;
        }
        let cs = cs.namespace(|| format!("pack register {}", register.index()));
        let packed = pack(cs, registers.get(*register))?;
        elements.extend(packed.into_iter().map(Num::from));
    }
    let operations = accumulators.len() as u32;
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
        step.program.bank().rounds() as u32,
        operations,
        &parts,
    )?;
    Ok(seed.into())
}
