//! Programs that are valid and hostile: what they do to a verifier who did not write them.

use crate::{
    program::{
        Carried, Emission, MapRef, MapShape, Monomial, Operation, Output, Program, Register,
        Spread, Table, Term, VectorShape,
    },
    trace::{
        lower::{Instance, lower},
        system::System,
    },
};

fn polynomial(constant: i64, monomials: &[(i32, usize, Option<usize>)], width: u8) -> Operation {
    let register = |at: usize| Register(at as u32);
    Operation::Polynomial {
        constant,
        monomials: monomials
            .iter()
            .map(|(coefficient, left, right)| Monomial {
                coefficient: *coefficient,
                left: register(*left),
                right: right.map(register),
            })
            .collect(),
        width,
        offset: 1 << (width - 1),
    }
}

/// Register 2 is the first entry of the frame, 3 an affine map of it; then `more`.
fn program(len: u32, more: Vec<Operation>, output: Output) -> Program {
    let mut operations = vec![
        Operation::Slice {
            input: Register::FRAME,
            start: 0,
            len: 1,
        },
        Operation::Affine {
            terms: vec![Term {
                map: MapRef::Fixed(0),
                input: Register(2),
            }],
            rows: 1,
            bits: 30,
            shift: 4,
        },
    ];
    operations.extend(more);
    let constant = |value| Table {
        values: vec![value; 256],
        width: 8,
    };
    Program {
        maps: vec![MapShape {
            rows: 1,
            columns: 1,
        }],
        tables: vec![constant(3), constant(1)],
        frame: VectorShape { len, width: 8 },
        carried: vec![],
        spread: Spread::Frames { per_step: 1 },
        operations,
        head: vec![],
        output,
        emission: Emission::Each,
        frame_limit: 16,
    }
}

fn lowered(program: &Program, frames: usize) -> Option<System> {
    let program = Program::from_bytes(&program.to_bytes()).unwrap();
    let inputs = vec![0; frames * program.frame().len as usize];
    let outputs = vec![0; frames * program.output_shape().len];
    let instance = Instance {
        frames,
        initial: &program.initial_carried(),
        inputs: Some(&inputs),
        outputs: Some(&outputs),
    };
    lower(&program, instance)
}

/// A register that can only be 0 may be multiplied by anything. `z` is `2^126·t − 3·2^126` with
/// `t = 3`, and other products of it are chosen so that the output would be 4 if `3·2^126` were to
/// wrap around to `−2^126` in 128 bits.
#[test]
fn factors_do_not_wrap_around() {
    const A: [i32; 5] = [22, 839_820_384, 959_506_888, 823_897_219, 1_073_741_823];
    const B: [i32; 5] = [12, 216_016_039, 1_064_638_189, 642_999_139, 988_942_021];
    let table = |table| Operation::Table {
        input: Register(2),
        table,
    };
    let mut operations = vec![table(0), table(1), polynomial(-3, &[(1, 4, None)], 8)];
    let mut at = 6;
    for coefficient in [1 << 30, 1 << 30, 1 << 30, 1 << 30, 1 << 6] {
        operations.push(polynomial(0, &[(coefficient, at, None)], 8));
        at += 1;
    }
    let (z, again) = (at, at + 1);
    operations.push(polynomial(0, &[(1, z, None)], 8));
    let products = |k: usize| [(A[k], z, Some(again)), (B[k], z, Some(5))];
    operations.push(polynomial(0, &products(0), 8));
    at = again + 1;
    for k in 1..5 {
        let [a, b] = products(k);
        operations.push(polynomial(0, &[(1 << 30, at, None), a, b], 8));
        at += 1;
    }
    let output = Output {
        register: Register(at as u32),
        len: 1,
    };
    assert!(lowered(&program(1, operations, output), 1).is_none());
}

/// A product that nothing reads is no part of the argument, however large it is.
#[test]
fn products_that_nothing_reads_are_dropped() {
    let operations = vec![
        Operation::Slice {
            input: Register::FRAME,
            start: 0,
            len: 1024,
        },
        polynomial(0, &[(1, 0, Some(4))], 20),
    ];
    let output = Output {
        register: Register(2),
        len: 1,
    };
    let system = lowered(&program(1024, operations, output), 1).unwrap();
    assert!(system.products.is_empty());
}

/// `n` slices of the state, which is `n` slices of the frame, are `n` views of the frame before and
/// `n` of the initial vector.
#[test]
fn state_that_is_read_in_pieces_is_as_long_as_it_is() {
    let n = 256;
    let mut operations = Vec::new();
    let mut next = 4;
    let mut gather = |from: u32, stride: u32| {
        for k in 0..n {
            operations.push(Operation::Slice {
                input: Register(from),
                start: k * stride % n,
                len: 1,
            });
        }
        operations.push(Operation::Concat {
            inputs: (next..next + n).map(Register).collect(),
        });
        next += n + 1;
        next - 1
    };
    let after = gather(0, 5);
    let read = gather(1, 7);
    operations.push(Operation::Relu {
        input: Register(read),
    });
    let output = Output {
        register: Register(2),
        len: 1,
    };
    let mut program = program(n, operations, output);
    program.carried = vec![Carried {
        shape: VectorShape { len: n, width: 8 },
        initial: vec![0; n as usize],
        next: Register(after),
        parameter: false,
    }];
    let system = lowered(&program, 2).unwrap();
    let views = system
        .lookups
        .iter()
        .map(|l| l.parts[0].form.linear.views.len());
    assert!(views.max().unwrap() <= 2 * n as usize + 1);
}

/// Every part of a long frame that is read alone takes a vector of the frame's length.
#[test]
fn vectors_of_axes_have_a_limit() {
    let parts = 200;
    let mut operations: Vec<Operation> = (0..parts)
        .map(|k| Operation::Slice {
            input: Register::FRAME,
            start: 1 + k,
            len: 1,
        })
        .collect();
    operations.push(Operation::Concat {
        inputs: (4..4 + parts).map(Register).collect(),
    });
    let output = Output {
        register: Register(4 + parts),
        len: parts,
    };
    assert!(lowered(&program(1 << 8, operations.clone(), output), 1).is_some());
    assert!(lowered(&program(1 << 16, operations, output), 1).is_none());
}
