//! The verifier of a step's sumcheck, as constraints (protocol notes, 5.3, 5.4).

use std::collections::BTreeMap;

use bellpepper_core::{
    ConstraintSystem, Namespace, SynthesisError,
    num::{AllocatedNum, Num},
};
use ff::Field;
use layerfold_gadgets::{
    Accumulator, Entry, RoundMessage, RoundValues, mle, num, sumcheck, transcript::challenges,
};

use crate::{backend::F, program::BankDimensions};

/// Index `l` of the map that a product uses.
#[derive(Clone)]
pub(crate) enum MapIndex {
    /// Fixed by the program.
    Constant(u64),
    /// Bits, most significant first, linear in the phase selectors.
    Bits(Vec<Num<F>>),
}

/// A sum of phase selectors: 0 or 1.
#[derive(Clone)]
pub(crate) enum Gate {
    /// 0 in every phase.
    Zero,
    /// 1 in every phase.
    One,
    /// Depends on the phase.
    Some(Num<F>),
}

impl Gate {
    /// `gate·x`; one constraint unless the gate is constant.
    pub(crate) fn times<CS: ConstraintSystem<F>>(
        &self,
        cs: CS,
        x: &Num<F>,
    ) -> Result<Num<F>, SynthesisError> {
        Ok(match self {
            Self::Zero => Num::zero(),
            Self::One => x.clone(),
            Self::Some(gate) => Num::from(num::mul(cs, gate, x)?),
        })
    }
}

/// A vector that products read, without the constant in front.
#[derive(Clone)]
pub(crate) enum InputCircuit<'a> {
    /// A register.
    Entries(&'a [Entry<F>]),
    /// `bit ? first : rest`, the shorter one filled with zeros; the bit is a sum of selectors.
    Selected {
        bit: Num<F>,
        first: &'a [Entry<F>],
        rest: &'a [Entry<F>],
    },
}

/// The constant in front of the input of a product, which brings in the bias.
#[derive(Clone)]
pub(crate) enum Front {
    /// 0.
    Zero,
    /// 1 wherever the product is there.
    One,
    /// 1 or 0, depending on the phase; 0 where the product is not there.
    Some(Num<F>),
}

/// One product `A_l·x`.
pub(crate) struct ProductCircuit {
    pub(crate) map: MapIndex,
    /// Index of the input.
    pub(crate) input: usize,
    /// Whether the product is there.
    pub(crate) gate: Gate,
    pub(crate) front: Front,
}

/// One affine operation.
pub(crate) struct AffineCircuit<'a> {
    pub(crate) products: Vec<ProductCircuit>,
    pub(crate) output: &'a [Accumulator],
}

/// The running claim in the circuit, `P` in the order t, l, i, j.
#[derive(Clone)]
pub(crate) struct ClaimCircuit {
    pub(crate) point: Vec<Num<F>>,
    pub(crate) value: Num<F>,
}

/// What the prover of a sumcheck sends. Nothing here is trusted.
pub(crate) struct ProverHints<'a> {
    pub(crate) messages: &'a [RoundValues<F>],
    /// The value of the new claim.
    pub(crate) value: F,
}

/// Verifies the products and the old claim; gives the new claim.
///
/// **Statement** With `ρ` and `r` drawn from `seed` and the messages: if some `y_k ≠ Σ_b A_b·x_kb`,
/// or the old claim is false, the new claim `Ŵ~(r) = v` is false, but for a chance of
/// `(K·2^μ + 2d)/|F|`.
///
/// **Assumes** `seed` is a hash of all inputs, accumulators, map indexes and the old claim, as
/// data; entries and accumulators are range-checked.
///
/// **Enforces** 1. the challenges; 2. `σ = V + Σ_k c_k·Σ_i ρ^i·y_k[i]`; 3. each round; 4. `σ =
/// v·[eq(P,r) + (1−r_t)·pow(r_i)·Σ_k c_k·Σ_b gate_kb·eq(l_kb,r_l)·x~_kb(r_j)]`. The extension of a
/// selected input is selected from those of its two vectors.
///
/// **Does not enforce** that the new claim is true: that is what the opening at the end is for.
///
/// **Cost** `238·(d+1)` for the transcript, `2d` for the rounds, about `2d + 4μ` for the final
/// bracket, one constraint for each accumulator and one for each entry of a vector that is read.
///
/// **Soundness** Protocol notes, 8. Where the bracket vanishes `v` is free; but then the check
/// needs `σ = 0`, the value of the true polynomial there, which is counted as an error of the
/// sumcheck already.
pub(crate) fn verify<CS: ConstraintSystem<F>>(
    mut cs: CS,
    dimensions: &BankDimensions,
    seed: &Num<F>,
    old: &ClaimCircuit,
    inputs: &[InputCircuit<'_>],
    operations: &[AffineCircuit<'_>],
    hints: &ProverHints<'_>,
) -> Result<ClaimCircuit, SynthesisError> {
    let (messages, value) = (hints.messages, hints.value);
    let rounds = dimensions.rounds();
    let (lambda, mu, nu) = (
        dimensions.lambda as usize,
        dimensions.mu as usize,
        dimensions.nu as usize,
    );
    // Row i of operation k has the power 1 + (k−1)·2^μ + i of ρ to itself only if i < 2^μ.
    let too_long = operations.iter().any(|o| o.output.len() > 1 << mu);
    if messages.len() != rounds || old.point.len() != rounds || too_long {
        return Err(SynthesisError::IncompatibleLengthVector(
            "messages of a step's sumcheck".to_owned(),
        ));
    }
    let messages = messages
        .iter()
        .enumerate()
        .map(|(k, m)| RoundMessage::alloc(cs.namespace(|| format!("message {k}")), Some(*m)))
        .collect::<Result<Vec<_>, _>>()?;
    let drawn = challenges(cs.namespace(|| "transcript"), seed, &messages)?;

    let rho = Num::from(drawn.rho);
    let squares = mle::repeated_squares(cs.namespace(|| "powers of rho"), &rho, mu + 1)?;
    let block = &squares[mu];
    let mut separators = Vec::with_capacity(operations.len());
    for k in 0..operations.len() {
        separators.push(match separators.last() {
            None => rho.clone(),
            Some(c) => Num::from(num::mul(
                cs.namespace(|| format!("separator {k}")),
                c,
                block,
            )?),
        });
    }

    let mut claim = old.value.clone();
    for (k, (operation, c)) in operations.iter().zip(&separators).enumerate() {
        let mut cs = cs.namespace(|| format!("sum of outputs {k}"));
        let outputs: Vec<Num<F>> = operation
            .output
            .iter()
            .map(Accumulator::signed::<F, CS>)
            .collect();
        let sum = mle::horner(cs.namespace(|| "horner"), &outputs, &rho)?;
        let sum = num::mul(cs.namespace(|| "separated"), &sum, c)?;
        claim = claim.add(&Num::from(sum));
    }
    let claim = sumcheck::reduce(cs.namespace(|| "rounds"), &claim, &messages, &drawn.rounds)?;

    // The variables are bound in the order j, l, i, t.
    let r: Vec<Num<F>> = drawn.rounds.into_iter().map(Num::from).collect();
    let (r_j, rest) = r.split_at(nu);
    let (r_l, rest) = rest.split_at(lambda);
    let (r_i, r_t) = rest.split_at(mu);
    let point: Vec<Num<F>> = [r_t, r_l, r_i, r_j].concat();

    let old_part = mle::eq(cs.namespace(|| "eq(P, r)"), &old.point, &point)?;
    let power = mle::power(cs.namespace(|| "pow(r_i)"), r_i, &squares)?;
    let mut extensions = Extensions {
        inputs,
        point: r_j,
        known: BTreeMap::new(),
        front: None,
    };
    let mut products = Num::zero();
    for (k, (operation, c)) in operations.iter().zip(&separators).enumerate() {
        let mut cs = cs.namespace(|| format!("product {k}"));
        let mut sum = Num::zero();
        for (b, product) in operation.products.iter().enumerate() {
            let mut cs = cs.namespace(|| format!("term {b}"));
            let x = extensions.of(cs.namespace(|| "x(r_j)"), product)?;
            let at_map = match &product.map {
                MapIndex::Constant(l) => mle::eq_index(cs.namespace(|| "eq(l, r_l)"), *l, r_l)?,
                MapIndex::Bits(bits) => mle::eq(cs.namespace(|| "eq(l, r_l)"), bits, r_l)?,
            };
            let term = num::mul(cs.namespace(|| "at the map"), &x, &at_map)?;
            sum = sum.add(&Num::from(term));
        }
        let separated = num::mul(cs.namespace(|| "separated"), &sum, c)?;
        products = products.add(&Num::from(separated));
    }
    let not_t = num::sub(&num::constant::<F, CS>(F::ONE), &r_t[0]);
    let power = Num::from(num::mul(cs.namespace(|| "(1 - r_t)·pow"), &power, &not_t)?);
    let products = Num::from(num::mul(
        cs.namespace(|| "(1 - r_t)·pow·Σ"),
        &power,
        &products,
    )?);
    let bracket = old_part.add(&products);
    let v = AllocatedNum::alloc(cs.namespace(|| "v"), || Ok(value))?;
    cs.enforce(
        || "v·bracket = claim",
        |lc| lc + v.get_variable(),
        |_| bracket.lc(F::ONE),
        |_| claim.lc(F::ONE),
    );
    Ok(ClaimCircuit {
        point,
        value: Num::from(v),
    })
}

/// The extensions of the inputs at `r_j`, each evaluated once.
struct Extensions<'a> {
    inputs: &'a [InputCircuit<'a>],
    point: &'a [Num<F>],
    /// By input, and by whether the constant in front is 1.
    known: BTreeMap<(usize, bool), Num<F>>,
    /// `eq(0, r_j)`, the extension of the constant in front alone.
    front: Option<Num<F>>,
}

impl Extensions<'_> {
    /// `gate·x~(r_j)`, with the constant in front of `x`.
    fn of<CS: ConstraintSystem<F>>(
        &mut self,
        mut cs: CS,
        product: &ProductCircuit,
    ) -> Result<Num<F>, SynthesisError> {
        let with_one = matches!(product.front, Front::One);
        let key = (product.input, with_one);
        let x = match self.known.get(&key) {
            Some(x) => x.clone(),
            None => {
                let input = self
                    .inputs
                    .get(product.input)
                    .ok_or(SynthesisError::AssignmentMissing)?;
                let x = self.evaluate(cs.namespace(|| "extension"), input, with_one)?;
                self.known.insert(key, x.clone());
                x
            }
        };
        let x = product.gate.times(cs.namespace(|| "gate"), &x)?;
        let Front::Some(front) = &product.front else {
            return Ok(x);
        };
        let at_zero = match &self.front {
            Some(at_zero) => at_zero.clone(),
            None => {
                let at_zero = mle::eq_index(cs.namespace(|| "eq(0, r_j)"), 0, self.point)?;
                self.front.insert(at_zero).clone()
            }
        };
        let front = num::mul(cs.namespace(|| "front"), front, &at_zero)?;
        Ok(x.add(&Num::from(front)))
    }

    fn evaluate<CS: ConstraintSystem<F>>(
        &self,
        mut cs: CS,
        input: &InputCircuit<'_>,
        with_one: bool,
    ) -> Result<Num<F>, SynthesisError> {
        let front = if with_one { F::ONE } else { F::ZERO };
        let extension = |cs: Namespace<'_, F, CS::Root>, entries: &[Entry<F>]| {
            let mut x = vec![num::constant::<F, CS>(front)];
            // The bank has no column for entries beyond 2^ν − 1.
            let entries = entries.iter().take((1 << self.point.len()) - 1);
            x.extend(entries.map(Entry::signed::<CS>));
            mle::evaluate(cs, &x, self.point)
        };
        match input {
            InputCircuit::Entries(entries) => extension(cs.namespace(|| "entries"), entries),
            InputCircuit::Selected { bit, first, rest } => {
                let first = extension(cs.namespace(|| "first"), first)?;
                let rest = extension(cs.namespace(|| "rest"), rest)?;
                num::select(cs.namespace(|| "selected"), bit, &first, &rest).map(Num::from)
            }
        }
    }
}
