//! Networks on floats, and on integers.
//!
//! A [`NetworkBuilder`] takes operations on values: convolutions, residual sums, pooling, products,
//! functions, and *states*, which one frame leaves to the next; recurrent layers are made of these.
//! [`Network::sequential`] is short for chains. [`Network::quantize`] makes a [`Quantized`] network of
//! integers, whose program is what a proof is about, and [`Quantized::report`] says how far it is from the
//! floats.
//!
//! A value is kept as an affine form of what was computed before, `Σ_b A_b·r_b + c`, over the input, the
//! states and the results of functions, with sparse matrices `A_b`, and products of entries of registers
//! with such forms. Everything that is linear composes matrices, exactly. Only a function, a maximum, a state
//! or a product that is read by more than a sum needs the value itself, as integers: a *stage*.
//!
//! # Integers
//!
//! A register stands for `rest + unit·(q + steps)`, `q` its integers of `w` bits; forms become integer
//! maps in the units of what they read and what they are rounded to, with `s` more bits than that.
//!
//! | stage | integers |
//! |---|---|
//! | ReLU | `max(0, ⌊y / 2^s⌉)`; of a register, without rounding again |
//! | leaky ReLU, `abs` | `x` as a register, its ReLU, and a form of both |
//! | clip | saturation: the ends of the integers are the ends of the function |
//! | other functions, 8 bits | a table of 256 values; units are powers of two |
//! | other functions, more bits | linear between 256 values, see [`Precision`] |
//! | products and sums of them | `⌊Σ k·a·b / 2^t⌉`, `a` registers, `b` registers or exact sums: rounded once |
//! | maximum | `b + max(0, a − b)`, all of one unit, exact |
//! | state | the integers of the value that it becomes; if products read it 16 bits, of which linear maps read the upper `w` |
//! | output | the exact sums; with more than 10 bits these, rounded to 16; or the result of a stage |
//!
//! A GRU is so `n = tanh[⌊(2^t·a_x + r·a_h) / 2^(s+t)⌉]` and `h' = ⌊(2^12·n + z·h − z·n) / 2^12⌉`, with
//! `r`, `z` of 13 bits, `n` and `h` of 16.
//!
//! Scales come from the largest values seen in calibration, those of bounded states from their bounds; they
//! are enlarged where a sum could leave its accumulator for any inputs, so that none ever does. With
//! [`Precision::standard`] all that is public follows from the shape.
//!
//! # Kernels
//!
//! Convolutions, poolings and layers of every token are small maps at many positions, and so are their
//! compositions, with residual sums, batch norms, joined channels and parts of a value. Where every matrix of a
//! form is such a kernel, with what is added to it the same at every position, the program has the kernels, under a
//! [`Window`](crate::program::Window) each: each weight is committed to once. Elsewhere it has the composed
//! matrices, whose entries are weights repeated: where constants are not the same at the borders (a shift before
//! a convolution with padding), a value is read beyond an end whose integer 0 does not stand for 0, or a maximum has
//! padding. The integers are the same.
//!
//! ```
//! use layerfold::network::{Conv, Function, NetworkBuilder, Pool};
//! use ndarray::{Array, arr1};
//!
//! let mut g = NetworkBuilder::new([1, 6, 6]);
//! let x = g.input();
//! let kernel = Array::from_elem(vec![2, 1, 3, 3], 0.1);
//! let y = g.conv(x, kernel.view(), Some(arr1(&[0.0, 0.5]).view()), &Conv::default())?;
//! let y = g.function(y, Function::Relu)?;
//! let y = g.max_pool(y, &Pool::tiles([2, 2]))?;
//! assert_eq!(g.shape(y), [2, 2, 2]);
//! let y = g.reshape(y, &[8])?;
//! let network = g.build(y)?;
//! let output = network.infer(Array::ones(36).view())?;
//! assert!((output[0] - 0.9).abs() < 1e-6 && (output[7] - 1.4).abs() < 1e-6);
//! # Ok::<(), layerfold::Error>(())
//! ```

mod builder;
mod bytes;
mod calibration;
mod compose;
mod composed;
mod float;
mod form;
mod function;
mod kernel;
mod lower;
mod matrix;
mod node;
mod precision;
mod quantized;
mod recurrent;
mod report;
mod samples;
mod scales;
mod sequential;
mod shape;
mod tensors;
mod weights;
mod window;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;

pub use builder::{NetworkBuilder, Value};
pub use form::{FillIn, Network};
pub use function::Function;
pub use matrix::SparseMatrix;
pub use precision::Precision;
pub use quantized::Quantized;
pub use recurrent::{GruReset, LSTM_MEMORY, RnnActivation};
pub use report::{Accuracy, Report, StageReport, StateError};
pub use samples::Samples;
pub use scales::Scales;
pub use sequential::Sequential;
pub use tensors::Tensors;
pub use weights::RecurrentWeights;
pub use window::{Conv, Pool};

use crate::error::{Error, Reason};

/// Arguments that do not fit.
pub(super) fn wrong(operation: &'static str, problem: impl Into<String>) -> Error {
    Reason::Network {
        operation,
        problem: problem.into(),
    }
    .into()
}

/// What is too large.
pub(super) fn limit(operation: &'static str, problem: impl Into<String>) -> Error {
    Reason::NetworkLimit {
        operation,
        problem: problem.into(),
    }
    .into()
}
