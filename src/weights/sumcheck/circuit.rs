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

use super::window::{self, Challenges, Strides, Under};
use crate::{
    backend::F,
    program::{BankDimensions, Window},
};

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

/// One product `A_l·x`, or one for every position of a window.
pub(crate) struct ProductCircuit<'a> {
    pub(crate) map: MapIndex,
    /// Index of the input.
    pub(crate) input: usize,
    pub(crate) window: Option<&'a Window>,
    /// Whether the product is there.
    pub(crate) gate: Gate,
    pub(crate) front: Front,
}

/// One affine operation.
pub(crate) struct AffineCircuit<'a> {
    pub(crate) products: Vec<ProductCircuit<'a>>,
    pub(crate) output: &'a [Accumulator],
    /// Rows of its maps, if its results stand position by position.
    pub(crate) block: Option<usize>,
}

/// All products of a step.
pub(crate) struct Products<'a> {
    pub(crate) inputs: &'a [InputCircuit<'a>],
    pub(crate) operations: &'a [AffineCircuit<'a>],
    /// Bits of the places of the results of one operation.
    pub(crate) separation: u32,
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
/// `(K·2^s + 2d)/|F|`, `s` the bits of `separation`.
///
/// **Assumes** `seed` is a hash of all inputs, accumulators, map indexes and the old claim, as
/// data; entries and accumulators are range-checked.
///
/// **Enforces** 1. the challenges; 2. `σ = V + Σ_k c_k·Σ_i ρ^i·y_k[i]`; 3. each round; 4. `σ =
/// v·[eq(P,r) + (1−r_t)·Σ_k c_k·Σ_b gate_kb·eq(l_kb,r_l)·pow_kb(r_i)·x~_kb(r_j)]`. The extension of a
/// selected input is selected from those of its two vectors. Under a window `x~` is the sum of those at
/// all positions, each with the power of `ρ` of its place among the results, and `pow` has the powers of
/// the places of rows.
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
    products: &Products<'_>,
    hints: &ProverHints<'_>,
) -> Result<ClaimCircuit, SynthesisError> {
    let Products {
        inputs,
        operations,
        separation,
    } = *products;
    let (messages, value) = (hints.messages, hints.value);
    let rounds = dimensions.rounds();
    let (lambda, mu, nu) = (
        dimensions.lambda as usize,
        dimensions.mu as usize,
        dimensions.nu as usize,
    );
    // Result i of operation k has the power 1 + (k−1)·2^s + i of ρ to itself only if i < 2^s.
    let too_long = operations.iter().any(|o| o.output.len() > 1 << separation);
    if (separation as usize) < mu
        || messages.len() != rounds
        || old.point.len() != rounds
        || too_long
    {
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
    let squares = mle::repeated_squares(
        cs.namespace(|| "powers of rho"),
        &rho,
        separation as usize + 1,
    )?;
    let block = &squares[separation as usize];
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
        let sum = match operation.block {
            None => mle::horner(cs.namespace(|| "horner"), &outputs, &rho)?,
            Some(rows) => {
                let positions = outputs.chunks(rows).enumerate().map(|(p, rows)| {
                    mle::horner(cs.namespace(|| format!("horner {p}")), rows, &rho)
                });
                let positions = positions.collect::<Result<Vec<_>, _>>()?;
                mle::horner(cs.namespace(|| "horner"), &positions, &squares[mu])?
            }
        };
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
    let mut extensions = Extensions {
        inputs,
        challenges: Challenges {
            columns: r_j,
            squares: &squares,
            mu: dimensions.mu,
        },
        known: BTreeMap::new(),
        front: None,
    };
    // By the distance of rows among the results.
    let mut products: BTreeMap<u64, Num<F>> = BTreeMap::new();
    for (k, (operation, c)) in operations.iter().zip(&separators).enumerate() {
        let mut cs = cs.namespace(|| format!("product {k}"));
        let mut sums: BTreeMap<u64, Num<F>> = BTreeMap::new();
        for (b, product) in operation.products.iter().enumerate() {
            let mut cs = cs.namespace(|| format!("term {b}"));
            let x = extensions.of(cs.namespace(|| "x(r_j)"), product)?;
            let at_map = match &product.map {
                MapIndex::Constant(l) => mle::eq_index(cs.namespace(|| "eq(l, r_l)"), *l, r_l)?,
                MapIndex::Bits(bits) => mle::eq(cs.namespace(|| "eq(l, r_l)"), bits, r_l)?,
            };
            let term = num::mul(cs.namespace(|| "at the map"), &x, &at_map)?;
            let stride = Strides::of(product.window, dimensions.mu).row;
            let sum = sums.entry(stride).or_insert_with(Num::zero);
            *sum = sum.clone().add(&Num::from(term));
        }
        for (stride, sum) in sums {
            let mut cs = cs.namespace(|| format!("rows {stride} apart"));
            let separated = num::mul(cs.namespace(|| "separated"), &sum, c)?;
            let all = products.entry(stride).or_insert_with(Num::zero);
            *all = all.clone().add(&Num::from(separated));
        }
    }
    let mut weighted = Num::zero();
    for (stride, sum) in products {
        let mut cs = cs.namespace(|| format!("rows {stride} apart"));
        let own;
        let squares = match stride {
            1 => &squares,
            _ => {
                let base = window::power(cs.namespace(|| "base"), &squares, stride)?;
                own = mle::repeated_squares(cs.namespace(|| "powers"), &base, mu)?;
                &own
            }
        };
        let power = mle::power(cs.namespace(|| "pow(r_i)"), r_i, squares)?;
        let product = num::mul(cs.namespace(|| "pow·Σ"), &power, &sum)?;
        weighted = weighted.add(&Num::from(product));
    }
    let not_t = num::sub(&num::constant::<F, CS>(F::ONE), &r_t[0]);
    let weighted = num::mul(cs.namespace(|| "(1 - r_t)·Σ"), &not_t, &weighted)?;
    let bracket = old_part.add(&Num::from(weighted));
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

/// The extension of an input, and the sum of the weights of all positions if it is under a window.
type Extension = (Num<F>, Option<Num<F>>);

/// The extensions of the inputs at `r_j`, each evaluated once.
struct Extensions<'a> {
    inputs: &'a [InputCircuit<'a>],
    challenges: Challenges<'a>,
    /// By input, window, and whether the constant in front is 1.
    known: BTreeMap<(usize, Option<&'a Window>, bool), Extension>,
    /// `eq(0, r_j)`, the extension of the constant in front alone.
    front: Option<Num<F>>,
}

impl<'a> Extensions<'a> {
    /// `gate·x~(r_j)`, with the constant in front of `x`.
    fn of<CS: ConstraintSystem<F>>(
        &mut self,
        mut cs: CS,
        product: &ProductCircuit<'a>,
    ) -> Result<Num<F>, SynthesisError> {
        let with_one = matches!(product.front, Front::One);
        let key = (product.input, product.window, with_one);
        let (x, positions) = match self.known.get(&key) {
            Some(x) => x.clone(),
            None => {
                let input = self
                    .inputs
                    .get(product.input)
                    .ok_or(SynthesisError::AssignmentMissing)?;
                let mut cs = cs.namespace(|| "extension");
                let x = match product.window {
                    None => (self.evaluate(cs, input, with_one)?, None),
                    Some(window) => {
                        let under = self.under(cs.namespace(|| "under"), input, window)?;
                        let mut x = under.entries;
                        if with_one {
                            let at_zero = self.front(cs.namespace(|| "front"))?;
                            let cs = cs.namespace(|| "biases");
                            x = x.add(&num::mul(cs, &at_zero, &under.positions)?.into());
                        }
                        (x, Some(under.positions))
                    }
                };
                self.known.insert(key, x.clone());
                x
            }
        };
        let x = product.gate.times(cs.namespace(|| "gate"), &x)?;
        let Front::Some(front) = &product.front else {
            return Ok(x);
        };
        let at_zero = self.front(cs.namespace(|| "eq(0, r_j)"))?;
        let mut front = Num::from(num::mul(cs.namespace(|| "front"), front, &at_zero)?);
        if let Some(positions) = positions {
            front = num::mul(cs.namespace(|| "biases"), &front, &positions)?.into();
        }
        Ok(x.add(&front))
    }

    fn front<CS: ConstraintSystem<F>>(&mut self, cs: CS) -> Result<Num<F>, SynthesisError> {
        Ok(match &self.front {
            Some(at_zero) => at_zero.clone(),
            None => {
                let at_zero = mle::eq_index(cs, 0, self.challenges.columns)?;
                self.front.insert(at_zero).clone()
            }
        })
    }

    /// What stands under a window; of a selected input it is selected from those of its two vectors.
    fn under<CS: ConstraintSystem<F>>(
        &self,
        mut cs: CS,
        input: &InputCircuit<'_>,
        window: &Window,
    ) -> Result<Under, SynthesisError> {
        let of = |cs: Namespace<'_, F, CS::Root>, entries: &[Entry<F>]| {
            let entries = entries.iter().take(window.len());
            let entries: Vec<Num<F>> = entries.map(Entry::signed::<CS>).collect();
            window::under(cs, window, &entries, &self.challenges)
        };
        match input {
            InputCircuit::Entries(entries) => of(cs.namespace(|| "entries"), entries),
            InputCircuit::Selected { bit, first, rest } => {
                let first = of(cs.namespace(|| "first"), first)?;
                let rest = of(cs.namespace(|| "rest"), rest)?;
                let cs = cs.namespace(|| "selected");
                let entries = num::select(cs, bit, &first.entries, &rest.entries)?.into();
                Ok(Under { entries, ..first })
            }
        }
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
            let point = self.challenges.columns;
            let entries = entries.iter().take((1 << point.len()) - 1);
            x.extend(entries.map(Entry::signed::<CS>));
            mle::evaluate(cs, &x, point)
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
