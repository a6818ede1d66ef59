//! Multilinear extensions.
//!
//! Most significant bit first everywhere: the first coordinate of a point belongs to the most significant bit of an
//! index. `index_bits` and its helper `bit` are the one place where that order is written down.

use bellpepper_core::{
    ConstraintSystem, SynthesisError,
    num::{AllocatedNum, Num},
};
use ff::PrimeField;

use crate::{
    error,
    num::{constant, mul, sub, value},
};

/// `Π (a_i·b_i + (1 − a_i)·(1 − b_i))`.
///
/// Points of different lengths are compared as far as the shorter goes.
pub fn eq_native<F: PrimeField>(a: &[F], b: &[F]) -> F {
    a.iter().zip(b).fold(F::ONE, |product, (a, b)| {
        product * (F::ONE - a - b + (*a * b).double())
    })
}

/// `eq(point, i)` for all `2^n` indexes `i`.
pub fn eq_evals<F: PrimeField>(point: &[F]) -> Vec<F> {
    let mut evals = Vec::with_capacity(1 << point.len());
    evals.push(F::ONE);
    // From the first coordinate on, each one appends a bit at the lower end of the index.
    for r in point {
        evals = evals
            .iter()
            .flat_map(|e| {
                let one = *e * r;
                [*e - one, one]
            })
            .collect();
    }
    evals
}

/// The `n` lowest bits of `index` as a point, the most significant one first.
pub fn index_bits<F: PrimeField>(index: u64, n: usize) -> Vec<F> {
    (0..n)
        .map(|i| crate::num::indicator(bit(index, n, i)))
        .collect()
}

/// The bit of `index` that belongs to coordinate `i` of `n`.
fn bit(index: u64, n: usize, i: usize) -> bool {
    let weight = n - 1 - i;
    weight < 64 && index >> weight & 1 == 1
}

/// `eq(index_bits(index), point)`.
pub fn eq_index_native<F: PrimeField>(index: u64, point: &[F]) -> F {
    let n = point.len();
    point.iter().enumerate().fold(F::ONE, |product, (i, r)| {
        product * if bit(index, n, i) { *r } else { F::ONE - r }
    })
}

/// `Σ_i values_i·eq(i, point)`: the multilinear extension of `values`, 0 beyond their end.
///
/// # Panics
/// If there are more than `2^n` values.
pub fn evaluate_native<F: PrimeField>(values: &[F], point: &[F]) -> F {
    assert!(fits(values.len(), point.len()), "more values than indexes");
    let mut level = values.to_vec();
    // The last coordinate belongs to the lowest bit: it folds neighbours.
    for r in point.iter().rev() {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [lo, hi] => *lo + *r * (*hi - lo),
                _ => pair.iter().map(|lo| *lo - *r * lo).sum(),
            })
            .collect();
    }
    level.first().copied().unwrap_or(F::ZERO)
}

/// `Π_b (1 − i_b + i_b·ρ^(2^b))`, the multilinear extension of `i ↦ ρ^i`; `i_b` is the coordinate of the bit of weight
/// `2^b`, so the last coordinate has weight 1.
pub fn power_native<F: PrimeField>(point: &[F], rho: F) -> F {
    let mut square = rho;
    point.iter().rev().fold(F::ONE, |product, r| {
        let factor = F::ONE + *r * (square - F::ONE);
        square = square.square();
        product * factor
    })
}

/// `Σ ρ^i·values_i`.
pub fn horner_native<F: PrimeField>(values: &[F], rho: F) -> F {
    values
        .iter()
        .rev()
        .fold(F::ZERO, |sum, value| sum * rho + value)
}

/// Whether `len ≤ 2^n`.
fn fits(len: usize, n: usize) -> bool {
    u32::try_from(n)
        .ok()
        .and_then(|n| 1usize.checked_shl(n))
        .is_none_or(|size| len <= size)
}

/// The product of `factors`; 1 if there are none. One constraint per factor but the first.
fn product<F: PrimeField, CS: ConstraintSystem<F>>(
    mut cs: CS,
    factors: impl IntoIterator<Item = Num<F>>,
) -> Result<Num<F>, SynthesisError> {
    let mut factors = factors.into_iter();
    let Some(mut product) = factors.next() else {
        return Ok(constant::<F, CS>(F::ONE));
    };
    for (i, factor) in factors.enumerate() {
        product = mul(cs.namespace(|| format!("product {i}")), &product, &factor)?.into();
    }
    Ok(product)
}

/// Equality polynomial of two points.
///
/// **Statement** `result = eq(a, b)`, see [`eq_native`].
///
/// **Assumes** the points have one length; otherwise an error.
///
/// **Enforces** 1. `p_i = a_i·b_i`; 2. the product of the factors `1 − a_i − b_i + 2p_i`.
///
/// **Does not enforce** anything about the points.
///
/// **Cost** `2n − 1`; 0 if `n = 0`, the result being the constant 1.
///
/// **Soundness** Every variable is a function of those before it.
///
/// **Reference** nova-snark `EqPolynomial`.
pub fn eq<F: PrimeField, CS: ConstraintSystem<F>>(
    mut cs: CS,
    a: &[Num<F>],
    b: &[Num<F>],
) -> Result<Num<F>, SynthesisError> {
    if a.len() != b.len() {
        return Err(error::shape("points of different lengths"));
    }
    let factors = a
        .iter()
        .zip(b)
        .enumerate()
        .map(|(i, (a, b))| {
            let p: Num<F> = mul(cs.namespace(|| format!("both {i}")), a, b)?.into();
            // 1 − a − b + 2ab
            let disjoint = sub(&sub(&constant::<F, CS>(F::ONE), a), b);
            Ok(disjoint.add(&p.scale(F::from(2))))
        })
        .collect::<Result<Vec<_>, SynthesisError>>()?;
    product(cs, factors)
}

/// Equality polynomial of a constant index and a point.
///
/// **Statement** `result = eq(index_bits(index), point)`.
///
/// **Assumes** `index < 2^n`: higher bits are not looked at.
///
/// **Enforces** 1. the product of `r_i` where the bit is 1 and `1 − r_i` where it is 0.
///
/// **Does not enforce** anything about the point.
///
/// **Cost** `n − 1`; 0 if `n = 0`.
///
/// **Soundness** Every variable is a function of those before it.
///
/// **Reference** nova-snark `EqPolynomial`.
pub fn eq_index<F: PrimeField, CS: ConstraintSystem<F>>(
    cs: CS,
    index: u64,
    point: &[Num<F>],
) -> Result<Num<F>, SynthesisError> {
    let n = point.len();
    let one = constant::<F, CS>(F::ONE);
    let factors = point.iter().enumerate().map(|(i, r)| {
        if bit(index, n, i) {
            r.clone()
        } else {
            sub(&one, r)
        }
    });
    product(cs, factors)
}

/// Multilinear extension of the powers of `ρ`.
///
/// **Statement** `result = Π_b (1 − i_b + i_b·squares_b)`, see [`power_native`].
///
/// **Assumes** `squares_b = ρ^(2^b)`, by constraint, see [`repeated_squares`]; at least `n` of them, otherwise an error.
///
/// **Enforces** 1. `f_b = i_b·(squares_b − 1)`; 2. the product of the factors `1 + f_b`.
///
/// **Does not enforce** anything about the point or the squares.
///
/// **Cost** `2n − 1`; 0 if `n = 0`.
///
/// **Soundness** Every variable is a function of those before it.
///
/// **Reference** nova-snark `PowPolynomial`.
pub fn power<F: PrimeField, CS: ConstraintSystem<F>>(
    mut cs: CS,
    point: &[Num<F>],
    squares: &[Num<F>],
) -> Result<Num<F>, SynthesisError> {
    if squares.len() < point.len() {
        return Err(error::shape("fewer squares than coordinates"));
    }
    let one = constant::<F, CS>(F::ONE);
    // The last coordinate has weight 1.
    let factors = point
        .iter()
        .rev()
        .zip(squares)
        .enumerate()
        .map(|(b, (r, square))| {
            let f = mul(
                cs.namespace(|| format!("weight {b}")),
                r,
                &sub(square, &one),
            )?;
            Ok(one.clone().add(&f.into()))
        })
        .collect::<Result<Vec<_>, SynthesisError>>()?;
    product(cs, factors)
}

/// Repeated squares.
///
/// **Statement** the result is `[ρ, ρ^2, ρ^4, ..]`, `count` of them.
///
/// **Assumes** nothing.
///
/// **Enforces** 1. each is the square of the one before.
///
/// **Does not enforce** anything about `ρ`.
///
/// **Cost** `count − 1`; 0 if `count = 0`.
///
/// **Soundness** Every variable is a function of the one before it.
///
/// **Reference** –
pub fn repeated_squares<F: PrimeField, CS: ConstraintSystem<F>>(
    mut cs: CS,
    rho: &Num<F>,
    count: usize,
) -> Result<Vec<Num<F>>, SynthesisError> {
    let mut squares = Vec::with_capacity(count);
    let mut square = rho.clone();
    for b in 0..count {
        if b > 0 {
            square = mul(cs.namespace(|| format!("square {b}")), &square, &square)?.into();
        }
        squares.push(square.clone());
    }
    Ok(squares)
}

/// Multilinear extension of a vector at a point.
///
/// **Statement** `result = Σ_i values_i·eq(i, point)`, with 0 beyond the end of `values`.
///
/// **Assumes** at most `2^n` values; otherwise an error.
///
/// **Enforces** 1. coordinate by coordinate, from the lowest bit of the index on, `node = lo + r·(hi − lo)` for each
/// pair of neighbours; 2. `node = (1 − r)·lo` for the last one of an odd number.
///
/// **Does not enforce** anything about values or point.
///
/// **Cost** [`evaluate_constraints`]: one per node, about one per value.
///
/// **Soundness** Every variable is a function of those before it.
///
/// **Reference** nova-snark `MultilinearPolynomial`.
pub fn evaluate<F: PrimeField, CS: ConstraintSystem<F>>(
    mut cs: CS,
    values: &[Num<F>],
    point: &[Num<F>],
) -> Result<Num<F>, SynthesisError> {
    if !fits(values.len(), point.len()) {
        return Err(error::shape("more values than indexes"));
    }
    let mut level = values.to_vec();
    for (b, r) in point.iter().rev().enumerate() {
        level = level
            .chunks(2)
            .enumerate()
            .map(|(i, pair)| {
                node(cs.namespace(|| format!("weight {b} node {i}")), pair, r).map(Num::from)
            })
            .collect::<Result<_, _>>()?;
    }
    Ok(level.into_iter().next().unwrap_or_else(Num::zero))
}

/// `lo + r·(hi − lo)` for `pair = [lo, hi]`, where a missing `hi` is 0.
fn node<F: PrimeField, CS: ConstraintSystem<F>>(
    mut cs: CS,
    pair: &[Num<F>],
    r: &Num<F>,
) -> Result<AllocatedNum<F>, SynthesisError> {
    let (lo, hi) = match pair {
        [lo, hi] => (lo, Some(hi)),
        [lo] => (lo, None),
        _ => return Err(error::shape("a node has one or two children")),
    };
    let node = AllocatedNum::alloc(cs.namespace(|| "node"), || {
        let lo = value(lo)?;
        let hi = hi.map_or(Ok(F::ZERO), value)?;
        Ok(lo + value(r)? * (hi - lo))
    })?;
    // r · (hi − lo) = node − lo
    cs.enforce(
        || "node between its children",
        |_| r.lc(F::ONE),
        |lc| match hi {
            Some(hi) => hi.lc(F::ONE) - &lo.lc(F::ONE),
            None => lc - &lo.lc(F::ONE),
        },
        |lc| lc + node.get_variable() - &lo.lc(F::ONE),
    );
    Ok(node)
}

/// What [`evaluate`] of `len` values costs at a point of `n` coordinates: `Σ_{1≤j≤n} ⌈len/2^j⌉`.
pub fn evaluate_constraints(len: usize, n: usize) -> usize {
    let mut level = len;
    (0..n)
        .map(|_| {
            level = level.div_ceil(2);
            level
        })
        .sum()
}

/// A polynomial in `ρ`, from its coefficients.
///
/// **Statement** `result = Σ ρ^i·values_i`; 0 if there are none.
///
/// **Assumes** nothing.
///
/// **Enforces** 1. `sum_i = values_i + ρ·sum_(i+1)`.
///
/// **Does not enforce** anything about values or `ρ`.
///
/// **Cost** `len − 1`; 0 if `len = 0`.
///
/// **Soundness** Every variable is a function of those before it.
///
/// **Reference** Horner's rule.
pub fn horner<F: PrimeField, CS: ConstraintSystem<F>>(
    mut cs: CS,
    values: &[Num<F>],
    rho: &Num<F>,
) -> Result<Num<F>, SynthesisError> {
    let Some((last, rest)) = values.split_last() else {
        return Ok(Num::zero());
    };
    let mut sum = last.clone();
    for (i, coefficient) in rest.iter().enumerate().rev() {
        let next = AllocatedNum::alloc(cs.namespace(|| format!("sum {i}")), || {
            Ok(value(coefficient)? + value(rho)? * value(&sum)?)
        })?;
        // ρ · sum_(i+1) = sum_i − values_i
        cs.enforce(
            || format!("sum from {i}"),
            |_| rho.lc(F::ONE),
            |_| sum.lc(F::ONE),
            |lc| lc + next.get_variable() - &coefficient.lc(F::ONE),
        );
        sum = next.into();
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use ff::Field;
    use pasta_curves::Fp;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{audit, case, cost, error, given, given_all, scramble, shape};

    case!(Eq { a: Vec<u64>, b: Vec<u64> } |this, cs| {
        let a = given_all(cs, "a", &scramble::<F>(&this.a));
        let b = given_all(cs, "b", &scramble::<F>(&this.b));
        Ok(vec![eq(cs.namespace(|| "eq"), &a, &b)?.get_value().unwrap()])
    });

    case!(EqIndex { index: u64, point: Vec<u64> } |this, cs| {
        let point = given_all(cs, "point", &scramble::<F>(&this.point));
        Ok(vec![eq_index(cs.namespace(|| "eq"), this.index, &point)?.get_value().unwrap()])
    });

    case!(Power { point: Vec<u64>, rho: u64, squares: usize } |this, cs| {
        let point = given_all(cs, "point", &scramble::<F>(&this.point));
        let rho = given(cs, "rho", scramble::<F>(&[this.rho])[0]);
        let squares = repeated_squares(cs.namespace(|| "squares"), &rho, this.squares)?;
        Ok(vec![power(cs.namespace(|| "power"), &point, &squares)?.get_value().unwrap()])
    });

    case!(Evaluate { values: Vec<u64>, point: Vec<u64> } |this, cs| {
        let values = given_all(cs, "value", &scramble::<F>(&this.values));
        let point = given_all(cs, "point", &scramble::<F>(&this.point));
        Ok(vec![evaluate(cs.namespace(|| "evaluate"), &values, &point)?.get_value().unwrap()])
    });

    case!(Horner { values: Vec<u64>, rho: u64 } |this, cs| {
        let values = given_all(cs, "value", &scramble::<F>(&this.values));
        let rho = given(cs, "rho", scramble::<F>(&[this.rho])[0]);
        Ok(vec![horner(cs.namespace(|| "horner"), &values, &rho)?.get_value().unwrap()])
    });

    fn seeds(len: usize) -> Vec<u64> {
        (1..=len as u64).map(|i| i * 0x1234_5678_9ABC).collect()
    }

    fn point(n: usize) -> Vec<Fp> {
        scramble(&seeds(n))
    }

    #[test]
    fn most_significant_bit_first() {
        // 6 = 0b110.
        let bits: Vec<Fp> = index_bits(6, 3);
        assert_eq!(bits, [Fp::ONE, Fp::ONE, Fp::ZERO]);
        assert_eq!(index_bits::<Fp>(6, 2), [Fp::ONE, Fp::ZERO]);
        assert_eq!(index_bits::<Fp>(1, 70)[69], Fp::ONE);
        let r = point(3);
        assert_eq!(eq_index_native(6, &r), r[0] * r[1] * (Fp::ONE - r[2]));
        let values = [0u64, 0, 0, 0, 5, 0, 0, 0].map(Fp::from);
        assert_eq!(
            evaluate_native(&values, &r),
            Fp::from(5) * r[0] * (Fp::ONE - r[1]) * (Fp::ONE - r[2])
        );
    }

    #[test]
    fn native_functions_agree() {
        for n in 0..6 {
            let r = point(n);
            let size = 1u64 << n;
            let evals = eq_evals(&r);
            assert_eq!(evals.len() as u64, size);
            assert_eq!(evals.iter().sum::<Fp>(), Fp::ONE);
            for i in 0..size {
                let bits = index_bits::<Fp>(i, n);
                assert_eq!(evals[i as usize], eq_native(&bits, &r));
                assert_eq!(evals[i as usize], eq_index_native(i, &r));
                // On the cube: eq is the indicator, power the power, an extension its vector.
                for j in 0..size {
                    let other = index_bits::<Fp>(j, n);
                    assert_eq!(eq_native(&bits, &other), Fp::from(u64::from(i == j)));
                }
                let rho = Fp::from(7);
                assert_eq!(power_native(&bits, rho), rho.pow_vartime([i]));
            }
            for len in 0..=size as usize {
                let values = scramble::<Fp>(&seeds(len));
                let sum: Fp = values.iter().zip(&evals).map(|(v, e)| *v * e).sum();
                assert_eq!(evaluate_native(&values, &r), sum);
            }
            let rho = Fp::from(3);
            let powers: Vec<Fp> = (0..size).map(|i| rho.pow_vartime([i])).collect();
            assert_eq!(power_native(&r, rho), evaluate_native(&powers, &r));
            assert_eq!(
                horner_native(&powers, Fp::from(5)),
                powers
                    .iter()
                    .zip(0u64..)
                    .map(|(p, i)| *p * Fp::from(5).pow_vartime([i]))
                    .sum::<Fp>()
            );
        }
    }

    #[test]
    fn eq_equals_native() {
        for n in 0..8 {
            let case = Eq {
                a: seeds(n),
                b: (50..).take(n).collect(),
            };
            let audit = audit(&case);
            assert_eq!(
                audit.results,
                [eq_native::<Fp>(&scramble(&case.a), &scramble(&case.b))]
            );
            assert!(audit.free.is_empty());
            assert_eq!(cost(&case), (2 * n).saturating_sub(1));
        }
    }

    #[test]
    fn eq_index_equals_native() {
        for n in 0..6 {
            for index in 0..1 << n {
                let case = EqIndex {
                    index,
                    point: seeds(n),
                };
                let audit = audit(&case);
                assert_eq!(audit.results, [eq_index_native::<Fp>(index, &point(n))]);
                assert!(audit.free.is_empty());
                assert_eq!(cost(&case), n.saturating_sub(1));
            }
        }
    }

    #[test]
    fn power_equals_native() {
        for n in 0..8 {
            for squares in [n, n + 2] {
                let case = Power {
                    point: seeds(n),
                    rho: 9,
                    squares,
                };
                let audit = audit(&case);
                assert_eq!(
                    audit.results,
                    [power_native::<Fp>(&point(n), scramble(&[9])[0])]
                );
                assert!(audit.free.is_empty());
                assert_eq!(
                    cost(&case),
                    squares.saturating_sub(1) + (2 * n).saturating_sub(1)
                );
            }
        }
    }

    #[test]
    fn evaluate_equals_native() {
        for n in 0..5 {
            for len in 0..=1 << n {
                let case = Evaluate {
                    values: seeds(len),
                    point: (70..).take(n).collect(),
                };
                let audit = audit(&case);
                let native = evaluate_native::<Fp>(&scramble(&case.values), &scramble(&case.point));
                assert_eq!(audit.results, [native]);
                assert!(audit.free.is_empty());
                assert_eq!(cost(&case), evaluate_constraints(len, n));
            }
        }
    }

    #[test]
    fn costs_of_evaluation() {
        /// By halves: a node for each that is not empty.
        fn by_recursion(len: usize, n: usize) -> usize {
            match (len, n) {
                (0, _) | (_, 0) => 0,
                _ if len <= 1 << (n - 1) => 1 + by_recursion(len, n - 1),
                _ => {
                    1 + by_recursion(1 << (n - 1), n - 1)
                        + by_recursion(len - (1 << (n - 1)), n - 1)
                }
            }
        }
        for n in 0..10 {
            for len in 0..=1 << n {
                assert_eq!(evaluate_constraints(len, n), by_recursion(len, n));
            }
        }
    }

    #[test]
    fn horner_equals_native() {
        for len in 0..10 {
            let case = Horner {
                values: seeds(len),
                rho: 11,
            };
            let audit = audit(&case);
            assert_eq!(
                audit.results,
                [horner_native::<Fp>(
                    &scramble(&case.values),
                    scramble(&[11])[0]
                )]
            );
            assert!(audit.free.is_empty());
            assert_eq!(cost(&case), len.saturating_sub(1));
        }
    }

    #[test]
    fn lengths_are_checked() {
        let refused = [
            error(
                &Eq {
                    a: seeds(2),
                    b: seeds(3),
                },
                false,
            ),
            error(
                &Power {
                    point: seeds(3),
                    rho: 1,
                    squares: 2,
                },
                false,
            ),
            error(
                &Evaluate {
                    values: seeds(5),
                    point: seeds(2),
                },
                false,
            ),
            error(
                &Evaluate {
                    values: seeds(2),
                    point: vec![],
                },
                false,
            ),
        ];
        for refused in refused {
            assert!(matches!(
                refused,
                SynthesisError::IncompatibleLengthVector(_)
            ));
        }
    }

    /// Everything is computed from another input than the one that is there.
    #[test]
    fn a_consistent_lie_fails_where_it_begins() {
        use crate::testing::build;
        let mut cs = build::<Fp>(&Horner {
            values: vec![1, 2, 5],
            rho: 4,
        })
        .0;
        cs.set("given value 2/num", scramble::<Fp>(&[3])[0]);
        assert_eq!(cs.which_is_unsatisfied(), Some("horner/sum from 1"));

        let mut cs = build::<Fp>(&Evaluate {
            values: vec![1, 2, 3, 5],
            point: vec![6, 7],
        })
        .0;
        cs.set("given value 3/num", scramble::<Fp>(&[4])[0]);
        assert_eq!(
            cs.which_is_unsatisfied(),
            Some("evaluate/weight 0 node 1/node between its children")
        );

        let mut cs = build::<Fp>(&Eq {
            a: vec![1, 2],
            b: vec![3, 5],
        })
        .0;
        cs.set("given b 1/num", scramble::<Fp>(&[4])[0]);
        assert_eq!(
            cs.which_is_unsatisfied(),
            Some("eq/both 1/product is a times b")
        );

        let mut cs = build::<Fp>(&EqIndex {
            index: 2,
            point: vec![1, 5],
        })
        .0;
        cs.set("given point 1/num", scramble::<Fp>(&[4])[0]);
        assert_eq!(
            cs.which_is_unsatisfied(),
            Some("eq/product 0/product is a times b")
        );

        let mut cs = build::<Fp>(&Power {
            point: vec![1, 2],
            rho: 5,
            squares: 2,
        })
        .0;
        cs.set("given rho/num", scramble::<Fp>(&[4])[0]);
        assert_eq!(
            cs.which_is_unsatisfied(),
            Some("squares/square 1/product is a times b")
        );
    }

    #[test]
    fn shapes() {
        let real = [
            shape(&Eq {
                a: seeds(5),
                b: seeds(5),
            }),
            shape(&EqIndex {
                index: 11,
                point: seeds(5),
            }),
            shape(&Power {
                point: seeds(5),
                rho: 3,
                squares: 5,
            }),
            shape(&Evaluate {
                values: seeds(11),
                point: seeds(5),
            }),
            shape(&Horner {
                values: seeds(7),
                rho: 3,
            }),
        ];
        expect![[r#"
            9 constraints, 19 variables, abee24109ec38d56f4131e0bc955a3e3e88bde4979d237af95a992c5d8d8d30d
            4 constraints, 9 variables, 8eacc614c5f84ba16fe972f64db133d02e744460fe53923b1a7375dfffced0b1
            13 constraints, 19 variables, c1fa7bae9c61b6dd4f5fe7d4b120252f1327ff69850cd462c765df5cb9b7ab75
            13 constraints, 29 variables, 1039f26cfde503225f26fc81ffd9eaeb0a838559f20f1c06de24735d1f97f01a
            6 constraints, 14 variables, a763ad080115ec73f6001e7e66a1efc86be3e0dfcd39174a1906a1377aef52fa"#]].assert_eq(&real.join("\n"));
        assert_eq!(
            shape(&Eq {
                a: vec![0; 5],
                b: vec![0; 5]
            }),
            real[0]
        );
        assert_eq!(
            shape(&EqIndex {
                index: 11,
                point: vec![0; 5]
            }),
            real[1]
        );
        assert_eq!(
            shape(&Power {
                point: vec![0; 5],
                rho: 0,
                squares: 5
            }),
            real[2]
        );
        assert_eq!(
            shape(&Evaluate {
                values: vec![0; 11],
                point: vec![0; 5]
            }),
            real[3]
        );
        assert_eq!(
            shape(&Horner {
                values: vec![0; 7],
                rho: 0
            }),
            real[4]
        );
    }

    proptest! {
        #[test]
        fn random_evaluations(
            values in prop::collection::vec(any::<u64>(), 0..=16),
            point in prop::collection::vec(any::<u64>(), 4..6),
            rho: u64,
        ) {
            let case = Evaluate { values: values.clone(), point: point.clone() };
            let native = evaluate_native::<Fp>(&scramble(&values), &scramble(&point));
            prop_assert_eq!(audit(&case).results, [native]);
            let native = horner_native::<Fp>(&scramble(&values), scramble(&[rho])[0]);
            prop_assert_eq!(audit(&Horner { values, rho }).results, [native]);
            let native = power_native::<Fp>(&scramble(&point), scramble(&[rho])[0]);
            let squares = point.len();
            prop_assert_eq!(audit(&Power { point, rho, squares }).results, [native]);
        }
    }
}
