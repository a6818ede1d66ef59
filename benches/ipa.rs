//! Criterion benches of the inner-product opening beside nova's `ipa_pc`, and of sums of scalar
//! multiples beside nova's `msm`, in one run: `cargo bench --bench ipa`.
//!
//! Criterion reports wall time. `cargo bench --bench ipa -- --cpu` prints CPU seconds instead, user
//! and system, all threads, the least of some runs; with `--parts` too it leaves out whole proofs.

use std::hint::black_box;

use cpu_time::ProcessTime;
use criterion::{BenchmarkId, Criterion, Throughput};
use ff::Field;
use halo2curves::pasta::{Fq, Pallas, PallasAffine};
use layerfold::bench_internals as ours;
use nova_snark::{
    errors::NovaError,
    nova::{CompressedSNARK, PublicParams, RecursiveSNARK},
    provider::{self, PallasEngine, VestaEngine, traits::DlogGroup},
    spartan::{polys::eq::EqPolynomial, snark::RelaxedR1CSSNARK},
    traits::{
        Engine, TranscriptEngineTrait, circuit::NonTrivialCircuit,
        commitment::CommitmentEngineTrait, evaluation::EvaluationEngineTrait,
        snark::default_ck_hint,
    },
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

type Failure = Box<dyn std::error::Error>;
type Key<E> = <<E as Engine>::CE as CommitmentEngineTrait<E>>::CommitmentKey;
type Comm<E> = <<E as Engine>::CE as CommitmentEngineTrait<E>>::Commitment;

const LOGS: [usize; 3] = [12, 14, 16];

/// A claim about a random polynomial.
struct Claim<E: Engine, EE: EvaluationEngineTrait<E>> {
    ck: Key<E>,
    pk: EE::ProverKey,
    vk: EE::VerifierKey,
    poly: Vec<E::Scalar>,
    point: Vec<E::Scalar>,
    comm: Comm<E>,
    eval: E::Scalar,
}

impl<E: Engine, EE: EvaluationEngineTrait<E>> Claim<E, EE> {
    fn random(log: usize) -> Result<Self, NovaError> {
        let mut rng = ChaCha20Rng::seed_from_u64(log as u64);
        let ck = E::CE::setup(b"ck", 1 << log)?;
        let (pk, vk) = EE::setup(&ck)?;
        let poly: Vec<_> = (0..1 << log).map(|_| E::Scalar::random(&mut rng)).collect();
        let point: Vec<_> = (0..log).map(|_| E::Scalar::random(&mut rng)).collect();
        let comm = E::CE::commit(&ck, &poly, &E::Scalar::ZERO);
        let table = EqPolynomial::evals_from_points(&point);
        let eval = poly.iter().zip(&table).map(|(a, b)| *a * b).sum();
        Ok(Self {
            ck,
            pk,
            vk,
            poly,
            point,
            comm,
            eval,
        })
    }

    fn prove(&self) -> Result<EE::EvaluationArgument, NovaError> {
        let mut transcript = E::TE::new(b"bench");
        let (poly, point) = (&self.poly, &self.point);
        EE::prove(
            &self.ck,
            &self.pk,
            &mut transcript,
            &self.comm,
            poly,
            point,
            &self.eval,
        )
    }

    fn verify(&self, proof: &EE::EvaluationArgument) -> Result<(), NovaError> {
        let mut transcript = E::TE::new(b"bench");
        EE::verify(
            &self.vk,
            &mut transcript,
            &self.comm,
            &self.point,
            &self.eval,
            proof,
        )
    }
}

type Ours<E> = Claim<E, ours::EvaluationEngine<E>>;
type Stock<E> = Claim<E, provider::ipa_pc::EvaluationEngine<E>>;

fn openings(c: &mut Criterion) -> Result<(), Failure> {
    let mut group = c.benchmark_group("opening");
    group.sample_size(10);
    for log in LOGS {
        group.throughput(Throughput::Elements(1 << log));
        let claim = Ours::<ours::PallasEngine>::random(log)?;
        let proof = claim.prove()?;
        let id = |name| BenchmarkId::new(name, log);
        group.bench_function(id("prove"), |b| b.iter(|| claim.prove()));
        group.bench_function(id("verify"), |b| b.iter(|| claim.verify(&proof)));
        let claim = Stock::<PallasEngine>::random(log)?;
        let proof = claim.prove()?;
        group.bench_function(id("prove, stock"), |b| b.iter(|| claim.prove()));
        group.bench_function(id("verify, stock"), |b| b.iter(|| claim.verify(&proof)));
    }
    group.finish();
    Ok(())
}

/// Of each ten scalars so many are bits and so many signed bytes; the rest are of full size.
struct Kind {
    name: &'static str,
    bits: u32,
    bytes: u32,
}

const KINDS: [Kind; 3] = [
    Kind {
        name: "full size",
        bits: 0,
        bytes: 0,
    },
    Kind {
        name: "witness",
        bits: 7,
        bytes: 2,
    },
    Kind {
        name: "bits",
        bits: 10,
        bytes: 0,
    },
];

impl Kind {
    fn scalars(&self, n: usize) -> Vec<Fq> {
        let mut rng = ChaCha20Rng::seed_from_u64(n as u64);
        let mut scalar = |_| match rng.gen_range(0..10) {
            i if i < self.bits => Fq::from(u64::from(rng.gen_bool(0.5))),
            i if i < self.bits + self.bytes => {
                let byte = Fq::from(u64::from(rng.r#gen::<u8>()));
                if rng.gen_bool(0.5) { byte } else { -byte }
            }
            _ => Fq::random(&mut rng),
        };
        (0..n).map(&mut scalar).collect()
    }
}

fn sums(c: &mut Criterion) {
    let mut group = c.benchmark_group("sum of multiples");
    group.sample_size(10);
    for log in LOGS {
        let bases = Pallas::from_label(b"ck", 1 << log);
        group.throughput(Throughput::Elements(1 << log));
        for kind in &KINDS {
            let (name, scalars) = (kind.name, kind.scalars(1 << log));
            group.bench_function(BenchmarkId::new(name, log), |b| {
                b.iter(|| ours::pallas_msm(&scalars, &bases));
            });
            group.bench_function(BenchmarkId::new(format!("{name}, stock"), log), |b| {
                b.iter(|| provider::msm::msm(&scalars, &bases));
            });
        }
    }
    group.finish();
}

/// The least CPU seconds of `runs`.
fn cpu<T>(runs: usize, mut f: impl FnMut() -> T) -> f64 {
    let run = |_| {
        let start = ProcessTime::now();
        black_box(f());
        start.elapsed().as_secs_f64()
    };
    (0..runs).map(run).fold(f64::INFINITY, f64::min)
}

#[expect(clippy::print_stdout, reason = "prints its result")]
fn cpu_of_openings<A: Engine, B: Engine>(curve: &str, logs: &[usize]) -> Result<(), Failure>
where
    ours::EvaluationEngine<A>: EvaluationEngineTrait<A>,
    provider::ipa_pc::EvaluationEngine<B>: EvaluationEngineTrait<B>,
{
    println!("\nopening, {curve}: CPU s (µs per element)");
    for &log in logs {
        let (a, b) = (Ours::<A>::random(log)?, Stock::<B>::random(log)?);
        let (of_a, of_b) = (a.prove()?, b.prove()?);
        let prove = [cpu(5, || a.prove()), cpu(2, || b.prove())];
        let verify = [cpu(10, || a.verify(&of_a)), cpu(10, || b.verify(&of_b))];
        a.verify(&of_a)?;
        b.verify(&of_b)?;
        let bytes = [
            postcard::to_stdvec(&of_a)?.len(),
            postcard::to_stdvec(&of_b)?.len(),
        ];
        let each = prove.map(|s| s * 1e6 / f64::from(1 << log));
        println!(
            "2^{log}: prove {:.3} ({:.1}), stock {:.3} ({:.1}), ratio {:.1}; \
             verify {:.4}, stock {:.4}; bytes {}, stock {}",
            prove[0],
            each[0],
            prove[1],
            each[1],
            prove[1] / prove[0],
            verify[0],
            verify[1],
            bytes[0],
            bytes[1],
        );
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "prints its result")]
fn cpu_of_sums() -> Result<(), Failure> {
    println!("\nsum of multiples, Pallas: CPU µs per point");
    for n in [1 << 10, 1 << 12, 10_000, 1 << 14, 1 << 15, 1 << 16, 1 << 17] {
        let bases: Vec<PallasAffine> = Pallas::from_label(b"ck", n);
        for kind in &KINDS {
            let (name, scalars) = (kind.name, kind.scalars(n));
            if ours::pallas_msm(&scalars, &bases) != provider::msm::msm(&scalars, &bases) {
                return Err("the sums differ".into());
            }
            let runs = 3 + (1 << 18) / n;
            let seconds = [
                cpu(runs, || ours::pallas_msm(&scalars, &bases)),
                cpu(runs, || provider::msm::msm(&scalars, &bases)),
            ];
            let [a, b] = seconds.map(|s| s * 1e6 / n as f64);
            println!("{n} {name}: {a:.3}, stock {b:.3}, ratio {:.2}", b / a);
        }
    }
    Ok(())
}

/// CPU seconds of a fold, the least of some, and of the compression of a step of `constraints`.
fn recursion<A, B, EA, EB>(constraints: usize) -> Result<[f64; 2], Failure>
where
    A: Engine<Base = <B as Engine>::Scalar>,
    B: Engine<Base = <A as Engine>::Scalar>,
    EA: EvaluationEngineTrait<A>,
    EB: EvaluationEngineTrait<B>,
{
    type Compressed<A, B, EA, EB> = CompressedSNARK<
        A,
        B,
        NonTrivialCircuit<<A as Engine>::Scalar>,
        RelaxedR1CSSNARK<A, EA>,
        RelaxedR1CSSNARK<B, EB>,
    >;
    let step = NonTrivialCircuit::new(constraints);
    let hint = default_ck_hint();
    let pp = PublicParams::<A, B, _>::setup(&step, &*hint, &*default_ck_hint())?;
    let z_0 = [A::Scalar::from(3)];
    let mut recursive = RecursiveSNARK::new(&pp, &step, &z_0)?;
    recursive.prove_step(&pp, &step)?;
    recursive.prove_step(&pp, &step)?;
    let fold = cpu(6, || recursive.prove_step(&pp, &step));
    let (pk, vk) = Compressed::<A, B, EA, EB>::setup(&pp)?;
    let compress = cpu(1, || Compressed::prove(&pp, &pk, &recursive));
    let proof = Compressed::<A, B, EA, EB>::prove(&pp, &pk, &recursive)?;
    proof.verify(&vk, recursive.num_steps(), &z_0)?;
    Ok([fold, compress])
}

#[expect(clippy::print_stdout, reason = "prints its result")]
fn cpu_of_recursion() -> Result<(), Failure> {
    println!("\nsteps of full-size elements: CPU s");
    // With nova's own constraints: 9.8k, 30k, 60k, 125k.
    for (log, constraints) in [(14, 0), (15, 20_000), (16, 50_000), (17, 115_000)] {
        let [fold, compress] = recursion::<
            ours::PallasEngine,
            ours::VestaEngine,
            ours::EvaluationEngine<_>,
            ours::EvaluationEngine<_>,
        >(constraints)?;
        let [stock_fold, stock_compress] = recursion::<
            PallasEngine,
            VestaEngine,
            provider::ipa_pc::EvaluationEngine<_>,
            provider::ipa_pc::EvaluationEngine<_>,
        >(constraints)?;
        println!(
            "2^{log}: fold {fold:.3}, stock {stock_fold:.3}; \
             compress {compress:.2}, stock {stock_compress:.2}"
        );
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let asked = |name: &str| std::env::args().any(|arg| arg == name);
    if asked("--cpu") {
        if !asked("--parts") {
            cpu_of_recursion()?;
        }
        cpu_of_sums()?;
        cpu_of_openings::<ours::VestaEngine, VestaEngine>("Vesta", &[14])?;
        return cpu_of_openings::<ours::PallasEngine, PallasEngine>(
            "Pallas",
            &[12, 14, 15, 16, 17],
        );
    }
    let mut c = Criterion::default().configure_from_args();
    openings(&mut c)?;
    sums(&mut c);
    c.final_summary();
    Ok(())
}
