use serde::{Deserialize, Serialize};

use super::{Op, Scope, Values};
use crate::{
    error::Error,
    program::{ProgramError, Register, Shape},
};

/// `[x ≥ 0]`, entry by entry; bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sign {
    /// Any register.
    pub input: Register,
}

impl Op for Sign {
    fn for_each_read(&mut self, f: &mut dyn FnMut(&mut Register)) {
        f(&mut self.input);
    }

    fn shape(&self, scope: &Scope<'_>) -> Result<Shape, ProgramError> {
        Ok(Shape::bits(scope.of(self.input).len))
    }

    fn evaluate(&self, values: &Values<'_>, _: &Shape) -> Result<Vec<i64>, Error> {
        let bits = values.of(self.input).iter().map(|y| i64::from(*y >= 0));
        Ok(bits.collect())
    }
}
