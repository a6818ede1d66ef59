//! From layers to a checked model.

use std::ops::RangeInclusive;

use ndarray::{CowArray, Ix1, Ix2};

use super::{ActivationFunction, Layer, Model, TableFunction, Tensors};
use crate::error::{Error, Reason};

/// Largest number of inputs or neurons of a layer.
pub(super) const MAX_WIDTH: usize = 1 << 24;

/// Collects the layers of a [`Model`].
///
/// What does not fit is reported by [`build`](Self::build), with the index of the layer (dense
/// layers are counted, from 0).
#[derive(Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct ModelBuilder {
    /// Length of the vector that the next layer is given.
    width: usize,
    /// Index of the first layer, in errors.
    first: usize,
    layers: Vec<Layer>,
    /// Whether the last layer was given its activation.
    activated: bool,
    /// The first thing that did not fit.
    error: Option<Error>,
}

impl ModelBuilder {
    pub(super) fn new(input_shape: impl IntoIterator<Item = usize>) -> Self {
        let width = input_shape
            .into_iter()
            .try_fold(1usize, usize::checked_mul)
            .unwrap_or(usize::MAX);
        let error = if width == 0 {
            Some(
                Reason::Empty {
                    what: "input shape",
                }
                .into(),
            )
        } else if width > MAX_WIDTH {
            Some(
                Reason::Range {
                    what: "length of the input",
                    got: width as i128,
                    least: 1,
                    most: MAX_WIDTH as i128,
                }
                .into(),
            )
        } else {
            None
        };
        Self {
            width,
            first: 0,
            layers: Vec::new(),
            activated: false,
            error,
        }
    }

    /// Collects the layers that follow `first` others.
    pub(super) fn following(width: usize, first: usize) -> Self {
        Self {
            first,
            ..Self::new([width])
        }
    }

    /// A dense layer, `x ↦ W·x + b`: `weight` is `[outputs, inputs]` (as PyTorch has it), `bias`
    /// is `[outputs]`. Arrays, views and references to arrays are accepted.
    pub fn dense<'a>(
        mut self,
        weight: impl Into<CowArray<'a, f32, Ix2>>,
        bias: impl Into<CowArray<'a, f32, Ix1>>,
    ) -> Self {
        if self.error.is_some() {
            return self;
        }
        let layer = Layer {
            weight: weight.into().into_owned(),
            bias: bias.into().into_owned(),
            activation: ActivationFunction::Identity,
        };
        match self.check(&layer) {
            Ok(()) => {
                self.width = layer.outputs();
                self.layers.push(layer);
                self.activated = false;
            }
            Err(e) => self.error = Some(e.into()),
        }
        self
    }

    /// A dense layer of the tensors `{name}.weight`, `[outputs, inputs]`, and `{name}.bias`,
    /// `[outputs]`.
    ///
    /// # Errors
    /// If a tensor is missing, or has another number of dimensions or another element type than
    /// [`Tensors`] accepts.
    pub fn dense_from(self, tensors: &Tensors, name: &str) -> Result<Self, Error> {
        let weight = tensors.matrix(&format!("{name}.weight"))?;
        let bias = tensors.vector(&format!("{name}.bias"))?;
        Ok(self.dense(weight, bias))
    }

    /// Applies `max(x, 0)` to the results of the last layer.
    pub fn relu(self) -> Self {
        self.activation(ActivationFunction::Relu)
    }

    /// Applies `1 / (1 + e^(-x))` to the results of the last layer.
    ///
    /// Quantised, it is an exact table: inputs are multiples of 1/16 from -8 to 7.94, values
    /// multiples of 1/128 up to 127/128.
    pub fn sigmoid(self) -> Self {
        self.activation(ActivationFunction::Sigmoid)
    }

    /// Applies the hyperbolic tangent to the results of the last layer.
    ///
    /// Quantised, it is an exact table: inputs are multiples of 1/32 from -4 to 3.97, values
    /// multiples of 1/128 up to 127/128.
    pub fn tanh(self) -> Self {
        self.activation(ActivationFunction::Tanh)
    }

    /// Applies any function to the results of the last layer; see [`TableFunction::new`].
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

    /// Applies a function to the results of the last layer. [`ActivationFunction::Identity`]
    /// changes nothing.
    pub fn activation(mut self, activation: ActivationFunction) -> Self {
        if self.error.is_some() || matches!(activation, ActivationFunction::Identity) {
            return self;
        }
        let index = self.first + self.layers.len().saturating_sub(1);
        let problem = if self.activated {
            Some("a second activation follows the first: an activation must follow a dense layer")
        } else if self.layers.is_empty() {
            Some("an activation comes first: an activation must follow a dense layer")
        } else {
            activation.problem()
        };
        match (problem, self.layers.last_mut()) {
            (Some(problem), _) => {
                let layer = index;
                self.error = Some(Reason::Layer { layer, problem }.into());
            }
            (None, Some(layer)) => {
                layer.activation = activation;
                self.activated = true;
            }
            (None, None) => {}
        }
        self
    }

    /// The model.
    ///
    /// # Errors
    /// The first thing that did not fit: no layer; a layer that has no neuron, not as many inputs
    /// as the layer before has neurons, more than 2^24 neurons, not one bias per neuron, or a
    /// weight or bias that is not finite; an activation that does not follow a dense layer; a
    /// tabulated function whose ranges are empty or zero, or that is not a number somewhere.
    pub fn build(self) -> Result<Model, Error> {
        let layers = self.layers()?;
        if layers.is_empty() {
            return Err(Reason::Empty { what: "model" }.into());
        }
        Ok(Model { layers })
    }

    /// The layers, possibly none, or the first thing that did not fit.
    pub(super) fn layers(self) -> Result<Vec<Layer>, Error> {
        match self.error {
            Some(e) => Err(e),
            None => Ok(self.layers),
        }
    }

    fn check(&self, layer: &Layer) -> Result<(), Reason> {
        let index = self.first + self.layers.len();
        let (outputs, inputs) = layer.weight.dim();
        if outputs == 0 || inputs == 0 {
            return Err(Reason::Layer {
                layer: index,
                problem: "the weight matrix is empty",
            });
        }
        if outputs > MAX_WIDTH {
            return Err(Reason::Layer {
                layer: index,
                problem: "more than 2^24 neurons",
            });
        }
        for (what, expected, got) in [
            ("columns of the weight matrix", self.width, inputs),
            ("entries of the bias", outputs, layer.bias.len()),
        ] {
            if expected != got {
                return Err(Reason::LayerShape {
                    layer: index,
                    what,
                    expected,
                    got,
                });
            }
        }
        check_weights(index, "a weight", layer.weight.iter())?;
        check_weights(index, "a bias", layer.bias.iter())
    }
}

/// Checks that what a layer is handed in with is finite.
pub(super) fn check_weights<'a>(
    layer: usize,
    what: &'static str,
    mut weights: impl Iterator<Item = &'a f32>,
) -> Result<(), Reason> {
    match weights.position(|w| !w.is_finite()) {
        None => Ok(()),
        Some(index) => Err(Reason::LayerNotFinite { layer, what, index }),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use ndarray::{Array1, Array2, Axis, arr1, arr2};

    use super::*;
    use crate::error::ErrorKind;

    fn ones(outputs: usize, inputs: usize) -> (Array2<f32>, Array1<f32>) {
        (Array2::ones((outputs, inputs)), Array1::zeros(outputs))
    }

    fn fails(builder: ModelBuilder, kind: ErrorKind, message: &str) {
        let error = builder.build().map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.kind(), kind, "{message}");
    }

    #[test]
    fn accepts_arrays_views_and_references() {
        let (w, b) = ones(3, 4);
        let (v, c) = ones(2, 3);
        let model = Model::builder([2, 2])
            .dense(&w, &b)
            .relu()
            .dense(w.slice_axis(Axis(1), (..3).into()), b.view())
            .tanh()
            .dense(v, c)
            .build()
            .unwrap();
        assert_eq!(
            format!("{model:?}"),
            "Model(4 → 3 relu → 3 tanh → 2, weights redacted)"
        );
    }

    #[test]
    fn no_layer() {
        fails(Model::builder([4]), ErrorKind::Input, "model is empty");
    }

    #[test]
    fn input_shapes() {
        fails(
            Model::builder([3, 0]),
            ErrorKind::Input,
            "input shape is empty",
        );
        fails(
            Model::builder([1 << 12, 1 << 13]),
            ErrorKind::Input,
            "length of the input: 33554432 is outside 1..=16777216",
        );
        assert!(Model::builder([usize::MAX, 2]).build().is_err());
    }

    #[test]
    fn wrong_shapes_name_the_layer() {
        let (w, b) = ones(3, 4);
        fails(
            Model::builder([4]).dense(&w, &b).relu().dense(&w, &b),
            ErrorKind::Input,
            "layer 1: columns of the weight matrix: expected 3, got 4",
        );
        fails(
            Model::builder([4]).dense(&w, Array1::zeros(2)),
            ErrorKind::Input,
            "layer 0: entries of the bias: expected 3, got 2",
        );
    }

    #[test]
    fn empty_layer() {
        for (outputs, inputs) in [(0, 4), (3, 0)] {
            let (w, b) = ones(outputs, inputs);
            fails(
                Model::builder([4]).dense(w, b),
                ErrorKind::Unsupported,
                "layer 0: the weight matrix is empty",
            );
        }
    }

    #[test]
    fn too_many_neurons() {
        let (w, b) = ones((1 << 24) + 1, 1);
        fails(
            Model::builder([1]).dense(w, b),
            ErrorKind::Unsupported,
            "layer 0: more than 2^24 neurons",
        );
    }

    #[test]
    fn weights_must_be_finite() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            fails(
                Model::builder([2]).dense(arr2(&[[1.0, 2.0], [3.0, bad]]), arr1(&[0.0, 0.0])),
                ErrorKind::Input,
                "layer 0: a weight is not a finite number (at index 3)",
            );
            fails(
                Model::builder([2]).dense(arr2(&[[1.0, 2.0], [3.0, 4.0]]), arr1(&[0.0, bad])),
                ErrorKind::Input,
                "layer 0: a bias is not a finite number (at index 1)",
            );
        }
    }

    #[test]
    fn activations_follow_dense_layers() {
        let (w, b) = ones(4, 4);
        fails(
            Model::builder([4]).relu().dense(&w, &b),
            ErrorKind::Unsupported,
            "layer 0: an activation comes first: an activation must follow a dense layer",
        );
        fails(
            Model::builder([4])
                .dense(&w, &b)
                .dense(&w, &b)
                .relu()
                .tanh(),
            ErrorKind::Unsupported,
            "layer 1: a second activation follows the first: an activation must follow a dense layer",
        );
    }

    #[test]
    fn functions_are_checked() {
        let (w, b) = ones(4, 4);
        fails(
            Model::builder([4])
                .dense(&w, &b)
                .table("ln", f64::ln, -1.0..=1.0, -1.0..=1.0),
            ErrorKind::Unsupported,
            "layer 0: its activation is not a number somewhere in the input range",
        );
    }

    #[test]
    fn the_first_error_is_reported() {
        let (w, b) = ones(3, 4);
        fails(
            Model::builder([5]).relu().dense(&w, &b).dense(w, b),
            ErrorKind::Unsupported,
            "layer 0: an activation comes first: an activation must follow a dense layer",
        );
    }
}
