//! From an ONNX file to a verified proof: a convolutional network says which digit is on an image
//! that only the prover sees.
//!
//! ```text
//! cargo run --release --features onnx --example onnx [-- INDEX]
//! cargo run --release --features onnx --example onnx -- IMAGES LABELS [SKIP]
//! ```
//!
//! `INDEX` chooses one of the 20 committed test images. With `IMAGES` and `LABELS`, unpacked IDX
//! files of MNIST, nothing is proved: the example counts how often the float network and its
//! integers are right on the images after the first `SKIP`. The network was trained on the first
//! 8,000 test images (`tools/train_mnist_cnn.py`).
#![expect(clippy::print_stdout, reason = "an example talks to people")]

#[path = "support/idx.rs"]
mod idx;

use std::{error::Error, time::Instant};

use idx::{images, labels, to_input};
use layerfold::{
    Outputs, Params, Proof, Prover, Verifier, Visibility,
    network::{Network, Precision, Quantized},
    onnx,
};
use ndarray::{Axis, Slice};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data");

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();

    // The file, and a hundred typical inputs for the scales of the integers.
    let import = onnx::load(format!("{DATA}/mnist-cnn.onnx"))?;
    let graph = import.network;
    let calibration = images(format!("{DATA}/mnist-calibration-images-idx3-ubyte"))?;
    let quantized = graph.quantize(&to_input(&calibration), &Precision::default())?;
    println!("{}\n", quantized.report(&graph, &to_input(&calibration))?);

    match arguments.as_slice() {
        [] => prove(&quantized, 0),
        [index] => prove(&quantized, index.parse()?),
        [images, labels] => accuracy(&graph, &quantized, images, labels, 0),
        [images, labels, skip] => accuracy(&graph, &quantized, images, labels, skip.parse()?),
        _ => Err("expected INDEX, or IMAGES LABELS [SKIP]".into()),
    }
}

fn accuracy(
    graph: &Network,
    quantized: &Quantized,
    pixels: &str,
    truth: &str,
    skip: usize,
) -> Result<(), Box<dyn Error>> {
    let (pixels, truth) = (images(pixels)?, labels(truth)?);
    if skip >= truth.len() {
        return Err("no image is left".into());
    }
    let samples = to_input(&pixels.slice_axis(Axis(0), Slice::from(skip..)).to_owned());
    let accuracy = quantized.accuracy(graph, &samples, &truth[skip..])?;
    println!(
        "right on {} images: float {:.2} %, integers {:.2} %",
        accuracy.samples,
        100.0 * accuracy.float,
        100.0 * accuracy.integer
    );
    Ok(())
}

fn prove(quantized: &Quantized, index: usize) -> Result<(), Box<dyn Error>> {
    let samples = to_input(&images(format!("{DATA}/mnist-sample-images-idx3-ubyte"))?);
    let truth = labels(format!("{DATA}/mnist-sample-labels-idx1-ubyte"))?;
    let label = *truth.get(index).ok_or("there are 20 images: 0 to 19")?;

    let params = Params::setup(quantized.program())?; // keys of the shape
    let prover = Prover::new(&params, quantized)?; // commits to the weights
    let started = Instant::now();
    let mut session = prover.session(Visibility::private_inputs().public_outputs())?;
    session.push(samples.row(index))?;
    let bytes = session.finish()?.to_bytes();
    println!("proved in {:.2?}: {} bytes", started.elapsed(), bytes.len());

    let verifier = Verifier::new(&params, prover.model_commitment());
    let statement = verifier.verify(&Proof::from_bytes(&bytes)?)?;
    println!("verified: {statement}");
    let Outputs::Public { vectors } = &statement.outputs else {
        return Err("the outputs are hidden".into());
    };
    let answer = (0..10).max_by_key(|i| vectors[0][*i]).unwrap_or_default();
    println!("image {index}, a {label}: the committed network says {answer}");
    Ok(())
}
