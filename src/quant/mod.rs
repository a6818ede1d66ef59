//! Quantisation: from a float model to integers.
//!
//! # Scheme
//!
//! A real value is an integer times a scale; zero is zero (symmetric quantisation). With `w` bits
//! per activation, layer `l` computes
//!
//! ```text
//! y = b_int + W_int·x_int                             exact, in an accumulator of B bits
//! q = clamp(⌊(y + 2^(s-1)) / 2^s⌋, -2^(w-1), 2^(w-1) - 1)
//! W_int = round(W · (s_in / s_out) · 2^s)             16 bits
//! b_int = round(b / s_out · 2^s)
//! ```
//!
//! so one shift by `s` serves every layer: the ratio of the scales is in the weights, whose
//! precision costs nothing. `s_in` is the scale of the layer's inputs, `s_out` that of its
//! requantised sums.
//!
//! * The scale of the inputs, and of the results of layers without a table, is the largest
//!   absolute value seen in calibration divided by `2^(w-1) - 1`; 1 if that is zero.
//! * Layers with a table have standard scales, so that the table is the same for every model:
//!   sigmoid 1/16 in and 1/128 out, tanh 1/32 and 1/128, others by the ranges given to them.
//! * If a weight would leave 16 bits, or a sum could leave the accumulator for *any* inputs of
//!   their width (`|b_int| + Σ|W_int|·2^(w-1)` over `2^(B-1) - 2^(s-1) - 1`), the layer's `s_out`
//!   is enlarged until neither can happen. [`QuantizationReport`] says so. A standard scale is
//!   not enlarged; that is an error.
//! * A last layer without activation is not requantised: its output is the exact sum `y`, one
//!   unit of which is `s_out / 2^s`.
//!
//! `w`, `s` and `B` depend on the shape alone (see [`Precision`]), so one set of keys serves every
//! model of a shape.

mod calibration;
mod drift;
mod fit;
mod precision;
mod quantized;
mod report;
mod scales;
mod scheme;
mod sequence;
mod table;

pub use calibration::Samples;
pub use drift::{CellDrift, Deviation, DriftPoint, DriftReport};
pub use precision::Precision;
pub use quantized::QuantizedModel;
pub use report::{Accuracy, LayerReport, QuantizationReport};
pub use scales::Scales;
pub use sequence::{QuantizedSequence, SequenceSamples};

pub(crate) use calibration::check as check_samples;
pub(crate) use precision::standard_shift;
pub(crate) use report::{count_right, top1};

use crate::{
    error::Error, model::Model, network::Quantized as QuantizedNetwork, program::NetworkShape,
    weights::WeightBank,
};

mod sealed {
    pub trait Sealed {}
}

/// A model on integers that a [`Prover`](crate::Prover) can commit to.
pub trait Quantized: sealed::Sealed {
    /// The integer weights.
    fn bank(&self) -> &WeightBank;

    /// The scales at both ends.
    fn end_scales(&self) -> Scales;
}

impl sealed::Sealed for QuantizedModel {}

impl Quantized for QuantizedModel {
    fn bank(&self) -> &WeightBank {
        self.bank()
    }

    fn end_scales(&self) -> Scales {
        self.end_scales()
    }
}

impl sealed::Sealed for QuantizedSequence {}

impl Quantized for QuantizedSequence {
    fn bank(&self) -> &WeightBank {
        self.bank()
    }

    fn end_scales(&self) -> Scales {
        self.end_scales()
    }
}

impl sealed::Sealed for QuantizedNetwork {}

impl Quantized for QuantizedNetwork {
    fn bank(&self) -> &WeightBank {
        self.bank()
    }

    fn end_scales(&self) -> Scales {
        self.end_scales()
    }
}

impl Model {
    /// The integer shape of this model: what its program, and with it the keys, are made of. It
    /// depends on layer sizes, activations and precision, not on weights or calibration.
    ///
    /// # Errors
    /// If the precision is out of range, or a layer has a table and activations have not 8 bits.
    pub fn network_shape(&self, precision: Precision) -> Result<NetworkShape, Error> {
        scheme::shape(self, precision)
    }

    /// The model on integers, with scales that fit `calibration`: typical inputs, some tens to
    /// some hundreds.
    ///
    /// `calibration` is a matrix with one sample to a row, or a slice or vector of samples.
    ///
    /// # Errors
    /// If there is no calibration sample, or one has the wrong length or an entry that is not
    /// finite; as [`network_shape`](Self::network_shape); if a layer with a table does not fit
    /// the accumulator or 16-bit weights at its standard scale; if a layer fits its accumulator
    /// only with all weights rounded to zero.
    pub fn quantize<S: Samples + ?Sized>(
        &self,
        calibration: &S,
        precision: Precision,
    ) -> Result<QuantizedModel, Error> {
        scheme::quantize(self, calibration, precision)
    }
}
