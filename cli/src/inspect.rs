//! `layerfold inspect`.

use std::fmt::{self, Write};

use layerfold::{graph::Report, onnx::ImportReport, plan::Plan};
use serde_json::{Value, json};

use crate::{
    args::Inspect,
    console::{Console, Failure},
    data::Numbers,
    model::{Float, Integer, ModelFile, Network, Samples},
    plan::Expected,
    progress::Progress,
};

pub(crate) fn run(options: &Inspect, console: &Console) -> Result<(), Failure> {
    let file = ModelFile::read(&options.model.model)?;
    let float = file.import(&options.model)?;
    let calibration = match &options.quantisation.calibration {
        Some(path) => float.samples(&Numbers::read(path)?)?,
        None => {
            console.warn(
                "NO CALIBRATION: ranges, scales and errors are for RANDOM inputs from N(0, 1), not for \
                 yours; give typical inputs with --calibration FILE",
            );
            float.stand_ins()
        }
    };
    let integer = float
        .quantise(&calibration, &options.quantisation)
        .map_err(|e| match options.quantisation.calibration {
            Some(_) => e,
            None => e.of("on random inputs, for want of --calibration FILE"),
        })?;
    integer.warn_of_error(console);
    let plan = integer.plan(options.rows, &options.wishes)?;
    let report = match (&float.network, &integer, &calibration) {
        (Network::Network(graph), Integer::Network(integer), Samples::Rows(rows)) => {
            Some(integer.report(graph, rows)?)
        }
        _ => None,
    };
    let known = report.as_ref().map(|r| &r.cost);
    let chosen = (plan.chosen.schedule, plan.chosen.kind);
    let known = known.filter(|cost| (cost.schedule, cost.kind) == chosen);
    let progress = Progress::of_stages(console);
    let parts = known.map(|cost| cost.constraints.clone());
    let program = || integer.program(plan.chosen.schedule);
    let expected = Expected::new(&plan, options.rows, parts, program)?;
    drop(progress);
    let found = Found {
        float: &float,
        integer: &integer,
        plan: &plan,
        report: report.as_ref(),
        expected,
    };
    let mut text = String::new();
    found.write(&mut text)?;
    console.tell(&text, found.to_json())
}

/// What was found out about a model.
struct Found<'a> {
    float: &'a Float,
    integer: &'a Integer,
    plan: &'a Plan,
    report: Option<&'a Report>,
    expected: Expected<'a>,
}

impl Found<'_> {
    fn write(&self, text: &mut String) -> fmt::Result {
        let ImportReport {
            producer,
            opset,
            nodes,
            operators,
            parameters,
            folded,
            unused,
            input_shape,
            output_shape,
            notes,
            ..
        } = &self.float.report;
        write!(
            text,
            "model     {nodes} nodes, {folded} of constants, {unused} unused; opset {opset}"
        )?;
        match producer.trim() {
            "" => writeln!(text)?,
            producer => writeln!(text, ", by {}", printable(producer))?,
        }
        writeln!(text, "          {input_shape:?} → {output_shape:?}")?;
        let operators: Vec<String> = operators.iter().map(counted).collect();
        writeln!(text, "operators {}", operators.join(", "))?;
        writeln!(text, "weights   {parameters} in the file")?;
        for note in notes {
            writeln!(text, "          {note}")?;
        }
        match &self.float.network {
            Network::Network(graph) => writeln!(
                text,
                "network   {} values materialised, {} weights of the composed matrices between them",
                graph.stage_count(),
                graph.nonzeros()
            )?,
            Network::Sequence(model) => {
                write!(text, "network   recurrent,")?;
                for cell in model.cells() {
                    write!(text, " {}→{},", cell.inputs(), cell.hidden())?;
                }
                writeln!(
                    text,
                    " head of {} layers; {} weights and biases; output after {}",
                    model.head().len(),
                    model.parameter_count(),
                    match model.has_last_output_only() {
                        true => "the last frame",
                        false => "every frame",
                    }
                )?;
            }
        }
        let scales = self.integer.scales();
        writeln!(
            text,
            "integers  one unit of an input {:.4e}, of an output {:.4e}",
            scales.input, scales.output
        )?;
        if let Some(report) = self.report {
            writeln!(text, "\n{}", without_cost(report))?;
        }
        writeln!(text)?;
        self.expected.write_plan(text)?;
        self.expected.write_cost(text)
    }

    fn to_json(&self) -> Value {
        let import = &self.float.report;
        let network = match &self.float.network {
            Network::Network(graph) => json!({
                "kind": "graph",
                "values": graph.stage_count(),
                "weights": graph.nonzeros(),
            }),
            Network::Sequence(model) => json!({
                "kind": "sequence",
                "cells": model.cells().iter().map(|c| json!({"inputs": c.inputs(), "hidden": c.hidden()})).collect::<Value>(),
                "head": model.head().len(),
                "parameters": model.parameter_count(),
                "last_output_only": model.has_last_output_only(),
            }),
        };
        json!({
            "import": {
                "producer": import.producer,
                "opset": import.opset,
                "nodes": import.nodes,
                "operators": import.operators,
                "parameters": import.parameters,
                "folded": import.folded,
                "unused": import.unused,
                "input_shape": import.input_shape,
                "output_shape": import.output_shape,
                "notes": import.notes,
            },
            "network": network,
            "scales": self.integer.scales(),
            "quantisation": self.report,
            "plan": self.plan,
            "expected": self.expected.to_json(),
        })
    }
}

/// The comparison of a report alone: what a proof costs is told for the chosen schedule.
pub(crate) fn without_cost(report: &Report) -> String {
    let text = report.to_string();
    let comparison = text.strip_suffix(&report.cost.to_string());
    comparison.unwrap_or(&text).trim_end().to_owned()
}

/// An operator and how many nodes are of it.
fn counted((operator, nodes): (&String, &usize)) -> String {
    match nodes {
        1 => printable(operator),
        n => format!("{n} {}", printable(operator)),
    }
}

/// Text from a file, without what a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}
