//! `layerfold report`.

use std::fmt::Write;

use layerfold::{QuantizedSequence, SequenceModel, graph::Graph, graph::QuantizedGraph};
use ndarray::{Array1, Array2};
use serde_json::json;

use crate::{
    args::Report,
    console::{Console, Failure, Kind},
    data::Numbers,
    model::{Integer, ModelFile, Network, Samples},
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
    match (&float.network, &integer, &samples) {
        (Network::Graph(graph), Integer::Graph(integer), Samples::Rows(rows)) => {
            of_graph(options, graph, integer, rows, console)
        }
        (Network::Sequence(model), Integer::Sequence(integer), Samples::Sequences(sequences)) => {
            of_sequences(options, model, integer, sequences, console)
        }
        _ => Err(Failure::new(
            Kind::Defect,
            "samples of another kind of network",
        )),
    }
}

fn of_graph(
    options: &Report,
    graph: &Graph,
    integer: &QuantizedGraph,
    rows: &Array2<f32>,
    console: &Console,
) -> Result<(), Failure> {
    let report = integer.report(graph, rows)?;
    let mut text = format!("{report}\n");
    let mut object = json!({ "report": report });
    if let Some(path) = &options.labels {
        let numbers = Numbers::read(path)?;
        let labels = numbers.integers(1)?;
        if labels.len() != rows.nrows() {
            return Err(numbers.fails(format!(
                "{} labels for {} samples",
                labels.len(),
                rows.nrows()
            )));
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
    console.tell(&text, object)
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
    console: &Console,
) -> Result<(), Failure> {
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
    console.tell(&text, json!({ "sequences": drifts }))
}
