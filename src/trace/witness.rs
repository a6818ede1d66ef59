//! The integers of a run: all registers, all columns.

use super::{
    fill::{Fill, Registers},
    system::System,
};
use crate::{
    error::Error,
    program::{Program, Registers as ByRegister, WeightBank, interpreter::Run},
};

/// What a prover commits to.
pub(crate) struct Witness {
    /// Column by column, frame by frame.
    pub(crate) columns: Vec<Vec<i64>>,
    /// For every lookup, the rows of its table.
    pub(crate) rows: Vec<Vec<u32>>,
}

/// Runs a program on integers and keeps every register.
pub(crate) fn registers(
    program: &Program,
    bank: &WeightBank,
    initial: &[Vec<i64>],
    frames: &[Vec<i64>],
) -> Result<Registers, Error> {
    let mut run = Run::new(program, bank, initial)?;
    let lens = run.shapes().map(|s| s.len);
    let mut values: ByRegister<Vec<i64>> = lens.map(|_| Vec::new());
    for (t, frame) in frames.iter().enumerate() {
        let now = run.frame(frame, t + 1 == frames.len())?;
        for (register, entries) in now.iter() {
            values[register].extend(entries);
        }
    }
    Ok(Registers { values, lens })
}

impl Witness {
    /// Columns, multiplicities left out, and rows of lookups.
    pub(crate) fn of(system: &System, registers: &Registers) -> Self {
        let fill = |fill: &Fill, size| fill.values(size, registers, &system.tables);
        let columns = system.columns.iter().map(|c| fill(&c.fill, c.size));
        let rows = system.lookups.iter().map(|lookup| {
            let rows = fill(&lookup.row, lookup.size());
            // One that is out of range is none of the table's: it stays so.
            rows.into_iter()
                .map(|row| u32::try_from(row).unwrap_or(u32::MAX))
                .collect()
        });
        Self {
            columns: columns.collect(),
            rows: rows.collect(),
        }
    }
}
