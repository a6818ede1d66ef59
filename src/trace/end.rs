//! The end: all linear equations about messages by folding their rows, and one opening of trace and
//! bank (protocol notes, 13.10).

use ff::{BatchInverter, Field};
use halo2curves::{group::Group, pasta::PallasAffine};
use layerfold_gadgets::mle::eq_evals;
use rand_core::OsRng;
use rayon::prelude::*;

use super::{
    TraceError,
    key::{MessageKey, ROW},
    message::Channel,
    point::{LinearEquation, Point},
    system::bits_for,
};
use crate::{
    backend::{CommitmentKey, E1, F},
    curve::{
        fold::fold,
        msm::{msm, sum_of_products},
        points::{Form, Source, with_best_form},
    },
    weights::Base,
};

/// Equations between points, each `Σ scalar·point = 0`, as one sum with random weights.
pub(crate) struct Checks {
    weights: Vec<F>,
    /// For each equation: multiples of the generators of rows, of `H`, of `U`, of other points.
    equations: Vec<Check>,
}

/// One equation.
#[derive(Default)]
pub(crate) struct Check {
    pub(crate) generators: Vec<F>,
    pub(crate) blinding: F,
    pub(crate) value: F,
    pub(crate) points: Vec<(F, PallasAffine)>,
}

impl Checks {
    pub(crate) fn new() -> Self {
        Self {
            weights: Vec::new(),
            equations: Vec::new(),
        }
    }

    fn push(&mut self, check: Check) {
        self.equations.push(check);
    }

    /// Whether all hold.
    pub(crate) fn hold(
        mut self,
        channel: &mut Channel<'_>,
        key: &CommitmentKey<E1>,
        value: PallasAffine,
    ) -> bool {
        let weight = channel.challenge("batch");
        self.weights = std::iter::successors(Some(F::ONE), |w| Some(*w * weight))
            .take(self.equations.len())
            .collect();
        let mut generators = vec![F::ZERO; key.generators().len()];
        let (mut blinding, mut of_value) = (F::ZERO, F::ZERO);
        let (mut scalars, mut points) = (Vec::new(), Vec::new());
        for (check, weight) in self.equations.iter().zip(&self.weights) {
            for (sum, x) in generators.iter_mut().zip(&check.generators) {
                *sum += *weight * x;
            }
            blinding += *weight * check.blinding;
            of_value += *weight * check.value;
            for (scalar, point) in &check.points {
                scalars.push(*weight * scalar);
                points.push(*point);
            }
        }
        scalars.extend(generators);
        points.extend_from_slice(key.generators());
        scalars.extend([blinding, of_value]);
        points.extend([*key.blinding_generator(), value]);
        msm(&scalars, &points).is_identity().into()
    }
}

fn dot(a: &[F], b: &[F]) -> F {
    a.iter().zip(b).map(|(a, b)| *a * b).sum()
}

/// `low + factor·high` of the halves.
fn fold_halves(values: &[F], factor: F) -> Vec<F> {
    let (low, high) = values.split_at(values.len() / 2);
    low.iter().zip(high).map(|(l, h)| *l + factor * h).collect()
}

/// Shows that all equations hold for what was sent.
pub(crate) fn equations(
    channel: &mut Channel<'_>,
    equations: Vec<LinearEquation>,
    point: &Point,
    key: Option<&MessageKey>,
    checks: &mut Checks,
) -> Result<(), TraceError> {
    let theta = channel.challenge("theta");
    let bits = bits_for(channel.rows.len());
    let mut functional = vec![F::ZERO; ROW << bits];
    // ⟨w, ℓ⟩ = k − z·V_Z − z'·V_W
    let (mut k, mut z, mut power) = (F::ZERO, [F::ZERO; 2], F::ONE);
    for equation in equations {
        for (at, factor) in &equation.combination.terms {
            functional[*at as usize] += power * factor;
        }
        k -= power * equation.combination.constant;
        z[0] += power * equation.trace;
        z[1] += power * equation.bank;
        power *= theta;
    }
    // C_v as multiples of U, C_Z, C_W and the points of the rounds.
    let mut value = Check {
        value: k,
        points: vec![(-z[0], point.values[0]), (-z[1], point.values[1])],
        ..Check::default()
    };
    let mut secret = match (channel.secrets(), &point.secret) {
        (Some((w, blinds)), Some(secret)) => {
            let (mut w, mut blinds) = (w.to_vec(), blinds.to_vec());
            w.resize(ROW << bits, F::ZERO);
            blinds.resize(1 << bits, F::ZERO);
            let blind = -(z[0] * secret.blinds[0] + z[1] * secret.blinds[1]);
            Some((w, blinds, blind))
        }
        _ => None,
    };
    let mut row_weights = vec![F::ONE];
    for _ in 0..bits {
        let half = functional.len() / 2;
        let (low, high) = functional.split_at(half);
        let crossed = match (&secret, key) {
            (Some((w, _, _)), Some(key)) => {
                let (w_low, w_high) = w.split_at(half);
                let (x, y) = (F::random(OsRng), F::random(OsRng));
                let points = vec![
                    key.commit_value(&dot(w_low, high), &x),
                    key.commit_value(&dot(w_high, low), &y),
                ];
                Some((points, x, y))
            }
            _ => None,
        };
        let (given, blinds) = match crossed {
            Some((points, x, y)) => (Some(points), Some((x, y))),
            None => (None, None),
        };
        let sent = channel.points("fold", 2, given)?;
        let [x_point, y_point] = sent.as_slice() else {
            return Err(TraceError::Invalid);
        };
        let u = channel.challenge("u");
        let square = u.square();
        if let (Some((w, row_blinds, blind)), Some((x, y))) = (&mut secret, blinds) {
            *w = fold_halves(w, u);
            *row_blinds = fold_halves(row_blinds, u);
            *blind = x + u * *blind + square * y;
        }
        functional = low.iter().zip(high).map(|(l, h)| u * l + h).collect();
        value.value *= u;
        value.points.iter_mut().for_each(|(factor, _)| *factor *= u);
        value
            .points
            .extend([(F::ONE, *x_point), (square, *y_point)]);
        row_weights = row_weights.iter().flat_map(|w| [*w, *w * u]).collect();
    }
    // One row is left, with its commitment Σ weight·M_k.
    let masks = secret.as_ref().map(|_| {
        let d: Vec<F> = (0..ROW).map(|_| F::random(OsRng)).collect();
        (d, F::random(OsRng), F::random(OsRng))
    });
    let given = match (&masks, key) {
        (Some((d, eta, eta_value)), Some(key)) => Some(vec![
            key.commit(d, eta),
            key.commit_value(&dot(d, &functional), eta_value),
        ]),
        _ => None,
    };
    let sent = channel.points("masks", 2, given)?;
    let [row_mask, value_mask] = sent.as_slice() else {
        return Err(TraceError::Invalid);
    };
    let e = channel.challenge("e");
    let given = match (&masks, &secret) {
        (Some((d, eta, eta_value)), Some((w, blinds, blind))) => {
            let mut shown: Vec<F> = d.iter().zip(w).map(|(d, w)| *d + e * w).collect();
            shown.extend([*eta + e * blinds[0], *eta_value + e * blind]);
            Some(shown)
        }
        _ => None,
    };
    let shown = channel.shown(ROW + 2, given)?;
    let (f, blinds) = shown.split_at(ROW);
    let [t, t_value] = blinds else {
        return Err(TraceError::Invalid);
    };
    // ⟨f, G⟩ + t·H = D + e·M
    let mut rows = vec![(-F::ONE, *row_mask)];
    rows.extend((channel.rows.iter().zip(&row_weights)).map(|(point, w)| (-(e * w), *point)));
    checks.push(Check {
        generators: f.to_vec(),
        blinding: *t,
        value: F::ZERO,
        points: rows,
    });
    // ⟨f, ℓ⟩·U + t'·H = D' + e·C_v
    let mut points = vec![(-F::ONE, *value_mask)];
    points.extend(
        value
            .points
            .iter()
            .map(|(factor, point)| (-(e * factor), *point)),
    );
    checks.push(Check {
        generators: Vec::new(),
        blinding: *t_value,
        value: dot(f, &functional) - e * value.value,
        points,
    });
    Ok(())
}

/// What a prover opens: the combined vector and its blind.
pub(crate) struct Opened<'a> {
    pub(crate) key: &'a MessageKey,
    pub(crate) vector: Vec<F>,
    pub(crate) blind: F,
}

/// Shows that the vector behind `commitment` has the inner product behind `value` with `eq(column, ·)`.
///
/// A prover gives the generators of rows. `combine` is given `χ`, and gives the points and factors of the commitment and, of a prover, the
/// vector.
pub(crate) fn opening<'k>(
    channel: &mut Channel<'_>,
    generators: &[PallasAffine],
    tail_bits: usize,
    point: &Point,
    combine: impl FnOnce(F) -> (Vec<(F, PallasAffine)>, Option<Opened<'k>>),
    checks: &mut Checks,
) -> Result<(), TraceError> {
    with_best_form!(Base, |form| opening_in(
        form, channel, generators, tail_bits, point, combine, checks
    ))
}

fn opening_in<'k, A: Form<Base>>(
    form: A,
    channel: &mut Channel<'_>,
    generators: &[PallasAffine],
    tail_bits: usize,
    point: &Point,
    combine: impl FnOnce(F) -> (Vec<(F, PallasAffine)>, Option<Opened<'k>>),
    checks: &mut Checks,
) -> Result<(), TraceError> {
    let chi = channel.challenge("chi");
    let (mut points, opened) = combine(chi);
    let omega = channel.challenge("omega");
    // P = C_u + ω·(C_Z + χ·C_W)
    points.push((omega, point.values[0]));
    points.push((omega * chi, point.values[1]));
    let rounds = point.column.len() - tail_bits;

    // b is eq of the coordinates that are left, times a factor.
    let mut scale = F::ONE;
    let mut secret = match (opened, &point.secret) {
        (Some(opened), Some(secret)) => {
            let blind = opened.blind + omega * (secret.blinds[0] + chi * secret.blinds[1]);
            let generators: Vec<A::Point> = generators.iter().map(|g| g.get(form)).collect();
            Some((opened.key, opened.vector, blind, generators))
        }
        _ => None,
    };
    let mut challenges = Vec::with_capacity(rounds);
    let mut crosses = Vec::with_capacity(2 * rounds);
    for (round, x) in point.column[..rounds].iter().enumerate() {
        let rest = eq_evals(&point.column[round + 1..]);
        let mut blinds = [F::ZERO; 2];
        let given = secret.as_ref().map(|(key, vector, _, generators)| {
            let half = vector.len() / 2;
            let (a_left, a_right) = vector.split_at(half);
            let (g_left, g_right) = generators.split_at(half);
            blinds = [F::random(OsRng), F::random(OsRng)];
            let cross = |a: &[F], g: &[A::Point], b: F, blind: &F| {
                let inner = dot(a, &rest) * b * scale * omega;
                let sum = sum_of_products::<PallasAffine, A, _>(form, a, g);
                let tail = key.commit_value(&inner, blind);
                sum.add_point(&crate::curve::points::Point::of(&tail))
                    .affine()
                    .to_curve::<PallasAffine>()
            };
            let (left, right) = rayon::join(
                || cross(a_left, g_right, *x, &blinds[0]),
                || cross(a_right, g_left, F::ONE - x, &blinds[1]),
            );
            vec![left, right]
        });
        let sent = channel.points("cross", 2, given)?;
        crosses.extend(sent);
        let short = channel
            .transcript
            .short_challenge("u")
            .ok_or(TraceError::Invalid)?;
        let u = short.scalar::<PallasAffine>();
        let inverse = Option::<F>::from(u.invert()).ok_or(TraceError::Invalid)?;
        if let Some((_, vector, blind, generators)) = &mut secret {
            let half = vector.len() / 2;
            let (a_left, a_right) = vector.split_at(half);
            let (g_left, g_right) = generators.split_at(half);
            let folded = fold::<PallasAffine, A>(form, g_left, g_right, short);
            *vector = (a_left.par_iter().with_min_len(1 << 9).zip(a_right))
                .map(|(l, r)| *l + inverse * r)
                .collect();
            *generators = folded;
            *blind += u * blinds[0] + inverse * blinds[1];
        }
        scale *= F::ONE - x + u * x;
        challenges.push(u);
    }
    let weights: Vec<F> = eq_evals(&point.column[rounds..])
        .iter()
        .map(|b| *b * scale)
        .collect();
    let masks = secret.as_ref().map(|_| {
        let d: Vec<F> = weights.iter().map(|_| F::random(OsRng)).collect();
        (d, F::random(OsRng))
    });
    let given = match (&secret, &masks) {
        (Some((key, _, _, generators)), Some((d, eta))) => {
            let inner = dot(d, &weights) * omega;
            let sum = sum_of_products::<PallasAffine, A, _>(form, d, generators);
            let tail = key.commit_value(&inner, eta);
            let point = sum
                .add_point(&crate::curve::points::Point::of(&tail))
                .affine();
            Some(vec![point.to_curve::<PallasAffine>()])
        }
        _ => None,
    };
    let sent = channel.points("mask", 1, given)?;
    let [mask] = sent.as_slice() else {
        return Err(TraceError::Invalid);
    };
    let e = channel.challenge("e");
    let given = match (&secret, &masks) {
        (Some((_, vector, blind, _)), Some((d, eta))) => {
            let mut shown: Vec<F> = d.iter().zip(vector).map(|(d, a)| *d + e * a).collect();
            shown.push(*eta + e * blind);
            Some(shown)
        }
        _ => None,
    };
    let shown = channel.shown(weights.len() + 1, given)?;
    let (f, t) = shown.split_at(weights.len());

    // ⟨f, G*⟩ + ⟨f, b*⟩·ω·U + t·H = D + e·(P + Σ (u·L + u⁻¹·R))
    let mut inverses = challenges.clone();
    let mut scratch = vec![F::ZERO; rounds];
    BatchInverter::invert_with_external_scratch(&mut inverses, &mut scratch);
    let mut products = vec![F::ONE];
    for u in &challenges {
        products = products.iter().flat_map(|p| [*p, *p * u]).collect();
    }
    let generators = (products.iter())
        .flat_map(|p| f.iter().map(move |f| *p * f))
        .collect();
    let mut all = vec![(-F::ONE, *mask)];
    all.extend(points.iter().map(|(factor, point)| (-(e * factor), *point)));
    for ((u, inverse), pair) in challenges.iter().zip(&inverses).zip(crosses.chunks(2)) {
        if let [left, right] = pair {
            all.extend([(-(e * u), *left), (-(e * inverse), *right)]);
        }
    }
    checks.push(Check {
        generators,
        blinding: t.first().copied().unwrap_or(F::ZERO),
        value: dot(f, &weights) * omega,
        points: all,
    });
    Ok(())
}
