//! Moduli of the form `2^254 + t`.

/// What multiplication modulo `p` needs, worked out by the compiler.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Modulus {
    /// The number itself, in words.
    pub(super) words: [u64; 4],
    /// The number itself, in limbs of 52 bits.
    pub(super) limbs: [u64; 5],
    /// `2p` in limbs.
    pub(super) twice: [u64; 5],
    /// `r/4` modulo `p` for `r` from 0 to 3.
    quarters: [[u64; 4]; 4],
    /// `−1/p` modulo `2^52`.
    pub(super) inverse: u64,
    /// `h·t` for `h` from −4 to 3, at position `h` modulo 8: by limb, each with the sign of `h`.
    pub(super) multiples: [[u64; 8]; 3],
    /// `2^260` modulo `p`: one.
    pub(super) one: [u64; 5],
}

pub(super) const MASK: u64 = (1 << 52) - 1;

/// Limbs of four words.
pub(super) const fn limbs(w: [u64; 4]) -> [u64; 5] {
    [
        w[0] & MASK,
        (w[0] >> 52 | w[1] << 12) & MASK,
        (w[1] >> 40 | w[2] << 24) & MASK,
        (w[2] >> 28 | w[3] << 36) & MASK,
        w[3] >> 16,
    ]
}

impl Modulus {
    /// The modulus of these words, the lowest first; it must be odd and have the form.
    pub(crate) const fn new(words: [u64; 4]) -> Self {
        assert!(words[3] == 1 << 62 && words[2] == 0 && words[1] >> 62 == 0);
        assert!(words[0] & 3 == 1);
        let t = limbs(words);
        // (p − 1)/4 is −1/4, as p is 1 modulo 4.
        let quarter_less = [
            words[0] >> 2 | words[1] << 62,
            words[1] >> 2 | words[2] << 62,
            words[2] >> 2 | words[3] << 62,
            words[3] >> 2,
        ];
        let one_quarter = sub(words, quarter_less);
        let half = sub(words, double(quarter_less));
        let three_quarters = sub(half, quarter_less);
        // Newton: every step doubles the number of right bits, from 3.
        let mut inverse = words[0];
        let mut i = 0;
        while i < 5 {
            inverse = inverse.wrapping_mul(2u64.wrapping_sub(words[0].wrapping_mul(inverse)));
            i += 1;
        }
        let inverse = inverse.wrapping_neg() & MASK;
        let mut multiples = [[0; 8]; 3];
        let mut h = -4i64;
        while h < 4 {
            let mut limb = 0;
            while limb < 3 {
                // At most 2^54 in size.
                let product = h * t[limb].cast_signed();
                multiples[limb][(h & 7) as usize] = product.cast_unsigned();
                limb += 1;
            }
            h += 1;
        }
        // 2^260 ≡ −64t; t < 2^126, so 64t < 2^132 < p.
        Self {
            words,
            limbs: limbs(words),
            twice: limbs(double(words)),
            quarters: [[0; 4], one_quarter, half, three_quarters],
            inverse,
            multiples,
            one: one(words),
        }
    }
}

impl Modulus {
    /// A number that is a quarter of `a` modulo `p`, below `5p/4`, for `a < p`. Zero for zero.
    #[inline(always)]
    pub(super) fn quarter(&self, a: [u64; 4]) -> [u64; 4] {
        // ⌊a/4⌋ < p/4, and what is left of a.
        let shifted = [
            a[0] >> 2 | a[1] << 62,
            a[1] >> 2 | a[2] << 62,
            a[2] >> 2 | a[3] << 62,
            a[3] >> 2,
        ];
        let rest = self.quarters[(a[0] & 3) as usize];
        let mut sum = [0; 4];
        let mut carry = false;
        for ((sum, a), b) in sum.iter_mut().zip(shifted).zip(rest) {
            let (partial, first) = a.overflowing_add(b);
            let (total, second) = partial.overflowing_add(u64::from(carry));
            *sum = total;
            carry = first | second;
        }
        sum
    }

    /// The residue below `p` of a number below `2^256`.
    pub(super) fn canonical(&self, mut words: [u64; 4]) -> [u64; 4] {
        while words.iter().rev().ge(self.words.iter().rev()) {
            words = sub(words, self.words);
        }
        words
    }
}

/// `2a < 2^256`.
const fn double(a: [u64; 4]) -> [u64; 4] {
    [
        a[0] << 1,
        a[1] << 1 | a[0] >> 63,
        a[2] << 1 | a[1] >> 63,
        a[3] << 1 | a[2] >> 63,
    ]
}

/// `p − 64t`.
const fn one(words: [u64; 4]) -> [u64; 5] {
    let (t0, t1) = (words[0], words[1]);
    let product = [t0 << 6, t0 >> 58 | t1 << 6, t1 >> 58, 0];
    limbs(sub(words, product))
}

/// `a − b`, which is not negative.
pub(super) const fn sub(a: [u64; 4], b: [u64; 4]) -> [u64; 4] {
    let mut out = [0; 4];
    let mut borrow = false;
    let mut i = 0;
    while i < 4 {
        let (difference, first) = a[i].overflowing_sub(b[i]);
        let (difference, second) = difference.overflowing_sub(borrow as u64);
        out[i] = difference;
        borrow = first | second;
        i += 1;
    }
    out
}
