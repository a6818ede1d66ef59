use serde::{Deserialize, Serialize};

use super::{Op, Scope, Values};
use crate::{
    error::Error,
    program::{
        ProgramError, Range, Register, Shape,
        validate::{width, within},
    },
};

/// `clamp(⌊(y + 2^(shift−1)) / 2^(shift+drop)⌋, −2^(width−1), 2^(width−1) − 1)`: rounded to units of
/// `2^shift`, and the lowest `drop` bits of that cut off. There is no rounding term if `shift = 0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requantize {
    /// Any register.
    pub input: Register,
    /// Bits that are rounded off.
    pub shift: u8,
    /// Bits that are cut off after rounding.
    pub drop: u8,
    /// Bits of the result.
    pub width: u8,
}

/// The function of [`Requantize`] on one integer.
#[must_use]
pub fn requantize(y: i64, shift: u32, drop: u32, width: u32) -> i64 {
    layerfold_gadgets::requantize::requantize_drop_native(y, shift, drop, width)
}

impl Requantize {
    /// `2^(shift−1)`, 0 if `shift = 0`.
    pub(crate) fn rounding(&self) -> i64 {
        match self.shift {
            0 => 0,
            shift => 1 << (shift.min(62) - 1),
        }
    }

    fn of(&self, y: i64) -> i64 {
        requantize(y, self.shift.into(), self.drop.into(), self.width.into())
    }
}

impl Op for Requantize {
    fn for_each_read(&mut self, f: &mut dyn FnMut(&mut Register)) {
        f(&mut self.input);
    }

    fn shape(&self, scope: &Scope<'_>) -> Result<Shape, ProgramError> {
        width("width of a requantised value", self.width)?;
        within("shift", self.shift.into(), 0, 60)?;
        within(
            "bits cut off",
            u64::from(self.shift) + u64::from(self.drop),
            0,
            60,
        )?;
        let read = scope.of(self.input);
        // Saturation and rounding keep the order.
        Ok(Shape {
            len: read.len,
            range: Range {
                least: self.of(read.range.least),
                most: self.of(read.range.most),
            },
        })
    }

    fn evaluate(&self, values: &Values<'_>, _: &Shape) -> Result<Vec<i64>, Error> {
        Ok(values.of(self.input).iter().map(|y| self.of(*y)).collect())
    }
}
