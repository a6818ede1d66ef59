//! Whole cases, by name:
//! `cargo bench --bench workloads -- NAME [--json] [--layers-per-step K] [--frames-per-step F]
//! [--kind trace|recursive|auto] [--plan] [--costs FILE] [--overlap]`. With `--plan` it says what the planner weighed and proves nothing; FILE
//! is what `--bench calibrate` wrote.
//!
//! - `mnist-mlp`, and `batch-N`: N inferences of it in one proof;
//! - `audit-N`: how many of N labelled images it is right on, in one proof;
//! - `credit`: whether the score of the credit network, 20-32-16-1 with a sigmoid, is at least a
//!   threshold that is a parameter of the statement;
//! - `deep-L`: L layers of 128×128 with bias and ReLU, random He weights of a fixed seed;
//! - `depth-N`: N layers, alternately of 200 and 100 neurons, from 784 inputs to 1000 outputs (from
//!   32 to 100 for N up to 40), ReLU between them;
//! - `dense-4m`: four layers of 1000×1000, ReLU between them;
//! - `mlp-AxBxC…`: any widths, ReLU between layers;
//! - `cnn-mnist`: 5×5 convolutions of stride 2 to 8 and 16 channels, dense to 10; `lenet`;
//!   `zator-N`: N + 1 padded 3×3 convolutions of two channels on 28×28; `resmlp-N`: N residual blocks
//!   of width 128;
//! - `rnn-T`, `rnntanh-T`, `gru-T`, `lstm-T`: T frames of 16 entries into a cell of 64, random
//!   uniform weights of a fixed seed, the last state being the output;
//! - `onnx FILE INPUT`, with `--features onnx`: the network of an ONNX file on all rows of INPUT (`.npy`,
//!   `.json`, `.csv`, or numbers with commas between them), in one proof. Ranges are taken from INPUT;
//!   a softmax at the end is left out.
//!
//! Seconds are CPU seconds of the process, user and system, all threads. A trace's are also told by the
//! parts of the argument; they are those of the second proof, as the first one of a process makes tables
//! of multiples of the generators. With `--overlap` steps are
//! folded beside the inference and the sumcheck of the next; what is spent while both run is
//! `overlapped`, as it cannot be told apart. Peak memory is the
//! operating system's high-water mark of the resident set.
#![expect(clippy::print_stdout, reason = "prints its result")]
#![expect(clippy::print_stderr, reason = "prints usage")]

mod clock;
#[cfg(feature = "onnx")]
#[path = "../../cli/src/data/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    unfulfilled_lint_expectations,
    reason = "the command line reads more kinds of files with it, and runs its tests"
)]
mod data;
mod nets;
#[cfg(feature = "onnx")]
mod onnx;

use std::{collections::BTreeMap, fmt::Write as _, process::ExitCode};

use clock::CpuBySpan;
use cpu_time::ProcessTime;
use layerfold::{
    ConstraintReport, Network, Params, Precision, Proof, ProofKind, Prover, Quantized, Schedule,
    Tensors, Verifier, Visibility,
    network::{Function, GruReset, RecurrentWeights, RnnActivation, Samples},
    plan::{CostModel, Planner},
    program::{Claim, Label, Operation, Predicate, Program, Register, Threshold},
};
use ndarray::{Array1, Array2};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use serde::Serialize;

type Failure = Box<dyn std::error::Error>;

/// Spans of the argument of a trace, in order.
const TRACE_PARTS: [&str; 10] = [
    "inference",
    "layout",
    "commit",
    "lookups",
    "functional",
    "products",
    "gates",
    "point",
    "end",
    "opening",
];
/// The span around them.
const TRACE: &str = "prove_trace";
/// What is in none of them.
const REST: &str = "rest";

/// A model with sample inputs, and what it is to be run on.
struct Case {
    quantized: Quantized,
    inputs: Array2<f32>,
    /// What is shown instead of the outputs.
    claim: Option<Claim>,
    /// What follows each input in a frame.
    more: Vec<Vec<i64>>,
    parameters: Vec<i64>,
}

impl Case {
    fn new<S: Samples + ?Sized>(
        model: &Network,
        calibration: &S,
        inputs: Array2<f32>,
    ) -> Result<Self, Failure> {
        Ok(Self {
            quantized: model.quantize(calibration, &Precision::default())?,
            inputs,
            claim: None,
            more: Vec::new(),
            parameters: Vec::new(),
        })
    }

    /// A network on the first of its samples.
    fn of_first(model: &Network, calibration: &Array2<f32>) -> Result<Self, Failure> {
        let first = calibration.select(ndarray::Axis(0), &[0]);
        Self::new(model, calibration, first)
    }
}

#[derive(Default)]
struct Options {
    json: bool,
    /// Say what the planner weighed, and prove nothing.
    plan: bool,
    planner: Planner,
    layers_per_step: Option<u32>,
    frames_per_step: Option<u32>,
    overlap: bool,
    /// `None` lets the library choose.
    kind: Option<ProofKind>,
}

#[derive(Serialize)]
struct Report {
    workload: String,
    schedule: String,
    kind: String,
    weights: usize,
    /// Results of ReLU and of tables, of all frames.
    activations: u64,
    frames: u64,
    steps: u64,
    /// 0 for a trace, as those that follow.
    step_constraints: usize,
    primary_constraints: usize,
    secondary_constraints: usize,
    constraints_by_part: Vec<(String, usize)>,
    setup_cpu_s: f64,
    commit_cpu_s: f64,
    inference_cpu_s: f64,
    /// What the first trace of the process took, tables of multiples included; 0 if the proof is
    /// recursive.
    first_trace_cpu_s: f64,
    /// All of a trace's proof, which runs the program once more, on whole columns.
    trace_cpu_s: f64,
    /// The same by part; nothing if the proof is recursive.
    trace_parts_cpu_s: BTreeMap<&'static str, f64>,
    sumcheck_cpu_s: f64,
    fold_cpu_s: f64,
    /// While a step was folded and the next one prepared.
    overlapped_cpu_s: f64,
    /// Inference, sumcheck and folding.
    cpu_s_per_frame: f64,
    /// The same over the first and the last tenth of the frames.
    cpu_s_per_frame_first: f64,
    cpu_s_per_frame_last: f64,
    compress_cpu_s: f64,
    opening_cpu_s: f64,
    prove_cpu_s: f64,
    prove_wall_s: f64,
    verify_cpu_s: f64,
    proof_bytes: usize,
    commitment_bytes: usize,
    checkpoint_bytes: usize,
    key_bytes: usize,
    /// After the first tenth of the frames, after the last one, and after the proof.
    peak_mib_tenth: f64,
    peak_mib_folding: f64,
    peak_mib: f64,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let number = |name: &str| {
        let at = arguments.iter().position(|a| a == name)?;
        arguments.get(at + 1)?.parse().ok()
    };
    let costs = arguments.iter().position(|a| a == "--costs");
    let planner = match costs.map(|at| costs_in(arguments.get(at + 1))) {
        None => Planner::default(),
        Some(Ok(costs)) => Planner::with_costs(costs),
        Some(Err(e)) => {
            eprintln!("--costs: {e}");
            return ExitCode::FAILURE;
        }
    };
    let kind = arguments.iter().position(|a| a == "--kind");
    let kind = match kind.map(|at| arguments.get(at + 1).map(String::as_str)) {
        None | Some(Some("auto")) => None,
        Some(Some("trace")) => Some(ProofKind::Trace),
        Some(Some("recursive")) => Some(ProofKind::Recursive),
        Some(_) => {
            eprintln!("--kind: trace, recursive or auto");
            return ExitCode::FAILURE;
        }
    };
    let options = Options {
        planner: planner.kind(kind),
        kind,
        plan: arguments.iter().any(|a| a == "--plan"),
        json: arguments.iter().any(|a| a == "--json"),
        layers_per_step: number("--layers-per-step"),
        frames_per_step: number("--frames-per-step"),
        overlap: arguments.iter().any(|a| a == "--overlap"),
    };
    let Some(at) = arguments.iter().position(|a| !a.starts_with("--")) else {
        eprintln!(
            "usage: workloads mnist-mlp | batch-N | audit-N | credit | deep-L | depth-N | dense-4m | mlp-AxBxC… | cnn-mnist | lenet | zator-N | resmlp-N | rnn-T | rnntanh-T | gru-T | lstm-T | onnx FILE INPUT\n       [--json] [--layers-per-step K] [--frames-per-step F] [--kind trace|recursive|auto] [--plan] [--costs FILE] [--overlap]"
        );
        // `cargo bench` without a name runs every bench target.
        return ExitCode::SUCCESS;
    };
    let (name, operands) = (&arguments[at], &arguments[at + 1..]);
    match run(name, operands, &options) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(report)) if options.json => match serde_json::to_string_pretty(&report) {
            Ok(text) => {
                println!("{text}");
                ExitCode::SUCCESS
            }
            Err(_) => ExitCode::FAILURE,
        },
        Ok(Some(report)) => {
            print!("{}", table(&report));
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("{name}: {e}");
            ExitCode::FAILURE
        }
    }
}

fn costs_in(file: Option<&String>) -> Result<CostModel, Failure> {
    let text = std::fs::read_to_string(file.ok_or("no file")?)?;
    Ok(serde_json::from_str(&text)?)
}

/// The schedule and the kind of proof that were asked for, or the planner's; `None` if only the plan
/// is wanted. With a schedule and no kind the session chooses.
fn planned(
    options: &Options,
    program: &Program,
    frames: u64,
) -> Result<Option<(Schedule, Option<ProofKind>)>, Failure> {
    let layers = options.layers_per_step.map(Schedule::LayersPerStep);
    let asked = layers.or(options.frames_per_step.map(Schedule::FramesPerStep));
    if let (Some(schedule), false) = (asked, options.plan) {
        return Ok(Some((schedule, options.kind)));
    }
    let plan = options.planner.plan(program, frames)?;
    if options.plan {
        println!("{}", plan.explain());
        return Ok(None);
    }
    Ok(Some((plan.chosen.schedule, Some(plan.chosen.kind))))
}

/// Random weights with He's standard deviation and small biases.
fn random_mlp(widths: &[usize], relu_last: bool) -> Result<Case, Failure> {
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let mut normal = move || {
        // Box–Muller
        let (u, v): (f64, f64) = (rng.r#gen::<f64>().max(1e-12), rng.r#gen());
        ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
    };
    let mut builder = Network::sequential([widths[0]]);
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
    Case::of_first(&builder.build()?, &calibration)
}

/// Uniform weights in ±1/√hidden, as PyTorch initialises them, and normal inputs.
fn random_rnn(cell: &str, frames: usize) -> Result<Case, Failure> {
    const INPUTS: usize = 16;
    const HIDDEN: usize = 64;
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    let gates = match cell {
        "gru" => 3,
        "lstm" => 4,
        _ => 1,
    };
    let bound = (HIDDEN as f32).sqrt().recip();
    let mut uniform =
        |rows, columns| Array2::from_shape_fn((rows, columns), |_| rng.gen_range(-bound..bound));
    let rows = gates * HIDDEN;
    let weights = RecurrentWeights {
        input: uniform(rows, INPUTS),
        hidden: uniform(rows, HIDDEN),
        input_bias: uniform(1, rows).row(0).to_owned(),
        hidden_bias: uniform(1, rows).row(0).to_owned(),
    };
    let builder = Network::sequential([INPUTS]);
    let builder = match cell {
        "gru" => builder.gru(&weights, GruReset::After),
        "lstm" => builder.lstm(&weights),
        "rnntanh" => builder.rnn(&weights, RnnActivation::Tanh),
        _ => builder.rnn(&weights, RnnActivation::Relu),
    };
    let mut normal = |rows: usize| {
        Array2::from_shape_fn((rows, INPUTS), |_| {
            let (u, v): (f64, f64) = (rng.r#gen::<f64>().max(1e-12), rng.r#gen());
            ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
        })
    };
    let calibration: Vec<_> = (0..8).map(|_| normal(50)).collect();
    Case::new(&builder.build_last()?, &calibration, normal(frames))
}

/// The network of the example, on so many of its sample images, over and over.
fn mnist(inferences: usize) -> Result<Case, Failure> {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data");
    let tensors = Tensors::open(format!("{data}/mnist-784-128-10.safetensors"))?;
    let model = Network::sequential([784])
        .dense_from(&tensors, "fc1")?
        .relu()
        .dense_from(&tensors, "fc2")?
        .build()?;
    let images = |name: &str| -> Result<Array2<f32>, Failure> {
        let bytes = std::fs::read(format!("{data}/{name}"))?;
        let pixels: Vec<f32> = bytes[16..].iter().map(|p| f32::from(*p) / 255.0).collect();
        Ok(Array2::from_shape_vec((pixels.len() / 784, 784), pixels)?)
    };
    let samples = images("mnist-sample-images-idx3-ubyte")?;
    let rows: Vec<usize> = (0..inferences).map(|i| i % samples.nrows()).collect();
    let calibration = images("mnist-calibration-images-idx3-ubyte")?;
    let inputs = samples.select(ndarray::Axis(0), &rows);
    Case::new(&model, &calibration, inputs)
}

/// The same network, and how many of so many labels it is right on.
fn audit(count: usize) -> Result<Case, Failure> {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data");
    let labels = std::fs::read(format!("{data}/mnist-sample-labels-idx1-ubyte"))?;
    let label = |k: usize| vec![i64::from(labels[8 + k % (labels.len() - 8)])];
    Ok(Case {
        claim: Some(Claim::Count(Predicate::IsLabel(Label::Frame))),
        more: (0..count).map(label).collect(),
        ..mnist(count)?
    })
}

fn credit() -> Result<Case, Failure> {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data");
    let layers = [
        ("fc1", Some(Function::Relu)),
        ("fc2", Some(Function::Relu)),
        ("fc3", Some(Function::Sigmoid)),
    ];
    let bytes = std::fs::read(format!("{data}/credit-20-32-16-1.safetensors"))?;
    let text = std::fs::read_to_string(format!("{data}/credit-calibration.csv"))?;
    let numbers: Vec<f32> = text
        .lines()
        .skip(1)
        .flat_map(|line| line.split(',').map(str::parse))
        .collect::<Result<_, _>>()?;
    let calibration = Array2::from_shape_vec((numbers.len() / 20, 20), numbers)?;
    let model = Network::from_safetensors(&bytes, &layers)?;
    Ok(Case {
        claim: Some(Claim::Holds(Predicate::AtLeast {
            entry: 0,
            threshold: Threshold::Parameter,
        })),
        more: vec![Vec::new()],
        parameters: vec![104],
        ..Case::of_first(&model, &calibration)?
    })
}

/// Widths of the networks that other provers were measured on: 100 and 200 alternating.
fn depth(layers: usize) -> Result<Vec<usize>, Failure> {
    if layers < 2 {
        return Err("a deep network has two layers or more".into());
    }
    let (inputs, outputs) = if layers <= 40 { (32, 100) } else { (784, 1000) };
    let hidden = (0..layers - 1).map(|l| [100, 200][l % 2]);
    Ok(std::iter::once(inputs)
        .chain(hidden)
        .chain([outputs])
        .collect())
}

/// The network and input of an ONNX workload.
#[cfg(feature = "onnx")]
fn from_onnx(operands: &[String]) -> Result<Case, Failure> {
    match operands {
        [file, input, ..] => onnx::case(file, input),
        _ => Err("two files are needed: onnx FILE INPUT".into()),
    }
}

#[cfg(not(feature = "onnx"))]
fn from_onnx(_: &[String]) -> Result<Case, Failure> {
    Err(
        "needs the feature: cargo bench --bench workloads --features onnx -- onnx FILE INPUT"
            .into(),
    )
}

fn case(name: &str, operands: &[String]) -> Result<Case, Failure> {
    if name == "onnx" {
        return from_onnx(operands);
    }
    if name == "mnist-mlp" {
        return mnist(1);
    }
    if name == "credit" {
        return credit();
    }
    if let Some(count) = name.strip_prefix("audit-") {
        return audit(count.parse()?);
    }
    if let Some(inferences) = name.strip_prefix("batch-") {
        return mnist(inferences.parse()?);
    }
    for cell in ["rnn", "rnntanh", "gru", "lstm"] {
        let frames = name.strip_prefix(cell).and_then(|n| n.strip_prefix('-'));
        if let Some(frames) = frames {
            return random_rnn(cell, frames.parse()?);
        }
    }
    if let Some(layers) = name.strip_prefix("deep-") {
        let layers: usize = layers.parse()?;
        return random_mlp(&vec![128; layers + 1], true);
    }
    if let Some(layers) = name.strip_prefix("depth-") {
        return random_mlp(&depth(layers.parse()?)?, false);
    }
    if let Some(net) = nets::net(name) {
        let nets::Net { graph, calibration } = net?;
        return Case::of_first(&graph, &calibration);
    }
    if name == "dense-4m" {
        return random_mlp(&[1000; 5], false);
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

fn run(name: &str, operands: &[String], options: &Options) -> Result<Option<Report>, Failure> {
    let clock = CpuBySpan::default();
    tracing::subscriber::set_global_default(clock.clone())?;
    let case = case(name, operands)?;
    let name = match operands {
        [file, ..] if name == "onnx" => format!("onnx {file}"),
        _ => name.to_owned(),
    };
    let program = case.quantized.program();
    let program = match case.claim {
        Some(claim) => program.with_claim(claim)?,
        None => program.clone(),
    };
    let Some((schedule, kind)) = planned(options, &program, case.inputs.nrows() as u64)? else {
        return Ok(None);
    };
    let params = match kind {
        Some(ProofKind::Trace) => Params::setup(&program)?,
        _ => Params::setup_with(&program, schedule)?,
    };
    measure(
        &name,
        &clock,
        &case,
        &params,
        schedule,
        kind,
        options.overlap,
    )
    .map(Some)
}

/// Proves; the keys are those of a schedule.
fn measure(
    name: &str,
    clock: &CpuBySpan,
    case: &Case,
    params: &Params,
    schedule: Schedule,
    asked: Option<ProofKind>,
    overlap: bool,
) -> Result<Report, Failure> {
    let (program, quantized, inputs) = (params.program(), &case.quantized, &case.inputs);
    // The last output, if it is the network's own.
    let expected = match case.claim {
        Some(_) => None,
        None => Some(quantized.infer_sequence(inputs.view())?),
    };
    let expected = expected.map(|outputs| outputs.row(outputs.nrows() - 1).to_vec());
    let started = ProcessTime::now();
    let kind = asked.unwrap_or_else(|| params.expected_kind());
    params.prepare_prover_for(kind)?;
    let setup_cpu_s = started.elapsed().as_secs_f64();

    let started = ProcessTime::now();
    let prover = Prover::new(params, quantized)?;
    let commit_cpu_s = started.elapsed().as_secs_f64();

    clock.reset();
    let started = ProcessTime::now();
    let wall = std::time::Instant::now();
    let visibility = Visibility::private_inputs().public_outputs();
    let mut session = prover.session_with(visibility, b"", &case.parameters)?;
    if asked == Some(ProofKind::Trace) {
        session.set_memory_limit(u64::MAX);
    }
    session.set_kind(asked)?;
    session.set_overlap(overlap);
    let mut output = Array1::zeros(0);
    let tenth = inputs.nrows().div_ceil(10);
    let (mut cpu_s_first, mut cpu_s_before_last, mut peak_mib_tenth) = (0.0, 0.0, 0.0);
    for (k, input) in inputs.rows().into_iter().enumerate() {
        if k == inputs.nrows() - tenth {
            cpu_s_before_last = started.elapsed().as_secs_f64();
        }
        match case.more.get(k) {
            Some(more) => drop(session.push_with(input, more)?),
            None => output = session.push(input)?,
        }
        if k + 1 == tenth {
            cpu_s_first = started.elapsed().as_secs_f64();
            peak_mib_tenth = peak_mib();
        }
    }
    session.fold_pending()?;
    let cpu_s = started.elapsed().as_secs_f64();
    let cpu_s_per_frame = cpu_s / inputs.nrows() as f64;
    let peak_mib_folding = peak_mib();
    let (frames, steps) = (session.frames(), session.steps());
    let wall_s = wall.elapsed().as_secs_f64();
    let first_trace_cpu_s = match session.kind() {
        ProofKind::Trace => {
            let started = ProcessTime::now();
            session.snapshot()?;
            clock.forget(TRACE);
            started.elapsed().as_secs_f64()
        }
        _ => 0.0,
    };
    let (started, wall) = (ProcessTime::now(), std::time::Instant::now());
    let proof = session.snapshot()?;
    let prove_cpu_s = cpu_s + started.elapsed().as_secs_f64();
    let prove_wall_s = wall_s + wall.elapsed().as_secs_f64();
    let peak_mib = peak_mib();
    if let Some(expected) = expected {
        assert_eq!(output.to_vec(), expected);
    }

    let bytes = proof.to_bytes();
    let commitment = prover.model_commitment();
    let verifier = Verifier::new(params, commitment.clone()).kind(proof.kind());
    let started = ProcessTime::now();
    verifier.verify(&Proof::from_bytes(&bytes)?)?;
    let verify_cpu_s = started.elapsed().as_secs_f64();

    let constraints = match proof.kind() {
        ProofKind::Recursive => params.constraints()?,
        _ => ConstraintReport {
            parts: Vec::new(),
            primary: 0,
            secondary: 0,
        },
    };
    Ok(Report {
        workload: name.to_owned(),
        schedule: format!("{schedule:?}"),
        kind: proof.kind().to_string(),
        weights: quantized.bank().weight_count(),
        activations: activations(program) * frames,
        frames,
        steps,
        step_constraints: constraints.step(),
        primary_constraints: constraints.primary,
        secondary_constraints: constraints.secondary,
        constraints_by_part: constraints.parts,
        setup_cpu_s,
        commit_cpu_s,
        inference_cpu_s: clock.seconds("inference"),
        first_trace_cpu_s,
        trace_cpu_s: clock.seconds(TRACE),
        trace_parts_cpu_s: trace_parts(clock),
        sumcheck_cpu_s: clock.seconds("sumcheck"),
        fold_cpu_s: clock.seconds("fold_step"),
        overlapped_cpu_s: clock.seconds(clock::OVERLAPPED),
        cpu_s_per_frame,
        cpu_s_per_frame_first: cpu_s_first / tenth as f64,
        cpu_s_per_frame_last: (cpu_s - cpu_s_before_last) / tenth as f64,
        compress_cpu_s: clock.seconds("compress"),
        opening_cpu_s: clock.seconds("opening"),
        prove_cpu_s,
        prove_wall_s,
        verify_cpu_s,
        proof_bytes: bytes.len(),
        commitment_bytes: commitment.to_bytes().len(),
        checkpoint_bytes: session.checkpoint()?.len(),
        key_bytes: params.key_bytes(),
        peak_mib_tenth,
        peak_mib_folding,
        peak_mib,
    })
}

/// Results of ReLU and of tables in the body of a program, which runs once for each frame.
fn activations(program: &Program) -> u64 {
    let shapes = program.register_shapes();
    let operations = program.operations().iter().enumerate();
    let applied =
        operations.filter(|(_, o)| matches!(o, Operation::Relu(_) | Operation::Lookup(_)));
    applied
        .map(|(k, _)| shapes[Register::result_of(k)].len as u64)
        .sum()
}

/// CPU seconds of the parts of a trace, which add up to all of it.
fn trace_parts(clock: &CpuBySpan) -> BTreeMap<&'static str, f64> {
    let all = clock.seconds(TRACE);
    if all == 0.0 {
        return BTreeMap::new();
    }
    let mut parts = BTreeMap::new();
    for name in TRACE_PARTS {
        parts.insert(name, clock.seconds_inside(TRACE, name));
    }
    let told: f64 = parts.values().sum();
    parts.insert(REST, (all - told).max(0.0));
    parts
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
    row("kind", r.kind.clone());
    row("weights", r.weights.to_string());
    if r.activations > 0 {
        row("activations", r.activations.to_string());
    }
    row("frames", r.frames.to_string());
    row("steps", r.steps.to_string());
    row("step constraints", r.step_constraints.to_string());
    row("primary constraints", r.primary_constraints.to_string());
    for (name, seconds) in [
        ("setup", r.setup_cpu_s),
        ("commit", r.commit_cpu_s),
        ("inference", r.inference_cpu_s),
        ("first trace", r.first_trace_cpu_s),
        ("trace", r.trace_cpu_s),
        ("sumcheck", r.sumcheck_cpu_s),
        ("fold", r.fold_cpu_s),
        ("overlapped", r.overlapped_cpu_s),
        ("compress", r.compress_cpu_s),
        ("opening", r.opening_cpu_s),
        ("prove", r.prove_cpu_s),
        ("verify", r.verify_cpu_s),
    ] {
        row(&format!("{name} CPU s"), format!("{seconds:.3}"));
        if name == "trace" {
            for part in TRACE_PARTS.iter().chain(&[REST]) {
                if let Some(seconds) = r.trace_parts_cpu_s.get(part) {
                    row(&format!("  {part} CPU s"), format!("{seconds:.4}"));
                }
            }
        }
    }
    row("CPU s per frame", format!("{:.4}", r.cpu_s_per_frame));
    row("prove wall s", format!("{:.3}", r.prove_wall_s));
    row("proof bytes", r.proof_bytes.to_string());
    row("commitment bytes", r.commitment_bytes.to_string());
    row("checkpoint bytes", r.checkpoint_bytes.to_string());
    row("key bytes", r.key_bytes.to_string());
    row("peak MiB folding", format!("{:.0}", r.peak_mib_folding));
    row("peak MiB", format!("{:.0}", r.peak_mib));
    out
}
