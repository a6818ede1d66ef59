//! Verifies a proof from files: the program, the model commitment, the proof.
//!
//! ```text
//! cargo run --release --example verify [-- FOLDER]
//! ```
//!
//! Exit code 0: the proof holds; 1: it does not; 2: something could not be read.
#![expect(clippy::print_stdout, reason = "an example talks to people")]
#![expect(clippy::print_stderr, reason = "an example talks to people")]

use std::{error::Error, fs, path::PathBuf, process::ExitCode, time::Instant};

use layerfold::{ModelCommitment, Params, Proof, Verifier, program::Program};

fn read(folder: &std::path::Path) -> Result<(Verifier, Proof), Box<dyn Error>> {
    let program = Program::from_bytes(&fs::read(folder.join("program.bin"))?)?;
    let commitment = ModelCommitment::from_bytes(&fs::read(folder.join("model.bin"))?)?;
    let proof = Proof::from_bytes(&fs::read(folder.join("proof.bin"))?)?;
    Ok((Verifier::new(&Params::setup(&program)?, commitment), proof))
}

fn main() -> ExitCode {
    let folder = std::env::args().nth(1);
    let folder = PathBuf::from(folder.unwrap_or("target/mnist-proof".to_owned()));
    let (verifier, proof) = match read(&folder) {
        Ok(parts) => parts,
        Err(e) => {
            eprintln!("{}: could not read: {e}", folder.display());
            return ExitCode::from(2);
        }
    };
    let started = Instant::now();
    match verifier.verify(&proof) {
        Ok(statement) => {
            println!("valid     {statement}");
            println!("verify    {:.2?}", started.elapsed());
            ExitCode::SUCCESS
        }
        Err(e) => {
            println!("INVALID   {e}");
            ExitCode::FAILURE
        }
    }
}
