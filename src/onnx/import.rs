//! The walk over the nodes of a file.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{
    Import, ImportOptions, ImportReport, Imported,
    error::{Failure, OnnxError, Outcome, UnsupportedNode, malformed, too_large},
    file::{Attribute, Body, Dim, File, Node, Port},
    fold::{Folding, shape_of, size_of},
    movement::{Context, Entries, Moved, movement, moves},
    sequence,
    tensor::{Data, Tensor},
    unary::{Kind, Unary},
};
use crate::network::{NetworkBuilder, SparseMatrix, Value};

/// Entries of an input.
const MAX_INPUT: usize = 1 << 22;
/// Inputs of a node.
const MAX_ARITY: usize = 1 << 12;

/// What a name of the file stands for.
#[derive(Clone)]
pub(super) enum Term {
    Constant(Arc<Tensor>),
    Computed(Computed),
    /// Behind a node that is not supported.
    Unknown,
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
            Data::Missing => Self::Unknown,
            _ => Self::Constant(tensor),
        }
    }
}

/// Imports a decoded file.
pub(super) fn import(file: &File, options: &ImportOptions) -> Result<Import, OnnxError> {
    let graph = &file.graph;
    let constants = check_names(graph)?;
    check_bodies(graph)?;
    let output = output(graph, options)?;
    let needed = needed(&graph.nodes, &[output]);
    let port = input(graph, &constants)?;
    let report = ImportReport {
        producer: file.producer.clone(),
        opset: file.opset,
        nodes: graph.nodes.len(),
        operators: operators(&graph.nodes),
        parameters: parameters(graph),
        unused: graph.nodes.len() - needed.len(),
        ..ImportReport::default()
    };
    let is_sequence = graph.nodes.iter().enumerate().any(|(k, node)| {
        needed.contains(&k)
            && node.domain.is_empty()
            && matches!(node.operator.as_str(), "RNN" | "GRU" | "LSTM")
    });
    if is_sequence {
        return sequence::import(file, options, (port, output, &needed), report);
    }
    let shape = input_shape(port, options)?;
    let mut import = Importer {
        options,
        opset: file.opset,
        builder: NetworkBuilder::new(shape.iter().copied())
            .limited(file.limits.entries, file.limits.products),
        scopes: vec![initializers(graph)],
        unsupported: file.unsupported.clone(),
        reported: file.unsupported.iter().cloned().collect(),
        report: ImportReport {
            input_shape: shape,
            ..report
        },
        noted: HashSet::new(),
        lowered: HashMap::new(),
        indices: HashSet::new(),
        softmax: softmax_ends(graph, output, &needed),
        folding: Folding::new(file.limits),
    };
    let first = port.shape.as_ref().and_then(|s| s.first());
    if let (Some(dim), None) = (first, &options.input_shape)
        && dimension(dim, options) == Ok(None)
    {
        import.note(format!(
            "the first dimension of the input `{}` is open, and taken for a batch of one",
            port.name
        ));
    }
    let x = import.builder.input();
    import.define(&port.name, x.into());
    import.walk(&graph.nodes, &needed)?;
    if !import.unsupported.is_empty() {
        return Err(OnnxError::Unsupported(import.unsupported));
    }
    let refused = |e: Failure| settle(e, "output", output);
    let term = import.lookup(output).map_err(refused)?;
    let value = import.value(&term).map_err(refused)?;
    import.report.output_shape = import.builder.shape(value).to_vec();
    let graph = import
        .builder
        .build(value)
        .map_err(|e| settle(e.into(), "output", output))?;
    Ok(Import {
        model: Imported::Network(graph),
        report: import.report,
    })
}

/// The error for a failure that ends the walk at `what` of this name; an unsupported one as a list of
/// its own.
pub(super) fn settle(failure: Failure, what: &str, name: &str) -> OnnxError {
    match failure {
        Failure::Unsupported { reason, instead } => OnnxError::Unsupported(vec![UnsupportedNode {
            name: name.to_owned(),
            operator: what.to_owned(),
            reason,
            instead,
        }]),
        Failure::Malformed(problem) => malformed(format!("`{name}` ({what}): {problem}")),
        Failure::Model(source) => OnnxError::Model {
            node: format!("`{name}` ({what})"),
            source,
        },
        Failure::Fatal(e) => e,
    }
}

/// How many nodes have each operator.
fn operators(nodes: &[Node]) -> BTreeMap<String, usize> {
    let mut operators = BTreeMap::new();
    for node in nodes {
        *operators.entry(node.qualified_operator()).or_default() += 1;
    }
    operators
}

fn parameters(graph: &Body) -> usize {
    let tensors = graph.initializers.iter();
    let floats = tensors.filter(|(_, t)| matches!(t.data(), Data::Floats(_)));
    floats.map(|(_, t)| t.len()).sum()
}

/// Checks that no two values have one name; the names of the initialisers.
fn check_names(graph: &Body) -> Result<HashSet<&str>, OnnxError> {
    let constants: HashSet<&str> = graph.initializers.iter().map(|i| i.0.as_str()).collect();
    let mut names = HashSet::new();
    for input in &graph.inputs {
        if !names.insert(input.name.as_str()) {
            return Err(malformed(format!("two inputs are named `{}`", input.name)));
        }
    }
    names.extend(&constants);
    for node in &graph.nodes {
        for output in node.outputs.iter().filter(|o| !o.is_empty()) {
            if !names.insert(output) {
                return Err(malformed(format!(
                    "`{}` ({}): another value is named `{output}`",
                    node.name, node.operator
                )));
            }
        }
    }
    Ok(constants)
}

/// Checks the names within bodies.
fn check_bodies(graph: &Body) -> Result<(), OnnxError> {
    for (_, attribute) in graph.nodes.iter().flat_map(|n| &n.attributes) {
        if let Attribute::Graph(body) = attribute {
            check_names(body)?;
            check_bodies(body)?;
        }
    }
    Ok(())
}

/// The name of the output.
fn output<'f>(graph: &'f Body, options: &'f ImportOptions) -> Result<&'f str, OnnxError> {
    if let Some(name) = &options.output {
        return Ok(name);
    }
    match graph.outputs.as_slice() {
        [one] => Ok(one),
        [] => Err(malformed("the graph has no output")),
        more => Err(OnnxError::Unsupported(vec![UnsupportedNode {
            name: more.join("`, `"),
            operator: "outputs".to_owned(),
            reason: format!("the graph has {} outputs, one is proved", more.len()),
            instead: Some("choose it with `ImportOptions::output`".to_owned()),
        }])),
    }
}

/// The one input that is no initialiser.
fn input<'f>(graph: &'f Body, constants: &HashSet<&str>) -> Result<&'f Port, OnnxError> {
    let inputs: Vec<&Port> = graph
        .inputs
        .iter()
        .filter(|p| !constants.contains(p.name.as_str()))
        .collect();
    let port = match inputs.as_slice() {
        [one] => *one,
        [] => return Err(malformed("the graph has no input")),
        more => {
            let names: Vec<&str> = more.iter().map(|p| p.name.as_str()).collect();
            return Err(OnnxError::Unsupported(vec![UnsupportedNode {
                name: names.join("`, `"),
                operator: "inputs".to_owned(),
                reason: format!("the graph has {} inputs", more.len()),
                instead: Some("make them one, and split it in the network".to_owned()),
            }]));
        }
    };
    if !matches!(port.element, "FLOAT" | "DOUBLE" | "FLOAT16" | "BFLOAT16") {
        return Err(OnnxError::Unsupported(vec![UnsupportedNode {
            name: port.name.clone(),
            operator: "input".to_owned(),
            reason: format!("its element type is {}", port.element),
            instead: Some("export the network with an input of floats".to_owned()),
        }]));
    }
    Ok(port)
}

/// The shape of the input, the batch among its dimensions.
fn input_shape(port: &Port, options: &ImportOptions) -> Result<Vec<usize>, OnnxError> {
    let unknown = |reason: String, instead: &str| {
        OnnxError::Unsupported(vec![UnsupportedNode {
            name: port.name.clone(),
            operator: "input".to_owned(),
            reason,
            instead: Some(instead.to_owned()),
        }])
    };
    let named = |name: &str| {
        let mut dims = port.shape.iter().flatten();
        dims.any(|dim| matches!(dim, Dim::Named(own) if own == name))
    };
    if let Some((name, _)) = options.dimensions.iter().find(|(name, _)| !named(name)) {
        return Err(unknown(
            format!("it has no open dimension `{name}`"),
            "give the size of a dimension that it has",
        ));
    }
    let shape = if let Some(shape) = &options.input_shape {
        shape.clone()
    } else {
        let dims = port.shape.as_ref().ok_or_else(|| {
            unknown(
                "the file does not say its shape".to_owned(),
                "give it with `ImportOptions::input_shape`",
            )
        })?;
        dims.iter()
            .enumerate()
            .map(|(k, dim)| match dimension(dim, options) {
                Ok(Some(size)) => Ok(size),
                Ok(None) if k == 0 => Ok(1),
                Ok(None) => Err(unknown(
                    match dim {
                        Dim::Named(name) => format!("its dimension {k}, `{name}`, is open"),
                        _ => format!("its dimension {k} is open"),
                    },
                    "give it with `ImportOptions::dimension` or `ImportOptions::input_shape`",
                )),
                Err(size) => Err(malformed(format!(
                    "dimension {k} of the input `{}` is {size}",
                    port.name
                ))),
            })
            .collect::<Result<_, _>>()?
    };
    let count = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
    match count {
        Some(1..=MAX_INPUT) => Ok(shape),
        Some(0) => Err(malformed(format!("the input `{}` is empty", port.name))),
        _ => Err(too_large(
            "entries of the input",
            count.unwrap_or(usize::MAX),
            MAX_INPUT,
        )),
    }
}

/// The size of a dimension if it is given, by the file or the options; as an error, one that is none.
pub(super) fn dimension(dim: &Dim, options: &ImportOptions) -> Result<Option<usize>, i64> {
    match dim {
        Dim::Known(size) => match usize::try_from(*size) {
            Ok(size @ 1..) => Ok(Some(size)),
            _ => Err(*size),
        },
        Dim::Named(name) => Ok(options
            .dimensions
            .iter()
            .rev()
            .find(|(n, _)| n == name)
            .map(|(_, size)| *size)),
        Dim::Unknown => Ok(None),
    }
}

/// Indices of the nodes that these values depend on.
pub(super) fn needed(nodes: &[Node], outputs: &[&str]) -> HashSet<usize> {
    let mut values: HashSet<&str> = outputs.iter().copied().collect();
    let mut needed = HashSet::new();
    for (k, node) in nodes.iter().enumerate().rev() {
        if node.outputs.iter().any(|o| values.contains(o.as_str())) {
            needed.insert(k);
            values.extend(node.reads());
        }
    }
    needed
}

pub(super) fn initializers(body: &Body) -> HashMap<String, Term> {
    body.initializers
        .iter()
        .map(|(name, tensor)| (name.clone(), tensor.clone().into()))
        .collect()
}

/// Where what a softmax gives goes to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SoftmaxEnd {
    /// The output of the network, perhaps in another shape.
    Output,
    /// Nothing but the index of the largest entry.
    ArgMax,
}

/// For the outputs of softmax nodes that end the network: how.
pub(super) fn softmax_ends(
    graph: &Body,
    output: &str,
    needed: &HashSet<usize>,
) -> HashMap<String, SoftmaxEnd> {
    let nodes = || {
        graph
            .nodes
            .iter()
            .enumerate()
            .filter(|(k, _)| needed.contains(k))
            .map(|(_, node)| node)
    };
    let mut readers: HashMap<&str, Vec<&Node>> = HashMap::new();
    for node in nodes() {
        for name in node.reads() {
            readers.entry(name).or_default().push(node);
        }
    }
    let end = |start: &str| {
        let mut name = start;
        // Every step goes on to a node of its own, unless the file has a cycle.
        for _ in 0..=graph.nodes.len() {
            match readers.get(name).map(Vec::as_slice) {
                None if name == output => return Some(SoftmaxEnd::Output),
                Some([only]) if name != output => match (only.operator.as_str(), &*only.outputs) {
                    ("ArgMax", _) if name == start => return Some(SoftmaxEnd::ArgMax),
                    (
                        "Identity" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Cast",
                        [o],
                    ) => {
                        name = o;
                    }
                    _ => return None,
                },
                _ => return None,
            }
        }
        None
    };
    nodes()
        .filter(|n| matches!(n.operator.as_str(), "Softmax" | "LogSoftmax"))
        .filter_map(|n| n.outputs.first())
        .filter_map(|o| Some((o.clone(), end(o)?)))
        .collect()
}

/// The state of the walk.
pub(super) struct Importer<'f> {
    pub(super) options: &'f ImportOptions,
    pub(super) opset: i64,
    pub(super) builder: NetworkBuilder,
    /// What names stand for: in the graph, and in the bodies that the walk is in.
    pub(super) scopes: Vec<HashMap<String, Term>>,
    pub(super) unsupported: Vec<UnsupportedNode>,
    /// The same.
    reported: HashSet<UnsupportedNode>,
    pub(super) report: ImportReport,
    /// The notes of the report.
    noted: HashSet<String>,
    /// Values of functions that were needed; the function is kept so that its address stays its own.
    lowered: HashMap<(Value, usize), (Unary, Value)>,
    /// Values that are the index of a largest entry.
    pub(super) indices: HashSet<Value>,
    pub(super) softmax: HashMap<String, SoftmaxEnd>,
    pub(super) folding: Folding,
}

impl Importer<'_> {
    pub(super) fn define(&mut self, name: &str, term: Term) {
        if let (false, Some(scope)) = (name.is_empty(), self.scopes.last_mut()) {
            scope.insert(name.to_owned(), term);
        }
    }

    pub(super) fn lookup(&self, name: &str) -> Outcome<Term> {
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
            match self.node(node) {
                Ok(outputs) => {
                    let mut outputs = outputs.into_iter();
                    for name in &node.outputs {
                        match outputs.next() {
                            Some(term) => self.define(name, term),
                            None if name.is_empty() => {}
                            // A mask, statistics, indices: of no use here, and rarely read.
                            None if has_more_outputs(&node.operator) => {
                                self.define(name, Term::Unknown);
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
                    for name in &node.outputs {
                        self.define(name, Term::Unknown);
                    }
                }
                Err(other) => return Err(settle(other, &node.operator, &node.name)),
            }
        }
        Ok(())
    }

    fn node(&mut self, node: &Node) -> Outcome<Vec<Term>> {
        let inputs = node
            .inputs
            .iter()
            .map(|name| match name.as_str() {
                "" => Ok(None),
                name => self.lookup(name).map(Some),
            })
            .collect::<Outcome<Vec<_>>>()?;
        if inputs.len() > MAX_ARITY {
            return Err(Failure::too_large(
                "inputs of a node",
                inputs.len(),
                MAX_ARITY,
            ));
        }
        let read = inputs.iter().flatten().map(|t| self.size(t)).sum();
        self.folding.handle(read)?;
        if !node.domain.is_empty() {
            return Err(Failure::instead(
                format!("operators of the domain `{}` are not known", node.domain),
                "export the model with ONNX's own operators",
            ));
        }
        if node.operator == "If" || node.operator == "Scan" {
            return self.body(node, &inputs);
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
            return Ok(outputs.into_iter().map(Term::from).collect());
        }
        if inputs.iter().any(|i| matches!(i, Some(Term::Unknown))) {
            return if is_known(&node.operator) {
                Ok(node.outputs.iter().map(|_| Term::Unknown).collect())
            } else {
                Err(unknown_operator(&node.operator))
            };
        }
        let outputs = self.computed(node, &inputs)?;
        let written = outputs.iter().map(|t| self.size(t)).sum();
        self.folding.handle(written)?;
        if constants.is_none() {
            return Ok(outputs);
        }
        // What is made of constants is one.
        let mut folded = Vec::with_capacity(outputs.len());
        for term in outputs {
            let value = self.value(&term)?;
            let shape = self.builder.shape(value).to_vec();
            folded.push(match self.builder.constant_value(value) {
                Some(entries) => Tensor::of_floats(entries.to_vec()).reshaped(shape).into(),
                None => term,
            });
        }
        self.report.folded += 1;
        Ok(folded)
    }

    /// The outputs of a node of which some input depends on the network's.
    fn computed(&mut self, node: &Node, inputs: &[Option<Term>]) -> Outcome<Vec<Term>> {
        let operator = node.operator.as_str();
        if moves(operator) {
            return self.moved(node, inputs);
        }
        if matches!(operator, "Shape" | "Size") {
            let x = self.required(inputs, 0)?;
            let shape = self.shape(&x);
            let tensor = if operator == "Shape" {
                shape_of(node, &shape)?
            } else {
                size_of(&shape)
            };
            self.report.folded += 1;
            return Ok(vec![tensor.into()]);
        }
        if let Some(term) = self.elementwise(node, inputs)? {
            return Ok(vec![term]);
        }
        if let Some(term) = self.layer(node, inputs)? {
            return Ok(vec![term]);
        }
        Err(unknown_operator(operator))
    }

    /// An operator that only moves entries of its first input.
    fn moved(&mut self, node: &Node, inputs: &[Option<Term>]) -> Outcome<Vec<Term>> {
        let x = self.required(inputs, 0)?;
        if let Term::Computed(c) = &x
            && self.indices.contains(&c.base)
            && matches!(
                node.operator.as_str(),
                "Identity" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze"
            )
        {
            return Ok(vec![x]);
        }
        let mut rest = Vec::new();
        for input in inputs.iter().skip(1) {
            rest.push(match input {
                None => None,
                Some(Term::Constant(tensor)) => Some(tensor.as_ref()),
                Some(_) => {
                    return Err(Failure::unsupported(
                        "where entries go depends on the input of the network",
                    ));
                }
            });
        }
        let shape = self.shape(&x);
        let moved = movement(&Context {
            node,
            opset: self.opset,
            shape: &shape,
            rest: &rest,
        })?;
        moved
            .into_iter()
            .map(|moved| self.place(&x, &shape, moved))
            .collect()
    }

    fn place(&mut self, x: &Term, shape: &[usize], moved: Moved) -> Outcome<Term> {
        if let (Entries::Same, true) = (&moved.entries, moved.shape == shape) {
            return Ok(x.clone());
        }
        if moved.shape.contains(&0) {
            return Err(Failure::unsupported("nothing is left of the value"));
        }
        let value = self.value(x)?;
        let placed = match moved.entries {
            Entries::Same => self.builder.reshape(value, &moved.shape)?,
            Entries::Transposed(permutation) => self.builder.transpose(value, &permutation)?,
            Entries::Selected(indices) => {
                let columns = shape.iter().product();
                self.builder.has_room(indices.len().saturating_mul(2))?;
                let matrix = SparseMatrix::selection(columns, &indices)?;
                self.builder.linear(value, matrix, None, &moved.shape)?
            }
        };
        Ok(placed.into())
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
            Term::Unknown => Vec::new(),
        }
    }

    fn size(&self, term: &Term) -> usize {
        match term {
            Term::Constant(tensor) => tensor.len(),
            Term::Computed(c) => self.builder.shape(c.base).iter().product(),
            Term::Unknown => 0,
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

fn unknown_operator(operator: &str) -> Failure {
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
