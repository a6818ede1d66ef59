//! A step on integers: what the witness of its circuit is made of.

use std::ops::Range;

use super::{
    nodes::{Node, Unrolled},
    schedule::Activation,
};
use crate::{
    error::{Error, Reason},
    program::{
        Emission, Register, Registers, Shape, WeightBank, interpreter::check_vector, op::Values,
    },
};

/// What a step computed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct StepTrace {
    /// The value of every register of the step.
    pub(crate) registers: Registers<Vec<i64>>,
    /// Of which slots there was a frame; the others ran on zeros and changed nothing.
    pub(crate) on: Vec<bool>,
}

impl std::fmt::Debug for StepTrace {
    /// Without the values: they are inputs and activations.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = self.registers.values().len();
        write!(f, "StepTrace({count} registers, redacted)")
    }
}

impl StepTrace {
    /// The value of a register.
    pub(crate) fn register(&self, register: Register) -> &[i64] {
        &self.registers[register]
    }
}

/// A step while its frames arrive.
#[derive(Clone)]
pub(crate) struct Execution {
    registers: Registers<Vec<i64>>,
    phase: u64,
    present: usize,
}

fn shape_of(step: &Unrolled, register: Register) -> Shape {
    let encoding = step.encoding(register);
    Shape {
        len: encoding.len,
        range: encoding.range(),
    }
}

impl Execution {
    /// Before the first frame. `carried` is the vector carried to the step, part by part.
    pub(crate) fn begin(step: &Unrolled, phase: u64, carried: &[Vec<i64>]) -> Result<Self, Error> {
        let opened = step.opened();
        if carried.len() != opened.len() {
            return Err(Reason::Shape {
                what: "parts of the carried vector",
                expected: opened.len(),
                got: carried.len(),
            }
            .into());
        }
        let mut registers = step.encodings.map(|_| Vec::new());
        for (register, part) in opened.into_iter().zip(carried) {
            check_vector("carried vector", part, &shape_of(step, register))?;
            registers[register].clone_from(part);
        }
        Ok(Self {
            registers,
            phase,
            present: 0,
        })
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
        slots.map(|s| self.registers[s.frame].clone()).collect()
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
        check_vector("frame", frame, &shape_of(step, Register::Frame))?;
        self.run_slot(step, bank, slot, frame, true)?;
        self.present += 1;
        Ok(())
    }

    /// The output after the last frame so far, of a program that emits one then.
    pub(crate) fn output(&mut self, step: &Unrolled, bank: &WeightBank) -> Result<Vec<i64>, Error> {
        let slot = self.present.saturating_sub(1);
        let register = match step.emission {
            Emission::Each => step.slots[slot].output,
            Emission::Last => {
                // What the head reads is written again when the step is finished.
                let last = &step.slots[step.slots.len() - 1].carried;
                for (now, end) in step.slots[slot].carried.iter().zip(last) {
                    if now != end {
                        self.registers[*end] = self.registers[*now].clone();
                    }
                }
                self.run_nodes(step, bank, step.head.clone(), true)?;
                step.output
            }
        };
        Ok(self.registers[register][..step.output_len].to_vec())
    }

    /// Runs the slots without a frame, and the head.
    pub(crate) fn finish(mut self, step: &Unrolled, bank: &WeightBank) -> Result<StepTrace, Error> {
        let zeros = vec![0; step.encoding(Register::Frame).len];
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
        self.registers[at.frame] = frame.to_vec();
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
            // Frames are set by whoever runs the slot.
            if !matches!(step.nodes[at], Node::Frame) {
                let value = self.run_node(step, bank, at, on)?;
                self.registers[Register::result_of(at)] = value;
            }
        }
        Ok(())
    }

    fn run_node(
        &self,
        step: &Unrolled,
        bank: &WeightBank,
        at: usize,
        on: bool,
    ) -> Result<Vec<i64>, Error> {
        let shape = shape_of(step, Register::result_of(at));
        let read = |r: Register| self.registers[r].as_slice();
        match &step.nodes[at] {
            Node::Frame => Ok(Vec::new()),
            Node::Keep { new, old, .. } => Ok(read(if on { *new } else { *old }).to_vec()),
            Node::Operation(operation) => {
                let values = Values {
                    tables: &step.tables,
                    bank,
                    read: &read,
                    // What the slot before left.
                    before: &|part| read(step.carried_before(at, part as usize)),
                };
                operation.evaluate(&values, &shape)
            }
            Node::Affine(terms) => {
                let mut y = vec![0i128; shape.len];
                for (l, term, with_bias) in Unrolled::products(terms, self.phase) {
                    let window = term.window.as_ref();
                    bank.maps()[l].accumulate_at(window, read(term.input), with_bias, &mut y);
                }
                let sums = y.into_iter().map(|y| {
                    let fits = i64::try_from(y).ok().filter(|y| shape.range.holds(*y));
                    fits.ok_or_else(|| {
                        Error::from(Reason::Range {
                            what: "sum",
                            got: y,
                            least: shape.range.least.into(),
                            most: shape.range.most.into(),
                        })
                    })
                });
                sums.collect()
            }
            Node::Select => {
                let chosen = match self.phase {
                    0 => Register::Frame,
                    _ => Register::CARRIED,
                };
                let mut x = read(chosen).to_vec();
                x.resize(shape.len, 0);
                Ok(x)
            }
            Node::Layer { input, uses } => {
                let used = uses[self.phase as usize];
                let rows = read(*input).iter().take(used.rows as usize);
                let mut x: Vec<i64> = rows.map(|q| activate(step, used.activation, *q)).collect();
                x.resize(shape.len, 0);
                Ok(x)
            }
        }
    }
}

/// An activation of one integer.
pub(super) fn activate(step: &Unrolled, activation: Activation, q: i64) -> i64 {
    match activation {
        Activation::Identity => q,
        Activation::Relu => q.max(0),
        Activation::Table(t) => step.tables[t as usize].at(q),
    }
}

/// One step on integers.
#[cfg(test)]
pub(crate) fn run_step(
    step: &Unrolled,
    bank: &WeightBank,
    phase: u64,
    carried: &[Vec<i64>],
    frames: &[Vec<i64>],
) -> Result<StepTrace, Error> {
    let mut execution = Execution::begin(step, phase, carried)?;
    for frame in frames {
        execution.push(step, bank, frame)?;
    }
    execution.finish(step, bank)
}

/// A whole inference on integers, step by step: its output.
#[cfg(test)]
pub(crate) fn run_steps(
    step: &Unrolled,
    bank: &WeightBank,
    carried: &mut Vec<Vec<i64>>,
    frame: &[i64],
) -> Result<Vec<i64>, Error> {
    let mut output = Vec::new();
    for phase in 0..step.phases {
        let trace = run_step(step, bank, phase, carried, &[frame.to_vec()])?;
        let slot = &step.slots[0];
        output = trace.register(slot.output)[..step.output_len].to_vec();
        *carried = slot
            .carried
            .iter()
            .map(|r| trace.register(*r).to_vec())
            .collect();
    }
    Ok(output)
}
