//! IDX files, the format of MNIST.

use std::{error::Error, fs, path::Path};

use ndarray::Array2;

/// Images of an IDX file (`idx3-ubyte`), one to a row, as they are: 0 to 255.
pub(crate) fn images(path: impl AsRef<Path>) -> Result<Array2<u8>, Box<dyn Error>> {
    let bytes = fs::read(path)?;
    let header: Vec<usize> = bytes
        .get(..16)
        .ok_or("truncated IDX file")?
        .chunks_exact(4)
        .map(|c| u32::from_be_bytes([c[0], c[1], c[2], c[3]]) as usize)
        .collect();
    if header[0] != 0x0803 {
        return Err("not an IDX file of images".into());
    }
    let (count, pixels) = (header[1], header[2] * header[3]);
    Ok(Array2::from_shape_vec(
        (count, pixels),
        bytes[16..].to_vec(),
    )?)
}

/// Labels of an IDX file (`idx1-ubyte`).
pub(crate) fn labels(path: impl AsRef<Path>) -> Result<Vec<u8>, Box<dyn Error>> {
    let bytes = fs::read(path)?;
    if bytes.get(..4) != Some(&[0, 0, 8, 1]) {
        return Err("not an IDX file of labels".into());
    }
    Ok(bytes.get(8..).ok_or("truncated IDX file")?.to_vec())
}

/// Pixels as the network takes them: 0 to 1.
pub(crate) fn to_input(pixels: &Array2<u8>) -> Array2<f32> {
    pixels.mapv(|p| f32::from(p) / 255.0)
}
