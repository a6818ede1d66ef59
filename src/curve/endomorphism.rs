//! The endomorphism `φ(x, y) = (βx, y)` of curves `y² = x³ + b`, and scalars cut in two by it.
//!
//! `φ(P) = λ·P` with `β`, `λ` primitive cube roots of unity in the two fields. The pairs `(a, b)`
//! with `a + b·λ = 0` form a lattice of determinant `r`, the group order; rounding `(k, 0)` to it
//! writes any scalar as `k₁ + k₂·λ` with halves of 127 bits.

use std::sync::OnceLock;

use ff::{PrimeField, WithSmallOrderMulGroup};
use halo2curves::{
    CurveAffine, bn256, grumpkin,
    pasta::{PallasAffine, VestaAffine},
};

use super::base_field::BaseField;

/// Curves `y² = x³ + b` of odd prime order over a field with cube roots of unity.
pub(crate) trait EndoCurve: CurveAffine<Base: BaseField> {
    /// The coordinates as they are stored, `(0, 0)` for the identity. Unlike
    /// `CurveAffine::coordinates` this does not evaluate the curve equation.
    fn xy(&self) -> (Self::Base, Self::Base);

    /// `λ` and its lattice.
    fn endomorphism() -> &'static Endomorphism<Self::ScalarExt>;
}

macro_rules! endo_curve {
    ($($affine:ty),*) => {$(
        impl EndoCurve for $affine {
            fn xy(&self) -> (Self::Base, Self::Base) {
                (self.x, self.y)
            }

            fn endomorphism() -> &'static Endomorphism<Self::ScalarExt> {
                static VALUE: OnceLock<Endomorphism<<$affine as CurveAffine>::ScalarExt>> =
                    OnceLock::new();
                VALUE.get_or_init(Endomorphism::of::<$affine>)
            }
        }
    )*};
}

endo_curve!(
    PallasAffine,
    VestaAffine,
    grumpkin::G1Affine,
    bn256::G1Affine
);

/// A number of at most 128 bits with its sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) negative: bool,
    pub(crate) magnitude: u128,
}

impl Signed {
    /// `self·factor` modulo `2^128`.
    fn wrapping_mul(self, factor: u128) -> u128 {
        let product = self.magnitude.wrapping_mul(factor);
        if self.negative {
            product.wrapping_neg()
        } else {
            product
        }
    }

    /// The number of absolute value below `2^127` that is `value` modulo `2^128`.
    fn from_wrapped(value: u128) -> Self {
        let value = value.cast_signed();
        Self {
            negative: value < 0,
            magnitude: value.unsigned_abs(),
        }
    }
}

/// `λ`, and what it takes to cut scalars.
#[derive(Clone, Debug)]
pub(crate) struct Endomorphism<S> {
    lambda: S,
    modulus: U256,
    /// Two short vectors `(a, b)` with `a + b·λ = 0`.
    basis: [[Signed; 2]; 2],
    /// `±round(2^320·b₂ / r)` and `∓round(2^320·b₁ / r)`: the coefficients of `(k, 0)` over the
    /// basis, per unit of `k`.
    scaled: [(bool, U256); 2],
}

impl<S: Copy> Endomorphism<S> {
    /// The scalar `λ` with `φ(P) = λ·P`.
    pub(crate) fn lambda(&self) -> S {
        self.lambda
    }

    /// The group order.
    pub(crate) fn modulus(&self) -> &U256 {
        &self.modulus
    }
}

impl<S: PrimeField + WithSmallOrderMulGroup<3>> Endomorphism<S> {
    fn of<C: EndoCurve<ScalarExt = S>>() -> Self {
        // Which of the two cube roots goes with `β`.
        let g = C::generator();
        let zeta_g = C::from(g.to_curve() * S::ZETA);
        let lambda = if zeta_g.xy().0 == g.xy().0 * C::Base::ZETA {
            S::ZETA
        } else {
            S::ZETA.square()
        };
        let modulus = limbs(&-S::ONE).add(&U256([1, 0, 0, 0]));
        let basis = short_basis(&modulus, &limbs(&lambda));
        let [[a1, b1], [a2, b2]] = basis;
        // The determinant is `±r`; its sign is that of `a₁b₂ − a₂b₁`, whose terms do not cancel
        // to less than `r` in size, so 53 bits tell.
        let float = |s: Signed| {
            let magnitude = s.magnitude as f64;
            if s.negative { -magnitude } else { magnitude }
        };
        let flip = float(a1) * float(b2) - float(a2) * float(b1) < 0.0;
        let scaled = [
            (b2.negative ^ flip, scale(b2.magnitude, &modulus)),
            (!b1.negative ^ flip, scale(b1.magnitude, &modulus)),
        ];
        Self {
            lambda,
            modulus,
            basis,
            scaled,
        }
    }

    /// `(k₁, k₂)` with `k = k₁ + k₂·λ` and `|kᵢ| < 2^127`.
    pub(crate) fn decompose(&self, k: &U256) -> [Signed; 2] {
        let coefficient = |(negative, g): &(bool, U256)| Signed {
            negative: *negative,
            magnitude: k.mul_shift_320(g),
        };
        let [c1, c2] = [coefficient(&self.scaled[0]), coefficient(&self.scaled[1])];
        let [[a1, b1], [a2, b2]] = self.basis;
        // The halves are below 2^127 in size, so arithmetic modulo 2^128 is exact.
        let part = |c: Signed, v: Signed| {
            let product = v.wrapping_mul(c.magnitude);
            if c.negative {
                product.wrapping_neg()
            } else {
                product
            }
        };
        let k1 = k
            .low()
            .wrapping_sub(part(c1, a1))
            .wrapping_sub(part(c2, a2));
        let k2 = 0u128.wrapping_sub(part(c1, b1)).wrapping_sub(part(c2, b2));
        [Signed::from_wrapped(k1), Signed::from_wrapped(k2)]
    }
}

/// The canonical integer of a field element of at most 256 bits.
pub(crate) fn limbs<F: PrimeField>(x: &F) -> U256 {
    let repr = x.to_repr();
    let mut limbs = [0u64; 4];
    for (limb, bytes) in limbs.iter_mut().zip(repr.as_ref().chunks_exact(8)) {
        *limb = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
    }
    U256(limbs)
}

/// Two short lattice vectors that form a basis: consecutive rows of Euclid's algorithm on
/// `(r, λ)`, at the place where the larger of the sums `|a₁| + |a₂|`, `|b₁| + |b₂|` is least.
/// Half that sum bounds the halves of a scalar.
fn short_basis(modulus: &U256, lambda: &U256) -> [[Signed; 2]; 2] {
    // Rows with r_i = t_i·λ modulo r; the signs of t alternate.
    let (mut r0, mut t0) = (*modulus, U256::default());
    let (mut r1, mut t1) = (*lambda, U256([1, 0, 0, 0]));
    let mut t1_negative = false;
    let mut best: Option<(u128, [[Signed; 2]; 2])> = None;
    while r1 != U256::default() {
        if let (Some(a1), Some(b1), Some(a2), Some(b2)) =
            (r0.as_u128(), t0.as_u128(), r1.as_u128(), t1.as_u128())
            && let (Some(a), Some(b)) = (a1.checked_add(a2), b1.checked_add(b2))
        {
            let size = a.max(b);
            if best.is_none_or(|(least, _)| size < least) {
                let signed = |negative, magnitude| Signed {
                    negative,
                    magnitude,
                };
                // (a, b) = (r_i, −t_i)
                let basis = [
                    [signed(false, a1), signed(t1_negative, b1)],
                    [signed(false, a2), signed(!t1_negative, b2)],
                ];
                best = Some((size, basis));
            }
        }
        // (r0, t0) −= q·(r1, t1), the magnitudes of t adding up.
        for shift in (0..=r0.bits().saturating_sub(r1.bits())).rev() {
            let r = r1.shl(shift);
            if r <= r0 {
                r0 = r0.sub(&r);
                t0 = t0.add(&t1.shl(shift));
            }
        }
        (r0, r1, t0, t1) = (r1, r0, t1, t0);
        t1_negative = !t1_negative;
    }
    best.map_or_else(Default::default, |(_, basis)| basis)
}

/// `round(2^320·b / r)`.
fn scale(b: u128, modulus: &U256) -> U256 {
    // b < r, then 320 more bits by long division; r has at most 255 bits, so nothing is lost.
    let mut remainder = U256([b as u64, (b >> 64) as u64, 0, 0]);
    let mut quotient = U256::default();
    for _ in 0..320 {
        remainder = remainder.shl(1);
        quotient = quotient.shl(1);
        if *modulus <= remainder {
            remainder = remainder.sub(modulus);
            quotient = quotient.add(&U256([1, 0, 0, 0]));
        }
    }
    if *modulus <= remainder.shl(1) {
        quotient = quotient.add(&U256([1, 0, 0, 0]));
    }
    quotient
}

/// An unsigned integer of four limbs, little-endian; arithmetic wraps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct U256(pub(crate) [u64; 4]);

impl PartialOrd for U256 {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for U256 {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }
}

impl U256 {
    pub(crate) fn bits(&self) -> u32 {
        let top = self.0.iter().rposition(|limb| *limb != 0);
        top.map_or(0, |i| 64 * (i as u32 + 1) - self.0[i].leading_zeros())
    }

    /// The low 128 bits.
    pub(crate) fn low(&self) -> u128 {
        u128::from(self.0[0]) | u128::from(self.0[1]) << 64
    }

    fn as_u128(&self) -> Option<u128> {
        (self.bits() <= 128).then(|| self.low())
    }

    fn add(&self, other: &Self) -> Self {
        let mut out = *self;
        let mut carry = false;
        for (x, y) in out.0.iter_mut().zip(other.0) {
            let (s, c1) = x.overflowing_add(y);
            let (s, c2) = s.overflowing_add(carry.into());
            *x = s;
            carry = c1 | c2;
        }
        out
    }

    pub(crate) fn sub(&self, other: &Self) -> Self {
        let mut out = *self;
        let mut borrow = false;
        for (x, y) in out.0.iter_mut().zip(other.0) {
            let (s, b1) = x.overflowing_sub(y);
            let (s, b2) = s.overflowing_sub(borrow.into());
            *x = s;
            borrow = b1 | b2;
        }
        out
    }

    fn shl(&self, shift: u32) -> Self {
        let (words, bits) = ((shift / 64) as usize, shift % 64);
        let limb = |i: usize| i.checked_sub(words).map_or(0, |i| self.0[i]);
        let out = std::array::from_fn(|i| {
            let carried = match (bits, i) {
                (0, _) | (_, 0) => 0,
                _ => limb(i - 1) >> (64 - bits),
            };
            limb(i) << bits | carried
        });
        Self(out)
    }

    /// `round(self·other / 2^320)` modulo `2^128`.
    fn mul_shift_320(&self, other: &Self) -> u128 {
        let mut product = [0u64; 8];
        for (i, x) in self.0.iter().enumerate() {
            let mut carry = 0;
            for (j, y) in other.0.iter().enumerate() {
                let t = u128::from(*x) * u128::from(*y)
                    + u128::from(product[i + j])
                    + u128::from(carry);
                product[i + j] = t as u64;
                carry = (t >> 64) as u64;
            }
            product[i + 4] = carry;
        }
        let high = u128::from(product[5]) | u128::from(product[6]) << 64;
        high.wrapping_add(u128::from(product[4] >> 63))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use halo2curves::group::ff::Field as _;
    use rand_core::OsRng;

    use super::*;

    fn of_curve<C: EndoCurve>() {
        let endo = C::endomorphism();
        let lambda = endo.lambda();
        assert_eq!(
            lambda.square() + lambda + C::ScalarExt::ONE,
            C::ScalarExt::ZERO
        );
        let g = C::generator();
        let (x, y) = g.xy();
        assert_eq!(
            C::from_xy(x * C::Base::ZETA, y).unwrap(),
            C::from(g.to_curve() * lambda)
        );
        for [a, b] in endo.basis {
            assert_eq!(value::<C>(a) + value::<C>(b) * lambda, C::ScalarExt::ZERO);
            assert_ne!(a.magnitude, 0);
        }
        let edges = [
            C::ScalarExt::ZERO,
            C::ScalarExt::ONE,
            -C::ScalarExt::ONE,
            lambda,
            -lambda,
            C::ScalarExt::TWO_INV,
        ];
        let random = (0..2000).map(|_| C::ScalarExt::random(OsRng));
        for k in edges.into_iter().chain(random) {
            let [k1, k2] = endo.decompose(&limbs(&k));
            assert_eq!(value::<C>(k1) + value::<C>(k2) * lambda, k);
            assert!(k1.magnitude >> 127 == 0 && k2.magnitude >> 127 == 0);
        }
    }

    fn value<C: EndoCurve>(s: Signed) -> C::ScalarExt {
        let magnitude = C::ScalarExt::from_u128(s.magnitude);
        if s.negative { -magnitude } else { magnitude }
    }

    #[test]
    fn halves_add_up_and_are_short() {
        of_curve::<PallasAffine>();
        of_curve::<VestaAffine>();
        of_curve::<grumpkin::G1Affine>();
        of_curve::<bn256::G1Affine>();
    }
}
