//! Criterion benches of the parts: gadget synthesis and one fold.

use bellpepper_core::{ConstraintSystem, test_cs::TestConstraintSystem};
use criterion::{Criterion, criterion_group, criterion_main};
use halo2curves::pasta::Fq;
use layerfold::{
    Params, Prover, Visibility,
    program::{Activation, LayerShape, NetworkShape},
    weights::{AffineMap, WeightBank},
};
use layerfold_gadgets::{
    Accumulator, Entry, Kind, Table,
    num::constant,
    packing::pack,
    poseidon::{hash, hash_native},
    requantize::requantize_relu,
    table::lookup,
};

type Cs = TestConstraintSystem<Fq>;

fn gadgets(c: &mut Criterion) {
    let mut group = c.benchmark_group("gadgets");
    let elements: Vec<Fq> = (0..26).map(Fq::from).collect();
    group.bench_function("poseidon of 26, native", |b| {
        b.iter(|| hash_native(Kind::Vector, 784, 1, &elements));
    });
    group.bench_function("poseidon of 26, circuit", |b| {
        b.iter(|| {
            let mut cs = Cs::new();
            let elements: Vec<_> = elements.iter().map(|e| constant::<Fq, Cs>(*e)).collect();
            hash(cs.namespace(|| "hash"), Kind::Vector, 784, 1, &elements).map(|_| cs)
        });
    });
    group.bench_function("requantise and ReLU of 21 bits", |b| {
        b.iter(|| {
            let mut cs = Cs::new();
            let y = Accumulator::alloc::<Fq, _>(cs.namespace(|| "y"), 21, 9, Some(12_345))?;
            requantize_relu::<Fq, _>(cs.namespace(|| "relu"), &y, 8)
        });
    });
    let table = Table::sigmoid(1.0 / 16.0, 1.0 / 128.0, 8);
    group.bench_function("table lookup", |b| {
        b.iter(|| {
            let mut cs = Cs::new();
            let x = Entry::<Fq>::alloc(cs.namespace(|| "x"), 8, Some(-17))?;
            lookup(cs.namespace(|| "table"), &table, &x)
        });
    });
    group.bench_function("pack 128 entries of 8 bits", |b| {
        b.iter(|| {
            let mut cs = Cs::new();
            let entries = (0..128)
                .map(|i| Entry::<Fq>::alloc(cs.namespace(|| format!("x{i}")), 8, Some(i - 64)))
                .collect::<Result<Vec<_>, _>>()?;
            pack(cs.namespace(|| "pack"), &entries)
        });
    });
    group.finish();
}

/// One more step of a running session: interpreter, sumcheck, witness, fold.
fn fold(c: &mut Criterion) {
    let layer = |activation| LayerShape {
        inputs: 64,
        outputs: 64,
        activation,
    };
    let network = NetworkShape {
        reads: Vec::new(),
        layers: vec![layer(Activation::Relu), layer(Activation::Identity)],
        tables: vec![],
        width: 8,
        bits: 20,
        shift: 8,
    };
    let session = || {
        let program = network.program()?;
        let params = Params::setup(&program)?;
        let map = || AffineMap::new(64, vec![3; 64 * 64], vec![11; 64]);
        let prover = Prover::from_bank(&params, WeightBank::new(vec![map()?, map()?])?)?;
        let mut session = prover.session(Visibility::private_inputs())?;
        session.push_integers(&[1; 64])?;
        Ok::<_, layerfold::Error>(session)
    };
    let mut session = session().expect("a valid network");
    let mut group = c.benchmark_group("session");
    group.sample_size(10);
    group.bench_function("fold one step of 64-64-64", |b| {
        b.iter(|| session.push_integers(&[5; 64]));
    });
    group.finish();
}

criterion_group!(benches, gadgets, fold);
criterion_main!(benches);
