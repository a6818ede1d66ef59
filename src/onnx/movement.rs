//! Operators that move entries and compute nothing, for constants and values alike.

use super::{
    error::{Failure, Outcome},
    file::Node,
    tensor::{MAX_RANK, Tensor, axis, broadcast, entries, expanded, extent, transposed},
};

/// Where the entries of an output come from.
pub(super) struct Moved {
    pub(super) shape: Vec<usize>,
    pub(super) entries: Entries,
}

pub(super) enum Entries {
    /// All of them, in the same order.
    Same,
    /// With the axes in this order.
    Transposed(Vec<usize>),
    /// Along each axis those of these indices, perhaps in another shape of as many.
    PerAxis(Vec<Vec<usize>>),
    /// Those of these indices.
    Selected(Vec<usize>),
}

/// What a node with one moved input and constant inputs after it knows.
pub(super) struct Context<'a> {
    pub(super) node: &'a Node,
    pub(super) opset: i64,
    /// Of the input that is moved.
    pub(super) shape: &'a [usize],
    /// The inputs after it; `None` if left out.
    pub(super) rest: &'a [Option<&'a Tensor>],
}

/// Whether the operator is one of those below.
pub(super) fn moves(operator: &str) -> bool {
    matches!(
        operator,
        "Identity"
            | "Dropout"
            | "Flatten"
            | "Reshape"
            | "Squeeze"
            | "Unsqueeze"
            | "Transpose"
            | "Slice"
            | "Gather"
            | "Split"
            | "Expand"
            | "Tile"
            | "DepthToSpace"
            | "SpaceToDepth"
            | "Resize"
            | "Upsample"
    )
}

/// The outputs of a node that [`moves`] entries.
pub(super) fn movement(c: &Context<'_>) -> Outcome<Vec<Moved>> {
    let one = match c.node.operator.as_str() {
        "Identity" => same(c.shape.to_vec()),
        "Dropout" => return c.dropout(),
        "Flatten" => c.flatten()?,
        "Reshape" => c.reshape()?,
        "Squeeze" => c.squeeze()?,
        "Unsqueeze" => c.unsqueeze()?,
        "Transpose" => c.transpose()?,
        "Slice" => c.slice()?,
        "Gather" => c.gather()?,
        "Split" => return c.split(),
        "Expand" => c.expand()?,
        "Tile" => c.tile()?,
        "DepthToSpace" => c.depth_to_space()?,
        "SpaceToDepth" => c.space_to_depth()?,
        "Resize" | "Upsample" => c.resize()?,
        other => return Err(Failure::unsupported(format!("`{other}` moves no entries"))),
    };
    Ok(vec![one])
}

fn same(shape: Vec<usize>) -> Moved {
    Moved {
        shape,
        entries: Entries::Same,
    }
}

fn chosen(shape: Vec<usize>, lists: Vec<Vec<usize>>) -> Moved {
    Moved {
        shape,
        entries: Entries::PerAxis(lists),
    }
}

fn selected(shape: Vec<usize>, indices: Vec<usize>) -> Moved {
    Moved {
        shape,
        entries: Entries::Selected(indices),
    }
}

impl<'a> Context<'a> {
    fn constant(&self, index: usize) -> Option<&'a Tensor> {
        index
            .checked_sub(1)
            .and_then(|i| self.rest.get(i).copied().flatten())
    }

    fn required(&self, index: usize, what: &str) -> Outcome<&'a Tensor> {
        self.constant(index)
            .ok_or_else(|| Failure::malformed(format!("the input `{what}` is missing")))
    }

    /// Integers that are an attribute in older operator sets and an input in newer ones.
    fn integers(&self, name: &str, index: usize) -> Outcome<Option<Vec<i64>>> {
        match (self.constant(index), self.node.ints(name)?) {
            (Some(tensor), _) => Ok(Some(tensor.ints()?.to_vec())),
            (None, attribute) => Ok(attribute.cloned()),
        }
    }

    fn axes(&self, index: usize, rank: usize) -> Outcome<Option<Vec<usize>>> {
        let Some(axes) = self.integers("axes", index)? else {
            return Ok(None);
        };
        let mut axes: Vec<usize> = axes
            .iter()
            .map(|a| axis(*a, rank))
            .collect::<Outcome<_>>()?;
        axes.sort_unstable();
        if axes.windows(2).any(|w| w.first() == w.last()) {
            return Err(Failure::malformed("an axis is named twice"));
        }
        Ok(Some(axes))
    }

    /// Every index of every axis.
    fn all(&self) -> Outcome<Vec<Vec<usize>>> {
        let count = self.shape.iter().fold(0usize, |n, d| n.saturating_add(*d));
        entries(&[count])?;
        Ok(self.shape.iter().map(|size| (0..*size).collect()).collect())
    }

    /// The entries of these indices along one axis.
    fn along(&self, axis: usize, list: Vec<usize>) -> Outcome<Moved> {
        let mut lists = self.all()?;
        let mut shape = self.shape.to_vec();
        if let (Some(place), Some(size)) = (lists.get_mut(axis), shape.get_mut(axis)) {
            *size = list.len();
            *place = list;
        }
        Ok(chosen(shape, lists))
    }

    fn dropout(&self) -> Outcome<Vec<Moved>> {
        if let Some(training) = self.constant(2)
            && training.bools()?.first() == Some(&true)
        {
            return Err(Failure::instead(
                "it is in training mode",
                "export the model for inference",
            ));
        }
        Ok(vec![same(self.shape.to_vec())])
    }

    fn flatten(&self) -> Outcome<Moved> {
        let rank = self.shape.len();
        let at = self.node.int("axis", 1)?;
        let at = if at == i64::try_from(rank).unwrap_or(i64::MAX) {
            rank
        } else {
            axis(at, rank)?
        };
        let (rows, columns) = self.shape.split_at(at);
        Ok(same(vec![rows.iter().product(), columns.iter().product()]))
    }

    fn reshape(&self) -> Outcome<Moved> {
        let target = self
            .integers("shape", 1)?
            .ok_or_else(|| Failure::malformed("the input `shape` is missing"))?;
        let keeps_zero = self.node.flag("allowzero", false)?;
        Ok(same(reshaped(self.shape, &target, keeps_zero)?))
    }

    fn squeeze(&self) -> Outcome<Moved> {
        let axes = self.axes(1, self.shape.len())?;
        if axes.as_ref().is_some_and(Vec::is_empty) {
            return Err(Failure::instead(
                "its list of axes is empty: some take that for all axes of one entry, some for none",
                "name the axes",
            ));
        }
        let mut shape = Vec::new();
        for (k, size) in self.shape.iter().enumerate() {
            let named = axes.as_ref().map(|a| a.contains(&k));
            match (named, *size) {
                (Some(true), size) if size != 1 => {
                    return Err(Failure::malformed(format!("axis {k} has {size} entries")));
                }
                (Some(true), _) | (None, 1) => {}
                (Some(false) | None, size) => shape.push(size),
            }
        }
        Ok(same(shape))
    }

    fn unsqueeze(&self) -> Outcome<Moved> {
        let count = self
            .integers("axes", 1)?
            .ok_or_else(|| Failure::malformed("the input `axes` is missing"))?
            .len();
        let rank = self.shape.len().saturating_add(count);
        if rank > MAX_RANK {
            return Err(Failure::too_large("dimensions of a tensor", rank, MAX_RANK));
        }
        let axes = self.axes(1, rank)?.unwrap_or_default();
        let mut old = self.shape.iter();
        let shape = (0..rank)
            .filter_map(|k| {
                if axes.contains(&k) {
                    Some(1)
                } else {
                    old.next().copied()
                }
            })
            .collect();
        Ok(same(shape))
    }

    fn transpose(&self) -> Outcome<Moved> {
        let rank = self.shape.len();
        let permutation = match self.node.ints("perm")? {
            Some(perm) => perm
                .iter()
                .map(|a| axis(*a, rank))
                .collect::<Outcome<Vec<_>>>()?,
            None => (0..rank).rev().collect(),
        };
        let mut sorted = permutation.clone();
        sorted.sort_unstable();
        if sorted != (0..rank).collect::<Vec<_>>() {
            return Err(Failure::malformed(format!(
                "the permutation {permutation:?} is none of {rank} axes"
            )));
        }
        let shape = permutation
            .iter()
            .filter_map(|k| self.shape.get(*k).copied())
            .collect();
        Ok(Moved {
            shape,
            entries: Entries::Transposed(permutation),
        })
    }

    fn slice(&self) -> Outcome<Moved> {
        let rank = self.shape.len();
        let missing = || Failure::malformed("its starts or ends are missing");
        let starts = self.integers("starts", 1)?.ok_or_else(missing)?;
        let ends = self.integers("ends", 2)?.ok_or_else(missing)?;
        let axes = match self.integers("axes", 3)? {
            Some(axes) => axes,
            None => (0i64..).take(starts.len()).collect(),
        };
        let steps = match self.constant(4) {
            Some(steps) => steps.ints()?.to_vec(),
            None => vec![1; starts.len()],
        };
        if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
            return Err(Failure::malformed(
                "its starts, ends, axes and steps are not equally many",
            ));
        }
        let mut lists = self.all()?;
        let mut seen = Vec::new();
        for (((start, end), at), step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
            let at = axis(*at, rank)?;
            if seen.contains(&at) {
                return Err(Failure::malformed("an axis is named twice"));
            }
            seen.push(at);
            if let Some(list) = lists.get_mut(at) {
                *list = range(*start, *end, *step, list.len())?;
            }
        }
        let shape: Vec<usize> = lists.iter().map(Vec::len).collect();
        if shape == self.shape && steps.iter().all(|s| *s == 1) {
            return Ok(same(shape));
        }
        Ok(chosen(shape, lists))
    }

    fn gather(&self) -> Outcome<Moved> {
        let at = axis(self.node.int("axis", 0)?, self.shape.len())?;
        let size = self.shape.get(at).copied().unwrap_or(0);
        let indices = self.required(1, "indices")?;
        let list: Vec<usize> = indices
            .ints()?
            .iter()
            .map(|i| {
                axis(*i, size).map_err(|_| {
                    Failure::malformed(format!("index {i} of an axis of {size} entries"))
                })
            })
            .collect::<Outcome<_>>()?;
        let mut moved = self.along(at, list)?;
        let mut shape = moved.shape;
        shape.splice(at..=at, indices.shape().iter().copied());
        moved.shape = shape;
        Ok(moved)
    }

    fn split(&self) -> Outcome<Vec<Moved>> {
        let at = axis(self.node.int("axis", 0)?, self.shape.len())?;
        let size = self.shape.get(at).copied().unwrap_or(0);
        let count = self.node.outputs.len();
        let parts: Vec<usize> = match self.integers("split", 1)? {
            Some(parts) => parts
                .iter()
                .map(|p| usize::try_from(*p))
                .collect::<Result<_, _>>()
                .map_err(|_| Failure::malformed("a part is negative"))?,
            None => {
                let count = match self.node.int_attribute("num_outputs")? {
                    Some(n) => usize::try_from(*n).unwrap_or(0),
                    None => count,
                };
                if count == 0 || (self.opset < 18 && !size.is_multiple_of(count)) {
                    return Err(Failure::malformed(format!(
                        "{size} entries do not split into {count} parts"
                    )));
                }
                let part = size.div_ceil(count);
                (0..count.min(size.max(1)))
                    .map(|k| part.min(size.saturating_sub(k * part)))
                    .collect()
            }
        };
        let total = parts.iter().try_fold(0usize, |a, p| a.checked_add(*p));
        if total != Some(size) || parts.len() != count {
            return Err(Failure::malformed(format!(
                "{size} entries do not split into the parts {parts:?} for {count} outputs"
            )));
        }
        let mut from = 0;
        parts
            .iter()
            .map(|part| {
                let list = (from..from + part).collect();
                from += part;
                self.along(at, list)
            })
            .collect()
    }

    fn expand(&self) -> Outcome<Moved> {
        let target = sizes(self.required(1, "shape")?)?;
        let shape = broadcast(self.shape, &target)?;
        if shape == self.shape {
            return Ok(same(shape));
        }
        let indices = expanded(self.shape, &shape)?;
        Ok(selected(shape, indices))
    }

    fn tile(&self) -> Outcome<Moved> {
        let repeats = sizes(self.required(1, "repeats")?)?;
        if repeats.len() != self.shape.len() {
            return Err(Failure::malformed(format!(
                "{} repeats for {} dimensions",
                repeats.len(),
                self.shape.len()
            )));
        }
        let shape: Vec<usize> = self
            .shape
            .iter()
            .zip(&repeats)
            .map(|(size, n)| size.saturating_mul(*n))
            .collect();
        entries(&shape)?;
        let lists: Vec<Vec<usize>> = self
            .shape
            .iter()
            .zip(&shape)
            .map(|(size, want)| (0..*want).map(|k| k % (*size).max(1)).collect())
            .collect();
        Ok(chosen(shape, lists))
    }

    fn depth_to_space(&self) -> Outcome<Moved> {
        let (n, c, h, w, b) = self.blocks()?;
        if c % (b * b) != 0 {
            return Err(Failure::malformed(format!(
                "{c} channels for blocks of {b}×{b}"
            )));
        }
        let out = c / (b * b);
        let (split, order) = match self.node.text("mode")?.map_or("DCR", String::as_str) {
            "DCR" => ([n, b, b, out, h, w], [0, 3, 4, 1, 5, 2]),
            "CRD" => ([n, out, b, b, h, w], [0, 1, 4, 2, 5, 3]),
            other => return Err(Failure::malformed(format!("its mode is `{other}`"))),
        };
        let (_, indices) = transposed(&split, &order)?;
        Ok(selected(vec![n, out, h * b, w * b], indices))
    }

    fn space_to_depth(&self) -> Outcome<Moved> {
        let (n, c, h, w, b) = self.blocks()?;
        if h % b != 0 || w % b != 0 {
            return Err(Failure::malformed(format!(
                "{h}×{w} entries for blocks of {b}×{b}"
            )));
        }
        let (_, indices) = transposed(&[n, c, h / b, b, w / b, b], &[0, 3, 5, 1, 2, 4])?;
        Ok(selected(vec![n, c * b * b, h / b, w / b], indices))
    }

    /// Sizes of an image and of blocks, which are at least 1 and so small that they multiply.
    fn blocks(&self) -> Outcome<(usize, usize, usize, usize, usize)> {
        let &[n, c, h, w] = self.shape else {
            return Err(Failure::malformed(format!(
                "a tensor of shape {:?}, expected four dimensions",
                self.shape
            )));
        };
        match usize::try_from(self.node.int("blocksize", 0)?) {
            Ok(b @ 1..=4096) => Ok((n, c, h, w, b)),
            _ => Err(Failure::malformed("its block size is not in 1..=4096")),
        }
    }

    /// Nearest neighbours; every way in which ONNX counts coordinates.
    fn resize(&self) -> Outcome<Moved> {
        let text = |name: &str, default: &str| -> Outcome<String> {
            Ok(self
                .node
                .text(name)?
                .map_or_else(|| default.to_owned(), Clone::clone))
        };
        let mode = text("mode", "nearest")?;
        if mode != "nearest" {
            return Err(Failure::instead(
                format!("its mode is `{mode}`"),
                "use nearest neighbours, or a transposed convolution",
            ));
        }
        let old = self.node.operator == "Upsample" || self.opset < 11;
        let (scales_at, sizes_at) = if old { (1, 3) } else { (2, 3) };
        let coordinates = text(
            "coordinate_transformation_mode",
            if old { "asymmetric" } else { "half_pixel" },
        )?;
        let rounding = text(
            "nearest_mode",
            if old { "floor" } else { "round_prefer_floor" },
        )?;
        let policy = text("keep_aspect_ratio_policy", "stretch")?;
        if self.node.attribute("axes").is_some() || policy != "stretch" {
            return Err(Failure::instead(
                "it names axes or keeps the aspect ratio",
                "give a scale to each axis",
            ));
        }
        let rank = self.shape.len();
        let scales: Option<Vec<f32>> = match (self.constant(scales_at), self.node.floats("scales")?)
        {
            (Some(tensor), _) if tensor.len() > 0 => Some(tensor.floats()?.to_vec()),
            (_, attribute) => attribute.cloned(),
        };
        // All in single precision, in which ONNX Runtime has it: 10·0.7 is 7.
        let (shape, scales): (Vec<usize>, Vec<f32>) = match (scales, self.constant(sizes_at)) {
            (Some(scales), _) if scales.len() == rank => {
                let new = |(size, scale): (&usize, &f32)| {
                    let new = (to_float(*size) * *scale).floor();
                    // Also false if it is not a number.
                    if (1.0..=65536.0).contains(&new) {
                        Ok(to_index(new))
                    } else {
                        Err(Failure::malformed(format!(
                            "{size} entries scaled by {scale}"
                        )))
                    }
                };
                let shape = self.shape.iter().zip(&scales).map(new);
                (shape.collect::<Outcome<_>>()?, scales)
            }
            (None, Some(target)) if target.len() == rank => {
                let shape = sizes(target)?;
                let scales = shape
                    .iter()
                    .zip(self.shape)
                    .map(|(new, old)| to_float(*new) / to_float((*old).max(1)))
                    .collect();
                (shape, scales)
            }
            _ => {
                return Err(Failure::malformed(
                    "it has neither a scale nor a size for each axis",
                ));
            }
        };
        entries(&shape)?;
        if old && scales.iter().any(|s| *s < 1.0) {
            return Err(Failure::instead(
                "before operator set 11 it is not said which neighbour is taken of fewer",
                "convert the model with `onnx.version_converter`",
            ));
        }
        let lists = self
            .shape
            .iter()
            .zip(&shape)
            .zip(&scales)
            .map(|((old, new), scale)| nearest(*old, *new, *scale, &coordinates, &rounding))
            .collect::<Outcome<Vec<_>>>()?;
        Ok(chosen(shape, lists))
    }
}

/// For each of `new` coordinates the nearest of `old`.
fn nearest(
    old: usize,
    new: usize,
    scale: f32,
    coordinates: &str,
    rounding: &str,
) -> Outcome<Vec<usize>> {
    if old == 0 {
        return Err(Failure::malformed("an axis is empty"));
    }
    let (length, resized) = (to_float(old), to_float(new));
    (0..new)
        .map(|at| {
            let x = to_float(at);
            let x = match coordinates {
                "asymmetric" => x / scale,
                "half_pixel" => (x + 0.5) / scale - 0.5,
                "pytorch_half_pixel" if new == 1 => 0.0,
                "pytorch_half_pixel" => (x + 0.5) / scale - 0.5,
                "align_corners" if new == 1 => 0.0,
                "align_corners" => x * (length - 1.0) / (resized - 1.0),
                other => {
                    return Err(Failure::unsupported(format!(
                        "its coordinates are `{other}`"
                    )));
                }
            };
            let x = match rounding {
                "floor" => x.floor(),
                "ceil" => x.ceil(),
                "round_prefer_floor" => (x - 0.5).ceil(),
                "round_prefer_ceil" => (x + 0.5).floor(),
                other => return Err(Failure::malformed(format!("it rounds by `{other}`"))),
            };
            Ok(to_index(x.clamp(0.0, length - 1.0)))
        })
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "as ONNX Runtime has it")]
fn to_float(size: usize) -> f32 {
    size as f32
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a whole number that is not negative"
)]
fn to_index(x: f32) -> usize {
    x as usize
}

/// The sizes that a constant lists.
pub(super) fn sizes(tensor: &Tensor) -> Outcome<Vec<usize>> {
    tensor
        .ints()?
        .iter()
        .map(|i| usize::try_from(*i).map_err(|_| Failure::malformed(format!("a size is {i}"))))
        .collect()
}

/// The shape that `Reshape` gives a tensor of shape `from`.
pub(super) fn reshaped(from: &[usize], target: &[i64], keeps_zero: bool) -> Outcome<Vec<usize>> {
    if target.len() > MAX_RANK {
        return Err(Failure::too_large(
            "dimensions of a tensor",
            target.len(),
            MAX_RANK,
        ));
    }
    let wrong = || Failure::malformed(format!("{from:?} does not reshape to {target:?}"));
    let count: usize = from.iter().product();
    let mut open = None;
    let mut known = 1usize;
    let mut shape = Vec::with_capacity(target.len());
    for (k, size) in target.iter().enumerate() {
        let size = match *size {
            -1 if open.is_none() => {
                open = Some(k);
                shape.push(1);
                continue;
            }
            0 if !keeps_zero => *from.get(k).ok_or_else(wrong)?,
            size => usize::try_from(size).map_err(|_| wrong())?,
        };
        known = known.checked_mul(size).ok_or_else(wrong)?;
        shape.push(size);
    }
    match open.and_then(|k| shape.get_mut(k)) {
        Some(place) if known != 0 && count.is_multiple_of(known) => *place = count / known,
        None if known == count => {}
        _ => return Err(wrong()),
    }
    // Sizes beside an empty one are not bounded by the number of entries.
    extent(&shape).ok_or_else(wrong)?;
    Ok(shape)
}

/// The indices that a slice takes of an axis of `size` entries, by ONNX's rules for ends beyond it.
fn range(start: i64, end: i64, step: i64, size: usize) -> Outcome<Vec<usize>> {
    if size == 0 && step != 0 {
        return Ok(Vec::new());
    }
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    let from_front = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
    let (least, most) = match step {
        0 => return Err(Failure::malformed("its step is 0")),
        1.. => (0, size),
        _ => (-1, size.saturating_sub(1)),
    };
    let mut at = from_front(start).clamp(least.max(0), most);
    let end = from_front(end).clamp(least, most);
    let mut indices = Vec::new();
    while (step > 0 && at < end) || (step < 0 && at > end) {
        indices.extend(usize::try_from(at));
        at = at.saturating_add(step);
    }
    Ok(indices)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for ((start, end, step, size), expected) in [
            ((0, 4, 1, 4), vec![0, 1, 2, 3]),
            ((1, -1, 1, 4), vec![1, 2]),
            ((-2, i64::MAX, 1, 4), vec![2, 3]),
            ((i64::MIN, 2, 1, 4), vec![0, 1]),
            ((-1, i64::MIN, -1, 3), vec![2, 1, 0]),
            ((5, 0, -2, 6), vec![5, 3, 1]),
            ((9, -9, -3, 4), vec![3, 0]),
            ((3, 1, 1, 4), vec![]),
            ((0, 4, i64::MAX, 4), vec![0]),
            ((0, 1, 1, 0), vec![]),
            ((-1, -9, -1, 0), vec![]),
        ] {
            assert_eq!(range(start, end, step, size).unwrap(), expected);
        }
        assert!(range(0, 1, 0, 4).is_err());
    }

    #[test]
    fn reshapes() {
        assert_eq!(reshaped(&[2, 3, 4], &[0, -1], false).unwrap(), [2, 12]);
        assert_eq!(reshaped(&[1, 6], &[3, 2], false).unwrap(), [3, 2]);
        assert_eq!(reshaped(&[1], &[], false).unwrap(), [0usize; 0]);
        for target in [
            &[-1, -1][..],
            &[5],
            &[7, -1],
            &[0, 0, 0],
            &[i64::MAX, i64::MAX],
            &[-2],
        ] {
            assert!(reshaped(&[2, 3], target, false).is_err());
        }
    }
}
