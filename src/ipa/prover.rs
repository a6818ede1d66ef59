//! The prover.

use ff::Field;
use halo2curves::CurveAffine;
use nova_snark::{errors::NovaError, provider::traits::DlogGroupExt, traits::Engine};
use rayon::prelude::*;

use super::{Argument, Statement, challenge, eq_table};
use crate::backend::{CommitmentKey, Pedersen, generators::Affine};
use crate::curve::{
    endomorphism::EndoCurve,
    fold::fold,
    msm::sum_of_products,
    points::{Form, Source, with_best_form},
};

pub(super) fn prove<E>(
    key: &CommitmentKey<E>,
    value_key: &CommitmentKey<E>,
    transcript: &mut E::TE,
    statement: &Statement<'_, E>,
    poly: &[E::Scalar],
) -> Result<Argument<E>, NovaError>
where
    E: Engine<CE = Pedersen<E>>,
    E::GE: DlogGroupExt,
    Affine<E>: EndoCurve<Base = E::Base, ScalarExt = E::Scalar>,
{
    with_best_form!(E::Base, |form| {
        prove_in(form, key, value_key, transcript, statement, poly)
    })
}

/// [`prove`] with points in the given form.
fn prove_in<E, A>(
    form: A,
    key: &CommitmentKey<E>,
    value_key: &CommitmentKey<E>,
    transcript: &mut E::TE,
    statement: &Statement<'_, E>,
    poly: &[E::Scalar],
) -> Result<Argument<E>, NovaError>
where
    E: Engine<CE = Pedersen<E>>,
    E::GE: DlogGroupExt,
    Affine<E>: EndoCurve<Base = E::Base, ScalarExt = E::Scalar>,
    A: Form<<Affine<E> as CurveAffine>::Base>,
{
    let n = statement.len()?;
    if poly.len() != n {
        return Err(NovaError::InvalidInputLength);
    }
    let (Some(generators), [value_generator, ..]) =
        (key.generators().get(..n), value_key.generators())
    else {
        return Err(NovaError::InvalidCommitmentKeyLength);
    };
    let factor = statement.begin(transcript)?;

    // The vector b of the inner product is eq(point, ·). After some rounds it is eq of the
    // remaining coordinates, times one factor.
    let mut scale = E::Scalar::ONE;
    let mut table = eq_table(statement.point.get(1..).unwrap_or_default());
    let mut vector = poly.to_vec();
    let mut generators: Vec<A::Point> = generators.iter().map(|g| g.get(form)).collect();
    let value_generator: A::Point = value_generator.get(form);

    let rounds = statement.rounds();
    let mut proof = Argument {
        left: Vec::with_capacity(rounds),
        right: Vec::with_capacity(rounds),
        tail: Vec::new(),
    };
    for (round, x) in statement.point[..rounds].iter().enumerate() {
        let half = vector.len() / 2;
        let (a_left, a_right) = vector.split_at(half);
        let (g_left, g_right) = generators.split_at(half);
        // b = ((1 − x)·table, x·table)
        let cross = |a: &[E::Scalar], g: &[A::Point], b: E::Scalar| {
            let inner = inner_product(a, &table) * b * scale * factor;
            let sum = sum_of_products::<Affine<E>, A, _>(form, a, g);
            let value = sum_of_products::<Affine<E>, A, _>(form, &[inner], &[value_generator]);
            sum.add(&value).affine()
        };
        let (left, right) = rayon::join(
            || cross(a_left, g_right, *x),
            || cross(a_right, g_left, E::Scalar::ONE - x),
        );
        let (left, right) = (left.to_curve::<Affine<E>>(), right.to_curve::<Affine<E>>());
        let u = challenge::<E>(transcript, &left, &right)?;
        proof.left.push(left);
        proof.right.push(right);

        let scalar = u.scalar::<Affine<E>>();
        let inverse =
            Option::<E::Scalar>::from(scalar.invert()).ok_or(NovaError::InternalTranscriptError)?;
        let last = round + 1 == rounds;
        let (folded, a) = rayon::join(
            // The generators are needed for a next round only.
            || (!last).then(|| fold::<Affine<E>, A>(form, g_left, g_right, u)),
            || {
                let pairs = a_left.par_iter().zip(a_right);
                pairs.map(|(l, r)| *l + inverse * r).collect::<Vec<_>>()
            },
        );
        generators = folded.unwrap_or_default();
        vector = a;
        scale *= E::Scalar::ONE - x + scalar * x;
        // eq of one coordinate less: (1 − x') + x' = 1.
        let (low, high) = table.split_at(table.len() / 2);
        table = low.par_iter().zip(high).map(|(l, h)| *l + h).collect();
    }
    proof.tail = vector;
    Ok(proof)
}

fn inner_product<F: Field>(a: &[F], b: &[F]) -> F {
    let products = a.par_iter().zip(b).with_min_len(1 << 10);
    products
        .map(|(a, b)| *a * b)
        .reduce(|| F::ZERO, |x, y| x + y)
}
