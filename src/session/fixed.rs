//! What both ways of working are given, and what they give.

use std::{sync::Arc, time::Duration};

use crate::{
    keys::Params,
    proof::{Argument, Vectors},
    statement::{Visibility, salts::Salts},
    weights::CommittedBank,
};

pub(super) const NO_FRAME: &str = "a session needs a frame before it can be finished";

/// What a run is begun with. Salts that others chose for frames are added.
pub(super) struct Fixed {
    pub(super) params: Params,
    pub(super) bank: Arc<CommittedBank>,
    pub(super) visibility: Visibility,
    pub(super) context: Vec<u8>,
    pub(super) parameters: Vec<i64>,
    pub(super) salts: Salts,
    /// Whether proofs of traces are to be fast rather than small.
    pub(super) fast: bool,
}

impl Fixed {
    /// Whether every vector of a trace needs a digest of its own: if somebody vouches for one.
    pub(super) fn own_rows(&self) -> bool {
        !self.salts.given.is_empty()
    }
}

/// A proof without the rest of its statement.
pub(super) struct Proved {
    pub(super) argument: Argument,
    /// What is shown of inputs and outputs, unless they are public.
    pub(super) inputs: Option<Vectors>,
    pub(super) outputs: Option<Vectors>,
}

/// Wall-clock time spent in each stage of a session. If [steps are folded beside
/// others](crate::Session::set_overlap), the sum may be more than the time that has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// Inference on integers.
    pub inference: Duration,
    /// Proofs of traces, all of their parts.
    pub prove: Duration,
    /// Sumchecks over the weights, of steps that are folded.
    pub sumcheck: Duration,
    /// Folding: witness, commitments, cross terms.
    pub fold: Duration,
    /// The SNARK at the end of what was folded.
    pub compress: Duration,
    /// Opening of the weight claim of what was folded.
    pub opening: Duration,
}
