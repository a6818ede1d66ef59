//! Programs that ask for more work than their size allows.

use super::prover::{Bench, layer};
use crate::{
    program::{Affine, Builder, Combine, Concat, Program, ProgramError, Register, Slice},
    trace::{
        TraceProof,
        lower::{Instance, lower},
        system::System,
    },
};

/// `y = A·x` of two entries, and operations on it, again and again; the last one is the output.
fn after_an_affine(
    next: impl Fn(&mut Builder, Register) -> Result<Register, ProgramError>,
    levels: usize,
) -> Program {
    let mut builder = Builder::new(2, 8);
    let map = builder.map(2, 2);
    let mut last = builder
        .affine(&[(map, Register::FRAME)], Affine::reach_of(20, 0))
        .unwrap();
    for _ in 0..levels {
        last = next(&mut builder, last).unwrap();
    }
    let first = builder.slice(last, 0, 1).unwrap();
    builder.finish(first).unwrap()
}

fn lowered(program: &Program) -> System {
    // What comes as bytes is validated: these are programs that anyone may hand to a verifier.
    let program = Program::from_bytes(&program.to_bytes()).unwrap();
    let instance = Instance {
        frames: 1,
        initial: &[],
        inputs: None,
        outputs: Some(&[0]),
    };
    lower(&program, instance).unwrap()
}

/// Terms of all forms.
fn terms(system: &System) -> usize {
    let parts = system
        .lookups
        .iter()
        .flat_map(|l| &l.parts)
        .map(|p| &p.form);
    let forms = parts.chain(&system.identities);
    forms
        .map(|f| f.linear.views.len() + f.affines.len() + f.products.len())
        .sum()
}

/// A sum of one register with itself has the terms of that register, not twice as many: else thirty
/// operations ask the verifier for 2^30 of them.
#[test]
fn sums_of_sums_do_not_double_their_terms() {
    let grown = |levels: usize| {
        let twice =
            |b: &mut Builder, last| b.push(Combine::new(0, &[(1, last, None), (0, last, None)]));
        terms(&lowered(&after_an_affine(twice, levels)))
    };
    assert!(grown(14) < 2 * grown(7), "{} and {}", grown(7), grown(14));
}

/// A part of a register put beside itself and cut off again is that part.
#[test]
fn parts_that_are_cut_off_leave_no_terms() {
    let grown = |levels: usize| {
        let beside = |b: &mut Builder, last| {
            let inputs = vec![last, last];
            let input = b.push(Concat { inputs })?;
            let (start, len) = (0, 2);
            b.push(Slice { input, start, len })
        };
        terms(&lowered(&after_an_affine(beside, levels)))
    };
    assert!(grown(14) < 2 * grown(7), "{} and {}", grown(7), grown(14));
}

/// Bits of rows that a proof claims: no tables are made for a proof that is cut off.
#[test]
fn a_claim_of_long_rows_costs_a_verifier_little() {
    let bench = Bench::new(&layer(1, 1), 1, true);
    let digests = [None, None];
    let inputs = bench.case.frames.concat();
    let statement = bench.statement(&digests, &inputs);
    let proof = TraceProof {
        row_bits: 14,
        tail_bits: 14,
        body: Vec::new(),
    };
    assert!(bench.check(&statement, &proof).is_err());
}

/// Parts of a sum of many products are not looked for among all products, one by one.
#[test]
fn parts_of_many_products_are_found_soon() {
    let len = 288;
    let mut builder = Builder::new(len, 8);
    let map = builder.map(1, len);
    builder
        .affine(&[(map, Register::FRAME)], Affine::reach_of(32, 0))
        .unwrap();
    let parts: Vec<Register> = (0..len)
        .map(|start| builder.slice(Register::FRAME, start, 1).unwrap())
        .collect();
    let mut level = Vec::new();
    for parts in parts.chunks(8) {
        let pairs: Vec<_> = (0..8)
            .flat_map(|a| (0..a).map(move |b| (a, b)))
            .map(|(a, b)| (1, parts[a], Some(parts[b])))
            .collect();
        for monomials in pairs.chunks(14) {
            level.push(builder.combine(0, monomials).unwrap());
        }
    }
    while level.len() > 1 {
        level = level
            .chunks(8)
            .map(|chunk| {
                let monomials: Vec<_> = chunk.iter().map(|r| (1, *r, None)).collect();
                builder.combine(0, &monomials).unwrap()
            })
            .collect();
    }
    let mut last = level[0];
    for _ in 0..100 {
        last = builder.slice(level[0], 0, 1).unwrap();
    }
    let program = builder.finish(last).unwrap();
    let program = Program::from_bytes(&program.to_bytes()).unwrap();
    let frames = vec![1; len as usize];
    let system = lower(
        &program,
        Instance {
            frames: 1,
            initial: &[],
            inputs: Some(&frames),
            outputs: Some(&[0]),
        },
    );
    // All slices are of the same products.
    assert_eq!(system.map(|s| s.products.len()), Some(1008));
}
