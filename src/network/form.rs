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
/// Most products and registers of one sum of products.
const MAX_SUMMANDS: usize = 6;
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

/// `factor·left·right`, entry by entry.
#[derive(Clone)]
pub(super) struct Product {
    pub(super) factor: f64,
    /// Consecutive entries of one register.
    pub(super) left: Arc<Form>,
    /// Without products.
    pub(super) right: Arc<Form>,
}

/// `Σ_b A_b·r_b + c` over registers `r_b`, and products of such.
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
    pub(super) products: Vec<Product>,
}

impl Form {
    fn register(register: usize, len: usize) -> Result<Self, Error> {
        Ok(Self {
            len,
            terms: vec![(register, Arc::new(SparseMatrix::identity(len)?))],
            constant: Vec::new(),
            products: Vec::new(),
        })
    }

    /// The register that the form is, if it is one as it stands.
    pub(super) fn as_register(&self) -> Option<usize> {
        match self.terms.as_slice() {
            [(register, matrix)] if self.is_homogeneous() && matrix.is_identity() => {
                Some(*register)
            }
            _ => None,
        }
    }

    /// The register of which the form is consecutive entries, and the first of these.
    pub(super) fn as_slice(&self) -> Option<(usize, usize)> {
        match self.terms.as_slice() {
            [(register, matrix)] if self.is_homogeneous() => match matrix.as_slice() {
                Some((start, 1.0)) => Some((*register, start)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether there is neither a constant nor a product.
    fn is_homogeneous(&self) -> bool {
        self.constant.iter().all(|c| *c == 0.0) && self.products.is_empty()
    }

    /// The linear part as multiples of consecutive entries of registers, with register, start and factor,
    /// and one constant for all entries; `None` if it is no such sum.
    pub(super) fn addends(&self) -> Option<(Vec<(usize, usize, f64)>, f64)> {
        let constant = self.constant.first().copied().unwrap_or(0.0);
        if self.constant.iter().any(|c| *c != constant) {
            return None;
        }
        let slices = self.terms.iter().map(|(register, matrix)| {
            let (start, factor) = matrix.as_slice()?;
            Some((*register, start, f64::from(factor)))
        });
        Some((slices.collect::<Option<_>>()?, constant))
    }

    /// The linear part alone.
    pub(super) fn linear_part(&self) -> Self {
        Self {
            len: self.len,
            terms: self.terms.clone(),
            constant: self.constant.clone(),
            products: Vec::new(),
        }
    }

    /// The number of products and addends that a sum of this has.
    fn summands(&self) -> usize {
        let products = self.products.iter().map(|p| p.right.terms.len().max(1));
        self.terms.len() + products.sum::<usize>()
    }

    pub(super) fn nonzeros(&self) -> usize {
        let products = self.products.iter().map(|p| p.right.nonzeros());
        self.terms.iter().map(|t| t.1.nonzeros()).sum::<usize>() + products.sum::<usize>()
    }

    /// The values of the form, in double precision.
    pub(super) fn evaluate(&self, registers: &[Vec<f64>]) -> Vec<f64> {
        let mut y = self.constant.clone();
        y.resize(self.len, 0.0);
        for (register, matrix) in &self.terms {
            matrix.accumulate(&registers[*register], &mut y);
        }
        for product in &self.products {
            let (left, right) = (
                product.left.evaluate(registers),
                product.right.evaluate(registers),
            );
            for (y, (a, b)) in y.iter_mut().zip(left.iter().zip(&right)) {
                *y += product.factor * a * b;
            }
        }
        y
    }

    /// All registers that it reads, in products too.
    pub(super) fn reads(&self) -> impl Iterator<Item = usize> + '_ {
        let products = self.products.iter().flat_map(|p| [&p.left, &p.right]);
        let factors = products.flat_map(|f| f.registers());
        self.registers().chain(factors)
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
    /// The largest of the arguments; of them and 0 if `relu`.
    Maximum { relu: bool },
}

impl Kind {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Identity => "identity".to_owned(),
            Self::Function(function) => function.name().to_owned(),
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

impl Stage {
    /// What computes it, in words.
    pub(super) fn name(&self) -> String {
        match (&self.kind, self.arguments.first()) {
            (Kind::Identity, Some(form)) if !form.products.is_empty() => "product".to_owned(),
            (Kind::Function(function), Some(form)) if !form.products.is_empty() => {
                format!("{} of a product", function.name())
            }
            _ => self.kind.name(),
        }
    }

    /// Whether the stage gives integers of a scale that may be prescribed.
    fn may_be_state(&self) -> bool {
        match &self.kind {
            Kind::Identity => true,
            Kind::Function(Function::Clip { .. }) | Kind::Maximum { .. } => false,
            Kind::Function(Function::Relu) => {
                self.arguments.iter().all(|a| a.as_register().is_none())
            }
            Kind::Function(_) => true,
        }
    }
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

    /// The stage that a register is the result of; `None` for the input and states.
    pub(super) fn stage_of(&self, register: usize) -> Option<usize> {
        register.checked_sub(1 + self.states.len())
    }

    /// The register of the result of a stage.
    pub(super) fn register_of(&self, stage: usize) -> usize {
        1 + self.states.len() + stage
    }

    /// The state that a register is, as the frame finds it.
    pub(super) fn state_of(&self, register: usize) -> Option<usize> {
        register.checked_sub(1).filter(|s| *s < self.states.len())
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

    /// Number of values that one frame leaves to the next.
    #[must_use]
    pub fn state_count(&self) -> usize {
        self.states.len()
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
            write!(f, " → {} {}", stage.len, stage.name())?;
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

    /// The stage that a register is the result of.
    fn stage(&self, register: usize) -> Option<&Stage> {
        self.stages.get(register.checked_sub(self.first)?)
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

    /// Makes a node one register if it is no sum of registers alone.
    fn without_products(&mut self, node: usize) -> Result<(), Error> {
        let form = self.form(node)?.clone();
        if !form.products.is_empty() {
            self.forms[node] = Some(self.push(Kind::Identity, vec![form])?);
        }
        Ok(())
    }

    /// The product of two values: entries of a register, and a sum that need not be one.
    fn times(&mut self, a: usize, b: usize) -> Result<Form, Error> {
        self.without_products(a)?;
        self.without_products(b)?;
        let is_slice = |composer: &Self, node| {
            let form = composer.form(node)?;
            Ok::<bool, Error>(form.as_slice().is_some())
        };
        let (left, right) = match (is_slice(self, a)?, is_slice(self, b)?) {
            (false, true) => (b, a),
            (false, false) => {
                let form = self.form(a)?.clone();
                self.forms[a] = Some(self.push(Kind::Identity, vec![form])?);
                (a, b)
            }
            _ => (a, b),
        };
        let (left, right) = (self.form(left)?.clone(), self.form(right)?.clone());
        Ok(Form {
            len: left.len,
            terms: Vec::new(),
            constant: Vec::new(),
            products: vec![Product {
                factor: 1.0,
                left: Arc::new(left),
                right: Arc::new(right),
            }],
        })
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
        let mut products = Vec::new();
        let mut summands: usize = terms
            .iter()
            .map(|t| self.form(t.0).map_or(0, Form::summands))
            .sum();
        for (node, matrix) in terms {
            let form = self.form(*node)?;
            let count = form.summands();
            let square = matrix.rows() == matrix.columns();
            match matrix.as_slice() {
                _ if form.products.is_empty() => {}
                Some((0, factor)) if square && summands <= MAX_SUMMANDS => {
                    products.extend(form.products.iter().map(|p| Product {
                        factor: p.factor * f64::from(factor),
                        ..p.clone()
                    }));
                }
                // Products stay what they are only in sums entry by entry, and few of them.
                _ => {
                    summands -= count - 1;
                    self.without_products(*node)?;
                }
            }
        }
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
            products,
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
                products: Vec::new(),
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
            Node::Product(a, b) => composer.times(*a, *b)?,
            Node::Maximum { parts, relu } => {
                for part in parts {
                    composer.without_products(*part)?;
                }
                let arguments = parts
                    .iter()
                    .map(|p| composer.form(*p).cloned())
                    .collect::<Result<_, _>>()?;
                composer.push(Kind::Maximum { relu: *relu }, arguments)?
            }
            Node::ArgMax(x) => {
                argmax = true;
                composer.without_products(*x)?;
                composer.form(*x)?.clone()
            }
        };
        // What a state becomes is one register, and so are products that are read more than once.
        let is_next = live.iter().any(|l| states[*l].next == Some(at));
        let fixed = matches!(node, Node::Input | Node::State(_) | Node::Constant(_));
        let shared = !form.products.is_empty() && (readers[at] > 1 || at == output);
        let is_register = match form.as_register() {
            Some(register) => composer.stage(register).is_none_or(Stage::may_be_state),
            None => false,
        };
        let form = if (is_next && !fixed && !is_register) || shared {
            composer.push(Kind::Identity, vec![form])?
        } else {
            form
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
            Some(register) if composer.stage(register).is_some_and(Stage::may_be_state) => register,
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
