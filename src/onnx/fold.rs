//! Nodes whose inputs are all constants: computed while importing.

use std::{ops::RangeInclusive, sync::Arc};

use super::{
    error::{Failure, OnnxError, Outcome, too_large},
    file::{Attribute, Node},
    limits::Limits,
    movement::{Context, Entries, movement, moves, sizes},
    tensor::{Data, MAX_ENTRIES, Tensor, axis, broadcast, entries, expanded, per_axis, transposed},
};

/// Computes constants, and counts what nodes cost.
pub(super) struct Folding {
    limits: Limits,
    visits: usize,
    folded: usize,
    handled: usize,
}

impl Folding {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            visits: 0,
            folded: 0,
            handled: 0,
        }
    }

    /// Counts nodes and constants that are walked over.
    pub(super) fn visit(&mut self, count: usize) -> Result<(), OnnxError> {
        add(
            &mut self.visits,
            count,
            self.limits.visits,
            "nodes to visit",
        )
    }

    /// Counts entries that a node reads or writes.
    pub(super) fn handle(&mut self, count: usize) -> Result<(), OnnxError> {
        add(
            &mut self.handled,
            count,
            self.limits.handled,
            "entries that nodes read and write",
        )
    }

    /// The outputs of a node of constant inputs, `None` if it is not one that is computed here.
    pub(super) fn fold(
        &mut self,
        node: &Node,
        opset: i64,
        inputs: &[Option<Arc<Tensor>>],
    ) -> Outcome<Option<Vec<Arc<Tensor>>>> {
        let outputs = fold(node, opset, inputs)?;
        let new = outputs.iter().flatten().map(|t| t.len()).sum();
        // A product reads every row of one for every column of the other.
        let products = match (node.operator.as_str(), inputs) {
            ("MatMul", [Some(a), Some(b)]) => {
                let columns = b.shape().last().copied().unwrap_or(0);
                a.len().saturating_mul(columns)
            }
            _ => 0,
        };
        self.handle(products.saturating_add(new))?;
        add(
            &mut self.folded,
            new,
            self.limits.folded,
            "entries of constants that are computed",
        )?;
        Ok(outputs)
    }
}

fn add(count: &mut usize, more: usize, limit: usize, what: &str) -> Result<(), OnnxError> {
    *count = count.saturating_add(more);
    if *count > limit {
        return Err(too_large(what, *count, limit));
    }
    Ok(())
}

fn fold(
    node: &Node,
    opset: i64,
    inputs: &[Option<Arc<Tensor>>],
) -> Outcome<Option<Vec<Arc<Tensor>>>> {
    if moves(&node.operator) {
        let tensor = required(inputs, 0)?;
        let rest: Vec<Option<&Tensor>> = inputs.iter().skip(1).map(|t| t.as_deref()).collect();
        let moved = movement(&Context {
            node,
            opset,
            shape: tensor.shape(),
            rest: &rest,
        })?;
        let outputs = moved.into_iter().map(|m| {
            Ok(Arc::new(match m.entries {
                Entries::Same => tensor.reshaped(m.shape),
                Entries::PerAxis(lists) => {
                    tensor.select(m.shape, &per_axis(tensor.shape(), &lists)?)
                }
                Entries::Selected(indices) => tensor.select(m.shape, &indices),
                Entries::Transposed(permutation) => {
                    let (shape, indices) = transposed(tensor.shape(), &permutation)?;
                    tensor.select(shape, &indices)
                }
            }))
        });
        return outputs.collect::<Outcome<_>>().map(Some);
    }
    let output = match node.operator.as_str() {
        "Constant" => return constant(node).map(|t| Some(vec![t])),
        "ConstantOfShape" => constant_of_shape(node, required(inputs, 0)?)?,
        "Shape" => shape_of(node, required(inputs, 0)?.shape())?,
        "Size" => size_of(required(inputs, 0)?.shape()),
        "Range" => range(
            required(inputs, 0)?,
            required(inputs, 1)?,
            required(inputs, 2)?,
        )?,
        "Cast" => cast(required(inputs, 0)?, node.int("to", 0)?)?,
        "CastLike" => match required(inputs, 1)?.data() {
            Data::Floats(_) => cast(required(inputs, 0)?, 1)?,
            Data::Ints(_) => cast(required(inputs, 0)?, 7)?,
            Data::Bools(_) => cast(required(inputs, 0)?, 9)?,
            other => {
                return Err(Failure::unsupported(format!("a cast to {}", other.kind())));
            }
        },
        "Concat" => concat(node, inputs)?,
        "Add" | "Sub" | "Mul" | "Div" | "Mod" | "Pow" | "Max" | "Min" | "Sum" => {
            arithmetic(node, inputs)?
        }
        "Neg" | "Abs" | "Floor" | "Ceil" | "Sqrt" | "Reciprocal" | "Exp" | "Log" => {
            unary(&node.operator, required(inputs, 0)?)?
        }
        "Equal" | "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" => {
            compare(&node.operator, required(inputs, 0)?, required(inputs, 1)?)?
        }
        "And" | "Or" | "Xor" => logic(&node.operator, required(inputs, 0)?, required(inputs, 1)?)?,
        "Not" => {
            let tensor = required(inputs, 0)?;
            let bools = tensor.bools()?.iter().map(|b| !b).collect();
            Tensor::from_parts(tensor.shape().to_vec(), Data::Bools(bools))
        }
        "Where" => choose(
            required(inputs, 0)?,
            required(inputs, 1)?,
            required(inputs, 2)?,
        )?,
        "ReduceProd" | "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceMin" => {
            reduce(node, inputs)?
        }
        "MatMul" => match product(required(inputs, 0)?, required(inputs, 1)?)? {
            Some(t) => t,
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    Ok(Some(vec![Arc::new(output)]))
}

fn required(inputs: &[Option<Arc<Tensor>>], index: usize) -> Outcome<&Tensor> {
    inputs
        .get(index)
        .and_then(|t| t.as_deref())
        .ok_or_else(|| Failure::malformed(format!("input {index} is missing")))
}

fn constant(node: &Node) -> Outcome<Arc<Tensor>> {
    let mut values = node
        .attributes
        .iter()
        .filter(|(name, _)| name.starts_with("value") || name == "sparse_value");
    let (Some((name, value)), None) = (values.next(), values.next()) else {
        return Err(Failure::malformed("it must have exactly one value"));
    };
    let scalar = |data: Data| Tensor::from_parts(Vec::new(), data);
    let tensor = match (name.as_str(), value) {
        ("value", Attribute::Tensor(tensor)) => return Ok(tensor.clone()),
        ("value_float", Attribute::Float(f)) => scalar(Data::Floats(vec![*f])),
        ("value_int", Attribute::Int(i)) => scalar(Data::Ints(vec![*i])),
        ("value_floats", Attribute::Floats(f)) => Tensor::of_floats(f.clone()),
        ("value_ints", Attribute::Ints(i)) => Tensor::of_ints(i.clone()),
        ("value_string" | "value_strings", _) => Tensor::opaque(Vec::new(), "STRING"),
        ("sparse_value", _) => {
            return Err(Failure::unsupported("it is a sparse tensor"));
        }
        _ => {
            return Err(Failure::malformed(format!(
                "attribute `{name}` is not of the type that belongs to it"
            )));
        }
    };
    Ok(Arc::new(tensor))
}

fn constant_of_shape(node: &Node, shape: &Tensor) -> Outcome<Tensor> {
    let shape = sizes(shape)?;
    let count = entries(&shape)?;
    let data = match node.tensor("value")?.map(|t| t.data()) {
        None => Data::Floats(vec![0.0; count]),
        Some(Data::Floats(f)) if f.len() == 1 => {
            Data::Floats(f.iter().cycle().take(count).copied().collect())
        }
        Some(Data::Ints(i)) if i.len() == 1 => {
            Data::Ints(i.iter().cycle().take(count).copied().collect())
        }
        Some(Data::Bools(b)) if b.len() == 1 => {
            Data::Bools(b.iter().cycle().take(count).copied().collect())
        }
        Some(Data::Opaque(kind)) => {
            return Err(Failure::unsupported(format!(
                "a constant has the element type {kind}"
            )));
        }
        Some(_) => return Err(Failure::malformed("its value is not one number")),
    };
    Ok(Tensor::from_parts(shape, data))
}

/// What `Shape` makes of a tensor of this shape.
pub(super) fn shape_of(node: &Node, shape: &[usize]) -> Outcome<Tensor> {
    let rank = i64::try_from(shape.len()).unwrap_or(i64::MAX);
    let place = |at: i64| {
        let at = if at < 0 { at.saturating_add(rank) } else { at };
        usize::try_from(at.clamp(0, rank)).unwrap_or(0)
    };
    let start = place(node.int("start", 0)?);
    let end = place(node.int("end", rank)?);
    let dims = shape.get(start..end.max(start)).unwrap_or_default();
    Ok(Tensor::of_ints(dims.iter().map(|d| integer(*d)).collect()))
}

/// What `Size` makes of a tensor of this shape.
pub(super) fn size_of(shape: &[usize]) -> Tensor {
    Tensor::from_parts(
        Vec::new(),
        Data::Ints(vec![integer(shape.iter().product())]),
    )
}

fn integer(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn range(start: &Tensor, limit: &Tensor, delta: &Tensor) -> Outcome<Tensor> {
    let endless = || Failure::too_large("entries of a range", MAX_ENTRIES + 1, MAX_ENTRIES);
    if let Data::Ints(_) = start.data() {
        let (start, limit, delta) = (start.int()?, limit.int()?, delta.int()?);
        if delta == 0 {
            return Err(Failure::malformed("its step is 0"));
        }
        let (mut at, mut values) = (start, Vec::new());
        while (delta > 0 && at < limit) || (delta < 0 && at > limit) {
            if values.len() >= MAX_ENTRIES {
                return Err(endless());
            }
            values.push(at);
            let Some(next) = at.checked_add(delta) else {
                break;
            };
            at = next;
        }
        return Ok(Tensor::of_ints(values));
    }
    let (start, limit, delta) = (
        f64::from(start.float()?),
        f64::from(limit.float()?),
        f64::from(delta.float()?),
    );
    let count = ((limit - start) / delta).ceil();
    if count.is_nan() {
        return Err(Failure::malformed("its ends are not numbers"));
    }
    let mut values = Vec::new();
    let mut at = 0.0;
    while at < count {
        if values.len() >= MAX_ENTRIES {
            return Err(endless());
        }
        values.push(single(start + at * delta));
        at += 1.0;
    }
    Ok(Tensor::of_floats(values))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "rounded to single precision"
)]
pub(super) fn single(x: f64) -> f32 {
    x as f32
}

#[expect(clippy::cast_precision_loss, reason = "as a cast of ONNX")]
fn from_integer(i: i64) -> f32 {
    i as f32
}

/// What a cast to the element type of this number makes of floats.
pub(super) enum CastTo {
    Floats,
    Ints,
    Bools,
}

pub(super) fn cast_to(to: i64) -> Outcome<CastTo> {
    match to {
        1 | 10 | 11 | 16 => Ok(CastTo::Floats),
        2..=7 | 12 | 13 => Ok(CastTo::Ints),
        9 => Ok(CastTo::Bools),
        other => Err(Failure::unsupported(format!(
            "a cast to the element type of number {other}"
        ))),
    }
}

fn cast(tensor: &Tensor, to: i64) -> Outcome<Tensor> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "towards zero, and to the nearest end beyond"
    )]
    let truncated = |f: f32| f as i64;
    let data = match (cast_to(to)?, tensor.data()) {
        (_, other @ (Data::Opaque(_) | Data::Missing)) => {
            return Err(Failure::unsupported(format!(
                "a cast from {}",
                other.kind()
            )));
        }
        (CastTo::Floats, Data::Floats(f)) => Data::Floats(f.clone()),
        (CastTo::Floats, Data::Ints(i)) => {
            Data::Floats(i.iter().map(|i| from_integer(*i)).collect())
        }
        (CastTo::Floats, Data::Bools(b)) => {
            Data::Floats(b.iter().map(|b| if *b { 1.0 } else { 0.0 }).collect())
        }
        (CastTo::Ints, Data::Floats(f)) => Data::Ints(f.iter().map(|f| truncated(*f)).collect()),
        (CastTo::Ints, Data::Ints(i)) => Data::Ints(i.clone()),
        (CastTo::Ints, Data::Bools(b)) => Data::Ints(b.iter().map(|b| i64::from(*b)).collect()),
        (CastTo::Bools, Data::Floats(f)) => Data::Bools(f.iter().map(|f| *f != 0.0).collect()),
        (CastTo::Bools, Data::Ints(i)) => Data::Bools(i.iter().map(|i| *i != 0).collect()),
        (CastTo::Bools, Data::Bools(b)) => Data::Bools(b.clone()),
    };
    if let Data::Ints(ints) = &data {
        let range = integers(to);
        if let Some(i) = ints.iter().find(|i| !range.contains(i)) {
            return Err(Failure::unsupported(format!(
                "a cast of {i} to an integer type that does not have it"
            )));
        }
    }
    Ok(Tensor::from_parts(tensor.shape().to_vec(), data))
}

/// What the integer type of this number holds.
fn integers(to: i64) -> RangeInclusive<i64> {
    match to {
        2 => 0..=i64::from(u8::MAX),
        3 => i64::from(i8::MIN)..=i64::from(i8::MAX),
        4 => 0..=i64::from(u16::MAX),
        5 => i64::from(i16::MIN)..=i64::from(i16::MAX),
        6 => i64::from(i32::MIN)..=i64::from(i32::MAX),
        12 => 0..=i64::from(u32::MAX),
        13 => 0..=i64::MAX,
        _ => i64::MIN..=i64::MAX,
    }
}

fn concat(node: &Node, inputs: &[Option<Arc<Tensor>>]) -> Outcome<Tensor> {
    let first = required(inputs, 0)?;
    let at = axis(node.int("axis", 1)?, first.shape().len())?;
    let mut shape = first.shape().to_vec();
    let mut length = 0usize;
    for k in 0..inputs.len() {
        let own = required(inputs, k)?.shape();
        let fits = own.len() == shape.len()
            && own
                .iter()
                .zip(&shape)
                .enumerate()
                .all(|(k, (a, b))| k == at || a == b);
        if !fits {
            return Err(Failure::malformed(format!(
                "the shapes {shape:?} and {own:?} do not join at axis {at}"
            )));
        }
        length = length.saturating_add(own.get(at).copied().unwrap_or(0));
    }
    if let Some(size) = shape.get_mut(at) {
        *size = length;
    }
    entries(&shape)?;
    let outer: usize = shape.iter().take(at).product();
    macro_rules! join {
        ($variant:ident, $get:ident) => {{
            let mut joined = Vec::new();
            for block in 0..outer {
                for k in 0..inputs.len() {
                    let part = required(inputs, k)?;
                    let all = part.$get()?;
                    let size = all.len().checked_div(outer).unwrap_or(0);
                    let block = all.get(block * size..(block + 1) * size);
                    joined.extend_from_slice(block.unwrap_or_default());
                }
            }
            Data::$variant(joined)
        }};
    }
    let data = match first.data() {
        Data::Floats(_) => join!(Floats, floats),
        Data::Ints(_) => join!(Ints, ints),
        _ => join!(Bools, bools),
    };
    Ok(Tensor::from_parts(shape, data))
}

/// The shape that two constants have in common, and the entries of each that meet.
fn paired(a: &Tensor, b: &Tensor) -> Outcome<(Vec<usize>, Vec<usize>, Vec<usize>)> {
    let shape = broadcast(a.shape(), b.shape())?;
    entries(&shape)?;
    let (x, y) = (expanded(a.shape(), &shape)?, expanded(b.shape(), &shape)?);
    Ok((shape, x, y))
}

fn pairs<'a, T: Copy>(
    (a, x): (&'a [T], &'a [usize]),
    (b, y): (&'a [T], &'a [usize]),
) -> impl Iterator<Item = (T, T)> + 'a {
    x.iter()
        .zip(y)
        .filter_map(move |(i, j)| Some((*a.get(*i)?, *b.get(*j)?)))
}

fn arithmetic(node: &Node, inputs: &[Option<Arc<Tensor>>]) -> Outcome<Tensor> {
    let first = required(inputs, 0)?.clone();
    let mut result = first;
    for k in 1..inputs.len() {
        result = two(node, &result, required(inputs, k)?)?;
    }
    Ok(result)
}

fn two(node: &Node, a: &Tensor, b: &Tensor) -> Outcome<Tensor> {
    let (shape, x, y) = paired(a, b)?;
    let operator = node.operator.as_str();
    // A power's exponent may be of another type than its base.
    let cast_exponent = match (operator, a.data(), b.data()) {
        ("Pow", Data::Floats(_), Data::Ints(_)) => Some(cast(b, 1)?),
        _ => None,
    };
    let b = cast_exponent.as_ref().unwrap_or(b);
    let data = if let Data::Ints(_) = a.data() {
        let values = pairs((a.ints()?, &x), (b.ints()?, &y)).map(|(a, b)| {
            let value = match operator {
                "Add" | "Sum" => a.checked_add(b),
                "Sub" => a.checked_sub(b),
                "Mul" => a.checked_mul(b),
                "Div" => a.checked_div(b),
                "Mod" if node.int("fmod", 0)? == 0 => a.checked_rem(b).map(|r| {
                    if r != 0 && (r < 0) != (b < 0) {
                        r + b
                    } else {
                        r
                    }
                }),
                "Mod" => a.checked_rem(b),
                "Pow" => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
                "Max" => Some(a.max(b)),
                _ => Some(a.min(b)),
            };
            value.ok_or_else(|| {
                Failure::malformed(format!("{operator} of the constants {a} and {b} overflows"))
            })
        });
        Data::Ints(values.collect::<Outcome<_>>()?)
    } else {
        let values = pairs((a.floats()?, &x), (b.floats()?, &y)).map(|(a, b)| match operator {
            "Add" | "Sum" => a + b,
            "Sub" => a - b,
            "Mul" => a * b,
            "Div" => a / b,
            "Mod" => a % b,
            "Pow" => single(f64::from(a).powf(f64::from(b))),
            "Max" => a.max(b),
            _ => a.min(b),
        });
        Data::Floats(values.collect())
    };
    Ok(Tensor::from_parts(shape, data))
}

fn unary(operator: &str, tensor: &Tensor) -> Outcome<Tensor> {
    let data = if let Data::Ints(ints) = tensor.data() {
        let value = |i: &i64| match operator {
            "Neg" => Ok(i.saturating_neg()),
            "Abs" => Ok(i.saturating_abs()),
            other => Err(Failure::malformed(format!("{other} of integers"))),
        };
        Data::Ints(ints.iter().map(value).collect::<Outcome<_>>()?)
    } else {
        let value = |f: &f32| {
            let x = f64::from(*f);
            single(match operator {
                "Neg" => -x,
                "Abs" => x.abs(),
                "Floor" => x.floor(),
                "Ceil" => x.ceil(),
                "Sqrt" => x.sqrt(),
                "Reciprocal" => x.recip(),
                "Exp" => x.exp(),
                _ => x.ln(),
            })
        };
        Data::Floats(tensor.floats()?.iter().map(value).collect())
    };
    Ok(Tensor::from_parts(tensor.shape().to_vec(), data))
}

fn compare(operator: &str, a: &Tensor, b: &Tensor) -> Outcome<Tensor> {
    fn values<T: PartialOrd>(operator: &str, pairs: impl Iterator<Item = (T, T)>) -> Vec<bool> {
        pairs
            .map(|(a, b)| match operator {
                "Equal" => a == b,
                "Less" => a < b,
                "LessOrEqual" => a <= b,
                "Greater" => a > b,
                _ => a >= b,
            })
            .collect()
    }
    let (shape, x, y) = paired(a, b)?;
    let bools = match a.data() {
        Data::Ints(ints) => values(operator, pairs((ints, &x), (b.ints()?, &y))),
        Data::Bools(bools) => values(operator, pairs((bools, &x), (b.bools()?, &y))),
        _ => values(operator, pairs((a.floats()?, &x), (b.floats()?, &y))),
    };
    Ok(Tensor::from_parts(shape, Data::Bools(bools)))
}

fn logic(operator: &str, a: &Tensor, b: &Tensor) -> Outcome<Tensor> {
    let (shape, x, y) = paired(a, b)?;
    let bools = pairs((a.bools()?, &x), (b.bools()?, &y)).map(|(a, b)| match operator {
        "And" => a && b,
        "Or" => a || b,
        _ => a != b,
    });
    Ok(Tensor::from_parts(shape, Data::Bools(bools.collect())))
}

fn choose(condition: &Tensor, a: &Tensor, b: &Tensor) -> Outcome<Tensor> {
    let shape = broadcast(condition.shape(), &broadcast(a.shape(), b.shape())?)?;
    entries(&shape)?;
    let which = expanded(condition.shape(), &shape)?;
    let (x, y) = (expanded(a.shape(), &shape)?, expanded(b.shape(), &shape)?);
    let bools = condition.bools()?;
    fn pick<T: Copy>(
        (bools, which): (&[bool], &[usize]),
        (a, x): (&[T], &[usize]),
        (b, y): (&[T], &[usize]),
    ) -> Vec<T> {
        which
            .iter()
            .zip(x.iter().zip(y))
            .filter_map(|(c, (i, j))| {
                if *bools.get(*c)? {
                    a.get(*i).copied()
                } else {
                    b.get(*j).copied()
                }
            })
            .collect()
    }
    let condition = (bools, which.as_slice());
    let data = match a.data() {
        Data::Ints(ints) => Data::Ints(pick(condition, (ints, &x), (b.ints()?, &y))),
        Data::Bools(bools) => Data::Bools(pick(condition, (bools, &x), (b.bools()?, &y))),
        _ => Data::Floats(pick(condition, (a.floats()?, &x), (b.floats()?, &y))),
    };
    Ok(Tensor::from_parts(shape, data))
}

/// The axes of a reduction, an attribute or an input, and whether they are kept; every axis if none
/// is named, none at all if the node says so.
pub(super) fn reduced_axes(
    node: &Node,
    rank: usize,
    input: Option<&Tensor>,
) -> Outcome<(Vec<usize>, bool)> {
    let axes = match (input, node.ints("axes")?) {
        (Some(tensor), _) => tensor.ints()?.to_vec(),
        (None, Some(attribute)) => attribute.clone(),
        (None, None) => Vec::new(),
    };
    let keep = node.flag("keepdims", true)?;
    if axes.is_empty() {
        let none = node.flag("noop_with_empty_axes", false)?;
        return Ok((
            if none {
                Vec::new()
            } else {
                (0..rank).collect()
            },
            keep,
        ));
    }
    let mut axes = axes
        .iter()
        .map(|a| axis(*a, rank))
        .collect::<Outcome<Vec<_>>>()?;
    axes.sort_unstable();
    if axes.windows(2).any(|w| w.first() == w.last()) {
        return Err(Failure::malformed("an axis is named twice"));
    }
    Ok((axes, keep))
}

fn reduce(node: &Node, inputs: &[Option<Arc<Tensor>>]) -> Outcome<Tensor> {
    let tensor = required(inputs, 0)?;
    let rank = tensor.shape().len();
    let (axes, keep) = reduced_axes(node, rank, inputs.get(1).and_then(|t| t.as_deref()))?;
    let mut reduced = tensor.shape().to_vec();
    let mut shape = Vec::new();
    for (k, size) in tensor.shape().iter().enumerate() {
        let gone = axes.contains(&k);
        if !gone || keep {
            shape.push(if gone { 1 } else { *size });
        }
        if let (true, Some(r)) = (gone, reduced.get_mut(k)) {
            *r = 1;
        }
    }
    let count = entries(&reduced)?;
    if tensor.len() == 0 {
        return Err(Failure::unsupported("a reduction of an empty constant"));
    }
    // For each entry the entry of the result that it goes to.
    let places = expanded(&reduced, tensor.shape())?;
    let share = tensor.len() / count.max(1);
    let operator = node.operator.as_str();
    let mut groups: Vec<Option<f64>> = vec![None; count];
    let combine = |a: f64, b: f64| match operator {
        "ReduceProd" => a * b,
        "ReduceMax" => a.max(b),
        "ReduceMin" => a.min(b),
        _ => a + b,
    };
    if let Data::Ints(_) = tensor.data() {
        let mut sums: Vec<Option<i64>> = vec![None; count];
        for (value, place) in tensor.ints()?.iter().zip(&places) {
            let Some(sum) = sums.get_mut(*place) else {
                continue;
            };
            let next = match (*sum, operator) {
                (None, _) => Some(*value),
                (Some(s), "ReduceProd") => s.checked_mul(*value),
                (Some(s), "ReduceMax") => Some(s.max(*value)),
                (Some(s), "ReduceMin") => Some(s.min(*value)),
                (Some(s), _) => s.checked_add(*value),
            };
            *sum =
                Some(next.ok_or_else(|| {
                    Failure::malformed(format!("{operator} of constants overflows"))
                })?);
        }
        let divisor = if operator == "ReduceMean" {
            integer(share)
        } else {
            1
        };
        let values = sums
            .into_iter()
            .map(|s| s.unwrap_or(0).checked_div(divisor).unwrap_or(0))
            .collect();
        return Ok(Tensor::from_parts(shape, Data::Ints(values)));
    }
    for (value, place) in tensor.floats()?.iter().zip(&places) {
        if let Some(group) = groups.get_mut(*place) {
            *group = Some(group.map_or(f64::from(*value), |g| combine(g, f64::from(*value))));
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "below 2^31")]
    let share = share as f64;
    let values = groups
        .into_iter()
        .map(|g| {
            let g = g.unwrap_or(0.0);
            single(if operator == "ReduceMean" {
                g / share
            } else {
                g
            })
        })
        .collect();
    Ok(Tensor::from_parts(shape, Data::Floats(values)))
}

/// A product of two matrices; `None` for other numbers of dimensions.
fn product(a: &Tensor, b: &Tensor) -> Outcome<Option<Tensor>> {
    let (&[rows, inner], &[inner_b, columns]) = (a.shape(), b.shape()) else {
        return Ok(None);
    };
    if inner != inner_b {
        return Err(Failure::malformed(format!(
            "the shapes {:?} and {:?} do not multiply",
            a.shape(),
            b.shape()
        )));
    }
    let count = entries(&[rows, columns])?;
    // As much work as the largest constant has entries, eight times.
    let work = count.saturating_mul(inner);
    if work > 8 * MAX_ENTRIES {
        return Err(Failure::too_large(
            "products in a matrix product of constants",
            work,
            8 * MAX_ENTRIES,
        ));
    }
    let (x, y) = (a.floats()?, b.floats()?);
    let mut values = Vec::with_capacity(count);
    for i in 0..rows {
        let row = x.get(i * inner..(i + 1) * inner).unwrap_or_default();
        for j in 0..columns {
            let column = y.iter().skip(j).step_by(columns.max(1));
            let sum: f64 = row
                .iter()
                .zip(column)
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum();
            values.push(single(sum));
        }
    }
    Ok(Some(Tensor::from_parts(
        vec![rows, columns],
        Data::Floats(values),
    )))
}
