//! The choice of a schedule and a kind of proof by cost.
//!
//! A [trace](ProofKind::Trace) has no circuit and needs no choice: every step is a whole inference.
//! Recursion has a cost for each step, whatever it does; one for every constraint in it; and the end of
//! a run costs in proportion to the step's size, rounded up to a power of two: how many layers or
//! frames share a step is weighed. [`Planner`] does so with a [`CostModel`], which
//! `cargo bench --bench calibrate` measures on another machine, and a [`Plan`] says what was chosen,
//! what was rejected and why.

mod cost;

use std::fmt;

pub use cost::{Cost, CostModel, TraceCosts};
use serde::Serialize;

use crate::{
    error::Error,
    kind::ProofKind,
    network::Quantized,
    program::{Program, ProgramError},
    recursive::{
        Schedule, Unrolled,
        schedule::{Layers, Placement},
        step_constraints,
    },
    session::DEFAULT_MEMORY_LIMIT,
    trace::TraceKey,
};
use cost::{NOVA_CONSTRAINTS, TraceSize};

/// Sizes of the circuit that are tried, as powers of two.
const SIZES: std::ops::RangeInclusive<u32> = 13..=20;
/// Memory beyond which no recursive proof is chosen unasked, in MiB: steps of up to `2^17` constraints.
const USUAL_PEAK_MIB: f64 = 700.0;
const MIB: f64 = (1 << 20) as f64;
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
    /// Steps of the run; a trace has one.
    pub steps: u64,
    /// Constraints of a step, without those of the recursion; none in a trace.
    pub step_constraints: usize,
    /// The primary circuit, which the SNARK at the end is about, has `2^size` constraints at most; a
    /// trace so many committed integers.
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
        match self.kind {
            // A point for each row, and what all traces have.
            ProofKind::Trace => {
                8_000 + (32usize << self.size.saturating_sub(TRACE_ROW_BITS).min(30))
            }
            ProofKind::Recursive => 11_300 + 450 * self.size.saturating_sub(14) as usize,
        }
    }

    /// Bytes of the keys of a prover, about: matrices and generators.
    #[must_use]
    pub fn key_bytes(&self) -> usize {
        match self.kind {
            ProofKind::Trace => 64 << TRACE_ROW_BITS,
            // Nova's own circuits have dense constraints.
            ProofKind::Recursive => {
                let generators = 64usize << self.size.clamp(10, 40);
                16_200_000 + generators + 415 * self.step_constraints
            }
        }
    }
}

/// Bits of the length of a row of a trace, about.
const TRACE_ROW_BITS: u32 = 12;

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
        let line = |f: &mut fmt::Formatter<'_>, c: &Candidate| match c.kind {
            ProofKind::Trace => write!(
                f,
                "{:<22} {:<9} 2^{} committed integers: {:>8.2} CPU s (trace {:.2}, weights {:.2}), {:.0} MiB",
                c.schedule.to_string(),
                c.kind,
                c.size,
                c.cost.total(),
                c.cost.trace_s,
                c.cost.weights_s,
                c.cost.peak_mib,
            ),
            ProofKind::Recursive => write!(
                f,
                "{:<22} {:<9} {:>6} {} of {:>8} constraints, 2^{}: {:>8.2} CPU s (fold {:.2}, weights {:.2}, compress {:.2}), {:.0} MiB",
                c.schedule.to_string(),
                c.kind,
                c.steps,
                if c.steps == 1 { "step " } else { "steps" },
                c.step_constraints,
                c.size,
                c.cost.total(),
                c.cost.fold_s,
                c.cost.weights_s,
                c.cost.compress_s,
                c.cost.peak_mib,
            ),
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
/// let plan = Planner::default().max_peak_mib(400.0).plan(&network.program()?, 1)?;
/// println!("{plan}");
/// # Ok::<(), layerfold::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Planner {
    costs: CostModel,
    max_peak_mib: Option<f64>,
    kind: Option<ProofKind>,
    constant_size: bool,
}

impl Planner {
    /// With the costs of another machine.
    #[must_use]
    pub fn with_costs(costs: CostModel) -> Self {
        Self {
            costs,
            ..Self::default()
        }
    }

    /// Plans for one kind of proof only; `None` for the cheaper, which is a trace where there is one. A
    /// session makes a trace by itself where it can, and must be [told](crate::Session::set_kind) to be
    /// recursive.
    #[must_use]
    pub fn kind(mut self, kind: Option<ProofKind>) -> Self {
        self.kind = kind;
        self
    }

    /// Whether the size of a proof, and the memory that it takes, must not depend on the number of
    /// frames, nor the size on that of layers: then it is recursive.
    #[must_use]
    pub fn constant_size(mut self, constant: bool) -> Self {
        self.constant_size = constant;
        self
    }

    fn allows(&self, kind: ProofKind) -> bool {
        self.kind.is_none_or(|only| only == kind)
            && !(self.constant_size && kind == ProofKind::Trace)
    }

    /// The cost of so many steps of so many constraints, Nova's not counted.
    fn estimate(&self, constraints: usize, steps: u64, weights: u64) -> Cost {
        self.costs
            .of(constraints + NOVA_CONSTRAINTS, steps, weights)
    }

    /// The trace of a run: how large it is, what it costs, and the bytes of memory that a session counts.
    fn trace(&self, program: &Program, frames: u64, weights: u64) -> (TraceSize, Cost, u64) {
        let key = TraceKey::new(program, program.digest());
        let bytes = key.memory_bytes(frames);
        let size = TraceSize::of(program, frames);
        let peak = bytes as f64 / MIB;
        let cost = self.costs.of_trace(size.lookups, size.cells, weights, peak);
        (size, cost, bytes)
    }

    /// Refuses what is expected to take more memory, in MiB. Without it, a recursive proof that is
    /// expected to take more than 700 MiB, or a trace that takes more than sessions
    /// [allow](DEFAULT_MEMORY_LIMIT), is chosen only if there is nothing else.
    #[must_use]
    pub fn max_peak_mib(mut self, mib: f64) -> Self {
        self.max_peak_mib = Some(mib);
        self
    }

    /// The cheapest schedule for one proof of a run of about this many frames.
    ///
    /// # Errors
    /// [`ProgramError`] if there is no proof within the memory allowed.
    pub fn plan(&self, program: &Program, frames: u64) -> Result<Plan, ProgramError> {
        self.plan_with(program, frames, weights_of(program))
    }

    /// The same for a model with this many weights that are not zero.
    pub(crate) fn plan_with(
        &self,
        program: &Program,
        frames: u64,
        weights: u64,
    ) -> Result<Plan, ProgramError> {
        let mut search = Search::new(self, program, frames.max(1), weights);
        search.trace();
        if search.planner.allows(ProofKind::Recursive) {
            let mut in_one_step = true;
            if let Ok(network) = Layers::of(program) {
                search.layers(&network);
                let neurons: f64 = network.layers.iter().map(|l| f64::from(l.rows)).sum();
                // A network that is cheaper in several steps need not be counted in one.
                let log = log_of((PER_NEURON * neurons) as usize);
                in_one_step = self.costs.compress(1 << log) < search.least();
            }
            if in_one_step {
                search.frames()?;
            }
        }
        search.plan()
    }

    /// What a program is expected to cost in a run of so many frames.
    ///
    /// # Errors
    /// [`ProgramError`] if the program is not valid, or has no proof of a kind that is allowed.
    pub fn cost(&self, program: &Program, frames: u64) -> Result<Cost, ProgramError> {
        program.validate()?;
        let (frames, weights) = (frames.max(1), weights_of(program));
        if self.allows(ProofKind::Trace) {
            let (_, cost, bytes) = self.trace(program, frames, weights);
            if bytes <= DEFAULT_MEMORY_LIMIT || !self.allows(ProofKind::Recursive) {
                return Ok(cost);
            }
        }
        if !self.allows(ProofKind::Recursive) {
            return Err(ProgramError::Structure(
                "the program has no proof of a kind that is allowed",
            ));
        }
        let step = Unrolled::unasked(program)?;
        Ok(self.estimate(step_constraints(&step), steps(&step, frames), weights))
    }
}

/// All that could be in the program's maps.
fn weights_of(program: &Program) -> u64 {
    let maps = program.maps().iter();
    maps.map(|m| u64::from(m.rows) * u64::from(m.columns))
        .fold(0, u64::saturating_add)
}

fn steps(step: &Unrolled, frames: u64) -> u64 {
    let inferences = frames.div_ceil(step.frames() as u64);
    inferences.saturating_mul(step.phases)
}

fn log_of(constraints: usize) -> u32 {
    constraints.next_power_of_two().trailing_zeros()
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
    program: &'a Program,
    frames: u64,
    weights: u64,
    candidates: Vec<Candidate>,
    /// Schedules that were entered, with the constraints of their steps.
    known: Vec<(Schedule, usize)>,
}

impl<'a> Search<'a> {
    fn new(planner: &'a Planner, program: &'a Program, frames: u64, weights: u64) -> Self {
        Self {
            planner,
            program,
            frames,
            weights,
            candidates: Vec::new(),
            known: Vec::new(),
        }
    }

    /// Enters the trace.
    fn trace(&mut self) {
        let planner = self.planner;
        if !planner.allows(ProofKind::Trace) {
            return;
        }
        let (size, cost, bytes) = planner.trace(self.program, self.frames, self.weights);
        let (over, most) = match planner.max_peak_mib {
            Some(most) => (cost.peak_mib > most, most),
            None => (
                bytes > DEFAULT_MEMORY_LIMIT,
                DEFAULT_MEMORY_LIMIT as f64 / MIB,
            ),
        };
        self.candidates.push(Candidate {
            schedule: of_frames(1),
            kind: ProofKind::Trace,
            steps: 1,
            step_constraints: 0,
            size: size.cells.max(1).next_power_of_two().trailing_zeros(),
            cost,
            refused: over.then(|| format!("more than {most:.0} MiB")),
        });
    }

    /// Enters a schedule for recursion; gives the constraints of its step.
    fn consider(&mut self, schedule: Schedule) -> Result<usize, ProgramError> {
        if let Some((_, step)) = self.known.iter().find(|(known, _)| *known == schedule) {
            return Ok(*step);
        }
        let unrolled = Unrolled::new(self.program, schedule)?;
        let step = step_constraints(&unrolled);
        self.known.push((schedule, step));
        let steps = steps(&unrolled, self.frames);
        let planner = self.planner;
        let most = planner.max_peak_mib.unwrap_or(USUAL_PEAK_MIB);
        let cost = planner.estimate(step, steps, self.weights);
        let refused = (cost.peak_mib > most).then(|| format!("more than {most:.0} MiB"));
        self.candidates.push(Candidate {
            schedule,
            kind: ProofKind::Recursive,
            steps,
            step_constraints: step,
            size: log_of(step + NOVA_CONSTRAINTS),
            cost,
            refused,
        });
        Ok(step)
    }

    /// The least that was found so far of the schedules for recursion.
    fn least(&self) -> f64 {
        let recursive = self.candidates.iter();
        let allowed = recursive.filter(|c| c.kind == ProofKind::Recursive && c.refused.is_none());
        allowed
            .map(|c| c.cost.total())
            .fold(f64::INFINITY, f64::min)
    }

    /// Numbers of layers to a step: for each size of the step those that promise most of what fits.
    fn layers(&mut self, network: &Layers) {
        let layers = network.layers.len() as u32;
        if layers < 2 {
            return;
        }
        let rows: f64 = network.layers.iter().map(|l| f64::from(l.rows)).sum();
        let per_layer = PER_NEURON * rows / f64::from(layers);
        let fixed = FIXED + PER_INPUT * f64::from(network.value_len(0));
        let mut below = 0;
        for log in SIZES {
            // The end alone is dearer than all of what is known.
            if self.planner.costs.compress(1 << log) > self.least() {
                break;
            }
            let room = (1usize << log).saturating_sub(NOVA_CONSTRAINTS) as f64;
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
                    let (steps, entries) = Placement::of(network, slots as usize)?.size();
                    let step = fixed + PER_NEURON * entries as f64;
                    let steps = steps.saturating_mul(self.frames);
                    let cost = self.planner.estimate(step as usize, steps, self.weights);
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
                let Ok(step) = self.consider(Schedule::LayersPerStep(slots)) else {
                    continue;
                };
                if step as f64 <= room {
                    found += 1;
                    below = below.max(slots);
                }
            }
            if below == layers - 1 {
                break;
            }
        }
    }

    /// Numbers of frames to a step: for each size of the step as many as fit.
    fn frames(&mut self) -> Result<(), ProgramError> {
        let one = match self.consider(of_frames(1)) {
            Ok(step) => step,
            // There may be a trace, or layers spread over steps.
            Err(_) if !self.candidates.is_empty() => return Ok(()),
            Err(e) => return Err(e),
        };
        let most = u32::try_from(self.frames).unwrap_or(u32::MAX);
        if most == 1 {
            return Ok(());
        }
        let Ok(two) = self.consider(of_frames(2)) else {
            return Ok(());
        };
        let per_frame = two.saturating_sub(one).max(1);
        for log in SIZES {
            let room = (1usize << log).saturating_sub(NOVA_CONSTRAINTS);
            let smallest = self.planner.estimate(room, 1, self.weights);
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
                let Ok(tried) = self.consider(of_frames(f)) else {
                    continue;
                };
                if tried <= room {
                    // As many steps are cheaper with fewer frames in each.
                    let balanced = most.div_ceil(most.div_ceil(f));
                    if balanced > 2 && balanced < f {
                        let _ = self.consider(of_frames(balanced));
                    }
                    break;
                }
            }
            if guess == most {
                break;
            }
        }
        Ok(())
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

impl Quantized {
    /// The cheapest schedule for one proof of a run of about this many frames.
    ///
    /// # Errors
    /// If the network is too large for any schedule that the planner allows.
    pub fn plan(&self, planner: &Planner, frames: u64) -> Result<Plan, Error> {
        let weights = self.weight_count() as u64;
        Ok(planner.plan_with(self.program(), frames, weights)?)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;
    use crate::tests::cells::{CellKind, CellShape, ElmanActivation, SequenceShape};
    use crate::{
        Params,
        program::{Activation, Emission, LayerShape, NetworkShape},
    };

    fn constraints(program: &Program, schedule: Schedule) -> usize {
        step_constraints(&Unrolled::new(program, schedule).unwrap())
    }

    /// For steps that are folded.
    fn recursive() -> Planner {
        Planner::default().constant_size(true)
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
            let program = network(widths).program().unwrap();
            let params = Params::setup(&program).unwrap();
            let report = params.constraints().unwrap();
            assert_eq!(report.primary - report.step(), NOVA_CONSTRAINTS);
            let ((primary, _), (secondary, _)) = params.0.recursive_sizes().unwrap();
            assert_eq!((report.primary, report.secondary), (primary, secondary));
            assert_eq!(params.constraint_counts().unwrap(), (primary, secondary));
        }
    }

    #[test]
    fn batches_share_steps() {
        let small = network(&[20, 32, 16, 1]);
        let schedule = |frames| {
            recursive()
                .plan(&small.program().unwrap(), frames)
                .unwrap()
                .chosen
                .schedule
        };
        assert_eq!(schedule(1), Schedule::WholeNetwork);
        let Schedule::FramesPerStep(frames) = schedule(100) else {
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
        let program = shape.program().unwrap();
        let frames_per_step = |frames| {
            let plan = recursive().plan(&program, frames).unwrap();
            plan.chosen.schedule.frames_per_step()
        };
        assert_eq!(frames_per_step(1), 1);
        // Steps do not matter where there is a trace.
        let plan = Planner::default().plan(&program, 100).unwrap();
        assert_eq!(plan.chosen.schedule, Schedule::WholeNetwork);
        let [short, long, endless] = [32, 128, 100_000].map(frames_per_step);
        assert!(
            1 < short && short <= long && long <= endless && short < endless,
            "{short} {long} {endless}"
        );
        let step = constraints(&program, Schedule::FramesPerStep(endless));
        assert!(step + NOVA_CONSTRAINTS <= 1 << 17);
    }

    #[test]
    fn a_limit_on_memory_makes_steps_smaller() {
        let deep = network(&[128; 65]).program().unwrap();
        for planner in [
            recursive(),
            Planner::default().kind(Some(ProofKind::Recursive)),
        ] {
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
    fn a_trace_is_chosen_where_there_is_room_for_it() {
        for widths in [&[20, 32, 16, 1][..], &[128; 17], &[128; 501]] {
            let program = network(widths).program().unwrap();
            let plan = Planner::default().plan(&program, 1).unwrap();
            let chosen = &plan.chosen;
            assert_eq!(
                (chosen.kind, chosen.schedule, chosen.steps),
                (ProofKind::Trace, Schedule::WholeNetwork, 1)
            );
            // It is compared with recursion.
            assert!(plan.rejected.iter().any(|c| c.kind == ProofKind::Recursive));
            let text = plan.explain();
            assert!(
                text.contains("committed integers") && text.contains("recursive"),
                "{text}"
            );
            // What the planner chooses is what a session does by itself.
            let params = Params::setup(&program).unwrap();
            assert_eq!(params.expected_kind(), ProofKind::Trace);
            assert_eq!(
                Planner::default().cost(params.program(), 1).unwrap(),
                chosen.cost
            );
        }
        // More than any session allows, unasked.
        let small = network(&[20, 32, 16, 1]).program().unwrap();
        let long = Planner::default().plan(&small, 100_000_000).unwrap();
        assert_eq!(long.chosen.kind, ProofKind::Recursive);
        let refused = |c: &Candidate| c.kind == ProofKind::Trace && c.refused.is_some();
        assert!(long.rejected.iter().any(refused));
        let cost = Planner::default().cost(&small, 100_000_000).unwrap();
        assert!(cost.trace_s == 0.0 && cost.fold_s > 0.0);
    }

    #[test]
    fn a_planner_for_one_kind_chooses_no_other() {
        for only in [ProofKind::Trace, ProofKind::Recursive] {
            let planner = Planner::default().kind(Some(only));
            for shape in [network(&[20, 32, 16, 1]), network(&[128; 33])] {
                let plan = planner.plan(&shape.program().unwrap(), 2).unwrap();
                assert_eq!(plan.chosen.kind, only);
                assert!(plan.rejected.iter().all(|c| c.kind == only));
            }
        }
        // A trace has no constant size.
        let trace = Planner::default().kind(Some(ProofKind::Trace));
        let small = network(&[3, 3, 2]).program().unwrap();
        assert!(trace.clone().constant_size(true).plan(&small, 1).is_err());
        assert!(trace.constant_size(true).cost(&small, 1).is_err());
        // Nor recursion a step of any size: layers are spread over several.
        let deep = network(&[128; 501]).program().unwrap();
        assert!(recursive().cost(&deep, 1).unwrap().fold_s > 0.0);
        assert!(Planner::default().cost(&deep, 1).unwrap().fold_s == 0.0);
    }

    #[test]
    fn shallow_networks_take_one_step_and_deep_ones_several() {
        let schedule = |widths: &[u32]| {
            let plan = recursive()
                .plan(&network(widths).program().unwrap(), 1)
                .unwrap();
            plan.chosen.schedule
        };
        assert_eq!(schedule(&[784, 128, 10]), Schedule::WholeNetwork);
        let Schedule::LayersPerStep(k) = schedule(&[128; 65]) else {
            panic!("a deep network in one step");
        };
        assert!((5..=11).contains(&k), "{k}");
    }
}
