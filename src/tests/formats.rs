//! Known answers: a change here changes the format of programs, commitments or proofs.

use expect_test::{Expect, expect};
use ff::Field;

use super::fixtures::{network, relu_network};
use crate::{
    ModelCommitment, Visibility,
    backend::{Commitment, E1, F},
    program::{Activation, Register},
    recursive::{
        Schedule, Unrolled,
        state::{RunState, absorb_input, absorb_output, initial_z, vector_digest},
    },
    statement::BindingParts,
    weights::{OwnedStatement, WeightClaim, element_bytes},
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn check(element: F, expected: &Expect) {
    expected.assert_eq(&hex(&element_bytes(&element)));
}

/// Nothing random: the generator itself and multiples of it.
fn commitment() -> ModelCommitment {
    let program = relu_network(&[3, 2]).program().unwrap();
    ModelCommitment::known_for_test(&program, 2)
}

fn mask() -> Commitment<E1> {
    Commitment {
        comm: crate::backend::Group::generator(),
    }
}

#[test]
fn bytes_of_programs() {
    let whole = relu_network(&[3, 2]).program().unwrap();
    // Without the table, which is 512 bytes long.
    let mut short = whole.clone();
    short.tables.clear();
    expect!["01020300030800010001000000dfff1f0002000200ffffffffffffffffff01"]
        .assert_eq(&hex(&short.to_bytes()));
    expect!["e207e0ba5168ecce0e9c9a8f42331a41780bd5b0ab95a466f4b5aef95f84edad"]
        .assert_eq(&hex(&whole.digest()));
    let activations = [Activation::Table(0), Activation::Relu, Activation::Identity];
    let other = network(&[3, 2, 4, 2], &activations).program().unwrap();
    expect!["42df7265c22e6965eb7f5ef53a17f1441dd9009999f6d9dac6b8de3a335b54ef"]
        .assert_eq(&hex(&other.digest()));
}

#[test]
fn digest_of_a_model() {
    expect!["4c466d6f64656c3100000000000000000100000000000000020000000000000002000000000000000100000000000000010000000000000002000000000000000300000000000000020000000000000000000000ed302d991bf94c09fc98462200000000000000000000000000000040030000b067c50313fcac1144eee2fe0e0000000000000000000000000000001c"].assert_eq(&hex(&commitment().to_bytes()));
    expect!["fad9d971b380e6d4d7a4330488f988cf0967846f3a6ddda83322d9071f84966d"]
        .assert_eq(&commitment().digest().to_string());
}

#[test]
fn digests_of_vectors_and_states() {
    let program = relu_network(&[3, 2, 2]).program().unwrap();
    let step = Unrolled::new(&program, Schedule::LayersPerStep(1)).unwrap();
    let encoding = step.encoding(Register::FRAME);
    let digest = vector_digest(F::from(9), &[-128, 0, 127], encoding);
    check(
        digest,
        &expect!["caa8fb7f79884836ea2badae86123fff4c8d7badcc24a0e3e3a45e3fb09a5a0d"],
    );
    check(
        absorb_input(F::from(1), digest),
        &expect!["b874b78f94cf1f8e1a53207c523cd67e2a0bac100f05bd9856e7b4bb56105833"],
    );
    check(
        absorb_output(F::from(1), digest),
        &expect!["9e893b029a2332bf6888ce7532b6dcd668fd8cbb567576928fa706daf5ef8b2a"],
    );
    let [activations, run] = initial_z(&step, F::from(5), &step.initial);
    check(
        activations,
        &expect!["d989e652f6151d5c0a983cf53d9a73f8f6b0389c649a25f374a40ef9561f9d3b"],
    );
    check(
        run,
        &expect!["3dee7c5c5c98c2fb40ccab9aef8ff19fdce1e6b1fb5c352ac0a787ba02cf920e"],
    );
    let mut state = RunState::initial(&step.dimensions, F::from(5));
    state.frames = 3;
    state.phase = 1;
    state.inputs = F::from(11);
    state.outputs = F::from(12);
    check(
        state.digest(),
        &expect!["d37f0bc17884ea0be78bda4ae1d67615eef8cd004aebdffdcd04f6ceb1aace12"],
    );
}

#[test]
fn binding_of_a_run() {
    let binding = |visibility, context: &[u8]| {
        BindingParts {
            params: &[1; 32],
            program: &[2; 32],
            model: &commitment().digest(),
            mask: &mask(),
            visibility,
            context,
        }
        .digest()
    };
    let private = Visibility::private_inputs();
    check(
        binding(private, b""),
        &expect!["233da12bc898bba6524ff54c180286a2b0e100506bf74fd8a50fa4972950ab24"],
    );
    check(
        binding(Visibility::public_inputs().public_outputs(), b"context"),
        &expect!["9261fb6ccd59fbbfe9467ff210bbe433e93c558b76cfcc3a62e6637e20026805"],
    );
    assert_ne!(binding(private, b"a"), binding(private, b"b"));
    assert_ne!(
        binding(private, b""),
        binding(private.public_outputs(), b"")
    );
}

#[test]
fn challenge_of_an_opening() {
    let program = relu_network(&[3, 2]).program().unwrap();
    let mut claim = WeightClaim::initial(&program.bank());
    claim.value = F::from(77);
    claim.point[1] = F::from(3);
    let statement = OwnedStatement {
        model: commitment(),
        mask: mask(),
        binding: F::from(4),
        claim,
    };
    let e = statement.challenge_for_test(&mask(), &(F::ONE + F::ONE));
    check(
        e,
        &expect!["16057a29b5e1d508b5c6c22472dc554f52c221b8f82e844017ea34862d116622"],
    );
}
