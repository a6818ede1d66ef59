//! The walk over the nodes of a file.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    ImportOptions, ImportReport,
    error::{Failure, OnnxError, Outcome, UnsupportedNode, malformed},
    file::{Body, Node},
    fold::{Folding, shape_of, size_of},
    import::{SoftmaxEnd, settle},
    movement::{Context, Entries, Moved, movement, moves},
    tensor::{Data, Tensor, broadcast, per_axis},
    time::{Frames, OPEN_FRAMES, Time, counts},
    unary::{Kind, Unary},
};
use crate::network::{NetworkBuilder, SparseMatrix, Value};

/// Inputs of a node.
const MAX_ARITY: usize = 1 << 12;

/// What a name of the file stands for.
#[derive(Clone)]
pub(super) enum Term {
    Constant(Arc<Tensor>),
    Computed(Computed),
    /// Behind a node that is not supported.
    Unknown,
    /// A constant that is not read.
    Missing,
}

/// A function of every entry of a value.
#[derive(Clone)]
pub(super) struct Computed {
    pub(super) base: Value,
    pub(super) function: Unary,
}

impl From<Value> for Term {
    fn from(base: Value) -> Self {
        Self::Computed(Computed {
            base,
            function: Unary::input(),
        })
    }
}

impl From<Tensor> for Term {
    fn from(tensor: Tensor) -> Self {
        Arc::new(tensor).into()
    }
}

impl From<Arc<Tensor>> for Term {
    fn from(tensor: Arc<Tensor>) -> Self {
        match tensor.data() {
            Data::Missing => Self::Missing,
            _ => Self::Constant(tensor),
        }
    }
}

/// What a name of the file stands for, and what that is of the frames of a recurrent network.
#[derive(Clone)]
pub(super) struct Stamped {
    pub(super) term: Term,
    pub(super) time: Time,
}

impl From<Term> for Stamped {
    fn from(term: Term) -> Self {
        Self {
            term,
            time: Time::None,
        }
    }
}

pub(super) fn initializers(body: &Body) -> HashMap<String, Stamped> {
    body.initializers
        .iter()
        .map(|(name, tensor)| (name.clone(), Term::from(tensor.clone()).into()))
        .collect()
}

/// The state of the walk.
pub(super) struct Importer<'f> {
    pub(super) options: &'f ImportOptions,
    pub(super) opset: i64,
    pub(super) builder: NetworkBuilder,
    /// What names stand for: in the graph, and in the bodies that the walk is in.
    pub(super) scopes: Vec<HashMap<String, Stamped>>,
    /// Of a recurrent network.
    pub(super) frames: Option<Frames>,
    /// Whether a recurrent node found something other than time where it must be.
    pub(super) misplaced: bool,
    pub(super) unsupported: Vec<UnsupportedNode>,
    /// The same.
    pub(super) reported: HashSet<UnsupportedNode>,
    pub(super) report: ImportReport,
    /// The notes of the report.
    pub(super) noted: HashSet<String>,
    /// Values of functions that were needed; the function is kept so that its address stays its own.
    pub(super) lowered: HashMap<(Value, usize), (Unary, Value)>,
    /// Values that are the index of a largest entry.
    pub(super) indices: HashSet<Value>,
    pub(super) softmax: HashMap<String, SoftmaxEnd>,
    pub(super) folding: Folding,
}

impl Importer<'_> {
    pub(super) fn define(&mut self, name: &str, value: Stamped) {
        if let (false, Some(scope)) = (name.is_empty(), self.scopes.last_mut()) {
            scope.insert(name.to_owned(), value);
        }
    }

    pub(super) fn lookup(&self, name: &str) -> Outcome<Stamped> {
        self.scopes
            .iter()
            .rev()
            .find_map(|s| s.get(name))
            .cloned()
            .ok_or_else(|| {
                Failure::malformed(format!("nothing before it gives the value `{name}`"))
            })
    }

    /// Walks the nodes of these indices.
    pub(super) fn walk(
        &mut self,
        nodes: &[Node],
        needed: &HashSet<usize>,
    ) -> Result<(), OnnxError> {
        for (_, node) in nodes.iter().enumerate().filter(|(k, _)| needed.contains(k)) {
            self.folding.visit(1)?;
            let inputs = match self.inputs(node) {
                Ok(inputs) => inputs,
                Err(e) => return Err(settle(e, &node.operator, &node.name)),
            };
            match self.node(node, &inputs) {
                Ok(outputs) => {
                    let mut outputs = outputs.into_iter();
                    for name in &node.outputs {
                        match outputs.next() {
                            Some(value) => self.define(name, value),
                            None if name.is_empty() => {}
                            // A mask, statistics, indices: of no use here, and rarely read.
                            None if has_more_outputs(&node.operator) => {
                                self.define(name, Term::Unknown.into());
                            }
                            None => {
                                return Err(malformed(format!(
                                    "`{}` ({}): it has no output `{name}`",
                                    node.name, node.operator
                                )));
                            }
                        }
                    }
                }
                Err(Failure::Unsupported { reason, instead }) => {
                    let what = UnsupportedNode {
                        name: node.name.clone(),
                        operator: node.qualified_operator(),
                        reason,
                        instead,
                    };
                    if self.reported.insert(what.clone()) {
                        self.unsupported.push(what);
                    }
                    self.go_on(node, &inputs);
                }
                // It may be so only because of what stands in for something that is not supported.
                Err(Failure::Malformed(_) | Failure::Model(_)) if !self.unsupported.is_empty() => {
                    for name in &node.outputs {
                        self.define(name, Term::Unknown.into());
                    }
                }
                Err(other) => return Err(settle(other, &node.operator, &node.name)),
            }
        }
        Ok(())
    }

    fn inputs(&self, node: &Node) -> Outcome<Vec<Option<Stamped>>> {
        if node.inputs.len() > MAX_ARITY {
            return Err(Failure::too_large(
                "inputs of a node",
                node.inputs.len(),
                MAX_ARITY,
            ));
        }
        node.inputs
            .iter()
            .map(|name| match name.as_str() {
                "" => Ok(None),
                name => self.lookup(name).map(Some),
            })
            .collect()
    }

    /// Defines the outputs of a node that is not supported, so that what is behind it can be looked
    /// at: the first as a value of its shape, if that is known.
    fn go_on(&mut self, node: &Node, inputs: &[Option<Stamped>]) {
        let mut stand_in = self.stand_in(node, inputs);
        for name in &node.outputs {
            let value = stand_in.take().unwrap_or_else(|| Term::Unknown.into());
            self.define(name, value);
        }
    }

    fn stand_in(&mut self, node: &Node, inputs: &[Option<Stamped>]) -> Option<Stamped> {
        let shapes = inputs.iter().flatten().map(|i| match i.term {
            Term::Constant(_) | Term::Computed(_) => Some(self.shape(&i.term)),
            _ => None,
        });
        let shapes: Vec<Vec<usize>> = shapes.collect::<Option<_>>()?;
        let (shape, time) = match node.operator.as_str() {
            "Softmax"
            | "LogSoftmax"
            | "Hardmax"
            | "LayerNormalization"
            | "RMSNormalization"
            | "InstanceNormalization"
            | "GroupNormalization"
            | "LpNormalization"
            | "MeanVarianceNormalization"
            | "SimplifiedLayerNormalization"
            | "QuantizeLinear"
            | "DequantizeLinear"
            | "Floor"
            | "Ceil"
            | "Round"
            | "Sign"
            | "Log"
            | "Tan"
            | "Not"
            | "CumSum"
            | "Trilu"
            | "ThresholdedRelu"
            | "Shrink" => (shapes.first()?.clone(), self.aligned(inputs, 1).ok()?),
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Mod" | "Max" | "Min" | "Sum" | "Mean"
            | "Equal" | "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" | "And" | "Or"
            | "Xor" | "Where" | "Reciprocal" => {
                let mut shapes = shapes.iter();
                let first = shapes.next()?.clone();
                let shape = shapes.try_fold(first, |a, b| broadcast(&a, b)).ok()?;
                (shape, self.aligned(inputs, inputs.len()).ok()?)
            }
            "MatMul" => {
                let [a, b] = shapes.as_slice() else {
                    return None;
                };
                let ([more @ .., rows, _], [others @ .., _, columns]) =
                    (a.as_slice(), b.as_slice())
                else {
                    return None;
                };
                let mut shape = broadcast(more, others).ok()?;
                shape.extend([rows, columns]);
                (shape, self.carried(node, inputs).ok()?)
            }
            _ => return None,
        };
        let value = self.builder.state(&shape).ok()?;
        Some(Stamped {
            term: value.into(),
            time,
        })
    }

    fn node(&mut self, node: &Node, stamped: &[Option<Stamped>]) -> Outcome<Vec<Stamped>> {
        let inputs: Vec<Option<Term>> = stamped
            .iter()
            .map(|input| input.as_ref().map(|i| i.term.clone()))
            .collect();
        let read = inputs.iter().flatten().map(|t| self.size(t)).sum();
        self.folding.handle(read)?;
        if !node.domain.is_empty() {
            return Err(Failure::instead(
                format!("operators of the domain `{}` are not known", node.domain),
                "export the model with ONNX's own operators",
            ));
        }
        if node.operator == "If" || node.operator == "Scan" {
            return self.body(node, stamped);
        }
        let constants: Option<Vec<Option<Arc<Tensor>>>> = inputs
            .iter()
            .map(|input| match input {
                None => Some(None),
                Some(Term::Constant(tensor)) => Some(Some(tensor.clone())),
                Some(_) => None,
            })
            .collect();
        if let Some(constants) = &constants
            && let Some(outputs) = self.folding.fold(node, self.opset, constants)?
        {
            self.report.folded += 1;
            let folded = outputs.into_iter().map(|tensor| Stamped {
                time: folded_time(node, stamped, &tensor),
                term: tensor.into(),
            });
            return Ok(folded.collect());
        }
        if is_recurrent(&node.operator) {
            return self.recurrent(node, stamped);
        }
        if inputs
            .iter()
            .any(|i| matches!(i, Some(Term::Unknown | Term::Missing)))
        {
            return self.behind(node, &inputs);
        }
        let (outputs, time) = match node.operator.as_str() {
            "Shape" | "Size" => {
                let Some(x) = stamped.first().and_then(Option::as_ref) else {
                    return Err(Failure::malformed("input 0 is missing"));
                };
                self.report.folded += 1;
                return Ok(vec![self.sizes_of(node, x)?]);
            }
            operator if moves(operator) => {
                let outputs = self.moved(node, stamped)?;
                let written = outputs.iter().map(|o| self.size(&o.term)).sum();
                self.folding.handle(written)?;
                return Ok(outputs);
            }
            _ => {
                let time = self.carried(node, stamped)?;
                (self.computed(node, &inputs)?, time)
            }
        };
        let written = outputs.iter().map(|t| self.size(t)).sum();
        self.folding.handle(written)?;
        if constants.is_none() {
            let stamp = |term| Stamped { term, time };
            return Ok(outputs.into_iter().map(stamp).collect());
        }
        // What is made of constants is one.
        let mut folded = Vec::with_capacity(outputs.len());
        for term in outputs {
            let value = self.value(&term)?;
            let shape = self.builder.shape(value).to_vec();
            let term = match self.builder.constant_value(value) {
                Some(entries) => Tensor::of_floats(entries.to_vec()).reshaped(shape).into(),
                None => term,
            };
            folded.push(term.into());
        }
        self.report.folded += 1;
        Ok(folded)
    }

    /// What `Shape` or `Size` makes of a value.
    fn sizes_of(&self, node: &Node, x: &Stamped) -> Outcome<Stamped> {
        let shape = self.whole_shape(x);
        let is_shape = node.operator == "Shape";
        let tensor = if is_shape {
            shape_of(node, &shape)?
        } else {
            size_of(&shape)
        };
        let time = match (self.frames, x.time) {
            (Some(frames), Time::Axis(_)) if is_shape => frames.among(tensor.ints()?),
            (Some(frames), Time::Axis(_)) if frames.open => Time::Count,
            _ => Time::None,
        };
        Ok(Stamped {
            term: tensor.into(),
            time,
        })
    }

    /// The outputs of a node behind one that is not supported, or whose constants are not read: an
    /// error if it is not supported either, whatever it reads.
    fn behind(&mut self, node: &Node, inputs: &[Option<Term>]) -> Outcome<Vec<Stamped>> {
        let is_computed = |k: usize| {
            let input = inputs.get(k).and_then(Option::as_ref);
            matches!(input, Some(Term::Computed(_) | Term::Unknown))
        };
        match node.operator.as_str() {
            "MatMul" | "Gemm" if is_computed(0) && is_computed(1) => {
                return Err(super::layers::two_values());
            }
            "Softmax" | "LogSoftmax" => {
                self.softmax_end(node)?;
            }
            operator if !is_known(operator) => return Err(unknown_operator(operator)),
            _ => {}
        }
        let term = if (0..inputs.len()).any(is_computed) {
            Term::Unknown
        } else {
            Term::Missing
        };
        Ok(node.outputs.iter().map(|_| term.clone().into()).collect())
    }

    /// The outputs of a node of which some input depends on the network's.
    fn computed(&mut self, node: &Node, inputs: &[Option<Term>]) -> Outcome<Vec<Term>> {
        let operator = node.operator.as_str();
        if let Some(term) = self.elementwise(node, inputs)? {
            return Ok(vec![term]);
        }
        if let Some(term) = self.layer(node, inputs)? {
            return Ok(vec![term]);
        }
        Err(unknown_operator(operator))
    }

    /// An operator that only moves entries of its first input.
    fn moved(&mut self, node: &Node, inputs: &[Option<Stamped>]) -> Outcome<Vec<Stamped>> {
        let Some(x) = inputs.first().cloned().flatten() else {
            return Err(Failure::malformed("input 0 is missing"));
        };
        if let Term::Computed(c) = &x.term
            && self.indices.contains(&c.base)
            && matches!(
                node.operator.as_str(),
                "Identity" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze"
            )
        {
            return Ok(vec![x]);
        }
        let mut rest = Vec::new();
        let mut counted = false;
        for input in inputs.iter().skip(1) {
            rest.push(match input {
                None => None,
                Some(Stamped {
                    term: Term::Constant(tensor),
                    time,
                }) => {
                    counted |= *time == Time::Count;
                    Some(tensor.as_ref())
                }
                Some(_) => {
                    return Err(Failure::unsupported(
                        "where entries go depends on the input of the network",
                    ));
                }
            });
        }
        if let Time::Axis(at) = x.time {
            return self.moved_in_time(node, (&x.term, at), &rest);
        }
        let shape = self.shape(&x.term);
        let moved = movement(&Context {
            node,
            opset: self.opset,
            shape: &shape,
            rest: &rest,
        })?;
        moved
            .into_iter()
            .map(|moved| {
                if counted && !matches!(moved.entries, Entries::Same) {
                    return Err(counts());
                }
                Ok(Stamped {
                    term: self.place(&x.term, &shape, moved)?,
                    time: x.time,
                })
            })
            .collect()
    }

    /// What a move makes of a value of this shape.
    pub(super) fn place(&mut self, x: &Term, shape: &[usize], moved: Moved) -> Outcome<Term> {
        if let (Entries::Same, true) = (&moved.entries, moved.shape == shape) {
            return Ok(x.clone());
        }
        if moved.shape.contains(&0) {
            return Err(Failure::unsupported("nothing is left of the value"));
        }
        let value = self.value(x)?;
        let indices = match moved.entries {
            Entries::Same => return Ok(self.builder.reshape(value, &moved.shape)?.into()),
            Entries::Transposed(permutation) => {
                return Ok(self.builder.transpose(value, &permutation)?.into());
            }
            Entries::PerAxis(lists) => per_axis(shape, &lists)?,
            Entries::Selected(indices) => indices,
        };
        self.builder.has_room(indices.len().saturating_mul(2))?;
        let matrix = SparseMatrix::selection(shape.iter().product(), &indices)?;
        Ok(self
            .builder
            .linear(value, matrix, None, &moved.shape)?
            .into())
    }

    pub(super) fn required(&self, inputs: &[Option<Term>], index: usize) -> Outcome<Term> {
        inputs
            .get(index)
            .cloned()
            .flatten()
            .ok_or_else(|| Failure::malformed(format!("input {index} is missing")))
    }

    /// An input that must be a constant, if it is there.
    pub(super) fn constant(
        &self,
        inputs: &[Option<Term>],
        index: usize,
        what: &str,
    ) -> Outcome<Option<Arc<Tensor>>> {
        match inputs.get(index).and_then(Option::as_ref) {
            None => Ok(None),
            Some(Term::Constant(tensor)) => Ok(Some(tensor.clone())),
            Some(_) => Err(Failure::unsupported(format!(
                "its {what} depends on the input of the network"
            ))),
        }
    }

    pub(super) fn required_constant(
        &self,
        inputs: &[Option<Term>],
        index: usize,
        what: &str,
    ) -> Outcome<Arc<Tensor>> {
        self.constant(inputs, index, what)?
            .ok_or_else(|| Failure::malformed(format!("its {what} is missing")))
    }

    pub(super) fn shape(&self, term: &Term) -> Vec<usize> {
        match term {
            Term::Constant(tensor) => tensor.shape().to_vec(),
            Term::Computed(c) => self.builder.shape(c.base).to_vec(),
            Term::Unknown | Term::Missing => Vec::new(),
        }
    }

    fn size(&self, term: &Term) -> usize {
        match term {
            Term::Constant(tensor) => tensor.len(),
            Term::Computed(c) => self.builder.shape(c.base).iter().product(),
            Term::Unknown | Term::Missing => 0,
        }
    }

    pub(super) fn note(&mut self, note: String) {
        if self.noted.insert(note.clone()) {
            self.report.notes.push(note);
        }
    }

    /// The value of a term.
    pub(super) fn value(&mut self, term: &Term) -> Outcome<Value> {
        match term {
            Term::Constant(tensor) => {
                let array = tensor.array()?;
                if tensor.len() == 0 {
                    return Err(Failure::unsupported("a constant without entries"));
                }
                if array.iter().any(|v| !v.is_finite()) {
                    return Err(Failure::malformed("a constant is not finite"));
                }
                Ok(self.builder.constant(array.view()))
            }
            Term::Computed(c) => self.lower(c.base, &c.function),
            Term::Missing => Err(Failure::unsupported("its data is in another file")),
            Term::Unknown => Err(Failure::unsupported(
                "it depends on a second output of `Dropout`, `MaxPool` or `BatchNormalization`",
            )),
        }
    }

    /// The value `f(base)`. Sums of functions stay sums, and what is linear stays outside of
    /// functions: as weights.
    fn lower(&mut self, base: Value, f: &Unary) -> Outcome<Value> {
        let key = (base, f.address());
        if let Some((_, value)) = self.lowered.get(&key) {
            return Ok(*value);
        }
        let value = match (f.as_affine(), f.kind()) {
            (Some((1.0, 0.0)), _) => base,
            (Some((scale, shift)), _) => self.affine(base, scale, shift)?,
            (None, kind) => match (f.recognise(), kind) {
                (Some(function), _) => self.builder.function(base, function)?,
                (None, Kind::Affine(scale, shift, g)) => {
                    let g = self.lower(base, g)?;
                    self.affine(g, *scale, *shift)?
                }
                (None, Kind::Sum(g, sign, h)) => {
                    let (g, h) = (self.lower(base, g)?, self.lower(base, h)?);
                    if *sign < 0.0 {
                        self.builder.sub(g, h)?
                    } else {
                        self.builder.add(g, h)?
                    }
                }
                (None, Kind::Apply(function, g)) if g.as_affine().is_some() => {
                    let g = self.lower(base, g)?;
                    self.builder.function(g, function.clone())?
                }
                (None, _) => {
                    let function = f.function();
                    self.note(format!(
                        "one function is made of several nodes, and its constants are public: {f}"
                    ));
                    self.builder.function(base, function)?
                }
            },
        };
        self.lowered.insert(key, (f.clone(), value));
        Ok(value)
    }
}

pub(super) fn unknown_operator(operator: &str) -> Failure {
    match operator {
        "Softmax" | "LogSoftmax" => Failure::unsupported("it is not at the end of the network"),
        "QuantizeLinear"
        | "DequantizeLinear"
        | "DynamicQuantizeLinear"
        | "QLinearConv"
        | "QLinearMatMul"
        | "ConvInteger"
        | "MatMulInteger" => Failure::instead(
            "the model is quantised",
            "export it in floats: the integers are chosen here",
        ),
        "InstanceNormalization"
        | "LayerNormalization"
        | "GroupNormalization"
        | "LpNormalization"
        | "RMSNormalization"
        | "MeanVarianceNormalization" => Failure::instead(
            "it divides by a number that depends on the input",
            "use batch normalisation",
        ),
        "Loop" => Failure::instead(
            "loops are not unrolled",
            "export it as a `Scan`, or unrolled",
        ),
        "Attention" | "Einsum" => Failure::instead(
            "products of two computed matrices are not supported",
            "use `MatMul` with a constant",
        ),
        _ => Failure::unsupported("the operator is not supported"),
    }
}

/// Whether a constant that is computed depends on how many frames there are: what is only moved does
/// not, if that number is not among it.
fn folded_time(node: &Node, inputs: &[Option<Stamped>], output: &Tensor) -> Time {
    let counted = inputs.iter().flatten().any(|i| i.time == Time::Count);
    let moved = moves(&node.operator) || node.operator == "Concat";
    let open = i64::try_from(OPEN_FRAMES).unwrap_or(i64::MAX);
    match output.data() {
        _ if !counted => Time::None,
        Data::Ints(ints) if moved && !ints.contains(&open) => Time::None,
        _ => Time::Count,
    }
}

/// Whether the operator is a recurrent cell.
pub(super) fn is_recurrent(operator: &str) -> bool {
    matches!(operator, "RNN" | "GRU" | "LSTM")
}

/// Whether the operator has outputs after the first one that are not imported.
fn has_more_outputs(operator: &str) -> bool {
    matches!(operator, "Dropout" | "MaxPool" | "BatchNormalization")
}

/// Whether there is something to say about an operator only once its inputs are known.
fn is_known(operator: &str) -> bool {
    moves(operator)
        || super::elementwise::is_known(operator)
        || super::layers::is_known(operator)
        || matches!(
            operator,
            "Shape" | "Size" | "Range" | "ConstantOfShape" | "Where" | "Equal"
        )
}
