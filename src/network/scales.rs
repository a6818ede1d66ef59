//! The real values that integers of a frame and of an output stand for.

use ndarray::{Array1, ArrayView1};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Reason},
    program::VectorShape,
};

/// Scales at the two ends of a network: an input or output is an integer times its scale.
///
/// They are no part of a proof, which is about integers; whoever wants to read an output as a real
/// number needs them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scales {
    /// Real value of one unit of an input.
    pub input: f64,
    /// Real value of one unit of an output.
    pub output: f64,
    /// Number of inputs.
    pub(super) inputs: usize,
    /// Width of an input entry.
    pub(super) width: u8,
}

impl Scales {
    /// The scales of a network with frames of this shape.
    pub(crate) fn new(input: f64, output: f64, frame: VectorShape) -> Result<Self, Error> {
        if ![input, output].iter().all(|s| s.is_finite() && *s > 0.0) {
            return Err(Error::usage("a scale must be a positive number"));
        }
        Ok(Self {
            input,
            output,
            inputs: frame.len as usize,
            width: frame.width,
        })
    }

    /// An input as integers: rounded to the nearest (halves away from zero), and saturated at the
    /// ends of the activation width.
    ///
    /// # Errors
    /// If the input has the wrong length or an entry that is not finite.
    pub fn quantize_input(&self, input: ArrayView1<'_, f32>) -> Result<Vec<i64>, Error> {
        if input.len() != self.inputs {
            return Err(Reason::Shape {
                what: "length of the input",
                expected: self.inputs,
                got: input.len(),
            }
            .into());
        }
        if let Some(index) = input.iter().position(|x| !x.is_finite()) {
            return Err(Reason::NotFinite {
                what: "input",
                index,
            }
            .into());
        }
        let (least, most) = self.input_range();
        #[expect(clippy::cast_possible_truncation, reason = "clamped")]
        let integers = input
            .iter()
            .map(|x| self.input_unit(*x).clamp(least, most) as i64)
            .collect();
        Ok(integers)
    }

    /// The nearest integer of an input entry, before saturation.
    fn input_unit(&self, x: f32) -> f64 {
        (f64::from(x) / self.input).round()
    }

    fn input_range(&self) -> (f64, f64) {
        let half = f64::from(self.width - 1).exp2();
        (-half, half - 1.0)
    }

    /// Entries of an input that saturation changes.
    pub(crate) fn saturated_entries(&self, input: ArrayView1<'_, f32>) -> usize {
        let (least, most) = self.input_range();
        let outside = |x: &&f32| !(least..=most).contains(&self.input_unit(**x));
        input.iter().filter(outside).count()
    }

    /// The least integer output whose real value is at least `value`: the threshold of a claim.
    ///
    /// # Errors
    /// If it is not a number of the outputs' size.
    pub fn threshold(&self, value: f64) -> Result<i64, Error> {
        let units = (value / self.output).ceil();
        if units.abs() < 2f64.powi(39) {
            #[expect(clippy::cast_possible_truncation, reason = "bounded")]
            return Ok(units as i64);
        }
        Err(Error::usage(
            "the threshold is not a number of the outputs' size",
        ))
    }

    /// An output as real values.
    #[must_use]
    pub fn dequantize_output(&self, output: &[i64]) -> Array1<f32> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "rounded to single precision"
        )]
        let values = output
            .iter()
            .map(|y| (*y as f64 * self.output) as f32)
            .collect();
        values
    }
}
