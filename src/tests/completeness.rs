//! Honest proofs verify, and equal the interpreter.

use super::fixtures::{frame, kind, of_kind, prover, relu_network};
use crate::{Outputs, Proof, Verifier, Visibility, recursive::Schedule};

in_both_kinds! {
    whole_network_in_one_step,
    several_frames_in_one_proof;
    recursive:
    layers_of_different_widths_one_a_step,
    layers_two_a_step_with_an_idle_slot,
    wide_first_and_last_layers,
}

fn prove_and_verify(widths: &[u32], schedule: Schedule, frames: u64) {
    let prover = prover(&relu_network(widths), schedule, 1);
    let program = prover.params().program().clone();
    let visibility = Visibility::private_inputs().public_outputs();
    let mut session = of_kind(prover.session(visibility).unwrap());
    let mut outputs = Vec::new();
    let mut carried = program.initial_carried();
    for k in 0..frames {
        let x = frame(widths[0], k);
        let y = session.push_integers(&x).unwrap();
        let expected = program.run(prover.bank.bank(), &mut carried, &x).unwrap();
        assert_eq!(y, expected);
        outputs.push(y);
    }
    let bytes = session.finish().unwrap().to_bytes();
    let verifier = Verifier::new(prover.params(), prover.model_commitment());
    let statement = verifier
        .verify(&Proof::from_bytes(&bytes).unwrap())
        .unwrap();
    assert_eq!(Some(statement.kind), kind());
    assert_eq!(statement.frames, frames);
    assert_eq!(statement.outputs, Outputs::Public { vectors: outputs });
}

fn whole_network_in_one_step() {
    prove_and_verify(&[9, 7, 3], Schedule::WholeNetwork, 1);
}

fn several_frames_in_one_proof() {
    prove_and_verify(&[5, 4], Schedule::WholeNetwork, 3);
}

fn layers_of_different_widths_one_a_step() {
    prove_and_verify(&[20, 9, 12, 3], Schedule::LayersPerStep(1), 2);
}

fn layers_two_a_step_with_an_idle_slot() {
    prove_and_verify(&[6, 5, 5, 5], Schedule::LayersPerStep(2), 2);
}

fn wide_first_and_last_layers() {
    prove_and_verify(&[6, 80, 40, 40, 40, 40, 120], Schedule::LayersPerStep(3), 2);
}
