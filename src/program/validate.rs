//! Validity of a program: every reference, size and width that the protocol relies on.

use super::{
    Activation, BankDimensions, MapRef, Operation, Program, Register, RegisterShape, Spread, Term,
};

/// Largest length of a register, and of all registers of a step together.
const MAX_ENTRIES: u64 = 1 << 24;
/// Largest number of rows of all maps together.
const MAX_ROWS: u64 = 1 << 26;
/// Largest number of bits of all registers of a step together: each is a constraint or more.
const MAX_BITS: u64 = 1 << 20;
/// Largest number of phases times entries of a step, and of entries that products read.
const MAX_WORK: u64 = 1 << 28;
/// Largest number of operations in a step.
const MAX_OPERATIONS: usize = 1 << 16;
/// Largest number of maps in a bank.
const MAX_MAPS: usize = 1 << 20;
/// Widths of frames, carried vectors, requantised values and tables.
const WIDTHS: std::ops::RangeInclusive<u8> = 2..=16;

/// Why a program is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// A dimension is zero, too large, or does not fit another.
    #[error("{what}: {got} is outside {least}..={most}")]
    Dimension {
        /// Which dimension.
        what: &'static str,
        /// Its value.
        got: u64,
        /// The least value allowed.
        least: u64,
        /// The largest value allowed.
        most: u64,
    },
    /// An operation breaks a rule of the language.
    #[error("operation {operation}: {problem}")]
    Operation {
        /// Position in the list.
        operation: usize,
        /// The rule.
        problem: &'static str,
    },
    /// The program as a whole breaks a rule of the language.
    #[error("{0}")]
    Structure(&'static str),
}

fn within(what: &'static str, got: u64, least: u64, most: u64) -> Result<(), ProgramError> {
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

fn width(what: &'static str, got: u8) -> Result<(), ProgramError> {
    within(
        what,
        got.into(),
        (*WIDTHS.start()).into(),
        (*WIDTHS.end()).into(),
    )
}

impl Program {
    /// Checks references, sizes and widths.
    ///
    /// Every program that this library builds is valid; one that came as bytes is validated when
    /// it is read.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate(&self) -> Result<(), ProgramError> {
        self.validate_shapes()?;
        self.validate_spread()?;
        let shapes = self.validate_operations()?;
        self.validate_results(&shapes)?;
        self.validate_bank()
    }

    fn validate_shapes(&self) -> Result<(), ProgramError> {
        within("number of maps", self.maps.len() as u64, 1, MAX_MAPS as u64)?;
        within(
            "number of operations",
            self.operations.len() as u64,
            1,
            MAX_OPERATIONS as u64,
        )?;
        for map in &self.maps {
            within("rows of a map", map.rows.into(), 1, MAX_ENTRIES)?;
            within("columns of a map", map.columns.into(), 1, MAX_ENTRIES)?;
        }
        let rows = self.maps.iter().map(|m| u64::from(m.rows)).sum();
        within("rows of all maps", rows, 1, MAX_ROWS)?;
        within("length of a frame", self.frame.len.into(), 1, MAX_ENTRIES)?;
        width("width of a frame", self.frame.width)?;
        within("number of tables", self.tables.len() as u64, 0, 1 << 10)?;
        for table in &self.tables {
            width("width of a table", table.width)?;
            within("values of a table", table.values.len() as u64, 256, 256)?;
            let half = 1i32 << (table.width - 1);
            if table.values.iter().any(|v| !(-half..half).contains(v)) {
                return Err(ProgramError::Structure("a table value is over its width"));
            }
        }
        if let Some(carried) = &self.carried {
            within(
                "length of the carried vector",
                carried.shape.len.into(),
                1,
                MAX_ENTRIES,
            )?;
            width("width of the carried vector", carried.shape.width)?;
            let len = carried.shape.len as u64;
            within(
                "length of the initial vector",
                carried.initial.len() as u64,
                len,
                len,
            )?;
            let half = 1i32 << (carried.shape.width - 1);
            if carried.initial.iter().any(|v| !(-half..half).contains(v)) {
                return Err(ProgramError::Structure(
                    "an initial value is over the width of the carried vector",
                ));
            }
        }
        Ok(())
    }

    /// A layered schedule has exactly one form: `Select`, then `Affine, Requantize, Layer` for
    /// each slot, each reading the one before.
    fn validate_spread(&self) -> Result<(), ProgramError> {
        let Spread::Layers {
            layers_per_step,
            activations,
        } = &self.spread
        else {
            return Ok(());
        };
        let layers = activations.len() as u64;
        within("number of layers", layers, 2, MAX_MAPS as u64)?;
        within(
            "maps of a layered schedule",
            self.maps.len() as u64,
            layers,
            layers,
        )?;
        within("layers per step", (*layers_per_step).into(), 1, layers - 1)?;
        let slots = *layers_per_step as usize;
        within(
            "operations of a layered schedule",
            self.operations.len() as u64,
            1 + 3 * slots as u64,
            1 + 3 * slots as u64,
        )?;
        // An input longer than a map would meet columns that the bank may hold anything in.
        let inputs = std::iter::once(self.frame.len).chain(self.maps.iter().map(|m| m.rows));
        if inputs.zip(&self.maps).any(|(n, map)| n != map.columns) {
            return Err(ProgramError::Structure(
                "a layer has not as many inputs as the one before has neurons",
            ));
        }
        for activation in activations {
            if let Activation::Table(t) = activation {
                let table = self
                    .tables
                    .get(*t as usize)
                    .ok_or(ProgramError::Structure("an activation names no table"))?;
                if table.width != self.frame.width || self.frame.width != 8 {
                    return Err(ProgramError::Structure(
                        "tables of a layered schedule map 8 bits to 8 bits",
                    ));
                }
            }
        }
        let mut input = Register::result_of(0);
        let mut same = self.operations[0]
            == Operation::Select {
                first: Register::FRAME,
                rest: Register::CARRIED,
            };
        for (slot, chunk) in (0u32..).zip(self.operations[1..].chunks(3)) {
            let at = 1 + 3 * slot as usize;
            same &= matches!(&chunk[0], Operation::Affine { terms, .. }
                if *terms == [Term { map: MapRef::Slot(slot), input }]);
            same &= chunk[1]
                == Operation::Requantize {
                    input: Register::result_of(at),
                    width: self.frame.width,
                };
            same &= chunk[2]
                == Operation::Layer {
                    input: Register::result_of(at + 1),
                    passed: input,
                    slot,
                };
            input = Register::result_of(at + 2);
        }
        same &= self.carried.as_ref().is_some_and(|c| c.next == input);
        let last = self.maps[self.maps.len() - 1];
        let last_slot = (self.maps.len() - 1) % slots;
        same &= self.output.len == last.rows
            && (self.output.register == Register::result_of(1 + 3 * last_slot)
                || self.output.register == Register::result_of(3 + 3 * last_slot));
        if same {
            Ok(())
        } else {
            Err(ProgramError::Structure(
                "the operations are not those of a layered schedule",
            ))
        }
    }

    fn validate_operations(&self) -> Result<Vec<RegisterShape>, ProgramError> {
        let layered = self.spread != Spread::Frames;
        let mut requantized = vec![false; self.operations.len()];
        for (at, operation) in self.operations.iter().enumerate() {
            let fail = |problem| {
                Err(ProgramError::Operation {
                    operation: at,
                    problem,
                })
            };
            let defined = |r: Register| {
                r.index() < at + 2 && (r != Register::CARRIED || self.carried.is_some())
            };
            let reads: Vec<Register> = match operation {
                Operation::Affine { terms, .. } => terms.iter().map(|t| t.input).collect(),
                Operation::Requantize { input, .. }
                | Operation::Relu { input }
                | Operation::Table { input, .. } => vec![*input],
                Operation::Select { first, rest } => vec![*first, *rest],
                Operation::Layer { input, passed, .. } => vec![*input, *passed],
            };
            if !reads.iter().all(|r| defined(*r)) {
                return fail("reads a register that is not defined yet");
            }
            let accumulates = |r: &Register| {
                r.index() >= 2 && matches!(self.operations[r.index() - 2], Operation::Affine { .. })
            };
            match operation {
                Operation::Requantize { input, width: w } => {
                    width("width of a requantised value", *w)?;
                    if !accumulates(input) {
                        return fail("requantises what is not an accumulator");
                    }
                    if std::mem::replace(&mut requantized[input.index() - 2], true) {
                        return fail("an accumulator is requantised twice");
                    }
                }
                _ if reads.iter().any(accumulates) => {
                    return fail("reads an accumulator that was not requantised");
                }
                Operation::Affine {
                    terms,
                    rows,
                    bits,
                    shift,
                } => {
                    within(
                        "terms of an affine operation",
                        terms.len() as u64,
                        1,
                        1 << 10,
                    )?;
                    within(
                        "rows of an affine operation",
                        (*rows).into(),
                        1,
                        MAX_ENTRIES,
                    )?;
                    within("accumulator bits", (*bits).into(), 2, 64)?;
                    within("shift", (*shift).into(), 0, u64::from(*bits) - 1)?;
                    for term in terms {
                        match (term.map, layered) {
                            (MapRef::Fixed(l), false) => {
                                let Some(map) = self.maps.get(l as usize) else {
                                    return fail("names a map that does not exist");
                                };
                                // The bank may hold anything beyond a map's rows.
                                if map.rows != *rows {
                                    return fail("has not as many rows as its map");
                                }
                            }
                            (MapRef::Slot(_), true) => {}
                            _ => return fail("names a map of the other kind of schedule"),
                        }
                    }
                }
                Operation::Table { table, .. } => {
                    if self.tables.get(*table as usize).is_none() {
                        return fail("names a table that does not exist");
                    }
                }
                Operation::Select { .. } | Operation::Layer { .. } => {
                    if !layered {
                        return fail("belongs to a layered schedule");
                    }
                }
                Operation::Relu { .. } => {}
            }
        }
        for (at, operation) in self.operations.iter().enumerate() {
            if let Operation::Affine { shift, .. } = operation
                && *shift > 0
                && !requantized[at]
            {
                return Err(ProgramError::Operation {
                    operation: at,
                    problem: "has a shift and no requantise",
                });
            }
        }
        // References are in order and tables exist, so shapes can be computed.
        let shapes = self.register_shapes();
        let total: u64 = shapes.iter().map(|s| s.len as u64).sum();
        within("entries of all registers", total, 1, MAX_ENTRIES)?;
        let bits = shapes.iter().map(|s| s.len as u64 * u64::from(s.width));
        within("bits of all registers", bits.sum(), 1, MAX_BITS)?;
        let work = total.saturating_mul(self.steps_per_frame());
        within("phases times entries", work, 1, MAX_WORK)?;
        let read: u64 = self
            .affine_operations()
            .flat_map(|(_, terms)| terms)
            .map(|t| shapes[t.input.index()].len as u64)
            .sum();
        within("entries read by products", read, 1, MAX_WORK)?;
        for (at, operation) in self.operations.iter().enumerate() {
            let fail = |problem| {
                Err(ProgramError::Operation {
                    operation: at,
                    problem,
                })
            };
            match operation {
                Operation::Affine { terms, rows, .. } => {
                    for term in terms {
                        let len = shapes[term.input.index()].len as u64;
                        let fits = match term.map {
                            MapRef::Fixed(l) => u64::from(self.maps[l as usize].columns) == len,
                            // As many rows as the largest map of the slot: more than 2^μ would
                            // let two sums share a power of ρ.
                            MapRef::Slot(_) => {
                                let maps = || {
                                    (0..self.steps_per_frame())
                                        .filter_map(|p| self.resolve(term.map, p))
                                        .map(|l| self.maps[l])
                                };
                                maps().all(|m| u64::from(m.columns) <= len)
                                    && maps().map(|m| m.rows).max() == Some(*rows)
                            }
                        };
                        if !fits {
                            return fail("the map does not fit its input or output");
                        }
                    }
                }
                Operation::Table { input, .. } if shapes[input.index()].width != 8 => {
                    return fail("looks up entries that are not 8 bits wide");
                }
                Operation::Select { first, rest }
                    if shapes[first.index()].width != shapes[rest.index()].width =>
                {
                    return fail("selects between widths");
                }
                Operation::Layer { input, passed, .. }
                    if shapes[input.index()].width != shapes[passed.index()].width =>
                {
                    return fail("passes on a register of another width");
                }
                _ => {}
            }
        }
        Ok(shapes)
    }

    fn validate_results(&self, shapes: &[RegisterShape]) -> Result<(), ProgramError> {
        let Some(output) = shapes.get(self.output.register.index()) else {
            return Err(ProgramError::Structure(
                "the output register is not defined",
            ));
        };
        if self.output.register == Register::CARRIED && self.carried.is_none() {
            return Err(ProgramError::Structure(
                "the output register is not defined",
            ));
        }
        within(
            "length of the output",
            self.output.len.into(),
            1,
            output.len as u64,
        )?;
        if let Some(carried) = &self.carried {
            let expected = shapes[Register::CARRIED.index()];
            if shapes.get(carried.next.index()) != Some(&expected) {
                return Err(ProgramError::Structure(
                    "the next carried vector has another shape",
                ));
            }
        }
        Ok(())
    }

    fn validate_bank(&self) -> Result<(), ProgramError> {
        let affine = self.affine_operations().count() as u64;
        if self.spread == Spread::Frames {
            let mut used = vec![false; self.maps.len()];
            for (_, terms) in self.affine_operations() {
                for term in terms {
                    if let Some(used) = self.resolve(term.map, 0).and_then(|l| used.get_mut(l)) {
                        *used = true;
                    }
                }
            }
            if used.contains(&false) {
                return Err(ProgramError::Structure("a map is used by no operation"));
            }
        }
        within("affine operations", affine, 1, MAX_OPERATIONS as u64)?;
        let BankDimensions { mu, .. } = self.bank();
        within(
            "index bits of the bank",
            self.bank().index_bits().into(),
            2,
            40,
        )?;
        // The powers of ρ that separate the accumulators.
        within(
            "affine operations times 2^μ",
            affine << mu,
            1,
            (1 << 32) - 1,
        )
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::{
        DecodeError,
        program::{Carried, LayerShape, MapShape, NetworkShape, Schedule, Table},
    };

    fn program(schedule: Schedule) -> Program {
        let layer = |inputs, outputs, activation| LayerShape {
            inputs,
            outputs,
            activation,
        };
        NetworkShape {
            layers: vec![
                layer(4, 3, Activation::Relu),
                layer(3, 3, Activation::Table(0)),
                layer(3, 2, Activation::Identity),
            ],
            tables: vec![Table {
                values: vec![0; 256],
                width: 8,
            }],
            width: 8,
            bits: 20,
            shift: 8,
        }
        .program(schedule)
        .unwrap()
    }

    fn operation(p: &mut Program, at: usize) -> &mut Operation {
        &mut p.operations[at]
    }

    #[test]
    fn programs_of_both_schedules_survive_a_round_trip() {
        for schedule in [
            Schedule::WholeNetwork,
            Schedule::LayersPerStep(1),
            Schedule::LayersPerStep(2),
        ] {
            let program = program(schedule);
            assert_eq!(Program::from_bytes(&program.to_bytes()).unwrap(), program);
        }
    }

    #[test]
    fn every_broken_rule_of_a_whole_network_is_an_error() {
        type Lie = fn(&mut Program);
        let lies: [(&str, Lie); 24] = [
            ("no map", |p| p.maps.clear()),
            ("an empty map", |p| p.maps[0].rows = 0),
            ("a huge map", |p| p.maps[0].columns = u32::MAX),
            ("no operation", |p| p.operations.clear()),
            ("an empty frame", |p| p.frame.len = 0),
            ("another frame", |p| p.frame.len = 5),
            ("a wide frame", |p| p.frame.width = 17),
            ("a short table", |p| {
                p.tables[0].values.pop();
            }),
            ("a table over its width", |p| p.tables[0].values[3] = 128),
            ("a register of the future", |p| {
                *operation(p, 2) = Operation::Relu {
                    input: Register(40),
                };
            }),
            ("itself", |p| {
                *operation(p, 2) = Operation::Relu { input: Register(4) };
            }),
            ("a carried vector that is not there", |p| {
                *operation(p, 2) = Operation::Relu {
                    input: Register::CARRIED,
                };
            }),
            ("ReLU of an accumulator", |p| {
                *operation(p, 2) = Operation::Relu { input: Register(2) };
            }),
            ("a second requantise", |p| {
                *operation(p, 2) = Operation::Requantize {
                    input: Register(2),
                    width: 8,
                };
            }),
            ("a requantise of no accumulator", |p| {
                *operation(p, 2) = Operation::Requantize {
                    input: Register(3),
                    width: 8,
                };
            }),
            ("a shift as large as the accumulator", |p| {
                if let Operation::Affine { shift, .. } = operation(p, 0) {
                    *shift = 20;
                }
            }),
            ("an accumulator of 65 bits", |p| {
                if let Operation::Affine { bits, .. } = operation(p, 0) {
                    *bits = 65;
                }
            }),
            ("more rows than the map", |p| {
                if let Operation::Affine { rows, .. } = operation(p, 0) {
                    *rows = 4;
                }
            }),
            ("a map that nothing uses", |p| {
                p.maps.push(MapShape {
                    rows: 1,
                    columns: 1,
                });
            }),
            ("registers of many bits", |p| {
                p.frame.len = 1 << 18;
                p.maps[0].columns = 1 << 18;
            }),
            ("no term", |p| {
                if let Operation::Affine { terms, .. } = operation(p, 0) {
                    terms.clear();
                }
            }),
            ("a map that does not exist", |p| {
                if let Operation::Affine { terms, .. } = operation(p, 0) {
                    terms[0].map = MapRef::Fixed(9);
                }
            }),
            ("an output longer than its register", |p| p.output.len = 3),
            ("an output that is not there", |p| {
                p.output.register = Register(99);
            }),
        ];
        for (name, lie) in lies {
            let mut p = program(Schedule::WholeNetwork);
            lie(&mut p);
            assert!(p.validate().is_err(), "{name}");
            assert!(matches!(
                Program::from_bytes(&p.to_bytes()),
                Err(DecodeError::Program(_))
            ));
        }
    }

    #[test]
    fn every_broken_rule_of_a_layered_network_is_an_error() {
        type Lie = fn(&mut Program);
        let lies: [(&str, Lie); 10] = [
            ("layers that do not fit each other", |p| {
                p.maps[1].columns = 2;
            }),
            ("another first layer", |p| p.maps[0].columns = 3),
            ("no carried vector", |p| p.carried = None),
            ("another carried vector", |p| {
                if let Some(Carried { next, .. }) = &mut p.carried {
                    *next = Register(2);
                }
            }),
            ("an initial vector over its width", |p| {
                if let Some(c) = &mut p.carried {
                    c.initial[0] = 128;
                }
            }),
            ("all layers in one step", |p| {
                if let Spread::Layers {
                    layers_per_step, ..
                } = &mut p.spread
                {
                    *layers_per_step = 3;
                }
            }),
            ("a table that does not exist", |p| p.tables.clear()),
            ("more rows than any map of the slot", |p| {
                if let Operation::Affine { rows, .. } = operation(p, 1) {
                    *rows = 8;
                }
            }),
            ("slots in another order", |p| {
                let Operation::Layer { slot, .. } = operation(p, 3) else {
                    return;
                };
                *slot = 1;
            }),
            ("an output of another slot", |p| {
                p.output.register = Register::result_of(4);
            }),
        ];
        for (name, lie) in lies {
            let mut p = program(Schedule::LayersPerStep(2));
            lie(&mut p);
            assert!(p.validate().is_err(), "{name}");
        }
    }

    #[test]
    fn bytes_that_are_no_program_are_errors() {
        let bytes = program(Schedule::WholeNetwork).to_bytes();
        for len in 0..bytes.len() {
            assert!(Program::from_bytes(&bytes[..len]).is_err());
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(
            Program::from_bytes(&longer),
            Err(DecodeError::TrailingBytes { count: 1 })
        );
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 0x55;
            // It may be another valid program, but never a panic or a second encoding of this one.
            if let Ok(other) = Program::from_bytes(&other) {
                assert_ne!(other.digest(), program(Schedule::WholeNetwork).digest());
            }
        }
    }

    #[test]
    fn the_number_of_rows_is_bounded() {
        let mut p = program(Schedule::LayersPerStep(1));
        p.maps = vec![
            MapShape {
                rows: 1 << 24,
                columns: 1,
            };
            5
        ];
        assert!(matches!(
            p.validate(),
            Err(ProgramError::Dimension {
                what: "rows of all maps",
                ..
            })
        ));
    }
}
