//! From operations on values to a [`Network`].

mod entries;
mod functions;
mod linear;

use std::{fmt, sync::Arc};

use ndarray::{ArrayD, ArrayViewD};
use zeroize::Zeroize;

use super::{
    Network, SparseMatrix,
    compose::{Limits, compose},
    limit,
    matrix::too_many,
    node::{Node, StateNode},
    shape, wrong,
};
use crate::{error::Error, program::Emission};

/// Most operations of a network.
const MAX_NODES: usize = 1 << 20;

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

    /// Checks that `entries` more rows and entries of matrices may be added.
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

    /// Checks that `entries` more entries may be added, before they are.
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

impl fmt::Debug for NetworkBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkBuilder")
            .field("operations", &self.nodes.len())
            .field("nonzeros", &self.nonzeros)
            .finish_non_exhaustive()
    }
}
