//! The reference interpreter: a program on integers. This is the specification.

use super::{Activation, Operation, Program, Register, Spread};
use crate::{
    error::{Error, Reason},
    weights::WeightBank,
};

/// What a step computed.
#[derive(Clone, PartialEq, Eq)]
pub struct StepTrace {
    /// The value of every register, by [`Register::index`].
    pub registers: Vec<Vec<i64>>,
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

/// Signed requantisation: `clamp(⌊(y + 2^(s-1)) / 2^s⌋, -2^(w-1), 2^(w-1) - 1)`; no rounding term
/// if `s = 0`.
#[must_use]
pub fn requantize(y: i64, shift: u32, width: u32) -> i64 {
    layerfold_gadgets::requantize::requantize_native(y, shift, width)
}

impl Program {
    /// Runs one step on integers.
    ///
    /// `carried` is the vector carried to this step (empty if the program carries none), `phase`
    /// the number of steps of the current inference that were already run.
    ///
    /// # Errors
    /// If a vector has the wrong length or an entry is over its width, and if a sum does not fit
    /// its accumulator, which cannot happen with weights that were checked against the program.
    pub fn run_step(
        &self,
        bank: &WeightBank,
        phase: u64,
        carried: &[i64],
        frame: &[i64],
    ) -> Result<StepTrace, Error> {
        let shapes = self.register_shapes();
        for (what, values, register) in [
            ("frame", frame, Register::FRAME),
            ("carried vector", carried, Register::CARRIED),
        ] {
            check_vector(what, values, &shapes[register.index()])?;
        }
        let mut registers: Vec<Vec<i64>> = Vec::with_capacity(shapes.len());
        registers.push(frame.to_vec());
        registers.push(carried.to_vec());
        for (at, operation) in self.operations.iter().enumerate() {
            let shape = &shapes[at + 2];
            let value = match operation {
                Operation::Affine { terms, rows, .. } => {
                    let mut y = vec![0i128; *rows as usize];
                    for (b, term) in terms.iter().enumerate() {
                        if let Some(l) = self.resolve(term.map, phase) {
                            bank.maps()[l].accumulate(
                                &registers[term.input.index()],
                                b == 0,
                                &mut y,
                            );
                        }
                    }
                    y.into_iter()
                        .map(|y| {
                            i64::try_from(y)
                                .ok()
                                .filter(|y| shape.holds(*y))
                                .ok_or_else(|| accumulator_overflow(y, shape.width))
                        })
                        .collect::<Result<_, _>>()?
                }
                Operation::Requantize { input, width } => {
                    let shift = match &self.operations[input.index() - 2] {
                        Operation::Affine { shift, .. } => u32::from(*shift),
                        _ => 0,
                    };
                    registers[input.index()]
                        .iter()
                        .map(|y| requantize(*y, shift, u32::from(*width)))
                        .collect()
                }
                Operation::Relu { input } => registers[input.index()]
                    .iter()
                    .map(|x| (*x).max(0))
                    .collect(),
                Operation::Table { input, table } => registers[input.index()]
                    .iter()
                    .map(|x| self.look_up(*table, *x))
                    .collect(),
                Operation::Select { first, rest } => {
                    let chosen = if phase == 0 { first } else { rest };
                    let mut x = registers[chosen.index()].clone();
                    x.resize(shape.len, 0);
                    x
                }
                Operation::Layer {
                    input,
                    passed,
                    slot,
                } => {
                    let mut x = match self.resolve(super::MapRef::Slot(*slot), phase) {
                        None => registers[passed.index()].clone(),
                        Some(l) => registers[input.index()]
                            .iter()
                            .take(self.maps[l].rows as usize)
                            .map(|q| self.activate(l, *q))
                            .collect(),
                    };
                    x.resize(shape.len, 0);
                    x
                }
            };
            registers.push(value);
        }
        Ok(StepTrace { registers })
    }

    /// Runs a whole inference on integers: all steps of one frame, starting from `carried`, which
    /// is left at what the next inference starts from.
    ///
    /// # Errors
    /// As [`run_step`](Self::run_step).
    pub fn run(
        &self,
        bank: &WeightBank,
        carried: &mut Vec<i64>,
        frame: &[i64],
    ) -> Result<Vec<i64>, Error> {
        let mut output = Vec::new();
        let zeros = vec![0; frame.len()];
        for phase in 0..self.steps_per_frame() {
            let frame = if phase == 0 { frame } else { &zeros };
            let trace = self.run_step(bank, phase, carried, frame)?;
            if let Some(c) = &self.carried {
                *carried = trace.register(c.next).to_vec();
            }
            output = self.output_of(&trace);
        }
        Ok(output)
    }

    /// The vector carried into the first step of a run.
    #[must_use]
    pub fn initial_carried(&self) -> Vec<i64> {
        self.carried
            .as_ref()
            .map(|c| c.initial.iter().map(|v| i64::from(*v)).collect())
            .unwrap_or_default()
    }

    /// The output vector of a step that emits one.
    pub(crate) fn output_of(&self, trace: &StepTrace) -> Vec<i64> {
        trace.register(self.output.register)[..self.output.len as usize].to_vec()
    }

    fn activate(&self, layer: usize, q: i64) -> i64 {
        match &self.spread {
            Spread::Frames => q,
            Spread::Layers { activations, .. } => match activations[layer] {
                Activation::Identity => q,
                Activation::Relu => q.max(0),
                Activation::Table(t) => self.look_up(t, q),
            },
        }
    }

    fn look_up(&self, table: u32, x: i64) -> i64 {
        i64::from(self.tables[table as usize].values[(x + 128) as usize])
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
