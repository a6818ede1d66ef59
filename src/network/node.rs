//! What the operations of a builder leave behind.

use std::sync::Arc;

use zeroize::Zeroize;

use super::{Function, SparseMatrix};

/// What defines a vector; operands are indices of earlier ones.
pub(super) enum Node {
    /// The input.
    Input,
    /// The state of this index, as the frame before left it.
    State(usize),
    /// Known values.
    Constant(Vec<f32>),
    /// `Σ_t M_t·x_t + bias`; no bias if it is empty.
    Linear {
        terms: Vec<(usize, Arc<SparseMatrix>)>,
        bias: Vec<f32>,
    },
    /// The value itself, as one register.
    Identity(usize),
    /// A function of every entry.
    Function(usize, Function),
    /// Products, entry by entry.
    Product(usize, usize),
    /// The largest of several, entry by entry; of them and 0 if `relu`.
    Maximum { parts: Vec<usize>, relu: bool },
    /// Index of the largest entry.
    ArgMax(usize),
}

impl Node {
    /// What it reads.
    pub(super) fn reads(&self) -> Vec<usize> {
        match self {
            Self::Input | Self::State(_) | Self::Constant(_) => Vec::new(),
            Self::Linear { terms, .. } => terms.iter().map(|t| t.0).collect(),
            Self::Identity(x) | Self::Function(x, _) | Self::ArgMax(x) => vec![*x],
            Self::Product(a, b) => vec![*a, *b],
            Self::Maximum { parts, .. } => parts.clone(),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        match self {
            Self::Constant(values) | Self::Linear { bias: values, .. } => values.zeroize(),
            _ => {}
        }
    }
}

/// A state: what a frame finds, and what it leaves to the next.
pub(super) struct StateNode {
    /// The node that stands for it.
    pub(super) node: usize,
    /// Its values before the first frame.
    pub(super) initial: Vec<f32>,
    /// Largest absolute value that an entry ever has, if it is known.
    pub(super) bound: Option<f64>,
    /// The node that it becomes.
    pub(super) next: Option<usize>,
}

impl Drop for StateNode {
    fn drop(&mut self) {
        self.initial.zeroize();
    }
}
