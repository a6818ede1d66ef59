//! Weights of a recurrent cell, in PyTorch's layout, and from ONNX's.

use std::fmt;

use ndarray::{Array1, Array2, Axis, CowArray, Dimension, Ix1, Ix2};
use zeroize::Zeroize;

use super::{Tensors, tensors};
use crate::error::{Error, Reason};

/// Weights of a recurrent cell in PyTorch's layout: the gates are stacked, `hidden` rows to each.
///
/// The order is `r, z, n` for a GRU and `i, f, g, o` for an LSTM; an Elman cell has one gate. What
/// is wrong with them is reported when a model is built.
///
/// Secret material: `Debug` shows shapes only, and the weights are zeroised on drop.
#[derive(Clone)]
pub struct RecurrentWeights {
    /// `weight_ih`, `[gates·hidden, inputs]`.
    pub input: Array2<f32>,
    /// `weight_hh`, `[gates·hidden, hidden]`.
    pub hidden: Array2<f32>,
    /// `bias_ih`, `[gates·hidden]`.
    pub input_bias: Array1<f32>,
    /// `bias_hh`, `[gates·hidden]`.
    pub hidden_bias: Array1<f32>,
}

impl RecurrentWeights {
    /// The weights of an ONNX `RNN` node for one direction: `W` `[hidden, inputs]`, `R`
    /// `[hidden, hidden]` and `B` `[2·hidden]`.
    ///
    /// # Errors
    /// If the tensors are empty or do not fit each other.
    pub fn from_onnx_rnn<'a, 'b, 'c>(
        w: impl Into<CowArray<'a, f32, Ix2>>,
        r: impl Into<CowArray<'b, f32, Ix2>>,
        b: impl Into<CowArray<'c, f32, Ix1>>,
    ) -> Result<Self, Error> {
        Self::reordered(w.into(), r.into(), b.into(), [0])
    }

    /// The weights of an ONNX `GRU` node for one direction, gates `z, r, h`: `W`
    /// `[3·hidden, inputs]`, `R` `[3·hidden, hidden]` and `B` `[6·hidden]`.
    ///
    /// They are for [`GruReset::After`](super::GruReset::After) if the node has
    /// `linear_before_reset = 1`, and for [`GruReset::Before`](super::GruReset::Before) if it is 0 or
    /// absent.
    ///
    /// # Errors
    /// If the tensors are empty or do not fit each other.
    pub fn from_onnx_gru<'a, 'b, 'c>(
        w: impl Into<CowArray<'a, f32, Ix2>>,
        r: impl Into<CowArray<'b, f32, Ix2>>,
        b: impl Into<CowArray<'c, f32, Ix1>>,
    ) -> Result<Self, Error> {
        Self::reordered(w.into(), r.into(), b.into(), [1, 0, 2])
    }

    /// The weights of an ONNX `LSTM` node for one direction, gates `i, o, f, c`: `W`
    /// `[4·hidden, inputs]`, `R` `[4·hidden, hidden]` and `B` `[8·hidden]`. The node must have no
    /// peepholes (`P`), no `clip` and `input_forget = 0`.
    ///
    /// # Errors
    /// If the tensors are empty or do not fit each other.
    pub fn from_onnx_lstm<'a, 'b, 'c>(
        w: impl Into<CowArray<'a, f32, Ix2>>,
        r: impl Into<CowArray<'b, f32, Ix2>>,
        b: impl Into<CowArray<'c, f32, Ix1>>,
    ) -> Result<Self, Error> {
        Self::reordered(w.into(), r.into(), b.into(), [0, 2, 3, 1])
    }

    /// `order[k]` is the place in ONNX's order of the gate that is `k`-th here.
    fn reordered<const GATES: usize>(
        w: CowArray<'_, f32, Ix2>,
        r: CowArray<'_, f32, Ix2>,
        b: CowArray<'_, f32, Ix1>,
        order: [usize; GATES],
    ) -> Result<Self, Error> {
        let hidden = r.ncols();
        if hidden == 0 {
            return Err(Reason::Empty {
                what: "ONNX tensor R",
            }
            .into());
        }
        for (what, expected, got) in [
            ("rows of the ONNX tensor W", GATES * hidden, w.nrows()),
            ("rows of the ONNX tensor R", GATES * hidden, r.nrows()),
            ("entries of the ONNX tensor B", 2 * GATES * hidden, b.len()),
        ] {
            if expected != got {
                return Err(Reason::Shape {
                    what,
                    expected,
                    got,
                }
                .into());
            }
        }
        let rows: Vec<usize> = order
            .iter()
            .flat_map(|gate| gate * hidden..(gate + 1) * hidden)
            .collect();
        let (of_input, of_hidden) = b.view().split_at(Axis(0), GATES * hidden);
        let weights = Self {
            input: w.select(Axis(0), &rows),
            hidden: r.select(Axis(0), &rows),
            input_bias: of_input.select(Axis(0), &rows),
            hidden_bias: of_hidden.select(Axis(0), &rows),
        };
        wipe(w);
        wipe(r);
        wipe(b);
        Ok(weights)
    }

    /// The weights of layer `layer` of a PyTorch `RNN`, `GRU` or `LSTM`: the tensors
    /// `{name}.weight_ih_l{layer}`, `weight_hh`, `bias_ih` and `bias_hh` likewise. Both biases may be
    /// absent (`bias=False`).
    ///
    /// # Errors
    /// If a tensor is missing, or has another number of dimensions or another element type than
    /// [`Tensors`] accepts; if the module is bidirectional or has a `proj_size`.
    pub fn from_tensors(tensors: &Tensors, name: &str, layer: usize) -> Result<Self, Error> {
        let full = |part: &str| format!("{name}.{part}_l{layer}");
        let (projection, reverse) = (full("weight_hr"), full("weight_ih") + "_reverse");
        if tensors.has(&reverse) {
            return Err(tensors::problem(
                &reverse,
                "the network is bidirectional: what runs over a stream knows no later frames",
            ));
        }
        if tensors.has(&projection) {
            return Err(tensors::problem(
                &projection,
                "the cell projects its state (`proj_size`), which is not supported",
            ));
        }
        let input = tensors.matrix(&full("weight_ih"))?;
        let hidden = tensors.matrix(&full("weight_hh"))?;
        let biases = [full("bias_ih"), full("bias_hh")];
        let [input_bias, hidden_bias] = if biases.iter().any(|b| tensors.has(b)) {
            [tensors.vector(&biases[0])?, tensors.vector(&biases[1])?]
        } else {
            [Array1::zeros(input.nrows()), Array1::zeros(hidden.nrows())]
        };
        Ok(Self {
            input,
            hidden,
            input_bias,
            hidden_bias,
        })
    }
}

impl RecurrentWeights {
    /// The weights of every layer of a PyTorch `RNN`, `GRU` or `LSTM`, from layer 0 to the last whose
    /// tensors are there.
    ///
    /// # Errors
    /// As [`from_tensors`](Self::from_tensors).
    pub fn layers_from_tensors(tensors: &Tensors, name: &str) -> Result<Vec<Self>, Error> {
        let mut layers = vec![Self::from_tensors(tensors, name, 0)?];
        while tensors.has(&format!("{name}.weight_ih_l{}", layers.len())) {
            layers.push(Self::from_tensors(tensors, name, layers.len())?);
        }
        Ok(layers)
    }
}

/// Zeroises what was handed over.
fn wipe<D: Dimension>(array: CowArray<'_, f32, D>) {
    if array.is_owned() {
        array.into_owned().iter_mut().for_each(Zeroize::zeroize);
    }
}

impl fmt::Debug for RecurrentWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "RecurrentWeights({:?}, {:?}, {}, {}, redacted)",
            self.input.dim(),
            self.hidden.dim(),
            self.input_bias.len(),
            self.hidden_bias.len()
        )
    }
}

impl Drop for RecurrentWeights {
    fn drop(&mut self) {
        self.input.iter_mut().for_each(Zeroize::zeroize);
        self.hidden.iter_mut().for_each(Zeroize::zeroize);
        self.input_bias.iter_mut().for_each(Zeroize::zeroize);
        self.hidden_bias.iter_mut().for_each(Zeroize::zeroize);
    }
}
