use halo2curves::{
    group::{Curve, Group, prime::PrimeCurveAffine},
    grumpkin,
    pasta::{PallasAffine, VestaAffine},
};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

use super::{batch::invert_all, *};

fn random<C: EndoCurve>(rng: &mut ChaCha20Rng) -> C {
    (C::CurveExt::generator() * C::ScalarExt::random(rng)).to_affine()
}

/// Operands among which are equal points, opposite ones and the identity, or none of these.
fn operands<C: EndoCurve>(n: usize, exceptional: bool, seed: u64) -> (Vec<C>, Vec<C>) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let p: Vec<C> = (0..n).map(|_| random(&mut rng)).collect();
    let mut q: Vec<C> = (0..n).map(|_| random(&mut rng)).collect();
    let mut p = p;
    if exceptional {
        for i in 0..n {
            match rng.next_u32() % 12 {
                0 => q[i] = p[i],
                1 => q[i] = -p[i],
                2 => p[i] = C::identity(),
                3 => q[i] = C::identity(),
                4 => (p[i], q[i]) = (C::identity(), C::identity()),
                // p + q = −p, and p + q = p + p + ... in double_add
                5 => q[i] = (-p[i].to_curve().double()).to_affine(),
                _ => {}
            }
        }
    }
    (p, q)
}

fn points<C: EndoCurve>(of: &[C]) -> Vec<Point<C::Base>> {
    of.iter().map(Point::of).collect()
}

fn check<C: EndoCurve>(sums: &[Point<C::Base>], of: impl Fn(usize) -> C::CurveExt) {
    for (i, sum) in sums.iter().enumerate() {
        assert_eq!(sum.to_curve::<C>(), of(i).to_affine(), "{i}");
    }
}

fn batches_agree<C: EndoCurve>() {
    for n in [0, 1, 2, 3, 4, 5, 7, 8, 30, 100] {
        for exceptional in [false, true] {
            for seed in 0..3 {
                let (p, q) = operands::<C>(n, exceptional, seed);
                let (pp, qq) = (points(&p), points(&q));
                let mut batch = Batch::new();

                let mut sums = pp.clone();
                batch.begin(pp.iter().chain(&qq));
                batch.add_assign(&mut sums, |i| qq[i]);
                check::<C>(&sums, |i| p[i].to_curve() + q[i]);
                // Results of earlier operations are fit for later ones.
                batch.double_add(&mut sums, |i| qq[i]);
                check::<C>(&sums, |i| (p[i].to_curve() + q[i]).double() + q[i]);

                let mut sums = pp.clone();
                batch.begin(pp.iter().chain(&qq));
                batch.double(&mut sums);
                check::<C>(&sums, |i| p[i].to_curve().double());
                batch.add_assign(&mut sums, |i| qq[i]);
                check::<C>(&sums, |i| p[i].to_curve().double() + q[i]);

                let mut sums = pp.clone();
                batch.begin(pp.iter().chain(&qq));
                batch.double_add(&mut sums, |i| qq[i]);
                check::<C>(&sums, |i| p[i].to_curve().double() + q[i]);
            }
        }
    }
}

#[test]
fn batches_agree_with_plain_formulas() {
    batches_agree::<PallasAffine>();
    batches_agree::<VestaAffine>();
    batches_agree::<grumpkin::G1Affine>();
}

#[test]
fn one_exception_in_a_batch_is_enough() {
    let (p, q) = operands::<PallasAffine>(9, false, 5);
    let cases: [&dyn Fn(PallasAffine) -> PallasAffine; 4] =
        [&|p| p, &|p| -p, &|_| PallasAffine::identity(), &|p| {
            (-p.to_curve().double()).to_affine()
        }];
    for case in cases {
        for at in 0..9 {
            let mut q = q.clone();
            q[at] = case(p[at]);
            let (pp, qq) = (points(&p), points(&q));
            let mut batch = Batch::new();
            batch.begin(pp.iter().chain(&qq));
            let mut sums = pp.clone();
            batch.add_assign(&mut sums, |i| qq[i]);
            check::<PallasAffine>(&sums, |i| p[i] + q[i]);
            batch.begin(pp.iter().chain(&qq));
            let mut sums = pp.clone();
            batch.double_add(&mut sums, |i| qq[i]);
            check::<PallasAffine>(&sums, |i| p[i].to_curve().double() + q[i]);
        }
    }
}

#[test]
fn segments_add_up() {
    for exceptional in [false, true] {
        for lengths in [
            &[][..],
            &[1],
            &[2],
            &[1, 1, 1],
            &[3, 1, 2],
            &[17, 1, 64, 5, 2, 2, 33],
        ] {
            let n = lengths.iter().sum();
            let (p, q) = operands::<VestaAffine>(n, exceptional, 3);
            // Neighbours as the pairs of `operands` are.
            let mixed: Vec<_> = p
                .iter()
                .zip(&q)
                .flat_map(|(p, q)| [*p, *q])
                .take(n)
                .collect();
            let mut work = points(&mixed);
            let mut batch = Batch::new();
            batch.begin(&work.clone());
            let sums = batch.sum_segments(&mut work, lengths);
            assert_eq!(sums.len(), lengths.len());
            let mut rest = &mixed[..];
            for (sum, length) in sums.iter().zip(lengths) {
                let (segment, after) = rest.split_at(*length);
                rest = after;
                let plain: <VestaAffine as PrimeCurveAffine>::Curve =
                    segment.iter().map(PrimeCurveAffine::to_curve).sum();
                assert_eq!(sum.to_curve::<VestaAffine>(), plain.to_affine());
            }
        }
    }
}

#[test]
fn all_points_equal_or_opposite_add_up() {
    let g = PallasAffine::generator();
    for (sign, expected) in [
        (g, g * halo2curves::pasta::Fq::from(12)),
        (-g, Group::identity()),
    ] {
        let points: Vec<_> = [g, sign].iter().cycle().take(12).map(Point::of).collect();
        let mut batch = Batch::new();
        batch.begin(&points);
        let sums = batch.sum_segments(&mut points.clone(), &[12]);
        assert_eq!(sums[0].to_curve::<PallasAffine>(), expected.to_affine());
    }
}

#[test]
fn sums_agree_with_plain_formulas() {
    let (p, q) = operands::<PallasAffine>(60, true, 9);
    for (p, q) in p.iter().zip(&q) {
        let (pp, qq) = (Point::of(p), Point::of(q));
        // Coordinates with zz ≠ 1, too.
        let forms = |p: &Point<_>, plain: &PallasAffine| {
            let shift = Point::of(&PallasAffine::generator());
            let minus = Point {
                x: shift.x,
                y: -shift.y,
            };
            let shifted = Sum::of(p).add_point(&shift).add_point(&minus);
            assert_eq!(shifted.affine().to_curve::<PallasAffine>(), *plain);
            [Sum::of(p), shifted]
        };
        for a in forms(&pp, p) {
            let double = a.double().affine().to_curve::<PallasAffine>();
            assert_eq!(double, p.to_curve().double().to_affine());
            let mixed = a.add_point(&qq).affine().to_curve::<PallasAffine>();
            assert_eq!(mixed, (*p + *q).to_affine());
            for b in forms(&qq, q) {
                let sum = a.add(&b);
                assert_eq!(sum.is_identity(), *p == -*q);
                assert_eq!(
                    sum.affine().to_curve::<PallasAffine>(),
                    (*p + *q).to_affine()
                );
            }
        }
    }
}

#[test]
fn inversion_leaves_batches_with_a_zero_alone() {
    use halo2curves::pasta::Fp;
    for n in 0..14u64 {
        let values: Vec<_> = (1..=n).map(Fp::from).collect();
        let mut inverses = values.clone();
        assert!(invert_all(&mut inverses, &mut Vec::new()));
        for (v, i) in values.iter().zip(&inverses) {
            assert_eq!(v * i, Fp::ONE);
        }
        for at in 0..values.len() {
            let mut values = values.clone();
            values[at] = Fp::ZERO;
            let before = values.clone();
            assert!(!invert_all(&mut values, &mut Vec::new()));
            assert_eq!(values, before);
        }
    }
}
