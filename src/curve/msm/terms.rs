//! What is added up: points with short multipliers.

use ff::Field;
use rayon::prelude::*;

use crate::curve::{
    base_field::BaseField,
    endomorphism::{EndoCurve, Signed, U256, limbs},
    points::{Form, Source},
};

/// `multiplier·points[point]`.
#[derive(Clone, Copy)]
pub(super) struct Term {
    pub(super) multiplier: Signed,
    pub(super) point: u32,
}

/// A point with a sign.
#[derive(Clone, Copy)]
pub(super) struct Entry(u32);

impl Entry {
    pub(super) fn new(point: u32, negative: bool) -> Self {
        Self(point << 1 | u32::from(negative))
    }

    #[inline(always)]
    pub(super) fn get<F: BaseField, A: Form<F>, P: Source<F, A>>(
        self,
        form: A,
        points: &[P],
    ) -> A::Point {
        let point = points[(self.0 >> 1) as usize].get(form);
        form.signed(&point, self.0 & 1 == 1)
    }
}

/// What the scalars come to, zeros left out.
pub(super) struct Classified<P> {
    /// The points with scalar 1 or −1, by position.
    pub(super) units: Vec<Entry>,
    /// The rest, cut in two where necessary.
    pub(super) terms: Vec<Term>,
    /// The points of the terms.
    pub(super) points: Vec<P>,
}

/// Sorts scalars by what they cost: nothing, one addition, one short multiplier or two.
pub(super) fn classify<C: EndoCurve, A: Form<C::Base>, P: Source<C::Base, A>>(
    form: A,
    scalars: &[C::ScalarExt],
    points: &[P],
) -> Classified<A::Point> {
    const CHUNK: usize = 1 << 12;
    let endomorphism = C::endomorphism();
    let of_chunk = |(chunk, (scalars, points)): (usize, (&[C::ScalarExt], &[P]))| {
        let mut units = Vec::new();
        let mut terms = Vec::new();
        let mut seconds = Vec::new();
        let mut of_terms = Vec::new();
        for (i, (scalar, point)) in scalars.iter().zip(points).enumerate() {
            if *scalar == C::ScalarExt::ZERO {
                continue;
            }
            if *scalar == C::ScalarExt::ONE {
                units.push(Entry::new((chunk * CHUNK + i) as u32, false));
                continue;
            }
            let k = limbs(scalar);
            let short = short(&k, endomorphism.modulus());
            if let Some(Signed {
                magnitude: 1,
                negative,
            }) = short
            {
                units.push(Entry::new((chunk * CHUNK + i) as u32, negative));
                continue;
            }
            let point_of_term = of_terms.len() as u32;
            let (first, second) = match short {
                Some(multiplier) => (multiplier, Signed::default()),
                None => endomorphism.decompose(&k).into(),
            };
            of_terms.push(point.get(form));
            for (list, multiplier) in [(&mut terms, first), (&mut seconds, second)] {
                if multiplier.magnitude != 0 {
                    let point = point_of_term;
                    list.push(Term { multiplier, point });
                }
            }
        }
        (units, terms, seconds, of_terms)
    };
    let chunks: Vec<_> = scalars
        .par_chunks(CHUNK)
        .zip(points.par_chunks(CHUNK))
        .enumerate()
        .map(of_chunk)
        .collect();

    let count = |of: fn(&_) -> usize| chunks.iter().map(of).sum::<usize>();
    let mut all = Classified {
        units: Vec::with_capacity(count(|(units, ..)| units.len())),
        terms: Vec::with_capacity(count(|(_, terms, seconds, _)| terms.len() + seconds.len())),
        points: Vec::with_capacity(count(|(_, _, seconds, points)| {
            seconds.len() + points.len()
        })),
    };
    for (units, terms, _, points) in &chunks {
        all.units.extend_from_slice(units);
        let offset = all.points.len() as u32;
        all.terms.extend(terms.iter().map(|term| Term {
            point: offset + term.point,
            ..*term
        }));
        all.points.extend_from_slice(points);
    }
    let start = all.points.len();
    for (_, _, seconds, points) in &chunks {
        for term in seconds {
            all.terms.push(Term {
                point: all.points.len() as u32,
                ..*term
            });
            all.points.push(points[term.point as usize]);
        }
    }
    form.rotate(&mut all.points[start..]);
    all
}

/// `k` or `k − r`, if below `2^127` in size.
fn short(k: &U256, modulus: &U256) -> Option<Signed> {
    let of = |magnitude: &U256, negative| {
        (magnitude.bits() < 128).then(|| Signed {
            negative,
            magnitude: magnitude.low(),
        })
    };
    of(k, false).or_else(|| of(&modulus.sub(k), true))
}

/// The length of the multiplier.
pub(super) fn bits(term: &Term) -> usize {
    (128 - term.multiplier.magnitude.leading_zeros()) as usize
}

/// How many windows of width `c` a multiplier of `bits` bits reaches: its signed digits may carry
/// into the bit above.
pub(super) fn windows(bits: usize, c: usize) -> usize {
    bits / c + 1
}

/// Digit `w` of width `c`, in `[−2^(c−1), 2^(c−1)]`, of a number below `2^127`.
pub(super) fn digit(magnitude: u128, w: usize, c: usize) -> i32 {
    // c bits, and the one below them, which is what the window below has carried
    let shifted = match (w * c).checked_sub(1) {
        Some(shift) => magnitude >> shift,
        None => magnitude << 1,
    };
    let v = (shifted as u32 & ((2 << c) - 1)).cast_signed();
    ((v + 1) >> 1) - ((v >> c) << c)
}
