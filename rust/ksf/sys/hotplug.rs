// SPDX-License-Identifier: GPL-2.0

//! CPUs that come and go.
//!
//! C header: [`include/linux/cpuhotplug.h`](srctree/include/linux/cpuhotplug.h)

use super::bindings;
use core::marker::PhantomData;
use kernel::{
    cpu::CpuId,
    ffi::{
        c_int,
        c_uint,
        c_void, //
    },
    prelude::*,
    str::CStrExt, //
};

/// Who is told of CPUs.
pub(crate) trait CpuEvents {
    /// `cpu` is online. An error keeps it from coming up.
    ///
    /// Process context, on that CPU.
    fn online(cpu: CpuId) -> Result;

    /// `cpu` is about to go offline.
    ///
    /// Process context, on that CPU.
    fn offline(cpu: CpuId);
}

/// As long as this exists, `T` is told.
pub(crate) struct Registration<T: CpuEvents> {
    state: bindings::cpuhp_state,
    _events: PhantomData<T>,
}

/// Lets `T` know of CPUs, at once of those that are online.
///
/// Process context.
///
/// # Errors
///
/// Those of [`CpuEvents::online()`]; those that were told before are told to be offline again.
pub(crate) fn register<T: CpuEvents>() -> Result<Registration<T>> {
    // SAFETY: The name is static, and the functions are those that C expects.
    let state = unsafe {
        bindings::__cpuhp_setup_state(
            bindings::cpuhp_state_CPUHP_AP_ONLINE_DYN,
            c"net/ksf:online".as_char_ptr(),
            true,
            Some(on_online::<T>),
            Some(on_offline::<T>),
            false,
        )
    };
    if state < 0 {
        return Err(Error::from_errno(state));
    }
    Ok(Registration {
        state,
        _events: PhantomData,
    })
}

impl<T: CpuEvents> Drop for Registration<T> {
    fn drop(&mut self) {
        // SAFETY: It was set up by `register()`. Nobody is told: what the CPUs have is dropped by who dropped this.
        unsafe { bindings::__cpuhp_remove_state(self.state, false) };
    }
}

/// # Safety
///
/// Called by the hotplug machinery, with a possible CPU.
unsafe extern "C" fn on_online<T: CpuEvents>(cpu: c_uint) -> c_int {
    match CpuId::from_u32(cpu).map_or(Err(EINVAL), T::online) {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// # Safety
///
/// As that of [`on_online()`].
unsafe extern "C" fn on_offline<T: CpuEvents>(cpu: c_uint) -> c_int {
    if let Some(cpu) = CpuId::from_u32(cpu) {
        T::offline(cpu);
    }
    0
}

/// Parses a list of CPUs, such as `0-3,8`, and returns their numbers in order.
///
/// Process context.
///
/// # Errors
///
/// `EINVAL` when it is none, `ERANGE` when it has CPUs that this machine cannot have, `ENOMEM`.
pub(crate) fn parse_list(list: &CStr) -> Result<KVec<CpuId>> {
    let mut cpus = Ok(KVec::new());
    // SAFETY: The list is NUL-terminated, and the function gets the data that it expects, during this call.
    kernel::error::to_result(unsafe {
        bindings::ksf_shim_parse_cpus(
            list.as_char_ptr(),
            Some(push),
            (&raw mut cpus).cast::<c_void>(),
        )
    })?;
    cpus
}

/// # Safety
///
/// `data` is the result that [`parse_list()`] makes.
unsafe extern "C" fn push(cpu: c_uint, data: *mut c_void) {
    // SAFETY: By the requirement of this function, and nobody else uses it meanwhile.
    let cpus = unsafe { &mut *data.cast::<Result<KVec<CpuId>>>() };
    if let (Ok(list), Some(cpu)) = (&mut *cpus, CpuId::from_u32(cpu)) {
        if list.push(cpu, GFP_KERNEL).is_err() {
            *cpus = Err(ENOMEM);
        }
    }
}
