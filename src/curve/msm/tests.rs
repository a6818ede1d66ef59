use halo2curves::{
    group::{Curve, Group},
    grumpkin,
    pasta::{PallasAffine, VestaAffine},
};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

use ff::Field;

use super::*;
use crate::curve::points::with_every_form;

fn naive<C: EndoCurve>(scalars: &[C::ScalarExt], bases: &[C]) -> C::CurveExt {
    let products = scalars.iter().zip(bases).map(|(s, b)| *b * *s);
    products.fold(C::CurveExt::identity(), |sum, product| sum + product)
}

fn bases<C: EndoCurve>(n: usize) -> Vec<C> {
    let step = C::CurveExt::generator() * C::ScalarExt::from(0x1234_5678);
    let mut sum = C::CurveExt::generator();
    let all: Vec<_> = (0..n)
        .map(|_| {
            sum += step;
            sum
        })
        .collect();
    let mut affine = vec![C::identity(); n];
    C::CurveExt::batch_normalize(&all, &mut affine);
    affine
}

/// Scalars of a kind: the name, and one of them.
type Kind<S> = (&'static str, fn(&mut ChaCha20Rng) -> S);

fn kinds<S: ff::PrimeField>() -> Vec<Kind<S>> {
    fn signed<S: ff::PrimeField>(rng: &mut ChaCha20Rng, magnitude: u128) -> S {
        let s = S::from_u128(magnitude);
        if rng.next_u32() & 1 == 0 { s } else { -s }
    }
    fn wide(rng: &mut ChaCha20Rng) -> u128 {
        u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64())
    }
    vec![
        ("zero", |_| S::ZERO),
        ("one", |_| S::ONE),
        ("minus one", |_| -S::ONE),
        ("bits", |rng| S::from(u64::from(rng.next_u32() & 1))),
        ("signed bits", |rng| {
            let bit = u128::from(rng.next_u32() & 1);
            signed(rng, bit)
        }),
        ("bytes", |rng| {
            let byte = u128::from(rng.next_u32() & 255);
            signed(rng, byte)
        }),
        ("words", |rng| {
            let word = u128::from(rng.next_u32());
            signed(rng, word)
        }),
        ("64 bits", |rng| {
            let word = u128::from(rng.next_u64());
            signed(rng, word)
        }),
        ("about 127 bits", |rng| {
            let magnitude = wide(rng) >> (rng.next_u32() & 3);
            signed(rng, magnitude)
        }),
        ("full", |rng| S::random(rng)),
        ("powers of two and neighbours", |rng| {
            let power = S::from(2).pow_vartime([u64::from(rng.next_u32() % 255)]);
            power + S::from(u64::from(rng.next_u32() % 3)) - S::ONE
        }),
        ("any", |rng| match rng.next_u32() % 10 {
            0..5 => S::from(u64::from(rng.next_u32() & 1)),
            5..8 => {
                let byte = u128::from(rng.next_u32() & 255);
                signed(rng, byte)
            }
            _ => S::random(rng),
        }),
    ]
}

fn agrees_with_naive<C: EndoCurve>(sizes: &[usize]) {
    for &n in sizes {
        let mut rng = ChaCha20Rng::seed_from_u64(n as u64);
        let distinct = bases::<C>(n);
        // Repeated and opposite points, the identity.
        let mut exceptional = distinct.clone();
        for i in 0..n {
            match rng.next_u32() % 6 {
                0 => exceptional[i] = exceptional[i / 2],
                1 => exceptional[i] = -exceptional[i / 3],
                2 => exceptional[i] = C::identity(),
                _ => {}
            }
        }
        let constant = vec![C::generator(); n];
        let alternating: Vec<_> = (0..n)
            .map(|i| {
                if i % 2 == 0 {
                    C::generator()
                } else {
                    -C::generator()
                }
            })
            .collect();
        for (name, kind) in kinds::<C::ScalarExt>() {
            let scalars: Vec<_> = (0..n).map(|_| kind(&mut rng)).collect();
            for bases in [&distinct, &exceptional, &constant, &alternating] {
                let plain = if n > 1000 {
                    nova_snark::provider::msm::msm(&scalars, bases)
                } else {
                    naive(&scalars, bases)
                };
                assert_eq!(msm(&scalars, bases), plain, "{name} {n}");
                with_every_form!(C::Base, |form| {
                    let sum = sum_of_products::<C, _, C>(form, &scalars, bases).affine();
                    assert_eq!(sum.to_curve::<C>(), plain.to_affine(), "{name} {n}");
                });
            }
        }
    }
}

#[test]
fn small_sums_agree_with_naive_ones() {
    let sizes = [0, 1, 2, 3, 4, 17, 24, 25, 48, 49, 100];
    agrees_with_naive::<PallasAffine>(&sizes);
    agrees_with_naive::<VestaAffine>(&sizes);
    agrees_with_naive::<grumpkin::G1Affine>(&sizes);
}

#[test]
fn large_sums_agree_with_naive_ones() {
    agrees_with_naive::<PallasAffine>(&[1000, 5000]);
    agrees_with_naive::<VestaAffine>(&[5000]);
}

/// As commitments use it: what nova's own routine gives.
#[test]
fn sums_agree_with_nova() {
    let n = 20_000;
    let bases = bases::<VestaAffine>(n);
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    for (name, kind) in kinds() {
        let scalars: Vec<_> = (0..n).map(|_| kind(&mut rng)).collect();
        let nova = nova_snark::provider::msm::msm(&scalars, &bases);
        assert_eq!(msm(&scalars, &bases), nova, "{name}");
    }
}

#[test]
fn one_thread_is_enough() {
    let bases = bases::<PallasAffine>(3000);
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let scalars: Vec<_> = (0..3000).map(|_| Field::random(&mut rng)).collect();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    let alone = pool.install(|| msm(&scalars, &bases));
    assert_eq!(alone, msm(&scalars, &bases));
}

#[test]
fn digits_add_up() {
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    for c in 3..=16 {
        let edges = [0, 1, 2, (1 << 127) - 1, 1 << 126, (1 << 64) - 1];
        let random = (0..50).map(|_| {
            let wide = u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64());
            wide >> (1 + rng.next_u32() % 127)
        });
        for magnitude in edges.into_iter().chain(random).collect::<Vec<_>>() {
            let bits = 128 - magnitude.leading_zeros() as usize;
            let count = windows(bits, c);
            let value = (0..count).rev().fold(0i128, |value, w| {
                let digit = digit(magnitude, w, c);
                assert!(digit.unsigned_abs() <= 1 << (c - 1));
                // The last step may pass 2^127, and comes back.
                value.wrapping_mul(1 << c).wrapping_add(digit.into())
            });
            assert_eq!(value.cast_unsigned(), magnitude, "{c}");
        }
    }
}

#[test]
#[should_panic(expected = "a scalar for each point")]
fn lengths_must_agree() {
    let bases = bases::<PallasAffine>(2);
    msm(&[Field::ONE], &bases);
}
