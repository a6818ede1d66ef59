//! The two interpreters of recurrent programs agree bit for bit.

use proptest::prelude::*;

use super::fixtures::Bench;
use crate::tests::cells::{CellKind, CellShape, ElmanActivation, SequenceShape};
use crate::{
    program::{Activation, AffineMap, Emission, LayerShape, WeightBank, interpreter::Interpreter},
    recursive::Schedule,
};

#[derive(Clone, Debug)]
struct Case {
    shape: SequenceShape,
    per_step: u32,
    seed: u64,
    /// Frames of each step.
    steps: Vec<Vec<Vec<i64>>>,
}

fn kind() -> impl Strategy<Value = CellKind> {
    prop_oneof![
        Just(CellKind::Elman(ElmanActivation::Relu)),
        Just(CellKind::Elman(ElmanActivation::Tanh)),
        Just(CellKind::Gru),
        Just(CellKind::GruResetBefore),
        Just(CellKind::Lstm),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    (
        1u32..=5,
        prop::collection::vec((kind(), 1u32..=5), 1..=2),
        prop::option::of((1u32..=4, prop::bool::ANY)),
        prop::bool::ANY,
        1u32..=3,
        any::<u64>(),
    )
        .prop_flat_map(|(inputs, cells, head, each, per_step, seed)| {
            let x = prop_oneof![Just(-128i64), Just(127i64), Just(0i64), -128i64..128];
            let frame = prop::collection::vec(x, inputs as usize);
            let step = prop::collection::vec(frame, 1..=per_step as usize);
            let cells: Vec<CellShape> = cells
                .into_iter()
                .map(|(kind, hidden)| CellShape { kind, hidden })
                .collect();
            let hidden = cells[cells.len() - 1].hidden;
            let head = head.map(|(outputs, relu)| LayerShape {
                inputs: hidden,
                outputs,
                activation: if relu {
                    Activation::Relu
                } else {
                    Activation::Identity
                },
            });
            let shape = SequenceShape {
                inputs,
                cells,
                head: head.into_iter().collect(),
                tables: vec![],
                emission: if each { Emission::Each } else { Emission::Last },
                width: 8,
                shift: 7,
                // Room for ten inputs of -128 times -32768 and a bias.
                bits: 28,
            };
            (
                Just(shape),
                Just(per_step),
                Just(seed),
                prop::collection::vec(step, 1..=3),
            )
        })
        .prop_map(|(shape, per_step, seed, steps)| Case {
            shape,
            per_step,
            seed,
            steps,
        })
}

/// Weights with some at the ends of 16 bits, so that everything saturates somewhere.
fn bank(case: &Case) -> WeightBank {
    use rand::{Rng, SeedableRng};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(case.seed);
    let program = case.shape.program().unwrap();
    let maps = program
        .maps()
        .iter()
        .map(|map| {
            let (rows, columns) = (map.rows as usize, map.columns as usize);
            let weights = (0..rows * columns)
                .map(|_| match rng.gen_range(0..8) {
                    0 => i16::MIN,
                    1 => i16::MAX,
                    2 => 0,
                    _ => rng.gen_range(-300..300),
                })
                .collect();
            let bias = (0..rows).map(|_| rng.gen_range(-40_000..40_000)).collect();
            AffineMap::new(columns, weights, bias).unwrap()
        })
        .collect();
    WeightBank::new(maps).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn interpreter_and_circuit_agree_on_sequences(case in case()) {
        let program = case.shape.program().unwrap();
        let bank = bank(&case);
        prop_assert!(bank.check(&program).is_ok());
        let mut interpreter = Interpreter::new(&program, &bank).unwrap();
        let schedule = Schedule::FramesPerStep(case.per_step);
        let bench = Bench::scheduled(program.clone(), schedule, bank.clone());
        let mut run = bench.run();
        for frames in &case.steps {
            let trace = bench.trace_of(&run, frames);
            let mut outputs = Vec::new();
            for frame in frames {
                outputs.push(interpreter.push(frame).unwrap());
            }
            // The step as a whole is what the frames one by one are.
            let last = match program.emission() {
                Emission::Each => bench.step.slots[frames.len() - 1].output,
                Emission::Last => bench.step.output,
            };
            let len = outputs[0].len();
            prop_assert_eq!(&trace.register(last)[..len], outputs.last().unwrap());
            let step = bench.prepare(&run, &trace);
            prop_assert_eq!(&step.next.carried, &interpreter.state());
            let (cs, next) = bench.synthesize(run.z, &step.witness);
            prop_assert_eq!(cs.which_is_unsatisfied(), None);
            prop_assert_eq!(next, step.next.z);
            prop_assert!(bench.claim_holds(&step.next.state.claim));
            run = step.next;
        }
    }
}
