// SPDX-License-Identifier: GPL-2.0

//! The engine of io_uring: what all connections send, and the wait for what comes, are one call to the system, and one
//! request receives for as long as a connection lives.
//!
//! A send is handed over with the next wait, or when there are enough of them, or when the next one is to follow on the
//! same connection: io_uring does not promise any order between requests that it has at the same time. So a request that
//! is the first of many counts from a moment at which the others were still to be written. One receive takes all that
//! has come, however many replies these are.
//!
//! Several datagrams are sent at once by the call that there is for that: requests of one socket that were not linked could
//! overtake each other, and linked ones are done one by one, some of them by the next call only.

use std::{collections::VecDeque, io, mem, os::fd::OwnedFd, time::Duration};

use rustix::{
    io::Errno,
    net::{recv, shutdown, RecvFlags, Shutdown},
};
use uring::{Arrival, Completion, Ring};

use super::{
    mmsg::Batch, not_begun, not_finished, not_sent, Engine, Event, Nanos, Requests, Sent, Wait,
};
use crate::{
    clock,
    load::{Load, Transport},
};

/// How many buffers there are at least.
const BUFFERS: usize = 64;

/// How many events are delivered at most before what is queued is handed over. It may be more that have come at once.
const EVENTS: usize = 32;

/// Room for what is left in the socket of a failing connection, at a time; and for any datagram.
const REST_BYTES: usize = 64 << 10;

/// The engine of io_uring.
pub(crate) struct Uring {
    ring: Ring,
    transport: Transport,
    batch: usize,
    /// What sends several datagrams, if that is to be.
    datagrams: Option<Batch>,
    connections: Vec<Connection>,
    /// What has come and is not delivered yet, before what the ring has.
    found: VecDeque<(Found, Nanos)>,
    /// When the ring got what it has.
    entered: Nanos,
    /// How many events were delivered since.
    delivered: usize,
    /// What the last event showed.
    shown: Option<Arrival>,
    /// How many datagrams were delivered that belong together with the next one.
    together: usize,
    /// Connections whose receives ended for want of buffers.
    starved: Vec<usize>,
    /// Connections on which sending failed, and that do not receive by the ring any more.
    failing: VecDeque<usize>,
    /// What came on one of them.
    rest: Vec<u8>,
    /// Whether an alarm is set.
    is_ticking: bool,
    tick: Nanos,
    busy_poll: bool,
    /// Why the ring takes no more.
    broken: Option<io::Error>,
}

#[derive(Debug)]
struct Connection {
    /// Whether its last event is still to be found.
    is_open: bool,
    sending: Sending,
    /// Where the requests that the ring has end.
    ends: Vec<usize>,
    /// How much of them has been sent: bytes of a stream, and datagrams otherwise.
    sent: usize,
    /// Requests that were handed over while the ring had others.
    next: Requests,
    /// Why something could not be sent.
    error: Option<io::Error>,
}

/// What becomes of the requests that the ring has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    /// There are none.
    Nothing,
    /// The kernel gets them with the next call, or got them with the last one. Then, they are sent unless a completion
    /// says something else.
    Queued,
    /// The socket is full, and takes the rest when it can.
    Full,
    /// The socket takes no more.
    Failed,
}

/// What is to be delivered.
#[derive(Debug)]
enum Found {
    /// `None` is an empty datagram.
    Arrived {
        connection: usize,
        arrival: Option<Arrival>,
    },
    /// It is in `rest`.
    Rest {
        connection: usize,
    },
    Sent {
        connection: usize,
    },
    Ended {
        connection: usize,
        error: Option<io::Error>,
    },
}

impl Uring {
    /// An engine of these connections, for this thread only.
    ///
    /// # Errors
    ///
    /// The system has no io_uring, or not what this takes of it, or does not allow it.
    pub(crate) fn new(sockets: Vec<OwnedFd>, load: &Load, busy_poll: bool) -> io::Result<Self> {
        let count = sockets.len();
        let mut ring = Ring::new(sockets, BUFFERS.max(2 * count))?;
        for place in 0..count {
            ring.receive(place)?;
        }
        let batched = load.transport == Transport::Datagrams && load.batch > 1;
        Ok(Self {
            ring,
            transport: load.transport,
            batch: load.batch,
            datagrams: batched.then(|| Batch::new(load.batch)),
            connections: (0..count).map(|_| Connection::new()).collect(),
            found: VecDeque::new(),
            entered: 0,
            delivered: 0,
            shown: None,
            together: 0,
            starved: Vec::new(),
            failing: VecDeque::new(),
            rest: Vec::new(),
            is_ticking: false,
            tick: load.tick(),
            busy_poll,
            broken: None,
        })
    }

    /// Has the ring send the next of the requests that it has on a connection.
    #[inline]
    fn push(&mut self, place: usize, sending: Sending) {
        let connection = &mut self.connections[place];
        let ends = &connection.ends;
        let sent = connection.sent;
        let range = match self.transport {
            Transport::Stream => sent..ends[ends.len() - 1],
            Transport::Datagrams => sent.checked_sub(1).map_or(0, |last| ends[last])..ends[sent],
        };
        connection.sending = sending;
        let pushed = match sending {
            Sending::Full => self.ring.send_waiting(place, range),
            _ => self.ring.send(place, range),
        };
        if let Err(error) = pushed {
            self.broken.get_or_insert(error);
        }
    }

    /// Has the ring send requests, of which there is at least one, when it has none.
    #[inline]
    fn start(&mut self, place: usize, requests: &mut Requests) {
        let Some(outgoing) = self.ring.outgoing(place) else {
            return;
        };
        mem::swap(outgoing, &mut requests.bytes);
        let connection = &mut self.connections[place];
        mem::swap(&mut connection.ends, &mut requests.ends);
        connection.sent = 0;
        if connection.ends.len() > 1 && self.transport == Transport::Datagrams {
            self.start_together(place);
        } else {
            self.push(place, Sending::Queued);
        }
    }

    /// Sends several datagrams; what the socket does not take is the ring's.
    fn start_together(&mut self, place: usize) {
        let connection = &mut self.connections[place];
        let bytes = self.ring.outgoing(place).map(mem::take).unwrap_or_default();
        let (Some(batch), Some(socket)) = (&mut self.datagrams, self.ring.socket(place)) else {
            return;
        };
        let sent = batch.send(socket, &bytes, 0, &connection.ends);
        if let Some(outgoing) = self.ring.outgoing(place) {
            *outgoing = bytes;
        }
        match sent {
            Ok(sent) if sent == connection.ends.len() => connection.sending = Sending::Nothing,
            Ok(sent) => {
                connection.sent = sent;
                self.push(place, Sending::Full);
            }
            Err(error) => {
                // Who sends is told by what it returns.
                self.not_sent(place, error);
            }
        }
    }

    /// Hands over what is queued, and learns what became of it.
    #[inline]
    fn flush(&mut self) {
        self.delivered = 0;
        if self.ring.has_completions() {
            self.collect(self.entered);
        }
        if self.ring.has_requests() {
            if let Err(error) = self.ring.submit() {
                self.broken.get_or_insert(error);
            }
            // Not even the time is asked for if there is nothing.
            if self.ring.has_completions() {
                self.collect(clock::now());
            }
        }
    }

    /// Does what all completions mean that are there.
    #[inline(never)]
    fn collect(&mut self, at: Nanos) {
        while let Some(completion) = self.ring.next_completion() {
            if let Some(found) = self.understand(completion) {
                self.found.push_back((found, at));
            }
        }
    }

    /// Does what a completion means; returns what is to be delivered.
    #[inline(always)]
    fn understand(&mut self, completion: Completion) -> Option<Found> {
        match completion {
            Completion::Sent { socket, result } => self.sent(socket, result),
            Completion::Received {
                socket,
                result: Ok(arrival),
                last: false,
            } => self.received(socket, arrival),
            Completion::Received { socket, result, .. } => self.received_last(socket, result),
            Completion::Alarm => {
                self.is_ticking = false;
                None
            }
        }
    }

    #[inline(always)]
    fn received(&mut self, place: usize, arrival: Option<Arrival>) -> Option<Found> {
        if !self.connections[place].is_open {
            if let Some(arrival) = arrival {
                self.ring.give_back(arrival);
            }
            return None;
        }
        Some(Found::Arrived {
            connection: place,
            arrival,
        })
    }

    /// A request to receive is at its end, and another one is needed, unless the connection is, too.
    #[cold]
    fn received_last(
        &mut self,
        place: usize,
        result: io::Result<Option<Arrival>>,
    ) -> Option<Found> {
        let connection = &self.connections[place];
        let is_failing = connection.sending == Sending::Failed;
        match result {
            Ok(arrival) if arrival.is_some() || self.transport == Transport::Datagrams => {
                if is_failing {
                    self.failing.push_back(place);
                } else {
                    self.receive(place);
                }
                self.received(place, arrival)
            }
            _ if !connection.is_open => None,
            Ok(_) => Some(self.closed(place)),
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::CANCELED) if is_failing => {
                    self.failing.push_back(place);
                    None
                }
                Some(Errno::NOBUFS | Errno::AGAIN | Errno::INTR) => {
                    if is_failing {
                        self.failing.push_back(place);
                    } else {
                        self.starved.push(place);
                    }
                    None
                }
                _ => Some(self.ended(place, Some(error))),
            },
        }
    }

    fn receive(&mut self, place: usize) {
        if self.connections[place].is_open {
            if let Err(error) = self.ring.receive(place) {
                self.broken.get_or_insert(error);
            }
        }
    }

    /// A full socket has taken something, or one did not take everything.
    #[cold]
    fn sent(&mut self, place: usize, result: io::Result<u32>) -> Option<Found> {
        let connection = &mut self.connections[place];
        if !connection.is_open {
            return None;
        }
        let all = match (self.transport, result) {
            (_, Err(error)) => return self.not_sent(place, error),
            (Transport::Stream, Ok(bytes)) => {
                connection.sent += bytes as usize;
                connection.ends.last().copied().unwrap_or(0)
            }
            (Transport::Datagrams, Ok(_)) => {
                connection.sent += 1;
                connection.ends.len()
            }
        };
        if connection.sent < all {
            self.push(place, Sending::Full);
            return Some(Found::Sent { connection: place });
        }
        let was_full = connection.sending == Sending::Full;
        connection.sending = Sending::Nothing;
        if !connection.next.is_empty() {
            let mut next = mem::take(&mut connection.next);
            self.start(place, &mut next);
        }
        was_full.then_some(Found::Sent { connection: place })
    }

    /// A send has sent nothing.
    #[cold]
    fn not_sent(&mut self, place: usize, error: io::Error) -> Option<Found> {
        if matches!(
            error.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
        ) {
            let was_full = self.connections[place].sending == Sending::Full;
            self.push(place, Sending::Full);
            return (!was_full).then_some(Found::Sent { connection: place });
        }
        let connection = &mut self.connections[place];
        connection.error = Some(error);
        connection.sending = Sending::Failed;
        if !self.ring.is_receiving(place) {
            self.failing.push_back(place);
        } else if let Err(error) = self.ring.stop_receiving(place) {
            self.broken.get_or_insert(error);
        }
        None
    }

    /// How many of the requests of a connection are not gone. Of those of a stream that the ring has, `of_stream` tells by
    /// where they end and by how many bytes are gone.
    fn count(&self, place: usize, of_stream: impl FnOnce(&[usize], usize) -> usize) -> usize {
        let connection = &self.connections[place];
        let ends = &connection.ends;
        let of_ring = match (connection.sending, self.transport) {
            (Sending::Nothing, _) => 0,
            (Sending::Queued, _) if !self.ring.is_sending(place) => 0,
            (_, Transport::Stream) => of_stream(ends, connection.sent),
            (_, Transport::Datagrams) => ends.len() - connection.sent,
        };
        of_ring + connection.next.len()
    }

    /// The next of what is left in the sockets of failing connections, or why they fail.
    #[cold]
    fn find_rest(&mut self) -> Option<Found> {
        while let Some(&place) = self.failing.front() {
            if let Some(socket) = self.ring.socket(place) {
                self.rest.resize(REST_BYTES, 0);
                match recv(socket, &mut self.rest[..], RecvFlags::DONTWAIT) {
                    Ok((_, length)) if length != 0 || self.transport == Transport::Datagrams => {
                        self.rest.truncate(length);
                        return Some(Found::Rest { connection: place });
                    }
                    Ok(_) => return Some(self.closed(place)),
                    Err(Errno::AGAIN | Errno::INTR) => {
                        // All that had come was received; now the failure is told.
                        let error = self.connections[place].error.take();
                        return Some(self.ended(place, error));
                    }
                    Err(error) => return Some(self.ended(place, Some(error.into()))),
                }
            }
            self.failing.pop_front();
        }
        None
    }

    /// The server has ended its side of the stream, as far as receiving tells.
    fn closed(&mut self, place: usize) -> Found {
        // The socket tells of a reset only once. A broken pipe is but the end of the stream seen from the other side.
        let error = self.connections[place].error.take();
        self.ended(
            place,
            error.filter(|error| error.kind() != io::ErrorKind::BrokenPipe),
        )
    }

    #[cold]
    fn ended(&mut self, place: usize, error: Option<io::Error>) -> Found {
        self.close(place);
        Found::Ended {
            connection: place,
            error,
        }
    }

    #[cold]
    fn close(&mut self, place: usize) {
        let connection = &mut self.connections[place];
        connection.is_open = false;
        if connection.sending == Sending::Queued {
            // What the kernel did not get until now, it cannot send any more.
            connection.sending = if self.ring.is_sending(place) {
                Sending::Failed
            } else {
                Sending::Nothing
            };
        }
        if let Err(error) = self.ring.close(place) {
            self.broken.get_or_insert(error);
        }
        // That was a call, and something may have come on other connections.
        if self.ring.has_completions() {
            self.entered = clock::now();
        }
    }

    /// The next that is to be delivered, of what is there already.
    #[inline(always)]
    fn next_found(&mut self) -> Option<(Found, Nanos)> {
        if let Some(found) = self.found.pop_front() {
            return Some(found);
        }
        while let Some(completion) = self.ring.next_completion() {
            if let Some(found) = self.understand(completion) {
                return Some((found, self.entered));
            }
        }
        None
    }

    #[inline(always)]
    fn find(&mut self, wait: Wait) -> io::Result<Option<(Found, Nanos)>> {
        let mut deadline = match wait {
            Wait::Until(deadline) => Some(deadline),
            Wait::No | Wait::Tick => None,
        };
        let mut is_over = false;
        loop {
            if let Some(found) = self.next_found() {
                return Ok(Some(found));
            }
            if !self.failing.is_empty() {
                if let Some(found) = self.find_rest() {
                    return Ok(Some((found, clock::now())));
                }
            }
            if is_over {
                return Ok(None);
            }
            while let Some(place) = self.starved.pop() {
                self.receive(place);
            }
            if self.broken.is_some() {
                return self.broken.take().map_or(Ok(None), Err);
            }
            is_over = match wait {
                Wait::No => {
                    self.ring.enter(uring::Wait::No)?;
                    true
                }
                Wait::Tick if !self.busy_poll => {
                    if !self.is_ticking {
                        self.ring.set_alarm(Duration::from_nanos(self.tick))?;
                        self.is_ticking = true;
                    }
                    self.ring.enter(uring::Wait::Forever)?;
                    // Whatever ended the wait, such as a signal: whoever waits may want to know of it.
                    true
                }
                Wait::Until(_) | Wait::Tick => {
                    let now = clock::now();
                    let deadline = *deadline.get_or_insert(now.saturating_add(self.tick));
                    let left = deadline.saturating_sub(now);
                    self.ring.enter(if self.busy_poll || left == 0 {
                        uring::Wait::No
                    } else {
                        uring::Wait::For(Duration::from_nanos(left))
                    })?;
                    left == 0
                }
            };
            self.entered = clock::now();
            self.delivered = 0;
        }
    }

    /// Whether the next that is delivered is a datagram of the same connection, and belongs to the same batch.
    fn has_more(&mut self, place: usize) -> bool {
        if self.transport == Transport::Stream || self.batch == 1 {
            return false;
        }
        if let Some(found) = self.next_found() {
            self.found.push_front(found);
        }
        let next = self.found.front().map(|(found, _)| found);
        let is_same =
            matches!(next, Some(Found::Arrived { connection, .. }) if *connection == place);
        self.together = if is_same && self.together + 1 < self.batch {
            self.together + 1
        } else {
            0
        };
        self.together != 0
    }
}

impl Engine for Uring {
    #[inline]
    fn now(&mut self) -> Nanos {
        clock::now()
    }

    #[inline]
    fn send(&mut self, place: usize, requests: &mut Requests) -> Sent {
        if self.connections[place].sending == Sending::Queued {
            if self.ring.is_sending(place) {
                self.flush();
            } else if self.ring.has_completions() {
                // The kernel got it together with others, and would have said if it could not send it.
                self.collect(self.entered);
            }
        }
        let connection = &mut self.connections[place];
        let takes_more = matches!(connection.sending, Sending::Nothing | Sending::Queued);
        if connection.is_open && takes_more && !self.ring.is_sending(place) {
            self.start(place, requests);
        } else {
            mem::swap(&mut connection.next, requests);
        }
        let connection = &mut self.connections[place];
        match connection.sending {
            _ if !connection.is_open => Sent::Failed,
            Sending::Nothing | Sending::Queued => Sent::All,
            Sending::Full => Sent::Partly,
            Sending::Failed => Sent::Failed,
        }
    }

    fn unsent(&self, place: usize) -> usize {
        self.count(place, not_begun)
    }

    fn unfinished(&self, place: usize) -> usize {
        self.count(place, not_finished)
    }

    /// One request to receive goes on for as long as the connection does, and takes all that comes.
    #[inline]
    fn limit(&mut self, _place: usize, _bytes: usize) {}

    #[inline]
    fn poll(&mut self, wait: Wait) -> io::Result<Event<'_>> {
        if let Some(arrival) = self.shown.take() {
            self.ring.give_back(arrival);
        }
        self.delivered += 1;
        if self.delivered > EVENTS {
            self.flush();
        }
        let Some((found, at)) = self.find(wait)? else {
            return Ok(Event::Idle { at: self.entered });
        };
        Ok(match found {
            Found::Arrived {
                connection,
                arrival,
            } => {
                let more = self.has_more(connection);
                self.shown = arrival;
                Event::Received {
                    connection,
                    bytes: self
                        .shown
                        .as_ref()
                        .map_or(&[], |shown| self.ring.bytes(shown)),
                    at,
                    more,
                }
            }
            Found::Rest { connection } => Event::Received {
                connection,
                bytes: &self.rest,
                at,
                more: false,
            },
            Found::Sent { connection } => Event::Sent {
                connection,
                at,
                left: self.connections[connection].sending == Sending::Full,
            },
            Found::Ended {
                connection,
                error: None,
            } => Event::Closed { connection, at },
            Found::Ended {
                connection,
                error: Some(error),
            } => Event::Failed {
                connection,
                at,
                error,
            },
        })
    }

    fn end(&mut self, place: usize) -> io::Result<()> {
        self.flush();
        match self.ring.socket(place) {
            Some(socket) if self.transport == Transport::Stream => match self.unfinished(place) {
                0 => Ok(shutdown(socket, Shutdown::Write)?),
                unfinished => Err(not_sent(unfinished)),
            },
            _ => Ok(()),
        }
    }

    fn abandon(&mut self, place: usize) {
        self.close(place);
        for (found, at) in mem::take(&mut self.found) {
            match found {
                Found::Arrived {
                    connection,
                    arrival,
                } if connection == place => {
                    if let Some(arrival) = arrival {
                        self.ring.give_back(arrival);
                    }
                }
                Found::Rest { connection }
                | Found::Sent { connection }
                | Found::Ended { connection, .. }
                    if connection == place => {}
                found => self.found.push_back((found, at)),
            }
        }
    }
}

impl Connection {
    fn new() -> Self {
        Self {
            is_open: true,
            sending: Sending::Nothing,
            ends: Vec::new(),
            sent: 0,
            next: Requests::default(),
            error: None,
        }
    }
}

#[cfg(test)]
mod tests;
