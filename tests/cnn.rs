//! A trained convolutional network from an ONNX file: integers as good as the floats.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../examples/support/idx.rs"]
mod idx;

use idx::{images, labels, to_input};
use layerfold::{
    network::{Network, Precision, Quantized},
    onnx,
};
use ndarray::Array2;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data");

fn network() -> (Network, Quantized, Array2<f32>) {
    let import = onnx::load(format!("{DATA}/mnist-cnn.onnx")).unwrap();
    let graph = import.network;
    let calibration =
        to_input(&images(format!("{DATA}/mnist-calibration-images-idx3-ubyte")).unwrap());
    let quantized = graph.quantize(&calibration, &Precision::default()).unwrap();
    (graph, quantized, calibration)
}

#[test]
fn integers_are_right_where_the_floats_are() {
    let (graph, quantized, calibration) = network();
    let samples = to_input(&images(format!("{DATA}/mnist-sample-images-idx3-ubyte")).unwrap());
    let labels = labels(format!("{DATA}/mnist-sample-labels-idx1-ubyte")).unwrap();
    let accuracy = quantized.accuracy(&graph, &samples, &labels).unwrap();
    assert_eq!(accuracy.samples, 20);
    assert_eq!((accuracy.float, accuracy.integer), (1.0, 1.0));
    // What the samples do not tell of 2,000 images, a hundred others do a little better.
    let report = quantized.report(&graph, &calibration).unwrap();
    assert!(report.top1_agreement > 0.985, "{report}");
    assert!(report.max_error < 0.02 * report.output_range, "{report}");
    // And a sample must have a label.
    assert!(quantized.accuracy(&graph, &samples, &labels[1..]).is_err());
}

#[test]
fn its_values_are_those_of_three_layers() {
    let (graph, quantized, calibration) = network();
    assert_eq!(graph.input_len(), 28 * 28);
    let report = quantized.report(&graph, &calibration).unwrap();
    // The input, two stages of convolution, ReLU and pooling, the output.
    let entries: Vec<usize> = report.stages.iter().map(|s| s.entries).collect();
    assert_eq!(entries, [28 * 28, 8 * 12 * 12, 16 * 4 * 4, 10]);
    // Kernels of 5×5, however many positions they have.
    let weights: Vec<usize> = report.stages.iter().map(|s| s.weights).collect();
    assert_eq!(weights, [0, 8 * 25, 16 * 8 * 25, 10 * 16 * 4 * 4]);
    assert!(report.worst.is_some());
}
