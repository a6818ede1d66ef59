//! `Softmax` and `LogSoftmax`, which are left out at the end of a network.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use super::{
    context::{Importer, SoftmaxEnd, Term},
    error::{Failure, Outcome},
    file::{Body, Node},
    tensor::axis,
};

/// For the outputs of softmax nodes that end the network: how.
pub(super) fn softmax_ends(
    graph: &Body,
    output: &str,
    needed: &HashSet<usize>,
) -> HashMap<String, SoftmaxEnd> {
    let nodes = || {
        graph
            .nodes
            .iter()
            .enumerate()
            .filter(|(k, _)| needed.contains(k))
            .map(|(_, node)| node)
    };
    let mut readers: HashMap<&str, Vec<&Node>> = HashMap::new();
    for node in nodes() {
        for name in node.reads() {
            readers.entry(name).or_default().push(node);
        }
    }
    let end = |start: &str| {
        let mut name = start;
        // Every step goes on to a node of its own, unless the file has a cycle.
        for _ in 0..=graph.nodes.len() {
            match readers.get(name).map(Vec::as_slice) {
                None if name == output => return Some(SoftmaxEnd::Output),
                Some([only]) if name != output => match (only.operator.as_str(), &*only.outputs) {
                    ("ArgMax", _) if name == start => return Some(SoftmaxEnd::ArgMax),
                    (
                        "Identity" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Cast",
                        [o],
                    ) => {
                        name = o;
                    }
                    _ => return None,
                },
                _ => return None,
            }
        }
        None
    };
    nodes()
        .filter(|n| matches!(n.operator.as_str(), "Softmax" | "LogSoftmax"))
        .filter_map(|n| n.outputs.first())
        .filter_map(|o| Some((o.clone(), end(o)?)))
        .collect()
}

impl Importer<'_> {
    pub(super) fn drop_softmax(&mut self, node: &Node, inputs: &[Option<Term>]) -> Outcome<Term> {
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

fn not_at_the_end() -> Failure {
    Failure::unsupported("it is not at the end of the network")
}
