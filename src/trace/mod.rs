//! Trace proofs: the integers of a run committed, no constraint per activation (protocol notes, 13).
//!
//! A program becomes columns (committed integers), lookups and identities.
//! One tree of fractions shows all lookups, one sumcheck all products, one sumcheck brings every
//! claim to one point, and one opening closes it. Every message is a Pedersen commitment.

mod argument;
mod axis;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod check;
mod digest;
mod end;
mod equation;
mod fill;
mod gates;
mod key;
mod layout;
mod lower;
mod message;
mod point;
mod products;
mod size;
mod system;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
pub(crate) mod tests;
mod transcript;
mod tree;
mod witness;

use serde::{Deserialize, Serialize};

pub(crate) use digest::{RowKind, block_digest, frames_per_block, run_digest};

use crate::{
    error::Error,
    program::Program,
    statement::Visibility,
    weights::{CommittedBank, ModelCommitment},
};

/// What depends on the program alone.
pub(crate) struct TraceKey {
    program: Program,
    program_digest: [u8; 32],
}

/// The public side of a run: what a verifier is given beside the proof, and what a prover's run is
/// bound to.
pub(crate) struct TraceStatement<'a> {
    pub(crate) model: &'a ModelCommitment,
    pub(crate) context: &'a [u8],
    pub(crate) parameters: &'a [i64],
    pub(crate) frames: u64,
    /// Whether every frame and output has rows, and so a digest, of its own.
    pub(crate) own_rows: bool,
    pub(crate) inputs: PublicVectors<'a>,
    pub(crate) outputs: PublicVectors<'a>,
}

/// Vectors of a statement.
#[derive(Clone, Copy)]
pub(crate) enum PublicVectors<'a> {
    /// The [digest](run_digest) of vectors that are not shown.
    Digest(&'a [u8; 32]),
    /// All vectors, one after the other.
    Entries(&'a [i64]),
}

/// What a prover proves.
pub(crate) struct TraceRun<'a> {
    pub(crate) bank: &'a CommittedBank,
    pub(crate) visibility: Visibility,
    pub(crate) context: &'a [u8],
    pub(crate) parameters: &'a [i64],
    /// Whether every frame and output has rows, and so a digest, of its own.
    pub(crate) own_rows: bool,
    /// Whether the opening is to be fast rather than small.
    pub(crate) fast: bool,
    /// The frames, as integers.
    pub(crate) frames: &'a [Vec<i64>],
    /// The salt of the frame, or output, of an index; of those that are public none is asked for.
    pub(crate) salt: &'a (dyn Fn(RowKind, u64) -> crate::backend::F + Sync),
}

/// What a prover gets: the argument, and what the statement says of inputs and outputs.
pub(crate) struct TraceOutcome {
    pub(crate) proof: TraceProof,
    /// The digest of the frames, if they are private.
    pub(crate) inputs: Option<[u8; 32]>,
    /// The digest of the outputs, if they are hidden.
    pub(crate) outputs: Option<[u8; 32]>,
}

/// An argument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TraceProof {
    /// `c`: a row of the trace has `2^c` entries.
    pub(crate) row_bits: u8,
    /// `f`: the opening ends with `2^f` entries in the clear.
    pub(crate) tail_bits: u8,
    /// Points and scalars, in the order of the protocol.
    pub(crate) body: Vec<u8>,
}

/// A trace proof does not hold, or has not the shape of one for this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TraceError {
    /// The bytes cannot be those of a proof for this program.
    Shape,
    /// The argument does not hold.
    Invalid,
}

impl TraceKey {
    /// What trace proofs of a program need; cheap.
    pub(crate) fn new(program: &Program, program_digest: [u8; 32]) -> Self {
        Self {
            program: program.clone(),
            program_digest,
        }
    }

    /// Makes the tables that every prover needs, if they are not there yet.
    pub(crate) fn prepare(&self) {
        let _ = key::MessageKey::get();
        let _ = key::RowKey::get(argument::likely_row_bits(&self.program));
    }

    /// Bytes of memory that a proof of a run of so many frames takes at its peak, about.
    pub(crate) fn memory_bytes(&self, frames: u64) -> u64 {
        argument::memory_bytes(&self.program, frames)
    }

    /// Proves a run.
    ///
    /// # Errors
    /// If there is no frame, or the weights are not those of the program; if the run is too large.
    pub(crate) fn prove(&self, run: &TraceRun<'_>) -> Result<TraceOutcome, Error> {
        argument::prove(&self.program, &self.program_digest, run)
    }

    /// Verifies a proof. Numbers, lengths and ranges of public vectors and parameters were checked.
    pub(crate) fn verify(
        &self,
        statement: &TraceStatement<'_>,
        proof: &TraceProof,
    ) -> Result<(), TraceError> {
        argument::verify(&self.program, &self.program_digest, statement, proof)
    }
}
