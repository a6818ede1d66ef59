//! `layerfold inspect`.

use std::fmt::{self, Write};

use layerfold::{graph::GraphReport, onnx::ImportReport, plan::Plan};
use serde_json::{Value, json};

use crate::{
    args::Inspect,
    console::{Console, Failure},
    data::Numbers,
    model::{Float, Integer, ModelFile, Network, Samples},
    plan::Sizes,
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
    let plan = integer.plan(options.rows, options.max_memory)?;
    let report = match (&float.network, &integer, &calibration) {
        (Network::Graph(graph), Integer::Graph(integer), Samples::Rows(rows)) => {
            Some(integer.report(graph, rows)?)
        }
        _ => None,
    };
    let found = Found {
        float: &float,
        integer: &integer,
        plan: &plan,
        report: report.as_ref(),
        rows: options.rows,
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
    report: Option<&'a GraphReport>,
    rows: u64,
}

impl Found<'_> {
    fn write(&self, text: &mut String) -> fmt::Result {
        let ImportReport {
            producer,
            opset,
            nodes,
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
        for note in notes {
            writeln!(text, "          {note}")?;
        }
        match &self.float.network {
            Network::Graph(graph) => writeln!(
                text,
                "network   {} values computed, {} weights of composed matrices",
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
            writeln!(text, "\n{report}")?;
        }
        let rows = match self.rows {
            1 => "one row".to_owned(),
            n => format!("{n} rows"),
        };
        writeln!(text, "\nplan for one proof of {rows}\n{}", self.plan)?;
        let chosen = &self.plan.chosen;
        let sizes = Sizes::of(chosen.size);
        writeln!(
            text,
            "\nexpected  {:.1} CPU s, {:.0} MiB, proof of about {:.1} kB without public vectors, keys of about {:.0} MiB",
            chosen.cost.total(),
            chosen.cost.peak_mib,
            sizes.proof as f64 / 1e3,
            sizes.keys as f64 / f64::from(1 << 20)
        )
    }

    fn to_json(&self) -> Value {
        let import = &self.float.report;
        let network = match &self.float.network {
            Network::Graph(graph) => json!({
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
        let chosen = &self.plan.chosen;
        let sizes = Sizes::of(chosen.size);
        json!({
            "import": {
                "producer": import.producer,
                "opset": import.opset,
                "nodes": import.nodes,
                "folded": import.folded,
                "unused": import.unused,
                "input_shape": import.input_shape,
                "output_shape": import.output_shape,
                "notes": import.notes,
            },
            "network": network,
            "scales": self.integer.scales(),
            "quantisation": self.report,
            "rows": self.rows,
            "plan": self.plan,
            "expected": {
                "cpu_s": chosen.cost.total(),
                "peak_mib": chosen.cost.peak_mib,
                "proof_bytes": sizes.proof,
                "key_bytes": sizes.keys,
            },
        })
    }
}

/// Text from a file, without what a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}
