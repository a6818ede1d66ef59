//! The cases.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Case, Net, Runtime, ends, listed_frames, listed_net, most_of};
use crate::program::window::axis as window_axis;
use crate::tests::cells::{CellKind, CellShape, ElmanActivation, SequenceShape};
use crate::{
    program::{
        Activation, Affine, AffineMap, Emission, LayerShape, Operation, Order, Program, Register,
        Table, Term, WeightBank, Window, WindowAxis,
    },
    recursive::Schedule,
    tests::{claims, fixtures},
};

const FRAME: Register = Register::FRAME;

/// Cases that are folded to the end besides, which is slow.
pub(super) const FOLDED: &[&str] = &["gru, every frame", "dense, relu, dense"];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    affine(&mut cases);
    windows(&mut cases);
    requantize(&mut cases);
    relu(&mut cases);
    table(&mut cases);
    sums(&mut cases);
    compare(&mut cases);
    shapes(&mut cases);
    carried(&mut cases);
    heads(&mut cases);
    compositions(&mut cases);
    cells(&mut cases);
    refused(&mut cases);
    claims_of_outputs(&mut cases);
    cases
}

/// Rows of random weights.
fn weights(rows: usize, columns: usize, reach: i16, seed: u64) -> Vec<Vec<i16>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let row = |_| {
        (0..columns)
            .map(|_| rng.gen_range(-reach..=reach))
            .collect()
    };
    (0..rows).map(row).collect()
}

fn times(weights: &[Vec<i16>], x: &[f64]) -> Vec<f64> {
    let row = |row: &Vec<i16>| row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum();
    weights.iter().map(row).collect()
}

fn add(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

fn reals(x: &[i64]) -> Vec<f64> {
    x.iter().map(|x| *x as f64).collect()
}

fn clamp(x: f64, width: u8) -> f64 {
    let half = f64::from(width - 1).exp2();
    x.clamp(-half, half - 1.0)
}

/// `⌊x / 2^shift⌉`, halves up, saturated.
fn rounded(x: f64, shift: u8, width: u8) -> f64 {
    clamp((x / f64::from(shift).exp2() + 0.5).floor(), width)
}

fn affine(cases: &mut Vec<Case>) {
    let a = weights(3, 4, 300, 1);
    let bias = [0, -5000, 40_000];
    let mut net = Net::new(4, 16);
    let y = net.affine(&[(FRAME, a.clone())], &bias, 40, 0);
    cases.push(
        net.case("affine", y, ends(4, 16))
            .exactly(move |x| add(&times(&a, x), &reals(&bias))),
    );

    let ends_of_weights = vec![vec![i16::MIN, i16::MAX], vec![i16::MIN; 2], vec![0, 1]];
    let bias = [1i64 << 50, -(1 << 50), -1];
    let mut net = Net::new(2, 16);
    let y = net.affine(&[(FRAME, ends_of_weights.clone())], &bias, 64, 0);
    cases.push(
        net.case("affine, weights and biases at their ends", y, ends(2, 16))
            .exactly(move |x| add(&times(&ends_of_weights, x), &reals(&bias))),
    );

    // Each register twice, one map twice, the bias of the first.
    let (a, b) = (weights(2, 2, 90, 2), weights(2, 4, 90, 3));
    let mut net = Net::new(4, 8);
    let first = net.slice(FRAME, 0, 2);
    let last = net.slice(FRAME, 2, 2);
    let terms = [(first, a.clone()), (FRAME, b.clone()), (last, a.clone())];
    let y = net.affine(&terms, &[70, -80], 30, 0);
    if let Some(Operation::Affine(affine)) = net.program.operations.last_mut() {
        let again = affine.terms[0].clone();
        affine.terms.push(again);
    }
    cases.push(
        net.case("affine of several terms", y, ends(4, 8))
            .exactly(move |x| {
                let twice: Vec<f64> = x[..2].iter().map(|x| 2.0 * x).collect();
                let sum = add(&times(&a, &twice), &times(&b, x));
                add(&add(&sum, &times(&a, &x[2..])), &[70.0, -80.0])
            }),
    );

    let mut net = Net::new(5, 8);
    let rows: Vec<Vec<(u32, i16)>> = vec![vec![(1, 7), (4, -300)], vec![], vec![(0, 1)]];
    let map = AffineMap::sparse(5, rows, vec![0, 3, 0]).unwrap();
    let map = net.map(map);
    let y = net.push(Affine {
        terms: vec![Term {
            map,
            input: FRAME,
            window: None,
        }],
        reach: 1 << 23,
    });
    cases.push(
        net.case("affine, sparse, with an empty row", y, ends(5, 8))
            .exactly(|x| vec![7.0 * x[1] - 300.0 * x[4], 3.0, x[0]]),
    );

    // Bits, unsigned.
    let a = weights(2, 3, 900, 4);
    let mut net = Net::new(3, 8);
    let y = net.combine(0, &[(1, FRAME, None)], 0);
    let bits = net.sign(y);
    let y = net.affine(&[(bits, a.clone())], &[1, 2], 20, 0);
    cases.push(net.case("affine of bits", y, ends(3, 8)).exactly(move |x| {
        let bits: Vec<f64> = x.iter().map(|x| f64::from(*x >= 0.0)).collect();
        add(&times(&a, &bits), &[1.0, 2.0])
    }));

    for (name, columns, rows) in [
        ("affine of an input shorter than its map", 5, 2),
        ("affine of an input longer than its map", 3, 2),
    ] {
        let mut net = Net::new(4, 8);
        let y = net.affine(&[(FRAME, weights(rows, columns, 9, 5))], &[0, 0], 20, 0);
        cases.push(
            net.case(name, y, ends(4, 8))
                .refused(Runtime::Interpreter, "does not fit what it reads"),
        );
    }
    let mut net = Net::new(1, 8);
    let y = net.affine(&[(FRAME, vec![vec![4]])], &[0], 10, 0);
    cases.push(
        net.case("affine that leaves its reach by 1", y, ends(1, 8))
            .refused(Runtime::Interpreter, "its program allows"),
    );
}

/// What a map gives at every position, by the definition of a window; `kernel` is by row and offset.
fn slid(window: &Window, kernel: &[Vec<i16>], bias: &[i64], x: &[f64]) -> Vec<f64> {
    let sizes = |of: fn(&WindowAxis) -> u32| -> Vec<usize> {
        window.axes.iter().map(|a| of(a) as usize).collect()
    };
    let digits = |mut index: usize, sizes: &[usize]| -> Vec<usize> {
        let mut digits: Vec<usize> = (sizes.iter().rev())
            .map(|n| {
                let digit = index % n;
                index /= n;
                digit
            })
            .collect();
        digits.reverse();
        digits
    };
    let (positions, offsets) = (sizes(|a| a.positions), sizes(|a| a.offsets));
    let read = |p: usize, d: usize| {
        let (p, d) = (digits(p, &positions), digits(d, &offsets));
        let mut at = 0;
        for ((axis, p), d) in window.axes.iter().zip(p).zip(d) {
            let along = axis.stride as i64 * p as i64 + axis.dilation as i64 * d as i64;
            let along = along + i64::from(axis.start);
            if along < 0 || along >= i64::from(axis.size) {
                return 0.0;
            }
            at = at * axis.size as usize + along as usize;
        }
        x[at]
    };
    let (rows, count) = (kernel.len(), positions.iter().product::<usize>());
    let mut y = vec![0.0; rows * count];
    for (i, row) in kernel.iter().enumerate() {
        for p in 0..count {
            let place = match window.order {
                Order::Rows => i * count + p,
                Order::Positions => p * rows + i,
            };
            let products = row
                .iter()
                .enumerate()
                .map(|(d, w)| f64::from(*w) * read(p, d));
            y[place] = bias[i] as f64 + products.sum::<f64>();
        }
    }
    y
}

fn windows(cases: &mut Vec<Case>) {
    let image = |channels, kernel: &[WindowAxis]| {
        let mut axes = vec![WindowAxis::summed(channels)];
        axes.extend(kernel);
        axes
    };
    let dilated = WindowAxis {
        dilation: 3,
        ..window_axis(6, 4, 2, 1, -1)
    };
    let all: Vec<(&str, Vec<WindowAxis>)> = vec![
        ("convolution", image(2, &[window_axis(4, 3, 2, 1, 0); 2])),
        (
            "convolution with stride and padding",
            image(
                3,
                &[window_axis(4, 2, 3, 2, -1), window_axis(5, 5, 3, 1, -1)],
            ),
        ),
        ("dilated convolution of one axis", image(2, &[dilated])),
        (
            "convolution of one channel",
            vec![window_axis(7, 3, 3, 2, 0)],
        ),
        (
            "convolution of single entries",
            image(3, &[WindowAxis::kept(3); 2]),
        ),
        (
            "pooling",
            vec![
                WindowAxis::kept(3),
                window_axis(4, 2, 2, 2, 0),
                window_axis(4, 2, 2, 2, 0),
            ],
        ),
        (
            "layer of every token",
            vec![WindowAxis::kept(5), WindowAxis::summed(4)],
        ),
        (
            "every entry alone",
            vec![WindowAxis::kept(3), WindowAxis::kept(2)],
        ),
        (
            "kernel in the padding",
            vec![window_axis(3, 4, 2, 1, -3), window_axis(2, 2, 1, 1, 1)],
        ),
        ("one position", image(2, &[window_axis(3, 1, 3, 1, 0)])),
    ];
    for (k, (name, axes)) in all.into_iter().enumerate() {
        for order in [Order::Rows, Order::Positions] {
            for rounded in [false, true] {
                let axes = axes.clone();
                let window = Window { axes, order };
                let len = window.len() as u32;
                let kernel = weights(3, window.offsets(), 90, 70 + k as u64);
                let bias = [500, -40, 9];
                let mut net = Net::new(len, 8);
                let mut y = net.slide(&[(FRAME, window.clone(), kernel.clone())], &bias, 28, 6);
                if rounded {
                    let q = net.requantize(y, 0, 8);
                    y = net.relu(q);
                }
                let name = format!(
                    "{name}, {order:?}{}",
                    if rounded { ", rounded" } else { "" }
                );
                cases.push(net.case(&name, y, ends(len as usize, 8)).exactly(move |x| {
                    let y = slid(&window, &kernel, &bias, x);
                    let q = |y: &f64| rounded_if(rounded, *y);
                    y.iter().map(q).collect()
                }));
            }
        }
    }

    // More positions than a row of the trace holds, and a wide layer behind.
    let window = Window {
        axes: image(1, &[window_axis(28, 28, 3, 1, -1); 2]),
        order: Order::Rows,
    };
    let kernel = weights(2, 9, 60, 97);
    let dense = weights(3, 2 * 784, 20, 98);
    let mut net = Net::new(784, 8);
    let y = net.slide(
        &[(FRAME, window.clone(), kernel.clone())],
        &[1, -700],
        24,
        6,
    );
    let q = net.requantize(y, 0, 8);
    let r = net.relu(q);
    let out = net.affine(&[(r, dense.clone())], &[1, 2, 3], 40, 0);
    let mut frames = ends(784, 8);
    frames.truncate(2);
    cases.push(
        net.case("convolution of many positions", out, frames)
            .exactly(move |x| {
                let y = slid(&window, &kernel, &[1, -700], x);
                let q: Vec<f64> = y.iter().map(|y| rounded_if(true, *y)).collect();
                add(&times(&dense, &q), &[1.0, 2.0, 3.0])
            }),
    );

    // Two windows in one sum, then a layer that reads all of it, and a sum of sums of two boxes.
    let first = Window {
        axes: image(2, &[window_axis(3, 3, 3, 1, -1); 2]),
        order: Order::Rows,
    };
    let second = Window {
        axes: image(2, &[WindowAxis::kept(3); 2]),
        order: Order::Rows,
    };
    let (a, b) = (weights(2, 18, 40, 90), weights(2, 2, 40, 91));
    let dense = weights(3, 18, 20, 92);
    let mut net = Net::new(18, 8);
    let terms = [
        (FRAME, first.clone(), a.clone()),
        (FRAME, second.clone(), b.clone()),
    ];
    let y = net.slide(&terms, &[70, -900], 24, 6);
    let q = net.requantize(y, 0, 8);
    let r = net.relu(q);
    let out = net.affine(&[(r, dense.clone())], &[1, 2, 3], 30, 0);
    cases.push(
        net.case(
            "two convolutions in one sum, then a layer",
            out,
            ends(18, 8),
        )
        .exactly(move |x| {
            let y = add(
                &slid(&first, &a, &[70, -900], x),
                &slid(&second, &b, &[0, 0], x),
            );
            let q: Vec<f64> = y.iter().map(|y| rounded_if(true, *y)).collect();
            add(&times(&dense, &q), &[1.0, 2.0, 3.0])
        }),
    );

    let (rows, positions) = (
        Window {
            axes: image(2, &[WindowAxis::kept(3)]),
            order: Order::Rows,
        },
        Window {
            axes: vec![WindowAxis::kept(3), WindowAxis::summed(2)],
            order: Order::Positions,
        },
    );
    let (a, b) = (weights(2, 2, 40, 93), weights(2, 2, 40, 94));
    let mut net = Net::new(6, 8);
    let y = net.slide(&[(FRAME, rows.clone(), a.clone())], &[1, 2], 20, 0);
    let z = net.slide(&[(FRAME, positions.clone(), b.clone())], &[3, 4], 20, 0);
    let positive = net.relu(FRAME);
    let sum = net.combine(
        5,
        &[(2, y, None), (3, z, None), (1, FRAME, Some(positive))],
        4,
    );
    let out = net.requantize(sum, 0, 10);
    cases.push(
        net.case(
            "sum of windows in two orders and of a product",
            out,
            ends(6, 8),
        )
        .exactly(move |x| {
            let (y, z) = (
                slid(&rows, &a, &[1, 2], x),
                slid(&positions, &b, &[3, 4], x),
            );
            let sum = |i: usize| 5.0 + 2.0 * y[i] + 3.0 * z[i] + x[i] * x[i].max(0.0);
            (0..6).map(|i| rounded(sum(i), 4, 10)).collect()
        }),
    );

    // Parts of what a window gives, joined in another order, over frames and in the head.
    let window = Window {
        axes: image(2, &[window_axis(3, 2, 2, 1, 0)]),
        order: Order::Rows,
    };
    let kernel = weights(3, 4, 60, 95);
    let mut net = Net::new(6, 8);
    let state = net.state(8, &[1, 2, 3]);
    let y = net.slide(
        &[(FRAME, window.clone(), kernel.clone())],
        &[7, 8, 9],
        20,
        4,
    );
    let q = net.requantize(y, 0, 8);
    let (head, tail) = (net.slice(q, 0, 2), net.slice(q, 3, 3));
    let sum = net.combine(0, &[(1, state, None), (1, tail, None)], 0);
    let next = net.requantize(sum, 0, 8);
    net.next(state, next);
    let out = net.concat(&[tail, head, state]);
    cases.push(
        net.case("parts of a convolution over frames", out, ends(6, 8))
            .run(0.0, move |frames| {
                let mut state = vec![1.0, 2.0, 3.0];
                let step = |x: &Vec<f64>| {
                    let y = slid(&window, &kernel, &[7, 8, 9], x);
                    let q: Vec<f64> = y.iter().map(|y| rounded(*y, 4, 8)).collect();
                    let out = [&q[3..], &q[..2], &state].concat();
                    state = add(&state, &q[3..]).iter().map(|y| clamp(*y, 8)).collect();
                    out
                };
                frames.iter().map(step).collect()
            }),
    );

    // A column that no offset has is multiplied with 0, whatever the register's range is.
    let window = Window {
        axes: vec![window_axis(4, 3, 2, 1, 0)],
        order: Order::Rows,
    };
    let mut net = Net::new(4, 8);
    let high = net.table(FRAME, |x| 100 + (x & 1));
    let map = AffineMap::new(3, vec![100, 1, 0], vec![-10_150]).unwrap();
    let map = net.map(map);
    let y = net.push(Affine {
        terms: vec![Term {
            map,
            input: high,
            window: Some(window),
        }],
        reach: 500,
    });
    cases.push(
        net.case("window with a weight that nothing reads", y, ends(4, 8))
            .refused(Runtime::Interpreter, "its program allows"),
    );

    let window = Window {
        axes: image(2, &[WindowAxis::kept(3)]),
        order: Order::Rows,
    };
    for (name, len, columns, says) in [
        (
            "window over too few entries",
            5,
            2,
            "entries under a window",
        ),
        (
            "window with a map of another width",
            6,
            3,
            "does not fit what it reads",
        ),
    ] {
        let mut net = Net::new(len, 8);
        let map = AffineMap::new(columns, vec![1; columns], vec![0]).unwrap();
        let map = net.map(map);
        let y = net.push(Affine {
            terms: vec![Term {
                map,
                input: FRAME,
                window: Some(window.clone()),
            }],
            reach: 1 << 20,
        });
        cases.push(
            net.case(name, y, ends(len as usize, 8))
                .refused(Runtime::Interpreter, says),
        );
    }
}

/// `max(⌊y / 2^6⌉, 0)` in 8 bits, or `y` itself.
fn rounded_if(is: bool, y: f64) -> f64 {
    match is {
        true => rounded(y, 6, 8).max(0.0),
        false => y,
    }
}

/// Every value of an accumulator where something begins or ends.
fn edges(bits: u8, shift: u8, drop: u8, width: u8) -> Vec<i64> {
    let most = i128::from(most_of(bits, shift));
    let unit = 1i128 << (shift + drop);
    let half = if shift == 0 { 0 } else { 1i128 << (shift - 1) };
    let q = 1i128 << (width - 1);
    // Where the result steps to 1 − q, 0, 1, q − 1, and where it would to ±q beyond its ends.
    let mut all = vec![0, 1, -1, most, -most, most - 1];
    for step in [-q, 1 - q, -1, 0, 1, q - 1, q, q + 1] {
        let first = step * unit - half;
        all.extend([first - 1, first, first + 1]);
    }
    all.retain(|y| y.abs() <= most);
    all.sort_unstable();
    all.dedup();
    all.into_iter().map(|y| y as i64).collect()
}

/// Accumulator bits, shift, drop.
const SHIFTS: &[(u8, u8, u8)] = &[
    (20, 0, 0),
    (17, 0, 3),
    (10, 1, 0),
    (20, 6, 0),
    (32, 9, 4),
    (33, 16, 0),
    (48, 20, 20),
    (62, 40, 3),
    (61, 59, 0),
    (62, 30, 30),
    (12, 3, 0),
];

const WIDTHS: [u8; 5] = [2, 5, 8, 13, 16];

/// The accumulator values of a frame.
fn moved(values: &[i64], bits: u8, shift: u8, x: f64) -> Vec<f64> {
    let most = most_of(bits, shift);
    let still = |v: &i64| v.unsigned_abs() + 2 > most;
    let value = |v: &i64| *v as f64 + if still(v) { 0.0 } else { x };
    values.iter().map(value).collect()
}

/// Half a unit beside what is exact, cut off downwards.
fn cut(shift: u8, drop: u8) -> f64 {
    match (shift, drop) {
        (0, 0) => 0.0,
        (_, 0) => 0.5,
        _ => 1.0,
    }
}

fn requantize(cases: &mut Vec<Case>) {
    for &(bits, shift, drop) in SHIFTS {
        // An accumulator for every width, so that none is read twice.
        let mut net = listed_net();
        let mut parts = Vec::new();
        let mut values = Vec::new();
        for width in WIDTHS {
            let edges = edges(bits, shift, drop, width);
            let y = net.listed(&edges, bits, shift);
            let q = net.requantize(y, drop, width);
            parts.push(q);
            values.push((width, edges));
        }
        let out = net.concat(&parts);
        let name = format!("requantize {bits} bits by {shift} and {drop}");
        cases.push(
            net.case(&name, out, listed_frames())
                .each(cut(shift, drop), move |x| {
                    let of = |(width, edges): &(u8, Vec<i64>)| {
                        let y = moved(edges, bits, shift, x[0]);
                        let unit = f64::from(shift + drop).exp2();
                        y.iter()
                            .map(|y| clamp(y / unit, *width))
                            .collect::<Vec<_>>()
                    };
                    values.iter().flat_map(of).collect()
                }),
        );
    }
    for width in WIDTHS {
        // Alone, as the output.
        let mut net = listed_net();
        let edges = edges(30, 10, 0, width);
        let y = net.listed(&edges, 30, 10);
        let q = net.requantize(y, 0, width);
        cases.push(
            net.case(&format!("requantize to {width} bits"), q, listed_frames())
                .exactly(move |x| {
                    let y = moved(&edges, 30, 10, x[0]);
                    y.iter().map(|y| rounded(*y, 10, width)).collect()
                }),
        );
    }
    // One accumulator to several widths: limbs of the wider ones may be shared.
    for (name, widths) in [
        ("requantize one sum to 16 and 8 bits", [(0, 16), (8, 8)]),
        ("requantize one sum to 8 and 16 bits", [(8, 8), (0, 16)]),
        ("requantize one sum to 16 and 12 bits", [(0, 16), (4, 12)]),
        ("requantize one sum to 12 and 16 bits", [(0, 12), (3, 16)]),
        ("requantize one sum to 13 and 13 bits", [(0, 13), (2, 13)]),
        ("requantize one sum to 16 and 3 bits", [(1, 16), (14, 3)]),
    ] {
        let mut net = listed_net();
        let mut values = edges(40, 6, 0, 16);
        values.extend(edges(40, 6, 8, 8));
        let y = net.listed(&values, 40, 6);
        let mut parts = Vec::new();
        for (drop, width) in widths {
            let q = net.requantize(y, drop, width);
            parts.push(q);
        }
        let out = net.concat(&parts);
        cases.push(net.case(name, out, listed_frames()).exactly(move |x| {
            let y = moved(&values, 40, 6, x[0]);
            let of = |(drop, width): &(u8, u8)| {
                let q = |y: &f64| {
                    let r = (y / 64.0 + 0.5).floor();
                    clamp((r / f64::from(*drop).exp2()).floor(), *width)
                };
                y.iter().map(q).collect::<Vec<_>>()
            };
            widths.iter().flat_map(of).collect()
        }));
    }
    let mut net = listed_net();
    let y = net.listed(&[0], 20, 8);
    let q = net.requantize(y, 12, 8);
    cases.push(
        net.case("requantize of no bit", q, listed_frames())
            .refused(Runtime::Recursive, "leaves no bit of it"),
    );
}

fn relu(cases: &mut Vec<Case>) {
    for fused in [true, false] {
        for (bits, shift, drop) in [(20, 0, 0), (32, 9, 0), (32, 9, 2), (48, 30, 0)] {
            let mut net = listed_net();
            let mut parts = Vec::new();
            let mut values = Vec::new();
            for width in [2, 8, 13, 16] {
                let edges = edges(bits, shift, drop, width);
                let y = net.listed(&edges, bits, shift);
                let q = net.requantize(y, drop, width);
                let r = net.relu(q);
                parts.push(r);
                if !fused {
                    parts.push(q);
                }
                values.push((width, edges));
            }
            let out = net.concat(&parts);
            let how = if fused { "fused" } else { "unfused" };
            let name = format!("relu, {how}, of {bits} bits by {shift} and {drop}");
            cases.push(
                net.case(&name, out, listed_frames())
                    .each(cut(shift, drop), move |x| {
                        let mut out = Vec::new();
                        for (width, edges) in &values {
                            let y = moved(edges, bits, shift, x[0]);
                            let unit = f64::from(shift + drop).exp2();
                            let q: Vec<f64> = y.iter().map(|y| clamp(y / unit, *width)).collect();
                            out.extend(q.iter().map(|q| q.max(0.0)));
                            if !fused {
                                out.extend(q);
                            }
                        }
                        out
                    }),
            );
        }
    }
    for width in [2, 8, 13, 16] {
        let mut net = Net::new(7, width);
        let r = net.relu(FRAME);
        cases.push(
            net.case(
                &format!("relu of frames of {width} bits"),
                r,
                ends(7, width),
            )
            .exactly(|x| x.iter().map(|x| x.max(0.0)).collect()),
        );
    }
    let mut net = Net::new(3, 8);
    let y = net.combine(0, &[(1, FRAME, None)], 0);
    let bits = net.sign(y);
    let r = net.relu(bits);
    cases.push(
        net.case("relu of unsigned", r, ends(3, 8))
            .exactly(|x| x.iter().map(|x| f64::from(*x >= 0.0)).collect()),
    );
    // −1 and 0 in one bit; wide sums.
    let mut net = Net::new(3, 8);
    let y = net.combine(0, &[(1, FRAME, None)], 0);
    let bits = net.sign(y);
    let less = net.polynomial(-1, &[(1, bits, None)]);
    let r = net.relu(less);
    cases.push(
        net.case("relu of one bit with sign", r, ends(3, 8))
            .exactly(|x| vec![0.0; x.len()]),
    );
    let mut net = Net::new(4, 16);
    let wide = net.polynomial(-5, &[(1 << 24, FRAME, None)]);
    let r = net.relu(wide);
    cases.push(net.case("relu of wide sums", r, ends(4, 16)).exactly(|x| {
        x.iter()
            .map(|x| (x * 16_777_216.0 - 5.0).max(0.0))
            .collect()
    }));
    let mut net = Net::new(3, 8);
    let r = net.relu(FRAME);
    let r = net.relu(r);
    cases.push(
        net.case("relu of relu", r, ends(3, 8))
            .exactly(|x| x.iter().map(|x| x.max(0.0)).collect()),
    );
}

/// A function whose values are at both ends of every width.
fn curve(x: i32, width: u8) -> i32 {
    let half = 1i32 << (width - 1);
    match x {
        -128 | 5 => -half,
        127 | 0 => half - 1,
        _ => (x * x * 31 + x).rem_euclid(2 * half) - half,
    }
}

fn table(cases: &mut Vec<Case>) {
    let mut net = Net::new(64, 8);
    let t = net.table(FRAME, |x| curve(x, 16));
    let all = (0..4)
        .map(|k| (0..64).map(|i| 64 * k + i - 128).collect())
        .collect();
    cases.push(
        net.case("table of every value", t, all)
            .exactly(|x| x.iter().map(|x| curve(*x as i32, 16).into()).collect()),
    );
    let mut net = Net::new(5, 8);
    let parts: Vec<Register> = (2..=16)
        .map(|width| net.table(FRAME, move |x| curve(x, width)))
        .collect();
    let out = net.concat(&parts);
    cases.push(
        net.case("tables of every width", out, ends(5, 8))
            .exactly(|x| {
                let of = |width| x.iter().map(move |x| f64::from(curve(*x as i32, width)));
                (2..=16).flat_map(of).collect()
            }),
    );
    for fused in [true, false] {
        for (bits, shift, drop) in [(20, 0, 0), (30, 7, 0), (30, 7, 5), (60, 45, 0)] {
            let mut net = listed_net();
            let edges = edges(bits, shift, drop, 8);
            let y = net.listed(&edges, bits, shift);
            let q = net.requantize(y, drop, 8);
            let t = net.table(q, |x| curve(x, 12));
            let out = if fused {
                t
            } else {
                let parts = [t, q];
                net.concat(&parts)
            };
            let how = if fused { "fused" } else { "unfused" };
            let name = format!("table, {how}, of {bits} bits by {shift} and {drop}");
            let case = net.case(&name, out, listed_frames());
            // What a real number does not hold is no reference.
            cases.push(if bits < 53 {
                case.exactly(move |x| {
                    let y = moved(&edges, bits, shift, x[0]);
                    let q = |y: &f64| {
                        let half = if shift == 0 { 0.0 } else { 0.5 };
                        let r = (y / f64::from(shift).exp2() + half).floor();
                        clamp((r / f64::from(drop).exp2()).floor(), 8)
                    };
                    let q: Vec<f64> = y.iter().map(q).collect();
                    let mut out: Vec<f64> = q.iter().map(|q| curve(*q as i32, 12).into()).collect();
                    if !fused {
                        out.extend(q);
                    }
                    out
                })
            } else {
                case
            });
        }
    }
    // Two tables and a ReLU of one requantised value, a table of a table.
    let mut net = listed_net();
    let values = edges(24, 4, 0, 8);
    let y = net.listed(&values, 24, 4);
    let q = net.requantize(y, 0, 8);
    let a = net.table(q, |x| curve(x, 8));
    let b = net.table(q, |x| -x.max(-127));
    let c = net.table(a, |x| x / 2);
    let r = net.relu(q);
    let out = net.concat(&[a, b, c, r]);
    cases.push(
        net.case("tables of one value", out, listed_frames())
            .exactly(move |x| {
                let y = moved(&values, 24, 4, x[0]);
                let q: Vec<i32> = y.iter().map(|y| rounded(*y, 4, 8) as i32).collect();
                let a = q.iter().map(|q| curve(*q, 8));
                let b = q.iter().map(|q| -q.max(&-127));
                let c = q.iter().map(|q| curve(*q, 8) / 2);
                let all = a.chain(b).chain(c).chain(q.iter().map(|q| *q.max(&0)));
                all.map(f64::from).collect()
            }),
    );
}

fn halves(x: &[f64]) -> impl Iterator<Item = (f64, f64)> {
    let (a, b) = x.split_at(x.len() / 2);
    a.iter().copied().zip(b.iter().copied())
}

fn sums(cases: &mut Vec<Case>) {
    // Every form of an element-wise sum, as an accumulator and in a register.
    let mut net = Net::new(14, 8);
    let (a, b) = (net.slice(FRAME, 0, 7), net.slice(FRAME, 7, 7));
    let product = net.combine(0, &[(1, a, Some(b))], 0);
    let sum = net.combine(0, &[(1, a, None), (1, b, None)], 0);
    let complement = net.combine(1, &[(-1, a, None)], 0);
    let blend = net.combine(0, &[(16, a, None), (1, b, Some(a)), (-1, b, None)], 0);
    let out = net.concat(&[product, sum, complement, blend]);
    cases.push(net.case("combine", out, ends(14, 8)).exactly(|x| {
        let product = halves(x).map(|(a, b)| a * b);
        let sum = halves(x).map(|(a, b)| a + b);
        let complement = halves(x).map(|(a, _)| 1.0 - a);
        let blend = halves(x).map(|(a, b)| 16.0 * a + b * a - b);
        product.chain(sum).chain(complement).chain(blend).collect()
    }));
    for (name, monomials, constant, shift) in [
        ("combine and requantize", (3, -5), 7, 6),
        ("combine, wide", (i32::MIN, i32::MAX), 1 << 59, 50),
        ("combine by a large shift", (1, 1), 0, 16),
    ] {
        let mut net = Net::new(8, 8);
        let (a, b) = (net.slice(FRAME, 0, 4), net.slice(FRAME, 4, 4));
        let (c, d) = monomials;
        let y = net.combine(constant, &[(c, a, Some(b)), (d, b, None)], shift);
        let q = net.requantize(y, 0, 13);
        cases.push(net.case(name, q, ends(8, 8)).each(0.5, move |x| {
            let sum = |(a, b)| f64::from(c) * a * b + f64::from(d) * b + constant as f64;
            let unit = f64::from(shift).exp2();
            halves(x).map(|p| clamp(sum(p) / unit, 13)).collect()
        }));
    }
    // Sums of sums, products of accumulators.
    let a = weights(3, 3, 100, 6);
    let mut net = Net::new(3, 8);
    let y = net.affine(&[(FRAME, a.clone())], &[5, 0, -5], 18, 3);
    let z = net.combine(-2, &[(2, FRAME, None)], 0);
    let w = net.combine(1, &[(1, y, Some(z)), (3, y, None)], 0);
    cases.push(
        net.case("combine of accumulators", w, ends(3, 8))
            .exactly(move |x| {
                let y = add(&times(&a, x), &[5.0, 0.0, -5.0]);
                let w = |(y, x): (&f64, &f64)| y * (2.0 * x - 2.0) + 3.0 * y + 1.0;
                y.iter().zip(x).map(w).collect()
            }),
    );
    let mut net = Net::new(3, 8);
    let zero = net.combine(
        0,
        &[(0, FRAME, None), (1, FRAME, None), (-1, FRAME, None)],
        0,
    );
    cases.push(
        net.case("combine that is zero", zero, ends(3, 8))
            .exactly(|x| vec![0.0; x.len()]),
    );

    let mut net = Net::new(8, 8);
    let (a, b) = (net.slice(FRAME, 0, 4), net.slice(FRAME, 4, 4));
    let p = net.polynomial(-3, &[(100, a, Some(b)), (-7, a, None)]);
    let again = net.polynomial(0, &[(1, p, Some(a)), (1, p, None)]);
    cases.push(
        net.case("polynomial of a polynomial", again, ends(8, 8))
            .exactly(|x| {
                let p = |(a, b): (f64, f64)| 100.0 * a * b - 7.0 * a - 3.0;
                halves(x).map(|(a, b)| p((a, b)) * (a + 1.0)).collect()
            }),
    );
    let mut net = Net::new(4, 16);
    let p = net.polynomial(1 << 15, &[(1, FRAME, None)]);
    cases.push(
        net.case("polynomial, unsigned", p, ends(4, 16))
            .exactly(|x| x.iter().map(|x| x + 32_768.0).collect()),
    );
    let mut net = Net::new(4, 16);
    let p = net.polynomial(0, &[(i32::MIN, FRAME, None), (i32::MAX, FRAME, None)]);
    cases.push(
        net.case("polynomial, wide", p, ends(4, 16))
            .exactly(|x| x.iter().map(|x| -x).collect()),
    );
    let mut net = Net::new(3, 8);
    let bad = net.combine(0, &[(1, FRAME, Some(FRAME))], 0);
    cases.push(
        net.case("combine of a square", bad, ends(3, 8))
            .refused(Runtime::Interpreter, "a register with itself"),
    );
    let coefficients = [i32::MIN, i32::MAX, 0, 1, -1];
    let mut net = Net::new(5, 8);
    let d = net.dot(FRAME, &coefficients);
    cases.push(net.case("dot", d, ends(5, 8)).exactly(move |x| {
        vec![
            x.iter()
                .zip(coefficients)
                .map(|(x, c)| x * f64::from(c))
                .sum(),
        ]
    }));
    let a = weights(2, 3, 100, 7);
    let mut net = Net::new(3, 8);
    let y = net.affine(&[(FRAME, a.clone())], &[9, -9], 18, 4);
    let d = net.dot(y, &[2, -3]);
    let e = net.dot(FRAME, &[1, 1, 1]);
    let both = net.concat(&[d, e, d]);
    cases.push(
        net.case("dot of an accumulator", both, ends(3, 8))
            .exactly(move |x| {
                let y = add(&times(&a, x), &[9.0, -9.0]);
                let d = 2.0 * y[0] - 3.0 * y[1];
                vec![d, x.iter().sum(), d]
            }),
    );
    let mut net = Net::new(4, 8);
    let p = net.slice(FRAME, 0, 2);
    let q = net.slice(FRAME, 2, 2);
    let product = net.polynomial(0, &[(1, p, Some(q))]);
    let d = net.dot(product, &[1, 1]);
    let of_dot = net.dot(d, &[-4]);
    cases.push(
        net.case("dot of products, and of a dot", of_dot, ends(4, 8))
            .exactly(|x| vec![-4.0 * (x[0] * x[2] + x[1] * x[3])]),
    );
}

/// Values of an accumulator around 0 and at its ends.
fn around_zero(bits: u8, shift: u8) -> Vec<i64> {
    let most = most_of(bits, shift) as i64;
    let mut values = vec![
        0,
        1,
        -1,
        most,
        -most,
        most - 1,
        1 - most,
        most / 2,
        -(most / 2),
    ];
    values.retain(|v| v.abs() <= most);
    values.sort_unstable();
    values.dedup();
    values
}

const ACCUMULATORS: [u8; 11] = [2, 3, 8, 9, 16, 17, 24, 33, 41, 60, 62];

fn compare(cases: &mut Vec<Case>) {
    type Bit = fn(f64) -> bool;
    for (name, shifts, bit) in [
        ("sign", &[0][..], (|y| y >= 0.0) as Bit),
        ("zero", &[0], |y| y == 0.0),
        ("zero, with a shift", &[1, 7], |y| y == 0.0),
    ] {
        let mut net = listed_net();
        let (mut parts, mut values) = (Vec::new(), Vec::new());
        for bits in ACCUMULATORS {
            for shift in shifts.iter().filter(|s| **s + 1 < bits) {
                let list = around_zero(bits, *shift);
                let y = net.listed(&list, bits, *shift);
                parts.push(if name == "sign" {
                    net.sign(y)
                } else {
                    net.zero(y)
                });
                values.push((bits, *shift, list));
            }
        }
        let out = net.concat(&parts);
        cases.push(net.case(name, out, listed_frames()).exactly(move |x| {
            let of = |(bits, shift, list): &(u8, u8, Vec<i64>)| moved(list, *bits, *shift, x[0]);
            let all = values.iter().flat_map(of);
            all.map(|y| f64::from(bit(y))).collect()
        }));
    }
    let mut net = Net::new(8, 8);
    let (a, b) = (net.slice(FRAME, 0, 4), net.slice(FRAME, 4, 4));
    let less = net.combine(0, &[(1, a, None), (-1, b, None)], 0);
    let product = net.combine(0, &[(1, a, Some(b))], 3);
    let part = net.slice(product, 1, 3);
    let parts = [net.sign(less), net.zero(less), net.zero(part)];
    let out = net.concat(&parts);
    let mut frames = ends(8, 8);
    frames.push(vec![3, -4, 0, 7, 3, -4, 9, 0]);
    cases.push(net.case("sign and zero of sums", out, frames).exactly(|x| {
        let sign = halves(x).map(|(a, b)| a >= b);
        let zero = halves(x).map(|(a, b)| a == b);
        let product = halves(x).map(|(a, b)| a * b == 0.0).skip(1);
        sign.chain(zero).chain(product).map(f64::from).collect()
    }));
    let mut net = listed_net();
    let y = net.listed(&[0, -1, 1], 20, 3);
    let (sign, q) = (net.sign(y), net.requantize(y, 0, 8));
    let both = net.concat(&[sign, q]);
    cases.push(
        net.case("sign of what is requantised too", both, listed_frames())
            .refused(Runtime::Recursive, "different shifts")
            .exactly(|x| {
                let y = moved(&[0, -1, 1], 20, 3, x[0]);
                let sign = y.iter().map(|y| f64::from(*y >= 0.0));
                sign.chain(y.iter().map(|y| rounded(*y, 3, 8))).collect()
            }),
    );

    let index = |x: f64, len: usize| (0..len).map(move |c| f64::from(x == c as f64));
    for (width, len) in [(2, 1), (2, 3), (8, 4), (16, 9)] {
        let mut net = Net::new(1, width);
        let bits = net.indicators(FRAME, len);
        let half = 1i64 << (width - 1);
        let len = len as usize;
        let mut x = vec![-half, half - 1, -1, 0, 1, 2, len as i64 - 1, len as i64];
        x.retain(|x| (-half..half).contains(x));
        let frames = x.into_iter().map(|x| vec![x]).collect();
        cases.push(
            net.case(&format!("indicators of {width} bits, {len}"), bits, frames)
                .exactly(move |x| index(x[0], len).collect()),
        );
    }
    let mut net = Net::new(3, 8);
    let wide = net.dot(FRAME, &[1 << 20, 1, 0]);
    let bits = net.indicators(wide, 4);
    let y = net.combine(0, &[(1, FRAME, None)], 0);
    let sign = net.sign(y);
    let first = net.slice(sign, 0, 1);
    let more = net.indicators(first, 3);
    let out = net.concat(&[bits, more]);
    let mut frames = ends(3, 8);
    frames.extend([vec![0, 3, 0], vec![0, 4, 1], vec![0, -1, 0], vec![-1, 2, 0]]);
    cases.push(
        net.case("indicators of sums and of bits", out, frames)
            .exactly(move |x| {
                let of_bit = index(f64::from(x[0] >= 0.0), 3);
                index(x[0] * 1_048_576.0 + x[1], 4).chain(of_bit).collect()
            }),
    );

    let first_largest = |x: &[f64]| -> Vec<f64> {
        let at = (0..x.len()).rev().max_by(|a, b| x[*a].total_cmp(&x[*b]));
        (0..x.len()).map(|i| f64::from(Some(i) == at)).collect()
    };
    for (width, len) in [(2, 4), (8, 5), (16, 3), (8, 1)] {
        let mut net = Net::new(len as u32, width);
        let hot = net.argmax(FRAME);
        let half = 1i64 << (width - 1);
        let mut frames = ends(len, width);
        frames.extend([-half, half - 1, 0].map(|x| vec![x; len]));
        let mut tie = vec![-half; len];
        for i in (0..len).rev().take(2) {
            tie[i] = half - 1;
        }
        frames.push(tie);
        cases.push(
            net.case(&format!("argmax of {len} of {width} bits"), hot, frames)
                .exactly(first_largest),
        );
    }
    let a = weights(4, 3, 30_000, 8);
    let mut net = Net::new(3, 16);
    let y = net.affine(&[(FRAME, a.clone())], &[0; 4], 40, 12);
    let hot = net.argmax(y);
    cases.push(
        net.case("argmax of an accumulator with a shift", hot, ends(3, 16))
            .exactly(move |x| first_largest(&times(&a, x))),
    );
    let mut net = Net::new(4, 8);
    let y = net.combine(0, &[(1, FRAME, None)], 0);
    let bits = net.sign(y);
    let hot = net.argmax(bits);
    cases.push(
        net.case("argmax of bits", hot, ends(4, 8))
            .exactly(move |x| {
                let bits: Vec<f64> = x.iter().map(|x| f64::from(*x >= 0.0)).collect();
                first_largest(&bits)
            }),
    );
}

fn shapes(cases: &mut Vec<Case>) {
    for (start, len) in [(0, 1), (0, 5), (2, 2), (4, 1)] {
        let mut net = Net::new(5, 8);
        let s = net.slice(FRAME, start, len);
        let (start, len) = (start as usize, len as usize);
        cases.push(
            net.case(&format!("slice of {len} from {start}"), s, ends(5, 8))
                .exactly(move |x| x[start..start + len].to_vec()),
        );
    }
    // Of every kind of register, and slices of slices.
    let a = weights(4, 4, 100, 9);
    let mut net = Net::new(4, 8);
    let y = net.affine(&[(FRAME, a.clone())], &[0; 4], 20, 5);
    let of_y = net.slice(y, 1, 3);
    let q = net.requantize(of_y, 0, 8);
    let of_q = net.slice(q, 1, 2);
    let r = net.relu(q);
    let of_r = net.slice(r, 0, 2);
    let y_again = net.slice(of_y, 2, 1);
    let z = net.requantize(y_again, 0, 8);
    let t = net.table(of_q, |x| curve(x, 8));
    let out = net.concat(&[of_q, of_r, z, t, FRAME, q]);
    cases.push(
        net.case("slices of everything, together", out, ends(4, 8))
            .exactly(move |x| {
                let y = times(&a, x);
                let q: Vec<f64> = y[1..].iter().map(|y| rounded(*y, 5, 8)).collect();
                let relu = q[..2].iter().map(|q| q.max(0.0));
                let table = q[1..].iter().map(|q| f64::from(curve(*q as i32, 8)));
                let all = q[1..].iter().copied().chain(relu).chain([q[2]]);
                all.chain(table)
                    .chain(x.iter().copied())
                    .chain(q.clone())
                    .collect()
            }),
    );
    // Reversed, repeated, and a product with what is put together.
    let a = weights(2, 5, 100, 10);
    let mut net = Net::new(3, 8);
    let [i, j, k] = [0, 1, 2].map(|at| net.slice(FRAME, at, 1));
    let reversed = net.concat(&[k, j, i, i, k]);
    let y = net.affine(&[(reversed, a.clone())], &[3, 4], 24, 0);
    let twice = net.concat(&[y, y]);
    cases.push(
        net.case("concat of slices", twice, ends(3, 8))
            .exactly(move |x| {
                let y = times(&a, &[x[2], x[1], x[0], x[0], x[2]]);
                let y = add(&y, &[3.0, 4.0]);
                [y.clone(), y].concat()
            }),
    );
    // Sources that become forms of different kinds: products, maps, columns, the frame.
    let a = weights(2, 4, 20, 11);
    let mut net = Net::new(4, 8);
    let (u, v) = (net.slice(FRAME, 0, 2), net.slice(FRAME, 2, 2));
    let product = net.polynomial(0, &[(1, u, Some(v))]);
    let y = net.affine(&[(FRAME, a.clone())], &[0, 1], 16, 0);
    let q = net.requantize(y, 2, 16);
    let dot = net.dot(u, &[3, 5]);
    let mixed = net.concat(&[product, q, y, dot]);
    let part = net.slice(mixed, 1, 5);
    cases.push(
        net.case("concat of different sources", part, ends(4, 8))
            .exactly(move |x| {
                let y = add(&times(&a, x), &[0.0, 1.0]);
                let q = y.iter().map(|y| (y / 4.0).floor());
                let all = [x[1] * x[3]].into_iter().chain(q).chain(y.clone());
                all.collect()
            }),
    );
}

/// Outputs of a state that is updated frame by frame.
fn folded_over<S>(
    frames: &[Vec<f64>],
    mut state: S,
    mut f: impl FnMut(&mut S, &[f64]) -> Vec<f64>,
) -> Vec<Vec<f64>> {
    frames.iter().map(|x| f(&mut state, x)).collect()
}

fn carried(cases: &mut Vec<Case>) {
    for per_step in [1, 3] {
        let mut net = Net::new(3, 8);
        let before = net.state(8, &[7, -128, 127]);
        let sum = net.combine(0, &[(1, FRAME, None), (1, before, None)], 0);
        let next = net.requantize(sum, 0, 8);
        net.next(before, next);
        cases.push(
            net.case(&format!("carried, {per_step} to a step"), next, ends(3, 8))
                .per_step(per_step)
                .run(0.0, |frames| {
                    folded_over(frames, vec![7.0, -128.0, 127.0], |s, x| {
                        *s = add(s, x).iter().map(|y| clamp(*y, 8)).collect();
                        s.clone()
                    })
                }),
        );

        // A delay line, and a part that never changes.
        let mut net = Net::new(2, 8);
        let parts = [[1, 2], [3, 4], [5, 6], [-7, 8]].map(|p| net.state(8, &p));
        net.next(parts[0], FRAME);
        net.next(parts[1], parts[0]);
        net.next(parts[2], parts[1]);
        let out = net.concat(&[parts[2], parts[3], parts[0]]);
        cases.push(
            net.case(
                &format!("delay line, {per_step} to a step"),
                out,
                ends(2, 8),
            )
            .per_step(per_step)
            .run(0.0, |frames| {
                let line = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]];
                folded_over(frames, line, |line, x| {
                    let out = [line[2], [-7.0, 8.0], line[0]].concat();
                    *line = [[x[0], x[1]], line[0], line[1]];
                    out
                })
            }),
        );

        // Parts that change places, of which one goes through a map.
        let a = weights(2, 2, 60, 12);
        let mut net = Net::new(2, 8);
        let first = net.state(8, &[1, -1]);
        let second = net.state(8, &[100, -100]);
        let y = net.affine(&[(first, a.clone()), (FRAME, a.clone())], &[9, 9], 20, 6);
        let q = net.requantize(y, 0, 8);
        net.next(first, second);
        net.next(second, q);
        cases.push(
            net.case(
                &format!("parts change places, {per_step} to a step"),
                first,
                ends(2, 8),
            )
            .per_step(per_step)
            .run(0.0, move |frames| {
                let state = (vec![1.0, -1.0], vec![100.0, -100.0]);
                let a = a.clone();
                folded_over(frames, state, move |s, x| {
                    let y = add(&times(&a, &s.0), &times(&a, x));
                    let q = y.iter().map(|y| rounded(y + 9.0, 6, 8)).collect();
                    let out = s.0.clone();
                    *s = (s.1.clone(), q);
                    out
                })
            }),
        );

        let mut net = Net::new(2, 8);
        let threshold = net.parameter(40, 1);
        let gain = net.parameter(8, 2);
        let product = net.combine(0, &[(1, FRAME, Some(gain))], 0);
        let most = net.dot(product, &[1, 1]);
        let above = net.combine(0, &[(1, most, None), (-1, threshold, None)], 0);
        let sign = net.sign(above);
        cases.push(
            net.case(
                &format!("parameters, {per_step} to a step"),
                sign,
                ends(2, 8),
            )
            .per_step(per_step)
            .parameters(&[-300, 127, -128])
            .exactly(|x| vec![f64::from(127.0 * x[0] - 128.0 * x[1] >= -300.0)]),
        );

        let mut net = Net::new(3, 8);
        let sums = net.state(24, &[0, 5, -5]);
        let sum = net.accumulate(sums, FRAME);
        cases.push(
            net.case(
                &format!("accumulate, {per_step} to a step"),
                sum,
                ends(3, 8),
            )
            .per_step(per_step)
            .run(0.0, |frames| {
                folded_over(frames, vec![0.0, 5.0, -5.0], |s, x| {
                    *s = add(s, x);
                    s.clone()
                })
            }),
        );

        // Sums of bits, of products, of sums; what is carried beside what it becomes.
        let mut net = Net::new(4, 8);
        let counts = net.state(16, &[0, 0, 0, 0]);
        let products = net.state(32, &[0, 0]);
        let of_counts = net.state(40, &[0, 0, 0, 0]);
        let y = net.combine(0, &[(1, FRAME, None)], 0);
        let bits = net.sign(y);
        let count = net.accumulate(counts, bits);
        let (u, v) = (net.slice(FRAME, 0, 2), net.slice(FRAME, 2, 2));
        let product = net.polynomial(0, &[(1, u, Some(v))]);
        let total = net.accumulate(products, product);
        let all = net.accumulate(of_counts, count);
        let out = net.concat(&[count, total, all, counts]);
        cases.push(
            net.case(
                &format!("sums over frames, {per_step} to a step"),
                out,
                ends(4, 8),
            )
            .per_step(per_step)
            .run(0.0, |frames| {
                let state = (vec![0.0; 4], vec![0.0; 2], vec![0.0; 4]);
                folded_over(frames, state, |(count, total, all), x| {
                    let before = count.clone();
                    let bits: Vec<f64> = x.iter().map(|x| f64::from(*x >= 0.0)).collect();
                    *count = add(count, &bits);
                    *total = add(total, &[x[0] * x[2], x[1] * x[3]]);
                    *all = add(all, count);
                    [count.clone(), total.clone(), all.clone(), before].concat()
                })
            }),
        );

        // A state in full and as products read it: one sum to two widths.
        let a = weights(2, 4, 120, 13);
        let mut net = Net::new(2, 8);
        let full = net.state(16, &[0, 300]);
        let view = net.state(8, &[0, 1]);
        let read = net.concat(&[FRAME, view]);
        let y = net.affine(&[(read, a.clone())], &[0, 0], 30, 2);
        let shown = net.combine(0, &[(1, y, None), (2, full, None)], 2);
        let next = net.requantize(shown, 0, 16);
        let upper = net.requantize(shown, 8, 8);
        net.next(full, next);
        net.next(view, upper);
        let wide = upper;
        let out = net.concat(&[next, wide]);
        cases.push(
            net.case(
                &format!("a state of two widths, {per_step} to a step"),
                out,
                ends(2, 8),
            )
            .per_step(per_step)
            .run(0.0, move |frames| {
                let state = (vec![0.0, 300.0], vec![0.0, 1.0]);
                let a = a.clone();
                folded_over(frames, state, move |(full, view), x| {
                    let y = times(&a, &[x, view].concat());
                    let twice: Vec<f64> = full.iter().map(|f| 2.0 * f).collect();
                    *full = add(&y, &twice).iter().map(|y| rounded(*y, 2, 16)).collect();
                    *view = full.iter().map(|f| (f / 256.0).floor()).collect();
                    [full.clone(), view.clone()].concat()
                })
            }),
        );
    }
    let mut net = Net::new(1, 8);
    let fixed = net.parameter(8, 1);
    net.next(fixed, FRAME);
    cases.push(
        net.case("a parameter that changes", fixed, ends(1, 8))
            .refused(Runtime::Interpreter, "a parameter changes"),
    );
}

fn heads(cases: &mut Vec<Case>) {
    for per_step in [1, 3] {
        // The state itself, without a head.
        let mut net = Net::new(2, 8);
        let sums = net.state(20, &[0, 0]);
        let sum = net.accumulate(sums, FRAME);
        net.head();
        cases.push(
            net.case(
                &format!("the last sum, {per_step} to a step"),
                sum,
                ends(2, 8),
            )
            .per_step(per_step)
            .run(0.0, |frames| {
                folded_over(frames, vec![0.0; 2], |s, x| {
                    *s = add(s, x);
                    s.clone()
                })
            }),
        );
        let unit = vec![vec![1, 0, 0], vec![0, 1, 0], vec![0, 0, 1]];
        // Carried with more bits than it is computed with: the head has those that it is carried with.
        for (width, parts) in [(7, &[1][..]), (7, &[1, 1, 1]), (2, &[1, 1]), (5, &[3])] {
            let mut net = Net::new(3, 8);
            let before = net.state(8, &[0; 3]);
            let y = net.affine(&[(FRAME, unit.clone())], &[0; 3], 20, 2);
            let q = net.requantize(y, 0, width);
            net.next(before, q);
            net.head();
            let mut start = 0;
            let slices = parts.iter().map(|len| {
                start += len;
                net.slice(q, start - len, *len)
            });
            let mut slices: Vec<_> = slices.collect();
            slices[0] = if slices.len() == 3 {
                net.relu(slices[0])
            } else {
                slices[0]
            };
            let out = match slices.as_slice() {
                [only] => *only,
                several => net.concat(several),
            };
            let (parts, relu) = (parts.len(), parts.len() == 3);
            let name = format!("a head on {width} bits of 8, {parts} parts, {per_step} to a step");
            let len = start as usize;
            cases.push(net.case(&name, out, ends(3, 8)).per_step(per_step).run(
                0.0,
                move |frames| {
                    folded_over(frames, (), move |(), x| {
                        let mut q: Vec<f64> =
                            x[..len].iter().map(|x| rounded(*x, 2, width)).collect();
                        q[0] = if relu { q[0].max(0.0) } else { q[0] };
                        q
                    })
                },
            ));
        }
        // A network on what is carried on.
        let (a, b) = (weights(2, 3, 100, 14), weights(3, 2, 100, 15));
        let mut net = Net::new(3, 8);
        let before = net.state(8, &[4, -4]);
        let still = net.state(8, &[3, 3]);
        let y = net.affine(&[(FRAME, a.clone())], &[0, 50], 20, 6);
        let q = net.requantize(y, 0, 8);
        let mix = net.combine(0, &[(1, q, None), (1, before, None)], 1);
        let next = net.requantize(mix, 0, 8);
        net.next(before, next);
        net.head();
        let z = net.affine(&[(next, b.clone()), (still, b.clone())], &[1, 2, 3], 20, 5);
        let q = net.requantize(z, 0, 8);
        let r = net.relu(q);
        let t = net.table(q, |x| curve(x, 8));
        let hot = net.argmax(z);
        let out = net.concat(&[r, t, hot, next]);
        cases.push(
            net.case(&format!("a head, {per_step} to a step"), out, ends(3, 8))
                .per_step(per_step)
                .run(0.0, move |frames| {
                    let (a, b) = (a.clone(), b.clone());
                    folded_over(frames, vec![4.0, -4.0], move |s, x| {
                        let y = add(&times(&a, x), &[0.0, 50.0]);
                        let q: Vec<f64> = y.iter().map(|y| rounded(*y, 6, 8)).collect();
                        *s = add(&q, s).iter().map(|y| rounded(*y, 1, 8)).collect();
                        let z = add(&times(&b, s), &times(&b, &[3.0, 3.0]));
                        let z = add(&z, &[1.0, 2.0, 3.0]);
                        let q: Vec<f64> = z.iter().map(|z| rounded(*z, 5, 8)).collect();
                        let most = z.iter().copied().fold(f64::MIN, f64::max);
                        let at = z.iter().position(|z| *z == most);
                        let relu = q.iter().map(|q| q.max(0.0));
                        let table = q.iter().map(|q| f64::from(curve(*q as i32, 8)));
                        let hot = (0..3).map(|i| f64::from(Some(i) == at));
                        relu.chain(table)
                            .chain(hot)
                            .chain(s.iter().copied())
                            .collect()
                    })
                }),
        );
    }
}

fn compositions(cases: &mut Vec<Case>) {
    let (a, b) = (weights(5, 4, 120, 16), weights(3, 5, 120, 17));
    let mut net = Net::new(4, 8);
    let y = net.affine(&[(FRAME, a.clone())], &[0, 100, -100, 3000, -3000], 20, 7);
    let q = net.requantize(y, 0, 8);
    let r = net.relu(q);
    let out = net.affine(&[(r, b.clone())], &[5, 6, 7], 20, 0);
    cases.push(
        net.case("dense, relu, dense", out, ends(4, 8))
            .through_sessions()
            .exactly(move |x| {
                let y = add(&times(&a, x), &[0.0, 100.0, -100.0, 3000.0, -3000.0]);
                let r: Vec<f64> = y.iter().map(|y| rounded(*y, 7, 8).max(0.0)).collect();
                add(&times(&b, &r), &[5.0, 6.0, 7.0])
            }),
    );

    // A residual in units of the accumulator, and one of the requantised value.
    let a = weights(3, 3, 120, 18);
    let mut net = Net::new(3, 8);
    let y = net.affine(&[(FRAME, a.clone())], &[0, 0, 0], 18, 6);
    let sum = net.combine(0, &[(1, y, None), (64, FRAME, None)], 6);
    let q = net.requantize(sum, 0, 8);
    let r = net.relu(q);
    let again = net.combine(0, &[(1, r, None), (1, FRAME, None), (-1, q, None)], 0);
    cases.push(
        net.case("residual sum", again, ends(3, 8))
            .exactly(move |x| {
                let y = times(&a, x);
                let of = |(y, x): (&f64, &f64)| {
                    let q = rounded(y + 64.0 * x, 6, 8);
                    q.max(0.0) + x - q
                };
                y.iter().zip(x).map(of).collect()
            }),
    );

    let (a, b) = (weights(2, 3, 100, 19), weights(2, 3, 100, 20));
    let mut net = Net::new(3, 8);
    let y = net.affine(&[(FRAME, a.clone())], &[1, -1], 18, 0);
    let z = net.affine(&[(FRAME, b.clone())], &[20, 7], 18, 0);
    let product = net.combine(0, &[(1, y, Some(z))], 20);
    let q = net.requantize(product, 0, 13);
    cases.push(
        net.case("product of two affines", q, ends(3, 8))
            .exactly(move |x| {
                let y = add(&times(&a, x), &[1.0, -1.0]);
                let z = add(&times(&b, x), &[20.0, 7.0]);
                y.iter()
                    .zip(&z)
                    .map(|(y, z)| rounded(y * z, 20, 13))
                    .collect()
            }),
    );

    let a = weights(4, 3, 100, 21);
    let mut net = Net::new(3, 8);
    let y = net.affine(&[(FRAME, a.clone())], &[0; 4], 18, 7);
    let q = net.requantize(y, 0, 8);
    let part = net.slice(q, 1, 2);
    let t = net.table(part, |x| curve(x, 16));
    cases.push(
        net.case("table of a requantised slice", t, ends(3, 8))
            .exactly(move |x| {
                let y = times(&a, x);
                let of = |y: &f64| f64::from(curve(rounded(*y, 7, 8) as i32, 16));
                y[1..3].iter().map(of).collect()
            }),
    );

    let a = weights(4, 3, 100, 22);
    let mut net = Net::new(3, 8);
    let y = net.affine(&[(FRAME, a.clone())], &[0; 4], 18, 0);
    let hot = net.argmax(y);
    let out = net.dot(hot, &[0, 1, 2, 3]);
    cases.push(
        net.case("index of the largest affine", out, ends(3, 8))
            .exactly(move |x| {
                let y = times(&a, x);
                let at = (0..4).rev().max_by(|i, j| y[*i].total_cmp(&y[*j]));
                vec![at.unwrap() as f64]
            }),
    );
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// A state in real units and what products read of it.
#[derive(Clone)]
struct Cell {
    kind: CellKind,
    maps: Vec<(Vec<Vec<i16>>, Vec<i64>)>,
    hidden: usize,
}

impl Cell {
    const SHIFT: u8 = 7;

    /// Pre-activations in units of 1.
    fn map(&self, map: usize, x: &[f64]) -> Vec<f64> {
        let (weights, bias) = &self.maps[map];
        let y = add(&times(weights, x), &reals(bias));
        y.iter()
            .map(|y| y / f64::from(Self::SHIFT).exp2())
            .collect()
    }

    /// `h` and `c`, and the output in its units.
    fn step(&self, (h, c): &mut (Vec<f64>, Vec<f64>), x: &[f64]) -> Vec<f64> {
        let n = self.hidden;
        let unit = match self.kind {
            CellKind::Elman(ElmanActivation::Relu) => 1.0,
            _ => 128.0,
        };
        let view: Vec<f64> = h.iter().map(|h| h * unit).collect();
        let a = self.map(0, &[x, &view].concat());
        let gate = |k: usize| a[k * n..(k + 1) * n].iter().map(|a| sigmoid(a / 16.0));
        let tanh = |a: &f64| (a / 32.0).tanh();
        let blend = |n: Vec<f64>, z: Vec<f64>, h: &[f64]| -> Vec<f64> {
            let of = |i: usize| (1.0 - z[i]) * n[i] + z[i] * h[i];
            (0..n.len()).map(of).collect()
        };
        match self.kind {
            CellKind::Elman(ElmanActivation::Relu) => {
                *h = a.iter().map(|a| a.clamp(0.0, 127.0)).collect();
            }
            CellKind::Elman(ElmanActivation::Tanh) => *h = a.iter().map(tanh).collect(),
            CellKind::Gru => {
                let of = |(i, r): (usize, f64)| tanh(&(a[2 * n + i] + r * a[3 * n + i]));
                let new = gate(0).enumerate().map(of).collect();
                *h = blend(new, gate(1).collect(), h);
            }
            CellKind::GruResetBefore => {
                let gated: Vec<f64> = gate(0).zip(&view).map(|(r, h)| r * h).collect();
                let a_h = self.map(1, &gated);
                let new = (0..n).map(|i| tanh(&(a[2 * n + i] + a_h[i]))).collect();
                *h = blend(new, gate(1).collect(), h);
            }
            CellKind::Lstm => {
                let g: Vec<f64> = a[2 * n..3 * n].iter().map(tanh).collect();
                let (i, f): (Vec<_>, Vec<_>) = (gate(0).collect(), gate(1).collect());
                *c = (0..n).map(|k| f[k] * c[k] + i[k] * g[k]).collect();
                *h = gate(3).zip(c.iter()).map(|(o, c)| o * c.tanh()).collect();
            }
        }
        let unit = match self.kind {
            CellKind::Gru | CellKind::GruResetBefore => 32_768.0,
            _ => unit,
        };
        h.iter().map(|h| h * unit).collect()
    }
}

fn cells(cases: &mut Vec<Case>) {
    use CellKind::{Elman, Gru, GruResetBefore, Lstm};
    let (inputs, hidden) = (3, 2);
    for (name, kind, tolerance) in [
        ("elman, relu", Elman(ElmanActivation::Relu), 3.0),
        ("elman, tanh", Elman(ElmanActivation::Tanh), 4.0),
        ("gru", Gru, 1200.0),
        ("gru, reset before", GruResetBefore, 1200.0),
        ("lstm", Lstm, 4.0),
    ] {
        for emission in [Emission::Each, Emission::Last] {
            let last = emission == Emission::Last;
            let head = LayerShape {
                inputs: hidden,
                outputs: 2,
                activation: Activation::Identity,
            };
            let shape = SequenceShape {
                inputs,
                cells: vec![CellShape { kind, hidden }],
                head: if last { vec![head] } else { vec![] },
                tables: vec![],
                emission,
                width: 8,
                shift: Cell::SHIFT,
                bits: 24,
            };
            let program = shape.program().unwrap();
            let maps: Vec<_> = (program.maps().iter().zip(30..))
                .map(|(map, seed)| {
                    let rows = map.rows as usize;
                    let a = weights(rows, map.columns as usize, 60, seed);
                    let bias = (0..rows as i64).map(|i| 700 * i - 900).collect::<Vec<_>>();
                    (a, bias)
                })
                .collect();
            let of = |(a, bias): &(Vec<Vec<i16>>, Vec<i64>)| {
                AffineMap::new(a[0].len(), a.concat(), bias.clone()).unwrap()
            };
            let bank = WeightBank::new(maps.iter().map(of).collect()).unwrap();
            let mut frames = ends(inputs as usize, 8);
            frames.truncate(5);
            let cell = Cell {
                kind,
                maps,
                hidden: hidden as usize,
            };
            let full_name = format!("{name}, {} frame", if last { "last" } else { "every" });
            let case =
                Case::new(&full_name, program, bank, frames).per_step(if last { 2 } else { 1 });
            let view = match kind {
                Gru | GruResetBefore => 1.0 / 256.0,
                _ => 1.0,
            };
            // Two weights of up to 60 on the view of the state.
            let tolerance = if last {
                tolerance * view * 120.0
            } else {
                tolerance
            };
            cases.push(case.run(tolerance, move |frames| {
                let n = cell.hidden;
                let zero = (vec![0.0; n], vec![0.0; n]);
                folded_over(frames, zero, |state, x| {
                    let out = cell.step(state, x);
                    if !last {
                        return out;
                    }
                    let seen: Vec<f64> = out.iter().map(|h| h * view).collect();
                    let y = cell.map(cell.maps.len() - 1, &seen);
                    y.iter()
                        .map(|y| y * f64::from(Cell::SHIFT).exp2())
                        .collect()
                })
            }));
        }
    }
}

/// What one runtime takes and another does not.
fn refused(cases: &mut Vec<Case>) {
    let mut net = Net::new(64, 16);
    let r = net.relu(FRAME);
    cases.push(
        net.case(
            "more frames to a step than a circuit has room for",
            r,
            ends(64, 16),
        )
        .per_step(1 << 10)
        .refused(Runtime::Recursive, "bits of all registers")
        .exactly(|x| x.iter().map(|x| x.max(0.0)).collect()),
    );
    let shape = fixtures::network(
        &[4, 5, 3, 2],
        &[Activation::Relu, Activation::Table(0), Activation::Identity],
    );
    let program = shape.program().unwrap();
    let bank = fixtures::bank(&program, 40);
    let (whole, weights) = (program.clone(), bank.clone());
    cases.push(
        Case::new("a network spread over steps", program, bank, ends(4, 8))
            .scheduled(Schedule::LayersPerStep(1))
            .exactly(move |x| real_network(&whole, &weights, x)),
    );
    // Tables that no circuit has.
    let mut net = Net::new(4, 12);
    let curved = |x: i64| (x * x / 200 - 9000) as i32;
    let of_frame = net.look_up(
        FRAME,
        Table {
            least: -2048,
            values: (-2048..2048).map(curved).collect(),
        },
    );
    cases.push(
        net.case("table of 12 bits", of_frame, ends(4, 12))
            .refused(Runtime::Recursive, "signed 8-bit inputs")
            .exactly(move |x| x.iter().map(|x| curved(*x as i64).into()).collect()),
    );
    let mut net = listed_net();
    let values = edges(40, 9, 0, 16);
    let y = net.listed(&values, 40, 9);
    let q = net.requantize(y, 0, 16);
    let table = Table {
        least: -(1 << 15),
        values: (-(1 << 15)..1 << 15).map(|x| curved(x) >> 8).collect(),
    };
    let t = net.look_up(q, table);
    cases.push(
        net.case("table of 16 bits, requantised", t, listed_frames())
            .refused(Runtime::Recursive, "signed 8-bit inputs")
            .exactly(move |x| {
                let y = moved(&values, 40, 9, x[0]);
                let q = y.iter().map(|y| rounded(*y, 9, 16) as i64);
                q.map(|q| f64::from(curved(q) >> 8)).collect()
            }),
    );
}

/// What the interpreter makes of the same network in one step.
fn real_network(program: &Program, bank: &WeightBank, x: &[f64]) -> Vec<f64> {
    let x: Vec<i64> = x.iter().map(|x| *x as i64).collect();
    reals(&program.run(bank, &mut Vec::new(), &x).unwrap())
}

/// All claims, of outputs that are accumulators and of such that a table gives, with labels that are
/// classes and some that are none.
fn claims_of_outputs(cases: &mut Vec<Case>) {
    let parameter = -1500;
    for (k, claim) in claims::claims().into_iter().enumerate() {
        let table = k % 2 == 1;
        let last = if table {
            Activation::Table(0)
        } else {
            Activation::Identity
        };
        let shape = claims::shape(last);
        let per_step = 1 + (k % 3) as u32;
        let program = shape.program().unwrap().with_claim(claim).unwrap();
        let bank = fixtures::bank(&program, 50);
        let parameters: &[i64] = match program.parameter_shapes().is_empty() {
            true => &[],
            false => &[parameter],
        };
        let inputs: Vec<Vec<i64>> = ends(claims::INPUTS as usize, 8)[..4].to_vec();
        let marks = [(0, 1), (2, 0), (-1, 1), (1, -1)];
        let mut runs = Vec::new();
        let mut frames = Vec::new();
        let mut expected = Vec::new();
        for (x, (label, group)) in inputs.iter().zip(marks) {
            runs.push((claims::outputs(&shape, &bank, x), label, group));
            frames.push(claims::full(claim, x, label, group));
            expected.push(reals(&claims::expected(claim, &runs, parameter)));
        }
        let name = format!("claim {k}: {claim:?}");
        let case = Case::new(&name, program, bank, frames).per_step(per_step);
        cases.push(
            case.parameters(parameters)
                .through_sessions()
                .run(0.0, move |_| expected.clone()),
        );
    }
}
