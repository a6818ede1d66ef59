//! The operations, one file each: what an operation reads, which registers it takes, the shape and
//! range of its result, and what it computes.
//!
//! An operation is added here, in a file of its own and in the list below; then in the rooms of the
//! arguments: `recursive/operations.rs` and `trace/lower`. One that an argument does not know is
//! refused by it, and the suite of operations in the tests runs it everywhere else.

mod accumulate;
mod affine;
mod argmax;
mod combine;
mod concat;
mod dot;
mod indicators;
mod lookup;
mod relu;
mod requantize;
mod sign;
mod slice;
mod zero;

use serde::{Deserialize, Serialize};

pub use accumulate::Accumulate;
pub use affine::{Affine, Term};
pub use argmax::ArgMax;
pub use combine::{Combine, Monomial};
pub use concat::Concat;
pub use dot::Dot;
pub use indicators::Indicators;
pub use lookup::Lookup;
pub use relu::Relu;
pub use requantize::{Requantize, requantize};
pub use sign::Sign;
pub use slice::Slice;
pub use zero::Zero;

use super::{Carried, MapShape, ProgramError, Range, Register, Registers, Shape, Table};
use crate::{
    error::{Error, Reason},
    program::WeightBank,
};

/// What every operation has.
pub(crate) trait Op {
    /// Calls `f` with every register that it reads, in order.
    fn for_each_read(&mut self, f: &mut dyn FnMut(&mut Register));

    /// Checks the rules of the operation, and gives the shape of its result.
    fn shape(&self, scope: &Scope<'_>) -> Result<Shape, ProgramError>;

    /// Computes the result, of `shape`.
    fn evaluate(&self, values: &Values<'_>, shape: &Shape) -> Result<Vec<i64>, Error>;
}

/// Declares [`Operation`] with one variant for each operation.
macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// One vector operation; it defines one register.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Operation {
            $($(#[$doc])* $name($name),)*
        }

        $(impl From<$name> for Operation {
            fn from(operation: $name) -> Self {
                Self::$name(operation)
            }
        })*

        impl Operation {
            fn op(&self) -> &dyn Op {
                match self {
                    $(Self::$name(operation) => operation,)*
                }
            }

            fn op_mut(&mut self) -> &mut dyn Op {
                match self {
                    $(Self::$name(operation) => operation,)*
                }
            }

            /// Its name, for messages.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)*
                }
            }
        }
    };
}

operations! {
    /// Sums of maps of registers.
    Affine,
    /// Entry by entry, a sum of registers and of products of two.
    Combine,
    /// A weighted sum of the entries of a register.
    Dot,
    /// Division by a power of two, rounded and saturated.
    Requantize,
    /// `max(x, 0)`.
    Relu,
    /// A function given by its values.
    Lookup,
    /// `[x ≥ 0]`.
    Sign,
    /// `[x = 0]`.
    Zero,
    /// `[x = c]` for `c = 0, 1, …`.
    Indicators,
    /// The one-hot vector of the largest entry.
    ArgMax,
    /// A sum over frames.
    Accumulate,
    /// Some entries of a register.
    Slice,
    /// One register after the other.
    Concat,
}

impl Operation {
    /// The registers that it reads, in order.
    #[must_use]
    pub fn reads(&self) -> Vec<Register> {
        let mut reads = Vec::new();
        self.clone().op_mut().for_each_read(&mut |r| reads.push(*r));
        reads
    }

    /// The same operation on other registers.
    #[must_use]
    pub(crate) fn map_registers(mut self, mut f: impl FnMut(Register) -> Register) -> Self {
        self.op_mut().for_each_read(&mut |r| *r = f(*r));
        self
    }

    pub(crate) fn shape(&self, scope: &Scope<'_>) -> Result<Shape, ProgramError> {
        self.op().shape(scope)
    }

    pub(crate) fn evaluate(&self, values: &Values<'_>, shape: &Shape) -> Result<Vec<i64>, Error> {
        self.op().evaluate(values, shape)
    }
}

/// What an operation is checked against. The registers that it reads are defined.
pub(crate) struct Scope<'a> {
    pub(crate) maps: &'a [MapShape],
    pub(crate) tables: &'a [Table],
    pub(crate) carried: &'a [Carried],
    pub(crate) frame_limit: u64,
    /// Of all registers before the result.
    pub(crate) shapes: &'a Registers<Shape>,
    /// The position of the operation.
    pub(crate) at: usize,
    /// Whether it is done once, after the last frame.
    pub(crate) in_head: bool,
}

impl Scope<'_> {
    fn of(&self, register: Register) -> Shape {
        self.shapes[register]
    }

    fn fail<T>(&self, problem: &'static str) -> Result<T, ProgramError> {
        Err(ProgramError::Operation {
            operation: self.at,
            problem,
        })
    }

    /// A range of sums that were computed in 128 bits.
    fn range(&self, least: i128, most: i128) -> Result<Range, ProgramError> {
        // What arguments multiply by powers of two and compare stays far below 2^127.
        const REACH: i128 = 1 << 61;
        match (i64::try_from(least), i64::try_from(most)) {
            (Ok(least), Ok(most)) if i128::from(least) >= -REACH && i128::from(most) < REACH => {
                Ok(Range { least, most })
            }
            _ => self.fail("has results of more than 62 bits"),
        }
    }
}

/// What an operation computes with.
pub(crate) struct Values<'a> {
    pub(crate) tables: &'a [Table],
    pub(crate) bank: &'a WeightBank,
    /// The values of a register.
    pub(crate) read: &'a dyn Fn(Register) -> &'a [i64],
    /// The part of the carried vector that an accumulation adds to.
    pub(crate) before: &'a dyn Fn(u32) -> &'a [i64],
}

impl<'a> Values<'a> {
    fn of(&self, register: Register) -> &'a [i64] {
        (self.read)(register)
    }
}

/// Sums as 64-bit integers within a range; that they are is a promise of the weights.
fn fit(sums: Vec<i128>, range: Range) -> Result<Vec<i64>, Error> {
    let sums = sums.into_iter().map(|y| {
        let fits = i64::try_from(y).ok().filter(|y| range.holds(*y));
        fits.ok_or_else(|| {
            Error::from(Reason::Range {
                what: "sum",
                got: y,
                least: range.least.into(),
                most: range.most.into(),
            })
        })
    });
    sums.collect()
}
