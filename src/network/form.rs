//! From operations to affine forms of registers: what a network needs to compute, and nothing else.

use std::{collections::BTreeMap, fmt, sync::Arc};

use zeroize::Zeroize;

use super::{
    Function, SparseMatrix, limit,
    matrix::{MAX_NONZEROS, too_many},
    node::{Node, StateNode},
    wrong,
};
use crate::{error::Error, program::Emission};

/// Most registers that one form reads.
const MAX_TERMS: usize = 32;
/// A composition may have so many times the entries of its parts, and this many more.
const FILL_IN: (usize, usize) = (4, 1 << 16);
/// A composition may take so many products of entries; that and rows and columns are counted.
const MAX_WORK: u64 = 1 << 32;

/// What a network may cost.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Rows and entries of the matrices of its operations, entries of its constants; and entries of
    /// the composed matrices.
    pub(super) entries: usize,
    /// Products of entries in all compositions.
    pub(super) products: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: MAX_NONZEROS,
            products: 1 << 36,
        }
    }
}

/// Matrices, each with what it is applied to.
type Terms = Vec<(usize, Arc<SparseMatrix>)>;

/// `Σ_b A_b·r_b + c` over registers `r_b`.
///
/// Register 0 is the input, registers 1 to `S` are the states as the frame finds them, register
/// `1 + S + k` is the result of stage `k`.
#[derive(Clone)]
pub(super) struct Form {
    pub(super) len: usize,
    /// By register, ascending.
    pub(super) terms: Terms,
    /// `c`; zero if it is empty.
    pub(super) constant: Vec<f64>,
}

impl Form {
    fn register(register: usize, len: usize) -> Result<Self, Error> {
        Ok(Self {
            len,
            terms: vec![(register, Arc::new(SparseMatrix::identity(len)?))],
            constant: Vec::new(),
        })
    }

    /// The register that the form is, if it is one as it stands.
    pub(super) fn as_register(&self) -> Option<usize> {
        match self.terms.as_slice() {
            [(register, matrix)]
                if self.constant.iter().all(|c| *c == 0.0) && matrix.is_identity() =>
            {
                Some(*register)
            }
            _ => None,
        }
    }

    /// Whether two forms are one and the same value.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.constant == other.constant
            && self.terms.len() == other.terms.len()
            && self
                .terms
                .iter()
                .zip(&other.terms)
                .all(|(a, b)| a.0 == b.0 && (Arc::ptr_eq(&a.1, &b.1) || a.1 == b.1))
    }

    pub(super) fn nonzeros(&self) -> usize {
        self.terms.iter().map(|t| t.1.nonzeros()).sum()
    }

    /// The values of the form, in double precision.
    pub(super) fn evaluate(&self, registers: &[Vec<f64>]) -> Vec<f64> {
        let mut y = self.constant.clone();
        y.resize(self.len, 0.0);
        for (register, matrix) in &self.terms {
            matrix.accumulate(&registers[*register], &mut y);
        }
        y
    }

    fn registers(&self) -> impl Iterator<Item = usize> + '_ {
        self.terms.iter().map(|t| t.0)
    }
}

impl Drop for Form {
    fn drop(&mut self) {
        self.constant.zeroize();
    }
}

/// What a stage does with its arguments.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// The value itself.
    Identity,
    /// A function of every entry.
    Function(Function),
    /// The product of both arguments.
    Product,
    /// The largest of the arguments; of them and 0 if `relu`.
    Maximum { relu: bool },
}

impl Kind {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Identity => "identity".to_owned(),
            Self::Function(function) => function.name().to_owned(),
            Self::Product => "product".to_owned(),
            Self::Maximum { relu: false } => "maximum".to_owned(),
            Self::Maximum { relu: true } => "maximum, relu".to_owned(),
        }
    }

    pub(super) fn apply(&self, arguments: &[Vec<f64>]) -> Vec<f64> {
        let Some(first) = arguments.first() else {
            return Vec::new();
        };
        match self {
            Self::Identity => first.clone(),
            Self::Function(function) => first.iter().map(|x| function.apply(*x)).collect(),
            Self::Product => {
                let second = arguments.get(1).unwrap_or(first);
                first.iter().zip(second).map(|(a, b)| a * b).collect()
            }
            Self::Maximum { relu } => (0..first.len())
                .map(|i| {
                    let least = if *relu { 0.0 } else { f64::NEG_INFINITY };
                    arguments.iter().fold(least, |m, x| m.max(x[i]))
                })
                .collect(),
        }
    }
}

/// A value that must be computed: one register.
#[derive(Clone)]
pub(super) struct Stage {
    pub(super) kind: Kind,
    /// Of one length, that of the result.
    pub(super) arguments: Vec<Form>,
    pub(super) len: usize,
}

/// A value that one frame leaves to the next.
#[derive(Clone)]
pub(super) struct State {
    /// Before the first frame.
    pub(super) initial: Vec<f64>,
    /// Largest absolute value that an entry ever has, if it is known.
    pub(super) bound: Option<f64>,
    /// The register of its next value: the result of a stage.
    pub(super) next: usize,
}

impl Drop for State {
    fn drop(&mut self) {
        self.initial.zeroize();
    }
}

/// A value that was computed although it is linear, and why.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct FillIn {
    /// The stage that computes it.
    pub stage: usize,
    /// Its entries.
    pub entries: usize,
    /// Why it was not composed with what reads it.
    pub reason: String,
}

/// A network on floats: registers, each a function of affine forms of those before.
///
/// Secret material: `Debug` shows sizes only, and matrices and constants are zeroised on drop.
#[derive(Clone)]
pub struct Network {
    pub(super) input_shape: Vec<usize>,
    pub(super) output_shape: Vec<usize>,
    pub(super) states: Vec<State>,
    pub(super) emission: Emission,
    pub(super) stages: Vec<Stage>,
    pub(super) output: Form,
    /// Whether the output is the index of the largest entry of the form.
    pub(super) argmax: bool,
    pub(super) fill_ins: Vec<FillIn>,
}

impl Network {
    /// Shape of an input, the batch not counted.
    #[must_use]
    pub fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }

    /// Shape of an output.
    #[must_use]
    pub fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    /// Length of an input as a vector.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.input_shape.iter().product()
    }

    /// Length of an output as a vector.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.output_shape.iter().product()
    }

    /// Number of values that are computed: results of functions, products and maxima.
    #[must_use]
    pub fn stage_count(&self) -> usize {
        self.stages.len()
    }

    /// Entries of all matrices of the composed network that are not zero.
    #[must_use]
    pub fn nonzeros(&self) -> usize {
        let arguments = self.stages.iter().flat_map(|s| &s.arguments);
        arguments.chain([&self.output]).map(Form::nonzeros).sum()
    }

    /// Linear values that are computed all the same, because composing them would be dearer.
    #[must_use]
    pub fn fill_ins(&self) -> &[FillIn] {
        &self.fill_ins
    }

    /// Whether something of one frame is left to the next.
    #[must_use]
    pub fn has_state(&self) -> bool {
        !self.states.is_empty()
    }

    /// Whether only the output after the last frame counts.
    #[must_use]
    pub fn has_last_output_only(&self) -> bool {
        self.emission == Emission::Last
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Network({:?}", self.input_shape)?;
        for stage in &self.stages {
            write!(f, " → {} {}", stage.len, stage.kind.name())?;
        }
        write!(f, " → {:?}, weights redacted)", self.output_shape)
    }
}

/// The forms of all values that an output depends on.
struct Composer {
    /// The register of the first stage.
    first: usize,
    stages: Vec<Stage>,
    /// Of every node that is still needed.
    forms: Vec<Option<Form>>,
    fill_ins: Vec<FillIn>,
    limits: Limits,
    /// Products of entries so far.
    work: u64,
    /// Rows and entries of all forms that were composed.
    composed: usize,
}

impl Composer {
    fn form(&self, node: usize) -> Result<&Form, Error> {
        match self.forms.get(node) {
            Some(Some(form)) => Ok(form),
            _ => Err(wrong("network", "a value is read before it is defined")),
        }
    }

    fn work(&mut self, more: u64) -> Result<(), Error> {
        self.work = self.work.saturating_add(more);
        if self.work > self.limits.products {
            return Err(limit("network", "composing its matrices takes too long"));
        }
        Ok(())
    }

    fn push(&mut self, kind: Kind, arguments: Vec<Form>) -> Result<Form, Error> {
        let len = arguments.first().map_or(0, |a| a.len);
        self.stages.push(Stage {
            kind,
            arguments,
            len,
        });
        Form::register(self.first + self.stages.len() - 1, len)
    }

    /// Makes a node one register.
    fn materialise(&mut self, node: usize, reason: String) -> Result<(), Error> {
        let form = self.form(node)?.clone();
        if form.as_register().is_some() {
            return Ok(());
        }
        self.forms[node] = Some(self.compute(form, reason)?);
        Ok(())
    }

    /// A register of what is linear.
    fn compute(&mut self, form: Form, reason: String) -> Result<Form, Error> {
        self.fill_ins.push(FillIn {
            stage: self.stages.len(),
            entries: form.len,
            reason,
        });
        self.push(Kind::Identity, vec![form])
    }

    fn linear(
        &mut self,
        terms: &[(usize, Arc<SparseMatrix>)],
        bias: &[f32],
        len: usize,
    ) -> Result<Form, Error> {
        let fits = |form: &Form| form.terms.len() <= MAX_TERMS;
        // The value with the most terms becomes a register, until there are few enough.
        loop {
            let mut registers: Vec<usize> = Vec::new();
            for (node, _) in terms {
                registers.extend(self.form(*node)?.registers());
            }
            registers.sort_unstable();
            registers.dedup();
            if registers.len() <= MAX_TERMS {
                break;
            }
            let longest = terms.iter().map(|t| t.0).max_by_key(|node| {
                let form = self.forms.get(*node).and_then(Option::as_ref);
                form.map_or(0, |f| f.terms.len())
            });
            let before = registers.len();
            match longest {
                Some(node) if self.form(node)?.as_register().is_none() => {
                    self.materialise(node, format!("a sum of {before} registers"))?;
                }
                // More values than that: the sum is what it is.
                _ => break,
            }
        }
        let mut sums: BTreeMap<usize, Arc<SparseMatrix>> = BTreeMap::new();
        let mut constant: Vec<f64> = bias.iter().map(|b| f64::from(*b)).collect();
        for (node, matrix) in terms {
            let parts = match self.product(matrix, *node)? {
                Some(parts) => parts,
                None => {
                    let inner = self.form(*node)?.nonzeros();
                    let reason = format!(
                        "composing {} and {inner} entries would give too many",
                        matrix.nonzeros()
                    );
                    self.materialise(*node, reason)?;
                    self.form(*node)?
                        .registers()
                        .map(|r| (r, matrix.clone()))
                        .collect()
                }
            };
            for (register, product) in parts {
                let sum = match sums.remove(&register) {
                    Some(before) => {
                        let entries = before.nonzeros() + product.nonzeros() + len;
                        self.work(entries as u64)?;
                        Arc::new(before.sum(&product)?)
                    }
                    None => product,
                };
                sums.insert(register, sum);
            }
            let form = self.form(*node)?;
            if !form.constant.is_empty() {
                constant.resize(len, 0.0);
                matrix.accumulate(&form.constant, &mut constant);
            }
        }
        let form = Form {
            len,
            terms: sums.into_iter().filter(|t| t.1.nonzeros() > 0).collect(),
            constant,
        };
        debug_assert!(fits(&form) || terms.len() > MAX_TERMS);
        Ok(form)
    }

    /// The terms of `M·x`, `None` if they have too many entries.
    fn product(&mut self, matrix: &Arc<SparseMatrix>, node: usize) -> Result<Option<Terms>, Error> {
        let form = self.form(node)?.clone();
        let mut parts = Vec::new();
        for (register, inner) in &form.terms {
            let product = if inner.is_identity() {
                matrix.clone()
            } else if matrix.is_identity() {
                inner.clone()
            } else {
                let work = matrix.work(inner);
                let read = matrix.nonzeros() + matrix.rows() + inner.columns();
                self.work(work.min(MAX_WORK).saturating_add(read as u64))?;
                if work > MAX_WORK {
                    return Ok(None);
                }
                let (times, more) = FILL_IN;
                let most = times * (matrix.nonzeros() + inner.nonzeros()) + more;
                match matrix.compose_within(inner, most)? {
                    Some(product) => {
                        // Forms that are read later are all kept.
                        self.composed += product.rows() + product.nonzeros();
                        let most = self.limits.entries.saturating_mul(4);
                        if self.composed > most {
                            return Err(too_many(self.composed, most));
                        }
                        Arc::new(product)
                    }
                    None => return Ok(None),
                }
            };
            parts.push((*register, product));
        }
        Ok(Some(parts))
    }
}

/// The network of the nodes that `output` depends on, and the states among them.
pub(super) fn compose(
    nodes: &[Node],
    states: &[StateNode],
    input_shape: &[usize],
    output: usize,
    output_shape: &[usize],
    limits: Limits,
) -> Result<Network, Error> {
    // How many nodes read each.
    let mut readers = vec![0usize; nodes.len()];
    let mut left = vec![output];
    readers[output] += 1;
    // The states among these, and what they become.
    let mut live: Vec<usize> = Vec::new();
    while let Some(node) = left.pop() {
        let mut reads = nodes[node].reads();
        if let Node::State(index) = &nodes[node] {
            live.push(*index);
            match states.get(*index).and_then(|s| s.next) {
                Some(next) => reads.push(next),
                None => return Err(wrong("state", "it has no next value: `carry` gives it one")),
            }
        }
        for read in reads {
            readers[read] += 1;
            if readers[read] == 1 {
                left.push(read);
            }
        }
    }
    live.sort_unstable();
    if readers[0] == 0 {
        return Err(wrong("output", "it does not depend on the input"));
    }
    let mut composer = Composer {
        first: 1 + live.len(),
        stages: Vec::new(),
        forms: vec![None; nodes.len()],
        fill_ins: Vec::new(),
        limits,
        work: 0,
        composed: 0,
    };
    let mut argmax = false;
    let mut total = 0usize;
    for (at, node) in nodes.iter().enumerate() {
        if readers[at] == 0 {
            continue;
        }
        let stages = composer.stages.len();
        let form = match node {
            Node::Input => Form::register(0, input_shape.iter().product())?,
            Node::State(index) => {
                let state = live.partition_point(|l| l < index);
                let initial = states.get(*index).map_or(0, |s| s.initial.len());
                Form::register(1 + state, initial)?
            }
            Node::Constant(values) => Form {
                len: values.len(),
                terms: Vec::new(),
                constant: values.iter().map(|v| f64::from(*v)).collect(),
            },
            Node::Linear { terms, bias } => {
                let len = terms.first().map_or(0, |t| t.1.rows());
                composer.linear(terms, bias, len)?
            }
            Node::Identity(x) => {
                let form = composer.form(*x)?.clone();
                match form.as_register() {
                    Some(_) => form,
                    None => composer.push(Kind::Identity, vec![form])?,
                }
            }
            Node::Function(x, function) => {
                let form = composer.form(*x)?.clone();
                composer.push(Kind::Function(function.clone()), vec![form])?
            }
            Node::Product(a, b) => {
                let arguments = vec![composer.form(*a)?.clone(), composer.form(*b)?.clone()];
                composer.push(Kind::Product, arguments)?
            }
            Node::Maximum { parts, relu } => {
                let arguments = parts
                    .iter()
                    .map(|p| composer.form(*p).cloned())
                    .collect::<Result<_, _>>()?;
                composer.push(Kind::Maximum { relu: *relu }, arguments)?
            }
            Node::ArgMax(x) => {
                argmax = true;
                composer.form(*x)?.clone()
            }
        };
        // What a state becomes is one register.
        let is_next = live.iter().any(|l| states[*l].next == Some(at));
        let fixed = matches!(node, Node::Input | Node::State(_) | Node::Constant(_));
        let form = match form.as_register() {
            None if is_next && !fixed => composer.push(Kind::Identity, vec![form])?,
            _ => form,
        };
        for stage in &composer.stages[stages..] {
            total += stage.arguments.iter().map(Form::nonzeros).sum::<usize>();
        }
        let entries = total.saturating_add(form.nonzeros());
        if entries > MAX_NONZEROS {
            return Err(too_many(entries, MAX_NONZEROS));
        }
        composer.forms[at] = Some(form);
        // What nothing reads any more is dropped.
        for read in node.reads() {
            readers[read] -= 1;
            if readers[read] == 0 {
                composer.forms[read] = None;
            }
        }
    }
    let mut carried = Vec::with_capacity(live.len());
    for index in &live {
        let state = &states[*index];
        let next = composer.form(state.next.unwrap_or(0))?.clone();
        let register = match next.as_register() {
            Some(register) if register >= composer.first => register,
            _ => {
                composer.push(Kind::Identity, vec![next])?;
                composer.first + composer.stages.len() - 1
            }
        };
        carried.push(State {
            initial: state.initial.iter().map(|v| f64::from(*v)).collect(),
            bound: state.bound,
            next: register,
        });
    }
    let form = composer.form(output)?.clone();
    if form.terms.is_empty() {
        return Err(wrong("output", "it does not depend on the input"));
    }
    Ok(Network {
        input_shape: input_shape.to_vec(),
        output_shape: output_shape.to_vec(),
        states: carried,
        emission: Emission::Each,
        stages: composer.stages,
        output: form,
        argmax,
        fill_ins: composer.fill_ins,
    })
}
