//! The curve cycle and its commitments.
//!
//! Everything else of the crate names the proof system through the aliases of this module, so the
//! cycle is chosen in one place. The default, and so far the only one, is Pallas/Vesta: no
//! pairing, no trusted setup; every generator is hashed to the curve from a public label.

mod commitment;
pub(crate) mod generators;

use halo2curves::pasta::{Fp, Fq, Pallas, Vesta};
use nova_snark::{
    provider::{
        keccak::Keccak256Transcript,
        poseidon::{PoseidonRO, PoseidonROCircuit},
    },
    traits::Engine,
};
use serde::{Deserialize, Serialize};

pub(crate) use commitment::{Commitment, CommitmentKey, Pedersen};

mod sealed {
    pub trait Sealed {}
}

/// A cycle of curves that proofs are made over.
///
/// The trait is sealed: a backend fixes formats and security, so new ones come with the library.
pub trait Backend: sealed::Sealed + Clone + Copy + Send + Sync + 'static {
    /// The number that names the backend in the header of proofs.
    const ID: u8;
    /// Name for people.
    const NAME: &'static str;
    #[doc(hidden)]
    type Primary: Engine<Base = <Self::Secondary as Engine>::Scalar>;
    #[doc(hidden)]
    type Secondary: Engine<Base = <Self::Primary as Engine>::Scalar>;
}

/// Pallas and Vesta, with Pedersen commitments and inner-product openings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PallasVesta;

impl sealed::Sealed for PallasVesta {}

impl Backend for PallasVesta {
    const ID: u8 = 1;
    const NAME: &'static str = "pallas-vesta";
    type Primary = PallasEngine;
    type Secondary = VestaEngine;
}

/// The backend that the crate is built with.
pub(crate) type DefaultBackend = PallasVesta;

/// Engine of the primary curve, Pallas, with this crate's commitments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PallasEngine;

/// Engine of the secondary curve, Vesta, with this crate's commitments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VestaEngine;

impl Engine for PallasEngine {
    type Base = Fp;
    type Scalar = Fq;
    type GE = Pallas;
    type RO = PoseidonRO<Fp>;
    type ROCircuit = PoseidonROCircuit<Fp>;
    type RO2 = PoseidonRO<Fq>;
    type RO2Circuit = PoseidonROCircuit<Fq>;
    type TE = Keccak256Transcript<Self>;
    type CE = Pedersen<Self>;
}

impl Engine for VestaEngine {
    type Base = Fq;
    type Scalar = Fp;
    type GE = Vesta;
    type RO = PoseidonRO<Fq>;
    type ROCircuit = PoseidonROCircuit<Fq>;
    type RO2 = PoseidonRO<Fp>;
    type RO2Circuit = PoseidonROCircuit<Fp>;
    type TE = Keccak256Transcript<Self>;
    type CE = Pedersen<Self>;
}

/// Engine of the primary curve.
pub(crate) type E1 = <DefaultBackend as Backend>::Primary;
/// Engine of the secondary curve.
pub(crate) type E2 = <DefaultBackend as Backend>::Secondary;
/// The field that programs are proved over: the scalars of the primary curve.
pub(crate) type F = <E1 as Engine>::Scalar;
/// The group of the commitments to weights.
pub(crate) type Group = <E1 as Engine>::GE;
