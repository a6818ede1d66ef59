//! What stands in an ONNX file: operators and parameters, counted in its bytes.
//!
//! Of the messages of `onnx.proto` four fields matter: `ModelProto.graph` (7), `GraphProto.node` (1)
//! and `.initializer` (5), `NodeProto.op_type` (4), `TensorProto.dims` (1) and `.data_type` (2).

use std::collections::BTreeMap;

/// What was counted, bodies of `Scan` and `If` not included.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Contents {
    /// How many nodes of each operator.
    pub(crate) operators: BTreeMap<String, u64>,
    /// Entries of all initialisers of floats.
    pub(crate) parameters: u64,
}

/// Counts in the bytes of a file that was imported; of one that is malformed, as far as it goes.
pub(crate) fn count(model: &[u8]) -> Contents {
    let mut contents = Contents::default();
    for graph in parts(model, 7) {
        for node in parts(graph, 1) {
            for name in parts(node, 4) {
                let name = String::from_utf8_lossy(name).into_owned();
                *contents.operators.entry(name).or_default() += 1;
            }
        }
        for tensor in parts(graph, 5) {
            contents.parameters = contents.parameters.saturating_add(entries(tensor));
        }
    }
    contents
}

/// Entries of a tensor of floats; 0 for other ones.
fn entries(tensor: &[u8]) -> u64 {
    // FLOAT, FLOAT16, DOUBLE, BFLOAT16
    const FLOATS: [u64; 4] = [1, 10, 11, 16];
    let mut entries = 1u64;
    let mut is_float = false;
    for (number, field) in Fields(tensor) {
        match (number, field) {
            (1, Field::Number(n)) => entries = entries.saturating_mul(n),
            (1, Field::Bytes(mut packed)) => {
                while let Some(n) = varint(&mut packed) {
                    entries = entries.saturating_mul(n);
                }
            }
            (2, Field::Number(kind)) => is_float = FLOATS.contains(&kind),
            _ => {}
        }
    }
    if is_float { entries } else { 0 }
}

/// The messages and strings of a field.
fn parts(message: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
    Fields(message).filter_map(move |field| match field {
        (found, Field::Bytes(bytes)) if found == number => Some(bytes),
        _ => None,
    })
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

/// The fields of a protobuf message, up to the first that is malformed.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Field<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &mut self.0;
        let key = varint(rest)?;
        let field = match key & 7 {
            0 => Field::Number(varint(rest)?),
            2 => {
                let length = usize::try_from(varint(rest)?).ok()?;
                let (bytes, after) = rest.split_at_checked(length)?;
                *rest = after;
                Field::Bytes(bytes)
            }
            kind @ (1 | 5) => {
                *rest = rest.get(if kind == 1 { 8 } else { 4 }..)?;
                Field::Other
            }
            _ => return None,
        };
        Some((key >> 3, field))
    }
}

/// A number of seven bits to a byte, the least first.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENET: &[u8] = include_bytes!("../../tests/onnx/net-lenet.onnx");

    #[test]
    fn nodes_and_initialisers_are_counted() {
        let found = count(LENET);
        let nodes: u64 = found.operators.values().sum();
        assert_eq!(found.operators.get("Conv"), Some(&2), "{found:?}");
        assert!(nodes >= 8 && found.parameters > 500, "{found:?}");
    }

    #[test]
    fn any_bytes_are_counted_to_an_end() {
        for length in 0..LENET.len().min(600) {
            count(&LENET[..length]);
        }
        assert_eq!(count(&[0xff; 40]), Contents::default());
        assert_eq!(
            count(b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
            Contents::default()
        );
    }
}
