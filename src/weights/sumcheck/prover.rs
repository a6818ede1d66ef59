//! The prover: two passes over the stored integers, then tables of field elements whose size does
//! not depend on the number of weights in a row (protocol notes, 10).

use std::collections::{BTreeMap, BTreeSet};

use ff::Field;
use layerfold_gadgets::{
    mle::{eq_evals, eq_native, evaluate_native},
    sumcheck::RoundValues,
    transcript::Transcript,
};
use rayon::prelude::*;

use super::{AffineInstance, StepProof, window::Strides};
use crate::{
    backend::F,
    program::{
        BankDimensions, WeightBank,
        weights::{AffineMap, Rows, split},
    },
    weights::{
        Mask, SplitPoint, WeightClaim,
        delayed::{RowProducts, from_i64, sum_of_parts},
        window::columns as columns_under,
    },
};

/// Entries of a table that are worth a task of their own.
const TASK: usize = 1 << 11;

/// Two tables whose product is summed.
struct Pair {
    a: Vec<F>,
    b: Vec<F>,
}

impl Pair {
    /// Constant and quadratic coefficient of `Σ a(X)·b(X)` over the most significant variable.
    fn message(&self) -> (F, F) {
        let half = self.a.len() / 2;
        let (a0, a1) = self.a.split_at(half);
        let (b0, b1) = self.b.split_at(half);
        let part = |start: usize| {
            let end = half.min(start + TASK);
            let mut constant = F::ZERO;
            let mut quadratic = F::ZERO;
            for k in start..end {
                constant += a0[k] * b0[k];
                quadratic += (a1[k] - a0[k]) * (b1[k] - b0[k]);
            }
            (constant, quadratic)
        };
        if half <= TASK {
            return part(0);
        }
        let parts = (0..half).into_par_iter().step_by(TASK).map(part);
        parts.reduce(|| (F::ZERO, F::ZERO), add)
    }

    fn bind(&mut self, r: F) {
        bind(&mut self.a, r);
        bind(&mut self.b, r);
    }
}

fn add((a, c): (F, F), (b, d): (F, F)) -> (F, F) {
    (a + b, c + d)
}

/// The message of a sum of products.
fn message(pairs: &[Pair]) -> (F, F) {
    let of = |pairs: &[Pair]| {
        pairs
            .iter()
            .map(Pair::message)
            .fold((F::ZERO, F::ZERO), add)
    };
    pairs
        .par_chunks(pairs_together(pairs))
        .map(of)
        .reduce(|| (F::ZERO, F::ZERO), add)
}

fn bind_all(pairs: &mut [Pair], r: F) {
    pairs
        .par_chunks_mut(pairs_together(pairs))
        .for_each(|pairs| pairs.iter_mut().for_each(|pair| pair.bind(r)));
}

/// How many pairs are worth a task.
fn pairs_together(pairs: &[Pair]) -> usize {
    let half = pairs.first().map_or(0, |pair| pair.a.len() / 2);
    TASK.div_ceil(half.max(1))
}

fn bind(table: &mut Vec<F>, r: F) {
    let half = table.len() / 2;
    let (low, high) = table.split_at_mut(half);
    let part = |(low, high): (&mut [F], &[F])| {
        for (low, high) in low.iter_mut().zip(high) {
            *low += r * (*high - *low);
        }
    };
    if half <= TASK {
        part((low, high));
    } else {
        low.par_chunks_mut(TASK)
            .zip(high.par_chunks(TASK))
            .for_each(part);
    }
    table.truncate(half);
}

/// The part of the tables in `t = 1` while the row variables are bound: the masked bank has one
/// entry there, at `(l, i) = (0, 0)`, and the bracket is `P_t·eq`, a tensor.
struct MaskRow {
    entry: F,
    bracket: F,
}

impl MaskRow {
    /// `rest` is `Π (1 − p)` over the coordinates that stay unbound.
    fn message(&self, p: F, rest: F) -> (F, F) {
        let b0 = self.bracket * (F::ONE - p) * rest;
        let b1 = self.bracket * p * rest;
        (self.entry * b0, -self.entry * (b1 - b0))
    }

    fn bind(&mut self, p: F, r: F) {
        self.entry *= F::ONE - r;
        self.bracket *= eq_native(&[p], &[r]);
    }
}

/// The transcript, the messages and the challenges so far.
struct Rounds {
    transcript: Transcript<F>,
    messages: Vec<RoundValues<F>>,
}

impl Rounds {
    fn next(&mut self, a: F, c: F) -> F {
        self.messages.push(RoundValues { a, c });
        self.transcript.challenge(a, c)
    }
}

/// Proves the products of a step and the old claim, in `d` rounds.
///
/// With false products the messages are still those of the true polynomial; the claim that comes
/// out is then false, which is what the opening catches.
pub(crate) fn prove(
    bank: &WeightBank,
    dimensions: &BankDimensions,
    mask: &Mask,
    claim: &WeightClaim,
    operations: &[AffineInstance<'_>],
    separation: u32,
    seed: F,
) -> Option<StepProof> {
    let p = SplitPoint::new(&claim.point, dimensions)?;
    let (transcript, rho) = Transcript::new(dimensions.rounds() as u32, seed);
    let mut rounds = Rounds {
        transcript,
        messages: Vec::with_capacity(dimensions.rounds()),
    };
    let columns = 1usize << dimensions.nu;
    let power = |exponent: u64| rho.pow_vartime([exponent]);
    let block = power(1 << separation);
    // c_k = ρ^(1 + (k−1)·2^s)
    let separators: Vec<F> = std::iter::successors(Some(rho), |c| Some(*c * block))
        .take(operations.len())
        .collect();
    let eq_l = eq_evals(p.l);
    let eq_i = eq_evals(p.i);

    // Pass 1: per column, the old claim's combination of all rows, and each map's rows weighted
    // by the powers of ρ. A map that several products use is read once: its inputs are summed, if its
    // rows are as far apart among their results.
    let inputs = inputs_by_map(operations, &separators, columns, dimensions.mu, power);
    let strides: BTreeSet<u64> = inputs.keys().map(|(stride, _)| *stride).collect();
    let powers_of_rows: BTreeMap<u64, Vec<F>> = strides
        .into_iter()
        .map(|stride| {
            let base = power(stride);
            let powers = std::iter::successors(Some(F::ONE), |power| Some(*power * base));
            (stride, powers.take(1 << dimensions.mu).collect())
        })
        .collect();
    let (old, new) = rayon::join(
        || old_claim_columns(bank, mask, &p, &eq_l, &eq_i, columns),
        || {
            inputs
                .par_iter()
                .map(|((stride, map), _)| {
                    product_columns(bank, *map, &powers_of_rows[stride], columns)
                })
                .collect::<Vec<_>>()
        },
    );
    let mut pairs = vec![Pair {
        a: old,
        b: eq_evals(p.j),
    }];
    let (maps, inputs): (Vec<(u64, u64)>, Vec<Vec<F>>) = inputs.into_iter().unzip();
    pairs.extend(new.into_iter().zip(inputs).map(|(a, b)| Pair { a, b }));

    let mut r_j = Vec::with_capacity(p.j.len());
    for _ in 0..dimensions.nu {
        let (a, c) = message(&pairs);
        let r = rounds.next(a, c);
        bind_all(&mut pairs, r);
        r_j.push(r);
    }

    // Pass 2: one value per row.
    let rows = row_values(bank, &eq_evals(&r_j));
    let eq_j = eq_native(p.j, &r_j);
    let mut mask_row = MaskRow {
        entry: evaluate_native(&mask.row, &r_j),
        bracket: p.t * eq_j,
    };
    let row_point: Vec<F> = p.l.iter().chain(p.i).copied().collect();
    let mut rest = suffix_products(&row_point);
    let mut round_with_mask = |(a, c): (F, F), coordinate: F| {
        let rest = rest.pop().unwrap_or(F::ONE);
        let (mask_a, mask_c) = mask_row.message(coordinate, rest);
        let r = rounds.next(a + mask_a, c + mask_c);
        mask_row.bind(coordinate, r);
        r
    };

    // The bracket is `kept·eq(P_l, l)·eq(P_i, i) + Σ_s sel_s(l)·pow_s(i)`, where `sel_s` is Σ c·x~(r_j)
    // over the products with map `l` whose rows are `s` apart. In the rounds over `l` the factors in
    // `i` stay as they are, so that the rows of a map come to one value for each of them.
    let kept = (F::ONE - p.t) * eq_j;
    let mut next = vec![Pair {
        a: rows_by_map(&rows, &eq_i, eq_l.len()),
        b: eq_l.iter().map(|eq| kept * eq).collect(),
    }];
    for (stride, powers) in &powers_of_rows {
        let mut selected = vec![F::ZERO; eq_l.len()];
        // After the rounds over j, the second table of a map's pair is that sum.
        for (pair, (own, map)) in pairs[1..].iter().zip(&maps) {
            if own == stride {
                selected[*map as usize] += pair.b[0];
            }
        }
        next.push(Pair {
            a: rows_by_map(&rows, powers, eq_l.len()),
            b: selected,
        });
    }
    let mut pairs = next;
    let mut r_l = Vec::with_capacity(p.l.len());
    for coordinate in p.l {
        let r = round_with_mask(message(&pairs), *coordinate);
        bind_all(&mut pairs, r);
        r_l.push(r);
    }
    let factors = [&eq_i].into_iter().chain(powers_of_rows.values());
    let mut bracket = vec![F::ZERO; eq_i.len()];
    for (pair, factors) in pairs.iter().zip(factors) {
        for (sum, factor) in bracket.iter_mut().zip(factors) {
            *sum += pair.b[0] * factor;
        }
    }
    let mut rows = Pair {
        a: bind_maps(&rows, &eq_evals(&r_l), eq_i.len()),
        b: bracket,
    };
    let mut r_i = Vec::with_capacity(p.i.len());
    for coordinate in p.i {
        let r = round_with_mask(rows.message(), *coordinate);
        rows.bind(r);
        r_i.push(r);
    }
    let last = Pair {
        a: vec![rows.a[0], mask_row.entry],
        b: vec![rows.b[0], mask_row.bracket],
    };
    let (a, c) = last.message();
    let r_t = rounds.next(a, c);
    let value = last.a[0] + r_t * (last.a[1] - last.a[0]);

    let rows = r_l.into_iter().chain(r_i);
    let point = std::iter::once(r_t).chain(rows).chain(r_j).collect();
    Some(StepProof {
        messages: rounds.messages,
        claim: WeightClaim { point, value },
    })
}

/// `U(j) = Σ_hi eq(P_hi, hi)·Ŵ(hi, j)`, the mask's row included.
fn old_claim_columns(
    bank: &WeightBank,
    mask: &Mask,
    p: &SplitPoint<'_>,
    eq_l: &[F],
    eq_i: &[F],
    columns: usize,
) -> Vec<F> {
    let keep = F::ONE - p.t;
    // The first step's claim has P_t = 1: the bank has no part in it.
    let mut columns = if keep == F::ZERO {
        vec![F::ZERO; columns]
    } else {
        let parts = bank.parts(rayon::current_num_threads());
        sum_of_parts(&parts, columns, |sums, part| {
            let scale = keep * eq_l[part.l];
            let eq_i = eq_i[part.rows.clone()].iter();
            let coefficients: Vec<F> = eq_i.map(|eq| scale * eq).collect();
            sums.add_rows(part.map, part.rows.start, &coefficients);
        })
    };
    let coefficient = p.t * eq_l[0] * eq_i[0];
    for (sum, m) in columns.iter_mut().zip(&mask.row) {
        *sum += coefficient * m;
    }
    columns
}

/// `Z(j) = Σ_i ρ^i·W(l, i, j)`; zero beyond the last map.
fn product_columns(bank: &WeightBank, map: u64, row_powers: &[F], columns: usize) -> Vec<F> {
    let Some(map) = bank.maps().get(map as usize) else {
        return vec![F::ZERO; columns];
    };
    let rows = Rows {
        l: 0,
        map,
        rows: 0..map.rows(),
    };
    let parts = split(std::iter::once(rows), rayon::current_num_threads());
    sum_of_parts(&parts, columns, |sums, part| {
        sums.add_rows(part.map, part.rows.start, &row_powers[part.rows.clone()]);
    })
}

/// For each map that products use and each distance of its rows among their results, `Σ c·x(j)` over
/// those products, `x` with the constant in front; under a window, summed over positions with their
/// powers.
fn inputs_by_map(
    operations: &[AffineInstance<'_>],
    separators: &[F],
    columns: usize,
    mu: u32,
    power: impl Fn(u64) -> F,
) -> BTreeMap<(u64, u64), Vec<F>> {
    let mut inputs: BTreeMap<(u64, u64), Vec<F>> = BTreeMap::new();
    for (operation, c) in operations.iter().zip(separators) {
        for product in &operation.products {
            let strides = Strides::of(product.window, mu);
            let sum = inputs
                .entry((strides.row, product.map))
                .or_insert_with(|| vec![F::ZERO; columns]);
            let Some(window) = product.window else {
                if product.with_bias {
                    sum[0] += c;
                }
                // The bank has no column for entries beyond.
                for (sum, x) in sum[1..].iter_mut().zip(product.input) {
                    if *x != 0 {
                        *sum += c * from_i64(*x);
                    }
                }
                continue;
            };
            let base = power(strides.position);
            let weights: Vec<F> = std::iter::successors(Some(*c), |weight| Some(*weight * base))
                .take(window.positions())
                .collect();
            if product.with_bias {
                sum[0] += weights.iter().sum::<F>();
            }
            let mut entries: Vec<F> = product.input.iter().map(|x| from_i64(*x)).collect();
            entries.resize(window.len(), F::ZERO);
            let under = columns_under(window, &weights, &entries);
            for (sum, x) in sum[1..].iter_mut().zip(under) {
                *sum += x;
            }
        }
    }
    inputs
}

/// `A(l, i) = Σ_j W(l, i, j)·eq(r_j, j)` for the rows of every map.
fn row_values(bank: &WeightBank, eq_r_j: &[F]) -> Vec<Vec<F>> {
    /// Weights of a task.
    const WEIGHTS: usize = 1 << 15;
    let products = RowProducts::new(eq_r_j);
    let of_map = |map: &AffineMap| {
        let mut rows = vec![F::ZERO; map.rows()];
        let per_row = map.weights_stored().len() / map.rows() + 1;
        let together = WEIGHTS
            .div_ceil(per_row)
            .next_multiple_of(RowProducts::TOGETHER);
        rows.par_chunks_mut(together)
            .enumerate()
            .for_each(|(chunk, out)| products.products(map, together * chunk, out));
        rows
    };
    bank.maps().par_iter().map(|m| of_map(m)).collect()
}

/// `Σ_i A(l, i)·factors(i)` for every `l`, zero beyond the last map.
fn rows_by_map(rows: &[Vec<F>], factors: &[F], maps: usize) -> Vec<F> {
    let of_map = |rows: &Vec<F>| rows.iter().zip(factors).map(|(row, f)| *row * f).sum();
    let mut sums: Vec<F> = rows.par_iter().map(of_map).collect();
    sums.resize(maps, F::ZERO);
    sums
}

/// `Σ_l eq(r_l, l)·A(l, i)` for `2^μ` rows `i`.
fn bind_maps(rows: &[Vec<F>], eq_r_l: &[F], count: usize) -> Vec<F> {
    const ROWS: usize = 64;
    let mut out = vec![F::ZERO; count];
    out.par_chunks_mut(ROWS)
        .enumerate()
        .for_each(|(chunk, out)| {
            for (rows, eq) in rows.iter().zip(eq_r_l) {
                let rows = rows.get(ROWS * chunk..).unwrap_or_default();
                for (out, row) in out.iter_mut().zip(rows) {
                    *out += *eq * row;
                }
            }
        });
    out
}

/// `Π_{k' > k} (1 − p_k')` for every `k`, the last first, so that they can be popped in order.
fn suffix_products(point: &[F]) -> Vec<F> {
    let mut product = F::ONE;
    let mut out = Vec::with_capacity(point.len());
    for p in point.iter().rev() {
        out.push(product);
        product *= F::ONE - p;
    }
    out
}
