//! Keys of a program: they depend on its shape alone and serve every model of that shape. Each kind
//! of proof has its own, made when they are first needed.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use nova_snark::{
    nova::{CompressedSNARK, ProverKey, PublicParams, RecursiveSNARK, VerifierKey},
    traits::snark::default_ck_hint,
};

use crate::{
    backend::{
        Backend, DefaultBackend, E1, E2,
        generators::{self, BANK_LABEL},
    },
    error::{Error, Reason},
    hash::shake,
    hex,
    ipa::Snark,
    kind::ProofKind,
    program::{Program, ProgramError},
    recursive::{InferenceStep, Schedule, Unrolled, count_constraints, step_constraints},
    trace::TraceKey,
};

pub(crate) type Public = PublicParams<E1, E2, InferenceStep>;
pub(crate) type Recursive = RecursiveSNARK<E1, E2, InferenceStep>;
pub(crate) type Compressed = CompressedSNARK<E1, E2, InferenceStep, Snark<E1>, Snark<E2>>;

/// Of the keys, beside the program: circuits and transcripts of another version have other keys.
const KEYS: u16 = 3;
/// Nova's own constraints, which a test counts: in the primary circuit, beside those of a step; the secondary circuit.
pub(crate) const NOVA_CONSTRAINTS: (usize, usize) = (9_819, 10_349);

pub(crate) struct Inner {
    pub(crate) program: Program,
    pub(crate) program_digest: [u8; 32],
    pub(crate) digest: [u8; 32],
    /// The schedule that steps were asked to have.
    schedule: Option<Schedule>,
    /// Where generators are cached.
    directory: Option<PathBuf>,
    // Each is made when it is first asked for: the kinds need different ones, a step is synthesised to
    // know its size, and a verifier's key holds a copy of all matrices.
    step: OnceLock<Result<Arc<Unrolled>, ProgramError>>,
    constraints: OnceLock<usize>,
    trace: OnceLock<TraceKey>,
    public: OnceLock<Public>,
    prover_key: OnceLock<CompressionKey>,
    verifier_key: OnceLock<VerificationKey>,
    /// Held while any of these is made.
    making: Mutex<()>,
}

pub(crate) type CompressionKey = ProverKey<E1, E2, InferenceStep, Snark<E1>, Snark<E2>>;
pub(crate) type VerificationKey = VerifierKey<E1, E2, InferenceStep, Snark<E1>, Snark<E2>>;

/// Constraints and variables of a circuit.
type Size = (usize, usize);

impl Inner {
    fn made<'a, T>(
        &self,
        cell: &'a OnceLock<T>,
        make: impl FnOnce() -> Result<T, Error>,
    ) -> Result<&'a T, Error> {
        if let Some(made) = cell.get() {
            return Ok(made);
        }
        // Once, however many threads ask.
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = cell.get() {
            return Ok(made);
        }
        let made = self.with_generators(|| tracing::info_span!("setup").in_scope(make))?;
        Ok(cell.get_or_init(|| made))
    }

    /// Runs `f` where generators that it asks for are cached.
    pub(crate) fn with_generators<T>(&self, f: impl FnOnce() -> T) -> T {
        generators::with_directory(self.directory.as_deref(), f)
    }

    /// A step of the recursive kind, all its frames or layers.
    ///
    /// # Errors
    /// If there is no circuit for the program, or it would be too large.
    pub(crate) fn step(&self) -> Result<&Arc<Unrolled>, Error> {
        let step = self.step.get_or_init(|| {
            let step = match self.schedule {
                Some(schedule) => Unrolled::new(&self.program, schedule),
                None => Unrolled::unasked(&self.program),
            };
            step.map(Arc::new)
        });
        step.as_ref().map_err(|e| Reason::Step(e.clone()).into())
    }

    /// Names the keys of the recursive kind: a digest of the program, its schedule, the backend and the
    /// version of the keys.
    pub(crate) fn recursive_digest(&self, step: &Unrolled) -> [u8; 32] {
        digest_of(&self.program_digest, Some(step.schedule))
    }

    /// Whether keys were asked for in which layers are spread over steps.
    pub(crate) fn shares_layers(&self) -> bool {
        let layered = matches!(self.schedule, Some(Schedule::LayersPerStep(_)));
        layered && self.step().is_ok_and(|step| step.phases > 1)
    }

    /// Constraints of a step of the recursive kind, Nova's own not counted.
    fn constraints(&self) -> Result<usize, Error> {
        let step = self.step()?;
        Ok(*self.constraints.get_or_init(|| step_constraints(step)))
    }

    /// What traces need.
    ///
    /// # Errors
    /// If the keys were asked for with layers spread over steps.
    pub(crate) fn trace(&self) -> Result<&TraceKey, Error> {
        if self.shares_layers() {
            return Err(Error::usage(
                "these keys are of steps that layers share: there is no trace of them",
            ));
        }
        self.made(&self.trace, || {
            Ok(TraceKey::new(&self.program, self.program_digest))
        })
    }

    /// What folding needs in the recursive kind.
    pub(crate) fn public(&self) -> Result<&Public, Error> {
        let step = self.step()?;
        self.made(&self.public, || {
            let step = InferenceStep::shape(step.clone());
            Public::setup(&step, &*default_ck_hint(), &*default_ck_hint())
                .map_err(|e| Error::proving("setup", e))
        })
    }

    /// Sizes of the two circuits of the recursive kind.
    pub(crate) fn recursive_sizes(&self) -> Result<(Size, Size), Error> {
        let public = self.public()?;
        let ((m1, m2), (n1, n2)) = (public.num_constraints(), public.num_variables());
        Ok(((m1, n1), (m2, n2)))
    }

    pub(crate) fn prover_key(&self) -> Result<&CompressionKey, Error> {
        let public = self.public()?;
        self.made(&self.prover_key, || {
            let keys = Compressed::setup(public).map_err(|e| Error::proving("setup", e))?;
            Ok(keys.0)
        })
    }

    pub(crate) fn verifier_key(&self) -> Result<&VerificationKey, Error> {
        let public = self.public()?;
        self.made(&self.verifier_key, || {
            let keys = Compressed::setup(public).map_err(|e| Error::proving("setup", e))?;
            Ok(keys.1)
        })
    }
}

/// Proving and verifying keys of a program.
///
/// There is no trusted setup: generators are hashed to the curve from public labels, everything
/// else follows from the program. Prover and verifier each make their own. Cheap to clone.
///
/// Each [kind of proof](ProofKind) has keys of its own, made and kept when they are first needed: those
/// of traces at once, those of the recursive kind in seconds. A session that goes over to recursion
/// makes them on the way. See [`prepare`](Self::prepare).
#[derive(Clone)]
pub struct Params(pub(crate) Arc<Inner>);

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Params")
            .field("program", &hex::encode(&self.0.program_digest))
            .finish_non_exhaustive()
    }
}

impl Params {
    /// The keys of a program, with generators cached in the platform's cache folder
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
        Self::make(program, None, directory.as_deref())
    }

    /// The keys of a program whose steps, in recursive proofs, are spread by this schedule. Prover and
    /// verifier need the same. Without one a step is a whole inference, or, if that is too large for a
    /// circuit, as many layers as are not. With layers spread over steps sessions fold; otherwise they
    /// make traces, which do not depend on the schedule.
    ///
    /// # Errors
    /// If the program is not valid, or the schedule does not fit it.
    pub fn setup_with(program: &Program, schedule: Schedule) -> Result<Self, Error> {
        let directory = dirs::cache_dir().map(|d| d.join("layerfold"));
        Self::make(program, Some(schedule), directory.as_deref())
    }

    /// The same, with generators cached in `directory`.
    ///
    /// # Errors
    /// As [`setup`](Self::setup).
    pub fn setup_in(program: &Program, directory: impl AsRef<Path>) -> Result<Self, Error> {
        Self::make(program, None, Some(directory.as_ref()))
    }

    /// The same, without reading or writing any file.
    ///
    /// # Errors
    /// As [`setup`](Self::setup).
    pub fn setup_without_cache(program: &Program) -> Result<Self, Error> {
        Self::make(program, None, None)
    }

    #[tracing::instrument(name = "setup", skip_all)]
    fn make(
        program: &Program,
        schedule: Option<Schedule>,
        directory: Option<&Path>,
    ) -> Result<Self, Error> {
        program.validate()?;
        let program_digest = program.digest();
        let digest = digest_of(&program_digest, schedule);
        // Loaded while the directory is known: provers and verifiers of models need them.
        generators::with_directory(directory, || {
            // As many as are kept in a file at least: rows of a trace may be longer.
            let columns = 1 << program.default_column_bits().max(10);
            let _ = generators::get::<E1>(BANK_LABEL, columns + 1);
        });
        let params = Self(Arc::new(Inner {
            schedule,
            program_digest,
            digest,
            program: program.clone(),
            directory: directory.map(Path::to_path_buf),
            step: OnceLock::new(),
            constraints: OnceLock::new(),
            trace: OnceLock::new(),
            public: OnceLock::new(),
            prover_key: OnceLock::new(),
            verifier_key: OnceLock::new(),
            making: Mutex::new(()),
        }));
        if schedule.is_some() {
            params.0.step()?;
        }
        Ok(params)
    }

    /// The kind of proof that a session makes if it is not [told](crate::Session::set_kind) another:
    /// a trace if the steps of the program are whole inferences, and not too large for one; a recursive
    /// one otherwise.
    #[must_use]
    pub fn expected_kind(&self) -> ProofKind {
        match self.0.trace() {
            Ok(_) => ProofKind::Trace,
            Err(_) => ProofKind::Recursive,
        }
    }

    /// Makes the part of the keys that only provers need, if it is not there yet, for
    /// [the kind that sessions begin with](Self::expected_kind). The first
    /// [`Prover`](crate::Prover) does it too. Keys of the other kind are made when they are needed.
    ///
    /// # Errors
    /// If the program is too large for that kind.
    pub fn prepare_prover(&self) -> Result<(), Error> {
        self.prepare_prover_for(self.expected_kind())
    }

    /// The same for provers of one kind.
    ///
    /// # Errors
    /// If the program is too large for that kind, or its steps are not frames and a trace is asked
    /// for.
    pub fn prepare_prover_for(&self, kind: ProofKind) -> Result<(), Error> {
        match kind {
            ProofKind::Trace => {
                let key = self.0.trace()?;
                self.0.with_generators(|| key.prepare());
                Ok(())
            }
            ProofKind::Recursive => self.0.prover_key().map(|_| ()),
        }
    }

    /// The kind that keys were made for already, the expected one if there are none: what is worth
    /// preparing unasked.
    pub(crate) fn kind_in_use(&self) -> ProofKind {
        let inner = &self.0;
        match (inner.trace.get(), inner.public.get()) {
            (None, Some(_)) => ProofKind::Recursive,
            _ => self.expected_kind(),
        }
    }

    /// Makes the part of the keys that only verifiers need, a copy of all matrices, if it is not
    /// there yet, for [the kind that sessions begin with](Self::expected_kind). The first
    /// [`Verifier`](crate::Verifier) does it too. Keys of the other kind are made when a proof of
    /// that kind is verified.
    ///
    /// # Errors
    /// As [`prepare_prover`](Self::prepare_prover).
    pub fn prepare_verifier(&self) -> Result<(), Error> {
        self.prepare_verifier_for(self.expected_kind())
    }

    /// The same for verifiers of one kind.
    ///
    /// # Errors
    /// As [`prepare_verifier`](Self::prepare_verifier).
    pub fn prepare_verifier_for(&self, kind: ProofKind) -> Result<(), Error> {
        match kind {
            ProofKind::Trace => self.0.trace().map(|_| ()),
            ProofKind::Recursive => self.0.verifier_key().map(|_| ()),
        }
    }

    /// Makes all keys of one kind that are not there yet.
    ///
    /// # Errors
    /// As [`prepare_prover_for`](Self::prepare_prover_for).
    pub fn prepare(&self, kind: ProofKind) -> Result<(), Error> {
        self.prepare_prover_for(kind)?;
        self.prepare_verifier_for(kind)
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.0.program
    }

    /// Names the keys, of both kinds, 32 bytes: a digest of the program, the schedule if one was asked
    /// for, the backend and the version of the keys.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.0.digest
    }

    /// Constraints of the two circuits of the recursive kind, Nova's own included: primary,
    /// secondary.
    ///
    /// # Errors
    /// If a step is too large for a circuit.
    pub fn constraint_counts(&self) -> Result<(usize, usize), Error> {
        let step = self.0.constraints()?;
        Ok((step + NOVA_CONSTRAINTS.0, NOVA_CONSTRAINTS.1))
    }

    /// Constraints of one step of the recursive kind by part.
    ///
    /// # Errors
    /// As [`constraint_counts`](Self::constraint_counts).
    pub fn constraints(&self) -> Result<ConstraintReport, Error> {
        let (primary, secondary) = self.constraint_counts()?;
        Ok(ConstraintReport {
            parts: count_constraints(self.0.step()?),
            primary,
            secondary,
        })
    }

    /// Bytes of the keys that were made so far, matrices and generators, of provers and verifiers. A
    /// trace has no matrices, and generators that all programs share: it counts as nothing.
    #[must_use]
    pub fn key_bytes(&self) -> usize {
        const POINT: usize = 64;
        let inner = &self.0;
        let Some(public) = inner.public.get() else {
            return 0;
        };
        let (primary, secondary) = public.num_constraints();
        let (vars_1, vars_2) = public.num_variables();
        let points =
            primary.max(vars_1).next_power_of_two() + secondary.max(vars_2).next_power_of_two();
        postcard::experimental::serialized_size(public).unwrap_or(0) + POINT * points
    }
}

/// `Digest("layerfold/params/2"; program, backend, version, schedule)`; the schedule is five bytes: 0
/// for none, 1 and frames, or 2 and layers.
fn digest_of(program: &[u8; 32], schedule: Option<Schedule>) -> [u8; 32] {
    let (form, count) = match schedule {
        None => (0u8, 0u32),
        Some(Schedule::WholeNetwork) => (1, 1),
        Some(Schedule::FramesPerStep(n)) => (1, n),
        Some(Schedule::LayersPerStep(n)) => (2, n),
    };
    let mut digest = [0; 32];
    shake(
        "layerfold/params/2",
        &[
            program,
            &[DefaultBackend::ID],
            &KEYS.to_le_bytes(),
            &[form],
            &count.to_le_bytes(),
        ],
        &mut digest,
    );
    digest
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
