//! What is imported of a file: its input, its output, and the nodes between them.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    context::{Importer, Stamped, Term, initializers},
    error::{Failure, OnnxError, UnsupportedNode, malformed, settle, too_large},
    file::{Attribute, Body, Dim, File, Node, Port, needed},
    fold::Folding,
    options::ImportOptions,
    recurrent::is_recurrent,
    report::{Import, ImportReport},
    softmax::softmax_ends,
    tensor::Data,
    time::{Frames, OPEN_FRAMES, Time},
};
use crate::network::NetworkBuilder;

/// The last axis of an input that may be time.
const MAX_TIME_AXIS: usize = 2;
/// Entries of an input.
const MAX_INPUT: usize = 1 << 22;
/// Imports a decoded file.
pub(super) fn import(file: &File, options: &ImportOptions) -> Result<Import, OnnxError> {
    let graph = &file.graph;
    let constants = check_names(graph)?;
    check_bodies(graph)?;
    let output = output(graph, options)?;
    let needed = needed(&graph.nodes, &[output]);
    let port = input(graph, &constants, &needed)?;
    let report = ImportReport {
        producer: file.producer.clone(),
        opset: file.opset,
        nodes: graph.nodes.len(),
        operators: operators(&graph.nodes),
        parameters: parameters(graph),
        unused: graph.nodes.len() - needed.len(),
        ..ImportReport::default()
    };
    let parts = Parts {
        file,
        options,
        port,
        output,
        needed: &needed,
    };
    let nodes = graph.nodes.iter().enumerate();
    let used = || nodes.clone().filter(|(k, _)| needed.contains(k));
    if used().any(|(_, n)| has_recurrent(n)) {
        return parts.recurrent(&report);
    }
    // How often it runs is open.
    if used().any(|(_, n)| n.operator == "Scan")
        && parts.is_open()
        && let Ok(import) = parts.recurrent(&report)
        && import.network.has_state()
    {
        return Ok(import);
    }
    let shape = parts.shape(None)?;
    parts.walk(shape, None, report).map_err(|e| e.0)
}

/// Whether a node is a recurrent cell, or its body has one.
fn has_recurrent(node: &Node) -> bool {
    let of_body = |(_, attribute): &(String, Attribute)| match attribute {
        Attribute::Graph(body) => body.nodes.iter().any(has_recurrent),
        _ => false,
    };
    (node.domain.is_empty() && is_recurrent(&node.operator)) || node.attributes.iter().any(of_body)
}

/// What is imported of a file.
struct Parts<'f> {
    file: &'f File,
    options: &'f ImportOptions,
    port: &'f Port,
    output: &'f str,
    needed: &'f HashSet<usize>,
}

impl Parts<'_> {
    /// Whether a dimension of the input is left open.
    fn is_open(&self) -> bool {
        let mut dims = self.port.shape.iter().flatten();
        self.options.input_shape.is_none()
            && dims.any(|dim| dimension(dim, self.options) == Ok(None))
    }

    /// A recurrent network. The file does not say which axis of its input is time: it is one with
    /// which the file means something.
    fn recurrent(&self, report: &ImportReport) -> Result<Import, OnnxError> {
        let rank = match (&self.options.input_shape, &self.port.shape) {
            (Some(shape), _) => shape.len(),
            (None, Some(dims)) => dims.len(),
            (None, None) => 0,
        };
        let mut shapes: Vec<_> = (0..rank.clamp(1, MAX_TIME_AXIS + 1))
            .map(|time| (time, self.shape(Some(time))))
            .collect();
        // Which of several axes of one entry is time makes no difference to a file.
        let is_one = |time: usize, shape: &[usize]| shape.get(time) == Some(&1);
        shapes.sort_by_key(|(time, shape)| shape.as_ref().is_ok_and(|s| is_one(*time, s)));
        let (mut first, mut best) = (None, None);
        for (time, shape) in shapes {
            let shape = match shape {
                Ok(shape) if best.is_some() && is_one(time, &shape) => break,
                Ok(shape) => shape,
                Err(e) => {
                    first.get_or_insert(e);
                    continue;
                }
            };
            match self.walk(shape, Some(time), report.clone()) {
                Ok(import) => return Ok(import),
                // The file can be read so, but there is something that is not supported.
                Err((e @ OnnxError::Unsupported(_), false)) => {
                    best.get_or_insert(e);
                }
                Err((e, _)) => {
                    first.get_or_insert(e);
                }
            }
        }
        Err(best
            .or(first)
            .unwrap_or_else(|| malformed("the input has no dimension")))
    }

    /// The shape of the input, the batch among its dimensions; frames that are left open are
    /// [`OPEN_FRAMES`].
    fn shape(&self, time: Option<usize>) -> Result<Vec<usize>, OnnxError> {
        let Self { options, port, .. } = self;
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
        let shape: Vec<usize> = if let Some(shape) = &options.input_shape {
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
                    Ok(None) if time == Some(k) => Ok(OPEN_FRAMES),
                    // The batch, perhaps after the frames.
                    Ok(None) if k == 0 || (time == Some(0) && k == 1) => Ok(1),
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
        let of_frame = without(&shape, time);
        let count = of_frame.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        let frames = time.and_then(|at| shape.get(at)).copied().unwrap_or(1);
        match count {
            Some(1..=MAX_INPUT) if (1..=MAX_INPUT).contains(&frames) => Ok(shape),
            Some(0..=MAX_INPUT) if frames == 0 || count == Some(0) => {
                Err(malformed(format!("the input `{}` is empty", port.name)))
            }
            _ => Err(too_large(
                "entries of the input",
                count.unwrap_or(usize::MAX),
                MAX_INPUT,
            )),
        }
    }

    /// Walks the nodes, with this axis of the input as time. An error comes with whether it may be
    /// so only because another axis is.
    fn walk(
        &self,
        mut shape: Vec<usize>,
        time: Option<usize>,
        report: ImportReport,
    ) -> Result<Import, (OnnxError, bool)> {
        let Self {
            file,
            options,
            port,
            output,
            needed,
        } = *self;
        let frames = time.and_then(|at| {
            let size = shape.get_mut(at)?;
            let count = std::mem::replace(size, 1);
            let open = count == OPEN_FRAMES;
            Some(Frames { count, open })
        });
        let mut import = Importer {
            options,
            opset: file.opset,
            builder: NetworkBuilder::new(shape.iter().copied())
                .limited(file.limits.entries, file.limits.products),
            scopes: vec![initializers(&file.graph)],
            frames,
            misplaced: false,
            unsupported: file.unsupported.clone(),
            reported: file.unsupported.iter().cloned().collect(),
            report: ImportReport {
                time_axis: time,
                input_shape: without(&shape, time),
                ..report
            },
            noted: HashSet::new(),
            lowered: HashMap::new(),
            indices: HashSet::new(),
            softmax: softmax_ends(&file.graph, output, needed),
            folding: Folding::new(file.limits),
        };
        let first = port.shape.as_ref().and_then(|s| s.first());
        if let (Some(dim), None) = (first, &options.input_shape)
            && time != Some(0)
            && dimension(dim, options) == Ok(None)
        {
            import.note(format!(
                "the first dimension of the input `{}` is open, and taken for a batch of one",
                port.name
            ));
        }
        let x = import.builder.input();
        let x = Stamped {
            term: x.into(),
            time: time.map_or(Time::None, Time::Axis),
        };
        import.define(&port.name, x);
        let walked = import.walk(&file.graph.nodes, needed);
        let misplaced = import.misplaced;
        walked.map_err(|e| (e, misplaced))?;
        if !import.unsupported.is_empty() {
            return Err((OnnxError::Unsupported(import.unsupported), misplaced));
        }
        let refused = |e: Failure| (settle(e, "output", output), false);
        let Stamped { term, time } = import.lookup(output).map_err(refused)?;
        let at = match time {
            Time::Axis(at) => Some(at),
            _ => None,
        };
        if frames.is_some()
            && !matches!(
                (&term, time),
                (Term::Computed(_), Time::Axis(_) | Time::Last)
            )
        {
            return Err(refused(Failure::unsupported(
                "it does not depend on the frames",
            )));
        }
        let value = import.value(&term).map_err(refused)?;
        import.report.output_shape = without(import.builder.shape(value), at);
        let network = match time {
            Time::Last => import.builder.build_last(value),
            _ => import.builder.build(value),
        }
        .map_err(|e| refused(e.into()))?;
        Ok(Import {
            network,
            report: import.report,
        })
    }
}

/// A shape without one of its axes.
fn without(shape: &[usize], axis: Option<usize>) -> Vec<usize> {
    let axes = shape.iter().enumerate();
    axes.filter(|(k, _)| Some(*k) != axis)
        .map(|(_, size)| *size)
        .collect()
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

/// The one input that is no initialiser; of several, the one that is read.
fn input<'f>(
    graph: &'f Body,
    constants: &HashSet<&str>,
    needed: &HashSet<usize>,
) -> Result<&'f Port, OnnxError> {
    let mut inputs: Vec<&Port> = graph
        .inputs
        .iter()
        .filter(|p| !constants.contains(p.name.as_str()))
        .collect();
    if inputs.len() > 1 {
        let nodes = graph.nodes.iter().enumerate();
        let used = nodes.filter(|(k, _)| needed.contains(k));
        let read: HashSet<&str> = used.flat_map(|(_, n)| n.reads()).collect();
        inputs.retain(|p| read.contains(p.name.as_str()));
    }
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
