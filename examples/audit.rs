//! Audits two private models over data sets: how often the digit network is right, and how often
//! the credit model approves in each of two groups. Each is one proof, whose result is exact.
//!
//! ```text
//! cargo run --release --example audit [-- IMAGES LABELS [COUNT]]
//! ```
//!
//! Without arguments the digits are the 20 committed sample images. `IMAGES` and `LABELS` are
//! uncompressed IDX files of any length, such as those of the MNIST test set; `COUNT` takes the first
//! so many.
#![expect(clippy::print_stdout, reason = "an example talks to people")]

#[path = "support/csv.rs"]
mod csv;
#[path = "support/idx.rs"]
mod idx;

use std::{error::Error, time::Instant};

use csv::table;
use idx::{images, labels, to_input};
use layerfold::{
    DigestBuilder, Network, Outputs, Params, Precision, Proof, Prover, Quantized, Statement,
    Verifier, Visibility,
    network::Function,
    program::{Claim, Label, Predicate, Threshold},
};
use ndarray::{Array2, ArrayView1, Axis};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data");

/// Runs a claim over samples with what follows them in a frame, and verifies the proof against the
/// digest of the very data.
fn audit<'a>(
    quantized: &Quantized,
    claim: Claim,
    visibility: Visibility,
    samples: impl ExactSizeIterator<Item = (ArrayView1<'a, f32>, Vec<i64>)>,
) -> Result<Statement, Box<dyn Error>> {
    let program = quantized.program().with_claim(claim)?;
    let params = Params::setup(&program)?;
    let prover = Prover::new(&params, quantized)?;
    let started = Instant::now();
    let mut session = prover.session(visibility)?;
    let mut frames = Vec::new();
    for (sample, more) in samples {
        session.push_with(sample, &more)?;
        let mut frame = quantized.quantize_input(sample)?;
        frame.extend(more);
        frames.push(frame);
    }
    let proof = session.snapshot()?;
    let took = started.elapsed();
    let bytes = proof.to_bytes();
    let verifier = Verifier::new(&params, prover.model_commitment());
    // Whoever has the data and the key of the salts computes the digest himself.
    let verifier = match session.input_salts() {
        Some(key) => {
            let mut digest = DigestBuilder::inputs(&program, proof.kind(), key.clone());
            frames.iter().try_for_each(|frame| digest.push(frame))?;
            verifier.input_digest(digest.digest())
        }
        None => verifier.inputs(&frames),
    };
    let started = Instant::now();
    let statement = verifier.verify(&Proof::from_bytes(&bytes)?)?;
    println!(
        "          proved in {took:.2?} ({}), {} bytes with the public data, verified in {:.2?}",
        statement.kind,
        bytes.len(),
        started.elapsed()
    );
    println!(
        "          {}",
        statement
            .to_string()
            .replace(", digest", ",\n          digest")
    );
    Ok(statement)
}

fn result(statement: &Statement) -> Result<&[i64], Box<dyn Error>> {
    match &statement.outputs {
        Outputs::Public { vectors } => Ok(&vectors[0]),
        Outputs::Hidden { .. } => Err("the result is hidden".into()),
    }
}

fn digits(paths: &[String]) -> Result<(), Box<dyn Error>> {
    let bytes = std::fs::read(format!("{DATA}/mnist-784-128-10.safetensors"))?;
    let layers = [("fc1", Some(Function::Relu)), ("fc2", None)];
    let model = Network::from_safetensors(&bytes, &layers)?;
    let calibration = images(format!("{DATA}/mnist-calibration-images-idx3-ubyte"))?;
    let quantized = model.quantize(&to_input(&calibration), &Precision::default())?;
    let (pixels, truth) = match paths {
        [pixels, truth, ..] => (images(pixels)?, labels(truth)?),
        _ => (
            images(format!("{DATA}/mnist-sample-images-idx3-ubyte"))?,
            labels(format!("{DATA}/mnist-sample-labels-idx1-ubyte"))?,
        ),
    };
    let count = match paths.get(2) {
        Some(count) => count.parse()?,
        None => truth.len(),
    };
    if pixels.nrows() != truth.len() || count == 0 || count > truth.len() {
        return Err("as many labels as images, and at least one".into());
    }
    let inputs = to_input(&pixels);
    println!("digits    a private 784-128-10 network on {count} public images with their labels");
    let claim = Claim::Count(Predicate::IsLabel(Label::Frame));
    let samples = (0..count).map(|k| (inputs.row(k), vec![i64::from(truth[k])]));
    // The data set is public, and a digest of it is enough for whoever has it.
    let visibility = Visibility::private_inputs().public_outputs();
    let statement = audit(&quantized, claim, visibility, samples)?;
    let right = result(&statement)?[0];
    println!(
        "          right on {right} of {}: {:.2} %\n",
        statement.frames,
        100.0 * right as f64 / statement.frames as f64
    );
    Ok(())
}

/// Approval by group. The column says what the original documentation of the data set calls male
/// and female; those codes are known to be unreliable, so this shows how an audit works and
/// nothing about men and women.
fn credit() -> Result<(), Box<dyn Error>> {
    const INPUTS: usize = 20;
    let bytes = std::fs::read(format!("{DATA}/credit-20-32-16-1.safetensors"))?;
    let layers = [
        ("fc1", Some(Function::Relu)),
        ("fc2", Some(Function::Relu)),
        ("fc3", Some(Function::Sigmoid)),
    ];
    let model = Network::from_safetensors(&bytes, &layers)?;
    let calibration = table(format!("{DATA}/credit-calibration.csv"))?;
    let quantized = model.quantize(&calibration, &Precision::default())?;
    let held_out: Array2<f32> = table(format!("{DATA}/credit-heldout.csv"))?;
    println!(
        "credit    a private 20-32-16-1 network on {} private applicants",
        held_out.nrows()
    );
    let claim = Claim::CountByGroup {
        predicate: Predicate::AtLeast {
            entry: 0,
            threshold: Threshold::Constant(quantized.threshold(13.0 / 16.0)?),
        },
        groups: 2,
    };
    let samples = (0..held_out.nrows()).map(|k| {
        let row = held_out.row(k);
        let group = i64::from(row[INPUTS + 1] == 1.0);
        (row.split_at(Axis(0), INPUTS).0, vec![group])
    });
    let visibility = Visibility::private_inputs().public_outputs();
    let statement = audit(&quantized, claim, visibility, samples)?;
    let counts = result(&statement)?;
    for group in 0..2 {
        let (approved, all) = (counts[group], counts[2 + group]);
        println!(
            "          group {group}: {approved} of {all} approved, {:.1} %",
            100.0 * approved as f64 / all as f64
        );
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    digits(&paths)?;
    credit()
}
