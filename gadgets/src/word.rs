//! Unsigned integers as bits, and one-hot vectors.

use std::ops::Range;

use bellpepper_core::{
    ConstraintSystem, SynthesisError,
    boolean::{AllocatedBit, Boolean},
    num::Num,
};
use ff::PrimeField;

use crate::error;

/// The widest word. Far below the capacity of any field used here, so that no sum of bits wraps around.
const MAX_WIDTH: u32 = 64;

/// Unsigned integer of `width` bits held as constrained bits, least significant first.
#[derive(Clone)]
pub struct Word {
    bits: Vec<AllocatedBit>,
    value: Option<u64>,
    /// Made by a witness generator: nobody reads its linear combinations.
    value_only: bool,
}

/// The lowest `width` bits of `value`, `width ≤ 64`.
fn low_bits(value: u64, width: u32) -> u64 {
    value & u64::MAX.checked_shr(MAX_WIDTH - width).unwrap_or(0)
}

impl std::fmt::Debug for Word {
    /// Without the value: words are activations and inputs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Word({} bits, redacted)", self.bits.len())
    }
}

impl Word {
    /// A fresh integer below `2^width`.
    ///
    /// **Statement** `value = Σ 2^i·b_i`, `b_i ∈ {0, 1}`, `i < width`.
    ///
    /// **Assumes** `1 ≤ width ≤ 64`; otherwise an error.
    ///
    /// **Enforces** 1. every `b_i` is a bit.
    ///
    /// **Does not enforce** anything else: the integer is the prover's choice.
    ///
    /// **Cost** `width`.
    ///
    /// **Soundness** `2^64` is below the size of the field, so distinct bit strings are distinct field elements and
    /// every element below `2^width` has one decomposition.
    ///
    /// **Reference** halo2 `decompose_running_sum`, strict.
    ///
    /// # Errors
    /// `Unsatisfiable` if `value ≥ 2^width`, `AssignmentMissing` if there is none.
    pub fn alloc<F: PrimeField, CS: ConstraintSystem<F>>(
        mut cs: CS,
        width: u32,
        value: Option<u64>,
    ) -> Result<Self, SynthesisError> {
        const { assert!(F::CAPACITY >= MAX_WIDTH) };
        if !(1..=MAX_WIDTH).contains(&width) {
            return Err(error::shape("a word has 1 to 64 bits"));
        }
        if value.is_some_and(|value| value != low_bits(value, width)) {
            return Err(SynthesisError::Unsatisfiable);
        }
        let bits = (0..width)
            .map(|i| {
                let bit = value.map(|value| value >> i & 1 == 1);
                AllocatedBit::alloc(cs.namespace(|| format!("bit {i}")), bit)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            bits,
            value,
            value_only: cs.is_witness_generator(),
        })
    }

    /// The bits of a number that exists already.
    ///
    /// **Statement** `num = Σ 2^i·b_i`, `b_i ∈ {0, 1}`, `i < width`; in particular `num < 2^width`.
    ///
    /// **Assumes** `1 ≤ width ≤ 64`; otherwise an error.
    ///
    /// **Enforces** 1. every `b_i` is a bit; 2. the sum is `num`.
    ///
    /// **Does not enforce** that `value` is the value of `num`: it is only a hint for the witness.
    ///
    /// **Cost** `width + 1`.
    ///
    /// **Soundness** As for [`Word::alloc`]: at most one decomposition, and none if `num ≥ 2^width`.
    ///
    /// **Reference** halo2 `decompose_running_sum`; circomlib `Num2Bits`, which is not unique at the field's own width.
    ///
    /// # Errors
    /// In a witness generator, `Unsatisfiable` if `value ≥ 2^width`. Elsewhere such a value loses its upper bits and
    /// leaves the constraints unsatisfied, as a dummy witness may. `AssignmentMissing` if there is none.
    pub fn decompose<F: PrimeField, CS: ConstraintSystem<F>>(
        mut cs: CS,
        num: &Num<F>,
        width: u32,
        value: Option<u64>,
    ) -> Result<Self, SynthesisError> {
        let value = if cs.is_witness_generator() || !(1..=MAX_WIDTH).contains(&width) {
            value
        } else {
            value.map(|value| low_bits(value, width))
        };
        let word = Self::alloc(cs.namespace(|| "bits"), width, value)?;
        // Σ 2^i·b_i · 1 = num
        cs.enforce(
            || "bits sum to the number",
            |_| word.num().lc(F::ONE),
            |lc| lc + CS::one(),
            |_| num.lc(F::ONE),
        );
        Ok(word)
    }

    /// `Σ 2^i·b_i`.
    pub fn num<F: PrimeField>(&self) -> Num<F> {
        self.num_of_bits(0..self.bits.len())
    }

    /// `Σ 2^(i − start)·b_i` over the bits of `range`: the integer that these bits spell.
    ///
    /// # Panics
    /// If the range is not within the word.
    pub fn num_of_bits<F: PrimeField>(&self, range: Range<usize>) -> Num<F> {
        let bits = &self.bits[range];
        if let Some(first) = bits.first()
            && self.value_only
        {
            let value = bits.iter().rev().fold(0, |value: u64, bit| {
                value << 1 | u64::from(bit.get_value().unwrap_or(false))
            });
            return stand_in(first, value);
        }
        let mut weight = F::ONE;
        let mut num = Num::zero();
        for bit in bits {
            num = add_bit(num, bit, weight);
            weight = weight.double();
        }
        num
    }

    /// How many bits of `range` are set, as a linear combination.
    pub(crate) fn count_of_bits<F: PrimeField>(&self, range: Range<usize>) -> Num<F> {
        let bits = &self.bits[range];
        match bits.first() {
            Some(first) if self.value_only => {
                let count = bits.iter().filter(|bit| bit.get_value() == Some(true));
                stand_in(first, count.count() as u64)
            }
            _ => bits
                .iter()
                .fold(Num::zero(), |num, bit| add_bit(num, bit, F::ONE)),
        }
    }

    /// The bits, least significant first.
    pub fn bits(&self) -> &[AllocatedBit] {
        &self.bits
    }

    /// The integer.
    pub fn value(&self) -> Option<u64> {
        self.value
    }

    /// The number of bits.
    pub fn width(&self) -> u32 {
        // At most 64 bits.
        self.bits.len() as u32
    }
}

/// One term with the right value, for a linear combination that nobody reads.
fn stand_in<F: PrimeField>(bit: &AllocatedBit, value: u64) -> Num<F> {
    Num::zero().add_bool_with_coeff(bit.get_variable(), &Boolean::Constant(true), F::from(value))
}

/// `num + weight·bit`.
pub(crate) fn add_bit<F: PrimeField>(num: Num<F>, bit: &AllocatedBit, weight: F) -> Num<F> {
    // The variable of the constant one is read only for negated and constant bits.
    num.add_bool_with_coeff(bit.get_variable(), &Boolean::Is(bit.clone()), weight)
}

/// One-hot vector: bits of which exactly one is set.
#[derive(Clone)]
pub struct OneHot {
    bits: Vec<AllocatedBit>,
    index: Option<usize>,
}

impl std::fmt::Debug for OneHot {
    /// Without the index.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OneHot({} bits, redacted)", self.bits.len())
    }
}

impl OneHot {
    /// A fresh one-hot vector of `len` bits.
    ///
    /// **Statement** `b_p ∈ {0, 1}`, `Σ b_p = 1`.
    ///
    /// **Assumes** `len ≥ 1`; otherwise an error.
    ///
    /// **Enforces** 1. every `b_p` is a bit; 2. they sum to 1.
    ///
    /// **Does not enforce** which one is set: the caller must tie [`OneHot::index_num`] to something.
    ///
    /// **Cost** `len + 1`.
    ///
    /// **Soundness** The sum of fewer than `|F|` bits is 1 only if exactly one is set.
    ///
    /// **Reference** circomlib `Decoder`.
    ///
    /// # Errors
    /// `Unsatisfiable` if `index ≥ len`, `AssignmentMissing` if there is none.
    pub fn alloc<F: PrimeField, CS: ConstraintSystem<F>>(
        mut cs: CS,
        len: usize,
        index: Option<usize>,
    ) -> Result<Self, SynthesisError> {
        if len == 0 {
            return Err(error::shape("a one-hot vector has at least one bit"));
        }
        if index.is_some_and(|index| index >= len) {
            return Err(SynthesisError::Unsatisfiable);
        }
        let bits = (0..len)
            .map(|p| {
                let bit = index.map(|index| index == p);
                AllocatedBit::alloc(cs.namespace(|| format!("position {p}")), bit)
            })
            .collect::<Result<Vec<_>, _>>()?;
        // Σ b_p · 1 = 1
        cs.enforce(
            || "exactly one is set",
            |lc| bits.iter().fold(lc, |lc, bit| lc + bit.get_variable()),
            |lc| lc + CS::one(),
            |lc| lc + CS::one(),
        );
        Ok(Self { bits, index })
    }

    /// The bits.
    pub fn bits(&self) -> &[AllocatedBit] {
        &self.bits
    }

    /// The position of the bit that is set.
    pub fn index(&self) -> Option<usize> {
        self.index
    }

    /// `Σ p·b_p`, the position as a number.
    pub fn index_num<F: PrimeField>(&self) -> Num<F> {
        (0u64..)
            .zip(&self.bits)
            .fold(Num::zero(), |num, (p, bit)| add_bit(num, bit, F::from(p)))
    }

    /// `Σ c_p·b_p`, the constant at the position. Missing constants are 0, surplus ones are never selected.
    pub fn select_constants<F: PrimeField>(&self, constants: &[F]) -> Num<F> {
        constants
            .iter()
            .zip(&self.bits)
            .fold(Num::zero(), |num, (c, bit)| add_bit(num, bit, *c))
    }
}

#[cfg(test)]
mod tests {
    use bellpepper_core::test_cs::TestConstraintSystem;
    use expect_test::expect;
    use ff::Field;
    use pasta_curves::Fp;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        num::enforce_equal,
        testing::{audit, build, case, cost, error, given, shape, signed},
    };

    case!(Alloc { width: u32, value: Option<u64> } |this, cs| {
        let word = Word::alloc(cs.namespace(|| "given"), this.width, this.value)?;
        assert_eq!((word.width(), word.value()), (this.width, this.value));
        assert_eq!(word.bits().len(), this.width as usize);
        let half = this.width as usize / 2;
        Ok(vec![
            word.num().get_value().unwrap(),
            word.num_of_bits::<F>(half..this.width as usize).get_value().unwrap(),
            word.num_of_bits::<F>(0..half).get_value().unwrap(),
            word.count_of_bits::<F>(half..this.width as usize).get_value().unwrap(),
        ])
    });

    case!(Decompose { width: u32, num: i128, value: Option<u64> } |this, cs| {
        let num = given(cs, "num", signed(this.num));
        let word = Word::decompose(cs.namespace(|| "word"), &num, this.width, this.value)?;
        Ok(vec![word.num().get_value().unwrap()])
    });

    fn decompose(width: u32, value: u64) -> Decompose {
        Decompose {
            width,
            num: value.into(),
            value: Some(value),
        }
    }

    case!(Hot { len: usize, index: Option<usize>, position: u64 } |this, cs| {
        let position = given(cs, "position", F::from(this.position));
        let hot = OneHot::alloc(cs.namespace(|| "hot"), this.len, this.index)?;
        assert_eq!((hot.bits().len(), hot.index()), (this.len, this.index));
        enforce_equal(cs.namespace(|| "index"), &hot.index_num(), &position);
        let constants: Vec<F> = (10..).take(this.len).map(F::from).collect();
        Ok(vec![hot.select_constants(&constants).get_value().unwrap()])
    });

    fn hot(len: usize, index: usize) -> Hot {
        Hot {
            len,
            index: Some(index),
            position: index as u64,
        }
    }

    fn edges(width: u32) -> Vec<u64> {
        let max = low_bits(u64::MAX, width);
        let mut edges = vec![0, 1, max, max - 1, max / 2, max / 2 + 1];
        edges.extend((0..width).flat_map(|i| [1 << i, (1 << i) - 1]));
        edges.retain(|value| *value <= max);
        edges
    }

    #[test]
    fn words_hold_their_value() {
        for width in [1, 2, 7, 8, 31, 32, 33, 63, 64] {
            for value in edges(width) {
                let half = width / 2;
                let high = value >> half;
                assert_eq!(
                    audit(&Alloc {
                        width,
                        value: Some(value)
                    })
                    .results,
                    [value, high, low_bits(value, half), high.count_ones().into()].map(Fp::from)
                );
                let audit = audit(&decompose(width, value));
                assert_eq!(audit.results, [Fp::from(value)]);
                assert!(audit.free.is_empty());
            }
        }
    }

    #[test]
    fn combinations_of_bits_are_what_they_claim() {
        let mut cs = TestConstraintSystem::<Fp>::new();
        let word = Word::alloc(&mut cs, 12, Some(0xA5C)).unwrap();
        let aux = cs.scalar_aux();
        for range in [0..12, 3..7, 5..5, 11..12] {
            let num = word.num_of_bits::<Fp>(range.clone());
            let expected = Fp::from(0xA5C >> range.start & ((1 << range.len()) - 1));
            assert_eq!(num.get_value(), Some(expected));
            assert_eq!(num.lc(Fp::ONE).eval(&[Fp::ONE], &aux), expected);
        }
    }

    #[test]
    fn out_of_range_values_are_refused() {
        for generator in [false, true] {
            for (width, value) in [(1, 2), (8, 256), (63, 1 << 63), (8, u64::MAX)] {
                let refused = error(
                    &Alloc {
                        width,
                        value: Some(value),
                    },
                    generator,
                );
                assert!(matches!(refused, SynthesisError::Unsatisfiable));
            }
            let missing = error(
                &Alloc {
                    width: 8,
                    value: None,
                },
                generator,
            );
            assert!(matches!(missing, SynthesisError::AssignmentMissing));
            for width in [0, 65] {
                let refused = error(
                    &Alloc {
                        width,
                        value: Some(0),
                    },
                    generator,
                );
                assert!(matches!(
                    refused,
                    SynthesisError::IncompatibleLengthVector(_)
                ));
                let refused = error(&decompose(width, 0), generator);
                assert!(matches!(
                    refused,
                    SynthesisError::IncompatibleLengthVector(_)
                ));
            }
            let beyond = Hot {
                len: 3,
                index: Some(3),
                position: 3,
            };
            assert!(matches!(
                error(&beyond, generator),
                SynthesisError::Unsatisfiable
            ));
            let empty = Hot {
                len: 0,
                index: None,
                position: 0,
            };
            assert!(matches!(
                error(&empty, generator),
                SynthesisError::IncompatibleLengthVector(_)
            ));
        }
        // A hint that does not fit is an error of the witness, but not of a shape.
        assert!(matches!(
            error(&decompose(8, 256), true),
            SynthesisError::Unsatisfiable
        ));
        assert_eq!(shape(&decompose(8, 256)), shape(&decompose(8, 0)));
    }

    #[test]
    fn word_enforces_bits() {
        let (mut cs, _) = build::<Fp>(&Alloc {
            width: 8,
            value: Some(3),
        });
        // 3 = −1·1 + 2·2: carries on in the next bit.
        cs.set("given/bit 0/boolean", -Fp::ONE);
        cs.set("given/bit 1/boolean", Fp::from(2));
        assert_eq!(
            cs.which_is_unsatisfied(),
            Some("given/bit 0/boolean constraint")
        );
    }

    #[test]
    fn decompose_enforces_bits() {
        // 256 = 255 + 1 with a lowest "bit" of 2.
        let (mut cs, _) = build::<Fp>(&decompose(8, 255));
        cs.set("given num/num", Fp::from(256));
        assert_eq!(
            cs.which_is_unsatisfied(),
            Some("word/bits sum to the number")
        );
        cs.set("word/bits/bit 0/boolean", Fp::from(2));
        assert_eq!(
            cs.which_is_unsatisfied(),
            Some("word/bits/bit 0/boolean constraint")
        );
    }

    #[test]
    fn decompose_enforces_the_sum() {
        for num in [5, 256, -1, 1 << 64, i128::from(u64::MAX)] {
            for value in [4, 255] {
                let lie = Decompose {
                    width: 8,
                    num,
                    value: Some(value),
                };
                let (cs, _) = build::<Fp>(&lie);
                assert_eq!(
                    cs.which_is_unsatisfied(),
                    Some("word/bits sum to the number")
                );
            }
        }
    }

    #[test]
    fn one_hot_selects() {
        for len in [1, 2, 5, 16] {
            for index in 0..len {
                let (cs, results) = build::<Fp>(&hot(len, index));
                assert_eq!(cs.which_is_unsatisfied(), None);
                assert_eq!(results, [Fp::from(10 + index as u64)]);
                assert_eq!(cost(&hot(len, index)), len + 2);
            }
        }
    }

    #[test]
    fn one_hot_enforces_bits() {
        // 3 = 2·2 − 1·1 with 2 − 1 = 1: sum and index are right.
        let (mut cs, _) = build::<Fp>(&hot(4, 3));
        cs.set("hot/position 3/boolean", Fp::ZERO);
        cs.set("hot/position 2/boolean", Fp::from(2));
        cs.set("hot/position 1/boolean", -Fp::ONE);
        assert_eq!(
            cs.which_is_unsatisfied(),
            Some("hot/position 1/boolean constraint")
        );
    }

    #[test]
    fn one_hot_enforces_exactly_one() {
        // 3 = 1 + 2, and 0 of nothing.
        let (mut cs, _) = build::<Fp>(&hot(4, 3));
        cs.set("hot/position 3/boolean", Fp::ZERO);
        cs.set("hot/position 2/boolean", Fp::ONE);
        cs.set("hot/position 1/boolean", Fp::ONE);
        assert_eq!(cs.which_is_unsatisfied(), Some("hot/exactly one is set"));
        let (mut cs, _) = build::<Fp>(&hot(4, 0));
        cs.set("hot/position 0/boolean", Fp::ZERO);
        assert_eq!(cs.which_is_unsatisfied(), Some("hot/exactly one is set"));
    }

    #[test]
    fn shapes() {
        let shapes = [
            shape(&Alloc {
                width: 8,
                value: Some(77),
            }),
            shape(&decompose(8, 77)),
            shape(&decompose(64, 77)),
            shape(&hot(5, 2)),
        ];
        expect![[r#"
            8 constraints, 8 variables, 5634703252774db0fc6a2c298a2ccff6853294505d8a35bed3898b13f3c9080c
            9 constraints, 9 variables, f1d682da492b6359988fb6da5c655e72f358dfbb681ae012ee3849b6607e73b4
            65 constraints, 65 variables, dea6c59d12443c350c4f9c314cdfb6677cc6297b686f711aa1b3ffda8877c454
            7 constraints, 6 variables, 5b58ae3add80ec98a9f06be62eaa38f1724862c323d4aaffcb3894725fc04ed2"#]].assert_eq(&shapes.join("\n"));
        assert_eq!(
            shape(&Alloc {
                width: 8,
                value: Some(0)
            }),
            shapes[0]
        );
        assert_eq!(shape(&decompose(8, 0)), shapes[1]);
        assert_eq!(shape(&hot(5, 0)), shapes[3]);
    }

    proptest! {
        #[test]
        fn random_words(width in 1u32..=64, value: u64) {
            let value = low_bits(value, width);
            let audit = audit(&decompose(width, value));
            prop_assert_eq!(audit.results, [Fp::from(value)]);
            prop_assert!(audit.free.is_empty());
        }
    }
}
