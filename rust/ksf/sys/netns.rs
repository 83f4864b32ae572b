// SPDX-License-Identifier: GPL-2.0

//! Network namespaces.
//!
//! C header: [`include/net/net_namespace.h`](srctree/include/net/net_namespace.h)

use super::bindings;
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};

/// A network namespace, as something to compare, and to make sockets in while it is known to exist.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Net {
    net: NonNull<bindings::net>,
    inum: u32,
}

// SAFETY: It is only compared, but for `as_ptr()`, whose users prove that it exists.
unsafe impl Send for Net {}

// SAFETY: As above.
unsafe impl Sync for Net {}

impl Net {
    /// Returns that of the current process, which keeps it while the caller runs.
    ///
    /// Process context.
    pub(crate) fn current() -> Result<Self> {
        // SAFETY: Any process that is not exiting has one.
        let net = NonNull::new(unsafe { bindings::ksf_shim_current_net() }).ok_or(ENODEV)?;
        Ok(Self::new(net))
    }

    fn new(net: NonNull<bindings::net>) -> Self {
        // SAFETY: The callers have it from C, which has not freed it.
        let inum = unsafe { bindings::ksf_shim_net_inum(net.as_ptr()) };
        Self { net, inum }
    }

    /// Returns its number, which `ip netns` and `/proc/PID/ns/net` show.
    pub(crate) fn inum(self) -> u32 {
        self.inum
    }

    /// Returns it for C.
    pub(super) fn as_ptr(self) -> *mut bindings::net {
        self.net.as_ptr()
    }
}

/// Who is told that a namespace ends.
pub(crate) trait NetExit {
    /// Ends all that there is in `net`: sockets must not outlive it, for they do not keep it.
    ///
    /// Process context.
    fn exit(net: Net);
}

/// As long as this exists, `T` is told.
pub(crate) struct Registration<T: NetExit> {
    _events: PhantomData<T>,
}

/// The structure that C links into its list.
struct Operations(UnsafeCell<bindings::pernet_operations>);

// SAFETY: Only `register()`, which succeeds once at a time, and C use it.
unsafe impl Sync for Operations {}

static OPERATIONS: Operations = Operations(UnsafeCell::new(bindings::pernet_operations {
    list: bindings::list_head {
        next: core::ptr::null_mut(),
        prev: core::ptr::null_mut(),
    },
    init: None,
    pre_exit: None,
    exit: None,
    exit_batch: None,
    exit_rtnl: None,
    id: core::ptr::null_mut(),
    size: 0,
}));

/// Lets `T` know of the end of namespaces, before their routes and devices go.
///
/// Process context. To be called once at a time.
pub(crate) fn register<T: NetExit>() -> Result<Registration<T>> {
    let operations = OPERATIONS.0.get();
    // SAFETY: The only caller is the module's initialisation, so nobody else uses it.
    unsafe { (*operations).pre_exit = Some(on_exit::<T>) };
    // SAFETY: It is a static, so it lives until it is unregistered.
    to_result(unsafe { bindings::register_pernet_device(operations) })?;
    Ok(Registration {
        _events: PhantomData,
    })
}

impl<T: NetExit> Drop for Registration<T> {
    fn drop(&mut self) {
        // SAFETY: It was registered, and waits for those who call it.
        unsafe { bindings::unregister_pernet_device(OPERATIONS.0.get()) };
    }
}

/// # Safety
///
/// `net` is a namespace that is about to end. It also runs for each one that exists when ksf itself is unloaded.
unsafe extern "C" fn on_exit<T: NetExit>(net: *mut bindings::net) {
    if let Some(net) = NonNull::new(net) {
        T::exit(Net::new(net));
    }
}
