//! Shared by the tests of all gadgets.
//!
//! A [`Case`] is a gadget with its inputs. Inputs are allocated by [`given`], in namespaces that begin with "given";
//! everything else is the gadget's own. [`audit`] puts a case through all that every gadget must satisfy.

use bellpepper::util_cs::witness_cs::WitnessCS;
use bellpepper_core::{
    Comparable, ConstraintSystem, Index, LinearCombination, SynthesisError, Variable,
    num::{AllocatedNum, Num},
    test_cs::TestConstraintSystem,
};
use ff::{Field, PrimeField};
use pasta_curves::{Fp, Fq};

pub(crate) trait Case {
    /// Builds the gadget and returns what it computes.
    fn synthesize<F: PrimeField, CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
    ) -> Result<Vec<F>, SynthesisError>;
}

/// Declares a struct and its [`Case`]; `F` and `CS` are in scope of the body.
macro_rules! case {
    ($name:ident { $($field:ident : $ty:ty),* $(,)? } |$this:ident, $cs:ident| $body:block) => {
        #[derive(Clone, Debug)]
        struct $name { $($field: $ty),* }

        impl $crate::testing::Case for $name {
            fn synthesize<F: ff::PrimeField, CS: bellpepper_core::ConstraintSystem<F>>(
                &self,
                $cs: &mut CS,
            ) -> Result<Vec<F>, bellpepper_core::SynthesisError> {
                let $this = self;
                $body
            }
        }
    };
}
pub(crate) use case;

/// An input of a case.
pub(crate) fn given<F: PrimeField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    name: &str,
    value: F,
) -> Num<F> {
    given_variable(cs, name, value).into()
}

/// An input of a case, as a variable.
pub(crate) fn given_variable<F: PrimeField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    name: &str,
    value: F,
) -> AllocatedNum<F> {
    AllocatedNum::alloc(cs.namespace(|| format!("given {name}")), || Ok(value)).unwrap()
}

/// Several inputs.
pub(crate) fn given_all<F: PrimeField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    name: &str,
    values: &[F],
) -> Vec<Num<F>> {
    values
        .iter()
        .enumerate()
        .map(|(i, value)| given(cs, &format!("{name} {i}"), *value))
        .collect()
}

/// A field element from a signed integer.
pub(crate) fn signed<F: PrimeField>(value: i128) -> F {
    let magnitude = F::from_u128(value.unsigned_abs());
    if value < 0 { -magnitude } else { magnitude }
}

/// Field elements without structure, from small seeds.
pub(crate) fn scramble<F: PrimeField>(seeds: &[u64]) -> Vec<F> {
    seeds
        .iter()
        .map(|seed| F::from(*seed).square() * F::ROOT_OF_UNITY + F::from(seed ^ 0x9E37_79B9))
        .collect()
}

/// The case in a test constraint system, satisfied or not, and its results.
pub(crate) fn build<F: PrimeField>(case: &impl Case) -> (TestConstraintSystem<F>, Vec<F>) {
    let mut cs = TestConstraintSystem::new();
    let results = case.synthesize(&mut cs).unwrap();
    (cs, results)
}

/// The error with which a case fails, in a witness generator or elsewhere.
pub(crate) fn error(case: &impl Case, witness_generator: bool) -> SynthesisError {
    if witness_generator {
        case.synthesize(&mut WitnessCS::<Fp>::new()).unwrap_err()
    } else {
        case.synthesize(&mut TestConstraintSystem::<Fp>::new())
            .unwrap_err()
    }
}

/// What distinguishes one circuit from another.
pub(crate) fn shape(case: &impl Case) -> String {
    let (cs, _) = build::<Fp>(case);
    format!(
        "{} constraints, {} variables, {}",
        cs.num_constraints(),
        cs.scalar_aux().len(),
        cs.hash()
    )
}

/// Number of constraints.
pub(crate) fn cost(case: &impl Case) -> usize {
    build::<Fp>(case).0.num_constraints()
}

/// What is particular to an audited case.
pub(crate) struct Audit {
    /// What the gadget computes.
    pub(crate) results: Vec<Fp>,
    /// Its own variables that the constraints leave free.
    pub(crate) free: Vec<String>,
}

/// Everything that holds for every gadget on an honest witness:
/// - the constraints are satisfied, over both fields;
/// - a witness generator makes the same assignment and the same results;
/// - given the inputs, no variable has a second value, except those returned as free;
/// - each of the gadget's variables, and each input that it uses, cannot be changed alone, except those.
pub(crate) fn audit(case: &impl Case) -> Audit {
    generates_the_witness::<Fq>(case);
    let (mut cs, results) = generates_the_witness::<Fp>(case);
    let free = free_variables(&cs);
    for name in cs.aux() {
        // An input may be without effect, a choice not taken for example.
        if free.contains(&name) || name.starts_with("given") {
            continue;
        }
        let honest = cs.get(&name);
        let lies = [
            honest + Fp::ONE,
            honest - Fp::ONE,
            Fp::ONE - honest,
            honest + Fp::ROOT_OF_UNITY,
        ];
        for lie in lies.into_iter().filter(|lie| *lie != honest) {
            cs.set(&name, lie);
            assert!(
                cs.which_is_unsatisfied().is_some(),
                "{name} can be {lie:?} instead of {honest:?}"
            );
        }
        cs.set(&name, honest);
    }
    Audit { results, free }
}

fn generates_the_witness<F: PrimeField>(case: &impl Case) -> (TestConstraintSystem<F>, Vec<F>) {
    let (cs, results) = build::<F>(case);
    assert_eq!(cs.which_is_unsatisfied(), None);
    let mut generator = WitnessCS::<F>::new();
    assert_eq!(case.synthesize(&mut generator).unwrap(), results);
    assert_eq!(generator.aux_assignment(), cs.scalar_aux());
    (cs, results)
}

/// Value and unknown terms of a linear combination.
type Split<F> = (F, Vec<(usize, F)>);

/// The variables that may have another value while the inputs keep theirs.
///
/// Works through the constraints as long as one of them determines something: the only unknown of a linear equation, or
/// unknown bits whose coefficients are distinct powers of two times a common factor. So what it does not return is
/// determined; what it returns may be.
pub(crate) fn free_variables<F: PrimeField>(cs: &TestConstraintSystem<F>) -> Vec<String> {
    let names = cs.aux();
    let values = cs.scalar_aux();
    let mut known: Vec<bool> = names.iter().map(|name| name.starts_with("given")).collect();
    let mut is_bit = vec![false; names.len()];

    let split = |lc: &LinearCombination<F>, known: &[bool]| -> Split<F> {
        let mut value = F::ZERO;
        let mut unknown = Vec::new();
        for (variable, coefficient) in lc.iter() {
            match variable.get_unchecked() {
                Index::Input(_) => value += coefficient,
                Index::Aux(i) if known[i] => value += values[i] * coefficient,
                Index::Aux(_) if coefficient.is_zero_vartime() => {}
                Index::Aux(i) => unknown.push((i, *coefficient)),
            }
        }
        (value, unknown)
    };

    loop {
        let mut progress = false;
        for (a, b, c, _) in cs.constraints() {
            let ((a, a_unknown), (b, b_unknown), (c, c_unknown)) =
                (split(a, &known), split(b, &known), split(c, &known));
            let (factor, product) = match (a_unknown.is_empty(), b_unknown.is_empty()) {
                (true, _) => (a, b_unknown),
                (_, true) => (b, a_unknown),
                _ => {
                    // x · (1 − x) = 0, in either order and up to factors.
                    if let ([(i, p)], [(j, q)], []) =
                        (&a_unknown[..], &b_unknown[..], &c_unknown[..])
                        && i == j
                        && c.is_zero_vartime()
                        && !is_bit[*i]
                        && (a.is_zero_vartime() && b == -*q || b.is_zero_vartime() && a == -*p)
                    {
                        is_bit[*i] = true;
                        progress = true;
                    }
                    continue;
                }
            };
            // Σ coefficients·unknown = known
            let mut terms: Vec<(usize, F)> = product
                .into_iter()
                .map(|(i, coefficient)| (i, coefficient * factor))
                .collect();
            for (i, coefficient) in c_unknown {
                match terms.iter_mut().find(|(j, _)| *j == i) {
                    Some((_, sum)) => *sum -= coefficient,
                    None => terms.push((i, -coefficient)),
                }
            }
            terms.retain(|(_, coefficient)| !coefficient.is_zero_vartime());
            let single = terms.len() == 1;
            let binary = terms.len() <= 64
                && terms.iter().all(|(i, _)| is_bit[*i])
                && terms.first().is_some_and(|(_, first)| {
                    let inverse = first.invert().unwrap();
                    let mut weights: Vec<_> = terms
                        .iter()
                        .map(|(_, coefficient)| {
                            let ratio = *coefficient * inverse;
                            (0..64).find(|e| F::from(2).pow_vartime([*e]) == ratio)
                        })
                        .collect();
                    weights.sort_unstable();
                    weights.dedup();
                    weights.len() == terms.len() && weights[0].is_some()
                });
            if single || binary {
                for (i, _) in terms {
                    known[i] = true;
                }
                progress = true;
            }
        }
        if !progress {
            break;
        }
    }
    names
        .into_iter()
        .zip(known)
        .filter_map(|(name, known)| (!known).then_some(name))
        .collect()
}

/// A variable without a value.
pub(crate) fn unknown<F: PrimeField>() -> AllocatedNum<F> {
    AllocatedNum::alloc(NoValues, || Ok(F::ZERO)).unwrap()
}

/// Allocates, but never asks for a value.
struct NoValues;

impl<F: PrimeField> ConstraintSystem<F> for NoValues {
    type Root = Self;

    fn alloc<V, A, AR>(&mut self, _: A, _: V) -> Result<Variable, SynthesisError>
    where
        V: FnOnce() -> Result<F, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        Ok(<Self as ConstraintSystem<F>>::one())
    }

    fn alloc_input<V, A, AR>(&mut self, name: A, value: V) -> Result<Variable, SynthesisError>
    where
        V: FnOnce() -> Result<F, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.alloc(name, value)
    }

    fn enforce<A, AR, LA, LB, LC>(&mut self, _: A, _: LA, _: LB, _: LC)
    where
        A: FnOnce() -> AR,
        AR: Into<String>,
        LA: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
        LB: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
        LC: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
    {
    }

    fn push_namespace<NR, N>(&mut self, _: N)
    where
        NR: Into<String>,
        N: FnOnce() -> NR,
    {
    }

    fn pop_namespace(&mut self) {}

    fn get_root(&mut self) -> &mut Self {
        self
    }
}

mod tests {
    use bellpepper_core::boolean::AllocatedBit;

    use super::*;

    case!(
        Leaky { square: bool } | this,
        cs | {
            let a = given(cs, "a", F::from(4));
            let x = AllocatedNum::alloc(cs.namespace(|| "x"), || Ok(F::from(2)))?;
            // x · x = a has two solutions, x · 0 = 0 has all.
            let (b, c) = if this.square {
                (Num::from(x.clone()), a.clone())
            } else {
                (Num::zero(), Num::zero())
            };
            cs.enforce(
                || "leaky",
                |lc| lc + x.get_variable(),
                |_| b.lc(F::ONE),
                |_| c.lc(F::ONE),
            );
            // y = 2a
            let y = AllocatedNum::alloc(cs.namespace(|| "y"), || Ok(F::from(8)))?;
            cs.enforce(
                || "tight",
                |_| a.lc(F::from(2)),
                |lc| lc + CS::one(),
                |lc| lc + y.get_variable(),
            );
            Ok(vec![])
        }
    );

    #[test]
    fn the_audit_reports_what_is_not_determined() {
        for square in [false, true] {
            assert_eq!(audit(&Leaky { square }).free, ["x/num"]);
        }
    }

    case!(
        Bits { coefficient: u64 } | this,
        cs | {
            let sum = given(cs, "sum", F::ONE);
            let x = AllocatedBit::alloc(cs.namespace(|| "x"), Some(true))?;
            let y = AllocatedBit::alloc(cs.namespace(|| "y"), Some(false))?;
            cs.enforce(
                || "sum",
                |lc| lc + x.get_variable() + (F::from(this.coefficient), y.get_variable()),
                |lc| lc + CS::one(),
                |_| sum.lc(F::ONE),
            );
            Ok(vec![])
        }
    );

    #[test]
    fn the_audit_knows_binary_sums() {
        assert!(audit(&Bits { coefficient: 2 }).free.is_empty());
        assert_eq!(audit(&Bits { coefficient: 1 }).free.len(), 2);
    }

    case!(
        Divergent {} | _this,
        cs | {
            let value = if cs.is_witness_generator() {
                F::ZERO
            } else {
                F::ONE
            };
            given(cs, "a", value);
            Ok(vec![])
        }
    );

    #[test]
    #[should_panic(expected = "left == right")]
    fn the_audit_compares_with_the_witness_generator() {
        audit(&Divergent {});
    }
}
