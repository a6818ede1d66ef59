use serde::{Deserialize, Serialize};

use super::{Op, Scope, Values, fit};
use crate::{
    error::Error,
    program::{
        ProgramError, Range, Register, Shape, Window,
        validate::{MAX_ENTRIES, MAX_FACTOR, within},
    },
};

/// One product `A·x`, or one for every position of a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// Index of the map.
    pub map: u32,
    /// The register it is applied to.
    pub input: Register,
    /// What of the register, if not all of it, once.
    pub window: Option<Window>,
}

/// `y = Σ_b A_b·x_b`, the bias of the first term's map included.
///
/// With windows, which all terms have then, of as many positions and one order, `y` has an entry for
/// each row of the maps and each position; the bias of a row is added at every position.
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
        let (mut rows, mut layout) = (None, None);
        for term in &self.terms {
            let Some(map) = scope.maps.get(term.map as usize) else {
                return scope.fail("names a map that does not exist");
            };
            let read = scope.of(term.input);
            // Products with 16-bit weights are summed in 64 bits.
            if read.range.reach() > MAX_FACTOR {
                return scope.fail("multiplies entries of more than 16 bits with a map");
            }
            let columns = match &term.window {
                None => read.len,
                Some(window) => {
                    window.check(read.len)?;
                    window.columns()
                }
            };
            if map.columns as usize != columns || *rows.get_or_insert(map.rows) != map.rows {
                return scope.fail("has a map that does not fit what it reads, or another map");
            }
            let own = term.window.as_ref().map(|w| (w.positions(), w.order));
            if *layout.get_or_insert(own) != own {
                return scope.fail("has terms of several numbers of positions, or orders");
            }
        }
        let positions = layout.flatten().map_or(1, |(positions, _)| positions);
        let len = u64::from(rows.unwrap_or(0)).saturating_mul(positions as u64);
        within("rows of an affine operation", len, 1, MAX_ENTRIES)?;
        Ok(Shape {
            len: len as usize,
            range: Range::within(self.reach),
        })
    }

    fn evaluate(&self, values: &Values<'_>, shape: &Shape) -> Result<Vec<i64>, Error> {
        let mut y = vec![0i128; shape.len];
        for (k, term) in self.terms.iter().enumerate() {
            let map = &values.bank.maps()[term.map as usize];
            map.accumulate_at(term.window.as_ref(), values.of(term.input), k == 0, &mut y);
        }
        fit(y, shape.range)
    }
}
