//! What a proof is expected to cost.

use serde::{Deserialize, Serialize};

use crate::flat::FlatSize;

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
    /// Of flat proofs.
    #[serde(default)]
    pub flat: FlatCosts,
    /// MiB that everything but the circuit takes.
    pub base_mib: f64,
    /// MiB for each constraint of the primary circuit's size, when it is compressed.
    pub mib_per_constraint: f64,
}

/// CPU seconds of the parts of a flat proof.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlatCosts {
    /// A step: its hashes, whatever else it does.
    pub step: f64,
    /// A constraint of a step: witness, commitment and cross term.
    pub per_constraint: f64,
    /// A constraint of the random instance that is folded into the others.
    pub per_random_constraint: f64,
    /// The SNARK and the opening, whatever their size.
    pub snark: f64,
    /// The SNARK, for each constraint of a step, rounded up to a power of two.
    pub snark_per_constraint: f64,
    /// MiB for each constraint of a step.
    pub mib_per_constraint: f64,
}

impl Default for FlatCosts {
    fn default() -> Self {
        Self {
            step: 0.034,
            per_constraint: 0.9e-6,
            per_random_constraint: 5.6e-6,
            snark: 0.045,
            snark_per_constraint: 6.7e-6,
            mib_per_constraint: 4.4e-3,
        }
    }
}

/// MiB that are kept of each constraint of each step of a flat proof: its witness and what it is
/// folded into.
const FLAT_MIB_PER_CONSTRAINT_AND_STEP: f64 = 180.0 / (1 << 20) as f64;
/// MiB of a weight, which is held as two bytes by the model and by the prover.
const MIB_PER_WEIGHT: f64 = 4.0 / (1 << 20) as f64;

impl Default for CostModel {
    fn default() -> Self {
        Self {
            fold: 0.075,
            per_constraint: 1.4e-6,
            per_weight: 2.5e-9,
            compress: vec![0.5, 0.65, 1.1, 1.95],
            flat: FlatCosts::default(),
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

    /// CPU seconds of the SNARK and the opening of a flat proof over a plain step circuit of `2^log`
    /// constraints.
    #[must_use]
    pub(crate) fn flat_snark(&self, log: u32) -> f64 {
        self.flat.snark + self.flat.snark_per_constraint * f64::from(1u32 << log.min(31))
    }

    /// The cost of a flat proof of so many steps, of so many constraints each, with so many weights.
    #[must_use]
    pub fn of_flat(&self, constraints: usize, steps: u64, weights: u64) -> Cost {
        let flat = &self.flat;
        let log = constraints.next_power_of_two().trailing_zeros();
        let (constraints, steps) = (constraints as f64, steps as f64);
        let kept = FLAT_MIB_PER_CONSTRAINT_AND_STEP * constraints * steps;
        Cost {
            fold_s: steps * (flat.step + flat.per_constraint * constraints)
                + flat.per_random_constraint * constraints,
            weights_s: self.per_weight * weights as f64 * steps,
            compress_s: self.flat_snark(log),
            peak_mib: self.base_mib
                + flat.mib_per_constraint * constraints
                + kept
                + MIB_PER_WEIGHT * weights as f64,
        }
    }

    /// Whether a flat proof of so many steps is not expected to be dearer than a recursive one.
    pub(crate) fn flat_is_cheaper(&self, size: FlatSize, steps: u64) -> bool {
        let step = size.step().constraints;
        let flat = self.of_flat(step, steps, 0);
        let recursive = self.of(step + super::NOVA_CONSTRAINTS, steps, 0);
        flat.total() <= recursive.total()
    }

    /// The cost of a recursive proof of so many steps, of a primary circuit of so many constraints, with so
    /// many weights.
    #[must_use]
    pub fn of(&self, constraints: usize, steps: u64, weights: u64) -> Cost {
        let step = constraints.saturating_sub(super::NOVA_CONSTRAINTS);
        let each = self.fold + self.per_constraint * step as f64;
        let size = constraints.next_power_of_two();
        Cost {
            // The first step is not folded: half of the work.
            fold_s: (steps as f64 - 0.5) * each,
            weights_s: self.per_weight * weights as f64 * steps as f64,
            compress_s: self.compress(constraints),
            peak_mib: self.base_mib
                + self.mib_per_constraint * size as f64
                + MIB_PER_WEIGHT * weights as f64,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn costs_of_a_file_that_does_not_know_of_flat_proofs_are_the_usual_ones() {
        let mut json = serde_json::to_value(CostModel::default()).unwrap();
        json.as_object_mut().unwrap().remove("flat");
        let read: CostModel = serde_json::from_value(json).unwrap();
        assert_eq!(read, CostModel::default());
    }

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
