//! Float models: dense layers and recurrent cells, as they were trained.
//!
//! ```
//! use layerfold::Model;
//! use ndarray::{arr1, arr2};
//!
//! let model = Model::builder([2])
//!     .dense(arr2(&[[1.0, -1.0], [0.5, 0.5], [-2.0, 0.0]]), arr1(&[0.0, 0.1, 0.0]))
//!     .relu()
//!     .dense(arr2(&[[1.0, 1.0, 1.0]]), arr1(&[-0.1]))
//!     .build()?;
//! let y = model.infer(arr1(&[0.75, 0.25]).view())?;
//! assert!((y[0] - 1.0).abs() < 1e-6);
//! # Ok::<(), layerfold::Error>(())
//! ```

mod activation;
mod builder;
mod sequence;
mod tensors;

use std::fmt;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use zeroize::Zeroize;

pub use activation::{ActivationFunction, TableFunction};
pub use builder::ModelBuilder;
pub use sequence::{
    RecurrentCell, RecurrentFunction, RecurrentWeights, RnnActivation, SequenceBuilder,
    SequenceModel, SequenceState,
};
pub use tensors::Tensors;

pub(crate) use sequence::over_frames;

use crate::error::{Error, Reason};

/// A dense layer and its activation.
///
/// Secret material: `Debug` shows the shape only, and the weights are zeroised on drop.
#[derive(Clone)]
pub struct Layer {
    /// `[outputs, inputs]`.
    weight: Array2<f32>,
    /// `[outputs]`.
    bias: Array1<f32>,
    activation: ActivationFunction,
}

impl Layer {
    /// Number of inputs.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.weight.ncols()
    }

    /// Number of neurons.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.weight.nrows()
    }

    /// The weights, `[outputs, inputs]`.
    #[must_use]
    pub fn weight(&self) -> ArrayView2<'_, f32> {
        self.weight.view()
    }

    /// The biases, `[outputs]`.
    #[must_use]
    pub fn bias(&self) -> ArrayView1<'_, f32> {
        self.bias.view()
    }

    /// What is applied to the sums.
    #[must_use]
    pub fn activation(&self) -> &ActivationFunction {
        &self.activation
    }
}

/// Weights `[outputs, inputs]` and biases `[outputs]`.
type AffineView<'a> = (ArrayView2<'a, f32>, ArrayView1<'a, f32>);

/// `W·x + b`, accumulated in double precision.
fn affine((weight, bias): AffineView<'_>, x: &[f64]) -> Vec<f64> {
    weight
        .rows()
        .into_iter()
        .zip(bias)
        .map(|(row, bias)| {
            let sum: f64 = row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum();
            sum + f64::from(*bias)
        })
        .collect()
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Layer({} → {} {}, weights redacted)",
            self.inputs(),
            self.outputs(),
            self.activation.name()
        )
    }
}

impl Drop for Layer {
    fn drop(&mut self) {
        self.weight.iter_mut().for_each(Zeroize::zeroize);
        self.bias.iter_mut().for_each(Zeroize::zeroize);
    }
}

/// A fully connected network on floats.
///
/// Secret material: `Debug` shows the shapes only, and the weights are zeroised on drop.
#[derive(Clone)]
pub struct Model {
    /// At least one; each has as many inputs as the one before has neurons.
    layers: Vec<Layer>,
}

impl Model {
    /// Starts a model of inputs of this shape. For dense layers only the product counts: an input
    /// is handed in as one vector.
    pub fn builder(input_shape: impl IntoIterator<Item = usize>) -> ModelBuilder {
        ModelBuilder::new(input_shape)
    }

    /// A model from the bytes of a `.safetensors` file: one dense layer of the tensors
    /// `{name}.weight` and `{name}.bias` for each name, followed by its activation.
    ///
    /// # Errors
    /// As [`Tensors::from_bytes`], [`ModelBuilder::dense_from`] and [`ModelBuilder::build`].
    pub fn from_safetensors(
        bytes: &[u8],
        layers: &[(&str, ActivationFunction)],
    ) -> Result<Self, Error> {
        let tensors = Tensors::from_bytes(bytes)?;
        let Some((first, _)) = layers.first() else {
            return Err(Reason::Empty { what: "model" }.into());
        };
        let inputs = tensors.columns(&format!("{first}.weight"))?;
        let mut builder = Self::builder([inputs]);
        for (name, activation) in layers {
            builder = builder
                .dense_from(&tensors, name)?
                .activation(activation.clone());
        }
        builder.build()
    }

    /// The layers, in order.
    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Length of an input.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.layers.first().map_or(0, Layer::inputs)
    }

    /// Length of an output.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.layers.last().map_or(0, Layer::outputs)
    }

    /// Number of weights and biases.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        self.layers
            .iter()
            .map(|l| l.weight.len() + l.bias.len())
            .sum()
    }

    /// The output for an input: the float reference that quantised models are compared with.
    ///
    /// Sums and activations are in double precision, the output is rounded once.
    ///
    /// # Errors
    /// If the input has the wrong length or an entry that is not finite, and if a value in between
    /// is not finite.
    pub fn infer(&self, input: ArrayView1<'_, f32>) -> Result<Array1<f32>, Error> {
        let y = self.forward(input, |_, _, _| {})?;
        output(&y, self.layers.len() - 1)
    }

    /// As [`infer`](Self::infer), in double precision; `observe` is given each layer's index, its
    /// sums and its results.
    pub(crate) fn forward(
        &self,
        input: ArrayView1<'_, f32>,
        mut observe: impl FnMut(usize, &[f64], &[f64]),
    ) -> Result<Vec<f64>, Error> {
        check_input(input, self.input_len())?;
        let x = input.iter().map(|x| f64::from(*x)).collect();
        forward(&self.layers, 0, x, &mut observe)
    }
}

fn check_input(input: ArrayView1<'_, f32>, expected: usize) -> Result<(), Error> {
    if input.len() != expected {
        return Err(Reason::Shape {
            what: "length of the input",
            expected,
            got: input.len(),
        }
        .into());
    }
    match input.iter().position(|x| !x.is_finite()) {
        None => Ok(()),
        Some(index) => Err(Reason::NotFinite {
            what: "input",
            index,
        }
        .into()),
    }
}

/// The results of dense layers for the input `x`, in double precision; errors count the layers from
/// `first`, `observe` is given their indices from 0.
fn forward(
    layers: &[Layer],
    first: usize,
    mut x: Vec<f64>,
    observe: &mut impl FnMut(usize, &[f64], &[f64]),
) -> Result<Vec<f64>, Error> {
    for (index, layer) in layers.iter().enumerate() {
        let sums = affine((layer.weight(), layer.bias()), &x);
        check_finite(first + index, "a sum", &sums)?;
        x = sums.iter().map(|y| layer.activation.apply(*y)).collect();
        check_finite(first + index, "the value of its activation", &x)?;
        observe(index, &sums, &x);
    }
    Ok(x)
}

/// An output of the last layer, rounded to single precision.
fn output(y: &[f64], layer: usize) -> Result<Array1<f32>, Error> {
    #[expect(clippy::cast_possible_truncation, reason = "the one rounding")]
    let y: Array1<f32> = y.iter().map(|y| *y as f32).collect();
    match y.iter().position(|y| !y.is_finite()) {
        None => Ok(y),
        Some(index) => Err(Reason::LayerNotFinite {
            layer,
            what: "an output",
            index,
        }
        .into()),
    }
}

fn check_finite(layer: usize, what: &'static str, values: &[f64]) -> Result<(), Error> {
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(index) => Err(Reason::LayerNotFinite { layer, what, index }.into()),
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Model({}", self.input_len())?;
        for layer in &self.layers {
            write!(f, " → {}", layer.outputs())?;
            if !matches!(layer.activation, ActivationFunction::Identity) {
                write!(f, " {}", layer.activation.name())?;
            }
        }
        f.write_str(", weights redacted)")
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use ndarray::{arr1, arr2};

    use super::*;
    use crate::error::ErrorKind;

    fn small() -> Model {
        Model::builder([2])
            .dense(
                arr2(&[[1.0, -1.0], [0.5, 0.5], [-2.0, 0.0]]),
                arr1(&[0.0, 0.25, 0.0]),
            )
            .relu()
            .dense(
                arr2(&[[1.0, 2.0, 4.0], [0.0, 0.0, 1.0]]),
                arr1(&[-0.5, 8.0]),
            )
            .build()
            .unwrap()
    }

    #[test]
    fn infers() {
        let y = small().infer(arr1(&[0.75, 0.25]).view()).unwrap();
        assert_eq!(y, arr1(&[1.5, 8.0]));
        let y = small().infer(arr1(&[-1.0, 3.0]).view()).unwrap();
        assert_eq!(y, arr1(&[10.0, 10.0]));
    }

    #[test]
    fn sizes() {
        let model = small();
        assert_eq!((model.input_len(), model.output_len()), (2, 2));
        assert_eq!(model.parameter_count(), 6 + 3 + 6 + 2);
        assert_eq!(model.layers().len(), 2);
        assert_eq!(model.layers()[0].weight().dim(), (3, 2));
        assert_eq!(model.layers()[1].bias(), arr1(&[-0.5, 8.0]));
    }

    #[test]
    fn sums_are_in_double_precision() {
        // In single precision 2^24 + 1 + 1 is 2^24.
        let model = Model::builder([3])
            .dense(arr2(&[[16_777_216.0, 1.0, 1.0]]), arr1(&[-16_777_216.0]))
            .build()
            .unwrap();
        let y = model.infer(arr1(&[1.0, 1.0, 1.0]).view()).unwrap();
        assert_eq!(y, arr1(&[2.0]));
    }

    #[test]
    fn debug_shows_no_weight() {
        let model = small();
        assert_eq!(
            format!("{model:?}"),
            "Model(2 → 3 relu → 2, weights redacted)"
        );
        assert_eq!(
            format!("{:?}", model.layers()),
            "[Layer(2 → 3 relu, weights redacted), Layer(3 → 2 identity, weights redacted)]"
        );
    }

    #[test]
    fn inputs_are_checked() {
        let fails = |input: &[f32], message| {
            let error = small().infer(input.into()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Input);
            assert_eq!(error.to_string(), message);
        };
        fails(&[1.0], "length of the input: expected 2, got 1");
        fails(&[], "length of the input: expected 2, got 0");
        fails(
            &[0.0, f32::NAN],
            "input is not a finite number (at index 1)",
        );
        fails(
            &[f32::INFINITY, 0.0],
            "input is not a finite number (at index 0)",
        );
    }

    #[test]
    fn overflow_is_reported() {
        let big = Model::builder([1])
            .dense(arr2(&[[f32::MAX]]), arr1(&[0.0]))
            .build()
            .unwrap();
        let error = big.infer(arr1(&[2.0]).view()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "layer 0: an output is not a finite number (at index 0)"
        );
        let blows_up = Model::builder([1])
            .dense(arr2(&[[1.0]]), arr1(&[0.0]))
            .table("exp", f64::exp, -1.0..=1.0, 0.0..=3.0)
            .build()
            .unwrap();
        let error = blows_up.infer(arr1(&[1e6]).view()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "layer 0: the value of its activation is not a finite number (at index 0)"
        );
    }
}
