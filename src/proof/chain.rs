//! That steps lead from one state to another: the recursive kind's argument for the chain of steps.

use super::{
    format::RecursiveArgument,
    shape::{expected_lengths, sequence_lengths},
};
use crate::{backend::F, error::Error, keys::Params};

/// A chain does not hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChainError;

impl From<Error> for ChainError {
    fn from(_: Error) -> Self {
        Self
    }
}

impl RecursiveArgument {
    /// Whether every sequence has the length that the keys ask for: nova's verifier takes that for
    /// granted.
    pub(super) fn chain_fits(&self, params: &Params) -> bool {
        let Ok((primary, secondary)) = params.0.recursive_sizes() else {
            return false;
        };
        sequence_lengths(&self.chain) == Some(expected_lengths(primary, secondary))
    }

    /// Verifies that so many steps lead from `z_0`; gives `z_n`. The chain
    /// [fits](Self::chain_fits).
    pub(super) fn verify_chain(
        &self,
        params: &Params,
        steps: u64,
        z_0: [F; 2],
    ) -> Result<Vec<F>, ChainError> {
        let steps = usize::try_from(steps).map_err(|_| ChainError)?;
        let key = params.0.verifier_key()?;
        self.chain.verify(key, steps, &z_0).map_err(|_| ChainError)
    }
}
