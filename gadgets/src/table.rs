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
    num::{constant, indicator, sub, sum},
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
/// 2. `L` and `H`, the one-hot vectors of 16 bits of its lower and its upper nibble (11 constraints each);
/// 3. `t_h = H_h·(T_h(L) − T_15(L))`, `h < 15`, where `T_h(L) = Σ_l L_l·table[16h + l]` is linear. The result is
///    `T_15(L) + Σ t_h`.
///
/// **Does not enforce** anything about the table, which is a constant of the circuit.
///
/// **Cost** 37, and 9 more if the entry is not held as bits.
///
/// **Soundness** The bits of `u` are unique. `L` and `H` are products of bits, so each has exactly one 1, at the nibble.
/// All `t_h` but `t_H` vanish, and the result is `T_H(L)`, a value of the table plus the offset: it cannot leave
/// `[0, 2^out_width)`, because no value of the table does.
///
/// **Reference** circomlib `Multiplexer`, for one level.
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

/// The values of several tables at one entry, which share the one-hot vectors; see [`lookup`].
///
/// **Statement** `result_i = table_i[x]`.
///
/// **Assumes** as [`lookup`].
///
/// **Enforces** as [`lookup`], part 3 for each table.
///
/// **Does not enforce** as [`lookup`].
///
/// **Cost** `22 + 15·tables`, and 9 more if the entry is not held as bits.
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
    let (low, high) = word.bits().split_at(4);
    let low = Nibble::new(cs.namespace(|| "lower nibble"), low)?;
    let high = Nibble::new(cs.namespace(|| "upper nibble"), high)?;
    tables
        .iter()
        .enumerate()
        .map(|(i, table)| select(cs.namespace(|| format!("table {i}")), table, &low, &high))
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

/// The product layer of [`lookup`]. 15 constraints.
fn select<F: PrimeField, CS: ConstraintSystem<F>>(
    mut cs: CS,
    table: &Table,
    low: &Nibble<F>,
    high: &Nibble<F>,
) -> Result<Entry<F>, SynthesisError> {
    let offset = signed_offset(table.out_width);
    // In [0, 2^out_width), as the table promises.
    let shifted = |h: usize, l: usize| i64::from(table.values[16 * h + l]) + offset as i64;
    let value = low.index.zip(high.index).map(|(l, h)| shifted(h, l) as u64);

    let mut terms = Vec::with_capacity(15);
    for h in 0..15 {
        let difference = |l| signed(shifted(h, l) - shifted(15, l));
        let t = AllocatedNum::alloc(cs.namespace(|| format!("row {h}")), || {
            let (l, at) = low
                .index
                .zip(high.index)
                .ok_or(SynthesisError::AssignmentMissing)?;
            Ok(if at == h { difference(l) } else { F::ZERO })
        })?;
        // H_h · (T_h(L) − T_15(L)) = t_h
        cs.enforce(
            || format!("row {h} if it is the upper nibble"),
            |_| high.hot[h].lc(F::ONE),
            |_| low.dot((0..16).map(difference)).lc(F::ONE),
            |lc| lc + t.get_variable(),
        );
        terms.push(t);
    }
    let result = if cs.is_witness_generator() {
        constant::<F, CS>(F::from(value.ok_or(SynthesisError::AssignmentMissing)?))
    } else {
        let last = low.dot((0..16).map(|l| signed(shifted(15, l))));
        terms
            .into_iter()
            .fold(last, |result, t| result.add(&t.into()))
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
            assert_eq!(cost(&case), decomposition + 22 + 15 * 4);
            // Once by itself and once among several.
            let case = Lookup {
                tables: vec![arbitrary()],
                x: 5,
                bits,
            };
            let repeated = if bits { 0 } else { 9 };
            assert_eq!(cost(&case), decomposition + repeated + 2 * 37);
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
        cs.set("lookup/upper nibble/is 33/num", Fp::ONE);
        assert_eq!(
            cs.which_is_unsatisfied(),
            Some("lookup/upper nibble/33 in base four")
        );
        let (mut cs, _) = build::<Fp>(&wide(5));
        cs.set("lookup/upper nibble/lower pair/both/and result", Fp::ONE);
        assert!(
            cs.which_is_unsatisfied()
                .unwrap()
                .starts_with("lookup/upper nibble/lower pair")
        );
    }

    #[test]
    fn lookup_enforces_the_products() {
        // Another row's product, so that the result is a value of the table, but the wrong one.
        let (mut cs, _) = build::<Fp>(&wide(5));
        let table = arbitrary();
        let at = |h: usize| {
            i64::from(table.values()[16 * h + 5]) - i64::from(table.values()[16 * 15 + 5])
        };
        cs.set("lookup/table 0/row 8/num", Fp::ZERO);
        cs.set("lookup/table 0/row 9/num", signed(at(9)));
        assert_eq!(
            cs.which_is_unsatisfied(),
            Some("lookup/table 0/row 8 if it is the upper nibble")
        );
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
            90 constraints, 90 variables, 2d17e2bd2da9b35313f00cc3f9ed959d138a942bdba585ee70bf4cb90592f0b0
            91 constraints, 91 variables, 2204571dfd12323afe95abd787c16eef6ac301d8f215b25ab529d87ceb3a001c"#]].assert_eq(&real.join("\n"));
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
