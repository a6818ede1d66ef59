//! The reference interpreter: a program on integers. This is the specification.

use std::borrow::Cow;

use super::{Operation, Program, Register, Registers, Shape, op::Values};
use crate::{
    error::{Error, Reason},
    program::WeightBank,
};

pub use super::op::requantize;

impl Program {
    /// The vector carried to the first frame of a run, part by part; parameters as the program has
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
        let parts = carried.iter_mut().zip(&self.carried);
        for (part, c) in parts.filter(|(_, c)| c.parameter) {
            let shape = c.shape.shape();
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

    /// Runs one frame on integers, starting from `carried`, which is left at what the next frame
    /// starts from; gives the output as if the run ended here.
    ///
    /// # Errors
    /// If a vector has the wrong length or an entry is over its width, and if a sum leaves its range,
    /// which cannot happen with weights that were checked against the program.
    pub fn run(
        &self,
        bank: &WeightBank,
        carried: &mut Vec<Vec<i64>>,
        frame: &[i64],
    ) -> Result<Vec<i64>, Error> {
        let mut run = Run::new(self, bank, carried)?;
        let registers = run.frame(frame, true)?;
        *carried = run.carried;
        Ok(self.output_of(&registers))
    }

    /// The values of all registers in one frame that finds `carried`, those of the head as if the run
    /// ended with it.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn registers_of(
        &self,
        bank: &WeightBank,
        carried: &[Vec<i64>],
        frame: &[i64],
    ) -> Result<Registers<Vec<i64>>, Error> {
        Run::new(self, bank, carried)?.frame(frame, true)
    }

    /// The output among the registers of a frame, those of the head with them.
    pub(crate) fn output_of(&self, registers: &Registers<Vec<i64>>) -> Vec<i64> {
        registers[self.output.register][..self.output.len as usize].to_vec()
    }
}

/// A run on integers, one frame after the other.
pub(crate) struct Run<'a> {
    program: Cow<'a, Program>,
    shapes: Registers<Shape>,
    bank: &'a WeightBank,
    carried: Vec<Vec<i64>>,
}

impl<'a> Run<'a> {
    /// Before a frame that finds this vector.
    pub(crate) fn new(
        program: &'a Program,
        bank: &'a WeightBank,
        carried: &[Vec<i64>],
    ) -> Result<Self, Error> {
        check_carried(program, carried)?;
        Ok(Self {
            shapes: program.register_shapes(),
            program: Cow::Borrowed(program),
            bank,
            carried: carried.to_vec(),
        })
    }

    /// Shapes of all registers.
    pub(crate) fn shapes(&self) -> &Registers<Shape> {
        &self.shapes
    }

    /// All registers after the next frame, those of the head if asked for. An error leaves the run as
    /// it was.
    pub(crate) fn frame(
        &mut self,
        frame: &[i64],
        with_head: bool,
    ) -> Result<Registers<Vec<i64>>, Error> {
        check_vector("frame", frame, &self.shapes[Register::Frame])?;
        let mut registers = Registers::new(frame.to_vec(), self.carried.iter().cloned());
        for operation in &self.program.operations {
            self.push(operation, &mut registers)?;
        }
        let next = self.program.carried.iter();
        let next: Vec<Vec<i64>> = next.map(|c| registers[c.next].clone()).collect();
        if with_head {
            for operation in &self.program.head {
                self.push(operation, &mut registers)?;
            }
        }
        self.carried = next;
        Ok(registers)
    }

    fn push(
        &self,
        operation: &Operation,
        registers: &mut Registers<Vec<i64>>,
    ) -> Result<(), Error> {
        let at = Register::result_of(registers.results().len());
        let read = |r: Register| registers[r].as_slice();
        let values = Values {
            tables: &self.program.tables,
            bank: self.bank,
            read: &read,
            before: &|part| read(Register::Carried(part)),
        };
        let result = operation.evaluate(&values, &self.shapes[at])?;
        registers.push(result);
        Ok(())
    }
}

/// A model on integers, frame after frame: what a proof is about.
pub struct Interpreter<'a> {
    run: Run<'a>,
    registers: Option<Registers<Vec<i64>>>,
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
    /// If the weights are not those of such a program, or a sum could leave its range; if the
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
            run: Run {
                shapes: program.validate_language()?,
                carried: program.initial_with(parameters)?,
                program: Cow::Owned(program.clone()),
                bank,
            },
            registers: None,
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
        if self.frames >= self.run.program.max_frames() {
            return Err(Error::usage(
                "the run has as many frames as its sums have room for",
            ));
        }
        let registers = self.run.frame(frame, true)?;
        let output = self.run.program.output_of(&registers);
        self.registers = Some(registers);
        self.frames += 1;
        Ok(output)
    }

    /// All registers after the last frame, `None` before the first.
    #[must_use]
    pub fn registers(&self) -> Option<&Registers<Vec<i64>>> {
        self.registers.as_ref()
    }

    /// The carried vector, part by part.
    #[must_use]
    pub fn state(&self) -> &[Vec<i64>] {
        &self.run.carried
    }
}

/// Number, lengths and ranges of the parts of the carried vector.
pub(crate) fn check_carried(program: &Program, carried: &[Vec<i64>]) -> Result<(), Error> {
    let shapes = program.carried_shapes();
    if carried.len() != shapes.len() {
        return Err(Reason::Shape {
            what: "parts of the carried vector",
            expected: shapes.len(),
            got: carried.len(),
        }
        .into());
    }
    let mut parts = carried.iter().zip(&shapes);
    parts.try_for_each(|(part, shape)| check_vector("carried vector", part, shape))
}

/// Length and range of a vector that is handed in.
pub(crate) fn check_vector(what: &'static str, values: &[i64], shape: &Shape) -> Result<(), Error> {
    if values.len() != shape.len {
        return Err(Reason::Shape {
            what,
            expected: shape.len,
            got: values.len(),
        }
        .into());
    }
    match values.iter().find(|v| !shape.range.holds(**v)) {
        None => Ok(()),
        Some(v) => Err(Reason::Range {
            what,
            got: i128::from(*v),
            least: shape.range.least.into(),
            most: shape.range.most.into(),
        }
        .into()),
    }
}
