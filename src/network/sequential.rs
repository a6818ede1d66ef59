//! Chains of layers, in few words.

use ndarray::{ArrayViewD, CowArray, Ix1, Ix2};

use super::{
    Conv, Function, GruReset, Network, NetworkBuilder, Pool, RecurrentWeights, RnnActivation,
    Tensors, Value,
};
use crate::error::{Error, Reason};

/// A network whose every layer reads the one before; [`Network::sequential`] begins one.
///
/// What does not fit is reported by [`build`](Self::build).
#[derive(Debug)]
#[must_use = "layers do nothing until `build`"]
pub struct Sequential {
    builder: NetworkBuilder,
    /// The last layer's value.
    value: Result<Value, Error>,
}

impl Network {
    /// A chain of layers on inputs of this shape, the batch and the frames not counted.
    ///
    /// ```
    /// use layerfold::network::Network;
    /// use ndarray::array;
    ///
    /// let network = Network::sequential([2])
    ///     .dense(array![[1.0, -0.5], [0.25, 2.0]], array![0.1, 0.0])
    ///     .relu()
    ///     .dense(array![[0.5, 1.0]], array![0.3])
    ///     .build()?;
    /// let y = network.infer(array![1.0, 1.0].view())?;
    /// assert!((y[0] - 2.85).abs() < 1e-6);
    /// # Ok::<(), layerfold::Error>(())
    /// ```
    pub fn sequential(input_shape: impl IntoIterator<Item = usize>) -> Sequential {
        let builder = NetworkBuilder::new(input_shape);
        let value = Ok(builder.input());
        Sequential { builder, value }
    }

    /// A chain from the bytes of a `.safetensors` file: one dense layer of the tensors `{name}.weight` and
    /// `{name}.bias` for each name, followed by its function.
    ///
    /// # Errors
    /// As [`Tensors::from_bytes`], [`Sequential::dense_from`] and [`Sequential::build`].
    pub fn from_safetensors(
        bytes: &[u8],
        layers: &[(&str, Option<Function>)],
    ) -> Result<Self, Error> {
        let tensors = Tensors::from_bytes(bytes)?;
        let Some((first, _)) = layers.first() else {
            return Err(Reason::Empty { what: "network" }.into());
        };
        let mut chain = Self::sequential([tensors.columns(&format!("{first}.weight"))?]);
        for (name, function) in layers {
            chain = chain.dense_from(&tensors, name)?;
            if let Some(function) = function {
                chain = chain.function(function.clone());
            }
        }
        chain.build()
    }
}

impl Sequential {
    /// Any layer: what a function of builder and value gives.
    pub fn with(
        mut self,
        layer: impl FnOnce(&mut NetworkBuilder, Value) -> Result<Value, Error>,
    ) -> Self {
        self.value = self.value.and_then(|x| layer(&mut self.builder, x));
        self
    }

    /// `W·x + b`: `weight` is `[outputs, inputs]`, `bias` `[outputs]`. A value of several axes is read as
    /// one vector.
    pub fn dense<'a>(
        self,
        weight: impl Into<CowArray<'a, f32, Ix2>>,
        bias: impl Into<CowArray<'a, f32, Ix1>>,
    ) -> Self {
        let (weight, bias) = (weight.into(), bias.into());
        self.with(|builder, x| {
            let len = builder.shape(x).iter().product();
            let x = builder.reshape(x, &[len])?;
            builder.dense(x, weight.view(), Some(bias.view()))
        })
    }

    /// A dense layer of the tensors `{name}.weight` and `{name}.bias`.
    ///
    /// # Errors
    /// If a tensor is missing, or has another number of dimensions or element type.
    pub fn dense_from(self, tensors: &Tensors, name: &str) -> Result<Self, Error> {
        let weight = tensors.matrix(&format!("{name}.weight"))?;
        let bias = tensors.vector(&format!("{name}.bias"))?;
        Ok(self.dense(weight, bias))
    }

    /// A convolution: [`NetworkBuilder::conv`].
    pub fn conv<'a>(
        self,
        weight: impl Into<ArrayViewD<'a, f32>>,
        bias: impl Into<CowArray<'a, f32, Ix1>>,
        conv: &Conv,
    ) -> Self {
        let (weight, bias) = (weight.into(), bias.into());
        self.with(|builder, x| builder.conv(x, weight, Some(bias.view()), conv))
    }

    /// [`NetworkBuilder::max_pool`].
    pub fn max_pool(self, pool: &Pool) -> Self {
        self.with(|builder, x| builder.max_pool(x, pool))
    }

    /// `max(x, 0)`.
    pub fn relu(self) -> Self {
        self.function(Function::Relu)
    }

    /// `1 / (1 + e^(-x))`.
    pub fn sigmoid(self) -> Self {
        self.function(Function::Sigmoid)
    }

    /// The hyperbolic tangent.
    pub fn tanh(self) -> Self {
        self.function(Function::Tanh)
    }

    /// Any function of every entry.
    pub fn function(self, function: Function) -> Self {
        self.with(|builder, x| builder.function(x, function))
    }

    /// [`NetworkBuilder::rnn`].
    pub fn rnn(self, weights: &RecurrentWeights, activation: RnnActivation) -> Self {
        self.with(|builder, x| builder.rnn(x, weights, activation))
    }

    /// [`NetworkBuilder::gru`].
    pub fn gru(self, weights: &RecurrentWeights, reset: GruReset) -> Self {
        self.with(|builder, x| builder.gru(x, weights, reset))
    }

    /// [`NetworkBuilder::lstm`].
    pub fn lstm(self, weights: &RecurrentWeights) -> Self {
        self.with(|builder, x| builder.lstm(x, weights))
    }

    /// The network, with an output for every frame.
    ///
    /// # Errors
    /// The first layer that did not fit; as [`NetworkBuilder::build`].
    pub fn build(self) -> Result<Network, Error> {
        self.builder.build(self.value?)
    }

    /// The network, with an output after the last frame only.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn build_last(self) -> Result<Network, Error> {
        self.builder.build_last(self.value?)
    }
}
