//! Files of `tools/make_onnx_suite.py`: imported, and compared with ONNX Runtime.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

#[path = "onnx/proto.rs"]
mod proto;
#[path = "onnx/recurrent.rs"]
mod recurrent;

use std::{fs, path::PathBuf};

use layerfold::{
    Outputs, Params, Proof, ProofKind, Prover, Verifier, Visibility,
    network::{Network, Precision},
    onnx::{ImportOptions, OnnxError, UnsupportedNode, from_bytes, from_bytes_with},
    program::Claim,
};
use ndarray::Array2;
use proto::Message;
use serde_json::Value;

/// A file of the suite.
struct Case {
    name: String,
    bytes: Vec<u8>,
    inputs: Vec<Vec<f32>>,
    outputs: Vec<Vec<f32>>,
    /// Entries of a frame, for a recurrent network.
    frame: Option<usize>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/onnx")
}

fn case(name: &str) -> Case {
    let path = folder().join(name);
    let record: Value =
        serde_json::from_slice(&fs::read(path.with_extension("json")).unwrap()).unwrap();
    let rows = |key: &str| -> Vec<Vec<f32>> {
        let rows = record[key].as_array().unwrap();
        rows.iter()
            .map(|row| {
                let row = row.as_array().unwrap();
                row.iter().map(|v| v.as_f64().unwrap() as f32).collect()
            })
            .collect()
    };
    Case {
        name: name.to_owned(),
        bytes: fs::read(path.with_extension("onnx")).unwrap(),
        inputs: rows("inputs"),
        outputs: rows("outputs"),
        frame: record["frame"].as_u64().map(|f| f as usize),
    }
}

fn suite() -> Vec<Case> {
    let mut names: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "onnx"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names.iter().map(|name| case(name)).collect()
}

/// Files whose last node is a softmax, which is left out.
fn has_softmax(name: &str) -> bool {
    matches!(
        name,
        "op-softmax" | "op-softmax-axes" | "op-softmax-axis" | "op-log-softmax" | "net-gelu-mlp"
    )
}

/// What the softmax of this file would have made of the logits.
fn softmax(name: &str, logits: &[f32]) -> Vec<f32> {
    // Entries that are so far apart belong together.
    let stride = if name == "op-softmax-axis" { 3 } else { 1 };
    let mut sums = vec![0.0; stride];
    for (i, l) in logits.iter().enumerate() {
        sums[i % stride] += f64::from(*l).exp();
    }
    let log = logits.iter().enumerate();
    log.map(|(i, l)| f64::from(*l) - sums[i % stride].ln())
        .map(|l| if name == "op-log-softmax" { l } else { l.exp() } as f32)
        .collect()
}

fn import(case: &Case) -> Network {
    let options = ImportOptions::new().drop_softmax(has_softmax(&case.name));
    match from_bytes_with(&case.bytes, &options) {
        Ok(import) => import.network,
        Err(e) => panic!("{}: {e}", case.name),
    }
}

fn close(name: &str, got: &[f32], expected: &[f32]) -> Result<(), String> {
    let size = expected.iter().fold(1e-3f32, |m, e| m.max(e.abs()));
    let far = got
        .iter()
        .zip(expected)
        .any(|(g, e)| (g - e).abs() > 1e-4 * size);
    if got.len() != expected.len() || far {
        return Err(format!("{name}: {got:?}, expected {expected:?}"));
    }
    Ok(())
}

/// Inputs of a case: sequences, of one frame for a network without state.
fn samples(case: &Case) -> Vec<Array2<f32>> {
    let sample = |x: &Vec<f32>| {
        let frame = case.frame.unwrap_or(x.len());
        Array2::from_shape_vec((x.len() / frame, frame), x.clone()).unwrap()
    };
    case.inputs.iter().map(sample).collect()
}

/// What a network makes of an input, all frames in a row.
fn flat(outputs: Array2<f32>) -> Vec<f32> {
    outputs.into_raw_vec_and_offset().0
}

#[test]
fn floats_are_those_of_onnx_runtime() {
    let mut wrong = Vec::new();
    for case in suite() {
        let network = import(&case);
        assert_eq!(network.has_state(), case.frame.is_some(), "{}", case.name);
        for (sample, expected) in samples(&case).iter().zip(&case.outputs) {
            let got = match network.infer_sequence(sample.view()) {
                Ok(outputs) => flat(outputs),
                Err(e) => {
                    wrong.push(format!("{}: {e}", case.name));
                    break;
                }
            };
            let got = if has_softmax(&case.name) {
                softmax(&case.name, &got)
            } else {
                got
            };
            if let Err(e) = close(&case.name, &got, expected) {
                wrong.push(e);
                break;
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} files:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// The integers of every network are as close to ONNX Runtime's floats as the report says, and the
/// report says that they are close.
#[test]
fn integers_are_as_close_as_the_report_says() {
    let mut wrong = Vec::new();
    for case in suite() {
        let network = import(&case);
        let samples = samples(&case);
        let quantized = match network.quantize(&samples, &Precision::default()) {
            Ok(quantized) => quantized,
            Err(e) => {
                wrong.push(format!("{}: {e}", case.name));
                continue;
            }
        };
        let report = quantized.report(&network, &samples).unwrap();
        println!(
            "{:28} {:2} stages, {:5.2} % of the range",
            case.name,
            network.stage_count(),
            100.0 * report.max_error / report.output_range,
        );
        if case.name.starts_with("op-argmax") {
            // An index has no distance.
            assert!(report.top1_agreement >= 0.8, "{report}");
            continue;
        }
        if report.max_error > 0.06 * report.output_range {
            wrong.push(format!("{}: {report}", case.name));
        }
        for (sample, expected) in samples.iter().zip(&case.outputs) {
            let integers = flat(quantized.infer_sequence(sample.view()).unwrap());
            let expected = if has_softmax(&case.name) {
                flat(network.infer_sequence(sample.view()).unwrap())
            } else {
                expected.clone()
            };
            let size = expected.iter().fold(1e-3f32, |m, e| m.max(e.abs()));
            let bound = report.max_error + 1e-4 * f64::from(size);
            let far = integers
                .iter()
                .zip(&expected)
                .map(|(a, b)| f64::from((a - b).abs()))
                .fold(0.0, f64::max);
            if far > bound {
                wrong.push(format!("{}: off by {far}, reported {bound}", case.name));
                break;
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} files:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Imported, quantised, proved and verified from bytes: two inputs, or a sequence.
fn proved(name: &str) {
    let case = case(name);
    let network = import(&case);
    let samples = samples(&case);
    let quantized = network.quantize(&samples, &Precision::default()).unwrap();
    let params = Params::setup(quantized.program()).unwrap();
    let prover = Prover::new(&params, &quantized).unwrap();
    let mut session = prover
        .session(Visibility::private_inputs().public_outputs())
        .unwrap();
    let mut expected = Vec::new();
    for sample in &samples[..if network.has_state() { 1 } else { 2 }] {
        for frame in sample.rows() {
            session.push(frame).unwrap();
        }
        let outputs = quantized.infer_sequence(sample.view()).unwrap();
        expected.extend(outputs.rows().into_iter().map(|row| row.to_vec()));
    }
    let bytes = session.finish().unwrap().to_bytes();
    let statement = Verifier::new(&params, prover.model_commitment())
        .verify(&Proof::from_bytes(&bytes).unwrap())
        .unwrap();
    let Outputs::Public { vectors } = statement.outputs else {
        panic!("outputs are public");
    };
    let vectors: Vec<Vec<f32>> = vectors
        .iter()
        .map(|v| quantized.dequantize_output(v).to_vec())
        .collect();
    assert_eq!(vectors, expected);
}

#[test]
fn a_recurrent_network_is_proved() {
    proved("net-gru");
    proved("net-lstm-last");
}

#[test]
fn a_convolutional_network_is_proved() {
    proved("net-cnn-batch-norm");
}

#[test]
fn a_residual_network_is_proved() {
    proved("net-resmlp");
}

#[test]
fn a_network_with_a_gate_is_proved() {
    proved("net-squeeze-excite");
}

#[test]
fn an_unrolled_network_is_proved() {
    proved("net-scan-elman");
}

/// The error for the model of this graph.
fn refused(graph: Message) -> String {
    refused_with(&ImportOptions::new(), graph)
}

fn refused_with(options: &ImportOptions, graph: Message) -> String {
    refused_bytes(options, &Message::model(graph, 17).0)
}

fn refused_bytes(options: &ImportOptions, bytes: &[u8]) -> String {
    match from_bytes_with(bytes, options) {
        Ok(import) => panic!("imported: {:?}", import.network),
        Err(e) => e.to_string(),
    }
}

/// A graph from `x` of shape `[1, 4]` to `y`.
fn graph(nodes: &[Message], tensors: &[Message]) -> Message {
    Message::graph(&[1, 4], nodes, tensors)
}

/// One node from `x`, and constants after it, to `y`.
fn one(operator: &str, inputs: &[&str], tensors: &[Message]) -> Message {
    graph(&[Message::node(operator, inputs, &["y"])], tensors)
}

#[test]
fn bytes_that_are_no_model() {
    let error = |bytes: &[u8]| refused_bytes(&ImportOptions::new(), bytes);
    assert_eq!(error(&[]), "not a valid ONNX model: the file has no graph");
    assert_eq!(
        error(b"%PDF-1.7\n"),
        "not a valid ONNX model: the file ends within a field, or a length in it is wrong"
    );
    // A length of 2^60.
    assert_eq!(
        error(&[
            0x3a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10, 0
        ]),
        "not a valid ONNX model: the file ends within a field, or a length in it is wrong"
    );
    assert_eq!(
        error(&[0xff; 16]),
        "not a valid ONNX model: an integer has more than ten bytes"
    );
    assert_eq!(
        error(&[0x3b, 0x3c]),
        "not a valid ONNX model: a field has the wire type 3"
    );
    assert_eq!(
        error(&[0x02, 0x00]),
        "not a valid ONNX model: a field has the number 0"
    );
    // A graph that is a number.
    assert_eq!(
        error(&[0x38, 0x01]),
        "not a valid ONNX model: failed to decode Protobuf message: ModelProto.graph: invalid wire type: Varint (expected LengthDelimited)"
    );
    // A name that is not UTF-8.
    let node = Message::new().bytes(3, &[0xff]);
    assert_eq!(
        error(&Message::model(Message::new().message(1, node), 17).0),
        "not a valid ONNX model: failed to decode Protobuf message: NodeProto.name: GraphProto.node: ModelProto.graph: invalid string value: data is not UTF-8 encoded"
    );
    // What is given for a model by mistake.
    for (bytes, what) in [
        (
            &b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1048576\n"[..],
            "the file is a Git LFS pointer, not what it points to: run `git lfs pull`",
        ),
        (
            b"\n<!DOCTYPE html>\n<html lang=\"en\">",
            "the file is a web page: download the file itself, not the page that shows it",
        ),
        (
            b"PK\x03\x04\x00\x00archive/data.pkl",
            "the file is a zip archive, as PyTorch and Keras save models: export it to ONNX",
        ),
        (
            b"\x89HDF\r\n\x1a\n",
            "the file is in HDF5, as Keras saves models: export it to ONNX",
        ),
    ] {
        assert_eq!(error(bytes), format!("not a valid ONNX model: {what}"));
    }
}

/// Names of a file reach no terminal as they are.
#[test]
fn names_that_act_on_a_terminal() {
    let name = "a\u{1b}[2Jb\u{202e}c\u{200b}\nd";
    let shown = "a\\u{1b}[2Jb\\u{202e}c\\u{200b}\\nd";
    let nodes = [
        Message::node(name, &["x"], &["z"]),
        Message::node("Relu", &["z"], &["y"]).text(7, name),
    ];
    assert_eq!(
        refused(graph(&nodes, &[])),
        format!(
            "2 parts of the model are not supported:\n  `the {shown}` ({shown}): the operator is not supported\n  `the Relu` ({shown}.Relu): operators of the domain `{shown}` are not known; export the model with ONNX's own operators"
        )
    );
    assert_eq!(
        refused(one("Relu", &[name], &[])),
        format!(
            "not a valid ONNX model: `the Relu` (Relu): nothing before it gives the value `{shown}`"
        )
    );
    let model = Message::model(one("Relu", &["x"], &[]), 17).text(2, name);
    assert_eq!(from_bytes(&model.0).unwrap().report.producer, shown);
}

#[test]
fn truncated_files() {
    for name in ["op-gemm", "op-conv", "net-scan-elman"] {
        let bytes = case(name).bytes;
        for end in 0..bytes.len() {
            let error = refused_bytes(&ImportOptions::new(), &bytes[..end]);
            assert!(error.starts_with("not a valid ONNX model"), "{error}");
        }
    }
}

#[test]
fn files_larger_than_they_may_be() {
    let bytes = case("op-gemm").bytes;
    let options = ImportOptions::new().max_file_bytes(100);
    assert_eq!(
        refused_bytes(&options, &bytes),
        format!("bytes of the file: {} is over the limit 100", bytes.len())
    );
    let path = folder().join("op-gemm.onnx");
    let error = layerfold::onnx::load_with(path, &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("bytes of the file: {} is over the limit 100", bytes.len())
    );
    let error = layerfold::onnx::load("no such file").unwrap_err();
    assert_eq!(
        error.to_string(),
        "no such file: No such file or directory (os error 2)"
    );
    // Nodes of two bytes each.
    let nodes: Vec<u8> = [0x0a, 0x00].repeat(1 << 20);
    assert_eq!(
        refused(Message(nodes)),
        "messages and strings of the file: 1048577 is over the limit 1048576"
    );
    // Integers of one byte each.
    let dims = Message::new().bytes(1, &vec![1; (1 << 25) + 1]);
    assert_eq!(
        refused(Message::new().message(5, dims)),
        "integers of the file that are not raw bytes: 33554434 is over the limit 33554432"
    );
}

#[test]
fn graphs_within_graphs() {
    let nested = |depth: usize| {
        (0..depth).fold(Message::new(), |inner, _| {
            let node = Message::node("If", &["c"], &["y"]);
            Message::new().message(1, node.graph_attribute("then_branch", inner))
        })
    };
    assert_eq!(
        refused(nested(9)),
        "depth of graphs within nodes: 9 is over the limit 8"
    );
    assert_eq!(
        refused(nested(20)),
        "depth of nesting: 41 is over the limit 40"
    );
}

#[test]
fn names_that_do_not_fit() {
    // Each reads what the other gives.
    let cycle = [
        Message::node("Relu", &["b"], &["a"]),
        Message::node("Tanh", &["a"], &["b"]),
        Message::node("Add", &["x", "b"], &["y"]),
    ];
    assert_eq!(
        refused(graph(&cycle, &[])),
        "not a valid ONNX model: `the Relu` (Relu): nothing before it gives the value `b`"
    );
    assert_eq!(
        refused(one("Relu", &["y"], &[])),
        "not a valid ONNX model: `the Relu` (Relu): nothing before it gives the value `y`"
    );
    assert_eq!(
        refused(one("Add", &["x", "missing"], &[])),
        "not a valid ONNX model: `the Add` (Add): nothing before it gives the value `missing`"
    );
    assert_eq!(
        refused(graph(&[], &[])),
        "not a valid ONNX model: `y` (output): nothing before it gives the value `y`"
    );
    let twice = [
        Message::node("Relu", &["x"], &["y"]),
        Message::node("Tanh", &["x"], &["y"]),
    ];
    assert_eq!(
        refused(graph(&twice, &[])),
        "not a valid ONNX model: `the Tanh` (Tanh): another value is named `y`"
    );
    let shadow = [Message::node("Relu", &["x"], &["x"])];
    assert_eq!(
        refused(graph(&shadow, &[])),
        "not a valid ONNX model: `the Relu` (Relu): another value is named `x`"
    );
    let w = Message::tensor("w", &[1], &[1.0]);
    assert_eq!(
        refused(one("Add", &["x", "w"], &[w.clone(), w])),
        "not a valid ONNX model: two initialisers are named `w`"
    );
    assert_eq!(
        refused(one("Relu", &["x"], &[]).message(11, Message::port("x", 1, &[4]))),
        "not a valid ONNX model: two inputs are named `x`"
    );
    let node = Message::node("LeakyRelu", &["x"], &["y"]);
    let node = node
        .float_attribute("alpha", 0.1)
        .float_attribute("alpha", 0.2);
    assert_eq!(
        refused(graph(&[node], &[])),
        "not a valid ONNX model: `the LeakyRelu`: two attributes are named `alpha`"
    );
}

#[test]
fn tensors_that_do_not_fit() {
    let add = |tensor: Message| refused(one("Add", &["x", "w"], &[tensor]));
    assert_eq!(
        add(Message::tensor("w", &[4], &[1.0, 2.0])),
        "not a valid ONNX model: tensor `w`: 4 entries of 4 bytes in its shape, 8 bytes of data"
    );
    assert_eq!(
        add(Message::new()
            .ints(1, &[4])
            .int(2, 1)
            .text(8, "w")
            .float(4, 1.0)),
        "not a valid ONNX model: tensor `w`: 4 entries in its shape, 1 in its data"
    );
    assert_eq!(
        add(Message::tensor("w", &[-4], &[])),
        "not a valid ONNX model: tensor `w`: a dimension is -4"
    );
    assert_eq!(
        add(Message::tensor("w", &[1 << 40, 1 << 40], &[1.0])),
        "not a valid ONNX model: tensor `w`: its shape [1099511627776, 1099511627776] has more than 2^31 entries"
    );
    assert_eq!(
        add(Message::tensor("w", &[1 << 30, 0], &[])),
        "entries of tensor `w`: 1073741824 is over the limit 16777216"
    );
    assert_eq!(
        add(Message::tensor("w", &[1; 17], &[1.0])),
        "dimensions of tensor `w`: 17 is over the limit 16"
    );
    assert_eq!(
        add(Message::new().text(8, "w")),
        "not a valid ONNX model: tensor `w`: it has no element type"
    );
    assert_eq!(
        add(Message::tensor("w", &[4], &[f32::NAN; 4])),
        "a part of the model is not supported:\n  `the Add` (Add): a constant is not finite"
    );
    assert_eq!(
        add(Message::new()
            .int(2, 8)
            .ints(1, &[1])
            .text(8, "w")
            .text(6, "word")),
        "a part of the model is not supported:\n  `the Add` (Add): a constant has the element type STRING"
    );
    assert_eq!(
        add(Message::int_tensor("w", &[1], &[3])),
        "not a valid ONNX model: `the Add` (Add): a constant has integers, expected floats"
    );
    let entry = Message::new().text(1, "location").text(2, "/etc/passwd");
    let external = Message::new().ints(1, &[4]).int(2, 1).text(8, "w");
    assert_eq!(
        add(external.message(13, entry).int(14, 1)),
        "a part of the model is not supported:\n  `w` (initialiser): its data is in another file; write one file: `onnx.save_model(onnx.load(path), path, save_as_external_data=False)`"
    );
    assert_eq!(
        add(Message::tensor("w", &[3], &[1.0; 3])),
        "not a valid ONNX model: `the Add` (Add): the shapes [1, 4] and [3] do not broadcast"
    );
}

#[test]
fn inputs_and_outputs() {
    let relu = [Message::node("Relu", &["x"], &["y"])];
    let with_input = |dims: &[i64]| refused(Message::graph(dims, &relu, &[]));
    assert_eq!(
        with_input(&[0, 4]),
        "not a valid ONNX model: dimension 0 of the input `x` is 0"
    );
    assert_eq!(
        with_input(&[1, -4]),
        "not a valid ONNX model: dimension 1 of the input `x` is -4"
    );
    assert_eq!(
        with_input(&[1 << 40, 1 << 40]),
        "entries of the input: 18446744073709551615 is over the limit 4194304"
    );
    assert_eq!(
        with_input(&[1 << 25]),
        "entries of the input: 33554432 is over the limit 4194304"
    );
    assert_eq!(
        with_input(&[1, -1]),
        "a part of the model is not supported:\n  `x` (input): its dimension 1, `time`, is open; give it with `ImportOptions::dimension` or `ImportOptions::input_shape`"
    );
    let open = Message::model(Message::graph(&[-1, -1], &relu, &[]), 17).0;
    for options in [
        ImportOptions::new().dimension("time", 3),
        ImportOptions::new().input_shape([3, 3]),
    ] {
        let import = from_bytes_with(&open, &options).unwrap();
        assert_eq!(import.report.input_shape, [3, 3]);
        assert_eq!(import.report.output_shape, [3, 3]);
    }

    let output = Message::new().message(12, Message::new().text(1, "y"));
    assert_eq!(
        refused(output.clone().parts(&relu, &[])),
        "not a valid ONNX model: the graph has no input"
    );
    let typed = |element: i64| {
        refused(
            output
                .clone()
                .message(11, Message::port("x", element, &[1, 4]))
                .parts(&relu, &[]),
        )
    };
    assert_eq!(
        typed(7),
        "a part of the model is not supported:\n  `x` (input): its element type is INT64; export the network with an input of floats"
    );
    let add = [Message::node("Add", &["x", "z"], &["y"])];
    let another = |nodes: &[Message]| graph(nodes, &[]).message(11, Message::port("z", 1, &[4]));
    // One that is not read is none.
    assert!(from_bytes(&Message::model(another(&relu), 17).0).is_ok());
    assert_eq!(
        refused(another(&add)),
        "a part of the model is not supported:\n  `x`, `z` (inputs): the graph has 2 inputs; make them one, and split it in the network"
    );
    let input = Message::new().message(11, Message::port("x", 1, &[1, 4]));
    assert_eq!(
        refused(input.parts(&relu, &[])),
        "not a valid ONNX model: the graph has no output"
    );
    let two = graph(
        &[
            Message::node("Relu", &["x"], &["y"]),
            Message::node("Tanh", &["x"], &["z"]),
        ],
        &[],
    )
    .message(12, Message::new().text(1, "z"));
    assert_eq!(
        refused(two.clone()),
        "a part of the model is not supported:\n  `y`, `z` (outputs): the graph has 2 outputs, one is proved; choose it with `ImportOptions::output`"
    );
    let options = ImportOptions::new().output("z");
    let import = from_bytes_with(&Message::model(two, 17).0, &options).unwrap();
    assert_eq!((import.report.nodes, import.report.unused), (2, 1));
}

#[test]
fn operator_sets() {
    let relu = one("Relu", &["x"], &[]);
    let error = |model: Message| refused_bytes(&ImportOptions::new(), &model.0);
    for version in [6, 27, -1, i64::MAX] {
        assert_eq!(
            error(Message::model(relu.clone(), version)),
            format!(
                "a part of the model is not supported:\n  `opset_import` (operator set {version}): operator sets 7 to 26 are read; convert the model with `onnx.version_converter`"
            )
        );
    }
    assert_eq!(
        error(Message::new().message(7, relu.clone())),
        "not a valid ONNX model: the file names no version of ONNX's operators"
    );
    let second = Message::new().text(1, "ai.onnx").int(2, 15);
    assert_eq!(
        error(Message::model(relu, 17).message(8, second)),
        "not a valid ONNX model: the file names two versions of ONNX's operators"
    );
}

#[test]
fn attributes_of_the_wrong_type() {
    let with = |node: Message| refused(graph(&[node], &[]));
    let leaky = || Message::node("LeakyRelu", &["x"], &["y"]);
    assert_eq!(
        with(leaky().int_attribute("alpha", 1)),
        "not a valid ONNX model: `the LeakyRelu` (LeakyRelu): attribute `alpha` is of type INT, expected FLOAT"
    );
    assert_eq!(
        with(leaky().message(5, Message::new().text(1, "alpha").int(20, 99))),
        "not a valid ONNX model: `the LeakyRelu`: attribute `alpha` is of type 99, which ONNX does not have"
    );
    assert_eq!(
        with(leaky().message(5, Message::new().text(1, "alpha").int(20, 4))),
        "not a valid ONNX model: `the LeakyRelu`: attribute `alpha` has no value of its type"
    );
    assert_eq!(
        with(leaky().message(
            5,
            Message::new().text(1, "alpha").text(21, "other").int(20, 1)
        )),
        "not a valid ONNX model: `the LeakyRelu`: attribute `alpha` refers to one of a function, and there is none"
    );
    assert_eq!(
        with(leaky().float_attribute("alpha", f32::INFINITY)),
        "`y` (output): function: leaky relu: a parameter is not finite"
    );
}

/// Every unsupported node is named, once, but not those that the output does not depend on.
#[test]
fn all_unsupported_nodes_at_once() {
    let nodes = [
        Message::node("LayerNormalization", &["x"], &["a"]),
        Message::node("Relu", &["a"], &["b"]),
        Message::node("MatMul", &["b", "b"], &["c"]),
        Message::node("MatMul", &["x", "x"], &["d"]),
        Message::node("QuantizeLinear", &["x"], &["e"]),
        Message::node("FusedMatMul", &["c"], &["f"]).text(7, "com.microsoft"),
        Message::node("Loop", &["f"], &["g"]),
        Message::node("Softmax", &["g"], &["h"]),
        Message::node("NonZero", &["x"], &["unused"]),
        Message::node("Sum", &["h", "d", "e"], &["y"]),
    ];
    assert_eq!(
        refused(Message::graph(&[2, 2], &nodes, &[])),
        "6 parts of the model are not supported:
  `the LayerNormalization` (LayerNormalization): it divides by a number that depends on the input; use batch normalisation
  `the MatMul` (MatMul): both factors depend on the input of the network; multiply by a constant matrix, or entry by entry with `Mul`
  `the QuantizeLinear` (QuantizeLinear): the model is quantised; export it in floats: the integers are chosen here
  `the FusedMatMul` (com.microsoft.FusedMatMul): operators of the domain `com.microsoft` are not known; export the model with ONNX's own operators
  `the Loop` (Loop): loops are not unrolled; export it as a `Scan`, or unrolled
  `the Softmax` (Softmax): it is not at the end of the network"
    );
}

/// Weights that are not read are constants all the same.
#[test]
fn obstacles_among_constants() {
    let nodes = [
        Message::node("DequantizeLinear", &["w", "s"], &["v"]),
        Message::node("Transpose", &["v"], &["t"]),
        Message::node("MatMul", &["x", "t"], &["y"]),
    ];
    let tensors = [
        Message::tensor("w", &[4, 4], &[1.0; 16]),
        Message::tensor("s", &[], &[1.0]),
    ];
    assert_eq!(
        refused(graph(&nodes, &tensors)),
        "a part of the model is not supported:\n  `the DequantizeLinear` (DequantizeLinear): the model is quantised; export it in floats: the integers are chosen here"
    );
}

#[test]
fn softmax_is_left_out_on_request() {
    let softmax = |name: &str| refused(one(name, &["x"], &[]));
    for name in ["Softmax", "LogSoftmax"] {
        assert_eq!(
            softmax(name),
            format!(
                "a part of the model is not supported:\n  `the {name}` ({name}): it divides by a sum over the outputs; leave it out, for logits in the same order, with `ImportOptions::drop_softmax`"
            )
        );
    }
    let within = [
        Message::node("Softmax", &["x"], &["p"]),
        Message::node("Mul", &["x", "p"], &["y"]),
    ];
    assert_eq!(
        refused_with(
            &ImportOptions::new().drop_softmax(true),
            graph(&within, &[])
        ),
        "a part of the model is not supported:\n  `the Softmax` (Softmax): it is not at the end of the network"
    );
    // The index of the largest entry is the same without it.
    let index = [
        Message::node("Softmax", &["x"], &["p"]),
        Message::node("ArgMax", &["p"], &["y"]).int_attribute("axis", 1),
    ];
    let import = from_bytes(&Message::model(graph(&index, &[]), 17).0).unwrap();
    assert_eq!(
        import.report.notes,
        ["`the Softmax` (Softmax) is left out: it does not change which entry is the largest"]
    );
}

#[test]
fn sizes_out_of_proportion() {
    let huge = |operator: &str, inputs: &[&str], values: &[i64]| {
        let count = values.len() as i64;
        refused(one(
            operator,
            inputs,
            &[
                Message::int_tensor("s", &[count], values),
                Message::tensor("w", &[1, 1], &[1.0]),
            ],
        ))
    };
    assert_eq!(
        huge("Expand", &["w", "s"], &[1 << 20, 1 << 20]),
        "entries of a tensor of shape [1048576, 1048576]: 2147483648 is over the limit 16777216"
    );
    // No entries, and an axis of 2^33.
    assert_eq!(
        huge("Expand", &["w", "s"], &[1 << 33, 0]),
        "entries of a tensor of shape [8589934592, 0]: 2147483648 is over the limit 16777216"
    );
    assert_eq!(
        huge("Tile", &["w", "s"], &[1 << 30, 1 << 40]),
        "entries of a tensor of shape [1073741824, 1099511627776]: 2147483648 is over the limit 16777216"
    );
    assert_eq!(
        huge("ConstantOfShape", &["s"], &[1 << 26]),
        "entries of a tensor of shape [67108864]: 67108864 is over the limit 16777216"
    );
    assert_eq!(
        huge("Reshape", &["x", "s"], &[i64::MAX, i64::MAX]),
        "not a valid ONNX model: `the Reshape` (Reshape): [1, 4] does not reshape to [9223372036854775807, 9223372036854775807]"
    );
    assert_eq!(
        huge("Gather", &["x", "s"], &[4]),
        "not a valid ONNX model: `the Gather` (Gather): index 4 of an axis of 1 entries"
    );
    let scalars = [
        Message::int_tensor("a", &[], &[0]),
        Message::int_tensor("b", &[], &[i64::MAX]),
        Message::int_tensor("c", &[], &[1]),
    ];
    assert_eq!(
        refused(one("Range", &["a", "b", "c"], &scalars)),
        "entries of a range: 16777217 is over the limit 16777216"
    );
    // Doubled thirty times, a constant and a value.
    let doubled = |first: &str| {
        let names: Vec<String> = (0..30).map(|k| format!("v{k}")).collect();
        let mut nodes = Vec::new();
        let mut from = first;
        for name in &names {
            nodes.push(Message::node("Concat", &[from, from], &[name]).int_attribute("axis", 1));
            from = name;
        }
        nodes.push(Message::node("Identity", &[from], &["y"]));
        refused(graph(&nodes, &[Message::tensor("w", &[1, 1], &[1.0])]))
    };
    // A file of 1200 bytes.
    let error = doubled("w");
    assert!(
        error.starts_with("entries of constants that are computed: 16777214 is over the limit"),
        "{error}"
    );
    let error = doubled("x");
    assert!(
        error.starts_with("`the Concat` (Concat): matrix: "),
        "{error}"
    );
    let pad = |amount: i64| {
        let node = Message::node("Pad", &["x", "s"], &["y"]);
        let pads = Message::int_tensor("s", &[4], &[0, 0, 0, amount]);
        refused(graph(&[node], &[pads]))
    };
    assert_eq!(
        pad(i64::MAX),
        "not a valid ONNX model: `the Pad` (Pad): its padding is 0, 9223372036854775807"
    );
    assert_eq!(
        pad(-4),
        "not a valid ONNX model: `the Pad` (Pad): nothing is left of the value"
    );
}

/// Functions that would double with every node are cut into values.
#[test]
fn functions_of_many_nodes() {
    let names: Vec<String> = (0..200).map(|k| format!("v{k}")).collect();
    let mut nodes = vec![Message::node("Tanh", &["x"], &["v0"])];
    for k in 1..200 {
        nodes.push(Message::node(
            "Mul",
            &[&names[k - 1], &names[k - 1]],
            &[&names[k]],
        ));
    }
    nodes.push(Message::node("Identity", &["v199"], &["y"]));
    let bytes = Message::model(graph(&nodes, &[]), 17).0;
    let import = from_bytes(&bytes).unwrap();
    let network = import.network;
    assert!((20..70).contains(&network.stage_count()), "{network:?}");
}

#[test]
fn divisions() {
    assert_eq!(
        refused(one(
            "Div",
            &["x", "w"],
            &[Message::tensor("w", &[], &[0.0])]
        )),
        "not a valid ONNX model: `the Div` (Div): a division by zero"
    );
    assert_eq!(
        refused(one(
            "Div",
            &["w", "x"],
            &[Message::tensor("w", &[], &[2.0])]
        )),
        "a part of the model is not supported:\n  `the Div` (Div): it divides by a value that depends on the input: x^-1 has none at 0; divide by a constant, or by a function that is nowhere zero"
    );
    assert_eq!(
        refused(one("Reciprocal", &["x"], &[])),
        "a part of the model is not supported:\n  `the Reciprocal` (Reciprocal): it divides by a value that depends on the input: x^-1 has none at 0; divide by a constant, or by a function that is nowhere zero"
    );
    let norm = Message::node("BatchNormalization", &["x", "s", "s", "s", "v"], &["y"]);
    let tensors = [
        Message::tensor("s", &[4], &[1.0; 4]),
        Message::tensor("v", &[4], &[-1.0; 4]),
    ];
    assert_eq!(
        refused(graph(&[norm], &tensors)),
        "not a valid ONNX model: `the BatchNormalization` (BatchNormalization): a variance is -1, epsilon 0.000009999999747378752"
    );
}

#[test]
fn windows_that_do_not_fit() {
    let conv = |node: Message| {
        let w = Message::tensor("w", &[1, 1, 3, 3], &[0.5; 9]);
        refused(Message::graph(&[1, 1, 4, 4], &[node], &[w]))
    };
    let node = || Message::node("Conv", &["x", "w"], &["y"]);
    assert_eq!(
        conv(node().ints_attribute("strides", &[0, 1])),
        "not a valid ONNX model: `the Conv` (Conv): attribute `strides` is [0, 1]"
    );
    assert_eq!(
        conv(node().ints_attribute("strides", &[1])),
        "not a valid ONNX model: `the Conv` (Conv): attribute `strides` has 1 entries, expected 2"
    );
    assert_eq!(
        conv(node().ints_attribute("pads", &[0, -1, 0, 0])),
        "a part of the model is not supported:\n  `the Conv` (Conv): attribute `pads` is [0, -1, 0, 0]"
    );
    assert_eq!(
        conv(node().ints_attribute("kernel_shape", &[2, 2])),
        "not a valid ONNX model: `the Conv` (Conv): attribute `kernel_shape` is [2, 2], its weights are for [3, 3]"
    );
    assert_eq!(
        conv(node().int_attribute("group", 0)),
        "not a valid ONNX model: `the Conv` (Conv): its attribute `group` is not positive"
    );
    assert_eq!(
        conv(node().text_attribute("auto_pad", "SOME")),
        "not a valid ONNX model: `the Conv` (Conv): attribute `auto_pad` is `SOME`"
    );
    assert_eq!(
        conv(node().ints_attribute("dilations", &[9, 9])),
        "`the Conv` (Conv): convolution: dimension 0 of size 4, window 3, stride 1, padding 0 and 0, dilation 9: the window is larger than the value"
    );
    assert_eq!(
        conv(node().ints_attribute("pads", &[0, 0, 1 << 20, 1 << 20])),
        "`the Conv` (Conv): convolution: a value of shape [1048578, 1048578] has more than 2^24 entries or 16 dimensions"
    );
}

#[test]
fn scans_and_branches() {
    let scan = |steps: i64, count: i64| {
        let body = Message::new()
            .message(11, Message::port("h", 1, &[4]))
            .message(11, Message::port("s", 1, &[4]))
            .message(12, Message::new().text(1, "sum"))
            .message(1, Message::node("Add", &["h", "s"], &["sum"]));
        let node = Message::node("Scan", &["zero", "x"], &["y"])
            .graph_attribute("body", body)
            .int_attribute("num_scan_inputs", count);
        let zero = Message::tensor("zero", &[4], &[0.0; 4]);
        Message::graph(&[steps, 4], &[node], &[zero])
    };
    let import = from_bytes(&Message::model(scan(64, 1), 17).0).unwrap();
    assert_eq!(import.report.output_shape, [4]);
    assert_eq!(
        refused(scan(65, 1)),
        "a part of the model is not supported:\n  `the Scan` (Scan): it has 65 steps, up to 64 are unrolled; write a recurrent network with `RNN`, `GRU` or `LSTM`"
    );
    assert_eq!(
        refused(scan(4, 3)),
        "not a valid ONNX model: `the Scan` (Scan): 3 of its 2 inputs are scanned"
    );
    assert_eq!(
        refused(one("If", &["x"], &[])),
        "a part of the model is not supported:\n  `the If` (If): its condition depends on the input of the network; export the branch that is taken"
    );
}

#[test]
fn recurrent_networks_that_do_not_fit() {
    let rnn = |extra: &[&str], change: &dyn Fn(Message) -> Message| {
        let inputs = [&["x", "w", "r"], extra].concat();
        let node = change(Message::node("RNN", &inputs, &["y"]));
        let tensors = [
            Message::tensor("w", &[1, 2, 3], &[0.5; 6]),
            Message::tensor("r", &[1, 2, 2], &[0.25; 4]),
        ];
        refused(Message::graph(&[5, 1, 3], &[node], &tensors))
    };
    assert_eq!(
        rnn(&[], &|n| n.text_attribute("direction", "reverse")),
        "a part of the model is not supported:\n  `the RNN` (RNN): its direction is `reverse`; a recurrent network runs forward over the frames"
    );
    assert_eq!(
        rnn(&["", "", "r"], &|n| n),
        "not a valid ONNX model: `the RNN` (RNN): its initial state has the shape [1, 2, 2] for 2 units"
    );
    assert_eq!(
        rnn(&[], &|n| n.float_attribute("clip", 3.0)),
        "a part of the model is not supported:\n  `the RNN` (RNN): it clips its sums"
    );
    assert_eq!(
        rnn(&[], &|n| n.int_attribute("hidden_size", 3)),
        "not a valid ONNX model: `the RNN` (RNN): attribute `hidden_size` is 3, its tensor R is for 2"
    );
    assert_eq!(
        rnn(&[], &|n| n.int_attribute("layout", 1)),
        "a part of the model is not supported:\n  `the RNN` (RNN): the batch has 5 sequences; export the network with a batch of one, or leave it open"
    );
}

/// One file of every kind that is wrong: which error it is, and a piece of what it says.
#[test]
fn kinds_of_errors() {
    let error = |bytes: Vec<u8>| from_bytes(&bytes).unwrap_err();
    let of = |graph: Message| error(Message::model(graph, 17).0);
    let malformed = |error: OnnxError, piece: &str| match error {
        OnnxError::Malformed(problem) => assert!(problem.contains(piece), "{problem}"),
        other => panic!("{other}"),
    };
    let unsupported = |error: OnnxError, piece: &str| match error {
        OnnxError::Unsupported(nodes) => {
            assert_eq!(nodes.len(), 1, "{nodes:?}");
            assert!(nodes[0].to_string().contains(piece), "{}", nodes[0]);
        }
        other => panic!("{other}"),
    };
    let too_large = |error: OnnxError, piece: &str| match error {
        OnnxError::TooLarge { what, got, limit } => {
            assert!(
                what.contains(piece) && got > limit,
                "{what}: {got}, {limit}"
            );
        }
        other => panic!("{other}"),
    };

    let cycle = [
        Message::node("Relu", &["y"], &["a"]),
        Message::node("Tanh", &["a"], &["y"]),
    ];
    malformed(
        of(graph(&cycle, &[])),
        "nothing before it gives the value `y`",
    );
    too_large(
        of(Message::graph(
            &[1 << 40, 4],
            &[Message::node("Relu", &["x"], &["y"])],
            &[],
        )),
        "entries of the input",
    );
    malformed(
        of(one("Add", &["x", "w"], &[])),
        "nothing before it gives the value `w`",
    );
    let location = Message::new().text(1, "location").text(2, "weights.bin");
    let external = Message::new().ints(1, &[4]).int(2, 1).text(8, "w");
    let external = external.message(13, location).int(14, 1);
    unsupported(
        of(one("Add", &["x", "w"], std::slice::from_ref(&external))),
        "its data is in another file",
    );
    malformed(
        of(Message::graph(
            &[1, -4],
            &[Message::node("Relu", &["x"], &["y"])],
            &[],
        )),
        "dimension 1 of the input `x` is -4",
    );
    for operator in [
        "QuantizeLinear",
        "DequantizeLinear",
        "QLinearConv",
        "MatMulInteger",
    ] {
        unsupported(of(one(operator, &["x"], &[])), "the model is quantised");
    }
    let bytes = case("op-gemm").bytes;
    malformed(
        error(bytes[..bytes.len() / 2].to_vec()),
        "the file ends within a field",
    );
    let leaky = Message::node("LeakyRelu", &["x"], &["y"]).text_attribute("alpha", "0.1");
    malformed(
        of(graph(&[leaky], &[])),
        "attribute `alpha` is of type STRING, expected FLOAT",
    );
    let twice = [
        Message::node("Relu", &["x"], &["y"]),
        Message::node("Tanh", &["x"], &["y"]),
    ];
    malformed(of(graph(&twice, &[])), "another value is named `y`");
    let relu = one("Relu", &["x"], &[]);
    unsupported(
        error(Message::model(relu.clone(), 99).0),
        "operator sets 7 to 26 are read",
    );
    let foreign = Message::node("Relu", &["x"], &["y"]).text(7, "com.microsoft");
    unsupported(
        of(graph(&[foreign], &[])),
        "operators of the domain `com.microsoft` are not known",
    );
    let nested = (0..12).fold(Message::new(), |inner, _| {
        let node = Message::node("If", &["c"], &["y"]).graph_attribute("then_branch", inner);
        Message::new().message(1, node)
    });
    too_large(of(nested), "depth of graphs within nodes");

    // A function of the file that may take the place of an operator.
    let function = |domain: &str| {
        let function = Message::new().text(1, "Relu").text(10, domain);
        Message::model(relu.clone(), 17).message(25, function).0
    };
    unsupported(
        error(function("")),
        "defines operators of ONNX's own domain",
    );
    unsupported(
        error(function("ai.onnx")),
        "defines operators of ONNX's own domain",
    );
    assert!(from_bytes(&function("local")).is_ok());

    // Data in another file is reported together with what else is not supported.
    let both = [
        Message::node("Add", &["x", "w"], &["a"]),
        Message::node("NonZero", &["a"], &["y"]),
    ];
    match of(graph(&both, &[external])) {
        OnnxError::Unsupported(nodes) => {
            let names: Vec<&str> = nodes
                .iter()
                .map(|n: &UnsupportedNode| &*n.operator)
                .collect();
            assert_eq!(names, ["initialiser", "NonZero"]);
        }
        other => panic!("{other}"),
    }
}

/// What is left out changes nothing, or is refused.
#[test]
fn softmax_over_other_axes() {
    let nodes = |axis: i64| {
        [
            Message::node("Softmax", &["x"], &["p"]).int_attribute("axis", axis),
            Message::node("ArgMax", &["p"], &["y"]).int_attribute("axis", 1),
        ]
    };
    assert!(from_bytes(&Message::model(graph(&nodes(1), &[]), 17).0).is_ok());
    // Every entry is 1.
    assert_eq!(
        refused(graph(&nodes(0), &[])),
        "a part of the model is not supported:\n  `the Softmax` (Softmax): it runs over an axis of one entry: what it gives is a constant"
    );
    let softmax = Message::node("Softmax", &["x"], &["y"]);
    let options = ImportOptions::new().drop_softmax(true);
    let matrix = Message::graph(&[3, 4], &[softmax], &[]);
    let import = from_bytes_with(&Message::model(matrix, 17).0, &options).unwrap();
    assert_eq!(
        import.report.notes,
        [
            "`the Softmax` (Softmax) is left out: outputs are logits, in the same order of size among every 4 that it runs over"
        ]
    );
    // Over time.
    let rnn = [
        Message::node("RNN", &["x", "w", "r"], &["h"]),
        Message::node("Softmax", &["h"], &["y"]).int_attribute("axis", 0),
    ];
    let tensors = [
        Message::tensor("w", &[1, 5, 3], &[0.5; 15]),
        Message::tensor("r", &[1, 5, 5], &[0.25; 25]),
    ];
    assert_eq!(
        refused_with(&options, Message::graph(&[5, 1, 3], &rnn, &tensors)),
        "a part of the model is not supported:\n  `the Softmax` (Softmax): it does not run over the entries of a frame"
    );
}

/// A file of some hundred bytes is refused, or imported, with little time and memory.
#[test]
fn small_files_that_ask_for_much() {
    let began = cpu_time::ProcessTime::now();
    // A wide value that is read again and again.
    let repeated = |operator: &str, inputs: &[&str], dims: &[i64], tensors: &[Message]| {
        let nodes: Vec<Message> = (0..20)
            .map(|k| {
                let from = if k == 0 { "x" } else { &*format!("v{k}") };
                let to = if k == 19 {
                    "y".to_owned()
                } else {
                    format!("v{}", k + 1)
                };
                let inputs = [&[from], inputs].concat();
                Message::node(operator, &inputs, &[&to])
            })
            .collect();
        from_bytes(&Message::model(Message::graph(dims, &nodes, tensors), 17).0)
    };
    let wide = Message::tensor("w", &[2, 1], &[0.5, 0.25]);
    for result in [
        repeated("Transpose", &[], &[1, 1 << 22], &[]),
        repeated("Add", &["x"], &[1, 1 << 22], &[]),
        repeated("Mul", &["w"], &[2, 1 << 20], std::slice::from_ref(&wide)),
        repeated("Concat", &["x"], &[1, 1 << 20], &[]),
        repeated("GlobalAveragePool", &[], &[1, 1 << 20, 2], &[]),
    ] {
        match result {
            Ok(_)
            | Err(OnnxError::TooLarge { .. } | OnnxError::Model { .. } | OnnxError::Malformed(_)) =>
                {}
            Err(other) => panic!("{other}"),
        }
    }
    // Constants of 2^23 entries, made of nothing.
    let fill: Vec<Message> = (0..20)
        .map(|k| Message::node("ConstantOfShape", &["s"], &[&format!("v{k}")]))
        .chain([Message::node(
            "Sum",
            &["x", "v0", "v1", "v2", "v3", "v4"],
            &["y"],
        )])
        .collect();
    let size = Message::int_tensor("s", &[1], &[1 << 23]);
    match from_bytes(&Message::model(graph(&fill, &[size]), 17).0) {
        Err(OnnxError::TooLarge { what, .. }) => {
            assert_eq!(what, "entries of constants that are computed");
        }
        other => panic!("{other:?}"),
    }
    let took = began.elapsed();
    assert!(took.as_secs() < 60, "{took:?}");
}

/// Batch first: the same network as with its axes swapped by hand.
#[test]
fn recurrent_nodes_in_either_layout() {
    let tensors = [
        Message::tensor("w", &[1, 2, 3], &[0.5, -0.25, 1.0, 0.125, 0.75, -0.5]),
        Message::tensor("r", &[1, 2, 2], &[0.25, -0.5, 0.375, 0.625]),
    ];
    let import = |dims: &[i64], layout: i64, output: &str| {
        let node = Message::node("RNN", &["x", "w", "r"], &["all", "last"]);
        let nodes = [
            node.int_attribute("layout", layout),
            Message::node("Identity", &[output], &["y"]),
        ];
        let bytes = Message::model(Message::graph(dims, &nodes, &tensors), 17).0;
        from_bytes(&bytes).unwrap().network
    };
    let frames = Array2::from_shape_fn((6, 3), |(t, i)| ((3 * t + i) as f32).sin());
    for output in ["all", "last"] {
        let infer = |network: Network| network.infer_sequence(frames.view()).unwrap();
        let time_first = infer(import(&[6, 1, 3], 0, output));
        let batch_first = infer(import(&[1, 6, 3], 1, output));
        assert_eq!(time_first, batch_first);
        assert_eq!(time_first.nrows(), if output == "all" { 6 } else { 1 });
    }
}

/// A bias that is added beside the output is not part of it.
#[test]
fn branches_of_recurrent_networks() {
    let nodes = [
        Message::node("RNN", &["x", "w", "r"], &["", "last"]),
        Message::node("MatMul", &["last", "m"], &["sums"]),
        Message::node("Add", &["sums", "b"], &["biased"]),
        Message::node("Shape", &["biased"], &["shape"]),
        Message::node("Reshape", &["sums", "shape"], &["y"]),
    ];
    let tensors = [
        Message::tensor("w", &[1, 2, 3], &[0.5; 6]),
        Message::tensor("r", &[1, 2, 2], &[0.25; 4]),
        Message::tensor("m", &[2, 2], &[0.25; 4]),
        Message::tensor("b", &[2], &[1.0; 2]),
    ];
    let import = from_bytes(&Message::model(Message::graph(&[5, 1, 3], &nodes, &tensors), 17).0);
    let output = import.unwrap().network;
    let output = output.infer_sequence(Array2::zeros((5, 3)).view()).unwrap();
    assert_eq!(output, Array2::<f32>::zeros((1, 2)));
}

#[test]
fn a_batch_of_one_is_noted() {
    let notes = |dims: &[i64]| {
        let relu = [Message::node("Relu", &["x"], &["y"])];
        let bytes = Message::model(Message::graph(dims, &relu, &[]), 17).0;
        from_bytes(&bytes).unwrap().report.notes
    };
    assert_eq!(
        notes(&[-1, 4]),
        ["the first dimension of the input `x` is open, and taken for a batch of one"]
    );
    assert!(notes(&[2, 4]).is_empty());
}

/// A claim is about the outputs of any network: of convolutions, of each frame, of the last one.
#[test]
fn claims_are_about_the_outputs_of_any_network() {
    for (name, kind) in [
        ("net-lenet", ProofKind::Trace),
        ("net-gru", ProofKind::Trace),
        ("net-gru", ProofKind::Recursive),
        ("net-lstm-last", ProofKind::Trace),
    ] {
        let case = case(name);
        let network = from_bytes(&case.bytes).unwrap().network;
        let len = network.input_len();
        let sequence = |x: &Vec<f32>| Array2::from_shape_vec((x.len() / len, len), x.clone());
        let sequences: Result<Vec<_>, _> = case.inputs.iter().map(sequence).collect();
        let sequences = sequences.unwrap();
        let quantized = network.quantize(&sequences, &Precision::default()).unwrap();
        let program = quantized.program().with_claim(Claim::ArgMax).unwrap();
        let params = Params::setup(&program).unwrap();
        let prover = Prover::new(&params, &quantized).unwrap();
        let visibility = Visibility::private_inputs().public_outputs();
        let mut session = prover.session(visibility).unwrap();
        session.set_kind(Some(kind)).unwrap();
        for frame in sequences[0].rows() {
            session.push(frame).unwrap();
        }
        let proof = Proof::from_bytes(&session.finish().unwrap().to_bytes()).unwrap();
        let params = Params::for_proof(&program, &proof).unwrap();
        let verifier = Verifier::new(&params, prover.model_commitment()).kind(kind);
        let Outputs::Public { vectors } = verifier.verify(&proof).unwrap().outputs else {
            panic!("outputs are public");
        };
        let outputs = quantized.infer_sequence(sequences[0].view()).unwrap();
        let largest = outputs.rows().into_iter().map(|y| {
            let most = y.iter().copied().fold(f32::MIN, f32::max);
            vec![y.iter().position(|v| *v == most).unwrap() as i64]
        });
        assert_eq!(vectors, largest.collect::<Vec<_>>(), "{name}");
    }
}
