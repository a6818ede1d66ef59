//! Kernels: matrices that are one small matrix at many positions of a register.
//!
//! A matrix may say under which window it could be the expansion of a kernel. That is a guess, carried
//! along through compositions; [`kernel`] looks at every entry before anything is made of it. Whether a
//! convolution is found to be one does not depend on its weights.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::{
    SparseMatrix,
    form::{Form, Kernels},
    shape::Indices,
};
use crate::program::{Order, Window, WindowAxis};

/// Looks for the kernels that a form is the expansion of, factors of products too.
pub(super) fn find_kernels(form: &mut Form) {
    form.kernels = kernels_of(form).map(Arc::new);
    for product in &mut form.products {
        find_kernels(Arc::make_mut(&mut product.right));
    }
}

/// Those of a form, if it has some.
fn kernels_of(form: &Form) -> Option<Kernels> {
    let hint = form.terms.iter().find_map(|(_, matrix)| {
        let valid = |w: &&Arc<Window>| w.check(matrix.columns()).is_ok() && w.positions() > 1;
        matrix.window().filter(valid)
    })?;
    let other = match hint.order {
        Order::Rows => Order::Positions,
        Order::Positions => Order::Rows,
    };
    // What was transposed since is laid out the other way.
    let mut orders = [hint.order, other].into_iter();
    orders.find_map(|order| laid_out(form, hint.positions(), order))
}

fn laid_out(form: &Form, positions: usize, order: Order) -> Option<Kernels> {
    let rows = form.len / positions;
    let each = Arc::new(each(rows, positions, order)?);
    let mut kernels = Kernels {
        form: Form {
            len: rows,
            terms: Vec::new(),
            constant: Vec::new(),
            products: Vec::new(),
            kernels: None,
        },
        windows: Vec::new(),
    };
    for (register, matrix) in &form.terms {
        let own = matrix.window().map(|w| {
            let axes = w.axes.clone();
            Arc::new(Window { axes, order })
        });
        // What is added as it stands is a kernel of one entry.
        let each = matrix.is_diagonal().then(|| each.clone());
        let (window, small) = [own, each].into_iter().flatten().find_map(|window| {
            let small = kernel(matrix, &window)?;
            (window.positions() == positions).then_some((window, small))
        })?;
        kernels.form.terms.push((*register, Arc::new(small)));
        kernels.windows.push(window);
    }
    if !form.constant.is_empty() {
        let (of_row, of_position) = each.strides(rows);
        kernels.form.constant.reserve_exact(rows);
        for i in 0..rows {
            let at = |p: usize| form.constant[i * of_row + p * of_position];
            if (1..positions).any(|p| at(p) != at(0)) {
                return None;
            }
            kernels.form.constant.push(at(0));
        }
    }
    Some(kernels)
}

/// Every row read at its own entries.
fn each(rows: usize, positions: usize, order: Order) -> Option<Window> {
    let rows = WindowAxis::summed(u32::try_from(rows).ok()?);
    let positions = WindowAxis::kept(u32::try_from(positions).ok()?);
    let axes = match order {
        Order::Rows => vec![rows, positions],
        Order::Positions => vec![positions, rows],
    };
    Some(Window { axes, order })
}

/// The matrix of which another is the expansion under a window, if it is: if every row has at every
/// position the kernel's entries, where these stand over entries of the register, and no others.
pub(super) fn kernel(matrix: &SparseMatrix, window: &Window) -> Option<SparseMatrix> {
    window.check(matrix.columns()).ok()?;
    let positions = window.positions();
    if positions < 2 || !matrix.rows().is_multiple_of(positions) {
        return None;
    }
    let rows = matrix.rows() / positions;
    let (of_row, of_position) = window.strides(rows);
    let sizes = |of: fn(&WindowAxis) -> u32| -> Vec<usize> {
        window.axes.iter().map(|a| of(a) as usize).collect()
    };
    let places: Vec<Vec<usize>> = Indices::new(&sizes(|a| a.positions)).collect();
    let entries: Vec<Vec<usize>> = Indices::new(&sizes(|a| a.size)).collect();
    let is_inside = |place: &[usize]| {
        let mut axes = window.axes.iter().zip(place);
        axes.all(|(axis, p)| {
            let last = axis.offsets as usize - 1;
            axis.entry(*p, 0).is_some() && axis.entry(*p, last).is_some()
        })
    };
    let whole: Vec<bool> = places.iter().map(|place| is_inside(place)).collect();
    let mut values = Zeroizing::new(vec![None; window.offsets()]);
    let mut kernel: Vec<Zeroizing<Vec<(usize, f64)>>> = Vec::with_capacity(rows);
    for i in 0..rows {
        let row = |p: usize| matrix.row(i * of_row + p * of_position);
        let mut known = Vec::new();
        for (p, place) in places.iter().enumerate() {
            for (j, value) in row(p) {
                let offset = offset(window, place, &entries[j])?;
                match values[offset] {
                    None => {
                        values[offset] = Some(value);
                        known.push(offset);
                    }
                    Some(known) if known == value => {}
                    Some(_) => return None,
                }
            }
        }
        known.sort_unstable();
        let mut own = Zeroizing::new(Vec::with_capacity(known.len()));
        let mut nonzeros = Vec::with_capacity(known.len());
        for offset in known {
            let value = f64::from(values[offset].take()?);
            let digits = digits(offset, window);
            own.push((window.column(&digits), value));
            if value != 0.0 {
                nonzeros.push(digits);
            }
        }
        // Each entry is one of the kernel's; none may be missing.
        for (p, place) in places.iter().enumerate() {
            let inside = |digits: &&Vec<usize>| {
                let mut axes = window.axes.iter().zip(place).zip(digits.iter());
                axes.all(|((axis, p), d)| axis.entry(*p, *d).is_some())
            };
            let expected = match whole[p] {
                true => nonzeros.len(),
                false => nonzeros.iter().filter(inside).count(),
            };
            if row(p).filter(|(_, value)| *value != 0.0).count() != expected {
                return None;
            }
        }
        kernel.push(own);
    }
    matrix.with_rows(window.columns(), &kernel).ok()
}

/// The offset at which a position reads an entry.
fn offset(window: &Window, place: &[usize], entry: &[usize]) -> Option<usize> {
    let mut axes = window.axes.iter().zip(place).zip(entry);
    axes.try_fold(0, |before, ((axis, place), entry)| {
        let begin = i64::from(axis.stride) * *place as i64 + i64::from(axis.start);
        let distance = u64::try_from(*entry as i64 - begin).ok()?;
        let dilation = u64::from(axis.dilation);
        let own = distance / dilation;
        let is_read = distance.is_multiple_of(dilation) && own < u64::from(axis.offsets);
        is_read.then_some(before * axis.offsets as usize + own as usize)
    })
}

/// The offset along each axis.
fn digits(mut offset: usize, window: &Window) -> Vec<usize> {
    let mut digits = vec![0; window.axes.len()];
    for (digit, axis) in digits.iter_mut().zip(&window.axes).rev() {
        *digit = offset % axis.offsets as usize;
        offset /= axis.offsets as usize;
    }
    digits
}
