//! A run whose steps are folded one after the other.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use super::{
    fixed::{Fixed, NO_FRAME, Proved, StageTimes},
    folder::Folder,
};
use crate::{
    backend::{Commitment, E1},
    error::Error,
    keys::Compressed,
    proof::{Argument, RecursiveArgument, Vectors},
    recursive::{
        Execution, StepTrace, Unrolled,
        prover::{PreparedStep, Run, StepContext},
    },
    statement::{BindingParts, InputVisibility, OutputVisibility},
    weights::{Mask, OpeningProof, OpeningStatement, element_bytes},
};

/// Where a run stands that is folded on the way.
pub(crate) struct Folded {
    step: Arc<Unrolled>,
    pub(crate) mask: Mask,
    mask_commitment: Commitment<E1>,
    pub(crate) run: Run,
    /// A step that is not full.
    pub(super) pending: Option<Execution>,
    /// A lock, as a checkpoint waits for it.
    pub(super) folder: Mutex<Folder>,
    /// Steps at the last proof, and values of the mask that proofs have shown.
    pub(crate) proved: Claims,
}

/// The proofs that a session has made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    /// Steps at the last of them.
    pub(crate) steps: u64,
    /// How many had different claims: each shows one linear function of the mask.
    pub(crate) claims: u64,
}

impl Folded {
    /// Before the first frame.
    ///
    /// # Errors
    /// If a step of the program is too large for a circuit.
    pub(super) fn new(fixed: &Fixed, mask: Mask) -> Result<Self, Error> {
        let (params, bank) = (&fixed.params, &fixed.bank);
        let program = params.program();
        let step = params.0.step()?.clone();
        let carried = step.initial_with(program, &fixed.parameters)?;
        let mask_commitment = mask.commit(bank.key());
        let keys = params.0.recursive_digest(&step);
        let binding = BindingParts {
            params: &keys,
            program: &params.0.program_digest,
            model: &bank.commitment().digest(),
            mask: &mask_commitment,
            visibility: fixed.visibility,
            context: &fixed.context,
        }
        .digest();
        Ok(Self {
            run: Run::initial(&step, binding, carried),
            step,
            mask,
            mask_commitment,
            pending: None,
            folder: Mutex::new(Folder::new(params.clone(), None)),
            proved: Claims::default(),
        })
    }

    /// A fresh mask for a run.
    pub(super) fn random_mask(fixed: &Fixed) -> Mask {
        let column_bits = fixed.bank.commitment().column_bits();
        Mask::random(&fixed.params.program().bank(), column_bits)
    }

    pub(super) fn folder(&mut self) -> &mut Folder {
        self.folder
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of frames.
    pub(super) fn frames(&self) -> u64 {
        let pending = self.pending.as_ref().map_or(0, Execution::present);
        self.run.state.frames + pending as u64
    }

    /// The frames of a step that is not full.
    pub(super) fn pending_frames(&self) -> Vec<Vec<i64>> {
        let pending = self.pending.as_ref();
        pending.map_or_else(Vec::new, |e| e.frames(&self.step))
    }

    /// All frames, if none of them is part of a full step.
    pub(super) fn unfolded(&self) -> Option<Vec<Vec<i64>>> {
        (self.run.steps == 0).then(|| self.pending_frames())
    }

    /// Runs one frame; gives its output. Folds the step if it is full.
    pub(super) fn push(
        &mut self,
        fixed: &Fixed,
        frame: &[i64],
        times: &mut StageTimes,
    ) -> Result<Vec<i64>, Error> {
        self.folder().check()?;
        match self.step.phases {
            1 => self.push_to_step(fixed, frame, times),
            _ => self.push_through_layers(fixed, frame, times),
        }
    }

    /// The next slot of a step.
    fn push_to_step(
        &mut self,
        fixed: &Fixed,
        frame: &[i64],
        times: &mut StageTimes,
    ) -> Result<Vec<i64>, Error> {
        let (step, bank) = (self.step.clone(), fixed.bank.bank());
        let started = Instant::now();
        let output = tracing::info_span!("inference").in_scope(|| {
            let mut execution = match self.pending.take() {
                Some(execution) => execution,
                None => Execution::begin(&step, 0, &self.run.carried)?,
            };
            let output = execution.push(&step, bank, frame).and_then(|()| {
                let output = execution.output(&step, bank);
                // The session is then as before.
                output.inspect_err(|_| execution.undo())
            });
            if execution.present() > 0 {
                self.pending = Some(execution);
            }
            output
        })?;
        times.inference += started.elapsed();
        let full = |e: &Execution| e.present() == step.slots.len();
        if self.pending.as_ref().is_some_and(full) {
            self.prepare_pending(fixed, times)?;
        }
        Ok(output)
    }

    /// All steps of an inference.
    fn push_through_layers(
        &mut self,
        fixed: &Fixed,
        frame: &[i64],
        times: &mut StageTimes,
    ) -> Result<Vec<i64>, Error> {
        let (step, bank) = (self.step.clone(), fixed.bank.bank());
        let zeros = vec![0; frame.len()];
        let mut output = Vec::new();
        for phase in 0..step.phases {
            let frame = if phase == 0 { frame } else { &zeros };
            let started = Instant::now();
            let trace = tracing::info_span!("inference").in_scope(|| {
                let mut execution = Execution::begin(&step, phase, &self.run.carried)?;
                execution.push(&step, bank, frame)?;
                output = execution.output(&step, bank)?;
                execution.finish(&step, bank)
            })?;
            times.inference += started.elapsed();
            let step = self.prepare(fixed, &trace, times)?;
            self.fold(step)?;
        }
        Ok(output)
    }

    /// Makes a step of the frames that wait for theirs to be full.
    pub(super) fn prepare_pending(
        &mut self,
        fixed: &Fixed,
        times: &mut StageTimes,
    ) -> Result<(), Error> {
        let Some(execution) = self.pending.take() else {
            return Ok(());
        };
        let trace = execution.finish(&self.step, fixed.bank.bank())?;
        let step = self.prepare(fixed, &trace, times)?;
        self.fold(step)
    }

    /// The same, and waits until all steps are folded.
    pub(super) fn fold_pending(
        &mut self,
        fixed: &Fixed,
        times: &mut StageTimes,
    ) -> Result<(), Error> {
        self.prepare_pending(fixed, times)?;
        self.folder().drain()
    }

    /// Everything a step needs from what its registers hold: salts, the sumcheck, the next state.
    pub(super) fn prepare(
        &mut self,
        fixed: &Fixed,
        trace: &StepTrace,
        times: &mut StageTimes,
    ) -> Result<PreparedStep, Error> {
        let started = Instant::now();
        let step = StepContext {
            step: &self.step,
            bank: fixed.bank.bank(),
            mask: &self.mask,
            salts: &fixed.salts,
        }
        .prepare(&self.run, trace)?;
        times.sumcheck += started.elapsed();
        Ok(step)
    }

    /// Hands a prepared step on to be folded: the run goes on in the state that it leads to.
    pub(super) fn fold(&mut self, step: PreparedStep) -> Result<(), Error> {
        let next = step.next.clone();
        let z = self.run.z;
        self.folder().fold(z, step)?;
        self.run = next;
        Ok(())
    }

    /// Counts a proof of the run as it stands, unless one shows the same claim.
    fn count_proof(&mut self, fixed: &Fixed) -> Result<(), Error> {
        if self.run.steps == self.proved.steps {
            return Ok(());
        }
        let most = self.mask.proofs();
        let copies = fixed
            .bank
            .proofs_of(&self.mask_commitment, self.proved.claims, most);
        let claims = copies.ok_or_else(|| {
            Error::usage(
                "the mask of this session, and of its copies, hides no further proof: begin another session",
            )
        })?;
        self.proved = Claims {
            steps: self.run.steps,
            claims,
        };
        Ok(())
    }

    /// Proves all frames so far.
    pub(super) fn prove(&mut self, fixed: &Fixed, times: &mut StageTimes) -> Result<Proved, Error> {
        self.fold_pending(fixed, times)?;
        self.count_proof(fixed)?;
        let chain = self.compress(fixed, times)?;
        let started = Instant::now();
        let state = &self.run.state;
        let statement = OpeningStatement {
            model: fixed.bank.commitment(),
            mask: self.mask_commitment,
            binding: state.binding,
            claim: &state.claim,
        };
        let opening = tracing::info_span!("opening")
            .in_scope(|| OpeningProof::prove(&fixed.bank, &self.mask, &statement))
            .map_err(|_| Error::proving("opening", "the claim is of another program"))?;
        times.opening += started.elapsed();
        let digest = |d| Vectors::Digest(element_bytes(d));
        Ok(Proved {
            argument: Argument::Recursive(Box::new(RecursiveArgument {
                schedule: self.step.schedule,
                mask: self.mask_commitment,
                point: state.claim.point.clone(),
                value: state.claim.value,
                chain,
                opening,
            })),
            inputs: match fixed.visibility.inputs {
                InputVisibility::Private => Some(digest(&state.inputs)),
                InputVisibility::Public => None,
            },
            outputs: match fixed.visibility.outputs {
                OutputVisibility::Hidden => Some(digest(&state.outputs)),
                OutputVisibility::Public => None,
            },
        })
    }

    /// The argument for the chain of steps.
    fn compress(&mut self, fixed: &Fixed, times: &mut StageTimes) -> Result<Compressed, Error> {
        let inner = &fixed.params.0;
        let recursive = self.folder().recursive()?;
        let recursive = recursive.ok_or_else(|| Error::usage(NO_FRAME))?;
        let (public, key) = (inner.public()?, inner.prover_key()?);
        let started = Instant::now();
        let snark = tracing::info_span!("compress")
            .in_scope(|| Compressed::prove(public, key, recursive))
            .map_err(|e| Error::proving("compress", e))?;
        times.compress += started.elapsed();
        Ok(snark)
    }
}
