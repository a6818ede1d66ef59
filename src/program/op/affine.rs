use serde::{Deserialize, Serialize};

use super::{Op, Scope, Values, fit};
use crate::{
    error::Error,
    program::{
        ProgramError, Range, Register, Shape,
        validate::{MAX_ENTRIES, MAX_FACTOR, within},
    },
};

/// One product `A·x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// Index of the map.
    pub map: u32,
    /// The register it is applied to.
    pub input: Register,
}

/// `y = Σ_b A_b·x_b`, the bias of the first term's map included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affine {
    /// The products that are summed.
    pub terms: Vec<Term>,
    /// `|y| ≤ reach` is a promise of the model, checked when the weights are committed.
    pub reach: u64,
}

impl Affine {
    /// The reach with which sums of `bits` bits can be rounded after a shift by `shift` bits:
    /// `2^(bits−1) − 2^(shift−1) − 1`.
    #[must_use]
    pub fn reach_of(bits: u8, shift: u8) -> u64 {
        let rounding = match shift {
            0 => 0,
            _ => 1u64 << (shift.min(63) - 1),
        };
        (1u64 << (bits.clamp(1, 62) - 1)).saturating_sub(rounding + 1)
    }
}

impl Op for Affine {
    fn for_each_read(&mut self, f: &mut dyn FnMut(&mut Register)) {
        self.terms.iter_mut().for_each(|t| f(&mut t.input));
    }

    fn shape(&self, scope: &Scope<'_>) -> Result<Shape, ProgramError> {
        within(
            "terms of an affine operation",
            self.terms.len() as u64,
            1,
            1 << 10,
        )?;
        within("reach of an affine operation", self.reach, 1, (1 << 61) - 1)?;
        let mut rows = None;
        for term in &self.terms {
            let Some(map) = scope.maps.get(term.map as usize) else {
                return scope.fail("names a map that does not exist");
            };
            let read = scope.of(term.input);
            // Products with 16-bit weights are summed in 64 bits.
            if read.range.reach() > MAX_FACTOR {
                return scope.fail("multiplies entries of more than 16 bits with a map");
            }
            if map.columns as usize != read.len || *rows.get_or_insert(map.rows) != map.rows {
                return scope.fail("has a map that does not fit what it reads, or another map");
            }
        }
        let rows = rows.unwrap_or(0);
        within("rows of an affine operation", rows.into(), 1, MAX_ENTRIES)?;
        Ok(Shape {
            len: rows as usize,
            range: Range::within(self.reach),
        })
    }

    fn evaluate(&self, values: &Values<'_>, shape: &Shape) -> Result<Vec<i64>, Error> {
        let mut y = vec![0i128; shape.len];
        for (k, term) in self.terms.iter().enumerate() {
            values.bank.maps()[term.map as usize].accumulate(values.of(term.input), k == 0, &mut y);
        }
        fit(y, shape.range)
    }
}
