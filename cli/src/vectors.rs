//! Inputs and outputs as people read them.

use std::fmt::{self, Write};

use layerfold::Scales;

/// Vectors and entries that are written; there may be more.
const LINES: usize = 20;
const ENTRIES: usize = 16;

/// Outputs as real values.
pub(crate) fn real(outputs: &[Vec<i64>], scales: &Scales) -> Vec<Vec<f32>> {
    let real = |y: &Vec<i64>| scales.dequantize_output(y).to_vec();
    outputs.iter().map(real).collect()
}

/// The first vectors, the first entries of each: as real values of outputs if there are scales, and
/// otherwise the integers.
pub(crate) fn write(
    text: &mut String,
    name: &str,
    vectors: &[Vec<i64>],
    scales: Option<&Scales>,
) -> fmt::Result {
    for (index, vector) in vectors.iter().take(LINES).enumerate() {
        let entries = &vector[..vector.len().min(ENTRIES)];
        let entries: Vec<String> = match scales {
            Some(scales) => {
                let real = scales.dequantize_output(entries);
                real.iter().map(|y| format!("{y:.4}")).collect()
            }
            None => entries.iter().map(ToString::to_string).collect(),
        };
        write!(text, "{name} {:<3} [{}", index + 1, entries.join(", "))?;
        let more = vector.len() - entries.len();
        if more > 0 {
            write!(text, ", … {more} more")?;
        }
        // Of equal ones the first.
        let largest = vector.iter().zip(0..).max_by_key(|(y, k)| (**y, -*k));
        match largest {
            Some((_, k)) if name == "output" && vector.len() > 1 => {
                writeln!(text, "], largest: {k}")?;
            }
            _ => writeln!(text, "]")?,
        }
    }
    match vectors.len().saturating_sub(LINES) {
        0 => Ok(()),
        more => writeln!(text, "… {more} more; --json prints all"),
    }
}
