//! Registers: vectors of bounded integers.

use std::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize};

/// A vector of integers that a frame has or computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Register {
    /// The input frame.
    Frame,
    /// A part of the carried vector, as the frame finds it.
    Carried(u32),
    /// The result of an operation, those of the head being counted after the others.
    Result(u32),
}

impl Register {
    /// The input frame.
    pub const FRAME: Self = Self::Frame;
    /// The first part of the carried vector.
    pub const CARRIED: Self = Self::Carried(0);

    /// The register that operation `index` defines.
    #[must_use]
    pub fn result_of(index: usize) -> Self {
        Self::Result(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// The operation that defines it.
    #[must_use]
    pub fn operation(self) -> Option<usize> {
        match self {
            Self::Result(index) => Some(index as usize),
            Self::Frame | Self::Carried(_) => None,
        }
    }
}

/// One thing for each register: of the frame, of the parts of the carried vector, of the results so
/// far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registers<T> {
    parts: usize,
    values: Vec<T>,
}

impl<T> Registers<T> {
    /// What belongs to the frame and to the parts of the carried vector; results are
    /// [pushed](Self::push) one by one.
    pub fn new(frame: T, carried: impl IntoIterator<Item = T>) -> Self {
        let mut values = vec![frame];
        values.extend(carried);
        Self {
            parts: values.len() - 1,
            values,
        }
    }

    /// Adds what belongs to the result of the next operation, and gives its register.
    pub fn push(&mut self, value: T) -> Register {
        self.values.push(value);
        Register::result_of(self.values.len() - 2 - self.parts)
    }

    fn place(&self, register: Register) -> usize {
        let place = match register {
            Register::Frame => 0,
            Register::Carried(part) if (part as usize) < self.parts => 1 + part as usize,
            Register::Carried(_) => usize::MAX,
            Register::Result(index) => 1 + self.parts + index as usize,
        };
        debug_assert!(place < self.values.len(), "{register:?}");
        place
    }

    /// What belongs to a register, `None` if there is none.
    #[must_use]
    pub fn get(&self, register: Register) -> Option<&T> {
        match register {
            Register::Carried(part) if part as usize >= self.parts => None,
            Register::Carried(part) => self.values.get(1 + part as usize),
            Register::Frame => self.values.first(),
            Register::Result(index) => self.values.get(1 + self.parts + index as usize),
        }
    }

    /// All registers with what belongs to them: frame, carried vector, results in order.
    pub fn iter(&self) -> impl Iterator<Item = (Register, &T)> {
        let parts = self.parts;
        let register = move |place: usize| match place {
            0 => Register::Frame,
            _ if place <= parts => Register::Carried(place as u32 - 1),
            _ => Register::result_of(place - 1 - parts),
        };
        let all = self.values.iter().enumerate();
        all.map(move |(place, value)| (register(place), value))
    }

    /// What belongs to each register, in the order of [`iter`](Self::iter).
    #[must_use]
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// What belongs to the results of operations.
    #[must_use]
    pub fn results(&self) -> &[T] {
        &self.values[1 + self.parts..]
    }

    /// The same with `f` of everything.
    pub(crate) fn map<U>(&self, f: impl FnMut(&T) -> U) -> Registers<U> {
        Registers {
            parts: self.parts,
            values: self.values.iter().map(f).collect(),
        }
    }
}

impl<T> Index<Register> for Registers<T> {
    type Output = T;

    fn index(&self, register: Register) -> &T {
        &self.values[self.place(register)]
    }
}

impl<T> IndexMut<Register> for Registers<T> {
    fn index_mut(&mut self, register: Register) -> &mut T {
        let place = self.place(register);
        &mut self.values[place]
    }
}

/// The integers from `least` to `most`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Range {
    /// The least.
    pub least: i64,
    /// The largest.
    pub most: i64,
}

impl Range {
    /// 0 and 1.
    pub const BIT: Self = Self { least: 0, most: 1 };

    /// Signed integers of `width` bits, 1 to 63.
    #[must_use]
    pub fn signed(width: u8) -> Self {
        let half = 1i64 << (width.clamp(1, 63) - 1);
        Self {
            least: -half,
            most: half - 1,
        }
    }

    /// From `−reach` to `reach`.
    #[must_use]
    pub fn within(reach: u64) -> Self {
        let reach = i64::try_from(reach).unwrap_or(i64::MAX);
        Self {
            least: -reach,
            most: reach,
        }
    }

    /// The least range with all these values in it; 0 if there is none.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = i64>) -> Self {
        let range = values.into_iter().fold(None, |range: Option<Self>, v| {
            let range = range.unwrap_or(Self { least: v, most: v });
            Some(Self {
                least: range.least.min(v),
                most: range.most.max(v),
            })
        });
        range.unwrap_or(Self { least: 0, most: 0 })
    }

    /// Whether a value is in it.
    #[must_use]
    pub fn holds(self, value: i64) -> bool {
        (self.least..=self.most).contains(&value)
    }

    /// Whether all of another range is in it.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.least <= other.least && other.most <= self.most
    }

    /// The least number of bits of a signed integer that holds all of it.
    #[must_use]
    pub fn signed_bits(self) -> u32 {
        let magnitude = |v: i64| if v < 0 { !v } else { v }.cast_unsigned();
        let most = magnitude(self.least).max(magnitude(self.most));
        u64::BITS - most.leading_zeros() + 1
    }

    /// The largest absolute value.
    #[must_use]
    pub fn reach(self) -> u64 {
        self.least.unsigned_abs().max(self.most.unsigned_abs())
    }

    /// The least range that holds both.
    #[must_use]
    pub fn hull(self, other: Self) -> Self {
        Self {
            least: self.least.min(other.least),
            most: self.most.max(other.most),
        }
    }
}

/// What is known of a register before anything runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Number of entries.
    pub len: usize,
    /// Where the entries lie.
    pub range: Range,
}

impl Shape {
    /// `len` signed integers of `width` bits.
    #[must_use]
    pub fn signed(len: u32, width: u8) -> Self {
        Self {
            len: len as usize,
            range: Range::signed(width),
        }
    }

    /// Width and offset of the least integers that hold all entries: with the offset added they are
    /// in `[0, 2^width)`. The offset is 0 if no entry is negative, and half of that otherwise.
    pub(crate) fn held(&self) -> (u32, u64) {
        let signed = self.range.signed_bits();
        match self.range.least {
            0.. => (signed.max(2) - 1, 0),
            _ => (signed, 1 << (signed - 1)),
        }
    }

    /// `len` bits.
    #[must_use]
    pub fn bits(len: usize) -> Self {
        Self {
            len,
            range: Range::BIT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_a_range() {
        for width in 1..=63 {
            assert_eq!(Range::signed(width).signed_bits(), u32::from(width));
        }
        let bits = |least, most| Range { least, most }.signed_bits();
        assert_eq!((bits(0, 0), bits(0, 1), bits(-1, 0)), (1, 2, 1));
        assert_eq!((bits(-129, 0), bits(0, 128)), (9, 9));
        assert_eq!(bits(i64::MIN, i64::MAX), 64);
    }

    #[test]
    fn registers_have_their_places() {
        let mut r = Registers::new('f', ['a', 'b']);
        assert_eq!(r.push('x'), Register::Result(0));
        assert_eq!(r.push('y'), Register::Result(1));
        assert_eq!((r[Register::Frame], r[Register::Carried(1)]), ('f', 'b'));
        assert_eq!(r[Register::Result(1)], 'y');
        assert_eq!(r.get(Register::Carried(2)), None);
        assert_eq!(r.get(Register::Result(2)), None);
        let all: Vec<Register> = r.iter().map(|(register, _)| register).collect();
        assert_eq!(all[2..4], [Register::Carried(1), Register::Result(0)]);
    }
}
