//! What a proof is expected to cost.

use serde::{Deserialize, Serialize};

use crate::program::{Operation, Program, Shape};

/// Nova's own constraints in the primary circuit.
pub(super) const NOVA_CONSTRAINTS: usize = crate::keys::NOVA_CONSTRAINTS.0;

/// Expected cost of one proof.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// CPU seconds of a trace: commitments, lookups, opening; none in the recursive kind.
    pub trace_s: f64,
    /// CPU seconds of folding.
    pub fold_s: f64,
    /// CPU seconds of work on the weights.
    pub weights_s: f64,
    /// CPU seconds of compression and opening of what was folded.
    pub compress_s: f64,
    /// Peak memory in MiB.
    pub peak_mib: f64,
}

impl Cost {
    /// CPU seconds in all.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.trace_s + self.fold_s + self.weights_s + self.compress_s
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
    /// Of traces.
    #[serde(default)]
    pub trace: TraceCosts,
    /// MiB that everything but the circuit or the trace takes.
    pub base_mib: f64,
    /// MiB for each constraint of the primary circuit's size, when it is compressed.
    pub mib_per_constraint: f64,
}

/// CPU seconds of the parts of a trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceCosts {
    /// Whatever the program and the run are.
    pub fixed: f64,
    /// A value that is looked up in a table.
    pub per_lookup: f64,
    /// An integer that is committed to.
    pub per_cell: f64,
    /// A weight, once for all frames.
    pub per_weight: f64,
}

impl Default for TraceCosts {
    fn default() -> Self {
        Self {
            fixed: 0.02,
            per_lookup: 0.3e-6,
            per_cell: 0.3e-6,
            per_weight: 3e-9,
        }
    }
}

/// How large the trace of a run is, about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TraceSize {
    /// Values that are looked up.
    pub(crate) lookups: u64,
    /// Integers that are committed to.
    pub(crate) cells: u64,
}

impl TraceSize {
    /// Of a run of a valid program of so many frames.
    pub(crate) fn of(program: &Program, frames: u64) -> Self {
        let shapes = program.register_shapes();
        let body = program.operations();
        let (of_frame, rest) = shapes.results().split_at(body.len());
        let input = Self::each(program.frame_shape().len, 1, 1);
        let frame = Self::of_operations(body, of_frame).plus(input);
        let times = |n: u64| n.saturating_mul(frames);
        Self {
            lookups: times(frame.lookups),
            cells: times(frame.cells),
        }
        .plus(Self::of_operations(program.head(), rest))
    }

    fn each(entries: usize, lookups: u64, cells: u64) -> Self {
        Self {
            lookups: lookups * entries as u64,
            cells: cells * entries as u64,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            lookups: self.lookups.saturating_add(other.lookups),
            cells: self.cells.saturating_add(other.cells),
        }
    }

    fn of_operations(operations: &[Operation], results: &[Shape]) -> Self {
        let own = |(operation, result): (&Operation, &Shape)| match operation {
            // Parts of other registers, and sums that follow from them.
            Operation::Slice(_)
            | Operation::Concat(_)
            | Operation::Accumulate(_)
            | Operation::Dot(_) => Self::default(),
            Operation::Affine(_) | Operation::Combine(_) => Self::each(result.len, 0, 1),
            // What is kept, and what is cut off.
            Operation::Requantize(_) => Self::each(result.len, 2, 2),
            Operation::Relu(_) | Operation::Lookup(_) => Self::each(result.len, 1, 1),
            // Comparisons of wide sums, in parts.
            Operation::Sign(_)
            | Operation::Zero(_)
            | Operation::Indicators(_)
            | Operation::ArgMax(_) => Self::each(result.len, 4, 4),
        };
        let all = operations.iter().zip(results).map(own);
        all.fold(Self::default(), Self::plus)
    }
}

/// MiB of a weight, which is held as two bytes by the model and by the prover.
const MIB_PER_WEIGHT: f64 = 4.0 / (1 << 20) as f64;

impl Default for CostModel {
    fn default() -> Self {
        Self {
            fold: 0.075,
            per_constraint: 1.4e-6,
            per_weight: 2.5e-9,
            compress: vec![0.5, 0.65, 1.1, 1.95],
            trace: TraceCosts::default(),
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

    /// The cost of a trace of so many lookups and committed integers, with so many weights, whose proof
    /// takes `peak_mib` by itself.
    #[must_use]
    pub fn of_trace(&self, lookups: u64, cells: u64, weights: u64, peak_mib: f64) -> Cost {
        let trace = &self.trace;
        Cost {
            trace_s: trace.fixed
                + trace.per_lookup * lookups as f64
                + trace.per_cell * cells as f64,
            fold_s: 0.0,
            weights_s: trace.per_weight * weights as f64,
            compress_s: 0.0,
            peak_mib: self.base_mib + peak_mib + MIB_PER_WEIGHT * weights as f64,
        }
    }

    /// The cost of a recursive proof of so many steps, of a primary circuit of so many constraints, with so
    /// many weights.
    #[must_use]
    pub fn of(&self, constraints: usize, steps: u64, weights: u64) -> Cost {
        let step = constraints.saturating_sub(NOVA_CONSTRAINTS);
        let each = self.fold + self.per_constraint * step as f64;
        let size = constraints.next_power_of_two();
        Cost {
            trace_s: 0.0,
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
    fn costs_of_a_file_that_does_not_know_of_traces_are_the_usual_ones() {
        let mut json = serde_json::to_value(CostModel::default()).unwrap();
        json.as_object_mut().unwrap().remove("trace");
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
