//! What a verified proof says.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    error::DecodeError, hex, kind::ProofKind, program::Claim, statement::Visibility,
    weights::ModelDigest,
};

/// A salted digest of vectors, 32 bytes: of the frames or outputs of a run, or of a frame alone. Those
/// of the two [kinds of proof](ProofKind) differ.
///
/// As text, and serialised in formats that people read, it is 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VectorDigest(pub(crate) [u8; 32]);

impl VectorDigest {
    /// The digest of these bytes. Any bytes will do; those that are not a digest are not that of any
    /// vectors.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for VectorDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for VectorDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VectorDigest({self})")
    }
}

impl FromStr for VectorDigest {
    type Err = DecodeError;

    /// Reads 64 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, DecodeError> {
        let malformed = DecodeError::Malformed {
            what: "digest of vectors",
        };
        let bytes = hex::decode(text).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or(malformed)
    }
}

impl Serialize for VectorDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for VectorDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            return text.parse().map_err(de::Error::custom);
        }
        <[u8; 32]>::deserialize(deserializer).map(Self)
    }
}

/// What a proof says of its input frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "visibility", rename_all = "lowercase", deny_unknown_fields)]
pub enum Inputs {
    /// A salted digest of the frames, in order.
    Private {
        /// The digest of all of them.
        digest: VectorDigest,
    },
    /// The frames themselves, as integers.
    Public {
        /// In order.
        #[serde(rename = "vectors")]
        frames: Vec<Vec<i64>>,
    },
}

/// What a proof says of its outputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "visibility", rename_all = "lowercase", deny_unknown_fields)]
pub enum Outputs {
    /// A salted digest of the outputs, in order.
    Hidden {
        /// The digest of all of them.
        digest: VectorDigest,
    },
    /// The outputs themselves, as integers.
    Public {
        /// In order.
        vectors: Vec<Vec<i64>>,
    },
}

/// Vectors of a proof as it travels: one list of entries, or their digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Vectors {
    /// The running digest of a recursive proof, a canonical field element, or that of the rows of a
    /// trace.
    Digest([u8; 32]),
    /// All vectors, one after the other.
    Entries(Vec<i64>),
}

impl Vectors {
    pub(super) fn into_inputs(self, len: usize) -> Inputs {
        match self {
            Self::Digest(digest) => Inputs::Private {
                digest: VectorDigest(digest),
            },
            Self::Entries(entries) => Inputs::Public {
                frames: split(&entries, len),
            },
        }
    }

    pub(super) fn into_outputs(self, len: usize) -> Outputs {
        match self {
            Self::Digest(digest) => Outputs::Hidden {
                digest: VectorDigest(digest),
            },
            Self::Entries(entries) => Outputs::Public {
                vectors: split(&entries, len),
            },
        }
    }
}

fn split(entries: &[i64], len: usize) -> Vec<Vec<i64>> {
    entries.chunks(len.max(1)).map(<[i64]>::to_vec).collect()
}

/// What was proved: everything the verifier did not fix itself must be looked at.
///
/// Serialised in a format that describes itself, as JSON, it has the form of
/// `docs/statement.schema.json`: digests, program and context as hexadecimal text. One that is read says
/// no more than whoever wrote it down: only a [`Verifier`](crate::Verifier) tells what was proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Statement {
    /// The committed model that ran.
    pub model: ModelDigest,
    /// Digest of the program.
    #[serde(with = "hex::text")]
    pub program: [u8; 32],
    /// How the run was proved.
    pub kind: ProofKind,
    /// Steps of the run; a trace has one, whatever the number of frames.
    pub steps: u64,
    /// Frames consumed, one inference each.
    pub frames: u64,
    /// The context that the run is bound to.
    #[serde(with = "hex::text")]
    pub context: Vec<u8>,
    /// Integers that the program leaves to each run, as a threshold; one after the other.
    pub parameters: Vec<i64>,
    /// The inputs, or their digest.
    pub inputs: Inputs,
    /// The outputs, or their digest.
    pub outputs: Outputs,
}

impl Statement {
    /// What is shown.
    #[must_use]
    pub fn visibility(&self) -> Visibility {
        shown(
            matches!(self.inputs, Inputs::Public { .. }),
            matches!(self.outputs, Outputs::Public { .. }),
        )
    }
}

impl Statement {
    /// The statement in a sentence, with the result of the claim that its program makes, for each
    /// frame or for all: "model 3f9a… ran on 1 private input, digest 81c0…; result: output 0 ≥ 620 is
    /// true". Say which claim it is yourself: the verifier's keys are those of its program.
    #[must_use]
    pub fn in_words(&self, claim: Claim) -> String {
        let short = |text: String| text.chars().take(8).collect::<String>() + "…";
        let (kind, digest) = match &self.inputs {
            Inputs::Private { digest } => {
                ("private", format!(", digest {}", short(digest.to_string())))
            }
            Inputs::Public { .. } => ("public", String::new()),
        };
        let inputs = if self.frames == 1 { "input" } else { "inputs" };
        let mut words = format!(
            "model {} ran on {} {kind} {inputs}{digest}",
            short(self.model.to_string()),
            self.frames
        );
        match &self.outputs {
            Outputs::Hidden { .. } => words += "; the result is hidden",
            Outputs::Public { vectors } => {
                let results: Vec<String> = vectors
                    .iter()
                    .map(|v| claim.in_words(v, &self.parameters))
                    .collect();
                words += "; result: ";
                words += &results.join(", ");
            }
        }
        words
    }
}

fn shown(inputs: bool, outputs: bool) -> Visibility {
    let visibility = if inputs {
        Visibility::public_inputs()
    } else {
        Visibility::private_inputs()
    };
    if outputs {
        visibility.public_outputs()
    } else {
        visibility
    }
}

pub(super) fn visibility(inputs: &Vectors, outputs: &Vectors) -> Visibility {
    shown(
        matches!(inputs, Vectors::Entries(_)),
        matches!(outputs, Vectors::Entries(_)),
    )
}

impl fmt::Display for Statement {
    /// In plain words, without the vectors of a public input.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = if self.frames == 1 { "input" } else { "inputs" };
        let shown = match self.inputs {
            Inputs::Private { .. } => "private",
            Inputs::Public { .. } => "public",
        };
        let steps = if self.steps == 1 { "step" } else { "steps" };
        write!(
            f,
            "model {} ran on {} {shown} {runs} in {} {steps}",
            self.model, self.frames, self.steps
        )?;
        if let Inputs::Private { digest } = &self.inputs {
            write!(f, ", digest {digest}")?;
        }
        match std::str::from_utf8(&self.context) {
            Ok("") => {}
            Ok(text) if text.chars().all(|c| !c.is_control()) => {
                write!(f, ", context \"{text}\"")?;
            }
            _ => write!(f, ", context 0x{}", hex::encode(&self.context))?,
        }
        if !self.parameters.is_empty() {
            write!(f, ", parameters {:?}", self.parameters)?;
        }
        match &self.outputs {
            Outputs::Hidden { .. } => write!(f, "; the outputs are hidden"),
            Outputs::Public { vectors } => write!(f, "; outputs: {vectors:?}"),
        }
    }
}
