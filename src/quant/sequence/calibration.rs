//! Ranges of a recurrent model's values over sample sequences.

use ndarray::{ArrayBase, ArrayView2, Data, Ix2};

use crate::{
    error::{Error, Reason},
    model::SequenceModel,
};

/// Sequences for a recurrent model: a slice, array or vector of matrices `[frames, inputs]`, which
/// need not have the same number of frames.
pub trait SequenceSamples {
    /// Number of sequences.
    fn count(&self) -> usize;

    /// The sequence of an index below [`count`](Self::count).
    fn sequence(&self, index: usize) -> ArrayView2<'_, f32>;
}

impl<S: Data<Elem = f32>> SequenceSamples for [ArrayBase<S, Ix2>] {
    fn count(&self) -> usize {
        self.len()
    }

    fn sequence(&self, index: usize) -> ArrayView2<'_, f32> {
        self[index].view()
    }
}

impl<S: Data<Elem = f32>, const N: usize> SequenceSamples for [ArrayBase<S, Ix2>; N] {
    fn count(&self) -> usize {
        N
    }

    fn sequence(&self, index: usize) -> ArrayView2<'_, f32> {
        self[index].view()
    }
}

impl<S: Data<Elem = f32>> SequenceSamples for Vec<ArrayBase<S, Ix2>> {
    fn count(&self) -> usize {
        self.len()
    }

    fn sequence(&self, index: usize) -> ArrayView2<'_, f32> {
        self[index].view()
    }
}

/// Largest absolute values over a set of sequences.
#[derive(Debug, PartialEq)]
pub(super) struct Ranges {
    pub(super) frame: f64,
    /// Of each cell's state `h`.
    pub(super) states: Vec<f64>,
    /// Of the sums of each head layer, after every frame.
    pub(super) sums: Vec<f64>,
    /// Of the results of each head layer, after the activation, after every frame.
    pub(super) results: Vec<f64>,
}

impl Ranges {
    pub(super) fn measure<S: SequenceSamples + ?Sized>(
        model: &SequenceModel,
        samples: &S,
    ) -> Result<Self, Error> {
        check(samples, model.input_len())?;
        let mut ranges = Self {
            frame: 0.0,
            states: vec![0.0; model.cells().len()],
            sums: vec![0.0; model.head().len()],
            results: vec![0.0; model.head().len()],
        };
        for index in 0..samples.count() {
            let mut state = model.start();
            for frame in samples.sequence(index).rows() {
                ranges.frame = frame
                    .iter()
                    .fold(ranges.frame, |m, x| m.max(f64::from(x.abs())));
                model.forward(&mut state, frame, |layer, sums, results| {
                    ranges.sums[layer] = largest(ranges.sums[layer], sums);
                    ranges.results[layer] = largest(ranges.results[layer], results);
                })?;
                for (cell, range) in ranges.states.iter_mut().enumerate() {
                    *range = largest(*range, state.hidden(cell));
                }
            }
        }
        Ok(ranges)
    }
}

/// Checks that there are sequences, and that each is one for a model of `inputs` inputs.
fn check<S: SequenceSamples + ?Sized>(samples: &S, inputs: usize) -> Result<(), Error> {
    if samples.count() == 0 {
        return Err(Reason::Empty {
            what: "set of sequences",
        }
        .into());
    }
    for index in 0..samples.count() {
        let sequence = samples.sequence(index);
        if sequence.nrows() == 0 {
            return Err(Reason::Empty {
                what: "a sequence of the set",
            }
            .into());
        }
        if sequence.ncols() != inputs {
            return Err(Reason::Shape {
                what: "entries of a frame",
                expected: inputs,
                got: sequence.ncols(),
            }
            .into());
        }
        if sequence.iter().any(|x| !x.is_finite()) {
            return Err(Reason::NotFinite {
                what: "an entry of a sequence",
                index,
            }
            .into());
        }
    }
    Ok(())
}

fn largest(so_far: f64, values: &[f64]) -> f64 {
    values.iter().fold(so_far, |m, v| m.max(v.abs()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use ndarray::{Array2, arr1, arr2};

    use super::*;
    use crate::{RecurrentWeights, RnnActivation, error::ErrorKind};

    /// The sum of all inputs so far, if it is positive, and `1` minus it.
    fn model() -> SequenceModel {
        let weights = RecurrentWeights {
            input: arr2(&[[1.0, 1.0]]),
            hidden: arr2(&[[1.0]]),
            input_bias: arr1(&[0.0]),
            hidden_bias: arr1(&[0.0]),
        };
        SequenceModel::builder(2)
            .rnn(weights, RnnActivation::Relu)
            .dense(arr2(&[[-1.0]]), arr1(&[1.0]))
            .relu()
            .build()
            .unwrap()
    }

    #[test]
    fn ranges_of_all_frames() {
        let samples = vec![
            arr2(&[[1.0, 2.0], [3.0, 1.0], [-5.0, 0.0]]),
            arr2(&[[-9.0, 2.0]]),
        ];
        let expected = Ranges {
            frame: 9.0,
            states: vec![7.0],
            sums: vec![6.0],
            results: vec![1.0],
        };
        assert_eq!(Ranges::measure(&model(), &samples).unwrap(), expected);
        assert_eq!(
            Ranges::measure(&model(), samples.as_slice()).unwrap(),
            expected
        );
        let views = [samples[0].view(), samples[1].view()];
        assert_eq!(Ranges::measure(&model(), &views).unwrap(), expected);
    }

    #[test]
    fn sequences_are_checked() {
        let fails = |samples: &[Array2<f32>], message| {
            let error = Ranges::measure(&model(), samples).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Input);
            assert_eq!(error.to_string(), message);
        };
        let good = Array2::zeros((2, 2));
        fails(&[], "set of sequences is empty");
        fails(
            &[good.clone(), Array2::zeros((0, 2))],
            "a sequence of the set is empty",
        );
        fails(
            &[good.clone(), Array2::zeros((2, 3))],
            "entries of a frame: expected 2, got 3",
        );
        fails(
            &[good, arr2(&[[0.0, f32::NAN]])],
            "an entry of a sequence is not a finite number (at index 1)",
        );
    }
}
