//! Counting the constraints of a step by part.

use bellpepper_core::{ConstraintSystem, Index, LinearCombination, SynthesisError, Variable};

use super::{Unrolled, state::StepWitness, step};
use crate::backend::F;

/// A constraint system that counts, by the outermost namespace (two levels within the sumcheck).
struct Counter {
    path: Vec<String>,
    depth: usize,
    variables: usize,
    constraints: usize,
    /// Whether they are counted by part too.
    by_part: bool,
    parts: Vec<(String, usize)>,
    /// By operation of the step.
    operations: Vec<usize>,
}

impl Counter {
    /// A counter that has seen the synthesis of a step; `None` for a program without a circuit.
    fn run(step: &Unrolled, by_part: bool) -> Option<Self> {
        let mut counter = Self {
            path: Vec::new(),
            depth: 0,
            variables: STATE,
            constraints: 0,
            by_part,
            parts: Vec::new(),
            operations: vec![0; step.nodes.len()],
        };
        let z = [0, 1].map(|i| Variable(Index::Aux(i)));
        // The shape depends on the program alone; a witness of zeros always has that shape.
        step::synthesize(&mut counter, step, z, &StepWitness::dummy(step)).ok()?;
        Some(counter)
    }

    /// The operation that is being synthesised.
    fn operation(&self) -> Option<usize> {
        match self.path.as_slice() {
            [first, second] if first == "operations" => {
                second.strip_prefix("operation ")?.parse().ok()
            }
            _ => None,
        }
    }

    fn part(&self) -> String {
        match self.path.as_slice() {
            [] => "other".to_owned(),
            [first, second, ..] if first == "sumcheck" => {
                let name = second.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ');
                format!("sumcheck: {name}")
            }
            // Slots of a step are counted together.
            [first, ..] => first
                .trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ')
                .to_owned(),
        }
    }
}

impl ConstraintSystem<F> for Counter {
    type Root = Self;

    fn alloc<V, A, AR>(&mut self, _: A, f: V) -> Result<Variable, SynthesisError>
    where
        V: FnOnce() -> Result<F, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        f()?;
        self.variables += 1;
        Ok(Variable(Index::Aux(self.variables - 1)))
    }

    fn alloc_input<V, A, AR>(&mut self, annotation: A, f: V) -> Result<Variable, SynthesisError>
    where
        V: FnOnce() -> Result<F, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.alloc(annotation, f)
    }

    fn enforce<A, AR, LA, LB, LC>(&mut self, annotation: A, _: LA, _: LB, _: LC)
    where
        A: FnOnce() -> AR,
        AR: Into<String>,
        LA: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
        LB: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
        LC: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
    {
        self.constraints += 1;
        if !self.by_part {
            return;
        }
        let operation = self.operation();
        if let Some(count) = operation.and_then(|at| self.operations.get_mut(at)) {
            *count += 1;
        }
        let name = match self.path.len() {
            0 => annotation().into(),
            _ => self.part(),
        };
        match self.parts.iter_mut().find(|(part, _)| *part == name) {
            Some((_, count)) => *count += 1,
            None => self.parts.push((name, 1)),
        }
    }

    fn push_namespace<NR, N>(&mut self, name: N)
    where
        NR: Into<String>,
        N: FnOnce() -> NR,
    {
        self.depth += 1;
        if self.by_part && self.depth <= 2 {
            self.path.push(name().into());
        }
    }

    fn pop_namespace(&mut self) {
        if self.by_part && self.depth <= 2 {
            self.path.pop();
        }
        self.depth -= 1;
    }

    fn get_root(&mut self) -> &mut Self {
        self
    }
}

/// Variables that stand for `z_i`.
const STATE: usize = 2;

/// Constraints of a step; none for a program without a circuit.
pub(crate) fn step_constraints(step: &Unrolled) -> usize {
    Counter::run(step, false).map_or(0, |counter| counter.constraints)
}

/// Constraints of a step by part, in the order of synthesis; none for a program without a circuit.
pub(crate) fn count_constraints(step: &Unrolled) -> Vec<(String, usize)> {
    Counter::run(step, true).map_or_else(Vec::new, |c| c.parts)
}
