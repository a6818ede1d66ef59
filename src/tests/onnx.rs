//! Files of the ONNX suite: the interpreter and the circuit agree bit for bit.

use std::{fs, path::Path};

use ndarray::Array2;

use super::fixtures::Bench;
use crate::{
    Precision,
    onnx::{ImportOptions, from_bytes_with},
};

/// Constraints above which one frame is enough.
const LARGE: usize = 100_000;

fn agree(bench: &Bench, frames: &[Vec<i64>]) {
    let mut run = bench.run();
    for frame in frames {
        let step = bench.prepare(&run, &bench.trace(&run, frame));
        let (cs, next) = bench.synthesize(run.z, &step.witness);
        assert_eq!(cs.which_is_unsatisfied(), None);
        // `z` holds digests of the interpreter's outputs and carried vector.
        assert_eq!(next, step.next.z);
        assert!(bench.claim_holds(&step.next.state.claim));
        run = step.next;
        if cs.num_constraints() > LARGE {
            break;
        }
    }
}

fn file(path: &Path) {
    let options = ImportOptions::new().drop_softmax(true);
    let import = from_bytes_with(&fs::read(path).unwrap(), &options).unwrap();
    let json = fs::read(path.with_extension("json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let inputs: Vec<Vec<f32>> = serde_json::from_value(record["inputs"].clone()).unwrap();
    let network = import.network;
    let size = network.input_len();
    let sequence = |x: Vec<f32>| Array2::from_shape_vec((x.len() / size, size), x).unwrap();
    let samples: Vec<Array2<f32>> = inputs.into_iter().map(sequence).collect();
    let quantized = network.quantize(&samples, &Precision::default()).unwrap();
    let bench = Bench::new(quantized.program().clone(), quantized.bank().clone());
    let frames: Vec<Vec<i64>> = samples
        .iter()
        .flat_map(|s| s.rows())
        .take(if network.has_state() { 3 } else { 2 })
        .map(|f| quantized.quantize_input(f).unwrap())
        .collect();
    agree(&bench, &frames);
}

#[test]
fn interpreter_and_circuit_agree_on_every_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "onnx"))
        .collect();
    paths.sort();
    assert!(paths.len() > 130, "{} files", paths.len());
    for path in paths {
        file(&path);
    }
}
