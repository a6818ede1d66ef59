//! Zero-knowledge proofs of neural-network inference by folding.
#![forbid(unsafe_code)]

mod backend;
mod circuit;
mod error;
mod ivc;
mod model;
pub mod program;
mod proof;
mod quant;
pub mod weights;

pub use backend::{Backend, PallasVesta};
pub use error::{DecodeError, Error, ErrorKind};
pub use ivc::{
    ConstraintReport, InputVisibility, OutputVisibility, Params, Prover, Session, StageTimes,
    Visibility,
};
pub use model::{ActivationFunction, Layer, Model, ModelBuilder, TableFunction, Tensors};
pub use proof::{Inputs, Outputs, Proof, Statement, VectorDigest, Verifier, VerifyError};
pub use quant::{
    Accuracy, LayerReport, Precision, QuantizationReport, QuantizedModel, Samples, Scales,
};
pub use weights::{ModelCommitment, ModelDigest};

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
