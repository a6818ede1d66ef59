//! Keys of a program: they depend on its shape alone and serve every model of that shape.

use std::{
    fmt,
    path::Path,
    sync::{Arc, OnceLock},
};

use nova_snark::{
    nova::{CompressedSNARK, ProverKey, PublicParams, RecursiveSNARK, VerifierKey},
    traits::snark::default_ck_hint,
};

use crate::{
    backend::{
        E1, E2, Snark,
        generators::{self, BANK_LABEL},
    },
    circuit::{InferenceStep, count_constraints},
    error::Error,
    program::{Program, Unrolled},
    weights::element_bytes,
};

pub(crate) type Public = PublicParams<E1, E2, InferenceStep>;
pub(crate) type Recursive = RecursiveSNARK<E1, E2, InferenceStep>;
pub(crate) type Compressed = CompressedSNARK<E1, E2, InferenceStep, Snark<E1>, Snark<E2>>;

pub(crate) struct Inner {
    pub(crate) step: Arc<Unrolled>,
    pub(crate) program_digest: [u8; 32],
    pub(crate) digest: [u8; 32],
    pub(crate) public: Public,
    /// Made when a prover or a verifier asks for it: the verifier's key holds a copy of all
    /// matrices.
    prover_key: OnceLock<CompressionKey>,
    verifier_key: OnceLock<VerificationKey>,
}

pub(crate) type CompressionKey = ProverKey<E1, E2, InferenceStep, Snark<E1>, Snark<E2>>;
pub(crate) type VerificationKey = VerifierKey<E1, E2, InferenceStep, Snark<E1>, Snark<E2>>;

impl Inner {
    pub(crate) fn prover_key(&self) -> Result<&CompressionKey, Error> {
        if let Some(key) = self.prover_key.get() {
            return Ok(key);
        }
        let (key, _) = Compressed::setup(&self.public).map_err(|e| Error::proving("setup", e))?;
        Ok(self.prover_key.get_or_init(|| key))
    }

    pub(crate) fn verifier_key(&self) -> Result<&VerificationKey, Error> {
        if let Some(key) = self.verifier_key.get() {
            return Ok(key);
        }
        let (_, key) = Compressed::setup(&self.public).map_err(|e| Error::proving("setup", e))?;
        Ok(self.verifier_key.get_or_init(|| key))
    }
}

/// Proving and verifying keys of a program.
///
/// There is no trusted setup: generators are hashed to the curve from public labels, everything
/// else follows from the program. Prover and verifier each make their own. Cheap to clone.
#[derive(Clone)]
pub struct Params(pub(crate) Arc<Inner>);

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Params")
            .field("constraints", &self.constraint_counts())
            .finish_non_exhaustive()
    }
}

impl Params {
    /// Makes the keys of a program, with generators cached in the platform's cache folder
    /// (`layerfold` in it).
    ///
    /// The cache holds generators only, which do not depend on the program. What is read is
    /// checked against digests that are part of this library; a file that is missing, of another
    /// version or changed is made anew and never used.
    ///
    /// # Errors
    /// If the program is not valid. A cache that cannot be written is not an error.
    pub fn setup(program: &Program) -> Result<Self, Error> {
        let directory = dirs::cache_dir().map(|d| d.join("layerfold"));
        Self::make(program, directory.as_deref())
    }

    /// The same, with generators cached in `directory`.
    ///
    /// # Errors
    /// As [`setup`](Self::setup).
    pub fn setup_in(program: &Program, directory: impl AsRef<Path>) -> Result<Self, Error> {
        Self::make(program, Some(directory.as_ref()))
    }

    /// The same, without reading or writing any file.
    ///
    /// # Errors
    /// As [`setup`](Self::setup).
    pub fn setup_without_cache(program: &Program) -> Result<Self, Error> {
        Self::make(program, None)
    }

    #[tracing::instrument(name = "setup", skip_all)]
    fn make(program: &Program, directory: Option<&Path>) -> Result<Self, Error> {
        program.validate()?;
        let unrolled = Arc::new(Unrolled::new(program));
        generators::with_directory(directory, || {
            let step = InferenceStep::shape(unrolled.clone());
            let fail = |e| Error::proving("setup", e);
            let public =
                Public::setup(&step, &*default_ck_hint(), &*default_ck_hint()).map_err(fail)?;
            // The bank's generators are loaded here too, while the directory is known.
            let columns = 1 << program.bank().default_column_bits();
            let _ = generators::get::<E1>(BANK_LABEL, columns + 1);
            Ok(Self(Arc::new(Inner {
                program_digest: program.digest(),
                digest: element_bytes(&public.digest()),
                step: unrolled,
                public,
                prover_key: OnceLock::new(),
                verifier_key: OnceLock::new(),
            })))
        })
    }

    /// Makes the part of the keys that only provers need, if it is not there yet. The first
    /// [`Prover`](crate::Prover) does it too.
    ///
    /// # Errors
    /// None for keys that were made by this type.
    #[tracing::instrument(name = "setup", skip_all)]
    pub fn prepare_prover(&self) -> Result<(), Error> {
        self.0.prover_key().map(|_| ())
    }

    /// Makes the part of the keys that only verifiers need, a copy of all matrices, if it is not
    /// there yet. The first verification does it too.
    ///
    /// # Errors
    /// None for keys that were made by this type.
    #[tracing::instrument(name = "setup", skip_all)]
    pub fn prepare_verifier(&self) -> Result<(), Error> {
        self.0.verifier_key().map(|_| ())
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.0.step.program
    }

    /// Digest of the keys, 32 bytes. Equal programs have equal digests.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.0.digest
    }

    /// Constraints of the two circuits, Nova's own included: primary, secondary.
    #[must_use]
    pub fn constraint_counts(&self) -> (usize, usize) {
        self.0.public.num_constraints()
    }

    /// Constraints of one step by part.
    #[must_use]
    pub fn constraints(&self) -> ConstraintReport {
        ConstraintReport {
            parts: count_constraints(self.program()),
            primary: self.constraint_counts().0,
            secondary: self.constraint_counts().1,
        }
    }

    /// Bytes of the keys: what a verifier and a prover hold of matrices and generators.
    #[must_use]
    pub fn key_bytes(&self) -> usize {
        let matrices = postcard::experimental::serialized_size(&self.0.public).unwrap_or(0);
        let (primary, secondary) = self.0.public.num_constraints();
        let (vars_1, vars_2) = self.0.public.num_variables();
        let points =
            primary.max(vars_1).next_power_of_two() + secondary.max(vars_2).next_power_of_two();
        matrices + 64 * points
    }
}

/// Constraints of one step of a program.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ConstraintReport {
    /// Of the step circuit, by part, in order.
    pub parts: Vec<(String, usize)>,
    /// Of the primary circuit, Nova's own included.
    pub primary: usize,
    /// Of the secondary circuit.
    pub secondary: usize,
}

impl ConstraintReport {
    /// Constraints of the step circuit alone.
    #[must_use]
    pub fn step(&self) -> usize {
        self.parts.iter().map(|(_, n)| n).sum()
    }
}
