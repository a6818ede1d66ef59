//! Packing of entries into field elements.

use bellpepper_core::{ConstraintSystem, SynthesisError, num::AllocatedNum};
use ff::PrimeField;

use crate::{entry::Entry, error, num::power_of_two};

/// Bits used of a field element. The fields in use have at least 254; a margin is left, so that no packed integer
/// reaches the modulus of any of them.
pub const CAPACITY_BITS: u32 = 248;

/// How many entries of `width` bits go into one element: `⌊248/width⌋`.
///
/// # Panics
/// If `width` is not in `1..=64`.
pub fn per_element(width: u32) -> usize {
    assert!((1..=64).contains(&width), "width of an entry");
    (CAPACITY_BITS / width) as usize
}

/// How many elements `len` entries of `width` bits fill.
///
/// # Panics
/// If `width` is not in `1..=64`.
pub fn packed_len(len: usize, width: u32) -> usize {
    len.div_ceil(per_element(width))
}

/// `Σ_{i<q} u_{eq+i}·2^(width·i)` for each element `e`, `q` of [`per_element`]; the last one is filled with 0.
///
/// The integers are expected to be below `2^width`, otherwise the packing is not injective.
///
/// # Panics
/// If `width` is not in `1..=64`.
pub fn pack_native<F: PrimeField>(unsigned: &[u64], width: u32) -> Vec<F> {
    unsigned
        .chunks(per_element(width))
        .map(|chunk| pack_element(chunk.iter().copied(), width))
        .collect()
}

/// One element. In limbs of 64 bits: a multiplication per limb, not per entry.
fn pack_element<F: PrimeField>(unsigned: impl Iterator<Item = u64>, width: u32) -> F {
    let mut limbs = [0u64; 4];
    for (position, u) in (0u32..).step_by(width as usize).zip(unsigned) {
        let (limb, shift) = ((position / 64) as usize, position % 64);
        limbs[limb] |= u << shift;
        // The part that runs over into the next limb; never out of the last one, as 248 < 256.
        if shift + width > 64 {
            limbs[limb + 1] |= u >> (64 - shift);
        }
    }
    let base = F::from(1 << 32).square();
    limbs
        .iter()
        .rev()
        .fold(F::ZERO, |sum, limb| sum * base + F::from(*limb))
}

/// Packed entries.
///
/// **Statement** `element_e = Σ_{i<q} u_{eq+i}·2^(w·i)`, `q = ⌊248/w⌋`, zeros at the end.
///
/// **Assumes** every `u` is in `[0, 2^w)`, as [`Entry`] promises.
///
/// **Enforces** 1. the statement, for each element.
///
/// **Does not enforce** the ranges, nor anything about the offsets: they belong to the program.
///
/// **Cost** `⌈len/q⌉`.
///
/// **Soundness** The sum is below `2^248`, less than the modulus, so the digits of base `2^w` are unique and the packing
/// is injective on registers of one length and width.
///
/// **Reference** bellpepper `multipack`, which packs bits.
///
/// # Errors
/// If the entries do not have one width.
pub fn pack<F: PrimeField, CS: ConstraintSystem<F>>(
    mut cs: CS,
    entries: &[Entry<F>],
) -> Result<Vec<AllocatedNum<F>>, SynthesisError> {
    const { assert!(F::CAPACITY >= CAPACITY_BITS) };
    let Some(first) = entries.first() else {
        return Ok(Vec::new());
    };
    let width = first.width();
    if !(1..=64).contains(&width) || entries.iter().any(|entry| entry.width() != width) {
        return Err(error::shape(
            "packed entries have one width of 1 to 64 bits",
        ));
    }
    entries
        .chunks(per_element(width))
        .enumerate()
        .map(|(e, chunk)| {
            let element = AllocatedNum::alloc(cs.namespace(|| format!("element {e}")), || {
                let unsigned = chunk
                    .iter()
                    .map(Entry::unsigned_value)
                    .collect::<Option<Vec<_>>>()
                    .ok_or(SynthesisError::AssignmentMissing)?;
                Ok(pack_element(unsigned.into_iter(), width))
            })?;
            // Σ 2^(w·i)·u_i · 1 = element
            cs.enforce(
                || format!("element {e} holds its entries"),
                |lc| {
                    let base = power_of_two::<F>(width);
                    let mut weight = F::ONE;
                    chunk.iter().fold(lc, |lc, entry| {
                        let lc = lc + &entry.unsigned().lc(weight);
                        weight *= base;
                        lc
                    })
                },
                |lc| lc + CS::one(),
                |lc| lc + element.get_variable(),
            );
            Ok(element)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use ff::Field;
    use pasta_curves::Fp;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{audit, build, case, error, given, scramble, shape};

    case!(Pack { width: u32, unsigned: Vec<u64> } |this, cs| {
        let entries: Vec<_> = this
            .unsigned
            .iter()
            .enumerate()
            .map(|(i, u)| {
                let num = given(cs, &i.to_string(), F::from(*u));
                Entry::from_num_unchecked(num, Some(*u), this.width, 0)
            })
            .collect();
        let packed = pack(cs.namespace(|| "pack"), &entries)?;
        assert_eq!(packed.len(), packed_len(entries.len(), this.width));
        Ok(packed.iter().map(|element| element.get_value().unwrap()).collect())
    });

    case!(
        TwoWidths {} | _this,
        cs | {
            let entries = [Entry::constant::<CS>(0, 8), Entry::constant::<CS>(0, 9)];
            pack(cs.namespace(|| "pack"), &entries)?;
            Ok(vec![])
        }
    );

    /// The definition, digit by digit.
    fn by_definition(unsigned: &[u64], width: u32) -> Vec<Fp> {
        let base = Fp::from(2).pow_vartime([u64::from(width)]);
        unsigned
            .chunks(248 / width as usize)
            .map(|chunk| {
                let digits = chunk.iter().enumerate();
                digits
                    .map(|(i, u)| Fp::from(*u) * base.pow_vartime([i as u64]))
                    .sum()
            })
            .collect()
    }

    fn random(len: usize, width: u32) -> Vec<u64> {
        (1u64..)
            .take(len)
            .map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - width))
            .collect()
    }

    #[test]
    fn equal_to_the_definition_at_every_width() {
        for width in 1..=64 {
            let q = per_element(width);
            assert_eq!(q, 248 / width as usize);
            let max = u64::MAX >> (64 - width);
            for len in [0, 1, q - 1, q, q + 1, 2 * q + 1] {
                for unsigned in [random(len, width), vec![max; len], vec![0; len]] {
                    let native = pack_native::<Fp>(&unsigned, width);
                    assert_eq!(native, by_definition(&unsigned, width));
                    assert_eq!(native.len(), packed_len(len, width));
                }
            }
        }
    }

    #[test]
    fn known_answers() {
        assert_eq!(pack_native::<Fp>(&[1, 2, 3], 8), [Fp::from(0x03_02_01)]);
        // 31 entries of 8 bits fill an element.
        let mut unsigned = vec![0; 32];
        unsigned[30] = 0xAB;
        unsigned[31] = 0xCD;
        let top = Fp::from(0xAB) * Fp::from(2).pow_vartime([240]);
        assert_eq!(pack_native::<Fp>(&unsigned, 8), [top, Fp::from(0xCD)]);
        // 62 entries of 4 bits end at bit 248.
        let mut unsigned = [15; 62];
        unsigned[0] = 0b1110;
        expect!["0x00fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe"]
            .assert_eq(&format!("{:?}", pack_native::<Fp>(&unsigned, 4)[0]));
        // Entries of 21 bits cross the limbs of 64.
        expect!["0x00000066311cb8ab11fe68f1bbca9c22ad53362e2ac78dde6d5334f1bbd3c6ef"]
            .assert_eq(&format!("{:?}", pack_native::<Fp>(&random(11, 21), 21)[0]));
    }

    #[test]
    fn pack_enforces_each_element() {
        let case = Pack {
            width: 8,
            unsigned: random(40, 8),
        };
        for element in ["pack/element 0/num", "pack/element 1/num"] {
            let (mut cs, _) = build::<Fp>(&case);
            let honest = cs.get(element);
            for lie in scramble::<Fp>(&[1, 2]) {
                cs.set(element, honest + lie);
                assert!(
                    cs.which_is_unsatisfied()
                        .unwrap()
                        .ends_with("holds its entries")
                );
            }
        }
        // The same element from other digits, which only ranges can exclude: 256 + 0·256 = 0 + 1·256.
        let (mut cs, _) = build::<Fp>(&Pack {
            width: 8,
            unsigned: vec![0, 1],
        });
        cs.set("given 0/num", Fp::from(256));
        cs.set("given 1/num", Fp::ZERO);
        assert_eq!(cs.which_is_unsatisfied(), None);
    }

    #[test]
    fn one_width_in_a_register() {
        assert!(matches!(
            error(&TwoWidths {}, false),
            SynthesisError::IncompatibleLengthVector(_)
        ));
    }

    #[test]
    #[should_panic(expected = "width of an entry")]
    fn no_width_zero() {
        per_element(0);
    }

    #[test]
    fn shapes() {
        let real = [
            shape(&Pack {
                width: 8,
                unsigned: random(40, 8),
            }),
            shape(&Pack {
                width: 21,
                unsigned: random(12, 21),
            }),
            shape(&Pack {
                width: 8,
                unsigned: vec![],
            }),
        ];
        expect![[r#"
            2 constraints, 42 variables, 1326d206f914b592151b1af9f51124d782db56d3a5e8a6bd7ed910fed4472f11
            2 constraints, 14 variables, f2c4045e4cf83b2788a1d05e2183300000f320ce379d08bcc9809ef00b2f9bc2
            0 constraints, 0 variables, 958191931feaed50efb8195a7e9084aba2c230e2886c2f11a2cff90a9117095e"#]].assert_eq(&real.join("\n"));
        assert_eq!(
            shape(&Pack {
                width: 8,
                unsigned: vec![0; 40]
            }),
            real[0]
        );
    }

    proptest! {
        #[test]
        fn circuit_equals_native(width in 1u32..=64, len in 0usize..70) {
            let unsigned = random(len, width);
            let audit = audit(&Pack { width, unsigned: unsigned.clone() });
            prop_assert_eq!(audit.results, pack_native::<Fp>(&unsigned, width));
            prop_assert!(audit.free.is_empty());
        }
    }
}
