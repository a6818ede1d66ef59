//! Inputs that scales are fitted to and reports are about.

use ndarray::{ArrayBase, ArrayView2, Axis, Data, Ix1, Ix2};

use super::Network;
use crate::error::{Error, Reason};

/// Inputs of a network: for one without state a matrix with one input to a row, or a slice, array or
/// vector of inputs; for one with state a slice, array or vector of sequences `[frames, inputs]`, which
/// need not have the same number of frames.
pub trait Samples {
    /// Number of samples.
    fn count(&self) -> usize;

    /// The frames of a sample of an index below [`count`](Self::count), `[frames, inputs]`.
    fn sample(&self, index: usize) -> ArrayView2<'_, f32>;
}

impl<S: Data<Elem = f32>> Samples for ArrayBase<S, Ix2> {
    fn count(&self) -> usize {
        self.nrows()
    }

    fn sample(&self, index: usize) -> ArrayView2<'_, f32> {
        self.row(index).insert_axis(Axis(0))
    }
}

macro_rules! lists {
    ($dimension:ty, $($axis:tt)*) => {
        impl<S: Data<Elem = f32>> Samples for [ArrayBase<S, $dimension>] {
            fn count(&self) -> usize {
                self.len()
            }

            fn sample(&self, index: usize) -> ArrayView2<'_, f32> {
                self[index].view()$($axis)*
            }
        }

        impl<S: Data<Elem = f32>, const N: usize> Samples for [ArrayBase<S, $dimension>; N] {
            fn count(&self) -> usize {
                N
            }

            fn sample(&self, index: usize) -> ArrayView2<'_, f32> {
                self.as_slice().sample(index)
            }
        }

        impl<S: Data<Elem = f32>> Samples for Vec<ArrayBase<S, $dimension>> {
            fn count(&self) -> usize {
                self.len()
            }

            fn sample(&self, index: usize) -> ArrayView2<'_, f32> {
                self.as_slice().sample(index)
            }
        }
    };
}

lists!(Ix1, .insert_axis(Axis(0)));
lists!(Ix2,);

/// Checks that there are samples, and that each is one of this network.
pub(super) fn check<S: Samples + ?Sized>(network: &Network, samples: &S) -> Result<(), Error> {
    if samples.count() == 0 {
        return Err(Reason::Empty {
            what: "set of samples",
        }
        .into());
    }
    let mut longest = 0;
    for index in 0..samples.count() {
        let sample = samples.sample(index);
        if sample.nrows() == 0 {
            return Err(Reason::Empty {
                what: "a sequence of the set of samples",
            }
            .into());
        }
        if sample.ncols() != network.input_len() {
            return Err(Reason::Shape {
                what: "length of a sample",
                expected: network.input_len(),
                got: sample.ncols(),
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
        longest = longest.max(sample.nrows());
    }
    if network.has_state() && longest == 1 && samples.count() > 1 {
        return Err(Error::usage(
            "a network with state needs sequences of more than one frame: a list of matrices [frames, inputs]",
        ));
    }
    Ok(())
}
