//! General networks: every operation against a naive one, integers against floats, proofs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use layerfold::{
    ErrorKind, Outputs, Params, Proof, ProofKind, Prover, Schedule, Verifier, Visibility,
    network::{
        Conv, Function, Network, NetworkBuilder, Pool, Precision, Quantized, RecurrentWeights,
        SparseMatrix, Value,
    },
    plan::Planner,
};
use ndarray::{Array, Array1, ArrayD, Axis, IxDyn, Slice, Zip, arr1};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn random(shape: &[usize], seed: u64) -> ArrayD<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Array::from_shape_fn(IxDyn(shape), |_| rng.gen_range(-1.0..1.0))
}

fn scalar(v: f32) -> ArrayD<f32> {
    Array::from_elem(IxDyn(&[]), v)
}

fn vector(values: &[f32]) -> ArrayD<f32> {
    arr1(values).into_dyn()
}

/// The value of an operation on one input, computed directly.
type Naive<'a> = &'a dyn Fn(&ArrayD<f64>) -> ArrayD<f64>;
type Build<'a> = &'a dyn Fn(&mut NetworkBuilder, Value) -> Value;

/// Checks an operation on random inputs, with another linear operation before it.
fn check(shape: &[usize], build: Build<'_>, naive: Naive<'_>) {
    for seed in 0..3 {
        let len: usize = shape.iter().product();
        let mut g = NetworkBuilder::new(shape.iter().copied());
        let x = g.input();
        // 3·x reversed, so that matrices are composed.
        let x = g.reshape(x, &[len]).unwrap();
        let x = g.slice(x, 0, -1, i64::MIN, -1).unwrap();
        let x = g
            .scale_shift(x, scalar(3.0).view(), scalar(0.25).view())
            .unwrap();
        let x = g.reshape(x, shape).unwrap();
        let y = build(&mut g, x);
        let out = g.shape(y).to_vec();
        let graph = g.build(y).unwrap();
        let input = random(&[len], seed);
        let input = Array1::from_iter(input);
        let prepared = input.iter().rev().map(|v| 3.0 * f64::from(*v) + 0.25);
        let prepared: Vec<f64> = prepared.collect();
        let expected = naive(&ArrayD::from_shape_vec(IxDyn(shape), prepared).unwrap());
        assert_eq!(expected.shape(), out);
        let got = graph.infer(input.view()).unwrap();
        for (a, b) in got.iter().zip(expected.iter()) {
            assert!(
                (f64::from(*a) - b).abs() < 1e-4 * (1.0 + b.abs()),
                "{a} {b}"
            );
        }
    }
}

/// Cross-correlation of `C × H × W`, without a matrix.
fn naive_conv(x: &ArrayD<f64>, w: &ArrayD<f32>, bias: &[f32], c: &Conv) -> ArrayD<f64> {
    let groups = c.groups.max(1);
    let rank = x.ndim() - 1;
    let at = |list: &[usize], k: usize| list.get(k).copied().unwrap_or(1);
    let pad = |k: usize| c.pads.get(k).copied().unwrap_or((0, 0));
    let mut shape = vec![w.shape()[0]];
    for k in 0..rank {
        let reach = (w.shape()[k + 2] - 1) * at(&c.dilations, k) + 1;
        let padded = x.shape()[k + 1] + pad(k).0 + pad(k).1;
        shape.push((padded - reach) / at(&c.strides, k) + 1);
    }
    let own = w.shape()[1];
    let per_group = w.shape()[0] / groups;
    ArrayD::from_shape_fn(IxDyn(&shape), |index| {
        let m = index[0];
        let mut sum = f64::from(bias[m]);
        for (tap, weight) in w.index_axis(Axis(0), m).indexed_iter() {
            let mut place = vec![m / per_group * own + tap[0]];
            let mut inside = true;
            for k in 0..rank {
                let p = (index[k + 1] * at(&c.strides, k) + tap[k + 1] * at(&c.dilations, k))
                    as i64
                    - pad(k).0 as i64;
                inside &= (0..x.shape()[k + 1] as i64).contains(&p);
                place.push(p.max(0) as usize);
            }
            if inside {
                sum += f64::from(*weight) * x[IxDyn(&place)];
            }
        }
        sum
    })
}

#[test]
fn convolutions() {
    let cases: [(&[usize], &[usize], Conv); 6] = [
        (&[1, 5, 5], &[2, 1, 3, 3], Conv::default()),
        (
            &[2, 6, 5],
            &[3, 2, 3, 2],
            Conv {
                strides: vec![2, 1],
                pads: vec![(1, 1), (0, 2)],
                ..Conv::default()
            },
        ),
        (
            &[4, 5, 5],
            &[4, 1, 3, 3],
            Conv {
                groups: 4,
                pads: vec![(1, 1); 2],
                ..Conv::default()
            },
        ),
        (
            &[4, 7],
            &[6, 2, 3],
            Conv {
                groups: 2,
                dilations: vec![2],
                pads: vec![(2, 0)],
                ..Conv::default()
            },
        ),
        (&[2, 3, 3, 3], &[2, 2, 2, 2, 2], Conv::default()),
        (&[3, 4, 4], &[5, 3, 1, 1], Conv::default()),
    ];
    for (shape, kernel, conv) in cases {
        let (weight, bias) = (
            random(kernel, 7),
            Array1::from_iter(random(&[kernel[0]], 8)),
        );
        check(
            shape,
            &|g, x| g.conv(x, weight.view(), Some(bias.view()), &conv).unwrap(),
            &|x| naive_conv(x, &weight, bias.as_slice().unwrap(), &conv),
        );
    }
}

/// Windows of a pooling over `C × H × W`: `f` is given the entries of each and the count with padding.
fn naive_pool(x: &ArrayD<f64>, p: &Pool, f: impl Fn(&[f64], usize) -> f64) -> ArrayD<f64> {
    let rank = x.ndim() - 1;
    let at = |list: &[usize], k: usize| list.get(k).copied().unwrap_or(1);
    let pad = |k: usize| p.pads.get(k).copied().unwrap_or((0, 0));
    let mut shape = vec![x.shape()[0]];
    for k in 0..rank {
        let reach = (p.kernel[k] - 1) * at(&p.dilations, k) + 1;
        let padded = x.shape()[k + 1] + pad(k).0 + pad(k).1;
        let mut out = 0;
        while out * at(&p.strides, k) + reach <= padded
            || p.ceil
                && out * at(&p.strides, k) < x.shape()[k + 1] + pad(k).0
                && (out - 1) * at(&p.strides, k) + reach < padded
        {
            out += 1;
        }
        shape.push(out);
    }
    ArrayD::from_shape_fn(IxDyn(&shape), |index| {
        let mut entries = Vec::new();
        let mut padded = 0;
        for tap in ndarray::indices(IxDyn(&p.kernel)) {
            let (mut inside, mut within) = (true, true);
            let mut place = vec![index[0]];
            for k in 0..rank {
                let q = (index[k + 1] * at(&p.strides, k) + tap[k] * at(&p.dilations, k)) as i64
                    - pad(k).0 as i64;
                let size = x.shape()[k + 1] as i64;
                inside &= (0..size).contains(&q);
                within &= q < size + pad(k).1 as i64;
                place.push(q.clamp(0, size - 1) as usize);
            }
            padded += usize::from(within);
            if inside {
                entries.push(x[IxDyn(&place)]);
            }
        }
        f(&entries, padded)
    })
}

#[test]
fn pools() {
    let largest = |entries: &[f64], _| entries.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let cases: [(&[usize], Pool); 6] = [
        (&[2, 4, 4], Pool::tiles([2, 2])),
        (
            &[1, 7, 7],
            Pool {
                kernel: vec![3, 3],
                strides: vec![2, 2],
                pads: vec![(1, 1); 2],
                ..Pool::default()
            },
        ),
        (
            &[1, 6, 6],
            Pool {
                kernel: vec![3, 3],
                strides: vec![2, 2],
                ceil: true,
                ..Pool::default()
            },
        ),
        (
            &[3, 9],
            Pool {
                kernel: vec![2],
                dilations: vec![3],
                ..Pool::default()
            },
        ),
        (
            &[1, 5, 5],
            Pool {
                kernel: vec![2, 3],
                strides: vec![2, 2],
                pads: vec![(0, 1), (1, 1)],
                ceil: true,
                count_include_pad: true,
                ..Pool::default()
            },
        ),
        (&[2, 2, 2, 2], Pool::tiles([2, 2, 2])),
    ];
    for (shape, pool) in cases {
        check(shape, &|g, x| g.average_pool(x, &pool).unwrap(), &|x| {
            naive_pool(x, &pool, |entries, padded| {
                let n = if pool.count_include_pad {
                    padded
                } else {
                    entries.len()
                };
                entries.iter().sum::<f64>() / n as f64
            })
        });
        check(shape, &|g, x| g.max_pool(x, &pool).unwrap(), &|x| {
            naive_pool(x, &pool, largest)
        });
        // The order of ReLU and maximum does not matter.
        check(
            shape,
            &|g, x| {
                let x = g.function(x, Function::Relu).unwrap();
                g.max_pool(x, &pool).unwrap()
            },
            &|x| naive_pool(&x.mapv(|v| v.max(0.0)), &pool, largest),
        );
    }
    check(
        &[2, 3, 3],
        &|g, x| g.global_average_pool(x).unwrap(),
        &|x| {
            let m = x.mean_axis(Axis(2)).unwrap().mean_axis(Axis(1)).unwrap();
            m.insert_axis(Axis(1)).insert_axis(Axis(2))
        },
    );
    check(&[2, 5], &|g, x| g.global_max_pool(x).unwrap(), &|x| {
        x.map_axis(Axis(1), |r| r.fold(f64::NEG_INFINITY, |m, v| m.max(*v)))
            .insert_axis(Axis(1))
    });
}

#[test]
fn dense_layers() {
    let (weight, bias) = (random(&[4, 3], 1), Array1::from_iter(random(&[4], 2)));
    let matrix = weight
        .clone()
        .into_dimensionality::<ndarray::Ix2>()
        .unwrap();
    check(
        &[2, 3],
        &|g, x| g.dense(x, matrix.view(), Some(bias.view())).unwrap(),
        &|x| {
            ArrayD::from_shape_fn(IxDyn(&[2, 4]), |i| {
                let row: f64 = (0..3)
                    .map(|j| f64::from(weight[[i[1], j]]) * x[[i[0], j]])
                    .sum();
                row + f64::from(bias[i[1]])
            })
        },
    );
    check(
        &[2, 3],
        &|g, x| {
            let matrix = SparseMatrix::new(2, 6, [(0, 5, 2.0), (1, 0, 1.0), (1, 0, 0.5)]).unwrap();
            g.linear(x, matrix, Some(vec![1.0, 0.0]), &[2, 1]).unwrap()
        },
        &|x| {
            let values = vec![2.0 * x[[1, 2]] + 1.0, 1.5 * x[[0, 0]]];
            ArrayD::from_shape_vec(IxDyn(&[2, 1]), values).unwrap()
        },
    );
}

#[test]
fn sums_with_broadcasting() {
    let scale = random(&[3, 1], 4);
    let shift = random(&[4], 5);
    let wide = |a: &ArrayD<f32>| a.mapv(f64::from);
    check(
        &[2, 3, 4],
        &|g, x| g.scale_shift(x, scale.view(), shift.view()).unwrap(),
        &|x| x * &wide(&scale) + &wide(&shift),
    );
    check(
        &[3, 1],
        &|g, x| g.scale_shift(x, scalar(1.0).view(), shift.view()).unwrap(),
        &|x| x + &wide(&shift),
    );
    check(
        &[3, 4],
        &|g, x| {
            let row = g.slice(x, 0, 1, 2, 1).unwrap();
            let twice = g.add(x, x).unwrap();
            g.sub(twice, row).unwrap()
        },
        &|x| x * 2.0 - &x.slice_axis(Axis(0), Slice::from(1..2)).to_owned(),
    );
    check(&[3], &|g, x| g.neg(x).unwrap(), &|x| -x);
    check(&[1, 3], &|g, x| g.broadcast(x, &[2, 2, 3]).unwrap(), &|x| {
        x.broadcast(IxDyn(&[2, 2, 3])).unwrap().to_owned()
    });
}

#[test]
fn reductions() {
    check(&[2, 3, 4], &|g, x| g.sum(x, &[1], false).unwrap(), &|x| {
        x.sum_axis(Axis(1))
    });
    check(
        &[2, 3, 4],
        &|g, x| g.mean(x, &[0, 2], true).unwrap(),
        &|x| {
            let m = x.mean_axis(Axis(2)).unwrap().mean_axis(Axis(0)).unwrap();
            m.insert_axis(Axis(0)).insert_axis(Axis(2))
        },
    );
    check(&[2, 3], &|g, x| g.sum(x, &[], false).unwrap(), &|x| {
        ArrayD::from_elem(IxDyn(&[]), x.sum())
    });
}

#[test]
fn rearrangements() {
    check(
        &[2, 3, 4],
        &|g, x| g.transpose(x, &[2, 0, 1]).unwrap(),
        &|x| {
            x.view()
                .permuted_axes(vec![2, 0, 1])
                .as_standard_layout()
                .to_owned()
        },
    );
    let slices = [
        (1, 3, 1),
        (0, i64::MAX, 2),
        (-2, i64::MAX, 1),
        (-1, i64::MIN, -1),
        (10, -10, -2),
        (-100, 2, 1),
    ];
    for (start, end, step) in slices {
        check(
            &[2, 5],
            &|g, x| g.slice(x, 1, start, end, step).unwrap(),
            &|x| {
                // Python's rules, on indices.
                let n = 5i64;
                let fix = |i: i64| if i < 0 { i.saturating_add(n) } else { i };
                let taken: Vec<usize> = if step > 0 {
                    let (from, to) = (fix(start).clamp(0, n), fix(end).clamp(0, n));
                    (from..to)
                        .step_by(step as usize)
                        .map(|i| i as usize)
                        .collect()
                } else {
                    let (from, to) = (fix(start).clamp(-1, n - 1), fix(end).clamp(-1, n - 1));
                    let mut taken = Vec::new();
                    let mut i = from;
                    while i > to {
                        taken.push(i as usize);
                        i += step;
                    }
                    taken
                };
                x.select(Axis(1), &taken)
            },
        );
    }
    check(
        &[3, 2],
        &|g, x| g.gather(x, 0, &[2, 0, 0, 1]).unwrap(),
        &|x| x.select(Axis(0), &[2, 0, 0, 1]),
    );
    check(
        &[2, 2],
        &|g, x| {
            let c = g.constant(random(&[2, 1], 3).view());
            let n = g.neg(x).unwrap();
            g.concat(&[x, c, n], 1).unwrap()
        },
        &|x| {
            let c = random(&[2, 1], 3).mapv(f64::from);
            ndarray::concatenate(Axis(1), &[x.view(), c.view(), (-x).view()]).unwrap()
        },
    );
    check(
        &[2, 2],
        &|g, x| g.pad(x, &[(0, 1), (2, 0)], 0.5).unwrap(),
        &|x| {
            ArrayD::from_shape_fn(IxDyn(&[3, 4]), |i| {
                if i[0] < 2 && i[1] >= 2 {
                    x[[i[0], i[1] - 2]]
                } else {
                    0.5
                }
            })
        },
    );
}

#[test]
fn functions() {
    let functions = [
        Function::Relu,
        Function::LeakyRelu(0.1),
        Function::Clip {
            least: 0.0,
            most: 1.5,
        },
        Function::Clip {
            least: -0.5,
            most: 0.75,
        },
        Function::Clip {
            least: f64::NEG_INFINITY,
            most: 0.5,
        },
        Function::Clip {
            least: -0.5,
            most: f64::INFINITY,
        },
        Function::Abs,
        Function::Sigmoid,
        Function::HardSigmoid {
            alpha: 0.2,
            beta: 0.5,
        },
        Function::HardSwish,
        Function::Tanh,
        Function::Gelu,
        Function::GeluTanh,
        Function::Silu,
        Function::Elu(0.7),
        Function::Selu,
        Function::Softplus,
        Function::Softsign,
        Function::Mish,
        Function::Exp,
        Function::Erf,
        Function::Sqrt,
        Function::custom("cube", |x| x * x * x),
    ];
    for function in functions {
        check(
            &[5],
            &|g, x| g.function(x, function.clone()).unwrap(),
            &|x| x.mapv(|v| function.apply(v)),
        );
    }
    let slope = random(&[2, 1], 9);
    check(&[2, 3], &|g, x| g.prelu(x, slope.view()).unwrap(), &|x| {
        let s = slope.mapv(f64::from);
        let s = s.broadcast(IxDyn(&[2, 3])).unwrap();
        Zip::from(x)
            .and(&s)
            .map_collect(|x, s| if *x > 0.0 { *x } else { s * x })
    });
}

#[test]
fn products_and_maxima() {
    check(
        &[2, 3],
        &|g, x| {
            let row = g.gather(x, 0, &[1]).unwrap();
            g.mul(x, row).unwrap()
        },
        &|x| x * &x.select(Axis(0), &[1]),
    );
    check(&[3], &|g, x| g.mul(x, x).unwrap(), &|x| x * x);
    for least in [false, true] {
        check(
            &[3, 2],
            &|g, x| {
                let n = g.transpose(x, &[1, 0]).unwrap();
                let n = g.reshape(n, &[3, 2]).unwrap();
                if least {
                    g.minimum(x, n).unwrap()
                } else {
                    g.maximum(x, n).unwrap()
                }
            },
            &|x| {
                let n = x.t().as_standard_layout().to_owned();
                let n = n.into_shape_with_order(IxDyn(&[3, 2])).unwrap();
                Zip::from(x)
                    .and(&n)
                    .map_collect(|a, b| if least { a.min(*b) } else { a.max(*b) })
            },
        );
        check(
            &[3],
            &|g, x| {
                let c = g.constant(vector(&[0.5, -0.5, 9.0]).view());
                if least {
                    g.minimum(x, c).unwrap()
                } else {
                    g.maximum(c, x).unwrap()
                }
            },
            &|x| {
                let c = arr1(&[0.5, -0.5, 9.0]).into_dyn();
                Zip::from(x)
                    .and(&c)
                    .map_collect(|a, b| if least { a.min(*b) } else { a.max(*b) })
            },
        );
    }
    check(&[7], &|g, x| g.argmax(x).unwrap(), &|x| {
        let mut best = 0;
        for i in 0..7 {
            if x[i] > x[best] {
                best = i;
            }
        }
        ArrayD::from_elem(IxDyn(&[1]), best as f64)
    });
}

#[test]
fn errors_name_shapes() {
    let fails = |build: &dyn Fn(&mut NetworkBuilder, Value) -> Result<Value, layerfold::Error>,
                 message: &str| {
        let mut g = NetworkBuilder::new([2, 3]);
        let x = g.input();
        let error = build(&mut g, x).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.kind(), ErrorKind::Input);
    };
    fails(
        &|g, x| g.dense(x, Array::zeros((2, 4)).view(), None),
        "dense: a weight of shape [2, 4] on a value of shape [2, 3]",
    );
    fails(
        &|g, x| g.dense(x, Array::zeros((2, 3)).view(), Some(arr1(&[1.0]).view())),
        "dense: 1 biases for 2 outputs",
    );
    fails(
        &|g, x| g.conv(x, random(&[1, 1, 3], 0).view(), None, &Conv::default()),
        "convolution: a weight of shape [1, 1, 3] in 1 groups on a value of shape [2, 3]",
    );
    fails(
        &|g, x| g.conv(x, random(&[1, 2, 9], 0).view(), None, &Conv::default()),
        "convolution: dimension 0 of size 3, window 9, stride 1, padding 0 and 0, dilation 1: the window is larger than the value",
    );
    fails(
        &|g, x| g.average_pool(x, &Pool::tiles([2, 2])),
        "average pooling: a window of 2 dimensions over a value of 1 spatial ones",
    );
    fails(
        &|g, x| g.reshape(x, &[5]),
        "reshape: the shape [2, 3] does not have as many entries as [5]",
    );
    fails(
        &|g, x| g.transpose(x, &[0, 0]),
        "transpose: [0, 0] is no permutation of the axes of the shape [2, 3]",
    );
    fails(
        &|g, x| g.slice(x, 2, 0, 1, 1),
        "slice: there is no axis 2 in the shape [2, 3]",
    );
    fails(
        &|g, x| g.slice(x, 1, 2, 2, 1),
        "slice: nothing is left of axis 1 of the shape [2, 3]",
    );
    fails(
        &|g, x| g.slice(x, 1, 0, 2, 0),
        "slice: nothing is left of axis 1 of the shape [2, 3]",
    );
    fails(
        &|g, x| g.gather(x, 1, &[3]),
        "gather: there is no index 3 along axis 1 of the shape [2, 3]",
    );
    fails(
        &|g, x| g.concat(&[x, x], 2),
        "concatenation: there is no axis 2 in the shape [2, 3]",
    );
    fails(
        &|g, _| g.concat(&[], 0),
        "concatenation: there is nothing to concatenate",
    );
    fails(
        &|g, x| g.pad(x, &[(0, 0)], 0.0),
        "padding: 1 pairs for the shape [2, 3]",
    );
    fails(
        &|g, x| g.sum(x, &[1, 1], false),
        "sum over axes: axis 1 is given twice",
    );
    fails(
        &|g, x| {
            let y = g.reshape(x, &[3, 2])?;
            g.add(x, y)
        },
        "sum: the shapes [[2, 3], [3, 2]] do not broadcast",
    );
    fails(
        &|g, x| g.scale_shift(x, scalar(f32::NAN).view(), scalar(0.0).view()),
        "matrix: the entry at (0, 0) is not finite",
    );
    fails(
        &|g, x| g.scale_shift(x, scalar(0.0).view(), scalar(f32::INFINITY).view()),
        "scale and shift: a constant is not finite (at index 0)",
    );
    fails(
        &|g, x| g.linear(x, SparseMatrix::identity(5).unwrap(), None, &[5]),
        "linear: a matrix of 5×5 does not map the shape [2, 3] to [5]",
    );
    fails(
        &|g, x| {
            g.function(
                x,
                Function::Clip {
                    least: 1.0,
                    most: 0.0,
                },
            )
        },
        "function: clip: the ends of a clip are not in order",
    );
    let mut other = NetworkBuilder::new([1]);
    let mut foreign = other.input();
    for _ in 0..5 {
        foreign = other.neg(foreign).unwrap();
    }
    fails(
        &|g, _| g.neg(foreign),
        "negation: the value belongs to another builder",
    );
}

#[test]
fn absurd_dimensions_are_errors() {
    for shape in [vec![0], vec![usize::MAX, 2], vec![1 << 25], vec![1; 100]] {
        let g = NetworkBuilder::new(shape);
        let x = g.input();
        assert!(g.build(x).is_err());
    }
    let mut g = NetworkBuilder::new([1 << 12]);
    let x = g.input();
    // 2^28 and more entries, refused before they are made.
    let y = g.broadcast(x, &[1 << 12, 1 << 12]).unwrap();
    assert!(g.broadcast(y, &[1 << 6, 1 << 12, 1 << 12]).is_err());
    let kernel = random(&[1 << 8, 1, 65], 0);
    let wide = g.reshape(x, &[1, 1 << 12]).unwrap();
    let pads = Conv {
        pads: vec![(1 << 15, 1 << 15)],
        ..Conv::default()
    };
    assert!(g.conv(wide, kernel.view(), None, &pads).is_err());
    assert!(g.pad(x, &[(usize::MAX, 1)], 0.0).is_err());
    assert!(g.pad(x, &[(1 << 24, 1)], 0.0).is_err());
    let pool = Pool {
        kernel: vec![1],
        strides: vec![usize::MAX],
        pads: vec![(usize::MAX / 2, usize::MAX / 2)],
        ..Pool::default()
    };
    assert!(g.max_pool(wide, &pool).is_err());
    assert!(g.max_pool(wide, &Pool::tiles([1 << 11])).is_err());
    let c = g.constant(vector(&[f32::NAN]).view());
    let y = g.add(x, c).unwrap();
    let error = g.build(y).unwrap_err();
    assert_eq!(error.to_string(), "constant: it is not finite (at index 0)");
    let mut g = NetworkBuilder::new([2]);
    let c = g.constant(vector(&[1.0]).view());
    let error = g.build(c).unwrap_err();
    assert_eq!(error.to_string(), "output: it does not depend on the input");
    let mut g = NetworkBuilder::new([2]);
    let x = g.input();
    let index = g.argmax(x).unwrap();
    assert_eq!(g.neg(index).unwrap_err().kind(), ErrorKind::Unsupported);
}

/// A random graph and its value on one input, computed operation by operation.
struct Twin {
    g: NetworkBuilder,
    values: Vec<(Value, ArrayD<f64>)>,
    rng: ChaCha8Rng,
}

impl Twin {
    fn new(seed: u64) -> (Self, Array1<f32>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let shape = [2, 4, 4];
        let input = Array::from_shape_fn(IxDyn(&shape), |_| rng.gen_range(-1.0f32..1.0));
        let g = NetworkBuilder::new(shape);
        let x = g.input();
        let twin = Self {
            g,
            values: vec![(x, input.mapv(f64::from))],
            rng,
        };
        (twin, Array1::from_iter(input))
    }

    fn weights(&mut self, shape: &[usize]) -> ArrayD<f32> {
        Array::from_shape_fn(IxDyn(shape), |_| self.rng.gen_range(-0.5f32..0.5))
    }

    /// One more operation on what there is.
    fn step(&mut self) {
        let pick = self.rng.gen_range(0..self.values.len());
        let (x, v) = self.values[pick].clone();
        let shape = v.shape().to_vec();
        let image = shape.len() == 3 && shape[1] >= 2 && shape[2] >= 2;
        let result = match self.rng.gen_range(0..12) {
            0 if image => {
                let w = self.weights(&[2, shape[0], 2, 2]);
                let b = self.weights(&[2]);
                let b1 = Array1::from_iter(b.iter().copied());
                let conv = Conv {
                    pads: vec![(0, 1); 2],
                    ..Conv::default()
                };
                let y = self.g.conv(x, w.view(), Some(b1.view()), &conv).unwrap();
                (y, naive_conv(&v, &w, b1.as_slice().unwrap(), &conv))
            }
            1 if image => {
                let pool = Pool::tiles([2, 2]);
                let y = self.g.max_pool(x, &pool).unwrap();
                let largest = |e: &[f64], _| e.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                (y, naive_pool(&v, &pool, largest))
            }
            2 if image => {
                let pool = Pool::tiles([2, 1]);
                let y = self.g.average_pool(x, &pool).unwrap();
                (
                    y,
                    naive_pool(&v, &pool, |e, _| e.iter().sum::<f64>() / e.len() as f64),
                )
            }
            3 => {
                let last = shape[shape.len() - 1];
                let w = self
                    .weights(&[3, last])
                    .into_dimensionality::<ndarray::Ix2>()
                    .unwrap();
                let y = self.g.dense(x, w.view(), None).unwrap();
                let rows = v.len() / last;
                let flat = v.to_shape((rows, last)).unwrap();
                let product = flat.dot(&w.mapv(f64::from).t());
                let product = product.as_standard_layout().to_owned();
                let mut out = shape.clone();
                *out.last_mut().unwrap() = 3;
                (y, product.into_shape_with_order(IxDyn(&out)).unwrap())
            }
            4 => {
                let functions = [
                    Function::Relu,
                    Function::Sigmoid,
                    Function::Tanh,
                    Function::LeakyRelu(0.2),
                    Function::Clip {
                        least: -0.25,
                        most: 0.5,
                    },
                    Function::Abs,
                ];
                let f = functions[self.rng.gen_range(0..functions.len())].clone();
                (
                    self.g.function(x, f.clone()).unwrap(),
                    v.mapv(|x| f.apply(x)),
                )
            }
            5 => {
                let other = self.rng.gen_range(0..self.values.len());
                let (z, w) = self.values[other].clone();
                if w.shape() != shape {
                    return;
                }
                match self.rng.gen_range(0..4) {
                    0 => (self.g.mul(x, z).unwrap(), v * w),
                    1 if x != z => (self.g.sub(x, z).unwrap(), v - w),
                    2 => (
                        self.g.maximum(x, z).unwrap(),
                        Zip::from(&v).and(&w).map_collect(|a, b| a.max(*b)),
                    ),
                    _ => (self.g.concat(&[x, z], 0).unwrap(), {
                        ndarray::concatenate(Axis(0), &[v.view(), w.view()]).unwrap()
                    }),
                }
            }
            6 => {
                let order: Vec<usize> = (0..shape.len()).rev().collect();
                let y = self.g.transpose(x, &order).unwrap();
                (
                    y,
                    v.view()
                        .permuted_axes(order)
                        .as_standard_layout()
                        .to_owned(),
                )
            }
            7 => {
                let scale = self.weights(&[shape[shape.len() - 1]]);
                let y = self
                    .g
                    .scale_shift(x, scale.view(), scalar(0.5).view())
                    .unwrap();
                (y, v * scale.mapv(f64::from) + 0.5)
            }
            _ => {
                // Residual sums.
                let twin = self
                    .values
                    .iter()
                    .rev()
                    .find(|(z, w)| *z != x && w.shape() == shape);
                let Some((z, w)) = twin.cloned() else { return };
                (self.g.add(x, z).unwrap(), v + w)
            }
        };
        assert_eq!(self.g.shape(result.0), result.1.shape());
        self.values.push(result);
    }

    fn of(seed: u64, steps: usize) -> (Network, Array1<f32>, ArrayD<f64>) {
        // What happens to cancel is no network.
        (0..100)
            .find_map(|k| {
                let (mut twin, input) = Self::new(seed.wrapping_add(k << 32));
                while twin.values.len() < steps {
                    twin.step();
                }
                let (y, expected) = twin.values.pop()?;
                match twin.g.build(y) {
                    Ok(graph) => Some((graph, input, expected)),
                    Err(e) => {
                        assert!(
                            e.to_string().contains("does not depend on the input"),
                            "{e}"
                        );
                        None
                    }
                }
            })
            .unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn forms_are_what_was_built(seed: u64, steps in 2usize..14) {
        let (graph, input, expected) = Twin::of(seed, steps);
        let got = graph.infer(input.view()).unwrap();
        for (a, b) in got.iter().zip(expected.iter()) {
            prop_assert!((f64::from(*a) - b).abs() < 1e-4 * (1.0 + b.abs()), "{a} {b}");
        }
    }
}

#[test]
fn integers_are_close() {
    // How close is a matter of luck, so that the networks are always the same.
    for seed in 0..64 {
        let steps = 2 + (seed % 8) as usize;
        let (graph, input, _) = Twin::of(seed, steps);
        let mut samples: Vec<Array1<f32>> = (0..8)
            .map(|k| Array1::from_iter(random(&[32], seed ^ k)))
            .collect();
        samples.push(input);
        let coarse = graph.quantize(&samples, &Precision::default()).unwrap();
        let report = coarse.report(&graph, &samples).unwrap();
        let wide = Precision::default().activation_bits(12);
        let fine = graph.quantize(&samples, &wide).unwrap();
        let better = fine.report(&graph, &samples).unwrap();
        // Rounding to 8 bits, through up to ten operations.
        let range = report.output_range.max(1e-3);
        assert!(report.max_error <= 0.12 * range, "{seed}: {report}");
        assert!(better.max_error <= 0.012 * range, "{seed}: {better}");
        for (sample, _) in samples.iter().zip(0..2) {
            let float = graph.infer(sample.view()).unwrap();
            let integers = coarse.infer(sample.view()).unwrap();
            for (a, b) in float.iter().zip(&integers) {
                let error = f64::from((a - b).abs());
                assert!(error <= report.max_error * 1.0001 + 1e-6, "{seed}");
            }
        }
    }
}

fn samples(len: usize, count: u64) -> Vec<Array1<f32>> {
    (0..count)
        .map(|k| Array1::from_iter(random(&[len], 100 + k)))
        .collect()
}

/// A block with a residual sum, a convolution, max pooling, a sigmoid gate and a product.
fn mixed() -> Network {
    let mut g = NetworkBuilder::new([2, 4, 4]);
    let x = g.input();
    let conv = Conv {
        pads: vec![(1, 1); 2],
        ..Conv::default()
    };
    let y = g
        .conv(x, (random(&[2, 2, 3, 3], 1) * 0.5).view(), None, &conv)
        .unwrap();
    let y = g.function(y, Function::Relu).unwrap();
    let y = g
        .conv(y, (random(&[2, 2, 3, 3], 2) * 0.5).view(), None, &conv)
        .unwrap();
    let y = g.add(x, y).unwrap();
    let y = g.max_pool(y, &Pool::tiles([2, 2])).unwrap();
    let gate = g.global_average_pool(y).unwrap();
    let gate = g.function(gate, Function::Sigmoid).unwrap();
    let y = g.mul(y, gate).unwrap();
    let y = g.reshape(y, &[8]).unwrap();
    let w = random(&[3, 8], 3)
        .into_dimensionality::<ndarray::Ix2>()
        .unwrap();
    let y = g
        .dense(y, w.view(), Some(arr1(&[0.1, 0.2, 0.3]).view()))
        .unwrap();
    g.build(y).unwrap()
}

/// Proves a run, in steps if a schedule is given, and what the verifier reads is what the integers say.
/// Gives the number of steps.
fn prove(quantized: &Quantized, schedule: Option<Schedule>, inputs: &[Array1<f32>]) -> u64 {
    let (params, kind) = match schedule {
        Some(schedule) => (
            Params::setup_with(quantized.program(), schedule).unwrap(),
            ProofKind::Recursive,
        ),
        None => (
            Params::setup(quantized.program()).unwrap(),
            ProofKind::Trace,
        ),
    };
    let prover = Prover::new(&params, quantized).unwrap();
    let mut session = prover
        .session(Visibility::private_inputs().public_outputs())
        .unwrap();
    session.set_kind(Some(kind)).unwrap();
    let mut expected = Vec::new();
    for input in inputs {
        let output = session.push(input.view()).unwrap();
        assert_eq!(output, quantized.infer(input.view()).unwrap());
        expected.push(output);
    }
    let bytes = session.finish().unwrap().to_bytes();
    let statement = Verifier::new(&params, prover.model_commitment())
        .kind(kind)
        .verify(&Proof::from_bytes(&bytes).unwrap())
        .unwrap();
    let Outputs::Public { vectors } = statement.outputs else {
        panic!("outputs are public");
    };
    let real: Vec<Array1<f32>> = vectors
        .iter()
        .map(|v| quantized.dequantize_output(v))
        .collect();
    assert_eq!(real, expected);
    statement.steps
}

#[test]
fn a_mixed_network_is_proved() {
    let graph = mixed();
    let samples = samples(32, 20);
    let quantized = graph.quantize(&samples, &Precision::default()).unwrap();
    let report = quantized.report(&graph, &samples).unwrap();
    assert!(report.max_error < 0.03 * report.output_range, "{report}");
    // Products are of no layer.
    assert!(Params::setup_with(quantized.program(), Schedule::LayersPerStep(2)).is_err());
    assert_eq!(prove(&quantized, None, &samples[..1]), 1);
    let two = Schedule::FramesPerStep(2);
    assert_eq!(prove(&quantized, Some(two), &samples[..3]), 2);
}

/// Three convolutions and a dense layer.
fn chain() -> Network {
    let mut g = NetworkBuilder::new([1, 5, 5]);
    let mut x = g.input();
    let conv = Conv {
        pads: vec![(1, 1); 2],
        ..Conv::default()
    };
    let functions = [
        Function::Relu,
        Function::Clip {
            least: -0.5,
            most: 0.75,
        },
        Function::Sigmoid,
    ];
    for (k, function) in functions.into_iter().enumerate() {
        let inputs = g.shape(x)[0];
        let kernel = random(&[2, inputs, 3, 3], 20 + k as u64);
        x = g.conv(x, kernel.view(), None, &conv).unwrap();
        x = g.function(x, function).unwrap();
    }
    let x = g.reshape(x, &[50]).unwrap();
    let w = random(&[3, 50], 5)
        .into_dimensionality::<ndarray::Ix2>()
        .unwrap();
    let y = g.dense(x, w.view(), None).unwrap();
    g.build(y).unwrap()
}

#[test]
fn a_chain_is_spread_over_steps() {
    let graph = chain();
    let samples = samples(25, 20);
    let quantized = graph.quantize(&samples, &Precision::default()).unwrap();
    let report = quantized.report(&graph, &samples).unwrap();
    assert!(report.max_error < 0.05 * report.output_range, "{report}");
    let two = Schedule::LayersPerStep(2);
    assert_eq!(prove(&quantized, Some(two), &samples[..1]), 2);
}

/// `x + W₂·relu(W₁·x)`, again and again: no sum is ever a value of its own.
fn residual(blocks: usize, width: usize) -> Network {
    let mut g = NetworkBuilder::new([width]);
    let mut x = g.input();
    let matrix = |rows: usize, columns: usize, seed: u64| {
        let w = random(&[rows, columns], seed) / (width as f32).sqrt();
        w.into_dimensionality::<ndarray::Ix2>().unwrap()
    };
    for k in 0..blocks as u64 {
        let h = g
            .dense(x, matrix(width, width, 2 * k).view(), None)
            .unwrap();
        let h = g.function(h, Function::Relu).unwrap();
        let h = g
            .dense(h, matrix(width, width, 2 * k + 1).view(), None)
            .unwrap();
        x = g.add(x, h).unwrap();
    }
    let y = g.dense(x, matrix(3, width, 99).view(), None).unwrap();
    g.build(y).unwrap()
}

#[test]
fn a_deep_residual_network_is_proved_without_rounding_its_sums() {
    let network = residual(24, 40);
    assert!(network.fill_ins().is_empty());
    assert_eq!(network.stage_count(), 24);
    let samples = samples(40, 12);
    let quantized = network.quantize(&samples, &Precision::default()).unwrap();
    let report = quantized.report(&network, &samples).unwrap();
    assert!(report.max_error < 0.1 * report.output_range, "{report}");
    let plan = quantized.plan(&Planner::default(), 1).unwrap();
    prove(&quantized, Some(plan.chosen.schedule), &samples[..1]);
}

#[test]
fn interpolated_functions_and_wide_values_are_proved() {
    let mut g = NetworkBuilder::new([6]);
    let x = g.input();
    let w = random(&[5, 6], 1)
        .into_dimensionality::<ndarray::Ix2>()
        .unwrap();
    let y = g.dense(x, w.view(), None).unwrap();
    let y = g.function(y, Function::Gelu).unwrap();
    let z = g.function(y, Function::LeakyRelu(0.1)).unwrap();
    let y = g.mul(y, z).unwrap();
    let y = g.function(y, Function::Tanh).unwrap();
    let y = g.argmax(y).unwrap();
    let graph = g.build(y).unwrap();
    let samples = samples(6, 30);
    let precision = Precision::default().activation_bits(12);
    let quantized = graph.quantize(&samples, &precision).unwrap();
    let report = quantized.report(&graph, &samples).unwrap();
    assert!(report.top1_agreement > 0.9, "{report}");
    prove(&quantized, None, &samples[..2]);
}

#[test]
fn more_bits_are_closer_and_a_target_out_of_reach_is_told() {
    let mut g = NetworkBuilder::new([24]);
    let mut x = g.input();
    for k in 0..3 {
        let w = random(&[24, 24], 40 + k) * 0.3;
        let w = w.into_dimensionality::<ndarray::Ix2>().unwrap();
        let h = g.dense(x, w.view(), None).unwrap();
        let h = g.function(h, Function::Gelu).unwrap();
        x = g.add(x, h).unwrap();
    }
    let w = random(&[3, 24], 50);
    let w = w.into_dimensionality::<ndarray::Ix2>().unwrap();
    let y = g.dense(x, w.view(), None).unwrap();
    let graph = g.build(y).unwrap();
    let samples = samples(24, 40);
    let error = |precision: Precision| {
        let quantized = graph.quantize(&samples, &precision).unwrap();
        let report = quantized.report(&graph, &samples).unwrap();
        (report.max_error / report.output_range, quantized)
    };
    let of_bits = |bits| error(Precision::default().activation_bits(bits)).0;
    let errors = [8, 10, 11, 12, 14, 16].map(of_bits);
    for pair in errors.windows(2) {
        // Interpolation has an error of its own.
        assert!(pair[1] < pair[0].max(4e-4), "{errors:?}");
    }
    assert!(errors[5] < 1e-3, "{errors:?}");

    let (reached, quantized) = error(Precision::default().target_error(0.003));
    assert!(
        reached <= 0.003 && quantized.missed_target().is_none(),
        "{reached}"
    );
    let (closest, quantized) = error(Precision::default().target_error(1e-9));
    let missed = quantized.missed_target().unwrap();
    assert!(
        (missed - closest).abs() < 1e-3 * closest,
        "{missed} {closest}"
    );
    assert!(closest <= errors[5].max(errors[4]), "{closest} {errors:?}");
    prove(&quantized, None, &samples[..1]);
}

#[test]
fn interpolation_is_within_its_bound() {
    for function in [
        Function::Sigmoid,
        Function::Gelu,
        Function::Exp,
        Function::Sqrt,
    ] {
        let mut g = NetworkBuilder::new([1]);
        let x = g.input();
        let y = g.function(x, function.clone()).unwrap();
        let graph = g.build(y).unwrap();
        let one_sided = matches!(function, Function::Sqrt);
        let samples: Vec<Array1<f32>> = (-100..=100)
            .map(|k| {
                if one_sided {
                    (k + 105) as f32 / 50.0
                } else {
                    k as f32 / 25.0
                }
            })
            .map(|x| arr1(&[x]))
            .collect();
        for bits in [9, 12, 16] {
            let precision = Precision::default().activation_bits(bits).input_bits(16);
            let quantized = graph.quantize(&samples, &precision).unwrap();
            let report = quantized.report(&graph, &samples).unwrap();
            // Input 4 with two units of rounding, steep functions e^4; table of 256 points.
            let unit = report.output_range / f64::from(1 << (bits - 1));
            let limit = if one_sided {
                0.02
            } else {
                4.0 * unit + 3e-4 * report.output_range
            };
            assert!(
                report.max_error < limit,
                "{function:?} at {bits} bits: {report}"
            );
        }
    }
}

#[test]
fn a_target_error_is_reached() {
    let graph = mixed();
    let samples = samples(32, 10);
    let coarse = graph.quantize(&samples, &Precision::default()).unwrap();
    let before = coarse.report(&graph, &samples).unwrap();
    let target = 0.1 * before.max_error / before.output_range;
    let precision = Precision::default().target_error(target);
    let fine = graph.quantize(&samples, &precision).unwrap();
    let after = fine.report(&graph, &samples).unwrap();
    assert!(after.max_error <= target * after.output_range, "{after}");
    assert!(fine.stage_bits().iter().any(|b| *b > 8));
}

/// An LSTM, a product with the frame before, and a dense layer on the last of them.
#[test]
fn a_network_with_state_is_proved_in_steps_and_whole() {
    let w = |seed, rows: usize, columns: usize| {
        let w = random(&[rows, columns], seed).into_dimensionality::<ndarray::Ix2>();
        w.unwrap() * 0.5
    };
    let weights = RecurrentWeights {
        input: w(1, 16, 3),
        hidden: w(2, 16, 4),
        input_bias: w(3, 1, 16).row(0).to_owned(),
        hidden_bias: w(4, 1, 16).row(0).to_owned(),
    };
    let mut g = NetworkBuilder::new([3]);
    let x = g.input();
    let before = g.state(&[3]).unwrap();
    g.carry(before, x).unwrap();
    let both = g.mul(x, before).unwrap();
    let y = g.add(x, both).unwrap();
    let h = g.lstm(y, &weights).unwrap();
    let h = g.concat(&[h, x], 0).unwrap();
    let y = g.dense(h, w(5, 2, 7).view(), None).unwrap();
    let y = g.function(y, Function::Relu).unwrap();
    let network = g.build_last(y).unwrap();
    let sequence = w(6, 5, 3) * 2.0;
    let quantized = network
        .quantize(&[sequence.view()], &Precision::default())
        .unwrap();
    assert!(!quantized.program().head().is_empty());
    let expected = quantized.infer_sequence(sequence.view()).unwrap();
    let float = network.infer_sequence(sequence.view()).unwrap();
    for (a, b) in expected.iter().zip(&float) {
        assert!((a - b).abs() < 0.05, "{expected} {float}");
    }
    for (frames, kind) in [
        (1, ProofKind::Trace),
        (1, ProofKind::Recursive),
        (2, ProofKind::Recursive),
    ] {
        let schedule = Schedule::FramesPerStep(frames);
        let params = Params::setup_with(quantized.program(), schedule).unwrap();
        let prover = Prover::new(&params, &quantized).unwrap();
        let mut session = prover
            .session(Visibility::private_inputs().public_outputs())
            .unwrap();
        session.set_kind(Some(kind)).unwrap();
        for frame in sequence.rows() {
            session.push(frame).unwrap();
        }
        let bytes = session.finish().unwrap().to_bytes();
        let statement = Verifier::new(&params, prover.model_commitment())
            .verify(&Proof::from_bytes(&bytes).unwrap())
            .unwrap();
        let Outputs::Public { vectors } = statement.outputs else {
            panic!("outputs are public");
        };
        assert_eq!(vectors.len(), 1);
        assert_eq!(quantized.dequantize_output(&vectors[0]), expected.row(0));
    }
}

#[test]
fn precision_is_checked() {
    let graph = mixed();
    let samples = samples(32, 2);
    let default = Precision::default;
    for bad in [
        default().activation_bits(1),
        default().activation_bits(17),
        default().input_bits(0),
        default().stage_bits(99, 8),
        default().shift(0),
        default().accumulator_bits(41),
        default().target_error(f64::NAN),
    ] {
        assert!(graph.quantize(&samples, &bad).is_err());
    }
    let error = graph
        .quantize(&samples, &default().activation_bits(6))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "quantisation: stage 2: sigmoid is a table, which needs 8 bits or more"
    );
    let none: Vec<Array1<f32>> = Vec::new();
    assert!(graph.quantize(&none, &default()).is_err());
    assert!(graph.quantize(&vec![arr1(&[1.0])], &default()).is_err());
}

#[test]
fn nothing_is_divided_by_zero() {
    let mut g = NetworkBuilder::new([3]);
    let x = g.input();
    let y = g.dense(x, Array::zeros((2, 3)).view(), None).unwrap();
    let a = g.function(y, Function::Relu).unwrap();
    let b = g.function(y, Function::Sigmoid).unwrap();
    let c = g
        .function(
            y,
            Function::Clip {
                least: -1.0,
                most: 1.0,
            },
        )
        .unwrap();
    let d = g.mul(x, x).unwrap();
    let d = g.gather(d, 0, &[0, 1]).unwrap();
    let sum = g.add(a, b).unwrap();
    let sum = g.add(sum, c).unwrap();
    let sum = g.add(sum, d).unwrap();
    let graph = g.build(sum).unwrap();
    let zeros = vec![Array1::zeros(3)];
    let quantized = graph.quantize(&zeros, &Precision::default()).unwrap();
    let y = quantized.infer(arr1(&[0.0, 0.0, 0.0]).view()).unwrap();
    assert!((y[0] - 0.5).abs() < 0.02, "{y}");
    quantized.report(&graph, &zeros).unwrap();
}

#[test]
fn reports_are_text_and_json() {
    let graph = mixed();
    let samples = samples(32, 4);
    let quantized = graph.quantize(&samples, &Precision::default()).unwrap();
    let report = quantized.report(&graph, &samples).unwrap();
    let text = report.to_string();
    assert!(
        text.contains("sigmoid, table") && text.contains("loses most"),
        "{text}"
    );
    let json = serde_json::to_value(&report).unwrap();
    // Input, ReLU, maximum, sigmoid, product, output.
    assert_eq!(json["stages"].as_array().unwrap().len(), 6);
    let in_calibration = quantized.calibration_error().unwrap();
    assert!((in_calibration - report.relative_max_error().unwrap()).abs() < 1e-6);
}
