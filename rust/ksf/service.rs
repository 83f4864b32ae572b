// SPDX-License-Identifier: GPL-2.0

//! What the author of a service writes.

use crate::{
    datagram::Datagram,
    stream::Stream, //
};
use core::net::SocketAddr;
use kernel::prelude::*;

/// A service: what is done with what peers send.
///
/// # Context
///
/// [`stream()`](Self::stream()) and [`datagram()`](Self::datagram()) run where ksf finds it best: in the softirq that
/// received the packet, with the socket's spinlock held, or in the worker thread of that CPU, in process context with the
/// socket locked. So unless [`MAY_SLEEP`](Self::MAY_SLEEP) says otherwise, they must not sleep: no mutex, no allocation
/// but with `GFP_ATOMIC`, no waiting of any kind; and they should be short. What must sleep returns
/// [`Progress::Defer`] or [`Verdict::Defer`] and is called again in a worker, where it may sleep for memory or a disk, but
/// never for a peer, for all connections of that CPU would wait with it.
///
/// # Locking
///
/// The methods of one connection, and those with the same `Core`, never run at the same time; those of different ones do,
/// on all CPUs, and in softirq one may interrupt another in a worker. The service itself is shared by all of them: what it
/// changes is atomic, or in a [`SoftirqLock`](crate::SoftirqLock).
///
/// # Examples
///
/// ```ignore
/// struct Echo;
///
/// impl Service for Echo {
///     type Conn = ();
///     type Core = ();
///
///     fn open(&self, _peer: SocketAddr) -> Result {
///         Ok(())
///     }
///
///     fn stream(&self, _conn: &mut (), stream: &mut Stream<'_>) -> Result<Progress> {
///         stream.send_back(stream.available());
///         stream.count_request();
///         Ok(Progress::Need(1))
///     }
/// }
/// ```
pub trait Service: Send + Sync + 'static {
    /// Whether [`stream()`](Self::stream()) and [`datagram()`](Self::datagram()) may sleep. Then they are only called by
    /// workers.
    const MAY_SLEEP: bool = false;

    /// What the service keeps for each TCP connection.
    type Conn: Send + 'static;

    /// What the service keeps for each core, to serve datagrams with: UDP has no connections.
    type Core: Default + Send + 'static;

    /// A client connected from `peer`. An error refuses it: the connection is reset, and counted as `refused_service`.
    ///
    /// Worker; may sleep for memory.
    fn open(&self, peer: SocketAddr) -> Result<Self::Conn>;

    /// Bytes were received. Consumes complete requests and appends their replies, as far as
    /// [`Stream::may_go_on()`], and says what it needs next.
    ///
    /// It is called again when there is at least what it needed, or the rest of what it did not consume before the budget
    /// or the room was spent. Replies are sent when it returns. When the peer ends its stream, whatever forms complete
    /// requests has been served before, and the connection is closed when all replies are acknowledged.
    ///
    /// # Errors
    ///
    /// An error closes the connection with a reset, and the replies of this call are not sent; it is counted as
    /// `closed_service`.
    fn stream(&self, conn: &mut Self::Conn, stream: &mut Stream<'_>) -> Result<Progress>;

    /// A connection is closed. What it kept is dropped afterwards.
    ///
    /// Worker; may sleep for memory.
    fn close(&self, _conn: &mut Self::Conn, _reason: CloseReason) {}

    /// A datagram was received. To answer it, writes a reply.
    ///
    /// # Errors
    ///
    /// An error drops the datagram, counted as `dropped_service`.
    fn datagram(&self, _core: &mut Self::Core, _datagram: &mut Datagram<'_>) -> Result<Verdict> {
        Err(ENOTSUPP)
    }
}

/// How far [`Service::stream()`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many bytes are needed, counted from what is not consumed, until something can be done; at least 1. If there are as
    /// many already, the call is repeated when others had their turn, or when there is room for replies; if nothing was
    /// consumed and nothing replied, when there is more. They may be more than the socket's receive buffer holds; more than
    /// `conn_bytes` closes the connection (`closed_memory`).
    Need(usize),
    /// What is not consumed has to be served where one may sleep. Where that is so already
    /// ([`Stream::may_sleep()`]), and nothing was consumed, it closes the connection as an error does.
    Defer,
    /// The connection is to be closed when all replies are sent.
    Close,
}

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was served; if something was written to the reply, that is sent.
    Done,
    /// It comes from a port that the service does not answer: counted as `dropped_source`.
    RefuseSource,
    /// It has to be served where one may sleep. What was written to the reply is dropped. Up to 64 datagrams wait for that
    /// on each core; more are dropped, as is this one if one may sleep already ([`Datagram::may_sleep()`]).
    Defer,
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer ended its stream, and all of it was served.
    Peer,
    /// The peer reset the connection, or it failed otherwise.
    Error,
    /// The service wanted it.
    Service,
    /// Nothing happened for `idle_timeout_ms`.
    Idle,
    /// Nothing was received for `first_byte_timeout_ms`.
    FirstByte,
    /// A request was not complete `request_timeout_ms` after it was begun.
    Request,
    /// The peer took nothing of its replies for `send_timeout_ms`.
    Send,
    /// Memory was short, and the connection got nowhere.
    Memory,
    /// The service is stopped.
    Stop,
}

impl CloseReason {
    /// All reasons, in the order of their numbers.
    pub(crate) const ALL: [Self; 9] = [
        Self::Peer,
        Self::Error,
        Self::Service,
        Self::Idle,
        Self::FirstByte,
        Self::Request,
        Self::Send,
        Self::Memory,
        Self::Stop,
    ];
}
