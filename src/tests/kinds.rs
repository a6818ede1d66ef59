//! Sessions that end in one kind of proof or the other, and those that go over.

use expect_test::expect;

use super::fixtures::{bank, frame, prover, relu_network, sequence};
use crate::tests::cells::CellKind;
use crate::{
    ErrorKind, Params, Proof, Prover, Salt, Session, StageTimes, Statement, Verifier, VerifyError,
    Visibility, hex,
    kind::ProofKind,
    program::{Claim, Emission},
    proof::Vectors,
    recursive::Schedule,
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

/// Memory for the trace of so many frames, and no more.
fn room_for(prover: &Prover, frames: u64) -> u64 {
    let key = prover.params().0.trace().unwrap();
    let bytes = key.memory_bytes(frames);
    assert!(bytes < key.memory_bytes(frames + 1));
    bytes
}

/// The error of something that a session cannot do.
fn refused<T>(result: Result<T, crate::Error>, says: &str) {
    let error = result.map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.to_string().contains(says), "{error}");
}

#[test]
fn sessions_begin_with_what_their_steps_are() {
    let whole = one_step_a_frame();
    assert_eq!(begin(&whole).kind(), ProofKind::Trace);
    assert_eq!(whole.params().expected_kind(), ProofKind::Trace);
    let shape = relu_network(&[5, 4, 4, 3]);
    let layered = prover(&shape, Schedule::LayersPerStep(1), 1);
    let mut session = begin(&layered);
    assert_eq!(session.kind(), ProofKind::Recursive);
    assert_eq!(layered.params().expected_kind(), ProofKind::Recursive);
    refused(session.set_kind(Some(ProofKind::Trace)), "no trace");
    refused(layered.params().prepare(ProofKind::Trace), "no trace");
    // Nothing has happened.
    session.set_kind(None).unwrap();
    push(&mut session, 0..1);
    assert_eq!((session.kind(), session.steps()), (ProofKind::Recursive, 3));
}

#[test]
fn a_session_that_outgrows_its_memory_goes_over_to_recursion() {
    let prover = one_step_a_frame();
    for overlap in [false, true] {
        let mut session = begin(&prover);
        session.set_memory_limit(room_for(&prover, 3));
        session.set_overlap(overlap);
        push(&mut session, 0..3);
        assert_eq!((session.kind(), session.steps()), (ProofKind::Trace, 1));
        assert_eq!(session.proofs_allowed(), u64::MAX);
        assert_eq!(session.times().fold, StageTimes::default().fold);
        push(&mut session, 3..4);
        assert_eq!((session.kind(), session.steps()), (ProofKind::Recursive, 4));
        assert!(session.proofs_allowed() < u64::MAX);
        let recursive = verify(&prover, &session.snapshot().unwrap());
        assert_eq!((recursive.kind, recursive.steps), (ProofKind::Recursive, 4));
        // There is no way back.
        refused(session.set_kind(Some(ProofKind::Trace)), "folded already");
        session.set_kind(None).unwrap();
        push(&mut session, 4..5);
        let recursive = verify(&prover, &session.finish().unwrap());
        assert_eq!((recursive.kind, recursive.steps), (ProofKind::Recursive, 5));
    }
}

#[test]
fn a_session_of_one_frame_has_a_limit_too() {
    let prover = one_step_a_frame();
    let mut session = begin(&prover);
    session.set_memory_limit(0);
    push(&mut session, 0..1);
    assert_eq!(session.kind(), ProofKind::Recursive);
}

#[test]
fn a_wrong_frame_does_not_change_the_kind() {
    let prover = one_step_a_frame();
    let mut session = begin(&prover);
    session.set_memory_limit(room_for(&prover, 1));
    push(&mut session, 0..1);
    for wrong in [vec![0; 4], vec![0, 0, 0, 0, 128]] {
        let error = session.push_integers(&wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
    }
    assert_eq!((session.kind(), session.frames()), (ProofKind::Trace, 1));
}

#[test]
fn both_kinds_of_proof_of_one_session_say_the_same() {
    let prover = one_step_a_frame();
    for overlap in [false, true] {
        let mut session = begin(&prover);
        session.set_overlap(overlap);
        push(&mut session, 0..3);
        let mut trace = verify(&prover, &session.snapshot().unwrap());
        session.set_kind(Some(ProofKind::Recursive)).unwrap();
        let recursive = verify(&prover, &session.finish().unwrap());
        assert_eq!((trace.kind, trace.steps), (ProofKind::Trace, 1));
        assert_eq!(recursive.steps, 3);
        // But for how, and for the digest.
        trace.kind = recursive.kind;
        trace.steps = recursive.steps;
        trace.inputs = recursive.inputs.clone();
        assert_eq!(trace, recursive);
    }
}

#[test]
fn a_trace_may_be_proved_any_number_of_times() {
    let prover = one_step_a_frame();
    let mut session = begin(&prover);
    for k in 0..10 {
        push(&mut session, k..k + 1);
        for _ in 0..2 {
            let statement = verify(&prover, &session.snapshot().unwrap());
            assert_eq!((statement.frames, statement.steps), (k + 1, 1));
        }
    }
    assert!(session.times().prove > StageTimes::default().prove);
}

#[test]
fn a_checkpoint_of_a_kept_session_holds_frames_and_the_kind() {
    let prover = one_step_a_frame();
    let mut session = begin(&prover);
    session.set_kind(Some(ProofKind::Trace)).unwrap();
    push(&mut session, 0..2);
    let checkpoint = session.checkpoint().unwrap();
    assert_eq!(session.kind(), ProofKind::Trace);
    let mut resumed = prover.resume(&checkpoint).unwrap();
    assert_eq!((resumed.kind(), resumed.frames()), (ProofKind::Trace, 2));
    // It was told to be a trace, and holds on to it.
    resumed.set_memory_limit(room_for(&prover, 2));
    refused(resumed.push_integers(&frame(5, 2)), "set_memory_limit");
    resumed.set_kind(None).unwrap();
    push(&mut resumed, 2..3);
    assert_eq!(resumed.kind(), ProofKind::Recursive);
    let expected = session.push_integers(&frame(5, 2)).unwrap();
    assert_eq!(resumed.push_integers(&frame(5, 2)).unwrap(), expected);
    // The recursive one stays recursive, and its copy too.
    let checkpoint = resumed.checkpoint().unwrap();
    let again = prover.resume(&checkpoint).unwrap();
    assert_eq!((again.kind(), again.frames()), (ProofKind::Recursive, 4));
    // A session that waits for its first frame.
    for kind in [None, Some(ProofKind::Trace), Some(ProofKind::Recursive)] {
        let mut session = begin(&prover);
        session.set_kind(kind).unwrap();
        let resumed = prover.resume(&session.checkpoint().unwrap()).unwrap();
        assert_eq!(resumed.kind(), kind.unwrap_or(ProofKind::Trace));
    }
}

#[test]
fn a_checkpoint_of_a_kept_session_proves_the_same_statement() {
    let prover = one_step_a_frame();
    let mut session = begin(&prover);
    push(&mut session, 0..2);
    session
        .push_attested(&frame(5, 2), &Salt::random())
        .unwrap();
    let checkpoint = session.checkpoint().unwrap();
    let mut resumed = prover.resume(&checkpoint).unwrap();
    for run in [&mut session, &mut resumed] {
        push(run, 3..5);
    }
    let [a, b] = [session, resumed].map(|run| verify(&prover, &run.finish().unwrap()));
    assert_eq!(a, b);
    assert_eq!((a.kind, a.frames), (ProofKind::Trace, 5));
}

#[test]
fn a_session_that_must_be_a_trace_refuses_what_has_no_room_and_goes_on() {
    let prover = one_step_a_frame();
    let mut session = begin(&prover);
    session.set_kind(Some(ProofKind::Trace)).unwrap();
    session.set_memory_limit(room_for(&prover, 2));
    push(&mut session, 0..2);
    for _ in 0..2 {
        refused(session.push_integers(&frame(5, 2)), "set_memory_limit");
        let salt = Salt::random();
        let error = session.push_attested(&frame(5, 2), &salt).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert_eq!((session.frames(), session.steps()), (2, 1));
        assert!(!session.has_own_rows());
        session.checkpoint().unwrap();
    }
    session.set_memory_limit(room_for(&prover, 3));
    push(&mut session, 2..3);
    // Another kind has room.
    session.set_kind(None).unwrap();
    push(&mut session, 3..4);
    let statement = verify(&prover, &session.finish().unwrap());
    assert_eq!(
        (statement.kind, statement.frames),
        (ProofKind::Recursive, 4)
    );
}

#[test]
fn a_program_whose_steps_are_too_large_for_recursion_says_what_to_do() {
    // Of a network alone some layers would share a step.
    let network = relu_network(&[128; 301]).program().unwrap();
    let program = network.with_claim(Claim::ArgMax).unwrap();
    let params = &Params::setup(&program).unwrap();
    let prover = Prover::from_bank(params, bank(&program, 1)).unwrap();
    let mut session = begin(&prover);
    session.set_memory_limit(room_for(&prover, 1));
    let x = frame(128, 1);
    let y = session.push_integers(&x).unwrap();
    let expected = program.run(prover.bank.bank(), &mut Vec::new(), &x);
    assert_eq!(y, expected.unwrap());
    for _ in 0..2 {
        refused(session.push_integers(&x), "spread the layers over steps");
        assert_eq!((session.kind(), session.frames()), (ProofKind::Trace, 1));
    }
    for error in [
        session.set_kind(Some(ProofKind::Recursive)).unwrap_err(),
        params.prepare(ProofKind::Recursive).unwrap_err(),
        params.constraints().unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(
            error.to_string().contains("too large for recursion"),
            "{error}"
        );
    }
    assert_eq!((session.kind(), session.frames()), (ProofKind::Trace, 1));
    let statement = verify(&prover, &session.finish().unwrap());
    assert_eq!((statement.kind, statement.frames), (ProofKind::Trace, 1));
}

#[test]
fn frames_that_wait_for_their_step_go_along() {
    let shape = sequence(CellKind::Gru, 4, Emission::Each);
    let program = shape.program().unwrap();
    let params = Params::setup_with(&program, Schedule::FramesPerStep(3)).unwrap();
    let prover = Prover::from_bank(&params, bank(&program, 5)).unwrap();
    let mut session = begin(&prover);
    let mut plain = begin(&prover);
    session.set_kind(Some(ProofKind::Recursive)).unwrap();
    let mut push = |session: &mut Session, k| {
        let y = session.push_integers(&frame(3, k)).unwrap();
        assert_eq!(y, plain.push_integers(&frame(3, k)).unwrap());
    };
    push(&mut session, 0);
    push(&mut session, 1);
    assert_eq!((session.kind(), session.steps()), (ProofKind::Recursive, 0));
    // Nothing is folded yet.
    session.set_kind(Some(ProofKind::Trace)).unwrap();
    assert_eq!((session.kind(), session.frames()), (ProofKind::Trace, 2));
    push(&mut session, 2);
    session.set_kind(Some(ProofKind::Recursive)).unwrap();
    push(&mut session, 3);
    assert_eq!((session.steps(), session.frames()), (1, 4));
    refused(session.set_kind(Some(ProofKind::Trace)), "folded already");
    let statement = verify(&prover, &session.finish().unwrap());
    assert_eq!((statement.steps, statement.frames), (2, 4));
}

#[test]
fn salts_of_frames_that_are_vouched_for_go_along() {
    let prover = one_step_a_frame();
    let program = prover.params().program();
    let mut session = prover.session(Visibility::private_inputs()).unwrap();
    let salts = [Salt::random(), Salt::random()];
    let digests = |kind| {
        let digest =
            |k: usize| crate::frame_digest(program, kind, &frame(5, k as u64), &salts[k]).unwrap();
        crate::digest_of_frames(kind, &[digest(0), digest(1)]).unwrap()
    };
    for (k, salt) in (0..).zip(&salts) {
        session.push_attested(&frame(5, k), salt).unwrap();
    }
    assert!(session.has_own_rows());
    session.set_kind(Some(ProofKind::Recursive)).unwrap();
    let proof = session.finish().unwrap();
    assert!(!proof.public.own_rows);
    let verifier = Verifier::new(prover.params(), prover.model_commitment());
    let strict = verifier.input_digest(digests(ProofKind::Recursive));
    assert_eq!(strict.verify(&proof).unwrap().frames, 2);
}

#[test]
fn a_recursive_proof_has_no_rows() {
    let prover = one_step_a_frame();
    let mut session = begin(&prover);
    session.set_kind(Some(ProofKind::Recursive)).unwrap();
    push(&mut session, 0..1);
    let mut proof = session.finish().unwrap();
    proof.public.own_rows = true;
    let proof = Proof::from_bytes(&proof.to_bytes()).unwrap();
    let verifier = Verifier::new(prover.params(), prover.model_commitment());
    assert_eq!(verifier.verify(&proof), Err(VerifyError::ArgumentShape));
}

#[test]
fn lies_about_a_trace_are_rejected() {
    let prover = one_step_a_frame();
    let proved = |frames, context: &[u8]| {
        let visibility = Visibility::private_inputs().public_outputs();
        let session = prover.session_with_context(visibility, context);
        let mut session = session.unwrap();
        push(&mut session, frames);
        session.finish().unwrap().to_bytes()
    };
    let (bytes, other, longer) = (proved(0..3, b"a"), proved(3..6, b"a"), proved(0..4, b"a"));
    let read = |bytes: &[u8]| Proof::from_bytes(bytes).unwrap();
    let verifier = Verifier::new(prover.params(), prover.model_commitment());
    type Lie<'a> = &'a dyn Fn(&mut Proof);
    let lies: [(&str, Lie<'_>); 10] = [
        ("another run's argument", &|p| {
            p.argument = read(&other).argument
        }),
        ("a longer run's argument", &|p| {
            p.argument = read(&longer).argument
        }),
        ("another run's inputs", &|p| {
            p.public.inputs = read(&other).public.inputs;
        }),
        ("another run's outputs", &|p| {
            p.public.outputs = read(&other).public.outputs;
        }),
        ("another context", &|p| p.public.context = b"b".to_vec()),
        ("longer rows", &|p| p.trace_mut().row_bits += 1),
        ("rows of any length", &|p| p.trace_mut().row_bits = 255),
        ("a longer tail", &|p| p.trace_mut().tail_bits += 1),
        ("a tail of any length", &|p| p.trace_mut().tail_bits = 255),
        ("outputs in another order", &|p| {
            let Vectors::Entries(outputs) = &mut p.public.outputs else {
                panic!("the outputs are public");
            };
            outputs.rotate_left(3);
        }),
    ];
    assert!(verifier.verify(&read(&bytes)).is_ok());
    for (what, lie) in lies {
        let mut proof = read(&bytes);
        lie(&mut proof);
        let error = verifier.verify(&proof).unwrap_err();
        let refused = matches!(error, VerifyError::Trace | VerifyError::ArgumentShape);
        assert!(refused, "{what}: {error}");
    }
    // Another length, or another byte anywhere.
    let body = read(&bytes).trace_mut().body.clone();
    for len in [
        0,
        1,
        31,
        32,
        body.len() / 2,
        body.len() - 32,
        body.len() - 1,
    ] {
        let mut proof = read(&bytes);
        proof.trace_mut().body.truncate(len);
        assert_eq!(verifier.verify(&proof), Err(VerifyError::ArgumentShape));
    }
    for more in [1, 32, 1 << 16] {
        let mut proof = read(&bytes);
        proof.trace_mut().body.resize(body.len() + more, 0);
        assert_eq!(verifier.verify(&proof), Err(VerifyError::ArgumentShape));
    }
    for at in (0..body.len()).step_by(37) {
        let mut proof = read(&bytes);
        proof.trace_mut().body[at] ^= 1 << (at % 8);
        assert!(verifier.verify(&proof).is_err(), "{at}");
    }
    for byte in [0, 0xff] {
        let mut proof = read(&bytes);
        proof.trace_mut().body.fill(byte);
        assert!(verifier.verify(&proof).is_err());
    }
}

#[test]
fn a_trace_without_a_proof_is_refused_without_a_panic() {
    let prover = one_step_a_frame();
    let verifier = Verifier::new(prover.params(), prover.model_commitment());
    let mut session = begin(&prover);
    session.set_kind(Some(ProofKind::Recursive)).unwrap();
    push(&mut session, 0..1);
    let proof = session.finish().unwrap().to_bytes();
    for (row_bits, tail_bits, len) in [(0, 0, 0), (7, 4, 1000), (255, 255, 64), (7, 4, 1 << 19)] {
        for fill in [0, 7, 0xff] {
            let mut proof = Proof::from_bytes(&proof).unwrap();
            proof.argument = crate::proof::Argument::Trace(crate::trace::TraceProof {
                row_bits,
                tail_bits,
                body: vec![fill; len],
            });
            let proof = Proof::from_bytes(&proof.to_bytes()).unwrap();
            assert_eq!(proof.kind(), ProofKind::Trace);
            assert!(verifier.verify(&proof).is_err());
        }
    }
}

/// If a circuit changes, these do: then the version in the digest of the keys must change too.
#[test]
fn circuits_are_those_of_this_version_of_the_keys() {
    let params = one_step_a_frame().params().clone();
    let digests = [
        hex::encode(params.digest()),
        hex::encode(element_bytes(&params.0.public().unwrap().digest())),
    ];
    expect![[r#"
        adb67f86d12103dc0eff09a2d07b169546fa8ce49ae7ccc48fa0cbf0911033b8
        38085ebbadfab2349930a3e47d1853e31581dd2e623baf671f284cfa5a542802"#]]
    .assert_eq(&digests.join("\n"));
}
