//! Folding: keys, sessions, and what a run is bound to.

pub(crate) mod binding;
mod checkpoint;
mod folder;
mod params;
mod prover;
pub(crate) mod salts;
mod session;
pub(crate) mod step;
mod visibility;

#[cfg(test)]
pub(crate) use checkpoint::check_for_test as checkpoint_check_for_test;
pub(crate) use params::{Compressed, NOVA_CONSTRAINTS};
pub use params::{ConstraintReport, Params};
pub use prover::Prover;
pub use salts::{DigestBuilder, Salt, SaltKey, digest_of_frames, frame_digest};
pub use session::{Session, StageTimes};
pub use visibility::{InputVisibility, OutputVisibility, Visibility};
