//! What keeps a file from being imported.

use std::fmt;

use crate::error::Error;

/// A file could not be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// The file could not be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The bytes are no ONNX model, or one that contradicts itself.
    #[error("not a valid ONNX model: {0}")]
    Malformed(String),
    /// Parts of the model have no counterpart here: all of them, in the order of the file.
    #[error("{}", list(.0))]
    Unsupported(Vec<UnsupportedNode>),
    /// The network was read, and its builder refuses a part of it.
    #[error("{node}: {source}")]
    Model {
        /// The node, or what else of the file was being imported.
        node: String,
        /// The reason.
        source: Error,
    },
    /// The file, or something in it, is larger than it may be.
    #[error("{what}: {got} is over the limit {limit}")]
    TooLarge {
        /// What is too large.
        what: String,
        /// Its size; a lower bound if it was not counted to the end.
        got: u64,
        /// The limit.
        limit: u64,
    },
}

/// A part of a model that has no counterpart here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnsupportedNode {
    /// The name of the node; of its first output if it has none.
    pub name: String,
    /// The operator.
    pub operator: String,
    /// Why it cannot be imported.
    pub reason: String,
    /// What to do instead, if something is known.
    pub instead: Option<String>,
}

impl fmt::Display for UnsupportedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({}): {}", self.name, self.operator, self.reason)?;
        match &self.instead {
            Some(instead) => write!(f, "; {instead}"),
            None => Ok(()),
        }
    }
}

fn list(nodes: &[UnsupportedNode]) -> String {
    let mut text = match nodes.len() {
        1 => "a part of the model is not supported:".to_owned(),
        n => format!("{n} parts of the model are not supported:"),
    };
    for node in nodes {
        text.push_str("\n  ");
        text.push_str(&node.to_string());
    }
    text
}

impl OnnxError {
    /// The same, with names from the file as they may be shown.
    pub(super) fn printable(self) -> Self {
        match self {
            Self::Malformed(problem) => Self::Malformed(printable(&problem)),
            Self::Unsupported(nodes) => Self::Unsupported(
                nodes
                    .into_iter()
                    .map(|node| UnsupportedNode {
                        name: printable(&node.name),
                        operator: printable(&node.operator),
                        reason: printable(&node.reason),
                        instead: node.instead.as_deref().map(printable),
                    })
                    .collect(),
            ),
            Self::Model { node, source } => Self::Model {
                node: printable(&node),
                source,
            },
            Self::TooLarge { what, got, limit } => Self::TooLarge {
                what: printable(&what),
                got,
                limit,
            },
            io @ Self::Io { .. } => io,
        }
    }
}

/// A text with characters escaped that would act on a terminal or hide what is there: control
/// characters, those that change the direction of writing, and those without width.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let acts = c.is_control()
            || matches!(
                c,
                '\u{ad}'
                    | '\u{61c}'
                    | '\u{180e}'
                    | '\u{200b}'..='\u{200f}'
                    | '\u{2028}'..='\u{202e}'
                    | '\u{2060}'..='\u{206f}'
                    | '\u{feff}'
                    | '\u{fff9}'..='\u{fffb}'
                    | '\u{e0000}'..='\u{e007f}'
            );
        if acts {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Why one node was not imported.
#[derive(Debug)]
pub(super) enum Failure {
    /// It has no counterpart; the walk goes on.
    Unsupported {
        reason: String,
        instead: Option<String>,
    },
    /// The model contradicts itself at this node.
    Malformed(String),
    /// The builder refuses it.
    Model(Error),
    /// The walk ends.
    Fatal(OnnxError),
}

pub(super) type Outcome<T> = Result<T, Failure>;

impl Failure {
    pub(super) fn unsupported(reason: impl Into<String>) -> Self {
        Self::Unsupported {
            reason: reason.into(),
            instead: None,
        }
    }

    pub(super) fn instead(reason: impl Into<String>, instead: impl Into<String>) -> Self {
        Self::Unsupported {
            reason: reason.into(),
            instead: Some(instead.into()),
        }
    }

    pub(super) fn malformed(problem: impl Into<String>) -> Self {
        Self::Malformed(problem.into())
    }

    pub(super) fn too_large(what: impl Into<String>, got: usize, limit: usize) -> Self {
        Self::Fatal(too_large(what, got, limit))
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Self::Model(e)
    }
}

impl From<OnnxError> for Failure {
    fn from(e: OnnxError) -> Self {
        Self::Fatal(e)
    }
}

pub(super) fn too_large(what: impl Into<String>, got: usize, limit: usize) -> OnnxError {
    OnnxError::TooLarge {
        what: what.into(),
        got: got.try_into().unwrap_or(u64::MAX),
        limit: limit.try_into().unwrap_or(u64::MAX),
    }
}

pub(super) fn malformed(problem: impl Into<String>) -> OnnxError {
    OnnxError::Malformed(problem.into())
}

/// The error for a failure that ends the walk at `what` of this name; an unsupported one as a list of
/// its own.
pub(super) fn settle(failure: Failure, what: &str, name: &str) -> OnnxError {
    match failure {
        Failure::Unsupported { reason, instead } => OnnxError::Unsupported(vec![UnsupportedNode {
            name: name.to_owned(),
            operator: what.to_owned(),
            reason,
            instead,
        }]),
        Failure::Malformed(problem) => malformed(format!("`{name}` ({what}): {problem}")),
        Failure::Model(source) => OnnxError::Model {
            node: format!("`{name}` ({what})"),
            source,
        },
        Failure::Fatal(e) => e,
    }
}
