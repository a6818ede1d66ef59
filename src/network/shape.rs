//! Shapes of values: row-major, the batch not counted.

use super::{limit, matrix::MAX_LEN, wrong};
use crate::error::Error;

/// Most dimensions of a value.
const MAX_RANK: usize = 16;

/// Number of entries of a value of this shape.
pub(super) fn entries(operation: &'static str, shape: &[usize]) -> Result<usize, Error> {
    let len = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
    match len {
        Some(len @ 1..=MAX_LEN) if shape.len() <= MAX_RANK => Ok(len),
        Some(0) => Err(wrong(
            operation,
            format!("a value of shape {shape:?} is empty"),
        )),
        _ => Err(limit(
            operation,
            format!(
                "a value of shape {shape:?} has more than 2^24 entries or {MAX_RANK} dimensions"
            ),
        )),
    }
}

/// For every dimension, how far apart two neighbours are.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// Counts through all indices of a shape, the last one fastest.
pub(super) struct Indices {
    shape: Vec<usize>,
    next: Option<Vec<usize>>,
}

impl Indices {
    /// All indices of a shape without an empty dimension.
    pub(super) fn new(shape: &[usize]) -> Self {
        Self {
            shape: shape.to_vec(),
            next: Some(vec![0; shape.len()]),
        }
    }
}

impl Iterator for Indices {
    type Item = Vec<usize>;

    fn next(&mut self) -> Option<Vec<usize>> {
        let current = self.next.take()?;
        let mut following = current.clone();
        for axis in (0..following.len()).rev() {
            following[axis] += 1;
            if following[axis] < self.shape[axis] {
                self.next = Some(following);
                break;
            }
            following[axis] = 0;
        }
        Some(current)
    }
}

/// The shape that several have in common, dimensions of one being repeated (numpy's rules).
pub(super) fn broadcast(operation: &'static str, shapes: &[&[usize]]) -> Result<Vec<usize>, Error> {
    let rank = shapes.iter().map(|s| s.len()).max().unwrap_or(0);
    let mut common = vec![1; rank];
    for shape in shapes {
        for (axis, d) in (rank - shape.len()..).zip(*shape) {
            if common[axis] == 1 {
                common[axis] = *d;
            } else if *d != 1 && *d != common[axis] {
                return Err(wrong(
                    operation,
                    format!("the shapes {shapes:?} do not broadcast"),
                ));
            }
        }
    }
    entries(operation, &common)?;
    Ok(common)
}

/// For every entry of shape `to`, the entry of a value of shape `from` that is repeated there.
pub(super) fn broadcast_indices(
    operation: &'static str,
    from: &[usize],
    to: &[usize],
) -> Result<Vec<usize>, Error> {
    let fits = from.len() <= to.len()
        && (to.len() - from.len()..)
            .zip(from)
            .all(|(axis, d)| *d == 1 || *d == to[axis]);
    if !fits {
        return Err(wrong(
            operation,
            format!("the shape {from:?} does not broadcast to {to:?}"),
        ));
    }
    let skipped = to.len() - from.len();
    let strides = strides(from);
    Ok(Indices::new(to)
        .map(|index| {
            let own = index[skipped..].iter().zip(from).zip(&strides);
            own.map(|((i, d), stride)| if *d == 1 { 0 } else { i * stride })
                .sum()
        })
        .collect())
}

/// Checks that `axis` is one of the dimensions.
pub(super) fn check_axis(
    operation: &'static str,
    shape: &[usize],
    axis: usize,
) -> Result<(), Error> {
    if axis < shape.len() {
        Ok(())
    } else {
        Err(wrong(
            operation,
            format!("there is no axis {axis} in the shape {shape:?}"),
        ))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn indices_count_through() {
        let all: Vec<_> = Indices::new(&[2, 3]).collect();
        assert_eq!(all.len(), 6);
        assert_eq!((&all[1], &all[3]), (&vec![0, 1], &vec![1, 0]));
        assert_eq!(Indices::new(&[]).count(), 1);
    }

    #[test]
    fn shapes_broadcast() {
        let common = broadcast("add", &[&[3, 1], &[4], &[]]).unwrap();
        assert_eq!(common, [3, 4]);
        assert_eq!(broadcast_indices("add", &[3, 1], &common).unwrap()[4], 1);
        assert_eq!(broadcast_indices("add", &[4], &common).unwrap()[5], 1);
        assert!(broadcast("add", &[&[3], &[4]]).is_err());
        assert!(broadcast_indices("add", &[2, 2], &[2]).is_err());
    }

    #[test]
    fn absurd_shapes_are_errors() {
        assert!(entries("x", &[usize::MAX, 2]).is_err());
        assert!(entries("x", &[3, 0]).is_err());
        assert!(entries("x", &[1; 17]).is_err());
        assert_eq!(entries("x", &[]).unwrap(), 1);
    }
}
