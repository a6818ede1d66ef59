//! What two proofs of one statement have in common.

use std::collections::HashSet;

use ff::Field;
use layerfold_gadgets::mle::eq_evals;

use super::fixtures::{Bench, bank, frame, of_kind, of_trace, prover, relu_network};
use crate::{
    Proof, Visibility, backend::F, proof::Argument, recursive::Schedule, weights::SplitPoint,
};

/// All windows of 32 bytes that could hold a point or an element: anything not mostly zero.
fn chunks(bytes: &[u8]) -> HashSet<&[u8]> {
    bytes
        .windows(32)
        .filter(|w| w.iter().filter(|b| **b != 0).count() > 16)
        .collect()
}

in_both_kinds!(two_proofs_of_one_statement_share_no_commitment_and_no_element);

fn two_proofs_of_one_statement_share_no_commitment_and_no_element() {
    let prover = prover(&relu_network(&[6, 5, 3]), Schedule::WholeNetwork, 1);
    let x = frame(6, 1);
    let prove = || {
        let visibility = Visibility::private_inputs().public_outputs();
        let mut session = of_kind(prover.session(visibility).unwrap());
        session.push_integers(&x).unwrap();
        session.finish().unwrap()
    };
    let (a, b): (Proof, Proof) = (prove(), prove());
    if let (Argument::Recursive(a), Argument::Recursive(b)) = (&a.argument, &b.argument) {
        assert_ne!(a.value, b.value);
        assert!(a.point.iter().zip(&b.point).all(|(a, b)| a != b));
    }
    let encode = |p: &Proof| postcard::to_stdvec(&p.argument).unwrap();
    let (a, b) = (encode(&a), encode(&b));
    assert!(a.len() > if of_trace() { 1_000 } else { 5_000 });
    assert_eq!(chunks(&a).intersection(&chunks(&b)).count(), 0);
}

#[test]
fn the_digest_of_a_private_input_is_salted() {
    let program = relu_network(&[6, 5, 3]).program().unwrap();
    let bank = bank(&program, 1);
    let bench = Bench::new(program, bank);
    let run = bench.run();
    let trace = bench.trace(&run, &frame(6, 1));
    let a = bench.prepare(&run, &trace).next.state;
    let again = bench.prepare(&run, &trace).next.state;
    // The salts belong to the session.
    assert_eq!(a.inputs, again.inputs);
    let bench = bench.with_visibility(Visibility::private_inputs().public_outputs());
    let b = bench.prepare(&run, &trace).next.state;
    assert_ne!(a.inputs, b.inputs);
    // Outputs are public here: no salt, or the verifier could not recompute the digest.
    assert_eq!(a.outputs, b.outputs);
    assert_ne!(a.claim.point, b.claim.point);
}

#[test]
fn mask_coefficients_of_several_proofs_of_one_session_are_independent() {
    // Each proof of a session reveals one linear functional of its mask. As long as those are
    // linearly independent, the values revealed are jointly uniform.
    let program = relu_network(&[6, 5, 3]).program().unwrap();
    let bank = bank(&program, 1);
    let bench = Bench::new(program, bank);
    let dimensions = bench.program.bank();
    let run = bench.run();
    let trace = bench.trace(&run, &frame(6, 1));
    let coefficients = bench.mask.row.len();
    let mut rows: Vec<Vec<F>> = (0..coefficients)
        .map(|_| {
            let claim = bench.prepare(&run, &trace).next.state.claim;
            let p = SplitPoint::new(&claim.point, &dimensions).unwrap();
            let rest = p.l.iter().chain(p.i).map(|x| F::ONE - x);
            let scale = rest.fold(p.t, |product, x| product * x);
            eq_evals(p.j)[..coefficients]
                .iter()
                .map(|e| scale * e)
                .collect()
        })
        .collect();
    assert_eq!(rank(&mut rows), coefficients);
}

fn rank(rows: &mut [Vec<F>]) -> usize {
    let mut rank = 0;
    for column in 0..rows[0].len() {
        let Some(pivot) = (rank..rows.len()).find(|r| !bool::from(rows[*r][column].is_zero()))
        else {
            continue;
        };
        rows.swap(rank, pivot);
        let inverse = rows[rank][column].invert().unwrap();
        let pivot = rows[rank].clone();
        for row in rows[rank + 1..].iter_mut() {
            let factor = row[column] * inverse;
            for (x, p) in row.iter_mut().zip(&pivot) {
                *x -= factor * p;
            }
        }
        rank += 1;
    }
    rank
}

#[test]
fn commitments_to_one_model_differ() {
    let shape = relu_network(&[6, 5, 3]);
    let a = prover(&shape, Schedule::WholeNetwork, 1);
    let b = prover(&shape, Schedule::WholeNetwork, 1);
    assert_ne!(a.model_commitment().digest(), b.model_commitment().digest());
}

/// Two preparations of one step of a bench, with everything public that can be.
fn twice(
    schedule: Schedule,
    visibility: Visibility,
) -> [crate::recursive::prover::PreparedStep; 2] {
    let program = relu_network(&[6, 5, 3]).program().unwrap();
    let bank = bank(&program, 1);
    let bench = Bench::scheduled(program, schedule, bank).with_visibility(visibility);
    let run = bench.run();
    let trace = bench.trace(&run, &frame(6, 1));
    let one = bench.prepare(&run, &trace);
    // Another session.
    let bench = bench.with_visibility(visibility);
    [one, bench.prepare(&run, &trace)]
}

#[test]
fn the_published_point_is_salted_even_if_everything_else_is_public() {
    let visibility = Visibility::public_inputs().public_outputs();
    let [a, b] = twice(Schedule::WholeNetwork, visibility);
    assert_eq!(a.next.state.inputs, b.next.state.inputs);
    assert_ne!(a.next.state.claim.point, b.next.state.claim.point);
}

#[test]
fn the_digest_of_a_hidden_output_is_salted() {
    let [a, b] = twice(Schedule::WholeNetwork, Visibility::public_inputs());
    assert_eq!(a.next.state.inputs, b.next.state.inputs);
    assert_ne!(a.next.state.outputs, b.next.state.outputs);
}

#[test]
fn the_digest_of_the_carried_vector_is_salted() {
    let [a, b] = twice(Schedule::LayersPerStep(1), Visibility::public_inputs());
    assert_eq!(a.next.carried, b.next.carried);
    assert_ne!(a.next.z[0], b.next.z[0]);
}

#[test]
fn the_published_value_is_masked() {
    let program = relu_network(&[6, 5, 3]).program().unwrap();
    let bank = bank(&program, 1);
    let mut bench = Bench::new(program, bank);
    let run = bench.run();
    let claim = bench
        .prepare(&run, &bench.trace(&run, &frame(6, 1)))
        .next
        .state
        .claim;
    assert!(bench.claim_holds(&claim));
    // Every coefficient of the mask counts.
    assert!(bench.mask.row.len() > 1);
    for k in 0..bench.mask.row.len() {
        let kept = std::mem::replace(&mut bench.mask.row[k], F::ZERO);
        assert_ne!(kept, F::ZERO);
        assert!(!bench.claim_holds(&claim));
        bench.mask.row[k] = kept;
    }
}

#[test]
fn two_openings_of_one_claim_share_nothing() {
    let prover = prover(&relu_network(&[6, 5, 3]), Schedule::WholeNetwork, 1);
    let dimensions = prover.params.program().bank();
    let commitment = prover.model_commitment();
    let mask = crate::weights::Mask::random(&dimensions, commitment.column_bits());
    let claim = crate::weights::WeightClaim::initial(&dimensions);
    let open = || {
        let statement = crate::weights::OpeningStatement {
            model: &commitment,
            mask: mask.commit(prover.bank.key()),
            binding: F::ONE,
            claim: &claim,
        };
        crate::weights::OpeningProof::prove(&prover.bank, &mask, &statement).unwrap()
    };
    let [a, b] = [open(), open()].map(|o| postcard::to_stdvec(&o).unwrap());
    assert_eq!(chunks(&a).intersection(&chunks(&b)).count(), 0);
}
