//! What is told: results on standard output, notes and errors on standard error, or all of it as one
//! JSON object.

use std::{
    cell::RefCell,
    fmt,
    io::{self, IsTerminal, Write},
    path::Path,
    process::ExitCode,
};

use layerfold::{
    Error, ErrorKind, VerifyError,
    onnx::{OnnxError, UnsupportedNode},
};
use serde_json::{Map, Value, json};

use crate::data::Unusable;

/// The class of a failure, which is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The proof was read and does not hold, or is not what was expected.
    Invalid,
    /// Arguments that do not fit each other.
    Usage,
    /// A model or a data file that cannot be used.
    Unsupported,
    /// A file could not be read or written; also one whose bytes are no proof, commitment, program or
    /// state: that says nothing about what it was meant to be.
    Io,
    /// The proof system failed.
    Defect,
}

impl Kind {
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Invalid => 1,
            Self::Usage => 2,
            Self::Unsupported => 3,
            Self::Io => 4,
            Self::Defect => 5,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Usage => "usage",
            Self::Unsupported => "unsupported",
            Self::Io => "io",
            Self::Defect => "defect",
        }
    }
}

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
    nodes: Vec<UnsupportedNode>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            nodes: Vec::new(),
        }
    }

    /// A model or data file whose contents are not what they should be.
    pub(crate) fn contents(path: &Path, problem: impl fmt::Display) -> Self {
        Self::new(Kind::Unsupported, format!("{}: {problem}", path.display()))
    }

    pub(crate) fn io(path: &Path, e: &io::Error) -> Self {
        Self::new(Kind::Io, format!("{}: {e}", path.display()))
    }

    /// A file that this program writes, whose bytes cannot be what was written.
    pub(crate) fn unreadable(path: &Path, problem: impl fmt::Display) -> Self {
        Self::new(Kind::Io, format!("{}: {problem}", path.display()))
    }

    /// A file that says other things than it must.
    pub(crate) fn invalid(path: &Path, problem: impl fmt::Display) -> Self {
        Self::new(Kind::Invalid, format!("{}: {problem}", path.display()))
    }

    /// The same with what it is about in front.
    pub(crate) fn of(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    fn to_json(&self) -> Value {
        let mut error = json!({
            "kind": self.kind.name(),
            "exit_code": self.kind.exit_code(),
            "message": self.message,
        });
        if !self.nodes.is_empty() {
            let nodes = self.nodes.iter().map(|n| {
                json!({
                    "name": n.name,
                    "operator": n.operator,
                    "reason": n.reason,
                    "instead": n.instead,
                })
            });
            error["nodes"] = nodes.collect();
        }
        json!({ "error": error })
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        let kind = match e.kind() {
            ErrorKind::Usage => Kind::Usage,
            ErrorKind::Io | ErrorKind::Decode => Kind::Io,
            ErrorKind::Proving => Kind::Defect,
            _ => Kind::Unsupported,
        };
        Self::new(kind, e.to_string())
    }
}

impl From<Unusable> for Failure {
    fn from(e: Unusable) -> Self {
        let kind = match &e {
            Unusable::Io(_) => Kind::Io,
            Unusable::Contents(_) => Kind::Unsupported,
        };
        Self::new(kind, e.to_string())
    }
}

impl From<VerifyError> for Failure {
    fn from(e: VerifyError) -> Self {
        Self::new(Kind::Invalid, e.to_string())
    }
}

/// A message with the options of this program in place of the library's.
fn options_of(message: String) -> String {
    [
        ("ImportOptions::drop_softmax", "--drop-softmax"),
        ("ImportOptions::output", "--output-value"),
        ("ImportOptions::input_shape", "--input-shape"),
        ("ImportOptions::dimension", "--dimension"),
    ]
    .iter()
    .fold(message, |text, (library, own)| text.replace(library, own))
}

impl From<OnnxError> for Failure {
    fn from(e: OnnxError) -> Self {
        let kind = match &e {
            OnnxError::Io { .. } => Kind::Io,
            _ => Kind::Unsupported,
        };
        let message = options_of(e.to_string());
        let nodes = match e {
            OnnxError::Unsupported(mut nodes) => {
                for node in &mut nodes {
                    node.instead = node.instead.take().map(options_of);
                }
                nodes
            }
            _ => Vec::new(),
        };
        Self {
            kind,
            message,
            nodes,
        }
    }
}

impl From<fmt::Error> for Failure {
    fn from(_: fmt::Error) -> Self {
        Self::new(Kind::Defect, "the result could not be written as text")
    }
}

impl From<io::Error> for Failure {
    /// Of standard output.
    fn from(e: io::Error) -> Self {
        Self::new(Kind::Io, format!("standard output: {e}"))
    }
}

/// Where a command tells what it found.
pub(crate) struct Console {
    json: bool,
    quiet: bool,
    warnings: RefCell<Vec<String>>,
}

impl Console {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Self {
            json,
            quiet,
            warnings: RefCell::default(),
        }
    }

    /// Whether progress is shown.
    pub(crate) fn shows_progress(&self) -> bool {
        !self.json && !self.quiet && io::stderr().is_terminal()
    }

    /// What the user should know and may not expect.
    pub(crate) fn warn(&self, text: impl Into<String>) {
        let text = text.into();
        if self.json {
            self.warnings.borrow_mut().push(text);
        } else if !self.quiet {
            self.to_stderr(&format!("warning: {text}\n"));
        }
    }

    /// The result, as text or as an object: one of them is used.
    pub(crate) fn tell(&self, text: &str, object: Value) -> Result<(), Failure> {
        let line = match (self.json, self.quiet) {
            (true, _) => {
                let mut all = match object {
                    Value::Object(all) => all,
                    other => Map::from_iter([("result".to_owned(), other)]),
                };
                all.insert("warnings".to_owned(), json!(*self.warnings.borrow()));
                Value::Object(all).to_string()
            }
            (false, true) => return Ok(()),
            (false, false) => text.trim_end().to_owned(),
        };
        let mut out = io::stdout().lock();
        match writeln!(out, "{line}").and_then(|()| out.flush()) {
            // The reader has seen enough.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            done => Ok(done?),
        }
    }

    /// Tells why the command failed; gives its exit code.
    pub(crate) fn fail(&self, failure: &Failure) -> ExitCode {
        if self.json {
            // Nothing is left to tell if this fails.
            let _ = writeln!(io::stdout().lock(), "{}", failure.to_json());
        } else {
            self.to_stderr(&format!("error: {}\n", failure.message));
        }
        ExitCode::from(failure.kind.exit_code())
    }

    fn to_stderr(&self, text: &str) {
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}
