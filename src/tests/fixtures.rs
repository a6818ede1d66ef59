//! Small models and provers for tests.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    Params, Prover,
    program::{Activation, LayerShape, NetworkShape, Program, Schedule, Table},
    weights::{AffineMap, WeightBank},
};

pub(super) const SHIFT: u8 = 6;
pub(super) const BITS: u8 = 20;

/// A fully connected network of these widths.
pub(super) fn network(widths: &[u32], activations: &[Activation]) -> NetworkShape {
    NetworkShape {
        layers: widths
            .windows(2)
            .zip(activations)
            .map(|(w, a)| LayerShape {
                inputs: w[0],
                outputs: w[1],
                activation: *a,
            })
            .collect(),
        tables: vec![Table {
            values: (-128..128).map(|x: i32| (x * x) / 129 - 50).collect(),
            width: 8,
        }],
        width: 8,
        bits: BITS,
        shift: SHIFT,
    }
}

/// ReLU after every layer but the last.
pub(super) fn relu_network(widths: &[u32]) -> NetworkShape {
    let mut activations = vec![Activation::Relu; widths.len() - 1];
    if let Some(last) = activations.last_mut() {
        *last = Activation::Identity;
    }
    network(widths, &activations)
}

/// Random weights that keep every sum within `BITS`.
pub(super) fn bank(program: &Program, seed: u64) -> WeightBank {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let maps = program
        .maps()
        .iter()
        .map(|map| {
            let (rows, columns) = (map.rows as usize, map.columns as usize);
            let reach = ((1i64 << (BITS - 2)) / 128 / columns as i64).clamp(1, 100) as i16;
            let weights = (0..rows * columns)
                .map(|_| rng.gen_range(-reach..=reach))
                .collect();
            let bias = (0..rows).map(|_| rng.gen_range(-5000..5000)).collect();
            AffineMap::new(columns, weights, bias).unwrap()
        })
        .collect();
    WeightBank::new(maps).unwrap()
}

pub(super) fn frame(len: u32, seed: u64) -> Vec<i64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| rng.gen_range(-128..128)).collect()
}

/// A program, its keys, and a prover of random weights.
pub(super) fn prover(shape: &NetworkShape, schedule: Schedule, seed: u64) -> Prover {
    let program = shape.program(schedule).unwrap();
    let params = Params::setup(&program).unwrap();
    Prover::from_bank(&params, bank(&program, seed)).unwrap()
}
