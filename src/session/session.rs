//! A run: frames go in, outputs come out, and at the end there is a proof.

use std::{
    fmt,
    sync::PoisonError,
    time::{Duration, Instant},
};

use ndarray::{Array1, ArrayView1};

use super::{
    fixed::{Fixed, StageTimes},
    folded::Folded,
    kept::Kept,
};
use crate::{
    error::Error,
    kind::ProofKind,
    network::Scales,
    program::{Emission, interpreter::check_vector},
    proof::{Proof, PublicPart, Vectors},
    statement::{
        InputVisibility, OutputVisibility,
        salts::{Salt, SaltKey},
    },
};

/// Bytes of memory that the proof of a trace may take, if no other limit is
/// [set](Session::set_memory_limit): 1 GiB.
pub const DEFAULT_MEMORY_LIMIT: u64 = 1 << 30;

const FOLDED: &str = "frames of this session are folded already: it ends in a recursive proof";
const TRACE_TOO_LONG: &str = "the trace of the run would take more memory than is allowed: raise the limit with `set_memory_limit`, allow another kind of proof, or prove the run in parts";
const NO_ROOM: &str = "the trace of the run would take more memory than is allowed, and a step is too large for recursion: raise the limit with `set_memory_limit`, prove the run in parts, or spread the layers over steps";

/// A run in progress.
///
/// Frames are taken one by one. There are two ways of working:
///
/// - Where a step of the program is a whole inference, frames are *kept*, and proved all at once as a
///   [trace](ProofKind::Trace). Its memory grows with the number of frames. When one frame more would
///   take more than is [allowed](Self::set_memory_limit), the session goes over to the other way by
///   itself, unless it was told [not to](Self::set_kind).
/// - In a [recursive](ProofKind::Recursive) session steps are *folded* as soon as they are full, and
///   memory does not grow with the number of frames, but for what is public.
///
/// At any time a [`snapshot`](Self::snapshot) proves everything so far, and a
/// [`checkpoint`](Self::checkpoint) lets the run go on in another process.
///
/// Secret material: it holds inputs, salts, and the mask and blinds of what is folded, which does not
/// hide its witness before a proof compresses it.
pub struct Session {
    pub(super) fixed: Fixed,
    pub(super) scales: Option<Scales>,
    /// The kind of proof that was asked for, if so.
    pub(super) asked: Option<ProofKind>,
    memory_limit: u64,
    overlap: bool,
    pub(super) way: Way,
    /// Entries of all public frames, one frame after the other.
    pub(crate) public_frames: Vec<i64>,
    pub(super) public_outputs: Vec<i64>,
    times: StageTimes,
}

/// What the frames of a run become.
pub(super) enum Way {
    /// A trace at the end.
    Kept(Kept),
    /// Steps on the way.
    Folded(Box<Folded>),
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("kind", &self.kind())
            .field("steps", &self.steps())
            .field("frames", &self.frames())
            .finish_non_exhaustive()
    }
}

impl Session {
    /// A session before its first frame.
    pub(super) fn begin(fixed: Fixed, scales: Option<Scales>) -> Result<Self, Error> {
        let way = match fixed.params.expected_kind() {
            ProofKind::Trace => Way::Kept(Kept::new(&fixed)?),
            ProofKind::Recursive => {
                let mask = Folded::random_mask(&fixed);
                Way::Folded(Box::new(Folded::new(&fixed, mask)?))
            }
        };
        Ok(Self::with_way(fixed, scales, way))
    }

    /// The same, in one of the two ways.
    pub(super) fn with_way(fixed: Fixed, scales: Option<Scales>, way: Way) -> Self {
        Self {
            fixed,
            scales,
            asked: None,
            memory_limit: DEFAULT_MEMORY_LIMIT,
            overlap: false,
            way,
            public_frames: Vec::new(),
            public_outputs: Vec::new(),
            times: StageTimes::default(),
        }
    }

    /// Runs the model on a frame of real values and gives the output.
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

    /// Runs the model on an integer frame and gives the integer output. A recursive session folds the
    /// step if it is full.
    ///
    /// # Errors
    /// If the frame has the wrong length or an entry over its width; if the run has as many frames as
    /// the program allows, or as the [memory limit](Self::set_memory_limit) has room for and no other
    /// kind of proof is possible: the session is then as before. If folding fails, which valid inputs
    /// do not cause, be it this step or one before; the session is then of no use.
    pub fn push_integers(&mut self, frame: &[i64]) -> Result<Vec<i64>, Error> {
        let program = self.fixed.params.program();
        if self.frames() >= program.max_frames() {
            return Err(Error::usage(
                "the run has as many frames as its sums have room for: begin another",
            ));
        }
        check_vector("frame", frame, &program.frame_shape())?;
        self.make_room()?;
        self.push_on(frame)
    }

    /// The same, in the way that the session works now.
    pub(super) fn push_on(&mut self, frame: &[i64]) -> Result<Vec<i64>, Error> {
        let output = match &mut self.way {
            Way::Kept(kept) => {
                let started = Instant::now();
                let span = tracing::info_span!("inference");
                let output = span.in_scope(|| kept.push(&self.fixed, frame))?;
                self.times.inference += started.elapsed();
                output
            }
            Way::Folded(folded) => folded.push(&self.fixed, frame, &mut self.times)?,
        };
        self.forget_salts();
        if self.fixed.visibility.inputs == InputVisibility::Public {
            self.public_frames.extend(frame);
        }
        if self.fixed.visibility.outputs == OutputVisibility::Public {
            if self.fixed.params.program().emission() == Emission::Last {
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

    /// The same for an integer frame that somebody vouches for by its digest, made with this salt (see
    /// [`frame_digest`](crate::frame_digest) and [`Attestation`](crate::Attestation)).
    ///
    /// In the trace of a session with such a frame every vector has a digest of its own; without one,
    /// short vectors share some, which makes the proof smaller.
    ///
    /// # Errors
    /// As [`push_integers`](Self::push_integers); if the inputs are public.
    pub fn push_attested(&mut self, frame: &[i64], salt: &Salt) -> Result<Vec<i64>, Error> {
        if self.fixed.visibility.inputs == InputVisibility::Public {
            return Err(Error::usage("public inputs have no salt"));
        }
        let index = self.frames();
        self.fixed.salts.given.insert(index, *salt);
        let output = self.push_integers(frame);
        if output.is_err() {
            self.fixed.salts.given.remove(&index);
        }
        output
    }

    /// Salts that others chose are not needed any more when their frames are folded.
    fn forget_salts(&mut self) {
        if let Way::Folded(folded) = &self.way {
            let done = folded.run.state.frames;
            self.fixed.salts.given.retain(|index, _| *index >= done);
        }
    }

    /// Goes over to recursion, if the trace of one frame more took more memory than is allowed.
    fn make_room(&mut self) -> Result<(), Error> {
        let Way::Kept(kept) = &self.way else {
            return Ok(());
        };
        if self.has_room(kept.frames().len() as u64 + 1)? {
            return Ok(());
        }
        if self.asked == Some(ProofKind::Trace) {
            return Err(Error::usage(TRACE_TOO_LONG));
        }
        if self.fixed.params.0.step().is_err() {
            return Err(Error::usage(NO_ROOM));
        }
        tracing::debug!(
            frames = kept.frames().len(),
            "the session goes over to recursion"
        );
        self.go_recursive()
    }

    /// Whether the trace of so many frames takes no more memory than is allowed.
    fn has_room(&self, frames: u64) -> Result<bool, Error> {
        let key = self.fixed.params.0.trace()?;
        Ok(key.memory_bytes(frames) <= self.memory_limit)
    }

    /// Folds the frames that were kept, if they were. An error leaves them as they are.
    fn go_recursive(&mut self) -> Result<(), Error> {
        let Way::Kept(kept) = &self.way else {
            return Ok(());
        };
        let mask = Folded::random_mask(&self.fixed);
        let mut folded = Folded::new(&self.fixed, mask)?;
        folded.folder().overlap = self.overlap;
        for frame in kept.frames() {
            folded.push(&self.fixed, frame, &mut self.times)?;
        }
        self.way = Way::Folded(Box::new(folded));
        self.forget_salts();
        Ok(())
    }

    /// Keeps frames from now on, those included that wait for a step to be full.
    fn go_back(&mut self, frames: &[Vec<i64>]) -> Result<(), Error> {
        let mut kept = Kept::new(&self.fixed)?;
        for frame in frames {
            kept.push(&self.fixed, frame)?;
        }
        self.way = Way::Kept(kept);
        Ok(())
    }

    /// Makes a step of the frames that wait for theirs to be full, a step that is partly empty, and
    /// waits until all steps are folded. Frames that are kept for a trace stay as they are.
    ///
    /// Proofs do it by themselves; it costs as much as a full step.
    ///
    /// # Errors
    /// If folding fails, which valid inputs do not cause; the session is then of no use.
    pub fn fold_pending(&mut self) -> Result<(), Error> {
        match &mut self.way {
            Way::Kept(_) => Ok(()),
            Way::Folded(folded) => folded.fold_pending(&self.fixed, &mut self.times),
        }
    }

    /// Whether steps are folded by a thread of their own, beside the inference and the sumcheck of
    /// the steps that follow. If not, as it is at first, each is folded before the call that completes
    /// it returns. It makes no difference as long as frames are kept for a trace.
    ///
    /// With overlap calls return before a step is folded, unless two are waiting or being folded
    /// already. Proofs come little sooner, as a fold keeps all processors busy by itself, and take
    /// more memory: the thread's allocations are its own.
    pub fn set_overlap(&mut self, overlap: bool) {
        self.overlap = overlap;
        if let Way::Folded(folded) = &mut self.way {
            folded.folder().overlap = overlap;
        }
    }

    /// Whether the proof of a trace is to be made fast rather than small: its opening then ends in the
    /// clear, which saves up to half of the time of a small proof and adds some 4 to 16 kB. Off at
    /// first. It makes no difference to what is proved or hidden, nor to recursive proofs.
    pub fn set_fast_proofs(&mut self, fast: bool) {
        self.fixed.fast = fast;
    }

    /// How many bytes of memory the proof of a trace may take, about; [`DEFAULT_MEMORY_LIMIT`] at
    /// first. It is looked at with every frame: a session whose kind of proof is not
    /// [fixed](Self::set_kind) goes over to recursion rather than over the limit.
    pub fn set_memory_limit(&mut self, bytes: u64) {
        self.memory_limit = bytes;
    }

    /// The kind of proof that the session would make now.
    #[must_use]
    pub fn kind(&self) -> ProofKind {
        match self.way {
            Way::Kept(_) => ProofKind::Trace,
            Way::Folded(_) => ProofKind::Recursive,
        }
    }

    /// Fixes the kind of proof. `None`, as it is at first, lets it follow from the program and the
    /// [memory limit](Self::set_memory_limit): a trace as long as it keeps to it, if the steps of the
    /// program are whole inferences; a recursive proof otherwise, and from then on.
    ///
    /// A session that is told to be recursive folds the frames that it has kept at once.
    ///
    /// # Errors
    /// If a trace is asked for and frames are folded already, the program has none, or it would take
    /// more memory than is allowed; if a recursive proof is asked for and a step of the program is too
    /// large for a circuit, or folding fails, which valid inputs do not cause. The session is then as
    /// before.
    pub fn set_kind(&mut self, kind: Option<ProofKind>) -> Result<(), Error> {
        match kind {
            Some(ProofKind::Recursive) => self.go_recursive()?,
            Some(ProofKind::Trace) => {
                self.fixed.params.0.trace()?;
                let unfolded = match &self.way {
                    Way::Kept(_) => None,
                    Way::Folded(folded) => {
                        Some(folded.unfolded().ok_or_else(|| Error::usage(FOLDED))?)
                    }
                };
                if !self.has_room(self.frames())? {
                    return Err(Error::usage(TRACE_TOO_LONG));
                }
                if let Some(frames) = unfolded {
                    self.go_back(&frames)?;
                }
            }
            None => {
                let expected = self.fixed.params.expected_kind();
                if self.frames() == 0 && expected == ProofKind::Trace {
                    self.go_back(&[])?;
                }
            }
        }
        self.asked = kind;
        Ok(())
    }

    /// Number of frames pushed.
    #[must_use]
    pub fn frames(&self) -> u64 {
        match &self.way {
            Way::Kept(kept) => kept.frames().len() as u64,
            Way::Folded(folded) => folded.frames(),
        }
    }

    /// What the salts of private inputs follow from, `None` if the inputs are public. Secret
    /// material: whoever has it can test guesses of the inputs against their digest, and whoever
    /// knows the inputs too can recompute it with a [`DigestBuilder`](crate::DigestBuilder).
    #[must_use]
    pub fn input_salts(&self) -> Option<&SaltKey> {
        self.fixed.salts.inputs.as_ref()
    }

    /// The same for hidden outputs.
    #[must_use]
    pub fn output_salts(&self) -> Option<&SaltKey> {
        self.fixed.salts.outputs.as_ref()
    }

    /// Number of steps, those counted that [wait to be folded](Self::set_overlap). A trace is one step,
    /// whatever the number of frames.
    #[must_use]
    pub fn steps(&self) -> u64 {
        match &self.way {
            Way::Kept(kept) => u64::from(!kept.frames().is_empty()),
            Way::Folded(folded) => folded.run.steps,
        }
    }

    /// Time spent so far, steps that are being folded not counted.
    #[must_use]
    pub fn times(&self) -> StageTimes {
        let fold = match &self.way {
            Way::Kept(_) => Duration::ZERO,
            Way::Folded(folded) => {
                let folder = folded.folder.lock();
                folder.unwrap_or_else(PoisonError::into_inner).time()
            }
        };
        StageTimes { fold, ..self.times }
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
    /// A trace is proved from the first frame on, every time anew, and there may be any number of
    /// proofs. Two of one session show that they have frames in common: the digests of those are the
    /// same. In a recursive session a step that is partly filled is proved as it is, and the next
    /// frame begins another; two proofs show that they belong to the same run, as they share the
    /// commitment to its mask. Nothing else that is private can be seen.
    ///
    /// # Errors
    /// If no frame was pushed; if the session and its copies made by this prover have made
    /// [`proofs_allowed`](Self::proofs_allowed) proofs.
    pub fn snapshot(&mut self) -> Result<Proof, Error> {
        let proved = match &mut self.way {
            Way::Kept(kept) => {
                let started = Instant::now();
                let span = tracing::info_span!("prove_trace");
                let proved = span.in_scope(|| kept.prove(&self.fixed))?;
                self.times.prove += started.elapsed();
                proved
            }
            Way::Folded(folded) => folded.prove(&self.fixed, &mut self.times)?,
        };
        let fixed = &self.fixed;
        let public = PublicPart {
            program: fixed.params.0.program_digest,
            model: fixed.bank.commitment().digest().0,
            steps: self.steps(),
            frames: self.frames(),
            own_rows: self.kind() == ProofKind::Trace && fixed.own_rows(),
            context: fixed.context.clone(),
            parameters: fixed.parameters.clone(),
            inputs: proved
                .inputs
                .unwrap_or_else(|| Vectors::Entries(self.public_frames.clone())),
            outputs: proved
                .outputs
                .unwrap_or_else(|| Vectors::Entries(self.public_outputs.clone())),
        };
        Ok(Proof {
            public,
            argument: proved.argument,
        })
    }

    /// How many different proofs a recursive session and all its resumed copies may make together; of
    /// traces any number.
    ///
    /// Each shows a linear function of the session's mask, which hides the weights; more of them
    /// than the mask has coefficients (`2^ν` for maps of up to `2^ν − 1` inputs, at most `2^12`)
    /// **give the weights away**. Half of that is allowed; the other half is left for proofs that
    /// were made after a checkpoint and forgotten by going back to it.
    #[must_use]
    pub fn proofs_allowed(&self) -> u64 {
        match &self.way {
            Way::Kept(_) => u64::MAX,
            Way::Folded(folded) => folded.mask.proofs(),
        }
    }
}

/// What tests need who keep to no order.
#[cfg(test)]
#[expect(clippy::panic, clippy::unwrap_used, reason = "tests")]
impl Session {
    pub(crate) fn has_own_rows(&self) -> bool {
        self.fixed.own_rows()
    }

    /// The run that is folded.
    pub(crate) fn folded(&mut self) -> &mut Folded {
        match &mut self.way {
            Way::Folded(folded) => folded,
            Way::Kept(_) => panic!("a session whose frames are kept"),
        }
    }

    pub(crate) fn prepare(
        &mut self,
        trace: &crate::recursive::StepTrace,
    ) -> crate::recursive::prover::PreparedStep {
        let Way::Folded(folded) = &mut self.way else {
            panic!("a session whose frames are kept");
        };
        folded.prepare(&self.fixed, trace, &mut self.times).unwrap()
    }

    pub(crate) fn fold(
        &mut self,
        step: crate::recursive::prover::PreparedStep,
    ) -> Result<(), Error> {
        self.folded().fold(step)
    }
}
