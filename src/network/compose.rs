//! From operations to affine forms of registers: what a network needs to compute, and nothing else.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    SparseMatrix,
    form::{FillIn, Form, Kind, Network, Product, Stage, State, Terms},
    kernel::find_kernels,
    limit,
    matrix::{MAX_NONZEROS, too_many},
    node::{Node, StateNode},
    wrong,
};
use crate::{error::Error, program::Emission};

/// Most registers that one form reads.
const MAX_TERMS: usize = 32;
/// Most products and registers of one sum of products.
const MAX_SUMMANDS: usize = 6;
/// A composition may have at most `FILL_IN.0` times the entries of its parts, and `FILL_IN.1` more.
const FILL_IN: (usize, usize) = (4, 1 << 16);
/// Most products of entries in one composition; rows and columns are counted too.
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
            kernels: None,
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
            kernels: None,
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
                kernels: None,
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
    let mut form = composer.form(output)?.clone();
    if form.terms.is_empty() {
        return Err(wrong("output", "it does not depend on the input"));
    }
    let arguments = composer.stages.iter_mut().flat_map(|s| &mut s.arguments);
    arguments.chain([&mut form]).for_each(find_kernels);
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
