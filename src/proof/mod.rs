//! Proofs as bytes, statements, and their verification.

mod format;
mod statement;
mod verifier;

pub use format::Proof;
pub use statement::{Inputs, Outputs, Statement};
pub use verifier::{Verifier, VerifyError};

pub(crate) use format::{Argument, MAX_CONTEXT, PublicPart};
