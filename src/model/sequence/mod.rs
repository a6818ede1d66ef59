//! Float models over sequences: recurrent cells, and dense layers on the state of the last.
//!
//! ```
//! use layerfold::{RecurrentWeights, SequenceModel};
//! use ndarray::{Array1, arr1, arr2};
//!
//! // A GRU of one unit, gates r, z, n, that moves towards tanh(2x), quickly when x is large.
//! let model = SequenceModel::builder(1)
//!     .gru(RecurrentWeights {
//!         input: arr2(&[[0.0], [-6.0], [2.0]]),
//!         hidden: arr2(&[[0.0], [0.0], [0.0]]),
//!         input_bias: arr1(&[0.0, 3.0, 0.0]),
//!         hidden_bias: Array1::zeros(3),
//!     })
//!     .dense(arr2(&[[1.0]]), arr1(&[0.0]))
//!     .build()?;
//! let y = model.infer(arr2(&[[0.0], [1.0], [0.0]]).view())?;
//! assert_eq!(y.dim(), (3, 1));
//! assert!(y[[1, 0]] > 0.9 && y[[2, 0]] > 0.8);
//! # Ok::<(), layerfold::Error>(())
//! ```

mod builder;
mod cell;
mod weights;

use std::fmt;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

pub use builder::SequenceBuilder;
pub use cell::{RecurrentCell, RecurrentFunction, RnnActivation};
pub use weights::RecurrentWeights;

use self::cell::CellState;
use super::{ActivationFunction, Layer, check_input, forward, output};
use crate::error::{Error, Reason};

/// A recurrent network on floats: stacked cells, and dense layers on the state of the last.
///
/// Secret material: `Debug` shows the shapes only, and the weights are zeroised on drop.
#[derive(Clone)]
pub struct SequenceModel {
    /// At least one; each has as many inputs as the state of the one before has entries.
    cells: Vec<RecurrentCell>,
    /// Possibly none.
    head: Vec<Layer>,
    last_output: bool,
}

impl SequenceModel {
    /// Starts a model of frames of `inputs` entries.
    pub fn builder(inputs: usize) -> SequenceBuilder {
        SequenceBuilder::new(inputs)
    }

    /// The cells, in order.
    #[must_use]
    pub fn cells(&self) -> &[RecurrentCell] {
        &self.cells
    }

    /// The dense layers after the last cell.
    #[must_use]
    pub fn head(&self) -> &[Layer] {
        &self.head
    }

    /// Whether only the output after the last frame counts.
    #[must_use]
    pub fn has_last_output_only(&self) -> bool {
        self.last_output
    }

    /// Entries of a frame.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.cells.first().map_or(0, RecurrentCell::inputs)
    }

    /// Length of an output.
    #[must_use]
    pub fn output_len(&self) -> usize {
        let cells = self.cells.last().map_or(0, RecurrentCell::hidden);
        self.head.last().map_or(cells, Layer::outputs)
    }

    /// Number of weights and biases.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        let cells: usize = self.cells.iter().map(|c| c.weights().count()).sum();
        let head: usize = self
            .head
            .iter()
            .map(|l| l.weight().len() + l.bias().len())
            .sum();
        cells + head
    }

    /// The state before the first frame: zero.
    #[must_use]
    pub fn start(&self) -> SequenceState {
        SequenceState {
            cells: self.cells.iter().map(RecurrentCell::start).collect(),
        }
    }

    /// The output after one more frame: the float reference that quantised models are compared
    /// with.
    ///
    /// Everything is in double precision, the output is rounded once. The state is left as it was
    /// if an error is returned.
    ///
    /// # Errors
    /// If the frame has the wrong length or an entry that is not finite, and if a value in between
    /// is not finite; if the state is that of a model of another shape.
    pub fn step(
        &self,
        state: &mut SequenceState,
        frame: ArrayView1<'_, f32>,
    ) -> Result<Array1<f32>, Error> {
        let mut next = state.clone();
        let y = self.forward(&mut next, frame, |_, _, _| {})?;
        let y = output(&y, self.cells.len() + self.head.len() - 1)?;
        *state = next;
        Ok(y)
    }

    /// The outputs for a sequence, `[frames, inputs]`, from the zero state on: `[frames, outputs]`,
    /// or `[1, outputs]` if only the last one counts.
    ///
    /// # Errors
    /// If there is no frame, and as [`step`](Self::step).
    pub fn infer(&self, sequence: ArrayView2<'_, f32>) -> Result<Array2<f32>, Error> {
        let mut state = self.start();
        over_frames(sequence, self.output_len(), self.last_output, |frame| {
            self.step(&mut state, frame)
        })
    }

    /// As [`step`](Self::step), in double precision; `observe` is given each head layer's index,
    /// its sums and its results. The state may be left in between if an error is returned.
    pub(crate) fn forward(
        &self,
        state: &mut SequenceState,
        frame: ArrayView1<'_, f32>,
        mut observe: impl FnMut(usize, &[f64], &[f64]),
    ) -> Result<Vec<f64>, Error> {
        check_input(frame, self.input_len())?;
        let fits = state.cells.len() == self.cells.len()
            && state.cells.iter().zip(&self.cells).all(|(state, cell)| {
                let start = cell.start();
                (state.hidden.len(), state.memory.len()) == (start.hidden.len(), start.memory.len())
            });
        if !fits {
            return Err(Error::usage(
                "the state is not one of this model: it has another shape",
            ));
        }
        let mut x: Vec<f64> = frame.iter().map(|x| f64::from(*x)).collect();
        for (index, (cell, state)) in self.cells.iter().zip(&mut state.cells).enumerate() {
            *state = cell.step(state, &x, index)?;
            x.clone_from(&state.hidden);
        }
        forward(&self.head, self.cells.len(), x, &mut observe)
    }
}

/// The outputs of `step` for the frames of a sequence, or only the last.
pub(crate) fn over_frames(
    sequence: ArrayView2<'_, f32>,
    outputs: usize,
    last_output: bool,
    mut step: impl FnMut(ArrayView1<'_, f32>) -> Result<Array1<f32>, Error>,
) -> Result<Array2<f32>, Error> {
    let frames = sequence.nrows();
    if frames == 0 {
        return Err(Reason::Empty { what: "sequence" }.into());
    }
    let rows = if last_output { 1 } else { frames };
    let mut y = Array2::zeros((rows, outputs));
    for (at, frame) in sequence.rows().into_iter().enumerate() {
        let at = if last_output { 0 } else { at };
        y.row_mut(at).assign(&step(frame)?);
    }
    Ok(y)
}

impl fmt::Debug for SequenceModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SequenceModel({}", self.input_len())?;
        for cell in &self.cells {
            write!(f, " → {} {}", cell.hidden(), cell.function().name())?;
        }
        for layer in &self.head {
            write!(f, " → {}", layer.outputs())?;
            if !matches!(layer.activation(), ActivationFunction::Identity) {
                write!(f, " {}", layer.activation().name())?;
            }
        }
        if self.last_output {
            f.write_str(", last output only")?;
        }
        f.write_str(", weights redacted)")
    }
}

/// The float state of a [`SequenceModel`] between two frames.
///
/// Secret material: `Debug` shows the lengths only, and the state is zeroised on drop.
#[derive(Clone)]
pub struct SequenceState {
    cells: Vec<CellState>,
}

impl SequenceState {
    /// The state `h` of a cell; empty if there is no cell of this index.
    #[must_use]
    pub fn hidden(&self, cell: usize) -> &[f64] {
        self.cells.get(cell).map_or(&[], |c| &c.hidden)
    }

    /// The memory `c` of an LSTM; empty if there is no cell of this index, or it is no LSTM.
    #[must_use]
    pub fn memory(&self, cell: usize) -> &[f64] {
        self.cells.get(cell).map_or(&[], |c| &c.memory)
    }
}

impl fmt::Debug for SequenceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lengths: Vec<usize> = self.cells.iter().map(|c| c.hidden.len()).collect();
        write!(f, "SequenceState({lengths:?}, redacted)")
    }
}

#[cfg(test)]
mod tests;
