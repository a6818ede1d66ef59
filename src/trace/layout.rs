//! Where everything stands: columns in the trace, lookups among the leaves (protocol notes, 13.4).

use super::{
    TraceError,
    digest::{DIGEST_ROW_BITS, RowKind},
    system::{Size, System, bits_for},
};

/// Where a column stands: an aligned cube of the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) size: Size,
    /// Index of its first cell.
    pub(crate) offset: usize,
    /// Bits of an index in the cube.
    pub(crate) bits: usize,
    /// The lowest bits of a cell's index in its box that are the lowest of its index in the cube;
    /// the others are the highest. Between them is padding.
    pub(crate) low: usize,
    pub(crate) digest: Option<RowKind>,
}

impl Place {
    /// Index in the trace of the cell of this index in its padded box.
    pub(crate) fn at(&self, cell: usize) -> usize {
        let gap = self.bits - self.size.bits();
        let low = cell & ((1 << self.low) - 1);
        self.offset + ((cell >> self.low) << (self.low + gap)) + low
    }

    /// Index in the trace of entry `i` of frame `t`.
    pub(crate) fn cell(&self, t: usize, i: usize) -> usize {
        self.at((t << self.size.len_bits()) | self.size.padded(i))
    }
}

/// Lookups among the leaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    /// Index of the lookup.
    pub(crate) lookup: usize,
    pub(crate) offset: usize,
    pub(crate) bits: usize,
}

/// The layout of a system.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Columns of registers, then multiplicities by table.
    pub(crate) places: Vec<Place>,
    /// Number of columns that are registers.
    pub(crate) registers: usize,
    /// `N`.
    pub(crate) trace_bits: usize,
    /// `c`.
    pub(crate) row_bits: usize,
    /// Rows that meet a real cell, ascending.
    pub(crate) rows: Vec<(u32, Option<RowKind>)>,
    pub(crate) groups: Vec<Group>,
    /// `N_L`.
    pub(crate) leaf_bits: usize,
}

const MOST_BITS: usize = 25;
const MOST_ROWS: usize = 1 << 16;
/// `c ≤ 14`.
pub(crate) const MOST_ROW_BITS: usize = 14;

/// Starts of cubes of these bits in descending order, one after the other; and bits of the whole.
fn stack(bits: &[usize]) -> Option<(Vec<usize>, usize)> {
    let mut order: Vec<usize> = (0..bits.len()).collect();
    order.sort_by_key(|k| std::cmp::Reverse(bits[*k]));
    let mut starts = vec![0; bits.len()];
    let mut next = 0usize;
    for k in order {
        if bits[k] > MOST_BITS {
            return None;
        }
        starts[k] = next;
        next = next.checked_add(1 << bits[k])?;
    }
    let whole = bits_for(next);
    (whole <= MOST_BITS).then_some((starts, whole))
}

impl Layout {
    /// The layout with rows of `2^row_bits` entries, `DIGEST_ROW_BITS` or more.
    ///
    /// With `own_rows` every digested vector has rows of its own.
    pub(crate) fn new(
        system: &System,
        row_bits: usize,
        own_rows: bool,
    ) -> Result<Self, TraceError> {
        let digest_bits = DIGEST_ROW_BITS as usize;
        if !(digest_bits..=MOST_ROW_BITS).contains(&row_bits) {
            return Err(TraceError::Shape);
        }
        let columns = system.columns.iter().map(|c| (c.size, c.digest));
        let tables = system
            .tables
            .iter()
            .map(|t| (Size::flat(1, t.rows.len()), None));
        let mut places: Vec<Place> = columns
            .chain(tables)
            .map(|(size, digest)| {
                let own = size.bits();
                let low = match digest {
                    Some(_) if own_rows => size.len_bits().min(digest_bits),
                    Some(_) => own.min(digest_bits),
                    None => own,
                };
                let bits = match digest {
                    Some(_) => own - low + row_bits,
                    None => own,
                };
                Place {
                    size,
                    offset: 0,
                    bits,
                    low,
                    digest,
                }
            })
            .collect();
        let bits: Vec<usize> = places.iter().map(|p| p.bits).collect();
        let (starts, whole) = stack(&bits).ok_or(TraceError::Shape)?;
        for (place, start) in places.iter_mut().zip(starts) {
            place.offset = start;
        }
        let trace_bits = whole.max(row_bits);
        let rows = present_rows(&places, trace_bits, row_bits).ok_or(TraceError::Shape)?;
        let bits: Vec<usize> = system.lookups.iter().map(|l| l.size().bits()).collect();
        let (starts, whole) = stack(&bits).ok_or(TraceError::Shape)?;
        let groups = (bits.into_iter().zip(starts).enumerate())
            .map(|(lookup, (bits, offset))| Group {
                lookup,
                offset,
                bits,
            })
            .collect();
        Ok(Self {
            registers: system.columns.len(),
            places,
            trace_bits,
            row_bits,
            rows,
            groups,
            leaf_bits: whole.max(2),
        })
    }

    /// Cells up to the last that is not beyond all columns.
    pub(crate) fn reach(&self) -> usize {
        let ends = self.places.iter().map(|p| p.offset + (1 << p.bits));
        ends.max().unwrap_or(0)
    }
}

fn present_rows(
    places: &[Place],
    trace_bits: usize,
    row_bits: usize,
) -> Option<Vec<(u32, Option<RowKind>)>> {
    if trace_bits - row_bits > 20 {
        return None;
    }
    let mut present = vec![None; 1 << (trace_bits - row_bits)];
    for place in places {
        let (inner, rows) = (place.size.inner, place.size.time * place.size.outer());
        for row in 0..rows {
            let (t, first) = (row / place.size.outer(), row % place.size.outer() * inner);
            let mut i = 0;
            while i < inner {
                let at = place.cell(t, first + i);
                present[at >> row_bits] = Some(place.digest);
                // The next entry in another row.
                let stretch = 1usize << row_bits.min(place.low);
                i += stretch - (at & (stretch - 1));
            }
        }
    }
    let rows: Vec<_> = (present.iter().enumerate())
        .filter_map(|(r, kind)| kind.map(|kind| (r as u32, kind)))
        .collect();
    (rows.len() <= MOST_ROWS).then_some(rows)
}
