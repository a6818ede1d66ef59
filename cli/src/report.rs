//! `layerfold report`.

use std::{fmt::Write, path::Path};

use serde_json::json;

use crate::{
    args::{Report, Wishes},
    console::{Console, Failure},
    data::Numbers,
    model::ModelFile,
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
    let report = integer.report(&float.network, &samples)?;
    let mut text = format!("{report}\n");
    let mut object = json!({ "report": report });
    if let Some(path) = &options.labels {
        let labels = labels(path, samples.len())?;
        let accuracy = integer.accuracy(&float.network, &samples, &labels);
        let accuracy = accuracy.map_err(|e| Failure::from(e).of(path.display().to_string()))?;
        writeln!(
            text,
            "right on {} labelled samples: float {:.2} %, integers {:.2} %",
            accuracy.samples,
            100.0 * accuracy.float,
            100.0 * accuracy.integer
        )?;
        object["accuracy"] = json!(accuracy);
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

/// Indices of outputs, one for each of `count` samples.
fn labels(path: &Path, count: usize) -> Result<Vec<usize>, Failure> {
    let numbers = Numbers::read(path)?;
    let labels = numbers.integers(1)?;
    if labels.len() != count {
        let problem = format!("{} labels for {count} samples", labels.len());
        return Err(numbers.fails(problem).into());
    }
    let index = |label: i64| {
        usize::try_from(label).map_err(|_| numbers.fails(format!("{label} is no label")).into())
    };
    labels.into_iter().flatten().map(index).collect()
}
