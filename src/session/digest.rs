//! Digests of private inputs and hidden outputs, for whoever knows the vectors.

use ff::{Field, PrimeField};
use zeroize::Zeroize;

use crate::{
    backend::F,
    error::Error,
    keys::Params,
    kind::ProofKind,
    program::{Emission, Program, Shape, interpreter::check_vector},
    proof::VectorDigest,
    recursive::{
        Encoding,
        state::{absorb_input, absorb_output, vector_digest},
    },
    statement::salts::{Salt, SaltKey},
    trace::{RowKind, block_digest, frames_per_block, run_digest},
    weights::element_bytes,
};

/// The salted digest of one input frame, of which somebody may vouch that he knows what it is of: a
/// bank that signs it, a sensor that publishes it; see [`Attestation`](super::Attestation). It is that
/// of proofs of one kind.
///
/// The frame is made of the integers that the program takes; [`Scales`](crate::Scales) says how
/// they come from real values.
///
/// # Errors
/// If the frame has the wrong length or an entry over its width.
pub fn frame_digest(
    program: &Program,
    kind: ProofKind,
    frame: &[i64],
    salt: &Salt,
) -> Result<VectorDigest, Error> {
    let shape = program.frame_shape();
    check_vector("frame", frame, &shape)?;
    Ok(VectorDigest::from_bytes(match kind {
        ProofKind::Recursive => {
            let encoding = Encoding::of(program.frame());
            element_bytes(&vector_digest(salt.0, frame, &encoding))
        }
        ProofKind::Trace => own_digest(&shape, RowKind::Input, frame, &salt.0),
    }))
}

/// The digest of a vector that has rows of its own.
fn own_digest(shape: &Shape, kind: RowKind, vector: &[i64], salt: &F) -> [u8; 32] {
    let mut vectors = [vector.to_vec()];
    let digest = block_digest(shape, kind, true, &vectors, salt);
    vectors.iter_mut().for_each(Zeroize::zeroize);
    digest
}

/// The digest of private inputs that a statement shows, from the [digests](frame_digest) of its
/// frames, in order: for a verifier who was given those by whoever vouches for the frames. `None` if
/// one is no digest of this kind.
///
/// A trace shows it if a frame of its session was
/// [vouched for](crate::Session::push_attested).
#[must_use]
pub fn digest_of_frames(kind: ProofKind, frames: &[VectorDigest]) -> Option<VectorDigest> {
    let digest = match kind {
        ProofKind::Recursive => {
            let mut digest = F::ZERO;
            for frame in frames {
                let frame = Option::from(F::from_repr((*frame.as_bytes()).into()))?;
                digest = absorb_input(digest, frame);
            }
            element_bytes(&digest)
        }
        ProofKind::Trace => {
            let blocks: Vec<[u8; 32]> = frames.iter().map(|f| *f.as_bytes()).collect();
            run_digest(blocks.len() as u64, &blocks)
        }
    };
    Some(VectorDigest::from_bytes(digest))
}

/// Recomputes the digest of private inputs, or of hidden outputs, that a statement shows: for
/// whoever knows the vectors and was given the session's [`SaltKey`].
///
/// That of a recursive proof is `d_0 = 0`, `d_{i+1} = H(d_i, D(salt_i; vector_i))` with the hashes of
/// the protocol notes, 1 and 2; that of a trace is made of the digests of its blocks (13), each of
/// which several short vectors share. The last output alone counts where only that is emitted.
///
/// It holds the vectors of a trace until it is dropped: secret material.
#[derive(Clone)]
pub struct DigestBuilder {
    key: SaltKey,
    shape: Shape,
    /// How a circuit holds the vectors, in the recursive kind.
    encoding: Option<Encoding>,
    of: RowKind,
    last_only: bool,
    count: u64,
    running: Running,
}

#[derive(Clone)]
enum Running {
    Recursive(F),
    Trace {
        /// Whether each vector has a digest of its own.
        own_rows: bool,
        /// With their salts.
        vectors: Vec<(Vec<i64>, F)>,
    },
}

impl std::fmt::Debug for DigestBuilder {
    /// Without the vectors.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DigestBuilder({} vectors, redacted)", self.count)
    }
}

impl Drop for DigestBuilder {
    fn drop(&mut self) {
        if let Running::Trace { vectors, .. } = &mut self.running {
            vectors.iter_mut().for_each(|(v, _)| v.zeroize());
        }
    }
}

impl DigestBuilder {
    fn new(shape: Shape, of: RowKind, kind: ProofKind, key: SaltKey) -> Self {
        Self {
            key,
            shape,
            encoding: None,
            of,
            last_only: false,
            count: 0,
            running: match kind {
                ProofKind::Recursive => Running::Recursive(F::ZERO),
                ProofKind::Trace => Running::Trace {
                    own_rows: false,
                    vectors: Vec::new(),
                },
            },
        }
    }

    /// For the frames of a program, in proofs of this kind.
    #[must_use]
    pub fn inputs(program: &Program, kind: ProofKind, key: SaltKey) -> Self {
        let mut builder = Self::new(program.frame_shape(), RowKind::Input, kind, key);
        builder.encoding = Some(Encoding::of(program.frame()));
        builder
    }

    /// For the outputs of a program, one for each frame; of a program with one output for all
    /// frames too, which then replaces the one before.
    ///
    /// # Errors
    /// If the proofs are recursive, and there is no circuit for the program.
    pub fn outputs(params: &Params, kind: ProofKind, key: SaltKey) -> Result<Self, Error> {
        let program = params.program();
        let mut builder = Self::new(program.output_shape(), RowKind::Output, kind, key);
        builder.last_only = program.emission() == Emission::Last;
        if kind == ProofKind::Recursive {
            builder.encoding = Some(params.0.step()?.output_encoding());
        }
        Ok(builder)
    }

    /// For a session with a frame that somebody [vouches for](crate::Session::push_attested): in its
    /// trace every vector has a digest of its own. [`push_salted`](Self::push_salted) implies it for
    /// inputs; for outputs it must be said. In recursive proofs they always have.
    #[must_use]
    pub fn attested(mut self) -> Self {
        self.set_own_rows();
        self
    }

    fn set_own_rows(&mut self) {
        if let Running::Trace { own_rows, .. } = &mut self.running {
            *own_rows = true;
        }
    }

    /// Takes the next vector, as integers.
    ///
    /// # Errors
    /// If it has the wrong length or an entry over its width.
    pub fn push(&mut self, vector: &[i64]) -> Result<(), Error> {
        let salt = self.key.salt(self.count);
        self.absorb(vector, salt)
    }

    /// The same, for a frame that somebody vouches for, with the salt that he chose.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn push_salted(&mut self, vector: &[i64], salt: &Salt) -> Result<(), Error> {
        self.absorb(vector, salt.0)?;
        self.set_own_rows();
        Ok(())
    }

    fn absorb(&mut self, vector: &[i64], salt: F) -> Result<(), Error> {
        let (what, absorb): (_, fn(F, F) -> F) = match self.of {
            RowKind::Input => ("frame", absorb_input),
            RowKind::Output => ("output", absorb_output),
        };
        check_vector(what, vector, &self.shape)?;
        match &mut self.running {
            Running::Recursive(digest) => {
                let before = if self.last_only { F::ZERO } else { *digest };
                if let Some(encoding) = &self.encoding {
                    *digest = absorb(before, vector_digest(salt, vector, encoding));
                }
            }
            Running::Trace { vectors, .. } => {
                if self.last_only {
                    vectors.iter_mut().for_each(|(v, _)| v.zeroize());
                    vectors.clear();
                }
                vectors.push((vector.to_vec(), salt));
            }
        }
        self.count += 1;
        Ok(())
    }

    /// The digest of all vectors so far.
    #[must_use]
    pub fn digest(&self) -> VectorDigest {
        VectorDigest::from_bytes(match &self.running {
            Running::Recursive(digest) => element_bytes(digest),
            Running::Trace { own_rows, vectors } => {
                let blocks = vectors.chunks(frames_per_block(self.shape.len, *own_rows));
                let digests: Vec<[u8; 32]> =
                    blocks.map(|block| self.block(*own_rows, block)).collect();
                run_digest(vectors.len() as u64, &digests)
            }
        })
    }

    /// The digest of a block, whose salt is that of its first vector.
    fn block(&self, own_rows: bool, block: &[(Vec<i64>, F)]) -> [u8; 32] {
        let mut vectors: Vec<Vec<i64>> = block.iter().map(|(v, _)| v.clone()).collect();
        let salt = block.first().map_or(F::ZERO, |(_, salt)| *salt);
        let digest = block_digest(&self.shape, self.of, own_rows, &vectors, &salt);
        vectors.zeroize();
        digest
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::program::{Activation, LayerShape, NetworkShape};

    fn program(inputs: u32) -> Program {
        let layer = LayerShape {
            inputs,
            outputs: 2,
            activation: Activation::Relu,
        };
        let network = NetworkShape {
            reads: Vec::new(),
            layers: vec![layer],
            tables: vec![],
            width: 8,
            bits: 26,
            shift: 2,
        };
        network.program().unwrap()
    }

    #[test]
    fn a_trace_of_attested_frames_is_the_digest_of_theirs() {
        // Of frames that share a row, that fill one, and that take several.
        for len in [3, 100, 300] {
            let program = program(len);
            let frames: Vec<Vec<i64>> = (0..5)
                .map(|k| (0..i64::from(len)).map(|i| (i + k) % 100).collect())
                .collect();
            for kind in [ProofKind::Trace, ProofKind::Recursive] {
                let key = SaltKey::random();
                let mut builder = DigestBuilder::inputs(&program, kind, key.clone());
                let mut shared = DigestBuilder::inputs(&program, kind, key.clone());
                let mut attested = DigestBuilder::inputs(&program, kind, key.clone()).attested();
                let mut digests = Vec::new();
                for (k, frame) in (0..).zip(&frames) {
                    let salt = Salt(key.salt(k));
                    digests.push(frame_digest(&program, kind, frame, &salt).unwrap());
                    builder.push_salted(frame, &salt).unwrap();
                    shared.push(frame).unwrap();
                    attested.push(frame).unwrap();
                }
                let all = digest_of_frames(kind, &digests).unwrap();
                assert_eq!(builder.digest(), all);
                assert_eq!(attested.digest(), all);
                // Whether vectors share rows is part of what is digested, if they could.
                let could = kind == ProofKind::Trace && len < 64;
                assert_eq!(shared.digest() != all, could, "{kind} {len}");
                digests.swap(0, 1);
                assert_ne!(digest_of_frames(kind, &digests).unwrap(), all);
            }
        }
    }

    #[test]
    fn digests_depend_on_kind_salt_and_frame() {
        let program = program(3);
        let (salt, other) = (Salt::random(), Salt::random());
        let digest = |kind, frame: &[i64], salt| frame_digest(&program, kind, frame, salt).unwrap();
        let mut all = Vec::new();
        for kind in [ProofKind::Trace, ProofKind::Recursive] {
            for (frame, salt) in [([1, 2, 3], &salt), ([1, 2, 4], &salt), ([1, 2, 3], &other)] {
                all.push(digest(kind, &frame, salt));
            }
            assert!(frame_digest(&program, kind, &[1, 2], &salt).is_err());
            assert!(frame_digest(&program, kind, &[1, 2, 128], &salt).is_err());
        }
        for (i, a) in all.iter().enumerate() {
            assert!(!all[..i].contains(a));
            assert_eq!(a.to_string().parse(), Ok(*a));
            let json = serde_json::to_string(a).unwrap();
            assert_eq!(json, format!("\"{a}\""));
            assert_eq!(serde_json::from_str::<VectorDigest>(&json).unwrap(), *a);
            let bytes = postcard::to_stdvec(a).unwrap();
            assert_eq!(bytes, a.as_bytes());
            assert_eq!(postcard::from_bytes::<VectorDigest>(&bytes).unwrap(), *a);
        }
        for text in ["", "00", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64)] {
            assert!(text.parse::<VectorDigest>().is_err());
        }
    }
}
