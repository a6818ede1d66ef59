//! Watches a pump with a private recurrent network, and proves what it said.
//!
//! ```text
//! cargo run --release --example stream [-- [FILE | -] [--state FOLDER] [--frames N]]
//! ```
//!
//! Frames come line by line from a file (default: the recorded run in `examples/data`) or, with
//! `-`, from standard input: six numbers, comma-separated; further columns and a header are passed
//! over. A line `prove` asks for a proof of everything so far.
//!
//! Every frame is folded into a proof while it arrives. The session is written to the folder
//! (default `target/stream`) after every frame, so the program can be killed at any time: started
//! again with the same folder, it goes on where it was. Of a file it then skips what it has seen.
//! `--frames N` stops after N frames in all, as if it were killed.
#![expect(clippy::print_stdout, reason = "an example talks to people")]

use std::{
    error::Error,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use layerfold::{
    BlindingSeed, DigestBuilder, Network, Outputs, Params, Precision, Proof, ProofKind, Prover,
    Quantized, Session, Tensors, Verifier, Visibility,
    network::{GruReset, RecurrentWeights},
    plan::Planner,
};
use ndarray::{Array1, Array2};

const CHANNELS: usize = 6;
const STATES: [&str; 3] = ["healthy", "cavitation", "bearing wear"];
/// About as many frames as a run has: the planner sizes steps for it.
const USUAL_RUN: u64 = 300;
const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data");

struct Arguments {
    input: String,
    state: PathBuf,
    frames: u64,
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut out = Arguments {
        input: format!("{DATA}/pump-sample.csv"),
        state: PathBuf::from("target/stream"),
        frames: u64::MAX,
    };
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--state" => out.state = value()?.into(),
            "--frames" => out.frames = value()?.parse()?,
            _ => out.input = argument,
        }
    }
    Ok(out)
}

/// A GRU of 24 and a dense layer, one output for each frame.
fn model() -> Result<(Network, Quantized), Box<dyn Error>> {
    let tensors = Tensors::open(format!("{DATA}/pump-gru-6-24-3.safetensors"))?;
    let model = Network::sequential([CHANNELS])
        .gru(
            &RecurrentWeights::from_tensors(&tensors, "gru", 0)?,
            GruReset::After,
        )
        .dense_from(&tensors, "head")?
        .build()?;
    // Sequences of the calibration file: the number of the sequence, then the channels.
    let text = fs::read_to_string(format!("{DATA}/pump-calibration.csv"))?;
    let mut sequences: Vec<Vec<f32>> = Vec::new();
    for line in text.lines().skip(1) {
        let mut columns = line.split(',');
        let sequence: usize = columns.next().unwrap_or_default().parse()?;
        if sequence == sequences.len() {
            sequences.push(Vec::new());
        }
        for column in columns {
            sequences[sequence].push(column.parse()?);
        }
    }
    let sequences = sequences
        .into_iter()
        .map(|s| Array2::from_shape_vec((s.len() / CHANNELS, CHANNELS), s))
        .collect::<Result<Vec<_>, _>>()?;
    let quantized = model.quantize(&sequences, &Precision::default())?;
    Ok((model, quantized))
}

/// A file that is there in full or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let new = path.with_extension("new");
    fs::write(&new, bytes)?;
    Ok(fs::rename(new, path)?)
}

/// The prover of this folder: blinds of the commitment follow from a seed that is kept in it, or
/// nothing could be resumed.
fn prover(params: &Params, quantized: &Quantized, folder: &Path) -> Result<Prover, Box<dyn Error>> {
    let path = folder.join("seed.secret");
    if let Ok(bytes) = fs::read(&path) {
        let seed = BlindingSeed::from_bytes(bytes.try_into().map_err(|_| "seed.secret: 32 bytes")?);
        return Ok(Prover::with_blinding(params, quantized, seed)?);
    }
    let prover = Prover::new(params, quantized)?;
    write(&path, prover.blinding_seed().as_bytes())?;
    Ok(prover)
}

fn probabilities(logits: &Array1<f32>) -> Array1<f32> {
    let most = logits.fold(f32::MIN, |m, x| m.max(*x));
    let e = logits.mapv(|x| (x - most).exp());
    let sum = e.sum();
    e / sum
}

/// The numbers of a line, `None` if it is a header.
fn frame(line: &str) -> Option<Array1<f32>> {
    let numbers = line.split(',').take(CHANNELS).map(|c| c.trim().parse());
    let numbers: Vec<f32> = numbers.collect::<Result<_, _>>().ok()?;
    (numbers.len() == CHANNELS).then(|| Array1::from_vec(numbers))
}

/// Proves all so far, writes what a verifier needs, and verifies it from the bytes alone.
fn prove(session: &mut Session, prover: &Prover, folder: &Path) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let bytes = session.snapshot()?.to_bytes();
    let took = started.elapsed();
    let program = prover.params().program();
    fs::write(folder.join("program.bin"), program.to_bytes())?;
    fs::write(
        folder.join("model.bin"),
        prover.model_commitment().to_bytes(),
    )?;
    fs::write(folder.join("proof.bin"), &bytes)?;
    let verifier = Verifier::new(prover.params(), prover.model_commitment());
    let started = Instant::now();
    let statement = verifier.verify(&Proof::from_bytes(&bytes)?)?;
    let Outputs::Public { vectors } = &statement.outputs else {
        return Err("the outputs are hidden".into());
    };
    println!(
        "      proof   {} frames in {} steps: {} bytes, {} of them public outputs; {took:.2?}, verified in {:.2?}",
        statement.frames,
        statement.steps,
        bytes.len(),
        postcard_len(vectors),
        started.elapsed(),
    );
    Ok(())
}

/// Bytes that the public outputs take: a variable-length integer for each entry.
fn postcard_len(vectors: &[Vec<i64>]) -> usize {
    let entry = |v: &i64| {
        let zigzag = (v << 1 ^ v >> 63) as u64;
        (64 - zigzag.leading_zeros()).div_ceil(7).max(1) as usize
    };
    vectors.iter().flatten().map(entry).sum()
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = arguments()?;
    let folder = &arguments.state;
    fs::create_dir_all(folder)?;
    let (model, quantized) = model()?;
    // The memory of a stream must not grow with its length.
    let planner = Planner::default().constant_size(true);
    let plan = quantized.plan(&planner, USUAL_RUN)?;
    let schedule = plan.chosen.schedule;
    let started = Instant::now();
    let params = Params::setup_with(quantized.program(), schedule)?;
    params.prepare_prover_for(ProofKind::Recursive)?;
    let prover = prover(&params, &quantized, folder)?;
    println!(
        "{} weights; {schedule}: steps of {} constraints; keys and commitment in {:.2?}",
        model.nonzeros(),
        params.constraints()?.primary,
        started.elapsed()
    );
    println!("model {}", prover.model_commitment().digest());

    // Private channels, public warnings; bound to the pump they are about.
    let checkpoint = folder.join("session.secret");
    let mut session = match fs::read(&checkpoint) {
        Ok(bytes) => prover.resume(&bytes)?,
        Err(_) => {
            let visibility = Visibility::private_inputs().public_outputs();
            prover.session_with_context(visibility, b"pump 7")?
        }
    };
    // A stream is long, and its proofs are many.
    session.set_kind(Some(ProofKind::Recursive))?;
    let seen = session.frames();
    if seen > 0 {
        println!("resumed after frame {seen}");
    }

    let from_file = arguments.input != "-";
    let lines: Box<dyn BufRead> = if from_file {
        Box::new(BufReader::new(fs::File::open(&arguments.input)?))
    } else {
        Box::new(BufReader::new(std::io::stdin()))
    };
    let skip = if from_file { seen } else { 0 };
    let mut inputs = DigestBuilder::inputs(
        params.program(),
        ProofKind::Recursive,
        session
            .input_salts()
            .ok_or("the inputs are public")?
            .clone(),
    );
    let (mut read, mut busy) = (0, Duration::ZERO);
    for line in lines.lines() {
        let line = line?;
        if line.trim() == "prove" {
            prove(&mut session, &prover, folder)?;
            continue;
        }
        let Some(frame) = frame(&line) else { continue };
        read += 1;
        inputs.push(&quantized.quantize_input(frame.view())?)?;
        if read <= skip {
            continue;
        }
        if session.frames() >= arguments.frames {
            println!("stopped after frame {}; start it again", session.frames());
            return Ok(());
        }
        let started = Instant::now();
        let p = probabilities(&session.push(frame.view())?);
        write(&checkpoint, &session.checkpoint()?)?;
        busy += started.elapsed();
        let likely = (0..STATES.len()).fold(0, |b, k| if p[k] > p[b] { k } else { b });
        println!(
            "{:5} {:13} {:3.0} %   {} steps folded, {:.0} ms a frame",
            session.frames(),
            STATES[likely],
            100.0 * p[likely],
            session.steps(),
            busy.as_secs_f64() * 1e3 / (read - skip) as f64,
        );
    }
    prove(&mut session, &prover, folder)?;
    write(&checkpoint, &session.checkpoint()?)?;
    if from_file || seen == 0 {
        // Whoever is given the salt key and knows the channels recomputes the digest.
        let statement = Verifier::new(&params, prover.model_commitment())
            .input_digest(inputs.digest())
            .verify(&Proof::from_bytes(&fs::read(folder.join("proof.bin"))?)?)?;
        println!(
            "verified      {} frames, digest of the channels recomputed",
            statement.frames
        );
    }
    println!(
        "in {}: proof.bin, model.bin, program.bin to hand out; *.secret to keep",
        folder.display()
    );
    println!(
        "check it in a process of its own: cargo run --release --example verify -- {}",
        folder.display()
    );
    Ok(())
}
