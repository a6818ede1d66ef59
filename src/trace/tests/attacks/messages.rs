//! Every scalar of every message, every byte of a proof, and sizes at which phases have no rounds.

use ff::Field;
use halo2curves::pasta::PallasAffine;

use super::prover::*;
use crate::{
    backend::F,
    trace::{TraceError, TraceProof, argument::choose_bits, tree::top_bits},
    weights::element_bytes,
};

/// Messages as they are sent: rows before, and scalars.
fn messages(bench: &Bench) -> Vec<(usize, usize)> {
    let prepared = bench.prepared();
    let committed = bench.honest(&prepared);
    let mut out = Vec::new();
    let lies = Lies {
        scalars: Some(Box::new(|before, values: &mut Vec<F>| {
            out.push((before, values.len()));
        })),
        ..Lies::default()
    };
    bench.prove(&prepared, &committed, lies).unwrap();
    out
}

/// Changes every `step`-th scalar of every message; all else is as it follows.
fn every_scalar_is_bound(bench: &Bench, step: usize) {
    let prepared = bench.prepared();
    let committed = bench.honest(&prepared);
    let all = messages(bench).into_iter();
    let all = all.flat_map(|(before, count)| (0..count).map(move |k| (before, k)));
    for (before, k) in all.step_by(step) {
        let lies = Lies {
            scalars: Some(Box::new(move |at, values: &mut Vec<F>| {
                if at == before {
                    values[k] += F::ONE;
                }
            })),
            ..Lies::default()
        };
        assert!(
            !bench.accepts(&prepared, &committed, lies),
            "scalar {k} after {before} rows is free"
        );
    }
}

#[test]
fn every_scalar_of_a_product_of_registers_is_bound() {
    every_scalar_is_bound(&Bench::new(&recurrent(), 1, true), 1);
}

#[test]
fn every_scalar_of_several_frames_is_bound() {
    every_scalar_is_bound(&Bench::new(&layer(1, 2), 3, false), 2);
}

/// What a prover adds to two ends of a product so that their own equation holds.
#[test]
fn ends_of_products_are_claims_too() {
    // The last message before the gates: V_B, B, and factors of the product with their product.
    let bench = Bench::new(&recurrent(), 3, true);
    let prepared = bench.prepared();
    let committed = bench.honest(&prepared);
    let messages = messages(&bench);
    let at = messages.iter().rposition(|(_, count)| *count == 5).unwrap();
    let ends = messages[at].0;
    for which in 0..3 {
        let lies = Lies {
            scalars: Some(Box::new(move |before, values: &mut Vec<F>| {
                if before != ends {
                    return;
                }
                let (two, half) = (F::from(2), F::from(2).invert().unwrap());
                match which {
                    // V_B·B is as it was.
                    0 => {
                        values[0] *= two;
                        values[1] *= half;
                    }
                    // L·R is as it was.
                    1 => {
                        values[2] *= two;
                        values[3] *= half;
                    }
                    // L·R = t, and t another.
                    _ => {
                        values[2] += F::ONE;
                        values[4] = values[2] * values[3];
                    }
                }
            })),
            ..Lies::default()
        };
        assert!(!bench.accepts(&prepared, &committed, lies), "{which}");
    }
}

/// Sizes at which something is as small as it can be.
#[test]
fn boundary_sizes_verify() {
    // Program, frames, public, and whether N = c, and N_L = h.
    let cases = [
        (lookup(1), 1, true, false, true),
        (lookup(1), 1, false, false, true),
        (lookup(3), 1, true, false, true),
        (lookup(5), 1, true, false, true),
        (lookup(3), 3, true, false, false),
        (sum(), 1, true, true, true),
        (sum(), 5, true, true, true),
        (layer(1, 1), 1, true, false, false),
        (layer(1, 1), 5, false, false, false),
        (wide(), 3, false, false, false),
        (network(), 7, true, false, false),
        (recurrent(), 1, false, false, false),
        (classifier(), 3, true, false, false),
    ];
    for (k, (program, frames, shown, one_row, top_is_leaves)) in cases.into_iter().enumerate() {
        let mut bench = Bench::new(&program, frames, shown);
        for own_rows in [false, true] {
            bench.own_rows = own_rows;
            for bits in [(7, 2), (7, 7), (9, 2), (10, 6)] {
                bench.bits = bits;
                let prepared = bench.prepared();
                let layout = &prepared.layout;
                if bits == (7, 2) {
                    let h = top_bits(layout.leaf_bits);
                    assert!(!top_is_leaves || layout.leaf_bits == h, "{k}");
                    assert!(!one_row || layout.trace_bits == layout.row_bits, "{k}");
                }
                let committed = bench.honest(&prepared);
                assert!(
                    bench.accepts(&prepared, &committed, Lies::default()),
                    "{k} {bits:?} {own_rows}"
                );
            }
        }
    }
}

/// The same sizes with an error: a phase that has no rounds binds its claim all the same.
#[test]
fn boundary_sizes_bind() {
    for (program, frames) in [(lookup(1), 1), (sum(), 1), (lookup(3), 1)] {
        let mut bench = Bench::new(&program, frames, true);
        bench.case.outputs[0] += 1;
        let prepared = bench.prepared();
        let committed = bench.honest(&prepared);
        assert!(!bench.accepts(&prepared, &committed, Lies::default()));
    }
    every_scalar_is_bound(&Bench::new(&sum(), 1, true), 3);
    every_scalar_is_bound(&Bench::new(&lookup(1), 1, true), 3);
}

/// A proof, and its verdict on other bytes.
struct Bytes {
    bench: Bench,
    inputs: Vec<i64>,
    digests: [Option<[u8; 32]>; 2],
    proof: TraceProof,
    rows: usize,
}

impl Bytes {
    fn new(bench: Bench) -> Self {
        let prepared = bench.prepared();
        let committed = bench.honest(&prepared);
        let proof = bench.prove(&prepared, &committed, Lies::default()).unwrap();
        let this = Self {
            inputs: bench.case.frames.concat(),
            digests: bench.digests(&prepared, &committed),
            rows: prepared.layout.rows.len(),
            proof,
            bench,
        };
        assert_eq!(this.verify(&this.proof), Ok(()));
        this
    }

    fn verify(&self, proof: &TraceProof) -> Result<(), TraceError> {
        let statement = self.bench.statement(&self.digests, &self.inputs);
        self.bench.check(&statement, proof)
    }

    fn with(&self, change: impl FnOnce(&mut Vec<u8>)) -> Result<(), TraceError> {
        let mut proof = self.proof.clone();
        change(&mut proof.body);
        self.verify(&proof)
    }
}

#[test]
fn every_byte_counts() {
    let bytes = Bytes::new(Bench::new(&layer(1, 1), 2, false));
    let len = bytes.proof.body.len();
    // One byte of every element, another in each.
    for element in 0..len / 32 {
        let at = 32 * element + (element * 11) % 32;
        let bit = 1 << (element % 8);
        let got = bytes.with(|body| body[at] ^= bit);
        assert!(got.is_err(), "byte {at}");
    }
    // The sign of a point, and the top bits of an element.
    for element in 0..len / 32 {
        if element % 3 == 0 {
            assert!(bytes.with(|body| body[32 * element + 31] ^= 0x80).is_err());
        }
    }
}

#[test]
fn lengths_other_than_that_of_the_proof_are_refused() {
    let bytes = Bytes::new(Bench::new(&layer(1, 1), 2, false));
    let len = bytes.proof.body.len();
    for cut in [0, 1, 31, 32, 33, len / 2, len - 33, len - 32, len - 1] {
        assert_eq!(
            bytes.with(|body| body.truncate(cut)),
            Err(TraceError::Shape)
        );
    }
    for more in [1, 31, 32, 64] {
        let surplus = |body: &mut Vec<u8>| body.extend(vec![0; more]);
        assert_eq!(bytes.with(surplus), Err(TraceError::Shape));
    }
    // An element left out, one twice, two exchanged.
    for element in (0..len / 32 - 1).step_by(5) {
        let at = 32 * element;
        assert!(bytes.with(|body| drop(body.drain(at..at + 32))).is_err());
        assert!(
            bytes
                .with(|body| body.copy_within(at..at + 32, at + 32))
                .is_err()
        );
        let got = bytes.with(|body| {
            let (low, high) = body.split_at_mut(at + 32);
            low[at..].swap_with_slice(&mut high[..32]);
        });
        assert!(got.is_err(), "{element}");
    }
}

#[test]
fn points_and_elements_are_canonical() {
    let bytes = Bytes::new(Bench::new(&layer(1, 1), 2, false));
    let len = bytes.proof.body.len();
    // What is all zero is the identity as a point, and an element like others.
    let identity = [0u8; 32];
    // The size of the field of scalars, and what is no coordinate.
    let mut size = element_bytes(&-F::ONE);
    size[0] += 1;
    for other in [identity, size, [0xff; 32]] {
        for element in 0..len / 32 {
            let at = 32 * element;
            let got = bytes.with(|body| body[at..at + 32].copy_from_slice(&other));
            assert!(got.is_err(), "{element}");
        }
    }
    // Points of the rows, and the last elements, are of the right kind.
    for (at, other) in [(0, identity), (len - 32, size), (len - 32, [0xff; 32])] {
        assert!(bytes.rows > 0);
        let got = bytes.with(|body| body[at..at + 32].copy_from_slice(&other));
        assert_eq!(got, Err(TraceError::Shape));
    }
    // An element and the size of the field more.
    let last: [u8; 32] = bytes.proof.body[len - 32..].try_into().unwrap();
    let mut carry = 0u16;
    let mut sum = last;
    for (x, y) in sum.iter_mut().zip(size) {
        carry += u16::from(*x) + u16::from(y);
        *x = carry as u8;
        carry >>= 8;
    }
    let got = bytes.with(|body| body[len - 32..].copy_from_slice(&sum));
    assert_eq!(got, Err(TraceError::Shape));
}

#[test]
fn no_point_of_a_prover_is_the_identity() {
    let bench = Bench::new(&layer(1, 1), 2, true);
    let prepared = bench.prepared();
    let committed = bench.honest(&prepared);
    for name in ["Z", "message", "values", "fold", "masks", "cross", "mask"] {
        let lies = Lies {
            points: Some(Box::new(move |got, _, points: &mut Vec<PallasAffine>| {
                if got == name {
                    points[0] = PallasAffine::default();
                }
            })),
            ..Lies::default()
        };
        let proof = bench.prove(&prepared, &committed, lies).unwrap();
        assert_eq!(
            bench.verify(&prepared, &committed, &proof),
            Err(TraceError::Shape),
            "{name}"
        );
    }
}

#[test]
fn bits_of_rows_and_of_the_tail_are_bound() {
    let bytes = Bytes::new(Bench::new(&layer(1, 1), 2, false));
    let tried = [0, 1, 6, 7, 8, 9, 15, 31, 32, 63, 64, 128, 255];
    for row_bits in tried {
        for tail_bits in [0, 1, 2, 3, 7, 8, 9, 64, 255] {
            let proof = TraceProof {
                row_bits,
                tail_bits,
                body: bytes.proof.body.clone(),
            };
            let right = (row_bits, tail_bits) == (bytes.proof.row_bits, bytes.proof.tail_bits);
            assert_eq!(
                bytes.verify(&proof).is_ok(),
                right,
                "{row_bits} {tail_bits}"
            );
        }
    }
}

/// The prover's own choice of both is one that the verifier takes.
#[test]
fn bits_that_a_prover_chooses_are_taken() {
    for (program, frames) in [(network(), 40), (wide(), 5)] {
        let mut bench = Bench::new(&program, frames, true);
        let least = bench.bank.commitment().column_bits() as usize;
        let system = bench.case.system(true).unwrap();
        bench.bits = choose_bits(&system, false, least, false).unwrap();
        let prepared = bench.prepared();
        let committed = bench.honest(&prepared);
        assert!(bench.accepts(&prepared, &committed, Lies::default()));
    }
}
