//! The order of the folds.
//!
//! Neighbours are folded, the right one into the left; an odd last one goes up as it is; and so on
//! until one is left. All folds of a level share a challenge. A tree rather than a chain: the
//! extractor rewinds every level three times, and the number of levels is logarithmic.

/// Pairs in every level of a tree over `n` instances.
pub(super) fn levels(n: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(n), |n| Some(n - n / 2))
        .map(|n| n / 2)
        .take_while(|pairs| *pairs > 0)
}

/// One level: folds each pair by its number.
pub(super) fn fold_level<T, E>(
    level: Vec<T>,
    mut fold: impl FnMut(usize, T, T) -> Result<T, E>,
) -> Result<Vec<T>, E> {
    let mut next = Vec::with_capacity(level.len().div_ceil(2));
    let mut rest = level.into_iter();
    while let Some(left) = rest.next() {
        next.push(match rest.next() {
            Some(right) => fold(next.len(), left, right)?,
            None => left,
        });
    }
    Ok(next)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_instance_is_folded_once_and_there_are_logarithmically_many_levels() {
        for n in 1..40usize {
            let mut level: Vec<Vec<usize>> = (0..n).map(|i| vec![i]).collect();
            let mut folds = 0;
            let mut count = 0;
            for pairs in levels(n) {
                level = fold_level(level, |k, left, right| {
                    assert!(k < pairs);
                    folds += 1;
                    Ok::<_, ()>([left, right].concat())
                })
                .unwrap();
                count += 1;
            }
            assert_eq!(level, [(0..n).collect::<Vec<_>>()]);
            assert_eq!(folds, n - 1);
            assert_eq!(count, n.next_power_of_two().trailing_zeros());
        }
    }
}
