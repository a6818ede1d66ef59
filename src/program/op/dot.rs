use serde::{Deserialize, Serialize};

use super::{Op, Scope, Values, fit};
use crate::{
    error::Error,
    program::{ProgramError, Register, Shape},
};

/// `Σ_i coefficient_i·x[i]`, a register of one entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dot {
    /// Any register.
    pub input: Register,
    /// As many as the register has entries.
    pub coefficients: Vec<i32>,
}

impl Op for Dot {
    fn for_each_read(&mut self, f: &mut dyn FnMut(&mut Register)) {
        f(&mut self.input);
    }

    fn shape(&self, scope: &Scope<'_>) -> Result<Shape, ProgramError> {
        let read = scope.of(self.input);
        if self.coefficients.len() != read.len {
            return scope.fail("does not have one coefficient for each entry");
        }
        let (mut least, mut most) = (0i128, 0i128);
        for c in &self.coefficients {
            let ends = [read.range.least, read.range.most].map(|x| i128::from(x) * i128::from(*c));
            least += ends[0].min(ends[1]);
            most += ends[0].max(ends[1]);
        }
        Ok(Shape {
            len: 1,
            range: scope.range(least, most)?,
        })
    }

    fn evaluate(&self, values: &Values<'_>, shape: &Shape) -> Result<Vec<i64>, Error> {
        let products = values.of(self.input).iter().zip(&self.coefficients);
        let sum = products.map(|(x, c)| i128::from(*x) * i128::from(*c)).sum();
        fit(vec![sum], shape.range)
    }
}
