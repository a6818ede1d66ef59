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
//! let network = onnx::from_bytes(bytes)?.network; // or `onnx::load("model.onnx")?`
//! let quantized = network.quantize(&samples, &Precision::default())?;
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
//! * Over frames: `RNN`, `GRU`, `LSTM`, and `Scan` beside them, forward; see below.
//!
//! # Recurrent networks
//!
//! A file with `RNN`, `GRU` or `LSTM` nodes is a network with state: its input is one frame of what is
//! a sequence in the file, and [`ImportReport::time_axis`] is the axis that the frames are along. All
//! operators of the list work before, between and after recurrent nodes, on each frame; the output is
//! one for every frame, or the one after the last frame if the file takes that (`Y_h`, or the entry at
//! the end of the axis of time). Frames meet in the state only: sums, convolutions, slices and
//! attention over time are refused, and so are sequences in reverse. How many frames there are may
//! be left open. The batch is one sequence.
//!
//! # Files that are not to be trusted
//!
//! A file is bounded by [`ImportOptions::max_file_bytes`]; lengths are checked before anything is
//! decoded, shapes before anything is allocated. What an import may cost grows with the size of the
//! file: some hundred bytes take less than 1 GiB and some seconds, whatever they say. A file that
//! is no model gives an error. In messages, names of the file are shown with control characters and
//! those that change the direction of writing escaped. The weights are zeroised when they are
//! dropped, what the decoder makes of them too, but for copies that a growing list leaves behind;
//! the bytes that [`from_bytes`] is given are the caller's.
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

mod context;
mod conv;
mod decode;
mod elementwise;
mod error;
mod file;
mod fold;
mod frames;
mod import;
mod layers;
mod limits;
mod matmul;
mod movement;
mod obstacles;
mod options;
mod recurrent;
mod report;
mod scan;
mod schema;
mod softmax;
mod tensor;
mod time;
mod unary;
mod walk;
mod wire;

use std::{fs::File, io::Read, path::Path};

use zeroize::Zeroizing;

pub use error::{OnnxError, UnsupportedNode};
pub use options::ImportOptions;
pub use report::{Import, ImportReport};

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
/// [`OnnxError::Model`] if the builder of the network refuses a node.
pub fn from_bytes_with(bytes: &[u8], options: &ImportOptions) -> Result<Import, OnnxError> {
    check_size(u64::try_from(bytes.len()).unwrap_or(u64::MAX), options)?;
    let imported = decode::decode(bytes).and_then(|file| import::import(&file, options));
    let mut import = imported.map_err(OnnxError::printable)?;
    import.report.printable();
    Ok(import)
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
