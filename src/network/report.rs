//! How close the integers of a network are to its floats.

use std::fmt;

use serde::Serialize;

use super::{
    FillIn, Network, Quantized, Samples,
    float::top1,
    lower::{Encoding, Rounded},
    quantized::Details,
    samples,
};
use crate::{
    error::{Error, Reason},
    program::Registers,
};

/// A quantised network compared with the float network on samples.
///
/// It is computed from weights and samples: as private as they are.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Number of samples.
    pub samples: usize,
    /// Number of frames of these; without state as many.
    pub frames: usize,
    /// Samples that the scales were fitted to.
    pub calibrated_on: usize,
    /// Share of frames whose largest output is the same one (of equal ones, the first).
    pub top1_agreement: f64,
    /// Largest absolute difference of an output.
    pub max_error: f64,
    /// Mean absolute difference of the outputs.
    pub mean_error: f64,
    /// Largest minus least output of the float network: what errors are relative to.
    pub output_range: f64,
    /// Share of input entries beyond the calibrated range, and cut to it.
    pub input_saturation: f64,
    /// The values that are computed, in order: the input, the stages, and the output if it is sums of
    /// its own.
    pub stages: Vec<StageReport>,
    /// Index in `stages` of that whose rounding moves the output most.
    pub worst: Option<usize>,
    /// The states, in order.
    pub states: Vec<StateError>,
    /// Linear values that are computed, and why.
    pub fill_ins: Vec<FillIn>,
}

/// One value of a [`Report`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StageReport {
    /// What computes it.
    pub operation: String,
    /// The stage, as [`Precision::stage_bits`](super::Precision::stage_bits) counts them; `None` for input
    /// and output.
    pub stage: Option<usize>,
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
    /// Number of weights.
    pub weights: usize,
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
    /// How far its rounding alone moves the output, relative to the output's range: the largest entry
    /// of a frame, on average over a few samples. For the output the difference of weights and their
    /// rounding is not counted.
    pub part: f64,
}

/// How far one state is from the float network's, each network running on from its own states.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StateError {
    /// Number of entries.
    pub entries: usize,
    /// Bits of an entry.
    pub bits: u8,
    /// Largest absolute difference after 1, 2, 4, … frames of any sample, and after the last of the
    /// longest.
    pub after: Vec<(usize, f64)>,
    /// Largest minus least value.
    pub range: f64,
    /// Share of entries at an end of what their bits can hold.
    pub saturation: f64,
}

/// Top-1 accuracy on labelled samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Accuracy {
    /// Share of samples that the float network gets right.
    pub float: f64,
    /// Share of samples that the network on integers gets right.
    pub integer: f64,
    /// Number of samples.
    pub samples: usize,
}

/// Sums of errors over samples.
#[derive(Clone, Copy)]
struct Errors {
    largest: f64,
    total: f64,
    count: usize,
    least: f64,
    most: f64,
}

impl Errors {
    const NONE: Self = Self {
        largest: 0.0,
        total: 0.0,
        count: 0,
        least: f64::INFINITY,
        most: f64::NEG_INFINITY,
    };

    fn add(&mut self, exact: f64, integer: f64) {
        let error = (exact - integer).abs();
        self.largest = self.largest.max(error);
        self.total += error;
        self.count += 1;
        self.least = self.least.min(exact);
        self.most = self.most.max(exact);
    }

    fn mean(&self) -> f64 {
        self.total / self.count.max(1) as f64
    }

    fn range(&self) -> f64 {
        (self.most - self.least).max(0.0)
    }

    fn relative(&self) -> f64 {
        match self.range() > 0.0 {
            true => self.largest / self.range(),
            false => 0.0,
        }
    }
}

/// The errors of a state, by frame.
struct StateErrors {
    by_frame: Vec<f64>,
    all: Errors,
    at_end: usize,
}

/// What is counted over all frames.
struct Counts {
    input: Errors,
    output: Errors,
    stages: Vec<Errors>,
    states: Vec<StateErrors>,
    saturated: Vec<usize>,
    input_saturation: usize,
    agreed: usize,
    frames: usize,
}

impl Quantized {
    /// Compares this network with the float network that it was made from, on samples. With state both
    /// run on from their own states.
    ///
    /// # Errors
    /// If it was made from another network; if there is no sample, or one has the wrong length or an
    /// entry that is not finite.
    pub fn report<S: Samples + ?Sized>(
        &self,
        network: &Network,
        samples: &S,
    ) -> Result<Report, Error> {
        let details = self.details_of(network)?;
        samples::check(network, samples)?;
        let mut counts = Counts {
            input: Errors::NONE,
            output: Errors::NONE,
            stages: vec![Errors::NONE; details.stages.len()],
            states: details
                .states
                .iter()
                .map(|_| StateErrors {
                    by_frame: Vec::new(),
                    all: Errors::NONE,
                    at_end: 0,
                })
                .collect(),
            saturated: vec![0; details.stages.len()],
            input_saturation: 0,
            agreed: 0,
            frames: 0,
        };
        for index in 0..samples.count() {
            let mut state = network.start();
            let mut carried = self.program.initial_carried();
            for (at, frame) in samples.sample(index).rows().into_iter().enumerate() {
                let input = network.checked(frame)?;
                let integers = self.quantize_input(frame)?;
                for (x, q) in input.iter().zip(&integers) {
                    counts.input.add(*x, details.input.value(*q));
                }
                let trace = self.program.registers_of(&self.bank, &carried, &integers)?;
                let float = network.step(&mut state, input, |k, _, result| {
                    let encoding = details.stages[k].result;
                    let integers = &trace[encoding.register];
                    for (exact, q) in result.iter().zip(integers) {
                        counts.stages[k].add(*exact, encoding.value(*q));
                    }
                })?;
                let parts = self.program.carried.iter();
                carried = parts.map(|c| trace[c.next].clone()).collect();
                counts.add_states(details, network, &state, &trace, at);
                let float = match network.argmax {
                    true => vec![top1(float.iter()) as f64],
                    false => float,
                };
                let integers = self.program.output_of(&trace);
                for (exact, y) in float.iter().zip(&integers) {
                    counts.output.add(*exact, *y as f64 * self.output_scale());
                }
                counts.agreed += usize::from(match network.argmax {
                    true => float.first().map(|f| *f as i64) == integers.first().copied(),
                    false => top1(float.iter()) == top1(integers.iter()),
                });
                counts.input_saturation += self.scales.saturated_entries(frame);
                for (count, lowered) in counts.saturated.iter_mut().zip(&details.stages) {
                    let rounded = lowered.rounded.iter();
                    *count += rounded.map(|r| cut(r, &trace)).sum::<usize>();
                }
                counts.frames += 1;
            }
        }
        let parts = self.parts_of_error(network, samples)?;
        Ok(self.assemble(network, details, &counts, &parts, samples.count()))
    }

    fn assemble(
        &self,
        network: &Network,
        details: &Details,
        counts: &Counts,
        parts: &[f64],
        samples: usize,
    ) -> Report {
        let share = |n: usize, of: usize| n as f64 / of.max(1) as f64;
        let range = counts.output.range();
        let probes = samples.clamp(1, 8) as f64;
        let part = |register: usize| {
            let part = parts.get(register).copied().unwrap_or(0.0) / probes;
            if range > 0.0 { part / range } else { part }
        };
        let value = |operation: String, encoding: Encoding, errors: &Errors| StageReport {
            operation,
            stage: None,
            entries: encoding.len,
            scale: encoding.unit,
            zero: encoding.value(0),
            range: (errors.least, errors.most),
            bits: encoding.width + u8::from(!encoding.signed),
            shift: None,
            accumulator_bits: None,
            max_weight: None,
            weights: 0,
            enlarged: 1.0,
            saturation: 0.0,
            max_error: errors.largest,
            mean_error: errors.mean(),
            relative_max_error: errors.relative(),
            part: 0.0,
        };
        let input_saturation = share(counts.input_saturation, counts.input.count);
        let mut stages = vec![StageReport {
            saturation: input_saturation,
            part: part(0),
            ..value("input".to_owned(), details.input, &counts.input)
        }];
        for (k, (lowered, errors)) in details.stages.iter().zip(&counts.stages).enumerate() {
            let sums = lowered.sums;
            stages.push(StageReport {
                stage: Some(k),
                shift: sums.map(|s| s.shift),
                accumulator_bits: sums.map(|s| s.bits),
                max_weight: sums.map(|s| s.max_weight),
                weights: sums.map_or(0, |s| s.nonzeros),
                enlarged: sums.map_or(1.0, |s| s.enlarged),
                saturation: share(counts.saturated[k], errors.count),
                part: part(k + 1),
                ..value(lowered.name.clone(), lowered.result, errors)
            });
        }
        let worst = (0..stages.len()).max_by(|a, b| stages[*a].part.total_cmp(&stages[*b].part));
        if let Some(sums) = details.output {
            let shape = self.program.output_shape();
            #[expect(clippy::cast_possible_truncation, reason = "at most 64")]
            let bits = shape.range.signed_bits() as u8;
            stages.push(StageReport {
                operation: "output".to_owned(),
                entries: shape.len,
                scale: self.output_scale(),
                zero: 0.0,
                bits,
                shift: Some(sums.shift),
                accumulator_bits: Some(sums.bits),
                max_weight: Some(sums.max_weight),
                weights: sums.nonzeros,
                enlarged: sums.enlarged,
                ..value(String::new(), details.input, &counts.output)
            });
        }
        let states = details.states.iter().zip(&counts.states);
        Report {
            samples,
            frames: counts.frames,
            calibrated_on: details.calibrated_on,
            top1_agreement: share(counts.agreed, counts.frames),
            max_error: counts.output.largest,
            mean_error: counts.output.mean(),
            output_range: range,
            input_saturation,
            stages,
            worst,
            states: states.map(|(e, errors)| errors.report(e)).collect(),
            fill_ins: network.fill_ins.clone(),
        }
    }

    /// Top-1 accuracy of the float network and of this one; `labels` are indices of outputs, or
    /// outputs if these are indices already, one for each sample: with state that of its last frame.
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
        self.details_of(network)?;
        samples::check(network, samples)?;
        let count = samples.count();
        if labels.len() != count {
            return Err(Reason::Shape {
                what: "number of labels",
                expected: count,
                got: labels.len(),
            }
            .into());
        }
        let classes = match network.argmax {
            true => usize::MAX,
            false => network.output_len(),
        };
        let mut right = [0usize; 2];
        for (index, label) in labels.iter().enumerate() {
            let label: usize = (*label).into();
            if label >= classes {
                return Err(Reason::Range {
                    what: "label",
                    got: label as i128,
                    least: 0,
                    most: classes as i128 - 1,
                }
                .into());
            }
            let sample = samples.sample(index);
            let outputs = [
                network.infer_sequence(sample)?,
                self.infer_sequence(sample)?,
            ];
            for (right, outputs) in right.iter_mut().zip(outputs) {
                let last = outputs.row(outputs.nrows() - 1);
                let found = match network.argmax {
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "an index"
                    )]
                    true => last.first().map_or(0, |i| *i as usize),
                    false => top1(last.iter()),
                };
                *right += usize::from(found == label);
            }
        }
        let [float, integer] = right.map(|n| n as f64 / count as f64);
        Ok(Accuracy {
            float,
            integer,
            samples: count,
        })
    }

    /// What is known of the values, if this was made from the network.
    fn details_of(&self, network: &Network) -> Result<&Details, Error> {
        let same = |details: &&Details| {
            let stages = network.stages.iter().zip(&details.stages);
            network.stages.len() == details.stages.len()
                && network.states.len() == details.states.len()
                && network.input_len() == details.input.len
                && network.output_len() == self.program.output_shape().len
                && stages.into_iter().all(|(a, b)| a.len == b.result.len)
        };
        self.details
            .as_ref()
            .filter(same)
            .ok_or_else(|| Error::usage("the float network is not the one that was quantised"))
    }
}

impl Counts {
    /// Compares the states after frame `at` of a sample.
    fn add_states(
        &mut self,
        details: &Details,
        network: &Network,
        state: &[Vec<f64>],
        trace: &Registers<Vec<i64>>,
        at: usize,
    ) {
        for (s, (errors, floats)) in self.states.iter_mut().zip(state).enumerate() {
            let encoding = details.states[s];
            let next = network.states[s].next;
            let Some(k) = network.stage_of(next) else {
                continue;
            };
            let integers = &trace[details.stages[k].result.register];
            // Zero is no end for a ReLU.
            let ends = match encoding.signed {
                true => [
                    -(1i64 << (encoding.width - 1)),
                    (1 << (encoding.width - 1)) - 1,
                ],
                false => [(1 << encoding.width) - 1; 2],
            };
            if errors.by_frame.len() <= at {
                errors.by_frame.push(0.0);
            }
            for (exact, q) in floats.iter().zip(integers) {
                let value = encoding.value(*q);
                errors.all.add(*exact, value);
                errors.at_end += usize::from(ends.contains(q));
                errors.by_frame[at] = errors.by_frame[at].max((exact - value).abs());
            }
        }
    }
}

impl StateErrors {
    fn report(&self, encoding: &Encoding) -> StateError {
        let frames = self.by_frame.len();
        let powers = (0..64).map(|k| 1usize << k).take_while(|n| *n < frames);
        StateError {
            entries: encoding.len,
            bits: encoding.width + u8::from(!encoding.signed),
            after: powers
                .chain([frames])
                .filter_map(|n| Some((n, *self.by_frame.get(n.checked_sub(1)?)?)))
                .collect(),
            range: self.all.range(),
            saturation: self.at_end as f64 / self.all.count.max(1) as f64,
        }
    }
}

/// Entries that saturation has changed.
fn cut(rounded: &Rounded, trace: &Registers<Vec<i64>>) -> usize {
    if rounded.wanted {
        return 0;
    }
    let rounding = match rounded.shift {
        0 => 0,
        shift => 1i128 << (shift - 1),
    };
    let sums = trace[rounded.sums].iter();
    sums.zip(&trace[rounded.result])
        .filter(|(y, q)| {
            let exact = (i128::from(**y) + rounding) >> rounded.shift;
            // A ReLU turns what was cut at the lower end to zero in any case.
            exact != i128::from(**q) && !(rounded.relu && exact < 0)
        })
        .count()
}

impl Report {
    /// Largest error divided by the output range; `None` if that is zero.
    #[must_use]
    pub fn relative_max_error(&self) -> Option<f64> {
        (self.output_range > 0.0).then(|| self.max_error / self.output_range)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |x: f64| match self.output_range > 0.0 {
            true => format!("{:.3} % of the range", 100.0 * x / self.output_range),
            false => "the output is constant".to_owned(),
        };
        write!(f, "{} samples, ", self.samples)?;
        if self.frames > self.samples {
            write!(f, "{} frames, ", self.frames)?;
        }
        writeln!(
            f,
            "calibrated on {}, top-1 agreement {:.2} %",
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
            "{:>6}  {:<26}  {:>8}  {:>4}  {:>10}  {:>23}  {:>5}  {:>4}  {:>8}  {:>9}  {:>9}  {:>9}  {:>9}",
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
            "part"
        )?;
        for stage in &self.stages {
            let number = |n: Option<u8>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
            let enlarged = match stage.enlarged > 1.0 {
                true => format!("{:.2}", stage.enlarged),
                false => "-".to_owned(),
            };
            let index = stage
                .stage
                .map_or_else(|| "-".to_owned(), |k| k.to_string());
            writeln!(
                f,
                "{index:>6}  {:<26}  {:>8}  {:>4}  {:>10.3e}  {:>11.3e}…{:>11.3e}  {:>5}  {:>4}  {enlarged:>8}  {:>7.3} %  {:>7.3} %  {:>9.2e}  {:>7.3} %",
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
                100.0 * stage.part,
            )?;
        }
        if let Some(worst) = self.worst.and_then(|w| self.stages.get(w)) {
            match worst.stage {
                Some(k) => write!(f, "stage {k} ({})", worst.operation)?,
                None => write!(f, "the {}", worst.operation)?,
            }
            write!(
                f,
                " loses most: its rounding alone moves the output by {:.3} % of the range",
                100.0 * worst.part
            )?;
        }
        for (s, state) in self.states.iter().enumerate() {
            write!(
                f,
                "\nstate {s}: {} entries of {} bits, {:.3} % at an end; error",
                state.entries,
                state.bits,
                100.0 * state.saturation
            )?;
            for (frames, error) in &state.after {
                write!(f, " {error:.2e} after {frames},")?;
            }
            write!(f, " range {:.3e}", state.range)?;
        }
        for fill_in in &self.fill_ins {
            write!(
                f,
                "\nstage {} is computed although it is linear: {}",
                fill_in.stage, fill_in.reason
            )?;
        }
        Ok(())
    }
}
