//! Ranges of a network's values over samples.

use super::{Function, Network, Samples, form::Kind, samples};
use crate::error::Error;

/// Least and largest value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Range {
    const NONE: Self = Self {
        least: f64::INFINITY,
        most: f64::NEG_INFINITY,
    };

    pub(super) fn add<'a>(&mut self, values: impl IntoIterator<Item = &'a f64>) {
        for v in values {
            self.least = self.least.min(*v);
            self.most = self.most.max(*v);
        }
    }

    /// Largest absolute value.
    pub(super) fn reach(self) -> f64 {
        self.least.abs().max(self.most.abs())
    }
}

/// The ranges of one stage.
#[derive(Clone, Debug)]
pub(super) struct StageRanges {
    pub(super) arguments: Vec<Range>,
    /// Of the products of the first argument.
    pub(super) products: Vec<Range>,
    pub(super) result: Range,
}

/// The ranges of everything.
#[derive(Clone, Debug)]
pub(super) struct Ranges {
    pub(super) input: Range,
    pub(super) states: Vec<Range>,
    pub(super) stages: Vec<StageRanges>,
    /// Of the sums of the output.
    pub(super) output: Range,
}

impl Ranges {
    pub(super) fn measure<S: Samples + ?Sized>(
        network: &Network,
        samples: &S,
    ) -> Result<Self, Error> {
        samples::check(network, samples)?;
        let mut ranges = Self {
            input: Range::NONE,
            states: vec![Range::NONE; network.states.len()],
            stages: network
                .stages
                .iter()
                .map(|s| StageRanges {
                    arguments: vec![Range::NONE; s.arguments.len()],
                    products: vec![
                        Range::NONE;
                        s.arguments.first().map_or(0, |a| a.products.len())
                    ],
                    result: Range::NONE,
                })
                .collect(),
            output: Range::NONE,
        };
        for index in 0..samples.count() {
            let mut state = network.start();
            for frame in samples.sample(index).rows() {
                ranges.add_states(&state);
                let input = network.checked(frame)?;
                ranges.input.add(&input);
                let stages = &mut ranges.stages;
                let sums =
                    network.step_with(&mut state, input, |k, registers, arguments, result| {
                        let products = network.stages[k].arguments.first();
                        let products = products.into_iter().flat_map(|a| &a.products);
                        for (range, product) in stages[k].products.iter_mut().zip(products) {
                            range.add(&product.evaluate(registers));
                        }
                        for (range, values) in stages[k].arguments.iter_mut().zip(arguments) {
                            range.add(values);
                        }
                        stages[k].result.add(result.iter());
                    })?;
                ranges.output.add(&sums);
            }
            ranges.add_states(&state);
        }
        Ok(ranges)
    }

    fn add_states(&mut self, state: &[Vec<f64>]) {
        for (range, values) in self.states.iter_mut().zip(state) {
            range.add(values);
        }
    }

    /// The values that a stage's integers must express: what is requantised.
    pub(super) fn requantised(&self, stage: usize, kind: &Kind) -> f64 {
        let own = &self.stages[stage];
        let sums = own.arguments.iter().map(|r| r.reach()).fold(0.0, f64::max);
        match kind {
            Kind::Function(Function::Relu) | Kind::Maximum { relu: true } => {
                // What never was positive has the range of its sums.
                if own.result.most > 0.0 {
                    own.result.most
                } else {
                    sums
                }
            }
            _ => sums,
        }
    }
}
