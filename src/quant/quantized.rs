//! A network on integers.

use std::fmt;

use ndarray::{Array1, ArrayView1};

use super::{Scales, fit::LayerScale};
use crate::{
    error::Error,
    program::{Claim, NetworkShape, Program, Registers, WeightBank},
};

/// A network on integers, with the scales that connect them to real values.
///
/// Secret material: `Debug` shows shape and scales of input and output only, and the weights are
/// zeroised on drop.
#[derive(Clone)]
pub struct QuantizedModel {
    shape: NetworkShape,
    bank: WeightBank,
    /// A whole inference in one step.
    program: Program,
    ends: Scales,
    /// Unknown if the model was handed in as integers.
    scales: Option<Vec<LayerScale>>,
}

impl QuantizedModel {
    /// A model that is integers from the start. An input or output is an integer times
    /// `input_scale` or `output_scale`; 1 if the integers are all that matters.
    ///
    /// # Errors
    /// If the shape has no program, the maps of the bank do not have its dimensions, a sum could
    /// leave its accumulator, or a scale is not a positive number.
    pub fn from_integers(
        shape: NetworkShape,
        bank: WeightBank,
        input_scale: f64,
        output_scale: f64,
    ) -> Result<Self, Error> {
        Self::new(shape, bank, input_scale, output_scale, None)
    }

    pub(super) fn new(
        shape: NetworkShape,
        bank: WeightBank,
        input_scale: f64,
        output_scale: f64,
        scales: Option<Vec<LayerScale>>,
    ) -> Result<Self, Error> {
        let program = shape.program()?;
        bank.check(&program)?;
        Ok(Self {
            shape,
            bank,
            ends: Scales::new(input_scale, output_scale, program.frame())?,
            program,
            scales,
        })
    }

    /// The integer shape: what the program is made of.
    #[must_use]
    pub fn shape(&self) -> &NetworkShape {
        &self.shape
    }

    /// The integer weights.
    #[must_use]
    pub fn bank(&self) -> &WeightBank {
        &self.bank
    }

    /// The program of the network.
    ///
    /// # Errors
    /// If it is too large.
    pub fn program(&self) -> Result<Program, Error> {
        self.program.validate()?;
        Ok(self.program.clone())
    }

    /// The program that shows a claim about the outputs instead of them.
    ///
    /// # Errors
    /// As [`Program::with_claim`].
    pub fn claim_program(&self, claim: Claim) -> Result<Program, Error> {
        Ok(self.program.with_claim(claim)?)
    }

    /// The least integer output whose real value is at least `value`: the threshold of a claim.
    ///
    /// # Errors
    /// If the value is not finite, or too large.
    pub fn threshold(&self, value: f64) -> Result<i64, Error> {
        let units = (value / self.ends.output).ceil();
        if units.abs() < 2f64.powi(39) {
            #[expect(clippy::cast_possible_truncation, reason = "bounded")]
            return Ok(units as i64);
        }
        Err(Error::usage(
            "the threshold is not a number of the outputs' size",
        ))
    }

    /// Real value of one unit of an input.
    #[must_use]
    pub fn input_scale(&self) -> f64 {
        self.ends.input
    }

    /// Real value of one unit of an output.
    #[must_use]
    pub fn output_scale(&self) -> f64 {
        self.ends.output
    }

    /// The scales at both ends.
    #[must_use]
    pub fn end_scales(&self) -> Scales {
        self.ends
    }

    /// An input as integers: rounded to the nearest (halves away from zero), and saturated at the
    /// ends of the activation width.
    ///
    /// # Errors
    /// If the input has the wrong length or an entry that is not finite.
    pub fn quantize_input(&self, input: ArrayView1<'_, f32>) -> Result<Vec<i64>, Error> {
        self.ends.quantize_input(input)
    }

    /// An output as real values.
    #[must_use]
    pub fn dequantize_output(&self, output: &[i64]) -> Array1<f32> {
        self.ends.dequantize_output(output)
    }

    /// The output for an input, through the integer interpreter: what a proof will say.
    ///
    /// # Errors
    /// As [`quantize_input`](Self::quantize_input).
    pub fn infer(&self, input: ArrayView1<'_, f32>) -> Result<Array1<f32>, Error> {
        let input = self.quantize_input(input)?;
        let output = self.program.run(&self.bank, &mut Vec::new(), &input)?;
        Ok(self.dequantize_output(&output))
    }

    /// The values of all registers of the whole-network program.
    pub(super) fn trace(&self, input: ArrayView1<'_, f32>) -> Result<Registers<Vec<i64>>, Error> {
        let input = self.quantize_input(input)?;
        self.program.registers_of(&self.bank, &[], &input)
    }

    /// The program of a whole inference in one step.
    pub(super) fn whole(&self) -> &Program {
        &self.program
    }

    pub(super) fn scales(&self) -> Option<&[LayerScale]> {
        self.scales.as_deref()
    }
}

impl fmt::Debug for QuantizedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuantizedModel")
            .field("layers", &self.shape.layers)
            .field("width", &self.shape.width)
            .field("bits", &self.shape.bits)
            .field("shift", &self.shape.shift)
            .field("input_scale", &self.ends.input)
            .field("output_scale", &self.ends.output)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use ndarray::arr1;

    use super::*;
    use crate::{
        error::ErrorKind,
        program::{Activation, AffineMap, LayerShape},
    };

    fn shape() -> NetworkShape {
        let layer = |inputs, outputs, activation| LayerShape {
            inputs,
            outputs,
            activation,
        };
        NetworkShape {
            reads: Vec::new(),
            layers: vec![
                layer(2, 2, Activation::Relu),
                layer(2, 1, Activation::Identity),
            ],
            tables: vec![],
            width: 8,
            bits: 16,
            shift: 2,
        }
    }

    fn bank(last_bias: i64) -> WeightBank {
        WeightBank::new(vec![
            AffineMap::new(2, vec![4, 0, 2, -2], vec![1, 0]).unwrap(),
            AffineMap::new(2, vec![3, -5], vec![last_bias]).unwrap(),
        ])
        .unwrap()
    }

    fn model() -> QuantizedModel {
        QuantizedModel::from_integers(shape(), bank(7), 0.5, 0.25).unwrap()
    }

    #[test]
    fn infers() {
        // x = (10, 3): hidden ((4·10 + 1 + 2) >> 2, (2·7 + 2) >> 2) = (10, 4); 3·10 - 5·4 + 7 = 17
        let y = model().infer(arr1(&[5.0, 1.5]).view()).unwrap();
        assert_eq!(y, arr1(&[4.25]));
    }

    #[test]
    fn inputs_round_away_from_zero_and_saturate() {
        let input = |a: f32, b: f32| model().quantize_input(arr1(&[a, b]).view()).unwrap();
        assert_eq!(input(0.25, -0.25), [1, -1]);
        assert_eq!(input(0.24, -0.24), [0, 0]);
        assert_eq!(input(63.5, -64.0), [127, -128]);
        assert_eq!(input(64.0, -64.5), [127, -128]);
        assert_eq!(input(f32::MAX, f32::MIN), [127, -128]);
    }

    #[test]
    fn inputs_are_checked() {
        for (input, message) in [
            (vec![1.0], "length of the input: expected 2, got 1"),
            (vec![1.0; 3], "length of the input: expected 2, got 3"),
            (
                vec![0.0, f32::NAN],
                "input is not a finite number (at index 1)",
            ),
            (
                vec![f32::INFINITY, 0.0],
                "input is not a finite number (at index 0)",
            ),
        ] {
            let error = model().infer(Array1::from_vec(input).view()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Input);
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn outputs() {
        assert_eq!(
            model().dequantize_output(&[-3, 0, 8]),
            arr1(&[-0.75, 0.0, 2.0])
        );
    }

    #[test]
    fn integers_must_be_consistent() {
        let error = |shape, bank, a, b| {
            QuantizedModel::from_integers(shape, bank, a, b)
                .map(|_| ())
                .unwrap_err()
        };
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            for (a, b) in [(bad, 1.0), (1.0, bad)] {
                let error = error(shape(), bank(0), a, b);
                assert_eq!(error.to_string(), "a scale must be a positive number");
            }
        }
        let mut other = shape();
        other.layers[1].outputs = 2;
        let e = error(other, bank(0), 1.0, 1.0);
        assert_eq!(e.to_string(), "rows of an affine map: expected 2, got 1");
        let mut other = shape();
        other.layers[1].inputs = 3;
        assert_eq!(
            error(other, bank(0), 1.0, 1.0).kind(),
            ErrorKind::Unsupported
        );
        let one = WeightBank::new(vec![bank(0).maps()[0].clone()]).unwrap();
        let e = error(shape(), one, 1.0, 1.0);
        assert_eq!(e.to_string(), "affine maps: expected 2, got 1");
        // (3 + 5)·128 = 1024 are left for the weights.
        let limit = (1 << 15) - 1;
        assert!(QuantizedModel::from_integers(shape(), bank(limit - 1024), 1.0, 1.0).is_ok());
        let e = error(shape(), bank(limit - 1023), 1.0, 1.0);
        assert_eq!(
            e.to_string(),
            "map 1: an output can reach 32765, its program allows 32764"
        );
    }

    #[test]
    fn debug_shows_no_weight() {
        let text = format!("{:?}", model());
        assert!(text.starts_with("QuantizedModel { layers: [LayerShape"));
        assert!(text.ends_with("input_scale: 0.5, output_scale: 0.25, .. }"));
        assert!(!text.contains("bank") && !text.contains("scales"));
    }
}
