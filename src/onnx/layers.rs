//! Matrices, convolutions, pooling, and what else works on whole tensors.

use ndarray::{ArrayD, IxDyn};

use super::{
    context::{Importer, Term},
    error::{Failure, Outcome},
    file::Node,
    fold::{reduced_axes, single},
    tensor::{MAX_WINDOW, Tensor, axis, entries, per_axis},
};
use crate::network::SparseMatrix;

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
