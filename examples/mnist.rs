//! Proves that a committed, private network says which digit is on a private image, and verifies
//! the proof from bytes alone: both ways, as the trace of the whole run, and folded layer by layer.
//!
//! ```text
//! cargo run --release --example mnist [-- INDEX [OUT]]
//! ```
//!
//! `INDEX` chooses one of the 20 committed test images; a proof and what its verifier needs go
//! to the folder `OUT` (default `target/mnist-proof`), where the example `verify` reads them, those of
//! the folded run to the folder `recursive` in it.
#![expect(clippy::print_stdout, reason = "an example talks to people")]

#[path = "support/idx.rs"]
mod idx;

use std::{
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use idx::{images, labels, to_input};
use layerfold::{
    ModelCommitment, Network, Outputs, Params, Precision, Proof, ProofKind, Prover, Quantized,
    Schedule, Tensors, Verifier, Visibility, program::Program,
};
use ndarray::{Array1, ArrayView1};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let index: usize = arguments
        .next()
        .map_or(Ok(0), |a| a.parse())
        .map_err(|_| "INDEX must be a number from 0 to 19")?;
    let out = PathBuf::from(arguments.next().unwrap_or("target/mnist-proof".to_owned()));
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data");

    // The model, as its owner has it: floats.
    let tensors = Tensors::open(format!("{data}/mnist-784-128-10.safetensors"))?;
    let model = Network::sequential([784])
        .dense_from(&tensors, "fc1")?
        .relu()
        .dense_from(&tensors, "fc2")?
        .build()?;

    // As integers, calibrated on a hundred training images.
    let calibration = to_input(&images(format!(
        "{data}/mnist-calibration-images-idx3-ubyte"
    ))?);
    let quantized = model.quantize(&calibration, &Precision::default())?;

    let pixels = images(format!("{data}/mnist-sample-images-idx3-ubyte"))?;
    let labels = labels(format!("{data}/mnist-sample-labels-idx1-ubyte"))?;
    let samples = to_input(&pixels);
    let label = *labels.get(index).ok_or("there are 20 images: 0 to 19")?;
    let image = pixels.row(index).to_vec();
    println!("{}", picture(&image));
    println!("    image {index}, a {label}; only the prover sees it\n");

    let accuracy = quantized.accuracy(&model, &samples, &labels)?;
    println!(
        "model     784-128-10, {} weights; right on the {} sample images: float {}, integers {}",
        model.nonzeros(),
        accuracy.samples,
        percent(accuracy.float),
        percent(accuracy.integer),
    );

    // Keys: from the program alone, the same for every 784-128-10 network.
    let program = quantized.program();
    let one_layer = Schedule::LayersPerStep(1);
    for (name, params, folder) in [
        ("as a trace", Params::setup(program)?, out.clone()),
        (
            "folded layer by layer",
            Params::setup_with(program, one_layer)?,
            out.join("recursive"),
        ),
    ] {
        println!("\n{name}");
        let proved = prove(&quantized, &params, samples.row(index), &folder)?;
        println!("          the committed network says: this is a {proved}");
    }
    println!(
        "\nwritten to {}; check it in a process of its own:",
        out.display()
    );
    println!(
        "    cargo run --release --example verify -- {}",
        out.display()
    );
    Ok(())
}

/// Proves an inference, writes what a verifier needs, and verifies it from there; gives the digit.
fn prove(
    quantized: &Quantized,
    params: &Params,
    image: ArrayView1<'_, f32>,
    out: &Path,
) -> Result<usize, Box<dyn Error>> {
    let started = Instant::now();
    params.prepare_prover()?;
    println!(
        "keys      {:.2?} (generators are made once and cached)",
        started.elapsed(),
    );

    // The commitment is published once.
    let started = Instant::now();
    let prover = Prover::new(params, quantized)?;
    let commitment = prover.model_commitment();
    println!(
        "commit    {:.2?}; model {}",
        started.elapsed(),
        commitment.digest()
    );

    // One inference, one proof.
    let mut session = prover.session(Visibility::private_inputs().public_outputs())?;
    let scores = session.push(image)?;
    let steps = session.steps();
    let (proof, times) = session.finish_timed()?;
    match proof.kind() {
        ProofKind::Trace => println!(
            "prove     {:.2?}: inference {:.2?}, trace {:.2?}",
            times.inference + times.prove,
            times.inference,
            times.prove,
        ),
        _ => println!(
            "prove     {:.2?}: inference {:.2?}, sumcheck {:.2?}, {steps} steps {:.2?}, compress {:.2?}, opening {:.2?}",
            times.inference + times.sumcheck + times.fold + times.compress + times.opening,
            times.inference,
            times.sumcheck,
            times.fold,
            times.compress,
            times.opening,
        ),
    }
    let bytes = proof.to_bytes();
    println!("proof     {} bytes, {}", bytes.len(), proof.kind());

    fs::create_dir_all(out)?;
    fs::write(out.join("program.bin"), params.program().to_bytes())?;
    fs::write(out.join("model.bin"), commitment.to_bytes())?;
    fs::write(out.join("proof.bin"), &bytes)?;

    // The verifier has three files and nothing else.
    let program = Program::from_bytes(&fs::read(out.join("program.bin"))?)?;
    let commitment = ModelCommitment::from_bytes(&fs::read(out.join("model.bin"))?)?;
    let proof = Proof::from_bytes(&fs::read(out.join("proof.bin"))?)?;
    let verifier = Verifier::new(&Params::for_proof(&program, &proof)?, commitment);
    let started = Instant::now();
    let statement = verifier.verify(&proof)?;
    println!("verify    {:.2?}", started.elapsed());

    let Outputs::Public { vectors } = &statement.outputs else {
        return Err("the outputs are hidden".into());
    };
    let proved = quantized.dequantize_output(&vectors[0]);
    assert_eq!(proved, scores);
    println!("verified  {statement}");
    Ok(argmax(&proved))
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// A 28×28 image as text, two rows of pixels to a line.
fn picture(pixels: &[u8]) -> String {
    let mut out = String::new();
    let lit = |row: usize, column: usize| pixels[row * 28 + column] > 96;
    for row in (0..28).step_by(2) {
        out.push_str("    ");
        for column in 0..28 {
            out.push(match (lit(row, column), lit(row + 1, column)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        let _ = writeln!(out);
    }
    out
}

/// Index of the largest value, the first of several.
fn argmax(values: &Array1<f32>) -> usize {
    let mut best = 0;
    for (i, v) in values.iter().enumerate() {
        if *v > values[best] {
            best = i;
        }
    }
    best
}
