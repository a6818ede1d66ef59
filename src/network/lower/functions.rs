//! Functions by tables: of 256 values, or linear between 256.

use super::{
    Done, Encoding, Grid, Lowered, Lowerer, Rounded, Wish, exp2, integer, power_of_two, sums::Sums,
};
use crate::{
    error::Error,
    network::{
        Function,
        calibration::Range,
        form::{Form, Stage},
        limit, wrong,
    },
    program::Register,
};

/// Bits of a table's inputs.
const TABLE_BITS: u8 = 8;
/// Bits of the values between which a function is interpolated.
const POINT_BITS: u8 = 16;
/// The arguments that a standard table covers, if the function does not settle before.
const STANDARD_REACH: f64 = 8.0;

/// An 8-bit register that a table reads, or what it is to be rounded from.
struct Argument {
    register: Register,
    grid: Grid,
    rounded: Option<Rounded>,
    sums: Option<super::SumsReport>,
}

impl Lowerer<'_> {
    pub(super) fn function(
        &mut self,
        k: usize,
        stage: &Stage,
        form: &Form,
        function: &Function,
    ) -> Result<Done, Error> {
        match self.precision.width(k + 1) {
            TABLE_BITS => self.tabulated(k, stage, form, function),
            width @ 9.. => self.interpolated(k, stage, form, function, width),
            _ => Err(limit(
                "quantisation",
                format!(
                    "stage {k}: {} is a table, which needs 8 bits or more",
                    function.name()
                ),
            )),
        }
    }

    /// The arguments that a table covers.
    fn arguments(&self, k: usize, function: &Function) -> Range {
        let settles = function.settles_at();
        if self.precision.is_standard() {
            let reach = settles.unwrap_or(STANDARD_REACH);
            return Range {
                least: -reach,
                most: reach,
            };
        }
        let seen = self.ranges.stages[k].arguments[0];
        let reach = settles.unwrap_or(f64::INFINITY);
        Range {
            least: seen.least.clamp(-reach, reach),
            most: seen.most.clamp(-reach, reach),
        }
    }

    /// Sums in the units of a table's inputs: a power of two that covers the arguments, from 0 on if
    /// these have one sign.
    fn table_input(
        &mut self,
        k: usize,
        form: &Form,
        function: &Function,
        width: u8,
    ) -> Result<(Sums, Grid), Error> {
        let range = self.arguments(k, function);
        let half = exp2(width - 1);
        let one_sided = range.least >= 0.0 || range.most <= 0.0;
        let reach = range.reach();
        // The largest value may be one unit beyond.
        let mut unit = power_of_two(if one_sided { reach / 2.0 } else { reach } / half);
        for _ in 0..64 {
            // The centre moves with the unit.
            let zero = match (one_sided, range.least >= 0.0) {
                (false, _) => 0.0,
                (true, true) => half * unit,
                (true, false) => -half * unit,
            };
            let fits = form.products.is_empty() && !self.precision.is_standard();
            if fits && self.needs_larger(k, form, unit, zero, width)? {
                unit *= 2.0;
                continue;
            }
            let wish = Wish {
                unit,
                zero,
                fixed: true,
                width,
            };
            let mark = self.emit.mark();
            match self.sums(k, form, wish) {
                Ok(sums) => return Ok((sums, Grid { unit, zero, width })),
                Err(_) if !form.products.is_empty() && !self.precision.is_standard() => {
                    self.emit.go_back(mark);
                    unit *= 2.0;
                }
                Err(e) => return Err(e),
            }
        }
        Err(limit(
            "quantisation",
            format!("stage {k}: its sums do not fit any accumulator"),
        ))
    }

    /// Whether sums do not fit at a unit.
    fn needs_larger(
        &self,
        k: usize,
        form: &Form,
        unit: f64,
        zero: f64,
        width: u8,
    ) -> Result<bool, Error> {
        let block = self.block(form, unit, zero, super::Enlarging::Doubling);
        let mut formats = self.formats([form], width, true);
        if !formats.fixed_bits {
            formats.bits = formats.most;
        }
        let fitted = super::fit(&self.label(k), &[block], &self.registers, formats)?;
        Ok(fitted.enlarged > 1.0)
    }

    /// A register that the function is applied to as it stands, or its upper bits.
    fn direct(&mut self, k: usize, form: &Form, function: &Function) -> Option<Argument> {
        let register = form.as_register()?;
        let value = self.full[register];
        if value.width == TABLE_BITS && value.signed {
            return Some(Argument {
                register: value.register,
                grid: Grid {
                    unit: value.unit,
                    zero: value.value(0),
                    width: TABLE_BITS,
                },
                rounded: None,
                sums: None,
            });
        }
        let (sums, shift) = self.sources[register]?;
        if value.width < TABLE_BITS || !value.is_plain() {
            return None;
        }
        // As few bits are cut off as leave all arguments that matter.
        let reach = self.arguments(k, function).reach();
        let covers = |drop: u8| value.unit * exp2(drop + TABLE_BITS - 1) >= reach;
        let most = value.width - TABLE_BITS;
        let drop = (0..most).find(|drop| covers(*drop)).unwrap_or(most);
        let upper = self.emit.requantize(sums, drop, TABLE_BITS);
        let unit = value.unit * exp2(drop);
        Some(Argument {
            register: upper,
            grid: Grid {
                unit,
                zero: if drop > 0 { unit / 2.0 } else { 0.0 },
                width: TABLE_BITS,
            },
            rounded: Some(Rounded {
                sums,
                shift: shift + drop,
                result: upper,
                relu: false,
                wanted: true,
            }),
            sums: None,
        })
    }

    /// The values of a function at points, where it is finite; elsewhere those at the nearest argument
    /// that it covers, or at the nearest point.
    fn values(
        &self,
        k: usize,
        function: &Function,
        at: impl Iterator<Item = f64>,
    ) -> Result<Vec<f64>, Error> {
        let Range { least, most } = self.arguments(k, function);
        let points: Vec<f64> = at.collect();
        let value = |x: f64| Some(function.apply(x)).filter(|y| y.is_finite());
        points
            .iter()
            .map(|x| {
                let nearest = || {
                    let finite = points.iter().filter(|p| value(**p).is_some());
                    let nearest = finite.min_by(|a, b| (*a - x).abs().total_cmp(&(*b - x).abs()));
                    nearest.and_then(|p| value(*p))
                };
                let found = value(*x)
                    .or_else(|| value(x.clamp(least, most)))
                    .or_else(nearest);
                found.ok_or_else(|| {
                    wrong(
                        "quantisation",
                        format!("stage {k}: {} is not finite at {x}", function.name()),
                    )
                })
            })
            .collect()
    }

    /// The unit of a function's values, a power of two that covers them, and where they begin: at
    /// `-2^(w-1)` if none is negative, unless products read them or they are the output as they stand;
    /// the unit of a state that they become.
    fn table_output(&self, k: usize, width: u8, values: &[f64]) -> (f64, i64) {
        if let Some((_, unit)) = self.prescribed(k) {
            return (unit, 0);
        }
        let register = self.network.register_of(k);
        let mut range = Range {
            least: f64::INFINITY,
            most: f64::NEG_INFINITY,
        };
        match self.precision.is_standard() {
            true => range.add(values),
            false => range = self.ranges.stages[k].result,
        }
        let is_output = !self.network.argmax && self.network.output.as_register() == Some(register);
        let half = 1i64 << (width - 1);
        // The largest value may be one unit beyond.
        if range.least >= 0.0 && !is_output && !self.widths[register].factor {
            (power_of_two(range.reach() / (2 * half) as f64), half)
        } else {
            (power_of_two(range.reach() / half as f64), 0)
        }
    }

    /// A function as a table of 256 values.
    fn tabulated(
        &mut self,
        k: usize,
        stage: &Stage,
        form: &Form,
        function: &Function,
    ) -> Result<Done, Error> {
        let argument = match self.direct(k, form, function) {
            Some(argument) => argument,
            None => {
                let (sums, grid) = self.table_input(k, form, function, TABLE_BITS)?;
                let register = self.emit.requantize(sums.register, 0, TABLE_BITS);
                Argument {
                    register,
                    grid,
                    rounded: Some(Rounded {
                        sums: sums.register,
                        shift: sums.shift,
                        result: register,
                        relu: false,
                        wanted: function.settles_at().is_some(),
                    }),
                    sums: Some(sums.report),
                }
            }
        };
        let grid = argument.grid;
        let points = (-128..128).map(|q| grid.zero + grid.unit * f64::from(q));
        let values = self.values(k, function, points)?;
        let width = self.widths[self.network.register_of(k)];
        let (unit, steps) = self.table_output(k, width.full, &values);
        let values: Vec<i32> = values
            .into_iter()
            .map(|y| integer(y / unit - steps as f64, width.full))
            .collect();
        let upper = width.view.map(|view| {
            let drop = width.full - view;
            let values = values.iter().map(|v| v >> drop).collect();
            (self.emit.table(argument.register, values), drop)
        });
        let register = self.emit.table(argument.register, values);
        let result = Encoding {
            steps,
            ..self.emit.encoding(register, unit)
        };
        Ok(Done {
            linear: upper.map_or(result, |(r, drop)| self.view(r, result, drop)),
            source: None,
            lowered: Lowered {
                name: format!("{}, table", stage.name()),
                result,
                arguments: vec![Some(grid)],
                rounded: argument.rounded.into_iter().collect(),
                sums: argument.sums,
            },
        })
    }

    /// A function of more bits: linear between 256 values.
    ///
    /// With `x = h·hi + u·lo`, `h = u·2^(w−8)` and `0 ≤ lo < 2^(w−8)`, the result is
    /// `(T[hi]·2^(w−8) + D[hi]·lo) / 2^(w−8)`, `D[hi] = T[hi + 1] − T[hi]`. It is off by
    /// `h²·max|f''|/8` for the interpolation, half a unit of `T` and half a unit of the result.
    fn interpolated(
        &mut self,
        k: usize,
        stage: &Stage,
        form: &Form,
        function: &Function,
        bits: u8,
    ) -> Result<Done, Error> {
        let (sums, grid) = self.table_input(k, form, function, bits)?;
        let low = bits - TABLE_BITS;
        let coarse = grid.unit * exp2(low);
        let points = (-128..=128).map(|q| grid.zero + coarse * f64::from(q));
        let values = self.values(k, function, points)?;
        let width = self.widths[self.network.register_of(k)];
        let (unit, steps) = self.table_output(k, width.full, &values);
        let finer = POINT_BITS - width.full;
        let points = exp2(finer);
        let values: Vec<i32> = values
            .into_iter()
            .map(|y| integer((y / unit - steps as f64) * points, POINT_BITS))
            .collect();
        let half = 1i32 << (POINT_BITS - 1);
        let differences = values
            .windows(2)
            .map(|v| (v[1] - v[0]).clamp(-half, half - 1))
            .collect();
        let fine = self.emit.requantize(sums.register, 0, bits);
        let high = self.emit.requantize(sums.register, low, TABLE_BITS);
        let rest = self
            .emit
            .polynomial(0, &[(1, fine, None), (-(1 << low), high, None)]);
        let value = self.emit.table(high, values[..256].to_vec());
        let slope = self.emit.table(high, differences);
        let summands = [(1 << low, value, None), (1, slope, Some(rest))];
        let shift = low + finer;
        let Some((inner, _)) = self.emit.combine(0, &summands, shift) else {
            return Err(limit("quantisation", format!("stage {k}: too many bits")));
        };
        let register = self.emit.requantize(inner, 0, width.full);
        let upper = width.view.map(|view| {
            let drop = width.full - view;
            (self.emit.requantize(inner, drop, view), drop)
        });
        let result = Encoding {
            steps,
            ..self.emit.encoding(register, unit)
        };
        let rounded = |sums, shift, result, wanted| Rounded {
            sums,
            shift,
            result,
            relu: false,
            wanted,
        };
        Ok(Done {
            linear: upper.map_or(result, |(r, drop)| self.view(r, result, drop)),
            source: Some((inner, shift)).filter(|_| steps == 0),
            lowered: Lowered {
                name: format!("{}, interpolated", stage.name()),
                result,
                arguments: vec![Some(grid)],
                rounded: vec![
                    rounded(
                        sums.register,
                        sums.shift,
                        fine,
                        function.settles_at().is_some(),
                    ),
                    rounded(inner, shift, register, false),
                ],
                sums: Some(sums.report),
            },
        })
    }
}
