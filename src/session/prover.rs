//! A model, committed under a program.

use std::{fmt, sync::Arc};

use super::{Session, fixed::Fixed};
use crate::{
    error::Error,
    keys::Params,
    network::{Quantized, Scales},
    program::WeightBank,
    statement::{Visibility, salts::Salts},
    weights::{BlindingSeed, CommittedBank, ModelCommitment},
};

/// A committed model with its keys: makes sessions. Secret material, it holds the weights.
pub struct Prover {
    pub(crate) params: Params,
    pub(crate) bank: Arc<CommittedBank>,
    /// Known if the prover was made from a quantised model.
    pub(crate) scales: Option<Scales>,
}

impl fmt::Debug for Prover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prover({})", self.model_commitment().digest())
    }
}

impl Prover {
    /// Commits to the weights of a quantised model, with fresh blinds: two provers of one model
    /// have different commitments.
    ///
    /// # Errors
    /// If the keys are not those of a program of this model.
    pub fn new(params: &Params, model: &Quantized) -> Result<Self, Error> {
        Self::with_blinding(params, model, BlindingSeed::random())
    }

    /// Commits to the weights of a quantised model, with the blinds of a seed: with the seed of
    /// another prover of the same model and keys, the commitment is the same.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_blinding(
        params: &Params,
        model: &Quantized,
        seed: BlindingSeed,
    ) -> Result<Self, Error> {
        let mut prover = Self::from_bank_with_blinding(params, model.bank().clone(), seed)?;
        prover.scales = Some(model.scales());
        Ok(prover)
    }

    /// Commits to integer weights; sessions then take and give integers only. The maps are those of
    /// the program, in its order.
    ///
    /// # Errors
    /// If the maps do not have the shapes of the program, or a sum could leave its range.
    pub fn from_bank(params: &Params, bank: WeightBank) -> Result<Self, Error> {
        Self::from_bank_with_blinding(params, bank, BlindingSeed::random())
    }

    /// The same, with the blinds of a seed.
    ///
    /// # Errors
    /// As [`from_bank`](Self::from_bank).
    pub fn from_bank_with_blinding(
        params: &Params,
        bank: WeightBank,
        seed: BlindingSeed,
    ) -> Result<Self, Error> {
        let bank = CommittedBank::commit(bank, params.program(), seed)?;
        params.prepare_prover_for(params.kind_in_use())?;
        Ok(Self {
            params: params.clone(),
            bank: Arc::new(bank),
            scales: None,
        })
    }

    /// What the blinds of the commitment are made of. Secret material.
    ///
    /// A prover that is to be made again, to resume a session in another process, needs it.
    #[must_use]
    pub fn blinding_seed(&self) -> &BlindingSeed {
        self.bank.seed()
    }

    /// The commitment to the weights, to publish.
    #[must_use]
    pub fn model_commitment(&self) -> ModelCommitment {
        self.bank.commitment().clone()
    }

    /// The keys.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Begins a run, with an empty context.
    ///
    /// # Errors
    /// If the program has parameters.
    pub fn session(&self, visibility: Visibility) -> Result<Session, Error> {
        self.session_with_context(visibility, b"")
    }

    /// Begins a run that is bound to a context chosen by the verifier: a purpose, a nonce. A proof
    /// verifies under this context and no other.
    ///
    /// # Errors
    /// If the context is longer than 64 KiB, or the program has parameters.
    pub fn session_with_context(
        &self,
        visibility: Visibility,
        context: &[u8],
    ) -> Result<Session, Error> {
        self.session_with(visibility, context, &[])
    }

    /// The same, with the parameters of the statement, one after the other: integers that the
    /// program leaves to each run, as a threshold.
    ///
    /// # Errors
    /// As [`session_with_context`](Self::session_with_context); if there are not as many parameters
    /// as the program has, or one is over its width.
    pub fn session_with(
        &self,
        visibility: Visibility,
        context: &[u8],
        parameters: &[i64],
    ) -> Result<Session, Error> {
        if context.len() > crate::proof::MAX_CONTEXT {
            return Err(Error::usage("the context is longer than 64 KiB"));
        }
        let fixed = Fixed {
            params: self.params.clone(),
            bank: self.bank.clone(),
            visibility,
            context: context.to_vec(),
            parameters: parameters.to_vec(),
            salts: Salts::random(visibility),
            fast: false,
        };
        Session::begin(fixed, self.scales)
    }

    /// Goes on with a session from the bytes that [`Session::checkpoint`] made, in this process or
    /// another. The prover must be that of the session: the same keys, the same weights and
    /// [blinds](Self::blinding_seed). Resuming twice from one checkpoint works, and gives two runs
    /// that share their past, and, if they are recursive, **their mask**: too many proofs of them
    /// together give the weights away. See [`Session::checkpoint`].
    ///
    /// # Errors
    /// [`DecodeError`](crate::DecodeError), as an [`Error`] of kind
    /// [`Decode`](crate::ErrorKind::Decode), if the bytes are no checkpoint, of another version,
    /// changed or truncated; an error of kind [`Usage`](crate::ErrorKind::Usage) if they are of a
    /// session with other keys or another model.
    pub fn resume(&self, checkpoint: &[u8]) -> Result<Session, Error> {
        Session::resume(self, checkpoint)
    }
}
