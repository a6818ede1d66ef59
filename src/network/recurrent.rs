//! Recurrent layers, made of states, sums, functions and products.

use ndarray::{Array1, Array2, ArrayD, Axis, Slice, concatenate};
use zeroize::Zeroizing;

use super::{Function, NetworkBuilder, RecurrentWeights, Value, matrix::MAX_LEN, wrong};
use crate::error::{Error, Reason};

/// The memory of an LSTM saturates at `±LSTM_MEMORY`.
pub const LSTM_MEMORY: f64 = 16.0;

/// What an Elman layer applies to its sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RnnActivation {
    /// `max(x, 0)`.
    Relu,
    /// The hyperbolic tangent.
    Tanh,
}

/// Where a GRU applies its reset gate `r`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GruReset {
    /// To the state, `W_hn (r ⊙ h) + b_hn`: ONNX's `linear_before_reset = 0`, its default, and the GRU of
    /// Cho et al., 2014.
    Before,
    /// To the product, `r ⊙ (W_hn h + b_hn)`: PyTorch's GRU, and ONNX's `linear_before_reset = 1`.
    After,
}

impl NetworkBuilder {
    /// A recurrent layer of Elman: `h' = act(W_ih x + b_ih + W_hh h + b_hh)`, the state `h` being zero
    /// before the first frame. `x` has any shape of as many entries as the weights have inputs; the
    /// result is the state after the frame, `[hidden]`.
    ///
    /// # Errors
    /// If the weights do not fit each other or `x`, are empty or not finite.
    pub fn rnn(
        &mut self,
        x: Value,
        weights: &RecurrentWeights,
        activation: RnnActivation,
    ) -> Result<Value, Error> {
        let zeros = ArrayD::zeros(vec![weights.hidden.ncols().max(1)]);
        let h = match activation {
            RnnActivation::Relu => self.state_from(zeros.view())?,
            RnnActivation::Tanh => self.state_within(zeros.view(), 1.0)?,
        };
        let next = self.rnn_step(x, h, weights, activation)?;
        self.carry(h, next)?;
        Ok(next)
    }

    /// A gated recurrent unit (Cho et al., 2014), `σ` being the logistic function and `⊙` the product
    /// entry by entry:
    ///
    /// ```text
    /// r = σ(W_ir x + b_ir + W_hr h + b_hr)      z likewise
    /// n = tanh(W_in x + b_in + r ⊙ (W_hn h + b_hn))     or as `reset` says
    /// h' = (1 − z) ⊙ n + z ⊙ h
    /// ```
    ///
    /// The result is the state after the frame, `[hidden]`.
    ///
    /// # Errors
    /// As [`rnn`](Self::rnn).
    pub fn gru(
        &mut self,
        x: Value,
        weights: &RecurrentWeights,
        reset: GruReset,
    ) -> Result<Value, Error> {
        let zeros = ArrayD::zeros(vec![weights.hidden.ncols().max(1)]);
        let h = self.state_within(zeros.view(), 1.0)?;
        let next = self.gru_step(x, h, weights, reset)?;
        self.carry(h, next)?;
        Ok(next)
    }

    /// Long short-term memory (Hochreiter and Schmidhuber, 1997) with a forget gate and no peepholes:
    ///
    /// ```text
    /// i = σ(W_ii x + b_ii + W_hi h + b_hi)      f, o likewise
    /// g = tanh(W_ig x + b_ig + W_hg h + b_hg)
    /// c' = f ⊙ c + i ⊙ g
    /// h' = o ⊙ tanh(c')
    /// ```
    ///
    /// The result is `h'`, `[hidden]`. On integers `c` saturates at [`±LSTM_MEMORY`](LSTM_MEMORY).
    ///
    /// # Errors
    /// As [`rnn`](Self::rnn).
    pub fn lstm(&mut self, x: Value, weights: &RecurrentWeights) -> Result<Value, Error> {
        let zeros = ArrayD::zeros(vec![weights.hidden.ncols().max(1)]);
        let h = self.state_within(zeros.view(), 1.0)?;
        let c = self.state_within(zeros.view(), LSTM_MEMORY)?;
        let (next, memory) = self.lstm_step(x, h, c, weights)?;
        self.carry(h, next)?;
        self.carry(c, memory)?;
        Ok(next)
    }

    /// One step of [`rnn`](Self::rnn) from a state `h` of any origin; gives the next.
    ///
    /// # Errors
    /// As [`rnn`](Self::rnn), and if `h` has another number of entries.
    pub fn rnn_step(
        &mut self,
        x: Value,
        h: Value,
        weights: &RecurrentWeights,
        activation: RnnActivation,
    ) -> Result<Value, Error> {
        let cell = Cell::new(self, "rnn", weights, 1, x, h)?;
        let sum = cell.sum(self, &[0])?;
        self.function(
            sum,
            match activation {
                RnnActivation::Relu => Function::Relu,
                RnnActivation::Tanh => Function::Tanh,
            },
        )
    }

    /// One step of [`gru`](Self::gru) from a state `h` of any origin; gives the next.
    ///
    /// # Errors
    /// As [`gru`](Self::gru), and if `h` has another number of entries.
    pub fn gru_step(
        &mut self,
        x: Value,
        h: Value,
        weights: &RecurrentWeights,
        reset: GruReset,
    ) -> Result<Value, Error> {
        let cell = Cell::new(self, "gru", weights, 3, x, h)?;
        let gates = cell.sum(self, &[0, 1])?;
        let gates = self.function(gates, Function::Sigmoid)?;
        let (r, z) = (cell.part(self, gates, 0)?, cell.part(self, gates, 1)?);
        let from_input = cell.of_input(self, &[2])?;
        let from_state = match reset {
            GruReset::After => {
                let from_state = cell.of_state(self, &[2], cell.h)?;
                self.mul(r, from_state)?
            }
            GruReset::Before => {
                let kept = self.mul(r, cell.h)?;
                cell.of_state(self, &[2], kept)?
            }
        };
        let n = self.add(from_input, from_state)?;
        let n = self.function(n, Function::Tanh)?;
        let change = self.sub(cell.h, n)?;
        let change = self.mul(z, change)?;
        self.add(n, change)
    }

    /// One step of [`lstm`](Self::lstm) from `h` and `c` of any origin; gives the next `h` and `c`.
    ///
    /// # Errors
    /// As [`lstm`](Self::lstm), and if `h` or `c` has another number of entries.
    pub fn lstm_step(
        &mut self,
        x: Value,
        h: Value,
        c: Value,
        weights: &RecurrentWeights,
    ) -> Result<(Value, Value), Error> {
        let cell = Cell::new(self, "lstm", weights, 4, x, h)?;
        let c = self.reshape(c, &[cell.hidden])?;
        let gates = cell.sum(self, &[0, 1, 3])?;
        let gates = self.function(gates, Function::Sigmoid)?;
        let g = cell.sum(self, &[2])?;
        let g = self.function(g, Function::Tanh)?;
        let [i, f, o] = [0, 1, 2].map(|k| cell.part(self, gates, k));
        let (kept, added) = (self.mul(f?, c)?, self.mul(i?, g)?);
        let memory = self.add(kept, added)?;
        let shown = self.function(memory, Function::Tanh)?;
        Ok((self.mul(o?, shown)?, memory))
    }
}

/// A recurrent layer's weights, checked, and what they are applied to.
struct Cell<'a> {
    weights: &'a RecurrentWeights,
    hidden: usize,
    x: Value,
    h: Value,
}

impl<'a> Cell<'a> {
    fn new(
        builder: &mut NetworkBuilder,
        operation: &'static str,
        weights: &'a RecurrentWeights,
        gates: usize,
        x: Value,
        h: Value,
    ) -> Result<Self, Error> {
        let hidden = weights.hidden.ncols();
        let (inputs, rows) = (weights.input.ncols(), hidden.saturating_mul(gates));
        if hidden == 0 || inputs == 0 || rows > MAX_LEN {
            return Err(wrong(
                operation,
                format!("weights of {hidden} units and {inputs} inputs"),
            ));
        }
        for (what, expected, got) in [
            (
                "rows of the recurrent weights",
                rows,
                weights.hidden.nrows(),
            ),
            ("rows of the input weights", rows, weights.input.nrows()),
            ("entries of the input bias", rows, weights.input_bias.len()),
            (
                "entries of the recurrent bias",
                rows,
                weights.hidden_bias.len(),
            ),
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
        Ok(Self {
            weights,
            hidden,
            x: builder.reshape(x, &[inputs])?,
            h: builder.reshape(h, &[hidden])?,
        })
    }

    /// The rows of these gates of a matrix.
    fn rows(&self, matrix: &Array2<f32>, gates: &[usize]) -> Zeroizing<Vec<f32>> {
        let rows = gates.iter().flat_map(|g| {
            matrix
                .slice_axis(Axis(0), self.range(*g))
                .into_iter()
                .copied()
        });
        Zeroizing::new(rows.collect())
    }

    fn range(&self, gate: usize) -> Slice {
        Slice::from(gate * self.hidden..(gate + 1) * self.hidden)
    }

    fn affine(
        &self,
        builder: &mut NetworkBuilder,
        value: Value,
        (matrix, bias): (&Array2<f32>, &Array1<f32>),
        gates: &[usize],
    ) -> Result<Value, Error> {
        let rows = self.rows(matrix, gates);
        let shape = (gates.len() * self.hidden, matrix.ncols());
        let weight = ndarray::ArrayView2::from_shape(shape, &rows)
            .map_err(|e| wrong("recurrent layer", e.to_string()))?;
        let parts: Vec<_> = gates
            .iter()
            .map(|g| bias.slice_axis(Axis(0), self.range(*g)))
            .collect();
        let bias =
            concatenate(Axis(0), &parts).map_err(|e| wrong("recurrent layer", e.to_string()))?;
        builder.dense(value, weight, Some(bias.view()))
    }

    fn of_input(&self, builder: &mut NetworkBuilder, gates: &[usize]) -> Result<Value, Error> {
        let weights = (&self.weights.input, &self.weights.input_bias);
        self.affine(builder, self.x, weights, gates)
    }

    fn of_state(
        &self,
        builder: &mut NetworkBuilder,
        gates: &[usize],
        h: Value,
    ) -> Result<Value, Error> {
        let weights = (&self.weights.hidden, &self.weights.hidden_bias);
        self.affine(builder, h, weights, gates)
    }

    /// The sums of these gates.
    fn sum(&self, builder: &mut NetworkBuilder, gates: &[usize]) -> Result<Value, Error> {
        let (a, b) = (
            self.of_input(builder, gates)?,
            self.of_state(builder, gates, self.h)?,
        );
        builder.add(a, b)
    }

    /// The values of one of several gates.
    fn part(&self, builder: &mut NetworkBuilder, gates: Value, k: usize) -> Result<Value, Error> {
        let at = |k: usize| i64::try_from(k * self.hidden).unwrap_or(i64::MAX);
        builder.slice(gates, 0, at(k), at(k + 1), 1)
    }
}
