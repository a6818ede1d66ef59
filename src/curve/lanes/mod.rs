//! Points and their batches in vectors of eight, for processors with AVX-512 IFMA.
//!
//! The instructions multiply words of 52 bits, eight at once, and add the low or the high half of
//! the product to a sum. Elements in [`field`] are five such words, in Montgomery's form with
//! `R = 2^260`.
//!
//! Points at rest are [`Packed`]: eight words of 64 bits, one line of the cache. They are the words
//! halo2curves keeps, `x·2^256` and `y·2^256`, but for a factor of the latter: taken as
//! Montgomery forms with `R = 2^260` they are `x/16` and `y/16`; with `y` divided by 4 once more the
//! pair is `(u²x, u³y)` for `u = 1/4`, a point of the isomorphic curve `y² = x³ + u⁶b`. The formulas
//! in use do not read `b`, so they add up points on that curve as on the first, and hardly anything
//! is to be done on the way in and out. The endomorphism multiplies `x` by the same `β` there.
//!
//! Coordinates at rest are below `5p/4`, not reduced, and so below `2^255`: the highest bit of `y`
//! is free for a sign. Where `y` is zero, sign apart, the point is the identity; no other point has
//! a `y` divisible by `p`, and the identity is never computed, only handed on.
//!
//! Equal or opposite points and the identity are for scalar code: where a product of denominators
//! is zero, or the identity comes in, points go back to [`Point`], and
//! [`Batch`](super::points::Batch) deals with them.

mod batch;
mod field;
mod fold;
mod inversion;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]
mod tests;
mod wide;

use self::{batch::LaneBatch, field::SIGN, fold::LaneFolding, inversion::scaled_words};
use super::{
    base_field::BaseField,
    challenge::Digit,
    points::{Form, Point, Source},
};

use wide::rows;
pub(crate) use wide::{Packed, Wide};

/// Multiplies the abscissae by `β`.
struct Rotate<'a, F> {
    form: Wide<F>,
    points: &'a mut [Packed<F>],
}

impl<F: BaseField> pulp::NullaryFnOnce for Rotate<'_, F> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let lanes = self.form.lanes();
        let beta = lanes.all(&scaled_words(F::ZETA));
        for points in self.points.chunks_mut(8) {
            let mut eight = lanes.load(rows(points));
            eight.x = lanes.mul(&eight.x, &beta);
            for (point, words) in points.iter_mut().zip(lanes.store(&eight)) {
                let [x0, x1, x2, x3, ..] = words;
                let [.., y0, y1, y2, y3] = point.words;
                point.words = [x0, x1, x2, x3, y0, y1, y2, y3];
            }
        }
    }
}

impl<F: BaseField> Source<F, Wide<F>> for Packed<F> {
    #[inline(always)]
    fn get(&self, _: Wide<F>) -> Self {
        *self
    }
}

impl<F: BaseField> Form<F> for Wide<F> {
    type Point = Packed<F>;
    type Batch = LaneBatch<F>;
    type Folding = LaneFolding<F>;

    fn is_wide(self) -> bool {
        true
    }

    #[inline(always)]
    fn enter(self, point: &Point<F>) -> Packed<F> {
        let ([x0, x1, x2, x3], y) = (point.x.words(), point.y.words());
        let [y0, y1, y2, y3] = self.modulus.quarter(y);
        Packed::of([x0, x1, x2, x3, y0, y1, y2, y3])
    }

    fn leave(self, point: &Packed<F>) -> Point<F> {
        let [x0, x1, x2, x3, y0, y1, y2, y3] = point.words;
        let element = |words| F::from_words(self.modulus.canonical(words));
        let y = element([y0, y1, y2, y3 & !SIGN]).double().double();
        Point {
            x: element([x0, x1, x2, x3]),
            y: if y3 & SIGN == 0 { y } else { -y },
        }
    }

    #[inline(always)]
    fn is_identity(point: &Packed<F>) -> bool {
        point.is_identity()
    }

    #[inline(always)]
    fn signed(self, point: &Packed<F>, negative: bool) -> Packed<F> {
        let mut point = *point;
        point.words[7] ^= if negative { SIGN } else { 0 };
        point
    }

    fn rotate(self, points: &mut [Packed<F>]) {
        self.simd.vectorize(Rotate { form: self, points });
    }

    fn batch(self) -> LaneBatch<F> {
        LaneBatch::new(self)
    }

    fn sum_segments(
        batch: &mut LaneBatch<F>,
        points: &mut Vec<Packed<F>>,
        lengths: &[usize],
    ) -> Vec<Packed<F>> {
        batch.sum_segments(points, lengths)
    }

    fn folding(self) -> LaneFolding<F> {
        LaneFolding::new(self)
    }

    fn fold(
        folding: &mut LaneFolding<F>,
        left: &mut [Packed<F>],
        right: &[Packed<F>],
        digits: &[Option<Digit>],
    ) {
        folding.fold(left, right, digits);
    }
}
