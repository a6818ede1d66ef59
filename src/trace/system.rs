//! What is to be shown of a run: columns, lookups, identities and products (protocol notes, 13.2).
//!
//! A *box* has a time axis, the frames of the run or a single one, and a feature axis. A *column* is a
//! box of committed integers. A *form* is what an entry of a box is computed as: linear maps of
//! columns and public vectors, matrix products with the bank, and products of linear forms. Forms are
//! never committed to.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

pub(crate) use super::size::{Size, Table, bits_for};
use super::{axis::AxisMap, digest::RowKind, fill::Fill};
use crate::program::Window;

/// Committed integers.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) size: Size,
    /// How the prover computes them.
    pub(crate) fill: Fill,
    /// Whether they stand in rows of their own, whose commitments are the digest of a statement.
    pub(crate) digest: Option<RowKind>,
}

/// Integers that the verifier knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Public {
    pub(crate) size: Size,
    /// Frame by frame.
    pub(crate) values: Arc<Vec<i64>>,
}

/// Where the cells of a view are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Source {
    Column(usize),
    Public(usize),
    /// A part of the vector carried on, as a frame finds it. None is left in a finished system.
    Carried(usize),
}

/// A linear map of a column or a public vector, times a number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct View {
    pub(crate) source: Source,
    pub(crate) time: AxisMap,
    pub(crate) entry: AxisMap,
    pub(crate) factor: i128,
}

/// A sum of views.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Linear {
    pub(crate) size: Size,
    pub(crate) views: Vec<View>,
}

/// `factor·Aff`, `Aff[t, i] = bias·W(map, i', 0) + Σ_j W(map, i', j)·input[t, j − 1]`, `i'` by the map
/// of rows; or the same for every position of a window, with what of the input is under it. Then the
/// features of the box are rows of the map and positions, in the order of the window, and no others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Affine {
    pub(crate) map: usize,
    pub(crate) rows: AxisMap,
    /// Index among the [windows](System::windows).
    pub(crate) window: Option<usize>,
    /// Index among the [inputs](System::inputs) of products with the bank.
    pub(crate) input: usize,
    pub(crate) bias: bool,
    pub(crate) factor: i128,
}

/// What a product runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ProductKind {
    /// Entry by entry: `left[t, i]·right[t, i]`.
    Entries,
    /// `Σ_i left[t, i]·right[t, i]`, one entry for each `t`.
    Sum,
}

/// A product of two linear forms.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Product {
    pub(crate) kind: ProductKind,
    pub(crate) left: Linear,
    pub(crate) right: Linear,
}

impl Product {
    /// The box that it runs over.
    pub(crate) fn size(&self) -> Size {
        self.left.size
    }
}

/// What an entry of a box is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) linear: Linear,
    pub(crate) affines: Vec<Affine>,
    /// Products by index, with factors.
    pub(crate) products: Vec<(usize, i128)>,
}

impl Form {
    pub(crate) fn size(&self) -> Size {
        self.linear.size
    }
}

/// A part of a looked-up tuple: `2^(−shift)·form`.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) form: Form,
    pub(crate) shift: u32,
}

/// Every entry's tuple is a row of the table; parts that are missing are zero.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    pub(crate) table: usize,
    pub(crate) parts: Vec<Part>,
    /// The row, as the prover knows it.
    pub(crate) row: Fill,
}

impl Lookup {
    pub(crate) fn size(&self) -> Size {
        self.parts[0].form.size()
    }
}

/// What is shown of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct System {
    /// Rows of the maps of the bank.
    pub(crate) map_rows: Vec<usize>,
    pub(crate) columns: Vec<Column>,
    pub(crate) publics: Vec<Public>,
    pub(crate) tables: Vec<Table>,
    pub(crate) lookups: Vec<Lookup>,
    /// Zero in every entry.
    pub(crate) identities: Vec<Form>,
    pub(crate) products: Vec<Product>,
    /// What the bank is multiplied with.
    pub(crate) inputs: Vec<Linear>,
    pub(crate) windows: Arc<Vec<Window>>,
}

/// What a factor becomes that is too large: a system with such a factor is refused.
///
/// Factors of valid programs stay far below: a range that holds all values of a register bounds them,
/// unless the register can have one value only. With factors below `2^96`, entries below `2^64` and the
/// sizes that layouts allow, no linear form comes near the size of the field.
pub(crate) const TOO_LARGE: i128 = i128::MIN;
const MOST_FACTOR: i128 = 1 << 96;

fn bounded(factor: Option<i128>) -> i128 {
    factor
        .filter(|f| (-MOST_FACTOR..=MOST_FACTOR).contains(f))
        .unwrap_or(TOO_LARGE)
}

/// A product of factors.
pub(crate) fn times(a: i128, b: i128) -> i128 {
    if a == TOO_LARGE || b == TOO_LARGE {
        return TOO_LARGE;
    }
    bounded(a.checked_mul(b))
}

/// A sum of factors.
fn plus(a: i128, b: i128) -> i128 {
    if a == TOO_LARGE || b == TOO_LARGE {
        return TOO_LARGE;
    }
    bounded(a.checked_add(b))
}

/// Appends terms, of which those of one key become one; terms with the factor 0 are dropped.
fn merge<T, K: Eq + std::hash::Hash>(
    terms: &mut Vec<T>,
    more: impl Iterator<Item = T>,
    key: impl Fn(&T) -> K,
    factor: impl Fn(&mut T) -> &mut i128,
) {
    let mut places: HashMap<K, usize> = (terms.iter().enumerate())
        .map(|(at, term)| (key(term), at))
        .collect();
    for mut term in more {
        let at = *places.entry(key(&term)).or_insert(terms.len());
        match terms.get_mut(at) {
            Some(there) => *factor(there) = plus(*factor(there), *factor(&mut term)),
            None => terms.push(term),
        }
    }
    terms.retain_mut(|term| *factor(term) != 0);
}

impl Linear {
    pub(crate) fn zero(size: Size) -> Self {
        Self {
            size,
            views: Vec::new(),
        }
    }

    /// All of a source.
    pub(crate) fn of(source: Source, size: Size) -> Self {
        Self {
            size,
            views: vec![View {
                source,
                time: AxisMap::identity(size.time),
                entry: AxisMap::identity(size.len),
                factor: 1,
            }],
        }
    }

    /// The same features as those of another box: these count as they stand.
    pub(crate) fn in_box(self, size: Size) -> Self {
        Self { size, ..self }
    }

    pub(crate) fn add(&mut self, other: &Self, factor: i128) {
        self.add_views(other.views.iter().map(|view| View {
            factor: times(view.factor, factor),
            ..view.clone()
        }));
    }

    /// Adds views.
    pub(crate) fn add_views(&mut self, more: impl Iterator<Item = View>) {
        let key = |v: &View| (v.source, v.time.clone(), v.entry.clone());
        merge(&mut self.views, more, key, |v| &mut v.factor);
    }

    /// Read through maps of both axes; `None` if a map of the views cannot be.
    pub(crate) fn read(&self, time: &AxisMap, entry: &AxisMap, size: Size) -> Option<Self> {
        let mut out = Self::zero(size);
        for view in &self.views {
            let (time, a) = view.time.after(time)?;
            let (entry, b) = view.entry.after(entry)?;
            if time.from < time.to && entry.from < entry.to {
                out.views.push(View {
                    source: view.source,
                    time,
                    entry,
                    factor: times(times(view.factor, a.into()), b.into()),
                });
            }
        }
        Some(out)
    }
}

impl Form {
    pub(crate) fn of(linear: Linear) -> Self {
        Self {
            linear,
            affines: Vec::new(),
            products: Vec::new(),
        }
    }

    pub(crate) fn is_linear(&self) -> bool {
        self.affines.is_empty() && self.products.is_empty()
    }

    /// Whether the features are those of rows of maps and positions of windows: these, and products,
    /// have weights that depend on the box.
    pub(crate) fn has_windows(&self) -> bool {
        self.affines.iter().any(|a| a.window.is_some())
    }

    /// Adds `factor·other`, which has no windows nor products, or is of the same box; terms that differ
    /// in the factor alone become one.
    pub(crate) fn add(&mut self, other: &Self, factor: i128) {
        self.linear.add(&other.linear, factor);
        let more = other.affines.iter().map(|affine| Affine {
            factor: times(affine.factor, factor),
            ..affine.clone()
        });
        let key = |a: &Affine| (a.map, a.input, a.bias, a.window, a.rows.clone());
        merge(&mut self.affines, more, key, |a| &mut a.factor);
        self.add_products(
            other
                .products
                .iter()
                .map(|(p, own)| (*p, times(*own, factor))),
        );
    }

    /// Adds multiples of products.
    pub(crate) fn add_products(&mut self, more: impl Iterator<Item = (usize, i128)>) {
        merge(&mut self.products, more, |p| p.0, |p| &mut p.1);
    }

    /// Number of terms.
    pub(crate) fn terms(&self) -> usize {
        self.linear.views.len() + self.affines.len() + self.products.len()
    }
}

impl System {
    /// All linear forms.
    fn linears(&self) -> impl Iterator<Item = &Linear> {
        let parts = self.lookups.iter().flat_map(|l| &l.parts);
        let forms = parts.map(|p| &p.form).chain(&self.identities);
        let products = self.products.iter().flat_map(|p| [&p.left, &p.right]);
        (forms.map(|f| &f.linear))
            .chain(products)
            .chain(&self.inputs)
    }

    fn forms(&mut self) -> impl Iterator<Item = &mut Form> {
        let parts = self.lookups.iter_mut().flat_map(|l| &mut l.parts);
        parts.map(|p| &mut p.form).chain(&mut self.identities)
    }

    /// Drops products that no lookup and no identity has.
    pub(crate) fn drop_unused_products(&mut self) {
        let mut used = vec![false; self.products.len()];
        for form in self.forms() {
            for (product, _) in &form.products {
                used[*product] = true;
            }
        }
        let mut next = 0;
        let places: Vec<usize> = (used.iter())
            .map(|used| {
                next += usize::from(*used);
                next.wrapping_sub(1)
            })
            .collect();
        for form in self.forms() {
            for (product, _) in &mut form.products {
                *product = places[*product];
            }
        }
        let mut used = used.into_iter();
        self.products.retain(|_| used.next().unwrap_or(false));
    }

    /// Whether factors are small, and the vectors and public sums that the argument computes of all
    /// views are of a size that a verifier can be asked for.
    pub(crate) fn is_moderate(&self) -> bool {
        /// Cells of all different vectors of axes, and of public vectors over all views.
        const MOST_CELLS: usize = 1 << 23;
        const MOST_PUBLIC: usize = 1 << 26;
        /// Cells of windows times their offsets.
        const MOST_WORK: usize = 1 << 27;
        /// Bits of the index of a form.
        const MOST_BITS: usize = 25;
        let (mut axes, mut cells, mut public, mut work) = (HashSet::new(), 0usize, 0usize, 0usize);
        for linear in self.linears() {
            for view in &linear.views {
                let size = match view.source {
                    Source::Column(k) => self.columns[k].size,
                    Source::Public(k) => {
                        let size = self.publics[k].size;
                        public = public.saturating_add(size.cells());
                        size
                    }
                    Source::Carried(_) => return false,
                };
                for (map, len) in [(&view.time, size.time), (&view.entry, size.len)] {
                    if axes.insert((linear.size, map, len)) {
                        cells = cells.saturating_add(len);
                    }
                }
                if view.factor == TOO_LARGE || cells > MOST_CELLS || public > MOST_PUBLIC {
                    return false;
                }
            }
        }
        // Every product with the bank has its own sums over its input, and a window its own weights.
        let mut terms = HashSet::new();
        let parts = self.lookups.iter().flat_map(|l| &l.parts);
        for form in parts.map(|p| &p.form).chain(&self.identities) {
            if form.size().bits() > MOST_BITS {
                return false;
            }
            for affine in &form.affines {
                let key = (affine.map, affine.input, affine.window, affine.bias);
                if !terms.insert((key, &affine.rows, form.size())) {
                    continue;
                }
                let window = affine.window.map(|w| &self.windows[w]);
                cells = cells.saturating_add(window.map_or(0, Window::len));
                work = work.saturating_add(window.map_or(0, Window::work));
                for view in &self.inputs[affine.input].views {
                    match view.source {
                        Source::Column(k) if window.is_some() => {
                            cells = cells.saturating_add(self.columns[k].size.len);
                        }
                        Source::Public(k) => {
                            let size = self.publics[k].size;
                            public = public.saturating_add(size.cells());
                            cells = cells.saturating_add(window.map_or(0, |_| size.len));
                        }
                        Source::Column(_) | Source::Carried(_) => {}
                    }
                }
                if cells > MOST_CELLS || public > MOST_PUBLIC || work > MOST_WORK {
                    return false;
                }
            }
        }
        let parts = self.lookups.iter().flat_map(|l| &l.parts);
        let mut forms = parts.map(|p| &p.form).chain(&self.identities);
        forms.all(|form| {
            form.affines.iter().all(|a| a.factor != TOO_LARGE)
                && form.products.iter().all(|(_, f)| *f != TOO_LARGE)
        })
    }
}
