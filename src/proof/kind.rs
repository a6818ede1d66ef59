//! The two ways to prove a chain of steps.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the steps of a run are put together into one proof.
///
/// Both kinds prove the same statement, hide the same and rest on the same assumptions about groups
/// and hashes; see the protocol notes, 13.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ProofKind {
    /// Folded by the verifier, outside any circuit: for short runs, as the proof grows by 128 bytes a
    /// step. It shows a salted digest of the state after every step.
    Flat,
    /// Folded inside the circuit with Nova: of one size, for any number of steps.
    Recursive,
}

impl ProofKind {
    /// In the header of a proof.
    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Recursive => 1,
            Self::Flat => 2,
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        [Self::Recursive, Self::Flat]
            .into_iter()
            .find(|kind| kind.byte() == byte)
    }
}

impl fmt::Display for ProofKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flat => "flat",
            Self::Recursive => "recursive",
        })
    }
}
