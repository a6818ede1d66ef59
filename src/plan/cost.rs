//! What a proof is expected to cost.

use serde::{Deserialize, Serialize};

/// Expected cost of one proof.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// CPU seconds of folding.
    pub fold_s: f64,
    /// CPU seconds of work on the weights outside the circuit.
    pub weights_s: f64,
    /// CPU seconds of compression and opening.
    pub compress_s: f64,
    /// Peak memory in MiB.
    pub peak_mib: f64,
}

impl Cost {
    /// CPU seconds in all.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.fold_s + self.weights_s + self.compress_s
    }
}

/// CPU seconds of the parts of a proof on some machine, all cores together.
///
/// The default is a server of 2024 (AMD EPYC with AVX-512 IFMA); `cargo bench --bench calibrate` measures
/// another and prints JSON that deserialises to this type. A choice of schedule depends on ratios
/// alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostModel {
    /// One fold of an empty step.
    pub fold: f64,
    /// A constraint of a step in a fold: a mixture of bits and full-size elements.
    pub per_constraint: f64,
    /// A weight in one step: the two passes of the sumcheck.
    pub per_weight: f64,
    /// Compression and opening for primary circuits of `2^14`, `2^15`, … constraints; beyond the
    /// last, each doubles.
    pub compress: Vec<f64>,
    /// MiB that everything but the circuit takes.
    pub base_mib: f64,
    /// MiB for each constraint of the primary circuit's size, when it is compressed.
    pub mib_per_constraint: f64,
}

impl Default for CostModel {
    fn default() -> Self {
        Self {
            fold: 0.075,
            per_constraint: 1.4e-6,
            per_weight: 2.5e-9,
            compress: vec![0.5, 0.65, 1.1, 1.95],
            base_mib: 90.0,
            mib_per_constraint: 3.6e-3,
        }
    }
}

impl CostModel {
    /// CPU seconds of compressing a primary circuit of so many constraints.
    #[must_use]
    pub fn compress(&self, constraints: usize) -> f64 {
        let log = constraints.next_power_of_two().trailing_zeros().max(14) as usize - 14;
        let last = self.compress.len().saturating_sub(1);
        let known = self.compress.get(log.min(last)).copied().unwrap_or(0.0);
        known * 2f64.powi((log - log.min(last)) as i32)
    }

    /// The cost of a run of so many steps, of a primary circuit of so many constraints, with so
    /// many weights.
    #[must_use]
    pub fn of(&self, constraints: usize, steps: u64, weights: u64) -> Cost {
        let step = constraints.saturating_sub(super::NOVA_CONSTRAINTS);
        let each = self.fold + self.per_constraint * step as f64;
        let size = constraints.next_power_of_two();
        // A weight is held as two bytes, by the model and by the prover.
        let weights_mib = weights as f64 * 4.0 / f64::from(1 << 20);
        Cost {
            // The first step is not folded: half of the work.
            fold_s: (steps as f64 - 0.5) * each,
            weights_s: self.per_weight * weights as f64 * steps as f64,
            compress_s: self.compress(constraints),
            peak_mib: self.base_mib + self.mib_per_constraint * size as f64 + weights_mib,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_beyond_the_measured_ones_double() {
        let costs = CostModel {
            compress: vec![1.0, 2.0, 3.0],
            ..CostModel::default()
        };
        let at = |n: usize| costs.compress(n);
        assert_eq!([at(1), at(1 << 14), at((1 << 14) + 1)], [1.0, 1.0, 2.0]);
        assert_eq!([at(1 << 16), at(1 << 17), at(1 << 18)], [3.0, 6.0, 12.0]);
    }
}
