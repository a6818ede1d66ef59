//! A run: frames go in, outputs come out, and the proof is folded on the way.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use ndarray::{Array1, ArrayView1};

use super::{
    InputVisibility, OutputVisibility, Params, Visibility,
    binding::BindingParts,
    folder::Folder,
    params::Compressed,
    salts::{Salt, SaltKey, Salts},
    step::{PreparedStep, Run, StepContext},
};
use crate::{
    ProofKind,
    backend::{Commitment, E1},
    error::Error,
    program::{
        Emission, Spread,
        interpreter::{Execution, StepTrace},
    },
    proof::{Argument, Chain, Proof, PublicPart, Vectors},
    quant::Scales,
    weights::{CommittedBank, Mask, OpeningProof, OpeningStatement},
};

/// Wall-clock time spent in each stage of a session. If [steps are folded beside
/// others](Session::set_overlap), the sum may be more than the time that has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// Inference on integers.
    pub inference: Duration,
    /// Sumchecks over the weights.
    pub sumcheck: Duration,
    /// Folding: witness, commitments, cross terms. Of a flat proof, when it is made.
    pub fold: Duration,
    /// The SNARK at the end.
    pub compress: Duration,
    /// Opening of the weight claim.
    pub opening: Duration,
}

/// A run in progress.
///
/// Frames are taken one by one. A short run keeps its steps and ends in a
/// [flat proof](ProofKind::Flat). When it has more of them than such a proof has room for, they are
/// folded, and from then on every step is as soon as it is full: memory does not grow with the number
/// of frames, but for what is public. At any time a [`snapshot`](Self::snapshot) proves everything so
/// far, and a [`checkpoint`](Self::checkpoint) lets the run go on in another process.
///
/// Secret material: it holds inputs, the mask and the blinds; what it folds does not hide its
/// witness before a proof compresses it.
pub struct Session {
    pub(super) params: Params,
    pub(super) bank: Arc<CommittedBank>,
    pub(super) scales: Option<Scales>,
    pub(super) visibility: Visibility,
    pub(super) context: Vec<u8>,
    pub(super) parameters: Vec<i64>,
    pub(crate) mask: Mask,
    pub(super) mask_commitment: Commitment<E1>,
    pub(super) salts: Salts,
    pub(crate) run: Run,
    /// A step that is not full.
    pub(super) pending: Option<Execution>,
    /// What is folded. A lock, as [`checkpoint`](Self::checkpoint) waits for it.
    pub(super) folder: Mutex<Folder>,
    /// Entries of all public frames, one frame after the other.
    pub(crate) public_frames: Vec<i64>,
    pub(super) public_outputs: Vec<i64>,
    /// Steps at the last proof, and values of the mask that proofs have shown.
    pub(crate) proved: Proved,
    times: StageTimes,
}

/// What a run is begun with.
pub(super) struct Settings {
    pub(super) visibility: Visibility,
    pub(super) context: Vec<u8>,
    pub(super) parameters: Vec<i64>,
}

/// The proofs that a session has made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Proved {
    /// Steps at the last of them.
    pub(crate) steps: u64,
    /// How many had different claims: each shows one linear function of the mask.
    pub(crate) claims: u64,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("steps", &self.run.steps)
            .field("frames", &self.frames())
            .finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn begin(
        params: Params,
        bank: Arc<CommittedBank>,
        scales: Option<Scales>,
        settings: Settings,
    ) -> Result<Self, Error> {
        let mask = Mask::random(&params.program().bank(), bank.commitment().column_bits());
        let salts = Salts::random(settings.visibility);
        Self::with_mask(params, bank, scales, settings, mask, salts)
    }

    /// A session before its first frame.
    pub(super) fn with_mask(
        params: Params,
        bank: Arc<CommittedBank>,
        scales: Option<Scales>,
        settings: Settings,
        mask: Mask,
        salts: Salts,
    ) -> Result<Self, Error> {
        let Settings {
            visibility,
            context,
            parameters,
        } = settings;
        let program = params.program();
        let carried = program.initial_with(&parameters)?;
        let mask_commitment = mask.commit(bank.key());
        let binding = BindingParts {
            params: params.digest(),
            program: &params.0.program_digest,
            model: &bank.commitment().digest(),
            mask: &mask_commitment,
            visibility,
            context: &context,
        }
        .digest();
        let run = Run::initial(program, binding, carried);
        Ok(Self {
            folder: Mutex::new(Folder::new(params.clone(), None)),
            params,
            bank,
            scales,
            visibility,
            context,
            parameters,
            mask,
            mask_commitment,
            salts,
            run,
            pending: None,
            public_frames: Vec::new(),
            public_outputs: Vec::new(),
            proved: Proved::default(),
            times: StageTimes::default(),
        })
    }

    /// Runs the model on a frame of real values and gives the output; folds the step if it is full.
    ///
    /// With a many-to-one model that is the output if the run ended here.
    ///
    /// # Errors
    /// As [`push_integers`](Self::push_integers); if an entry is not finite; if the prover was made
    /// from integers and has no scales.
    pub fn push(&mut self, frame: ArrayView1<'_, f32>) -> Result<Array1<f32>, Error> {
        let scales = self
            .scales
            .ok_or_else(|| Error::usage("a prover of integer weights takes integer frames"))?;
        let output = self.push_integers(&scales.quantize_input(frame)?)?;
        Ok(scales.dequantize_output(&output))
    }

    /// Runs the model on an integer frame and gives the integer output; folds the step if it is
    /// full.
    ///
    /// # Errors
    /// If the frame has the wrong length or an entry over its width, or the run
    /// [must end in a flat proof](Self::set_kind) that has no room for it; the session is then as
    /// before. If folding fails, which valid inputs do not cause, be it this step or one before; the
    /// session is then of no use.
    pub fn push_integers(&mut self, frame: &[i64]) -> Result<Vec<i64>, Error> {
        self.folder().check()?;
        self.check_room()?;
        let most = self.params.program().max_frames();
        if self.frames() >= most {
            return Err(Error::usage(
                "the run has as many frames as its sums have room for: begin another",
            ));
        }
        let output = match self.params.program().spread {
            Spread::Frames { .. } => self.push_to_step(frame)?,
            Spread::Layers { .. } => self.push_through_layers(frame)?,
        };
        if self.visibility.inputs == InputVisibility::Public {
            self.public_frames.extend(frame);
        }
        if self.visibility.outputs == OutputVisibility::Public {
            if self.params.program().emission() == Emission::Last {
                self.public_outputs.clear();
            }
            self.public_outputs.extend(&output);
        }
        Ok(output)
    }

    /// The same for a frame of real values and integers that follow it in the frame: a label, a
    /// group.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn push_with(
        &mut self,
        frame: ArrayView1<'_, f32>,
        more: &[i64],
    ) -> Result<Vec<i64>, Error> {
        let scales = self
            .scales
            .ok_or_else(|| Error::usage("a prover of integer weights takes integer frames"))?;
        let mut frame = scales.quantize_input(frame)?;
        frame.extend(more);
        self.push_integers(&frame)
    }

    /// The same for an integer frame whose digest somebody vouches for, made with this salt (see
    /// [`frame_digest`](crate::frame_digest)).
    ///
    /// # Errors
    /// As [`push_integers`](Self::push_integers); if the inputs are public.
    pub fn push_vouched(&mut self, frame: &[i64], salt: &Salt) -> Result<Vec<i64>, Error> {
        if self.visibility.inputs == InputVisibility::Public {
            return Err(Error::usage("public inputs have no salt"));
        }
        let index = self.frames();
        self.salts.given.insert(index, *salt);
        let output = self.push_integers(frame);
        if output.is_err() {
            self.salts.given.remove(&index);
        }
        output
    }

    /// Whether one frame more leaves the run with steps that the kind of proof has room for.
    fn check_room(&mut self) -> Result<(), Error> {
        let program = self.params.program();
        // One that is not full counts: it may be the last. One that waits is not counted yet.
        let more = match program.spread {
            Spread::Layers { .. } => program.steps_per_frame(),
            Spread::Frames { .. } => 1,
        };
        let after = self.run.steps.saturating_add(more);
        self.folder().check_room(after)
    }

    /// The next slot of a step.
    fn push_to_step(&mut self, frame: &[i64]) -> Result<Vec<i64>, Error> {
        let step = self.params.0.step.clone();
        let bank = self.bank.clone();
        let started = Instant::now();
        let output = tracing::info_span!("inference").in_scope(|| {
            let mut execution = match self.pending.take() {
                Some(execution) => execution,
                None => Execution::begin(&step, 0, &self.run.carried)?,
            };
            let output = execution.push(&step, bank.bank(), frame).and_then(|()| {
                let output = execution.output(&step, bank.bank());
                // The session is then as before.
                output.inspect_err(|_| execution.undo())
            });
            if execution.present() > 0 {
                self.pending = Some(execution);
            }
            output
        })?;
        self.times.inference += started.elapsed();
        let full = |e: &Execution| e.present() == step.slots.len();
        if self.pending.as_ref().is_some_and(full) {
            self.prepare_pending()?;
        }
        Ok(output)
    }

    /// All steps of an inference.
    fn push_through_layers(&mut self, frame: &[i64]) -> Result<Vec<i64>, Error> {
        let step = self.params.0.step.clone();
        let zeros = vec![0; frame.len()];
        let mut output = Vec::new();
        for phase in 0..step.program.steps_per_frame() {
            let frame = if phase == 0 { frame } else { &zeros };
            let started = Instant::now();
            let trace = tracing::info_span!("inference").in_scope(|| {
                let mut execution = Execution::begin(&step, phase, &self.run.carried)?;
                execution.push(&step, self.bank.bank(), frame)?;
                output = execution.output(&step, self.bank.bank())?;
                execution.finish(&step, self.bank.bank())
            })?;
            self.times.inference += started.elapsed();
            let step = self.prepare(&trace)?;
            self.fold(step)?;
        }
        Ok(output)
    }

    /// Makes a step of the frames that wait for theirs to be full, a step that is partly empty, and
    /// waits until all steps are folded. Those that are kept for a flat proof are not folded before
    /// it is made.
    ///
    /// Proofs do it by themselves; it costs as much as a full step.
    ///
    /// # Errors
    /// If folding fails, which valid inputs do not cause; the session is then of no use.
    pub fn fold_pending(&mut self) -> Result<(), Error> {
        self.prepare_pending()?;
        self.folder().drain()
    }

    fn prepare_pending(&mut self) -> Result<(), Error> {
        let Some(execution) = self.pending.take() else {
            return Ok(());
        };
        let trace = execution.finish(&self.params.0.step, self.bank.bank())?;
        let step = self.prepare(&trace)?;
        self.fold(step)
    }

    /// Everything a step needs from what its registers hold: salts, the sumcheck, the next state.
    pub(crate) fn prepare(&mut self, trace: &StepTrace) -> Result<PreparedStep, Error> {
        let started = Instant::now();
        let step = StepContext {
            step: &self.params.0.step,
            bank: self.bank.bank(),
            mask: &self.mask,
            salts: &self.salts,
        }
        .prepare(&self.run, trace)?;
        self.times.sumcheck += started.elapsed();
        Ok(step)
    }

    /// Hands a prepared step on to be folded: the run goes on in the state that it leads to.
    pub(crate) fn fold(&mut self, step: PreparedStep) -> Result<(), Error> {
        let next = step.next.clone();
        let z = self.run.z;
        self.folder().fold(z, step)?;
        self.run = next;
        let folded = self.run.state.frames;
        self.salts.given.retain(|index, _| *index >= folded);
        Ok(())
    }

    /// The steps that are kept for a flat proof.
    #[cfg(test)]
    #[expect(clippy::unwrap_used, reason = "tests")]
    pub(crate) fn kept_for_test(&mut self) -> &[crate::flat::KeptStep] {
        self.folder().kept().unwrap()
    }

    /// As if a flat proof had room for so many steps.
    #[cfg(test)]
    pub(crate) fn set_most_kept_for_test(&mut self, most: u64) {
        self.folder().most = most;
    }

    pub(super) fn folder(&mut self) -> &mut Folder {
        self.folder
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether steps are folded by a thread of their own, beside the inference and the sumcheck of
    /// the steps that follow. If not, as it is at first, each is folded before the call that completes
    /// it returns.
    ///
    /// With overlap calls return before a step is folded, unless two are waiting or being folded
    /// already. Proofs come little sooner, as a fold keeps all processors busy by itself, and take
    /// more memory: the thread's allocations are its own.
    pub fn set_overlap(&mut self, overlap: bool) {
        self.folder().overlap = overlap;
    }

    /// The kind of proof that the session would make now.
    #[must_use]
    pub fn kind(&self) -> ProofKind {
        let folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        folder.kind()
    }

    /// Fixes the kind of proof. `None`, as it is at first, makes it follow from the number of steps: a
    /// flat proof as long as it stays within 16 kB, public vectors not counted, the witnesses of its
    /// steps within 64 MiB, and it is not expected to be dearer than a recursive one; a recursive proof
    /// from then on. The change costs as much time as folding the steps would have cost on the way: a
    /// session that is going to be long, or to make many proofs, is better recursive from the start.
    ///
    /// # Errors
    /// If a flat proof is asked for and the steps are folded already, are too many, or a single one is
    /// too large: the session is then as before. If
    /// folding fails, which valid inputs do not cause.
    pub fn set_kind(&mut self, kind: Option<ProofKind>) -> Result<(), Error> {
        let waiting = u64::from(self.pending.is_some());
        self.folder().set_kind(kind, waiting)
    }

    /// Number of frames pushed.
    #[must_use]
    pub fn frames(&self) -> u64 {
        let pending = self.pending.as_ref().map_or(0, Execution::present);
        self.run.state.frames + pending as u64
    }

    /// What the salts of private inputs follow from, `None` if the inputs are public. Secret
    /// material: whoever has it can test guesses of the inputs against their digest, and whoever
    /// knows the inputs too can recompute it with a [`DigestBuilder`](crate::DigestBuilder).
    #[must_use]
    pub fn input_salts(&self) -> Option<&SaltKey> {
        self.salts.inputs.as_ref()
    }

    /// The same for hidden outputs.
    #[must_use]
    pub fn output_salts(&self) -> Option<&SaltKey> {
        self.salts.outputs.as_ref()
    }

    /// Number of steps, those counted that [wait to be folded](Self::set_overlap) or are kept.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.run.steps
    }

    /// Time spent so far, steps that are being folded not counted.
    #[must_use]
    pub fn times(&self) -> StageTimes {
        let folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        StageTimes {
            fold: folder.time(),
            ..self.times
        }
    }

    /// Makes a proof of the run.
    ///
    /// # Errors
    /// If no frame was pushed.
    pub fn finish(self) -> Result<Proof, Error> {
        self.finish_timed().map(|(proof, _)| proof)
    }

    /// [`finish`](Self::finish), with the time of every stage.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn finish_timed(mut self) -> Result<(Proof, StageTimes), Error> {
        let proof = self.snapshot()?;
        Ok((proof, self.times()))
    }

    /// A proof of all frames so far, and the run goes on.
    ///
    /// A step that is partly filled is proved as it is: the next frame begins another. Two proofs
    /// of one session show that they belong to the same run (they share the commitment to its
    /// mask, and flat ones the digests of their common steps) and nothing else of what is private. A
    /// flat proof is made from the first step on, every time anew.
    ///
    /// # Errors
    /// If no frame was pushed; if the session and its copies made by this prover have made
    /// [`proofs_allowed`](Self::proofs_allowed) proofs.
    pub fn snapshot(&mut self) -> Result<Proof, Error> {
        self.fold_pending()?;
        if self.run.steps != self.proved.steps {
            let most = self.mask.proofs();
            let copies = self
                .bank
                .proofs_of(&self.mask_commitment, self.proved.claims, most);
            let claims = copies.ok_or_else(|| {
                Error::usage(
                    "the mask of this session, and of its copies, hides no further proof: begin another session",
                )
            })?;
            self.proved = Proved {
                steps: self.run.steps,
                claims,
            };
        }
        self.compress()
    }

    /// How many different proofs this session and all its resumed copies may make together.
    ///
    /// Each shows a linear function of the session's mask, which hides the weights; more of them
    /// than the mask has coefficients (`2^ν` for maps of up to `2^ν − 1` inputs, at most `2^12`)
    /// **give the weights away**. Half of that is allowed; the other half is left for proofs that
    /// were made after a checkpoint and forgotten by going back to it.
    #[must_use]
    pub fn proofs_allowed(&self) -> u64 {
        self.mask.proofs()
    }

    /// The argument for the chain of steps.
    fn chain(&mut self) -> Result<Chain, Error> {
        let inner = &self.params.0;
        let folder = self.folder.get_mut();
        let folder = folder.unwrap_or_else(PoisonError::into_inner);
        let none = || Error::usage("a session needs a frame before it can be finished");
        let span = tracing::info_span!("compress");
        let (chain, started) = if let Some(steps) = folder.kept() {
            if steps.is_empty() {
                return Err(none());
            }
            let folded = folder.fold_flat(steps, self.run.state.binding)?;
            let key = inner.flat_prover()?;
            let started = Instant::now();
            let proof = span.in_scope(|| folded.prove(key))?;
            (Chain::Flat(Box::new(proof)), started)
        } else {
            let recursive = folder.recursive()?.ok_or_else(none)?;
            let (public, key) = (inner.public()?, inner.prover_key()?);
            let started = Instant::now();
            let snark = span
                .in_scope(|| Compressed::prove(public, key, recursive))
                .map_err(|e| Error::proving("compress", e))?;
            (Chain::Recursive(Box::new(snark)), started)
        };
        self.times.compress += started.elapsed();
        Ok(chain)
    }

    fn compress(&mut self) -> Result<Proof, Error> {
        let chain = self.chain()?;
        let started = Instant::now();
        let state = &self.run.state;
        let statement = OpeningStatement {
            model: self.bank.commitment(),
            mask: self.mask_commitment,
            binding: state.binding,
            claim: &state.claim,
        };
        let opening = tracing::info_span!("opening")
            .in_scope(|| OpeningProof::prove(&self.bank, &self.mask, &statement))
            .map_err(|_| Error::proving("opening", "the claim is of another program"))?;
        self.times.opening += started.elapsed();

        let public = PublicPart {
            program: self.params.0.program_digest,
            model: self.bank.commitment().digest().0,
            steps: self.run.steps,
            frames: state.frames,
            context: self.context.clone(),
            parameters: self.parameters.clone(),
            inputs: match self.visibility.inputs {
                InputVisibility::Private => Vectors::Digest(state.inputs),
                InputVisibility::Public => Vectors::Entries(self.public_frames.clone()),
            },
            outputs: match self.visibility.outputs {
                OutputVisibility::Hidden => Vectors::Digest(state.outputs),
                OutputVisibility::Public => Vectors::Entries(self.public_outputs.clone()),
            },
        };
        Ok(Proof {
            public,
            argument: Argument {
                mask: self.mask_commitment,
                point: state.claim.point.clone(),
                value: state.claim.value,
                chain,
                opening,
            },
        })
    }
}
