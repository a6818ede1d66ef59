//! One sumcheck that brings all claims about the trace, and the one about the bank, to one point
//! (protocol notes, 13.9).

use std::collections::HashMap;

use ff::Field;
use halo2curves::pasta::PallasAffine;
use layerfold_gadgets::mle::{eq_evals, eq_index_native};
use rand_core::OsRng;
use rayon::prelude::*;

use super::{
    TraceError,
    equation::{Axes, Axis, Functional, element},
    key::MessageKey,
    layout::{Layout, Place},
    message::{Channel, Combination},
    products::Claim,
    system::Size,
};
use crate::backend::F;

/// An equation `⟨w, combination⟩ + trace·V_Z + bank·V_W = 0`.
pub(crate) struct LinearEquation {
    pub(crate) combination: Combination,
    pub(crate) trace: F,
    pub(crate) bank: F,
}

impl From<Combination> for LinearEquation {
    fn from(combination: Combination) -> Self {
        Self {
            combination,
            trace: F::ZERO,
            bank: F::ZERO,
        }
    }
}

/// The point, and commitments to the values there.
pub(crate) struct Point {
    /// `p_row`, `p_col`.
    pub(crate) row: Vec<F>,
    pub(crate) column: Vec<F>,
    /// `C_Z`, `C_W`.
    pub(crate) values: [PallasAffine; 2],
    pub(crate) equation: LinearEquation,
    pub(crate) secret: Option<Secret>,
}

/// What a prover knows of it.
pub(crate) struct Secret {
    /// `u_Z` and `u_W`.
    pub(crate) rows: [Vec<F>; 2],
    /// `V_Z`, `V_W`, and the blinds of their commitments.
    pub(crate) values: [F; 2],
    pub(crate) blinds: [F; 2],
}

/// Of a prover: the trace, and the combined row of the bank.
pub(crate) struct Vectors<'a> {
    pub(crate) key: &'a MessageKey,
    pub(crate) trace: &'a [i64],
    pub(crate) bank: Vec<F>,
}

/// All claims as one functional.
pub(crate) fn merge(claims: &[Claim], gamma: F) -> (Functional, Combination, F) {
    let mut functional = Functional::default();
    let mut value = Combination::default();
    let mut power = F::ONE;
    for claim in claims {
        for (term, factor) in &claim.functional.terms {
            *functional.terms.entry(*term).or_insert(F::ZERO) += power * factor;
        }
        value.add(&claim.value, power);
        power *= gamma;
    }
    (functional, value, power)
}

/// The functional's coefficients for every cell of the trace.
pub(crate) fn coefficients(functional: &Functional, axes: &Axes, layout: &Layout) -> Vec<F> {
    // For every column and vector of frames, the sum of the vectors of entries.
    let mut by_column: Vec<Vec<(Axis, Vec<F>)>> = vec![Vec::new(); layout.places.len()];
    let mut terms: Vec<_> = functional.terms.iter().collect();
    terms.sort_unstable_by_key(|(key, _)| **key);
    for ((column, time, entry), factor) in terms {
        let sums = &mut by_column[*column];
        if sums.last().is_none_or(|(axis, _)| axis != time) {
            sums.push((*time, vec![F::ZERO; layout.places[*column].size.len]));
        }
        if let Some((_, sum)) = sums.last_mut() {
            for (sum, e) in sum.iter_mut().zip(axes.vector(*entry)) {
                *sum += *factor * e;
            }
        }
    }
    let mut out = vec![F::ZERO; layout.reach()];
    for (place, sums) in layout.places.iter().zip(by_column) {
        for (time, entries) in sums {
            for (t, weight) in axes.vector(time).iter().enumerate() {
                if *weight == F::ZERO {
                    continue;
                }
                for (i, e) in entries.iter().enumerate() {
                    out[place.cell(t, i)] += *weight * e;
                }
            }
        }
    }
    out
}

/// `v~(p)`.
fn evaluate(functional: &Functional, axes: &Axes, layout: &Layout, point: &[F]) -> F {
    let mut tables: HashMap<Vec<usize>, Vec<F>> = HashMap::new();
    let mut products: HashMap<(Axis, Vec<usize>, Size), F> = HashMap::new();
    // Of vectors over the features of a box of this size.
    let mut inner = |axis: Axis, coordinates: Vec<usize>, size: Size| {
        *products
            .entry((axis, coordinates.clone(), size))
            .or_insert_with(|| {
                let table = tables.entry(coordinates).or_insert_with_key(|coordinates| {
                    let point: Vec<F> = coordinates.iter().map(|k| point[*k]).collect();
                    eq_evals(&point)
                });
                let vector = axes.vector(axis).iter().enumerate();
                vector.map(|(i, a)| *a * table[size.padded(i)]).sum()
            })
    };
    let mut sum = F::ZERO;
    for ((column, time, entry), factor) in &functional.terms {
        let place: &Place = &layout.places[*column];
        let start = layout.trace_bits - place.bits;
        let mut weight =
            *factor * eq_index_native((place.offset >> place.bits) as u64, &point[..start]);
        let own = place.size.bits();
        let gap = start + own - place.low..start + own - place.low + place.bits - own;
        for k in gap.clone() {
            weight *= F::ONE - point[k];
        }
        let cell: Vec<usize> = (start..gap.start)
            .chain(gap.end..layout.trace_bits)
            .collect();
        let (times, entries) = cell.split_at(place.size.time_bits());
        let frames = Size::flat(1, place.size.time);
        let features = Size {
            time: 1,
            ..place.size
        };
        sum += weight
            * inner(*time, times.to_vec(), frames)
            * inner(*entry, entries.to_vec(), features);
    }
    sum
}

/// Both factors, of a prover; what is beyond a table's end is zero.
struct Tables {
    trace: Vec<F>,
    functional: Vec<F>,
    /// The combined row of the bank and its weights, in the last rounds.
    bank: Option<(Vec<F>, Vec<F>)>,
}

/// `g_0` and `g_2` of tables over `2^bits` entries.
fn message(a: &[F], b: &[F], bits: usize) -> (F, F) {
    let half = 1usize << (bits - 1);
    let at = |x: usize| {
        let (low, b_low) = (a[x], b[x]);
        match a.get(x + half).zip(b.get(x + half)) {
            Some((high, b_high)) => (low * b_low, (*high - low) * (*b_high - b_low)),
            None => {
                let product = low * b_low;
                (product, product)
            }
        }
    };
    let add = |a: (F, F), b: (F, F)| (a.0 + b.0, a.1 + b.1);
    let reach = half.min(a.len());
    if reach >= 1 << 10 {
        (0..reach)
            .into_par_iter()
            .with_min_len(1 << 9)
            .map(at)
            .reduce(|| (F::ZERO, F::ZERO), add)
    } else {
        (0..reach).map(at).fold((F::ZERO, F::ZERO), add)
    }
}

/// Fixes the highest of `bits` variables.
fn bind(values: &mut Vec<F>, bits: usize, r: F) {
    let half = 1usize << (bits - 1);
    let rest = F::ONE - r;
    let split = values.len().min(half);
    let (low, high) = values.split_at_mut(split);
    let (both, alone) = low.split_at_mut(high.len());
    if both.len() >= 1 << 9 {
        both.par_iter_mut()
            .with_min_len(1 << 8)
            .zip(&*high)
            .for_each(|(l, h)| *l += r * (*h - *l));
    } else {
        for (l, h) in both.iter_mut().zip(&*high) {
            *l += r * (*h - *l);
        }
    }
    for l in alone {
        *l *= rest;
    }
    values.truncate(split);
}

/// Runs the sumcheck. `bank_value` is `V_B`, `bank_columns` the point `r_col` in rows of the bank.
pub(crate) fn run(
    channel: &mut Channel<'_>,
    layout: &Layout,
    axes: &Axes,
    claims: &[Claim],
    bank_value: &Combination,
    bank_columns: &[F],
    prover: Option<Vectors<'_>>,
) -> Result<Point, TraceError> {
    let gamma = channel.challenge("gamma");
    let (functional, mut sigma, bank_power) = merge(claims, gamma);
    let key = prover.as_ref().map(|p| p.key);
    let bank_row = prover.as_ref().map(|p| p.bank.clone());
    let mut tables = prover.map(|p| Tables {
        trace: (p.trace[..layout.reach()].par_iter())
            .with_min_len(1 << 10)
            .map(|x| if *x == 0 { F::ZERO } else { element(*x) })
            .collect(),
        functional: coefficients(&functional, axes, layout),
        bank: None,
    });
    let rounds = layout.trace_bits;
    let row_rounds = rounds - layout.row_bits;
    let mut trace_row = None;
    let mut point = Vec::with_capacity(rounds);
    for round in 0..=rounds {
        if round == row_rounds {
            sigma.add(bank_value, bank_power);
            if let Some(tables) = &mut tables {
                let mut row = tables.trace.clone();
                row.resize(1 << layout.row_bits, F::ZERO);
                trace_row = Some(row);
                let mut row = bank_row.clone().unwrap_or_default();
                row.resize(1 << layout.row_bits, F::ZERO);
                let mut weights = eq_evals(bank_columns);
                weights.iter_mut().for_each(|w| *w *= bank_power);
                weights.resize(1 << layout.row_bits, F::ZERO);
                tables.bank = Some((row, weights));
            }
        }
        if round == rounds {
            break;
        }
        let bits = rounds - round;
        let message = tables.as_ref().map(|tables| {
            let (mut g_0, mut g_2) = message(&tables.trace, &tables.functional, bits);
            if let Some((row, weights)) = &tables.bank {
                let (more_0, more_2) = message(row, weights, bits);
                g_0 += more_0;
                g_2 += more_2;
            }
            vec![g_0, g_2]
        });
        let sent = channel.send(2, message)?;
        let [g_0, g_2] = sent.as_slice() else {
            return Err(TraceError::Invalid);
        };
        let r = channel.challenge("round");
        // g_1 = σ − 2·g_0 − g_2
        sigma.scale(r);
        sigma.add(g_0, F::ONE - r.double());
        sigma.add(g_2, r.square() - r);
        if let Some(tables) = &mut tables {
            bind(&mut tables.trace, bits, r);
            bind(&mut tables.functional, bits, r);
            if let Some((row, weights)) = &mut tables.bank {
                bind(row, bits, r);
                bind(weights, bits, r);
            }
        }
        point.push(r);
    }
    let (row, column) = point.split_at(row_rounds);
    let secret = match (&tables, trace_row, bank_row) {
        (Some(tables), Some(trace_row), Some(mut bank_row)) => {
            bank_row.resize(1 << layout.row_bits, F::ZERO);
            let bank = tables.bank.as_ref().map_or(F::ZERO, |(row, _)| row[0]);
            let trace = tables.trace.first().copied().unwrap_or(F::ZERO);
            Some(Secret {
                rows: [trace_row, bank_row],
                values: [trace, bank],
                blinds: [F::random(OsRng), F::random(OsRng)],
            })
        }
        _ => None,
    };
    #[cfg(test)]
    let secret = secret.map(|mut secret: Secret| {
        if let Some(tamper) = &mut channel.tamper_values {
            let (above, own) = column.split_at(column.len() - bank_columns.len());
            let zero = above.iter().fold(F::ONE, |z, p| z * (F::ONE - p));
            let equal = layerfold_gadgets::mle::eq_native(bank_columns, own);
            let of_trace = evaluate(&functional, axes, layout, &point);
            tamper([of_trace, bank_power * zero * equal], &mut secret.values);
        }
        secret
    });
    let given = match (&secret, key) {
        (Some(secret), Some(key)) => Some(
            (secret.values.iter().zip(&secret.blinds))
                .map(|(v, s)| key.commit_value(v, s))
                .collect(),
        ),
        _ => None,
    };
    let values = channel.points("values", 2, given)?;
    let [trace_value, bank_value] = values.as_slice() else {
        return Err(TraceError::Invalid);
    };
    // σ = v~(p)·V_Z + γ^M·eq((0, …, 0, r_col), p_col)·V_W
    let (above, own) = column.split_at(column.len() - bank_columns.len());
    let zero = above
        .iter()
        .fold(F::ONE, |product, p| product * (F::ONE - p));
    let equal = layerfold_gadgets::mle::eq_native(bank_columns, own);
    let equation = LinearEquation {
        combination: sigma,
        trace: -evaluate(&functional, axes, layout, &point),
        bank: -(bank_power * zero * equal),
    };
    Ok(Point {
        row: row.to_vec(),
        column: column.to_vec(),
        values: [*trace_value, *bank_value],
        equation,
        secret,
    })
}
