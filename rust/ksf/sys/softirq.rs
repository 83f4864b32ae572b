// SPDX-License-Identifier: GPL-2.0

//! Softirqs.
//!
//! C header: [`include/linux/bottom_half.h`](srctree/include/linux/bottom_half.h)

use super::bindings;
use kernel::{
    new_spinlock,
    prelude::*,
    sync::SpinLock,
    types::NotThreadSafe, //
};

/// As long as this exists, no softirq runs on this CPU, and the task stays on it.
pub(crate) struct Disabled {
    _stays: NotThreadSafe,
}

/// Keeps softirqs off. They run when the result is dropped.
///
/// Process context or softirq. May be nested. One must not sleep while it lasts.
pub(crate) fn disable() -> Disabled {
    // SAFETY: It is undone by dropping the result.
    unsafe { bindings::ksf_shim_local_bh_disable() };
    Disabled {
        _stays: NotThreadSafe,
    }
}

impl Drop for Disabled {
    fn drop(&mut self) {
        // SAFETY: It was disabled by `disable()`, on this CPU.
        unsafe { bindings::ksf_shim_local_bh_enable() };
    }
}

/// Returns the number of the run of the receiving softirq on this CPU: it changes with each run, which handles as many
/// packets as `net.core.netdev_budget` says at most.
///
/// Softirq.
pub(crate) fn run_number() -> u32 {
    // SAFETY: It reads a counter of this CPU; elsewhere than in softirq that may be any CPU's.
    unsafe { bindings::ksf_shim_softirq_run() }
}

/// What all connections of a service share and change: a spinlock that keeps softirqs off while it is held.
///
/// A service is called in workers and in softirqs, which interrupt workers. A lock that does not keep them off would wait for
/// ever for who was interrupted; the kernel crate's `SpinLock` is such a one.
///
/// # Examples
///
/// ```ignore
/// struct Counter {
///     total: ksf::SoftirqLock<u64>,
/// }
///
/// let counter = Counter { total: ksf::SoftirqLock::new(0)? };
/// let total = counter.total.with(|total| {
///     *total += 1;
///     *total
/// });
/// ```
pub struct SoftirqLock<T: Send> {
    inner: Pin<KBox<Inner<T>>>,
}

#[pin_data]
struct Inner<T: Send> {
    #[pin]
    lock: SpinLock<T>,
}

impl<T: Send> SoftirqLock<T> {
    /// Creates an unlocked value.
    ///
    /// Process context.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(value: T) -> Result<Self> {
        Ok(Self {
            inner: KBox::pin_init(
                pin_init!(Inner { lock <- new_spinlock!(value) }),
                GFP_KERNEL,
            )?,
        })
    }

    /// Calls `with` with the value, which nobody else uses meanwhile. It must be short, and must not sleep.
    ///
    /// Any context but hard interrupts. Not to be nested in itself.
    pub fn with<R>(&self, with: impl FnOnce(&mut T) -> R) -> R
    where
        T: Unpin,
    {
        let _off = disable();
        with(&mut self.inner.lock.lock())
    }
}
