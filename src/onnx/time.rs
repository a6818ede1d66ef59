//! What a value is of the frames of a recurrent network.

use super::error::Failure;

/// Frames that a sequence is taken to have where the file leaves it open: a prime that no weight has
/// as a dimension.
pub(super) const OPEN_FRAMES: usize = 16_381;

/// What a value is of the frames of a recurrent network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    /// The same for all of them; every value of a network without state.
    None,
    /// A constant that depends on how many frames there are, which is open.
    Count,
    /// One entry of this axis for each frame.
    Axis(usize),
    /// Of one frame, without an axis of time: within the body of a `Scan` over the frames.
    Frame,
    /// What there is after the last frame.
    Last,
}

/// The frames of a recurrent network.
#[derive(Clone, Copy)]
pub(super) struct Frames {
    pub(super) count: usize,
    /// Whether the file leaves open how many there are.
    pub(super) open: bool,
}

impl Frames {
    /// What a constant of these sizes is, some of which may be the number of frames.
    pub(super) fn among(self, sizes: &[i64]) -> Time {
        let is_count = |s: &i64| usize::try_from(*s) == Ok(OPEN_FRAMES);
        if self.open && sizes.iter().any(is_count) {
            Time::Count
        } else {
            Time::None
        }
    }
}

pub(super) fn mixes(how: &str) -> Failure {
    Failure::instead(
        format!("{how}: frames meet only in the state of a recurrent node"),
        "keep the frames apart, or take what there is after the last one",
    )
}

pub(super) fn counts() -> Failure {
    Failure::instead(
        "it depends on how many frames there are, which is open",
        "give it with `ImportOptions::dimension` or `ImportOptions::input_shape`",
    )
}
