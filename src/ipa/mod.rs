//! The opening of Pedersen commitments; see
//! [the notes](crate::notes::ipa).

mod prover;
mod verifier;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;

use std::marker::PhantomData;

use ff::{Field, PrimeField};
use halo2curves::{
    CurveAffine, CurveExt,
    pasta::{Fq, Pallas, PallasAffine},
};
use nova_snark::{
    errors::NovaError,
    provider::traits::{DlogGroup, DlogGroupExt},
    traits::{
        Engine, TranscriptEngineTrait, commitment::CommitmentEngineTrait,
        evaluation::EvaluationEngineTrait,
    },
};
use serde::{Deserialize, Serialize};

use crate::{
    backend::{
        Commitment, CommitmentKey, Pedersen,
        generators::{Affine, IPA_LABEL},
    },
    curve::{
        challenge::Challenge,
        endomorphism::{EndoCurve, limbs},
    },
};

/// Opening of multilinear polynomials.
pub(crate) type Opening<E> = EvaluationEngine<E>;
/// The SNARK at the end of recursion.
pub(crate) type Snark<E> = nova_snark::spartan::snark::RelaxedR1CSSNARK<E, Opening<E>>;

const PROTOCOL: &[u8] = b"layerfold/ipa/1";

/// Vectors are folded down to this many entries, which are sent as they are.
const TAIL_LOG: usize = 2;

/// Most variables of a polynomial.
const MAX_LOG: usize = 30;

/// How often a vector of `2^log` entries is folded.
fn rounds(log: usize) -> usize {
    log.saturating_sub(TAIL_LOG)
}

/// Lengths of the sequences of an argument about `2^log` entries, in the order of encoding: points
/// on the left, points on the right, scalars.
pub(crate) fn lengths(log: usize) -> [usize; 3] {
    let rounds = rounds(log);
    [rounds, rounds, 1 << (log - rounds)]
}

/// The evaluation engine; see the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EvaluationEngine<E> {
    engine: PhantomData<E>,
}

/// The generator of values, apart from those of vectors.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct ProverKey<E: Engine>
where
    E::GE: DlogGroup,
{
    value: CommitmentKey<E>,
}

/// The generators of vectors and of values.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct VerifierKey<E: Engine>
where
    E::GE: DlogGroup,
{
    vector: CommitmentKey<E>,
    value: CommitmentKey<E>,
}

/// An argument: two points for each round, and what is left of the vector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Argument<E: Engine>
where
    E::GE: DlogGroup,
{
    #[serde(with = "points")]
    left: Vec<Affine<E>>,
    #[serde(with = "points")]
    right: Vec<Affine<E>>,
    tail: Vec<E::Scalar>,
}

impl<E> EvaluationEngineTrait<E> for EvaluationEngine<E>
where
    E: Engine<CE = Pedersen<E>>,
    E::GE: DlogGroupExt,
    Affine<E>: EndoCurve<Base = E::Base, ScalarExt = E::Scalar>,
{
    type ProverKey = ProverKey<E>;
    type VerifierKey = VerifierKey<E>;
    type EvaluationArgument = Argument<E>;

    fn setup(ck: &CommitmentKey<E>) -> Result<(ProverKey<E>, VerifierKey<E>), NovaError> {
        let value = Pedersen::<E>::setup(IPA_LABEL, 1)?;
        let vk = VerifierKey {
            vector: ck.clone(),
            value: value.clone(),
        };
        Ok((ProverKey { value }, vk))
    }

    fn prove(
        ck: &CommitmentKey<E>,
        pk: &ProverKey<E>,
        transcript: &mut E::TE,
        comm: &Commitment<E>,
        poly: &[E::Scalar],
        point: &[E::Scalar],
        eval: &E::Scalar,
    ) -> Result<Argument<E>, NovaError> {
        let statement = Statement { comm, point, eval };
        prover::prove(ck, &pk.value, transcript, &statement, poly)
    }

    fn verify(
        vk: &VerifierKey<E>,
        transcript: &mut E::TE,
        comm: &Commitment<E>,
        point: &[E::Scalar],
        eval: &E::Scalar,
        arg: &Argument<E>,
    ) -> Result<(), NovaError> {
        let statement = Statement { comm, point, eval };
        verifier::verify(&vk.vector, &vk.value, transcript, &statement, arg)
    }
}

/// The polynomial under `comm` has the value `eval` at `point`.
struct Statement<'a, E: Engine>
where
    E::GE: DlogGroup,
{
    comm: &'a Commitment<E>,
    point: &'a [E::Scalar],
    eval: &'a E::Scalar,
}

impl<E> Statement<'_, E>
where
    E: Engine<CE = Pedersen<E>>,
    E::GE: DlogGroup,
    Affine<E>: EndoCurve<Base = E::Base, ScalarExt = E::Scalar>,
{
    /// The length of the vector, `2^point.len()`.
    fn len(&self) -> Result<usize, NovaError> {
        if self.point.len() > MAX_LOG {
            return Err(NovaError::InvalidInputLength);
        }
        Ok(1 << self.point.len())
    }

    /// How often the vector is folded.
    fn rounds(&self) -> usize {
        rounds(self.point.len())
    }

    /// Absorbs the protocol's name, the curve's and the statement; gives the factor of the
    /// generator of values.
    fn begin(&self, transcript: &mut E::TE) -> Result<E::Scalar, NovaError> {
        transcript.dom_sep(PROTOCOL);
        transcript.dom_sep(<Affine<E> as CurveAffine>::CurveExt::CURVE_ID.as_bytes());
        transcript.absorb(b"n", &E::Scalar::from(self.point.len() as u64));
        transcript.absorb(b"C", self.comm);
        transcript.absorb(b"x", &self.point);
        transcript.absorb(b"v", self.eval);
        let factor = transcript.squeeze(b"w")?;
        if factor == E::Scalar::ZERO {
            return Err(NovaError::InternalTranscriptError);
        }
        Ok(factor)
    }
}

/// `Σ scalars[i]·bases[i]` on Pallas; for the benches.
#[doc(hidden)]
#[must_use]
pub fn pallas_msm(scalars: &[Fq], bases: &[PallasAffine]) -> Pallas {
    crate::curve::msm::msm(scalars, bases)
}

/// Absorbs the points of a round, which may be the identity; gives its challenge.
fn challenge<E>(
    transcript: &mut E::TE,
    left: &Affine<E>,
    right: &Affine<E>,
) -> Result<Challenge, NovaError>
where
    E: Engine,
    E::GE: DlogGroup,
{
    let comm = |point| Commitment::<E> {
        comm: E::GE::group(point),
    };
    transcript.absorb(b"L", &comm(left));
    transcript.absorb(b"R", &comm(right));
    let bits = transcript.squeeze_bits(b"u", 128, false)?;
    Challenge::new(limbs(&bits).low()).ok_or(NovaError::InternalTranscriptError)
}

/// `eq(point, ·)` over the hypercube, the first coordinate belonging to the highest bit.
fn eq_table<F: PrimeField>(point: &[F]) -> Vec<F> {
    nova_snark::spartan::polys::eq::EqPolynomial::evals_from_points(point)
}

/// Points as 32 compressed bytes each, of which one form only is read.
mod points {
    use halo2curves::group::GroupEncoding;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

    pub(super) fn serialize<P: GroupEncoding, S: Serializer>(
        points: &[P],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let bytes = points
            .iter()
            .map(|p| <[u8; 32]>::try_from(p.to_bytes().as_ref()));
        let bytes = bytes
            .collect::<Result<Vec<_>, _>>()
            .map_err(ser::Error::custom)?;
        bytes.serialize(serializer)
    }

    pub(super) fn deserialize<'de, P: GroupEncoding, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<P>, D::Error> {
        let read = |bytes: &[u8; 32]| {
            let mut repr = P::Repr::default();
            if repr.as_ref().len() != bytes.len() {
                return None;
            }
            repr.as_mut().copy_from_slice(bytes);
            let point = Option::<P>::from(P::from_bytes(&repr))?;
            (point.to_bytes().as_ref() == bytes).then_some(point)
        };
        let bytes = Vec::<[u8; 32]>::deserialize(deserializer)?;
        let points = bytes.iter().map(read).collect::<Option<Vec<_>>>();
        points.ok_or_else(|| de::Error::custom("not the encoding of a point"))
    }
}
