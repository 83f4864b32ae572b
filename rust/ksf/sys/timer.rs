// SPDX-License-Identifier: GPL-2.0

//! Timers.
//!
//! The kernel crate's own ones can only be started by who has them alone; these are moved while they run.
//!
//! C header: [`include/linux/hrtimer.h`](srctree/include/linux/hrtimer.h)

use super::bindings;
use core::{
    ffi::c_void,
    ptr::NonNull, //
};
use kernel::{
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    }, //
};

/// Who is told of the time.
pub(crate) trait Fires: Send + Sync + 'static {
    /// The time has come. This must be short.
    ///
    /// Hard interrupt.
    fn fired(this: ArcBorrow<'_, Self>);
}

/// A timer. Dropping it stops it and waits for its end.
///
/// # Invariants
///
/// `timer` was made with `_target`, and was not freed.
pub(crate) struct Timer<T: Fires> {
    timer: NonNull<bindings::ksf_shim_timer>,
    _target: Arc<T>,
}

// SAFETY: A timer may be used from any thread, and the target is only shared.
unsafe impl<T: Fires> Send for Timer<T> {}

// SAFETY: As above; its functions lock it.
unsafe impl<T: Fires> Sync for Timer<T> {}

impl<T: Fires> Timer<T> {
    /// Creates a timer that is not started.
    ///
    /// Process context.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(target: Arc<T>) -> Result<Self> {
        let data = Arc::as_ptr(&target).cast_mut().cast();
        // SAFETY: The function takes what the data is, which lives as long as the timer.
        let timer = unsafe { bindings::ksf_shim_timer_new(Some(on_fire::<T>), data) };
        // INVARIANT: It was created just now.
        Ok(Self {
            timer: NonNull::new(timer).ok_or(ENOMEM)?,
            _target: target,
        })
    }

    /// Starts the timer, or moves it, on this CPU: the target is told at `at_ns` of
    /// [`monotonic_ns()`](super::clock::monotonic_ns()), or soon if that is over.
    ///
    /// Any context in which the task stays on its CPU.
    pub(crate) fn start(&self, at_ns: u64) {
        // SAFETY: By the invariants.
        unsafe { bindings::ksf_shim_timer_start(self.timer.as_ptr(), at_ns) };
    }
}

impl<T: Fires> Drop for Timer<T> {
    fn drop(&mut self) {
        // SAFETY: By the invariants. This is not called by the timer's own function, which owns nothing.
        unsafe { bindings::ksf_shim_timer_free(self.timer.as_ptr()) };
    }
}

/// # Safety
///
/// `data` is the pointer of an `Arc<T>` that lives until the timer is freed, which waits for this.
unsafe extern "C" fn on_fire<T: Fires>(data: *mut c_void) {
    // SAFETY: By the requirement of this function.
    T::fired(unsafe { ArcBorrow::from_raw(data.cast::<T>()) });
}
