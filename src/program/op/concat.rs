use serde::{Deserialize, Serialize};

use super::{Op, Scope, Values};
use crate::{
    error::Error,
    program::{
        ProgramError, Range, Register, Shape,
        validate::{MAX_ENTRIES, within},
    },
};

/// One register after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concat {
    /// Any registers.
    pub inputs: Vec<Register>,
}

impl Op for Concat {
    fn for_each_read(&mut self, f: &mut dyn FnMut(&mut Register)) {
        self.inputs.iter_mut().for_each(f);
    }

    fn shape(&self, scope: &Scope<'_>) -> Result<Shape, ProgramError> {
        within(
            "parts of a concatenation",
            self.inputs.len() as u64,
            1,
            1 << 8,
        )?;
        let parts = self.inputs.iter().map(|r| scope.of(*r));
        let len: u64 = parts.clone().map(|s| s.len as u64).sum();
        within("length of a concatenation", len, 1, MAX_ENTRIES)?;
        let range = parts.map(|s| s.range).reduce(Range::hull);
        Ok(Shape {
            len: len as usize,
            range: range.unwrap_or(Range::BIT),
        })
    }

    fn evaluate(&self, values: &Values<'_>, _: &Shape) -> Result<Vec<i64>, Error> {
        let parts = self.inputs.iter().map(|r| values.of(*r));
        Ok(parts.flatten().copied().collect())
    }
}
