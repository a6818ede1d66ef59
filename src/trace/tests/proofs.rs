//! Proofs of runs of random programs verify; of anything else they do not.

use ff::Field;
use rand_core::OsRng;

use super::lowering::{Case, case, parameters_of};
use crate::{
    backend::F,
    statement::Visibility,
    trace::{PublicVectors, RowKind, TraceError, TraceKey, TraceOutcome, TraceRun, TraceStatement},
    weights::{BlindingSeed, CommittedBank},
};

/// A case that was proved.
pub(crate) struct Proved {
    pub(crate) case: Case,
    pub(crate) key: TraceKey,
    pub(crate) bank: CommittedBank,
    pub(crate) own_rows: bool,
    pub(crate) outcome: TraceOutcome,
}

pub(crate) fn parameters(case: &Case) -> Vec<i64> {
    parameters_of(&case.program)
}

impl Proved {
    pub(crate) fn new(case: Case, visibility: Visibility, own_rows: bool) -> Self {
        let key = TraceKey::new(&case.program, case.program.digest());
        let bank = CommittedBank::commit(case.bank.clone(), &case.program, BlindingSeed::random())
            .unwrap();
        let salt = F::random(OsRng);
        let outcome = key
            .prove(&TraceRun {
                bank: &bank,
                visibility,
                context: b"context",
                parameters: &parameters(&case),
                own_rows,
                fast: own_rows,
                frames: &case.frames,
                salt: &|kind: RowKind, index| salt + F::from(2 * index + kind as u64),
            })
            .unwrap();
        Self {
            case,
            key,
            bank,
            own_rows,
            outcome,
        }
    }

    pub(crate) fn verify(&self) -> Result<(), TraceError> {
        let inputs = self.case.frames.concat();
        self.verify_with(
            &inputs,
            &self.case.outputs,
            b"context",
            self.case.frames.len(),
        )
    }

    pub(crate) fn verify_with(
        &self,
        inputs: &[i64],
        outputs: &[i64],
        context: &[u8],
        frames: usize,
    ) -> Result<(), TraceError> {
        self.key.verify(
            &TraceStatement {
                model: self.bank.commitment(),
                context,
                parameters: &parameters(&self.case),
                frames: frames as u64,
                own_rows: self.own_rows,
                inputs: match &self.outcome.inputs {
                    Some(digest) => PublicVectors::Digest(digest),
                    None => PublicVectors::Entries(inputs),
                },
                outputs: match &self.outcome.outputs {
                    Some(digest) => PublicVectors::Digest(digest),
                    None => PublicVectors::Entries(outputs),
                },
            },
            &self.outcome.proof,
        )
    }
}

#[test]
fn proofs_of_random_programs_verify() {
    let mut tried = 0;
    for seed in 0..4000 {
        let Some(case) = case(seed, 5) else { continue };
        let shown = seed % 2 == 0;
        if case.system(shown).is_none() {
            continue;
        }
        let visibility = if shown {
            Visibility::public_inputs().public_outputs()
        } else {
            Visibility::private_inputs()
        };
        let proved = Proved::new(case, visibility, seed % 3 == 0);
        assert_eq!(
            proved.verify(),
            Ok(()),
            "seed {seed}: {:#?}",
            proved.case.program
        );
        tried += 1;
        if tried == 60 {
            break;
        }
    }
    assert_eq!(tried, 60);
}
