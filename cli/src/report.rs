//! `layerfold report`.

use std::fmt::Write;

use layerfold::{QuantizedSequence, SequenceModel, graph::Network, graph::Quantized};
use ndarray::{Array1, Array2};
use serde_json::{Value, json};

use crate::{
    args::{Report, Wishes},
    console::{Console, Failure, Kind},
    data::Numbers,
    inspect::without_cost,
    model::{Integer, ModelFile, Network, Samples},
    plan::Expected,
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
    let integer = float.quantise(
        calibration.as_ref().unwrap_or(&samples),
        &options.quantisation,
    )?;
    integer.warn_of_error(console);
    let mut told = match (&float.network, &integer, &samples) {
        (Network::Network(graph), Integer::Network(integer), Samples::Rows(rows)) => {
            of_graph(options, graph, integer, rows)?
        }
        (Network::Sequence(model), Integer::Sequence(integer), Samples::Sequences(sequences)) => {
            of_sequences(options, model, integer, sequences)?
        }
        _ => {
            let problem = "samples of another kind of network";
            return Err(Failure::new(Kind::Defect, problem));
        }
    };
    let plan = integer.plan(options.rows, &Wishes::default())?;
    let progress = Progress::of_stages(console);
    let program = || integer.program(plan.chosen.schedule);
    let expected = Expected::new(&plan, options.rows, told.parts.take(), program)?;
    drop(progress);
    writeln!(told.text)?;
    expected.write_cost(&mut told.text)?;
    told.object["expected"] = expected.to_json();
    console.tell(&told.text, told.object)
}

/// A comparison, as text and as an object.
struct Told {
    text: String,
    object: Value,
    /// Constraints of a step by part, if they were counted.
    parts: Option<Vec<(String, usize)>>,
}

fn of_graph(
    options: &Report,
    graph: &Network,
    integer: &Quantized,
    rows: &Array2<f32>,
) -> Result<Told, Failure> {
    let report = integer.report(graph, rows)?;
    let mut text = without_cost(&report) + "\n";
    let mut object = json!({ "report": report });
    if let Some(path) = &options.labels {
        let numbers = Numbers::read(path)?;
        let labels = numbers.integers(1)?;
        if labels.len() != rows.nrows() {
            let problem = format!("{} labels for {} samples", labels.len(), rows.nrows());
            return Err(numbers.fails(problem).into());
        }
        let is_index = graph.output_len() == 1;
        let (mut float, mut exact) = (0usize, 0usize);
        for (row, label) in rows.rows().into_iter().zip(labels.iter().flatten()) {
            let right = |output: Array1<f32>| class(&output, is_index) == Some(*label);
            float += usize::from(right(graph.infer(row)?));
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
        object["accuracy"] = json!({
            "samples": labels.len(),
            "float": share(float),
            "integer": share(exact),
        });
    }
    let parts = (options.rows == 1).then(|| report.cost.constraints.clone());
    Ok(Told {
        text,
        object,
        parts,
    })
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

fn of_sequences(
    options: &Report,
    model: &SequenceModel,
    integer: &QuantizedSequence,
    sequences: &[Array2<f32>],
) -> Result<Told, Failure> {
    if options.labels.is_some() {
        return Err(Failure::new(
            Kind::Usage,
            "--labels is not for recurrent networks",
        ));
    }
    let mut text = String::new();
    let mut drifts = Vec::new();
    for (index, sequence) in sequences.iter().enumerate() {
        // After 1, 10, 100, … frames and at the end.
        let frames = sequence.nrows();
        let mut at: Vec<usize> = std::iter::successors(Some(1usize), |n| n.checked_mul(10))
            .take_while(|n| *n < frames)
            .collect();
        at.push(frames);
        let drift = integer.drift(model, sequence.view(), &at)?;
        writeln!(text, "sequence {} of {frames} frames\n{drift}", index + 1)?;
        drifts.push(drift);
    }
    Ok(Told {
        text,
        object: json!({ "sequences": drifts }),
        parts: None,
    })
}
