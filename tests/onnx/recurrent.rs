//! Recurrent nodes among others: what is around them works on every frame.

use layerfold::onnx::{Import, ImportOptions, OnnxError, from_bytes, from_bytes_with};
use ndarray::{Array2, ArrayView2, Axis, array, concatenate};

use super::proto::Message;

/// Some numbers within ±0.6.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count)
        .map(|k| 0.6 * ((7 * k + 13 * seed + 1) as f32).sin())
        .collect()
}

fn tensor(name: &str, dims: &[i64], seed: usize) -> Message {
    let count = dims.iter().product::<i64>() as usize;
    Message::tensor(name, dims, &numbers(count, seed))
}

fn matrix(rows: usize, columns: usize, seed: usize) -> Array2<f32> {
    Array2::from_shape_vec((rows, columns), numbers(rows * columns, seed)).unwrap()
}

fn frames(count: usize, entries: usize) -> Array2<f32> {
    matrix(count, entries, 99)
}

/// The states of an `RNN` of weights `tensor(_, [1, h, e], seed)` and `tensor(_, [1, h, h], seed + 1)`.
fn rnn(x: ArrayView2<'_, f32>, hidden: usize, seed: usize, initial: &[f32]) -> Array2<f32> {
    let (w, r) = (
        matrix(hidden, x.ncols(), seed),
        matrix(hidden, hidden, seed + 1),
    );
    let mut h = Array2::from_shape_vec((hidden, 1), initial.to_vec()).unwrap();
    let mut states = Array2::zeros((x.nrows(), hidden));
    for (k, x) in x.rows().into_iter().enumerate() {
        h = (w.dot(&x.insert_axis(Axis(1))) + r.dot(&h)).mapv(f32::tanh);
        states.row_mut(k).assign(&h.column(0));
    }
    states
}

fn import_with(options: &ImportOptions, graph: Message) -> Result<Import, OnnxError> {
    from_bytes_with(&Message::model(graph, 17).0, options)
}

fn import(graph: Message) -> Import {
    import_with(&ImportOptions::new(), graph).unwrap_or_else(|e| panic!("{e}"))
}

fn refused(graph: Message) -> String {
    match from_bytes(&Message::model(graph, 17).0) {
        Ok(import) => panic!("imported: {:?}", import.network),
        Err(e) => e.to_string(),
    }
}

#[track_caller]
fn same(import: &Import, frames: &Array2<f32>, expected: ArrayView2<'_, f32>) {
    let got = import.network.infer_sequence(frames.view()).unwrap();
    assert_eq!(got.dim(), expected.dim());
    for (a, b) in got.iter().zip(expected) {
        assert!((a - b).abs() < 1e-5, "{got}\nexpected {expected}");
    }
}

/// Reads weights `w`, `r` of seed 1 for three inputs and two units.
fn cell(input: &str, outputs: &[&str]) -> Message {
    Message::node("RNN", &[input, "w", "r"], outputs)
}

fn weights() -> [Message; 2] {
    [tensor("w", &[1, 2, 3], 1), tensor("r", &[1, 2, 2], 2)]
}

/// A dense layer, a cell, a residual sum, another cell and a head; the frames are left open.
#[test]
fn layers_before_between_and_after_cells() {
    let nodes = [
        Message::node("MatMul", &["x", "m"], &["a"]),
        Message::node("Add", &["a", "b"], &["a1"]),
        Message::node("Relu", &["a1"], &["a2"]),
        Message::node("RNN", &["a2", "w", "r"], &["h"]),
        Message::node("Squeeze", &["h", "one"], &["h1"]),
        Message::node("Add", &["h1", "a2"], &["sum"]),
        Message::node("RNN", &["sum", "w2", "r2"], &["g", "last"]),
        Message::node("Reshape", &["g", "rows"], &["g1"]),
        Message::node("Gemm", &["g1", "n", "c"], &["g2"]).int_attribute("transB", 1),
        Message::node("Sigmoid", &["g2"], &["y"]),
    ];
    let tensors = [
        tensor("m", &[4, 3], 3),
        tensor("b", &[3], 4),
        tensor("w", &[1, 3, 3], 5),
        tensor("r", &[1, 3, 3], 6),
        tensor("w2", &[1, 2, 3], 7),
        tensor("r2", &[1, 2, 2], 8),
        tensor("n", &[5, 2], 9),
        tensor("c", &[1, 5], 10),
        Message::int_tensor("one", &[1], &[1]),
        Message::int_tensor("rows", &[2], &[-1, 2]),
    ];
    let x = frames(6, 4);
    let a = (x.dot(&matrix(4, 3, 3)) + matrix(1, 3, 4)).mapv(|v| v.max(0.0));
    let sum = rnn(a.view(), 3, 5, &[0.0; 3]) + &a;
    let g = rnn(sum.view(), 2, 7, &[0.0; 2]);
    let y = (g.dot(&matrix(5, 2, 9).t()) + matrix(1, 5, 10)).mapv(|v| 1.0 / (1.0 + (-v).exp()));

    for dims in [[-1, 1, 4], [6, 1, 4]] {
        let graph = Message::graph(&dims, &nodes, &tensors);
        let all = import(graph.clone());
        assert_eq!(all.report.time_axis, Some(0));
        assert_eq!(all.report.input_shape, [1, 4]);
        assert_eq!(all.report.output_shape, [5]);
        same(&all, &x, y.view());
        // Any other value, and what there is after the last frame.
        let between = import_with(&ImportOptions::new().output("sum"), graph.clone()).unwrap();
        same(&between, &x, sum.view());
        let last = import_with(&ImportOptions::new().output("last"), graph).unwrap();
        assert_eq!(last.report.output_shape, [1, 1, 2]);
        same(&last, &x, g.slice_axis(Axis(0), (5..6).into()));
    }
}

/// As Keras and PyTorch have it: the batch first, swapped with time before the cell and after it.
#[test]
fn batch_first() {
    let swap = |input: &str, output: &str| {
        Message::node("Transpose", &[input], &[output]).ints_attribute("perm", &[1, 0, 2])
    };
    let reshape = |input: &str, shape: &str, output: &str| {
        Message::node("Reshape", &[input, shape], &[output])
    };
    let tensors = [
        weights().to_vec(),
        vec![
            Message::int_tensor("one", &[1], &[1]),
            Message::int_tensor("last", &[], &[-1]),
            Message::int_tensor("open", &[3], &[-1, 1, 3]),
            Message::int_tensor("back", &[3], &[1, -1, 2]),
            Message::int_tensor("given", &[3], &[5, 1, 3]),
            Message::int_tensor("given back", &[3], &[1, 5, 2]),
        ],
    ]
    .concat();
    let x = frames(5, 3);
    let states = rnn(x.view(), 2, 1, &[0.0; 2]);
    let graph = |dims: &[i64], nodes: &[Message]| Message::graph(dims, nodes, &tensors);
    let squeeze = Message::node("Squeeze", &["h", "one"], &["h1"]);
    let transposed = [swap("x", "a"), cell("a", &["h"]), squeeze, swap("h1", "y")];
    let reshaped = [
        reshape("x", "open", "a"),
        cell("a", &["h"]),
        reshape("h", "back", "y"),
    ];
    let given = [
        reshape("x", "given", "a"),
        cell("a", &["h"]),
        reshape("h", "given back", "y"),
    ];
    for dims in [[1, -1, 3], [-1, 5, 3], [1, 5, 3]] {
        for nodes in [&transposed[..], &reshaped[..], &given[..]] {
            if dims[1] == -1 && std::ptr::eq(nodes, &given[..]) {
                continue;
            }
            let import = import(graph(&dims, nodes));
            assert_eq!(import.report.time_axis, Some(1), "{dims:?}");
            assert_eq!(import.report.output_shape, [1, 2]);
            same(&import, &x, states.view());
        }
    }
    // The last frame, by its index.
    let last = [
        reshape("x", "open", "a"),
        cell("a", &["h"]),
        reshape("h", "back", "g"),
        Message::node("Gather", &["g", "last"], &["y"]).int_attribute("axis", 1),
    ];
    let import = import(graph(&[1, -1, 3], &last));
    assert_eq!(import.report.output_shape, [1, 2]);
    same(&import, &x, states.slice_axis(Axis(0), (4..5).into()));
}

/// The sequences of a Keras network with one frame: a `Reshape` that swaps two axes of one entry.
#[test]
fn sequences_of_one_frame() {
    let nodes = [
        Message::node("Reshape", &["x", "swapped"], &["a"]),
        cell("a", &["h"]),
        Message::node("Reshape", &["h", "flat"], &["y"]),
    ];
    let tensors = [
        weights().to_vec(),
        vec![
            Message::int_tensor("swapped", &[3], &[1, -1, 3]),
            Message::int_tensor("flat", &[2], &[-1, 2]),
        ],
    ]
    .concat();
    let x = frames(4, 3);
    let states = rnn(x.view(), 2, 1, &[0.0; 2]);
    let import = import(Message::graph(&[-1, 1, 3], &nodes, &tensors));
    same(&import, &x, states.view());
}

/// The last frame, however a file takes it.
#[test]
fn the_last_frame() {
    let take = |node: Message| {
        let nodes = [
            cell("x", &["h"]),
            node,
            Message::node("Reshape", &["taken", "flat"], &["y"]),
        ];
        let ints =
            |name: &str, dims: &[i64], values: &[i64]| Message::int_tensor(name, dims, values);
        let tensors = [
            weights().to_vec(),
            vec![
                ints("scalar", &[], &[-1]),
                ints("minus one", &[1], &[-1]),
                ints("end", &[1], &[i64::MAX]),
                ints("zero", &[1], &[0]),
                ints("flat", &[1], &[2]),
            ],
        ]
        .concat();
        import(Message::graph(&[-1, 1, 3], &nodes, &tensors))
    };
    let x = frames(4, 3);
    let states = rnn(x.view(), 2, 1, &[0.0; 2]);
    for node in [
        Message::node("Gather", &["h", "scalar"], &["taken"]),
        Message::node("Gather", &["h", "minus one"], &["taken"]),
        Message::node("Slice", &["h", "minus one", "end", "zero"], &["taken"]),
    ] {
        same(&take(node), &x, states.slice_axis(Axis(0), (3..4).into()));
    }
}

/// Layers of images before a cell work on each.
#[test]
fn frames_of_images() {
    let nodes = [
        Message::node("Conv", &["x", "k"], &["a"]),
        Message::node("MaxPool", &["a"], &["b"]).ints_attribute("kernel_shape", &[2, 2]),
        Message::node("Flatten", &["b"], &["c"]),
        Message::node("Unsqueeze", &["c", "one"], &["d"]),
        cell("d", &["h"]),
        Message::node("Squeeze", &["h", "ones"], &["y"]),
    ];
    let tensors = [
        weights().to_vec(),
        vec![
            tensor("k", &[3, 1, 2, 2], 3),
            Message::int_tensor("one", &[1], &[1]),
            Message::int_tensor("ones", &[2], &[1, 2]),
        ],
    ]
    .concat();
    let x = frames(4, 9);
    let kernel = matrix(3, 4, 3);
    let mut pooled = Array2::from_elem((4, 3), f32::NEG_INFINITY);
    for (t, image) in x.rows().into_iter().enumerate() {
        for (c, kernel) in kernel.rows().into_iter().enumerate() {
            for (i, j) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let at = |k: usize| image[3 * (i + k / 2) + j + k % 2];
                let sum: f32 = (0..4).map(|k| kernel[k] * at(k)).sum();
                pooled[[t, c]] = pooled[[t, c]].max(sum);
            }
        }
    }
    let import = import(Message::graph(&[-1, 1, 3, 3], &nodes, &tensors));
    assert_eq!(import.report.input_shape, [1, 3, 3]);
    same(&import, &x, rnn(pooled.view(), 2, 1, &[0.0; 2]).view());
}

/// Shapes that are computed of the open number of frames; a constant of the state before.
#[test]
fn shapes_and_initial_states() {
    let nodes = [
        Message::node("Shape", &["x"], &["shape"]),
        Message::node("Gather", &["shape", "one"], &["batch"]),
        Message::node("Concat", &["first", "batch", "units"], &["state"]).int_attribute("axis", 0),
        Message::node("ConstantOfShape", &["state"], &["zeros"]),
        Message::node("Add", &["zeros", "start"], &["h0"]),
        Message::node("RNN", &["x", "w", "r", "", "", "h0"], &["h"]),
        Message::node("Gather", &["shape", "zero"], &["count"]),
        Message::node("Concat", &["count", "units"], &["rows"]).int_attribute("axis", 0),
        Message::node("Reshape", &["h", "rows"], &["y"]),
    ];
    let tensors = [
        weights().to_vec(),
        vec![
            Message::tensor("start", &[2], &[0.5, -0.25]),
            Message::int_tensor("zero", &[1], &[0]),
            Message::int_tensor("one", &[1], &[1]),
            Message::int_tensor("first", &[1], &[1]),
            Message::int_tensor("units", &[1], &[2]),
        ],
    ]
    .concat();
    let import = import(Message::graph(&[-1, 1, 3], &nodes, &tensors));
    let x = frames(4, 3);
    same(&import, &x, rnn(x.view(), 2, 1, &[0.5, -0.25]).view());
    assert_eq!(
        import.report.notes,
        ["`the RNN` (RNN): its state before the first frame is public"]
    );
}

/// A mean over frames, of which there are nobody knows how many.
#[test]
fn the_number_of_frames_is_no_number() {
    let nodes = |to_float: bool| {
        let cast = Message::node("Cast", &["count"], &["n"]).int_attribute("to", 1);
        [
            Message::node("RNN", &["x", "w", "r"], &["", "last"]),
            Message::node("Shape", &["x"], &["shape"]),
            Message::node("Gather", &["shape", "zero"], &["count"]),
            if to_float {
                cast
            } else {
                Message::node("Identity", &["one"], &["n"])
            },
            Message::node("Div", &["last", "n"], &["y"]),
        ]
    };
    let tensors = [
        weights().to_vec(),
        vec![
            Message::int_tensor("zero", &[1], &[0]),
            Message::tensor("one", &[1], &[2.0]),
        ],
    ]
    .concat();
    let graph = |dims: &[i64], to_float| Message::graph(dims, &nodes(to_float), &tensors);
    assert_eq!(
        refused(graph(&[-1, 1, 3], true)),
        "a part of the model is not supported:\n  `the Div` (Div): it depends on how many frames there are, which is open; give it with `ImportOptions::dimension` or `ImportOptions::input_shape`"
    );
    let x = frames(4, 3);
    let expected = rnn(x.view(), 2, 1, &[0.0; 2])
        .slice_axis(Axis(0), (3..4).into())
        .to_owned();
    same(
        &import(graph(&[4, 1, 3], true)),
        &x,
        (&expected / 4.0).view(),
    );
    same(
        &import(graph(&[-1, 1, 3], false)),
        &x,
        (&expected / 2.0).view(),
    );
}

/// What would let frames meet outside of a state.
#[test]
fn frames_stay_apart() {
    let tensors = || {
        [
            weights().to_vec(),
            vec![
                Message::int_tensor("axes", &[1], &[0]),
                Message::int_tensor("from", &[1], &[1]),
                Message::int_tensor("to", &[1], &[3]),
                Message::int_tensor("flat", &[1], &[-1]),
                tensor("each", &[5, 1, 1], 3),
                tensor("k", &[2, 1, 2], 3),
            ],
        ]
        .concat()
    };
    let after = |nodes: &[Message]| {
        let nodes = [
            vec![
                cell("x", &["h", "last"]),
                Message::node("Squeeze", &["h", "from"], &["s"]),
            ],
            nodes.to_vec(),
        ]
        .concat();
        let error = refused(Message::graph(&[5, 1, 3], &nodes, &tensors()));
        let (_, reason) = error.split_once("): ").unwrap();
        reason.split(';').next().unwrap().to_owned()
    };
    let node = |operator: &str, inputs: &[&str]| Message::node(operator, inputs, &["y"]);
    let meet = "frames meet only in the state of a recurrent node";
    for (nodes, reason) in [
        (
            vec![node("ReduceMean", &["s"]).ints_attribute("axes", &[0])],
            "it sums over the frames",
        ),
        (
            vec![node("Slice", &["s", "from", "to", "axes"])],
            "it takes some frames",
        ),
        (
            vec![node("Reshape", &["s", "flat"])],
            "[5, 1, 2] becomes [10], which joins frames and entries",
        ),
        (
            vec![node("Add", &["s", "each"])],
            "a constant differs from frame to frame",
        ),
        (
            vec![node("Concat", &["s", "s"]).int_attribute("axis", 0)],
            "it puts frames after each other",
        ),
        (
            vec![
                Message::node("Transpose", &["s"], &["t"]).ints_attribute("perm", &[2, 1, 0]),
                node("Conv", &["t", "k"]),
            ],
            "it runs over the frames",
        ),
        (
            vec![node("Add", &["s", "last"])],
            "it joins the frames with what there is after the last",
        ),
        (
            vec![
                Message::node("Transpose", &["s"], &["t"]).ints_attribute("perm", &[1, 0, 2]),
                node("Add", &["s", "t"]),
            ],
            "the frames of one value meet those of another",
        ),
        (
            vec![node("RNN", &["last", "w", "r"])],
            "it reads what there is after the last frame",
        ),
        (
            vec![node("MatMul", &["s", "s"])],
            "both factors depend on the input of the network",
        ),
    ] {
        let got = after(&nodes);
        assert!(got.starts_with(reason), "{got}\nexpected {reason}");
        if got.contains(": ") {
            assert!(got.ends_with(meet), "{got}");
        }
    }
}

/// What is not supported around a cell is listed at once, attention included.
#[test]
fn all_obstacles_at_once() {
    let nodes = [
        Message::node("LayerNormalization", &["x"], &["a"]),
        Message::node("GRU", &["a", "w", "r"], &["b"]).text_attribute("direction", "reverse"),
        Message::node("Transpose", &["a"], &["t"]).ints_attribute("perm", &[0, 2, 1]),
        Message::node("MatMul", &["t", "a"], &["scores"]),
        Message::node("Softmax", &["scores"], &["p"]),
        Message::node("MatMul", &["p", "b"], &["c"]),
        Message::node("Div", &["c", "a"], &["y"]),
    ];
    let error = refused(Message::graph(&[-1, 1, 3], &nodes, &weights()));
    let lines: Vec<&str> = error.lines().collect();
    for (line, start) in lines.iter().zip([
        "4 parts of the model are not supported:",
        "  `the LayerNormalization` (LayerNormalization): it divides by a number",
        "  `the GRU` (GRU): its direction is `reverse`",
        "  `the MatMul` (MatMul): both factors depend on the input",
        "  `the Softmax` (Softmax): it is not at the end of the network",
    ]) {
        assert!(line.starts_with(start), "{error}");
    }
    assert_eq!(lines.len(), 5, "{error}");
}

/// A `Scan` whose number of steps is open runs over frames.
#[test]
fn scans_over_frames() {
    let body = |sign: f32| {
        Message::new()
            .message(11, Message::port("h", 1, &[2]))
            .message(11, Message::port("s", 1, &[3]))
            .message(12, Message::new().text(1, "next"))
            .message(12, Message::new().text(1, "shown"))
            .message(1, Message::node("MatMul", &["s", "wt"], &["a"]))
            .message(1, Message::node("MatMul", &["h", "rt"], &["b"]))
            .message(1, Message::node("Add", &["a", "b"], &["sum"]))
            .message(1, Message::node("Tanh", &["sum"], &["next"]))
            .message(1, Message::node("Mul", &["next", "sign"], &["shown"]))
            .message(5, Message::tensor("sign", &[], &[sign]))
    };
    let scan = Message::node("Scan", &["zero", "x"], &["end", "y"])
        .graph_attribute("body", body(-2.0))
        .int_attribute("num_scan_inputs", 1);
    let (w, r) = (matrix(2, 3, 1), matrix(2, 2, 2));
    let transposed = |name: &str, matrix: &Array2<f32>| {
        let data: Vec<f32> = matrix.t().iter().copied().collect();
        let dims = [matrix.ncols() as i64, matrix.nrows() as i64];
        Message::tensor(name, &dims, &data)
    };
    let tensors = [
        Message::tensor("zero", &[2], &[0.0; 2]),
        transposed("wt", &w),
        transposed("rt", &r),
    ];
    let graph = |dims: &[i64]| Message::graph(dims, std::slice::from_ref(&scan), &tensors);
    let x = frames(4, 3);
    let states = rnn(x.view(), 2, 1, &[0.0; 2]);
    let open = import(graph(&[-1, 3]));
    assert_eq!(open.report.time_axis, Some(0));
    same(&open, &x, (&states * -2.0).view());
    let end = import_with(&ImportOptions::new().output("end"), graph(&[-1, 3])).unwrap();
    same(&end, &x, states.slice_axis(Axis(0), (3..4).into()));
    // With its number of steps given, it is unrolled.
    let unrolled = import(graph(&[4, 3]));
    assert!(!unrolled.network.has_state());
    assert_eq!(unrolled.report.output_shape, [4, 2]);
    let flat = x.clone().into_shape_with_order((1, 12)).unwrap();
    let expected = (&states * -2.0).into_shape_with_order((1, 8)).unwrap();
    same(&unrolled, &flat, expected.view());
}

/// The memory of an LSTM, and two cells side by side.
#[test]
fn memories_and_branches() {
    let nodes = [
        Message::node("LSTM", &["x", "wi", "ri"], &["", "h", "c"]),
        Message::node("Concat", &["h", "c"], &["y"]).int_attribute("axis", -1),
        cell("x", &["first"]),
        Message::node("Sigmoid", &["first"], &["second"]),
        Message::node("Mul", &["first", "second"], &["both"]),
    ];
    let tensors = [
        weights().to_vec(),
        vec![tensor("wi", &[1, 8, 3], 5), tensor("ri", &[1, 8, 2], 6)],
    ]
    .concat();
    let graph = Message::graph(&[-1, 1, 3], &nodes, &tensors);
    let x = frames(4, 3);
    // Gates in ONNX's order: input, output, forget, cell.
    let (w, r) = (matrix(8, 3, 5), matrix(8, 2, 6));
    let (mut h, mut c) = (array![[0.0f32], [0.0]], array![[0.0f32], [0.0]]);
    for x in x.rows() {
        let sums = w.dot(&x.insert_axis(Axis(1))) + r.dot(&h);
        let gate = |k: usize| {
            sums.slice_axis(Axis(0), (2 * k..2 * k + 2).into())
                .to_owned()
        };
        let sigmoid = |v: f32| 1.0 / (1.0 + (-v).exp());
        let [i, o, f] = [0, 1, 2].map(|k| gate(k).mapv(sigmoid));
        c = f * c + i * gate(3).mapv(f32::tanh);
        h = o * c.mapv(f32::tanh);
    }
    let expected = concatenate![Axis(0), h, c];
    same(&import(graph.clone()), &x, expected.t());
    let both = import_with(&ImportOptions::new().output("both"), graph).unwrap();
    let states = rnn(x.view(), 2, 1, &[0.0; 2]);
    same(&both, &x, states.mapv(|v| v / (1.0 + (-v).exp())).view());
}

#[test]
fn batches_of_sequences() {
    let nodes = [cell("x", &["y"])];
    assert_eq!(
        refused(Message::graph(&[5, 2, 3], &nodes, &weights())),
        "a part of the model is not supported:\n  `the RNN` (RNN): the batch has 2 sequences; export the network with a batch of one, or leave it open"
    );
    let import = import(Message::graph(&[-1, -1, 3], &nodes, &weights()));
    assert_eq!(import.report.time_axis, Some(0));
}
