//! Montgomery's trick: many inverses for one.

use super::{
    field::{Element, Lanes},
    wide::Wide,
};
use crate::curve::{base_field::BaseField, modulus::limbs};

/// Makes room for `length` entries, whose values do not matter.
pub(super) fn resize<T: Copy>(memory: &mut Vec<T>, length: usize, fill: T) {
    // Only grows, so that it need not be filled again and again.
    if memory.len() < length {
        memory.resize(length, fill);
    }
}

/// The limbs of `value·2^260`.
pub(super) fn scaled_words<F: BaseField>(value: F) -> [u64; 5] {
    // halo2curves' words are value·2^256.
    limbs((value * F::from(1 << 4)).words())
}

/// Working memory of inversions: denominators, and the products before each.
#[derive(Default)]
pub(super) struct Denominators {
    values: Vec<Element>,
    prefixes: Vec<Element>,
}

impl Denominators {
    /// Calls `then` with the inverses of the denominators `of` gives for `0..count`, in some order;
    /// each of both once for every index. If there is a zero among them it does not, and returns
    /// `false`.
    ///
    /// Denominators are below `4p`, inverses below `1.1p`.
    #[inline(always)]
    pub(super) fn invert<F: BaseField>(
        &mut self,
        lanes: &Lanes,
        form: Wide<F>,
        count: usize,
        mut of: impl FnMut(usize) -> Element,
        mut then: impl FnMut(usize, &Element),
    ) -> bool {
        let one = lanes.all(&form.modulus.one);
        resize(&mut self.values, count, one);
        resize(&mut self.prefixes, count, one);
        let (values, prefixes) = (&mut self.values[..count], &mut self.prefixes[..count]);
        // Two chains of products, of the even and the odd ones. Products are below
        // (4·1.1/64 + 1)p < 1.1p.
        let mut products = [one; 2];
        for (i, (value, prefix)) in values.iter_mut().zip(prefixes.iter_mut()).enumerate() {
            let product = &mut products[i & 1];
            *value = of(i);
            *prefix = *product;
            *product = lanes.mul(product, value);
        }
        let both = lanes.mul(&products[0], &products[1]);
        let Some(inverse) = invert_lanes(lanes, form, &both) else {
            return false;
        };
        let mut inverses = [
            lanes.mul(&inverse, &products[1]),
            lanes.mul(&inverse, &products[0]),
        ];
        for (i, (value, prefix)) in values.iter().zip(prefixes.iter()).enumerate().rev() {
            let inverse = &mut inverses[i & 1];
            let inverted = lanes.mul(inverse, prefix);
            *inverse = lanes.mul(inverse, value);
            then(i, &inverted);
        }
        true
    }
}

/// The inverse in each lane, if none of the elements is zero. They are below `2p`.
#[inline(always)]
fn invert_lanes<F: BaseField>(lanes: &Lanes, form: Wide<F>, a: &Element) -> Option<Element> {
    // Products of two lanes, of four, of all eight.
    let a4 = lanes.turn::<4>(a);
    let two = lanes.mul(a, &a4);
    let two2 = lanes.turn::<2>(&two);
    let four = lanes.mul(&two, &two2);
    let four1 = lanes.turn::<1>(&four);
    let all = lanes.mul(&four, &four1);
    let inverse = lanes.all(&invert_one(form, lanes.first(&all))?);
    let inverse = lanes.mul(&inverse, &four1);
    let inverse = lanes.mul(&inverse, &two2);
    Some(lanes.mul(&inverse, &a4))
}

/// The inverse of an element, from four words and in limbs.
#[inline(never)]
fn invert_one<F: BaseField>(form: Wide<F>, words: [u64; 4]) -> Option<[u64; 5]> {
    // The words of a are a·2^260, which are those of 2^4·a for halo2curves; its inverse times 2^4
    // is 1/a.
    let value = F::from_words(form.modulus.canonical(words));
    let inverse = Option::<F>::from(value.invert())?;
    Some(scaled_words(inverse * F::from(1 << 4)))
}
