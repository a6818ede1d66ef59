//! Claims about outputs: the integers of every claim, and lies that the verifier must catch.

use super::fixtures::{Bench, assert_refused, bank, frame, kind, network, of_kind, of_trace};
use crate::{
    DigestBuilder, ErrorKind, Inputs, Outputs, Params, Proof, Prover, Salt, Verifier, VerifyError,
    Visibility, digest_of_frames, frame_digest,
    program::{
        Activation, Claim, Label, NetworkShape, Predicate, Program, ProgramError, Threshold,
        WeightBank, interpreter::Interpreter,
    },
    proof::Vectors,
    recursive::Schedule,
};

in_both_kinds! {
    a_threshold_at_below_and_above_the_score,
    a_count_that_is_off_by_one_is_rejected,
    samples_left_out_repeated_or_with_other_labels_are_rejected,
    more_frames_than_a_sum_has_room_for_are_refused,
    a_proof_under_another_context_is_rejected,
    inputs_that_somebody_vouches_for,
    several_inputs_some_of_which_somebody_vouches_for,
    statements_in_words_and_as_json,
}

pub(super) const INPUTS: u32 = 4;
const CLASSES: u32 = 3;

pub(super) fn shape(last: Activation) -> NetworkShape {
    network(&[INPUTS, 5, CLASSES], &[Activation::Relu, last])
}

/// The network's program with a claim.
fn claim_program(shape: &NetworkShape, claim: Claim) -> Result<Program, ProgramError> {
    shape.program()?.with_claim(claim)
}

/// The outputs of the network itself.
pub(super) fn outputs(shape: &NetworkShape, bank: &WeightBank, x: &[i64]) -> Vec<i64> {
    let program = shape.program().unwrap();
    program.run(bank, &mut Vec::new(), x).unwrap()
}

fn largest(y: &[i64]) -> usize {
    (0..y.len()).rev().max_by_key(|i| y[*i]).unwrap()
}

/// Places of the entries from the largest on, of equal ones the first first.
fn rank(y: &[i64], label: usize) -> usize {
    let before = |j: usize| y[j] > y[label] || (y[j] == y[label] && j < label);
    (0..y.len()).filter(|j| before(*j)).count()
}

fn holds(predicate: Predicate, y: &[i64], label: i64, parameter: i64) -> bool {
    let class = |l: Label| match l {
        Label::Constant(c) => Some(c as usize),
        Label::Frame => usize::try_from(label).ok().filter(|l| *l < y.len()),
    };
    match predicate {
        Predicate::AtLeast { entry, threshold } => {
            y[entry as usize]
                >= match threshold {
                    Threshold::Constant(t) => t,
                    Threshold::Parameter => parameter,
                }
        }
        Predicate::Within { entry, least, most } => (least..=most).contains(&y[entry as usize]),
        Predicate::IsLabel(l) => class(l) == Some(largest(y)),
        Predicate::AmongLargest { k, label } => {
            class(label).is_some_and(|l| rank(y, l) < k as usize)
        }
    }
}

/// What a claim says of a run, by plain integers.
pub(super) fn expected(claim: Claim, runs: &[(Vec<i64>, i64, i64)], parameter: i64) -> Vec<i64> {
    let last = &runs[runs.len() - 1];
    let count = |p: Predicate, group: Option<i64>| {
        let of = runs.iter().filter(|(y, label, g)| {
            group.is_none_or(|group| group == *g) && holds(p, y, *label, parameter)
        });
        of.count() as i64
    };
    match claim {
        Claim::ArgMax => vec![largest(&last.0) as i64],
        Claim::Holds(p) => vec![holds(p, &last.0, last.1, parameter).into()],
        Claim::Count(p) => vec![count(p, None)],
        Claim::CountByGroup { predicate, groups } => {
            let groups = 0..i64::from(groups);
            let all = groups
                .clone()
                .map(|g| runs.iter().filter(|r| r.2 == g).count() as i64);
            groups
                .clone()
                .map(|g| count(predicate, Some(g)))
                .chain(all)
                .collect()
        }
        Claim::Confusion => (0..CLASSES as i64)
            .flat_map(|label| {
                (0..CLASSES as usize).map(move |class| {
                    let of = |r: &&(Vec<i64>, i64, i64)| r.1 == label && largest(&r.0) == class;
                    runs.iter().filter(of).count() as i64
                })
            })
            .collect(),
        Claim::Sum { entry } => vec![runs.iter().map(|r| r.0[entry as usize]).sum()],
        Claim::Least { entry } => vec![runs.iter().map(|r| r.0[entry as usize]).min().unwrap()],
        Claim::Most { entry } => vec![runs.iter().map(|r| r.0[entry as usize]).max().unwrap()],
    }
}

fn predicates() -> Vec<Predicate> {
    let mut all = vec![
        Predicate::AtLeast {
            entry: 2,
            threshold: Threshold::Constant(-1000),
        },
        Predicate::AtLeast {
            entry: 0,
            threshold: Threshold::Parameter,
        },
        Predicate::Within {
            entry: 1,
            least: -40_000,
            most: 20_000,
        },
    ];
    for label in [Label::Frame, Label::Constant(0), Label::Constant(2)] {
        all.push(Predicate::IsLabel(label));
        all.extend((1..=CLASSES).map(|k| Predicate::AmongLargest { k, label }));
    }
    all
}

pub(super) fn claims() -> Vec<Claim> {
    let mut all = vec![
        Claim::ArgMax,
        Claim::Confusion,
        Claim::Sum { entry: 1 },
        Claim::Least { entry: 0 },
        Claim::Most { entry: 2 },
    ];
    for predicate in predicates() {
        all.push(Claim::Holds(predicate));
        all.push(Claim::Count(predicate));
        all.push(Claim::CountByGroup {
            predicate,
            groups: 2,
        });
    }
    all
}

/// A frame of the claim's program.
pub(super) fn full(claim: Claim, x: &[i64], label: i64, group: i64) -> Vec<i64> {
    let mut frame = x.to_vec();
    if claim.takes_label() {
        frame.push(label);
    }
    if claim.takes_group() {
        frame.push(group);
    }
    frame
}

#[test]
fn results_in_words() {
    let label = Predicate::IsLabel(Label::Frame);
    for (claim, result, words) in [
        (Claim::ArgMax, &[4][..], "the largest output is number 4"),
        (
            Claim::Count(label),
            &[97],
            "the largest output is that of the label for 97 of them",
        ),
        (
            Claim::CountByGroup {
                predicate: Predicate::Within {
                    entry: 0,
                    least: -3,
                    most: 9,
                },
                groups: 2,
            },
            &[5, 6, 10, 20],
            "-3 ≤ output 0 ≤ 9 for 5 of 10 in group 0, 6 of 20 in group 1",
        ),
        (
            Claim::Confusion,
            &[3, 1, 0, 4],
            "label 0 taken for 3, 1; label 1 taken for 0, 4",
        ),
        (
            Claim::Holds(Predicate::AmongLargest {
                k: 5,
                label: Label::Constant(2),
            }),
            &[0],
            "the output of class 2 is among the 5 largest is false",
        ),
        (Claim::Least { entry: 1 }, &[-7], "the least output 1 is -7"),
    ] {
        assert_eq!(claim.in_words(result, &[]), words);
    }
}

#[test]
fn claims_about_what_does_not_exist_are_errors() {
    let shape = shape(Activation::Identity);
    for claim in [
        Claim::Sum { entry: CLASSES },
        Claim::Holds(Predicate::AtLeast {
            entry: 9,
            threshold: Threshold::Parameter,
        }),
        Claim::Count(Predicate::IsLabel(Label::Constant(CLASSES))),
        Claim::Count(Predicate::AmongLargest {
            k: 0,
            label: Label::Frame,
        }),
        Claim::Count(Predicate::AmongLargest {
            k: CLASSES + 1,
            label: Label::Frame,
        }),
        Claim::CountByGroup {
            predicate: Predicate::IsLabel(Label::Frame),
            groups: 0,
        },
    ] {
        assert!(claim_program(&shape, claim).is_err(), "{claim:?}");
    }
    let mut wide = shape.clone();
    wide.bits = 40;
    assert!(claim_program(&wide, Claim::ArgMax).is_err());
    // A threshold that no output reaches is a claim all the same.
    for t in [i64::from(i32::MAX), -i64::from(i32::MAX)] {
        let predicate = Predicate::AtLeast {
            entry: 0,
            threshold: Threshold::Constant(t),
        };
        assert!(claim_program(&shape, Claim::Holds(predicate)).is_ok());
    }
}

/// Keys and a prover of a claim.
struct Case {
    shape: NetworkShape,
    claim: Claim,
    prover: Prover,
}

impl Case {
    fn new(claim: Claim) -> Self {
        let shape = shape(Activation::Identity);
        let program = claim_program(&shape, claim).unwrap();
        let params = Params::setup_with(&program, Schedule::FramesPerStep(2)).unwrap();
        let prover = Prover::from_bank(&params, bank(&program, 8)).unwrap();
        Self {
            shape,
            claim,
            prover,
        }
    }

    fn y(&self, x: &[i64]) -> Vec<i64> {
        outputs(&self.shape, self.prover.bank.bank(), x)
    }

    fn verifier(&self) -> Verifier {
        Verifier::new(self.prover.params(), self.prover.model_commitment())
    }

    /// A proof over labelled and grouped frames, with hidden inputs and a public result.
    fn prove(&self, frames: &[Vec<i64>], parameters: &[i64], context: &[u8]) -> Proof {
        let visibility = Visibility::private_inputs().public_outputs();
        let session = self.prover.session_with(visibility, context, parameters);
        let mut session = of_kind(session.unwrap());
        for frame in frames {
            session.push_integers(frame).unwrap();
        }
        session.finish().unwrap()
    }

    fn result(&self, proof: &Proof) -> Vec<i64> {
        match self.verifier().verify(proof).unwrap().outputs {
            Outputs::Public { mut vectors } => vectors.pop().unwrap(),
            Outputs::Hidden { .. } => panic!("the result is public"),
        }
    }
}

fn lie(proof: &mut Proof) -> &mut Vec<i64> {
    match &mut proof.public.outputs {
        Vectors::Entries(entries) => entries,
        Vectors::Digest(_) => panic!("the result is public"),
    }
}

fn a_threshold_at_below_and_above_the_score() {
    let case = Case::new(Claim::Holds(Predicate::AtLeast {
        entry: 1,
        threshold: Threshold::Parameter,
    }));
    let x = frame(INPUTS, 3);
    let score = case.y(&x)[1];
    for (threshold, approved) in [(score - 1, 1), (score, 1), (score + 1, 0)] {
        let mut proof = case.prove(std::slice::from_ref(&x), &[threshold], b"");
        assert_eq!(case.result(&proof), [approved]);
        assert!(
            case.verifier()
                .parameters(&[threshold])
                .verify(&proof)
                .is_ok()
        );
        // Another threshold than the lender asked for.
        assert_eq!(
            case.verifier().parameters(&[threshold + 1]).verify(&proof),
            Err(VerifyError::Unexpected { what: "parameters" })
        );
        // The other answer.
        lie(&mut proof)[0] ^= 1;
        assert_refused(case.verifier().verify(&proof), &VerifyError::FinalState);
        // A result that is no bit.
        lie(&mut proof)[0] = 2;
        assert!(matches!(
            case.verifier().verify(&proof),
            Err(VerifyError::PublicRange { .. })
        ));
    }
    // A proof for one threshold under the name of another.
    let mut proof = case.prove(&[x], &[score + 1], b"");
    proof.public.parameters = vec![score];
    assert_refused(case.verifier().verify(&proof), &VerifyError::Steps);
    for wrong in [vec![], vec![score, 1], vec![1 << 39], vec![i64::MIN]] {
        proof.public.parameters = wrong;
        assert_eq!(case.verifier().verify(&proof), Err(VerifyError::Parameters));
    }
    let visibility = Visibility::private_inputs();
    let missing = case.prover.session(visibility).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Input);
}

fn a_count_that_is_off_by_one_is_rejected() {
    let case = Case::new(Claim::Count(Predicate::IsLabel(Label::Frame)));
    let frames: Vec<Vec<i64>> = (0..5)
        .map(|k| {
            let x = frame(INPUTS, k);
            // Every other label is right.
            let class = largest(&case.y(&x)) as i64;
            let label = if k % 2 == 0 { class } else { (class + 1) % 3 };
            full(case.claim, &x, label, 0)
        })
        .collect();
    let proof = case.prove(&frames, &[], b"");
    assert_eq!(case.result(&proof), [3]);
    for off in [-1, 1, 2] {
        let mut other = case.prove(&frames, &[], b"");
        lie(&mut other)[0] += off;
        assert_refused(case.verifier().verify(&other), &VerifyError::FinalState);
    }
}

fn samples_left_out_repeated_or_with_other_labels_are_rejected() {
    let case = Case::new(Claim::CountByGroup {
        predicate: Predicate::IsLabel(Label::Frame),
        groups: 2,
    });
    let sample: Vec<Vec<i64>> = (0..5)
        .map(|k| full(case.claim, &frame(INPUTS, k), k as i64 % 3, k as i64 % 2))
        .collect();
    type Lie = fn(&mut Vec<Vec<i64>>);
    let lies: [Lie; 5] = [
        |s| drop(s.remove(1)),
        |s| s.push(s[0].clone()),
        |s| s[2][4] = (s[2][4] + 1) % 3,
        // A group attribute changed.
        |s| s[2][5] ^= 1,
        |s| s.swap(0, 1),
    ];
    for (k, change) in lies.into_iter().enumerate() {
        let mut other = sample.clone();
        change(&mut other);
        // A public data set: the verifier knows it.
        let visibility = Visibility::public_inputs().public_outputs();
        let mut session = of_kind(case.prover.session(visibility).unwrap());
        for frame in &other {
            session.push_integers(frame).unwrap();
        }
        let mut proof = session.finish().unwrap();
        let strict = case.verifier().inputs(&sample);
        assert_eq!(
            strict.verify(&proof),
            Err(VerifyError::Unexpected { what: "inputs" }),
            "{k}"
        );
        // Shown as the right one.
        proof.public.inputs = Vectors::Entries(sample.concat());
        proof.public.frames = sample.len() as u64;
        match strict.verify(&proof) {
            Err(VerifyError::StepCount { .. }) => assert!(!of_trace()),
            refused => assert_refused(refused, &VerifyError::FinalState),
        }
        // A private one: the verifier has the digest of the right one.
        let visibility = Visibility::private_inputs().public_outputs();
        let mut session = of_kind(case.prover.session(visibility).unwrap());
        let key = session.input_salts().unwrap().clone();
        let program = case.prover.params().program();
        let mut digest = DigestBuilder::inputs(program, session.kind(), key);
        sample.iter().for_each(|f| digest.push(f).unwrap());
        for frame in &other {
            session.push_integers(frame).unwrap();
        }
        let proof = session.finish().unwrap();
        assert_eq!(
            case.verifier().input_digest(digest.digest()).verify(&proof),
            Err(VerifyError::Unexpected { what: "inputs" })
        );
    }
}

fn more_frames_than_a_sum_has_room_for_are_refused() {
    let case = Case::new(Claim::Sum { entry: 0 });
    let most = case.prover.params().program().max_frames();
    // 47 bits for sums of 19 bits.
    assert_eq!(most, (((1u64 << 47) - 1) >> 19) - 1);
    let x = frame(INPUTS, 1);
    let mut proof = case.prove(std::slice::from_ref(&x), &[], b"");
    proof.public.frames = most + 1;
    proof.public.steps = if of_trace() { 1 } else { most + 1 };
    assert_eq!(
        case.verifier().verify(&proof),
        Err(VerifyError::TooManyFrames {
            frames: most + 1,
            most
        })
    );
    // With a limit that can be reached.
    let mut program = claim_program(&case.shape, case.claim).unwrap();
    program.frame_limit = 2;
    let params = Params::setup(&program).unwrap();
    let prover = Prover::from_bank(&params, bank(&program, 8)).unwrap();
    let mut session = of_kind(prover.session(Visibility::private_inputs()).unwrap());
    session.push_integers(&x).unwrap();
    session.push_integers(&x).unwrap();
    assert_eq!(
        session.push_integers(&x).unwrap_err().kind(),
        ErrorKind::Usage
    );
    // A limit that does not keep the sums in their register is no program.
    program.frame_limit = 2 * most;
    assert!(program.validate().is_err());
}

#[test]
fn a_sum_that_begins_at_an_end_of_its_register_has_no_room() {
    use crate::program::{Accumulate, Affine, Builder, Register};
    let program = |initial: Vec<i32>, width: u8, limit: u64| {
        let mut builder = Builder::new(2, 8);
        builder.limit_frames(limit);
        builder.state(initial, width)?;
        let map = builder.map(1, 2);
        builder.affine(&[(map, Register::FRAME)], Affine::reach_of(30, 0))?;
        let sums = builder.push(Accumulate {
            part: 0,
            input: Register::FRAME,
        })?;
        builder.finish_last(sums)
    };
    // 127 on top of 127 has no place in 8 bits, which would pack like a neighbour that is larger.
    for initial in [vec![-128, 0], vec![127, 0], vec![0, 0]] {
        for limit in [1, 2, 3, u64::MAX] {
            assert!(
                program(initial.clone(), 8, limit).is_err(),
                "{initial:?} {limit}"
            );
        }
    }
    assert!(program(vec![i32::MIN, i32::MAX], 32, 3).is_err());
    let wide = program(vec![-1000, 1000], 32, 3).unwrap();
    assert!(wide.validate().is_ok());
    // The same in a program that was not built here.
    let mut other = wide.clone();
    other.frame_limit = 1 << 24;
    assert!(other.validate().is_err());
    assert!(Program::from_bytes(&other.to_bytes()).is_err());
}

#[test]
fn a_full_run_can_end_in_a_step_that_is_partly_filled() {
    let shape = shape(Activation::Identity);
    let mut program = claim_program(&shape, Claim::Sum { entry: 0 }).unwrap();
    program.frame_limit = 3;
    let bank = bank(&program, 8);
    let bench = Bench::scheduled(program, Schedule::FramesPerStep(2), bank);
    let x = frame(INPUTS, 1);
    let mut run = bench.run();
    for frames in [2, 1] {
        let step = bench.prepare(&run, &bench.trace_of(&run, &vec![x.clone(); frames]));
        let (cs, _) = bench.synthesize(run.z, &step.witness);
        assert_eq!(cs.which_is_unsatisfied(), None);
        run = step.next;
    }
}

#[test]
fn sums_near_the_largest_value_are_exact() {
    // 3000 outputs of the least and of the largest value there is, on integers alone.
    let shape = shape(Activation::Identity);
    let program = claim_program(&shape, Claim::Sum { entry: 0 }).unwrap();
    let bank = bank(&program, 8);
    let x = frame(INPUTS, 1);
    let y = outputs(&shape, &bank, &x)[0];
    let mut run = Interpreter::new(&program, &bank).unwrap();
    for k in 1..=3000 {
        assert_eq!(run.push(&x).unwrap(), [k * y]);
    }
}

fn a_proof_under_another_context_is_rejected() {
    let case = Case::new(Claim::Holds(Predicate::AtLeast {
        entry: 0,
        threshold: Threshold::Constant(0),
    }));
    let mut proof = case.prove(&[frame(INPUTS, 3)], &[], b"lender 1, 2026-11-20");
    let other = case.verifier().context(b"lender 2, 2026-11-20");
    assert_eq!(
        other.verify(&proof),
        Err(VerifyError::Unexpected { what: "context" })
    );
    proof.public.context = b"lender 2, 2026-11-20".to_vec();
    assert_refused(other.verify(&proof), &VerifyError::Steps);
}

fn inputs_that_somebody_vouches_for() {
    let case = Case::new(Claim::Holds(Predicate::AtLeast {
        entry: 0,
        threshold: Threshold::Constant(0),
    }));
    let program = case.prover.params().program();
    let x = frame(INPUTS, 3);
    // The bank digests what it knows, and signs the digest.
    let salt = Salt::random();
    let kind = kind().unwrap();
    let vouched = frame_digest(program, kind, &x, &salt).unwrap();
    let prove = |x: &[i64], salt: &Salt| {
        let visibility = Visibility::private_inputs().public_outputs();
        let mut session = of_kind(case.prover.session(visibility).unwrap());
        session.push_attested(x, salt).unwrap();
        session.finish().unwrap()
    };
    let expected = digest_of_frames(kind, &[vouched]).unwrap();
    let verifier = case.verifier().input_digest(expected);
    let statement = verifier.verify(&prove(&x, &salt)).unwrap();
    assert_eq!(statement.inputs, Inputs::Private { digest: expected });
    // An attribute changed; another salt; and a proof about somebody else.
    let mut other = x.clone();
    other[1] ^= 1;
    for proof in [
        prove(&other, &salt),
        prove(&x, &Salt::random()),
        prove(&frame(INPUTS, 4), &Salt::random()),
    ] {
        assert_eq!(
            verifier.verify(&proof),
            Err(VerifyError::Unexpected { what: "inputs" })
        );
    }
    // Salts survive as bytes; a session keeps them until the frame is folded.
    assert_eq!(Salt::from_bytes(salt.to_bytes()), Some(salt));
    assert_eq!(Salt::from_bytes([0xff; 32]), None);
    let visibility = Visibility::private_inputs().public_outputs();
    let mut session = of_kind(case.prover.session(visibility).unwrap());
    session.push_attested(&x, &salt).unwrap();
    let checkpoint = session.checkpoint().unwrap();
    let resumed = case.prover.resume(&checkpoint).unwrap();
    assert!(verifier.verify(&resumed.finish().unwrap()).is_ok());
    // Public inputs have no salt.
    let mut session = of_kind(case.prover.session(Visibility::public_inputs()).unwrap());
    assert_eq!(
        session.push_attested(&x, &salt).unwrap_err().kind(),
        ErrorKind::Usage
    );
    assert!(frame_digest(program, kind, &x[1..], &salt).is_err());
    // Any bytes are a digest of a trace, of nothing that anybody knows.
    let none = crate::VectorDigest::from_bytes([0xff; 32]);
    assert_eq!(digest_of_frames(kind, &[none]).is_some(), of_trace());
}

fn several_inputs_some_of_which_somebody_vouches_for() {
    let case = Case::new(Claim::Holds(Predicate::AtLeast {
        entry: 0,
        threshold: Threshold::Constant(0),
    }));
    let program = case.prover.params().program();
    let kind = kind().unwrap();
    let visibility = Visibility::private_inputs().hidden_outputs();
    let mut session = of_kind(case.prover.session(visibility).unwrap());
    let key = session.input_salts().unwrap().clone();
    let mut inputs = DigestBuilder::inputs(program, kind, key);
    let key = session.output_salts().unwrap().clone();
    let mut outputs = DigestBuilder::outputs(case.prover.params(), kind, key)
        .unwrap()
        .attested();
    let mut vouched = Vec::new();
    for k in 0..5 {
        let x = frame(INPUTS, k);
        let y = if k % 2 == 0 {
            inputs.push(&x).unwrap();
            session.push_integers(&x).unwrap()
        } else {
            let salt = Salt::random();
            inputs.push_salted(&x, &salt).unwrap();
            vouched.push(frame_digest(program, kind, &x, &salt).unwrap());
            session.push_attested(&x, &salt).unwrap()
        };
        outputs.push(&y).unwrap();
    }
    let proof = session.finish().unwrap();
    assert_eq!(proof.public.own_rows, of_trace());
    let verifier = case
        .verifier()
        .input_digest(inputs.digest())
        .output_digest(outputs.digest());
    assert_eq!(verifier.verify(&proof).unwrap().frames, 5);
    // The digest is not that of frames that nobody vouched for.
    let some = digest_of_frames(kind, &vouched).unwrap();
    assert!(case.verifier().input_digest(some).verify(&proof).is_err());
    // Shown as if vectors shared their rows.
    let mut lie = proof;
    lie.public.own_rows ^= true;
    let error = case.verifier().verify(&lie).unwrap_err();
    assert!(matches!(
        error,
        VerifyError::ArgumentShape | VerifyError::Trace
    ));
}

fn statements_in_words_and_as_json() {
    let case = Case::new(Claim::Holds(Predicate::AtLeast {
        entry: 1,
        threshold: Threshold::Parameter,
    }));
    let proof = case.prove(&[frame(INPUTS, 3)], &[-99], b"loan 17");
    let statement = case.verifier().verify(&proof).unwrap();
    let words = statement.to_string();
    for part in [
        &*format!("model {}", statement.model),
        "ran on 1 private input in 1 step",
        "context \"loan 17\"",
        "parameters [-99]",
        "outputs: [[",
    ] {
        assert!(words.contains(part), "{words}");
    }
    let Outputs::Public { vectors } = &statement.outputs else {
        panic!("the result is public");
    };
    let sentence = statement.in_words(case.claim);
    let truth = vectors[0][0] == 1;
    assert!(
        sentence.ends_with(&format!("; result: output 1 ≥ -99 is {truth}")),
        "{sentence}"
    );
    assert!(
        sentence.contains("… ran on 1 private input, digest "),
        "{sentence}"
    );
    let json: serde_json::Value = serde_json::to_value(&statement).unwrap();
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../docs/statement.schema.json")).unwrap();
    // The fields that the schema asks for, and no others.
    let mut required: Vec<&str> = schema["required"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f.as_str().unwrap())
        .collect();
    required.sort_unstable();
    let fields: Vec<&str> = json
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(fields, required);
    // What was written is read again, and nothing else.
    let again: crate::Statement = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(again, statement);
    for (field, value) in [
        ("program", serde_json::json!("00")),
        ("model", serde_json::json!("zz")),
        ("frames", serde_json::json!(-1)),
        (
            "inputs",
            serde_json::json!({"visibility": "public", "digest": "00"}),
        ),
        ("more", serde_json::json!(1)),
    ] {
        let mut other = json.clone();
        other[field] = value;
        assert!(
            serde_json::from_value::<crate::Statement>(other).is_err(),
            "{field}"
        );
    }
    assert_eq!(json["context"], "6c6f616e203137");
    assert_eq!(json["parameters"], serde_json::json!([-99]));
    assert_eq!(json["inputs"]["visibility"], "private");
    assert_eq!(json["inputs"]["digest"].as_str().unwrap().len(), 64);
    assert_eq!(json["outputs"]["visibility"], "public");
    assert_eq!(json["outputs"]["vectors"].as_array().unwrap().len(), 1);
}
