//! What is being done, how far it is and how long it will take, on a terminal.

use std::{
    fmt::Write,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use layerfold::plan::Cost;
use tracing::{Metadata, Subscriber, span};

use crate::console::Console;

/// The line on the terminal, if there is one.
pub(crate) struct Progress(Option<ProgressBar>);

/// When the end is expected.
type End = Arc<Mutex<Option<Instant>>>;

impl Progress {
    /// A line that shows the stages of a verification, or of making keys.
    pub(crate) fn of_stages(console: &Console) -> Self {
        Self::begin(console, 0, 0.0)
    }

    /// A line that shows the steps of a proof. The cost is the planner's, of the whole run: after some
    /// steps, their time says how much longer it takes here. A trace has stages only.
    pub(crate) fn of_proof(console: &Console, steps: u64, cost: &Cost) -> Self {
        if cost.trace_s > 0.0 {
            return Self::of_stages(console);
        }
        let fold = cost.fold_s + cost.weights_s;
        // What compression takes, in steps.
        let compression = cost.compress_s / fold.max(1e-9) * steps as f64;
        Self::begin(console, steps, compression)
    }

    fn begin(console: &Console, steps: u64, compression: f64) -> Self {
        if !console.shows_progress() {
            return Self(None);
        }
        let bar = ProgressBar::new(steps);
        let end = End::default();
        let template = match steps {
            0 => "{spinner} {msg}, {elapsed}",
            _ => "{spinner} {msg:<24} [{bar:24}] {pos}/{len} steps, {elapsed}{left}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            let end = end.clone();
            bar.set_style(style.progress_chars("=> ").with_key(
                "left",
                move |_: &ProgressState, out: &mut dyn Write| {
                    let end = *end.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(left) = end.map(|e| e.saturating_duration_since(Instant::now())) {
                        // There is nobody to tell if this fails.
                        let _ = write!(out, ", about {} s left", left.as_secs() + 1);
                    }
                },
            ));
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        let stages = Stages {
            bar: bar.clone(),
            end,
            steps,
            compression,
            folding: Mutex::default(),
        };
        // There is one line in the life of the program.
        let _ = tracing::subscriber::set_global_default(stages);
        Self(Some(bar))
    }

    /// Says what is being done, where the library does not.
    pub(crate) fn say(&self, what: &'static str) {
        if let Some(bar) = &self.0 {
            bar.set_message(what);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Spans of the library that are told, and how.
const STAGES: [(&str, &str); 6] = [
    ("setup", KEYS),
    ("prove_trace", "proving the trace"),
    ("fold_step", FOLDING),
    ("compress", "compressing"),
    ("opening", "opening the weight claim"),
    ("verify", VERIFYING),
];
const KEYS: &str = "making keys";
const VERIFYING: &str = "verifying";
const FOLDING: &str = "proving";

/// Follows the spans of the library. A span's number is that of its stage.
struct Stages {
    bar: ProgressBar,
    end: End,
    steps: u64,
    compression: f64,
    /// Since when steps are folded, and how many are done.
    folding: Mutex<Option<(Instant, u64)>>,
}

impl Stages {
    fn stage(id: &span::Id) -> Option<&'static str> {
        let index = usize::try_from(id.into_u64()).ok()?.checked_sub(1)?;
        STAGES.get(index).map(|(_, told)| *told)
    }

    fn step_done(&self) {
        let mut folding = self.folding.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((since, done)) = folding.as_mut() else {
            return;
        };
        *done += 1;
        self.bar.set_position((*done).min(self.steps));
        let each = since.elapsed().as_secs_f64() / *done as f64;
        let left = self.steps.saturating_sub(*done) as f64 + self.compression;
        let left = Duration::try_from_secs_f64(each * left).ok();
        let end = left.and_then(|left| Instant::now().checked_add(left));
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }
}

impl Subscriber for Stages {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && STAGES.iter().any(|(name, _)| *name == metadata.name())
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        let name = attributes.metadata().name();
        let index = STAGES.iter().position(|(known, _)| *known == name);
        span::Id::from_u64(index.map_or(STAGES.len() as u64 + 1, |i| i as u64 + 1))
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {}

    fn enter(&self, id: &span::Id) {
        let Some(told) = Self::stage(id) else { return };
        if told == FOLDING {
            let mut folding = self.folding.lock().unwrap_or_else(PoisonError::into_inner);
            folding.get_or_insert_with(|| (Instant::now(), 0));
        }
        if told == KEYS || told == VERIFYING {
            // No part of the estimate.
            *self.end.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        self.bar.set_message(told);
    }

    fn exit(&self, id: &span::Id) {
        if Self::stage(id) == Some(FOLDING) {
            self.step_done();
        }
    }
}
