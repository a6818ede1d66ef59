#![expect(clippy::unwrap_used, reason = "tests")]

use ndarray::{Array1, Array2, Axis, arr1, arr2, concatenate};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use safetensors::{Dtype, tensor::TensorView};

use super::*;
use crate::{error::ErrorKind, model::Tensors};

const FUNCTIONS: [RecurrentFunction; 5] = [
    RecurrentFunction::Rnn(RnnActivation::Relu),
    RecurrentFunction::Rnn(RnnActivation::Tanh),
    RecurrentFunction::Gru,
    RecurrentFunction::GruResetBefore,
    RecurrentFunction::Lstm,
];

fn random(rng: &mut ChaCha20Rng, rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |_| rng.gen_range(-1.0..1.0))
}

fn weights(rng: &mut ChaCha20Rng, gates: usize, inputs: usize, hidden: usize) -> RecurrentWeights {
    RecurrentWeights {
        input: random(rng, gates * hidden, inputs),
        hidden: random(rng, gates * hidden, hidden),
        input_bias: random(rng, 1, gates * hidden).remove_axis(Axis(0)),
        hidden_bias: random(rng, 1, gates * hidden).remove_axis(Axis(0)),
    }
}

/// A cell of one input and one unit: for each gate `(W_i, W_h, b_i, b_h)`.
fn one_unit(function: RecurrentFunction, gates: &[(f32, f32, f32, f32)]) -> SequenceModel {
    let column = |f: fn(&(f32, f32, f32, f32)) -> f32| gates.iter().map(f).collect::<Array1<f32>>();
    let weights = RecurrentWeights {
        input: column(|g| g.0).insert_axis(Axis(1)),
        hidden: column(|g| g.1).insert_axis(Axis(1)),
        input_bias: column(|g| g.2),
        hidden_bias: column(|g| g.3),
    };
    SequenceModel::builder(1)
        .cell(function, weights)
        .build()
        .unwrap()
}

fn infer(model: &SequenceModel, inputs: &[f32]) -> Vec<f32> {
    let sequence = arr1(inputs).insert_axis(Axis(1));
    model.infer(sequence.view()).unwrap().into_iter().collect()
}

fn close(got: &[f32], expected: &[f64]) {
    assert_eq!(got.len(), expected.len());
    for (g, e) in got.iter().zip(expected) {
        assert!((f64::from(*g) - e).abs() < 1e-6, "{got:?}, {expected:?}");
    }
}

/// `σ(LOGIT_OF_A_QUARTER) = 1/4`.
const LOGIT_OF_A_QUARTER: f32 = -1.098_612_3;
/// `tanh(ARTANH_OF_A_HALF) = 1/2`.
const ARTANH_OF_A_HALF: f32 = 0.549_306_15;

#[test]
fn elman_by_hand() {
    let relu = one_unit(
        RecurrentFunction::Rnn(RnnActivation::Relu),
        &[(1.0, 0.5, 0.25, 0.25)],
    );
    // 1 + 0.5, 0 + 0.75 + 0.5, -5 + 0.625 + 0.5, 1 + 0 + 0.5
    close(
        &infer(&relu, &[1.0, 0.0, -5.0, 1.0]),
        &[1.5, 1.25, 0.0, 1.5],
    );
    let tanh = one_unit(
        RecurrentFunction::Rnn(RnnActivation::Tanh),
        &[(1.0, 2.0, 0.0, 0.0)],
    );
    close(&infer(&tanh, &[ARTANH_OF_A_HALF, 0.0]), &[0.5, 1f64.tanh()]);
}

#[test]
fn gru_by_hand() {
    // r = 1/4, z = 1/4, n = tanh(x + r·(2·h + 4·artanh(1/2))).
    let gates = [
        (0.0, 0.0, LOGIT_OF_A_QUARTER, 0.0),
        (0.0, 0.0, 0.0, LOGIT_OF_A_QUARTER),
        (1.0, 2.0, 0.0, 4.0 * ARTANH_OF_A_HALF),
    ];
    let gru = one_unit(RecurrentFunction::Gru, &gates);
    let first = 0.75 * 0.5;
    let second = 0.75 * (0.5 * first + 0.5f64.atanh()).tanh() + 0.25 * first;
    close(&infer(&gru, &[0.0, 0.0]), &[first, second]);

    // n = tanh(x + 2·(r·h) + 4·artanh(1/2)).
    let before = one_unit(RecurrentFunction::GruResetBefore, &gates);
    let bias = 4.0 * 0.5f64.atanh();
    let first = 0.75 * bias.tanh();
    let second = 0.75 * (0.5 * first + bias).tanh() + 0.25 * first;
    close(&infer(&before, &[0.0, 0.0]), &[first, second]);
}

#[test]
fn lstm_by_hand() {
    // i = 1/4, f = 1/2, g = tanh(x), o = 3/4.
    let lstm = one_unit(
        RecurrentFunction::Lstm,
        &[
            (0.0, 0.0, LOGIT_OF_A_QUARTER, 0.0),
            (0.0, 0.0, 0.0, 0.0),
            (1.0, 0.0, 0.0, 0.0),
            (0.0, 0.0, 0.0, -LOGIT_OF_A_QUARTER),
        ],
    );
    let (first, second) = (0.25 * 0.5, 0.5 * 0.25 * 0.5 - 0.25 * 0.5);
    close(
        &infer(&lstm, &[ARTANH_OF_A_HALF, -ARTANH_OF_A_HALF]),
        &[0.75 * f64::tanh(first), 0.75 * f64::tanh(second)],
    );
}

/// One cell, entry by entry, as the equations are written down.
fn reference(
    function: RecurrentFunction,
    w: &RecurrentWeights,
    x: &[f64],
    h: &[f64],
    c: &[f64],
) -> (Vec<f64>, Vec<f64>) {
    let n = h.len();
    let sigmoid = |v: f64| 1.0 / (1.0 + f64::exp(-v));
    let from_input = |gate: usize, j: usize| -> f64 {
        let mut sum = f64::from(w.input_bias[gate * n + j]);
        for (k, x) in x.iter().enumerate() {
            sum += f64::from(w.input[[gate * n + j, k]]) * x;
        }
        sum
    };
    let from = |h: &[f64], gate: usize, j: usize| -> f64 {
        let mut sum = f64::from(w.hidden_bias[gate * n + j]);
        for (k, h) in h.iter().enumerate() {
            sum += f64::from(w.hidden[[gate * n + j, k]]) * h;
        }
        sum
    };
    let both = |gate, j| from_input(gate, j) + from(h, gate, j);
    let (mut next_h, mut next_c) = (vec![0.0; n], c.to_vec());
    for j in 0..n {
        next_h[j] = match function {
            RecurrentFunction::Rnn(RnnActivation::Relu) => f64::max(both(0, j), 0.0),
            RecurrentFunction::Rnn(RnnActivation::Tanh) => f64::tanh(both(0, j)),
            RecurrentFunction::Gru => {
                let (r, z) = (sigmoid(both(0, j)), sigmoid(both(1, j)));
                let candidate = f64::tanh(from_input(2, j) + r * from(h, 2, j));
                (1.0 - z) * candidate + z * h[j]
            }
            RecurrentFunction::GruResetBefore => {
                let z = sigmoid(both(1, j));
                let reset: Vec<f64> = (0..n).map(|k| sigmoid(both(0, k)) * h[k]).collect();
                let candidate = f64::tanh(from_input(2, j) + from(&reset, 2, j));
                (1.0 - z) * candidate + z * h[j]
            }
            RecurrentFunction::Lstm => {
                next_c[j] = sigmoid(both(1, j)) * c[j] + sigmoid(both(0, j)) * both(2, j).tanh();
                sigmoid(both(3, j)) * next_c[j].tanh()
            }
        };
    }
    (next_h, next_c)
}

#[test]
fn stacked_cells_and_a_head_follow_the_equations() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    for first in FUNCTIONS {
        for second in FUNCTIONS {
            let (inputs, m, n) = (3, 5, 4);
            let a = weights(&mut rng, first.gates(), inputs, m);
            let mut b = weights(&mut rng, second.gates(), m, n);
            // States of an Elman cell with ReLU must not grow.
            b.hidden *= 0.3;
            let mut a = a;
            a.hidden *= 0.3;
            let head = random(&mut rng, 2, n);
            let model = SequenceModel::builder(inputs)
                .cell(first, a.clone())
                .cell(second, b.clone())
                .dense(&head, Array1::ones(2))
                .tanh()
                .build()
                .unwrap();
            let sequence = random(&mut rng, 20, inputs);
            let outputs = model.infer(sequence.view()).unwrap();
            let (mut h, mut c) = (vec![0.0; m], vec![0.0; m]);
            let (mut k, mut d) = (vec![0.0; n], vec![0.0; n]);
            let mut state = model.start();
            for (x, y) in sequence.rows().into_iter().zip(outputs.rows()) {
                let input: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
                (h, c) = reference(first, &a, &input, &h, &c);
                (k, d) = reference(second, &b, &h, &k, &d);
                let expected = |row: usize| -> f64 {
                    let sum: f64 = (0..n).map(|j| f64::from(head[[row, j]]) * k[j]).sum();
                    (sum + 1.0).tanh()
                };
                close(y.as_slice().unwrap(), &[expected(0), expected(1)]);
                assert_eq!(model.step(&mut state, x).unwrap(), y);
                for (got, expected) in [
                    (state.hidden(0), &h),
                    (state.hidden(1), &k),
                    (state.memory(0), &c),
                    (state.memory(1), &d),
                ] {
                    if !got.is_empty() {
                        assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9));
                    }
                }
            }
            let lstm = second == RecurrentFunction::Lstm;
            assert_eq!(state.memory(1).len(), if lstm { n } else { 0 });
            assert!(state.hidden(2).is_empty() && state.memory(2).is_empty());
        }
    }
}

/// The blocks of `gates` rows in another order.
fn permuted(rows: &Array2<f32>, gates: &[usize]) -> Array2<f32> {
    let n = rows.nrows() / gates.len();
    let blocks: Vec<_> = gates
        .iter()
        .map(|g| rows.select(Axis(0), &(g * n..(g + 1) * n).collect::<Vec<_>>()))
        .collect();
    let views: Vec<_> = blocks.iter().map(|b| b.view()).collect();
    concatenate(Axis(0), &views).unwrap()
}

#[test]
fn onnx_orders() {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    // What ONNX has in each place, by the place in PyTorch's order.
    for (function, onnx) in [
        (RecurrentFunction::Rnn(RnnActivation::Tanh), &[0][..]),
        (RecurrentFunction::Gru, &[1, 0, 2]),
        (RecurrentFunction::GruResetBefore, &[1, 0, 2]),
        (RecurrentFunction::Lstm, &[0, 3, 1, 2]),
    ] {
        let pytorch = weights(&mut rng, function.gates(), 3, 4);
        let w = permuted(&pytorch.input, onnx);
        let r = permuted(&pytorch.hidden, onnx);
        let column = |b: &Array1<f32>| permuted(&b.clone().insert_axis(Axis(1)), onnx);
        let b = concatenate(
            Axis(0),
            &[
                column(&pytorch.input_bias).view(),
                column(&pytorch.hidden_bias).view(),
            ],
        );
        let b = b.unwrap().remove_axis(Axis(1));
        let back = match function {
            RecurrentFunction::Rnn(_) => RecurrentWeights::from_onnx_rnn(&w, &r, &b),
            RecurrentFunction::Lstm => RecurrentWeights::from_onnx_lstm(w.view(), &r, b),
            _ => RecurrentWeights::from_onnx_gru(w, r, b.view()),
        };
        let back = back.unwrap();
        assert_eq!(back.input, pytorch.input);
        assert_eq!(back.hidden, pytorch.hidden);
        assert_eq!(back.input_bias, pytorch.input_bias);
        assert_eq!(back.hidden_bias, pytorch.hidden_bias);
        let build = |w| SequenceModel::builder(3).cell(function, w).build().unwrap();
        let sequence = random(&mut rng, 6, 3);
        assert_eq!(
            build(back).infer(sequence.view()).unwrap(),
            build(pytorch).infer(sequence.view()).unwrap()
        );
    }
}

#[test]
fn onnx_shapes_are_checked() {
    let fails = |w: (usize, usize), r: (usize, usize), b, message| {
        let (w, r, b) = (Array2::zeros(w), Array2::zeros(r), Array1::zeros(b));
        let error = RecurrentWeights::from_onnx_gru(w, r, b).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.kind(), ErrorKind::Input);
    };
    fails((6, 3), (6, 0), 12, "ONNX tensor R is empty");
    fails(
        (8, 3),
        (6, 2),
        12,
        "rows of the ONNX tensor W: expected 6, got 8",
    );
    fails(
        (6, 3),
        (8, 2),
        12,
        "rows of the ONNX tensor R: expected 6, got 8",
    );
    fails(
        (6, 3),
        (6, 2),
        6,
        "entries of the ONNX tensor B: expected 12, got 6",
    );
}

/// A `.safetensors` file of these tensors: name, shape, values.
fn file(tensors: &[(String, Vec<usize>, Vec<f32>)]) -> Tensors {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect())
        .collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), data)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), data).unwrap();
        (name.clone(), view)
    });
    Tensors::from_bytes(&safetensors::serialize(views, None).unwrap()).unwrap()
}

/// The tensors of one PyTorch layer.
fn pytorch(w: &RecurrentWeights, name: &str, layer: usize) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let flat = |a: &Array2<f32>| a.iter().copied().collect::<Vec<f32>>();
    let full = |part: &str| format!("{name}.{part}_l{layer}");
    let (rows, inputs) = w.input.dim();
    vec![
        (full("weight_ih"), vec![rows, inputs], flat(&w.input)),
        (
            full("weight_hh"),
            vec![rows, w.hidden.ncols()],
            flat(&w.hidden),
        ),
        (full("bias_ih"), vec![rows], w.input_bias.to_vec()),
        (full("bias_hh"), vec![rows], w.hidden_bias.to_vec()),
    ]
}

#[test]
fn pytorch_names() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let sequence = random(&mut rng, 5, 3);
    for function in FUNCTIONS {
        let a = weights(&mut rng, function.gates(), 3, 4);
        let b = weights(&mut rng, function.gates(), 4, 2);
        let mut tensors = pytorch(&a, "net.cell", 0);
        tensors.extend(pytorch(&b, "net.cell", 1));
        tensors.push(("out.weight".to_owned(), vec![1, 2], vec![1.0, -1.0]));
        tensors.push(("out.bias".to_owned(), vec![1], vec![0.5]));
        let file = file(&tensors);
        let start = SequenceModel::builder(3);
        let stacked = match function {
            RecurrentFunction::Rnn(act) => start.rnn_layers(&file, "net.cell", act),
            RecurrentFunction::Lstm => start.lstm_layers(&file, "net.cell"),
            _ => start.gru_layers(&file, "net.cell"),
        };
        let stacked = stacked.unwrap().dense_from(&file, "out").unwrap();
        let start = SequenceModel::builder(3);
        let singly = match function {
            RecurrentFunction::Rnn(act) => start
                .rnn_from(&file, "net.cell", 0, act)
                .and_then(|s| s.rnn_from(&file, "net.cell", 1, act)),
            RecurrentFunction::Lstm => start
                .lstm_from(&file, "net.cell", 0)
                .and_then(|s| s.lstm_from(&file, "net.cell", 1)),
            _ => start
                .gru_from(&file, "net.cell", 0)
                .and_then(|s| s.gru_from(&file, "net.cell", 1)),
        };
        let singly = singly.unwrap().dense_from(&file, "out").unwrap();
        let start = SequenceModel::builder(3);
        let by_hand = match function {
            RecurrentFunction::Rnn(act) => start.rnn(a, act).rnn(b, act),
            RecurrentFunction::Lstm => start.lstm(a).lstm(b),
            _ => start.gru(a).gru(b),
        };
        let by_hand = by_hand.dense(arr2(&[[1.0, -1.0]]), arr1(&[0.5]));
        let outputs: Vec<Array2<f32>> = [stacked, singly, by_hand]
            .map(|b| b.build().unwrap().infer(sequence.view()).unwrap())
            .into();
        assert_eq!(outputs[0], outputs[1]);
        assert_eq!(outputs[0], outputs[2]);
    }
}

#[test]
fn pytorch_without_biases() {
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let mut w = weights(&mut rng, 4, 3, 2);
    let mut tensors = pytorch(&w, "lstm", 0);
    tensors.truncate(2);
    let loaded = SequenceModel::builder(3).lstm_layers(&file(&tensors), "lstm");
    let loaded = loaded.unwrap().build().unwrap();
    w.input_bias.fill(0.0);
    w.hidden_bias.fill(0.0);
    let model = SequenceModel::builder(3).lstm(w.clone()).build().unwrap();
    let sequence = random(&mut rng, 5, 3);
    assert_eq!(
        loaded.infer(sequence.view()).unwrap(),
        model.infer(sequence.view()).unwrap()
    );

    let mut one = pytorch(&w, "lstm", 0);
    one.pop();
    let error = SequenceModel::builder(3)
        .lstm_from(&file(&one), "lstm", 0)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "tensor `lstm.bias_hh_l0`: not in the file, which has: lstm.bias_ih_l0, lstm.weight_hh_l0, lstm.weight_ih_l0"
    );
}

#[test]
fn what_pytorch_can_and_a_stream_cannot() {
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let w = weights(&mut rng, 4, 3, 2);
    let with = |name: &str| {
        let mut tensors = pytorch(&w, "lstm", 0);
        tensors.push((name.to_owned(), vec![1, 1], vec![0.0]));
        SequenceModel::builder(3)
            .lstm_layers(&file(&tensors), "lstm")
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        with("lstm.weight_ih_l0_reverse"),
        "tensor `lstm.weight_ih_l0_reverse`: the network is bidirectional: what runs over a stream knows no later frames"
    );
    assert_eq!(
        with("lstm.weight_hr_l0"),
        "tensor `lstm.weight_hr_l0`: the cell projects its state (`proj_size`), which is not supported"
    );
    // The weights of an LSTM are those of no GRU.
    let error = SequenceModel::builder(3)
        .gru_layers(&file(&pytorch(&w, "lstm", 0)), "lstm")
        .unwrap()
        .build()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "layer 0: rows of the recurrent weights: expected 6, got 8"
    );
}

#[test]
fn the_last_output() {
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    let w = weights(&mut rng, 3, 3, 4);
    let each = SequenceModel::builder(3).gru(w.clone()).build().unwrap();
    let last = SequenceModel::builder(3).gru(w).last_output().build();
    let last = last.unwrap();
    assert!(last.has_last_output_only() && !each.has_last_output_only());
    let sequence = random(&mut rng, 7, 3);
    let all = each.infer(sequence.view()).unwrap();
    let one = last.infer(sequence.view()).unwrap();
    assert_eq!((all.dim(), one.dim()), ((7, 4), (1, 4)));
    assert_eq!(all.row(6), one.row(0));
}

#[test]
fn sizes_and_debug() {
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let model = SequenceModel::builder(3)
        .rnn(weights(&mut rng, 1, 3, 5), RnnActivation::Relu)
        .gru_reset_before(weights(&mut rng, 3, 5, 4))
        .lstm(weights(&mut rng, 4, 4, 2))
        .dense(random(&mut rng, 6, 2), Array1::zeros(6))
        .relu()
        .dense(random(&mut rng, 1, 6), Array1::zeros(1))
        .last_output()
        .build()
        .unwrap();
    assert_eq!((model.input_len(), model.output_len()), (3, 1));
    let cells = 5 * (3 + 5 + 2) + 12 * (5 + 4 + 2) + 8 * (4 + 2 + 2);
    assert_eq!(model.parameter_count(), cells + 6 * 3 + 7);
    assert_eq!((model.cells().len(), model.head().len()), (3, 2));
    let cell = &model.cells()[1];
    assert_eq!((cell.inputs(), cell.hidden()), (5, 4));
    assert_eq!(cell.function(), RecurrentFunction::GruResetBefore);
    assert_eq!(cell.weights().input.dim(), (12, 5));
    assert_eq!(
        format!("{model:?}"),
        "SequenceModel(3 → 5 rnn relu → 4 gru reset before → 2 lstm → 6 relu → 1, last output only, weights redacted)"
    );
    assert_eq!(
        format!("{cell:?}"),
        "RecurrentCell(5 → 4 gru reset before, weights redacted)"
    );
    assert_eq!(
        format!("{:?}", cell.weights()),
        "RecurrentWeights((12, 5), (12, 4), 12, 12, redacted)"
    );
    assert_eq!(
        format!("{:?}", model.start()),
        "SequenceState([5, 4, 2], redacted)"
    );
}

fn fails(builder: SequenceBuilder, kind: ErrorKind, message: &str) {
    let error = builder.build().map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), message);
    assert_eq!(error.kind(), kind, "{message}");
}

#[test]
fn what_does_not_fit_is_reported() {
    let mut rng = ChaCha20Rng::seed_from_u64(8);
    let good = weights(&mut rng, 3, 3, 4);
    let builder = || SequenceModel::builder(3);
    let (input, unsupported) = (ErrorKind::Input, ErrorKind::Unsupported);
    fails(builder(), input, "list of cells is empty");
    fails(
        SequenceModel::builder(0).gru(good.clone()),
        input,
        "entries of a frame: 0 is outside 1..=16777216",
    );
    let head = random(&mut rng, 2, 4);
    for first in [
        builder().dense(&head, Array1::zeros(2)),
        builder().relu().gru(good.clone()),
    ] {
        fails(
            first,
            unsupported,
            "layer 0: a dense layer or an activation comes before the first cell",
        );
    }
    fails(
        builder()
            .gru(good.clone())
            .dense(&head, Array1::zeros(2))
            .gru(good.clone()),
        unsupported,
        "layer 1: a cell follows a dense layer: all cells come before the first dense layer",
    );
    fails(
        builder().gru(good.clone()).gru(good.clone()),
        input,
        "layer 1: columns of the input weights: expected 4, got 3",
    );
    fails(
        builder().gru(good.clone()).tanh(),
        unsupported,
        "layer 1: an activation comes first: an activation must follow a dense layer",
    );
    fails(
        builder()
            .gru(good.clone())
            .dense(&head, Array1::zeros(2))
            .dense(&head, Array1::zeros(2)),
        input,
        "layer 2: columns of the weight matrix: expected 2, got 4",
    );
    fails(
        builder()
            .gru(good.clone())
            .dense(&head, Array1::zeros(2))
            .table("ln", f64::ln, -1.0..=1.0, -1.0..=1.0),
        unsupported,
        "layer 1: its activation is not a number somewhere in the input range",
    );
    // An identity is no activation.
    let identity = builder()
        .activation(ActivationFunction::Identity)
        .gru(good.clone());
    assert!(identity.build().is_ok());
}

#[test]
fn weights_are_checked() {
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let good = weights(&mut rng, 3, 3, 4);
    let with = |change: fn(&mut RecurrentWeights), kind, message| {
        let mut weights = good.clone();
        change(&mut weights);
        fails(SequenceModel::builder(3).gru(weights), kind, message);
    };
    let input = ErrorKind::Input;
    with(
        |w| w.hidden = Array2::zeros((0, 0)),
        ErrorKind::Unsupported,
        "layer 0: the matrix of its recurrent weights is empty",
    );
    with(
        |w| w.hidden = Array2::zeros((0, 1 << 24)),
        ErrorKind::Unsupported,
        "layer 0: more than 2^24 gates",
    );
    with(
        |w| w.hidden = Array2::zeros((16, 4)),
        input,
        "layer 0: rows of the recurrent weights: expected 12, got 16",
    );
    with(
        |w| w.input = Array2::zeros((4, 3)),
        input,
        "layer 0: rows of the input weights: expected 12, got 4",
    );
    with(
        |w| w.input = Array2::zeros((12, 2)),
        input,
        "layer 0: columns of the input weights: expected 3, got 2",
    );
    with(
        |w| w.input_bias = Array1::zeros(4),
        input,
        "layer 0: entries of the input bias: expected 12, got 4",
    );
    with(
        |w| w.hidden_bias = Array1::zeros(0),
        input,
        "layer 0: entries of the recurrent bias: expected 12, got 0",
    );
    with(
        |w| w.input[[1, 0]] = f32::NAN,
        input,
        "layer 0: an input weight is not a finite number (at index 3)",
    );
    with(
        |w| w.hidden[[0, 2]] = f32::INFINITY,
        input,
        "layer 0: a recurrent weight is not a finite number (at index 2)",
    );
    with(
        |w| w.input_bias[5] = f32::NEG_INFINITY,
        input,
        "layer 0: an entry of the input bias is not a finite number (at index 5)",
    );
    with(
        |w| w.hidden_bias[0] = f32::NAN,
        input,
        "layer 0: an entry of the recurrent bias is not a finite number (at index 0)",
    );
}

#[test]
fn frames_are_checked_and_leave_the_state() {
    let mut rng = ChaCha20Rng::seed_from_u64(10);
    let model = SequenceModel::builder(2)
        .lstm(weights(&mut rng, 4, 2, 3))
        .build()
        .unwrap();
    let error = model.infer(Array2::zeros((0, 2)).view()).unwrap_err();
    assert_eq!(error.to_string(), "sequence is empty");
    let mut state = model.start();
    model.step(&mut state, arr1(&[1.0, -1.0]).view()).unwrap();
    let before = state.hidden(0).to_vec();
    for (frame, message) in [
        (vec![1.0], "length of the input: expected 2, got 1"),
        (
            vec![0.0, f32::NAN],
            "input is not a finite number (at index 1)",
        ),
    ] {
        let error = model.step(&mut state, arr1(&frame).view()).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.kind(), ErrorKind::Input);
    }
    let other = SequenceModel::builder(2).gru(weights(&mut rng, 3, 2, 3));
    let other = other.build().unwrap();
    let error = other
        .step(&mut state, arr1(&[0.0, 0.0]).view())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert_eq!(
        error.to_string(),
        "the state is not one of this model: it has another shape"
    );
    assert_eq!(state.hidden(0), before);
}

#[test]
fn what_grows_without_bound_is_reported() {
    let grows = one_unit(
        RecurrentFunction::Rnn(RnnActivation::Relu),
        &[(1.0, 3e38, 0.0, 0.0)],
    );
    let mut state = grows.start();
    let mut step = |x| grows.step(&mut state, arr1(&[x]).view());
    assert_eq!(step(1.0).unwrap(), arr1(&[1.0]));
    assert_eq!(step(0.0).unwrap(), arr1(&[3e38]));
    // Too large for single precision.
    let error = step(0.0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "layer 0: an output is not a finite number (at index 0)"
    );
    // The state was left at 3e38.
    assert!(step(0.0).is_err());

    let cell = one_unit(
        RecurrentFunction::Rnn(RnnActivation::Relu),
        &[(1.0, 0.0, 0.0, 0.0)],
    );
    let huge = SequenceModel::builder(1)
        .rnn(cell.cells()[0].weights().clone(), RnnActivation::Relu)
        .dense(arr2(&[[f32::MAX]]), arr1(&[f32::MAX]))
        .build()
        .unwrap();
    let error = huge.infer(arr2(&[[1.0]]).view()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "layer 1: an output is not a finite number (at index 0)"
    );
}
