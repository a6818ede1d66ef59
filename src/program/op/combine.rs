use serde::{Deserialize, Serialize};

use super::{Op, Scope, Values, fit};
use crate::{
    error::Error,
    program::{ProgramError, Range, Register, Shape},
};

/// Most summands, and most different registers in them.
const MAX_MONOMIALS: usize = 16;
const MAX_FACTORS: usize = 8;

/// `coefficient·left·right`, or `coefficient·left`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monomial {
    /// A constant.
    pub coefficient: i32,
    /// A register.
    pub left: Register,
    /// Another register.
    pub right: Option<Register>,
}

/// Entry by entry, `constant + Σ_t coefficient_t·left_t·right_t`, exact.
///
/// Products, sums, complements (one minus `x`) and blends of registers are of this form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Combine {
    /// Added to the sum.
    pub constant: i64,
    /// The summands.
    pub monomials: Vec<Monomial>,
}

impl Combine {
    /// A sum of `(coefficient, left, right)`.
    #[must_use]
    pub fn new(constant: i64, terms: &[(i32, Register, Option<Register>)]) -> Self {
        let monomials = terms.iter().map(|(coefficient, left, right)| Monomial {
            coefficient: *coefficient,
            left: *left,
            right: *right,
        });
        Self {
            constant,
            monomials: monomials.collect(),
        }
    }

    /// The least and the largest value of the sum over all values of the registers; `None` if there
    /// are too many registers or the values are too large.
    ///
    /// The sum is linear in each register, none being multiplied with itself, so both are taken
    /// where every register is at one of its ends.
    pub(crate) fn extremes(&self, ranges: &dyn Fn(Register) -> Range) -> Option<(i128, i128)> {
        let factors = |m: &Monomial| std::iter::once(m.left).chain(m.right);
        let mut registers: Vec<Register> = self.monomials.iter().flat_map(factors).collect();
        registers.sort_unstable();
        registers.dedup();
        if registers.len() > MAX_FACTORS {
            return None;
        }
        let mut extremes: Option<(i128, i128)> = None;
        for corner in 0u32..1 << registers.len() {
            let value = |r: Register| {
                let at = registers.iter().position(|x| *x == r)?;
                let range = ranges(r);
                Some(i128::from(match corner >> at & 1 {
                    1 => range.most,
                    _ => range.least,
                }))
            };
            let mut y = i128::from(self.constant);
            for m in &self.monomials {
                let right = match m.right {
                    Some(right) => value(right)?,
                    None => 1,
                };
                let term = value(m.left)?.checked_mul(right)?;
                y = y.checked_add(term.checked_mul(m.coefficient.into())?)?;
            }
            let (least, most) = extremes.unwrap_or((y, y));
            extremes = Some((least.min(y), most.max(y)));
        }
        extremes
    }
}

impl Op for Combine {
    fn for_each_read(&mut self, f: &mut dyn FnMut(&mut Register)) {
        for m in &mut self.monomials {
            f(&mut m.left);
            if let Some(right) = &mut m.right {
                f(right);
            }
        }
    }

    fn shape(&self, scope: &Scope<'_>) -> Result<Shape, ProgramError> {
        let (1..=MAX_MONOMIALS, Some(first)) = (self.monomials.len(), self.monomials.first())
        else {
            return scope.fail("has no summand, or too many");
        };
        let len = scope.of(first.left).len;
        for m in &self.monomials {
            let lens = std::iter::once(m.left).chain(m.right);
            if lens.map(|r| scope.of(r).len).any(|n| n != len) {
                return scope.fail("sums registers of different lengths");
            }
            if m.right == Some(m.left) {
                return scope.fail("multiplies a register with itself");
            }
        }
        match self.extremes(&|r| scope.of(r).range) {
            Some((least, most)) => Ok(Shape {
                len,
                range: scope.range(least, most)?,
            }),
            None => scope.fail("sums too many registers"),
        }
    }

    fn evaluate(&self, values: &Values<'_>, shape: &Shape) -> Result<Vec<i64>, Error> {
        let mut sums = vec![i128::from(self.constant); shape.len];
        for m in &self.monomials {
            let left = values.of(m.left);
            let right = m.right.map(|r| values.of(r));
            for (i, (sum, left)) in sums.iter_mut().zip(left).enumerate() {
                let right = right.map_or(1, |r| r[i]);
                *sum += i128::from(m.coefficient) * i128::from(*left) * i128::from(right);
            }
        }
        fit(sums, shape.range)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn extremes_of_a_blend_are_exact() {
        // 2^4·n + z·(h − n), 0 ≤ z ≤ 15: between the least and the largest of n and h.
        let [n, z, h] = [0, 1, 2].map(Register::result_of);
        let blend = Combine::new(0, &[(16, n, None), (1, z, Some(h)), (-1, z, Some(n))]);
        let extremes = |gate: Range| {
            let range = |r| if r == z { gate } else { Range::signed(8) };
            blend.extremes(&range).unwrap()
        };
        assert_eq!(extremes(Range { least: 0, most: 15 }), (-2048, 127 * 16));
        // As if z were any byte.
        assert_eq!(extremes(Range::signed(8)).1, 127 * 16 + 128 * 255);
    }
}
