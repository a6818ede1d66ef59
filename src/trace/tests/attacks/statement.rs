//! The statement: what a proof is shown with, and that it is of what the interpreter computes.

use super::prover::*;
use crate::{
    program::{
        Affine, Builder, Carried, Combine, Program, Register, Requantize, Table, VectorShape,
    },
    trace::{
        PublicVectors, RowKind, TraceError, TraceStatement, argument,
        digest::{digest_of_points, run_digest},
        system::System,
        witness::Witness,
    },
};

#[test]
fn the_statement_is_bound() {
    for shown in [false, true] {
        let bench = Bench::new(&network(), 3, shown);
        let prepared = bench.prepared();
        let committed = bench.honest(&prepared);
        let proof = bench.prove(&prepared, &committed, Lies::default()).unwrap();
        let digests = bench.digests(&prepared, &committed);
        let inputs = bench.case.frames.concat();
        let right = || bench.statement(&digests, &inputs);
        assert_eq!(bench.check(&right(), &proof), Ok(()));
        let other = Bench::new(&network(), 3, shown);
        let mut exchanged = bench.bank.commitment().clone();
        exchanged.swap_rows_for_test(0, 1);
        let (mut changed, mut outputs) = (inputs.clone(), bench.case.outputs.clone());
        changed[4] += 1;
        outputs[1] += 1;
        let mut swapped = bench.case.frames.clone();
        swapped.swap(0, 2);
        let swapped = swapped.concat();
        let (no_digest, zeros) = ([0x55; 32], vec![0; inputs.len()]);
        let mut wrong = vec![
            TraceStatement {
                context: b"Context",
                ..right()
            },
            TraceStatement {
                context: b"",
                ..right()
            },
            TraceStatement {
                frames: 2,
                ..right()
            },
            TraceStatement {
                frames: 4,
                ..right()
            },
            TraceStatement {
                frames: u64::MAX,
                ..right()
            },
            TraceStatement {
                own_rows: true,
                ..right()
            },
            TraceStatement {
                parameters: &[1],
                ..right()
            },
            TraceStatement {
                model: other.bank.commitment(),
                ..right()
            },
            TraceStatement {
                model: &exchanged,
                ..right()
            },
            TraceStatement {
                inputs: PublicVectors::Digest(&no_digest),
                ..right()
            },
            TraceStatement {
                outputs: PublicVectors::Digest(&no_digest),
                ..right()
            },
            TraceStatement {
                inputs: PublicVectors::Entries(&changed),
                ..right()
            },
            TraceStatement {
                inputs: PublicVectors::Entries(&swapped),
                ..right()
            },
            TraceStatement {
                inputs: PublicVectors::Entries(&zeros),
                ..right()
            },
            TraceStatement {
                outputs: PublicVectors::Entries(&outputs),
                ..right()
            },
            // Lengths are the caller's to check: here they must not panic.
            TraceStatement {
                inputs: PublicVectors::Entries(&inputs[1..]),
                ..right()
            },
            TraceStatement {
                outputs: PublicVectors::Entries(&[]),
                ..right()
            },
            TraceStatement {
                outputs: PublicVectors::Entries(&changed),
                ..right()
            },
        ];
        if let [Some(of_inputs), Some(of_outputs)] = &digests {
            let (inputs, outputs) = (of_outputs, of_inputs);
            wrong.push(TraceStatement {
                inputs: PublicVectors::Digest(inputs),
                ..right()
            });
            wrong.push(TraceStatement {
                outputs: PublicVectors::Digest(outputs),
                ..right()
            });
        }
        for (k, statement) in wrong.iter().enumerate() {
            assert!(bench.check(statement, &proof).is_err(), "{k}");
        }
        // Another program of the same shapes.
        let mut renamed = bench.case.program.digest();
        renamed[0] ^= 1;
        let got = argument::verify(&bench.case.program, &renamed, &right(), &proof);
        assert_eq!(got, Err(TraceError::Invalid));
    }
}

#[test]
fn parameters_are_bound() {
    let monomials = [
        (1, Register::CARRIED, None),
        (1, Register::result_of(1), None),
    ];
    let operations = vec![
        affine(0, Register::FRAME, 13, 4),
        requantize(0, 4),
        Combine::new(0, &monomials).into(),
        requantize(2, 1),
    ];
    let mut program = program(2, &[(2, 2)], operations, 2);
    program.carried = vec![Carried {
        shape: VectorShape { len: 2, width: 8 },
        initial: vec![0; 2],
        next: Register::CARRIED,
        parameter: true,
    }];
    let parameters = [20, -30];
    let case = case_with(
        &program,
        bank_of(&program, 1),
        frames_of(&program, 3),
        &parameters,
    );
    let mut bench = Bench::of(case, true);
    bench.parameters = parameters.to_vec();
    let prepared = bench.prepared();
    let committed = bench.honest(&prepared);
    let proof = bench.prove(&prepared, &committed, Lies::default()).unwrap();
    let inputs = bench.case.frames.concat();
    let digests = [None, None];
    let right = || bench.statement(&digests, &inputs);
    assert_eq!(bench.check(&right(), &proof), Ok(()));
    for parameters in [&[20, -29][..], &[-30, 20], &[20], &[20, -30, 0], &[]] {
        let statement = TraceStatement {
            parameters,
            ..right()
        };
        assert!(bench.check(&statement, &proof).is_err());
    }
    // A proof for other ones, of what these give.
    let mut lying = Bench::of(bench.case, true);
    lying.parameters = vec![20, -29];
    lying.case.initial = vec![vec![20, -29]];
    let prepared = lying.prepared();
    lying.case.initial = vec![parameters.to_vec()];
    let columns = lying.witness(&prepared).columns;
    let (committed, lies, _) = lying.commit_to(&prepared, columns, NoRow::Told);
    assert!(!lying.accepts(&prepared, &committed, lies));
}

/// Frames with rows of their own: the digest that a statement names is of these frames, in this order.
#[test]
fn frames_are_not_left_out_repeated_or_exchanged() {
    let mut bench = Bench::new(&layer(2, 2), 3, false);
    bench.own_rows = true;
    let prepared = bench.prepared();
    let committed = bench.honest(&prepared);
    let proof = bench.prove(&prepared, &committed, Lies::default()).unwrap();
    let shape = bench.case.program.frame_shape();
    let frames = &bench.case.frames;
    let points: Vec<_> = (prepared.layout.rows.iter().zip(&committed.rows))
        .filter(|((_, kind), _)| *kind == Some(RowKind::Input))
        .map(|(_, point)| *point)
        .collect();
    assert_eq!(points.len(), 3, "a row for each frame, none for padding");
    let digest_of = |order: &[usize]| {
        let blocks: Vec<[u8; 32]> = (order.iter())
            .map(|k| digest_of_points(&shape, true, &points[*k..=*k]))
            .collect();
        run_digest(order.len() as u64, &blocks)
    };
    let digests = bench.digests(&prepared, &committed);
    assert_eq!(digests[0], Some(digest_of(&[0, 1, 2])));
    let inputs = frames.concat();
    for order in [
        &[1, 0, 2][..],
        &[0, 1, 1],
        &[0, 1],
        &[0, 1, 2, 2],
        &[0, 0, 1, 2],
    ] {
        let other = [Some(digest_of(order)), digests[1]];
        for frames in [3, order.len() as u64] {
            let statement = TraceStatement {
                frames,
                ..bench.statement(&other, &inputs)
            };
            assert!(bench.check(&statement, &proof).is_err(), "{order:?}");
        }
    }
}

#[test]
fn a_bias_counts_once_for_each_frame() {
    // Three frames and three rows: neither count is that of the padding.
    let program = layer(2, 3);
    let bank = with_weights(&bank_of(&program, 1), |w, b| {
        w.fill(0);
        b.copy_from_slice(&[1000, -700, 90]);
    });
    let bench = Bench::of(case_of(&program, bank, frames_of(&program, 3)), true);
    let prepared = bench.prepared();
    assert_eq!(bench.case.outputs, [63, -44, 6].repeat(3));
    assert!(bench.accepts(&prepared, &bench.honest(&prepared), Lies::default()));
}

/// Whether the system of a program holds for what the interpreter computes on these frames, all of it
/// public, with this weight for every entry and no bias.
fn holds(program: &Program, weight: i16, frames: Vec<Vec<i64>>) -> (bool, System) {
    let bank = with_weights(&bank_of(program, 1), |w, b| {
        w.fill(weight);
        b.fill(0);
    });
    let case = case_of(program, bank, frames);
    let system = case.system(true).unwrap();
    let Witness { columns, rows, .. } = case.witness(&system);
    let wrong = system.violations(&case.bank, &columns, &rows);
    (wrong.is_empty(), system)
}

/// All sums of 20 bits that a weight makes of 13, by the interpreter and the system: rounded, clamped
/// and cut, in one digit and in more, and functions of that.
#[test]
fn clamping_is_that_of_the_interpreter() {
    for (shift, drop, width, weight) in [(4, 0, 8, 1), (0, 0, 8, 1), (3, 2, 2, 1), (2, 0, 13, 77)] {
        for function in ["none", "max(x, 0)", "table"] {
            let mut b = Builder::new(1, 13);
            let map = b.map(1, 1);
            let reach = Affine::reach_of(20, shift);
            let input = b.affine(&[(map, b.frame())], reach).unwrap();
            let requantize = Requantize {
                input,
                shift,
                drop,
                width,
            };
            let x = b.push(requantize).unwrap();
            let output = match function {
                "none" => x,
                "table" => {
                    let least = -(1 << (width - 1));
                    let values = (least..-least)
                        .map(|x| (x * x + 5 * x) % 1000 - 3)
                        .collect();
                    b.look_up(x, Table { least, values }).unwrap()
                }
                _ => b.relu(x).unwrap(),
            };
            let program = b.finish(output).unwrap();
            let (holds, _) = holds(&program, weight, (-4096..4096).map(|x| vec![x]).collect());
            assert!(holds, "{shift} {drop} {width} {function}");
        }
    }
}

/// One sum rounded in several ways: bits cut off a wide value are its upper limbs; what is rounded at
/// another place is not.
#[test]
fn values_of_one_sum_are_those_of_the_interpreter() {
    let columns = |ways: &[(u8, u8, u8)]| {
        let mut b = Builder::new(1, 13);
        let map = b.map(1, 1);
        let input = b
            .affine(&[(map, b.frame())], Affine::reach_of(24, 12))
            .unwrap();
        let ways: Vec<Register> = (ways.iter())
            .map(|(shift, drop, width)| {
                let (shift, drop, width) = (*shift, *drop, *width);
                b.push(Requantize {
                    input,
                    shift,
                    drop,
                    width,
                })
                .unwrap()
            })
            .collect();
        let output = b.concat(ways).unwrap();
        let program = b.finish(output).unwrap();
        let (holds, system) = holds(&program, 1234, (-4096..4096).map(|x| vec![x]).collect());
        assert!(holds, "{program:?}");
        system.columns.len()
    };
    let wide = columns(&[(2, 0, 16)]);
    assert_eq!(columns(&[(2, 0, 16), (2, 8, 8)]), wide);
    assert!(columns(&[(2, 0, 16), (10, 0, 8)]) > wide);
    assert!(columns(&[(2, 0, 16), (9, 1, 8)]) > wide);
    assert!(columns(&[(2, 0, 16), (2, 7, 8)]) > wide);
    assert_eq!(columns(&[(2, 8, 8), (2, 0, 16)]), wide);
    let _ = columns(&[(12, 0, 12), (2, 0, 16), (2, 8, 8), (0, 10, 8), (0, 2, 16)]);
}
