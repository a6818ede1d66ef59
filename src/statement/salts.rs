//! Salts of the digests of private inputs and hidden outputs.

use std::collections::BTreeMap;

use ff::{Field, PrimeField};
use nova_snark::traits::PrimeFieldExt;
use rand_core::{OsRng, RngCore};
use zeroize::Zeroize;

use crate::{backend::F, hash::shake, weights::element_bytes};

/// What the salts of a sequence of vectors are made of: 32 random bytes, one salt for each index.
///
/// Secret material. Who is given the key of the inputs and knows the inputs can recompute the
/// digest in a statement (see [`DigestBuilder`](crate::DigestBuilder)); and can test guesses of inputs
/// that he does not know. The keys of inputs and outputs are independent.
///
/// Salts follow from a key, rather than being drawn one by one, so that a session of any length
/// can be opened, and a resumed session proves the same statement.
#[derive(Clone, PartialEq, Eq)]
pub struct SaltKey([u8; 32]);

impl SaltKey {
    pub(crate) fn random() -> Self {
        let mut key = [0; 32];
        OsRng.fill_bytes(&mut key);
        Self(key)
    }

    /// The key of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, to hand to whoever may recompute the digest.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// `Digest("layerfold/salt/1"; key, index)`, 64 bytes, as an integer modulo the field's size.
    pub(crate) fn salt(&self, index: u64) -> F {
        let mut wide = [0; 64];
        shake(
            "layerfold/salt/1",
            &[&self.0, &index.to_le_bytes()],
            &mut wide,
        );
        let salt = F::from_uniform(&wide);
        wide.zeroize();
        salt
    }
}

impl std::fmt::Debug for SaltKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SaltKey(redacted)")
    }
}

impl Drop for SaltKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The salt of one vector, 32 bytes: what somebody who vouches for an input digests it with.
///
/// Secret material, as long as the vector is: whoever has the salt can test guesses of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub(crate) F);

impl Salt {
    /// A fresh one, from the operating system's randomness.
    #[must_use]
    pub fn random() -> Self {
        Self(F::random(OsRng))
    }

    /// The salt of these canonical bytes, `None` if they are over the modulus.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Option<Self> {
        Option::from(F::from_repr(bytes.into())).map(Self)
    }

    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        element_bytes(&self.0)
    }
}

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt(redacted)")
    }
}

/// The salt keys of a session; without one where the vectors are public and their salts 0.
#[derive(Clone, Debug)]
pub(crate) struct Salts {
    pub(crate) inputs: Option<SaltKey>,
    pub(crate) outputs: Option<SaltKey>,
    /// Salts of frames that somebody else chose, by index; of frames that are not folded.
    pub(crate) given: BTreeMap<u64, Salt>,
}

impl Salts {
    pub(crate) fn random(visibility: super::Visibility) -> Self {
        use super::{InputVisibility, OutputVisibility};
        Self {
            inputs: (visibility.inputs == InputVisibility::Private).then(SaltKey::random),
            outputs: (visibility.outputs == OutputVisibility::Hidden).then(SaltKey::random),
            given: BTreeMap::new(),
        }
    }

    /// The salt of frame `index`.
    pub(crate) fn input(&self, index: u64) -> F {
        if let Some(salt) = self.given.get(&index) {
            return salt.0;
        }
        self.inputs.as_ref().map_or(F::ZERO, |k| k.salt(index))
    }

    /// The salt of the output of frame `index`.
    pub(crate) fn output(&self, index: u64) -> F {
        self.outputs.as_ref().map_or(F::ZERO, |k| k.salt(index))
    }
}
