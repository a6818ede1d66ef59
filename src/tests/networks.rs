//! Networks of all kinds of stages: the two interpreters agree bit for bit.

use ndarray::{Array, Array2, ArrayD, Axis, IxDyn};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::fixtures::Bench;
use crate::network::{
    Conv, Function, GruReset, Network, NetworkBuilder, Pool, Precision, Quantized,
    RecurrentWeights, RnnActivation,
};

fn array(rng: &mut ChaCha8Rng, shape: &[usize]) -> ArrayD<f32> {
    Array::from_shape_fn(IxDyn(shape), |_| rng.gen_range(-1.0f32..1.0))
}

fn recurrent(rng: &mut ChaCha8Rng, gates: usize) -> RecurrentWeights {
    let mut matrix = |rows: usize, columns: usize| {
        Array2::from_shape_fn((rows, columns), |_| rng.gen_range(-0.3f32..0.3))
    };
    RecurrentWeights {
        input: matrix(gates * 18, 18),
        hidden: matrix(gates * 18, 18) * 0.5,
        input_bias: matrix(1, gates * 18).row(0).to_owned(),
        hidden_bias: matrix(1, gates * 18).row(0).to_owned(),
    }
}

/// A small network of every kind of stage, in random order, and a sequence of inputs.
fn network(seed: u64) -> (Network, Array2<f32>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut g = NetworkBuilder::new([2, 3, 3]);
    let mut x = g.input();
    let mut before = x;
    for _ in 0..rng.gen_range(1..=4) {
        let conv = Conv {
            pads: vec![(1, 1); 2],
            ..Conv::default()
        };
        let kernel = array(&mut rng, &[2, 2, 3, 3]) * 0.4;
        let y = g.conv(x, kernel.view(), None, &conv).unwrap();
        let y = match rng.gen_range(0..14) {
            0 => g.function(y, Function::Relu).unwrap(),
            1 => g.function(y, Function::Sigmoid).unwrap(),
            2 => g.function(y, Function::Exp).unwrap(),
            3 => g.function(y, Function::LeakyRelu(0.1)).unwrap(),
            4 => {
                let clip = Function::Clip {
                    least: -0.25,
                    most: 0.5,
                };
                g.function(y, clip).unwrap()
            }
            5 => g.mul(y, before).unwrap(),
            6 => g.mul(y, y).unwrap(),
            7 => g.maximum(y, before).unwrap(),
            8 => {
                // A sum of products and values, rounded once.
                let a = g.mul(before, y).unwrap();
                let b = g.function(y, Function::Tanh).unwrap();
                let c = g.mul(b, before).unwrap();
                let sum = g.sub(a, c).unwrap();
                g.add(sum, b).unwrap()
            }
            9 => {
                let weights = recurrent(&mut rng, 3);
                let reset = [GruReset::Before, GruReset::After][rng.gen_range(0..2)];
                let y = g.gru(y, &weights, reset).unwrap();
                g.reshape(y, &[2, 3, 3]).unwrap()
            }
            10 => {
                let weights = recurrent(&mut rng, 4);
                let y = g.lstm(y, &weights).unwrap();
                g.reshape(y, &[2, 3, 3]).unwrap()
            }
            11 => {
                let weights = recurrent(&mut rng, 1);
                let f = [RnnActivation::Relu, RnnActivation::Tanh][rng.gen_range(0..2)];
                let y = g.rnn(y, &weights, f).unwrap();
                g.reshape(y, &[2, 3, 3]).unwrap()
            }
            12 => {
                // The value of the frame before.
                let state = g.state(&[2, 3, 3]).unwrap();
                g.carry(state, y).unwrap();
                g.sub(y, state).unwrap()
            }
            _ => {
                let y = g.function(y, Function::Relu).unwrap();
                let pool = Pool {
                    kernel: vec![3, 3],
                    pads: vec![(1, 1); 2],
                    ..Pool::default()
                };
                g.max_pool(y, &pool).unwrap()
            }
        };
        before = x;
        x = g.add(x, y).unwrap();
    }
    let x = match rng.gen_range(0..3) {
        0 => g.argmax(x).unwrap(),
        1 => g.function(x, Function::Tanh).unwrap(),
        _ => g.mean(x, &[1, 2], false).unwrap(),
    };
    let samples = Array2::from_shape_fn((6, 18), |_| rng.gen_range(-1.0f32..1.0));
    let network = match rng.gen_range(0..3) {
        0 => g.build_last(x).unwrap(),
        _ => g.build(x).unwrap(),
    };
    (network, samples)
}

fn agree(quantized: &Quantized, frames: &Array2<f32>) {
    let bench = Bench::new(quantized.program().clone(), quantized.bank().clone());
    let mut run = bench.run();
    for frame in frames.rows() {
        let frame = quantized.quantize_input(frame).unwrap();
        let step = bench.prepare(&run, &bench.trace(&run, &frame));
        let (cs, next) = bench.synthesize(run.z, &step.witness);
        assert_eq!(cs.which_is_unsatisfied(), None);
        // `z` holds a digest of the interpreter's outputs.
        assert_eq!(next, step.next.z);
        assert!(bench.claim_holds(&step.next.state.claim));
        run = step.next;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn interpreter_and_circuit_agree(seed: u64, bits in prop_oneof![2 => Just(8u8), 1 => 9u8..=16]) {
        let (network, samples) = network(seed);
        let precision = Precision::default().activation_bits(bits);
        let quantized = network.quantize(&[samples.view()], &precision).unwrap();
        agree(&quantized, &samples.select(Axis(0), &[0, 1]));
        // Far beyond what was seen in calibration, everything saturates.
        agree(&quantized, &(samples.select(Axis(0), &[0]) * 1e6));
    }
}
