//! One step as constraints (protocol notes, 5, 6).

use bellpepper_core::{
    ConstraintSystem, SynthesisError, Variable,
    boolean::{AllocatedBit, Boolean},
    num::{AllocatedNum, Num},
};
use ff::Field;
use layerfold_gadgets::{Entry, Kind, num, packing::pack, poseidon::hash};

use super::{
    Encoding, Node, Unrolled,
    nodes::Route,
    operations::{self, Inputs, Registers, Selectors},
    state::StepWitness,
};
use crate::{
    backend::F,
    program::{Emission, Register},
    weights::sumcheck::circuit::{
        AffineCircuit, ClaimCircuit, Front, Gate, InputCircuit, MapIndex, ProductCircuit, Products,
        ProverHints, verify,
    },
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
/// **Enforces** 1. `z.run` opens to the state, `z.activations` to the carried vector unless the
/// phase reads the frame instead, all entries in range; 2. `1 = on_1 ≥ on_2 ≥ … ≥ on_F`; 3. accumulators in range; 4. every operation but the
/// products; where a slot is off, the carried vector, the counter and the digests stay as they
/// are; 5. the products and the old claim follow from the new claim; 6. the next `z` holds the same
/// binding, the counters, the digests, the next carried vector and the new claim.
///
/// **Does not enforce** that the new claim is true.
///
/// **Soundness** Nothing is chosen after the challenge: the seed hashes `z`, the frames (through
/// `inputs'`, or by their digests where a step may not absorb them), every accumulator and every
/// derived register that a product reads. What the phase selects is in `z` or in `inputs'`.
pub(crate) fn synthesize<CS: ConstraintSystem<F>>(
    cs: &mut CS,
    step: &Unrolled,
    z: [Variable; 2],
    witness: &StepWitness,
) -> Result<[AllocatedNum<F>; 2], SynthesisError> {
    let dimensions = step.dimensions;
    let steps = step.phases;
    let slots = step.slots.len();
    let [z_activations, z_run] = z;
    let sizes = [
        witness.frames.len(),
        witness.frame_salts.len(),
        witness.output_salts.len(),
        witness.on.len() + 1,
    ];
    if sizes.iter().any(|n| *n != slots) || witness.carried.len() != step.opened().len() {
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

    let opened = if steps > 1 {
        open_selected(cs, step, &selectors, z_activations, witness)?
    } else {
        open_all(cs, step, z_activations, witness)?
    };
    let mut next_inputs = state.inputs.clone();
    let mut next_frames = state.frames.clone();
    let consumes = selectors.indicator::<CS>(|p| p == 0);
    for (slot, digest) in opened.frame_digests.iter().enumerate() {
        let absorbed = hash(
            cs.namespace(|| numbered("inputs", slot)),
            Kind::Inputs,
            0,
            0,
            &[next_inputs.clone(), digest.clone()],
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
            cs.namespace(|| name),
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
            frames: opened.frames,
            carried: opened.carried,
            accumulators: &witness.accumulators,
        },
    )?;

    // 4. The seed.
    let seed = seed(
        cs,
        step,
        &registers,
        &opened.frame_digests,
        witness.tau,
        [
            opened.activations,
            run.into(),
            next_frames.clone(),
            next_inputs.clone(),
        ],
    )?;

    // 4–7. The sumcheck.
    let mut inputs = ReadRegisters {
        step,
        selectors: &selectors,
        registers: &registers,
        read: Vec::new(),
    };
    let affine: Vec<AffineCircuit<'_>> = step
        .affine_nodes()
        .map(|(at, terms)| AffineCircuit {
            products: inputs.products::<CS>(terms),
            output: registers.accumulators(Register::result_of(at)),
            // A step in which they differ is refused.
            block: step.block(terms).unwrap_or(None),
        })
        .collect();
    let inputs = inputs.circuits::<CS>();
    let claim = verify(
        cs.namespace(|| "sumcheck"),
        &dimensions,
        &seed,
        &state.claim,
        &Products {
            inputs: &inputs,
            operations: &affine,
            separation: step.separation(),
        },
        &ProverHints {
            messages: &witness.messages,
            value: witness.value,
        },
    )?;

    // 8. The next state.
    let mut vectors = Vectors { cs: &mut *cs };
    let len = step.output_len;
    let last = selectors.indicator::<CS>(|p| p == steps - 1);
    let emitted = match step.emission {
        Emission::Each => step.slots.iter().map(|s| s.output).collect(),
        Emission::Last => vec![step.output],
    };
    // Before the last output there is nothing to remember.
    let mut next_outputs = match step.emission {
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

/// The carried vector and the frames, as the step reads them.
struct Opened {
    /// `z.activations`.
    activations: Num<F>,
    carried: Vec<Vec<Entry<F>>>,
    frames: Vec<Vec<Entry<F>>>,
    frame_digests: Vec<Num<F>>,
}

/// Opens the carried vector and the frames of a step that reads both.
///
/// **Enforces** 1. all entries are in range; 2. `z.activations` is the digest of the carried vector,
/// or 0 if nothing is carried; 3. the digests are those of the frames.
fn open_all<CS: ConstraintSystem<F>>(
    cs: &mut CS,
    step: &Unrolled,
    z_activations: Variable,
    witness: &StepWitness,
) -> Result<Opened, SynthesisError> {
    let mut vectors = Vectors { cs };
    let carried = step
        .opened()
        .into_iter()
        .zip(&witness.carried)
        .enumerate()
        .map(|(part, (register, values))| {
            vectors.alloc(&numbered("carried", part), values, step.encoding(register))
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
    let (mut frames, mut frame_digests) = (Vec::new(), Vec::new());
    for (slot, values) in witness.frames.iter().enumerate() {
        let name = numbered("frame", slot);
        let frame = vectors.alloc(&name, values, step.encoding(Register::FRAME))?;
        let salt = witness.frame_salts[slot];
        let digest = vectors.digest(&numbered("frame digest", slot), salt, &[&frame])?;
        frame_digests.push(digest.into());
        frames.push(frame);
    }
    Ok(Opened {
        activations,
        carried,
        frames,
        frame_digests,
    })
}

/// Opens what a step of a layered schedule begins with: one vector, which is the frame in phase 0
/// and the carried vector in all others.
///
/// **Enforces** 1. all entries are in range; 2. `(1 − sel_0)·(D(salt; first entries) −
/// z.activations) = 0`; 3. the frame's digest is that of the first entries. If frame and carried
/// vector have one length the two digests are one.
///
/// **Does not enforce** in phase 0, what `z.activations` holds, which is not read there; in the
/// other phases, what the frame's digest is of, which is not absorbed there. Entries beyond the
/// length of the vector that the phase selects are in range and free; products multiply them by a
/// selector that is zero.
fn open_selected<CS: ConstraintSystem<F>>(
    cs: &mut CS,
    step: &Unrolled,
    selectors: &Selectors,
    z_activations: Variable,
    witness: &StepWitness,
) -> Result<Opened, SynthesisError> {
    let is_first = witness.selected_phase == 0;
    let (frame_shape, carried_shape) = (
        step.encoding(Register::FRAME),
        step.encoding(Register::CARRIED),
    );
    let (frame, carried) = match (&witness.frames[..], &witness.carried[..]) {
        ([frame], [carried])
            if frame.len() == frame_shape.len && carried.len() == carried_shape.len =>
        {
            (frame, carried)
        }
        _ => return Err(SynthesisError::AssignmentMissing),
    };
    let len = frame.len().max(carried.len());
    let mut values = if is_first { frame } else { carried }.clone();
    values.resize(len, 0);
    let mut vectors = Vectors { cs };
    let shape = Encoding {
        len,
        ..*frame_shape
    };
    let entries = vectors.alloc("selected", &values, &shape)?;
    let (frame, carried) = (&entries[..frame.len()], &entries[..carried.len()]);
    let (frame_salt, carried_salt) = (witness.frame_salts[0], witness.carried_salt);
    let (frame_digest, carried_digest) = if frame.len() == carried.len() {
        let salt = if is_first { frame_salt } else { carried_salt };
        let digest = vectors.digest("selected digest", salt, &[frame])?;
        (digest.clone(), digest)
    } else {
        (
            vectors.digest("frame digest", frame_salt, &[frame])?,
            vectors.digest("carried digest", carried_salt, &[carried])?,
        )
    };
    let cs = vectors.cs;
    let activations =
        AllocatedNum::alloc(cs.namespace(|| "activations"), || Ok(witness.activations))?;
    let activations = Num::from(activations);
    num::enforce_equal_variable(
        cs.namespace(|| "activations of z"),
        &activations,
        z_activations,
    );
    let not_first = selectors.indicator::<CS>(|p| p != 0);
    let difference = num::sub(&Num::from(carried_digest), &activations);
    cs.enforce(
        || "z.activations opens after phase 0",
        |_| not_first.lc(F::ONE),
        |_| difference.lc(F::ONE),
        |lc| lc,
    );
    Ok(Opened {
        activations,
        carried: vec![carried.to_vec()],
        frames: vec![frame.to_vec()],
        frame_digests: vec![frame_digest.into()],
    })
}

/// The registers that products read, each once.
struct ReadRegisters<'a> {
    step: &'a Unrolled,
    selectors: &'a Selectors,
    registers: &'a Registers,
    read: Vec<Register>,
}

impl<'a> ReadRegisters<'a> {
    /// The products of an affine operation.
    fn products<CS: ConstraintSystem<F>>(&mut self, terms: &'a [Route]) -> Vec<ProductCircuit<'a>> {
        let lambda = self.step.dimensions.lambda as usize;
        let map_in = |b: usize, p: u64| terms[b].maps.get(p as usize).copied().flatten();
        let there = |b: usize, p: u64| map_in(b, p).is_some();
        // The bias is that of the first term that is there.
        let is_first = |b: usize, p: u64| there(b, p) && !(0..b).any(|before| there(before, p));
        let phases = self.step.phases;
        terms
            .iter()
            .enumerate()
            .map(|(b, term)| {
                let read = self.read.iter().position(|r| *r == term.input);
                let input = read.unwrap_or_else(|| {
                    self.read.push(term.input);
                    self.read.len() - 1
                });
                let index = |p| map_in(b, p).map_or(0, u64::from);
                let map = match phases {
                    1 => MapIndex::Constant(index(0)),
                    _ => MapIndex::Bits(self.selectors.bits::<CS>(lambda, index)),
                };
                let front = if (0..phases).all(|p| is_first(b, p) == there(b, p)) {
                    Front::One
                } else {
                    match self.selectors.gate(|p| is_first(b, p)) {
                        Gate::Zero => Front::Zero,
                        Gate::One => Front::One,
                        Gate::Some(front) => Front::Some(front),
                    }
                };
                ProductCircuit {
                    map,
                    input,
                    window: term.window.as_ref(),
                    gate: self.selectors.gate(|p| there(b, p)),
                    front,
                }
            })
            .collect()
    }

    fn circuits<CS: ConstraintSystem<F>>(self) -> Vec<InputCircuit<'a>> {
        let of = |register: &Register| match self.step.node(*register) {
            Some(Node::Select) if self.step.only_multiplied(*register) => {
                let first = self.registers.get(Register::Frame);
                let rest = self.registers.get(Register::CARRIED);
                // Of one length, they are the same entries: see `open_selected`.
                if first.len() == rest.len() {
                    return InputCircuit::Entries(first);
                }
                InputCircuit::Selected {
                    bit: self.selectors.indicator::<CS>(|p| p == 0),
                    first,
                    rest,
                }
            }
            _ => InputCircuit::Entries(self.registers.get(*register)),
        };
        self.read.iter().map(of).collect()
    }
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

/// Allocates and digests vectors.
struct Vectors<'a, CS> {
    cs: &'a mut CS,
}

impl<CS: ConstraintSystem<F>> Vectors<'_, CS> {
    fn alloc(
        &mut self,
        name: &str,
        values: &[i64],
        shape: &Encoding,
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
        elements.extend(packed.into_iter().map(Num::from));
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
    frame_digests: &[Num<F>],
    tau: F,
    state: [Num<F>; 4],
) -> Result<Num<F>, SynthesisError> {
    let mut cs = cs.namespace(|| "seed");
    let mut elements = Vec::new();
    let accumulators: Vec<Register> = step
        .affine_nodes()
        .map(|(i, _)| Register::result_of(i))
        .collect();
    for register in accumulators.iter().chain(step.bound()) {
        let slot = step.slots.iter().position(|s| s.frame == *register);
        if let Some(slot) = slot {
            elements.push(frame_digests[slot].clone());
            continue;
        }
        let cs = cs.namespace(|| format!("pack {register:?}"));
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
        step.dimensions.rounds() as u32,
        operations,
        &parts,
    )?;
    Ok(seed.into())
}
