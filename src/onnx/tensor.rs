//! Constants of a file.

use std::ops::{Deref, DerefMut};

use ndarray::{Array, Dimension, IxDyn};
use zeroize::Zeroize;

use super::error::{Failure, Outcome};

/// Entries of a constant that is computed while importing, and of a list of indices.
pub(super) const MAX_ENTRIES: usize = 1 << 24;
/// Dimensions of a tensor.
pub(super) const MAX_RANK: usize = 16;

/// Largest size of a window, stride or padding.
pub(super) const MAX_WINDOW: i64 = 1 << 20;
/// Entries of the matrix of a transposed convolution, or of a batch of matrices.
pub(super) const MAX_TRIPLETS: usize = 1 << 23;

/// A constant tensor, row by row.
///
/// Possibly weights: zeroised on drop.
#[derive(Clone)]
pub(super) struct Tensor {
    shape: Vec<usize>,
    data: Data,
}

#[derive(Clone)]
pub(super) enum Data {
    /// Floats of any width.
    Floats(Vec<f32>),
    /// Integers of any width.
    Ints(Vec<i64>),
    Bools(Vec<bool>),
    /// Of a type that is not read; its name. There are no entries.
    Opaque(&'static str),
    /// Reported as unsupported already. There are no entries.
    Missing,
}

impl Tensor {
    /// As many entries as the shape has, unless they are opaque.
    pub(super) fn from_parts(shape: Vec<usize>, data: Data) -> Self {
        Self { shape, data }
    }

    pub(super) fn opaque(shape: Vec<usize>, kind: &'static str) -> Self {
        Self::from_parts(shape, Data::Opaque(kind))
    }

    pub(super) fn of_ints(values: Vec<i64>) -> Self {
        Self::from_parts(vec![values.len()], Data::Ints(values))
    }

    pub(super) fn of_floats(values: Vec<f32>) -> Self {
        Self::from_parts(vec![values.len()], Data::Floats(values))
    }

    pub(super) fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub(super) fn data(&self) -> &Data {
        &self.data
    }

    pub(super) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub(super) fn floats(&self) -> Outcome<&[f32]> {
        match &self.data {
            Data::Floats(f) => Ok(f),
            other => Err(other.unexpected("floats")),
        }
    }

    pub(super) fn ints(&self) -> Outcome<&[i64]> {
        match &self.data {
            Data::Ints(i) => Ok(i),
            other => Err(other.unexpected("integers")),
        }
    }

    pub(super) fn bools(&self) -> Outcome<&[bool]> {
        match &self.data {
            Data::Bools(b) => Ok(b),
            other => Err(other.unexpected("booleans")),
        }
    }

    /// The one float; whatever the shape.
    pub(super) fn float(&self) -> Outcome<f32> {
        match self.floats()? {
            [one] => Ok(*one),
            more => Err(Failure::malformed(format!(
                "a constant that must be one number has {} entries",
                more.len()
            ))),
        }
    }

    /// The one integer; whatever the shape.
    pub(super) fn int(&self) -> Outcome<i64> {
        match self.ints()? {
            [one] => Ok(*one),
            more => Err(Failure::malformed(format!(
                "a constant that must be one integer has {} entries",
                more.len()
            ))),
        }
    }

    /// The float that all entries are, if they are all the same.
    pub(super) fn uniform(&self) -> Option<f32> {
        let Data::Floats(floats) = &self.data else {
            return None;
        };
        let (first, rest) = floats.split_first()?;
        rest.iter().all(|f| f == first).then_some(*first)
    }

    pub(super) fn array(&self) -> Outcome<Wiped<IxDyn>> {
        Array::from_shape_vec(IxDyn(&self.shape), self.floats()?.to_vec())
            .map(Wiped)
            .map_err(|e| Failure::malformed(e.to_string()))
    }

    /// The entries in a shape of as many.
    pub(super) fn in_shape<D: Dimension>(&self, shape: D) -> Outcome<Wiped<D>> {
        Array::from_shape_vec(shape, self.floats()?.to_vec())
            .map(Wiped)
            .map_err(|e| Failure::malformed(e.to_string()))
    }

    /// The same entries in another shape, of as many entries.
    pub(super) fn reshaped(&self, shape: Vec<usize>) -> Self {
        Self::from_parts(shape, self.data.clone())
    }

    /// The entries at `indices`, which are within this tensor, as a tensor of `shape`.
    pub(super) fn select(&self, shape: Vec<usize>, indices: &[usize]) -> Self {
        fn pick<T: Copy>(from: &[T], indices: &[usize]) -> Vec<T> {
            indices
                .iter()
                .filter_map(|i| from.get(*i).copied())
                .collect()
        }
        let data = match &self.data {
            Data::Floats(f) => Data::Floats(pick(f, indices)),
            Data::Ints(i) => Data::Ints(pick(i, indices)),
            Data::Bools(b) => Data::Bools(pick(b, indices)),
            Data::Opaque(kind) => Data::Opaque(kind),
            Data::Missing => Data::Missing,
        };
        Self::from_parts(shape, data)
    }
}

impl Drop for Tensor {
    fn drop(&mut self) {
        match &mut self.data {
            Data::Floats(f) => f.zeroize(),
            Data::Ints(i) => i.zeroize(),
            Data::Bools(_) | Data::Opaque(_) | Data::Missing => {}
        }
    }
}

/// An array that is zeroised on drop.
pub(super) struct Wiped<D: Dimension>(pub(super) Array<f32, D>);

impl<D: Dimension> Deref for Wiped<D> {
    type Target = Array<f32, D>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<D: Dimension> DerefMut for Wiped<D> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<D: Dimension> Drop for Wiped<D> {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(Zeroize::zeroize);
    }
}

impl Data {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Floats(_) => "floats",
            Self::Ints(_) => "integers",
            Self::Bools(_) => "booleans",
            Self::Opaque(kind) => kind,
            Self::Missing => "nothing",
        }
    }

    fn unexpected(&self, expected: &str) -> Failure {
        match self {
            Self::Opaque(kind) => {
                Failure::unsupported(format!("a constant has the element type {kind}"))
            }
            other => Failure::malformed(format!(
                "a constant has {}, expected {expected}",
                other.kind()
            )),
        }
    }
}

/// The number of entries of a shape that is computed while importing, if neither it nor a list for
/// one of the axes is too long.
pub(super) fn entries(shape: &[usize]) -> Outcome<usize> {
    if shape.len() > MAX_RANK {
        return Err(Failure::too_large(
            "dimensions of a tensor",
            shape.len(),
            MAX_RANK,
        ));
    }
    match extent(shape) {
        Some(extent) if extent <= MAX_ENTRIES => Ok(shape.iter().product()),
        other => Err(Failure::too_large(
            format!("entries of a tensor of shape {shape:?}"),
            other.unwrap_or(1 << 31),
            MAX_ENTRIES,
        )),
    }
}

/// The product of the dimensions, empty ones counted as one, if it is below 2^31.
pub(super) fn extent(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1usize, |n, size| n.checked_mul((*size).max(1)))
        .filter(|extent| *extent < 1 << 31)
}

/// The shape that two shapes have in common, by numpy's rules.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Outcome<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| {
        let missing = rank - shape.len();
        axis.checked_sub(missing)
            .and_then(|k| shape.get(k).copied())
            .unwrap_or(1)
    };
    (0..rank)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => Err(Failure::malformed(format!(
                "the shapes {a:?} and {b:?} do not broadcast"
            ))),
        })
        .collect()
}

/// For each entry of `shape`, the index of the entry of a tensor of shape `from`, which broadcasts
/// to it.
pub(super) fn expanded(from: &[usize], shape: &[usize]) -> Outcome<Vec<usize>> {
    entries(shape)?;
    let missing = shape.len().saturating_sub(from.len());
    let mut padded = vec![1; missing];
    padded.extend(from);
    let lists: Vec<Vec<usize>> = padded
        .iter()
        .zip(shape)
        .map(|(have, want)| {
            if *have == 1 {
                vec![0; *want]
            } else {
                (0..*want).collect()
            }
        })
        .collect();
    per_axis(&padded, &lists)
}

/// Indices of the entries `[lists[0][i], lists[1][j], ..]` of a tensor of shape `shape`, row by
/// row. Every list is within its axis.
pub(super) fn per_axis(shape: &[usize], lists: &[Vec<usize>]) -> Outcome<Vec<usize>> {
    let sizes: Vec<usize> = lists.iter().map(Vec::len).collect();
    entries(&sizes)?;
    let mut indices = vec![0];
    for (size, list) in shape.iter().zip(lists) {
        indices = indices
            .iter()
            .flat_map(|at: &usize| list.iter().map(move |k| at * size + k))
            .collect();
    }
    Ok(indices)
}

/// Indices of the entries of a tensor of shape `shape` in the order that they have once axis `k`
/// is what was axis `permutation[k]`; and the shape then.
pub(super) fn transposed(
    shape: &[usize],
    permutation: &[usize],
) -> Outcome<(Vec<usize>, Vec<usize>)> {
    let mut strides = vec![1usize; shape.len()];
    let mut stride = 1;
    for (s, size) in strides.iter_mut().zip(shape).rev() {
        *s = stride;
        stride *= size;
    }
    entries(shape)?;
    let mut new_shape = Vec::with_capacity(shape.len());
    let mut indices = vec![0];
    for axis in permutation {
        let (Some(size), Some(stride)) = (shape.get(*axis), strides.get(*axis)) else {
            return Err(Failure::malformed(format!(
                "the permutation {permutation:?} is none of {} axes",
                shape.len()
            )));
        };
        new_shape.push(*size);
        indices = indices
            .iter()
            .flat_map(|at: &usize| (0..*size).map(move |k| at + k * stride))
            .collect();
    }
    Ok((new_shape, indices))
}

/// An axis counted from the front, from one that may be counted from the back.
pub(super) fn axis(axis: i64, rank: usize) -> Outcome<usize> {
    let signed = i64::try_from(rank).unwrap_or(i64::MAX);
    let from_front = if axis < 0 {
        axis.saturating_add(signed)
    } else {
        axis
    };
    match usize::try_from(from_front) {
        Ok(a) if a < rank => Ok(a),
        _ => Err(Failure::malformed(format!(
            "axis {axis} of a tensor of {rank} dimensions"
        ))),
    }
}
