//! What runs a case: the reference, the specification, and two ways of proving it.

use ff::Field;
use rand_core::OsRng;

use super::Case;
use crate::{
    Inputs, Outputs, Params, Proof, Prover, Verifier, Visibility,
    backend::F,
    kind::ProofKind,
    program::{Emission, Program, Register, WeightBank, interpreter::Interpreter},
    recursive::{Execution, Node, StepWitness, Unrolled, prover::Run, state::initial_z},
    tests::fixtures::Bench,
    trace::{
        PublicVectors, RowKind, TraceError, TraceKey, TraceProof, TraceRun, TraceStatement,
        tests::forged::forged,
    },
    weights::{BlindingSeed, CommittedBank},
};

/// What runs a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runtime {
    /// The function of real numbers.
    Float,
    /// The integer interpreter, and all that must hold before anything runs.
    Interpreter,
    /// The step circuit.
    Recursive,
    /// Proofs of traces.
    Trace,
    /// Proofs of traces, all of the public interface included.
    Sessions,
}

impl Runtime {
    /// Panics if the case does not hold.
    pub(super) fn run(self, index: usize, case: &Case) {
        if let Some(says) = case.refusal(Self::Interpreter) {
            if self == Self::Interpreter {
                assert_says(&admit(case), says);
            }
            return;
        }
        match self {
            Self::Float => float(case),
            Self::Interpreter => interpreter(case),
            Self::Recursive => recursive(case, index),
            Self::Trace => trace(case, index),
            Self::Sessions if case.sessions => session(case, ProofKind::Trace, index),
            Self::Sessions => {}
        }
    }
}

#[track_caller]
fn assert_says<T>(result: &Result<T, String>, says: &str) {
    match result {
        Ok(_) => panic!("is not refused: {says}"),
        Err(error) => assert!(error.contains(says), "{error}, not: {says}"),
    }
}

/// What every runtime relies on: the program is valid and survives a round trip, the weights keep
/// every promise.
fn admit(case: &Case) -> Result<(), String> {
    case.program.validate().map_err(|e| e.to_string())?;
    let bytes = case.program.to_bytes();
    let again = Program::from_bytes(&bytes).map_err(|e| e.to_string())?;
    assert_eq!(again, case.program);
    case.bank.check(&case.program).map_err(|e| e.to_string())
}

/// The outputs that a proof is about, by the specification.
fn outputs(case: &Case) -> Vec<Vec<i64>> {
    admit(case).unwrap();
    let mut interpreter =
        Interpreter::with_parameters(&case.program, &case.bank, &case.parameters).unwrap();
    let push = |frame: &Vec<i64>| interpreter.push(frame).unwrap();
    let mut outputs: Vec<Vec<i64>> = case.frames.iter().map(push).collect();
    if case.program.emission() == Emission::Last {
        outputs.drain(..outputs.len() - 1);
    }
    outputs
}

/// The last output with one entry changed by 1, in the range of its register if that has another
/// value; and which entry.
fn lie(case: &Case, index: usize, output: &[i64]) -> (usize, i64) {
    let shape = case.program.output_shape();
    let at = index % output.len();
    let up = output[at] + 1;
    let down = output[at] - 1;
    let takes_down = shape.range.holds(down) && !shape.range.holds(up);
    (at, if takes_down { down } else { up })
}

fn float(case: &Case) {
    let Some((tolerance, function)) = &case.float else {
        return;
    };
    let got = outputs(case);
    let frames: Vec<Vec<f64>> = (case.frames.iter())
        .map(|x| x.iter().map(|x| *x as f64).collect())
        .collect();
    let mut expected = function(&frames);
    if case.program.emission() == Emission::Last {
        expected.drain(..expected.len() - 1);
    }
    assert_eq!(got.len(), expected.len());
    let (mut worst, mut what) = (0.0, String::new());
    for (t, (got, expected)) in got.iter().zip(&expected).enumerate() {
        assert_eq!(got.len(), expected.len(), "output {t}");
        for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
            let off = (*got as f64 - expected).abs();
            assert!(!off.is_nan());
            if off > worst {
                (worst, what) = (off, format!("output {t}, entry {i}: {got}, not {expected}"));
            }
        }
    }
    assert!(
        worst <= *tolerance,
        "off by {worst}, more than {tolerance}: {what}"
    );
}

/// Frames one by one are frames in one step, and no register leaves its range.
fn interpreter(case: &Case) {
    let program = &case.program;
    let expected = outputs(case);
    if case.refusal(Runtime::Recursive).is_some() {
        return;
    }
    let bench = Bench::scheduled(program.clone(), case.schedule, case.bank.clone());
    let (mut run, _) = begin(case, &bench);
    let mut got = Vec::new();
    for_each_step(case, &bench, |phase, frames| {
        let trace = bench.trace_of(&run, frames);
        for (register, values) in trace.registers.iter() {
            let encoding = bench.step.encoding(register);
            assert!(values.iter().all(|v| encoding.holds(*v)));
        }
        emitted(&bench, phase, frames.len(), |r| trace.register(r), &mut got);
        let after = &bench.step.slots[bench.step.slots.len() - 1].carried;
        run.carried = after.iter().map(|r| trace.register(*r).to_vec()).collect();
        run.state.phase = (phase + 1) % bench.step.phases;
    });
    assert_eq!(
        got, expected,
        "frames in one step are not frames one by one"
    );
}

/// Calls with the phase and the frames of every step.
fn for_each_step(case: &Case, bench: &Bench, mut f: impl FnMut(u64, &[Vec<i64>])) {
    for frames in case.frames.chunks(bench.step.frames()) {
        f(0, frames);
        for phase in 1..bench.step.phases {
            f(phase, &vec![vec![0; frames[0].len()]; 1]);
        }
    }
}

/// Adds the outputs of a step to those before.
fn emitted<'a>(
    bench: &Bench,
    phase: u64,
    frames: usize,
    register: impl Fn(Register) -> &'a [i64],
    outputs: &mut Vec<Vec<i64>>,
) {
    let program = &bench.program;
    let of = |r: Register| register(r)[..program.output_shape().len].to_vec();
    match program.emission() {
        _ if phase + 1 != bench.step.phases => {}
        Emission::Each => outputs.extend(bench.step.slots[..frames].iter().map(|s| of(s.output))),
        Emission::Last => *outputs = vec![of(bench.step.output)],
    }
}

fn begin(case: &Case, bench: &Bench) -> (Run, F) {
    let binding = F::from(7);
    let carried = bench.step.initial_with(&case.program, &case.parameters);
    let carried = carried.unwrap();
    let mut run = bench.run();
    run.z = initial_z(&bench.step, binding, &carried);
    run.carried = carried;
    (run, binding)
}

/// Every step is a satisfied constraint system of one shape that leads to the digests of the
/// interpreter's outputs and state, and whose claim is true.
fn recursive(case: &Case, index: usize) {
    let program = &case.program;
    let small = Unrolled::new(program, case.schedule).map_err(|e| e.to_string());
    if let Some(says) = case.refusal(Runtime::Recursive) {
        assert_says(&small, says);
        return;
    }
    small.unwrap();
    let expected = outputs(case);
    let bench = Bench::scheduled(program.clone(), case.schedule, case.bank.clone());
    let (dummy, _) = bench.synthesize([F::ZERO; 2], &StepWitness::dummy(&bench.step));
    let (mut run, _) = begin(case, &bench);
    let mut got = Vec::new();
    let mut last = None;
    for_each_step(case, &bench, |phase, frames| {
        let trace = bench.trace_of(&run, frames);
        let step = bench.prepare(&run, &trace);
        let (cs, next) = bench.synthesize(run.z, &step.witness);
        assert_eq!(cs.which_is_unsatisfied(), None, "the circuit does not hold");
        // `z` holds digests of the interpreter's outputs and carried vector.
        assert_eq!(next, step.next.z, "the circuit's result is another");
        assert!(
            bench.claim_holds(&step.next.state.claim),
            "the claim is false"
        );
        if last.is_none() {
            assert_eq!(cs.hash(), dummy.hash(), "the shape depends on the witness");
        }
        emitted(&bench, phase, frames.len(), |r| trace.register(r), &mut got);
        last = Some((run.clone(), trace, frames.len()));
        run = step.next;
    });
    assert_eq!(got, expected);

    // The last step, with one entry of its output changed, and all that follows.
    let (run, mut trace, present) = last.unwrap();
    let register = match program.emission() {
        Emission::Each => bench.step.slots[present - 1].output,
        Emission::Last => bench.step.output,
    };
    assert_ne!(register, Register::FRAME, "another frame is no lie");
    let (entry, other) = lie(case, index, &expected[expected.len() - 1]);
    trace.registers[register][entry] = other;
    let at = register.operation();
    let is_kept = |at: &usize| matches!(bench.step.nodes[*at], Node::Keep { .. });
    if let Some(at) = at.filter(|at| !is_kept(at))
        && bench.step.slots.len() == 1
    {
        let phase = run.state.phase;
        let follows = Execution::after_a_lie;
        let lied = trace.clone();
        if let Ok(lied) = follows(&bench.step, &bench.bank, phase, lied, at) {
            trace = lied;
        }
    }
    let step = bench.cheat(&run, &trace);
    let (cs, next) = bench.synthesize(run.z, &step.witness);
    let refused =
        !cs.is_satisfied() || next != step.next.z || !bench.claim_holds(&step.next.state.claim);
    assert!(refused, "the circuit takes another output");
}

/// A committed model and what is proved of it.
struct Traced<'a> {
    case: &'a Case,
    key: TraceKey,
    bank: CommittedBank,
    own_rows: bool,
}

impl Traced<'_> {
    fn verify(
        &self,
        inputs: PublicVectors<'_>,
        outputs: PublicVectors<'_>,
        proof: &TraceProof,
    ) -> Result<(), TraceError> {
        self.key.verify(
            &TraceStatement {
                model: self.bank.commitment(),
                context: b"suite",
                parameters: &self.case.parameters,
                frames: self.case.frames.len() as u64,
                own_rows: self.own_rows,
                inputs,
                outputs,
            },
            proof,
        )
    }
}

/// A proof verifies with the interpreter's outputs, and with others neither it does nor that of a
/// prover who lies.
fn trace(case: &Case, index: usize) {
    let program = &case.program;
    let key = TraceKey::new(program, program.digest());
    let refusal = case.refusal(Runtime::Trace);
    let expected = outputs(case);
    let seed = BlindingSeed::random();
    let traced = Traced {
        case,
        key,
        bank: CommittedBank::commit(case.bank.clone(), program, seed).unwrap(),
        own_rows: index.is_multiple_of(3),
    };
    // Every second case hides what it can.
    let visibility = if index.is_multiple_of(2) {
        Visibility::public_inputs().public_outputs()
    } else {
        Visibility::private_inputs()
    };
    let salt = F::random(OsRng);
    let run = TraceRun {
        bank: &traced.bank,
        visibility,
        context: b"suite",
        parameters: &case.parameters,
        own_rows: traced.own_rows,
        fast: false,
        frames: &case.frames,
        salt: &|kind: RowKind, index| salt + F::from(2 * index + kind as u64),
    };
    let outcome = traced.key.prove(&run).map_err(|e| e.to_string());
    if let Some(says) = refusal {
        return assert_says(&outcome, says);
    }
    let outcome = outcome.unwrap();
    let inputs = case.frames.concat();
    let outputs = expected.concat();
    let stated_inputs = match &outcome.inputs {
        Some(digest) => PublicVectors::Digest(digest),
        None => PublicVectors::Entries(&inputs),
    };
    let stated_outputs = match &outcome.outputs {
        Some(digest) => PublicVectors::Digest(digest),
        None => PublicVectors::Entries(&outputs),
    };
    assert_eq!(
        traced.verify(stated_inputs, stated_outputs, &outcome.proof),
        Ok(()),
        "an honest proof is refused"
    );

    // One entry of the last output changed: the honest proof, and one for the lie.
    let last = &expected[expected.len() - 1];
    let (entry, other) = lie(case, index, last);
    let mut lying = outputs.clone();
    lying[outputs.len() - last.len() + entry] = other;
    match &outcome.outputs {
        None => {
            let lying = PublicVectors::Entries(&lying);
            let verified = traced.verify(stated_inputs, lying, &outcome.proof);
            assert!(verified.is_err(), "a proof is one of other outputs");
        }
        Some(digest) => {
            let mut digest = *digest;
            digest[index % 32] ^= 1;
            let lying = PublicVectors::Digest(&digest);
            let verified = traced.verify(stated_inputs, lying, &outcome.proof);
            assert!(verified.is_err(), "a proof is one of another digest");
        }
    }
    let forged = forged(program, &run, &lying);
    assert!(forged.violated, "the system holds for other outputs");
    let Some(proof) = forged.proof else {
        return;
    };
    let [inputs, lying] = [&inputs, &lying].map(|all| PublicVectors::Entries(all));
    let verified = traced.verify(inputs, lying, &proof);
    assert!(verified.is_err(), "a forged proof is accepted");
}

/// Proves and verifies through sessions, bytes included.
fn session(case: &Case, kind: ProofKind, index: usize) {
    let expected = outputs(case);
    let params = Params::setup_with(&case.program, case.schedule).unwrap();
    let bank: WeightBank = case.bank.clone();
    let prover = Prover::from_bank(&params, bank).unwrap();
    let visibility = if index.is_multiple_of(2) {
        Visibility::public_inputs().public_outputs()
    } else {
        Visibility::private_inputs().public_outputs()
    };
    let mut session = (prover.session_with(visibility, b"suite", &case.parameters)).unwrap();
    session.set_kind(Some(kind)).unwrap();
    for frame in &case.frames {
        session.push_integers(frame).unwrap();
    }
    let bytes = session.finish().unwrap().to_bytes();
    let proof = Proof::from_bytes(&bytes).unwrap();
    let verifier = || {
        Verifier::new(&params, prover.model_commitment())
            .kind(kind)
            .context(b"suite")
            .parameters(&case.parameters)
    };
    let statement = verifier().outputs(&expected).verify(&proof).unwrap();
    assert_eq!(
        statement.outputs,
        Outputs::Public {
            vectors: expected.clone()
        }
    );
    if let Inputs::Public { frames } = &statement.inputs {
        assert_eq!(*frames, case.frames);
    }
    let mut lying = expected.clone();
    let last = lying.len() - 1;
    let (entry, other) = lie(case, index, &expected[last]);
    lying[last][entry] = other;
    assert!(verifier().outputs(&lying).verify(&proof).is_err());
}

/// The same with all steps folded.
pub(super) fn fold(case: &Case) {
    session(case, ProofKind::Recursive, 0);
}
