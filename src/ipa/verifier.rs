//! The verifier.

use ff::{BatchInverter, Field};
use halo2curves::group::Group;
use nova_snark::{
    errors::NovaError,
    provider::traits::{DlogGroup, DlogGroupExt},
    traits::Engine,
};

use super::{Argument, Statement, challenge, eq_table, lengths};
use crate::backend::{CommitmentKey, Pedersen, generators::Affine};
use crate::curve::{endomorphism::EndoCurve, msm::msm};

/// Checks an argument by one sum of `n + 2·rounds + 2` products, which must be zero.
pub(super) fn verify<E>(
    key: &CommitmentKey<E>,
    value_key: &CommitmentKey<E>,
    transcript: &mut E::TE,
    statement: &Statement<'_, E>,
    proof: &Argument<E>,
) -> Result<(), NovaError>
where
    E: Engine<CE = Pedersen<E>>,
    E::GE: DlogGroupExt,
    Affine<E>: EndoCurve<Base = E::Base, ScalarExt = E::Scalar>,
{
    let n = statement.len()?;
    let rounds = statement.rounds();
    if [proof.left.len(), proof.right.len(), proof.tail.len()] != lengths(statement.point.len()) {
        return Err(NovaError::InvalidInputLength);
    }
    let (Some(generators), [value_generator, ..]) =
        (key.generators().get(..n), value_key.generators())
    else {
        return Err(NovaError::InvalidCommitmentKeyLength);
    };
    let factor = statement.begin(transcript)?;
    let mut challenges = Vec::with_capacity(rounds);
    for (left, right) in proof.left.iter().zip(&proof.right) {
        challenges.push(challenge::<E>(transcript, left, right)?.scalar::<Affine<E>>());
    }
    // No challenge is zero.
    let mut inverses = challenges.clone();
    let mut scratch = vec![E::Scalar::ZERO; rounds];
    BatchInverter::invert_with_external_scratch(&mut inverses, &mut scratch);

    // Folding multiplies G_i by the challenges at the ones among the high bits of i.
    let mut products = vec![E::Scalar::ONE];
    let mut scale = E::Scalar::ONE;
    for (u, x) in challenges.iter().zip(statement.point) {
        products = products.iter().flat_map(|p| [*p, *p * u]).collect();
        scale *= E::Scalar::ONE - x + *u * x;
    }
    let table = eq_table(statement.point.get(rounds..).unwrap_or_default());
    let pairs = proof.tail.iter().zip(&table);
    let value = pairs.map(|(a, b)| *a * b).sum::<E::Scalar>() * scale;

    let terms = n + 2 * rounds + 2;
    let mut scalars = Vec::with_capacity(terms);
    let mut points: Vec<Affine<E>> = Vec::with_capacity(terms);
    scalars.extend(
        products
            .iter()
            .flat_map(|p| proof.tail.iter().map(move |a| *p * a)),
    );
    points.extend_from_slice(generators);
    scalars.push((value - statement.eval) * factor);
    points.push(*value_generator);
    scalars.push(-E::Scalar::ONE);
    points.push(statement.comm.comm.affine());
    scalars.extend(challenges.iter().chain(&inverses).map(|u| -*u));
    points.extend(proof.left.iter().chain(&proof.right));
    if bool::from(msm(&scalars, &points).is_identity()) {
        Ok(())
    } else {
        Err(NovaError::InvalidPCS)
    }
}
