//! Bytes as text.

pub(crate) use hex::encode;

/// Bytes from hexadecimal text of either case, `None` if it is no such.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    hex::decode(text).ok()
}

/// Bytes of a fixed or any number, serialised as hexadecimal text.
pub(crate) mod text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<T, S>(bytes: &T, serializer: S) -> Result<S::Ok, S::Error>
    where
        T: AsRef<[u8]>,
        S: Serializer,
    {
        serializer.collect_str(&super::encode(bytes))
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: TryFrom<Vec<u8>>,
        D: Deserializer<'de>,
    {
        let text = String::deserialize(deserializer)?;
        let bytes = super::decode(&text).and_then(|bytes| T::try_from(bytes).ok());
        bytes.ok_or_else(|| {
            de::Error::custom("hexadecimal digits of another number of bytes, or none")
        })
    }
}
