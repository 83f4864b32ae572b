// SPDX-License-Identifier: GPL-2.0

//! What stands between a worker and the system: sends, receives and waits, on all connections of one thread.
//!
//! The trait suits engines that are told when a socket is ready and those that are told when a call is complete: sending
//! hands requests over, and [`Engine::poll`] delivers what has come, one event at a time.
//!
//! Connections are known by their places, from 0, among those that the engine was made with.

mod mmsg;
pub(crate) mod plain;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
pub(crate) mod simulated;
pub(crate) mod uring;

use std::io;

use crate::result::{FailureKind, PathResult};

/// How many datagrams one call sends or receives at most.
pub(crate) const MAX_DATAGRAMS: usize = mmsg::MOST;

/// Nanoseconds, as a length of time or, since some moment of the engine's choice that all engines of one process share,
/// as a point in time.
pub type Nanos = u64;

/// Requests on their way to an engine, one after the other.
///
/// The buffer is the worker's, and is used again for the next ones. An engine may swap it for one of its own.
#[derive(Debug, Default)]
pub struct Requests {
    /// The bytes of all requests.
    pub bytes: Vec<u8>,
    /// Where each of them ends in `bytes`.
    pub ends: Vec<usize>,
}

impl Requests {
    /// No requests, with room for so many that nothing is allocated for them later.
    pub fn with_capacity(bytes: usize, requests: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            ends: Vec::with_capacity(requests),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Adds one after the last.
    #[inline]
    pub fn push(&mut self, request: &[u8]) {
        self.bytes.extend_from_slice(request);
        self.ends.push(self.bytes.len());
    }

    /// Removes all, and keeps the room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// How many of the requests that end at `ends`, of which `sent` bytes are gone, were not begun.
fn not_begun(ends: &[usize], sent: usize) -> usize {
    // A request begins where the one before it ends.
    let starts = [0].iter().chain(ends).take(ends.len());
    starts.filter(|&&start| start >= sent).count()
}

/// How many of them are not gone whole.
fn not_finished(ends: &[usize], sent: usize) -> usize {
    ends.iter().filter(|&&end| end > sent).count()
}

/// That a stream cannot be ended, because some of what was to be sent on it is still here.
#[cold]
fn not_sent(unfinished: usize) -> io::Error {
    io::Error::other(format!(
        "{unfinished} requests were not sent whole when the run was over"
    ))
}

/// What became of the requests that an engine was handed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// They were sent, or will be without further ado: the next may follow at once.
    All,
    /// The socket is full. The engine keeps what is left and sends it when it can; the next requests may follow after
    /// an [`Event::Sent`] that says that nothing is left. Replies are delivered meanwhile.
    Partly,
    /// The connection takes no more requests, ever. What has come from it is still delivered, and at last why it failed.
    Failed,
}

/// How long [`Engine::poll`] may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all: only what is there already is delivered.
    No,
    /// Until this point in time, as precisely as the system can.
    Until(Nanos),
    /// Roughly for as long as the tick that the engine was made with: long enough to be cheap, and short enough that
    /// timeouts are noticed in time.
    Tick,
}

/// What an engine delivers.
#[derive(Debug)]
pub enum Event<'a> {
    /// Bytes of a stream, or one datagram, which may be empty.
    Received {
        /// The place of the connection.
        connection: usize,
        /// What came.
        bytes: &'a [u8],
        /// When it was received.
        at: Nanos,
        /// Whether the next event is of the same connection and from the same call, so that the answer to both may be
        /// sent together.
        more: bool,
    },
    /// A part of the reply to one request, from an engine that knows which it answers. The parts of a reply come in order,
    /// those of different ones as they come.
    Part {
        /// The place of the connection.
        connection: usize,
        /// The number of the request.
        number: u64,
        /// Where the part begins in the reply, in bytes.
        offset: u64,
        /// What came.
        bytes: &'a [u8],
        /// Whether nothing follows: the request is answered.
        is_last: bool,
        /// When it was received.
        at: Nanos,
    },
    /// Of what was left after [`Sent::Partly`] some has been sent; or something turned out later not to fit.
    Sent {
        /// The place of the connection.
        connection: usize,
        /// When that was noticed.
        at: Nanos,
        /// Whether something is still left: then the socket is full, as after [`Sent::Partly`].
        left: bool,
    },
    /// The server ended its side of the stream, and everything before that was delivered. The connection's last event.
    Closed {
        /// The place of the connection.
        connection: usize,
        /// When that was noticed.
        at: Nanos,
    },
    /// The system reported an error, such as a reset. The connection's last event.
    Failed {
        /// The place of the connection.
        connection: usize,
        /// When that was noticed.
        at: Nanos,
        /// What the system said.
        error: io::Error,
    },
    /// A request has failed, and with it the connection. The connection's last event.
    GaveUp {
        /// The place of the connection.
        connection: usize,
        /// When that was noticed.
        at: Nanos,
        /// What kind of failure it is.
        kind: FailureKind,
        /// What is to be told of it, in one line.
        message: String,
    },
    /// Nothing came while it was waited for.
    Idle {
        /// When the wait ended.
        at: Nanos,
    },
}

/// What [`Engine::receive`] delivers: an [`Event::Received`] with nothing after it.
#[derive(Debug)]
pub struct Received<'a> {
    /// The place of the connection.
    pub connection: usize,
    /// What came.
    pub bytes: &'a [u8],
    /// When it was received.
    pub at: Nanos,
}

impl<'a> From<Received<'a>> for Event<'a> {
    fn from(received: Received<'a>) -> Self {
        let Received {
            connection,
            bytes,
            at,
        } = received;
        Self::Received {
            connection,
            bytes,
            at,
            more: false,
        }
    }
}

/// Sends and receives for one thread.
pub trait Engine {
    /// The time.
    fn now(&mut self) -> Nanos;

    /// Sends requests on a connection, with one call to the system if it takes them all; never waits.
    ///
    /// An engine may make that call later, for several connections at once, and may learn only then that the socket is full
    /// or broken. It says so to the next one who wants to send. It makes the call before [`Engine::poll`] waits, or asks
    /// the system what has come, and after some tens of requests or events at the latest.
    ///
    /// Whatever becomes of them, they are the engine's afterwards: the caller clears `requests`. It must not be called
    /// between [`Sent::Partly`] and the [`Event::Sent`] that leaves nothing, nor after [`Sent::Failed`] or the connection's last event.
    fn send(&mut self, connection: usize, requests: &mut Requests) -> Sent;

    /// Sends one request, as [`Engine::send`] does. An engine that sends it from where it is need not copy it to `spare`.
    #[inline]
    fn send_one(&mut self, connection: usize, request: &[u8], spare: &mut Requests) -> Sent {
        spare.clear();
        spare.push(request);
        self.send(connection, spare)
    }

    /// How many of the requests that were handed over on a connection the system has not begun to take; they are the
    /// last ones. It stays so after the connection's last event.
    fn unsent(&self, connection: usize) -> usize;

    /// How many of the requests that were handed over on a connection the system has not taken whole: those that are
    /// unsent, and possibly one that was begun.
    fn unfinished(&self, connection: usize) -> usize;

    /// Says that one call shall receive at most so many bytes of a connection's stream, until something else is said.
    ///
    /// An engine that cannot limit a call may deliver more.
    fn limit(&mut self, connection: usize, bytes: usize);

    /// Waits for a tick and delivers what came, if all that there is to do is to receive it; otherwise, [`Engine::poll`] is to
    /// be asked at once, which waits if this has not waited, and says what happened.
    ///
    /// It is the short way of an engine that has one, for what happens with every request.
    #[inline]
    fn receive(&mut self) -> Option<Received<'_>> {
        None
    }

    /// Delivers what came, waiting for it if there is nothing.
    ///
    /// With several connections, none is kept waiting while another is served twice, unless that one's came earlier.
    ///
    /// # Errors
    ///
    /// The system cannot wait or receive for any connection. What fails on one is an event.
    fn poll(&mut self, wait: Wait) -> io::Result<Event<'_>>;

    /// Says from when on it is counted what [`Engine::path`] tells. It is called once, before anything is sent.
    fn measure_from(&mut self, at: Nanos) {
        let _ = at;
    }

    /// What the engine saw of the path of a connection, if it has a look at that.
    fn path(&self, connection: usize) -> Option<PathResult> {
        let _ = connection;
        None
    }

    /// Ends the client's side of a stream after what was sent, and has calls acknowledged. It does nothing with datagrams.
    ///
    /// # Errors
    ///
    /// The connection is broken, or the system has not taken all that was sent.
    fn end(&mut self, connection: usize) -> io::Result<()>;

    /// Gives a connection up: it has no further events. Others go on.
    fn abandon(&mut self, connection: usize);
}

impl<E: Engine + ?Sized> Engine for Box<E> {
    fn now(&mut self) -> Nanos {
        (**self).now()
    }

    fn send(&mut self, connection: usize, requests: &mut Requests) -> Sent {
        (**self).send(connection, requests)
    }

    fn send_one(&mut self, connection: usize, request: &[u8], spare: &mut Requests) -> Sent {
        (**self).send_one(connection, request, spare)
    }

    fn unsent(&self, connection: usize) -> usize {
        (**self).unsent(connection)
    }

    fn unfinished(&self, connection: usize) -> usize {
        (**self).unfinished(connection)
    }

    fn limit(&mut self, connection: usize, bytes: usize) {
        (**self).limit(connection, bytes);
    }

    fn receive(&mut self) -> Option<Received<'_>> {
        (**self).receive()
    }

    fn poll(&mut self, wait: Wait) -> io::Result<Event<'_>> {
        (**self).poll(wait)
    }

    fn measure_from(&mut self, at: Nanos) {
        (**self).measure_from(at);
    }

    fn path(&self, connection: usize) -> Option<PathResult> {
        (**self).path(connection)
    }

    fn end(&mut self, connection: usize) -> io::Result<()> {
        (**self).end(connection)
    }

    fn abandon(&mut self, connection: usize) {
        (**self).abandon(connection);
    }
}
