//! From an ONNX file to integers.

use std::path::Path;

use layerfold::{
    Network, Precision, Quantized,
    onnx::{self, ImportOptions, ImportReport},
};
use ndarray::{Array2, Axis};
use sha3::{Digest, Sha3_256};
use zeroize::Zeroizing;

use crate::{
    args::{self},
    console::{Console, Failure},
    data::Numbers,
    files,
};

/// Longest model file.
const MAX_BYTES: u64 = 1 << 30;
/// Random inputs that stand in for a calibration set; for recurrent networks, frames.
const STAND_INS: usize = 64;

/// An error in calibration, relative to the outputs' range, that is worth a word.
const LARGE_ERROR: f64 = 0.1;

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

/// Inputs, each of its frames; of one frame without state.
pub(crate) type Samples = Vec<Array2<f32>>;

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
        Ok(Float {
            network: imported.network,
            report: imported.report,
        })
    }
}

impl Float {
    /// Whether an input is a frame of a sequence.
    pub(crate) fn is_sequence(&self) -> bool {
        self.network.has_state() || self.network.has_last_output_only()
    }

    /// Inputs, or sequences, of a file.
    pub(crate) fn samples(&self, numbers: &Numbers) -> Result<Samples, Failure> {
        Ok(match self.is_sequence() {
            false => self.of_rows(numbers.inputs(&self.report.input_shape)?),
            true => numbers.sequences(self.network.input_len())?,
        })
    }

    /// The rows that a proof is about: inputs, or the frames of one sequence.
    pub(crate) fn rows(&self, numbers: &Numbers) -> Result<Array2<f32>, Failure> {
        Ok(match self.is_sequence() {
            false => numbers.inputs(&self.report.input_shape)?,
            true => numbers.one_sequence(self.network.input_len())?,
        })
    }

    /// Inputs from the standard normal distribution, always the same.
    pub(crate) fn stand_ins(&self) -> Samples {
        let mut draw = normal();
        let rows = Array2::from_shape_simple_fn((STAND_INS, self.network.input_len()), &mut draw);
        self.of_rows(rows)
    }

    /// These rows as inputs, or as one sequence.
    pub(crate) fn of_rows(&self, rows: Array2<f32>) -> Samples {
        match self.is_sequence() {
            false => {
                let each = rows.axis_chunks_iter(Axis(0), 1);
                each.map(|row| row.to_owned()).collect()
            }
            true => vec![rows],
        }
    }

    /// The network on integers. Warns if they are far from the floats.
    pub(crate) fn quantise(
        &self,
        samples: &Samples,
        options: &args::Quantisation,
        console: &Console,
    ) -> Result<Quantized, Failure> {
        let mut precision = Precision::default().activation_bits(options.bits);
        if let Some(error) = options.target_error {
            precision = precision.target_error(error);
        }
        let quantised = self.network.quantize(samples, &precision)?;
        let error = quantised.calibration_error().unwrap_or(0.0);
        if let Some(error) = quantised.missed_target() {
            console.warn(format!(
                "the target error is out of reach: the largest in calibration is {error:.2e} of the range"
            ));
        } else if error > LARGE_ERROR {
            console.warn(format!(
                "the integers are off by {:.0} % of the outputs' range in calibration: `layerfold report` shows where, --bits or --target-error mends it",
                100.0 * error
            ));
        }
        Ok(quantised)
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
