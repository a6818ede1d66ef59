//! `layerfold verify`.

use std::{
    fmt::{self, Write},
    path::PathBuf,
};

use layerfold::{Inputs, Outputs, Params, Proof, Scales, Statement, Verifier, program::Program};
use serde_json::{Value, json};

use crate::{
    args::Verify,
    console::{Console, Failure},
    data::Numbers,
    files,
    progress::Progress,
    published::Published,
    state,
    vectors::{self, real},
};

/// Longest proof that is read: more than the library takes.
const MAX_PROOF: u64 = 1 << 27;
const MAX_SCALES: u64 = 1 << 16;

pub(crate) fn run(options: &Verify, console: &Console) -> Result<(), Failure> {
    let bytes = files::read(&options.proof, MAX_PROOF)?;
    let Published {
        program,
        commitment,
        from,
    } = Published::read(&options.model, options.program.as_deref())?;
    let expected = |path: &Option<PathBuf>, len: usize| -> Result<Option<Vec<Vec<i64>>>, Failure> {
        Ok(match path {
            Some(path) => Some(Numbers::read(path)?.integers(len)?),
            None => None,
        })
    };
    let inputs = expected(&options.expect_inputs, program.frame_shape().len)?;
    let outputs = expected(&options.expect_outputs, program.output_shape().len)?;
    let scales = match &options.scales {
        Some(path) => {
            let value = serde_json::from_slice(&files::read(path, MAX_SCALES)?);
            let value: Value = value.map_err(|e| Failure::unreadable(path, e))?;
            if value["model"] != json!(commitment.digest().to_string()) {
                let problem = "the scales of another model, or of another commitment to it";
                return Err(Failure::invalid(path, problem));
            }
            let scales = state::scales(value, Some(&program));
            let problem = "not the scales of this program";
            Some(scales.ok_or_else(|| Failure::unreadable(path, problem))?)
        }
        None => None,
    };
    let model = commitment.digest();
    if options.expect_model.is_some_and(|d| d != *model.as_bytes()) {
        let problem = format!("a commitment to model {model}, not to the expected one");
        return Err(Failure::invalid(&options.model, problem));
    }
    let digest = program.digest();
    if options.expect_program.is_some_and(|d| d != digest) {
        let problem = format!("program {}, not the expected one", hex::encode(digest));
        return Err(Failure::invalid(&from, problem));
    }
    let proof = Proof::from_bytes(&bytes).map_err(|e| Failure::unreadable(&options.proof, e))?;

    let progress = Progress::of_stages(console);
    let params = Params::for_proof(&program, &proof)?;
    let mut verifier = Verifier::new(&params, commitment);
    if let Some(context) = &options.context {
        verifier = verifier.context(&context.0);
    }
    if let Some(rows) = options.expect_rows {
        verifier = verifier.frames(rows);
    }
    if let Some(inputs) = &inputs {
        verifier = verifier.inputs(inputs);
    }
    if let Some(outputs) = &outputs {
        verifier = verifier.outputs(outputs);
    }
    let statement = verifier
        .verify(&proof)
        .map_err(|e| Failure::from(e).of(options.proof.display()))?;
    drop(progress);

    let mut text = format!("valid     {}\n", options.proof.display());
    describe(&mut text, &statement, &program)?;
    writeln!(
        text,
        "\nThe program is the one in {}: whoever published it says what it computes. That it ran with the\n\
         committed weights on such inputs, and gave such outputs, is proved.",
        from.display()
    )?;
    let mut object = json!({
        "valid": true,
        "statement": statement,
        "program": program_json(&program),
    });
    object["program"]["file"] = json!(from);
    if let Outputs::Public { vectors } = &statement.outputs {
        writeln!(text)?;
        vectors::write(&mut text, "output", vectors, None)?;
        match (&options.scales, &scales) {
            (Some(path), Some(scales)) => {
                writeln!(text, "\nby the scales in {}, not proved:", path.display())?;
                vectors::write(&mut text, "output", vectors, Some(scales))?;
            }
            _ => writeln!(
                text,
                "(integers; --scales FILE shows real values, if the prover gave scales)"
            )?,
        }
        if let Some(scales) = &scales {
            object["outputs"] = json!(real(vectors, scales));
        }
    }
    if let Inputs::Public { frames } = &statement.inputs {
        writeln!(text)?;
        vectors::write(&mut text, "input", frames, None)?;
        if let Some(scales) = &scales {
            object["inputs"] = json!(real_inputs(frames, scales));
        }
    }
    console.tell(&text, object)
}

/// What was proved, and what of it is public: a line each.
pub(crate) fn describe(text: &mut String, statement: &Statement, program: &Program) -> fmt::Result {
    let plural = |n: u64, what: &str| match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    };
    let (input, output) = (program.frame_shape(), program.output_shape());
    writeln!(text, "model     {}", statement.model)?;
    writeln!(
        text,
        "program   {}: {} of {} bits → {} of {} bits",
        hex::encode(statement.program),
        plural(input.len as u64, "number"),
        input.range.signed_bits(),
        plural(output.len as u64, "number"),
        output.range.signed_bits()
    )?;
    writeln!(
        text,
        "run       {} in {}, {} proof",
        plural(statement.frames, "input"),
        plural(statement.steps, "step"),
        statement.kind
    )?;
    match &statement.inputs {
        Inputs::Private { digest } => writeln!(text, "inputs    hidden; salted digest {digest}")?,
        Inputs::Public { .. } => writeln!(text, "inputs    public")?,
    }
    match &statement.outputs {
        Outputs::Hidden { digest } => writeln!(text, "outputs   hidden; salted digest {digest}")?,
        Outputs::Public { .. } => writeln!(text, "outputs   public")?,
    }
    if !statement.parameters.is_empty() {
        writeln!(text, "given     parameters {:?}", statement.parameters)?;
    }
    match std::str::from_utf8(&statement.context) {
        Ok("") => writeln!(text, "context   none"),
        Ok(context) if !context.chars().any(char::is_control) => {
            writeln!(text, "context   \"{context}\"")
        }
        _ => writeln!(text, "context   0x{}", hex::encode(&statement.context)),
    }
}

/// The public side of a program.
pub(crate) fn program_json(program: &Program) -> Value {
    let (input, output) = (program.frame_shape(), program.output_shape());
    json!({
        "digest": hex::encode(program.digest()),
        "inputs": input.len,
        "input_bits": input.range.signed_bits(),
        "outputs": output.len,
        "output_bits": output.range.signed_bits(),
    })
}

fn real_inputs(frames: &[Vec<i64>], scales: &Scales) -> Vec<Vec<f64>> {
    let real = |frame: &Vec<i64>| frame.iter().map(|q| *q as f64 * scales.input).collect();
    frames.iter().map(real).collect()
}
