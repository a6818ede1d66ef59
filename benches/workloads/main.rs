//! Whole cases, by name: `cargo bench --bench workloads -- NAME [--json] [--layers-per-step K]`.
//!
//! Names: `mnist-mlp`; `deep-L` (L layers of 128×128 with bias and ReLU, random He weights of a
//! fixed seed); `mlp-AxBxC…` (any widths, ReLU between layers).
//!
//! Seconds are CPU seconds of the process, user and system, all threads. Peak memory is the
//! operating system's high-water mark of the resident set.
#![expect(clippy::print_stdout, reason = "prints its result")]
#![expect(clippy::print_stderr, reason = "prints usage")]

mod clock;

use std::{fmt::Write as _, process::ExitCode};

use clock::CpuBySpan;
use cpu_time::ProcessTime;
use layerfold::{
    Model, Params, Precision, Proof, Prover, Tensors, Verifier, Visibility, program::Schedule,
};
use ndarray::{Array1, Array2};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use serde::Serialize;

type Failure = Box<dyn std::error::Error>;

struct Case {
    model: Model,
    calibration: Array2<f32>,
    input: Array1<f32>,
}

#[derive(Serialize)]
struct Report {
    workload: String,
    schedule: String,
    weights: usize,
    steps: u64,
    step_constraints: usize,
    primary_constraints: usize,
    secondary_constraints: usize,
    constraints_by_part: Vec<(String, usize)>,
    setup_cpu_s: f64,
    commit_cpu_s: f64,
    inference_cpu_s: f64,
    sumcheck_cpu_s: f64,
    fold_cpu_s: f64,
    compress_cpu_s: f64,
    opening_cpu_s: f64,
    prove_cpu_s: f64,
    prove_wall_s: f64,
    verify_cpu_s: f64,
    proof_bytes: usize,
    commitment_bytes: usize,
    key_bytes: usize,
    peak_mib_folding: f64,
    peak_mib: f64,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let json = arguments.iter().any(|a| a == "--json");
    let layers = arguments
        .iter()
        .position(|a| a == "--layers-per-step")
        .and_then(|at| arguments.get(at + 1))
        .and_then(|k| k.parse().ok());
    let Some(name) = arguments.iter().find(|a| !a.starts_with("--")) else {
        eprintln!(
            "usage: workloads mnist-mlp | deep-L | mlp-AxBxC… [--json] [--layers-per-step K]"
        );
        // `cargo bench` without a name runs every bench target.
        return ExitCode::SUCCESS;
    };
    match run(name, layers) {
        Ok(report) if json => match serde_json::to_string_pretty(&report) {
            Ok(text) => {
                println!("{text}");
                ExitCode::SUCCESS
            }
            Err(_) => ExitCode::FAILURE,
        },
        Ok(report) => {
            print!("{}", table(&report));
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("{name}: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Random weights with He's standard deviation and small biases.
fn random_mlp(widths: &[usize], relu_last: bool) -> Result<Case, Failure> {
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let mut normal = move || {
        // Box–Muller
        let (u, v): (f64, f64) = (rng.r#gen::<f64>().max(1e-12), rng.r#gen());
        ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
    };
    let mut builder = Model::builder([widths[0]]);
    for (l, pair) in widths.windows(2).enumerate() {
        let (inputs, outputs) = (pair[0], pair[1]);
        let deviation = (2.0 / inputs as f32).sqrt();
        let weight = Array2::from_shape_fn((outputs, inputs), |_| deviation * normal());
        let bias = Array1::from_shape_fn(outputs, |_| 0.05 * normal());
        builder = builder.dense(weight, bias);
        if relu_last || l + 2 < widths.len() {
            builder = builder.relu();
        }
    }
    let calibration = Array2::from_shape_fn((20, widths[0]), |_| normal());
    Ok(Case {
        model: builder.build()?,
        input: calibration.row(0).to_owned(),
        calibration,
    })
}

fn mnist() -> Result<Case, Failure> {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data");
    let tensors = Tensors::open(format!("{data}/mnist-784-128-10.safetensors"))?;
    let model = Model::builder([784])
        .dense_from(&tensors, "fc1")?
        .relu()
        .dense_from(&tensors, "fc2")?
        .build()?;
    let images = |name: &str| -> Result<Array2<f32>, Failure> {
        let bytes = std::fs::read(format!("{data}/{name}"))?;
        let pixels: Vec<f32> = bytes[16..].iter().map(|p| f32::from(*p) / 255.0).collect();
        Ok(Array2::from_shape_vec((pixels.len() / 784, 784), pixels)?)
    };
    Ok(Case {
        model,
        calibration: images("mnist-calibration-images-idx3-ubyte")?,
        input: images("mnist-sample-images-idx3-ubyte")?.row(0).to_owned(),
    })
}

fn case(name: &str) -> Result<Case, Failure> {
    if name == "mnist-mlp" {
        return mnist();
    }
    if let Some(layers) = name.strip_prefix("deep-") {
        let layers: usize = layers.parse()?;
        return random_mlp(&vec![128; layers + 1], true);
    }
    if let Some(widths) = name.strip_prefix("mlp-") {
        let widths: Vec<usize> = widths
            .split('x')
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        if widths.len() < 2 {
            return Err("a network needs two widths".into());
        }
        return random_mlp(&widths, false);
    }
    Err("no such workload".into())
}

fn run(name: &str, layers_per_step: Option<u32>) -> Result<Report, Failure> {
    let clock = CpuBySpan::default();
    tracing::subscriber::set_global_default(clock.clone())?;
    let case = case(name)?;
    let quantized = case
        .model
        .quantize(&case.calibration, Precision::default())?;
    let schedule = match layers_per_step {
        Some(k) => Schedule::LayersPerStep(k),
        None => Schedule::plan(quantized.shape())?,
    };
    let program = quantized.program_with(schedule)?;

    let started = ProcessTime::now();
    let params = Params::setup(&program)?;
    let setup_cpu_s = started.elapsed().as_secs_f64();

    let started = ProcessTime::now();
    let prover = Prover::new(&params, &quantized)?;
    let commit_cpu_s = started.elapsed().as_secs_f64();

    clock.reset();
    let started = ProcessTime::now();
    let wall = std::time::Instant::now();
    let mut session = prover.session(Visibility::private_inputs().public_outputs())?;
    let output = session.push(case.input.view())?;
    let peak_mib_folding = peak_mib();
    let steps = session.steps();
    let proof = session.finish()?;
    let prove_cpu_s = started.elapsed().as_secs_f64();
    let prove_wall_s = wall.elapsed().as_secs_f64();
    assert_eq!(output, quantized.infer(case.input.view())?);

    let bytes = proof.to_bytes();
    let commitment = prover.model_commitment();
    let verifier = Verifier::new(&params, commitment.clone());
    let started = ProcessTime::now();
    verifier.verify(&Proof::from_bytes(&bytes)?)?;
    let verify_cpu_s = started.elapsed().as_secs_f64();

    let constraints = params.constraints();
    Ok(Report {
        workload: name.to_owned(),
        schedule: format!("{schedule:?}"),
        weights: quantized.bank().weight_count(),
        steps,
        step_constraints: constraints.step(),
        primary_constraints: constraints.primary,
        secondary_constraints: constraints.secondary,
        constraints_by_part: constraints.parts,
        setup_cpu_s,
        commit_cpu_s,
        inference_cpu_s: clock.seconds("inference"),
        sumcheck_cpu_s: clock.seconds("sumcheck"),
        fold_cpu_s: clock.seconds("fold_step"),
        compress_cpu_s: clock.seconds("compress"),
        opening_cpu_s: clock.seconds("opening"),
        prove_cpu_s,
        prove_wall_s,
        verify_cpu_s,
        proof_bytes: bytes.len(),
        commitment_bytes: commitment.to_bytes().len(),
        key_bytes: params.key_bytes(),
        peak_mib_folding,
        peak_mib: peak_mib(),
    })
}

/// High-water mark of the resident set, in MiB; 0 where the system does not tell.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM:"));
    let kib = line.and_then(|l| l.split_whitespace().nth(1));
    kib.and_then(|k| k.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn table(r: &Report) -> String {
    let mut out = String::new();
    let mut row = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<24}{value:>16}");
    };
    row("workload", r.workload.clone());
    row("schedule", r.schedule.clone());
    row("weights", r.weights.to_string());
    row("steps", r.steps.to_string());
    row("step constraints", r.step_constraints.to_string());
    row("primary constraints", r.primary_constraints.to_string());
    for (name, seconds) in [
        ("setup", r.setup_cpu_s),
        ("commit", r.commit_cpu_s),
        ("inference", r.inference_cpu_s),
        ("sumcheck", r.sumcheck_cpu_s),
        ("fold", r.fold_cpu_s),
        ("compress", r.compress_cpu_s),
        ("opening", r.opening_cpu_s),
        ("prove", r.prove_cpu_s),
        ("verify", r.verify_cpu_s),
    ] {
        row(&format!("{name} CPU s"), format!("{seconds:.3}"));
    }
    row("prove wall s", format!("{:.3}", r.prove_wall_s));
    row("proof bytes", r.proof_bytes.to_string());
    row("commitment bytes", r.commitment_bytes.to_string());
    row("key bytes", r.key_bytes.to_string());
    row("peak MiB folding", format!("{:.0}", r.peak_mib_folding));
    row("peak MiB", format!("{:.0}", r.peak_mib));
    out
}
