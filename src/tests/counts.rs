//! Constraint counts are pinned: a change here changes keys and belongs into the changelog.

use expect_test::expect;

use super::fixtures::relu_network;
use crate::{circuit::count_constraints, program::Schedule};

fn report(widths: &[u32], schedule: Schedule) -> String {
    let program = relu_network(widths).program(schedule).unwrap();
    let parts = count_constraints(&program);
    let mut lines: Vec<String> = parts.iter().map(|(name, n)| format!("{n:6} {name}")).collect();
    let total: usize = parts.iter().map(|(_, n)| n).sum();
    lines.push(format!("{total:6} in all"));
    lines.join("\n")
}

#[test]
fn mnist_mlp_in_one_step() {
    expect![[r#"
          1069 state digest
             1 z.run opens
             1 phase
             1 z.activations is 0
          6272 frame
          1095 frame digest
           289 inputs
          3144 operations
          1183 seed
          4760 sumcheck: transcript
             7 sumcheck: powers of rho
             1 sumcheck: separator
           138 sumcheck: sum of outputs
            38 sumcheck: rounds
            37 sumcheck: eq(P, r)
            13 sumcheck: pow(r_i)
           932 sumcheck: product
             1 sumcheck: (1 - r_t)·pow
             1 sumcheck: (1 - r_t)·pow·Σ
             1 sumcheck
           290 output digest
             1 nothing is carried
           289 outputs
          1069 next state digest
         20633 in all"#]].assert_eq(&report(&[784, 128, 10], Schedule::WholeNetwork));
}

#[test]
fn eleven_layers_of_128_a_step() {
    expect![[r#"
          1069 state digest
             1 z.run opens
             8 phase
          1024 carried
           393 carried digest
             1 z.activations opens
          1024 frame
           393 frame digest
           289 inputs
             1 inputs move in phase 0
         33280 operations
          6781 seed
          5712 sumcheck: transcript
             7 sumcheck: powers of rho
            10 sumcheck: separator
          1408 sumcheck: sum of outputs
            46 sumcheck: rounds
            45 sumcheck: eq(P, r)
            13 sumcheck: pow(r_i)
          1650 sumcheck: product
             1 sumcheck: (1 - r_t)·pow
             1 sumcheck: (1 - r_t)·pow·Σ
             1 sumcheck
           597 output digest
           393 next carried digest
           289 outputs
             1 outputs move in the last phase
          1069 next state digest
         55507 in all"#]].assert_eq(&report(&[128; 65], Schedule::LayersPerStep(11)));
}

#[test]
fn weights_cost_no_constraints() {
    // Four times the layers, the same slots: two more variables of the bank, nothing else, but for
    // the two longer one-hot selectors of the phase.
    let count = |layers: usize| {
        let widths = vec![64; layers + 1];
        let program = relu_network(&widths)
            .program(Schedule::LayersPerStep(2))
            .unwrap();
        (program.bank(), count_constraints(&program))
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
        ]"#]].assert_eq(&format!("{changed:#?}"));
}
