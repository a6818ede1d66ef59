//! Tables of numbers.

use std::{error::Error, fs, path::Path};

use ndarray::Array2;

/// The numbers of a CSV file with a header, one line to a row.
pub(crate) fn table(path: impl AsRef<Path>) -> Result<Array2<f32>, Box<dyn Error>> {
    let text = fs::read_to_string(path)?;
    let mut lines = text.lines();
    let columns = lines.next().map_or(0, |header| header.split(',').count());
    let numbers = lines
        .flat_map(|line| line.split(',').map(str::parse))
        .collect::<Result<Vec<f32>, _>>()?;
    Ok(Array2::from_shape_vec(
        (numbers.len() / columns.max(1), columns),
        numbers,
    )?)
}
