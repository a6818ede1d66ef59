//! What an attacker may try against trace proofs.

mod commitments;
mod messages;
mod programs;
pub(crate) mod prover;
mod statement;
