//! The tree of fractions that shows all lookups (protocol notes, 13.5).
//!
//! LogUp (Haböck, ePrint 2022/1530; Papini and Haböck, 2023/1284) with layers of four. The leaves are
//! `1/q`; public tables are not part of the tree: the sum of their fractions is a linear functional of
//! the multiplicities.

use ff::Field;
use layerfold_gadgets::mle::eq_evals;
use rayon::prelude::*;

use super::{
    TraceError,
    message::{Channel, Combination, Gate},
};
use crate::backend::F;

/// Bits of the top level for leaves of so many bits.
pub(crate) fn top_bits(leaf_bits: usize) -> usize {
    2 + leaf_bits % 2
}

/// What the tree comes to.
pub(crate) struct Leaves {
    /// `ρ_L`.
    pub(crate) point: Vec<F>,
    /// Claims of `p~` and `q~` there.
    pub(crate) p: Combination,
    pub(crate) q: Combination,
    /// `S`, the sum of all fractions.
    pub(crate) sum: Combination,
}

/// Numerators and denominators of all levels, of a prover.
pub(crate) struct Tree {
    /// From the top to the leaves; of the leaves the numerators are 1 and left out.
    levels: Vec<Level>,
}

struct Level {
    p: Vec<F>,
    q: Vec<F>,
}

impl Tree {
    /// The tree over these denominators, a power of two of them.
    pub(crate) fn new(leaves: Vec<F>) -> Self {
        let bits = leaves.len().trailing_zeros() as usize;
        let mut levels = vec![Level {
            p: Vec::new(),
            q: leaves,
        }];
        let mut k = bits;
        while k > top_bits(bits) {
            k -= 2;
            let below = &levels[levels.len() - 1];
            let n = 1usize << k;
            let is_leaf = below.p.is_empty();
            let node = |x: usize| {
                let [q0, q1, q2, q3] = [0, 1, 2, 3].map(|b| below.q[b * n + x]);
                let (a, b) = (q0 * q1, q2 * q3);
                let (n1, n2) = if is_leaf {
                    (q0 + q1, q2 + q3)
                } else {
                    let [p0, p1, p2, p3] = [0, 1, 2, 3].map(|b| below.p[b * n + x]);
                    (p0 * q1 + p1 * q0, p2 * q3 + p3 * q2)
                };
                (n1 * b + n2 * a, a * b)
            };
            let (p, q) = if n >= 1 << 9 {
                (0..n)
                    .into_par_iter()
                    .with_min_len(1 << 8)
                    .map(node)
                    .unzip()
            } else {
                (0..n).map(node).unzip()
            };
            levels.push(Level { p, q });
        }
        levels.reverse();
        // With so few leaves that the top is the leaves, its numerators are sent like others.
        if let [only] = levels.as_mut_slice() {
            only.p = vec![F::ONE; only.q.len()];
        }
        Self { levels }
    }
}

/// Runs the argument; gates are appended to `gates`.
pub(crate) fn run(
    channel: &mut Channel<'_>,
    leaf_bits: usize,
    mut tree: Option<Tree>,
    gates: &mut Vec<Gate>,
) -> Result<Leaves, TraceError> {
    let h = top_bits(leaf_bits);
    let (sum, p, q) = top(channel, h, tree.as_ref(), gates)?;
    let mut point = channel.transcript.point("r", h);
    let weights = eq_evals(&point);
    let claim = |values: &[Combination]| {
        (values.iter().zip(&weights)).fold(Combination::default(), |sum, (v, w)| sum.plus(v, *w))
    };
    let (mut c_p, mut c_q) = (claim(&p), claim(&q));
    let mut level = 1;
    let mut k = h;
    while k < leaf_bits {
        let below = tree.as_mut().map(|tree| {
            let Level { p, q } = &mut tree.levels[level];
            (std::mem::take(p), std::mem::take(q))
        });
        (point, c_p, c_q) = layer(channel, &point, &c_p, &c_q, below, gates)?;
        level += 1;
        k += 2;
    }
    Ok(Leaves {
        point,
        p: c_p,
        q: c_q,
        sum,
    })
}

type Top = (Combination, Vec<Combination>, Vec<Combination>);

fn top(
    channel: &mut Channel<'_>,
    h: usize,
    tree: Option<&Tree>,
    gates: &mut Vec<Gate>,
) -> Result<Top, TraceError> {
    let n = 1usize << h;
    let values = match tree {
        Some(tree) => {
            let Level { p, q } = &tree.levels[0];
            let mut values = [p.as_slice(), q.as_slice()].concat();
            let (mut p, mut q) = (p.clone(), q.clone());
            while p.len() > 1 {
                let half = p.len() / 2;
                let (mut next_p, mut next_q) = (Vec::new(), Vec::new());
                for x in 0..half {
                    let t = p[x] * q[x + half];
                    let sum = t + p[x + half] * q[x];
                    let product = q[x] * q[x + half];
                    values.extend([t, sum, product]);
                    next_p.push(sum);
                    next_q.push(product);
                }
                (p, q) = (next_p, next_q);
            }
            let inverse = Option::<F>::from(q[0].invert()).ok_or(TraceError::Invalid)?;
            values.push(p[0] * inverse);
            Some(values)
        }
        None => None,
    };
    let sent = channel.send(2 * n + 3 * (n - 1) + 1, values)?;
    let (p, rest) = sent.split_at(n);
    let (q, rest) = rest.split_at(n);
    let mut rest = rest.iter().cloned();
    let mut next = || rest.next().ok_or(TraceError::Invalid);
    let (top_p, top_q) = (p.to_vec(), q.to_vec());
    let (mut p, mut q) = (top_p.clone(), top_q.clone());
    while p.len() > 1 {
        let half = p.len() / 2;
        let (mut next_p, mut next_q) = (Vec::new(), Vec::new());
        for x in 0..half {
            let (t, sum, product) = (next()?, next()?, next()?);
            gates.push(Gate {
                left: p[x].clone(),
                right: q[x + half].clone(),
                result: t.clone(),
            });
            gates.push(Gate {
                left: p[x + half].clone(),
                right: q[x].clone(),
                result: sum.clone().plus(&t, -F::ONE),
            });
            gates.push(Gate {
                left: q[x].clone(),
                right: q[x + half].clone(),
                result: product.clone(),
            });
            next_p.push(sum);
            next_q.push(product);
        }
        (p, q) = (next_p, next_q);
    }
    let sum = next()?;
    gates.push(Gate {
        left: sum.clone(),
        right: q[0].clone(),
        result: p[0].clone(),
    });
    Ok((sum, top_p, top_q))
}

/// The children of a level's nodes, of a prover: four arrays of either kind.
struct Children {
    /// `p_b + λ·q_b` for `b` = 0; empty for leaves.
    p: [Vec<F>; 4],
    q: [Vec<F>; 4],
    lambda: F,
}

impl Children {
    fn new(p: Vec<F>, q: Vec<F>, lambda: F) -> Self {
        let quarter = q.len() / 4;
        let cut = |all: &[F], b: usize| all[b * quarter..(b + 1) * quarter].to_vec();
        let q = [0, 1, 2, 3].map(|b| cut(&q, b));
        let mut p = if p.is_empty() {
            Default::default()
        } else {
            [0, 1, 2, 3].map(|b| cut(&p, b))
        };
        for (p, q) in p[0].iter_mut().zip(&q[0]) {
            *p += lambda * q;
        }
        Self { p, q, lambda }
    }

    fn len(&self) -> usize {
        self.q[0].len()
    }

    fn are_leaves(&self) -> bool {
        self.p[0].is_empty()
    }

    /// `Φ` of these children.
    #[inline(always)]
    fn combine(q: &[F; 4], p: Option<&[F; 4]>, lambda: &F) -> F {
        let (a, b) = (q[0] * q[1], q[2] * q[3]);
        match p {
            None => (q[0] + q[1]) * b + (q[2] + q[3] + *lambda * b) * a,
            Some(p) => (p[0] * q[1] + p[1] * q[0]) * b + (p[2] * q[3] + p[3] * q[2]) * a,
        }
    }

    /// `Σ_x weights(x)·Φ(X, x)` at 1, −1, 2 and the coefficient of `X⁴`.
    fn round(&self, weights: &[F]) -> [F; 4] {
        let half = self.len() / 2;
        let leaves = self.are_leaves();
        let at = |x: usize| {
            let mut points = [[F::ZERO; 4]; 4];
            let mut numerators = [[F::ZERO; 4]; 4];
            let spread = |all: &[Vec<F>; 4], out: &mut [[F; 4]; 4]| {
                for b in 0..4 {
                    let (low, high) = (all[b][x], all[b][x + half]);
                    let step = high - low;
                    out[0][b] = high;
                    out[1][b] = low - step;
                    out[2][b] = high + step;
                    out[3][b] = step;
                }
            };
            spread(&self.q, &mut points);
            let mut out = [F::ZERO; 4];
            if leaves {
                for k in 0..3 {
                    out[k] = Self::combine(&points[k], None, &self.lambda);
                }
                // The numerators are constant: only λ·A·B has degree four.
                let q = &points[3];
                out[3] = self.lambda * (q[0] * q[1]) * (q[2] * q[3]);
            } else {
                spread(&self.p, &mut numerators);
                for k in 0..4 {
                    out[k] = Self::combine(&points[k], Some(&numerators[k]), &self.lambda);
                }
            }
            out.map(|y| y * weights[x])
        };
        let add = |a: [F; 4], b: [F; 4]| [a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]];
        if half >= 1 << 8 {
            (0..half)
                .into_par_iter()
                .with_min_len(1 << 7)
                .map(at)
                .reduce(|| [F::ZERO; 4], add)
        } else {
            (0..half).map(at).fold([F::ZERO; 4], add)
        }
    }

    fn bind(&mut self, r: F) {
        for values in self.q.iter_mut().chain(&mut self.p) {
            bind(values, r);
        }
    }

    /// `p_0 … p_3, q_0 … q_3, A, B, t_1, n_1, t_2, n_2, m` of the only node.
    fn ends(&self) -> Vec<F> {
        let q: Vec<F> = self.q.iter().map(|q| q[0]).collect();
        let p = if self.are_leaves() {
            vec![F::ONE; 4]
        } else {
            let mut p: Vec<F> = self.p.iter().map(|p| p[0]).collect();
            p[0] -= self.lambda * q[0];
            p
        };
        let (a, b) = (q[0] * q[1], q[2] * q[3]);
        let t_1 = p[0] * q[1];
        let n_1 = t_1 + p[1] * q[0];
        let t_2 = p[2] * q[3];
        let n_2 = t_2 + p[3] * q[2];
        let mut ends = [p, q].concat();
        ends.extend([a, b, t_1, n_1, t_2, n_2, n_1 * b]);
        ends
    }
}

/// Fixes the highest variable of a table.
pub(crate) fn bind(values: &mut Vec<F>, r: F) {
    let half = values.len() / 2;
    if half == 0 {
        return;
    }
    let (low, high) = values.split_at_mut(half);
    if half >= 1 << 9 {
        low.par_iter_mut()
            .with_min_len(1 << 8)
            .zip(&*high)
            .for_each(|(l, h)| *l += r * (*h - *l));
    } else {
        for (l, h) in low.iter_mut().zip(&*high) {
            *l += r * (*h - *l);
        }
    }
    values.truncate(half);
}

/// Coefficients `h_1 … h_4` of the polynomial with these values at 0, 1, −1, 2 and this leading one.
fn coefficients(h_0: F, [at_1, at_minus, at_2, h_4]: [F; 4], halves: F, sixths: F) -> [F; 4] {
    let (s, d) = (at_1 - h_0 - h_4, at_minus - h_0 - h_4);
    let h_2 = (s + d) * halves;
    let odd = (s - d) * halves;
    let quadruple = h_2.double().double();
    let sixteen = h_4.double().double().double().double();
    let h_3 = (at_2 - h_0 - quadruple - sixteen - odd.double()) * sixths;
    [odd - h_3, h_2, h_3, h_4]
}

type Claims = (Vec<F>, Combination, Combination);

/// From the claims at `point` to those of the level two below.
fn layer(
    channel: &mut Channel<'_>,
    point: &[F],
    c_p: &Combination,
    c_q: &Combination,
    below: Option<(Vec<F>, Vec<F>)>,
    gates: &mut Vec<Gate>,
) -> Result<Claims, TraceError> {
    let lambda = channel.challenge("lambda");
    let mut claim = c_p.clone().plus(c_q, lambda);
    let mut children = below.map(|(p, q)| Children::new(p, q, lambda));
    let mut rounds = match &children {
        Some(children) => Some(Rounds::new(point, &claim, channel, children.len())?),
        None => None,
    };
    let mut bound = Vec::with_capacity(point.len());
    for r in point {
        let message = match (&children, &mut rounds) {
            (Some(children), Some(rounds)) => Some(rounds.message(children)),
            _ => None,
        };
        let sent = channel.send(4, message)?;
        let challenge = channel.challenge("round");
        // h(r') = S + Σ h_k·(r'^k − r)
        let mut power = F::ONE;
        for h in &sent {
            power *= challenge;
            claim.add(h, power - r);
        }
        if let (Some(children), Some(rounds)) = (&mut children, &mut rounds) {
            rounds.bind(challenge);
            children.bind(challenge);
        }
        bound.push(challenge);
    }
    let ends = channel.send(15, children.map(|c| c.ends()))?;
    let [p0, p1, p2, p3, q0, q1, q2, q3, a, b, t_1, n_1, t_2, n_2, m] = ends.as_slice() else {
        return Err(TraceError::Invalid);
    };
    let mut gate = |left: &Combination, right: &Combination, result: Combination| {
        gates.push(Gate {
            left: left.clone(),
            right: right.clone(),
            result,
        });
    };
    gate(q0, q1, a.clone());
    gate(q2, q3, b.clone());
    gate(p0, q1, t_1.clone());
    gate(p1, q0, n_1.clone().plus(t_1, -F::ONE));
    gate(p2, q3, t_2.clone());
    gate(p3, q2, n_2.clone().plus(t_2, -F::ONE));
    gate(n_1, b, m.clone());
    gate(&n_2.clone().plus(b, lambda), a, claim.plus(m, -F::ONE));
    let s = channel.transcript.point("s", 2);
    let weights = eq_evals(&s);
    let merge = |values: [&Combination; 4]| {
        (values.iter().zip(&weights)).fold(Combination::default(), |sum, (v, w)| sum.plus(v, *w))
    };
    let (c_p, c_q) = (merge([p0, p1, p2, p3]), merge([q0, q1, q2, q3]));
    Ok(([s, bound].concat(), c_p, c_q))
}

/// The rounds of a layer, of a prover.
struct Rounds {
    /// `r_i`, and the inverses of `1 − r_i`, the next last.
    left: Vec<(F, F)>,
    claim: F,
    /// `eq` of the coordinates after the next.
    weights: Vec<F>,
    /// Coefficients of the last message, with `h_0`.
    last: [F; 5],
    halves: F,
    sixths: F,
}

impl Rounds {
    fn new(
        point: &[F],
        claim: &Combination,
        channel: &Channel<'_>,
        len: usize,
    ) -> Result<Self, TraceError> {
        let (w, _) = channel.secrets().ok_or(TraceError::Invalid)?;
        let mut inverses: Vec<F> = point.iter().map(|r| F::ONE - r).collect();
        let mut scratch = vec![F::ZERO; point.len()];
        ff::BatchInverter::invert_with_external_scratch(&mut inverses, &mut scratch);
        let halves = Option::<F>::from(F::from(2).invert()).ok_or(TraceError::Invalid)?;
        let sixths = Option::<F>::from(F::from(6).invert()).ok_or(TraceError::Invalid)?;
        debug_assert_eq!(len, 1 << point.len(), "nodes of a level");
        Ok(Self {
            left: point.iter().copied().zip(inverses).rev().collect(),
            claim: claim.value(w),
            weights: eq_evals(&point[1..]),
            last: [F::ZERO; 5],
            halves,
            sixths,
        })
    }

    fn message(&mut self, children: &Children) -> Vec<F> {
        let values = children.round(&self.weights);
        let (r, inverse) = self.left.pop().unwrap_or((F::ZERO, F::ONE));
        // (1 − r)·h(0) + r·h(1) = claim
        let h_0 = (self.claim - r * values[0]) * inverse;
        let h = coefficients(h_0, values, self.halves, self.sixths);
        self.last = [h_0, h[0], h[1], h[2], h[3]];
        h.to_vec()
    }

    fn bind(&mut self, challenge: F) {
        self.claim = (self.last.iter().rev()).fold(F::ZERO, |sum, h| sum * challenge + h);
        // eq of one coordinate less: the two halves add up to it.
        let half = self.weights.len() / 2;
        if half > 0 {
            let (low, high) = self.weights.split_at_mut(half);
            low.iter_mut().zip(&*high).for_each(|(l, h)| *l += h);
            self.weights.truncate(half);
        }
    }
}
