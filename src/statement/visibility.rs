//! Which vectors a proof shows.

use serde::{Deserialize, Serialize};

/// Whether the input frames are part of the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum InputVisibility {
    /// Only a salted digest is shown.
    Private,
    /// The frames are part of the proof, and the verifier recomputes their digest.
    Public,
}

/// Whether the outputs are part of the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OutputVisibility {
    /// Only a salted digest is shown.
    Hidden,
    /// The outputs are part of the proof, and the verifier recomputes their digest.
    Public,
}

/// What a proof shows of inputs and outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Visibility {
    /// Of the input frames.
    pub inputs: InputVisibility,
    /// Of the outputs.
    pub outputs: OutputVisibility,
}

impl Visibility {
    /// Private inputs; outputs hidden too, until said otherwise.
    #[must_use]
    pub fn private_inputs() -> Self {
        Self {
            inputs: InputVisibility::Private,
            outputs: OutputVisibility::Hidden,
        }
    }

    /// Public inputs; outputs hidden, until said otherwise.
    #[must_use]
    pub fn public_inputs() -> Self {
        Self {
            inputs: InputVisibility::Public,
            ..Self::private_inputs()
        }
    }

    /// The same, with public outputs.
    #[must_use]
    pub fn public_outputs(self) -> Self {
        Self {
            outputs: OutputVisibility::Public,
            ..self
        }
    }

    /// The same, with hidden outputs.
    #[must_use]
    pub fn hidden_outputs(self) -> Self {
        Self {
            outputs: OutputVisibility::Hidden,
            ..self
        }
    }

    /// The two flags of the binding: 0 private or hidden, 1 public.
    pub(crate) fn flags(self) -> [u8; 2] {
        [
            (self.inputs == InputVisibility::Public).into(),
            (self.outputs == OutputVisibility::Public).into(),
        ]
    }
}
