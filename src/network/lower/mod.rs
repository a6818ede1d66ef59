//! From forms to a program and its integers.

mod emit;
mod fit;
mod functions;
mod stages;
mod sums;
mod widths;

use serde::{Deserialize, Serialize};

pub(super) use self::fit::Encoding;
use self::{
    emit::{Emit, dimension},
    fit::{Applied, Block, Enlarging, Fitted, Formats, fit, shift_for, together},
    widths::{Width, widths},
};
use super::{
    Function, Network, Precision,
    calibration::Ranges,
    form::{Form, Kind, Stage},
    limit, wrong,
};
use crate::{
    error::Error,
    program::{AffineMap, Emission, Program, Register, VectorShape},
};
pub(in crate::network) use emit::width_of;

/// How often states are given a larger unit.
const MAX_RESTARTS: usize = 64;

/// A grid of real values: `zero + unit·q` for integers `q` of `width` bits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Grid {
    pub(super) unit: f64,
    pub(super) zero: f64,
    pub(super) width: u8,
}

impl Grid {
    /// The nearest value of the grid.
    pub(super) fn round(&self, x: f64) -> f64 {
        let half = f64::from(self.width - 1).exp2();
        let q = ((x - self.zero) / self.unit).round();
        self.zero + self.unit * q.clamp(-half, half - 1.0)
    }
}

/// Sums and what they were rounded to, in the program.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Lowered {
    /// Its operation, in words.
    pub(super) name: String,
    /// The value itself.
    pub(super) result: Encoding,
    /// The grid that each argument is rounded to, if it is.
    pub(super) arguments: Vec<Option<Grid>>,
    pub(super) rounded: Vec<Rounded>,
    /// Shift, bits, weights of its sums, if it has its own.
    pub(super) sums: Option<SumsReport>,
}

/// Sizes of the sums of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
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
    /// What each state is read as.
    pub(super) states: Vec<Encoding>,
    pub(super) stages: Vec<Lowered>,
    /// Real value of one unit of the output.
    pub(super) output_unit: f64,
    pub(super) output: Option<SumsReport>,
    /// Number of weights.
    pub(super) nonzeros: usize,
}

/// A stage as integers: as products read it, as linear maps do, and what both were rounded from.
struct Done {
    lowered: Lowered,
    linear: Encoding,
    source: Option<(Register, u8)>,
}

/// How the unit of a stage's result is found.
#[derive(Clone, Copy)]
struct Wish {
    unit: f64,
    /// Real value of 0.
    zero: f64,
    /// Whether the unit is what it is.
    fixed: bool,
    width: u8,
}

/// The least power of two that is not less; 1 for 0.
fn power_of_two(x: f64) -> f64 {
    if x > 0.0 { x.log2().ceil().exp2() } else { 1.0 }
}

/// The scale for a range, 1 if it is zero.
fn scale_of(range: f64, full: f64) -> f64 {
    if range > 0.0 { range / full } else { 1.0 }
}

fn exp2(n: impl Into<f64>) -> f64 {
    n.into().exp2()
}

/// Largest integer of `width` bits.
fn full(width: u8) -> f64 {
    exp2(width - 1) - 1.0
}

/// The nearest integer of `width` bits.
fn integer(x: f64, width: u8) -> i32 {
    let half = exp2(width - 1);
    #[expect(clippy::cast_possible_truncation, reason = "clamped")]
    let x = x.round().clamp(-half, half - 1.0) as i32;
    x
}

struct Lowerer<'a> {
    network: &'a Network,
    ranges: &'a Ranges,
    precision: &'a Precision,
    widths: &'a [Width],
    /// The shift of all sums, where weights do not stand against it.
    common: u8,
    emit: Emit,
    /// The network's registers, as linear maps read them.
    registers: Vec<Encoding>,
    /// The same as products read them.
    full: Vec<Encoding>,
    /// What they were rounded from, if they were, and by what shift.
    sources: Vec<Option<(Register, u8)>>,
    nonzeros: usize,
    /// A state whose unit must be larger, and by what factor.
    unfit: Option<(usize, f64)>,
}

/// The unit of every state.
fn state_units(
    network: &Network,
    ranges: &Ranges,
    widths: &[Width],
    standard: bool,
) -> Result<Vec<f64>, Error> {
    let states = network.states.iter().enumerate();
    states
        .map(|(s, state)| {
            let width = widths[1 + s];
            match state.bound {
                Some(bound) => Ok(bound / exp2(width.full - 1)),
                None if standard && width.factor => Err(limit(
                    "quantisation",
                    "standard precision needs a bound of a state that products read: `NetworkBuilder::state_within`",
                )),
                None => Ok(scale_of(ranges.states[s].reach(), full(width.full))),
            }
        })
        .collect()
}

/// Lowers a network.
pub(super) fn lower(
    network: &Network,
    ranges: &Ranges,
    precision: &Precision,
) -> Result<Lowering, Error> {
    let widths = widths(network, precision);
    let mut units = state_units(network, ranges, &widths, precision.is_standard())?;
    for _ in 0..MAX_RESTARTS {
        let mut lowerer = Lowerer::new(network, ranges, precision, &widths, &units)?;
        let lowering = lowerer.run();
        match lowerer.unfit.take() {
            Some((state, factor)) if network.states[state].bound.is_none() => {
                units[state] *= factor * (1.0 + 1e-9);
            }
            _ => {
                let (stages, output, sums) = lowering?;
                return lowerer.finish(stages, output, sums);
            }
        }
    }
    Err(limit(
        "quantisation",
        "the recurrent weights of a state do not fit their accumulator at any scale",
    ))
}

/// The stages, and the output: its register, unit and sums.
type Run = (Vec<Option<Lowered>>, Register, (f64, Option<SumsReport>));

impl<'a> Lowerer<'a> {
    fn new(
        network: &'a Network,
        ranges: &'a Ranges,
        precision: &'a Precision,
        widths: &'a [Width],
        units: &[f64],
    ) -> Result<Self, Error> {
        let frame = VectorShape {
            len: dimension(network.input_len())?,
            width: precision.width(0),
        };
        let mut parts = Vec::new();
        for (s, state) in network.states.iter().enumerate() {
            let width = widths[1 + s];
            let integers: Vec<i32> = state
                .initial
                .iter()
                .map(|v| integer(v / units[s], width.full))
                .collect();
            let len = dimension(integers.len())?;
            let shape = |width| VectorShape { len, width };
            let upper = width.view.map(|view| {
                let drop = width.full - view;
                (shape(view), integers.iter().map(|q| q >> drop).collect())
            });
            parts.push((shape(width.full), integers));
            parts.extend(upper);
        }
        let (emit, parts) = Emit::new(frame, parts);
        let input = emit.encoding(
            Register::FRAME,
            scale_of(ranges.input.reach(), full(frame.width)),
        );
        let forms = network.stages.iter().flat_map(|s| &s.arguments);
        let linear = |register: usize| widths[register].linear();
        let common = shift_for(forms.chain([&network.output]), &linear);
        let mut lowerer = Self {
            network,
            ranges,
            precision,
            widths,
            common,
            emit,
            registers: vec![input],
            full: vec![input],
            sources: vec![None],
            nonzeros: 0,
            unfit: None,
        };
        let mut parts = parts.into_iter();
        for (s, unit) in units.iter().enumerate() {
            let width = widths[1 + s];
            let state = parts.next().map(|r| lowerer.emit.encoding(r, *unit));
            let Some(state) = state else { break };
            let view = width
                .view
                .and_then(|view| Some((parts.next()?, width.full - view)));
            let linear = view.map(|(r, drop)| lowerer.view(r, state, drop));
            lowerer.full.push(state);
            lowerer.registers.push(linear.unwrap_or(state));
            lowerer.sources.push(None);
        }
        Ok(lowerer)
    }

    /// A value without its lowest bits: an integer stands for the middle of what it was cut from.
    fn view(&self, register: Register, of: Encoding, drop: u8) -> Encoding {
        let unit = of.unit * exp2(drop);
        Encoding {
            rest: unit / 2.0,
            ..self.emit.encoding(register, unit)
        }
    }

    /// What linear maps read of a register. Where a kernel reads zeros around it, 0 must stand for 0.
    fn readable(&mut self, register: usize, value: Encoding) -> Encoding {
        let forms = self.network.stages.iter().flat_map(|s| &s.arguments);
        let is_padded = forms
            .chain([&self.network.output])
            .any(|form| form.pads(register));
        let begins = value.rest == 0.0 && value.signed && value.steps as f64 == -value.ends().0;
        if value.steps == 0 || !is_padded || !begins {
            return value;
        }
        Encoding {
            register: self
                .emit
                .polynomial(value.steps, &[(1, value.register, None)]),
            steps: 0,
            signed: false,
            ..value
        }
    }

    fn run(&mut self) -> Result<Run, Error> {
        let stages = &self.network.stages;
        let count = self.network.register_of(stages.len());
        let blank = self.full[0];
        self.full.resize(count, blank);
        self.registers.resize(count, blank);
        self.sources.resize(count, None);
        let mut lowered: Vec<Option<Lowered>> = vec![None; stages.len()];
        let in_head = self.head();
        for head in [false, true] {
            if head {
                self.carry();
                if self.network.emission == Emission::Last {
                    self.emit.begin_head();
                }
            }
            for (k, stage) in stages.iter().enumerate() {
                if in_head[k] != head {
                    continue;
                }
                let done = self.stage(k, stage)?;
                let register = self.network.register_of(k);
                self.full[register] = done.lowered.result;
                self.registers[register] = self.readable(register, done.linear);
                self.sources[register] = done.source;
                lowered[k] = Some(done.lowered);
            }
        }
        let (output, unit, sums) = self.output()?;
        Ok((lowered, output, (unit, sums)))
    }

    /// Which stages are needed once, after the last frame: those that no state follows from.
    fn head(&self) -> Vec<bool> {
        let network = self.network;
        let mut in_head = vec![network.emission == Emission::Last; network.stages.len()];
        let mut left: Vec<usize> = network.states.iter().map(|s| s.next).collect();
        while let Some(register) = left.pop() {
            let Some(k) = network.stage_of(register) else {
                continue;
            };
            if std::mem::replace(&mut in_head[k], false) {
                let stage = &network.stages[k];
                left.extend(stage.arguments.iter().flat_map(Form::reads));
            }
        }
        in_head
    }

    /// Sets what the states become.
    fn carry(&mut self) {
        let mut part = 0;
        for (s, state) in self.network.states.iter().enumerate() {
            self.emit.carry(part, self.full[state.next].register);
            part += 1;
            if self.widths[1 + s].view.is_some() {
                self.emit.carry(part, self.registers[state.next].register);
                part += 1;
            }
        }
    }

    fn finish(
        self,
        stages: Vec<Option<Lowered>>,
        output: Register,
        (output_unit, sums): (f64, Option<SumsReport>),
    ) -> Result<Lowering, Error> {
        let (program, maps) = self.emit.finish(output, self.network.emission)?;
        let stages = stages.into_iter().flatten();
        Ok(Lowering {
            program,
            maps,
            input: self.full[0],
            states: self.full[1..=self.network.states.len()].to_vec(),
            stages: stages.collect(),
            output_unit,
            output: sums,
            nonzeros: self.nonzeros,
        })
    }

    /// The numbers of bits of sums that are rounded to `width` bits; `fixed` if their unit is.
    fn formats<'b>(
        &self,
        forms: impl IntoIterator<Item = &'b Form>,
        width: u8,
        fixed: bool,
    ) -> Formats {
        // The weights of sums at a fixed scale are small where there is state.
        let more = u8::from(self.network.has_state());
        let bits = |register: usize| self.widths.get(register).map_or(16, |w| w.linear());
        let own = shift_for(forms, &bits) + more;
        let shift = self.precision.shift_of(own);
        let (bits, fixed_bits) = self.precision.accumulator(width, shift, fixed);
        Formats {
            shift,
            fixed_shift: self.precision.has_fixed_shift(),
            common: self.common + more,
            bits,
            fixed_bits,
            most: self.precision.most_bits(),
            // Inputs and states have one matrix, as recurrent layers are written.
            join: self.network.has_state(),
            rounded: true,
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

    fn too_small(&self, stage: usize) -> Error {
        limit(
            "quantisation",
            format!(
                "{}: its sums do not fit the accumulator at their fixed scale: ask for more bits with `Precision::accumulator_bits`, or a smaller `Precision::shift`",
                self.label(stage)
            ),
        )
    }

    /// Rows of a form: those of its kernels, if it has some that may read what its registers hold. Beyond
    /// the ends is 0, which not all integers 0 stand for.
    ///
    /// Integers are those of the expansion, unless no position of a kernel is all within the register: its
    /// sums are bounded as if one were.
    fn block<'b>(&self, form: &'b Form, unit: f64, zero: f64, enlarging: Enlarging) -> Block<'b> {
        let kernels = form.kernels.as_deref().filter(|kernels| {
            let mut read = kernels.form.registers().zip(&kernels.windows);
            read.all(|(r, window)| self.registers[r].is_plain() || !window.reads_outside())
        });
        let (form, windows) = match kernels {
            Some(kernels) => (&kernels.form, kernels.windows.as_slice()),
            None => (form, [].as_slice()),
        };
        Block {
            form,
            windows,
            unit,
            zero,
            enlarging,
        }
    }

    /// An affine operation for the rows of one block.
    fn affine(
        &mut self,
        stage: usize,
        block: Block<'_>,
        formats: Formats,
    ) -> Result<(Register, Fitted), Error> {
        let (sums, fitted) = self.affines(stage, &[block], formats, usize::MAX)?;
        match sums.as_slice() {
            [sums] => Ok((*sums, fitted)),
            _ => Err(wrong("quantisation", "sums of nothing")),
        }
    }

    /// One affine operation for all blocks, or one for each if they are of kernels. Maps from `shared` on are
    /// used again where they are the same.
    fn affines(
        &mut self,
        stage: usize,
        blocks: &[Block<'_>],
        formats: Formats,
        shared: usize,
    ) -> Result<(Vec<Register>, Fitted), Error> {
        let mut fitted = fit(&self.label(stage), blocks, &self.registers, formats)?;
        let shift = if formats.rounded { fitted.shift } else { 0 };
        let mut sums = Vec::new();
        for (blocks, own) in together(blocks).zip(std::mem::take(&mut fitted.maps)) {
            let rows = blocks.iter().map(|b| b.form.len).sum();
            let mut maps = Vec::new();
            for Applied {
                map,
                registers,
                window,
            } in own
            {
                let registers = registers.iter().map(|r| self.registers[*r].register);
                let input = self.emit.concat(registers.collect());
                maps.push((input, window, map));
            }
            let known = self.emit.maps.len();
            sums.push(self.emit.affine(maps, rows, shared, fitted.bits, shift)?);
            if self.emit.maps.len() > known {
                fitted.nonzeros += blocks.iter().map(|b| b.form.nonzeros()).sum::<usize>();
            }
        }
        self.nonzeros += fitted.nonzeros;
        Ok((sums, fitted))
    }

    /// The unit that the result of a stage must have, because a state has it.
    fn prescribed(&self, stage: usize) -> Option<(usize, f64)> {
        let register = self.network.register_of(stage);
        let state = self
            .network
            .states
            .iter()
            .position(|s| s.next == register)?;
        Some((state, self.full[1 + state].unit))
    }

    fn stage(&mut self, k: usize, stage: &Stage) -> Result<Done, Error> {
        let register = self.network.register_of(k);
        let width = self.widths[register];
        let Some(form) = stage.arguments.first() else {
            return Err(wrong("quantisation", "a stage of nothing"));
        };
        match &stage.kind {
            Kind::Function(Function::Relu) => {
                let direct = form.as_register().map(|r| self.registers[r]);
                match direct {
                    Some(source) if source.is_plain() => Ok(self.direct_relu(source)),
                    _ => self.rounded(k, stage, form, width, true),
                }
            }
            Kind::Function(Function::Clip { least, most }) => {
                self.clip(k, stage, form, width.full, (*least, *most))
            }
            Kind::Function(function) => self.function(k, stage, form, function),
            Kind::Maximum { relu } => self.maximum(k, stage, width.full, *relu),
            Kind::Identity => self.rounded(k, stage, form, width, false),
        }
    }
}
