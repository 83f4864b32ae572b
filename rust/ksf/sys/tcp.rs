// SPDX-License-Identifier: GPL-2.0

//! TCP sockets: their events, and reading and sending under their lock.
//!
//! C headers: [`include/net/tcp.h`](srctree/include/net/tcp.h), [`include/net/sock.h`](srctree/include/net/sock.h)

use super::{
    bindings,
    cursor::Cursor,
    held::Held,
    netns::Net,
    page::{
        PageFrag,
        PageRun, //
    },
    socket::{
        Sharing,
        Socket,
        Transport, //
    }, //
};
use core::{
    mem::ManuallyDrop,
    net::SocketAddr,
    ops::{
        Deref,
        DerefMut, //
    },
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

/// What is known of a socket at one moment: see [`shim.h`](srctree/rust/ksf/sys/shim.h).
pub(crate) type Status = bindings::ksf_shim_tcp_status;

/// How many seconds without a segment until a peer is asked whether it is still there, how often it is asked, and how many
/// answers it may owe.
const KEEPALIVE_IDLE: c_int = 120;
const KEEPALIVE_INTERVAL: c_int = 15;
const KEEPALIVE_PROBES: c_int = 4;

/// A TCP socket: a listener or one end of a connection. Dropping it closes it.
///
/// # Invariants
///
/// `callbacks` are those that TCP gave to the `sock`, and the `sock` has these callbacks unless it is a part of an
/// [`Attached`].
pub(crate) struct TcpSocket {
    socket: Socket,
    callbacks: bindings::ksf_shim_callbacks,
}

impl TcpSocket {
    /// Creates a socket in `net` that listens on `address`, of which there may be several. What it accepts sends segments as soon as they are written, and
    /// asks a silent peer whether it is there.
    ///
    /// Process context; `net` exists.
    ///
    /// # Errors
    ///
    /// As [`Socket::bind()`].
    pub(crate) fn listen(
        net: Net,
        address: SocketAddr,
        dual_stack: bool,
        backlog: u16,
        receive_bytes: u32,
    ) -> Result<Self> {
        let socket = Socket::bind(net, Transport::Tcp, address, Sharing::Group, dual_stack)?;
        let sk = socket.sk();
        let mut callbacks = bindings::ksf_shim_callbacks::default();
        // SAFETY: The `sock` is valid, and nobody else knows it yet.
        unsafe {
            bindings::ksf_shim_get_callbacks(sk, &mut callbacks);
            bindings::ksf_shim_tcp_prepare_listener(sk, receive_bytes);
        }
        // SAFETY: The `sock` is valid. These fail only when a value is out of range, which the constants are not.
        let _ = unsafe { bindings::tcp_sock_set_keepidle(sk, KEEPALIVE_IDLE) };
        // SAFETY: As above.
        let _ = unsafe { bindings::tcp_sock_set_keepintvl(sk, KEEPALIVE_INTERVAL) };
        // SAFETY: As above.
        let _ = unsafe { bindings::tcp_sock_set_keepcnt(sk, KEEPALIVE_PROBES) };
        // SAFETY: The socket is valid.
        to_result(unsafe { bindings::kernel_listen(socket.as_ptr(), c_int::from(backlog)) })?;
        // INVARIANT: Nobody has replaced the callbacks that were read above.
        Ok(Self { socket, callbacks })
    }

    /// Accepts a connection.
    ///
    /// Process context. Does not wait.
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
        // SAFETY: It was accepted just now.
        let socket = unsafe { Socket::from_raw(socket) }?;
        let this = Self {
            socket,
            callbacks: self.callbacks,
        };
        // INVARIANT: A new connection inherits the callbacks of its listener, which may be those of an `Attached`; from
        // now on it has those that TCP gave to the listener.
        this.set_callbacks(&self.callbacks, ptr::null_mut());
        Ok(this)
    }

    /// Has the connection end with a reset when it is closed, so that nothing of it stays.
    ///
    /// Process context.
    pub(crate) fn reset_on_close(&self) {
        // SAFETY: The `sock` is valid.
        unsafe { bindings::sock_no_linger(self.sk()) };
    }

    /// Sends what is queued and then the end of the stream. The result shows later: [`Status::finished`].
    ///
    /// Process context. Does not wait.
    pub(crate) fn shutdown_send(&self) {
        // SAFETY: The socket is valid. It fails only when there is no connection any more.
        let _ = unsafe {
            bindings::kernel_sock_shutdown(
                self.socket.as_ptr(),
                bindings::sock_shutdown_cmd_SHUT_WR,
            )
        };
    }

    /// Locks the socket, until the result is dropped.
    ///
    /// Process context. May wait for who holds the lock: another CPU in softirq, or a process that inspects sockets.
    pub(crate) fn lock(&self) -> LockGuard<'_> {
        // SAFETY: The `sock` is valid, and this is process context.
        unsafe { bindings::ksf_shim_lock_sock(self.sk()) };
        LockGuard {
            // SAFETY: It was locked just now, until the guard is dropped.
            locked: unsafe { Locked::new(self.sk()) },
            _socket: self,
        }
    }

    /// Replaces the callbacks and the data that they find.
    ///
    /// Process context. When it returns, no callback uses the old data, though an old callback may still be about to
    /// ask for it.
    fn set_callbacks(&self, callbacks: &bindings::ksf_shim_callbacks, data: *mut c_void) {
        // SAFETY: The `sock` is valid and this is process context.
        unsafe { bindings::ksf_shim_set_callbacks(self.sk(), callbacks, data) };
    }

    /// Lets `events` know of what happens to the socket, from now on until the result is dropped. Of a listener, or without
    /// `may_serve_inline`, nothing is received inline.
    ///
    /// What happened before is not told: look once after this. Process context.
    pub(crate) fn attach<T: Events>(self, events: Arc<T>, may_serve_inline: bool) -> Attached<T> {
        let attached = Attached {
            socket: ManuallyDrop::new(self),
            events,
        };
        let callbacks = bindings::ksf_shim_callbacks {
            data_ready: Some(if may_serve_inline {
                on_data_ready::<T>
            } else {
                on_event::<T>
            }),
            write_space: Some(on_write_space::<T>),
            state_change: Some(on_event::<T>),
        };
        let data = Arc::as_ptr(&attached.events).cast_mut().cast();
        attached.socket.set_callbacks(&callbacks, data);
        attached
    }
}

impl Deref for TcpSocket {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.socket
    }
}

/// Who is told of what happens to a socket.
pub(crate) trait Events: Send + Sync + 'static {
    /// There is something to receive or to accept, room to send, or the connection's state has changed.
    ///
    /// Softirq or process context, possibly with the socket's lock held: to be noted, not to be dealt with here.
    fn wake(this: ArcBorrow<'_, Self>);

    /// There is something to receive, and it may be dealt with here and now.
    ///
    /// Softirq, with the socket's spinlock held.
    fn receive_inline(this: ArcBorrow<'_, Self>, socket: &mut Locked);
}

/// A socket whose events somebody is told of. Dropping it closes the socket.
///
/// # Invariants
///
/// The callbacks of the socket's `sock` are those below, and its user data is `events`.
pub(crate) struct Attached<T: Events> {
    socket: ManuallyDrop<TcpSocket>,
    events: Arc<T>,
}

impl<T: Events> Deref for Attached<T> {
    type Target = TcpSocket;

    fn deref(&self) -> &TcpSocket {
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

/// A connection whose lock is held, by a process that owns it or by a softirq.
///
/// # Invariants
///
/// `sk` is a valid TCP `sock` of a connection, and its lock is held for as long as this value exists. `first` is where its
/// unread bytes start, if it is there.
pub(crate) struct Locked {
    sk: *mut bindings::sock,
    first: Option<Position>,
}

/// A position in the receive queue.
pub(super) type Position = bindings::ksf_shim_position;

impl Locked {
    /// Returns the `sock` for C.
    pub(super) fn as_ptr(&self) -> *mut bindings::sock {
        self.sk
    }

    /// The lock of `sk` was taken.
    ///
    /// # Safety
    ///
    /// It is held for as long as the result exists.
    unsafe fn new(sk: *mut bindings::sock) -> Self {
        // INVARIANT: By the requirement of this function.
        Self { sk, first: None }
    }

    /// Returns what can be done now. Keeps the kernel from growing the receive or the send buffer beyond `buffer_bytes`.
    pub(crate) fn status(&mut self, buffer_bytes: u32) -> Status {
        let mut status = Status::default();
        let mut first = Position::default();
        // SAFETY: The lock is held, and `&mut self` says that no cursor is in what this frees.
        unsafe {
            bindings::ksf_shim_tcp_status(self.sk, buffer_bytes, &mut status, &mut first);
        }
        // INVARIANT: C has said so. Whatever changes the queue takes it away.
        self.first = Some(first);
        status
    }

    /// Returns the sequence number up to which the peer has acknowledged what was sent.
    pub(crate) fn acknowledged(&self) -> u32 {
        // SAFETY: The lock is held.
        unsafe { bindings::ksf_shim_tcp_acknowledged(self.sk) }
    }

    /// Returns the sequence number behind all that was given to TCP to send.
    pub(crate) fn written(&self) -> u32 {
        // SAFETY: The lock is held.
        unsafe { bindings::ksf_shim_tcp_written(self.sk) }
    }

    /// Returns where the unread bytes start, if that is known.
    pub(super) fn first(&self) -> Option<&Position> {
        self.first.as_ref()
    }

    /// Returns the start of what was received: `held`, then `unread` bytes of the queue, as [`Status`] says.
    #[inline(always)]
    pub(crate) fn received<'a>(&'a self, held: &'a [Held], unread: u32) -> Cursor<'a> {
        Cursor::of_queue(held, self, unread as usize)
    }

    /// Gives up the first `count` bytes of the queue.
    pub(crate) fn read_done(&mut self, count: usize) {
        self.first = None;
        // SAFETY: The lock is held, and `&mut self` says that no cursor is in the queue.
        unsafe { bindings::tcp_read_done(self.sk, count) };
    }

    /// Takes all bytes out of the queue, so that the peer may send more, and puts them behind `held`.
    ///
    /// Process context.
    ///
    /// # Errors
    ///
    /// As [`Held::take()`]. What was taken out before is in `held`.
    pub(crate) fn hold(&mut self, held: &mut KVVec<Held>) -> Result {
        self.first = None;
        loop {
            let mut offset = 0;
            // SAFETY: The lock is held, and `&mut self` says that no cursor is in the queue.
            let skb = unsafe { bindings::ksf_shim_tcp_first(self.sk, &mut offset) };
            let Some(skb) = NonNull::new(skb) else {
                return Ok(());
            };
            // SAFETY: The skb is valid while it is in the queue, whose lock a process holds.
            let taken = unsafe { Held::take(held, skb, offset) }?;
            if taken == 0 {
                // The end of the stream.
                return Ok(());
            }
            self.read_done(taken);
        }
    }

    /// Sends as much of `bytes` as there is room for, at least one byte, and returns how much. With `more`, what does not
    /// fill a segment waits for what follows.
    ///
    /// # Errors
    ///
    /// `EAGAIN` when there is no room: [`Events::wake()`] will be called when there is, unless nothing is on its way
    /// ([`Status::sent_all`]), for then it is memory that is short. `EPIPE`, `ECONNRESET` and other errors of the connection.
    pub(crate) fn send_bytes(
        &mut self,
        bytes: &[u8],
        more: bool,
        frag: &mut PageFrag,
    ) -> Result<usize> {
        // To make room, TCP may deal with packets that wait for the lock, and rearrange the queue.
        self.first = None;
        // SAFETY: The lock is held, and the bytes may be read.
        transferred(unsafe {
            bindings::ksf_shim_tcp_send_bytes(
                self.sk,
                bytes.as_ptr().cast(),
                bytes.len(),
                flags(more),
                frag.as_mut_ptr(),
            )
        })
    }

    /// As [`send_bytes()`](Self::send_bytes()), but refers to the pages instead of copying them. At most 16 runs are sent.
    pub(crate) fn send_pages<'a>(
        &mut self,
        runs: impl Iterator<Item = &'a PageRun>,
        more: bool,
        frag: &mut PageFrag,
    ) -> Result<usize> {
        let mut vectors = [bindings::bio_vec::default(); 16];
        let mut count = 0;
        let mut bytes = 0;
        for (vector, run) in vectors.iter_mut().zip(runs) {
            *vector = run.as_bio_vec();
            count += 1;
            bytes += run.len();
        }
        self.first = None;
        // SAFETY: The lock is held, and the first `count` vectors describe pages that exist; TCP takes references of its own
        // to them.
        transferred(unsafe {
            bindings::ksf_shim_tcp_send_pages(
                self.sk,
                vectors.as_ptr(),
                count,
                bytes,
                flags(more),
                frag.as_mut_ptr(),
            )
        })
    }

    /// Prepares a connection whose end was acknowledged for being closed, so that nothing of it stays but its port for a while.
    pub(crate) fn prepare_release(&mut self) {
        // SAFETY: The lock is held.
        unsafe { bindings::ksf_shim_tcp_prepare_release(self.sk) };
    }

    /// Asks for [`Events::wake()`] when there is room to send. Returns whether there is already.
    pub(crate) fn want_room(&mut self) -> bool {
        // SAFETY: The lock is held, and a connection that was accepted and not released has a `struct socket`.
        unsafe { bindings::ksf_shim_tcp_want_room(self.sk) }
    }
}

/// The flags of a send that `more` follows, or not.
fn flags(more: bool) -> c_int {
    if more {
        bindings::MSG_MORE as c_int
    } else {
        0
    }
}

/// A connection that a process owns. Dropping it unlocks, which may deal with packets that came meanwhile.
pub(crate) struct LockGuard<'a> {
    locked: Locked,
    _socket: &'a TcpSocket,
}

impl Deref for LockGuard<'_> {
    type Target = Locked;

    fn deref(&self) -> &Locked {
        &self.locked
    }
}

impl DerefMut for LockGuard<'_> {
    fn deref_mut(&mut self) -> &mut Locked {
        &mut self.locked
    }
}

impl Drop for LockGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: It was locked by `lock()`.
        unsafe { bindings::ksf_shim_release_sock(self.locked.sk) };
    }
}

/// Calls `with` with what is told of the events of `sk`, if anything is.
///
/// # Safety
///
/// `sk` is valid, and its user data was set by [`TcpSocket::attach()`] with the same `T`.
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

/// `sk_data_ready` of a connection. TCP calls it with the connection's lock held.
///
/// # Safety
///
/// As that of [`with_events()`].
unsafe extern "C" fn on_data_ready<T: Events>(sk: *mut bindings::sock) {
    // SAFETY: `sk` is valid.
    let inline = unsafe { bindings::ksf_shim_may_serve_inline(sk) };
    let with = |events: ArcBorrow<'_, T>| {
        if inline {
            // SAFETY: TCP holds the spinlock of a connection when it announces data, and in softirq, when no process owns
            // the socket, that is the whole lock. This value ends before the callback does.
            let mut locked = unsafe { Locked::new(sk) };
            T::receive_inline(events, &mut locked);
        } else {
            T::wake(events);
        }
    };
    // SAFETY: By the requirement of this function.
    unsafe { with_events(sk, with) };
}

/// `sk_data_ready` of a listener, and `sk_state_change`. Connections that are not accepted yet inherit it without the
/// user data.
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

/// Turns what a function of sockets returns into a result.
fn transferred(count: c_int) -> Result<usize> {
    usize::try_from(count).map_err(|_| Error::from_errno(count))
}
