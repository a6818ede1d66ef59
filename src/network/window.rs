//! Windows that slide over spatial dimensions: convolution and pooling.

use super::{shape, wrong};
use crate::{
    error::Error,
    program::{Order, Window, WindowAxis},
};

/// How the kernel of a convolution slides. Empty lists stand for strides and dilations of 1 and no
/// padding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conv {
    /// Steps of the kernel along each spatial dimension.
    pub strides: Vec<usize>,
    /// Zeros before and after each spatial dimension.
    pub pads: Vec<(usize, usize)>,
    /// Distance of neighbouring entries of the kernel.
    pub dilations: Vec<usize>,
    /// Groups of channels that do not mix; 0 is taken for 1.
    pub groups: usize,
}

/// How the window of a pooling slides. Empty lists stand for strides and dilations of 1 and no
/// padding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// Size of the window along each spatial dimension.
    pub kernel: Vec<usize>,
    /// Steps of the window.
    pub strides: Vec<usize>,
    /// Entries beyond the ends of each spatial dimension.
    pub pads: Vec<(usize, usize)>,
    /// Distance of neighbouring entries of the window.
    pub dilations: Vec<usize>,
    /// Whether a window that is partly beyond the end is counted, if it begins before.
    pub ceil: bool,
    /// Whether an average counts the padding, as zeros.
    pub count_include_pad: bool,
}

impl Pool {
    /// A window of this size that moves by as much; no padding.
    pub fn tiles(kernel: impl IntoIterator<Item = usize>) -> Self {
        let kernel: Vec<usize> = kernel.into_iter().collect();
        Self {
            strides: kernel.clone(),
            kernel,
            ..Self::default()
        }
    }
}

/// One spatial dimension.
struct Axis {
    size: usize,
    kernel: usize,
    stride: usize,
    pad: usize,
    dilation: usize,
    /// Positions of the window.
    out: usize,
    /// One beyond the last entry, padding counted.
    end: usize,
}

/// An axis that is summed over; `None` if it is too large, as for the next two.
pub(super) fn summed(size: usize) -> Option<WindowAxis> {
    u32::try_from(size).ok().map(WindowAxis::summed)
}

/// An axis along which the same is done for each entry.
pub(super) fn kept(size: usize) -> Option<WindowAxis> {
    u32::try_from(size).ok().map(WindowAxis::kept)
}

/// `size` of the entries of an axis of `of`, from `start` on, which is negative for padding before.
pub(super) fn moved(of: usize, size: usize, start: i64, stride: usize) -> Option<WindowAxis> {
    Some(WindowAxis {
        positions: u32::try_from(size).ok()?,
        stride: u32::try_from(stride).ok()?,
        start: i32::try_from(start).ok()?,
        ..kept(of)?
    })
}

/// The window of these axes.
pub(super) fn rows_over(axes: impl IntoIterator<Item = Option<WindowAxis>>) -> Option<Window> {
    Some(Window {
        axes: axes.into_iter().collect::<Option<_>>()?,
        order: Order::Rows,
    })
}

/// Positions of a window over the spatial dimensions.
pub(super) struct Windows {
    axes: Vec<Axis>,
}

/// A list of one entry for each dimension, `default` if it is empty.
fn list<T: Copy>(
    operation: &'static str,
    what: &'static str,
    given: &[T],
    rank: usize,
    default: T,
) -> Result<Vec<T>, Error> {
    match given.len() {
        0 => Ok(vec![default; rank]),
        n if n == rank => Ok(given.to_vec()),
        n => Err(wrong(
            operation,
            format!("{what} for {n} dimensions, the value has {rank} spatial ones"),
        )),
    }
}

impl Windows {
    /// The windows over dimensions of these sizes.
    pub(super) fn new(
        operation: &'static str,
        sizes: &[usize],
        pool: &Pool,
    ) -> Result<Self, Error> {
        let rank = sizes.len();
        if pool.kernel.len() != rank || rank == 0 {
            return Err(wrong(
                operation,
                format!(
                    "a window of {} dimensions over a value of {rank} spatial ones",
                    pool.kernel.len()
                ),
            ));
        }
        let strides = list(operation, "strides", &pool.strides, rank, 1)?;
        let pads = list(operation, "padding", &pool.pads, rank, (0, 0))?;
        let dilations = list(operation, "dilations", &pool.dilations, rank, 1)?;
        let mut axes = Vec::with_capacity(rank);
        for axis in 0..rank {
            let (size, kernel, stride) = (sizes[axis], pool.kernel[axis], strides[axis]);
            let ((before, after), dilation) = (pads[axis], dilations[axis]);
            let outside = |problem: &str| {
                wrong(
                    operation,
                    format!(
                        "dimension {axis} of size {size}, window {kernel}, stride {stride}, padding {before} and {after}, dilation {dilation}: {problem}"
                    ),
                )
            };
            if [kernel, stride, dilation].contains(&0) {
                return Err(outside("window, stride and dilation must be positive"));
            }
            let reach = (kernel - 1)
                .checked_mul(dilation)
                .and_then(|n| n.checked_add(1));
            let end = size.checked_add(before);
            let padded = end.and_then(|n| n.checked_add(after));
            let (Some(reach), Some(end), Some(padded)) = (reach, end, padded) else {
                return Err(outside("too large"));
            };
            if reach > padded {
                return Err(outside("the window is larger than the value"));
            }
            let left = padded - reach;
            let mut out = if pool.ceil {
                left.div_ceil(stride)
            } else {
                left / stride
            } + 1;
            // The last window begins within the value, or the padding before it.
            if pool.ceil && (out - 1).checked_mul(stride).is_none_or(|at| at >= end) {
                out -= 1;
            }
            axes.push(Axis {
                size,
                kernel,
                stride,
                pad: before,
                dilation,
                out,
                end: padded,
            });
        }
        let windows = Self { axes };
        shape::entries(operation, &windows.out_shape())?;
        shape::entries(operation, &pool.kernel)?;
        Ok(windows)
    }

    /// Positions along each dimension.
    pub(super) fn out_shape(&self) -> Vec<usize> {
        self.axes.iter().map(|a| a.out).collect()
    }

    /// The window of a kernel over these dimensions, and over channels before them.
    pub(super) fn over(&self, channels: Option<WindowAxis>) -> Option<Window> {
        let axis = |a: &Axis| {
            Some(WindowAxis {
                size: u32::try_from(a.size).ok()?,
                positions: u32::try_from(a.out).ok()?,
                offsets: u32::try_from(a.kernel).ok()?,
                stride: u32::try_from(a.stride).ok()?,
                dilation: u32::try_from(a.dilation).ok()?,
                start: -i32::try_from(a.pad).ok()?,
            })
        };
        rows_over([channels].into_iter().chain(self.axes.iter().map(axis)))
    }

    /// Entry `k` of the kernel at all its positions.
    pub(super) fn tap(&self, channels: usize, mut k: usize) -> Option<Window> {
        let mut window = self.over(kept(channels))?;
        for axis in window.axes[1..].iter_mut().rev() {
            let own = u32::try_from(k % axis.offsets as usize).ok()?;
            k /= axis.offsets as usize;
            let distance = axis.dilation.checked_mul(own)?;
            axis.start = axis.start.checked_add_unsigned(distance)?;
            (axis.offsets, axis.dilation) = (1, 1);
        }
        Some(window)
    }

    /// For one position of the window, every entry of the window that is in the value: its index in
    /// the kernel and its index in the value; and the number of those within the padded value.
    pub(super) fn at(&self, position: &[usize]) -> (Vec<(usize, usize)>, usize) {
        let mut entries = vec![(0, 0)];
        let mut padded = 1;
        for (axis, at) in self.axes.iter().zip(position) {
            let begin = at * axis.stride;
            let place = |k: usize| begin + k * axis.dilation;
            let inside: Vec<(usize, usize)> = (0..axis.kernel)
                .filter_map(|k| Some((k, place(k).checked_sub(axis.pad)?)))
                .filter(|(_, i)| *i < axis.size)
                .collect();
            padded *= (0..axis.kernel).filter(|k| place(*k) < axis.end).count();
            entries = entries
                .iter()
                .flat_map(|(k, i)| {
                    inside
                        .iter()
                        .map(move |(own_k, own_i)| (k * axis.kernel + own_k, i * axis.size + own_i))
                })
                .collect();
        }
        (entries, padded)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn out(size: usize, pool: &Pool) -> Vec<usize> {
        Windows::new("pool", &[size], pool).unwrap().out_shape()
    }

    #[test]
    fn positions() {
        let pool = Pool {
            kernel: vec![3],
            strides: vec![2],
            ..Pool::default()
        };
        assert_eq!(out(6, &pool), [2]);
        assert_eq!(
            out(
                6,
                &Pool {
                    ceil: true,
                    ..pool.clone()
                }
            ),
            [3]
        );
        let padded = Pool {
            pads: vec![(1, 1)],
            ..pool.clone()
        };
        let windows = Windows::new("pool", &[6], &padded).unwrap();
        assert_eq!(windows.out_shape(), [3]);
        // The first begins in the padding.
        assert_eq!(windows.at(&[0]), (vec![(1, 0), (2, 1)], 3));
        assert_eq!(windows.at(&[2]), (vec![(0, 3), (1, 4), (2, 5)], 3));
        // A window that would begin in the padding after the value is left out.
        let ceil = Pool {
            kernel: vec![2],
            strides: vec![2],
            pads: vec![(0, 1)],
            ceil: true,
            ..Pool::default()
        };
        assert_eq!(out(4, &ceil), [2]);
    }

    #[test]
    fn absurd_windows_are_errors() {
        let pool = |kernel, strides, dilations| Pool {
            kernel: vec![kernel],
            strides: vec![strides],
            dilations: vec![dilations],
            ..Pool::default()
        };
        for bad in [
            pool(0, 1, 1),
            pool(1, 0, 1),
            pool(1, 1, 0),
            pool(9, 1, 1),
            pool(usize::MAX, 1, 1),
            pool(3, 1, usize::MAX),
            Pool {
                pads: vec![(usize::MAX, 1)],
                ..pool(1, 1, 1)
            },
            Pool {
                pads: vec![(1, 1); 2],
                ..pool(1, 1, 1)
            },
        ] {
            assert!(Windows::new("pool", &[4], &bad).is_err(), "{bad:?}");
        }
        assert!(Windows::new("pool", &[4, 4], &pool(1, 1, 1)).is_err());
    }
}
