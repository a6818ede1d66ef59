//! Arithmetic on [`Num`], a linear combination with its value.
//!
//! `Num::add` of a known and an unknown value returns the known one; all values are present here, so it is harmless.

use bellpepper_core::{
    ConstraintSystem, SynthesisError, Variable,
    boolean::Boolean,
    num::{AllocatedNum, Num},
};
use ff::PrimeField;

/// `c`, as a multiple of the constant one. No constraint.
pub fn constant<F: PrimeField, CS: ConstraintSystem<F>>(c: F) -> Num<F> {
    Num::zero().add_bool_with_coeff(CS::one(), &Boolean::Constant(true), c)
}

/// `a − b`. No constraint.
pub fn sub<F: PrimeField>(a: &Num<F>, b: &Num<F>) -> Num<F> {
    b.clone().scale(-F::ONE).add(a)
}

/// The sum of `terms`; 0 if there are none. No constraint.
pub fn sum<'a, F: PrimeField>(terms: impl IntoIterator<Item = &'a Num<F>>) -> Num<F> {
    terms
        .into_iter()
        .fold(Num::zero(), |total, term| total.add(term))
}

/// The value of `a`, which must be present.
pub(crate) fn value<F: PrimeField>(a: &Num<F>) -> Result<F, SynthesisError> {
    a.get_value().ok_or(SynthesisError::AssignmentMissing)
}

/// `2^exponent`.
pub(crate) fn power_of_two<F: PrimeField>(exponent: u32) -> F {
    // Not by exponentiation, which squares 64 times.
    match 1u64.checked_shl(exponent) {
        Some(power) => F::from(power),
        None => F::from(1 << 63) * power_of_two::<F>(exponent - 63),
    }
}

/// `1` or `0`.
pub(crate) fn indicator<F: PrimeField>(condition: bool) -> F {
    if condition { F::ONE } else { F::ZERO }
}

/// A product, allocated.
///
/// **Statement** `product = a · b`.
///
/// **Assumes** nothing.
///
/// **Enforces** 1. the statement.
///
/// **Does not enforce** any range.
///
/// **Cost** 1.
///
/// **Soundness** The product is a function of `a` and `b`.
///
/// **Reference** `AllocatedNum::mul` of bellpepper, for linear combinations.
pub fn mul<F: PrimeField, CS: ConstraintSystem<F>>(
    mut cs: CS,
    a: &Num<F>,
    b: &Num<F>,
) -> Result<AllocatedNum<F>, SynthesisError> {
    let product = AllocatedNum::alloc(cs.namespace(|| "product"), || Ok(value(a)? * value(b)?))?;
    // a · b = product
    cs.enforce(
        || "product is a times b",
        |_| a.lc(F::ONE),
        |_| b.lc(F::ONE),
        |lc| lc + product.get_variable(),
    );
    Ok(product)
}

/// A linear combination, given a variable of its own.
///
/// **Statement** `v = a`.
///
/// **Assumes** nothing.
///
/// **Enforces** 1. the statement.
///
/// **Does not enforce** any range.
///
/// **Cost** 1.
///
/// **Soundness** Linear, with one solution.
///
/// **Reference** `Elt::ensure_allocated` of neptune.
pub fn allocate<F: PrimeField, CS: ConstraintSystem<F>>(
    mut cs: CS,
    a: &Num<F>,
) -> Result<AllocatedNum<F>, SynthesisError> {
    let v = AllocatedNum::alloc(cs.namespace(|| "value"), || value(a))?;
    enforce_equal_variable(cs, a, v.get_variable());
    Ok(v)
}

/// Equality of two linear combinations.
///
/// **Statement** `a = b`.
///
/// **Assumes** nothing.
///
/// **Enforces** 1. the statement.
///
/// **Does not enforce** anything about the common value.
///
/// **Cost** 1.
///
/// **Soundness** The constraint is the statement.
///
/// **Reference** –
pub fn enforce_equal<F: PrimeField, CS: ConstraintSystem<F>>(mut cs: CS, a: &Num<F>, b: &Num<F>) {
    // a · 1 = b
    cs.enforce(
        || "equal",
        |_| a.lc(F::ONE),
        |lc| lc + CS::one(),
        |_| b.lc(F::ONE),
    );
}

/// Equality of a linear combination and a variable.
///
/// **Statement** `a = v`.
///
/// **Assumes** nothing.
///
/// **Enforces** 1. the statement.
///
/// **Does not enforce** anything about the common value.
///
/// **Cost** 1.
///
/// **Soundness** The constraint is the statement.
///
/// **Reference** –
pub fn enforce_equal_variable<F: PrimeField, CS: ConstraintSystem<F>>(
    mut cs: CS,
    a: &Num<F>,
    v: Variable,
) {
    // a · 1 = v
    cs.enforce(
        || "equal",
        |_| a.lc(F::ONE),
        |lc| lc + CS::one(),
        |lc| lc + v,
    );
}

/// A choice between two values.
///
/// **Statement** `chosen = if_one` if `bit = 1`, `chosen = if_zero` if `bit = 0`.
///
/// **Assumes** `bit ∈ {0, 1}`, by constraint.
///
/// **Enforces** 1. `bit · (if_one − if_zero) = chosen − if_zero`.
///
/// **Does not enforce** that `bit` is a bit.
///
/// **Cost** 1.
///
/// **Soundness** `chosen` is a function of the three operands; put in 0 and 1.
///
/// **Reference** arkworks `CondSelectGadget`.
pub fn select<F: PrimeField, CS: ConstraintSystem<F>>(
    mut cs: CS,
    bit: &Num<F>,
    if_one: &Num<F>,
    if_zero: &Num<F>,
) -> Result<AllocatedNum<F>, SynthesisError> {
    let chosen = AllocatedNum::alloc(cs.namespace(|| "chosen"), || {
        let zero = value(if_zero)?;
        Ok(zero + value(bit)? * (value(if_one)? - zero))
    })?;
    // bit · (if_one − if_zero) = chosen − if_zero
    cs.enforce(
        || "chosen by the bit",
        |_| bit.lc(F::ONE),
        |_| if_one.lc(F::ONE) - &if_zero.lc(F::ONE),
        |lc| lc + chosen.get_variable() - &if_zero.lc(F::ONE),
    );
    Ok(chosen)
}

/// The indicator of zero.
///
/// **Statement** `z = 1` if `a = 0`, `z = 0` otherwise.
///
/// **Assumes** nothing.
///
/// **Enforces** 1. `a · inv = 1 − z`; 2. `a · z = 0`.
///
/// **Does not enforce** a value of `inv` when `a = 0`: it is free there, and nothing reads it.
///
/// **Cost** 2.
///
/// **Soundness** If `a ≠ 0`, the second constraint gives `z = 0`, which the first allows only with `inv = 1/a`. If
/// `a = 0`, the first one gives `z = 1`. So `z` is determined, and it is a bit without a constraint of its own.
///
/// **Reference** circomlib `IsZero`.
pub fn is_zero<F: PrimeField, CS: ConstraintSystem<F>>(
    cs: CS,
    a: &Num<F>,
) -> Result<AllocatedNum<F>, SynthesisError> {
    is_zero_with(cs, a, |a| Option::from(a.invert()).unwrap_or(F::ZERO))
}

/// [`is_zero`] with the inverse taken from `inverse`, which is called with the value of `a`.
pub(crate) fn is_zero_with<F: PrimeField, CS: ConstraintSystem<F>>(
    mut cs: CS,
    a: &Num<F>,
    inverse: impl FnOnce(F) -> F,
) -> Result<AllocatedNum<F>, SynthesisError> {
    let inv = AllocatedNum::alloc(cs.namespace(|| "inverse"), || Ok(inverse(value(a)?)))?;
    let z = AllocatedNum::alloc(cs.namespace(|| "is zero"), || {
        Ok(indicator(value(a)?.is_zero_vartime()))
    })?;
    // a · inv = 1 − z
    cs.enforce(
        || "one if zero",
        |_| a.lc(F::ONE),
        |lc| lc + inv.get_variable(),
        |lc| lc + CS::one() - z.get_variable(),
    );
    // a · z = 0
    cs.enforce(
        || "zero if not zero",
        |_| a.lc(F::ONE),
        |lc| lc + z.get_variable(),
        |lc| lc,
    );
    Ok(z)
}

#[cfg(test)]
mod tests {
    use bellpepper_core::test_cs::TestConstraintSystem;
    use expect_test::expect;
    use ff::Field;
    use pasta_curves::Fp;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{audit, build, case, given, given_variable, scramble, shape, signed};

    case!(
        Mul { a: i64, b: i64 } | this,
        cs | {
            let a = given(cs, "a", signed(this.a.into()));
            let b = given(cs, "b", signed(this.b.into()));
            Ok(vec![mul(cs, &a, &b)?.get_value().unwrap()])
        }
    );

    case!(
        Allocate { a: i64, b: i64 } | this,
        cs | {
            let a = given(cs, "a", signed(this.a.into()));
            let b = given(cs, "b", signed(this.b.into()));
            let v = allocate(cs.namespace(|| "v"), &sub(&a, &b))?;
            Ok(vec![v.get_value().unwrap()])
        }
    );

    case!(
        Equal { a: i64, b: i64 } | this,
        cs | {
            let a = given(cs, "a", signed(this.a.into()));
            let b = given_variable(cs, "b", signed(this.b.into()));
            enforce_equal(cs.namespace(|| "num"), &a, &b.clone().into());
            enforce_equal_variable(cs.namespace(|| "variable"), &a, b.get_variable());
            Ok(vec![])
        }
    );

    case!(
        Select {
            bit: bool,
            one: i64,
            zero: i64
        } | this,
        cs | {
            let bit = given(cs, "bit", indicator(this.bit));
            let one = given(cs, "one", signed(this.one.into()));
            let zero = given(cs, "zero", signed(this.zero.into()));
            Ok(vec![select(cs, &bit, &one, &zero)?.get_value().unwrap()])
        }
    );

    case!(
        IsZero { a: i64 } | this,
        cs | {
            let a = given(cs, "a", signed(this.a.into()));
            Ok(vec![is_zero(cs, &a)?.get_value().unwrap()])
        }
    );

    const EDGES: [i64; 7] = [0, 1, -1, 2, i64::MAX, i64::MIN, 1 << 40];

    #[test]
    fn equal_to_integers_at_the_edges() {
        for a in EDGES {
            for b in EDGES {
                let (wide_a, wide_b) = (i128::from(a), i128::from(b));
                assert_eq!(
                    audit(&Mul { a, b }).results,
                    [signed::<Fp>(wide_a) * signed::<Fp>(wide_b)]
                );
                assert_eq!(
                    audit(&Allocate { a, b }).results,
                    [signed::<Fp>(wide_a - wide_b)]
                );
                for bit in [false, true] {
                    let chosen = if bit { wide_a } else { wide_b };
                    let case = Select {
                        bit,
                        one: a,
                        zero: b,
                    };
                    assert_eq!(audit(&case).results, [signed::<Fp>(chosen)]);
                }
                let equal = build::<Fp>(&Equal { a, b })
                    .0
                    .which_is_unsatisfied()
                    .is_none();
                assert_eq!(equal, a == b);
            }
        }
    }

    #[test]
    fn only_the_inverse_of_zero_is_free() {
        for a in EDGES {
            let audit = audit(&IsZero { a });
            assert_eq!(audit.results, [indicator::<Fp>(a == 0)]);
            let free: &[&str] = if a == 0 { &["inverse/num"] } else { &[] };
            assert_eq!(audit.free, free);
        }
    }

    #[test]
    fn is_zero_enforces_one_if_zero() {
        let (mut cs, _) = build::<Fp>(&IsZero { a: 0 });
        for inverse in [Fp::ZERO, Fp::ONE, Fp::ROOT_OF_UNITY] {
            cs.set("is zero/num", Fp::ZERO);
            cs.set("inverse/num", inverse);
            assert_eq!(cs.which_is_unsatisfied(), Some("one if zero"));
        }
    }

    #[test]
    fn is_zero_enforces_zero_if_not_zero() {
        let (mut cs, _) = build::<Fp>(&IsZero { a: 5 });
        // The first constraint is met by any z with the inverse (1 − z) / a.
        for z in [Fp::ONE, Fp::from(2), Fp::ROOT_OF_UNITY] {
            cs.set("is zero/num", z);
            cs.set("inverse/num", (Fp::ONE - z) * Fp::from(5).invert().unwrap());
            assert_eq!(cs.which_is_unsatisfied(), Some("zero if not zero"));
        }
    }

    #[test]
    fn powers_of_two() {
        for exponent in 0..=254u32 {
            let expected = Fp::from(2).pow_vartime([u64::from(exponent)]);
            assert_eq!(power_of_two::<Fp>(exponent), expected);
        }
    }

    #[test]
    fn linear_helpers() {
        let values: Vec<Fp> = scramble(&[3, 4, 5]);
        let mut cs = TestConstraintSystem::<Fp>::new();
        let nums: Vec<_> = values
            .iter()
            .enumerate()
            .map(|(i, v)| given(&mut cs, &i.to_string(), *v))
            .collect();
        let total = sum(&nums);
        assert_eq!(total.get_value(), Some(values.iter().sum()));
        assert_eq!(total.lc(Fp::ONE).len(), 3);
        assert_eq!(sum::<Fp>(&[]).get_value(), Some(Fp::ZERO));
        let difference = sub(&nums[0], &nums[1]);
        assert_eq!(difference.get_value(), Some(values[0] - values[1]));
        let nine = constant::<Fp, TestConstraintSystem<Fp>>(Fp::from(9));
        assert_eq!(nine.get_value(), Some(Fp::from(9)));
        // The combinations have the values they claim to have.
        let aux = cs.scalar_aux();
        for num in [&total, &difference, &nine] {
            assert_eq!(num.lc(Fp::ONE).eval(&[Fp::ONE], &aux), value(num).unwrap());
        }
    }

    #[test]
    fn shapes() {
        let shapes = [
            shape(&Mul { a: 1, b: 2 }),
            shape(&Allocate { a: 1, b: 2 }),
            shape(&Equal { a: 1, b: 1 }),
            shape(&Select {
                bit: true,
                one: 1,
                zero: 2,
            }),
            shape(&IsZero { a: 3 }),
        ];
        expect![[r#"
            1 constraints, 3 variables, 85b87cd6cd6b828612bccc9d4a2dad373914e8c9ed53925bcac9e7ad58701975
            1 constraints, 3 variables, 282621bef05c9d994657fb1d91307ca6320b70a82fb0002757c83e13bb5d5ad8
            2 constraints, 2 variables, a484101c3238a948880a7879aed1a9dcb39f1eeec7a1a6fa3341ca6db3d68b03
            1 constraints, 4 variables, dbd60f842ae06db4218e97e83a85750c7a61d65d214eaa7a7871d29f95bcf40a
            2 constraints, 3 variables, 94538c4f50569b8711a16690fd3b2382c03d80d160c800b327c9cc945f304aa0"#]].assert_eq(&shapes.join("\n"));
        assert_eq!(shape(&Mul { a: 0, b: 0 }), shapes[0]);
        assert_eq!(
            shape(&Select {
                bit: false,
                one: 0,
                zero: 0
            }),
            shapes[3]
        );
        assert_eq!(shape(&IsZero { a: 0 }), shapes[4]);
    }

    proptest! {
        #[test]
        fn products_and_choices(a: i64, b: i64, bit: bool) {
            prop_assert_eq!(
                build::<Fp>(&Mul { a, b }).1,
                [signed::<Fp>(i128::from(a) * i128::from(b))]
            );
            let case = Select { bit, one: a, zero: b };
            prop_assert_eq!(audit(&case).results, [signed::<Fp>(if bit { a } else { b }.into())]);
        }
    }
}
