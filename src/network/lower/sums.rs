//! Sums of a linear form and of products, exact until they are rounded once.

use super::{
    Lowerer, SumsReport, Wish,
    emit::{Summand, width_of},
    exp2,
    fit::{Block, Encoding, Enlarging},
};
use crate::{
    error::Error,
    network::{
        form::{Form, Product},
        limit,
    },
    program::Register,
};

/// Binary digits of coefficients that no whole number is.
const FRACTION: i32 = 10;

/// An accumulator that is to be rounded.
pub(super) struct Sums {
    pub(super) register: Register,
    pub(super) shift: u8,
    /// Real value of one unit after the shift.
    pub(super) unit: f64,
    pub(super) report: SumsReport,
}

/// `left·right` or `left`, times a real number.
struct Part {
    real: f64,
    left: Register,
    right: Option<Register>,
}

impl Lowerer<'_> {
    /// The sums of a form, whose unit is as wished, or larger if it may be.
    pub(super) fn sums(&mut self, k: usize, form: &Form, wish: Wish) -> Result<Sums, Error> {
        if !form.products.is_empty() {
            return self.sums_of_products(k, form, wish);
        }
        let mut formats = self.formats([form], wish.width, wish.fixed);
        if wish.fixed && !formats.fixed_bits {
            formats.bits = formats.most;
        }
        let block = Block {
            form,
            unit: wish.unit,
            zero: wish.zero,
            enlarging: Enlarging::Freely,
        };
        let (register, fitted) = self.affine(k, &[block], formats)?;
        if wish.fixed && fitted.enlarged > 1.0 {
            self.unfit = self
                .prescribed(k)
                .map(|(state, _)| (state, fitted.enlarged));
            return Err(self.too_small(k));
        }
        Ok(Sums {
            register,
            shift: fitted.shift,
            unit: fitted.units[0],
            report: SumsReport::of(&fitted),
        })
    }

    /// Sums of products: all parts are brought to one unit by whole coefficients.
    fn sums_of_products(&mut self, k: usize, form: &Form, wish: Wish) -> Result<Sums, Error> {
        let before = self.nonzeros;
        let mut parts = Vec::new();
        let mut constant = 0.0;
        match self.addends(form)? {
            Some((addends, own)) => {
                parts.extend(addends.into_iter().map(|(real, left)| Part {
                    real,
                    left,
                    right: None,
                }));
                constant = own - wish.zero;
            }
            None => {
                let (left, real) = self.accumulate(k, form, wish.unit, wish.zero, wish.width)?;
                parts.push(Part {
                    real,
                    left,
                    right: None,
                });
            }
        }
        for product in &form.products {
            self.product(k, product, wish, &mut parts)?;
        }
        let least = parts
            .iter()
            .map(|p| p.real.abs())
            .fold(f64::INFINITY, f64::min);
        if !(least > 0.0 && least.is_finite()) {
            return Err(limit(
                "quantisation",
                format!(
                    "{}: the units of its products are out of range",
                    self.label(k)
                ),
            ));
        }
        let standard = self.precision.is_standard();
        if standard && !wish.fixed && parts.len() > 1 && !parts.iter().all(|p| is_power(p.real)) {
            return Err(limit(
                "quantisation",
                format!(
                    "{}: standard precision cannot add products of values whose scales come from calibration",
                    self.label(k)
                ),
            ));
        }
        // The shift from the finest part to what is wanted.
        let mut shift = (wish.unit / least).log2().ceil().max(0.0);
        let mut unit = wish.unit;
        if !wish.fixed {
            if standard {
                // As much as keeps all sums from saturating.
                let summands = coefficients(&parts, least);
                let range = self.emit.range(0, &summands.unwrap_or_default());
                let (bits, _) = width_of(range);
                shift = f64::from(bits.saturating_sub(wish.width));
            }
            unit = least * shift.exp2();
        }
        let mut each = unit / shift.exp2();
        let is_whole = |p: &Part| ((p.real / each).round() - p.real / each).abs() < 1e-6;
        if !parts.iter().all(is_whole) {
            shift += f64::from(FRACTION);
            each = unit / shift.exp2();
        }
        let fail = || {
            limit(
                "quantisation",
                format!("{}: its products do not fit an accumulator", self.label(k)),
            )
        };
        let summands = coefficients(&parts, each).ok_or_else(fail)?;
        #[expect(clippy::cast_possible_truncation, reason = "checked by the range")]
        let constant = (constant / each).round() as i64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped"
        )]
        let shift = shift.clamp(0.0, 60.0) as u8;
        let combined = self.emit.combine(constant, &summands, shift);
        let Some((register, bits)) = combined else {
            return Err(limit(
                "quantisation",
                format!("{}: its products do not fit an accumulator", self.label(k)),
            ));
        };
        Ok(Sums {
            register,
            shift,
            unit,
            report: SumsReport {
                shift,
                bits,
                enlarged: (unit / wish.unit).max(1.0),
                max_weight: 0,
                nonzeros: self.nonzeros - before,
            },
        })
    }

    /// The parts of a product: those of its right factor, each times the left.
    fn product(
        &mut self,
        k: usize,
        product: &Product,
        wish: Wish,
        parts: &mut Vec<Part>,
    ) -> Result<(), Error> {
        let Product {
            factor,
            left,
            right,
        } = product;
        let left = match self.addends(left)? {
            Some((addends, _)) => addends.into_iter().next(),
            None => {
                // Not zero at zero: as an exact sum.
                let unit = left.terms.first().map_or(1.0, |t| self.registers[t.0].unit);
                let (register, real) = self.accumulate(k, left, unit, 0.0, wish.width)?;
                Some((real, register))
            }
        };
        let Some((left_unit, left)) = left else {
            return Err(limit("quantisation", "a product of nothing"));
        };
        let factor = factor * left_unit;
        match self.addends(right)? {
            Some((addends, constant)) => {
                for (real, register) in addends {
                    let right = match register == left {
                        // A register is not multiplied with itself.
                        true => self.emit.copy(register),
                        false => register,
                    };
                    parts.push(Part {
                        real: factor * real,
                        left,
                        right: Some(right),
                    });
                }
                if constant != 0.0 {
                    parts.push(Part {
                        real: factor * constant,
                        left,
                        right: None,
                    });
                }
            }
            None => {
                // The unit of what is wanted, but for a power of two.
                let unit = wish.unit / factor.abs();
                let unit = unit * factor.abs().log2().round().exp2();
                let (right, real) = self.accumulate(k, right, unit, 0.0, wish.width)?;
                parts.push(Part {
                    real: factor * real,
                    left,
                    right: Some(right),
                });
            }
        }
        Ok(())
    }

    /// The linear part of a form as multiples of registers, and a constant; `None` if it is no such sum.
    #[expect(clippy::type_complexity, reason = "used here only")]
    fn addends(&mut self, form: &Form) -> Result<Option<(Vec<(f64, Register)>, f64)>, Error> {
        let Some((slices, constant)) = form.addends() else {
            return Ok(None);
        };
        if slices.iter().any(|s| self.full[s.0].rest != 0.0) {
            return Ok(None);
        }
        let mut addends = Vec::new();
        for (register, start, factor) in slices {
            let Encoding {
                register: whole,
                unit,
                steps,
                ..
            } = self.full[register];
            let mut part = self.emit.slice(whole, start, form.len)?;
            if steps != 0 {
                part = self.emit.polynomial(steps, &[(1, part, None)]);
            }
            addends.push((factor * unit, part));
        }
        Ok(Some((addends, constant)))
    }

    /// The linear part of a form as an exact sum, and the real value of its unit.
    fn accumulate(
        &mut self,
        k: usize,
        form: &Form,
        unit: f64,
        zero: f64,
        width: u8,
    ) -> Result<(Register, f64), Error> {
        let linear = form.linear_part();
        let mut formats = self.formats([&linear], width, true);
        formats.rounded = false;
        let block = Block {
            form: &linear,
            unit,
            zero,
            enlarging: Enlarging::Doubling,
        };
        let (register, fitted) = self.affine(k, &[block], formats)?;
        if fitted.enlarged > 1.0 && self.precision.is_standard() {
            return Err(self.too_small(k));
        }
        Ok((register, fitted.units[0] / exp2(fitted.shift)))
    }
}

/// Whether a number is a power of two, but for its sign.
fn is_power(x: f64) -> bool {
    x.abs().log2().fract() == 0.0
}

/// The parts as whole multiples of a unit; `None` if one is too large.
fn coefficients(parts: &[Part], unit: f64) -> Option<Vec<Summand>> {
    parts
        .iter()
        .map(|p| {
            let coefficient = (p.real / unit).round();
            #[expect(clippy::cast_possible_truncation, reason = "checked")]
            let whole = coefficient as i32;
            (f64::from(whole) == coefficient).then_some((whole, p.left, p.right))
        })
        .collect()
}
