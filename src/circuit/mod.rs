//! The step circuit: a program, its sumcheck and its state as constraints.
//!
//! [`step::synthesize`] stands on its own, with `(z_i, z_{i+1})` as its interface, over any
//! `bellpepper_core` constraint system; [`nova`] hands it to Nova through [`bridge`], and [`plain`]
//! makes a circuit of it alone.

mod bridge;
mod count;
mod nova;
mod operations;
mod plain;
pub(crate) mod state;
pub(crate) mod step;

pub(crate) use count::{StepSize, count_constraints, count_operations, step_size};
pub(crate) use nova::InferenceStep;
pub(crate) use plain::{PLAIN_CONSTRAINTS, PUBLIC_VALUES, synthesize_plain};
pub(crate) use state::{RunState, StepWitness};
