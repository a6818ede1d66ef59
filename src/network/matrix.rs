//! Sparse matrices of real numbers.

use std::{fmt, sync::Arc};

use ndarray::ArrayView2;
use zeroize::{Zeroize, Zeroizing};

use super::{composed, limit, wrong};
use crate::{error::Error, program::Window};

/// Largest number of rows or columns.
pub(super) const MAX_LEN: usize = 1 << 24;
/// Largest number of entries that are not zero, of one matrix and of all matrices of a network.
pub(super) const MAX_NONZEROS: usize = 1 << 28;

/// A sparse matrix in compressed rows: in every row the entries that are stored, columns ascending.
/// Zeros are stored only if they are weights of a dense layer or a convolution.
///
/// Secret material: `Debug` shows the dimensions only; entries and their places are zeroised on drop.
#[derive(Clone)]
pub struct SparseMatrix {
    columns: usize,
    /// Row `i` has the entries `ends[i]..ends[i + 1]`.
    ends: Vec<usize>,
    places: Vec<u32>,
    values: Vec<f32>,
    /// Whether the entries are weights, which zeros among them are too: what is made of the matrix must
    /// not depend on their values.
    weights: bool,
    /// A guess: the window under which it is the expansion of a kernel.
    window: Option<Arc<Window>>,
}

impl SparseMatrix {
    /// A matrix of `rows` rows and `columns` columns with the entries `(row, column, value)`, in any order;
    /// several in one place are added.
    ///
    /// # Errors
    /// If a dimension is zero or over 2^24, an entry is outside of the matrix or not finite, or
    /// there are more than 2^28.
    pub fn new(
        rows: usize,
        columns: usize,
        triplets: impl IntoIterator<Item = (usize, usize, f32)>,
    ) -> Result<Self, Error> {
        check_dimensions(rows, columns)?;
        let triplets = triplets.into_iter();
        let mut entries: Vec<(u32, u32, f32)> =
            Vec::with_capacity(triplets.size_hint().0.min(1 << 20));
        for (row, column, value) in triplets {
            if row >= rows || column >= columns {
                return Err(wrong(
                    "sparse matrix",
                    format!("an entry at ({row}, {column}) is outside of {rows}×{columns}"),
                ));
            }
            if entries.len() >= MAX_NONZEROS {
                return Err(too_many(MAX_NONZEROS + 1, MAX_NONZEROS));
            }
            #[expect(clippy::cast_possible_truncation, reason = "at most 2^24 of each")]
            entries.push((row as u32, column as u32, value));
        }
        entries.sort_by_key(|(row, column, _)| (*row, *column));
        let mut matrix = Builder::new(columns, rows, entries.len());
        let mut left = entries.iter().peekable();
        for row in 0..rows {
            let of_row = |e: &&(u32, u32, f32)| e.0 as usize == row;
            while let Some((_, column, value)) = left.next_if(of_row) {
                let mut sum = f64::from(*value);
                while let Some((.., more)) = left.next_if(|e| of_row(e) && e.1 == *column) {
                    sum += f64::from(*more);
                }
                matrix.push(*column as usize, sum)?;
            }
            matrix.end_row();
        }
        entries.iter_mut().for_each(|e| e.2.zeroize());
        matrix.finish()
    }

    /// A matrix given by all its entries.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn dense(matrix: ArrayView2<'_, f32>) -> Result<Self, Error> {
        let (rows, columns) = matrix.dim();
        check_dimensions(rows, columns)?;
        Self::of_weights(columns, rows, matrix.rows(), |row| {
            row.into_iter().map(|v| f64::from(*v)).enumerate()
        })
    }

    /// Rows given one after the other, columns ascending in each.
    pub(super) fn from_rows<R, I>(
        columns: usize,
        rows: usize,
        sources: impl IntoIterator<Item = R>,
        entries: impl Fn(R) -> I,
    ) -> Result<Self, Error>
    where
        I: IntoIterator<Item = (usize, f64)>,
    {
        Self::filled(columns, rows, sources, entries, false)
    }

    /// The same of weights: zeros are kept.
    pub(super) fn of_weights<R, I>(
        columns: usize,
        rows: usize,
        sources: impl IntoIterator<Item = R>,
        entries: impl Fn(R) -> I,
    ) -> Result<Self, Error>
    where
        I: IntoIterator<Item = (usize, f64)>,
    {
        Self::filled(columns, rows, sources, entries, true)
    }

    fn filled<R, I>(
        columns: usize,
        rows: usize,
        sources: impl IntoIterator<Item = R>,
        entries: impl Fn(R) -> I,
        weights: bool,
    ) -> Result<Self, Error>
    where
        I: IntoIterator<Item = (usize, f64)>,
    {
        check_dimensions(rows, columns)?;
        let mut matrix = Builder::new(columns, rows, 0);
        matrix.matrix.weights = weights;
        for row in sources {
            for (column, value) in entries(row) {
                matrix.push(column, value)?;
            }
            matrix.end_row();
        }
        matrix.finish()
    }

    /// The identity.
    ///
    /// # Errors
    /// If `size` is zero or over 2^24.
    pub fn identity(size: usize) -> Result<Self, Error> {
        Self::diagonal(&vec![1.0; size])
    }

    /// A square matrix of these entries on its diagonal.
    ///
    /// # Errors
    /// If there are none or more than 2^24, or one is not finite.
    pub fn diagonal(values: &[f32]) -> Result<Self, Error> {
        Self::from_rows(
            values.len(),
            values.len(),
            values.iter().enumerate(),
            |(i, v)| [(i, f64::from(*v))],
        )
    }

    /// Row `i` selects entry `indices[i]` of a vector of `columns` entries.
    ///
    /// # Errors
    /// If a dimension is zero or over 2^24, or there is no such entry.
    pub fn selection(columns: usize, indices: &[usize]) -> Result<Self, Error> {
        if let Some(index) = indices.iter().find(|i| **i >= columns) {
            return Err(wrong(
                "selection",
                format!("entry {index} of a vector of {columns}"),
            ));
        }
        Self::from_rows(columns, indices.len(), indices, |i| [(*i, 1.0)])
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.ends.len() - 1
    }

    /// Number of columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Number of entries that are not zero.
    #[must_use]
    pub fn nonzeros(&self) -> usize {
        self.values.len()
    }

    /// The entries of a row that are not zero, by column; none if there is no such row.
    pub fn row(&self, i: usize) -> impl Iterator<Item = (usize, f32)> + '_ {
        let range = match (self.ends.get(i), self.ends.get(i + 1)) {
            (Some(from), Some(to)) => *from..*to,
            _ => 0..0,
        };
        let places = self.places[range.clone()].iter().map(|j| *j as usize);
        places.zip(self.values[range].iter().copied())
    }

    /// The same matrix, with a guess at the window under which it is the expansion of a kernel.
    pub(super) fn under(mut self, window: Option<Window>) -> Self {
        self.window = window.map(Arc::new);
        self
    }

    /// That guess.
    pub(super) fn window(&self) -> Option<&Arc<Window>> {
        self.window.as_ref()
    }

    /// A matrix of other entries, which are weights if these are.
    pub(super) fn with_rows(
        &self,
        columns: usize,
        rows: &[Zeroizing<Vec<(usize, f64)>>],
    ) -> Result<Self, Error> {
        let sources = rows.iter().map(|row| row.iter().copied());
        Self::filled(columns, rows.len(), sources, |row| row, self.weights)
    }

    /// Number of entries of a row.
    pub(super) fn row_len(&self, i: usize) -> usize {
        self.ends[i + 1] - self.ends[i]
    }

    /// Whether it is the identity, and that not by the values of weights.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.rows() == self.columns && self.as_slice() == Some((0, 1.0))
    }

    /// Whether no row has more than one entry.
    pub(super) fn is_selection(&self) -> bool {
        self.ends.windows(2).all(|range| range[1] - range[0] <= 1)
    }

    /// Whether there are entries on the diagonal only.
    pub(super) fn is_diagonal(&self) -> bool {
        let own = |i| self.row(i).all(|(j, _)| i == j);
        self.rows() == self.columns && (0..self.rows()).all(own)
    }

    /// If row `i` is `k` times entry `start + i`, for all `i`, then `start` and `k`; not if that is so by
    /// the values of weights.
    pub(super) fn as_slice(&self) -> Option<(usize, f32)> {
        let (start, factor) = (*self.places.first()? as usize, *self.values.first()?);
        let same = !self.weights
            && self.nonzeros() == self.rows()
            && self.values.iter().all(|v| *v == factor)
            && self.ends.iter().enumerate().all(|(i, end)| i == *end)
            && (start..).zip(&self.places).all(|(i, j)| i == *j as usize);
        same.then_some((start, factor))
    }

    /// The product `self·inner`: first `inner`, then `self`.
    ///
    /// # Errors
    /// If the dimensions do not fit, an entry is not finite, or there would be more than 2^28.
    pub fn compose(&self, inner: &Self) -> Result<Self, Error> {
        match self.compose_within(inner, MAX_NONZEROS)? {
            Some(product) => Ok(product),
            None => Err(too_many(MAX_NONZEROS + 1, MAX_NONZEROS)),
        }
    }

    /// How many products of entries the product takes.
    pub(super) fn work(&self, inner: &Self) -> u64 {
        let rows = self.places.iter().map(|k| *k as usize);
        let rows = rows.filter(|k| *k < inner.rows());
        rows.map(|k| inner.row_len(k) as u64).sum()
    }

    /// The product, `None` if it has more than `most` entries.
    pub(super) fn compose_within(&self, inner: &Self, most: usize) -> Result<Option<Self>, Error> {
        if self.columns != inner.rows() {
            return Err(wrong(
                "composition",
                format!(
                    "{}×{} does not apply to {}×{}",
                    self.rows(),
                    self.columns,
                    inner.rows(),
                    inner.columns
                ),
            ));
        }
        let mut product = Builder::new(inner.columns, self.rows(), 0);
        product.matrix.weights = self.weights || inner.weights;
        product.matrix.window = composed_window(self, inner);
        let mut sums = vec![0f64; inner.columns];
        let mut seen = vec![false; inner.columns];
        let mut touched: Vec<usize> = Vec::new();
        for i in 0..self.rows() {
            for (k, a) in self.row(i) {
                for (j, b) in inner.row(k) {
                    if !seen[j] {
                        seen[j] = true;
                        touched.push(j);
                    }
                    sums[j] += f64::from(a) * f64::from(b);
                }
            }
            touched.sort_unstable();
            for j in touched.drain(..) {
                product.push(j, sums[j])?;
                sums[j] = 0.0;
                seen[j] = false;
            }
            product.end_row();
            if product.matrix.nonzeros() > most {
                return Ok(None);
            }
        }
        product.finish().map(Some)
    }

    /// The sum of two matrices of the same dimensions.
    pub(super) fn sum(&self, other: &Self) -> Result<Self, Error> {
        let weights = self.weights || other.weights;
        let entries = |i| {
            let mut entries: Vec<(usize, f64)> = self
                .row(i)
                .chain(other.row(i))
                .map(|(j, v)| (j, f64::from(v)))
                .collect();
            entries.sort_by_key(|e| e.0);
            entries.dedup_by(|next, kept| {
                let same = next.0 == kept.0;
                if same {
                    kept.1 += next.1;
                }
                same
            });
            entries
        };
        let mut sum = Self::filled(self.columns, self.rows(), 0..self.rows(), entries, weights)?;
        // The smaller kernel may lie within the larger.
        let windows = [&self.window, &other.window].into_iter().flatten();
        let reach = |w: &&Arc<Window>| w.axes.iter().map(|a| u64::from(a.offsets)).sum::<u64>();
        sum.window = windows.max_by_key(reach).cloned();
        Ok(sum)
    }

    /// Adds `self·x` to `y`.
    pub(super) fn accumulate(&self, x: &[f64], y: &mut [f64]) {
        for (i, y) in y.iter_mut().enumerate().take(self.rows()) {
            *y += self.row(i).map(|(j, v)| f64::from(v) * x[j]).sum::<f64>();
        }
    }
}

/// Equal entries; what they may be the expansion of is no part of a matrix.
impl PartialEq for SparseMatrix {
    fn eq(&self, other: &Self) -> bool {
        let of = |m: &Self| (m.columns, m.weights);
        of(self) == of(other)
            && self.ends == other.ends
            && self.places == other.places
            && self.values == other.values
    }
}

/// A guess at the window of `outer·inner`.
fn composed_window(outer: &SparseMatrix, inner: &SparseMatrix) -> Option<Arc<Window>> {
    let both = outer.window().zip(inner.window());
    let both = both.and_then(|(o, i)| composed::after(o, i, inner.rows()));
    // What scales, or moves whole rows, leaves windows as they are.
    both.map(Arc::new)
        .or_else(|| inner.window().filter(|_| outer.is_selection()).cloned())
        .or_else(|| outer.window().filter(|_| inner.is_diagonal()).cloned())
}

impl fmt::Debug for SparseMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SparseMatrix({}×{}, {} entries, redacted)",
            self.rows(),
            self.columns,
            self.nonzeros()
        )
    }
}

impl Drop for SparseMatrix {
    fn drop(&mut self) {
        self.values.zeroize();
        self.places.zeroize();
        self.ends.zeroize();
    }
}

/// A matrix that is written row by row.
struct Builder {
    matrix: SparseMatrix,
    rows: usize,
}

impl Builder {
    fn new(columns: usize, rows: usize, capacity: usize) -> Self {
        let mut ends = Vec::with_capacity(rows + 1);
        ends.push(0);
        Self {
            matrix: SparseMatrix {
                columns,
                ends,
                places: Vec::with_capacity(capacity),
                values: Vec::with_capacity(capacity),
                weights: false,
                window: None,
            },
            rows,
        }
    }

    /// The next entry of the row; zeros are left out, if they are no weights.
    fn push(&mut self, column: usize, value: f64) -> Result<(), Error> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "rounded to single precision"
        )]
        let value = value as f32;
        if !value.is_finite() {
            let at = format!("({}, {column})", self.matrix.ends.len() - 1);
            return Err(wrong("matrix", format!("the entry at {at} is not finite")));
        }
        if value == 0.0 && !self.matrix.weights {
            return Ok(());
        }
        if self.matrix.values.len() >= MAX_NONZEROS {
            return Err(too_many(MAX_NONZEROS + 1, MAX_NONZEROS));
        }
        grow(&mut self.matrix.places);
        grow(&mut self.matrix.values);
        #[expect(clippy::cast_possible_truncation, reason = "less than 2^24 columns")]
        self.matrix.places.push(column as u32);
        self.matrix.values.push(value);
        Ok(())
    }

    fn end_row(&mut self) {
        self.matrix.ends.push(self.matrix.values.len());
    }

    fn finish(self) -> Result<SparseMatrix, Error> {
        let got = self.matrix.ends.len() - 1;
        if got == self.rows {
            Ok(self.matrix)
        } else {
            Err(wrong(
                "matrix",
                format!("expected {} rows, got {got}", self.rows),
            ))
        }
    }
}

/// Makes room for one more; the old memory is erased.
fn grow<T: Copy + Zeroize>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        let mut larger = Vec::with_capacity((2 * list.len()).max(64));
        larger.extend_from_slice(list);
        std::mem::replace(list, larger).zeroize();
    }
}

fn check_dimensions(rows: usize, columns: usize) -> Result<(), Error> {
    for (what, got) in [("rows", rows), ("columns", columns)] {
        if got == 0 || got > MAX_LEN {
            return Err(limit(
                "matrix",
                format!("{what}: {got} is outside 1..={MAX_LEN}"),
            ));
        }
    }
    Ok(())
}

pub(super) fn too_many(entries: usize, most: usize) -> Error {
    limit(
        "matrix",
        format!("{entries} rows and entries that are not zero, at most {most} are allowed"),
    )
}
