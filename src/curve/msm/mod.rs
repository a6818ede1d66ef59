//! Sums of many scalar multiples.
//!
//! Pippenger's bucket method. Scalars are cut in two by the endomorphism unless they or their
//! negatives are short, as most of a witness is; what results are *terms*, points with signed
//! multipliers of at most 127 bits. All terms share one set of signed windows, and a short term
//! appears in the low ones only: a bit costs one addition. In each window the terms are sorted by
//! digit and every digit's points are added up as a tree, in affine batches; a point can meet an
//! equal one or its opposite there, which the batches take care of.
//!
//! Variable time: the running time depends on the scalars.

mod terms;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;

use rayon::prelude::*;

use self::terms::{Classified, Entry, Term, bits, classify, digit, windows};
use super::{
    base_field::BaseField,
    endomorphism::{EndoCurve, Signed},
    points::{Batch, Form, Point, Source, Sum, with_best_form},
};

/// Points whose tree sums are worked out together; in cache, and many enough to batch well.
const BLOCK: usize = 4096;
/// Up to this many terms are multiplied one by one, with shared doublings.
const FEW: usize = 48;
/// Most scalars handled at once, so that indices fit 31 bits.
const MOST: usize = 1 << 28;
/// Costs relative to each other, measured: a batched addition, the weighting of a bucket.
const ADDITION: usize = 10;
const BUCKET: usize = 24;

/// `Σ scalars[i]·bases[i]`. The slices must be of the same length.
pub(crate) fn msm<C: EndoCurve>(scalars: &[C::ScalarExt], bases: &[C]) -> C::CurveExt {
    let sum = with_best_form!(C::Base, |form| {
        sum_of_products::<C, _, C>(form, scalars, bases)
    });
    sum.affine().to_curve::<C>().into()
}

/// `Σ scalars[i]·points[i]`. The slices must be of the same length.
pub(crate) fn sum_of_products<C: EndoCurve, A: Form<C::Base>, P: Source<C::Base, A>>(
    form: A,
    scalars: &[C::ScalarExt],
    points: &[P],
) -> Sum<C::Base> {
    assert_eq!(scalars.len(), points.len(), "a scalar for each point");
    scalars
        .chunks(MOST)
        .zip(points.chunks(MOST))
        .map(|(scalars, points)| {
            let Classified {
                units,
                terms,
                points: of_terms,
            } = classify::<C, A, P>(form, scalars, points);
            let (units, terms) = rayon::join(
                || sum_of_units(form, &units, points),
                || sum_of_terms(form, terms, &of_terms),
            );
            units.add(&terms)
        })
        .fold(Sum::IDENTITY, |a, b| a.add(&b))
}

/// The sum of points with signs.
fn sum_of_units<F: BaseField, A: Form<F>, P: Source<F, A>>(
    form: A,
    units: &[Entry],
    points: &[P],
) -> Sum<F> {
    units
        .par_chunks(BLOCK)
        .map_init(
            || (form.batch(), Vec::new()),
            |(batch, gathered), units| {
                gathered.clear();
                gathered.extend(units.iter().map(|entry| entry.get(form, points)));
                A::sum_segments(batch, gathered, &[units.len()])
            },
        )
        .flatten_iter()
        .fold(
            || Sum::IDENTITY,
            |sum, point| sum.add_point(&form.leave(&point)),
        )
        .reduce(|| Sum::IDENTITY, |a, b| a.add(&b))
}

fn sum_of_terms<F: BaseField, A: Form<F>>(
    form: A,
    terms: Vec<Term>,
    points: &[A::Point],
) -> Sum<F> {
    if terms.len() <= FEW {
        let point = |term: &Term| form.leave(&points[term.point as usize]);
        return sum_of_few(&terms, terms.iter().map(point).collect());
    }
    let mut histogram = [0; 129];
    for term in &terms {
        histogram[bits(term)] += 1;
    }
    let c = window_width(&histogram);
    // Those with many windows first, so that each window reads a prefix.
    let most = histogram.iter().rposition(|n| *n > 0).unwrap_or(0);
    let count = windows(most, c);
    let mut reach = vec![0; count];
    for (bits, n) in histogram.iter().enumerate().take(most + 1) {
        for r in &mut reach[..windows(bits, c)] {
            *r += n;
        }
    }
    let mut at: Vec<usize> = reach.iter().skip(1).copied().chain([0]).collect();
    let empty = Term {
        multiplier: Signed::default(),
        point: 0,
    };
    let mut sorted = vec![empty; terms.len()];
    for term in &terms {
        let at = &mut at[windows(bits(term), c) - 1];
        sorted[*at] = *term;
        *at += 1;
    }
    drop(terms);

    // Few terms: several windows at once, to fill the batches.
    let together = BLOCK.div_ceil(sorted.len());
    let groups: Vec<_> = (0..count)
        .step_by(together)
        .map(|w| w..count.min(w + together))
        .collect();
    let sums: Vec<_> = groups
        .into_par_iter()
        .flat_map_iter(|group| {
            let prefixes = &reach[group.clone()];
            window_sums(form, &sorted, points, prefixes, group.start, c)
        })
        .collect();
    sums.iter().rev().fold(Sum::IDENTITY, |total, sum| {
        (0..c).fold(total, |t, _| t.double()).add(sum)
    })
}

/// The width that promises the least work.
fn window_width(histogram: &[usize; 129]) -> usize {
    let most = histogram.iter().rposition(|n| *n > 0).unwrap_or(0);
    let cost = |c: usize| {
        let additions: usize = histogram
            .iter()
            .enumerate()
            .map(|(bits, n)| n * (bits + c / 2).div_ceil(c).max(1))
            .sum();
        let buckets: usize = (0..windows(most, c))
            .map(|w| 1usize << (c - 1).min(most.saturating_sub(w * c)))
            .sum();
        additions * ADDITION + buckets * BUCKET
    };
    (3..=16).min_by_key(|c| cost(*c)).unwrap_or(8)
}

/// For the windows from `start` on: `Σ digit·point` over the first `prefixes[i]` terms.
fn window_sums<F: BaseField, A: Form<F>>(
    form: A,
    terms: &[Term],
    points: &[A::Point],
    prefixes: &[usize],
    start: usize,
    c: usize,
) -> Vec<Sum<F>> {
    let buckets = 1usize << (c - 1);
    // Sort by window, digit and sign: stable, by counting. A key of 0 stands for the digit 0.
    let mut keys = Vec::with_capacity(prefixes.iter().sum());
    let mut ends = vec![0u32; 2 * buckets * prefixes.len() + 1];
    for (i, prefix) in prefixes.iter().enumerate() {
        for term in &terms[..*prefix] {
            let digit = digit(term.multiplier.magnitude, start + i, c);
            let negative = (digit < 0) != term.multiplier.negative;
            let bucket = i * buckets + digit.unsigned_abs() as usize;
            let key = if digit == 0 {
                0
            } else {
                2 * bucket - 1 + usize::from(negative)
            };
            ends[key] += 1;
            keys.push(key as u32);
        }
    }
    let mut total = 0;
    ends[0] = 0;
    for end in &mut ends {
        (total, *end) = (total + *end, total);
    }
    let mut sorted = vec![Entry::new(0, false); total as usize];
    let all = prefixes.iter().flat_map(|prefix| &terms[..*prefix]);
    for (term, key) in all.zip(&keys) {
        if *key != 0 {
            let end = &mut ends[*key as usize];
            sorted[*end as usize] = Entry::new(term.point, *key & 1 == 0);
            *end += 1;
        }
    }
    drop(keys);
    // Where each bucket ends, positive and negative points together.
    let ends: Vec<u32> = ends.into_iter().skip(2).step_by(2).collect();

    let blocks = sorted.len().div_ceil(BLOCK);
    let sums: Vec<_> = (0..blocks)
        .into_par_iter()
        .map_init(
            || (form.batch(), Vec::new(), Vec::new()),
            |(batch, gathered, lengths), block| {
                let first = block * BLOCK;
                let last = sorted.len().min(first + BLOCK);
                gathered.clear();
                gathered.extend(
                    sorted[first..last]
                        .iter()
                        .map(|entry| entry.get(form, points)),
                );
                // The parts of buckets in this block.
                lengths.clear();
                let mut of = Vec::new();
                let mut bucket = ends.partition_point(|end| *end as usize <= first);
                let mut at = first;
                while at < last {
                    let end = last.min(ends[bucket] as usize);
                    if end > at {
                        lengths.push(end - at);
                        of.push(bucket);
                    }
                    at = end;
                    bucket += 1;
                }
                let sums = A::sum_segments(batch, gathered, lengths);
                of.into_iter().zip(sums).collect::<Vec<_>>()
            },
        )
        .collect();

    let sums = sums.iter().flatten().map(|(bucket, sum)| (*bucket, sum));
    weigh(form, sums, prefixes.len(), c)
}

/// `Σ (i + 1)·sum` over the sums of buckets `i`, for windows of `2^(c−1)` buckets each.
///
/// A digit is written as `row·2^k + column`. The sums of rows and of columns are batches again, and
/// few of them are left to be weighted.
fn weigh<'a, F: BaseField, A: Form<F>>(
    form: A,
    sums: impl Iterator<Item = (usize, &'a A::Point)>,
    windows: usize,
    c: usize,
) -> Vec<Sum<F>>
where
    A::Point: 'a,
{
    let k = c / 2;
    let (rows, columns) = ((1usize << (c - 1 - k)) + 1, 1 << k);
    let mut lines = vec![Vec::new(); windows * (rows + columns)];
    for (bucket, sum) in sums.filter(|(_, sum)| !A::is_identity(sum)) {
        let (window, digit) = (bucket >> (c - 1), (bucket & ((1 << (c - 1)) - 1)) + 1);
        let lines = &mut lines[window * (rows + columns)..];
        lines[digit >> k].push(*sum);
        lines[rows + (digit & (columns - 1))].push(*sum);
    }
    // Row and column 0 have no weight.
    for lines in lines.chunks_mut(rows + columns) {
        lines[0].clear();
        lines[rows].clear();
    }
    let lengths = lines.iter().map(Vec::len).filter(|length| *length > 0);
    let lengths: Vec<_> = lengths.collect();
    let mut points = lines.concat();
    let sums = A::sum_segments(&mut form.batch(), &mut points, &lengths);
    let mut sums = sums.iter().map(|sum| form.leave(sum));
    let lines: Vec<_> = lines
        .iter()
        .map(|line| if line.is_empty() { None } else { sums.next() })
        .collect();

    // Σ i·line_i, by running sums from the last.
    let weighted = |lines: &[Option<Point<F>>]| {
        let (mut running, mut total) = (Sum::IDENTITY, Sum::IDENTITY);
        for line in lines.iter().skip(1).rev() {
            if let Some(line) = line {
                running = running.add_point(line);
            }
            total = total.add(&running);
        }
        total
    };
    lines
        .chunks(rows + columns)
        .map(|lines| {
            let (rows, columns) = lines.split_at(rows);
            let rows = (0..k).fold(weighted(rows), |sum, _| sum.double());
            rows.add(&weighted(columns))
        })
        .collect()
}

/// All terms together, digit by digit, with the doublings shared.
///
/// `base[i]` is the point of term `i`.
fn sum_of_few<F: BaseField>(terms: &[Term], base: Vec<Point<F>>) -> Sum<F> {
    /// Odd multiples 1, 3, 5, 7.
    const ODD: usize = 4;
    let mut double = base.clone();
    let mut batch = Batch::new();
    batch.begin(&base);
    batch.double(&mut double);
    let mut multiples = vec![base];
    for i in 1..ODD {
        let mut next = multiples[i - 1].clone();
        batch.add_assign(&mut next, |j| double[j]);
        multiples.push(next);
    }
    // Digits 0, ±1, ±3, ±5, ±7, at least three zeros after each other one.
    let mut digits = vec![Vec::new(); 129];
    for (i, term) in terms.iter().enumerate() {
        let mut rest = term.multiplier.magnitude;
        let mut position = 0;
        while rest != 0 {
            let zeros = rest.trailing_zeros();
            rest >>= zeros;
            position += zeros as usize;
            // rest − digit is divisible by 16
            let low = (rest & 15) as usize;
            let (odd, negative) = if low < 8 {
                (low, false)
            } else {
                (16 - low, true)
            };
            digits[position].push((odd / 2, i, negative != term.multiplier.negative));
            rest = if negative {
                rest + odd as u128
            } else {
                rest - odd as u128
            };
        }
    }
    digits.iter().rev().fold(Sum::IDENTITY, |sum, digits| {
        digits.iter().fold(sum.double(), |sum, (odd, i, negative)| {
            let p = multiples[*odd][*i];
            sum.add_point(&if *negative {
                Point { x: p.x, y: -p.y }
            } else {
                p
            })
        })
    })
}
