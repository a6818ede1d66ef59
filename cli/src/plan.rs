//! What a plan means for the user.

use std::fmt::{self, Write};

use layerfold::{
    Error, Params, ProofKind,
    plan::{Candidate, Plan, Planner},
    program::Program,
};
use serde_json::{Value, json};

use crate::{
    args::Wishes,
    console::{Failure, Kind},
};

/// The library's planner, with what is asked for.
fn planner(wishes: &Wishes) -> Planner {
    let planner = Planner::default().constant_size(wishes.constant_size);
    match wishes.max_memory {
        Some(mib) => planner.max_peak_mib(mib),
        None => planner,
    }
}

/// The schedules for a proof of `rows` rows.
pub(crate) fn planned(program: &Program, rows: u64, wishes: &Wishes) -> Result<Plan, Failure> {
    let plan = planner(wishes).plan(program, rows);
    plan.map_err(|e| Failure::new(Kind::Unsupported, format!("no schedule: {e}")))
}

/// The keys of what was chosen.
pub(crate) fn keys(program: &Program, chosen: &Candidate) -> Result<Params, Error> {
    match chosen.kind {
        // A session may go over to recursion all the same.
        ProofKind::Trace => Params::setup(program),
        _ => Params::setup_with(program, chosen.schedule),
    }
}

/// Largest primary circuit, `2^SIZE` constraints, whose keys are made to count its parts.
const MOST_COUNTED: u32 = 18;

/// What a proof under the chosen schedule of a plan is expected to cost.
pub(crate) struct Expected<'a> {
    plan: &'a Plan,
    rows: u64,
    /// Constraints of a step by part, those of the recursion left out; not of the largest circuits, and
    /// a trace has none.
    parts: Option<Vec<(String, usize)>>,
}

impl<'a> Expected<'a> {
    /// The keys of a step are made to count its parts.
    pub(crate) fn new(plan: &'a Plan, rows: u64, program: &Program) -> Result<Self, Failure> {
        let parts = match plan.chosen.kind {
            ProofKind::Recursive if plan.chosen.size <= MOST_COUNTED => {
                Some(keys(program, &plan.chosen)?.constraints()?.parts)
            }
            _ => None,
        };
        Ok(Self { plan, rows, parts })
    }

    /// The schedules that were weighed.
    pub(crate) fn write_plan(&self, text: &mut String) -> fmt::Result {
        let rows = match self.rows {
            1 => "one row".to_owned(),
            n => format!("{n} rows"),
        };
        writeln!(text, "plan for one proof of {rows}\n{}\n", self.plan)
    }

    /// The size of what is proved, and the cost of a proof.
    pub(crate) fn write_cost(&self, text: &mut String) -> fmt::Result {
        let chosen = &self.plan.chosen;
        match chosen.kind {
            ProofKind::Trace => writeln!(
                text,
                "trace     up to 2^{} committed integers, {}",
                chosen.size, chosen.schedule
            )?,
            kind => writeln!(
                text,
                "step      {} constraints, {}; {kind} proof",
                chosen.step_constraints, chosen.schedule
            )?,
        }
        for (name, count) in self.parts.iter().flatten() {
            writeln!(text, "          {count:>9}  {name}")?;
        }
        let steps = if chosen.steps == 1 { "step" } else { "steps" };
        writeln!(
            text,
            "\nexpected  {:.2} CPU s in {} {steps}, {:.0} MiB; proof of about {:.1} kB without public vectors, keys \
             of about {:.1} MiB",
            chosen.cost.total(),
            chosen.steps,
            chosen.cost.peak_mib,
            self.plan.chosen.proof_bytes() as f64 / 1e3,
            self.plan.chosen.key_bytes() as f64 / f64::from(1 << 20)
        )
    }

    pub(crate) fn to_json(&self) -> Value {
        let chosen = &self.plan.chosen;
        json!({
            "rows": self.rows,
            "schedule": chosen.schedule,
            "kind": chosen.kind,
            "steps": chosen.steps,
            "constraints": chosen.step_constraints,
            "constraints_by_part": self.parts,
            "cpu_s": chosen.cost.total(),
            "peak_mib": chosen.cost.peak_mib,
            "proof_bytes": self.plan.chosen.proof_bytes(),
            "key_bytes": self.plan.chosen.key_bytes(),
        })
    }
}
