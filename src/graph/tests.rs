//! What is composed, and what is computed.

use ndarray::{Array, Array1, Array2, ArrayD, IxDyn, arr1};

use super::*;

fn scalar(v: f32) -> ArrayD<f32> {
    Array::from_elem(IxDyn(&[]), v)
}

fn filled(rows: usize, columns: usize) -> Array2<f32> {
    Array::from_shape_fn((rows, columns), |(i, j)| {
        ((i * 7 + j * 13) % 11) as f32 / 11.0 - 0.5
    })
}

#[test]
fn linear_operations_cost_no_stage() {
    let mut g = GraphBuilder::new([2, 4, 4]);
    let x = g.input();
    let kernel = ArrayD::from_elem(IxDyn(&[3, 2, 3, 3]), 0.1);
    let y = g.conv(x, kernel.view(), None, &Conv::default()).unwrap();
    let y = g
        .scale_shift(y, scalar(2.0).view(), scalar(1.0).view())
        .unwrap();
    let y = g.average_pool(y, &Pool::tiles([2, 2])).unwrap();
    let skip = g.mean(x, &[1, 2], true).unwrap();
    let skip = g.slice(skip, 0, 0, 1, 1).unwrap();
    let y = g.add(y, skip).unwrap();
    let y = g.reshape(y, &[3]).unwrap();
    let y = g.dense(y, filled(2, 3).view(), None).unwrap();
    let graph = g.build(y).unwrap();
    assert_eq!(graph.stage_count(), 0);
    // One matrix on the input.
    assert_eq!(graph.output.terms.len(), 1);
    assert!(graph.nonzeros() <= 2 * 32);
}

#[test]
fn residual_sums_stay_forms() {
    let mut g = GraphBuilder::new([4]);
    let mut x = g.input();
    for _ in 0..3 {
        let h = g.dense(x, filled(4, 4).view(), None).unwrap();
        let h = g.function(h, Function::Relu).unwrap();
        let h = g.dense(h, filled(4, 4).view(), None).unwrap();
        x = g.add(x, h).unwrap();
    }
    let graph = g.build(x).unwrap();
    assert_eq!(graph.stage_count(), 3);
    assert_eq!(graph.output.terms.len(), 4);
    assert!(graph.output.terms[0].1.is_identity());
    assert!(graph.fill_ins().is_empty());
}

#[test]
fn a_bottleneck_is_not_multiplied_out() {
    let mut g = GraphBuilder::new([400]);
    let x = g.input();
    let y = g.dense(x, filled(4, 400).view(), None).unwrap();
    let y = g.dense(y, filled(400, 4).view(), None).unwrap();
    let y = g.function(y, Function::Relu).unwrap();
    let graph = g.build(y).unwrap();
    assert_eq!(graph.stage_count(), 2);
    assert_eq!(graph.fill_ins().len(), 1);
    assert_eq!(
        (graph.fill_ins()[0].stage, graph.fill_ins()[0].entries),
        (0, 4)
    );
}

#[test]
fn sums_of_many_registers_are_computed() {
    let mut g = GraphBuilder::new([2]);
    let mut x = g.input();
    for _ in 0..40 {
        let h = g.function(x, Function::Tanh).unwrap();
        x = g.add(x, h).unwrap();
    }
    let graph = g.build(x).unwrap();
    assert!(!graph.fill_ins().is_empty());
    for stage in &graph.stages {
        assert!(stage.arguments.iter().all(|a| a.terms.len() <= 32));
    }
    let y = graph.infer(arr1(&[0.1, -0.2]).view()).unwrap();
    let mut expected = [0.1f64, -0.2];
    for _ in 0..40 {
        expected = expected.map(|x| x + x.tanh());
    }
    assert!((f64::from(y[0]) - expected[0]).abs() < 1e-4);
}

#[test]
fn relu_and_maximum_are_one_stage() {
    for relu_first in [true, false] {
        let mut g = GraphBuilder::new([1, 4, 4]);
        let x = g.input();
        let y = if relu_first {
            let y = g.function(x, Function::Relu).unwrap();
            g.max_pool(y, &Pool::tiles([2, 2])).unwrap()
        } else {
            let y = g.max_pool(x, &Pool::tiles([2, 2])).unwrap();
            g.function(y, Function::Relu).unwrap()
        };
        let graph = g.build(y).unwrap();
        assert_eq!(graph.stage_count(), 1);
        assert_eq!(graph.stages[0].kind.name(), "maximum, relu");
    }
}

#[test]
fn what_is_not_read_is_not_computed() {
    let mut g = GraphBuilder::new([3]);
    let x = g.input();
    let _ = g.function(x, Function::Exp).unwrap();
    let y = g.function(x, Function::Relu).unwrap();
    assert_eq!(g.build(y).unwrap().stage_count(), 1);
}

#[test]
fn constants_are_folded() {
    let mut g = GraphBuilder::new([2]);
    let x = g.input();
    let c = g.constant(arr1(&[1.0, -2.0]).into_dyn().view());
    let d = g.function(c, Function::Relu).unwrap();
    let d = g.add(d, c).unwrap();
    assert_eq!(g.constant_value(d), Some(&[2.0, -2.0][..]));
    let y = g.mul(x, d).unwrap();
    let z = g.maximum(y, c).unwrap();
    let graph = g.build(z).unwrap();
    assert_eq!(graph.stage_count(), 1);
    let y = graph.infer(arr1(&[3.0, 3.0]).view()).unwrap();
    assert_eq!(y, arr1(&[6.0, -2.0]));
}

#[test]
fn debug_shows_no_weight() {
    let mut g = GraphBuilder::new([2]);
    let y = g.dense(g.input(), filled(2, 2).view(), None).unwrap();
    let y = g.function(y, Function::Relu).unwrap();
    assert_eq!(
        format!("{g:?}"),
        "GraphBuilder { operations: 3, nonzeros: 4, .. }"
    );
    let graph = g.build(y).unwrap();
    assert_eq!(
        format!("{graph:?}"),
        "Graph([2] → 2 relu → [2], weights redacted)"
    );
    let samples = vec![Array1::from_vec(vec![1.0, 1.0])];
    let quantized = graph
        .quantize(&samples, &GraphPrecision::default())
        .unwrap();
    let text = format!("{quantized:?} {:?}", SparseMatrix::identity(2).unwrap());
    assert!(!text.contains("bank") && text.contains("SparseMatrix(2×2, 2 entries, redacted)"));
}
