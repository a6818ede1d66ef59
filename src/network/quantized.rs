//! A network on integers.

use std::fmt;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

use super::{
    Network, Precision, Samples, Scales,
    calibration::Ranges,
    float::over_frames,
    lower::{Encoding, Grid, Lowered, Lowering, SumsReport, lower},
};
use crate::{
    error::Error,
    program::{Program, WeightBank, interpreter::Interpreter},
};

/// Widths that values are given one after the other to reach a target error.
const WIDTHS: [u8; 5] = [8, 10, 12, 14, 16];
/// Samples on which the part of each value in the error is measured, and frames of these.
const PROBES: (usize, usize) = (8, 32);

/// A network on integers, with the scales that connect them to real values.
///
/// Secret material: `Debug` shows shapes and the scales of input and output only, and the weights are
/// zeroised on drop.
#[derive(Clone)]
pub struct Quantized {
    pub(super) program: Program,
    pub(super) bank: WeightBank,
    pub(super) scales: Scales,
    /// What is known of the float network's values; nothing if it was handed in as integers.
    pub(super) details: Option<Details>,
}

/// How a network became integers.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Details {
    pub(super) input: Encoding,
    pub(super) states: Vec<Encoding>,
    pub(super) stages: Vec<Lowered>,
    pub(super) output: Option<SumsReport>,
    /// Bits asked for or chosen, of the input and of each stage.
    pub(super) bits: Vec<u8>,
    /// Weights.
    pub(super) nonzeros: usize,
    /// Samples of the calibration set.
    pub(super) calibrated_on: usize,
    /// The largest error of an output over these, relative to the largest minus the least output.
    pub(super) relative_error: f64,
    pub(super) missed_target: Option<f64>,
}

impl Network {
    /// The network on integers, with scales that fit `calibration`: typical inputs, some tens to
    /// some hundreds; with state typical sequences, as long as it takes for states to settle.
    ///
    /// # Errors
    /// If there is no calibration sample, or one has the wrong length or an entry that is not
    /// finite; if numbers of bits are out of range; if a function that needs a table is given less
    /// than 8 bits, or is not finite where it is tabulated; if sums fit no accumulator; with standard
    /// precision, if sums do not fit the fixed scale of a table.
    pub fn quantize<S: Samples + ?Sized>(
        &self,
        calibration: &S,
        precision: &Precision,
    ) -> Result<Quantized, Error> {
        precision.check(self.stages.len())?;
        let ranges = Ranges::measure(self, calibration)?;
        let target = precision.target_error.unwrap_or(f64::INFINITY);
        let mut precision = precision.clone();
        let mut best = Quantized::new(self, &ranges, &precision, calibration)?;
        if best.error() > target {
            let mut parts = best.parts_of_error(self, calibration)?;
            let mut error = best.error();
            while error > target && widen(&mut precision, &mut parts) {
                let wider = Quantized::new(self, &ranges, &precision, calibration)?;
                error = wider.error();
                if error < best.error() {
                    best = wider;
                }
            }
        }
        let error = best.error();
        if let Some(details) = &mut best.details {
            details.missed_target = (error > target).then_some(error);
        }
        Ok(best)
    }
}

impl Quantized {
    fn new<S: Samples + ?Sized>(
        network: &Network,
        ranges: &Ranges,
        precision: &Precision,
        calibration: &S,
    ) -> Result<Self, Error> {
        let Lowering {
            program,
            maps,
            input,
            states,
            stages,
            output_unit,
            output,
            nonzeros,
        } = lower(network, ranges, precision)?;
        let bank = WeightBank::new(maps)?;
        bank.check(&program)?;
        let mut quantized = Self {
            scales: Scales::new(input.unit, output_unit, program.frame())?,
            bank,
            program,
            details: Some(Details {
                input,
                states,
                bits: (0..=stages.len()).map(|r| precision.width(r)).collect(),
                stages,
                output,
                nonzeros,
                calibrated_on: calibration.count(),
                relative_error: 0.0,
                missed_target: None,
            }),
        };
        let range = ranges.output.most - ranges.output.least;
        let error = quantized.largest_error(network, calibration)?;
        if let Some(details) = &mut quantized.details {
            details.relative_error = if range > 0.0 { error / range } else { error };
        }
        Ok(quantized)
    }

    /// A network that is integers from the start. An entry of an input or output is an integer times
    /// `input_scale` or `output_scale`; 1 if the integers are all that matters.
    ///
    /// # Errors
    /// If the maps of the bank are not those of the program, a sum could leave its accumulator, or a
    /// scale is not a positive number.
    pub fn from_integers(
        program: Program,
        bank: WeightBank,
        input_scale: f64,
        output_scale: f64,
    ) -> Result<Self, Error> {
        program.validate()?;
        bank.check(&program)?;
        Ok(Self {
            scales: Scales::new(input_scale, output_scale, program.frame())?,
            program,
            bank,
            details: None,
        })
    }

    /// What is computed: public, and free of weights.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The integer weights.
    #[must_use]
    pub fn bank(&self) -> &WeightBank {
        &self.bank
    }

    /// The scales at both ends.
    #[must_use]
    pub fn scales(&self) -> Scales {
        self.scales
    }

    /// Real value of one unit of an input.
    #[must_use]
    pub fn input_scale(&self) -> f64 {
        self.scales.input
    }

    /// Real value of one unit of an output.
    #[must_use]
    pub fn output_scale(&self) -> f64 {
        self.scales.output
    }

    /// Bits of the result of each stage, as they were asked for or chosen for a target error.
    #[must_use]
    pub fn stage_bits(&self) -> Vec<u8> {
        let bits = self.details.iter().flat_map(|d| d.bits.iter().skip(1));
        bits.copied().collect()
    }

    /// Number of weights, those that became zero too; 0 if the network was handed in as integers.
    #[must_use]
    pub fn weight_count(&self) -> usize {
        self.details.as_ref().map_or(0, |d| d.nonzeros)
    }

    /// The largest error of an output over the calibration set, relative to the largest minus the least
    /// output of the float network; `None` if the network was handed in as integers.
    #[must_use]
    pub fn calibration_error(&self) -> Option<f64> {
        self.details.as_ref().map(|d| d.relative_error)
    }

    /// The same, if a [target](Precision::target_error) was set and this is more.
    #[must_use]
    pub fn missed_target(&self) -> Option<f64> {
        self.details.as_ref()?.missed_target
    }

    fn error(&self) -> f64 {
        self.calibration_error().unwrap_or(0.0)
    }

    /// The least integer output whose real value is at least `value`: the threshold of a claim.
    ///
    /// # Errors
    /// If it is not a number of the outputs' size.
    pub fn threshold(&self, value: f64) -> Result<i64, Error> {
        self.scales.threshold(value)
    }

    /// An input as integers: rounded to the nearest (halves away from zero), and saturated at the
    /// ends of its width.
    ///
    /// # Errors
    /// If the input has the wrong length or an entry that is not finite.
    pub fn quantize_input(&self, input: ArrayView1<'_, f32>) -> Result<Vec<i64>, Error> {
        self.scales.quantize_input(input)
    }

    /// An output as real values.
    #[must_use]
    pub fn dequantize_output(&self, output: &[i64]) -> Array1<f32> {
        self.scales.dequantize_output(output)
    }

    /// The output for one input, through the integer interpreter: what a proof will say.
    ///
    /// # Errors
    /// If the network has state; as [`quantize_input`](Self::quantize_input).
    pub fn infer(&self, input: ArrayView1<'_, f32>) -> Result<Array1<f32>, Error> {
        let details = self.details.as_ref();
        if details.map_or(!self.program.carried_shapes().is_empty(), |d| {
            !d.states.is_empty()
        }) {
            return Err(Error::usage(
                "the network has state: `infer_sequence` runs it on frames",
            ));
        }
        let output = self.interpreter()?.push(&self.quantize_input(input)?)?;
        Ok(self.dequantize_output(&output))
    }

    /// The outputs for a sequence `[frames, inputs]`, from the initial state on, through the integer
    /// interpreter: `[frames, outputs]`, or `[1, outputs]` if only the last one counts.
    ///
    /// # Errors
    /// If there is no frame, and as [`quantize_input`](Self::quantize_input).
    pub fn infer_sequence(&self, sequence: ArrayView2<'_, f32>) -> Result<Array2<f32>, Error> {
        let mut interpreter = self.interpreter()?;
        let outputs = self.program.output_shape().len;
        over_frames(sequence, outputs, self.program.emission(), |frame| {
            let output = interpreter.push(&self.quantize_input(frame)?)?;
            Ok(self.dequantize_output(&output))
        })
    }

    /// The integers, ready for the first frame.
    fn interpreter(&self) -> Result<Interpreter<'_>, Error> {
        Interpreter::new(&self.program, &self.bank)
    }

    /// The largest difference of an output from the float network's.
    fn largest_error<S: Samples + ?Sized>(
        &self,
        network: &Network,
        samples: &S,
    ) -> Result<f64, Error> {
        let mut largest = 0f64;
        for index in 0..samples.count() {
            let sample = samples.sample(index);
            let float = network.infer_sequence(sample)?;
            for (f, y) in float.iter().zip(&self.infer_sequence(sample)?) {
                largest = largest.max(f64::from((f - y).abs()));
            }
        }
        Ok(largest)
    }

    /// How far the rounding of each register alone, the input being the first, moves the sums of the
    /// output: the largest of a frame, on average.
    pub(super) fn parts_of_error<S: Samples + ?Sized>(
        &self,
        network: &Network,
        samples: &S,
    ) -> Result<Vec<f64>, Error> {
        let Some(details) = &self.details else {
            return Ok(Vec::new());
        };
        let grid = Grid {
            unit: details.input.unit,
            zero: 0.0,
            width: details.input.width,
        };
        let mut parts = vec![0.0; 1 + details.stages.len()];
        for index in 0..samples.count().min(PROBES.0) {
            let sample = samples.sample(index);
            let frames = sample.rows().into_iter().take(PROBES.1);
            let frames: Vec<Vec<f64>> = frames
                .map(|f| network.checked(f))
                .collect::<Result<_, _>>()?;
            let mut state = network.start();
            let mut exact = Vec::new();
            for frame in &frames {
                exact.push(network.step(&mut state, frame.clone(), |_, _, _| {})?);
            }
            for (register, part) in parts.iter_mut().enumerate() {
                let mut state = network.start();
                for (frame, exact) in frames.iter().zip(&exact) {
                    let mut input = frame.clone();
                    if register == 0 {
                        input.iter_mut().for_each(|x| *x = grid.round(*x));
                    }
                    let sums = network.step(&mut state, input, |k, arguments, result| {
                        if k + 1 == register {
                            details.round_stage(network, k, arguments, result);
                        }
                    })?;
                    let moved = exact.iter().zip(&sums).map(|(a, b)| (a - b).abs());
                    *part += moved.fold(0.0, f64::max) / frames.len() as f64;
                }
            }
        }
        Ok(parts)
    }
}

impl Details {
    /// Replaces the result of a stage by what its integers are for exact arguments.
    fn round_stage(&self, network: &Network, k: usize, arguments: &[Vec<f64>], result: &mut [f64]) {
        let lowered = &self.stages[k];
        if lowered.rounded.is_empty() && lowered.arguments.iter().all(Option::is_none) {
            return;
        }
        let arguments: Vec<Vec<f64>> = arguments
            .iter()
            .zip(&lowered.arguments)
            .map(|(values, grid)| match grid {
                Some(grid) => values.iter().map(|x| grid.round(*x)).collect(),
                None => values.clone(),
            })
            .collect();
        let own = Grid {
            unit: lowered.result.unit,
            zero: lowered.result.value(0),
            width: lowered.result.width,
        };
        let exact = network.stages[k].kind.apply(&arguments);
        for (y, exact) in result.iter_mut().zip(exact) {
            *y = own.round(exact);
        }
    }
}

/// Gives more bits to the registers with the largest part in the error, and to those with half as
/// much; `false` if all have as many as there can be.
fn widen(precision: &mut Precision, parts: &mut [f64]) -> bool {
    let next = |bits: u8| WIDTHS.into_iter().find(|w| *w > bits);
    let open = |register: usize, precision: &Precision| {
        next(precision.width(register)).map(|bits| (register, bits))
    };
    let largest = (0..parts.len())
        .filter(|r| open(*r, precision).is_some())
        .map(|r| parts[r])
        .fold(f64::NEG_INFINITY, f64::max);
    let mut widened = false;
    for register in 0..parts.len() {
        let Some((register, bits)) = open(register, precision) else {
            continue;
        };
        if parts[register] >= largest / 2.0 {
            let more = bits - precision.width(register);
            parts[register] /= f64::from(more).exp2();
            precision.set_width(register, bits);
            widened = true;
        }
    }
    widened
}

impl fmt::Debug for Quantized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quantized")
            .field(
                "stages",
                &self.details.as_ref().map_or(0, |d| d.stages.len()),
            )
            .field("weights", &self.weight_count())
            .field("input_scale", &self.scales.input)
            .field("output_scale", &self.scales.output)
            .finish_non_exhaustive()
    }
}
