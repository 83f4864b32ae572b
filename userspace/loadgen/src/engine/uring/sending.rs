// SPDX-License-Identifier: GPL-2.0

//! How requests are sent: by the ring, a stream's or a datagram, and several datagrams by a call of their own.

use std::{io, mem, ops::Range};

use super::{Connection, Found, Uring};
use crate::{clock, engine::Requests, load::Transport};

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
    /// Has the ring send the next of the requests that it has on a connection.
    #[inline]
    fn push(&mut self, place: usize, sending: Sending) {
        let connection = &mut self.connections[place];
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
    pub(super) fn flush(&mut self) {
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

    /// A full socket has taken something, or one did not take everything.
    #[cold]
    pub(super) fn sent(&mut self, place: usize, result: io::Result<u32>) -> Option<Found> {
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
    pub(super) fn count(
        &self,
        place: usize,
        of_stream: impl FnOnce(&[usize], usize) -> usize,
    ) -> usize {
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
}

impl Connection {
    /// What the ring is to send next of the requests that it has.
    #[inline]
    fn left(&self, transport: Transport) -> Range<usize> {
        let ends = &self.ends;
        let sent = self.sent;
        match transport {
            Transport::Stream => sent..ends[ends.len() - 1],
            Transport::Datagrams => sent.checked_sub(1).map_or(0, |last| ends[last])..ends[sent],
        }
    }
}
