//! Files that were made once and are kept: whoever has such files can read them for as long as their
//! formats keep their numbers. After a change of format, and only then, they are made anew:
//! `LAYERFOLD_FREEZE=1 cargo test --release --test frozen`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{fs, path::PathBuf};

use layerfold::{
    BlindingSeed, ModelCommitment, Outputs, Params, Proof, ProofKind, Prover, Quantized, Verifier,
    Visibility,
    program::{Affine, AffineMap, Builder, Combine, Program, WeightBank},
};

/// A network with state: 8-bit values, an exact output.
fn quantized() -> Quantized {
    let mut builder = Builder::new(4, 8);
    let before = builder.state(vec![1, -2, 3], 8).unwrap();
    let (read, shown) = (builder.map(3, 4), builder.map(2, 3));
    let sums = builder
        .affine(&[(read, builder.frame())], Affine::reach_of(24, 4))
        .unwrap();
    let rounded = builder.requantize(sums, 4, 8).unwrap();
    let y = builder.relu(rounded).unwrap();
    let both = builder
        .push(Combine::new(0, &[(1, y, None), (1, before, None)]))
        .unwrap();
    let next = builder.requantize(both, 1, 8).unwrap();
    builder.carry(before, next);
    let output = builder
        .affine(&[(shown, next)], Affine::reach_of(24, 0))
        .unwrap();
    let program = builder.finish(output).unwrap();
    let weights = |n: i16| (0..n).map(|i| (i * 37 + 11) % 61 - 30).collect();
    let maps = vec![
        AffineMap::new(4, weights(12), vec![5, -7, 100]).unwrap(),
        AffineMap::new(3, weights(6), vec![-1000, 1000]).unwrap(),
    ];
    Quantized::from_integers(program, WeightBank::new(maps).unwrap(), 0.5, 0.25).unwrap()
}

fn frames() -> Vec<Vec<i64>> {
    vec![vec![1, -2, 100, 0], vec![-128, 127, 3, 50]]
}

const SEED: [u8; 32] = [7; 32];
const KINDS: [(ProofKind, &str); 2] = [
    (ProofKind::Trace, "trace"),
    (ProofKind::Recursive, "recursive"),
];

fn path(name: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/frozen");
    PathBuf::from(folder).join(name)
}

fn read(name: &str) -> Vec<u8> {
    fs::read(path(name)).unwrap()
}

fn prover() -> Prover {
    let quantized = quantized();
    let params = Params::setup(quantized.program()).unwrap();
    Prover::with_blinding(&params, &quantized, BlindingSeed::from_bytes(SEED)).unwrap()
}

fn freeze() {
    let write = |name: &str, bytes: &[u8]| fs::write(path(name), bytes).unwrap();
    let (quantized, prover) = (quantized(), prover());
    write("program", &quantized.program().to_bytes());
    write("quantized", &quantized.to_bytes().unwrap());
    write("commitment", &prover.model_commitment().to_bytes());
    for (kind, name) in KINDS {
        let visibility = Visibility::private_inputs().public_outputs();
        let mut session = prover.session_with_context(visibility, b"kept").unwrap();
        session.set_kind(Some(kind)).unwrap();
        session.push_integers(&frames()[0]).unwrap();
        let checkpoint = session.checkpoint().unwrap();
        write(&format!("{name}-checkpoint"), &checkpoint);
        session.push_integers(&frames()[1]).unwrap();
        let proof = session.finish().unwrap();
        write(&format!("{name}-proof"), &proof.to_bytes());
    }
}

#[test]
fn files_that_were_kept_can_be_read() {
    if std::env::var_os("LAYERFOLD_FREEZE").is_some() {
        freeze();
    }
    let (quantized, prover) = (quantized(), prover());
    let program = Program::from_bytes(&read("program")).unwrap();
    assert_eq!(program, *quantized.program());
    assert_eq!(program.to_bytes(), read("program"));
    let saved = Quantized::from_bytes(&read("quantized")).unwrap();
    assert_eq!(saved.program(), quantized.program());
    assert_eq!(saved.bank(), quantized.bank());
    let commitment = ModelCommitment::from_bytes(&read("commitment")).unwrap();
    assert_eq!(commitment, prover.model_commitment());
    let expected: Vec<Vec<i64>> = {
        let mut state = program.initial_carried();
        let bank = quantized.bank();
        let each = |x: &Vec<i64>| program.run(bank, &mut state, x).unwrap();
        frames().iter().map(each).collect()
    };
    for (kind, name) in KINDS {
        let verified = |proof: &Proof| {
            let params = Params::for_proof(&program, proof).unwrap();
            let verifier = Verifier::new(&params, commitment.clone());
            let statement = verifier.context(b"kept").kind(kind).verify(proof).unwrap();
            let Outputs::Public { vectors } = statement.outputs else {
                panic!("outputs are public");
            };
            assert_eq!(vectors, expected, "{name}");
        };
        verified(&Proof::from_bytes(&read(&format!("{name}-proof"))).unwrap());
        let checkpoint = read(&format!("{name}-checkpoint"));
        let mut session = prover.resume(&checkpoint).unwrap();
        session.set_kind(Some(kind)).unwrap();
        session.push_integers(&frames()[1]).unwrap();
        verified(&session.finish().unwrap());
    }
}
