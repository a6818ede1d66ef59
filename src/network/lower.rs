//! From forms to a program and its integers.

use super::{
    Function, Network, Precision,
    calibration::{Range, Ranges},
    fit::{Block, Encoding, Enlarging, Fitted, Formats, fit, shift_for},
    form::{Form, Kind, Stage},
    limit, wrong,
};
use crate::{
    error::Error,
    program::{
        Activation, Emission, LayerShape, MapRef, MapShape, Monomial, NetworkShape, Operation,
        Output, Program, Register, Spread, Table, Term, VectorShape,
    },
    weights::AffineMap,
};

/// Entries of all values of a residual network that is not worth more than one step, roughly.
const ONE_STEP: usize = 1_500;
/// Bits of a table's inputs.
const TABLE_BITS: u8 = 8;
/// The most bits of an output that is an exact sum.
const MAX_OUTPUT_BITS: u8 = 31;
/// Bits of what is read, up to which exact sums of 31 bits leave the weights enough of them.
const EXACT_OUTPUT_BITS: u8 = 10;
/// Bits of an output that is rounded.
const ROUNDED_OUTPUT_BITS: u8 = 16;
/// Bits of the values between which a function is interpolated.
const POINT_BITS: u8 = 16;

/// A grid of real values: `zero + unit·q` for integers `q` of `width` bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    pub(super) unit: f64,
    pub(super) zero: f64,
    pub(super) width: u8,
}

impl Grid {
    /// The nearest value of the grid.
    pub(super) fn round(&self, x: f64) -> f64 {
        let half = f64::from(self.width - 1).exp2();
        self.zero
            + self.unit
                * ((x - self.zero) / self.unit)
                    .round()
                    .clamp(-half, half - 1.0)
    }
}

/// Sums and what they were rounded to, in the program.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rounded {
    pub(super) sums: Register,
    pub(super) shift: u8,
    pub(super) result: Register,
    /// Whether negative results become zero, so that saturation at the lower end changes nothing.
    pub(super) relu: bool,
    /// Whether saturation is what the function asks for.
    pub(super) wanted: bool,
}

/// What became of a stage.
#[derive(Clone, Debug)]
pub(super) struct Lowered {
    /// Its operation, in words.
    pub(super) name: String,
    pub(super) result: Encoding,
    /// The grid that each argument is rounded to, if it is.
    pub(super) arguments: Vec<Option<Grid>>,
    pub(super) rounded: Vec<Rounded>,
    /// Shift, bits, weights of its sums, if it has its own.
    pub(super) fitted: Option<SumsReport>,
}

/// Sizes of the sums of a stage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SumsReport {
    pub(super) shift: u8,
    pub(super) bits: u8,
    pub(super) enlarged: f64,
    pub(super) max_weight: u16,
    pub(super) nonzeros: usize,
}

impl SumsReport {
    fn of(fitted: &Fitted) -> Self {
        Self {
            shift: fitted.shift,
            bits: fitted.bits,
            enlarged: fitted.enlarged,
            max_weight: fitted.max_weight,
            nonzeros: fitted.nonzeros,
        }
    }
}

/// A network on integers.
pub(super) struct Lowering {
    pub(super) program: Program,
    pub(super) maps: Vec<AffineMap>,
    pub(super) input: Encoding,
    pub(super) stages: Vec<Lowered>,
    /// Real value of one unit of the output.
    pub(super) output_unit: f64,
    pub(super) output: Option<SumsReport>,
    /// Number of weights that are not zero.
    pub(super) nonzeros: usize,
    /// The network as layers that steps may share, if it is made of such.
    pub(super) layers: Option<NetworkShape>,
}

/// Integers that may be in a register.
#[derive(Clone, Copy, Debug)]
struct Bound {
    least: i128,
    most: i128,
}

impl Bound {
    fn signed(width: u8) -> Self {
        let half = 1i128 << (width - 1);
        Self {
            least: -half,
            most: half - 1,
        }
    }

    /// Of `a·b`.
    fn times(self, other: Self) -> Self {
        let ends = [self.least, self.most];
        let products = ends.map(|a| [a * other.least, a * other.most]);
        let all = products.as_flattened();
        Self {
            least: all.iter().copied().min().unwrap_or(0),
            most: all.iter().copied().max().unwrap_or(0),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            least: self.least + other.least,
            most: self.most + other.most,
        }
    }

    fn scaled(self, factor: i64) -> Self {
        let factor = i128::from(factor);
        self.times(Self {
            least: factor,
            most: factor,
        })
    }

    /// Width and offset of the smallest register that holds all of it.
    fn register(self) -> (u8, u64) {
        if self.least >= 0 {
            let width = (1..48).find(|w| self.most < 1i128 << w).unwrap_or(48);
            return (width, 0);
        }
        let width = (1..48).find(|w| {
            let half = 1i128 << (w - 1);
            -half <= self.least && self.most < half
        });
        let width = width.unwrap_or(48);
        (width, 1 << (width - 1))
    }

    /// The least bits of an accumulator that holds all of it.
    fn accumulator(self, shift: u8) -> u8 {
        let rounding = if shift == 0 { 0 } else { 1i128 << (shift - 1) };
        (shift.saturating_add(2)..62)
            .find(|bits| {
                let half = 1i128 << (bits - 1);
                -half - rounding <= self.least && self.most < half - rounding
            })
            .unwrap_or(62)
    }
}

/// The least power of two that is not less; 1 for 0.
fn power_of_two(x: f64) -> f64 {
    if x > 0.0 { x.log2().ceil().exp2() } else { 1.0 }
}

/// The scale for a range, 1 if it is zero.
fn scale_of(range: f64, full: f64) -> f64 {
    if range > 0.0 { range / full } else { 1.0 }
}

/// Largest integer of so many bits.
fn full(width: u8) -> f64 {
    f64::from(width - 1).exp2() - 1.0
}

struct Lowerer<'a> {
    network: &'a Network,
    ranges: &'a Ranges,
    precision: &'a Precision,
    /// The shift of all sums that are rounded, if they must have the same.
    shift: Option<u8>,
    operations: Vec<Operation>,
    /// Of every register of the program.
    bounds: Vec<Bound>,
    maps: Vec<AffineMap>,
    tables: Vec<Table>,
    /// The network's registers.
    registers: Vec<Encoding>,
    nonzeros: usize,
}

/// Lowers a network; as layers of one format if `layered`.
pub(super) fn lower(
    network: &Network,
    ranges: &Ranges,
    precision: &Precision,
    layered: bool,
) -> Result<Lowering, Error> {
    let width = precision.width(0);
    let input = Encoding {
        register: Register::FRAME,
        len: network.input_len(),
        unit: scale_of(ranges.input.reach(), full(width)),
        steps: 0,
        rest: 0.0,
        width,
        signed: true,
    };
    let shift = layered.then(|| {
        let shifts = network.stages.iter().map(|s| {
            let forms: Vec<&Form> = s.arguments.iter().collect();
            let registers = vec![input; network.stages.len() + 1];
            precision.shift_of(shift_for(&forms, &registers))
        });
        shifts.max().unwrap_or(8)
    });
    let mut lowerer = Lowerer {
        network,
        ranges,
        precision,
        shift,
        operations: Vec::new(),
        bounds: vec![Bound::signed(width), Bound::signed(2)],
        maps: Vec::new(),
        tables: Vec::new(),
        registers: vec![input],
        nonzeros: 0,
    };
    let mut stages = Vec::with_capacity(network.stages.len());
    for (k, stage) in network.stages.iter().enumerate() {
        let lowered = lowerer.stage(k, stage)?;
        lowerer.registers.push(lowered.result);
        stages.push(lowered);
    }
    let most = stages.iter().filter_map(|s| s.fitted.map(|f| f.bits)).max();
    let (output, output_unit, sums) = lowerer.output(if layered { most } else { None })?;
    let frame = VectorShape {
        len: dimension(network.input_len())?,
        width,
    };
    let shapes = lowerer.maps.iter().map(|m| {
        Ok(MapShape {
            rows: dimension(m.rows())?,
            columns: dimension(m.columns())?,
        })
    });
    let program = Program {
        maps: shapes.collect::<Result<_, Error>>()?,
        tables: lowerer.tables,
        frame,
        carried: Vec::new(),
        spread: Spread::Frames { per_step: 1 },
        operations: lowerer.operations,
        head: Vec::new(),
        output,
        emission: Emission::Each,
        frame_limit: u64::MAX,
    };
    program.validate_language()?;
    let mut lowering = Lowering {
        program,
        maps: lowerer.maps,
        input,
        stages,
        output_unit,
        output: sums,
        nonzeros: lowerer.nonzeros,
        layers: None,
    };
    if layered {
        lowering.layers = lowering.as_layers(network);
    }
    Ok(lowering)
}

/// Whether every value is a function of sums of those before, all of them of one width: what may be
/// spread over steps.
pub(super) fn is_layered(network: &Network, precision: &Precision) -> bool {
    let width = precision.width(0);
    let direct = network.output.as_register();
    let follows = |form: &Form, register: usize| matches!(form.terms.as_slice(), [(read, _)] if *read == register);
    let mut arguments = network.stages.iter().flat_map(|s| &s.arguments).enumerate();
    let is_chain = arguments.all(|(k, form)| follows(form, k));
    let entries: usize = network.stages.iter().map(|s| s.len).sum();
    // One format for all layers costs something; a chain of layers is worth it at any size.
    (is_chain || entries > ONE_STEP)
        && !network.stages.is_empty()
        && !network.argmax
        && !network.output.terms.is_empty()
        && direct.is_none_or(|register| register == network.stages.len())
        && network.stages.iter().enumerate().all(|(k, stage)| {
            let [form] = stage.arguments.as_slice() else {
                return false;
            };
            let kind = match &stage.kind {
                Kind::Identity | Kind::Function(Function::Clip { .. }) => true,
                Kind::Function(Function::Relu) => form.as_register().is_none(),
                Kind::Function(_) => width == TABLE_BITS,
                Kind::Product | Kind::Maximum { .. } => false,
            };
            kind && !form.terms.is_empty() && precision.width(k + 1) == width
        })
}

impl Lowering {
    /// The layers, if there is one format for all of them.
    fn as_layers(&self, network: &Network) -> Option<NetworkShape> {
        let reads = |form: &Form| -> Option<(Vec<u32>, u32)> {
            let mut inputs = 0u32;
            let reads = form.terms.iter().map(|(register, matrix)| {
                inputs = inputs.checked_add(u32::try_from(matrix.columns()).ok()?)?;
                u32::try_from(*register).ok()
            });
            let reads = reads.collect::<Option<Vec<_>>>()?;
            Some((reads, inputs))
        };
        let mut layers = Vec::new();
        let mut all_reads = Vec::new();
        let operations = &self.program.operations;
        for (stage, lowered) in network.stages.iter().zip(&self.stages) {
            let end = lowered.result.register.index().checked_sub(2)?;
            let activation = match operations.get(end)? {
                Operation::Requantize { .. } => Activation::Identity,
                Operation::Relu { .. } => Activation::Relu,
                Operation::Table { table, .. } => Activation::Table(*table),
                _ => return None,
            };
            let (reads, inputs) = reads(stage.arguments.first()?)?;
            layers.push(LayerShape {
                inputs,
                outputs: u32::try_from(stage.len).ok()?,
                activation,
            });
            all_reads.push(reads);
        }
        if self.output.is_none() {
            // The end of a network without an activation would be its sums.
            if layers.last()?.activation == Activation::Identity {
                return None;
            }
        } else {
            // Layers end in exact sums.
            let end = self.program.output.register.index().checked_sub(2)?;
            if !matches!(operations.get(end)?, Operation::Affine { .. }) {
                return None;
            }
            let (reads, inputs) = reads(&network.output)?;
            layers.push(LayerShape {
                inputs,
                outputs: u32::try_from(network.output.len).ok()?,
                activation: Activation::Identity,
            });
            all_reads.push(reads);
        }
        let sums = self.stages.iter().map(|s| s.fitted);
        let sums: Vec<SumsReport> = sums.collect::<Option<_>>()?;
        let shift = sums.first()?.shift;
        let bits = sums.iter().chain(&self.output).map(|s| s.bits).max()?;
        let maps: usize = all_reads.iter().map(Vec::len).sum();
        let network = NetworkShape {
            layers,
            reads: all_reads,
            tables: self.program.tables.clone(),
            width: self.program.frame.width,
            bits,
            shift,
        };
        let same = sums.iter().all(|s| s.shift == shift) && maps == self.maps.len();
        same.then_some(network)
    }
}

fn dimension(n: usize) -> Result<u32, Error> {
    u32::try_from(n).map_err(|_| limit("quantisation", format!("a length of {n}")))
}

impl Lowerer<'_> {
    fn push(&mut self, operation: Operation, bound: Bound) -> Register {
        self.operations.push(operation);
        self.bounds.push(bound);
        Register::result_of(self.operations.len() - 1)
    }

    fn bound(&self, register: Register) -> Bound {
        let bound = self.bounds.get(register.index()).copied();
        bound.unwrap_or(Bound { least: 0, most: 0 })
    }

    fn formats(&self, forms: &[&Form], width: u8) -> Formats {
        let standard = shift_for(forms, &self.registers);
        let shift = self
            .shift
            .unwrap_or_else(|| self.precision.shift_of(standard));
        let (bits, fixed_bits) = self.precision.accumulator(width, shift);
        Formats {
            shift,
            fixed_shift: self.shift.is_some(),
            bits,
            fixed_bits,
            rounded: true,
            spare: 0.0,
        }
    }

    /// What a stage is called in errors; the output counts as one.
    fn label(&self, stage: usize) -> String {
        if stage == self.network.stages.len() {
            "the output".to_owned()
        } else {
            format!("stage {stage}")
        }
    }

    /// An affine operation for these rows.
    fn affine(
        &mut self,
        stage: usize,
        blocks: &[Block<'_>],
        formats: Formats,
    ) -> Result<(Register, Fitted), Error> {
        let mut fitted = fit(&self.label(stage), blocks, &self.registers, formats)?;
        let rows = blocks.iter().map(|b| b.form.len).sum();
        let mut terms = Vec::new();
        for (register, map) in std::mem::take(&mut fitted.maps) {
            terms.push(Term {
                map: MapRef::Fixed(dimension(self.maps.len())?),
                input: self.registers[register].register,
            });
            self.maps.push(map);
        }
        self.nonzeros += fitted.nonzeros;
        let operation = Operation::Affine {
            terms,
            rows: dimension(rows)?,
            bits: fitted.bits,
            shift: if formats.rounded { fitted.shift } else { 0 },
        };
        Ok((self.push(operation, Bound::signed(fitted.bits)), fitted))
    }

    fn requantize(&mut self, input: Register, drop: u8, width: u8) -> Register {
        let operation = Operation::Requantize { input, drop, width };
        self.push(operation, Bound::signed(width))
    }

    fn relu(&mut self, input: Register) -> Register {
        let bound = self.bound(input);
        let bound = Bound {
            least: bound.least.max(0),
            most: bound.most.max(0),
        };
        self.push(Operation::Relu { input }, bound)
    }

    fn slice(&mut self, input: Register, part: usize, len: usize) -> Result<Register, Error> {
        let operation = Operation::Slice {
            input,
            start: dimension(part * len)?,
            len: dimension(len)?,
        };
        Ok(self.push(operation, self.bound(input)))
    }

    /// `constant + Σ coefficient·register`.
    fn polynomial(&mut self, constant: i64, terms: &[(i32, Register)]) -> Register {
        let mut bound = Bound {
            least: constant.into(),
            most: constant.into(),
        };
        for (coefficient, register) in terms {
            bound = bound.plus(self.bound(*register).scaled((*coefficient).into()));
        }
        let (width, offset) = bound.register();
        let monomials = terms.iter().map(|(coefficient, left)| Monomial {
            coefficient: *coefficient,
            left: *left,
            right: None,
        });
        let operation = Operation::Polynomial {
            constant,
            monomials: monomials.collect(),
            width,
            offset,
        };
        self.push(operation, bound)
    }

    /// A sum of products that is requantised to `width` bits after a shift.
    fn combine(
        &mut self,
        monomials: &[(i32, Register, Option<Register>)],
        shift: u8,
        width: u8,
    ) -> (Register, Register) {
        let one = Bound { least: 1, most: 1 };
        let mut bound = Bound { least: 0, most: 0 };
        for (coefficient, left, right) in monomials {
            let right = right.map_or(one, |r| self.bound(r));
            let product = self.bound(*left).times(right);
            bound = bound.plus(product.scaled((*coefficient).into()));
        }
        let bits = bound.accumulator(shift);
        let monomials = monomials
            .iter()
            .map(|(coefficient, left, right)| Monomial {
                coefficient: *coefficient,
                left: *left,
                right: *right,
            })
            .collect();
        let sums = self.push(
            Operation::Combine {
                constant: 0,
                monomials,
                bits,
                shift,
            },
            Bound::signed(bits),
        );
        (sums, self.requantize(sums, 0, width))
    }

    fn table(&mut self, values: Vec<i32>, width: u8) -> u32 {
        let table = Table { values, width };
        let index = self.tables.iter().position(|t| *t == table);
        let index = index.unwrap_or_else(|| {
            self.tables.push(table);
            self.tables.len() - 1
        });
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    fn look_up(&mut self, input: Register, table: u32) -> Register {
        let values = self.tables.get(table as usize).map(|t| &t.values);
        let values = values.into_iter().flatten().map(|v| i128::from(*v));
        let bound = Bound {
            least: values.clone().min().unwrap_or(0),
            most: values.max().unwrap_or(0),
        };
        self.push(Operation::Table { input, table }, bound)
    }

    /// What a register of the program stands for.
    fn encoding(&self, register: Register, len: usize, unit: f64) -> Encoding {
        let (width, offset) = match self.operations.get(register.index().wrapping_sub(2)) {
            Some(Operation::Polynomial { width, offset, .. }) => (*width, *offset),
            _ => (self.width_of(register), 1),
        };
        Encoding {
            register,
            len,
            unit,
            steps: 0,
            rest: 0.0,
            width,
            signed: offset != 0,
        }
    }

    /// Width of a register that is no polynomial.
    fn width_of(&self, register: Register) -> u8 {
        match self.operations.get(register.index().wrapping_sub(2)) {
            Some(Operation::Requantize { width, .. } | Operation::Polynomial { width, .. }) => {
                *width
            }
            Some(Operation::Relu { input } | Operation::Slice { input, .. }) => {
                self.width_of(*input)
            }
            Some(Operation::Table { table, .. }) => {
                self.tables.get(*table as usize).map_or(16, |t| t.width)
            }
            _ => self.precision.width(0),
        }
    }

    /// Whether a register's integers have a sign: a polynomial may be without, and what is made of it.
    fn is_signed(&self, register: Register) -> bool {
        match self.operations.get(register.index().wrapping_sub(2)) {
            Some(Operation::Polynomial { offset, .. }) => *offset != 0,
            Some(Operation::Relu { input } | Operation::Slice { input, .. }) => {
                self.is_signed(*input)
            }
            _ => true,
        }
    }

    fn stage(&mut self, k: usize, stage: &Stage) -> Result<Lowered, Error> {
        let width = self.precision.width(k + 1);
        let [form] = stage.arguments.as_slice() else {
            return match stage.kind {
                Kind::Maximum { relu } => self.maximum(k, stage, width, relu),
                _ => self.product(k, stage, width),
            };
        };
        match &stage.kind {
            Kind::Function(Function::Relu) => {
                let direct = form.as_register().map(|r| self.registers[r]);
                match direct {
                    Some(source) if source.is_plain() => Ok(self.direct_relu(stage, source)),
                    _ => self.rounded(k, stage, form, width, true),
                }
            }
            Kind::Function(Function::Clip { least, most }) => {
                self.clip(k, stage, form, width, (*least, *most))
            }
            Kind::Function(function) => match width {
                TABLE_BITS => self.tabulated(k, stage, form, function),
                9.. => self.interpolated(k, stage, form, function, width),
                _ => Err(limit(
                    "quantisation",
                    format!(
                        "stage {k}: {} is a table, which needs 8 bits or more",
                        function.name()
                    ),
                )),
            },
            Kind::Maximum { relu } => self.maximum(k, stage, width, *relu),
            Kind::Product => self.product(k, stage, width),
            Kind::Identity => self.rounded(k, stage, form, width, false),
        }
    }

    fn direct_relu(&mut self, stage: &Stage, source: Encoding) -> Lowered {
        let register = self.relu(source.register);
        Lowered {
            name: "relu of a register".to_owned(),
            result: Encoding {
                register,
                len: stage.len,
                ..source
            },
            arguments: vec![None],
            rounded: Vec::new(),
            fitted: None,
        }
    }

    /// Sums, requantised, and perhaps a ReLU.
    fn rounded(
        &mut self,
        k: usize,
        stage: &Stage,
        form: &Form,
        width: u8,
        relu: bool,
    ) -> Result<Lowered, Error> {
        let block = Block {
            form,
            unit: scale_of(self.ranges.requantised(k, &stage.kind), full(width)),
            zero: 0.0,
            enlarging: Enlarging::Freely,
        };
        let (sums, fitted) = self.affine(k, &[block], self.formats(&[form], width))?;
        let rounded = self.requantize(sums, 0, width);
        let register = if relu { self.relu(rounded) } else { rounded };
        let unit = fitted.units[0];
        Ok(Lowered {
            name: stage.kind.name(),
            result: self.encoding(register, stage.len, unit),
            arguments: vec![None],
            rounded: vec![Rounded {
                sums,
                shift: fitted.shift,
                result: rounded,
                relu,
                wanted: false,
            }],
            fitted: Some(SumsReport::of(&fitted)),
        })
    }

    /// Saturation at both ends of the integers.
    fn clip(
        &mut self,
        k: usize,
        stage: &Stage,
        form: &Form,
        width: u8,
        (least, most): (f64, f64),
    ) -> Result<Lowered, Error> {
        let seen = self.ranges.stages[k].result;
        let (least, most) = (least.max(seen.least), most.min(seen.most));
        let half = f64::from(width - 1).exp2();
        let unit = scale_of(most - least, 2.0 * half - 1.0);
        let block = Block {
            form,
            unit,
            zero: least + half * unit,
            enlarging: Enlarging::Freely,
        };
        let mut formats = self.formats(&[form], width);
        if !formats.fixed_bits {
            formats.bits = super::precision::MAX_ACCUMULATOR_BITS;
        }
        let (sums, fitted) = self.affine(k, &[block], formats)?;
        if fitted.enlarged > 1.0 {
            return Err(limit(
                "quantisation",
                format!(
                    "stage {k}: its sums do not fit the accumulator at the scale of its saturation: ask for more bits with `Precision::accumulator_bits`, or a smaller `Precision::shift`"
                ),
            ));
        }
        let register = self.requantize(sums, 0, width);
        #[expect(clippy::cast_possible_truncation, reason = "at most 2^15")]
        let steps = half as i64;
        Ok(Lowered {
            name: stage.kind.name(),
            result: Encoding {
                steps,
                rest: least,
                ..self.encoding(register, stage.len, unit)
            },
            arguments: vec![None],
            rounded: vec![Rounded {
                sums,
                shift: fitted.shift,
                result: register,
                relu: false,
                wanted: true,
            }],
            fitted: Some(SumsReport::of(&fitted)),
        })
    }

    /// Sums in the units of a table's inputs: a power of two that covers what was seen, from 0 on if
    /// that has one sign.
    fn table_input(
        &mut self,
        k: usize,
        form: &Form,
        function: &Function,
        width: u8,
    ) -> Result<(Register, Fitted, Grid), Error> {
        let seen = self.ranges.stages[k].arguments[0];
        let reach = seen
            .reach()
            .min(function.settles_at().unwrap_or(f64::INFINITY));
        let half = f64::from(width - 1).exp2();
        let one_sided = seen.least >= 0.0 || seen.most <= 0.0;
        let formats = self.formats(&[form], width);
        // The largest value may be one unit beyond.
        let mut unit = power_of_two(if one_sided { reach / 2.0 } else { reach } / half);
        let centre = |unit: f64| match (one_sided, seen.least >= 0.0) {
            (false, _) => 0.0,
            (true, true) => half * unit,
            (true, false) => -half * unit,
        };
        // The centre moves with the unit.
        for _ in 0..64 {
            let block = Block {
                form,
                unit,
                zero: centre(unit),
                enlarging: Enlarging::Doubling,
            };
            let tried = fit(
                &self.label(k),
                std::slice::from_ref(&block),
                &self.registers,
                formats,
            )?;
            if tried.enlarged > 1.0 {
                unit = tried.units[0];
                continue;
            }
            let (sums, fitted) = self.affine(k, &[block], formats)?;
            let grid = Grid {
                unit,
                zero: centre(unit),
                width,
            };
            return Ok((sums, fitted, grid));
        }
        Err(limit(
            "quantisation",
            format!("stage {k}: its sums do not fit any accumulator"),
        ))
    }

    /// The values of a function at points `at`, where it is finite; elsewhere those at the nearest
    /// input that was seen.
    fn values(
        &self,
        k: usize,
        function: &Function,
        at: impl Iterator<Item = f64>,
    ) -> Result<Vec<f64>, Error> {
        let Range { least, most } = self.ranges.stages[k].arguments[0];
        at.map(|x| {
            let y = function.apply(x);
            let y = if y.is_finite() {
                y
            } else {
                function.apply(x.clamp(least, most))
            };
            if y.is_finite() {
                Ok(y)
            } else {
                Err(wrong(
                    "quantisation",
                    format!("stage {k}: {} is not finite at {x}", function.name()),
                ))
            }
        })
        .collect()
    }

    /// The unit of a function's values, a power of two that covers what was seen, and where they
    /// begin: at `-2^(w-1)` if none is negative, unless they are the output as they stand.
    fn table_output(&self, k: usize, width: u8) -> (f64, i64) {
        let seen = self.ranges.stages[k].result;
        let is_output = !self.network.argmax && self.network.output.as_register() == Some(k + 1);
        let half = 1i64 << (width - 1);
        // The largest value may be one unit beyond.
        if seen.least >= 0.0 && !is_output {
            (power_of_two(seen.reach() / (2 * half) as f64), half)
        } else {
            (power_of_two(seen.reach() / half as f64), 0)
        }
    }

    /// A function as a table of 256 values.
    fn tabulated(
        &mut self,
        k: usize,
        stage: &Stage,
        form: &Form,
        function: &Function,
    ) -> Result<Lowered, Error> {
        let (sums, fitted, grid) = self.table_input(k, form, function, TABLE_BITS)?;
        let points = (-128..128).map(|q| grid.zero + grid.unit * f64::from(q));
        let values = self.values(k, function, points)?;
        let (unit, steps) = self.table_output(k, TABLE_BITS);
        let values = values.into_iter();
        let values = values.map(|y| integer(y / unit - steps as f64, TABLE_BITS));
        let table = self.table(values.collect(), TABLE_BITS);
        let rounded = self.requantize(sums, 0, TABLE_BITS);
        let register = self.look_up(rounded, table);
        Ok(Lowered {
            name: format!("{}, table", stage.kind.name()),
            result: Encoding {
                steps,
                ..self.encoding(register, stage.len, unit)
            },
            arguments: vec![Some(grid)],
            rounded: vec![Rounded {
                sums,
                shift: fitted.shift,
                result: rounded,
                relu: false,
                wanted: function.settles_at().is_some(),
            }],
            fitted: Some(SumsReport::of(&fitted)),
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
        width: u8,
    ) -> Result<Lowered, Error> {
        let (sums, fitted, grid) = self.table_input(k, form, function, width)?;
        let low = width - TABLE_BITS;
        let coarse = grid.unit * f64::from(low).exp2();
        let points = (-128..=128).map(|q| grid.zero + coarse * f64::from(q));
        let values = self.values(k, function, points)?;
        let (unit, steps) = self.table_output(k, width);
        let finer = POINT_BITS - width;
        let points = f64::from(finer).exp2();
        let values: Vec<i32> = values
            .into_iter()
            .map(|y| integer((y / unit - steps as f64) * points, POINT_BITS))
            .collect();
        let half = 1i32 << (POINT_BITS - 1);
        let differences = values
            .windows(2)
            .map(|v| (v[1] - v[0]).clamp(-half, half - 1))
            .collect();
        let table = self.table(values[..256].to_vec(), POINT_BITS);
        let slopes = self.table(differences, POINT_BITS);
        let fine = self.requantize(sums, 0, width);
        let high = self.requantize(sums, low, TABLE_BITS);
        let rest = self.polynomial(0, &[(1, fine), (-(1 << low), high)]);
        let value = self.look_up(high, table);
        let slope = self.look_up(high, slopes);
        let (inner, register) = self.combine(
            &[(1 << low, value, None), (1, slope, Some(rest))],
            low + finer,
            width,
        );
        Ok(Lowered {
            name: format!("{}, interpolated", stage.kind.name()),
            result: Encoding {
                steps,
                ..self.encoding(register, stage.len, unit)
            },
            arguments: vec![Some(grid)],
            rounded: vec![
                Rounded {
                    sums,
                    shift: fitted.shift,
                    result: fine,
                    relu: false,
                    wanted: function.settles_at().is_some(),
                },
                Rounded {
                    sums: inner,
                    shift: low + finer,
                    result: register,
                    relu: false,
                    wanted: false,
                },
            ],
            fitted: Some(SumsReport::of(&fitted)),
        })
    }

    /// The integers of a form that is a register, if they are its values but for a unit, or are so
    /// after a constant is added.
    fn plain(&mut self, form: &Form) -> Option<Encoding> {
        let source = self.registers[form.as_register()?];
        if source.rest != 0.0 {
            return None;
        }
        if source.steps == 0 {
            return Some(source);
        }
        let register = self.polynomial(source.steps, &[(1, source.register)]);
        Some(self.encoding(register, source.len, source.unit))
    }

    /// The product of two values.
    fn product(&mut self, k: usize, stage: &Stage, width: u8) -> Result<Lowered, Error> {
        let [a, b] = stage.arguments.as_slice() else {
            return Err(wrong("quantisation", "a product has two factors"));
        };
        let same = a.is_same(b);
        let mut factors = [self.plain(a), if same { None } else { self.plain(b) }];
        let mut arguments = vec![None, None];
        let mut rounded = Vec::new();
        let mut fitted = None;
        // What is no register yet becomes one, both with the same sums.
        let missing: Vec<usize> = (0..2)
            .filter(|f| factors[*f].is_none() && !(same && *f == 1))
            .collect();
        if !missing.is_empty() {
            let forms: Vec<&Form> = missing.iter().map(|f| &stage.arguments[*f]).collect();
            let ranges = &self.ranges.stages[k].arguments;
            let blocks: Vec<Block<'_>> = missing
                .iter()
                .zip(&forms)
                .map(|(f, form)| Block {
                    form,
                    unit: scale_of(ranges[*f].reach(), full(width)),
                    zero: 0.0,
                    enlarging: Enlarging::Freely,
                })
                .collect();
            let (sums, own) = self.affine(k, &blocks, self.formats(&forms, width))?;
            for (part, f) in missing.iter().enumerate() {
                let sums = match missing.len() {
                    1 => sums,
                    _ => self.slice(sums, part, stage.len)?,
                };
                let result = self.requantize(sums, 0, width);
                let unit = own.units[part];
                factors[*f] = Some(self.encoding(result, stage.len, unit));
                arguments[*f] = Some(Grid {
                    unit,
                    zero: 0.0,
                    width,
                });
                rounded.push(Rounded {
                    sums,
                    shift: own.shift,
                    result,
                    relu: false,
                    wanted: false,
                });
            }
            fitted = Some(SumsReport::of(&own));
        }
        if same {
            arguments[1] = arguments[0];
            factors[1] = factors[0];
        }
        let [Some(left), Some(mut right)] = factors else {
            return Err(wrong("quantisation", "a product has two factors"));
        };
        if left.register == right.register {
            // A register is not multiplied with itself, but with a copy.
            let copy = self.polynomial(0, &[(1, right.register)]);
            right = self.encoding(copy, right.len, right.unit);
        }
        let each = left.unit * right.unit;
        let reach = self.ranges.stages[k].result.reach();
        let exact = scale_of(reach, full(width)) / each;
        let most = u8::try_from(u32::from(left.width) + u32::from(right.width)).unwrap_or(32);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped"
        )]
        let shift = if reach > 0.0 {
            exact.log2().ceil().clamp(0.0, f64::from(most)) as u8
        } else {
            0
        };
        let monomial = (1, left.register, Some(right.register));
        let (sums, register) = self.combine(&[monomial], shift, width);
        rounded.push(Rounded {
            sums,
            shift,
            result: register,
            relu: false,
            wanted: false,
        });
        let unit = each * f64::from(shift).exp2();
        Ok(Lowered {
            name: stage.kind.name(),
            result: self.encoding(register, stage.len, unit),
            arguments,
            rounded,
            fitted,
        })
    }

    /// The largest of several: `max(a, b) = b + relu(a − b)`, on integers of one unit.
    fn maximum(
        &mut self,
        k: usize,
        stage: &Stage,
        width: u8,
        relu: bool,
    ) -> Result<Lowered, Error> {
        let unit = scale_of(self.ranges.requantised(k, &stage.kind), full(width));
        let forms: Vec<&Form> = stage.arguments.iter().collect();
        let formats = self.formats(&forms, width);
        // All blocks must have the same unit: the largest that one of them needs.
        let mut common = unit;
        let mut tried = 0;
        let (sums, fitted) = loop {
            let blocks: Vec<Block<'_>> = forms
                .iter()
                .map(|form| Block {
                    form,
                    unit: common,
                    zero: 0.0,
                    enlarging: Enlarging::Freely,
                })
                .collect();
            let own = fit(&self.label(k), &blocks, &self.registers, formats)?;
            let largest = own.units.iter().copied().fold(common, f64::max);
            if largest > common && tried < 64 {
                common = largest;
                tried += 1;
                continue;
            }
            break self.affine(k, &blocks, formats)?;
        };
        if fitted.units.iter().any(|u| *u != common) {
            return Err(limit(
                "quantisation",
                format!("stage {k}: its sums do not fit one scale"),
            ));
        }
        let rounded = self.requantize(sums, 0, width);
        let values = if relu { self.relu(rounded) } else { rounded };
        let mut largest: Option<Register> = None;
        for part in 0..forms.len() {
            let x = self.slice(values, part, stage.len)?;
            largest = Some(match largest {
                None => x,
                Some(so_far) => {
                    let difference = self.polynomial(0, &[(1, so_far), (-1, x)]);
                    let over = self.relu(difference);
                    let bound = self.bound(x).plus(self.bound(over));
                    // What an affine operation reads has 16 bits.
                    if bound.register().0 > 16 {
                        self.combine(&[(1, x, None), (1, over, None)], 0, width).1
                    } else {
                        self.polynomial(0, &[(1, x), (1, over)])
                    }
                }
            });
        }
        let Some(register) = largest else {
            return Err(wrong("quantisation", "a maximum of nothing"));
        };
        let mut result = self.encoding(register, stage.len, common);
        result.signed = self.is_signed(register);
        Ok(Lowered {
            name: format!("{} of {}", stage.kind.name(), forms.len()),
            result,
            arguments: vec![
                Some(Grid {
                    unit: common,
                    zero: 0.0,
                    width,
                });
                forms.len()
            ],
            rounded: vec![Rounded {
                sums,
                shift: fitted.shift,
                result: rounded,
                relu,
                wanted: false,
            }],
            fitted: Some(SumsReport {
                enlarged: common / unit,
                ..SumsReport::of(&fitted)
            }),
        })
    }

    /// The output, the real value of its unit, and its sums if it has some of its own.
    fn output(&mut self, bits: Option<u8>) -> Result<(Output, f64, Option<SumsReport>), Error> {
        let network = self.network;
        let form = &network.output;
        let len = dimension(form.len)?;
        let direct = form.as_register().map(|r| self.registers[r]);
        if let Some(source) = direct
            && source.is_plain()
            && !network.argmax
            && !self.maps.is_empty()
        {
            let output = Output {
                register: source.register,
                len,
            };
            return Ok((output, source.unit, None));
        }
        let width = self.precision.width(network.stages.len());
        if width > EXACT_OUTPUT_BITS {
            return self.rounded_output(form, len);
        }
        let standard = self.precision.shift_of(shift_for(&[form], &self.registers));
        let (own, _) = self.precision.accumulator(width, standard);
        let block = Block {
            form,
            unit: scale_of(self.ranges.output.reach(), full(width)),
            zero: 0.0,
            enlarging: Enlarging::Freely,
        };
        // No more bits than the layers before have, if all are to have the same.
        let most = bits.map_or(MAX_OUTPUT_BITS, |b| b.max(standard + 2));
        let formats = Formats {
            shift: standard,
            fixed_shift: false,
            bits: own.min(most),
            fixed_bits: false,
            rounded: false,
            // In a layered schedule the output's slot has the shift of all others.
            spare: self.shift.map_or(0.0, |s| f64::from(s - 1).exp2()),
        };
        let (sums, fitted) = self.affine(network.stages.len(), &[block], formats)?;
        let report = Some(SumsReport::of(&fitted));
        if !network.argmax {
            let unit = fitted.units[0] / f64::from(fitted.shift).exp2();
            let output = Output {
                register: sums,
                len,
            };
            return Ok((output, unit, report));
        }
        Ok((self.index_of_largest(sums, form.len), 1.0, report))
    }

    /// The output with sums of as many bits as weights need, rounded to 16 bits. It has room for twice
    /// the largest value that was seen, and is cut off there.
    fn rounded_output(
        &mut self,
        form: &Form,
        len: u32,
    ) -> Result<(Output, f64, Option<SumsReport>), Error> {
        let block = Block {
            form,
            unit: scale_of(2.0 * self.ranges.output.reach(), full(ROUNDED_OUTPUT_BITS)),
            zero: 0.0,
            enlarging: Enlarging::Freely,
        };
        let formats = self.formats(&[form], ROUNDED_OUTPUT_BITS);
        let (sums, fitted) = self.affine(self.network.stages.len(), &[block], formats)?;
        let register = self.requantize(sums, 0, ROUNDED_OUTPUT_BITS);
        let report = Some(SumsReport::of(&fitted));
        if self.network.argmax {
            return Ok((self.index_of_largest(register, form.len), 1.0, report));
        }
        Ok((Output { register, len }, fitted.units[0], report))
    }

    fn index_of_largest(&mut self, values: Register, count: usize) -> Output {
        let bit = Bound { least: 0, most: 1 };
        let largest = self.push(Operation::ArgMax { input: values }, bit);
        let coefficients: Vec<i32> = (0..count)
            .map(|i| i32::try_from(i).unwrap_or(i32::MAX))
            .collect();
        let most = coefficients.iter().map(|c| i128::from(*c)).sum();
        let bound = Bound { least: 0, most };
        let index = Operation::Dot {
            input: largest,
            coefficients,
            width: bound.register().0,
            offset: 0,
        };
        let register = self.push(index, bound);
        Output { register, len: 1 }
    }
}

/// The nearest integer of so many bits.
fn integer(x: f64, width: u8) -> i32 {
    let half = f64::from(width - 1).exp2();
    #[expect(clippy::cast_possible_truncation, reason = "clamped")]
    let x = x.round().clamp(-half, half - 1.0) as i32;
    x
}
