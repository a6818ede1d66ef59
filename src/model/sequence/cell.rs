//! One recurrent cell on floats.

use std::fmt;

use zeroize::Zeroize;

use super::RecurrentWeights;
use crate::{
    error::Error,
    model::{ActivationFunction, affine, check_finite},
};

/// What an Elman cell applies to its sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RnnActivation {
    /// `max(x, 0)`.
    Relu,
    /// The hyperbolic tangent.
    Tanh,
}

/// How a recurrent cell computes its next state `h'` from its input `x` and its state `h`.
///
/// `σ` is the logistic function, `⊙` the product entry by entry; states are zero before the first
/// frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecurrentFunction {
    /// Elman's: `h' = act(W_ih x + b_ih + W_hh h + b_hh)`.
    Rnn(RnnActivation),
    /// PyTorch's GRU; ONNX's with `linear_before_reset = 1`:
    ///
    /// ```text
    /// r = σ(W_ir x + b_ir + W_hr h + b_hr)      z likewise
    /// n = tanh(W_in x + b_in + r ⊙ (W_hn h + b_hn))
    /// h' = (1 − z) ⊙ n + z ⊙ h
    /// ```
    Gru,
    /// ONNX's GRU with `linear_before_reset = 0`: as [`Gru`](Self::Gru), but
    /// `n = tanh(W_in x + b_in + W_hn (r ⊙ h) + b_hn)`.
    GruResetBefore,
    /// The LSTM without peepholes:
    ///
    /// ```text
    /// i = σ(W_ii x + b_ii + W_hi h + b_hi)      f, o likewise
    /// g = tanh(W_ig x + b_ig + W_hg h + b_hg)
    /// c' = f ⊙ c + i ⊙ g
    /// h' = o ⊙ tanh(c')
    /// ```
    Lstm,
}

impl RecurrentFunction {
    /// Number of gates: blocks of rows of the weights.
    #[must_use]
    pub fn gates(self) -> usize {
        match self {
            Self::Rnn(_) => 1,
            Self::Gru | Self::GruResetBefore => 3,
            Self::Lstm => 4,
        }
    }

    /// The name of the function.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rnn(RnnActivation::Relu) => "rnn relu",
            Self::Rnn(RnnActivation::Tanh) => "rnn tanh",
            Self::Gru => "gru",
            Self::GruResetBefore => "gru reset before",
            Self::Lstm => "lstm",
        }
    }
}

/// A recurrent cell.
///
/// Secret material: `Debug` shows the shape only, and the weights are zeroised on drop.
#[derive(Clone)]
pub struct RecurrentCell {
    pub(super) function: RecurrentFunction,
    /// Checked.
    pub(super) weights: RecurrentWeights,
}

impl RecurrentCell {
    /// How the next state is computed.
    #[must_use]
    pub fn function(&self) -> RecurrentFunction {
        self.function
    }

    /// Number of inputs.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.weights.input.ncols()
    }

    /// Length of the state `h`, which is what the next cell or layer is given.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.weights.hidden.ncols()
    }

    /// The weights.
    #[must_use]
    pub fn weights(&self) -> &RecurrentWeights {
        &self.weights
    }

    /// The state before the first frame.
    pub(super) fn start(&self) -> CellState {
        CellState {
            hidden: vec![0.0; self.hidden()],
            memory: match self.function {
                RecurrentFunction::Lstm => vec![0.0; self.hidden()],
                _ => Vec::new(),
            },
        }
    }

    /// The state after the input `x`; `index` is that of the cell, for errors.
    pub(super) fn step(
        &self,
        state: &CellState,
        x: &[f64],
        index: usize,
    ) -> Result<CellState, Error> {
        let n = self.hidden();
        let h = &state.hidden;
        let weights = &self.weights;
        let from_input = affine(weights.input_gates(0..self.function.gates()), x);
        // Sums of the first gates, which are linear in input and state.
        let sums = |gates: usize| {
            let from_state = affine(weights.hidden_gates(0..gates), h);
            Self::sums(&from_input[..gates * n], &from_state, index)
        };
        match self.function {
            RecurrentFunction::Rnn(activation) => {
                let mut hidden = sums(1)?;
                for h in &mut hidden {
                    *h = match activation {
                        RnnActivation::Relu => h.max(0.0),
                        RnnActivation::Tanh => h.tanh(),
                    };
                }
                Ok(CellState {
                    hidden,
                    memory: Vec::new(),
                })
            }
            RecurrentFunction::Gru | RecurrentFunction::GruResetBefore => {
                let gates: Vec<f64> = sums(2)?.into_iter().map(sigmoid).collect();
                let (r, z) = gates.split_at(n);
                let candidate = weights.hidden_gates(2..3);
                let from_state: Vec<f64> = if self.function == RecurrentFunction::Gru {
                    let sums = affine(candidate, h);
                    r.iter().zip(sums).map(|(r, y)| r * y).collect()
                } else {
                    let reset: Vec<f64> = r.iter().zip(h).map(|(r, h)| r * h).collect();
                    affine(candidate, &reset)
                };
                let sums = Self::sums(&from_input[2 * n..], &from_state, index)?;
                let hidden = (0..n)
                    .map(|j| (1.0 - z[j]) * sums[j].tanh() + z[j] * h[j])
                    .collect();
                Ok(CellState {
                    hidden,
                    memory: Vec::new(),
                })
            }
            RecurrentFunction::Lstm => {
                let sums = sums(4)?;
                let gate = |gate: usize, j: usize| sums[gate * n + j];
                let memory: Vec<f64> = (0..n)
                    .map(|j| {
                        let kept = sigmoid(gate(1, j)) * state.memory[j];
                        kept + sigmoid(gate(0, j)) * gate(2, j).tanh()
                    })
                    .collect();
                let hidden = (0..n)
                    .map(|j| sigmoid(gate(3, j)) * memory[j].tanh())
                    .collect();
                Ok(CellState { hidden, memory })
            }
        }
    }

    /// `a + b`; `index` is that of the cell.
    fn sums(a: &[f64], b: &[f64], index: usize) -> Result<Vec<f64>, Error> {
        let sums: Vec<f64> = a.iter().zip(b).map(|(a, b)| a + b).collect();
        check_finite(index, "a sum", &sums)?;
        Ok(sums)
    }
}

fn sigmoid(x: f64) -> f64 {
    ActivationFunction::Sigmoid.apply(x)
}

impl fmt::Debug for RecurrentCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "RecurrentCell({} → {} {}, weights redacted)",
            self.inputs(),
            self.hidden(),
            self.function.name()
        )
    }
}

/// The state of one cell; zeroised on drop.
#[derive(Clone)]
pub(super) struct CellState {
    /// `h`.
    pub(super) hidden: Vec<f64>,
    /// `c` of an LSTM, empty otherwise.
    pub(super) memory: Vec<f64>,
}

impl Drop for CellState {
    fn drop(&mut self) {
        self.hidden.zeroize();
        self.memory.zeroize();
    }
}
