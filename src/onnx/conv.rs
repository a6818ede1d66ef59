//! Convolutions and pooling: what slides a window.

use ndarray::{Ix1, IxDyn};

use super::{
    context::{Importer, Term},
    error::{Failure, Outcome},
    file::Node,
    tensor::{MAX_TRIPLETS, MAX_WINDOW, Wiped, entries},
};
use crate::network::{Conv, Pool, SparseMatrix, Value};

/// Size of a batch that is one input of the network.
const MAX_SAMPLES: usize = 1 << 10;

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
    /// Applies `f` to every `C × …` of a value `N × C × …`.
    pub(super) fn per_sample(
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

    pub(super) fn conv(&mut self, node: &Node, inputs: &[Option<Term>]) -> Outcome<Term> {
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
    pub(super) fn conv_transpose(&mut self, node: &Node, inputs: &[Option<Term>]) -> Outcome<Term> {
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

    pub(super) fn pool(&mut self, node: &Node, inputs: &[Option<Term>]) -> Outcome<Term> {
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
}
