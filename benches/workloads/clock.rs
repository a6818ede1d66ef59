//! CPU seconds by stage, from the library's tracing spans.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    thread::ThreadId,
    time::Duration,
};

use cpu_time::ProcessTime;
use tracing::{
    Event, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};

/// What the time is given to while spans are open on several threads: whose it was is not known, as
/// all stages share one pool of threads.
pub(crate) const OVERLAPPED: &str = "overlapped";

#[derive(Default)]
struct State {
    /// Span names by id.
    names: Vec<&'static str>,
    /// Spans entered and not left, with the thread.
    open: Vec<(ThreadId, u64)>,
    /// CPU time when that changed last.
    since: Option<ProcessTime>,
    /// By the names of the spans that were open, outermost first.
    totals: HashMap<Vec<&'static str>, Duration>,
}

impl State {
    /// Gives the time since the last change to what is open.
    fn settle(&mut self) {
        let now = ProcessTime::now();
        let spent = self.since.map_or(Duration::ZERO, |t| now.duration_since(t));
        self.since = Some(now);
        let Some((thread, _)) = self.open.first() else {
            return;
        };
        let path = if self.open.iter().any(|(other, _)| other != thread) {
            vec![OVERLAPPED]
        } else {
            let name = |(_, id): &(ThreadId, u64)| self.names[*id as usize - 1];
            self.open.iter().map(name).collect()
        };
        *self.totals.entry(path).or_default() += spent;
    }
}

/// Adds up the CPU time of the process (all threads, user and system) spent in each span while no
/// other thread is in one.
#[derive(Clone, Default)]
pub(crate) struct CpuBySpan(Arc<Mutex<State>>);

impl CpuBySpan {
    /// Seconds spent in spans of this name that are in no other, those inside them included.
    pub(crate) fn seconds(&self, name: &str) -> f64 {
        self.total(|path| path.first() == Some(&name))
    }

    /// Seconds spent in spans of this name directly inside those of another, which are in no other.
    pub(crate) fn seconds_inside(&self, outer: &str, name: &str) -> f64 {
        self.total(|path| path.first() == Some(&outer) && path.get(1) == Some(&name))
    }

    fn total(&self, counts: impl Fn(&[&str]) -> bool) -> f64 {
        let state = self.0.lock().expect("no panic while held");
        let found = state.totals.iter().filter(|(path, _)| counts(path));
        let spent: Duration = found.map(|(_, spent)| *spent).sum();
        spent.as_secs_f64()
    }

    pub(crate) fn reset(&self) {
        self.0.lock().expect("no panic while held").totals.clear();
    }

    /// Forgets what was spent in spans of this name that are in no other.
    pub(crate) fn forget(&self, name: &str) {
        let mut state = self.0.lock().expect("no panic while held");
        state.totals.retain(|path, _| path.first() != Some(&name));
    }
}

impl Subscriber for CpuBySpan {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target().starts_with("layerfold")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut state = self.0.lock().expect("no panic while held");
        state.names.push(span.metadata().name());
        Id::from_u64(state.names.len() as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, span: &Id) {
        let mut state = self.0.lock().expect("no panic while held");
        state.settle();
        state
            .open
            .push((std::thread::current().id(), span.into_u64()));
    }

    fn exit(&self, span: &Id) {
        let mut state = self.0.lock().expect("no panic while held");
        state.settle();
        let id = span.into_u64();
        if let Some(at) = state.open.iter().rposition(|(_, open)| *open == id) {
            state.open.remove(at);
        }
    }
}
