//! Validity of a program: every reference, size and range that the arguments rely on.

use super::{
    Emission, Operation, Program, Range, Register, Registers, Shape, WeightBank, Window,
    WindowAxis, op::Scope,
};
use crate::error::{Error, ProgramError, Reason};

/// Largest length of a register, and of all registers of a frame together.
pub(super) const MAX_ENTRIES: u64 = 1 << 24;
/// Largest absolute value of an entry that is multiplied with a map.
pub(super) const MAX_FACTOR: u64 = 0xffff;
/// Largest number of rows of all maps together.
const MAX_ROWS: u64 = 1 << 26;
/// Largest number of bits of all registers of a frame together.
const MAX_BITS: u64 = 1 << 26;
/// Largest number of operations.
pub(crate) const MAX_OPERATIONS: usize = 1 << 12;
/// Largest width of a sum over frames.
const MAX_SUM_WIDTH: u64 = 48;
/// Largest number of maps.
const MAX_MAPS: usize = 1 << 20;
/// Most values of one table, and of all.
const MAX_TABLE: u64 = 1 << 16;
const MAX_TABLES: u64 = 1 << 20;
/// Widths of frames, requantised values and values of tables.
const WIDTHS: std::ops::RangeInclusive<u8> = 2..=16;

/// Most axes of a window.
const MAX_WINDOW_AXES: u64 = 8;
/// Most cells and positions of all axes times offsets of one: what is paid for a point of the map.
const MAX_WINDOW_WORK: u64 = 1 << 28;

pub(crate) fn within(
    what: &'static str,
    got: u64,
    least: u64,
    most: u64,
) -> Result<(), ProgramError> {
    if (least..=most).contains(&got) {
        Ok(())
    } else {
        Err(ProgramError::Dimension {
            what,
            got,
            least,
            most,
        })
    }
}

pub(super) fn width(what: &'static str, got: u8) -> Result<(), ProgramError> {
    within(
        what,
        got.into(),
        (*WIDTHS.start()).into(),
        (*WIDTHS.end()).into(),
    )
}

impl Program {
    /// Checks references, sizes and ranges.
    ///
    /// Every program that this library builds is valid; one that came as bytes is validated when
    /// it is read. A program may be valid and yet too large for
    /// [recursion](crate::ProofKind::Recursive), which has a circuit for each step.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate(&self) -> Result<(), ProgramError> {
        within(
            "number of operations",
            (self.operations.len() + self.head.len()) as u64,
            1,
            MAX_OPERATIONS as u64,
        )?;
        let shapes = self.validate_language()?;
        let entries = shapes.values().iter().map(|s| s.len as u64).sum();
        within("entries of all registers", entries, 1, MAX_ENTRIES)?;
        let bits = |s: &Shape| s.len as u64 * u64::from(s.range.signed_bits());
        let bits = shapes.values().iter().map(bits).sum();
        within("bits of all registers", bits, 1, MAX_BITS)?;
        self.validate_bank()
    }

    /// The rules of the language, without bounds on the size: all that the interpreter needs. Gives
    /// the shapes of all registers.
    pub(crate) fn validate_language(&self) -> Result<Registers<Shape>, ProgramError> {
        self.validate_inputs()?;
        let shapes = self.shapes()?;
        self.validate_results(&shapes)?;
        Ok(shapes)
    }

    fn validate_inputs(&self) -> Result<(), ProgramError> {
        within("number of maps", self.maps.len() as u64, 1, MAX_MAPS as u64)?;
        for map in &self.maps {
            within("rows of a map", map.rows.into(), 1, MAX_ENTRIES)?;
            within("columns of a map", map.columns.into(), 1, MAX_ENTRIES)?;
        }
        let rows = self.maps.iter().map(|m| u64::from(m.rows)).sum();
        within("rows of all maps", rows, 1, MAX_ROWS)?;
        within("length of a frame", self.frame.len.into(), 1, MAX_ENTRIES)?;
        width("width of a frame", self.frame.width)?;
        within("number of tables", self.tables.len() as u64, 0, 1 << 10)?;
        let values = self.tables.iter().map(|t| t.values.len() as u64);
        within("values of all tables", values.sum(), 0, MAX_TABLES)?;
        for table in &self.tables {
            within("values of a table", table.values.len() as u64, 1, MAX_TABLE)?;
            let domain = Range::within(MAX_TABLE);
            if !Range::signed(*WIDTHS.end()).contains(table.range())
                || !domain.contains(table.domain())
            {
                return Err(ProgramError::Structure(
                    "a table has values or inputs of more than 16 bits",
                ));
            }
        }
        within(
            "parts of the carried vector",
            self.carried.len() as u64,
            0,
            1 << 8,
        )?;
        for carried in &self.carried {
            let len = u64::from(carried.shape.len);
            within("length of the carried vector", len, 1, MAX_ENTRIES)?;
            // Wider ones than frames are sums over these.
            within(
                "width of the carried vector",
                carried.shape.width.into(),
                2,
                MAX_SUM_WIDTH,
            )?;
            let initial = carried.initial.len() as u64;
            within("length of the initial vector", initial, len, len)?;
            let begin = Range::of(carried.initial.iter().map(|v| i64::from(*v)));
            if !carried.shape.shape().range.contains(begin) {
                return Err(ProgramError::Structure(
                    "an initial value is over the width of the carried vector",
                ));
            }
        }
        within("largest number of frames", self.frame_limit, 1, u64::MAX)
    }

    pub(super) fn empty_shapes(&self) -> Registers<Shape> {
        Registers::new(self.frame_shape(), self.carried_shapes())
    }

    /// Shapes of all registers, if every operation is as it must be.
    pub(super) fn shapes(&self) -> Result<Registers<Shape>, ProgramError> {
        let mut shapes = self.empty_shapes();
        for (at, operation) in self.all_operations().enumerate() {
            let shape = self.shape_of(at, operation, &shapes)?;
            shapes.push(shape);
        }
        Ok(shapes)
    }

    /// Checks operation `at`, and gives the shape of its result; `shapes` are those before it.
    pub(super) fn shape_of(
        &self,
        at: usize,
        operation: &Operation,
        shapes: &Registers<Shape>,
    ) -> Result<Shape, ProgramError> {
        let in_head = at >= self.operations.len();
        // The head reads what is carried on, and its own results.
        let carried_on = |r: Register| self.carried.iter().any(|c| c.next == r);
        let is_defined = |r: &Register| {
            let own = r.operation().is_some_and(|r| r >= self.operations.len());
            shapes.get(*r).is_some() && (!in_head || own || carried_on(*r))
        };
        if !operation.reads().iter().all(is_defined) {
            return Err(ProgramError::Operation {
                operation: at,
                problem: "reads a register that is not defined yet",
            });
        }
        operation.shape(&Scope {
            maps: &self.maps,
            tables: &self.tables,
            carried: &self.carried,
            frame_limit: self.frame_limit,
            shapes,
            at,
            in_head,
        })
    }

    fn validate_results(&self, shapes: &Registers<Shape>) -> Result<(), ProgramError> {
        let wrong = |problem| Err(ProgramError::Structure(problem));
        let Some(output) = shapes.get(self.output.register) else {
            return wrong("the output register is not defined");
        };
        let in_head = |r: Register| r.operation().is_some_and(|r| r >= self.operations.len());
        let is_carried_on = |r: Register| self.carried.iter().any(|c| c.next == r);
        match self.emission {
            Emission::Each if !self.head.is_empty() => {
                return wrong("a head belongs to a program with one output for all frames");
            }
            Emission::Last
                if !in_head(self.output.register) && !is_carried_on(self.output.register) =>
            {
                return wrong(
                    "the last output is not a part of what is carried on, nor of the head",
                );
            }
            _ => {}
        }
        let most = output.len as u64;
        within("length of the output", self.output.len.into(), 1, most)?;
        for (carried, register) in self
            .carried
            .iter()
            .zip(0u32..)
            .map(|(c, k)| (c, Register::Carried(k)))
        {
            let expected = carried.shape.shape();
            let fits = |s: &&Shape| s.len == expected.len && expected.range.contains(s.range);
            if in_head(carried.next) || shapes.get(carried.next).filter(fits).is_none() {
                return wrong("the next carried vector has another shape");
            }
            if carried.parameter && carried.next != register {
                return wrong("a parameter changes");
            }
        }
        Ok(())
    }

    fn validate_bank(&self) -> Result<(), ProgramError> {
        let mut used = vec![false; self.maps.len()];
        let mut count = 0;
        for operation in self.all_operations() {
            let Operation::Affine(affine) = operation else {
                continue;
            };
            count += 1;
            for term in &affine.terms {
                if let Some(used) = used.get_mut(term.map as usize) {
                    *used = true;
                }
            }
        }
        if used.contains(&false) {
            return Err(ProgramError::Structure("a map is used by no operation"));
        }
        within("affine operations", count, 1, MAX_OPERATIONS as u64)?;
        let bits = self.bank().index_bits();
        within("index bits of the weights", bits.into(), 2, 40)
    }
}

impl Window {
    /// Checks sizes; `len` is that of the register.
    pub(crate) fn check(&self, len: usize) -> Result<(), ProgramError> {
        within(
            "axes of a window",
            self.axes.len() as u64,
            1,
            MAX_WINDOW_AXES,
        )?;
        for axis in &self.axes {
            for (what, got) in [
                ("entries along an axis of a window", axis.size),
                ("positions along an axis of a window", axis.positions),
                ("offsets along an axis of a window", axis.offsets),
                ("stride of a window", axis.stride),
                ("dilation of a window", axis.dilation),
                (
                    "distance of a window from the first entry",
                    axis.start.unsigned_abs().max(1),
                ),
            ] {
                within(what, got.into(), 1, MAX_ENTRIES)?;
            }
        }
        let product = |of: fn(&WindowAxis) -> u32| {
            let sizes = self.axes.iter().map(|a| u64::from(of(a)));
            sizes.fold(1, u64::saturating_mul)
        };
        let len = len as u64;
        within("entries under a window", product(|a| a.size), len, len)?;
        let cells = product(|a| a.size.max(a.positions));
        within("cells of a window", cells, 1, MAX_ENTRIES)?;
        let offsets: u64 = self.axes.iter().map(|a| u64::from(a.offsets)).sum();
        within(
            "cells times offsets of a window",
            cells.saturating_mul(offsets),
            1,
            MAX_WINDOW_WORK,
        )?;
        let under = product(|a| a.positions).saturating_mul(product(|a| a.offsets));
        within("offsets at all positions of a window", under, 1, 1 << 32)?;
        let bits = self.axes.iter().map(|a| u64::from(a.offset_bits()));
        within("bits of a window's offsets", bits.sum(), 0, 22)
    }
}

impl WeightBank {
    /// Checks that the maps have the shapes of the program and that no sum can leave its
    /// range, whatever the inputs within theirs.
    ///
    /// # Errors
    /// If a shape differs, or the sums of a row can be further from 0 than its operation promises.
    pub fn check(&self, program: &Program) -> Result<(), Error> {
        if self.maps().len() != program.maps().len() {
            return Err(Reason::Shape {
                what: "affine maps",
                expected: program.maps().len(),
                got: self.maps().len(),
            }
            .into());
        }
        for (map, shape) in self.maps().iter().zip(program.maps()) {
            for (what, expected, got) in [
                ("rows of an affine map", shape.rows, map.rows()),
                ("columns of an affine map", shape.columns, map.columns()),
            ] {
                if expected as usize != got {
                    return Err(Reason::Shape {
                        what,
                        expected: expected as usize,
                        got,
                    }
                    .into());
                }
            }
        }
        let shapes = program.register_shapes();
        for operation in program.all_operations() {
            let Operation::Affine(affine) = operation else {
                continue;
            };
            let rows = affine
                .terms
                .first()
                .map_or(0, |t| self.maps()[t.map as usize].rows());
            for i in 0..rows {
                let terms = affine.terms.iter().enumerate().map(|(k, term)| {
                    let mut entries = shapes[term.input].range;
                    // Columns that no offset has are multiplied with 0, as what is beyond the ends.
                    let zeros = |w: &Window| w.reads_outside() || w.columns() != w.offsets();
                    if term.window.as_ref().is_some_and(zeros) {
                        entries.least = entries.least.min(0);
                        entries.most = entries.most.max(0);
                    }
                    self.maps()[term.map as usize].extent(i, k == 0, entries)
                });
                let (least, most) = terms.fold((0, 0), |(l, m), e| (l + e.0, m + e.1));
                let (reach, limit) = (most.max(-least), i128::from(affine.reach));
                if reach > limit {
                    return Err(Reason::Reach {
                        map: affine.terms.first().map_or(0, |t| t.map as usize),
                        reach,
                        limit,
                    }
                    .into());
                }
            }
        }
        Ok(())
    }
}
