//! Challenges.

use halo2curves::{group::GroupEncoding, pasta::PallasAffine};
use nova_snark::traits::PrimeFieldExt;
use sha3::{
    Shake256,
    digest::{ExtendableOutput, Update, XofReader},
};

use crate::{backend::F, curve::challenge::Challenge, weights::element_bytes};

/// SHAKE256 of everything said so far, every part with its name and the length of both.
#[derive(Clone)]
pub(crate) struct Transcript(Shake256);

impl Transcript {
    pub(crate) fn new(protocol: &[u8]) -> Self {
        let mut transcript = Self(Shake256::default());
        transcript.absorb("protocol", protocol);
        transcript
    }

    pub(crate) fn absorb(&mut self, name: &str, bytes: &[u8]) {
        for part in [name.as_bytes(), bytes] {
            self.0.update(&(part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
    }

    /// Points, as one part.
    pub(crate) fn absorb_points(&mut self, name: &str, points: &[PallasAffine]) {
        let mut bytes = Vec::with_capacity(32 * points.len());
        for point in points {
            bytes.extend_from_slice(point.to_bytes().as_ref());
        }
        self.absorb(name, &bytes);
    }

    /// Elements that are shown, as one part.
    pub(crate) fn absorb_elements(&mut self, elements: &[F]) {
        let bytes: Vec<u8> = elements.iter().flat_map(element_bytes).collect();
        self.absorb("shown", &bytes);
    }

    fn squeeze(&mut self, name: &str) -> [u8; 64] {
        self.absorb("challenge", name.as_bytes());
        let mut wide = [0; 64];
        self.0.clone().finalize_xof().read(&mut wide);
        wide
    }

    /// 64 bytes as an integer modulo the field's size.
    pub(crate) fn challenge(&mut self, name: &str) -> F {
        F::from_uniform(&self.squeeze(name))
    }

    pub(crate) fn point(&mut self, name: &str, bits: usize) -> Vec<F> {
        (0..bits).map(|_| self.challenge(name)).collect()
    }

    /// The first 16 of the bytes, as the challenge of a fold of generators; `None` if they are zero.
    pub(crate) fn short_challenge(&mut self, name: &str) -> Option<Challenge> {
        let wide = self.squeeze(name);
        let (low, _) = wide.split_first_chunk()?;
        Challenge::new(u128::from_le_bytes(*low))
    }
}
