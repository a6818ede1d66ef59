//! Tests of trace proofs.

mod attacks;
mod lowering;
mod proofs;
mod secrecy;
