//! Fields that coordinates of points are in.

use ff::{PrimeField, WithSmallOrderMulGroup};
use halo2curves::{bn256, pasta, serde::SerdeObject};

#[cfg(target_arch = "x86_64")]
use super::modulus::Modulus;

/// Fields of coordinates.
pub(crate) trait BaseField: PrimeField + WithSmallOrderMulGroup<3> + SerdeObject {
    /// What arithmetic in vectors needs, for moduli that are fit for it.
    #[cfg(target_arch = "x86_64")]
    const LANES: Option<&'static Modulus>;

    /// The element as it is stored: `x·2^256` modulo `p`, below `p`.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn words(&self) -> [u64; 4] {
        let mut bytes = [0; 32];
        let (chunks, _) = bytes.as_chunks_mut::<8>();
        let mut to = chunks.as_flattened_mut();
        // Elements are 32 bytes long, and there is no other way to fail.
        let _ = self.write_raw(&mut to);
        let (words, _) = bytes.as_chunks::<8>();
        std::array::from_fn(|i| u64::from_le_bytes(words[i]))
    }

    /// The element of these words; zero if they are not below `p`.
    #[cfg(target_arch = "x86_64")]
    fn from_words(words: [u64; 4]) -> Self {
        let bytes = words.map(u64::to_le_bytes);
        Self::read_raw(&mut bytes.as_flattened()).unwrap_or(Self::ZERO)
    }
}

macro_rules! base_field {
    ($($field:ty: $modulus:expr),*) => {$(
        impl BaseField for $field {
            #[cfg(target_arch = "x86_64")]
            const LANES: Option<&'static Modulus> = $modulus;
        }
    )*};
}

base_field!(
    pasta::Fp: Some(&Modulus::new([0x992d_30ed_0000_0001, 0x2246_98fc_094c_f91b, 0, 1 << 62])),
    pasta::Fq: Some(&Modulus::new([0x8c46_eb21_0000_0001, 0x2246_98fc_0994_a8dd, 0, 1 << 62])),
    bn256::Fq: None,
    bn256::Fr: None
);
