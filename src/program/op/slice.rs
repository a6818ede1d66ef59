use serde::{Deserialize, Serialize};

use super::{Op, Scope, Values};
use crate::{
    error::Error,
    program::{ProgramError, Register, Shape},
};

/// Entries `start..start + len`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// Any register.
    pub input: Register,
    /// The first entry.
    pub start: u32,
    /// Number of entries.
    pub len: u32,
}

impl Op for Slice {
    fn for_each_read(&mut self, f: &mut dyn FnMut(&mut Register)) {
        f(&mut self.input);
    }

    fn shape(&self, scope: &Scope<'_>) -> Result<Shape, ProgramError> {
        let read = scope.of(self.input);
        let end = u64::from(self.start) + u64::from(self.len);
        if self.len == 0 || end > read.len as u64 {
            return scope.fail("is not a part of its register");
        }
        Ok(Shape {
            len: self.len as usize,
            ..read
        })
    }

    fn evaluate(&self, values: &Values<'_>, shape: &Shape) -> Result<Vec<i64>, Error> {
        let start = self.start as usize;
        Ok(values.of(self.input)[start..start + shape.len].to_vec())
    }
}
