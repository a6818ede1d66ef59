//! Networks on floats: registers, each a function of affine forms of those before, and of products.

use std::{fmt, sync::Arc};

use zeroize::Zeroize;

use super::{Function, SparseMatrix};
use crate::{
    error::Error,
    program::{Emission, Window},
};

/// Matrices, each with what it is applied to.
pub(super) type Terms = Vec<(usize, Arc<SparseMatrix>)>;

/// `factor·left·right`, entry by entry.
#[derive(Clone)]
pub(super) struct Product {
    pub(super) factor: f64,
    /// Consecutive entries of one register.
    pub(super) left: Arc<Form>,
    /// Without products.
    pub(super) right: Arc<Form>,
}

impl Product {
    /// Its values, in double precision.
    pub(super) fn evaluate(&self, registers: &[Vec<f64>]) -> Vec<f64> {
        let (left, right) = (
            self.left.evaluate(registers),
            self.right.evaluate(registers),
        );
        let pairs = left.iter().zip(&right);
        pairs.map(|(a, b)| self.factor * a * b).collect()
    }
}

/// `Σ_b A_b·r_b + c` over registers `r_b`, and products of such.
///
/// Register 0 is the input, registers 1 to `S` are the states as the frame finds them, register
/// `1 + S + k` is the result of stage `k`.
#[derive(Clone)]
pub(super) struct Form {
    pub(super) len: usize,
    /// By register, ascending.
    pub(super) terms: Terms,
    /// `c`; zero if it is empty.
    pub(super) constant: Vec<f64>,
    pub(super) products: Vec<Product>,
    /// What the terms and the constant are the expansion of, if it is known.
    pub(super) kernels: Option<Arc<Kernels>>,
}

/// The linear part of a form, each of whose matrices is a kernel under a window. All windows have as
/// many positions and one order, and what is added is the same at every position.
#[derive(Clone)]
pub(super) struct Kernels {
    /// Of a row for each row of the kernels.
    pub(super) form: Form,
    /// Of each term of the form.
    pub(super) windows: Vec<Arc<Window>>,
}

/// Multiples of consecutive entries of registers: register, start and factor.
pub(super) type Addends = Vec<(usize, usize, f64)>;

impl Form {
    pub(super) fn register(register: usize, len: usize) -> Result<Self, Error> {
        Ok(Self {
            len,
            terms: vec![(register, Arc::new(SparseMatrix::identity(len)?))],
            constant: Vec::new(),
            products: Vec::new(),
            kernels: None,
        })
    }

    /// The register that the form is, if it is one as it stands.
    pub(super) fn as_register(&self) -> Option<usize> {
        match self.terms.as_slice() {
            [(register, matrix)] if self.is_homogeneous() && matrix.is_identity() => {
                Some(*register)
            }
            _ => None,
        }
    }

    /// The register of which the form is consecutive entries, and the first of these.
    pub(super) fn as_slice(&self) -> Option<(usize, usize)> {
        match self.terms.as_slice() {
            [(register, matrix)] if self.is_homogeneous() => match matrix.as_slice() {
                Some((start, 1.0)) => Some((*register, start)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether there is neither a constant nor a product.
    fn is_homogeneous(&self) -> bool {
        self.constant.iter().all(|c| *c == 0.0) && self.products.is_empty()
    }

    /// The linear part as multiples of consecutive entries of registers, with register, start and factor,
    /// and one constant for all entries; `None` if it is no such sum.
    pub(super) fn addends(&self) -> Option<(Addends, f64)> {
        let constant = self.constant.first().copied().unwrap_or(0.0);
        if self.constant.iter().any(|c| *c != constant) {
            return None;
        }
        let slices = self.terms.iter().map(|(register, matrix)| {
            let (start, factor) = matrix.as_slice()?;
            Some((*register, start, f64::from(factor)))
        });
        Some((slices.collect::<Option<_>>()?, constant))
    }

    /// The linear part alone.
    pub(super) fn linear_part(&self) -> Self {
        Self {
            len: self.len,
            terms: self.terms.clone(),
            constant: self.constant.clone(),
            products: Vec::new(),
            kernels: self.kernels.clone(),
        }
    }

    /// Whether a kernel reads a register, zeros around it too.
    pub(super) fn pads(&self, register: usize) -> bool {
        let own = self
            .kernels
            .iter()
            .flat_map(|k| k.form.registers().zip(&k.windows));
        own.into_iter()
            .any(|(r, window)| r == register && window.reads_outside())
            || self.products.iter().any(|p| p.right.pads(register))
    }

    /// The number of products and addends that a sum of this has.
    pub(super) fn summands(&self) -> usize {
        let products = self.products.iter().map(|p| p.right.terms.len().max(1));
        self.terms.len() + products.sum::<usize>()
    }

    pub(super) fn nonzeros(&self) -> usize {
        let products = self.products.iter().map(|p| p.right.nonzeros());
        self.terms.iter().map(|t| t.1.nonzeros()).sum::<usize>() + products.sum::<usize>()
    }

    /// The values of the form, in double precision.
    pub(super) fn evaluate(&self, registers: &[Vec<f64>]) -> Vec<f64> {
        let mut y = self.constant.clone();
        y.resize(self.len, 0.0);
        for (register, matrix) in &self.terms {
            matrix.accumulate(&registers[*register], &mut y);
        }
        for product in &self.products {
            let product = product.evaluate(registers);
            y.iter_mut().zip(&product).for_each(|(y, p)| *y += p);
        }
        y
    }

    /// All registers that it reads, in products too.
    pub(super) fn reads(&self) -> impl Iterator<Item = usize> + '_ {
        let products = self.products.iter().flat_map(|p| [&p.left, &p.right]);
        let factors = products.flat_map(|f| f.registers());
        self.registers().chain(factors)
    }

    pub(super) fn registers(&self) -> impl Iterator<Item = usize> + '_ {
        self.terms.iter().map(|t| t.0)
    }
}

impl Drop for Form {
    fn drop(&mut self) {
        self.constant.zeroize();
    }
}

/// What a stage does with its arguments.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// The value itself.
    Identity,
    /// A function of every entry.
    Function(Function),
    /// The largest of the arguments; of them and 0 if `relu`.
    Maximum { relu: bool },
}

impl Kind {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Identity => "identity".to_owned(),
            Self::Function(function) => function.name().to_owned(),
            Self::Maximum { relu: false } => "maximum".to_owned(),
            Self::Maximum { relu: true } => "maximum, relu".to_owned(),
        }
    }

    pub(super) fn apply(&self, arguments: &[Vec<f64>]) -> Vec<f64> {
        let Some(first) = arguments.first() else {
            return Vec::new();
        };
        match self {
            Self::Identity => first.clone(),
            Self::Function(function) => first.iter().map(|x| function.apply(*x)).collect(),
            Self::Maximum { relu } => (0..first.len())
                .map(|i| {
                    let least = if *relu { 0.0 } else { f64::NEG_INFINITY };
                    arguments.iter().fold(least, |m, x| m.max(x[i]))
                })
                .collect(),
        }
    }
}

/// A value that must be computed: one register.
#[derive(Clone)]
pub(super) struct Stage {
    pub(super) kind: Kind,
    /// Of one length, that of the result.
    pub(super) arguments: Vec<Form>,
    pub(super) len: usize,
}

impl Stage {
    /// What computes it, in words.
    pub(super) fn name(&self) -> String {
        match (&self.kind, self.arguments.first()) {
            (Kind::Identity, Some(form)) if !form.products.is_empty() => "product".to_owned(),
            (Kind::Function(function), Some(form)) if !form.products.is_empty() => {
                format!("{} of a product", function.name())
            }
            _ => self.kind.name(),
        }
    }

    /// Whether the stage gives integers of a scale that may be prescribed.
    pub(super) fn may_be_state(&self) -> bool {
        match &self.kind {
            Kind::Identity => true,
            Kind::Function(Function::Clip { .. }) | Kind::Maximum { .. } => false,
            Kind::Function(Function::Relu) => {
                self.arguments.iter().all(|a| a.as_register().is_none())
            }
            Kind::Function(_) => true,
        }
    }
}

/// A value that one frame leaves to the next.
#[derive(Clone)]
pub(super) struct State {
    /// Before the first frame.
    pub(super) initial: Vec<f64>,
    /// Largest absolute value that an entry ever has, if it is known.
    pub(super) bound: Option<f64>,
    /// The register of its next value: the result of a stage.
    pub(super) next: usize,
}

impl Drop for State {
    fn drop(&mut self) {
        self.initial.zeroize();
    }
}

/// A value that was computed although it is linear, and why.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct FillIn {
    /// The stage that computes it.
    pub stage: usize,
    /// Its entries.
    pub entries: usize,
    /// Why it was not composed with what reads it.
    pub reason: String,
}

/// A network on floats: registers, each a function of affine forms of those before.
///
/// Secret material: `Debug` shows sizes only, and matrices and constants are zeroised on drop.
#[derive(Clone)]
pub struct Network {
    pub(super) input_shape: Vec<usize>,
    pub(super) output_shape: Vec<usize>,
    pub(super) states: Vec<State>,
    pub(super) emission: Emission,
    pub(super) stages: Vec<Stage>,
    pub(super) output: Form,
    /// Whether the output is the index of the largest entry of the form.
    pub(super) argmax: bool,
    pub(super) fill_ins: Vec<FillIn>,
}

impl Network {
    /// Shape of an input, the batch not counted.
    #[must_use]
    pub fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }

    /// Shape of an output.
    #[must_use]
    pub fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    /// Length of an input as a vector.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.input_shape.iter().product()
    }

    /// Length of an output as a vector.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.output_shape.iter().product()
    }

    /// Number of values that are computed: results of functions, products and maxima.
    #[must_use]
    pub fn stage_count(&self) -> usize {
        self.stages.len()
    }

    /// Entries of all matrices of the composed network that are not zero.
    #[must_use]
    pub fn nonzeros(&self) -> usize {
        let arguments = self.stages.iter().flat_map(|s| &s.arguments);
        arguments.chain([&self.output]).map(Form::nonzeros).sum()
    }

    /// The stage that a register is the result of; `None` for the input and states.
    pub(super) fn stage_of(&self, register: usize) -> Option<usize> {
        register.checked_sub(1 + self.states.len())
    }

    /// The register of the result of a stage.
    pub(super) fn register_of(&self, stage: usize) -> usize {
        1 + self.states.len() + stage
    }

    /// The state that a register is, as the frame finds it.
    pub(super) fn state_of(&self, register: usize) -> Option<usize> {
        register.checked_sub(1).filter(|s| *s < self.states.len())
    }

    /// Linear values that are computed all the same, because composing them would cost more.
    #[must_use]
    pub fn fill_ins(&self) -> &[FillIn] {
        &self.fill_ins
    }

    /// Whether something of one frame is left to the next.
    #[must_use]
    pub fn has_state(&self) -> bool {
        !self.states.is_empty()
    }

    /// Number of values that one frame leaves to the next.
    #[must_use]
    pub fn state_count(&self) -> usize {
        self.states.len()
    }

    /// Whether only the output after the last frame counts.
    #[must_use]
    pub fn has_last_output_only(&self) -> bool {
        self.emission == Emission::Last
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Network({:?}", self.input_shape)?;
        for stage in &self.stages {
            write!(f, " → {} {}", stage.len, stage.name())?;
        }
        write!(f, " → {:?}, weights redacted)", self.output_shape)
    }
}
