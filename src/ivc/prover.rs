//! A model, committed under a program.

use std::{fmt, sync::Arc};

use super::{Params, Session, Visibility};
use crate::{
    error::Error,
    quant::{QuantizedModel, Scales},
    weights::{CommittedBank, ModelCommitment, WeightBank},
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
    pub fn new(params: &Params, model: &QuantizedModel) -> Result<Self, Error> {
        let mut prover = Self::from_bank(params, model.bank().clone())?;
        prover.scales = Some(model.end_scales());
        Ok(prover)
    }

    /// Commits to integer weights; sessions then take and give integers only.
    ///
    /// # Errors
    /// If the maps have not the shapes of the program, or a sum could leave its accumulator.
    pub fn from_bank(params: &Params, bank: WeightBank) -> Result<Self, Error> {
        let bank = CommittedBank::commit(bank, params.program(), None)?;
        Ok(Self {
            params: params.clone(),
            bank: Arc::new(bank),
            scales: None,
        })
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
    /// None at present; the signature leaves room.
    pub fn session(&self, visibility: Visibility) -> Result<Session, Error> {
        self.session_with_context(visibility, b"")
    }

    /// Begins a run that is bound to a context chosen by the verifier: a purpose, a nonce. A proof
    /// verifies under this context and no other.
    ///
    /// # Errors
    /// If the context is longer than 64 KiB.
    pub fn session_with_context(
        &self,
        visibility: Visibility,
        context: &[u8],
    ) -> Result<Session, Error> {
        if context.len() > crate::proof::MAX_CONTEXT {
            return Err(Error::usage("the context is longer than 64 KiB"));
        }
        Ok(Session::begin(
            self.params.clone(),
            self.bank.clone(),
            self.scales,
            visibility,
            context.to_vec(),
        ))
    }
}
