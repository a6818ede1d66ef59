//! What is composed, and what is computed.

use ndarray::{Array, Array1, Array2, ArrayD, IxDyn, arr1};

use super::*;

mod kernels;

fn scalar(v: f32) -> ArrayD<f32> {
    Array::from_elem(IxDyn(&[]), v)
}

fn filled(rows: usize, columns: usize) -> Array2<f32> {
    Array::from_shape_fn((rows, columns), |(i, j)| {
        ((i * 7 + j * 13) % 11) as f32 / 11.0 - 0.5
    })
}

#[test]
fn linear_operations_cost_no_stage() {
    let mut g = NetworkBuilder::new([2, 4, 4]);
    let x = g.input();
    let kernel = ArrayD::from_elem(IxDyn(&[3, 2, 3, 3]), 0.1);
    let y = g.conv(x, kernel.view(), None, &Conv::default()).unwrap();
    let y = g
        .scale_shift(y, scalar(2.0).view(), scalar(1.0).view())
        .unwrap();
    let y = g.average_pool(y, &Pool::tiles([2, 2])).unwrap();
    let skip = g.mean(x, &[1, 2], true).unwrap();
    let skip = g.slice(skip, 0, 0, 1, 1).unwrap();
    let y = g.add(y, skip).unwrap();
    let y = g.reshape(y, &[3]).unwrap();
    let y = g.dense(y, filled(2, 3).view(), None).unwrap();
    let network = g.build(y).unwrap();
    assert_eq!(network.stage_count(), 0);
    // One matrix on the input.
    assert_eq!(network.output.terms.len(), 1);
    assert!(network.nonzeros() <= 2 * 32);
}

#[test]
fn residual_sums_stay_forms() {
    let mut g = NetworkBuilder::new([4]);
    let mut x = g.input();
    for _ in 0..3 {
        let h = g.dense(x, filled(4, 4).view(), None).unwrap();
        let h = g.function(h, Function::Relu).unwrap();
        let h = g.dense(h, filled(4, 4).view(), None).unwrap();
        x = g.add(x, h).unwrap();
    }
    let network = g.build(x).unwrap();
    assert_eq!(network.stage_count(), 3);
    assert_eq!(network.output.terms.len(), 4);
    assert!(network.output.terms[0].1.is_identity());
    assert!(network.fill_ins().is_empty());
}

#[test]
fn a_bottleneck_is_not_multiplied_out() {
    let mut g = NetworkBuilder::new([400]);
    let x = g.input();
    let y = g.dense(x, filled(4, 400).view(), None).unwrap();
    let y = g.dense(y, filled(400, 4).view(), None).unwrap();
    let y = g.function(y, Function::Relu).unwrap();
    let network = g.build(y).unwrap();
    assert_eq!(network.stage_count(), 2);
    assert_eq!(network.fill_ins().len(), 1);
    assert_eq!(
        (network.fill_ins()[0].stage, network.fill_ins()[0].entries),
        (0, 4)
    );
}

#[test]
fn sums_of_many_registers_are_computed() {
    let mut g = NetworkBuilder::new([2]);
    let mut x = g.input();
    for _ in 0..40 {
        let h = g.function(x, Function::Tanh).unwrap();
        x = g.add(x, h).unwrap();
    }
    let network = g.build(x).unwrap();
    assert!(!network.fill_ins().is_empty());
    for stage in &network.stages {
        assert!(stage.arguments.iter().all(|a| a.terms.len() <= 32));
    }
    let y = network.infer(arr1(&[0.1, -0.2]).view()).unwrap();
    let mut expected = [0.1f64, -0.2];
    for _ in 0..40 {
        expected = expected.map(|x| x + x.tanh());
    }
    assert!((f64::from(y[0]) - expected[0]).abs() < 1e-4);
}

#[test]
fn relu_and_maximum_are_one_stage() {
    for relu_first in [true, false] {
        let mut g = NetworkBuilder::new([1, 4, 4]);
        let x = g.input();
        let y = if relu_first {
            let y = g.function(x, Function::Relu).unwrap();
            g.max_pool(y, &Pool::tiles([2, 2])).unwrap()
        } else {
            let y = g.max_pool(x, &Pool::tiles([2, 2])).unwrap();
            g.function(y, Function::Relu).unwrap()
        };
        let network = g.build(y).unwrap();
        assert_eq!(network.stage_count(), 1);
        assert_eq!(network.stages[0].kind.name(), "maximum, relu");
    }
}

#[test]
fn what_is_not_read_is_not_computed() {
    let mut g = NetworkBuilder::new([3]);
    let x = g.input();
    let _ = g.function(x, Function::Exp).unwrap();
    let y = g.function(x, Function::Relu).unwrap();
    assert_eq!(g.build(y).unwrap().stage_count(), 1);
}

#[test]
fn constants_are_folded() {
    let mut g = NetworkBuilder::new([2]);
    let x = g.input();
    let c = g.constant(arr1(&[1.0, -2.0]).into_dyn().view());
    let d = g.function(c, Function::Relu).unwrap();
    let d = g.add(d, c).unwrap();
    assert_eq!(g.constant_value(d), Some(&[2.0, -2.0][..]));
    let y = g.mul(x, d).unwrap();
    let z = g.maximum(y, c).unwrap();
    let network = g.build(z).unwrap();
    assert_eq!(network.stage_count(), 1);
    let y = network.infer(arr1(&[3.0, 3.0]).view()).unwrap();
    assert_eq!(y, arr1(&[6.0, -2.0]));
}

#[test]
fn debug_shows_no_weight() {
    let mut g = NetworkBuilder::new([2]);
    let y = g.dense(g.input(), filled(2, 2).view(), None).unwrap();
    let y = g.function(y, Function::Relu).unwrap();
    assert_eq!(
        format!("{g:?}"),
        "NetworkBuilder { operations: 3, nonzeros: 4, .. }"
    );
    let network = g.build(y).unwrap();
    assert_eq!(
        format!("{network:?}"),
        "Network([2] → 2 relu → [2], weights redacted)"
    );
    let samples = vec![Array1::from_vec(vec![1.0, 1.0])];
    let quantized = network.quantize(&samples, &Precision::default()).unwrap();
    let text = format!("{quantized:?} {:?}", SparseMatrix::identity(2).unwrap());
    assert!(!text.contains("bank") && text.contains("SparseMatrix(2×2, 2 entries, redacted)"));
}

fn recurrent(seed: u64, gates: usize, inputs: usize, hidden: usize) -> RecurrentWeights {
    use rand::{Rng, SeedableRng};
    let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(seed);
    let mut random =
        |rows, columns| Array2::from_shape_fn((rows, columns), |_| rng.gen_range(-0.8..0.8f32));
    RecurrentWeights {
        input: random(gates * hidden, inputs),
        hidden: random(gates * hidden, hidden),
        input_bias: random(1, gates * hidden).row(0).to_owned(),
        hidden_bias: random(1, gates * hidden).row(0).to_owned(),
    }
}

/// A recurrent layer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Layer {
    Rnn(RnnActivation),
    Gru(GruReset),
    Lstm,
}

const LAYERS: [Layer; 5] = [
    Layer::Rnn(RnnActivation::Relu),
    Layer::Rnn(RnnActivation::Tanh),
    Layer::Gru(GruReset::After),
    Layer::Gru(GruReset::Before),
    Layer::Lstm,
];

impl Layer {
    fn gates(self) -> usize {
        match self {
            Self::Rnn(_) => 1,
            Self::Gru(_) => 3,
            Self::Lstm => 4,
        }
    }

    fn add(self, chain: Sequential, weights: &RecurrentWeights) -> Sequential {
        match self {
            Self::Rnn(activation) => chain.rnn(weights, activation),
            Self::Gru(reset) => chain.gru(weights, reset),
            Self::Lstm => chain.lstm(weights),
        }
    }

    /// The next state and memory, entry by entry, as the equations are written down.
    fn reference(self, w: &RecurrentWeights, x: &[f64], h: &[f64], c: &[f64]) -> [Vec<f64>; 2] {
        let n = h.len();
        let sigmoid = |v: f64| 1.0 / (1.0 + f64::exp(-v));
        let dot = |m: &Array2<f32>, bias: &Array1<f32>, row: usize, x: &[f64]| -> f64 {
            let products = x
                .iter()
                .enumerate()
                .map(|(k, x)| f64::from(m[[row, k]]) * x);
            f64::from(bias[row]) + products.sum::<f64>()
        };
        let from_input = |gate: usize, j: usize| dot(&w.input, &w.input_bias, gate * n + j, x);
        let from = |h: &[f64], gate: usize, j| dot(&w.hidden, &w.hidden_bias, gate * n + j, h);
        let both = |gate, j| from_input(gate, j) + from(h, gate, j);
        let reset: Vec<f64> = (0..n)
            .map(|k| match self {
                Self::Gru(_) => sigmoid(both(0, k)) * h[k],
                _ => 0.0,
            })
            .collect();
        let (mut next, mut memory) = (vec![0.0; n], c.to_vec());
        for j in 0..n {
            let gated = |candidate: f64| {
                let z = sigmoid(both(1, j));
                (1.0 - z) * candidate + z * h[j]
            };
            next[j] = match self {
                Self::Rnn(RnnActivation::Relu) => both(0, j).max(0.0),
                Self::Rnn(RnnActivation::Tanh) => both(0, j).tanh(),
                Self::Gru(GruReset::After) => {
                    gated((from_input(2, j) + sigmoid(both(0, j)) * from(h, 2, j)).tanh())
                }
                Self::Gru(GruReset::Before) => {
                    gated((from_input(2, j) + from(&reset, 2, j)).tanh())
                }
                Self::Lstm => {
                    memory[j] =
                        sigmoid(both(1, j)) * c[j] + sigmoid(both(0, j)) * both(2, j).tanh();
                    sigmoid(both(3, j)) * memory[j].tanh()
                }
            };
        }
        [next, memory]
    }
}

#[test]
fn recurrent_layers_follow_their_equations() {
    let sequence =
        Array2::from_shape_fn((12, 3), |(t, i)| ((t * 3 + i * 5) % 7) as f32 / 3.5 - 1.0);
    for (first, second) in LAYERS
        .iter()
        .flat_map(|a| LAYERS.iter().map(move |b| (*a, *b)))
    {
        let a = recurrent(1, first.gates(), 3, 4);
        let b = recurrent(2, second.gates(), 4, 2);
        let chain = second.add(first.add(Network::sequential([3]), &a), &b);
        let head = filled(2, 2);
        let network = chain.dense(&head, Array1::ones(2)).tanh().build().unwrap();
        let got = network.infer_sequence(sequence.view()).unwrap();
        let (mut h, mut c) = (vec![0.0; 4], vec![0.0; 4]);
        let (mut k, mut d) = (vec![0.0; 2], vec![0.0; 2]);
        for (x, y) in sequence.rows().into_iter().zip(got.rows()) {
            let x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
            [h, c] = first.reference(&a, &x, &h, &c);
            [k, d] = second.reference(&b, &h, &k, &d);
            for (row, y) in y.iter().enumerate() {
                let sum: f64 = (0..2).map(|j| f64::from(head[[row, j]]) * k[j]).sum();
                assert!(
                    (f64::from(*y) - (sum + 1.0).tanh()).abs() < 1e-5,
                    "{first:?} {second:?}"
                );
            }
        }
        assert!(network.infer(sequence.row(0)).is_err());
    }
}

#[test]
fn states_carry_any_value() {
    // The frame before, and the sum of all so far, which starts at 10.
    let mut g = NetworkBuilder::new([2]);
    let x = g.input();
    let before = g.state(&[2]).unwrap();
    g.carry(before, x).unwrap();
    let sum = g.state_from(arr1(&[10.0, 0.0]).into_dyn().view()).unwrap();
    let next = g.add(sum, x).unwrap();
    g.carry(sum, next).unwrap();
    assert!(g.carry(sum, next).is_err() && g.carry(x, next).is_err());
    let y = g.concat(&[before, next], 0).unwrap();
    let network = g.build(y).unwrap();
    let sequence = ndarray::arr2(&[[1.0, 2.0], [3.0, 4.0]]);
    let y = network.infer_sequence(sequence.view()).unwrap();
    assert_eq!(
        y,
        ndarray::arr2(&[[0.0, 0.0, 11.0, 2.0], [1.0, 2.0, 14.0, 6.0]])
    );

    let mut g = NetworkBuilder::new([1]);
    let state = g.state(&[1]).unwrap();
    let open = g.state(&[1]).unwrap();
    let x = g.input();
    let sum = g.add(x, state).unwrap();
    g.carry(state, sum).unwrap();
    // What the output does not need may stay open.
    let _ = g.add(open, x).unwrap();
    let network = g.build_last(sum).unwrap();
    let y = network
        .infer_sequence(ndarray::arr2(&[[1.0], [2.0]]).view())
        .unwrap();
    assert_eq!(y, ndarray::arr2(&[[3.0]]));

    let mut g = NetworkBuilder::new([1]);
    let open = g.state(&[1]).unwrap();
    let sum = g.add(open, g.input()).unwrap();
    assert!(g.build(sum).is_err());
}

/// Elementary functions may differ between platforms in the last place; standard tables, and with them
/// programs and keys, must not.
#[test]
fn standard_tables_are_far_from_ties() {
    let weights = |gates: usize| RecurrentWeights {
        input: Array2::zeros((gates, 1)),
        hidden: Array2::zeros((gates, 1)),
        input_bias: Array1::zeros(gates),
        hidden_bias: Array1::zeros(gates),
    };
    let chain = Network::sequential([1])
        .rnn(&weights(1), RnnActivation::Tanh)
        .gru(&weights(3), GruReset::After)
        .lstm(&weights(4))
        .sigmoid();
    let network = chain.build().unwrap();
    let samples = [ndarray::arr2(&[[1.0f32], [-1.0]])];
    let q = network.quantize(&samples, &Precision::standard()).unwrap();
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    // Of gates, of 8-bit, 12-bit and 16-bit tanh, of the memory at midpoints, of the end.
    let known: [&dyn Fn(f64) -> f64; 6] = [
        &|x| 4096.0 * sigmoid(x / 16.0),
        &|x| 128.0 * (x / 32.0).tanh(),
        &|x| 2048.0 * (x / 32.0).tanh(),
        &|x| 32768.0 * (x / 32.0).tanh(),
        &|x| 2048.0 * ((x + 0.5) / 32.0).tanh(),
        &|x| 128.0 * sigmoid(x / 128.0),
    ];
    let points = || (-128..128).map(f64::from);
    let tables = &q.program().tables;
    for table in tables {
        let found = known.iter().any(|f| {
            let close = |(x, v): (f64, &i32)| (f(x) - f64::from(*v)).abs() <= 1.0;
            points().zip(&table.values).all(close)
        });
        assert!(found, "a table that this test does not know: {table:?}");
    }
    assert!(tables.len() >= 5);
    for f in known {
        assert!(points().all(|x| (f(x).abs().fract() - 0.5).abs() > 1e-6));
    }
}
