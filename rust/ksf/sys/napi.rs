// SPDX-License-Identifier: GPL-2.0

//! What softirq does when it has received what there is, before anything else: NAPI instances that have no device.
//!
//! An instance that is scheduled while packets are received is called in the same run of the softirq, after what gives it its
//! packets: so these have come in a batch, and no thread is woken. It counts as any receiver does against
//! `net.core.netdev_budget`. A tasklet or a work item of a BH workqueue comes in the next round of softirqs at best, and in
//! ksoftirqd if a thread waits for the CPU.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)

use super::bindings;
use core::{
    ffi::c_void,
    ptr::NonNull, //
};
use kernel::{
    cpu::CpuId,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    }, //
};

/// What is done.
pub(crate) trait Poll: Send + Sync + 'static {
    /// Does it.
    ///
    /// Softirq. Never twice at the same time unless it is scheduled meanwhile.
    fn poll(this: ArcBorrow<'_, Self>) -> Polled;
}

/// What was done.
#[derive(Clone, Copy, Default)]
pub(crate) struct Polled {
    /// How much it was, where receiving a packet is 1: less than `NAPI_POLL_WEIGHT`, or it counts as that less 1.
    pub(crate) work: u32,
    /// It is to be called again, when others were. Nobody else schedules it meanwhile.
    pub(crate) again: bool,
}

/// What instances belong to, for they have to belong to something: a network device that nobody sees.
///
/// # Invariants
///
/// `device` is what `alloc_netdev_dummy()` has returned, and was not freed.
pub(crate) struct Device {
    device: NonNull<bindings::net_device>,
}

// SAFETY: A device may be used from any thread.
unsafe impl Send for Device {}

// SAFETY: As above; its functions lock it.
unsafe impl Sync for Device {}

impl Device {
    /// Creates it.
    ///
    /// Process context.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Arc<Self>> {
        // SAFETY: This is process context.
        let device = unsafe { bindings::ksf_shim_napi_device_new() };
        // INVARIANT: It was created just now.
        let device = Self {
            device: NonNull::new(device).ok_or(ENOMEM)?,
        };
        Ok(Arc::new(device, GFP_KERNEL)?)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: By the invariants; each instance holds a reference, so there is none any more.
        unsafe { bindings::ksf_shim_napi_device_free(self.device.as_ptr()) };
    }
}

/// An instance. Dropping it waits until it is neither scheduled nor called.
///
/// # Invariants
///
/// `napi` was made with `target`, belongs to the device, and was not freed.
pub(crate) struct Napi<T: Poll> {
    napi: NonNull<bindings::ksf_shim_napi>,
    target: Arc<T>,
    _device: Arc<Device>,
}

// SAFETY: An instance may be scheduled and freed from any thread, and the target is only shared.
unsafe impl<T: Poll> Send for Napi<T> {}

// SAFETY: As above.
unsafe impl<T: Poll> Sync for Napi<T> {}

impl<T: Poll> Napi<T> {
    /// Creates an instance that calls `target`.
    ///
    /// Process context.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(device: &Arc<Device>, target: Arc<T>) -> Result<Self> {
        let data = Arc::as_ptr(&target).cast_mut().cast();
        // SAFETY: The device exists, and the function takes what the data is, which lives as long as the instance.
        let napi = unsafe {
            bindings::ksf_shim_napi_new(device.device.as_ptr(), Some(on_poll::<T>), data)
        };
        // INVARIANT: It was created just now.
        Ok(Self {
            napi: NonNull::new(napi).ok_or(ENOMEM)?,
            target,
            _device: device.clone(),
        })
    }

    /// Returns what is called.
    pub(crate) fn target(&self) -> &Arc<T> {
        &self.target
    }

    /// Has the target called soon, on `cpu`, or on this CPU if that is offline.
    ///
    /// Softirq or hard interrupt. To be called again only when the target was called since.
    pub(crate) fn schedule(&self, cpu: CpuId) {
        // SAFETY: By the invariants.
        unsafe { bindings::ksf_shim_napi_schedule(self.napi.as_ptr(), cpu.as_u32()) };
    }
}

impl<T: Poll> Drop for Napi<T> {
    fn drop(&mut self) {
        // SAFETY: By the invariants, and this is process context. The target was called for each call to another CPU, which
        // is over then.
        unsafe { bindings::ksf_shim_napi_free(self.napi.as_ptr()) };
    }
}

/// # Safety
///
/// `data` is the pointer of an `Arc<T>` that lives until the instance is freed, which waits for this; `again` is valid.
unsafe extern "C" fn on_poll<T: Poll>(data: *mut c_void, again: *mut bool) -> u32 {
    // SAFETY: By the requirement of this function.
    let polled = T::poll(unsafe { ArcBorrow::from_raw(data.cast::<T>()) });
    // SAFETY: By the requirement of this function.
    unsafe { again.write(polled.again) };
    polled.work
}
