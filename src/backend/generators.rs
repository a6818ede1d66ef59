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

use crate::program::shake;

/// An affine point of an engine's group.
pub(crate) type Affine<E> = <<E as Engine>::GE as DlogGroup>::AffineGroupElement;

/// Generators of nova's keys.
pub(crate) const NOVA_LABEL: &[u8] = b"ck";
/// The extra generator of nova's inner-product argument.
pub(crate) const IPA_LABEL: &[u8] = b"ipa";
/// Generators of the commitments to weights.
pub(crate) const BANK_LABEL: &[u8] = b"layerfold/bank/1";

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
    // The lock is held while points are made: two threads never make the same ones.
    let mut known = store().lock().unwrap_or_else(|e| e.into_inner());
    if let Some(points) = known
        .get(&key)
        .and_then(|any| any.clone().downcast::<Vec<Affine<E>>>().ok())
        && points.len() >= n
    {
        return points;
    }
    let points = Arc::new(load_or_make::<E>(label, n));
    known.insert(key, points.clone());
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
    // Whole powers of two, so that a pinned digest exists.
    let n = (1 << log) + 1;
    let path = directory.join(format!(
        "generators-{}-{}.bin",
        curve_name::<E>(),
        String::from_utf8_lossy(label).replace('/', "-")
    ));
    if let Some(points) = read::<E>(&path, label, n, log) {
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

fn read<E: Engine>(path: &Path, label: &[u8], n: usize, log: u32) -> Option<Vec<Affine<E>>>
where
    E::GE: DlogGroup,
{
    let pinned = pinned(curve_name::<E>(), label, log)?;
    let mut file = fs::File::open(path).ok()?;
    let mut bytes = vec![0; MAGIC.len() + n * POINT_BYTES];
    std::io::Read::read_exact(&mut file, &mut bytes).ok()?;
    let points = bytes.strip_prefix(MAGIC)?;
    if digest(points) != pinned {
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
    // A longer file serves more; never replace it by a shorter one.
    let len = (MAGIC.len() + points.len() * POINT_BYTES) as u64;
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
    tracing::debug!(path = %path.display(), len, "generators cached");
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
            Some(c) => (*halo2curves::Coordinates::x(&c), *halo2curves::Coordinates::y(&c)),
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
        .and_then(|p| hex(p.digest))
}

fn hex(text: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    for (i, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(out)
}

/// The digest of the first `2^log + 1` points of a label.
struct Pinned {
    curve: &'static str,
    label: &'static [u8],
    log: u32,
    digest: &'static str,
}

const fn pin(
    curve: &'static str,
    label: &'static [u8],
    log: u32,
    digest: &'static str,
) -> Pinned {
    Pinned {
        curve,
        label,
        log,
        digest,
    }
}

include!("pinned.rs");

#[cfg(test)]
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
            for log in SMALLEST_LOG..=most {
                let digest = digest(&bytes[..((1 << log) + 1) * POINT_BYTES]);
                let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
                let name = String::from_utf8_lossy(label);
                let curve = curve_name::<E>();
                println!("    pin({curve:?}, b{name:?}, {log}, {hex:?}),");
                assert_eq!(pinned(curve, label, log), Some(digest), "{curve} {name} 2^{log}");
            }
        }
        let most = std::env::var("LAYERFOLD_PIN_LOG")
            .ok()
            .and_then(|n| n.parse().ok())
            .unwrap_or(11);
        rows::<E1>(NOVA_LABEL, most);
        rows::<E2>(NOVA_LABEL, most.min(15));
        rows::<E1>(BANK_LABEL, most);
    }
}
