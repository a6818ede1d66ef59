//! The verifier in Python, which was written from the protocol notes alone, comes to the same verdicts.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use super::{
    lowering::{Case, case, sliding_case},
    proofs::{Proved, parameters},
};
use crate::{
    hex::encode,
    statement::Visibility,
    tests::suite,
    trace::{PublicVectors, TraceProof, TraceStatement},
};

/// A statement as the second verifier reads it.
fn json(statement: &TraceStatement<'_>) -> String {
    let vectors = |vectors: PublicVectors<'_>| match vectors {
        PublicVectors::Digest(digest) => format!(r#"{{"digest": "{}"}}"#, encode(digest)),
        PublicVectors::Entries(entries) => format!(r#"{{"entries": {entries:?}}}"#),
    };
    format!(
        r#"{{"context": "{}", "parameters": {:?}, "frames": {}, "own_rows": {}, "inputs": {}, "outputs": {}}}"#,
        encode(statement.context),
        statement.parameters,
        statement.frames,
        statement.own_rows,
        vectors(statement.inputs),
        vectors(statement.outputs),
    )
}

fn write(directory: &Path, name: &str, proved: &Proved, list: &mut String) {
    let (case, outcome) = (&proved.case, &proved.outcome);
    let at = |suffix: &str| directory.join(format!("{name}{suffix}"));
    fs::write(at(".program"), case.program.to_bytes()).unwrap();
    fs::write(at(".commitment"), proved.bank.commitment().to_bytes()).unwrap();
    let (inputs, parameters) = (case.frames.concat(), parameters(case));
    let statement = TraceStatement {
        model: proved.bank.commitment(),
        context: b"context",
        parameters: &parameters,
        frames: case.frames.len() as u64,
        own_rows: proved.own_rows,
        inputs: match &outcome.inputs {
            Some(digest) => PublicVectors::Digest(digest),
            None => PublicVectors::Entries(&inputs),
        },
        outputs: match &outcome.outputs {
            Some(digest) => PublicVectors::Digest(digest),
            None => PublicVectors::Entries(&case.outputs),
        },
    };
    let mut number = 0;
    let mut put = |what: &str, statement: &TraceStatement<'_>, proof: &TraceProof| {
        let file = format!("{name}-{number}");
        number += 1;
        fs::write(directory.join(format!("{file}.json")), json(statement)).unwrap();
        let bytes = [&[proof.row_bits, proof.tail_bits], proof.body.as_slice()].concat();
        fs::write(directory.join(format!("{file}.proof")), bytes).unwrap();
        let verdict = match proved.key.verify(statement, proof) {
            Ok(()) => "valid",
            Err(_) => "invalid",
        };
        assert_eq!(verdict == "valid", what == "honest", "{name}: {what}");
        writeln!(list, "{name}\t{file}\t{what}\t{verdict}").unwrap();
    };
    put("honest", &statement, &outcome.proof);
    let length = outcome.proof.body.len();
    for place in [0, length / 3, length - 40, length - 1] {
        let mut changed = outcome.proof.clone();
        changed.body[place] ^= 1;
        put("a changed byte", &statement, &changed);
    }
    let mut longer = outcome.proof.clone();
    longer.body.extend([0; 32]);
    put("an element more", &statement, &longer);
    let other = TraceStatement {
        context: b"another",
        ..statement
    };
    put("another context", &other, &outcome.proof);
    let other = TraceStatement {
        own_rows: !statement.own_rows,
        ..statement
    };
    put("other rows of digests", &other, &outcome.proof);
}

#[test]
fn the_second_verifier_agrees() {
    if Command::new("python3").arg("--version").output().is_err() {
        // Seen with --nocapture, and in the time that the test takes.
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut cases = Vec::new();
    type Make = fn(u64, u64) -> Option<Case>;
    for (name, make) in [("case", case as Make), ("sliding", sliding_case)] {
        let all = (0..4000).filter_map(|seed| Some((seed, make(seed, 4)?)));
        let provable = all.filter(|(seed, case)| case.system(seed % 2 == 0).is_some());
        for (seed, case) in provable.take(12) {
            cases.push((seed, format!("{name}-{seed}"), case));
        }
    }
    // Every seventh; those of several operations are the last.
    for (k, (name, program, bank, frames)) in (0..).zip(suite::windows()) {
        if k % 7 == 0 || k >= 40 {
            let name = name.replace([' ', ','], "-");
            cases.push((k, name, Case::run(program, bank, frames)));
        }
    }
    let mut list = String::new();
    for (seed, name, case) in cases {
        let visibility = if seed % 2 == 0 {
            Visibility::public_inputs().public_outputs()
        } else {
            Visibility::private_inputs()
        };
        let proved = Proved::new(case, visibility, seed % 3 == 0);
        write(directory.path(), &name, &proved, &mut list);
    }
    fs::write(directory.path().join("list"), list).unwrap();
    let tool = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/verify_trace.py");
    let output = Command::new("python3")
        .args([tool, "--list"])
        .arg(directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("0 differ"), "{said}");
}
