//! Sums of 16-bit integers times field elements with delayed reduction (protocol notes, 10).
//!
//! A field element is eight limbs of 32 bits with a sign; the products with integers of 16 bits,
//! `|w·limb| ≤ 2^46`, are added into lanes of 64 bits, so 2^16 of them fit, of which
//! half are used, before a reduction is due. That is what vector units multiply; the widest that the processor has are chosen when the
//! program runs. A weight that is zero adds nothing, so it need not be there.

use ff::{Field, PrimeField};
use pulp::{Arch, Simd, WithSimd};

use rayon::prelude::*;

use crate::backend::F;
use crate::program::weights::{AffineMap, Row, Rows, Stretch, split};

/// `x = Σ_k limb_k·2^(32k)`, every limb in `[−2^31, 2^31)`.
type Limbs = [i32; 8];
/// One sum for each limb.
type Lanes = [i64; 8];
/// The sums of some columns, limb by limb.
type Block = [[i64; COLUMNS]; 8];

/// Products that may be summed before a reduction.
const CAPACITY: usize = 1 << 15;
/// Columns of a block.
const COLUMNS: usize = 8;
/// Limbs whose sums, over the columns of a block, stay in registers.
const HALF: usize = 4;
/// Rows that [`ColumnSums`] takes at once: a block is read and written once for all of them.
const TOGETHER: usize = 32;
/// Rows that [`RowProducts`] takes at once: they share the limbs that are read.
const ROWS: usize = 4;

fn limbs(x: &F) -> Limbs {
    let repr = x.to_repr();
    let bytes: &[u8] = repr.as_ref();
    let mut out = [0; 8];
    let mut carry = 0;
    for (limb, chunk) in out.iter_mut().zip(bytes.chunks_exact(4)) {
        let sum = i64::from(u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]])) + carry;
        *limb = sum as i32;
        // Nothing is carried out of the last limb: the field has 255 bits.
        carry = (sum - i64::from(*limb)) >> 32;
    }
    out
}

/// `Σ_k lane_k·2^(32k)` in the field.
fn reduce(lanes: &Lanes) -> F {
    // The field's size is 2^254 + t, so 2^256 is −4t in it.
    const FOUR_T: u128 = 4 * 0x2246_98fc_0994_a8dd_8c46_eb21_0000_0001;
    let mut words = [0; 4];
    let mut carry = 0i128;
    for (word, pair) in words.iter_mut().zip(lanes.as_chunks::<2>().0) {
        carry += i128::from(pair[0]) + (i128::from(pair[1]) << 32);
        *word = carry as u64;
        carry >>= 64;
    }
    // |carry| ≤ 2^32
    let above = carry;
    carry = 0;
    for (k, word) in words.iter_mut().enumerate() {
        let part = if k < 2 {
            (FOUR_T >> (64 * k)) as u64
        } else {
            0
        };
        carry += i128::from(*word) - above * i128::from(part);
        *word = carry as u64;
        carry >>= 64;
    }
    let sum = F::from_raw(words);
    match carry {
        0 => sum,
        // Seldom: the sum is close to a multiple of 2^256.
        carry => sum - from_i64(carry as i64) * F::from_u128(FOUR_T),
    }
}

pub(crate) fn from_i64(x: i64) -> F {
    let magnitude = F::from(x.unsigned_abs());
    if x < 0 { -magnitude } else { magnitude }
}

#[inline(always)]
fn add_product(lanes: &mut Lanes, limbs: &Limbs, w: i32) {
    for (lane, limb) in lanes.iter_mut().zip(limbs) {
        *lane += i64::from(w) * i64::from(*limb);
    }
}

/// `lane[j] += Σ_r limbs[r]·rows[r][j]`, for rows of `len` entries one after the other.
struct AddRows<'a> {
    blocks: &'a mut [Block],
    len: usize,
    rows: &'a [i16],
    limbs: &'a [Limbs],
}

impl WithSimd for AddRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (block, lanes) in self.blocks.iter_mut().enumerate() {
            let first = COLUMNS * block;
            let rows = self.rows.chunks_exact(self.len).zip(self.limbs);
            if self.len - first < COLUMNS {
                for (row, limbs) in rows {
                    for (c, w) in row[first..].iter().enumerate() {
                        for (lanes, limb) in lanes.iter_mut().zip(limbs) {
                            lanes[c] += i64::from(*w) * i64::from(*limb);
                        }
                    }
                }
                return;
            }
            let (halves, _) = lanes.as_chunks_mut::<HALF>();
            for (half, lanes) in halves.iter_mut().enumerate() {
                let mut sums = *lanes;
                for (row, limbs) in rows.clone() {
                    let Some(weights) = row[first..].first_chunk::<COLUMNS>() else {
                        continue;
                    };
                    let Some(limbs) = limbs[HALF * half..].first_chunk::<HALF>() else {
                        continue;
                    };
                    for (sums, limb) in sums.iter_mut().zip(limbs) {
                        for (sum, w) in sums.iter_mut().zip(weights) {
                            *sum += i64::from(*w) * i64::from(*limb);
                        }
                    }
                }
                *lanes = sums;
            }
        }
    }
}

/// `lanes[r] += Σ_j rows[r][j]·vector[j]`.
struct AddProducts<'a> {
    lanes: &'a mut [Lanes; ROWS],
    rows: [&'a [i16]; ROWS],
    vector: &'a [Limbs],
}

impl WithSimd for AddProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let [a, b, c, d] = self.rows;
        let [mut p, mut q, mut r, mut s] = *self.lanes;
        for ((((v, a), b), c), d) in self.vector.iter().zip(a).zip(b).zip(c).zip(d) {
            add_product(&mut p, v, i32::from(*a));
            add_product(&mut q, v, i32::from(*b));
            add_product(&mut r, v, i32::from(*c));
            add_product(&mut s, v, i32::from(*d));
        }
        *self.lanes = [p, q, r, s];
    }
}

/// `lanes += Σ weights·vector[columns]`.
struct AddSparse<'a> {
    lanes: &'a mut Lanes,
    columns: &'a [u32],
    weights: &'a [i16],
    vector: &'a [Limbs],
}

impl WithSimd for AddSparse<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let mut sums = *self.lanes;
        for (j, w) in self.columns.iter().zip(self.weights) {
            add_product(&mut sums, &self.vector[*j as usize], i32::from(*w));
        }
        *self.lanes = sums;
    }
}

/// `Σ_rows coefficient·row[j]` for all columns `j` at once.
pub(super) struct ColumnSums {
    columns: usize,
    /// Column `j` is lane `j + OFFSET`: the weights of a map begin in column 1, and with a block.
    blocks: Vec<Block>,
    /// What is not in the lanes: field elements, and sums that were flushed before they could
    /// overflow.
    elements: Vec<F>,
    /// `Σ coefficient·bias` over the low and the high halves of biases of 32 bits.
    biases: [Lanes; 2],
    pending: usize,
}

const OFFSET: usize = COLUMNS - 1;

impl ColumnSums {
    pub(super) fn new(columns: usize) -> Self {
        Self {
            columns,
            blocks: vec![[[0; COLUMNS]; 8]; (columns + OFFSET).div_ceil(COLUMNS)],
            elements: vec![F::ZERO; columns],
            biases: [[0; 8]; 2],
            pending: 0,
        }
    }

    /// Makes room for so many products, [`CAPACITY`] at the most, in every lane.
    fn reserve(&mut self, products: usize) {
        if self.pending + products > CAPACITY {
            self.flush();
        }
        self.pending += products;
    }

    /// Adds `Σ_r coefficients[r]·row_(first + r)` of a map, the bias in column 0.
    pub(super) fn add_rows(&mut self, map: &AffineMap, first: usize, coefficients: &[F]) {
        let arch = Arch::new();
        let mut limbs_of = Vec::with_capacity(TOGETHER);
        for (chunk, coefficients) in coefficients.chunks(TOGETHER).enumerate() {
            let rows = first + TOGETHER * chunk..first + TOGETHER * chunk + coefficients.len();
            limbs_of.clear();
            limbs_of.extend(coefficients.iter().map(limbs));
            self.reserve(TOGETHER);
            let biases = map.bias()[rows.clone()].iter().zip(coefficients);
            for ((bias, coefficient), limbs) in biases.zip(&limbs_of) {
                match i32::try_from(*bias) {
                    Ok(bias) => {
                        let low = i32::from(bias as i16);
                        add_product(&mut self.biases[0], limbs, low);
                        add_product(
                            &mut self.biases[1],
                            limbs,
                            ((i64::from(bias) - i64::from(low)) >> 16) as i32,
                        );
                    }
                    Err(_) => self.elements[0] += *coefficient * from_i64(*bias),
                }
            }
            match map.dense_weights() {
                Some(weights) => {
                    let len = map.columns();
                    arch.dispatch(AddRows {
                        blocks: &mut self.blocks[1..][..len.div_ceil(COLUMNS)],
                        len,
                        rows: &weights[rows.start * len..rows.end * len],
                        limbs: &limbs_of,
                    });
                }
                None => {
                    for (i, limbs) in rows.zip(&limbs_of) {
                        self.add_entries(1, map.row(i).entries(), limbs);
                    }
                }
            }
        }
    }

    /// Adds `coefficient·stretch` at columns `from..`.
    pub(super) fn add(&mut self, from: usize, stretch: &Stretch<'_>, coefficient: &F) {
        self.reserve(1);
        let limbs = limbs(coefficient);
        match stretch.dense() {
            Some(weights) => {
                // Up to the next block one by one.
                let lane = from + OFFSET;
                let head = (lane.next_multiple_of(COLUMNS) - lane).min(weights.len());
                let (head, rest) = weights.split_at(head);
                self.add_entries(from, head.iter().copied().enumerate(), &limbs);
                if !rest.is_empty() {
                    let block = lane.div_ceil(COLUMNS);
                    Arch::new().dispatch(AddRows {
                        blocks: &mut self.blocks[block..][..rest.len().div_ceil(COLUMNS)],
                        len: rest.len(),
                        rows: rest,
                        limbs: &[limbs],
                    });
                }
            }
            None => self.add_entries(from, stretch.entries(), &limbs),
        }
    }

    fn add_entries(
        &mut self,
        from: usize,
        entries: impl Iterator<Item = (usize, i16)>,
        limbs: &Limbs,
    ) {
        for (j, w) in entries {
            let lane = from + OFFSET + j;
            let block = &mut self.blocks[lane / COLUMNS];
            for (lanes, limb) in block.iter_mut().zip(limbs) {
                lanes[lane % COLUMNS] += i64::from(w) * i64::from(*limb);
            }
        }
    }

    /// Adds a field element at one column.
    pub(super) fn add_element(&mut self, column: usize, value: F) {
        self.elements[column] += value;
    }

    fn flush(&mut self) {
        for (column, sum) in self.elements.iter_mut().enumerate() {
            let lane = column + OFFSET;
            let block = &mut self.blocks[lane / COLUMNS];
            let mut lanes = [0; 8];
            for (out, lanes) in lanes.iter_mut().zip(block) {
                *out = std::mem::take(&mut lanes[lane % COLUMNS]);
            }
            if lanes != [0; 8] {
                *sum += reduce(&lanes);
            }
        }
        if let Some(sum) = self.elements.first_mut() {
            let [low, high] = std::mem::take(&mut self.biases);
            *sum += reduce(&low) + F::from(1 << 16) * reduce(&high);
        }
        self.pending = 0;
    }

    /// The sums.
    pub(super) fn finish(mut self) -> Vec<F> {
        self.flush();
        debug_assert_eq!(self.elements.len(), self.columns);
        self.elements
    }
}

/// Column sums over parts of a bank, side by side; `add` adds some rows.
pub(super) fn sum_of_parts(
    parts: &[Vec<Rows<'_>>],
    columns: usize,
    add: impl Fn(&mut ColumnSums, &Rows<'_>) + Sync,
) -> Vec<F> {
    parts
        .par_iter()
        .map(|part| {
            let mut sums = ColumnSums::new(columns);
            part.iter().for_each(|rows| add(&mut sums, rows));
            sums.finish()
        })
        .reduce_with(|mut a, b| {
            a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
            a
        })
        .unwrap_or_else(|| vec![F::ZERO; columns])
}

/// `Σ_i weights[i]·row_i` of a map, the bias in column 0.
pub(crate) fn combined_rows(map: &AffineMap, weights: &[F]) -> Vec<F> {
    let rows = Rows {
        l: 0,
        map,
        rows: 0..map.rows().min(weights.len()),
    };
    let parts = split(std::iter::once(rows), rayon::current_num_threads());
    sum_of_parts(&parts, map.columns() + 1, |sums, part| {
        sums.add_rows(part.map, part.rows.start, &weights[part.rows.clone()]);
    })
}

/// Inner products of rows of integers with one vector of field elements.
pub(super) struct RowProducts {
    /// The first element is that of the bias.
    first: F,
    limbs: Vec<Limbs>,
}

impl RowProducts {
    /// Rows that share what is read.
    pub(super) const TOGETHER: usize = ROWS;

    /// `vector` has an element for the bias, then one for each column.
    pub(super) fn new(vector: &[F]) -> Self {
        Self {
            first: vector.first().copied().unwrap_or(F::ZERO),
            limbs: vector.iter().map(limbs).collect(),
        }
    }

    /// `out[r] = b_i·v_0 + Σ_j w_ij·v_(1 + j)` with `i = first + r`.
    pub(super) fn products(&self, map: &AffineMap, first: usize, out: &mut [F]) {
        let Some((bias_limbs, vector)) = self.limbs.split_first() else {
            return;
        };
        let vector = &vector[..map.columns()];
        for (chunk, out) in out.chunks_mut(ROWS).enumerate() {
            let start = first + ROWS * chunk;
            let biases = &map.bias()[start..start + out.len()];
            let mut lanes = [[0; 8]; ROWS];
            // One product of at most 2^62 beside the 2^15 of at most 2^46 each.
            for ((bias, lanes), out) in biases.iter().zip(&mut lanes).zip(out.iter_mut()) {
                *out = match i32::try_from(*bias) {
                    Ok(bias) => {
                        add_product(lanes, bias_limbs, bias);
                        F::ZERO
                    }
                    Err(_) => self.first * from_i64(*bias),
                };
            }
            let of_rows = match map.dense_weights() {
                Some(weights) => Self::dense(weights, start, vector, &mut lanes),
                None => {
                    let rows = start..start + out.len();
                    Self::sparse(rows.map(|i| map.row(i)), vector, &mut lanes)
                }
            };
            for ((out, lanes), sum) in out.iter_mut().zip(&lanes).zip(of_rows) {
                *out += sum + reduce(lanes);
            }
        }
    }

    /// Adds the products of up to [`ROWS`] rows to the lanes; what is flushed out of them.
    fn dense(
        weights: &[i16],
        first: usize,
        vector: &[Limbs],
        lanes: &mut [Lanes; ROWS],
    ) -> [F; ROWS] {
        let len = vector.len();
        let last = weights.len() / len - 1;
        let mut flushed = [F::ZERO; ROWS];
        // In the place of rows that are not there the last one is read, and not used.
        let rows = std::array::from_fn(|r| &weights[len * (first + r).min(last)..][..len]);
        for (chunk, vector) in vector.chunks(CAPACITY).enumerate() {
            if chunk > 0 {
                flush(lanes, &mut flushed);
            }
            Arch::new().dispatch(AddProducts {
                lanes,
                rows: rows.map(|row: &[i16]| &row[CAPACITY * chunk..][..vector.len()]),
                vector,
            });
        }
        flushed
    }

    /// The same for sparse rows.
    fn sparse<'a>(
        rows: impl Iterator<Item = Row<'a>>,
        vector: &[Limbs],
        lanes: &mut [Lanes; ROWS],
    ) -> [F; ROWS] {
        let mut flushed = [F::ZERO; ROWS];
        for ((row, lanes), flushed) in rows.zip(lanes).zip(&mut flushed) {
            let Row::Sparse(columns, weights) = row else {
                continue;
            };
            let chunks = columns.chunks(CAPACITY).zip(weights.chunks(CAPACITY));
            for (chunk, (columns, weights)) in chunks.enumerate() {
                if chunk > 0 {
                    *flushed += reduce(lanes);
                    *lanes = [0; 8];
                }
                Arch::new().dispatch(AddSparse {
                    lanes,
                    columns,
                    weights,
                    vector,
                });
            }
        }
        flushed
    }
}

/// Moves what is in the lanes to the field elements.
fn flush(lanes: &mut [Lanes], flushed: &mut [F]) {
    for (lanes, flushed) in lanes.iter_mut().zip(flushed) {
        *flushed += reduce(lanes);
        *lanes = [0; 8];
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_core::{OsRng, RngCore};

    /// Dense and sparse storage of the same rows.
    fn maps(columns: usize, rows: &[Vec<i16>], bias: &[i64]) -> [AffineMap; 2] {
        let entries = rows.iter().map(|row| (0..).zip(row.iter().copied()));
        [
            AffineMap::new(columns, rows.concat(), bias.to_vec()).unwrap(),
            AffineMap::sparse(columns, entries, bias.to_vec()).unwrap(),
        ]
    }

    fn arb_rows() -> impl Strategy<Value = (usize, Vec<Vec<i16>>, Vec<i64>)> {
        let weight = prop_oneof![Just(0i16), Just(i16::MIN), Just(i16::MAX), any::<i16>()];
        (1usize..40, 1usize..70).prop_flat_map(move |(columns, rows)| {
            (
                Just(columns),
                prop::collection::vec(prop::collection::vec(weight.clone(), columns), rows),
                prop::collection::vec(prop_oneof![any::<i64>(), -5i64..5], rows),
            )
        })
    }

    fn elements(count: usize) -> Vec<F> {
        (0..count).map(|_| F::random(OsRng)).collect()
    }

    proptest! {
        #[test]
        fn row_products_equal_plain_field_arithmetic((columns, rows, bias) in arb_rows(), first in 0usize..70) {
            let v = elements(columns + 3);
            let first = first % rows.len();
            let expected: Vec<F> = rows.iter().zip(&bias).skip(first).map(|(row, b)| {
                let products = row.iter().zip(&v[1..]).map(|(w, v)| from_i64(i64::from(*w)) * v);
                from_i64(*b) * v[0] + products.sum::<F>()
            }).collect();
            for map in maps(columns, &rows, &bias) {
                let mut out = vec![F::ONE; rows.len() - first];
                RowProducts::new(&v).products(&map, first, &mut out);
                prop_assert_eq!(&out, &expected);
            }
        }

        #[test]
        fn column_sums_of_maps_equal_plain_field_arithmetic((columns, rows, bias) in arb_rows(), first in 0usize..70) {
            let first = first % rows.len();
            let c = elements(rows.len() - first);
            let mut expected = vec![F::ZERO; columns + 4];
            for ((row, b), c) in rows.iter().zip(&bias).skip(first).zip(&c) {
                expected[0] += from_i64(*b) * c;
                for (sum, w) in expected[1..].iter_mut().zip(row) {
                    *sum += from_i64(i64::from(*w)) * c;
                }
            }
            for map in maps(columns, &rows, &bias) {
                let mut sums = ColumnSums::new(columns + 4);
                sums.add_rows(&map, first, &c);
                prop_assert_eq!(sums.finish(), expected.clone());
            }
        }

        #[test]
        fn column_sums_of_stretches_equal_plain_field_arithmetic(
            (columns, rows, bias) in arb_rows(),
            places in prop::collection::vec((0usize..40, 0usize..40, 0usize..20), 70),
        ) {
            let c = elements(rows.len());
            for map in maps(columns, &rows, &bias) {
                let mut sums = ColumnSums::new(columns + 20);
                let mut expected = vec![F::ZERO; columns + 20];
                for (i, ((row, (a, b, from)), c)) in rows.iter().zip(&places).zip(&c).enumerate() {
                    let (a, b) = (a % (columns + 1), b % (columns + 1));
                    let range = a.min(b)..a.max(b);
                    sums.add(*from, &map.row(i).stretch(range.clone()), c);
                    for (k, w) in row[range].iter().enumerate() {
                        expected[from + k] += from_i64(i64::from(*w)) * c;
                    }
                }
                sums.add_element(3, F::ONE);
                expected[3] += F::ONE;
                prop_assert_eq!(sums.finish(), expected);
            }
        }
    }

    /// All bytes of its limbs are as large as they can be.
    fn widest() -> F {
        (0..8).fold(F::ZERO, |x, k| {
            let limb = if k == 0 { (1 << 30) - 1 } else { 1u64 << 31 };
            x * F::from(1 << 32)
                + if k == 0 {
                    F::from(limb)
                } else {
                    -F::from(limb)
                }
        })
    }

    #[test]
    fn the_largest_products_do_not_overflow_before_the_flush() {
        let count = CAPACITY + 3;
        let limbs = limbs(&widest());
        assert_eq!(limbs[..7], [i32::MIN; 7]);
        for c in [-F::ONE, widest()] {
            for w in [i16::MIN, i16::MAX] {
                for bias in [i64::from(i32::MIN), i64::from(i32::MAX), i64::MIN] {
                    let of_one = from_i64(w.into()) * c;
                    let tall = AffineMap::new(1, vec![w; count], vec![bias; count]).unwrap();
                    let mut sums = ColumnSums::new(2);
                    sums.add_rows(&tall, 0, &vec![c; count]);
                    let count_of = F::from(count as u64);
                    let expected = vec![count_of * from_i64(bias) * c, count_of * of_one];
                    assert_eq!(sums.finish(), expected);

                    let entries = [(0..).zip(vec![w; count])];
                    for wide in [
                        AffineMap::new(count, vec![w; count], vec![bias]).unwrap(),
                        AffineMap::sparse(count, entries, vec![bias]).unwrap(),
                    ] {
                        let mut out = [F::ZERO];
                        RowProducts::new(&vec![c; count + 1]).products(&wide, 0, &mut out);
                        assert_eq!(out[0], count_of * of_one + from_i64(bias) * c);
                    }
                }
            }
        }
    }

    #[test]
    fn the_widest_lanes_reduce_exactly() {
        let one = |k: usize, lane| std::array::from_fn(|i| if i == k { lane } else { 0 });
        let alone = (0..8).flat_map(|k| [i64::MIN, -1, 1, i64::MAX].map(|lane| one(k, lane)));
        let equal = [i64::MIN, -1, 0, i64::MAX].map(|lane| [lane; 8]);
        let random = (0..1000).map(|_| std::array::from_fn(|_| OsRng.next_u64().cast_signed()));
        for lanes in equal.into_iter().chain(alone).chain(random) {
            let mut expected = F::ZERO;
            for lane in lanes.iter().rev() {
                expected = expected * F::from(1 << 32) + from_i64(*lane);
            }
            assert_eq!(reduce(&lanes), expected);
        }
    }
}
