use serde::{Deserialize, Serialize};

use super::{Op, Scope, Values};
use crate::{
    error::Error,
    program::{ProgramError, Register, Shape, validate::within},
};

/// `[x = c]` for `c = 0, …, len − 1`; bits, all 0 if `x` is none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Indicators {
    /// A register of one entry.
    pub input: Register,
    /// Number of bits.
    pub len: u32,
}

impl Op for Indicators {
    fn for_each_read(&mut self, f: &mut dyn FnMut(&mut Register)) {
        f(&mut self.input);
    }

    fn shape(&self, scope: &Scope<'_>) -> Result<Shape, ProgramError> {
        within("number of indicators", self.len.into(), 1, 1 << 12)?;
        if scope.of(self.input).len != 1 {
            return scope.fail("does not read one entry");
        }
        Ok(Shape::bits(self.len as usize))
    }

    fn evaluate(&self, values: &Values<'_>, _: &Shape) -> Result<Vec<i64>, Error> {
        let x = values.of(self.input)[0];
        Ok((0..i64::from(self.len))
            .map(|c| i64::from(x == c))
            .collect())
    }
}
