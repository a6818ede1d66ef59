//! Lies that a constraint of the step must catch, by name.

use ff::Field;

use super::cheat::{last_check, make_consistent};
use super::fixtures::{Bench, bank, frame, network, relu_network};
use crate::{
    backend::F,
    program::{Activation, NetworkShape, Register},
    recursive::{
        Execution, Node, Schedule, Unrolled,
        state::{RunState, carried_digest, registers_digest, seed},
    },
    weights::WeightClaim,
};

fn of(network: &NetworkShape, schedule: Schedule, seed: u64) -> Bench {
    let program = network.program().unwrap();
    let bank = bank(&program, seed);
    Bench::scheduled(program, schedule, bank)
}

fn layered() -> Bench {
    of(&relu_network(&[6, 5, 4, 7]), Schedule::LayersPerStep(2), 3)
}

/// Frame and carried vector have one length.
fn same_length() -> Bench {
    of(&relu_network(&[6; 5]), Schedule::LayersPerStep(2), 4)
}

fn whole() -> Bench {
    of(&relu_network(&[6, 5, 4]), Schedule::WholeNetwork, 3)
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
    // Frame and carried vector of different lengths, and of one length.
    for bench in [layered(), same_length()] {
        let run = bench.run();
        let step = bench.prepare(&run, &bench.trace(&run, &frame(6, 1)));
        let mut other = step.next.clone();
        other.carried[0][1] ^= 1;
        let lie = bench.prepare(&other, &bench.trace(&other, &frame(6, 1)));
        assert_eq!(
            bench.rejected_at(step.next.z, &lie.witness).as_deref(),
            Some("z.activations opens after phase 0")
        );
    }
}

#[test]
fn a_step_after_phase_0_that_reads_the_frame_is_rejected() {
    for bench in [layered(), same_length()] {
        let first = bench.prepare(&bench.run(), &bench.trace(&bench.run(), &frame(6, 1)));
        let run = first.next;
        let honest = bench.prepare(&run, &bench.trace(&run, &frame(6, 1)));
        // All that the circuit is given of the carried vector is another one.
        let mut witness = honest.witness.clone();
        let len = witness.carried[0].len();
        witness.carried[0] = frame(6, 1);
        witness.carried[0].resize(len, 0);
        assert_eq!(
            bench.rejected_at(run.z, &witness).as_deref(),
            Some("z.activations opens after phase 0")
        );
    }
}

#[test]
fn a_copy_of_z_activations_that_is_not_that_of_z_is_rejected() {
    let bench = same_length();
    let first = bench.prepare(&bench.run(), &bench.trace(&bench.run(), &frame(6, 1)));
    let run = first.next;
    let mut other = run.clone();
    other.carried[0][1] ^= 1;
    let encodings = bench.step.carried_encodings();
    other.z[0] = carried_digest(other.carried_salt, &other.carried, &encodings);
    // Everything follows from another vector and its digest, but `z` is that of the run.
    let lie = bench.prepare(&other, &bench.trace(&other, &frame(6, 1)));
    assert_eq!(bench.rejected_at(other.z, &lie.witness), None);
    assert_eq!(
        bench.rejected_at(run.z, &lie.witness).as_deref(),
        Some("activations of z/equal")
    );
}

#[test]
fn an_activation_off_by_one_is_rejected() {
    // The prover's second layer reads a ReLU output that is one too large; its sums, the seed and
    // the sumcheck are those of that lie. The circuit computes the ReLU itself.
    let bench = whole();
    let run = bench.run();
    let mut trace = bench.trace(&run, &frame(6, 1));
    let relu = Register::result_of(2);
    assert!(bench.step.bound().contains(&relu));
    trace.registers[relu][0] += 1;
    let x = trace.registers[relu].clone();
    let mut y = vec![0i128; 4];
    bench.bank.maps()[1].accumulate(&x, true, &mut y);
    trace.registers[Register::result_of(3)] = y.iter().map(|y| *y as i64).collect();
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
    trace.registers[Register::result_of(1)][2] += 1;
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
    trace.registers[Register::result_of(1)][2] += 1;
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
fn sums_that_would_share_a_power_of_rho_have_no_circuit() {
    // Rows beyond 2^μ of one operation would have the powers of the next one's rows, so that an
    // error in one could be taken off the other. Sums have as many rows as their map; were it not so,
    // the circuit would refuse them.
    let mut bench = of(&relu_network(&[3, 2, 2]), Schedule::WholeNetwork, 3);
    bench.step.encodings[Register::result_of(0)].len = 4;
    let cs = &mut bellpepper_core::test_cs::TestConstraintSystem::<F>::new();
    let z = [0, 1].map(|i| bellpepper_core::Variable(bellpepper_core::Index::Aux(i)));
    let witness = crate::recursive::StepWitness::dummy(&bench.step);
    assert!(crate::recursive::step::synthesize(cs, &bench.step, z, &witness).is_err());
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
fn a_frame_of_a_layered_schedule_is_bound_where_it_is_read_and_nowhere_else() {
    for bench in [layered(), same_length()] {
        let run = bench.run();
        let step = bench.prepare(&run, &bench.trace(&run, &frame(6, 1)));
        let mut witness = step.witness.clone();
        witness.frames[0][3] += 1;
        assert_eq!(
            bench.rejected_at(run.z, &witness).as_deref(),
            Some(FINAL_CHECK)
        );
        // After phase 0 the circuit takes no frame.
        let run = step.next;
        let step = bench.prepare(&run, &bench.trace(&run, &frame(6, 1)));
        let mut witness = step.witness.clone();
        witness.frames[0][3] += 1;
        let (cs, next) = bench.synthesize(run.z, &witness);
        assert_eq!(cs.which_is_unsatisfied(), None);
        assert_eq!(next, step.next.z);
    }
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
        let digest_of = |trace: &_| registers_digest(&bench.step, trace, &[F::ZERO]);
        let digest = digest_of(&trace);
        let layered = bench.step.phases > 1;
        let mut reads: Vec<Register> = Vec::new();
        for (_, terms) in bench.step.affine_nodes() {
            // What is selected by the phase is bound by what it is selected from.
            reads.extend(terms.iter().flat_map(|t| match bench.step.node(t.input) {
                Some(Node::Select) => vec![Register::FRAME, Register::CARRIED],
                _ => vec![t.input],
            }));
        }
        assert_eq!(layered, reads.contains(&Register::CARRIED));
        for register in reads {
            // A frame is in `inputs'` whenever it is read, the carried vector in `z`.
            let elsewhere = [Register::FRAME, Register::CARRIED].contains(&register);
            let mut other = trace.clone();
            other.registers[register][0] ^= 1;
            assert_eq!(digest_of(&other) == digest, elsewhere);
        }
        for (i, _) in bench.step.affine_nodes() {
            let mut other = trace.clone();
            other.registers[Register::result_of(i)][0] += 1;
            assert_ne!(digest_of(&other), digest);
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

/// Two slots a step; in the second step the second slot is idle.
fn idle() -> Bench {
    of(&relu_network(&[6, 5, 5, 5]), Schedule::LayersPerStep(2), 3)
}

#[test]
fn the_sums_of_an_idle_slot_are_zero() {
    let bench = idle();
    let run = bench.prepare(&bench.run(), &bench.trace(&bench.run(), &frame(6, 1)));
    let run = run.next;
    let mut trace = bench.trace(&run, &frame(6, 1));
    let accumulator = Register::result_of(4);
    assert!(trace.registers[accumulator].iter().all(|y| *y == 0));
    assert!(bench.claim_holds(&bench.cheat(&run, &trace).next.state.claim));
    trace.registers[accumulator][2] = 1;
    let lie = bench.cheat(&run, &trace);
    assert_eq!(bench.rejected_at(run.z, &lie.witness), None);
    assert!(!bench.claim_holds(&lie.next.state.claim));
}

#[test]
fn an_idle_slot_has_no_product_whatever_its_route_would_name() {
    // The bits of a route without a map are those of map 0; a prover may not use that one.
    let bench = idle();
    let run = bench.prepare(&bench.run(), &bench.trace(&bench.run(), &frame(6, 1)));
    let run = run.next;
    let mut trace = bench.trace(&run, &frame(6, 1));
    let x = trace.registers[Register::result_of(3)].clone();
    let map = &bench.bank.maps()[0];
    let y = map.bias().iter().enumerate().map(|(i, b)| {
        let products = map
            .row(i)
            .entries()
            .map(|(j, w)| i64::from(w) * x.get(j).copied().unwrap_or(0));
        b + products.sum::<i64>()
    });
    trace.registers[Register::result_of(4)] = y.collect();
    let lie = bench.cheat(&run, &trace);
    assert_eq!(bench.rejected_at(run.z, &lie.witness), None);
    assert!(!bench.claim_holds(&lie.next.state.claim));
}

/// Layers that also read what the layer before the last gave, in two steps of three: terms of a
/// slot that read what the step began with and a slot of it.
fn residual() -> Bench {
    let mut network = relu_network(&[6, 4, 4, 4, 4, 4, 5]);
    network.reads = vec![vec![0], vec![0, 1], vec![2], vec![2, 3], vec![4], vec![5]];
    network.layers[1].inputs = 10;
    network.layers[3].inputs = 8;
    of(&network, Schedule::LayersPerStep(2), 5)
}

#[test]
fn a_residual_that_is_left_out_or_counted_twice_falsifies_the_claim() {
    let bench = residual();
    let steps = bench.step.phases;
    assert_eq!(steps, 3);
    let mut run = bench.run();
    let mut tried = 0;
    for phase in 0..steps {
        let honest = bench.trace(&run, &frame(6, 1));
        let step = bench.prepare(&run, &honest);
        assert_eq!(bench.rejected_at(run.z, &step.witness), None);
        assert!(bench.claim_holds(&step.next.state.claim));
        for (at, terms) in bench.step.affine_nodes() {
            let read: Vec<(usize, Register)> = Unrolled::products(terms, phase)
                .map(|(l, term, _)| (l, term.input))
                .collect();
            if read.len() < 2 {
                continue;
            }
            for ((l, input), sign) in read.iter().flat_map(|r| [(r, 1), (r, -1)]) {
                let map = &bench.bank.maps()[*l];
                let x = honest.registers[*input].clone();
                let mut trace = honest.clone();
                let y = &mut trace.registers[Register::result_of(at)];
                for (i, y) in y.iter_mut().take(map.rows()).enumerate() {
                    let products = map.row(i).entries().map(|(j, w)| i64::from(w) * x[j]);
                    *y += sign * products.sum::<i64>();
                }
                if trace == honest {
                    continue;
                }
                let (step, maps) = (&bench.step, &bench.bank);
                let trace = Execution::after_a_lie(step, maps, phase, trace, at).unwrap();
                let lie = bench.cheat(&run, &trace);
                assert_eq!(bench.rejected_at(run.z, &lie.witness), None);
                assert!(!bench.claim_holds(&lie.next.state.claim), "{phase} {at}");
                tried += 1;
            }
        }
        run = step.next;
    }
    assert!(tried >= 6, "{tried}");
}

#[test]
fn a_bias_is_added_once_and_only_where_its_map_is_used() {
    // In every phase, a prover who adds or leaves out the bias of any map that a slot names in any
    // phase has a false claim.
    for bench in [layered(), residual()] {
        let steps = bench.step.phases;
        let mut run = bench.run();
        for now in 0..steps {
            let honest = bench.trace(&run, &frame(6, 1));
            for (at, terms) in bench.step.affine_nodes() {
                for (term, phase) in terms.iter().flat_map(|t| (0..steps).map(move |p| (t, p))) {
                    let Some(l) = term.maps[phase as usize] else {
                        continue;
                    };
                    let bias = bench.bank.maps()[l as usize].bias();
                    if bias.iter().all(|b| *b == 0) {
                        continue;
                    }
                    for sign in [1, -1] {
                        let mut trace = honest.clone();
                        let y = &mut trace.registers[Register::result_of(at)];
                        y.iter_mut().zip(bias).for_each(|(y, b)| *y += sign * b);
                        let trace = Execution::after_a_lie(
                            &bench.step,
                            &bench.bank,
                            run.state.phase,
                            trace,
                            at,
                        )
                        .unwrap();
                        let lie = bench.cheat(&run, &trace);
                        assert_eq!(bench.rejected_at(run.z, &lie.witness), None);
                        assert!(
                            !bench.claim_holds(&lie.next.state.claim),
                            "{now} {phase} {at} {l}"
                        );
                    }
                }
            }
            run = bench.prepare(&run, &honest).next;
        }
    }
}

#[test]
fn a_map_of_another_step_cannot_be_read() {
    // In the last phase a slot whose layer reads one value leaves out the product with what the slot
    // reads besides in others.
    let bench = residual();
    let mut run = bench.run();
    for _ in 1..bench.step.phases {
        run = bench.prepare(&run, &bench.trace(&run, &frame(6, 1))).next;
    }
    let last = run.state.phase as usize;
    let honest = bench.trace(&run, &frame(6, 1));
    let mut tried = 0;
    for (at, terms) in bench.step.affine_nodes() {
        for term in terms {
            if term.maps[last].is_some() {
                continue;
            }
            let l = term.maps.iter().find_map(|map| *map).unwrap() as usize;
            let x = &honest.registers[term.input];
            let map = &bench.bank.maps()[l];
            let mut trace = honest.clone();
            let y = &mut trace.registers[Register::result_of(at)];
            for (i, y) in y.iter_mut().take(map.rows()).enumerate() {
                let products = map
                    .row(i)
                    .entries()
                    .map(|(j, w)| i64::from(w) * x.get(j).copied().unwrap_or(0));
                *y += products.sum::<i64>();
            }
            if trace == honest {
                continue;
            }
            let (step, maps) = (&bench.step, &bench.bank);
            let trace = Execution::after_a_lie(step, maps, run.state.phase, trace, at).unwrap();
            let lie = bench.cheat(&run, &trace);
            assert_eq!(bench.rejected_at(run.z, &lie.witness), None);
            assert!(!bench.claim_holds(&lie.next.state.claim));
            tried += 1;
        }
    }
    assert!(tried > 0);
}

#[test]
fn a_padded_neuron_is_zero_whatever_its_accumulator_holds() {
    // Widths 5 and 7 share a slot: rows 5 and 6 are padding in phase 0.
    let bench = of(&relu_network(&[4, 5, 7]), Schedule::LayersPerStep(1), 5);
    let run = bench.run();
    let mut trace = bench.trace(&run, &frame(4, 1));
    let honest = trace.clone();
    let accumulator = Register::result_of(1);
    assert_eq!(trace.registers[accumulator].len(), 7);
    trace.registers[accumulator][6] = 9_999;
    // The rest of the trace is what the circuit will compute.
    let step = bench.cheat(&run, &trace);
    let (cs, next) = bench.synthesize(run.z, &step.witness);
    assert_eq!(cs.which_is_unsatisfied(), None);
    assert_eq!(next[0], step.next.z[0]);
    assert_eq!(
        step.next.carried[0],
        honest.registers[Register::result_of(3)]
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
    let network = network(&[5, 6, 4, 5, 3], &activations);
    let bench = of(&network, Schedule::LayersPerStep(1), 8);
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

#[test]
fn one_commitment_serves_every_schedule() {
    let network = relu_network(&[4, 9, 4, 4, 4]);
    let seed = crate::BlindingSeed::random();
    let commitment = |schedule| {
        let params = crate::Params::setup_with(&network.program().unwrap(), schedule).unwrap();
        let bank = bank(params.program(), 8);
        let prover = crate::Prover::from_bank_with_blinding(&params, bank, seed.clone());
        prover.unwrap().model_commitment()
    };
    let whole = commitment(Schedule::WholeNetwork);
    for schedule in [
        Schedule::FramesPerStep(3),
        Schedule::LayersPerStep(1),
        Schedule::LayersPerStep(2),
    ] {
        assert_eq!(commitment(schedule), whole);
    }
}
