//! Errors of everything but verification.
//!
//! [`Error`] is what a prover or a model builder gets; bytes that could not be read give a
//! [`DecodeError`], and a proof that was read but does not hold gives a
//! [`VerifyError`](crate::VerifyError), which is a type of its own.

use std::fmt;

/// What went wrong while building, quantising, setting up or proving.
pub struct Error(Box<Reason>);

/// The class of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The calls are in the wrong order, or their arguments do not fit each other.
    Usage,
    /// A value handed in (a weight, an input, a calibration sample) is not acceptable.
    Input,
    /// The model or program asks for something that the proof system cannot express.
    Unsupported,
    /// A file could not be read or written.
    Io,
    /// Bytes could not be decoded.
    Decode,
    /// The proof system itself failed; with valid inputs this is a defect of the library.
    Proving,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Reason {
    #[error("{what}: expected {expected}, got {got}")]
    Shape {
        what: &'static str,
        expected: usize,
        got: usize,
    },
    #[error("{what} is empty")]
    Empty { what: &'static str },
    #[error("{what} is not a finite number (at index {index})")]
    NotFinite { what: &'static str, index: usize },
    #[error("{what}: {got} is outside {least}..={most}")]
    Range {
        what: &'static str,
        got: i128,
        least: i128,
        most: i128,
    },
    #[error("the program is not valid: {0}")]
    Program(#[from] ProgramError),
    #[error(
        "a step of the program is too large for recursion ({0}): spread its layers or frames over more steps, or prove it as a trace"
    )]
    Step(ProgramError),
    #[error("{what}")]
    Usage { what: &'static str },
    #[error("tensor `{name}`: {problem}")]
    Tensor { name: String, problem: String },
    #[error("map {map}: an output can reach {reach}, its program allows {limit}")]
    Reach {
        map: usize,
        reach: i128,
        limit: i128,
    },
    #[error("{operation}: {problem}")]
    Network {
        operation: &'static str,
        problem: String,
    },
    #[error("{operation}: {problem}")]
    NetworkLimit {
        operation: &'static str,
        problem: String,
    },
    #[error("{path}: {source}")]
    Io {
        path: String,
        source: std::io::Error,
    },
    #[error("{0}")]
    Decode(#[from] DecodeError),
    #[error("{stage}: {detail}")]
    Proving { stage: &'static str, detail: String },
}

impl Error {
    /// The class of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match &*self.0 {
            Reason::Shape { .. }
            | Reason::Empty { .. }
            | Reason::NotFinite { .. }
            | Reason::Range { .. }
            | Reason::Network { .. }
            | Reason::Tensor { .. } => ErrorKind::Input,
            Reason::Usage { .. } => ErrorKind::Usage,
            Reason::Program(_)
            | Reason::Step(_)
            | Reason::NetworkLimit { .. }
            | Reason::Reach { .. } => ErrorKind::Unsupported,
            Reason::Io { .. } => ErrorKind::Io,
            Reason::Decode(_) => ErrorKind::Decode,
            Reason::Proving { .. } => ErrorKind::Proving,
        }
    }

    pub(crate) fn proving(stage: &'static str, detail: impl fmt::Display) -> Self {
        Reason::Proving {
            stage,
            detail: detail.to_string(),
        }
        .into()
    }

    pub(crate) fn usage(what: &'static str) -> Self {
        Reason::Usage { what }.into()
    }

    pub(crate) fn io(path: &std::path::Path, source: std::io::Error) -> Self {
        Reason::Io {
            path: path.display().to_string(),
            source,
        }
        .into()
    }
}

impl From<Reason> for Error {
    fn from(reason: Reason) -> Self {
        Self(Box::new(reason))
    }
}

impl From<ProgramError> for Error {
    fn from(e: ProgramError) -> Self {
        Reason::from(e).into()
    }
}

impl From<DecodeError> for Error {
    fn from(e: DecodeError) -> Self {
        Reason::from(e).into()
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}: {})", self.kind(), self.0)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.0 {
            Reason::Io { source, .. } => Some(source),
            Reason::Decode(e) => Some(e),
            Reason::Program(e) | Reason::Step(e) => Some(e),
            _ => None,
        }
    }
}

/// Bytes that could not be read: they are no proof, commitment or program of this library at all.
///
/// This says nothing about whether a statement holds; a proof that was read and does not hold
/// gives a [`VerifyError`](crate::VerifyError).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes do not begin with the expected magic.
    #[error("this is no {what}: the magic bytes differ")]
    Magic {
        /// What was to be read.
        what: &'static str,
    },
    /// Another version of the format.
    #[error("format version {got}, this library reads {expected}")]
    Version {
        /// The version that this library reads.
        expected: u16,
        /// The version found.
        got: u16,
    },
    /// Another curve cycle.
    #[error("backend {got}, this library has {expected}")]
    Backend {
        /// The backend of this library.
        expected: u8,
        /// The backend found.
        got: u8,
    },
    /// The header says another kind of proof than the argument is.
    #[error("the argument is of the {got} kind, the header says {expected}")]
    Kind {
        /// What the header says.
        expected: crate::ProofKind,
        /// What the argument is.
        got: crate::ProofKind,
    },
    /// Fewer bytes than the format needs.
    #[error("truncated")]
    Truncated,
    /// Bytes remain after the end.
    #[error("{count} trailing bytes")]
    TrailingBytes {
        /// How many.
        count: usize,
    },
    /// A length is larger than the format allows.
    #[error("{what}: length {got} is over the limit {limit}")]
    TooLong {
        /// Which sequence.
        what: &'static str,
        /// The largest length allowed.
        limit: u64,
        /// The length found.
        got: u64,
    },
    /// A part is malformed: a point off the curve, a number over the modulus, an unknown flag.
    #[error("malformed {what}")]
    Malformed {
        /// Which part.
        what: &'static str,
    },
    /// The bytes are not those that were written: the digest at their end differs.
    #[error("the {what} was changed or damaged")]
    Check {
        /// What was to be read.
        what: &'static str,
    },
    /// The bytes are not the canonical form of what they decode to.
    #[error("not the canonical encoding")]
    NotCanonical,
    /// A program that decodes and is not valid.
    #[error("the program is not valid: {0}")]
    Program(#[from] ProgramError),
}

/// Why a program is not valid, or has no argument of some kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// A dimension is zero, too large, or does not fit another.
    #[error("{what}: {got} is outside {least}..={most}")]
    Dimension {
        /// Which dimension.
        what: &'static str,
        /// Its value.
        got: u64,
        /// The least value allowed.
        least: u64,
        /// The largest value allowed.
        most: u64,
    },
    /// An operation breaks a rule of the language.
    #[error("operation {operation}: {problem}")]
    Operation {
        /// Position in the list.
        operation: usize,
        /// The rule.
        problem: &'static str,
    },
    /// The program as a whole breaks a rule of the language.
    #[error("{0}")]
    Structure(&'static str),
}
