//! Generators of Pedersen keys: hashed to the curve once, shared in memory, cached on disk.
//!
//! The points of a label are a fixed sequence, `DlogGroup::from_label(label, n)`; a longer sequence
//! begins with every shorter one, so one file of the largest size ever asked for serves all.
//! A point whose discrete logarithm somebody knows breaks binding, so a cache file is used only if
//! the SHAKE256 digest of the points taken from it is the one pinned in [`PINNED`]. Sizes that are
//! not pinned are never read from a file. A file that is missing, foreign, truncated or changed is
//! made anew.

use std::{
    any::{Any, TypeId},
    cell::RefCell,
    collections::HashMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock},
};

use ff::PrimeField;
use halo2curves::{CurveAffine, CurveExt as _};
use nova_snark::{provider::traits::DlogGroup, traits::Engine};
use rayon::prelude::*;

use crate::{hash::shake, hex};

/// An affine point of an engine's group.
pub(crate) type Affine<E> = <<E as Engine>::GE as DlogGroup>::AffineGroupElement;

/// Generators of nova's keys.
pub(crate) const NOVA_LABEL: &[u8] = b"ck";
/// The extra generator of nova's inner-product argument.
pub(crate) const IPA_LABEL: &[u8] = b"ipa";
/// Generators of the commitments to weights.
pub(crate) const BANK_LABEL: &[u8] = b"layerfold/bank/1";

/// The generator of values of trace proofs.
pub(crate) const TRACE_LABEL: &[u8] = b"layerfold/trace/1";

/// Most generators of a key, as a power of two.
pub(crate) const MAX_LOG: u32 = 24;

const MAGIC: &[u8; 8] = b"LFgens01";
const POINT_BYTES: usize = 64;
/// Smallest sequence that goes to disk; shorter ones are made faster than a file is opened.
const SMALLEST_LOG: u32 = 10;

thread_local! {
    /// Where generator files are kept while keys are being made on this thread.
    static DIRECTORY: RefCell<Option<PathBuf>> = const { RefCell::new(None) };
}

/// Runs `f` with generator files kept in `directory`.
pub(crate) fn with_directory<T>(directory: Option<&Path>, f: impl FnOnce() -> T) -> T {
    struct Restore(Option<PathBuf>);
    impl Drop for Restore {
        fn drop(&mut self) {
            DIRECTORY.with(|d| *d.borrow_mut() = self.0.take());
        }
    }
    let before = DIRECTORY.with(|d| d.replace(directory.map(Path::to_path_buf)));
    let _restore = Restore(before);
    f()
}

/// The label with these bytes, if it is one of ours.
pub(crate) fn known_label(bytes: &[u8]) -> Option<&'static [u8]> {
    [NOVA_LABEL, IPA_LABEL, BANK_LABEL]
        .into_iter()
        .find(|label| *label == bytes)
}

type Key = (TypeId, &'static [u8]);
type Store = Mutex<HashMap<Key, Arc<dyn Any + Send + Sync>>>;

fn store() -> &'static Store {
    static STORE: OnceLock<Store> = OnceLock::new();
    STORE.get_or_init(Default::default)
}

/// At least `n` points of a label; the first `n` do not depend on what else was asked for.
pub(crate) fn get<E: Engine>(label: &'static [u8], n: usize) -> Arc<Vec<Affine<E>>>
where
    E::GE: DlogGroup,
{
    let key = (TypeId::of::<Affine<E>>(), label);
    let lock = || store().lock().unwrap_or_else(|e| e.into_inner());
    let known = |points: Option<&Arc<dyn Any + Send + Sync>>| {
        points
            .and_then(|any| any.clone().downcast::<Vec<Affine<E>>>().ok())
            .filter(|points| points.len() >= n)
    };
    if let Some(points) = known(lock().get(&key)) {
        return points;
    }
    // Made without the lock: making them is parallel, and a thread that waits for its part may be
    // given another job that asks for points too. What two threads make is the same.
    let points = Arc::new(load_or_make::<E>(label, n));
    let mut store = lock();
    if let Some(longer) = known(store.get(&key)) {
        return longer;
    }
    store.insert(key, points.clone());
    points
}

fn load_or_make<E: Engine>(label: &'static [u8], n: usize) -> Vec<Affine<E>>
where
    E::GE: DlogGroup,
{
    let log = n.saturating_sub(1).next_power_of_two().trailing_zeros();
    let directory = DIRECTORY.with(|d| d.borrow().clone());
    let (Some(directory), true) = (directory, log >= SMALLEST_LOG) else {
        return E::GE::from_label(label, n);
    };
    let Some(expected) = pinned(curve_name::<E>(), label, log) else {
        return E::GE::from_label(label, n);
    };
    // Digests are pinned for whole powers of two.
    let n = (1 << log) + 1;
    let path = directory.join(format!(
        "generators-{}-{}.bin",
        curve_name::<E>(),
        String::from_utf8_lossy(label).replace('/', "-")
    ));
    if let Some(points) = read::<E>(&path, n, &expected) {
        tracing::debug!(path = %path.display(), n, "generators loaded");
        return points;
    }
    let points = E::GE::from_label(label, n);
    if let Err(e) = write::<E>(&path, &points) {
        tracing::warn!(path = %path.display(), error = %e, "generators could not be cached");
    }
    points
}

fn curve_name<E: Engine>() -> &'static str
where
    E::GE: DlogGroup,
{
    <Affine<E> as CurveAffine>::CurveExt::CURVE_ID
}

fn read<E: Engine>(path: &Path, n: usize, expected: &[u8; 32]) -> Option<Vec<Affine<E>>>
where
    E::GE: DlogGroup,
{
    let mut file = fs::File::open(path).ok()?;
    let mut bytes = vec![0; MAGIC.len() + n * POINT_BYTES];
    std::io::Read::read_exact(&mut file, &mut bytes).ok()?;
    let points = bytes.strip_prefix(MAGIC)?;
    if digest(points) != *expected {
        tracing::warn!(path = %path.display(), "generator file is not what it should be");
        return None;
    }
    points
        .par_chunks_exact(POINT_BYTES)
        .map(|chunk| {
            let (x, y) = chunk.split_at(POINT_BYTES / 2);
            let (x, y) = (base_from_bytes(x)?, base_from_bytes(y)?);
            Option::from(Affine::<E>::from_xy(x, y))
        })
        .collect()
}

fn write<E: Engine>(path: &Path, points: &[Affine<E>]) -> std::io::Result<()>
where
    E::GE: DlogGroup,
{
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    {
        let mut file = std::io::BufWriter::new(fs::File::create(&temporary)?);
        file.write_all(MAGIC)?;
        file.write_all(&to_bytes::<E>(points))?;
        file.flush()?;
    }
    tracing::debug!(path = %path.display(), n = points.len(), "generators cached");
    fs::rename(&temporary, path)
}

fn to_bytes<E: Engine>(points: &[Affine<E>]) -> Vec<u8>
where
    E::GE: DlogGroup,
{
    let mut bytes = Vec::with_capacity(points.len() * POINT_BYTES);
    for point in points {
        // Hashed generators are never the identity, whose coordinates would read as zeros and
        // then fail the curve equation.
        let (x, y) = match Option::from(point.coordinates()) {
            Some(c) => (
                *halo2curves::Coordinates::x(&c),
                *halo2curves::Coordinates::y(&c),
            ),
            None => Default::default(),
        };
        bytes.extend_from_slice(x.to_repr().as_ref());
        bytes.extend_from_slice(y.to_repr().as_ref());
    }
    bytes
}

fn base_from_bytes<B: PrimeField>(bytes: &[u8]) -> Option<B> {
    let mut repr = B::Repr::default();
    repr.as_mut().copy_from_slice(bytes);
    Option::from(B::from_repr(repr))
}

fn digest(points: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    shake("layerfold/generators/1", &[points], &mut out);
    out
}

fn pinned(curve: &str, label: &[u8], log: u32) -> Option<[u8; 32]> {
    PINNED
        .iter()
        .find(|p| p.curve == curve && p.label == label && p.log == log)
        .and_then(|p| hex::decode(p.digest)?.try_into().ok())
}

/// The digest of the first `2^log + 1` points of a label.
struct Pinned {
    curve: &'static str,
    label: &'static [u8],
    log: u32,
    digest: &'static str,
}

const fn pin(curve: &'static str, label: &'static [u8], log: u32, digest: &'static str) -> Pinned {
    Pinned {
        curve,
        label,
        log,
        digest,
    }
}

include!("pinned.rs");

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::backend::{E1, E2};

    /// Checks the pinned digests against points hashed anew, up to the size given by the
    /// environment variable `LAYERFOLD_PIN_LOG` (default 11), and prints the table to be pinned.
    #[test]
    #[expect(clippy::print_stdout, reason = "prints the table that is pinned")]
    fn pinned_digests_are_those_of_points_hashed_anew() {
        fn rows<E: Engine>(label: &'static [u8], most: u32)
        where
            E::GE: DlogGroup,
        {
            let points = E::GE::from_label(label, (1 << most) + 1);
            let bytes = to_bytes::<E>(&points);
            let mut wrong = Vec::new();
            for log in SMALLEST_LOG..=most {
                let digest = digest(&bytes[..((1 << log) + 1) * POINT_BYTES]);
                let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
                let name = String::from_utf8_lossy(label);
                let curve = curve_name::<E>();
                println!("    pin({curve:?}, b{name:?}, {log}, {hex:?}),");
                if pinned(curve, label, log) != Some(digest) {
                    wrong.push(format!("{curve} {name} 2^{log}"));
                }
            }
            assert_eq!(wrong, Vec::<String>::new());
        }
        let most = std::env::var("LAYERFOLD_PIN_LOG")
            .ok()
            .and_then(|n| n.parse().ok())
            .unwrap_or(11);
        let rows: [fn(u32); 3] = [
            |most| rows::<E1>(NOVA_LABEL, most),
            |most| rows::<E2>(NOVA_LABEL, most.min(14)),
            |most| rows::<E1>(BANK_LABEL, most.min(16)),
        ];
        let failed = rows
            .iter()
            .filter(|rows| std::panic::catch_unwind(|| rows(most)).is_err())
            .count();
        assert_eq!(failed, 0);
    }

    #[test]
    fn a_cache_file_is_used_only_if_its_points_are_the_pinned_ones() {
        let directory = tempfile::tempdir().unwrap();
        let log = SMALLEST_LOG;
        let n = (1 << log) + 1;
        let make = || with_directory(Some(directory.path()), || load_or_make::<E1>(BANK_LABEL, n));
        let expected = <E1 as Engine>::GE::from_label(BANK_LABEL, n);
        assert_eq!(make(), expected);
        let path = fs::read_dir(directory.path())
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let good = fs::read(&path).unwrap();
        let pinned = pinned(curve_name::<E1>(), BANK_LABEL, log).unwrap();
        assert_eq!(read::<E1>(&path, n, &pinned).unwrap(), expected);

        let mut changed = good.clone();
        changed[MAGIC.len() + 77] ^= 1;
        // Two points exchanged: every point is on the curve.
        let mut exchanged = good.clone();
        let (a, b) = (MAGIC.len(), MAGIC.len() + POINT_BYTES);
        exchanged.copy_within(b..b + POINT_BYTES, a);
        let mut version = good.clone();
        version[7] = b'2';
        let truncated = good[..good.len() - 1].to_vec();
        for bad in [changed, exchanged, version, truncated, Vec::new()] {
            fs::write(&path, bad).unwrap();
            assert!(read::<E1>(&path, n, &pinned).is_none());
            assert_eq!(make(), expected);
            // It was made anew.
            assert_eq!(fs::read(&path).unwrap(), good);
        }
        // A longer file serves: only what is needed is read.
        let longer = [good.as_slice(), &[1, 2, 3]].concat();
        fs::write(&path, longer).unwrap();
        assert_eq!(read::<E1>(&path, n, &pinned).unwrap(), expected);
    }

    #[test]
    fn a_longer_sequence_begins_with_a_shorter_one() {
        let long = get::<E1>(BANK_LABEL, 100);
        assert_eq!(long[..9], <E1 as Engine>::GE::from_label(BANK_LABEL, 9));
    }
}
