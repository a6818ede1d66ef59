//! Small models and provers for tests.

use std::cell::Cell;

use bellpepper_core::{ConstraintSystem, test_cs::TestConstraintSystem};
use ff::Field;
use layerfold_gadgets::mle::{eq_evals, eq_index_native};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::cheat::make_consistent;
use crate::tests::cells::{CellKind, CellShape, SequenceShape};
use crate::{
    Params, Prover, Session, VerifyError, Visibility,
    backend::F,
    kind::ProofKind,
    program::{
        Activation, AffineMap, Emission, LayerShape, NetworkShape, Program, Table, WeightBank,
    },
    recursive::{
        Execution, Schedule, StepTrace, StepWitness, Unrolled,
        execution::run_step,
        prover::{PreparedStep, Run, StepContext},
        step,
    },
    statement::salts::Salts,
    weights::{Mask, SplitPoint, WeightClaim},
};

pub(super) const SHIFT: u8 = 6;
pub(super) const BITS: u8 = 20;

/// A fully connected network of these widths.
pub(super) fn network(widths: &[u32], activations: &[Activation]) -> NetworkShape {
    NetworkShape {
        reads: Vec::new(),
        layers: widths
            .windows(2)
            .zip(activations)
            .map(|(w, a)| LayerShape {
                inputs: w[0],
                outputs: w[1],
                activation: *a,
            })
            .collect(),
        tables: vec![Table::of_bytes(
            (-128..128).map(|x: i32| (x * x) / 129 - 50).collect(),
        )],
        width: 8,
        bits: BITS,
        shift: SHIFT,
    }
}

/// ReLU after every layer but the last.
pub(super) fn relu_network(widths: &[u32]) -> NetworkShape {
    let mut activations = vec![Activation::Relu; widths.len() - 1];
    if let Some(last) = activations.last_mut() {
        *last = Activation::Identity;
    }
    network(widths, &activations)
}

/// A recurrent network of one cell, and a dense head of two outputs.
pub(super) fn sequence(kind: CellKind, hidden: u32, emission: Emission) -> SequenceShape {
    SequenceShape {
        inputs: 3,
        cells: vec![CellShape { kind, hidden }],
        head: vec![LayerShape {
            inputs: hidden,
            outputs: 2,
            activation: Activation::Identity,
        }],
        tables: vec![],
        emission,
        width: 8,
        shift: SHIFT,
        bits: BITS,
    }
}

/// Random weights that keep every sum within `BITS`.
pub(super) fn bank(program: &Program, seed: u64) -> WeightBank {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let maps = program
        .maps()
        .iter()
        .map(|map| {
            let (rows, columns) = (map.rows as usize, map.columns as usize);
            let reach = ((1i64 << (BITS - 2)) / 128 / columns as i64).clamp(1, 100) as i16;
            let weights = (0..rows * columns)
                .map(|_| rng.gen_range(-reach..=reach))
                .collect();
            let bias = (0..rows).map(|_| rng.gen_range(-5000..5000)).collect();
            AffineMap::new(columns, weights, bias).unwrap()
        })
        .collect();
    WeightBank::new(maps).unwrap()
}

pub(super) fn frame(len: u32, seed: u64) -> Vec<i64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| rng.gen_range(-128..128)).collect()
}

thread_local! {
    /// The kind of proof that the test of this thread is about, if it is about one.
    static KIND: Cell<Option<ProofKind>> = const { Cell::new(None) };
}

pub(super) fn in_kind(kind: ProofKind, test: fn()) {
    KIND.set(Some(kind));
    test();
}

/// The kind of proof that the test at hand is about; `None` leaves it to the session.
pub(super) fn kind() -> Option<ProofKind> {
    KIND.get()
}

/// The session, set to the kind of proof that the test at hand is about.
pub(super) fn of_kind(mut session: Session) -> Session {
    session.set_kind(kind()).unwrap();
    session
}

/// Whether the test at hand is about traces.
pub(super) fn of_trace() -> bool {
    kind() == Some(ProofKind::Trace)
}

/// This schedule, or that of the only traces there are.
pub(super) fn schedule_of_kind(recursive: Schedule) -> Schedule {
    if of_trace() {
        Schedule::WholeNetwork
    } else {
        recursive
    }
}

/// A lie that the argument must catch: this is what the verifier says of a recursive proof. A trace
/// either has not the shape that the lie asks for, or does not hold.
#[track_caller]
pub(super) fn assert_refused<T: std::fmt::Debug>(
    got: Result<T, VerifyError>,
    recursive: &VerifyError,
) {
    let got = got.unwrap_err();
    if of_trace() {
        let refused = matches!(got, VerifyError::Trace | VerifyError::ArgumentShape);
        assert!(refused, "{got}");
    } else {
        assert_eq!(got, *recursive);
    }
}

/// A program, its keys, and a prover of random weights.
pub(super) fn prover(shape: &NetworkShape, schedule: Schedule, seed: u64) -> Prover {
    let program = shape.program().unwrap();
    let params = Params::setup_with(&program, schedule).unwrap();
    Prover::from_bank(&params, bank(&program, seed)).unwrap()
}

/// A step outside of any session: the parts of a prover and a run that circuit tests need.
pub(super) struct Bench {
    pub(super) program: Program,
    pub(super) step: Unrolled,
    pub(super) bank: WeightBank,
    pub(super) mask: Mask,
    pub(super) salts: Salts,
}

impl Bench {
    pub(super) fn new(program: Program, bank: WeightBank) -> Self {
        Self::scheduled(program, Schedule::WholeNetwork, bank)
    }

    pub(super) fn scheduled(program: Program, schedule: Schedule, bank: WeightBank) -> Self {
        let dimensions = program.bank();
        Self {
            mask: Mask::random(&dimensions, program.default_column_bits()),
            step: Unrolled::new(&program, schedule).unwrap(),
            program,
            bank,
            salts: Salts::random(Visibility::private_inputs().public_outputs()),
        }
    }

    pub(super) fn with_visibility(mut self, visibility: Visibility) -> Self {
        self.salts = Salts::random(visibility);
        self
    }

    pub(super) fn run(&self) -> Run {
        Run::initial(&self.step, F::from(7), self.step.initial.clone())
    }

    pub(super) fn trace(&self, run: &Run, frame: &[i64]) -> StepTrace {
        let zeros = vec![0; frame.len()];
        let frame = if run.state.phase == 0 { frame } else { &zeros };
        self.trace_of(run, &[frame.to_vec()])
    }

    pub(super) fn trace_of(&self, run: &Run, frames: &[Vec<i64>]) -> StepTrace {
        run_step(
            &self.step,
            &self.bank,
            run.state.phase,
            &run.carried,
            frames,
        )
        .unwrap()
    }

    /// A step with frames in these slots only.
    pub(super) fn trace_with(&self, run: &Run, frames: &[Option<Vec<i64>>]) -> StepTrace {
        let mut execution = Execution::begin(&self.step, 0, &run.carried).unwrap();
        for (slot, frame) in frames.iter().enumerate() {
            let zeros = vec![0; self.program.frame().len as usize];
            let x = frame.as_ref().unwrap_or(&zeros);
            execution
                .run_slot(&self.step, &self.bank, slot, x, frame.is_some())
                .unwrap();
        }
        let mut trace = execution.into_trace(&self.step, &self.bank).unwrap();
        trace.on = frames.iter().map(Option::is_some).collect();
        trace
    }

    pub(super) fn prepare(&self, run: &Run, trace: &StepTrace) -> PreparedStep {
        StepContext {
            step: &self.step,
            bank: &self.bank,
            mask: &self.mask,
            salts: &self.salts,
        }
        .prepare(run, trace)
        .unwrap()
    }

    /// A step whose last check holds whatever the trace says.
    pub(super) fn cheat(&self, run: &Run, trace: &StepTrace) -> PreparedStep {
        let mut step = self.prepare(run, trace);
        make_consistent(&self.step, run, trace, &mut step);
        step
    }

    /// The step circuit on `z_i`; gives the constraint system and `z_{i+1}`.
    pub(super) fn synthesize(
        &self,
        z: [F; 2],
        witness: &StepWitness,
    ) -> (TestConstraintSystem<F>, [F; 2]) {
        let mut cs = TestConstraintSystem::new();
        let z = [
            cs.alloc(|| "z.activations", || Ok(z[0])).unwrap(),
            cs.alloc(|| "z.run", || Ok(z[1])).unwrap(),
        ];
        let next = step::synthesize(&mut cs, &self.step, z, witness).unwrap();
        (cs, next.map(|n| n.get_value().unwrap()))
    }

    /// Where the circuit says that the step does not hold.
    pub(super) fn rejected_at(&self, z: [F; 2], witness: &StepWitness) -> Option<String> {
        let (cs, _) = self.synthesize(z, witness);
        cs.which_is_unsatisfied().map(str::to_owned)
    }

    /// Whether `Ŵ~(P) = V`, computed from the integers.
    pub(super) fn claim_holds(&self, claim: &WeightClaim) -> bool {
        let d = self.program.bank();
        let p = SplitPoint::new(&claim.point, &d).unwrap();
        let eq_j = eq_evals(p.j);
        let mut value = F::ZERO;
        for (l, map) in self.bank.maps().iter().enumerate() {
            for i in 0..map.rows() {
                let at = eq_index_native(l as u64, p.l) * eq_index_native(i as u64, p.i);
                let mut row = signed(map.bias()[i]) * eq_j[0];
                for (j, w) in map.row(i).entries() {
                    row += signed(i64::from(w)) * eq_j[1 + j];
                }
                value += at * row;
            }
        }
        let mask: F = self.mask.row.iter().zip(&eq_j).map(|(m, e)| *m * e).sum();
        let mask = mask * eq_index_native(0, p.l) * eq_index_native(0, p.i);
        (F::ONE - p.t) * value + p.t * mask == claim.value
    }
}

pub(super) fn signed(x: i64) -> F {
    let magnitude = F::from(x.unsigned_abs());
    if x < 0 { -magnitude } else { magnitude }
}
