//! How a prover computes committed integers and the rows of lookups from the registers of a run.

use super::size::{Size, Table};
use crate::program::{Register, Registers as ByRegister};

/// Integers of a box.
#[derive(Clone, Debug)]
pub(crate) enum Fill {
    /// `((operand + offset) >> shift) mod 2^bits`.
    Digit {
        operand: Operand,
        offset: i128,
        shift: u32,
        bits: u32,
    },
    /// A part of the row of a table.
    Table {
        table: usize,
        row: Box<Fill>,
        part: usize,
    },
    /// `Σ factor·fill + constant`.
    Sum(Vec<(Fill, i64)>, i64),
}

/// An integer of every entry of a box.
#[derive(Clone, Debug)]
pub(crate) enum Operand {
    /// Entries `start..` of a register.
    Entries { register: Register, start: usize },
    /// The only entry of a register, less the index of the entry.
    LessIndex { register: Register },
    /// The largest entry of a register.
    Greatest { register: Register },
    /// `m − x_i − 1 + [i is at or after the first greatest entry]`.
    Gap { register: Register },
}

/// All registers of a run: those of frames frame by frame, those of the head once.
pub(crate) struct Registers {
    /// Entries of one frame after the other.
    pub(crate) values: ByRegister<Vec<i64>>,
    /// Entries of a frame.
    pub(crate) lens: ByRegister<usize>,
}

impl Registers {
    /// The entries at `t` of `time` frames; what is read once is the last frame.
    fn frame(&self, register: Register, t: usize, time: usize) -> &[i64] {
        let (values, len) = (&self.values[register], self.lens[register]);
        let at = values.len() / len - time + t;
        &values[at * len..(at + 1) * len]
    }
}

impl Operand {
    fn row(&self, registers: &Registers, t: usize, size: Size, out: &mut Vec<i128>) {
        let Size { time, len, .. } = size;
        match self {
            Self::Entries { register, start } => {
                let x = &registers.frame(*register, t, time)[*start..*start + len];
                out.extend(x.iter().map(|x| i128::from(*x)));
            }
            Self::LessIndex { register } => {
                let x = i128::from(registers.frame(*register, t, time)[0]);
                out.extend((0..len as i128).map(|c| x - c));
            }
            Self::Greatest { register } => {
                let x = registers.frame(*register, t, time).iter().copied().max();
                out.extend(std::iter::repeat_n(i128::from(x.unwrap_or(0)), len));
            }
            Self::Gap { register } => {
                let x = registers.frame(*register, t, time);
                let greatest = x.iter().copied().max().unwrap_or(0);
                let first = x.iter().position(|x| *x == greatest).unwrap_or(0);
                out.extend(x.iter().enumerate().map(|(i, x)| {
                    i128::from(greatest) - i128::from(*x) - 1 + i128::from(i >= first)
                }));
            }
        }
    }
}

impl Fill {
    /// A digit of entries of a register.
    pub(crate) fn digit(operand: Operand, offset: i128, shift: u32, bits: u32) -> Self {
        Self::Digit {
            operand,
            offset,
            shift,
            bits,
        }
    }

    /// The integers, frame by frame.
    pub(crate) fn values(&self, size: Size, registers: &Registers, tables: &[Table]) -> Vec<i64> {
        match self {
            Self::Digit {
                operand,
                offset,
                shift,
                bits,
            } => {
                let mut row = Vec::with_capacity(size.len);
                let mut out = Vec::with_capacity(size.cells());
                for t in 0..size.time {
                    row.clear();
                    operand.row(registers, t, size, &mut row);
                    out.extend(row.iter().map(|x| {
                        let shifted = (x + offset) >> shift;
                        if *bits >= 64 {
                            shifted as i64
                        } else {
                            (shifted & ((1i128 << bits) - 1)) as i64
                        }
                    }));
                }
                out
            }
            Self::Table { table, row, part } => {
                let mut rows = row.values(size, registers, tables);
                for x in &mut rows {
                    // A row that is none is found when its lookup is counted.
                    let row = usize::try_from(*x).ok();
                    let row = row.and_then(|row| tables[*table].rows.get(row));
                    *x = row.map_or(0, |row| row[*part]);
                }
                rows
            }
            Self::Sum(terms, constant) => {
                let mut out = vec![*constant; size.cells()];
                for (fill, factor) in terms {
                    let values = fill.values(size, registers, tables);
                    for (out, x) in out.iter_mut().zip(values) {
                        *out += factor * x;
                    }
                }
                out
            }
        }
    }
}
