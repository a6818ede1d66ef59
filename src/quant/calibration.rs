//! Ranges of a model's values over sample inputs.

use ndarray::{ArrayBase, ArrayView1, Data, Ix1, Ix2};

use crate::{
    error::{Error, Reason},
    model::Model,
};

/// Inputs of a model: a matrix with one sample to a row, or a slice, array or vector of samples.
pub trait Samples {
    /// Number of samples.
    fn count(&self) -> usize;

    /// The sample of an index below [`count`](Self::count).
    fn sample(&self, index: usize) -> ArrayView1<'_, f32>;
}

impl<S: Data<Elem = f32>> Samples for ArrayBase<S, Ix2> {
    fn count(&self) -> usize {
        self.nrows()
    }

    fn sample(&self, index: usize) -> ArrayView1<'_, f32> {
        self.row(index)
    }
}

impl<S: Data<Elem = f32>> Samples for [ArrayBase<S, Ix1>] {
    fn count(&self) -> usize {
        self.len()
    }

    fn sample(&self, index: usize) -> ArrayView1<'_, f32> {
        self[index].view()
    }
}

impl<S: Data<Elem = f32>, const N: usize> Samples for [ArrayBase<S, Ix1>; N] {
    fn count(&self) -> usize {
        N
    }

    fn sample(&self, index: usize) -> ArrayView1<'_, f32> {
        self[index].view()
    }
}

impl<S: Data<Elem = f32>> Samples for Vec<ArrayBase<S, Ix1>> {
    fn count(&self) -> usize {
        self.len()
    }

    fn sample(&self, index: usize) -> ArrayView1<'_, f32> {
        self[index].view()
    }
}

/// Checks that there are samples, and that each is an input of a model of `inputs` inputs.
pub(crate) fn check<S: Samples + ?Sized>(samples: &S, inputs: usize) -> Result<(), Error> {
    if samples.count() == 0 {
        return Err(Reason::Empty {
            what: "set of samples",
        }
        .into());
    }
    for index in 0..samples.count() {
        let sample = samples.sample(index);
        if sample.len() != inputs {
            return Err(Reason::Shape {
                what: "length of a sample",
                expected: inputs,
                got: sample.len(),
            }
            .into());
        }
        if sample.iter().any(|x| !x.is_finite()) {
            return Err(Reason::NotFinite {
                what: "an entry of a sample",
                index,
            }
            .into());
        }
    }
    Ok(())
}

/// Largest absolute values over a set of samples.
#[derive(Debug, PartialEq)]
pub(super) struct Ranges {
    pub(super) input: f64,
    /// Of each layer's sums.
    pub(super) sums: Vec<f64>,
    /// Of each layer's results, after the activation.
    pub(super) results: Vec<f64>,
}

impl Ranges {
    pub(super) fn measure<S: Samples + ?Sized>(model: &Model, samples: &S) -> Result<Self, Error> {
        check(samples, model.input_len())?;
        let layers = model.layers().len();
        let mut ranges = Self {
            input: 0.0,
            sums: vec![0.0; layers],
            results: vec![0.0; layers],
        };
        for index in 0..samples.count() {
            let sample = samples.sample(index);
            ranges.input = sample
                .iter()
                .fold(ranges.input, |m, x| m.max(f64::from(x.abs())));
            model.forward(sample, |layer, sums, results| {
                ranges.sums[layer] = largest(ranges.sums[layer], sums);
                ranges.results[layer] = largest(ranges.results[layer], results);
            })?;
        }
        Ok(ranges)
    }
}

fn largest(so_far: f64, values: &[f64]) -> f64 {
    values.iter().fold(so_far, |m, v| m.max(v.abs()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use ndarray::{Array1, Array2, arr1, arr2};

    use super::*;
    use crate::error::ErrorKind;

    fn model() -> Model {
        Model::builder([2])
            .dense(arr2(&[[1.0, 1.0], [-1.0, 0.0]]), arr1(&[0.0, 1.0]))
            .relu()
            .dense(arr2(&[[-1.0, -1.0]]), arr1(&[0.0]))
            .build()
            .unwrap()
    }

    #[test]
    fn ranges() {
        let samples = arr2(&[[1.0, -5.0], [3.0, -1.0]]);
        let expected = Ranges {
            input: 5.0,
            sums: vec![4.0, 2.0],
            results: vec![2.0, 2.0],
        };
        assert_eq!(Ranges::measure(&model(), &samples).unwrap(), expected);
        let rows: Vec<Array1<f32>> = samples.rows().into_iter().map(|r| r.to_owned()).collect();
        assert_eq!(Ranges::measure(&model(), &rows).unwrap(), expected);
        assert_eq!(
            Ranges::measure(&model(), rows.as_slice()).unwrap(),
            expected
        );
        let array = [samples.row(0), samples.row(1)];
        assert_eq!(Ranges::measure(&model(), &array).unwrap(), expected);
    }

    #[test]
    fn samples_are_checked() {
        let fails = |samples: Array2<f32>, message| {
            let error = Ranges::measure(&model(), &samples).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Input);
            assert_eq!(error.to_string(), message);
        };
        fails(Array2::zeros((0, 2)), "set of samples is empty");
        fails(
            Array2::zeros((2, 3)),
            "length of a sample: expected 2, got 3",
        );
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            fails(
                arr2(&[[0.0, 0.0], [1.0, bad]]),
                "an entry of a sample is not a finite number (at index 1)",
            );
        }
        let ragged = [arr1(&[0.0, 0.0]), arr1(&[0.0])];
        assert!(Ranges::measure(&model(), &ragged).is_err());
    }
}
