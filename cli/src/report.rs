//! `layerfold report`.

use std::{fmt::Write, path::Path};

use layerfold::{Network, Quantized};
use ndarray::{Array1, Array2};
use serde_json::{Value, json};

use crate::{
    args::{Report, Wishes},
    console::{Console, Failure, Kind},
    data::Numbers,
    model::{ModelFile, Samples},
    plan::{Expected, planned},
    progress::Progress,
};

pub(crate) fn run(options: &Report, console: &Console) -> Result<(), Failure> {
    let file = ModelFile::read(&options.model.model)?;
    let float = file.import(&options.model)?;
    let numbers = Numbers::read(&options.samples)?;
    let samples = float.samples(&numbers)?;
    let calibration = match &options.quantisation.calibration {
        Some(path) => Some(float.samples(&Numbers::read(path)?)?),
        None => {
            console.warn(
                "ranges are taken from the samples that are compared on, for want of --calibration FILE: \
                 errors on other inputs may be larger",
            );
            None
        }
    };
    let calibration = calibration.as_ref().unwrap_or(&samples);
    let integer = float.quantise(calibration, &options.quantisation, console)?;
    let report = match &samples {
        Samples::Rows(rows) => integer.report(&float.network, rows)?,
        Samples::Sequences(sequences) => integer.report(&float.network, sequences)?,
    };
    let mut text = format!("{report}\n");
    let mut object = json!({ "report": report });
    match (&options.labels, &samples) {
        (None, _) => {}
        (Some(labels), Samples::Rows(rows)) => {
            let accuracy = accuracy(labels, &float.network, &integer, rows, &mut text)?;
            object["accuracy"] = accuracy;
        }
        (Some(_), Samples::Sequences(_)) => {
            return Err(Failure::new(
                Kind::Usage,
                "--labels is not for recurrent networks",
            ));
        }
    }
    let plan = planned(integer.program(), options.rows, &Wishes::default())?;
    let progress = Progress::of_stages(console);
    let expected = Expected::new(&plan, options.rows, integer.program())?;
    drop(progress);
    writeln!(text)?;
    expected.write_cost(&mut text)?;
    object["expected"] = expected.to_json();
    console.tell(&text, object)
}

/// Shares of labelled samples that both networks get right.
fn accuracy(
    path: &Path,
    network: &Network,
    integer: &Quantized,
    rows: &Array2<f32>,
    text: &mut String,
) -> Result<Value, Failure> {
    let numbers = Numbers::read(path)?;
    let labels = numbers.integers(1)?;
    if labels.len() != rows.nrows() {
        let problem = format!("{} labels for {} samples", labels.len(), rows.nrows());
        return Err(numbers.fails(problem).into());
    }
    let is_index = network.output_len() == 1;
    let (mut float, mut exact) = (0usize, 0usize);
    for (row, label) in rows.rows().into_iter().zip(labels.iter().flatten()) {
        let right = |output: Array1<f32>| class(&output, is_index) == Some(*label);
        float += usize::from(right(network.infer(row)?));
        exact += usize::from(right(integer.infer(row)?));
    }
    let share = |right: usize| right as f64 / labels.len().max(1) as f64;
    writeln!(
        text,
        "right on {} labelled samples: float {:.2} %, integers {:.2} %",
        labels.len(),
        100.0 * share(float),
        100.0 * share(exact)
    )?;
    Ok(json!({
        "samples": labels.len(),
        "float": share(float),
        "integer": share(exact),
    }))
}

/// The index of the largest output, of equal ones the first; a single output is taken for an index.
fn class(output: &Array1<f32>, is_index: bool) -> Option<i64> {
    if is_index {
        #[expect(clippy::cast_possible_truncation, reason = "saturates")]
        return output.first().map(|y| y.round() as i64);
    }
    let mut best: Option<(i64, f32)> = None;
    for (index, y) in (0..).zip(output) {
        if best.is_none_or(|(_, most)| *y > most) {
            best = Some((index, *y));
        }
    }
    best.map(|(index, _)| index)
}
