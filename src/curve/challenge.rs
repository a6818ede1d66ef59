//! Challenges that points are multiplied with, and their digits.

use super::endomorphism::EndoCurve;

/// The two halves of a challenge `a + b·λ`, not both zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(super) a: u64,
    pub(super) b: u64,
}

impl Challenge {
    /// The challenge of these 128 bits, `a` being the low half; `None` if they are all zero.
    pub(crate) fn new(bits: u128) -> Option<Self> {
        let (a, b) = (bits as u64, (bits >> 64) as u64);
        (bits != 0).then_some(Self { a, b })
    }

    /// `a + b·λ`. Never zero, and different for different challenges: the norm of a difference
    /// is below `3·2^128`, and not divisible by the group order.
    pub(crate) fn scalar<C: EndoCurve>(&self) -> C::ScalarExt {
        C::ScalarExt::from(self.a) + C::endomorphism().lambda() * C::ScalarExt::from(self.b)
    }
}

/// `±λ^power·(1 − λ)^ramified`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digit {
    pub(super) negative: bool,
    pub(super) power: usize,
    pub(super) ramified: usize,
}

impl Digit {
    pub(super) const ALL: [Self; 12] = {
        let mut all = [Self {
            negative: false,
            power: 0,
            ramified: 0,
        }; 12];
        let mut i = 0;
        while i < 12 {
            all[i] = Self {
                negative: i % 2 == 1,
                power: i / 2 % 3,
                ramified: i / 6,
            };
            i += 1;
        }
        all
    };

    /// The coordinates over `1, λ`, with `λ² = −1 − λ`.
    pub(super) fn value(self) -> (i128, i128) {
        let (mut a, mut b) = if self.ramified == 1 { (1, -1) } else { (1, 0) };
        for _ in 0..self.power {
            (a, b) = (-b, a - b);
        }
        if self.negative { (-a, -b) } else { (a, b) }
    }
}

/// The digits of a challenge in base 2, the lowest first; of two neighbours one is `None`.
pub(super) fn recode(challenge: Challenge) -> Vec<Option<Digit>> {
    let (mut a, mut b) = (i128::from(challenge.a), i128::from(challenge.b));
    let mut digits = Vec::with_capacity(68);
    while (a, b) != (0, 0) {
        let digit = if a & 1 == 0 && b & 1 == 0 {
            None
        } else {
            // One of the digits is congruent modulo 4.
            Digit::ALL.into_iter().find(|digit| {
                let (x, y) = digit.value();
                (a - x) & 3 == 0 && (b - y) & 3 == 0
            })
        };
        if let Some(digit) = digit {
            let (x, y) = digit.value();
            (a, b) = (a - x, b - y);
        }
        digits.push(digit);
        (a, b) = (a / 2, b / 2);
    }
    digits
}
