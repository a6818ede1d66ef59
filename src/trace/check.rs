//! A system on integers: whether every lookup finds its row and every identity is zero.

use super::{
    axis::AxisMap,
    system::{Form, Linear, ProductKind, Size, Source, System},
};
use crate::program::{WeightBank, Window};

impl System {
    fn linear(&self, columns: &[Vec<i64>], linear: &Linear) -> Vec<i128> {
        let size = linear.size;
        let mut out = vec![0i128; size.cells()];
        for view in &linear.views {
            let (values, from): (&[i64], Size) = match view.source {
                Source::Column(k) => (&columns[k], self.columns[k].size),
                Source::Public(k) => (&self.publics[k].values, self.publics[k].size),
                Source::Carried(_) => panic!("resolved"),
            };
            let wide: Vec<Vec<i128>> = (values.chunks(from.len))
                .map(|row| {
                    let row: Vec<i128> = row.iter().map(|x| i128::from(*x)).collect();
                    apply(&view.entry, &row, size.len)
                })
                .collect();
            for i in 0..size.len {
                let over_time: Vec<i128> = wide.iter().map(|row| row[i]).collect();
                for (t, x) in apply(&view.time, &over_time, size.time)
                    .into_iter()
                    .enumerate()
                {
                    out[t * size.len + i] += view.factor * x;
                }
            }
        }
        out
    }

    fn form(&self, bank: &WeightBank, columns: &[Vec<i64>], form: &Form) -> Vec<i128> {
        let size = form.size();
        let mut out = self.linear(columns, &form.linear);
        for affine in &form.affines {
            let input = &self.inputs[affine.input];
            let x: Vec<i64> = (self.linear(columns, input).iter())
                .map(|x| *x as i64)
                .collect();
            let map = &bank.maps()[affine.map];
            let window = affine.window.map(|window| &self.windows[window]);
            for t in 0..size.time {
                let x = &x[t * input.size.len..(t + 1) * input.size.len];
                let positions = window.map_or(1, Window::positions);
                let mut y = vec![0i128; map.rows() * positions];
                map.accumulate_at(window, x, affine.bias, &mut y);
                if window.is_none() {
                    y = apply(&affine.rows, &y, size.len);
                }
                for (i, y) in y.into_iter().enumerate() {
                    out[t * size.len + i] += affine.factor * y;
                }
            }
        }
        for (product, factor) in &form.products {
            let product = &self.products[*product];
            let left = self.linear(columns, &product.left);
            let right = self.linear(columns, &product.right);
            let products: Vec<i128> = left.iter().zip(&right).map(|(a, b)| a * b).collect();
            match product.kind {
                ProductKind::Entries => {
                    for (out, x) in out.iter_mut().zip(products) {
                        *out += factor * x;
                    }
                }
                ProductKind::Sum => {
                    for (out, x) in out.iter_mut().zip(products.chunks(product.size().len)) {
                        *out += factor * x.iter().sum::<i128>();
                    }
                }
            }
        }
        out
    }

    /// The tuples of a lookup, entry by entry, every part with its shift.
    pub(crate) fn tuples(
        &self,
        bank: &WeightBank,
        columns: &[Vec<i64>],
        lookup: usize,
    ) -> Vec<[(i128, u32); 3]> {
        let lookup = &self.lookups[lookup];
        let mut out = vec![[(0, 0); 3]; lookup.size().cells()];
        for (k, part) in lookup.parts.iter().enumerate() {
            let values = self.form(bank, columns, &part.form);
            for (out, x) in out.iter_mut().zip(values) {
                out[k] = (x, part.shift);
            }
        }
        out
    }

    /// What does not hold, in words.
    pub(crate) fn violations(
        &self,
        bank: &WeightBank,
        columns: &[Vec<i64>],
        rows: &[Vec<u32>],
    ) -> Vec<String> {
        let mut out = Vec::new();
        for (k, (lookup, rows)) in self.lookups.iter().zip(rows).enumerate() {
            let parts: Vec<(Vec<i128>, u32)> = (lookup.parts.iter())
                .map(|p| (self.form(bank, columns, &p.form), p.shift))
                .collect();
            let table = &self.tables[lookup.table];
            for (x, row) in rows.iter().enumerate() {
                let found = table.rows.get(*row as usize);
                let fits = found.is_some_and(|found| {
                    (0..3).all(|p| {
                        let (value, shift) =
                            parts.get(p).map_or((0, 0), |(values, s)| (values[x], *s));
                        value == i128::from(found[p]) << shift
                    })
                });
                if !fits {
                    let tuple: Vec<_> = parts.iter().map(|(v, s)| (v[x], *s)).collect();
                    out.push(format!("lookup {k}, cell {x}: {tuple:?} is not row {row}"));
                    break;
                }
            }
        }
        out.extend(self.violations_of_identities(bank, columns));
        out
    }

    /// Identities that are not zero, in words.
    pub(crate) fn violations_of_identities(
        &self,
        bank: &WeightBank,
        columns: &[Vec<i64>],
    ) -> Vec<String> {
        let mut out = Vec::new();
        for (k, identity) in self.identities.iter().enumerate() {
            let values = self.form(bank, columns, identity);
            if let Some(x) = values.iter().position(|x| *x != 0) {
                out.push(format!("identity {k}, cell {x}: {}", values[x]));
            }
        }
        out
    }
}

fn apply(map: &AxisMap, cells: &[i128], len: usize) -> Vec<i128> {
    map.apply(cells, len, |c, w| c * i128::from(w))
}
