//! The recursive argument: steps of frames or of layers, each an instance of one circuit.
//!
//! [`encoding`] says how a circuit holds the registers of a program, [`schedule`] what shares a step,
//! [`unroll`] writes a step out, [`execution`] runs it on integers. [`step::synthesize`] is its
//! circuit, with `(z_i, z_{i+1})` as its interface, over any `bellpepper_core` constraint system;
//! [`nova`] hands it to Nova through [`bridge`].

mod bridge;
mod count;
pub(crate) mod encoding;
pub(crate) mod execution;
mod limits;
pub(crate) mod nodes;
mod nova;
mod operations;
pub(crate) mod prover;
pub(crate) mod schedule;
pub(crate) mod state;
pub(crate) mod step;
mod unroll;

pub(crate) use count::{count_constraints, step_constraints};
pub(crate) use encoding::Encoding;
pub(crate) use execution::{Execution, StepTrace};
pub(crate) use nodes::{Node, Unrolled};
pub(crate) use nova::InferenceStep;
pub use schedule::Schedule;
pub(crate) use state::{RunState, StepWitness};
