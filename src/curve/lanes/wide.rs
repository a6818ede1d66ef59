//! Points at rest, and what unlocks the arithmetic.

use std::{marker::PhantomData, sync::OnceLock};

use super::field::{Ifma, Lanes};
use crate::curve::{base_field::BaseField, modulus::Modulus};

/// A point at rest; see the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(64))]
pub(crate) struct Packed<F> {
    pub(super) words: [u64; 8],
    field: PhantomData<F>,
}

impl<F: BaseField> Packed<F> {
    pub(crate) const IDENTITY: Self = Self::of([0; 8]);

    pub(super) const fn of(words: [u64; 8]) -> Self {
        Self {
            words,
            field: PhantomData,
        }
    }

    #[inline(always)]
    pub(super) fn is_identity(&self) -> bool {
        let [.., y0, y1, y2, y3] = self.words;
        y0 | y1 | y2 | y3 << 1 == 0
    }
}

/// The arithmetic of this module, where the processor and the field are fit for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wide<F> {
    pub(super) simd: Ifma,
    pub(super) modulus: &'static Modulus,
    field: PhantomData<F>,
}

impl<F: BaseField> Wide<F> {
    /// `None` if the processor has not the instructions, or the modulus not the form, or if the
    /// environment asks for scalar code, to measure what this saves. The results are the same.
    pub(crate) fn available() -> Option<Self> {
        static SCALAR: OnceLock<bool> = OnceLock::new();
        if *SCALAR.get_or_init(|| std::env::var("LAYERFOLD_SCALAR").is_ok_and(|v| v == "1")) {
            return None;
        }
        Some(Self {
            simd: Ifma::try_new()?,
            modulus: F::LANES?,
            field: PhantomData,
        })
    }

    /// To be called where the processor's features are enabled.
    #[inline(always)]
    pub(super) fn lanes(self) -> Lanes {
        Lanes::new(self.simd, self.modulus)
    }
}

/// The words of up to eight points; what is missing of eight is the first again.
#[inline(always)]
pub(super) fn rows<F>(points: &[Packed<F>]) -> [&[u64; 8]; 8] {
    let mut rows = [&points[0].words; 8];
    for (row, point) in rows.iter_mut().zip(points) {
        *row = &point.words;
    }
    rows
}
