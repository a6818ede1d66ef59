//! Numbers of variables of the weight bank.

use serde::{Deserialize, Serialize};

use super::Program;

/// Numbers of index bits of the bank `W(l, i, j)`: map, row, column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BankDimensions {
    /// `λ`, bits of the map index.
    pub lambda: u32,
    /// `μ`, bits of the row index.
    pub mu: u32,
    /// `ν`, bits of the column index, column 0 being the bias.
    pub nu: u32,
}

impl BankDimensions {
    pub(super) fn of(program: &Program) -> Self {
        let maps = program.maps.len() as u64;
        let rows = program.maps.iter().map(|m| m.rows).max().unwrap_or(1);
        let columns = program.maps.iter().map(|m| m.columns).max().unwrap_or(1);
        Self {
            lambda: bits_for(maps),
            mu: bits_for(u64::from(rows)).max(1),
            nu: bits_for(1 + u64::from(columns)).max(1),
        }
    }

    /// Variables of the masked bank, `d = 1 + λ + μ + ν`: the rounds of one step's sumcheck.
    #[must_use]
    pub fn rounds(&self) -> usize {
        1 + self.index_bits() as usize
    }

    /// `λ + μ + ν`.
    #[must_use]
    pub fn index_bits(&self) -> u32 {
        self.lambda + self.mu + self.nu
    }

    /// Column bits of the commitment if none are chosen: `⌈(λ+μ+ν)/2⌉ − 2`, between 7 and 12, and at
    /// most `ν`, so that a committed row is a part of one row of one map.
    ///
    /// Short rows make the opening cheap, which decides what a small proof costs; many rows cost the
    /// verifier.
    #[must_use]
    pub fn default_column_bits(&self) -> u32 {
        let half = self.index_bits().div_ceil(2);
        half.saturating_sub(2).clamp(7, 12).min(self.nu)
    }
}

/// The least `b` with `2^b ≥ n`.
fn bits_for(n: u64) -> u32 {
    n.max(1).next_power_of_two().trailing_zeros()
}
