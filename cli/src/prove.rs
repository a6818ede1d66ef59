//! `layerfold prove`.

use std::{
    ffi::OsStr,
    fmt::Write,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use layerfold::{
    BlindingSeed, ModelCommitment, OutputVisibility, Outputs, Params, Proof, ProofKind, Prover,
    Scales, StageTimes, Statement, Verifier, Visibility, program::Emission,
};
use ndarray::{Array2, ArrayView1};
use serde_json::{Value, json};

use crate::{
    args::Prove,
    console::{Console, Failure, Kind},
    data::Numbers,
    files,
    model::{Float, ModelFile, Samples},
    plan,
    progress::Progress,
    published,
    state::{Folder, State, seed_at},
    vectors::{self, real},
    verify::{describe, program_json},
};

pub(crate) fn run(options: &Prove, console: &Console) -> Result<(), Failure> {
    let files = Files::of(options);
    files.check(options)?;
    let numbers = Numbers::read(&options.input)?;
    let file = ModelFile::read(&options.model.model)?;
    let folder = options.state.as_deref().map(Folder);
    let kept = match &folder {
        Some(folder) => folder.load(&file.digest)?,
        None => None,
    };
    let is_new = kept.is_none();
    let (state, input) = match kept {
        Some(state) => {
            let q = &options.quantisation;
            if q.calibration.is_some() || q.target_error.is_some() {
                console.warn(
                    "program and integers are those of the state's first run: options of quantisation are \
                     not read",
                );
            }
            let len = state.program.frame().len as usize;
            let input = match state.is_sequence {
                true => numbers.one_sequence(len)?,
                false => numbers.rows(len)?,
            };
            (state, input)
        }
        None => first_run(options, &file, &numbers, console)?,
    };
    let model_file = file.into_digest();

    let rows = input.nrows() as u64;
    let plan = plan::planned(
        &state.program,
        options.plan_for.unwrap_or(rows),
        &options.wishes,
    )?;
    let progress = Progress::of_proof(console, plan.chosen.steps, &plan.chosen.cost);
    let started = Instant::now();
    let params = plan::keys(&state.program, &plan.chosen)?;
    // A session makes a trace by itself, and may go over to recursion.
    let kind = (plan.chosen.kind == ProofKind::Recursive).then_some(ProofKind::Recursive);
    params.prepare_prover_for(plan.chosen.kind)?;
    let keys = started.elapsed();

    let started = Instant::now();
    progress.say("committing");
    if let (Some(folder), true) = (&folder, is_new) {
        folder.store(&state)?;
    }
    let State {
        bank,
        scales,
        is_sequence,
        seed,
        ..
    } = state;
    let prover = Prover::from_bank_with_blinding(&params, bank, seed)?;
    let commitment = prover.model_commitment();
    match &folder {
        Some(folder) if is_new => folder.seal(&model_file, scales, is_sequence, &commitment)?,
        Some(folder) if folder.commitment()? != commitment => {
            let problem = "the state is damaged: its integers are not those of its commitment";
            return Err(Failure::unreadable(folder.0, problem));
        }
        _ => {}
    }
    let commit = started.elapsed();

    let run = fold(options, &prover, kind, &scales, &input)?;
    let bytes = run.proof.to_bytes();
    progress.say("verifying");
    let started = Instant::now();
    let statement = check(options, &params, &commitment, &run, rows, &bytes)?;
    let verify = started.elapsed();
    drop(progress);

    run.cut.warn(rows, console);
    files.write(&bytes, &commitment, &params, &scales, console)?;
    Told {
        files: &files,
        statement: &statement,
        run: &run,
        params: &params,
        scales: &scales,
        bytes: bytes.len(),
        keys,
        commit,
        verify,
    }
    .tell(console)
}

/// Imports and quantises; gives the input too.
fn first_run(
    options: &Prove,
    file: &ModelFile,
    numbers: &Numbers,
    console: &Console,
) -> Result<(State, Array2<f32>), Failure> {
    let float = file.import(&options.model)?;
    for note in &float.report.notes {
        console.warn(note.as_str());
    }
    let (input, calibration) = samples(&float, options, numbers, console)?;
    let integer = float.quantise(&calibration, &options.quantisation, console)?;
    let seed = match &options.blinding {
        Some(path) => seed_at(path)?,
        None => BlindingSeed::random(),
    };
    let state = State {
        program: integer.program().clone(),
        bank: integer.bank().clone(),
        scales: integer.scales(),
        is_sequence: float.is_sequence(),
        seed,
    };
    Ok((state, input))
}

/// What is proved, and what ranges are taken from.
fn samples(
    float: &Float,
    options: &Prove,
    numbers: &Numbers,
    console: &Console,
) -> Result<(Array2<f32>, Samples), Failure> {
    let input = float.rows(numbers)?;
    let calibration = match &options.quantisation.calibration {
        Some(path) => float.samples(&Numbers::read(path)?)?,
        None => {
            console.warn(
                "ranges are taken from the inputs that are proved, for want of --calibration FILE: other \
                 inputs would give another commitment, and the program tells a little of them",
            );
            float.of_rows(input.clone())
        }
    };
    Ok((input, calibration))
}

/// A run that was proved.
struct Run {
    proof: Proof,
    /// Integer outputs; the last one only, if only that counts.
    outputs: Vec<Vec<i64>>,
    steps: u64,
    times: StageTimes,
    cut: Cut,
}

fn visibility(options: &Prove) -> Visibility {
    let inputs = match options.public_inputs {
        true => Visibility::public_inputs(),
        false => Visibility::private_inputs(),
    };
    match options.hidden_outputs {
        true => inputs.hidden_outputs(),
        false => inputs.public_outputs(),
    }
}

fn context(options: &Prove) -> &[u8] {
    options.context.as_ref().map_or(&[], |c| &c.0)
}

fn fold(
    options: &Prove,
    prover: &Prover,
    kind: Option<ProofKind>,
    scales: &Scales,
    input: &Array2<f32>,
) -> Result<Run, Failure> {
    let mut session = prover.session_with_context(visibility(options), context(options))?;
    if let Some(mib) = options.wishes.max_memory {
        session.set_memory_limit(bytes(mib));
    }
    session.set_kind(kind)?;
    let last_only = prover.params().program().emission() == Emission::Last;
    let mut outputs = Vec::new();
    let mut cut = Cut::default();
    for (index, row) in input.rows().into_iter().enumerate() {
        let named =
            |e| Failure::from(e).of(format!("{}: row {}", options.input.display(), index + 1));
        let frame = scales.quantize_input(row).map_err(named)?;
        cut.count(row, &frame, scales);
        let output = session.push_integers(&frame).map_err(named)?;
        if last_only {
            outputs.clear();
        }
        outputs.push(output);
    }
    session.fold_pending()?;
    let steps = session.steps();
    let (proof, times) = session.finish_timed()?;
    Ok(Run {
        proof,
        outputs,
        steps,
        times,
        cut,
    })
}

/// Bytes of so many MiB.
fn bytes(mib: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and saturates"
    )]
    let bytes = (mib * f64::from(1 << 20)) as u64;
    bytes
}

/// Inputs that were beyond the range of their integers.
#[derive(Default)]
struct Cut {
    rows: usize,
    entries: usize,
}

impl Cut {
    fn count(&mut self, row: ArrayView1<'_, f32>, frame: &[i64], scales: &Scales) {
        // Rounding moves an entry by half a unit at most.
        let moved = |(x, q): &(&f32, &i64)| (f64::from(**x) / scales.input - **q as f64).abs();
        let cut = row.iter().zip(frame).filter(|pair| moved(pair) > 0.501);
        let cut = cut.count();
        self.rows += usize::from(cut > 0);
        self.entries += cut;
    }

    fn warn(&self, rows: u64, console: &Console) {
        if self.entries > 0 {
            console.warn(format!(
                "{} entries in {} of {rows} rows were beyond the calibrated range, and cut to it",
                self.entries, self.rows
            ));
        }
    }
}

/// Verifies the bytes as their reader will.
fn check(
    options: &Prove,
    params: &Params,
    commitment: &ModelCommitment,
    run: &Run,
    rows: u64,
    bytes: &[u8],
) -> Result<Statement, Failure> {
    let defect = |e: String| {
        Failure::new(
            Kind::Defect,
            format!("the proof does not verify, and was not written: {e}"),
        )
    };
    let shown = visibility(options);
    let mut verifier = Verifier::new(params, commitment.clone())
        .context(context(options))
        .visibility(shown)
        .frames(rows);
    if shown.outputs == OutputVisibility::Public {
        verifier = verifier.outputs(&run.outputs);
    }
    let proof = Proof::from_bytes(bytes).map_err(|e| defect(e.to_string()))?;
    verifier.verify(&proof).map_err(|e| defect(e.to_string()))
}

/// Where everything is written to.
struct Files {
    proof: PathBuf,
    commitment: PathBuf,
    scales: Option<PathBuf>,
}

impl Files {
    fn of(options: &Prove) -> Self {
        let beside = || {
            let stem = options.model.model.file_stem();
            let mut name = stem.unwrap_or(OsStr::new("model")).to_owned();
            name.push(".commitment");
            options.out.with_file_name(name)
        };
        Self {
            proof: options.out.clone(),
            commitment: options.commitment.clone().unwrap_or_else(beside),
            scales: options.scales.clone(),
        }
    }

    fn all(&self) -> Vec<&Path> {
        let both = [&self.proof, &self.commitment];
        let all = both.into_iter().chain(&self.scales);
        all.map(PathBuf::as_path).collect()
    }

    /// Fails before anything is proved if a file cannot be written, or should not be.
    fn check(&self, options: &Prove) -> Result<(), Failure> {
        let read = [&options.model.model, &options.input];
        let read = read.into_iter().chain(&options.quantisation.calibration);
        let read: Vec<&Path> = read
            .chain(&options.blinding)
            .map(PathBuf::as_path)
            .collect();
        let written = self.all();
        for (index, path) in written.iter().enumerate() {
            let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
            if let Some(folder) = folder {
                fs::metadata(folder).map_err(|e| Failure::io(folder, &e))?;
            }
            if path.is_dir() || path.file_name().is_none() {
                let e = io::Error::from(io::ErrorKind::IsADirectory);
                return Err(Failure::io(path, &e));
            }
            let others = read.iter().chain(written.iter().take(index));
            if let Some(other) = others.into_iter().find(|other| same(other, path)) {
                return Err(Failure::new(
                    Kind::Usage,
                    format!("{} would be overwritten by another file", other.display()),
                ));
            }
        }
        Ok(())
    }

    fn write(
        &self,
        proof: &[u8],
        commitment: &ModelCommitment,
        params: &Params,
        scales: &Scales,
        console: &Console,
    ) -> Result<(), Failure> {
        let public = published::to_bytes(params.program(), commitment);
        let old = fs::metadata(&self.commitment).is_ok_and(|m| m.is_file());
        let longest = public.len() as u64;
        let same = || files::read(&self.commitment, longest).is_ok_and(|read| *read == public);
        if old && !same() {
            console.warn(format!(
                "{} is replaced: proofs made for the commitment that was there do not verify with this \
                 one. Keep one commitment for many proofs with --state DIR",
                self.commitment.display()
            ));
        }
        files::write(&self.commitment, &public)?;
        if let Some(path) = &self.scales {
            let json = |e| Failure::unreadable(path, e);
            let mut value = serde_json::to_value(scales).map_err(json)?;
            value["model"] = json!(commitment.digest().to_string());
            files::write(path, &serde_json::to_vec(&value).map_err(json)?)?;
        }
        files::write(&self.proof, proof)
    }

    /// The command that verifies.
    fn verify(&self) -> String {
        format!(
            "layerfold verify {} --model {}",
            quoted(&self.proof),
            quoted(&self.commitment)
        )
    }
}

/// Whether two paths are of one file.
fn same(a: &Path, b: &Path) -> bool {
    match (fs::canonicalize(a), fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

/// A path for a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=".contains(c);
    match text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// Everything that is told at the end.
struct Told<'a> {
    files: &'a Files,
    statement: &'a Statement,
    run: &'a Run,
    params: &'a Params,
    scales: &'a Scales,
    bytes: usize,
    keys: Duration,
    commit: Duration,
    verify: Duration,
}

impl Told<'_> {
    fn tell(&self, console: &Console) -> Result<(), Failure> {
        console.tell(&self.text()?, self.to_json()?)
    }

    /// Of a step that was folded.
    fn step_constraints(&self) -> Result<Option<usize>, Failure> {
        match self.statement.kind {
            ProofKind::Trace => Ok(None),
            _ => Ok(Some(self.params.constraints()?.step())),
        }
    }

    fn text(&self) -> Result<String, Failure> {
        let Self {
            files, run, params, ..
        } = self;
        let times = &run.times;
        let mut text = String::new();
        let wall: Duration = [
            times.inference,
            times.prove,
            times.sumcheck,
            times.fold,
            times.compress,
            times.opening,
        ]
        .iter()
        .sum();
        write!(text, "keys      {:.2?}", self.keys)?;
        match self.step_constraints()? {
            Some(constraints) => writeln!(text, "; {constraints} constraints a step")?,
            None => writeln!(text)?,
        }
        writeln!(text, "commit    {:.2?}", self.commit)?;
        write!(
            text,
            "prove     {wall:.2?}: inference {:.2?}, ",
            times.inference
        )?;
        match self.statement.kind {
            ProofKind::Trace => writeln!(text, "trace {:.2?}", times.prove)?,
            _ => {
                let steps = if run.steps == 1 { "step" } else { "steps" };
                writeln!(
                    text,
                    "sumcheck {:.2?}, {} {steps} {:.2?}, compress {:.2?}, opening {:.2?}",
                    times.sumcheck, run.steps, times.fold, times.compress, times.opening
                )?;
            }
        }
        writeln!(
            text,
            "proof     {} bytes, {}\n",
            self.bytes, self.statement.kind
        )?;
        writeln!(text, "verified  in {:.2?}", self.verify)?;
        describe(&mut text, self.statement, params.program())?;
        writeln!(text)?;
        vectors::write(&mut text, "output", &run.outputs, Some(self.scales))?;
        if matches!(self.statement.outputs, Outputs::Hidden { .. }) {
            writeln!(text, "(for you: the proof does not show them)")?;
        }
        for (index, path) in files.all().into_iter().enumerate() {
            let head = if index == 0 {
                "\nwritten  "
            } else {
                "         "
            };
            writeln!(text, "{head} {}", path.display())?;
        }
        writeln!(text, "check it: {}", files.verify())?;
        Ok(text)
    }

    fn to_json(&self) -> Result<Value, Failure> {
        let times = &self.run.times;
        let real = real(&self.run.outputs, self.scales);
        Ok(json!({
            "statement": self.statement,
            "program": program_json(self.params.program()),
            "outputs": real,
            "integers": self.run.outputs,
            "files": {
                "proof": self.files.proof,
                "commitment": self.files.commitment,
                "scales": self.files.scales,
            },
            "proof_bytes": self.bytes,
            "step_constraints": self.step_constraints()?,
            "seconds": {
                "keys": self.keys.as_secs_f64(),
                "commit": self.commit.as_secs_f64(),
                "inference": times.inference.as_secs_f64(),
                "trace": times.prove.as_secs_f64(),
                "sumcheck": times.sumcheck.as_secs_f64(),
                "fold": times.fold.as_secs_f64(),
                "compress": times.compress.as_secs_f64(),
                "opening": times.opening.as_secs_f64(),
                "verify": self.verify.as_secs_f64(),
            },
        }))
    }
}
