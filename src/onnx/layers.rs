//! Matrices, convolutions, pooling, and what else works on whole tensors.

use std::ops::Range;

use ndarray::{ArrayD, ArrayView2, Ix1, Ix2, IxDyn};

use super::{
    error::{Failure, Outcome},
    file::Node,
    fold::{reduced_axes, single},
    import::SoftmaxEnd,
    tensor::{Tensor, Wiped, axis, entries, per_axis},
    walk::{Importer, Term},
};
use crate::network::{Conv, Pool, SparseMatrix, Value};

/// Largest size of a window, stride or padding.
const MAX_WINDOW: i64 = 1 << 20;
/// Size of a batch that is one input of the network.
const MAX_SAMPLES: usize = 1 << 10;
/// Entries of the matrix of a transposed convolution, or of a batch of matrices.
const MAX_TRIPLETS: usize = 1 << 23;

/// Whether the operator is one of those below.
pub(super) fn is_known(operator: &str) -> bool {
    matches!(
        operator,
        "Gemm"
            | "MatMul"
            | "Conv"
            | "ConvTranspose"
            | "BatchNormalization"
            | "AveragePool"
            | "GlobalAveragePool"
            | "MaxPool"
            | "GlobalMaxPool"
            | "ReduceMean"
            | "ReduceSum"
            | "Concat"
            | "Pad"
            | "Where"
            | "ArgMax"
            | "Softmax"
            | "LogSoftmax"
    )
}

/// How a window slides, from the attributes of a node.
struct Window {
    kernel: Vec<usize>,
    strides: Vec<usize>,
    pads: Vec<(usize, usize)>,
    dilations: Vec<usize>,
}

impl Window {
    /// `kernel` is that of the weights; of the attribute if there are none.
    fn new(node: &Node, spatial: &[usize], kernel: Option<&[usize]>) -> Outcome<Self> {
        let rank = spatial.len();
        let list = |name: &str, count: usize, least: i64| -> Outcome<Option<Vec<usize>>> {
            let Some(values) = node.ints(name)? else {
                return Ok(None);
            };
            if values.len() != count {
                return Err(Failure::malformed(format!(
                    "attribute `{name}` has {} entries, expected {count}",
                    values.len()
                )));
            }
            let sizes = values.iter().map(|v| match usize::try_from(*v) {
                Ok(size) if (least..=MAX_WINDOW).contains(v) => Ok(size),
                _ if *v < 0 && least == 0 => Err(Failure::unsupported(format!(
                    "attribute `{name}` is {values:?}"
                ))),
                _ => Err(Failure::malformed(format!(
                    "attribute `{name}` is {values:?}"
                ))),
            });
            sizes.collect::<Outcome<_>>().map(Some)
        };
        let named = list("kernel_shape", rank, 1)?;
        let kernel = match (kernel, named) {
            (Some(kernel), Some(named)) if kernel != named => {
                return Err(Failure::malformed(format!(
                    "attribute `kernel_shape` is {named:?}, its weights are for {kernel:?}"
                )));
            }
            (Some(kernel), _) => kernel.to_vec(),
            (None, Some(named)) => named,
            (None, None) => return Err(Failure::malformed("it has no attribute `kernel_shape`")),
        };
        let strides = list("strides", rank, 1)?.unwrap_or_else(|| vec![1; rank]);
        let dilations = list("dilations", rank, 1)?.unwrap_or_else(|| vec![1; rank]);
        let pads = list("pads", 2 * rank, 0)?.unwrap_or_else(|| vec![0; 2 * rank]);
        let (begins, ends) = pads.split_at(rank);
        let mut pads: Vec<(usize, usize)> =
            begins.iter().copied().zip(ends.iter().copied()).collect();
        let auto = node.text("auto_pad")?.map_or("NOTSET", String::as_str);
        match auto {
            "NOTSET" | "" => {}
            "VALID" => pads = vec![(0, 0); rank],
            // ONNX Runtime leaves dilations out of the padding of pools, against the specification.
            "SAME_UPPER" | "SAME_LOWER"
                if node.operator.ends_with("Pool") && dilations.iter().any(|d| *d > 1) =>
            {
                return Err(Failure::instead(
                    format!(
                        "`auto_pad` is `{auto}` and there are dilations, which is read in two ways"
                    ),
                    "give its padding as `pads`",
                ));
            }
            "SAME_UPPER" | "SAME_LOWER" => {
                pads = spatial
                    .iter()
                    .zip(&kernel)
                    .zip(strides.iter().zip(&dilations))
                    .map(|((size, kernel), (stride, dilation))| {
                        let out = size.div_ceil(*stride);
                        let reach = (kernel - 1).saturating_mul(*dilation).saturating_add(1);
                        let span = out.saturating_sub(1).saturating_mul(*stride);
                        let total = span.saturating_add(reach).saturating_sub(*size);
                        let (less, more) = (total / 2, total - total / 2);
                        if auto == "SAME_UPPER" {
                            (less, more)
                        } else {
                            (more, less)
                        }
                    })
                    .collect();
            }
            other => {
                return Err(Failure::malformed(format!(
                    "attribute `auto_pad` is `{other}`"
                )));
            }
        }
        Ok(Self {
            kernel,
            strides,
            pads,
            dilations,
        })
    }
}

/// The constants of a convolution.
struct ConvWeights {
    /// Of as many dimensions as the value.
    weight: Wiped<IxDyn>,
    bias: Option<Wiped<Ix1>>,
    /// Shape of the value.
    shape: Vec<usize>,
}

impl Importer<'_> {
    /// The output of a node, `None` if it is none of these.
    pub(super) fn layer(&mut self, node: &Node, inputs: &[Option<Term>]) -> Outcome<Option<Term>> {
        Ok(Some(match node.operator.as_str() {
            "Gemm" => self.gemm(node, inputs)?,
            "MatMul" => self.matmul(inputs)?,
            "Conv" => self.conv(node, inputs)?,
            "ConvTranspose" => self.conv_transpose(node, inputs)?,
            "BatchNormalization" => self.batch_norm(node, inputs)?,
            "AveragePool" | "MaxPool" => self.pool(node, inputs)?,
            "GlobalAveragePool" | "GlobalMaxPool" => {
                let is_max = node.operator == "GlobalMaxPool";
                self.per_sample(inputs, |import, x| {
                    Ok(if is_max {
                        import.builder.global_max_pool(x)?
                    } else {
                        import.builder.global_average_pool(x)?
                    })
                })?
            }
            "ReduceMean" | "ReduceSum" => {
                let x = self.required(inputs, 0)?;
                let axes = self.constant(inputs, 1, "list of axes")?;
                let rank = self.shape(&x).len();
                let (axes, keep) = reduced_axes(node, rank, axes.as_deref())?;
                if axes.is_empty() {
                    return Ok(Some(x));
                }
                let x = self.value(&x)?;
                if node.operator == "ReduceMean" {
                    self.builder.mean(x, &axes, keep)?.into()
                } else {
                    self.builder.sum(x, &axes, keep)?.into()
                }
            }
            "Concat" => self.concat(node, inputs)?,
            "Pad" => self.pad(node, inputs)?,
            "Where" => self.choose(inputs)?,
            "ArgMax" => self.argmax(node, inputs)?,
            "Softmax" | "LogSoftmax" => self.drop_softmax(node, inputs)?,
            _ => return Ok(None),
        }))
    }

    /// A constant as a matrix; dimensions of one entry before the last two are left out.
    fn matrix(tensor: &Tensor, what: &str) -> Outcome<Wiped<Ix2>> {
        match tensor.shape() {
            [more @ .., rows, columns] if more.iter().all(|size| *size == 1) => {
                tensor.in_shape(Ix2(*rows, *columns))
            }
            shape => Err(Failure::instead(
                format!("its {what} has the shape {shape:?}, no matrix"),
                "multiply by one matrix",
            )),
        }
    }

    /// `W·x` along the last axis.
    fn dense(&mut self, x: Value, weight: ArrayView2<'_, f32>) -> Outcome<Value> {
        let shape = self.builder.shape(x);
        if shape.last() != Some(&weight.ncols()) {
            return Err(Failure::malformed(format!(
                "a matrix of {} rows for a value of shape {shape:?}",
                weight.ncols()
            )));
        }
        Ok(self.builder.dense(x, weight, None)?)
    }

    /// The value with its last two axes swapped.
    fn swapped(&mut self, x: Value) -> Outcome<Value> {
        let rank = self.builder.shape(x).len();
        let mut order: Vec<usize> = (0..rank).collect();
        if rank >= 2 {
            order.swap(rank - 1, rank - 2);
        }
        Ok(self.builder.transpose(x, &order)?)
    }

    fn gemm(&mut self, node: &Node, inputs: &[Option<Term>]) -> Outcome<Term> {
        let (a, b) = (self.required(inputs, 0)?, self.required(inputs, 1)?);
        let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
        let (trans_a, trans_b) = (node.flag("transA", false)?, node.flag("transB", false)?);
        for (what, term) in [("A", &a), ("B", &b)] {
            let shape = self.shape(term);
            if shape.len() != 2 {
                return Err(Failure::malformed(format!(
                    "its input {what} has the shape {shape:?}, expected a matrix"
                )));
            }
        }
        let product = match (&a, &b) {
            (_, Term::Constant(b)) => {
                let mut weight = Self::matrix(b, "B")?;
                weight.mapv_inplace(|w| w * alpha);
                // `dense` takes [outputs, inputs].
                let weight = if trans_b { weight.view() } else { weight.t() };
                let mut x = self.value(&a)?;
                if trans_a {
                    x = self.swapped(x)?;
                }
                self.dense(x, weight)?
            }
            (Term::Constant(a), _) => {
                let mut weight = Self::matrix(a, "A")?;
                weight.mapv_inplace(|w| w * alpha);
                let weight = if trans_a { weight.t() } else { weight.view() };
                let mut x = self.value(&b)?;
                if !trans_b {
                    x = self.swapped(x)?;
                }
                let product = self.dense(x, weight)?;
                self.swapped(product)?
            }
            _ => return Err(two_values()),
        };
        let Some(c) = inputs.get(2).cloned().flatten() else {
            return Ok(product.into());
        };
        if beta == 0.0 {
            return Ok(product.into());
        }
        let c = self.value(&c)?;
        let c = if beta == 1.0 {
            c
        } else {
            self.affine(c, f64::from(beta), 0.0)?
        };
        let shape = self.builder.shape(product).to_vec();
        let sum = self.builder.add(product, c)?;
        if self.builder.shape(sum) != shape {
            return Err(Failure::malformed(format!(
                "its input C does not broadcast to the shape {shape:?}"
            )));
        }
        Ok(sum.into())
    }

    fn matmul(&mut self, inputs: &[Option<Term>]) -> Outcome<Term> {
        let (a, b) = (self.required(inputs, 0)?, self.required(inputs, 1)?);
        let (constant, x, first) = match (&a, &b) {
            (_, Term::Constant(b)) => (b, &a, false),
            (Term::Constant(a), _) => (a, &b, true),
            _ => return Err(two_values()),
        };
        let batched = constant.shape().len() > 2
            && constant.shape().iter().rev().skip(2).any(|size| *size != 1);
        if batched {
            return self.matmul_batched(constant, x, first);
        }
        let x_shape = self.shape(x);
        if x_shape.is_empty() || constant.shape().is_empty() {
            return Err(Failure::malformed("an input has no dimension"));
        }
        // A vector is a row on the left, a column on the right, and its dimension goes.
        let is_vector = constant.shape().len() == 1;
        let weight = if is_vector {
            constant.in_shape(Ix2(1, constant.len()))?
        } else {
            Self::matrix(constant, "constant")?
        };
        let weight = if is_vector || first {
            weight.view()
        } else {
            weight.t()
        };
        // More dimensions of one entry than the value has.
        let extra = constant.shape().len().saturating_sub(x_shape.len().max(2));
        let mut value = self.value(x)?;
        let column = first && x_shape.len() == 1;
        if first && !column {
            value = self.swapped(value)?;
        }
        value = self.dense(value, weight)?;
        if first && !column && !is_vector {
            value = self.swapped(value)?;
        }
        let mut shape = self.builder.shape(value).to_vec();
        if is_vector {
            shape.pop();
        }
        let mut padded = vec![1; extra];
        padded.extend(shape);
        if padded.is_empty() {
            padded.push(1);
        }
        if padded != self.builder.shape(value) {
            value = self.builder.reshape(value, &padded)?;
        }
        Ok(value.into())
    }

    /// A product with one constant matrix for each of the leading indices.
    fn matmul_batched(&mut self, constant: &Tensor, x: &Term, first: bool) -> Outcome<Term> {
        let x_shape = self.shape(x);
        let [batch @ .., rows, columns] = constant.shape() else {
            return Err(Failure::malformed("an input has no dimension"));
        };
        let [x_batch @ .., x_rows, x_columns] = x_shape.as_slice() else {
            return Err(Failure::unsupported("a vector times several matrices"));
        };
        if batch != x_batch {
            return Err(Failure::instead(
                format!(
                    "the shapes {:?} and {x_shape:?} broadcast",
                    constant.shape()
                ),
                "expand the smaller one",
            ));
        }
        // out[.., i, j] = Σ_k left[.., i, k]·right[.., k, j]
        let (inner, fits, i_count, j_count) = if first {
            (*columns, columns == x_rows, *rows, *x_columns)
        } else {
            (*rows, rows == x_columns, *x_rows, *columns)
        };
        if !fits {
            return Err(Failure::malformed(format!(
                "the shapes {:?} and {x_shape:?} do not multiply",
                constant.shape()
            )));
        }
        let mut shape = batch.to_vec();
        shape.extend([i_count, j_count]);
        let count = entries(&shape)?;
        if count.saturating_mul(inner) > MAX_TRIPLETS {
            return Err(Failure::too_large(
                "weights of a batched product",
                count.saturating_mul(inner),
                MAX_TRIPLETS,
            ));
        }
        self.builder.has_room(count.saturating_mul(inner))?;
        let weights = constant.floats()?;
        let size = i_count.saturating_mul(j_count).max(1);
        let triplets = (0..count).flat_map(|out| {
            let (n, i, j) = (out / size, out % size / j_count, out % j_count);
            (0..inner).map(move |k| {
                let (weight, place) = if first {
                    (i * columns + k, k * x_columns + j)
                } else {
                    (k * columns + j, i * x_columns + k)
                };
                let weight = weights.get(n * rows * columns + weight);
                let weight = weight.copied().unwrap_or(0.0);
                (out, n * x_rows * x_columns + place, weight)
            })
        });
        let matrix = SparseMatrix::new(count, x_shape.iter().product(), triplets)?;
        let x = self.value(x)?;
        Ok(self.builder.linear(x, matrix, None, &shape)?.into())
    }

    /// Applies `f` to every `C × …` of a value `N × C × …`.
    fn per_sample(
        &mut self,
        inputs: &[Option<Term>],
        mut f: impl FnMut(&mut Self, Value) -> Outcome<Value>,
    ) -> Outcome<Term> {
        let x = self.required(inputs, 0)?;
        let shape = self.shape(&x);
        let Some((count, one)) = shape.split_first().filter(|(_, one)| one.len() >= 2) else {
            return Err(Failure::malformed(format!(
                "a value of shape {shape:?}, expected batch, channels and spatial dimensions"
            )));
        };
        if *count > MAX_SAMPLES {
            return Err(Failure::too_large(
                "samples of a batch",
                *count,
                MAX_SAMPLES,
            ));
        }
        let x = self.value(&x)?;
        let mut parts = Vec::new();
        for k in 0..*count {
            let at = i64::try_from(k).unwrap_or(i64::MAX);
            let part = if *count == 1 {
                x
            } else {
                self.builder.slice(x, 0, at, at.saturating_add(1), 1)?
            };
            let part = self.builder.reshape(part, one)?;
            let y = f(self, part)?;
            let mut shape = vec![1];
            shape.extend(self.builder.shape(y));
            parts.push(self.builder.reshape(y, &shape)?);
        }
        Ok(match parts.as_slice() {
            [one] => (*one).into(),
            more => self.builder.concat(more, 0)?.into(),
        })
    }

    fn conv_weights(&mut self, inputs: &[Option<Term>]) -> Outcome<ConvWeights> {
        let x = self.required(inputs, 0)?;
        let shape = self.shape(&x);
        let weight = self.required_constant(inputs, 1, "weight")?.array()?;
        if weight.ndim() != shape.len() || shape.len() < 3 {
            return Err(Failure::malformed(format!(
                "weights of shape {:?} for a value of shape {shape:?}",
                weight.shape()
            )));
        }
        let bias = self
            .constant(inputs, 2, "bias")?
            .map(|b| b.in_shape(Ix1(b.len())))
            .transpose()?;
        Ok(ConvWeights {
            weight,
            bias,
            shape,
        })
    }

    fn groups(node: &Node) -> Outcome<usize> {
        match usize::try_from(node.int("group", 1)?) {
            Ok(groups @ 1..) => Ok(groups),
            _ => Err(Failure::malformed("its attribute `group` is not positive")),
        }
    }

    fn conv(&mut self, node: &Node, inputs: &[Option<Term>]) -> Outcome<Term> {
        let ConvWeights {
            weight,
            bias,
            shape,
        } = self.conv_weights(inputs)?;
        let spatial = shape.get(2..).unwrap_or_default();
        let kernel = weight.shape().get(2..).unwrap_or_default();
        if kernel.contains(&0) {
            return Err(Failure::malformed("its weights are empty"));
        }
        let window = Window::new(node, spatial, Some(kernel))?;
        let conv = Conv {
            strides: window.strides,
            pads: window.pads,
            dilations: window.dilations,
            groups: Self::groups(node)?,
        };
        self.per_sample(inputs, |import, x| {
            let bias = bias.as_ref().map(|b| b.view());
            Ok(import.builder.conv(x, weight.view(), bias, &conv)?)
        })
    }

    /// Every entry is spread over a window: the transpose of a convolution's matrix.
    fn conv_transpose(&mut self, node: &Node, inputs: &[Option<Term>]) -> Outcome<Term> {
        let ConvWeights {
            weight,
            bias,
            shape,
        } = self.conv_weights(inputs)?;
        let spatial = shape.get(2..).unwrap_or_default();
        let kernel = weight.shape().get(2..).unwrap_or_default();
        if kernel.contains(&0) {
            return Err(Failure::malformed("its weights are empty"));
        }
        if node.attribute("output_shape").is_some()
            || !matches!(
                node.text("auto_pad")?.map_or("NOTSET", String::as_str),
                "NOTSET" | "VALID"
            )
        {
            return Err(Failure::instead(
                "its padding is left to the size of the output",
                "give `pads` and `output_padding`",
            ));
        }
        let window = Window::new(node, spatial, Some(kernel))?;
        let groups = Self::groups(node)?;
        let (&[channels, per_group], Some(&own)) =
            (weight.shape().get(..2).unwrap_or_default(), shape.get(1))
        else {
            return Err(Failure::malformed("its weights have no channels"));
        };
        if channels != own || channels % groups != 0 {
            return Err(Failure::malformed(format!(
                "weights for {channels} channels in {groups} groups, the value has {own}"
            )));
        }
        let extra = match node.ints("output_padding")? {
            None => vec![0; spatial.len()],
            Some(extra) => extra
                .iter()
                .map(|e| usize::try_from(*e).ok().filter(|e| *e <= 1 << 20))
                .collect::<Option<Vec<_>>>()
                .filter(|e| e.len() == spatial.len())
                .ok_or_else(|| Failure::malformed("its attribute `output_padding` does not fit"))?,
        };
        let one = shape.get(1..).unwrap_or_default();
        let in_len = entries(one)?;
        let window_len = entries(kernel)?;
        let work = in_len.saturating_mul(window_len).saturating_mul(per_group);
        if work > MAX_TRIPLETS {
            return Err(Failure::too_large(
                "weights of a transposed convolution",
                work,
                MAX_TRIPLETS,
            ));
        }
        self.builder.has_room(work)?;
        let mut out_spatial = Vec::new();
        // For each dimension: for each entry and place in the kernel, the place in the output.
        let mut reach: Vec<Vec<Vec<Option<usize>>>> = Vec::new();
        for (k, size) in spatial.iter().enumerate() {
            let get = |list: &[usize]| list.get(k).copied().unwrap_or(1);
            let (kernel, stride) = (get(kernel), get(&window.strides));
            let dilation = get(&window.dilations);
            let (begin, end) = window.pads.get(k).copied().unwrap_or_default();
            let full = (size.saturating_sub(1))
                .saturating_mul(stride)
                .saturating_add(get(&extra))
                .saturating_add((kernel - 1).saturating_mul(dilation))
                .saturating_add(1);
            let out = full.saturating_sub(begin.saturating_add(end));
            entries(&[out])?;
            if out == 0 {
                return Err(Failure::malformed("nothing is left of the value"));
            }
            out_spatial.push(out);
            reach.push(
                (0..*size)
                    .map(|at| {
                        (0..kernel)
                            .map(|k| {
                                (at * stride + k * dilation)
                                    .checked_sub(begin)
                                    .filter(|place| *place < out)
                            })
                            .collect()
                    })
                    .collect(),
            );
        }
        let outputs = per_group * groups;
        let mut out_shape = vec![outputs];
        out_shape.extend(&out_spatial);
        let out_len = entries(&out_shape)?;
        // For each entry of a channel and each place in the kernel, the place in an output channel.
        // All are below 2^24.
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let mut places: Vec<(u32, u32, u32)> = vec![(0, 0, 0)];
        for ((sizes, size), out) in reach.iter().zip(spatial).zip(&out_spatial) {
            let (size, out) = (small(*size), small(*out));
            let mut next = Vec::new();
            for (at, k, place) in &places {
                for (own_at, windows) in sizes.iter().enumerate() {
                    for (own_k, own) in windows.iter().enumerate() {
                        if let Some(own) = own {
                            next.push((
                                at * size + small(own_at),
                                k * small(windows.len()) + small(own_k),
                                place * out + small(*own),
                            ));
                        }
                    }
                }
            }
            places = next;
        }
        let in_spatial: usize = spatial.iter().product();
        let out_size: usize = out_spatial.iter().product();
        let weights = weight.as_slice().unwrap_or_default();
        let share = channels / groups;
        let places = &places;
        let triplets = (0..channels).flat_map(|c| {
            (0..per_group).flat_map(move |m| {
                let base = (c * per_group + m) * window_len;
                let out = (c / share.max(1)) * per_group + m;
                places.iter().map(move |(at, k, place)| {
                    let weight = weights.get(base + *k as usize).copied();
                    (
                        out * out_size + *place as usize,
                        c * in_spatial + *at as usize,
                        weight.unwrap_or(0.0),
                    )
                })
            })
        });
        let matrix = SparseMatrix::new(out_len, in_len, triplets)?;
        let bias = match bias {
            Some(bias) if bias.len() != outputs => {
                return Err(Failure::malformed(format!(
                    "{} biases for {outputs} channels",
                    bias.len()
                )));
            }
            Some(bias) => Some(
                bias.iter()
                    .flat_map(|b| std::iter::repeat_n(*b, out_size))
                    .collect::<Vec<_>>(),
            ),
            None => None,
        };
        self.per_sample(inputs, |import, x| {
            Ok(import
                .builder
                .linear(x, matrix.clone(), bias.clone(), &out_shape)?)
        })
    }

    fn batch_norm(&mut self, node: &Node, inputs: &[Option<Term>]) -> Outcome<Term> {
        if node.flag("training_mode", false)? {
            return Err(Failure::instead(
                "it is in training mode",
                "export the model for inference",
            ));
        }
        if !node.flag("spatial", true)? {
            return Err(Failure::unsupported("it has parameters for each entry"));
        }
        let x = self.required(inputs, 0)?;
        let shape = self.shape(&x);
        let Some(channels) = shape.get(1) else {
            return Err(Failure::malformed(format!(
                "a value of shape {shape:?} has no channels"
            )));
        };
        let mut parameters = Vec::new();
        for (k, what) in ["scale", "bias", "mean", "variance"]
            .into_iter()
            .enumerate()
        {
            let tensor = self.required_constant(inputs, k + 1, what)?;
            let floats = tensor.floats()?;
            if floats.len() != *channels {
                return Err(Failure::malformed(format!(
                    "its {what} has {} entries for {channels} channels",
                    floats.len()
                )));
            }
            parameters.push(floats.iter().map(|f| f64::from(*f)).collect::<Vec<f64>>());
        }
        let [scale, bias, mean, variance] = parameters.as_slice() else {
            return Err(Failure::malformed("a parameter is missing"));
        };
        let epsilon = f64::from(node.float("epsilon", 1e-5)?);
        let mut factors = Vec::new();
        let mut shifts = Vec::new();
        for (((scale, bias), mean), variance) in scale.iter().zip(bias).zip(mean).zip(variance) {
            let factor = scale / (variance + epsilon).sqrt();
            if !factor.is_finite() {
                return Err(Failure::malformed(format!(
                    "a variance is {variance}, epsilon {epsilon}"
                )));
            }
            factors.push(single(factor));
            shifts.push(single(bias - mean * factor));
        }
        let mut broadcast = vec![1; shape.len()];
        if let Some(place) = broadcast.get_mut(1) {
            *place = *channels;
        }
        let array = |values: Vec<f32>| Tensor::of_floats(values).in_shape(IxDyn(&broadcast));
        let (factors, shifts) = (array(factors)?, array(shifts)?);
        let x = self.value(&x)?;
        Ok(self
            .builder
            .scale_shift(x, factors.view(), shifts.view())?
            .into())
    }

    fn pool(&mut self, node: &Node, inputs: &[Option<Term>]) -> Outcome<Term> {
        let x = self.required(inputs, 0)?;
        let shape = self.shape(&x);
        let window = Window::new(node, shape.get(2..).unwrap_or_default(), None)?;
        let is_max = node.operator == "MaxPool";
        let pool = Pool {
            kernel: window.kernel,
            strides: window.strides,
            pads: window.pads,
            dilations: window.dilations,
            ceil: node.flag("ceil_mode", false)?,
            count_include_pad: node.flag("count_include_pad", false)?,
        };
        self.per_sample(inputs, |import, x| {
            Ok(if is_max {
                import.builder.max_pool(x, &pool)?
            } else {
                import.builder.average_pool(x, &pool)?
            })
        })
    }

    fn concat(&mut self, node: &Node, inputs: &[Option<Term>]) -> Outcome<Term> {
        let first = self.required(inputs, 0)?;
        let at = axis(node.int("axis", 1)?, self.shape(&first).len())?;
        let mut values = Vec::new();
        for k in 0..inputs.len() {
            let term = self.required(inputs, k)?;
            if !self.shape(&term).contains(&0) {
                values.push(self.value(&term)?);
            }
        }
        Ok(self.builder.concat(&values, at)?.into())
    }

    fn pad(&mut self, node: &Node, inputs: &[Option<Term>]) -> Outcome<Term> {
        let x = self.required(inputs, 0)?;
        let shape = self.shape(&x);
        for (k, what) in [(1, "padding"), (3, "list of axes")] {
            self.constant(inputs, k, what)?;
        }
        let value = match self.constant(inputs, 2, "value")? {
            Some(tensor) if tensor.len() > 0 => tensor.float()?,
            _ => node.float("value", 0.0)?,
        };
        let all = padding(node, shape.len(), |k| match inputs.get(k) {
            Some(Some(Term::Constant(tensor))) => Some(tensor.as_ref()),
            _ => None,
        })?;
        let mode = node.text("mode")?.map_or("constant", String::as_str);
        match mode {
            "constant" => {
                let mut x = self.value(&x)?;
                // Negative padding takes entries away.
                for (k, (begin, end)) in all.iter().enumerate() {
                    if *begin < 0 || *end < 0 {
                        let size = shape.get(k).copied().unwrap_or(0);
                        let size = i64::try_from(size).unwrap_or(i64::MAX);
                        let (from, to) = ((-begin).max(0), size.saturating_add((*end).min(0)));
                        if from >= to {
                            return Err(Failure::malformed("nothing is left of the value"));
                        }
                        x = self.builder.slice(x, k, from, to, 1)?;
                    }
                }
                let positive = |p: i64| usize::try_from(p.max(0)).unwrap_or(0);
                let pads: Vec<(usize, usize)> = all
                    .iter()
                    .map(|(begin, end)| (positive(*begin), positive(*end)))
                    .collect();
                if pads.iter().all(|p| *p == (0, 0)) {
                    return Ok(x.into());
                }
                Ok(self.builder.pad(x, &pads, value)?.into())
            }
            "edge" | "reflect" => {
                entries(&shape)?;
                let lists = shape
                    .iter()
                    .zip(&all)
                    .map(|(size, (begin, end))| mirrored(*size, *begin, *end, mode == "edge"))
                    .collect::<Outcome<Vec<_>>>()?;
                let out: Vec<usize> = lists.iter().map(Vec::len).collect();
                let indices = per_axis(&shape, &lists)?;
                let matrix = SparseMatrix::selection(shape.iter().product(), &indices)?;
                let x = self.value(&x)?;
                Ok(self.builder.linear(x, matrix, None, &out)?.into())
            }
            other => Err(Failure::unsupported(format!("its mode is `{other}`"))),
        }
    }

    /// A choice by a constant: each entry of one value or the other.
    fn choose(&mut self, inputs: &[Option<Term>]) -> Outcome<Term> {
        let condition = self.required_constant(inputs, 0, "condition")?;
        let (a, b) = (self.required(inputs, 1)?, self.required(inputs, 2)?);
        let mask: Vec<f32> = condition
            .bools()?
            .iter()
            .map(|b| if *b { 1.0 } else { 0.0 })
            .collect();
        let mask = Tensor::of_floats(mask)
            .reshaped(condition.shape().to_vec())
            .array()?;
        let zero = ArrayD::zeros(IxDyn(&[]));
        let (a, b) = (self.value(&a)?, self.value(&b)?);
        let a = self.builder.scale_shift(a, mask.view(), zero.view())?;
        let rest = mask.mapv(|m| 1.0 - m);
        let b = self.builder.scale_shift(b, rest.view(), zero.view())?;
        Ok(self.builder.add(a, b)?.into())
    }

    fn argmax(&mut self, node: &Node, inputs: &[Option<Term>]) -> Outcome<Term> {
        let x = self.required(inputs, 0)?;
        let shape = self.shape(&x);
        let at = axis(node.int("axis", 0)?, shape.len())?;
        if shape
            .iter()
            .enumerate()
            .any(|(k, size)| k != at && *size != 1)
        {
            return Err(Failure::instead(
                format!("it gives more than one index: axis {at} of the shape {shape:?}"),
                "one index can be the output",
            ));
        }
        // Its shape is `[1]` here, whatever else ONNX makes of one entry.
        node.flag("keepdims", true)?;
        if node.flag("select_last_index", false)? {
            return Err(Failure::unsupported("of equal entries it takes the last"));
        }
        let x = self.value(&x)?;
        let index = self.builder.argmax(x)?;
        self.indices.insert(index);
        Ok(index.into())
    }

    fn drop_softmax(&mut self, node: &Node, inputs: &[Option<Term>]) -> Outcome<Term> {
        let x = self.required(inputs, 0)?;
        let shape = self.shape(&x);
        let axes = softmax_axes(node, self.opset, shape.len())?;
        let group: usize = shape.get(axes).unwrap_or_default().iter().product();
        if group == 1 {
            return Err(Failure::unsupported(
                "it runs over an axis of one entry: what it gives is a constant",
            ));
        }
        let whole = group == shape.iter().product::<usize>();
        match self.softmax_end(node)? {
            SoftmaxEnd::ArgMax if whole => self.note(format!(
                "`{}` ({}) is left out: it does not change which entry is the largest",
                node.name, node.operator
            )),
            SoftmaxEnd::ArgMax => return Err(not_at_the_end()),
            SoftmaxEnd::Output => {
                let among = if whole {
                    String::new()
                } else {
                    format!(" among every {group} that it runs over")
                };
                self.note(format!(
                    "`{}` ({}) is left out: outputs are logits, in the same order of size{among}",
                    node.name, node.operator
                ));
            }
        }
        Ok(x)
    }

    /// How a softmax ends the network, if it does and may be left out.
    pub(super) fn softmax_end(&self, node: &Node) -> Outcome<SoftmaxEnd> {
        match node.outputs.first().and_then(|o| self.softmax.get(o)) {
            Some(SoftmaxEnd::Output) if !self.options.drop_softmax => Err(Failure::instead(
                "it divides by a sum over the outputs",
                "leave it out, for logits in the same order, with `ImportOptions::drop_softmax`",
            )),
            Some(end) => Ok(*end),
            None => Err(not_at_the_end()),
        }
    }
}

fn not_at_the_end() -> Failure {
    Failure::unsupported("it is not at the end of the network")
}

/// How many entries a `Pad` node adds before and after each axis; negative, takes away.
pub(super) fn padding<'t>(
    node: &Node,
    rank: usize,
    constant: impl Fn(usize) -> Option<&'t Tensor>,
) -> Outcome<Vec<(i64, i64)>> {
    let pads = match constant(1) {
        Some(tensor) => tensor.ints()?.to_vec(),
        None => node
            .ints("pads")?
            .cloned()
            .ok_or_else(|| Failure::malformed("it has no padding"))?,
    };
    let axes: Vec<usize> = match constant(3) {
        Some(tensor) => tensor
            .ints()?
            .iter()
            .map(|a| axis(*a, rank))
            .collect::<Outcome<_>>()?,
        None => (0..rank).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(Failure::malformed(format!(
            "{} paddings for {} axes",
            pads.len(),
            axes.len()
        )));
    }
    let (begins, ends) = pads.split_at(axes.len());
    let mut all = vec![(0i64, 0i64); rank];
    for ((at, begin), end) in axes.iter().zip(begins).zip(ends) {
        let sizes = -MAX_WINDOW..=MAX_WINDOW;
        if !sizes.contains(begin) || !sizes.contains(end) {
            return Err(Failure::malformed(format!("its padding is {begin}, {end}")));
        }
        if let Some(place) = all.get_mut(*at) {
            *place = (*begin, *end);
        }
    }
    Ok(all)
}

/// The axes of a value of so many that the sum of a softmax runs over: before operator set 13 all
/// from one on.
pub(super) fn softmax_axes(node: &Node, opset: i64, rank: usize) -> Outcome<Range<usize>> {
    if opset < 13 {
        let at = node.int("axis", 1)?;
        // A matrix of one column.
        if usize::try_from(at) == Ok(rank) {
            return Ok(rank..rank);
        }
        return Ok(axis(at, rank)?..rank);
    }
    let at = axis(node.int("axis", -1)?, rank)?;
    Ok(at..at + 1)
}

pub(super) fn two_values() -> Failure {
    Failure::instead(
        "both factors depend on the input of the network",
        "multiply by a constant matrix, or entry by entry with `Mul`",
    )
}

/// Indices of an axis with so many more before and after it: the entry at the end, or those before
/// it in reverse.
fn mirrored(size: usize, begin: i64, end: i64, edge: bool) -> Outcome<Vec<usize>> {
    let signed = i64::try_from(size).unwrap_or(i64::MAX);
    if size == 0 || (!edge && (begin >= signed || end >= signed)) {
        return Err(Failure::malformed(format!(
            "paddings {begin} and {end} of an axis of {size} entries"
        )));
    }
    let last = signed - 1;
    let list: Vec<usize> = (-begin..signed.saturating_add(end))
        .map(|at| {
            let at = if edge || (0..=last).contains(&at) {
                at.clamp(0, last)
            } else if at < 0 {
                -at
            } else {
                2 * last - at
            };
            usize::try_from(at).unwrap_or(0)
        })
        .collect();
    if list.is_empty() {
        return Err(Failure::malformed("nothing is left of the value"));
    }
    Ok(list)
}
