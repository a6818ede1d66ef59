//! Programs that are valid and hostile: what they do to a verifier who did not write them.

use crate::{
    program::{
        Affine, Carried, Combine, Concat, Emission, Lookup, MapShape, Operation, Order, Output,
        Program, Register, Relu, Slice, Table, Term, VectorShape, Window, WindowAxis,
    },
    trace::{
        lower::{Instance, lower},
        system::System,
    },
};

const FIRST: Register = Register::Result(0);

fn slice(input: Register, start: u32, len: u32) -> Operation {
    Slice { input, start, len }.into()
}

/// The first entry of the frame, an affine map of it; then `more`, from result 2 on.
fn program(len: u32, more: Vec<Operation>, output: Output) -> Program {
    let terms = vec![Term {
        map: 0,
        input: FIRST,
        window: None,
    }];
    let reach = Affine::reach_of(30, 4);
    let mut operations = vec![slice(Register::FRAME, 0, 1), Affine { terms, reach }.into()];
    operations.extend(more);
    let constant = |value| Table::of_bytes(vec![value; 256]);
    Program {
        maps: vec![MapShape {
            rows: 1,
            columns: 1,
        }],
        tables: vec![constant(3), constant(1)],
        frame: VectorShape { len, width: 8 },
        carried: vec![],
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
    let mut operations = Vec::new();
    let mut push = |operation: Operation| {
        operations.push(operation);
        Register::result_of(operations.len() + 1)
    };
    let table = |table| {
        Operation::Lookup(Lookup {
            input: FIRST,
            table,
        })
    };
    let (three, one) = (push(table(0)), push(table(1)));
    let mut z = push(Combine::new(-3, &[(1, three, None)]).into());
    for coefficient in [1 << 30, 1 << 30, 1 << 30, 1 << 30, 1 << 6] {
        z = push(Combine::new(0, &[(coefficient, z, None)]).into());
    }
    let again = push(Combine::new(0, &[(1, z, None)]).into());
    let products = |k: usize| [(A[k], z, Some(again)), (B[k], z, Some(one))];
    let mut register = push(Combine::new(0, &products(0)).into());
    for k in 1..5 {
        let [a, b] = products(k);
        register = push(Combine::new(0, &[(1 << 30, register, None), a, b]).into());
    }
    let output = Output { register, len: 1 };
    assert!(lowered(&program(1, operations, output), 1).is_none());
}

/// A product that nothing reads is no part of the argument, however large it is.
#[test]
fn products_that_nothing_reads_are_dropped() {
    let whole = Register::Result(2);
    let operations = vec![
        slice(Register::FRAME, 0, 1024),
        Combine::new(0, &[(1, Register::FRAME, Some(whole))]).into(),
    ];
    let output = Output {
        register: FIRST,
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
    let mut gather = |from: Register, stride: u32| {
        let first = operations.len() as u32 + 2;
        operations.extend((0..n).map(|k| slice(from, k * stride % n, 1)));
        let inputs = (first..first + n).map(Register::Result).collect();
        operations.push(Concat { inputs }.into());
        Register::Result(first + n)
    };
    let after = gather(Register::FRAME, 5);
    let input = gather(Register::CARRIED, 7);
    operations.push(Relu { input }.into());
    let output = Output {
        register: FIRST,
        len: 1,
    };
    let mut program = program(n, operations, output);
    program.carried = vec![Carried {
        shape: VectorShape { len: n, width: 8 },
        initial: vec![0; n as usize],
        next: after,
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
        .map(|k| slice(Register::FRAME, 1 + k, 1))
        .collect();
    let inputs = (2..2 + parts).map(Register::Result).collect();
    operations.push(Concat { inputs }.into());
    let output = Output {
        register: Register::Result(2 + parts),
        len: parts,
    };
    assert!(lowered(&program(1 << 8, operations.clone(), output), 1).is_some());
    assert!(lowered(&program(1 << 16, operations, output), 1).is_none());
}

/// Terms of the first map, of one column, under as many windows that all read the first entry.
fn slid(input: Register, len: u32, windows: std::ops::Range<u32>) -> Operation {
    let terms = windows.map(|k| {
        let axis = WindowAxis {
            size: len,
            offsets: 1,
            stride: 1 + k % 256,
            dilation: 1 + k / 256,
            ..WindowAxis::summed(1)
        };
        Term {
            map: 0,
            input,
            window: Some(Window {
                axes: vec![axis],
                order: Order::Rows,
            }),
        }
    });
    let reach = Affine::reach_of(30, 4);
    let terms = terms.collect();
    Affine { terms, reach }.into()
}

/// Every window has weights of its own for each view of what it reads.
#[test]
fn windows_count_what_they_read() {
    let windows = |count| {
        let mut operations: Vec<Operation> =
            (0..256).map(|k| slice(Register::FRAME, k, 1)).collect();
        let inputs = (2..258).map(Register::Result).collect();
        operations.push(Concat { inputs }.into());
        operations.push(slid(Register::Result(258), 256, 0..count));
        let output = Output {
            register: Register::Result(259),
            len: 1,
        };
        program(4096, operations, output)
    };
    assert!(lowered(&windows(2), 1).is_some());
    assert!(lowered(&windows(64), 1).is_none());
}

/// Frames that everybody knows are summed for every product with the bank.
#[test]
fn products_with_public_frames_count_them() {
    let windows = |count| {
        let output = Output {
            register: Register::Result(2),
            len: 1,
        };
        program(4096, vec![slid(Register::FRAME, 4096, 0..count)], output)
    };
    assert!(lowered(&windows(4), 16).is_some());
    assert!(lowered(&windows(1024), 16).is_none());
}

#[test]
fn windows_have_a_limit() {
    let output = Output {
        register: FIRST,
        len: 1,
    };
    let of = |count: u32| (0..count).map(|k| slid(FIRST, 1, 1024 * k..1024 * (k + 1)));
    assert!(lowered(&program(1, of(7).collect(), output), 1).is_some());
    assert!(lowered(&program(1, of(10).collect(), output), 1).is_none());
}
