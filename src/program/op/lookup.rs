use serde::{Deserialize, Serialize};

use super::{Op, Scope, Values};
use crate::{
    error::Error,
    program::{ProgramError, Register, Shape},
};

/// The value of a table at every entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookup {
    /// A register whose entries the table has values for.
    pub input: Register,
    /// Index of the table.
    pub table: u32,
}

impl Op for Lookup {
    fn for_each_read(&mut self, f: &mut dyn FnMut(&mut Register)) {
        f(&mut self.input);
    }

    fn shape(&self, scope: &Scope<'_>) -> Result<Shape, ProgramError> {
        let Some(table) = scope.tables.get(self.table as usize) else {
            return scope.fail("names a table that does not exist");
        };
        let read = scope.of(self.input);
        if !table.domain().contains(read.range) {
            return scope.fail("looks up entries that the table has no value for");
        }
        Ok(Shape {
            len: read.len,
            range: table.range(),
        })
    }

    fn evaluate(&self, values: &Values<'_>, _: &Shape) -> Result<Vec<i64>, Error> {
        let table = &values.tables[self.table as usize];
        Ok(values.of(self.input).iter().map(|x| table.at(*x)).collect())
    }
}
