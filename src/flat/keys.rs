//! Keys of the plain step circuit.

use nova_snark::{
    frontend::{r1cs::NovaShape, shape_cs::ShapeCS},
    r1cs::R1CSShape,
    traits::{
        commitment::CommitmentEngineTrait,
        snark::{DigestHelperTrait, RelaxedR1CSSNARKTrait, default_ck_hint},
    },
};

use super::DerandKey;
use crate::{
    backend::{CommitmentKey, E1, F, Pedersen, Snark},
    circuit::{PLAIN_CONSTRAINTS, StepSize, StepWitness, synthesize_plain},
    error::Error,
    program::Unrolled,
};

type ProverKey = <Snark<E1> as RelaxedR1CSSNARKTrait<E1>>::ProverKey;
type VerifierKey = <Snark<E1> as RelaxedR1CSSNARKTrait<E1>>::VerifierKey;

/// Size of the plain step circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlatSize {
    pub(crate) constraints: usize,
    /// Without the public ones.
    pub(crate) variables: usize,
}

impl From<StepSize> for FlatSize {
    fn from(step: StepSize) -> Self {
        Self {
            constraints: step.constraints + PLAIN_CONSTRAINTS,
            variables: step.variables,
        }
    }
}

impl FlatSize {
    /// Of the step without its public values.
    pub(crate) fn step(self) -> StepSize {
        StepSize {
            constraints: self.constraints.saturating_sub(PLAIN_CONSTRAINTS),
            variables: self.variables,
        }
    }

    /// The SNARK is about vectors of `2^log` elements.
    pub(crate) fn log(self) -> u32 {
        let size = self.constraints.max(self.variables);
        size.next_power_of_two().trailing_zeros()
    }
}

fn shape(step: &Unrolled) -> Result<R1CSShape<E1>, Error> {
    let mut cs = ShapeCS::<E1>::new();
    synthesize_plain(&mut cs, step, [F::default(); 2], &StepWitness::dummy(step))
        .map_err(|e| Error::proving("setup", e))?;
    cs.r1cs_shape().map_err(|e| Error::proving("setup", e))
}

fn commitment_key(shape: &R1CSShape<E1>) -> Result<CommitmentKey<E1>, Error> {
    R1CSShape::commitment_key(&[shape], &[&*default_ck_hint()])
        .map_err(|e| Error::proving("setup", e))
}

/// What provers of flat proofs need.
pub(crate) struct FlatProver {
    pub(super) key: CommitmentKey<E1>,
    /// As it was synthesised: what is folded.
    pub(super) shape: R1CSShape<E1>,
    /// Padded to a power of two: what the SNARK is about. nova pads by itself, and then classifies
    /// all coefficients of the matrices again for every proof.
    pub(super) padded: R1CSShape<E1>,
    pub(super) snark: ProverKey,
    /// Of the verifier's key: shape and generators.
    pub(crate) digest: F,
}

impl FlatProver {
    pub(crate) fn new(step: &Unrolled) -> Result<Self, Error> {
        let shape = shape(step)?;
        let key = commitment_key(&shape)?;
        let padded = shape.pad();
        let (snark, verifier) =
            Snark::<E1>::setup(&key, &padded).map_err(|e| Error::proving("setup", e))?;
        let digest = verifier.digest();
        drop(verifier);
        shape.precompute_sparse_matrices();
        padded.precompute_sparse_matrices();
        Ok(Self {
            key,
            shape,
            padded,
            snark,
            digest,
        })
    }

    #[cfg(test)]
    pub(crate) fn size(&self) -> FlatSize {
        FlatSize {
            constraints: self.shape.num_cons(),
            variables: self.shape.num_vars(),
        }
    }

    /// Bytes of the matrices.
    pub(crate) fn matrix_bytes(&self) -> usize {
        postcard::experimental::serialized_size(&self.shape).unwrap_or(0)
    }
}

/// What verifiers of flat proofs need.
pub(crate) struct FlatVerifier {
    pub(super) snark: VerifierKey,
    /// Of the key: shape and generators.
    pub(super) digest: F,
    pub(super) derandomize: DerandKey,
}

impl FlatVerifier {
    pub(crate) fn new(step: &Unrolled) -> Result<Self, Error> {
        let shape = shape(step)?;
        let key = commitment_key(&shape)?;
        let (_, snark) =
            Snark::<E1>::setup(&key, &shape).map_err(|e| Error::proving("setup", e))?;
        Ok(Self {
            digest: snark.digest(),
            snark,
            derandomize: Pedersen::<E1>::derand_key(&key),
        })
    }

    /// Bytes of the matrices.
    pub(crate) fn matrix_bytes(&self) -> usize {
        postcard::experimental::serialized_size(&self.snark).unwrap_or(0)
    }
}
