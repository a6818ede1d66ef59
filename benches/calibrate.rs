//! Measures the costs that `layerfold::plan::Planner` weighs, on this machine:
//! `cargo bench --bench calibrate [-- FILE]` prints them as JSON, and writes them to FILE.
//!
//! `workloads --costs FILE` and `Planner::with_costs` use them. Seconds are CPU seconds of the
//! process, all threads; run it on a machine that does nothing else. It takes about three minutes.
#![expect(clippy::print_stdout, reason = "prints its result")]
#![expect(clippy::print_stderr, reason = "prints errors")]

use std::process::ExitCode;

use cpu_time::ProcessTime;
use layerfold::{
    Params, ProofKind, Prover, Schedule, Visibility,
    plan::{CostModel, TraceCosts},
    program::{Activation, LayerShape, NetworkShape},
    weights::{AffineMap, WeightBank},
};

type Failure = Box<dyn std::error::Error>;

/// Square layers, so many to a step, and for so many steps.
struct Run {
    layers_per_step: u32,
    steps: u32,
    width: u32,
}

struct Measured {
    constraints: usize,
    /// Of all steps; the first is not folded.
    fold_s: f64,
    compress_s: f64,
    peak_mib: f64,
}

/// Square layers of ReLU, all alike.
fn network(width: u32, count: u32) -> NetworkShape {
    let layer = LayerShape {
        inputs: width,
        outputs: width,
        activation: Activation::Relu,
    };
    NetworkShape {
        reads: Vec::new(),
        layers: vec![layer; count as usize],
        tables: vec![],
        width: 8,
        bits: 20,
        shift: 9,
    }
}

fn prover(network: &NetworkShape, schedule: Schedule) -> Result<Prover, Failure> {
    let params = Params::setup_with(&network.program()?, schedule)?;
    let maps = network.layers.iter().map(|layer| {
        let entries = (layer.inputs * layer.outputs) as usize;
        let weights = (0..entries).map(|i| (i % 13) as i16 - 6).collect();
        AffineMap::new(
            layer.inputs as usize,
            weights,
            vec![17; layer.outputs as usize],
        )
    });
    let bank = WeightBank::new(maps.collect::<Result<_, _>>()?)?;
    Ok(Prover::from_bank(&params, bank)?)
}

fn measure(run: &Run) -> Result<Measured, Failure> {
    let network = network(run.width, run.layers_per_step * run.steps);
    let prover = prover(&network, Schedule::LayersPerStep(run.layers_per_step))?;
    let mut session = prover.session(Visibility::private_inputs())?;
    let frame = vec![3; run.width as usize];
    let started = ProcessTime::now();
    session.push_integers(&frame)?;
    session.fold_pending()?;
    let fold_s = started.elapsed().as_secs_f64();
    let started = ProcessTime::now();
    session.snapshot()?;
    let compress_s = started.elapsed().as_secs_f64();
    Ok(Measured {
        constraints: prover.params().constraint_counts()?.0,
        fold_s,
        compress_s,
        peak_mib: peak_mib(),
    })
}

/// CPU seconds of the trace of an inference.
fn trace(width: u32, count: u32) -> Result<f64, Failure> {
    let prover = prover(&network(width, count), Schedule::WholeNetwork)?;
    let mut session = prover.session(Visibility::private_inputs())?;
    session.set_kind(Some(ProofKind::Trace))?;
    session.push_integers(&vec![3; width as usize])?;
    // What is made once is made.
    session.snapshot()?;
    let started = ProcessTime::now();
    session.snapshot()?;
    Ok(started.elapsed().as_secs_f64())
}

/// Costs of traces. Lookups and committed integers are not told apart: each is taken for as dear.
fn calibrate_trace() -> Result<TraceCosts, Failure> {
    /// Of a neuron with ReLU, as the planner counts them: sums, both parts of the requantised ones,
    /// activations.
    const LOOKUPS_AND_CELLS: f64 = 3.0 + 4.0;
    // Many neurons of few weights, few neurons of many weights, and next to nothing.
    let (least, deep, wide) = (trace(8, 1)?, trace(32, 1000)?, trace(1000, 8)?);
    let weights = |width: f64, count: f64| width * width * count;
    let parts = |width: f64, count: f64| LOOKUPS_AND_CELLS * width * count;
    // deep = fixed + a·parts + b·weights, and so on.
    let (p, q) = (parts(32.0, 1000.0), parts(1000.0, 8.0));
    let (v, w) = (weights(32.0, 1000.0), weights(1000.0, 8.0));
    let determinant = p * w - q * v;
    let (deep, wide) = (deep - least, wide - least);
    let each = ((deep * w - wide * v) / determinant).max(0.0);
    Ok(TraceCosts {
        fixed: least,
        per_lookup: each,
        per_cell: each,
        per_weight: ((p * wide - q * deep) / determinant).max(0.0),
    })
}

fn calibrate() -> Result<CostModel, Failure> {
    let run = |layers_per_step, steps, width| {
        measure(&Run {
            layers_per_step,
            steps,
            width,
        })
    };
    // In order of size, as the peak is that of the process so far. Each fills most of its power of
    // two: 2^14 by a network of one narrow layer to a step, the others by layers of 128.
    let smallest = run(1, 9, 8)?;
    let sizes = [run(2, 9, 128)?, run(9, 9, 128)?, run(22, 9, 128)?];
    let (small, large) = (&sizes[0], &sizes[2]);
    let step = |m: &Measured| m.fold_s / 8.5;
    let per_constraint =
        (step(large) - step(small)) / (large.constraints - small.constraints) as f64;
    let empty = NOVA_CONSTRAINTS as f64;
    let fold = step(small) - per_constraint * (small.constraints as f64 - empty);
    // The same shape of step with more weights in it: 1000 columns instead of 128.
    let (narrow, wide) = (run(1, 9, 128)?, run(1, 9, 1000)?);
    let more_constraints = (wide.constraints - narrow.constraints) as f64;
    let more_weights = (1000.0 * 1000.0 - 128.0 * 128.0) * 9.0 * 9.0;
    let more = wide.fold_s - narrow.fold_s - 8.5 * per_constraint * more_constraints;
    let mib = |m: &Measured| m.peak_mib;
    let power = |m: &Measured| m.constraints.next_power_of_two() as f64;
    let mib_per_constraint = (mib(large) - mib(small)) / (power(large) - power(small));
    let compress = std::iter::once(&smallest).chain(&sizes);
    // Last, as the memory of the recursive kind is measured above.
    let trace = calibrate_trace()?;
    Ok(CostModel {
        fold,
        per_constraint,
        per_weight: (more / more_weights).max(0.0),
        compress: compress.map(|m| m.compress_s).collect(),
        trace,
        base_mib: (mib(small) - mib_per_constraint * power(small)).max(0.0),
        mib_per_constraint,
    })
}

/// Nova's own constraints in the primary circuit.
const NOVA_CONSTRAINTS: usize = 9_819;

/// High-water mark of the resident set, in MiB; 0 where the system does not tell.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM:"));
    let kib = line.and_then(|l| l.split_whitespace().nth(1));
    kib.and_then(|k| k.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn main() -> ExitCode {
    let run = || -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(&calibrate()?)?;
        println!("{text}");
        if let Some(file) = std::env::args().skip(1).find(|a| !a.starts_with("--")) {
            std::fs::write(file, text)?;
        }
        Ok(())
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}
