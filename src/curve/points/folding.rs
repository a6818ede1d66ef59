//! Folding by scalar code.

use super::{Batch, Point};
use crate::curve::{base_field::BaseField, challenge::Digit};

/// Working memory of [`fold`](crate::curve::fold::fold) by scalar code.
pub(crate) struct Folding<F> {
    batch: Batch<F>,
    sums: Vec<Point<F>>,
    /// `x`, `βx`, `β²x` and `y`, for `P` and for `(1 − λ)P`.
    multiples: [Multiples<F>; 2],
}

struct Multiples<F> {
    x: [Vec<F>; 3],
    y: Vec<F>,
}

impl<F: BaseField> Multiples<F> {
    fn new() -> Self {
        Self {
            x: [Vec::new(), Vec::new(), Vec::new()],
            y: Vec::new(),
        }
    }

    fn set(&mut self, points: &[Point<F>]) {
        let [x, x1, x2] = &mut self.x;
        x.clear();
        x1.clear();
        x2.clear();
        self.y.clear();
        for p in points {
            let rotated = p.x * F::ZETA;
            x.push(p.x);
            x1.push(rotated);
            // 1 + β + β² = 0
            x2.push(-(p.x + rotated));
            self.y.push(p.y);
        }
    }

    #[inline(always)]
    fn get(&self, digit: Digit, i: usize) -> Point<F> {
        let (x, y) = (self.x[digit.power][i], self.y[i]);
        Point {
            x,
            y: if digit.negative { -y } else { y },
        }
    }
}

impl<F: BaseField> Folding<F> {
    pub(super) fn new() -> Self {
        Self {
            batch: Batch::new(),
            sums: Vec::new(),
            multiples: [Multiples::new(), Multiples::new()],
        }
    }

    /// `left[i] += u·right[i]`.
    pub(super) fn fold(
        &mut self,
        left: &mut [Point<F>],
        right: &[Point<F>],
        digits: &[Option<Digit>],
    ) {
        let Self {
            batch,
            sums,
            multiples,
        } = self;
        batch.begin(left.iter().chain(right));
        multiples[0].set(right);
        // (1 − λ)P = P − φ(P)
        let minus_lambda = Digit {
            negative: true,
            power: 1,
            ramified: 0,
        };
        sums.clear();
        sums.extend_from_slice(right);
        batch.add_assign(sums, |i| multiples[0].get(minus_lambda, i));
        multiples[1].set(sums);

        // The highest digit is not zero.
        let Some((highest, lower)) = digits.split_last() else {
            return;
        };
        if let Some(digit) = highest {
            let multiples = &multiples[digit.ramified];
            sums.clear();
            sums.extend((0..right.len()).map(|i| multiples.get(*digit, i)));
        }
        for digit in lower.iter().rev() {
            match digit {
                None => batch.double(sums),
                Some(digit) => {
                    let multiples = &multiples[digit.ramified];
                    batch.double_add(sums, |i| multiples.get(*digit, i));
                }
            }
        }
        batch.add_assign(left, |i| sums[i]);
    }
}
