//! The sumcheck verifier's rounds, for polynomials of degree 2.
//!
//! A round polynomial `g(X) = a + bX + cX²` is sent as `(a, c)`; `b` follows from the claim `σ = g(0) + g(1)`, so that
//! check is met by construction.

use bellpepper_core::{
    ConstraintSystem, SynthesisError,
    num::{AllocatedNum, Num},
};
use ff::PrimeField;

use crate::{
    error,
    num::{mul, value},
};

/// The round polynomial `g(X) = a + bX + cX²`, with `b = σ − 2a − c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundValues<F> {
    /// Constant coefficient.
    pub a: F,
    /// Quadratic coefficient.
    pub c: F,
}

/// [`RoundValues`] in the circuit.
#[derive(Clone)]
pub struct RoundMessage<F: PrimeField> {
    /// Constant coefficient.
    pub a: AllocatedNum<F>,
    /// Quadratic coefficient.
    pub c: AllocatedNum<F>,
}

impl<F: PrimeField> RoundMessage<F> {
    /// A fresh message: two variables, no constraint.
    ///
    /// # Errors
    /// `AssignmentMissing` if there is no value.
    pub fn alloc<CS: ConstraintSystem<F>>(
        mut cs: CS,
        value: Option<RoundValues<F>>,
    ) -> Result<Self, SynthesisError> {
        let part = |part: fn(RoundValues<F>) -> F| {
            move || value.map(part).ok_or(SynthesisError::AssignmentMissing)
        };
        Ok(Self {
            a: AllocatedNum::alloc(cs.namespace(|| "a"), part(|m| m.a))?,
            c: AllocatedNum::alloc(cs.namespace(|| "c"), part(|m| m.c))?,
        })
    }
}

/// `g(r) = a + r·(b + r·c)`, `b = claim − 2a − c`.
pub fn reduce_native<F: PrimeField>(claim: F, message: RoundValues<F>, r: F) -> F {
    let RoundValues { a, c } = message;
    a + r * (claim - a.double() - c + r * c)
}

/// All rounds of a sumcheck.
///
/// **Statement** the result is the claim after [`reduce_native`] with each message and challenge in turn.
///
/// **Assumes** as many challenges as messages, otherwise an error; each challenge depends on the claim and on the messages
/// up to its own, see [`crate::transcript::challenges`].
///
/// **Enforces** for each round: 1. `x = r·c`; 2. `r·(claim − 2a − c + x) = next − a`.
///
/// **Does not enforce** the last claim, which the caller compares with the polynomial at the challenges.
///
/// **Cost** 2 per round.
///
/// **Soundness** Every variable is a function of those before it; a false claim survives a round with probability at most
/// `2/|F|`.
///
/// **Reference** nova-snark `SumcheckProof::verify`, natively.
pub fn reduce<F: PrimeField, CS: ConstraintSystem<F>>(
    mut cs: CS,
    claim: &Num<F>,
    messages: &[RoundMessage<F>],
    challenges: &[AllocatedNum<F>],
) -> Result<Num<F>, SynthesisError> {
    if messages.len() != challenges.len() {
        return Err(error::shape("one challenge for each message"));
    }
    let mut claim = claim.clone();
    for (i, (message, r)) in messages.iter().zip(challenges).enumerate() {
        let mut cs = cs.namespace(|| format!("round {i}"));
        let a = Num::from(message.a.clone());
        let c = Num::from(message.c.clone());
        let r = Num::from(r.clone());
        // x = r · c
        let x: Num<F> = mul(cs.namespace(|| "quadratic term"), &r, &c)?.into();
        let next = AllocatedNum::alloc(cs.namespace(|| "claim"), || {
            let message = RoundValues {
                a: value(&a)?,
                c: value(&c)?,
            };
            Ok(reduce_native(value(&claim)?, message, value(&r)?))
        })?;
        // r · (claim − 2a − c + x) = next − a
        cs.enforce(
            || "claim at the challenge",
            |_| r.lc(F::ONE),
            |_| claim.lc(F::ONE) - &a.lc(F::from(2)) - &c.lc(F::ONE) + &x.lc(F::ONE),
            |lc| lc + next.get_variable() - &a.lc(F::ONE),
        );
        claim = next.into();
    }
    Ok(claim)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use ff::Field;
    use pasta_curves::Fp;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        mle::evaluate_native,
        testing::{audit, build, case, cost, error, given, given_variable, scramble, shape},
    };

    case!(Reduce { claim: u64, messages: Vec<(u64, u64)>, challenges: Vec<u64> } |this, cs| {
        let claim = given(cs, "claim", scramble::<F>(&[this.claim])[0]);
        let messages = this
            .messages
            .iter()
            .enumerate()
            .map(|(i, (a, c))| {
                let values = RoundValues { a: scramble(&[*a])[0], c: scramble(&[*c])[0] };
                RoundMessage::alloc(cs.namespace(|| format!("given {i}")), Some(values))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let challenges: Vec<_> = scramble::<F>(&this.challenges)
            .into_iter()
            .enumerate()
            .map(|(i, r)| given_variable(cs, &format!("challenge {i}"), r))
            .collect();
        let claim = reduce(cs.namespace(|| "reduce"), &claim, &messages, &challenges)?;
        Ok(vec![claim.get_value().unwrap()])
    });

    case!(
        NoMessage {} | _this,
        cs | {
            RoundMessage::alloc(cs, None)?;
            Ok(vec![])
        }
    );

    fn rounds(d: u64) -> Reduce {
        Reduce {
            claim: 3,
            messages: (10..).zip(20..).take(d as usize).collect(),
            challenges: (30..30 + d).collect(),
        }
    }

    fn native(case: &Reduce) -> Fp {
        let rounds = case.messages.iter().zip(&case.challenges);
        rounds.fold(scramble(&[case.claim])[0], |claim, ((a, c), r)| {
            let message = RoundValues {
                a: scramble(&[*a])[0],
                c: scramble(&[*c])[0],
            };
            reduce_native(claim, message, scramble(&[*r])[0])
        })
    }

    #[test]
    fn the_round_polynomial_sums_to_the_claim() {
        let [claim, a, c] = scramble::<Fp>(&[1, 2, 3])[..] else {
            panic!()
        };
        let g = |r| reduce_native(claim, RoundValues { a, c }, r);
        assert_eq!(g(Fp::ZERO), a);
        assert_eq!(g(Fp::ZERO) + g(Fp::ONE), claim);
        // Second difference: 2c.
        assert_eq!(
            g(Fp::from(2)) - g(Fp::ONE).double() + g(Fp::ZERO),
            c.double()
        );
    }

    /// A sumcheck of a product of two multilinear functions, with an honest prover.
    #[test]
    fn proves_an_inner_product() {
        let mut f: Vec<Fp> = scramble(&(0..16).collect::<Vec<_>>());
        let mut g: Vec<Fp> = scramble(&(100..116).collect::<Vec<_>>());
        let (f_all, g_all) = (f.clone(), g.clone());
        let mut claim: Fp = f.iter().zip(&g).map(|(f, g)| *f * g).sum();
        let point: Vec<Fp> = scramble(&[7, 8, 9, 10]);
        for r in &point {
            // The most significant bit of the index is bound first.
            let half = f.len() / 2;
            let a = (0..half).map(|i| f[i] * g[i]).sum();
            let c = (0..half)
                .map(|i| (f[half + i] - f[i]) * (g[half + i] - g[i]))
                .sum();
            claim = reduce_native(claim, RoundValues { a, c }, *r);
            for table in [&mut f, &mut g] {
                *table = (0..half)
                    .map(|i| table[i] + *r * (table[half + i] - table[i]))
                    .collect();
            }
        }
        assert_eq!(
            claim,
            evaluate_native(&f_all, &point) * evaluate_native(&g_all, &point)
        );
    }

    #[test]
    fn circuit_equals_native() {
        for d in 0..6 {
            let case = rounds(d);
            let audit = audit(&case);
            assert_eq!(audit.results, [native(&case)]);
            assert!(audit.free.is_empty());
            assert_eq!(cost(&case), 2 * d as usize);
        }
    }

    #[test]
    fn reduce_enforces_the_quadratic_term() {
        let (mut cs, _) = build::<Fp>(&rounds(2));
        // The claim of that round is recomputed from the lie; the next round is as before.
        let term = "reduce/round 1/quadratic term/product/num";
        let claim = "reduce/round 1/claim/num";
        let r = scramble::<Fp>(&[31])[0];
        let (lying_term, lying_claim) = (cs.get(term) + Fp::ONE, cs.get(claim) + r);
        cs.set(term, lying_term);
        cs.set(claim, lying_claim);
        assert_eq!(
            cs.which_is_unsatisfied(),
            Some("reduce/round 1/quadratic term/product is a times b")
        );
    }

    #[test]
    fn reduce_enforces_the_claim() {
        // A claim off by one with everything after it recomputed: round 0 catches it.
        let (mut cs, _) = build::<Fp>(&rounds(2));
        let [first, second] = ["reduce/round 0/claim/num", "reduce/round 1/claim/num"];
        let r = scramble::<Fp>(&[31])[0];
        let (lying_first, lying_second) = (cs.get(first) + Fp::ONE, cs.get(second) + r);
        cs.set(first, lying_first);
        cs.set(second, lying_second);
        assert_eq!(
            cs.which_is_unsatisfied(),
            Some("reduce/round 0/claim at the challenge")
        );
    }

    #[test]
    fn lengths_and_values_are_checked() {
        let case = Reduce {
            challenges: vec![1],
            ..rounds(2)
        };
        assert!(matches!(
            error(&case, false),
            SynthesisError::IncompatibleLengthVector(_)
        ));
        assert!(matches!(
            error(&NoMessage {}, true),
            SynthesisError::AssignmentMissing
        ));
    }

    #[test]
    fn shapes() {
        let real = shape(&rounds(3));
        expect!["6 constraints, 16 variables, 361e6e2b5a4584da001ce7fdc3f08c2b67c8df0c7257a29f41501594595d5e80"].assert_eq(&real);
        let zero = Reduce {
            claim: 0,
            messages: vec![(0, 0); 3],
            challenges: vec![0; 3],
        };
        assert_eq!(shape(&zero), real);
    }

    proptest! {
        #[test]
        fn random_rounds(claim: u64, rounds in prop::collection::vec(any::<(u64, u64, u64)>(), 0..6)) {
            let case = Reduce {
                claim,
                messages: rounds.iter().map(|(a, c, _)| (*a, *c)).collect(),
                challenges: rounds.iter().map(|(_, _, r)| *r).collect(),
            };
            prop_assert_eq!(audit(&case).results, [native(&case)]);
        }
    }
}
