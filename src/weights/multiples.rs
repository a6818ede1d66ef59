//! Tables of multiples of fixed points, for sums of few terms with many different scalars.
//!
//! With windows of `w` bits and signed digits, a scalar of `b` bits is a sum of `b/w` points that
//! are in the table. Such sums are added up in affine batches, many of them together.
//!
//! Variable time, as all multiplications of the prover are.

use halo2curves::{CurveAffine, pasta::PallasAffine};
use rayon::prelude::*;

use crate::curve::points::{Batch, Form, Point, with_best_form};

pub(crate) type Base = <PallasAffine as CurveAffine>::Base;

/// Multiples `d·2^(wk)·P` of points `P`, for `1 ≤ d ≤ 2^(w−1)` and `k` below the number of windows.
pub(crate) struct Multiples {
    /// `w`, at most 8.
    width: usize,
    windows: usize,
    /// Point by point, window by window.
    table: Vec<Point<Base>>,
}

impl Multiples {
    /// The table of `points` for scalars of up to `bits` bits, a multiple of `width`, whose highest
    /// digit leaves room for a carry: at most `2^(bits − 1)` in size.
    pub(crate) fn new(points: &[PallasAffine], width: usize, bits: usize) -> Self {
        with_best_form!(Base, |form| Self::new_in(form, points, width, bits))
    }

    fn new_in<A: Form<Base>>(form: A, points: &[PallasAffine], width: usize, bits: usize) -> Self {
        const TOGETHER: usize = 256;
        let (windows, digits) = (bits / width, 1usize << (width - 1));
        let table = points
            .par_chunks(TOGETHER)
            .flat_map_iter(|points| {
                let mut batch = Batch::new();
                // The powers of two, window by window.
                let mut power: Vec<_> = points.iter().map(Point::of).collect();
                let mut bases = vec![Vec::new(); points.len()];
                for k in 0..windows {
                    batch.begin(&power);
                    for _ in 0..if k == 0 { 0 } else { width } {
                        batch.double(&mut power);
                    }
                    for (bases, power) in bases.iter_mut().zip(&power) {
                        bases.push(*power);
                    }
                }
                let bases = bases.concat();
                let mut table = vec![Point::IDENTITY; bases.len() * digits];
                let mut doubled = bases.clone();
                batch.begin(&doubled);
                batch.double(&mut doubled);
                // From 2P on, P is added: never equal points.
                let steps: Vec<A::Point> = bases.iter().map(|p| form.enter(p)).collect();
                let mut multiple: Vec<A::Point> = doubled.iter().map(|p| form.enter(p)).collect();
                let (mut sums, mut terms) = (form.batch(), Vec::new());
                let lengths = vec![2; bases.len()];
                for d in 0..digits {
                    if d > 1 {
                        terms.clear();
                        terms.extend(multiple.iter().zip(&steps).flat_map(|(m, p)| [*m, *p]));
                        multiple = A::sum_segments(&mut sums, &mut terms, &lengths);
                    }
                    for (i, base) in bases.iter().enumerate() {
                        table[i * digits + d] = match d {
                            0 => *base,
                            1 => doubled[i],
                            _ => form.leave(&multiple[i]),
                        };
                    }
                }
                table
            })
            .collect();
        Self {
            width,
            windows,
            table,
        }
    }

    /// Appends points whose sum is `±scalar·P` for the point of number `index`; `scalar` is
    /// little-endian.
    pub(crate) fn push(
        &self,
        index: usize,
        scalar: &[u8],
        negative: bool,
        sum: &mut Vec<Point<Base>>,
    ) {
        let digits = 1usize << (self.width - 1);
        let mut carry = 0;
        for k in 0..self.windows {
            let bit = self.width * k;
            let byte = |at: usize| scalar.get(at).map_or(0, |b| usize::from(*b));
            let bytes = byte(bit / 8) | byte(bit / 8 + 1) << 8;
            let digit = (bytes >> (bit % 8)) & (2 * digits - 1);
            let digit = digit + std::mem::take(&mut carry);
            let (size, opposite) = if digit > digits {
                carry = 1;
                (2 * digits - digit, true)
            } else {
                (digit, false)
            };
            if size > 0 {
                let Point { x, y } = self.table[(index * self.windows + k) * digits + size - 1];
                let y = if negative != opposite { -y } else { y };
                sum.push(Point { x, y });
            }
        }
        debug_assert_eq!(carry, 0, "the scalar is in range");
    }
}
