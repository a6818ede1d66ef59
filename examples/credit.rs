//! An applicant proves that she is approved, and shows neither her attributes nor her score.
//!
//! ```text
//! cargo run --release --example credit [-- ROW]
//! ```
//!
//! Her bank vouches for the attributes: it digests them with a salt and signs that it did. The
//! lender knows the commitment to the model, the threshold and what the bank signed, and verifies. `ROW`
//! chooses one of the 300 held-out applicants (default: the first who is approved). Then five proofs that
//! are refused.
//!
//! The network was trained on the German credit data and serves to show how such a proof works; it
//! is no better than a logistic regression there (see `examples/data/README.md`).
#![expect(clippy::print_stdout, reason = "an example talks to people")]

#[path = "support/csv.rs"]
mod csv;

use std::{error::Error, time::Instant};

use csv::table;
use layerfold::{
    Attestation, Network, Params, Precision, Proof, ProofKind, Prover, Quantized, Salt, Verifier,
    VerifyError, Visibility, digest_of_frames,
    network::Function,
    program::{Claim, Predicate, Threshold},
};
use ndarray::{Array2, ArrayView1};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data");
const INPUTS: usize = 20;
/// Approved if the probability of being repaid is at least 13/16 (a bad credit costs five times
/// what a good one brings, to the nearest sixteenth).
const THRESHOLD: f64 = 13.0 / 16.0;

fn model() -> Result<(Network, Quantized), Box<dyn Error>> {
    let bytes = std::fs::read(format!("{DATA}/credit-20-32-16-1.safetensors"))?;
    let layers = [
        ("fc1", Some(Function::Relu)),
        ("fc2", Some(Function::Relu)),
        ("fc3", Some(Function::Sigmoid)),
    ];
    let model = Network::from_safetensors(&bytes, &layers)?;
    let calibration = table(format!("{DATA}/credit-calibration.csv"))?;
    let quantized = model.quantize(&calibration, &Precision::default())?;
    Ok((model, quantized))
}

/// Area under the curve: the chance that a good credit has the higher score.
fn auc(scores: &[(f64, bool)]) -> f64 {
    let (mut wins, mut pairs) = (0.0, 0.0);
    for (good, _) in scores.iter().filter(|s| s.1) {
        for (bad, _) in scores.iter().filter(|s| !s.1) {
            pairs += 1.0;
            wins += match good.partial_cmp(bad) {
                Some(std::cmp::Ordering::Greater) => 1.0,
                Some(std::cmp::Ordering::Equal) => 0.5,
                _ => 0.0,
            };
        }
    }
    wins / pairs
}

fn report(name: &str, scores: &[(f64, bool)]) {
    let right = scores.iter().filter(|(p, good)| (*p >= 0.5) == *good);
    println!(
        "          {name:8} AUC {:.3}, accuracy at 0.5 {:.1} %",
        auc(scores),
        100.0 * right.count() as f64 / scores.len() as f64
    );
}

fn main() -> Result<(), Box<dyn Error>> {
    let (model, quantized) = model()?;
    let held_out: Array2<f32> = table(format!("{DATA}/credit-heldout.csv"))?;
    let attributes = |row: usize| held_out.row(row).slice_move_to(INPUTS);

    println!(
        "model     20-32-16-1 on {} held-out applicants",
        held_out.nrows()
    );
    let (mut float, mut integer) = (Vec::new(), Vec::new());
    for row in 0..held_out.nrows() {
        let good = held_out[[row, INPUTS]] == 1.0;
        let x = attributes(row);
        float.push((f64::from(model.infer(x)?[0]), good));
        integer.push((f64::from(quantized.infer(x)?[0]), good));
    }
    report("floats", &float);
    report("integers", &integer);
    let row = match std::env::args().nth(1) {
        Some(row) => row.parse()?,
        None => integer.iter().position(|s| s.0 >= THRESHOLD).unwrap_or(0),
    };
    if row >= held_out.nrows() {
        return Err("there are 300 applicants: 0 to 299".into());
    }

    // One program for every threshold: it is a parameter of the statement.
    let claim = Claim::Holds(Predicate::AtLeast {
        entry: 0,
        threshold: Threshold::Parameter,
    });
    let program = quantized.program().with_claim(claim)?;
    let params = Params::setup(&program)?;
    let prover = Prover::new(&params, &quantized)?;
    let threshold = quantized.threshold(THRESHOLD)?;
    println!("program   \"score >= t\"; t = {threshold}, which is {THRESHOLD}");

    // The applicant's bank digests what it knows of her, and signs the message.
    let applicant = quantized.quantize_input(attributes(row))?;
    let salt = Salt::random();
    let attested = |frame: &[i64], salt: &Salt, number| {
        let attested = Attestation::of_frame(&program, ProofKind::Trace, frame, salt)?;
        Ok::<_, layerfold::Error>(attested.with_source(b"bank")?.with_number(number))
    };
    let vouched = attested(&applicant, &salt, 4711)?;
    println!(
        "bank      vouches for the attributes behind {}",
        vouched.digest()
    );

    let visibility = Visibility::private_inputs().public_outputs();
    let prove = |prover: &Prover, frame: &[i64], salt: &Salt, t: i64, context: &[u8]| {
        let mut session = prover.session_with(visibility, context, &[t])?;
        session.push_attested(frame, salt)?;
        session.finish()
    };
    let context = b"credit 4711, asked for on 2026-11-20";
    let started = Instant::now();
    let bytes = prove(&prover, &applicant, &salt, threshold, context)?.to_bytes();
    println!(
        "applicant proves in {:.2?}: {} bytes",
        started.elapsed(),
        bytes.len()
    );

    // The lender has what the bank signed.
    let digest = |vouched: &Attestation| {
        digest_of_frames(vouched.kind(), &[vouched.digest()]).ok_or("not a digest")
    };
    let expected = digest(&vouched)?;
    let lender = Verifier::new(&params, prover.model_commitment())
        .visibility(visibility)
        .frames(1)
        .input_digest(expected)
        .parameters(&[threshold])
        .context(context);
    let started = Instant::now();
    let statement = lender.verify(&Proof::from_bytes(&bytes)?)?;
    println!(
        "lender    verifies in {:.2?}: {statement}",
        started.elapsed()
    );
    println!("          {}", statement.in_words(claim));
    let approved = statement.outputs
        == layerfold::Outputs::Public {
            vectors: vec![vec![1]],
        };
    println!(
        "          so applicant {row} is {}\n",
        if approved { "approved" } else { "not approved" }
    );

    // What is refused.
    let refused = |name: &str, result: Result<_, VerifyError>| match result {
        Ok::<layerfold::Statement, _>(_) => Err(format!("{name}: accepted")),
        Err(e) => {
            println!("refused   {name}: {e}");
            Ok(())
        }
    };
    let mut changed = applicant.clone();
    changed[0] = 127;
    let proof = prove(&prover, &changed, &salt, threshold, context)?;
    refused("a changed attribute", lender.verify(&proof))?;
    let proof = prove(&prover, &applicant, &salt, threshold - 40, context)?;
    refused("another threshold", lender.verify(&proof))?;
    let other = Prover::new(&params, &quantized)?;
    let proof = prove(&other, &applicant, &salt, threshold, context)?;
    refused("another model", lender.verify(&proof))?;
    let proof = prove(&prover, &applicant, &salt, threshold, b"credit 4712")?;
    refused("a proof made for another purpose", lender.verify(&proof))?;
    let next = quantized.quantize_input(attributes((row + 1) % held_out.nrows()))?;
    let next = attested(&next, &Salt::random(), 4712)?;
    let next = lender.clone().input_digest(digest(&next)?);
    refused(
        "a proof reused for another applicant",
        next.verify(&Proof::from_bytes(&bytes)?),
    )?;
    Ok(())
}

/// The first entries of a row.
trait First<'a> {
    fn slice_move_to(self, len: usize) -> ArrayView1<'a, f32>;
}

impl<'a> First<'a> for ArrayView1<'a, f32> {
    fn slice_move_to(self, len: usize) -> ArrayView1<'a, f32> {
        self.split_at(ndarray::Axis(0), len).0
    }
}
