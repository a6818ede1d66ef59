//! The one place that pushes operations of a program.

use super::{dimension, fit::Encoding};
use crate::{
    error::Error,
    program::{
        Carried, Emission, MapRef, MapShape, Monomial, Operation, Output, Program, Register,
        Spread, Table, Term, VectorShape,
    },
    weights::AffineMap,
};

/// Integers that may be in a register.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) least: i128,
    pub(super) most: i128,
}

impl Bound {
    fn of(value: i64) -> Self {
        let value = i128::from(value);
        Self {
            least: value,
            most: value,
        }
    }

    pub(super) fn signed(width: u8) -> Self {
        let half = 1i128 << (width - 1);
        Self {
            least: -half,
            most: half - 1,
        }
    }

    fn include(&mut self, value: i128) {
        self.least = self.least.min(value);
        self.most = self.most.max(value);
    }

    /// Width and offset of the smallest register that holds all of it.
    pub(super) fn register(self) -> (u8, u64) {
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

    /// The least bits of an accumulator that holds all of it; more than 62 if there is none.
    fn accumulator(self, shift: u8) -> u8 {
        let rounding = if shift == 0 { 0 } else { 1i128 << (shift - 1) };
        (shift.saturating_add(2)..=62)
            .find(|bits| {
                let half = 1i128 << (bits - 1);
                -half - rounding <= self.least && self.most < half - rounding
            })
            .unwrap_or(63)
    }
}

/// `coefficient·left·right`, or `coefficient·left`.
pub(super) type Summand = (i32, Register, Option<Register>);

#[derive(Clone, Copy)]
struct Format {
    len: usize,
    width: u8,
    signed: bool,
}

impl Format {
    fn signed(len: usize, width: u8) -> Self {
        Self {
            len,
            width,
            signed: true,
        }
    }
}

/// A program that is being written.
pub(super) struct Emit {
    frame: VectorShape,
    carried: Vec<Carried>,
    operations: Vec<Operation>,
    /// Of every register.
    bounds: Vec<Bound>,
    /// What the registers are held in.
    formats: Vec<Format>,
    tables: Vec<Table>,
    pub(super) maps: Vec<AffineMap>,
    /// The number of operations of a frame, once the head has begun.
    body: Option<usize>,
}

impl Emit {
    /// A program of frames of this shape, and parts that are carried: lengths, widths, initial values.
    pub(super) fn new(
        frame: VectorShape,
        parts: Vec<(VectorShape, Vec<i32>)>,
    ) -> (Self, Vec<Register>) {
        let first = parts
            .first()
            .map_or(VectorShape { len: 0, width: 2 }, |p| p.0);
        let format = |shape: VectorShape| Format::signed(shape.len as usize, shape.width);
        let mut emit = Self {
            frame,
            carried: Vec::new(),
            operations: Vec::new(),
            bounds: vec![Bound::signed(frame.width), Bound::signed(first.width)],
            formats: vec![format(frame), format(first)],
            tables: Vec::new(),
            maps: Vec::new(),
            body: None,
        };
        let mut registers = Vec::new();
        for (part, (shape, initial)) in parts.into_iter().enumerate() {
            let register = match part {
                0 => Register::CARRIED,
                #[expect(clippy::cast_possible_truncation, reason = "two for each state")]
                _ => emit.push(
                    Operation::Carried { part: part as u32 },
                    Bound::signed(shape.width),
                    format(shape),
                ),
            };
            emit.carried.push(Carried {
                shape,
                initial,
                next: register,
                parameter: false,
            });
            registers.push(register);
        }
        (emit, registers)
    }

    fn push(&mut self, operation: Operation, bound: Bound, format: Format) -> Register {
        self.operations.push(operation);
        self.bounds.push(bound);
        self.formats.push(format);
        Register::result_of(self.operations.len() - 1)
    }

    /// Where the program is.
    pub(super) fn mark(&self) -> (usize, usize) {
        (self.operations.len(), self.maps.len())
    }

    /// Forgets what was pushed since a mark.
    pub(super) fn go_back(&mut self, (operations, maps): (usize, usize)) {
        self.operations.truncate(operations);
        self.bounds.truncate(operations + 2);
        self.formats.truncate(operations + 2);
        self.maps.truncate(maps);
    }

    /// Sets what a part of the carried vector becomes.
    pub(super) fn carry(&mut self, part: usize, next: Register) {
        if let Some(carried) = self.carried.get_mut(part) {
            carried.next = next;
        }
    }

    /// From here on operations are done once, after the last frame.
    pub(super) fn begin_head(&mut self) {
        self.body = Some(self.operations.len());
    }

    pub(super) fn bound(&self, register: Register) -> Bound {
        let bound = self.bounds.get(register.index()).copied();
        bound.unwrap_or(Bound { least: 0, most: 0 })
    }

    fn format(&self, register: Register) -> Format {
        let format = self.formats.get(register.index()).copied();
        format.unwrap_or(Format::signed(0, 1))
    }

    /// What a register of the program stands for.
    pub(super) fn encoding(&self, register: Register, unit: f64) -> Encoding {
        let Format { len, width, signed } = self.format(register);
        Encoding {
            register,
            len,
            unit,
            steps: 0,
            rest: 0.0,
            width,
            signed,
        }
    }

    /// `Σ_b A_b·x_b`; `shift` is that of the rounding that reads it, 0 if none does.
    pub(super) fn affine(
        &mut self,
        maps: Vec<(Register, AffineMap)>,
        rows: usize,
        bits: u8,
        shift: u8,
    ) -> Result<Register, Error> {
        let mut terms = Vec::new();
        for (input, map) in maps {
            terms.push(Term {
                map: MapRef::Fixed(dimension(self.maps.len())?),
                input,
            });
            self.maps.push(map);
        }
        let operation = Operation::Affine {
            terms,
            rows: dimension(rows)?,
            bits,
            shift,
        };
        Ok(self.push(operation, Bound::signed(bits), Format::signed(rows, bits)))
    }

    /// `Σ coefficient·left·right + constant`, and its bits; `None` if no accumulator holds it.
    pub(super) fn combine(
        &mut self,
        constant: i64,
        summands: &[Summand],
        shift: u8,
    ) -> Option<(Register, u8)> {
        let bits = self.range(constant, summands).accumulator(shift);
        let operation = Operation::Combine {
            constant,
            monomials: monomials(summands),
            bits,
            shift,
        };
        let len = summands.first().map_or(0, |s| self.format(s.1).len);
        let format = Format::signed(len, bits);
        (bits <= 62).then(|| (self.push(operation, Bound::signed(bits), format), bits))
    }

    /// A sum in a register that holds whatever values it can have.
    pub(super) fn polynomial(&mut self, constant: i64, summands: &[Summand]) -> Register {
        let bound = self.range(constant, summands);
        let (width, offset) = bound.register();
        let operation = Operation::Polynomial {
            constant,
            monomials: monomials(summands),
            width,
            offset,
        };
        let len = summands.first().map_or(0, |s| self.format(s.1).len);
        let signed = offset != 0;
        self.push(operation, bound, Format { len, width, signed })
    }

    /// The range of a sum: its extremes are at extremes of the registers.
    pub(super) fn range(&self, constant: i64, summands: &[Summand]) -> Bound {
        let mut registers: Vec<Register> = Vec::new();
        for (_, left, right) in summands {
            registers.push(*left);
            registers.extend(right);
        }
        registers.sort_unstable();
        registers.dedup();
        let mut range: Option<Bound> = None;
        for corner in 0u32..1 << registers.len().min(16) {
            let value = |r: Register| {
                let at = registers.partition_point(|x| *x < r);
                let bound = self.bound(r);
                match corner >> at & 1 {
                    1 => bound.most,
                    _ => bound.least,
                }
            };
            let sum = summands.iter().map(|(coefficient, left, right)| {
                i128::from(*coefficient) * value(*left) * right.map_or(1, value)
            });
            let sum = i128::from(constant) + sum.sum::<i128>();
            range
                .get_or_insert(Bound {
                    least: sum,
                    most: sum,
                })
                .include(sum);
        }
        range.unwrap_or(Bound::of(constant))
    }

    /// An accumulator, rounded by its shift, the lowest `drop` bits cut off.
    pub(super) fn requantize(&mut self, input: Register, drop: u8, width: u8) -> Register {
        let operation = Operation::Requantize { input, drop, width };
        let len = self.format(input).len;
        self.push(operation, Bound::signed(width), Format::signed(len, width))
    }

    pub(super) fn relu(&mut self, input: Register) -> Register {
        let bound = self.bound(input);
        let bound = Bound {
            least: bound.least.max(0),
            most: bound.most.max(0),
        };
        self.push(Operation::Relu { input }, bound, self.format(input))
    }

    /// Entries `start..start + len` of a register.
    pub(super) fn slice(
        &mut self,
        input: Register,
        start: usize,
        len: usize,
    ) -> Result<Register, Error> {
        let format = self.format(input);
        if start == 0 && len == format.len {
            return Ok(input);
        }
        let operation = Operation::Slice {
            input,
            start: dimension(start)?,
            len: dimension(len)?,
        };
        Ok(self.push(operation, self.bound(input), Format { len, ..format }))
    }

    /// `max(a, b) = b + relu(a − b)`, of integers of one unit.
    pub(super) fn larger(&mut self, a: Register, b: Register) -> Register {
        let difference = self.polynomial(0, &[(1, a, None), (-1, b, None)]);
        let over = self.relu(difference);
        let sum = [(1, b, None), (1, over, None)];
        // What an affine operation reads has 16 bits.
        if self.range(0, &sum).register().0 > 16
            && let Some((sums, _)) = self.combine(0, &sum, 0)
        {
            return self.requantize(sums, 0, 16);
        }
        self.polynomial(0, &sum)
    }

    /// The same integers in a register that may be carried.
    pub(super) fn signed(&mut self, register: Register) -> Register {
        let Format { width, signed, .. } = self.format(register);
        let known = self.operations.get(register.index().wrapping_sub(2));
        let is_polynomial = matches!(known, Some(Operation::Polynomial { .. }));
        let width = width + u8::from(!signed);
        if !is_polynomial {
            return register;
        }
        match self.combine(0, &[(1, register, None)], 0) {
            Some((sums, _)) => self.requantize(sums, 0, width.min(16)),
            None => register,
        }
    }

    /// One register after the other; they are held alike.
    pub(super) fn concat(&mut self, inputs: Vec<Register>) -> Register {
        if let [only] = inputs.as_slice() {
            return *only;
        }
        let operation = Operation::Concat { inputs };
        // Several maps may read the same.
        let first = self.body.unwrap_or(0);
        let known = self.operations[first..]
            .iter()
            .position(|o| *o == operation);
        if let Some(at) = known {
            return Register::result_of(first + at);
        }
        let mut bound = Bound::of(0);
        let mut format = Format::signed(0, 1);
        for register in operation.reads() {
            let own = self.format(register);
            format = Format {
                len: format.len + own.len,
                ..own
            };
            bound.include(self.bound(register).least);
            bound.include(self.bound(register).most);
        }
        self.push(operation, bound, format)
    }

    /// A register times 1, under another name: none is multiplied with itself.
    pub(super) fn copy(&mut self, register: Register) -> Register {
        self.polynomial(0, &[(1, register, None)])
    }

    /// A function of 8-bit integers, by its values.
    pub(super) fn table(&mut self, input: Register, values: Vec<i32>, width: u8) -> Register {
        let bound = Bound {
            least: values.iter().copied().min().unwrap_or(0).into(),
            most: values.iter().copied().max().unwrap_or(0).into(),
        };
        let table = Table { values, width };
        let index = self.tables.iter().position(|t| *t == table);
        let index = index.unwrap_or_else(|| {
            self.tables.push(table);
            self.tables.len() - 1
        });
        let table = u32::try_from(index).unwrap_or(u32::MAX);
        let len = self.format(input).len;
        self.push(
            Operation::Table { input, table },
            bound,
            Format::signed(len, width),
        )
    }

    /// Index of the largest entry, of equal ones the first.
    pub(super) fn argmax(&mut self, values: Register, count: usize) -> Register {
        let bit = Bound { least: 0, most: 1 };
        let format = |len, width| Format {
            len,
            width,
            signed: false,
        };
        let input = self.push(Operation::ArgMax { input: values }, bit, format(count, 1));
        let coefficients: Vec<i32> = (0..count)
            .map(|i| i32::try_from(i).unwrap_or(i32::MAX))
            .collect();
        let most = coefficients.iter().map(|c| i128::from(*c)).sum();
        let bound = Bound { least: 0, most };
        let (width, offset) = bound.register();
        let index = Operation::Dot {
            input,
            coefficients,
            width,
            offset,
        };
        self.push(index, bound, format(1, width))
    }

    /// The program, and its weights. What the head reads of a frame is carried on.
    pub(super) fn finish(
        mut self,
        output: Output,
        emission: Emission,
    ) -> Result<
        (
            Program,
            Vec<AffineMap>,
            impl Fn(Register) -> Register + Copy,
        ),
        Error,
    > {
        let body = self.body.unwrap_or(self.operations.len());
        let opened = self.carried.len().saturating_sub(1);
        let mut added = Vec::new();
        if emission == Emission::Last {
            let reads = self.operations[body..].iter().flat_map(Operation::reads);
            for register in reads.chain([output.register]) {
                let known = self.carried.iter().any(|c| c.next == register);
                if register.index() < body + 2 && !known && !added.contains(&register) {
                    added.push(register);
                }
            }
        }
        let first = self.carried.is_empty();
        let inserted = (added.len() - usize::from(first && !added.is_empty())) as u32;
        for register in &added {
            let Format { len, width, .. } = self.format(*register);
            self.carried.push(Carried {
                shape: VectorShape {
                    len: dimension(len)?,
                    width,
                },
                initial: vec![0; len],
                next: *register,
                parameter: false,
            });
        }
        // Registers after those of the carried parts make room for the new ones.
        let moved = move |r: Register| match r.index() >= opened + 2 {
            true => Register(r.0 + inserted),
            false => r,
        };
        self.carried.iter_mut().for_each(|c| c.next = moved(c.next));
        let mut operations: Vec<Operation> = self
            .operations
            .into_iter()
            .map(|o| o.map_registers(moved))
            .collect();
        let total = self.carried.len();
        let new = (opened + 1..total).filter(|part| *part > 0).map(|part| {
            let part = u32::try_from(part).unwrap_or(u32::MAX);
            Operation::Carried { part }
        });
        let new: Vec<Operation> = new.take(inserted as usize).collect();
        operations.splice(opened..opened, new);
        let head = operations.split_off(body + inserted as usize);
        let shapes = self.maps.iter().map(|m| {
            Ok(MapShape {
                rows: dimension(m.rows())?,
                columns: dimension(m.columns())?,
            })
        });
        let program = Program {
            maps: shapes.collect::<Result<_, Error>>()?,
            tables: self.tables,
            frame: self.frame,
            carried: self.carried,
            spread: Spread::Frames { per_step: 1 },
            operations,
            head,
            output: Output {
                register: moved(output.register),
                len: output.len,
            },
            emission,
            frame_limit: u64::MAX,
        };
        program.validate_language()?;
        Ok((program, self.maps, moved))
    }
}

fn monomials(summands: &[Summand]) -> Vec<Monomial> {
    summands
        .iter()
        .map(|(coefficient, left, right)| Monomial {
            coefficient: *coefficient,
            left: *left,
            right: *right,
        })
        .collect()
}
