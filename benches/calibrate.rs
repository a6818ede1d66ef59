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
    Params, ProofKind, Prover, Visibility,
    plan::{CostModel, FlatCosts},
    program::{Activation, LayerShape, NetworkShape, Schedule},
    weights::{AffineMap, WeightBank},
};

type Failure = Box<dyn std::error::Error>;

/// Layers of 128×128, so many to a step, and for so many steps.
struct Run {
    kind: ProofKind,
    layers_per_step: u32,
    steps: u32,
    width: u32,
}

struct Measured {
    constraints: usize,
    /// Of all steps; in the recursive kind the first is not folded.
    fold_s: f64,
    compress_s: f64,
    peak_mib: f64,
}

fn measure(run: &Run) -> Result<Measured, Failure> {
    let count = run.layers_per_step * run.steps;
    let layer = LayerShape {
        inputs: run.width,
        outputs: run.width,
        activation: Activation::Relu,
    };
    let network = NetworkShape {
        reads: Vec::new(),
        layers: vec![layer; count as usize],
        tables: vec![],
        width: 8,
        bits: 20,
        shift: 9,
    };
    let params = Params::setup(&network.program(Schedule::LayersPerStep(run.layers_per_step))?)?;
    let entries = (run.width * run.width) as usize;
    let weights = (0..entries)
        .map(|i| (i % 13) as i16 - 6)
        .collect::<Vec<_>>();
    let map = || {
        AffineMap::new(
            run.width as usize,
            weights.clone(),
            vec![17; run.width as usize],
        )
    };
    let bank = WeightBank::new((0..count).map(|_| map()).collect::<Result<_, _>>()?)?;
    params.prepare_prover_for(run.kind)?;
    let prover = Prover::from_bank(&params, bank)?;
    let mut session = prover.session(Visibility::private_inputs())?;
    session.set_kind(Some(run.kind))?;
    let frame = vec![3; run.width as usize];
    let started = ProcessTime::now();
    session.push_integers(&frame)?;
    session.fold_pending()?;
    let fold_s = started.elapsed().as_secs_f64();
    let before = session.times();
    let started = ProcessTime::now();
    session.snapshot()?;
    let proof_s = started.elapsed().as_secs_f64();
    let constraints = params.constraints();
    let peak_mib = peak_mib();
    if run.kind == ProofKind::Recursive {
        return Ok(Measured {
            constraints: constraints.primary,
            fold_s,
            compress_s: proof_s,
            peak_mib,
        });
    }
    // The steps are folded when the proof is made: the shares of the time that passed.
    let times = session.times();
    let fold = (times.fold - before.fold).as_secs_f64();
    let rest = (times.compress - before.compress + times.opening - before.opening).as_secs_f64();
    let fold_s = proof_s * fold / (fold + rest).max(f64::MIN_POSITIVE);
    Ok(Measured {
        constraints: constraints.step(),
        fold_s,
        compress_s: proof_s - fold_s,
        peak_mib,
    })
}

/// Costs of flat proofs; the memory is not measured.
fn calibrate_flat() -> Result<FlatCosts, Failure> {
    let run = |layers_per_step, steps| {
        measure(&Run {
            kind: ProofKind::Flat,
            layers_per_step,
            steps,
            width: 128,
        })
    };
    // Two sizes of step, each a few times and many times.
    let small = [run(2, 2)?, run(2, 18)?];
    let large = [run(9, 2)?, run(9, 10)?];
    let each = |[few, many]: &[Measured; 2], more: f64| (many.fold_s - few.fold_s) / more;
    let (step_small, step_large) = (each(&small, 16.0), each(&large, 8.0));
    let constraints = |m: &Measured| m.constraints as f64;
    let (n, m) = (constraints(&small[0]), constraints(&large[0]));
    let per_constraint = (step_large - step_small) / (m - n);
    let power = |m: &Measured| m.constraints.next_power_of_two() as f64;
    let snark_per_constraint =
        (large[0].compress_s - small[0].compress_s) / (power(&large[0]) - power(&small[0]));
    let snark = small[0].compress_s - snark_per_constraint * power(&small[0]);
    Ok(FlatCosts {
        step: (step_small - per_constraint * n).max(0.0),
        per_constraint,
        per_random_constraint: ((large[0].fold_s - 2.0 * step_large) / m).max(0.0),
        snark: snark.max(0.0),
        snark_per_constraint,
        ..FlatCosts::default()
    })
}

fn calibrate() -> Result<CostModel, Failure> {
    let run = |layers_per_step, steps, width| {
        measure(&Run {
            kind: ProofKind::Recursive,
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
    let flat = calibrate_flat()?;
    Ok(CostModel {
        fold,
        per_constraint,
        per_weight: (more / more_weights).max(0.0),
        compress: compress.map(|m| m.compress_s).collect(),
        flat,
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
