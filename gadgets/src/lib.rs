//! R1CS gadgets for fixed-point neural networks.
//!
//! The crate knows rank-1 constraints and small integers; it knows nothing of folding schemes, tensors or models. Each
//! gadget stands beside its *native twin*, the integer or field function that is its specification, and its
//! documentation states what it enforces and what it leaves to the caller.
//!
//! Two conventions hold throughout:
//!
//! - **Values.** Every witness value is present when a gadget is synthesised. A shape pass supplies a dummy witness
//!   whose values may contradict the constraints, so a gadget never fails because values disagree with each other. It
//!   fails if a value is missing, if a value handed to an allocation does not fit the width, or if the shape itself
//!   (lengths, widths) is wrong. The constraints and the variables never depend on values.
//! - **Witness generators.** Where [`ConstraintSystem::is_witness_generator`] holds nobody reads a linear combination.
//!   Long ones are then replaced by a stand-in of one term that has the right value.
//!
//! # Example
//!
//! A neuron's accumulator, range-checked in 21 bits, becomes an 8-bit activation:
//!
//! ```
//! use bellpepper_core::{ConstraintSystem, test_cs::TestConstraintSystem};
//! use layerfold_gadgets::{Accumulator, requantize::{requantize_native, requantize_relu}};
//! use pasta_curves::Fp;
//!
//! let mut cs = TestConstraintSystem::<Fp>::new();
//! let y = Accumulator::alloc(cs.namespace(|| "y"), 21, 10, Some(100_000))?;
//! let x = requantize_relu::<Fp, _>(cs.namespace(|| "x"), &y, 8)?;
//!
//! assert_eq!(x.value(), Some(requantize_native(100_000, 10, 8)));
//! assert_eq!(x.value(), Some(98));
//! assert_eq!(cs.num_constraints(), 21 + 3);
//! assert!(cs.is_satisfied());
//! # Ok::<(), bellpepper_core::SynthesisError>(())
//! ```
//!
//! [`ConstraintSystem::is_witness_generator`]: bellpepper_core::ConstraintSystem::is_witness_generator
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

// Bits, range checks, one-hot vectors.
pub mod word;
// Arithmetic on linear combinations.
pub mod num;
// Register entries: range-checked integers with an offset.
pub mod entry;
// Packing of entries into field elements.
pub mod packing;
// Poseidon: tagged hashes and vector digests.
pub mod poseidon;
// Rounding right shift with saturation.
pub mod requantize;
// Sums of products of entries, as accumulators.
pub mod combine;
// Signs, zeros, indexes, the largest of several.
pub mod compare;
// Rectified linear unit.
pub mod relu;
// Exact lookup of 8-bit entries in tables.
pub mod table;
// Multilinear extensions.
pub mod mle;
// The sumcheck transcript: one sponge for all challenges.
pub mod transcript;
// The sumcheck verifier's rounds.
pub mod sumcheck;

mod cache;
mod error;

pub use combine::Monomial;
pub use entry::Entry;
pub use poseidon::Kind;
pub use requantize::Accumulator;
pub use sumcheck::{RoundMessage, RoundValues};
pub use table::Table;
pub use transcript::{Challenges, Transcript};
pub use word::{OneHot, Word};

#[cfg(test)]
mod testing;
