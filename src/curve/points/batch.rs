//! Operations on arrays of affine points.

use std::array::from_fn;

use ff::Field;

use super::Point;

/// Chains of multiplications side by side.
const LANES: usize = 4;

/// A pair whose chord has no slope.
enum Special<F> {
    /// The points are equal: the numerator of the tangent, whose denominator `2y` was put in
    /// place of the chord's.
    Tangent(F),
    /// The sum.
    Sum(Point<F>),
}

impl<F: Field> Special<F> {
    /// For `x_p = x_q`, or one of the two being the identity: what to do, and a denominator.
    #[cold]
    fn of(p: &Point<F>, q: &Point<F>) -> (Self, F) {
        if p.is_identity() {
            (Self::Sum(*q), F::ONE)
        } else if q.is_identity() {
            (Self::Sum(*p), F::ONE)
        } else if p.y == q.y {
            (Self::Tangent(p.tangent()), p.y.double())
        } else {
            (Self::Sum(Point::IDENTITY), F::ONE)
        }
    }
}

/// The third point of a line of the given slope through `p` and `q`, mirrored.
#[inline(always)]
fn chord<F: Field>(p: &Point<F>, q: &Point<F>, slope: F) -> Point<F> {
    let x = slope.square() - p.x - q.x;
    Point {
        x,
        y: slope * (p.x - x) - p.y,
    }
}

/// Replaces `acc_i` by the third point, mirrored, of the line through it with the given slope, which
/// meets the curve at the given other abscissa too. Some lines side by side, so that their chains
/// of multiplications overlap.
#[inline(always)]
fn chords<F: Field>(
    acc: &mut [Point<F>],
    slope: impl Fn(usize, &Point<F>) -> F,
    other: impl Fn(usize, &Point<F>) -> F,
) {
    let (lanes, rest) = acc.as_chunks_mut::<LANES>();
    let start = LANES * lanes.len();
    for (at, a) in lanes.iter_mut().enumerate() {
        let slopes: [F; LANES] = from_fn(|i| slope(LANES * at + i, &a[i]));
        let squares: [F; LANES] = from_fn(|i| slopes[i].square());
        let xs: [F; LANES] = from_fn(|i| squares[i] - a[i].x - other(LANES * at + i, &a[i]));
        let ys: [F; LANES] = from_fn(|i| slopes[i] * (a[i].x - xs[i]));
        for (i, a) in a.iter_mut().enumerate() {
            *a = Point {
                x: xs[i],
                y: ys[i] - a.y,
            };
        }
    }
    for (i, a) in (start..).zip(rest) {
        let slope = slope(i, a);
        let x = slope.square() - a.x - other(i, a);
        let y = slope * (a.x - x) - a.y;
        *a = Point { x, y };
    }
}

/// Working memory of batched operations.
///
/// Operations first take the short way, on the promise that no operand is the identity; whether
/// two of them are equal or opposite shows in the product of all denominators, which is zero then.
/// Such a batch is done again the careful way.
pub(crate) struct Batch<F> {
    /// The identity may be among the operands: every pair is to be looked at.
    careful: bool,
    denominators: Vec<F>,
    prefixes: Vec<F>,
    slopes: Vec<F>,
    middles: Vec<F>,
    /// Pairs without a slope, by position, in order.
    special: Vec<(usize, Special<F>)>,
    /// For [`Self::sum_segments`]: points of a level, and its segments' lengths and numbers.
    level: Vec<Point<F>>,
    segments: Vec<(usize, usize)>,
}

impl<F: Field> Batch<F> {
    pub(crate) fn new() -> Self {
        Self {
            careful: true,
            denominators: Vec::new(),
            prefixes: Vec::new(),
            slopes: Vec::new(),
            middles: Vec::new(),
            special: Vec::new(),
            level: Vec::new(),
            segments: Vec::new(),
        }
    }

    /// To be called before operations on new points. They may involve the identity only if it is
    /// among these points, or a result of earlier operations since this call.
    pub(crate) fn begin<'a>(&mut self, points: impl IntoIterator<Item = &'a Point<F>>)
    where
        F: 'a,
    {
        self.careful = points.into_iter().any(Point::is_identity);
    }

    /// Inverts the denominators, unless there is a zero among them.
    fn invert(&mut self) -> bool {
        invert_all(&mut self.denominators, &mut self.prefixes)
    }

    /// Enters the addition of `p` and `q`, the careful way.
    fn push(&mut self, p: &Point<F>, q: &Point<F>) {
        let mut denominator = q.x - p.x;
        if denominator == F::ZERO || p.is_identity() || q.is_identity() {
            let (special, d) = Special::of(p, q);
            self.special.push((self.denominators.len(), special));
            denominator = d;
        }
        self.denominators.push(denominator);
    }

    /// The sum of the pair that was entered as number `i`, the careful way. To be called in order.
    fn sum(&self, i: usize, special: &mut usize, p: &Point<F>, q: &Point<F>) -> Point<F> {
        let inverse = self.denominators[i];
        if let Some((at, what)) = self.special.get(*special)
            && *at == i
        {
            *special += 1;
            return match what {
                Special::Tangent(numerator) => chord(p, q, *numerator * inverse),
                Special::Sum(sum) => *sum,
            };
        }
        chord(p, q, (q.y - p.y) * inverse)
    }

    /// `acc_i += p_i` for all `i`.
    pub(crate) fn add_assign(&mut self, acc: &mut [Point<F>], p: impl Fn(usize) -> Point<F>) {
        if !self.careful {
            let differences = acc.iter().enumerate().map(|(i, a)| p(i).x - a.x);
            self.denominators.clear();
            self.denominators.extend(differences);
            if self.invert() {
                let inverses = &self.denominators[..acc.len()];
                chords(acc, |i, a| (p(i).y - a.y) * inverses[i], |i, _| p(i).x);
                return;
            }
            self.careful = true;
        }
        self.denominators.clear();
        self.special.clear();
        for (i, a) in acc.iter().enumerate() {
            self.push(a, &p(i));
        }
        self.invert();
        let mut special = 0;
        for (i, a) in acc.iter_mut().enumerate() {
            *a = self.sum(i, &mut special, a, &p(i));
        }
    }

    /// `acc_i += acc_i` for all `i`.
    pub(crate) fn double(&mut self, acc: &mut [Point<F>]) {
        self.denominators.clear();
        if !self.careful {
            self.denominators.extend(acc.iter().map(|a| a.y.double()));
            if self.invert() {
                let inverses = &self.denominators[..acc.len()];
                chords(acc, |i, a| a.tangent() * inverses[i], |_, a| a.x);
                return;
            }
            self.careful = true;
            self.denominators.clear();
        }
        // The identity has no tangent; any denominator will do.
        let of = |a: &Point<F>| {
            if a.is_identity() {
                F::ONE
            } else {
                a.y.double()
            }
        };
        self.denominators.extend(acc.iter().map(of));
        self.invert();
        for (a, inverse) in acc.iter_mut().zip(&self.denominators) {
            if !a.is_identity() {
                *a = chord(a, a, a.tangent() * inverse);
            }
        }
    }

    /// `acc_i += acc_i + p_i` for all `i`, as `(acc_i + p_i) + acc_i`, where the `y` of the sum in
    /// brackets is not needed: one multiplication and one squaring less than by two calls.
    pub(crate) fn double_add(&mut self, acc: &mut [Point<F>], p: impl Fn(usize) -> Point<F>) {
        if !self.careful && self.double_add_plain(acc, &p) {
            return;
        }
        self.careful = true;
        self.double(acc);
        self.add_assign(acc, p);
    }

    /// [`Self::double_add`] where all chords have slopes; else nothing happens.
    fn double_add_plain(&mut self, acc: &mut [Point<F>], p: &impl Fn(usize) -> Point<F>) -> bool {
        let differences = acc.iter().enumerate().map(|(i, a)| p(i).x - a.x);
        self.denominators.clear();
        self.denominators.extend(differences);
        if !self.invert() {
            return false;
        }
        // acc + p has the abscissa x; the second chord goes through it and acc, its slope is
        // −slope − 2·y_acc/(x − x_acc).
        self.slopes.resize(acc.len(), F::ZERO);
        self.middles.resize(acc.len(), F::ZERO);
        let kept = self.slopes.iter_mut().zip(&mut self.middles);
        for (i, ((a, d), (slope, middle))) in
            acc.iter().zip(&mut self.denominators).zip(kept).enumerate()
        {
            let p = p(i);
            *slope = (p.y - a.y) * *d;
            *middle = slope.square() - a.x - p.x;
            *d = *middle - a.x;
        }
        if !self.invert() {
            // acc + p = ±acc for some i.
            return false;
        }
        let n = acc.len();
        let (inverses, slopes) = (&self.denominators[..n], &self.slopes[..n]);
        let middles = &self.middles[..n];
        let slope = |i: usize, a: &Point<F>| -(slopes[i] + a.y.double() * inverses[i]);
        chords(acc, slope, |i, _| middles[i]);
        true
    }

    /// Adds up the points of every segment of `points`, which lie one after the other and have the
    /// given lengths, none of them zero. `points` is left in disorder.
    pub(crate) fn sum_segments(
        &mut self,
        points: &mut Vec<Point<F>>,
        lengths: &[usize],
    ) -> Vec<Point<F>> {
        let mut sums = vec![Point::IDENTITY; lengths.len()];
        let mut segments = std::mem::take(&mut self.segments);
        let mut level = std::mem::take(&mut self.level);
        segments.clear();
        segments.extend(lengths.iter().copied().enumerate());
        // A tree for each segment, all of them level by level.
        while !segments.is_empty() {
            level.clear();
            if self.careful || !self.halve(points, &segments, &mut level, &mut sums) {
                self.careful = true;
                self.halve_carefully(points, &segments, &mut level, &mut sums);
            }
            std::mem::swap(points, &mut level);
            segments.retain_mut(|(_, length)| {
                *length = length.div_ceil(2);
                *length > 1
            });
        }
        self.segments = segments;
        self.level = level;
        sums
    }

    /// Adds up pairs in every segment; the last point of it is kept if it is alone. Segments of
    /// which one point is left go to `sums`, the others to `level`. If a denominator is zero
    /// nothing happens.
    fn halve(
        &mut self,
        points: &[Point<F>],
        segments: &[(usize, usize)],
        level: &mut Vec<Point<F>>,
        sums: &mut [Point<F>],
    ) -> bool {
        self.denominators.clear();
        let mut rest = points;
        for (_, length) in segments {
            let (segment, after) = rest.split_at(*length);
            rest = after;
            let (pairs, _) = segment.as_chunks::<2>();
            self.denominators
                .extend(pairs.iter().map(|[p, q]| q.x - p.x));
        }
        if !self.invert() {
            return false;
        }
        let sum = |([p, q], inverse): (&[Point<F>; 2], &F)| chord(p, q, (q.y - p.y) * inverse);
        let (mut rest, mut inverses) = (points, &self.denominators[..]);
        for (number, length) in segments {
            let (segment, after) = rest.split_at(*length);
            rest = after;
            let (pairs, alone) = segment.as_chunks::<2>();
            let (of_pairs, after) = inverses.split_at(pairs.len());
            inverses = after;
            if *length > 2 {
                let start = level.len();
                level.extend(pairs.iter().map(|[p, _]| *p));
                let slope = |i: usize, p: &Point<F>| (pairs[i][1].y - p.y) * of_pairs[i];
                chords(&mut level[start..], slope, |i, _| pairs[i][1].x);
                level.extend_from_slice(alone);
            } else {
                let halved = pairs.iter().zip(of_pairs).map(sum);
                halved
                    .chain(alone.iter().copied())
                    .for_each(|p| sums[*number] = p);
            }
        }
        true
    }

    /// [`Self::halve`], the careful way.
    fn halve_carefully(
        &mut self,
        points: &[Point<F>],
        segments: &[(usize, usize)],
        level: &mut Vec<Point<F>>,
        sums: &mut [Point<F>],
    ) {
        self.denominators.clear();
        self.special.clear();
        let mut rest = points;
        for (_, length) in segments {
            let (segment, after) = rest.split_at(*length);
            rest = after;
            let (pairs, _) = segment.as_chunks::<2>();
            for [p, q] in pairs {
                self.push(p, q);
            }
        }
        self.invert();
        let mut rest = points;
        let (mut i, mut special) = (0, 0);
        for (number, length) in segments {
            let (segment, after) = rest.split_at(*length);
            rest = after;
            let (pairs, alone) = segment.as_chunks::<2>();
            for [p, q] in pairs {
                let sum = self.sum(i, &mut special, p, q);
                i += 1;
                if *length > 2 {
                    level.push(sum)
                } else {
                    sums[*number] = sum
                }
            }
            for p in alone {
                if *length > 2 {
                    level.push(*p)
                } else {
                    sums[*number] = *p
                }
            }
        }
    }
}

/// Replaces every value by its inverse; if one of them is zero nothing happens.
pub(super) fn invert_all<F: Field>(values: &mut [F], prefixes: &mut Vec<F>) -> bool {
    // Only grows, so that it need not be filled again and again.
    if prefixes.len() < values.len() {
        prefixes.resize(values.len(), F::ZERO);
    }
    let prefixes = &mut prefixes[..values.len()];
    let mut products = [F::ONE; LANES];
    for (values, prefixes) in values.chunks(LANES).zip(prefixes.chunks_mut(LANES)) {
        for ((product, value), prefix) in products.iter_mut().zip(values).zip(prefixes) {
            *prefix = *product;
            *product *= value;
        }
    }
    let [a, b, c, d] = products;
    let (ab, cd) = (a * b, c * d);
    let Some(inverse) = Option::<F>::from((ab * cd).invert()) else {
        return false;
    };
    let (inverse_ab, inverse_cd) = (inverse * cd, inverse * ab);
    let mut inverses = [
        inverse_ab * b,
        inverse_ab * a,
        inverse_cd * d,
        inverse_cd * c,
    ];
    let whole = values.len() - values.len() % LANES;
    let (head, tail) = values.split_at_mut(whole);
    let (head_prefixes, tail_prefixes) = prefixes.split_at(whole);
    for ((value, prefix), inverse) in tail.iter_mut().zip(tail_prefixes).zip(&mut inverses) {
        let inverted = *inverse * prefix;
        *inverse *= *value;
        *value = inverted;
    }
    for (chunk, prefixes) in head
        .rchunks_exact_mut(LANES)
        .zip(head_prefixes.rchunks_exact(LANES))
    {
        for ((value, prefix), inverse) in chunk.iter_mut().zip(prefixes).zip(&mut inverses) {
            let inverted = *inverse * prefix;
            *inverse *= *value;
            *value = inverted;
        }
    }
    true
}
