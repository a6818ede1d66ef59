//! What an import gives.

use std::collections::BTreeMap;

use super::error::printable;
use crate::network::Network;

/// A network, and what is to be said of its import.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Import {
    /// The network. Its inputs and outputs are the tensors of the file, row by row; those of one
    /// frame, if it is recurrent.
    pub network: Network,
    /// What became of the nodes.
    pub report: ImportReport,
}

/// What became of the nodes of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportReport {
    /// The program that wrote the file, as it says.
    pub producer: String,
    /// Version of ONNX's operators.
    pub opset: i64,
    /// Nodes of the graph, without those of bodies.
    pub nodes: usize,
    /// How many of them have each operator; of other domains than ONNX's with the domain before a dot.
    pub operators: BTreeMap<String, usize>,
    /// Entries of all initialisers of floats, without those of bodies.
    pub parameters: usize,
    /// Nodes that were computed, because all their inputs are constants; in bodies, once a step.
    pub folded: usize,
    /// Nodes that the output does not depend on.
    pub unused: usize,
    /// The axis of the input that is time, if the network is recurrent: then it is given one frame
    /// after the other.
    pub time_axis: Option<usize>,
    /// Shape of the input; of a frame, if the network is recurrent.
    pub input_shape: Vec<usize>,
    /// Shape of the output; for each frame, or after the last one, if the network is recurrent.
    pub output_shape: Vec<usize>,
    /// What was left out, assumed or made public.
    pub notes: Vec<String>,
}

impl ImportReport {
    /// Makes names from the file such as may be shown.
    pub(super) fn printable(&mut self) {
        self.producer = printable(&self.producer);
        self.operators = std::mem::take(&mut self.operators)
            .into_iter()
            .map(|(operator, count)| (printable(&operator), count))
            .collect();
        for note in &mut self.notes {
            *note = printable(note);
        }
    }
}
