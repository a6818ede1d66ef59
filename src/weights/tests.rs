//! A map stored sparse is the map stored dense, in everything that is done with it.

use ff::Field;
use halo2curves::group::Curve;
use nova_snark::traits::commitment::CommitmentEngineTrait;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    commitment::CommittedBank,
    delayed::from_i64,
    opening::OwnedStatement,
    sumcheck::{AffineInstance, Product, prover},
    *,
};
use crate::{
    ErrorKind,
    backend::{E1, Pedersen},
    program::{Activation, LayerShape, NetworkShape, Program},
};

/// Programs of these widths, and random weights of which one in `one_in` is not zero, in both forms.
fn banks(widths: &[u32], one_in: u32) -> (Program, [WeightBank; 2]) {
    let layers = widths.windows(2).map(|w| LayerShape {
        inputs: w[0],
        outputs: w[1],
        activation: Activation::Relu,
    });
    let network = NetworkShape {
        reads: Vec::new(),
        layers: layers.collect(),
        tables: vec![],
        width: 8,
        bits: 48,
        shift: 6,
    };
    let program = network.program().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(u64::from(one_in));
    let (mut dense, mut sparse) = (Vec::new(), Vec::new());
    for map in program.maps() {
        let (rows, columns) = (map.rows as usize, map.columns as usize);
        let weights: Vec<i16> = (0..rows * columns)
            .map(|k| match rng.gen_range(0..one_in) {
                0 if k % 5 == 0 => [i16::MIN, i16::MAX][k % 2],
                0 => rng.gen_range(-300..=300),
                _ => 0,
            })
            .collect();
        let bias: Vec<i64> = (0..rows)
            .map(|i| match i % 3 {
                0 => rng.gen_range(-5..5),
                1 => 0,
                _ => rng.gen_range(-(1i64 << 40)..1 << 40),
            })
            .collect();
        let entries = weights
            .chunks(columns)
            .map(|row| (0..).zip(row.iter().copied()));
        sparse.push(AffineMap::sparse(columns, entries, bias.clone()).unwrap());
        dense.push(AffineMap::new(columns, weights, bias).unwrap());
    }
    let banks = [dense, sparse].map(|maps| WeightBank::new(maps).unwrap());
    (program, banks)
}

/// Rows shorter than a committed row and longer ones, several maps in one row; few and many weights.
fn cases() -> Vec<(Program, [WeightBank; 2])> {
    vec![
        banks(&[40, 30, 5], 9),
        banks(&[700, 10], 20),
        banks(&[3, 300], 2),
        banks(&[900, 4], 1),
        banks(&[9, 9, 9, 9, 9], 30),
    ]
}

#[test]
fn equal_by_content() {
    for (_, [dense, sparse]) in cases() {
        assert_eq!(dense, sparse);
        assert_eq!(sparse, dense);
        assert_eq!(sparse, sparse.clone());
        for (a, b) in dense.maps().iter().zip(sparse.maps()) {
            for i in 0..a.rows() {
                assert_eq!(a.dense_row(i), b.dense_row(i));
                assert!(a.row(i).entries().eq(b.row(i).entries()));
                assert!(b.row(i).weights().iter().all(|w| *w != 0));
            }
        }
    }
    let map = |w| AffineMap::sparse(3, [[(1, w)]], vec![7]).unwrap();
    assert_ne!(map(4), map(5));
    assert_ne!(map(0), map(5));
    assert_eq!(map(0), AffineMap::new(3, vec![0; 3], vec![7]).unwrap());
    assert_eq!(format!("{:?}", map(4)), "AffineMap(1×3, redacted)");
    assert_eq!(format!("{:?}", map(4).row(0)), "Row(redacted)");
}

#[test]
fn sparse_rows_are_checked() {
    let made = |columns, rows: &[&[(u32, i16)]], bias: usize| {
        let rows = rows.iter().map(|row| row.iter().copied());
        AffineMap::sparse(columns, rows, vec![0; bias]).map_err(|e| (e.kind(), e.to_string()))
    };
    assert!(made(4, &[&[(0, 1), (3, 2)], &[]], 2).is_ok());
    for (result, message) in [
        (
            made(4, &[&[(2, 1), (1, 1)]], 1),
            "column of a sparse row, which must ascend: 1 is outside 3..=3",
        ),
        (
            made(4, &[&[(2, 0), (2, 1)]], 1),
            "column of a sparse row, which must ascend: 2 is outside 3..=3",
        ),
        (
            made(4, &[&[(4, 1)]], 1),
            "column of a sparse row, which must ascend: 4 is outside 0..=3",
        ),
        (
            made(4, &[&[]], 2),
            "rows of a sparse map: expected 2, got 1",
        ),
        (
            made(4, &[&[], &[], &[], &[]], 2),
            "rows of a sparse map: expected 2, got 3",
        ),
        (made(0, &[&[]], 1), "affine map is empty"),
        (made(4, &[], 0), "affine map is empty"),
    ] {
        assert_eq!(result.unwrap_err(), (ErrorKind::Input, message.to_owned()));
    }
}

#[test]
fn sums_and_reaches_are_equal() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for (_, [dense, sparse]) in cases() {
        for (a, b) in dense.maps().iter().zip(sparse.maps()) {
            for len in [a.columns(), a.columns() / 2, 0] {
                let x: Vec<i64> = (0..len).map(|_| rng.gen_range(-65535..=65535)).collect();
                let expected: Vec<i128> = (0..a.rows())
                    .map(|i| {
                        let row = a.dense_row(i);
                        let products = row.iter().zip(&x).map(|(w, x)| i64::from(*w) * x);
                        3 + i128::from(a.bias()[i] + products.sum::<i64>())
                    })
                    .collect();
                for map in [a, b] {
                    let mut y = vec![3; a.rows()];
                    map.accumulate(&x, true, &mut y);
                    assert_eq!(y, expected);
                }
            }
            for i in 0..a.rows() {
                let range = crate::program::Range::signed(8);
                assert_eq!(a.extent(i, true, range), b.extent(i, true, range));
            }
        }
    }
}

#[test]
fn commitments_are_what_the_protocol_says_and_equal() {
    for (program, [dense, sparse]) in cases() {
        let seed = BlindingSeed::random();
        let commit = |bank: &WeightBank| {
            CommittedBank::commit(bank.clone(), &program, seed.clone()).unwrap()
        };
        let (a, b) = (commit(&dense), commit(&sparse));
        assert_eq!(a.commitment(), b.commitment());
        assert_eq!(a.blinds_for_test(), b.blinds_for_test());
        // Another map has other blinds.
        let other = {
            let map = &dense.maps()[0];
            let mut bias = map.bias().to_vec();
            bias[0] ^= 1;
            let entries = (0..map.rows()).map(|i| {
                let row = map.row(i).entries();
                row.map(|(j, w)| (j as u32, w)).collect::<Vec<_>>()
            });
            let mut maps = dense.maps().to_vec();
            maps[0] = AffineMap::sparse(map.columns(), entries, bias)
                .unwrap()
                .into();
            commit(&WeightBank::new(maps).unwrap())
        };
        assert_ne!(a.blinds_for_test()[0], other.blinds_for_test()[0]);

        let (dimensions, c) = (program.bank(), a.commitment().column_bits());
        let mut full = vec![F::ZERO; 1 << dimensions.index_bits()];
        for (l, map) in dense.maps().iter().enumerate() {
            for i in 0..map.rows() {
                let at = (l << (dimensions.mu + dimensions.nu)) | (i << dimensions.nu);
                full[at] = from_i64(map.bias()[i]);
                for (entry, w) in full[at + 1..].iter_mut().zip(map.dense_row(i).iter()) {
                    *entry = from_i64((*w).into());
                }
            }
        }
        let rows: Vec<_> = a.commitment().indexed_rows().collect();
        for ((r, point), blind) in rows.iter().zip(a.blinds_for_test()) {
            let row = &full[(*r as usize) << c..][..1 << c];
            let expected = Pedersen::<E1>::commit(a.key(), row, blind);
            assert_eq!(expected.comm.to_affine(), **point);
        }
        let outside = full.chunks(1 << c).enumerate();
        let mut outside = outside.filter(|(r, _)| rows.iter().all(|row| row.0 != *r as u64));
        assert!(outside.all(|(_, row)| row.iter().all(|x| *x == F::ZERO)));
    }
}

#[test]
fn proofs_of_products_are_equal_and_their_claims_open() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    for (program, [dense, sparse]) in cases() {
        let dimensions = program.bank();
        let mask = Mask::random(&dimensions, program.default_column_bits());
        let seed = BlindingSeed::random();
        let mut claim = WeightClaim::initial(&dimensions);
        for step in 0..3u64 {
            // The maps of every step are others; one is beyond the last.
            let inputs: Vec<(u64, Vec<i64>)> = (0..2u64)
                .map(|k| {
                    let map = (2 * step + k) % (1 << dimensions.lambda);
                    let shape = program.maps().get(map as usize);
                    let len = shape.map_or(3, |m| m.columns as usize);
                    (map, (0..len).map(|_| rng.gen_range(-128..128)).collect())
                })
                .collect();
            let operations: Vec<_> = inputs
                .iter()
                .map(|(map, input)| AffineInstance {
                    products: vec![Product {
                        map: *map,
                        input,
                        window: None,
                        with_bias: true,
                    }],
                })
                .collect();
            let prove = |bank| {
                let seed = F::from(100 + step);
                prover::prove(
                    bank,
                    &dimensions,
                    &mask,
                    &claim,
                    &operations,
                    dimensions.mu,
                    seed,
                )
                .unwrap()
            };
            let (a, b) = (prove(&dense), prove(&sparse));
            assert_eq!(a.claim, b.claim);
            let messages = |p: &sumcheck::StepProof| -> Vec<_> {
                p.messages.iter().map(|m| (m.a, m.c)).collect()
            };
            assert_eq!(messages(&a), messages(&b));
            claim = a.claim;
        }
        for bank in [dense, sparse] {
            let bank = CommittedBank::commit(bank, &program, seed.clone()).unwrap();
            let statement = OwnedStatement {
                model: bank.commitment().clone(),
                mask: mask.commit(bank.key()),
                binding: F::from(9),
                claim: claim.clone(),
            };
            let proof = statement.prove_for_test(&bank, &mask);
            assert!(proof.holds_for_test(&statement));
            let mut wrong = statement.clone();
            wrong.claim.value += F::ONE;
            assert!(!proof.holds_for_test(&wrong));
        }
    }
}
