//! Random programs of every form that validation lets through: the two interpreters agree, frames
//! in one step are frames in many, no wire is free, and hostile ones cost a bounded amount of work.

use ff::Field;
use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::fixtures::Bench;
use crate::{
    backend::F,
    circuit::{StepWitness, count_constraints},
    program::{
        Carried, Emission, MapRef, MapShape, Monomial, Operation, Output, Program, ProgramError,
        Register, RegisterShape, Spread, Table, Term, Unrolled, VectorShape,
        interpreter::Interpreter,
    },
    weights::{AffineMap, WeightBank},
};

fn want() -> usize {
    std::env::var("WANT").map_or(40, |w| w.parse().unwrap())
}

fn base() -> Program {
    Program {
        maps: vec![],
        tables: vec![],
        frame: VectorShape { len: 2, width: 8 },
        carried: vec![],
        spread: Spread::Frames { per_step: 1 },
        operations: vec![],
        head: vec![],
        output: Output {
            register: Register::FRAME,
            len: 1,
        },
        emission: Emission::Each,
        frame_limit: u64::MAX,
    }
}

fn affine(
    p: &mut Program,
    input: Register,
    columns: u32,
    rows: u32,
    bits: u8,
    shift: u8,
) -> Register {
    p.maps.push(MapShape { rows, columns });
    let map = MapRef::Fixed(p.maps.len() as u32 - 1);
    p.operations.push(Operation::Affine {
        terms: vec![Term { map, input }],
        rows,
        bits,
        shift,
    });
    Register::result_of(p.operations.len() - 1)
}

fn push(p: &mut Program, o: Operation) -> Register {
    p.operations.push(o);
    Register::result_of(p.operations.len() - 1)
}

const WIDTHS: [u8; 6] = [2, 5, 8, 8, 13, 16];

struct Gen {
    rng: ChaCha8Rng,
    p: Program,
}

impl Gen {
    fn shapes(&self) -> Vec<RegisterShape> {
        self.p.register_shapes()
    }

    fn op(&mut self, candidates: &[Register], in_head: bool) -> Option<Operation> {
        let shapes = self.shapes();
        let rng = &mut self.rng;
        let s = |r: Register| shapes[r.index()];
        let acc: Vec<Register> = candidates
            .iter()
            .copied()
            .filter(|r| s(*r).accumulator)
            .collect();
        let plain: Vec<Register> = candidates
            .iter()
            .copied()
            .filter(|r| !s(*r).accumulator)
            .collect();
        let narrow: Vec<Register> = plain
            .iter()
            .copied()
            .filter(|r| s(*r).width <= 16 && s(*r).offset <= 1 << s(*r).width)
            .collect();
        Some(match rng.gen_range(0..22) {
            10..=13 => {
                let mut operation = if rng.gen_bool(0.7) {
                    let any = *candidates.choose(rng)?;
                    let len = s(any).len;
                    let same: Vec<Register> = candidates
                        .iter()
                        .copied()
                        .filter(|r| s(*r).len == len)
                        .collect();
                    let monomials = (0..rng.gen_range(1..=3))
                        .map(|_| {
                            let left = *same.choose(rng).unwrap();
                            let right = same.choose(rng).copied().filter(|r| *r != left);
                            Monomial {
                                coefficient: *[1, -1, 3, -2, 0].choose(rng).unwrap(),
                                left,
                                right,
                            }
                        })
                        .collect();
                    Operation::Polynomial {
                        constant: *[0, 1, -7, 1 << 30].choose(rng).unwrap(),
                        monomials,
                        width: 1,
                        offset: 0,
                    }
                } else {
                    let input = *candidates.choose(rng)?;
                    Operation::Dot {
                        input,
                        coefficients: (0..s(input).len)
                            .map(|_| *[1, -1, 3, -2, 0, 100].choose(rng).unwrap())
                            .collect(),
                        width: 1,
                        offset: 0,
                    }
                };
                let kind = rng.gen_range(0..4);
                for w in 1..=48u8 {
                    for o in [
                        0,
                        1u64 << (w - 1),
                        (1 << w) - 1,
                        (1 << w) / 3,
                        (1 << w) * 2 / 3,
                        (1 << w) / 5,
                    ]
                    .into_iter()
                    .skip(kind)
                    {
                        match &mut operation {
                            Operation::Polynomial { width, offset, .. }
                            | Operation::Dot { width, offset, .. } => {
                                (*width, *offset) = (w, o);
                            }
                            _ => {}
                        }
                        let mut p = self.p.clone();
                        if in_head {
                            p.head.push(operation.clone());
                            p.emission = Emission::Last;
                        } else {
                            p.operations.push(operation.clone())
                        }
                        match p.validate() {
                            Err(ProgramError::Operation {
                                problem: "a sum can leave its register",
                                ..
                            }) => continue,
                            Err(ProgramError::Operation { .. }) => return None,
                            _ => return Some(operation),
                        }
                    }
                }
                return None;
            }
            14 | 15 => Operation::Sign {
                input: *acc.choose(rng)?,
            },
            16 => Operation::Zero {
                input: *acc.choose(rng)?,
            },
            17 => {
                let one: Vec<Register> = plain.iter().copied().filter(|r| s(*r).len == 1).collect();
                Operation::Indicators {
                    input: *one.choose(rng)?,
                    len: rng.gen_range(1..=4),
                }
            }
            18 | 19 => Operation::ArgMax {
                input: *candidates.choose(rng)?,
            },
            20 | 21 => {
                if in_head || self.p.carried.is_empty() {
                    return None;
                }
                let part = rng.gen_range(0..self.p.carried.len());
                if self.p.carried[part].next != Program::carried_register(part)
                    || self.p.carried[part].parameter
                {
                    return None;
                }
                let len = self.p.carried[part].shape.len as usize;
                let same: Vec<Register> = candidates
                    .iter()
                    .copied()
                    .filter(|r| s(*r).len == len)
                    .collect();
                let operation = Operation::Accumulate {
                    part: part as u32,
                    input: *same.choose(rng)?,
                };
                let mut p = self.p.clone();
                p.operations.push(operation.clone());
                p.carried[part].next = Register::result_of(p.operations.len() - 1);
                while p.frame_limit >= 8 {
                    match p.validate() {
                        Err(ProgramError::Operation {
                            problem: "a sum over the frames can leave its register",
                            ..
                        }) => p.frame_limit >>= 1,
                        Err(ProgramError::Operation { .. }) => return None,
                        _ => {
                            self.p.carried[part].next = p.carried[part].next;
                            self.p.frame_limit = p.frame_limit;
                            return Some(operation);
                        }
                    }
                }
                return None;
            }
            0 | 1 => {
                let mut terms = Vec::new();
                let count = rng.gen_range(1..=2);
                let mut rows = rng.gen_range(1..=4);
                for _ in 0..count {
                    let input = *narrow.choose(rng)?;
                    let columns = s(input).len as u32;
                    let same: Vec<usize> = (0..self.p.maps.len())
                        .filter(|l| {
                            self.p.maps[*l].columns == columns
                                && (terms.is_empty() || self.p.maps[*l].rows == rows)
                        })
                        .collect();
                    let map = if rng.gen_bool(0.5) && !same.is_empty() {
                        *same.choose(rng).unwrap()
                    } else {
                        self.p.maps.push(MapShape { rows, columns });
                        self.p.maps.len() - 1
                    };
                    rows = self.p.maps[map].rows;
                    terms.push(Term {
                        map: MapRef::Fixed(map as u32),
                        input,
                    });
                }
                let bits = if rng.gen_bool(0.1) {
                    64
                } else {
                    rng.gen_range(36..=44)
                };
                let shift = match rng.gen_range(0..4) {
                    0 => 0,
                    1 => bits - rng.gen_range(1..10),
                    _ => rng.gen_range(1..25),
                };
                Operation::Affine {
                    terms,
                    rows,
                    bits,
                    shift,
                }
            }
            2 | 3 => {
                let input = *acc.choose(rng)?;
                let drop = *[0, 0, 0, 1, 6, 20].choose(rng).unwrap();
                Operation::Requantize {
                    input,
                    drop,
                    width: *WIDTHS.choose(rng).unwrap(),
                }
            }
            4 => Operation::Relu {
                input: *plain
                    .iter()
                    .copied()
                    .filter(|r| s(*r).width <= 62 && s(*r).offset < 1 << s(*r).width)
                    .collect::<Vec<_>>()
                    .choose(rng)?,
            },
            5 => {
                let eight: Vec<Register> = plain
                    .iter()
                    .copied()
                    .filter(|r| s(*r).width == 8 && s(*r).offset == 128)
                    .collect();
                Operation::Table {
                    input: *eight.choose(rng)?,
                    table: rng.gen_range(0..self.p.tables.len() as u32),
                }
            }
            6 | 7 => {
                let any = *candidates.choose(rng)?;
                let len = s(any).len;
                let same: Vec<Register> = candidates
                    .iter()
                    .copied()
                    .filter(|r| s(*r).len == len)
                    .collect();
                let monomials = (0..rng.gen_range(1..=3))
                    .map(|_| {
                        let left = *same.choose(rng).unwrap();
                        let right = same.choose(rng).copied().filter(|r| *r != left);
                        Monomial {
                            coefficient: *[1, -1, 3, -4096, 0, i32::MIN, i32::MAX]
                                .choose(rng)
                                .unwrap(),
                            left,
                            right,
                        }
                    })
                    .collect();
                let constant = *[0, 1, -7, 1 << 40].choose(rng).unwrap();
                let shift = rng.gen_range(0..8);
                let mut operation = Operation::Combine {
                    constant,
                    monomials,
                    bits: 2,
                    shift,
                };
                // The fewest bits.
                for b in shift + 1..=62 {
                    let Operation::Combine { bits, .. } = &mut operation else {
                        return None;
                    };
                    *bits = b;
                    let mut p = self.p.clone();
                    if in_head {
                        p.head.push(operation.clone())
                    } else {
                        p.operations.push(operation.clone())
                    }
                    match p.validate() {
                        Err(ProgramError::Operation {
                            problem: "a sum can leave its accumulator",
                            ..
                        }) => continue,
                        Err(ProgramError::Operation { .. }) => return None,
                        Err(ProgramError::Dimension {
                            what: "accumulator bits",
                            ..
                        }) => continue,
                        _ => return Some(operation),
                    }
                }
                return None;
            }
            8 => {
                let input = *candidates.choose(rng)?;
                let n = s(input).len as u32;
                let start = rng.gen_range(0..n);
                Operation::Slice {
                    input,
                    start,
                    len: rng.gen_range(1..=n - start),
                }
            }
            _ => {
                let first = *plain.choose(rng)?;
                let same: Vec<Register> = plain
                    .iter()
                    .copied()
                    .filter(|r| {
                        (s(*r).width, s(*r).offset) == (s(first).width, s(first).offset)
                            && s(*r).len <= 4
                    })
                    .collect();
                if same.is_empty() {
                    return None;
                }
                let inputs = (0..rng.gen_range(1..=2))
                    .map(|_| *same.choose(rng).unwrap())
                    .collect();
                Operation::Concat { inputs }
            }
        })
    }
}

pub(crate) fn random_program(seed: u64) -> Option<Program> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut p = base();
    p.frame = VectorShape {
        len: rng.gen_range(1..=3),
        width: *WIDTHS.choose(&mut rng).unwrap(),
    };
    for width in [8u8, 13, 2] {
        let half = 1i32 << (width - 1);
        p.tables.push(Table {
            values: (0..256)
                .map(|_| {
                    if rng.gen_bool(0.1) {
                        -half
                    } else {
                        rng.gen_range(-half..half)
                    }
                })
                .collect(),
            width,
        });
    }
    p.tables.push(Table {
        values: (0..256).map(|i| i / 16).collect(),
        width: 8,
    });
    let parts = rng.gen_range(0..=3);
    for part in 0..parts {
        let shape = VectorShape {
            len: rng.gen_range(1..=3),
            width: *[2u8, 5, 8, 8, 13, 16, 24, 40, 48, 33]
                .choose(&mut rng)
                .unwrap(),
        };
        let half = 1i32 << (shape.width.min(30) - 1);
        p.carried.push(Carried {
            shape,
            initial: (0..shape.len)
                .map(|_| rng.gen_range(1 - half..half))
                .collect(),
            next: if part == 0 {
                Register::CARRIED
            } else {
                Register::result_of(part - 1)
            },
            parameter: rng.gen_bool(0.2),
        });
        if part > 0 {
            p.operations.push(Operation::Carried { part: part as u32 });
        }
    }
    p.spread = Spread::Frames {
        per_step: rng.gen_range(1..=3),
    };
    let mut g = Gen { rng, p };
    let n = g.rng.gen_range(1..=26);
    for _ in 0..n {
        let mut candidates: Vec<Register> =
            (0..g.p.operations.len() as u32 + 2).map(Register).collect();
        if parts == 0 {
            candidates.retain(|r| *r != Register::CARRIED);
        }
        // The later ones more often.
        let late = candidates.len().saturating_sub(4);
        let tail = candidates[late..].to_vec();
        candidates.extend(tail);
        if let Some(op) = g.op(&candidates, false) {
            g.p.operations.push(op);
        }
    }
    let shapes = g.shapes();
    for part in 0..parts {
        if g.p.carried[part].parameter
            || g.p
                .operations
                .iter()
                .any(|o| matches!(o, Operation::Accumulate { part: x, .. } if *x as usize == part))
        {
            continue;
        }
        let want = g.p.carried_shapes()[part];
        let fits: Vec<u32> = (0..shapes.len() as u32)
            .filter(|r| shapes[*r as usize] == want)
            .collect();
        g.p.carried[part].next = Register(*fits.choose(&mut g.rng)?);
    }
    if parts > 0 && g.rng.gen_bool(0.5) {
        g.p.emission = Emission::Last;
        let body = g.p.operations.len() + 2;
        for _ in 0..g.rng.gen_range(0..6) {
            let mut candidates: Vec<Register> = g.p.carried.iter().map(|c| c.next).collect();
            candidates.extend((0..g.p.head.len()).map(|h| Register((body + h) as u32)));
            if let Some(op) = g.op(&candidates, true) {
                g.p.head.push(op);
            }
        }
        let mut outs: Vec<Register> = g.p.carried.iter().map(|c| c.next).collect();
        outs.extend((0..g.p.head.len()).map(|h| Register((body + h) as u32)));
        g.p.output.register = *outs.choose(&mut g.rng)?;
    } else {
        let n = g.p.operations.len() as u32 + 2;
        g.p.output.register = Register(if g.rng.gen_bool(0.3) {
            g.rng.gen_range(0..n)
        } else {
            n - 1
        });
    }
    let shapes = g.shapes();
    let len = shapes[g.p.output.register.index()].len as u32;
    g.p.output.len = g.rng.gen_range(1..=len.max(1));
    // Maps that were given up.
    match g.p.validate() {
        Ok(()) => Some(g.p),
        Err(_) => None,
    }
}

pub(crate) fn random_bank(p: &Program, rng: &mut ChaCha8Rng) -> WeightBank {
    let maps = p
        .maps()
        .iter()
        .map(|m| {
            let reach = *[3i16, 300, 32_000].choose(rng).unwrap();
            let n = (m.rows * m.columns) as usize;
            let weights = (0..n).map(|_| rng.gen_range(-reach..=reach)).collect();
            let bias = (0..m.rows)
                .map(|_| rng.gen_range(-(1i64 << 22)..1 << 22))
                .collect();
            AffineMap::new(m.columns as usize, weights, bias).unwrap()
        })
        .collect();
    WeightBank::new(maps).unwrap()
}

pub(crate) fn random_frame(p: &Program, rng: &mut ChaCha8Rng) -> Vec<i64> {
    let half = 1i64 << (p.frame().width - 1);
    (0..p.frame().len)
        .map(|_| match rng.gen_range(0..4) {
            0 => -half,
            1 => half - 1,
            _ => rng.gen_range(-half..half),
        })
        .collect()
}

#[test]
fn random_programs_agree() {
    let started = std::time::Instant::now();
    let mut kinds = std::collections::BTreeMap::<String, usize>::new();
    let (mut valid, mut steps, mut last, mut several, mut comb, mut heads) = (0, 0, 0, 0, 0, 0);
    for seed in 0.. {
        if valid == want() || started.elapsed().as_secs() > 150 {
            break;
        }
        let Some(p) = random_program(seed) else {
            continue;
        };
        let p = Program::from_bytes(&p.to_bytes()).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xABCD);
        let bank = random_bank(&p, &mut rng);
        if bank.check(&p).is_err() {
            continue;
        }
        valid += 1;
        for o in p.all_operations() {
            let d = format!("{o:?}");
            *kinds
                .entry(d.split(' ').next().unwrap().to_owned())
                .or_default() += 1;
        }
        comb += u32::from(
            p.all_operations()
                .any(|o| matches!(o, Operation::Combine { .. })),
        );
        let per_step = p.frames_per_step();
        several += u32::from(per_step > 1);
        last += u32::from(p.emission() == Emission::Last);
        heads += u32::from(!p.head.is_empty());
        let mut one = p.clone();
        one.spread = Spread::Frames { per_step: 1 };
        let bench = Bench::new(p.clone(), bank.clone());
        let mut bench_one = Bench::new(one, bank.clone());
        bench_one.salts = bench.salts.clone();
        let parameters: Vec<i64> = p
            .carried
            .iter()
            .filter(|c| c.parameter)
            .flat_map(|c| c.initial.iter().map(|v| i64::from(*v)))
            .collect();
        let mut interpreter = Interpreter::with_parameters(&p, &bank, &parameters).unwrap();
        let (mut run, mut run_one) = (bench.run(), bench_one.run());
        run_one.z = run.z;
        let (dummy, _) = bench.synthesize([F::ZERO; 2], &StepWitness::dummy(&bench.step));
        for _ in 0..2 {
            let n = rng.gen_range(1..=per_step) as usize;
            let frames: Vec<Vec<i64>> = (0..n).map(|_| random_frame(&p, &mut rng)).collect();
            let Ok(trace) = p.run_step(&bank, 0, &run.carried, &frames) else {
                panic!("{seed}: the bank was checked");
            };
            let step = bench.prepare(&run, &trace);
            let (cs, next) = bench.synthesize(run.z, &step.witness);
            assert_eq!(cs.which_is_unsatisfied(), None, "{seed} {p:?}");
            assert_eq!(next, step.next.z, "{seed} {p:?}");
            assert_eq!(cs.hash(), dummy.hash(), "{seed} shape {p:?}");
            assert!(bench.claim_holds(&step.next.state.claim), "{seed}");
            steps += 1;
            for (slot, frame) in frames.iter().enumerate() {
                let trace_one = bench_one.trace(&run_one, frame);
                run_one = bench_one.prepare(&run_one, &trace_one).next;
                let output = interpreter.push(frame).unwrap();
                let len = p.output.len as usize;
                match p.emission() {
                    Emission::Each => assert_eq!(
                        output,
                        trace.register(bench.step.slots[slot].output)[..len],
                        "{seed}"
                    ),
                    Emission::Last if slot + 1 == n => {
                        assert_eq!(output, trace.register(bench.step.output)[..len], "{seed}")
                    }
                    Emission::Last => {}
                }
            }
            assert_eq!(run_one.carried, step.next.carried, "{seed} {p:?}");
            assert_eq!(interpreter.state(), step.next.carried, "{seed} {p:?}");
            let (a, b) = (&run_one.state, &step.next.state);
            assert_eq!(
                (a.frames, a.inputs, a.outputs),
                (b.frames, b.inputs, b.outputs),
                "{seed} {p:?}"
            );
            run = step.next;
        }
    }
    // Every kind of program is among them.
    assert!(kinds.len() > 10, "{kinds:?}");
    assert_eq!(steps, 2 * valid);
    assert!(
        several > 10 && last > 5 && heads > 5 && comb > 10,
        "{several} {last} {heads} {comb}"
    );
}

/// Every wire of the operations, changed alone, is caught; but for inverses of zero.
#[test]
fn no_wire_of_operations_is_free() {
    let started = std::time::Instant::now();
    let mut tried = 0;
    let mut programs = 0;
    for seed in 0.. {
        if programs >= 30 || started.elapsed().as_secs() > 120 {
            break;
        }
        let Some(p) = random_program(seed) else {
            continue;
        };
        if p.operations.len() < 6 || p.frames_per_step() < 2 {
            continue;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xABCD);
        let bank = random_bank(&p, &mut rng);
        if bank.check(&p).is_err() {
            continue;
        }
        let bench = Bench::new(p.clone(), bank);
        let run = bench.run();
        let n = rng.gen_range(1..=p.frames_per_step()) as usize;
        let frames: Vec<Vec<i64>> = (0..n).map(|_| random_frame(&p, &mut rng)).collect();
        let Ok(trace) = p.run_step(&bench.bank, 0, &run.carried, &frames) else {
            continue;
        };
        let step = bench.prepare(&run, &trace);
        let (mut cs, _) = bench.synthesize(run.z, &step.witness);
        if cs.num_constraints() > 9000 {
            continue;
        }
        programs += 1;
        let names: Vec<String> = cs
            .pretty_print_list()
            .into_iter()
            .filter_map(|l| l.strip_prefix("AUX ").map(str::to_owned))
            .collect();
        for name in names.iter().filter(|n| {
            n.starts_with("operations/")
                || n.starts_with("frames that")
                || n.starts_with("frame ")
                || n.starts_with("carried")
        }) {
            if name.ends_with("inverse/num") {
                continue;
            }
            let value = cs.get(name);
            cs.set(name, value + F::ONE);
            assert!(cs.which_is_unsatisfied().is_some(), "{seed} {name}");
            cs.set(name, value);
            tried += 1;
        }
    }
    assert!(tried > 2_000, "{tried}");
}

/// `levels` times `r ↦ first half of (r, r)`.
fn doubling(levels: usize) -> Program {
    let mut p = base();
    let mut r = Register::FRAME;
    for _ in 0..levels {
        let both = push(&mut p, Operation::Concat { inputs: vec![r, r] });
        let half = Operation::Slice {
            input: both,
            start: 0,
            len: 2,
        };
        r = push(&mut p, half);
    }
    p.output.register = affine(&mut p, r, 2, 1, 30, 0);
    p
}

#[test]
fn registers_made_of_each_other_many_times_are_looked_at_once() {
    // 2^2000 paths lead from the product to the frame.
    let program = Program::from_bytes(&doubling(2000).to_bytes()).unwrap();
    let step = Unrolled::new(&program);
    assert!(step.bound().is_empty());
    assert!(!count_constraints(&Unrolled::new(&program)).is_empty());
}

#[test]
fn long_chains_of_slices_do_not_overflow_the_stack() {
    let mut p = base();
    p.spread = Spread::Frames { per_step: 2 };
    let mut r = Register::FRAME;
    for _ in 0..4090 {
        r = push(&mut p, Operation::Concat { inputs: vec![r] });
    }
    p.output.register = affine(&mut p, r, 2, 1, 30, 0);
    assert!(p.validate().is_ok());
    assert!(!count_constraints(&Unrolled::new(&p)).is_empty());
}

#[test]
fn steps_of_too_many_constraints_have_no_circuit() {
    let too_many = |p: &Program| {
        assert_eq!(p.validate(), Ok(()));
        let what = match p.check_step() {
            Err(ProgramError::Dimension { what, .. }) => what,
            other => panic!("{other:?}"),
        };
        assert_eq!(what, "constraints of a step");
    };
    // Few registers that are read again and again.
    let mut p = base();
    p.frame.len = 50_000;
    for _ in 0..100 {
        p.output.register = affine(&mut p, Register::FRAME, 50_000, 1, 40, 0);
    }
    too_many(&p);
    // Sixteen products an entry.
    let mut p = base();
    p.frame.len = 10_000;
    for _ in 0..30 {
        let first = push(
            &mut p,
            Operation::Slice {
                input: Register::FRAME,
                start: 0,
                len: 5_000,
            },
        );
        let second = push(
            &mut p,
            Operation::Slice {
                input: Register::FRAME,
                start: 5_000,
                len: 5_000,
            },
        );
        let monomial = Monomial {
            coefficient: 1,
            left: first,
            right: Some(second),
        };
        push(
            &mut p,
            Operation::Combine {
                constant: 0,
                monomials: vec![monomial; 16],
                bits: 20,
                shift: 0,
            },
        );
    }
    p.spread = Spread::Frames { per_step: 2 };
    p.output.register = affine(&mut p, Register::FRAME, 10_000, 1, 40, 0);
    assert!(p.check_step().is_err());
}

#[test]
fn long_sums_that_the_next_frame_reads_are_bounded() {
    // The sum of a long frame is carried on, and in the next slot read again and again.
    let program = |reads: usize| {
        let mut p = base();
        p.frame.len = 2_000;
        p.spread = Spread::Frames { per_step: 2 };
        let sum = Operation::Dot {
            input: Register::FRAME,
            coefficients: vec![1; 2_000],
            width: 20,
            offset: 1 << 19,
        };
        let next = push(&mut p, sum);
        p.carried = vec![Carried {
            shape: VectorShape { len: 1, width: 20 },
            initial: vec![0],
            next,
            parameter: false,
        }];
        for _ in 0..reads {
            let copies = vec![Register::CARRIED; 250];
            push(&mut p, Operation::Concat { inputs: copies });
        }
        p.output.register = affine(&mut p, Register::FRAME, 2_000, 1, 40, 0);
        p
    };
    assert_eq!(program(1).check_step(), Ok(()));
    assert_eq!(program(20).validate(), Ok(()));
    assert!(matches!(
        program(20).check_step(),
        Err(ProgramError::Dimension {
            what: "terms of all constraints of a step",
            ..
        })
    ));
}

#[test]
fn the_head_is_checked_when_weights_are_committed() {
    let mut p = base();
    p.frame = VectorShape { len: 1, width: 8 };
    p.carried = vec![Carried {
        shape: VectorShape { len: 1, width: 8 },
        initial: vec![0],
        next: Register::FRAME,
        parameter: false,
    }];
    p.emission = Emission::Last;
    p.maps = vec![MapShape {
        rows: 1,
        columns: 1,
    }];
    p.head = vec![Operation::Affine {
        terms: vec![Term {
            map: MapRef::Fixed(0),
            input: Register::FRAME,
        }],
        rows: 1,
        bits: 10,
        shift: 0,
    }];
    p.output.register = Register::result_of(0);
    p.validate().unwrap();
    let bank = |weight| WeightBank::new(vec![AffineMap::new(1, vec![weight], vec![0]).unwrap()]);
    assert!(bank(3).unwrap().check(&p).is_ok());
    // 30000·128 does not fit 10 bits.
    assert!(bank(30_000).unwrap().check(&p).is_err());
}
