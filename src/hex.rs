//! Bytes as text.

pub(crate) use hex::encode;

/// Bytes from hexadecimal text of either case, `None` if it is no such.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    hex::decode(text).ok()
}
