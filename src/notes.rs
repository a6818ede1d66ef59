//! The notes: protocol, trust, gadgets.

#[doc = include_str!("../docs/notes/protocol.md")]
pub mod protocol {}

#[doc = include_str!("../docs/notes/trust.md")]
pub mod trust {}

#[doc = include_str!("../docs/notes/gadgets.md")]
pub mod gadgets {}
