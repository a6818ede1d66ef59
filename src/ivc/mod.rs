//! Keys, sessions, and what a run is bound to.

mod attestation;
pub(crate) mod binding;
mod checkpoint;
mod digest;
mod folded;
mod folder;
mod kept;
mod params;
mod prover;
pub(crate) mod salts;
mod session;
pub(crate) mod step;
mod visibility;

pub use attestation::Attestation;
#[cfg(test)]
pub(crate) use checkpoint::check_for_test as checkpoint_check_for_test;
pub use digest::{DigestBuilder, digest_of_frames, frame_digest};
pub(crate) use params::{Compressed, NOVA_CONSTRAINTS};
pub use params::{ConstraintReport, Params};
pub use prover::Prover;
pub use salts::{Salt, SaltKey};
pub use session::{DEFAULT_MEMORY_LIMIT, Session, StageTimes};
pub use visibility::{InputVisibility, OutputVisibility, Visibility};
