//! Curve arithmetic in batches: sums, multiples, folding of generators.

pub(crate) mod base_field;
pub(crate) mod challenge;
pub(crate) mod endomorphism;
pub(crate) mod fold;
#[cfg(target_arch = "x86_64")]
pub(crate) mod lanes;
#[cfg(target_arch = "x86_64")]
mod modulus;
pub(crate) mod msm;
pub(crate) mod points;
