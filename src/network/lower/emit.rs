//! The one place that pushes operations of a program.

use std::{collections::BTreeMap, sync::Arc};

use super::fit::Encoding;
use crate::{
    error::Error,
    network::limit,
    program::{
        Affine, AffineMap, ArgMax, Builder, Combine, Concat, Dot, Emission, Operation, Program,
        ProgramError, Range, Register, Relu, Requantize, Slice, Table, Term, VectorShape, Window,
    },
};

/// `coefficient·left·right`, or `coefficient·left`.
pub(super) type Summand = (i32, Register, Option<Register>);

/// A length in a program.
pub(super) fn dimension(n: usize) -> Result<u32, Error> {
    u32::try_from(n).map_err(|_| limit("quantisation", format!("a length of {n}")))
}

/// A program that is being written.
pub(super) struct Emit {
    builder: Builder,
    /// The shifts that sums are rounded with.
    shifts: BTreeMap<Register, u8>,
    pub(super) maps: Vec<AffineMap>,
    /// The first rule of the language that was broken.
    error: Option<ProgramError>,
}

/// A place in a program.
pub(super) struct Mark {
    builder: Builder,
    maps: usize,
    error: Option<ProgramError>,
}

impl Emit {
    /// A program of frames of this shape, and parts that are carried: lengths, widths, initial values.
    pub(super) fn new(
        frame: VectorShape,
        parts: Vec<(VectorShape, Vec<i32>)>,
    ) -> (Self, Vec<Register>) {
        let mut emit = Self {
            builder: Builder::new(frame.len, frame.width),
            shifts: BTreeMap::new(),
            maps: Vec::new(),
            error: None,
        };
        let mut registers = Vec::with_capacity(parts.len());
        for (shape, initial) in parts {
            let part = emit.builder.state(initial, shape.width);
            registers.push(emit.keep(part));
        }
        (emit, registers)
    }

    /// The register, the frame if there is none: `finish` says why.
    fn keep(&mut self, register: Result<Register, ProgramError>) -> Register {
        register.unwrap_or_else(|e| {
            self.error.get_or_insert(e);
            Register::Frame
        })
    }

    fn push(&mut self, operation: impl Into<Operation>) -> Register {
        let register = self.builder.push(operation);
        self.keep(register)
    }

    /// Where the program is.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            builder: self.builder.clone(),
            maps: self.maps.len(),
            error: self.error.clone(),
        }
    }

    /// Forgets what was pushed since a mark.
    pub(super) fn go_back(&mut self, mark: Mark) {
        self.builder = mark.builder;
        self.maps.truncate(mark.maps);
        self.error = mark.error;
    }

    /// Sets what a part of the carried vector becomes.
    pub(super) fn carry(&mut self, part: usize, next: Register) {
        if let Ok(part) = u32::try_from(part) {
            self.builder.carry(Register::Carried(part), next);
        }
    }

    /// From here on operations are done once, after the last frame.
    pub(super) fn begin_head(&mut self) {
        self.builder.begin_head();
    }

    /// Where the integers of a register lie.
    pub(super) fn bound(&self, register: Register) -> Range {
        self.builder.shape(register).range
    }

    /// What a register of the program stands for.
    pub(super) fn encoding(&self, register: Register, unit: f64) -> Encoding {
        let shape = self.builder.shape(register);
        let (width, signed) = width_of(shape.range);
        Encoding {
            register,
            len: shape.len,
            unit,
            steps: 0,
            rest: 0.0,
            width,
            signed,
        }
    }

    /// `Σ_b A_b·x_b`, of maps of `rows` rows; those from `shared` on are used again if they are the same. `shift` is that of the rounding that reads it, 0 if none does.
    pub(super) fn affine(
        &mut self,
        maps: Vec<(Register, Option<Arc<Window>>, AffineMap)>,
        rows: usize,
        shared: usize,
        bits: u8,
        shift: u8,
    ) -> Result<Register, Error> {
        let mut terms = Vec::with_capacity(maps.len());
        for (input, window, map) in maps {
            let mut known = self.maps.iter().skip(shared);
            let index = match known.position(|known| *known == map) {
                Some(index) => dimension(shared + index)?,
                None => {
                    let columns = dimension(map.columns())?;
                    self.maps.push(map);
                    self.builder.map(dimension(rows)?, columns)
                }
            };
            terms.push(Term {
                map: index,
                input,
                window: window.map(Arc::unwrap_or_clone),
            });
        }
        let reach = Affine::reach_of(bits, shift);
        let sums = self.push(Affine { terms, reach });
        self.shifts.insert(sums, shift);
        Ok(sums)
    }

    /// `Σ coefficient·left·right + constant`, and its bits; `None` if no accumulator holds it.
    pub(super) fn combine(
        &mut self,
        constant: i64,
        summands: &[Summand],
        shift: u8,
    ) -> Option<(Register, u8)> {
        let sums = self.builder.combine(constant, summands).ok()?;
        self.shifts.insert(sums, shift);
        let bits = self.bound(sums).signed_bits().max(u32::from(shift) + 2);
        Some((sums, u8::try_from(bits).ok()?))
    }

    /// A sum in a register that holds whatever values it can have.
    pub(super) fn polynomial(&mut self, constant: i64, summands: &[Summand]) -> Register {
        self.push(Combine::new(constant, summands))
    }

    /// The range of a sum: its extremes are at extremes of the registers.
    pub(super) fn range(&self, constant: i64, summands: &[Summand]) -> Range {
        let extremes = Combine::new(constant, summands).extremes(&|r| self.bound(r));
        let (least, most) = extremes.unwrap_or((i128::MIN, i128::MAX));
        let narrow = |x: i128| x.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        Range {
            least: narrow(least),
            most: narrow(most),
        }
    }

    /// Sums, rounded by their shift, the lowest `drop` bits cut off.
    pub(super) fn requantize(&mut self, input: Register, drop: u8, width: u8) -> Register {
        let shift = self.shifts.get(&input).copied().unwrap_or(0);
        self.push(Requantize {
            input,
            shift,
            drop,
            width,
        })
    }

    pub(super) fn relu(&mut self, input: Register) -> Register {
        self.push(Relu { input })
    }

    /// Entries `start..start + len` of a register.
    pub(super) fn slice(
        &mut self,
        input: Register,
        start: usize,
        len: usize,
    ) -> Result<Register, Error> {
        if start == 0 && len == self.builder.shape(input).len {
            return Ok(input);
        }
        let slice = self.push(Slice {
            input,
            start: dimension(start)?,
            len: dimension(len)?,
        });
        if let Some(shift) = self.shifts.get(&input).copied() {
            self.shifts.insert(slice, shift);
        }
        Ok(slice)
    }

    /// `max(a, b) = b + relu(a − b)`, of integers of one unit.
    pub(super) fn larger(&mut self, a: Register, b: Register) -> Register {
        let difference = self.polynomial(0, &[(1, a, None), (-1, b, None)]);
        let over = self.relu(difference);
        let sum = [(1, b, None), (1, over, None)];
        let larger = self.polynomial(0, &sum);
        // What an affine operation reads has 16 bits.
        match width_of(self.bound(larger)).0 > 16 {
            true => self.requantize(larger, 0, 16),
            false => larger,
        }
    }

    /// One register after the other.
    pub(super) fn concat(&mut self, inputs: Vec<Register>) -> Register {
        if let [only] = inputs.as_slice() {
            return *only;
        }
        // Several maps may read the same.
        let known = self.builder.find(
            &Concat {
                inputs: inputs.clone(),
            }
            .into(),
        );
        known.unwrap_or_else(|| self.push(Concat { inputs }))
    }

    /// A register times 1, under another name: none is multiplied with itself.
    pub(super) fn copy(&mut self, register: Register) -> Register {
        self.polynomial(0, &[(1, register, None)])
    }

    /// A function of 8-bit integers, by its values.
    pub(super) fn table(&mut self, input: Register, values: Vec<i32>) -> Register {
        let register = self.builder.look_up(input, Table::of_bytes(values));
        self.keep(register)
    }

    /// Index of the largest entry, of equal ones the first.
    pub(super) fn argmax(&mut self, values: Register, count: usize) -> Register {
        let input = self.push(ArgMax { input: values });
        let coefficients = (0..count).map(|i| i32::try_from(i).unwrap_or(i32::MAX));
        self.push(Dot {
            input,
            coefficients: coefficients.collect(),
        })
    }

    /// The program, and its weights. What the head reads of a frame is carried on.
    pub(super) fn finish(
        self,
        output: Register,
        emission: Emission,
    ) -> Result<(Program, Vec<AffineMap>), Error> {
        if let Some(e) = self.error {
            return Err(e.into());
        }
        let program = match emission {
            Emission::Each => self.builder.finish(output)?,
            Emission::Last => self.builder.finish_last(output)?,
        };
        Ok((program, self.maps))
    }
}

/// Bits of the integers of a range, and whether they have a sign.
pub(in crate::network) fn width_of(range: Range) -> (u8, bool) {
    let signed = range.least < 0;
    let width = range.signed_bits() - u32::from(!signed);
    (u8::try_from(width.max(1)).unwrap_or(u8::MAX), signed)
}
