// SPDX-License-Identifier: GPL-2.0

//! TCP sockets in the kernel.
//!
//! C header: [`include/linux/net.h`](srctree/include/linux/net.h)

use super::bindings;
use core::{
    mem::ManuallyDrop,
    net::{
        Ipv4Addr,
        Ipv6Addr,
        SocketAddr,
        SocketAddrV4,
        SocketAddrV6, //
    },
    ops::Range,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    error::to_result,
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    }, //
};

/// A TCP socket: a listener or one end of a connection. Dropping it closes it.
///
/// # Invariants
///
/// `socket` is a valid socket that this value owns, `callbacks` are those that TCP gave to its `sock`, and its `sock`
/// has these callbacks unless it is a part of an [`Attached`].
pub(crate) struct Socket {
    socket: NonNull<bindings::socket>,
    callbacks: bindings::ksf_shim_callbacks,
}

// SAFETY: A `struct socket` may be used from any thread; its functions lock it.
unsafe impl Send for Socket {}

// SAFETY: As above.
unsafe impl Sync for Socket {}

impl Socket {
    /// Creates a socket that listens on `address`, in the network namespace of the current process.
    ///
    /// An unspecified IPv6 address listens on IPv4 as well. The namespace is kept for as long as the socket, and the
    /// connections accepted from it, exist. Process context.
    ///
    /// # Errors
    ///
    /// `EADDRINUSE`, `EADDRNOTAVAIL`, `EAFNOSUPPORT` without IPv6, `ENOMEM`.
    pub(crate) fn listen(address: SocketAddr, backlog: u16) -> Result<Self> {
        let family = match address {
            SocketAddr::V4(_) => bindings::AF_INET,
            SocketAddr::V6(_) => bindings::AF_INET6,
        };
        let mut socket = ptr::null_mut();
        // SAFETY: Any process has a network namespace, and the out-parameter is valid.
        to_result(unsafe {
            bindings::sock_create_kern(
                bindings::ksf_shim_current_net(),
                family as c_int,
                bindings::sock_type_SOCK_STREAM as c_int,
                bindings::IPPROTO_TCP as c_int,
                &mut socket,
            )
        })?;
        // SAFETY: The socket was created just now, so it is ours, and has the callbacks that TCP gave it.
        let socket = unsafe { Self::from_raw(socket) }?;
        let sk = socket.sk();
        // SAFETY: `sk` is valid, and nobody else knows it yet.
        unsafe {
            bindings::sk_net_refcnt_upgrade(sk);
            bindings::sock_set_reuseaddr(sk);
            if address.is_ipv6() {
                bindings::ksf_shim_set_dual_stack(sk);
            }
        }
        let (mut address, len) = Sockaddr::new(address);
        // SAFETY: The socket is valid, and `address` has at least `len` bytes.
        to_result(unsafe {
            bindings::kernel_bind(
                socket.socket.as_ptr(),
                (&raw mut address).cast(),
                len as c_int,
            )
        })?;
        // SAFETY: The socket is valid.
        to_result(unsafe {
            bindings::kernel_listen(socket.socket.as_ptr(), c_int::from(backlog))
        })?;
        Ok(socket)
    }

    /// Accepts a connection, whose segments will be sent as soon as they are written.
    ///
    /// Process context.
    ///
    /// # Errors
    ///
    /// `EAGAIN` when there is none, `ECONNABORTED`, `ENFILE`, `ENOMEM`, and `EINVAL` when `self` does not listen.
    pub(crate) fn accept(&self) -> Result<Self> {
        let mut socket = ptr::null_mut();
        // SAFETY: The socket is valid, and so is the out-parameter.
        to_result(unsafe {
            bindings::kernel_accept(
                self.socket.as_ptr(),
                &mut socket,
                bindings::O_NONBLOCK as c_int,
            )
        })?;
        let socket = Self {
            socket: NonNull::new(socket).ok_or(ENOMEM)?,
            callbacks: self.callbacks,
        };
        // INVARIANT: A new connection inherits the callbacks of its listener, which may be those of an `Attached`; from
        // now on it has those that TCP gave to the listener.
        socket.set_callbacks(&self.callbacks, ptr::null_mut());
        // SAFETY: The socket is valid.
        unsafe { bindings::tcp_sock_set_nodelay(socket.sk()) };
        Ok(socket)
    }

    /// Takes ownership of a socket that was just created.
    ///
    /// # Safety
    ///
    /// `socket` is null or a valid socket that nobody else uses and whose callbacks nobody replaced.
    unsafe fn from_raw(socket: *mut bindings::socket) -> Result<Self> {
        let mut this = Self {
            socket: NonNull::new(socket).ok_or(ENOMEM)?,
            callbacks: bindings::ksf_shim_callbacks {
                data_ready: None,
                write_space: None,
                state_change: None,
            },
        };
        // INVARIANT: By the requirement of this function these are TCP's. SAFETY: The socket is valid.
        unsafe { bindings::ksf_shim_get_callbacks(this.sk(), &mut this.callbacks) };
        Ok(this)
    }

    /// Returns the `sock` of the socket.
    fn sk(&self) -> *mut bindings::sock {
        // SAFETY: By the invariants the socket is valid, and TCP's sockets keep their `sock` until they are released.
        unsafe { (*self.socket.as_ptr()).sk }
    }

    /// Replaces the callbacks and the data that they find.
    ///
    /// Process context. When it returns, no callback uses the old data, though an old callback may still be about to
    /// ask for it.
    fn set_callbacks(&self, callbacks: &bindings::ksf_shim_callbacks, data: *mut c_void) {
        // SAFETY: The `sock` is valid and this is process context.
        unsafe { bindings::ksf_shim_set_callbacks(self.sk(), callbacks, data) };
    }

    /// Returns the address that the socket is bound to.
    pub(crate) fn local_address(&self) -> Result<SocketAddr> {
        self.name(bindings::kernel_getsockname)
    }

    /// Returns the address of the peer.
    ///
    /// # Errors
    ///
    /// `ENOTCONN` when the connection has ended already.
    pub(crate) fn peer_address(&self) -> Result<SocketAddr> {
        self.name(bindings::kernel_getpeername)
    }

    fn name(
        &self,
        get: unsafe extern "C" fn(*mut bindings::socket, *mut bindings::sockaddr) -> c_int,
    ) -> Result<SocketAddr> {
        let mut address = Sockaddr::default();
        // SAFETY: The socket is valid, and `address` has room for the addresses of both families of TCP.
        let len = unsafe { get(self.socket.as_ptr(), (&raw mut address).cast()) };
        if len < 0 {
            return Err(Error::from_errno(len));
        }
        address.get().ok_or(EINVAL)
    }

    /// Receives what is there, at most `buffer`. Returns 0 when the peer has sent all that it will.
    ///
    /// Process context. Does not wait.
    ///
    /// # Errors
    ///
    /// `EAGAIN` when nothing is there, `ECONNRESET` and other errors of the connection.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Result<usize> {
        let mut message = bindings::msghdr::default();
        let mut vector = bindings::kvec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        };
        // SAFETY: The socket is valid, and `vector` describes a buffer that may be written to.
        let received = unsafe {
            bindings::kernel_recvmsg(
                self.socket.as_ptr(),
                &mut message,
                &mut vector,
                1,
                buffer.len(),
                bindings::MSG_DONTWAIT as c_int,
            )
        };
        transferred(received)
    }

    /// Sends as much of `data` as there is room for, at least one byte, and returns how much.
    ///
    /// Process context. Does not wait.
    ///
    /// # Errors
    ///
    /// `EAGAIN` when there is no room: [`Events::wake()`] will be called when there is. `EPIPE`, `ECONNRESET` and other
    /// errors of the connection.
    pub(crate) fn send(&self, data: &[u8]) -> Result<usize> {
        let mut message = bindings::msghdr {
            msg_flags: bindings::MSG_DONTWAIT | bindings::MSG_NOSIGNAL,
            ..Default::default()
        };
        let mut vector = bindings::kvec {
            // CAST: Sending only reads.
            iov_base: data.as_ptr().cast_mut().cast(),
            iov_len: data.len(),
        };
        // SAFETY: The socket is valid, and `vector` describes a buffer that may be read.
        let sent = unsafe {
            bindings::kernel_sendmsg(
                self.socket.as_ptr(),
                &mut message,
                &mut vector,
                1,
                data.len(),
            )
        };
        transferred(sent)
    }

    /// Returns whether nothing waits to be sent or acknowledged, so that nothing will announce room for more.
    ///
    /// Process context.
    pub(crate) fn is_send_queue_empty(&self) -> bool {
        // SAFETY: The `sock` is valid.
        unsafe { bindings::ksf_shim_send_queue_empty(self.sk()) }
    }

    /// Lets `events` know of what happens to the socket, from now on until the result is dropped.
    ///
    /// What happened before is not told: look once after this. Process context.
    pub(crate) fn attach<T: Events>(self, events: Arc<T>) -> Attached<T> {
        let attached = Attached {
            socket: ManuallyDrop::new(self),
            events,
        };
        let callbacks = bindings::ksf_shim_callbacks {
            data_ready: Some(on_event::<T>),
            write_space: Some(on_write_space::<T>),
            state_change: Some(on_event::<T>),
        };
        let data = Arc::as_ptr(&attached.events).cast_mut().cast();
        attached.socket.set_callbacks(&callbacks, data);
        attached
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // SAFETY: By the invariants the socket is valid and ours.
        unsafe { bindings::sock_release(self.socket.as_ptr()) };
    }
}

/// Who is told of what happens to a socket.
pub(crate) trait Events: Send + Sync + 'static {
    /// There is something to receive or to accept, room to send, or the connection's state has changed.
    ///
    /// Softirq or process context, possibly with the socket's lock held: to be noted, not to be dealt with here.
    fn wake(this: ArcBorrow<'_, Self>);
}

/// A socket whose events somebody is told of. Dropping it closes the socket.
///
/// # Invariants
///
/// The callbacks of the socket's `sock` are those below, and its user data is `events`.
pub(crate) struct Attached<T: Events> {
    socket: ManuallyDrop<Socket>,
    events: Arc<T>,
}

impl<T: Events> core::ops::Deref for Attached<T> {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.socket
    }
}

impl<T: Events> Drop for Attached<T> {
    fn drop(&mut self) {
        // After this no callback uses `events`.
        self.socket
            .set_callbacks(&self.socket.callbacks, ptr::null_mut());
        // SAFETY: This is the only place where it is dropped.
        unsafe { ManuallyDrop::drop(&mut self.socket) };
    }
}

/// Waits until no callback of a socket that is detached or closed runs any more.
///
/// TCP calls a listener back without its lock, after it read which function to call, but inside of a read-side critical
/// section of RCU ([`net/ipv4/tcp_minisocks.c`](srctree/net/ipv4/tcp_minisocks.c), `tcp_child_process()`). Process
/// context; to be called before the module ends.
pub(crate) fn wait_for_callbacks() {
    // SAFETY: This is process context, outside of read-side critical sections.
    unsafe { bindings::synchronize_rcu() };
}

/// Calls `with` with what is told of the events of `sk`, if anything is.
///
/// # Safety
///
/// `sk` is valid, and its user data was set by [`Socket::attach()`] with the same `T`.
unsafe fn with_events<T: Events>(sk: *mut bindings::sock, with: impl FnOnce(ArcBorrow<'_, T>)) {
    // SAFETY: `sk` is valid.
    let data = unsafe { bindings::ksf_shim_lock_user_data(sk) };
    if !data.is_null() {
        // SAFETY: It is an `Arc`'s pointer, and the `Attached` that holds the `Arc` cannot take it away before the lock
        // is released.
        with(unsafe { ArcBorrow::from_raw(data.cast::<T>()) });
    }
    // SAFETY: It was locked above.
    unsafe { bindings::ksf_shim_unlock_user_data(sk) };
}

/// `sk_data_ready` and `sk_state_change`. Connections that are not accepted yet inherit it without the user data.
///
/// # Safety
///
/// As that of [`with_events()`].
unsafe extern "C" fn on_event<T: Events>(sk: *mut bindings::sock) {
    // SAFETY: By the requirement of this function.
    unsafe { with_events(sk, T::wake) };
}

/// `sk_write_space`.
///
/// # Safety
///
/// As that of [`with_events()`].
unsafe extern "C" fn on_write_space<T: Events>(sk: *mut bindings::sock) {
    // SAFETY: `sk` is valid.
    if unsafe { bindings::ksf_shim_take_write_space(sk) } {
        // SAFETY: By the requirement of this function.
        unsafe { with_events(sk, T::wake) };
    }
}

/// Returns whether accepting failed for a reason that ends no more than the one connection: the peer gave up.
pub(crate) fn is_aborted_connection(error: Error) -> bool {
    let abandoned = [
        bindings::ECONNABORTED,
        bindings::EPROTO,
        bindings::EPERM,
        bindings::EINTR,
    ];
    abandoned
        .iter()
        .any(|errno| error.to_errno() == -(*errno as c_int))
}

/// Returns whether `error` says that this kernel, or this network namespace, has no IPv6.
pub(crate) fn is_unsupported_family(error: Error) -> bool {
    error.to_errno() == -(bindings::EAFNOSUPPORT as c_int)
}

/// Turns what a function of sockets returns into a result.
fn transferred(count: c_int) -> Result<usize> {
    usize::try_from(count).map_err(|_| Error::from_errno(count))
}

/// A `sockaddr_in` or a `sockaddr_in6`, whose layouts ([`include/uapi/linux/in.h`](srctree/include/uapi/linux/in.h),
/// [`in6.h`](srctree/include/uapi/linux/in6.h)) are the same for ever: family, port in network order, then the address
/// (IPv4), or flow information, address and scope (IPv6).
#[repr(C, align(8))]
#[derive(Default)]
struct Sockaddr {
    bytes: [u8; 28],
}

impl Sockaddr {
    const FAMILY: Range<usize> = 0..2;
    const PORT: Range<usize> = 2..4;
    const V4_ADDRESS: Range<usize> = 4..8;
    const V4_LEN: usize = 16;
    const V6_FLOWINFO: Range<usize> = 4..8;
    const V6_ADDRESS: Range<usize> = 8..24;
    const V6_SCOPE: Range<usize> = 24..28;
    const V6_LEN: usize = 28;

    /// Returns the address for C, and how many bytes of it count.
    fn new(address: SocketAddr) -> (Self, usize) {
        let mut this = Self::default();
        let mut set = |field: Range<usize>, value: &[u8]| this.bytes[field].copy_from_slice(value);
        let (family, len) = match address {
            SocketAddr::V4(address) => {
                set(Self::V4_ADDRESS, &address.ip().octets());
                (bindings::AF_INET, Self::V4_LEN)
            }
            SocketAddr::V6(address) => {
                set(Self::V6_FLOWINFO, &address.flowinfo().to_ne_bytes());
                set(Self::V6_ADDRESS, &address.ip().octets());
                set(Self::V6_SCOPE, &address.scope_id().to_ne_bytes());
                (bindings::AF_INET6, Self::V6_LEN)
            }
        };
        // CAST: Families are small numbers.
        set(Self::FAMILY, &(family as u16).to_ne_bytes());
        set(Self::PORT, &address.port().to_be_bytes());
        (this, len)
    }

    /// Returns the address that C wrote, or [`None`] if it is of another family.
    fn get(&self) -> Option<SocketAddr> {
        let family = u16::from_ne_bytes(self.field(Self::FAMILY)?);
        let port = u16::from_be_bytes(self.field(Self::PORT)?);
        match u32::from(family) {
            bindings::AF_INET => {
                let ip = Ipv4Addr::from(self.field::<4>(Self::V4_ADDRESS)?);
                Some(SocketAddrV4::new(ip, port).into())
            }
            bindings::AF_INET6 => {
                let ip = Ipv6Addr::from(self.field::<16>(Self::V6_ADDRESS)?);
                let flowinfo = u32::from_ne_bytes(self.field(Self::V6_FLOWINFO)?);
                let scope = u32::from_ne_bytes(self.field(Self::V6_SCOPE)?);
                Some(SocketAddrV6::new(ip, port, flowinfo, scope).into())
            }
            _ => None,
        }
    }

    fn field<const N: usize>(&self, field: Range<usize>) -> Option<[u8; N]> {
        self.bytes.get(field)?.try_into().ok()
    }
}

#[kunit_tests(ksf_socket)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_way_through_c() {
        let v4 = SocketAddr::from(([192, 0, 2, 1], 60007));
        let v6 = SocketAddr::from(SocketAddrV6::new(
            Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1),
            1,
            7,
            2,
        ));
        let (c, len) = Sockaddr::new(v4);
        assert_eq!(len, 16);
        assert_eq!(&c.bytes[..8], &[2, 0, 0xea, 0x67, 192, 0, 2, 1]);
        assert_eq!(c.get(), Some(v4));
        let (c, len) = Sockaddr::new(v6);
        assert_eq!(len, 28);
        assert_eq!(c.get(), Some(v6));
        assert_eq!(Sockaddr::default().get(), None);
    }
}
