//! Random programs of every form that validation lets through: the two interpreters agree, frames
//! in one step are frames in many, no wire is free, and hostile ones cost a bounded amount of work.

use ff::Field;
use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::fixtures::Bench;
use crate::{
    backend::F,
    program::{
        Accumulate, Affine, AffineMap, ArgMax, Builder, Carried, Combine, Concat, Dot, Emission,
        Indicators, Lookup, MapShape, Operation, Order, Output, Program, ProgramError, Register,
        Registers, Relu, Requantize, Shape, Sign, Slice, Table, Term, VectorShape, WeightBank,
        Window, WindowAxis, Zero, interpreter::Interpreter,
    },
    recursive::{Schedule, StepWitness, Unrolled, count_constraints, encoding::encode},
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

const WIDTHS: [u8; 6] = [2, 5, 8, 8, 13, 16];

struct Gen {
    rng: ChaCha8Rng,
    p: Program,
    /// Whether maps are applied at the positions of windows too.
    windows: bool,
}

impl Gen {
    fn shapes(&self) -> Registers<Shape> {
        self.p.register_shapes()
    }

    /// Adds an operation on some of the candidates, unless it breaks a rule, or a circuit does not do
    /// it.
    fn grow(&mut self, candidates: &[Register], in_head: bool) {
        let before = self.p.clone();
        let Some(operation) = self.op(candidates, in_head) else {
            self.p = before;
            return;
        };
        if in_head {
            self.p.head.push(operation);
        } else {
            self.p.operations.push(operation);
        }
        // What is carried on is chosen at the end.
        let language = self.p.validate_language();
        let structure = |e: &ProgramError| matches!(e, ProgramError::Structure(_));
        if language.is_err_and(|e| !structure(&e)) || encode(&self.p).is_err() {
            self.p = before;
        }
    }

    /// Maps at the positions of windows that differ a little, of one map where they can be.
    fn slide(&mut self, candidates: &[Register]) -> Option<Operation> {
        let shapes = self.shapes();
        let rng = &mut self.rng;
        let narrow = |r: &Register| shapes[*r].range.reach() <= 0xffff;
        let first = *candidates.choose(rng).filter(|r| narrow(r))?;
        let window = random_window(shapes[first].len as u32, rng);
        let same_len = |r: &Register| narrow(r) && shapes[*r].len == shapes[first].len;
        let inputs: Vec<Register> = candidates.iter().copied().filter(same_len).collect();
        let rows = rng.gen_range(1..=3);
        let mut terms = Vec::new();
        for _ in 0..rng.gen_range(1..=3) {
            let mut window = window.clone();
            for axis in &mut window.axes {
                axis.start += rng.gen_range(-1..=1);
                axis.dilation = rng.gen_range(1..=2);
                axis.offsets += rng.gen_range(0..=1);
            }
            let columns = window.columns() as u32;
            let shape = MapShape { rows, columns };
            let there = self.p.maps.iter().position(|m| *m == shape);
            let map = there.unwrap_or_else(|| {
                self.p.maps.push(shape);
                self.p.maps.len() - 1
            });
            terms.push(Term {
                map: map as u32,
                input: *inputs.choose(rng)?,
                window: Some(window),
            });
        }
        let reach = Affine::reach_of(rng.gen_range(40..=44), 25);
        Some(Affine { terms, reach }.into())
    }

    fn op(&mut self, candidates: &[Register], in_head: bool) -> Option<Operation> {
        if self.windows && self.rng.gen_bool(0.3) {
            return self.slide(candidates);
        }
        let shapes = self.shapes();
        let rng = &mut self.rng;
        let s = |r: Register| shapes[r];
        let any = *candidates.choose(rng)?;
        let same = |len: usize| -> Vec<Register> {
            let same = candidates.iter().copied();
            same.filter(|r| s(*r).len == len).collect()
        };
        Some(match rng.gen_range(0..22) {
            0..=2 => {
                let mut terms = Vec::new();
                let count = rng.gen_range(1..=2);
                let mut rows = rng.gen_range(1..=4);
                let narrow: Vec<Register> = candidates
                    .iter()
                    .copied()
                    .filter(|r| s(*r).range.reach() <= 0xffff)
                    .collect();
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
                        map: map as u32,
                        input,
                        window: None,
                    });
                }
                let reach = Affine::reach_of(rng.gen_range(36..=44), 25);
                Affine { terms, reach }.into()
            }
            3..=5 => Requantize {
                input: any,
                shift: *[0, 1, 4, 4, 4, 9, 20].choose(rng).unwrap(),
                drop: *[0, 0, 0, 1, 6, 20].choose(rng).unwrap(),
                width: *WIDTHS.choose(rng).unwrap(),
            }
            .into(),
            6 => Relu { input: any }.into(),
            7 => Lookup {
                input: any,
                table: rng.gen_range(0..self.p.tables.len() as u32),
            }
            .into(),
            8..=12 => {
                let same = same(s(any).len);
                let coefficients = [1, -1, 3, -2, 0, -4096, i32::MIN, i32::MAX];
                let terms: Vec<(i32, Register, Option<Register>)> = (0..rng.gen_range(1..=3))
                    .map(|_| {
                        let left = *same.choose(rng).unwrap();
                        let right = same.choose(rng).copied().filter(|r| *r != left);
                        (*coefficients.choose(rng).unwrap(), left, right)
                    })
                    .collect();
                Combine::new(*[0, 1, -7, 1 << 30, 1 << 40].choose(rng).unwrap(), &terms).into()
            }
            13 => Dot {
                input: any,
                coefficients: (0..s(any).len)
                    .map(|_| *[1, -1, 3, -2, 0, 100].choose(rng).unwrap())
                    .collect(),
            }
            .into(),
            14 | 15 => Sign { input: any }.into(),
            16 => Zero { input: any }.into(),
            17 => Indicators {
                input: any,
                len: rng.gen_range(1..=4),
            }
            .into(),
            18 => ArgMax { input: any }.into(),
            19 => {
                if in_head || self.p.carried.is_empty() {
                    return None;
                }
                let part = rng.gen_range(0..self.p.carried.len());
                let register = Register::Carried(part as u32);
                if self.p.carried[part].next != register || self.p.carried[part].parameter {
                    return None;
                }
                let len = self.p.carried[part].shape.len as usize;
                let input = *same(len).choose(rng)?;
                self.p.carried[part].next = Register::result_of(self.p.operations.len());
                let operation = Operation::from(Accumulate {
                    part: part as u32,
                    input,
                });
                let mut p = self.p.clone();
                p.operations.push(operation.clone());
                while p.frame_limit >= 8 {
                    match p.validate_language() {
                        Err(ProgramError::Operation {
                            problem: "a sum over the frames can leave its register",
                            ..
                        }) => {
                            p.frame_limit >>= 1;
                        }
                        Err(ProgramError::Operation { .. }) => return None,
                        _ => {
                            self.p.frame_limit = p.frame_limit;
                            return Some(operation);
                        }
                    }
                }
                return None;
            }
            20 => {
                let n = s(any).len as u32;
                let start = rng.gen_range(0..n);
                Slice {
                    input: any,
                    start,
                    len: rng.gen_range(1..=n - start),
                }
                .into()
            }
            _ => {
                let short: Vec<Register> = candidates
                    .iter()
                    .copied()
                    .filter(|r| s(*r).len <= 4)
                    .collect();
                let inputs = (0..rng.gen_range(1..=2)).map(|_| short.choose(rng).copied());
                let inputs = inputs.collect::<Option<Vec<_>>>()?;
                Concat { inputs }.into()
            }
        })
    }
}

/// How many frames share a step of a random program.
fn frames_per_step(seed: u64) -> u32 {
    1 + (seed % 3) as u32
}

/// A window over a register of so many entries.
fn random_window(len: u32, rng: &mut ChaCha8Rng) -> Window {
    let divisors: Vec<u32> = (1..=len).filter(|d| len.is_multiple_of(*d)).collect();
    let outer = *divisors.choose(rng).unwrap();
    let mut axes = Vec::new();
    for size in [outer, len / outer] {
        axes.push(match rng.gen_range(0..4) {
            0 => WindowAxis::summed(size),
            1 => WindowAxis::kept(size),
            _ => WindowAxis {
                size,
                positions: rng.gen_range(1..=3),
                offsets: rng.gen_range(1..=3),
                stride: rng.gen_range(1..=2),
                dilation: 1,
                start: rng.gen_range(-2..=1),
            },
        });
    }
    let order = *[Order::Rows, Order::Positions].choose(rng).unwrap();
    Window { axes, order }
}

/// Every third has windows.
pub(crate) fn random_program(seed: u64) -> Option<Program> {
    let windows = seed.is_multiple_of(3);
    random_program_of(seed, if windows { 6 } else { 3 }, windows)
}

/// With frames of up to `most` entries.
pub(crate) fn random_program_of(seed: u64, most: u32, windows: bool) -> Option<Program> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut p = base();
    p.frame = VectorShape {
        len: rng.gen_range(1..=most),
        width: *WIDTHS.choose(&mut rng).unwrap(),
    };
    for width in [8u8, 13, 2] {
        let half = 1i32 << (width - 1);
        let values = (0..256).map(|_| match rng.gen_bool(0.1) {
            true => -half,
            false => rng.gen_range(-half..half),
        });
        p.tables.push(Table::of_bytes(values.collect()));
    }
    let parts = rng.gen_range(0..=3);
    for part in 0..parts {
        let shape = VectorShape {
            len: rng.gen_range(1..=3),
            width: *[2, 8, 8, 16, 30, 48].choose(&mut rng).unwrap(),
        };
        let half = 1i32 << (shape.width.min(30) - 1);
        p.carried.push(Carried {
            shape,
            initial: (0..shape.len)
                .map(|_| rng.gen_range(1 - half..half))
                .collect(),
            next: Register::Carried(part),
            parameter: rng.gen_bool(0.2),
        });
    }
    let mut g = Gen { rng, p, windows };
    let all = |p: &Program| -> Vec<Register> {
        let shapes = p.register_shapes();
        shapes.iter().map(|(register, _)| register).collect()
    };
    for _ in 0..g.rng.gen_range(1..=40) {
        let mut candidates = all(&g.p);
        // The later ones more often.
        let late = candidates.len().saturating_sub(4);
        let tail = candidates[late..].to_vec();
        candidates.extend(tail);
        g.grow(&candidates, false);
    }
    let encodings = encode(&g.p).ok()?;
    for part in 0..parts as usize {
        let own = Register::Carried(part as u32);
        if g.p.carried[part].parameter || g.p.carried[part].next != own {
            continue;
        }
        let fits: Vec<Register> = encodings
            .iter()
            .filter(|(_, e)| **e == encodings[own])
            .map(|(register, _)| register)
            .collect();
        g.p.carried[part].next = *fits.choose(&mut g.rng)?;
    }
    if parts > 0 && g.rng.gen_bool(0.5) {
        g.p.emission = Emission::Last;
        let body = g.p.operations.len();
        let outs = |p: &Program| -> Vec<Register> {
            let carried = p.carried.iter().map(|c| c.next);
            let own = (0..p.head.len()).map(|h| Register::result_of(body + h));
            carried.chain(own).collect()
        };
        for _ in 0..g.rng.gen_range(0..9) {
            let candidates = outs(&g.p);
            g.grow(&candidates, true);
        }
        g.p.output.register = *outs(&g.p).choose(&mut g.rng)?;
    } else {
        let all = all(&g.p);
        g.p.output.register = match g.rng.gen_bool(0.3) {
            true => *all.choose(&mut g.rng)?,
            false => *all.last()?,
        };
    }
    let len = g.shapes()[g.p.output.register].len as u32;
    g.p.output.len = g.rng.gen_range(1..=len.max(1));
    // Maps that were given up.
    g.p.validate().ok()?;
    let schedule = Schedule::FramesPerStep(frames_per_step(seed));
    Unrolled::new(&g.p, schedule).ok()?;
    Some(g.p)
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
            let d = o.name();
            *kinds
                .entry(d.split('(').next().unwrap().to_owned())
                .or_default() += 1;
        }
        comb += u32::from(
            p.all_operations()
                .any(|o| matches!(o, Operation::Combine(_))),
        );
        let per_step = frames_per_step(seed);
        several += u32::from(per_step > 1);
        last += u32::from(p.emission() == Emission::Last);
        heads += u32::from(!p.head.is_empty());
        let schedule = Schedule::FramesPerStep(per_step);
        let bench = Bench::scheduled(p.clone(), schedule, bank.clone());
        let mut bench_one = Bench::new(p.clone(), bank.clone());
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
            let trace = bench.trace_of(&run, &frames);
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
        if p.operations.len() < 6 || frames_per_step(seed) < 2 {
            continue;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xABCD);
        let bank = random_bank(&p, &mut rng);
        if bank.check(&p).is_err() {
            continue;
        }
        let per_step = frames_per_step(seed);
        let bench = Bench::scheduled(p.clone(), Schedule::FramesPerStep(per_step), bank);
        let run = bench.run();
        let n = rng.gen_range(1..=per_step) as usize;
        let frames: Vec<Vec<i64>> = (0..n).map(|_| random_frame(&p, &mut rng)).collect();
        let trace = bench.trace_of(&run, &frames);
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

/// A map of one row at the end, whose result is the output.
fn ended(mut builder: Builder, input: Register) -> Program {
    let columns = builder.shape(input).len as u32;
    let map = builder.map(1, columns);
    let output = builder.affine(&[(map, input)], 1 << 40).unwrap();
    builder.finish(output).unwrap()
}

/// `levels` times `r ↦ first half of (r, r)`.
fn doubling(levels: usize) -> Program {
    let mut builder = Builder::new(2, 8);
    let mut r = Register::FRAME;
    for _ in 0..levels {
        let both = builder.concat(vec![r, r]).unwrap();
        r = builder.slice(both, 0, 2).unwrap();
    }
    ended(builder, r)
}

#[test]
fn registers_made_of_each_other_many_times_are_looked_at_once() {
    // 2^2000 paths lead from the product to the frame.
    let program = Program::from_bytes(&doubling(2000).to_bytes()).unwrap();
    let step = Unrolled::new(&program, Schedule::WholeNetwork).unwrap();
    assert!(step.bound().is_empty());
    assert!(!count_constraints(&step).is_empty());
}

#[test]
fn long_chains_of_slices_do_not_overflow_the_stack() {
    let mut builder = Builder::new(2, 8);
    let mut r = Register::FRAME;
    for _ in 0..4090 {
        r = builder.concat(vec![r]).unwrap();
    }
    let program = ended(builder, r);
    assert!(program.validate().is_ok());
    let step = Unrolled::new(&program, Schedule::FramesPerStep(2)).unwrap();
    assert!(!count_constraints(&step).is_empty());
}

/// What there is too much of for a circuit, in a valid program.
fn too_many(p: &Program, frames: u32) -> &'static str {
    assert_eq!(p.validate(), Ok(()));
    match Unrolled::new(p, Schedule::FramesPerStep(frames)) {
        Err(ProgramError::Dimension { what, .. }) => what,
        other => panic!("{:?}", other.map(|_| ())),
    }
}

#[test]
fn steps_of_too_many_constraints_have_no_circuit() {
    // Few registers that are read again and again.
    let mut builder = Builder::new(50_000, 8);
    let mut output = Register::FRAME;
    for _ in 0..100 {
        let map = builder.map(1, 50_000);
        output = builder.affine(&[(map, Register::FRAME)], 1 << 40).unwrap();
    }
    let program = builder.finish(output).unwrap();
    assert_eq!(too_many(&program, 1), "constraints of a step");
    // Sixteen products an entry.
    let mut builder = Builder::new(10_000, 2);
    for _ in 0..30 {
        let first = builder.slice(Register::FRAME, 0, 5_000).unwrap();
        let second = builder.slice(Register::FRAME, 5_000, 5_000).unwrap();
        let terms = vec![(1, first, Some(second)); 16];
        builder.combine(0, &terms).unwrap();
    }
    let program = ended(builder, Register::FRAME);
    let _ = too_many(&program, 2);
}

#[test]
fn long_sums_that_the_next_frame_reads_are_bounded() {
    // The sum of a long frame is carried on, and in the next slot read again and again.
    let program = |reads: usize| {
        let mut builder = Builder::new(2_000, 8);
        let state = builder.state(vec![0], 20).unwrap();
        let next = Dot {
            input: Register::FRAME,
            coefficients: vec![1; 2_000],
        };
        let next = builder.push(next).unwrap();
        assert_eq!(builder.shape(next).range.signed_bits(), 19);
        // Of the width that it is carried on with.
        let next = builder.combine(0, &[(1, next, None)]).unwrap();
        builder.carry(state, next);
        for _ in 0..reads {
            builder.concat(vec![state; 250]).unwrap();
        }
        ended(builder, Register::FRAME)
    };
    assert!(Unrolled::new(&program(1), Schedule::FramesPerStep(2)).is_ok());
    assert_eq!(
        too_many(&program(20), 2),
        "terms of all constraints of a step"
    );
}

#[test]
fn the_head_is_checked_when_weights_are_committed() {
    let mut builder = Builder::new(1, 8);
    let state = builder.state(vec![0], 8).unwrap();
    builder.carry(state, Register::FRAME);
    builder.begin_head();
    let map = builder.map(1, 1);
    let output = builder.affine(&[(map, Register::FRAME)], 511).unwrap();
    let p = builder.finish_last(output).unwrap();
    p.validate().unwrap();
    let bank = |weight| WeightBank::new(vec![AffineMap::new(1, vec![weight], vec![0]).unwrap()]);
    assert!(bank(3).unwrap().check(&p).is_ok());
    // 30000·128 does not fit.
    assert!(bank(30_000).unwrap().check(&p).is_err());
}
