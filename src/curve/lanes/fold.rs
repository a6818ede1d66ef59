//! Folding; the counterpart of the parent's [`fold`](crate::curve::fold), eight outputs in a vector.

use super::{
    batch::chord,
    field::{Element, Lanes, Points},
    inversion::{Denominators, resize, scaled_words},
    wide::rows,
    wide::{Packed, Wide},
};
use crate::curve::{
    base_field::BaseField,
    challenge::Digit,
    points::{Folding, Form, Plain},
};

/// Multiples of points that digits ask for.
struct Multiples {
    /// `x`, `βx`, `β²x`.
    x: [Vec<Element>; 3],
    y: Vec<Element>,
}

impl Multiples {
    fn new() -> Self {
        Self {
            x: [Vec::new(), Vec::new(), Vec::new()],
            y: Vec::new(),
        }
    }

    /// Of points with `x < 5p/4` and `y ≤ 2p`, as all are here.
    #[inline(always)]
    fn set(&mut self, lanes: &Lanes, beta: &Element, points: &[Points]) {
        let [x, x1, x2] = &mut self.x;
        x.clear();
        x1.clear();
        x2.clear();
        self.y.clear();
        for p in points {
            let rotated = lanes.mul(&p.x, beta);
            x.push(p.x);
            x1.push(rotated);
            // 1 + β + β² = 0; more than −3p.
            let negative = lanes.minus(lanes.minus(lanes.zero_loose(), &p.x), &rotated);
            x2.push(lanes.settle(negative));
            self.y.push(p.y);
        }
    }

    #[inline(always)]
    fn x(&self, digit: Digit, i: usize) -> &Element {
        &self.x[digit.power][i]
    }

    #[inline(always)]
    fn y(&self, lanes: &Lanes, digit: Digit, i: usize) -> Element {
        let y = &self.y[i];
        if digit.negative {
            lanes.negative(y)
        } else {
            *y
        }
    }

    #[inline(always)]
    fn get(&self, lanes: &Lanes, digit: Digit, i: usize) -> Points {
        Points {
            x: *self.x(digit, i),
            y: self.y(lanes, digit, i),
        }
    }
}

/// Working memory of folding.
pub(crate) struct LaneFolding<F> {
    form: Wide<F>,
    denominators: Denominators,
    left: Vec<Points>,
    right: Vec<Points>,
    sums: Vec<Points>,
    slopes: Vec<Element>,
    middles: Vec<Element>,
    multiples: [Multiples; 2],
    plain: Folding<F>,
}

impl<F: BaseField> LaneFolding<F> {
    pub(super) fn new(form: Wide<F>) -> Self {
        Self {
            form,
            denominators: Denominators::default(),
            left: Vec::new(),
            right: Vec::new(),
            sums: Vec::new(),
            slopes: Vec::new(),
            middles: Vec::new(),
            multiples: [Multiples::new(), Multiples::new()],
            plain: Plain.folding(),
        }
    }

    /// See [`Form::fold`].
    pub(super) fn fold(
        &mut self,
        left: &mut [Packed<F>],
        right: &[Packed<F>],
        digits: &[Option<Digit>],
    ) {
        let identity = left.iter().chain(right).any(Packed::is_identity);
        let form = self.form;
        let folded = !identity
            && form.simd.vectorize(Fold {
                memory: self,
                left: &mut *left,
                right,
                digits,
            });
        if !folded {
            let plain = |points: &[Packed<F>]| points.iter().map(|p| form.leave(p)).collect();
            let (mut sums, right): (Vec<_>, Vec<_>) = (plain(left), plain(right));
            <Plain as Form<F>>::fold(&mut self.plain, &mut sums, &right, digits);
            for (left, sum) in left.iter_mut().zip(&sums) {
                *left = form.enter(sum);
            }
        }
    }
}

/// `left[i] += u·right[i]`; if a denominator is zero `false`, and nothing happens.
struct Fold<'a, F> {
    memory: &'a mut LaneFolding<F>,
    left: &'a mut [Packed<F>],
    right: &'a [Packed<F>],
    digits: &'a [Option<Digit>],
}

#[inline(always)]
fn load<F: BaseField>(lanes: &Lanes, points: &[Packed<F>], to: &mut Vec<Points>) {
    to.clear();
    for points in points.chunks(8) {
        to.push(lanes.load(rows(points)));
    }
}

impl<F: BaseField> pulp::NullaryFnOnce for Fold<'_, F> {
    type Output = bool;

    #[inline(always)]
    fn call(self) -> bool {
        let Self {
            memory,
            left,
            right,
            digits,
        } = self;
        let form = memory.form;
        let lanes = form.lanes();
        load(&lanes, left, &mut memory.left);
        load(&lanes, right, &mut memory.right);
        if !memory.fold_vectors(&lanes, digits) {
            return false;
        }
        for (points, sums) in left.chunks_mut(8).zip(&memory.sums) {
            for (point, words) in points.iter_mut().zip(lanes.store(sums)) {
                point.words = words;
            }
        }
        true
    }
}

impl<F: BaseField> LaneFolding<F> {
    /// `sums = left + u·right`.
    #[inline(always)]
    fn fold_vectors(&mut self, lanes: &Lanes, digits: &[Option<Digit>]) -> bool {
        let beta = lanes.all(&scaled_words(F::ZETA));
        let [first, second] = &mut self.multiples;
        first.set(lanes, &beta, &self.right);
        // (1 − λ)P = P − φ(P)
        let minus_lambda = Digit {
            negative: true,
            power: 1,
            ramified: 0,
        };
        self.sums.clear();
        let all = 0..self.right.len();
        for i in all.clone() {
            self.sums.push(first.get(lanes, minus_lambda, i));
        }
        if !add(
            lanes,
            self.form,
            &mut self.denominators,
            &mut self.sums,
            &self.right,
        ) {
            return false;
        }
        second.set(lanes, &beta, &self.sums);
        // The highest digit is not zero.
        let Some((highest, lower)) = digits.split_last() else {
            return false;
        };
        if let Some(digit) = *highest {
            let multiples = &self.multiples[digit.ramified];
            self.sums.clear();
            for i in all {
                self.sums.push(multiples.get(lanes, digit, i));
            }
        }
        for digit in lower.iter().rev() {
            let regular = match *digit {
                None => self.double(lanes),
                Some(digit) => self.double_add(lanes, digit),
            };
            if !regular {
                return false;
            }
        }
        add(
            lanes,
            self.form,
            &mut self.denominators,
            &mut self.sums,
            &self.left,
        )
    }

    /// `sums_i += sums_i`.
    #[inline(always)]
    fn double(&mut self, lanes: &Lanes) -> bool {
        let count = self.sums.len();
        let sums = std::cell::Cell::from_mut(&mut self.sums[..]).as_slice_of_cells();
        self.denominators.invert(
            lanes,
            self.form,
            count,
            #[inline(always)]
            |i| lanes.double(&sums[i].get().y),
            #[inline(always)]
            |i, inverse| {
                let p = sums[i].get();
                // 2y ≤ 4p; 3x² < 3·(1.6/64 + 1)p < 3.1p.
                let square = lanes.square_loose(&p.x);
                let slope = lanes.mul(&lanes.carry(lanes.triple(square)), inverse);
                sums[i].set(third(lanes, &p, &p.x, &slope));
            },
        )
    }

    /// `sums_i += sums_i + d·right_i`, as `(sums_i + d·right_i) + sums_i`; see [`Batch::double_add`].
    ///
    /// [`Batch::double_add`]: crate::curve::points::Batch::double_add
    #[inline(always)]
    fn double_add(&mut self, lanes: &Lanes, digit: Digit) -> bool {
        let count = self.sums.len();
        let zero = lanes.all(&[0; 5]);
        resize(&mut self.slopes, count, zero);
        resize(&mut self.middles, count, zero);
        let multiples = &self.multiples[digit.ramified];
        let (slopes, middles) = (&mut self.slopes[..count], &mut self.middles[..count]);
        let sums = &mut self.sums[..count];
        let first = self.denominators.invert(
            lanes,
            self.form,
            count,
            #[inline(always)]
            |i| lanes.difference(multiples.x(digit, i), &sums[i].x),
            #[inline(always)]
            |i, inverse| {
                let (a, x) = (&sums[i], multiples.x(digit, i));
                let numerator = lanes.difference(&multiples.y(lanes, digit, i), &a.y);
                let slope = lanes.mul(&numerator, inverse);
                // slope² < 1.1p, less 2.5p at most
                let square = lanes.square_loose(&slope);
                middles[i] = lanes.settle(lanes.minus(lanes.minus(square, &a.x), x));
                slopes[i] = slope;
            },
        );
        if !first {
            return false;
        }
        // The sum in brackets has the abscissa `middle`; the second chord goes through it and a, its
        // slope is −(slope + 2·y_a/(middle − x_a)).
        let sums = std::cell::Cell::from_mut(sums).as_slice_of_cells();
        self.denominators.invert(
            lanes,
            self.form,
            count,
            #[inline(always)]
            |i| lanes.difference(&middles[i], &sums[i].get().x),
            #[inline(always)]
            |i, inverse| {
                let a = sums[i].get();
                let quotient = lanes.mul_loose(&a.y, inverse);
                // Below 1.1p + 2·(2·1.1/64 + 1)p < 3.2p.
                let minus_slope = lanes.carry(lanes.plus(lanes.twice(quotient), &slopes[i]));
                let square = lanes.square_loose(&minus_slope);
                let x = lanes.settle(lanes.minus(lanes.minus(square, &a.x), &middles[i]));
                // −slope·(x − x_a) = slope·(x_a − x), below (3.2·4/64 + 1)p.
                let product = lanes.mul_loose(&minus_slope, &lanes.difference(&x, &a.x));
                let y = lanes.settle(lanes.minus(product, &a.y));
                sums[i].set(Points { x, y });
            },
        )
    }
}

/// The third point, mirrored, of the line through `p` with the given slope, which meets the curve at
/// the other abscissa too.
#[inline(always)]
fn third(lanes: &Lanes, p: &Points, other: &Element, slope: &Element) -> Points {
    let (x, y) = chord(lanes, &p.x, other, slope);
    let y = lanes.settle(lanes.minus(y, &p.y));
    Points { x, y }
}

/// `acc_i += p_i`.
#[inline(always)]
fn add<F: BaseField>(
    lanes: &Lanes,
    form: Wide<F>,
    denominators: &mut Denominators,
    acc: &mut [Points],
    p: &[Points],
) -> bool {
    let count = acc.len();
    let acc = std::cell::Cell::from_mut(acc).as_slice_of_cells();
    denominators.invert(
        lanes,
        form,
        count,
        #[inline(always)]
        |i| lanes.difference(&p[i].x, &acc[i].get().x),
        #[inline(always)]
        |i, inverse| {
            let a = acc[i].get();
            let slope = lanes.mul(&lanes.difference(&p[i].y, &a.y), inverse);
            acc[i].set(third(lanes, &a, &p[i].x, &slope));
        },
    )
}
