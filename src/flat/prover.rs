//! The prover.

use ff::Field;
use nova_snark::{
    frontend::{r1cs::NovaWitness, solver::SatisfyingAssignment},
    traits::{commitment::CommitmentEngineTrait, snark::RelaxedR1CSSNARKTrait},
};
use rand_core::OsRng;
use rayon::prelude::*;

use super::{
    FlatProof, FlatProver, Instance, StepInstance, StepWitnessVector, Witness, fold::levels,
    proof::FlatStep, transcript::Transcript,
};
use crate::{
    backend::{Commitment, E1, F, Pedersen, Snark},
    circuit::{StepWitness, synthesize_plain},
    error::Error,
    program::Unrolled,
};

/// A prepared step of a run.
pub(crate) struct KeptStep {
    /// The state before it.
    pub(crate) z: [F; 2],
    pub(crate) witness: StepWitness,
    /// The state that the interpreter came to.
    pub(crate) next: [F; 2],
}

/// A step's instance and witness, committed with a fresh blind.
pub(super) struct CommittedStep {
    pub(super) instance: StepInstance,
    pub(super) witness: StepWitnessVector,
}

/// An instance on its way through the folds.
enum Node {
    Step(CommittedStep),
    Folded(Relaxed),
}

/// A relaxed instance with its witness.
pub(super) struct Relaxed {
    pub(super) instance: Instance,
    pub(super) witness: Witness,
}

impl Node {
    /// `u = 1`, `E = 0` for a step.
    fn relax(self, key: &FlatProver) -> Relaxed {
        match self {
            Self::Step(CommittedStep { instance, witness }) => Relaxed {
                instance: Instance::from_r1cs_instance(&key.key, &key.shape, &instance),
                witness: Witness::from_r1cs_witness(&key.shape, &witness),
            },
            Self::Folded(relaxed) => relaxed,
        }
    }
}

/// All steps folded into one instance, and a random one into that.
pub(crate) struct Folded {
    pub(super) steps: Vec<FlatStep>,
    pub(super) cross_terms: Vec<Commitment<E1>>,
    pub(super) random: Instance,
    pub(super) folded: Relaxed,
}

fn fail(e: impl std::fmt::Display) -> Error {
    Error::proving("fold", e)
}

impl FlatProver {
    /// Folds the steps of a run and a random instance.
    ///
    /// # Errors
    /// If the circuit and the interpreter disagree about a step; if there is none.
    pub(crate) fn fold(
        &self,
        step: &Unrolled,
        binding: F,
        steps: &[KeptStep],
    ) -> Result<Folded, Error> {
        let (steps, random) = rayon::join(
            || self.commit(step, steps),
            || self.shape.sample_random_instance_witness(&self.key),
        );
        let (steps, random) = (steps?, random.map_err(fail)?);
        let instances: Vec<StepInstance> = steps.iter().map(|s| s.instance.clone()).collect();
        let mut transcript = Transcript::begin(&self.digest, &binding, &instances, &random.0);
        self.fold_all(steps, random, |terms| transcript.challenge(terms))
    }

    /// Synthesises the steps and commits to their witnesses, all with fresh blinds.
    pub(super) fn commit(
        &self,
        step: &Unrolled,
        steps: &[KeptStep],
    ) -> Result<Vec<CommittedStep>, Error> {
        let commit = |kept: &KeptStep| {
            let mut cs = SatisfyingAssignment::<E1>::with_capacity(self.shape.num_vars(), 4);
            let next = synthesize_plain(&mut cs, step, kept.z, &kept.witness).map_err(fail)?;
            if next != kept.next {
                return Err(fail("the circuit and the interpreter disagree"));
            }
            let (instance, witness) = cs
                .r1cs_instance_and_witness(&self.shape, &self.key, &mut OsRng)
                .map_err(fail)?;
            Ok(CommittedStep { instance, witness })
        };
        steps.par_iter().map(commit).collect()
    }

    /// Folds in the order of the protocol; `challenge` is given the cross terms of each level.
    pub(super) fn fold_all(
        &self,
        steps: Vec<CommittedStep>,
        random: (Instance, Witness),
        mut challenge: impl FnMut(&[Commitment<E1>]) -> F,
    ) -> Result<Folded, Error> {
        let parts = steps.iter().map(|step| FlatStep {
            witness: *step.instance.comm_W(),
            z: [step.instance.X()[2], step.instance.X()[3]],
        });
        let parts: Vec<FlatStep> = parts.collect();
        let mut cross_terms = Vec::with_capacity(parts.len());
        let mut level: Vec<Node> = steps.into_iter().map(Node::Step).collect();
        for pairs in levels(parts.len()) {
            // The left of each pair is relaxed, the right one may be a step.
            let mut left = Vec::with_capacity(pairs);
            let mut right = Vec::with_capacity(pairs);
            let mut rest = level.into_iter();
            for _ in 0..pairs {
                left.extend(rest.next().map(|node| node.relax(self)));
                right.extend(rest.next());
            }
            let odd = rest.next();
            let terms: Vec<CrossTerm> = (left.par_iter().zip(&right))
                .map(|(left, right)| self.cross_term(left, right))
                .collect::<Result<_, _>>()?;
            let points: Vec<_> = terms.iter().map(|t| t.point).collect();
            let r = challenge(&points);
            level = (left.into_par_iter().zip(right).zip(&terms))
                .map(|((left, right), term)| self.fold_pair(&left, &right, term, &r))
                .map(|folded| folded.map(Node::Folded))
                .collect::<Result<_, _>>()?;
            level.extend(odd);
            cross_terms.extend(points);
        }
        let last = level.pop().ok_or_else(|| fail("there is no step"))?;
        let last = last.relax(self);
        let (instance, witness) = random;
        let right = Node::Folded(Relaxed { instance, witness });
        let term = self.cross_term(&last, &right)?;
        let r = challenge(&[term.point]);
        cross_terms.push(term.point);
        let folded = self.fold_pair(&last, &right, &term, &r)?;
        Ok(Folded {
            steps: parts,
            cross_terms,
            random: right.relax(self).instance,
            folded,
        })
    }

    /// `T` of a pair, committed with a fresh blind.
    fn cross_term(&self, left: &Relaxed, right: &Node) -> Result<CrossTerm, Error> {
        let (key, shape) = (&self.key, &self.shape);
        let (u_1, w_1) = (&left.instance, &left.witness);
        let blind = F::random(OsRng);
        let committed = match right {
            Node::Step(step) => {
                shape.commit_T(key, u_1, w_1, &step.instance, &step.witness, &blind)
            }
            Node::Folded(right) => {
                shape.commit_T_relaxed(key, u_1, w_1, &right.instance, &right.witness, &blind)
            }
        };
        let (vector, point) = committed.map_err(fail)?;
        Ok(CrossTerm {
            vector,
            point,
            blind,
        })
    }

    fn fold_pair(
        &self,
        left: &Relaxed,
        right: &Node,
        term: &CrossTerm,
        r: &F,
    ) -> Result<Relaxed, Error> {
        let (u_1, w_1) = (&left.instance, &left.witness);
        let (vector, blind) = (&term.vector, &term.blind);
        let (instance, witness) = match right {
            Node::Step(step) => (
                u_1.fold(&step.instance, &term.point, r),
                w_1.fold(&step.witness, vector, blind, r),
            ),
            Node::Folded(right) => (
                u_1.fold_relaxed(&right.instance, &term.point, r),
                w_1.fold_relaxed(&right.witness, vector, blind, r),
            ),
        };
        let witness = witness.map_err(fail)?;
        Ok(Relaxed { instance, witness })
    }
}

/// A cross term with its commitment.
struct CrossTerm {
    vector: Vec<F>,
    point: Commitment<E1>,
    blind: F,
}

impl Folded {
    /// One SNARK about the folded instance.
    pub(crate) fn prove(self, key: &FlatProver) -> Result<FlatProof, Error> {
        let Relaxed { instance, witness } = &self.folded;
        let (witness, witness_blind, error_blind) = witness.derandomize();
        let derandomize = Pedersen::<E1>::derand_key(&key.key);
        let instance = instance.derandomize(&derandomize, &witness_blind, &error_blind);
        let snark = Snark::<E1>::prove(&key.key, &key.snark, &key.padded, &instance, &witness)
            .map_err(|e| Error::proving("compress", e))?;
        Ok(FlatProof {
            steps: self.steps,
            cross_terms: self.cross_terms,
            random: self.random,
            witness_blind,
            error_blind,
            snark,
        })
    }
}
