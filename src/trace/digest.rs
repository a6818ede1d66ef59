//! Digests of vectors that are not shown: hashes of row commitments (protocol notes, 13).
//!
//! Vectors lie in *blocks* of one or more rows of `2^c_a` entries; a row belongs to one block, and
//! short vectors share a block, unless each is to have a digest of its own. A row is committed to
//! with the generators of the trace and a blind that follows from the block's salt, which is the
//! salt of its first vector, and from what stands in the row.

use halo2curves::{
    group::{Curve, GroupEncoding},
    pasta::PallasAffine,
};
use nova_snark::traits::PrimeFieldExt;
use zeroize::Zeroize;

use crate::{
    backend::{CommitmentKey, E1, F, generators::BANK_LABEL},
    curve::msm::msm,
    hash::shake,
    program::Shape,
    weights::{element_bytes, from_i64},
};

/// `c_a`: bits of the row length of vectors that have a digest.
pub(crate) const DIGEST_ROW_BITS: u32 = 7;

/// What the vectors of a row are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RowKind {
    /// Input frames.
    Input,
    /// Outputs.
    Output,
}

/// Bits of the place of an entry in its vector.
pub(crate) fn entry_bits(len: usize) -> u32 {
    len.max(1).next_power_of_two().trailing_zeros()
}

/// How many vectors of this length stand in one block.
pub(crate) fn frames_per_block(len: usize, own_rows: bool) -> usize {
    if own_rows {
        return 1;
    }
    1 << DIGEST_ROW_BITS.saturating_sub(entry_bits(len))
}

/// Rows that vectors of this length take in a block.
pub(crate) fn rows_per_block(len: usize) -> usize {
    len.max(1).div_ceil(1 << DIGEST_ROW_BITS)
}

/// The entries of the rows of a block: vector `k` begins at entry `k·2^(entry_bits)` of its only row,
/// or stands alone in several.
pub(crate) fn block_rows(len: usize, vectors: &[Vec<i64>]) -> Vec<Vec<i64>> {
    let row = 1usize << DIGEST_ROW_BITS;
    if len > row / 2 {
        return vectors
            .iter()
            .flat_map(|v| v.chunks(row).map(<[i64]>::to_vec))
            .collect();
    }
    let stride = 1usize << entry_bits(len);
    let mut entries = vec![0; vectors.len() * stride];
    for (to, vector) in entries.chunks_mut(stride).zip(vectors) {
        to[..vector.len()].copy_from_slice(vector);
    }
    vec![entries]
}

/// The blind of a row: `Digest("layerfold/trace/row/1"; salt, kind, number of the row in the block,
/// number of entries, entries)`, 64 bytes, as an integer modulo the field's size.
pub(crate) fn row_blind(salt: &F, kind: RowKind, number: usize, entries: &[i64]) -> F {
    let mut bytes: Vec<u8> = Vec::with_capacity(8 * entries.len());
    for x in entries {
        bytes.extend(x.to_le_bytes());
    }
    let mut wide = [0; 64];
    let mut salt = element_bytes(salt);
    shake(
        "layerfold/trace/row/1",
        &[
            &salt,
            &[kind as u8],
            &(number as u64).to_le_bytes(),
            &(entries.len() as u64).to_le_bytes(),
            &bytes,
        ],
        &mut wide,
    );
    let blind = F::from_uniform(&wide);
    wide.zeroize();
    salt.zeroize();
    bytes.zeroize();
    blind
}

/// `Digest("layerfold/trace/block/1"; length of a vector, width, offset, vectors to a block, c_a,
/// number of points, points)`: shape, range and place of the vectors are part of what is digested.
pub(crate) fn digest_of_points(shape: &Shape, own_rows: bool, points: &[PallasAffine]) -> [u8; 32] {
    let mut bytes = Vec::with_capacity(32 * points.len());
    for point in points {
        bytes.extend_from_slice(point.to_bytes().as_ref());
    }
    let int = |n: u64| n.to_le_bytes();
    let (width, offset) = shape.held();
    let mut out = [0; 32];
    shake(
        "layerfold/trace/block/1",
        &[
            &int(shape.len as u64),
            &int(width.into()),
            &int(offset),
            &int(frames_per_block(shape.len, own_rows) as u64),
            &int(DIGEST_ROW_BITS.into()),
            &int(points.len() as u64),
            &bytes,
        ],
        &mut out,
    );
    out
}

/// The digest of a block: of one vector that has rows of its own, or of up to
/// [`frames_per_block`] that share a row.
pub(crate) fn block_digest(
    shape: &Shape,
    kind: RowKind,
    own_rows: bool,
    vectors: &[Vec<i64>],
    salt: &F,
) -> [u8; 32] {
    let key = CommitmentKey::<E1>::of_label(BANK_LABEL, 1 << DIGEST_ROW_BITS);
    let points: Vec<PallasAffine> = block_rows(shape.len, vectors)
        .iter()
        .enumerate()
        .map(|(k, entries)| {
            let mut scalars: Vec<F> = entries.iter().map(|x| from_i64(*x)).collect();
            let mut bases = key.generators()[..scalars.len()].to_vec();
            scalars.push(row_blind(salt, kind, k, entries));
            bases.push(*key.blinding_generator());
            msm(&scalars, &bases).to_affine()
        })
        .collect();
    digest_of_points(shape, own_rows, &points)
}

/// `Digest("layerfold/trace/rows/1"; number of vectors, number of blocks, digests of the blocks)`: what
/// a statement shows of vectors that are not public.
pub(crate) fn run_digest(vectors: u64, blocks: &[[u8; 32]]) -> [u8; 32] {
    let mut out = [0; 32];
    let count = (blocks.len() as u64).to_le_bytes();
    let concatenated = blocks.concat();
    shake(
        "layerfold/trace/rows/1",
        &[&vectors.to_le_bytes(), &count, &concatenated],
        &mut out,
    );
    out
}
