//! Weights from `.safetensors` files.

use std::{fmt, path::Path};

use ndarray::{Array1, Array2};
use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::Metadata};
use zeroize::Zeroize;

use crate::error::{DecodeError, Error, Reason};

/// Length of the length of the header.
const LENGTH_BYTES: usize = 8;

/// The named tensors of a `.safetensors` file.
///
/// Elements of type `F64`, `F32`, `F16` and `BF16` are accepted and converted to `f32`. Secret
/// material: `Debug` shows names and shapes only, and the bytes are zeroised on drop.
pub struct Tensors {
    bytes: Vec<u8>,
    /// Where the tensors begin in `bytes`.
    start: usize,
    metadata: Metadata,
}

impl Tensors {
    /// Reads the bytes of a `.safetensors` file.
    ///
    /// # Errors
    /// If they are truncated, too long or otherwise no such file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        Self::from_vec(bytes.to_vec())
    }

    /// Reads a `.safetensors` file.
    ///
    /// # Errors
    /// If the file cannot be read, and as [`from_bytes`](Self::from_bytes).
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        Self::from_vec(std::fs::read(path).map_err(|e| Error::io(path, e))?)
    }

    fn from_vec(mut bytes: Vec<u8>) -> Result<Self, Error> {
        match SafeTensors::read_metadata(&bytes) {
            Ok((header, metadata)) => Ok(Self {
                start: LENGTH_BYTES + header,
                metadata,
                bytes,
            }),
            Err(e) => {
                bytes.zeroize();
                Err(unreadable(&e).into())
            }
        }
    }

    /// The names of the tensors, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.metadata.tensors().into_keys().collect();
        names.sort_unstable();
        names
    }

    /// Whether there is a tensor of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.metadata.info(name).is_some()
    }

    /// A tensor of two dimensions.
    ///
    /// # Errors
    /// If there is no such tensor, or it has another number of dimensions or element type.
    pub fn matrix(&self, name: &str) -> Result<Array2<f32>, Error> {
        let ([rows, columns], values) = self.tensor(name, "[outputs, inputs]")?;
        Array2::from_shape_vec((rows, columns), values)
            .map_err(|_| problem(name, "its data does not have the length of its shape"))
    }

    /// A tensor of one dimension.
    ///
    /// # Errors
    /// As [`matrix`](Self::matrix).
    pub fn vector(&self, name: &str) -> Result<Array1<f32>, Error> {
        let ([_], values) = self.tensor(name, "[outputs]")?;
        Ok(Array1::from_vec(values))
    }

    /// Number of columns of a matrix.
    pub(super) fn columns(&self, name: &str) -> Result<usize, Error> {
        let [_, columns] = self.shape(name, "[outputs, inputs]")?;
        Ok(columns)
    }

    fn shape<const N: usize>(&self, name: &str, expected: &str) -> Result<[usize; N], Error> {
        let Some(info) = self.metadata.info(name) else {
            let names = self.names().join(", ");
            return Err(problem(
                name,
                format!("not in the file, which has: {names}"),
            ));
        };
        <[usize; N]>::try_from(info.shape.as_slice()).map_err(|_| {
            problem(
                name,
                format!("expected the shape {expected}, got {:?}", info.shape),
            )
        })
    }

    fn tensor<const N: usize>(
        &self,
        name: &str,
        expected: &str,
    ) -> Result<([usize; N], Vec<f32>), Error> {
        let shape = self.shape(name, expected)?;
        let data = self.metadata.info(name).and_then(|info| {
            let (from, to) = info.data_offsets;
            let data = self.bytes.get(self.start..)?.get(from..to)?;
            Some((info.dtype, data))
        });
        let Some((dtype, data)) = data else {
            return Err(problem(name, "its data is not in the file"));
        };
        let values = match dtype {
            Dtype::F32 => convert(data, f32::from_le_bytes),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "rounded to single precision"
            )]
            Dtype::F64 => convert(data, |b| f64::from_le_bytes(b) as f32),
            Dtype::F16 => convert(data, |b| half_to_f32(u16::from_le_bytes(b))),
            Dtype::BF16 => convert(data, |b| {
                f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)
            }),
            other => {
                return Err(problem(
                    name,
                    format!("expected elements of type F32, F64, F16 or BF16, got {other:?}"),
                ));
            }
        };
        let count = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        if count != Some(values.len()) {
            return Err(problem(
                name,
                "its data does not have the length of its shape",
            ));
        }
        Ok((shape, values))
    }
}

impl fmt::Debug for Tensors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for name in self.names() {
            if let Some(info) = self.metadata.info(&name) {
                map.entry(&name, &format_args!("{:?} {:?}", info.dtype, info.shape));
            }
        }
        map.finish()
    }
}

impl Drop for Tensors {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

fn unreadable(e: &SafeTensorError) -> DecodeError {
    let what = match e {
        SafeTensorError::HeaderTooSmall | SafeTensorError::InvalidHeaderLength => {
            return DecodeError::Truncated;
        }
        SafeTensorError::MetadataIncompleteBuffer => {
            "safetensors file: its length is not what its header says"
        }
        SafeTensorError::InvalidOffset(_) | SafeTensorError::TensorInvalidInfo => {
            "safetensors file: the place of a tensor does not fit its shape"
        }
        _ => "safetensors file: its header cannot be read",
    };
    DecodeError::Malformed { what }
}

fn convert<const N: usize>(data: &[u8], f: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    data.as_chunks::<N>().0.iter().map(|b| f(*b)).collect()
}

/// IEEE 754 half precision: 1 sign, 5 exponent and 10 fraction bits.
fn half_to_f32(half: u16) -> f32 {
    let fraction = f32::from(half & 0x3ff);
    let exponent = i32::from((half >> 10) & 0x1f);
    let magnitude = match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * 2f32.powi(exponent - 25),
    };
    if half >> 15 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

pub(super) fn problem(name: &str, problem: impl Into<String>) -> Error {
    Reason::Tensor {
        name: name.to_owned(),
        problem: problem.into(),
    }
    .into()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use ndarray::{arr1, arr2};

    use super::*;
    use crate::{
        error::ErrorKind,
        network::{Function, Network},
    };

    /// A file of these tensors: name, element type, shape, data.
    fn file(tensors: &[(&str, &str, &[usize], &[u8])]) -> Vec<u8> {
        let mut header = serde_json::Map::new();
        let mut data = Vec::new();
        for (name, dtype, shape, bytes) in tensors {
            let from = data.len();
            data.extend_from_slice(bytes);
            header.insert(
                (*name).to_owned(),
                serde_json::json!({
                    "dtype": dtype, "shape": shape, "data_offsets": [from, data.len()],
                }),
            );
        }
        let header = serde_json::to_vec(&header).unwrap();
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header);
        file.extend(data);
        file
    }

    fn f32_bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    fn dense() -> Vec<u8> {
        file(&[
            (
                "fc.weight",
                "F32",
                &[2, 3],
                &f32_bytes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            ),
            ("fc.bias", "F32", &[2], &f32_bytes(&[0.5, -0.5])),
        ])
    }

    fn fails<T>(result: Result<T, Error>, kind: ErrorKind, message: &str) {
        let error = result.map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.kind(), kind);
    }

    #[test]
    fn reads_a_layer() {
        let tensors = Tensors::from_bytes(&dense()).unwrap();
        assert_eq!(tensors.names(), ["fc.bias", "fc.weight"]);
        let model = Network::sequential([3])
            .dense_from(&tensors, "fc")
            .unwrap()
            .relu()
            .build()
            .unwrap();
        let x = arr1(&[1.0, 0.0, -1.0]);
        assert_eq!(
            tensors.matrix("fc.weight").unwrap(),
            arr2(&[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
        );
        assert_eq!(model.infer(x.view()).unwrap(), arr1(&[0.0, 0.0]));
        assert_eq!(model.infer((-x).view()).unwrap(), arr1(&[2.5, 1.5]));
        let same = Network::from_safetensors(&dense(), &[("fc", Some(Function::Relu))]).unwrap();
        assert_eq!(format!("{same:?}"), format!("{model:?}"));
    }

    #[test]
    fn element_types() {
        let f64s: Vec<u8> = [1.5f64, -0.1]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        // 1, -2, 2^-24 (the least), 65504 (the largest), infinity
        let halves: Vec<u8> = [0x3c00u16, 0xc000, 0x0001, 0x7bff, 0x7c00]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        let brains: Vec<u8> = [0x3f80u16, 0xc049]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        let tensors = Tensors::from_bytes(&file(&[
            ("a", "F64", &[2], &f64s),
            ("b", "F16", &[5], &halves),
            ("c", "BF16", &[2], &brains),
        ]))
        .unwrap();
        assert_eq!(tensors.vector("a").unwrap(), arr1(&[1.5, -0.1]));
        assert_eq!(
            tensors.vector("b").unwrap(),
            arr1(&[1.0, -2.0, 2f32.powi(-24), 65504.0, f32::INFINITY])
        );
        assert_eq!(tensors.vector("c").unwrap(), arr1(&[1.0, -3.140_625]));
    }

    #[test]
    fn every_half_is_monotone_and_finite_below_infinity() {
        let values: Vec<f32> = (0..=0x7c00).map(half_to_f32).collect();
        assert!(values.windows(2).all(|w| w[0] < w[1]));
        assert_eq!(half_to_f32(0x8000).to_bits(), (-0.0f32).to_bits());
        assert!((0x7c01..=0x7fff).all(|h| half_to_f32(h).is_nan()));
        assert_eq!(half_to_f32(0x3555), 0.333_251_95);
        assert_eq!(half_to_f32(0x03ff), 1023.0 / 1024.0 * 2f32.powi(-14));
    }

    #[test]
    fn missing_tensor() {
        let tensors = Tensors::from_bytes(&dense()).unwrap();
        fails(
            Network::sequential([3]).dense_from(&tensors, "fc1"),
            ErrorKind::Input,
            "tensor `fc1.weight`: not in the file, which has: fc.bias, fc.weight",
        );
        fails(
            Network::from_safetensors(&dense(), &[("x", Some(Function::Relu))]),
            ErrorKind::Input,
            "tensor `x.weight`: not in the file, which has: fc.bias, fc.weight",
        );
        fails(
            Network::from_safetensors(&dense(), &[]),
            ErrorKind::Input,
            "network is empty",
        );
    }

    #[test]
    fn other_shape_or_type() {
        let tensors = Tensors::from_bytes(&file(&[
            ("a.weight", "F32", &[2, 1, 1], &f32_bytes(&[0.0; 2])),
            ("b.weight", "I16", &[1, 2], &[0; 4]),
            ("c.weight", "F32", &[1, 2], &[0; 8]),
            ("c.bias", "F32", &[], &[0; 4]),
        ]))
        .unwrap();
        let load = |name| Network::sequential([2]).dense_from(&tensors, name);
        fails(
            load("a"),
            ErrorKind::Input,
            "tensor `a.weight`: expected the shape [outputs, inputs], got [2, 1, 1]",
        );
        fails(
            load("b"),
            ErrorKind::Input,
            "tensor `b.weight`: expected elements of type F32, F64, F16 or BF16, got I16",
        );
        fails(
            load("c"),
            ErrorKind::Input,
            "tensor `c.bias`: expected the shape [outputs], got []",
        );
    }

    #[test]
    fn bytes_that_are_no_file() {
        let whole = dense();
        for len in 0..whole.len() {
            let error = Tensors::from_bytes(&whole[..len]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Decode);
        }
        fails(
            Tensors::from_bytes(&whole[..20]),
            ErrorKind::Decode,
            "truncated",
        );
        let length = "malformed safetensors file: its length is not what its header says";
        fails(
            Tensors::from_bytes(&whole[..whole.len() - 1]),
            ErrorKind::Decode,
            length,
        );
        let mut long = whole.clone();
        long.push(0);
        fails(Tensors::from_bytes(&long), ErrorKind::Decode, length);
        fails(
            Tensors::from_bytes(b"<!doctype html><html>"),
            ErrorKind::Decode,
            "malformed safetensors file: its header cannot be read",
        );
        let mut lying = file(&[("a", "F32", &[1 << 40, 1 << 40], &[0; 4])]);
        fails(
            Tensors::from_bytes(&lying),
            ErrorKind::Decode,
            "malformed safetensors file: its header cannot be read",
        );
        lying = file(&[("a", "F32", &[3], &[0; 4])]);
        fails(
            Tensors::from_bytes(&lying),
            ErrorKind::Decode,
            "malformed safetensors file: the place of a tensor does not fit its shape",
        );
    }

    #[test]
    fn no_byte_makes_it_panic() {
        let whole = dense();
        for at in 0..whole.len() {
            for flip in [0x01, 0x20, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                if let Ok(tensors) = Tensors::from_bytes(&bytes) {
                    let _ = tensors.matrix("fc.weight");
                    let _ = tensors.vector("fc.bias");
                }
            }
        }
    }

    #[test]
    fn files() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model.safetensors");
        let error = Tensors::open(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.to_string().contains("model.safetensors"));
        std::fs::write(&path, dense()).unwrap();
        assert_eq!(Tensors::open(&path).unwrap().names().len(), 2);
    }

    #[test]
    fn debug_shows_no_value() {
        let tensors = Tensors::from_bytes(&dense()).unwrap();
        assert_eq!(
            format!("{tensors:?}"),
            r#"{"fc.bias": F32 [2], "fc.weight": F32 [2, 3]}"#
        );
    }
}
