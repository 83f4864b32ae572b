// SPDX-License-Identifier: GPL-2.0

//! Kernel threads bound to a CPU.
//!
//! C header: [`include/linux/kthread.h`](srctree/include/linux/kthread.h)

use super::bindings;
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    cpu::CpuId,
    error::from_err_ptr,
    ffi::{
        c_int,
        c_long,
        c_void, //
    },
    prelude::*,
    sync::Arc,
    time::{
        Delta,
        Msecs, //
    }, //
};

/// What a thread does.
pub(crate) trait Body: Send + Sync + 'static {
    /// Runs in the thread, until [`Current::should_stop()`].
    fn run(&self, thread: &Current);
}

/// A running kernel thread; dropping it stops it and waits for its end.
///
/// # Invariants
///
/// `task` is a kernel thread that was created, and not yet stopped, by this type, and `_body` outlives it.
pub(crate) struct Kthread<T: Body> {
    task: NonNull<bindings::task_struct>,
    _body: Arc<T>,
}

// SAFETY: A task may be woken and stopped from any thread, and the body is only shared.
unsafe impl<T: Body> Send for Kthread<T> {}

// SAFETY: As above.
unsafe impl<T: Body> Sync for Kthread<T> {}

impl<T: Body> Kthread<T> {
    /// Starts a thread named `ksf/sweep` that runs on any CPU.
    ///
    /// Process context.
    pub(crate) fn start_unbound(body: Arc<T>) -> Result<Self> {
        let data = Arc::as_ptr(&body).cast_mut().cast::<c_void>();
        // SAFETY: As in `start()`; the format takes no argument.
        let task = from_err_ptr(unsafe {
            bindings::kthread_create_on_node(
                Some(thread_main::<T>),
                data,
                bindings::NUMA_NO_NODE,
                c"ksf/sweep".as_char_ptr(),
            )
        })?;
        Self::started(task, body)
    }

    /// Starts a thread named `ksf/N` that is bound to CPU number N, which is online.
    ///
    /// Process context.
    pub(crate) fn start(cpu: CpuId, body: Arc<T>) -> Result<Self> {
        let data = Arc::as_ptr(&body).cast_mut().cast::<c_void>();
        // SAFETY: `thread_main` takes what `data` is, which is valid until the thread ended because the value that is
        // made here keeps it and stops the thread first. The format has room for the one argument that it is
        // given, the CPU's number.
        let task = from_err_ptr(unsafe {
            bindings::kthread_create_on_cpu(
                Some(thread_main::<T>),
                data,
                cpu.as_u32(),
                c"ksf/%u".as_char_ptr(),
            )
        })?;
        Self::started(task, body)
    }

    /// Wakes a thread that was just created, with `body`.
    fn started(task: *mut bindings::task_struct, body: Arc<T>) -> Result<Self> {
        // INVARIANT: The callers have just created the thread.
        let thread = Self {
            task: NonNull::new(task).ok_or(ENOMEM)?,
            _body: body,
        };
        thread.wake();
        Ok(thread)
    }

    /// Wakes the thread, or makes its next [`Current::sleep_unless()`] return at once.
    ///
    /// Any context.
    pub(crate) fn wake(&self) {
        // SAFETY: By the invariants the task has not been stopped, so it exists.
        unsafe { bindings::wake_up_process(self.task.as_ptr()) };
    }
}

impl<T: Body> Drop for Kthread<T> {
    fn drop(&mut self) {
        // SAFETY: By the invariants the task exists and has not been stopped. The result is the thread's own: 0, or
        // EINTR if it never ran.
        unsafe { bindings::kthread_stop(self.task.as_ptr()) };
    }
}

/// The C function that a thread starts with.
///
/// # Safety
///
/// `data` is a `T` that lives until the thread ended.
unsafe extern "C" fn thread_main<T: Body>(data: *mut c_void) -> c_int {
    // SAFETY: By the requirement of this function.
    unsafe { &*data.cast::<T>() }.run(&Current {
        _thread: PhantomData,
    });
    0
}

/// The kernel thread that runs now. Only a [`Body`] is given one, and it stays in its thread.
pub(crate) struct Current {
    _thread: PhantomData<*mut ()>,
}

impl Current {
    /// Returns whether this thread was asked to end.
    pub(crate) fn should_stop(&self) -> bool {
        // SAFETY: This is a kernel thread.
        unsafe { bindings::kthread_should_stop() }
    }

    /// Binds this thread to `cpu`, which is online. The scheduler takes a thread that runs off a CPU that goes offline.
    pub(crate) fn bind(&self, cpu: CpuId) {
        // SAFETY: A `CpuId` is less than the number of CPU ids. It fails when the CPU is offline again already, and then
        // there is another call when it is back.
        let _ = unsafe { bindings::ksf_shim_bind_to_cpu(cpu.as_u32()) };
    }

    /// Returns whether another task wants the CPU.
    pub(crate) fn need_resched(&self) -> bool {
        // SAFETY: It reads a flag of the current task.
        unsafe { bindings::ksf_shim_need_resched() }
    }

    /// Tells the CPU that this is a loop that waits.
    pub(crate) fn relax(&self) {
        // SAFETY: It is an instruction without effect on memory.
        unsafe { bindings::ksf_shim_cpu_relax() };
    }

    /// Sleeps until the thread is woken, but not longer than `limit`, unless `condition` holds already. May wake
    /// without reason.
    ///
    /// Who makes `condition` true wakes the thread afterwards; that is never lost. No guard of a spinlock may be held.
    pub(crate) fn sleep_unless(&self, condition: impl FnOnce() -> bool, limit: Option<Delta>) {
        // A part of a jiffy is a whole one, for the time is to be over afterwards.
        let jiffies = limit.map(|limit| {
            let millis = limit.as_millis().clamp(0, i64::from(Msecs::MAX)) as Msecs;
            kernel::time::msecs_to_jiffies(millis).saturating_add(1) as c_long
        });
        // SAFETY: A kernel thread may sleep; the state is put back below, on the one way out.
        unsafe { bindings::ksf_shim_prepare_to_sleep() };
        if !condition() {
            match jiffies {
                // SAFETY: This is process context.
                Some(jiffies) => drop(unsafe { bindings::schedule_timeout(jiffies) }),
                // SAFETY: As above.
                None => unsafe { bindings::schedule() },
            }
        }
        // SAFETY: Ends what was prepared above.
        unsafe { bindings::ksf_shim_finish_sleep() };
    }

    /// Lets others run if it is their turn. No guard of a spinlock may be held.
    pub(crate) fn cond_resched(&self) {
        // SAFETY: This is process context.
        unsafe { bindings::ksf_shim_cond_resched() };
    }
}
