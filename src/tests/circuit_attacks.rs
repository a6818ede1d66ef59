//! Lies that a constraint of the step must catch, by name.

use ff::Field;

use super::cheat::{last_check, make_consistent};
use super::fixtures::{Bench, bank, frame, network, relu_network};
use crate::{
    backend::F,
    circuit::state::{RunState, registers_digest, seed},
    program::{Activation, Program, Register, Schedule},
    weights::WeightClaim,
};

fn layered() -> Bench {
    let program = relu_network(&[6, 5, 4, 7])
        .program(Schedule::LayersPerStep(2))
        .unwrap();
    let bank = bank(&program, 3);
    Bench::new(program, bank)
}

fn whole() -> Bench {
    let program = relu_network(&[6, 5, 4])
        .program(Schedule::WholeNetwork)
        .unwrap();
    let bank = bank(&program, 3);
    Bench::new(program, bank)
}

const FINAL_CHECK: &str = "sumcheck/v·bracket = claim";

#[test]
fn the_plain_verifier_of_the_sumcheck_accepts_an_honest_step() {
    for bench in [whole(), layered()] {
        let run = bench.run();
        let trace = bench.trace(&run, &frame(6, 1));
        let step = bench.prepare(&run, &trace);
        let last = last_check(&bench.step, &run, &trace, &step);
        assert_eq!(last.sigma, last.bracket * step.witness.value);
        assert_eq!(last.point, step.next.state.claim.point);
    }
}

#[test]
fn an_honest_step_is_accepted_in_every_phase() {
    let bench = layered();
    let mut run = bench.run();
    for _ in 0..4 {
        let step = bench.prepare(&run, &bench.trace(&run, &frame(6, 1)));
        let (cs, next) = bench.synthesize(run.z, &step.witness);
        assert_eq!(cs.which_is_unsatisfied(), None);
        assert_eq!(next, step.next.z);
        assert!(bench.claim_holds(&step.next.state.claim));
        run = step.next;
    }
}

#[test]
fn a_state_that_is_not_the_one_of_z_is_rejected() {
    let bench = layered();
    let run = bench.run();
    let trace = bench.trace(&run, &frame(6, 1));
    let lies: [fn(&mut RunState); 6] = [
        |s| s.binding += F::ONE,
        |s| s.frames += 1,
        |s| s.inputs += F::ONE,
        |s| s.outputs += F::ONE,
        |s| s.claim.value += F::ONE,
        |s| s.claim.point[2] += F::ONE,
    ];
    for lie in lies {
        let mut other = run.clone();
        lie(&mut other.state);
        // z is the honest one; everything else is recomputed from the lie.
        let step = bench.prepare(&other, &trace);
        assert_eq!(
            bench.rejected_at(run.z, &step.witness).as_deref(),
            Some("z.run opens/equal")
        );
    }
}

#[test]
fn a_phase_that_does_not_follow_from_the_state_is_rejected() {
    let bench = layered();
    let run = bench.run();
    let mut other = run.clone();
    other.state.phase = 1;
    let step = bench.prepare(&other, &bench.trace(&other, &frame(6, 1)));
    assert_eq!(
        bench.rejected_at(run.z, &step.witness).as_deref(),
        Some("z.run opens/equal")
    );
}

#[test]
fn selectors_that_do_not_follow_the_phase_are_rejected() {
    let bench = layered();
    let run = bench.run();
    // The prover runs phase 1 (another layer, no frame consumed) and shows the state of phase 0.
    let mut other = run.clone();
    other.state.phase = 1;
    let mut step = bench.prepare(&other, &bench.trace(&other, &frame(6, 1)));
    step.witness.state.phase = 0;
    assert_eq!(
        bench.rejected_at(run.z, &step.witness).as_deref(),
        Some("phase/selectors follow the phase/equal")
    );
}

#[test]
fn a_carried_vector_that_is_not_the_one_of_z_is_rejected() {
    let bench = layered();
    let run = bench.run();
    let step = bench.prepare(&run, &bench.trace(&run, &frame(6, 1)));
    let mut other = step.next.clone();
    other.carried[0][1] ^= 1;
    let lie = bench.prepare(&other, &bench.trace(&other, &frame(6, 1)));
    assert_eq!(
        bench.rejected_at(step.next.z, &lie.witness).as_deref(),
        Some("z.activations opens/equal")
    );
}

#[test]
fn an_activation_off_by_one_is_rejected() {
    // The prover's second layer reads a ReLU output that is one too large; its sums, the seed and
    // the sumcheck are those of that lie. The circuit computes the ReLU itself.
    let bench = whole();
    let run = bench.run();
    let mut trace = bench.trace(&run, &frame(6, 1));
    let relu = 4;
    assert!(bench.step.bound().contains(&Register(relu)));
    trace.registers[relu as usize][0] += 1;
    let x = trace.registers[relu as usize].clone();
    let mut y = vec![0i128; 4];
    bench.bank.maps()[1].accumulate(&x, true, &mut y);
    trace.registers[5] = y.iter().map(|y| *y as i64).collect();
    let step = bench.prepare(&run, &trace);
    assert!(bench.claim_holds(&step.next.state.claim));
    assert_eq!(
        bench.rejected_at(run.z, &step.witness).as_deref(),
        Some(FINAL_CHECK)
    );
}

#[test]
fn an_accumulator_off_by_one_passes_the_step_and_falsifies_the_claim() {
    let bench = layered();
    let run = bench.run();
    let mut trace = bench.trace(&run, &frame(6, 1));
    let register = 3;
    trace.registers[register][2] += 1;
    let step = bench.cheat(&run, &trace);
    let (cs, _) = bench.synthesize(run.z, &step.witness);
    assert_eq!(cs.which_is_unsatisfied(), None);
    assert!(!bench.claim_holds(&step.next.state.claim));
}

#[test]
fn a_false_claim_is_not_healed_by_later_steps() {
    let bench = layered();
    let mut run = bench.run();
    let mut trace = bench.trace(&run, &frame(6, 1));
    trace.registers[3][2] += 1;
    for _ in 0..3 {
        let step = bench.cheat(&run, &trace);
        assert_eq!(bench.rejected_at(run.z, &step.witness), None);
        assert!(!bench.claim_holds(&step.next.state.claim));
        run = step.next;
        trace = bench.trace(&run, &frame(6, 1));
    }
}

#[test]
fn a_round_message_that_is_not_the_polynomial_falsifies_the_claim() {
    let bench = whole();
    let run = bench.run();
    let trace = bench.trace(&run, &frame(6, 1));
    let honest = bench.prepare(&run, &trace);
    for round in 0..honest.witness.messages.len() {
        for quadratic in [false, true] {
            let mut witness = honest.witness.clone();
            let message = &mut witness.messages[round];
            *(if quadratic {
                &mut message.c
            } else {
                &mut message.a
            }) += F::ONE;
            // With the old value the last check fails.
            assert_eq!(
                bench.rejected_at(run.z, &witness).as_deref(),
                Some(FINAL_CHECK)
            );
            // With one that makes it hold, the claim that is left is false.
            let mut step = honest.clone();
            step.witness = witness;
            make_consistent(&bench.step, &run, &trace, &mut step);
            assert_eq!(bench.rejected_at(run.z, &step.witness), None, "{round}");
            assert!(!bench.claim_holds(&step.next.state.claim), "{round}");
        }
    }
}

#[test]
fn the_seed_depends_on_every_part() {
    let bench = layered();
    let z = [F::from(1), F::from(2)];
    let part = |k: u64| F::from(10 + k);
    let base = seed(&bench.step, part(0), z, 5, part(1), part(2));
    let others = [
        seed(&bench.step, part(3), z, 5, part(1), part(2)),
        seed(
            &bench.step,
            part(0),
            [F::from(3), z[1]],
            5,
            part(1),
            part(2),
        ),
        seed(
            &bench.step,
            part(0),
            [z[0], F::from(3)],
            5,
            part(1),
            part(2),
        ),
        seed(&bench.step, part(0), z, 6, part(1), part(2)),
        seed(&bench.step, part(0), z, 5, part(3), part(2)),
        seed(&bench.step, part(0), z, 5, part(1), part(3)),
        seed(&whole().step, part(0), z, 5, part(1), part(2)),
    ];
    assert!(others.iter().all(|other| *other != base));
}

#[test]
fn sums_that_would_share_a_power_of_rho_are_no_program() {
    // Rows beyond 2^μ of one operation would have the powers of the next one's rows, so that an
    // error in one could be taken off the other.
    let mut program = relu_network(&[3, 2, 2])
        .program(Schedule::WholeNetwork)
        .unwrap();
    if let crate::program::Operation::Affine { rows, .. } = &mut program.operations[0] {
        *rows = 4;
    }
    assert!(program.validate().is_err());
    assert!(Program::from_bytes(&program.to_bytes()).is_err());
    // And the circuit refuses it, were it not for the validation.
    let cs = &mut bellpepper_core::test_cs::TestConstraintSystem::<F>::new();
    let z = [0, 1].map(|i| bellpepper_core::Variable(bellpepper_core::Index::Aux(i)));
    let step = crate::program::Unrolled::new(&program);
    let witness = crate::circuit::StepWitness::dummy(&step);
    assert!(crate::circuit::step::synthesize(cs, &step, z, &witness).is_err());
}

#[test]
fn a_final_value_that_is_not_the_reduced_claim_is_rejected() {
    let bench = whole();
    let run = bench.run();
    let mut step = bench.prepare(&run, &bench.trace(&run, &frame(6, 1)));
    step.witness.value += F::ONE;
    assert_eq!(
        bench.rejected_at(run.z, &step.witness).as_deref(),
        Some(FINAL_CHECK)
    );
}

#[test]
fn a_frame_chosen_after_the_challenge_is_rejected_where_no_digest_holds_it() {
    // In phase 1 the frame is consumed by nobody and is under no running digest; it must be in the
    // seed all the same.
    let bench = layered();
    let first = bench.prepare(&bench.run(), &bench.trace(&bench.run(), &frame(6, 1)));
    let run = first.next;
    let mut step = bench.prepare(&run, &bench.trace(&run, &frame(6, 1)));
    assert_eq!(bench.rejected_at(run.z, &step.witness), None);
    step.witness.frames[0][3] += 1;
    assert_eq!(
        bench.rejected_at(run.z, &step.witness).as_deref(),
        Some(FINAL_CHECK)
    );
}

#[test]
fn a_frame_chosen_after_the_challenge_is_rejected_where_it_is_consumed() {
    let bench = whole();
    let run = bench.run();
    let mut step = bench.prepare(&run, &bench.trace(&run, &frame(6, 1)));
    step.witness.frames[0][3] += 1;
    assert_eq!(
        bench.rejected_at(run.z, &step.witness).as_deref(),
        Some(FINAL_CHECK)
    );
}

#[test]
fn every_register_that_a_product_reads_is_bound_before_the_challenge() {
    for bench in [whole(), layered()] {
        let run = bench.run();
        let trace = bench.trace(&run, &frame(6, 1));
        let digest = registers_digest(&bench.step, &trace);
        let layered = bench.program.steps_per_frame() > 1;
        for (_, terms) in bench.step.affine_operations() {
            for term in terms {
                // A frame that every step absorbs is in `inputs'`, the carried vector in `z`.
                let elsewhere =
                    (term.input == Register::FRAME && !layered) || term.input == Register::CARRIED;
                let mut other = trace.clone();
                other.registers[term.input.index()][0] ^= 1;
                assert_eq!(registers_digest(&bench.step, &other) == digest, elsewhere);
            }
        }
        for (i, _) in bench.step.affine_operations() {
            let mut other = trace.clone();
            other.registers[Register::result_of(i).index()][0] += 1;
            assert_ne!(registers_digest(&bench.step, &other), digest);
        }
    }
}

#[test]
fn the_challenges_depend_on_the_old_claim_and_on_z() {
    let bench = whole();
    let run = bench.run();
    let trace = bench.trace(&run, &frame(6, 1));
    let step = bench.prepare(&run, &trace);
    // The same data from another z (another binding): messages made for the first do not fit.
    let mut other = run.clone();
    other.state.binding += F::ONE;
    other.z[1] = other.state.digest();
    let mut witness = step.witness.clone();
    witness.state = other.state.clone();
    assert_eq!(
        bench.rejected_at(other.z, &witness).as_deref(),
        Some(FINAL_CHECK)
    );
}

#[test]
fn a_slot_beyond_the_last_layer_passes_its_input_on_whatever_the_bank_holds() {
    // Three layers, two a step: in phase 1 the second slot is beyond the last layer. A committer
    // may have put anything there, so its accumulators are free; its result is not.
    let bench = layered();
    let first = bench.prepare(&bench.run(), &bench.trace(&bench.run(), &frame(6, 1)));
    let run = first.next;
    let honest = bench.prepare(&run, &bench.trace(&run, &frame(6, 1)));
    let mut trace = bench.trace(&run, &frame(6, 1));
    let accumulator = Register::result_of(4).index();
    assert!(trace.registers[accumulator].iter().all(|y| *y == 0));
    trace.registers[accumulator].fill(12_345);
    let lie = bench.cheat(&run, &trace);
    let (cs, _) = bench.synthesize(run.z, &lie.witness);
    assert_eq!(cs.which_is_unsatisfied(), None);
    // What is carried on is the result of the third layer all the same.
    assert_eq!(lie.next.carried, honest.next.carried);
    assert_eq!(lie.next.state.phase, 0);
    // A prover who carries on something else is at odds with the circuit.
    let mut forged = lie.next.carried.clone();
    forged[0][0] ^= 1;
    let shapes = bench.program.carried_shapes();
    let forged = crate::circuit::state::carried_digest(lie.witness.next_salt, &forged, &shapes);
    let (_, next) = bench.synthesize(run.z, &lie.witness);
    assert_ne!(next[0], forged);
    assert_eq!(next[0], lie.next.z[0]);
}

#[test]
fn a_padded_neuron_is_zero_whatever_its_accumulator_holds() {
    // Widths 5 and 7 share a slot: rows 5 and 6 are padding in phase 0.
    let program = relu_network(&[4, 5, 7])
        .program(Schedule::LayersPerStep(1))
        .unwrap();
    let bank = bank(&program, 5);
    let bench = Bench::new(program, bank);
    let run = bench.run();
    let mut trace = bench.trace(&run, &frame(4, 1));
    let honest = trace.clone();
    let accumulator = Register::result_of(1).index();
    assert_eq!(trace.registers[accumulator].len(), 7);
    trace.registers[accumulator][6] = 9_999;
    // The rest of the trace is what the circuit will compute.
    let step = bench.cheat(&run, &trace);
    let (cs, next) = bench.synthesize(run.z, &step.witness);
    assert_eq!(cs.which_is_unsatisfied(), None);
    assert_eq!(next[0], step.next.z[0]);
    assert_eq!(
        step.next.carried[0],
        honest.registers[Register::result_of(3).index()]
    );
    assert_eq!(step.next.carried[0][5..], [0, 0]);
    // And the padded sum itself is caught by the claim.
    assert!(!bench.claim_holds(&step.next.state.claim));
}

#[test]
fn mixed_activations_of_one_slot_follow_the_phase() {
    let activations = [
        Activation::Relu,
        Activation::Identity,
        Activation::Table(0),
        Activation::Relu,
    ];
    let program: Program = network(&[5, 6, 4, 5, 3], &activations)
        .program(Schedule::LayersPerStep(1))
        .unwrap();
    let bank = bank(&program, 8);
    let bench = Bench::new(program, bank);
    let mut run = bench.run();
    for phase in 0..4 {
        assert_eq!(run.state.phase, phase);
        let step = bench.prepare(&run, &bench.trace(&run, &frame(5, 9)));
        let (cs, next) = bench.synthesize(run.z, &step.witness);
        assert_eq!(cs.which_is_unsatisfied(), None);
        assert_eq!(next, step.next.z);
        run = step.next;
    }
    assert_eq!(run.state.phase, 0);
}

#[test]
fn the_initial_claim_is_true_for_every_bank_and_mask() {
    for bench in [whole(), layered()] {
        assert!(bench.claim_holds(&WeightClaim::initial(&bench.program.bank())));
    }
}

#[test]
fn counters_and_digests_move_only_when_they_should() {
    let bench = layered();
    let run = bench.run();
    let one = bench.prepare(&run, &bench.trace(&run, &frame(6, 1))).next;
    assert_eq!((one.state.frames, one.state.phase), (1, 1));
    assert_ne!(one.state.inputs, run.state.inputs);
    assert_eq!(one.state.outputs, run.state.outputs);
    let two = bench.prepare(&one, &bench.trace(&one, &frame(6, 1))).next;
    assert_eq!((two.state.frames, two.state.phase), (1, 0));
    assert_eq!(two.state.inputs, one.state.inputs);
    assert_ne!(two.state.outputs, one.state.outputs);
}
