//! The program as a shell sees it: exit codes, JSON, files.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

/// A file of the ONNX suite.
fn suite(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/onnx")
        .join(name)
}

fn run<S: AsRef<OsStr>>(folder: &TempDir, arguments: &[S]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_layerfold"))
        .args(arguments)
        .current_dir(folder.path())
        .output()
        .unwrap()
}

/// Runs with `--json`; gives the exit code and the one object on standard output.
fn json<S: AsRef<OsStr>>(folder: &TempDir, arguments: &[S]) -> (i32, Value) {
    let json = OsStr::new("--json");
    let arguments: Vec<&OsStr> = arguments.iter().map(AsRef::as_ref).chain([json]).collect();
    let output = run(folder, &arguments);
    assert!(output.stderr.is_empty(), "{output:?}");
    let value = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code().unwrap(), value)
}

/// Fails with this exit code and this in the message, as text and as JSON.
fn fails(folder: &TempDir, arguments: &[&str], code: i32, part: &str) {
    let output = run(folder, arguments);
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains(part), "{text}");
    let (json_code, value) = json(folder, arguments);
    assert_eq!(json_code, code);
    assert_eq!(value["error"]["exit_code"], code);
    let message = value["error"]["message"].as_str().unwrap();
    assert!(message.contains(part), "{message}");
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["net-mlp.onnx", "net-mlp.json", "net-gru.onnx"] {
        fs::copy(suite(name), folder.path().join(name)).unwrap();
    }
    folder
}

const VERIFY: [&str; 4] = ["verify", "proof.bin", "--model", "net-mlp.commitment"];

fn verify<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&VERIFY, more].concat()
}

#[test]
fn two_commands_from_a_model_to_a_verified_proof() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let prove = |out: &str, more: &[&str]| {
        let fixed = ["prove", "net-mlp.onnx", "net-mlp.json", "-o", out];
        json(&folder, &[&fixed, more].concat())
    };
    let (code, proved) = prove(
        "proof.bin",
        &[
            "--context",
            "0x00ff",
            "--scales",
            "net-mlp.scales",
            "--state",
            "kept",
        ],
    );
    assert_eq!(code, 0, "{proved}");
    assert_eq!(proved["statement"]["frames"], 6);
    assert_eq!(proved["statement"]["kind"], "trace");
    assert_eq!(proved["statement"]["context"], "00ff");
    assert_eq!(
        proved["integers"],
        proved["statement"]["outputs"]["vectors"]
    );
    // The open batch is taken as 1, and the ranges are those of the inputs.
    assert_eq!(proved["warnings"].as_array().unwrap().len(), 2, "{proved}");
    assert!(proved["warnings"][1].to_string().contains("--calibration"));

    // The outputs are near those of the float network.
    let floats: Value = serde_json::from_slice(&fs::read(at("net-mlp.json")).unwrap()).unwrap();
    for (row, output) in proved["outputs"].as_array().unwrap().iter().enumerate() {
        for (k, y) in output.as_array().unwrap().iter().enumerate() {
            let float = floats["outputs"][row][k].as_f64().unwrap();
            assert!((float - y.as_f64().unwrap()).abs() < 0.2, "{float} {y}");
        }
    }

    let (code, verified) = json(&folder, &verify(&["--scales", "net-mlp.scales"]));
    assert_eq!((code, &verified["valid"]), (0, &Value::Bool(true)));
    assert_eq!(verified["statement"], proved["statement"]);
    assert_eq!(verified["outputs"], proved["outputs"]);
    let text = run(&folder, &VERIFY);
    assert_eq!(text.status.code(), Some(0));
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(
        text.starts_with("valid     proof.bin\nmodel     "),
        "{text}"
    );
    for part in [
        "\nprogram   ",
        "12 numbers of 8 bits",
        "inputs    hidden",
        "context   0x00ff",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let silent = run(&folder, &verify(&["--quiet"]));
    assert!(silent.status.success() && silent.stdout.is_empty() && silent.stderr.is_empty());

    // What a verifier expects.
    fs::write(at("outputs.json"), proved["integers"].to_string()).unwrap();
    fs::write(at("others.json"), "[1, 2, 3, 4]").unwrap();
    let good = ["--context", "0x00ff", "--expect-outputs", "outputs.json"];
    assert_eq!(json(&folder, &verify(&good)).0, 0);
    fails(&folder, &verify(&["--context", "0x00fe"]), 1, "context");
    fails(
        &folder,
        &verify(&["--expect-outputs", "others.json"]),
        1,
        "outputs",
    );

    let digest = |name: &str| proved["statement"][name].as_str().unwrap().to_owned();
    let (model, program) = (digest("model"), digest("program"));
    let pinned = ["--expect-model", &model, "--expect-program", &program];
    let pinned = [&pinned[..], &["--expect-rows", "6"]].concat();
    assert_eq!(json(&folder, &verify(&pinned)).0, 0);
    fails(&folder, &verify(&["--expect-model", &program]), 1, "model");
    fails(
        &folder,
        &verify(&["--expect-program", &model]),
        1,
        "program",
    );
    fails(&folder, &verify(&["--expect-rows", "5"]), 1, "frames");
    let inputs = ["--expect-inputs", "inputs.json"];
    fs::write(at("inputs.json"), "[1,2,3,4,5,6,7,8,9,10,11,12]").unwrap();
    fails(&folder, &verify(&inputs), 1, "inputs");

    tampered(&folder);

    // The state gives the same commitment and program to another run, without calibration.
    let commitment = fs::read(at("net-mlp.commitment")).unwrap();
    fs::write(at("one.csv"), "0,1,0,-1,0,1,0,1,0,0,0.5,2\n").unwrap();
    let again = [
        "prove",
        "net-mlp.onnx",
        "one.csv",
        "-o",
        "again.bin",
        "--state",
        "kept",
    ];
    let hidden = [&again[..], &["--public-inputs", "--hidden-outputs"]].concat();
    let (code, second) = json(&folder, &hidden);
    assert_eq!(code, 0, "{second}");
    assert_eq!(fs::read(at("net-mlp.commitment")).unwrap(), commitment);
    assert_eq!(second["statement"]["inputs"]["visibility"], "public");
    assert_eq!(second["statement"]["outputs"]["visibility"], "hidden");
    assert_eq!(second["warnings"].as_array().unwrap().len(), 0);
    let second = [&["verify", "again.bin"], &VERIFY[2..]].concat();
    assert_eq!(run(&folder, &second).status.code(), Some(0));
    secrets_are_secret(&at("kept"));

    // A state that was damaged is not used; nor is that of another model.
    let integers = at("kept").join("integers");
    let mut bytes = fs::read(&integers).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&integers, bytes).unwrap();
    fails(&folder, &again, 4, "damaged");
    fs::copy(suite("op-gemm.onnx"), at("net-mlp.onnx")).unwrap();
    fails(&folder, &again, 2, "another model");

    // Without the state the blinds are others.
    fs::copy(suite("net-mlp.onnx"), at("net-mlp.onnx")).unwrap();
    assert_eq!(
        prove("other.bin", &["--commitment", "other.commitment"]).0,
        0
    );
    let other = ["verify", "proof.bin", "--model", "other.commitment"];
    fails(&folder, &other, 1, "the proof is for model");

    // A commitment as the library writes it has no program.
    let plain = ["verify", "proof.bin", "--model", "kept/commitment"];
    fails(&folder, &plain, 2, "--program");
    let plain = [&plain[..], &["--program", "kept/program"]].concat();
    assert_eq!(json(&folder, &plain).0, 0);
    // One that is replaced is said to be.
    let (code, replaced) = prove("proof.bin", &[]);
    assert_eq!(code, 0);
    let warnings = replaced["warnings"].to_string();
    assert!(
        warnings.contains("net-mlp.commitment is replaced"),
        "{warnings}"
    );
}

/// What was read and does not hold is told from what could not be read.
fn tampered(folder: &TempDir) {
    let at = |name: &str| folder.path().join(name);
    let proof = fs::read(at("proof.bin")).unwrap();
    let verify = |bytes: &[u8]| {
        fs::write(at("bad.bin"), bytes).unwrap();
        let arguments = [&["verify", "bad.bin"], &VERIFY[2..]].concat();
        let (code, told) = json(folder, &arguments);
        assert_eq!(told["error"]["exit_code"], code);
        code
    };
    let flipped = |index: usize| {
        let mut bad = proof.clone();
        bad[index] ^= 1;
        bad
    };
    // The digests of program and model, the counters.
    for index in [12, 44, 77] {
        assert_eq!(verify(&flipped(index)), 1, "{index}");
    }
    // The statement, points of the argument, the opening.
    for index in [81, proof.len() / 2, proof.len() - 1] {
        assert!([1, 4].contains(&verify(&flipped(index))), "{index}");
    }
    assert_eq!(verify(&flipped(0)), 4);
    assert_eq!(verify(&proof[..proof.len() - 1]), 4);
    assert_eq!(verify(&[proof.as_slice(), &[0]].concat()), 4);
    assert_eq!(verify(b""), 4);
    assert_eq!(verify(b"no proof"), 4);

    let commitment = fs::read(at("net-mlp.commitment")).unwrap();
    for bad in [
        &commitment[..commitment.len() - 1],
        &commitment[..12],
        b"no",
        b"",
    ] {
        fs::write(at("bad.commitment"), bad).unwrap();
        let arguments = ["verify", "proof.bin", "--model", "bad.commitment"];
        fails(folder, &arguments, 4, "bad.commitment");
    }
}

#[cfg(unix)]
fn secrets_are_secret(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder), 0o700);
    for file in fs::read_dir(folder).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
}

#[cfg(not(unix))]
fn secrets_are_secret(_: &Path) {}

#[test]
fn a_sequence_is_proved_with_kept_blinds() {
    let folder = folder();
    let (_, inspected) = json(&folder, &["inspect", "net-gru.onnx", "--rows", "5"]);
    assert_eq!(inspected["network"]["states"], 2, "{inspected}");
    let width = inspected["scales"]["inputs"].as_u64().unwrap();
    let row: Vec<String> = (0..width).map(|k| format!("0.{k}")).collect();
    let rows = vec![row.join(","); 5].join("\n");
    fs::write(folder.path().join("frames.csv"), rows).unwrap();
    let arguments = [
        "prove",
        "net-gru.onnx",
        "frames.csv",
        "--blinding",
        "model.secret",
        "-o",
        "proof.bin",
        "--commitment",
        "net-mlp.commitment",
    ];
    let (code, proved) = json(&folder, &arguments);
    assert_eq!(code, 0, "{proved}");
    assert_eq!(proved["statement"]["frames"], 5);
    let model = proved["statement"]["model"].clone();
    let text = run(&folder, &arguments);
    assert_eq!(text.status.code(), Some(0));
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains(model.as_str().unwrap()), "{text}");
    let secret = fs::read_to_string(folder.path().join("model.secret")).unwrap();
    assert!(!text.contains(secret.trim()));
    assert_eq!(run(&folder, &VERIFY).status.code(), Some(0));
    // Folded, under the same commitment.
    let folded = [&arguments[..], &["--constant-size"]].concat();
    let (code, folded) = json(&folder, &folded);
    assert_eq!(code, 0, "{folded}");
    assert_eq!(folded["statement"]["kind"], "recursive");
    assert_eq!(folded["integers"], proved["integers"]);
    assert_eq!(run(&folder, &VERIFY).status.code(), Some(0));
    let report = ["report", "net-gru.onnx", "--samples", "frames.csv"];
    let (code, report) = json(&folder, &report);
    assert_eq!(code, 0);
    assert_eq!(report["report"]["frames"], 5);
    assert_eq!(report["report"]["states"].as_array().unwrap().len(), 2);
    assert!(report["expected"]["cpu_s"].as_f64().unwrap() > 0.01);
    assert_eq!(report["expected"]["kind"], "trace");
}

#[test]
fn inspect_and_report() {
    let folder = folder();
    let constant = ["inspect", "net-mlp.onnx", "--constant-size"];
    let (code, found) = json(&folder, &constant);
    assert_eq!(code, 0);
    assert_eq!(found["expected"]["kind"], "recursive");
    let warning = found["warnings"][0].as_str().unwrap();
    assert!(warning.contains("NO CALIBRATION"), "{warning}");
    assert_eq!(found["import"]["output_shape"], serde_json::json!([1, 4]));
    assert!(
        found["plan"]["chosen"]["step_constraints"]
            .as_u64()
            .unwrap()
            > 1000
    );
    assert!(found["quantisation"]["stages"].as_array().is_some());
    assert!(
        found["import"]["operators"]["Gemm"].as_u64().is_some(),
        "{found}"
    );
    assert!(found["import"]["parameters"].as_u64().unwrap() > 100);
    let parts = |found: &Value| {
        let parts = found["expected"]["constraints_by_part"].as_array().unwrap();
        parts.iter().map(|p| p[1].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(parts(&found), found["plan"]["chosen"]["step_constraints"]);

    let calibrated = [
        "inspect",
        "net-mlp.onnx",
        "--calibration",
        "net-mlp.json",
        "--rows",
        "100",
    ];
    let (code, found) = json(&folder, &calibrated);
    assert_eq!((code, found["warnings"].as_array().unwrap().len()), (0, 0));
    assert!(!found["plan"]["rejected"].as_array().unwrap().is_empty());
    // A trace has no constraints.
    assert_eq!(found["expected"]["kind"], "trace");
    assert_eq!(found["plan"]["chosen"]["step_constraints"], 0);
    assert_eq!(found["expected"]["constraints_by_part"], Value::Null);
    let folded = [&calibrated[..], &["--constant-size"]].concat();
    let (code, found) = json(&folder, &folded);
    assert_eq!(
        (code, &found["expected"]["kind"]),
        (0, &Value::from("recursive"))
    );
    assert_eq!(parts(&found), found["plan"]["chosen"]["step_constraints"]);
    let text = String::from_utf8(run(&folder, &calibrated).stdout).unwrap();
    for part in ["chosen ", "rejected ", "expected  ", "top-1"] {
        assert!(text.contains(part), "{text}");
    }
    let little = [&calibrated[..], &["--max-memory", "1"]].concat();
    fails(&folder, &little, 3, "no schedule");

    fs::write(
        folder.path().join("labels.csv"),
        "label\n0\n1\n2\n3\n0\n1\n",
    )
    .unwrap();
    let report = [
        "report",
        "net-mlp.onnx",
        "--samples",
        "net-mlp.json",
        "--labels",
        "labels.csv",
    ];
    let (code, found) = json(&folder, &report);
    assert_eq!(code, 0, "{found}");
    assert_eq!(found["accuracy"]["samples"], 6);
    assert_eq!(found["report"]["samples"], 6);
    assert_eq!(found["expected"]["kind"], "trace");
    assert!(found["expected"]["key_bytes"].as_u64().unwrap() > 1 << 10);
    fs::write(folder.path().join("labels.csv"), "0\n1\n").unwrap();
    fails(&folder, &report, 3, "2 labels for 6 samples");
}

#[test]
fn usage() {
    let folder = folder();
    fails(&folder, &["prove"], 2, "INPUT");
    fails(&folder, &["verify", "proof.bin", "--colour"], 2, "--colour");
    fails(
        &folder,
        &["inspect", "net-mlp.onnx", "--bits", "17"],
        2,
        "17",
    );
    let hexadecimal = ["prove", "net-mlp.onnx", "net-mlp.json", "--context", "0x1"];
    fails(&folder, &hexadecimal, 2, "hexadecimal");
    let both = [
        "prove",
        "net-mlp.onnx",
        "net-mlp.json",
        "--state",
        "a",
        "--blinding",
        "b",
    ];
    fails(&folder, &both, 2, "--blinding");
    assert_eq!(run::<&str>(&folder, &[]).status.code(), Some(2));
    for asked in ["--help", "--version"] {
        let output = run(&folder, &[asked]);
        assert_eq!(output.status.code(), Some(0));
        assert!(
            String::from_utf8(output.stdout)
                .unwrap()
                .contains("layerfold")
        );
    }
}

#[test]
fn data_files_that_cannot_be_used() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let prove = |input: &str, code, part: &str| {
        fails(&folder, &["prove", "net-mlp.onnx", input], code, part);
    };
    prove("missing.csv", 4, "missing.csv");
    fs::write(at("input.txt"), "1").unwrap();
    prove("input.txt", 3, "input.txt");
    fs::write(at("bad.csv"), "a,b\n1,2\n3,x\n").unwrap();
    prove("bad.csv", 3, "bad.csv: line 3, column 2 (`b`)");
    fs::write(at("short.csv"), "1,2\n").unwrap();
    prove("short.csv", 3, "a row must have 12 entries");
    fs::write(at("nan.csv"), "1,2,3,4,5,6,7,8,9,10,11,nan\n").unwrap();
    prove("nan.csv", 3, "row 1, column 12");
    fs::write(at("bad.json"), "[[1, 2], [3]]").unwrap();
    prove("bad.json", 3, "row 2");
    fs::write(at("bad.npy"), "no").unwrap();
    prove("bad.npy", 3, "magic");
    fails(&folder, &["inspect", "missing.onnx"], 4, "missing.onnx");
    fs::write(at("bad.onnx"), "no").unwrap();
    fails(&folder, &["inspect", "bad.onnx"], 3, "bad.onnx");
    fails(&folder, &VERIFY, 4, "proof.bin");
    fs::write(at("bad.json"), "[[1, NaN]]").unwrap();
    prove("bad.json", 3, "bad.json");
    prove("net-mlp.onnx", 3, "by its name");
    // Files that would be overwritten, and a folder.
    let over = [
        "prove",
        "net-mlp.onnx",
        "net-mlp.json",
        "-o",
        "./net-mlp.json",
    ];
    fails(&folder, &over, 2, "overwritten");
    let both = [
        "prove",
        "net-mlp.onnx",
        "net-mlp.json",
        "--commitment",
        "proof.bin",
    ];
    fails(&folder, &both, 2, "overwritten");
    fails(
        &folder,
        &["prove", "net-mlp.onnx", "net-mlp.json", "-o", "."],
        4,
        ".",
    );
    // Written to a folder that is not there.
    let out = [
        "prove",
        "net-mlp.onnx",
        "net-mlp.json",
        "-o",
        "no/proof.bin",
    ];
    fails(&folder, &out, 4, "no");
}

/// A field of a protobuf message that holds bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).unwrap();
    assert!(number < 16);
    // All messages here are short, but for the graph.
    let mut length = vec![length];
    if length[0] > 127 {
        length.push(1);
    }
    [&[number << 3 | 2], length.as_slice(), bytes].concat()
}

fn integer(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

/// A chain of nodes `(name, operator)` on a vector of two numbers.
fn chain(nodes: &[(&str, &str)]) -> Vec<u8> {
    let value = |name: &str| {
        let dimensions = [1, 2].map(|n| field(1, &integer(1, n))).concat();
        let tensor = [integer(1, 1), field(2, &dimensions)].concat();
        [field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat()
    };
    let edge = |k: usize| format!("v{k}");
    let mut graph = field(2, b"g");
    for (k, (name, operator)) in nodes.iter().enumerate() {
        let node = [
            field(1, edge(k).as_bytes()),
            field(2, edge(k + 1).as_bytes()),
            field(3, name.as_bytes()),
            field(4, operator.as_bytes()),
        ];
        graph.extend(field(1, &node.concat()));
    }
    graph.extend(field(11, &value(&edge(0))));
    graph.extend(field(12, &value(&edge(nodes.len()))));
    let opset = integer(2, 17);
    [integer(1, 8), field(7, &graph), field(8, &opset)].concat()
}

#[test]
fn all_unsupported_nodes_are_listed() {
    let folder = folder();
    let path = folder.path().join("odd.onnx");
    fs::write(
        &path,
        chain(&[("first", "Ceil"), ("r", "Relu"), ("second", "Det")]),
    )
    .unwrap();
    let (code, found) = json(&folder, &["inspect", "odd.onnx"]);
    assert_eq!(code, 3, "{found}");
    assert_eq!(found["error"]["kind"], "unsupported");
    let nodes = found["error"]["nodes"].as_array().unwrap();
    let listed: Vec<_> = nodes
        .iter()
        .map(|n| (n["name"].as_str().unwrap(), n["operator"].as_str().unwrap()))
        .collect();
    assert_eq!(listed, [("first", "Ceil"), ("second", "Det")]);
    fails(
        &folder,
        &["prove", "odd.onnx", "net-mlp.json"],
        3,
        "`second` (Det)",
    );
}
