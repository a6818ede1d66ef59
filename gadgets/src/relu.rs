//! Rectified linear unit.

use bellpepper_core::{ConstraintSystem, SynthesisError, num::Num};
use ff::PrimeField;

use crate::{
    entry::Entry,
    error,
    num::{constant, mul},
    word::Word,
};

/// `max(0, x)`.
pub fn relu_native(x: i64) -> i64 {
    x.max(0)
}

/// Rectified linear unit on an entry.
///
/// **Statement** `result = max(0, x)`, with the width and the offset of `x`.
///
/// **Assumes** the entry is in its range, and [`Entry::nonnegative`] is right if known.
///
/// **Enforces** 1. if the sign `n` is not known: `u − offset + 2^width` has `width + 1` bits, and `n` is the top one; or
/// `u` has `width` bits and `n` is the top one, if the offset is `2^(width−1)`; 2. `r = n·(u − offset)`; the result is
/// `r + offset`.
///
/// **Does not enforce** the range of `x`, unless it decomposes it.
///
/// **Cost** 1 if the sign is known; 0 if the offset is 0; otherwise `width + 2` for the offset `2^(width−1)`, and
/// `width + 3` for others.
///
/// **Soundness** The decomposition is unique, and its top bit is the sign: `u ≥ 2^(width−1)`, or
/// `u − offset + 2^width ≥ 2^width`. The result is `u` or the offset, so it stays in `[0, 2^width)`.
///
/// **Reference** –
///
/// # Errors
/// If the sign must be found on more bits than a word has.
pub fn relu<F: PrimeField, CS: ConstraintSystem<F>>(
    mut cs: CS,
    x: &Entry<F>,
) -> Result<Entry<F>, SynthesisError> {
    if x.offset() == 0 {
        // Never negative.
        let one = constant::<F, CS>(F::ONE);
        return Ok(x.clone().with_nonnegative_unchecked(one));
    }
    // The result may be the offset, which must fit the width.
    if x.width() < 64 && x.offset() >> x.width() != 0 {
        return Err(error::shape("an offset beyond the width"));
    }
    let nonnegative = match x.nonnegative() {
        Some(known) => known,
        None => sign(cs.namespace(|| "sign"), x)?,
    };
    // r = n · (u − offset)
    let r = mul(
        cs.namespace(|| "zero if negative"),
        &nonnegative,
        &x.signed::<CS>(),
    )?;
    let value = x.unsigned_value().map(|u| u.max(x.offset()));
    let result = constant::<F, CS>(F::from(x.offset())).add(&r.into());
    Ok(
        Entry::from_num_unchecked(result, value, x.width(), x.offset())
            .with_nonnegative_unchecked(constant::<F, CS>(F::ONE)),
    )
}

/// 1 if the entry's value is at least 0, 0 otherwise: the top bit of a decomposition.
fn sign<F: PrimeField, CS: ConstraintSystem<F>>(
    cs: CS,
    x: &Entry<F>,
) -> Result<Num<F>, SynthesisError> {
    let width = x.width();
    let halved = width >= 1 && x.offset() == 1u64.checked_shl(width - 1).unwrap_or(0);
    let top = if halved {
        width as usize - 1
    } else {
        width as usize
    };
    let word = if halved {
        Word::decompose(cs, x.unsigned(), width, x.unsigned_value())?
    } else {
        // Needs width + 1 ≤ 64, which the word checks.
        let shift = 1u64
            .checked_shl(width)
            .unwrap_or(0)
            .wrapping_sub(x.offset());
        let moved = constant::<F, CS>(crate::num::power_of_two::<F>(width) - F::from(x.offset()))
            .add(x.unsigned());
        let value = x.unsigned_value().map(|u| u.wrapping_add(shift));
        Word::decompose(cs, &moved, width + 1, value)?
    };
    Ok(word.num_of_bits(top..top + 1))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use ff::Field;
    use pasta_curves::Fp;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{audit, build, case, cost, error, given, shape, signed};

    case!(
        Relu {
            width: u32,
            offset: u64,
            unsigned: u64,
            bits: bool
        } | this,
        cs | {
            let x = if this.bits {
                let word = Word::alloc(cs.namespace(|| "given"), this.width, Some(this.unsigned))?;
                Entry::from_word(word, this.offset)
            } else {
                let num = given(cs, "num", F::from(this.unsigned));
                Entry::from_num_unchecked(num, Some(this.unsigned), this.width, this.offset)
            };
            let result = relu(cs.namespace(|| "relu"), &x)?;
            assert_eq!((result.width(), result.offset()), (this.width, this.offset));
            assert_eq!(result.value(), x.value().map(relu_native));
            assert_eq!(result.nonnegative().unwrap().get_value(), Some(F::ONE));
            Ok(vec![result.signed::<CS>().get_value().unwrap()])
        }
    );

    fn expected(case: &Relu) -> [Fp; 1] {
        [signed(
            (i128::from(case.unsigned) - i128::from(case.offset)).max(0),
        )]
    }

    fn expected_cost(case: &Relu) -> usize {
        let width = case.width as usize;
        let given = if case.bits { width } else { 0 };
        let halved = case.offset == 1 << (case.width - 1);
        given
            + match (case.offset, halved, case.bits) {
                (0, ..) => 0,
                (_, true, true) => 1,
                (_, true, false) => width + 2,
                _ => width + 3,
            }
    }

    #[test]
    fn all_small_entries() {
        for width in 1..=5 {
            for offset in 0..1 << width {
                for unsigned in 0..1 << width {
                    for bits in [false, true] {
                        let case = Relu {
                            width,
                            offset,
                            unsigned,
                            bits,
                        };
                        let audit = audit(&case);
                        assert_eq!(audit.results, expected(&case), "{case:?}");
                        assert!(audit.free.is_empty());
                        assert_eq!(cost(&case), expected_cost(&case));
                    }
                }
            }
        }
    }

    #[test]
    fn wide_entries() {
        for (width, offset) in [
            (63, 1),
            (63, 1 << 62),
            (63, (1 << 62) + (1 << 20)),
            (64, 1 << 63),
        ] {
            let max = u64::MAX >> (64 - width);
            for unsigned in [0, 1, offset - 1, offset, offset + 1, max] {
                let case = Relu {
                    width,
                    offset,
                    unsigned,
                    bits: false,
                };
                let audit = audit(&case);
                assert_eq!(audit.results, expected(&case), "{case:?}");
                assert!(audit.free.is_empty());
            }
        }
    }

    #[test]
    fn refused_offsets() {
        // 65 bits would be needed; an offset that the result could not hold.
        for (width, offset) in [(64, 1), (8, 256)] {
            let case = Relu {
                width,
                offset,
                unsigned: 0,
                bits: false,
            };
            assert!(matches!(
                error(&case, false),
                SynthesisError::IncompatibleLengthVector(_)
            ));
        }
    }

    #[test]
    fn relu_enforces_the_sign() {
        // −1 passed off as positive: the top bit flipped, the result recomputed.
        for (offset, wire) in [
            (128, "relu/sign/bits/bit 7/boolean"),
            (100, "relu/sign/bits/bit 8/boolean"),
        ] {
            let case = Relu {
                width: 8,
                offset,
                unsigned: offset - 1,
                bits: false,
            };
            let (mut cs, _) = build::<Fp>(&case);
            cs.set(wire, Fp::ONE);
            cs.set("relu/zero if negative/product/num", -Fp::ONE);
            assert_eq!(
                cs.which_is_unsatisfied(),
                Some("relu/sign/bits sum to the number")
            );
        }
    }

    #[test]
    fn relu_enforces_the_product() {
        for unsigned in [0, 127, 128, 255] {
            let case = Relu {
                width: 8,
                offset: 128,
                unsigned,
                bits: true,
            };
            let (mut cs, results) = build::<Fp>(&case);
            for off in [1, -1, 128] {
                cs.set(
                    "relu/zero if negative/product/num",
                    results[0] + signed::<Fp>(off),
                );
                assert_eq!(
                    cs.which_is_unsatisfied(),
                    Some("relu/zero if negative/product is a times b")
                );
            }
        }
    }

    #[test]
    fn shapes() {
        let case = |offset, unsigned, bits| {
            shape(&Relu {
                width: 8,
                offset,
                unsigned,
                bits,
            })
        };
        let real = [
            case(128, 200, true),
            case(128, 200, false),
            case(100, 200, false),
        ];
        expect![[r#"
            9 constraints, 9 variables, bb9940af35eb106bc61a9682eaaa7a1cc8236bacdc8e25fa6b071b701f4ef1a7
            10 constraints, 10 variables, e244960087a512394540117aa68e74970dcd3967f4743369c7e52f6e35c30091
            11 constraints, 11 variables, 3e5bc45e72e854e3ad5d3d97dbe326aa1cb3f2f7fe6e0ba3f5201d5ae625c48e"#]].assert_eq(&real.join("\n"));
        assert_eq!(case(128, 0, true), real[0]);
        assert_eq!(case(128, 0, false), real[1]);
        assert_eq!(case(100, 0, false), real[2]);
    }

    proptest! {
        #[test]
        fn random_entries(width in 1u32..=63, offset: u64, unsigned: u64, bits: bool) {
            let (offset, unsigned) = (offset >> (64 - width), unsigned >> (64 - width));
            let case = Relu { width, offset, unsigned, bits };
            prop_assert_eq!(audit(&case).results, expected(&case));
        }
    }
}
