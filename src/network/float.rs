//! Inference on floats: the reference that integers are compared with.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

use super::{Network, wrong};
use crate::{
    error::{Error, Reason},
    program::Emission,
};

impl Network {
    /// The output for one input, row-major. Sums and functions are in double precision, matrices and the
    /// output in single precision.
    ///
    /// # Errors
    /// If the network has state; if the input has the wrong length or an entry that is not finite; if
    /// a value in between is not finite.
    pub fn infer(&self, input: ArrayView1<'_, f32>) -> Result<Array1<f32>, Error> {
        if self.has_state() {
            return Err(Error::usage(
                "the network has state: `infer_sequence` runs it on frames",
            ));
        }
        rounded(self.frame(&mut Vec::new(), input)?)
    }

    /// The outputs for a sequence `[frames, inputs]`, from the initial state on: `[frames, outputs]`, or
    /// `[1, outputs]` if only the last one counts. Without state, each frame is an inference of its own.
    ///
    /// # Errors
    /// If there is no frame, frames have the wrong length or an entry that is not finite, or a value in
    /// between is not finite.
    pub fn infer_sequence(&self, sequence: ArrayView2<'_, f32>) -> Result<Array2<f32>, Error> {
        let mut state = self.start();
        over_frames(sequence, self.output_len(), self.emission, |frame| {
            rounded(self.frame(&mut state, frame)?)
        })
    }

    /// The states before the first frame.
    pub(super) fn start(&self) -> Vec<Vec<f64>> {
        self.states.iter().map(|s| s.initial.clone()).collect()
    }

    fn frame(
        &self,
        state: &mut Vec<Vec<f64>>,
        input: ArrayView1<'_, f32>,
    ) -> Result<Vec<f64>, Error> {
        let y = self.step(state, self.checked(input)?, |_, _, _| {})?;
        Ok(if self.argmax {
            vec![top1(y.iter()) as f64]
        } else {
            y
        })
    }

    /// An input in double precision.
    pub(super) fn checked(&self, input: ArrayView1<'_, f32>) -> Result<Vec<f64>, Error> {
        if input.len() != self.input_len() {
            return Err(Reason::Shape {
                what: "length of the input",
                expected: self.input_len(),
                got: input.len(),
            }
            .into());
        }
        match input.iter().position(|x| !x.is_finite()) {
            None => Ok(input.iter().map(|x| f64::from(*x)).collect()),
            Some(index) => Err(not_finite("input", index)),
        }
    }

    /// The sums of the output after one more frame; the states become those that it leaves. `observe` is
    /// given each stage's index, its arguments and its result, which it may change.
    pub(super) fn step(
        &self,
        state: &mut Vec<Vec<f64>>,
        input: Vec<f64>,
        mut observe: impl FnMut(usize, &[Vec<f64>], &mut [f64]),
    ) -> Result<Vec<f64>, Error> {
        self.step_with(state, input, |k, _, arguments, result| {
            observe(k, arguments, result);
        })
    }

    /// The same; `observe` is given all registers before the stage too.
    pub(super) fn step_with(
        &self,
        state: &mut Vec<Vec<f64>>,
        input: Vec<f64>,
        mut observe: impl FnMut(usize, &[Vec<f64>], &[Vec<f64>], &mut [f64]),
    ) -> Result<Vec<f64>, Error> {
        let mut registers = vec![input];
        registers.append(state);
        for (k, stage) in self.stages.iter().enumerate() {
            let arguments: Vec<Vec<f64>> = stage
                .arguments
                .iter()
                .map(|form| form.evaluate(&registers))
                .collect();
            let mut result = stage.kind.apply(&arguments);
            let values = arguments.iter().flatten().chain(&result);
            if values.into_iter().any(|v| !v.is_finite()) {
                return Err(wrong(
                    "inference",
                    format!("a value of stage {k} ({}) is not finite", stage.name()),
                ));
            }
            observe(k, &registers, &arguments, &mut result);
            registers.push(result);
        }
        let y = self.output.evaluate(&registers);
        state.extend(self.states.iter().map(|s| registers[s.next].clone()));
        Ok(y)
    }
}

/// The outputs of `step` for the frames of a sequence, or only the last.
pub(super) fn over_frames(
    sequence: ArrayView2<'_, f32>,
    outputs: usize,
    emission: Emission,
    mut step: impl FnMut(ArrayView1<'_, f32>) -> Result<Array1<f32>, Error>,
) -> Result<Array2<f32>, Error> {
    if sequence.nrows() == 0 {
        return Err(Reason::Empty { what: "sequence" }.into());
    }
    let rows = match emission {
        Emission::Each => sequence.nrows(),
        Emission::Last => 1,
    };
    let mut y = Array2::zeros((rows, outputs));
    for (at, frame) in sequence.rows().into_iter().enumerate() {
        y.row_mut(at.min(rows - 1)).assign(&step(frame)?);
    }
    Ok(y)
}

/// Index of the largest entry, of equal ones the first.
pub(super) fn top1<'a, T: PartialOrd + 'a>(values: impl Iterator<Item = &'a T>) -> usize {
    let mut best: Option<(usize, &T)> = None;
    for (index, value) in values.enumerate() {
        if best.is_none_or(|(_, most)| value > most) {
            best = Some((index, value));
        }
    }
    best.map_or(0, |(index, _)| index)
}

#[expect(clippy::cast_possible_truncation, reason = "the one rounding")]
fn rounded(y: Vec<f64>) -> Result<Array1<f32>, Error> {
    let y: Array1<f32> = y.iter().map(|y| *y as f32).collect();
    match y.iter().position(|y| !y.is_finite()) {
        None => Ok(y),
        Some(index) => Err(not_finite("an output", index)),
    }
}

fn not_finite(what: &'static str, index: usize) -> Error {
    Reason::NotFinite { what, index }.into()
}
