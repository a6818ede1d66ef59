//! Programs: the integer semantics of one step, and their reference interpreter.
//!
//! A [`Program`] is everything public about a network: dimensions, operations, widths, shifts,
//! tables and the schedule. It holds no weight. It is a straight-line list of [`Operation`]s over
//! *registers*, vectors of bounded integers, the same list for every step of a run. Two
//! interpreters read it: the integer interpreter in [`interpreter`], which is the specification,
//! and the circuit synthesiser in `circuit`, which must agree with it bit for bit.

mod build;
mod claim;
mod dimensions;
pub mod interpreter;
mod layered;
mod sequence;
mod unroll;
mod validate;

use serde::{Deserialize, Serialize};
use sha3::{
    Shake256,
    digest::{ExtendableOutput, Update, XofReader},
};

pub use build::{LayerShape, NetworkShape, Schedule};
pub use claim::{Claim, Label, Predicate, Threshold};
pub use dimensions::BankDimensions;
pub use sequence::{CellKind, CellShape, ElmanActivation, SequenceShape};
pub(crate) use unroll::{Node, Unrolled};
pub use validate::ProgramError;

/// Index of a register: 0 is the input frame, 1 the first part of the carried vector, `2 + i` the
/// result of operation `i`, the operations of the head being counted after the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Register(pub(crate) u32);

impl Register {
    /// The input frame of the step.
    pub const FRAME: Self = Self(0);
    /// The first part of the vector carried from the frame or step before.
    pub const CARRIED: Self = Self(1);

    /// The register that operation `index` defines.
    #[must_use]
    pub fn result_of(index: usize) -> Self {
        Self(u32::try_from(index + 2).unwrap_or(u32::MAX))
    }

    /// Position in a list of all registers.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Rows and columns of an affine map, the bias column not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MapShape {
    /// Number of outputs, `m`.
    pub rows: u32,
    /// Number of inputs, `n`; the map has `n + 1` columns, column 0 being the bias.
    pub columns: u32,
}

/// Length and width of a vector of signed integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VectorShape {
    /// Number of entries.
    pub len: u32,
    /// Entries lie in `[-2^(width-1), 2^(width-1))`.
    pub width: u8,
}

/// A part of the vector that a frame hands to the next, or a step of a layered schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// Its shape.
    pub shape: VectorShape,
    /// Its value before the first step.
    pub initial: Vec<i32>,
    /// The register whose value is carried on.
    pub next: Register,
    /// Whether the value before the first step is a parameter of the statement, chosen for each
    /// run, rather than `initial`. It is carried on unchanged.
    pub parameter: bool,
}

/// Which map of the bank an affine operation uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MapRef {
    /// The map of this index, in every step.
    Fixed(u32),
    /// The map that this route of a layered schedule has in the phase of the step; if it has none
    /// there, the term is left out.
    Route(u32),
}

/// One product `A·x` of an affine operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// The map.
    pub map: MapRef,
    /// The register it is applied to, zero beyond its length.
    pub input: Register,
}

/// Activation of a layer in a layered schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Activation {
    /// The requantised value itself.
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// Lookup in the table of this index.
    Table(u32),
}

/// An exact function on 8-bit integers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// 256 values, for the inputs -128, …, 127.
    pub values: Vec<i32>,
    /// Values lie in `[-2^(width-1), 2^(width-1))`.
    pub width: u8,
}

/// `coefficient·left·right`, or `coefficient·left`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monomial {
    /// A constant.
    pub coefficient: i32,
    /// A register.
    pub left: Register,
    /// Another register.
    pub right: Option<Register>,
}

/// One vector operation; it defines one register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// `y = Σ_b A_b·x_b`, the bias of the first term's map included.
    Affine {
        /// The products that are summed.
        terms: Vec<Term>,
        /// Entries of `y`; rows beyond a map's own are zero.
        rows: u32,
        /// Accumulator bits `B`: `|y| + 2^(s-1) < 2^(B-1)` is a promise of the model, checked when
        /// the weights are committed.
        bits: u8,
        /// Shift `s` of the requantise that reads `y`, 0 if none does.
        shift: u8,
    },
    /// `clamp(⌊(y + 2^(s-1)) / 2^(s+drop)⌋, -2^(width-1), 2^(width-1) - 1)`, `s` the accumulator's
    /// shift: rounded to units of `2^s`, and the lowest `drop` bits of that cut off.
    Requantize {
        /// An accumulator, or a slice of one.
        input: Register,
        /// Bits cut off after rounding.
        drop: u8,
        /// Width of the result.
        width: u8,
    },
    /// `max(x, 0)`.
    Relu {
        /// Any register that is not an accumulator.
        input: Register,
    },
    /// Lookup of 8-bit entries.
    Table {
        /// A register of width 8.
        input: Register,
        /// Index of the table.
        table: u32,
    },
    /// `phase = 0 ? first : rest`, the shorter one filled with zeros.
    Select {
        /// Chosen in phase 0.
        first: Register,
        /// Chosen in every other phase.
        rest: Register,
    },
    /// Part `part` of the carried vector, `part ≥ 1`; the first part is [`Register::CARRIED`].
    Carried {
        /// Its index.
        part: u32,
    },
    /// Entry by entry, `y = constant + Σ_t coefficient_t·left_t·right_t`, an accumulator.
    ///
    /// Products, sums, complements (one minus `x`) and blends of registers are of this form.
    Combine {
        /// Added to the sum.
        constant: i64,
        /// The summands.
        monomials: Vec<Monomial>,
        /// Accumulator bits `B`, enough for whatever values the registers may have.
        bits: u8,
        /// Shift `s` of the requantise that reads `y`.
        shift: u8,
    },
    /// Entry by entry, `constant + Σ_t coefficient_t·left_t·right_t`, in a register that has room
    /// for whatever values the sum can have.
    Polynomial {
        /// Added to the sum.
        constant: i64,
        /// The summands.
        monomials: Vec<Monomial>,
        /// Entries are held as integers of so many bits,
        width: u8,
        /// from which this is subtracted.
        offset: u64,
    },
    /// `Σ_i coefficient_i·x[i]`, a register of one entry that has room for it, as
    /// [`Polynomial`](Self::Polynomial).
    Dot {
        /// Any register.
        input: Register,
        /// As many as the register has entries.
        coefficients: Vec<i32>,
        /// Bits of the result.
        width: u8,
        /// What is subtracted from its integer.
        offset: u64,
    },
    /// `[y ≥ 0]`, entry by entry; bits.
    Sign {
        /// An accumulator without a shift, or a slice of one.
        input: Register,
    },
    /// `[y = 0]`, entry by entry; bits.
    Zero {
        /// An accumulator, or a slice of one.
        input: Register,
    },
    /// `[x = c]` for `c = 0, …, len − 1`; bits, all 0 if `x` is none of them.
    Indicators {
        /// A register of one entry.
        input: Register,
        /// Number of bits.
        len: u32,
    },
    /// The one-hot vector of the largest entry, of equal ones the first; bits.
    ArgMax {
        /// A register of less than 64 bits.
        input: Register,
    },
    /// `carried[part] + x`, the next value of that part. It is not range-checked: the number of
    /// frames is bounded instead, see [`Program::max_frames`].
    Accumulate {
        /// Index of the part of the carried vector.
        part: u32,
        /// A register of the same length.
        input: Register,
    },
    /// Entries `start..start + len`.
    Slice {
        /// Any register.
        input: Register,
        /// The first entry.
        start: u32,
        /// Number of entries.
        len: u32,
    },
    /// One register after the other.
    Concat {
        /// Registers of one width and offset. The result is no accumulator, whatever they are.
        inputs: Vec<Register>,
    },
    /// End of a slot of a layered schedule: `[i < rows]·act(q)[i]`, rows and activation being
    /// those of the slot in the phase of the step.
    Layer {
        /// The requantised accumulator `q`.
        input: Register,
        /// Position of the slot in the step.
        slot: u32,
    },
}

impl Operation {
    /// The registers that it reads.
    #[must_use]
    pub fn reads(&self) -> Vec<Register> {
        let mut reads = Vec::new();
        let _ = self.clone().map_registers(|r| {
            reads.push(r);
            r
        });
        reads
    }

    /// The same operation on other registers.
    #[must_use]
    pub(crate) fn map_registers(mut self, mut f: impl FnMut(Register) -> Register) -> Self {
        match &mut self {
            Self::Affine { terms, .. } => terms.iter_mut().for_each(|t| t.input = f(t.input)),
            Self::Requantize { input, .. }
            | Self::Relu { input }
            | Self::Table { input, .. }
            | Self::Dot { input, .. }
            | Self::Sign { input }
            | Self::Zero { input }
            | Self::Indicators { input, .. }
            | Self::ArgMax { input }
            | Self::Accumulate { input, .. }
            | Self::Layer { input, .. }
            | Self::Slice { input, .. } => *input = f(*input),
            Self::Select { first, rest } => {
                *first = f(*first);
                *rest = f(*rest);
            }
            Self::Carried { .. } => {}
            Self::Combine { monomials, .. } | Self::Polynomial { monomials, .. } => {
                for m in monomials {
                    m.left = f(m.left);
                    m.right = m.right.map(&mut f);
                }
            }
            Self::Concat { inputs } => inputs.iter_mut().for_each(|r| *r = f(*r)),
        }
        self
    }
}

/// How layers and frames are spread over steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Spread {
    /// Every step runs the whole list on up to `per_step` frames, one after the other.
    Frames {
        /// `F`.
        per_step: u32,
    },
    /// A frame takes `S` steps, its phases, of `K` slots each. A slot is one layer, or a block of
    /// the rows of one; what it does depends on the phase.
    Layers {
        /// For every slot, what it does in each phase. A slot is idle in a phase if none of its terms
        /// has a map there; its sums are then zero.
        slots: Vec<Vec<SlotUse>>,
        /// For every term of the slots' affine operations, the map it has in each phase, if any.
        routes: Vec<Vec<Option<u32>>>,
        /// For every map, which part of which layer it is.
        blocks: Vec<Block>,
    },
}

/// What a slot of a layered schedule does in one phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotUse {
    /// Rows of the layer that it computes; the others are zero.
    pub rows: u32,
    /// What is applied to them.
    pub activation: Activation,
}

/// Which part of a layer's matrix a map is: its rows and columns from here on, as many as the map
/// has. The map with column 0 has the bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// The layer, an index of the network's own maps.
    pub layer: u32,
    /// First row.
    pub row: u32,
    /// First column.
    pub column: u32,
}

/// Which frames of a run have an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Emission {
    /// Every frame (many-to-many).
    Each,
    /// Only the last frame of the run so far (many-to-one).
    Last,
}

/// The output of an inference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The register it is taken from.
    pub register: Register,
    /// The first `len` entries are the output.
    pub len: u32,
}

/// The integer description of a step: all that is public about a network but its weights.
///
/// Two models of the same shape have the same program, so one set of keys serves both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    pub(crate) maps: Vec<MapShape>,
    pub(crate) tables: Vec<Table>,
    pub(crate) frame: VectorShape,
    /// Parts of the carried vector.
    pub(crate) carried: Vec<Carried>,
    pub(crate) spread: Spread,
    /// What is done for every frame.
    pub(crate) operations: Vec<Operation>,
    /// What is done once in a step, after its last frame, with the vector that is carried on.
    pub(crate) head: Vec<Operation>,
    pub(crate) output: Output,
    pub(crate) emission: Emission,
    /// The most frames of a run.
    pub(crate) frame_limit: u64,
}

/// What is known of a register before any step runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterShape {
    /// Number of entries.
    pub len: usize,
    /// Entries are held as integers in `[0, 2^width)`.
    pub width: u32,
    /// What is subtracted from that integer to give the value.
    pub offset: u64,
    /// Whether it is an accumulator, or a slice of one.
    pub accumulator: bool,
}

impl RegisterShape {
    pub(crate) fn signed(len: u32, width: u8) -> Self {
        Self {
            len: len as usize,
            width: u32::from(width),
            offset: 1 << (width - 1),
            accumulator: false,
        }
    }

    fn bits(len: usize) -> Self {
        Self {
            len,
            width: 1,
            offset: 0,
            accumulator: false,
        }
    }

    /// Whether `value` has a place in this register.
    #[must_use]
    pub fn holds(&self, value: i64) -> bool {
        let unsigned = i128::from(value) + i128::from(self.offset);
        (0..1i128 << self.width).contains(&unsigned)
    }
}

impl Program {
    /// Shapes of the affine maps, in bank order.
    #[must_use]
    pub fn maps(&self) -> &[MapShape] {
        &self.maps
    }

    /// Shape of an input frame.
    #[must_use]
    pub fn frame(&self) -> VectorShape {
        self.frame
    }

    /// The operations of a frame.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The operations that a step does after its last frame.
    #[must_use]
    pub fn head(&self) -> &[Operation] {
        &self.head
    }

    /// The operations of a frame, and after them those of the head.
    pub(crate) fn all_operations(&self) -> impl Iterator<Item = &Operation> {
        self.operations.iter().chain(&self.head)
    }

    /// Operation `at`, those of the head counted after the others.
    pub(crate) fn operation(&self, at: usize) -> Option<&Operation> {
        match at.checked_sub(self.operations.len()) {
            Some(at) => self.head.get(at),
            None => self.operations.get(at),
        }
    }

    /// The most frames that a run may have: sums over frames that are not range-checked stay in
    /// their registers for so many.
    #[must_use]
    pub fn max_frames(&self) -> u64 {
        self.frame_limit
    }

    /// Shapes of the parameters of a statement, in order.
    #[must_use]
    pub fn parameter_shapes(&self) -> Vec<RegisterShape> {
        let parts = self.carried.iter().zip(self.carried_shapes());
        parts.filter(|(c, _)| c.parameter).map(|(_, s)| s).collect()
    }

    /// The register of a part of the carried vector, as a frame finds it.
    pub(crate) fn carried_register(part: usize) -> Register {
        match part {
            0 => Register::CARRIED,
            _ => Register::result_of(part - 1),
        }
    }

    /// Which frames have an output.
    #[must_use]
    pub fn emission(&self) -> Emission {
        self.emission
    }

    /// Steps that one inference takes, `S`.
    #[must_use]
    pub fn steps_per_frame(&self) -> u64 {
        match &self.spread {
            Spread::Frames { .. } => 1,
            Spread::Layers { slots, .. } => slots.first().map_or(1, |s| s.len() as u64),
        }
    }

    /// The most frames that one step takes, `F`.
    #[must_use]
    pub fn frames_per_step(&self) -> u32 {
        match self.spread {
            Spread::Frames { per_step } => per_step,
            Spread::Layers { .. } => 1,
        }
    }

    /// Dimensions of the weight bank.
    #[must_use]
    pub fn bank(&self) -> BankDimensions {
        BankDimensions::of(self)
    }

    /// Shape of an input frame as a register.
    #[must_use]
    pub fn frame_shape(&self) -> RegisterShape {
        RegisterShape::signed(self.frame.len, self.frame.width)
    }

    /// Shapes of the parts of the carried vector.
    #[must_use]
    pub fn carried_shapes(&self) -> Vec<RegisterShape> {
        let shape = |c: &Carried| RegisterShape::signed(c.shape.len, c.shape.width);
        self.carried.iter().map(shape).collect()
    }

    /// Shape of the output vector and the offset of its entries.
    #[must_use]
    pub fn output_shape(&self) -> RegisterShape {
        let mut shape = self.register_shapes()[self.output.register.index()];
        shape.len = self.output.len as usize;
        shape
    }

    /// Shapes of all registers, by index. The program must be valid.
    #[must_use]
    pub fn register_shapes(&self) -> Vec<RegisterShape> {
        let mut shapes = Vec::with_capacity(self.operations.len() + self.head.len() + 2);
        shapes.push(self.frame_shape());
        shapes.push(match self.carried.first() {
            Some(c) => RegisterShape::signed(c.shape.len, c.shape.width),
            None => RegisterShape::signed(0, 1),
        });
        for operation in self.all_operations() {
            let shape = self.result_shape(operation, &shapes);
            shapes.push(shape);
        }
        shapes
    }

    /// Shape of what an operation defines, given the shapes of all that it reads.
    fn result_shape(&self, operation: &Operation, shapes: &[RegisterShape]) -> RegisterShape {
        let of = |r: &Register| shapes[r.index()];
        match operation {
            Operation::Affine {
                rows, bits, shift, ..
            } => accumulator(*rows as usize, *bits, *shift),
            Operation::Combine {
                monomials,
                bits,
                shift,
                ..
            } => {
                let len = monomials.first().map_or(0, |m| of(&m.left).len);
                accumulator(len, *bits, *shift)
            }
            Operation::Requantize { input, width, .. } => RegisterShape {
                len: of(input).len,
                ..RegisterShape::signed(0, *width)
            },
            Operation::Relu { input } => of(input),
            Operation::Table { input, table } => RegisterShape {
                len: of(input).len,
                ..RegisterShape::signed(0, self.tables[*table as usize].width)
            },
            Operation::Carried { part } => {
                let shape = self.carried[*part as usize].shape;
                RegisterShape::signed(shape.len, shape.width)
            }
            Operation::Polynomial {
                monomials,
                width,
                offset,
                ..
            } => RegisterShape {
                len: monomials.first().map_or(0, |m| of(&m.left).len),
                width: u32::from(*width),
                offset: *offset,
                accumulator: false,
            },
            Operation::Dot { width, offset, .. } => RegisterShape {
                len: 1,
                width: u32::from(*width),
                offset: *offset,
                accumulator: false,
            },
            Operation::Sign { input } | Operation::Zero { input } | Operation::ArgMax { input } => {
                RegisterShape::bits(of(input).len)
            }
            Operation::Indicators { len, .. } => RegisterShape::bits(*len as usize),
            Operation::Accumulate { part, .. } => {
                let shape = self.carried[*part as usize].shape;
                RegisterShape::signed(shape.len, shape.width)
            }
            Operation::Slice { input, len, .. } => RegisterShape {
                len: *len as usize,
                ..of(input)
            },
            Operation::Concat { inputs } => RegisterShape {
                len: inputs.iter().map(|r| of(r).len).sum(),
                accumulator: false,
                ..inputs.first().map_or(RegisterShape::signed(0, 1), of)
            },
            Operation::Select { first, rest } => {
                let (a, b) = (of(first), of(rest));
                RegisterShape {
                    len: a.len.max(b.len),
                    ..a
                }
            }
            Operation::Layer { input, slot } => {
                let rows = self.slot_uses(*slot).iter().map(|u| u.rows as usize);
                RegisterShape {
                    len: rows.max().unwrap_or(0),
                    ..of(input)
                }
            }
        }
    }

    /// Which part of which layer every map is, in a layered schedule.
    pub(crate) fn blocks(&self) -> Option<&[Block]> {
        match &self.spread {
            Spread::Frames { .. } => None,
            Spread::Layers { blocks, .. } => Some(blocks),
        }
    }

    /// What a slot of a layered schedule does, phase by phase.
    pub(crate) fn slot_uses(&self, slot: u32) -> &[SlotUse] {
        match &self.spread {
            Spread::Frames { .. } => &[],
            Spread::Layers { slots, .. } => slots.get(slot as usize).map_or(&[], Vec::as_slice),
        }
    }

    /// The map that `map` stands for in `phase`, `None` if its term is left out there.
    pub(crate) fn resolve(&self, map: MapRef, phase: u64) -> Option<usize> {
        match (map, &self.spread) {
            (MapRef::Fixed(l), _) => Some(l as usize),
            (MapRef::Route(r), Spread::Layers { routes, .. }) => {
                let map = *routes.get(r as usize)?.get(phase as usize)?;
                map.map(|l| l as usize)
            }
            (MapRef::Route(_), Spread::Frames { .. }) => None,
        }
    }

    /// The products of an affine operation in a phase: for each term that is not left out, its map
    /// and whether the bias is taken from it, which is so for the first of them.
    pub(crate) fn products(
        &self,
        terms: &[Term],
        phase: u64,
    ) -> impl Iterator<Item = (usize, Register, bool)> {
        let there = terms
            .iter()
            .filter_map(move |t| Some((self.resolve(t.map, phase)?, t.input)));
        there
            .enumerate()
            .map(|(k, (map, input))| (map, input, k == 0))
    }

    /// Name of the program: `Digest("layerfold/program/1"; postcard(program))`.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let bytes = postcard::to_stdvec(self).unwrap_or_default();
        let mut out = [0; 32];
        shake("layerfold/program/1", &[&bytes], &mut out);
        out
    }

    /// Reads a program from the bytes that [`to_bytes`](Self::to_bytes) made, and validates it.
    ///
    /// # Errors
    /// [`DecodeError`](crate::DecodeError) if the bytes are no program, have trailing bytes, or
    /// describe a program that is not valid.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, crate::DecodeError> {
        use crate::DecodeError;
        // A valid program needs less; what is decoded takes some thirty-five times as much.
        const LIMIT: usize = 1 << 24;
        if bytes.len() > LIMIT {
            return Err(DecodeError::TooLong {
                what: "program",
                limit: LIMIT as u64,
                got: bytes.len() as u64,
            });
        }
        let (program, rest) = postcard::take_from_bytes::<Self>(bytes)
            .map_err(|_| DecodeError::Malformed { what: "program" })?;
        if !rest.is_empty() {
            return Err(DecodeError::TrailingBytes { count: rest.len() });
        }
        program.validate()?;
        if program.to_bytes() != bytes {
            return Err(DecodeError::NotCanonical);
        }
        Ok(program)
    }

    /// The canonical bytes of the program.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_stdvec(self).unwrap_or_default()
    }
}

fn accumulator(len: usize, bits: u8, shift: u8) -> RegisterShape {
    RegisterShape {
        len,
        width: u32::from(bits),
        offset: accumulator_offset(bits, shift),
        accumulator: true,
    }
}

/// `2^(B-1) + 2^(s-1)`, the last term only if `s ≥ 1`.
pub(crate) fn accumulator_offset(bits: u8, shift: u8) -> u64 {
    (1u64 << (bits - 1)) + if shift == 0 { 0 } else { 1 << (shift - 1) }
}

/// SHAKE256 of the label and the parts, as many bytes as `out` holds.
pub(crate) fn shake(label: &str, parts: &[&[u8]], out: &mut [u8]) {
    let mut hasher = Shake256::default();
    hasher.update(label.as_bytes());
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize_xof().read(out);
}
