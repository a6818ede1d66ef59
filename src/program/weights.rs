//! The integers of a model: its affine maps, as the bank `W(l, i, j)` of the protocol notes, 3.

use std::{borrow::Cow, ops, sync::Arc};

use zeroize::Zeroize;

use super::{BankDimensions, Range, Window};
use crate::error::{Error, Reason};

/// An affine map `x ↦ W·x + b` over the integers, stored dense or sparse.
///
/// Two maps are equal if they are the same function, however they are stored: so are their
/// commitments, with the same seed.
///
/// Secret material: `Debug` shows the shape only, and the integers are zeroised on drop, the places
/// of a sparse map's weights too.
#[derive(Clone)]
pub struct AffineMap {
    rows: usize,
    columns: usize,
    weights: Weights,
    bias: Vec<i64>,
}

#[derive(Clone)]
enum Weights {
    /// Row-major, `rows·columns`.
    Dense(Vec<i16>),
    /// Compressed rows: those of row `i` are `ends[i]..ends[i + 1]`. None is zero.
    Sparse {
        ends: Vec<usize>,
        columns: Vec<u32>,
        weights: Vec<i16>,
    },
}

/// Weights of one row of a map.
#[derive(Clone, Copy)]
pub enum Row<'a> {
    /// All of them, by column.
    Dense(&'a [i16]),
    /// Those that are not zero: their columns, ascending, and their values. Both are as long.
    Sparse(&'a [u32], &'a [i16]),
}

impl<'a> Row<'a> {
    /// What is stored: all weights of a dense row, those that are not zero of a sparse one.
    #[must_use]
    pub fn weights(&self) -> &'a [i16] {
        match *self {
            Self::Dense(weights) | Self::Sparse(_, weights) => weights,
        }
    }

    /// The weights that are not zero, with their columns, ascending.
    pub fn entries(&self) -> impl Iterator<Item = (usize, i16)> + use<'a> {
        let (dense, columns, weights): (&[i16], &[u32], &[i16]) = match *self {
            Self::Dense(weights) => (weights, &[], &[]),
            Self::Sparse(columns, weights) => (&[], columns, weights),
        };
        let sparse = columns
            .iter()
            .map(|j| *j as usize)
            .zip(weights.iter().copied());
        let dense = dense.iter().copied().enumerate();
        dense.chain(sparse).filter(|(_, w)| *w != 0)
    }

    /// The weights of the columns in `range`.
    pub(crate) fn stretch(&self, range: ops::Range<usize>) -> Stretch<'a> {
        let first = range.start;
        let row = match *self {
            Self::Dense(weights) => Self::Dense(&weights[range]),
            Self::Sparse(columns, weights) => {
                let from = columns.partition_point(|j| (*j as usize) < range.start);
                let to = columns.partition_point(|j| (*j as usize) < range.end);
                Self::Sparse(&columns[from..to], &weights[from..to])
            }
        };
        Stretch { first, row }
    }

    /// `Σ_j w_j·x_j`; `x` is zero beyond its length. For `|x_j| < 2^16`.
    fn dot(&self, x: &[i64]) -> i64 {
        // |w·x| < 2^31 and there are less than 2^25 columns: no overflow in 64 bits.
        match *self {
            Self::Dense(weights) => dot(weights, x),
            Self::Sparse(columns, weights) => {
                let known = columns.partition_point(|j| (*j as usize) < x.len());
                let products = columns[..known].iter().zip(weights);
                products.map(|(j, w)| i64::from(*w) * x[*j as usize]).sum()
            }
        }
    }
}

fn dot(weights: &[i16], x: &[i64]) -> i64 {
    weights.iter().zip(x).map(|(w, x)| i64::from(*w) * x).sum()
}

impl std::fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Row(redacted)")
    }
}

/// Some columns of a row.
#[derive(Clone, Copy)]
pub(crate) struct Stretch<'a> {
    /// The column of the row that is column 0 here.
    first: usize,
    /// The weights; a sparse row's columns are still counted from the row's first.
    row: Row<'a>,
}

impl<'a> Stretch<'a> {
    /// All weights of a dense row.
    pub(crate) fn dense(&self) -> Option<&'a [i16]> {
        match self.row {
            Row::Dense(weights) => Some(weights),
            Row::Sparse(..) => None,
        }
    }

    /// The weights that are not zero, with their columns from the stretch's first.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (usize, i16)> + use<'a> {
        let first = match self.row {
            Row::Dense(_) => 0,
            Row::Sparse(..) => self.first,
        };
        self.row.entries().map(move |(j, w)| (j - first, w))
    }
}

/// Appends; when the room is used up the old memory is erased.
fn push<T: Copy + Zeroize>(list: &mut Vec<T>, value: T) {
    if list.len() == list.capacity() {
        let mut larger = Vec::with_capacity((2 * list.len()).max(64));
        larger.extend_from_slice(list);
        std::mem::replace(list, larger).zeroize();
    }
    list.push(value);
}

impl AffineMap {
    /// A map of `bias.len()` rows and `columns` columns; `weights` are row-major.
    ///
    /// # Errors
    /// If a dimension is zero or `weights` has not `rows·columns` entries.
    pub fn new(columns: usize, weights: Vec<i16>, bias: Vec<i64>) -> Result<Self, Error> {
        let map = Self {
            rows: bias.len(),
            columns,
            weights: Weights::Dense(weights),
            bias,
        };
        map.has_dimensions()?;
        let got = map.weights_stored().len();
        let expected = map.rows.saturating_mul(columns);
        if got != expected {
            return Err(Reason::Shape {
                what: "weights of an affine map",
                expected,
                got,
            }
            .into());
        }
        Ok(map)
    }

    /// A map of `bias.len()` rows and `columns` columns, most of whose weights are zero: of each
    /// row the columns and values of the others, the columns strictly ascending. Zeros may be among
    /// them; they are not stored.
    ///
    /// Memory, and the time of everything that is done with the map but for its bias, are
    /// proportional to the number of weights that are not zero.
    ///
    /// # Errors
    /// If a dimension is zero, there is not one entry of `rows` for each row, columns do not ascend
    /// or there is no such column.
    pub fn sparse<R>(
        columns: usize,
        rows: impl IntoIterator<Item = R>,
        bias: Vec<i64>,
    ) -> Result<Self, Error>
    where
        R: IntoIterator<Item = (u32, i16)>,
    {
        let mut ends = Vec::with_capacity(bias.len() + 1);
        ends.push(0);
        // From here on whatever happens erases what was read.
        let mut map = Self {
            rows: bias.len(),
            columns,
            weights: Weights::Sparse {
                ends,
                columns: Vec::new(),
                weights: Vec::new(),
            },
            bias,
        };
        map.has_dimensions()?;
        let expected = map.rows;
        let Weights::Sparse {
            ends,
            columns: places,
            weights,
        } = &mut map.weights
        else {
            return Err(Reason::Empty { what: "affine map" }.into());
        };
        for row in rows {
            let mut least = 0u64;
            for (j, w) in row {
                if u64::from(j) < least || j as usize >= columns {
                    return Err(Reason::Range {
                        what: "column of a sparse row, which must ascend",
                        got: j.into(),
                        least: least.into(),
                        most: columns as i128 - 1,
                    }
                    .into());
                }
                least = u64::from(j) + 1;
                if w != 0 {
                    push(places, j);
                    push(weights, w);
                }
            }
            ends.push(weights.len());
            if ends.len() > expected + 1 {
                break;
            }
        }
        let got = ends.len() - 1;
        if got != expected {
            return Err(Reason::Shape {
                what: "rows of a sparse map",
                expected,
                got,
            }
            .into());
        }
        Ok(map)
    }

    fn has_dimensions(&self) -> Result<(), Error> {
        if self.rows == 0 || self.columns == 0 {
            return Err(Reason::Empty { what: "affine map" }.into());
        }
        Ok(())
    }

    /// Number of outputs.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of inputs.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Weights of one row, as they are stored.
    #[must_use]
    pub fn row(&self, i: usize) -> Row<'_> {
        match &self.weights {
            Weights::Dense(weights) => {
                Row::Dense(&weights[i * self.columns..(i + 1) * self.columns])
            }
            Weights::Sparse {
                ends,
                columns,
                weights,
            } => {
                let range = ends[i]..ends[i + 1];
                Row::Sparse(&columns[range.clone()], &weights[range])
            }
        }
    }

    /// All weights of one row, by column. Of a sparse map it is a copy, which is not erased when
    /// dropped.
    #[must_use]
    pub fn dense_row(&self, i: usize) -> Cow<'_, [i16]> {
        match self.row(i) {
            Row::Dense(weights) => Cow::Borrowed(weights),
            row @ Row::Sparse(..) => {
                let mut weights = vec![0; self.columns];
                for (j, w) in row.entries() {
                    weights[j] = w;
                }
                Cow::Owned(weights)
            }
        }
    }

    /// The bias column.
    #[must_use]
    pub fn bias(&self) -> &[i64] {
        &self.bias
    }

    /// The weights that are stored, row by row: all of them, or those that are not zero.
    pub(crate) fn weights_stored(&self) -> &[i16] {
        match &self.weights {
            Weights::Dense(weights) | Weights::Sparse { weights, .. } => weights,
        }
    }

    /// All weights, row-major, if the map is dense.
    pub(crate) fn dense_weights(&self) -> Option<&[i16]> {
        match &self.weights {
            Weights::Dense(weights) => Some(weights),
            Weights::Sparse { .. } => None,
        }
    }

    /// Number of weights stored before row `i`; `i` may be the number of rows.
    pub(crate) fn stored_before(&self, i: usize) -> usize {
        match &self.weights {
            Weights::Dense(_) => i * self.columns,
            Weights::Sparse { ends, .. } => ends[i],
        }
    }

    /// Adds `W·x`, and `b` if `with_bias`, to `y`; `x` is zero beyond its length, and its entries
    /// are below `2^16` in size.
    pub(crate) fn accumulate(&self, x: &[i64], with_bias: bool, y: &mut [i128]) {
        for (i, y) in y.iter_mut().enumerate().take(self.rows) {
            *y += i128::from(self.row(i).dot(x));
            if with_bias {
                *y += i128::from(self.bias[i]);
            }
        }
    }

    /// The same at every position of a window, if there is one; `y` has an entry for each row and
    /// position, or more.
    pub(crate) fn accumulate_at(
        &self,
        window: Option<&Window>,
        x: &[i64],
        with_bias: bool,
        y: &mut [i128],
    ) {
        let Some(window) = window else {
            return self.accumulate(x, with_bias, y);
        };
        let (of_row, of_position) = window.strides(self.rows);
        let mut under = vec![0i64; self.columns];
        for p in 0..window.positions() {
            for (column, entry) in window.at(p) {
                under[column] = entry.and_then(|at| x.get(at)).copied().unwrap_or(0);
            }
            for i in 0..self.rows {
                let y = &mut y[i * of_row + p * of_position];
                *y += i128::from(self.row(i).dot(&under));
                if with_bias {
                    *y += i128::from(self.bias[i]);
                }
            }
        }
    }

    /// The least and the largest value of row `i` for entries in `range`, the bias counted if
    /// `with_bias`.
    pub(crate) fn extent(&self, i: usize, with_bias: bool, range: Range) -> (i128, i128) {
        // Less than 2^32 weights.
        let (mut positive, mut negative) = (0i64, 0i64);
        for w in self.row(i).weights() {
            positive += i64::from(*w.max(&0));
            negative += i64::from(*w.min(&0));
        }
        let (positive, negative) = (i128::from(positive), i128::from(negative));
        let (least, most) = (i128::from(range.least), i128::from(range.most));
        let bias = if with_bias { self.bias[i].into() } else { 0 };
        (
            bias + positive * least + negative * most,
            bias + positive * most + negative * least,
        )
    }
}

impl PartialEq for AffineMap {
    fn eq(&self, other: &Self) -> bool {
        if self.columns != other.columns || self.bias != other.bias {
            return false;
        }
        match (self.dense_weights(), other.dense_weights()) {
            (Some(a), Some(b)) => a == b,
            _ => (0..self.rows).all(|i| self.row(i).entries().eq(other.row(i).entries())),
        }
    }
}

impl Eq for AffineMap {}

impl std::fmt::Debug for AffineMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AffineMap({}×{}, redacted)", self.rows, self.columns)
    }
}

impl Drop for AffineMap {
    fn drop(&mut self) {
        match &mut self.weights {
            Weights::Dense(weights) => weights.zeroize(),
            Weights::Sparse {
                ends,
                columns,
                weights,
            } => {
                ends.zeroize();
                columns.zeroize();
                weights.zeroize();
            }
        }
        self.bias.zeroize();
    }
}

/// Some rows of one map of a bank.
#[derive(Clone)]
pub(crate) struct Rows<'a> {
    /// Index of the map.
    pub(crate) l: usize,
    pub(crate) map: &'a AffineMap,
    pub(crate) rows: ops::Range<usize>,
}

/// Cuts rows into at most `count` parts of about the same work, and into fewer if there is little.
pub(crate) fn split<'a>(rows: impl Iterator<Item = Rows<'a>>, count: usize) -> Vec<Vec<Rows<'a>>> {
    /// What a row costs beside its weights, in weights.
    const ROW: usize = 50;
    /// Work that is not worth being cut.
    const LITTLE: usize = 1 << 15;
    let rows: Vec<_> = rows.collect();
    let before = |map: &AffineMap, i: usize| map.stored_before(i) + ROW * i;
    let work = |r: &Rows<'_>| before(r.map, r.rows.end) - before(r.map, r.rows.start);
    let all: usize = rows.iter().map(work).sum();
    let size = all.div_ceil(count.max(1)).max(LITTLE);
    let mut parts = vec![Vec::new()];
    let mut room = size;
    for mut rest in rows {
        while !rest.rows.is_empty() {
            let (start, end) = (rest.rows.start, rest.rows.end);
            let limit = before(rest.map, start) + room;
            // The first row that is too much, but one at the least.
            let (mut low, mut high) = (start + 1, end);
            while low < high {
                let middle = low.midpoint(high);
                if before(rest.map, middle) >= limit {
                    high = middle;
                } else {
                    low = middle + 1;
                }
            }
            let part = Rows {
                rows: start..low,
                ..rest
            };
            room = room.saturating_sub(work(&part));
            rest.rows.start = low;
            if let Some(last) = parts.last_mut() {
                last.push(part);
            }
            if room == 0 {
                parts.push(Vec::new());
                room = size;
            }
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// All affine maps of a model, in order. Copies share them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightBank {
    maps: Vec<Arc<AffineMap>>,
}

impl WeightBank {
    /// A bank of these maps.
    ///
    /// # Errors
    /// If there is none.
    pub fn new<M: Into<Arc<AffineMap>>>(maps: Vec<M>) -> Result<Self, Error> {
        if maps.is_empty() {
            return Err(Reason::Empty {
                what: "weight bank",
            }
            .into());
        }
        Ok(Self {
            maps: maps.into_iter().map(Into::into).collect(),
        })
    }

    /// The maps.
    #[must_use]
    pub fn maps(&self) -> &[Arc<AffineMap>] {
        &self.maps
    }

    /// Number of weights that are stored: all of a dense map, those that are not zero of a sparse
    /// one. Biases are not counted.
    #[must_use]
    pub fn weight_count(&self) -> usize {
        self.maps.iter().map(|m| m.weights_stored().len()).sum()
    }

    /// All rows in at most `count` parts of about the same work.
    pub(crate) fn parts(&self, count: usize) -> Vec<Vec<Rows<'_>>> {
        let maps = self.maps.iter().enumerate();
        split(
            maps.map(|(l, map)| Rows {
                l,
                map,
                rows: 0..map.rows,
            }),
            count,
        )
    }

    pub(crate) fn fits(&self, dimensions: &BankDimensions) -> bool {
        self.maps.len() as u64 <= 1 << dimensions.lambda
            && self.maps.iter().all(|m| {
                m.rows as u64 <= 1 << dimensions.mu && (m.columns as u64) < 1 << dimensions.nu
            })
    }
}
