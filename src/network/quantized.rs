//! A general network on integers.

use std::fmt;

use ndarray::{Array1, ArrayView1};

use super::{
    Network, Precision,
    calibration::Ranges,
    limit,
    lower::{Grid, Lowered, Lowering, SumsReport, is_layered, lower},
};
use crate::{
    error::Error,
    plan::{Plan, Planner},
    program::{NetworkShape, Program, ProgramError, Schedule, Spread, interpreter::StepTrace},
    quant::{Samples, Scales},
    weights::WeightBank,
};

/// Widths that values are given one after the other to reach a target error.
const WIDTHS: [u8; 5] = [8, 10, 12, 14, 16];
/// Samples on which the part of each value in the error is measured.
const PROBES: usize = 8;

/// A general network on integers, with the scales that connect them to real values.
///
/// Secret material: `Debug` shows shapes and the scales of input and output only, and the weights are
/// zeroised on drop.
#[derive(Clone)]
pub struct Quantized {
    bank: WeightBank,
    /// A whole inference in one step.
    program: Program,
    ends: Scales,
    layers: Option<NetworkShape>,
    pub(super) precision: Precision,
    pub(super) input: super::fit::Encoding,
    pub(super) stages: Vec<Lowered>,
    pub(super) output: Option<SumsReport>,
    /// Weights that are not zero.
    pub(super) nonzeros: usize,
    /// Samples of the calibration set.
    pub(super) calibrated_on: usize,
    missed_target: Option<f64>,
}

impl Network {
    /// The network on integers, with scales that fit `calibration`: typical inputs, some tens to
    /// some hundreds.
    ///
    /// # Errors
    /// If there is no calibration sample, or one has the wrong length or an entry that is not
    /// finite; if numbers of bits are out of range; if a function that needs a table is given less
    /// than 8 bits, or is not finite where it is tabulated; if sums fit no accumulator.
    pub fn quantize<S: Samples + ?Sized>(
        &self,
        calibration: &S,
        precision: &Precision,
    ) -> Result<Quantized, Error> {
        precision.check(self.stages.len())?;
        if self.has_state() {
            return Err(limit("quantisation", "a network with state"));
        }
        let ranges = Ranges::measure(self, calibration)?;
        let count = calibration.count();
        let mut quantized = Quantized::new(self, &ranges, precision.clone(), count)?;
        let Some(target) = precision.target_error else {
            return Ok(quantized);
        };
        let range = ranges.output.most - ranges.output.least;
        let allowed = target * if range > 0.0 { range } else { 1.0 };
        let mut error = quantized.largest_error(self, calibration)?;
        if error <= allowed {
            return Ok(quantized);
        }
        let mut parts = quantized.parts_of_error(self, calibration)?;
        let mut best = (error, quantized.clone());
        while error > allowed && quantized.widen(&mut parts) {
            quantized = Quantized::new(self, &ranges, quantized.precision, count)?;
            error = quantized.largest_error(self, calibration)?;
            if error < best.0 {
                best = (error, quantized.clone());
            }
        }
        let (error, mut best) = best;
        best.missed_target = (error > allowed).then(|| error * target / allowed);
        Ok(best)
    }
}

impl Quantized {
    fn new(
        network: &Network,
        ranges: &Ranges,
        precision: Precision,
        calibrated_on: usize,
    ) -> Result<Self, Error> {
        let layered = is_layered(network, &precision);
        let lowering = match lower(network, ranges, &precision, layered) {
            // One format for all layers may not do.
            Err(_) if layered => lower(network, ranges, &precision, false)?,
            lowering => lowering?,
        };
        let Lowering {
            program,
            maps,
            input,
            stages,
            output_unit,
            output,
            nonzeros,
            layers,
        } = lowering;
        let bank = WeightBank::new(maps)?;
        bank.check(&program)?;
        Ok(Self {
            ends: Scales::new(input.unit, output_unit, program.frame())?,
            bank,
            program,
            layers,
            precision,
            input,
            stages,
            output,
            nonzeros,
            calibrated_on,
            missed_target: None,
        })
    }

    /// The integer weights.
    #[must_use]
    pub fn bank(&self) -> &WeightBank {
        &self.bank
    }

    /// The scales at both ends.
    #[must_use]
    pub fn end_scales(&self) -> Scales {
        self.ends
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

    /// The network as layers, if every value is a function of sums of those before, in one format of
    /// integers: such a network may be spread over several steps, which end where one value is all
    /// that the rest reads.
    #[must_use]
    pub fn layers(&self) -> Option<&NetworkShape> {
        self.layers.as_ref()
    }

    /// Bits of the result of each stage, as they were asked for or chosen for a target error.
    #[must_use]
    pub fn stage_bits(&self) -> Vec<u8> {
        (0..self.stages.len())
            .map(|k| self.precision.width(k + 1))
            .collect()
    }

    /// The largest error over the calibration set, relative to the range of the outputs, if a
    /// [target](Precision::target_error) was set and this is more.
    #[must_use]
    pub fn missed_target(&self) -> Option<f64> {
        self.missed_target
    }

    /// The cheapest schedule for one proof of so many inferences: several to a step, or, if the
    /// network is made of [`layers`](Self::layers), some of these to a step.
    ///
    /// # Errors
    /// If the network is too large for any schedule that the planner allows.
    pub fn plan(&self, planner: &Planner, inferences: u64) -> Result<Plan, Error> {
        let plan = planner.plan_graph(
            self.layers.as_ref(),
            self.nonzeros as u64,
            inferences,
            &|frames| self.whole_network(frames),
        )?;
        Ok(plan)
    }

    /// The program under the schedule that [`plan`](Self::plan) chooses for one inference.
    ///
    /// # Errors
    /// If the network is too large for any schedule.
    pub fn program(&self) -> Result<Program, Error> {
        let plan = self.plan(&Planner::default().brief(), 1)?;
        self.program_with(plan.chosen.schedule)
    }

    /// The program under a schedule. [`Schedule::LayersPerStep`] needs a network made of
    /// [`layers`](Self::layers), unless it has no more than that.
    ///
    /// # Errors
    /// If the schedule does not fit the network, or a step would be too large.
    pub fn program_with(&self, schedule: Schedule) -> Result<Program, Error> {
        let layers = match &self.layers {
            Some(network) => network.layers.len(),
            None => self.stages.len() + 1,
        };
        match (schedule, &self.layers) {
            (Schedule::FramesPerStep(frames), _) => Ok(self.whole_network(frames)?),
            (Schedule::LayersPerStep(k), Some(network)) if (k as usize) < layers => {
                Ok(network.program(schedule)?)
            }
            (Schedule::LayersPerStep(k), None) if (k as usize) < layers => Err(limit(
                "schedule",
                "only a network whose values are all functions of sums of one width can be spread over several steps",
            )),
            _ => Ok(self.whole_network(1)?),
        }
    }

    /// Whole inferences of up to so many frames in a step.
    fn whole_network(&self, frames: u32) -> Result<Program, ProgramError> {
        let mut program = self.program.clone();
        program.spread = Spread::Frames { per_step: frames };
        program.validate()?;
        Ok(program)
    }

    /// An input as integers: rounded to the nearest (halves away from zero), and saturated at the
    /// ends of its width.
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

    /// The values of all registers of the program of a whole inference.
    pub(super) fn trace(&self, input: ArrayView1<'_, f32>) -> Result<StepTrace, Error> {
        let input = self.quantize_input(input)?;
        self.program.run_step(&self.bank, 0, &[], &[input])
    }

    /// The program of a whole inference in one step.
    pub(super) fn whole(&self) -> &Program {
        &self.program
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
            let float = network.infer(sample)?;
            for (f, y) in float.iter().zip(&self.infer(sample)?) {
                largest = largest.max(f64::from((f - y).abs()));
            }
        }
        Ok(largest)
    }

    /// How far the rounding of each register alone, the input being the first, moves the sums of the
    /// output on average.
    fn parts_of_error<S: Samples + ?Sized>(
        &self,
        network: &Network,
        samples: &S,
    ) -> Result<Vec<f64>, Error> {
        let grid = Grid {
            unit: self.input.unit,
            zero: 0.0,
            width: self.input.width,
        };
        let mut parts = vec![0.0; 1 + self.stages.len()];
        for index in 0..samples.count().min(PROBES) {
            let sample = samples.sample(index);
            let exact =
                network.step(&mut network.start(), network.checked(sample)?, |_, _, _| {})?;
            for (register, part) in parts.iter_mut().enumerate() {
                let input = sample.iter().map(|x| f64::from(*x));
                let rounded = match register.checked_sub(1) {
                    None => network.step(
                        &mut network.start(),
                        input.map(|x| grid.round(x)).collect(),
                        |_, _, _| {},
                    )?,
                    Some(stage) => network.step(
                        &mut network.start(),
                        input.collect(),
                        |k, arguments, result| {
                            if k == stage {
                                self.round_stage(network, k, arguments, result);
                            }
                        },
                    )?,
                };
                let moved = exact.iter().zip(&rounded).map(|(a, b)| (a - b).abs());
                *part += moved.fold(0.0, f64::max);
            }
        }
        Ok(parts)
    }

    /// Replaces the result of a stage by what its integers are for exact arguments.
    fn round_stage(&self, network: &Network, k: usize, arguments: &[Vec<f64>], result: &mut [f64]) {
        let lowered = &self.stages[k];
        if lowered.rounded.is_empty() {
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
        for (y, exact) in result
            .iter_mut()
            .zip(network.stages[k].kind.apply(&arguments))
        {
            *y = own.round(exact);
        }
    }

    /// Gives more bits to the registers with the largest part in the error, and to those with half as
    /// much; `false` if all have as many as there can be.
    fn widen(&mut self, parts: &mut [f64]) -> bool {
        let precision = &mut self.precision;
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
}

impl fmt::Debug for Quantized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quantized")
            .field("stages", &self.stages.len())
            .field("weights", &self.nonzeros)
            .field("input_scale", &self.ends.input)
            .field("output_scale", &self.ends.output)
            .finish_non_exhaustive()
    }
}
