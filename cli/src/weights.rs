//! Integer weights as bytes, to keep with the state of a prover. Secret.
//!
//! ```text
//! magic   8 bytes "LFintgr1"
//! maps    u32
//! a map   u32 rows, u32 columns, u8 kind, i64 bias of each row, then the rows
//! a row   of kind 0: i16 weights of all columns
//!         of kind 1: u32 entries, and of each a u32 column and an i16 weight
//! ```
//!
//! All little-endian. What is read is not trusted to be what was written: whoever uses it compares the
//! commitment.

use layerfold::{
    Error,
    weights::{AffineMap, Row, WeightBank},
};
use zeroize::Zeroizing;

const MAGIC: &[u8; 8] = b"LFintgr1";
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
/// Bytes of an entry of a sparse row.
const ENTRY: usize = 6;

fn is_sparse(map: &AffineMap) -> bool {
    map.rows() > 0 && matches!(map.row(0), Row::Sparse(..))
}

/// The bytes of a bank.
pub(crate) fn to_bytes(bank: &WeightBank) -> Zeroizing<Vec<u8>> {
    let length: usize = bank.maps().iter().map(|m| map_len(m)).sum();
    // Growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(12 + length));
    let int = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    bytes.extend(MAGIC);
    bytes.extend(int(bank.maps().len()));
    for map in bank.maps() {
        bytes.extend(int(map.rows()));
        bytes.extend(int(map.columns()));
        bytes.push(if is_sparse(map) { SPARSE } else { DENSE });
        bytes.extend(map.bias().iter().flat_map(|b| b.to_le_bytes()));
        for row in 0..map.rows() {
            match map.row(row) {
                Row::Dense(weights) => bytes.extend(weights.iter().flat_map(|w| w.to_le_bytes())),
                Row::Sparse(columns, weights) => {
                    bytes.extend(int(weights.len()));
                    for (j, w) in columns.iter().zip(weights) {
                        bytes.extend(j.to_le_bytes());
                        bytes.extend(w.to_le_bytes());
                    }
                }
            }
        }
    }
    bytes
}

fn map_len(map: &AffineMap) -> usize {
    let row = |row| match map.row(row) {
        Row::Dense(weights) => 2 * weights.len(),
        Row::Sparse(_, weights) => 4 + ENTRY * weights.len(),
    };
    9 + (0..map.rows()).map(|r| 8 + row(r)).sum::<usize>()
}

/// Why bytes are no bank.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// They end too early, go on, or contradict themselves.
    Malformed,
    /// The maps are not valid.
    Maps(Error),
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Malformed => f.write_str("damaged"),
            Self::Maps(e) => write!(f, "damaged: {e}"),
        }
    }
}

/// Reads a bank.
pub(crate) fn from_bytes(bytes: &[u8]) -> Result<WeightBank, Unreadable> {
    read(bytes).ok_or(Unreadable::Malformed)?
}

fn read(bytes: &[u8]) -> Option<Result<WeightBank, Unreadable>> {
    let mut rest = bytes.strip_prefix(MAGIC.as_slice())?;
    let count = int(&mut rest)?;
    let mut maps = Vec::new();
    for _ in 0..count {
        let (rows, columns) = (int(&mut rest)? as usize, int(&mut rest)? as usize);
        let [kind] = take(&mut rest)?;
        let bias = chunk(&mut rest, rows.checked_mul(8)?)?;
        let bias = bias
            .chunks_exact(8)
            .map(|b| number(b).map(i64::from_le_bytes));
        let bias = bias.collect::<Option<Vec<_>>>()?;
        let map = match kind {
            DENSE => {
                let weights = chunk(&mut rest, rows.checked_mul(columns)?.checked_mul(2)?)?;
                let weights = weights.chunks_exact(2).map(weight);
                AffineMap::new(columns, weights.collect(), bias)
            }
            SPARSE => {
                let mut entries = Vec::new();
                for _ in 0..rows {
                    let count = int(&mut rest)? as usize;
                    entries.push(chunk(&mut rest, count.checked_mul(ENTRY)?)?);
                }
                let rows = entries.iter().map(|row| row.chunks_exact(ENTRY).map(entry));
                AffineMap::sparse(columns, rows, bias)
            }
            _ => return None,
        };
        match map {
            Ok(map) => maps.push(map),
            Err(e) => return Some(Err(Unreadable::Maps(e))),
        }
    }
    rest.is_empty()
        .then(|| WeightBank::new(maps).map_err(Unreadable::Maps))
}

/// A weight of two bytes; there are two.
fn weight(bytes: &[u8]) -> i16 {
    number(bytes).map_or(0, i16::from_le_bytes)
}

/// Column and weight of an entry of six bytes; a column that no map has if there are not as many.
fn entry(bytes: &[u8]) -> (u32, i16) {
    match bytes.split_first_chunk() {
        Some((column, rest)) => (u32::from_le_bytes(*column), weight(rest)),
        None => (u32::MAX, 0),
    }
}

fn number<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

fn chunk<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(head)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

fn int(rest: &mut &[u8]) -> Option<u32> {
    take(rest).map(u32::from_le_bytes)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn bank() -> WeightBank {
        let dense = AffineMap::new(3, vec![1, -2, 3, 0, i16::MIN, 0], vec![-1, 1 << 40]).unwrap();
        let entries = [vec![(7, 5), (8, -1)], vec![], vec![(19, -6)]];
        let sparse = AffineMap::sparse(20, entries, vec![0, 9, -9]).unwrap();
        WeightBank::new(vec![dense, sparse]).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = to_bytes(&bank());
        let length: usize = bank().maps().iter().map(|m| map_len(m)).sum();
        assert_eq!(bytes.len(), 12 + length);
        assert_eq!(from_bytes(&bytes).unwrap(), bank());
    }

    #[test]
    fn damaged_bytes_are_refused_or_another_bank() {
        let bytes = to_bytes(&bank());
        assert!((0..bytes.len()).all(|n| from_bytes(&bytes[..n]).is_err()));
        assert!(from_bytes(&[bytes.as_slice(), &[0]].concat()).is_err());
        for index in 0..bytes.len() {
            for bit in [1, 0x80] {
                let mut other = bytes.to_vec();
                other[index] ^= bit;
                assert!(from_bytes(&other).map_or(true, |read| read != bank()));
            }
        }
    }
}
