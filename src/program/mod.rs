//! Programs: what a network computes on integers, and the interpreter that is its specification.
//!
//! A [`Program`] is everything public about a network: dimensions, operations, ranges, tables. It
//! holds no weight, and nothing of how it is proved. It is a straight-line list of [`Operation`]s
//! over *registers*, vectors of bounded integers, the same list for every frame of a run. What
//! follows it are the integer interpreter in [`interpreter`], which is the specification, and the
//! arguments, which must agree with it bit for bit: `trace` commits to the registers of all frames
//! at once, `recursive` makes circuits of steps, each of several frames or of some layers.

mod build;
mod builder;
mod claim;
mod dimensions;
pub mod interpreter;
pub(crate) mod op;
mod register;
mod validate;
pub(crate) mod weights;
pub(crate) mod window;

use serde::{Deserialize, Serialize};

use crate::{error::DecodeError, hash::shake};

pub use crate::error::ProgramError;
pub use build::{Activation, LayerShape, NetworkShape};
pub use builder::Builder;
pub use claim::{Claim, Label, Predicate, Threshold};
pub use dimensions::BankDimensions;
pub use op::{
    Accumulate, Affine, ArgMax, Combine, Concat, Dot, Indicators, Lookup, Monomial, Operation,
    Relu, Requantize, Sign, Slice, Term, Zero, requantize,
};
pub use register::{Range, Register, Registers, Shape};
pub(crate) use validate::within;
pub use weights::{AffineMap, Row, WeightBank};
pub use window::{Order, Window, WindowAxis};

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

impl VectorShape {
    fn shape(self) -> Shape {
        Shape::signed(self.len, self.width)
    }
}

/// A part of the vector that a frame hands to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// Its shape.
    pub shape: VectorShape,
    /// Its value before the first frame.
    pub initial: Vec<i32>,
    /// The register whose value is carried on.
    pub next: Register,
    /// Whether the value before the first frame is a parameter of the statement, chosen for each
    /// run, rather than `initial`. It is carried on unchanged.
    pub parameter: bool,
}

/// A function of integers, given by its values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The least input.
    pub least: i32,
    /// The values for the inputs from `least` on: 1 to 2^16 of them, each of 16 bits with sign.
    pub values: Vec<i32>,
}

impl Table {
    /// A table of the values for −128, …, 127.
    #[must_use]
    pub fn of_bytes(values: Vec<i32>) -> Self {
        Self {
            least: -128,
            values,
        }
    }

    /// The inputs that it has values for.
    #[must_use]
    pub fn domain(&self) -> Range {
        let least = i64::from(self.least);
        Range {
            least,
            most: least + self.values.len() as i64 - 1,
        }
    }

    /// Where the values lie.
    #[must_use]
    pub fn range(&self) -> Range {
        Range::of(self.values.iter().map(|v| i64::from(*v)))
    }

    /// The value at an input; 0 where it has none.
    #[must_use]
    pub fn at(&self, x: i64) -> i64 {
        let place = usize::try_from(x - i64::from(self.least)).ok();
        let value = place.and_then(|at| self.values.get(at));
        value.map_or(0, |v| i64::from(*v))
    }
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

/// What a network computes: all that is public about it.
///
/// Two models of the same shape, quantised by the standard policy, have the same program, so one set
/// of keys serves both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    pub(crate) maps: Vec<MapShape>,
    pub(crate) tables: Vec<Table>,
    pub(crate) frame: VectorShape,
    /// Parts of the carried vector.
    pub(crate) carried: Vec<Carried>,
    /// What is done for every frame.
    pub(crate) operations: Vec<Operation>,
    /// What is done once, after the last frame, with the vector that is carried on.
    pub(crate) head: Vec<Operation>,
    pub(crate) output: Output,
    pub(crate) emission: Emission,
    /// The most frames of a run.
    pub(crate) frame_limit: u64,
}

impl Program {
    /// Shapes of the affine maps, in the order of the weights.
    #[must_use]
    pub fn maps(&self) -> &[MapShape] {
        &self.maps
    }

    /// The tables that lookups name.
    #[must_use]
    pub fn tables(&self) -> &[Table] {
        &self.tables
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

    /// The operations after the last frame.
    #[must_use]
    pub fn head(&self) -> &[Operation] {
        &self.head
    }

    /// The operations of a frame, and after them those of the head.
    pub(crate) fn all_operations(&self) -> impl Iterator<Item = &Operation> {
        self.operations.iter().chain(&self.head)
    }

    /// The most frames that a run may have: sums over frames that are not range-checked stay in
    /// their registers for as many.
    #[must_use]
    pub fn max_frames(&self) -> u64 {
        self.frame_limit
    }

    /// Shapes of the parameters of a statement, in order.
    #[must_use]
    pub fn parameter_shapes(&self) -> Vec<Shape> {
        let parameters = self.carried.iter().filter(|c| c.parameter);
        parameters.map(|c| c.shape.shape()).collect()
    }

    /// Which frames have an output.
    #[must_use]
    pub fn emission(&self) -> Emission {
        self.emission
    }

    /// Dimensions of the polynomial of the weights.
    #[must_use]
    pub fn bank(&self) -> BankDimensions {
        BankDimensions::of(&self.maps)
    }

    /// Shape of an input frame as a register.
    #[must_use]
    pub fn frame_shape(&self) -> Shape {
        self.frame.shape()
    }

    /// Shapes of the parts of the carried vector.
    #[must_use]
    pub fn carried_shapes(&self) -> Vec<Shape> {
        self.carried.iter().map(|c| c.shape.shape()).collect()
    }

    /// Shape of the output vector.
    #[must_use]
    pub fn output_shape(&self) -> Shape {
        Shape {
            len: self.output.len as usize,
            ..self.register_shapes()[self.output.register]
        }
    }

    /// Shapes of all registers. The program must be valid.
    #[must_use]
    pub fn register_shapes(&self) -> Registers<Shape> {
        self.shapes().unwrap_or_else(|_| self.empty_shapes())
    }

    /// Name of the program: `Digest("layerfold/program/3"; postcard(program))`.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut out = [0; 32];
        shake("layerfold/program/3", &[&self.to_bytes()], &mut out);
        out
    }

    /// Reads a program from the bytes that [`to_bytes`](Self::to_bytes) made, and validates it.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are no program, have trailing bytes, or
    /// describe a program that is not valid.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
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
    #[expect(clippy::expect_used, reason = "vectors and integers always serialise")]
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("a program has bytes")
    }
}
