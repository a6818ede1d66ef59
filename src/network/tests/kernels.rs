//! Networks on kernels: what reaches the program as such, and that its integers are those of the
//! expansions.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayD, IxDyn};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::{
    Conv, Function, Network, NetworkBuilder, Pool, Precision, Quantized, SparseMatrix, Value,
    form::Form, kernel::kernel,
};
use crate::program::{Operation, Order, Window, WindowAxis};

fn random(shape: &[usize], seed: u64) -> ArrayD<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    ArrayD::from_shape_fn(IxDyn(shape), |_| rng.gen_range(-1.0..1.0))
}

fn biases(len: usize, seed: u64) -> Array1<f32> {
    Array1::from_iter(random(&[len], seed))
}

/// A network of these operations on a value of this shape.
fn network(shape: &[usize], build: impl Fn(&mut NetworkBuilder, Value) -> Value) -> Network {
    let mut g = NetworkBuilder::new(shape.iter().copied());
    let x = g.input();
    let y = build(&mut g, x);
    g.build(y).unwrap()
}

fn conv(g: &mut NetworkBuilder, x: Value, kernel: &[usize], seed: u64, conv: &Conv) -> Value {
    let (weight, bias) = (random(kernel, seed), biases(kernel[0], seed + 1));
    let bias = Some(bias.view());
    g.conv(x, weight.view(), bias, conv).unwrap()
}

fn dense(g: &mut NetworkBuilder, x: Value, outputs: usize, seed: u64) -> Value {
    let inputs = *g.shape(x).last().unwrap();
    let weight = random(&[outputs, inputs], seed).into_dimensionality();
    let (weight, bias) = (weight.unwrap(), biases(outputs, seed + 1));
    g.dense(x, weight.view(), Some(bias.view())).unwrap()
}

fn function(g: &mut NetworkBuilder, x: Value, function: Function) -> Value {
    g.function(x, function).unwrap()
}

fn padded(rank: usize) -> Conv {
    Conv {
        pads: vec![(1, 1); rank],
        ..Conv::default()
    }
}

/// Of each affine operation its positions, and the sizes of its maps.
type Layout = Vec<(usize, Vec<(usize, usize)>)>;

fn layout(quantized: &Quantized) -> Layout {
    let maps = quantized.bank().maps();
    let operations = quantized.program().all_operations();
    let affine = operations.filter_map(|operation| match operation {
        Operation::Affine(affine) => Some(affine),
        _ => None,
    });
    let of = |affine: &crate::program::Affine| {
        let positions = |w: &Window| w.positions();
        let windows = affine.terms.iter().map(|t| t.window.as_ref());
        let positions: Vec<usize> = windows.map(|w| w.map_or(1, positions)).collect();
        assert!(positions.windows(2).all(|p| p[0] == p[1]));
        let maps = affine.terms.iter().map(|t| &maps[t.map as usize]);
        (
            positions[0],
            maps.map(|m| (m.rows(), m.columns())).collect(),
        )
    };
    affine.map(of).collect()
}

fn expand(form: &mut Form) {
    form.kernels = None;
    for product in &mut form.products {
        expand(Arc::make_mut(&mut product.right));
    }
}

/// Quantises a network, checks that its expansion has the same integers, and gives the layout.
fn check(network: &Network, precision: &Precision) -> Layout {
    let mut expanded = network.clone();
    let stages = expanded.stages.iter_mut().flat_map(|s| &mut s.arguments);
    stages.chain([&mut expanded.output]).for_each(expand);
    let len = network.input_len();
    let samples = random(&[12, len], 99).into_dimensionality().unwrap();
    let samples: Array2<f32> = samples;
    let kernels = network.quantize(&samples, precision).unwrap();
    let expansion = expanded.quantize(&samples, precision).unwrap();
    assert!(
        layout(&expansion)
            .iter()
            .all(|(positions, _)| *positions == 1)
    );
    let bytes = kernels.to_bytes().unwrap();
    let read = Quantized::from_bytes(&bytes).unwrap();
    assert_eq!(read.program(), kernels.program());
    // Larger than in calibration too, so that sums are at their ends.
    let inputs = random(&[6, len], 98) * 1.5;
    for input in inputs.outer_iter() {
        let input = Array1::from_iter(input.iter().copied());
        let expected = expansion.infer(input.view()).unwrap();
        assert_eq!(kernels.infer(input.view()).unwrap(), expected);
        assert_eq!(read.infer(input.view()).unwrap(), expected);
    }
    let (own, other) = (kernels.details.as_ref(), expansion.details.as_ref());
    let (own, other) = (own.unwrap(), other.unwrap());
    assert_eq!(kernels.scales(), expansion.scales());
    for (own, other) in own.stages.iter().zip(&other.stages) {
        let value = |e: &super::super::lower::Encoding| (e.unit, e.steps, e.rest, e.width);
        assert_eq!(value(&own.result), value(&other.result));
        let sizes = |s: &super::super::lower::SumsReport| (s.shift, s.bits, s.max_weight);
        assert_eq!(own.sums.as_ref().map(sizes), other.sums.as_ref().map(sizes));
    }
    layout(&kernels)
}

fn check_all(network: &Network) -> Layout {
    let layout = check(network, &Precision::default());
    assert_eq!(
        check(network, &Precision::default().activation_bits(12)),
        layout
    );
    layout
}

#[test]
fn a_padded_convolution_of_some_steps() {
    let network = network(&[3, 7, 6], |g, x| {
        let slides = Conv {
            strides: vec![2, 1],
            ..padded(2)
        };
        let y = conv(g, x, &[4, 3, 3, 3], 1, &slides);
        function(g, y, Function::Relu)
    });
    // One bit and one of each spatial axis are not needed: 2 + 2 + 2.
    assert_eq!(
        check_all(&network)[0],
        (4 * 6, vec![(4, 63 + 0b101010 + 1)])
    );
}

#[test]
fn a_convolution_after_an_average_pool() {
    let network = network(&[2, 12, 12], |g, x| {
        let y = conv(g, x, &[3, 2, 3, 3], 1, &Conv::default());
        let y = function(g, y, Function::Relu);
        let y = g.average_pool(y, &Pool::tiles([2, 2])).unwrap();
        let y = conv(g, y, &[4, 3, 3, 3], 3, &Conv::default());
        let y = function(g, y, Function::Relu);
        let y = g.average_pool(y, &Pool::tiles([3, 3])).unwrap();
        let y = g.reshape(y, &[4]).unwrap();
        dense(g, y, 5, 5)
    });
    let layout = check_all(&network);
    let positions: Vec<usize> = layout.iter().map(|l| l.0).collect();
    assert_eq!(positions, [100, 9, 1]);
    let weights: usize = [3 * 18, 4 * 3 * 36, 5 * 4 * 9].iter().sum();
    let samples = vec![Array1::ones(2 * 144)];
    let quantized = network.quantize(&samples, &Precision::default()).unwrap();
    assert_eq!(quantized.weight_count(), weights);
}

#[test]
fn a_convolution_with_its_batch_norm() {
    let network = network(&[2, 5, 5], |g, x| {
        let y = conv(g, x, &[3, 2, 3, 3], 1, &padded(2));
        let (scale, shift) = (random(&[3, 1, 1], 5), random(&[3, 1, 1], 6));
        let y = g.scale_shift(y, scale.view(), shift.view()).unwrap();
        let y = function(g, y, Function::Relu);
        // And one before a convolution that reads no zeros around.
        let (scale, shift) = (random(&[3, 1, 1], 7), random(&[3, 1, 1], 8));
        let y = g.scale_shift(y, scale.view(), shift.view()).unwrap();
        let y = conv(g, y, &[2, 3, 2, 2], 9, &Conv::default());
        function(g, y, Function::Relu)
    });
    let positions: Vec<usize> = check_all(&network).iter().map(|l| l.0).collect();
    assert_eq!(positions, [25, 16]);
}

#[test]
fn a_residual_block() {
    let network = network(&[3, 6, 6], |g, x| {
        let x = conv(g, x, &[4, 3, 3, 3], 1, &padded(2));
        let x = function(g, x, Function::Relu);
        let y = conv(g, x, &[4, 4, 3, 3], 3, &padded(2));
        let y = function(g, y, Function::Relu);
        let y = conv(g, y, &[4, 4, 3, 3], 5, &padded(2));
        let y = g.add(x, y).unwrap();
        let x = function(g, y, Function::Relu);
        // With a convolution of one entry beside, and steps.
        let slides = |pad| Conv {
            strides: vec![2; 2],
            pads: vec![(pad, pad); 2],
            ..Conv::default()
        };
        let y = conv(g, x, &[5, 4, 3, 3], 7, &slides(1));
        let y = function(g, y, Function::Relu);
        let y = conv(g, y, &[5, 5, 3, 3], 9, &padded(2));
        let beside = conv(g, x, &[5, 4, 1, 1], 11, &slides(0));
        let y = g.add(y, beside).unwrap();
        function(g, y, Function::Relu)
    });
    let layout = check_all(&network);
    let positions: Vec<usize> = layout.iter().map(|l| l.0).collect();
    assert_eq!(positions, [36, 36, 36, 9, 9]);
    // What is added as it stands is a kernel of one entry.
    assert!(layout[2].1.contains(&(4, 4)));
    assert!(layout[4].1.contains(&(5, 4)));
}

#[test]
fn a_sum_of_kernels_over_one_register() {
    let network = network(&[3, 6, 6], |g, x| {
        let wide = conv(g, x, &[3, 3, 3, 3], 1, &padded(2));
        let narrow = conv(g, x, &[3, 3, 1, 1], 3, &Conv::default());
        let y = g.add(narrow, wide).unwrap();
        let y = g.add(x, y).unwrap();
        function(g, y, Function::Relu)
    });
    assert_eq!(check_all(&network)[0].0, 36);
}

#[test]
fn a_layer_of_every_token() {
    let network = network(&[2, 5, 3], |g, x| {
        let y = dense(g, x, 4, 1);
        let y = function(g, y, Function::Relu);
        let y = dense(g, y, 3, 3);
        let y = g.add(x, y).unwrap();
        let y = function(g, y, Function::Relu);
        // Two layers are one, and of a mean nothing is left to move over but the first axis.
        let y = dense(g, y, 4, 5);
        let y = dense(g, y, 2, 7);
        g.mean(y, &[1], true).unwrap()
    });
    let layout = check_all(&network);
    let maps = vec![(10, vec![(4, 3)]), (10, vec![(3, 3), (3, 4)])];
    assert_eq!(layout[..2], maps);
    assert_eq!((layout[2].0, layout[2].1[0].0), (2, 2));
}

#[test]
fn a_convolution_and_a_table() {
    let network = network(&[2, 6, 6], |g, x| {
        let y = conv(g, x, &[3, 2, 3, 3], 1, &padded(2));
        let y = function(g, y, Function::Sigmoid);
        // Values that are not negative begin at the least integer, and zeros around them at 0.
        let y = conv(g, y, &[3, 3, 3, 3], 3, &padded(2));
        let y = function(g, y, Function::Tanh);
        let y = conv(g, y, &[2, 3, 3, 3], 5, &padded(2));
        let y = function(g, y, Function::Sigmoid);
        conv(g, y, &[2, 2, 3, 3], 7, &Conv::default())
    });
    let positions: Vec<usize> = check_all(&network).iter().map(|l| l.0).collect();
    assert_eq!(positions, [36, 36, 36, 16]);
}

#[test]
fn a_clip_that_begins_at_zero() {
    for (least, expected) in [(0.0, 36), (-0.5, 1)] {
        let network = network(&[2, 6, 6], |g, x| {
            let y = conv(g, x, &[3, 2, 3, 3], 1, &padded(2));
            let y = function(g, y, Function::Clip { least, most: 0.9 });
            conv(g, y, &[2, 3, 3, 3], 3, &padded(2))
        });
        assert_eq!(check_all(&network)[1].0, expected);
    }
}

#[test]
fn a_pooling_has_one_kernel() {
    let network = network(&[2, 12, 12], |g, x| {
        let y = conv(g, x, &[3, 2, 3, 3], 1, &Conv::default());
        let y = function(g, y, Function::Relu);
        let y = g.max_pool(y, &Pool::tiles([2, 2])).unwrap();
        let y = conv(g, y, &[4, 3, 2, 2], 3, &Conv::default());
        let y = g.max_pool(y, &Pool::tiles([2, 2])).unwrap();
        let y = function(g, y, Function::Sigmoid);
        // Of a register as it stands.
        g.max_pool(y, &Pool::tiles([2, 1])).unwrap()
    });
    let layout = check_all(&network);
    let positions: Vec<usize> = layout.iter().map(|l| l.0).collect();
    // The table reads the second rounded to 8 bits, by an identity.
    assert_eq!(positions, [25, 25, 25, 25, 4, 4, 4, 4, 1, 8, 8]);
    let samples = vec![Array1::ones(2 * 144)];
    let quantized = network.quantize(&samples, &Precision::default()).unwrap();
    assert_eq!(quantized.bank().maps().len(), 4);
    assert_eq!(quantized.weight_count(), 3 * 18 + 4 * 12 + 16 + 1);
    // Poolings with padding repeat entries at the ends; two layers have two kernels.
    let other = self::network(&[2, 6, 6], |g, x| {
        let y = conv(g, x, &[3, 2, 3, 3], 1, &padded(2));
        let around = Pool {
            pads: vec![(1, 1); 2],
            ..Pool::tiles([2, 2])
        };
        let y = g.max_pool(y, &around).unwrap();
        let (a, b) = (
            conv(g, y, &[2, 3, 3, 3], 3, &padded(2)),
            conv(g, y, &[2, 3, 3, 3], 3, &padded(2)),
        );
        g.maximum(a, b).unwrap()
    });
    let layout = check_all(&other);
    let positions: Vec<usize> = layout.iter().map(|l| l.0).collect();
    assert_eq!(positions, [1, 16, 16]);
    let samples = vec![Array1::ones(2 * 36)];
    let quantized = other.quantize(&samples, &Precision::default()).unwrap();
    assert_eq!(quantized.bank().maps().len(), 3);
}

#[test]
fn convolutions_of_one_and_three_dimensions() {
    let line = network(&[2, 20], |g, x| {
        let slides = Conv {
            strides: vec![2],
            pads: vec![(2, 1)],
            dilations: vec![3],
            ..Conv::default()
        };
        let y = conv(g, x, &[3, 2, 3], 1, &slides);
        function(g, y, Function::Relu)
    });
    assert_eq!(check_all(&line)[0].0, 9);
    let space = network(&[2, 4, 3, 5], |g, x| {
        let y = conv(g, x, &[3, 2, 3, 3, 3], 1, &padded(3));
        function(g, y, Function::Relu)
    });
    assert_eq!(check_all(&space)[0].0, 60);
}

#[test]
fn groups_and_pooling_are_kernels_with_zeros() {
    let network = network(&[4, 6, 6], |g, x| {
        let groups = Conv {
            groups: 4,
            ..padded(2)
        };
        let y = conv(g, x, &[8, 1, 3, 3], 1, &groups);
        let y = function(g, y, Function::Relu);
        let y = conv(g, y, &[3, 8, 1, 1], 3, &Conv::default());
        let y = g.average_pool(y, &Pool::tiles([2, 2])).unwrap();
        function(g, y, Function::Relu)
    });
    let positions: Vec<usize> = check_all(&network).iter().map(|l| l.0).collect();
    assert_eq!(positions, [36, 9]);
}

#[test]
fn padding_parts_and_joined_channels() {
    let network = network(&[3, 6, 6], |g, x| {
        let x = conv(g, x, &[4, 3, 3, 3], 1, &padded(2));
        let x = function(g, x, Function::Relu);
        let y = conv(g, x, &[2, 4, 3, 3], 3, &padded(2));
        let y = function(g, y, Function::Relu);
        // Dense blocks: channels of several values side by side, some of them left out.
        let y = g.concat(&[x, y], 0).unwrap();
        let y = g.slice(y, 0, 1, 6, 1).unwrap();
        let y = g.pad(y, &[(0, 0), (1, 2), (0, 1)], 0.0).unwrap();
        let y = conv(g, y, &[3, 5, 3, 3], 5, &Conv::default());
        let y = function(g, y, Function::Relu);
        let y = g.slice(y, 1, 0, 7, 2).unwrap();
        conv(g, y, &[2, 3, 2, 2], 7, &Conv::default())
    });
    let layout = check_all(&network);
    let positions: Vec<usize> = layout.iter().map(|l| l.0).collect();
    assert_eq!(positions, [36, 36, 7 * 5, 3 * 4]);
    assert_eq!(layout[2].1.len(), 2);
}

#[test]
fn other_values_at_one_position_are_no_kernel() {
    let window = Window {
        axes: vec![
            WindowAxis::summed(2),
            WindowAxis {
                positions: 5,
                offsets: 3,
                start: -1,
                ..WindowAxis::kept(5)
            },
        ],
        order: Order::Rows,
    };
    // Two rows of two channels and three entries each.
    let value = |i: usize, c: usize, d: usize| (6 * i + 3 * c + d + 1) as f32;
    let entries: Vec<(usize, usize, f32)> = (0..2usize * 5 * 2 * 3)
        .filter_map(|n| {
            let (i, p, c, d) = (n / 30, n / 6 % 5, n / 3 % 2, n % 3);
            let at = (p + d).checked_sub(1).filter(|at| *at < 5)?;
            Some((5 * i + p, 5 * c + at, value(i, c, d)))
        })
        .collect();
    let matrix = |entries: &[(usize, usize, f32)]| {
        SparseMatrix::new(10, 10, entries.iter().copied()).unwrap()
    };
    let small = kernel(&matrix(&entries), &window).unwrap();
    assert_eq!((small.rows(), small.columns()), (2, window.columns()));
    assert_eq!(small.nonzeros(), 12);
    let weights = small.row(1).map(|(_, w)| w);
    assert!(weights.eq((0..6).map(|n| value(1, n / 3, n % 3))));
    // Each entry in turn another, or missing; and one more.
    for at in 0..entries.len() {
        let mut wrong = entries.clone();
        wrong[at].2 += 1.0;
        assert!(kernel(&matrix(&wrong), &window).is_none());
        wrong.remove(at);
        assert!(kernel(&matrix(&wrong), &window).is_none());
    }
    let more = [entries.as_slice(), &[(7, 9, 1.0)]].concat();
    assert!(kernel(&matrix(&more), &window).is_none());
    // A window that fits no such register, or has one position.
    for axes in [
        vec![WindowAxis::summed(2), WindowAxis::kept(4)],
        vec![WindowAxis::summed(10)],
        Vec::new(),
    ] {
        let order = Order::Rows;
        assert!(kernel(&matrix(&entries), &Window { axes, order }).is_none());
    }
}

#[test]
fn what_differs_from_position_to_position_stays_an_expansion() {
    let scaled = |shape: &[usize]| {
        network(&[2, 5, 5], |g, x| {
            let y = conv(g, x, &[3, 2, 3, 3], 1, &Conv::default());
            let scale = random(shape, 5);
            let zero = ArrayD::zeros(IxDyn(&[]));
            let y = g.scale_shift(y, scale.view(), zero.view()).unwrap();
            function(g, y, Function::Relu)
        })
    };
    assert_eq!(check_all(&scaled(&[3, 1, 1]))[0].0, 9);
    assert_eq!(check_all(&scaled(&[1, 3, 3]))[0].0, 1);
    let shifted = |pads: Conv| {
        network(&[2, 5, 5], |g, x| {
            let one = ArrayD::ones(IxDyn(&[]));
            let y = g.scale_shift(x, one.view(), one.view()).unwrap();
            let y = conv(g, y, &[3, 2, 3, 3], 1, &pads);
            function(g, y, Function::Relu)
        })
    };
    assert_eq!(check_all(&shifted(Conv::default()))[0].0, 9);
    // Zeros around what was shifted add less.
    assert_eq!(check_all(&shifted(padded(2)))[0].0, 1);
}
