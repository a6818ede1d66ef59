//! Systems of random programs hold for what the interpreter computes, and for nothing else.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::{
    program::{Emission, Program, WeightBank, interpreter::Interpreter},
    tests::random_programs::{random_bank, random_frame, random_program, random_program_of},
    trace::{
        lower::{Instance, lower},
        system::System,
        witness::{Witness, registers},
    },
};

/// A run of a random program.
pub(crate) struct Case {
    pub(crate) program: Program,
    pub(crate) bank: WeightBank,
    pub(crate) initial: Vec<Vec<i64>>,
    pub(crate) frames: Vec<Vec<i64>>,
    pub(crate) outputs: Vec<i64>,
}

/// Parameters that are all 1.
pub(crate) fn parameters_of(program: &Program) -> Vec<i64> {
    let shapes = program.parameter_shapes();
    shapes.iter().flat_map(|s| vec![1; s.len]).collect()
}

/// The case of a seed, if it gives a valid program that has a run.
pub(crate) fn case(seed: u64, most_frames: u64) -> Option<Case> {
    case_of(random_program(seed)?, seed, most_frames)
}

/// The same, with windows.
pub(crate) fn sliding_case(seed: u64, most_frames: u64) -> Option<Case> {
    case_of(random_program_of(seed, 12, true)?, seed, most_frames)
}

fn case_of(program: Program, seed: u64, most_frames: u64) -> Option<Case> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed);
    let bank = random_bank(&program, &mut rng);
    bank.check(&program).ok()?;
    let frames = 1 + seed % most_frames.min(program.max_frames());
    let frames: Vec<Vec<i64>> = (0..frames)
        .map(|_| random_frame(&program, &mut rng))
        .collect();
    Some(Case::run(program, bank, frames))
}

impl Case {
    /// With parameters that are all 1.
    pub(crate) fn run(program: Program, bank: WeightBank, frames: Vec<Vec<i64>>) -> Self {
        let parameters = parameters_of(&program);
        let initial = program.initial_with(&parameters).unwrap();
        let mut interpreter = Interpreter::with_parameters(&program, &bank, &parameters).unwrap();
        let mut outputs = Vec::new();
        for frame in &frames {
            let output = interpreter.push(frame).unwrap();
            if program.emission() == Emission::Last {
                outputs.clear();
            }
            outputs.extend(output);
        }
        Self {
            program,
            bank,
            initial,
            frames,
            outputs,
        }
    }

    pub(crate) fn system(&self, shown: bool) -> Option<System> {
        let inputs = self.frames.concat();
        let instance = Instance {
            frames: self.frames.len(),
            initial: &self.initial,
            inputs: shown.then_some(&inputs),
            outputs: shown.then_some(&self.outputs),
        };
        lower(&self.program, instance)
    }

    pub(crate) fn witness(&self, system: &System) -> Witness {
        let registers = registers(&self.program, &self.bank, &self.initial, &self.frames).unwrap();
        Witness::of(system, &registers)
    }
}

#[test]
fn systems_of_random_programs_hold_for_the_interpreter() {
    let (mut tried, mut without) = (0, 0);
    for seed in 0..4000 {
        let Some(case) = case(seed, 4) else { continue };
        for shown in [false, true] {
            let Some(system) = case.system(shown) else {
                without += 1;
                continue;
            };
            let witness = case.witness(&system);
            let wrong = system.violations(&case.bank, &witness.columns, &witness.rows);
            assert!(
                wrong.is_empty(),
                "seed {seed}: {wrong:?}\n{:#?}",
                case.program
            );
            tried += 1;
        }
        if tried > 400 {
            break;
        }
    }
    assert!(tried > 100 && without * 10 < tried, "{tried}, {without}");
}
