//! The two kinds of proof.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a run is proved.
///
/// Both kinds prove the same statement, hide the same and rest on the same assumptions about groups
/// and hashes; see the protocol notes, 13.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ProofKind {
    /// All integers of the run committed at once, and one argument about them, without a circuit: the
    /// fastest, for programs whose steps are whole inferences. Time, memory and, slowly, the proof
    /// grow with the run.
    Trace,
    /// Steps folded one after the other inside a circuit, with Nova: of one size, at constant memory,
    /// for any number of frames and of layers.
    Recursive,
}

impl ProofKind {
    /// In the header of a proof; 2 was another kind.
    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Recursive => 1,
            Self::Trace => 3,
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        [Self::Recursive, Self::Trace]
            .into_iter()
            .find(|kind| kind.byte() == byte)
    }
}

impl fmt::Display for ProofKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Trace => "trace",
            Self::Recursive => "recursive",
        })
    }
}
