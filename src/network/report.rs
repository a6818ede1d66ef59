//! How close the integers of a network are to its floats, and what a proof of it costs.

use std::fmt;

use serde::Serialize;

use super::{FillIn, Network, Quantized, lower::Rounded};
use crate::{
    ProofKind,
    circuit::{count_constraints, count_operations},
    error::Error,
    plan::{Cost, Planner},
    program::{Register, Schedule, Unrolled, interpreter::StepTrace},
    quant::{Accuracy, Samples, check_samples, count_right, top1},
};

/// A quantised network compared with the float network on samples, and the expected cost of a proof.
///
/// It is computed from weights and samples: as private as they are.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Number of samples.
    pub samples: usize,
    /// Samples that the scales were fitted to.
    pub calibrated_on: usize,
    /// Share of samples whose largest output is the same one (of equal ones, the first).
    pub top1_agreement: f64,
    /// Largest absolute difference of an output.
    pub max_error: f64,
    /// Mean absolute difference of the outputs.
    pub mean_error: f64,
    /// Largest minus least output of the float network: what errors are relative to.
    pub output_range: f64,
    /// Bits of the inputs.
    pub input_bits: u8,
    /// Real value of one unit of an input.
    pub input_scale: f64,
    /// Share of input entries beyond the calibrated range, and cut to it.
    pub input_saturation: f64,
    /// Real value of one unit of an output.
    pub output_scale: f64,
    /// Accumulator bits of the output, if it is made of exact sums.
    pub output_bits: Option<u8>,
    /// The values that are computed, in order.
    pub stages: Vec<StageReport>,
    /// Linear values among them, and why they are computed.
    pub fill_ins: Vec<FillIn>,
    /// What a proof of one inference is expected to cost.
    pub cost: GraphCost,
}

/// One value of a [`Report`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StageReport {
    /// What computes it.
    pub operation: String,
    /// Number of entries.
    pub entries: usize,
    /// Real value of one unit.
    pub scale: f64,
    /// Real value of the integer 0.
    pub zero: f64,
    /// Least and largest value of the float network.
    pub range: (f64, f64),
    /// Bits of an entry.
    pub bits: u8,
    /// Shift of its sums, if it has some of its own.
    pub shift: Option<u8>,
    /// Bits of their accumulator.
    pub accumulator_bits: Option<u8>,
    /// Largest absolute value of an integer weight.
    pub max_weight: Option<u16>,
    /// Weights that are not zero.
    pub weights: usize,
    /// Constraints of its operations in a recursive proof, if one step has room for the network; what a
    /// step hashes and its sumcheck are not among them.
    pub constraints: Option<usize>,
    /// How many times the calibrated scale its sums have: 1, or more if the integers did not fit.
    pub enlarged: f64,
    /// Share of entries that saturation has changed where the function does not ask for it.
    pub saturation: f64,
    /// Largest absolute difference from the float network's value.
    pub max_error: f64,
    /// Mean absolute difference.
    pub mean_error: f64,
    /// Largest difference divided by the largest minus the least value; 0 if that is zero.
    pub relative_max_error: f64,
}

/// The expected cost of a proof of one inference, before anything is proved.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GraphCost {
    /// The schedule.
    pub schedule: Schedule,
    /// The kind of proof.
    pub kind: ProofKind,
    /// Constraints of a step by part, those of the recursion left out; none in a trace.
    pub constraints: Vec<(String, usize)>,
    /// Constraints of a step, those of the recursion left out; none in a trace.
    pub step_constraints: usize,
    /// Steps of one inference.
    pub steps: u64,
    /// CPU seconds and peak memory, by the planner's default costs.
    pub cost: Cost,
    /// Weights that are not zero.
    pub weights: usize,
    /// Bytes of a proof, about, public vectors not counted.
    pub proof_bytes: usize,
    /// Bytes of the keys, about.
    pub key_bytes: usize,
}

/// Sums of errors over samples.
#[derive(Clone, Copy, Default)]
struct Errors {
    largest: f64,
    total: f64,
    least: f64,
    most: f64,
}

impl Errors {
    const NONE: Self = Self {
        largest: 0.0,
        total: 0.0,
        least: f64::INFINITY,
        most: f64::NEG_INFINITY,
    };

    fn add(&mut self, exact: f64, integer: f64) {
        let error = (exact - integer).abs();
        self.largest = self.largest.max(error);
        self.total += error;
        self.least = self.least.min(exact);
        self.most = self.most.max(exact);
    }

    fn range(&self) -> f64 {
        self.most - self.least
    }
}

impl Quantized {
    /// Compares this network with the float network that it was made from, on samples, and says what
    /// a proof of one inference under the schedule of [`program`](Self::program) is expected to cost.
    ///
    /// # Errors
    /// If it was made from another network; if there is no sample, or one has the wrong length or an
    /// entry that is not finite; if the network is too large for any schedule.
    pub fn report<S: Samples + ?Sized>(
        &self,
        network: &Network,
        samples: &S,
    ) -> Result<Report, Error> {
        self.check_network(network)?;
        check_samples(samples, network.input_len())?;
        let count = samples.count();
        let mut output = Errors::NONE;
        let mut stages = vec![Errors::NONE; self.stages.len()];
        let mut saturated = vec![0usize; self.stages.len()];
        let (mut agreed, mut input_saturation) = (0usize, 0usize);
        for index in 0..count {
            let sample = samples.sample(index);
            let trace = self.trace(sample)?;
            let float = network.step(
                &mut network.start(),
                network.checked(sample)?,
                |k, _, result| {
                    let encoding = self.stages[k].result;
                    let integers = trace.register(encoding.register);
                    for (exact, q) in result.iter().zip(integers) {
                        stages[k].add(*exact, encoding.value(*q));
                    }
                },
            )?;
            let float = match network.argmax {
                true => vec![top1(float.iter()) as f64],
                false => float,
            };
            let integers = self.whole().output_of(&trace);
            for (exact, y) in float.iter().zip(&integers) {
                output.add(*exact, *y as f64 * self.output_scale());
            }
            agreed += usize::from(match network.argmax {
                true => float.first().map(|f| *f as i64) == integers.first().copied(),
                false => top1(float.iter()) == top1(integers.iter()),
            });
            input_saturation += self.end_scales().saturated_entries(sample);
            for (count, lowered) in saturated.iter_mut().zip(&self.stages) {
                *count += lowered
                    .rounded
                    .iter()
                    .map(|r| cut(r, &trace))
                    .sum::<usize>();
            }
        }
        let share = |n: usize, of: usize| n as f64 / (count * of).max(1) as f64;
        let constraints = self.constraints();
        let stages = self
            .stages
            .iter()
            .zip(stages)
            .zip(saturated)
            .enumerate()
            .map(|(k, ((lowered, errors), saturated))| {
                let encoding = &lowered.result;
                let sums = lowered.fitted;
                StageReport {
                    operation: lowered.name.clone(),
                    entries: encoding.len,
                    scale: encoding.unit,
                    zero: encoding.value(0),
                    range: (errors.least, errors.most),
                    bits: encoding.width,
                    shift: sums.map(|s| s.shift),
                    accumulator_bits: sums.map(|s| s.bits),
                    max_weight: sums.map(|s| s.max_weight),
                    weights: sums.map_or(0, |s| s.nonzeros),
                    constraints: constraints.as_ref().and_then(|c| c.get(k).copied()),
                    enlarged: sums.map_or(1.0, |s| s.enlarged),
                    saturation: share(saturated, encoding.len),
                    max_error: errors.largest,
                    mean_error: errors.total / (count * encoding.len) as f64,
                    relative_max_error: if errors.range() > 0.0 {
                        errors.largest / errors.range()
                    } else {
                        0.0
                    },
                }
            })
            .collect();
        Ok(Report {
            samples: count,
            calibrated_on: self.calibrated_on,
            top1_agreement: share(agreed, 1),
            max_error: output.largest,
            mean_error: output.total / (count * network.output_len()) as f64,
            output_range: output.range(),
            input_bits: self.input.width,
            input_scale: self.input_scale(),
            input_saturation: share(input_saturation, network.input_len()),
            output_scale: self.output_scale(),
            output_bits: self.output.map(|s| s.bits),
            stages,
            fill_ins: network.fill_ins.clone(),
            cost: self.cost()?,
        })
    }

    /// Constraints of each stage in a program of the whole network, if one step has room for it.
    fn constraints(&self) -> Option<Vec<usize>> {
        let program = self.program_with(Schedule::WholeNetwork).ok()?;
        let operations = count_operations(&program)?;
        let mut first = 0;
        let stages = self.stages.iter().map(|stage| {
            let result = stage.result.register;
            let own = (first..operations.len()).find(|i| Register::result_of(*i) == result);
            // Some stages are linear in a register, and have no operation of their own.
            let Some(last) = own else { return 0 };
            let count = operations[first..=last].iter().sum();
            first = last + 1;
            count
        });
        Some(stages.collect())
    }

    /// Top-1 accuracy of the float network and of this one; `labels` are indices of outputs, or
    /// outputs if these are indices already, one for each sample.
    ///
    /// # Errors
    /// As [`report`](Self::report); if there is not one label for each sample, or a label is not
    /// the index of an output.
    pub fn accuracy<S, L>(
        &self,
        network: &Network,
        samples: &S,
        labels: &[L],
    ) -> Result<Accuracy, Error>
    where
        S: Samples + ?Sized,
        L: Copy + Into<usize>,
    {
        self.check_network(network)?;
        check_samples(samples, network.input_len())?;
        let classes = match network.argmax {
            true => usize::MAX,
            false => network.output_len(),
        };
        let integer = |sample| {
            let output = self.whole().output_of(&self.trace(sample)?);
            Ok(match network.argmax {
                true => output
                    .first()
                    .map_or(0, |i| usize::try_from(*i).unwrap_or(0)),
                false => top1(output.iter()),
            })
        };
        let float = |sample| {
            let output =
                network.step(&mut network.start(), network.checked(sample)?, |_, _, _| {})?;
            Ok(top1(output.iter()))
        };
        count_right(samples, labels, classes, float, integer)
    }

    fn check_network(&self, network: &Network) -> Result<(), Error> {
        let same = network.stages.len() == self.stages.len()
            && network.input_len() == self.input.len
            && network.output_len() == self.whole().output_shape().len
            && network
                .stages
                .iter()
                .zip(&self.stages)
                .all(|(a, b)| a.len == b.result.len);
        if same {
            return Ok(());
        }
        Err(Error::usage(
            "the float network is not the one that was quantised",
        ))
    }

    /// What a proof of one inference is expected to cost under the schedule of
    /// [`program`](Self::program).
    ///
    /// # Errors
    /// If the network is too large for any schedule.
    pub fn cost(&self) -> Result<GraphCost, Error> {
        let chosen = self.plan(&Planner::default().brief(), 1)?.chosen;
        let constraints = match chosen.kind {
            ProofKind::Trace => Vec::new(),
            ProofKind::Recursive => {
                let program = self.program_with(chosen.schedule)?;
                count_constraints(&Unrolled::new(&program))
            }
        };
        Ok(GraphCost {
            schedule: chosen.schedule,
            kind: chosen.kind,
            constraints,
            step_constraints: chosen.step_constraints,
            steps: chosen.steps,
            cost: chosen.cost,
            weights: self.nonzeros,
            proof_bytes: chosen.proof_bytes(),
            key_bytes: chosen.key_bytes(),
        })
    }
}

/// Entries that saturation has changed.
fn cut(rounded: &Rounded, trace: &StepTrace) -> usize {
    if rounded.wanted {
        return 0;
    }
    let rounding = match rounded.shift {
        0 => 0,
        shift => 1i128 << (shift - 1),
    };
    let sums = trace.register(rounded.sums).iter();
    sums.zip(trace.register(rounded.result))
        .filter(|(y, q)| {
            let exact = (i128::from(**y) + rounding) >> rounded.shift;
            // A ReLU turns what was cut at the lower end to zero in any case.
            exact != i128::from(**q) && !(rounded.relu && exact < 0)
        })
        .count()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |x: f64| {
            if self.output_range > 0.0 {
                format!("{:.3} % of the range", 100.0 * x / self.output_range)
            } else {
                "the output is constant".to_owned()
            }
        };
        writeln!(
            f,
            "{} samples, calibrated on {}, top-1 agreement {:.2} %",
            self.samples,
            self.calibrated_on,
            100.0 * self.top1_agreement
        )?;
        writeln!(
            f,
            "output error: largest {:.4e} ({}), mean {:.4e} ({})",
            self.max_error,
            percent(self.max_error),
            self.mean_error,
            percent(self.mean_error),
        )?;
        writeln!(
            f,
            "{}-bit inputs, saturated {:.3} %",
            self.input_bits,
            100.0 * self.input_saturation
        )?;
        writeln!(
            f,
            "{:>5}  {:<24}  {:>8}  {:>4}  {:>10}  {:>23}  {:>5}  {:>4}  {:>8}  {:>9}  {:>9}  {:>9}  {:>11}",
            "stage",
            "operation",
            "entries",
            "bits",
            "scale",
            "range",
            "shift",
            "sums",
            "enlarged",
            "saturated",
            "max error",
            "mean err.",
            "constraints"
        )?;
        for (index, stage) in self.stages.iter().enumerate() {
            let number = |n: Option<u8>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
            let enlarged = if stage.enlarged > 1.0 {
                format!("{:.2}", stage.enlarged)
            } else {
                "-".to_owned()
            };
            writeln!(
                f,
                "{index:>5}  {:<24}  {:>8}  {:>4}  {:>10.3e}  {:>11.3e}…{:>11.3e}  {:>5}  {:>4}  {enlarged:>8}  {:>7.3} %  {:>7.3} %  {:>9.2e}  {:>11}",
                stage.operation,
                stage.entries,
                stage.bits,
                stage.scale,
                stage.range.0,
                stage.range.1,
                number(stage.shift),
                number(stage.accumulator_bits),
                100.0 * stage.saturation,
                100.0 * stage.relative_max_error,
                stage.mean_error,
                stage
                    .constraints
                    .map_or_else(|| "-".to_owned(), |n| n.to_string()),
            )?;
        }
        for fill_in in &self.fill_ins {
            writeln!(
                f,
                "stage {} is computed although it is linear: {}",
                fill_in.stage, fill_in.reason
            )?;
        }
        write!(f, "{}", self.cost)
    }
}

impl fmt::Display for GraphCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "proof of one inference, expected: {}, {}; ",
            self.kind, self.schedule,
        )?;
        if self.kind == ProofKind::Recursive {
            write!(
                f,
                "{} {} of {} constraints; ",
                self.steps,
                if self.steps == 1 { "step" } else { "steps" },
                self.step_constraints,
            )?;
        }
        write!(
            f,
            "{:.2} CPU s, {:.0} MiB, about {:.1} kB, keys of about {:.1} MiB; {} weights",
            self.cost.total(),
            self.cost.peak_mib,
            self.proof_bytes as f64 / 1000.0,
            self.key_bytes as f64 / f64::from(1 << 20),
            self.weights,
        )?;
        if self.constraints.is_empty() {
            return Ok(());
        }
        write!(f, "\nconstraints:")?;
        for (part, count) in &self.constraints {
            write!(f, " {part} {count};")?;
        }
        Ok(())
    }
}
