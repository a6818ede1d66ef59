//! Sessions that end in one kind of proof or the other, and those that go over.

use expect_test::expect;

use super::fixtures::{bank, frame, prover, relu_network, sequence};
use crate::{
    ErrorKind, Params, Proof, ProofKind, Prover, Session, Statement, Verifier, VerifyError,
    Visibility,
    backend::F,
    flat::{FlatProof, MOST_STEPS},
    program::{CellKind, Emission, Schedule},
    proof::{Chain, Vectors},
    weights::element_bytes,
};

fn one_step_a_frame() -> Prover {
    prover(&relu_network(&[5, 4, 3]), Schedule::WholeNetwork, 1)
}

fn begin(prover: &Prover) -> Session {
    let visibility = Visibility::private_inputs().public_outputs();
    prover.session(visibility).unwrap()
}

fn push(session: &mut Session, frames: std::ops::Range<u64>) {
    for k in frames {
        session.push_integers(&frame(5, k)).unwrap();
    }
}

fn verify(prover: &Prover, proof: &Proof) -> Statement {
    let proof = Proof::from_bytes(&proof.to_bytes()).unwrap();
    let statement = Verifier::new(prover.params(), prover.model_commitment()).verify(&proof);
    let statement = statement.unwrap();
    assert_eq!(statement.kind, proof.kind());
    statement
}

#[test]
fn a_session_that_outgrows_a_flat_proof_goes_over_to_recursion() {
    let prover = one_step_a_frame();
    let mut session = begin(&prover);
    session.set_most_kept_for_test(3);
    assert_eq!(session.kind(), ProofKind::Flat);
    push(&mut session, 0..3);
    let flat = verify(&prover, &session.snapshot().unwrap());
    assert_eq!((flat.kind, flat.steps), (ProofKind::Flat, 3));
    assert_eq!(session.kind(), ProofKind::Flat);
    push(&mut session, 3..4);
    assert_eq!(session.kind(), ProofKind::Recursive);
    let recursive = verify(&prover, &session.snapshot().unwrap());
    assert_eq!((recursive.kind, recursive.steps), (ProofKind::Recursive, 4));
    // There is no way back.
    let error = session.set_kind(Some(ProofKind::Flat)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.to_string().contains("folded already"), "{error}");
    session.set_kind(None).unwrap();
    push(&mut session, 4..5);
    let recursive = verify(&prover, &session.finish().unwrap());
    assert_eq!((recursive.kind, recursive.steps), (ProofKind::Recursive, 5));
}

#[test]
fn both_kinds_of_proof_of_one_session_say_the_same() {
    let prover = one_step_a_frame();
    for overlap in [false, true] {
        let mut session = begin(&prover);
        session.set_overlap(overlap);
        push(&mut session, 0..3);
        let mut flat = verify(&prover, &session.snapshot().unwrap());
        session.set_kind(Some(ProofKind::Recursive)).unwrap();
        let recursive = verify(&prover, &session.finish().unwrap());
        assert_eq!(flat.kind, ProofKind::Flat);
        flat.kind = recursive.kind;
        assert_eq!(flat, recursive);
    }
}

#[test]
fn a_checkpoint_makes_a_flat_session_recursive() {
    let prover = one_step_a_frame();
    let mut session = begin(&prover);
    push(&mut session, 0..2);
    let flat = verify(&prover, &session.snapshot().unwrap());
    assert_eq!(session.kind(), ProofKind::Flat);
    let checkpoint = session.checkpoint().unwrap();
    assert_eq!(session.kind(), ProofKind::Recursive);
    let mut resumed = prover.resume(&checkpoint).unwrap();
    assert_eq!(resumed.kind(), ProofKind::Recursive);
    let recursive = verify(&prover, &resumed.snapshot().unwrap());
    assert_eq!(recursive.inputs, flat.inputs);
    for run in [&mut session, &mut resumed] {
        push(run, 2..3);
        let statement = verify(&prover, &run.snapshot().unwrap());
        assert_eq!((statement.kind, statement.steps), (ProofKind::Recursive, 3));
    }
    // Before the first step there is nothing to fold.
    let session = begin(&prover);
    let mut resumed = prover.resume(&session.checkpoint().unwrap()).unwrap();
    assert_eq!(session.kind(), ProofKind::Flat);
    push(&mut resumed, 0..1);
    assert_eq!(resumed.finish().unwrap().kind(), ProofKind::Flat);
}

/// The error of something that a session which must end in a flat proof cannot do.
fn refused<T>(result: Result<T, crate::Error>, says: &str) {
    let error = result.map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.to_string().contains(says), "{error}");
}

#[test]
fn a_session_that_must_be_flat_refuses_what_has_no_room_and_goes_on() {
    let prover = one_step_a_frame();
    let mut session = begin(&prover);
    session.set_kind(Some(ProofKind::Flat)).unwrap();
    session.set_most_kept_for_test(2);
    push(&mut session, 0..2);
    for _ in 0..2 {
        refused(session.push_integers(&frame(5, 2)), "set another kind");
        refused(session.checkpoint(), "must end in a flat proof");
        assert_eq!((session.frames(), session.steps()), (2, 2));
        let statement = verify(&prover, &session.snapshot().unwrap());
        assert_eq!((statement.kind, statement.frames), (ProofKind::Flat, 2));
    }
    // Another kind has room.
    session.set_kind(None).unwrap();
    push(&mut session, 2..3);
    assert_eq!(verify(&prover, &session.finish().unwrap()).frames, 3);
}

#[test]
fn a_frame_of_several_steps_is_refused_before_the_first_of_them() {
    let shape = relu_network(&[5, 4, 4, 4, 3]);
    let prover = prover(&shape, Schedule::LayersPerStep(2), 1);
    let mut session = begin(&prover);
    session.set_kind(Some(ProofKind::Flat)).unwrap();
    session.set_most_kept_for_test(3);
    push(&mut session, 0..1);
    assert_eq!(session.steps(), 2);
    refused(session.push_integers(&frame(5, 1)), "set another kind");
    let statement = verify(&prover, &session.finish().unwrap());
    assert_eq!((statement.steps, statement.frames), (2, 1));
}

#[test]
fn a_step_that_is_partly_filled_has_room_for_frames() {
    let shape = sequence(CellKind::Gru, 4, Emission::Each);
    let program = shape.program(3).unwrap();
    let params = Params::setup(&program).unwrap();
    let prover = Prover::from_bank(&params, bank(&program, 5)).unwrap();
    let mut session = begin(&prover);
    session.set_kind(Some(ProofKind::Flat)).unwrap();
    session.set_most_kept_for_test(2);
    for k in 0..6 {
        session.push_integers(&frame(3, k)).unwrap();
    }
    refused(session.push_integers(&frame(3, 6)), "set another kind");
    let statement = verify(&prover, &session.finish().unwrap());
    assert_eq!((statement.steps, statement.frames), (2, 6));
}

#[test]
fn a_circuit_that_disagrees_with_the_interpreter_is_an_error_in_a_flat_proof_too() {
    let prover = one_step_a_frame();
    let mut session = begin(&prover);
    let program = prover.params().program();
    let carried = session.run.carried.clone();
    let trace = program.run_step(prover.bank.bank(), 0, &carried, &[frame(5, 1)]);
    let mut step = session.prepare(&trace.unwrap()).unwrap();
    step.next.z[1] += F::from(1);
    session.fold(step).unwrap();
    let error = session.snapshot().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Proving);
    assert!(error.to_string().contains("disagree"), "{error}");
}

#[test]
fn lies_about_the_steps_of_a_flat_proof_are_rejected() {
    let prover = one_step_a_frame();
    let proved = |frames| {
        let mut session = begin(&prover);
        push(&mut session, frames);
        session.finish().unwrap().to_bytes()
    };
    let (bytes, other) = (proved(0..3), proved(0..3));
    let read = |bytes: &[u8]| {
        let proof = Proof::from_bytes(bytes).unwrap();
        match proof.argument.chain {
            Chain::Flat(chain) => *chain,
            Chain::Recursive(_) => panic!("a flat proof"),
        }
    };
    let other = read(&other);
    let verifier = Verifier::new(prover.params(), prover.model_commitment());
    // With the numbers of steps and frames, and the outputs, that the lie asks for.
    let rejected = |lie: &dyn Fn(&mut FlatProof), steps: u64| {
        let mut proof = Proof::from_bytes(&bytes).unwrap();
        let mut chain = read(&bytes);
        lie(&mut chain);
        proof.argument.chain = Chain::Flat(Box::new(chain));
        (proof.public.steps, proof.public.frames) = (steps, steps);
        if let Vectors::Entries(outputs) = &mut proof.public.outputs {
            outputs.resize(3 * steps as usize, 0);
        }
        verifier.verify(&proof).unwrap_err()
    };
    type Lie<'a> = &'a dyn Fn(&mut FlatProof);
    let kept: [(&str, Lie<'_>); 6] = [
        ("another run's step", &|p| {
            p.steps[1] = other.steps[1].clone()
        }),
        ("another run's witness", &|p| {
            p.steps[1].witness = other.steps[1].witness;
        }),
        ("a broken chain", &|p| p.steps[1].z = other.steps[1].z),
        ("another order", &|p| p.steps.swap(0, 1)),
        ("another fold's cross term", &|p| p.cross_terms.swap(0, 1)),
        ("another random instance", &|p| {
            p.random = other.random.clone()
        }),
    ];
    for (what, lie) in kept {
        assert_eq!(rejected(lie, 3), VerifyError::Steps, "{what}");
    }
    let repeated: Lie<'_> = &|p| {
        p.steps.insert(1, p.steps[0].clone());
        p.cross_terms.insert(1, p.cross_terms[0]);
    };
    assert_eq!(rejected(repeated, 4), VerifyError::Steps);
    let left_out: Lie<'_> = &|p| {
        p.steps.remove(1);
        p.cross_terms.remove(1);
    };
    assert_eq!(rejected(left_out, 2), VerifyError::Steps);
    // Another number than stated.
    for (lie, steps) in [(repeated, 3), (left_out, 3), (&|_: &mut FlatProof| (), 2)] {
        assert_eq!(rejected(lie, steps), VerifyError::ArgumentShape);
    }
    assert_eq!(
        rejected(&|p| p.cross_terms.truncate(2), 3),
        VerifyError::ArgumentShape
    );
    // More than any verifier folds.
    let many = MOST_STEPS + 1;
    let lie: Lie<'_> = &|p| {
        p.steps.resize(many, p.steps[0].clone());
        p.cross_terms.resize(many, p.cross_terms[0]);
    };
    assert_eq!(rejected(lie, many as u64), VerifyError::ArgumentShape);
}

#[test]
fn a_step_that_waits_counts_when_a_kind_is_set() {
    let shape = sequence(CellKind::Gru, 4, Emission::Each);
    let program = shape.program(2).unwrap();
    let params = Params::setup(&program).unwrap();
    let prover = Prover::from_bank(&params, bank(&program, 5)).unwrap();
    let mut session = begin(&prover);
    // As many steps as a flat proof has room for, and half of one more.
    let most = prover.params().0.most_flat_steps();
    session.set_kind(Some(ProofKind::Recursive)).unwrap();
    session.set_kind(None).unwrap();
    session.set_most_kept_for_test(most);
    for k in 0..2 * most + 1 {
        session.push_integers(&frame(3, k)).unwrap();
    }
    assert_eq!((session.kind(), session.steps()), (ProofKind::Flat, most));
    let error = session.set_kind(Some(ProofKind::Flat)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    // Nothing is lost: the session is as before, and goes over.
    assert_eq!(session.frames(), 2 * most + 1);
    let statement = verify(&prover, &session.snapshot().unwrap());
    assert_eq!(statement.frames, 2 * most + 1);
    assert_eq!(statement.kind, ProofKind::Recursive);
}

#[test]
fn sizes_are_known_without_keys() {
    let params = one_step_a_frame().params().clone();
    assert_eq!(params.0.flat_prover().unwrap().size(), params.0.size);
}

/// If a circuit changes, these do: then the version in the digest of the keys must change too.
#[test]
fn circuits_are_those_of_this_version_of_the_keys() {
    let params = one_step_a_frame().params().clone();
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
    let digests = [
        hex(params.digest()),
        hex(&element_bytes(&params.0.public().unwrap().digest())),
        hex(&element_bytes(&params.0.flat_prover().unwrap().digest)),
    ];
    expect![[r#"
        852771b18bb065705880b8ecb79d507b22db21bf21557b72ea45182091438ccc
        9d18aa080b167b3d91c3616618ad0018959bd123e9c2532da3e596c6f33f2a03
        fa5058c564c8601e86a2d4d9232c03ab9d5bb16b9e58bbac69c980db22cdc301"#]]
    .assert_eq(&digests.join("\n"));
}
