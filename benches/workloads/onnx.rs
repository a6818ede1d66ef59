//! Networks from ONNX files, on inputs from files.

use std::path::Path;

use layerfold::onnx::{self, ImportOptions};
use ndarray::{Array2, Axis};

use crate::{Case, Failure, data::Numbers};

/// The network of a file on an input: a file (`.npy`, `.json`, `.csv`, `.txt`), each of whose rows is an
/// inference, or numbers with commas between them. Of several sequences the first is proved. Ranges are
/// taken from the input itself. A softmax at the end is left out.
pub(crate) fn case(file: &str, input: &str) -> Result<Case, Failure> {
    let import = onnx::load_with(file, &ImportOptions::new().drop_softmax(true))?;
    for note in &import.report.notes {
        eprintln!("{file}: {note}");
    }
    let path = Path::new(input);
    let numbers = match input.split(',').map(|x| x.trim().parse()).collect() {
        Ok(values) if !path.exists() => Input::List(values),
        _ => Input::File(Numbers::read(path)?),
    };
    let model = import.network;
    let len = model.input_len();
    if !model.has_state() {
        let inputs = numbers.rows(len)?;
        return Case::new(&model, &inputs, inputs.clone());
    }
    let sequences = match &numbers {
        Input::File(numbers) => numbers.sequences(len)?,
        Input::List(_) => vec![numbers.rows(len)?],
    };
    let inputs = sequences.first().ok_or("no sequence")?.clone();
    Case::new(&model, &sequences, inputs)
}

/// Where the numbers are from.
enum Input {
    File(Numbers),
    List(Vec<f32>),
}

impl Input {
    fn rows(&self, len: usize) -> Result<Array2<f32>, Failure> {
        match self {
            Self::File(numbers) => Ok(numbers.rows(len)?),
            Self::List(values) if len > 0 && values.len().is_multiple_of(len) => {
                let rows: Vec<_> = values.chunks(len).map(ndarray::ArrayView1::from).collect();
                Ok(ndarray::stack(Axis(0), &rows)?)
            }
            Self::List(values) => {
                let got = values.len();
                Err(format!("{got} numbers are no rows of {len}").into())
            }
        }
    }
}
