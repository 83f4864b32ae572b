// SPDX-License-Identifier: GPL-2.0

//! What exists once for all services.

use super::debugfs::Dir;
use crate::{
    pool::Pool,
    registry::Registry, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full, //
        },
        Arc, //
    }, //
};

kernel::sync::global_lock! {
    // SAFETY: `init()` is called when the module is loaded, before any service can call ksf.
    unsafe(uninit) static POOL: Mutex<Option<Arc<Pool>>> = None;
}

kernel::sync::global_lock! {
    // SAFETY: As above.
    unsafe(uninit) static REGISTRY: Mutex<Registry> = Registry::new();
}

kernel::sync::global_lock! {
    // SAFETY: As above.
    unsafe(uninit) static DEBUGFS_DIR: Mutex<Option<Dir>> = None;
}

/// Makes the above usable. To be called first, and once.
///
/// # Errors
///
/// `EEXIST` when it was called already.
pub(crate) fn init() -> Result {
    static CALLED: Atomic<i32> = Atomic::new(0);

    if CALLED.xchg(1, Full) != 0 {
        return Err(EEXIST);
    }
    // SAFETY: By the check above this happens once.
    unsafe { POOL.init() };
    // SAFETY: As above.
    unsafe { REGISTRY.init() };
    // SAFETY: As above.
    unsafe { DEBUGFS_DIR.init() };
    Ok(())
}

/// Returns the workers, or [`None`] before they are set.
///
/// Process context.
pub(crate) fn pool() -> Option<Arc<Pool>> {
    POOL.lock().clone()
}

/// Sets the workers, or takes them away, and returns those from before.
///
/// Process context.
pub(crate) fn set_pool(pool: Option<Arc<Pool>>) -> Option<Arc<Pool>> {
    core::mem::replace(&mut *POOL.lock(), pool)
}

/// Lets `with` use the list of services, which it has to itself.
///
/// Process context.
pub(crate) fn with_registry<R>(with: impl FnOnce(&mut Registry) -> R) -> R {
    with(&mut REGISTRY.lock())
}

/// Lets `with` use the directory in debugfs, if there is one.
///
/// Process context.
pub(crate) fn with_debugfs_dir<R>(with: impl FnOnce(&Dir) -> R) -> Option<R> {
    DEBUGFS_DIR.lock().as_ref().map(with)
}

/// Sets the directory in debugfs, or takes it away.
///
/// Process context.
pub(crate) fn set_debugfs_dir(dir: Option<Dir>) {
    let before = core::mem::replace(&mut *DEBUGFS_DIR.lock(), dir);
    drop(before);
}
