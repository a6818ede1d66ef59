//! What a prover keeps from run to run, so that all proofs have one commitment. Secret.
//!
//! A folder with `program`, `commitment` (both public), `integers` and `blinding` (secret), and
//! `state.json`, which is written last: the scales and the digest of the model file. All of it is
//! readable by its owner only.

use std::{
    fs,
    path::{Path, PathBuf},
};

use layerfold::{BlindingSeed, ModelCommitment, Scales, program::Program, weights::WeightBank};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    console::{Failure, Kind},
    files,
    published::{MAX_COMMITMENT, MAX_PROGRAM},
    weights,
};

const FORMAT: u32 = 1;
/// Longest weights.
const MAX_WEIGHTS: u64 = 1 << 34;
const MAX_SMALL: u64 = 1 << 16;

/// What is kept.
pub(crate) struct State {
    pub(crate) program: Program,
    pub(crate) bank: WeightBank,
    pub(crate) scales: Scales,
    /// Whether its rows are the frames of one sequence.
    pub(crate) is_sequence: bool,
    pub(crate) seed: BlindingSeed,
}

/// `state.json`.
#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    /// SHA3-256 of the model file.
    model_file: String,
    scales: serde_json::Value,
    is_sequence: bool,
}

/// A folder for a state.
pub(crate) struct Folder<'a>(pub(crate) &'a Path);

impl Folder<'_> {
    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The state in this folder, `None` if there is none.
    ///
    /// # Errors
    /// If it is of another model file, or a file is missing or damaged.
    pub(crate) fn load(&self, model_file: &[u8; 32]) -> Result<Option<State>, Failure> {
        let path = self.file("state.json");
        if !fs::exists(&path).map_err(|e| Failure::io(&path, &e))? {
            return Ok(None);
        }
        let header: Header = serde_json::from_slice(&files::read(&path, MAX_SMALL)?)
            .map_err(|e| Failure::unreadable(&path, e))?;
        if header.format != FORMAT {
            return Err(Failure::unreadable(&path, "made by another version"));
        }
        if header.model_file != *hex(model_file) {
            return Err(Failure::new(
                Kind::Usage,
                format!("the state in {} is of another model", self.0.display()),
            ));
        }
        let path_of_program = self.file("program");
        let program = Program::from_bytes(&files::read(&path_of_program, MAX_PROGRAM)?)
            .map_err(|e| Failure::unreadable(&path_of_program, e))?;
        let scales = scales(header.scales, Some(&program))
            .ok_or_else(|| Failure::unreadable(&path, "damaged scales"))?;
        let integers = self.file("integers");
        let bank = weights::from_bytes(&files::read(&integers, MAX_WEIGHTS)?)
            .map_err(|e| Failure::unreadable(&integers, e))?;
        Ok(Some(State {
            program,
            bank,
            scales,
            is_sequence: header.is_sequence,
            seed: read_seed(&self.file("blinding"))?,
        }))
    }

    /// The commitment of the state in this folder.
    pub(crate) fn commitment(&self) -> Result<ModelCommitment, Failure> {
        let path = self.file("commitment");
        ModelCommitment::from_bytes(&files::read(&path, MAX_COMMITMENT)?)
            .map_err(|e| Failure::unreadable(&path, e))
    }

    /// Keeps a state; it is there once it is [sealed](Self::seal).
    pub(crate) fn store(&self, state: &State) -> Result<(), Failure> {
        files::make_secret_folder(self.0)?;
        let write = |name, bytes: &[u8]| files::write_secret(&self.file(name), bytes);
        write("program", &state.program.to_bytes())?;
        write("integers", &weights::to_bytes(&state.bank))?;
        write("blinding", hex(state.seed.as_bytes()).as_bytes())
    }

    /// Completes a state with its commitment and the digest of the model file.
    pub(crate) fn seal(
        &self,
        model_file: &[u8; 32],
        scales: Scales,
        is_sequence: bool,
        commitment: &ModelCommitment,
    ) -> Result<(), Failure> {
        let path = self.file("state.json");
        files::write_secret(&self.file("commitment"), &commitment.to_bytes())?;
        let json = |e| Failure::unreadable(&path, e);
        let header = Header {
            format: FORMAT,
            model_file: hex(model_file).to_string(),
            scales: serde_json::to_value(scales).map_err(json)?,
            is_sequence,
        };
        files::write_secret(&path, &serde_json::to_vec_pretty(&header).map_err(json)?)
    }
}

/// The seed in a file, which is made if it is not there.
pub(crate) fn seed_at(path: &Path) -> Result<BlindingSeed, Failure> {
    if fs::exists(path).map_err(|e| Failure::io(path, &e))? {
        return read_seed(path);
    }
    let seed = BlindingSeed::random();
    files::write_secret(path, hex(seed.as_bytes()).as_bytes())?;
    Ok(seed)
}

fn read_seed(path: &Path) -> Result<BlindingSeed, Failure> {
    let text = files::read(path, MAX_SMALL)?;
    let mut bytes = Zeroizing::new([0; 32]);
    let digits = text.trim_ascii();
    let digit = |c: u8| {
        char::from(c)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let pairs = digits.chunks_exact(2).map(|pair| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    });
    let mut good = digits.len() == 64;
    for (byte, found) in bytes.iter_mut().zip(pairs) {
        good &= found.is_some();
        *byte = found.unwrap_or(0);
    }
    match good {
        true => Ok(BlindingSeed::from_bytes(*bytes)),
        false => Err(Failure::unreadable(
            path,
            "not a seed of 64 hexadecimal digits",
        )),
    }
}

/// Scales from JSON, if they are sound and fit the program.
pub(crate) fn scales(value: serde_json::Value, program: Option<&Program>) -> Option<Scales> {
    let width = value.get("width")?.as_u64()?;
    let inputs = value.get("inputs")?.as_u64()?;
    let scales: Scales = serde_json::from_value(value).ok()?;
    let sound = |x: f64| x.is_finite() && x > 0.0;
    let fits = |program: &Program| {
        let frame = program.frame();
        u64::from(frame.width) == width && u64::from(frame.len) == inputs
    };
    let all = sound(scales.input) && sound(scales.output) && program.is_none_or(fits);
    all.then_some(scales)
}

fn hex(bytes: &[u8; 32]) -> Zeroizing<String> {
    Zeroizing::new(hex::encode(bytes))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.secret");
        let seed = seed_at(&path).unwrap();
        assert!(seed_at(&path).unwrap() == seed);
        for bad in ["", "00", &"0".repeat(63), &"g".repeat(64), &"0".repeat(66)] {
            fs::write(&path, bad).unwrap();
            assert!(seed_at(&path).is_err(), "{bad}");
        }
    }

    #[test]
    fn scales_are_checked() {
        let good = serde_json::json!({"input": 0.5, "output": 0.25, "inputs": 3, "width": 8});
        assert!(scales(good.clone(), None).is_some());
        for (key, value) in [("input", 0.0), ("output", -1.0)] {
            let mut bad = good.clone();
            bad[key] = value.into();
            assert!(scales(bad, None).is_none());
        }
        assert!(scales(serde_json::json!({}), None).is_none());
    }
}
