//! Constraint counts are pinned: a change here changes keys and belongs into the changelog.

use expect_test::expect;

use super::fixtures::relu_network;
use crate::tests::cells::{CellKind, CellShape, ElmanActivation, SequenceShape};
use crate::{
    program::Emission,
    recursive::{Schedule, Unrolled, count_constraints},
};

fn report(widths: &[u32], schedule: Schedule) -> String {
    let program = relu_network(widths).program().unwrap();
    let parts = count_constraints(&Unrolled::new(&program, schedule).unwrap());
    let mut lines: Vec<String> = parts
        .iter()
        .map(|(name, n)| format!("{name}: {n}"))
        .collect();
    let total: usize = parts.iter().map(|(_, n)| n).sum();
    lines.push(format!("in all: {total}"));
    lines.join("\n")
}

#[test]
fn mnist_mlp_in_one_step() {
    expect![[r#"
        state digest: 1069
        z.run opens: 1
        phase: 1
        z.activations is zero: 1
        frame: 6272
        frame digest: 1095
        inputs: 289
        operations: 3144
        seed: 1183
        sumcheck: transcript: 4760
        sumcheck: powers of rho: 7
        sumcheck: separator: 1
        sumcheck: sum of outputs: 138
        sumcheck: rounds: 38
        sumcheck: eq(P, r): 37
        sumcheck: product: 932
        sumcheck: rows 1 apart: 14
        sumcheck: (1 - r_t)·Σ: 1
        sumcheck: 1
        output digest: 290
        nothing is carried: 1
        outputs: 289
        next state digest: 1069
        in all: 20633"#]]
    .assert_eq(&report(&[784, 128, 10], Schedule::WholeNetwork));
}

#[test]
fn eleven_layers_of_128_a_step() {
    expect![[r#"
        state digest: 1069
        z.run opens: 1
        phase: 8
        selected: 1024
        selected digest: 393
        activations of z: 1
        z.activations opens after phase 0: 1
        inputs: 289
        inputs move in phase: 1
        operations: 32640
        seed: 5900
        sumcheck: transcript: 5474
        sumcheck: powers of rho: 7
        sumcheck: separator: 10
        sumcheck: sum of outputs: 1408
        sumcheck: rounds: 44
        sumcheck: eq(P, r): 43
        sumcheck: product: 1630
        sumcheck: rows 1 apart: 14
        sumcheck: (1 - r_t)·Σ: 1
        sumcheck: 1
        output digest: 597
        next carried digest: 393
        outputs: 289
        outputs move in the last phase: 1
        next state digest: 1069
        in all: 52308"#]]
    .assert_eq(&report(&[128; 65], Schedule::LayersPerStep(11)));
}

fn sequence_report(kind: CellKind, frames: u32) -> String {
    let shape = SequenceShape {
        inputs: 16,
        cells: vec![CellShape { kind, hidden: 64 }],
        head: vec![],
        tables: vec![],
        emission: Emission::Last,
        width: 8,
        shift: 10,
        bits: 22,
    };
    let program = shape.program().unwrap();
    let step = Unrolled::new(&program, Schedule::FramesPerStep(frames)).unwrap();
    let parts = count_constraints(&step);
    let total: usize = parts.iter().map(|(_, n)| n).sum();
    let operations = parts.iter().find(|(name, _)| name == "operations");
    format!("{kind:?}: {} of {total}", operations.unwrap().1)
}

/// Cells of 64 with 16 inputs, three frames to a step: operations, of all.
#[test]
fn cells_of_64() {
    let all: Vec<String> = [
        CellKind::Elman(ElmanActivation::Relu),
        CellKind::Elman(ElmanActivation::Tanh),
        CellKind::Gru,
        CellKind::GruResetBefore,
        CellKind::Lstm,
    ]
    .into_iter()
    .map(|kind| sequence_report(kind, 3))
    .collect();
    expect![[r#"
        Elman(Relu): 4928 of 16168
        Elman(Tanh): 9920 of 21160
        Gru: 46528 of 62108
        GruResetBefore: 50560 of 66610
        Lstm: 57088 of 72666"#]]
    .assert_eq(&all.join("\n"));
}

#[test]
fn weights_cost_no_constraints() {
    // Four times the layers, the same slots: two more variables of the bank, nothing else, but for
    // the two longer one-hot selectors of the phase.
    let count = |layers: usize| {
        let widths = vec![64; layers + 1];
        let program = relu_network(&widths).program().unwrap();
        let step = Unrolled::new(&program, Schedule::LayersPerStep(2)).unwrap();
        (program.bank(), count_constraints(&step))
    };
    let (small, few) = count(8);
    let (large, many) = count(32);
    assert_eq!(large.lambda, small.lambda + 2);
    let changed: Vec<(String, i64)> = few
        .iter()
        .zip(&many)
        .filter(|(a, b)| a != b)
        .map(|((name, a), (_, b))| (name.clone(), *b as i64 - *a as i64))
        .collect();
    expect![[r#"
        [
            (
                "state digest",
                291,
            ),
            (
                "phase",
                12,
            ),
            (
                "sumcheck: transcript",
                476,
            ),
            (
                "sumcheck: rounds",
                4,
            ),
            (
                "sumcheck: eq(P, r)",
                4,
            ),
            (
                "sumcheck: product",
                8,
            ),
            (
                "next state digest",
                291,
            ),
        ]"#]]
    .assert_eq(&format!("{changed:#?}"));
}
