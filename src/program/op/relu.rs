use serde::{Deserialize, Serialize};

use super::{Op, Scope, Values};
use crate::{
    error::Error,
    program::{ProgramError, Range, Register, Shape},
};

/// `max(x, 0)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relu {
    /// Any register.
    pub input: Register,
}

impl Op for Relu {
    fn for_each_read(&mut self, f: &mut dyn FnMut(&mut Register)) {
        f(&mut self.input);
    }

    fn shape(&self, scope: &Scope<'_>) -> Result<Shape, ProgramError> {
        let read = scope.of(self.input);
        Ok(Shape {
            len: read.len,
            range: Range {
                least: read.range.least.max(0),
                most: read.range.most.max(0),
            },
        })
    }

    fn evaluate(&self, values: &Values<'_>, _: &Shape) -> Result<Vec<i64>, Error> {
        Ok(values.of(self.input).iter().map(|x| (*x).max(0)).collect())
    }
}
