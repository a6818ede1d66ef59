//! The integers of a model: its affine maps, as the bank `W(l, i, j)` of the protocol notes, 3.

use zeroize::Zeroize;

use crate::error::{Error, Reason};
use crate::program::{BankDimensions, MapRef, Operation, Program};

/// An affine map `x ↦ W·x + b` over the integers.
///
/// Secret material: `Debug` shows the shape only, and the integers are zeroised on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct AffineMap {
    rows: usize,
    columns: usize,
    /// Row-major, `rows·columns`.
    weights: Vec<i16>,
    bias: Vec<i64>,
}

impl AffineMap {
    /// A map of `bias.len()` rows and `columns` columns; `weights` are row-major.
    ///
    /// # Errors
    /// If a dimension is zero or `weights` has not `rows·columns` entries.
    pub fn new(columns: usize, weights: Vec<i16>, bias: Vec<i64>) -> Result<Self, Error> {
        let rows = bias.len();
        if rows == 0 || columns == 0 {
            return Err(Reason::Empty { what: "affine map" }.into());
        }
        if weights.len() != rows * columns {
            return Err(Reason::Shape {
                what: "weights of an affine map",
                expected: rows * columns,
                got: weights.len(),
            }
            .into());
        }
        Ok(Self {
            rows,
            columns,
            weights,
            bias,
        })
    }

    /// Number of outputs.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of inputs.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Weights of one row.
    #[must_use]
    pub fn row(&self, i: usize) -> &[i16] {
        &self.weights[i * self.columns..(i + 1) * self.columns]
    }

    /// Some of its rows and columns, with the bias if the first column is among them; `None` if it
    /// has not so many.
    fn block(&self, row: usize, rows: usize, column: usize, columns: usize) -> Option<Self> {
        if row + rows > self.rows || column + columns > self.columns {
            return None;
        }
        let taken = row..row + rows;
        let weights = taken
            .clone()
            .flat_map(|i| &self.row(i)[column..column + columns]);
        let bias = match column {
            0 => self.bias[taken.clone()].to_vec(),
            _ => vec![0; rows],
        };
        Self::new(columns, weights.copied().collect(), bias).ok()
    }

    /// The bias column.
    #[must_use]
    pub fn bias(&self) -> &[i64] {
        &self.bias
    }

    /// Adds `W·x`, and `b` if `with_bias`, to `y`; `x` is zero beyond its length.
    pub(crate) fn accumulate(&self, x: &[i64], with_bias: bool, y: &mut [i128]) {
        for (i, y) in y.iter_mut().enumerate().take(self.rows) {
            // |w·x| < 2^31 and there are less than 2^25 columns: no overflow in 64 bits.
            let sum: i64 = self
                .row(i)
                .iter()
                .zip(x)
                .map(|(w, x)| i64::from(*w) * x)
                .sum();
            *y += i128::from(sum);
            if with_bias {
                *y += i128::from(self.bias[i]);
            }
        }
    }

    /// The largest `|b_i| + Σ_j |w_ij|·reach` over the rows, the bias counted if `with_bias`.
    pub(crate) fn reach(&self, i: usize, with_bias: bool, input_reach: i128) -> i128 {
        let l1: i128 = self
            .row(i)
            .iter()
            .map(|w| i128::from(w.unsigned_abs()))
            .sum();
        let bias = if with_bias {
            i128::from(self.bias[i].unsigned_abs())
        } else {
            0
        };
        bias + l1 * input_reach
    }
}

impl std::fmt::Debug for AffineMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AffineMap({}×{}, redacted)", self.rows, self.columns)
    }
}

impl Drop for AffineMap {
    fn drop(&mut self) {
        self.weights.zeroize();
        self.bias.zeroize();
    }
}

/// All affine maps of a model, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightBank {
    maps: Vec<AffineMap>,
}

impl WeightBank {
    /// A bank of these maps.
    ///
    /// # Errors
    /// If there is none.
    pub fn new(maps: Vec<AffineMap>) -> Result<Self, Error> {
        if maps.is_empty() {
            return Err(Reason::Empty {
                what: "weight bank",
            }
            .into());
        }
        Ok(Self { maps })
    }

    /// The maps.
    #[must_use]
    pub fn maps(&self) -> &[AffineMap] {
        &self.maps
    }

    /// Number of weights, biases not counted.
    #[must_use]
    pub fn weight_count(&self) -> usize {
        self.maps.iter().map(|m| m.weights.len()).sum()
    }

    /// The maps as the steps of a layered program have them: a layer that is wider than the slots of
    /// a step is cut into blocks. For all other programs, and if the maps are so already, the bank
    /// itself.
    ///
    /// # Errors
    /// If the program takes a block of what is no map, or of rows or columns that it has not.
    pub fn arranged_for(self, program: &Program) -> Result<Self, Error> {
        let shape = |m: &AffineMap| (m.rows, m.columns);
        let shapes = program.maps().iter();
        let shapes = shapes.map(|m| (m.rows as usize, m.columns as usize));
        let Some(blocks) = program.blocks() else {
            return Ok(self);
        };
        if shapes.clone().eq(self.maps.iter().map(shape)) {
            return Ok(self);
        }
        let maps = blocks.iter().zip(shapes).map(|(block, (rows, columns))| {
            let map = self.maps.get(block.layer as usize);
            let map =
                map.and_then(|m| m.block(block.row as usize, rows, block.column as usize, columns));
            map.ok_or_else(|| {
                Error::from(Reason::Empty {
                    what: "block of an affine map",
                })
            })
        });
        Self::new(maps.collect::<Result<_, _>>()?)
    }

    /// Checks that the maps have the shapes of the program and that no sum can leave its
    /// accumulator, whatever the inputs within their widths.
    ///
    /// # Errors
    /// If a shape differs, or a row can reach `2^(B-1) - 2^(s-1)`.
    pub fn check(&self, program: &Program) -> Result<(), Error> {
        if self.maps.len() != program.maps().len() {
            return Err(Reason::Shape {
                what: "affine maps",
                expected: program.maps().len(),
                got: self.maps.len(),
            }
            .into());
        }
        for (map, shape) in self.maps.iter().zip(program.maps()) {
            for (what, expected, got) in [
                ("rows of an affine map", shape.rows, map.rows),
                ("columns of an affine map", shape.columns, map.columns),
            ] {
                if expected as usize != got {
                    return Err(Reason::Shape {
                        what,
                        expected: expected as usize,
                        got,
                    }
                    .into());
                }
            }
        }
        let shapes = program.register_shapes();
        for operation in program.all_operations() {
            let Operation::Affine {
                terms,
                rows,
                bits,
                shift,
            } = operation
            else {
                continue;
            };
            let rounding = if *shift == 0 { 0 } else { 1i128 << (shift - 1) };
            let limit = (1i128 << (bits - 1)) - rounding - 1;
            for phase in 0..program.steps_per_frame() {
                for i in 0..*rows as usize {
                    let mut reach = 0;
                    let mut index = 0;
                    for (l, input, with_bias) in program.products(terms, phase) {
                        if i < self.maps[l].rows {
                            // Signed entries reach 2^(w−1), unsigned ones 2^w − 1.
                            let shape = &shapes[input.index()];
                            let offset = i128::from(shape.offset);
                            let input = offset.max((1i128 << shape.width) - 1 - offset);
                            reach += self.maps[l].reach(i, with_bias, input);
                            index = l;
                        }
                    }
                    if reach > limit {
                        return Err(Reason::AccumulatorBound {
                            map: index,
                            reach,
                            bits: *bits,
                            limit,
                        }
                        .into());
                    }
                }
                if !terms.iter().any(|t| matches!(t.map, MapRef::Route(_))) {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Maps with their index, as the rows of the bank: `(l, map)`.
    pub(crate) fn indexed(&self) -> impl Iterator<Item = (usize, &AffineMap)> {
        self.maps.iter().enumerate()
    }

    pub(crate) fn fits(&self, dimensions: &BankDimensions) -> bool {
        self.maps.len() as u64 <= 1 << dimensions.lambda
            && self.maps.iter().all(|m| {
                m.rows as u64 <= 1 << dimensions.mu && (m.columns as u64) < 1 << dimensions.nu
            })
    }
}
