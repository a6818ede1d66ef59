//! Sessions: a committed model, a run, its checkpoints, and what is said of vectors that are hidden.

mod attestation;
mod checkpoint;
mod digest;
mod fixed;
mod folded;
mod folder;
mod kept;
mod prover;
#[expect(clippy::module_inception, reason = "the session itself")]
mod session;

pub use attestation::Attestation;
#[cfg(test)]
pub(crate) use checkpoint::check_for_test as checkpoint_check_for_test;
pub use digest::{DigestBuilder, digest_of_frames, frame_digest};
pub use fixed::StageTimes;
pub use prover::Prover;
pub use session::{DEFAULT_MEMORY_LIMIT, Session};
