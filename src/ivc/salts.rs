//! Salts of the digests of private inputs and hidden outputs.

use std::collections::BTreeMap;

use ff::{Field, PrimeField};
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

/// The digest `D(salt; frame)` of one input frame, of which somebody may vouch that he knows what
/// it is of: a bank that signs it, a sensor that publishes it.
///
/// The frame is made of the integers that the program takes; [`Scales`](crate::Scales) says how
/// they come from real values.
///
/// # Errors
/// If the frame has the wrong length or an entry over its width.
pub fn frame_digest(program: &Program, frame: &[i64], salt: &Salt) -> Result<VectorDigest, Error> {
    let shape = program.frame_shape();
    check_vector("frame", frame, &shape)?;
    Ok(VectorDigest::new(element_bytes(&vector_digest(
        salt.0, frame, &shape,
    ))))
}

/// The digest of private inputs that a statement shows, from the digests of its frames, in order:
/// for a verifier who was given those by whoever vouches for the frames. `None` if one is no
/// digest.
#[must_use]
pub fn digest_of_frames(frames: &[VectorDigest]) -> Option<VectorDigest> {
    let mut digest = F::ZERO;
    for frame in frames {
        let frame = Option::from(F::from_repr((*frame.as_bytes()).into()))?;
        digest = absorb_input(digest, frame);
    }
    Some(VectorDigest::new(element_bytes(&digest)))
}

/// The salt keys of a session; without one where the vectors are public and their salts 0.
#[derive(Clone, Debug)]
pub(crate) struct Salts {
    pub(crate) inputs: Option<SaltKey>,
    pub(crate) outputs: Option<SaltKey>,
    /// Salts of frames that somebody else chose, by index; of frames that are not folded yet.
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
        let salt = Salt(self.key.salt(self.count));
        self.push_salted(vector, &salt)
    }

    /// The same, for a vector whose salt somebody else chose.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn push_salted(&mut self, vector: &[i64], salt: &Salt) -> Result<(), Error> {
        check_vector(self.what, vector, &self.shape)?;
        let before = if self.last_only { F::ZERO } else { self.digest };
        let digest = vector_digest(salt.0, vector, &self.shape);
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
