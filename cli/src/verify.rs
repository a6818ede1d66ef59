//! `layerfold verify`.

use std::fmt::Write;

use layerfold::{ModelCommitment, Outputs, Params, Proof, Verifier, program::Program};
use serde_json::json;

use crate::{
    args::Verify,
    console::{Console, Failure},
    data::Numbers,
    files,
    progress::Progress,
    prove::{real_outputs, write_outputs},
    state,
};

/// Longest proof that is read: more than the library takes.
const MAX_PROOF: u64 = 1 << 27;
const MAX_SCALES: u64 = 1 << 16;

pub(crate) fn run(options: &Verify, console: &Console) -> Result<(), Failure> {
    let bytes = files::read(&options.proof, MAX_PROOF)?;
    let commitment = files::read(&options.model, state::MAX_COMMITMENT)?;
    let commitment = ModelCommitment::from_bytes(&commitment)
        .map_err(|e| Failure::contents(&options.model, e))?;
    let program = files::read(&options.program, state::MAX_PROGRAM)?;
    let program =
        Program::from_bytes(&program).map_err(|e| Failure::contents(&options.program, e))?;
    let outputs = match &options.expect_outputs {
        Some(path) => Some(Numbers::read(path)?.integers(program.output_shape().len)?),
        None => None,
    };
    let scales = match &options.scales {
        Some(path) => {
            let value = serde_json::from_slice(&files::read(path, MAX_SCALES)?);
            let value = value.map_err(|e| Failure::contents(path, e))?;
            let scales = state::scales(value, Some(&program));
            let problem = "not the scales of this program";
            Some(scales.ok_or_else(|| Failure::contents(path, problem))?)
        }
        None => None,
    };
    let proof = Proof::from_bytes(&bytes).map_err(|e| Failure::proof(&options.proof, &e))?;

    let progress = Progress::of_stages(console);
    let params = Params::setup(&program)?;
    let mut verifier = Verifier::new(&params, commitment);
    if let Some(context) = &options.context {
        verifier = verifier.context(&context.0);
    }
    if let Some(outputs) = &outputs {
        verifier = verifier.outputs(outputs);
    }
    let statement = verifier
        .verify(&proof)
        .map_err(|e| Failure::from(e).of(options.proof.display()))?;
    drop(progress);

    let mut text = format!("valid     {statement}\n");
    let mut object = json!({ "valid": true, "statement": statement });
    if let (Some(scales), Outputs::Public { vectors }) = (&scales, &statement.outputs) {
        writeln!(text)?;
        write_outputs(&mut text, vectors, scales)?;
        object["outputs"] = json!(real_outputs(vectors, scales));
    }
    console.tell(&text, object)
}
