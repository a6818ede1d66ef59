//! Steps that are prepared, on their way into a proof.
//!
//! Each is folded, if wanted beside what comes next: a step needs the state that the one before was
//! *prepared* to lead to, not its fold.

use std::{
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::{
    backend::F,
    error::Error,
    keys::{Params, Recursive},
    recursive::{InferenceStep, StepWitness, prover::PreparedStep},
};

/// Prepared steps that may wait while one is folded.
const WAITING: usize = 1;

/// A step to be folded.
struct Step {
    /// The state before it.
    z: [F; 2],
    witness: StepWitness,
    /// The state that the interpreter came to.
    next: [F; 2],
    span: tracing::Span,
}

/// What the two threads share.
#[derive(Default)]
struct Shared {
    nanoseconds: AtomicU64,
    /// The result is not wanted any more.
    stop: AtomicBool,
}

impl Shared {
    fn spent(&self, since: Instant) {
        let spent = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(spent, Relaxed);
    }
}

/// The run so far. Steps are folded in order, by a thread that lives while there are any.
pub(super) struct Folder {
    params: Params,
    /// Everything so far, `None` before the first step and while a worker has it.
    recursive: Option<Recursive>,
    worker: Option<Worker>,
    shared: Arc<Shared>,
    /// Whether there may be a worker.
    pub(super) overlap: bool,
    failed: bool,
}

struct Worker {
    /// `None` when it is told to end.
    steps: Option<SyncSender<Box<Step>>>,
    thread: Option<JoinHandle<Outcome>>,
    shared: Arc<Shared>,
}

struct Outcome {
    recursive: Option<Recursive>,
    result: Result<(), Error>,
}

impl Folder {
    pub(super) fn new(params: Params, recursive: Option<Recursive>) -> Self {
        Self {
            params,
            recursive,
            worker: None,
            shared: Arc::default(),
            overlap: false,
            failed: false,
        }
    }

    /// Takes a step that was prepared in the state `z`, and folds it, now or soon. Waits while there are
    /// as many unfolded steps as there is room for.
    pub(super) fn fold(&mut self, z: [F; 2], step: PreparedStep) -> Result<(), Error> {
        self.check()?;
        let step = Step {
            z,
            witness: step.witness,
            next: step.next.z,
            span: tracing::info_span!("fold_step"),
        };
        if !self.overlap {
            self.drain()?;
            // Until it has ended well: a panic that somebody catches counts as a failure.
            self.failed = true;
            let result = fold(&self.params, &mut self.recursive, &self.shared, step);
            self.failed = result.is_err();
            return result;
        }
        if self.worker.is_none() {
            // What it is given is lost if it cannot start.
            self.failed = true;
            let worker = Worker::start(&self.params, self.recursive.take(), &self.shared);
            self.worker = Some(worker?);
            self.failed = false;
        }
        let steps = self.worker.as_ref().and_then(|w| w.steps.as_ref());
        match steps.map(|steps| steps.send(Box::new(step))) {
            Some(Ok(())) => Ok(()),
            // The worker has ended before it was told to.
            _ => self.drain(),
        }
    }

    /// Whether all went well as far as is known.
    pub(super) fn check(&mut self) -> Result<(), Error> {
        if self.failed {
            return Err(Error::proving(
                "fold",
                "a step of this run could not be folded",
            ));
        }
        if self.worker.as_ref().is_some_and(Worker::ended) {
            return self.drain();
        }
        Ok(())
    }

    /// Waits until all steps are folded that are to be folded.
    pub(super) fn drain(&mut self) -> Result<(), Error> {
        if let Some(worker) = self.worker.take() {
            // As in `fold`.
            self.failed = true;
            let Outcome { recursive, result } = worker.finish();
            self.recursive = recursive;
            self.failed = result.is_err();
            result?;
        }
        self.check()
    }

    /// The run with all steps folded, `None` if there is none.
    pub(super) fn recursive(&mut self) -> Result<Option<&Recursive>, Error> {
        self.drain()?;
        Ok(self.recursive.as_ref())
    }

    /// Time spent folding so far.
    pub(super) fn time(&self) -> Duration {
        Duration::from_nanos(self.shared.nanoseconds.load(Relaxed))
    }
}

impl Worker {
    fn start(
        params: &Params,
        recursive: Option<Recursive>,
        shared: &Arc<Shared>,
    ) -> Result<Self, Error> {
        let (sender, receiver) = sync_channel(WAITING);
        let (params, of_thread) = (params.clone(), shared.clone());
        let thread = std::thread::Builder::new()
            .name("layerfold fold".to_owned())
            .spawn(move || fold_all(&params, recursive, &of_thread, &receiver))
            .map_err(|e| Error::proving("fold", e))?;
        Ok(Self {
            steps: Some(sender),
            thread: Some(thread),
            shared: shared.clone(),
        })
    }

    /// Whether it has ended before it was told to.
    fn ended(&self) -> bool {
        self.thread.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// Lets it fold what waits, and end.
    fn finish(mut self) -> Outcome {
        self.steps = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome,
            Some(Err(panic)) => resume_unwind(panic),
            None => Outcome {
                recursive: None,
                result: Err(Error::proving("fold", "the thread has ended")),
            },
        }
    }
}

impl Drop for Worker {
    /// Ends after the step that is being folded.
    fn drop(&mut self) {
        self.steps = None;
        if let Some(thread) = self.thread.take() {
            self.shared.stop.store(true, Relaxed);
            // Nobody is there to be told of a failure.
            let _ = thread.join();
        }
    }
}

fn fold_all(
    params: &Params,
    mut recursive: Option<Recursive>,
    shared: &Shared,
    steps: &Receiver<Box<Step>>,
) -> Outcome {
    let mut result = Ok(());
    // A failure ends the thread at once: what is sent after it is refused.
    while result.is_ok()
        && let Ok(step) = steps.recv()
        && !shared.stop.load(Relaxed)
    {
        result = fold(params, &mut recursive, shared, *step);
    }
    Outcome { recursive, result }
}

fn fold(
    params: &Params,
    recursive: &mut Option<Recursive>,
    shared: &Shared,
    step: Step,
) -> Result<(), Error> {
    let (public, unrolled) = (params.0.public()?, params.0.step()?);
    let started = Instant::now();
    let fail = |e| Error::proving("fold", e);
    let circuit = InferenceStep::new(unrolled.clone(), step.witness);
    let result = step.span.in_scope(|| {
        let recursive = match recursive {
            Some(recursive) => recursive,
            // `new` runs the first step; the first `prove_step` only counts it.
            None => recursive.insert(Recursive::new(public, &circuit, &step.z).map_err(fail)?),
        };
        recursive.prove_step(public, &circuit).map_err(fail)?;
        if recursive.outputs() != step.next {
            return Err(Error::proving(
                "fold",
                "the circuit and the interpreter disagree",
            ));
        }
        Ok(())
    });
    shared.spent(started);
    result
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::{
        ErrorKind, Prover, Session, Verifier, Visibility,
        program::{Activation, AffineMap, LayerShape, NetworkShape, WeightBank},
        recursive::{Execution, Schedule, StepTrace},
    };

    /// Two layers of one step each.
    fn prover() -> Prover {
        let layer = LayerShape {
            inputs: 3,
            outputs: 3,
            activation: Activation::Relu,
        };
        let network = NetworkShape {
            reads: Vec::new(),
            layers: vec![layer, layer],
            tables: vec![],
            width: 8,
            bits: 20,
            shift: 2,
        };
        let program = network.program().unwrap();
        let map = |w: i16| AffineMap::new(3, (w..w + 9).collect(), vec![1, -2, 3]).unwrap();
        let bank = WeightBank::new(vec![map(-4), map(-2)]).unwrap();
        let params = Params::setup_with(&program, Schedule::LayersPerStep(1)).unwrap();
        Prover::from_bank(&params, bank).unwrap()
    }

    fn session(prover: &Prover) -> Session {
        let visibility = Visibility::public_inputs().public_outputs();
        let mut session = prover.session(visibility).unwrap();
        session.set_overlap(true);
        session
    }

    fn trace(session: &mut Session, phase: u64, frame: &[i64]) -> StepTrace {
        let carried = session.folded().run.carried.clone();
        let fixed = &session.fixed;
        let (step, bank) = (fixed.params.0.step().unwrap(), fixed.bank.bank());
        let mut execution = Execution::begin(step, phase, &carried).unwrap();
        execution.push(step, bank, frame).unwrap();
        execution.finish(step, bank).unwrap()
    }

    #[test]
    fn overlapped_runs_prove_and_go_on() {
        let prover = prover();
        let mut session = session(&prover);
        let mut outputs = Vec::new();
        for k in 0..3 {
            outputs.push(session.push_integers(&[k, 2, -k]).unwrap());
        }
        assert_eq!((session.steps(), session.frames()), (6, 3));
        // Waits for what is not folded, and leaves it to the session.
        let bytes = session.checkpoint().unwrap();
        let mut resumed = prover.resume(&bytes).unwrap();
        assert_eq!(resumed.steps(), 6);
        for run in [&mut session, &mut resumed] {
            run.set_overlap(true);
            outputs.truncate(3);
            outputs.push(run.push_integers(&[9, 8, 7]).unwrap());
            // Part of the run is folded by the caller's thread.
            run.set_overlap(false);
            outputs.push(run.push_integers(&[1, 1, 1]).unwrap());
            let (steps, proof) = (run.steps(), run.snapshot().unwrap());
            assert_eq!(steps, 10);
            assert!(run.times().fold > Duration::ZERO);
            let verifier = Verifier::new(prover.params(), prover.model_commitment());
            let statement = verifier.verify(&proof).unwrap();
            assert_eq!((statement.steps, statement.frames), (10, 5));
            assert_eq!(
                statement.outputs,
                crate::Outputs::Public {
                    vectors: outputs.clone()
                }
            );
        }
    }

    #[test]
    fn a_session_may_be_dropped_while_steps_wait() {
        let prover = prover();
        let mut session = session(&prover);
        session.push_integers(&[1, 2, 3]).unwrap();
        let shared = Arc::downgrade(&session.folded().folder().shared);
        drop(session);
        assert!(shared.upgrade().is_none(), "the thread has ended");
    }

    #[test]
    fn a_failure_shows_at_the_next_call() {
        let prover = prover();
        for call in [
            |s: &mut Session| s.checkpoint().map(|_| ()),
            |s: &mut Session| s.snapshot().map(|_| ()),
            |s: &mut Session| s.fold_pending(),
            |s: &mut Session| {
                while !s.folded().folder().worker.as_ref().unwrap().ended() {
                    std::thread::yield_now();
                }
                s.push_integers(&[0; 3]).map(|_| ())
            },
        ] {
            let mut session = session(&prover);
            for phase in 0..2 {
                let trace = trace(&mut session, phase, &[0, 0, 0]);
                let mut step = session.prepare(&trace);
                step.next.z[1] += F::from(phase);
                session.fold(step).unwrap();
            }
            let error = call(&mut session).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Proving);
            assert!(error.to_string().contains("disagree"), "{error}");
            // And is not forgotten.
            let error = session.snapshot().unwrap_err();
            assert!(error.to_string().contains("could not be folded"));
        }
    }

    #[test]
    fn sessions_move_between_threads() {
        fn assert_send<T: Send>() {}
        assert_send::<Session>();
    }
}
