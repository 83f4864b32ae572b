// SPDX-License-Identifier: GPL-2.0

//! How requests are sent: by the ring, a stream's or a datagram, and several datagrams by a call of their own.

use std::{io, mem, ops::Range};

use super::{Connection, Found, Uring, WAITING};
use crate::{
    clock,
    engine::{Requests, Sent},
    load::Transport,
};

/// What becomes of the requests that the ring has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
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

impl Uring {
    /// Has the ring send the next of the requests that it has on a connection: no more than a batch, unless it is what a
    /// full socket takes when it can.
    #[inline]
    fn push(&mut self, place: usize, sending: Sending) {
        let connection = &mut self.connections[place];
        let all = connection.ends.len();
        connection.taken = match (self.transport, sending) {
            (Transport::Datagrams | Transport::Rx, _) => connection.sent + 1,
            (Transport::Stream, Sending::Full) => all,
            (Transport::Stream, _) => all.min(connection.taken + self.batch),
        };
        let range = connection.left(self.transport);
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
    pub(super) fn start(&mut self, place: usize, requests: &mut Requests) {
        let Some(outgoing) = self.ring.outgoing(place) else {
            return;
        };
        mem::swap(outgoing, &mut requests.bytes);
        let connection = &mut self.connections[place];
        mem::swap(&mut connection.ends, &mut requests.ends);
        connection.sent = 0;
        connection.taken = 0;
        if self.datagrams.is_some() {
            self.start_together(place);
        } else {
            self.push(place, Sending::Queued);
            self.note_behind(place);
        }
    }

    /// Keeps requests that the ring cannot have now, because it has others of this connection.
    pub(super) fn fall_behind(&mut self, place: usize, requests: &mut Requests) -> Sent {
        self.connections[place].keep(requests);
        self.note_behind(place);
        self.waiting += 1;
        if self.waiting == WAITING {
            self.flush();
        }
        self.said(place)
    }

    #[inline]
    fn note_behind(&mut self, place: usize) {
        let connection = &mut self.connections[place];
        if !connection.is_behind && connection.has_more() && connection.sending == Sending::Queued {
            connection.is_behind = true;
            self.behind.push(place);
        }
    }

    /// Has the ring send what it could not have yet, up to the last of each connection, which is queued then.
    pub(super) fn catch_up(&mut self) {
        self.waiting = 0;
        while !self.behind.is_empty() {
            self.hand_over();
            let count = self.behind.len();
            for index in 0..count {
                self.advance(self.behind[index]);
            }
            self.behind.drain(..count);
        }
    }

    /// Has the ring send the next that a connection has, if the kernel has sent what it got.
    fn advance(&mut self, place: usize) {
        let connection = &mut self.connections[place];
        connection.is_behind = false;
        let is_sent = connection.sending == Sending::Queued && !self.ring.is_sending(place);
        if !connection.is_open || !is_sent {
            return;
        }
        if connection.taken < connection.ends.len() {
            connection.pass(self.transport);
            self.push(place, Sending::Queued);
            self.note_behind(place);
        } else {
            self.start_next(place);
        }
    }

    /// Has the ring send what was kept for when it has nothing, if there is something.
    fn start_next(&mut self, place: usize) {
        let mut next = mem::take(&mut self.connections[place].next);
        if !next.is_empty() {
            self.start(place, &mut next);
            next.clear();
        }
        self.connections[place].next = next;
        self.note_behind(place);
    }

    /// What is to be said of a connection on which requests were handed over.
    #[inline]
    pub(super) fn said(&self, place: usize) -> Sent {
        let connection = &self.connections[place];
        match connection.sending {
            _ if !connection.is_open => Sent::Failed,
            Sending::Nothing | Sending::Queued => Sent::All,
            Sending::Full => Sent::Partly,
            Sending::Failed => Sent::Failed,
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

    /// Hands over everything, and learns what became of it.
    pub(super) fn flush(&mut self) {
        self.delivered = 0;
        self.catch_up();
        self.hand_over();
    }

    /// Hands over what is queued, and learns what became of it.
    #[inline]
    fn hand_over(&mut self) {
        if self.ring.has_completions() {
            self.collect(self.entered);
        }
        if self.ring.requests() != 0 {
            if let Err(error) = self.ring.submit() {
                self.broken.get_or_insert(error);
            }
            // Not even the time is asked for if there is nothing.
            if self.ring.has_completions() {
                self.collect(clock::now());
            }
        }
    }

    /// A full socket has taken something, or one did not take everything.
    #[cold]
    pub(super) fn sent(&mut self, place: usize, result: io::Result<u32>) -> Option<Found> {
        let connection = &mut self.connections[place];
        if !connection.is_open {
            if connection.sending == Sending::Queued {
                connection.sending = Sending::Failed;
                connection.sent += result.map_or(0, |bytes| bytes as usize);
            }
            return None;
        }
        let all = match (self.transport, result) {
            (_, Err(error)) => return self.not_sent(place, error),
            (Transport::Stream, Ok(bytes)) => {
                connection.sent += bytes as usize;
                connection.ends.last().copied().unwrap_or(0)
            }
            (Transport::Datagrams | Transport::Rx, Ok(_)) => {
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
        self.start_next(place);
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
    pub(super) fn count(
        &self,
        place: usize,
        of_stream: impl FnOnce(&[usize], usize) -> usize,
    ) -> usize {
        let connection = &self.connections[place];
        let ends = &connection.ends;
        let of_ring = match (connection.sending, self.transport) {
            (Sending::Nothing, _) => 0,
            (Sending::Queued, _) if !self.ring.is_sending(place) => ends.len() - connection.taken,
            (_, Transport::Stream) => of_stream(ends, connection.sent),
            (_, Transport::Datagrams | Transport::Rx) => ends.len() - connection.sent,
        };
        of_ring + connection.next.len()
    }
}

impl Connection {
    /// What the ring is to send next of the requests that it has.
    #[inline]
    fn left(&self, transport: Transport) -> Range<usize> {
        let ends = &self.ends;
        let sent = self.sent;
        match transport {
            Transport::Stream => sent..ends[self.taken - 1],
            Transport::Datagrams | Transport::Rx => {
                sent.checked_sub(1).map_or(0, |last| ends[last])..ends[sent]
            }
        }
    }

    /// What the kernel got is sent.
    pub(super) fn pass(&mut self, transport: Transport) {
        self.sent = match transport {
            Transport::Stream => self.ends[self.taken - 1],
            Transport::Datagrams | Transport::Rx => self.taken,
        };
    }

    /// Whether there is something to follow what the kernel is to send.
    #[inline]
    fn has_more(&self) -> bool {
        self.taken < self.ends.len() || !self.next.is_empty()
    }

    /// Keeps requests until all others are sent.
    pub(super) fn keep(&mut self, requests: &mut Requests) {
        if self.next.is_empty() {
            return mem::swap(&mut self.next, requests);
        }
        let start = self.next.bytes.len();
        self.next.bytes.extend_from_slice(&requests.bytes);
        let ends = requests.ends.iter().map(|end| start + end);
        self.next.ends.extend(ends);
    }
}
