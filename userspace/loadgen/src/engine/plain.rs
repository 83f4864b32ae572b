// SPDX-License-Identifier: GPL-2.0

//! The engine of ordinary calls: one to send and one to receive for each request, or for each batch.
//!
//! A thread with one connection waits in the call that receives. One with several asks epoll which have something, and
//! receives once from each of them before it asks again.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    buffer::spare_capacity,
    event::{epoll, poll, PollFd, PollFlags},
    io::Errno,
    net::{recv, send, shutdown, sockopt, RecvFlags, SendFlags, Shutdown},
};

use super::{mmsg::Batch, Engine, Event, Nanos, Received, Requests, Sent, Wait};
use crate::{
    clock,
    load::{Load, Transport},
};

/// What one call receives of a stream at most, and more than any datagram.
const RECEIVE_BYTES: usize = 256 << 10;

/// How many connections one call to epoll tells of.
const EVENTS: usize = 256;

const SEND: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

/// The engine of ordinary calls.
pub(crate) struct Plain {
    transport: Transport,
    connections: Vec<Connection>,
    /// Which of several connections have something; one alone is asked itself.
    ready: Option<Ready>,
    /// Datagrams that are sent or received together, if they are.
    batch: Option<Batch>,
    /// The connection that the batch was received on, and when.
    batch_of: (usize, Nanos),
    /// Connections that failed when something was sent on them, and may still have something to receive.
    failing: VecDeque<usize>,
    buffer: Box<[u8; RECEIVE_BYTES]>,
    tick: Nanos,
    busy_poll: bool,
    /// Whether there is one connection, and the call that receives one datagram or a part of the stream may wait.
    receiving_waits: bool,
    /// What that call said last, if that was not that it received bytes, and it is still to be told.
    received_nothing: Option<rustix::io::Result<usize>>,
}

#[derive(Debug)]
struct Connection {
    /// `None` after the last event.
    socket: Option<OwnedFd>,
    /// How much one call shall receive.
    limit: usize,
    /// What a full or failed socket did not take.
    kept: Requests,
    /// How much of that has been sent since: bytes of a stream, and datagrams otherwise.
    kept_sent: usize,
    /// Whether it waits for the socket to take what is kept.
    is_full: bool,
    /// Why something could not be sent.
    error: Option<io::Error>,
    /// Whether the last call received all that there was.
    is_dry: bool,
}

/// Which of several connections have something.
struct Ready {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    next: usize,
}

/// What is to be delivered. Bytes are in the buffer, and datagrams in the batch.
enum Found {
    Bytes {
        connection: usize,
        length: usize,
        at: Nanos,
    },
    Batched,
    Sent {
        connection: usize,
    },
    Ended {
        connection: usize,
        error: Option<io::Error>,
    },
    Nothing,
}

impl Plain {
    /// An engine of these connections.
    ///
    /// # Errors
    ///
    /// The system has no room for what waiting takes.
    pub(crate) fn new(sockets: Vec<OwnedFd>, load: &Load, busy_poll: bool) -> io::Result<Self> {
        let tick = load.tick();
        let ready = match sockets.as_slice() {
            [only] => {
                // Waiting in the call that receives ends when it is time to look for what is overdue.
                let limit = Duration::from_nanos(tick);
                sockopt::set_socket_timeout(only, sockopt::Timeout::Recv, Some(limit))?;
                None
            }
            several => Some(Ready::new(several)?),
        };
        let batched = load.transport == Transport::Datagrams && load.batch > 1;
        let receiving_waits = ready.is_none() && !busy_poll && !batched;
        Ok(Self {
            transport: load.transport,
            connections: sockets.into_iter().map(Connection::new).collect(),
            ready,
            batch: batched.then(|| Batch::new(load.batch)),
            batch_of: (0, 0),
            failing: VecDeque::new(),
            buffer: Box::new([0; RECEIVE_BYTES]),
            tick,
            busy_poll,
            receiving_waits,
            received_nothing: None,
        })
    }

    /// Receives once from a connection.
    fn receive_from(&mut self, place: usize, wait: bool) -> Option<Found> {
        let connection = &mut self.connections[place];
        let socket = connection.socket.as_ref()?;
        if let Some(batch) = &mut self.batch {
            return match batch.receive(socket.as_fd(), wait) {
                Ok(()) => {
                    self.batch_of = (place, clock::now());
                    Some(Found::Batched)
                }
                Err(error) => connection.nothing(place, error),
            };
        }
        let flags = if wait {
            RecvFlags::empty()
        } else {
            RecvFlags::DONTWAIT
        };
        let limit = connection.limit.min(RECEIVE_BYTES);
        let received = recv(socket, &mut self.buffer[..limit], flags);
        self.received(place, received.map(|(_, length)| length))
    }

    /// What it means that a call received so many bytes, or failed.
    fn received(&mut self, place: usize, received: rustix::io::Result<usize>) -> Option<Found> {
        let connection = &mut self.connections[place];
        let limit = connection.limit.min(RECEIVE_BYTES);
        let is_stream = self.transport == Transport::Stream;
        match received {
            Ok(0) if is_stream => Some(Found::Ended {
                connection: place,
                // The socket tells of a reset only once. A broken pipe is but the end of the stream seen from the other
                // side.
                error: connection
                    .close()
                    .filter(|error| error.kind() != io::ErrorKind::BrokenPipe),
            }),
            Ok(length) => {
                connection.is_dry = is_stream && length < limit;
                Some(Found::Bytes {
                    connection: place,
                    length,
                    at: clock::now(),
                })
            }
            Err(error) => connection.nothing(place, error.into()),
        }
    }

    /// Sends what a full socket did not take; returns whether it took some of it now.
    #[cold]
    fn flush(&mut self, place: usize) -> bool {
        let connection = &mut self.connections[place];
        let Some(socket) = &connection.socket else {
            return false;
        };
        let kept = &connection.kept;
        let from = connection.kept_sent;
        let (sent, all) = match self.transport {
            Transport::Stream => (
                send(socket, &kept.bytes[from..], SEND).map_err(io::Error::from),
                kept.bytes.len(),
            ),
            Transport::Datagrams => (
                send_datagrams(socket.as_fd(), self.batch.as_mut(), kept, from),
                kept.len(),
            ),
        };
        match sent {
            Ok(sent) => connection.kept_sent += sent,
            Err(error) if is_temporary(&error) => return false,
            Err(error) => {
                connection.error = Some(error);
                connection.is_full = false;
                self.failing.push_back(place);
                self.watch(place);
                return false;
            }
        }
        if connection.kept_sent == all {
            connection.kept.clear();
            connection.kept_sent = 0;
            connection.is_full = false;
            self.watch(place);
        }
        true
    }

    /// Has epoll tell of room in a socket while it is full, and only then.
    #[cold]
    fn watch(&self, place: usize) {
        let connection = &self.connections[place];
        if let (Some(ready), Some(socket)) = (&self.ready, &connection.socket) {
            let events = if connection.is_full {
                epoll::EventFlags::IN | epoll::EventFlags::OUT
            } else {
                epoll::EventFlags::IN
            };
            let data = epoll::EventData::new_u64(place as u64);
            // Fails only for what is not watched, and all sockets are.
            let _ = epoll::modify(&ready.epoll, socket, data, events);
        }
    }

    /// What has come from connections that failed, and at last that they did.
    #[cold]
    fn find_failed(&mut self) -> Option<Found> {
        while let Some(&place) = self.failing.front() {
            let found = self.receive_from(place, false);
            if !matches!(found, Some(Found::Bytes { .. } | Found::Batched)) {
                self.failing.pop_front();
            }
            if let Some(found) = found {
                return Some(found);
            }
            // All that had come was received; now the failure is told. That of an abandoned connection is not.
            if let Some(error) = self.connections[place].close() {
                return Some(Found::Ended {
                    connection: place,
                    error: Some(error),
                });
            }
        }
        None
    }

    fn find(&mut self, wait: Wait) -> io::Result<Found> {
        if self.batch.as_ref().is_some_and(Batch::has_next) {
            return Ok(Found::Batched);
        }
        if !self.failing.is_empty() {
            if let Some(found) = self.find_failed() {
                return Ok(found);
            }
        }
        if self.ready.is_some() {
            self.find_ready(wait)
        } else {
            self.find_alone(wait)
        }
    }

    /// Waits for the only connection.
    fn find_alone(&mut self, wait: Wait) -> io::Result<Found> {
        let is_full = self.connections[0].is_full;
        if wait == Wait::Tick && !self.busy_poll && !is_full && self.connections[0].socket.is_some()
        {
            return Ok(self.receive_from(0, true).unwrap_or(Found::Nothing));
        }
        let deadline = match wait {
            Wait::No => 0,
            Wait::Until(until) => until,
            Wait::Tick => clock::now().saturating_add(self.tick),
        };
        if wait == Wait::No {
            self.connections[0].is_dry = false;
        }
        loop {
            if self.connections[0].is_full && self.flush(0) {
                return Ok(Found::Sent { connection: 0 });
            }
            if self.busy_poll || !self.connections[0].is_dry {
                if let Some(found) = self.receive_from(0, false) {
                    return Ok(found);
                }
            }
            let now = if wait == Wait::No { 0 } else { clock::now() };
            if now >= deadline || !self.failing.is_empty() {
                return Ok(Found::Nothing);
            }
            if !self.busy_poll {
                self.connections[0].sleep(deadline - now)?;
            }
        }
    }

    /// Waits for several connections, and serves those that have something in turn.
    fn find_ready(&mut self, wait: Wait) -> io::Result<Found> {
        let mut deadline = match wait {
            Wait::No => 0,
            Wait::Until(until) => until,
            Wait::Tick => Nanos::MAX,
        };
        loop {
            while let Some((place, flags)) = self.ready.as_mut().and_then(Ready::next) {
                if flags.contains(epoll::EventFlags::OUT) && self.flush(place) {
                    return Ok(Found::Sent { connection: place });
                }
                if flags != epoll::EventFlags::OUT {
                    if let Some(found) = self.receive_from(place, false) {
                        return Ok(found);
                    }
                }
            }
            let now = if wait == Wait::No { 0 } else { clock::now() };
            if wait == Wait::Tick && deadline == Nanos::MAX {
                deadline = now.saturating_add(self.tick);
            }
            let sleep = if self.busy_poll {
                0
            } else {
                deadline.saturating_sub(now)
            };
            let Some(ready) = &mut self.ready else {
                return Ok(Found::Nothing);
            };
            if !self.failing.is_empty() || !ready.wait(sleep)? && now >= deadline {
                return Ok(Found::Nothing);
            }
        }
    }
}

impl Engine for Plain {
    #[inline(always)]
    fn now(&mut self) -> Nanos {
        clock::now()
    }

    #[inline(always)]
    fn send(&mut self, place: usize, requests: &mut Requests) -> Sent {
        let Some(socket) = &self.connections[place].socket else {
            return Sent::Failed;
        };
        let (sent, all) = match self.transport {
            Transport::Stream => (
                send(socket, &requests.bytes, SEND).map_err(io::Error::from),
                requests.bytes.len(),
            ),
            Transport::Datagrams => (
                send_datagrams(socket.as_fd(), self.batch.as_mut(), requests, 0),
                requests.len(),
            ),
        };
        match sent {
            Ok(sent) if sent == all => Sent::All,
            sent => self.keep(place, requests, sent),
        }
    }

    #[inline(always)]
    fn send_one(&mut self, place: usize, request: &[u8], spare: &mut Requests) -> Sent {
        let Some(socket) = &self.connections[place].socket else {
            return Sent::Failed;
        };
        let sent = send(socket, request, SEND);
        if sent == Ok(request.len()) {
            return Sent::All;
        }
        spare.clear();
        spare.push(request);
        self.keep(place, spare, sent.map_err(io::Error::from))
    }

    fn unsent(&self, place: usize) -> usize {
        let connection = &self.connections[place];
        let ends = &connection.kept.ends;
        match self.transport {
            // A request begins where the one before it ends.
            Transport::Stream => {
                let starts = [0].iter().chain(ends).take(ends.len());
                starts
                    .filter(|&&start| start >= connection.kept_sent)
                    .count()
            }
            Transport::Datagrams => ends.len() - connection.kept_sent,
        }
    }

    #[inline(always)]
    fn limit(&mut self, place: usize, bytes: usize) {
        self.connections[place].limit = bytes;
    }

    #[inline(always)]
    fn receive(&mut self) -> Option<Received<'_>> {
        if !self.receiving_waits || !self.failing.is_empty() {
            return None;
        }
        let connection = &mut self.connections[0];
        let socket = connection.socket.as_ref().filter(|_| !connection.is_full)?;
        connection.is_dry = false;
        let limit = connection.limit.min(RECEIVE_BYTES);
        let received = recv(socket, &mut self.buffer[..limit], RecvFlags::empty());
        if let Ok((_, length @ 1..)) = received {
            return Some(Received {
                connection: 0,
                bytes: &self.buffer[..length],
                at: clock::now(),
            });
        }
        self.received_nothing = Some(received.map(|(_, length)| length));
        None
    }

    #[inline(never)]
    fn poll(&mut self, wait: Wait) -> io::Result<Event<'_>> {
        let found = match self.received_nothing.take() {
            Some(received) => self.received(0, received).unwrap_or(Found::Nothing),
            None => self.find(wait)?,
        };
        Ok(self.event(found))
    }

    fn end(&mut self, place: usize) -> io::Result<()> {
        match &self.connections[place].socket {
            Some(socket) if self.transport == Transport::Stream => {
                Ok(shutdown(socket, Shutdown::Write)?)
            }
            _ => Ok(()),
        }
    }

    fn abandon(&mut self, place: usize) {
        self.connections[place].close();
        if let Some(batch) = self.batch.as_mut().filter(|_| self.batch_of.0 == place) {
            batch.clear();
        }
    }
}

impl Plain {
    /// What is found, as it is delivered.
    fn event(&mut self, found: Found) -> Event<'_> {
        match found {
            Found::Bytes {
                connection,
                length,
                at,
            } => Event::Received {
                connection,
                bytes: &self.buffer[..length],
                at,
                more: false,
            },
            Found::Batched => {
                let (connection, at) = self.batch_of;
                let (bytes, more) = self.batch.as_mut().map_or((&[][..], false), Batch::next);
                Event::Received {
                    connection,
                    bytes,
                    at,
                    more,
                }
            }
            Found::Sent { connection } => Event::Sent {
                connection,
                at: clock::now(),
                left: self.connections[connection].is_full,
            },
            Found::Ended { connection, error } => {
                let at = clock::now();
                match error {
                    Some(error) => Event::Failed {
                        connection,
                        at,
                        error,
                    },
                    None => Event::Closed { connection, at },
                }
            }
            Found::Nothing => Event::Idle { at: clock::now() },
        }
    }

    /// Keeps what a socket did not take: a full one, until it does, and a failed one for ever.
    #[cold]
    fn keep(&mut self, place: usize, requests: &mut Requests, sent: io::Result<usize>) -> Sent {
        let connection = &mut self.connections[place];
        // Nothing was kept before: the buffers change hands without a copy.
        std::mem::swap(&mut connection.kept, requests);
        connection.kept_sent = match sent {
            Ok(sent) => sent,
            Err(error) if is_temporary(&error) => 0,
            Err(error) => {
                connection.error = Some(error);
                self.failing.push_back(place);
                return Sent::Failed;
            }
        };
        connection.is_full = true;
        self.watch(place);
        Sent::Partly
    }
}

impl Connection {
    fn new(socket: OwnedFd) -> Self {
        Self {
            socket: Some(socket),
            limit: usize::MAX,
            kept: Requests::default(),
            kept_sent: 0,
            is_full: false,
            error: None,
            is_dry: false,
        }
    }

    /// Closes the socket; returns why something could not be sent on it, if that is so.
    fn close(&mut self) -> Option<io::Error> {
        self.socket = None;
        self.is_full = false;
        self.error.take()
    }

    /// What it means that a call received nothing.
    fn nothing(&mut self, place: usize, error: io::Error) -> Option<Found> {
        if is_temporary(&error) {
            self.is_dry = true;
            return None;
        }
        self.close();
        Some(Found::Ended {
            connection: place,
            error: Some(error),
        })
    }

    /// Sleeps until there is something to receive, or room to send if that is waited for, but no longer than this.
    fn sleep(&mut self, longest: Nanos) -> io::Result<()> {
        let events = match &self.socket {
            Some(socket) => {
                let room = if self.is_full {
                    PollFlags::OUT
                } else {
                    PollFlags::empty()
                };
                let mut fds = [PollFd::new(socket, PollFlags::IN | room)];
                interrupted(poll(&mut fds, Some(&clock::timespec(longest))))?;
                fds[0].revents()
            }
            // At its end: nothing but time passes.
            None => {
                interrupted(poll(&mut [], Some(&clock::timespec(longest))))?;
                PollFlags::empty()
            }
        };
        // An error or the end of the stream is what receiving returns.
        self.is_dry = !events.intersects(PollFlags::IN | PollFlags::ERR | PollFlags::HUP);
        Ok(())
    }
}

impl Ready {
    fn new(sockets: &[OwnedFd]) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (place, socket) in sockets.iter().enumerate() {
            let data = epoll::EventData::new_u64(place as u64);
            epoll::add(&epoll, socket, data, epoll::EventFlags::IN)?;
        }
        Ok(Self {
            epoll,
            events: Vec::with_capacity(EVENTS),
            next: 0,
        })
    }

    /// The next of the connections that the last call told of, and what it said.
    #[inline(always)]
    fn next(&mut self) -> Option<(usize, epoll::EventFlags)> {
        let event = self.events.get(self.next)?;
        self.next += 1;
        Some((event.data.u64() as usize, event.flags))
    }

    /// Asks which connections have something, waiting for so long at most; returns whether there are any.
    fn wait(&mut self, longest: Nanos) -> io::Result<bool> {
        self.events.clear();
        self.next = 0;
        let timeout = clock::timespec(longest);
        interrupted(epoll::wait(
            &self.epoll,
            spare_capacity(&mut self.events),
            Some(&timeout),
        ))?;
        Ok(!self.events.is_empty())
    }
}

/// A wait that a signal ended, such as to stop and continue, has brought nothing.
fn interrupted(result: rustix::io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(Errno::INTR) => Ok(0),
        result => Ok(result?),
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// Sends datagrams from the one with this place on; returns how many were taken.
#[inline]
fn send_datagrams(
    socket: BorrowedFd<'_>,
    batch: Option<&mut Batch>,
    requests: &Requests,
    from: usize,
) -> io::Result<usize> {
    let start = from.checked_sub(1).map_or(0, |last| requests.ends[last]);
    match batch {
        Some(batch) => batch.send(socket, &requests.bytes, start, &requests.ends[from..]),
        None => {
            send(socket, &requests.bytes[start..requests.ends[from]], SEND)?;
            Ok(1)
        }
    }
}

#[cfg(test)]
mod tests;
