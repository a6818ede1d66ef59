//! From cells and layers to a checked model over sequences.

use std::ops::RangeInclusive;

use ndarray::{CowArray, Ix1, Ix2};

use super::{RecurrentCell, RecurrentFunction, RecurrentWeights, RnnActivation, SequenceModel};
use crate::{
    error::{Error, Reason},
    model::{ActivationFunction, ModelBuilder, TableFunction, Tensors, builder::MAX_WIDTH},
};

/// Collects the cells of a [`SequenceModel`], and the dense layers after them.
///
/// What does not fit is reported by [`build`](Self::build), with the index of the layer: cells and
/// dense layers are counted together, from 0.
#[derive(Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct SequenceBuilder {
    inputs: usize,
    cells: Vec<RecurrentCell>,
    /// The dense layers, once there is one, or the attempt at one.
    head: Option<ModelBuilder>,
    last_output: bool,
    /// The first thing that did not fit, but for the head's.
    error: Option<Error>,
}

impl SequenceBuilder {
    pub(super) fn new(inputs: usize) -> Self {
        let error = (inputs == 0 || inputs > MAX_WIDTH).then(|| {
            Reason::Range {
                what: "entries of a frame",
                got: inputs as i128,
                least: 1,
                most: MAX_WIDTH as i128,
            }
            .into()
        });
        Self {
            inputs,
            cells: Vec::new(),
            head: None,
            last_output: false,
            error,
        }
    }

    /// An Elman cell, PyTorch's `RNN`: [`RecurrentFunction::Rnn`].
    pub fn rnn(self, weights: RecurrentWeights, activation: RnnActivation) -> Self {
        self.cell(RecurrentFunction::Rnn(activation), weights)
    }

    /// A GRU as PyTorch has it: [`RecurrentFunction::Gru`].
    pub fn gru(self, weights: RecurrentWeights) -> Self {
        self.cell(RecurrentFunction::Gru, weights)
    }

    /// A GRU as ONNX has it by default: [`RecurrentFunction::GruResetBefore`].
    pub fn gru_reset_before(self, weights: RecurrentWeights) -> Self {
        self.cell(RecurrentFunction::GruResetBefore, weights)
    }

    /// An LSTM: [`RecurrentFunction::Lstm`].
    pub fn lstm(self, weights: RecurrentWeights) -> Self {
        self.cell(RecurrentFunction::Lstm, weights)
    }

    /// A cell of any kind. Its inputs are the frame, or the state `h` of the cell before after the
    /// same frame.
    pub fn cell(mut self, function: RecurrentFunction, weights: RecurrentWeights) -> Self {
        if self.error.is_some() {
            return self;
        }
        let layer = self.cells.len();
        let checked = if self.head.is_some() {
            Err(Reason::Layer {
                layer,
                problem: "a cell follows a dense layer: all cells come before the first dense layer",
            })
        } else {
            weights.check(function, self.width(), layer)
        };
        match checked {
            Ok(()) => self.cells.push(RecurrentCell { function, weights }),
            Err(e) => self.error = Some(e.into()),
        }
        self
    }

    /// The Elman cell of layer `layer` of a PyTorch `RNN`: the tensors `{name}.weight_ih_l{layer}`,
    /// `weight_hh`, `bias_ih` and `bias_hh` likewise. Both biases may be absent (`bias=False`).
    ///
    /// # Errors
    /// If a tensor is missing, or has another number of dimensions or another element type than
    /// [`Tensors`] accepts; if the module is bidirectional or has a `proj_size`.
    pub fn rnn_from(
        self,
        tensors: &Tensors,
        name: &str,
        layer: usize,
        activation: RnnActivation,
    ) -> Result<Self, Error> {
        self.cell_from(RecurrentFunction::Rnn(activation), tensors, name, layer)
    }

    /// The cell of layer `layer` of a PyTorch `GRU`; tensors and errors as
    /// [`rnn_from`](Self::rnn_from).
    ///
    /// # Errors
    /// As [`rnn_from`](Self::rnn_from).
    pub fn gru_from(self, tensors: &Tensors, name: &str, layer: usize) -> Result<Self, Error> {
        self.cell_from(RecurrentFunction::Gru, tensors, name, layer)
    }

    /// The cell of layer `layer` of a PyTorch `LSTM`; tensors and errors as
    /// [`rnn_from`](Self::rnn_from).
    ///
    /// # Errors
    /// As [`rnn_from`](Self::rnn_from).
    pub fn lstm_from(self, tensors: &Tensors, name: &str, layer: usize) -> Result<Self, Error> {
        self.cell_from(RecurrentFunction::Lstm, tensors, name, layer)
    }

    /// Every layer of a PyTorch `RNN`, from layer 0 to the last whose tensors are there.
    ///
    /// # Errors
    /// As [`rnn_from`](Self::rnn_from).
    pub fn rnn_layers(
        self,
        tensors: &Tensors,
        name: &str,
        activation: RnnActivation,
    ) -> Result<Self, Error> {
        self.layers_from(RecurrentFunction::Rnn(activation), tensors, name)
    }

    /// Every layer of a PyTorch `GRU`, from layer 0 to the last whose tensors are there.
    ///
    /// # Errors
    /// As [`rnn_from`](Self::rnn_from).
    pub fn gru_layers(self, tensors: &Tensors, name: &str) -> Result<Self, Error> {
        self.layers_from(RecurrentFunction::Gru, tensors, name)
    }

    /// Every layer of a PyTorch `LSTM`, from layer 0 to the last whose tensors are there.
    ///
    /// # Errors
    /// As [`rnn_from`](Self::rnn_from).
    pub fn lstm_layers(self, tensors: &Tensors, name: &str) -> Result<Self, Error> {
        self.layers_from(RecurrentFunction::Lstm, tensors, name)
    }

    fn cell_from(
        self,
        function: RecurrentFunction,
        tensors: &Tensors,
        name: &str,
        layer: usize,
    ) -> Result<Self, Error> {
        let weights = RecurrentWeights::from_tensors(tensors, name, layer)?;
        Ok(self.cell(function, weights))
    }

    fn layers_from(
        mut self,
        function: RecurrentFunction,
        tensors: &Tensors,
        name: &str,
    ) -> Result<Self, Error> {
        let mut layer = 0;
        loop {
            self = self.cell_from(function, tensors, name, layer)?;
            layer += 1;
            if !tensors.has(&format!("{name}.weight_ih_l{layer}")) {
                return Ok(self);
            }
        }
    }

    /// A dense layer on the state of the last cell, or on the dense layer before; as
    /// [`ModelBuilder::dense`].
    pub fn dense<'a>(
        self,
        weight: impl Into<CowArray<'a, f32, Ix2>>,
        bias: impl Into<CowArray<'a, f32, Ix1>>,
    ) -> Self {
        self.head(|head| head.dense(weight, bias))
    }

    /// A dense layer of the tensors `{name}.weight`, `[outputs, inputs]`, and `{name}.bias`,
    /// `[outputs]`.
    ///
    /// # Errors
    /// As [`ModelBuilder::dense_from`].
    pub fn dense_from(self, tensors: &Tensors, name: &str) -> Result<Self, Error> {
        let weight = tensors.matrix(&format!("{name}.weight"))?;
        let bias = tensors.vector(&format!("{name}.bias"))?;
        Ok(self.dense(weight, bias))
    }

    /// Applies `max(x, 0)` to the results of the last dense layer.
    pub fn relu(self) -> Self {
        self.activation(ActivationFunction::Relu)
    }

    /// Applies `1 / (1 + e^(-x))` to the results of the last dense layer; see
    /// [`ModelBuilder::sigmoid`].
    pub fn sigmoid(self) -> Self {
        self.activation(ActivationFunction::Sigmoid)
    }

    /// Applies the hyperbolic tangent to the results of the last dense layer; see
    /// [`ModelBuilder::tanh`].
    pub fn tanh(self) -> Self {
        self.activation(ActivationFunction::Tanh)
    }

    /// Applies any function to the results of the last dense layer; see [`TableFunction::new`].
    pub fn table(
        self,
        name: impl Into<String>,
        function: impl Fn(f64) -> f64 + Send + Sync + 'static,
        input_range: RangeInclusive<f64>,
        output_range: RangeInclusive<f64>,
    ) -> Self {
        self.activation(ActivationFunction::Table(TableFunction::new(
            name,
            function,
            input_range,
            output_range,
        )))
    }

    /// Applies a function to the results of the last dense layer. [`ActivationFunction::Identity`]
    /// changes nothing.
    pub fn activation(self, activation: ActivationFunction) -> Self {
        if matches!(activation, ActivationFunction::Identity) {
            return self;
        }
        self.head(|head| head.activation(activation))
    }

    /// Only the output after the last frame counts: many to one. By default there is an output for
    /// each frame.
    pub fn last_output(mut self) -> Self {
        self.last_output = true;
        self
    }

    /// The model.
    ///
    /// # Errors
    /// The first thing that did not fit: no cell; a dense layer or an activation before the first
    /// cell, or a cell after a dense layer; a cell whose weights do not fit each other or what
    /// comes before it, are empty, more than 2^24 in a row or column, or not finite; as
    /// [`ModelBuilder::build`] for the dense layers.
    pub fn build(self) -> Result<SequenceModel, Error> {
        if let Some(e) = self.error {
            return Err(e);
        }
        if self.cells.is_empty() {
            return Err(Reason::Empty {
                what: "list of cells",
            }
            .into());
        }
        Ok(SequenceModel {
            cells: self.cells,
            head: self.head.map_or(Ok(Vec::new()), ModelBuilder::layers)?,
            last_output: self.last_output,
        })
    }

    /// Length of the vector that the next cell or the first dense layer is given.
    fn width(&self) -> usize {
        self.cells.last().map_or(self.inputs, RecurrentCell::hidden)
    }

    fn head(mut self, add: impl FnOnce(ModelBuilder) -> ModelBuilder) -> Self {
        if self.error.is_some() {
            return self;
        }
        if self.cells.is_empty() {
            self.error = Some(
                Reason::Layer {
                    layer: 0,
                    problem: "a dense layer or an activation comes before the first cell",
                }
                .into(),
            );
            return self;
        }
        let (width, first) = (self.width(), self.cells.len());
        let head = self.head.take();
        self.head = Some(add(
            head.unwrap_or_else(|| ModelBuilder::following(width, first))
        ));
        self
    }
}
