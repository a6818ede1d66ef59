//! What a verified proof says.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    backend::F,
    ivc::Visibility,
    weights::{ModelDigest, element_bytes},
};

/// What a proof says of its input frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Inputs {
    /// A salted digest of the frames, in order.
    Private {
        /// The running digest after the last frame.
        #[serde(with = "element")]
        digest: F,
    },
    /// The frames themselves, as integers.
    Public {
        /// In order.
        frames: Vec<Vec<i64>>,
    },
}

/// What a proof says of its outputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outputs {
    /// A salted digest of the outputs, in order.
    Hidden {
        /// The running digest after the last output.
        #[serde(with = "element")]
        digest: F,
    },
    /// The outputs themselves, as integers.
    Public {
        /// In order.
        vectors: Vec<Vec<i64>>,
    },
}

/// Field elements as 32 canonical bytes.
mod element {
    use ff::PrimeField;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use super::{F, element_bytes};

    pub(super) fn serialize<S: Serializer>(x: &F, serializer: S) -> Result<S::Ok, S::Error> {
        element_bytes(x).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<F, D::Error> {
        let bytes = <[u8; 32]>::deserialize(deserializer)?;
        Option::from(F::from_repr(bytes.into()))
            .ok_or_else(|| D::Error::custom("a field element over the modulus"))
    }
}

/// What was proved: everything the verifier did not fix itself must be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statement {
    /// The committed model that ran.
    pub model: ModelDigest,
    /// Digest of the program.
    pub program: [u8; 32],
    /// Steps of the run.
    pub steps: u64,
    /// Frames consumed, one inference each.
    pub frames: u64,
    /// The context that the run is bound to.
    pub context: Vec<u8>,
    /// The inputs, or their digest.
    pub inputs: Inputs,
    /// The outputs, or their digest.
    pub outputs: Outputs,
}

impl Statement {
    /// What is shown.
    #[must_use]
    pub fn visibility(&self) -> Visibility {
        visibility(&self.inputs, &self.outputs)
    }
}

pub(crate) fn visibility(inputs: &Inputs, outputs: &Outputs) -> Visibility {
    let visibility = match inputs {
        Inputs::Private { .. } => Visibility::private_inputs(),
        Inputs::Public { .. } => Visibility::public_inputs(),
    };
    match outputs {
        Outputs::Hidden { .. } => visibility.hidden_outputs(),
        Outputs::Public { .. } => visibility.public_outputs(),
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = if self.frames == 1 { "input" } else { "inputs" };
        let shown = match self.inputs {
            Inputs::Private { .. } => "private",
            Inputs::Public { .. } => "public",
        };
        write!(
            f,
            "model {} ran on {} {shown} {runs} in {} steps",
            self.model, self.frames, self.steps
        )?;
        match &self.outputs {
            Outputs::Hidden { .. } => write!(f, "; the outputs are hidden"),
            Outputs::Public { vectors } => write!(f, "; outputs: {vectors:?}"),
        }
    }
}
