//! Tests of trace proofs.

mod attacks;
pub(crate) mod forged;
mod lowering;
mod proofs;
mod second_verifier;
mod secrecy;
