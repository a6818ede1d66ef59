//! Exact lookup of 8-bit entries in tables of 256 integers.

use bellpepper_core::{
    ConstraintSystem, SynthesisError,
    boolean::AllocatedBit,
    num::{AllocatedNum, Num},
};
use ff::PrimeField;

use crate::{
    entry::{Entry, signed_offset},
    error,
    num::{self, constant, indicator, sub, sum},
    requantize::{Accumulator, Quotient, requantize, requantize_drop_native},
    word::{Word, add_bit},
};

/// Bits of an index.
const IN_WIDTH: u32 = 8;

/// The widest output.
const MAX_OUT_WIDTH: u32 = 16;

/// A function from signed 8-bit integers to signed integers of `out_width` bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    values: Vec<i32>,
    out_width: u32,
}

impl Table {
    /// The table whose value at `x` is `values[x + 128]`. `None` unless there are 256 values, all of them signed integers
    /// of `out_width` bits, `1 ≤ out_width ≤ 16`.
    pub fn new(values: Vec<i32>, out_width: u32) -> Option<Self> {
        if values.len() != 1 << IN_WIDTH || !(1..=MAX_OUT_WIDTH).contains(&out_width) {
            return None;
        }
        let bound = 1 << (out_width - 1);
        values
            .iter()
            .all(|value| (-bound..bound).contains(value))
            .then_some(Self { values, out_width })
    }

    /// The values, in ascending order of their argument.
    pub fn values(&self) -> &[i32] {
        &self.values
    }

    /// Bits of the values.
    pub fn out_width(&self) -> u32 {
        self.out_width
    }

    /// The value at `x`; `None` if `x` has more than 8 bits.
    pub fn lookup(&self, x: i64) -> Option<i64> {
        let index = usize::try_from(x.checked_add(i64::from(1 << (IN_WIDTH - 1)))?).ok()?;
        self.values.get(index).map(|value| i64::from(*value))
    }

    /// The logistic function `1 / (1 + e^(−v))`, see [`Table::from_fn`].
    ///
    /// # Panics
    /// As [`Table::from_fn`].
    pub fn sigmoid(in_scale: f64, out_scale: f64, out_width: u32) -> Self {
        Self::from_fn(|v| 1.0 / (1.0 + (-v).exp()), in_scale, out_scale, out_width)
    }

    /// The hyperbolic tangent, see [`Table::from_fn`].
    ///
    /// # Panics
    /// As [`Table::from_fn`].
    pub fn tanh(in_scale: f64, out_scale: f64, out_width: u32) -> Self {
        Self::from_fn(f64::tanh, in_scale, out_scale, out_width)
    }

    /// The table of a real function: the integer `x` stands for `x·in_scale`, an output `q` for `q·out_scale`.
    ///
    /// `f(x·in_scale) / out_scale` is rounded half away from zero and saturated; NaN becomes 0. Elementary functions may
    /// differ in the last place between platforms, so keep the table, not the function.
    ///
    /// # Panics
    /// If `out_width` is not in `1..=16`.
    pub fn from_fn(f: impl Fn(f64) -> f64, in_scale: f64, out_scale: f64, out_width: u32) -> Self {
        assert!((1..=MAX_OUT_WIDTH).contains(&out_width), "width of a table");
        let bound = f64::from(1u32 << (out_width - 1));
        let values = (-128..128)
            .map(|x| {
                let output = (f(f64::from(x) * in_scale) / out_scale).round();
                // Saturates and sends NaN to 0; exact, as the bounds have at most 16 bits.
                output.clamp(-bound, bound - 1.0) as i32
            })
            .collect();
        Self { values, out_width }
    }
}

/// The value of a table at an entry.
///
/// **Statement** `result = table[x]`; the result has the table's width and the offset `2^(out_width−1)`.
///
/// **Assumes** `x` has 8 bits and the offset 128, otherwise an error; that it is in its range is not assumed.
///
/// **Enforces**
/// 1. `u = x + 128` has 8 bits, if the entry is not held as bits already;
/// 2. `L`, the one-hot vector of 16 bits of its lower nibble (11 constraints);
/// 3. a tree of choices by the bits of its upper nibble, the lowest first, over the 16 rows
///    `T_h(L) = Σ_l L_l·table[16h + l]`, which are linear: `t = b·(right − left)`, and the choice is `left + t` (8, 4, 2 and 1
///    constraints). The root is the result.
///
/// **Does not enforce** anything about the table, which is a constant of the circuit.
///
/// **Cost** 26, and 9 more if the entry is not held as bits.
///
/// **Soundness** The bits of `u` are unique. `L` consists of products of bits, so it has exactly one 1, at the nibble. Every
/// choice is one of its two branches, so the root is the row of the upper nibble at `L`: a value of the table plus the
/// offset. It cannot leave `[0, 2^out_width)`, because no value of the table does.
///
/// **Reference** circomlib `Mux4`.
pub fn lookup<F: PrimeField, CS: ConstraintSystem<F>>(
    cs: CS,
    table: &Table,
    x: &Entry<F>,
) -> Result<Entry<F>, SynthesisError> {
    let mut results = lookup_many(cs, &[table], x)?;
    results
        .pop()
        .ok_or_else(|| error::shape("one result for one table"))
}

/// The values of several tables at one entry, which share the one-hot vector; see [`lookup`].
///
/// **Statement** `result_i = table_i[x]`.
///
/// **Assumes** as [`lookup`].
///
/// **Enforces** as [`lookup`], part 3 for each table.
///
/// **Does not enforce** as [`lookup`].
///
/// **Cost** `11 + 15·tables`, and 9 more if the entry is not held as bits.
///
/// **Soundness** as [`lookup`].
///
/// **Reference** as [`lookup`].
pub fn lookup_many<F: PrimeField, CS: ConstraintSystem<F>>(
    mut cs: CS,
    tables: &[&Table],
    x: &Entry<F>,
) -> Result<Vec<Entry<F>>, SynthesisError> {
    if x.width() != IN_WIDTH || x.offset() != signed_offset(IN_WIDTH) {
        return Err(error::shape("a table takes signed entries of 8 bits"));
    }
    let decomposed;
    let word = match x.word() {
        Some(word) => word,
        None => {
            decomposed = Word::decompose(
                cs.namespace(|| "index"),
                x.unsigned(),
                IN_WIDTH,
                x.unsigned_value(),
            )?;
            &decomposed
        }
    };
    at_bits(cs, tables, word.bits())
}

/// The values of several tables at a requantised accumulator.
///
/// **Statement** `result_i = table_i[q]`, `q = requantize_drop_native(y, s, drop, 8)`, for the accumulator's `y` and `s`.
///
/// **Assumes** as [`requantize`].
///
/// **Enforces** if the quotient has more than 8 bits, with its sign `m`:
/// 1. `z`, whether it is in range, as [`requantize`] does (two constraints);
/// 2. the lookup at the lowest 7 bits of the quotient and `m`, as [`lookup_many`] does, with the value `v_i`;
/// 3. `t_i = z·(v_i − e_i)`, `e_i = m·table_i[127] + (1 − m)·table_i[−128]`; the result is `t_i + e_i`.
///
/// With 8 bits, 2 alone. With fewer, the requantised entry is looked up.
///
/// **Does not enforce** what `y` is.
///
/// **Cost** `13 + 16·tables` with more than 8 bits, `11 + 15·tables` with 8, `20 + 15·tables` with fewer.
///
/// **Soundness** As for [`requantize`]: if the quotient is in range, `z = 1` and those 8 bits
/// are its own; if not, `z = 0` and the result is the value at the end of the range that `m` says. Whatever the bits, every
/// `v_i` is a value of the table, and so is the result.
///
/// **Reference** –
pub fn requantize_lookup_many<F: PrimeField, CS: ConstraintSystem<F>>(
    mut cs: CS,
    tables: &[&Table],
    acc: &Accumulator,
    drop: u32,
) -> Result<Vec<Entry<F>>, SynthesisError> {
    let h = Quotient::new(acc, drop, IN_WIDTH)?;
    let Some(bits) = h.bits(IN_WIDTH) else {
        let q = requantize(cs.namespace(|| "requantize"), acc, drop, IN_WIDTH)?;
        return lookup_many(cs, tables, &q);
    };
    if !h.saturates() {
        return at_bits(cs, tables, &bits);
    }
    let in_range = h.in_range(cs.namespace(|| "in range"))?;
    let values = at_bits(cs.namespace(|| "lookup"), tables, &bits)?;
    let sign = h.sign::<F>();
    let q = acc
        .value()
        .map(|y| requantize_drop_native(y, acc.shift(), drop, IN_WIDTH));
    tables
        .iter()
        .zip(values)
        .enumerate()
        .map(|(i, (table, value))| {
            let offset = signed_offset(table.out_width);
            let at = |x: i64| {
                table
                    .lookup(x)
                    .map_or(F::ZERO, |v| signed(v + offset as i64))
            };
            // m·(table[127] − table[−128]) + table[−128]
            let end = constant::<F, CS>(at(-128)).add(&sign.clone().scale(at(127) - at(-128)));
            // t = z · (v − e)
            let t = num::mul(
                cs.namespace(|| format!("in range or at the end {i}")),
                &in_range.clone().into(),
                &sub(value.unsigned(), &end),
            )?;
            let unsigned = q
                .and_then(|q| table.lookup(q))
                .map(|v| (v + offset as i64) as u64);
            Ok(Entry::from_num_unchecked(
                end.add(&t.into()),
                unsigned,
                table.out_width,
                offset,
            ))
        })
        .collect()
}

/// The values of several tables at the entry of these 8 bits, the lowest first.
fn at_bits<F: PrimeField, CS: ConstraintSystem<F>>(
    mut cs: CS,
    tables: &[&Table],
    bits: &[AllocatedBit],
) -> Result<Vec<Entry<F>>, SynthesisError> {
    let (low, high) = bits.split_at(4);
    let low = Nibble::new(cs.namespace(|| "lower nibble"), low)?;
    tables
        .iter()
        .enumerate()
        .map(|(i, table)| choose(cs.namespace(|| format!("table {i}")), table, &low, high))
        .collect()
}

/// A one-hot vector of 16 that belongs to four bits.
struct Nibble<F: PrimeField> {
    hot: Vec<Num<F>>,
    index: Option<usize>,
}

impl<F: PrimeField> Nibble<F> {
    /// Bits least significant first. Two products make two one-hot vectors of four; nine products of their last three
    /// positions make one of sixteen, the remaining seven being linear, as rows and columns sum to the factors. 11
    /// constraints.
    fn new<CS: ConstraintSystem<F>>(
        mut cs: CS,
        bits: &[AllocatedBit],
    ) -> Result<Self, SynthesisError> {
        let [b0, b1, b2, b3] = bits else {
            return Err(error::shape("a nibble has four bits"));
        };
        let index = bits.iter().rev().try_fold(0, |index, bit| {
            bit.get_value().map(|bit| index << 1 | usize::from(bit))
        });
        let inner = quarter(cs.namespace(|| "lower pair"), b0, b1)?;
        let outer = quarter(cs.namespace(|| "upper pair"), b2, b3)?;

        let mut products = Vec::with_capacity(9);
        for (i, outer) in outer.iter().enumerate().skip(1) {
            for (j, inner) in inner.iter().enumerate().skip(1) {
                let product = AllocatedNum::alloc(cs.namespace(|| format!("is {i}{j}")), || {
                    let index = index.ok_or(SynthesisError::AssignmentMissing)?;
                    Ok(indicator(index == 4 * i + j))
                })?;
                // outer_i · inner_j = hot_(4i+j)
                cs.enforce(
                    || format!("{i}{j} in base four"),
                    |_| outer.lc(F::ONE),
                    |_| inner.lc(F::ONE),
                    |lc| lc + product.get_variable(),
                );
                products.push(product);
            }
        }
        if cs.is_witness_generator() {
            let hot = (0..16)
                .map(|n| constant::<F, CS>(indicator(index == Some(n))))
                .collect();
            return Ok(Self { hot, index });
        }

        let products: Vec<Num<F>> = products.into_iter().map(Num::from).collect();
        let product = |i: usize, j: usize| &products[3 * (i - 1) + (j - 1)];
        let mut hot = vec![Num::zero(); 16];
        for i in 1..4 {
            for j in 1..4 {
                hot[4 * i + j] = product(i, j).clone();
            }
            // Σ_j hot_(4i+j) = outer_i
            hot[4 * i] = sub(&outer[i], &sum((1..4).map(|j| product(i, j))));
        }
        for j in 0..4 {
            // Σ_i hot_(4i+j) = inner_j
            hot[j] = sub(&inner[j], &sum((1..4).map(|i| &hot[4 * i + j])));
        }
        Ok(Self { hot, index })
    }

    /// `Σ_l constants_l·hot_l`.
    fn dot(&self, constants: impl Iterator<Item = F>) -> Num<F> {
        constants
            .zip(&self.hot)
            .fold(Num::zero(), |dot, (c, hot)| dot.add(&hot.clone().scale(c)))
    }
}

/// The one-hot vector of four that belongs to two bits. 1 constraint.
fn quarter<F: PrimeField, CS: ConstraintSystem<F>>(
    mut cs: CS,
    b0: &AllocatedBit,
    b1: &AllocatedBit,
) -> Result<[Num<F>; 4], SynthesisError> {
    // b0 · b1 = p
    let p = AllocatedBit::and(cs.namespace(|| "both"), b0, b1)?;
    let one = constant::<F, CS>(F::ONE);
    Ok([
        add_bit(add_bit(add_bit(one, b0, -F::ONE), b1, -F::ONE), &p, F::ONE),
        add_bit(add_bit(Num::zero(), b0, F::ONE), &p, -F::ONE),
        add_bit(add_bit(Num::zero(), b1, F::ONE), &p, -F::ONE),
        add_bit(Num::zero(), &p, F::ONE),
    ])
}

/// The tree of choices of [`lookup`]. 15 constraints.
fn choose<F: PrimeField, CS: ConstraintSystem<F>>(
    mut cs: CS,
    table: &Table,
    low: &Nibble<F>,
    high: &[AllocatedBit],
) -> Result<Entry<F>, SynthesisError> {
    let offset = signed_offset(table.out_width);
    // In [0, 2^out_width), as the table promises.
    let shifted = |h: usize, l: usize| i64::from(table.values[16 * h + l]) + offset as i64;
    let nobody_reads = cs.is_witness_generator();
    // The rows at the lower nibble: values, and linear combinations where somebody reads them.
    let mut values: Option<Vec<i64>> = low.index.map(|l| (0..16).map(|h| shifted(h, l)).collect());
    let mut rows: Vec<Num<F>> = (0..16)
        .map(|h| {
            if nobody_reads {
                Num::zero()
            } else {
                low.dot((0..16).map(|l| signed(shifted(h, l))))
            }
        })
        .collect();
    for (level, bit) in high.iter().enumerate() {
        let chosen = bit.get_value().zip(values.as_ref()).map(|(bit, values)| {
            let pairs = values.chunks(2);
            pairs
                .map(|pair| (pair[0], if bit { pair[1] - pair[0] } else { 0 }))
                .collect::<Vec<_>>()
        });
        rows = rows
            .chunks(2)
            .enumerate()
            .map(|(k, pair)| {
                let difference = chosen.as_ref().map(|chosen| chosen[k].1);
                let t =
                    AllocatedNum::alloc(cs.namespace(|| format!("choice {level} {k}")), || {
                        difference
                            .map(signed)
                            .ok_or(SynthesisError::AssignmentMissing)
                    })?;
                // b · (right − left) = t
                cs.enforce(
                    || format!("choice {level} {k} by the bit"),
                    |lc| lc + bit.get_variable(),
                    |_| sub(&pair[1], &pair[0]).lc(F::ONE),
                    |lc| lc + t.get_variable(),
                );
                Ok(if nobody_reads {
                    Num::zero()
                } else {
                    pair[0].clone().add(&t.into())
                })
            })
            .collect::<Result<_, SynthesisError>>()?;
        values = chosen.map(|chosen| chosen.iter().map(|(left, t)| left + t).collect());
    }
    let value = values.and_then(|v| v.first().map(|v| *v as u64));
    let result = match rows.pop() {
        Some(root) if !nobody_reads => root,
        _ => constant::<F, CS>(F::from(value.ok_or(SynthesisError::AssignmentMissing)?)),
    };
    Ok(Entry::from_num_unchecked(
        result,
        value,
        table.out_width,
        offset,
    ))
}

/// A signed integer as a field element.
fn signed<F: PrimeField>(value: i64) -> F {
    let magnitude = F::from(value.unsigned_abs());
    if value < 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use bellpepper_core::test_cs::TestConstraintSystem;
    use expect_test::expect;
    use ff::Field;
    use pasta_curves::Fp;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{audit, build, case, cost, error, given, shape};

    case!(Lookup { tables: Vec<Table>, x: i64, bits: bool } |this, cs| {
        let x = if this.bits {
            Entry::alloc(cs.namespace(|| "given"), 8, Some(this.x))?
        } else {
            let unsigned = (this.x + 128) as u64;
            let num = given(cs, "num", F::from(unsigned));
            Entry::from_num_unchecked(num, Some(unsigned), 8, 128)
        };
        let tables: Vec<&Table> = this.tables.iter().collect();
        let results = lookup_many(cs.namespace(|| "lookup"), &tables, &x)?;
        if let [table] = tables[..] {
            let single = lookup(cs.namespace(|| "single"), table, &x)?;
            assert_eq!(single.value(), results[0].value());
        }
        for (table, result) in tables.iter().zip(&results) {
            assert_eq!(result.value(), table.lookup(this.x));
            assert_eq!((result.width(), result.offset()), (table.out_width, 1 << (table.out_width - 1)));
            assert_eq!(result.unsigned().get_value(), result.unsigned_value().map(F::from));
            assert!(result.nonnegative().is_none());
        }
        Ok(results.iter().map(|r| r.signed::<CS>().get_value().unwrap()).collect())
    });

    case!(
        WrongInput {
            width: u32,
            offset: u64
        } | this,
        cs | {
            let x = Entry::from_num_unchecked(Num::zero(), Some(0), this.width, this.offset);
            lookup(cs, &arbitrary(), &x)?;
            Ok(vec![])
        }
    );

    fn arbitrary() -> Table {
        let values = (0i64..256).map(|i| ((i * i * 31 + i * 7 + 3) % 65536 - 32768) as i32);
        Table::new(values.collect(), 16).unwrap()
    }

    fn tables() -> Vec<Table> {
        vec![
            arbitrary(),
            Table::sigmoid(1.0 / 16.0, 1.0 / 256.0, 9),
            Table::tanh(1.0 / 32.0, 1.0 / 128.0, 8),
            Table::new(vec![-1; 256], 1).unwrap(),
        ]
    }

    fn expected(case: &Lookup) -> Vec<Fp> {
        case.tables
            .iter()
            .map(|t| signed(t.lookup(case.x).unwrap()))
            .collect()
    }

    #[test]
    fn every_argument() {
        for x in -128..128 {
            let case = Lookup {
                tables: tables(),
                x,
                bits: x % 2 == 0,
            };
            let audit = audit(&case);
            assert_eq!(audit.results, expected(&case));
            assert!(audit.free.is_empty());
        }
    }

    #[test]
    fn costs() {
        for (bits, decomposition) in [(true, 8), (false, 9)] {
            let case = Lookup {
                tables: tables(),
                x: 5,
                bits,
            };
            assert_eq!(cost(&case), decomposition + 11 + 15 * 4);
            // Once by itself and once among several.
            let case = Lookup {
                tables: vec![arbitrary()],
                x: 5,
                bits,
            };
            let repeated = if bits { 0 } else { 9 };
            assert_eq!(cost(&case), decomposition + repeated + 2 * 26);
        }
    }

    #[test]
    fn tables_are_checked() {
        assert!(Table::new(vec![0; 255], 8).is_none());
        assert!(Table::new(vec![0; 257], 8).is_none());
        assert!(Table::new(vec![0; 256], 0).is_none());
        assert!(Table::new(vec![0; 256], 17).is_none());
        for (value, fits) in [(-129, false), (-128, true), (127, true), (128, false)] {
            let mut values = vec![0; 256];
            values[17] = value;
            assert_eq!(Table::new(values, 8).is_some(), fits);
        }
    }

    #[test]
    fn native_lookup_by_argument() {
        let table = Table::new((-128..128).collect(), 8).unwrap();
        for x in -128..128 {
            assert_eq!(table.lookup(x), Some(x));
        }
        for x in [-129, 128, i64::MIN, i64::MAX] {
            assert_eq!(table.lookup(x), None);
        }
    }

    #[test]
    fn real_functions() {
        // Half away from zero.
        let halves = Table::from_fn(|v| v, 0.5, 1.0, 8);
        assert_eq!(
            [-3, -1, 0, 1, 3].map(|x| halves.lookup(x)),
            [-2, -1, 0, 1, 2].map(Some)
        );
        // Saturated on both sides, and not a number.
        let steep = Table::from_fn(|v| v, 1.0, 1.0, 4);
        assert_eq!(
            [-128, -9, -8, 7, 8, 127].map(|x| steep.lookup(x)),
            [-8, -8, -8, 7, 7, 7].map(Some)
        );
        let infinite = Table::from_fn(|v| 1.0 / v, 1.0, 0.01, 8);
        assert_eq!(infinite.lookup(0), Some(127));
        let undefined = Table::from_fn(|_| f64::NAN, 1.0, 1.0, 8);
        assert_eq!(undefined.values(), [0; 256]);
        let sigmoid = Table::sigmoid(1.0 / 16.0, 1.0 / 256.0, 9);
        assert_eq!(
            [-128, 0, 127].map(|x| sigmoid.lookup(x)),
            [0, 128, 255].map(Some)
        );
        let tanh = Table::tanh(1.0 / 32.0, 1.0 / 128.0, 8);
        assert_eq!(
            [-128, 0, 127].map(|x| tanh.lookup(x)),
            [-128, 0, 127].map(Some)
        );
        for x in -128..128 {
            assert_eq!(
                tanh.lookup(x).unwrap().clamp(-127, 127),
                -tanh.lookup((-x).min(127)).unwrap().clamp(-127, 127)
            );
        }
    }

    #[test]
    fn only_signed_bytes() {
        for (width, offset) in [(7, 64), (9, 256), (8, 0), (8, 127)] {
            let refused = error(&WrongInput { width, offset }, false);
            assert!(matches!(
                refused,
                SynthesisError::IncompatibleLengthVector(_)
            ));
        }
    }

    fn wide(x: i64) -> Lookup {
        Lookup {
            tables: tables(),
            x,
            bits: false,
        }
    }

    #[test]
    fn lookup_enforces_the_bits() {
        // Everything for the neighbour, on the old index.
        let (mut cs, _) = build::<Fp>(&wide(4));
        assert_eq!(cs.which_is_unsatisfied(), None);
        cs.set("given num/num", Fp::from(133));
        assert_eq!(
            cs.which_is_unsatisfied(),
            Some("lookup/index/bits sum to the number")
        );
    }

    #[test]
    fn lookup_enforces_the_one_hots() {
        // x = 5, so u = 0x85: lower nibble 11 in base four, upper nibble 20.
        let (mut cs, _) = build::<Fp>(&wide(5));
        cs.set("lookup/lower nibble/is 11/num", Fp::ZERO);
        cs.set("lookup/lower nibble/is 12/num", Fp::ONE);
        assert_eq!(
            cs.which_is_unsatisfied(),
            Some("lookup/lower nibble/11 in base four")
        );
        let (mut cs, _) = build::<Fp>(&wide(5));
        cs.set("lookup/lower nibble/is 33/num", Fp::ONE);
        assert_eq!(
            cs.which_is_unsatisfied(),
            Some("lookup/lower nibble/33 in base four")
        );
        let (mut cs, _) = build::<Fp>(&wide(5));
        cs.set("lookup/lower nibble/lower pair/both/and result", Fp::ONE);
        assert!(
            cs.which_is_unsatisfied()
                .unwrap()
                .starts_with("lookup/lower nibble/lower pair")
        );
    }

    #[test]
    fn lookup_enforces_the_choices() {
        // u = 0x85: upper nibble 1000, lowest bit first 0, 0, 0, 1. Every choice for the row above,
        // with all that follows from it, so that the result is a value of the table, but the wrong one.
        let table = arbitrary();
        let at = |h: usize| i64::from(table.values()[16 * h + 5]);
        for level in 0..4 {
            let (mut cs, _) = build::<Fp>(&wide(5));
            // The choice at the position of row 8; the sibling it should not be.
            let k = 8 >> (level + 1);
            let wire = format!("lookup/table 0/choice {level} {k}/num");
            let sibling = (8 >> level ^ 1) << level;
            let lie = match level {
                3 => Fp::ZERO,
                _ => signed(at(sibling) - at(8)),
            };
            assert_ne!(cs.get(&wire), lie);
            cs.set(&wire, lie);
            if level < 3 {
                // The root's choice is between rows 0 and the lie.
                cs.set("lookup/table 0/choice 3 0/num", signed(at(sibling) - at(0)));
            }
            assert_eq!(
                cs.which_is_unsatisfied(),
                Some(&*format!("lookup/table 0/choice {level} {k} by the bit"))
            );
        }
    }

    case!(RequantizeLookup { tables: Vec<Table>, bits: u32, shift: u32, drop: u32, y: i64 } |this, cs| {
        let acc = Accumulator::alloc(cs.namespace(|| "given"), this.bits, this.shift, Some(this.y))?;
        let tables: Vec<&Table> = this.tables.iter().collect();
        let results = requantize_lookup_many(cs.namespace(|| "lookup"), &tables, &acc, this.drop)?;
        for result in &results {
            assert_eq!(result.unsigned().get_value(), result.unsigned_value().map(F::from));
        }
        Ok(results.iter().map(|r| r.signed::<CS>().get_value().unwrap()).collect())
    });

    fn fused(bits: u32, shift: u32, drop: u32, y: i64) -> RequantizeLookup {
        RequantizeLookup {
            tables: tables(),
            bits,
            shift,
            drop,
            y,
        }
    }

    #[test]
    fn requantised_and_looked_up_at_once() {
        for (bits, shift, drop, cost_of_4) in [
            (14, 3, 0, 13 + 64),
            (14, 2, 2, 13 + 64),
            (12, 3, 1, 11 + 60),
            (10, 3, 0, 20 + 60),
        ] {
            let bound = 1i64 << (bits - 1);
            for y in (-bound..bound - (1 << shift))
                .step_by(97)
                .chain([-bound, bound - 1 - (1 << shift)])
            {
                let case = fused(bits, shift, drop, y);
                let q = requantize_drop_native(y, shift, drop, 8);
                let expected: Vec<Fp> = case
                    .tables
                    .iter()
                    .map(|t| signed(t.lookup(q).unwrap()))
                    .collect();
                let audit = audit(&case);
                assert_eq!(audit.results, expected, "{bits} {shift} {drop} {y}");
                assert!(
                    audit.free.iter().all(|name| name.ends_with("inverse/num")),
                    "{:?}",
                    audit.free
                );
                assert_eq!(cost(&case), bits as usize + cost_of_4);
            }
        }
    }

    #[test]
    fn requantize_lookup_enforces_saturation() {
        // q = 195, whose lowest 7 bits are 67 and whose sign is 1; the lie is table[67].
        let lie = |cs: &mut TestConstraintSystem<Fp>, z: Fp, e: i64| {
            cs.set("lookup/in range/is zero/num", z);
            let e: Fp = signed(e);
            let inverse = Option::from(e.invert()).unwrap_or(Fp::ZERO);
            cs.set("lookup/in range/inverse/num", (Fp::ONE - z) * inverse);
        };
        let (mut cs, _) = build::<Fp>(&fused(21, 10, 0, 200_000));
        lie(&mut cs, Fp::ONE, 1);
        for (i, table) in tables().iter().enumerate() {
            let wire = format!("lookup/in range or at the end {i}/product/num");
            let t = table.lookup(67).unwrap() - table.lookup(127).unwrap();
            cs.set(&wire, signed(t));
        }
        assert_eq!(
            cs.which_is_unsatisfied(),
            Some("lookup/in range/zero if not zero")
        );
        // q = 98 claimed to be out of range: the end of the table.
        let (mut cs, _) = build::<Fp>(&fused(21, 10, 0, 100_000));
        lie(&mut cs, Fp::ZERO, 0);
        for i in 0..4 {
            cs.set(
                &format!("lookup/in range or at the end {i}/product/num"),
                Fp::ZERO,
            );
        }
        assert_eq!(
            cs.which_is_unsatisfied(),
            Some("lookup/in range/one if zero")
        );
    }

    #[test]
    fn requantize_lookup_enforces_the_product() {
        for y in [200_000, -200_000, 100_000, -100_000] {
            let (mut cs, _) = build::<Fp>(&fused(21, 10, 0, y));
            let wire = "lookup/in range or at the end 0/product/num";
            let honest = cs.get(wire);
            cs.set(wire, honest + Fp::ONE);
            assert_eq!(
                cs.which_is_unsatisfied(),
                Some("lookup/in range or at the end 0/product is a times b")
            );
        }
    }

    #[test]
    fn shapes() {
        let real = [true, false].map(|bits| {
            shape(&Lookup {
                tables: tables(),
                x: 77,
                bits,
            })
        });
        expect![[r#"
            79 constraints, 79 variables, 2462fda03a5c6ece1d9fa789cfa58692fc051ecb3858a94c159261c2e025e38e
            80 constraints, 80 variables, 464341212d48286f3d6fe57462c090d708db11a6f49057749e0546ab8f621155"#]].assert_eq(&real.join("\n"));
        for (bits, real) in [true, false].into_iter().zip(&real) {
            assert_eq!(
                &shape(&Lookup {
                    tables: tables(),
                    x: 0,
                    bits
                }),
                real
            );
            assert_eq!(
                &shape(&Lookup {
                    tables: tables(),
                    x: -128,
                    bits
                }),
                real
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn random_tables(
            values in prop::collection::vec(-512i32..512, 256),
            x in -128i64..128,
            bits: bool,
        ) {
            let tables = vec![Table::new(values, 10).unwrap()];
            let case = Lookup { tables, x, bits };
            prop_assert_eq!(audit(&case).results, expected(&case));
        }
    }
}
