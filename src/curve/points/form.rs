//! Points in the form arithmetic wants them.

use super::{Batch, Folding, Point};
use crate::curve::{base_field::BaseField, challenge::Digit, endomorphism::EndoCurve};

/// A form of points with the operations on many of them. Which form gives the same results.
pub(crate) trait Form<F: BaseField>: Copy + Send + Sync {
    type Point: Copy + Send + Sync + Source<F, Self>;
    /// Working memory of sums.
    type Batch: Send;
    /// Working memory of folding.
    type Folding: Send;

    /// Whether many operations are done at once.
    fn is_wide(self) -> bool {
        false
    }

    fn enter(self, point: &Point<F>) -> Self::Point;

    fn leave(self, point: &Self::Point) -> Point<F>;

    fn is_identity(point: &Self::Point) -> bool;

    /// The point, or its opposite if `negative`.
    fn signed(self, point: &Self::Point, negative: bool) -> Self::Point;

    /// Replaces all points by their images under the endomorphism.
    fn rotate(self, points: &mut [Self::Point]);

    fn batch(self) -> Self::Batch;

    /// Adds up the points of every segment of `points`, which lie one after the other and have the
    /// given lengths, none of them zero. `points` is left in disorder.
    fn sum_segments(
        batch: &mut Self::Batch,
        points: &mut Vec<Self::Point>,
        lengths: &[usize],
    ) -> Vec<Self::Point>;

    fn folding(self) -> Self::Folding;

    /// `left[i] += u·right[i]`, `u` being a challenge with these digits.
    fn fold(
        folding: &mut Self::Folding,
        left: &mut [Self::Point],
        right: &[Self::Point],
        digits: &[Option<Digit>],
    );
}

/// Points that can be brought into a form.
pub(crate) trait Source<F: BaseField, A: Form<F>>: Sync {
    fn get(&self, form: A) -> A::Point;
}

impl<C: EndoCurve, A: Form<C::Base>> Source<C::Base, A> for C {
    #[inline(always)]
    fn get(&self, form: A) -> A::Point {
        form.enter(&Point::of(self))
    }
}

impl<F: BaseField> Source<F, Plain> for Point<F> {
    #[inline(always)]
    fn get(&self, _: Plain) -> Self {
        *self
    }
}

/// [`Point`] and [`Batch`]: scalar code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain;

impl<F: BaseField> Form<F> for Plain {
    type Point = Point<F>;
    type Batch = Batch<F>;
    type Folding = Folding<F>;

    #[inline(always)]
    fn enter(self, point: &Point<F>) -> Point<F> {
        *point
    }

    #[inline(always)]
    fn leave(self, point: &Point<F>) -> Point<F> {
        *point
    }

    #[inline(always)]
    fn is_identity(point: &Point<F>) -> bool {
        point.is_identity()
    }

    #[inline(always)]
    fn signed(self, point: &Point<F>, negative: bool) -> Point<F> {
        let Point { x, y } = *point;
        let y = if negative { -y } else { y };
        Point { x, y }
    }

    fn rotate(self, points: &mut [Point<F>]) {
        for point in points {
            point.x *= F::ZETA;
        }
    }

    fn batch(self) -> Batch<F> {
        Batch::new()
    }

    fn sum_segments(
        batch: &mut Batch<F>,
        points: &mut Vec<Point<F>>,
        lengths: &[usize],
    ) -> Vec<Point<F>> {
        batch.begin(points.iter());
        batch.sum_segments(points, lengths)
    }

    fn folding(self) -> Folding<F> {
        Folding::new()
    }

    fn fold(
        folding: &mut Folding<F>,
        left: &mut [Point<F>],
        right: &[Point<F>],
        digits: &[Option<Digit>],
    ) {
        folding.fold(left, right, digits);
    }
}

/// Evaluates an expression with the form of points over a field that is the fastest here.
macro_rules! with_best_form {
    ($field:ty, |$form:ident| $body:expr) => {{
        #[cfg(target_arch = "x86_64")]
        match $crate::curve::lanes::Wide::<$field>::available() {
            Some($form) => $body,
            None => {
                let $form = $crate::curve::points::Plain;
                $body
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            let $form = $crate::curve::points::Plain;
            $body
        }
    }};
}
pub(crate) use with_best_form;

/// Evaluates a block with every form of points over a field there is here, scalar code first.
#[cfg(test)]
macro_rules! with_every_form {
    ($field:ty, |$form:ident| $body:block) => {{
        {
            let $form = $crate::curve::points::Plain;
            $body
        }
        #[cfg(target_arch = "x86_64")]
        if let Some($form) = $crate::curve::points::wide_or_note::<$field>() {
            $body
        }
    }};
}
#[cfg(test)]
pub(crate) use with_every_form;

/// The arithmetic in vectors; a note if the processor is to blame that there is none.
#[cfg(all(test, target_arch = "x86_64"))]
#[allow(clippy::print_stderr)]
pub(crate) fn wide_or_note<F: BaseField>() -> Option<crate::curve::lanes::Wide<F>> {
    let wide = crate::curve::lanes::Wide::available();
    if wide.is_none() && F::LANES.is_some() {
        eprintln!("not tested: arithmetic in vectors, for want of AVX-512 IFMA");
    }
    wide
}
