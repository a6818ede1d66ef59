//! Sums of many points.

use super::{
    field::{Element, Lanes, Loose, Points},
    inversion::{Denominators, resize},
    wide::{Packed, Wide},
};
use crate::curve::{
    base_field::BaseField,
    points::{Batch, Form, Point},
};

/// Two neighbours to be added, and where the sum goes.
#[derive(Clone, Copy)]
struct Pair {
    from: u32,
    to: u32,
}

/// Points to be added up.
#[derive(Clone, Copy)]
struct Segment {
    number: usize,
    start: usize,
    length: usize,
}

/// Working memory of sums; the counterpart of [`Batch`].
pub(crate) struct LaneBatch<F> {
    form: Wide<F>,
    denominators: Denominators,
    pairs: Vec<Pair>,
    segments: Vec<Segment>,
    level: Vec<Packed<F>>,
    plain: Batch<F>,
}

impl<F: BaseField> LaneBatch<F> {
    pub(super) fn new(form: Wide<F>) -> Self {
        Self {
            form,
            denominators: Denominators::default(),
            pairs: Vec::new(),
            segments: Vec::new(),
            level: Vec::new(),
            plain: Batch::new(),
        }
    }

    /// See [`Form::sum_segments`].
    pub(super) fn sum_segments(
        &mut self,
        points: &mut Vec<Packed<F>>,
        lengths: &[usize],
    ) -> Vec<Packed<F>> {
        let mut sums = vec![Packed::IDENTITY; lengths.len()];
        let mut start = 0;
        self.segments.clear();
        for (number, &length) in lengths.iter().enumerate() {
            self.segments.push(Segment {
                number,
                start,
                length,
            });
            start += length;
        }
        let mut careful = points[..start].iter().any(Packed::is_identity);
        loop {
            self.segments.retain(|segment| {
                if segment.length == 1 {
                    sums[segment.number] = points[segment.start];
                }
                segment.length > 1
            });
            if self.segments.is_empty() {
                return sums;
            }
            careful |= !self.halve(points);
            if careful {
                self.sum_carefully(points, &mut sums);
                return sums;
            }
            std::mem::swap(points, &mut self.level);
            let mut start = 0;
            for segment in &mut self.segments {
                segment.start = start;
                segment.length = segment.length.div_ceil(2);
                start += segment.length;
            }
        }
    }

    /// Adds up pairs in every segment to `level`; the last point of it is kept if it is alone. If a
    /// denominator is zero it returns `false`.
    fn halve(&mut self, points: &[Packed<F>]) -> bool {
        let total = self.segments.iter().map(|s| s.length.div_ceil(2)).sum();
        resize(&mut self.level, total, Packed::IDENTITY);
        self.pairs.clear();
        let mut to = 0;
        for segment in &self.segments {
            for i in 0..segment.length / 2 {
                self.pairs.push(Pair {
                    from: (segment.start + 2 * i) as u32,
                    to: (to + i) as u32,
                });
            }
            if segment.length % 2 == 1 {
                self.level[to + segment.length / 2] = points[segment.start + segment.length - 1];
            }
            to += segment.length.div_ceil(2);
        }
        // The last pair fills the vector.
        if let Some(last) = self.pairs.last().copied() {
            let vectors = self.pairs.len().div_ceil(8);
            self.pairs.resize(8 * vectors, last);
        }
        let form = self.form;
        form.simd.vectorize(Halve {
            form,
            denominators: &mut self.denominators,
            pairs: &self.pairs,
            points,
            sums: &mut self.level,
        })
    }

    /// Sums of the segments by scalar code.
    fn sum_carefully(&mut self, points: &[Packed<F>], sums: &mut [Packed<F>]) {
        let of = |s: &Segment| &points[s.start..s.start + s.length];
        let mut all: Vec<Point<F>> = self
            .segments
            .iter()
            .flat_map(of)
            .map(|point| self.form.leave(point))
            .collect();
        let lengths: Vec<_> = self.segments.iter().map(|s| s.length).collect();
        self.plain.begin(&all);
        let plain = self.plain.sum_segments(&mut all, &lengths);
        for (segment, sum) in self.segments.iter().zip(&plain) {
            sums[segment.number] = self.form.enter(sum);
        }
    }
}

struct Halve<'a, F> {
    form: Wide<F>,
    denominators: &'a mut Denominators,
    pairs: &'a [Pair],
    points: &'a [Packed<F>],
    sums: &'a mut [Packed<F>],
}

impl<F: BaseField> pulp::NullaryFnOnce for Halve<'_, F> {
    type Output = bool;

    #[inline(always)]
    fn call(self) -> bool {
        let Self {
            form,
            denominators,
            pairs,
            points,
            sums,
        } = self;
        let lanes = form.lanes();
        let (eights, _) = pairs.as_chunks::<8>();
        denominators.invert(
            &lanes,
            form,
            eights.len(),
            #[inline(always)]
            |i| {
                let [p, q] = rows(points, &eights[i]);
                let (p, q) = lanes.load_abscissae(p, q);
                lanes.difference(&q, &p)
            },
            #[inline(always)]
            |i, inverse| {
                let [p, q] = rows(points, &eights[i]);
                let (p, signs_p) = lanes.load_unsigned(p);
                let (q, signs_q) = lanes.load_unsigned(q);
                // Below 8p; the slope below (8·1.1/64 + 1)p.
                let numerator = lanes.signed_difference((&q.y, signs_q), (&p.y, signs_p));
                let slope = lanes.mul(&numerator, inverse);
                let (x, y) = chord(&lanes, &p.x, &q.x, &slope);
                let y = lanes.settle(lanes.minus_signed(y, &p.y, signs_p));
                let sum = Points { x, y };
                for (pair, words) in eights[i].iter().zip(lanes.store(&sum)) {
                    sums[pair.to as usize].words = words;
                }
            },
        )
    }
}

/// The words of both points of each pair.
#[inline(always)]
fn rows<'a, F>(points: &'a [Packed<F>], pairs: &[Pair; 8]) -> [[&'a [u64; 8]; 8]; 2] {
    let mut rows = [[&[0; 8]; 8]; 2];
    for (i, pair) in pairs.iter().enumerate() {
        let from = pair.from as usize;
        rows[0][i] = &points[from].words;
        rows[1][i] = &points[from + 1].words;
    }
    rows
}

/// The abscissa of the third point of the line with the given slope, below `3.2p`, which meets the
/// curve at the abscissae `x` and `other`; and what the ordinate of that point, mirrored, is more
/// than the opposite of the one at `x`: below `1.3p`.
#[inline(always)]
pub(super) fn chord(
    lanes: &Lanes,
    x: &Element,
    other: &Element,
    slope: &Element,
) -> (Element, Loose) {
    // Abscissae are below 5p/4: slope² < (3.2²/64 + 1)p, less 2.5p at most.
    let square = lanes.square_loose(slope);
    let third = lanes.settle(lanes.minus(lanes.minus(square, x), other));
    // Below (3.2·3.3/64 + 1)p.
    let ordinate = lanes.mul_loose(slope, &lanes.difference(x, &third));
    (third, ordinate)
}
