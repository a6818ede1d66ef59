//! Windows of matrices that are composed.

use crate::program::{Order, Window, WindowAxis};

/// A window on what kernels under another give, `len` entries, as a window on what these read.
pub(super) fn after(outer: &Window, inner: &Window, len: usize) -> Option<Window> {
    let positions = inner.axes.iter().try_fold(1usize, |n, a| {
        n.checked_mul(a.positions as usize).filter(|n| *n > 0)
    })?;
    // The axes that are given: the inner rows, and the positions along each axis.
    let axes = inner.axes.iter().enumerate();
    let mut given: Vec<(usize, Option<usize>)> = axes
        .map(|(k, axis)| (axis.positions as usize, Some(k)))
        .collect();
    let rows_at = match inner.order {
        Order::Rows => 0,
        Order::Positions => given.len(),
    };
    given.insert(rows_at, (len / positions, None));
    given.retain(|(size, _)| *size > 1);
    let read: Vec<&WindowAxis> = outer.axes.iter().filter(|a| a.size > 1).collect();
    let sizes = read.iter().map(|a| a.size as usize);
    if !sizes.eq(given.iter().map(|g| g.0)) {
        return None;
    }
    let mut window = Window {
        axes: inner.axes.clone(),
        order: outer.order,
    };
    let moves = |axes: &[&WindowAxis]| axes.iter().any(|a| a.positions > 1);
    for (at, (axis, (_, along))) in read.iter().zip(&given).enumerate() {
        match along {
            Some(k) => window.axes[*k] = axis_after(axis, &inner.axes[*k])?,
            None if axis.positions == 1 => {}
            // The same of each row.
            None if axis.offsets == 1 && !moves(&read[..at]) => window.order = Order::Rows,
            None if axis.offsets == 1 && !moves(&read[at + 1..]) => window.order = Order::Positions,
            None => return None,
        }
    }
    Some(window)
}

fn axis_after(outer: &WindowAxis, inner: &WindowAxis) -> Option<WindowAxis> {
    let step = inner.stride.checked_mul(outer.dilation)?;
    let (offsets, dilation) = match (inner.offsets, outer.offsets) {
        (own, 1) => (own, inner.dilation),
        (1, own) => (own, step),
        (few, many) => {
            let common = divisor(inner.dilation, step);
            let reach = (many - 1)
                .checked_mul(step)?
                .checked_add((few - 1).checked_mul(inner.dilation)?)?;
            ((reach / common).checked_add(1)?, common)
        }
    };
    let start = i32::try_from(inner.stride).ok()?;
    let mut axis = WindowAxis {
        size: inner.size,
        positions: outer.positions,
        offsets,
        stride: inner.stride.checked_mul(outer.stride)?,
        dilation,
        start: start.checked_mul(outer.start)?.checked_add(inner.start)?,
    };
    if axis.positions == 1 {
        // Of offsets beyond the ends nothing is ever read.
        let inside = |d: &u32| axis.entry(0, *d as usize).is_some();
        let first = (0..axis.offsets.min(1 << 24)).find(inside)?;
        let count = (first..axis.offsets).take_while(inside).count();
        axis.start = i32::try_from(axis.entry(0, first as usize)?).ok()?;
        axis.offsets = u32::try_from(count).ok()?;
    }
    Some(axis)
}

/// The greatest common divisor of positive numbers.
fn divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { divisor(b, a % b) }
}
