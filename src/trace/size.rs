//! Sizes of what a trace is made of, and the tables of its lookups.

/// Sizes of a box: frames, or 1, and features, which stand in rows of `inner` each.
///
/// Frames, rows and entries of a row are each padded to a power of two, so that the weights of a point
/// are products of three factors. Boxes are flat, with one row, but where a window has positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Size {
    pub(crate) time: usize,
    pub(crate) len: usize,
    pub(crate) inner: usize,
}

/// Bits of an index below `n`.
pub(crate) fn bits_for(n: usize) -> usize {
    n.max(1).next_power_of_two().trailing_zeros() as usize
}

impl Size {
    /// Features in one row.
    pub(crate) fn flat(time: usize, len: usize) -> Self {
        Self {
            time,
            len,
            inner: len.max(1),
        }
    }

    /// Features in `outer` rows of `inner`.
    pub(crate) fn rows(time: usize, outer: usize, inner: usize) -> Self {
        Self {
            time,
            len: outer * inner,
            inner: inner.max(1),
        }
    }

    pub(crate) fn cells(self) -> usize {
        self.time * self.len
    }

    /// Number of rows of features.
    pub(crate) fn outer(self) -> usize {
        self.len / self.inner
    }

    pub(crate) fn time_bits(self) -> usize {
        bits_for(self.time)
    }

    pub(crate) fn inner_bits(self) -> usize {
        bits_for(self.inner)
    }

    pub(crate) fn len_bits(self) -> usize {
        bits_for(self.outer()) + self.inner_bits()
    }

    /// Bits of an index of the padded box.
    pub(crate) fn bits(self) -> usize {
        self.time_bits() + self.len_bits()
    }

    /// Index of feature `i` among padded ones.
    pub(crate) fn padded(self, i: usize) -> usize {
        if i < self.inner {
            return i;
        }
        ((i / self.inner) << self.inner_bits()) | (i % self.inner)
    }
}

/// Rows of up to three integers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Table {
    pub(crate) rows: Vec<[i64; 3]>,
}
