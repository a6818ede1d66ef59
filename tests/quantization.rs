//! Quantised models through the public interface: against the float model, against other
//! schedules, and under random shapes.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use layerfold::{ActivationFunction, Model, Precision, QuantizedModel, Tensors, program::Schedule};
use ndarray::{Array1, Array2, ArrayView1};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

fn matrix(rng: &mut ChaCha20Rng, rows: usize, columns: usize, size: f32) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |_| rng.gen_range(-size..size))
}

/// A network with random weights: `widths[0]` inputs, then one layer for each activation.
fn network(rng: &mut ChaCha20Rng, widths: &[usize], kinds: &[u8], size: f32) -> Model {
    let mut builder = Model::builder([widths[0]]);
    for (w, kind) in widths.windows(2).zip(kinds) {
        let bias = Array1::from_shape_fn(w[1], |_| rng.gen_range(-size..size));
        builder = builder.dense(matrix(rng, w[1], w[0], size), bias);
        builder = match kind % 5 {
            0 => builder,
            1 => builder.relu(),
            2 => builder.sigmoid(),
            3 => builder.tanh(),
            _ => builder.table("square", |x| x * x, -4.0..=4.0, 0.0..=16.0),
        };
    }
    builder.build().unwrap()
}

/// How far the integers can be from the floats, given that no value of this input is over the
/// calibrated ranges.
fn error_bound(model: &Model, quantized: &QuantizedModel, input: ArrayView1<'_, f32>) -> f64 {
    let scales = quantized.report(model, &[input]).unwrap().layers;
    let unit = f64::from(quantized.shape().shift).exp2().recip();
    let reach = f64::from(1u32 << (quantized.shape().width - 1));
    let mut error = vec![quantized.input_scale() / 2.0; input.len()];
    let last = model.layers().len() - 1;
    for (l, layer) in model.layers().iter().enumerate() {
        let scale = scales[l].scale.unwrap();
        // Weights and bias are half a unit of the sum off.
        let rounded = 0.5 * scale * unit * (1.0 + reach * layer.inputs() as f64);
        error = layer
            .weight()
            .rows()
            .into_iter()
            .map(|row| {
                let carried: f64 = row
                    .iter()
                    .zip(&error)
                    .map(|(w, e)| f64::from(w.abs()) * e)
                    .sum();
                let sum = carried + rounded;
                let requantised = sum + scale / 2.0;
                // The steepest slope of the function, and for tables what is beyond their ends,
                // half a unit of rounding, and the value 1 that is not there.
                match layer.activation() {
                    ActivationFunction::Identity if l == last => sum,
                    ActivationFunction::Sigmoid => requantised / 4.0 + 1e-3 + 1.0 / 128.0,
                    ActivationFunction::Tanh => requantised + 1e-3 + 1.0 / 128.0,
                    _ => requantised,
                }
            })
            .collect();
    }
    error.into_iter().fold(0.0, f64::max)
}

#[test]
fn close_to_the_float_model() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut compared = 0;
    for round in 0..60u8 {
        let depth = rng.gen_range(1..=4);
        let widths: Vec<usize> = (0..=depth).map(|_| rng.gen_range(1..=24)).collect();
        let kinds: Vec<u8> = (0..depth).map(|_| rng.gen_range(0..4)).collect();
        let model = network(&mut rng, &widths, &kinds, 1.0);
        let samples = matrix(&mut rng, 40, widths[0], 2.0);
        let precision = match round % 3 {
            0 => Precision::default(),
            1 => Precision::default().accumulator_bits(30).shift(13),
            _ => Precision::default().headroom(6),
        };
        let quantized = match model.quantize(&samples, precision) {
            Ok(quantized) => quantized,
            Err(e) => {
                // The scales of tables are not made for weights of any size.
                assert!(e.to_string().contains("fixed scale"), "{e}");
                continue;
            }
        };
        compared += 1;
        for x in samples.rows() {
            let bound = error_bound(&model, &quantized, x);
            let float = model.infer(x).unwrap();
            let integer = quantized.infer(x).unwrap();
            for (f, y) in float.iter().zip(&integer) {
                let error = f64::from(f - y).abs();
                let slack = 1e-5 * (1.0 + f64::from(f.abs()));
                assert!(
                    error <= bound + slack,
                    "{model:?}: {f} became {y}, {error} over {bound}"
                );
            }
        }
    }
    assert!(compared >= 50, "{compared}");
}

#[test]
fn more_bits_are_more_exact() {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let model = network(&mut rng, &[20, 16, 12, 5], &[1, 1, 0], 1.0);
    let samples = matrix(&mut rng, 100, 20, 1.0);
    let mut before = f64::INFINITY;
    for bits in [4, 6, 8, 10, 12, 14] {
        let precision = Precision::default().activation_bits(bits).shift(14);
        let quantized = model.quantize(&samples, precision.headroom(6)).unwrap();
        let error = quantized.report(&model, &samples).unwrap().mean_error;
        assert!(
            error < before / 2.0,
            "{bits} bits: {error}, before {before}"
        );
        before = error;
    }
}

#[test]
fn table_layers_are_close() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    for kind in [2, 3, 4] {
        let model = network(&mut rng, &[12, 10, 4], &[kind, 0], 0.5);
        let samples = matrix(&mut rng, 200, 12, 1.0);
        let quantized = model.quantize(&samples, Precision::default()).unwrap();
        let report = quantized.report(&model, &samples).unwrap();
        let error = report.relative_max_error().unwrap();
        assert!(error < 0.03, "{}: {error}", report.layers[0].activation);
    }
}

/// The integer output under a schedule, for several inputs in a row.
fn run(quantized: &QuantizedModel, schedule: Schedule, inputs: &[Vec<i64>]) -> Vec<Vec<i64>> {
    let program = quantized.program_with(schedule).unwrap();
    let bank = quantized.bank().clone().arranged_for(&program).unwrap();
    bank.check(&program).unwrap();
    let mut carried = program.initial_carried();
    inputs
        .iter()
        .map(|x| program.run(&bank, &mut carried, x).unwrap())
        .collect()
}

#[test]
fn mnist() {
    let data = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data"));
    let images = |name: &str| {
        let bytes = std::fs::read(data.join(name)).unwrap();
        let pixels: Vec<f32> = bytes[16..].iter().map(|p| f32::from(*p) / 255.0).collect();
        Array2::from_shape_vec((pixels.len() / 784, 784), pixels).unwrap()
    };
    let tensors = Tensors::open(data.join("mnist-784-128-10.safetensors")).unwrap();
    let model = Model::builder([28, 28])
        .dense_from(&tensors, "fc1")
        .unwrap()
        .relu()
        .dense_from(&tensors, "fc2")
        .unwrap()
        .build()
        .unwrap();
    let calibration = images("mnist-calibration-images-idx3-ubyte");
    let quantized = model.quantize(&calibration, Precision::default()).unwrap();
    let samples = images("mnist-sample-images-idx3-ubyte");
    let report = quantized.report(&model, &samples).unwrap();
    assert_eq!((report.samples, report.top1_agreement), (20, 1.0));
    assert!(report.relative_max_error().unwrap() < 0.02, "{report}");
    assert_eq!((report.shift, report.accumulator_bits), (10, 21));

    let labels = std::fs::read(data.join("mnist-sample-labels-idx1-ubyte")).unwrap();
    let accuracy = quantized.accuracy(&model, &samples, &labels[8..]).unwrap();
    assert_eq!((accuracy.float, accuracy.integer), (1.0, 1.0));

    let inputs: Vec<Vec<i64>> = samples
        .rows()
        .into_iter()
        .map(|x| quantized.quantize_input(x).unwrap())
        .collect();
    assert_eq!(
        run(&quantized, Schedule::WholeNetwork, &inputs),
        run(&quantized, Schedule::LayersPerStep(1), &inputs)
    );
}

fn arb_network() -> impl Strategy<Value = (Vec<usize>, Vec<u8>, f32, u64)> {
    (1usize..=5).prop_flat_map(|depth| {
        (
            proptest::collection::vec(1usize..=12, depth + 1),
            proptest::collection::vec(any::<u8>(), depth),
            (-8i32..8).prop_map(|e| 2f32.powi(e)),
            any::<u64>(),
        )
    })
}

fn arb_precision() -> impl Strategy<Value = Precision> {
    (0u8..8, 0u8..6).prop_map(|(headroom, extra)| {
        let precision = Precision::default().headroom(headroom);
        if extra == 0 {
            precision
        } else {
            precision.shift(6 + extra)
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever the weights, no input can overflow an accumulator, under any schedule; all
    /// schedules give the same outputs.
    #[test]
    fn bounds_hold_and_schedules_agree(
        (widths, kinds, size, seed) in arb_network(),
        precision in arb_precision(),
    ) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let model = network(&mut rng, &widths, &kinds, size);
        let samples = matrix(&mut rng, 5, widths[0], 1.0);
        let quantized = match model.quantize(&samples, precision) {
            Ok(quantized) => quantized,
            Err(e) => {
                // Only layers at fixed scales can fail.
                prop_assert!(kinds.iter().any(|k| k % 5 > 1), "{}", e);
                prop_assert!(e.to_string().contains("fixed scale"), "{}", e);
                return Ok(());
            }
        };
        let mut inputs: Vec<Vec<i64>> = samples
            .rows()
            .into_iter()
            .map(|x| quantized.quantize_input(x).unwrap())
            .collect();
        // The ends of the range, in the directions that are worst for some row of the first layer.
        for row in model.layers()[0].weight().rows() {
            inputs.push(row.iter().map(|w| if *w < 0.0 { -128 } else { 127 }).collect());
            inputs.push(row.iter().map(|w| if *w < 0.0 { 127 } else { -128 }).collect());
        }
        let outputs = run(&quantized, Schedule::WholeNetwork, &inputs);
        for k in 1..=kinds.len() as u32 {
            prop_assert_eq!(&outputs, &run(&quantized, Schedule::LayersPerStep(k), &inputs));
        }
        let far = Array1::from_elem(widths[0], f32::MAX);
        prop_assert!(quantized.infer(far.view()).is_ok());
        let shape = model.network_shape(precision).unwrap();
        prop_assert_eq!(quantized.shape(), &shape);
    }
}
