//! What an import may cost: in proportion to the size of the file, so that a few bytes cannot ask for
//! gigabytes or minutes.

/// Bounds that hold for a file of any size.
const MOST: Limits = Limits {
    visits: 1 << 17,
    entries: 1 << 28,
    products: 1 << 36,
    folded: 1 << 27,
    handled: 1 << 30,
};

/// Limits of one import.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Nodes that are visited; those of a body, and its constants, once a step.
    pub(super) visits: usize,
    /// Rows and entries of the matrices that are made of the nodes, and entries of constants.
    pub(super) entries: usize,
    /// Products of entries when matrices are composed.
    pub(super) products: u64,
    /// Entries of all constants that are computed.
    pub(super) folded: usize,
    /// Entries of all values that nodes read and write.
    pub(super) handled: usize,
}

impl Limits {
    /// The limits for a file of so many bytes.
    ///
    /// A weight of four bytes may stand at 2^14 places of a matrix, as it does in a convolution over
    /// 128×128 entries; what a file of some hundred bytes can ask for takes less than a second.
    pub(super) fn of(bytes: usize) -> Self {
        let of = |least: usize, for_each: usize, most: usize| {
            bytes
                .saturating_mul(for_each)
                .saturating_add(least)
                .min(most)
        };
        let wide = u64::try_from(bytes).unwrap_or(u64::MAX);
        Self {
            visits: of(1 << 12, 16, MOST.visits),
            entries: of(1 << 23, 1 << 12, MOST.entries),
            products: wide
                .saturating_mul(1 << 18)
                .saturating_add(1 << 29)
                .min(MOST.products),
            folded: of(1 << 23, 1 << 10, MOST.folded),
            handled: of(1 << 25, 1 << 12, MOST.handled),
        }
    }
}
