//! Recurrent networks: stacked cells, and dense layers on the state of the last.
//!
//! A value is followed by what its axes are: time, entries, or one of a single entry (batch,
//! direction). Transposing and squeezing move the axes; a recurrent node says which of them must be
//! time.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use ndarray::{Array1, Array2, Ix1, Ix2};

use super::{
    Import, ImportOptions, ImportReport, Imported,
    error::{Failure, OnnxError, Outcome, UnsupportedNode, malformed},
    file::{Body, Dim, File, Node, Port},
    fold::{CastTo, Folding, cast_to, shape_of, size_of},
    import::{SoftmaxEnd, dimension, settle, softmax_ends},
    layers::softmax_axes,
    movement::{Context, Entries, movement, moves},
    tensor::{Data, Tensor, Wiped, entries, per_axis},
};
use crate::{
    Error,
    network::{Function, GruReset, Network, RecurrentWeights, RnnActivation},
};

/// Frames that a sequence is taken to have where the file leaves it open: a prime that no weight has
/// as a dimension. With 1024 entries each they are within the limits of a tensor.
const OPEN_FRAMES: usize = 16_381;

/// What an axis is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Time,
    One,
    Entries(usize),
}

/// What a name of the file stands for.
#[derive(Clone)]
enum Track {
    Constant(Arc<Tensor>),
    Frames(Frames),
    /// The memory `c` of an LSTM.
    Memory,
    Unknown,
}

impl From<Arc<Tensor>> for Track {
    fn from(tensor: Arc<Tensor>) -> Self {
        match tensor.data() {
            Data::Missing => Self::Unknown,
            _ => Self::Constant(tensor),
        }
    }
}

/// What the first layers make of the frames.
#[derive(Clone)]
struct Frames {
    axes: Vec<Mark>,
    /// How many changes of the layers it is after.
    stage: usize,
    /// Whether it is what they make of the last frame only.
    last: bool,
}

/// What a recurrent node computes.
#[derive(Clone, Copy)]
enum RecurrentFunction {
    Rnn(RnnActivation),
    Gru(GruReset),
    Lstm,
}

enum Layer {
    Cell(RecurrentFunction, RecurrentWeights),
    Dense(Wiped<Ix2>, Wiped<Ix1>),
    Activation(Function),
}

struct Walk<'f> {
    options: &'f ImportOptions,
    opset: i64,
    terms: HashMap<&'f str, Track>,
    layers: Vec<Layer>,
    /// Layers that were added, and biases that were changed.
    edits: usize,
    unsupported: Vec<UnsupportedNode>,
    report: ImportReport,
    softmax: HashMap<String, SoftmaxEnd>,
    frames: usize,
    /// Entries of the input's axis of batches.
    batch: usize,
    /// Whether a recurrent node found something other than time where it must be.
    misplaced: bool,
    folding: Folding,
}

/// Imports a file with recurrent nodes: its input, its output, and the nodes that are needed.
pub(super) fn import(
    file: &File,
    options: &ImportOptions,
    (port, output, needed): (&Port, &str, &HashSet<usize>),
    report: ImportReport,
) -> Result<Import, OnnxError> {
    let dims = input_dims(port, options)?;
    let (rank, entries) = match dims.as_slice() {
        [.., Some(entries)] if (2..=3).contains(&dims.len()) => (dims.len(), *entries),
        _ => {
            return Err(OnnxError::Unsupported(vec![UnsupportedNode {
                name: port.name.clone(),
                operator: "input".to_owned(),
                reason: "it is no sequence of frames of a known size".to_owned(),
                instead: Some(
                    "its shape must be [time, batch, entries] or [batch, time, entries]".to_owned(),
                ),
            }]));
        }
    };
    let mut first = None;
    for time in 0..rank - 1 {
        let size = |axis: usize| dims.get(axis).copied().flatten();
        let batch = match rank {
            3 => size(1 - time).unwrap_or(1),
            _ => 1,
        };
        let axes = (0..rank)
            .map(|k| match k {
                k if k == time => Mark::Time,
                k if k == rank - 1 => Mark::Entries(entries),
                _ => Mark::One,
            })
            .collect();
        let mut walk = Walk {
            options,
            opset: file.opset,
            terms: constants(&file.graph),
            layers: Vec::new(),
            edits: 0,
            unsupported: file.unsupported.clone(),
            report: report.clone(),
            softmax: softmax_ends(&file.graph, output, needed),
            frames: size(time).unwrap_or(OPEN_FRAMES),
            batch,
            misplaced: false,
            folding: Folding::new(file.limits),
        };
        walk.terms.insert(
            &port.name,
            Track::Frames(Frames {
                axes,
                stage: 0,
                last: false,
            }),
        );
        let done = walk
            .walk(&file.graph.nodes, needed)
            .and_then(|()| walk.finish(output, entries));
        match done {
            Err(_) if walk.misplaced => {
                first.get_or_insert(done);
            }
            done => return done,
        }
    }
    first.unwrap_or_else(|| Err(malformed("the input has no dimension")))
}

/// The sizes that are known.
fn input_dims(port: &Port, options: &ImportOptions) -> Result<Vec<Option<usize>>, OnnxError> {
    if let Some(shape) = &options.input_shape {
        return Ok(shape.iter().map(|size| Some(*size)).collect());
    }
    let dims: &[Dim] = port.shape.as_deref().unwrap_or_default();
    dims.iter()
        .map(|dim| dimension(dim, options))
        .collect::<Result<_, _>>()
        .map_err(|size| {
            malformed(format!(
                "a dimension of the input `{}` is {size}",
                port.name
            ))
        })
}

fn constants(graph: &Body) -> HashMap<&str, Track> {
    graph
        .initializers
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor.clone().into()))
        .collect()
}

impl<'f> Walk<'f> {
    fn walk(&mut self, nodes: &'f [Node], needed: &HashSet<usize>) -> Result<(), OnnxError> {
        for (_, node) in nodes.iter().enumerate().filter(|(k, _)| needed.contains(k)) {
            self.folding.visit(1)?;
            let outputs = match self.node(node) {
                Ok(outputs) => outputs,
                Err(Failure::Unsupported { reason, instead }) => {
                    self.unsupported.push(UnsupportedNode {
                        name: node.name.clone(),
                        operator: node.qualified_operator(),
                        reason,
                        instead,
                    });
                    node.outputs.iter().map(|_| Track::Unknown).collect()
                }
                Err(other) => return Err(settle(other, &node.operator, &node.name)),
            };
            for (name, track) in node.outputs.iter().zip(outputs) {
                self.terms.insert(name, track);
            }
        }
        if self.unsupported.is_empty() {
            Ok(())
        } else {
            Err(OnnxError::Unsupported(std::mem::take(
                &mut self.unsupported,
            )))
        }
    }

    fn finish(&mut self, output: &str, entries: usize) -> Result<Import, OnnxError> {
        let refused = |e: Failure| settle(e, "output", output);
        let frames = match self.terms.get(output) {
            Some(Track::Frames(frames)) => frames.clone(),
            Some(_) => {
                return Err(refused(Failure::unsupported(
                    "it is nothing that the layers make of the frames",
                )));
            }
            None => {
                return Err(refused(Failure::malformed(
                    "no node and no initialiser gives it",
                )));
            }
        };
        self.current(&frames).map_err(refused)?;
        let mut chain = Network::sequential([entries]);
        for layer in self.layers.drain(..) {
            chain = match layer {
                Layer::Cell(RecurrentFunction::Rnn(activation), weights) => {
                    chain.rnn(&weights, activation)
                }
                Layer::Cell(RecurrentFunction::Gru(reset), weights) => chain.gru(&weights, reset),
                Layer::Cell(RecurrentFunction::Lstm, weights) => chain.lstm(&weights),
                Layer::Dense(weight, bias) => chain.dense(weight.view(), bias.view()),
                Layer::Activation(function) => chain.function(function),
            };
        }
        let model = match frames.last {
            true => chain.build_last(),
            false => chain.build(),
        };
        let model = model.map_err(|e| refused(e.into()))?;
        let mut report = self.report.clone();
        report.input_shape = vec![model.input_len()];
        report.output_shape = vec![model.output_len()];
        Ok(Import {
            model: Imported::Sequence(model),
            report,
        })
    }

    fn node(&mut self, node: &Node) -> Outcome<Vec<Track>> {
        let inputs = node
            .inputs
            .iter()
            .map(
                |name| match (name.as_str(), self.terms.get(name.as_str())) {
                    ("", _) => Ok(None),
                    (_, Some(track)) => Ok(Some(track.clone())),
                    (name, None) => Err(Failure::malformed(format!(
                        "nothing before it gives the value `{name}`"
                    ))),
                },
            )
            .collect::<Outcome<Vec<_>>>()?;
        if !node.domain.is_empty() {
            return Err(Failure::instead(
                format!("operators of the domain `{}` are not known", node.domain),
                "export the model with ONNX's own operators",
            ));
        }
        let constants: Option<Vec<Option<Arc<Tensor>>>> = inputs
            .iter()
            .map(|input| match input {
                None => Some(None),
                Some(Track::Constant(tensor)) => Some(Some(tensor.clone())),
                Some(_) => None,
            })
            .collect();
        let read = inputs.iter().flatten().map(|input| match input {
            Track::Constant(tensor) => tensor.len(),
            _ => 0,
        });
        self.folding.handle(read.sum())?;
        if let Some(constants) = &constants {
            let Some(outputs) = self.folding.fold(node, self.opset, constants)? else {
                return Err(Failure::unsupported("of constants, in a recurrent network"));
            };
            self.report.folded += 1;
            return Ok(outputs.into_iter().map(Track::from).collect());
        }
        if inputs.iter().any(|i| matches!(i, Some(Track::Unknown))) {
            return Ok(node.outputs.iter().map(|_| Track::Unknown).collect());
        }
        if inputs.iter().any(|i| matches!(i, Some(Track::Memory))) {
            return Err(Failure::unsupported("it reads the memory of an LSTM"));
        }
        let one = match node.operator.as_str() {
            "RNN" | "GRU" | "LSTM" => return self.recurrent(node, &inputs),
            operator if moves(operator) => self.moved(node, &inputs)?,
            "Cast" => match (cast_to(node.int("to", 0)?)?, inputs.first()) {
                (CastTo::Floats, Some(Some(x))) => x.clone(),
                _ => return Err(Failure::unsupported("a cast of computed floats")),
            },
            "Shape" | "Size" => {
                let shape = self.shape(self.frames_of(&inputs, 0)?);
                self.report.folded += 1;
                Track::Constant(Arc::new(if node.operator == "Shape" {
                    shape_of(node, &shape)?
                } else {
                    size_of(&shape)
                }))
            }
            "Gemm" => self.gemm(node, &inputs)?,
            "MatMul" => self.matmul(&inputs)?,
            "Add" => self.add(&inputs)?,
            "Relu" => self.activation(&inputs, Function::Relu)?,
            "Sigmoid" => self.activation(&inputs, Function::Sigmoid)?,
            "Tanh" => self.activation(&inputs, Function::Tanh)?,
            "Softmax" | "LogSoftmax" => self.softmax(node, &inputs)?,
            _ => {
                return Err(Failure::instead(
                    "beside recurrent nodes it is not supported",
                    "recurrent nodes, dense layers, ReLU, sigmoid and tanh are",
                ));
            }
        };
        Ok(vec![one])
    }

    fn frames_of<'t>(&self, inputs: &'t [Option<Track>], index: usize) -> Outcome<&'t Frames> {
        match inputs.get(index) {
            Some(Some(Track::Frames(frames))) => Ok(frames),
            Some(Some(_)) => Err(Failure::unsupported(format!(
                "input {index} is a constant, expected what depends on the frames"
            ))),
            _ => Err(Failure::malformed(format!("input {index} is missing"))),
        }
    }

    fn constant_of(
        &self,
        inputs: &[Option<Track>],
        index: usize,
        what: &str,
    ) -> Outcome<Option<Arc<Tensor>>> {
        match inputs.get(index) {
            None | Some(None) => Ok(None),
            Some(Some(Track::Constant(tensor))) => Ok(Some(tensor.clone())),
            Some(Some(_)) => Err(Failure::unsupported(format!(
                "its {what} depends on the frames"
            ))),
        }
    }

    fn shape(&self, frames: &Frames) -> Vec<usize> {
        frames.axes.iter().map(|mark| self.size(*mark)).collect()
    }

    fn size(&self, mark: Mark) -> usize {
        match mark {
            Mark::Time => self.frames,
            Mark::One => 1,
            Mark::Entries(n) => n,
        }
    }

    /// Checks that nothing but the layers so far made the value, so that one more can follow.
    fn current(&self, frames: &Frames) -> Outcome<()> {
        if frames.stage == self.edits {
            Ok(())
        } else {
            Err(Failure::unsupported(
                "the network branches: a layer before the last one is read",
            ))
        }
    }

    /// Adds a layer; what it makes of the frames is at the stage that is returned.
    fn push(&mut self, layer: Layer) -> usize {
        self.layers.push(layer);
        self.edits += 1;
        self.edits
    }

    fn recurrent(&mut self, node: &Node, inputs: &[Option<Track>]) -> Outcome<Vec<Track>> {
        let x = self.frames_of(inputs, 0)?.clone();
        if x.last {
            return Err(Failure::unsupported("it reads the last output of a cell"));
        }
        let batch_first = node.flag("layout", false)?;
        let (time, batch) = if batch_first { (1, 0) } else { (0, 1) };
        let shape = self.shape(&x);
        let [_, _, entries] = shape.as_slice() else {
            return Err(Failure::malformed(format!(
                "its input has the shape {shape:?}, expected three dimensions"
            )));
        };
        if x.axes.get(time) != Some(&Mark::Time) || shape.get(batch) != Some(&1) {
            self.misplaced = true;
            return Err(Failure::unsupported(
                "its input is not the frames in the order of time",
            ));
        }
        if self.batch != 1 {
            return Err(Failure::instead(
                format!("the batch has {} sequences", self.batch),
                "export the network with a batch of one, or leave it open",
            ));
        }
        self.current(&x)?;
        let entries = *entries;
        let direction = node.text("direction")?.map_or("forward", String::as_str);
        if direction != "forward" {
            return Err(Failure::instead(
                format!("its direction is `{direction}`"),
                "a recurrent network runs forward over the frames",
            ));
        }
        if node.attribute("clip").is_some() {
            return Err(Failure::unsupported("it clips its sums"));
        }
        if node.flag("input_forget", false)? {
            return Err(Failure::unsupported("it couples input and forget gates"));
        }
        if let Some(lengths) = self.constant_of(inputs, 4, "list of lengths")? {
            let whole = i64::try_from(self.frames).unwrap_or(i64::MAX);
            if self.frames == OPEN_FRAMES || lengths.ints()?.iter().any(|l| *l != whole) {
                return Err(Failure::unsupported("it is given lengths of sequences"));
            }
        }
        for (index, what) in [
            (5, "initial state"),
            (6, "initial memory"),
            (7, "peepholes"),
        ] {
            if let Some(tensor) = self.constant_of(inputs, index, what)?
                && tensor.floats()?.iter().any(|v| *v != 0.0)
            {
                return Err(Failure::unsupported(format!("its {what} is not zero")));
            }
        }
        let (function, weights) = self.cell(node, inputs, entries)?;
        let hidden = weights.hidden.ncols();
        let stage = self.push(Layer::Cell(function, weights));
        let track = |axes: Vec<Mark>, last: bool| Track::Frames(Frames { axes, stage, last });
        let units = Mark::Entries(hidden);
        let all = if batch_first {
            vec![Mark::One, Mark::Time, Mark::One, units]
        } else {
            vec![Mark::Time, Mark::One, Mark::One, units]
        };
        let last = vec![Mark::One, Mark::One, units];
        Ok(vec![track(all, false), track(last, true), Track::Memory])
    }

    fn cell(
        &self,
        node: &Node,
        inputs: &[Option<Track>],
        entries: usize,
    ) -> Outcome<(RecurrentFunction, RecurrentWeights)> {
        let (gates, usual): (usize, &[&str]) = match node.operator.as_str() {
            "RNN" => (1, &["tanh"]),
            "GRU" => (3, &["sigmoid", "tanh"]),
            _ => (4, &["sigmoid", "tanh", "tanh"]),
        };
        let named = node
            .texts("activations")?
            .map(|texts| texts.iter().map(|t| t.to_lowercase()).collect::<Vec<_>>());
        let is_relu = match &named {
            Some(named) if node.operator == "RNN" && *named == ["relu"] => true,
            Some(named) if *named != usual => {
                return Err(Failure::unsupported(format!(
                    "its activations are `{}`",
                    named.join("`, `")
                )));
            }
            _ => false,
        };
        let part = |index: usize, what: &str| {
            self.constant_of(inputs, index, what)?
                .ok_or_else(|| Failure::malformed(format!("its {what} is missing")))
        };
        let direction = |tensor: &Tensor, what: &str| match tensor.shape().split_first() {
            Some((1, rest)) => Ok(tensor.reshaped(rest.to_vec())),
            _ => Err(Failure::malformed(format!(
                "its {what} has the shape {:?}, not of one direction",
                tensor.shape()
            ))),
        };
        let matrix = |index: usize, what: &str| {
            let tensor = direction(&*part(index, what)?, what)?;
            match tensor.shape() {
                [rows, columns] => tensor.in_shape(Ix2(*rows, *columns)),
                _ => Err(Failure::malformed(format!("its {what} is no matrix"))),
            }
        };
        let w = matrix(1, "tensor W")?;
        let r = matrix(2, "tensor R")?;
        if w.ncols() != entries {
            return Err(Failure::malformed(format!(
                "its tensor W is for {} inputs, it is given {entries}",
                w.ncols()
            )));
        }
        let b = match self.constant_of(inputs, 3, "tensor B")? {
            Some(tensor) => tensor.in_shape(Ix1(tensor.len()))?,
            None => Wiped(Array1::zeros(r.nrows().saturating_mul(2))),
        };
        if let Some(size) = node.int_attribute("hidden_size")?
            && usize::try_from(*size) != Ok(r.ncols())
        {
            return Err(Failure::malformed(format!(
                "attribute `hidden_size` is {size}, its tensor R is for {}",
                r.ncols()
            )));
        }
        if r.nrows() != gates * r.ncols() {
            return Err(Failure::malformed(format!(
                "its tensor R has {} rows and {} columns for {gates} gates",
                r.nrows(),
                r.ncols()
            )));
        }
        let model = |result: Result<RecurrentWeights, Error>| result.map_err(Failure::from);
        Ok(match node.operator.as_str() {
            "RNN" => (
                RecurrentFunction::Rnn(if is_relu {
                    RnnActivation::Relu
                } else {
                    RnnActivation::Tanh
                }),
                model(RecurrentWeights::from_onnx_rnn(
                    w.view(),
                    r.view(),
                    b.view(),
                ))?,
            ),
            "GRU" => (
                if node.flag("linear_before_reset", false)? {
                    RecurrentFunction::Gru(GruReset::After)
                } else {
                    RecurrentFunction::Gru(GruReset::Before)
                },
                model(RecurrentWeights::from_onnx_gru(
                    w.view(),
                    r.view(),
                    b.view(),
                ))?,
            ),
            _ => (
                RecurrentFunction::Lstm,
                model(RecurrentWeights::from_onnx_lstm(
                    w.view(),
                    r.view(),
                    b.view(),
                ))?,
            ),
        })
    }

    fn moved(&mut self, node: &Node, inputs: &[Option<Track>]) -> Outcome<Track> {
        let x = self.frames_of(inputs, 0)?.clone();
        let mut rest = Vec::new();
        for input in inputs.iter().skip(1) {
            rest.push(match input {
                None => None,
                Some(Track::Constant(tensor)) => Some(tensor.as_ref()),
                Some(_) => {
                    return Err(Failure::unsupported(
                        "where entries go depends on the frames",
                    ));
                }
            });
        }
        let shape = self.shape(&x);
        let mut moved = movement(&Context {
            node,
            opset: self.opset,
            shape: &shape,
            rest: &rest,
        })?
        .into_iter();
        let (Some(moved), None) = (moved.next(), moved.next()) else {
            return Err(Failure::unsupported("it splits the entries of a frame"));
        };
        let frames = |axes: Vec<Mark>, last: bool| {
            Track::Frames(Frames {
                axes,
                stage: x.stage,
                last,
            })
        };
        match moved.entries {
            Entries::Transposed(order) => Ok(frames(
                order
                    .iter()
                    .filter_map(|k| x.axes.get(*k).copied())
                    .collect(),
                x.last,
            )),
            Entries::Same => self
                .renamed(&x.axes, &moved.shape)
                .map(|axes| frames(axes, x.last))
                .ok_or_else(|| {
                    Failure::unsupported(format!(
                        "it mixes time and entries: {shape:?} becomes {:?}",
                        moved.shape
                    ))
                }),
            Entries::Selected(indices) => {
                self.folding.handle(indices.len())?;
                let time = x.axes.iter().position(|m| *m == Mark::Time);
                entries(&shape)?;
                let lists = shape.iter().enumerate().map(|(k, size)| {
                    if Some(k) == time {
                        vec![size.saturating_sub(1)]
                    } else {
                        (0..*size).collect()
                    }
                });
                let lists: Vec<Vec<usize>> = lists.collect();
                if time.is_none() || indices != per_axis(&shape, &lists)? {
                    return Err(Failure::instead(
                        "it takes some frames or entries",
                        "all outputs can be proved, or the one after the last frame",
                    ));
                }
                let kept: Vec<Mark> = x
                    .axes
                    .iter()
                    .copied()
                    .filter(|m| *m != Mark::Time)
                    .collect();
                self.renamed(&kept, &moved.shape)
                    .map(|axes| frames(axes, true))
                    .ok_or_else(|| Failure::unsupported("it takes some frames"))
            }
        }
    }

    /// What the axes of a shape are that has the same entries; `None` if axes are joined or split.
    fn renamed(&self, axes: &[Mark], shape: &[usize]) -> Option<Vec<Mark>> {
        let mut left = axes.iter().copied().filter(|m| *m != Mark::One).peekable();
        let mut renamed = Vec::with_capacity(shape.len());
        for size in shape {
            let next = left.next_if(|m| self.size(*m) == *size);
            renamed.push(match next {
                Some(mark) => mark,
                None if *size == 1 => Mark::One,
                None => return None,
            });
        }
        // What is left are axes of one entry.
        left.all(|m| self.size(m) == 1).then_some(renamed)
    }

    /// Puts a dense layer on the last axis.
    fn dense(&mut self, x: &Frames, weight: Wiped<Ix2>, bias: Wiped<Ix1>) -> Outcome<Track> {
        self.current(x)?;
        let mut axes = x.axes.clone();
        let inputs = axes.last().map(|m| self.size(*m));
        if inputs != Some(weight.ncols()) || axes.last() == Some(&Mark::Time) {
            return Err(Failure::malformed(format!(
                "a matrix for {} inputs, the value has the shape {:?}",
                weight.ncols(),
                self.shape(x)
            )));
        }
        if let Some(mark) = axes.last_mut() {
            *mark = Mark::Entries(weight.nrows());
        }
        if bias.len() != weight.nrows() {
            return Err(Failure::malformed(format!(
                "{} biases for {} outputs",
                bias.len(),
                weight.nrows()
            )));
        }
        let stage = self.push(Layer::Dense(weight, bias));
        Ok(Track::Frames(Frames {
            axes,
            stage,
            last: x.last,
        }))
    }

    fn gemm(&mut self, node: &Node, inputs: &[Option<Track>]) -> Outcome<Track> {
        let x = self.frames_of(inputs, 0)?.clone();
        if node.flag("transA", false)? || x.axes.len() != 2 {
            return Err(Failure::unsupported("it takes no matrix of frames"));
        }
        let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
        let mut weight = self.matrix(inputs)?;
        weight.mapv_inplace(|w| w * alpha);
        if !node.flag("transB", false)? {
            weight.swap_axes(0, 1);
        }
        let mut bias = match self.constant_of(inputs, 2, "bias")? {
            Some(c) => Self::row(&c, weight.nrows())?,
            None => Wiped(Array1::zeros(weight.nrows())),
        };
        bias.mapv_inplace(|b| b * beta);
        self.dense(&x, weight, bias)
    }

    fn matrix(&self, inputs: &[Option<Track>]) -> Outcome<Wiped<Ix2>> {
        let b = self
            .constant_of(inputs, 1, "weight")?
            .ok_or_else(|| Failure::malformed("its weight is missing"))?;
        match b.shape() {
            [rows, columns] => b.in_shape(Ix2(*rows, *columns)),
            shape => Err(Failure::unsupported(format!(
                "its weight has the shape {shape:?}"
            ))),
        }
    }

    /// A constant that is the same for every frame, as one row.
    fn row(tensor: &Tensor, size: usize) -> Outcome<Wiped<Ix1>> {
        let floats = tensor.floats()?;
        let wide = tensor.shape().last().copied().unwrap_or(1);
        match (floats, tensor.len() == wide) {
            ([one], _) => Ok(Wiped(Array1::from_elem(size, *one))),
            (floats, true) if floats.len() == size => tensor.in_shape(Ix1(size)),
            _ => Err(Failure::unsupported(format!(
                "a constant of shape {:?} for {size} entries of each frame",
                tensor.shape()
            ))),
        }
    }

    fn matmul(&mut self, inputs: &[Option<Track>]) -> Outcome<Track> {
        let x = self.frames_of(inputs, 0)?.clone();
        let mut weight = self.matrix(inputs)?;
        weight.swap_axes(0, 1);
        let bias = Wiped(Array1::zeros(weight.nrows()));
        self.dense(&x, weight, bias)
    }

    fn add(&mut self, inputs: &[Option<Track>]) -> Outcome<Track> {
        let (index, constant) = match inputs {
            [Some(Track::Frames(_)), Some(Track::Constant(c))] => (0, c.clone()),
            [Some(Track::Constant(c)), Some(Track::Frames(_))] => (1, c.clone()),
            _ => {
                return Err(Failure::unsupported(
                    "a sum of two values, in a recurrent network",
                ));
            }
        };
        let mut x = self.frames_of(inputs, index)?.clone();
        self.current(&x)?;
        let size = match x.axes.last() {
            Some(Mark::Entries(n)) if constant.shape().len() <= x.axes.len() => *n,
            Some(Mark::One) if constant.len() == 1 => 1,
            _ => {
                return Err(Failure::unsupported(
                    "it adds to something else than entries",
                ));
            }
        };
        let row = Self::row(&constant, size)?;
        match self.layers.last_mut() {
            Some(Layer::Dense(_, bias)) if bias.len() == row.len() => {
                **bias += &*row;
                // What the layer gave without it is no longer there.
                self.edits += 1;
                x.stage = self.edits;
                Ok(Track::Frames(x))
            }
            _ => Err(Failure::unsupported(
                "a constant is added to something else than a dense layer",
            )),
        }
    }

    fn activation(&mut self, inputs: &[Option<Track>], activation: Function) -> Outcome<Track> {
        let mut x = self.frames_of(inputs, 0)?.clone();
        self.current(&x)?;
        match self.layers.last() {
            Some(Layer::Dense(..)) => {}
            Some(Layer::Cell(_, weights)) => {
                // The state itself, as a dense layer that changes nothing.
                let units = weights.hidden.ncols();
                self.push(Layer::Dense(
                    Wiped(Array2::eye(units)),
                    Wiped(Array1::zeros(units)),
                ));
            }
            Some(Layer::Activation(_)) => {
                return Err(Failure::unsupported("it follows another activation"));
            }
            None => return Err(Failure::unsupported("it comes before the first cell")),
        }
        x.stage = self.push(Layer::Activation(activation));
        Ok(Track::Frames(x))
    }

    fn softmax(&mut self, node: &Node, inputs: &[Option<Track>]) -> Outcome<Track> {
        let x = self.frames_of(inputs, 0)?.clone();
        let axes = softmax_axes(node, self.opset, x.axes.len())?;
        let among = x.axes.get(axes).unwrap_or_default();
        if among.contains(&Mark::Time) || !among.iter().any(|m| matches!(m, Mark::Entries(2..))) {
            return Err(Failure::unsupported(
                "it does not run over the entries of a frame",
            ));
        }
        let end = node.outputs.first().and_then(|o| self.softmax.get(o));
        if end != Some(&SoftmaxEnd::Output) {
            return Err(Failure::unsupported("it is not at the end of the network"));
        }
        if !self.options.drop_softmax {
            return Err(Failure::instead(
                "it divides by a sum over the outputs",
                "leave it out, for logits in the same order, with `ImportOptions::drop_softmax`",
            ));
        }
        self.report.notes.push(format!(
            "`{}` ({}) is left out: outputs are logits, in the same order of size",
            node.name, node.operator
        ));
        Ok(Track::Frames(x))
    }
}
