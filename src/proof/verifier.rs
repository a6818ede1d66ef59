//! Verification (protocol notes, 7): everything is recomputed, nothing but bytes is taken from the
//! prover.

use ff::{Field, PrimeField};

use super::{
    Proof, Statement, VectorDigest, Vectors,
    format::{Argument, PublicPart, RecursiveArgument},
    shape::sequence_lengths,
    statement::visibility,
};
use crate::{
    backend::{Commitment, E1, F},
    keys::Params,
    kind::ProofKind,
    program::{Emission, Register, Shape},
    recursive::{
        Encoding, RunState, Schedule, Unrolled,
        state::{absorb_input, absorb_output, initial_z, vector_digest},
    },
    statement::{BindingParts, Visibility},
    trace::{PublicVectors, TraceError, TraceProof, TraceStatement},
    weights::{ModelCommitment, ModelDigest, OpeningStatement, WeightClaim},
};

/// Why a proof does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The model commitment the verifier was given is not one for this program.
    #[error("the model commitment does not fit the program")]
    CommitmentShape,
    /// The proof is for another program.
    #[error("the proof is for another program")]
    OtherProgram,
    /// The proof is for another model.
    #[error("the proof is for model {got}, expected {expected}")]
    OtherModel {
        /// The model of the verifier.
        expected: ModelDigest,
        /// The model that the proof names.
        got: ModelDigest,
    },
    /// The steps are of another schedule than that of the keys.
    #[error("a step of the proof is `{got}`, and one of the keys `{expected}`")]
    OtherSchedule {
        /// That of the keys.
        expected: Schedule,
        /// That of the proof.
        got: Schedule,
    },
    /// The run ends inside an inference, or steps and frames contradict each other.
    #[error("{steps} steps cannot be a run of {frames} frames")]
    StepCount {
        /// Steps claimed.
        steps: u64,
        /// Frames claimed.
        frames: u64,
    },
    /// The run has more frames than its sums over frames have room for.
    #[error("{frames} frames are more than the {most} that the sums have room for")]
    TooManyFrames {
        /// Frames claimed.
        frames: u64,
        /// The most that the program allows.
        most: u64,
    },
    /// The parameters of the statement are not those of this program: too few, too many, or one
    /// over its width.
    #[error("the parameters are not those of a statement of this program")]
    Parameters,
    /// The number of public entries is not what the program has for so many frames.
    #[error("public {what}: expected {expected} entries, got {got}")]
    PublicShape {
        /// Inputs or outputs.
        what: &'static str,
        /// What the program has.
        expected: u64,
        /// What the proof holds.
        got: u64,
    },
    /// A public entry is over its width.
    #[error("vector {index} of the public {what} has an entry that does not fit {width} bits")]
    PublicRange {
        /// Which vectors.
        what: &'static str,
        /// Which of them.
        index: usize,
        /// The width.
        width: u32,
    },
    /// What a recursive proof shows of private inputs or hidden outputs is no digest.
    #[error("the digest of the {what} is none")]
    NoDigest {
        /// Inputs or outputs.
        what: &'static str,
    },
    /// The proof contradicts what the verifier expects.
    #[error("the proof has another {what} than expected")]
    Unexpected {
        /// What differs.
        what: &'static str,
    },
    /// A part of the argument has not the length that this program asks for.
    #[error("the argument has not the shape of one for this program")]
    ArgumentShape,
    /// The steps do not hold, or do not follow each other.
    #[error("the chain of steps does not hold")]
    Steps,
    /// The steps hold and do not lead to the state that the statement describes.
    #[error("the run did not end in the stated inputs, outputs, counters and claim")]
    FinalState,
    /// The claim about the weights does not hold for the committed model.
    #[error("the matrix products are not those of the committed weights")]
    WeightClaim,
    /// The argument about the trace of the run does not hold.
    #[error("the trace is not that of a run of the committed model")]
    Trace,
}

/// Verifies proofs of one committed model under one program.
///
/// It returns what it did not fix itself as a [`Statement`], which must be looked at: a proof about
/// other inputs, another context or hidden outputs is a valid proof of something else.
#[derive(Clone, Debug)]
pub struct Verifier {
    params: Params,
    model: ModelCommitment,
    digest: ModelDigest,
    fits: bool,
    context: Option<Vec<u8>>,
    visibility: Option<Visibility>,
    kind: Option<ProofKind>,
    frames: Option<u64>,
    parameters: Option<Vec<i64>>,
    inputs: Option<Expected>,
    outputs: Option<Expected>,
}

/// What a proof must show of its inputs or outputs.
#[derive(Clone, Debug)]
enum Expected {
    /// All vectors, one after the other.
    Entries(Vec<i64>),
    Digest([u8; 32]),
}

impl Expected {
    fn is(&self, got: &Vectors) -> bool {
        match (self, got) {
            // Lengths are those of the program, or the digest is refused later.
            (Self::Entries(expected), Vectors::Entries(got)) => expected == got,
            (Self::Digest(expected), Vectors::Digest(got)) => expected == got,
            _ => false,
        }
    }
}

impl Verifier {
    /// A verifier of proofs about a committed model.
    ///
    /// Both kinds of proof are accepted, unless [`kind`](Self::kind) says otherwise, and the keys of a
    /// kind are made when the first proof of it comes, be it valid or not: those of the recursive kind
    /// take seconds.
    ///
    /// Make `params` yourself, from the program you accept; take the commitment from where the
    /// model was published.
    #[must_use]
    pub fn new(params: &Params, model: ModelCommitment) -> Self {
        // Now rather than with the first proof; it does not fail.
        let _ = params.prepare_verifier_for(params.kind_in_use());
        Self {
            fits: model.fits(params.program()),
            digest: model.digest(),
            params: params.clone(),
            model,
            context: None,
            visibility: None,
            kind: None,
            frames: None,
            parameters: None,
            inputs: None,
            outputs: None,
        }
    }

    /// Accepts only proofs bound to this context.
    #[must_use]
    pub fn context(mut self, context: &[u8]) -> Self {
        self.context = Some(context.to_vec());
        self
    }

    /// Accepts only proofs that show this.
    #[must_use]
    pub fn visibility(mut self, visibility: Visibility) -> Self {
        self.visibility = Some(visibility);
        self
    }

    /// Accepts only proofs of this kind. Both kinds prove the same; this is for a verifier that wants
    /// proofs of one size, or to make the keys of one kind only.
    #[must_use]
    pub fn kind(mut self, kind: ProofKind) -> Self {
        // As in `new`.
        let _ = self.params.prepare_verifier_for(kind);
        self.kind = Some(kind);
        self
    }

    /// Accepts only runs of this many frames.
    #[must_use]
    pub fn frames(mut self, frames: u64) -> Self {
        self.frames = Some(frames);
        self
    }

    /// Accepts only proofs of statements with these parameters, one after the other.
    #[must_use]
    pub fn parameters(mut self, parameters: &[i64]) -> Self {
        self.parameters = Some(parameters.to_vec());
        self
    }

    /// Accepts only proofs that show these inputs; one that keeps them private is refused. Vectors are
    /// compared one after the other, their lengths are those of the program.
    #[must_use]
    pub fn inputs(mut self, frames: &[Vec<i64>]) -> Self {
        self.inputs = Some(Expected::Entries(frames.concat()));
        self
    }

    /// Accepts only proofs about private inputs with this digest, which whoever knows them can
    /// recompute with a [`DigestBuilder`](crate::DigestBuilder).
    #[must_use]
    pub fn input_digest(mut self, digest: VectorDigest) -> Self {
        self.inputs = Some(Expected::Digest(*digest.as_bytes()));
        self
    }

    /// Accepts only proofs that show these outputs, as [`inputs`](Self::inputs).
    #[must_use]
    pub fn outputs(mut self, vectors: &[Vec<i64>]) -> Self {
        self.outputs = Some(Expected::Entries(vectors.concat()));
        self
    }

    /// Accepts only proofs with hidden outputs of this digest.
    #[must_use]
    pub fn output_digest(mut self, digest: VectorDigest) -> Self {
        self.outputs = Some(Expected::Digest(*digest.as_bytes()));
        self
    }

    /// Verifies a proof.
    ///
    /// # Errors
    /// [`VerifyError`] if the proof does not hold or is not what this verifier expects.
    #[tracing::instrument(name = "verify", skip_all)]
    pub fn verify(&self, proof: &Proof) -> Result<Statement, VerifyError> {
        let public = &proof.public;
        self.check_expectations(public)?;
        if self.kind.is_some_and(|kind| kind != proof.kind()) {
            return Err(VerifyError::Unexpected { what: "kind" });
        }
        if let Argument::Recursive(argument) = &proof.argument {
            let expected = self.step()?.schedule;
            if argument.schedule != expected {
                let got = argument.schedule;
                return Err(VerifyError::OtherSchedule { expected, got });
            }
        }
        self.check_counts(public, proof.kind())?;
        let carried = self
            .params
            .program()
            .initial_with(&public.parameters)
            .map_err(|_| VerifyError::Parameters)?;
        match &proof.argument {
            Argument::Recursive(argument) => self.verify_recursive(public, argument, &carried)?,
            Argument::Trace(argument) => self.verify_trace(public, argument)?,
        }
        Ok(Statement {
            model: self.digest,
            program: public.program,
            kind: proof.kind(),
            steps: public.steps,
            frames: public.frames,
            context: public.context.clone(),
            parameters: public.parameters.clone(),
            inputs: public
                .inputs
                .clone()
                .into_inputs(self.params.program().frame().len as usize),
            outputs: public
                .outputs
                .clone()
                .into_outputs(self.params.program().output_shape().len),
        })
    }

    /// The chain of steps begins and ends where the statement says, and the claim that it leads to is
    /// true of the committed weights. The program begins with `carried`.
    fn verify_recursive(
        &self,
        public: &PublicPart,
        argument: &RecursiveArgument,
        carried: &[Vec<i64>],
    ) -> Result<(), VerifyError> {
        // Before keys are made.
        for (what, vectors) in [("inputs", &public.inputs), ("outputs", &public.outputs)] {
            if let Vectors::Digest(digest) = vectors {
                digest_element(what, digest)?;
            }
        }
        self.check_lengths(argument)?;
        let step = self.step()?;
        let binding = self.binding(public, &argument.mask)?;
        // Layers that share steps carry a vector that the program does not know of.
        let carried = if step.phases > 1 {
            &step.initial
        } else {
            carried
        };
        let z_0 = initial_z(step, binding, carried);
        let z_n = argument
            .verify_chain(&self.params, public.steps, z_0)
            .map_err(|_| VerifyError::Steps)?;
        // Public vectors are hashed only now: there may be many.
        let claim = WeightClaim {
            point: argument.point.clone(),
            value: argument.value,
        };
        let end = self.end_of_run(public, binding, claim)?;
        check_final_state(&z_n, &end)?;
        argument
            .opening
            .verify(&OpeningStatement {
                model: &self.model,
                mask: argument.mask,
                binding: end.binding,
                claim: &end.claim,
            })
            .map_err(|_| VerifyError::WeightClaim)
    }

    /// The committed integers are those of the run that the statement describes.
    fn verify_trace(&self, public: &PublicPart, argument: &TraceProof) -> Result<(), VerifyError> {
        let key = self
            .params
            .0
            .trace()
            .map_err(|_| VerifyError::ArgumentShape)?;
        let statement = TraceStatement {
            model: &self.model,
            context: &public.context,
            parameters: &public.parameters,
            frames: public.frames,
            own_rows: public.own_rows,
            inputs: public_vectors(&public.inputs),
            outputs: public_vectors(&public.outputs),
        };
        let verified = self
            .params
            .0
            .with_generators(|| key.verify(&statement, argument));
        verified.map_err(|error| match error {
            TraceError::Shape => VerifyError::ArgumentShape,
            TraceError::Invalid => VerifyError::Trace,
        })
    }

    /// Every sequence of the argument has the length that the keys ask for: nova's verifier takes
    /// that for granted.
    fn check_lengths(&self, argument: &RecursiveArgument) -> Result<(), VerifyError> {
        let opening = crate::ipa::lengths(self.model.column_bits() as usize);
        if argument.point.len() == self.params.program().bank().rounds()
            && sequence_lengths(&argument.opening) == Some(opening.to_vec())
            && argument.chain_fits(&self.params)
        {
            Ok(())
        } else {
            Err(VerifyError::ArgumentShape)
        }
    }

    fn check_expectations(&self, public: &PublicPart) -> Result<(), VerifyError> {
        if !self.fits {
            return Err(VerifyError::CommitmentShape);
        }
        if public.program != self.params.0.program_digest {
            return Err(VerifyError::OtherProgram);
        }
        if public.model != self.digest.0 {
            return Err(VerifyError::OtherModel {
                expected: self.digest,
                got: ModelDigest(public.model),
            });
        }
        let unexpected = |what| Err(VerifyError::Unexpected { what });
        if self.context.as_ref().is_some_and(|c| *c != public.context) {
            return unexpected("context");
        }
        let shown = visibility(&public.inputs, &public.outputs);
        if self.visibility.is_some_and(|v| v != shown) {
            return unexpected("visibility");
        }
        if self.frames.is_some_and(|f| f != public.frames) {
            return unexpected("number of frames");
        }
        let parameters = &self.parameters;
        if parameters.as_ref().is_some_and(|p| *p != public.parameters) {
            return unexpected("parameters");
        }
        for (what, expected, got) in [
            ("inputs", &self.inputs, &public.inputs),
            ("outputs", &self.outputs, &public.outputs),
        ] {
            if expected.as_ref().is_some_and(|e| !e.is(got)) {
                return unexpected(what);
            }
        }
        Ok(())
    }

    /// Numbers of steps and frames, and the public entries, are those of a run of this program, and
    /// of this kind of proof.
    fn check_counts(&self, public: &PublicPart, kind: ProofKind) -> Result<(), VerifyError> {
        let program = self.params.program();
        let possible = match kind {
            ProofKind::Recursive => {
                if public.own_rows {
                    return Err(VerifyError::ArgumentShape);
                }
                // Whole inferences, each of one frame or more: at least one in a step, and not more
                // than the step takes.
                let step = self.step()?;
                let per_frame = step.phases;
                let inferences = public.steps / per_frame;
                let most = inferences.checked_mul(step.frames() as u64);
                public.steps > 0
                    && public.steps.is_multiple_of(per_frame)
                    && public.frames >= inferences
                    && most.is_some_and(|most| public.frames <= most)
            }
            ProofKind::Trace => {
                if self.params.0.shares_layers() {
                    return Err(VerifyError::ArgumentShape);
                }
                public.steps == 1 && public.frames > 0
            }
        };
        if !possible {
            return Err(VerifyError::StepCount {
                steps: public.steps,
                frames: public.frames,
            });
        }
        let most = program.max_frames();
        if public.frames > most {
            return Err(VerifyError::TooManyFrames {
                frames: public.frames,
                most,
            });
        }
        let [inputs, outputs] = self.public_shapes();
        let emitted = match program.emission() {
            Emission::Each => public.frames,
            Emission::Last => 1,
        };
        for (what, vectors, count, shape) in [
            ("inputs", &public.inputs, public.frames, inputs),
            ("outputs", &public.outputs, emitted, outputs),
        ] {
            if let Vectors::Entries(entries) = vectors {
                check_public(what, entries, count, &shape)?;
            }
        }
        Ok(())
    }

    /// Shapes of a frame and of an output.
    fn public_shapes(&self) -> [Shape; 2] {
        let program = self.params.program();
        [program.frame_shape(), program.output_shape()]
    }

    /// What every step of the run must be bound to.
    pub(crate) fn binding(
        &self,
        public: &PublicPart,
        mask: &Commitment<E1>,
    ) -> Result<F, VerifyError> {
        let keys = &self.params.0;
        let binding = BindingParts {
            params: &keys.recursive_digest(self.step()?),
            program: &self.params.0.program_digest,
            model: &self.digest,
            mask,
            visibility: visibility(&public.inputs, &public.outputs),
            context: &public.context,
        };
        Ok(binding.digest())
    }

    /// A step of the recursive kind: a proof of that kind has no other shape if there is none.
    fn step(&self) -> Result<&Unrolled, VerifyError> {
        let step = self.params.0.step();
        Ok(step.map_err(|_| VerifyError::ArgumentShape)?)
    }

    /// The state that the run must have ended in, if the statement is true: what the last state of the
    /// chain is compared with. Public entries are in range.
    pub(crate) fn end_of_run(
        &self,
        public: &PublicPart,
        binding: F,
        claim: WeightClaim,
    ) -> Result<RunState, VerifyError> {
        let step = self.step()?;
        let input = *step.encoding(Register::Frame);
        let output = step.output_encoding();
        Ok(RunState {
            binding,
            frames: public.frames,
            phase: 0,
            inputs: running_digest("inputs", &public.inputs, &input, absorb_input)?,
            outputs: running_digest("outputs", &public.outputs, &output, absorb_output)?,
            claim,
        })
    }
}

/// `z_n.run` is the digest of the state; `z_n.activations` alone is not compared.
pub(crate) fn check_final_state(z_n: &[F], end: &RunState) -> Result<(), VerifyError> {
    match z_n {
        [_, run] if *run == end.digest() => Ok(()),
        _ => Err(VerifyError::FinalState),
    }
}

/// The number of public entries is right, and all are in range.
fn check_public(
    what: &'static str,
    entries: &[i64],
    count: u64,
    shape: &Shape,
) -> Result<(), VerifyError> {
    let expected = count.saturating_mul(shape.len as u64);
    if entries.len() as u64 != expected {
        return Err(VerifyError::PublicShape {
            what,
            expected,
            got: entries.len() as u64,
        });
    }
    match entries.iter().position(|v| !shape.range.holds(*v)) {
        Some(at) => Err(VerifyError::PublicRange {
            what,
            index: at / shape.len.max(1),
            width: shape.held().0,
        }),
        None => Ok(()),
    }
}

/// Vectors as a trace's verifier takes them.
fn public_vectors(vectors: &Vectors) -> PublicVectors<'_> {
    match vectors {
        Vectors::Digest(digest) => PublicVectors::Digest(digest),
        Vectors::Entries(entries) => PublicVectors::Entries(entries),
    }
}

/// The element that the stated digest of a recursive proof is.
fn digest_element(what: &'static str, bytes: &[u8; 32]) -> Result<F, VerifyError> {
    Option::from(F::from_repr((*bytes).into())).ok_or(VerifyError::NoDigest { what })
}

/// The running digest of public vectors, or the one that is stated.
fn running_digest(
    what: &'static str,
    vectors: &Vectors,
    encoding: &Encoding,
    absorb: fn(F, F) -> F,
) -> Result<F, VerifyError> {
    match vectors {
        Vectors::Digest(digest) => digest_element(what, digest),
        Vectors::Entries(entries) => Ok(entries
            .chunks(encoding.len.max(1))
            .fold(F::ZERO, |running, vector| {
                absorb(running, vector_digest(F::ZERO, vector, encoding))
            })),
    }
}
