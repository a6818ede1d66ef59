//! The notes: protocol, opening, trust, gadgets.

#[doc = include_str!("../docs/notes/protocol.md")]
pub mod protocol {}

#[doc = include_str!("../docs/notes/ipa.md")]
pub mod ipa {}

#[doc = include_str!("../docs/notes/trust.md")]
pub mod trust {}

#[doc = include_str!("../docs/notes/gadgets.md")]
pub mod gadgets {}
