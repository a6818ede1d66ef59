//! Folding generators: `G_L + u·G_R` for all of them, with one challenge `u = a + b·λ`.
//!
//! The challenge is the same for all outputs, so it is recoded once, and the resulting schedule of
//! doublings and additions is carried out on arrays. `a` and `b` are 64 bits each and `λ·P` costs
//! one multiplication, so `u` is taken as an element of the Eisenstein integers `Z[λ]`: 64
//! doublings, and an addition at every 2⅓ of them. The digits are the 12 smallest elements not
//! divisible by 2, which form a system of residues modulo 4 but for the multiples of 2: the
//! units `±1, ±λ, ±λ²` and their products with `1 − λ`. Two points and their images suffice.

use rayon::prelude::*;

use super::{
    challenge::{Challenge, recode},
    endomorphism::EndoCurve,
    points::Form,
};

/// Outputs that are worked out together: their points, multiples and denominators stay in cache.
const CHUNK: usize = 1024;

/// `left[i] + u·right[i]` for all `i`. The slices must be of the same length.
pub(crate) fn fold<C: EndoCurve, A: Form<C::Base>>(
    form: A,
    left: &[A::Point],
    right: &[A::Point],
    challenge: Challenge,
) -> Vec<A::Point> {
    assert_eq!(left.len(), right.len(), "halves of one vector");
    let digits = recode(challenge);
    let mut out = left.to_vec();
    out.par_chunks_mut(CHUNK)
        .zip(right.par_chunks(CHUNK))
        .for_each_init(
            || form.folding(),
            |folding, (left, right)| A::fold(folding, left, right, &digits),
        );
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use ff::Field;
    use halo2curves::{
        group::{Curve, Group, prime::PrimeCurveAffine},
        grumpkin,
        pasta::{Fp, Fq, PallasAffine, VestaAffine},
    };
    use rand_chacha::ChaCha20Rng;
    use rand_core::{RngCore, SeedableRng};

    use super::*;
    use crate::curve::challenge::Digit;
    use crate::curve::points::{Plain, Source, with_every_form};

    fn challenges() -> Vec<Challenge> {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let max = u128::from(u64::MAX);
        let edges = [
            1,
            2,
            3,
            4,
            max,
            1 << 64,
            2 << 64,
            3 << 64,
            (1 << 64) + 1,
            max << 64,
            u128::MAX,
        ];
        let random = (0..50).map(|_| u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64()));
        edges
            .into_iter()
            .chain(random)
            .map(|bits| Challenge::new(bits).unwrap())
            .collect()
    }

    #[test]
    fn the_digits_are_a_system_of_odd_residues_modulo_4() {
        let mut classes: Vec<_> = Digit::ALL
            .iter()
            .map(|digit| (digit.value().0 & 3, digit.value().1 & 3))
            .collect();
        classes.sort_unstable();
        classes.dedup();
        assert_eq!(classes.len(), 12);
        assert!(classes.iter().all(|(a, b)| a & 1 == 1 || b & 1 == 1));
    }

    #[test]
    fn recoded_challenges_have_their_value() {
        for challenge in challenges() {
            let digits = recode(challenge);
            assert!(digits.last().unwrap().is_some());
            assert!(
                digits
                    .windows(2)
                    .all(|pair| pair[0].is_none() || pair[1].is_none())
            );
            assert!(digits.len() <= 66);
            let (a, b) = digits.iter().rev().fold((0, 0), |(a, b), digit| {
                let (x, y) = digit.map_or((0, 0), Digit::value);
                (2 * a + x, 2 * b + y)
            });
            assert_eq!((a, b), (challenge.a.into(), challenge.b.into()));
        }
    }

    fn affine<C: EndoCurve, A: Form<C::Base>>(form: A, points: &[A::Point]) -> Vec<C> {
        let points = points.iter().map(|point| form.leave(point).to_curve());
        points.collect()
    }

    fn folded<C: EndoCurve, A: Form<C::Base>>(
        form: A,
        left: &[C],
        right: &[C],
        challenge: Challenge,
    ) -> Vec<C> {
        let points = |of: &[C]| of.iter().map(|p| p.get(form)).collect::<Vec<_>>();
        let folded = fold::<C, A>(form, &points(left), &points(right), challenge);
        affine(form, &folded)
    }

    fn agrees_with_plain<C: EndoCurve, A: Form<C::Base>>(form: A) {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let random: Vec<C> = (0..40)
            .map(|_| (C::CurveExt::generator() * C::ScalarExt::random(&mut rng)).to_affine())
            .collect();
        let lambda = C::endomorphism().lambda();
        for (i, challenge) in challenges().into_iter().enumerate() {
            let u = challenge.scalar::<C>();
            // Different lengths, and in some of them pairs that meet no general formula.
            let mut left = random[..20 - i % 3].to_vec();
            let mut right = random[20..40 - i % 3].to_vec();
            if i % 2 == 0 {
                let n = left.len();
                left[1] = right[1];
                left[5] = (-(right[5] * u)).to_affine();
                left[6] = (right[6] * u).to_affine();
                left[7] = (right[7] * lambda).to_affine();
                left[n - 1] = (-right[n - 1].to_curve()).to_affine();
                right[8] = right[9];
            }
            if i % 4 == 0 {
                left[2] = C::identity();
                right[3] = C::identity();
                (left[4], right[4]) = (C::identity(), C::identity());
            }
            let folded = folded(form, &left, &right, challenge);
            for ((l, r), f) in left.iter().zip(&right).zip(folded) {
                assert_eq!(f, (l.to_curve() + *r * u).to_affine());
            }
        }
        assert!(fold::<C, A>(form, &[], &[], Challenge::new(5).unwrap()).is_empty());
    }

    #[test]
    fn folding_agrees_with_plain_formulas() {
        with_every_form!(Fp, |form| { agrees_with_plain::<PallasAffine, _>(form) });
        with_every_form!(Fq, |form| { agrees_with_plain::<VestaAffine, _>(form) });
        agrees_with_plain::<grumpkin::G1Affine, _>(Plain);
    }

    #[test]
    fn every_length_is_folded() {
        let (left, right) = (multiples(70, 3), multiples(70, 5));
        let challenge = Challenge::new(0xfedc_ba98_7654_3210_0f1e_2d3c_4b5a_6978).unwrap();
        let expected = folded(Plain, &left, &right, challenge);
        with_every_form!(Fp, |form| {
            for n in 0..70 {
                let sums = folded(form, &left[..n], &right[..n], challenge);
                assert_eq!(sums, expected[..n]);
            }
        });
    }

    /// One pair of many has no slope somewhere on the way.
    #[test]
    fn one_exception_among_many_is_enough() {
        let (left, right) = (multiples(20, 3), multiples(20, 5));
        let challenge = Challenge::new(0x0123_4567_89ab_cdef_0246_8ace_1357_9bdf).unwrap();
        let u = challenge.scalar::<PallasAffine>();
        let identity = PallasAffine::identity();
        with_every_form!(Fp, |form| {
            for at in [0, 7, 8, 19] {
                for case in 0..4 {
                    let (mut left, mut right) = (left.clone(), right.clone());
                    match case {
                        0 => left[at] = identity,
                        1 => right[at] = identity,
                        2 => left[at] = (right[at] * u).to_affine(),
                        _ => left[at] = (-(right[at] * u)).to_affine(),
                    }
                    let sums = folded(form, &left, &right, challenge);
                    for ((l, r), sum) in left.iter().zip(&right).zip(sums) {
                        assert_eq!(sum, (*l + *r * u).to_affine());
                    }
                }
            }
        });
    }

    fn multiples(n: usize, of: u64) -> Vec<PallasAffine> {
        let mut g = PallasAffine::generator() * Fq::from(of);
        let next = |_| {
            g = g.double();
            g.to_affine()
        };
        (0..n).map(next).collect()
    }

    #[test]
    fn more_than_one_chunk_is_folded() {
        let points = multiples(2 * (CHUNK + 3), 1);
        let (left, right) = points.split_at(CHUNK + 3);
        let challenge = Challenge::new(0x1234_5678_9abc_def0_0fed_cba9_8765_4321).unwrap();
        let u = challenge.scalar::<PallasAffine>();
        with_every_form!(Fp, |form| {
            let folded = folded(form, left, right, challenge);
            for ((l, r), f) in left.iter().zip(right).zip(folded) {
                assert_eq!(f, (*l + *r * u).to_affine());
            }
        });
    }
}
