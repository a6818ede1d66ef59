//! The step circuit: a program, its sumcheck and its state as constraints.
//!
//! [`step::synthesize`] stands on its own, with `(z_i, z_{i+1})` as its interface, over any
//! `bellpepper_core` constraint system; [`nova`] hands it to Nova through [`bridge`].

mod bridge;
mod count;
mod nova;
mod operations;
pub(crate) mod state;
pub(crate) mod step;

pub(crate) use count::{count_constraints, count_operations, step_constraints};
pub(crate) use nova::InferenceStep;
pub(crate) use state::{RunState, StepWitness};
