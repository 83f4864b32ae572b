// SPDX-License-Identifier: GPL-2.0

//! Connections that a service itself makes, to tell others of it.

use super::{
    bindings,
    clock,
    errno,
    netns::Net,
    sockaddr::Sockaddr,
    socket::{
        Sharing,
        Socket,
        Transport, //
    }, //
};
use core::{
    marker::PhantomData,
    net::{
        IpAddr,
        Ipv4Addr,
        Ipv6Addr,
        SocketAddr, //
    },
    ops::Range,
    ptr, //
};
use kernel::{
    error::to_result,
    ffi::{
        c_int,
        c_uint, //
    },
    prelude::*, //
};

/// Ports that only privileged processes can have, from which the caller of a reserved service calls (`bindresvport(3)`).
const RESERVED_PORTS: Range<u16> = 600..1024;

/// The network namespace of a service, which exists for as long as this does.
///
/// # Invariants
///
/// There is a reference to `net` that this value owns.
pub struct Namespace {
    net: Net,
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // SAFETY: By the invariants there is a reference.
        unsafe { bindings::ksf_shim_put_net(self.net.as_ptr()) };
    }
}

impl Namespace {
    /// Takes a reference to `net`, or returns [`None`] if its end has begun.
    ///
    /// Any context. To be called while its services cannot be stopped, for until that was done it is not freed.
    pub(crate) fn get(net: Net) -> Option<Self> {
        // SAFETY: By the requirement of this function the memory is still that of a namespace, whatever its count is.
        let is_there = unsafe { bindings::ksf_shim_get_net(net.as_ptr()) };
        // INVARIANT: The reference was taken just now.
        is_there.then(|| Self { net })
    }

    /// Returns whether it is that which the system was started with. Only there, a path leads to the sockets of this system's
    /// own daemons.
    pub fn is_initial(&self) -> bool {
        // SAFETY: The namespace exists.
        unsafe { bindings::ksf_shim_is_init_net(self.net.as_ptr()) }
    }

    /// Returns whether somebody has this port, on any address or on one, or it cannot be found out.
    ///
    /// Process context.
    pub fn is_in_use(&self, is_tcp: bool, is_ipv6: bool, port: u16) -> bool {
        let any: IpAddr = if is_ipv6 {
            Ipv6Addr::UNSPECIFIED.into()
        } else {
            Ipv4Addr::UNSPECIFIED.into()
        };
        let transport = if is_tcp {
            Transport::Tcp
        } else {
            Transport::Udp
        };
        let address = SocketAddr::new(any, port);
        Socket::bind(self.net, transport, address, Sharing::Alone, false).is_err()
    }

    /// Connects to a Unix domain stream socket, by its path, or if `name` begins with a zero byte, by its abstract name.
    ///
    /// Process context, with the paths of the current process.
    ///
    /// # Errors
    ///
    /// `ENOENT`, `ECONNREFUSED`, `EAGAIN` when the time is over, `EINVAL` for a name that is too long.
    pub fn connect_unix(&self, name: &[u8], deadline: Deadline) -> Result<Client<'_>> {
        let (address, len) = unix_address(name)?;
        let mut socket = ptr::null_mut();
        // SAFETY: The namespace exists, and the out-parameter is valid.
        to_result(unsafe {
            bindings::sock_create_kern(
                self.net.as_ptr(),
                bindings::AF_UNIX as c_int,
                bindings::sock_type_SOCK_STREAM as c_int,
                0,
                &mut socket,
            )
        })?;
        // SAFETY: It was created just now.
        let socket = unsafe { Socket::from_raw(socket) }?;
        Client::connect(socket, &address, len, deadline)
    }

    /// Connects to a TCP port of this host, from a reserved port if one is free.
    ///
    /// Process context.
    ///
    /// # Errors
    ///
    /// `ECONNREFUSED`, `EINPROGRESS` when the time is over, `EADDRINUSE`.
    pub fn connect_loopback(&self, port: u16, deadline: Deadline) -> Result<Client<'_>> {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let bind = |from| {
            let from = SocketAddr::new(loopback, from);
            Socket::bind(self.net, Transport::Tcp, from, Sharing::Alone, false)
        };
        let mut ports = RESERVED_PORTS.rev();
        let socket = loop {
            match ports.next().map(bind) {
                Some(Err(error)) if error == errno::address_in_use() => {}
                Some(result) => break result?,
                None => return Err(errno::address_in_use()),
            }
        };
        let (address, len) = Sockaddr::new(SocketAddr::new(loopback, port));
        Client::connect(socket, address.as_bytes(), len, deadline)
    }
}

/// How many bytes a `sockaddr_un` has before its path ([`include/uapi/linux/un.h`](srctree/include/uapi/linux/un.h)).
const UNIX_FAMILY_BYTES: usize = 2;

/// How many bytes a path has.
const UNIX_PATH_BYTES: usize = 108;

/// The address of a Unix domain socket for C, and how many bytes of it count.
fn unix_address(name: &[u8]) -> Result<([u8; UNIX_FAMILY_BYTES + UNIX_PATH_BYTES], usize)> {
    let mut address = [0; UNIX_FAMILY_BYTES + UNIX_PATH_BYTES];
    let (family, path) = address.split_at_mut(UNIX_FAMILY_BYTES);
    // CAST: Families are small numbers.
    family.copy_from_slice(&(bindings::AF_UNIX as u16).to_ne_bytes());
    // A path ends with a zero byte.
    if name.is_empty() || name.len() >= path.len() {
        return Err(EINVAL);
    }
    path[..name.len()].copy_from_slice(name);
    let end = usize::from(name[0] != 0);
    Ok((address, UNIX_FAMILY_BYTES + name.len() + end))
}

/// A moment until which something is to be done.
#[derive(Clone, Copy)]
pub struct Deadline {
    ms: u64,
}

impl Deadline {
    /// In so many ms from now, as coarse as jiffies are.
    ///
    /// Any context.
    pub fn after_ms(ms: u64) -> Self {
        Self {
            ms: clock::coarse_ms().saturating_add(ms),
        }
    }

    /// Returns how many ms are left.
    fn left_ms(self) -> Result<c_uint> {
        match self.ms.saturating_sub(clock::coarse_ms()) {
            0 => Err(ETIMEDOUT),
            // CAST: It is at most that much.
            ms => Ok(ms.min(u64::from(u16::MAX)) as c_uint),
        }
    }
}

/// A connection to a server. Dropping it closes it.
///
/// All of this is for process context, and waits for the server until a deadline, or a signal.
pub struct Client<'a> {
    socket: Socket,
    deadline: Deadline,
    /// The socket does not keep its namespace.
    _namespace: PhantomData<&'a Namespace>,
}

impl Client<'_> {
    fn connect(socket: Socket, address: &[u8], len: usize, deadline: Deadline) -> Result<Self> {
        let this = Self {
            socket,
            deadline,
            _namespace: PhantomData,
        };
        this.limit_time()?;
        let len = len.min(address.len());
        // SAFETY: The socket is valid, and `address` has at least `len` bytes, which C only reads.
        to_result(unsafe {
            bindings::kernel_connect(
                this.socket.as_ptr(),
                address.as_ptr().cast_mut().cast(),
                len as c_int,
                0,
            )
        })?;
        Ok(this)
    }

    /// Has the next operation end at the deadline.
    fn limit_time(&self) -> Result {
        let left = self.deadline.left_ms()?;
        // SAFETY: The `sock` is valid, and nobody else uses it.
        unsafe { bindings::ksf_shim_set_timeout(self.socket.sk(), left) };
        Ok(())
    }

    /// Sends all of `bytes`.
    ///
    /// # Errors
    ///
    /// `EPIPE`, `ETIMEDOUT`, or what the connection ended with.
    pub fn send(&mut self, bytes: &[u8]) -> Result {
        let mut rest = bytes;
        while !rest.is_empty() {
            self.limit_time()?;
            // SAFETY: The socket is valid, and C only reads the bytes.
            let sent = unsafe {
                bindings::ksf_shim_send(self.socket.as_ptr(), rest.as_ptr().cast(), rest.len())
            };
            rest = rest.get(transferred(sent)?..).unwrap_or_default();
        }
        Ok(())
    }

    /// Receives as many bytes as `buffer` has.
    ///
    /// # Errors
    ///
    /// `EPIPE` when the server closes before, `ETIMEDOUT`, or what the connection ended with.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Result {
        let mut rest = buffer;
        while !rest.is_empty() {
            self.limit_time()?;
            // SAFETY: The socket is valid, and `rest` may be written to.
            let received = unsafe {
                bindings::ksf_shim_receive(
                    self.socket.as_ptr(),
                    rest.as_mut_ptr().cast(),
                    rest.len(),
                )
            };
            rest = rest.get_mut(transferred(received)?..).unwrap_or_default();
        }
        Ok(())
    }
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        // A socket of the kernel that is released does not send its end again: with a reset, nothing of it is left if that is lost.
        // SAFETY: The `sock` is valid, and nobody else uses it.
        unsafe { bindings::sock_no_linger(self.socket.sk()) };
    }
}

/// How many bytes went through, of which there are some.
fn transferred(count: c_int) -> Result<usize> {
    match usize::try_from(count) {
        Ok(0) => Err(EPIPE),
        Ok(count) => Ok(count),
        Err(_) if count == EAGAIN.to_errno() => Err(ETIMEDOUT),
        Err(_) => Err(Error::from_errno(count)),
    }
}

#[kunit_tests(ksf_client)]
mod tests {
    use super::*;

    #[test]
    fn unix_addresses_are_as_c_has_them() -> Result {
        let (address, len) = unix_address(b"/run/a")?;
        assert_eq!(&address[..len], b"\x01\0/run/a\0");
        let (address, len) = unix_address(b"\0/run/a")?;
        assert_eq!(&address[..len], b"\x01\0\0/run/a");
        assert!(unix_address(&[b'x'; UNIX_PATH_BYTES - 1]).is_ok());
        assert!(unix_address(&[b'x'; UNIX_PATH_BYTES]).is_err());
        assert!(unix_address(b"").is_err());
        Ok(())
    }

    #[test]
    fn a_deadline_passes() {
        assert!(Deadline::after_ms(0).left_ms().is_err());
        assert!(Deadline::after_ms(10_000).left_ms().is_ok());
    }
}
