//! The choice of a schedule and a kind of proof by cost: how many layers or frames share a step, and
//! how the steps are put together.
//!
//! A step has a cost of its own, whatever it does; so has every constraint in it; and the end of a
//! run costs in proportion to the step's size, rounded up to a power of two. All three are smaller in
//! a flat proof, which has room for some tens of steps. [`Planner`] weighs
//! these with a [`CostModel`], which `cargo bench --bench calibrate` measures on another machine,
//! and a [`Plan`] says what was chosen, what was rejected and why.

mod cost;

use std::fmt;

pub use cost::{Cost, CostModel, FlatCosts};
use serde::Serialize;

use crate::{
    ProofKind,
    circuit::step_size,
    error::Error,
    flat::{FlatSize, MOST_STEPS, most_steps},
    program::{Claim, NetworkShape, Program, ProgramError, Schedule, SequenceShape, Unrolled},
    quant::QuantizedModel,
};

/// Nova's own constraints in the primary circuit.
pub(crate) const NOVA_CONSTRAINTS: usize = crate::ivc::NOVA_CONSTRAINTS.0;
/// Sizes of the circuit that are tried, as powers of two.
const SIZES: std::ops::RangeInclusive<u32> = 13..=20;
/// Memory beyond which nothing is chosen unasked, in MiB: steps of up to `2^17` constraints.
const USUAL_PEAK_MIB: f64 = 700.0;
/// Bytes of the matrices of a flat prover for each constraint.
const FLAT_KEY_BYTES: usize = 415;
/// Numbers of layers to a step that are estimated for each size, and of these counted.
const TRIED: usize = 24;
const COUNTED: usize = 3;
/// Constraints of a step, about: for a neuron, for an entry of the frame, and beside these.
const PER_NEURON: f64 = 30.5;
const PER_INPUT: f64 = 10.5;
const FIXED: f64 = 10_500.0;

/// One schedule under one kind of proof, and what it would cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// The schedule.
    pub schedule: Schedule,
    /// The kind of proof.
    pub kind: ProofKind,
    /// Steps of the run.
    pub steps: u64,
    /// Constraints of a step, without those of the recursion.
    pub step_constraints: usize,
    /// The circuit that the SNARK at the end is about, the primary one if there are two, has `2^size`
    /// constraints at most.
    pub size: u32,
    /// What a proof is expected to cost.
    pub cost: Cost,
    /// Why it cannot be chosen, if so.
    pub refused: Option<String>,
}

impl Candidate {
    /// Bytes of a proof, about; public vectors, context and parameters come on top.
    #[must_use]
    pub fn proof_bytes(&self) -> usize {
        let doublings = self.size.saturating_sub(14) as usize;
        match self.kind {
            ProofKind::Flat => 5_850 + 640 * doublings + 128 * self.steps.min(1 << 20) as usize,
            ProofKind::Recursive => 11_300 + 450 * doublings,
        }
    }

    /// Bytes of the keys of a prover, about: matrices and generators.
    #[must_use]
    pub fn key_bytes(&self) -> usize {
        let generators = 64usize << self.size.clamp(10, 40);
        match self.kind {
            ProofKind::Flat => generators + FLAT_KEY_BYTES * self.step_constraints,
            // Nova's own circuits have dense constraints.
            ProofKind::Recursive => 16_200_000 + generators + 415 * self.step_constraints,
        }
    }
}

/// The schedule that is expected to be cheapest, and what it was compared with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The cheapest.
    pub chosen: Candidate,
    /// All others, the cheapest first.
    pub rejected: Vec<Candidate>,
}

impl Plan {
    /// What was chosen, what was rejected and why, as text.
    #[must_use]
    pub fn explain(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, c: &Candidate| {
            write!(
                f,
                "{:<22} {:<9} {:>6} {} of {:>8} constraints, 2^{}: {:>8.2} CPU s (fold {:.2}, weights {:.2}, compress {:.2}), {:.0} MiB",
                c.schedule.to_string(),
                c.kind.to_string(),
                c.steps,
                if c.steps == 1 { "step " } else { "steps" },
                c.step_constraints,
                c.size,
                c.cost.total(),
                c.cost.fold_s,
                c.cost.weights_s,
                c.cost.compress_s,
                c.cost.peak_mib,
            )
        };
        write!(f, "chosen    ")?;
        line(f, &self.chosen)?;
        for c in &self.rejected {
            write!(f, "\nrejected  ")?;
            line(f, c)?;
            match &c.refused {
                Some(why) => write!(f, "; {why}")?,
                None => write!(
                    f,
                    "; {:.0} % dearer",
                    100.0 * (c.cost.total() / self.chosen.cost.total() - 1.0)
                )?,
            }
        }
        Ok(())
    }
}

/// Chooses schedules.
///
/// ```
/// use layerfold::{plan::Planner, program::{Activation, LayerShape, NetworkShape}};
/// let layers = vec![LayerShape { inputs: 128, outputs: 128, activation: Activation::Relu }; 16];
/// let network = NetworkShape { layers, reads: vec![], tables: vec![], width: 8, bits: 20, shift: 9 };
/// let plan = Planner::default().max_peak_mib(400.0).plan(&network, 1)?;
/// println!("{plan}");
/// let program = network.program(plan.chosen.schedule)?;
/// # Ok::<(), layerfold::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Planner {
    costs: CostModel,
    max_peak_mib: Option<f64>,
    kind: Option<ProofKind>,
}

const KINDS: [ProofKind; 2] = [ProofKind::Flat, ProofKind::Recursive];

impl Planner {
    /// With the costs of another machine.
    #[must_use]
    pub fn with_costs(costs: CostModel) -> Self {
        Self {
            costs,
            ..Self::default()
        }
    }

    /// Plans for one kind of proof only; `None` for the cheaper. A session makes the kind that it
    /// expects to be cheaper by itself, and must be [told](crate::Session::set_kind) another.
    #[must_use]
    pub fn kind(mut self, kind: Option<ProofKind>) -> Self {
        self.kind = kind;
        self
    }

    fn allows(&self, kind: ProofKind) -> bool {
        self.kind.is_none_or(|only| only == kind)
    }

    fn kinds(&self) -> impl Iterator<Item = ProofKind> {
        KINDS.into_iter().filter(|kind| self.allows(*kind))
    }

    /// The cost of so many steps of so many constraints, Nova's not counted.
    fn estimate(&self, kind: ProofKind, constraints: usize, steps: u64, weights: u64) -> Cost {
        match kind {
            ProofKind::Flat => self.costs.of_flat(constraints, steps, weights),
            ProofKind::Recursive => self
                .costs
                .of(constraints + NOVA_CONSTRAINTS, steps, weights),
        }
    }

    /// The cost of the end of a run, if its circuit has `2^log` constraints.
    fn end(&self, kind: ProofKind, log: u32) -> f64 {
        match kind {
            ProofKind::Flat => self.costs.flat_snark(log),
            ProofKind::Recursive => self.costs.compress(1 << log),
        }
    }

    /// Refuses what is expected to take more memory, in MiB. Without it, what is expected to take
    /// more than 700 MiB is chosen only if there is nothing else.
    #[must_use]
    pub fn max_peak_mib(mut self, mib: f64) -> Self {
        self.max_peak_mib = Some(mib);
        self
    }

    /// The cheapest schedule for one proof of so many inferences of a network.
    ///
    /// # Errors
    /// [`ProgramError`] if the network has no program, or none within the memory allowed.
    pub fn plan(&self, network: &NetworkShape, inferences: u64) -> Result<Plan, ProgramError> {
        let layers = network.layers.iter();
        let weights = layers.map(|l| u64::from(l.inputs) * u64::from(l.outputs));
        let mut search = Search::new(self, inferences.max(1), weights.sum());
        search.layers(network)?;
        let neurons: f64 = network.layers.iter().map(|l| f64::from(l.outputs)).sum();
        // A network that is cheaper in several steps need not be counted in one.
        let log = log_of((PER_NEURON * neurons) as usize);
        if self
            .kinds()
            .any(|kind| self.end(kind, log) < search.least())
        {
            search.frames(&|frames| network.program(of_frames(frames)))?;
        }
        search.plan()
    }

    /// The cheapest number of frames to a step for a claim about so many frames.
    ///
    /// # Errors
    /// As [`NetworkShape::claim_program`].
    pub fn plan_claim(
        &self,
        network: &NetworkShape,
        claim: Claim,
        frames: u64,
    ) -> Result<Plan, ProgramError> {
        let mut search = Search::new(self, frames.max(1), 0);
        search.frames(&|frames| network.claim_program(claim, frames))?;
        search.plan()
    }

    /// The cheapest number of frames to a step for a run of about so many frames.
    ///
    /// # Errors
    /// [`ProgramError`] if the network has no program.
    pub fn plan_sequence(&self, shape: &SequenceShape, frames: u64) -> Result<Plan, ProgramError> {
        let mut search = Search::new(self, frames.max(1), 0);
        search.frames(&|frames| shape.program(frames))?;
        search.plan()
    }

    /// The cheapest schedule of a network of so many weights that are not zero: as layers
    /// that steps share, if it is made of such, or with a number of frames to a step.
    pub(crate) fn plan_graph(
        &self,
        layers: Option<&NetworkShape>,
        weights: u64,
        frames: u64,
        program: &dyn Fn(u32) -> Result<Program, ProgramError>,
    ) -> Result<Plan, ProgramError> {
        let mut search = Search::new(self, frames.max(1), weights);
        if let Some(network) = layers {
            search.layers(network)?;
        }
        search.frames(program)?;
        search.plan()
    }

    /// What a program is expected to cost in a run of so many frames.
    ///
    /// # Errors
    /// [`ProgramError`] if the program is not valid.
    pub fn cost(&self, program: &Program, frames: u64) -> Result<Cost, ProgramError> {
        program.validate()?;
        let weights = program.maps().iter();
        let weights = weights.map(|m| u64::from(m.rows) * u64::from(m.columns));
        let weights = weights.sum();
        let steps = steps(program, frames.max(1));
        let size = size_of(program);
        let kinds = self
            .kinds()
            .filter(|kind| possible(*kind, program, size, steps));
        let costs = kinds.map(|kind| self.estimate(kind, size.step().constraints, steps, weights));
        let cheapest = costs.min_by(|a, b| a.total().total_cmp(&b.total()));
        cheapest.ok_or(ProgramError::Structure(
            "the run has too many steps for a flat proof",
        ))
    }
}

/// Of the plain step circuit.
fn size_of(program: &Program) -> FlatSize {
    step_size(&Unrolled::new(program)).into()
}

/// Whether so many steps can be put together in this way.
fn possible(kind: ProofKind, program: &Program, size: FlatSize, steps: u64) -> bool {
    match kind {
        ProofKind::Flat => steps <= most_steps(size, &program.bank()),
        ProofKind::Recursive => true,
    }
}

fn steps(program: &Program, frames: u64) -> u64 {
    let inferences = frames.div_ceil(program.frames_per_step().into());
    inferences.saturating_mul(program.steps_per_frame())
}

fn log_of(constraints: usize) -> u32 {
    constraints.next_power_of_two().trailing_zeros()
}

/// Constraints that the kind adds to a step.
fn added(kind: ProofKind) -> usize {
    match kind {
        ProofKind::Flat => crate::circuit::PLAIN_CONSTRAINTS,
        ProofKind::Recursive => NOVA_CONSTRAINTS,
    }
}

fn of_frames(frames: u32) -> Schedule {
    match frames {
        1 => Schedule::WholeNetwork,
        _ => Schedule::FramesPerStep(frames),
    }
}

/// The candidates of one run.
struct Search<'a> {
    planner: &'a Planner,
    frames: u64,
    weights: u64,
    candidates: Vec<Candidate>,
    /// Schedules that were entered, with the constraints of their steps.
    known: Vec<(Schedule, usize)>,
}

impl<'a> Search<'a> {
    fn new(planner: &'a Planner, frames: u64, weights: u64) -> Self {
        Self {
            planner,
            frames,
            weights,
            candidates: Vec::new(),
            known: Vec::new(),
        }
    }

    /// Enters a schedule with every kind of proof that it can end in; gives the constraints of its
    /// step.
    fn consider(&mut self, schedule: Schedule, program: &Program) -> usize {
        if let Some((_, step)) = self.known.iter().find(|(known, _)| *known == schedule) {
            return *step;
        }
        let size = size_of(program);
        let step = size.step().constraints;
        self.known.push((schedule, step));
        let steps = steps(program, self.frames);
        let planner = self.planner;
        let most = planner.max_peak_mib.unwrap_or(USUAL_PEAK_MIB);
        for kind in planner.kinds() {
            if !possible(kind, program, size, steps) {
                continue;
            }
            let cost = planner.estimate(kind, step, steps, self.weights);
            let refused = (cost.peak_mib > most).then(|| format!("more than {most:.0} MiB"));
            self.candidates.push(Candidate {
                schedule,
                kind,
                steps,
                step_constraints: step,
                size: log_of(step + added(kind)),
                cost,
                refused,
            });
        }
        step
    }

    /// The least that was found so far.
    fn least(&self) -> f64 {
        let allowed = self.candidates.iter().filter(|c| c.refused.is_none());
        allowed
            .map(|c| c.cost.total())
            .fold(f64::INFINITY, f64::min)
    }

    /// Numbers of layers to a step: for each size of the step those that promise most of what fits.
    fn layers(&mut self, network: &NetworkShape) -> Result<(), ProgramError> {
        let kinds: Vec<ProofKind> = self.planner.kinds().collect();
        kinds
            .into_iter()
            .try_for_each(|kind| self.layers_of(kind, network))
    }

    fn layers_of(&mut self, kind: ProofKind, network: &NetworkShape) -> Result<(), ProgramError> {
        let layers = network.layers.len() as u32;
        if layers < 2 {
            return Ok(());
        }
        let rows: f64 = network.layers.iter().map(|l| f64::from(l.outputs)).sum();
        let per_layer = PER_NEURON * rows / f64::from(layers);
        let fixed = FIXED + PER_INPUT * f64::from(network.layers[0].inputs);
        let mut below = 0;
        for log in SIZES {
            // The end alone is dearer than all of what is known.
            if self.planner.end(kind, log) > self.least() {
                break;
            }
            let room = (1usize << log).saturating_sub(added(kind)) as f64;
            if room < fixed {
                continue;
            }
            // Networks whose layers differ much have fewer or more to a step than their mean says.
            let guess = ((room - fixed) / per_layer).max(1.0);
            let most = ((1.25 * guess) as u32 + 1).min(layers - 1);
            let mut promising: Vec<(f64, u32, f64)> = (below + 1..=most)
                .rev()
                .take(TRIED)
                .filter_map(|slots| {
                    let (steps, entries) = network.slots(slots)?;
                    let step = fixed + PER_NEURON * entries as f64;
                    let steps = steps.saturating_mul(self.frames);
                    if kind == ProofKind::Flat && steps > MOST_STEPS as u64 {
                        return None;
                    }
                    let planner = self.planner;
                    let cost = planner.estimate(kind, step as usize, steps, self.weights);
                    Some((cost.total(), slots, step))
                })
                .collect();
            promising.sort_by(|a, b| a.0.total_cmp(&b.0));
            let mut found = 0;
            for (_, slots, step) in promising {
                // The estimate is not exact.
                if step > 1.05 * room || found == COUNTED {
                    continue;
                }
                let schedule = Schedule::LayersPerStep(slots);
                let Ok(program) = network.program(schedule) else {
                    continue;
                };
                if self.consider(schedule, &program) as f64 <= room {
                    found += 1;
                    below = below.max(slots);
                }
            }
            if below == layers - 1 {
                break;
            }
        }
        Ok(())
    }

    /// Numbers of frames to a step: for each size of the step as many as fit.
    fn frames(
        &mut self,
        program: &dyn Fn(u32) -> Result<Program, ProgramError>,
    ) -> Result<(), ProgramError> {
        let one = match program(1) {
            Ok(program) => self.consider(of_frames(1), &program),
            // Layers may be spread over steps instead.
            Err(_) if !self.candidates.is_empty() => return Ok(()),
            Err(e) => return Err(e),
        };
        let most = u32::try_from(self.frames).unwrap_or(u32::MAX);
        if most == 1 {
            return Ok(());
        }
        let Ok(two) = program(2) else { return Ok(()) };
        let per_frame = self.consider(of_frames(2), &two).saturating_sub(one).max(1);
        let kinds: Vec<ProofKind> = self.planner.kinds().collect();
        for kind in kinds {
            self.frames_of(kind, one, per_frame, most, program);
        }
        Ok(())
    }

    fn frames_of(
        &mut self,
        kind: ProofKind,
        one: usize,
        per_frame: usize,
        most: u32,
        program: &dyn Fn(u32) -> Result<Program, ProgramError>,
    ) {
        for log in SIZES {
            let room = (1usize << log).saturating_sub(added(kind));
            let smallest = self.planner.estimate(kind, room, 1, self.weights);
            let allowed = self.planner.max_peak_mib.unwrap_or(USUAL_PEAK_MIB);
            if smallest.peak_mib > allowed || room < one {
                continue;
            }
            let guess = 1 + (room - one) / per_frame;
            let guess = u32::try_from(guess).unwrap_or(u32::MAX).min(most);
            // The estimate may be off by one, either way.
            for f in [guess.saturating_add(1), guess, guess.saturating_sub(1)] {
                if f <= 2 || f > most {
                    continue;
                }
                let Ok(tried) = program(f) else { continue };
                if self.consider(of_frames(f), &tried) <= room {
                    // As many steps are cheaper with fewer frames in each.
                    let balanced = most.div_ceil(most.div_ceil(f));
                    if balanced > 2
                        && balanced < f
                        && let Ok(program) = program(balanced)
                    {
                        self.consider(of_frames(balanced), &program);
                    }
                    break;
                }
            }
            if guess == most {
                break;
            }
        }
    }

    fn plan(self) -> Result<Plan, ProgramError> {
        let mut candidates = self.candidates;
        candidates.sort_by(|a, b| {
            let key = |c: &Candidate| (c.refused.is_some(), c.cost.total());
            let (a, b) = (key(a), key(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        });
        // Unasked, memory is a wish.
        if self.planner.max_peak_mib.is_none()
            && candidates.iter().all(|c| c.refused.is_some())
            && let Some(least) = candidates
                .iter()
                .enumerate()
                .min_by(|(_, a), (_, b)| a.cost.peak_mib.total_cmp(&b.cost.peak_mib))
                .map(|(at, _)| at)
        {
            candidates[..=least].rotate_right(1);
            candidates[0].refused = None;
        }
        let mut candidates = candidates.into_iter();
        match candidates.next() {
            Some(chosen) if chosen.refused.is_none() => Ok(Plan {
                chosen,
                rejected: candidates.collect(),
            }),
            _ => Err(ProgramError::Structure(
                "the network is too large for any schedule that is allowed",
            )),
        }
    }
}

impl Schedule {
    /// The cheapest schedule for one inference of a network, by [`Planner`].
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
        let plan = Planner::default().plan(network, inferences)?;
        Ok(plan.chosen.schedule)
    }

    /// The most frames that share a step.
    #[must_use]
    pub fn frames_per_step(self) -> u32 {
        match self {
            Self::FramesPerStep(frames) => frames,
            Self::WholeNetwork | Self::LayersPerStep(_) => 1,
        }
    }
}

impl NetworkShape {
    /// The cheapest number of frames to a step for a claim about so many frames.
    ///
    /// # Errors
    /// As [`claim_program`](Self::claim_program).
    pub fn plan_claim(&self, claim: Claim, frames: u64) -> Result<u32, ProgramError> {
        let plan = Planner::default().plan_claim(self, claim, frames)?;
        Ok(plan.chosen.schedule.frames_per_step())
    }
}

impl SequenceShape {
    /// The cheapest number of frames to a step for a run of about so many frames.
    ///
    /// More frames to a step share its fixed costs; they make it larger, and with it the memory
    /// that a session takes: see [`Planner::max_peak_mib`].
    ///
    /// # Errors
    /// [`ProgramError`] if the network has no program.
    pub fn plan(&self, frames: u64) -> Result<u32, ProgramError> {
        let plan = Planner::default().plan_sequence(self, frames)?;
        Ok(plan.chosen.schedule.frames_per_step())
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

    fn constraints(program: &Program) -> usize {
        size_of(program).step().constraints
    }

    fn network(widths: &[u32]) -> NetworkShape {
        NetworkShape {
            reads: Vec::new(),
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
        for widths in [&[3, 2][..], &[20, 32, 16, 1]] {
            let program = network(widths).program(Schedule::WholeNetwork).unwrap();
            let params = Params::setup(&program).unwrap();
            let report = params.constraints();
            assert_eq!(report.primary - report.step(), NOVA_CONSTRAINTS);
            let ((primary, _), (secondary, _)) = params.0.recursive_sizes().unwrap();
            assert_eq!((report.primary, report.secondary), (primary, secondary));
            assert_eq!(params.constraint_counts(), (primary, secondary));
        }
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
            1 < short && short <= long && long <= endless && short < endless,
            "{short} {long} {endless}"
        );
        let step = constraints(&shape.program(endless).unwrap());
        assert!(step + NOVA_CONSTRAINTS <= 1 << 17);
    }

    #[test]
    fn a_limit_on_memory_makes_steps_smaller() {
        let deep = network(&[128; 65]);
        for kind in [None, Some(ProofKind::Flat), Some(ProofKind::Recursive)] {
            let planner = Planner::default().kind(kind);
            let free = planner.plan(&deep, 1).unwrap();
            let most = free.chosen.cost.peak_mib - 1.0;
            let limited = planner.clone().max_peak_mib(most).plan(&deep, 1).unwrap();
            assert!(limited.chosen.step_constraints < free.chosen.step_constraints);
            assert!(limited.chosen.cost.peak_mib <= most);
            assert!(limited.rejected.iter().any(|c| c.refused.is_some()));
            assert!(planner.max_peak_mib(1.0).plan(&deep, 1).is_err());
        }
    }

    #[test]
    fn wide_ends_do_not_make_every_step_wide() {
        let mut widths = vec![784];
        widths.extend([100, 200].iter().cycle().take(99));
        widths.push(1000);
        let plan = Planner::default().plan(&network(&widths), 1).unwrap();
        let program = network(&widths).program(plan.chosen.schedule).unwrap();
        assert!(program.steps_per_frame() > 1);
        assert!(program.maps().iter().all(|m| m.rows <= 200));
        // The others have as many layers in each step, or less.
        let ordinary = network(&widths[1..100])
            .program(plan.chosen.schedule)
            .unwrap();
        assert!(constraints(&program) < constraints(&ordinary) + 20_000);
        assert!(plan.explain().lines().count() == plan.rejected.len() + 1);
    }

    #[test]
    fn short_runs_are_flat_and_long_ones_recursive() {
        let kind = |shape: &NetworkShape, inferences| {
            let plan = Planner::default().plan(shape, inferences).unwrap();
            (plan.chosen.kind, plan)
        };
        let small = network(&[20, 32, 16, 1]);
        assert_eq!(kind(&small, 1).0, ProofKind::Flat);
        assert_eq!(kind(&network(&[128; 17]), 1).0, ProofKind::Flat);
        let (long, plan) = kind(&small, 100_000);
        assert_eq!(long, ProofKind::Recursive);
        assert!(plan.explain().contains("recursive"));
        // What the planner chooses is what a session does by itself.
        for (shape, inferences) in [(&small, 1), (&network(&[128; 17]), 1), (&small, 30)] {
            let chosen = kind(shape, inferences).1.chosen;
            let params = Params::setup(&shape.program(chosen.schedule).unwrap()).unwrap();
            let flat = chosen.steps <= params.flat_steps_worthwhile();
            assert_eq!(flat, chosen.kind == ProofKind::Flat);
        }
    }

    #[test]
    fn a_planner_for_one_kind_chooses_no_other() {
        for only in KINDS {
            let planner = Planner::default().kind(Some(only));
            for shape in [network(&[20, 32, 16, 1]), network(&[128; 33])] {
                let plan = planner.plan(&shape, 2).unwrap();
                assert_eq!(plan.chosen.kind, only);
                assert!(plan.rejected.iter().all(|c| c.kind == only));
            }
        }
        // A flat proof has no room for so many steps.
        let planner = Planner::default().kind(Some(ProofKind::Flat));
        let program = network(&[3, 2]).program(Schedule::WholeNetwork).unwrap();
        assert!(planner.cost(&program, 10_000).is_err());
        assert!(planner.cost(&program, 10).is_ok());
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
