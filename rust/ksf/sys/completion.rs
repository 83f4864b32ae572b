// SPDX-License-Identifier: GPL-2.0

//! Waiting for an event, with a limit; the kernel crate's own completion has none.
//!
//! C header: [`include/linux/completion.h`](srctree/include/linux/completion.h)

use super::bindings;
use kernel::{
    prelude::*,
    time::{
        msecs_to_jiffies,
        Msecs, //
    },
    types::Opaque, //
};

/// An event that happens once.
#[pin_data]
pub(crate) struct Event {
    #[pin]
    inner: Opaque<bindings::completion>,
}

// SAFETY: A completion may be used from any thread.
unsafe impl Send for Event {}

// SAFETY: As above; it has a lock of its own.
unsafe impl Sync for Event {}

impl Event {
    /// Creates an event that has not happened.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            inner <- Opaque::ffi_init(|slot| {
                // SAFETY: The slot is valid for writing, and pinned from then on.
                unsafe { bindings::init_completion(slot) };
            }),
        })
    }

    /// It happens.
    ///
    /// Any context.
    pub(crate) fn happen(&self) {
        // SAFETY: It was initialised by `new()`.
        unsafe { bindings::complete_all(self.inner.get()) };
    }

    /// Waits until it has happened.
    ///
    /// Process context.
    pub(crate) fn wait(&self) {
        // SAFETY: It was initialised by `new()`, and this is process context.
        unsafe { bindings::wait_for_completion(self.inner.get()) };
    }

    /// Waits until it has happened, but not longer than `limit`. Returns whether it has.
    ///
    /// Process context.
    pub(crate) fn wait_for(&self, limit: Msecs) -> bool {
        // SAFETY: It was initialised by `new()`, and this is process context.
        unsafe {
            bindings::wait_for_completion_timeout(self.inner.get(), msecs_to_jiffies(limit)) != 0
        }
    }
}
