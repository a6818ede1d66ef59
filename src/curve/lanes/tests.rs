use ff::{Field, WithSmallOrderMulGroup};
use halo2curves::{
    group::{Curve, Group, prime::PrimeCurveAffine},
    pasta::{Fp, Fq, PallasAffine, VestaAffine},
};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

use super::{field::Element, inversion::Denominators, *};
use crate::curve::{
    endomorphism::EndoCurve,
    modulus::{MASK, limbs},
    points::{Plain, wide_or_note},
};

type Lane = [u64; 5];

fn element(lanes: [Lane; 8]) -> Element {
    std::array::from_fn(|limb| pulp::cast(lanes.map(|lane| lane[limb])))
}

fn lanes_of(element: &Element) -> [Lane; 8] {
    let limbs = element.map(pulp::cast::<_, [u64; 8]>);
    std::array::from_fn(|lane| limbs.map(|limb| limb[lane]))
}

/// The number modulo `p`.
fn value<F: BaseField>(lane: &Lane) -> F {
    let shift = F::from(1 << 52);
    lane.iter()
        .rev()
        .fold(F::ZERO, |sum, limb| sum * shift + F::from(*limb))
}

/// `factor·a`, in limbs of which the highest may be large.
fn multiple(factor: u64, a: &Lane) -> Lane {
    let mut carry = 0u128;
    std::array::from_fn(|i| {
        let limb = u128::from(factor) * u128::from(a[i]) + carry;
        carry = if i < 4 { limb >> 52 } else { 0 };
        if i < 4 {
            limb as u64 & MASK
        } else {
            u64::try_from(limb).unwrap()
        }
    })
}

fn less(a: &Lane, b: &Lane) -> bool {
    a.iter().rev().lt(b.iter().rev())
}

/// Whether limbs are what a multiplication may read.
fn sound(lane: &Lane) -> bool {
    lane.iter().all(|limb| *limb <= MASK)
}

/// `a + small` for limbs of which the lowest has room or the carry goes up.
fn plus(a: &Lane, small: u64) -> Lane {
    let mut carry = small;
    a.map(|limb| {
        let sum = limb + carry;
        carry = sum >> 52;
        sum & MASK
    })
}

/// `a − 1`.
fn before(a: &Lane) -> Lane {
    let mut borrow = 1;
    a.map(|limb| {
        let (difference, under) = limb.overflowing_sub(borrow);
        borrow = u64::from(under);
        difference & MASK
    })
}

/// Numbers below `bound·p`: edges, and the residues of what is given.
fn below<F: BaseField>(wide: Wide<F>, bound: u64, random: &[Lane]) -> Vec<Lane> {
    let p = &wide.modulus.limbs;
    let mut all = vec![[0; 5], plus(&[0; 5], 1), plus(&[0; 5], 2)];
    for k in 1..=bound {
        let multiple = multiple(k, p);
        let one_less = before(&multiple);
        all.extend([one_less, before(&one_less)]);
        if k < bound {
            all.extend([multiple, plus(&multiple, 1)]);
        }
    }
    // All limbs that may be ones are.
    let top = multiple(bound, p)[4];
    all.push([MASK, MASK, MASK, MASK, top - 1]);
    all.push([MASK, 0, MASK, 0, top - 1]);
    all.push([0, MASK, 0, MASK, top - 1]);
    all.extend(random.iter().map(|lane| {
        let mut lane = lane.map(|limb| limb & MASK);
        lane[4] %= top;
        lane
    }));
    assert!(all.iter().all(|a| sound(a) && less(a, &multiple(bound, p))));
    all
}

/// Every pair of the two lists, eight at a time; the last one fills up.
fn pairs(a: &[Lane], b: &[Lane]) -> Vec<([Lane; 8], [Lane; 8])> {
    let all: Vec<_> = a
        .iter()
        .flat_map(|a| b.iter().map(move |b| (*a, *b)))
        .collect();
    all.chunks(8)
        .map(|chunk| {
            let at = |i: usize| chunk[i.min(chunk.len() - 1)];
            (
                std::array::from_fn(|i| at(i).0),
                std::array::from_fn(|i| at(i).1),
            )
        })
        .collect()
}

fn multiplication_is_right<F: BaseField>(wide: Wide<F>, random: &[Lane]) {
    let lanes = wide.lanes();
    let p = wide.modulus.limbs;
    let r = F::from(2).pow_vartime([260]);
    for (j, k) in [(1, 1), (2, 4), (4, 8), (63, 63)] {
        for (a, b) in pairs(&below(wide, j, random), &below(wide, k, random)) {
            let product = lanes_of(&lanes.mul(&element(a), &element(b)));
            let square = lanes_of(&lanes.carry(lanes.square_loose(&element(a))));
            for i in 0..8 {
                assert!(sound(&product[i]) && sound(&square[i]));
                assert_eq!(
                    value::<F>(&product[i]) * r,
                    value::<F>(&a[i]) * value::<F>(&b[i])
                );
                assert_eq!(value::<F>(&square[i]) * r, value::<F>(&a[i]).square());
                // (jk/64 + 1)·p, times 64
                assert!(less(&multiple(64, &product[i]), &multiple(j * k + 64, &p)));
                assert!(less(&multiple(64, &square[i]), &multiple(j * j + 64, &p)));
            }
        }
    }
}

fn sums_are_right<F: BaseField>(wide: Wide<F>, random: &[Lane]) {
    let lanes = wide.lanes();
    let p = wide.modulus.limbs;
    let settled = {
        let mut limbs = p;
        limbs[4] += 1 << 12;
        limbs
    };
    for (a, b) in pairs(&below(wide, 2, random), &below(wide, 2, random)) {
        let (va, vb) = (element(a), element(b));
        let difference = lanes_of(&lanes.difference(&va, &vb));
        let double = lanes_of(&lanes.double(&va));
        let negative = lanes_of(&lanes.negative(&vb));
        let least = lanes.minus(lanes.minus(lanes.zero_loose(), &va), &vb);
        let most = lanes.triple(lanes.loose(&va));
        let both = [
            lanes_of(&lanes.settle(least)),
            lanes_of(&lanes.settle(lanes.plus(lanes.loose(&va), &vb))),
            lanes_of(&lanes.settle(lanes.minus(lanes.loose(&va), &vb))),
            lanes_of(&lanes.settle(lanes.minus(most, &vb))),
        ];
        for i in 0..8 {
            let (x, y) = (value::<F>(&a[i]), value::<F>(&b[i]));
            for (lane, expected, bound) in [
                (difference[i], x - y, 4),
                (double[i], x.double(), 4),
                (negative[i], -y, 3),
            ] {
                assert!(sound(&lane) && less(&lane, &multiple(bound, &p)));
                assert_eq!(value::<F>(&lane), expected);
            }
            let three = [p, a[i], b[i]].map(|lane| value::<F>(&lane));
            assert_eq!(three[0], F::ZERO);
            // −a − b > −3p and 3a − b < 4p are asked for.
            let within = [
                !less(&multiple(3, &p), &plus_limbs(&a[i], &b[i])),
                true,
                true,
                less(&multiple(3, &a[i]), &multiple(4, &p)),
            ];
            let expected = [-x - y, x + y, x - y, x.double() + x - y];
            for ((lanes, expected), within) in both.iter().zip(expected).zip(within) {
                if within {
                    assert!(sound(&lanes[i]) && less(&lanes[i], &settled));
                    assert_eq!(value::<F>(&lanes[i]), expected);
                }
            }
        }
    }
}

fn plus_limbs(a: &Lane, b: &Lane) -> Lane {
    let mut carry = 0;
    std::array::from_fn(|i| {
        let sum = a[i] + b[i] + carry;
        carry = sum >> 52;
        sum & MASK
    })
}

fn inverses_are_right<F: BaseField>(wide: Wide<F>, random: &[Lane]) {
    let lanes = wide.lanes();
    let p = wide.modulus.limbs;
    let r2 = F::from(2).pow_vartime([520]);
    let nonzero: Vec<_> = below(wide, 4, random)
        .into_iter()
        .filter(|lane| value::<F>(lane) != F::ZERO)
        .collect();
    let mut memory = Denominators::default();
    for count in [1, 2, 3, 8, 9] {
        let lane = |i: usize, j: usize| nonzero[(8 * i + j) % nonzero.len()];
        let mut seen = vec![0; count];
        let of = |i: usize| element(std::array::from_fn(|j| lane(i, j)));
        assert!(memory.invert(&lanes, wide, count, of, |i, inverse| {
            seen[i] += 1;
            for (j, inverse) in lanes_of(inverse).iter().enumerate() {
                assert_eq!(value::<F>(inverse) * value::<F>(&lane(i, j)), r2);
                assert!(less(&multiple(10, inverse), &multiple(11, &p)));
            }
        }));
        assert!(seen.iter().all(|times| *times == 1));
        // A zero in any form and any place.
        for k in 0..4 {
            let zero = multiple(k, &p);
            let at = (k as usize + count) % (8 * count);
            let of = |i: usize| {
                element(std::array::from_fn(|j| {
                    if 8 * i + j == at { zero } else { lane(i, j) }
                }))
            };
            assert!(!memory.invert(&lanes, wide, count, of, |_, _| panic!("inverted zero")));
        }
    }
}

fn field_is_right<F: BaseField>(random: &[Lane]) {
    let Some(wide) = wide_or_note::<F>() else {
        return;
    };
    multiplication_is_right(wide, random);
    sums_are_right(wide, random);
    inverses_are_right(wide, random);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn fields_agree_with_halo2curves(random in prop::collection::vec(any::<Lane>(), 8)) {
        field_is_right::<Fp>(&random);
        field_is_right::<Fq>(&random);
    }
}

fn constants_are_right<F: BaseField>() {
    let modulus = F::LANES.unwrap();
    let minus_one = limbs((-F::ONE * F::from(2).pow_vartime([256]).invert().unwrap()).words());
    assert_eq!(plus(&minus_one, 1), modulus.limbs);
    assert_eq!(modulus.limbs[0].wrapping_mul(modulus.inverse) & MASK, MASK);
    assert_eq!(value::<F>(&modulus.one), F::from(2).pow_vartime([260]));
    assert_eq!(scaled_words(F::ONE), modulus.one);
    assert_eq!(modulus.twice, multiple(2, &modulus.limbs));
    assert_eq!(limbs(modulus.words), modulus.limbs);
    assert_eq!(F::from_words(modulus.words), F::ZERO);
}

#[test]
fn constants_belong_to_the_fields() {
    constants_are_right::<Fp>();
    constants_are_right::<Fq>();
}

fn words_are_right<F: BaseField>() {
    let modulus = F::LANES.unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let r = F::from(2).pow_vartime([256]);
    let four = F::from(4);
    let small = (0..5).flat_map(|i| [F::from(i), -F::from(i)]);
    // Of the words, too.
    let edges: Vec<_> = small.flat_map(|x| [x, x * r.invert().unwrap()]).collect();
    let random: Vec<_> = (0..100).map(|_| F::random(&mut rng)).collect();
    for x in edges.into_iter().chain(random) {
        let words = x.words();
        assert_eq!(value::<F>(&limbs(words)), x * r);
        assert_eq!(F::from_words(words), x);
        let quarter = modulus.quarter(words);
        assert_eq!(value::<F>(&limbs(quarter)) * four, x * r);
        assert!(less(
            &multiple(4, &limbs(quarter)),
            &multiple(5, &modulus.limbs)
        ));
        assert_eq!(F::from_words(modulus.canonical(quarter)) * four, x);
    }
    assert_eq!(modulus.quarter([0; 4]), [0; 4]);
    assert_eq!(modulus.canonical(modulus.words), [0; 4]);
    assert_eq!(modulus.canonical([u64::MAX; 4]), {
        let sum = F::from_words(modulus.canonical([u64::MAX, 0, 0, 0]));
        let shift = F::from(2).pow_vartime([64]);
        let all = sum * shift.pow_vartime([3]) + sum * shift.square() + sum * shift + sum;
        all.words()
    });
}

#[test]
fn words_are_those_of_halo2curves() {
    words_are_right::<Fp>();
    words_are_right::<Fq>();
}

/// Points among which are equal and opposite ones and the identity, or none of these.
fn points<C: EndoCurve>(n: usize, exceptional: bool, seed: u64) -> Vec<C> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut all: Vec<C> = Vec::with_capacity(n);
    for i in 0..n {
        let random = (C::CurveExt::generator() * C::ScalarExt::random(&mut rng)).to_affine();
        let before = all.get(i.saturating_sub(1)).copied().unwrap_or(random);
        all.push(match rng.next_u32() % 12 {
            0 if exceptional => before,
            1 if exceptional => -before,
            2 if exceptional => C::identity(),
            3 if exceptional => (-before.to_curve().double()).to_affine(),
            _ => random,
        });
    }
    all
}

fn points_are_right<C: EndoCurve>() {
    let Some(wide) = wide_or_note::<C::Base>() else {
        return;
    };
    for n in [1, 7, 8, 9, 40] {
        let points = points::<C>(n, true, 1);
        let plain: Vec<_> = points.iter().map(Point::of).collect();
        let packed: Vec<_> = plain.iter().map(|p| wide.enter(p)).collect();
        for (p, packed) in plain.iter().zip(&packed) {
            assert_eq!(wide.leave(packed), *p);
            assert_eq!(packed.is_identity(), p.is_identity());
            for negative in [false, true] {
                let signed = wide.signed(packed, negative);
                assert_eq!(wide.leave(&signed), Plain.signed(p, negative));
                assert_eq!(signed.is_identity(), p.is_identity());
                assert_eq!(wide.leave(&wide.signed(&signed, negative)), *p);
            }
        }
        let mut rotated = packed.clone();
        wide.rotate(&mut rotated);
        for (p, rotated) in plain.iter().zip(&rotated) {
            let x = p.x * C::Base::ZETA;
            assert_eq!(wide.leave(rotated), Point { x, y: p.y });
            assert_eq!(rotated.is_identity(), p.is_identity());
        }
    }
}

#[test]
fn points_come_back() {
    points_are_right::<PallasAffine>();
    points_are_right::<VestaAffine>();
}

fn check_sums<C: EndoCurve>(wide: Wide<C::Base>, points: &[C], lengths: &[usize]) {
    let plain: Vec<_> = points.iter().map(Point::of).collect();
    // Signs are part of a point.
    let packed = |p: &Point<C::Base>, i: usize| {
        let negative = i % 3 == 1;
        wide.signed(&wide.enter(&Plain.signed(p, negative)), negative)
    };
    let mut packed: Vec<_> = plain
        .iter()
        .enumerate()
        .map(|(i, p)| packed(p, i))
        .collect();
    let mut batch = wide.batch();
    let mut of_plain = <Plain as Form<C::Base>>::batch(Plain);
    let expected = Plain::sum_segments(&mut of_plain, &mut plain.clone(), lengths);
    let sums = batch.sum_segments(&mut packed, lengths);
    let sums: Vec<_> = sums.iter().map(|sum| wide.leave(sum)).collect();
    assert_eq!(sums, expected);
}

fn sums_of_points_are_right<C: EndoCurve>() {
    let Some(wide) = wide_or_note::<C::Base>() else {
        return;
    };
    check_sums::<C>(wide, &[], &[]);
    for exceptional in [false, true] {
        let points = points::<C>(1000, exceptional, 2);
        for n in 1..70 {
            check_sums(wide, &points[..n], &[n]);
        }
        for n in [127, 128, 129, 500, 1000] {
            check_sums(wide, &points[..n], &[n]);
        }
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        for most in [2, 3, 8, 40] {
            let mut rest = points.len();
            let lengths = std::iter::from_fn(|| {
                let length = (1 + rng.next_u32() as usize % most).min(rest);
                rest -= length;
                (length > 0).then_some(length)
            });
            check_sums(wide, &points, &lengths.collect::<Vec<_>>());
        }
    }
    // All of them equal, opposite in turn, or the identity.
    let g = points::<C>(1, false, 4)[0];
    for pattern in [
        vec![g],
        vec![g, -g],
        vec![C::identity()],
        vec![g, g, -g],
        vec![g, C::identity()],
    ] {
        for n in [1, 2, 3, 8, 16, 17, 100] {
            let points: Vec<_> = pattern.iter().cycle().take(n).copied().collect();
            check_sums(wide, &points, &[n]);
            check_sums(wide, &points, &vec![1; n]);
            check_sums(
                wide,
                &points,
                &[n / 2, n - n / 2].map(|n| n.max(1))[..n.min(2)],
            );
        }
    }
}

#[test]
fn sums_agree_with_scalar_code() {
    sums_of_points_are_right::<PallasAffine>();
    sums_of_points_are_right::<VestaAffine>();
}

/// One exceptional pair at every place of two vectors, on every level.
#[test]
fn one_exception_among_many_is_enough() {
    let Some(wide) = wide_or_note::<Fp>() else {
        return;
    };
    let points = points::<PallasAffine>(64, false, 5);
    for at in 0..64 {
        let neighbour = points[at ^ 1];
        let pair = (points[at & !3] + points[at & !3 | 1]).to_affine();
        for exception in [
            neighbour,
            -neighbour,
            PallasAffine::identity(),
            // The sums of two neighbouring pairs are opposite.
            (-(pair + neighbour)).to_affine(),
        ] {
            let mut points = points.clone();
            points[at] = exception;
            check_sums(wide, &points, &[64]);
            check_sums(wide, &points, &[8; 8]);
        }
    }
}
