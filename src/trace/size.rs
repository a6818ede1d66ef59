//! Sizes of what a trace is made of, and the tables of its lookups.

/// Sizes of a box: frames, or 1, and features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Size {
    pub(crate) time: usize,
    pub(crate) len: usize,
}

/// Bits of an index below `n`.
pub(crate) fn bits_for(n: usize) -> usize {
    n.max(1).next_power_of_two().trailing_zeros() as usize
}

impl Size {
    pub(crate) fn cells(self) -> usize {
        self.time * self.len
    }

    pub(crate) fn time_bits(self) -> usize {
        bits_for(self.time)
    }

    pub(crate) fn len_bits(self) -> usize {
        bits_for(self.len)
    }

    /// Bits of an index of the padded box.
    pub(crate) fn bits(self) -> usize {
        self.time_bits() + self.len_bits()
    }
}

/// Rows of up to three integers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Table {
    pub(crate) rows: Vec<[i64; 3]>,
}
