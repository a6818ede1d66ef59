//! Float models through the public interface.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use layerfold::{ActivationFunction, ErrorKind, Model, Tensors};
use ndarray::{Array1, Array2, arr1};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data");

/// The entries of an IDX file of unsigned bytes, after a header of `dimensions` dimensions.
fn idx(name: &str, dimensions: usize) -> Vec<u8> {
    let bytes = std::fs::read(Path::new(DATA).join(name)).unwrap();
    assert_eq!(bytes[..4], [0, 0, 8, dimensions as u8]);
    bytes[4 + 4 * dimensions..].to_vec()
}

fn mnist() -> Tensors {
    Tensors::open(Path::new(DATA).join("mnist-784-128-10.safetensors")).unwrap()
}

#[test]
fn a_trained_network_reads_digits() {
    let tensors = mnist();
    let model = Model::builder([28, 28])
        .dense_from(&tensors, "fc1")
        .unwrap()
        .relu()
        .dense_from(&tensors, "fc2")
        .unwrap()
        .build()
        .unwrap();
    assert_eq!(model.parameter_count(), 784 * 128 + 128 + 128 * 10 + 10);
    let images = idx("mnist-sample-images-idx3-ubyte", 3);
    let labels = idx("mnist-sample-labels-idx1-ubyte", 1);
    assert_eq!(images.len(), 784 * labels.len());
    for (image, label) in images.chunks(784).zip(labels) {
        let x: Array1<f32> = image.iter().map(|p| f32::from(*p) / 255.0).collect();
        let y = model.infer(x.view()).unwrap();
        let best = (0..10).max_by(|a, b| y[*a].total_cmp(&y[*b])).unwrap();
        assert_eq!(best, usize::from(label));
    }
}

#[test]
fn names_and_activations_are_another_way_to_load() {
    let path = Path::new(DATA).join("mnist-784-128-10.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let layers = [
        ("fc1", ActivationFunction::Relu),
        ("fc2", ActivationFunction::Identity),
    ];
    let model = Model::from_safetensors(&bytes, &layers).unwrap();
    assert_eq!(
        format!("{model:?}"),
        "Model(784 → 128 relu → 10, weights redacted)"
    );
}

#[test]
fn a_layer_that_does_not_fit_is_named() {
    let error = Model::builder([784])
        .dense_from(&mnist(), "fc2")
        .unwrap()
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert_eq!(
        error.to_string(),
        "layer 0: columns of the weight matrix: expected 784, got 128"
    );
    let error = Model::builder([784])
        .dense_from(&mnist(), "fc3")
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "tensor `fc3.weight`: not in the file, which has: fc1.bias, fc1.weight, fc2.bias, fc2.weight"
    );
}

#[test]
fn any_function_of_one_number_is_an_activation() {
    let model = Model::builder([2])
        .dense(Array2::eye(2), Array1::zeros(2))
        .table("softplus", |x: f64| x.exp().ln_1p(), -8.0..=8.0, 0.0..=8.0)
        .build()
        .unwrap();
    let y = model.infer(arr1(&[0.0, 2.0]).view()).unwrap();
    assert!((y[0] - std::f32::consts::LN_2).abs() < 1e-6);
    assert!((y[1] - 2.126_928).abs() < 1e-6);
}
