//! What the nodes of a step are in a circuit. It must agree with the interpreter bit for bit.

use bellpepper_core::{ConstraintSystem, Namespace, SynthesisError, num::Num};
use ff::{Field, PrimeField};
use layerfold_gadgets::{
    Accumulator, Entry, Monomial, Table,
    combine::combine,
    compare, num,
    relu::relu,
    requantize::{requantize, requantize_relu},
    table::{lookup_many, requantize_lookup_many},
    word::OneHot,
};

use super::{
    Encoding, Node, Unrolled, encoding::table_width, execution::activate, nodes::SlotUse,
    schedule::Activation,
};
use crate::{
    backend::F,
    program::{Operation, Register, Registers as ByRegister},
    weights::sumcheck::circuit::Gate,
};

/// The selectors of the phase, `sel_0..sel_{S-1}`; none if `S = 1`.
pub(super) struct Selectors(Option<OneHot>);

impl Selectors {
    /// **Enforces** that exactly one selector is 1 and that it is the one of `phase`.
    pub(super) fn alloc<CS: ConstraintSystem<F>>(
        mut cs: CS,
        steps: u64,
        phase: &Num<F>,
        selected: u64,
    ) -> Result<Self, SynthesisError> {
        if steps == 1 {
            // phase = 0
            num::enforce_equal(cs.namespace(|| "phase is 0"), phase, &Num::zero());
            return Ok(Self(None));
        }
        let one_hot = OneHot::alloc(
            cs.namespace(|| "selectors"),
            steps as usize,
            Some(selected as usize),
        )?;
        // Σ p·sel_p = phase
        num::enforce_equal(
            cs.namespace(|| "selectors follow the phase"),
            &one_hot.index_num(),
            phase,
        );
        Ok(Self(Some(one_hot)))
    }

    fn phase(&self) -> u64 {
        self.0
            .as_ref()
            .and_then(OneHot::index)
            .map_or(0, |p| p as u64)
    }

    fn steps(&self) -> u64 {
        self.0.as_ref().map_or(1, |s| s.bits().len() as u64)
    }

    /// `Σ_p [f(p)]·sel_p`.
    pub(super) fn gate(&self, f: impl Fn(u64) -> bool) -> Gate {
        let chosen: Vec<bool> = (0..self.steps()).map(f).collect();
        match &self.0 {
            // Σ sel_p = 1
            _ if chosen.iter().all(|c| *c) => Gate::One,
            Some(selectors) if chosen.iter().any(|c| *c) => {
                let constants: Vec<F> = chosen.iter().map(|c| F::from(u64::from(*c))).collect();
                Gate::Some(selectors.select_constants(&constants))
            }
            _ => Gate::Zero,
        }
    }

    /// `Σ_p [f(p)]·sel_p` as a linear combination.
    pub(super) fn indicator<CS: ConstraintSystem<F>>(&self, f: impl Fn(u64) -> bool) -> Num<F> {
        match self.gate(f) {
            Gate::Zero => Num::zero(),
            Gate::One => num::constant::<F, CS>(F::ONE),
            Gate::Some(n) => n,
        }
    }

    /// Bits of `Σ_p f(p)·sel_p`, most significant first.
    pub(super) fn bits<CS: ConstraintSystem<F>>(
        &self,
        count: usize,
        f: impl Fn(u64) -> u64,
    ) -> Vec<Num<F>> {
        (0..count)
            .rev()
            .map(|b| self.indicator::<CS>(|p| f(p) >> b & 1 == 1))
            .collect()
    }
}

/// All registers of a step in the circuit.
pub(super) struct Registers {
    entries: ByRegister<Vec<Entry<F>>>,
    /// Of accumulators; empty for all others.
    accumulators: ByRegister<Vec<Accumulator>>,
}

impl Registers {
    pub(super) fn get(&self, register: Register) -> &[Entry<F>] {
        &self.entries[register]
    }

    /// The accumulators of an operation.
    pub(super) fn accumulators(&self, register: Register) -> &[Accumulator] {
        &self.accumulators[register]
    }

    fn set(&mut self, register: Register, entries: Vec<Entry<F>>) {
        self.entries[register] = entries;
    }
}

/// What the operations of a step are given.
pub(super) struct Inputs<'a> {
    pub(super) selectors: &'a Selectors,
    /// `on_1 … on_F`, the first being constant.
    pub(super) on: &'a [Num<F>],
    /// Of every slot.
    pub(super) frames: Vec<Vec<Entry<F>>>,
    /// Parts of the carried vector.
    pub(super) carried: Vec<Vec<Entry<F>>>,
    /// Values of the accumulators of the affine operations, in order.
    pub(super) accumulators: &'a [Vec<i64>],
}

/// Runs the operations of a step on entries.
///
/// **Enforces** every operation but the matrix products, whose results are allocated with their
/// range checks: those are the sumcheck's. Where a frame is not there, what is carried on is what
/// was carried before.
pub(super) fn synthesize<CS: ConstraintSystem<F>>(
    mut cs: CS,
    step: &Unrolled,
    inputs: Inputs<'_>,
) -> Result<Registers, SynthesisError> {
    // Tables that the program has and no lookup reads need not be such.
    let tables: Vec<Option<Table>> = step
        .tables
        .iter()
        .map(|t| Table::new(t.values.clone(), table_width(t)?.into()))
        .collect();
    let mut registers = Registers {
        entries: step.encodings.map(|_| Vec::new()),
        accumulators: step.encodings.map(|_| Vec::new()),
    };
    for (slot, frame) in step.slots.iter().zip(inputs.frames) {
        registers.set(slot.frame, frame);
    }
    for (register, part) in step.opened().into_iter().zip(inputs.carried) {
        registers.set(register, part);
    }
    let mut affine = inputs.accumulators.iter();
    for (at, node) in step.nodes.iter().enumerate() {
        let mut cs = cs.namespace(|| format!("operation {at}"));
        let result = Register::result_of(at);
        let shape = &step.encodings[result];
        let entries = match node {
            Node::Frame => continue,
            // The products that read it select between the extensions of its two vectors.
            Node::Select if step.only_multiplied(result) => continue,
            Node::Select => {
                let of = |r| registers.get(r);
                select(
                    &mut cs,
                    inputs.selectors,
                    of(Register::Frame),
                    of(Register::CARRIED),
                    shape,
                )?
            }
            Node::Layer { input, uses } => {
                let layer = LayerEnd {
                    uses,
                    step,
                    selectors: inputs.selectors,
                    tables: &tables,
                    fused: only_relu_reads(step, *input),
                    shape,
                };
                layer.synthesize(&mut cs, registers.get(*input))?
            }
            Node::Keep { slot, new, old } => {
                let (new, old) = (registers.get(*new), registers.get(*old));
                keep(&mut cs, &inputs.on[*slot], new, old, shape)?
            }
            Node::Affine(_) => {
                let (bits, shift) = bits_of(shape)?;
                let values = affine
                    .next()
                    .filter(|values| values.len() == shape.len)
                    .ok_or(SynthesisError::AssignmentMissing)?;
                let accumulators = values
                    .iter()
                    .enumerate()
                    .map(|(i, y)| {
                        let cs = cs.namespace(|| format!("accumulator {i}"));
                        Accumulator::alloc::<F, _>(cs, bits, shift, Some(*y))
                    })
                    .collect::<Result<Vec<_>, _>>()?;
                let entries = accumulators.iter().map(Accumulator::entry).collect();
                registers.accumulators[result] = accumulators;
                entries
            }
            Node::Operation(Operation::Combine(sum)) if shape.accumulator.is_some() => {
                let (bits, shift) = bits_of(shape)?;
                let accumulators = (0..shape.len)
                    .map(|i| {
                        let monomials: Vec<Monomial<'_, F>> = sum
                            .monomials
                            .iter()
                            .map(|m| Monomial {
                                coefficient: m.coefficient.into(),
                                left: &registers.get(m.left)[i],
                                right: m.right.map(|r| &registers.get(r)[i]),
                            })
                            .collect();
                        let cs = cs.namespace(|| format!("entry {i}"));
                        combine(cs, sum.constant, &monomials, bits, shift)
                    })
                    .collect::<Result<Vec<_>, _>>()?;
                let entries = accumulators.iter().map(Accumulator::entry).collect();
                registers.accumulators[result] = accumulators;
                entries
            }
            Node::Operation(operation) => {
                let context = Context {
                    step,
                    registers: &registers,
                    tables: &tables,
                    result,
                };
                context.synthesize(&mut cs, operation, shape)?
            }
        };
        // What is hashed, and what a verifier recomputes, rests on how registers are said to be held. What
        // only a table reads has no entries of its own.
        let is_held = |e: &Entry<F>| (e.width(), e.offset()) == (shape.width, shape.offset);
        let is_fused = entries.is_empty() && only_table_reads(step, result);
        if !is_fused && (entries.len() != shape.len || !entries.iter().all(is_held)) {
            return Err(SynthesisError::Unsatisfiable);
        }
        registers.set(result, entries);
    }
    Ok(registers)
}

/// What an operation that defines no accumulator is synthesised with.
struct Context<'a> {
    step: &'a Unrolled,
    registers: &'a Registers,
    tables: &'a [Option<Table>],
    result: Register,
}

impl Context<'_> {
    fn synthesize<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        operation: &Operation,
        shape: &Encoding,
    ) -> Result<Vec<Entry<F>>, SynthesisError> {
        let input = |r: Register| self.registers.get(r);
        match operation {
            // The table reads the accumulators.
            Operation::Requantize(_) if only_table_reads(self.step, self.result) => Ok(Vec::new()),
            Operation::Requantize(r) => {
                let accumulators = self.accumulators(r.input, shape.len)?;
                let fused = r.drop == 0 && only_relu_reads(self.step, self.result);
                each(cs, accumulators, |cs, y| {
                    if fused {
                        requantize_relu(cs, y, r.width.into())
                    } else {
                        requantize(cs, y, r.drop.into(), r.width.into())
                    }
                })
            }
            Operation::Relu(relu_of) => {
                let x = relu_of.input;
                let requantized = matches!(
                    self.step.node(x),
                    Some(Node::Operation(Operation::Requantize(r))) if r.drop == 0
                );
                if requantized && only_relu_reads(self.step, x) {
                    Ok(input(x).to_vec())
                } else {
                    each(cs, input(x), |cs, x| relu(cs, x))
                }
            }
            Operation::Lookup(lookup) => {
                let table = self.tables[lookup.table as usize].as_ref();
                let table = table.ok_or(SynthesisError::AssignmentMissing)?;
                let one = |mut values: Vec<Entry<F>>| {
                    values.pop().ok_or(SynthesisError::AssignmentMissing)
                };
                match self.step.node(lookup.input) {
                    Some(Node::Operation(Operation::Requantize(r)))
                        if only_table_reads(self.step, lookup.input) =>
                    {
                        let accumulators = self.accumulators(r.input, shape.len)?;
                        each(cs, accumulators, |cs, y| {
                            one(requantize_lookup_many(cs, &[table], y, r.drop.into())?)
                        })
                    }
                    _ => each(cs, input(lookup.input), |cs, x| {
                        one(lookup_many(cs, &[table], x)?)
                    }),
                }
            }
            // A sum that is no accumulator: those are handled where registers are defined.
            Operation::Combine(sum_of) => (0..shape.len)
                .map(|i| {
                    let mut sum = num::constant::<F, CS>(signed(sum_of.constant));
                    let mut value = Some(i128::from(sum_of.constant));
                    for (t, m) in sum_of.monomials.iter().enumerate() {
                        let left = &input(m.left)[i];
                        let right = m.right.map(|r| &self.registers.get(r)[i]);
                        let mut product = left.signed::<CS>();
                        if let Some(right) = right {
                            let cs = cs.namespace(|| format!("entry {i} product {t}"));
                            product = num::mul(cs, &product, &right.signed::<CS>())?.into();
                        }
                        sum = sum.add(&product.scale(signed(m.coefficient.into())));
                        let right = right.map_or(Some(1), Entry::value);
                        value = value.zip(left.value().zip(right)).map(|(v, (a, b))| {
                            v + i128::from(m.coefficient) * i128::from(a) * i128::from(b)
                        });
                    }
                    let value = value.and_then(|v| i64::try_from(v).ok());
                    Ok(entry::<CS>(&sum, value, shape))
                })
                .collect(),
            Operation::Dot(dot) => {
                let mut sum = Num::zero();
                let mut value = Some(0i128);
                for (x, c) in input(dot.input).iter().zip(&dot.coefficients) {
                    sum = sum.add(&x.signed::<CS>().scale(signed((*c).into())));
                    value = value
                        .zip(x.value())
                        .map(|(v, x)| v + i128::from(*c) * i128::from(x));
                }
                let value = value.and_then(|v| i64::try_from(v).ok());
                Ok(vec![entry::<CS>(&sum, value, shape)])
            }
            Operation::Sign(sign) => self
                .accumulators(sign.input, shape.len)?
                .iter()
                .map(compare::nonnegative)
                .collect(),
            Operation::Zero(zero) => {
                let accumulators = self.accumulators(zero.input, shape.len)?;
                each(cs, accumulators, |cs, y| compare::zero(cs, y))
            }
            Operation::Indicators(i) => {
                let x = input(i.input).first();
                let x = x.ok_or(SynthesisError::AssignmentMissing)?;
                compare::indicators(cs.namespace(|| "indicators"), x, i.len as usize)
            }
            Operation::ArgMax(a) => compare::argmax(cs.namespace(|| "argmax"), input(a.input)),
            Operation::Accumulate(a) => {
                let node = self.result.operation();
                let node = node.ok_or(SynthesisError::AssignmentMissing)?;
                let before = self.step.carried_before(node, a.part as usize);
                let sums = self.registers.get(before).iter().zip(input(a.input));
                Ok(sums
                    .map(|(sum, x)| {
                        let value = sum.value().zip(x.value()).map(|(a, b)| a + b);
                        let sum = sum.signed::<CS>().add(&x.signed::<CS>());
                        entry::<CS>(&sum, value, shape)
                    })
                    .collect())
            }
            Operation::Slice(slice) => {
                let start = slice.start as usize;
                input(slice.input)
                    .get(start..start + shape.len)
                    .map(<[Entry<F>]>::to_vec)
                    .ok_or(SynthesisError::AssignmentMissing)
            }
            Operation::Concat(concat) => {
                let entries = concat.inputs.iter().flat_map(|r| input(*r));
                let held = |x: &&Entry<F>| (x.width(), x.offset()) == (shape.width, shape.offset);
                // Whatever a narrower entry is, it is in the range of the widest.
                let entries = entries.map(|x| match held(&x) {
                    true => x.clone(),
                    false => entry::<CS>(&x.signed::<CS>(), x.value(), shape),
                });
                Ok(entries.collect())
            }
            // Affine operations are nodes of their own.
            Operation::Affine(_) => Err(SynthesisError::AssignmentMissing),
        }
    }

    /// The accumulators that a register is, or is a slice of.
    fn accumulators(
        &self,
        register: Register,
        len: usize,
    ) -> Result<&[Accumulator], SynthesisError> {
        let (source, start) = self.step.accumulator(register);
        self.registers
            .accumulators(source)
            .get(start..start + len)
            .ok_or(SynthesisError::AssignmentMissing)
    }
}

/// Bits and shift of an accumulator.
fn bits_of(encoding: &Encoding) -> Result<(u32, u32), SynthesisError> {
    let shift = encoding
        .accumulator
        .ok_or(SynthesisError::AssignmentMissing)?;
    Ok((encoding.width, shift.into()))
}

/// `on ? new : old`.
///
/// **Enforces** 1. `k = on·(new − old) + old`, for each entry. It is one of two entries of the same
/// width: in range.
fn keep<CS: ConstraintSystem<F>>(
    cs: &mut CS,
    on: &Num<F>,
    new: &[Entry<F>],
    old: &[Entry<F>],
    shape: &Encoding,
) -> Result<Vec<Entry<F>>, SynthesisError> {
    let is_on = on.get_value() == Some(F::ONE);
    new.iter()
        .zip(old)
        .enumerate()
        .map(|(i, (new, old))| {
            let kept = num::select(
                cs.namespace(|| format!("entry {i}")),
                on,
                new.unsigned(),
                old.unsigned(),
            )?;
            let value = if is_on { new } else { old }.unsigned_value();
            Ok(Entry::from_num_unchecked(
                kept.into(),
                value,
                shape.width,
                shape.offset,
            ))
        })
        .collect()
}

fn each<S: PrimeField, T, CS: ConstraintSystem<S>>(
    cs: &mut CS,
    items: &[T],
    mut f: impl FnMut(Namespace<'_, S, CS::Root>, &T) -> Result<Entry<S>, SynthesisError>,
) -> Result<Vec<Entry<S>>, SynthesisError> {
    items
        .iter()
        .enumerate()
        .map(|(i, item)| f(cs.namespace(|| format!("entry {i}")), item))
        .collect()
}

/// Whether a requantised register is read by ReLU and by nothing else, so that both can be one.
fn only_relu_reads(step: &Unrolled, register: Register) -> bool {
    match step.sole_reader(register) {
        Some(Node::Layer { uses, .. }) => uses.iter().all(|u| u.activation == Activation::Relu),
        Some(Node::Operation(Operation::Relu(_))) => true,
        _ => false,
    }
}

/// Whether a requantised register is read by one lookup and by nothing else, so that both can be
/// one.
fn only_table_reads(step: &Unrolled, register: Register) -> bool {
    matches!(
        step.sole_reader(register),
        Some(Node::Operation(Operation::Lookup(_)))
    )
}

/// The entry whose value is `signed`, which the caller argues to be in range.
fn entry<CS: ConstraintSystem<F>>(
    signed: &Num<F>,
    value: Option<i64>,
    shape: &Encoding,
) -> Entry<F> {
    let unsigned = num::constant::<F, CS>(F::from(shape.offset)).add(signed);
    let value = value.map(|v| (i128::from(v) + i128::from(shape.offset)) as u64);
    Entry::from_num_unchecked(unsigned, value, shape.width, shape.offset)
}

fn signed(x: i64) -> F {
    let magnitude = F::from(x.unsigned_abs());
    if x < 0 { -magnitude } else { magnitude }
}

fn signed_or_zero<CS: ConstraintSystem<F>>(x: Option<&Entry<F>>) -> Num<F> {
    x.map_or_else(Num::zero, Entry::signed::<CS>)
}

fn value_or_zero(x: Option<&Entry<F>>) -> Option<i64> {
    x.map_or(Some(0), Entry::value)
}

/// `phase = 0 ? first : rest`.
///
/// **Enforces** 1. `p = sel_0·(first − rest)`, for each entry; the result is `rest + p`. It is one
/// of two entries of the same width, or zero: in range.
fn select<CS: ConstraintSystem<F>>(
    cs: &mut CS,
    selectors: &Selectors,
    first: &[Entry<F>],
    rest: &[Entry<F>],
    shape: &Encoding,
) -> Result<Vec<Entry<F>>, SynthesisError> {
    let is_first = selectors.indicator::<CS>(|p| p == 0);
    (0..shape.len)
        .map(|i| {
            let (a, b) = (first.get(i), rest.get(i));
            let (signed_a, signed_b) = (signed_or_zero::<CS>(a), signed_or_zero::<CS>(b));
            let product = num::mul(
                cs.namespace(|| format!("entry {i}")),
                &is_first,
                &num::sub(&signed_a, &signed_b),
            )?;
            let chosen = if selectors.phase() == 0 { a } else { b };
            Ok(entry::<CS>(
                &signed_b.add(&Num::from(product)),
                value_or_zero(chosen),
                shape,
            ))
        })
        .collect()
}

/// The end of a slot: `[i < rows]·act(q)[i]`.
///
/// **Enforces** for each entry: 1. `g = identity + relu·[q ≥ 0]`, selectors of the phases of that
/// kind that have row `i`; 2. `g·q`; 3. for each table, its selector times its value. The result is
/// the sum. The selectors of 1 and 3 are disjoint sums of one one-hot vector, so at most one of the
/// summands is not zero: the result is an entry of the same width, or zero. A product whose selector
/// is constant is not spent.
struct LayerEnd<'a> {
    /// Phase by phase.
    uses: &'a [SlotUse],
    step: &'a Unrolled,
    selectors: &'a Selectors,
    tables: &'a [Option<Table>],
    /// Whether `q` went through ReLU already.
    fused: bool,
    shape: &'a Encoding,
}

impl LayerEnd<'_> {
    /// Selector of the phases in which the slot has row `i` and an activation that `kind` accepts.
    fn gate(&self, i: usize, kind: impl Fn(Activation) -> bool) -> Gate {
        self.selectors.gate(|p| {
            let used = self.uses.get(p as usize);
            used.is_some_and(|u| i < u.rows as usize && kind(u.activation))
        })
    }

    /// Tables that the slot uses.
    fn tables(&self) -> Vec<u32> {
        let uses = self.uses.iter();
        let mut tables: Vec<u32> = uses
            .filter_map(|u| match u.activation {
                Activation::Table(t) => Some(t),
                _ => None,
            })
            .collect();
        tables.sort_unstable();
        tables.dedup();
        tables
    }

    fn synthesize<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        requantized: &[Entry<F>],
    ) -> Result<Vec<Entry<F>>, SynthesisError> {
        (0..self.shape.len)
            .map(|i| {
                let mut cs = cs.namespace(|| format!("entry {i}"));
                let q = requantized
                    .get(i)
                    .ok_or(SynthesisError::AssignmentMissing)?;
                let result = self.activated(&mut cs, i, q)?;
                Ok(entry::<CS>(&result, self.value(i, q), self.shape))
            })
            .collect()
    }

    fn activated<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        i: usize,
        q: &Entry<F>,
    ) -> Result<Num<F>, SynthesisError> {
        let one = num::constant::<F, CS>(F::ONE);
        let gate = if self.fused {
            self.gate(i, |a| a == Activation::Relu)
        } else {
            let identity = self.gate(i, |a| a == Activation::Identity);
            match self.gate(i, |a| a == Activation::Relu) {
                Gate::Zero => identity,
                relu => {
                    let nonnegative = q.nonnegative().ok_or_else(|| {
                        SynthesisError::IncompatibleLengthVector("sign of an entry".to_owned())
                    })?;
                    let kept = relu.times(cs.namespace(|| "relu"), &nonnegative)?;
                    Gate::Some(match identity {
                        Gate::Zero => kept,
                        Gate::One => kept.add(&one),
                        Gate::Some(identity) => kept.add(&identity),
                    })
                }
            }
        };
        let mut sum = gate.times(cs.namespace(|| "kept"), &q.signed::<CS>())?;
        let tables = self.tables();
        if !tables.is_empty() {
            let used = tables.iter().map(|t| self.tables[*t as usize].as_ref());
            let used: Option<Vec<&Table>> = used.collect();
            let used = used.ok_or(SynthesisError::AssignmentMissing)?;
            let values = lookup_many(cs.namespace(|| "tables"), &used, q)?;
            for (t, value) in tables.iter().zip(values) {
                let gate = self.gate(i, |a| a == Activation::Table(*t));
                let cs = cs.namespace(|| format!("table {t} kept"));
                sum = sum.add(&gate.times(cs, &value.signed::<CS>())?);
            }
        }
        Ok(sum)
    }

    fn value(&self, i: usize, q: &Entry<F>) -> Option<i64> {
        let used = self.uses.get(self.selectors.phase() as usize)?;
        if i >= used.rows as usize {
            return Some(0);
        }
        Some(activate(self.step, used.activation, q.value()?))
    }
}
