//! Quantised networks as bytes.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::{Quantized, Scales, lower::width_of, quantized::Details};
use crate::{
    error::{DecodeError, Error},
    program::{AffineMap, Program, Register, Row, Shape, WeightBank},
};

const MAGIC: &[u8; 4] = b"LFQN";
const VERSION: u16 = 2;
/// What is read, in errors.
const WHAT: &str = "quantised network";
/// Longest that is read.
const LIMIT: usize = 1 << 32;

#[derive(Serialize, Deserialize)]
struct Stored {
    program: Vec<u8>,
    maps: Vec<StoredMap>,
    scales: Scales,
    details: Option<Details>,
}

/// An affine map, its weights by row.
#[derive(Serialize, Deserialize)]
struct StoredMap {
    columns: u32,
    bias: Vec<i64>,
    /// All of them, or none if they are sparse.
    dense: Vec<i16>,
    /// Of each row those that are not zero.
    sparse: Vec<Vec<(u32, i16)>>,
}

impl Drop for StoredMap {
    fn drop(&mut self) {
        self.bias.zeroize();
        self.dense.zeroize();
        for row in &mut self.sparse {
            row.iter_mut().for_each(|(j, w)| {
                j.zeroize();
                w.zeroize();
            });
        }
    }
}

impl StoredMap {
    fn of(map: &AffineMap) -> Self {
        let rows = || (0..map.rows()).map(|i| map.row(i));
        let all = map.rows().saturating_mul(map.columns());
        let nonzeros: usize = rows().map(|r| r.entries().count()).sum();
        let mut stored = Self {
            columns: u32::try_from(map.columns()).unwrap_or(u32::MAX),
            bias: map.bias().to_vec(),
            dense: Vec::new(),
            sparse: Vec::new(),
        };
        if nonzeros < all / 2 {
            let row = |r: Row<'_>| {
                let entries = r.entries();
                entries
                    .map(|(j, w)| (u32::try_from(j).unwrap_or(u32::MAX), w))
                    .collect()
            };
            stored.sparse = rows().map(row).collect();
        } else {
            stored.dense = vec![0; all];
            for (i, row) in rows().enumerate() {
                for (j, w) in row.entries() {
                    stored.dense[i * map.columns() + j] = w;
                }
            }
        }
        stored
    }

    fn map(&self) -> Result<AffineMap, Error> {
        let (columns, bias) = (self.columns as usize, self.bias.clone());
        match self.sparse.is_empty() {
            true => AffineMap::new(columns, self.dense.clone(), bias),
            false => {
                AffineMap::sparse(columns, self.sparse.iter().map(|r| r.iter().copied()), bias)
            }
        }
    }
}

impl Quantized {
    /// All of it as bytes, the secret weights too.
    ///
    /// # Errors
    /// Never, but for lack of memory.
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let stored = Stored {
            program: self.program.to_bytes(),
            maps: self.bank.maps().iter().map(|m| StoredMap::of(m)).collect(),
            scales: self.scales,
            details: self.details.clone(),
        };
        let body = postcard::to_stdvec(&stored).map(Zeroizing::new);
        let body = body.map_err(|e| Error::proving(WHAT, e))?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(body.len() + 6));
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&body);
        Ok(bytes)
    }

    /// Reads what [`to_bytes`](Self::to_bytes) made. Everything is checked that other calls rely on; whether
    /// the weights are those of a certain network is not.
    ///
    /// # Errors
    /// If the bytes are no such network, of another version, or their parts do not fit each other.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > LIMIT {
            return Err(DecodeError::TooLong {
                what: WHAT,
                limit: LIMIT as u64,
                got: bytes.len() as u64,
            }
            .into());
        }
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            return Err(DecodeError::Magic { what: WHAT }.into());
        };
        let Some((version, body)) = rest.split_first_chunk() else {
            return Err(DecodeError::Truncated.into());
        };
        let got = u16::from_le_bytes(*version);
        if got != VERSION {
            return Err(DecodeError::Version {
                expected: VERSION,
                got,
            }
            .into());
        }
        let malformed = || Error::from(DecodeError::Malformed { what: WHAT });
        let (stored, rest) = postcard::take_from_bytes::<Stored>(body).map_err(|_| malformed())?;
        if !rest.is_empty() {
            return Err(DecodeError::TrailingBytes { count: rest.len() }.into());
        }
        let program = Program::from_bytes(&stored.program)?;
        let maps = stored.maps.iter().map(StoredMap::map);
        let bank = WeightBank::new(maps.collect::<Result<_, _>>()?)?;
        let Scales { input, output, .. } = stored.scales;
        let mut quantized = Self::from_integers(program, bank, input, output)?;
        if quantized.scales != stored.scales {
            return Err(malformed());
        }
        if let Some(details) = &stored.details
            && !details.fits(&quantized.program)
        {
            return Err(malformed());
        }
        quantized.details = stored.details;
        Ok(quantized)
    }
}

impl Details {
    /// Whether all registers that it names are there, and all numbers are such.
    fn fits(&self, program: &Program) -> bool {
        let shapes = program.register_shapes();
        let shape = |r: Register| shapes.get(r).copied();
        let encoding = |e: &super::lower::Encoding| {
            let fits = |s: Shape| s.len == e.len && (e.width, e.signed) == width_of(s.range);
            (1..=48).contains(&e.width)
                && e.unit.is_finite()
                && e.rest.is_finite()
                && shape(e.register).is_some_and(fits)
        };
        let stages = self.stages.iter().all(|s| {
            encoding(&s.result)
                && s.rounded
                    .iter()
                    .all(|r| r.shift < 64 && shape(r.sums).is_some() && shape(r.result).is_some())
        });
        let grids = self
            .stages
            .iter()
            .flat_map(|s| s.arguments.iter().flatten());
        let widths = grids.map(|g| g.width).all(|w| (1..=48).contains(&w));
        encoding(&self.input) && self.states.iter().all(encoding) && stages && widths
    }
}
