//! Sums of a linear form and of products, exact until they are rounded once.

use std::sync::Arc;

use super::{
    Lowerer, SumsReport, Wish,
    emit::{Summand, width_of},
    exp2,
    fit::{Encoding, Enlarging, fit},
    full, scale_of,
};
use crate::{
    error::Error,
    network::{
        SparseMatrix,
        form::{Form, Product},
        kernel::find_kernels,
        limit,
    },
    program::Register,
};

/// Bits of products that are rounded before they are added.
const PRODUCT_BITS: u8 = 16;
/// The least shift of sums whose unit is what it is.
const LEAST_SHIFT: u8 = 4;
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
        let block = self.block(form, wish.unit, wish.zero, Enlarging::Freely);
        if wish.fixed && !formats.fixed_shift && self.prescribed(k).is_none() {
            // Weights lose bits rather than that the unit would not do.
            let blocks = std::slice::from_ref(&block);
            while formats.shift > LEAST_SHIFT
                && fit(&self.label(k), blocks, &self.registers, formats)?.enlarged > 1.0
            {
                formats.shift -= 1;
                formats.common = formats.shift;
            }
        }
        let (register, fitted) = self.affine(k, block, formats)?;
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

    /// Sums of products: in one, if there are whole coefficients that bring all parts to one unit, or of
    /// products that are rounded to 16 bits each.
    fn sums_of_products(&mut self, k: usize, form: &Form, wish: Wish) -> Result<Sums, Error> {
        let (mark, nonzeros) = (self.emit.mark(), self.nonzeros);
        if let Some(sums) = self.one_sum(k, form, wish, false)? {
            return Ok(sums);
        }
        self.emit.go_back(mark);
        self.nonzeros = nonzeros;
        let known = self.registers.len();
        let mut linear = form.linear_part();
        for (p, product) in form.products.iter().enumerate() {
            let one = Form {
                len: form.len,
                terms: Vec::new(),
                constant: Vec::new(),
                products: vec![product.clone()],
                kernels: None,
            };
            let range = self.ranges.stages.get(k).and_then(|s| s.products.get(p));
            let own = Wish {
                unit: scale_of(range.map_or(0.0, |r| r.reach()), full(PRODUCT_BITS)),
                zero: 0.0,
                fixed: false,
                width: PRODUCT_BITS,
            };
            let mark = self.emit.mark();
            let sums = match self.one_sum(k, &one, own, false)? {
                Some(sums) => sums,
                None => {
                    self.emit.go_back(mark);
                    let sums = self.one_sum(k, &one, own, true)?;
                    sums.ok_or_else(|| self.no_room(k))?
                }
            };
            let register = self.emit.requantize(sums.register, 0, PRODUCT_BITS);
            linear.terms.push((
                self.registers.len(),
                Arc::new(SparseMatrix::identity(form.len)?),
            ));
            self.registers.push(self.emit.encoding(register, sums.unit));
        }
        find_kernels(&mut linear);
        let sums = self.sums(k, &linear, wish);
        self.registers.truncate(known);
        sums
    }

    fn no_room(&self, k: usize) -> Error {
        limit(
            "quantisation",
            format!("{}: its products do not fit an accumulator", self.label(k)),
        )
    }

    /// All parts brought to one unit; `None` if no accumulator holds them, or their coefficients would
    /// not follow from the shape alone, and must. With `exact` right factors are sums of any scale.
    fn one_sum(
        &mut self,
        k: usize,
        form: &Form,
        wish: Wish,
        exact: bool,
    ) -> Result<Option<Sums>, Error> {
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
                let unit = (wish.unit, wish.zero);
                let (left, real) = self.accumulate(k, form, unit, wish.width, exact)?;
                parts.push(Part {
                    real,
                    left,
                    right: None,
                });
            }
        }
        for product in &form.products {
            self.product(k, product, wish, exact, &mut parts)?;
        }
        let reals = parts.iter().map(|p| p.real.abs());
        let least = reals.fold(f64::INFINITY, f64::min);
        if !(least > 0.0 && least.is_finite()) {
            return Err(self.no_room(k));
        }
        let standard = self.precision.is_standard();
        let is_free = !wish.fixed && parts.len() == 1 && constant == 0.0;
        if standard && !is_free && !parts.iter().all(|p| is_power(p.real)) {
            return Ok(None);
        }
        // The shift from the finest part to what is wanted.
        let mut shift = (wish.unit / least).log2().ceil().max(0.0);
        let mut unit = wish.unit;
        if !wish.fixed {
            if standard {
                // As much as keeps all sums from saturating.
                let Some(summands) = coefficients(&parts, least) else {
                    return Ok(None);
                };
                let (bits, _) = width_of(self.emit.range(0, &summands));
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
        let constant = (constant / each).round();
        let summands = coefficients(&parts, each);
        let (Some(summands), true) = (summands, shift < 60.0 && constant.abs() < 2f64.powi(60))
        else {
            return Ok(None);
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "bounded"
        )]
        let (shift, constant) = (shift as u8, constant as i64);
        let Some((register, bits)) = self.emit.combine(constant, &summands, shift) else {
            return Ok(None);
        };
        Ok(Some(Sums {
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
        }))
    }

    /// The parts of a product: those of its right factor, each times the left.
    fn product(
        &mut self,
        k: usize,
        product: &Product,
        wish: Wish,
        exact: bool,
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
                let (register, real) = self.accumulate(k, left, (unit, 0.0), wish.width, true)?;
                Some((real, register))
            }
        };
        let Some((left_unit, left)) = left else {
            return Err(limit("quantisation", "a product of nothing"));
        };
        let factor = factor * left_unit;
        let addends = match exact {
            true => None,
            false => self.addends(right)?,
        };
        match addends {
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
                let (right, real) = self.accumulate(k, right, (unit, 0.0), wish.width, exact)?;
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

    /// The linear part of a form as an exact sum, and the real value of its unit; that is larger than asked
    /// for, if it must be and may.
    fn accumulate(
        &mut self,
        k: usize,
        form: &Form,
        (unit, zero): (f64, f64),
        width: u8,
        may_be_larger: bool,
    ) -> Result<(Register, f64), Error> {
        let linear = form.linear_part();
        let mut formats = self.formats([&linear], width, true);
        formats.rounded = false;
        let block = self.block(&linear, unit, zero, Enlarging::Doubling);
        let (register, fitted) = self.affine(k, block, formats)?;
        if fitted.enlarged > 1.0 && self.precision.is_standard() && !may_be_larger {
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
