//! Validity of a program: every reference, size and width that the protocol relies on.

use super::{
    Activation, Emission, MapRef, Monomial, Operation, Program, Register, RegisterShape, Spread,
    Term,
};

/// Largest length of a register, and of all registers of a step together.
const MAX_ENTRIES: u64 = 1 << 24;
/// Largest number of rows of all maps together.
const MAX_ROWS: u64 = 1 << 26;
/// Largest number of bits of all registers of a step together, if its steps are frames.
const MAX_BITS: u64 = 1 << 26;
/// The same of a step that has a circuit: each is a constraint or more.
const MAX_STEP_BITS: u64 = 1 << 20;
/// Largest number of constraints of a step that has a circuit, estimated from above.
const MAX_CONSTRAINTS: u64 = 1 << 22;
/// Largest number of terms in these constraints, estimated from above.
const MAX_TERMS: u64 = 1 << 25;
/// Largest number of phases times entries of a step, and of entries that products read.
const MAX_WORK: u64 = 1 << 28;
/// Largest number of operations in a step.
const MAX_OPERATIONS: usize = 1 << 12;
/// Largest number of frames in a step.
const MAX_FRAMES: u64 = 1 << 12;
/// Largest width of a sum over frames, and of an exact sum within one.
const MAX_SUM_WIDTH: u64 = 48;
/// Most summands of an element-wise sum, and most registers that one reads.
const MAX_MONOMIALS: usize = 16;
const MAX_FACTORS: usize = 8;
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

/// Whether entries are unsigned, or signed with both sides alike.
fn standard_offset(shape: &RegisterShape) -> bool {
    shape.offset == 0 || Some(shape.offset) == 1u64.checked_shl(shape.width.saturating_sub(1))
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

pub(super) fn width(what: &'static str, got: u8) -> Result<(), ProgramError> {
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
    /// it is read. A program whose steps are frames may be valid and yet too large for
    /// [recursion](crate::ProofKind::Recursive), which has a circuit for each step: see
    /// [`check_step`](Self::check_step).
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
        self.validate_sizes(&shapes)?;
        self.validate_bank()?;
        match self.spread {
            Spread::Frames { .. } => Ok(()),
            // There is no other kind of proof for these.
            Spread::Layers { .. } => self.validate_step(&shapes),
        }
    }

    /// Whether a step is small enough for a circuit, which a [recursive](crate::ProofKind::Recursive)
    /// proof needs, and a [trace](crate::ProofKind::Trace) does not.
    ///
    /// # Errors
    /// If the program is not valid, or the step is too large: what is too many of it.
    pub fn check_step(&self) -> Result<(), ProgramError> {
        self.validate()?;
        match self.spread {
            Spread::Frames { .. } => self.validate_step(&self.register_shapes()),
            Spread::Layers { .. } => Ok(()),
        }
    }

    /// The rules of the language, without bounds on the size of a step: all that the interpreter
    /// needs. Gives the shapes of all registers.
    pub(crate) fn validate_language(&self) -> Result<Vec<RegisterShape>, ProgramError> {
        self.validate_shapes()?;
        self.validate_spread()?;
        let shapes = self.validate_operations()?;
        self.validate_results(&shapes)?;
        Ok(shapes)
    }

    fn validate_shapes(&self) -> Result<(), ProgramError> {
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
        for table in &self.tables {
            width("width of a table", table.width)?;
            within("values of a table", table.values.len() as u64, 256, 256)?;
            let half = 1i32 << (table.width - 1);
            if table.values.iter().any(|v| !(-half..half).contains(v)) {
                return Err(ProgramError::Structure("a table value is over its width"));
            }
        }
        within(
            "frames per step",
            self.frames_per_step().into(),
            1,
            MAX_FRAMES,
        )?;
        within(
            "parts of the carried vector",
            self.carried.len() as u64,
            0,
            1 << 8,
        )?;
        for carried in &self.carried {
            within(
                "length of the carried vector",
                carried.shape.len.into(),
                1,
                MAX_ENTRIES,
            )?;
            // Wider ones are sums over frames.
            within(
                "width of the carried vector",
                carried.shape.width.into(),
                2,
                MAX_SUM_WIDTH,
            )?;
            let len = carried.shape.len as u64;
            within(
                "length of the initial vector",
                carried.initial.len() as u64,
                len,
                len,
            )?;
            let half = 1i64 << (carried.shape.width - 1);
            let fits = |v: &i32| (-half..half).contains(&i64::from(*v));
            if !carried.initial.iter().all(fits) {
                return Err(ProgramError::Structure(
                    "an initial value is over the width of the carried vector",
                ));
            }
        }
        Ok(())
    }

    /// A layered schedule has exactly one form: `Select`, then `Affine, Requantize, Layer` for each
    /// slot, whose terms read the selected vector or slots before; and, if the output is that of
    /// several slots, a slice of each and their concatenation.
    fn validate_spread(&self) -> Result<(), ProgramError> {
        let Spread::Layers {
            slots,
            routes,
            blocks,
        } = &self.spread
        else {
            return Ok(());
        };
        let wrong = |problem| Err(ProgramError::Structure(problem));
        let phases = self.steps_per_frame();
        within("slots of a step", slots.len() as u64, 1, MAX_MAPS as u64)?;
        within("steps of an inference", phases, 2, MAX_MAPS as u64)?;
        let total = (slots.len() + routes.len()) as u64 * phases;
        within("slots and routes times steps", total, 1, MAX_ENTRIES)?;
        if slots.iter().map(Vec::len).any(|n| n as u64 != phases)
            || routes.iter().map(Vec::len).any(|n| n as u64 != phases)
        {
            return wrong("a slot or a route has not an entry for every step of an inference");
        }
        if blocks.len() != self.maps.len() {
            return wrong("a map is no part of a layer");
        }
        for used in slots.iter().flatten() {
            within("rows of a slot", used.rows.into(), 1, MAX_ENTRIES)?;
            let Activation::Table(t) = used.activation else {
                continue;
            };
            let Some(table) = self.tables.get(t as usize) else {
                return wrong("an activation names no table");
            };
            if table.width != self.frame.width || self.frame.width != 8 {
                return wrong("tables of a layered schedule map 8 bits to 8 bits");
            }
        }
        self.validate_form(slots.len(), routes.len())?;
        let mut carried = self.frame.len;
        let most = self.maps.iter().map(|m| m.rows).max().unwrap_or(0);
        for phase in 0..phases {
            carried = self.validate_phase(phase, slots.len(), carried, most)?;
        }
        self.validate_layered_output(slots.len())
    }

    /// The operations of a layered schedule, and what is carried.
    fn validate_form(&self, slots: usize, routes: usize) -> Result<(), ProgramError> {
        let body = 1 + 3 * slots;
        within(
            "operations of a layered schedule",
            self.operations.len() as u64,
            body as u64,
            MAX_OPERATIONS as u64,
        )?;
        let mut same = self.operations[0]
            == Operation::Select {
                first: Register::FRAME,
                rest: Register::CARRIED,
            };
        let mut route = 0;
        for (slot, chunk) in (0u32..).zip(self.operations[1..body].chunks(3)) {
            let at = 1 + 3 * slot as usize;
            if let Operation::Affine { terms, rows, .. } = &chunk[0] {
                for term in terms {
                    same &= term.map == MapRef::Route(route);
                    route += 1;
                    // Register 2, 5, 8, …: what is selected, and the ends of slots.
                    same &= term.input.index() % 3 == 2 && term.input.index() < at + 2;
                }
                let uses = self.slot_uses(slot).iter();
                same &= uses.map(|u| u.rows).max() == Some(*rows);
            } else {
                same = false;
            }
            same &= chunk[1]
                == Operation::Requantize {
                    input: Register::result_of(at),
                    drop: 0,
                    width: self.frame.width,
                };
            same &= chunk[2]
                == Operation::Layer {
                    input: Register::result_of(at + 1),
                    slot,
                };
        }
        same &= route as usize == routes;
        let last = Register::result_of(body - 1);
        same &= matches!(self.carried.as_slice(), [c] if c.next == last && !c.parameter);
        same &= self.head.is_empty() && self.emission == Emission::Each;
        if same {
            Ok(())
        } else {
            Err(ProgramError::Structure(
                "the operations are not those of a layered schedule",
            ))
        }
    }

    /// Whether maps fit what they read in one phase, in which `selected` entries are not zero of
    /// what the step begins with; how many are not zero of what it carries on. The longest map has
    /// `most` rows.
    ///
    /// A map that is shorter than its input would meet columns that the bank may hold anything in,
    /// and one of fewer rows than its slot leaves rows that the bank may hold anything in.
    fn validate_phase(
        &self,
        phase: u64,
        slots: usize,
        selected: u32,
        most: u32,
    ) -> Result<u32, ProgramError> {
        let wrong = |problem| Err(ProgramError::Structure(problem));
        let rows_of = |slot: usize| {
            let uses = self.slot_uses(slot as u32);
            uses.get(phase as usize).map(|u| u.rows)
        };
        for slot in 0..slots {
            let Operation::Affine { terms, .. } = &self.operations[1 + 3 * slot] else {
                return wrong("the operations are not those of a layered schedule");
            };
            // Whether it is used or idle, its rows have powers of ρ of their own.
            if rows_of(slot) > Some(most) {
                return wrong("a slot is longer than every map");
            }
            for (l, input, _) in self.products(terms, phase) {
                let Some(map) = self.maps.get(l) else {
                    return wrong("a route names a map that does not exist");
                };
                let read = match input.index() {
                    2 => Some(selected),
                    index => rows_of((index - 5) / 3),
                };
                if read != Some(map.columns) || rows_of(slot) != Some(map.rows) {
                    return wrong("a map does not fit its input or its slot");
                }
            }
        }
        Ok(rows_of(slots - 1).unwrap_or(0))
    }

    /// The output is that of one slot in the last phase, its sums or its end, or of several one
    /// after the other.
    fn validate_layered_output(&self, slots: usize) -> Result<(), ProgramError> {
        let body = 1 + 3 * slots;
        let last = self.steps_per_frame() - 1;
        // How many entries a register has in the last phase.
        let entries = |register: Register| {
            let at = register.index().checked_sub(3)?;
            let used = self.slot_uses((at / 3) as u32).get(last as usize)?;
            (at % 3 != 1 && at + 1 < body).then_some(used.rows)
        };
        let parts = &self.operations[body..];
        let right = match parts.split_last() {
            None => entries(self.output.register) == Some(self.output.len),
            Some((Operation::Concat { inputs }, slices)) => {
                let mut total = 0;
                let whole = slices.iter().all(|s| match s {
                    Operation::Slice { input, start, len } => {
                        total += u64::from(*len);
                        *start == 0 && entries(*input) == Some(*len)
                    }
                    _ => false,
                });
                let results = (body..body + slices.len()).map(Register::result_of);
                whole
                    && results.eq(inputs.iter().copied())
                    && self.output.register == Register::result_of(body + slices.len())
                    && u64::from(self.output.len) == total
            }
            Some(_) => false,
        };
        if right {
            Ok(())
        } else {
            Err(ProgramError::Structure(
                "the output is not that of slots in the last step",
            ))
        }
    }

    fn validate_operations(&self) -> Result<Vec<RegisterShape>, ProgramError> {
        let mut shapes = self.register_shapes_of_inputs();
        let mut ranges: Vec<Range> = shapes.iter().map(Range::of).collect();
        let body = self.operations.len();
        for (at, operation) in self.all_operations().enumerate() {
            let fail = |problem| {
                Err(ProgramError::Operation {
                    operation: at,
                    problem,
                })
            };
            // The head reads what is carried on, and its own results.
            let carried_on = |r: Register| self.carried.iter().any(|c| c.next == r);
            let defined = |r: Register| {
                r.index() < at + 2
                    && (r != Register::CARRIED || !self.carried.is_empty())
                    && (at < body || r.index() >= body + 2 || carried_on(r))
            };
            let reads = operation.reads();
            if !reads.iter().all(|r| defined(*r)) {
                return fail("reads a register that is not defined yet");
            }
            self.validate_operation(at, operation, &shapes, &ranges)?;
            // What it reads, and tables and parts that it names, exist.
            shapes.push(self.result_shape(operation, &shapes));
            ranges.push(self.range(operation, &shapes, &ranges));
        }
        Ok(shapes)
    }

    fn register_shapes_of_inputs(&self) -> Vec<RegisterShape> {
        let carried = self.carried_shapes();
        let none = RegisterShape::signed(0, 1);
        vec![self.frame_shape(), *carried.first().unwrap_or(&none)]
    }

    /// One operation, whose inputs are defined.
    fn validate_operation(
        &self,
        at: usize,
        operation: &Operation,
        shapes: &[RegisterShape],
        ranges: &[Range],
    ) -> Result<(), ProgramError> {
        let layered = matches!(self.spread, Spread::Layers { .. });
        let fail = |problem| {
            Err(ProgramError::Operation {
                operation: at,
                problem,
            })
        };
        let shape = |r: &Register| &shapes[r.index()];
        match operation {
            Operation::Requantize { .. }
            | Operation::Slice { .. }
            | Operation::Combine { .. }
            | Operation::Sign { .. }
            | Operation::Zero { .. }
            | Operation::ArgMax { .. }
            | Operation::Polynomial { .. }
            | Operation::Dot { .. }
            | Operation::Concat { .. }
            | Operation::Accumulate { .. }
            | Operation::Carried { .. } => {}
            _ if operation.reads().iter().any(|r| shape(r).accumulator) => {
                return fail("reads an accumulator that was not requantised");
            }
            _ => {}
        }
        match operation {
            Operation::Requantize {
                input,
                drop,
                width: w,
            } => {
                width("width of a requantised value", *w)?;
                if !shape(input).accumulator {
                    return fail("requantises what is not an accumulator");
                }
                let left = shape(input).width - self.shift_of(*input);
                if u32::from(*drop) >= left {
                    return fail("no bit of the accumulator is left");
                }
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
                    let len = shape(&term.input).len as u64;
                    // Products of 16-bit weights are summed in 64 bits.
                    let read = shape(&term.input);
                    if read.width > u32::from(*WIDTHS.end()) || !standard_offset(read) {
                        return fail("multiplies entries of more than 16 bits with a map");
                    }
                    let fits = match (term.map, layered) {
                        (MapRef::Fixed(l), false) => {
                            let Some(map) = self.maps.get(l as usize) else {
                                return fail("names a map that does not exist");
                            };
                            // The bank may hold anything beyond a map's rows.
                            if map.rows != *rows {
                                return fail("has not as many rows as its map");
                            }
                            u64::from(map.columns) == len
                        }
                        // That it fits in every phase was checked with the schedule.
                        (MapRef::Route(_), true) => true,
                        _ => return fail("names a map of the other kind of schedule"),
                    };
                    if !fits {
                        return fail("the map does not fit its input or output");
                    }
                }
            }
            Operation::Combine {
                constant,
                monomials,
                bits,
                shift,
            } => {
                within("accumulator bits", (*bits).into(), 2, 62)?;
                within("shift", (*shift).into(), 0, u64::from(*bits) - 1)?;
                let range = self.sum_range(operation, *constant, monomials, shapes, ranges);
                match range {
                    Err(problem) => return fail(problem),
                    Ok(range) if !range.fits(*bits, *shift) => {
                        return fail("a sum can leave its accumulator");
                    }
                    Ok(_) => {}
                }
            }
            Operation::Polynomial {
                constant,
                monomials,
                width,
                offset,
            } => {
                within("width of a sum", (*width).into(), 1, MAX_SUM_WIDTH)?;
                if *offset != 0 && *offset != 1 << (width - 1) {
                    return fail("has an offset that is neither 0 nor half its range");
                }
                let range = self.sum_range(operation, *constant, monomials, shapes, ranges);
                match range {
                    Err(problem) => return fail(problem),
                    Ok(range) if !range.within(*width, *offset) => {
                        return fail("a sum can leave its register");
                    }
                    Ok(_) => {}
                }
            }
            Operation::Dot {
                input,
                coefficients,
                width,
                offset,
            } => {
                within("width of a sum", (*width).into(), 1, MAX_SUM_WIDTH)?;
                if *offset != 0 && *offset != 1 << (width - 1) {
                    return fail("has an offset that is neither 0 nor half its range");
                }
                if coefficients.len() != shape(input).len {
                    return fail("has not as many coefficients as entries");
                }
                if !dot_range(coefficients, ranges[input.index()]).within(*width, *offset) {
                    return fail("a sum can leave its register");
                }
            }
            Operation::Sign { input } => {
                if !shape(input).accumulator || self.shift_of(*input) != 0 {
                    return fail("takes the sign of what is no accumulator without a shift");
                }
            }
            Operation::Zero { input } => {
                if !shape(input).accumulator {
                    return fail("compares what is no accumulator");
                }
            }
            Operation::Indicators { input, len } => {
                within("number of indicators", (*len).into(), 1, 1 << 12)?;
                if shape(input).len != 1 {
                    return fail("has not one entry to compare");
                }
            }
            Operation::ArgMax { input } => {
                if shape(input).width > 62 {
                    return fail("compares too wide entries");
                }
            }
            Operation::Accumulate { part, input } => {
                let register = Register::result_of(at);
                let Some(carried) = self.carried.get(*part as usize) else {
                    return fail("is not a part of the carried vector");
                };
                if layered || at >= self.operations.len() || carried.next != register {
                    return fail("is not the next value of its part of the carried vector");
                }
                if carried.shape.len as usize != shape(input).len {
                    return fail("adds a register of another length");
                }
                // From where it begins, so many times what one frame adds, on each side; once more
                // for a slot without a frame.
                let half = 1i128 << (carried.shape.width - 1);
                let range = ranges[input.index()];
                let times = i128::from(self.frame_limit) + 1;
                let begin = |v: &i32| i128::from(*v);
                let least = carried.initial.iter().map(begin).min().unwrap_or(0);
                let most = carried.initial.iter().map(begin).max().unwrap_or(0);
                let least = least.saturating_add(range.least.min(0).saturating_mul(times));
                let most = most.saturating_add(range.most.max(0).saturating_mul(times));
                if least < -half || most >= half {
                    return fail("a sum over the frames can leave its register");
                }
            }
            Operation::Table { input, table } => {
                if self.tables.get(*table as usize).is_none() {
                    return fail("names a table that does not exist");
                }
                if (shape(input).width, shape(input).offset) != (8, 128) {
                    return fail("looks up entries that are not signed and 8 bits wide");
                }
            }
            Operation::Carried { part } => {
                // Part by part, before anything else.
                if *part as usize != at + 1 || self.carried.len() <= at + 1 {
                    return fail("is not the next part of the carried vector");
                }
            }
            Operation::Slice { input, start, len } => {
                let end = u64::from(*start) + u64::from(*len);
                if *len == 0 || end > shape(input).len as u64 {
                    return fail("is not a part of its register");
                }
            }
            Operation::Concat { inputs } => {
                within("parts of a concatenation", inputs.len() as u64, 1, 1 << 8)?;
                let first = shape(&inputs[0]);
                let same =
                    |r: &Register| (shape(r).width, shape(r).offset) == (first.width, first.offset);
                if !inputs.iter().all(same) {
                    return fail("concatenates registers of different widths");
                }
                let len: u64 = inputs.iter().map(|r| shape(r).len as u64).sum();
                within("length of a concatenation", len, 1, MAX_ENTRIES)?;
            }
            Operation::Select { first, rest } => {
                if !layered {
                    return fail("belongs to a layered schedule");
                }
                if shape(first).width != shape(rest).width {
                    return fail("selects between widths");
                }
            }
            Operation::Layer { .. } => {
                if !layered {
                    return fail("belongs to a layered schedule");
                }
            }
            Operation::Relu { input } => {
                if shape(input).width > 62 {
                    return fail("compares too wide entries");
                }
            }
        }
        Ok(())
    }

    /// The values of an element-wise sum.
    fn sum_range(
        &self,
        operation: &Operation,
        constant: i64,
        monomials: &[Monomial],
        shapes: &[RegisterShape],
        ranges: &[Range],
    ) -> Result<Range, &'static str> {
        let shape = |r: &Register| &shapes[r.index()];
        if monomials.is_empty() || monomials.len() > MAX_MONOMIALS {
            return Err("has no summand, or too many");
        }
        let len = shape(&monomials[0].left).len;
        if operation.reads().iter().any(|r| shape(r).len != len) {
            return Err("sums registers of different lengths");
        }
        if monomials.iter().any(|m| m.right == Some(m.left)) {
            return Err("multiplies a register with itself");
        }
        extremes(constant, monomials, ranges).ok_or("sums too many registers")
    }

    /// The shift of an accumulator that is defined, or of the one it is a slice of.
    fn shift_of(&self, register: Register) -> u32 {
        let mut register = register;
        loop {
            let operation = register.index().checked_sub(2);
            match operation.and_then(|at| self.operation(at)) {
                Some(Operation::Slice { input, .. }) => register = *input,
                Some(Operation::Affine { shift, .. } | Operation::Combine { shift, .. }) => {
                    return u32::from(*shift);
                }
                _ => return 0,
            }
        }
    }

    /// The values that a register can have: narrower than its width where that is known.
    fn range(&self, operation: &Operation, shapes: &[RegisterShape], ranges: &[Range]) -> Range {
        let of = |r: &Register| ranges[r.index()];
        match operation {
            Operation::Table { table, .. } => {
                let values = &self.tables[*table as usize].values;
                let (least, most) = values
                    .iter()
                    .fold((i32::MAX, i32::MIN), |(l, m), v| (l.min(*v), m.max(*v)));
                Range {
                    least: least.into(),
                    most: most.into(),
                }
            }
            Operation::Relu { input } => Range {
                least: of(input).least.max(0),
                most: of(input).most.max(0),
            },
            Operation::Slice { input, .. } => of(input),
            Operation::Polynomial {
                constant,
                monomials,
                ..
            } => extremes(*constant, monomials, ranges)
                .or_else(|| shapes.last().map(Range::of))
                .unwrap_or(Range { least: 0, most: 0 }),
            Operation::Dot {
                input,
                coefficients,
                ..
            } => dot_range(coefficients, of(input)),
            Operation::Concat { inputs } => Range {
                least: inputs.iter().map(|r| of(r).least).min().unwrap_or(0),
                most: inputs.iter().map(|r| of(r).most).max().unwrap_or(0),
            },
            _ => shapes.last().map_or(Range { least: 0, most: 0 }, Range::of),
        }
    }

    /// Bounds on the work that a program can ask for, all frames of a step together.
    fn validate_sizes(&self, shapes: &[RegisterShape]) -> Result<(), ProgramError> {
        let frames = u64::from(self.frames_per_step());
        // The frame and every part of the carried vector are made anew for each frame.
        let entries = shapes.iter().map(|s| s.len as u64);
        let total = entries.sum::<u64>().saturating_mul(frames);
        within("entries of all registers", total, 1, MAX_ENTRIES)?;
        within("bits of all registers", self.bits(shapes), 1, MAX_BITS)?;
        let work = total.saturating_mul(self.steps_per_frame());
        within("phases times entries", work, 1, MAX_WORK)
    }

    /// Bits of all registers of a step.
    fn bits(&self, shapes: &[RegisterShape]) -> u64 {
        let bits = shapes.iter().map(|s| s.len as u64 * u64::from(s.width));
        let frames = u64::from(self.frames_per_step());
        bits.fold(0, u64::saturating_add).saturating_mul(frames)
    }

    /// Bounds on the circuit of a step, all its frames together.
    fn validate_step(&self, shapes: &[RegisterShape]) -> Result<(), ProgramError> {
        let frames = u64::from(self.frames_per_step());
        within("bits of all registers", self.bits(shapes), 1, MAX_STEP_BITS)?;
        let constraints = self
            .all_operations()
            .zip(&shapes[2..])
            .map(|(operation, shape)| self.most_constraints(operation, shape, shapes))
            .chain(shapes.iter().map(|s| s.len as u64 * u64::from(s.width)));
        let constraints = constraints.fold(0, u64::saturating_add);
        let constraints = constraints.saturating_mul(frames);
        within("constraints of a step", constraints, 1, MAX_CONSTRAINTS)?;
        let terms = self.most_terms(shapes).saturating_mul(frames);
        within("terms of all constraints of a step", terms, 1, MAX_TERMS)?;
        let affine = self.affine_operations(frames);
        within(
            "affine operations of a step",
            affine,
            1,
            MAX_OPERATIONS as u64,
        )?;
        // The powers of ρ that separate the accumulators.
        within(
            "affine operations times 2^μ",
            affine << self.bank().mu,
            1,
            (1 << 32) - 1,
        )
    }

    /// Affine operations of so many frames and the head.
    fn affine_operations(&self, frames: u64) -> u64 {
        let count = |operations: &[Operation]| {
            let affine = |o: &&Operation| matches!(o, Operation::Affine { .. });
            operations.iter().filter(affine).count() as u64
        };
        (count(&self.operations).saturating_mul(frames)).saturating_add(count(&self.head))
    }

    /// At least as many terms as the operations of a frame read: sums that are not range-checked are
    /// linear combinations, as long as what they are made of.
    fn most_terms(&self, shapes: &[RegisterShape]) -> u64 {
        // The second slot of a step reads what the first made, sums and all; after every other slot
        // a choice cuts them.
        let opened: Vec<u64> = self.carried.iter().map(|c| c.shape.width.into()).collect();
        let (first, terms) = self.terms_of_a_frame(shapes, &opened);
        let next: Vec<u64> = self
            .carried
            .iter()
            .map(|c| terms.get(c.next.index()).copied().unwrap_or(u64::MAX))
            .collect();
        first.max(self.terms_of_a_frame(shapes, &next).0)
    }

    /// The terms that the operations of a frame read, and those of an entry of every register, if
    /// parts of the carried vector have so many.
    fn terms_of_a_frame(&self, shapes: &[RegisterShape], carried: &[u64]) -> (u64, Vec<u64>) {
        let mut terms: Vec<u64> = shapes[..2].iter().map(|s| u64::from(s.width)).collect();
        if let Some(first) = carried.first() {
            terms[Register::CARRIED.index()] = *first;
        }
        let mut total = 0u64;
        for (operation, shape) in self.all_operations().zip(&shapes[2..]) {
            let of = |r: &Register| terms[r.index()];
            let len = |r: &Register| shapes[r.index()].len as u64;
            let reads = operation.reads();
            let read = reads.iter().fold(0, |sum: u64, r| {
                sum.saturating_add(len(r).saturating_mul(of(r)))
            });
            let times = match operation {
                Operation::Indicators { len, .. } => u64::from(*len),
                Operation::ArgMax { input } => 4 + len(input) / 8,
                _ => 2,
            };
            total = total.saturating_add(read.saturating_mul(times));
            if let (Operation::Affine { terms, .. }, Spread::Layers { .. }) =
                (operation, &self.spread)
            {
                // Bits of each route's map index, a selector of every phase in it.
                let bits = u64::from(self.bank().lambda) + 2;
                let selectors = bits.saturating_mul(self.steps_per_frame());
                total = total.saturating_add(selectors.saturating_mul(terms.len() as u64));
            }
            if let Operation::Layer { .. } = operation {
                // A gate for each kind of activation, a selector of every phase in it.
                let gates = (2 + self.tables.len() as u64).saturating_mul(self.steps_per_frame());
                total = total.saturating_add(gates.saturating_mul(shape.len as u64));
            }
            terms.push(match operation {
                Operation::Polynomial { monomials, .. } => {
                    monomials.iter().fold(1, |sum: u64, m| {
                        sum.saturating_add(if m.right.is_some() { 1 } else { of(&m.left) })
                    })
                }
                Operation::Dot { input, .. } => of(input).saturating_mul(len(input)),
                Operation::Accumulate { input, part } => {
                    of(input).saturating_add(carried[*part as usize])
                }
                Operation::Carried { part } => carried[*part as usize],
                Operation::Slice { input, .. } => of(input),
                Operation::Concat { inputs } => inputs.iter().map(of).max().unwrap_or(0),
                // Bits of an accumulator, or the end of a tree of choices.
                _ => u64::from(shape.width).max(64),
            });
        }
        (total, terms)
    }

    /// At least as many constraints as an operation has beyond the bits of its result.
    fn most_constraints(
        &self,
        operation: &Operation,
        shape: &RegisterShape,
        shapes: &[RegisterShape],
    ) -> u64 {
        let len = shape.len as u64;
        let read = || {
            let reads = operation.reads();
            reads
                .iter()
                .map(|r| shapes[r.index()].len as u64)
                .sum::<u64>()
        };
        let each = match operation {
            Operation::Affine { .. } => return read().saturating_add(len),
            Operation::Combine { monomials, .. } | Operation::Polynomial { monomials, .. } => {
                monomials.len() as u64 + 1
            }
            Operation::Dot { coefficients, .. } => return coefficients.len() as u64,
            Operation::ArgMax { input } => u64::from(shapes[input.index()].width) + 4,
            Operation::Table { .. } => 35,
            Operation::Layer { .. } => 48 + 16 * self.tables.len() as u64,
            _ => 4,
        };
        len.saturating_mul(each)
    }

    fn validate_results(&self, shapes: &[RegisterShape]) -> Result<(), ProgramError> {
        let Some(output) = shapes.get(self.output.register.index()) else {
            return Err(ProgramError::Structure(
                "the output register is not defined",
            ));
        };
        if self.output.register == Register::CARRIED && self.carried.is_empty() {
            return Err(ProgramError::Structure(
                "the output register is not defined",
            ));
        }
        let in_head = self.output.register.index() >= self.operations.len() + 2;
        match self.emission {
            Emission::Each if !self.head.is_empty() => {
                return Err(ProgramError::Structure(
                    "a head belongs to a program with one output for all frames",
                ));
            }
            Emission::Last
                if !in_head && !self.carried.iter().any(|c| c.next == self.output.register) =>
            {
                return Err(ProgramError::Structure(
                    "the last output is not a part of what is carried on, nor of the head",
                ));
            }
            _ => {}
        }
        within(
            "length of the output",
            self.output.len.into(),
            1,
            output.len as u64,
        )?;
        let body = &shapes[..self.operations.len() + 2];
        for (carried, expected) in self.carried.iter().zip(self.carried_shapes()) {
            if body.get(carried.next.index()) != Some(&expected) {
                return Err(ProgramError::Structure(
                    "the next carried vector has another shape",
                ));
            }
        }
        for (part, carried) in self.carried.iter().enumerate() {
            let register = Self::carried_register(part);
            if carried.parameter && carried.next != register {
                return Err(ProgramError::Structure("a parameter changes"));
            }
        }
        within("largest number of frames", self.frame_limit, 1, u64::MAX)?;
        // Every part is opened, in order.
        let opened = self
            .operations
            .iter()
            .filter(|o| matches!(o, Operation::Carried { .. }))
            .count();
        if opened + 1 != self.carried.len().max(1) {
            return Err(ProgramError::Structure(
                "a part of the carried vector is not opened",
            ));
        }
        Ok(())
    }

    fn validate_bank(&self) -> Result<(), ProgramError> {
        let terms = |operations: &[Operation]| -> Vec<Term> {
            let affine = operations.iter().filter_map(|o| match o {
                Operation::Affine { terms, .. } => Some(terms.clone()),
                _ => None,
            });
            affine.flatten().collect()
        };
        let mut used = vec![false; self.maps.len()];
        for term in terms(&self.operations).iter().chain(&terms(&self.head)) {
            for phase in 0..self.steps_per_frame() {
                if let Some(used) = self.resolve(term.map, phase).and_then(|l| used.get_mut(l)) {
                    *used = true;
                }
            }
        }
        if used.contains(&false) {
            return Err(ProgramError::Structure("a map is used by no operation"));
        }
        within(
            "affine operations",
            self.affine_operations(1),
            1,
            MAX_OPERATIONS as u64,
        )?;
        within(
            "index bits of the bank",
            self.bank().index_bits().into(),
            2,
            40,
        )
    }
}

/// The integers between two bounds, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) least: i128,
    pub(super) most: i128,
}

impl Range {
    /// All that a register can hold.
    pub(super) fn of(shape: &RegisterShape) -> Self {
        let offset = i128::from(shape.offset);
        Self {
            least: -offset,
            most: (1i128 << shape.width) - 1 - offset,
        }
    }

    /// Whether a register of this width and offset holds all of it.
    fn within(self, width: u8, offset: u64) -> bool {
        let offset = i128::from(offset);
        -offset <= self.least && self.most < (1i128 << width) - offset
    }

    /// Whether an accumulator of `bits` bits and this shift holds all of it.
    pub(super) fn fits(self, bits: u8, shift: u8) -> bool {
        let offset = i128::from(super::accumulator_offset(bits, shift));
        -offset <= self.least && self.most < (1i128 << bits) - offset
    }
}

/// The values of `Σ coefficient·x` over all values of the entries.
fn dot_range(coefficients: &[i32], entries: Range) -> Range {
    let mut range = Range { least: 0, most: 0 };
    for c in coefficients {
        let ends = [entries.least, entries.most].map(|x| x.saturating_mul((*c).into()));
        range.least = range.least.saturating_add(ends[0].min(ends[1]));
        range.most = range.most.saturating_add(ends[0].max(ends[1]));
    }
    range
}

/// The least and the largest value of `constant + Σ coefficient·left·right` over all values of the
/// registers; `None` if there are too many registers or the values too large.
///
/// The sum is linear in each register, none being multiplied with itself, so both are taken where
/// every register is at one of its ends.
pub(super) fn extremes(constant: i64, monomials: &[Monomial], ranges: &[Range]) -> Option<Range> {
    let mut registers: Vec<Register> = monomials
        .iter()
        .flat_map(|m| std::iter::once(m.left).chain(m.right))
        .collect();
    registers.sort_unstable();
    registers.dedup();
    if registers.len() > MAX_FACTORS {
        return None;
    }
    let mut range: Option<Range> = None;
    for corner in 0u32..1 << registers.len() {
        let value = |r: Register| {
            let at = registers.iter().position(|x| *x == r)?;
            let range = ranges.get(r.index())?;
            Some(if corner >> at & 1 == 1 {
                range.most
            } else {
                range.least
            })
        };
        let mut y = i128::from(constant);
        for m in monomials {
            let right = match m.right {
                Some(right) => value(right)?,
                None => 1,
            };
            let term = value(m.left)?.checked_mul(right)?;
            y = y.checked_add(term.checked_mul(m.coefficient.into())?)?;
        }
        let so_far = range.get_or_insert(Range { least: y, most: y });
        so_far.least = so_far.least.min(y);
        so_far.most = so_far.most.max(y);
    }
    range
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::{
        DecodeError,
        program::{LayerShape, MapShape, NetworkShape, Schedule, SlotUse, Table},
    };

    fn program(schedule: Schedule) -> Program {
        let layer = |inputs, outputs, activation| LayerShape {
            inputs,
            outputs,
            activation,
        };
        NetworkShape {
            reads: Vec::new(),
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
    fn extremes_of_a_blend_are_exact() {
        // 2^4·n + z·(h − n), 0 ≤ z ≤ 15: between the least and the largest of n and h.
        let m = |coefficient, left, right: Option<u32>| Monomial {
            coefficient,
            left: Register(left),
            right: right.map(Register),
        };
        let blend = [m(16, 0, None), m(1, 1, Some(2)), m(-1, 1, Some(0))];
        let byte = Range {
            least: -128,
            most: 127,
        };
        let gate = Range { least: 0, most: 15 };
        let range = extremes(0, &blend, &[byte, gate, byte]).unwrap();
        assert_eq!((range.least, range.most), (-2048, 127 * 16));
        assert!(range.fits(12, 4) && !range.fits(11, 4));
        // As if z were any byte.
        let range = extremes(0, &blend, &[byte, byte, byte]).unwrap();
        assert_eq!(range.most, 127 * 16 + 128 * 255);
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
            ("a requantise that leaves no bit", |p| {
                *operation(p, 1) = Operation::Requantize {
                    input: Register(2),
                    drop: 12,
                    width: 8,
                };
            }),
            ("a requantise of no accumulator", |p| {
                *operation(p, 2) = Operation::Requantize {
                    input: Register(3),
                    drop: 0,
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
                p.frame.len = 1 << 23;
                p.frame.width = 16;
                p.maps[0].columns = 1 << 23;
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
        fn spread(p: &mut Program) -> (&mut Vec<Vec<SlotUse>>, &mut Vec<Vec<Option<u32>>>) {
            match &mut p.spread {
                Spread::Layers { slots, routes, .. } => (slots, routes),
                Spread::Frames { .. } => unreachable!("a layered program"),
            }
        }
        let lies: [(&str, Lie); 23] = [
            ("an idle slot that is longer than every map", |p| {
                // Three layers: the second slot is idle in the second step.
                spread(p).0[1][1].rows = 100;
                if let Operation::Affine { rows, .. } = operation(p, 4) {
                    *rows = 100;
                }
                p.carried[0].shape.len = 100;
                p.carried[0].initial = vec![0; 100];
            }),
            ("layers that do not fit each other", |p| {
                p.maps[1].columns = 2;
            }),
            ("another first layer", |p| p.maps[0].columns = 3),
            ("no carried vector", |p| p.carried.clear()),
            ("another carried vector", |p| {
                p.carried[0].next = Register(2);
            }),
            ("an initial vector over its width", |p| {
                p.carried[0].initial[0] = 128;
            }),
            ("all layers in one step", |p| {
                for slot in spread(p).0 {
                    slot.truncate(1);
                }
                for route in spread(p).1 {
                    route.truncate(1);
                }
            }),
            ("a slot without a use in some step", |p| {
                spread(p).0[1].pop();
            }),
            ("a route without an entry for some step", |p| {
                spread(p).1[0].pop();
            }),
            ("a map that does not exist", |p| {
                spread(p).1[0][0] = Some(7);
            }),
            ("a map that nothing uses", |p| {
                spread(p).1[0][1] = None;
            }),
            ("a map of more rows than its slot has then", |p| {
                spread(p).0[0][1].rows = 1;
            }),
            ("a map of fewer rows than its slot has then", |p| {
                spread(p).0[0][1].rows = 3;
            }),
            ("a route too many", |p| {
                spread(p).1.push(vec![None, None]);
            }),
            ("a slot without rows", |p| {
                spread(p).0[1][1].rows = 0;
            }),
            ("a map that is no part of a layer", |p| {
                if let Spread::Layers { blocks, .. } = &mut p.spread {
                    blocks.pop();
                }
            }),
            ("a term that reads what is no end of a slot", |p| {
                if let Operation::Affine { terms, .. } = operation(p, 4) {
                    terms[0].input = Register(4);
                }
            }),
            ("a term that reads a later slot", |p| {
                if let Operation::Affine { terms, .. } = operation(p, 1) {
                    terms[0].input = Register(5);
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
            ("an output of requantised sums", |p| {
                p.output.register = Register::result_of(2);
            }),
        ];
        for (name, lie) in lies {
            let mut p = program(Schedule::LayersPerStep(2));
            lie(&mut p);
            assert!(p.validate().is_err(), "{name}");
        }
    }

    #[test]
    fn a_step_that_is_too_large_for_a_circuit_is_a_frame_all_the_same() {
        let layer = LayerShape {
            inputs: 128,
            outputs: 128,
            activation: Activation::Relu,
        };
        let deep = |layers: usize, schedule| {
            NetworkShape {
                reads: Vec::new(),
                layers: vec![layer; layers],
                tables: vec![],
                width: 8,
                bits: 20,
                shift: 9,
            }
            .program(schedule)
        };
        let too_large = |p: &Program| {
            p.validate().unwrap();
            p.check_step().unwrap_err()
        };
        let program = deep(500, Schedule::WholeNetwork).unwrap();
        assert!(matches!(
            too_large(&program),
            ProgramError::Dimension {
                what: "bits of all registers",
                most: MAX_STEP_BITS,
                ..
            }
        ));
        assert_eq!(Program::from_bytes(&program.to_bytes()), Ok(program));
        // Many frames to a step make it too large just as well.
        too_large(&deep(20, Schedule::FramesPerStep(20)).unwrap());
        for small in [
            deep(20, Schedule::WholeNetwork),
            deep(500, Schedule::LayersPerStep(5)),
        ] {
            small.unwrap().check_step().unwrap();
        }
        // A layered program has no other kind of proof.
        assert!(deep(500, Schedule::LayersPerStep(250)).is_err());
        // And no program is larger than any machine has room for.
        assert!(deep(1000, Schedule::FramesPerStep(100)).is_err());
    }

    #[test]
    fn gates_of_many_phases_and_tables_are_bounded() {
        let rows = 16;
        let phases = 1 << 12;
        let with_tables = |tables: u32| {
            let layer = LayerShape {
                inputs: rows,
                outputs: rows,
                activation: Activation::Relu,
            };
            let mut p = NetworkShape {
                reads: Vec::new(),
                layers: vec![layer; phases],
                tables: vec![],
                width: 8,
                bits: 20,
                shift: 8,
            }
            .program(Schedule::LayersPerStep(1))
            .unwrap();
            p.tables = vec![
                Table {
                    values: (-128..128).collect(),
                    width: 8,
                };
                tables as usize
            ];
            if let Spread::Layers { slots, .. } = &mut p.spread {
                for (phase, used) in (0..).zip(&mut slots[0]) {
                    used.activation = Activation::Table(phase % tables);
                }
            }
            p.validate()
        };
        assert_eq!(with_tables(1), Ok(()));
        assert!(matches!(
            with_tables(1000),
            Err(ProgramError::Dimension { .. })
        ));
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
