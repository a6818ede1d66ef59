//! Operations that move entries.

use super::{NetworkBuilder, Value};
use crate::{
    error::Error,
    network::{
        SparseMatrix,
        shape::{self, Indices, broadcast_indices, check_axis, strides},
        window::{kept, moved, rows_over},
        wrong,
    },
};

impl NetworkBuilder {
    /// The same entries in another shape.
    ///
    /// # Errors
    /// If the shape does not have as many entries.
    pub fn reshape(&mut self, x: Value, shape: &[usize]) -> Result<Value, Error> {
        const NAME: &str = "reshape";
        let (node, from) = self.get(NAME, x)?;
        if shape::entries(NAME, shape)? != from.iter().product::<usize>() {
            return Err(wrong(
                NAME,
                format!("the shape {from:?} does not have as many entries as {shape:?}"),
            ));
        }
        self.name(node, shape.to_vec())
    }

    /// Axis `permutation[k]` becomes axis `k`.
    ///
    /// # Errors
    /// If it is no permutation of the axes.
    pub fn transpose(&mut self, x: Value, permutation: &[usize]) -> Result<Value, Error> {
        const NAME: &str = "transpose";
        let (node, from) = self.get(NAME, x)?;
        let mut sorted = permutation.to_vec();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..from.len()) {
            return Err(wrong(
                NAME,
                format!("{permutation:?} is no permutation of the axes of the shape {from:?}"),
            ));
        }
        let shape: Vec<usize> = permutation.iter().map(|a| from[*a]).collect();
        self.room(Some(shape.iter().product()))?;
        let own = strides(&from);
        let indices: Vec<usize> = Indices::new(&shape)
            .map(|index| {
                index
                    .iter()
                    .zip(permutation)
                    .map(|(i, a)| i * own[*a])
                    .sum()
            })
            .collect();
        self.select(NAME, node, indices.len(), &indices, shape)
    }

    /// Entries `start`, `start + step`, … before `end` along an axis. Negative `start` and `end` are
    /// counted from the end, and both are moved to the nearest possible place, as numpy and ONNX
    /// have it; `step` may be negative.
    ///
    /// # Errors
    /// If there is no such axis, `step` is 0, or no entry is left.
    pub fn slice(
        &mut self,
        x: Value,
        axis: usize,
        start: i64,
        end: i64,
        step: i64,
    ) -> Result<Value, Error> {
        const NAME: &str = "slice";
        let (_, from) = self.get(NAME, x)?;
        check_axis(NAME, &from, axis)?;
        let size = i64::try_from(from[axis]).unwrap_or(i64::MAX);
        let counted = |i: i64| if i < 0 { i.saturating_add(size) } else { i };
        let (start, end) = (counted(start), counted(end));
        let mut taken = Vec::new();
        if step > 0 {
            let (mut at, end) = (start.clamp(0, size), end.clamp(0, size));
            while at < end {
                taken.push(usize::try_from(at).unwrap_or(0));
                at = at.saturating_add(step);
            }
        } else if step < 0 {
            let (mut at, end) = (start.clamp(-1, size - 1), end.clamp(-1, size - 1));
            while at > end {
                taken.push(usize::try_from(at).unwrap_or(0));
                at = at.saturating_add(step);
            }
        }
        if taken.is_empty() {
            return Err(wrong(
                NAME,
                format!("nothing is left of axis {axis} of the shape {from:?}"),
            ));
        }
        self.gather(x, axis, &taken)
    }

    /// The entries of these indices along an axis.
    ///
    /// # Errors
    /// If there is no such axis or index, or none is given.
    pub fn gather(&mut self, x: Value, axis: usize, indices: &[usize]) -> Result<Value, Error> {
        let (_, from) = self.get("gather", x)?;
        check_axis("gather", &from, axis)?;
        let mut lists: Vec<Vec<usize>> = from.iter().map(|size| (0..*size).collect()).collect();
        lists[axis] = indices.to_vec();
        self.gather_all(x, &lists)
    }

    /// The entries of these indices along each axis.
    pub(crate) fn gather_all(&mut self, x: Value, lists: &[Vec<usize>]) -> Result<Value, Error> {
        const NAME: &str = "gather";
        let (node, from) = self.get(NAME, x)?;
        if lists.len() != from.len() {
            return Err(wrong(
                NAME,
                format!("{} lists for the shape {from:?}", lists.len()),
            ));
        }
        for (axis, (size, indices)) in from.iter().zip(lists).enumerate() {
            if let Some(index) = indices.iter().find(|i| *i >= size) {
                return Err(wrong(
                    NAME,
                    format!("there is no index {index} along axis {axis} of the shape {from:?}"),
                ));
            }
        }
        let shape: Vec<usize> = lists.iter().map(Vec::len).collect();
        let len = shape::entries(NAME, &shape)?;
        self.room(Some(len))?;
        let own = strides(&from);
        let places: Vec<usize> = Indices::new(&shape)
            .map(|index| {
                let index = index.iter().zip(lists).map(|(i, list)| list[*i]);
                index.zip(&own).map(|(i, stride)| i * stride).sum()
            })
            .collect();
        let matrix = SparseMatrix::selection(from.iter().product(), &places)?;
        // A kernel of one entry, if distances are equal.
        let axes = from.iter().zip(lists).map(|(size, list)| {
            let step = match list.as_slice() {
                [first, second, ..] => second.checked_sub(*first)?,
                _ => 1,
            };
            let start = i64::try_from(*list.first()?).ok()?;
            moved(*size, list.len(), start, step)
        });
        let matrix = matrix.under(rows_over(axes));
        let node = self.push_linear(NAME, vec![(node, matrix)], None, places.len())?;
        self.name(node, shape)
    }

    /// Repeats entries so that the value has this shape (numpy's rules).
    ///
    /// # Errors
    /// If the value does not broadcast to the shape.
    pub fn broadcast(&mut self, x: Value, shape: &[usize]) -> Result<Value, Error> {
        const NAME: &str = "broadcast";
        let (node, from) = self.get(NAME, x)?;
        let len = shape::entries(NAME, shape)?;
        self.room(Some(len))?;
        let places = broadcast_indices(NAME, &from, shape)?;
        self.select(NAME, node, from.iter().product(), &places, shape.to_vec())
    }

    /// Values one after the other along an axis.
    ///
    /// # Errors
    /// If there is none, or their shapes differ in another axis.
    pub fn concat(&mut self, xs: &[Value], axis: usize) -> Result<Value, Error> {
        const NAME: &str = "concatenation";
        let mut read = Vec::new();
        for x in xs {
            read.push(self.get(NAME, *x)?);
        }
        let Some((_, first)) = read.first() else {
            return Err(wrong(NAME, "there is nothing to concatenate"));
        };
        check_axis(NAME, first, axis)?;
        let mut shape = first.clone();
        shape[axis] = 0;
        for (_, own) in &read {
            let others = |s: &[usize]| {
                let rest = s.iter().enumerate().filter(|(a, _)| *a != axis);
                rest.map(|(_, d)| *d).collect::<Vec<_>>()
            };
            if own.len() != shape.len() || others(own) != others(&shape) {
                let shapes: Vec<&Vec<usize>> = read.iter().map(|r| &r.1).collect();
                return Err(wrong(
                    NAME,
                    format!("the shapes {shapes:?} differ beside axis {axis}"),
                ));
            }
            shape[axis] = shape[axis].saturating_add(own[axis]);
        }
        let len = shape::entries(NAME, &shape)?;
        // Each has a matrix of all rows.
        self.room(len.checked_mul(read.len() + 1))?;
        let mut terms = Vec::new();
        let mut start = 0;
        for (node, own) in &read {
            let mut rows = vec![None; len];
            let to = strides(&shape);
            for (at, mut index) in Indices::new(own).enumerate() {
                index[axis] += start;
                rows[index.iter().zip(&to).map(|(i, s)| i * s).sum::<usize>()] = Some(at);
            }
            let matrix = SparseMatrix::from_rows(own.iter().product(), len, rows, |at| {
                at.map(|at| (at, 1.0))
            })?;
            let axes = own.iter().enumerate().map(|(a, size)| match a == axis {
                true => moved(*size, shape[a], -i64::try_from(start).ok()?, 1),
                false => kept(*size),
            });
            terms.push((*node, matrix.under(rows_over(axes))));
            start += own[axis];
        }
        let node = self.push_linear(NAME, terms, None, len)?;
        self.name(node, shape)
    }

    /// Adds entries of one value before and after each axis.
    ///
    /// # Errors
    /// If there is not one pair for each axis, or the value is not finite.
    pub fn pad(&mut self, x: Value, pads: &[(usize, usize)], value: f32) -> Result<Value, Error> {
        const NAME: &str = "padding";
        let (node, from) = self.get(NAME, x)?;
        if pads.len() != from.len() {
            return Err(wrong(
                NAME,
                format!("{} pairs for the shape {from:?}", pads.len()),
            ));
        }
        let shape: Vec<usize> = from
            .iter()
            .zip(pads)
            .map(|(d, (before, after))| d.saturating_add(*before).saturating_add(*after))
            .collect();
        let len = shape::entries(NAME, &shape)?;
        self.room(Some(len))?;
        let own = strides(&from);
        let rows: Vec<Option<usize>> = Indices::new(&shape)
            .map(|index| {
                let mut at = 0;
                for (axis, i) in index.iter().enumerate() {
                    let i = i.checked_sub(pads[axis].0).filter(|i| *i < from[axis])?;
                    at += i * own[axis];
                }
                Some(at)
            })
            .collect();
        let bias = rows
            .iter()
            .map(|r| if r.is_some() { 0.0 } else { value })
            .collect();
        let matrix = SparseMatrix::from_rows(from.iter().product(), len, &rows, |at| {
            at.map(|at| (at, 1.0))
        })?;
        let axes = from.iter().zip(&shape).zip(pads);
        let axes = axes.map(|((size, padded), (before, _))| {
            moved(*size, *padded, -i64::try_from(*before).ok()?, 1)
        });
        let matrix = matrix.under(rows_over(axes));
        let node = self.push_linear(NAME, vec![(node, matrix)], Some(bias), len)?;
        self.name(node, shape)
    }
}
