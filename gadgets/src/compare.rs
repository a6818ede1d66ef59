//! Comparisons: signs, zeros, indexes, the largest of several.

use bellpepper_core::{
    ConstraintSystem, SynthesisError,
    num::{AllocatedNum, Num},
};
use ff::PrimeField;

use crate::{
    entry::Entry,
    error,
    num::{self, constant},
    requantize::Accumulator,
    word::{OneHot, Word, add_bit},
};

/// An entry of one bit, without an offset, from a number that is 0 or 1 by constraint.
fn bit<F: PrimeField>(bit: Num<F>, value: Option<bool>) -> Entry<F> {
    Entry::from_num_unchecked(bit, value.map(u64::from), 1, 0)
}

/// `[y ≥ 0]` of an accumulator that is not shifted.
///
/// **Statement** `result = 1` if `y ≥ 0`, 0 otherwise; an entry of one bit.
///
/// **Assumes** the accumulator has the shift 0; otherwise an error.
///
/// **Enforces** nothing new: it is the top bit of `u = y + 2^(B−1)`.
///
/// **Does not enforce** what `y` is.
///
/// **Cost** 0.
///
/// **Soundness** `u` is an integer of `B` bits, and `u ≥ 2^(B−1)` if and only if its top bit is set.
///
/// **Reference** –
pub fn nonnegative<F: PrimeField>(y: &Accumulator) -> Result<Entry<F>, SynthesisError> {
    if y.shift() != 0 {
        return Err(error::shape("the sign of an accumulator that is shifted"));
    }
    let top = y.bits() as usize - 1;
    let sign = y.word().num_of_bits(top..top + 1);
    Ok(bit(sign, y.value().map(|y| y >= 0)))
}

/// `[x = c]`, for each `c` from 0 to `len − 1`.
///
/// **Statement** `result_c = 1` if the value of `x` is `c`, 0 otherwise; entries of one bit. All are 0 if the value is
/// outside of `0..len`.
///
/// **Assumes** nothing.
///
/// **Enforces** 1. `result_c = [x − c = 0]` (two constraints, see [`num::is_zero`]), for each `c`.
///
/// **Does not enforce** that the value is in `0..len`.
///
/// **Cost** `2·len`.
///
/// **Soundness** As for [`num::is_zero`]; the constants are distinct in the field.
///
/// **Reference** circomlib `IsEqual`.
pub fn indicators<F: PrimeField, CS: ConstraintSystem<F>>(
    mut cs: CS,
    x: &Entry<F>,
    len: usize,
) -> Result<Vec<Entry<F>>, SynthesisError> {
    (0..len)
        .map(|c| {
            let minus_c = constant::<F, CS>(-F::from(c as u64));
            let difference = minus_c.add(&x.signed::<CS>());
            let is = num::is_zero(cs.namespace(|| format!("is {c}")), &difference)?;
            let value = x.value().map(|x| usize::try_from(x) == Ok(c));
            Ok(bit(is.into(), value))
        })
        .collect()
}

/// The position of the largest of several entries, of equal ones the first; `None` if there are none.
pub fn argmax_native(values: &[i64]) -> Option<usize> {
    (0..values.len()).reduce(|best, i| if values[i] > values[best] { i } else { best })
}

/// The one-hot vector of the largest entry, of equal ones the first.
///
/// **Statement** `h_i = 1` for `i = argmax_native(x)`, 0 for all others; entries of one bit.
///
/// **Assumes** all entries have one width `w ≤ 63` and one offset, and there is at least one; otherwise an error.
///
/// **Enforces** with `u_i` the integers of the entries:
/// 1. `h_i` are bits that sum to 1;
/// 2. `p_i = h_i·u_i`; `M = Σ p_i`;
/// 3. `M − u_j − Σ_{i>j} h_i` has `w` bits, for every `j`.
///
/// **Does not enforce** the ranges of the entries.
///
/// **Cost** `len·(w + 3) + 1`.
///
/// **Soundness** By 1 and 2, `M` is the entry at the one position `a` with `h_a = 1`. The sum in 3 is 1 for `j < a` and 0
/// from `a` on: so 3 says `u_j < M` for every `j < a`, and `u_j ≤ M` for the others. There is exactly one such `a`. The
/// differences are integers of at most `w + 1` bits in absolute value, so a negative one has no decomposition.
///
/// **Reference** –
pub fn argmax<F: PrimeField, CS: ConstraintSystem<F>>(
    mut cs: CS,
    x: &[Entry<F>],
) -> Result<Vec<Entry<F>>, SynthesisError> {
    let first = x
        .first()
        .filter(|first| first.width() < 64)
        .ok_or_else(|| error::shape("the largest of no entries, or of too wide ones"))?;
    if x.iter()
        .any(|e| (e.width(), e.offset()) != (first.width(), first.offset()))
    {
        return Err(error::shape("the largest of entries of different widths"));
    }
    let values: Option<Vec<i64>> = x.iter().map(Entry::value).collect();
    let at = values.as_deref().and_then(argmax_native);
    let hot = OneHot::alloc(cs.namespace(|| "position"), x.len(), at)?;
    let h = |i: usize| add_bit(Num::zero(), &hot.bits()[i], F::ONE);
    let mut largest = Num::zero();
    for (i, entry) in x.iter().enumerate() {
        let product = num::mul(
            cs.namespace(|| format!("entry {i} if it is the largest")),
            &h(i),
            entry.unsigned(),
        )?;
        largest = largest.add(&product.into());
    }
    let most = at.and_then(|at| x[at].unsigned_value());
    // Σ_{i>j} h_i, from the last j down.
    let mut later = Num::zero();
    for (j, entry) in x.iter().enumerate().rev() {
        let difference = num::sub(&num::sub(&largest, entry.unsigned()), &later);
        let value = most.zip(entry.unsigned_value()).map(|(most, u)| {
            let strictly = at.is_some_and(|at| at > j);
            most.wrapping_sub(u).wrapping_sub(u64::from(strictly))
        });
        Word::decompose(
            cs.namespace(|| format!("not less than entry {j}")),
            &difference,
            first.width(),
            value,
        )?;
        later = later.add(&h(j));
    }
    Ok((0..x.len())
        .map(|i| bit(h(i), at.map(|at| at == i)))
        .collect())
}

/// `[y = 0]` of an accumulator.
///
/// **Statement** `result = 1` if `y = 0`, 0 otherwise; an entry of one bit.
///
/// **Assumes** nothing.
///
/// **Enforces** 1. the statement, by two constraints, see [`num::is_zero`].
///
/// **Does not enforce** what `y` is.
///
/// **Cost** 2.
///
/// **Soundness** `y` is an integer of at most 65 bits, so it is zero in the field only if it is zero.
///
/// **Reference** –
pub fn zero<F: PrimeField, CS: ConstraintSystem<F>>(
    cs: CS,
    y: &Accumulator,
) -> Result<Entry<F>, SynthesisError> {
    let is: AllocatedNum<F> = num::is_zero(cs, &y.signed::<F, CS>())?;
    Ok(bit(is.into(), y.value().map(|y| y == 0)))
}

#[cfg(test)]
mod tests {
    use bellpepper_core::test_cs::TestConstraintSystem;
    use expect_test::expect;
    use ff::Field;
    use pasta_curves::Fp;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{audit, build, case, cost, shape, signed};

    case!(
        Sign { bits: u32, y: i64 } | this,
        cs | {
            let y = Accumulator::alloc(cs.namespace(|| "given"), this.bits, 0, Some(this.y))?;
            let sign = nonnegative::<F>(&y)?;
            let zero = zero(cs.namespace(|| "zero"), &y)?;
            assert_eq!((sign.width(), sign.offset()), (1, 0));
            Ok(vec![
                sign.signed::<CS>().get_value().unwrap(),
                zero.signed::<CS>().get_value().unwrap(),
            ])
        }
    );

    case!(
        Indicators { x: i64, len: usize } | this,
        cs | {
            let x = Entry::alloc(cs.namespace(|| "given"), 8, Some(this.x))?;
            let is = indicators(cs.namespace(|| "is"), &x, this.len)?;
            Ok(is
                .iter()
                .map(|e| e.signed::<CS>().get_value().unwrap())
                .collect())
        }
    );

    case!(Argmax { x: Vec<i64> } |this, cs| {
        let x = this.x.iter().enumerate().map(|(i, x)| {
            Entry::alloc(cs.namespace(|| format!("given {i}")), 8, Some(*x))
        });
        let x = x.collect::<Result<Vec<_>, _>>()?;
        let hot = argmax(cs.namespace(|| "argmax"), &x)?;
        assert_eq!(hot.iter().position(|h| h.value() == Some(1)), argmax_native(&this.x));
        Ok(hot.iter().map(|h| h.signed::<CS>().get_value().unwrap()).collect())
    });

    fn hot(len: usize, at: Option<usize>) -> Vec<Fp> {
        (0..len)
            .map(|i| signed(i128::from(Some(i) == at)))
            .collect()
    }

    #[test]
    fn signs_and_zeros() {
        for y in [-128i64, -1, 0, 1, 127] {
            let audit = audit(&Sign { bits: 8, y });
            let expected = [y >= 0, y == 0].map(|b| signed::<Fp>(b.into()));
            assert_eq!(audit.results, expected);
        }
        let y = Accumulator::alloc(TestConstraintSystem::<Fp>::new(), 8, 1, Some(0)).unwrap();
        assert!(nonnegative::<Fp>(&y).is_err());
    }

    #[test]
    fn indicators_of_every_value() {
        for x in -128..128 {
            let at = usize::try_from(x).ok().filter(|x| *x < 5);
            let audit = audit(&Indicators { x, len: 5 });
            assert_eq!(audit.results, hot(5, at));
        }
    }

    #[test]
    fn indicators_enforce_every_bit() {
        let (mut cs, _) = build::<Fp>(&Indicators { x: 3, len: 5 });
        cs.set("is/is 3/is zero/num", Fp::ZERO);
        assert_eq!(cs.which_is_unsatisfied(), Some("is/is 3/one if zero"));
        let (mut cs, _) = build::<Fp>(&Indicators { x: 3, len: 5 });
        cs.set("is/is 2/is zero/num", Fp::ONE);
        cs.set("is/is 2/inverse/num", Fp::ZERO);
        assert_eq!(cs.which_is_unsatisfied(), Some("is/is 2/zero if not zero"));
    }

    #[test]
    fn argmax_of_edges_and_ties() {
        for x in [
            vec![5],
            vec![1, 2, 3],
            vec![3, 2, 1],
            vec![2, 3, 3],
            vec![-128, -128],
            vec![127, -128, 127],
            vec![0, 0, 0, 0],
        ] {
            let at = argmax_native(&x);
            assert_eq!(
                audit(&Argmax { x: x.clone() }).results,
                hot(x.len(), at),
                "{x:?}"
            );
        }
        assert_eq!(argmax_native(&[]), None);
        assert_eq!(argmax_native(&[2, 3, 3]), Some(1));
    }

    /// The witness of a vector under which `at` is the first of the largest, on the entries of `x`.
    fn claim(x: &[i64], at: usize) -> TestConstraintSystem<Fp> {
        let (mut cs, _) = build::<Fp>(&Argmax { x: x.to_vec() });
        let u = |i: usize| x[i] + 128;
        for i in 0..x.len() {
            let chosen = i64::from(i == at);
            cs.set(
                &format!("argmax/position/position {i}/boolean"),
                signed(chosen.into()),
            );
            cs.set(
                &format!("argmax/entry {i} if it is the largest/product/num"),
                signed((chosen * u(i)).into()),
            );
            let difference = u(at) - u(i) - i64::from(at > i);
            for bit in 0..8 {
                cs.set(
                    &format!("argmax/not less than entry {i}/bits/bit {bit}/boolean"),
                    signed((difference >> bit & 1).into()),
                );
            }
        }
        cs
    }

    #[test]
    fn argmax_enforces_that_none_is_larger() {
        assert!(claim(&[3, 7, 5], 1).is_satisfied());
        assert_eq!(
            claim(&[3, 7, 5], 2).which_is_unsatisfied(),
            Some("argmax/not less than entry 1/bits sum to the number")
        );
    }

    #[test]
    fn argmax_enforces_the_first_of_equals() {
        assert!(claim(&[3, 7, 7], 1).is_satisfied());
        assert_eq!(
            claim(&[3, 7, 7], 2).which_is_unsatisfied(),
            Some("argmax/not less than entry 1/bits sum to the number")
        );
    }

    #[test]
    fn argmax_enforces_one_position() {
        let mut cs = claim(&[3, 7, 5], 1);
        cs.set("argmax/position/position 0/boolean", Fp::ONE);
        assert!(!cs.is_satisfied());
        let mut cs = claim(&[3, 7, 5], 1);
        cs.set("argmax/position/position 1/boolean", Fp::ZERO);
        assert_eq!(
            cs.which_is_unsatisfied(),
            Some("argmax/position/exactly one is set")
        );
    }

    #[test]
    fn argmax_enforces_the_products() {
        let mut cs = claim(&[3, 7, 5], 1);
        cs.set(
            "argmax/entry 1 if it is the largest/product/num",
            Fp::from(200),
        );
        assert_eq!(
            cs.which_is_unsatisfied(),
            Some("argmax/entry 1 if it is the largest/product is a times b")
        );
    }

    #[test]
    fn shapes_that_do_not_exist() {
        let mut cs = TestConstraintSystem::<Fp>::new();
        assert!(argmax::<Fp, _>(cs.namespace(|| "none"), &[]).is_err());
        let narrow = Entry::constant::<TestConstraintSystem<Fp>>(0, 8);
        let wide = Entry::constant::<TestConstraintSystem<Fp>>(0, 9);
        assert!(argmax(cs.namespace(|| "mixed"), &[narrow, wide]).is_err());
        let wide = Entry::constant::<TestConstraintSystem<Fp>>(0, 64);
        assert!(argmax(cs.namespace(|| "wide"), &[wide]).is_err());
    }

    #[test]
    fn shapes() {
        let real = shape(&Argmax { x: vec![1, 2, 3] });
        expect!["58 constraints, 54 variables, c970ffa3cc102432870aff71bc4f1d4fb3a41ee1e80109ed520fb4a1162be65f"].assert_eq(&real);
        assert_eq!(shape(&Argmax { x: vec![3, 3, 3] }), real);
        assert_eq!(cost(&Argmax { x: vec![0; 5] }), 5 * 8 + 5 * (8 + 3) + 1);
        assert_eq!(cost(&Indicators { x: 0, len: 7 }), 8 + 14);
        assert_eq!(cost(&Sign { bits: 8, y: 0 }), 8 + 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn random_vectors(x in prop::collection::vec(-128i64..128, 1..8)) {
            let expected = hot(x.len(), argmax_native(&x));
            prop_assert_eq!(audit(&Argmax { x }).results, expected);
        }
    }
}
