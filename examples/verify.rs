//! Verifies a proof from files: the program, the model commitment, the proof.
//!
//! ```text
//! cargo run --release --example verify [-- FOLDER]
//! ```
//!
//! Exit code 0: the proof holds; 1: it was read and does not hold; 2: a file is missing, or is no
//! well-formed program, commitment or proof (a truncated proof is of this kind).
#![expect(clippy::print_stdout, reason = "an example talks to people")]
#![expect(clippy::print_stderr, reason = "an example talks to people")]

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use layerfold::{ModelCommitment, Params, Proof, Verifier, program::Program};

/// Reads one file of the folder; errors name it.
fn part<T, E: Error>(
    folder: &Path,
    name: &str,
    decode: impl FnOnce(&[u8]) -> Result<T, E>,
) -> Result<T, String> {
    let bytes = fs::read(folder.join(name)).map_err(|e| format!("{name}: {e}"))?;
    decode(&bytes).map_err(|e| format!("{name}: {e}"))
}

fn read(folder: &Path) -> Result<(Verifier, Proof), String> {
    let program = part(folder, "program.bin", Program::from_bytes)?;
    let commitment = part(folder, "model.bin", ModelCommitment::from_bytes)?;
    let proof = part(folder, "proof.bin", Proof::from_bytes)?;
    let params = Params::for_proof(&program, &proof).map_err(|e| e.to_string())?;
    Ok((Verifier::new(&params, commitment), proof))
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
