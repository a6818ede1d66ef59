//! Affine forms as integers.
//!
//! A register stands for `rest + unit·(q + steps)`, `q` its integers. Rows of a form that are to be
//! requantised to a unit `U` with a shift `s` become
//!
//! ```text
//! W_int = round(A·unit_in·2^s / U)                                  16 bits
//! b_int = round((c + Σ A·rest_in − rest_out)·2^s / U) + Σ steps·W_int
//! ```
//!
//! so that a register of value 0 adds nothing, whatever the rounding of the weights.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    error::Error,
    network::{form::Form, limit},
    program::{AffineMap, Register, Window},
};

/// Least factor by which a scale is enlarged at a time.
const LEAST_FACTOR: f64 = 1.0 + 1.0 / 256.0;
/// Largest absolute value of a weight.
const MAX_WEIGHT: f64 = i16::MAX as f64;
/// A map with fewer entries than one in `DENSE_FROM` is stored sparse.
const DENSE_FROM: usize = 4;
/// How often a scale is enlarged at most.
const MAX_ROUNDS: usize = 1000;

/// What the integers of a register stand for: `rest + unit·(q + steps)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::network) struct Encoding {
    pub(in crate::network) register: Register,
    pub(in crate::network) len: usize,
    pub(in crate::network) unit: f64,
    pub(in crate::network) steps: i64,
    pub(in crate::network) rest: f64,
    /// Bits of the register.
    pub(in crate::network) width: u8,
    /// Whether its integers have a sign.
    pub(in crate::network) signed: bool,
}

impl Encoding {
    /// The least and the largest integer; 0, which stands beyond the ends of a window, lies between.
    pub(in crate::network) fn ends(&self) -> (f64, f64) {
        if self.signed {
            let half = f64::from(self.width - 1).exp2();
            (-half, half - 1.0)
        } else {
            (0.0, f64::from(self.width).exp2() - 1.0)
        }
    }

    /// The real value of an integer.
    pub(in crate::network) fn value(&self, q: i64) -> f64 {
        self.rest + self.unit * (q as f64 + self.steps as f64)
    }

    /// Whether the integers are the values but for a unit.
    pub(in crate::network) fn is_plain(&self) -> bool {
        self.steps == 0 && self.rest == 0.0
    }
}

/// How the unit of requantised sums may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Enlarging {
    /// By any factor.
    Freely,
    /// By powers of two.
    Doubling,
}

/// Rows that are requantised to one unit.
pub(super) struct Block<'a> {
    pub(super) form: &'a Form,
    /// Of each term of the form the window under which its matrix is a kernel; of none or all.
    pub(super) windows: &'a [Arc<Window>],
    /// Real value of one unit after the shift.
    pub(super) unit: f64,
    /// Real value of 0 after the shift.
    pub(super) zero: f64,
    pub(super) enlarging: Enlarging,
}

/// The numbers of bits that sums may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Formats {
    /// The shift, if nothing stands against it.
    pub(super) shift: u8,
    /// Whether it must be that one.
    pub(super) fixed_shift: bool,
    /// The shift that all stages have, if their weights do not stand against it.
    pub(super) common: u8,
    /// The most accumulator bits for the shift, and whether it must have just these.
    pub(super) bits: u8,
    pub(super) fixed_bits: bool,
    /// The most of all.
    pub(super) most: u8,
    /// Whether one map is to read several registers that are held alike.
    pub(super) join: bool,
    /// Whether the shift is carried out: there is no rounding term otherwise.
    pub(super) rounded: bool,
}

/// What the integers of some rows came to.
#[derive(Clone, Debug)]
pub(super) struct Fitted {
    /// Of each block.
    pub(super) units: Vec<f64>,
    /// The largest factor by which a unit was enlarged.
    pub(super) enlarged: f64,
    pub(super) shift: u8,
    pub(super) bits: u8,
    /// Largest absolute weight.
    pub(super) max_weight: u16,
    /// Entries that are not zero, of maps that were put into the program.
    pub(super) nonzeros: usize,
    /// Of the blocks that are one operation; the first has the bias.
    pub(super) maps: Vec<Vec<Applied>>,
}

/// A map, and what it is applied to.
#[derive(Clone, Debug)]
pub(super) struct Applied {
    pub(super) map: AffineMap,
    /// One after the other.
    pub(super) registers: Vec<usize>,
    pub(super) window: Option<Arc<Window>>,
}

/// `5 + ⌈log2(n)/2⌉`, at least 8, for the most entries `n` of a row; more if what is read has more than
/// 8 bits, by `bits`.
pub(super) fn shift_for<'a>(
    forms: impl IntoIterator<Item = &'a Form>,
    bits: &dyn Fn(usize) -> u8,
) -> u8 {
    let mut shift = 8;
    for form in forms {
        for product in &form.products {
            if product.right.addends().is_none() {
                shift = shift.max(shift_for([product.right.as_ref()], bits));
            }
        }
        // What is added to products as it stands has no weights.
        if !form.products.is_empty() && form.addends().is_some() {
            continue;
        }
        let entries = |row| form.terms.iter().map(|t| t.1.row_len(row)).sum();
        let most = (0..form.len).map(entries).max().unwrap_or(1);
        let wider = form.terms.iter().map(|t| bits(t.0).saturating_sub(8)).max();
        shift = shift.max(standard_shift(most) + wider.unwrap_or(0));
    }
    shift
}

/// `5 + ⌈log2(n)/2⌉`, at least 8.
fn standard_shift(inputs: usize) -> u8 {
    // ⌈log2(n)/2⌉ is the least h with 4^h ≥ n; less than 32 for 64 bits.
    let log2 = usize::BITS - inputs.saturating_sub(1).leading_zeros();
    (5 + u8::try_from(log2.div_ceil(2)).unwrap_or(u8::MAX - 5)).max(8)
}

/// The sizes of a block's integers.
#[derive(Default)]
struct Extent {
    weight: f64,
    sum: f64,
}

fn exp2(shift: u8) -> f64 {
    f64::from(shift).exp2()
}

impl Block<'_> {
    /// Real value of a weight's unit, for each term, and that of the bias.
    fn factors(&self, registers: &[Encoding], unit: f64, shift: u8) -> (Vec<f64>, f64) {
        let one = exp2(shift) / unit;
        let terms = self.form.terms.iter();
        (terms.map(|t| registers[t.0].unit * one).collect(), one)
    }

    /// The largest weight for a unit of 1 and no shift.
    fn largest(&self, registers: &[Encoding]) -> f64 {
        let terms = self.form.terms.iter();
        terms
            .map(|(register, matrix)| {
                let weights = (0..matrix.rows()).flat_map(|i| matrix.row(i));
                let largest = weights.fold(0.0, |m: f64, (_, w)| m.max(f64::from(w).abs()));
                largest * registers[*register].unit
            })
            .fold(0.0, f64::max)
    }

    /// Integers of one row: calls `entry` with the term, the column and the weight, and gives the
    /// bias.
    fn row(
        &self,
        i: usize,
        registers: &[Encoding],
        (factors, one): &(Vec<f64>, f64),
        mut entry: impl FnMut(usize, usize, f64),
    ) -> f64 {
        let mut real = self.form.constant.get(i).copied().unwrap_or(0.0) - self.zero;
        let mut steps = 0.0;
        for (t, (register, matrix)) in self.form.terms.iter().enumerate() {
            let source = &registers[*register];
            for (j, w) in matrix.row(i) {
                let w = f64::from(w);
                let integer = (w * factors[t]).round();
                real += w * source.rest;
                steps += integer * source.steps as f64;
                entry(t, j, integer);
            }
        }
        (real * one).round() + steps
    }

    fn extent(&self, registers: &[Encoding], unit: f64, shift: u8) -> Extent {
        let factors = self.factors(registers, unit, shift);
        let terms = self.form.terms.iter();
        let ends: Vec<(f64, f64)> = terms.map(|t| registers[t.0].ends()).collect();
        let mut extent = Extent::default();
        for i in 0..self.form.len {
            let (mut low, mut high) = (0.0, 0.0);
            let bias = self.row(i, registers, &factors, |t, _, w| {
                extent.weight = extent.weight.max(w.abs());
                let (least, most) = (w * ends[t].0, w * ends[t].1);
                low += least.min(most);
                high += least.max(most);
            });
            extent.sum = extent.sum.max((bias + high).max(-(bias + low)));
        }
        extent
    }
}

/// Blocks by operation: those of kernels have one each, all others are one below the other.
pub(super) fn together<'a, 'b>(blocks: &'b [Block<'a>]) -> std::slice::Chunks<'b, Block<'a>> {
    let kernels = blocks.iter().all(|b| !b.windows.is_empty());
    blocks.chunks(if kernels { 1 } else { blocks.len().max(1) })
}

/// Integers for rows of several blocks, one below the other, in one accumulator format. The units
/// of blocks are enlarged until they fit.
pub(super) fn fit(
    name: &str,
    blocks: &[Block<'_>],
    registers: &[Encoding],
    formats: Formats,
) -> Result<Fitted, Error> {
    let fail = |problem: &str| limit("quantisation", format!("{name}: {problem}"));
    let mut units: Vec<f64> = blocks.iter().map(|b| b.unit).collect();
    let largest: Vec<f64> = blocks.iter().map(|b| b.largest(registers)).collect();
    let mut shift = formats.shift;
    let mut standard = shift;
    if !formats.fixed_shift {
        let fits = |shift: u8| {
            let mut weights = largest.iter().zip(&units);
            weights.all(|(largest, unit)| largest / unit * exp2(shift) <= MAX_WEIGHT)
        };
        // That of all stages, or as much of their own as leaves all weights 16 bits.
        if formats.common > shift && fits(formats.common) {
            shift = formats.common;
            standard = shift;
        }
        while shift > 1 && !fits(shift) {
            shift -= 1;
        }
    }
    while !formats.fixed_shift && shift > 1 && shift + 2 > formats.bits + standard - formats.shift {
        shift -= 1;
    }
    // What is cut from the shift is cut from the accumulator as well.
    let most = (formats.bits + shift)
        .saturating_sub(formats.shift)
        .clamp(shift + 2, formats.most.max(shift + 2));
    let rounding = if formats.rounded {
        exp2(shift - 1)
    } else {
        0.0
    };
    let limit_of = |bits: u8| exp2(bits - 1) - rounding - 1.0;
    let enlarge = |unit: &mut f64, how: Enlarging, over: f64| {
        *unit *= match how {
            Enlarging::Freely => over.max(LEAST_FACTOR),
            Enlarging::Doubling => 2.0,
        };
    };
    let mut sum = 0f64;
    let mut weight = 0f64;
    for (b, block) in blocks.iter().enumerate() {
        let mut rounds = 0;
        loop {
            let extent = block.extent(registers, units[b], shift);
            let over = (extent.weight / MAX_WEIGHT).max(extent.sum / limit_of(most).max(0.5));
            if !over.is_finite() || rounds > MAX_ROUNDS {
                return Err(fail("its values in calibration are too small to be scaled"));
            }
            if over <= 1.0 {
                if extent.weight == 0.0 && largest[b] > 0.0 && rounds > 0 {
                    return Err(fail(
                        "its sums fit the accumulator only if all weights are rounded to zero: ask for more bits with `Precision::accumulator_bits`",
                    ));
                }
                sum = sum.max(extent.sum);
                weight = weight.max(extent.weight);
                break;
            }
            enlarge(&mut units[b], block.enlarging, over);
            rounds += 1;
        }
    }
    let bits = if formats.fixed_bits {
        most
    } else {
        let least = (shift + 2..=most).find(|bits| sum <= limit_of(*bits));
        least.unwrap_or(most)
    };
    let mut left = units.iter();
    let maps = together(blocks)
        .map(|blocks| {
            let units: Vec<f64> = left.by_ref().take(blocks.len()).copied().collect();
            maps(blocks, registers, &units, shift, formats.join)
        })
        .collect::<Result<_, _>>()
        .map_err(|e| fail(&e.to_string()))?;
    let enlarged = units.iter().zip(blocks).map(|(u, b)| u / b.unit);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most 2^15"
    )]
    let max_weight = weight as u16;
    Ok(Fitted {
        enlarged: enlarged.fold(1.0, f64::max),
        units,
        shift,
        bits,
        max_weight,
        nonzeros: 0,
        maps,
    })
}

/// One map for every register that a block reads; or one for all, if these are to be joined, are held
/// alike and are not read by windows.
fn maps(
    blocks: &[Block<'_>],
    registers: &[Encoding],
    units: &[f64],
    shift: u8,
    join: bool,
) -> Result<Vec<Applied>, Error> {
    let mut read: Vec<usize> = blocks
        .iter()
        .flat_map(|b| b.form.terms.iter().map(|t| t.0))
        .collect();
    read.sort_unstable();
    read.dedup();
    if read.is_empty() {
        // Constants alone: a map of zeros.
        read.push(0);
    }
    let rows: usize = blocks.iter().map(|b| b.form.len).sum();
    let held = |register: usize| (registers[register].width, registers[register].signed);
    let windows: BTreeMap<usize, &Arc<Window>> = blocks
        .iter()
        .flat_map(|b| b.form.terms.iter().map(|t| t.0).zip(b.windows))
        .collect();
    let join = join && windows.is_empty() && read.iter().all(|r| held(*r) == held(read[0]));
    // Which map reads each register, and its first column there.
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut columns: Vec<usize> = Vec::new();
    let mut place = Vec::new();
    for register in &read {
        if groups.is_empty() || !join {
            groups.push(Vec::new());
            columns.push(0);
        }
        let map = groups.len() - 1;
        groups[map].push(*register);
        place.push((map, columns[map]));
        columns[map] += match windows.get(register) {
            Some(window) => window.columns(),
            None => registers[*register].len,
        };
    }
    let mut integers: Vec<IntegerMatrix> = groups
        .iter()
        .zip(&columns)
        .map(|(group, columns)| {
            let terms = blocks.iter().flat_map(|b| &b.form.terms);
            let terms = terms.filter(|t| group.contains(&t.0));
            let capacity = terms.map(|t| t.1.nonzeros()).sum();
            IntegerMatrix::new(*columns, rows, capacity)
        })
        .collect();
    let mut biases = Zeroizing::new(Vec::with_capacity(rows));
    for (block, unit) in blocks.iter().zip(units) {
        let factors = block.factors(registers, *unit, shift);
        let terms = block.form.terms.iter();
        let places: Vec<(usize, usize)> = terms
            .map(|t| place[read.partition_point(|r| *r < t.0)])
            .collect();
        for i in 0..block.form.len {
            let bias = block.row(i, registers, &factors, |t, j, w| {
                #[expect(clippy::cast_possible_truncation, reason = "at most 2^15")]
                integers[places[t].0].push(places[t].1 + j, w as i16);
            });
            #[expect(clippy::cast_possible_truncation, reason = "an integer that fits")]
            biases.push(bias as i64);
            integers.iter_mut().for_each(IntegerMatrix::end_row);
        }
    }
    groups
        .into_iter()
        .zip(integers)
        .enumerate()
        .map(|(k, (registers, integers))| {
            let bias = if k == 0 {
                biases.to_vec()
            } else {
                vec![0; rows]
            };
            Ok(Applied {
                map: integers.into_map(bias)?,
                window: windows.get(&registers[0]).map(|w| (*w).clone()),
                registers,
            })
        })
        .collect()
}

/// A matrix of integers in compressed rows, without those that are zero.
struct IntegerMatrix {
    columns: usize,
    ends: Vec<usize>,
    entries: Zeroizing<Vec<(u32, i16)>>,
}

impl IntegerMatrix {
    fn new(columns: usize, rows: usize, capacity: usize) -> Self {
        let mut ends = Vec::with_capacity(rows + 1);
        ends.push(0);
        Self {
            columns,
            ends,
            entries: Zeroizing::new(Vec::with_capacity(capacity)),
        }
    }

    fn push(&mut self, column: usize, weight: i16) {
        if weight != 0 {
            #[expect(clippy::cast_possible_truncation, reason = "less than 2^24 columns")]
            self.entries.push((column as u32, weight));
        }
    }

    fn end_row(&mut self) {
        self.ends.push(self.entries.len());
    }

    /// The map of these weights: the only place that chooses how they are stored.
    fn into_map(self, bias: Vec<i64>) -> Result<AffineMap, Error> {
        let all = self.columns.saturating_mul(bias.len());
        if self.entries.len() < all / DENSE_FROM {
            let rows = self.ends.windows(2);
            let rows = rows.map(|range| self.entries[range[0]..range[1]].iter().copied());
            return AffineMap::sparse(self.columns, rows, bias);
        }
        let mut weights = vec![0i16; all];
        for (row, range) in self.ends.windows(2).enumerate() {
            for (j, w) in &self.entries[range[0]..range[1]] {
                weights[row * self.columns + *j as usize] = *w;
            }
        }
        AffineMap::new(self.columns, weights, bias)
    }
}
