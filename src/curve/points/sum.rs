//! One point, added to.

use ff::Field;

use super::Point;

/// A point in coordinates that need no inversion: `x/zz`, `y/zzz`, with `zz³ = zzz²`; the
/// identity has `zz = 0`.
///
/// <https://www.hyperelliptic.org/EFD/g1p/auto-shortw-xyzz.html>
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sum<F> {
    x: F,
    y: F,
    zz: F,
    zzz: F,
}

impl<F: Field> Sum<F> {
    pub(crate) const IDENTITY: Self = Self {
        x: F::ONE,
        y: F::ONE,
        zz: F::ZERO,
        zzz: F::ZERO,
    };

    pub(crate) fn is_identity(&self) -> bool {
        self.zz == F::ZERO
    }

    pub(crate) fn of(p: &Point<F>) -> Self {
        if p.is_identity() {
            return Self::IDENTITY;
        }
        Self {
            x: p.x,
            y: p.y,
            zz: F::ONE,
            zzz: F::ONE,
        }
    }

    pub(crate) fn double(&self) -> Self {
        // The identity stays what it is, as zz and zzz stay zero.
        let u = self.y.double();
        let v = u.square();
        let w = u * v;
        let s = self.x * v;
        let square = self.x.square();
        let m = square.double() + square;
        let x = m.square() - s.double();
        Self {
            x,
            y: m * (s - x) - w * self.y,
            zz: v * self.zz,
            zzz: w * self.zzz,
        }
    }

    pub(crate) fn add(&self, other: &Self) -> Self {
        if other.is_identity() {
            return *self;
        }
        if self.is_identity() {
            return *other;
        }
        let (u1, u2) = (self.x * other.zz, other.x * self.zz);
        let (s1, s2) = (self.y * other.zzz, other.y * self.zzz);
        if u1 == u2 {
            return if s1 == s2 {
                self.double()
            } else {
                Self::IDENTITY
            };
        }
        let (p, r) = (u2 - u1, s2 - s1);
        let pp = p.square();
        let ppp = p * pp;
        let q = u1 * pp;
        let x = r.square() - ppp - q.double();
        Self {
            x,
            y: r * (q - x) - s1 * ppp,
            zz: self.zz * other.zz * pp,
            zzz: self.zzz * other.zzz * ppp,
        }
    }

    pub(crate) fn add_point(&self, other: &Point<F>) -> Self {
        if other.is_identity() {
            return *self;
        }
        if self.is_identity() {
            return Self::of(other);
        }
        let (u2, s2) = (other.x * self.zz, other.y * self.zzz);
        if self.x == u2 {
            return if self.y == s2 {
                self.double()
            } else {
                Self::IDENTITY
            };
        }
        let (p, r) = (u2 - self.x, s2 - self.y);
        let pp = p.square();
        let ppp = p * pp;
        let q = self.x * pp;
        let x = r.square() - ppp - q.double();
        Self {
            x,
            y: r * (q - x) - self.y * ppp,
            zz: self.zz * pp,
            zzz: self.zzz * ppp,
        }
    }

    pub(crate) fn affine(&self) -> Point<F> {
        // (zz/zzz)² = 1/zz
        let Some(inverse) = Option::<F>::from(self.zzz.invert()) else {
            return Point::IDENTITY;
        };
        let z_inverse = inverse * self.zz;
        Point {
            x: self.x * z_inverse.square(),
            y: self.y * inverse,
        }
    }
}
