//! `Gemm` and `MatMul` with a constant.

use ndarray::{ArrayView2, Ix2};

use super::{
    context::{Importer, Term},
    error::{Failure, Outcome},
    file::Node,
    tensor::{MAX_TRIPLETS, Tensor, Wiped, entries},
};
use crate::network::{SparseMatrix, Value};

impl Importer<'_> {
    /// A constant as a matrix; dimensions of one entry before the last two are left out.
    fn matrix(tensor: &Tensor, what: &str) -> Outcome<Wiped<Ix2>> {
        match tensor.shape() {
            [more @ .., rows, columns] if more.iter().all(|size| *size == 1) => {
                tensor.in_shape(Ix2(*rows, *columns))
            }
            shape => Err(Failure::instead(
                format!("its {what} has the shape {shape:?}, no matrix"),
                "multiply by one matrix",
            )),
        }
    }

    /// `W·x` along the last axis.
    fn dense(&mut self, x: Value, weight: ArrayView2<'_, f32>) -> Outcome<Value> {
        let shape = self.builder.shape(x);
        if shape.last() != Some(&weight.ncols()) {
            return Err(Failure::malformed(format!(
                "a matrix of {} rows for a value of shape {shape:?}",
                weight.ncols()
            )));
        }
        Ok(self.builder.dense(x, weight, None)?)
    }

    /// The value with its last two axes swapped.
    fn swapped(&mut self, x: Value) -> Outcome<Value> {
        let rank = self.builder.shape(x).len();
        let mut order: Vec<usize> = (0..rank).collect();
        if rank >= 2 {
            order.swap(rank - 1, rank - 2);
        }
        Ok(self.builder.transpose(x, &order)?)
    }

    pub(super) fn gemm(&mut self, node: &Node, inputs: &[Option<Term>]) -> Outcome<Term> {
        let (a, b) = (self.required(inputs, 0)?, self.required(inputs, 1)?);
        let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
        let (trans_a, trans_b) = (node.flag("transA", false)?, node.flag("transB", false)?);
        for (what, term) in [("A", &a), ("B", &b)] {
            let shape = self.shape(term);
            if shape.len() != 2 {
                return Err(Failure::malformed(format!(
                    "its input {what} has the shape {shape:?}, expected a matrix"
                )));
            }
        }
        let product = match (&a, &b) {
            (_, Term::Constant(b)) => {
                let mut weight = Self::matrix(b, "B")?;
                weight.mapv_inplace(|w| w * alpha);
                // `dense` takes [outputs, inputs].
                let weight = if trans_b { weight.view() } else { weight.t() };
                let mut x = self.value(&a)?;
                if trans_a {
                    x = self.swapped(x)?;
                }
                self.dense(x, weight)?
            }
            (Term::Constant(a), _) => {
                let mut weight = Self::matrix(a, "A")?;
                weight.mapv_inplace(|w| w * alpha);
                let weight = if trans_a { weight.t() } else { weight.view() };
                let mut x = self.value(&b)?;
                if !trans_b {
                    x = self.swapped(x)?;
                }
                let product = self.dense(x, weight)?;
                self.swapped(product)?
            }
            _ => return Err(two_values()),
        };
        let Some(c) = inputs.get(2).cloned().flatten() else {
            return Ok(product.into());
        };
        if beta == 0.0 {
            return Ok(product.into());
        }
        let c = self.value(&c)?;
        let c = if beta == 1.0 {
            c
        } else {
            self.affine(c, f64::from(beta), 0.0)?
        };
        let shape = self.builder.shape(product).to_vec();
        let sum = self.builder.add(product, c)?;
        if self.builder.shape(sum) != shape {
            return Err(Failure::malformed(format!(
                "its input C does not broadcast to the shape {shape:?}"
            )));
        }
        Ok(sum.into())
    }

    pub(super) fn matmul(&mut self, inputs: &[Option<Term>]) -> Outcome<Term> {
        let (a, b) = (self.required(inputs, 0)?, self.required(inputs, 1)?);
        let (constant, x, first) = match (&a, &b) {
            (_, Term::Constant(b)) => (b, &a, false),
            (Term::Constant(a), _) => (a, &b, true),
            _ => return Err(two_values()),
        };
        let batched = constant.shape().len() > 2
            && constant.shape().iter().rev().skip(2).any(|size| *size != 1);
        if batched {
            return self.matmul_batched(constant, x, first);
        }
        let x_shape = self.shape(x);
        if x_shape.is_empty() || constant.shape().is_empty() {
            return Err(Failure::malformed("an input has no dimension"));
        }
        // A vector is a row on the left, a column on the right, and its dimension goes.
        let is_vector = constant.shape().len() == 1;
        let weight = if is_vector {
            constant.in_shape(Ix2(1, constant.len()))?
        } else {
            Self::matrix(constant, "constant")?
        };
        let weight = if is_vector || first {
            weight.view()
        } else {
            weight.t()
        };
        // More dimensions of one entry than the value has.
        let extra = constant.shape().len().saturating_sub(x_shape.len().max(2));
        let mut value = self.value(x)?;
        let column = first && x_shape.len() == 1;
        if first && !column {
            value = self.swapped(value)?;
        }
        value = self.dense(value, weight)?;
        if first && !column && !is_vector {
            value = self.swapped(value)?;
        }
        let mut shape = self.builder.shape(value).to_vec();
        if is_vector {
            shape.pop();
        }
        let mut padded = vec![1; extra];
        padded.extend(shape);
        if padded.is_empty() {
            padded.push(1);
        }
        if padded != self.builder.shape(value) {
            value = self.builder.reshape(value, &padded)?;
        }
        Ok(value.into())
    }

    /// A product with one constant matrix for each of the leading indices.
    fn matmul_batched(&mut self, constant: &Tensor, x: &Term, first: bool) -> Outcome<Term> {
        let x_shape = self.shape(x);
        let [batch @ .., rows, columns] = constant.shape() else {
            return Err(Failure::malformed("an input has no dimension"));
        };
        let [x_batch @ .., x_rows, x_columns] = x_shape.as_slice() else {
            return Err(Failure::unsupported("a vector times several matrices"));
        };
        if batch != x_batch {
            return Err(Failure::instead(
                format!(
                    "the shapes {:?} and {x_shape:?} broadcast",
                    constant.shape()
                ),
                "expand the smaller one",
            ));
        }
        // out[.., i, j] = Σ_k left[.., i, k]·right[.., k, j]
        let (inner, fits, i_count, j_count) = if first {
            (*columns, columns == x_rows, *rows, *x_columns)
        } else {
            (*rows, rows == x_columns, *x_rows, *columns)
        };
        if !fits {
            return Err(Failure::malformed(format!(
                "the shapes {:?} and {x_shape:?} do not multiply",
                constant.shape()
            )));
        }
        let mut shape = batch.to_vec();
        shape.extend([i_count, j_count]);
        let count = entries(&shape)?;
        if count.saturating_mul(inner) > MAX_TRIPLETS {
            return Err(Failure::too_large(
                "weights of a batched product",
                count.saturating_mul(inner),
                MAX_TRIPLETS,
            ));
        }
        self.builder.has_room(count.saturating_mul(inner))?;
        let weights = constant.floats()?;
        let size = i_count.saturating_mul(j_count).max(1);
        let triplets = (0..count).flat_map(|out| {
            let (n, i, j) = (out / size, out % size / j_count, out % j_count);
            (0..inner).map(move |k| {
                let (weight, place) = if first {
                    (i * columns + k, k * x_columns + j)
                } else {
                    (k * columns + j, i * x_columns + k)
                };
                let weight = weights.get(n * rows * columns + weight);
                let weight = weight.copied().unwrap_or(0.0);
                (out, n * x_rows * x_columns + place, weight)
            })
        });
        let matrix = SparseMatrix::new(count, x_shape.iter().product(), triplets)?;
        let x = self.value(x)?;
        Ok(self.builder.linear(x, matrix, None, &shape)?.into())
    }
}

pub(super) fn two_values() -> Failure {
    Failure::instead(
        "both factors depend on the input of the network",
        "multiply by a constant matrix, or entry by entry with `Mul`",
    )
}
