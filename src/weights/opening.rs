//! The opening of the masked bank at the final point (protocol notes, 7): a proof of knowledge, in zero
//! knowledge, of `u` behind `C_u` with `⟨u, eq(P_col, ·)⟩ = V`.
//!
//! A Σ-protocol in front of an inner-product argument: `w = e_0 + e·u` is uniform, so the argument
//! about `w` need not hide anything.

use ff::Field;
use layerfold_gadgets::mle::{eq_evals, eq_index_native};
use nova_snark::{
    provider::traits::{DlogGroup, DlogGroupExt},
    traits::{
        Engine, TranscriptEngineTrait, commitment::CommitmentEngineTrait,
        evaluation::EvaluationEngineTrait,
    },
};
use rand_core::OsRng;
use serde::{Deserialize, Serialize};

use super::{
    CommittedBank, Mask, ModelCommitment, SplitPoint, WeightClaim,
    commitment::segments,
    delayed::{from_i64, sum_of_parts},
};
use crate::{
    backend::{Commitment, CommitmentKey, E1, F, Group, Pedersen, generators::BANK_LABEL},
    ipa::Opening,
    program::BankDimensions,
};

type Argument = <Opening<E1> as EvaluationEngineTrait<E1>>::EvaluationArgument;
type Transcript = <E1 as Engine>::TE;

/// What is opened: the claim, the model, the mask's commitment, and the run it belongs to.
pub(crate) struct OpeningStatement<'a> {
    pub(crate) model: &'a ModelCommitment,
    pub(crate) mask: Commitment<E1>,
    pub(crate) binding: F,
    pub(crate) claim: &'a WeightClaim,
}

/// `C_0`, `v_0`, `s_w` and the argument about `w`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct OpeningProof {
    pub(crate) masking: Commitment<E1>,
    pub(crate) masking_value: F,
    pub(crate) blind: F,
    pub(crate) argument: Argument,
}

/// Why an opening does not hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpeningError;

impl OpeningStatement<'_> {
    fn split(&self) -> Result<(SplitPoint<'_>, &[F], &[F]), OpeningError> {
        let dimensions = &self.model.dimensions;
        let point = &self.claim.point;
        let split = SplitPoint::new(point, dimensions).ok_or(OpeningError)?;
        let row_bits = dimensions
            .index_bits()
            .checked_sub(self.model.column_bits)
            .ok_or(OpeningError)?;
        let (row, column) = point[1..]
            .split_at_checked(row_bits as usize)
            .ok_or(OpeningError)?;
        Ok((split, row, column))
    }

    /// `C_u = (1−P_t)·Σ_r eq(P_row,r)·C_r + P_t·eq(P_row,0)·C_m`.
    fn combined_commitment(&self) -> Result<Group, OpeningError> {
        let (split, row, _) = self.split()?;
        let (scalars, points): (Vec<F>, Vec<_>) = self
            .model
            .indexed_rows()
            .map(|(r, point)| ((F::ONE - split.t) * eq_index_native(r, row), *point))
            .unzip();
        let bank = Group::vartime_multiscalar_mul(&scalars, &points);
        Ok(bank + self.mask.comm * (split.t * eq_index_native(0, row)))
    }

    /// Everything the challenge depends on, in a fresh transcript.
    fn transcript(&self, masking: &Commitment<E1>, masking_value: &F) -> Transcript {
        let mut transcript = Transcript::new(b"layerfold/open/1");
        transcript.absorb(b"z", &self.binding);
        transcript.absorb(b"P", &self.claim.point.as_slice());
        transcript.absorb(b"V", &self.claim.value);
        transcript.absorb(b"C", masking);
        transcript.absorb(b"v", masking_value);
        transcript
    }
}

/// `u`, its blind: `(1−P_t)·Σ_r eq(P_row,r)·W_r + P_t·eq(P_row,0)·M`.
fn combined_row(
    bank: &CommittedBank,
    mask: &Mask,
    split: &SplitPoint<'_>,
    row_point: &[F],
) -> (Vec<F>, F) {
    let dimensions: &BankDimensions = &bank.commitment.dimensions;
    let column_bits = bank.commitment.column_bits;
    let keep = F::ONE - split.t;
    let parts = bank.bank.parts(rayon::current_num_threads());
    let mut u = sum_of_parts(&parts, 1 << column_bits, |sums, part| {
        let mut last = None;
        for i in part.rows.clone() {
            for s in segments(dimensions, column_bits, part.l, i, part.map.columns()) {
                let weight = match last {
                    Some((row, weight)) if row == s.row => weight,
                    _ => keep * eq_index_native(s.row, row_point),
                };
                last = Some((s.row, weight));
                // Column 0 of the map is the bias, kept apart.
                let (skip, j) = if s.j == 0 {
                    sums.add_element(s.column, from_i64(part.map.bias()[i]) * weight);
                    (1, 0)
                } else {
                    (0, s.j - 1)
                };
                let stretch = part.map.row(i).stretch(j..s.j + s.len - 1);
                sums.add(s.column + skip, &stretch, &weight);
            }
        }
    });
    let mask_weight = split.t * eq_index_native(0, row_point);
    for (column, m) in mask.row.iter().enumerate() {
        u[column] += mask_weight * m;
    }
    let mut blind = mask_weight * mask.blind;
    for ((r, _), s) in bank.commitment.indexed_rows().zip(&bank.blinds) {
        blind += keep * eq_index_native(r, row_point) * s;
    }
    (u, blind)
}

impl OpeningProof {
    /// Opens the claim. `C_0` and `v_0` are fresh for every opening.
    pub(crate) fn prove(
        bank: &CommittedBank,
        mask: &Mask,
        statement: &OpeningStatement<'_>,
    ) -> Result<Self, OpeningError> {
        let (split, row, column) = statement.split()?;
        let key = &bank.key;
        let (u, s_u) = combined_row(bank, mask, &split, row);
        let b = eq_evals(column);

        let e_0: Vec<F> = (0..b.len()).map(|_| F::random(OsRng)).collect();
        let s_0 = F::random(OsRng);
        let masking = Pedersen::<E1>::commit(key, &e_0, &s_0);
        let masking_value = e_0.iter().zip(&b).map(|(e, b)| *e * b).sum();

        let mut transcript = statement.transcript(&masking, &masking_value);
        let e = transcript.squeeze(b"e").map_err(|_| OpeningError)?;
        let w: Vec<F> = e_0.iter().zip(&u).map(|(e_0, u)| *e_0 + e * u).collect();
        let blind = s_0 + e * s_u;
        transcript.absorb(b"s", &blind);

        let commitment = Pedersen::<E1>::commit(key, &w, &F::ZERO);
        let value = masking_value + e * statement.claim.value;
        let (prover_key, _) = Opening::<E1>::setup(key).map_err(|_| OpeningError)?;
        let argument = Opening::<E1>::prove(
            key,
            &prover_key,
            &mut transcript,
            &commitment,
            &w,
            column,
            &value,
        )
        .map_err(|_| OpeningError)?;
        Ok(Self {
            masking,
            masking_value,
            blind,
            argument,
        })
    }

    /// Verifies that the claim holds for the committed bank and mask.
    pub(crate) fn verify(&self, statement: &OpeningStatement<'_>) -> Result<(), OpeningError> {
        let (_, _, column) = statement.split()?;
        let key = CommitmentKey::<E1>::of_label(BANK_LABEL, 1 << statement.model.column_bits);
        let combined = statement.combined_commitment()?;

        let mut transcript = statement.transcript(&self.masking, &self.masking_value);
        let e = transcript.squeeze(b"e").map_err(|_| OpeningError)?;
        transcript.absorb(b"s", &self.blind);

        let h = Group::group(key.blinding_generator());
        let commitment = Commitment {
            comm: self.masking.comm + combined * e - h * self.blind,
        };
        let value = self.masking_value + e * statement.claim.value;
        let (_, verifier_key) = Opening::<E1>::setup(&key).map_err(|_| OpeningError)?;
        Opening::<E1>::verify(
            &verifier_key,
            &mut transcript,
            &commitment,
            column,
            &value,
            &self.argument,
        )
        .map_err(|_| OpeningError)
    }
}

/// An [`OpeningStatement`] that owns its parts, and what tests ask of an opening.
#[cfg(test)]
#[derive(Clone)]
pub(crate) struct OwnedStatement {
    pub(crate) model: ModelCommitment,
    pub(crate) mask: Commitment<E1>,
    pub(crate) binding: F,
    pub(crate) claim: WeightClaim,
}

#[cfg(test)]
impl OwnedStatement {
    fn borrow(&self) -> OpeningStatement<'_> {
        OpeningStatement {
            model: &self.model,
            mask: self.mask,
            binding: self.binding,
            claim: &self.claim,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
impl OwnedStatement {
    pub(crate) fn challenge_for_test(&self, masking: &Commitment<E1>, value: &F) -> F {
        self.borrow()
            .transcript(masking, value)
            .squeeze(b"e")
            .unwrap()
    }

    pub(crate) fn prove_for_test(&self, bank: &CommittedBank, mask: &Mask) -> OpeningProof {
        OpeningProof::prove(bank, mask, &self.borrow()).unwrap()
    }
}

#[cfg(test)]
impl OpeningProof {
    pub(crate) fn challenge_for_test(&self, statement: &OwnedStatement) -> F {
        statement.challenge_for_test(&self.masking, &self.masking_value)
    }

    pub(crate) fn holds_for_test(&self, statement: &OwnedStatement) -> bool {
        self.verify(&statement.borrow()).is_ok()
    }
}
