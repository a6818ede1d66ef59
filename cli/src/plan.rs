//! What a plan means for the user.

use layerfold::{plan::Planner, program::Program};

/// The library's planner with a limit on memory.
pub(crate) fn planner(max_mib: Option<f64>) -> Planner {
    match max_mib {
        Some(mib) => Planner::default().max_peak_mib(mib),
        None => Planner::default(),
    }
}

/// Steps of a run of so many rows.
pub(crate) fn steps(program: &Program, rows: u64) -> u64 {
    rows.div_ceil(program.frames_per_step().max(1).into())
        .saturating_mul(program.steps_per_frame())
}

/// What the proof and the keys of a primary circuit of `2^size` constraints take.
pub(crate) struct Sizes {
    /// Bytes of the proof, about, public vectors not counted.
    pub(crate) proof: usize,
    /// Bytes of the keys, about.
    pub(crate) keys: usize,
}

impl Sizes {
    pub(crate) fn of(size: u32) -> Self {
        let doublings = size.saturating_sub(14) as usize;
        Self {
            proof: 11_300 + 450 * doublings,
            // Generators, and matrices of some sparse constraints.
            keys: (64 + 160) << (14 + doublings).min(40),
        }
    }
}
