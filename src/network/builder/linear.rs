//! Operations that are linear in the values.

use ndarray::{ArrayView1, ArrayView2, ArrayViewD};
use zeroize::Zeroizing;

use super::{NetworkBuilder, Value};
use crate::{
    error::Error,
    network::{
        Conv, Pool, SparseMatrix,
        shape::{self, Indices, broadcast, broadcast_indices, check_axis, strides},
        window::{self, Windows, kept, rows_over, summed},
        wrong,
    },
    program::{Order, Window},
};

impl NetworkBuilder {
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
    /// If the last axis does not have as many entries as the matrix columns, there is not one bias for each
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
        // One map for each index of the axes before.
        let copied = from.iter().take(from.len() - 1).map(|size| kept(*size));
        let window = rows_over(copied.chain([summed(inputs)])).map(|window| Window {
            order: Order::Positions,
            ..window
        });
        let matrix = matrix.under(window.filter(|_| copies > 1));
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
        // Of groups the kernels are zero over the channels of others.
        let matrix = matrix.under(windows.over(summed(from[0])));
        let positions = len / outputs;
        let bias = bias.map(|b| (0..len).map(|i| b[i / positions]).collect());
        let node = self.push_linear(NAME, vec![(node, matrix)], bias, len)?;
        self.name(node, shape)
    }

    /// The windows of a pooling over a value `C × …`, and the shape of the result.
    pub(super) fn pool_windows(
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
        let matrix = matrix.under(windows.over(kept(shape[0])));
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

    pub(super) fn whole(&self, operation: &'static str, x: Value) -> Result<Pool, Error> {
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
        let over = |(axis, size): (usize, &usize)| match axes.contains(&axis) {
            true => summed(*size),
            false => window::kept(*size),
        };
        let matrix = matrix.under(rows_over(from.iter().enumerate().map(over)));
        let node = self.push_linear(operation, vec![(node, matrix)], None, len)?;
        let shape = if keep {
            kept
        } else {
            let left = from.iter().enumerate().filter(|(a, _)| !axes.contains(a));
            left.map(|(_, d)| *d).collect()
        };
        self.name(node, shape)
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
