//! Lies about frames, slots and the carried vector that a constraint of the step must catch.

use ff::Field;

use super::fixtures::{Bench, bank, frame, sequence};
use crate::tests::cells::CellKind;
use crate::{
    backend::F,
    program::{Emission, Operation, Register},
    recursive::{
        Node, Schedule,
        state::{carried_digest, registers_digest},
    },
};

const FINAL_CHECK: &str = "sumcheck/v·bracket = claim";
const SLOTS: usize = 3;

fn bench(kind: CellKind, emission: Emission) -> Bench {
    let program = sequence(kind, 4, emission).program().unwrap();
    let bank = bank(&program, 3);
    Bench::scheduled(program, Schedule::FramesPerStep(SLOTS as u32), bank)
}

fn gru() -> Bench {
    bench(CellKind::Gru, Emission::Each)
}

fn frames(count: usize) -> Vec<Vec<i64>> {
    (0..count as u64).map(|k| frame(3, 40 + k)).collect()
}

#[test]
fn steps_with_any_number_of_frames_are_accepted() {
    for emission in [Emission::Each, Emission::Last] {
        for kind in [CellKind::Gru, CellKind::Lstm] {
            let bench = bench(kind, emission);
            let mut run = bench.run();
            for count in [3, 1, 2] {
                let before = run.state.frames;
                let step = bench.prepare(&run, &bench.trace_of(&run, &frames(count)));
                let (cs, next) = bench.synthesize(run.z, &step.witness);
                assert_eq!(cs.which_is_unsatisfied(), None);
                assert_eq!(next, step.next.z);
                assert!(bench.claim_holds(&step.next.state.claim));
                assert_eq!(step.next.state.frames, before + count as u64);
                run = step.next;
            }
        }
    }
}

#[test]
fn frames_in_one_step_or_in_many_lead_to_one_state() {
    for emission in [Emission::Each, Emission::Last] {
        let bench = bench(CellKind::Gru, emission);
        let at_once = bench.prepare(&bench.run(), &bench.trace_of(&bench.run(), &frames(3)));
        let mut run = bench.run();
        for frame in frames(3) {
            run = bench.prepare(&run, &bench.trace_of(&run, &[frame])).next;
        }
        let (a, b) = (at_once.next, run);
        assert_eq!(a.carried, b.carried);
        assert_eq!(a.state.frames, b.state.frames);
        assert_eq!(a.state.inputs, b.state.inputs);
        assert_eq!(a.state.outputs, b.state.outputs);
    }
}

#[test]
fn a_frame_after_one_that_is_missing_is_rejected() {
    // The second slot is off and the third on; everything else is what follows from that.
    let bench = gru();
    let run = bench.run();
    let [a, _, c] = <[Vec<i64>; 3]>::try_from(frames(3)).unwrap();
    let trace = bench.trace_with(&run, &[Some(a), None, Some(c)]);
    let step = bench.prepare(&run, &trace);
    let (cs, next) = bench.synthesize(run.z, &step.witness);
    assert_eq!(next, step.next.z);
    assert_eq!(
        cs.which_is_unsatisfied(),
        Some("frames that are there/on 2 only after 1")
    );
}

#[test]
fn a_slot_that_is_neither_on_nor_off_is_rejected() {
    let bench = gru();
    let run = bench.run();
    let step = bench.prepare(&run, &bench.trace_of(&run, &frames(2)));
    let (mut cs, _) = bench.synthesize(run.z, &step.witness);
    cs.set("frames that are there/on 1/boolean", F::from(2));
    assert_eq!(
        cs.which_is_unsatisfied(),
        Some("frames that are there/on 1/boolean constraint")
    );
}

#[test]
fn the_first_slot_cannot_be_switched_off() {
    // There is no wire for it: F − 1 bits, and a step of F = 1 has none.
    let bench = gru();
    let run = bench.run();
    let step = bench.prepare(&run, &bench.trace_of(&run, &frames(1)));
    assert_eq!(step.witness.on, [false; SLOTS - 1]);
    let mut witness = step.witness.clone();
    witness.on = vec![false; SLOTS];
    let cs = &mut bellpepper_core::test_cs::TestConstraintSystem::<F>::new();
    let z = [0, 1].map(|i| bellpepper_core::Variable(bellpepper_core::Index::Aux(i)));
    assert!(crate::recursive::step::synthesize(cs, &bench.step, z, &witness).is_err());
    // A step without any frame: on zeros, which the circuit counts as a frame.
    let trace = bench.trace_with(&run, &[None, None, None]);
    let lie = bench.prepare(&run, &trace);
    assert_eq!(lie.next.state.frames, run.state.frames);
    let (cs, next) = bench.synthesize(run.z, &lie.witness);
    // The seed is of another counter and another digest.
    assert_eq!(cs.which_is_unsatisfied(), Some(FINAL_CHECK));
    assert_ne!(next[1], lie.next.z[1]);
}

#[test]
fn a_padding_frame_that_alters_the_state_is_rejected() {
    // One frame; in the second slot, which is off, the prover keeps what the padding led to.
    for emission in [Emission::Each, Emission::Last] {
        let bench = bench(CellKind::Gru, emission);
        let run = bench.run();
        let mut trace = bench.trace_with(&run, &[Some(frame(3, 1)), Some(frame(3, 2)), None]);
        let forged = trace.clone();
        trace.on = vec![true, false, false];
        // The third slot, the head and the sums of both follow from the lie.
        let step = bench.prepare(&run, &trace);
        assert!(bench.claim_holds(&step.next.state.claim));
        let honest = bench.prepare(&run, &bench.trace_of(&run, &[frame(3, 1)]));
        assert_ne!(step.next.carried, honest.next.carried);
        assert_eq!(
            bench.rejected_at(run.z, &step.witness).as_deref(),
            Some(FINAL_CHECK)
        );
        // Only what is carried on is forged: the circuit makes something else of it.
        let mut trace = bench.trace_of(&run, &[frame(3, 1)]);
        let encodings = bench.step.carried_encodings();
        for register in &bench.step.slots[SLOTS - 1].carried {
            trace.registers[*register] = forged.registers[*register].clone();
        }
        let step = bench.cheat(&run, &trace);
        let (_, next) = bench.synthesize(run.z, &step.witness);
        let forged = carried_digest(step.witness.next_salt, &step.next.carried, &encodings);
        assert_eq!(step.next.z[0], forged);
        assert_ne!(next[0], forged);
    }
}

#[test]
fn a_padding_frame_that_moves_a_digest_or_the_counter_is_rejected() {
    let bench = gru();
    let run = bench.run();
    let two = bench.prepare(&run, &bench.trace_of(&run, &frames(2)));
    // The frames of two slots under the switches of one: the circuit's state is that of one frame.
    let mut witness = two.witness.clone();
    witness.on = vec![false; SLOTS - 1];
    let one = bench.prepare(&run, &bench.trace_of(&run, &frames(1)));
    let (cs, next) = bench.synthesize(run.z, &witness);
    assert_eq!(cs.which_is_unsatisfied(), Some(FINAL_CHECK));
    assert_ne!(next[1], two.next.z[1]);
    for (a, b) in [
        (one.next.state.inputs, two.next.state.inputs),
        (one.next.state.outputs, two.next.state.outputs),
    ] {
        assert_ne!(a, b);
    }
    assert_ne!(one.next.state.frames, two.next.state.frames);
}

#[test]
fn a_frame_of_a_slot_that_is_off_cannot_be_chosen_after_the_challenge() {
    let bench = gru();
    let run = bench.run();
    let mut step = bench.prepare(&run, &bench.trace_of(&run, &frames(1)));
    assert_eq!(bench.rejected_at(run.z, &step.witness), None);
    step.witness.frames[2][1] += 1;
    assert_eq!(
        bench.rejected_at(run.z, &step.witness).as_deref(),
        Some(FINAL_CHECK)
    );
    // Every frame is bound as data, read or not.
    for slot in &bench.step.slots {
        assert!(bench.step.bound().contains(&slot.frame));
    }
}

#[test]
fn what_products_read_through_slices_and_concatenations_is_bound() {
    for kind in [CellKind::Gru, CellKind::GruResetBefore, CellKind::Lstm] {
        for emission in [Emission::Each, Emission::Last] {
            let bench = bench(kind, emission);
            let run = bench.run();
            let trace = bench.trace_of(&run, &frames(2));
            let digest_of = |trace: &_| registers_digest(&bench.step, trace, &[F::ZERO; SLOTS]);
            let digest = digest_of(&trace);
            let mut read: Vec<Register> = Vec::new();
            for (_, terms) in bench.step.affine_nodes() {
                read.extend(terms.iter().map(|t| t.input));
            }
            let mut data = 0;
            while let Some(register) = read.pop() {
                if matches!(register, Register::Carried(_)) {
                    continue;
                }
                match bench.step.node(register) {
                    Some(Node::Operation(
                        operation @ (Operation::Slice(_) | Operation::Concat(_)),
                    )) => read.extend(operation.reads()),
                    _ => {
                        let mut other = trace.clone();
                        other.registers[register][0] ^= 1;
                        assert_ne!(digest_of(&other), digest);
                        data += 1;
                    }
                }
            }
            assert!(data >= SLOTS);
        }
    }
}

#[test]
fn a_part_of_the_state_changed_between_steps_is_rejected() {
    for kind in [CellKind::Gru, CellKind::Lstm] {
        let bench = bench(kind, Emission::Each);
        let first = bench.prepare(&bench.run(), &bench.trace_of(&bench.run(), &frames(3)));
        for part in 0..2 {
            let mut other = first.next.clone();
            other.carried[part][1] ^= 1;
            let lie = bench.prepare(&other, &bench.trace_of(&other, &frames(3)));
            assert_eq!(
                bench.rejected_at(first.next.z, &lie.witness).as_deref(),
                Some("z.activations opens/equal")
            );
        }
    }
}

#[test]
fn parts_of_the_state_that_contradict_each_other_do_not_come_from_a_step() {
    // The upper bits of a GRU's state are a part of their own; after a step they are those of it.
    let bench = gru();
    let step = bench.prepare(&bench.run(), &bench.trace_of(&bench.run(), &frames(3)));
    let [state, view] = &step.next.carried[..] else {
        panic!("two parts");
    };
    assert!(state.iter().zip(view).all(|(h, v)| h >> 8 == *v));
}

#[test]
fn an_activation_off_by_one_is_rejected_in_every_slot() {
    // What the second slot's product reads of the state is one too large; its sums and all that
    // follows are those of the lie.
    let bench = gru();
    let run = bench.run();
    let honest = bench.trace_of(&run, &frames(3));
    for slot in 0..SLOTS - 1 {
        let view = bench.step.slots[slot].carried[1];
        let mut trace = honest.clone();
        trace.registers[view][0] += 1;
        // The sums of the next slot, from its concatenated input.
        let nodes = bench.step.slots[slot + 1].nodes.clone();
        for (at, terms) in bench.step.affine_nodes() {
            if !nodes.contains(&at) {
                continue;
            }
            let Some(Node::Operation(operation)) = bench.step.node(terms[0].input) else {
                continue;
            };
            let x: Vec<i64> = operation
                .reads()
                .iter()
                .flat_map(|r| trace.register(*r).to_vec())
                .collect();
            if x.len() != 7 {
                continue;
            }
            trace.registers[terms[0].input] = x.clone();
            let mut y = vec![0i128; bench.bank.maps()[0].rows()];
            bench.bank.maps()[0].accumulate(&x, true, &mut y);
            trace.registers[Register::result_of(at)] = y.iter().map(|y| *y as i64).collect();
        }
        let step = bench.prepare(&run, &trace);
        assert!(bench.claim_holds(&step.next.state.claim), "{slot}");
        assert_eq!(
            bench.rejected_at(run.z, &step.witness).as_deref(),
            Some(FINAL_CHECK),
            "{slot}"
        );
    }
}

#[test]
fn an_accumulator_of_a_slot_that_is_off_is_checked_all_the_same() {
    let bench = gru();
    let run = bench.run();
    let mut trace = bench.trace_of(&run, &frames(1));
    let last = bench.step.slots[SLOTS - 1].nodes.clone();
    let (at, _) = bench
        .step
        .affine_nodes()
        .find(|(at, _)| last.contains(at))
        .unwrap();
    trace.registers[Register::result_of(at)][0] += 1;
    let step = bench.cheat(&run, &trace);
    let (cs, _) = bench.synthesize(run.z, &step.witness);
    assert_eq!(cs.which_is_unsatisfied(), None);
    assert!(!bench.claim_holds(&step.next.state.claim));
}

#[test]
fn the_last_output_forgets_the_ones_before() {
    let bench = bench(CellKind::Lstm, Emission::Last);
    let run = bench.run();
    let mut other = run.clone();
    other.state.outputs = F::from(77);
    other.z[1] = other.state.digest();
    let trace = bench.trace_of(&run, &frames(2));
    let (a, b) = (bench.prepare(&run, &trace), bench.prepare(&other, &trace));
    assert_eq!(a.next.state.outputs, b.next.state.outputs);
    let (cs, next) = bench.synthesize(other.z, &b.witness);
    assert_eq!(cs.which_is_unsatisfied(), None);
    assert_eq!(next, b.next.z);
    assert_ne!(a.next.state.outputs, F::ZERO);
}
