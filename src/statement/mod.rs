//! What a statement is bound to and what it shows: binding, visibility, salts.

mod binding;
pub(crate) mod salts;
mod visibility;

pub(crate) use binding::BindingParts;
pub use salts::{Salt, SaltKey};
pub use visibility::{InputVisibility, OutputVisibility, Visibility};
