//! From an ONNX file to integers.

use std::path::Path;

use layerfold::{
    Precision, Quantized as _, QuantizedSequence, Scales, SequenceModel,
    network::{Network, Precision as NetworkPrecision, Quantized},
    onnx::{self, ImportOptions, ImportReport, Imported},
    plan::Plan,
    program::{Program, Schedule},
    weights::WeightBank,
};
use ndarray::Array2;
use sha3::{Digest, Sha3_256};
use zeroize::Zeroizing;

use crate::{
    args::{self, Wishes},
    console::{Console, Failure, Kind},
    data::Numbers,
    files, plan,
};

/// Longest model file.
const MAX_BYTES: u64 = 1 << 30;
/// Random inputs that stand in for a calibration set; for recurrent networks, frames.
const STAND_INS: usize = 64;

/// The bytes of a model file, with their digest.
pub(crate) struct ModelFile {
    bytes: Zeroizing<Vec<u8>>,
    /// SHA3-256. Whoever has it can test guesses of the weights.
    pub(crate) digest: Zeroizing<[u8; 32]>,
}

/// A network as the file has it.
pub(crate) struct Float {
    pub(crate) network: Network,
    pub(crate) report: ImportReport,
}

/// A network on floats.
pub(crate) enum Network {
    Network(Network),
    Sequence(SequenceModel),
}

/// Inputs that ranges are taken from.
pub(crate) enum Samples {
    Rows(Array2<f32>),
    Sequences(Vec<Array2<f32>>),
}

/// A network on integers.
pub(crate) enum Integer {
    Network(Box<Quantized>),
    Sequence(Box<QuantizedSequence>),
}

impl ModelFile {
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = files::read(path, MAX_BYTES)?;
        let digest = Zeroizing::new(Sha3_256::digest(bytes.as_slice()).into());
        Ok(Self { bytes, digest })
    }

    /// The digest alone: the float weights are zeroised.
    pub(crate) fn into_digest(self) -> Zeroizing<[u8; 32]> {
        self.digest
    }

    pub(crate) fn import(&self, options: &args::Model) -> Result<Float, Failure> {
        let mut import = ImportOptions::new()
            .max_file_bytes(MAX_BYTES)
            .drop_softmax(options.drop_softmax);
        if let Some(name) = &options.output_value {
            import = import.output(name);
        }
        if let Some(shape) = &options.input_shape {
            import = import.input_shape(shape.iter().copied());
        }
        for (name, size) in &options.dimension {
            import = import.dimension(name, *size);
        }
        let path = options.model.display();
        let imported = onnx::from_bytes_with(&self.bytes, &import)
            .map_err(|e| Failure::from(e).of(path.to_string()))?;
        let network = match imported.model {
            Imported::Network(graph) => Network::Network(graph),
            Imported::Sequence(model) => Network::Sequence(model),
            _ => {
                let problem = "a kind of network that this program does not know";
                return Err(Failure::contents(&options.model, problem));
            }
        };
        Ok(Float {
            network,
            report: imported.report,
        })
    }
}

impl Float {
    /// Entries of an input, or of a frame.
    pub(crate) fn input_len(&self) -> usize {
        match &self.network {
            Network::Network(graph) => graph.input_len(),
            Network::Sequence(model) => model.input_len(),
        }
    }

    /// Inputs, or sequences, of a file.
    pub(crate) fn samples(&self, numbers: &Numbers) -> Result<Samples, Failure> {
        let len = self.input_len();
        Ok(match &self.network {
            Network::Network(_) => Samples::Rows(numbers.inputs(&self.report.input_shape)?),
            Network::Sequence(_) => Samples::Sequences(numbers.sequences(len)?),
        })
    }

    /// Inputs from the standard normal distribution, always the same.
    pub(crate) fn stand_ins(&self) -> Samples {
        let mut draw = normal();
        let rows = Array2::from_shape_simple_fn((STAND_INS, self.input_len()), &mut draw);
        match &self.network {
            Network::Network(_) => Samples::Rows(rows),
            Network::Sequence(_) => Samples::Sequences(vec![rows]),
        }
    }

    /// The network on integers.
    pub(crate) fn quantise(
        &self,
        samples: &Samples,
        options: &args::Quantisation,
    ) -> Result<Integer, Failure> {
        match (&self.network, samples) {
            (Network::Network(graph), Samples::Rows(rows)) => {
                let mut precision = NetworkPrecision::default().activation_bits(options.bits);
                if let Some(error) = options.target_error {
                    precision = precision.target_error(error);
                }
                let quantised = graph.quantize(rows, &precision)?;
                Ok(Integer::Network(Box::new(quantised)))
            }
            (Network::Sequence(model), Samples::Sequences(sequences)) => {
                if options.target_error.is_some() {
                    return Err(Failure::new(
                        Kind::Usage,
                        "--target-error is not for recurrent networks",
                    ));
                }
                let precision = Precision::default().activation_bits(options.bits);
                let quantised = model.quantize(sequences, precision)?;
                Ok(Integer::Sequence(Box::new(quantised)))
            }
            _ => Err(Failure::new(
                Kind::Defect,
                "samples of another kind of network",
            )),
        }
    }
}

impl Integer {
    /// Warns if the target error was out of reach.
    pub(crate) fn warn_of_error(&self, console: &Console) {
        let Self::Network(graph) = self else { return };
        if let Some(error) = graph.missed_target() {
            console.warn(format!(
                "the target error is out of reach: the largest in calibration is {error:.2e} of the range"
            ));
        }
    }

    pub(crate) fn bank(&self) -> &WeightBank {
        match self {
            Self::Network(graph) => graph.bank(),
            Self::Sequence(sequence) => sequence.bank(),
        }
    }

    pub(crate) fn scales(&self) -> Scales {
        match self {
            Self::Network(graph) => Quantized::end_scales(graph.as_ref()),
            Self::Sequence(sequence) => sequence.end_scales(),
        }
    }

    /// The schedules for a proof of so many rows.
    pub(crate) fn plan(&self, rows: u64, wishes: &Wishes) -> Result<Plan, Failure> {
        let planner = plan::planner(wishes);
        let plan = match self {
            Self::Network(graph) => graph.plan(&planner, rows).map_err(Failure::from),
            Self::Sequence(sequence) => planner
                .plan_sequence(sequence.shape(), rows)
                .map_err(|e| Failure::new(Kind::Unsupported, e.to_string())),
        };
        plan.map_err(|e| e.of("no schedule"))
    }

    pub(crate) fn program(&self, schedule: Schedule) -> Result<Program, Failure> {
        Ok(match self {
            Self::Network(graph) => graph.program_with(schedule)?,
            Self::Sequence(sequence) => sequence.program(schedule.frames_per_step())?,
        })
    }
}

/// Draws from the standard normal distribution (Box and Muller, 1958), of a fixed seed.
fn normal() -> impl FnMut() -> f32 {
    // SplitMix64 (Steele, Lea and Flood, 2014).
    let mut state = 0u64;
    let mut uniform = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // In (0, 1).
        (((z ^ (z >> 31)) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    };
    move || {
        let radius = (-2.0 * uniform().ln()).sqrt();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "rounded to single precision"
        )]
        let x = (radius * (std::f64::consts::TAU * uniform()).cos()) as f32;
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stand_ins_are_standard_normal() {
        let mut draw = normal();
        let drawn: Vec<f64> = (0..20_000).map(|_| f64::from(draw())).collect();
        let mean = drawn.iter().sum::<f64>() / 20_000.0;
        let variance = drawn.iter().map(|x| x * x).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05);
    }
}
