//! Bytes of a proof.
//!
//! ```text
//! magic     8 bytes  "LFproof\0"
//! format    2 bytes  little-endian
//! backend   1 byte
//! kind      1 byte: 1 recursive, 3 trace
//! public    postcard: digests of program and model, steps, frames, whether vectors have rows of their
//!           own, context, parameters, inputs, outputs
//! argument  postcard: 0, C_m, P, V, the chain of steps, the opening; at most 64 KiB;
//!           or 1, bits of a row, bits of the tail, points and scalars; at most 1 MiB
//! ```
//!
//! The encoding is canonical: what decodes encodes to the same bytes, and nothing follows it.

use std::fmt;

use halo2curves::group::Group as _;
use serde::{Deserialize, Serialize};

use super::Vectors;
use crate::{
    backend::{Backend, Commitment, DefaultBackend, E1, F},
    error::{DecodeError, Error},
    keys::{Compressed, Params},
    kind::ProofKind,
    program::Program,
    recursive::Schedule,
    trace::TraceProof,
    weights::OpeningProof,
};

const MAGIC: &[u8; 8] = b"LFproof\0";
const FORMAT: u16 = 5;
const HEADER: usize = MAGIC.len() + 4;
/// Longest context.
pub(crate) const MAX_CONTEXT: usize = 1 << 16;
/// Longest recursive argument; real ones have some 11 to 16 kB.
const MAX_RECURSIVE: usize = 1 << 16;
/// Longest argument about a trace: of long runs it has many rows.
const MAX_TRACE: usize = 1 << 20;
/// Longest proof, public frames and outputs included.
///
/// Public entries take at least a byte each and eight in memory, twice and more while a list grows:
/// reading may take some twenty times this.
const MAX_PROOF: usize = 1 << 26;

/// What a proof says.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct PublicPart {
    pub(crate) program: [u8; 32],
    pub(crate) model: [u8; 32],
    pub(crate) steps: u64,
    pub(crate) frames: u64,
    /// Whether every frame and output has a digest of its own; only a trace can be of such.
    pub(crate) own_rows: bool,
    pub(crate) context: Vec<u8>,
    /// Of the statement, one after the other.
    pub(crate) parameters: Vec<i64>,
    pub(crate) inputs: Vectors,
    pub(crate) outputs: Vectors,
}

/// Why it should be believed.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) enum Argument {
    Recursive(Box<RecursiveArgument>),
    Trace(TraceProof),
}

impl Argument {
    pub(crate) fn kind(&self) -> ProofKind {
        match self {
            Self::Recursive(_) => ProofKind::Recursive,
            Self::Trace(_) => ProofKind::Trace,
        }
    }
}

/// That a chain of steps holds, and the claim about the weights that it leads to.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct RecursiveArgument {
    /// What its steps are; the keys say so too.
    pub(crate) schedule: Schedule,
    pub(crate) mask: Commitment<E1>,
    pub(crate) point: Vec<F>,
    pub(crate) value: F,
    pub(crate) chain: Compressed,
    pub(crate) opening: OpeningProof,
}

/// A proof that a committed model ran on some inputs.
///
/// It hides weights, private inputs and hidden outputs. The size of a
/// [recursive](ProofKind::Recursive) one does not depend on depth or on the number of frames, but for
/// what is public; a [trace](ProofKind::Trace) grows slowly with both.
pub struct Proof {
    pub(crate) public: PublicPart,
    pub(crate) argument: Argument,
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof")
            .field("steps", &self.public.steps)
            .field("frames", &self.public.frames)
            .field("kind", &self.kind())
            .finish_non_exhaustive()
    }
}

impl Params {
    /// The keys of a program that verify a proof, whatever [schedule](Proof::schedule) its prover chose:
    /// the statement is the same under all of them. Of the proof nothing else is read.
    ///
    /// The prover chooses how large a step is, and so what the keys cost: up to `2^22` constraints, minutes
    /// and gigabytes. Whoever verifies proofs of strangers says which schedule is accepted with
    /// [`setup_with`](Self::setup_with), or takes traces only, with [`Verifier::kind`](crate::Verifier::kind).
    ///
    /// # Errors
    /// As [`setup`](Self::setup).
    pub fn for_proof(program: &Program, proof: &Proof) -> Result<Self, Error> {
        match proof.schedule() {
            Some(schedule) => Self::setup_with(program, schedule),
            None => Self::setup(program),
        }
    }
}

impl Proof {
    /// Steps that the proof claims; not verified.
    #[must_use]
    pub fn claimed_steps(&self) -> u64 {
        self.public.steps
    }

    /// How the run is proved.
    #[must_use]
    pub fn kind(&self) -> ProofKind {
        self.argument.kind()
    }

    /// What shares a step of a recursive proof: the [keys](Params::for_proof) that verify it are of this
    /// schedule. `None` for a trace, which has none.
    #[must_use]
    pub fn schedule(&self) -> Option<Schedule> {
        match &self.argument {
            Argument::Recursive(argument) => Some(argument.schedule),
            Argument::Trace(_) => None,
        }
    }

    /// The canonical bytes.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "serialising to memory fails for no value of these types"
    )]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(FORMAT.to_le_bytes());
        bytes.extend([DefaultBackend::ID, self.kind().byte()]);
        bytes.extend(postcard::to_stdvec(&self.public).expect("a statement has bytes"));
        bytes.extend(postcard::to_stdvec(&self.argument).expect("an argument has bytes"));
        bytes
    }

    /// Reads a proof. This verifies nothing.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are not a proof of this format and backend, are truncated, too
    /// long, or not canonical, or hold a point off the curve.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_PROOF {
            return Err(DecodeError::TooLong {
                what: "proof",
                limit: MAX_PROOF as u64,
                got: bytes.len() as u64,
            });
        }
        let rest = bytes
            .strip_prefix(MAGIC.as_slice())
            .ok_or(DecodeError::Magic { what: "proof" })?;
        let (format, rest) = rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
        let format = u16::from_le_bytes(*format);
        if format != FORMAT {
            return Err(DecodeError::Version {
                expected: FORMAT,
                got: format,
            });
        }
        let (backend, rest) = rest.split_first().ok_or(DecodeError::Truncated)?;
        if *backend != DefaultBackend::ID {
            return Err(DecodeError::Backend {
                expected: DefaultBackend::ID,
                got: *backend,
            });
        }
        let (kind, rest) = rest.split_first().ok_or(DecodeError::Truncated)?;
        let kind = ProofKind::from_byte(*kind).ok_or(DecodeError::Malformed {
            what: "kind of proof",
        })?;
        let (public, rest) = take::<PublicPart>(rest, "public part")?;
        if public.context.len() > MAX_CONTEXT {
            return Err(DecodeError::TooLong {
                what: "context",
                limit: MAX_CONTEXT as u64,
                got: public.context.len() as u64,
            });
        }
        let limit = match kind {
            ProofKind::Recursive => MAX_RECURSIVE,
            ProofKind::Trace => MAX_TRACE,
        };
        if rest.len() > limit {
            return Err(DecodeError::TooLong {
                what: "argument",
                limit: limit as u64,
                got: rest.len() as u64,
            });
        }
        let (argument, rest) = take::<Argument>(rest, "argument")?;
        if !rest.is_empty() {
            return Err(DecodeError::TrailingBytes { count: rest.len() });
        }
        if argument.kind() != kind {
            return Err(DecodeError::Kind {
                expected: kind,
                got: argument.kind(),
            });
        }
        if let Argument::Recursive(argument) = &argument
            && bool::from(argument.mask.comm.is_identity())
        {
            return Err(DecodeError::Malformed {
                what: "commitment to the mask",
            });
        }
        let proof = Self { public, argument };
        if proof.to_bytes().get(HEADER..) != bytes.get(HEADER..) {
            return Err(DecodeError::NotCanonical);
        }
        Ok(proof)
    }
}

/// What tests need that lie.
#[cfg(test)]
#[expect(clippy::panic, reason = "tests")]
impl Proof {
    pub(crate) fn recursive(&self) -> &RecursiveArgument {
        match &self.argument {
            Argument::Recursive(argument) => argument,
            Argument::Trace(_) => panic!("the proof of a trace"),
        }
    }

    pub(crate) fn recursive_mut(&mut self) -> &mut RecursiveArgument {
        match &mut self.argument {
            Argument::Recursive(argument) => argument,
            Argument::Trace(_) => panic!("the proof of a trace"),
        }
    }

    pub(crate) fn into_recursive(self) -> RecursiveArgument {
        match self.argument {
            Argument::Recursive(argument) => *argument,
            Argument::Trace(_) => panic!("the proof of a trace"),
        }
    }

    pub(crate) fn trace_mut(&mut self) -> &mut TraceProof {
        match &mut self.argument {
            Argument::Trace(argument) => argument,
            Argument::Recursive(_) => panic!("a recursive proof"),
        }
    }
}

fn take<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
    what: &'static str,
) -> Result<(T, &'a [u8]), DecodeError> {
    postcard::take_from_bytes(bytes).map_err(|e| match e {
        postcard::Error::DeserializeUnexpectedEnd => DecodeError::Truncated,
        _ => DecodeError::Malformed { what },
    })
}
