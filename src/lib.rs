//! Zero-knowledge proofs of neural-network inference.
//!
//! A prover commits to the integer weights of a model once. For every run it shows that *this*
//! model, on inputs that may stay private, produced outputs that may stay hidden, and nothing
//! else. Where the integers of the run fit into memory, all of them are committed at once and one
//! argument shows all layers. Otherwise every layer, or group of layers or frames, is one step of the
//! same circuit; the steps are folded with Nova, and the end is one compressed proof whose size, but
//! for public vectors, depends neither on the number of steps nor on the number of inputs. See
//! [`ProofKind`].
//!
//! ```
//! use layerfold::{Network, Params, Precision, Proof, Prover, Verifier, Visibility};
//! use ndarray::array;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let network = Network::sequential([2])
//!     .dense(array![[1.0, -0.5], [0.25, 2.0], [-1.0, 1.0]], array![0.1, 0.0, -0.2])
//!     .relu()
//!     .dense(array![[0.5, 1.0, -1.0]], array![0.3])
//!     .build()?;
//! let samples = array![[0.5, -1.0], [1.0, 0.25], [-0.75, 0.5]];
//! let quantized = network.quantize(&samples, &Precision::default())?;
//!
//! // Keys depend on the program alone, which holds shapes and no weights.
//! let params = Params::setup(quantized.program())?;
//! let prover = Prover::new(&params, &quantized)?;
//! let commitment = prover.model_commitment();
//!
//! let mut session = prover.session(Visibility::private_inputs().public_outputs())?;
//! session.push(samples.row(0))?;
//! let bytes = session.finish()?.to_bytes();
//!
//! // The verifier makes its own keys, and is given the commitment and the bytes.
//! let verifier = Verifier::new(&Params::setup(quantized.program())?, commitment);
//! let statement = verifier.verify(&Proof::from_bytes(&bytes)?)?;
//! assert_eq!(statement.frames, 1);
//! # Ok(())
//! # }
//! ```
//!
//! A model is first a [`Network`] of floats, then a [`Quantized`] one of integers, whose [`program`] says
//! what is computed and nothing of how it is proved. Two arguments are about runs of a program: of all
//! integers at once, and of steps that are folded ([`Schedule`] says what shares one). What is proved and
//! why it should be believed is in [`notes`].
#![forbid(unsafe_code)]

mod backend;
mod curve;
mod error;
mod hash;
mod hex;
mod ipa;
mod keys;
mod kind;
pub mod network;
pub mod notes;
#[cfg(feature = "onnx")]
pub mod onnx;
pub mod plan;
pub mod program;
mod proof;
mod recursive;
mod session;
mod statement;
mod trace;
pub mod weights;

pub use backend::{Backend, PallasVesta};
pub use error::{DecodeError, Error, ErrorKind};
pub use keys::{ConstraintReport, Params};
pub use kind::ProofKind;
/// Vectors and matrices of the interface are of this crate.
pub use ndarray;
pub use network::{Network, NetworkBuilder, Precision, Quantized, Scales, Tensors};
pub use proof::{Inputs, Outputs, Proof, Statement, VectorDigest, Verifier, VerifyError};
pub use recursive::Schedule;
pub use session::{
    Attestation, DEFAULT_MEMORY_LIMIT, DigestBuilder, Prover, Session, StageTimes,
    digest_of_frames, frame_digest,
};
pub use statement::{InputVisibility, OutputVisibility, Salt, SaltKey, Visibility};
pub use weights::{BlindingSeed, ModelCommitment, ModelDigest};

/// For the benches, no part of the interface.
#[doc(hidden)]
pub mod bench_internals {
    pub use crate::{
        backend::{PallasEngine, VestaEngine},
        ipa::{EvaluationEngine, pallas_msm},
    };
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../docs/guide.md")]
struct Guide;
