//! Tests of the whole, with control over the prover's witness.

mod completeness;
mod fixtures;
