//! The hiding commitment to a bank, in rows (Hyrax, Wahby et al., S&P 2018, §6), and its name.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use ff::{Field, PrimeField};
use halo2curves::{group::GroupEncoding, pasta::PallasAffine};
use nova_snark::{provider::traits::DlogGroup, traits::PrimeFieldExt};
use rand_core::OsRng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::{
    delayed::from_i64,
    multiples::{Base, Multiples},
};
use crate::program::weights::{AffineMap, WeightBank};
use crate::{
    backend::{Commitment, CommitmentKey, E1, F, generators::BANK_LABEL},
    curve::{
        msm::sum_of_products,
        points::{Form, Point, with_best_form},
    },
    error::{DecodeError, Error},
    hash::shake,
    program::{BankDimensions, MapShape, Program},
};

/// Most column bits of a commitment: as many generators have a pinned digest.
pub(crate) const MAX_COLUMN_BITS: u32 = 16;
/// Most rows of a commitment that is read from bytes.
const MAX_ROWS: u64 = 1 << 26;

/// The 32 bytes that name a committed model; serialised as hexadecimal text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelDigest(#[serde(with = "crate::hex::text")] pub(crate) [u8; 32]);

impl ModelDigest {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ModelDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for ModelDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModelDigest({self})")
    }
}

/// A hiding and binding commitment to the weights of a model under one program.
///
/// Public: it reveals the dimensions of the maps and nothing of the integers. It binds the
/// function: whoever commits chooses `x ↦ A·x` in the field; that the entries are small, or that
/// the model is any good, is not claimed.
#[derive(Clone, PartialEq, Eq)]
pub struct ModelCommitment {
    pub(super) dimensions: BankDimensions,
    pub(super) column_bits: u32,
    pub(super) maps: Vec<MapShape>,
    /// `C_r` of the rows that meet the box `l < L, i < m_l, j ≤ n_l`, in ascending order.
    pub(super) rows: Vec<PallasAffine>,
}

impl fmt::Debug for ModelCommitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModelCommitment({})", self.digest())
    }
}

/// A stretch of columns of one map row that lies in one committed row.
pub(super) struct Segment {
    /// Index of the committed row in the bank, its high bits.
    pub(super) row: u64,
    /// First column in that row.
    pub(super) column: usize,
    /// First column in the map row, 0 being the bias.
    pub(super) j: usize,
    pub(super) len: usize,
}

/// The segments of map row `(l, i)` with columns `0..=n`.
pub(super) fn segments(
    dimensions: &BankDimensions,
    column_bits: u32,
    l: usize,
    i: usize,
    columns: usize,
) -> impl Iterator<Item = Segment> + use<> {
    let base = ((l as u64) << (dimensions.mu + dimensions.nu)) | ((i as u64) << dimensions.nu);
    let width = 1usize << column_bits.min(dimensions.nu);
    (0..=columns).step_by(width).map(move |j| {
        let index = base | j as u64;
        Segment {
            row: index >> column_bits,
            column: (index & ((1 << column_bits) - 1)) as usize,
            j,
            len: width.min(columns + 1 - j),
        }
    })
}

/// What lies in committed row `r`: map, row of the map, segment.
fn contents(
    dimensions: BankDimensions,
    column_bits: u32,
    maps: &[Arc<AffineMap>],
    r: u64,
) -> impl Iterator<Item = (usize, usize, Segment)> {
    let BankDimensions { mu, nu, .. } = dimensions;
    // Rows (l, i) of the bank, several if they are shorter than a committed row.
    let first = r.checked_shl(column_bits.saturating_sub(nu)).unwrap_or(0)
        >> nu.saturating_sub(column_bits);
    let count = 1u64 << column_bits.saturating_sub(nu);
    let width = 1usize << column_bits.min(nu);
    let j = width * (r & ((1 << nu.saturating_sub(column_bits)) - 1)) as usize;
    (0..count).filter_map(move |k| {
        let row = first + k;
        let (l, i) = ((row >> mu) as usize, (row & ((1 << mu) - 1)) as usize);
        let map = maps
            .get(l)
            .filter(|map| i < map.rows() && j <= map.columns())?;
        let segment = Segment {
            row: r,
            column: width * k as usize,
            j,
            len: width.min(map.columns() + 1 - j),
        };
        Some((l, i, segment))
    })
}

/// Indexes of the committed rows, ascending.
fn committed_rows(
    dimensions: &BankDimensions,
    column_bits: u32,
    maps: &[MapShape],
) -> impl Iterator<Item = u64> {
    let mut last = None;
    maps.iter()
        .enumerate()
        .flat_map(move |(l, map)| {
            (0..map.rows as usize)
                .flat_map(move |i| segments(dimensions, column_bits, l, i, map.columns as usize))
        })
        .map(|s| s.row)
        .filter(move |row| last.replace(*row) != Some(*row))
}

impl ModelCommitment {
    /// Name of the model: `Digest("layerfold/model/1"; λ, μ, ν, c, L, (m_l, n_l), C_r)`.
    #[must_use]
    pub fn digest(&self) -> ModelDigest {
        let mut out = [0; 32];
        shake("layerfold/model/1", &[&self.body()], &mut out);
        ModelDigest(out)
    }

    /// Number of committed rows.
    #[must_use]
    pub fn row_count(&self) -> usize {
        self.rows.len()
    }

    fn body(&self) -> Vec<u8> {
        let BankDimensions { lambda, mu, nu } = self.dimensions;
        let maps = self.maps.len() as u64;
        let mut bytes = Vec::with_capacity(64 + 16 * self.maps.len() + 32 * self.rows.len());
        let mut int = |n: u64| bytes.extend_from_slice(&n.to_le_bytes());
        for n in [lambda, mu, nu, self.column_bits] {
            int(n.into());
        }
        int(maps);
        int(maps);
        for map in &self.maps {
            int(map.rows.into());
            int(map.columns.into());
        }
        int(self.rows.len() as u64);
        for row in &self.rows {
            bytes.extend_from_slice(row.to_bytes().as_ref());
        }
        bytes
    }

    const MAGIC: &[u8; 8] = b"LFmodel1";

    /// Canonical bytes, to publish.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [Self::MAGIC.as_slice(), &self.body()].concat()
    }

    /// Reads a commitment.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are no commitment, are truncated or have trailing bytes, hold
    /// a point off the curve or the identity, or numbers that contradict each other.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut rest = bytes
            .strip_prefix(Self::MAGIC.as_slice())
            .ok_or(DecodeError::Magic {
                what: "model commitment",
            })?;
        let mut int = |what: &'static str, limit: u64| -> Result<u64, DecodeError> {
            let (head, tail) = rest
                .split_first_chunk::<8>()
                .ok_or(DecodeError::Truncated)?;
            rest = tail;
            let got = u64::from_le_bytes(*head);
            if got > limit {
                return Err(DecodeError::TooLong { what, limit, got });
            }
            Ok(got)
        };
        let mut small = |what| int(what, 40).map(|n| n as u32);
        let dimensions = BankDimensions {
            lambda: small("λ")?,
            mu: small("μ")?,
            nu: small("ν")?,
        };
        let column_bits = small("column bits")?;
        let count = int("maps", 1 << 20)?;
        if int("maps", 1 << 20)? != count {
            return Err(DecodeError::Malformed { what: "map count" });
        }
        let mut maps = Vec::new();
        for _ in 0..count {
            maps.push(MapShape {
                rows: int("rows of a map", 1 << 24)? as u32,
                columns: int("columns of a map", 1 << 24)? as u32,
            });
        }
        let rows = int("rows", MAX_ROWS)?;
        let expected = usize::try_from(rows)
            .unwrap_or(usize::MAX)
            .saturating_mul(32);
        if rest.len() < expected {
            return Err(DecodeError::Truncated);
        }
        if rest.len() > expected {
            return Err(DecodeError::TrailingBytes {
                count: rest.len() - expected,
            });
        }
        let rows = rest
            .par_chunks_exact(32)
            .map(|chunk| point_from_bytes(chunk, "row commitment"))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            dimensions,
            column_bits,
            maps,
            rows,
        })
    }

    /// Whether the dimensions and the number of rows are those of the program.
    pub(crate) fn fits(&self, program: &Program) -> bool {
        let dimensions = program.bank();
        let most = MAX_COLUMN_BITS.min(dimensions.index_bits() - 1);
        self.dimensions == dimensions
            && (1..=most).contains(&self.column_bits)
            && self.maps == program.maps()
            && committed_rows(&self.dimensions, self.column_bits, &self.maps)
                .take(self.rows.len() + 1)
                .count()
                == self.rows.len()
    }

    /// The committed rows with their indexes.
    pub(super) fn indexed_rows(&self) -> impl Iterator<Item = (u64, &PallasAffine)> {
        committed_rows(&self.dimensions, self.column_bits, &self.maps).zip(&self.rows)
    }

    pub(crate) fn dimensions(&self) -> &BankDimensions {
        &self.dimensions
    }

    pub(crate) fn maps(&self) -> &[MapShape] {
        &self.maps
    }

    /// Whether every committed row is a part of one row of one map.
    pub(crate) fn rows_are_parts(&self) -> bool {
        self.column_bits <= self.dimensions.nu
    }

    /// The committed rows with map, row of the map and number of the part, if they are
    /// [parts](Self::rows_are_parts).
    pub(crate) fn parts(&self) -> impl Iterator<Item = (usize, usize, usize, &PallasAffine)> {
        let width = 1usize << self.column_bits;
        let parts = self.maps.iter().enumerate().flat_map(move |(l, map)| {
            let count = (map.columns as usize + 1).div_ceil(width);
            (0..map.rows as usize).flat_map(move |i| (0..count).map(move |k| (l, i, k)))
        });
        parts.zip(&self.rows).map(|((l, i, k), row)| (l, i, k, row))
    }

    pub(crate) fn column_bits(&self) -> u32 {
        self.column_bits
    }

    /// Rows that are multiples of the curve's generator: nothing random.
    #[cfg(test)]
    pub(crate) fn known_for_test(program: &Program, column_bits: u32) -> Self {
        let dimensions = program.bank();
        let maps = program.maps().to_vec();
        let count = committed_rows(&dimensions, column_bits, &maps).count() as u64;
        let generator = crate::backend::Group::generator();
        Self {
            dimensions,
            column_bits,
            maps,
            rows: (1..=count)
                .map(|k| (generator * F::from(k)).affine())
                .collect(),
        }
    }

    #[cfg(test)]
    pub(crate) fn with_column_bits_for_test(mut self, column_bits: u32) -> Self {
        self.column_bits = column_bits;
        self
    }

    #[cfg(test)]
    pub(crate) fn truncated_for_test(mut self, rows: usize) -> Self {
        self.rows.truncate(rows);
        self
    }

    #[cfg(test)]
    pub(crate) fn swap_rows_for_test(&mut self, a: usize, b: usize) {
        self.rows.swap(a, b);
    }
}

/// A canonical point that is not the identity.
pub(crate) fn point_from_bytes(
    bytes: &[u8],
    what: &'static str,
) -> Result<PallasAffine, DecodeError> {
    let malformed = DecodeError::Malformed { what };
    let mut repr = <PallasAffine as GroupEncoding>::Repr::default();
    if bytes.len() != repr.as_ref().len() {
        return Err(DecodeError::Truncated);
    }
    repr.as_mut().copy_from_slice(bytes);
    let point = Option::<PallasAffine>::from(PallasAffine::from_bytes(&repr)).ok_or(malformed)?;
    if bool::from(halo2curves::group::prime::PrimeCurveAffine::is_identity(
        &point,
    )) || point.to_bytes().as_ref() != bytes
    {
        return Err(DecodeError::Malformed { what });
    }
    Ok(point)
}

/// What the blinds of a commitment are made of: 32 random bytes.
///
/// Secret material: with it, a guess of the weights can be tested against their commitment. The
/// same seed over the same integers gives the same commitment, so a prover that keeps its seed can
/// be made again in another process. Over other integers the blinds are others and independent.
#[derive(Clone, PartialEq, Eq)]
pub struct BlindingSeed([u8; 32]);

impl BlindingSeed {
    /// A fresh seed, from the operating system's randomness.
    #[must_use]
    pub fn random() -> Self {
        let mut seed = [0; 32];
        rand_core::RngCore::fill_bytes(&mut OsRng, &mut seed);
        Self(seed)
    }

    /// The seed of these bytes. They must have been random, and known to nobody else.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, to keep in a safe place.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// One blind for each row: `Digest("layerfold/blind/1"; seed, digest of all integers and of the
    /// cut, r)`, 64 bytes, as an integer modulo the field's size.
    fn blinds(
        &self,
        bank: &WeightBank,
        program: &Program,
        column_bits: u32,
        rows: &[u64],
    ) -> Vec<F> {
        let mut integers: Vec<Vec<u8>> = bank.maps().iter().map(|m| integers_of(m)).collect();
        let cut = column_bits.to_le_bytes();
        let program = program.digest();
        let mut parts: Vec<&[u8]> = vec![&self.0, &program, &cut];
        parts.extend(integers.iter().map(Vec::as_slice));
        let mut digest = [0; 32];
        shake("layerfold/blind/integers/1", &parts, &mut digest);
        integers.zeroize();
        rows.par_iter()
            .map(|row| {
                let mut wide = [0; 64];
                let parts: [&[u8]; 3] = [&self.0, &digest, &row.to_le_bytes()];
                shake("layerfold/blind/1", &parts, &mut wide);
                let blind = F::from_uniform(&wide);
                wide.zeroize();
                blind
            })
            .collect()
    }
}

/// The integers of a map as bytes, which do not depend on how it is stored: the sizes, then row by
/// row the bias and the weights; if less than a third of the weights are not zero, only those, with
/// their number in front and each with its column.
fn integers_of(map: &AffineMap) -> Vec<u8> {
    const SPARSE: u64 = 1 << 63;
    let (rows, columns) = (map.rows(), map.columns());
    let stored = map.weights_stored();
    let count = stored.iter().filter(|w| **w != 0).count();
    let sparse = count < rows * columns / 3;
    // Room for all, so that growing leaves no copy behind.
    let size = if sparse {
        8 + 12 * rows + 6 * count
    } else {
        8 + 8 * rows + 2 * rows * columns
    };
    let mut bytes = Vec::with_capacity(8 + size);
    bytes.extend((rows as u64 | if sparse { SPARSE } else { 0 }).to_le_bytes());
    bytes.extend((columns as u64).to_le_bytes());
    for (i, bias) in map.bias().iter().enumerate() {
        bytes.extend(bias.to_le_bytes());
        let row = map.row(i);
        if sparse {
            bytes.extend((row.entries().count() as u32).to_le_bytes());
            for (j, w) in row.entries() {
                bytes.extend((j as u32).to_le_bytes());
                bytes.extend(w.to_le_bytes());
            }
        } else {
            let mut written = 0;
            for (j, w) in row.entries() {
                bytes.resize(bytes.len() + 2 * (j - written), 0);
                bytes.extend(w.to_le_bytes());
                written = j + 1;
            }
            bytes.resize(bytes.len() + 2 * (columns - written), 0);
        }
    }
    bytes
}

impl fmt::Debug for BlindingSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlindingSeed(redacted)")
    }
}

impl Drop for BlindingSeed {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Commits to rows: to those with few weights that are not zero by tables of multiples.
struct RowCommitter<'a> {
    maps: &'a [Arc<AffineMap>],
    dimensions: BankDimensions,
    column_bits: u32,
    key: &'a CommitmentKey<E1>,
    /// Of the blinding generator.
    blinding: Multiples,
    /// Of the generators of columns that hold biases, one in `2^ν`.
    biases: Multiples,
    /// Of all generators, if rows are short or there is a map most of whose weights are zero.
    weights: Option<Multiples>,
}

impl<'a> RowCommitter<'a> {
    /// Rows with more entries than this are better off with a sum of products of their own.
    const FEW: usize = 1 << 11;
    /// Bits of the length of rows for which tables are made, whatever the maps are.
    const SHORT: u32 = 11;

    fn new(
        bank: &'a WeightBank,
        dimensions: &BankDimensions,
        column_bits: u32,
        key: &'a CommitmentKey<E1>,
    ) -> Self {
        let generators = key.generators();
        let sparse = |map: &AffineMap| map.weights_stored().len() < map.rows() * map.columns() / 8;
        let bias_columns = generators.iter().copied().step_by(1 << dimensions.nu);
        Self {
            maps: bank.maps(),
            dimensions: *dimensions,
            column_bits,
            key,
            blinding: Multiples::new(&[*key.blinding_generator()], 8, 256),
            biases: Multiples::new(&bias_columns.collect::<Vec<_>>(), 4, 64),
            weights: (column_bits <= Self::SHORT || bank.maps().iter().any(|m| sparse(m)))
                .then(|| Multiples::new(generators, 4, 16)),
        }
    }

    /// The commitments to the rows of these indexes.
    fn commit(&self, rows: &[u64], blinds: &[F]) -> Vec<PallasAffine> {
        with_best_form!(Base, |form| self.commit_in(form, rows, blinds))
    }

    fn commit_in<A: Form<Base>>(&self, form: A, rows: &[u64], blinds: &[F]) -> Vec<PallasAffine> {
        const TOGETHER: usize = 64;
        rows.par_chunks(TOGETHER)
            .zip(blinds.par_chunks(TOGETHER))
            .map_init(
                || form.batch(),
                |batch, (rows, blinds)| {
                    let mut points = Vec::new();
                    let mut terms = Vec::new();
                    let mut lengths = Vec::with_capacity(rows.len());
                    for (row, blind) in rows.iter().zip(blinds) {
                        points.clear();
                        self.push_row(*row, &mut points);
                        let scalar = blind.to_repr();
                        self.blinding.push(0, scalar.as_ref(), false, &mut points);
                        if points.is_empty() {
                            points.push(Point::IDENTITY);
                        }
                        lengths.push(points.len());
                        terms.extend(points.iter().map(|p| form.enter(p)));
                    }
                    let sums = A::sum_segments(batch, &mut terms, &lengths);
                    (sums.iter())
                        .map(|sum| form.leave(sum).to_curve())
                        .collect::<Vec<_>>()
                },
            )
            .flatten_iter()
            .collect()
    }

    /// Appends points whose sum is the commitment to a row without its blind.
    fn push_row(&self, row: u64, terms: &mut Vec<Point<Base>>) {
        let contents = || contents(self.dimensions, self.column_bits, self.maps, row);
        if let Some(weights) = &self.weights {
            let stretches = || {
                contents().map(|(l, i, s)| {
                    let range = s.j.saturating_sub(1)..s.j + s.len - 1;
                    (
                        s.column + usize::from(s.j == 0),
                        self.maps[l].row(i).stretch(range),
                    )
                })
            };
            let count: usize = stretches()
                .map(|(_, stretch)| stretch.entries().take(Self::FEW + 1).count())
                .sum();
            if count <= Self::FEW {
                for (l, i, s) in contents().filter(|(_, _, s)| s.j == 0) {
                    let bias = self.maps[l].bias()[i];
                    let scalar = bias.unsigned_abs().to_le_bytes();
                    let index = s.column >> self.dimensions.nu;
                    self.biases.push(index, &scalar, bias < 0, terms);
                }
                for (from, stretch) in stretches() {
                    for (k, w) in stretch.entries() {
                        let scalar = w.unsigned_abs().to_le_bytes();
                        weights.push(from + k, &scalar, w < 0, terms);
                    }
                }
                return;
            }
        }
        let mut scalars = Vec::new();
        for (l, i, s) in contents() {
            scalars.resize(s.column + s.len, F::ZERO);
            let map = &self.maps[l];
            let (from, to) = (s.j.saturating_sub(1), s.j + s.len - 1);
            if s.j == 0 {
                scalars[s.column] = from_i64(map.bias()[i]);
            }
            let first = s.column + usize::from(s.j == 0);
            for (k, w) in map.row(i).stretch(from..to).entries() {
                scalars[first + k] = from_i64(w.into());
            }
        }
        let generators = &self.key.generators()[..scalars.len()];
        let sum = with_best_form!(Base, |form| {
            sum_of_products::<PallasAffine, _, _>(form, &scalars, generators)
        });
        terms.push(sum.affine());
        scalars.fill(F::ZERO);
        // What was written is looked at, so that it is written.
        std::hint::black_box(&scalars);
    }
}

/// A bank with its commitment and the blinds: what a prover keeps.
pub(crate) struct CommittedBank {
    pub(super) bank: WeightBank,
    pub(super) blinds: Vec<F>,
    pub(super) commitment: ModelCommitment,
    pub(super) key: CommitmentKey<E1>,
    pub(super) seed: BlindingSeed,
    /// Proofs made under each mask, by `C_m`: sessions and their copies share it.
    proofs: Mutex<HashMap<Vec<u8>, u64>>,
}

impl CommittedBank {
    /// Checks a bank against a program and commits to it, with the blinds of a seed.
    pub(crate) fn commit(
        bank: WeightBank,
        program: &Program,
        seed: BlindingSeed,
    ) -> Result<Self, Error> {
        bank.check(program)?;
        let dimensions = program.bank();
        if !bank.fits(&dimensions) {
            return Err(Error::usage("the bank does not fit the program"));
        }
        let column_bits = program.default_column_bits();
        let key = CommitmentKey::of_label(BANK_LABEL, 1 << column_bits);
        let maps = program.maps().to_vec();
        let indexes: Vec<u64> = committed_rows(&dimensions, column_bits, &maps).collect();
        let blinds = seed.blinds(&bank, program, column_bits, &indexes);

        let rows =
            RowCommitter::new(&bank, &dimensions, column_bits, &key).commit(&indexes, &blinds);
        let commitment = ModelCommitment {
            dimensions,
            column_bits,
            maps,
            rows,
        };
        Ok(Self {
            bank,
            blinds,
            commitment,
            key,
            seed,
            proofs: Mutex::default(),
        })
    }

    pub(crate) fn bank(&self) -> &WeightBank {
        &self.bank
    }

    /// The same commitment and blinds over other integers: what a cheating prover would keep.
    #[cfg(test)]
    pub(crate) fn with_bank(&self, bank: WeightBank) -> Self {
        Self {
            bank,
            blinds: self.blinds.clone(),
            commitment: self.commitment.clone(),
            key: self.key.clone(),
            seed: self.seed.clone(),
            proofs: Mutex::default(),
        }
    }

    #[cfg(test)]
    pub(crate) fn blinds_for_test(&self) -> &[F] {
        &self.blinds
    }

    pub(crate) fn commitment(&self) -> &ModelCommitment {
        &self.commitment
    }

    /// Blinds of the committed rows, in order.
    pub(crate) fn blinds(&self) -> &[F] {
        &self.blinds
    }

    pub(crate) fn key(&self) -> &CommitmentKey<E1> {
        &self.key
    }

    /// Counts a proof under a mask: the number of it, `None` if there were `most` already. `known`
    /// were made before, wherever.
    pub(crate) fn proofs_of(&self, mask: &Commitment<E1>, known: u64, most: u64) -> Option<u64> {
        let name = mask.comm.affine().to_bytes().as_ref().to_vec();
        let mut proofs = self.proofs.lock().unwrap_or_else(PoisonError::into_inner);
        let made = proofs.entry(name).or_default();
        let number = (*made).max(known) + 1;
        if number > most {
            return None;
        }
        *made = number;
        Some(number)
    }

    pub(crate) fn seed(&self) -> &BlindingSeed {
        &self.seed
    }
}

impl Drop for CommittedBank {
    fn drop(&mut self) {
        self.blinds.fill(F::ZERO);
        // What was written is looked at, so that it is written.
        std::hint::black_box(&self.blinds);
    }
}

/// The field element of 32 bytes, `None` if they are not canonical.
pub(crate) fn element_from_bytes(bytes: &[u8; 32]) -> Option<F> {
    F::from_repr((*bytes).into()).into()
}

/// 32 canonical bytes of a field element.
pub(crate) fn element_bytes(x: &F) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(x.to_repr().as_ref());
    out
}
