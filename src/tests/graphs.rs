//! General networks: the two interpreters agree bit for bit.

use ndarray::{Array, Array1, ArrayD, IxDyn};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::fixtures::Bench;
use crate::network::{Conv, Function, Network, NetworkBuilder, Pool, Precision, Quantized};

fn array(rng: &mut ChaCha8Rng, shape: &[usize]) -> ArrayD<f32> {
    Array::from_shape_fn(IxDyn(shape), |_| rng.gen_range(-1.0f32..1.0))
}

/// A small graph of every kind of stage, in random order.
fn graph(seed: u64) -> (Network, Vec<Array1<f32>>) {
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
        let y = match rng.gen_range(0..9) {
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
    let samples = (0..6)
        .map(|_| Array1::from_iter(array(&mut rng, &[18])))
        .collect();
    (g.build(x).unwrap(), samples)
}

fn agree(quantized: &Quantized, samples: &[Array1<f32>]) {
    let program = quantized.program().clone();
    let bench = Bench::new(program, quantized.bank().clone());
    let mut run = bench.run();
    for sample in samples {
        let frame = quantized.quantize_input(sample.view()).unwrap();
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
        let (graph, samples) = graph(seed);
        let precision = Precision::default().activation_bits(bits);
        let quantized = graph.quantize(&samples, &precision).unwrap();
        agree(&quantized, &samples[..2]);
        // Far beyond what was seen in calibration, everything saturates.
        let wild: Vec<Array1<f32>> = samples[..1].iter().map(|s| s * 1e6).collect();
        agree(&quantized, &wild);
    }
}
