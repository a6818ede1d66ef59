//! Proofs as bytes, statements, and their verification.

mod chain;
mod format;
mod shape;
mod statement;
mod verifier;

pub use format::Proof;
pub use statement::{Inputs, Outputs, Statement, VectorDigest};
pub use verifier::{Verifier, VerifyError};

pub(crate) use format::{Argument, MAX_CONTEXT, PublicPart, RecursiveArgument};
pub(crate) use shape::sequence_lengths;
pub(crate) use statement::Vectors;
