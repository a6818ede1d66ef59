//! The integers of a run: all registers, all columns.

use super::{
    fill::{Fill, Registers},
    system::System,
};
use crate::{
    error::Error,
    program::{Program, Unrolled, interpreter::Execution},
    weights::WeightBank,
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
    let step = Unrolled::of_one_frame(program);
    let body = 2 + program.operations().len();
    let lens: Vec<usize> = step.shapes.iter().map(|s| s.len).collect();
    let mut values: Vec<Vec<i64>> = vec![Vec::new(); lens.len()];
    let mut carried = initial.to_vec();
    for (t, frame) in frames.iter().enumerate() {
        let mut execution = Execution::begin(&step, 0, &carried)?;
        execution.push(&step, bank, frame)?;
        if t + 1 == frames.len() {
            let trace = execution.finish(&step, bank)?;
            for (all, now) in values.iter_mut().zip(trace.registers) {
                all.extend(now);
            }
        } else {
            for (all, now) in values[..body].iter_mut().zip(execution.registers()) {
                all.extend(now);
            }
            carried = (step.slots[0].carried.iter())
                .map(|r| execution.registers()[r.index()].clone())
                .collect();
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
