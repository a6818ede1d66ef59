//! How the registers of a program are held in a circuit.
//!
//! An entry is an integer in `[0, 2^width)`, from which `offset` is subtracted. Sums that are
//! requantised, or whose sign is taken, are *accumulators*: their bits are witnesses, and the
//! rounding term of what reads them is in their offset. Other sums are linear combinations, which
//! have room for whatever values they can have.

use crate::program::{
    Accumulate, Combine, Operation, Program, ProgramError, Range, Register, Registers, Table,
    VectorShape, Window,
};

/// Largest width of a sum that is no accumulator.
const MAX_SUM_WIDTH: u32 = 48;
/// Largest width of an accumulator.
const MAX_ACCUMULATOR: u32 = 62;
/// Largest width of what is compared.
const MAX_COMPARED: u32 = 62;

/// How a register is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Encoding {
    /// Number of entries.
    pub(crate) len: usize,
    /// Entries are held as integers in `[0, 2^width)`.
    pub(crate) width: u32,
    /// What is subtracted from that integer to give the value.
    pub(crate) offset: u64,
    /// The shift of what requantises it, if it is an accumulator or a slice of one.
    pub(crate) accumulator: Option<u8>,
}

impl Encoding {
    pub(crate) fn signed(len: usize, width: u8) -> Self {
        Self {
            len,
            width: u32::from(width),
            offset: 1 << (width - 1),
            accumulator: None,
        }
    }

    pub(crate) fn of(shape: VectorShape) -> Self {
        Self::signed(shape.len as usize, shape.width)
    }

    fn bits(len: usize) -> Self {
        Self {
            len,
            width: 1,
            offset: 0,
            accumulator: None,
        }
    }

    /// The least accumulator with this shift that holds a range: `2^(B−1) + 2^(s−1)` is its offset,
    /// the last term only if `s ≥ 1`.
    pub(crate) fn accumulator(len: usize, range: Range, shift: u8) -> Option<Self> {
        let rounding = match shift {
            0 => 0,
            _ => 1i128 << (shift - 1),
        };
        let fits = |width: &u32| {
            let half = 1i128 << (width - 1);
            -half - rounding <= range.least.into() && i128::from(range.most) < half - rounding
        };
        let width = (u32::from(shift) + 2..=MAX_ACCUMULATOR).find(fits)?;
        Some(Self {
            len,
            width,
            offset: (1u64 << (width - 1)) + rounding as u64,
            accumulator: Some(shift),
        })
    }

    /// The least register that holds a range, without sign if that has none.
    fn sum(len: usize, range: Range) -> Option<Self> {
        let signed = range.least < 0;
        let width = range.signed_bits() - u32::from(!signed);
        let width = width.max(1);
        (width <= MAX_SUM_WIDTH).then(|| Self {
            len,
            width,
            offset: if signed { 1 << (width - 1) } else { 0 },
            accumulator: None,
        })
    }

    /// All that it can hold.
    pub(crate) fn range(&self) -> Range {
        let offset = self.offset.cast_signed();
        Range {
            least: -offset,
            most: ((1i128 << self.width) - 1 - i128::from(offset)) as i64,
        }
    }

    /// Whether `value` has a place in it.
    pub(crate) fn holds(&self, value: i64) -> bool {
        self.range().holds(value)
    }

    /// Whether entries are unsigned, or signed with both sides alike.
    fn is_standard(&self) -> bool {
        self.offset == 0 || self.offset == 1u64 << (self.width - 1)
    }
}

/// What a table needs in a circuit: a value for each signed integer of 8 bits. Gives the width of its
/// values.
pub(crate) fn table_width(table: &Table) -> Option<u8> {
    let bytes = table.domain() == Range::signed(8);
    bytes.then(|| table.range().signed_bits().max(2) as u8)
}

/// How every register of a program is held.
///
/// # Errors
/// If a circuit cannot hold one, or does not do what an operation does.
pub(crate) fn encode(program: &Program) -> Result<Registers<Encoding>, ProgramError> {
    let carried = program.carried.iter().map(|c| Encoding::of(c.shape));
    let mut encoder = Encoder {
        program,
        uses: Uses::of(program),
        // What circuits enforce of a register, which may be more than the program says.
        enforced: Registers::new(
            Encoding::of(program.frame).range(),
            carried.clone().map(|c| c.range()),
        ),
        encodings: Registers::new(Encoding::of(program.frame), carried),
    };
    let body = program.operations.len();
    let mut held = Vec::new();
    for (at, operation) in program.all_operations().enumerate() {
        // The head reads what is carried on, with the bits that it is carried on with.
        if at == body {
            for c in &program.carried {
                held.push((c.next, encoder.encodings[c.next]));
                encoder.encodings[c.next] = Encoding::of(c.shape);
            }
        }
        let encoding = encoder.encode(at, operation)?;
        let enforced = encoder.enforced_of(operation, &encoding);
        encoder.encodings.push(encoding);
        encoder.enforced.push(enforced);
    }
    for (next, own) in held.into_iter().rev() {
        encoder.encodings[next] = own;
    }
    for (part, carried) in program.carried.iter().enumerate() {
        let own = Encoding::of(carried.shape).range();
        if !own.contains(encoder.encodings[carried.next].range()) {
            let operation = carried.next.operation().unwrap_or(part);
            return Err(refuse(
                operation,
                "is carried on with fewer bits than a circuit holds it with",
            ));
        }
    }
    Ok(encoder.encodings)
}

fn refuse(operation: usize, problem: &'static str) -> ProgramError {
    ProgramError::Operation { operation, problem }
}

/// How the sums of a program are read.
struct Uses {
    /// Of every register: whether it is read as an accumulator, directly or in slices, and the shifts
    /// of what does.
    shifts: Registers<Vec<u8>>,
}

impl Uses {
    fn of(program: &Program) -> Self {
        let none = program.carried.iter().map(|_| Vec::new());
        let mut shifts = Registers::new(Vec::new(), none);
        let operations: Vec<&Operation> = program.all_operations().collect();
        for _ in &operations {
            shifts.push(Vec::new());
        }
        for (at, operation) in operations.iter().enumerate().rev() {
            let (input, more) = match operation {
                Operation::Requantize(r) => (r.input, vec![r.shift]),
                Operation::Sign(s) => (s.input, vec![0]),
                Operation::Zero(z) => (z.input, Vec::new()),
                Operation::Slice(s) => (s.input, shifts[Register::result_of(at)].clone()),
                _ => continue,
            };
            shifts[input].extend(more);
            if matches!(operation, Operation::Zero(_)) && shifts[input].is_empty() {
                shifts[input].push(0);
            }
        }
        Self { shifts }
    }
}

struct Encoder<'a> {
    program: &'a Program,
    uses: Uses,
    enforced: Registers<Range>,
    encodings: Registers<Encoding>,
}

impl Encoder<'_> {
    fn encode(&self, at: usize, operation: &Operation) -> Result<Encoding, ProgramError> {
        let of = |r: Register| self.encodings[r];
        let fail = |problem| Err(refuse(at, problem));
        let reads_accumulator = operation
            .reads()
            .iter()
            .any(|r| of(*r).accumulator.is_some());
        let wants_registers = matches!(
            operation,
            Operation::Affine(_)
                | Operation::Relu(_)
                | Operation::Lookup(_)
                | Operation::Indicators(_)
        );
        if wants_registers && reads_accumulator {
            return fail("reads sums that were not requantised, which a circuit does not do");
        }
        let result = Register::result_of(at);
        Ok(match operation {
            Operation::Affine(affine) => {
                let wide = |r: Register| of(r).width > 16 || !of(r).is_standard();
                if affine.terms.iter().any(|t| wide(t.input)) {
                    return fail("multiplies entries of more than 16 bits with a map");
                }
                let rows = affine.terms.first().map_or(0, |t| {
                    let positions = t.window.as_ref().map_or(1, Window::positions);
                    self.program.maps[t.map as usize].rows as usize * positions
                });
                let shift = self.shift(at)?;
                match Encoding::accumulator(rows, Range::within(affine.reach), shift) {
                    Some(encoding) => encoding,
                    None => return fail("has sums too wide for a circuit"),
                }
            }
            Operation::Combine(sum) => self.sum(at, result, sum)?,
            Operation::Requantize(r) => {
                let read = of(r.input);
                let left = read.accumulator.map(|shift| read.width - u32::from(shift));
                if left.is_none_or(|left| u32::from(r.drop) >= left) {
                    return fail(
                        "requantises what is no sum, or leaves no bit of it, in a circuit",
                    );
                }
                Encoding::signed(read.len, r.width)
            }
            Operation::Relu(r) => {
                if of(r.input).width > MAX_COMPARED {
                    return fail("compares too wide entries");
                }
                of(r.input)
            }
            Operation::Lookup(l) => {
                let read = of(l.input);
                let width = table_width(&self.program.tables[l.table as usize]);
                match width {
                    Some(width) if (read.width, read.offset) == (8, 128) => {
                        Encoding::signed(read.len, width)
                    }
                    _ => {
                        return fail(
                            "is a table of other than signed 8-bit inputs, which a circuit does not have",
                        );
                    }
                }
            }
            Operation::Dot(dot) => {
                let (least, most) = self.dot_range(dot.input, &dot.coefficients);
                match narrow(least, most).and_then(|range| Encoding::sum(1, range)) {
                    Some(encoding) => encoding,
                    None => return fail("has sums too wide for a circuit"),
                }
            }
            Operation::Sign(s) => match of(s.input) {
                read if read.accumulator == Some(0) => Encoding::bits(read.len),
                _ => return fail("takes the sign of what is no unrounded sum, in a circuit"),
            },
            Operation::Zero(z) => match of(z.input) {
                read if read.accumulator.is_some() => Encoding::bits(read.len),
                _ => return fail("compares what is no sum, in a circuit"),
            },
            Operation::Indicators(i) => Encoding::bits(i.len as usize),
            Operation::ArgMax(a) => {
                if of(a.input).width > MAX_COMPARED {
                    return fail("compares too wide entries");
                }
                Encoding::bits(of(a.input).len)
            }
            Operation::Accumulate(a) => {
                // The range of the program may rest on what is promised of weights alone.
                let part = &self.program.carried[a.part as usize];
                if !Accumulate::fits(part, self.enforced[a.input], self.program.frame_limit) {
                    return fail(
                        "adds sums over frames that may leave their register if weights are larger than \
                         the program says",
                    );
                }
                Encoding::of(part.shape)
            }
            Operation::Slice(s) => Encoding {
                len: s.len as usize,
                ..of(s.input)
            },
            Operation::Concat(c) => {
                let parts = c.inputs.iter().map(|r| of(*r));
                let Some(first) = parts.clone().next() else {
                    return fail("concatenates nothing");
                };
                let same = |e: Encoding| (e.width, e.offset) == (first.width, first.offset);
                let len = parts.clone().map(|e| e.len).sum();
                if parts.clone().all(same) {
                    return Ok(Encoding {
                        len,
                        accumulator: None,
                        ..first
                    });
                }
                let hull = parts.map(|e| e.range()).reduce(Range::hull);
                match hull.and_then(|range| Encoding::sum(len, range)) {
                    Some(encoding) => encoding,
                    None => return fail("has entries too wide for a circuit"),
                }
            }
        })
    }

    /// The shift of what requantises the sums of an operation.
    fn shift(&self, at: usize) -> Result<u8, ProgramError> {
        let shifts = &self.uses.shifts[Register::result_of(at)];
        let first = shifts.first().copied().unwrap_or(0);
        if shifts.iter().any(|s| *s != first) {
            return Err(refuse(
                at,
                "is rounded with different shifts, which a circuit does not do",
            ));
        }
        Ok(first)
    }

    fn sum(&self, at: usize, result: Register, sum: &Combine) -> Result<Encoding, ProgramError> {
        let len = sum
            .monomials
            .first()
            .map_or(0, |m| self.encodings[m.left].len);
        let extremes = sum.extremes(&|r| self.enforced[r]);
        let range = extremes.and_then(|(least, most)| narrow(least, most));
        let encoding = match range {
            Some(range) if !self.uses.shifts[result].is_empty() => {
                Encoding::accumulator(len, range, self.shift(at)?)
            }
            Some(range) => Encoding::sum(len, range),
            None => None,
        };
        encoding.ok_or_else(|| refuse(at, "has sums too wide for a circuit"))
    }

    fn dot_range(&self, input: Register, coefficients: &[i32]) -> (i128, i128) {
        let range = self.enforced[input];
        coefficients.iter().fold((0, 0), |(least, most), c| {
            let ends = [range.least, range.most].map(|x| i128::from(x) * i128::from(*c));
            (least + ends[0].min(ends[1]), most + ends[0].max(ends[1]))
        })
    }

    /// The values that a circuit allows a register: narrower than its width where that is known.
    fn enforced_of(&self, operation: &Operation, encoding: &Encoding) -> Range {
        let of = |r: Register| self.enforced[r];
        let sum = |extremes: Option<(i128, i128)>| {
            let range = extremes.and_then(|(least, most)| narrow(least, most));
            range.unwrap_or_else(|| encoding.range())
        };
        match operation {
            Operation::Lookup(l) => self.program.tables[l.table as usize].range(),
            Operation::Relu(r) => Range {
                least: of(r.input).least.max(0),
                most: of(r.input).most.max(0),
            },
            Operation::Slice(s) => of(s.input),
            // An accumulator is range-checked to its bits.
            Operation::Combine(c) if encoding.accumulator.is_none() => sum(c.extremes(&of)),
            Operation::Dot(d) => sum(Some(self.dot_range(d.input, &d.coefficients))),
            Operation::Concat(c) => {
                let ranges = c.inputs.iter().map(|r| of(*r));
                ranges.reduce(Range::hull).unwrap_or(Range::BIT)
            }
            _ => encoding.range(),
        }
    }
}

/// A range in 64 bits, if it fits.
fn narrow(least: i128, most: i128) -> Option<Range> {
    Some(Range {
        least: i64::try_from(least).ok()?,
        most: i64::try_from(most).ok()?,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::{
        program::{Affine, Builder},
        recursive::{Schedule, Unrolled, step_constraints},
    };

    /// Sums that are promised to be small, added up in `width` bits over 100 frames; a circuit holds
    /// them with `2 + shift` bits or more, and enforces no less.
    fn summed(reach: u64, shift: u8, width: u8) -> Program {
        let mut builder = Builder::new(1, 8);
        builder.limit_frames(100);
        let total = builder.state(vec![0], width).unwrap();
        let map = builder.map(1, 1);
        let sums = builder.affine(&[(map, Register::Frame)], reach).unwrap();
        let rounded = builder.requantize(sums, shift, 8).unwrap();
        let next = builder
            .push(Accumulate {
                part: 0,
                input: sums,
            })
            .unwrap();
        builder.carry(total, next);
        let program = builder.finish(rounded).unwrap();
        assert!(Affine::reach_of(2 + shift, shift) >= reach);
        program
    }

    /// 7 bits that are carried on with 8: what the head makes of them is held with 8.
    #[test]
    fn the_head_reads_what_is_carried_on_as_it_is_carried() {
        let mut builder = Builder::new(1, 8);
        let part = builder.state(vec![0], 8).unwrap();
        let map = builder.map(1, 1);
        let sums = builder
            .affine(&[(map, Register::Frame)], Affine::reach_of(20, 4))
            .unwrap();
        let rounded = builder.requantize(sums, 4, 7).unwrap();
        builder.carry(part, rounded);
        builder.begin_head();
        let output = builder.relu(rounded).unwrap();
        let program = builder.finish_last(output).unwrap();
        let encodings = encode(&program).unwrap();
        assert_eq!(encodings[rounded], Encoding::signed(1, 7));
        assert_eq!(encodings[output], Encoding::signed(1, 8));
        // As the circuit has them: synthesis refuses anything else.
        let step = Unrolled::new(&program, Schedule::WholeNetwork).unwrap();
        assert!(step_constraints(&step) > 0);
    }

    #[test]
    fn sums_over_frames_have_room_for_what_a_circuit_enforces() {
        encode(&summed(1, 4, 16)).unwrap();
        // In the program's own terms there is room.
        let refused = encode(&summed(1, 20, 8));
        assert!(matches!(refused, Err(ProgramError::Operation { .. })));
    }
}
