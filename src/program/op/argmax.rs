use serde::{Deserialize, Serialize};

use super::{Op, Scope, Values};
use crate::{
    error::Error,
    program::{ProgramError, Register, Shape},
};

/// The one-hot vector of the largest entry, of equal ones the first; bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArgMax {
    /// Any register.
    pub input: Register,
}

impl Op for ArgMax {
    fn for_each_read(&mut self, f: &mut dyn FnMut(&mut Register)) {
        f(&mut self.input);
    }

    fn shape(&self, scope: &Scope<'_>) -> Result<Shape, ProgramError> {
        Ok(Shape::bits(scope.of(self.input).len))
    }

    fn evaluate(&self, values: &Values<'_>, _: &Shape) -> Result<Vec<i64>, Error> {
        let x = values.of(self.input);
        let at = layerfold_gadgets::compare::argmax_native(x);
        Ok((0..x.len()).map(|i| i64::from(Some(i) == at)).collect())
    }
}
