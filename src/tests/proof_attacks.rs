//! Lies that the verifier must catch, each with its own error.

use std::sync::OnceLock;

use ff::Field;

use super::cheat::make_consistent;
use super::fixtures::{
    assert_refused, bank, frame, of_kind, of_trace, prover, relu_network, schedule_of_kind,
};
use crate::{
    Inputs, ModelCommitment, Outputs, Params, Proof, Prover, Session, Verifier, VerifyError,
    Visibility,
    backend::F,
    error::DecodeError,
    kind::ProofKind,
    program::{AffineMap, WeightBank},
    proof::{Argument, Vectors},
    recursive::{Schedule, execution::run_step},
    weights::{OwnedStatement, WeightClaim, element_bytes},
};

const WIDTHS: [u32; 4] = [6, 5, 5, 4];
/// Of recursive proofs.
const SCHEDULE: Schedule = Schedule::LayersPerStep(2);
const FRAMES: u64 = 2;

in_both_kinds! {
    the_honest_proof_is_accepted,
    weights_of_another_model_are_rejected,
    one_weight_off_by_one_is_rejected,
    one_bias_off_by_one_is_rejected,
    swapped_layers_are_rejected,
    a_proof_for_another_model_is_rejected,
    a_replaced_row_of_the_commitment_is_rejected,
    a_commitment_of_another_shape_is_rejected,
    a_commitment_with_another_cut_or_number_of_rows_is_rejected,
    keys_of_another_program_are_rejected,
    another_number_of_steps_is_rejected,
    dropped_repeated_and_reordered_frames_are_rejected,
    a_changed_public_input_or_output_is_rejected,
    a_public_entry_over_its_width_that_packs_alike_is_rejected,
    another_visibility_is_rejected,
    another_context_is_rejected,
    another_number_of_frames_than_expected_is_rejected,
    other_inputs_and_outputs_than_expected_are_rejected,
    truncated_bytes_cannot_be_read,
    trailing_bytes_cannot_be_read,
    decoding_and_encoding_gives_the_same_bytes,
    headers_of_other_formats_cannot_be_read,
    flipped_bits_are_rejected_without_a_panic,
    an_encoding_that_is_not_canonical_cannot_be_read,
    lengths_are_bounded_before_anything_is_allocated;
    recursive:
    a_proof_of_another_schedule_is_rejected,
    one_accumulator_off_by_one_with_all_that_follows_is_rejected,
    a_run_that_stops_inside_an_inference_is_rejected,
    a_true_claim_about_another_point_is_rejected,
    another_value_of_the_claim_is_rejected,
    a_run_that_starts_from_another_claim_is_rejected,
    the_claim_and_opening_of_another_session_are_rejected,
    a_masking_value_chosen_after_the_challenge_is_rejected,
    the_challenge_of_the_opening_depends_on_all_that_precedes_it,
    every_part_of_the_opening_matters,
    vectors_of_another_length_are_rejected_without_a_panic,
    the_identity_as_the_commitment_to_the_mask_cannot_be_read,
    a_digest_that_is_none_is_refused,
}

/// One honest run of two frames, two steps each, everything public.
struct Honest {
    prover: Prover,
    bytes: Vec<u8>,
}

fn session(prover: &Prover) -> Session {
    let visibility = Visibility::public_inputs().public_outputs();
    of_kind(prover.session_with_context(visibility, b"purpose").unwrap())
}

fn push_all(session: &mut Session) {
    for k in 0..FRAMES {
        session.push_integers(&frame(WIDTHS[0], k)).unwrap();
    }
}

fn honest() -> &'static Honest {
    static HONEST: [OnceLock<Honest>; 2] = [OnceLock::new(), OnceLock::new()];
    HONEST[usize::from(of_trace())].get_or_init(|| {
        let prover = prover(&relu_network(&WIDTHS), schedule_of_kind(SCHEDULE), 1);
        let mut session = session(&prover);
        push_all(&mut session);
        let bytes = session.finish().unwrap().to_bytes();
        Honest { prover, bytes }
    })
}

fn proof() -> Proof {
    Proof::from_bytes(&honest().bytes).unwrap()
}

fn verifier() -> Verifier {
    let prover = &honest().prover;
    Verifier::new(prover.params(), prover.model_commitment())
}

fn entries(vectors: &mut Vectors) -> &mut Vec<i64> {
    match vectors {
        Vectors::Entries(entries) => entries,
        Vectors::Digest(_) => panic!("the vectors are public"),
    }
}

fn reject(proof: &Proof) -> VerifyError {
    verifier().verify(proof).unwrap_err()
}

/// The argument catches the lie; of a recursive proof this is said.
#[track_caller]
fn refused(proof: &Proof, recursive: VerifyError) {
    assert_refused(verifier().verify(proof), &recursive);
}

/// A prover who keeps the commitment and its blinds, and computes with other integers.
fn prover_with(bank: WeightBank) -> Prover {
    let honest = &honest().prover;
    Prover {
        params: honest.params.clone(),
        bank: std::sync::Arc::new(honest.bank.with_bank(bank)),
        scales: None,
    }
}

fn proof_with(bank: WeightBank) -> Proof {
    let prover = prover_with(bank);
    let mut session = session(&prover);
    push_all(&mut session);
    session.finish().unwrap()
}

fn integers() -> Vec<AffineMap> {
    let maps = honest().prover.bank.bank().maps();
    maps.iter().map(|m| AffineMap::clone(m)).collect()
}

fn the_honest_proof_is_accepted() {
    let statement = verifier().verify(&proof()).unwrap();
    let steps = if of_trace() { 1 } else { 4 };
    assert_eq!((statement.steps, statement.frames), (steps, 2));
    assert_eq!(statement.context, b"purpose");
    let expected = (0..FRAMES).map(|k| frame(WIDTHS[0], k)).collect();
    assert_eq!(statement.inputs, Inputs::Public { frames: expected });
    let words = format!("2 public inputs in {steps} step");
    assert!(statement.to_string().contains(&words));
}

#[test]
fn a_proof_of_one_kind_presented_as_the_other_is_rejected() {
    let prover = prover(&relu_network(&WIDTHS), Schedule::WholeNetwork, 1);
    let verifier = Verifier::new(prover.params(), prover.model_commitment());
    let kinds = [ProofKind::Recursive, ProofKind::Trace];
    let proofs = kinds.map(|kind| {
        let visibility = Visibility::public_inputs().public_outputs();
        let mut session = prover.session(visibility).unwrap();
        session.set_kind(Some(kind)).unwrap();
        push_all(&mut session);
        session.finish().unwrap().to_bytes()
    });
    for (k, other) in [(0, kinds[1]), (1, kinds[0])] {
        let (mine, bytes) = (kinds[k], &proofs[k]);
        let proof = || Proof::from_bytes(bytes).unwrap();
        assert_eq!(proof().kind(), mine);
        assert_eq!(verifier.verify(&proof()).unwrap().kind, mine);
        assert!(verifier.clone().kind(mine).verify(&proof()).is_ok());
        // To a verifier of the other kind.
        assert_eq!(
            verifier.clone().kind(other).verify(&proof()).unwrap_err(),
            VerifyError::Unexpected { what: "kind" }
        );
        // Under the header of the other kind.
        let mut lie = bytes.clone();
        lie[11] = other.byte();
        assert_eq!(
            Proof::from_bytes(&lie).unwrap_err(),
            DecodeError::Kind {
                expected: other,
                got: mine
            }
        );
        // And with the argument named alike.
        let argument = postcard::to_stdvec(&proof().argument).unwrap();
        let at = lie.len() - argument.len();
        lie[at] ^= 1;
        assert!(Proof::from_bytes(&lie).is_err());
        // With the argument of the other kind: that of two frames has another number of steps.
        let mut lie = proof();
        lie.argument = Proof::from_bytes(&proofs[1 - k]).unwrap().argument;
        assert!(matches!(
            verifier.verify(&lie).unwrap_err(),
            VerifyError::StepCount { .. }
        ));
    }
}

// The model.

fn weights_of_another_model_are_rejected() {
    let other = bank(honest().prover.params().program(), 99);
    refused(&proof_with(other), VerifyError::WeightClaim);
}

fn one_weight_off_by_one_is_rejected() {
    let mut maps = integers();
    let map = &maps[1];
    let mut weights: Vec<i16> = (0..map.rows())
        .flat_map(|i| map.dense_row(i).to_vec())
        .collect();
    weights[7] += 1;
    maps[1] = AffineMap::new(map.columns(), weights, map.bias().to_vec()).unwrap();
    let proof = proof_with(WeightBank::new(maps).unwrap());
    refused(&proof, VerifyError::WeightClaim);
}

fn one_bias_off_by_one_is_rejected() {
    let mut maps = integers();
    let map = &maps[2];
    let weights: Vec<i16> = (0..map.rows())
        .flat_map(|i| map.dense_row(i).to_vec())
        .collect();
    let mut bias = map.bias().to_vec();
    bias[0] += 1;
    maps[2] = AffineMap::new(map.columns(), weights, bias).unwrap();
    let proof = proof_with(WeightBank::new(maps).unwrap());
    refused(&proof, VerifyError::WeightClaim);
}

fn one_accumulator_off_by_one_with_all_that_follows_is_rejected() {
    let prover = &honest().prover;
    let step = prover.params().0.step().unwrap();
    let output = step.slots[0].output;
    let mut session = session(prover);
    let mut vectors = Vec::new();
    for k in 0..FRAMES {
        for phase in 0..step.phases {
            let x = frame(WIDTHS[0], k);
            let x = if phase == 0 { x } else { vec![0; x.len()] };
            let run = session.folded().run.clone();
            let bank = prover.bank.bank();
            let mut trace = run_step(step, bank, phase, &run.carried, &[x]).unwrap();
            if (k, phase) == (0, 1) {
                // An accumulator of the last layer; it is the output, and what is carried on
                // follows from it. From here on the claim is false, and every later step is made
                // to hold all the same.
                trace.registers[output][1] += 1;
            }
            let mut prepared = session.prepare(&trace);
            make_consistent(step, &run, &trace, &mut prepared);
            session.fold(prepared).unwrap();
            if phase == 1 {
                vectors.push(trace.registers[output][..4].to_vec());
            }
        }
    }
    let mut proof = session.finish().unwrap();
    proof.public.inputs = Vectors::Entries((0..FRAMES).flat_map(|k| frame(WIDTHS[0], k)).collect());
    proof.public.outputs = Vectors::Entries(vectors.concat());
    assert_eq!(reject(&proof), VerifyError::WeightClaim);
}

fn swapped_layers_are_rejected() {
    // The maps of layers 1 and 2 have the shapes 5×5 and 4×5; a network with equal ones:
    let shape = relu_network(&[5, 5, 5, 5]);
    let prover = prover(&shape, Schedule::WholeNetwork, 4);
    let mut maps = prover.bank.bank().maps().to_vec();
    maps.swap(0, 1);
    let liar = Prover {
        params: prover.params.clone(),
        bank: std::sync::Arc::new(prover.bank.with_bank(WeightBank::new(maps).unwrap())),
        scales: None,
    };
    let mut session = of_kind(liar.session(Visibility::private_inputs()).unwrap());
    session.push_integers(&frame(5, 1)).unwrap();
    let proof = session.finish().unwrap();
    let verifier = Verifier::new(prover.params(), prover.model_commitment());
    assert_refused(verifier.verify(&proof), &VerifyError::WeightClaim);
}

fn a_proof_for_another_model_is_rejected() {
    let honest = &honest().prover;
    let other = Prover::from_bank(honest.params(), honest.bank.bank().clone()).unwrap();
    let verifier = Verifier::new(honest.params(), other.model_commitment());
    assert!(matches!(
        verifier.verify(&proof()).unwrap_err(),
        VerifyError::OtherModel { .. }
    ));
    // The same proof with the name of the other model.
    let mut proof = proof();
    proof.public.model = other.model_commitment().digest().0;
    assert_refused(verifier.verify(&proof), &VerifyError::Steps);
}

fn a_replaced_row_of_the_commitment_is_rejected() {
    let honest = &honest().prover;
    let mut commitment = honest.model_commitment();
    commitment.swap_rows_for_test(0, 1);
    let verifier = Verifier::new(honest.params(), commitment.clone());
    let mut proof = proof();
    proof.public.model = commitment.digest().0;
    assert_refused(verifier.verify(&proof), &VerifyError::Steps);
}

fn a_commitment_of_another_shape_is_rejected() {
    let other = prover(&relu_network(&[6, 5, 4]), Schedule::WholeNetwork, 1);
    let verifier = Verifier::new(honest().prover.params(), other.model_commitment());
    assert_eq!(
        verifier.verify(&proof()).unwrap_err(),
        VerifyError::CommitmentShape
    );
}

fn a_commitment_with_another_cut_or_number_of_rows_is_rejected() {
    let honest = &honest().prover;
    let program = honest.params().program();
    let most = program.bank().index_bits() - 1;
    for column_bits in [1, most] {
        let fitting = ModelCommitment::known_for_test(program, column_bits);
        assert!(fitting.fits(program));
    }
    for column_bits in [0, most + 1, 40] {
        let other = honest
            .model_commitment()
            .with_column_bits_for_test(column_bits);
        let verifier = Verifier::new(honest.params(), other);
        assert_eq!(
            verifier.verify(&proof()).unwrap_err(),
            VerifyError::CommitmentShape
        );
    }
    for rows in [0, 1, honest.model_commitment().row_count() - 1] {
        let other = honest.model_commitment().truncated_for_test(rows);
        assert!(!other.fits(program));
    }
}

// Keys.

fn keys_of_another_program_are_rejected() {
    let mut shape = relu_network(&WIDTHS);
    shape.shift += 1;
    let program = shape.program().unwrap();
    let params = Params::setup_with(&program, schedule_of_kind(SCHEDULE)).unwrap();
    let other = Prover::from_bank(&params, honest().prover.bank.bank().clone()).unwrap();
    let verifier = Verifier::new(&params, other.model_commitment());
    assert_eq!(
        verifier.verify(&proof()).unwrap_err(),
        VerifyError::OtherProgram
    );
    // The same proof under the names that this verifier expects.
    let mut proof = proof();
    proof.public.program = program.digest();
    proof.public.model = other.model_commitment().digest().0;
    assert_refused(verifier.verify(&proof), &VerifyError::Steps);
}

fn a_proof_of_another_schedule_is_rejected() {
    let program = honest().prover.params().program();
    let commitment = honest().prover.model_commitment();
    // One commitment and one statement for every schedule, keys of each.
    let whole = Schedule::FramesPerStep(1);
    let verifier = Verifier::new(
        &Params::setup_with(program, whole).unwrap(),
        commitment.clone(),
    );
    let mut proof = proof();
    assert_eq!(
        verifier.verify(&proof),
        Err(VerifyError::OtherSchedule {
            expected: Schedule::WholeNetwork,
            got: SCHEDULE
        })
    );
    let params = Params::for_proof(program, &proof).unwrap();
    let accepting = Verifier::new(&params, commitment);
    assert!(accepting.verify(&proof).is_ok());
    // The same proof, said to be of that schedule, with the steps that it has.
    proof.recursive_mut().schedule = Schedule::WholeNetwork;
    proof.public.steps = FRAMES;
    assert_refused(verifier.verify(&proof), &VerifyError::Steps);
    assert!(accepting.verify(&proof).is_err());
}

#[test]
fn a_trace_of_a_program_whose_steps_are_not_inferences_is_refused() {
    let prover = prover(&relu_network(&WIDTHS), SCHEDULE, 1);
    let mut session = session(&prover);
    assert_eq!(session.kind(), ProofKind::Recursive);
    push_all(&mut session);
    let mut proof = session.finish().unwrap();
    proof.argument = Argument::Trace(crate::trace::TraceProof {
        row_bits: 7,
        tail_bits: 4,
        body: vec![0; 1000],
    });
    let verifier = Verifier::new(prover.params(), prover.model_commitment());
    for steps in [1, 4] {
        proof.public.steps = steps;
        assert_eq!(verifier.verify(&proof), Err(VerifyError::ArgumentShape));
    }
}

// Steps and frames.

fn a_run_that_stops_inside_an_inference_is_rejected() {
    let prover = &honest().prover;
    let step = prover.params().0.step().unwrap();
    let mut session = of_kind(prover.session(Visibility::private_inputs()).unwrap());
    let x = frame(WIDTHS[0], 1);
    let carried = session.folded().run.carried.clone();
    let trace = run_step(step, prover.bank.bank(), 0, &carried, &[x]).unwrap();
    let step = session.prepare(&trace);
    session.fold(step).unwrap();
    let mut proof = session.finish().unwrap();
    assert_eq!(
        reject(&proof),
        VerifyError::StepCount {
            steps: 1,
            frames: 1
        }
    );
    // Claiming a whole inference does not help.
    proof.public.steps = 2;
    assert_eq!(reject(&proof), VerifyError::Steps);
}

fn another_number_of_steps_is_rejected() {
    for (steps, frames) in [(2, 1), (6, 3), (0, 0), (4, 3), (3, 2), (u64::MAX, 2)] {
        let mut proof = proof();
        proof.public.steps = steps;
        proof.public.frames = frames;
        let error = reject(&proof);
        assert!(
            matches!(
                error,
                VerifyError::StepCount { .. } | VerifyError::PublicShape { .. }
            ),
            "{error}"
        );
    }
    // With the public vectors made to fit.
    let mut proof = proof();
    proof.public.steps = if of_trace() { 1 } else { 2 };
    proof.public.frames = 1;
    entries(&mut proof.public.inputs).truncate(6);
    entries(&mut proof.public.outputs).truncate(4);
    refused(&proof, VerifyError::Steps);
}

fn dropped_repeated_and_reordered_frames_are_rejected() {
    let lies: [fn(&mut Vec<i64>); 3] = [
        |entries| entries.rotate_left(6),
        |entries| entries.copy_within(..6, 6),
        |entries| entries[..6].fill(0),
    ];
    for lie in lies {
        let mut proof = proof();
        lie(entries(&mut proof.public.inputs));
        refused(&proof, VerifyError::FinalState);
    }
    let mut proof = proof();
    entries(&mut proof.public.inputs).truncate(6);
    assert!(matches!(reject(&proof), VerifyError::PublicShape { .. }));
}

// Inputs and outputs.

fn a_changed_public_input_or_output_is_rejected() {
    let mut lie = proof();
    entries(&mut lie.public.inputs)[8] ^= 1;
    refused(&lie, VerifyError::FinalState);
    let mut lie = proof();
    entries(&mut lie.public.outputs)[3] += 1;
    refused(&lie, VerifyError::FinalState);
}

fn a_public_entry_over_its_width_that_packs_alike_is_rejected() {
    // (a, b) and (a + 2^w, b − 1) pack to the same element.
    let mut lie = proof();
    entries(&mut lie.public.inputs)[0] += 256;
    entries(&mut lie.public.inputs)[1] -= 1;
    assert!(matches!(
        reject(&lie),
        VerifyError::PublicRange {
            what: "inputs",
            index: 0,
            width: 8
        }
    ));
    let mut lie = proof();
    entries(&mut lie.public.outputs)[4] += 1 << 20;
    entries(&mut lie.public.outputs)[5] -= 1;
    assert!(matches!(
        reject(&lie),
        VerifyError::PublicRange {
            what: "outputs",
            index: 1,
            ..
        }
    ));
    for extreme in [i64::MIN, i64::MAX] {
        let mut lie = proof();
        entries(&mut lie.public.outputs)[4] = extreme;
        assert!(matches!(reject(&lie), VerifyError::PublicRange { .. }));
    }
}

fn another_visibility_is_rejected() {
    // The digest of public frames, shown as if they were private.
    let mut lie = proof();
    let digest = if of_trace() {
        [7; 32]
    } else {
        let claim = claim_of(&lie);
        let end = verifier().end_of_run(&lie.public, F::ZERO, claim).unwrap();
        element_bytes(&end.inputs)
    };
    lie.public.inputs = Vectors::Digest(digest);
    refused(&lie, VerifyError::Steps);
    let strict = verifier().visibility(Visibility::private_inputs());
    assert_eq!(
        strict.verify(&proof()).unwrap_err(),
        VerifyError::Unexpected { what: "visibility" }
    );
}

fn another_context_is_rejected() {
    assert!(verifier().context(b"purpose").verify(&proof()).is_ok());
    assert_eq!(
        verifier().context(b"other").verify(&proof()).unwrap_err(),
        VerifyError::Unexpected { what: "context" }
    );
    let mut lie = proof();
    lie.public.context = b"other".to_vec();
    let other = verifier().context(b"other");
    assert_refused(other.verify(&lie), &VerifyError::Steps);
}

fn another_number_of_frames_than_expected_is_rejected() {
    assert!(verifier().frames(2).verify(&proof()).is_ok());
    assert!(verifier().frames(1).verify(&proof()).is_err());
}

fn other_inputs_and_outputs_than_expected_are_rejected() {
    let frames: Vec<_> = (0..FRAMES).map(|k| frame(WIDTHS[0], k)).collect();
    let statement = verifier().inputs(&frames).verify(&proof()).unwrap();
    let Outputs::Public { mut vectors } = statement.outputs else {
        panic!("the outputs are public");
    };
    assert!(verifier().outputs(&vectors).verify(&proof()).is_ok());
    vectors[0][0] += 1;
    assert_eq!(
        verifier().outputs(&vectors).verify(&proof()).unwrap_err(),
        VerifyError::Unexpected { what: "outputs" }
    );
    assert_eq!(
        verifier()
            .inputs(&frames[1..])
            .verify(&proof())
            .unwrap_err(),
        VerifyError::Unexpected { what: "inputs" }
    );
}

fn a_digest_that_is_none_is_refused() {
    // Canonical bytes of a field element, and the modulus on top of it.
    for what in ["inputs", "outputs"] {
        for bytes in [[0xff; 32], modulus()] {
            let mut lie = proof();
            *match what {
                "inputs" => &mut lie.public.inputs,
                _ => &mut lie.public.outputs,
            } = Vectors::Digest(bytes);
            let lie = Proof::from_bytes(&lie.to_bytes()).unwrap();
            assert_eq!(reject(&lie), VerifyError::NoDigest { what });
        }
    }
}

/// As many as there are elements.
fn modulus() -> [u8; 32] {
    let mut bytes = element_bytes(&-F::ONE);
    bytes[0] += 1;
    bytes
}

// The claim.

fn claim_of(proof: &Proof) -> WeightClaim {
    let argument = proof.recursive();
    WeightClaim {
        point: argument.point.clone(),
        value: argument.value,
    }
}

fn a_true_claim_about_another_point_is_rejected() {
    let program = honest().prover.params().program();
    let initial = WeightClaim::initial(&program.bank());
    let mut lie = proof();
    lie.recursive_mut().point = initial.point;
    lie.recursive_mut().value = initial.value;
    assert_eq!(reject(&lie), VerifyError::FinalState);
}

fn another_value_of_the_claim_is_rejected() {
    let mut lie = proof();
    lie.recursive_mut().value += F::ONE;
    assert_eq!(reject(&lie), VerifyError::FinalState);
    let mut lie = proof();
    lie.recursive_mut().point[3] += F::ONE;
    assert_eq!(reject(&lie), VerifyError::FinalState);
    for length in [0, 1, 100] {
        let mut lie = proof();
        lie.recursive_mut().point.resize(length, F::ZERO);
        assert_eq!(reject(&lie), VerifyError::ArgumentShape);
    }
}

fn a_run_that_starts_from_another_claim_is_rejected() {
    let prover = &honest().prover;
    let mut session = of_kind(prover.session(Visibility::private_inputs()).unwrap());
    // A false claim to begin with: V = 1 at (1, …, 1).
    let run = &mut session.folded().run;
    run.state.claim.value = F::ONE;
    run.z[1] = run.state.digest();
    session.push_integers(&frame(WIDTHS[0], 1)).unwrap();
    let proof = session.finish().unwrap();
    assert_eq!(reject(&proof), VerifyError::Steps);
}

fn the_claim_and_opening_of_another_session_are_rejected() {
    let mut other = session(&honest().prover);
    push_all(&mut other);
    let other = other.finish().unwrap();
    // Its mask alone: the binding is another.
    let mut lie = proof();
    lie.recursive_mut().mask = other.recursive().mask;
    assert_eq!(reject(&lie), VerifyError::Steps);
    // Its claim, with its opening.
    let mut lie = proof();
    lie.recursive_mut().point = other.recursive().point.clone();
    lie.recursive_mut().value = other.recursive().value;
    lie.recursive_mut().opening = other.recursive().opening.clone();
    assert_eq!(reject(&lie), VerifyError::FinalState);
    // Its opening alone.
    let mut lie = proof();
    lie.recursive_mut().opening = other.recursive().opening.clone();
    assert_eq!(reject(&lie), VerifyError::WeightClaim);
    // Its steps alone.
    let mut lie = proof();
    lie.recursive_mut().chain = other.into_recursive().chain;
    assert_eq!(reject(&lie), VerifyError::Steps);
}

fn a_masking_value_chosen_after_the_challenge_is_rejected() {
    // V + δ with v_0 − e·δ keeps v_0 + e·V, if e does not depend on v_0 or V.
    let mut lie = proof();
    let statement = verifier_statement(&lie);
    let e = lie.recursive().opening.challenge_for_test(&statement);
    let delta = F::from(5);
    lie.recursive_mut().opening.masking_value -= e * delta;
    let mut statement = verifier_statement(&lie);
    statement.claim.value += delta;
    assert!(!lie.recursive().opening.holds_for_test(&statement));
    // The same opening at another point of the same value.
    let honest = proof();
    let mut statement = verifier_statement(&honest);
    assert!(honest.recursive().opening.holds_for_test(&statement));
    statement.claim.point[1] += F::ONE;
    assert!(!honest.recursive().opening.holds_for_test(&statement));
}

fn the_challenge_of_the_opening_depends_on_all_that_precedes_it() {
    let honest = proof();
    let statement = verifier_statement(&honest);
    let e = honest.recursive().opening.challenge_for_test(&statement);
    let lies: [fn(&mut OwnedStatement, &mut Proof); 5] = [
        |s, _| s.binding += F::ONE,
        |s, _| s.claim.point[0] += F::ONE,
        |s, _| s.claim.value += F::ONE,
        |_, p| p.recursive_mut().opening.masking_value += F::ONE,
        |_, p| p.recursive_mut().opening.masking = p.recursive().mask,
    ];
    for lie in lies {
        let (mut s, mut p) = (statement.clone(), proof());
        lie(&mut s, &mut p);
        assert_ne!(p.recursive().opening.challenge_for_test(&s), e);
    }
}

fn verifier_statement(proof: &Proof) -> OwnedStatement {
    OwnedStatement {
        model: honest().prover.model_commitment(),
        mask: proof.recursive().mask,
        binding: verifier()
            .binding(&proof.public, &proof.recursive().mask)
            .unwrap(),
        claim: claim_of(proof),
    }
}

fn every_part_of_the_opening_matters() {
    let lies: [fn(&mut Proof); 3] = [
        |p| p.recursive_mut().opening.masking_value += F::ONE,
        |p| p.recursive_mut().opening.blind += F::ONE,
        |p| {
            let argument = p.recursive_mut();
            argument.opening.masking.comm += argument.mask.comm;
        },
    ];
    for lie in lies {
        let mut proof = proof();
        lie(&mut proof);
        assert_eq!(reject(&proof), VerifyError::WeightClaim);
    }
}

// Bytes.

fn rejected_somewhere(bytes: &[u8]) -> bool {
    match Proof::from_bytes(bytes) {
        Err(_) => true,
        Ok(proof) => verifier().verify(&proof).is_err(),
    }
}

fn truncated_bytes_cannot_be_read() {
    let bytes = &honest().bytes;
    for len in (0..bytes.len()).step_by(97).chain([bytes.len() - 1]) {
        assert!(Proof::from_bytes(&bytes[..len]).is_err(), "{len}");
    }
    assert_eq!(
        Proof::from_bytes(&bytes[..bytes.len() - 1]).unwrap_err(),
        DecodeError::Truncated
    );
}

fn trailing_bytes_cannot_be_read() {
    let mut bytes = honest().bytes.clone();
    bytes.push(0);
    assert_eq!(
        Proof::from_bytes(&bytes).unwrap_err(),
        DecodeError::TrailingBytes { count: 1 }
    );
}

fn decoding_and_encoding_gives_the_same_bytes() {
    assert_eq!(proof().to_bytes(), honest().bytes);
}

fn headers_of_other_formats_cannot_be_read() {
    let bytes = &honest().bytes;
    let with = |at: usize, value: u8| {
        let mut other = bytes.clone();
        other[at] = value;
        Proof::from_bytes(&other).unwrap_err()
    };
    assert_eq!(with(0, b'X'), DecodeError::Magic { what: "proof" });
    assert!(matches!(with(8, 9), DecodeError::Version { got: 9, .. }));
    assert!(matches!(with(10, 9), DecodeError::Backend { got: 9, .. }));
    assert!(matches!(with(11, 0), DecodeError::Malformed { .. }));
    // Another kind of proof, once.
    assert!(matches!(with(11, 2), DecodeError::Malformed { .. }));
    assert!(matches!(with(11, 4), DecodeError::Malformed { .. }));
}

fn flipped_bits_are_rejected_without_a_panic() {
    let bytes = &honest().bytes;
    for k in 0..60 {
        let at = (k * 7919 + 13) % bytes.len();
        let mut other = bytes.clone();
        other[at] ^= 1 << (k % 8);
        assert!(rejected_somewhere(&other), "bit {} of byte {at}", k % 8);
    }
}

fn vectors_of_another_length_are_rejected_without_a_panic() {
    // Every byte of the argument that could be the length of a short vector, and the vector with
    // it, made shorter or longer. Most of these do not decode; those that do are refused before
    // the verifier of the recursion sees them.
    let bytes = &honest().bytes;
    let public = bytes.len() - postcard::to_stdvec(&proof().argument).unwrap().len();
    let mut decoded = 0;
    for at in public..bytes.len() {
        let length = usize::from(bytes[at]);
        if !(2..=20).contains(&length) {
            continue;
        }
        for element in [32, 33, 65, 96, 97] {
            let end = at + 1 + element;
            if end > bytes.len() {
                continue;
            }
            for longer in [false, true] {
                let mut other = bytes.clone();
                if longer {
                    other[at] += 1;
                    let copy = bytes[at + 1..end].to_vec();
                    other.splice(at + 1..at + 1, copy);
                } else {
                    other[at] -= 1;
                    other.drain(at + 1..end);
                }
                let Ok(other) = Proof::from_bytes(&other) else {
                    continue;
                };
                decoded += 1;
                assert_eq!(reject(&other), VerifyError::ArgumentShape);
            }
        }
    }
    assert!(decoded > 20, "only {decoded} decoded");
}

fn an_encoding_that_is_not_canonical_cannot_be_read() {
    // The number of steps, as two bytes of a varint.
    let bytes = &honest().bytes;
    let at = 8 + 4 + 64;
    assert_eq!(bytes[at], if of_trace() { 1 } else { 4 });
    let mut other = bytes[..at].to_vec();
    other.extend([0x80 | bytes[at], 0x00]);
    other.extend(&bytes[at + 1..]);
    assert_eq!(
        Proof::from_bytes(&other).unwrap_err(),
        DecodeError::NotCanonical
    );
}

fn lengths_are_bounded_before_anything_is_allocated() {
    // A context that claims to have 2^62 bytes.
    let bytes = &honest().bytes;
    let at = 8 + 4 + 64 + 3;
    assert_eq!(bytes[at], 7);
    let mut other = bytes[..at].to_vec();
    other.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f]);
    other.extend(&bytes[at + 1..]);
    assert!(Proof::from_bytes(&other).is_err());
    // A context over its limit, and more bytes than any proof has.
    let mut longer = proof();
    longer.public.context = vec![7; (1 << 16) + 1];
    assert!(matches!(
        Proof::from_bytes(&longer.to_bytes()).unwrap_err(),
        DecodeError::TooLong {
            what: "context",
            ..
        }
    ));
    assert!(matches!(
        Proof::from_bytes(&vec![0; (1 << 26) + 1]).unwrap_err(),
        DecodeError::TooLong { what: "proof", .. }
    ));
    // An argument that is too long to be one.
    let mut other = bytes.clone();
    other.extend(vec![0; if of_trace() { 1 << 20 } else { 1 << 16 }]);
    assert!(matches!(
        Proof::from_bytes(&other).unwrap_err(),
        DecodeError::TooLong {
            what: "argument",
            ..
        }
    ));
}

fn the_identity_as_the_commitment_to_the_mask_cannot_be_read() {
    let mut lie = proof();
    lie.recursive_mut().mask = Default::default();
    assert!(matches!(
        Proof::from_bytes(&lie.to_bytes()).unwrap_err(),
        DecodeError::Malformed { .. }
    ));
}

#[test]
fn model_commitments_are_read_only_in_canonical_form() {
    let commitment = honest().prover.model_commitment();
    let bytes = commitment.to_bytes();
    assert_eq!(ModelCommitment::from_bytes(&bytes).unwrap(), commitment);
    for len in 0..bytes.len() {
        assert!(ModelCommitment::from_bytes(&bytes[..len]).is_err());
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(matches!(
        ModelCommitment::from_bytes(&longer).unwrap_err(),
        DecodeError::TrailingBytes { count: 1 }
    ));
    // The identity in place of the last row.
    let mut other = bytes.clone();
    let len = other.len();
    other[len - 32..].fill(0);
    assert!(ModelCommitment::from_bytes(&other).is_err());
    for at in 0..bytes.len() {
        let mut other = bytes.clone();
        other[at] ^= 0x80;
        if let Ok(other) = ModelCommitment::from_bytes(&other) {
            assert_ne!(other.digest(), commitment.digest());
        }
    }
}
