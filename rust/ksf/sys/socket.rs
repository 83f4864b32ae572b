// SPDX-License-Identifier: GPL-2.0

//! Sockets of the kernel.
//!
//! C header: [`include/linux/net.h`](srctree/include/linux/net.h)

use super::{
    bindings,
    netns::Net,
    sockaddr::Sockaddr, //
};
use core::{
    net::SocketAddr,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    error::to_result,
    ffi::c_int,
    prelude::*, //
};

/// A transport protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Udp,
}

/// A socket. Dropping it closes it.
///
/// It does not keep its network namespace: who makes it closes it before that goes.
///
/// # Invariants
///
/// `socket` is a valid socket that this value owns.
pub(crate) struct Socket {
    socket: NonNull<bindings::socket>,
}

// SAFETY: A `struct socket` may be used from any thread; its functions lock it.
unsafe impl Send for Socket {}

// SAFETY: As above.
unsafe impl Sync for Socket {}

/// How a socket shares its port.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// With nobody.
    Alone,
    /// With all sockets that ask for the same (`SO_REUSEPORT`).
    Group,
}

impl Socket {
    /// Creates a socket in `net` that is bound to `address`.
    ///
    /// With `dual_stack`, an unspecified IPv6 address includes IPv4. Process context; `net` exists.
    ///
    /// # Errors
    ///
    /// `EADDRINUSE`, `EADDRNOTAVAIL`, `EAFNOSUPPORT` without IPv6, `ENOMEM`.
    pub(crate) fn bind(
        net: Net,
        transport: Transport,
        address: SocketAddr,
        sharing: Sharing,
        dual_stack: bool,
    ) -> Result<Self> {
        let family = match address {
            SocketAddr::V4(_) => bindings::AF_INET,
            SocketAddr::V6(_) => bindings::AF_INET6,
        };
        let (kind, protocol) = match transport {
            Transport::Tcp => (bindings::sock_type_SOCK_STREAM, bindings::IPPROTO_TCP),
            Transport::Udp => (bindings::sock_type_SOCK_DGRAM, bindings::IPPROTO_UDP),
        };
        let mut socket = ptr::null_mut();
        // SAFETY: The namespace exists by the requirement of this function, and the out-parameter is valid.
        to_result(unsafe {
            bindings::sock_create_kern(
                net.as_ptr(),
                family as c_int,
                kind as c_int,
                protocol as c_int,
                &mut socket,
            )
        })?;
        // SAFETY: It was created just now.
        let socket = unsafe { Self::from_raw(socket) }?;
        let sk = socket.sk();
        if transport == Transport::Tcp {
            // SAFETY: The `sock` is valid. For TCP this allows connections of an earlier service to linger.
            unsafe { bindings::sock_set_reuseaddr(sk) };
        }
        if sharing == Sharing::Group {
            // SAFETY: The `sock` is valid.
            unsafe { bindings::sock_set_reuseport(sk) };
        }
        if address.is_ipv6() {
            // SAFETY: The `sock` is valid, of IPv6, and not bound yet.
            unsafe { bindings::ksf_shim_set_v6only(sk, !dual_stack) };
        }
        let (mut address, len) = Sockaddr::new(address);
        // SAFETY: The socket is valid, and `address` has at least `len` bytes.
        to_result(unsafe {
            bindings::kernel_bind(socket.as_ptr(), (&raw mut address).cast(), len as c_int)
        })?;
        Ok(socket)
    }

    /// Takes ownership of a socket.
    ///
    /// # Safety
    ///
    /// `socket` is null or a valid socket that nobody else uses.
    pub(super) unsafe fn from_raw(socket: *mut bindings::socket) -> Result<Self> {
        // INVARIANT: By the requirement of this function.
        Ok(Self {
            socket: NonNull::new(socket).ok_or(ENOMEM)?,
        })
    }

    /// Returns the socket for C.
    pub(super) fn as_ptr(&self) -> *mut bindings::socket {
        self.socket.as_ptr()
    }

    /// Returns the `sock` of the socket.
    pub(super) fn sk(&self) -> *mut bindings::sock {
        // SAFETY: By the invariants the socket is valid, and it keeps its `sock` until it is released.
        unsafe { (*self.as_ptr()).sk }
    }

    /// Returns the address that the socket is bound to.
    ///
    /// Process context.
    pub(crate) fn local_address(&self) -> Result<SocketAddr> {
        self.name(bindings::kernel_getsockname)
    }

    /// Returns the address of the peer.
    ///
    /// Process context.
    ///
    /// # Errors
    ///
    /// `ENOTCONN` when the connection has ended already.
    pub(crate) fn peer_address(&self) -> Result<SocketAddr> {
        self.name(bindings::kernel_getpeername)
    }

    /// Returns how many bytes of memory may be sent until the send buffer is full.
    pub(super) fn send_room(&self) -> usize {
        // SAFETY: The `sock` is valid.
        unsafe { bindings::ksf_shim_udp_room(self.sk()) as usize }
    }

    /// Sets how many bytes of memory may be sent until the first is gone.
    ///
    /// Process context.
    pub(crate) fn set_send_buffer(&self, bytes: u32) {
        // SAFETY: The `sock` is valid.
        unsafe { bindings::ksf_shim_udp_set_send_buffer(self.sk(), bytes) };
    }

    fn name(
        &self,
        get: unsafe extern "C" fn(*mut bindings::socket, *mut bindings::sockaddr) -> c_int,
    ) -> Result<SocketAddr> {
        let mut address = Sockaddr::default();
        // SAFETY: The socket is valid, and `address` has room for the addresses of both families.
        let len = unsafe { get(self.as_ptr(), (&raw mut address).cast()) };
        if len < 0 {
            return Err(Error::from_errno(len));
        }
        address.get().ok_or(EINVAL)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // SAFETY: By the invariants the socket is valid and ours.
        unsafe { bindings::sock_release(self.as_ptr()) };
    }
}

/// Returns whether `error` says that this kernel, or this network namespace, has no IPv6.
pub(crate) fn is_unsupported_family(error: Error) -> bool {
    error.to_errno() == -(bindings::EAFNOSUPPORT as c_int)
}
