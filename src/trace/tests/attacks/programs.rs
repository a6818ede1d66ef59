//! Programs that ask for more work than their size allows.

use crate::{
    program::{
        Emission, MapRef, MapShape, Monomial, Operation, Output, Program, Register, Spread, Term,
        VectorShape,
    },
    trace::{
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
