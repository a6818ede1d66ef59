//! Values derived once per type and kept for the life of the process.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    sync::{OnceLock, PoisonError, RwLock},
};

type Kept = HashMap<TypeId, &'static (dyn Any + Send + Sync)>;

/// The one value of type `T`, made by `make` at the first call. A static cannot be generic, hence the map.
///
/// The values are leaked: there are a few per field, and constants must outlive every sponge that borrows them.
pub(crate) fn once<T: Any + Send + Sync>(make: impl FnOnce() -> T) -> &'static T {
    static KEPT: OnceLock<RwLock<Kept>> = OnceLock::new();
    let kept = KEPT.get_or_init(RwLock::default);
    let key = TypeId::of::<T>();

    // A poisoned lock only means that some `make` panicked, before it inserted anything.
    let found = kept
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&key)
        .and_then(|value| value.downcast_ref());
    if let Some(value) = found {
        return value;
    }

    // Derived outside the lock, so that `make` may itself call `once`; of two racing threads the first insertion counts.
    let made: &'static T = Box::leak(Box::new(make()));
    kept.write()
        .unwrap_or_else(PoisonError::into_inner)
        .entry(key)
        .or_insert(made)
        .downcast_ref()
        .unwrap_or(made)
}
