//! The hash of everything that is not hashed in a circuit.

use sha3::{
    Shake256,
    digest::{ExtendableOutput, Update, XofReader},
};

/// SHAKE256 of the label and the parts, as many bytes as `out` holds.
pub(crate) fn shake(label: &str, parts: &[&[u8]], out: &mut [u8]) {
    let mut hasher = Shake256::default();
    hasher.update(label.as_bytes());
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize_xof().read(out);
}
