// SPDX-License-Identifier: GPL-2.0

//! The engine of ordinary calls: one to send and one to receive for each request, or for each batch.
//!
//! A thread with one connection waits in the call that receives. One with several asks epoll which have something, and
//! receives once from each of them before it asks again.

mod connection;
mod found;
mod kept;
mod ready;

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use rustix::net::{recv, send, shutdown, sockopt, RecvFlags, SendFlags, Shutdown};

use self::{connection::Connection, found::Found, kept::send_datagrams, ready::Ready};
use super::{
    mmsg::Batch, not_begun, not_finished, not_sent, Engine, Event, Nanos, Received, Requests, Sent,
    Wait,
};
use crate::{
    clock,
    load::{Load, Transport},
};

/// What one call receives of a stream at most, and more than any datagram.
const RECEIVE_BYTES: usize = 256 << 10;

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
            Transport::Datagrams | Transport::Rx => (
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
        let Connection {
            kept, kept_sent, ..
        } = &self.connections[place];
        match self.transport {
            Transport::Stream => not_begun(&kept.ends, *kept_sent),
            Transport::Datagrams | Transport::Rx => kept.len() - kept_sent,
        }
    }

    fn unfinished(&self, place: usize) -> usize {
        let Connection {
            kept, kept_sent, ..
        } = &self.connections[place];
        match self.transport {
            Transport::Stream => not_finished(&kept.ends, *kept_sent),
            Transport::Datagrams | Transport::Rx => kept.len() - kept_sent,
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
            Some(socket) if self.transport == Transport::Stream => match self.unfinished(place) {
                0 => Ok(shutdown(socket, Shutdown::Write)?),
                unfinished => Err(not_sent(unfinished)),
            },
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

#[cfg(test)]
mod tests;
