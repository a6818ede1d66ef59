//! Numbers of variables of the weight bank.

use serde::{Deserialize, Serialize};

use super::{MapShape, Program};

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
    pub(super) fn of(maps: &[MapShape]) -> Self {
        let count = maps.len() as u64;
        let rows = maps.iter().map(|m| m.rows).max().unwrap_or(1);
        let columns = maps.iter().map(|m| m.columns).max().unwrap_or(1);
        Self {
            lambda: bits_for(count),
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
}

impl Program {
    /// Column bits of the commitment to the weights if none are chosen: the least from 7 to 12, and
    /// at most `ν`, with which no more than `2^13` rows are committed, or a quarter more than are
    /// needed.
    ///
    /// A committed row is a part of one row of one map. Short rows make the opening cheap, which
    /// decides what a small proof costs; many rows cost the verifier.
    #[must_use]
    pub fn default_column_bits(&self) -> u32 {
        const FEW: u64 = 1 << 13;
        let most = self.bank().nu.min(12);
        let rows = |bits: u32| -> u64 {
            let of = |m: &MapShape| {
                u64::from(m.rows).saturating_mul((u64::from(m.columns) + 1).div_ceil(1 << bits))
            };
            self.maps.iter().map(of).fold(0, u64::saturating_add)
        };
        let enough = FEW.max(rows(most).saturating_mul(5) / 4);
        (most.min(7)..most)
            .find(|bits| rows(*bits) <= enough)
            .unwrap_or(most)
    }
}

/// The least `b` with `2^b ≥ n`.
fn bits_for(n: u64) -> u32 {
    n.max(1).next_power_of_two().trailing_zeros()
}
