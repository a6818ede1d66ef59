//! Tests of the whole, with control over the prover's witness.
//!
//! An attack counts only if it is consistent up to the point that must catch it: whatever follows
//! from the lie is recomputed by the same code that an honest prover runs.

/// Runs each of these in both kinds of proof, the sessions being [of that
/// kind](fixtures::of_kind); after `recursive:` those that are about recursive proofs alone.
macro_rules! in_both_kinds {
    ($($test:ident),* $(,)? $(; recursive: $($only:ident),* $(,)?)?) => {
        mod recursive {
            $(
                #[test]
                fn $test() {
                    crate::tests::fixtures::in_kind(crate::ProofKind::Recursive, super::$test);
                }
            )*
            $($(
                #[test]
                fn $only() {
                    crate::tests::fixtures::in_kind(crate::ProofKind::Recursive, super::$only);
                }
            )*)?
        }

        mod trace {
            $(
                #[test]
                fn $test() {
                    crate::tests::fixtures::in_kind(crate::ProofKind::Trace, super::$test);
                }
            )*
        }
    };
}

mod agreement;
pub(crate) mod cells;
mod cheat;
mod circuit_attacks;
mod claims;
mod completeness;
mod counts;
mod fixtures;
mod formats;
mod hiding;
mod kinds;
mod networks;
#[cfg(feature = "onnx")]
mod onnx;
mod proof_attacks;
pub(crate) mod random_programs;
mod sequences;
mod stream_attacks;
mod streams;
pub(crate) mod suite;
