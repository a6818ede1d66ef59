//! From operations on values to a [`Network`].

use std::{fmt, sync::Arc};

use ndarray::{ArrayD, ArrayView1, ArrayView2, ArrayViewD};
use zeroize::{Zeroize, Zeroizing};

use super::{
    Conv, Function, Network, Pool, SparseMatrix,
    form::{Limits, compose},
    limit,
    matrix::too_many,
    node::{Node, StateNode},
    shape::{self, Indices, broadcast, broadcast_indices, check_axis, strides},
    window::Windows,
    wrong,
};
use crate::{error::Error, program::Emission};

/// Most operations of a network.
const MAX_NODES: usize = 1 << 20;
/// Most entries of the window of a maximum.
const MAX_WINDOW: usize = 1 << 10;

/// A value of a network that is being built.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Value(u32);

/// Collects the operations of a [`Network`].
///
/// Shapes leave out the batch, and entries are row-major; images are channels, then rows, then
/// columns. Operations that are linear in the values cost nothing in a proof but the bits of their
/// weights; see the [module](super).
///
/// Secret material: `Debug` shows sizes only, and constants are zeroised on drop.
#[must_use = "a builder does nothing until `build`"]
pub struct NetworkBuilder {
    nodes: Vec<Node>,
    /// Node and shape of every value.
    values: Vec<(usize, Vec<usize>)>,
    states: Vec<StateNode>,
    /// Entries of all matrices.
    nonzeros: usize,
    /// Rows and entries of all matrices, and entries of constants; also of those that were not kept.
    spent: usize,
    limits: Limits,
    /// The first thing that did not fit, where no error could be given.
    error: Option<Error>,
}

impl NetworkBuilder {
    /// A network of inputs of this shape, the batch not counted.
    ///
    /// A shape that is empty or too large is reported by [`build`](Self::build).
    pub fn new(input_shape: impl IntoIterator<Item = usize>) -> Self {
        let shape: Vec<usize> = input_shape.into_iter().take(64).collect();
        let error = shape::entries("input", &shape).err();
        let shape = if error.is_some() { vec![1] } else { shape };
        Self {
            nodes: vec![Node::Input],
            values: vec![(0, shape)],
            states: Vec::new(),
            nonzeros: 0,
            spent: 0,
            limits: Limits::default(),
            error,
        }
    }

    /// Bounds what a network may cost that is not to be trusted.
    #[cfg(feature = "onnx")]
    pub(crate) fn limited(mut self, entries: usize, products: u64) -> Self {
        self.limits = Limits { entries, products };
        self
    }

    /// Checks that so many rows and entries of matrices may be added.
    #[cfg(feature = "onnx")]
    pub(crate) fn has_room(&self, entries: usize) -> Result<(), Error> {
        self.room(Some(entries))
    }

    /// The input.
    #[must_use]
    pub fn input(&self) -> Value {
        Value(0)
    }

    /// Shape of a value; empty if it belongs to another builder and there is none of its number.
    #[must_use]
    pub fn shape(&self, value: Value) -> &[usize] {
        self.values.get(value.0 as usize).map_or(&[], |v| &v.1)
    }

    /// The entries of a value that does not depend on the input.
    #[must_use]
    pub fn constant_value(&self, value: Value) -> Option<&[f32]> {
        let (node, _) = self.values.get(value.0 as usize)?;
        match &self.nodes[*node] {
            Node::Constant(values) => Some(values),
            _ => None,
        }
    }

    /// Node and shape of a value.
    fn get(&self, operation: &'static str, value: Value) -> Result<(usize, Vec<usize>), Error> {
        match self.values.get(value.0 as usize) {
            Some((node, _)) if matches!(self.nodes[*node], Node::ArgMax(_)) => Err(limit(
                operation,
                "the index of the largest entry can only be the output",
            )),
            Some((node, shape)) => Ok((*node, shape.clone())),
            None => Err(wrong(operation, "the value belongs to another builder")),
        }
    }

    fn name(&mut self, node: usize, shape: Vec<usize>) -> Result<Value, Error> {
        let index = self.values.len();
        if index >= MAX_NODES {
            return Err(limit("network", "more than 2^20 values"));
        }
        self.values.push((node, shape));
        #[expect(clippy::cast_possible_truncation, reason = "at most 2^20")]
        Ok(Value(index as u32))
    }

    fn push(&mut self, node: Node) -> Result<usize, Error> {
        if self.nodes.len() >= MAX_NODES {
            return Err(limit("network", "more than 2^20 operations"));
        }
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    /// Adds `Σ M·x + bias`; constants go into the bias.
    fn push_linear(
        &mut self,
        operation: &'static str,
        terms: Vec<(usize, SparseMatrix)>,
        bias: Option<Vec<f32>>,
        len: usize,
    ) -> Result<usize, Error> {
        for (_, matrix) in &terms {
            self.spend(matrix.rows().saturating_add(matrix.nonzeros()))?;
        }
        if let Some(index) = bias.iter().flatten().position(|b| !b.is_finite()) {
            return Err(wrong(
                operation,
                format!("a constant is not finite (at index {index})"),
            ));
        }
        let mut sums: Vec<f64> = bias.iter().flatten().map(|b| f64::from(*b)).collect();
        let mut left: Vec<(usize, Arc<SparseMatrix>)> = Vec::new();
        for (node, matrix) in terms {
            match &self.nodes[node] {
                Node::Constant(values) => {
                    sums.resize(len, 0.0);
                    let x: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
                    matrix.accumulate(&x, &mut sums);
                }
                // The value itself, under another name.
                _ => left.push((node, Arc::new(matrix))),
            }
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "rounded to single precision"
        )]
        let bias: Vec<f32> = sums.iter().map(|s| *s as f32).collect();
        sums.zeroize();
        if let Some(index) = bias.iter().position(|b| !b.is_finite()) {
            return Err(wrong(
                operation,
                format!("a constant is not finite (at index {index})"),
            ));
        }
        if left.is_empty() {
            let mut values = bias;
            values.resize(len, 0.0);
            return self.push(Node::Constant(values));
        }
        if let [(node, matrix)] = left.as_slice()
            && bias.iter().all(|b| *b == 0.0)
            && matrix.is_identity()
        {
            return Ok(*node);
        }
        self.nonzeros += left.iter().map(|t| t.1.nonzeros()).sum::<usize>();
        self.push(Node::Linear { terms: left, bias })
    }

    /// Checks that so many entries may be added before they are.
    fn room(&self, entries: Option<usize>) -> Result<(), Error> {
        match entries.and_then(|n| n.checked_add(self.spent)) {
            Some(n) if n <= self.limits.entries => Ok(()),
            n => Err(too_many(n.unwrap_or(usize::MAX), self.limits.entries)),
        }
    }

    fn spend(&mut self, entries: usize) -> Result<(), Error> {
        self.room(Some(entries))?;
        self.spent += entries;
        Ok(())
    }

    /// Entries of a value, those of `indices`, in a new shape.
    fn select(
        &mut self,
        operation: &'static str,
        x: usize,
        columns: usize,
        indices: &[usize],
        shape: Vec<usize>,
    ) -> Result<Value, Error> {
        let matrix = SparseMatrix::selection(columns, indices)?;
        let node = self.push_linear(operation, vec![(x, matrix)], None, indices.len())?;
        self.name(node, shape)
    }

    /// `M·x + bias` for a value of any shape, read as one vector; the result has the given shape.
    ///
    /// # Errors
    /// If the matrix does not fit the value or the shape, or there is not one finite bias for each
    /// row.
    pub fn linear(
        &mut self,
        x: Value,
        matrix: SparseMatrix,
        bias: Option<Vec<f32>>,
        shape: &[usize],
    ) -> Result<Value, Error> {
        let (node, from) = self.get("linear", x)?;
        let (inputs, len) = (
            from.iter().product::<usize>(),
            shape::entries("linear", shape)?,
        );
        if (matrix.rows(), matrix.columns()) != (len, inputs) {
            return Err(wrong(
                "linear",
                format!(
                    "a matrix of {}×{} does not map the shape {from:?} to {shape:?}",
                    matrix.rows(),
                    matrix.columns()
                ),
            ));
        }
        if let Some(bias) = &bias
            && bias.len() != len
        {
            return Err(wrong(
                "linear",
                format!("{} biases for {len} rows", bias.len()),
            ));
        }
        let node = self.push_linear("linear", vec![(node, matrix)], bias, len)?;
        self.name(node, shape.to_vec())
    }

    /// `W·x + b` along the last axis: `weight` is `[outputs, inputs]`, `bias` `[outputs]`.
    ///
    /// # Errors
    /// If the last axis has not as many entries as the matrix columns, there is not one bias for each
    /// row, or a weight is not finite.
    pub fn dense(
        &mut self,
        x: Value,
        weight: ArrayView2<'_, f32>,
        bias: Option<ArrayView1<'_, f32>>,
    ) -> Result<Value, Error> {
        const NAME: &str = "dense";
        let (node, mut shape) = self.get(NAME, x)?;
        let (outputs, inputs) = weight.dim();
        let from = shape.clone();
        match shape.last_mut() {
            Some(last) if *last == inputs => *last = outputs,
            _ => {
                return Err(wrong(
                    NAME,
                    format!("a weight of shape [{outputs}, {inputs}] on a value of shape {from:?}"),
                ));
            }
        }
        check_bias(NAME, bias, outputs)?;
        let len = shape::entries(NAME, &shape)?;
        let copies = len / outputs;
        self.room(weight.len().checked_mul(copies))?;
        let sources = (0..copies).flat_map(|c| weight.rows().into_iter().map(move |r| (c, r)));
        let matrix = SparseMatrix::of_weights(inputs * copies, len, sources, |(c, row)| {
            row.into_iter()
                .enumerate()
                .map(move |(j, w)| (c * inputs + j, f64::from(*w)))
        })?;
        let bias = bias.map(|b| (0..len).map(|i| b[i % outputs]).collect());
        let node = self.push_linear(NAME, vec![(node, matrix)], bias, len)?;
        self.name(node, shape)
    }

    /// A convolution of a value of channels and one, two or three spatial dimensions, `C × …`, with
    /// `weight` of `M × C/groups × kernel…`: cross-correlation, as networks have it.
    ///
    /// # Errors
    /// If the shapes do not fit each other, or the window does not fit the value.
    pub fn conv(
        &mut self,
        x: Value,
        weight: ArrayViewD<'_, f32>,
        bias: Option<ArrayView1<'_, f32>>,
        conv: &Conv,
    ) -> Result<Value, Error> {
        const NAME: &str = "convolution";
        let (node, from) = self.get(NAME, x)?;
        let groups = conv.groups.max(1);
        let kernel = weight.shape().to_vec();
        let fits = (2..=4).contains(&from.len())
            && kernel.len() == from.len() + 1
            && from[0].is_multiple_of(groups)
            && kernel[0].is_multiple_of(groups)
            && kernel[0] > 0
            && kernel[1] == from[0] / groups;
        if !fits {
            return Err(wrong(
                NAME,
                format!(
                    "a weight of shape {kernel:?} in {groups} groups on a value of shape {from:?}"
                ),
            ));
        }
        let outputs = kernel[0];
        check_bias(NAME, bias, outputs)?;
        let windows = Windows::new(
            NAME,
            &from[1..],
            &Pool {
                kernel: kernel[2..].to_vec(),
                strides: conv.strides.clone(),
                pads: conv.pads.clone(),
                dilations: conv.dilations.clone(),
                ..Pool::default()
            },
        )?;
        let mut shape = vec![outputs];
        shape.extend(windows.out_shape());
        let len = shape::entries(NAME, &shape)?;
        let per_row = kernel[1..].iter().product::<usize>();
        self.room(len.checked_mul(per_row))?;
        let (channels, spatial) = (kernel[1], from[1..].iter().product::<usize>());
        let taps: usize = kernel[2..].iter().product();
        let weights = Zeroizing::new(weight.iter().copied().collect::<Vec<f32>>());
        let places: Vec<Vec<(usize, usize)>> = Indices::new(&shape[1..])
            .map(|position| windows.at(&position).0)
            .collect();
        let rows = (0..outputs).flat_map(|m| places.iter().map(move |p| (m, p)));
        let inputs = from.iter().product();
        let matrix = SparseMatrix::of_weights(inputs, len, rows, |(m, places)| {
            let group = m / (outputs / groups);
            let weights = &weights;
            (0..channels).flat_map(move |c| {
                places.iter().map(move |(k, i)| {
                    let weight = weights[(m * channels + c) * taps + k];
                    ((group * channels + c) * spatial + i, f64::from(weight))
                })
            })
        })?;
        let positions = len / outputs;
        let bias = bias.map(|b| (0..len).map(|i| b[i / positions]).collect());
        let node = self.push_linear(NAME, vec![(node, matrix)], bias, len)?;
        self.name(node, shape)
    }

    /// The windows of a pooling over a value `C × …`, and the shape of the result.
    fn pool_windows(
        operation: &'static str,
        from: &[usize],
        pool: &Pool,
    ) -> Result<(Windows, Vec<usize>), Error> {
        let Some((channels, sizes)) = from.split_first() else {
            return Err(wrong(operation, "the value has no spatial dimension"));
        };
        let windows = Windows::new(operation, sizes, pool)?;
        let mut shape = vec![*channels];
        shape.extend(windows.out_shape());
        shape::entries(operation, &shape)?;
        Ok((windows, shape))
    }

    /// Averages over windows of a value of channels and spatial dimensions, `C × …`.
    ///
    /// # Errors
    /// If the window does not fit the value, or lies in the padding somewhere.
    pub fn average_pool(&mut self, x: Value, pool: &Pool) -> Result<Value, Error> {
        const NAME: &str = "average pooling";
        let (node, from) = self.get(NAME, x)?;
        let (windows, shape) = Self::pool_windows(NAME, &from, pool)?;
        let len: usize = shape.iter().product();
        self.room(pool.kernel.iter().product::<usize>().checked_mul(len))?;
        let spatial = from[1..].iter().product::<usize>();
        let mut places = Vec::new();
        for position in Indices::new(&shape[1..]) {
            let (entries, padded) = windows.at(&position);
            let count = if pool.count_include_pad {
                padded
            } else {
                entries.len()
            };
            if entries.is_empty() {
                return Err(wrong(NAME, "a window lies in the padding"));
            }
            places.push((entries, 1.0 / count as f64));
        }
        let rows = (0..shape[0]).flat_map(|c| places.iter().map(move |p| (c, p)));
        let matrix =
            SparseMatrix::from_rows(from.iter().product(), len, rows, |(c, (entries, share))| {
                entries.iter().map(move |(_, i)| (c * spatial + i, *share))
            })?;
        let node = self.push_linear(NAME, vec![(node, matrix)], None, len)?;
        self.name(node, shape)
    }

    /// Averages of each channel of a value `C × …`; the result is `C × 1 × …`.
    ///
    /// # Errors
    /// If the value has no spatial dimension.
    pub fn global_average_pool(&mut self, x: Value) -> Result<Value, Error> {
        let pool = self.whole("global average pooling", x)?;
        self.average_pool(x, &pool)
    }

    fn whole(&self, operation: &'static str, x: Value) -> Result<Pool, Error> {
        let (_, from) = self.get(operation, x)?;
        match from.split_first() {
            Some((_, sizes)) if !sizes.is_empty() => Ok(Pool::tiles(sizes.iter().copied())),
            _ => Err(wrong(
                operation,
                format!("the shape {from:?} has no spatial dimension"),
            )),
        }
    }

    /// `scale·x + shift`, entry by entry, with constants; shapes broadcast. Batch normalisation, and
    /// products, quotients, sums and differences with constants are of this form.
    ///
    /// # Errors
    /// If the shapes do not broadcast, or a constant is not finite.
    pub fn scale_shift(
        &mut self,
        x: Value,
        scale: ArrayViewD<'_, f32>,
        shift: ArrayViewD<'_, f32>,
    ) -> Result<Value, Error> {
        const NAME: &str = "scale and shift";
        let (node, from) = self.get(NAME, x)?;
        let shape = broadcast(NAME, &[&from, scale.shape(), shift.shape()])?;
        let len = shape::entries(NAME, &shape)?;
        let places = broadcast_indices(NAME, &from, &shape)?;
        let spread = |constant: &ArrayViewD<'_, f32>| -> Result<Vec<f32>, Error> {
            let values = Zeroizing::new(constant.iter().copied().collect::<Vec<f32>>());
            let places = broadcast_indices(NAME, constant.shape(), &shape)?;
            Ok(places.into_iter().map(|i| values[i]).collect())
        };
        let (scale, shift) = (spread(&scale)?, spread(&shift)?);
        self.room(Some(len))?;
        let matrix = SparseMatrix::from_rows(
            from.iter().product(),
            len,
            places.iter().zip(&scale),
            |(place, scale)| [(*place, f64::from(*scale))],
        )?;
        let node = self.push_linear(NAME, vec![(node, matrix)], Some(shift), len)?;
        self.name(node, shape)
    }

    /// `−x`.
    ///
    /// # Errors
    /// If the network is too large.
    pub fn neg(&mut self, x: Value) -> Result<Value, Error> {
        self.combination("negation", &[(x, -1.0)])
    }

    /// `a + b`; shapes broadcast.
    ///
    /// # Errors
    /// If the shapes do not broadcast.
    pub fn add(&mut self, a: Value, b: Value) -> Result<Value, Error> {
        self.combination("sum", &[(a, 1.0), (b, 1.0)])
    }

    /// `a − b`; shapes broadcast.
    ///
    /// # Errors
    /// If the shapes do not broadcast.
    pub fn sub(&mut self, a: Value, b: Value) -> Result<Value, Error> {
        self.combination("difference", &[(a, 1.0), (b, -1.0)])
    }

    fn combination(
        &mut self,
        operation: &'static str,
        parts: &[(Value, f32)],
    ) -> Result<Value, Error> {
        let mut read = Vec::new();
        for (value, factor) in parts {
            let (node, shape) = self.get(operation, *value)?;
            read.push((node, shape, *factor));
        }
        let shapes: Vec<&[usize]> = read.iter().map(|r| r.1.as_slice()).collect();
        let shape = broadcast(operation, &shapes)?;
        let len = shape::entries(operation, &shape)?;
        self.room(len.checked_mul(read.len()))?;
        let mut terms = Vec::new();
        for (node, from, factor) in &read {
            let places = broadcast_indices(operation, from, &shape)?;
            let matrix = SparseMatrix::from_rows(from.iter().product(), len, &places, |place| {
                [(*place, f64::from(*factor))]
            })?;
            terms.push((*node, matrix));
        }
        let node = self.push_linear(operation, terms, None, len)?;
        self.name(node, shape)
    }

    /// Sums over some axes, which are kept with one entry if `keep`; over all of them if none is
    /// given.
    ///
    /// # Errors
    /// If there is no such axis, or one is given twice.
    pub fn sum(&mut self, x: Value, axes: &[usize], keep: bool) -> Result<Value, Error> {
        self.reduce("sum over axes", x, axes, keep, |_| 1.0)
    }

    /// Means over some axes, which are kept with one entry if `keep`; over all of them if none is
    /// given.
    ///
    /// # Errors
    /// If there is no such axis, or one is given twice.
    pub fn mean(&mut self, x: Value, axes: &[usize], keep: bool) -> Result<Value, Error> {
        self.reduce("mean over axes", x, axes, keep, |n| 1.0 / n as f64)
    }

    fn reduce(
        &mut self,
        operation: &'static str,
        x: Value,
        axes: &[usize],
        keep: bool,
        factor: impl Fn(usize) -> f64,
    ) -> Result<Value, Error> {
        let (node, from) = self.get(operation, x)?;
        let all: Vec<usize> = (0..from.len()).collect();
        let axes = if axes.is_empty() { &all } else { axes };
        for (k, axis) in axes.iter().enumerate() {
            check_axis(operation, &from, *axis)?;
            if axes[..k].contains(axis) {
                return Err(wrong(operation, format!("axis {axis} is given twice")));
            }
        }
        let mut kept = from.clone();
        axes.iter().for_each(|a| kept[*a] = 1);
        let len = shape::entries(operation, &kept)?;
        let inputs = from.iter().product::<usize>();
        self.room(Some(inputs))?;
        let share = factor(inputs / len);
        // Which sum every entry belongs to, and the entries by sum.
        let own = strides(&kept);
        let sum_of = |index: &[usize]| -> usize {
            let parts = index.iter().zip(&kept).zip(&own);
            parts
                .map(|((i, d), stride)| if *d == 1 { 0 } else { i * stride })
                .sum()
        };
        let each = inputs / len;
        let mut members = vec![0usize; inputs];
        let mut filled = vec![0usize; len];
        for (at, index) in Indices::new(&from).enumerate() {
            let sum = sum_of(&index);
            members[sum * each + filled[sum]] = at;
            filled[sum] += 1;
        }
        let matrix = SparseMatrix::from_rows(inputs, len, members.chunks(each), |members| {
            members.iter().map(|at| (*at, share))
        })?;
        let node = self.push_linear(operation, vec![(node, matrix)], None, len)?;
        let shape = if keep {
            kept
        } else {
            let left = from.iter().enumerate().filter(|(a, _)| !axes.contains(a));
            left.map(|(_, d)| *d).collect()
        };
        self.name(node, shape)
    }

    /// The same entries in another shape.
    ///
    /// # Errors
    /// If the shape has not as many entries.
    pub fn reshape(&mut self, x: Value, shape: &[usize]) -> Result<Value, Error> {
        const NAME: &str = "reshape";
        let (node, from) = self.get(NAME, x)?;
        if shape::entries(NAME, shape)? != from.iter().product::<usize>() {
            return Err(wrong(
                NAME,
                format!("the shape {from:?} has not as many entries as {shape:?}"),
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
        const NAME: &str = "gather";
        let (node, from) = self.get(NAME, x)?;
        check_axis(NAME, &from, axis)?;
        if let Some(index) = indices.iter().find(|i| **i >= from[axis]) {
            return Err(wrong(
                NAME,
                format!("there is no index {index} along axis {axis} of the shape {from:?}"),
            ));
        }
        let mut shape = from.clone();
        shape[axis] = indices.len();
        let len = shape::entries(NAME, &shape)?;
        self.room(Some(len))?;
        let own = strides(&from);
        let places: Vec<usize> = Indices::new(&shape)
            .map(|mut index| {
                index[axis] = indices[index[axis]];
                index.iter().zip(&own).map(|(i, stride)| i * stride).sum()
            })
            .collect();
        self.select(NAME, node, from.iter().product(), &places, shape)
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
            terms.push((*node, matrix));
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
        let node = self.push_linear(NAME, vec![(node, matrix)], Some(bias), len)?;
        self.name(node, shape)
    }

    /// Known values. An error, if one is not finite or there are none, is reported by
    /// [`build`](Self::build).
    pub fn constant(&mut self, value: ArrayViewD<'_, f32>) -> Value {
        let shape = value.shape().to_vec();
        let problem = match shape::entries("constant", &shape) {
            Err(e) => Some(e),
            Ok(_) => value
                .iter()
                .position(|v| !v.is_finite())
                .map(|i| wrong("constant", format!("it is not finite (at index {i})"))),
        };
        let pushed = match problem {
            Some(e) => Err(e),
            None => self
                .spend(value.len())
                .and_then(|()| self.push(Node::Constant(value.iter().copied().collect())))
                .and_then(|node| self.name(node, shape)),
        };
        pushed.unwrap_or_else(|e| {
            self.error.get_or_insert(e);
            Value(0)
        })
    }

    /// A function of every entry.
    ///
    /// # Errors
    /// If a parameter of the function is not finite.
    pub fn function(&mut self, x: Value, function: Function) -> Result<Value, Error> {
        const NAME: &str = "function";
        let (node, shape) = self.get(NAME, x)?;
        if let Some(problem) = function.problem() {
            return Err(wrong(NAME, format!("{}: {problem}", function.name())));
        }
        if let Node::Constant(values) = &self.nodes[node] {
            self.room(Some(values.len()))?;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "rounded to single precision"
            )]
            let values: Vec<f32> = values
                .iter()
                .map(|v| function.apply(f64::from(*v)) as f32)
                .collect();
            if values.iter().any(|v| !v.is_finite()) {
                return Err(wrong(
                    NAME,
                    format!("{} of a constant is not finite", function.name()),
                ));
            }
            self.spend(values.len())?;
            let node = self.push(Node::Constant(values))?;
            return self.name(node, shape);
        }
        let number = |v: f64| {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "rounded to single precision"
            )]
            let v = v as f32;
            ndarray::Array::from_elem(Vec::new(), v)
        };
        match function {
            Function::LeakyRelu(alpha) => self.prelu(x, number(alpha).view()),
            // |x| = relu(x) − (−1)·relu(−x)
            Function::Abs => self.prelu(x, number(-1.0).view()),
            Function::HardSigmoid { alpha, beta } => {
                let x = self.scale_shift(x, number(alpha).view(), number(beta).view())?;
                self.function(
                    x,
                    Function::Clip {
                        least: 0.0,
                        most: 1.0,
                    },
                )
            }
            Function::Clip { least, most }
                if least == f64::NEG_INFINITY || most == f64::INFINITY =>
            {
                if least == f64::NEG_INFINITY && most == f64::INFINITY {
                    return Ok(x);
                }
                // max(x, l) = l + relu(x − l), min(x, m) = m − relu(m − x)
                let (end, sign) = if most == f64::INFINITY {
                    (least, 1.0)
                } else {
                    (most, -1.0)
                };
                let over = self.scale_shift(x, number(sign).view(), number(-sign * end).view())?;
                let over = self.function(over, Function::Relu)?;
                self.scale_shift(over, number(sign).view(), number(end).view())
            }
            // A ReLU after a maximum belongs to it.
            Function::Relu if matches!(&self.nodes[node], Node::Maximum { .. }) => {
                let Node::Maximum { parts, .. } = &self.nodes[node] else {
                    return Ok(x);
                };
                let parts = parts.clone();
                let node = self.push(Node::Maximum { parts, relu: true })?;
                self.name(node, shape)
            }
            Function::Relu if matches!(&self.nodes[node], Node::Function(_, Function::Relu)) => {
                Ok(x)
            }
            function => {
                let node = self.push(Node::Function(node, function))?;
                self.name(node, shape)
            }
        }
    }

    /// Products, entry by entry; shapes broadcast. With a constant it is linear.
    ///
    /// # Errors
    /// If the shapes do not broadcast.
    pub fn mul(&mut self, a: Value, b: Value) -> Result<Value, Error> {
        const NAME: &str = "product";
        for (x, constant) in [(a, b), (b, a)] {
            self.get(NAME, x)?;
            if let Some(values) = self.constant_value(constant) {
                let scale =
                    ndarray::ArrayD::from_shape_vec(self.shape(constant).to_vec(), values.to_vec());
                let scale = scale.map_err(|e| wrong(NAME, e.to_string()))?;
                let zero = ndarray::ArrayD::zeros(Vec::new());
                return self.scale_shift(x, scale.view(), zero.view());
            }
        }
        let shape = broadcast(NAME, &[self.shape(a), self.shape(b)])?;
        let (a, b) = (self.broadcast(a, &shape)?, self.broadcast(b, &shape)?);
        let (left, right) = (self.get(NAME, a)?.0, self.get(NAME, b)?.0);
        let node = self.push(Node::Product(left, right))?;
        self.name(node, shape)
    }

    /// The largest entry of windows of a value of channels and spatial dimensions, `C × …`; padding
    /// is no entry.
    ///
    /// # Errors
    /// If the window does not fit the value, lies in the padding somewhere, or has more than 1024
    /// entries.
    pub fn max_pool(&mut self, x: Value, pool: &Pool) -> Result<Value, Error> {
        const NAME: &str = "max pooling";
        let (node, from) = self.get(NAME, x)?;
        let (windows, shape) = Self::pool_windows(NAME, &from, pool)?;
        let len: usize = shape.iter().product();
        let most = pool.kernel.iter().product::<usize>();
        if most > MAX_WINDOW {
            return Err(limit(
                NAME,
                format!("a window of {most} entries, at most {MAX_WINDOW}"),
            ));
        }
        self.room(most.checked_mul(len))?;
        // Both are monotone: the order does not matter, and the maximum needs its entries in an order
        // of its own.
        let (node, relu) = match &self.nodes[node] {
            Node::Function(z, Function::Relu) => (*z, true),
            _ => (node, false),
        };
        let spatial = from[1..].iter().product::<usize>();
        let mut places = Vec::new();
        for position in Indices::new(&shape[1..]) {
            let inside: Vec<usize> = windows.at(&position).0.iter().map(|e| e.1).collect();
            if inside.is_empty() {
                return Err(wrong(NAME, "a window lies in the padding"));
            }
            places.push(inside);
        }
        let count = places.iter().map(Vec::len).max().unwrap_or(1);
        let inputs = from.iter().product::<usize>();
        let mut parts = Vec::new();
        for k in 0..count {
            let places = &places;
            // A window with fewer entries repeats one.
            let indices: Vec<usize> = (0..shape[0])
                .flat_map(|c| places.iter().map(move |p| c * spatial + p[k % p.len()]))
                .collect();
            let part = SparseMatrix::selection(inputs, &indices)?;
            parts.push(self.push_linear(NAME, vec![(node, part)], None, len)?);
        }
        let node = self.maximum_of(parts, relu)?;
        self.name(node, shape)
    }

    fn maximum_of(&mut self, mut parts: Vec<usize>, relu: bool) -> Result<usize, Error> {
        parts.sort_unstable();
        parts.dedup();
        match (parts.as_slice(), relu) {
            ([one], false) => Ok(*one),
            ([one], true) => self.push(Node::Function(*one, Function::Relu)),
            _ => self.push(Node::Maximum { parts, relu }),
        }
    }

    /// The largest entry of each channel of a value `C × …`; the result is `C × 1 × …`.
    ///
    /// # Errors
    /// If the value has no spatial dimension, or more than 1024 entries in a channel.
    pub fn global_max_pool(&mut self, x: Value) -> Result<Value, Error> {
        let pool = self.whole("global max pooling", x)?;
        self.max_pool(x, &pool)
    }

    /// `max(a, b)`, entry by entry; shapes broadcast.
    ///
    /// # Errors
    /// If the shapes do not broadcast.
    pub fn maximum(&mut self, a: Value, b: Value) -> Result<Value, Error> {
        const NAME: &str = "maximum";
        for (x, constant) in [(a, b), (b, a)] {
            if self.constant_value(constant).is_some() && self.constant_value(x).is_none() {
                // max(x, c) = relu(x − c) + c
                let over = self.sub(x, constant)?;
                let over = self.function(over, Function::Relu)?;
                return self.add(over, constant);
            }
        }
        let shape = broadcast(NAME, &[self.shape(a), self.shape(b)])?;
        let (a, b) = (self.broadcast(a, &shape)?, self.broadcast(b, &shape)?);
        let (left, right) = (self.get(NAME, a)?.0, self.get(NAME, b)?.0);
        if let (Node::Constant(left), Node::Constant(right)) =
            (&self.nodes[left], &self.nodes[right])
        {
            let largest = left.iter().zip(right).map(|(a, b)| a.max(*b)).collect();
            let node = self.push(Node::Constant(largest))?;
            return self.name(node, shape);
        }
        let node = self.maximum_of(vec![left, right], false)?;
        self.name(node, shape)
    }

    /// `min(a, b)`, entry by entry; shapes broadcast.
    ///
    /// # Errors
    /// If the shapes do not broadcast.
    pub fn minimum(&mut self, a: Value, b: Value) -> Result<Value, Error> {
        let (a, b) = (self.neg(a)?, self.neg(b)?);
        let largest = self.maximum(a, b)?;
        self.neg(largest)
    }

    /// `x` where it is positive, `slope·x` elsewhere; the slope broadcasts to the value.
    ///
    /// # Errors
    /// If the slope does not broadcast to the value's shape, or is not finite.
    pub fn prelu(&mut self, x: Value, slope: ArrayViewD<'_, f32>) -> Result<Value, Error> {
        const NAME: &str = "leaky relu";
        let (node, shape) = self.get(NAME, x)?;
        broadcast_indices(NAME, slope.shape(), &shape)?;
        if slope.iter().all(|s| *s == 0.0) {
            return self.function(x, Function::Relu);
        }
        if matches!(self.nodes[node], Node::Constant(_)) {
            return Err(wrong(NAME, "the value is a constant"));
        }
        // relu(x) − slope·relu(−x) = (1 − slope)·relu(x) + slope·x, both of one register.
        let identity = self.push(Node::Identity(node))?;
        let identity = self.name(identity, shape.clone())?;
        let relu = self.function(identity, Function::Relu)?;
        let zero = ndarray::ArrayD::zeros(Vec::new());
        let kept = self.scale_shift(relu, slope.mapv(|s| 1.0 - s).view(), zero.view())?;
        let rest = self.scale_shift(identity, slope, zero.view())?;
        self.add(kept, rest)
    }

    /// Index of the largest entry, of equal ones the first, all axes as one; shape `[1]`. It can only
    /// be the output.
    ///
    /// # Errors
    /// If the network is too large.
    pub fn argmax(&mut self, x: Value) -> Result<Value, Error> {
        const NAME: &str = "index of the largest entry";
        let (node, _) = self.get(NAME, x)?;
        let node = self.push(Node::ArgMax(node))?;
        self.name(node, vec![1])
    }

    /// A state of this shape, zero before the first frame: a value that one frame leaves to the next.
    /// [`carry`](Self::carry) says what it becomes.
    ///
    /// # Errors
    /// If the shape is empty or too large.
    pub fn state(&mut self, shape: &[usize]) -> Result<Value, Error> {
        shape::entries("state", shape)?;
        self.push_state(ArrayD::zeros(shape).view(), None)
    }

    /// A state with these values before the first frame. They are public: a proof's program has them.
    ///
    /// # Errors
    /// If it is empty, too large or not finite.
    pub fn state_from(&mut self, initial: ArrayViewD<'_, f32>) -> Result<Value, Error> {
        self.push_state(initial, None)
    }

    /// A state whose entries stay within `±bound`, whatever the inputs: its integers have that range,
    /// instead of one from calibration, and saturate beyond it.
    ///
    /// # Errors
    /// If it is empty, too large, not finite or beyond the bound, or the bound is not a positive
    /// number.
    pub fn state_within(
        &mut self,
        initial: ArrayViewD<'_, f32>,
        bound: f64,
    ) -> Result<Value, Error> {
        if !(bound.is_finite() && bound > 0.0) {
            return Err(wrong("state", "its bound is not a positive number"));
        }
        if initial.iter().any(|v| f64::from(v.abs()) > bound) {
            return Err(wrong("state", "an initial value is beyond its bound"));
        }
        self.push_state(initial, Some(bound))
    }

    fn push_state(
        &mut self,
        initial: ArrayViewD<'_, f32>,
        bound: Option<f64>,
    ) -> Result<Value, Error> {
        const NAME: &str = "state";
        let shape = initial.shape().to_vec();
        self.spend(shape::entries(NAME, &shape)?)?;
        if let Some(index) = initial.iter().position(|v| !v.is_finite()) {
            return Err(wrong(NAME, format!("it is not finite (at index {index})")));
        }
        let node = self.push(Node::State(self.states.len()))?;
        self.states.push(StateNode {
            node,
            initial: initial.iter().copied().collect(),
            bound,
            next: None,
        });
        self.name(node, shape)
    }

    /// What a state is in the next frame: the value `next` of this one.
    ///
    /// # Errors
    /// If `state` is no state or has its next value already, or the shapes differ.
    pub fn carry(&mut self, state: Value, next: Value) -> Result<(), Error> {
        const NAME: &str = "carry";
        let (node, shape) = self.get(NAME, state)?;
        let (next, other) = self.get(NAME, next)?;
        if shape != other {
            return Err(wrong(
                NAME,
                format!("a state of shape {shape:?} becomes a value of shape {other:?}"),
            ));
        }
        match self.states.iter_mut().find(|s| s.node == node) {
            None => Err(wrong(NAME, "the value is no state")),
            Some(state) if state.next.is_some() => {
                Err(wrong(NAME, "the state has its next value already"))
            }
            Some(state) => {
                state.next = Some(next);
                Ok(())
            }
        }
    }

    /// The network with this value as its output, one for every frame.
    ///
    /// # Errors
    /// The first constant or shape that did not fit; if the output does not depend on the input, or
    /// the composed matrices have more than 2^28 entries; if a state that the output depends on has no
    /// next value.
    pub fn build(self, output: Value) -> Result<Network, Error> {
        self.build_with(output, Emission::Each)
    }

    /// The network with this value after the last frame as its only output: many to one.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn build_last(self, output: Value) -> Result<Network, Error> {
        self.build_with(output, Emission::Last)
    }

    fn build_with(self, output: Value, emission: Emission) -> Result<Network, Error> {
        if let Some(e) = self.error {
            return Err(e);
        }
        let Some((node, shape)) = self.values.get(output.0 as usize).cloned() else {
            return Err(wrong("output", "the value belongs to another builder"));
        };
        let input = self.values.first().map(|v| v.1.clone()).unwrap_or_default();
        let mut network = compose(&self.nodes, &self.states, &input, node, &shape, self.limits)?;
        network.emission = emission;
        Ok(network)
    }
}

fn check_bias(
    operation: &'static str,
    bias: Option<ArrayView1<'_, f32>>,
    outputs: usize,
) -> Result<(), Error> {
    match bias {
        Some(bias) if bias.len() != outputs => Err(wrong(
            operation,
            format!("{} biases for {outputs} outputs", bias.len()),
        )),
        _ => Ok(()),
    }
}

impl fmt::Debug for NetworkBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkBuilder")
            .field("operations", &self.nodes.len())
            .field("nonzeros", &self.nonzeros)
            .finish_non_exhaustive()
    }
}
