//! From bytes to [`File`]: the one place that knows how the file is encoded.

use std::{collections::HashSet, sync::Arc};

use prost::Message;

use super::{
    error::{OnnxError, UnsupportedNode, malformed, too_large},
    file::{Attribute, Body, Dim, File, Node, Port},
    limits::Limits,
    schema::{self as pb, AttributeType, DataLocation, DataType, Dimension},
    tensor::{Data, MAX_ENTRIES, MAX_RANK, Tensor, extent},
    wire,
};

/// Bodies within each other.
const MAX_DEPTH: usize = 8;

/// Operator sets that are read; below 7, broadcasting was an attribute.
pub(super) const OPSETS: std::ops::RangeInclusive<i64> = 7..=26;

/// Decodes a `ModelProto`.
pub(super) fn decode(bytes: &[u8]) -> Result<File, OnnxError> {
    if let Some(what) = something_else(bytes) {
        return Err(malformed(what));
    }
    wire::check(bytes)?;
    let proto = pb::ModelProto::decode(bytes).map_err(|e| malformed(e.to_string()))?;
    if proto.functions.iter().any(|f| is_own(&f.domain)) {
        return Err(OnnxError::Unsupported(vec![UnsupportedNode {
            name: "functions".to_owned(),
            operator: "function".to_owned(),
            reason: "the file defines operators of ONNX's own domain".to_owned(),
            instead: Some("inline its functions with `onnx.inliner`".to_owned()),
        }]));
    }
    let graph = proto
        .graph
        .ok_or_else(|| malformed("the file has no graph"))?;
    let opset = opset(&proto.opset_import)?;
    let mut unsupported = Vec::new();
    let graph = body(graph, 0, &mut unsupported)?;
    Ok(File {
        producer: proto.producer_name,
        opset,
        graph,
        unsupported,
        limits: Limits::of(bytes.len()),
    })
}

/// What the bytes are, if they are something else that is often given for a model.
fn something_else(bytes: &[u8]) -> Option<&'static str> {
    let text = bytes.trim_ascii_start();
    let begins = |start: &str| {
        text.get(..start.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(start.as_bytes()))
    };
    if begins("version https://git-lfs") {
        Some("the file is a Git LFS pointer, not what it points to: run `git lfs pull`")
    } else if begins("<!doctype") || begins("<html") || begins("<?xml") {
        Some("the file is a web page: download the file itself, not the page that shows it")
    } else if bytes.starts_with(b"PK\x03\x04") {
        Some("the file is a zip archive, as PyTorch and Keras save models: export it to ONNX")
    } else if bytes.starts_with(b"\x89HDF") {
        Some("the file is in HDF5, as Keras saves models: export it to ONNX")
    } else {
        None
    }
}

/// Whether this is the domain of ONNX's own operators.
fn is_own(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

fn opset(imports: &[pb::OperatorSetIdProto]) -> Result<i64, OnnxError> {
    let mut own = imports.iter().filter(|o| is_own(&o.domain));
    let version = match (own.next(), own.next()) {
        (Some(only), None) => only.version,
        (None, _) => return Err(malformed("the file names no version of ONNX's operators")),
        (Some(_), Some(_)) => {
            return Err(malformed("the file names two versions of ONNX's operators"));
        }
    };
    if !OPSETS.contains(&version) {
        // What its nodes mean is not known: nothing more can be said of them.
        return Err(OnnxError::Unsupported(vec![UnsupportedNode {
            name: "opset_import".to_owned(),
            operator: format!("operator set {version}"),
            reason: format!(
                "operator sets {} to {} are read",
                OPSETS.start(),
                OPSETS.end()
            ),
            instead: Some("convert the model with `onnx.version_converter`".to_owned()),
        }]));
    }
    Ok(version)
}

fn body(
    proto: pb::GraphProto,
    depth: usize,
    unsupported: &mut Vec<UnsupportedNode>,
) -> Result<Body, OnnxError> {
    if depth > MAX_DEPTH {
        return Err(too_large("depth of graphs within nodes", depth, MAX_DEPTH));
    }
    let mut names = HashSet::new();
    let mut initializers = Vec::with_capacity(proto.initializer.len());
    for tensor in proto.initializer {
        let name = tensor.name.clone();
        if name.is_empty() || !names.insert(name.clone()) {
            return Err(malformed(format!("two initialisers are named `{name}`")));
        }
        initializers.push((name, Arc::new(self::tensor(&tensor, unsupported)?)));
    }
    for sparse in proto.sparse_initializer {
        let name = sparse.values.map(|v| v.name.clone()).unwrap_or_default();
        if names.insert(name.clone()) {
            let missing = Tensor::from_parts(Vec::new(), Data::Missing);
            initializers.push((name.clone(), Arc::new(missing)));
        }
        unsupported.push(UnsupportedNode {
            name,
            operator: "sparse initialiser".to_owned(),
            reason: "sparse tensors are not read".to_owned(),
            instead: Some("store it as a dense tensor".to_owned()),
        });
    }
    let nodes = proto
        .node
        .into_iter()
        .enumerate()
        .map(|(index, n)| node(n, index, depth, unsupported))
        .collect::<Result<_, _>>()?;
    Ok(Body {
        nodes,
        inputs: proto.input.into_iter().map(port).collect(),
        outputs: proto.output.into_iter().map(|o| o.name).collect(),
        initializers,
    })
}

fn node(
    proto: pb::NodeProto,
    index: usize,
    depth: usize,
    unsupported: &mut Vec<UnsupportedNode>,
) -> Result<Node, OnnxError> {
    let name = if !proto.name.is_empty() {
        proto.name
    } else if let Some(output) = proto.output.iter().find(|o| !o.is_empty()) {
        output.clone()
    } else {
        format!("node {index}")
    };
    let mut attributes: Vec<(String, Attribute)> = Vec::with_capacity(proto.attribute.len());
    let mut names = HashSet::new();
    for a in proto.attribute {
        if !names.insert(a.name.clone()) {
            return Err(malformed(format!(
                "`{name}`: two attributes are named `{}`",
                a.name
            )));
        }
        attributes.push((a.name.clone(), attribute(a, &name, depth, unsupported)?));
    }
    Ok(Node {
        name,
        operator: proto.op_type,
        domain: if is_own(&proto.domain) {
            String::new()
        } else {
            proto.domain
        },
        inputs: proto.input,
        outputs: proto.output,
        attributes,
    })
}

fn attribute(
    proto: pb::AttributeProto,
    node: &str,
    depth: usize,
    unsupported: &mut Vec<UnsupportedNode>,
) -> Result<Attribute, OnnxError> {
    let name = &proto.name;
    let missing = || {
        malformed(format!(
            "`{node}`: attribute `{name}` has no value of its type"
        ))
    };
    if !proto.ref_attr_name.is_empty() {
        return Err(malformed(format!(
            "`{node}`: attribute `{name}` refers to one of a function, and there is none"
        )));
    }
    let text = |bytes: Vec<u8>| {
        String::from_utf8(bytes)
            .map_err(|_| malformed(format!("`{node}`: attribute `{name}` is not UTF-8")))
    };
    let Ok(kind) = AttributeType::try_from(proto.r#type) else {
        return Err(malformed(format!(
            "`{node}`: attribute `{name}` is of type {}, which ONNX does not have",
            proto.r#type
        )));
    };
    Ok(match kind {
        AttributeType::Float => Attribute::Float(proto.f),
        AttributeType::Int => Attribute::Int(proto.i),
        AttributeType::String => Attribute::Text(text(proto.s)?),
        AttributeType::Tensor => {
            let tensor = self::tensor(proto.t.as_ref().ok_or_else(missing)?, unsupported)?;
            Attribute::Tensor(Arc::new(tensor))
        }
        AttributeType::Graph => {
            let graph = proto.g.ok_or_else(missing)?;
            Attribute::Graph(Box::new(body(graph, depth + 1, unsupported)?))
        }
        AttributeType::Floats => Attribute::Floats(proto.floats),
        AttributeType::Ints => Attribute::Ints(proto.ints),
        AttributeType::Strings => {
            let texts = proto.strings.into_iter().map(text);
            Attribute::Texts(texts.collect::<Result<_, _>>()?)
        }
        other => Attribute::Other(other.name()),
    })
}

fn port(proto: pb::ValueInfoProto) -> Port {
    let Some(tensor) = proto.r#type.and_then(|t| t.tensor_type) else {
        return Port {
            name: proto.name,
            shape: None,
            element: "none: it is no tensor",
        };
    };
    let dim = |value: Option<Dimension>| match value {
        Some(Dimension::DimValue(size)) => Dim::Known(size),
        Some(Dimension::DimParam(name)) if !name.is_empty() => Dim::Named(name),
        _ => Dim::Unknown,
    };
    Port {
        name: proto.name,
        shape: tensor
            .shape
            .map(|s| s.dim.into_iter().map(|d| dim(d.value)).collect()),
        element: element(tensor.elem_type),
    }
}

fn element(data_type: i32) -> &'static str {
    DataType::try_from(data_type).map_or("of a number that ONNX does not have", DataType::name)
}

/// A tensor; floats of any width become single precision, integers 64 bits.
fn tensor(
    proto: &pb::TensorProto,
    unsupported: &mut Vec<UnsupportedNode>,
) -> Result<Tensor, OnnxError> {
    let name = &proto.name;
    let wrong = |problem: String| malformed(format!("tensor `{name}`: {problem}"));
    if proto.dims.len() > MAX_RANK {
        return Err(too_large(
            format!("dimensions of tensor `{name}`"),
            proto.dims.len(),
            MAX_RANK,
        ));
    }
    let shape: Vec<usize> = proto
        .dims
        .iter()
        .map(|d| usize::try_from(*d).map_err(|_| wrong(format!("a dimension is {d}"))))
        .collect::<Result<_, _>>()?;
    let extent = extent(&shape)
        .ok_or_else(|| wrong(format!("its shape {shape:?} has more than 2^31 entries")))?;
    let count: usize = shape.iter().product();
    // What has no data is not bounded by the size of the file.
    let hollow = || {
        if extent > MAX_ENTRIES {
            Err(too_large(
                format!("entries of tensor `{name}`"),
                extent,
                MAX_ENTRIES,
            ))
        } else {
            Ok(())
        }
    };
    if count == 0 {
        hollow()?;
    }

    let external =
        proto.data_location == DataLocation::External as i32 || !proto.external_data.is_empty();
    if external {
        unsupported.push(UnsupportedNode {
            name: name.clone(),
            operator: "initialiser".to_owned(),
            reason: "its data is in another file".to_owned(),
            instead: Some(
                "write one file: `onnx.save_model(onnx.load(path), path, save_as_external_data=False)`"
                    .to_owned(),
            ),
        });
        hollow()?;
        return Ok(Tensor::from_parts(shape, Data::Missing));
    }
    if proto.segment.is_some() {
        return Err(wrong("it is a segment of a tensor".to_owned()));
    }

    let raw = &proto.raw_data;
    // Fields other than the raw bytes are used if those are empty.
    let typed = raw.is_empty();
    let chunks = |width: usize| -> Result<std::slice::ChunksExact<'_, u8>, OnnxError> {
        if count.checked_mul(width) == Some(raw.len()) {
            Ok(raw.chunks_exact(width))
        } else {
            Err(wrong(format!(
                "{count} entries of {width} bytes in its shape, {} bytes of data",
                raw.len()
            )))
        }
    };
    let fits = |got: usize| {
        if got == count {
            Ok(())
        } else {
            Err(wrong(format!(
                "{count} entries in its shape, {got} in its data"
            )))
        }
    };
    macro_rules! raw {
        ($type:ty, $convert:expr) => {
            chunks(size_of::<$type>())?
                .map(|c| $convert(<$type>::from_le_bytes(c.try_into().unwrap_or_default())))
                .collect()
        };
    }
    macro_rules! integers {
        ($type:ty) => {
            if typed {
                fits(proto.int32_data.len())?;
                Data::Ints(proto.int32_data.iter().map(|i| i64::from(*i)).collect())
            } else {
                Data::Ints(raw!($type, i64::from))
            }
        };
    }
    let unsigned = |u: u64| i64::try_from(u).unwrap_or(i64::MAX);
    let half = |field: &[i32], convert: fn(u16) -> f32| -> Result<Data, OnnxError> {
        Ok(if typed {
            fits(field.len())?;
            let bits = field.iter().map(|i| u16::try_from(*i));
            let floats = bits.map(|b| b.map(convert));
            Data::Floats(
                floats
                    .collect::<Result<_, _>>()
                    .map_err(|_| wrong("an entry has more than 16 bits".to_owned()))?,
            )
        } else {
            Data::Floats(raw!(u16, convert))
        })
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rounded to single precision"
    )]
    let single = |d: f64| d as f32;
    let data = match DataType::try_from(proto.data_type) {
        Ok(DataType::Float) => Data::Floats(if typed {
            fits(proto.float_data.len())?;
            proto.float_data.clone()
        } else {
            raw!(f32, |f| f)
        }),
        Ok(DataType::Double) => Data::Floats(if typed {
            fits(proto.double_data.len())?;
            proto.double_data.iter().map(|d| single(*d)).collect()
        } else {
            raw!(f64, single)
        }),
        Ok(DataType::Float16) => half(&proto.int32_data, half_to_single)?,
        Ok(DataType::Bfloat16) => half(&proto.int32_data, |b| f32::from_bits(u32::from(b) << 16))?,
        Ok(DataType::Int64) => Data::Ints(if typed {
            fits(proto.int64_data.len())?;
            proto.int64_data.clone()
        } else {
            raw!(i64, |i| i)
        }),
        Ok(DataType::Int32) => integers!(i32),
        Ok(DataType::Int16) => integers!(i16),
        Ok(DataType::Int8) => integers!(i8),
        Ok(DataType::Uint16) => integers!(u16),
        Ok(DataType::Uint8) => integers!(u8),
        Ok(DataType::Uint32 | DataType::Uint64) if typed => {
            fits(proto.uint64_data.len())?;
            Data::Ints(proto.uint64_data.iter().map(|u| unsigned(*u)).collect())
        }
        Ok(DataType::Uint32) => Data::Ints(raw!(u32, i64::from)),
        Ok(DataType::Uint64) => Data::Ints(raw!(u64, unsigned)),
        Ok(DataType::Bool) if typed => {
            fits(proto.int32_data.len())?;
            Data::Bools(proto.int32_data.iter().map(|i| *i != 0).collect())
        }
        Ok(DataType::Bool) => Data::Bools(raw!(u8, |u| u != 0)),
        Ok(DataType::Undefined) => return Err(wrong("it has no element type".to_owned())),
        _ => {
            hollow()?;
            Data::Opaque(element(proto.data_type))
        }
    };
    Ok(Tensor::from_parts(shape, data))
}

/// IEEE half precision.
fn half_to_single(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let exponent = i32::from((bits >> 10) & 31);
    let mantissa = f32::from(bits & 1023) / 1024.0;
    sign * match exponent {
        0 => mantissa * 2f32.powi(-14),
        31 if mantissa == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + mantissa) * 2f32.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(half_to_single(bits), value);
        }
        assert!(half_to_single(0x7e00).is_nan());
    }
}
