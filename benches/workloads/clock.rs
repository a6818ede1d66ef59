//! CPU seconds by stage, from the library's tracing spans.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use cpu_time::ProcessTime;
use tracing::{
    Event, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};

#[derive(Default)]
struct State {
    /// Span names by id.
    names: Vec<&'static str>,
    /// Spans entered and not left, with the CPU time at entry.
    open: Vec<(u64, ProcessTimeStart)>,
    totals: HashMap<&'static str, Duration>,
}

type ProcessTimeStart = ProcessTime;

/// Adds up the CPU time of the process (all threads, user and system) spent in each span.
#[derive(Clone, Default)]
pub(crate) struct CpuBySpan(Arc<Mutex<State>>);

impl CpuBySpan {
    /// Seconds spent in spans of this name, those inside them included.
    pub(crate) fn seconds(&self, name: &str) -> f64 {
        let state = self.0.lock().expect("no panic while held");
        state.totals.get(name).map_or(0.0, Duration::as_secs_f64)
    }

    pub(crate) fn reset(&self) {
        self.0.lock().expect("no panic while held").totals.clear();
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
        state.open.push((span.into_u64(), ProcessTime::now()));
    }

    fn exit(&self, span: &Id) {
        let mut state = self.0.lock().expect("no panic while held");
        let id = span.into_u64();
        if let Some(at) = state.open.iter().rposition(|(open, _)| *open == id) {
            let (_, start) = state.open.remove(at);
            let name = state.names[id as usize - 1];
            *state.totals.entry(name).or_default() += start.elapsed();
        }
    }
}
