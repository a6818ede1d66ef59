//! What every step of a run is bound to (protocol notes, 2).

use halo2curves::group::GroupEncoding;
use nova_snark::{provider::traits::DlogGroup, traits::PrimeFieldExt};

use super::Visibility;
use crate::{
    backend::{Commitment, E1, F},
    hash::shake,
    weights::ModelDigest,
};

/// The parts of `binding`.
pub(crate) struct BindingParts<'a> {
    /// [Digest of the keys](crate::Params::digest), of either kind of proof.
    pub(crate) params: &'a [u8; 32],
    /// Digest of the program.
    pub(crate) program: &'a [u8; 32],
    /// Name of the model.
    pub(crate) model: &'a ModelDigest,
    /// `C_m`.
    pub(crate) mask: &'a Commitment<E1>,
    /// Flags of inputs and outputs.
    pub(crate) visibility: Visibility,
    /// Chosen by the verifier.
    pub(crate) context: &'a [u8],
}

impl BindingParts<'_> {
    /// The 64-byte `Digest("layerfold/binding/1"; …)` as an integer modulo `|F|`.
    pub(crate) fn digest(&self) -> F {
        let mut wide = [0; 64];
        shake(
            "layerfold/binding/1",
            &[
                self.params,
                self.program,
                self.model.as_bytes(),
                self.mask.comm.affine().to_bytes().as_ref(),
                &self.visibility.flags(),
                &(self.context.len() as u64).to_le_bytes(),
                self.context,
            ],
            &mut wide,
        );
        F::from_uniform(&wide)
    }
}
