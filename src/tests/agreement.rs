//! The two interpreters of a program agree bit for bit.

use proptest::prelude::*;

use super::fixtures::{BITS, Bench, SHIFT};
use crate::{
    Outputs, Params, Proof, Prover, Verifier, Visibility,
    kind::ProofKind,
    program::{Activation, AffineMap, LayerShape, NetworkShape, Table, WeightBank},
    recursive::{Schedule, Unrolled, execution::run_steps},
};

#[derive(Clone, Debug)]
struct Case {
    shape: NetworkShape,
    schedule: Schedule,
    /// Seeds of weights: 0 for the extremes.
    maps: Vec<Vec<i32>>,
    frames: Vec<Vec<i64>>,
}

fn activation() -> impl Strategy<Value = Activation> {
    prop_oneof![
        1 => Just(Activation::Identity),
        3 => Just(Activation::Relu),
        1 => Just(Activation::Table(0)),
        1 => Just(Activation::Table(1)),
    ]
}

/// Which values a layer reads: bit 0 is the one before it, bit `k` the one `k` before that.
fn reads() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => Just(0b1u32),
        3 => Just(0b11),
        1 => Just(0b10),
        1 => Just(0b101),
        1 => 1u32..64,
    ]
}

fn tables() -> Vec<Table> {
    let sigmoid = |x: i32| (127.0 / (1.0 + (-f64::from(x) / 16.0).exp())).round() as i32;
    vec![
        Table::of_bytes((-128..128).map(sigmoid).collect()),
        Table::of_bytes((-128..128).map(|x: i32| -(x * 7 % 128)).collect()),
    ]
}

fn case(widths: std::ops::RangeInclusive<u32>) -> impl Strategy<Value = Case> {
    (1usize..=6)
        .prop_flat_map(move |layers| {
            (
                prop::collection::vec(widths.clone(), layers + 1),
                prop::collection::vec(activation(), layers),
                prop::collection::vec(reads(), layers),
                prop_oneof![
                    Just(Schedule::WholeNetwork),
                    (1u32..=6).prop_map(Schedule::LayersPerStep)
                ],
            )
        })
        .prop_flat_map(|(widths, activations, masks, schedule)| {
            let reads: Vec<Vec<u32>> = (0u32..)
                .zip(masks)
                .map(|(layer, mask)| {
                    let before = (0..layer).filter(|v| mask >> (layer - v) & 1 == 1);
                    let last = (mask & 1 == 1 || layer == 0).then_some(layer);
                    let reads: Vec<u32> = before.chain(last).collect();
                    if reads.is_empty() { vec![layer] } else { reads }
                })
                .collect();
            let layers: Vec<LayerShape> = reads
                .iter()
                .zip(&widths[1..])
                .zip(&activations)
                .map(|((reads, outputs), a)| LayerShape {
                    inputs: reads.iter().map(|v| widths[*v as usize]).sum(),
                    outputs: *outputs,
                    activation: *a,
                })
                .collect();
            let entry = || prop_oneof![Just(-32_768i32), Just(32_767), Just(0), -300..300];
            let maps: Vec<_> = layers
                .iter()
                .map(|l| prop::collection::vec(entry(), (l.outputs * (l.inputs + 1)) as usize))
                .collect();
            let x = prop_oneof![Just(-128i64), Just(127i64), Just(0i64), -128i64..128];
            let frame = prop::collection::vec(x, widths[0] as usize);
            (
                Just((layers, reads)),
                Just(schedule),
                maps,
                prop::collection::vec(frame, 1..=2),
            )
        })
        .prop_map(|((layers, reads), schedule, maps, frames)| Case {
            shape: NetworkShape {
                layers,
                reads,
                tables: tables(),
                width: 8,
                // Room for 420 inputs of -128 times -32768, so that nothing is scaled down.
                bits: BITS + 12,
                shift: SHIFT,
            },
            schedule,
            maps,
            frames,
        })
}

fn bank(case: &Case) -> WeightBank {
    let mut maps = Vec::new();
    for (l, (layer, entries)) in case.shape.layers.iter().zip(&case.maps).enumerate() {
        let rows = layer.outputs as usize;
        let (bias, mut weights) = entries.split_at(rows);
        let mut bias: Vec<i64> = bias.iter().map(|b| i64::from(*b) * 1000).collect();
        for value in &case.shape.reads[l] {
            let columns = match value {
                0 => case.shape.layers[0].inputs,
                value => case.shape.layers[*value as usize - 1].outputs,
            } as usize;
            let (own, rest) = weights.split_at(rows * columns);
            weights = rest;
            let own = own.iter().map(|w| *w as i16).collect();
            maps.push(AffineMap::new(columns, own, bias).unwrap());
            bias = vec![0; rows];
        }
    }
    WeightBank::new(maps).unwrap()
}

/// The case's schedule; the whole network if no step can end where it would have to.
fn schedule(case: &Case) -> Schedule {
    let program = case.shape.program().unwrap();
    match Unrolled::new(&program, case.schedule) {
        Ok(_) => case.schedule,
        Err(_) => Schedule::WholeNetwork,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn interpreter_and_circuit_agree(case in case(1..=70)) {
        let (program, bank) = (case.shape.program().unwrap(), bank(&case));
        prop_assert!(bank.check(&program).is_ok());
        let bench = Bench::scheduled(program, schedule(&case), bank);
        let mut run = bench.run();
        for frame in &case.frames {
            for _ in 0..bench.step.phases {
                let step = bench.prepare(&run, &bench.trace(&run, frame));
                let (cs, next) = bench.synthesize(run.z, &step.witness);
                prop_assert_eq!(cs.which_is_unsatisfied(), None);
                // `z` holds digests of the interpreter's outputs and carried vector.
                prop_assert_eq!(next, step.next.z);
                prop_assert!(bench.claim_holds(&step.next.state.claim));
                run = step.next;
            }
        }
    }

    #[test]
    fn schedules_agree(case in case(1..=12), k in 1u32..=6) {
        let whole = case.shape.program().unwrap();
        let Ok(spread) = Unrolled::new(&whole, Schedule::LayersPerStep(k)) else {
            // What a later layer reads besides keeps a step from ending, or nothing is requantised.
            let chain = case.shape.reads.iter().enumerate().all(|(l, r)| *r == [l as u32]);
            prop_assert!(!chain || case.shape.layers.len() == 1);
            return Ok(());
        };
        let bank = bank(&case);
        let mut carried = spread.initial.clone();
        for frame in &case.frames {
            prop_assert_eq!(
                whole.run(&bank, &mut Vec::new(), frame).unwrap(),
                run_steps(&spread, &bank, &mut carried, frame).unwrap()
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn interpreter_and_proofs_of_both_kinds_agree(case in case(1..=16)) {
        for kind in [ProofKind::Trace, ProofKind::Recursive] {
            let program = case.shape.program().unwrap();
            let params = match kind {
                ProofKind::Trace => Params::setup(&program).unwrap(),
                ProofKind::Recursive => Params::setup_with(&program, schedule(&case)).unwrap(),
            };
            let prover = Prover::from_bank(&params, bank(&case)).unwrap();
            let visibility = Visibility::public_inputs().public_outputs();
            let mut session = prover.session(visibility).unwrap();
            session.set_kind(Some(kind)).unwrap();
            let mut carried = program.initial_carried();
            let mut expected = Vec::new();
            for frame in &case.frames {
                session.push_integers(frame).unwrap();
                let arranged = prover.bank.bank();
                expected.push(program.run(arranged, &mut carried, frame).unwrap());
            }
            let bytes = session.finish().unwrap().to_bytes();
            let statement = Verifier::new(&params, prover.model_commitment())
                .kind(kind)
                .verify(&Proof::from_bytes(&bytes).unwrap())
                .unwrap();
            prop_assert_eq!(statement.outputs, Outputs::Public { vectors: expected });
        }
    }
}
