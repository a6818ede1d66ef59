//! Chains of steps without the rest of a proof: what a prover may do who keeps to no order.
//!
//! An attack goes on from its lie as an honest prover would, and it is shown that a verifier without
//! the one check, with the instances or the challenges that the attacker wants, would accept it.

use std::{collections::HashSet, sync::OnceLock};

use expect_test::expect;
use ff::Field;
use nova_snark::traits::commitment::CommitmentEngineTrait;
use rand_core::OsRng;

use super::{
    prover::{CommittedStep, Folded, Relaxed},
    transcript::Transcript,
    *,
};
use crate::{
    Params, Prover, Session, Visibility,
    backend::{Commitment, F},
    circuit::PUBLIC_VALUES,
    program::{Activation, LayerShape, NetworkShape, Schedule},
    proof::sequence_lengths,
    weights::{AffineMap, WeightBank, element_bytes},
};

/// Three layers of 5, one to a step.
const PER_FRAME: usize = 3;

fn prover() -> &'static Prover {
    static PROVER: OnceLock<Prover> = OnceLock::new();
    PROVER.get_or_init(|| {
        let layer = LayerShape {
            inputs: 5,
            outputs: 5,
            activation: Activation::Relu,
        };
        let network = NetworkShape {
            reads: Vec::new(),
            layers: vec![layer; PER_FRAME],
            tables: vec![],
            width: 8,
            bits: 20,
            shift: 3,
        };
        let program = network.program(Schedule::LayersPerStep(1)).unwrap();
        let map = |w: i16| {
            let weights = (0..25).map(|i| (i * 7 + w) % 23 - 11).collect();
            AffineMap::new(5, weights, vec![40, -3, 11, 0, 9]).unwrap()
        };
        let bank = WeightBank::new((0..PER_FRAME as i16).map(map).collect()).unwrap();
        Prover::from_bank(&Params::setup(&program).unwrap(), bank).unwrap()
    })
}

/// A session of so many steps that are kept.
fn session(steps: usize) -> Session {
    let mut session = prover()
        .session(Visibility::public_inputs().public_outputs())
        .unwrap();
    while (session.run.steps as usize) < steps {
        session.push_integers(&[1, -2, 3, 99, -128]).unwrap();
    }
    assert_eq!(session.run.steps as usize, steps);
    session
}

/// The keys of both sides and a run.
struct Chain {
    session: Session,
    binding: F,
    z_0: [F; 2],
}

impl Chain {
    fn new(steps: usize) -> Self {
        let mut session = session(steps);
        let binding = session.run.state.binding;
        let z_0 = session.kept_for_test()[0].z;
        Self {
            session,
            binding,
            z_0,
        }
    }

    fn prove(&mut self) -> FlatProof {
        let step = prover().params().0.step.clone();
        let folded = key().fold(&step, self.binding, self.session.kept_for_test());
        folded.unwrap().prove(key()).unwrap()
    }

    /// Instances and witnesses with fresh blinds.
    fn commit(&mut self) -> Vec<CommittedStep> {
        let step = prover().params().0.step.clone();
        key().commit(&step, self.session.kept_for_test()).unwrap()
    }

    fn verify(&self, proof: &FlatProof) -> Result<[F; 2], verifier::FlatError> {
        proof.verify(verifier_key(), self.binding, self.z_0)
    }
}

fn key() -> &'static FlatProver {
    prover().params().0.flat_prover().unwrap()
}

fn verifier_key() -> &'static FlatVerifier {
    prover().params().0.flat_verifier().unwrap()
}

fn instances(steps: &[CommittedStep]) -> Vec<StepInstance> {
    steps.iter().map(|s| s.instance.clone()).collect()
}

/// What an honest prover does with steps that are whatever they are.
fn prove(binding: F, steps: Vec<CommittedStep>) -> FlatProof {
    let random = key()
        .shape
        .sample_random_instance_witness(&key().key)
        .unwrap();
    let mut transcript = Transcript::begin(&key().digest, &binding, &instances(&steps), &random.0);
    let folded = key().fold_all(steps, random, |terms| transcript.challenge(terms));
    folded.unwrap().prove(key()).unwrap()
}

/// Whether the proof holds for a verifier who takes these instances, and this transcript.
fn holds_for(proof: &FlatProof, steps: Vec<StepInstance>, mut transcript: Transcript) -> bool {
    proof
        .fold(steps, |terms| transcript.challenge(terms))
        .and_then(|folded| proof.verify_folded(verifier_key(), &folded))
        .is_ok()
}

/// The honest transcript about these instances.
fn transcript(proof: &FlatProof, binding: F, steps: &[StepInstance]) -> Transcript {
    Transcript::begin(&key().digest, &binding, steps, &proof.random)
}

#[test]
fn runs_of_any_number_of_steps_hold() {
    for steps in [3, 6, 9] {
        let mut chain = Chain::new(steps);
        let z_n = chain.session.run.z;
        let proof = chain.prove();
        assert_eq!(chain.verify(&proof), Ok(z_n));
        // Shorter ones too, whatever the statement would say of them.
        for n in [1, 2, 5].into_iter().filter(|n| *n < steps) {
            let mut committed = chain.commit();
            committed.truncate(n);
            let proof = prove(chain.binding, committed);
            assert_eq!(proof.steps.len(), n);
            assert!(chain.verify(&proof).is_ok());
        }
    }
}

#[test]
fn the_circuit_is_the_step_with_its_public_values() {
    let params = prover().params();
    let shape = &key().shape;
    assert_eq!(
        (shape.num_cons(), shape.num_vars(), shape.num_io()),
        (
            params.0.size.constraints,
            params.0.size.variables,
            PUBLIC_VALUES
        )
    );
    let mut chain = Chain::new(3);
    for step in chain.commit() {
        let (u, w) = (&step.instance, &step.witness);
        assert!(shape.is_sat(&key().key, u, w).is_ok());
        // Each public value counts.
        for k in 0..PUBLIC_VALUES {
            let mut public = u.X().to_vec();
            public[k] += F::ONE;
            let other = StepInstance::new(shape, u.comm_W(), &public).unwrap();
            assert!(shape.is_sat(&key().key, &other, w).is_err());
        }
    }
    let [a, b] = [Chain::new(3).commit(), chain.commit()];
    assert_ne!(a[0].instance.comm_W(), b[0].instance.comm_W());
    // Public values: where a step begins and where it leads.
    assert_eq!(b[0].instance.X()[..2], chain.z_0);
    assert_eq!(b[1].instance.X()[..2], b[0].instance.X()[2..]);
}

#[test]
fn lengths_and_bytes_are_as_computed() {
    let params = prover().params();
    let bank = params.program().bank();
    let columns = prover().model_commitment().column_bits();
    for steps in [3, 6] {
        let mut session = session(steps);
        session.set_kind(Some(crate::ProofKind::Flat)).unwrap();
        let proof = session.finish().unwrap();
        let crate::proof::Chain::Flat(chain) = &proof.argument.chain else {
            panic!("a flat proof");
        };
        let lengths = flat_lengths(params.0.size, steps);
        assert_eq!(sequence_lengths(chain), Some(lengths));
        let computed = proof::argument_bytes(params.0.size, &bank, columns, steps);
        let bytes = postcard::to_stdvec(&proof.argument).unwrap().len();
        // Lengths of one byte are counted as two.
        assert!(
            bytes <= computed && computed < bytes + 100,
            "{bytes} {computed}"
        );
    }
    let most = params.0.most_flat_steps();
    assert!((40..MOST_STEPS as u64).contains(&most), "{most}");
}

// Chains.

/// A proof over instances that do not chain is complete but for that, and is refused.
fn refused(chain: &Chain, steps: Vec<CommittedStep>) {
    let their = instances(&steps);
    let proof = prove(chain.binding, steps);
    let transcript = transcript(&proof, chain.binding, &their);
    assert!(holds_for(&proof, their, transcript), "a complete attack");
    assert!(chain.verify(&proof).is_err());
}

#[test]
fn a_broken_chain_of_public_values_is_refused() {
    // The second half of another run of the same session's length.
    let (mut chain, mut other) = (Chain::new(6), Chain::new(6));
    let mut steps = chain.commit();
    steps.truncate(3);
    steps.extend(other.commit().into_iter().skip(3));
    refused(&chain, steps);
}

#[test]
fn a_step_taken_from_another_run_is_refused() {
    let (mut chain, mut other) = (Chain::new(3), Chain::new(3));
    for k in 0..3 {
        let mut steps = chain.commit();
        steps[k] = other.commit().swap_remove(k);
        refused(&chain, steps);
    }
}

#[test]
fn a_repeated_step_is_refused() {
    let mut chain = Chain::new(3);
    for k in 0..3 {
        let mut steps = chain.commit();
        let again = chain.commit().swap_remove(k);
        steps.insert(k, again);
        refused(&chain, steps);
    }
}

#[test]
fn a_step_left_out_is_refused() {
    let mut chain = Chain::new(3);
    for k in 0..2 {
        let mut steps = chain.commit();
        steps.remove(k);
        refused(&chain, steps);
    }
    // Without the last one it is a proof of something else.
    let mut steps = chain.commit();
    let z_2 = [steps[1].instance.X()[2], steps[1].instance.X()[3]];
    steps.pop();
    assert_eq!(chain.verify(&prove(chain.binding, steps)), Ok(z_2));
    assert_ne!(z_2, chain.session.run.z);
}

#[test]
fn steps_in_another_order_are_refused() {
    let mut chain = Chain::new(3);
    let mut steps = chain.commit();
    steps.swap(1, 2);
    refused(&chain, steps);
}

#[test]
fn a_run_from_another_state_or_of_another_binding_is_refused() {
    let mut chain = Chain::new(3);
    let proof = chain.prove();
    let verify = |binding, z_0| proof.verify(verifier_key(), binding, z_0);
    assert!(verify(chain.binding, chain.z_0).is_ok());
    for k in 0..2 {
        let mut z_0 = chain.z_0;
        z_0[k] += F::ONE;
        assert!(verify(chain.binding, z_0).is_err());
    }
    assert!(verify(chain.binding + F::ONE, chain.z_0).is_err());
}

#[test]
fn every_part_of_a_proof_matters() {
    let mut chain = Chain::new(3);
    let mut proof = chain.prove();
    let other = Commitment {
        comm: crate::backend::Group::generator(),
    };
    let refuse = |proof: &FlatProof, what: &str| assert!(chain.verify(proof).is_err(), "{what}");
    for k in 0..3 {
        let kept = std::mem::replace(&mut proof.steps[k].witness, other);
        refuse(&proof, "witness");
        proof.steps[k].witness = kept;
        for part in 0..2 {
            proof.steps[k].z[part] += F::ONE;
            refuse(&proof, "z");
            proof.steps[k].z[part] -= F::ONE;
        }
        let kept = std::mem::replace(&mut proof.cross_terms[k], other);
        refuse(&proof, "cross term");
        proof.cross_terms[k] = kept;
    }
    proof.witness_blind += F::ONE;
    refuse(&proof, "blind of the witness");
    proof.witness_blind -= F::ONE;
    proof.error_blind += F::ONE;
    refuse(&proof, "blind of the error");
    proof.error_blind -= F::ONE;
    let random = proof.random.clone();
    let with = |w, e, u, x| Instance::new(&key().shape, w, e, u, x).unwrap();
    let (w, e, u, x) = (*random.comm_W(), *random.comm_E(), random.u(), random.X());
    let mut public = x.to_vec();
    public[3] += F::ONE;
    for lie in [
        with(other, e, u, x.to_vec()),
        with(w, other, u, x.to_vec()),
        with(w, e, u + F::ONE, x.to_vec()),
        with(w, e, u, public),
    ] {
        proof.random = lie;
        refuse(&proof, "random instance");
    }
    proof.random = random;
    assert!(chain.verify(&proof).is_ok());
}

#[test]
fn the_cross_term_of_another_fold_is_refused() {
    let mut chain = Chain::new(6);
    let mut proof = chain.prove();
    // Of one level, of two, and of the fold with the random instance.
    for (a, b) in [(0, 1), (0, 3), (2, 5)] {
        proof.cross_terms.swap(a, b);
        assert!(chain.verify(&proof).is_err());
        // Nor with the challenges that it was made with.
        let honest = {
            let mut honest = transcript(&proof, chain.binding, &proof.instances(chain.z_0));
            let mut terms = proof.cross_terms.clone();
            terms.swap(a, b);
            let mut rest = terms.as_slice();
            let mut challenges = Vec::new();
            for pairs in fold::levels(6).chain([1]) {
                let (level, later) = rest.split_at(pairs);
                challenges.push(honest.challenge(level));
                rest = later;
            }
            challenges
        };
        let mut honest = honest.into_iter();
        let folded = proof.fold(proof.instances(chain.z_0), |_| honest.next().unwrap());
        assert!(
            proof
                .verify_folded(verifier_key(), &folded.unwrap())
                .is_err()
        );
        proof.cross_terms.swap(a, b);
    }
    // Of another proof of the same steps.
    let other = chain.prove();
    proof.cross_terms[1] = other.cross_terms[1];
    assert!(chain.verify(&proof).is_err());
}

#[test]
fn another_number_of_cross_terms_or_steps_is_refused() {
    let mut chain = Chain::new(3);
    let mut chained = || chain.prove();
    let mut lie = chained();
    lie.cross_terms.pop();
    let mut longer = chained();
    longer.cross_terms.push(Commitment::default());
    let mut fewer = chained();
    fewer.steps.pop();
    let mut none = chained();
    none.steps.clear();
    none.cross_terms.clear();
    for lie in [lie, longer, fewer, none] {
        assert!(chain.verify(&lie).is_err());
    }
    let mut many = chain.prove();
    let step = many.steps[0].clone();
    many.steps.resize(MOST_STEPS + 1, step);
    many.cross_terms
        .resize(MOST_STEPS + 1, Commitment::default());
    assert!(chain.verify(&many).is_err());
}

#[test]
fn folds_in_another_order_are_refused() {
    // The pairs (z_1, z_3), (z_2, z_4) instead of neighbours; all steps are absorbed in order.
    let mut chain = Chain::new(6);
    let steps = chain.commit();
    let absorbed = instances(&steps);
    let random = key()
        .shape
        .sample_random_instance_witness(&key().key)
        .unwrap();
    let begun = Transcript::begin(&key().digest, &chain.binding, &absorbed, &random.0);
    let order = [0, 2, 1, 3, 4, 5];
    let mut slots: Vec<Option<CommittedStep>> = steps.into_iter().map(Some).collect();
    let steps = order.map(|k| slots[k].take().unwrap()).into();
    let mut transcript = begun.clone();
    let folded = key().fold_all(steps, random, |terms| transcript.challenge(terms));
    let mut proof = folded.unwrap().prove(key()).unwrap();
    // Shown in the order of the run.
    proof.steps.swap(1, 2);
    let theirs = order.map(|k| absorbed[k].clone()).to_vec();
    assert!(holds_for(&proof, theirs, begun), "a complete attack");
    assert!(chain.verify(&proof).is_err());
}

// Challenges.

/// A step that leads to another state than its witness.
fn false_step(chain: &mut Chain) -> CommittedStep {
    let mut step = chain.commit().swap_remove(0);
    let mut public = step.instance.X().to_vec();
    public[3] += F::ONE;
    let comm = *step.instance.comm_W();
    step.instance = StepInstance::new(&key().shape, &comm, &public).unwrap();
    assert!(
        key()
            .shape
            .is_sat(&key().key, &step.instance, &step.witness)
            .is_err()
    );
    step
}

/// `Az∘Bz − u·Cz`.
fn defect(w: &[F], u: F, public: &[F]) -> Vec<F> {
    let z = [w, &[u], public].concat();
    let (a, b, c) = key().shape.multiply_vec(&z).unwrap();
    let rows = a.iter().zip(&b).zip(&c);
    rows.map(|((a, b), c)| *a * b - u * c).collect()
}

fn random_vector(n: usize) -> Vec<F> {
    (0..n).map(|_| F::random(OsRng)).collect()
}

/// What the prover of one false step chooses after the challenge of its fold.
#[derive(Clone, Copy, PartialEq)]
enum Late {
    /// The error of the random instance.
    Random,
    /// The cross term.
    CrossTerm,
}

/// The transcript of a verifier whose challenge does not depend on what is chosen late.
fn careless(late: Late, binding: F, steps: &[StepInstance], random: &Instance) -> Transcript {
    match late {
        Late::Random => Transcript::without_random_for_test(&key().digest, &binding, steps),
        Late::CrossTerm => Transcript::begin(&key().digest, &binding, steps, random),
    }
}

/// The challenge of that verifier.
fn careless_challenge(late: Late, transcript: &mut Transcript, terms: &[Commitment<E1>]) -> F {
    match late {
        Late::Random => transcript.challenge(terms),
        Late::CrossTerm => transcript.challenge(&[]),
    }
}

/// A proof about one false step: everything of the fold is made to hold by what is chosen late.
fn forge(binding: F, step: &CommittedStep, late: Late) -> FlatProof {
    let (key, shape) = (key(), &key().shape);
    let commit = |v: &[F], r: &F| Pedersen::<E1>::commit(&key.key, v, r);
    let (rows, variables) = (shape.num_cons(), shape.num_vars());
    let u_1 = Instance::from_r1cs_instance(&key.key, shape, &step.instance);
    let w_1 = Witness::from_r1cs_witness(shape, &step.witness);
    // A random instance, so far without a lie.
    let (w, u, public) = (
        random_vector(variables),
        F::random(OsRng),
        random_vector(PUBLIC_VALUES),
    );
    let (r_w, r_e, r_t) = (F::random(OsRng), F::random(OsRng), F::random(OsRng));
    let comm_w = commit(&w, &r_w);
    let random =
        |e: &[F]| Instance::new(shape, comm_w, commit(e, &r_e), u, public.clone()).unwrap();
    let (mut e, mut t) = (defect(&w, u, &public), vec![F::ZERO; rows]);
    let steps = [step.instance.clone()];
    let mut transcript = careless(late, binding, &steps, &random(&e));
    let r = careless_challenge(late, &mut transcript, &[commit(&t, &r_t)]);
    // The error that the folded instance must have: E_1 + r·T + r²·E_2, where E_1 = 0.
    let sum = |a: &[F], b: &[F]| -> Vec<F> { a.iter().zip(b).map(|(a, b)| *a + r * b).collect() };
    let wanted = defect(&sum(w_1.W(), &w), F::ONE + r * u, &sum(u_1.X(), &public));
    let inverse = r.invert().unwrap();
    for ((wanted, e), t) in wanted.iter().zip(&mut e).zip(&mut t) {
        match late {
            Late::Random => *e = (*wanted - r * *t) * inverse * inverse,
            Late::CrossTerm => *t = (*wanted - r * r * *e) * inverse,
        }
    }
    let point = commit(&t, &r_t);
    let u_2 = random(&e);
    let w_2 = Witness::new(shape, w.clone(), r_w, e, r_e).unwrap();
    let public = step.instance.X();
    let folded = Folded {
        steps: vec![proof::FlatStep {
            witness: *step.instance.comm_W(),
            z: [public[2], public[3]],
        }],
        cross_terms: vec![point],
        folded: Relaxed {
            instance: u_1.fold_relaxed(&u_2, &point, &r),
            witness: w_1.fold_relaxed(&w_2, &t, &r_t, &r).unwrap(),
        },
        random: u_2,
    };
    folded.prove(key).unwrap()
}

/// A forgery that only the order of the transcript catches.
fn forgery_is_refused(late: Late) {
    let mut chain = Chain::new(3);
    let step = false_step(&mut chain);
    let proof = forge(chain.binding, &step, late);
    let steps = proof.instances(chain.z_0);
    let mut transcript = careless(late, chain.binding, &steps, &proof.random);
    let folded = proof.fold(steps, |terms| {
        careless_challenge(late, &mut transcript, terms)
    });
    let accepted = proof.verify_folded(verifier_key(), &folded.unwrap());
    assert!(accepted.is_ok(), "a complete attack");
    assert!(chain.verify(&proof).is_err());
}

#[test]
fn a_random_instance_chosen_after_the_challenge_is_refused() {
    forgery_is_refused(Late::Random);
}

#[test]
fn a_cross_term_chosen_after_the_challenge_is_refused() {
    forgery_is_refused(Late::CrossTerm);
}

#[test]
fn a_false_step_is_refused_wherever_it_stands() {
    for at in 0..3 {
        let mut chain = Chain::new(3);
        let mut steps = chain.commit();
        // Its witness is one that leads elsewhere.
        let mut witness = steps[at].witness.W().to_vec();
        witness[7] += F::ONE;
        let witness = StepWitnessVector::new(&key().shape, &witness, &mut OsRng).unwrap();
        let public = steps[at].instance.X().to_vec();
        let comm = witness.commit(&key().key);
        steps[at] = CommittedStep {
            instance: StepInstance::new(&key().shape, &comm, &public).unwrap(),
            witness,
        };
        assert!(chain.verify(&prove(chain.binding, steps)).is_err());
    }
}

#[test]
fn challenges_depend_on_all_that_precedes_them() {
    let mut chain = Chain::new(3);
    let proof = chain.prove();
    let steps = proof.instances(chain.z_0);
    let first = |keys: F, binding: F, steps: &[StepInstance], random: &Instance| {
        Transcript::begin(&keys, &binding, steps, random).challenge(&proof.cross_terms[..1])
    };
    let digest = key().digest;
    let honest = first(digest, chain.binding, &steps, &proof.random);
    let mut seen = HashSet::from([element_bytes(&honest)]);
    let mut differs = |challenge: F| assert!(seen.insert(element_bytes(&challenge)));
    differs(first(digest + F::ONE, chain.binding, &steps, &proof.random));
    differs(first(digest, chain.binding + F::ONE, &steps, &proof.random));
    for n in 0..3 {
        differs(first(digest, chain.binding, &steps[..n], &proof.random));
    }
    for k in 0..3 {
        let mut other = steps.clone();
        let identity = Commitment::default();
        other[k] = StepInstance::new(&key().shape, &identity, steps[k].X()).unwrap();
        differs(first(digest, chain.binding, &other, &proof.random));
        for i in 0..PUBLIC_VALUES {
            let mut public = steps[k].X().to_vec();
            public[i] += F::ONE;
            other[k] = StepInstance::new(&key().shape, steps[k].comm_W(), &public).unwrap();
            differs(first(digest, chain.binding, &other, &proof.random));
        }
    }
    let random = &proof.random;
    let (w, e, u) = (*random.comm_W(), *random.comm_E(), random.u());
    let with = |w, e, u, i: usize| {
        let mut public = random.X().to_vec();
        if let Some(x) = public.get_mut(i) {
            *x += F::ONE;
        }
        Instance::new(&key().shape, w, e, u, public).unwrap()
    };
    let none = PUBLIC_VALUES;
    let identity = Commitment::default();
    let mut others = vec![
        with(identity, e, u, none),
        with(w, identity, u, none),
        with(e, w, u, none),
        with(w, e, u + F::ONE, none),
    ];
    others.extend((0..PUBLIC_VALUES).map(|i| with(w, e, u, i)));
    for other in others {
        differs(first(digest, chain.binding, &steps, &other));
    }
    // Cross terms, and the challenges before.
    let challenges = |terms: [usize; 3]| {
        let mut transcript = Transcript::begin(&digest, &chain.binding, &steps, random);
        terms.map(|k| transcript.challenge(&proof.cross_terms[k..=k]))
    };
    let (a, b) = (challenges([0, 1, 2]), challenges([1, 1, 2]));
    assert_eq!(a[0], honest);
    for k in 0..3 {
        assert_ne!(a[k], b[k]);
    }
    assert!(a[0] != a[1] && a[1] != a[2]);
}

#[test]
fn known_challenges() {
    let generator = Commitment {
        comm: crate::backend::Group::generator(),
    };
    let shape = &key().shape;
    let elements = [1u64, 2, 3, 4].map(F::from);
    let step = StepInstance::new(shape, &generator, &elements).unwrap();
    let random = Instance::new(
        shape,
        generator,
        Commitment::default(),
        F::from(5),
        elements.to_vec(),
    );
    let mut transcript = Transcript::begin(
        &F::from(6),
        &F::from(7),
        &[step.clone(), step],
        &random.unwrap(),
    );
    let hex = |x: F| -> String {
        element_bytes(&x)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect()
    };
    let first = hex(transcript.challenge(&[generator]));
    let second = hex(transcript.challenge(&[generator]));
    // By another implementation of the notes.
    expect!["ced19a83e59df96bc2e17088e79839dd7948065dd8b2a8346e5e838a31ce0430"].assert_eq(&first);
    expect!["40255038d8d79c7bbea28642f0b09f70d4baf7de81432bfa84659819c5c9d02b"].assert_eq(&second);
}

// Zero knowledge.

/// All points and elements that a proof shows but the states of the run.
fn shown(proof: &FlatProof) -> Vec<[u8; 32]> {
    let point = |c: &Commitment<E1>| <[u8; 32]>::try_from(postcard::to_stdvec(c).unwrap()).unwrap();
    let mut all: Vec<_> = proof.steps.iter().map(|s| point(&s.witness)).collect();
    all.extend(proof.cross_terms.iter().map(point));
    let random = &proof.random;
    all.extend([random.comm_W(), random.comm_E()].map(point));
    let blinds = [random.u(), proof.witness_blind, proof.error_blind];
    all.extend(random.X().iter().chain(&blinds).map(element_bytes));
    // All windows of the SNARK that could hold one: anything not mostly zero.
    let snark = postcard::to_stdvec(&proof.snark).unwrap();
    let windows = snark.windows(32).map(|w| <[u8; 32]>::try_from(w).unwrap());
    all.extend(windows.filter(|w| w.iter().filter(|b| **b != 0).count() > 16));
    all
}

#[test]
fn two_flat_proofs_of_one_statement_share_no_commitment() {
    // Of one session, and of two.
    let (mut a, mut b) = (Chain::new(3), Chain::new(3));
    let proofs = [a.prove(), a.prove(), b.prove()];
    let shown = proofs.each_ref().map(shown);
    for (i, j) in [(0, 1), (0, 2), (1, 2)] {
        let seen: HashSet<_> = shown[i].iter().collect();
        assert!(shown[j].iter().all(|x| !seen.contains(x)), "{i} {j}");
    }
    // One session shows that it is one by its states too, two sessions do not.
    let states = proofs
        .each_ref()
        .map(|p| p.steps.iter().map(|s| s.z).collect::<Vec<_>>());
    assert_eq!(states[0], states[1]);
    let elements: HashSet<_> = states[0].iter().flatten().map(element_bytes).collect();
    assert!(
        states[2]
            .iter()
            .flatten()
            .all(|z| !elements.contains(&element_bytes(z)))
    );
}

#[test]
fn public_values_cannot_be_recomputed_from_the_inputs_and_a_guess_of_the_weights() {
    // The states between steps are `D(salt; carried)` with a fresh salt, and a digest over the point
    // of the claim, which depends on a fresh τ: both are hashes of more entropy than they have bits. So
    // even one who knows weights, inputs, binding and frames cannot tell which of two states is that
    // of a run. Here everything that is not drawn afresh is the same, the binding included.
    let chain = Chain::new(3);
    let run = |mut session: Session| {
        session.run.state.binding = chain.binding;
        session.run.z = chain.z_0;
        session.push_integers(&[1, -2, 3, 99, -128]).unwrap();
        let kept = session.kept_for_test();
        assert_eq!(kept[0].z, chain.z_0);
        kept.iter().map(|k| k.next).collect::<Vec<_>>()
    };
    let visibility = Visibility::public_inputs().public_outputs();
    let begin = || prover().session(visibility).unwrap();
    let (a, b) = (run(begin()), run(begin()));
    assert_eq!(a.len(), 3);
    for k in 0..3 {
        for part in 0..2 {
            assert_ne!(a[k][part], b[k][part], "z_{} {part}", k + 1);
        }
    }
}
