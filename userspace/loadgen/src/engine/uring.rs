// SPDX-License-Identifier: GPL-2.0

//! The engine of io_uring: what all connections send, and the wait for what comes, are one call to the system, and one
//! request receives for as long as a connection lives.
//!
//! A send is handed over with the next wait, or when there are enough of them. io_uring does not promise any order between
//! requests that it has at the same time: of those of one connection, it gets the next with the next call, together with
//! others'. So a request that is the first of many counts from a moment at which the others were still to be written. One
//! receive takes all that has come, however many replies these are.
//!
//! Several datagrams are sent at once by the call that there is for that: requests of one socket that were not linked could
//! overtake each other, and linked ones are done one by one, some of them by the next call only.

mod receiving;
mod sending;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, io, mem, os::fd::OwnedFd, time::Duration};

use rustix::net::{shutdown, Shutdown};
use uring::{Arrival, Completion, Ring};

use self::sending::Sending;
use super::{
    mmsg::Batch, not_begun, not_finished, not_sent, Engine, Event, Nanos, Requests, Sent, Wait,
};
use crate::{
    clock,
    load::{Load, Transport},
};

/// How many buffers there are at least.
const BUFFERS: usize = 64;

/// How many times requests wait for others of their connection before all of these are handed over.
const WAITING: usize = 32;

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
    /// Connections with more requests than the ring has.
    behind: Vec<usize>,
    /// How often requests were handed over that the ring could not take at once.
    waiting: usize,
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
    /// How many of them have been sent, or are with what the kernel is to send now.
    taken: usize,
    /// Whether it is known to have more than that.
    is_behind: bool,
    /// Requests that were handed over while the ring had others.
    next: Requests,
    /// Why something could not be sent.
    error: Option<io::Error>,
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
            behind: Vec::new(),
            waiting: 0,
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
            // It has no listener.
            Completion::Accepted { .. } => None,
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
            if !self.behind.is_empty() {
                self.catch_up();
                continue;
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
        let connection = &self.connections[place];
        if connection.sending == Sending::Queued {
            if self.ring.is_sending(place) {
                // Others' can be handed over together with this one. If there are none, it does not wait.
                if connection.is_behind || self.ring.requests() > 1 {
                    return self.fall_behind(place, requests);
                }
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
            connection.keep(requests);
        }
        self.said(place)
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
            taken: 0,
            is_behind: false,
            next: Requests::default(),
            error: None,
        }
    }
}
