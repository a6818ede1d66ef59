//! The choice of a schedule by cost.
//!
//! The figures are CPU seconds on two cores of a current server machine; only their ratios matter.

use crate::{
    circuit::count_constraints,
    error::Error,
    program::{NetworkShape, Program, ProgramError, Schedule},
    quant::QuantizedModel,
};

/// Nova's own constraints in the primary circuit.
const NOVA_CONSTRAINTS: usize = 9_819;
/// One fold of an empty step.
const FOLD: f64 = 0.19;
/// A constraint of a step in a fold: a mixture of bits and full-size elements.
const PER_CONSTRAINT: f64 = 3.5e-6;
/// Compression of a primary circuit of `2^14`, and of each power of two after it.
const COMPRESS: [(u32, f64); 5] = [(14, 1.0), (15, 1.5), (16, 2.5), (17, 3.8), (18, 7.5)];

fn compress(constraints: usize) -> f64 {
    let log = constraints.next_power_of_two().trailing_zeros();
    match COMPRESS.iter().find(|(l, _)| log <= *l) {
        Some((_, seconds)) => *seconds,
        None => 7.5 * f64::from(log - 18).exp2(),
    }
}

/// CPU seconds for one inference.
fn cost(program: &Program, step: usize) -> f64 {
    let steps = program.steps_per_frame() as f64;
    let each = FOLD + PER_CONSTRAINT * step as f64;
    // The first step is not folded: half of the work.
    (steps - 0.5) * each + compress(step + NOVA_CONSTRAINTS)
}

impl Schedule {
    /// The cheapest schedule for one inference of a network: the whole network in one step, or for
    /// each size of the step circuit as many layers as fit.
    ///
    /// # Errors
    /// [`ProgramError`] if the network has no program.
    pub fn plan(network: &NetworkShape) -> Result<Self, ProgramError> {
        let mut best: Option<(f64, Self)> = None;
        let mut consider = |schedule: Self| -> Result<usize, ProgramError> {
            let program = network.program(schedule)?;
            let step = count_constraints(&program).iter().map(|(_, n)| n).sum();
            let cost = cost(&program, step);
            if best.is_none_or(|(least, _)| cost < least) {
                best = Some((cost, schedule));
            }
            Ok(step)
        };
        let layers = network.layers.len() as u32;
        let entries: u64 = network.layers.iter().map(|l| u64::from(l.outputs)).sum();
        // A neuron costs some 30 constraints: beyond 2^15 of them no step is worth its size.
        if entries <= 1 << 15 {
            consider(Self::WholeNetwork)?;
        }
        if layers > 1 {
            let one = consider(Self::LayersPerStep(1))?;
            let per_layer = if layers > 2 {
                consider(Self::LayersPerStep(2))?.saturating_sub(one).max(1)
            } else {
                one
            };
            for (log, _) in COMPRESS {
                let room = (1usize << log).saturating_sub(NOVA_CONSTRAINTS);
                let guess = 1 + room.saturating_sub(one) / per_layer;
                let guess = u32::try_from(guess).unwrap_or(layers).min(layers - 1);
                // Steps of equal number are cheaper with fewer layers in each.
                let balanced = layers.div_ceil(layers.div_ceil(guess));
                for k in [balanced, guess, guess.saturating_sub(1)] {
                    if k > 2 && consider(Self::LayersPerStep(k))? <= room {
                        break;
                    }
                }
            }
        }
        best.map(|(_, schedule)| schedule)
            .ok_or(ProgramError::Structure(
                "the network is too large for one step",
            ))
    }
}

impl QuantizedModel {
    /// The program under the schedule that [`Schedule::plan`] chooses.
    ///
    /// # Errors
    /// If the network is too large for any schedule.
    pub fn program(&self) -> Result<Program, Error> {
        self.program_with(Schedule::plan(self.shape())?)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;
    use crate::{
        Params,
        program::{Activation, LayerShape},
    };

    fn network(widths: &[u32]) -> NetworkShape {
        NetworkShape {
            layers: widths
                .windows(2)
                .map(|w| LayerShape {
                    inputs: w[0],
                    outputs: w[1],
                    activation: Activation::Relu,
                })
                .collect(),
            tables: vec![],
            width: 8,
            bits: 20,
            shift: 9,
        }
    }

    #[test]
    fn novas_own_constraints_are_counted() {
        let params = Params::setup(&network(&[3, 2]).program(Schedule::WholeNetwork).unwrap());
        let report = params.unwrap().constraints();
        assert_eq!(report.primary - report.step(), NOVA_CONSTRAINTS);
    }

    #[test]
    fn shallow_networks_take_one_step_and_deep_ones_several() {
        assert_eq!(
            Schedule::plan(&network(&[784, 128, 10])).unwrap(),
            Schedule::WholeNetwork
        );
        let deep = Schedule::plan(&network(&[128; 65])).unwrap();
        let Schedule::LayersPerStep(k) = deep else {
            panic!("a deep network in one step");
        };
        assert!((5..=11).contains(&k), "{k}");
    }
}
