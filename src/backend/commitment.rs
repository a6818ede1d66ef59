//! Pedersen commitments over generators that are named by their label.
//!
//! The same points, the same transcript and the same encoding as nova's own
//! `provider::pedersen`. What differs is where generators come from: a key is a label and a
//! length, its points are shared by all keys of the label and cached on disk.

use std::{
    fmt,
    marker::PhantomData,
    ops::{Add, Mul, MulAssign, Range},
    sync::Arc,
};

use ff::Field;
use nova_snark::{
    errors::NovaError,
    gadgets::utils::to_bignat_repr,
    provider::{
        ptau::PtauFileError,
        traits::{DlogGroup, DlogGroupExt},
    },
    traits::{
        AbsorbInRO2Trait, AbsorbInROTrait, Engine, ROTrait, TranscriptReprTrait,
        commitment::{CommitmentEngineTrait, CommitmentTrait, Len},
    },
};
use num_integer::Integer;
use num_traits::ToPrimitive;
use rayon::prelude::*;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::generators::{self, Affine};
use crate::curve::{endomorphism::EndoCurve, msm::msm};

/// The commitment engine; see the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pedersen<E> {
    engine: PhantomData<E>,
}

/// Generators: `G_0..G_{n-1}` and the blinding generator `H`.
///
/// The first point of the label is `H`, as in nova. Encoded as label and length: the points follow
/// from them, so a key that is read never brings points of its own.
#[derive(Clone)]
pub struct CommitmentKey<E: Engine>
where
    E::GE: DlogGroup,
{
    /// `None` for keys derived inside an argument, which are never stored.
    label: Option<&'static [u8]>,
    /// `H`, then at least `len` generators.
    points: Arc<Vec<Affine<E>>>,
    len: usize,
}

impl<E: Engine> CommitmentKey<E>
where
    E::GE: DlogGroup,
{
    /// The key of `n` generators of a label.
    pub(crate) fn of_label(label: &'static [u8], n: usize) -> Self {
        Self {
            label: Some(label),
            points: generators::get::<E>(label, n + 1),
            len: n,
        }
    }

    fn derived(h: Affine<E>, generators: impl IntoIterator<Item = Affine<E>>) -> Self {
        let points: Vec<_> = std::iter::once(h).chain(generators).collect();
        Self {
            label: None,
            len: points.len() - 1,
            points: Arc::new(points),
        }
    }

    /// `G_0..G_{n-1}`.
    pub(crate) fn generators(&self) -> &[Affine<E>] {
        &self.points[1..=self.len]
    }

    /// `H`.
    pub(crate) fn blinding_generator(&self) -> &Affine<E> {
        &self.points[0]
    }
}

impl<E: Engine> fmt::Debug for CommitmentKey<E>
where
    E::GE: DlogGroup,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommitmentKey({} generators)", self.len)
    }
}

impl<E: Engine> Len for CommitmentKey<E>
where
    E::GE: DlogGroup,
{
    fn length(&self) -> usize {
        self.len
    }
}

impl<E: Engine> Serialize for CommitmentKey<E>
where
    E::GE: DlogGroup,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let label = self
            .label
            .ok_or_else(|| ser::Error::custom("a derived key has no encoding"))?;
        (label, self.len as u64).serialize(serializer)
    }
}

impl<'de, E: Engine> Deserialize<'de> for CommitmentKey<E>
where
    E::GE: DlogGroup,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (label, len) = <(Vec<u8>, u64)>::deserialize(deserializer)?;
        let label = generators::known_label(&label)
            .ok_or_else(|| de::Error::custom("unknown generator label"))?;
        if len > 1 << generators::MAX_LOG {
            return Err(de::Error::custom("too many generators"));
        }
        Ok(Self::of_label(label, len as usize))
    }
}

/// The blinding generator alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct DerandKey<E: Engine>
where
    E::GE: DlogGroup,
{
    h: Affine<E>,
}

/// A commitment: one group element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Commitment<E: Engine>
where
    E::GE: DlogGroup,
{
    pub(crate) comm: E::GE,
}

impl<E: Engine> Default for Commitment<E>
where
    E::GE: DlogGroup,
{
    fn default() -> Self {
        Self {
            comm: E::GE::zero(),
        }
    }
}

impl<E: Engine> CommitmentTrait<E> for Commitment<E>
where
    E::GE: DlogGroup,
{
    fn to_coordinates(&self) -> (E::Base, E::Base, bool) {
        self.comm.to_coordinates()
    }
}

impl<E: Engine> TranscriptReprTrait<E::GE> for Commitment<E>
where
    E::GE: DlogGroup,
{
    fn to_transcript_bytes(&self) -> Vec<u8> {
        let (x, y, is_infinity) = self.comm.to_coordinates();
        let mut bytes = x.to_transcript_bytes();
        bytes.extend(y.to_transcript_bytes());
        bytes.push(is_infinity.into());
        bytes
    }
}

impl<E: Engine> AbsorbInROTrait<E> for Commitment<E>
where
    E::GE: DlogGroup,
{
    fn absorb_in_ro(&self, ro: &mut E::RO) {
        let (x, y, is_infinity) = self.comm.to_coordinates();
        ro.absorb(x);
        ro.absorb(y);
        ro.absorb(E::Base::from(u64::from(is_infinity)));
    }
}

impl<E: Engine> AbsorbInRO2Trait<E> for Commitment<E>
where
    E::GE: DlogGroup,
{
    fn absorb_in_ro2(&self, ro: &mut E::RO2) {
        let (x, y, is_infinity) = self.comm.to_coordinates();
        for limb in to_bignat_repr(&x).into_iter().chain(to_bignat_repr(&y)) {
            ro.absorb(limb);
        }
        ro.absorb(E::Scalar::from(u64::from(is_infinity)));
    }
}

impl<E: Engine> Add for Commitment<E>
where
    E::GE: DlogGroup,
{
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            comm: self.comm + other.comm,
        }
    }
}

impl<E: Engine> Mul<E::Scalar> for Commitment<E>
where
    E::GE: DlogGroup,
{
    type Output = Self;

    fn mul(self, scalar: E::Scalar) -> Self {
        Self {
            comm: self.comm * scalar,
        }
    }
}

impl<E: Engine> MulAssign<E::Scalar> for Commitment<E>
where
    E::GE: DlogGroup,
{
    fn mul_assign(&mut self, scalar: E::Scalar) {
        self.comm *= scalar;
    }
}

impl<E: Engine> Pedersen<E>
where
    E::GE: DlogGroup,
{
    fn blind(ck: &CommitmentKey<E>, comm: E::GE, r: &E::Scalar) -> Commitment<E> {
        let comm = if bool::from(r.is_zero()) {
            comm
        } else {
            comm + E::GE::group(ck.blinding_generator()) * r
        };
        Commitment { comm }
    }
}

impl<E: Engine> CommitmentEngineTrait<E> for Pedersen<E>
where
    E::GE: DlogGroupExt,
    Affine<E>: EndoCurve<Base = E::Base, ScalarExt = E::Scalar>,
{
    type CommitmentKey = CommitmentKey<E>;
    type DerandKey = DerandKey<E>;
    type Commitment = Commitment<E>;

    /// Generators follow from the label; the reader is not used.
    fn load_setup(
        _reader: &mut (impl std::io::Read + std::io::Seek),
        label: &'static [u8],
        n: usize,
    ) -> Result<Self::CommitmentKey, PtauFileError> {
        Ok(CommitmentKey::of_label(label, n.next_power_of_two()))
    }

    fn save_setup(
        ck: &Self::CommitmentKey,
        writer: &mut (impl std::io::Write + std::io::Seek),
    ) -> Result<(), PtauFileError> {
        let bytes = postcard::to_stdvec(ck)
            .map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidData, e))?;
        Ok(writer.write_all(&bytes)?)
    }

    fn setup(label: &'static [u8], n: usize) -> Result<Self::CommitmentKey, NovaError> {
        Ok(CommitmentKey::of_label(label, n.next_power_of_two()))
    }

    fn derand_key(ck: &Self::CommitmentKey) -> Self::DerandKey {
        DerandKey {
            h: *ck.blinding_generator(),
        }
    }

    fn commit(ck: &Self::CommitmentKey, v: &[E::Scalar], r: &E::Scalar) -> Self::Commitment {
        let comm = msm::<Affine<E>>(v, &ck.generators()[..v.len()]);
        Self::blind(ck, E::GE::group(&comm.into()), r)
    }

    fn commit_sparse_binary(
        ck: &Self::CommitmentKey,
        non_zero_indices: &[usize],
        r: &E::Scalar,
    ) -> Self::Commitment {
        let ones = vec![E::Scalar::ONE; non_zero_indices.len()];
        Self::commit_sparse(ck, non_zero_indices, &ones, r)
    }

    fn commit_sparse(
        ck: &Self::CommitmentKey,
        indices: &[usize],
        scalars: &[E::Scalar],
        r: &E::Scalar,
    ) -> Self::Commitment {
        let bases: Vec<_> = indices.iter().map(|i| ck.generators()[*i]).collect();
        let comm = msm::<Affine<E>>(scalars, &bases);
        Self::blind(ck, E::GE::group(&comm.into()), r)
    }

    fn commit_small<T: Integer + Into<u64> + Copy + Sync + ToPrimitive>(
        ck: &Self::CommitmentKey,
        v: &[T],
        r: &E::Scalar,
    ) -> Self::Commitment {
        Self::commit_small_range(ck, v, r, 0..v.len(), 64)
    }

    fn commit_small_range<T: Integer + Into<u64> + Copy + Sync + ToPrimitive>(
        ck: &Self::CommitmentKey,
        v: &[T],
        r: &E::Scalar,
        range: Range<usize>,
        max_num_bits: usize,
    ) -> Self::Commitment {
        let comm = E::GE::vartime_multiscalar_mul_small_with_max_num_bits(
            &v[range.clone()],
            &ck.generators()[range],
            max_num_bits,
        );
        Self::blind(ck, comm, r)
    }

    fn derandomize(
        dk: &Self::DerandKey,
        commit: &Self::Commitment,
        r: &E::Scalar,
    ) -> Self::Commitment {
        Commitment {
            comm: commit.comm - E::GE::group(&dk.h) * r,
        }
    }

    fn ck_to_coordinates(ck: &Self::CommitmentKey) -> Vec<(E::Base, E::Base)> {
        ck.generators()
            .par_iter()
            .map(|g| {
                let (x, y, _) = E::GE::group(g).to_coordinates();
                (x, y)
            })
            .collect()
    }

    fn ck_to_group_elements(ck: &Self::CommitmentKey) -> Vec<E::GE> {
        ck.generators().iter().map(E::GE::group).collect()
    }

    fn ck_derive_by_address(
        ck: &Self::CommitmentKey,
        addresses: &[usize],
        table_size: usize,
    ) -> Result<Self::CommitmentKey, NovaError> {
        if addresses.len() > ck.len {
            return Err(NovaError::InvalidCommitmentKeyLength);
        }
        let mut sums = vec![E::GE::zero(); table_size];
        for (g, address) in ck.generators().iter().zip(addresses) {
            *sums.get_mut(*address).ok_or(NovaError::InvalidIndex)? += E::GE::group(g);
        }
        Ok(CommitmentKey::derived(
            *ck.blinding_generator(),
            sums.iter().map(DlogGroup::affine),
        ))
    }
}
