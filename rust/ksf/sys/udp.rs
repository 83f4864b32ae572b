// SPDX-License-Identifier: GPL-2.0

//! UDP sockets: datagrams as they arrive, and replies to them.
//!
//! C headers: [`include/linux/udp.h`](srctree/include/linux/udp.h), [`include/net/udp.h`](srctree/include/net/udp.h)

use super::{
    bindings,
    skb::Skb,
    socket::Socket,
    softirq, //
};
use core::{
    mem::{
        self,
        ManuallyDrop, //
    },
    net::{
        IpAddr,
        Ipv4Addr,
        Ipv6Addr,
        SocketAddr,
        SocketAddrV6, //
    },
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    error::to_result,
    ffi::c_int,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    }, //
};

/// Where a datagram came from and where it was sent to: that is where an answer goes to, and where it comes from.
#[derive(Clone, Copy, Default)]
pub struct Flow {
    flow: bindings::ksf_shim_udp_flow,
}

impl Flow {
    /// Returns that of a datagram of [`Arrived::take()`] or [`Attached::receive()`].
    pub(crate) fn of(skb: &Skb) -> Self {
        let mut flow = bindings::ksf_shim_udp_flow::default();
        // SAFETY: The skb is a received datagram, so it has the headers that are read.
        unsafe { bindings::ksf_shim_udp_flow(skb.as_ptr(), &mut flow) };
        Self { flow }
    }

    /// Returns who sent it.
    pub fn peer(&self) -> SocketAddr {
        self.address(self.flow.peer, self.flow.peer_port)
    }

    /// Returns to which of this host's addresses.
    pub fn local(&self) -> SocketAddr {
        self.address(self.flow.local, self.flow.local_port)
    }

    fn address(&self, ip: [u8; 16], port: u16) -> SocketAddr {
        let port = u16::from_be(port);
        if u32::from(self.flow.family) == bindings::AF_INET6 {
            let ip = Ipv6Addr::from(ip);
            return SocketAddrV6::new(ip, port, 0, self.flow.interface).into();
        }
        let [a, b, c, d, ..] = ip;
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port)
    }

    /// Returns a number that depends on the flow and on `keys`, which nobody else should know: then nobody can find flows with
    /// the same one.
    pub(super) fn hash(&self, keys: [u64; 2]) -> u64 {
        let fold = |a: u64, b: u64| {
            let product = u128::from(a) * u128::from(b);
            // CAST: The two halves.
            (product as u64) ^ (product >> 64) as u64
        };
        let ports = u64::from(self.flow.peer_port) << 16 | u64::from(self.flow.local_port);
        let [one, other] = keys;
        let mut hash = fold(ports ^ one, other);
        for ip in [self.flow.peer, self.flow.local] {
            let ip = u128::from_ne_bytes(ip);
            // CAST: The two halves.
            hash = fold(hash ^ (ip as u64) ^ one, other ^ (ip >> 64) as u64);
        }
        fold(hash ^ u64::from(self.flow.interface), one)
    }

    /// Returns it for C.
    pub(super) fn as_ptr(&self) -> *const bindings::ksf_shim_udp_flow {
        &self.flow
    }
}

impl PartialEq for Flow {
    fn eq(&self, other: &Self) -> bool {
        let of = |flow: &bindings::ksf_shim_udp_flow| {
            (
                u128::from_ne_bytes(flow.peer),
                u128::from_ne_bytes(flow.local),
                (flow.peer_port, flow.local_port, flow.family, flow.interface),
            )
        };
        of(&self.flow) == of(&other.flow)
    }
}

impl Eq for Flow {}

/// A datagram that is about to be queued to its socket. Dropping it drops the datagram.
///
/// # Invariants
///
/// `skb` is a valid skb that starts with a UDP header, and nobody else uses it.
pub(crate) struct Arrived {
    skb: NonNull<bindings::sk_buff>,
}

impl Arrived {
    /// Returns whether it was sent to this host alone, and not to many.
    pub(crate) fn is_unicast(&self) -> bool {
        // SAFETY: By the invariants; on arrival it still has its headers and its route.
        unsafe { bindings::ksf_shim_udp_is_unicast(self.skb.as_ptr()) }
    }

    /// Takes the datagram, without the header, so that it will not be queued. [`None`] when it is broken.
    pub(crate) fn take(self) -> Option<Skb> {
        // SAFETY: By the invariants.
        if !unsafe { bindings::ksf_shim_udp_pull(self.skb.as_ptr()) } {
            return None;
        }
        // SAFETY: By the invariants it is ours, and it is given up here.
        Some(unsafe { Skb::from_raw(self.into_raw()) })
    }

    fn into_raw(self) -> NonNull<bindings::sk_buff> {
        let skb = self.skb;
        mem::forget(self);
        skb
    }
}

impl Drop for Arrived {
    fn drop(&mut self) {
        // SAFETY: By the invariants it is ours.
        unsafe { bindings::ksf_shim_drop_skb(self.skb.as_ptr()) };
    }
}

/// Who is told of the datagrams of a socket.
pub(crate) trait Events: Send + Sync + 'static {
    /// Datagrams have been queued.
    ///
    /// Softirq.
    fn datagrams_queued(this: ArcBorrow<'_, Self>);

    /// A datagram has arrived. What is returned will be queued.
    ///
    /// Softirq, in a read-side critical section of RCU. Datagrams of one socket may arrive on several CPUs at once.
    fn datagram_arrived(this: ArcBorrow<'_, Self>, arrived: Arrived) -> Option<Arrived>;
}

/// A socket whose datagrams somebody is told of. Dropping it closes the socket.
///
/// # Invariants
///
/// The user data of the socket's `sock` is `events`, and the functions below are called with it.
pub(crate) struct Attached<T: Events> {
    socket: ManuallyDrop<Socket>,
    data_ready: Option<unsafe extern "C" fn(*mut bindings::sock)>,
    events: Arc<T>,
}

impl<T: Events> Attached<T> {
    /// Lets `events` know of the datagrams of `socket`, from now on until the result is dropped.
    ///
    /// What came before is dropped. Process context.
    pub(crate) fn new(socket: Socket, events: Arc<T>) -> Self {
        let sk = socket.sk();
        let mut callbacks = bindings::ksf_shim_callbacks::default();
        // SAFETY: The `sock` is valid, and nobody changes its callbacks.
        unsafe { bindings::ksf_shim_get_callbacks(sk, &mut callbacks) };
        // Datagrams may be as large as they can be, whatever the path.
        // SAFETY: The `sock` is valid.
        unsafe { bindings::ip_sock_set_mtu_discover(sk, bindings::IP_PMTUDISC_DONT as c_int) };
        let this = Self {
            socket: ManuallyDrop::new(socket),
            data_ready: callbacks.data_ready,
            events,
        };
        let data = Arc::as_ptr(&this.events).cast_mut().cast();
        // SAFETY: The `sock` is valid, and the functions take what the data is.
        unsafe {
            bindings::ksf_shim_udp_attach(sk, Some(on_datagram::<T>), data, Some(on_queued::<T>));
        }
        // What came before was not looked at by `on_datagram()`.
        while this.receive().is_some() {}
        this
    }

    /// Returns the datagram that was queued first.
    ///
    /// Process context. Does not wait.
    pub(crate) fn receive(&self) -> Option<Skb> {
        loop {
            let (mut offset, mut error) = (0, 0);
            // SAFETY: The `sock` is valid, and so are the out-parameters.
            let skb = unsafe {
                bindings::__skb_recv_udp(
                    self.socket.sk(),
                    bindings::MSG_DONTWAIT,
                    &mut offset,
                    &mut error,
                )
            };
            if let Some(skb) = NonNull::new(skb) {
                // SAFETY: It was taken off the queue, and is ours.
                return Some(unsafe { Skb::from_raw(skb) });
            }
            // An error of an earlier datagram is reported once, and says nothing of the next one.
            if error == EAGAIN.to_errno() || self.is_empty() {
                return None;
            }
        }
    }

    /// Returns whether no datagram is queued.
    pub(crate) fn is_empty(&self) -> bool {
        // SAFETY: The `sock` is valid.
        unsafe { bindings::ksf_shim_udp_queue_empty(self.socket.sk()) }
    }

    /// Sends `skb` to where a datagram of `flow` came from, from where that was sent to.
    ///
    /// Softirq, or process context with softirqs disabled.
    ///
    /// # Errors
    ///
    /// `ENOBUFS` when the socket's send buffer is full or memory is short, those of routing, and those of the device.
    pub(crate) fn reply(&self, skb: Skb, flow: &Flow, _off: &softirq::Disabled) -> Result {
        // SAFETY: The `sock` is valid; the skb is given up, is a datagram, and belongs to nobody else.
        to_result(unsafe {
            bindings::ksf_shim_udp_send(self.socket.sk(), skb.into_raw(), &flow.flow)
        })
    }
}

/// Returns whether a received datagram's own skb may be sent back.
pub(crate) fn is_reusable(skb: &Skb) -> bool {
    // SAFETY: The skb is valid.
    unsafe { bindings::ksf_shim_udp_reusable(skb.as_ptr()) }
}

impl<T: Events> Deref for Attached<T> {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.socket
    }
}

impl<T: Events> Drop for Attached<T> {
    fn drop(&mut self) {
        // SAFETY: The `sock` is valid, and this is process context.
        unsafe { bindings::ksf_shim_udp_detach(self.socket.sk(), self.data_ready) };
        // The callbacks find the data under RCU, without a lock.
        // SAFETY: This is process context, outside of read-side critical sections.
        unsafe { bindings::synchronize_rcu_expedited() };
        // SAFETY: This is the only place where it is dropped.
        unsafe { ManuallyDrop::drop(&mut self.socket) };
    }
}

/// `encap_rcv`.
///
/// # Safety
///
/// `sk` is valid, with user data of [`Attached::new()`] with the same `T`, or none; `skb` is a datagram that nobody else
/// uses; the caller is in a read-side critical section of RCU.
unsafe extern "C" fn on_datagram<T: Events>(
    sk: *mut bindings::sock,
    skb: *mut bindings::sk_buff,
) -> c_int {
    /// What `udp_queue_rcv_one_skb()` takes as "was dealt with" and "is to be queued".
    const DONE: c_int = 0;
    const QUEUE: c_int = 1;

    // SAFETY: `sk` is valid.
    let data = unsafe { bindings::ksf_shim_user_data(sk) };
    let (Some(data), Some(skb)) = (NonNull::new(data), NonNull::new(skb)) else {
        return QUEUE;
    };
    // SAFETY: It is an `Arc`'s pointer, and the `Attached` that holds the `Arc` waits for a grace period before it lets go.
    let events = unsafe { ArcBorrow::from_raw(data.as_ptr().cast::<T>()) };
    // INVARIANT: By the requirement of this function.
    match T::datagram_arrived(events, Arrived { skb }) {
        Some(arrived) => {
            arrived.into_raw();
            QUEUE
        }
        None => DONE,
    }
}

/// `sk_data_ready`.
///
/// # Safety
///
/// As that of [`on_datagram()`].
unsafe extern "C" fn on_queued<T: Events>(sk: *mut bindings::sock) {
    // SAFETY: `sk` is valid.
    let data = unsafe { bindings::ksf_shim_user_data(sk) };
    if !data.is_null() {
        // SAFETY: As in `on_datagram()`.
        T::datagrams_queued(unsafe { ArcBorrow::from_raw(data.cast::<T>()) });
    }
}
