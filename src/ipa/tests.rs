//! The argument as a whole. The arithmetic below it is tested where it stands.

use ff::{Field, FromUniformBytes, PrimeField};
use halo2curves::{
    CurveAffine,
    group::{Curve, prime::PrimeCurveAffine},
    grumpkin,
    pasta::{Fp, PallasAffine, VestaAffine},
};
use nova_snark::{
    errors::NovaError,
    provider::{
        keccak::Keccak256Transcript,
        poseidon::{PoseidonRO, PoseidonROCircuit},
        traits::DlogGroup,
    },
    traits::{
        Engine, TranscriptEngineTrait, TranscriptReprTrait, commitment::CommitmentEngineTrait,
        evaluation::EvaluationEngineTrait,
    },
};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use serde::{Deserialize, Serialize};

use super::*;
use crate::backend::{PallasEngine, VestaEngine};

/// Grumpkin with this crate's commitments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct GrumpkinEngine;

impl Engine for GrumpkinEngine {
    type Base = grumpkin::Fq;
    type Scalar = grumpkin::Fr;
    type GE = grumpkin::G1;
    type RO = PoseidonRO<Self::Base>;
    type ROCircuit = PoseidonROCircuit<Self::Base>;
    type RO2 = PoseidonRO<Self::Scalar>;
    type RO2Circuit = PoseidonROCircuit<Self::Scalar>;
    type TE = Keccak256Transcript<Self>;
    type CE = Pedersen<Self>;
}

type S<E> = <E as Engine>::Scalar;
type P = PallasEngine;

struct Instance<E: Engine<CE = Pedersen<E>>>
where
    E::GE: DlogGroupExt,
{
    ck: CommitmentKey<E>,
    pk: ProverKey<E>,
    vk: VerifierKey<E>,
    poly: Vec<S<E>>,
    point: Vec<S<E>>,
    comm: Commitment<E>,
    eval: S<E>,
}

impl<E> Instance<E>
where
    E: Engine<CE = Pedersen<E>>,
    E::GE: DlogGroupExt,
    Affine<E>: EndoCurve<Base = E::Base, ScalarExt = E::Scalar>,
{
    fn random(log: usize, seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let poly = (0..1 << log).map(|_| S::<E>::random(&mut rng)).collect();
        let point = (0..log).map(|_| S::<E>::random(&mut rng)).collect();
        Self::of(poly, point)
    }

    fn of(poly: Vec<S<E>>, point: Vec<S<E>>) -> Self {
        // A key longer than the vector, as Spartan uses it.
        let ck = Pedersen::<E>::setup(b"ck", 2 * poly.len()).unwrap();
        let (pk, vk) = EvaluationEngine::<E>::setup(&ck).unwrap();
        let comm = Pedersen::<E>::commit(&ck, &poly, &S::<E>::ZERO);
        let eval = value(&poly, &point);
        Self {
            ck,
            pk,
            vk,
            poly,
            point,
            comm,
            eval,
        }
    }

    fn transcript() -> E::TE {
        E::TE::new(b"test")
    }

    fn prove(&self) -> Argument<E> {
        let (poly, point) = (&self.poly, &self.point);
        let mut transcript = Self::transcript();
        EvaluationEngine::prove(
            &self.ck,
            &self.pk,
            &mut transcript,
            &self.comm,
            poly,
            point,
            &self.eval,
        )
        .unwrap()
    }

    fn verify(&self, proof: &Argument<E>) -> Result<(), NovaError> {
        let (comm, point, eval) = (&self.comm, &self.point, &self.eval);
        let mut transcript = Self::transcript();
        let result = EvaluationEngine::verify(&self.vk, &mut transcript, comm, point, eval, proof);
        let naive = self.verify_naively(proof);
        assert_eq!(result.is_ok(), naive, "the naive verifier says {naive}");
        result
    }

    /// Folds everything round by round, in the curve's own arithmetic.
    fn verify_naively(&self, proof: &Argument<E>) -> bool {
        let rounds = self.point.len().saturating_sub(2);
        let n = 1 << self.point.len();
        if proof.left.len() != rounds
            || proof.right.len() != rounds
            || proof.tail.len() != n >> rounds
        {
            return false;
        }
        let curve = |p: &Affine<E>| PrimeCurveAffine::to_curve(p);
        let mut transcript = Self::transcript();
        transcript.dom_sep(b"layerfold/ipa/1");
        transcript.dom_sep(<Affine<E> as CurveAffine>::CurveExt::CURVE_ID.as_bytes());
        transcript.absorb(b"n", &S::<E>::from(self.point.len() as u64));
        transcript.absorb(b"C", &self.comm);
        transcript.absorb(b"x", &&self.point[..]);
        transcript.absorb(b"v", &self.eval);
        let factor = transcript.squeeze(b"w").unwrap();
        let u = curve(&self.vk.value.generators()[0]) * factor;
        let mut p = curve(&self.comm.comm.affine()) + u * self.eval;
        let mut g: Vec<_> = self.ck.generators()[..n].iter().map(curve).collect();
        let mut b = table(&self.point);
        for (left, right) in proof.left.iter().zip(&proof.right) {
            for (label, point) in [(b"L", left), (b"R", right)] {
                let comm = Commitment::<E> {
                    comm: E::GE::group(point),
                };
                transcript.absorb(label, &comm);
            }
            let bits = transcript.squeeze_bits(b"u", 128, false).unwrap();
            let bytes = bits.to_repr().as_ref()[..16].to_vec();
            let half = |bytes: &[u8]| S::<E>::from(u64::from_le_bytes(bytes.try_into().unwrap()));
            let lambda = Affine::<E>::endomorphism().lambda();
            let u = half(&bytes[..8]) + half(&bytes[8..]) * lambda;
            let inverse = u.invert().unwrap();
            p += curve(left) * u + curve(right) * inverse;
            let half = g.len() / 2;
            g = (0..half).map(|i| g[i] + g[half + i] * u).collect();
            b = (0..half).map(|i| b[i] + b[half + i] * u).collect();
        }
        let inner: S<E> = proof.tail.iter().zip(&b).map(|(a, b)| *a * b).sum();
        let sum = proof
            .tail
            .iter()
            .zip(&g)
            .fold(u * inner, |sum, (a, g)| sum + *g * a);
        p == sum
    }
}

fn table<F: PrimeField>(point: &[F]) -> Vec<F> {
    point.iter().fold(vec![F::ONE], |table, x| {
        table
            .iter()
            .flat_map(|e| [*e * (F::ONE - x), *e * x])
            .collect()
    })
}

fn value<F: PrimeField>(poly: &[F], point: &[F]) -> F {
    poly.iter().zip(table(point)).map(|(a, b)| *a * b).sum()
}

fn true_claims_verify<E>()
where
    E: Engine<CE = Pedersen<E>>,
    E::GE: DlogGroupExt,
    Affine<E>: EndoCurve<Base = E::Base, ScalarExt = E::Scalar>,
{
    for log in 0..=12 {
        let instance = Instance::<E>::random(log, log as u64);
        let proof = instance.prove();
        instance.verify(&proof).unwrap();
        // And after a way through bytes; two points for each round and four scalars at most.
        let bytes = postcard::to_stdvec(&proof).unwrap();
        assert!(bytes.len() <= 3 + 64 * log.saturating_sub(2) + 32 * 4.min(1 << log));
        let (read, rest) = postcard::take_from_bytes::<Argument<E>>(&bytes).unwrap();
        assert!(rest.is_empty());
        assert_eq!(read, proof);
    }
}

#[test]
fn true_claims_verify_on_pallas() {
    true_claims_verify::<PallasEngine>();
}

#[test]
fn true_claims_verify_on_vesta() {
    true_claims_verify::<VestaEngine>();
}

#[test]
fn true_claims_verify_on_grumpkin() {
    true_claims_verify::<GrumpkinEngine>();
}

/// Vectors and points whose cross terms, rounds or values vanish.
#[test]
fn degenerate_vectors_verify() {
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let log = 6;
    let n = 1 << log;
    let zero = S::<P>::ZERO;
    let one = S::<P>::ONE;
    let random: Vec<_> = (0..n).map(|_| S::<P>::random(&mut rng)).collect();
    let mut padded = random.clone();
    padded[n / 4..].fill(zero);
    let mut last = vec![zero; n];
    last[n - 1] = one;
    let points: [Vec<_>; 3] = [
        (0..log).map(|_| S::<P>::random(&mut rng)).collect(),
        vec![zero; log],
        vec![one; log],
    ];
    for poly in [vec![zero; n], vec![one; n], padded, last, random] {
        for point in &points {
            let instance = Instance::<P>::of(poly.clone(), point.clone());
            instance.verify(&instance.prove()).unwrap();
        }
    }
    // All halves are zero, so the points of the proof are the identity.
    let instance = Instance::<P>::of(vec![zero; n], points[0].clone());
    let proof = instance.prove();
    assert!(
        proof
            .left
            .iter()
            .chain(&proof.right)
            .all(|p| bool::from(p.is_identity()))
    );
    let mut wrong = instance;
    wrong.eval = one;
    assert_eq!(wrong.verify(&proof), Err(NovaError::InvalidPCS));
}

#[test]
fn every_tampered_element_is_rejected() {
    for log in [0, 1, 2, 3, 5] {
        let instance = Instance::<P>::random(log, 11);
        let proof = instance.prove();
        let reject = |what: &str, change: &dyn Fn(&mut Argument<P>)| {
            let mut proof = proof.clone();
            change(&mut proof);
            assert_eq!(
                instance.verify(&proof),
                Err(NovaError::InvalidPCS),
                "{what}"
            );
        };
        for i in 0..proof.left.len() {
            let g = PallasAffine::generator();
            reject("left", &|p| p.left[i] = (p.left[i] + g).to_affine());
            reject("left negated", &|p| p.left[i] = -p.left[i]);
            reject("left the identity", &|p| {
                p.left[i] = PallasAffine::identity()
            });
            reject("right", &|p| p.right[i] = (p.right[i] + g).to_affine());
            reject("right negated", &|p| p.right[i] = -p.right[i]);
            reject("right the identity", &|p| {
                p.right[i] = PallasAffine::identity()
            });
            reject("sides swapped", &|p| {
                std::mem::swap(&mut p.left[i], &mut p.right[i])
            });
            for j in 0..i {
                reject("rounds swapped", &|p| {
                    p.left.swap(i, j);
                    p.right.swap(i, j);
                });
            }
        }
        for i in 0..proof.tail.len() {
            reject("tail", &|p| p.tail[i] += S::<P>::ONE);
            reject("tail negated", &|p| p.tail[i] = -p.tail[i]);
            reject("tail zero", &|p| p.tail[i] = S::<P>::ZERO);
            for j in 0..i {
                reject("tail swapped", &|p| p.tail.swap(i, j));
            }
        }
        reject("all the identity", &|p| {
            p.left.fill(PallasAffine::identity());
            p.right.fill(PallasAffine::identity());
            p.tail.fill(S::<P>::ZERO);
        });
    }
}

#[test]
fn another_statement_is_rejected() {
    for log in [0, 1, 2, 5] {
        let mut instance = Instance::<P>::random(log, 13);
        let proof = instance.prove();
        let (eval, comm, point) = (instance.eval, instance.comm, instance.point.clone());

        instance.eval += S::<P>::ONE;
        assert_eq!(instance.verify(&proof), Err(NovaError::InvalidPCS));
        // Nor can the prover be made to prove it.
        let dishonest = instance.prove();
        assert_eq!(instance.verify(&dishonest), Err(NovaError::InvalidPCS));
        instance.eval = eval;

        for wrong in [comm + comm, Commitment::default()] {
            instance.comm = wrong;
            assert_eq!(instance.verify(&proof), Err(NovaError::InvalidPCS));
            let dishonest = instance.prove();
            assert_eq!(instance.verify(&dishonest), Err(NovaError::InvalidPCS));
        }
        instance.comm = comm;

        for i in 0..log {
            instance.point[i] += S::<P>::ONE;
            assert_eq!(instance.verify(&proof), Err(NovaError::InvalidPCS));
            instance.point.clone_from(&point);
        }
        if log > 1 {
            // The value of the constant 0 polynomial does not depend on the point; all the same
            // its proof is bound to it where there are challenges.
            instance.point.swap(0, 1);
            assert_eq!(instance.verify(&proof), Err(NovaError::InvalidPCS));
            instance.point.clone_from(&point);
        }
        instance.verify(&proof).unwrap();
    }
}

/// Point and value are in the transcript of the argument itself, not only in that of its caller.
#[test]
fn challenges_depend_on_the_whole_statement() {
    let challenge_of = |change: &dyn Fn(&mut Instance<P>)| {
        let mut instance = Instance::<P>::random(3, 17);
        change(&mut instance);
        let mut transcript = Instance::<P>::transcript();
        let statement = Statement {
            comm: &instance.comm,
            point: &instance.point,
            eval: &instance.eval,
        };
        let factor = statement.begin(&mut transcript).unwrap();
        (factor, transcript.squeeze(b"u").unwrap())
    };
    let unchanged = challenge_of(&|_| ());
    assert_eq!(unchanged, challenge_of(&|_| ()));
    type Change = dyn Fn(&mut Instance<P>);
    let changes: [&Change; 5] = [
        &|i| i.eval += S::<P>::ONE,
        &|i| i.comm = i.comm + i.comm,
        &|i| i.point[0] += S::<P>::ONE,
        &|i| i.point[2] += S::<P>::ONE,
        &|i| i.point.push(S::<P>::ZERO),
    ];
    for change in changes {
        let changed = challenge_of(change);
        assert_ne!(changed.0, unchanged.0);
        assert_ne!(changed.1, unchanged.1);
    }
}

#[test]
fn another_transcript_is_rejected() {
    let instance = Instance::<P>::random(4, 19);
    let proof = instance.prove();
    let mut transcript = <P as Engine>::TE::new(b"another");
    let (comm, point, eval) = (&instance.comm, &instance.point, &instance.eval);
    let result = EvaluationEngine::verify(&instance.vk, &mut transcript, comm, point, eval, &proof);
    assert_eq!(result, Err(NovaError::InvalidPCS));
}

/// Prover and verifier leave the transcript in one state, for what may follow.
#[test]
fn transcripts_agree_afterwards() {
    let instance = Instance::<P>::random(5, 23);
    let (comm, point, eval) = (&instance.comm, &instance.point, &instance.eval);
    let mut of_prover = Instance::<P>::transcript();
    let mut of_verifier = Instance::<P>::transcript();
    let (ck, pk, poly) = (&instance.ck, &instance.pk, &instance.poly);
    let proof = EvaluationEngine::prove(ck, pk, &mut of_prover, comm, poly, point, eval).unwrap();
    EvaluationEngine::verify(&instance.vk, &mut of_verifier, comm, point, eval, &proof).unwrap();
    assert_eq!(of_prover.squeeze(b"x"), of_verifier.squeeze(b"x"));
}

#[test]
fn wrong_lengths_are_rejected() {
    for log in [0, 1, 2, 3, 5] {
        let instance = Instance::<P>::random(log, 29);
        let proof = instance.prove();
        let reject = |what: &str, change: &dyn Fn(&mut Argument<P>)| {
            let mut proof = proof.clone();
            change(&mut proof);
            let result = instance.verify(&proof);
            assert_eq!(result, Err(NovaError::InvalidInputLength), "{what} {log}");
        };
        let g = PallasAffine::generator();
        reject("left too long", &|p| p.left.push(g));
        reject("right too long", &|p| p.right.push(g));
        reject("a round too many", &|p| {
            p.left.push(g);
            p.right.push(g);
        });
        reject("a round too many, a shorter tail", &|p| {
            p.left.push(g);
            p.right.push(g);
            p.tail.truncate(p.tail.len() / 2);
        });
        reject("tail too long", &|p| p.tail.push(S::<P>::ZERO));
        reject("tail doubled", &|p| p.tail.extend_from_within(..));
        reject("tail too short", &|p| p.tail.truncate(p.tail.len() - 1));
        reject("no tail", &|p| p.tail.clear());
        if log > 2 {
            reject("left too short", &|p| p.left.truncate(p.left.len() - 1));
            reject("right too short", &|p| p.right.truncate(p.right.len() - 1));
            reject("a round too few", &|p| {
                p.left.truncate(p.left.len() - 1);
                p.right.truncate(p.right.len() - 1);
            });
            reject("no rounds", &|p| {
                p.left.clear();
                p.right.clear();
            });
            reject("nothing", &|p| {
                p.left.clear();
                p.right.clear();
                p.tail.clear();
            });
        }
    }
}

#[test]
fn statements_that_do_not_fit_are_errors() {
    let mut instance = Instance::<P>::random(5, 31);
    let proof = instance.prove();
    let prove = |instance: &Instance<P>| {
        let mut transcript = Instance::<P>::transcript();
        let (ck, pk) = (&instance.ck, &instance.pk);
        let (comm, poly) = (&instance.comm, &instance.poly);
        let (point, eval) = (&instance.point, &instance.eval);
        EvaluationEngine::prove(ck, pk, &mut transcript, comm, poly, point, eval)
    };
    let point = instance.point.clone();
    for log in [0, 4, 6, 30, 31, 64, 100] {
        instance.point = vec![S::<P>::ONE; log];
        assert_eq!(prove(&instance), Err(NovaError::InvalidInputLength));
        let (vk, comm, eval) = (&instance.vk, &instance.comm, &instance.eval);
        let mut transcript = Instance::<P>::transcript();
        let result =
            EvaluationEngine::verify(vk, &mut transcript, comm, &instance.point, eval, &proof);
        assert_eq!(result, Err(NovaError::InvalidInputLength));
    }
    instance.point = point;
    // A key that is too short.
    instance.ck = Pedersen::<P>::setup(b"ck", 16).unwrap();
    (instance.pk, instance.vk) = EvaluationEngine::<P>::setup(&instance.ck).unwrap();
    assert_eq!(prove(&instance), Err(NovaError::InvalidCommitmentKeyLength));
    let (vk, comm, eval) = (&instance.vk, &instance.comm, &instance.eval);
    let mut transcript = Instance::<P>::transcript();
    let result = EvaluationEngine::verify(vk, &mut transcript, comm, &instance.point, eval, &proof);
    assert_eq!(result, Err(NovaError::InvalidCommitmentKeyLength));
}

/// Bytes decode to points of the curve and canonical scalars, or not at all.
#[test]
fn points_off_the_curve_cannot_be_read() {
    let instance = Instance::<P>::random(3, 37);
    let proof = instance.prove();
    let bytes = postcard::to_stdvec(&proof).unwrap();
    let read = |bytes: &[u8]| postcard::from_bytes::<Argument<P>>(bytes);
    assert_eq!(read(&bytes).unwrap(), proof);
    // An abscissa with no ordinate: x³ + 5 is not a square.
    let off = (1u64..)
        .map(Fp::from)
        .find(|x| bool::from((x.square() * x + Fp::from(5)).sqrt().is_none()))
        .unwrap();
    for at in [1, 34] {
        let mut bytes = bytes.clone();
        bytes[at..at + 32].copy_from_slice(off.to_repr().as_ref());
        assert!(read(&bytes).is_err());
    }
    // Points and scalars that are not reduced.
    for at in [1, 34, 67, 99, 131, 163] {
        let mut bytes = bytes.clone();
        bytes[at..at + 32].fill(0xff);
        assert!(read(&bytes).is_err(), "{at}");
    }
    for cut in 0..bytes.len() {
        assert!(read(&bytes[..cut]).is_err());
    }
    // The identity has one encoding, all zeros; the bit of the sign must not be set.
    let mut bytes = bytes;
    bytes[1..33].fill(0);
    assert!(bool::from(read(&bytes).unwrap().left[0].is_identity()));
    bytes[32] = 0x80;
    assert!(read(&bytes).is_err());
    // Lengths are not believed.
    for length in [0xff, 0xff, 0xff, 0xff, 0x0f] {
        bytes.insert(0, length);
    }
    assert!(read(&bytes).is_err());
}

/// What is read from damaged bytes is rejected, without a panic.
#[test]
fn damaged_bytes_are_rejected() {
    let mut rng = ChaCha20Rng::seed_from_u64(41);
    let instance = Instance::<P>::random(3, 41);
    let proof = instance.prove();
    let bytes = postcard::to_stdvec(&proof).unwrap();
    for i in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[i] ^= 1 << (rng.next_u32() % 8);
        if let Ok(damaged) = postcard::from_bytes::<Argument<P>>(&bytes) {
            assert_ne!(damaged, proof, "one encoding for one proof, byte {i}");
            assert!(instance.verify(&damaged).is_err(), "byte {i}");
        }
    }
}

/// The identity has one encoding for the transcript, and no point shares it.
#[test]
fn the_identity_is_told_from_all_points() {
    let of = |point: &PallasAffine| {
        let comm = Commitment::<P> {
            comm: <P as Engine>::GE::group(point),
        };
        comm.to_transcript_bytes()
    };
    let identity = of(&PallasAffine::identity());
    let g = of(&PallasAffine::generator());
    assert_eq!(identity.len(), g.len());
    assert_eq!(identity.last(), Some(&1));
    assert_eq!(g.last(), Some(&0));
}

#[test]
fn a_challenge_of_zero_bits_is_none() {
    assert_eq!(Challenge::new(0), None);
    let lambda = PallasAffine::endomorphism().lambda();
    let u = Challenge::new(3 << 64 | 5)
        .unwrap()
        .scalar::<PallasAffine>();
    assert_eq!(u, S::<P>::from(5) + lambda * S::<P>::from(3));
}

/// Pinned, so that a change of the format is noticed.
#[test]
fn the_proof_of_a_fixed_instance_does_not_change() {
    fn digest<E>() -> String
    where
        E: Engine<CE = Pedersen<E>>,
        E::GE: DlogGroupExt,
        Affine<E>: EndoCurve<Base = E::Base, ScalarExt = E::Scalar>,
        E::Scalar: FromUniformBytes<64>,
    {
        let instance = Instance::<E>::random(4, 1);
        let bytes = postcard::to_stdvec(&instance.prove()).unwrap();
        let mut out = [0; 8];
        crate::hash::shake("test", &[&bytes], &mut out);
        out.iter().map(|b| format!("{b:02x}")).collect()
    }
    assert_eq!(digest::<PallasEngine>(), "d54f9091dbd22f4e");
    assert_eq!(digest::<VestaEngine>(), "c4d38eb1d05bbb6d");
}

#[test]
fn keys_survive_encoding() {
    let instance = Instance::<VestaEngine>::random(3, 43);
    let bytes = postcard::to_stdvec(&(&instance.pk, &instance.vk)).unwrap();
    let (pk, vk) =
        postcard::from_bytes::<(ProverKey<VestaEngine>, VerifierKey<VestaEngine>)>(&bytes).unwrap();
    assert_eq!(pk.value.generators(), instance.pk.value.generators());
    assert_eq!(vk.vector.generators(), instance.vk.vector.generators());
    assert_eq!(vk.value.generators(), instance.vk.value.generators());
    let _: VestaAffine = vk.value.generators()[0];
}
