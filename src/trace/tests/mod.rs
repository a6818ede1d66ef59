//! Tests of trace proofs.

mod lowering;
mod proofs;
