//! One equation for all lookups and identities at one point (protocol notes, 13.6).
//!
//! Every form is summed over its real cells with the weights of a point. What is linear in the trace
//! becomes a list of terms, each a column with a vector for either axis.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use ff::{Field, PrimeField};
use layerfold_gadgets::mle::eq_evals;

use super::{
    axis::AxisMap,
    layout::Layout,
    system::{Form, Linear, Size, Source, System, View, bits_for},
};
use crate::{
    backend::F,
    program::{Order, Window},
    weights::{from_i64, window},
};

/// `eq` of `bits` coordinates of a point above its `low` lowest, over `size` entries in rows of `inner`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Stretch {
    low: usize,
    size: Size,
}

impl Stretch {
    /// One row of entries.
    fn flat(low: usize, size: usize) -> Self {
        let size = Size::flat(1, size);
        Self { low, size }
    }

    /// Those of the rows, and of the entries of one: the weights are their products.
    fn split(self) -> (Self, Self) {
        let (low, inner) = (self.low, self.size.inner_bits());
        (
            Self::flat(low + inner, self.size.outer()),
            Self::flat(low, self.size.inner),
        )
    }

    fn weights(self, point: &[F]) -> Vec<F> {
        let (end, bits) = (point.len() - self.low, self.size.len_bits());
        let mut all = eq_evals(&point[end - bits..end]);
        if self.size.outer() > 1 {
            return (0..self.size.len)
                .map(|i| all[self.size.padded(i)])
                .collect();
        }
        all.truncate(self.size.len);
        all
    }
}

/// Which weights the entries of an axis have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Base {
    /// Those of coordinates of `ρ`.
    Rho(Stretch),
    /// Those of the challenges of the sumcheck of products.
    Rounds(Stretch),
    /// `eq(r_j, x + 1)` over `size` inputs of a map.
    Inputs { size: usize },
    /// What the entries under a window are weighted with, if positions have weights of `ρ` and columns
    /// of the map those of `r_j`.
    Window { window: usize, positions: Stretch },
}

/// A vector over the cells of an axis of a column; an index.
pub(crate) type Axis = usize;

/// The vectors of all axes that occur, each computed once.
#[derive(Default)]
pub(crate) struct Axes {
    pub(crate) rho: Vec<F>,
    pub(crate) rounds: Vec<F>,
    /// `r_j`.
    pub(crate) inputs: Vec<F>,
    windows: Arc<Vec<Window>>,
    bases: HashMap<Base, Arc<Vec<F>>>,
    known: HashMap<(Base, AxisMap, usize), Axis>,
    pub(crate) vectors: Vec<Arc<Vec<F>>>,
}

impl Axes {
    pub(crate) fn at(rho: Vec<F>, system: &System) -> Self {
        Self {
            rho,
            windows: system.windows.clone(),
            ..Self::default()
        }
    }

    /// The weights of the entries themselves.
    pub(crate) fn base(&mut self, base: Base) -> Arc<Vec<F>> {
        if let Some(known) = self.bases.get(&base) {
            return known.clone();
        }
        let vector = match base {
            Base::Rho(stretch) => stretch.weights(&self.rho),
            Base::Rounds(stretch) => stretch.weights(&self.rounds),
            Base::Window { window, positions } => {
                let positions = self.base(Base::Rho(positions));
                window::entries(&self.windows[window], &positions, &self.inputs)
            }
            Base::Inputs { size } => {
                let mut vector = eq_evals(&self.inputs);
                vector.truncate(size + 1);
                vector.remove(0);
                vector
            }
        };
        let vector = Arc::new(vector);
        self.bases.insert(base, vector.clone());
        vector
    }

    /// What the cells of an axis are weighted with, if they are read through `map`.
    pub(crate) fn axis(&mut self, base: Base, map: &AxisMap, cells: usize) -> Axis {
        let key = (base, map.clone(), cells);
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let weights = self.base(base);
        let vector = if map.is_identity(cells) && weights.len() == cells {
            weights
        } else {
            Arc::new(map.pull(&weights, cells))
        };
        self.vectors.push(vector);
        self.known.insert(key, self.vectors.len() - 1);
        self.vectors.len() - 1
    }

    /// A vector of its own.
    pub(crate) fn push(&mut self, vector: Vec<F>) -> Axis {
        self.vectors.push(Arc::new(vector));
        self.vectors.len() - 1
    }

    pub(crate) fn vector(&self, axis: Axis) -> &[F] {
        &self.vectors[axis]
    }
}

/// Weights of both axes of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Bases {
    pub(crate) time: Base,
    pub(crate) entry: Base,
}

impl Bases {
    fn of(size: Size, base: fn(Stretch) -> Base) -> Self {
        let features = Size { time: 1, ..size };
        Self {
            time: base(Stretch::flat(size.len_bits(), size.time)),
            entry: base(Stretch {
                low: 0,
                size: features,
            }),
        }
    }

    /// Those of a box at the end of `ρ`.
    pub(crate) fn rho(size: Size) -> Self {
        Self::of(size, Base::Rho)
    }

    /// Those of a box at the end of the challenges of products.
    pub(crate) fn rounds(size: Size) -> Self {
        Self::of(size, Base::Rounds)
    }
}

/// A linear functional of the trace, and of what is public.
#[derive(Clone, Debug, Default)]
pub(crate) struct Functional {
    /// For a column and vectors of its axes, the factor.
    pub(crate) terms: HashMap<(usize, Axis, Axis), F>,
    /// Its public part.
    pub(crate) constant: F,
}

/// A small integer as an element, from a table: most integers of a trace are small.
pub(crate) fn element(x: i64) -> F {
    const HALF: i64 = 1 << 11;
    static TABLE: OnceLock<Vec<F>> = OnceLock::new();
    let table = TABLE.get_or_init(|| (-HALF..HALF).map(from_i64).collect());
    match usize::try_from(x.wrapping_add(HALF))
        .ok()
        .and_then(|at| table.get(at))
    {
        Some(known) if x.unsigned_abs() <= HALF as u64 => *known,
        _ => from_i64(x),
    }
}

pub(crate) fn from_i128(x: i128) -> F {
    if let Ok(small) = i64::try_from(x) {
        return element(small);
    }
    let magnitude = F::from_u128(x.unsigned_abs());
    if x < 0 { -magnitude } else { magnitude }
}

impl Functional {
    /// Adds `factor·Σ_x weights(x)·linear[x]`.
    pub(crate) fn add(
        &mut self,
        system: &System,
        axes: &mut Axes,
        linear: &Linear,
        bases: Bases,
        factor: F,
    ) {
        for view in &linear.views {
            let View {
                source,
                time,
                entry,
                factor: own,
            } = view;
            let factor = factor * from_i128(*own);
            let size = match source {
                Source::Column(k) => system.columns[*k].size,
                Source::Public(k) => system.publics[*k].size,
                // None is left.
                Source::Carried(_) => continue,
            };
            let time = axes.axis(bases.time, time, size.time);
            let entry = axes.axis(bases.entry, entry, size.len);
            match source {
                Source::Column(k) => {
                    *self.terms.entry((*k, time, entry)).or_insert(F::ZERO) += factor;
                }
                Source::Public(k) => {
                    let values = &system.publics[*k].values;
                    let (time, entry) = (axes.vector(time), axes.vector(entry));
                    let mut sum = F::ZERO;
                    for (t, row) in time.iter().zip(values.chunks(size.len)) {
                        let inner: F = (row.iter().zip(entry)).map(|(x, e)| from_i64(*x) * e).sum();
                        sum += inner * t;
                    }
                    self.constant += sum * factor;
                }
                Source::Carried(_) => {}
            }
        }
    }
}

/// Rows of a map at a point: `Y(·, s)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pair {
    pub(crate) map: usize,
    /// Vector over the rows of the map.
    pub(crate) rows: Axis,
}

/// `κ·Aff^`.
pub(crate) struct AffineTerm {
    /// Index of the pair.
    pub(crate) pair: usize,
    pub(crate) input: usize,
    pub(crate) bias: bool,
    /// Weights of the frames.
    pub(crate) time: Base,
    /// A window, and which weights its positions have.
    pub(crate) window: Option<(usize, Stretch)>,
    pub(crate) factor: F,
}

impl AffineTerm {
    /// Which weights the entries of the input have.
    pub(crate) fn entries(&self, system: &System) -> Base {
        match self.window {
            Some((window, positions)) => Base::Window { window, positions },
            None => Base::Inputs {
                size: system.inputs[self.input].size.len,
            },
        }
    }

    /// Weights of all biases.
    pub(crate) fn bias(&self, axes: &mut Axes) -> F {
        let time: F = axes.base(self.time).iter().sum();
        match self.window {
            Some((_, positions)) => time * axes.base(Base::Rho(positions)).iter().sum::<F>(),
            None => time,
        }
    }
}

/// The right side of the equation.
pub(crate) struct Equation {
    pub(crate) linear: Functional,
    pub(crate) pairs: Vec<Pair>,
    pub(crate) affines: Vec<AffineTerm>,
    /// `κ_e` of every product.
    pub(crate) products: Vec<F>,
}

/// Challenges of lookups and identities.
pub(crate) struct Fingerprint {
    pub(crate) alpha: F,
    /// `β, β², β³`.
    pub(crate) beta: [F; 3],
}

impl Fingerprint {
    pub(crate) fn new(alpha: F, beta: F) -> Self {
        let square = beta.square();
        Self {
            alpha,
            beta: [beta, square, square * beta],
        }
    }

    /// The denominator of a row of a table.
    pub(crate) fn of_row(&self, table: usize, row: &[i64; 3]) -> F {
        let id = F::from(table as u64 + 1);
        (row.iter().zip(&self.beta)).fold(self.alpha - id, |sum, (v, beta)| {
            if *v == 0 {
                sum
            } else {
                sum - from_i64(*v) * beta
            }
        })
    }
}

/// Pair, input, bias, weights of the frames, window.
type AffineKey = (usize, usize, bool, Base, Option<(usize, Stretch)>);

struct Builder<'a> {
    system: &'a System,
    axes: &'a mut Axes,
    equation: Equation,
    pairs: HashMap<Pair, usize>,
    affines: HashMap<AffineKey, usize>,
}

impl Builder<'_> {
    fn form(&mut self, form: &Form, factor: F) {
        let bases = Bases::rho(form.size());
        (self.equation.linear).add(self.system, self.axes, &form.linear, bases, factor);
        for affine in &form.affines {
            let cells = self.system.map_rows[affine.map];
            let window = affine.window.map(|window| {
                let features = Size {
                    time: 1,
                    ..form.size()
                };
                let (outer, inner) = Stretch {
                    low: 0,
                    size: features,
                }
                .split();
                match self.system.windows[window].order {
                    Order::Rows => (outer, (window, inner)),
                    Order::Positions => (inner, (window, outer)),
                }
            });
            let entry = window.map_or(bases.entry, |(rows, _)| Base::Rho(rows));
            let window = window.map(|(_, positions)| positions);
            let rows = self.axes.axis(entry, &affine.rows, cells);
            let pair = Pair {
                map: affine.map,
                rows,
            };
            let count = self.pairs.len();
            let index = *self.pairs.entry(pair.clone()).or_insert(count);
            if index == count {
                self.equation.pairs.push(pair);
            }
            let key = (index, affine.input, affine.bias, bases.time, window);
            let factor = factor * from_i128(affine.factor);
            let count = self.affines.len();
            let at = *self.affines.entry(key).or_insert(count);
            if at == count {
                self.equation.affines.push(AffineTerm {
                    pair: index,
                    input: affine.input,
                    bias: affine.bias,
                    time: bases.time,
                    window,
                    factor: F::ZERO,
                });
            }
            self.equation.affines[at].factor += factor;
        }
        for (product, own) in &form.products {
            self.equation.products[*product] += factor * from_i128(*own);
        }
    }
}

impl Equation {
    /// All lookups and identities at `ρ`, whose last coordinates are `ρ_L`.
    pub(crate) fn new(
        system: &System,
        layout: &Layout,
        axes: &mut Axes,
        fingerprint: &Fingerprint,
        delta: F,
    ) -> Self {
        let leaf_point = axes.rho[axes.rho.len() - layout.leaf_bits..].to_vec();
        let mut builder = Builder {
            system,
            axes,
            equation: Self {
                linear: Functional::default(),
                pairs: Vec::new(),
                affines: Vec::new(),
                products: vec![F::ZERO; system.products.len()],
            },
            pairs: HashMap::new(),
            affines: HashMap::new(),
        };
        let half = F::from(2).invert().unwrap_or(F::ZERO);
        let mut covered = F::ZERO;
        for group in &layout.groups {
            let lookup = &system.lookups[group.lookup];
            let size = lookup.size();
            let prefix = &leaf_point[..layout.leaf_bits - group.bits];
            let weight = layerfold_gadgets::mle::eq_index_native(
                (group.offset >> group.bits) as u64,
                prefix,
            );
            let bases = Bases::rho(size);
            let time: F = builder.axes.base(bases.time).iter().sum();
            let entry: F = builder.axes.base(bases.entry).iter().sum();
            let one = weight * time * entry;
            covered += one;
            let id = F::from(lookup.table as u64 + 1);
            builder.equation.linear.constant += one * (fingerprint.alpha - id + delta);
            for (part, beta) in lookup.parts.iter().zip(&fingerprint.beta) {
                let scale = half.pow_vartime([u64::from(part.shift)]);
                builder.form(&part.form, -(weight * beta * scale));
            }
        }
        let first = fingerprint.of_row(0, &system.tables[0].rows[0]);
        builder.equation.linear.constant += (first + delta) * (F::ONE - covered);
        let mut power = delta.square();
        for identity in &system.identities {
            builder.form(identity, power);
            power *= delta;
        }
        builder.equation
    }

    /// Bits of the number of pairs.
    pub(crate) fn pair_bits(&self) -> usize {
        bits_for(self.pairs.len())
    }
}

/// Bits of the largest identity: more than the leaves may have.
pub(crate) fn point_bits(system: &System, layout: &Layout) -> usize {
    let identities = system.identities.iter().map(|f| f.size().bits());
    identities.fold(layout.leaf_bits, usize::max)
}
