//! That steps lead from one state to another, by either kind of argument.

use serde::{Deserialize, Serialize};

use super::{
    ProofKind,
    shape::{expected_lengths, sequence_lengths},
};
use crate::{
    backend::F,
    error::Error,
    flat::{FlatProof, MOST_STEPS, flat_lengths},
    ivc::{Compressed, Params},
};

/// The argument for a chain of steps. Whatever uses it sees `z_0` and `z_n` only.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) enum Chain {
    Recursive(Box<Compressed>),
    Flat(Box<FlatProof>),
}

/// A chain does not hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChainError;

impl From<Error> for ChainError {
    fn from(_: Error) -> Self {
        Self
    }
}

impl Chain {
    pub(crate) fn kind(&self) -> ProofKind {
        match self {
            Self::Recursive(_) => ProofKind::Recursive,
            Self::Flat(_) => ProofKind::Flat,
        }
    }

    /// Whether every sequence has the length that the keys, and the number of steps, ask for: nova's
    /// verifier takes that for granted.
    pub(super) fn fits(&self, params: &Params, steps: u64) -> bool {
        match self {
            Self::Recursive(snark) => {
                let Ok((primary, secondary)) = params.0.recursive_sizes() else {
                    return false;
                };
                sequence_lengths(snark) == Some(expected_lengths(primary, secondary))
            }
            Self::Flat(proof) => {
                // No honest prover makes one of more steps. No key is needed to see it.
                let most = params.0.most_flat_steps().min(MOST_STEPS as u64);
                let Ok(count) = usize::try_from(steps) else {
                    return false;
                };
                steps <= most && sequence_lengths(proof) == Some(flat_lengths(params.0.size, count))
            }
        }
    }

    /// Verifies that so many steps lead from `z_0`; gives `z_n`. The chain [fits](Self::fits).
    pub(super) fn verify(
        &self,
        params: &Params,
        binding: F,
        steps: u64,
        z_0: [F; 2],
    ) -> Result<Vec<F>, ChainError> {
        match self {
            Self::Recursive(snark) => {
                let steps = usize::try_from(steps).map_err(|_| ChainError)?;
                let key = params.0.verifier_key()?;
                snark.verify(key, steps, &z_0).map_err(|_| ChainError)
            }
            Self::Flat(proof) => {
                let key = params.0.flat_verifier()?;
                let z_n = proof.verify(key, binding, z_0).map_err(|_| ChainError)?;
                Ok(z_n.to_vec())
            }
        }
    }
}
