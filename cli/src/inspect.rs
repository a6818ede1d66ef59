//! `layerfold inspect`.

use std::fmt::{self, Write};

use layerfold::{Quantized, network::Report, onnx::ImportReport, plan::Plan};
use serde_json::{Value, json};

use crate::{
    args::Inspect,
    console::{Console, Failure},
    data::Numbers,
    model::{Float, ModelFile},
    plan::{Expected, planned},
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
        .quantise(&calibration, &options.quantisation, console)
        .map_err(|e| match options.quantisation.calibration {
            Some(_) => e,
            None => e.of("on random inputs, for want of --calibration FILE"),
        })?;
    let plan = planned(integer.program(), options.rows, &options.wishes)?;
    let report = integer.report(&float.network, &calibration)?;
    let progress = Progress::of_stages(console);
    let expected = Expected::new(&plan, options.rows, integer.program())?;
    drop(progress);
    let found = Found {
        float: &float,
        integer: &integer,
        plan: &plan,
        report: &report,
        expected,
    };
    let mut text = String::new();
    found.write(&mut text)?;
    console.tell(&text, found.to_json())
}

/// What was found out about a model.
struct Found<'a> {
    float: &'a Float,
    integer: &'a Quantized,
    plan: &'a Plan,
    report: &'a Report,
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
            producer => writeln!(text, ", by {}", short(producer))?,
        }
        writeln!(text, "          {input_shape:?} → {output_shape:?}")?;
        let operators: Vec<String> = operators.iter().map(counted).collect();
        writeln!(text, "operators {}", operators.join(", "))?;
        writeln!(text, "weights   {parameters} in the file")?;
        for note in notes {
            writeln!(text, "          {note}")?;
        }
        let network = &self.float.network;
        writeln!(
            text,
            "network   {} values materialised, {} entries of the composed matrices between them",
            network.stage_count(),
            network.nonzeros()
        )?;
        if network.has_state() {
            writeln!(
                text,
                "          recurrent: {} values are left to the next frame; output after {}",
                network.state_count(),
                match network.has_last_output_only() {
                    true => "the last frame",
                    false => "every frame",
                }
            )?;
        }
        let scales = self.integer.scales();
        writeln!(
            text,
            "integers  one unit of an input {:.4e}, of an output {:.4e}",
            scales.input, scales.output
        )?;
        writeln!(text, "\n{}", self.report)?;
        writeln!(text)?;
        self.expected.write_plan(text)?;
        self.expected.write_cost(text)
    }

    fn to_json(&self) -> Value {
        let import = &self.float.report;
        let network = &self.float.network;
        let network = json!({
            "values": network.stage_count(),
            "entries": network.nonzeros(),
            "states": network.state_count(),
            "last_output_only": network.has_last_output_only(),
        });
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

/// An operator and how many nodes are of it.
fn counted((operator, nodes): (&String, &usize)) -> String {
    match nodes {
        1 => short(operator),
        n => format!("{n} {}", short(operator)),
    }
}

/// The beginning of a text from the file; what a terminal would obey is escaped already.
fn short(text: &str) -> String {
    text.chars().take(80).collect()
}
