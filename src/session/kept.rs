//! A run whose frames are kept as integers, to be proved as a trace.

use zeroize::Zeroize;

use super::fixed::{Fixed, NO_FRAME, Proved};
use crate::{
    error::Error,
    program::Emission,
    proof::{Argument, Vectors},
    statement::{InputVisibility, OutputVisibility},
    trace::{RowKind, TraceRun},
};

/// The frames so far, and what the last of them left.
pub(super) struct Kept {
    frames: Vec<Vec<i64>>,
    /// Parts of the carried vector.
    carried: Vec<Vec<i64>>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.frames.zeroize();
        self.carried.zeroize();
    }
}

impl Kept {
    /// Before the first frame.
    pub(super) fn new(fixed: &Fixed) -> Result<Self, Error> {
        let program = fixed.params.program();
        Ok(Self {
            frames: Vec::new(),
            carried: program.initial_with(&fixed.parameters)?,
        })
    }

    /// In order.
    pub(super) fn frames(&self) -> &[Vec<i64>] {
        &self.frames
    }

    /// Runs one frame; gives its output. An error leaves the run as it was.
    pub(super) fn push(&mut self, fixed: &Fixed, frame: &[i64]) -> Result<Vec<i64>, Error> {
        let mut carried = self.carried.clone();
        let program = fixed.params.program();
        let output = program.run(fixed.bank.bank(), &mut carried, frame)?;
        self.carried = carried;
        self.frames.push(frame.to_vec());
        Ok(output)
    }

    /// Proves all frames so far.
    pub(super) fn prove(&self, fixed: &Fixed) -> Result<Proved, Error> {
        if self.frames.is_empty() {
            return Err(Error::usage(NO_FRAME));
        }
        let inner = &fixed.params.0;
        let frames = self.frames.len() as u64;
        let emission = inner.program.emission();
        let run = TraceRun {
            bank: &fixed.bank,
            visibility: fixed.visibility,
            context: &fixed.context,
            parameters: &fixed.parameters,
            own_rows: fixed.own_rows(),
            fast: fixed.fast,
            frames: &self.frames,
            salt: &|kind, index| match (kind, emission) {
                (RowKind::Input, _) => fixed.salts.input(index),
                (RowKind::Output, Emission::Each) => fixed.salts.output(index),
                // The only one is that of the last frame.
                (RowKind::Output, Emission::Last) => fixed.salts.output(frames - 1),
            },
        };
        let key = inner.trace()?;
        let outcome = inner.with_generators(|| key.prove(&run))?;
        let hidden = |what, digest: Option<[u8; 32]>| {
            digest
                .map(Vectors::Digest)
                .ok_or_else(|| Error::proving("trace", what))
        };
        Ok(Proved {
            argument: Argument::Trace(outcome.proof),
            inputs: match fixed.visibility.inputs {
                InputVisibility::Public => None,
                InputVisibility::Private => Some(hidden("inputs have no digest", outcome.inputs)?),
            },
            outputs: match fixed.visibility.outputs {
                OutputVisibility::Public => None,
                OutputVisibility::Hidden => {
                    Some(hidden("outputs have no digest", outcome.outputs)?)
                }
            },
        })
    }
}
