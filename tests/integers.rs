//! Scales and integers by hand, weights from files.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use layerfold::{
    Network, Precision, Tensors,
    network::{Function, GruReset, RecurrentWeights, RnnActivation, Sequential},
    program::Operation,
};
use ndarray::{Array1, Array2, Axis, arr1, arr2, concatenate};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use safetensors::{Dtype, tensor::TensorView};

/// One dense layer without bias.
fn one(weight: Array2<f32>) -> Sequential {
    let outputs = weight.nrows();
    Network::sequential([weight.ncols()]).dense(weight, Array1::zeros(outputs))
}

#[test]
fn integers_by_hand() {
    // Input scale 1, hidden range 254, so scale 2; output range 127, so scale 1; s = 4.
    let network = Network::sequential([2])
        .dense(arr2(&[[2.0, 0.0], [0.0, -1.0]]), arr1(&[0.0, 100.0]))
        .relu()
        .dense(arr2(&[[0.5, -0.25]]), arr1(&[0.0]))
        .build()
        .unwrap();
    let calibration = arr2(&[[127.0, 100.0]]);
    let precision = Precision::default().shift(4).headroom(4);
    let q = network.quantize(&calibration, &precision).unwrap();
    let maps = q.bank().maps();
    // 2·(1/2)·16 = 16, 1·(1/2)·16 = 8, 100/2·16 = 800
    assert_eq!(
        (&*maps[0].dense_row(0), &*maps[0].dense_row(1)),
        (&[16, 0][..], &[0, -8][..])
    );
    assert_eq!(maps[0].bias(), [0, 800]);
    // 0.5·(2/1)·16 = 16, 0.25·(2/1)·16 = 8
    assert_eq!(*maps[1].dense_row(0), [16, -8]);
    assert_eq!((q.input_scale(), q.output_scale()), (1.0, 1.0 / 16.0));
    // Hidden (16·127/16, 800/16 - 100/2) = (127, 0); output 16·127.
    assert_eq!(
        q.infer(arr1(&[127.0, 100.0]).view()).unwrap(),
        arr1(&[127.0])
    );
    assert_eq!(q.threshold(1.03).unwrap(), 17);
    assert!(q.threshold(1e20).is_err());
}

#[test]
fn a_relu_that_never_fired_has_the_range_of_its_sums() {
    let network = one(arr2(&[[-2.0]])).relu().build().unwrap();
    let q = network
        .quantize(&arr2(&[[127.0]]), &Precision::default())
        .unwrap();
    assert_eq!(q.output_scale(), 2.0);
    assert_eq!(q.infer(arr1(&[-100.0]).view()).unwrap(), arr1(&[200.0]));
}

#[test]
fn scales_are_enlarged_until_the_sums_fit() {
    // The terms cancel in calibration, but need not elsewhere.
    let network = one(arr2(&[[10.0, -10.0]])).build().unwrap();
    let samples = arr2(&[[1.0, 0.9]]);
    let precision = Precision::default().shift(7).headroom(1);
    let q = network.quantize(&samples, &precision).unwrap();
    let report = q.report(&network, &samples).unwrap();
    assert!(report.stages[1].enlarged > 1.0, "{report}");
    assert_eq!(report.stages[1].accumulator_bits, Some(16));
    // Not the sums are changed, only their resolution.
    let y = q.infer(arr1(&[1.0, -1.0]).view()).unwrap()[0];
    assert!((y - 20.0).abs() < 0.4, "{y}");
}

/// A recurrent layer of ReLU that grows by a tenth in each frame: its unit is that of what it becomes.
#[test]
fn states_have_one_unit() {
    let weights = RecurrentWeights {
        input: arr2(&[[1.0]]),
        hidden: arr2(&[[1.1]]),
        input_bias: arr1(&[0.0]),
        hidden_bias: arr1(&[0.0]),
    };
    let network = Network::sequential([1])
        .rnn(&weights, RnnActivation::Relu)
        .build()
        .unwrap();
    let mut sequence = Array2::<f32>::zeros((20, 1));
    sequence[[0, 0]] = 1.0;
    for precision in [
        Precision::default(),
        Precision::default().activation_bits(4),
        Precision::default().activation_bits(16),
        Precision::default().headroom(1),
        Precision::standard(),
    ] {
        let q = network.quantize(&[sequence.view()], &precision).unwrap();
        let y = q.infer_sequence(sequence.view()).unwrap();
        let float = network.infer_sequence(sequence.view()).unwrap();
        assert!((float[[19, 0]] - 1.1f32.powi(19)).abs() < 1e-3);
        // 4 bits hold no tenth of one; 8 bits round 20 times.
        if precision != Precision::default().activation_bits(4) {
            assert!(
                (y[[19, 0]] / float[[19, 0]] - 1.0).abs() < 0.3,
                "{precision:?}: {y}"
            );
        }
    }
    // Weights of which the state grows beyond any scale of its own.
    let mut wild = weights.clone();
    wild.hidden[[0, 0]] = 1e9;
    let network = Network::sequential([1])
        .rnn(&wild, RnnActivation::Relu)
        .build()
        .unwrap();
    let zeros = Array2::<f32>::zeros((3, 1));
    assert!(network.quantize(&[zeros], &Precision::default()).is_err());
}

#[test]
fn functions_of_wide_registers_read_their_upper_bits() {
    // tanh(c') of an LSTM is a table of c' before it is rounded: no affine operation between.
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let weights = random(&mut rng, 4, 3, 2);
    let network = Network::sequential([3]).lstm(&weights).build().unwrap();
    let samples = vec![Array2::from_shape_fn((30, 3), |_| {
        rng.gen_range(-1.0..1.0f32)
    })];
    let q = network.quantize(&samples, &Precision::default()).unwrap();
    let count =
        |f: fn(&Operation) -> bool| q.program().operations().iter().filter(|o| f(o)).count();
    assert_eq!(count(|o| matches!(o, Operation::Affine { .. })), 2);
    assert_eq!(count(|o| matches!(o, Operation::Combine { .. })), 2);
    assert_eq!(count(|o| matches!(o, Operation::Lookup(_))), 3);
}

fn random(rng: &mut ChaCha20Rng, gates: usize, inputs: usize, hidden: usize) -> RecurrentWeights {
    let mut matrix = |rows: usize, columns: usize| {
        Array2::from_shape_fn((rows, columns), |_| rng.gen_range(-1.0..1.0f32))
    };
    RecurrentWeights {
        input: matrix(gates * hidden, inputs),
        hidden: matrix(gates * hidden, hidden),
        input_bias: matrix(1, gates * hidden).row(0).to_owned(),
        hidden_bias: matrix(1, gates * hidden).row(0).to_owned(),
    }
}

/// The blocks of rows in another order.
fn permuted(rows: &Array2<f32>, gates: &[usize]) -> Array2<f32> {
    let n = rows.nrows() / gates.len();
    let all: Vec<usize> = gates.iter().flat_map(|g| g * n..(g + 1) * n).collect();
    rows.select(Axis(0), &all)
}

#[test]
fn onnx_orders() {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    // What ONNX has in each place, by the place in PyTorch's order.
    for onnx in [&[0][..], &[1, 0, 2], &[0, 3, 1, 2]] {
        let pytorch = random(&mut rng, onnx.len(), 3, 4);
        let w = permuted(&pytorch.input, onnx);
        let r = permuted(&pytorch.hidden, onnx);
        let column = |b: &Array1<f32>| permuted(&b.clone().insert_axis(Axis(1)), onnx);
        let (x, h) = (column(&pytorch.input_bias), column(&pytorch.hidden_bias));
        let b = concatenate(Axis(0), &[x.view(), h.view()]).unwrap();
        let b = b.remove_axis(Axis(1));
        let back = match onnx.len() {
            1 => RecurrentWeights::from_onnx_rnn(&w, &r, &b),
            3 => RecurrentWeights::from_onnx_gru(w, r, b.view()),
            _ => RecurrentWeights::from_onnx_lstm(w.view(), &r, b),
        };
        let back = back.unwrap();
        assert_eq!(
            (&back.input, &back.hidden),
            (&pytorch.input, &pytorch.hidden)
        );
        assert_eq!(back.input_bias, pytorch.input_bias);
        assert_eq!(back.hidden_bias, pytorch.hidden_bias);
    }
    let (w, r) = (Array2::<f32>::zeros((8, 3)), Array2::<f32>::zeros((6, 2)));
    let error = RecurrentWeights::from_onnx_gru(w, r, Array1::<f32>::zeros(12)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "rows of the ONNX tensor W: expected 6, got 8"
    );
}

#[test]
fn layers_of_a_pytorch_file() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let layers = [random(&mut rng, 3, 4, 5), random(&mut rng, 3, 5, 5)];
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (l, w) in layers.iter().enumerate() {
        let mut add = |part: &str, shape: Vec<usize>, values: Vec<f32>| {
            let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            tensors.push((format!("gru.{part}_l{l}"), shape, bytes));
        };
        add(
            "weight_ih",
            vec![15, w.input.ncols()],
            w.input.iter().copied().collect(),
        );
        add("weight_hh", vec![15, 5], w.hidden.iter().copied().collect());
        add("bias_ih", vec![15], w.input_bias.to_vec());
        add("bias_hh", vec![15], w.hidden_bias.to_vec());
    }
    let file = |tensors: &[(String, Vec<usize>, Vec<u8>)]| {
        let views = tensors.iter().map(|(name, shape, data)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), data).unwrap();
            (name.clone(), view)
        });
        Tensors::from_bytes(&safetensors::serialize(views, None).unwrap()).unwrap()
    };
    let read = RecurrentWeights::layers_from_tensors(&file(&tensors), "gru").unwrap();
    assert_eq!(read.len(), 2);
    for (a, b) in read.iter().zip(&layers) {
        assert_eq!((&a.input, &a.hidden), (&b.input, &b.hidden));
        assert_eq!(
            (&a.input_bias, &a.hidden_bias),
            (&b.input_bias, &b.hidden_bias)
        );
    }
    // Without biases; and what is not supported is told.
    let only: Vec<_> = tensors[..2].to_vec();
    let plain = RecurrentWeights::from_tensors(&file(&only), "gru", 0).unwrap();
    assert_eq!(plain.input_bias, Array1::<f32>::zeros(15));
    let mut both = only.clone();
    both.push((
        "gru.weight_ih_l0_reverse".to_owned(),
        vec![15, 4],
        tensors[0].2.clone(),
    ));
    let error = RecurrentWeights::from_tensors(&file(&both), "gru", 0).unwrap_err();
    assert!(error.to_string().contains("bidirectional"), "{error}");
    assert!(RecurrentWeights::from_tensors(&file(&only), "gru", 1).is_err());
}

#[test]
fn weights_that_do_not_fit_are_named() {
    let good = random(&mut ChaCha20Rng::seed_from_u64(4), 3, 4, 5);
    let fails = |weights: &RecurrentWeights, message: &str| {
        let chain = Network::sequential([4]).gru(weights, GruReset::After);
        assert_eq!(chain.build().unwrap_err().to_string(), message);
    };
    let mut short = good.clone();
    short.input_bias = Array1::zeros(14);
    fails(&short, "entries of the input bias: expected 15, got 14");
    let mut narrow = good.clone();
    narrow.input = Array2::zeros((15, 3));
    fails(
        &narrow,
        "reshape: the shape [4] does not have as many entries as [3]",
    );
    let mut wild = good.clone();
    wild.hidden[[0, 0]] = f32::NAN;
    fails(&wild, "matrix: the entry at (0, 0) is not finite");
    let chain = Network::sequential([1]).function(Function::Clip {
        least: 1.0,
        most: 0.0,
    });
    assert!(chain.build().is_err());
}
