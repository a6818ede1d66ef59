//! What proofs do not show.

use std::collections::{HashMap, HashSet};

use ff::Field;
use halo2curves::{
    group::{Curve, Group},
    pasta::PallasAffine,
};
use rand_core::OsRng;

use super::{
    attacks::prover::{
        Bench, Lies, bank_of, case_of, classifier, frames_of, layer, network, recurrent, wide,
    },
    lowering::{Case, case, parameters_of},
};
use crate::{
    backend::{CommitmentKey, E1, F, generators::BANK_LABEL},
    curve::msm::msm,
    program::{Emission, interpreter::Interpreter},
    trace::{
        RowKind,
        digest::{block_digest, row_blind},
        key::MessageKey,
    },
    weights::from_i64,
};

fn elements(body: &[u8]) -> HashSet<[u8; 32]> {
    let elements: HashSet<[u8; 32]> = body.chunks(32).map(|x| x.try_into().unwrap()).collect();
    assert_eq!(elements.len(), body.len() / 32, "one element occurs twice");
    elements
}

/// Two proofs of one statement share the rows that its digests are of, and nothing else.
#[test]
fn proofs_of_one_statement_share_no_element() {
    for shown in [true, false] {
        let bench = Bench::new(&recurrent(), 3, shown);
        let prepared = bench.prepared();
        let mut seen = HashSet::new();
        let of_digests = (prepared.layout.rows.iter())
            .filter(|(_, kind)| kind.is_some())
            .count();
        assert_eq!(of_digests == 0, shown);
        for _ in 0..3 {
            let committed = bench.honest(&prepared);
            let proof = bench.prove(&prepared, &committed, Lies::default()).unwrap();
            let own = elements(&proof.body);
            if !seen.is_empty() {
                assert_eq!(own.intersection(&seen).count(), of_digests);
            }
            seen.extend(own);
        }
    }
}

/// A copy of a prover that goes on from the commitments shares these, and nothing else.
#[test]
fn proofs_from_one_commitment_share_its_rows_alone() {
    let bench = Bench::new(&network(), 3, true);
    let prepared = bench.prepared();
    let committed = bench.honest(&prepared);
    let proofs = [(); 2].map(|()| {
        let proof = bench.prove(&prepared, &committed, Lies::default());
        elements(&proof.unwrap().body)
    });
    let shared = proofs[0].intersection(&proofs[1]).count();
    // The first message depends on the rows alone: its scalars are the same, its blinds are not.
    assert_eq!(shared, prepared.layout.rows.len());
}

/// `f = d + e·w`: with one `d` and two challenges, `w` is a quotient of what is shown. Both proofs
/// hold: no verifier can tell, so provers draw `d` anew, as the tests above say.
#[test]
fn one_mask_for_two_proofs_would_reveal_the_messages() {
    let key = MessageKey::get();
    let random = || F::random(OsRng);
    let (w, d): (Vec<F>, Vec<F>) = (0..16).map(|_| (random(), random())).unzip();
    let (blind, eta) = (random(), random());
    let (row, mask) = (key.commit(&w, &blind), key.commit(&d, &eta));
    let shown = [random(), random()].map(|e| {
        let f: Vec<F> = d.iter().zip(&w).map(|(d, w)| *d + e * w).collect();
        let t = eta + e * blind;
        // ⟨f, G⟩ + t·H = D + e·M
        assert_eq!(key.commit(&f, &t), (mask + row * e).to_affine());
        (e, f)
    });
    let [(e, f), (other_e, other_f)] = shown;
    let inverse = (e - other_e).invert().unwrap();
    let found: Vec<F> = (f.iter().zip(&other_f))
        .map(|(a, b)| (*a - b) * inverse)
        .collect();
    assert_eq!(found, w);
}

/// With one dummy gate, `c` follows from `a`, `b` and what the other gates come to, so that a guess
/// of these could be tested; with two it does not.
#[test]
fn one_dummy_gate_would_not_hide() {
    let random = || F::random(OsRng);
    // What the other gates come to at the point, and the weights of the dummies there.
    let others = [random(), random(), random()];
    let (e_1, e_2) = (random(), random());
    let (a, b) = (random(), random());
    // All dummies that give a and b: the first, and the second that is left.
    let shown = |x: F, y: F, two: bool| {
        let (left, right) = (a - others[0], b - others[1]);
        if !two {
            let inverse = e_1.invert().unwrap();
            return others[2] + e_1 * (left * inverse) * (right * inverse);
        }
        let inverse = e_2.invert().unwrap();
        let (x_2, y_2) = ((left - e_1 * x) * inverse, (right - e_1 * y) * inverse);
        others[2] + e_1 * x * y + e_2 * x_2 * y_2
    };
    let (x, y) = (random(), random());
    let (other_x, other_y) = (random(), random());
    assert_eq!(shown(x, y, false), shown(other_x, other_y, false));
    assert_ne!(shown(x, y, true), shown(other_x, other_y, true));

    // A prover sends two, of numbers that he draws for each proof.
    let bench = Bench::new(&network(), 1, true);
    let prepared = bench.prepared();
    let mut seen = HashSet::new();
    for _ in 0..2 {
        let committed = bench.honest(&prepared);
        let mut dummies = Vec::new();
        let lies = Lies {
            scalars: Some(Box::new(|_, values: &mut Vec<F>| {
                if let [x_1, y_1, z_1, x_2, y_2, z_2] = values[..] {
                    assert_eq!([x_1 * y_1, x_2 * y_2], [z_1, z_2]);
                    dummies.extend([x_1, y_1, x_2, y_2]);
                }
            })),
            ..Lies::default()
        };
        bench.prove(&prepared, &committed, lies).unwrap();
        assert_eq!(dummies.len(), 4);
        for x in dummies {
            assert!(seen.insert(crate::weights::element_bytes(&x)));
        }
    }
}

/// `Σ entries[a]·G_a + blind·H`.
fn row(entries: &[i64], blind: &F) -> PallasAffine {
    let key = CommitmentKey::<E1>::of_label(BANK_LABEL, entries.len());
    let mut scalars: Vec<F> = entries.iter().map(|x| from_i64(*x)).collect();
    let mut bases = key.generators()[..entries.len()].to_vec();
    scalars.push(*blind);
    bases.push(*key.blinding_generator());
    msm(&scalars, &bases).to_affine()
}

/// Whether the difference of two rows is that of their entries, without any blind: then whoever sees
/// both can test guesses of it.
fn differ_openly(a: (&[i64], &F), b: (&[i64], &F)) -> bool {
    let difference: Vec<i64> = a.0.iter().zip(b.0).map(|(x, y)| x - y).collect();
    let points = row(a.0, a.1) - row(b.0, b.1);
    (points - row(&difference, &F::ZERO)).is_identity().into()
}

#[test]
fn blinds_of_digests_belong_to_one_content_and_place() {
    let salt = F::random(OsRng);
    let contents = [vec![1, 2, 3, 0], vec![1, 2, 4, 0], vec![0; 4]];
    let mut all = Vec::new();
    for kind in [RowKind::Input, RowKind::Output] {
        for number in 0..2 {
            for entries in &contents {
                all.push((entries.as_slice(), row_blind(&salt, kind, number, entries)));
            }
        }
    }
    for (k, a) in all.iter().enumerate() {
        for b in &all[..k] {
            assert!(!differ_openly((a.0, &a.1), (b.0, &b.1)));
        }
    }
    // The test would find one blind for two contents.
    assert!(differ_openly((all[0].0, &salt), (all[1].0, &salt)));
    // Entries that are left out are not zeros.
    let long = row_blind(&salt, RowKind::Input, 0, &[1, 2, 0, 0]);
    assert_ne!(long, row_blind(&salt, RowKind::Input, 0, &[1, 2]));
}

/// The blinds of a prover's rows: for two contents under one salt, rows of one frame, frames of one
/// run, equal frames too.
#[test]
fn no_two_rows_of_a_prover_have_one_blind() {
    for program in [wide(), network()] {
        for own_rows in [true, false] {
            let len = program.frame().len as usize;
            // The second run differs in one entry of its last frame; two frames are equal.
            let frames = vec![vec![0; len], vec![0; len], vec![5; len]];
            let mut other = frames.clone();
            other[2][0] = 6;
            let salt = F::random(OsRng);
            // By blind, which run, row and entries it is of.
            let mut seen = HashMap::new();
            for (k, frames) in [frames, other].into_iter().enumerate() {
                let case = case_of(&program, bank_of(&program, 1), frames);
                let mut bench = Bench::of(case, false);
                bench.own_rows = own_rows;
                bench.salt = salt;
                let prepared = bench.prepared();
                let committed = bench.honest(&prepared);
                let width = 1 << prepared.layout.row_bits;
                for ((at, kind), blind) in prepared.layout.rows.iter().zip(&committed.blinds) {
                    let entries = committed.trace[*at as usize * width..][..width].to_vec();
                    let blind = crate::weights::element_bytes(blind);
                    if let Some((run, row, before)) = seen.insert(blind, (k, *at, entries.clone()))
                    {
                        // The same vectors at the same place, in both runs.
                        assert!(kind.is_some() && run != k && row == *at);
                        assert_eq!(before, entries);
                    }
                }
            }
        }
    }
}

/// A digest is of the vectors as an attestor commits to them: nothing else is in the prover's rows.
#[test]
fn digests_are_those_of_the_vectors() {
    for own_rows in [true, false] {
        let mut bench = Bench::new(&wide(), 3, false);
        bench.own_rows = own_rows;
        let prepared = bench.prepared();
        let committed = bench.honest(&prepared);
        let [inputs, _] = bench.digests(&prepared, &committed);
        let shape = bench.case.program.frame_shape();
        let blocks: Vec<[u8; 32]> = (bench.case.frames.iter().enumerate())
            .map(|(k, frame)| {
                let salt = bench.salt + F::from(2 * k as u64);
                block_digest(
                    &shape,
                    RowKind::Input,
                    own_rows,
                    std::slice::from_ref(frame),
                    &salt,
                )
            })
            .collect();
        assert_eq!(inputs, Some(crate::trace::run_digest(3, &blocks)));
    }
}

/// The length of a proof, and what it says of its layout, follow from program and statement.
#[test]
fn proofs_of_one_program_have_one_length() {
    for program in [network(), recurrent(), classifier(), layer(2, 2)] {
        let mut lengths = HashSet::new();
        let len = program.frame().len as usize;
        let frames = [
            frames_of(&program, 3),
            vec![vec![0; len]; 3],
            vec![vec![-128; len]; 3],
        ];
        for (k, frames) in frames.into_iter().enumerate() {
            let bank = bank_of(&program, k as i64);
            let bench = Bench::of(case_of(&program, bank, frames), false);
            let prepared = bench.prepared();
            let committed = bench.honest(&prepared);
            let proof = bench.prove(&prepared, &committed, Lies::default()).unwrap();
            lengths.insert((proof.body.len(), prepared.layout.rows.clone()));
        }
        assert_eq!(lengths.len(), 1);
    }
}

/// The frames of a case exchanged for others, and what follows from them.
fn with_frames(case: &Case, frames: Vec<Vec<i64>>) -> Case {
    let parameters = parameters_of(&case.program);
    let program = case.program.clone();
    let mut interpreter = Interpreter::with_parameters(&program, &case.bank, &parameters).unwrap();
    let mut outputs = Vec::new();
    for frame in &frames {
        let output = interpreter.push(frame).unwrap();
        if program.emission() == Emission::Last {
            outputs.clear();
        }
        outputs.extend(output);
    }
    Case {
        initial: case.initial.clone(),
        bank: case.bank.clone(),
        program,
        frames,
        outputs,
    }
}

/// A refusal would tell of the weights: every input in range has a proof.
#[test]
fn every_input_in_range_has_a_proof() {
    let (mut tried, mut proved) = (0, 0);
    for seed in 0..6000 {
        let Some(random) = case(seed, 4) else {
            continue;
        };
        if random.system(false).is_none() {
            continue;
        }
        let (len, count) = (random.frames[0].len(), random.frames.len());
        let half = 1i64 << (random.program.frame().width - 1);
        for entry in [-half, half - 1, 0, -1] {
            let case = with_frames(&random, vec![vec![entry; len]; count]);
            let system = case.system(false).unwrap();
            let witness = case.witness(&system);
            let wrong = system.violations(&case.bank, &witness.columns, &witness.rows);
            assert_eq!(wrong, Vec::<String>::new(), "seed {seed}, entries {entry}");
            tried += 1;
            if tried % 100 == 0 {
                let bench = Bench::of(case, false);
                let prepared = bench.prepared();
                let committed = bench.honest(&prepared);
                assert!(bench.accepts(&prepared, &committed, Lies::default()));
                proved += 1;
            }
        }
        if tried >= 2000 {
            break;
        }
    }
    assert!(tried > 500 && proved > 5, "{tried} {proved}");
}
