//! The reference interpreter: a program on integers. This is the specification.

use std::ops::Range;

use super::{Activation, Emission, Monomial, Node, Operation, Program, Register, Unrolled};
use crate::{
    error::{Error, Reason},
    weights::WeightBank,
};

/// What a step computed.
#[derive(Clone, PartialEq, Eq)]
pub struct StepTrace {
    /// The value of every register of the step: by [`Register::index`] if it takes one frame at
    /// the most.
    pub registers: Vec<Vec<i64>>,
    /// Of which slots there was a frame; the others ran on zeros and changed nothing.
    pub on: Vec<bool>,
}

impl std::fmt::Debug for StepTrace {
    /// Without the values: they are inputs and activations.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StepTrace({} registers, redacted)", self.registers.len())
    }
}

impl StepTrace {
    /// The value of a register.
    #[must_use]
    pub fn register(&self, register: Register) -> &[i64] {
        &self.registers[register.index()]
    }
}

/// Signed requantisation: `clamp(⌊(y + 2^(s-1)) / 2^(s+drop)⌋, -2^(w-1), 2^(w-1) - 1)`; no rounding
/// term if `s = 0`.
#[must_use]
pub fn requantize(y: i64, shift: u32, drop: u32, width: u32) -> i64 {
    layerfold_gadgets::requantize::requantize_drop_native(y, shift, drop, width)
}

/// A step while its frames arrive.
#[derive(Clone)]
pub(crate) struct Execution {
    registers: Vec<Vec<i64>>,
    phase: u64,
    present: usize,
}

impl Execution {
    /// Before the first frame. `carried` is the vector carried to the step, part by part.
    pub(crate) fn begin(step: &Unrolled, phase: u64, carried: &[Vec<i64>]) -> Result<Self, Error> {
        if carried.len() != step.opened.len() {
            return Err(Reason::Shape {
                what: "parts of the carried vector",
                expected: step.opened.len(),
                got: carried.len(),
            }
            .into());
        }
        let mut registers = vec![Vec::new(); step.shapes.len()];
        for (register, part) in step.opened.iter().zip(carried) {
            check_vector("carried vector", part, step.shape(*register))?;
            registers[register.index()] = part.clone();
        }
        Ok(Self {
            registers,
            phase,
            present: 0,
        })
    }

    /// All registers so far, by index.
    pub(crate) fn registers(&self) -> &[Vec<i64>] {
        &self.registers
    }

    /// Number of frames so far.
    pub(crate) fn present(&self) -> usize {
        self.present
    }

    /// Forgets the last frame.
    pub(crate) fn undo(&mut self) {
        self.present = self.present.saturating_sub(1);
    }

    /// The frames so far.
    pub(crate) fn frames(&self, step: &Unrolled) -> Vec<Vec<i64>> {
        let slots = step.slots.iter().take(self.present);
        slots
            .map(|s| self.registers[s.frame.index()].clone())
            .collect()
    }

    /// Runs the next slot on a frame; an error leaves the step as it was.
    pub(crate) fn push(
        &mut self,
        step: &Unrolled,
        bank: &WeightBank,
        frame: &[i64],
    ) -> Result<(), Error> {
        let slot = self.present;
        if slot >= step.slots.len() {
            return Err(Error::usage("the step has taken all its frames"));
        }
        check_vector("frame", frame, step.shape(Register::FRAME))?;
        self.run_slot(step, bank, slot, frame, true)?;
        self.present += 1;
        Ok(())
    }

    /// The output after the last frame so far, of a program that emits one then.
    pub(crate) fn output(&mut self, step: &Unrolled, bank: &WeightBank) -> Result<Vec<i64>, Error> {
        let slot = self.present.saturating_sub(1);
        let len = step.program.output.len as usize;
        let register = match step.program.emission {
            Emission::Each => step.slots[slot].output,
            Emission::Last => {
                // What the head reads is written again when the step is finished.
                let last = &step.slots[step.slots.len() - 1].carried;
                for (now, end) in step.slots[slot].carried.iter().zip(last) {
                    if now != end {
                        self.registers[end.index()] = self.registers[now.index()].clone();
                    }
                }
                self.run_nodes(step, bank, step.head.clone(), true)?;
                step.output
            }
        };
        Ok(self.registers[register.index()][..len].to_vec())
    }

    /// Parts of the carried vector after the last frame so far, of which there is one.
    pub(crate) fn carried(&self, step: &Unrolled) -> Vec<Vec<i64>> {
        let after = &step.slots[self.present.saturating_sub(1)].carried;
        let part = |r: &Register| self.registers[r.index()].clone();
        after.iter().map(part).collect()
    }

    /// Runs the slots without a frame, and the head.
    pub(crate) fn finish(mut self, step: &Unrolled, bank: &WeightBank) -> Result<StepTrace, Error> {
        let zeros = vec![0; step.program.frame().len as usize];
        for slot in self.present..step.slots.len() {
            self.run_slot(step, bank, slot, &zeros, false)?;
        }
        self.into_trace(step, bank)
    }

    /// Runs the head, all slots being done.
    pub(crate) fn into_trace(
        mut self,
        step: &Unrolled,
        bank: &WeightBank,
    ) -> Result<StepTrace, Error> {
        self.run_nodes(step, bank, step.head.clone(), true)?;
        Ok(StepTrace {
            registers: self.registers,
            on: (0..step.slots.len()).map(|s| s < self.present).collect(),
        })
    }

    /// What follows, in a step of one frame, from a lie about the result of node `at`.
    #[cfg(test)]
    pub(crate) fn after_a_lie(
        step: &Unrolled,
        bank: &WeightBank,
        phase: u64,
        trace: StepTrace,
        at: usize,
    ) -> Result<StepTrace, Error> {
        let mut execution = Self {
            registers: trace.registers,
            phase,
            present: 1,
        };
        execution.run_nodes(step, bank, at + 1..step.nodes.len(), true)?;
        Ok(StepTrace {
            registers: execution.registers,
            on: trace.on,
        })
    }

    /// Runs the operations of one slot, whose frame is there or not.
    pub(crate) fn run_slot(
        &mut self,
        step: &Unrolled,
        bank: &WeightBank,
        slot: usize,
        frame: &[i64],
        on: bool,
    ) -> Result<(), Error> {
        let at = &step.slots[slot];
        self.registers[at.frame.index()] = frame.to_vec();
        self.run_nodes(step, bank, at.nodes.clone(), on)
    }

    fn run_nodes(
        &mut self,
        step: &Unrolled,
        bank: &WeightBank,
        nodes: Range<usize>,
        on: bool,
    ) -> Result<(), Error> {
        for at in nodes {
            let value = match &step.nodes[at] {
                // Set by whoever runs the slot, or begins the step.
                Node::Frame | Node::Carried => continue,
                Node::Keep { new, old, .. } => {
                    self.registers[if on { new } else { old }.index()].clone()
                }
                Node::Operation(operation) => self.run_operation(step, bank, at, operation)?,
            };
            self.registers[at + 2] = value;
        }
        Ok(())
    }

    fn run_operation(
        &self,
        step: &Unrolled,
        bank: &WeightBank,
        at: usize,
        operation: &Operation,
    ) -> Result<Vec<i64>, Error> {
        let program = &step.program;
        let shape = &step.shapes[at + 2];
        let register = |r: &Register| self.registers[r.index()].as_slice();
        let fit = |y: Vec<i128>| {
            y.into_iter()
                .map(|y| {
                    i64::try_from(y)
                        .ok()
                        .filter(|y| shape.holds(*y))
                        .ok_or_else(|| accumulator_overflow(y, shape.width))
                })
                .collect::<Result<Vec<_>, Error>>()
        };
        Ok(match operation {
            Operation::Affine { terms, rows, .. } => {
                let mut y = vec![0i128; *rows as usize];
                for (l, input, with_bias) in program.products(terms, self.phase) {
                    bank.maps()[l].accumulate(register(&input), with_bias, &mut y);
                }
                fit(y)?
            }
            Operation::Combine {
                constant,
                monomials,
                ..
            } => fit(self.sums(shape.len, *constant, monomials))?,
            Operation::Requantize { input, drop, width } => {
                let shift = u32::from(step.shift(*input));
                let (drop, width) = (u32::from(*drop), u32::from(*width));
                register(input)
                    .iter()
                    .map(|y| requantize(*y, shift, drop, width))
                    .collect()
            }
            Operation::Relu { input } => register(input).iter().map(|x| (*x).max(0)).collect(),
            Operation::Table { input, table } => register(input)
                .iter()
                .map(|x| program.look_up(*table, *x))
                .collect(),
            Operation::Carried { .. } => Vec::new(),
            Operation::Polynomial {
                constant,
                monomials,
                ..
            } => fit(self.sums(shape.len, *constant, monomials))?,
            Operation::Dot {
                input,
                coefficients,
                ..
            } => {
                let products = register(input).iter().zip(coefficients);
                fit(vec![
                    products.map(|(x, c)| i128::from(*x) * i128::from(*c)).sum(),
                ])?
            }
            Operation::Sign { input } => {
                register(input).iter().map(|y| i64::from(*y >= 0)).collect()
            }
            Operation::Zero { input } => {
                register(input).iter().map(|y| i64::from(*y == 0)).collect()
            }
            Operation::Indicators { input, len } => {
                let x = register(input)[0];
                (0..i64::from(*len)).map(|c| i64::from(x == c)).collect()
            }
            Operation::ArgMax { input } => {
                let x = register(input);
                let at = layerfold_gadgets::compare::argmax_native(x);
                (0..x.len()).map(|i| i64::from(Some(i) == at)).collect()
            }
            Operation::Accumulate { part, input } => {
                // In the step, the part is what the slot before left.
                let before = step.carried_before(at, *part as usize);
                let sums = register(&before).iter().zip(register(input));
                fit(sums
                    .map(|(sum, x)| i128::from(*sum) + i128::from(*x))
                    .collect())?
            }
            Operation::Slice { input, start, len } => {
                let start = *start as usize;
                register(input)[start..start + *len as usize].to_vec()
            }
            Operation::Concat { inputs } => {
                inputs.iter().flat_map(|r| register(r).to_vec()).collect()
            }
            Operation::Select { first, rest } => {
                let chosen = if self.phase == 0 { first } else { rest };
                let mut x = register(chosen).to_vec();
                x.resize(shape.len, 0);
                x
            }
            Operation::Layer { input, slot } => {
                let used = program.slot_uses(*slot)[self.phase as usize];
                let rows = register(input).iter().take(used.rows as usize);
                let mut x: Vec<i64> = rows
                    .map(|q| program.activate(used.activation, *q))
                    .collect();
                x.resize(shape.len, 0);
                x
            }
        })
    }
}

impl Execution {
    /// `constant + Σ coefficient·left·right`, entry by entry.
    fn sums(&self, len: usize, constant: i64, monomials: &[Monomial]) -> Vec<i128> {
        let mut sums = vec![i128::from(constant); len];
        for m in monomials {
            let left = &self.registers[m.left.index()];
            let right = m.right.map(|r| &self.registers[r.index()]);
            for (i, (sum, left)) in sums.iter_mut().zip(left).enumerate() {
                let right = right.map_or(1, |r| r[i]);
                *sum += i128::from(m.coefficient) * i128::from(*left) * i128::from(right);
            }
        }
        sums
    }
}

impl Program {
    /// Runs one step on integers.
    ///
    /// `carried` is the vector carried to this step, part by part (none if the program carries
    /// none), `phase` the number of steps of the current inference that were already run. There
    /// are between one and `F` frames, of which there is one in every phase; the slots that are
    /// left over run on zeros and change nothing.
    ///
    /// # Errors
    /// If a vector has the wrong length or an entry is over its width, and if a sum does not fit
    /// its accumulator, which cannot happen with weights that were checked against the program.
    pub fn run_step(
        &self,
        bank: &WeightBank,
        phase: u64,
        carried: &[Vec<i64>],
        frames: &[Vec<i64>],
    ) -> Result<StepTrace, Error> {
        if frames.is_empty() {
            return Err(Reason::Empty { what: "step" }.into());
        }
        let step = Unrolled::new(self);
        let mut execution = Execution::begin(&step, phase, carried)?;
        for frame in frames {
            execution.push(&step, bank, frame)?;
        }
        execution.finish(&step, bank)
    }

    /// Runs a whole inference on integers: all steps of one frame, starting from `carried`, which
    /// is left at what the next inference starts from.
    ///
    /// # Errors
    /// As [`run_step`](Self::run_step).
    pub fn run(
        &self,
        bank: &WeightBank,
        carried: &mut Vec<Vec<i64>>,
        frame: &[i64],
    ) -> Result<Vec<i64>, Error> {
        let mut interpreter = Interpreter {
            step: Unrolled::of_one_frame(self),
            bank,
            carried: std::mem::take(carried),
            frames: 0,
        };
        let output = interpreter.push(frame);
        *carried = interpreter.carried;
        output
    }

    /// The vector carried into the first step of a run, part by part; parameters as the program has
    /// them.
    #[must_use]
    pub fn initial_carried(&self) -> Vec<Vec<i64>> {
        let widened = |c: &super::Carried| c.initial.iter().map(|v| i64::from(*v)).collect();
        self.carried.iter().map(widened).collect()
    }

    /// The same, with the parameters of a run, one after the other.
    ///
    /// # Errors
    /// If there are not as many parameters as the program has, or one is over its width.
    pub fn initial_with(&self, parameters: &[i64]) -> Result<Vec<Vec<i64>>, Error> {
        let mut carried = self.initial_carried();
        let mut left = parameters;
        let expected: usize = self.parameter_shapes().iter().map(|s| s.len).sum();
        for ((part, c), shape) in carried
            .iter_mut()
            .zip(&self.carried)
            .zip(self.carried_shapes())
        {
            if !c.parameter {
                continue;
            }
            let Some((own, rest)) = left.split_at_checked(shape.len) else {
                break;
            };
            check_vector("parameters", own, &shape)?;
            *part = own.to_vec();
            left = rest;
        }
        if parameters.len() != expected {
            return Err(Reason::Shape {
                what: "parameters",
                expected,
                got: parameters.len(),
            }
            .into());
        }
        Ok(carried)
    }

    /// The output of a step of a program with one frame to a step, if it emits one.
    pub(crate) fn output_of(&self, trace: &StepTrace) -> Vec<i64> {
        trace.register(self.output.register)[..self.output.len as usize].to_vec()
    }

    pub(crate) fn activate(&self, activation: Activation, q: i64) -> i64 {
        match activation {
            Activation::Identity => q,
            Activation::Relu => q.max(0),
            Activation::Table(t) => self.look_up(t, q),
        }
    }

    fn look_up(&self, table: u32, x: i64) -> i64 {
        i64::from(self.tables[table as usize].values[(x + 128) as usize])
    }
}

/// A model on integers, frame after frame: what a proof is about.
pub struct Interpreter<'a> {
    step: Unrolled,
    bank: &'a WeightBank,
    carried: Vec<Vec<i64>>,
    frames: u64,
}

impl std::fmt::Debug for Interpreter<'_> {
    /// Without the state.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Interpreter(redacted)")
    }
}

impl<'a> Interpreter<'a> {
    /// A model at the start of a run.
    ///
    /// # Errors
    /// If the weights are not those of such a program, or a sum could leave its accumulator; if the
    /// program has parameters.
    pub fn new(program: &Program, bank: &'a WeightBank) -> Result<Self, Error> {
        Self::with_parameters(program, bank, &[])
    }

    /// The same for a statement with these parameters, one after the other.
    ///
    /// # Errors
    /// As [`new`](Self::new); if there are not as many parameters as the program has, or one is
    /// over its width.
    pub fn with_parameters(
        program: &Program,
        bank: &'a WeightBank,
        parameters: &[i64],
    ) -> Result<Self, Error> {
        bank.check(program)?;
        Ok(Self {
            step: Unrolled::of_one_frame(program),
            bank,
            carried: program.initial_with(parameters)?,
            frames: 0,
        })
    }

    /// Runs one frame; gives its output. With many-to-one programs that is the output if the run
    /// ended here.
    ///
    /// # Errors
    /// If the frame has the wrong length or an entry over its width, or the program allows no more
    /// frames.
    pub fn push(&mut self, frame: &[i64]) -> Result<Vec<i64>, Error> {
        if self.frames >= self.step.program.max_frames() {
            return Err(Error::usage(
                "the run has as many frames as its sums have room for",
            ));
        }
        let step = &self.step;
        let zeros = vec![0; frame.len()];
        let mut output = Vec::new();
        for phase in 0..step.program.steps_per_frame() {
            let mut execution = Execution::begin(step, phase, &self.carried)?;
            execution.push(step, self.bank, if phase == 0 { frame } else { &zeros })?;
            output = execution.output(step, self.bank)?;
            self.carried = execution.carried(step);
        }
        self.frames += 1;
        Ok(output)
    }

    /// The carried vector, part by part.
    #[must_use]
    pub fn state(&self) -> &[Vec<i64>] {
        &self.carried
    }
}

fn accumulator_overflow(y: i128, width: u32) -> Error {
    Reason::Range {
        what: "accumulator",
        got: y,
        least: -(1i128 << (width - 1)),
        most: (1i128 << (width - 1)) - 1,
    }
    .into()
}

/// Length and range of a vector that is handed in.
pub(crate) fn check_vector(
    what: &'static str,
    values: &[i64],
    shape: &super::RegisterShape,
) -> Result<(), Error> {
    if values.len() != shape.len {
        return Err(Reason::Shape {
            what,
            expected: shape.len,
            got: values.len(),
        }
        .into());
    }
    if let Some(v) = values.iter().find(|v| !shape.holds(**v)) {
        let offset = i128::from(shape.offset);
        return Err(Reason::Range {
            what,
            got: i128::from(*v),
            least: -offset,
            most: (1i128 << shape.width) - 1 - offset,
        }
        .into());
    }
    Ok(())
}
