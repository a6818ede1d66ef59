//! A run: frames go in, outputs come out, and the proof is folded on the way.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use ndarray::{Array1, ArrayView1};

use super::{
    InputVisibility, OutputVisibility, Params, Visibility,
    binding::BindingParts,
    params::{Compressed, Recursive},
    step::{PreparedStep, Run, StepContext},
};
use crate::{
    backend::{Commitment, E1},
    circuit::InferenceStep,
    error::Error,
    program::{
        Register, RegisterShape,
        interpreter::{StepTrace, check_vector},
    },
    proof::{Argument, Proof, PublicPart, Vectors},
    quant::Scales,
    weights::{CommittedBank, Mask, OpeningProof, OpeningStatement},
};

/// Wall-clock time spent in each stage of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// Inference on integers.
    pub inference: Duration,
    /// Sumchecks over the weights.
    pub sumcheck: Duration,
    /// Folding: witness, commitments, cross terms.
    pub fold: Duration,
    /// Compression into one SNARK.
    pub compress: Duration,
    /// Opening of the weight claim.
    pub opening: Duration,
}

/// A run in progress.
///
/// Secret material: it holds inputs, the mask and the blinds; what it folds does not hide its
/// witness before [`finish`](Self::finish) compresses it.
pub struct Session {
    params: Params,
    bank: Arc<CommittedBank>,
    scales: Option<Scales>,
    visibility: Visibility,
    context: Vec<u8>,
    mask: Mask,
    mask_commitment: Commitment<E1>,
    shapes: Vec<RegisterShape>,
    pub(crate) run: Run,
    recursive: Option<Recursive>,
    /// Entries of all public frames, one frame after the other.
    public_frames: Vec<i64>,
    public_outputs: Vec<i64>,
    times: StageTimes,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("steps", &self.run.steps)
            .field("frames", &self.run.state.frames)
            .finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn begin(
        params: Params,
        bank: Arc<CommittedBank>,
        scales: Option<Scales>,
        visibility: Visibility,
        context: Vec<u8>,
    ) -> Self {
        let program = params.program();
        let mask = Mask::random(&program.bank(), bank.commitment().column_bits());
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
        let run = Run::initial(program, binding);
        Self {
            shapes: program.register_shapes(),
            params,
            bank,
            scales,
            visibility,
            context,
            mask,
            mask_commitment,
            run,
            recursive: None,
            public_frames: Vec::new(),
            public_outputs: Vec::new(),
            times: StageTimes::default(),
        }
    }

    /// Runs one inference on a frame of real values, folds its steps, and gives the output.
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

    /// Runs one inference on an integer frame, folds its steps, and gives the integer output.
    ///
    /// # Errors
    /// If the frame has the wrong length or an entry over its width; the session is then as
    /// before. If folding fails, which valid inputs do not cause; the session is then of no use.
    pub fn push_integers(&mut self, frame: &[i64]) -> Result<Vec<i64>, Error> {
        check_vector("frame", frame, &self.shapes[Register::FRAME.index()])?;
        let program = self.params.0.program.clone();
        let zeros = vec![0; frame.len()];
        let mut output = Vec::new();
        for phase in 0..program.steps_per_frame() {
            let frame = if phase == 0 { frame } else { &zeros };
            let started = Instant::now();
            let trace = tracing::info_span!("inference")
                .in_scope(|| program.run_step(self.bank.bank(), phase, &self.run.carried, frame))?;
            self.times.inference += started.elapsed();
            output = program.output_of(&trace);
            let step = self.prepare(&trace)?;
            self.fold(step)?;
        }
        if self.visibility.inputs == InputVisibility::Public {
            self.public_frames.extend(frame);
        }
        if self.visibility.outputs == OutputVisibility::Public {
            self.public_outputs.extend(&output);
        }
        Ok(output)
    }

    /// Everything a step needs from what its registers hold: salts, the sumcheck, the next state.
    pub(crate) fn prepare(&mut self, trace: &StepTrace) -> Result<PreparedStep, Error> {
        let started = Instant::now();
        let step = StepContext {
            program: self.params.program(),
            shapes: &self.shapes,
            bank: self.bank.bank(),
            mask: &self.mask,
            visibility: self.visibility,
        }
        .prepare(&self.run, trace)?;
        self.times.sumcheck += started.elapsed();
        Ok(step)
    }

    /// Folds a prepared step.
    #[tracing::instrument(name = "fold_step", skip_all)]
    pub(crate) fn fold(&mut self, step: PreparedStep) -> Result<(), Error> {
        let started = Instant::now();
        let fail = |e| Error::proving("fold", e);
        let public = &self.params.0.public;
        let circuit = InferenceStep::new(self.params.0.program.clone(), step.witness);
        if self.recursive.is_none() {
            // `new` runs the first step; the first `prove_step` only counts it.
            let z_0 = self.run.z;
            self.recursive = Some(Recursive::new(public, &circuit, &z_0).map_err(fail)?);
        }
        if let Some(recursive) = &mut self.recursive {
            recursive.prove_step(public, &circuit).map_err(fail)?;
            if recursive.outputs() != step.next.z {
                return Err(Error::proving(
                    "fold",
                    "the circuit and the interpreter disagree",
                ));
            }
        }
        self.run = step.next;
        self.times.fold += started.elapsed();
        Ok(())
    }

    /// Number of frames pushed.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.run.state.frames
    }

    /// Number of steps folded.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.run.steps
    }

    /// Time spent so far.
    #[must_use]
    pub fn times(&self) -> StageTimes {
        self.times
    }

    /// Compresses the run into a proof.
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
        let proof = self.compress()?;
        Ok((proof, self.times))
    }

    fn compress(&mut self) -> Result<Proof, Error> {
        let inner = &self.params.0;
        let recursive = self
            .recursive
            .as_ref()
            .ok_or_else(|| Error::usage("a session needs a frame before it can be finished"))?;
        let started = Instant::now();
        let snark = tracing::info_span!("compress")
            .in_scope(|| Compressed::prove(&inner.public, &inner.prover_key, recursive))
            .map_err(|e| Error::proving("compress", e))?;
        self.times.compress += started.elapsed();

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
            program: inner.program_digest,
            model: self.bank.commitment().digest().0,
            steps: self.run.steps,
            frames: state.frames,
            context: self.context.clone(),
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
                snark,
                opening,
            },
        })
    }
}
