//! Salts of the digests of private inputs and hidden outputs.

use ff::Field;
use nova_snark::traits::PrimeFieldExt;
use rand_core::{OsRng, RngCore};
use zeroize::Zeroize;

use crate::{
    backend::F,
    circuit::state::{absorb_input, absorb_output, vector_digest},
    error::Error,
    program::{Emission, Program, RegisterShape, interpreter::check_vector, shake},
    proof::VectorDigest,
    weights::element_bytes,
};

/// What the salts of a sequence of vectors are made of: 32 random bytes, one salt for each index.
///
/// Secret material. Who is given the key of the inputs and knows the inputs can recompute the
/// digest in a statement (see [`DigestBuilder`]); and can test guesses of inputs that he does not
/// know. The keys of inputs and outputs are independent.
///
/// Salts follow from a key, rather than being drawn one by one, so that a session of any length
/// can be opened at constant memory, and a resumed session proves the same statement.
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

/// The salt keys of a session; without one where the vectors are public and their salts 0.
#[derive(Clone, Debug)]
pub(crate) struct Salts {
    pub(crate) inputs: Option<SaltKey>,
    pub(crate) outputs: Option<SaltKey>,
}

impl Salts {
    pub(crate) fn random(visibility: super::Visibility) -> Self {
        use super::{InputVisibility, OutputVisibility};
        Self {
            inputs: (visibility.inputs == InputVisibility::Private).then(SaltKey::random),
            outputs: (visibility.outputs == OutputVisibility::Hidden).then(SaltKey::random),
        }
    }

    /// The salt of frame `index`.
    pub(crate) fn input(&self, index: u64) -> F {
        self.inputs.as_ref().map_or(F::ZERO, |k| k.salt(index))
    }

    /// The salt of the output of frame `index`.
    pub(crate) fn output(&self, index: u64) -> F {
        self.outputs.as_ref().map_or(F::ZERO, |k| k.salt(index))
    }
}

/// Recomputes the digest of private inputs, or of hidden outputs, that a statement shows: for
/// whoever knows the vectors and was given the session's [`SaltKey`].
///
/// `d_0 = 0`, `d_{i+1} = H(d_i, D(salt_i; vector_i))` with the hashes of the protocol notes, 1 and
/// 2. The last output alone counts where only that is emitted.
#[derive(Clone, Debug)]
pub struct DigestBuilder {
    key: SaltKey,
    shape: RegisterShape,
    what: &'static str,
    absorb: fn(F, F) -> F,
    last_only: bool,
    digest: F,
    count: u64,
}

impl DigestBuilder {
    /// For the frames of a program.
    #[must_use]
    pub fn inputs(program: &Program, key: SaltKey) -> Self {
        Self {
            key,
            shape: program.frame_shape(),
            what: "frame",
            absorb: absorb_input,
            last_only: false,
            digest: F::ZERO,
            count: 0,
        }
    }

    /// For the outputs of a program, one for each frame; of a program with one output for all
    /// frames too, which then replaces the one before.
    #[must_use]
    pub fn outputs(program: &Program, key: SaltKey) -> Self {
        Self {
            key,
            shape: program.output_shape(),
            what: "output",
            absorb: absorb_output,
            last_only: program.emission() == Emission::Last,
            digest: F::ZERO,
            count: 0,
        }
    }

    /// Takes the next vector, as integers.
    ///
    /// # Errors
    /// If it has the wrong length or an entry over its width.
    pub fn push(&mut self, vector: &[i64]) -> Result<(), Error> {
        check_vector(self.what, vector, &self.shape)?;
        let before = if self.last_only { F::ZERO } else { self.digest };
        let digest = vector_digest(self.key.salt(self.count), vector, &self.shape);
        self.digest = (self.absorb)(before, digest);
        self.count += 1;
        Ok(())
    }

    /// The digest of all vectors so far.
    #[must_use]
    pub fn digest(&self) -> VectorDigest {
        VectorDigest::new(element_bytes(&self.digest))
    }
}
