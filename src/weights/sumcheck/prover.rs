//! The prover: two passes over the stored integers, then tables of field elements whose size does
//! not depend on the number of weights in a row (protocol notes, 10).

use std::collections::BTreeMap;

use ff::Field;
use layerfold_gadgets::{
    mle::{eq_evals, eq_native, evaluate_native},
    sumcheck::RoundValues,
    transcript::Transcript,
};
use rayon::prelude::*;

use super::{AffineInstance, StepProof};
use crate::{
    backend::F,
    program::BankDimensions,
    weights::{
        Mask, SplitPoint, WeightBank, WeightClaim,
        delayed::{ColumnSums, RowProducts, from_i64},
    },
};

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
        let mut constant = F::ZERO;
        let mut quadratic = F::ZERO;
        for k in 0..half {
            constant += a0[k] * b0[k];
            quadratic += (a1[k] - a0[k]) * (b1[k] - b0[k]);
        }
        (constant, quadratic)
    }

    fn bind(&mut self, r: F) {
        bind(&mut self.a, r);
        bind(&mut self.b, r);
    }
}

fn bind(table: &mut Vec<F>, r: F) {
    let half = table.len() / 2;
    let (low, high) = table.split_at_mut(half);
    for (low, high) in low.iter_mut().zip(high) {
        *low += r * (*high - *low);
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
    seed: F,
) -> Option<StepProof> {
    let p = SplitPoint::new(&claim.point, dimensions)?;
    let (transcript, rho) = Transcript::new(dimensions.rounds() as u32, seed);
    let mut rounds = Rounds {
        transcript,
        messages: Vec::with_capacity(dimensions.rounds()),
    };
    let columns = 1usize << dimensions.nu;
    let row_powers: Vec<F> = std::iter::successors(Some(F::ONE), |power| Some(*power * rho))
        .take(1 << dimensions.mu)
        .collect();
    let block = row_powers[row_powers.len() - 1] * rho;
    // c_k = ρ^(1 + (k−1)·2^μ)
    let separators: Vec<F> = std::iter::successors(Some(rho), |c| Some(*c * block))
        .take(operations.len())
        .collect();
    let eq_l = eq_evals(p.l);
    let eq_i = eq_evals(p.i);

    // Pass 1: per column, the old claim's combination of all rows, and each map's rows weighted
    // by the powers of ρ. A map that several products use is read once: its inputs are summed.
    let inputs = inputs_by_map(operations, &separators, columns);
    let (old, new) = rayon::join(
        || old_claim_columns(bank, mask, &p, &eq_l, &eq_i, columns),
        || {
            inputs
                .par_iter()
                .map(|(map, _)| product_columns(bank, *map, &row_powers, columns))
                .collect::<Vec<_>>()
        },
    );
    let mut pairs = vec![Pair {
        a: old,
        b: eq_evals(p.j),
    }];
    let (maps, inputs): (Vec<u64>, Vec<Vec<F>>) = inputs.into_iter().unzip();
    pairs.extend(new.into_iter().zip(inputs).map(|(a, b)| Pair { a, b }));

    let mut r_j = Vec::with_capacity(p.j.len());
    for _ in 0..dimensions.nu {
        let (mut a, mut c) = (F::ZERO, F::ZERO);
        for pair in &pairs {
            let (constant, quadratic) = pair.message();
            a += constant;
            c += quadratic;
        }
        let r = rounds.next(a, c);
        pairs.iter_mut().for_each(|pair| pair.bind(r));
        r_j.push(r);
    }

    // Pass 2: one value per row.
    let eq_r_j = eq_evals(&r_j);
    let rows = row_values(bank, dimensions, &eq_r_j);
    let eq_j = eq_native(p.j, &r_j);
    let mut bracket = vec![F::ZERO; rows.len()];
    let kept = (F::ONE - p.t) * eq_j;
    for (bracket, eq_l) in bracket.chunks_mut(eq_i.len()).zip(&eq_l) {
        let scale = kept * eq_l;
        for (bracket, eq_i) in bracket.iter_mut().zip(&eq_i) {
            *bracket = scale * eq_i;
        }
    }
    // After the rounds over j, the second table of a map's pair is Σ c·x~(r_j) over its products.
    let inputs = pairs[1..].iter().map(|pair| pair.b[0]);
    for (input, map) in inputs.zip(maps) {
        let start = map as usize * eq_i.len();
        for (bracket, power) in bracket[start..].iter_mut().zip(&row_powers) {
            *bracket += input * power;
        }
    }
    let mut rows = Pair {
        a: rows,
        b: bracket,
    };
    let mut mask_row = MaskRow {
        entry: evaluate_native(&mask.row, &r_j),
        bracket: p.t * eq_j,
    };
    let row_point: Vec<F> = p.l.iter().chain(p.i).copied().collect();
    let mut rest = suffix_products(&row_point);
    let mut r_rows = Vec::with_capacity(row_point.len());
    for coordinate in &row_point {
        let rest = rest.pop().unwrap_or(F::ONE);
        let (a, c) = rows.message();
        let (mask_a, mask_c) = mask_row.message(*coordinate, rest);
        let r = rounds.next(a + mask_a, c + mask_c);
        rows.bind(r);
        mask_row.bind(*coordinate, r);
        r_rows.push(r);
    }
    let last = Pair {
        a: vec![rows.a[0], mask_row.entry],
        b: vec![rows.b[0], mask_row.bracket],
    };
    let (a, c) = last.message();
    let r_t = rounds.next(a, c);
    let value = last.a[0] + r_t * (last.a[1] - last.a[0]);

    let point = std::iter::once(r_t).chain(r_rows).chain(r_j).collect();
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
    let mut sums = ColumnSums::new(columns);
    let keep = F::ONE - p.t;
    // The first step's claim has P_t = 1: the bank has no part in it.
    if keep != F::ZERO {
        for (l, map) in bank.indexed() {
            let scale = keep * eq_l[l];
            for (i, (bias, eq_i)) in map.bias().iter().zip(eq_i).enumerate() {
                let coefficient = scale * eq_i;
                sums.add(1, map.row(i), &coefficient);
                sums.add_element(0, coefficient * from_i64(*bias));
            }
        }
    }
    let coefficient = p.t * eq_l[0] * eq_i[0];
    for (j, m) in mask.row.iter().enumerate() {
        sums.add_element(j, coefficient * m);
    }
    sums.finish()
}

/// `Z(j) = Σ_i ρ^i·W(l, i, j)`; zero beyond the last map.
fn product_columns(bank: &WeightBank, map: u64, row_powers: &[F], columns: usize) -> Vec<F> {
    let Some(map) = bank.maps().get(map as usize) else {
        return vec![F::ZERO; columns];
    };
    let mut sums = ColumnSums::new(columns);
    for (i, (bias, power)) in map.bias().iter().zip(row_powers).enumerate() {
        sums.add(1, map.row(i), power);
        sums.add_element(0, *power * from_i64(*bias));
    }
    sums.finish()
}

/// For each map that products use, in ascending order, `Σ c·x(j)` over those products, `x` with the
/// constant in front.
fn inputs_by_map(
    operations: &[AffineInstance<'_>],
    separators: &[F],
    columns: usize,
) -> Vec<(u64, Vec<F>)> {
    let mut inputs: BTreeMap<u64, Vec<F>> = BTreeMap::new();
    for (operation, c) in operations.iter().zip(separators) {
        for product in &operation.products {
            let sum = inputs
                .entry(product.map)
                .or_insert_with(|| vec![F::ZERO; columns]);
            if product.with_bias {
                sum[0] += c;
            }
            // The bank has no column for entries beyond.
            for (sum, x) in sum[1..].iter_mut().zip(product.input) {
                if *x != 0 {
                    *sum += c * from_i64(*x);
                }
            }
        }
    }
    inputs.into_iter().collect()
}

/// `A(l, i) = Σ_j W(l, i, j)·eq(r_j, j)` over the whole table of `(l, i)`.
fn row_values(bank: &WeightBank, dimensions: &BankDimensions, eq_r_j: &[F]) -> Vec<F> {
    let products = RowProducts::new(eq_r_j);
    let per_map = 1usize << dimensions.mu;
    let mut rows = vec![F::ZERO; per_map << dimensions.lambda];
    rows.par_chunks_mut(per_map)
        .zip(bank.maps())
        .for_each(|(rows, map)| {
            for (i, (row, bias)) in rows.iter_mut().zip(map.bias()).enumerate() {
                *row = products.product(1, map.row(i)) + eq_r_j[0] * from_i64(*bias);
            }
        });
    rows
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
