//! Programs that ask for more work than their size allows.

use super::prover::{Bench, affine, layer, program, times};
use crate::{
    program::{
        Emission, MapRef, MapShape, Monomial, Operation, Output, Program, Register, Spread, Term,
        VectorShape,
    },
    trace::{
        TraceProof,
        lower::{Instance, lower},
        system::System,
    },
};

/// `y = A·x` of two entries, and operations on it; the last one is the output.
fn after_an_affine(next: impl Fn(Register) -> Vec<Operation>, levels: usize) -> Program {
    let affine = Operation::Affine {
        terms: vec![Term {
            map: MapRef::Fixed(0),
            input: Register::FRAME,
        }],
        rows: 2,
        bits: 20,
        shift: 0,
    };
    let mut operations = vec![affine];
    for _ in 0..levels {
        let last = Register::result_of(operations.len() - 1);
        operations.extend(next(last));
    }
    Program {
        maps: vec![MapShape {
            rows: 2,
            columns: 2,
        }],
        tables: vec![],
        frame: VectorShape { len: 2, width: 8 },
        carried: vec![],
        spread: Spread::Frames { per_step: 1 },
        output: Output {
            register: Register::result_of(operations.len() - 1),
            len: 1,
        },
        operations,
        head: vec![],
        emission: Emission::Each,
        frame_limit: u64::MAX,
    }
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
        let mut program = after_an_affine(
            |last| {
                let monomial = |coefficient| Monomial {
                    coefficient,
                    left: last,
                    right: None,
                };
                vec![Operation::Combine {
                    constant: 0,
                    monomials: vec![monomial(1), monomial(0)],
                    bits: 20,
                    shift: 0,
                }]
            },
            levels,
        );
        for (k, operation) in program.operations.iter_mut().enumerate() {
            if let Operation::Combine { bits, .. } = operation {
                *bits = 20 + k as u8;
            }
        }
        terms(&lowered(&program))
    };
    assert!(grown(14) < 2 * grown(7), "{} and {}", grown(7), grown(14));
}

/// A part of a register put beside itself and cut off again is that part.
#[test]
fn parts_that_are_cut_off_leave_no_terms() {
    let grown = |levels: usize| {
        let program = after_an_affine(
            |last| {
                vec![
                    Operation::Concat {
                        inputs: vec![last, last],
                    },
                    Operation::Slice {
                        input: Register::result_of(last.index() - 2 + 1),
                        start: 0,
                        len: 2,
                    },
                ]
            },
            levels,
        );
        terms(&lowered(&program))
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
    let mut operations = vec![affine(0, Register::FRAME, 1, 32, 0)];
    let mut parts = Vec::new();
    for start in 0..len {
        operations.push(Operation::Slice {
            input: Register::FRAME,
            start,
            len: 1,
        });
        parts.push(Register::result_of(operations.len() - 1));
    }
    let mut sums = Vec::new();
    for parts in parts.chunks(8) {
        let pairs: Vec<Monomial> = (0..8)
            .flat_map(|a| (0..a).map(move |b| (a, b)))
            .map(|(a, b)| times(1, parts[a], Some(parts[b])))
            .collect();
        for monomials in pairs.chunks(14) {
            operations.push(Operation::Combine {
                constant: 0,
                monomials: monomials.to_vec(),
                bits: 30,
                shift: 0,
            });
            sums.push(Register::result_of(operations.len() - 1));
        }
    }
    let (mut level, mut bits) = (sums, 30);
    while level.len() > 1 {
        bits += 5;
        level = level
            .chunks(8)
            .map(|chunk| {
                operations.push(Operation::Combine {
                    constant: 0,
                    monomials: chunk.iter().map(|r| times(1, *r, None)).collect(),
                    bits,
                    shift: 0,
                });
                Register::result_of(operations.len() - 1)
            })
            .collect();
    }
    let many = level[0];
    for _ in 0..100 {
        operations.push(Operation::Slice {
            input: many,
            start: 0,
            len: 1,
        });
    }
    let mut program = program(len, &[(1, len)], operations, 1);
    program.output.register = Register::result_of(program.operations.len() - 1);
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
