//! One sumcheck for all products: of the bank with what it is applied to, and of linear forms
//! (protocol notes, 13.7).

use ff::Field;
use layerfold_gadgets::mle::eq_evals;
use rayon::prelude::*;

use super::{
    TraceError,
    equation::{Axes, Base, Bases, Equation, Functional, element, from_i128},
    message::{Channel, Combination, Gate},
    system::{ProductKind, Size, Source, System},
    tree::bind,
};
use crate::{
    backend::F,
    program::WeightBank,
    weights::{combined_rows, from_i64, window},
};

/// `⟨functional, Z⟩ = value`.
pub(crate) struct Claim {
    pub(crate) functional: Functional,
    pub(crate) value: Combination,
}

/// What the sumcheck comes to.
pub(crate) struct Ends {
    /// `Λ`, `B`, and both factors of every product.
    pub(crate) claims: Vec<Claim>,
    /// `V_B`, the value of `Y~` at `(r_j, r_s)`.
    pub(crate) bank: Combination,
    /// `r_j`, `r_s`.
    pub(crate) columns: Vec<F>,
    pub(crate) pairs: Vec<F>,
}

/// What a prover needs beside the trace.
pub(crate) struct Products<'a> {
    pub(crate) bank: &'a WeightBank,
    /// Integers of the columns of registers.
    pub(crate) columns: &'a [Vec<i64>],
    /// `Λ`.
    pub(crate) linear: F,
}

/// `Y(·, s)` of every pair, which the opening needs again.
pub(crate) type BankRows = Vec<Vec<F>>;

/// `Σ_t weights(t)·column[t, ·]`.
fn contract(column: &[i64], size: Size, weights: &[F]) -> Vec<F> {
    let mut out = vec![F::ZERO; size.len];
    for (row, weight) in column.chunks(size.len).zip(weights) {
        if *weight == F::ZERO {
            continue;
        }
        if *weight == F::ONE {
            for (out, x) in out.iter_mut().zip(row) {
                *out += element(*x);
            }
            continue;
        }
        for (out, x) in out.iter_mut().zip(row) {
            if *x != 0 {
                *out += element(*x) * weight;
            }
        }
    }
    out
}

/// `Y` and `Br` of a pair over the columns of its map.
struct PairTables {
    y: Vec<F>,
    b: Vec<F>,
    /// What both are multiplied with: they are shorter than the longest, and zero beyond.
    scale: F,
    /// Sum of products, while they are.
    dot: Option<F>,
}

fn dot(a: &[F], b: &[F]) -> F {
    a.iter().zip(b).map(|(a, b)| *a * b).sum()
}

/// Constant and leading coefficient of `Σ (a_0 + X·a_1)·(b_0 + X·b_1)`.
fn quadratic(a: &[F], b: &[F]) -> (F, F) {
    let half = a.len() / 2;
    let mut out = (F::ZERO, F::ZERO);
    for x in 0..half {
        out.0 += a[x] * b[x];
        out.1 += (a[x + half] - a[x]) * (b[x + half] - b[x]);
    }
    out
}

impl PairTables {
    fn message(&mut self, width: usize) -> (F, F) {
        let square = self.scale.square();
        if self.y.len() == width {
            let (g_0, g_2) = quadratic(&self.y, &self.b);
            return (g_0 * square, g_2 * square);
        }
        // The half of ones is zero: (1 − X)² times the sum.
        let sum = *self.dot.get_or_insert_with(|| dot(&self.y, &self.b)) * square;
        (sum, sum)
    }

    fn bind(&mut self, width: usize, r: F) {
        if self.y.len() == width {
            bind(&mut self.y, r);
            bind(&mut self.b, r);
        } else {
            self.scale *= F::ONE - r;
        }
    }
}

/// The product with the bank: first over columns, then over pairs.
enum BankTables {
    Columns {
        pairs: Vec<PairTables>,
        bits: usize,
        pair_bits: usize,
    },
    Pairs {
        y: Vec<F>,
        b: Vec<F>,
    },
}

impl BankTables {
    fn new(rows: &[Vec<F>], mut inputs: Vec<Vec<F>>, bits: usize, pair_bits: usize) -> Self {
        let pairs = rows.iter().zip(&mut inputs).map(|(y, b)| {
            let len = y.len().next_power_of_two();
            let mut y = y.clone();
            y.resize(len, F::ZERO);
            b.resize(len, F::ZERO);
            PairTables {
                y,
                b: std::mem::take(b),
                scale: F::ONE,
                dot: None,
            }
        });
        Self::Columns {
            pairs: pairs.collect(),
            bits,
            pair_bits,
        }
    }

    fn sum(&self) -> F {
        match self {
            Self::Columns { pairs, .. } => pairs.iter().map(|p| dot(&p.y, &p.b)).sum(),
            Self::Pairs { y, b } => dot(y, b),
        }
    }

    /// `g_0` and `g_2`.
    fn message(&mut self) -> (F, F) {
        match self {
            Self::Columns { pairs, bits, .. } => {
                let width = 1usize << *bits;
                let add = |a: (F, F), b: (F, F)| (a.0 + b.0, a.1 + b.1);
                (pairs.par_iter_mut().with_min_len(4))
                    .map(|pair| pair.message(width))
                    .reduce(|| (F::ZERO, F::ZERO), add)
            }
            Self::Pairs { y, b } => quadratic(y, b),
        }
    }

    fn bind(&mut self, r: F) {
        match self {
            Self::Columns {
                pairs,
                bits,
                pair_bits,
            } => {
                let width = 1usize << *bits;
                for pair in pairs.iter_mut() {
                    pair.bind(width, r);
                }
                *bits -= 1;
                if *bits == 0 {
                    let of = |of: fn(&PairTables) -> F| {
                        let mut all: Vec<F> = pairs.iter().map(|p| of(p) * p.scale).collect();
                        all.resize(1 << *pair_bits, F::ZERO);
                        all
                    };
                    let (y, b) = (of(|p| p.y[0]), of(|p| p.b[0]));
                    *self = Self::Pairs { y, b };
                }
            }
            Self::Pairs { y, b } => {
                bind(y, r);
                bind(b, r);
            }
        }
    }
}

/// `κ·Σ weights·left·right` of a product.
struct ProductTables {
    weights: Vec<F>,
    left: Vec<F>,
    right: Vec<F>,
    bits: usize,
}

impl ProductTables {
    fn sum(&self) -> F {
        let terms = self.weights.iter().zip(&self.left).zip(&self.right);
        terms.map(|((w, l), r)| *w * l * r).sum()
    }

    /// `g_0`, `g_2` and `g_3`.
    fn message(&self) -> [F; 3] {
        let half = self.left.len() / 2;
        let mut out = [F::ZERO; 3];
        for x in 0..half {
            let of = |values: &[F]| (values[x], values[x + half] - values[x]);
            let ((w, dw), (l, dl), (r, dr)) = (of(&self.weights), of(&self.left), of(&self.right));
            let leading = dl * dr;
            out[0] += w * l * r;
            out[1] += w * leading + dw * (l * dr + dl * r);
            out[2] += dw * leading;
        }
        out
    }

    fn bind(&mut self, r: F) {
        for table in [&mut self.weights, &mut self.left, &mut self.right] {
            bind(table, r);
        }
    }
}

/// The integers of a linear form, frame by frame.
fn integers(system: &System, columns: &[Vec<i64>], linear: &super::system::Linear) -> Vec<i128> {
    let size = linear.size;
    let mut out = vec![0i128; size.cells()];
    for view in &linear.views {
        let (values, from): (&[i64], Size) = match view.source {
            Source::Column(k) => (&columns[k], system.columns[k].size),
            Source::Public(k) => (&system.publics[k].values, system.publics[k].size),
            Source::Carried(_) => continue,
        };
        let scaled = |x: &i128, w: i64| x * i128::from(w);
        let rows: Vec<Vec<i128>> = (values.chunks(from.len))
            .map(|row| {
                let row: Vec<i128> = row.iter().map(|x| i128::from(*x)).collect();
                view.entry.apply(&row, size.len, scaled)
            })
            .collect();
        let mut over_time = vec![0i128; from.time];
        for i in 0..size.len {
            for (to, row) in over_time.iter_mut().zip(&rows) {
                *to = row[i];
            }
            let over_time = view.time.apply(&over_time, size.time, scaled);
            for (t, x) in over_time.into_iter().enumerate() {
                out[t * size.len + i] += view.factor * x;
            }
        }
    }
    out
}

/// A box of integers as a table over its padded cube.
fn padded<T>(size: Size, values: &[T], element: impl Fn(&T) -> F) -> Vec<F> {
    let stride = 1usize << size.len_bits();
    let mut out = vec![F::ZERO; 1 << size.bits()];
    for (row, to) in values.chunks(size.len).zip(out.chunks_mut(stride)) {
        for (i, x) in row.iter().enumerate() {
            to[size.padded(i)] = element(x);
        }
    }
    out
}

/// Weights of the results of a product.
fn weights_of(axes: &mut Axes, kind: ProductKind, size: Size) -> (Vec<F>, Vec<F>) {
    let bases = Bases::rho(match kind {
        ProductKind::Entries => size,
        ProductKind::Sum => Size::flat(size.time, 1),
    });
    let (time, entry) = (axes.base(bases.time), axes.base(bases.entry));
    (time.to_vec(), entry.to_vec())
}

/// The functional of a linear form at weights of its axes.
fn functional(
    system: &System,
    axes: &mut Axes,
    linear: &super::system::Linear,
    bases: Bases,
    factor: F,
) -> Functional {
    let mut functional = Functional::default();
    functional.add(system, axes, linear, bases, factor);
    functional
}

/// A claim about a form that was sent.
fn claim(mut functional: Functional, sent: &Combination) -> Claim {
    let value = sent
        .clone()
        .plus(&Combination::constant(-functional.constant), F::ONE);
    functional.constant = F::ZERO;
    Claim { functional, value }
}

/// Tables of all instances, of a prover.
struct Tables {
    bank: BankTables,
    products: Vec<ProductTables>,
    /// `Σ` of each product.
    sums: Vec<F>,
}

impl Tables {
    fn new(
        system: &System,
        axes: &mut Axes,
        equation: &Equation,
        products: &Products<'_>,
        column_bits: usize,
    ) -> (Self, BankRows) {
        let vectors = &axes.vectors;
        let rows: BankRows = (equation.pairs.par_iter())
            .map(|pair| combined_rows(&products.bank.maps()[pair.map], &vectors[pair.rows]))
            .collect();
        let mut inputs: Vec<Vec<F>> = rows.iter().map(|y| vec![F::ZERO; y.len()]).collect();
        // What several maps are applied to is summed over the frames once.
        let mut summed = std::collections::HashMap::new();
        for term in &equation.affines {
            let input = &system.inputs[term.input];
            let to = &mut inputs[term.pair];
            let x = summed.entry((term.input, term.time)).or_insert_with(|| {
                let mut x = vec![F::ZERO; input.size.len];
                for view in &input.views {
                    let (values, size): (&[i64], Size) = match view.source {
                        Source::Column(k) => (&products.columns[k], system.columns[k].size),
                        Source::Public(k) => (&system.publics[k].values, system.publics[k].size),
                        Source::Carried(_) => continue,
                    };
                    let time = axes.axis(term.time, &view.time, size.time);
                    let cells = contract(values, size, axes.vector(time));
                    let read = (view.entry).apply(&cells, input.size.len, |c, w| *c * from_i64(w));
                    let factor = from_i128(view.factor);
                    for (x, read) in x.iter_mut().zip(read) {
                        *x += factor * read;
                    }
                }
                x
            });
            let under;
            let x = match term.window {
                None => x.as_slice(),
                Some((window, positions)) => {
                    let positions = axes.base(Base::Rho(positions));
                    under = window::columns(&system.windows[window], &positions, x);
                    under.as_slice()
                }
            };
            for (to, x) in to[1..].iter_mut().zip(x) {
                *to += term.factor * x;
            }
            if term.bias {
                to[0] += term.factor * term.bias(axes);
            }
        }
        let bank = BankTables::new(&rows, inputs, column_bits, equation.pair_bits());
        let tables: Vec<ProductTables> = (system.products.iter().zip(&equation.products))
            .map(|(product, kappa)| {
                let size = product.size();
                let (time, entry) = weights_of(axes, product.kind, size);
                // What is summed over counts alike, in the padding too: the factors are zero there.
                let stride = 1usize << size.len_bits();
                let mut weights = vec![F::ZERO; 1 << size.bits()];
                for (t, row) in time.iter().zip(weights.chunks_mut(stride)) {
                    let t = *t * kappa;
                    match product.kind {
                        ProductKind::Entries => {
                            for (i, e) in entry.iter().enumerate() {
                                row[size.padded(i)] = t * e;
                            }
                        }
                        ProductKind::Sum => row.fill(t),
                    }
                }
                let of = |linear| {
                    let values = integers(system, products.columns, linear);
                    padded(size, &values, |x| from_i128(*x))
                };
                ProductTables {
                    weights,
                    left: of(&product.left),
                    right: of(&product.right),
                    bits: size.bits(),
                }
            })
            .collect();
        let sums = tables.iter().map(ProductTables::sum).collect();
        let this = Self {
            bank,
            products: tables,
            sums,
        };
        (this, rows)
    }

    /// `g_0, g_2, g_3` of the round in which `left` variables are left.
    fn message(&mut self, left: usize, bank_bits: usize, bank_sum: F, round: F) -> [F; 3] {
        let mut out = [F::ZERO; 3];
        // Before an instance joins, its part is constant.
        if left <= bank_bits {
            let (g_0, g_2) = self.bank.message();
            out[0] += g_0;
            out[1] += g_2;
        } else {
            out[0] += bank_sum * round;
        }
        for (table, sum) in self.products.iter().zip(&self.sums) {
            if left <= table.bits {
                let message = table.message();
                for (out, x) in out.iter_mut().zip(message) {
                    *out += x;
                }
            } else {
                out[0] += *sum * round;
            }
        }
        out
    }
}

/// Runs the sumcheck. `equation` is that of the lookups and identities, `sum` what all of it is.
#[expect(clippy::too_many_arguments, reason = "one call, in one place")]
pub(crate) fn run(
    channel: &mut Channel<'_>,
    system: &System,
    axes: &mut Axes,
    equation: Equation,
    sum: Combination,
    column_bits: usize,
    prover: Option<&Products<'_>>,
    gates: &mut Vec<Gate>,
) -> Result<(Ends, Option<BankRows>, Equation), TraceError> {
    let lambda = channel.send(1, prover.map(|p| vec![p.linear]))?;
    let [lambda] = lambda.as_slice() else {
        return Err(TraceError::Invalid);
    };
    let constant = equation.linear.constant;
    let mut sigma = sum
        .plus(lambda, -F::ONE)
        .plus(&Combination::constant(-constant), F::ONE);
    let halves = Option::<F>::from(F::from(2).invert()).ok_or(TraceError::Invalid)?;
    let bank_bits = column_bits + equation.pair_bits();
    let bits = (system.products.iter()).fold(bank_bits, |n, p| n.max(p.size().bits()));
    let (mut tables, rows) = match prover {
        Some(prover) => {
            let (tables, rows) = Tables::new(system, axes, &equation, prover, column_bits);
            (Some(tables), Some(rows))
        }
        None => (None, None),
    };
    // Instances that wait are scaled by a half for each round.
    let scale_of = |own: usize| halves.pow_vartime([(bits - own) as u64]);
    let bank_sum = tables.as_ref().map_or(F::ZERO, |t| t.bank.sum());
    if let Some(tables) = &mut tables {
        let scale = scale_of(bank_bits);
        if let BankTables::Columns { pairs, .. } = &mut tables.bank {
            for pair in pairs {
                pair.b.iter_mut().for_each(|b| *b *= scale);
            }
        }
        for table in &mut tables.products {
            let scale = scale_of(table.bits);
            table.weights.iter_mut().for_each(|w| *w *= scale);
        }
    }
    let mut point = Vec::with_capacity(bits);
    for round in 0..bits {
        let left = bits - round;
        let message = tables.as_mut().map(|tables| {
            // In round i the part of an instance that waits is 2^−i of its sum.
            let share = halves.pow_vartime([round as u64 + 1]);
            tables.message(left, bank_bits, bank_sum, share).to_vec()
        });
        let sent = channel.send(3, message)?;
        let [g_0, g_2, g_3] = sent.as_slice() else {
            return Err(TraceError::Invalid);
        };
        let r = channel.challenge("round");
        // g_1 = σ − 2·g_0 − g_2 − g_3
        let square = r.square();
        sigma.scale(r);
        sigma.add(g_0, F::ONE - r.double());
        sigma.add(g_2, square - r);
        sigma.add(g_3, square * r - r);
        if let Some(tables) = &mut tables {
            if left <= bank_bits {
                tables.bank.bind(r);
            }
            for table in &mut tables.products {
                if left <= table.bits {
                    table.bind(r);
                }
            }
        }
        point.push(r);
    }
    axes.rounds = point.clone();
    let tail = &point[bits - bank_bits..];
    let (columns, pairs) = tail.split_at(column_bits);
    axes.inputs = columns.to_vec();

    let ends = match &tables {
        Some(tables) => {
            let BankTables::Pairs { y, b } = &tables.bank else {
                return Err(TraceError::Invalid);
            };
            // B was scaled.
            let unscaled = F::from(2).pow_vartime([(bits - bank_bits) as u64]);
            let mut ends = vec![y[0], b[0] * unscaled];
            for table in &tables.products {
                let (l, r) = (table.left[0], table.right[0]);
                ends.extend([l, r, l * r]);
            }
            Some(ends)
        }
        None => None,
    };
    let sent = channel.send(2 + 3 * system.products.len(), ends)?;
    let [bank, b, factors @ ..] = sent.as_slice() else {
        return Err(TraceError::Invalid);
    };
    let mut claims = vec![Claim {
        functional: Functional {
            terms: equation.linear.terms.clone(),
            constant: F::ZERO,
        },
        value: lambda.clone(),
    }];
    claims.push(claim(bank_functional(system, axes, &equation, pairs), b));
    let mut rest = sigma;
    for ((product, kappa), sent) in
        (system.products.iter().zip(&equation.products)).zip(factors.chunks(3))
    {
        let [left, right, result] = sent else {
            return Err(TraceError::Invalid);
        };
        gates.push(Gate {
            left: left.clone(),
            right: right.clone(),
            result: result.clone(),
        });
        let size = product.size();
        let at = Bases::rounds(size);
        let (time, entry) = weights_of(axes, product.kind, size);
        let time_weight = dot(&time, &axes.base(at.time));
        let entry_weight = match product.kind {
            ProductKind::Entries => dot(&entry, &axes.base(at.entry)),
            // Every entry counts alike; what is zero outside the box are the factors.
            ProductKind::Sum => F::ONE,
        };
        let weight = scale_of(size.bits()) * kappa * time_weight * entry_weight;
        rest.add(result, -weight);
        for (linear, sent) in [(&product.left, left), (&product.right, right)] {
            claims.push(claim(functional(system, axes, linear, at, F::ONE), sent));
        }
    }
    // V_B·B = 2^(n − n_A)·(σ − …)
    rest.scale(F::from(2).pow_vartime([(bits - bank_bits) as u64]));
    gates.push(Gate {
        left: bank.clone(),
        right: b.clone(),
        result: rest,
    });
    let ends = Ends {
        claims,
        bank: bank.clone(),
        columns: columns.to_vec(),
        pairs: pairs.to_vec(),
    };
    Ok((ends, rows, equation))
}

/// `Br~(r_j, r_s)` as a functional of the trace.
fn bank_functional(
    system: &System,
    axes: &mut Axes,
    equation: &Equation,
    pairs: &[F],
) -> Functional {
    let at_pair = eq_evals(pairs);
    let mut functional = Functional::default();
    // eq(r_j, 0), the place of the bias.
    let bias = (axes.inputs.iter()).fold(F::ONE, |product, r| product * (F::ONE - r));
    for term in &equation.affines {
        let factor = term.factor * at_pair[term.pair];
        let input = &system.inputs[term.input];
        let bases = Bases {
            time: term.time,
            entry: term.entries(system),
        };
        functional.add(system, axes, input, bases, factor);
        if term.bias {
            functional.constant += factor * bias * term.bias(axes);
        }
    }
    functional
}
