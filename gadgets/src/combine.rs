//! Sums of products of entries, as accumulators: element-wise products and sums, complements, blends.

use bellpepper_core::{ConstraintSystem, SynthesisError, num::Num};
use ff::PrimeField;

use crate::{
    entry::Entry,
    error,
    num::{self, constant},
    requantize::{Accumulator, offset},
    word::Word,
};

/// `coefficient · left · right`, or `coefficient · left`.
#[derive(Clone, Debug)]
pub struct Monomial<'a, F: PrimeField> {
    /// A constant of the program.
    pub coefficient: i64,
    /// An entry.
    pub left: &'a Entry<F>,
    /// Another one.
    pub right: Option<&'a Entry<F>>,
}

fn field<F: PrimeField>(value: i64) -> F {
    let magnitude = F::from(value.unsigned_abs());
    if value < 0 { -magnitude } else { magnitude }
}

/// `c + Σ monomials`, held as an accumulator.
///
/// **Statement** `y = c + Σ_t coefficient_t · left_t · right_t`, `right_t = 1` where there is none, for the values of the
/// entries; and `−2^(B−1) − 2^(s−1) ≤ y < 2^(B−1) − 2^(s−1)`.
///
/// **Assumes** the entries are in their ranges, and no sum of monomials that they admit wraps around in the field;
/// `s < B ≤ 64`, otherwise an error.
///
/// **Enforces** 1. `p_t = left_t · right_t`, for every product but the last; 2. `u = y + 2^(B−1) + 2^(s−1)` has `B` bits;
/// 3. `coefficient_T·left_T · right_T = u − 2^(B−1) − 2^(s−1) − c − Σ_{t≠T}`, `T` the last product; without a product the
/// left side is 0.
///
/// **Does not enforce** anything of an input.
///
/// **Cost** `B` and the number of products, but at least one.
///
/// **Soundness** Every product is a function of its factors, so 3 fixes `u` in the field, and 2 allows one decomposition of
/// it.
///
/// **Reference** –
///
/// # Errors
/// In a witness generator, `Unsatisfiable` if `y` has no place in the accumulator. Elsewhere such a `y` leaves the
/// constraints unsatisfied, as a dummy witness may. `AssignmentMissing` if a value is missing.
pub fn combine<F: PrimeField, CS: ConstraintSystem<F>>(
    mut cs: CS,
    addend: i64,
    monomials: &[Monomial<'_, F>],
    bits: u32,
    shift: u32,
) -> Result<Accumulator, SynthesisError> {
    if shift >= bits || bits > 64 {
        return Err(error::shape(
            "an accumulator has at most 64 bits, more than its shift",
        ));
    }
    let mut y = Some(i128::from(addend));
    let mut rest = constant::<F, CS>(field(addend));
    let last = monomials.iter().rposition(|m| m.right.is_some());
    for (t, monomial) in monomials.iter().enumerate() {
        let right = monomial.right.map_or(Some(1), Entry::value);
        let value = monomial.left.value().zip(right).and_then(|(a, b)| {
            i128::from(a)
                .checked_mul(i128::from(b))?
                .checked_mul(i128::from(monomial.coefficient))
        });
        y = y.zip(value).and_then(|(y, v)| y.checked_add(v));
        if Some(t) == last {
            continue;
        }
        let left = monomial.left.signed::<CS>();
        let product = match monomial.right {
            Some(right) => {
                let cs = cs.namespace(|| format!("product {t}"));
                Num::from(num::mul(cs, &left, &right.signed::<CS>())?)
            }
            None => left,
        };
        rest = rest.add(&product.scale(field(monomial.coefficient)));
    }

    let offset = offset(bits, shift);
    let y = y.ok_or(SynthesisError::AssignmentMissing)?;
    let unsigned = u64::try_from(y + i128::from(offset))
        .ok()
        .filter(|u| bits == 64 || u >> bits == 0);
    let unsigned = match unsigned {
        Some(u) => u,
        None if cs.is_witness_generator() => return Err(SynthesisError::Unsatisfiable),
        None => 0,
    };
    let word = Word::alloc(cs.namespace(|| "bits"), bits, Some(unsigned))?;
    let (left, right) = match last.map(|t| &monomials[t]) {
        Some(Monomial {
            coefficient,
            left,
            right: Some(right),
        }) => (
            left.signed::<CS>().scale(field(*coefficient)),
            right.signed::<CS>(),
        ),
        _ => (Num::zero(), Num::zero()),
    };
    // coefficient·left · right = u − offset − rest
    cs.enforce(
        || "bits sum to the value",
        |_| left.lc(F::ONE),
        |_| right.lc(F::ONE),
        |_| {
            num::sub(&word.num(), &rest).lc(F::ONE) - &constant::<F, CS>(F::from(offset)).lc(F::ONE)
        },
    );
    Ok(Accumulator::from_word(word, shift))
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

    case!(Combine {
        addend: i64,
        // Coefficient, left, right.
        monomials: Vec<(i64, i64, Option<i64>)>,
        bits: u32,
        shift: u32,
    } |this, cs| {
        let mut entries = Vec::new();
        for (t, (coefficient, left, right)) in this.monomials.iter().enumerate() {
            let left = Entry::alloc(cs.namespace(|| format!("given left {t}")), 16, Some(*left))?;
            let right = right
                .map(|r| Entry::alloc(cs.namespace(|| format!("given right {t}")), 16, Some(r)))
                .transpose()?;
            entries.push((*coefficient, left, right));
        }
        let monomials: Vec<_> = entries
            .iter()
            .map(|(coefficient, left, right)| Monomial {
                coefficient: *coefficient,
                left,
                right: right.as_ref(),
            })
            .collect();
        let y = combine(cs.namespace(|| "y"), this.addend, &monomials, this.bits, this.shift)?;
        assert_eq!((y.bits(), y.shift()), (this.bits, this.shift));
        Ok(vec![y.signed::<F, CS>().get_value().unwrap()])
    });

    fn native(case: &Combine) -> i128 {
        let sum: i128 = case
            .monomials
            .iter()
            .map(|(c, a, b)| i128::from(*c) * i128::from(*a) * i128::from(b.unwrap_or(1)))
            .sum();
        sum + i128::from(case.addend)
    }

    /// `2^4·n + z·h − z·n`, a blend of `n` and `h`.
    fn blend(n: i64, z: i64, h: i64) -> Combine {
        Combine {
            addend: 0,
            monomials: vec![(16, n, None), (1, z, Some(h)), (-1, z, Some(n))],
            bits: 12,
            shift: 4,
        }
    }

    #[test]
    fn equal_to_integers_at_the_edges() {
        let cases = [
            blend(-100, 16, 100),
            blend(-100, 0, 100),
            blend(127, 15, -128),
            // One minus.
            Combine {
                addend: 128,
                monomials: vec![(-1, -7, None)],
                bits: 10,
                shift: 0,
            },
            // A constant.
            Combine {
                addend: -3,
                monomials: vec![],
                bits: 4,
                shift: 1,
            },
            // A product at both ends of its width.
            Combine {
                addend: 0,
                monomials: vec![(1, -32_768, Some(-32_768))],
                bits: 32,
                shift: 0,
            },
            Combine {
                addend: i64::from(i32::MIN),
                monomials: vec![(-(1 << 20), 32_767, Some(32_767)), (1, 5, None)],
                bits: 64,
                shift: 20,
            },
        ];
        for case in cases {
            let audit = audit(&case);
            assert_eq!(audit.results, [signed::<Fp>(native(&case))], "{case:?}");
            assert!(audit.free.is_empty());
        }
    }

    #[test]
    fn combine_enforces_the_sum() {
        // The bits of another sum.
        let (mut cs, _) = build::<Fp>(&blend(-100, 5, 100));
        assert!(cs.is_satisfied());
        let bit = cs.get("y/bits/bit 0/boolean");
        cs.set("y/bits/bit 0/boolean", Fp::ONE - bit);
        assert_eq!(cs.which_is_unsatisfied(), Some("y/bits sum to the value"));
    }

    #[test]
    fn combine_enforces_its_products() {
        let (mut cs, _) = build::<Fp>(&blend(-100, 5, 100));
        let wire = "y/product 1/product/num";
        let lie = cs.get(wire) + Fp::ONE;
        cs.set(wire, lie);
        // The sum that follows from the lie: −1600 + 501 + 500 instead of −1600 + 500 + 500.
        let (mut other, _) = build::<Fp>(&Combine {
            addend: 1,
            ..blend(-100, 5, 100)
        });
        for bit in 0..12 {
            let bit = format!("y/bits/bit {bit}/boolean");
            cs.set(&bit, other.get(&bit));
        }
        assert_eq!(
            cs.which_is_unsatisfied(),
            Some("y/product 1/product is a times b")
        );
    }

    #[test]
    fn combine_enforces_the_range() {
        // 2^11 − 2^3 is the least that has no place.
        for (n, fits) in [(127, true), (128, false), (-128, true), (-129, false)] {
            let case = Combine {
                monomials: vec![(16, n, None)],
                addend: if n < 0 { -8 } else { 0 },
                ..blend(0, 0, 0)
            };
            let (cs, _) = build::<Fp>(&case);
            assert_eq!(cs.is_satisfied(), fits, "{n}");
            if !fits {
                assert!(matches!(error(&case, true), SynthesisError::Unsatisfiable));
            }
        }
        let (mut cs, _) = build::<Fp>(&blend(1, 2, 3));
        cs.set("y/bits/bit 3/boolean", Fp::from(2));
        assert_eq!(
            cs.which_is_unsatisfied(),
            Some("y/bits/bit 3/boolean constraint")
        );
    }

    #[test]
    fn shapes_that_do_not_exist() {
        let mut cs = TestConstraintSystem::<Fp>::new();
        for (bits, shift) in [(65, 0), (8, 8), (0, 0)] {
            assert!(matches!(
                combine(&mut cs, 0, &[], bits, shift),
                Err(SynthesisError::IncompatibleLengthVector(_))
            ));
        }
    }

    #[test]
    fn shapes() {
        let real = shape(&blend(1, 2, 3));
        expect!["94 constraints, 93 variables, 826f4aea386807d27d5ac8e89bcad8503a6b007c6758f0f388fa7270322bb1bd"].assert_eq(&real);
        assert_eq!(shape(&blend(0, 0, 0)), real);
        // 16 bits for each of the five inputs.
        assert_eq!(cost(&blend(1, 2, 3)), 5 * 16 + 12 + 2);
    }

    proptest! {
        #[test]
        fn random_sums(
            addend in -1000i64..1000,
            monomials in prop::collection::vec(
                (-50i64..50, -32_768i64..32_768, prop::option::of(-32_768i64..32_768)),
                0..5,
            ),
            shift in 0u32..30,
        ) {
            let case = Combine { addend, monomials, bits: 42, shift };
            prop_assert_eq!(audit(&case).results, [signed::<Fp>(native(&case))]);
        }
    }
}
