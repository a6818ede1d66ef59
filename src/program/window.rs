//! Windows: which entries of a register a map is applied to, for every position of its kernel.
//!
//! A convolution, a pooling and a dense layer of every token are one small map at many positions. The
//! map is the kernel; the window says what stands under it.

use serde::{Deserialize, Serialize};

/// One axis of a window. At position `p` the offset `d` reads the entry `stride·p + dilation·d + start`
/// of the axis, which is zero where there is no such entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WindowAxis {
    /// Entries of the register along the axis.
    pub size: u32,
    /// Positions of the kernel.
    pub positions: u32,
    /// Entries of the kernel.
    pub offsets: u32,
    /// Steps of the kernel from position to position.
    pub stride: u32,
    /// Steps from offset to offset.
    pub dilation: u32,
    /// Where the kernel begins; negative for padding.
    pub start: i32,
}

impl WindowAxis {
    /// An axis that is summed over, as the channels of a convolution: one position, all entries.
    #[must_use]
    pub fn summed(size: u32) -> Self {
        Self {
            size,
            positions: 1,
            offsets: size,
            stride: 1,
            dilation: 1,
            start: 0,
        }
    }

    /// An axis along which the same is done for each entry, as tokens, or the channels of a pooling.
    #[must_use]
    pub fn kept(size: u32) -> Self {
        Self {
            positions: size,
            offsets: 1,
            ..Self::summed(size)
        }
    }

    /// The entry at a position and an offset.
    #[must_use]
    pub fn entry(&self, position: usize, offset: usize) -> Option<usize> {
        let at = i64::from(self.stride) * position as i64
            + i64::from(self.dilation) * offset as i64
            + i64::from(self.start);
        usize::try_from(at)
            .ok()
            .filter(|at| *at < self.size as usize)
    }

    /// Bits of an offset.
    pub(crate) fn offset_bits(&self) -> u32 {
        self.offsets.next_power_of_two().trailing_zeros()
    }

    fn reads_outside(&self) -> bool {
        let last = |n: u32| n.saturating_sub(1) as usize;
        let (position, offset) = (last(self.positions), last(self.offsets));
        self.entry(0, 0).is_none() || self.entry(position, offset).is_none()
    }
}

/// How the results of a map at all positions are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Order {
    /// Row by row, all positions of each: channels of an image.
    Rows,
    /// Position by position, all rows of each: features of tokens.
    Positions,
}

/// What a map is applied to at each of many positions: entries of a register of several axes.
///
/// Offsets and positions count row by row, the last axis fastest, as the entries of the register do.
/// Offset `d` is multiplied with [`column`](Self::column)`(d)` of the map; other columns are not read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Window {
    /// The outermost first; their sizes multiply to the length of the register.
    pub axes: Vec<WindowAxis>,
    /// The order of the results.
    pub order: Order,
}

impl Window {
    /// Number of positions, `P`; the map is applied at each.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.axes.iter().map(|a| a.positions as usize).product()
    }

    /// Number of offsets: entries of a row of the kernel.
    #[must_use]
    pub fn offsets(&self) -> usize {
        self.axes.iter().map(|a| a.offsets as usize).product()
    }

    /// Entries of the register.
    #[must_use]
    pub fn len(&self) -> usize {
        self.axes.iter().map(|a| a.size as usize).product()
    }

    /// Whether the register has no entries, which no valid window's has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bits of a column, if columns are offsets of all axes side by side, each of whole bits: then
    /// the weights of a point are products of one factor for each axis. `None` if one axis alone has
    /// offsets, and no positions: then columns are its offsets.
    pub(crate) fn aligned_bits(&self) -> Option<u32> {
        let mut wide = self.axes.iter().filter(|a| a.offsets > 1);
        match (wide.next(), wide.next()) {
            (None, _) => None,
            (Some(axis), None) if axis.positions == 1 => None,
            _ => Some(self.axes.iter().map(WindowAxis::offset_bits).sum()),
        }
    }

    /// The first column that an offset may have.
    fn first_column(&self) -> usize {
        self.aligned_bits().map_or(0, |bits| (1 << bits) - 1)
    }

    /// The column that a row of offsets is multiplied with. Of the polynomial of the weights it is
    /// one further, the first being that of the bias.
    #[must_use]
    pub fn column(&self, offsets: &[usize]) -> usize {
        let digits = self.axes.iter().zip(offsets);
        let place = digits.fold(0, |at, (axis, d)| (at << axis.offset_bits()) | d);
        self.first_column() + place
    }

    /// Number of columns of the map.
    #[must_use]
    pub fn columns(&self) -> usize {
        let last = self
            .axes
            .iter()
            .map(|a| a.offsets.saturating_sub(1) as usize);
        let last: Vec<usize> = last.collect();
        self.column(&last) + 1
    }

    /// Whether some position reads beyond an end, where there are zeros.
    #[must_use]
    pub fn reads_outside(&self) -> bool {
        self.axes.iter().any(WindowAxis::reads_outside)
    }

    /// Distance of the results of two rows, and of two positions.
    #[must_use]
    pub fn strides(&self, rows: usize) -> (usize, usize) {
        match self.order {
            Order::Rows => (self.positions(), 1),
            Order::Positions => (1, rows),
        }
    }

    /// For every offset its column and, if there is one, the entry that a position reads.
    pub(crate) fn at(&self, position: usize) -> Vec<(usize, Option<usize>)> {
        let mut left = position;
        let mut places = vec![0; self.axes.len()];
        for (place, axis) in places.iter_mut().zip(&self.axes).rev() {
            *place = left % axis.positions as usize;
            left /= axis.positions as usize;
        }
        let mut all = vec![(0, Some(0))];
        for (axis, place) in self.axes.iter().zip(places) {
            let own: Vec<Option<usize>> = (0..axis.offsets as usize)
                .map(|d| axis.entry(place, d))
                .collect();
            let (bits, size) = (axis.offset_bits(), axis.size as usize);
            all = all
                .iter()
                .flat_map(|(column, entry)| {
                    own.iter().enumerate().map(move |(d, own)| {
                        let entry = entry.zip(*own).map(|(entry, own)| entry * size + own);
                        ((column << bits) | d, entry)
                    })
                })
                .collect();
        }
        let first = self.first_column();
        all.iter_mut().for_each(|(column, _)| *column += first);
        all
    }

    /// Cells and positions of all axes times offsets of one: about what a point of the map costs.
    pub(crate) fn work(&self) -> usize {
        let cells = self.axes.iter().map(|a| a.size.max(a.positions) as usize);
        let offsets = self.axes.iter().map(|a| a.offsets as usize);
        cells.product::<usize>().saturating_mul(offsets.sum())
    }
}

/// An axis without dilation, for tests.
#[cfg(test)]
pub(crate) fn axis(size: u32, positions: u32, offsets: u32, stride: u32, start: i32) -> WindowAxis {
    WindowAxis {
        size,
        positions,
        offsets,
        stride,
        dilation: 1,
        start,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_padded_convolution_reads_what_stands_under_its_kernel() {
        let window = Window {
            axes: vec![
                WindowAxis::summed(2),
                axis(3, 3, 3, 1, -1),
                axis(4, 2, 2, 2, 0),
            ],
            order: Order::Rows,
        };
        window.check(24).unwrap();
        assert_eq!(window.positions(), 6);
        assert_eq!(window.offsets(), 12);
        assert!(window.reads_outside());
        // One bit of the channel, two and one of the kernel.
        assert_eq!(window.aligned_bits(), Some(4));
        assert_eq!(window.column(&[0, 0, 0]), 15);
        assert_eq!(window.columns(), 15 + 0b1101 + 1);
        // The last of the first row: above it are zeros.
        let read: Vec<_> = window.at(1).into_iter().map(|(_, entry)| entry).collect();
        let channel = |c: usize| {
            [None, None, Some(2), Some(3), Some(6), Some(7)].map(|e| e.map(|e: usize| 12 * c + e))
        };
        assert_eq!(read, [channel(0), channel(1)].concat());
        let columns: Vec<_> = window.at(1).into_iter().map(|(column, _)| column).collect();
        let places = [0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13];
        assert_eq!(columns, places.map(|c| 15 + c));
    }

    #[test]
    fn columns_of_a_layer_of_every_token_are_its_inputs() {
        let window = Window {
            axes: vec![WindowAxis::kept(5), WindowAxis::summed(3)],
            order: Order::Positions,
        };
        window.check(15).unwrap();
        assert_eq!((window.positions(), window.columns()), (5, 3));
        assert!(!window.reads_outside());
        let read: Vec<_> = window.at(2).into_iter().collect();
        assert_eq!(read, [(0, Some(6)), (1, Some(7)), (2, Some(8))]);
        assert_eq!(window.strides(4), (1, 4));
    }

    #[test]
    fn absurd_windows_are_refused() {
        let of = |axes: &[WindowAxis], len| {
            let order = Order::Rows;
            Window {
                axes: axes.to_vec(),
                order,
            }
            .check(len)
        };
        of(&[axis(3, 3, 1, 1, 0)], 3).unwrap();
        for (axes, len) in [
            (vec![], 1),
            (vec![axis(3, 3, 1, 1, 0)], 4),
            (vec![axis(3, 0, 1, 1, 0)], 3),
            (vec![axis(3, 1, 0, 1, 0)], 3),
            (vec![axis(3, 1, 1, 0, 0)], 3),
            (vec![axis(3, 1, 1, 1, i32::MIN)], 3),
            (
                vec![axis(1 << 20, 1, 1, 1, 0), axis(1, 1 << 20, 1, 1, 0)],
                1 << 20,
            ),
            (vec![axis(1, 1, 1 << 12, 1, 0); 2], 1),
            (vec![axis(1, 1, 1, 1, 0); 9], 1),
        ] {
            assert!(of(&axes, len).is_err(), "{axes:?}");
        }
    }
}
