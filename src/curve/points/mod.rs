//! Affine arithmetic in batches, on curves `y² = x³ + b` of odd order.
//!
//! An affine addition is the cheapest there is, but for one inversion; many at once share one
//! (Montgomery's trick, 3 multiplications each). No point but the identity has `y = 0`, as the
//! order is odd, so the identity is stored as `(0, 0)`.
//!
//! Every formula here is complete: equal points, opposite points and the identity give what they
//! should. They are rare, and dealt with one by one.

mod batch;
mod folding;
mod form;
mod sum;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;

use ff::Field;

use super::endomorphism::EndoCurve;

pub(crate) use batch::Batch;
pub(crate) use folding::Folding;
#[cfg(all(test, target_arch = "x86_64"))]
pub(crate) use form::wide_or_note;
#[cfg(test)]
pub(crate) use form::with_every_form;
pub(crate) use form::{Form, Plain, Source, with_best_form};
pub(crate) use sum::Sum;

/// An affine point; `(0, 0)` is the identity. One line of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(64))]
pub(crate) struct Point<F> {
    pub(crate) x: F,
    pub(crate) y: F,
}

impl<F: Field> Point<F> {
    pub(crate) const IDENTITY: Self = Self {
        x: F::ZERO,
        y: F::ZERO,
    };

    pub(crate) fn of<C: EndoCurve<Base = F>>(point: &C) -> Self {
        let (x, y) = point.xy();
        Self { x, y }
    }

    /// The point in the curve's own type. It must be on the curve, as sums of points of the
    /// curve are.
    pub(crate) fn to_curve<C: EndoCurve<Base = F>>(self) -> C {
        if self.is_identity() {
            return C::identity();
        }
        Option::from(C::from_xy(self.x, self.y)).expect("a point of the curve")
    }

    #[inline(always)]
    pub(crate) fn is_identity(&self) -> bool {
        self.y == F::ZERO
    }

    /// `3x²`, over `2y` the slope of the tangent.
    fn tangent(&self) -> F {
        let square = self.x.square();
        square.double() + square
    }
}
