//! Register entries.

use bellpepper_core::{ConstraintSystem, SynthesisError, num::Num};
use ff::PrimeField;

use crate::{error, num, word::Word};

/// One register entry: the integer `u ∈ [0, 2^width)` (constrained so by whoever built it) standing for `u − offset`.
///
/// The range is an invariant of the type: packing is injective only because of it. All constructors keep it but
/// [`Entry::from_num_unchecked`].
#[derive(Clone)]
pub struct Entry<F: PrimeField> {
    unsigned: Num<F>,
    value: Option<u64>,
    width: u32,
    offset: u64,
    word: Option<Word>,
    nonnegative: Option<Num<F>>,
}

impl<F: PrimeField> std::fmt::Debug for Entry<F> {
    /// Without the value: entries are activations and inputs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("width", &self.width)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

/// `2^(width − 1)`, the offset of signed entries.
pub(crate) fn signed_offset(width: u32) -> u64 {
    1 << (width - 1)
}

impl<F: PrimeField> Entry<F> {
    /// A fresh signed entry.
    ///
    /// **Statement** `−2^(width−1) ≤ value < 2^(width−1)`.
    ///
    /// **Assumes** `1 ≤ width ≤ 48`; otherwise an error.
    ///
    /// **Enforces** 1. `u = value + 2^(width−1)` has `width` bits.
    ///
    /// **Does not enforce** anything else: the value is the prover's choice.
    ///
    /// **Cost** `width`.
    ///
    /// **Soundness** See [`Word::alloc`].
    ///
    /// **Reference** –
    ///
    /// # Errors
    /// `Unsatisfiable` if the value is out of range, `AssignmentMissing` if there is none.
    pub fn alloc<CS: ConstraintSystem<F>>(
        cs: CS,
        width: u32,
        value: Option<i64>,
    ) -> Result<Self, SynthesisError> {
        if !(1..=48).contains(&width) {
            return Err(error::shape("a signed entry has 1 to 48 bits"));
        }
        let offset = signed_offset(width);
        let unsigned = match value {
            Some(value) => Some(
                u64::try_from(i128::from(value) + i128::from(offset))
                    .map_err(|_| SynthesisError::Unsatisfiable)?,
            ),
            None => None,
        };
        let word = Word::alloc(cs, width, unsigned)?;
        Ok(Self::from_word(word, offset))
    }

    /// The entry whose integer is `word`. No constraint.
    pub fn from_word(word: Word, offset: u64) -> Self {
        let width = word.width();
        let top = word.bits().len() - 1;
        Self {
            unsigned: word.num(),
            value: word.value(),
            width,
            offset,
            nonnegative: (offset == signed_offset(width)).then(|| word.num_of_bits(top..top + 1)),
            word: Some(word),
        }
    }

    /// A constant of the program, with the offset of a signed entry. No constraint.
    ///
    /// # Panics
    /// If `width` is not in `1..=64` or the value does not fit: a constant is part of the circuit, not of the witness.
    pub fn constant<CS: ConstraintSystem<F>>(value: i64, width: u32) -> Self {
        assert!((1..=64).contains(&width), "width of a constant");
        let offset = signed_offset(width);
        let shifted = i128::from(value) + i128::from(offset);
        assert!(
            (0..1i128 << width).contains(&shifted),
            "constant out of range"
        );
        let unsigned = shifted as u64;
        Self {
            unsigned: num::constant::<F, CS>(F::from(unsigned)),
            value: Some(unsigned),
            width,
            offset,
            word: None,
            nonnegative: Some(num::constant::<F, CS>(num::indicator(value >= 0))),
        }
    }

    /// The entry whose integer is `unsigned`, with `value` its value.
    ///
    /// The caller argues that the constraints already in place keep `unsigned` in `[0, 2^width)`.
    pub fn from_num_unchecked(
        unsigned: Num<F>,
        value: Option<u64>,
        width: u32,
        offset: u64,
    ) -> Self {
        Self {
            unsigned,
            value,
            width,
            offset,
            word: None,
            nonnegative: None,
        }
    }

    /// The same entry, with `nonnegative` recorded as its sign.
    ///
    /// The caller argues that the constraints already in place make it 1 if the value is at least 0, and 0 otherwise.
    pub fn with_nonnegative_unchecked(self, nonnegative: Num<F>) -> Self {
        Self {
            nonnegative: Some(nonnegative),
            ..self
        }
    }

    /// The integer `u`, which is what is packed.
    pub fn unsigned(&self) -> &Num<F> {
        &self.unsigned
    }

    /// The value `u − offset`, as a field element.
    pub fn signed<CS: ConstraintSystem<F>>(&self) -> Num<F> {
        num::constant::<F, CS>(-F::from(self.offset)).add(&self.unsigned)
    }

    /// The value `u − offset`; also `None` if it is no `i64`.
    pub fn value(&self) -> Option<i64> {
        let unsigned = i128::from(self.value?);
        i64::try_from(unsigned - i128::from(self.offset)).ok()
    }

    /// The integer `u`.
    pub fn unsigned_value(&self) -> Option<u64> {
        self.value
    }

    /// The number of bits of `u`.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// What is subtracted from `u` to get the value.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The bits of `u`, if it is held as bits.
    pub fn word(&self) -> Option<&Word> {
        self.word.as_ref()
    }

    /// A linear combination that is 1 if the value is at least 0 and 0 otherwise, where one is known for free.
    pub fn nonnegative(&self) -> Option<Num<F>> {
        self.nonnegative.clone()
    }
}

#[cfg(test)]
mod tests {
    use bellpepper_core::test_cs::TestConstraintSystem;
    use expect_test::expect;
    use pasta_curves::Fp;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{audit, build, case, error, shape, signed};

    type Test = TestConstraintSystem<Fp>;

    case!(Alloc { width: u32, value: Option<i64> } |this, cs| {
        let entry = Entry::alloc(cs.namespace(|| "given"), this.width, this.value)?;
        assert_eq!((entry.width(), entry.value()), (this.width, this.value));
        assert_eq!(entry.offset(), 1 << (this.width - 1));
        assert_eq!(entry.word().unwrap().value(), entry.unsigned_value());
        Ok(vec![
            entry.signed::<CS>().get_value().unwrap(),
            entry.unsigned().get_value().unwrap(),
            entry.nonnegative().unwrap().get_value().unwrap(),
        ])
    });

    fn expected(value: i64, width: u32) -> [Fp; 3] {
        let value = i128::from(value);
        [value, value + (1 << (width - 1)), (value >= 0).into()].map(signed)
    }

    #[test]
    fn entries_hold_their_value() {
        for width in [1, 2, 8, 16, 32] {
            let bound = 1i64 << (width - 1);
            for value in [-bound, 1 - bound, -1, 0, 1, bound - 2, bound - 1] {
                if (-bound..bound).contains(&value) {
                    let results = audit(&Alloc {
                        width,
                        value: Some(value),
                    })
                    .results;
                    assert_eq!(results, expected(value, width));
                }
            }
        }
    }

    #[test]
    fn out_of_range_values_are_refused() {
        for value in [128, -129, i64::MAX, i64::MIN] {
            let case = Alloc {
                width: 8,
                value: Some(value),
            };
            assert!(matches!(error(&case, false), SynthesisError::Unsatisfiable));
            assert!(matches!(error(&case, true), SynthesisError::Unsatisfiable));
        }
        let missing = Alloc {
            width: 8,
            value: None,
        };
        assert!(matches!(
            error(&missing, true),
            SynthesisError::AssignmentMissing
        ));
        for width in [0, 49] {
            let case = Alloc {
                width,
                value: Some(0),
            };
            assert!(matches!(
                error(&case, false),
                SynthesisError::IncompatibleLengthVector(_)
            ));
        }
    }

    #[test]
    fn entry_enforces_the_range() {
        let (mut cs, _) = build::<Fp>(&Alloc {
            width: 8,
            value: Some(127),
        });
        // 128 = u − 128 with a lowest "bit" of 2.
        cs.set("given/bit 0/boolean", Fp::from(2));
        assert_eq!(
            cs.which_is_unsatisfied(),
            Some("given/bit 0/boolean constraint")
        );
    }

    #[test]
    fn constants() {
        for (value, width) in [
            (0, 8),
            (-128, 8),
            (127, 8),
            (i64::MIN, 64),
            (i64::MAX, 64),
            (-1, 1),
        ] {
            let entry = Entry::<Fp>::constant::<Test>(value, width);
            assert_eq!(entry.value(), Some(value));
            assert_eq!(
                entry.signed::<Test>().get_value(),
                Some(signed(value.into()))
            );
            assert_eq!(
                entry.nonnegative().unwrap().get_value(),
                Some(num::indicator(value >= 0))
            );
            assert!(entry.word().is_none());
        }
    }

    #[test]
    #[should_panic(expected = "constant out of range")]
    fn constants_fit_their_width() {
        let _ = Entry::<Fp>::constant::<Test>(128, 8);
    }

    #[test]
    fn sign_is_known_only_for_the_signed_offset() {
        let mut cs = Test::new();
        for (offset, known) in [(0, false), (4, false), (8, true), (12, false)] {
            let word = Word::alloc(cs.namespace(|| offset.to_string()), 4, Some(9)).unwrap();
            let entry = Entry::<Fp>::from_word(word, offset);
            assert_eq!(entry.nonnegative().is_some(), known);
            assert_eq!(entry.value(), Some(9 - offset as i64));
        }
    }

    #[test]
    fn debug_does_not_show_the_value() {
        let entry = Entry::<Fp>::constant::<Test>(77, 8);
        assert_eq!(format!("{entry:?}"), "Entry { width: 8, offset: 128, .. }");
    }

    #[test]
    fn shapes() {
        let real = shape(&Alloc {
            width: 8,
            value: Some(-5),
        });
        expect!["8 constraints, 8 variables, 5634703252774db0fc6a2c298a2ccff6853294505d8a35bed3898b13f3c9080c"].assert_eq(&real);
        assert_eq!(
            shape(&Alloc {
                width: 8,
                value: Some(0)
            }),
            real
        );
    }

    proptest! {
        #[test]
        fn random_entries(width in 1u32..=32, value: i64) {
            let value = value >> (64 - width);
            let case = Alloc { width, value: Some(value) };
            prop_assert_eq!(audit(&case).results, expected(value, width));
        }
    }
}
