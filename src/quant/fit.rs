//! Rows of real weights as integers.

use ndarray::{ArrayView1, ArrayView2};
use zeroize::Zeroizing;

use super::precision::Formats;
use crate::{
    error::{Error, Reason},
    program::AffineMap,
};

/// Least factor by which a scale is enlarged at a time.
const LEAST_FACTOR: f64 = 1.0 + 1.0 / 256.0;

/// The scale of a layer's requantised sums.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LayerScale {
    /// Real value of one unit.
    pub(super) scale: f64,
    /// How many times the calibrated scale that is.
    pub(super) enlarged: f64,
}

/// The real values that the integers of a vector stand for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Grid {
    /// Real value of one unit.
    pub(super) unit: f64,
    /// Whether an integer `q` stands for `(q + ½)·unit`, because it was rounded down, and not for
    /// `q·unit`.
    pub(super) midpoint: bool,
}

impl Grid {
    /// Integers rounded to the nearest.
    pub(super) fn nearest(unit: f64) -> Self {
        Self {
            unit,
            midpoint: false,
        }
    }

    /// Integers rounded down.
    pub(super) fn floor(unit: f64) -> Self {
        Self {
            unit,
            midpoint: true,
        }
    }
}

/// The scale for the first range that is not zero, 1 if all are.
pub(super) fn scale_of(ranges: &[f64], full: f64) -> f64 {
    let range = ranges.iter().find(|r| **r > 0.0);
    range.map_or(1.0, |r| r / full)
}

pub(super) fn exp2(shift: u8) -> f64 {
    f64::from(shift).exp2()
}

/// Columns of a map that belong to one vector.
struct Block<'a> {
    columns: usize,
    /// None if all are zero.
    weights: Option<ArrayView2<'a, f32>>,
    /// Real value of one unit of the vector; `None` if it is that of the results, as for a state.
    unit: Option<f64>,
}

/// Rows that are to be turned into integers, all with the same scale of the results.
pub(super) struct Fit<'a> {
    layer: usize,
    formats: Formats,
    /// Side by side.
    blocks: Vec<Block<'a>>,
    /// Real values.
    bias: Zeroizing<Vec<f64>>,
}

/// Sizes of the integers at some scale.
struct Extent {
    /// Largest `|W_int|`, but for weights on the state.
    weight: f64,
    /// Largest `|W_int|` of the weights on the state, which no scale changes.
    state_weight: f64,
    /// Largest `|b_int| + Σ|W_int|·2^(w-1)` of a row. Exact below 2^53, which is far above every
    /// limit it is compared with.
    sum: f64,
    /// Largest part of `sum` that no scale changes.
    state_sum: f64,
    /// How many times too large the rest is for the room that is left in the accumulator.
    over: f64,
}

impl<'a> Fit<'a> {
    /// `rows` rows of layer `layer` without any column, and with the bias 0.
    pub(super) fn new(layer: usize, formats: Formats, rows: usize) -> Self {
        Self {
            layer,
            formats,
            blocks: Vec::new(),
            bias: Zeroizing::new(vec![0.0; rows]),
        }
    }

    /// Columns for a vector on `grid`.
    pub(super) fn columns(mut self, weights: ArrayView2<'a, f32>, grid: Grid) -> Self {
        if grid.midpoint {
            for (bias, row) in self.bias.iter_mut().zip(weights.rows()) {
                *bias += 0.5 * grid.unit * row.iter().map(|w| f64::from(*w)).sum::<f64>();
            }
        }
        self.push(weights, Some(grid.unit))
    }

    /// Columns for a state whose scale is that of the results.
    pub(super) fn state(self, weights: ArrayView2<'a, f32>) -> Self {
        self.push(weights, None)
    }

    /// Columns that are zero.
    pub(super) fn zeros(mut self, columns: usize) -> Self {
        self.blocks.push(Block {
            columns,
            weights: None,
            unit: None,
        });
        self
    }

    fn push(mut self, weights: ArrayView2<'a, f32>, unit: Option<f64>) -> Self {
        self.blocks.push(Block {
            columns: weights.ncols(),
            weights: Some(weights),
            unit,
        });
        self
    }

    /// Adds to the bias.
    pub(super) fn bias(mut self, bias: ArrayView1<'_, f32>) -> Self {
        for (sum, bias) in self.bias.iter_mut().zip(bias) {
            *sum += f64::from(*bias);
        }
        self
    }

    /// What weights and biases are multiplied with to have units of `2^(-s)·scale_out`: a factor
    /// for each block, and that of the bias.
    fn factors(&self, scale_out: f64) -> Result<(Vec<f64>, f64), Error> {
        let one = exp2(self.formats.shift);
        let weights: Vec<f64> = self
            .blocks
            .iter()
            .map(|b| b.unit.map_or(one, |unit| unit / scale_out * one))
            .collect();
        let bias = one / scale_out;
        if weights.iter().chain([&bias]).all(|f| f.is_finite()) {
            Ok((weights, bias))
        } else {
            Err(self.too_small())
        }
    }

    fn extent(&self, scale_out: f64) -> Result<Extent, Error> {
        let (factors, bias_factor) = self.factors(scale_out)?;
        let (reach, limit) = (self.formats.reach(), self.formats.limit());
        let mut extent = Extent {
            weight: 0.0,
            state_weight: 0.0,
            sum: 0.0,
            state_sum: 0.0,
            over: 0.0,
        };
        for (row, bias) in self.bias.iter().enumerate() {
            let (mut l1, mut state_l1) = (0.0, 0.0);
            for (block, factor) in self.blocks.iter().zip(&factors) {
                let Some(weights) = block.weights else {
                    continue;
                };
                let (l1, largest) = match block.unit {
                    Some(_) => (&mut l1, &mut extent.weight),
                    None => (&mut state_l1, &mut extent.state_weight),
                };
                for w in weights.row(row) {
                    let w = round(f64::from(*w), *factor).abs();
                    *largest = largest.max(w);
                    *l1 += w;
                }
            }
            let state = state_l1 * reach;
            let rest = round(*bias, bias_factor).abs() + l1 * reach;
            extent.state_sum = extent.state_sum.max(state);
            extent.sum = extent.sum.max(rest + state);
            // Where there is no room, half a unit of it: only zero fits.
            extent.over = extent.over.max(rest / (limit - state).max(0.5));
        }
        extent.over = extent.over.max(extent.weight / f64::from(i16::MAX));
        if extent.sum.is_finite() {
            Ok(extent)
        } else {
            Err(self.too_small())
        }
    }

    /// The least scale from `calibrated` on at which the integers fit.
    pub(super) fn enlarging(&self, calibrated: f64) -> Result<LayerScale, Error> {
        let mut scale = calibrated;
        loop {
            let extent = self.extent(scale)?;
            if extent.state_weight > f64::from(i16::MAX) {
                return Err(self.problem(
                    "a recurrent weight leaves 16 bits, whatever the scale of the state: ask for a smaller `Precision::shift`",
                ));
            }
            if extent.state_sum > self.formats.limit() {
                return Err(self.problem(
                    "its recurrent weights alone leave the accumulator, whatever the scale of the state: ask for more bits with `Precision::accumulator_bits`",
                ));
            }
            if extent.over <= 1.0 {
                if extent.weight == 0.0 && scale > calibrated && self.has_weights() {
                    return Err(self.problem(if self.blocks.len() == 1 {
                        "its sums fit the accumulator only if all weights are rounded to zero: ask for more bits with `Precision::accumulator_bits`"
                    } else {
                        "its sums fit the accumulator only if all input weights are rounded to zero: ask for more bits with `Precision::accumulator_bits`"
                    }));
                }
                return Ok(LayerScale {
                    scale,
                    enlarged: scale / calibrated,
                });
            }
            // The sizes shrink in proportion, up to rounding.
            scale *= extent.over.max(LEAST_FACTOR);
        }
    }

    /// Whether a weight that the scale changes is not zero.
    fn has_weights(&self) -> bool {
        let blocks = self.blocks.iter().filter(|b| b.unit.is_some());
        let mut weights = blocks.flat_map(|b| b.weights.iter().flatten());
        weights.any(|w| *w != 0.0)
    }

    /// Checks that the integers fit at the scale of a table.
    pub(super) fn at_fixed_scale(&self, scale: f64) -> Result<LayerScale, Error> {
        Self::at_fixed_scales(&[(self, scale)])?;
        Ok(LayerScale {
            scale,
            enlarged: 1.0,
        })
    }

    /// Checks that the integers of several, all of one layer, fit at these scales.
    pub(super) fn at_fixed_scales(parts: &[(&Self, f64)]) -> Result<(), Error> {
        let mut needed = 0;
        for (fit, scale) in parts {
            needed = needed.max(fit.bits(*scale)?);
        }
        match parts.first() {
            Some((fit, _)) if needed > u32::from(fit.formats.bits) => Err(Reason::FixedScale {
                layer: fit.layer,
                needed,
                bits: fit.formats.bits,
            }
            .into()),
            _ => Ok(()),
        }
    }

    /// The accumulator bits that the sums need at a fixed scale: the least `B` with
    /// `sum + 2^(s-1) < 2^(B-1)`.
    fn bits(&self, scale: f64) -> Result<u32, Error> {
        let extent = self.extent(scale)?;
        if extent.weight.max(extent.state_weight) > f64::from(i16::MAX) {
            return Err(self.problem(
                "a weight leaves 16 bits at the fixed scale of its activation: ask for a smaller `Precision::shift`",
            ));
        }
        let sum = extent.sum + exp2(self.formats.shift - 1);
        let needed = (2u32..128).find(|bits| sum < f64::from(bits - 1).exp2());
        Ok(needed.unwrap_or(128))
    }

    /// The integers at a scale at which they fit, as a map.
    pub(super) fn map(&self, scale_out: f64) -> Result<AffineMap, Error> {
        Self::stacked(&[(self, scale_out)])
    }

    /// The rows of several, each at a scale at which they fit, as one map.
    pub(super) fn stacked(parts: &[(&Self, f64)]) -> Result<AffineMap, Error> {
        let columns = |fit: &Self| fit.blocks.iter().map(|b| b.columns).sum::<usize>();
        let rows: usize = parts.iter().map(|(fit, _)| fit.bias.len()).sum();
        let width = parts.first().map_or(0, |(fit, _)| columns(fit));
        // Room for all of them, so that growing leaves no copy behind.
        let mut weights = Vec::with_capacity(rows * width);
        let mut bias = Vec::with_capacity(rows);
        for (fit, scale_out) in parts {
            fit.integers(*scale_out, &mut weights, &mut bias)?;
        }
        AffineMap::new(width, weights, bias)
    }

    fn integers(
        &self,
        scale_out: f64,
        weights: &mut Vec<i16>,
        biases: &mut Vec<i64>,
    ) -> Result<(), Error> {
        let (factors, bias_factor) = self.factors(scale_out)?;
        let fits = |v: f64, limit: f64| {
            if v.abs() <= limit {
                Ok(v)
            } else {
                Err(self.problem("an integer does not fit"))
            }
        };
        for (row, bias) in self.bias.iter().enumerate() {
            for (block, factor) in self.blocks.iter().zip(&factors) {
                match block.weights {
                    Some(block) => {
                        for w in block.row(row) {
                            let w = fits(round(f64::from(*w), *factor), i16::MAX.into())?;
                            #[expect(
                                clippy::cast_possible_truncation,
                                reason = "an integer that fits"
                            )]
                            weights.push(w as i16);
                        }
                    }
                    None => weights.extend(std::iter::repeat_n(0, block.columns)),
                }
            }
            let bias = fits(round(*bias, bias_factor), self.formats.limit())?;
            #[expect(clippy::cast_possible_truncation, reason = "an integer that fits")]
            biases.push(bias as i64);
        }
        Ok(())
    }

    fn too_small(&self) -> Error {
        self.problem("its values in calibration are too small to be scaled")
    }

    fn problem(&self, problem: &'static str) -> Error {
        Reason::Layer {
            layer: self.layer,
            problem,
        }
        .into()
    }
}

/// The nearest integer, halves away from zero.
fn round(x: f64, factor: f64) -> f64 {
    (x * factor).round()
}
