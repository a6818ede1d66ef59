//! Errors of shape: a circuit that cannot be built, whatever the witness.

use bellpepper_core::SynthesisError;

/// A length or a width that the gadget does not accept.
pub(crate) fn shape(what: impl Into<String>) -> SynthesisError {
    SynthesisError::IncompatibleLengthVector(what.into())
}
