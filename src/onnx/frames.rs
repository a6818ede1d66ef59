//! Which operators leave frames apart, and where the axis of time is after them.
//!
//! The builder's values are of one frame: the axis of time is there, with one entry. An operator
//! that leaves frames apart therefore works on a frame as it does on all of them, and knows nothing
//! of time.

use super::{
    context::{Importer, Stamped, Term},
    elementwise,
    error::{Failure, Outcome},
    file::Node,
    fold::reduced_axes,
    layers::padding,
    movement::{Context, Entries, Moved, movement},
    obstacles::unknown_operator,
    softmax::softmax_axes,
    tensor::{Tensor, axis},
    time::{Time, counts, mixes},
};

impl Importer<'_> {
    /// What the outputs of a node are of the frames, if it leaves them apart.
    pub(super) fn carried(&self, node: &Node, inputs: &[Option<Stamped>]) -> Outcome<Time> {
        let time = common(inputs)?;
        let Time::Axis(at) = time else {
            return Ok(time);
        };
        let rank = |k: usize| {
            let input = inputs.get(k).and_then(Option::as_ref);
            input.map_or(0, |i| self.shape(&i.term).len())
        };
        let is_timed = |k: usize| {
            let input = inputs.get(k).and_then(Option::as_ref);
            input.is_some_and(|i| matches!(i.time, Time::Axis(_)))
        };
        let constant = |k: usize| match inputs.get(k).and_then(Option::as_ref) {
            Some(Stamped {
                term: Term::Constant(tensor),
                ..
            }) => Some(tensor.as_ref()),
            _ => None,
        };
        let operator = node.operator.as_str();
        let after = match operator {
            "CastLike" => at,
            "Where" => return self.aligned(inputs, inputs.len()),
            _ if elementwise::is_known(operator) => {
                return self.aligned(inputs, inputs.len());
            }
            "MatMul" => {
                // Of the last two axes one is summed over: the last on the left.
                let left = is_timed(0);
                let (own, other) = if left {
                    (rank(0), rank(1))
                } else {
                    (rank(1), rank(0))
                };
                let from_end = own.saturating_sub(at);
                if (left && from_end == 1) || (!left && (from_end == 2 || own == 1)) {
                    return Err(mixes("it sums over the frames"));
                }
                // An axis of matrices of its own for each frame.
                let weights = constant(usize::from(left)).map_or(&[][..], Tensor::shape);
                let other_size = weights
                    .len()
                    .checked_sub(from_end)
                    .filter(|_| from_end > 2)
                    .and_then(|k| weights.get(k));
                if other_size.is_some_and(|size| *size != 1) {
                    return Err(mixes("it has a matrix for each frame"));
                }
                // A vector's axis goes.
                let gone = usize::from(other == 1);
                let rank = own.max(other) - gone;
                let from_end = if left || from_end > 2 {
                    from_end - gone
                } else {
                    from_end
                };
                rank.saturating_sub(from_end)
            }
            "Gemm" => {
                let rows = usize::from(node.flag("transA", false)?);
                let columns = usize::from(!node.flag("transB", false)?);
                let after = match (is_timed(0), is_timed(1)) {
                    (true, _) if at == rows => 0,
                    (false, true) if at == columns => 1,
                    (false, false) => {
                        return Err(Failure::unsupported(
                            "only what is added depends on the frames",
                        ));
                    }
                    _ => return Err(mixes("it sums over the frames")),
                };
                let added = inputs.get(2).and_then(Option::as_ref);
                if let Some(added) = added {
                    let shape = self.whole_shape(added);
                    let place = (after + shape.len()).checked_sub(2);
                    let size = place.and_then(|k| shape.get(k)).copied().unwrap_or(1);
                    let fits = match added.time {
                        Time::Axis(own) => Some(own) == place,
                        _ => size == 1,
                    };
                    if !fits {
                        return Err(mixes("what it adds differs from frame to frame"));
                    }
                }
                after
            }
            "Conv" | "ConvTranspose" | "AveragePool" | "MaxPool" | "GlobalAveragePool"
            | "GlobalMaxPool" => {
                if at != 0 {
                    return Err(mixes("it runs over the frames"));
                }
                0
            }
            "BatchNormalization" if at == 1 => {
                return Err(mixes("the frames are its channels"));
            }
            "BatchNormalization" => at,
            "ReduceMean" | "ReduceSum" => {
                let (axes, keep) = reduced_axes(node, rank(0), constant(1))?;
                if axes.contains(&at) {
                    return Err(mixes("it sums over the frames"));
                }
                if keep {
                    at
                } else {
                    at - axes.iter().filter(|a| **a < at).count()
                }
            }
            "Concat" => {
                if axis(node.int("axis", 1)?, rank(0))? == at {
                    return Err(mixes("it puts frames after each other"));
                }
                for input in inputs.iter().flatten() {
                    match input.time {
                        Time::Axis(own) if own != at => {
                            return Err(mixes("the frames of one value meet those of another"));
                        }
                        Time::Axis(_) => {}
                        _ if self.frame_count() == 1 => {}
                        _ => return Err(mixes("a constant differs from frame to frame")),
                    }
                }
                at
            }
            "Pad" => {
                let pads = padding(node, rank(0), constant)?;
                if pads.get(at) != Some(&(0, 0)) {
                    return Err(mixes("it adds frames"));
                }
                at
            }
            "ArgMax" => {
                if axis(node.int("axis", 0)?, rank(0))? == at {
                    return Err(mixes("it compares frames"));
                }
                // Its shape is `[1]` here.
                0
            }
            "Softmax" | "LogSoftmax" => {
                if softmax_axes(node, self.opset, rank(0))?.contains(&at) {
                    return Err(Failure::unsupported(
                        "it does not run over the entries of a frame",
                    ));
                }
                at
            }
            _ => return Err(unknown_operator(operator)),
        };
        Ok(Time::Axis(after))
    }

    /// Where the axis of time is after the first inputs were broadcast to one shape.
    pub(super) fn aligned(&self, inputs: &[Option<Stamped>], count: usize) -> Outcome<Time> {
        let inputs = || inputs.iter().take(count).flatten();
        let mut from_end = None;
        let mut rank = 0;
        for input in inputs() {
            let own = self.shape(&input.term).len();
            rank = rank.max(own);
            if let Time::Axis(at) = input.time {
                let own = own.saturating_sub(at);
                if from_end.is_some_and(|other| other != own) {
                    return Err(mixes("the frames of one value meet those of another"));
                }
                from_end = Some(own);
            }
        }
        let Some(from_end) = from_end else {
            return common(&inputs().cloned().map(Some).collect::<Vec<_>>());
        };
        for input in inputs().filter(|i| !matches!(i.time, Time::Axis(_))) {
            let shape = self.shape(&input.term);
            let place = shape.len().checked_sub(from_end);
            if place
                .and_then(|k| shape.get(k))
                .is_some_and(|size| *size != 1)
            {
                return Err(mixes("a constant differs from frame to frame"));
            }
        }
        Ok(Time::Axis(rank.saturating_sub(from_end)))
    }

    /// An operator that only moves entries, of a value with an axis of time.
    pub(super) fn moved_in_time(
        &mut self,
        node: &Node,
        (x, at): (&Term, usize),
        rest: &[Option<&Tensor>],
    ) -> Outcome<Vec<Stamped>> {
        let frame = self.shape(x);
        let mut whole = frame.clone();
        if let Some(size) = whole.get_mut(at) {
            *size = self.frame_count();
        }
        // The indices of an expanded value are listed entry by entry.
        self.folding.handle(match node.operator.as_str() {
            "Expand" => whole.iter().product(),
            _ => self.frame_count(),
        })?;
        let blocks = matches!(node.operator.as_str(), "DepthToSpace" | "SpaceToDepth");
        if blocks && at != 0 {
            return Err(mixes("it moves entries from frame to frame"));
        }
        let moved = movement(&Context {
            node,
            opset: self.opset,
            shape: if blocks { &frame } else { &whole },
            rest,
        })?;
        let mut outputs = Vec::with_capacity(moved.len());
        for mut moved in moved {
            let time = if blocks {
                Time::Axis(0)
            } else {
                self.moved_frames(node, &whole, at, &mut moved)?
            };
            let term = self.place(x, &frame, moved)?;
            outputs.push(Stamped { term, time });
        }
        Ok(outputs)
    }

    /// Where the axis of time is after a move of all frames; the move becomes that of one frame.
    fn moved_frames(
        &self,
        node: &Node,
        whole: &[usize],
        at: usize,
        moved: &mut Moved,
    ) -> Outcome<Time> {
        let frames = self.frame_count();
        let place = match &mut moved.entries {
            Entries::Transposed(order) => order.iter().position(|k| *k == at),
            Entries::Same => found(frames, whole, at, &moved.shape),
            Entries::PerAxis(lists) => {
                let sizes: Vec<usize> = lists.iter().map(Vec::len).collect();
                let Some(list) = lists.get_mut(at) else {
                    return Err(Failure::malformed("it has no axis of time"));
                };
                let all = list.len() == frames && list.iter().enumerate().all(|(k, i)| k == *i);
                let last = list.as_slice() == [frames.saturating_sub(1)];
                *list = vec![0];
                // Of one frame, an index takes it, a slice keeps it.
                if last && (!all || node.operator == "Gather") {
                    return Ok(Time::Last);
                }
                if !all {
                    return Err(Failure::instead(
                        "it takes some frames",
                        "all outputs can be proved, or the one after the last frame",
                    ));
                }
                found(frames, &sizes, at, &moved.shape)
            }
            Entries::Selected(_) => None,
        };
        let Some(place) = place else {
            // The only frame is the last.
            if frames == 1 {
                return Ok(Time::Last);
            }
            return Err(mixes(&format!(
                "{whole:?} becomes {:?}, which joins frames and entries",
                moved.shape
            )));
        };
        if let Some(size) = moved.shape.get_mut(place) {
            *size = 1;
        }
        Ok(Time::Axis(place))
    }
}

/// What all inputs that depend on the network's input are of the frames.
fn common(inputs: &[Option<Stamped>]) -> Outcome<Time> {
    let mut common = Time::None;
    for input in inputs.iter().flatten() {
        match (common, input.time) {
            (_, Time::None) => {}
            (_, Time::Count) => return Err(counts()),
            (Time::None, time) => common = time,
            // Where the axes are is for the operator to say.
            (Time::Axis(_), Time::Axis(_)) => {}
            (one, other) if one == other => {}
            (Time::Last, _) | (_, Time::Last) => {
                return Err(mixes(
                    "it joins the frames with what there is after the last",
                ));
            }
            _ => {
                return Err(mixes(
                    "the body of a `Scan` over the frames reads all of them",
                ));
            }
        }
    }
    Ok(common)
}

/// Where the axis of time is in another shape with the same entries in the same order: as many
/// entries are before it.
fn found(frames: usize, sizes: &[usize], at: usize, shape: &[usize]) -> Option<usize> {
    let before = |shape: &[usize], k: usize| -> usize { shape.iter().take(k).product() };
    let outer = before(sizes, at);
    let fits = |k: &usize| shape.get(*k) == Some(&frames) && before(shape, *k) == outer;
    if fits(&at) {
        return Some(at);
    }
    (0..shape.len()).find(fits)
}
