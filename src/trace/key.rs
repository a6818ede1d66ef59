//! Generators of the trace, and tables of multiples for messages.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ff::{Field, PrimeField};
use halo2curves::{group::Curve, pasta::PallasAffine};
use rayon::prelude::*;

use super::digest::DIGEST_ROW_BITS;
use crate::{
    backend::{
        CommitmentKey, E1, F,
        generators::{self, BANK_LABEL, TRACE_LABEL},
    },
    curve::{
        msm::msm,
        points::{Form, Point, Sum, with_best_form},
    },
    weights::{Base, Multiples, from_i64},
};

/// Generators of messages: `G_0 … G_15` and `H` of the bank, and `U`.
pub(crate) struct MessageKey {
    /// Of `G_0 … G_15`, `H`, `U`.
    multiples: Multiples,
}

/// Scalars in a row of messages.
pub(crate) const ROW: usize = 16;
/// Place of `H` among the multiples.
const BLINDING: usize = ROW;
/// Place of `U`.
const VALUE: usize = ROW + 1;
/// Bits of a window of the tables of multiples.
const WINDOW: usize = 6;

impl MessageKey {
    /// The one there is.
    pub(crate) fn get() -> Arc<Self> {
        static KEY: OnceLock<Arc<MessageKey>> = OnceLock::new();
        KEY.get_or_init(|| {
            let bank = CommitmentKey::<E1>::of_label(BANK_LABEL, ROW);
            let value = value_generator();
            let mut points = bank.generators()[..ROW].to_vec();
            points.extend([*bank.blinding_generator(), value]);
            Arc::new(Self {
                multiples: Multiples::new(&points, WINDOW, 258),
            })
        })
        .clone()
    }

    fn sum(&self, terms: impl IntoIterator<Item = (usize, F)>) -> PallasAffine {
        let mut points = Vec::new();
        for (index, scalar) in terms {
            if scalar != F::ZERO {
                let bytes = scalar.to_repr();
                self.multiples
                    .push(index, bytes.as_ref(), false, &mut points);
            }
        }
        let sum = (points.iter()).fold(Sum::IDENTITY, |sum, point: &Point<_>| sum.add_point(point));
        sum.affine().to_curve()
    }

    /// `Σ values[a]·G_a + blind·H`.
    pub(crate) fn commit(&self, values: &[F], blind: &F) -> PallasAffine {
        let values = values.iter().copied().enumerate();
        self.sum(values.chain([(BLINDING, *blind)]))
    }

    /// `value·U + blind·H`.
    pub(crate) fn commit_value(&self, value: &F, blind: &F) -> PallasAffine {
        self.sum([(VALUE, *value), (BLINDING, *blind)])
    }

    /// Appends points whose sum is `blind·H`.
    fn push_blinding(&self, blind: &F, points: &mut Vec<Point<Base>>) {
        let bytes = blind.to_repr();
        self.multiples.push(BLINDING, bytes.as_ref(), false, points);
    }
}

/// Generators of rows of the trace, and tables of their multiples.
pub(crate) struct RowKey {
    generators: CommitmentKey<E1>,
    blocks: Vec<Arc<Block>>,
}

/// Tables of some generators.
struct Block {
    small: Multiples,
    /// For larger entries, which few traces have.
    large: OnceLock<Multiples>,
}

/// Generators of a block.
const BLOCK: usize = 1 << DIGEST_ROW_BITS;
/// Bits of the tables that most entries are found in, and of those for larger ones.
const SMALL: usize = 18;
const LARGE: usize = 40;

fn window_of<A: Form<Base>>(form: A) -> usize {
    if form.is_wide() { 6 } else { 3 }
}

impl RowKey {
    /// Of rows of `2^bits` entries, [`DIGEST_ROW_BITS`] or more. Tables are kept.
    pub(crate) fn get(bits: u32) -> Self {
        static BLOCKS: Mutex<Vec<Arc<Block>>> = Mutex::new(Vec::new());
        let lock = || BLOCKS.lock().unwrap_or_else(PoisonError::into_inner);
        let generators = CommitmentKey::<E1>::of_label(BANK_LABEL, 1 << bits);
        let count = generators.generators().len().div_ceil(BLOCK);
        let made = lock().len();
        // Made without the lock, as generators are.
        let more: Vec<_> = (generators.generators().chunks(BLOCK))
            .skip(made)
            .map(|of| {
                // Wide tables cost more to make and less to use.
                let width = with_best_form!(Base, |form| window_of(form));
                Arc::new(Block {
                    small: Multiples::new(of, width, SMALL),
                    large: OnceLock::new(),
                })
            })
            .collect();
        let mut blocks = lock();
        for (k, block) in (made..).zip(more) {
            if k == blocks.len() {
                blocks.push(block);
            }
        }
        Self {
            blocks: blocks[..count].to_vec(),
            generators,
        }
    }

    pub(crate) fn generators(&self) -> &[PallasAffine] {
        self.generators.generators()
    }

    /// `Σ_a row[a]·G_a + blind·H` for every row.
    pub(crate) fn commit(
        &self,
        messages: &MessageKey,
        rows: &[&[i64]],
        blinds: &[F],
    ) -> Vec<PallasAffine> {
        with_best_form!(Base, |form| self.commit_in(form, messages, rows, blinds))
    }

    fn commit_in<A: Form<Base>>(
        &self,
        form: A,
        messages: &MessageKey,
        rows: &[&[i64]],
        blinds: &[F],
    ) -> Vec<PallasAffine> {
        const TOGETHER: usize = 16;
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
                        self.push_row(row, &mut points);
                        messages.push_blinding(blind, &mut points);
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

    fn push_row(&self, row: &[i64], points: &mut Vec<Point<Base>>) {
        let (mut large, mut bases) = (Vec::new(), Vec::new());
        for (a, x) in row.iter().enumerate() {
            let size = x.unsigned_abs();
            if size == 0 {
                continue;
            }
            let (block, at) = (&self.blocks[a / BLOCK], a % BLOCK);
            let bytes = size.to_le_bytes();
            if size < 1 << (SMALL - 1) {
                block.small.push(at, &bytes, *x < 0, points);
            } else if size < 1 << (LARGE - 1) {
                let table = block.large.get_or_init(|| {
                    let from = a - at;
                    Multiples::new(&self.generators()[from..from + BLOCK], 4, LARGE)
                });
                table.push(at, &bytes, *x < 0, points);
            } else {
                large.push(from_i64(*x));
                bases.push(self.generators()[a]);
            }
        }
        if !large.is_empty() {
            points.push(Point::of(&msm(&large, &bases).to_affine()));
        }
    }
}

/// `U`.
pub(crate) fn value_generator() -> PallasAffine {
    generators::get::<E1>(TRACE_LABEL, 1)[0]
}
