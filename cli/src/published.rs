//! What a prover publishes of a model: one file with the program and the commitment to the weights.
//!
//! ```text
//! magic       8 bytes "LFpublic"
//! length      8 bytes, little-endian: bytes of the program
//! program     as `Program::to_bytes` gives it
//! commitment  as `ModelCommitment::to_bytes` gives it
//! ```

use std::path::{Path, PathBuf};

use layerfold::{ModelCommitment, program::Program};

use crate::{
    console::{Failure, Kind},
    files,
};

const MAGIC: &[u8; 8] = b"LFpublic";
/// Longest program, and longest file of a commitment.
pub(crate) const MAX_PROGRAM: u64 = 1 << 24;
pub(crate) const MAX_COMMITMENT: u64 = 1 << 28;

/// A model as its verifiers know it.
pub(crate) struct Published {
    pub(crate) program: Program,
    pub(crate) commitment: ModelCommitment,
    /// The file that the program is from.
    pub(crate) from: PathBuf,
}

/// The bytes to publish.
pub(crate) fn to_bytes(program: &Program, commitment: &ModelCommitment) -> Vec<u8> {
    let program = program.to_bytes();
    let length = (program.len() as u64).to_le_bytes();
    [MAGIC, length.as_slice(), &program, &commitment.to_bytes()].concat()
}

impl Published {
    /// Reads a file of [`to_bytes`], or a commitment alone as the library writes it; in that case, and
    /// if it is given, `program` is the file that the program is read from.
    ///
    /// # Errors
    /// If a file cannot be read or is neither; if there is no program.
    pub(crate) fn read(path: &Path, program: Option<&Path>) -> Result<Self, Failure> {
        let bytes = files::read(path, MAX_COMMITMENT)?;
        let (enclosed, commitment) = match bytes.strip_prefix(MAGIC.as_slice()) {
            Some(rest) => {
                let (enclosed, commitment) =
                    split(rest).ok_or_else(|| Failure::unreadable(path, "truncated"))?;
                (Some(enclosed), commitment)
            }
            None => (None, bytes.as_slice()),
        };
        let commitment =
            ModelCommitment::from_bytes(commitment).map_err(|e| Failure::unreadable(path, e))?;
        let decode = |bytes: &[u8], from: &Path| {
            let program = Program::from_bytes(bytes);
            program.map_err(|e| Failure::unreadable(from, e))
        };
        let (program, from) = match (program, enclosed) {
            (Some(from), _) => (decode(&files::read(from, MAX_PROGRAM)?, from)?, from),
            (None, Some(enclosed)) => (decode(enclosed, path)?, path),
            (None, None) => {
                let problem = "holds a commitment and no program: give it with --program FILE";
                let message = format!("{} {problem}", path.display());
                return Err(Failure::new(Kind::Usage, message));
            }
        };
        Ok(Self {
            program,
            commitment,
            from: from.to_owned(),
        })
    }
}

/// Program and commitment.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn lengths_are_checked() {
        let bytes = [&[2, 0, 0, 0, 0, 0, 0, 0], b"abcd".as_slice()].concat();
        assert_eq!(split(&bytes), Some((b"ab".as_slice(), b"cd".as_slice())));
        assert_eq!(split(&bytes[..9]), None);
        assert_eq!(split(&bytes[..7]), None);
        assert_eq!(split(&[255; 20]), None);
    }
}
