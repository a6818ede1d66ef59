//! Inputs, labels and outputs from files: `.npy`, `.json`, `.csv` and lists of numbers.
//!
//! The module stands alone: the workloads of the benches read their inputs with it too.

mod csv;
mod json;
mod npy;

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use ndarray::{Array2, Axis};
use zeroize::Zeroizing;

/// Longest file, in bytes.
const MAX_BYTES: u64 = 1 << 29;
/// Most numbers in a file: as many take as much memory.
const MAX_NUMBERS: usize = 1 << 26;

/// The numbers of a file.
pub(crate) struct Numbers {
    path: PathBuf,
    shape: Vec<usize>,
    /// Row-major.
    values: Zeroizing<Vec<f64>>,
}

/// The contents of a file, before anything is known of what they are for.
struct Contents {
    shape: Vec<usize>,
    values: Vec<f64>,
}

/// Why the numbers of a file cannot be had; the message names the file.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// It could not be read.
    Io(String),
    /// Its contents are not what they should be.
    Contents(String),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Io(message) | Self::Contents(message)) = self;
        f.write_str(message)
    }
}

impl std::error::Error for Unusable {}

/// What is wrong with a file.
#[derive(Debug, PartialEq)]
struct Problem(String);

impl Problem {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Numbers {
    /// Reads a file; its extension says which format it has.
    ///
    /// # Errors
    /// If it cannot be read, is longer than 512 MiB, or is not well-formed.
    pub(crate) fn read(path: &Path) -> Result<Self, Unusable> {
        let contents = |problem: Problem| unusable(path, problem);
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
        let parse = match extension.to_ascii_lowercase().as_str() {
            "npy" => npy::parse,
            "json" => json::parse,
            "csv" | "txt" => csv::parse,
            _ => {
                // A file that is not there is told first.
                File::open(path).map_err(|e| io(path, &e))?;
                let problem = "not a .npy, .json, .csv or .txt file by its name";
                return Err(contents(Problem::new(problem)));
            }
        };
        let bytes = bytes(path)?;
        let Contents { shape, values } = parse(&bytes).map_err(contents)?;
        let values = Zeroizing::new(values);
        if values.is_empty() {
            return Err(contents(Problem::new("there are no numbers in it")));
        }
        Ok(Self {
            path: path.to_owned(),
            shape,
            values,
        })
    }

    /// Rows of `len` entries each, in single precision: the last dimensions of the file are a row.
    pub(crate) fn rows(&self, len: usize) -> Result<Array2<f32>, Unusable> {
        let rows = self.rows_of(len)?;
        let mut values = Vec::with_capacity(self.values.len());
        for (index, x) in self.values.iter().enumerate() {
            #[expect(clippy::cast_possible_truncation, reason = "checked to be finite")]
            let single = *x as f32;
            if !single.is_finite() {
                let (row, column) = (index / len + 1, index % len + 1);
                let problem = "is not a finite number of single precision";
                return Err(self.fails(format!("row {row}, column {column}: {x} {problem}")));
            }
            values.push(single);
        }
        Array2::from_shape_vec((rows, len), values).map_err(|e| self.fails(e))
    }

    /// The same, for inputs of this shape: of three or more dimensions those of an input must be the
    /// last, dimensions of 1 not counted.
    pub(crate) fn inputs(&self, shape: &[usize]) -> Result<Array2<f32>, Unusable> {
        let long = |shape: &[usize]| -> Vec<usize> {
            let long = shape.iter().filter(|n| **n != 1);
            long.copied().collect()
        };
        let (own, expected) = (long(&self.shape), long(shape));
        if own.len() > 2 && !own.ends_with(&expected) {
            return Err(self.fails(format!(
                "has the shape {:?}; an input of the model has {shape:?}",
                self.shape
            )));
        }
        self.rows(shape.iter().product())
    }

    /// Sequences of frames of `len` entries: one, or one for each index of the first of three or more
    /// dimensions.
    pub(crate) fn sequences(&self, len: usize) -> Result<Vec<Array2<f32>>, Unusable> {
        let frames = self.rows(len)?;
        let count = match self.shape.as_slice() {
            [first, _, _, ..] if frames.nrows() % first == 0 && *first < frames.nrows() => *first,
            _ => 1,
        };
        let each = frames.nrows() / count;
        let sequences = frames.axis_chunks_iter(Axis(0), each);
        Ok(sequences.map(|s| s.to_owned()).collect())
    }

    /// The only sequence of frames of `len` entries.
    pub(crate) fn one_sequence(&self, len: usize) -> Result<Array2<f32>, Unusable> {
        let mut sequences = self.sequences(len)?;
        match (sequences.pop(), sequences.len()) {
            (Some(only), 0) => Ok(only),
            (_, more) => {
                let problem = format!("holds {} sequences; a proof is about one", more + 1);
                Err(self.fails(problem))
            }
        }
    }

    /// Rows of `len` integers each.
    pub(crate) fn integers(&self, len: usize) -> Result<Vec<Vec<i64>>, Unusable> {
        self.rows_of(len)?;
        let mut rows = Vec::new();
        for (row, values) in self.values.chunks(len).enumerate() {
            let mut integers = Vec::with_capacity(len);
            for (column, x) in values.iter().enumerate() {
                // Every integer up to 2^53 has its own double.
                if x.fract() != 0.0 || x.abs() > 9e15 {
                    let (row, column) = (row + 1, column + 1);
                    return Err(
                        self.fails(format!("row {row}, column {column}: {x} is not an integer"))
                    );
                }
                #[expect(clippy::cast_possible_truncation, reason = "an integer below 2^53")]
                integers.push(*x as i64);
            }
            rows.push(integers);
        }
        Ok(rows)
    }

    /// Number of rows, if the last dimensions are a row of `len` entries.
    fn rows_of(&self, len: usize) -> Result<usize, Unusable> {
        let tails = (0..=self.shape.len()).map(|k| (k, self.shape[k..].iter().product::<usize>()));
        let found = tails.filter(|(_, product)| *product == len).map(|(k, _)| k);
        // A vector of an entry for each input is that many rows of one entry.
        let found = match (len, self.shape.len()) {
            (1, 1) => Some(1),
            _ => found.min(),
        };
        match found {
            Some(k) if len > 0 => Ok(self.shape[..k].iter().product()),
            _ => Err(self.fails(format!(
                "has the shape {:?}; a row must have {len} entries",
                self.shape
            ))),
        }
    }

    /// A failure that names the file.
    pub(crate) fn fails(&self, problem: impl fmt::Display) -> Unusable {
        unusable(&self.path, problem)
    }
}

fn unusable(path: &Path, problem: impl fmt::Display) -> Unusable {
    Unusable::Contents(format!("{}: {problem}", path.display()))
}

fn io(path: &Path, e: &io::Error) -> Unusable {
    Unusable::Io(format!("{}: {e}", path.display()))
}

/// The bytes of a file of at most [`MAX_BYTES`], which are zeroised on drop.
fn bytes(path: &Path) -> Result<Zeroizing<Vec<u8>>, Unusable> {
    let too_long = || unusable(path, format!("longer than {MAX_BYTES} bytes"));
    let file = File::open(path).map_err(|e| io(path, &e))?;
    let length = file.metadata().map_err(|e| io(path, &e))?.len();
    if length > MAX_BYTES {
        return Err(too_long());
    }
    let known = usize::try_from(length).unwrap_or(0);
    let mut bytes = Zeroizing::new(Vec::with_capacity(known.saturating_add(1)));
    // It may be no ordinary file, or grow.
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| io(path, &e))?;
    match bytes.len() as u64 > MAX_BYTES {
        true => Err(too_long()),
        false => Ok(bytes),
    }
}

/// Refuses what would take too much memory.
fn check_count(count: usize) -> Result<(), Problem> {
    if count > MAX_NUMBERS {
        return Err(Problem(format!("more than {MAX_NUMBERS} numbers")));
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn numbers(shape: &[usize]) -> Numbers {
        let count = shape.iter().product::<usize>();
        Numbers {
            path: "x.npy".into(),
            shape: shape.to_vec(),
            values: Zeroizing::new((0..count).map(|x| x as f64).collect()),
        }
    }

    #[test]
    fn the_last_dimensions_are_a_row() {
        let rows = |shape: &[usize], len| numbers(shape).rows(len).unwrap().nrows();
        assert_eq!(rows(&[6], 6), 1);
        assert_eq!(rows(&[1, 6], 6), 1);
        assert_eq!(rows(&[2, 3], 6), 1);
        assert_eq!(rows(&[4, 2, 3], 6), 4);
        assert_eq!(rows(&[5], 1), 5);
        assert_eq!(rows(&[5, 1], 1), 5);
        assert!(numbers(&[4, 3]).rows(6).is_err());
        assert!(numbers(&[4, 3]).rows(0).is_err());
    }

    #[test]
    fn three_dimensions_are_several_sequences() {
        let sequences = numbers(&[2, 3, 4]).sequences(4).unwrap();
        assert_eq!((sequences.len(), sequences[1].dim()), (2, (3, 4)));
        assert_eq!(sequences[1][[0, 0]], 12.0);
        assert_eq!(numbers(&[3, 4]).sequences(4).unwrap().len(), 1);
        assert_eq!(numbers(&[1, 3, 4]).sequences(4).unwrap()[0].nrows(), 3);
    }

    #[test]
    fn integers_are_integers_and_inputs_finite() {
        assert_eq!(numbers(&[2, 2]).integers(2).unwrap(), [[0, 1], [2, 3]]);
        let mut bad = numbers(&[2, 2]);
        bad.values[3] = 0.5;
        assert!(bad.integers(2).is_err());
        for x in [f64::NAN, f64::INFINITY, 1e39] {
            bad.values[3] = x;
            assert!(bad.rows(2).is_err() && bad.integers(2).is_err());
        }
    }
}
