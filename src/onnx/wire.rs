//! A look at the encoding before it is decoded.
//!
//! Decoded protobuf can take a hundred times the memory of its bytes: two bytes are an empty
//! message. What follows counts messages, strings and numbers without decoding them, checks every
//! length, and bounds the depth of nesting, so that decoding costs no more than it says.

use super::error::{OnnxError, malformed, too_large};

/// Messages and strings of a file: networks have some thousands.
const MAX_RECORDS: usize = 1 << 20;
/// Numbers of variable length: shapes, attributes, and tensors that are not stored as raw bytes.
const MAX_VARINTS: usize = 1 << 25;
/// Messages within each other.
const MAX_DEPTH: usize = 40;

/// The messages of the schema that hold others.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Sparse,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    /// Fields that hold no message.
    Leaf,
}

/// What a field of type "length and bytes" holds.
enum Content {
    Message(Message),
    Varints,
    /// A string, bytes, numbers of fixed size, or what the decoder skips.
    Bytes,
}

impl Message {
    /// What the decoder takes the field of this number for.
    fn content(self, field: u64) -> Content {
        use Content::{Bytes, Varints};
        let message = match (self, field) {
            (Self::Model, 7) | (Self::Attribute, 6) => Self::Graph,
            (Self::Graph, 1) => Self::Node,
            (Self::Graph, 5) | (Self::Attribute, 5) | (Self::Sparse, 1) => Self::Tensor,
            (Self::Graph, 11 | 12) => Self::ValueInfo,
            (Self::Graph, 15) => Self::Sparse,
            (Self::Node, 5) => Self::Attribute,
            (Self::Attribute, 8) | (Self::Tensor, 1 | 5 | 7 | 11) => return Varints,
            (Self::ValueInfo, 2) => Self::Type,
            (Self::Type, 1) => Self::TensorType,
            (Self::TensorType, 2) => Self::Shape,
            (Self::Model, 8 | 25) | (Self::Tensor, 3 | 13) | (Self::Shape, 1) => Self::Leaf,
            _ => return Bytes,
        };
        Content::Message(message)
    }
}

/// Checks the bytes of a `ModelProto`.
pub(super) fn check(bytes: &[u8]) -> Result<(), OnnxError> {
    let mut scan = Scan {
        records: 0,
        varints: 0,
    };
    scan.message(Message::Model, bytes, 0)
}

struct Scan {
    records: usize,
    varints: usize,
}

impl Scan {
    fn message(
        &mut self,
        message: Message,
        mut bytes: &[u8],
        depth: usize,
    ) -> Result<(), OnnxError> {
        if depth > MAX_DEPTH {
            return Err(too_large("depth of nesting", depth, MAX_DEPTH));
        }
        self.record()?;
        while !bytes.is_empty() {
            let key = varint(&mut bytes)?;
            let field = key >> 3;
            if field == 0 {
                return Err(malformed("a field has the number 0"));
            }
            match key & 7 {
                0 => {
                    varint(&mut bytes)?;
                    self.varints(1)?;
                }
                1 => drop(take(&mut bytes, 8)?),
                5 => drop(take(&mut bytes, 4)?),
                2 => {
                    let length = varint(&mut bytes)?;
                    let length = usize::try_from(length).unwrap_or(usize::MAX);
                    let content = take(&mut bytes, length)?;
                    match message.content(field) {
                        Content::Message(inner) => self.message(inner, content, depth + 1)?,
                        // Each ends with a byte below 128.
                        Content::Varints => {
                            self.varints(content.iter().filter(|b| **b < 0x80).count())?;
                        }
                        Content::Bytes => self.record()?,
                    }
                }
                kind => return Err(malformed(format!("a field has the wire type {kind}"))),
            }
        }
        Ok(())
    }

    fn record(&mut self) -> Result<(), OnnxError> {
        self.records += 1;
        if self.records > MAX_RECORDS {
            return Err(too_large(
                "messages and strings of the file",
                self.records,
                MAX_RECORDS,
            ));
        }
        Ok(())
    }

    fn varints(&mut self, count: usize) -> Result<(), OnnxError> {
        self.varints = self.varints.saturating_add(count);
        if self.varints > MAX_VARINTS {
            return Err(too_large(
                "integers of the file that are not raw bytes",
                self.varints,
                MAX_VARINTS,
            ));
        }
        Ok(())
    }
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], OnnxError> {
    match bytes.split_at_checked(count) {
        Some((head, tail)) => {
            *bytes = tail;
            Ok(head)
        }
        None => Err(truncated()),
    }
}

fn varint(bytes: &mut &[u8]) -> Result<u64, OnnxError> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let Some((byte, rest)) = bytes.split_first() else {
            return Err(truncated());
        };
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(malformed("an integer has more than ten bytes"))
}

fn truncated() -> OnnxError {
    malformed("the file ends within a field, or a length in it is wrong")
}
