//! The operations, one by one and in small compositions, in every runtime that there is.
//!
//! A case is a program of a few lines with weights and frames; a [runtime](runtimes::Runtime) runs
//! it. All cases agree in all runtimes: with the float reference within the tolerance of the case,
//! with the integer interpreter, which is the specification, bit for bit. And every runtime that
//! proves anything refuses an output with one entry changed by 1, all that follows from it included.
//!
//! **To add an operation**: one entry in the list of [`operations`] that is nearest to it.
//!
//! ```text
//! let mut net = Net::new(4, 8);                            // frames of 4 entries of 8 bits
//! let y = net.affine(&[(FRAME, weights)], &bias, 20, 6);   // y = A·x + b, 20 bits, shift 6
//! let q = net.requantize(y, 0, 8);
//! let out = net.push(MyOperation { input: q });
//! cases.push(
//!     net.case("my operation", out, ends(4, 8))            // frames that hold all ends
//!         .each(1.0, |x| …),                               // what it is of real numbers; ±1
//! );
//! ```
//!
//! - [`Net::listed`] is an accumulator of chosen values: each end of saturation, each side of a
//!   rounding. [`Net::state`], [`Net::parameter`], [`Net::next`] are parts of the carried vector,
//!   [`Net::head`] begins what is done after the last frame.
//! - The function of real numbers is the only independent check of the interpreter: leave it out only
//!   where there is none. With [`Case::exactly`] its tolerance is 0.
//! - [`Case::refused`] says which runtime has no place for the program, and in which words. What the
//!   interpreter refuses is refused by all.
//!
//! Run it with `cargo test --lib suite`; `SUITE=gru` in the environment runs only the cases with that
//! in their names.

mod operations;
mod runtimes;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use runtimes::Runtime;

use crate::{
    program::{
        Accumulate, Affine, AffineMap, ArgMax, Carried, Combine, Concat, Dot, Emission, Indicators,
        Lookup, MapShape, Operation, Output, Program, Register, Relu, Requantize, Sign, Slice,
        Table, Term, VectorShape, WeightBank, Window, Zero,
    },
    recursive::Schedule,
};

/// A function of all frames of a run, with its outputs.
type Real = Box<dyn Fn(&[Vec<f64>]) -> Vec<Vec<f64>> + Send + Sync>;

/// A program and a run of it.
struct Case {
    name: String,
    program: Program,
    /// Of recursive steps.
    schedule: Schedule,
    bank: WeightBank,
    parameters: Vec<i64>,
    frames: Vec<Vec<i64>>,
    /// What it is of real numbers, in units of the outputs, and how far it may be off.
    float: Option<(f64, Real)>,
    /// Which runtimes do not take it, and what they say.
    refused: Vec<(Runtime, &'static str)>,
    /// Whether it is proved through sessions too.
    sessions: bool,
}

impl Case {
    fn new(name: &str, program: Program, bank: WeightBank, frames: Vec<Vec<i64>>) -> Self {
        Self {
            name: name.to_owned(),
            program,
            schedule: Schedule::WholeNetwork,
            bank,
            parameters: Vec::new(),
            frames,
            float: None,
            refused: Vec::new(),
            sessions: false,
        }
    }

    fn run(
        self,
        tolerance: f64,
        f: impl Fn(&[Vec<f64>]) -> Vec<Vec<f64>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            float: Some((tolerance, Box::new(f))),
            ..self
        }
    }

    /// Every output is a function of its frame.
    fn each(self, tolerance: f64, f: impl Fn(&[f64]) -> Vec<f64> + Send + Sync + 'static) -> Self {
        self.run(tolerance, move |frames| {
            frames.iter().map(|x| f(x)).collect()
        })
    }

    /// The same, on integers that a real number holds.
    fn exactly(self, f: impl Fn(&[f64]) -> Vec<f64> + Send + Sync + 'static) -> Self {
        self.each(0.0, f)
    }

    fn parameters(self, parameters: &[i64]) -> Self {
        Self {
            parameters: parameters.to_vec(),
            ..self
        }
    }

    /// With `per_step` frames to a step.
    fn per_step(self, per_step: u32) -> Self {
        self.scheduled(Schedule::FramesPerStep(per_step))
    }

    fn scheduled(self, schedule: Schedule) -> Self {
        Self { schedule, ..self }
    }

    fn refused(mut self, by: Runtime, says: &'static str) -> Self {
        self.refused.push((by, says));
        self
    }

    fn through_sessions(self) -> Self {
        Self {
            sessions: true,
            ..self
        }
    }

    /// What a runtime must say, if it does not take this case.
    fn refusal(&self, by: Runtime) -> Option<&'static str> {
        let refusal = self.refused.iter().find(|(runtime, _)| *runtime == by);
        refusal.map(|(_, says)| *says)
    }
}

/// A program in the making, and its weights.
struct Net {
    program: Program,
    maps: Vec<AffineMap>,
    in_head: bool,
    /// The shifts that sums are requantised with.
    shifts: BTreeMap<Register, u8>,
}

type Monomials<'a> = &'a [(i32, Register, Option<Register>)];

impl Net {
    /// Frames of so many entries of so many bits.
    fn new(len: u32, width: u8) -> Self {
        Self {
            program: Program {
                maps: vec![],
                tables: vec![],
                frame: VectorShape { len, width },
                carried: vec![],
                operations: vec![],
                head: vec![],
                output: Output {
                    register: Register::FRAME,
                    len: 1,
                },
                emission: Emission::Each,
                frame_limit: u64::MAX,
            },
            maps: vec![],
            in_head: false,
            shifts: BTreeMap::new(),
        }
    }

    fn push(&mut self, operation: impl Into<Operation>) -> Register {
        let operation = operation.into();
        let list = if self.in_head {
            &mut self.program.head
        } else {
            &mut self.program.operations
        };
        list.push(operation);
        Register::result_of(self.program.operations.len() + self.program.head.len() - 1)
    }

    fn carried(&mut self, width: u8, initial: &[i32], parameter: bool) -> Register {
        let part = self.program.carried.len();
        let register = Register::Carried(part as u32);
        self.program.carried.push(Carried {
            shape: VectorShape {
                len: initial.len() as u32,
                width,
            },
            initial: initial.to_vec(),
            next: register,
            parameter,
        });
        register
    }

    /// A part of the carried vector; before all operations.
    fn state(&mut self, width: u8, initial: &[i32]) -> Register {
        self.carried(width, initial, false)
    }

    fn parameter(&mut self, width: u8, len: usize) -> Register {
        self.carried(width, &vec![0; len], true)
    }

    /// The next value of a part, which [`state`](Self::state) gave.
    fn next(&mut self, state: Register, next: Register) {
        let Register::Carried(part) = state else {
            panic!("no part of the carried vector");
        };
        self.program.carried[part as usize].next = next;
    }

    /// `state + input`, the next value of the state.
    fn accumulate(&mut self, state: Register, input: Register) -> Register {
        let Register::Carried(part) = state else {
            panic!("no part of the carried vector");
        };
        self.program.frame_limit = self.program.frame_limit.min(1 << 10);
        let sum = self.push(Accumulate { part, input });
        self.next(state, sum);
        sum
    }

    /// From here on operations are those after the last frame.
    fn head(&mut self) {
        self.bystander();
        self.in_head = true;
        self.program.emission = Emission::Last;
    }

    /// Every program has a map.
    fn bystander(&mut self) {
        if self.maps.is_empty() {
            let columns = self.program.frame.len as usize;
            self.affine(&[(Register::FRAME, vec![vec![1; columns]])], &[0], 40, 0);
        }
    }

    fn map(&mut self, map: AffineMap) -> u32 {
        self.program.maps.push(MapShape {
            rows: map.rows() as u32,
            columns: map.columns() as u32,
        });
        self.maps.push(map);
        self.maps.len() as u32 - 1
    }

    /// `Σ A·x + bias`.
    fn affine(
        &mut self,
        terms: &[(Register, Vec<Vec<i16>>)],
        bias: &[i64],
        bits: u8,
        shift: u8,
    ) -> Register {
        let mut bias_of = bias.to_vec();
        let mut all = Vec::new();
        for (input, weights) in terms {
            let columns = weights[0].len();
            let map = AffineMap::new(columns, weights.concat(), bias_of).unwrap();
            bias_of = vec![0; bias.len()];
            let map = self.map(map);
            all.push(Term {
                map,
                input: *input,
                window: None,
            });
        }
        let sums = self.push(Affine {
            terms: all,
            reach: Affine::reach_of(bits, shift),
        });
        self.shifts.insert(sums, shift);
        sums
    }

    /// The same at the positions of windows, of one number; weights are by row and offset.
    fn slide(
        &mut self,
        terms: &[(Register, Window, Vec<Vec<i16>>)],
        bias: &[i64],
        bits: u8,
        shift: u8,
    ) -> Register {
        let mut bias_of = bias.to_vec();
        let mut all = Vec::new();
        for (input, window, weights) in terms {
            let columns: Vec<u32> = window.at(0).iter().map(|(c, _)| *c as u32).collect();
            let rows = (weights.iter()).map(|row| columns.iter().copied().zip(row.iter().copied()));
            let map = AffineMap::sparse(window.columns(), rows, bias_of).unwrap();
            bias_of = vec![0; bias.len()];
            all.push(Term {
                map: self.map(map),
                input: *input,
                window: Some(window.clone()),
            });
        }
        let sums = self.push(Affine {
            terms: all,
            reach: Affine::reach_of(bits, shift),
        });
        self.shifts.insert(sums, shift);
        sums
    }

    /// An accumulator that is these values on frames of one zero, and moves with the frame where its
    /// bits allow.
    fn listed(&mut self, values: &[i64], bits: u8, shift: u8) -> Register {
        assert_eq!(self.program.frame, listed_frame());
        let most = most_of(bits, shift);
        let weight = |v: &i64| vec![i16::from(v.unsigned_abs() + 2 <= most)];
        let weights = values.iter().map(weight).collect();
        self.affine(&[(Register::FRAME, weights)], values, bits, shift)
    }

    /// With the shift of the sums.
    fn requantize(&mut self, input: Register, drop: u8, width: u8) -> Register {
        let shift = self.shifts.get(&input).copied().unwrap_or(0);
        self.push(Requantize {
            input,
            shift,
            drop,
            width,
        })
    }

    fn relu(&mut self, input: Register) -> Register {
        self.push(Relu { input })
    }

    fn table(&mut self, input: Register, f: impl Fn(i32) -> i32) -> Register {
        self.look_up(input, Table::of_bytes((-128..128).map(f).collect()))
    }

    fn look_up(&mut self, input: Register, table: Table) -> Register {
        self.program.tables.push(table);
        let table = self.program.tables.len() as u32 - 1;
        self.push(Lookup { input, table })
    }

    /// Sums that are requantised with this shift.
    fn combine(&mut self, constant: i64, monomials: Monomials<'_>, shift: u8) -> Register {
        let sums = self.polynomial(constant, monomials);
        self.shifts.insert(sums, shift);
        sums
    }

    fn polynomial(&mut self, constant: i64, monomials: Monomials<'_>) -> Register {
        self.push(Combine::new(constant, monomials))
    }

    fn dot(&mut self, input: Register, coefficients: &[i32]) -> Register {
        self.push(Dot {
            input,
            coefficients: coefficients.to_vec(),
        })
    }

    fn sign(&mut self, input: Register) -> Register {
        self.push(Sign { input })
    }

    fn zero(&mut self, input: Register) -> Register {
        self.push(Zero { input })
    }

    fn indicators(&mut self, input: Register, len: u32) -> Register {
        self.push(Indicators { input, len })
    }

    fn argmax(&mut self, input: Register) -> Register {
        self.push(ArgMax { input })
    }

    fn slice(&mut self, input: Register, start: u32, len: u32) -> Register {
        let slice = self.push(Slice { input, start, len });
        if let Some(shift) = self.shifts.get(&input).copied() {
            self.shifts.insert(slice, shift);
        }
        slice
    }

    fn concat(&mut self, inputs: &[Register]) -> Register {
        let inputs = inputs.to_vec();
        self.push(Concat { inputs })
    }

    /// The program with all of `output` as its output.
    fn case(mut self, name: &str, output: Register, frames: Vec<Vec<i64>>) -> Case {
        if !self.in_head {
            self.bystander();
        }
        let program = &mut self.program;
        // What breaks a rule has no shapes.
        let len = program.register_shapes().get(output).map_or(1, |s| s.len) as u32;
        program.output = Output {
            register: output,
            len,
        };
        let bank = WeightBank::new(self.maps).unwrap();
        Case::new(name, self.program, bank, frames)
    }
}

/// The frame of programs with [listed](Net::listed) values.
fn listed_frame() -> VectorShape {
    VectorShape { len: 1, width: 2 }
}

fn listed_net() -> Net {
    Net::new(listed_frame().len, listed_frame().width)
}

fn listed_frames() -> Vec<Vec<i64>> {
    vec![vec![0], vec![1], vec![-2]]
}

/// The largest value of an accumulator of a map.
fn most_of(bits: u8, shift: u8) -> u64 {
    let rounding = if shift == 0 { 0 } else { 1u64 << (shift - 1) };
    (1u64 << (bits - 1)) - rounding - 1
}

/// Frames in which every entry is at every end, at 0 and beside them.
fn ends(len: usize, width: u8) -> Vec<Vec<i64>> {
    let half = 1i64 << (width - 1);
    let mut values = vec![-half, half - 1, 0, 1, -1, 1 - half, half - 2];
    values.dedup();
    let n = values.len();
    (0..n)
        .map(|t| (0..len).map(|i| values[(t + i * (t + 1)) % n]).collect())
        .collect()
}

/// Name, program, weights and frames of the cases with windows, for tests elsewhere.
pub(crate) fn windows() -> Vec<(String, Program, WeightBank, Vec<Vec<i64>>)> {
    let slides = |o: &Operation| matches!(o, Operation::Affine(a) if a.terms[0].window.is_some());
    let mut cases = operations::cases();
    cases.retain(|c| c.refused.is_empty() && c.program.operations.iter().any(slides));
    let parts = |c: Case| (c.name, c.program, c.bank, c.frames);
    cases.into_iter().map(parts).collect()
}

/// Runs every case in a runtime, and says which of them fail, all of them.
fn all(runtime: Runtime) {
    let only = std::env::var("SUITE").unwrap_or_default();
    let mut failed = Vec::new();
    let mut count = 0;
    for (index, case) in operations::cases().into_iter().enumerate() {
        if !case.name.contains(&only) {
            continue;
        }
        count += 1;
        let result = catch_unwind(AssertUnwindSafe(|| runtime.run(index, &case)));
        if let Err(panic) = result {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            failed.push(format!("{}: {}", case.name, text.unwrap_or_default()));
        }
    }
    assert!(
        failed.is_empty(),
        "{} of {count} cases in the runtime {runtime:?}:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

#[test]
fn float() {
    all(Runtime::Float);
}

#[test]
fn interpreter() {
    all(Runtime::Interpreter);
}

#[test]
fn recursive() {
    all(Runtime::Recursive);
}

#[test]
fn trace() {
    all(Runtime::Trace);
}

#[test]
fn sessions() {
    all(Runtime::Sessions);
}

#[test]
fn folded() {
    for case in operations::cases() {
        if operations::FOLDED.contains(&case.name.as_str()) {
            runtimes::fold(&case);
        }
    }
}

#[test]
fn names_are_of_one_case() {
    let mut names: Vec<String> = operations::cases().into_iter().map(|c| c.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    let known = |name: &&str| names.iter().any(|n| n == *name);
    assert!(operations::FOLDED.iter().all(known));
}
