//! Sessions over sequences: snapshots, checkpoints, and lies that the verifier must catch.

use std::sync::OnceLock;

use super::fixtures::{assert_refused, bank, frame, of_kind, of_trace, sequence};
use crate::tests::cells::CellKind;
use crate::{
    BlindingSeed, DigestBuilder, ErrorKind, Inputs, Outputs, Params, Proof, Prover, Session,
    Statement, VectorDigest, Verifier, VerifyError, Visibility,
    error::DecodeError,
    program::{Emission, interpreter::Interpreter},
    proof::{Argument, Vectors},
    recursive::Schedule,
};

const PER_STEP: u32 = 3;
const FRAMES: u64 = 5;

in_both_kinds! {
    snapshots_prove_what_there_is_and_the_session_goes_on,
    an_empty_session_has_no_proof,
    a_wrong_frame_leaves_the_session_as_it_was,
    whoever_knows_inputs_and_salts_recomputes_the_digest,
    dropped_repeated_swapped_and_invented_private_frames_are_rejected,
    dropped_repeated_swapped_and_invented_public_frames_are_rejected,
    a_count_of_frames_off_by_one_is_rejected,
    an_output_of_another_frame_is_rejected,
    a_resumed_session_proves_the_same_statement_from_any_frame,
    a_checkpoint_of_a_snapshot_goes_on,
    a_prover_made_again_from_its_seed_resumes,
    a_checkpoint_of_other_keys_or_another_model_is_refused,
    a_changed_checkpoint_is_refused,
    a_checkpoint_that_was_made_up_is_refused_or_proves_nothing,
    errors_of_checkpoints_say_what_is_wrong;
    recursive:
    a_mask_hides_half_as_many_proofs_as_it_has_coefficients,
    copies_of_a_session_share_the_proofs_that_its_mask_hides,
    a_checkpoint_with_impossible_counters_is_refused,
}

struct Fixture {
    each: Prover,
    last: Prover,
}

fn prover(emission: Emission) -> &'static Prover {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    let fixture = FIXTURE.get_or_init(|| {
        let make = |emission| {
            let shape = sequence(CellKind::Gru, 4, emission);
            let program = shape.program().unwrap();
            let params = Params::setup_with(&program, Schedule::FramesPerStep(PER_STEP)).unwrap();
            Prover::from_bank(&params, bank(&program, 5)).unwrap()
        };
        Fixture {
            each: make(Emission::Each),
            last: make(Emission::Last),
        }
    });
    match emission {
        Emission::Each => &fixture.each,
        Emission::Last => &fixture.last,
    }
}

fn x(k: u64) -> Vec<i64> {
    frame(3, 100 + k)
}

fn frames(count: u64) -> Vec<Vec<i64>> {
    (0..count).map(x).collect()
}

/// What the interpreter says.
fn expected(emission: Emission, frames: &[Vec<i64>]) -> Vec<Vec<i64>> {
    let prover = prover(emission);
    let bank = prover.bank.bank();
    let mut run = Interpreter::new(prover.params().program(), bank).unwrap();
    frames.iter().map(|x| run.push(x).unwrap()).collect()
}

fn verifier(prover: &Prover) -> Verifier {
    Verifier::new(prover.params(), prover.model_commitment())
}

fn verify(prover: &Prover, proof: &Proof) -> Result<Statement, VerifyError> {
    let bytes = proof.to_bytes();
    verifier(prover).verify(&Proof::from_bytes(&bytes).unwrap())
}

fn pushed(prover: &Prover, visibility: Visibility, frames: &[Vec<i64>]) -> Session {
    let mut session = of_kind(prover.session(visibility).unwrap());
    for frame in frames {
        session.push_integers(frame).unwrap();
    }
    session
}

/// The same prover in another process: copies of one session do not know of each other.
fn elsewhere(prover: &Prover) -> Prover {
    let (bank, seed) = (prover.bank.bank().clone(), prover.blinding_seed().clone());
    Prover::from_bank_with_blinding(prover.params(), bank, seed).unwrap()
}

fn public() -> Visibility {
    Visibility::public_inputs().public_outputs()
}

fn snapshots_prove_what_there_is_and_the_session_goes_on() {
    for emission in [Emission::Each, Emission::Last] {
        let prover = prover(emission);
        let all = expected(emission, &frames(FRAMES));
        let mut session = of_kind(prover.session(public()).unwrap());
        for k in 0..FRAMES {
            let y = session.push_integers(&x(k)).unwrap();
            assert_eq!(y, all[k as usize]);
            assert_eq!(session.frames(), k + 1);
            // After a full step with one frame more, and at the end.
            if k == 3 || k == 4 {
                let statement = verify(prover, &session.snapshot().unwrap()).unwrap();
                assert_eq!(statement.frames, k + 1);
                let upto = &all[..=k as usize];
                let vectors = match emission {
                    Emission::Each => upto.to_vec(),
                    Emission::Last => upto[k as usize..].to_vec(),
                };
                assert_eq!(statement.outputs, Outputs::Public { vectors });
                let inputs = Inputs::Public {
                    frames: frames(k + 1),
                };
                assert_eq!(statement.inputs, inputs);
            }
        }
        assert_eq!(session.steps(), if of_trace() { 1 } else { 3 });
        // Without a frame in between: the same statement, another proof.
        let (a, b) = (session.snapshot().unwrap(), session.finish().unwrap());
        assert_eq!(verify(prover, &a).unwrap(), verify(prover, &b).unwrap());
        assert_ne!(a.to_bytes(), b.to_bytes());
    }
}

fn a_mask_hides_half_as_many_proofs_as_it_has_coefficients() {
    let prover = prover(Emission::Each);
    let mut session = pushed(prover, public(), &frames(1));
    assert_eq!(
        (session.folded().mask.row.len(), session.proofs_allowed()),
        (8, 4)
    );
    session.folded().proved.claims = 4;
    let error = session.snapshot().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.to_string().contains("mask"), "{error}");
    session.folded().proved.claims = 3;
    assert!(session.snapshot().is_ok());
    // The same claim again shows nothing new.
    assert!(session.snapshot().is_ok());
    session.push_integers(&x(1)).unwrap();
    assert!(session.snapshot().is_err());
}

fn copies_of_a_session_share_the_proofs_that_its_mask_hides() {
    let prover = prover(Emission::Each);
    let session = pushed(prover, public(), &frames(1));
    let checkpoint = session.checkpoint().unwrap();
    let proof = || prover.resume(&checkpoint).unwrap().finish();
    for _ in 0..4 {
        assert!(proof().is_ok());
    }
    assert_eq!(proof().unwrap_err().kind(), ErrorKind::Usage);
    // The original too; and another session has a mask of its own.
    assert!(session.finish().is_err());
    assert!(pushed(prover, public(), &frames(1)).finish().is_ok());
}

fn an_empty_session_has_no_proof() {
    let mut session = of_kind(prover(Emission::Each).session(public()).unwrap());
    assert_eq!(session.snapshot().unwrap_err().kind(), ErrorKind::Usage);
}

fn a_wrong_frame_leaves_the_session_as_it_was() {
    let prover = prover(Emission::Each);
    let mut session = pushed(prover, public(), &frames(1));
    for bad in [vec![1, 2], vec![1, 2, 128]] {
        assert_eq!(
            session.push_integers(&bad).unwrap_err().kind(),
            ErrorKind::Input
        );
    }
    let y = session.push_integers(&x(1)).unwrap();
    assert_eq!(y, expected(Emission::Each, &frames(2))[1]);
    assert_eq!(session.frames(), 2);
}

// Digests.

/// The digest of private inputs that somebody computes who knows them.
fn digest_of(prover: &Prover, session: &Session, frames: &[Vec<i64>]) -> VectorDigest {
    let key = session.input_salts().unwrap().clone();
    let program = prover.params().program();
    let mut builder = DigestBuilder::inputs(program, session.kind(), key);
    for frame in frames {
        builder.push(frame).unwrap();
    }
    builder.digest()
}

fn whoever_knows_inputs_and_salts_recomputes_the_digest() {
    for emission in [Emission::Each, Emission::Last] {
        let prover = prover(emission);
        let session = pushed(prover, Visibility::private_inputs(), &frames(4));
        let inputs = digest_of(prover, &session, &frames(4));
        let key = session.output_salts().unwrap().clone();
        let params = prover.params();
        let mut builder = DigestBuilder::outputs(params, session.kind(), key).unwrap();
        for y in expected(emission, &frames(4)) {
            builder.push(&y).unwrap();
        }
        let outputs = builder.digest();
        let proof = session.finish().unwrap();
        let statement = verify(prover, &proof).unwrap();
        assert_eq!(statement.inputs, Inputs::Private { digest: inputs });
        assert_eq!(statement.outputs, Outputs::Hidden { digest: outputs });
        let strict = verifier(prover).input_digest(inputs).output_digest(outputs);
        assert!(strict.verify(&proof).is_ok());
    }
    let session = of_kind(prover(Emission::Each).session(public()).unwrap());
    assert!(session.input_salts().is_none() && session.output_salts().is_none());
}

fn dropped_repeated_swapped_and_invented_private_frames_are_rejected() {
    let prover = prover(Emission::Each);
    // Whatever is dropped or repeated, it is two steps.
    let honest = frames(5);
    let lies: [fn(&mut Vec<Vec<i64>>); 4] = [
        |f| drop(f.remove(1)),
        |f| f.insert(1, f[0].clone()),
        |f| f.swap(1, 2),
        |f| f[3] = vec![0; 3],
    ];
    for lie in lies {
        let mut other = honest.clone();
        lie(&mut other);
        let session = pushed(prover, Visibility::private_inputs(), &other);
        // The verifier computes the digest of the frames that there were.
        let expected = digest_of(prover, &session, &honest);
        let proof = session.finish().unwrap();
        assert!(verify(prover, &proof).is_ok());
        assert_eq!(
            verifier(prover).input_digest(expected).verify(&proof),
            Err(VerifyError::Unexpected { what: "inputs" })
        );
        // The prover claims the digest of the honest ones.
        let mut proof = proof;
        proof.public.inputs = Vectors::Digest(*expected.as_bytes());
        proof.public.frames = 5;
        let refused = verifier(prover).input_digest(expected).verify(&proof);
        assert_refused(refused, &VerifyError::FinalState);
    }
}

fn dropped_repeated_swapped_and_invented_public_frames_are_rejected() {
    let prover = prover(Emission::Each);
    let proof = || {
        let session = pushed(prover, public(), &frames(4));
        session.finish().unwrap()
    };
    let proof = proof().to_bytes();
    let lies: [fn(&mut Vec<i64>); 4] = [
        |e| e.truncate(9),
        |e| e.extend_from_within(9..),
        |e| e[3..9].rotate_left(3),
        |e| e[9..].fill(1),
    ];
    for lie in lies {
        let mut proof = Proof::from_bytes(&proof).unwrap();
        let (Vectors::Entries(inputs), Vectors::Entries(outputs)) =
            (&mut proof.public.inputs, &mut proof.public.outputs)
        else {
            panic!("everything is public");
        };
        lie(inputs);
        let count = inputs.len() / 3;
        outputs.resize(2 * count, 0);
        proof.public.frames = count as u64;
        assert_refused(verify(prover, &proof), &VerifyError::FinalState);
    }
}

fn a_count_of_frames_off_by_one_is_rejected() {
    let prover = prover(Emission::Each);
    let session = pushed(prover, Visibility::private_inputs(), &frames(4));
    let honest = session.finish().unwrap();
    let bytes = honest.to_bytes();
    let claiming = |steps, frames| {
        let mut proof = Proof::from_bytes(&bytes).unwrap();
        (proof.public.steps, proof.public.frames) = (steps, frames);
        verify(prover, &proof)
    };
    let contradicts = |steps, frames| {
        assert_eq!(
            claiming(steps, frames),
            Err(VerifyError::StepCount { steps, frames })
        );
    };
    if of_trace() {
        assert_eq!((honest.public.steps, honest.public.frames), (1, 4));
        for frames in [1, 3, 5, 6, 1 << 20, u64::MAX] {
            assert_refused(claiming(1, frames), &VerifyError::FinalState);
        }
        for (steps, frames) in [(1, 0), (0, 4), (2, 4), (4, 4), (u64::MAX, u64::MAX)] {
            contradicts(steps, frames);
        }
    } else {
        assert_eq!((honest.public.steps, honest.public.frames), (2, 4));
        for frames in [3, 5, 6] {
            assert_eq!(claiming(2, frames), Err(VerifyError::FinalState));
        }
        for (steps, frames) in [(2, 1), (2, 7), (2, u64::MAX), (u64::MAX, u64::MAX)] {
            contradicts(steps, frames);
        }
        // Another number of steps that the frames fit too.
        assert_eq!(claiming(3, 4), Err(VerifyError::Steps));
    }
    assert!(verifier(prover).frames(4).verify(&honest).is_ok());
    assert!(verifier(prover).frames(5).verify(&honest).is_err());
}

fn an_output_of_another_frame_is_rejected() {
    // Of a many-to-many model, exchanged; of a many-to-one model, the one before.
    let each = prover(Emission::Each);
    let mut proof = pushed(each, public(), &frames(4)).finish().unwrap();
    let Vectors::Entries(outputs) = &mut proof.public.outputs else {
        panic!("outputs are public");
    };
    outputs[2..6].rotate_left(2);
    assert_ne!(outputs[2..4], outputs[4..6]);
    assert_refused(verify(each, &proof), &VerifyError::FinalState);

    let last = prover(Emission::Last);
    let mut proof = pushed(last, public(), &frames(4)).finish().unwrap();
    let all = expected(Emission::Last, &frames(4));
    assert_ne!(all[2], all[3]);
    proof.public.outputs = Vectors::Entries(all[2].clone());
    assert_refused(verify(last, &proof), &VerifyError::FinalState);
    // All of them, where only the last is emitted.
    proof.public.outputs = Vectors::Entries(all.concat());
    assert!(matches!(
        verify(last, &proof).unwrap_err(),
        VerifyError::PublicShape {
            what: "outputs",
            expected: 2,
            got: 8
        }
    ));
}

// Checkpoints.

fn a_resumed_session_proves_the_same_statement_from_any_frame() {
    let prover = prover(Emission::Each);
    let visibility = Visibility::private_inputs().public_outputs();
    let mut session = of_kind(prover.session_with_context(visibility, b"pump 7").unwrap());
    let mut checkpoints = vec![session.checkpoint().unwrap()];
    for k in 0..FRAMES {
        session.push_integers(&x(k)).unwrap();
        checkpoints.push(session.checkpoint().unwrap());
    }
    let statement = verify(prover, &session.finish().unwrap()).unwrap();
    assert_eq!(statement.context, b"pump 7");
    let mut points = Vec::new();
    for (done, checkpoint) in checkpoints.iter().enumerate() {
        let mut resumed = elsewhere(prover).resume(checkpoint).unwrap();
        assert_eq!(resumed.frames(), done as u64);
        for k in done as u64..FRAMES {
            resumed.push_integers(&x(k)).unwrap();
        }
        let proof = resumed.finish().unwrap();
        assert_eq!(verify(prover, &proof).unwrap(), statement);
        if let Argument::Recursive(argument) = proof.argument {
            points.push(argument.point);
        }
    }
    if of_trace() {
        return;
    }
    // Each ends in a claim of its own, so no two show the same function of the mask; but a session
    // without open frames has its claim already.
    let last = elsewhere(prover).resume(&checkpoints[2]).unwrap();
    let again = {
        let mut last = last;
        for k in 2..FRAMES {
            last.push_integers(&x(k)).unwrap();
        }
        last.finish().unwrap().into_recursive().point
    };
    assert!(points.iter().all(|p| *p != again));
    for (i, a) in points.iter().enumerate() {
        assert!(
            points[..i]
                .iter()
                .all(|b| a.iter().zip(b).all(|(a, b)| a != b))
        );
    }
}

fn a_checkpoint_of_a_snapshot_goes_on() {
    let prover = prover(Emission::Last);
    let mut session = pushed(prover, public(), &frames(4));
    session.snapshot().unwrap();
    let checkpoint = session.checkpoint().unwrap();
    let mut resumed = prover.resume(&checkpoint).unwrap();
    assert_eq!(resumed.kind(), session.kind());
    if !of_trace() {
        assert_eq!(resumed.folded().proved, session.folded().proved);
    }
    session.push_integers(&x(4)).unwrap();
    resumed.push_integers(&x(4)).unwrap();
    let a = verify(prover, &session.finish().unwrap()).unwrap();
    let b = verify(prover, &resumed.finish().unwrap()).unwrap();
    assert_eq!(a, b);
    assert_eq!(a.steps, if of_trace() { 1 } else { 3 });
}

fn a_prover_made_again_from_its_seed_resumes() {
    let prover = prover(Emission::Each);
    let session = pushed(prover, public(), &frames(4));
    let checkpoint = session.checkpoint().unwrap();
    let seed = BlindingSeed::from_bytes(*prover.blinding_seed().as_bytes());
    let bank = prover.bank.bank().clone();
    let again = Prover::from_bank_with_blinding(prover.params(), bank, seed.clone()).unwrap();
    assert_eq!(again.model_commitment(), prover.model_commitment());
    let proof = again.resume(&checkpoint).unwrap().finish().unwrap();
    assert_eq!(verify(prover, &proof).unwrap().frames, 4);
    // Over other integers the same seed gives independent blinds.
    let other = super::fixtures::bank(prover.params().program(), 6);
    let other = Prover::from_bank_with_blinding(prover.params(), other, seed).unwrap();
    let (a, b) = (prover.bank.blinds_for_test(), other.bank.blinds_for_test());
    assert!(a.iter().zip(b).all(|(a, b)| a != b));
}

fn a_checkpoint_of_other_keys_or_another_model_is_refused() {
    let each = prover(Emission::Each);
    let session = pushed(each, public(), &frames(4));
    let checkpoint = session.checkpoint().unwrap();
    let error = prover(Emission::Last).resume(&checkpoint).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.to_string().contains("other keys"), "{error}");
    // The same weights under other blinds are another commitment.
    let again = Prover::from_bank(each.params(), each.bank.bank().clone()).unwrap();
    let error = again.resume(&checkpoint).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.to_string().contains("another model"), "{error}");
}

fn a_changed_checkpoint_is_refused() {
    let prover = prover(Emission::Each);
    let session = pushed(prover, public(), &frames(4));
    let bytes = session.checkpoint().unwrap();
    assert!(prover.resume(&bytes).is_ok());
    let refused = |bytes: &[u8]| {
        let error = prover.resume(bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode, "{error}");
        error.to_string()
    };
    // Every byte of the head and of the check, and some thousands in between.
    let positions = (0..64).chain((64..bytes.len() - 64).step_by((bytes.len() / 200).max(1)));
    for at in positions.chain(bytes.len() - 64..bytes.len()) {
        for flip in [1, 0x80] {
            let mut other = bytes.to_vec();
            other[at] ^= flip;
            refused(&other);
        }
    }
    for len in [0, 1, 7, 8, 11, 42, 43, bytes.len() / 2, bytes.len() - 1] {
        refused(&bytes[..len]);
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert!(refused(&longer).contains("changed or damaged"));
}

fn a_checkpoint_that_was_made_up_is_refused_or_proves_nothing() {
    // Whoever knows the format can make the check fit. Every byte of what is not part of the
    // folded instance, and some of that.
    let prover = prover(Emission::Each);
    let session = pushed(prover, public(), &frames(4));
    let bytes = session.checkpoint().unwrap();
    let body = bytes.len() - 32;
    let dense = 11..1200.min(body);
    let sparse = (1200..body).step_by((body / 150).max(1));
    let mut resumed = 0;
    let step = if of_trace() { 1 } else { 3 };
    for at in dense.step_by(step).chain(sparse) {
        let mut other = bytes[..body].to_vec();
        other[at] ^= 0x41;
        let check = crate::session::checkpoint_check_for_test(&other);
        other.extend(check);
        if let Ok(session) = elsewhere(prover).resume(&other) {
            resumed += 1;
            // Proving takes a second; one in forty is enough to see that nothing panics.
            if resumed % 40 == 1
                && let Ok(proof) = session.finish()
                && let Ok(statement) = verify(prover, &proof)
            {
                // A byte that nothing depends on, or that is chosen freely.
                assert_eq!(statement.frames, 4);
            }
        }
    }
    assert!(resumed > if of_trace() { 5 } else { 20 }, "{resumed}");
}

fn a_checkpoint_with_impossible_counters_is_refused() {
    let prover = prover(Emission::Each);
    for (steps, frames) in [(1, 0), (1, 4), (1, u64::MAX), (2, 7), (0, 1), (u64::MAX, 3)] {
        let mut session = pushed(prover, public(), &frames_of_one_step());
        let run = &mut session.folded().run;
        run.state.frames = frames;
        run.steps = steps;
        run.z[1] = run.state.digest();
        session.public_frames.clear();
        let bytes = session.checkpoint().unwrap();
        assert_eq!(prover.resume(&bytes).unwrap_err().kind(), ErrorKind::Decode);
    }
}

fn frames_of_one_step() -> Vec<Vec<i64>> {
    frames(u64::from(PER_STEP))
}

fn errors_of_checkpoints_say_what_is_wrong() {
    let prover = prover(Emission::Each);
    let bytes = pushed(prover, public(), &frames(1)).checkpoint().unwrap();
    let with = |at: usize, value: u8| {
        let mut other = bytes.to_vec();
        other[at] = value;
        prover.resume(&other).unwrap_err().to_string()
    };
    assert_eq!(
        with(0, b'x'),
        DecodeError::Magic { what: "checkpoint" }.to_string()
    );
    assert_eq!(
        with(8, 9),
        DecodeError::Version {
            expected: 5,
            got: 9
        }
        .to_string()
    );
    assert!(with(10, 7).contains("backend"));
    assert!(with(100, bytes[100] ^ 1).contains("changed or damaged"));
}

#[test]
fn debug_of_secrets_shows_nothing() {
    let prover = prover(Emission::Each);
    let session = pushed(prover, Visibility::private_inputs(), &frames(1));
    assert_eq!(
        format!("{session:?}"),
        "Session { kind: Trace, steps: 1, frames: 1, .. }"
    );
    assert_eq!(
        format!("{:?}", session.input_salts().unwrap()),
        "SaltKey(redacted)"
    );
    assert_eq!(
        format!("{:?}", prover.blinding_seed()),
        "BlindingSeed(redacted)"
    );
}
