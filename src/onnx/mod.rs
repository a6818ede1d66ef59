//! Networks from ONNX files; with feature `onnx`.
//!
//! From a file and samples of its inputs to a proof that is verified:
//!
//! ```
//! use layerfold::{Params, Proof, Prover, Verifier, Visibility, network::Precision, onnx};
//! # use ndarray::Array1;
//! # let bytes = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/onnx/net-mlp.onnx"));
//! # let sample = |k: usize| Array1::from_shape_fn(12, |i| ((3 * i + 5 * k) as f32).sin());
//! # let samples: Vec<Array1<f32>> = (0..8).map(sample).collect();
//!
//! let graph = onnx::from_bytes(bytes)?.into_graph()?; // or `onnx::load("model.onnx")?`
//! let quantized = graph.quantize(&samples, &Precision::default())?;
//! let params = Params::setup(quantized.program())?;
//! let prover = Prover::new(&params, &quantized)?;
//! let mut session = prover.session(Visibility::private_inputs().public_outputs())?;
//! let output = session.push(samples[0].view())?;
//! let proof = session.finish()?.to_bytes();
//!
//! let verifier = Verifier::new(&params, prover.model_commitment());
//! let statement = verifier.verify(&Proof::from_bytes(&proof)?)?;
//! # assert_eq!((statement.frames, output.len()), (1, 4));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What the import left out or assumed is in [`ImportReport::notes`].
//!
//! The nodes are walked in the order of the file. Nodes of constants are computed; what is linear in
//! the input composes; a function that is spread over several nodes (GELU, SiLU, Mish and others are
//! written so by exporters) becomes one function again. An operator that has no counterpart is
//! reported with all others of the file, by its name there.
//!
//! # What is imported
//!
//! Floats of any width are single precision here. A first dimension that is left open is taken for
//! the batch, and is 1; a given one is kept. One input, one output.
//!
//! * Linear: `Gemm`, `MatMul` with a constant, `Conv`, `ConvTranspose`, `BatchNormalization`,
//!   `AveragePool`, `GlobalAveragePool`, `ReduceMean`, `ReduceSum`, `Add`, `Sub`, `Sum`, `Mean`,
//!   `Neg`, `Mul` and `Div` by constants.
//! * Entries moved: `Reshape`, `Flatten`, `Squeeze`, `Unsqueeze`, `Transpose`, `Slice`, `Split`,
//!   `Concat`, `Pad`, `Gather` and `Tile` and `Expand` and `Where` by constants, `DepthToSpace`,
//!   `SpaceToDepth`, `Resize` to nearest neighbours, `Identity`, `Dropout`, `Cast` between floats.
//! * Functions: `Relu`, `LeakyRelu`, `PRelu`, `Clip`, `Sigmoid`, `HardSigmoid`, `HardSwish`,
//!   `Swish`, `Tanh`, `Gelu`, `Erf`, `Elu`, `Celu`, `Selu`, `Softplus`, `Softsign`, `Mish`, `Exp`,
//!   `Sqrt`, `Abs`, `Sin`, `Cos`, `Atan`, `Pow` to a constant, quotients of functions of one value.
//! * Products of values: `Mul`. Maxima: `Max`, `Min`, `MaxPool`, `GlobalMaxPool`. `ArgMax` as the
//!   output; `Softmax` and `LogSoftmax` before it, or as the output with
//!   [`ImportOptions::drop_softmax`].
//! * `Scan` of up to 64 steps and `If` of a constant, with bodies of the above.
//! * `RNN`, `GRU` and `LSTM` of one direction, stacked, with dense layers after them: a
//!   [`Network`].
//!
//! # Files that are not to be trusted
//!
//! A file is bounded by [`ImportOptions::max_file_bytes`]; lengths are checked before anything is
//! decoded, shapes before anything is allocated. What an import may cost grows with the size of the
//! file: some hundred bytes take less than 1 GiB and some seconds, whatever they say. A file that
//! is no model gives an error. The weights are zeroised when they are dropped, the decoder's
//! buffers are not.
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]
#![cfg_attr(
    test,
    allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)
)]

mod decode;
mod elementwise;
mod error;
mod file;
mod fold;
mod import;
mod layers;
mod limits;
mod movement;
mod scan;
mod sequence;
mod tensor;
mod unary;
mod wire;

use std::{collections::BTreeMap, fs::File, io::Read, path::Path};

use zeroize::Zeroizing;

pub use error::{OnnxError, UnsupportedNode};

use crate::network::Network;

/// A network that was imported.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Imported {
    /// A network without state. Its input and its output are the tensors of the file, row by row.
    Network(Network),
    /// A recurrent network: its input is a sequence of frames.
    Sequence(Network),
}

/// A network, and what is to be said of its import.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Import {
    /// The network.
    pub model: Imported,
    /// What became of the nodes.
    pub report: ImportReport,
}

impl Import {
    /// The network, if it has no state.
    ///
    /// # Errors
    /// [`OnnxError::Unsupported`] if it is recurrent.
    pub fn into_graph(self) -> Result<Network, OnnxError> {
        match self.model {
            Imported::Network(graph) => Ok(graph),
            Imported::Sequence(_) => Err(another("a recurrent network", "Import::into_sequence")),
        }
    }

    /// The network, if it is recurrent.
    ///
    /// # Errors
    /// [`OnnxError::Unsupported`] if it has no recurrent node.
    pub fn into_sequence(self) -> Result<Network, OnnxError> {
        match self.model {
            Imported::Sequence(model) => Ok(model),
            Imported::Network(_) => Err(another("a network without state", "Import::into_graph")),
        }
    }
}

fn another(what: &str, instead: &str) -> OnnxError {
    OnnxError::Unsupported(vec![UnsupportedNode {
        name: "graph".to_owned(),
        operator: "model".to_owned(),
        reason: format!("it is {what}"),
        instead: Some(format!("take it with `{instead}`")),
    }])
}

/// What became of the nodes of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportReport {
    /// The program that wrote the file, as it says.
    pub producer: String,
    /// Version of ONNX's operators.
    pub opset: i64,
    /// Nodes of the graph, without those of bodies.
    pub nodes: usize,
    /// How many of them have each operator; of other domains than ONNX's with the domain before a dot.
    pub operators: BTreeMap<String, usize>,
    /// Entries of all initialisers of floats, without those of bodies.
    pub parameters: usize,
    /// Nodes that were computed, because all their inputs are constants; in bodies, once a step.
    pub folded: usize,
    /// Nodes that the output does not depend on.
    pub unused: usize,
    /// Shape of the input; of a frame for a sequence.
    pub input_shape: Vec<usize>,
    /// Shape of the output; for each frame, or after the last one, for a sequence.
    pub output_shape: Vec<usize>,
    /// What was left out, assumed or made public.
    pub notes: Vec<String>,
}

/// Choices of an import.
#[derive(Clone, Debug)]
#[must_use]
pub struct ImportOptions {
    max_file_bytes: u64,
    drop_softmax: bool,
    output: Option<String>,
    input_shape: Option<Vec<usize>>,
    dimensions: Vec<(String, usize)>,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            max_file_bytes: 1 << 30,
            drop_softmax: false,
            output: None,
            input_shape: None,
            dimensions: Vec::new(),
        }
    }
}

impl ImportOptions {
    /// The default: files of up to 2^30 bytes, one output, a softmax at the end is refused.
    pub fn new() -> Self {
        Self::default()
    }

    /// Largest size of a file.
    pub fn max_file_bytes(mut self, bytes: u64) -> Self {
        self.max_file_bytes = bytes;
        self
    }

    /// Whether a `Softmax` or `LogSoftmax` at the end is left out: the outputs are logits then,
    /// in the same order of size. [`ImportReport::notes`] says so.
    pub fn drop_softmax(mut self, drop: bool) -> Self {
        self.drop_softmax = drop;
        self
    }

    /// The output, or any value in between, that is the network's output. Necessary for a file
    /// with several.
    pub fn output(mut self, name: impl Into<String>) -> Self {
        self.output = Some(name.into());
        self
    }

    /// The shape of the input, the batch among its dimensions, instead of the file's.
    pub fn input_shape(mut self, shape: impl IntoIterator<Item = usize>) -> Self {
        self.input_shape = Some(shape.into_iter().collect());
        self
    }

    /// The size of a dimension that the file names and leaves open. The first dimension of the input
    /// is 1 if nothing is said.
    pub fn dimension(mut self, name: impl Into<String>, size: usize) -> Self {
        self.dimensions.push((name.into(), size));
        self
    }
}

/// Imports a file, with the default [`ImportOptions`].
///
/// # Errors
/// As [`from_bytes_with`]; if the file cannot be read.
pub fn load(path: impl AsRef<Path>) -> Result<Import, OnnxError> {
    load_with(path, &ImportOptions::default())
}

/// Imports a file.
///
/// # Errors
/// As [`from_bytes_with`]; if the file cannot be read.
pub fn load_with(path: impl AsRef<Path>, options: &ImportOptions) -> Result<Import, OnnxError> {
    let path = path.as_ref();
    let io = |source| OnnxError::Io {
        path: path.display().to_string(),
        source,
    };
    let file = File::open(path).map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    check_size(size, options)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0)));
    // It may have grown.
    file.take(options.max_file_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(io)?;
    from_bytes_with(&bytes, options)
}

/// Imports the bytes of a file, with the default [`ImportOptions`].
///
/// # Errors
/// As [`from_bytes_with`].
pub fn from_bytes(bytes: &[u8]) -> Result<Import, OnnxError> {
    from_bytes_with(bytes, &ImportOptions::default())
}

/// Imports the bytes of a file.
///
/// # Errors
/// [`OnnxError::Malformed`] for bytes that are no ONNX model; [`OnnxError::Unsupported`] with every
/// part of the model that has no counterpart here; [`OnnxError::TooLarge`] for what is over a limit;
/// [`OnnxError::Model`] if the graph or sequence model refuses a node.
pub fn from_bytes_with(bytes: &[u8], options: &ImportOptions) -> Result<Import, OnnxError> {
    check_size(u64::try_from(bytes.len()).unwrap_or(u64::MAX), options)?;
    let file = decode::decode(bytes)?;
    import::import(&file, options)
}

fn check_size(got: u64, options: &ImportOptions) -> Result<(), OnnxError> {
    if got > options.max_file_bytes {
        return Err(OnnxError::TooLarge {
            what: "bytes of the file".to_owned(),
            got,
            limit: options.max_file_bytes,
        });
    }
    Ok(())
}
