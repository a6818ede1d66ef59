//! A program and the parameters of a statement as a system of columns, lookups and identities
//! (protocol notes, 13.3).

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    axis::AxisMap,
    digest::RowKind,
    fill::{Fill, Operand},
    system::{
        Affine, Column, Form, Linear, Lookup, Part, Product, ProductKind, Public, Size, Source,
        System, Table, View, times,
    },
};
use crate::program::{
    Emission, Monomial, Operation, Order, Program, Register, Registers, Shape, Window,
};

/// A digit of a number that is split has at most this many bits.
const DIGIT: u32 = 8;
/// Vectors whose range is looked up in one table of values have at most this many bits.
const WHOLE: u32 = 10;
/// Most bits of a limb that is looked up, however often.
const WIDEST: u32 = 12;
/// Most bits of a digit that says both whether a number saturates and what its highest limb is.
const MERGED: u32 = 12;
/// Most rows of all tables, terms of a form and of all forms, and products, inputs or public vectors:
/// what bounds the work on a program that somebody else made.
const MOST_TABLE_ROWS: usize = 1 << 20;
const MOST_TERMS_OF_FORM: usize = 1 << 10;
const MOST_TERMS: usize = 1 << 20;
const MOST_PARTS: usize = 1 << 13;
const MOST_WEIGHTS: usize = 1 << 27;
/// Most bits of the key of a table of quotients.
const MOST_KEY_BITS: u32 = 16;

/// What the verifier knows of a run beside the program.
#[derive(Clone, Copy)]
pub(crate) struct Instance<'a> {
    pub(crate) frames: usize,
    /// Parts of the vector carried before the first frame, parameters included.
    pub(crate) initial: &'a [Vec<i64>],
    /// All frames, if they are public.
    pub(crate) inputs: Option<&'a [i64]>,
    /// All outputs, if they are public.
    pub(crate) outputs: Option<&'a [i64]>,
}

/// A function on requantised values, which a table of quotients is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Function {
    Identity,
    Relu,
    Table(u32),
}

/// How often tables would be read, and how wide their keys must be: what decides their form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Census {
    /// For each function and width, the most bits of a quotient, and how many there are.
    quotients: BTreeMap<(Function, u32), (u32, usize)>,
    /// Ranges by bits.
    ranges: BTreeMap<u32, usize>,
}

/// What a register is.
#[derive(Clone)]
enum Value {
    Form(Form),
    /// `clamp(⌊(value + half)/2^shift⌋)` to `width` bits with sign, not committed yet.
    Quotient(Quotient),
}

/// An integer `v ≥ 0` of `bits` bits: the form, which is `operand`, plus `offset`.
#[derive(Clone)]
struct Number {
    form: Form,
    operand: Operand,
    offset: i128,
}

#[derive(Clone)]
struct Quotient {
    form: Form,
    operand: Operand,
    /// `2^(s−1)`, or 0.
    half: i128,
    /// `|value + half| ≤ 2^(bits−1)`, the greatest excluded.
    bits: u32,
    shift: u32,
    width: u32,
}

/// Register, first entry, box, rounding term, shift and width of a quotient.
type WideKey = (Option<Register>, usize, Size, i128, u32, u32);

/// A requantisation to a wide register.
#[derive(Clone)]
struct Sibling {
    register: Register,
    half: i128,
    shift: u32,
    width: u32,
}

struct Lowering<'a> {
    program: &'a Program,
    instance: Instance<'a>,
    shapes: Registers<Shape>,
    system: System,
    values: Registers<Option<Value>>,
    /// Registers that are linear, once they are.
    linear: BTreeMap<Register, Linear>,
    tables: BTreeMap<Vec<[i64; 3]>, usize>,
    /// Where products, inputs and windows are in the system.
    products: HashMap<Product, usize>,
    inputs: HashMap<Linear, usize>,
    windows: HashMap<Window, usize>,
    census: Census,
    /// Of the pass before.
    known: Census,
    /// Limbs of wide quotients that were committed to, and their widths: by register, first entry,
    /// box, shift and width.
    wide: BTreeMap<WideKey, (Vec<Linear>, Vec<u32>)>,
    /// Wide requantisations of a register, by it, first entry and number of entries.
    siblings: BTreeMap<(Register, usize, usize), Vec<Sibling>>,
    /// Terms of all forms.
    terms: usize,
    /// Weights of sums over frames that are read at one of them.
    weights: usize,
    /// Whether something was read in a way that no map stands for, or the system is too large.
    unreadable: bool,
}

/// The system of a program whose steps are frames.
///
/// `None` if the state is read in a way that has no linear map, as a sum of a sum over frames, or the
/// system is too large.
pub(crate) fn lower(program: &Program, instance: Instance<'_>) -> Option<System> {
    // Once to count what tables would be read for, and once to choose them.
    let census = Lowering::new(program, instance, Census::default())
        .run()
        .census;
    let second = Lowering::new(program, instance, census).run();
    let mut system = second.system;
    if second.unreadable {
        return None;
    }
    system.drop_unused_products();
    system.is_moderate().then_some(system)
}

fn power(bits: u32) -> i128 {
    1i128 << bits
}

/// Widths of the digits of a number, the lowest first; the highest may be narrower.
fn digits(bits: u32) -> Vec<u32> {
    let mut widths = vec![DIGIT; (bits.saturating_sub(1) / DIGIT) as usize];
    widths.push(bits - DIGIT * widths.len() as u32);
    widths
}

/// Widths of the limbs of a number that is `often` range-checked: as few as leave each table with no
/// more rows than there are entries.
fn limbs(bits: u32, often: usize) -> Vec<u32> {
    let widest = (usize::BITS - 1 - often.max(1).leading_zeros()).clamp(DIGIT, WIDEST);
    let count = bits.div_ceil(widest);
    let width = bits.div_ceil(count);
    let mut widths = vec![width; count as usize - 1];
    widths.push(bits - width * (count - 1));
    widths
}

impl<'a> Lowering<'a> {
    fn new(program: &'a Program, instance: Instance<'a>, known: Census) -> Self {
        let shapes = program.register_shapes();
        let system = System {
            map_rows: program.maps.iter().map(|m| m.rows as usize).collect(),
            // Public vector 0 is the number 1.
            publics: vec![Public {
                size: Size::flat(1, 1),
                values: Arc::new(vec![1]),
            }],
            ..System::default()
        };
        Self {
            program,
            instance,
            values: shapes.map(|_| None),
            shapes,
            system,
            linear: BTreeMap::new(),
            tables: BTreeMap::new(),
            products: HashMap::new(),
            inputs: HashMap::new(),
            windows: HashMap::new(),
            census: Census::default(),
            known,
            wide: BTreeMap::new(),
            siblings: BTreeMap::new(),
            terms: 0,
            weights: 0,
            unreadable: false,
        }
    }

    /// What was read; nothing may be left out of a form, so a program of which this fails has no
    /// trace proof.
    fn readable(&mut self, linear: Option<Linear>, size: Size) -> Linear {
        self.unreadable |= linear.is_none();
        linear.unwrap_or_else(|| Linear::zero(size))
    }

    fn run(mut self) -> Self {
        self.find_siblings();
        self.push_frame();
        for (part, carried) in self.program.carried.iter().enumerate() {
            let size = self.each(carried.shape.len as usize);
            let value = Form::of(Linear::of(Source::Carried(part), size));
            self.values[Register::Carried(part as u32)] = Some(Value::Form(value));
        }
        let body = self.program.operations.len();
        for (at, operation) in self.program.operations.iter().enumerate() {
            self.push_operation(Register::result_of(at), operation, self.instance.frames);
        }
        for (at, operation) in self.program.head.iter().enumerate() {
            self.push_operation(Register::result_of(body + at), operation, 1);
        }
        self.push_output();
        self.resolve_carried();
        if self.system.tables.is_empty() {
            // Leaves that look nothing up are those of a row of the first table.
            let _ = self.range_table(0);
        }
        self
    }

    /// An operation, unless the system has become too large for a proof.
    fn push_operation(&mut self, register: Register, operation: &Operation, time: usize) {
        let rows: usize = self.system.tables.iter().map(|t| t.rows.len()).sum();
        let System {
            products,
            inputs,
            publics,
            windows,
            ..
        } = &self.system;
        let parts = [products.len(), inputs.len(), publics.len(), windows.len()];
        let most = parts.into_iter().fold(0, usize::max);
        if self.unreadable || rows > MOST_TABLE_ROWS || most > MOST_PARTS || self.terms > MOST_TERMS
        {
            self.unreadable = true;
            return;
        }
        let value = self.operation(register, operation, time);
        let terms = match &value {
            Value::Form(form) | Value::Quotient(Quotient { form, .. }) => form.terms(),
        };
        self.terms += terms;
        self.unreadable |= terms > MOST_TERMS_OF_FORM;
        self.values[register] = Some(value);
    }

    /// Requantisations to registers whose limbs are committed to.
    fn find_siblings(&mut self) {
        for (at, operation) in self.program.operations.iter().enumerate() {
            let Operation::Requantize(r) = operation else {
                continue;
            };
            if u32::from(r.width) > WHOLE {
                let shape = self.shapes[r.input];
                let sibling = Sibling {
                    register: Register::result_of(at),
                    half: r.rounding().into(),
                    shift: u32::from(r.shift) + u32::from(r.drop),
                    width: u32::from(r.width),
                };
                let key = (r.input, 0, shape.len);
                self.siblings.entry(key).or_default().push(sibling);
            }
        }
    }

    fn each(&self, len: usize) -> Size {
        Size::flat(self.instance.frames, len)
    }

    /// The number 1 in some entries.
    fn ones(&self, size: Size, entries: AxisMap, factor: i128) -> Linear {
        let mut linear = Linear::zero(size);
        if factor != 0 {
            linear.views.push(View {
                source: Source::Public(0),
                time: AxisMap::cell(0, size.time),
                entry: entries,
                factor,
            });
        }
        linear
    }

    fn constant(&self, size: Size, value: i128) -> Linear {
        self.ones(size, AxisMap::cell(0, size.len), value)
    }

    fn public(&mut self, size: Size, values: Vec<i64>) -> Source {
        let public = Public {
            size,
            values: Arc::new(values),
        };
        let there = self.system.publics.iter().position(|p| *p == public);
        Source::Public(there.unwrap_or_else(|| {
            self.system.publics.push(public);
            self.system.publics.len() - 1
        }))
    }

    fn column(&mut self, size: Size, fill: Fill) -> Linear {
        self.digested(size, fill, None)
    }

    fn digested(&mut self, size: Size, fill: Fill, digest: Option<RowKind>) -> Linear {
        self.system.columns.push(Column { size, fill, digest });
        Linear::of(Source::Column(self.system.columns.len() - 1), size)
    }

    fn table(&mut self, rows: impl Iterator<Item = [i64; 3]>) -> usize {
        let rows: Vec<[i64; 3]> = rows.collect();
        if let Some(there) = self.tables.get(&rows) {
            return *there;
        }
        self.system.tables.push(Table { rows: rows.clone() });
        self.tables.insert(rows, self.system.tables.len() - 1);
        self.system.tables.len() - 1
    }

    fn look_up(&mut self, table: usize, parts: Vec<Part>, row: Fill) {
        self.system.lookups.push(Lookup { table, parts, row });
    }

    /// The values `0 … 2^bits − 1`.
    fn range_table(&mut self, bits: u32) -> usize {
        self.table((0..1i64 << bits).map(|v| [v, 0, 0]))
    }

    /// `2^(−shift)·(number − Σ less)`.
    fn part(&self, number: &Number, less: &[(Linear, u32)], shift: u32) -> Part {
        let mut form = number.form.clone();
        let offset = self.constant(form.size(), number.offset);
        form.linear.add(&offset, 1);
        for (linear, place) in less {
            form.linear.add(linear, -power(*place));
        }
        Part { form, shift }
    }

    fn whole(linear: &Linear) -> Part {
        Part {
            form: Form::of(linear.clone()),
            shift: 0,
        }
    }

    /// Commits to digits of a number from bit `place` on, without saying anything of their range.
    fn digits(
        &mut self,
        number: &Number,
        mut place: u32,
        widths: &[u32],
    ) -> Vec<(Linear, u32, Fill)> {
        let size = number.form.size();
        let mut out = Vec::with_capacity(widths.len());
        for width in widths {
            let fill = Fill::digit(number.operand.clone(), number.offset, place, *width);
            let column = self.column(size, fill.clone());
            out.push((column, place, fill));
            place += width;
        }
        out
    }

    /// Commits to the lowest `bits` bits of a number, in range.
    fn low_bits(&mut self, number: &Number, bits: u32) -> Vec<(Linear, u32)> {
        if bits == 0 {
            return Vec::new();
        }
        let cells = number.form.size().cells();
        *self.census.ranges.entry(bits).or_default() += cells;
        let often = self.known.ranges.get(&bits).copied().unwrap_or(0);
        let widths = limbs(bits, often);
        let limbs = self.digits(number, 0, &widths);
        let mut out = Vec::with_capacity(limbs.len());
        for ((column, place, fill), width) in limbs.into_iter().zip(widths) {
            let table = self.range_table(width);
            self.look_up(table, vec![Self::whole(&column)], fill);
            out.push((column, place));
        }
        out
    }

    /// Shows that a number is in `[0, 2^bits)`.
    fn range(&mut self, number: &Number, bits: u32) {
        let (low, high) = if bits <= WHOLE {
            (0, bits)
        } else {
            let widths = digits(bits);
            let high = widths[widths.len() - 1];
            (bits - high, high)
        };
        let less = self.low_bits(number, low);
        let table = self.range_table(high);
        let part = self.part(number, &less, low);
        let row = Fill::digit(number.operand.clone(), number.offset, low, 64);
        self.look_up(table, vec![part], row);
    }

    /// A register as a linear form, committed to if it is none.
    fn linear_of(&mut self, register: Register) -> Linear {
        if let Some(linear) = self.linear.get(&register) {
            return linear.clone();
        }
        let linear = match self.value(register) {
            Value::Form(form) if form.is_linear() => form.linear,
            Value::Form(form) => {
                let shape = self.shapes[register];
                let operand = Operand::Entries { register, start: 0 };
                self.commit_to(form, operand, &shape, None)
            }
            Value::Quotient(quotient) => self.requantized(&quotient, Function::Identity),
        };
        self.linear.insert(register, linear.clone());
        linear
    }

    /// A column that equals a form.
    ///
    /// It is what the form is as a field element, whatever the weights are, and so are all digits of
    /// forms that it is a factor of. A digest is of integers in the range of the register besides.
    fn commit_to(
        &mut self,
        form: Form,
        operand: Operand,
        shape: &Shape,
        digest: Option<RowKind>,
    ) -> Linear {
        let size = form.size();
        let fill = Fill::digit(operand.clone(), 0, 0, 64);
        // A digest is of features in one row.
        let own = match digest {
            Some(_) => Size::flat(size.time, size.len),
            None => size,
        };
        let column = self.digested(own, fill, digest);
        if digest.is_some() {
            let (width, offset) = shape.held();
            let number = Number {
                form: Form::of(column.clone()),
                operand,
                offset: i128::from(offset),
            };
            self.range(&number, width);
        }
        let mut identity = Form::of(column.clone().in_box(size));
        identity.add(&form, -1);
        self.system.identities.push(identity);
        column
    }

    fn value(&self, register: Register) -> Value {
        let empty = || Value::Form(Form::of(Linear::zero(self.each(0))));
        self.values[register].clone().unwrap_or_else(empty)
    }

    /// A register as an operation of a box of `time` frames reads it: the head reads the last frame.
    fn read(&mut self, register: Register, time: usize) -> Value {
        let value = self.value(register);
        let size = match &value {
            Value::Form(form) => form.size(),
            Value::Quotient(quotient) => quotient.form.size(),
        };
        if size.time == time {
            return value;
        }
        let last = AxisMap::cell(size.time - 1, time);
        Value::Form(Form::of(self.linear_at(register, &last, time)))
    }

    /// A register as a linear form, read through a map of the frames.
    fn linear_at(&mut self, register: Register, map: &AxisMap, time: usize) -> Linear {
        let linear = self.linear_of(register);
        let size = Size::flat(time, linear.size.len);
        let entries = AxisMap::identity(size.len);
        // A sum over frames that is read at one of them has a weight for each.
        let sums = linear.views.iter().filter(|v| v.time.is_sum()).count();
        self.weights = self
            .weights
            .saturating_add(sums.saturating_mul(linear.size.time));
        if self.weights > MOST_WEIGHTS {
            return self.readable(None, size);
        }
        if let Some(read) = linear.read(map, &entries, size) {
            return read;
        }
        let shape = self.shapes[register];
        let operand = Operand::Entries { register, start: 0 };
        let column = self.commit_to(Form::of(linear), operand, &shape, None);
        self.linear.insert(register, column.clone());
        let read = column.read(map, &entries, size);
        self.readable(read, size)
    }

    fn read_linear(&mut self, register: Register, time: usize) -> Linear {
        match self.read(register, time) {
            Value::Form(form) if form.is_linear() => form.linear,
            _ => self.linear_of(register),
        }
    }

    fn read_form(&mut self, register: Register, time: usize) -> Form {
        match self.read(register, time) {
            Value::Form(form) => form,
            Value::Quotient(_) => Form::of(self.linear_of(register)),
        }
    }

    /// A form whose entries are those of another, by a map; products are of what they are read from.
    fn map_entries(&mut self, form: &Form, map: &AxisMap, len: usize) -> Option<Form> {
        let size = Size::flat(form.size().time, len);
        if form.has_windows() {
            return None;
        }
        let time = AxisMap::identity(size.time);
        let mut out = Form::of(form.linear.read(&time, map, size)?);
        for affine in &form.affines {
            let (rows, factor) = affine.rows.after(map)?;
            if rows.from == rows.to {
                continue;
            }
            out.affines.push(Affine {
                rows,
                factor: times(affine.factor, factor.into()),
                ..affine.clone()
            });
        }
        let mut products = Vec::with_capacity(form.products.len());
        for (product, factor) in &form.products {
            let Product { kind, left, right } = self.system.products[*product].clone();
            if kind == ProductKind::Sum {
                return None;
            }
            let left = left.read(&time, map, size)?;
            let right = right.read(&time, map, size)?;
            if !left.views.is_empty() && !right.views.is_empty() {
                let product = self.product(Product { kind, left, right });
                products.push((product, *factor));
            }
        }
        out.add_products(products.into_iter());
        Some(out)
    }

    fn product(&mut self, product: Product) -> usize {
        let next = self.system.products.len();
        let at = *self.products.entry(product.clone()).or_insert(next);
        if at == next {
            self.system.products.push(product);
        }
        at
    }

    /// A form of a register read through a map of its entries, committed to first if need be.
    fn mapped(&mut self, register: Register, map: &AxisMap, len: usize, time: usize) -> Form {
        let form = self.read_form(register, time);
        if let Some(mapped) = self.map_entries(&form, map, len) {
            return mapped;
        }
        let shape = self.shapes[register];
        let operand = Operand::Entries { register, start: 0 };
        let column = self.commit_to(form, operand, &shape, None);
        let size = Size::flat(time, len);
        let read = column.read(&AxisMap::identity(time), map, size);
        Form::of(self.readable(read, size))
    }

    fn operation(&mut self, register: Register, operation: &Operation, time: usize) -> Value {
        let shape = self.shapes[register];
        let size = Size::flat(time, shape.len);
        match operation {
            Operation::Affine(affine) => {
                let rows = self.program.maps[affine.terms[0].map as usize].rows as usize;
                let size = match affine.terms[0].window.as_ref().map(|w| w.order) {
                    None => size,
                    Some(Order::Rows) => Size::rows(time, rows, size.len / rows),
                    Some(Order::Positions) => Size::rows(time, size.len / rows, rows),
                };
                let mut form = Form::of(Linear::zero(size));
                for (k, term) in affine.terms.iter().enumerate() {
                    let map = self.program.maps[term.map as usize];
                    let input = self.read_linear(term.input, time);
                    let columns = match term.window {
                        None => map.columns as usize,
                        Some(_) => input.size.len,
                    };
                    let input = self.widened(&input, columns);
                    let window = term.window.as_ref().map(|w| self.window(w));
                    form.affines.push(Affine {
                        window,
                        map: term.map as usize,
                        rows: AxisMap::slice(0, map.rows as usize),
                        input,
                        bias: k == 0,
                        factor: 1,
                    });
                }
                Value::Form(form)
            }
            Operation::Combine(sum) => Value::Form(self.sum(sum.constant, &sum.monomials, size)),
            Operation::Requantize(r) => {
                let half = i128::from(r.rounding());
                Value::Quotient(Quotient {
                    form: self.read_form(r.input, time),
                    operand: Operand::Entries {
                        register: r.input,
                        start: 0,
                    },
                    half,
                    bits: self.bits_with(r.input, half),
                    shift: u32::from(r.shift) + u32::from(r.drop),
                    width: u32::from(r.width),
                })
            }
            Operation::Relu(relu) => Value::Form(Form::of(self.relu(relu.input, time))),
            Operation::Lookup(lookup) => {
                Value::Form(Form::of(self.looked_up(lookup.input, lookup.table, time)))
            }
            Operation::Dot(dot) => {
                let weights = dot.coefficients.iter().map(|c| i64::from(*c)).collect();
                let map = AxisMap::weights(weights);
                let input = self.read_linear_committed(dot.input, &map, time);
                Value::Form(Form::of(input))
            }
            Operation::Sign(sign) => Value::Form(Form::of(self.sign(sign.input, time))),
            Operation::Zero(zero) => {
                let (bits, offset) = self.shapes[zero.input].held();
                let number = Number {
                    form: self.read_form(zero.input, time),
                    operand: Operand::Entries {
                        register: zero.input,
                        start: 0,
                    },
                    offset: i128::from(offset),
                };
                Value::Form(Form::of(self.equals(&number, number.offset, bits)))
            }
            Operation::Indicators(i) => {
                let (width, offset) = self.shapes[i.input].held();
                let len = i.len as usize;
                let mut form = self.mapped(i.input, &AxisMap::cell(0, len), len, time);
                let indexes = self.public(Size::flat(1, len), (0..len as i64).collect());
                form.linear.views.push(View {
                    source: indexes,
                    time: AxisMap::cell(0, time),
                    entry: AxisMap::identity(len),
                    factor: -1,
                });
                let offset = i128::from(offset) + len as i128 - 1;
                let number = Number {
                    form,
                    operand: Operand::LessIndex { register: i.input },
                    offset,
                };
                let greatest = power(width) + len as i128;
                let bits = 128 - greatest.leading_zeros();
                Value::Form(Form::of(self.equals(&number, offset, bits)))
            }
            Operation::ArgMax(a) => Value::Form(Form::of(self.argmax(register, a.input, time))),
            Operation::Accumulate(a) => {
                let mut linear = Linear::zero(size);
                let initial = self.initial(a.part as usize);
                linear.views.push(View {
                    source: initial,
                    time: AxisMap::cell(0, time),
                    entry: AxisMap::identity(size.len),
                    factor: 1,
                });
                let sums = self.summed_over_frames(a.input, time);
                linear.add(&sums, 1);
                Value::Form(Form::of(linear))
            }
            Operation::Slice(slice) => {
                let (start, len) = (slice.start as usize, slice.len as usize);
                self.slice(slice.input, start, &AxisMap::slice(start, len), len, time)
            }
            Operation::Concat(concat) => {
                let mut form = Form::of(Linear::zero(size));
                let mut at = 0;
                for input in &concat.inputs {
                    let len = self.shapes[*input].len;
                    let piece = self.mapped(*input, &AxisMap::place(at, len), size.len, time);
                    form.add(&piece, 1);
                    if form.terms() > MOST_TERMS_OF_FORM {
                        self.unreadable = true;
                        break;
                    }
                    at += len;
                }
                Value::Form(form)
            }
        }
    }

    /// The least `b` with `|x + half| ≤ 2^(b−1)`, the greatest excluded, for all values of a register.
    fn bits_with(&self, register: Register, half: i128) -> u32 {
        let range = self.shapes[register].range;
        let ends = [range.least, range.most].map(|x| i128::from(x) + half);
        let fits = |bits: &u32| {
            ends.iter()
                .all(|x| (-power(bits - 1)..power(bits - 1)).contains(x))
        };
        (1..100).find(fits).unwrap_or(100)
    }

    fn slice(
        &mut self,
        input: Register,
        start: usize,
        map: &AxisMap,
        len: usize,
        time: usize,
    ) -> Value {
        if let Value::Quotient(quotient) = self.read(input, time)
            && let (Some(form), Operand::Entries { register, start: s }) = (
                self.map_entries(&quotient.form, map, len),
                &quotient.operand,
            )
        {
            // Several slices of one quotient are committed to once each, what is whole as a whole.
            if !self.linear.contains_key(&input) {
                return Value::Quotient(Quotient {
                    form,
                    operand: Operand::Entries {
                        register: *register,
                        start: s + start,
                    },
                    ..quotient
                });
            }
        }
        Value::Form(self.mapped(input, map, len, time))
    }

    /// `Σ` of products and linear terms.
    fn sum(&mut self, constant: i64, monomials: &[Monomial], size: Size) -> Form {
        // The box of what has windows is that of the sum; what has others is committed to.
        let mut addends = Vec::with_capacity(monomials.len());
        for m in monomials {
            let alone = m.right.is_none().then(|| self.read_form(m.left, size.time));
            addends.push((m, alone));
        }
        let boxed = addends.iter().flat_map(|(_, form)| form);
        let size = boxed
            .into_iter()
            .find(|f| f.has_windows())
            .map_or(size, Form::size);
        let mut form = Form::of(self.constant(size, i128::from(constant)));
        for (m, alone) in addends {
            let factor = i128::from(m.coefficient);
            match (alone, m.right) {
                (Some(left), _) => {
                    let left = self.in_box(left, m.left, size);
                    form.add(&left, factor);
                }
                (None, Some(right)) => {
                    let left = self.read_linear(m.left, size.time).in_box(size);
                    let right = self.read_linear(right, size.time).in_box(size);
                    let kind = ProductKind::Entries;
                    let product = self.product(Product { kind, left, right });
                    form.add_products(std::iter::once((product, factor)));
                }
                (None, None) => {}
            }
        }
        form
    }

    /// A form of a register with the features of another box; committed to if it is tied to its own.
    fn in_box(&mut self, mut form: Form, register: Register, size: Size) -> Form {
        if form.size() == size {
            return form;
        }
        let is_sum = |p: &(usize, i128)| self.system.products[p.0].kind == ProductKind::Sum;
        if form.has_windows() || form.products.iter().any(is_sum) {
            let shape = self.shapes[register];
            let operand = Operand::Entries { register, start: 0 };
            form = Form::of(self.commit_to(form, operand, &shape, None));
        }
        for (product, _) in &mut form.products {
            let Product { kind, left, right } = self.system.products[*product].clone();
            *product = self.product(Product {
                kind,
                left: left.in_box(size),
                right: right.in_box(size),
            });
        }
        form.linear = form.linear.in_box(size);
        form
    }

    /// The place of a window in the system.
    fn window(&mut self, window: &Window) -> usize {
        let next = self.system.windows.len();
        let at = *self.windows.entry(window.clone()).or_insert(next);
        if at == next {
            Arc::make_mut(&mut self.system.windows).push(window.clone());
        }
        at
    }

    /// The input of a product with a map: zero beyond its length, cut at the map's.
    fn widened(&mut self, input: &Linear, columns: usize) -> usize {
        let size = Size::flat(input.size.time, columns);
        let entries = AxisMap::slice(0, input.size.len.min(columns));
        let time = AxisMap::identity(size.time);
        // Slices of any map are maps.
        let read = input.read(&time, &entries, size);
        let input = self.readable(read, size);
        let next = self.system.inputs.len();
        let at = *self.inputs.entry(input.clone()).or_insert(next);
        if at == next {
            self.system.inputs.push(input);
        }
        at
    }

    /// A weighted sum of the entries of a register.
    fn read_linear_committed(&mut self, input: Register, map: &AxisMap, time: usize) -> Linear {
        let linear = self.read_linear(input, time);
        let size = Size::flat(time, 1);
        let all = AxisMap::identity(time);
        if let Some(read) = linear.read(&all, map, size) {
            return read;
        }
        let shape = self.shapes[input];
        let operand = Operand::Entries {
            register: input,
            start: 0,
        };
        let column = self.commit_to(Form::of(linear), operand, &shape, None);
        let read = column.read(&all, map, size);
        self.readable(read, size)
    }

    /// Sums of a register over the frames so far, the present one included.
    fn summed_over_frames(&mut self, input: Register, time: usize) -> Linear {
        let linear = self.read_linear(input, time);
        let plain = |v: &View| {
            v.time.is_identity(time) && matches!(v.source, Source::Column(_) | Source::Public(_))
        };
        let prefix = AxisMap::prefix(time);
        let entries = AxisMap::identity(linear.size.len);
        if linear.views.iter().all(plain)
            && let Some(read) = linear.read(&prefix, &entries, linear.size)
        {
            return read;
        }
        let shape = self.shapes[input];
        let operand = Operand::Entries {
            register: input,
            start: 0,
        };
        let size = linear.size;
        let column = self.commit_to(Form::of(linear), operand, &shape, None);
        let read = column.read(&prefix, &entries, size);
        self.readable(read, size)
    }

    /// `max(x, 0)`, fused with the requantisation that it follows.
    fn relu(&mut self, input: Register, time: usize) -> Linear {
        if let Value::Quotient(quotient) = self.read(input, time) {
            return self.requantized(&quotient, Function::Relu);
        }
        let shape = self.shapes[input];
        if shape.range.least >= 0 {
            return self.read_linear(input, time);
        }
        let width = shape.range.signed_bits();
        let quotient = Quotient {
            form: self.read_form(input, time),
            operand: Operand::Entries {
                register: input,
                start: 0,
            },
            half: 0,
            bits: width,
            shift: 0,
            width,
        };
        self.requantized(&quotient, Function::Relu)
    }

    /// The values of a table, fused with the requantisation that its input follows if that is narrow.
    fn looked_up(&mut self, input: Register, of: u32, time: usize) -> Linear {
        if let Value::Quotient(quotient) = self.read(input, time)
            && quotient.width <= WHOLE
            && !self.linear.contains_key(&input)
        {
            return self.requantized(&quotient, Function::Table(of));
        }
        let form = self.read_form(input, time);
        let values = &self.program.tables[of as usize];
        let domain = values.domain();
        let rows: Vec<[i64; 3]> = (domain.least..=domain.most)
            .map(|x| [x, values.at(x), 0])
            .collect();
        let table = self.table(rows.into_iter());
        let operand = Operand::Entries {
            register: input,
            start: 0,
        };
        let row = Fill::digit(operand, -i128::from(domain.least), 0, 64);
        let fill = Fill::Table {
            table,
            row: Box::new(row.clone()),
            part: 1,
        };
        let result = self.column(form.size(), fill);
        let key = Part { form, shift: 0 };
        self.look_up(table, vec![key, Self::whole(&result)], row);
        result
    }

    fn apply(&self, function: Function, q: i64) -> i64 {
        match function {
            Function::Identity => q,
            Function::Relu => q.max(0),
            Function::Table(t) => self.program.tables[t as usize].at(q),
        }
    }

    /// Commits to a function of a quotient.
    fn requantized(&mut self, quotient: &Quotient, function: Function) -> Linear {
        let size = quotient.form.size();
        let (shift, width) = (quotient.shift, quotient.width);
        let key = match quotient.operand {
            Operand::Entries { register, start } => {
                (Some(register), start, size, quotient.half, shift, width)
            }
            _ => (None, 0, size, quotient.half, shift, width),
        };
        if function == Function::Identity
            && let Some(upper) = self.upper_limbs(quotient)
        {
            return upper;
        }
        let own = quotient.bits.saturating_sub(shift).max(1);
        let signature = (function, width);
        let entry = self.census.quotients.entry(signature).or_default();
        entry.0 = entry.0.max(own);
        entry.1 += size.cells();
        let known = self.known.quotients.get(&signature).copied();
        let (bits, often) = known.unwrap_or((own, 0));
        // What another quotient replaced in the first pass was not counted there.
        let bits = bits.max(own);
        // ⌊(value + half)/2^shift⌋ + 2^(bits−1) is in [0, 2^bits).
        let mut number = Number {
            form: quotient.form.clone(),
            operand: quotient.operand.clone(),
            offset: quotient.half + power(bits - 1 + shift),
        };
        let (least, greatest) = (-(1i64 << (width - 1)), (1i64 << (width - 1)) - 1);
        // A row costs about what two cells and a lookup less are worth, twice.
        let split_rows = (3usize << width.min(30)).min(1 << 12);
        let worth = often.max(256) + often / 4 + split_rows;
        let whole = bits <= MOST_KEY_BITS && 1usize << bits <= worth;
        if whole {
            let remainder = self.low_bits(&number, shift);
            let centre = 1i64 << (bits - 1);
            let rows = (0..1i64 << bits).map(|key| {
                let q = (key - centre).clamp(least, greatest);
                [key, self.apply(function, q), 0]
            });
            let rows: Vec<_> = rows.collect();
            let table = self.table(rows.into_iter());
            let row = Fill::digit(number.operand.clone(), number.offset, shift, 64);
            let fill = Fill::Table {
                table,
                row: Box::new(row.clone()),
                part: 1,
            };
            let result = self.column(size, fill);
            let key = self.part(&number, &remainder, shift);
            self.look_up(table, vec![key, Self::whole(&result)], row);
            return result;
        }

        // The quotient is cut into blocks of 2^block values, one of which is not saturated.
        let relu = function == Function::Relu;
        let block = if relu { width - 1 } else { width };
        let bits = bits.max(width + 1);
        number.offset = quotient.half + power(bits - 1 + shift);
        if !relu {
            number.offset += power(width - 1 + shift);
        }
        let live = power(bits - 1 - block);
        let mut less = self.low_bits(&number, shift);
        if block <= WHOLE {
            return self.saturated(
                &number,
                &mut less,
                shift,
                block,
                bits,
                live,
                (function, width),
            );
        }
        // All limbs but the highest are exact or all zeros or ones, by the class.
        let limb_widths = digits(block);
        let (top, low) = (
            limb_widths[limb_widths.len() - 1],
            &limb_widths[..limb_widths.len() - 1],
        );
        let limbs = self.digits(&number, shift, low);
        less.extend(
            limbs
                .iter()
                .map(|(column, place, _)| (column.clone(), *place)),
        );
        let place = shift + low.iter().sum::<u32>();
        let above = bits - block + 1;
        let (class, highest) = if top + above <= MERGED {
            self.merged(&number, &less, place, (top, above), live)
        } else {
            let limb = self.digits(&number, place, &[top]);
            less.extend(
                limb.iter()
                    .map(|(column, place, _)| (column.clone(), *place)),
            );
            let class = self.class(&number, &mut less, place + top, above, live);
            let highest = self.limb(size, &class, &limb[0], top);
            (class, highest)
        };
        let mut result = Linear::zero(size);
        let mut parts = Vec::with_capacity(limb_widths.len());
        for (limb, width) in limbs.iter().zip(low) {
            parts.push(self.limb(size, &class, limb, *width));
        }
        parts.push(highest);
        let mut at = 0;
        for (part, width) in parts.iter().zip(&limb_widths) {
            result.add(part, power(at));
            at += width;
        }
        if !relu {
            result.add(&self.constant(size, i128::from(least)), 1);
        }
        if function == Function::Identity {
            self.wide.insert(key, (parts, limb_widths));
        }
        result
    }

    /// A requantisation to fewer bits of what is requantised to more of them too: the upper limbs.
    fn upper_limbs(&mut self, quotient: &Quotient) -> Option<Linear> {
        let Operand::Entries { register, start } = quotient.operand else {
            return None;
        };
        let wider = self
            .siblings
            .get(&(register, start, quotient.form.size().len))?;
        let wider = wider
            .iter()
            .find(|w| {
                let fewer = w.width.checked_sub(quotient.width);
                let cut = quotient.shift.checked_sub(w.shift);
                w.half == quotient.half && fewer.is_some_and(|n| n > 0) && fewer == cut
            })?
            .clone();
        let key = (
            Some(register),
            start,
            quotient.form.size(),
            quotient.half,
            wider.shift,
            wider.width,
        );
        if !self.wide.contains_key(&key) {
            // It may come later in the program.
            self.values[wider.register].as_ref()?;
            let _ = self.linear_of(wider.register);
        }
        let (parts, widths) = self.wide.get(&key)?;
        let size = quotient.form.size();
        let mut result = Linear::zero(size);
        let (mut cut, mut at) = (quotient.shift - wider.shift, 0);
        for (part, width) in parts.iter().zip(widths) {
            if cut > 0 {
                cut = cut.checked_sub(*width)?;
                continue;
            }
            result.add(part, power(at));
            at += width;
        }
        let least = -power(quotient.width - 1);
        result.add(&self.constant(size, least), 1);
        Some(result)
    }

    /// Commits to a limb of a saturated number: as it is in class 1, zeros or ones in the others.
    fn limb(
        &mut self,
        size: Size,
        class: &(Linear, Fill),
        limb: &(Linear, u32, Fill),
        width: u32,
    ) -> Linear {
        let values = 1i64 << width;
        let table = self.table((0..3 * values).map(|row| {
            let (class, limb) = (row / values, row % values);
            [class, limb, [0, limb, values - 1][class as usize]]
        }));
        let row = Fill::Sum(vec![(class.1.clone(), values), (limb.2.clone(), 1)], 0);
        let fill = Fill::Table {
            table,
            row: Box::new(row.clone()),
            part: 2,
        };
        let out = self.column(size, fill);
        let parts = vec![
            Self::whole(&class.0),
            Self::whole(&limb.0),
            Self::whole(&out),
        ];
        self.look_up(table, parts, row);
        out
    }

    /// The class of a number and the highest limb of what it saturates to, from one digit: `top` bits
    /// of the limb and `above` more.
    fn merged(
        &mut self,
        number: &Number,
        less: &[(Linear, u32)],
        place: u32,
        (top, above): (u32, u32),
        live: i128,
    ) -> ((Linear, Fill), Linear) {
        let size = number.form.size();
        let values = 1i64 << top;
        let table = self.table((0..1i64 << (top + above)).map(|digit| {
            let (high, limb) = (i128::from(digit / values), digit % values);
            match high.cmp(&live) {
                std::cmp::Ordering::Less => [digit, 0, 0],
                std::cmp::Ordering::Equal => [digit, 1, limb],
                std::cmp::Ordering::Greater => [digit, 2, values - 1],
            }
        }));
        let row = Fill::digit(number.operand.clone(), number.offset, place, 64);
        let part_of = |part| Fill::Table {
            table,
            row: Box::new(row.clone()),
            part,
        };
        let (class_fill, limb_fill) = (part_of(1), part_of(2));
        let class = self.column(size, class_fill.clone());
        let limb = self.column(size, limb_fill);
        let digit = self.part(number, less, place);
        let parts = vec![digit, Self::whole(&class), Self::whole(&limb)];
        self.look_up(table, parts, row);
        ((class, class_fill), limb)
    }

    /// Commits to a function of a quotient whose block of values that do not saturate is narrow.
    #[expect(clippy::too_many_arguments, reason = "one call, in one place")]
    fn saturated(
        &mut self,
        number: &Number,
        less: &mut Vec<(Linear, u32)>,
        shift: u32,
        block: u32,
        bits: u32,
        live: i128,
        (function, width): (Function, u32),
    ) -> Linear {
        let size = number.form.size();
        let (least, greatest) = (-(1i64 << (width - 1)), (1i64 << (width - 1)) - 1);
        let limb = self.digits(number, shift, &[block]);
        less.extend(
            limb.iter()
                .map(|(column, place, _)| (column.clone(), *place)),
        );
        let class = self.class(number, less, shift + block, bits - block + 1, live);
        let values = 1i64 << block;
        let rows = (0..3 * values).map(|row| {
            let (class, limb) = (row / values, row % values);
            let q = match class {
                0 => least,
                1 if function == Function::Relu => limb,
                1 => limb + least,
                _ => greatest,
            };
            [class, limb, self.apply(function, q)]
        });
        let rows: Vec<_> = rows.collect();
        let table = self.table(rows.into_iter());
        let row = Fill::Sum(vec![(class.1, values), (limb[0].2.clone(), 1)], 0);
        let fill = Fill::Table {
            table,
            row: Box::new(row.clone()),
            part: 2,
        };
        let out = self.column(size, fill);
        let parts = vec![
            Self::whole(&class.0),
            Self::whole(&limb[0].0),
            Self::whole(&out),
        ];
        self.look_up(table, parts, row);
        out
    }

    /// Whether the bits of a number from `place` on, `bits` of them, are below `live` (0), equal to it
    /// (1) or above (2), from the highest digit down. `less` is what stands below `place`.
    fn class(
        &mut self,
        number: &Number,
        less: &mut Vec<(Linear, u32)>,
        place: u32,
        bits: u32,
        live: i128,
    ) -> (Linear, Fill) {
        let size = number.form.size();
        let widths = if bits <= WHOLE {
            vec![bits]
        } else {
            digits(bits)
        };
        let (high, low) = (widths[widths.len() - 1], &widths[..widths.len() - 1]);
        let lower = self.digits(number, place, low);
        less.extend(lower.iter().map(|(column, at, _)| (column.clone(), *at)));
        let top = place + low.iter().sum::<u32>();
        let digit_of = |at: u32, width: u32| ((live >> (at - place)) & (power(width) - 1)) as i64;
        let class_of =
            |digit: i64, live: i64| 1 + i64::from(digit > live) - i64::from(digit < live);

        let live_digit = digit_of(top, high);
        let table = self.table((0..1i64 << high).map(|d| [d, class_of(d, live_digit), 0]));
        let row = Fill::digit(number.operand.clone(), number.offset, top, 64);
        let mut fill = Fill::Table {
            table,
            row: Box::new(row.clone()),
            part: 1,
        };
        let mut class = self.column(size, fill.clone());
        let part = self.part(number, less, top);
        self.look_up(table, vec![part, Self::whole(&class)], row);
        for ((column, at, digit), width) in lower.into_iter().zip(low).rev() {
            let values = 1i64 << width;
            let live_digit = digit_of(at, *width);
            let table = self.table((0..3 * values).map(|row| {
                let (class, digit) = (row / values, row % values);
                let after = if class == 1 {
                    class_of(digit, live_digit)
                } else {
                    class
                };
                [class, digit, after]
            }));
            let row = Fill::Sum(vec![(fill, values), (digit, 1)], 0);
            fill = Fill::Table {
                table,
                row: Box::new(row.clone()),
                part: 2,
            };
            let after = self.column(size, fill.clone());
            let parts = vec![
                Self::whole(&class),
                Self::whole(&column),
                Self::whole(&after),
            ];
            self.look_up(table, parts, row);
            class = after;
        }
        (class, fill)
    }

    /// Bits: whether a number of so many bits is `value`.
    fn equals(&mut self, number: &Number, value: i128, bits: u32) -> Linear {
        let size = number.form.size();
        let mut less = Vec::new();
        let (class, fill) = self.class(number, &mut less, 0, bits, value);
        let table = self.table([[0, 0, 0], [1, 1, 0], [2, 0, 0]].into_iter());
        let bit = self.column(
            size,
            Fill::Table {
                table,
                row: Box::new(fill.clone()),
                part: 1,
            },
        );
        self.look_up(table, vec![Self::whole(&class), Self::whole(&bit)], fill);
        bit
    }

    /// Bits: `[y ≥ 0]`.
    fn sign(&mut self, input: Register, time: usize) -> Linear {
        let width = self.shapes[input].range.signed_bits();
        let number = Number {
            form: self.read_form(input, time),
            operand: Operand::Entries {
                register: input,
                start: 0,
            },
            offset: power(width - 1),
        };
        let widths = digits(width);
        let high = widths[widths.len() - 1];
        let low = width - high;
        let less = self.low_bits(&number, low);
        let table = self.table((0..1i64 << high).map(|d| [d, i64::from(d >= 1 << (high - 1)), 0]));
        let row = Fill::digit(number.operand.clone(), number.offset, low, 64);
        let bit = self.column(
            number.form.size(),
            Fill::Table {
                table,
                row: Box::new(row.clone()),
                part: 1,
            },
        );
        let part = self.part(&number, &less, low);
        self.look_up(table, vec![part, Self::whole(&bit)], row);
        bit
    }

    /// Bits: the one-hot vector of the first greatest entry.
    fn argmax(&mut self, register: Register, input: Register, time: usize) -> Linear {
        let shape = self.shapes[input];
        let x = self.read_linear(input, time);
        let size = x.size;
        let one = Size::flat(time, 1);
        let hot_operand = Operand::Entries { register, start: 0 };
        let hot_fill = Fill::digit(hot_operand, 0, 0, 64);
        let hot = self.column(size, hot_fill.clone());
        let bit = self.range_table(1);
        self.look_up(bit, vec![Self::whole(&hot)], hot_fill);
        let greatest = self.column(
            one,
            Fill::digit(Operand::Greatest { register: input }, 0, 0, 64),
        );
        // Σ o_i − 1 = 0
        let all = AxisMap::identity(time);
        let mut identity = self.constant(one, -1);
        let weights = AxisMap::weights(vec![1; size.len]);
        let sum = hot.read(&all, &weights, one);
        identity.add(&self.readable(sum, one), 1);
        self.system.identities.push(Form::of(identity));
        // Σ o_i·x_i − m = 0
        let product = self.product(Product {
            kind: ProductKind::Sum,
            left: hot.clone(),
            right: x.clone(),
        });
        let mut identity = Form::of(Linear::zero(one));
        identity.linear.add(&greatest, -1);
        identity.products.push((product, 1));
        self.system.identities.push(identity);
        // m − x_i − 1 + Σ_{k≤i} o_k ≥ 0
        let mut gap = Linear::zero(size);
        let broadcast = AxisMap::cell(0, size.len);
        let m = greatest.read(&all, &broadcast, size);
        gap.add(&self.readable(m, size), 1);
        gap.add(&x, -1);
        gap.add(&self.constant(size, -1), 1);
        let before = hot.read(&all, &AxisMap::prefix(size.len), size);
        gap.add(&self.readable(before, size), 1);
        let number = Number {
            form: Form::of(gap),
            operand: Operand::Gap { register: input },
            offset: 0,
        };
        self.range(&number, shape.held().0);
        hot
    }

    fn push_frame(&mut self) {
        let shape = self.shapes[Register::Frame];
        let size = self.each(shape.len);
        let linear = match self.instance.inputs {
            Some(entries) => {
                let source = self.public(size, entries.to_vec());
                Linear::of(source, size)
            }
            None => {
                let operand = Operand::Entries {
                    register: Register::FRAME,
                    start: 0,
                };
                let fill = Fill::digit(operand.clone(), 0, 0, 64);
                let column = self.digested(size, fill, Some(RowKind::Input));
                let (width, offset) = shape.held();
                let number = Number {
                    form: Form::of(column.clone()),
                    operand,
                    offset: i128::from(offset),
                };
                self.range(&number, width);
                column
            }
        };
        self.values[Register::Frame] = Some(Value::Form(Form::of(linear)));
    }

    fn push_output(&mut self) {
        let output = self.program.output;
        let len = output.len as usize;
        let time = match self.program.emission {
            Emission::Each => self.instance.frames,
            Emission::Last => 1,
        };
        let size = Size::flat(time, len);
        let whole = len == self.shapes[output.register].len;
        let form = match whole {
            true => self.read_form(output.register, time),
            false => self.mapped(output.register, &AxisMap::slice(0, len), len, time),
        };
        match self.instance.outputs {
            Some(entries) => {
                let source = self.public(size, entries.to_vec());
                let mut identity = form;
                identity.linear.add(&Linear::of(source, size), -1);
                self.system.identities.push(identity);
            }
            None => {
                let shape = Shape {
                    len,
                    ..self.shapes[output.register]
                };
                let operand = Operand::Entries {
                    register: output.register,
                    start: 0,
                };
                let _ = self.commit_to(form, operand, &shape, Some(RowKind::Output));
            }
        }
    }

    /// The value of a part of the vector carried before the first frame.
    fn initial(&mut self, part: usize) -> Source {
        let values = self.instance.initial[part].clone();
        self.public(Size::flat(1, values.len()), values)
    }

    /// Puts what the frame before left in the place of every part of the carried vector.
    fn resolve_carried(&mut self) {
        let parts = self.program.carried.len();
        let frames = self.instance.frames;
        let mut before = Vec::with_capacity(parts);
        for part in 0..parts {
            let next = self.program.carried[part].next;
            let initial = self.initial(part);
            let len = self.program.carried[part].shape.len as usize;
            let size = self.each(len);
            let at_first = |to: usize| View {
                source: initial,
                time: AxisMap {
                    to,
                    ..AxisMap::cell(0, frames)
                },
                entry: AxisMap::identity(len),
                factor: 1,
            };
            if next == Register::Carried(part as u32) {
                // It never changes.
                before.push(vec![at_first(frames)]);
                continue;
            }
            let mut views = vec![at_first(1)];
            let later = AxisMap {
                from: 1,
                to: frames,
                kind: super::axis::AxisKind::Shift(-1),
            };
            let mut linear = self.linear_of(next);
            if (linear.views.iter()).any(|v| matches!(v.source, Source::Carried(_))) {
                let shape = self.shapes[next];
                let operand = Operand::Entries {
                    register: next,
                    start: 0,
                };
                linear = self.commit_to(Form::of(linear), operand, &shape, None);
                self.linear.insert(next, linear.clone());
            }
            let entries = AxisMap::identity(len);
            let shifted = match linear.read(&later, &entries, size) {
                Some(shifted) => shifted,
                None => {
                    let shape = self.shapes[next];
                    let operand = Operand::Entries {
                        register: next,
                        start: 0,
                    };
                    let column = self.commit_to(Form::of(linear), operand, &shape, None);
                    let read = column.read(&later, &entries, size);
                    self.readable(read, size)
                }
            };
            views.extend(shifted.views);
            before.push(views);
        }
        let mut unreadable = false;
        let mut left = MOST_TERMS;
        let mut resolve = |linear: &mut Linear| {
            let mut views = Vec::with_capacity(linear.views.len());
            for view in std::mem::take(&mut linear.views) {
                let Source::Carried(part) = view.source else {
                    views.push(view);
                    continue;
                };
                for inner in &before[part] {
                    let time = inner.time.after(&view.time);
                    let entry = inner.entry.after(&view.entry);
                    // Whatever reads the state reads it one to one, at one cell, or in sums.
                    let (Some((time, a)), Some((entry, b))) = (time, entry) else {
                        unreadable = true;
                        continue;
                    };
                    if time.from == time.to || entry.from == entry.to {
                        continue;
                    }
                    let maps = times(a.into(), b.into());
                    views.push(View {
                        source: inner.source,
                        time,
                        entry,
                        factor: times(times(view.factor, inner.factor), maps),
                    });
                }
                // What was looked at counts, whether it is left or not.
                left = left.saturating_sub(before[part].len());
                if left == 0 || views.len() > MOST_TERMS_OF_FORM {
                    unreadable = true;
                    return;
                }
            }
            linear.add_views(views.into_iter());
        };
        let system = &mut self.system;
        for lookup in &mut system.lookups {
            for part in &mut lookup.parts {
                resolve(&mut part.form.linear);
            }
        }
        for identity in &mut system.identities {
            resolve(&mut identity.linear);
        }
        for product in &mut system.products {
            resolve(&mut product.left);
            resolve(&mut product.right);
        }
        for input in &mut system.inputs {
            resolve(input);
        }
        self.unreadable |= unreadable;
    }
}
