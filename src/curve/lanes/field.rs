//! Eight elements of a field side by side.
//!
//! An element is five limbs of 52 bits, `x·2^260` for `x` (Montgomery's form), and not reduced: the
//! comments give bounds as multiples of the modulus `p`. Limbs that multiplication is to read must
//! be below `2^52`, as the instructions see no more of them; *loose* limbs are signed and below
//! `2^60` in size.

use std::arch::x86_64::__m512i;

use pulp::bytemuck::Zeroable;

use crate::curve::modulus::Modulus;

/// In the last word of a point: it is the opposite of what the other bits say.
pub(super) const SIGN: u64 = 1 << 63;

pulp::simd_type! {
    /// Proof that the processor has 52-bit multiplication in vectors of 512 bits.
    pub(crate) struct Ifma {
        base: "avx512f",
        length: "avx512vl",
        double: "avx512dq",
        multiply: "avx512ifma",
    }
}

/// Eight words.
pub(super) type Vector = __m512i;

/// Limbs below `2^52`, of eight elements.
pub(super) type Element = [Vector; 5];

/// Limbs that are signed and below `2^60` in size.
#[derive(Clone, Copy)]
pub(super) struct Loose([Vector; 5]);

/// Points, eight side by side.
#[derive(Clone, Copy)]
pub(super) struct Points {
    pub(super) x: Element,
    pub(super) y: Element,
}

/// Which of eight points are to be taken with the opposite sign.
#[derive(Clone, Copy)]
pub(super) struct Signs(u8);

/// Arithmetic modulo `p = 2^254 + t`, `0 < t < 2^126`.
#[derive(Clone, Copy)]
pub(super) struct Lanes {
    simd: Ifma,
    /// `2^52 − 1`.
    mask: Vector,
    /// The modulus; limb 3 is zero and left out.
    p: [Vector; 4],
    /// `−1/p` modulo `2^52`.
    inverse: Vector,
    /// `2p`.
    two_p: [Vector; 5],
    /// Limb by limb `h·t`, at the position of the signed `h` modulo 8.
    multiples: [Vector; 3],
}

/// What `f` gives for each; unlike `array::map` it is sure to be inlined.
#[inline(always)]
fn each<const N: usize, T, U: Copy + Zeroable>(of: &[T; N], f: impl Fn(&T) -> U) -> [U; N] {
    let mut all = [U::zeroed(); N];
    for i in 0..N {
        all[i] = f(&of[i]);
    }
    all
}

impl Ifma {
    /// The word in all lanes.
    #[inline(always)]
    fn all(self, word: u64) -> Vector {
        self.base._mm512_set1_epi64(word.cast_signed())
    }

    #[inline(always)]
    fn all_limbs(self, [l0, l1, l2, l3, l4]: &[u64; 5]) -> Element {
        [
            self.all(*l0),
            self.all(*l1),
            self.all(*l2),
            self.all(*l3),
            self.all(*l4),
        ]
    }
}

/// In units of `2^208`: more than what loose limbs below the highest come to.
const MARGIN: u64 = 1 << 9;

impl Lanes {
    #[inline(always)]
    pub(super) fn new(simd: Ifma, modulus: &Modulus) -> Self {
        let [p0, p1, p2, _, p4] = modulus.limbs;
        Self {
            simd,
            mask: simd.all((1 << 52) - 1),
            p: [simd.all(p0), simd.all(p1), simd.all(p2), simd.all(p4)],
            inverse: simd.all(modulus.inverse),
            two_p: simd.all_limbs(&modulus.twice),
            multiples: each(
                &modulus.multiples,
                #[inline(always)]
                |limbs| pulp::cast(*limbs),
            ),
        }
    }

    /// The same element in all lanes.
    #[inline(always)]
    pub(super) fn all(&self, limbs: &[u64; 5]) -> Element {
        self.simd.all_limbs(limbs)
    }

    #[inline(always)]
    fn zero(&self) -> Vector {
        self.simd.base._mm512_setzero_si512()
    }

    #[inline(always)]
    fn add(&self, a: Vector, b: Vector) -> Vector {
        self.simd.base._mm512_add_epi64(a, b)
    }

    #[inline(always)]
    fn sub(&self, a: Vector, b: Vector) -> Vector {
        self.simd.base._mm512_sub_epi64(a, b)
    }

    #[inline(always)]
    fn and(&self, a: Vector, b: Vector) -> Vector {
        self.simd.base._mm512_and_si512(a, b)
    }

    #[inline(always)]
    fn or(&self, a: Vector, b: Vector) -> Vector {
        self.simd.base._mm512_or_si512(a, b)
    }

    #[inline(always)]
    fn shl<const BITS: u32>(&self, a: Vector) -> Vector {
        self.simd.base._mm512_slli_epi64::<BITS>(a)
    }

    #[inline(always)]
    fn shr<const BITS: u32>(&self, a: Vector) -> Vector {
        self.simd.base._mm512_srli_epi64::<BITS>(a)
    }

    /// `c + (ab mod 2^52)`.
    #[inline(always)]
    fn low(&self, c: Vector, a: Vector, b: Vector) -> Vector {
        self.simd.multiply._mm512_madd52lo_epu64(c, a, b)
    }

    /// `c + ⌊ab / 2^52⌋`.
    #[inline(always)]
    fn high(&self, c: Vector, a: Vector, b: Vector) -> Vector {
        self.simd.multiply._mm512_madd52hi_epu64(c, a, b)
    }

    /// `(t + m·p)/2^260` with `m < 2^260`: below `t/2^260 + p`. Limbs of `t` below `2^60`.
    #[inline(always)]
    fn reduce(&self, t: [Vector; 10]) -> Loose {
        let [p0, p1, p2, p4] = self.p;
        let mut t = t;
        for i in 0..5 {
            let m = self.low(self.zero(), t[i], self.inverse);
            // t_i + (m·p_0 mod 2^52) is the next multiple of 2^52.
            let carry = self.shr::<52>(self.add(t[i], self.mask));
            let next = self.low(carry, m, p1);
            t[i + 1] = self.add(self.high(t[i + 1], m, p0), next);
            t[i + 2] = self.low(self.high(t[i + 2], m, p1), m, p2);
            t[i + 3] = self.high(t[i + 3], m, p2);
            t[i + 4] = self.low(t[i + 4], m, p4);
            t[i + 5] = self.high(t[i + 5], m, p4);
        }
        Loose([t[5], t[6], t[7], t[8], t[9]])
    }

    /// `ab`, below `(jk/64 + 1)·p` for `a < jp`, `b < kp`.
    #[inline(always)]
    pub(super) fn mul_loose(&self, a: &Element, b: &Element) -> Loose {
        let mut t = [self.zero(); 10];
        for i in 0..5 {
            for j in 0..5 {
                t[i + j] = self.low(t[i + j], a[i], b[j]);
                t[i + j + 1] = self.high(t[i + j + 1], a[i], b[j]);
            }
        }
        self.reduce(t)
    }

    /// `a²`, with the bound of [`Self::mul_loose`].
    #[inline(always)]
    pub(super) fn square_loose(&self, a: &Element) -> Loose {
        let mut t = [self.zero(); 10];
        for i in 0..5 {
            for j in i + 1..5 {
                t[i + j] = self.low(t[i + j], a[i], a[j]);
                t[i + j + 1] = self.high(t[i + j + 1], a[i], a[j]);
            }
        }
        for t in &mut t {
            *t = self.add(*t, *t);
        }
        for i in 0..5 {
            t[2 * i] = self.low(t[2 * i], a[i], a[i]);
            t[2 * i + 1] = self.high(t[2 * i + 1], a[i], a[i]);
        }
        self.reduce(t)
    }

    /// `ab`; see [`Self::mul_loose`].
    #[inline(always)]
    pub(super) fn mul(&self, a: &Element, b: &Element) -> Element {
        self.carry(self.mul_loose(a, b))
    }

    /// The same number, which is not negative and below `2^260`.
    #[inline(always)]
    pub(super) fn carry(&self, Loose(mut t): Loose) -> Element {
        for i in 0..4 {
            let carry = self.simd.base._mm512_srai_epi64::<52>(t[i]);
            t[i + 1] = self.add(t[i + 1], carry);
            t[i] = self.and(t[i], self.mask);
        }
        t
    }

    #[cfg(test)]
    pub(super) fn loose(&self, a: &Element) -> Loose {
        Loose(*a)
    }

    #[inline(always)]
    pub(super) fn zero_loose(&self) -> Loose {
        Loose([self.zero(); 5])
    }

    /// `2a`.
    #[inline(always)]
    pub(super) fn twice(&self, Loose(a): Loose) -> Loose {
        self.plus(Loose(a), &a)
    }

    /// `3a`.
    #[inline(always)]
    pub(super) fn triple(&self, Loose(a): Loose) -> Loose {
        self.plus(self.plus(Loose(a), &a), &a)
    }

    /// `2a`.
    #[inline(always)]
    pub(super) fn double(&self, a: &Element) -> Element {
        self.carry(self.twice(Loose(*a)))
    }

    /// `2p − a`, for `a ≤ 2p`.
    #[inline(always)]
    pub(super) fn negative(&self, a: &Element) -> Element {
        self.carry(self.minus(Loose(self.two_p), a))
    }

    /// `a − b`.
    #[inline(always)]
    pub(super) fn minus(&self, Loose(a): Loose, b: &Element) -> Loose {
        let mut difference = a;
        for i in 0..5 {
            difference[i] = self.sub(a[i], b[i]);
        }
        Loose(difference)
    }

    /// `a + b`.
    #[inline(always)]
    pub(super) fn plus(&self, Loose(a): Loose, b: &Element) -> Loose {
        let mut sum = a;
        for i in 0..5 {
            sum[i] = self.add(a[i], b[i]);
        }
        Loose(sum)
    }

    /// `a − b + 2p`, for `b ≤ 2p`.
    #[inline(always)]
    pub(super) fn difference(&self, a: &Element, b: &Element) -> Element {
        self.carry(self.plus(self.minus(Loose(*a), b), &self.two_p))
    }

    /// The same modulo `p`, in `(0, p + 2^220)`, for a number in `(−3p, 4p)`.
    #[inline(always)]
    pub(super) fn settle(&self, Loose(mut t): Loose) -> Element {
        // With v the number and h = ⌊(t_4 − MARGIN)/2^46⌋: limbs below the highest make less than
        // 2^(156 + 60) + … < 2^8 units of 2^208, so v − h·2^254 lies between
        // (MARGIN − 2^8)·2^208 and 2^254 + (MARGIN + 2^8)·2^208. From this h·t is subtracted, less
        // than 2^129 in size. −4 ≤ h ≤ 3.
        let margin = self.simd.all(MARGIN);
        let shifted = self.sub(t[4], margin);
        let h = self.simd.base._mm512_srai_epi64::<46>(shifted);
        t[4] = self.sub(t[4], self.shl::<46>(h));
        for (limb, multiples) in t.iter_mut().zip(self.multiples) {
            let multiple = self.simd.base._mm512_permutexvar_epi64(h, multiples);
            *limb = self.sub(*limb, multiple);
        }
        self.carry(Loose(t))
    }

    /// Eight rows of eight words as columns.
    #[inline(always)]
    fn transpose(&self, rows: [Vector; 8]) -> [Vector; 8] {
        let [a, b, c, d, e, f, g, h] = rows;
        let even = self.columns(
            self.even_words(a, b),
            self.even_words(c, d),
            self.even_words(e, f),
            self.even_words(g, h),
        );
        let odd = self.columns(
            self.odd_words(a, b),
            self.odd_words(c, d),
            self.odd_words(e, f),
            self.odd_words(g, h),
        );
        [
            even[0], odd[0], even[1], odd[1], even[2], odd[2], even[3], odd[3],
        ]
    }

    /// `a_0 b_0 a_2 b_2 …`
    #[inline(always)]
    fn even_words(&self, a: Vector, b: Vector) -> Vector {
        self.simd.base._mm512_unpacklo_epi64(a, b)
    }

    /// `a_1 b_1 a_3 b_3 …`
    #[inline(always)]
    fn odd_words(&self, a: Vector, b: Vector) -> Vector {
        self.simd.base._mm512_unpackhi_epi64(a, b)
    }

    /// Blocks 0, 2 of `a` and `b`, of two words each.
    #[inline(always)]
    fn even_blocks(&self, a: Vector, b: Vector) -> Vector {
        self.simd.base._mm512_shuffle_i64x2::<0x88>(a, b)
    }

    /// Blocks 1, 3 of `a` and `b`.
    #[inline(always)]
    fn odd_blocks(&self, a: Vector, b: Vector) -> Vector {
        self.simd.base._mm512_shuffle_i64x2::<0xdd>(a, b)
    }

    /// Four rows of four blocks as columns.
    #[inline(always)]
    fn columns(&self, a: Vector, b: Vector, c: Vector, d: Vector) -> [Vector; 4] {
        let (even, odd) = (self.even_blocks(a, b), self.odd_blocks(a, b));
        let (even2, odd2) = (self.even_blocks(c, d), self.odd_blocks(c, d));
        [
            self.even_blocks(even, even2),
            self.even_blocks(odd, odd2),
            self.odd_blocks(even, even2),
            self.odd_blocks(odd, odd2),
        ]
    }

    /// Limbs of four words.
    #[inline(always)]
    fn unpack(&self, [w0, w1, w2, w3]: [Vector; 4]) -> Element {
        let l1 = self.or(self.shr::<52>(w0), self.shl::<12>(w1));
        let l2 = self.or(self.shr::<40>(w1), self.shl::<24>(w2));
        let l3 = self.or(self.shr::<28>(w2), self.shl::<36>(w3));
        [
            self.and(w0, self.mask),
            self.and(l1, self.mask),
            self.and(l2, self.mask),
            self.and(l3, self.mask),
            self.shr::<16>(w3),
        ]
    }

    /// The four words of a number below `2^256`.
    #[inline(always)]
    fn pack(&self, [l0, l1, l2, l3, l4]: Element) -> [Vector; 4] {
        [
            self.or(l0, self.shl::<52>(l1)),
            self.or(self.shr::<12>(l1), self.shl::<40>(l2)),
            self.or(self.shr::<24>(l2), self.shl::<28>(l3)),
            self.or(self.shr::<36>(l3), self.shl::<16>(l4)),
        ]
    }

    /// Points whose words are given, without their signs.
    #[inline(always)]
    pub(super) fn load_unsigned(&self, rows: [&[u64; 8]; 8]) -> (Points, Signs) {
        let [x0, x1, x2, x3, y0, y1, y2, y3] = self.transpose(each(
            &rows,
            #[inline(always)]
            |row| pulp::cast(**row),
        ));
        let signs = Signs(self.simd.double._mm512_movepi64_mask(y3));
        let y3 = self.and(y3, self.simd.all(!SIGN));
        let points = Points {
            x: self.unpack([x0, x1, x2, x3]),
            y: self.unpack([y0, y1, y2, y3]),
        };
        (points, signs)
    }

    /// Points whose words are given; `y` at most `2p`.
    #[inline(always)]
    pub(super) fn load(&self, rows: [&[u64; 8]; 8]) -> Points {
        let (Points { x, mut y }, Signs(signs)) = self.load_unsigned(rows);
        let opposite = self.negative(&y);
        for i in 0..5 {
            y[i] = self
                .simd
                .base
                ._mm512_mask_blend_epi64(signs, y[i], opposite[i]);
        }
        Points { x, y }
    }

    /// `a + b`, and `a − b` where the sign is set.
    #[inline(always)]
    fn plus_signed(&self, Loose(a): Loose, b: &Element, Signs(signs): Signs) -> Loose {
        let Loose(mut sum) = self.plus(Loose(a), b);
        for i in 0..5 {
            sum[i] = self
                .simd
                .base
                ._mm512_mask_sub_epi64(sum[i], signs, a[i], b[i]);
        }
        Loose(sum)
    }

    /// `a − b`, and `a + b` where the sign is set.
    #[inline(always)]
    pub(super) fn minus_signed(&self, Loose(a): Loose, b: &Element, Signs(signs): Signs) -> Loose {
        let Loose(mut difference) = self.minus(Loose(a), b);
        for i in 0..5 {
            difference[i] = self
                .simd
                .base
                ._mm512_mask_add_epi64(difference[i], signs, a[i], b[i]);
        }
        Loose(difference)
    }

    /// `a − b + 4p`, for `a, b ≤ 2p` with signs.
    #[inline(always)]
    pub(super) fn signed_difference(
        &self,
        (a, signs_a): (&Element, Signs),
        (b, signs_b): (&Element, Signs),
    ) -> Element {
        let sum = self.plus_signed(self.twice(Loose(self.two_p)), a, signs_a);
        self.carry(self.minus_signed(sum, b, signs_b))
    }

    /// The abscissae of eight pairs of points.
    #[inline(always)]
    pub(super) fn load_abscissae(
        &self,
        p: [&[u64; 8]; 8],
        q: [&[u64; 8]; 8],
    ) -> (Element, Element) {
        let mut both = [self.zero(); 8];
        for i in 0..8 {
            let (p, q) = (p[i], q[i]);
            both[i] = pulp::cast([p[0], p[1], p[2], p[3], q[0], q[1], q[2], q[3]]);
        }
        let [p0, p1, p2, p3, q0, q1, q2, q3] = self.transpose(both);
        (self.unpack([p0, p1, p2, p3]), self.unpack([q0, q1, q2, q3]))
    }

    /// Lane `i + BY` in lane `i`, round about.
    #[inline(always)]
    pub(super) fn turn<const BY: i32>(&self, a: &Element) -> Element {
        each(
            a,
            #[inline(always)]
            |limb| self.simd.base._mm512_alignr_epi64::<BY>(*limb, *limb),
        )
    }

    /// The words of the element in the first lane, below `2^256`.
    #[inline(always)]
    pub(super) fn first(&self, a: &Element) -> [u64; 4] {
        each(
            &self.pack(*a),
            #[inline(always)]
            |word| {
                let words: [u64; 8] = pulp::cast(*word);
                words[0]
            },
        )
    }

    /// The words of points with coordinates below `2^255`.
    #[inline(always)]
    pub(super) fn store(&self, points: &Points) -> [[u64; 8]; 8] {
        let [x0, x1, x2, x3] = self.pack(points.x);
        let [y0, y1, y2, y3] = self.pack(points.y);
        let rows = self.transpose([x0, x1, x2, x3, y0, y1, y2, y3]);
        each(
            &rows,
            #[inline(always)]
            |row| pulp::cast(*row),
        )
    }
}
