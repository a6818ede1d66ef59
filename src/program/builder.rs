//! The one place that puts programs together.

use super::{
    Affine, Carried, Combine, Concat, Emission, Lookup, MapShape, Operation, Output, Program,
    ProgramError, Range, Register, Registers, Relu, Requantize, Shape, Slice, Table, Term,
    VectorShape,
};

/// Collects the operations of a [`Program`], and checks each as it comes.
///
/// ```
/// use layerfold::program::{Affine, Builder};
///
/// // ReLU of a map of 4 inputs of 8 bits to 3 values of 8 bits.
/// let mut builder = Builder::new(4, 8);
/// let map = builder.map(3, 4);
/// let sums = builder.affine(&[(map, builder.frame())], Affine::reach_of(20, 8))?;
/// let rounded = builder.requantize(sums, 8, 8)?;
/// let output = builder.relu(rounded)?;
/// let program = builder.finish(output)?;
/// assert_eq!(program.output_shape().len, 3);
/// # Ok::<(), layerfold::program::ProgramError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `finish`"]
pub struct Builder {
    program: Program,
    shapes: Registers<Shape>,
    in_head: bool,
}

impl Builder {
    /// A program for frames of `len` signed integers of `width` bits.
    pub fn new(len: u32, width: u8) -> Self {
        let frame = VectorShape { len, width };
        Self {
            program: Program {
                maps: Vec::new(),
                tables: Vec::new(),
                frame,
                carried: Vec::new(),
                operations: Vec::new(),
                head: Vec::new(),
                output: Output {
                    register: Register::Frame,
                    len,
                },
                emission: Emission::Each,
                frame_limit: u64::MAX,
            },
            shapes: Registers::new(frame.shape(), []),
            in_head: false,
        }
    }

    /// The input frame.
    #[must_use]
    pub fn frame(&self) -> Register {
        Register::Frame
    }

    /// Length and range of a register.
    #[must_use]
    pub fn shape(&self, register: Register) -> Shape {
        let none = Shape {
            len: 0,
            range: Range { least: 0, most: 0 },
        };
        self.shapes.get(register).copied().unwrap_or(none)
    }

    /// A part of the vector that frames hand on, of signed integers of `width` bits; [`carry`](Self::carry)
    /// says what its next value is. It is declared before any operation.
    ///
    /// # Errors
    /// If there are operations already.
    pub fn state(&mut self, initial: Vec<i32>, width: u8) -> Result<Register, ProgramError> {
        self.part(initial, width, false)
    }

    /// A vector of signed integers of `width` bits that is a parameter of the statement. It is
    /// declared before any operation.
    ///
    /// # Errors
    /// If there are operations already.
    pub fn parameter(&mut self, len: u32, width: u8) -> Result<Register, ProgramError> {
        self.part(vec![0; len as usize], width, true)
    }

    fn part(
        &mut self,
        initial: Vec<i32>,
        width: u8,
        parameter: bool,
    ) -> Result<Register, ProgramError> {
        if !self.program.operations.is_empty() {
            return Err(ProgramError::Structure(
                "parts of the carried vector come before operations",
            ));
        }
        let register = Register::Carried(self.program.carried.len() as u32);
        self.program.carried.push(Carried {
            shape: VectorShape {
                len: initial.len() as u32,
                width,
            },
            initial,
            next: register,
            parameter,
        });
        self.shapes = self.program.empty_shapes();
        Ok(register)
    }

    /// Says what the next value of a part of the carried vector is.
    pub fn carry(&mut self, part: Register, next: Register) {
        if let Register::Carried(part) = part
            && let Some(part) = self.program.carried.get_mut(part as usize)
        {
            part.next = next;
        }
    }

    /// The most frames of a run, if it is less than what was said before.
    pub fn limit_frames(&mut self, most: u64) {
        self.program.frame_limit = self.program.frame_limit.min(most).max(1);
    }

    /// A map of `rows` rows and `columns` columns beside the bias; its index.
    pub fn map(&mut self, rows: u32, columns: u32) -> u32 {
        self.program.maps.push(MapShape { rows, columns });
        self.program.maps.len() as u32 - 1
    }

    /// The index of a table; equal ones are kept once.
    pub fn table(&mut self, table: Table) -> u32 {
        let tables = &mut self.program.tables;
        let index = tables.iter().position(|t| *t == table);
        index.unwrap_or_else(|| {
            tables.push(table);
            tables.len() - 1
        }) as u32
    }

    /// Any operation.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn push(&mut self, operation: impl Into<Operation>) -> Result<Register, ProgramError> {
        let operation = operation.into();
        if self.in_head {
            operation.reads().into_iter().for_each(|r| self.carry_on(r));
        }
        let at = self.shapes.results().len();
        let list = if self.in_head {
            &mut self.program.head
        } else {
            &mut self.program.operations
        };
        list.push(operation.clone());
        // A sum over frames is the next value of its part.
        if let Operation::Accumulate(sum) = &operation {
            self.carry(Register::Carried(sum.part), Register::result_of(at));
        }
        match self.program.shape_of(at, &operation, &self.shapes) {
            Ok(shape) => Ok(self.shapes.push(shape)),
            Err(e) => {
                let list = if self.in_head {
                    &mut self.program.head
                } else {
                    &mut self.program.operations
                };
                list.pop();
                Err(e)
            }
        }
    }

    /// The result of an operation that is there already; in the head, of one of the head.
    pub(crate) fn find(&self, operation: &Operation) -> Option<Register> {
        let (first, list) = match self.in_head {
            true => (self.program.operations.len(), &self.program.head),
            false => (0, &self.program.operations),
        };
        let at = list.iter().position(|known| known == operation)?;
        Some(Register::result_of(first + at))
    }

    /// `Σ A·x` of maps and registers, with the bias of the first map; the weights promise that no
    /// sum is further from 0 than `reach`.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn affine(
        &mut self,
        terms: &[(u32, Register)],
        reach: u64,
    ) -> Result<Register, ProgramError> {
        let terms = terms.iter().map(|(map, input)| Term {
            map: *map,
            input: *input,
            window: None,
        });
        self.push(Affine {
            terms: terms.collect(),
            reach,
        })
    }

    /// `Σ coefficient·left·right`, entry by entry.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn combine(
        &mut self,
        constant: i64,
        terms: &[(i32, Register, Option<Register>)],
    ) -> Result<Register, ProgramError> {
        self.push(Combine::new(constant, terms))
    }

    /// Rounded after a shift and saturated to `width` bits.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn requantize(
        &mut self,
        input: Register,
        shift: u8,
        width: u8,
    ) -> Result<Register, ProgramError> {
        self.push(Requantize {
            input,
            shift,
            drop: 0,
            width,
        })
    }

    /// `max(x, 0)`.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn relu(&mut self, input: Register) -> Result<Register, ProgramError> {
        self.push(Relu { input })
    }

    /// The values of a table.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn look_up(&mut self, input: Register, table: Table) -> Result<Register, ProgramError> {
        let table = self.table(table);
        self.push(Lookup { input, table })
    }

    /// Entries `start..start + len`.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn slice(
        &mut self,
        input: Register,
        start: u32,
        len: u32,
    ) -> Result<Register, ProgramError> {
        self.push(Slice { input, start, len })
    }

    /// One register after the other.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn concat(&mut self, inputs: Vec<Register>) -> Result<Register, ProgramError> {
        self.push(Concat { inputs })
    }

    /// Carries a register of a frame on, so that what is done after the last frame can read it.
    fn carry_on(&mut self, register: Register) {
        let body = self.program.operations.len();
        let is_there = register.operation().is_some_and(|at| at >= body)
            || self.program.carried.iter().any(|c| c.next == register);
        let Some(shape) = self.shapes.get(register).filter(|_| !is_there) else {
            return;
        };
        let width = shape.range.signed_bits().max(2) as u8;
        self.program.carried.push(Carried {
            shape: VectorShape {
                len: shape.len as u32,
                width,
            },
            initial: vec![0; shape.len],
            next: register,
            parameter: false,
        });
        let mut shapes = self.program.empty_shapes();
        for shape in self.shapes.results() {
            shapes.push(*shape);
        }
        self.shapes = shapes;
    }

    /// From here on operations are done once, after the last frame. What they read of that frame is
    /// carried on.
    pub fn begin_head(&mut self) {
        self.in_head = true;
    }

    /// The program whose output for every frame is this register.
    ///
    /// # Errors
    /// The first rule of [`Program::validate`] that is broken.
    pub fn finish(self, output: Register) -> Result<Program, ProgramError> {
        self.emit(output, Emission::Each)
    }

    /// The program whose output for a run is this register after the last frame.
    ///
    /// # Errors
    /// The first rule of [`Program::validate`] that is broken.
    pub fn finish_last(self, output: Register) -> Result<Program, ProgramError> {
        self.emit(output, Emission::Last)
    }

    fn emit(mut self, register: Register, emission: Emission) -> Result<Program, ProgramError> {
        if emission == Emission::Last {
            self.carry_on(register);
        }
        let len = self.shape(register).len as u32;
        self.program.output = Output { register, len };
        self.program.emission = emission;
        self.program.validate_language()?;
        Ok(self.program)
    }

    /// Puts the maps, tables and operations of another program, without its head, after what is
    /// there, on a frame of `frame` and parts of the carried vector that are declared; gives where its
    /// registers are.
    pub(super) fn extend(
        &mut self,
        other: &Program,
        frame: Register,
        carried: &[Register],
    ) -> Result<Registers<Register>, ProgramError> {
        self.program.maps.extend(&other.maps);
        let mut at = Registers::new(frame, carried.iter().copied());
        for operation in &other.operations {
            let register = self.push_extended(other, operation, &at)?;
            at.push(register);
        }
        for (part, own) in other.carried.iter().zip(carried) {
            self.carry(*own, at[part.next]);
        }
        self.limit_frames(other.frame_limit);
        Ok(at)
    }

    /// Puts an operation of a program that [`extend`](Self::extend) put in first; `at` says where its
    /// registers are.
    pub(super) fn push_extended(
        &mut self,
        other: &Program,
        operation: &Operation,
        at: &Registers<Register>,
    ) -> Result<Register, ProgramError> {
        let mut operation = operation.clone().map_registers(|r| at[r]);
        match &mut operation {
            Operation::Lookup(lookup) => {
                lookup.table = self.table(other.tables[lookup.table as usize].clone());
            }
            Operation::Accumulate(sum) => {
                if let Register::Carried(part) = at[Register::Carried(sum.part)] {
                    sum.part = part;
                }
            }
            _ => {}
        }
        self.push(operation)
    }
}
