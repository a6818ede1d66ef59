//! The choice of a schedule by cost.
//!
//! The figures are CPU seconds on two cores of a current server machine; only their ratios matter.

use crate::{
    circuit::count_constraints,
    error::Error,
    program::{Claim, NetworkShape, Program, ProgramError, Schedule, SequenceShape},
    quant::QuantizedModel,
};

/// Nova's own constraints in the primary circuit.
const NOVA_CONSTRAINTS: usize = 9_819;
/// One fold of an empty step.
const FOLD: f64 = 0.125;
/// A constraint of a step in a fold: a mixture of bits and full-size elements.
const PER_CONSTRAINT: f64 = 4.4e-6;
/// Compression of a primary circuit of `2^14`, and of each power of two after it.
const COMPRESS: [(u32, f64); 5] = [(14, 1.1), (15, 1.7), (16, 2.7), (17, 4.8), (18, 9.0)];
/// The largest step with several frames, `2^17`: it folds in some 500 MiB.
const MAX_FRAMES_LOG: u32 = 17;

fn compress(constraints: usize) -> f64 {
    let log = constraints.next_power_of_two().trailing_zeros();
    match COMPRESS.iter().find(|(l, _)| log <= *l) {
        Some((_, seconds)) => *seconds,
        None => 9.0 * f64::from(log - 18).exp2(),
    }
}

/// Constraints of a step, Nova's not counted.
fn constraints(program: &Program) -> usize {
    count_constraints(program).iter().map(|(_, n)| n).sum()
}

/// CPU seconds for a run of so many frames.
fn cost(program: &Program, step: usize, frames: u64) -> f64 {
    let inferences = frames.div_ceil(program.frames_per_step().into());
    let steps = (inferences as f64) * program.steps_per_frame() as f64;
    let each = FOLD + PER_CONSTRAINT * step as f64;
    // The first step is not folded: half of the work.
    (steps - 0.5) * each + compress(step + NOVA_CONSTRAINTS)
}

/// The cheapest of what was considered.
struct Best<T>(Option<(f64, T)>);

impl<T> Best<T> {
    fn consider(&mut self, cost: f64, choice: T) {
        if self.0.as_ref().is_none_or(|(least, _)| cost < *least) {
            self.0 = Some((cost, choice));
        }
    }

    fn choice(self) -> Result<T, ProgramError> {
        self.0
            .map(|(_, choice)| choice)
            .ok_or(ProgramError::Structure(
                "the network is too large for one step",
            ))
    }
}

/// Numbers of frames to a step that are worth a look: for each size of the step circuit as many as
/// fit, for a run of so many frames. `program` gives the program for a number of frames to a step.
fn frames_per_step(
    frames: u64,
    program: impl Fn(u32) -> Result<Program, ProgramError>,
    mut consider: impl FnMut(f64, u32),
) -> Result<(), ProgramError> {
    let mut size = |f: u32| -> Result<usize, ProgramError> {
        let program = program(f)?;
        let step = constraints(&program);
        // One frame may need a larger step than several are worth.
        if f == 1 || step + NOVA_CONSTRAINTS <= 1 << MAX_FRAMES_LOG {
            consider(cost(&program, step, frames), f);
        }
        Ok(step)
    };
    let most = u32::try_from(frames).unwrap_or(u32::MAX).max(1);
    let one = size(1)?;
    if most == 1 {
        return Ok(());
    }
    let per_frame = size(2)?.saturating_sub(one).max(1);
    for (log, _) in COMPRESS {
        let room = (1usize << log).saturating_sub(NOVA_CONSTRAINTS);
        if log > MAX_FRAMES_LOG || room < one {
            continue;
        }
        let guess = 1 + (room - one) / per_frame;
        let guess = u32::try_from(guess).unwrap_or(u32::MAX).min(most);
        // The estimate may be off by one, either way.
        for f in [guess + 1, guess, guess.saturating_sub(1)] {
            if f > 2 && f <= most && size(f)? <= room {
                // As many steps are cheaper with fewer frames in each.
                let balanced = most.div_ceil(most.div_ceil(f));
                if balanced > 2 && balanced < f {
                    size(balanced)?;
                }
                break;
            }
        }
    }
    Ok(())
}

impl Schedule {
    /// The cheapest schedule for one inference of a network: the whole network in one step, or for
    /// each size of the step circuit as many layers as fit.
    ///
    /// # Errors
    /// [`ProgramError`] if the network has no program.
    pub fn plan(network: &NetworkShape) -> Result<Self, ProgramError> {
        Self::plan_for(network, 1)
    }

    /// The cheapest schedule for one proof of so many inferences of a network.
    ///
    /// # Errors
    /// [`ProgramError`] if the network has no program.
    pub fn plan_for(network: &NetworkShape, inferences: u64) -> Result<Self, ProgramError> {
        let mut best = Best(None);
        let inferences = inferences.max(1);
        let mut consider = |schedule: Self| -> Result<usize, ProgramError> {
            let program = network.program(schedule)?;
            let step = constraints(&program);
            best.consider(cost(&program, step, inferences), schedule);
            Ok(step)
        };
        let layers = network.layers.len() as u32;
        let entries: u64 = network.layers.iter().map(|l| u64::from(l.outputs)).sum();
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
        // A neuron costs some 30 constraints: beyond 2^15 of them no step is worth its size.
        if entries <= 1 << 15 {
            let whole = |frames| network.program(Self::of_frames(frames));
            frames_per_step(inferences, whole, |cost, frames| {
                best.consider(cost, Self::of_frames(frames));
            })?;
        }
        best.choice()
    }

    fn of_frames(frames: u32) -> Self {
        match frames {
            1 => Self::WholeNetwork,
            _ => Self::FramesPerStep(frames),
        }
    }
}

impl NetworkShape {
    /// The cheapest number of frames to a step for a claim about so many frames.
    ///
    /// # Errors
    /// As [`claim_program`](Self::claim_program).
    pub fn plan_claim(&self, claim: Claim, frames: u64) -> Result<u32, ProgramError> {
        let mut best = Best(None);
        frames_per_step(
            frames.max(1),
            |frames| self.claim_program(claim, frames),
            |cost, frames| best.consider(cost, frames),
        )?;
        best.choice()
    }
}

impl SequenceShape {
    /// The cheapest number of frames to a step for a run of about so many frames.
    ///
    /// More frames to a step share its fixed costs; they make it larger, and with it the memory
    /// that a session takes. No step is larger than `2^17` constraints, some 500 MiB.
    ///
    /// # Errors
    /// [`ProgramError`] if the network has no program.
    pub fn plan(&self, frames: u64) -> Result<u32, ProgramError> {
        let mut best = Best(None);
        frames_per_step(
            frames.max(1),
            |frames| self.program(frames),
            |cost, frames| best.consider(cost, frames),
        )?;
        best.choice()
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
        program::{Activation, CellKind, CellShape, ElmanActivation, Emission, LayerShape},
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
    fn batches_share_steps() {
        let small = network(&[20, 32, 16, 1]);
        assert_eq!(
            Schedule::plan_for(&small, 1).unwrap(),
            Schedule::WholeNetwork
        );
        let Schedule::FramesPerStep(frames) = Schedule::plan_for(&small, 100).unwrap() else {
            panic!("one inference a step");
        };
        assert!((4..=50).contains(&frames), "{frames}");
    }

    #[test]
    fn longer_runs_take_larger_steps() {
        let shape = SequenceShape {
            inputs: 16,
            cells: vec![CellShape {
                kind: CellKind::Elman(ElmanActivation::Relu),
                hidden: 64,
            }],
            head: vec![],
            tables: vec![],
            emission: Emission::Last,
            width: 8,
            shift: 9,
            bits: 22,
        };
        assert_eq!(shape.plan(1).unwrap(), 1);
        let [short, long, endless] = [32, 128, 100_000].map(|t| shape.plan(t).unwrap());
        assert!(
            1 < short && short < long && long <= endless,
            "{short} {long} {endless}"
        );
        let step = constraints(&shape.program(endless).unwrap());
        assert!(step + NOVA_CONSTRAINTS <= 1 << MAX_FRAMES_LOG);
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
