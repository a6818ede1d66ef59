//! Requantisation: rounding right shift with saturation.
//!
//! An accumulator `y` is held as the `B`-bit integer `u = y + 2^(B−1) + 2^(s−1)` (the last term only if `s ≥ 1`). Its bits
//! are at once the range check of `y` and the quotient: with `h = u >> s`, of `N = B − s` bits,
//! `⌊(y + 2^(s−1)) / 2^s⌋ = h − 2^(N−1)`, because `2^(B−1)` is a multiple of `2^s`. What remains is to clamp
//! `h − 2^(N−1)` to `width` bits. Of `h`,
//!
//! - the top bit `m` is the sign: `m = 1` iff `h − 2^(N−1) ≥ 0`;
//! - `low` is bits `0..width−1`;
//! - the `k = N − width` bits between, the *middle*, decide on saturation: the clamped range is `m = 1` with a middle of
//!   zeros and `m = 0` with a middle of ones. Their number of ones is `c`.

use bellpepper_core::{
    ConstraintSystem, SynthesisError,
    boolean::AllocatedBit,
    num::{AllocatedNum, Num},
};
use ff::PrimeField;

use crate::{
    cache,
    entry::{Entry, signed_offset},
    error,
    num::{self, constant, is_zero_with, mul, power_of_two},
    word::Word,
};

/// `clamp(⌊(y + 2^(shift−1)) / 2^shift⌋, −2^(width−1), 2^(width−1) − 1)`; no rounding term if `shift = 0`.
///
/// `width` is taken to be in `1..=64`.
pub fn requantize_native(y: i64, shift: u32, width: u32) -> i64 {
    // From 65 on the quotient is 0: |y| ≤ 2^63 ≤ 2^(shift−2).
    let shift = shift.min(66);
    let rounding = if shift == 0 { 0 } else { 1i128 << (shift - 1) };
    let quotient = (i128::from(y) + rounding) >> shift;
    let bound = 1i128 << (width.clamp(1, 64) - 1);
    // Within the bounds of an i64, as the bound is at most 2^63.
    quotient.clamp(-bound, bound - 1) as i64
}

/// `clamp(⌊(y + 2^(shift−1)) / 2^(shift+drop)⌋, −2^(width−1), 2^(width−1) − 1)`; no rounding term if `shift = 0`: `y` rounded
/// to units of `2^shift`, and of that the lowest `drop` bits cut off.
///
/// `width` is taken to be in `1..=64`.
pub fn requantize_drop_native(y: i64, shift: u32, drop: u32, width: u32) -> i64 {
    let fine = requantize_native(y, shift, 64);
    let bound = 1i128 << (width.clamp(1, 64) - 1);
    // Within the bounds of an i64, as the bound is at most 2^63.
    (i128::from(fine) >> drop.min(127)).clamp(-bound, bound - 1) as i64
}

/// An accumulator `y`, held as the `B`-bit word `u = y + 2^(B−1) + 2^(s−1)` (last term only if `s ≥ 1`).
#[derive(Clone)]
pub struct Accumulator {
    word: Word,
    shift: u32,
}

impl Accumulator {
    /// A fresh accumulator of `bits` bits that is to be shifted by `shift`.
    ///
    /// **Statement** `−2^(B−1) − 2^(s−1) ≤ y < 2^(B−1) − 2^(s−1)`.
    ///
    /// **Assumes** `s < B ≤ 64`; otherwise an error.
    ///
    /// **Enforces** 1. `u` has `B` bits.
    ///
    /// **Does not enforce** that `y` is the accumulator of anything: that is the sumcheck's task.
    ///
    /// **Cost** `B`.
    ///
    /// **Soundness** See [`Word::alloc`]. `u` is an integer below `2^64`, so `y` does not wrap around.
    ///
    /// **Reference** –
    ///
    /// # Errors
    /// `Unsatisfiable` if `y` is out of range, `AssignmentMissing` if there is none.
    pub fn alloc<F: PrimeField, CS: ConstraintSystem<F>>(
        cs: CS,
        bits: u32,
        shift: u32,
        value: Option<i64>,
    ) -> Result<Self, SynthesisError> {
        if shift >= bits || bits > 64 {
            return Err(error::shape(
                "an accumulator has at most 64 bits, more than its shift",
            ));
        }
        let unsigned = match value {
            Some(y) => Some(
                u64::try_from(i128::from(y) + i128::from(offset(bits, shift)))
                    .map_err(|_| SynthesisError::Unsatisfiable)?,
            ),
            None => None,
        };
        let word = Word::alloc(cs, bits, unsigned)?;
        Ok(Self { word, shift })
    }

    /// An accumulator whose bits are `word`'s; `shift` is less than their number.
    pub(crate) fn from_word(word: Word, shift: u32) -> Self {
        Self { word, shift }
    }

    /// The integer `u`.
    pub fn word(&self) -> &Word {
        &self.word
    }

    /// `B`.
    pub fn bits(&self) -> u32 {
        self.word.width()
    }

    /// `s`.
    pub fn shift(&self) -> u32 {
        self.shift
    }

    /// `y`.
    pub fn value(&self) -> Option<i64> {
        let y = i128::from(self.word.value()?) - i128::from(self.offset());
        i64::try_from(y).ok()
    }

    /// `y`, as a field element.
    pub fn signed<F: PrimeField, CS: ConstraintSystem<F>>(&self) -> Num<F> {
        constant::<F, CS>(-F::from(self.offset())).add(&self.word.num())
    }

    /// The entry of width `B` and offset `2^(B−1) + 2^(s−1)`, which is what is packed.
    pub fn entry<F: PrimeField>(&self) -> Entry<F> {
        Entry::from_word(self.word.clone(), self.offset())
    }

    fn offset(&self) -> u64 {
        offset(self.bits(), self.shift)
    }
}

/// `2^(B−1) + 2^(s−1)`, the last term only if `s ≥ 1`. Below `2^64`, as `s < B ≤ 64`.
pub(crate) fn offset(bits: u32, shift: u32) -> u64 {
    signed_offset(bits) + if shift == 0 { 0 } else { 1 << (shift - 1) }
}

/// The quotient `h = u >> s`, cut as the module says. Bit positions are those of `u`.
pub(crate) struct Quotient<'a> {
    word: &'a Word,
    /// Where `h` begins.
    shift: usize,
    /// Where the middle begins; the position of the top bit if there is none.
    middle: usize,
    /// The top bit.
    top: usize,
}

impl<'a> Quotient<'a> {
    pub(crate) fn new(acc: &'a Accumulator, drop: u32, width: u32) -> Result<Self, SynthesisError> {
        if !(1..=64).contains(&width) {
            return Err(error::shape("a requantised entry has 1 to 64 bits"));
        }
        if drop >= acc.bits() - acc.shift {
            return Err(error::shape("no bit of an accumulator is left"));
        }
        let shift = (acc.shift + drop) as usize;
        // At least the shift, as the shift is less than the number of bits.
        let top = acc.bits() as usize - 1;
        Ok(Self {
            word: &acc.word,
            shift,
            middle: top.min(shift + width as usize - 1),
            top,
        })
    }

    /// `low`, and `m` above it: `width` bits, those of the quotient if it is in range. `None` if the quotient has fewer.
    pub(crate) fn bits(&self, width: u32) -> Option<Vec<AllocatedBit>> {
        let low = &self.word.bits()[self.shift..self.middle];
        let bits = low.iter().chain(&self.word.bits()[self.top..=self.top]);
        (low.len() + 1 == width as usize).then(|| bits.cloned().collect())
    }

    /// Whether there is anything to saturate.
    pub(crate) fn saturates(&self) -> bool {
        self.middle_len() > 0
    }

    /// `z = [e = 0]`, `e = c + k·m − k`: whether the quotient is in range. Two constraints.
    pub(crate) fn in_range<F: PrimeField, CS: ConstraintSystem<F>>(
        &self,
        cs: CS,
    ) -> Result<AllocatedNum<F>, SynthesisError> {
        let k = self.middle_len();
        let k_field = F::from(k as u64);
        let e = constant::<F, CS>(-k_field)
            .add(&self.ones())
            .add(&self.sign::<F>().scale(k_field));
        is_zero_with(cs, &e, |_| {
            small_inverse(
                self.sign_and_ones()
                    .map_or(0, |(sign, ones)| ones as i64 + (k * sign) as i64 - k as i64),
            )
        })
    }

    /// `m`.
    pub(crate) fn sign<F: PrimeField>(&self) -> Num<F> {
        self.word.num_of_bits(self.top..self.top + 1)
    }

    fn low<F: PrimeField>(&self) -> Num<F> {
        self.word.num_of_bits(self.shift..self.middle)
    }

    /// `c`.
    fn ones<F: PrimeField>(&self) -> Num<F> {
        self.word.count_of_bits(self.middle..self.top)
    }

    /// `k`.
    fn middle_len(&self) -> usize {
        self.top - self.middle
    }

    /// `m` and `c`.
    fn sign_and_ones(&self) -> Option<(usize, usize)> {
        let u = self.word.value()?;
        let ones = (self.middle..self.top).filter(|i| u >> i & 1 == 1).count();
        Some(((u >> self.top & 1) as usize, ones))
    }
}

/// Inverses of `0..=64`, with 0 for 0.
struct SmallInverses<F>(Vec<F>);

/// The inverse of an integer of at most 64 in absolute value; 0 for 0. An inversion costs more than all the rest of a
/// requantisation.
fn small_inverse<F: PrimeField>(value: i64) -> F {
    let table = cache::once(|| {
        SmallInverses::<F>(
            (0..=64)
                .map(|i| Option::from(F::from(i).invert()).unwrap_or(F::ZERO))
                .collect(),
        )
    });
    let inverse = usize::try_from(value.unsigned_abs())
        .ok()
        .and_then(|i| table.0.get(i).copied())
        .unwrap_or(F::ZERO);
    if value < 0 { -inverse } else { inverse }
}

/// Rounding right shift with saturation, of which the lowest `drop` bits are cut off.
///
/// **Statement** `q = requantize_drop_native(y, s, drop, width)`, for the accumulator's `y` and `s`; the entry's integer is
/// `q + 2^(width−1)`. In what follows `N = B − s − drop` and `h = u >> (s + drop)`: as `2^(B−1)` is a multiple of
/// `2^(s+drop)`, `⌊(y + 2^(s−1)) / 2^(s+drop)⌋ = h − 2^(N−1)`.
///
/// **Assumes** the accumulator's bits are bits, as the type promises; `1 ≤ width ≤ 64` and `s + drop < B`, otherwise an
/// error.
///
/// **Enforces** with `e = c + k·m − k`, `max = 2^width − 1`, if `N > width`:
/// 1. `z = [e = 0]` (two constraints, see [`num::is_zero`]);
/// 2. `t = z·(low + 2^(width−1)·m − max·m)`; the result is `t + max·m`.
///
/// If `N ≤ width` there is nothing to saturate, and the result is `h + 2^(width−1) − 2^(N−1)`.
///
/// **Does not enforce** what `y` is.
///
/// **Cost** 3 if `N > width`, otherwise 0.
///
/// **Soundness** For `m = 1`, `e = c`; for `m = 0`, `e = c − k`. So `e` is an integer in `[−k, k]`, `k < 64`, zero iff the
/// middle is all zeros or all ones as the sign demands: iff `h − 2^(N−1)` is in range. Then `z = 1`, and the result is
/// `low + 2^(width−1)·m`: for `m = 1` the quotient is `low`, for `m = 0` it is `low − 2^(width−1)`. Otherwise `z = 0`, and the
/// result is `max` for a positive quotient, 0 for a negative one. All three are in `[0, 2^width)`.
///
/// **Reference** –
pub fn requantize<F: PrimeField, CS: ConstraintSystem<F>>(
    mut cs: CS,
    acc: &Accumulator,
    drop: u32,
    width: u32,
) -> Result<Entry<F>, SynthesisError> {
    let h = Quotient::new(acc, drop, width)?;
    let value = acc
        .value()
        .map(|y| requantize_drop_native(y, acc.shift, drop, width))
        .and_then(|q| unsigned(q, width));
    let sign = h.sign::<F>();
    let result = if acc.bits() - acc.shift - drop <= width {
        // h + 2^(width−1) − 2^(N−1)
        let correction = power_of_two::<F>(width - 1) - power_of_two::<F>((h.top - h.shift) as u32);
        constant::<F, CS>(correction).add(&h.word.num_of_bits(h.shift..h.top + 1))
    } else {
        let unsaturated = h.in_range(cs.namespace(|| "in range"))?;
        let max = power_of_two::<F>(width) - F::ONE;
        let saturated = sign.clone().scale(max);
        let kept = h.low().add(&sign.clone().scale(power_of_two(width - 1)));
        // t = z · (low + 2^(width−1)·m − max·m)
        let t = mul(
            cs.namespace(|| "in range or saturated"),
            &unsaturated.into(),
            &num::sub(&kept, &saturated),
        )?;
        saturated.add(&t.into())
    };
    Ok(
        Entry::from_num_unchecked(result, value, width, signed_offset(width))
            .with_nonnegative_unchecked(sign),
    )
}

/// Requantisation and rectified linear unit in one.
///
/// **Statement** `q = max(0, requantize_native(y, s, width))`; the entry's integer is `q + 2^(width−1)`.
///
/// **Assumes** as [`requantize`].
///
/// **Enforces** with `e = c + 1 − m`, `max = 2^(width−1) − 1`, if `N > width`:
/// 1. `z = [e = 0]` (two constraints, see [`num::is_zero`]);
/// 2. `t = z·(low − max)`; the result is `t + max·m + 2^(width−1)`.
///
/// If `N ≤ width` there is nothing to saturate: 3. `t = m·(h − 2^(N−1)·m)`; the result is `t + 2^(width−1)`.
///
/// **Does not enforce** what `y` is.
///
/// **Cost** 3 if `B − s > width`, otherwise 1.
///
/// **Soundness** `e` is an integer in `[0, k + 1]`, zero iff `m = 1` and the middle is all zeros: iff the quotient is in
/// `[0, max]`. Then `z = 1 = m` and `q = low − max + max = low`. Otherwise `z = 0` and `q = max·m`: `max` above the range, 0
/// below zero. All three are in `[0, max]`. Without saturation, `q` is the lower `N − 1` bits of `h` if `m = 1` and 0 if not;
/// `N − 1 ≤ width − 1`.
///
/// **Reference** –
pub fn requantize_relu<F: PrimeField, CS: ConstraintSystem<F>>(
    mut cs: CS,
    acc: &Accumulator,
    width: u32,
) -> Result<Entry<F>, SynthesisError> {
    let h = Quotient::new(acc, 0, width)?;
    let value = acc
        .value()
        .map(|y| requantize_native(y, acc.shift, width).max(0))
        .and_then(|q| unsigned(q, width));
    let sign = h.sign::<F>();
    let q = if acc.bits() - acc.shift <= width {
        // t = m · (h − 2^(N−1)·m); without a middle, low is all of h but its top bit.
        mul(cs.namespace(|| "zero if negative"), &sign, &h.low())?.into()
    } else {
        let e = constant::<F, CS>(F::ONE)
            .add(&h.ones())
            .add(&sign.clone().scale(-F::ONE));
        let in_range = is_zero_with(cs.namespace(|| "in range"), &e, |_| {
            small_inverse(
                h.sign_and_ones()
                    .map_or(0, |(sign, ones)| ones as i64 + 1 - sign as i64),
            )
        })?;
        let max = power_of_two::<F>(width - 1) - F::ONE;
        // t = z · (low − max)
        let t = mul(
            cs.namespace(|| "in range or clamped"),
            &in_range.into(),
            &constant::<F, CS>(-max).add(&h.low()),
        )?;
        sign.scale(max).add(&t.into())
    };
    let result = constant::<F, CS>(power_of_two(width - 1)).add(&q);
    Ok(
        Entry::from_num_unchecked(result, value, width, signed_offset(width))
            .with_nonnegative_unchecked(constant::<F, CS>(F::ONE)),
    )
}

/// `q + 2^(width−1)`, for a `q` of `width` bits.
fn unsigned(q: i64, width: u32) -> Option<u64> {
    u64::try_from(i128::from(q) + i128::from(signed_offset(width))).ok()
}

#[cfg(test)]
mod tests {
    use bellpepper_core::test_cs::TestConstraintSystem;
    use expect_test::expect;
    use ff::Field;
    use pasta_curves::Fp;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{audit, build, case, cost, error, shape, signed};

    case!(Requantize { bits: u32, shift: u32, drop: u32, width: u32, relu: bool, y: Option<i64> } |this, cs| {
        let acc = Accumulator::alloc(cs.namespace(|| "given"), this.bits, this.shift, this.y)?;
        assert_eq!((acc.bits(), acc.shift(), acc.value()), (this.bits, this.shift, this.y));
        let entry = acc.entry::<F>();
        assert_eq!((entry.width(), entry.value()), (this.bits, this.y));
        assert_eq!(entry.signed::<CS>().get_value(), acc.signed::<F, CS>().get_value());
        let result = if this.relu {
            requantize_relu(cs.namespace(|| "requantize"), &acc, this.width)?
        } else {
            requantize(cs.namespace(|| "requantize"), &acc, this.drop, this.width)?
        };
        assert_eq!((result.width(), result.offset()), (this.width, 1 << (this.width - 1)));
        assert_eq!(result.unsigned().get_value(), result.unsigned_value().map(F::from));
        Ok(vec![
            result.signed::<CS>().get_value().unwrap(),
            result.nonnegative().unwrap().get_value().unwrap(),
            acc.signed::<F, CS>().get_value().unwrap(),
        ])
    });

    fn native(case: &Requantize) -> i64 {
        let q = requantize_drop_native(case.y.unwrap(), case.shift, case.drop, case.width);
        if case.relu { q.max(0) } else { q }
    }

    fn expected(case: &Requantize) -> [Fp; 3] {
        let q = native(case);
        [q.into(), (q >= 0).into(), case.y.unwrap().into()].map(signed)
    }

    fn expected_cost(case: &Requantize) -> usize {
        let saturating = if case.bits - case.shift - case.drop > case.width {
            3
        } else {
            usize::from(case.relu)
        };
        case.bits as usize + saturating
    }

    /// All values of an accumulator.
    fn range(bits: u32, shift: u32) -> std::ops::Range<i128> {
        let offset = i128::from(offset(bits, shift));
        -offset..(1i128 << bits) - offset
    }

    /// The definition, in real arithmetic on exact binary fractions.
    fn by_definition(y: i64, shift: u32, width: u32) -> i64 {
        let exact = y as f64 / f64::from(1u32 << shift);
        let rounded = if shift == 0 {
            exact
        } else {
            (exact + 0.5).floor()
        };
        let bound = f64::from(1u32 << (width - 1));
        rounded.clamp(-bound, bound - 1.0) as i64
    }

    #[test]
    fn native_follows_the_definition() {
        for shift in 0..10 {
            for width in 1..10 {
                for y in -600..600 {
                    assert_eq!(
                        requantize_native(y, shift, width),
                        by_definition(y, shift, width)
                    );
                }
            }
        }
    }

    #[test]
    fn native_takes_any_integer() {
        assert_eq!(requantize_native(i64::MAX, 0, 64), i64::MAX);
        assert_eq!(requantize_native(i64::MIN, 0, 64), i64::MIN);
        assert_eq!(requantize_native(i64::MAX, 0, 8), 127);
        assert_eq!(requantize_native(i64::MIN, 0, 8), -128);
        assert_eq!(requantize_native(i64::MAX, 63, 8), 1);
        assert_eq!(requantize_native(i64::MIN, 63, 8), -1);
        // −1/2 and 1/2 are rounded up.
        assert_eq!(requantize_native(i64::MIN, 64, 8), 0);
        assert_eq!(requantize_native(i64::MAX, 64, 8), 0);
        assert_eq!(requantize_native(1 << 62, 63, 8), 1);
        for shift in [65, 66, 67, 127, 128, u32::MAX] {
            for y in [i64::MIN, -1, 0, 1, i64::MAX] {
                assert_eq!(requantize_native(y, shift, 8), 0);
            }
        }
    }

    #[test]
    fn all_small_accumulators() {
        for bits in 1..=7 {
            for shift in 0..bits {
                for width in 1..=bits + 1 {
                    for relu in [false, true] {
                        for y in range(bits, shift) {
                            let y = Some(y as i64);
                            let case = Requantize {
                                bits,
                                shift,
                                drop: 0,
                                width,
                                relu,
                                y,
                            };
                            let audit = audit(&case);
                            assert_eq!(audit.results, expected(&case), "{case:?}");
                            // The inverse of zero, if the value is in range.
                            assert!(
                                audit
                                    .free
                                    .iter()
                                    .all(|name| name.ends_with("in range/inverse/num")),
                                "{case:?}"
                            );
                            assert_eq!(cost(&case), expected_cost(&case));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn bits_are_dropped_after_rounding() {
        for y in -600..600 {
            for (shift, drop, width) in [(2, 3, 4), (0, 4, 8), (3, 1, 6), (4, 0, 5)] {
                let rounded = requantize_native(y, shift, 64);
                let expected = (rounded as f64 / f64::from(1u32 << drop)).floor() as i64;
                let bound = 1 << (width - 1);
                assert_eq!(
                    requantize_drop_native(y, shift, drop, width),
                    expected.clamp(-bound, bound - 1)
                );
            }
        }
        for (bits, shift, drop, width) in [(8, 2, 3, 2), (8, 2, 3, 3), (8, 0, 7, 1), (7, 3, 1, 1)] {
            for y in range(bits, shift) {
                let y = Some(y as i64);
                let case = Requantize {
                    bits,
                    shift,
                    drop,
                    width,
                    relu: false,
                    y,
                };
                assert_eq!(audit(&case).results, expected(&case), "{case:?}");
                assert_eq!(cost(&case), expected_cost(&case));
            }
        }
    }

    #[test]
    fn some_bit_must_be_left() {
        let mut cs = TestConstraintSystem::<Fp>::new();
        let acc = Accumulator::alloc(cs.namespace(|| "given"), 8, 2, Some(0)).unwrap();
        assert!(requantize(cs.namespace(|| "all but one"), &acc, 5, 8).is_ok());
        assert!(requantize(cs.namespace(|| "all"), &acc, 6, 8).is_err());
    }

    #[test]
    fn edges_of_large_accumulators() {
        for (bits, shift, width) in [
            (64, 0, 8),
            (64, 63, 8),
            (64, 20, 16),
            (33, 1, 8),
            (21, 10, 8),
            (64, 0, 64),
        ] {
            let range = range(bits, shift);
            let mut values = vec![range.start, range.end - 1, 0, 1, -1];
            for bit in 0..bits {
                values.extend([(1i128 << bit) - 1, 1 << bit, (1 << bit) + 1]);
                values.extend([-(1i128 << bit) - 1, -1 << bit, 1 - (1 << bit)]);
            }
            values.retain(|y| range.contains(y));
            for y in values.into_iter().filter_map(|y| i64::try_from(y).ok()) {
                for relu in [false, true] {
                    let case = Requantize {
                        bits,
                        shift,
                        drop: 0,
                        width,
                        relu,
                        y: Some(y),
                    };
                    assert_eq!(audit(&case).results, expected(&case), "{case:?}");
                    assert_eq!(cost(&case), expected_cost(&case));
                }
            }
        }
    }

    #[test]
    fn accumulator_enforces_the_range() {
        let case = Requantize {
            bits: 8,
            shift: 2,
            drop: 0,
            width: 4,
            relu: false,
            y: Some(0),
        };
        for y in [range(8, 2).start - 1, range(8, 2).end] {
            let case = Requantize {
                y: Some(y as i64),
                ..case.clone()
            };
            assert!(matches!(error(&case, false), SynthesisError::Unsatisfiable));
            assert!(matches!(error(&case, true), SynthesisError::Unsatisfiable));
        }
        let (mut cs, _) = build::<Fp>(&case);
        cs.set("given/bit 7/boolean", Fp::from(2));
        assert_eq!(
            cs.which_is_unsatisfied(),
            Some("given/bit 7/boolean constraint")
        );
        let missing = Requantize { y: None, ..case };
        assert!(matches!(
            error(&missing, true),
            SynthesisError::AssignmentMissing
        ));
    }

    #[test]
    fn shapes_that_do_not_exist() {
        for (bits, shift, width) in [(0, 0, 8), (65, 0, 8), (8, 8, 8), (8, 2, 0), (8, 2, 65)] {
            for relu in [false, true] {
                let mut cs = TestConstraintSystem::<Fp>::new();
                let refused = Accumulator::alloc(&mut cs, bits, shift, Some(0)).and_then(|acc| {
                    let cs = cs.namespace(|| "requantize");
                    if relu {
                        requantize_relu(cs, &acc, width)
                    } else {
                        requantize(cs, &acc, 0, width)
                    }
                });
                assert!(matches!(
                    refused,
                    Err(SynthesisError::IncompatibleLengthVector(_))
                ));
            }
        }
    }

    /// 21 bits, shift 10, width 8: three middle bits.
    fn typical(relu: bool, y: i64) -> TestConstraintSystem<Fp> {
        let case = Requantize {
            bits: 21,
            shift: 10,
            drop: 0,
            width: 8,
            relu,
            y: Some(y),
        };
        build::<Fp>(&case).0
    }

    const FLAG: &str = "requantize/in range/is zero/num";
    const INVERSE: &str = "requantize/in range/inverse/num";

    /// Sets the flag, and the inverse so that the first constraint of the zero test is met where it can be.
    fn lie(cs: &mut TestConstraintSystem<Fp>, z: Fp, e: i64, product: &str, t: Fp) {
        cs.set(FLAG, z);
        let e: Fp = signed(e.into());
        let inverse = Option::from(e.invert()).unwrap_or(Fp::ZERO);
        cs.set(INVERSE, (Fp::ONE - z) * inverse);
        cs.set(product, t);
    }

    #[test]
    fn requantize_enforces_saturation_where_needed() {
        const PRODUCT: &str = "requantize/in range or saturated/product/num";
        // q = 195 claimed to be in range: its low bits are 195 − 128 = 67, so the result would be 67. c = 1.
        let mut cs = typical(false, 200_000);
        lie(&mut cs, Fp::ONE, 1, PRODUCT, signed(67 + 128 - 255));
        assert_eq!(
            cs.which_is_unsatisfied(),
            Some("requantize/in range/zero if not zero")
        );
        // q = −195 likewise: the result would be 61. c = 2 of 3.
        let mut cs = typical(false, -200_000);
        lie(&mut cs, Fp::ONE, -1, PRODUCT, signed(61));
        assert_eq!(
            cs.which_is_unsatisfied(),
            Some("requantize/in range/zero if not zero")
        );
    }

    #[test]
    fn requantize_enforces_no_saturation_where_not_needed() {
        const PRODUCT: &str = "requantize/in range or saturated/product/num";
        for y in [100_000, -100_000] {
            // t = 0: the result would be 255 or 0.
            let mut cs = typical(false, y);
            lie(&mut cs, Fp::ZERO, 0, PRODUCT, Fp::ZERO);
            assert_eq!(
                cs.which_is_unsatisfied(),
                Some("requantize/in range/one if zero")
            );
        }
    }

    #[test]
    fn requantize_enforces_the_product() {
        const PRODUCT: &str = "requantize/in range or saturated/product/num";
        for y in [100_000, -100_000, 200_000, -200_000] {
            let mut cs = typical(false, y);
            let honest = cs.get(PRODUCT);
            for off in [1, -1, 255, 1 << 20] {
                cs.set(PRODUCT, honest + signed::<Fp>(off));
                assert_eq!(
                    cs.which_is_unsatisfied(),
                    Some("requantize/in range or saturated/product is a times b")
                );
            }
        }
    }

    #[test]
    fn requantize_relu_enforces_the_flag() {
        const PRODUCT: &str = "requantize/in range or clamped/product/num";
        // q = 195 as 67; q = −98 as its low bits 30 (e = 3 + 1: three ones in the middle, no sign).
        for (y, e, low) in [(200_000, 1, 67), (-100_000, 4, 30)] {
            let mut cs = typical(true, y);
            lie(&mut cs, Fp::ONE, e, PRODUCT, signed(low - 127));
            assert_eq!(
                cs.which_is_unsatisfied(),
                Some("requantize/in range/zero if not zero")
            );
        }
        // q = 98 as 127.
        let mut cs = typical(true, 100_000);
        lie(&mut cs, Fp::ZERO, 0, PRODUCT, Fp::ZERO);
        assert_eq!(
            cs.which_is_unsatisfied(),
            Some("requantize/in range/one if zero")
        );
    }

    #[test]
    fn requantize_relu_enforces_the_product() {
        let narrow = Requantize {
            bits: 8,
            shift: 2,
            drop: 0,
            width: 8,
            relu: true,
            y: Some(-50),
        };
        let cases = [
            (typical(true, 100_000), "requantize/in range or clamped"),
            (typical(true, -100_000), "requantize/in range or clamped"),
            (build::<Fp>(&narrow).0, "requantize/zero if negative"),
        ];
        for (mut cs, product) in cases {
            let wire = format!("{product}/product/num");
            let honest = cs.get(&wire);
            for off in [1, -1, 127, 1 << 20] {
                cs.set(&wire, honest + signed::<Fp>(off));
                assert_eq!(
                    cs.which_is_unsatisfied(),
                    Some(&*format!("{product}/product is a times b"))
                );
            }
        }
    }

    #[test]
    fn shapes() {
        let case = |bits, shift, width, relu, y| {
            shape(&Requantize {
                bits,
                shift,
                drop: 0,
                width,
                relu,
                y: Some(y),
            })
        };
        let real = [
            case(21, 10, 8, false, 100_000),
            case(21, 10, 8, true, 100_000),
            case(16, 10, 8, false, -1000),
            case(16, 10, 8, true, -1000),
            case(21, 0, 16, false, -1000),
        ];
        expect![[r#"
            24 constraints, 24 variables, b233a0db777f43c17f4abd2329628e0159c64badcc84a0abff54edcf62e98f40
            24 constraints, 24 variables, a291afdebb8fc00f6631a5a05e52a56ec55c3e312923f36d28761935d9e98794
            16 constraints, 16 variables, 4e1be05779c72f7f357dfbc9744e079ae407991a94e15a778af5300b80aca527
            17 constraints, 17 variables, c69c8161353a060a45781b57adca3a58a172c30149fd50a881b103eb5f192bb3
            24 constraints, 24 variables, 92d8ea415ab94cf55b0505a8fb4a61d4ec8d183eefdeb1706c92165144318e7a"#]].assert_eq(&real.join("\n"));
        assert_eq!(case(21, 10, 8, false, 0), real[0]);
        assert_eq!(case(21, 10, 8, true, 0), real[1]);
        assert_eq!(case(16, 10, 8, false, 0), real[2]);
        assert_eq!(case(16, 10, 8, true, 0), real[3]);
    }

    proptest! {
        #[test]
        fn random_accumulators(
            bits in 1u32..=63,
            shift in 0u32..63,
            width in 1u32..=16,
            relu: bool,
            y: i64,
        ) {
            let shift = shift % bits;
            // Of the signed integers of that many bits, those in the range.
            let y = y >> (64 - bits);
            prop_assume!(range(bits, shift).contains(&y.into()));
            let case = Requantize { bits, shift, drop: 0, width, relu, y: Some(y) };
            let audit = audit(&case);
            prop_assert_eq!(audit.results, expected(&case));
            prop_assert_eq!(cost(&case), expected_cost(&case));
        }
    }
}
