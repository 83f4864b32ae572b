// SPDX-License-Identifier: GPL-2.0

//! What a service sees of a TCP connection.

use crate::{
    outgoing::Outgoing,
    received::Received, //
};
use core::{
    net::SocketAddr,
    ops::{
        Deref,
        DerefMut, //
    }, //
};
use kernel::prelude::*;

/// The most bytes that [`Stream::reply()`] takes in one call of [`Service::stream()`](crate::Service::stream()).
pub const REPLY_BYTES: usize = 64 * 1024;

/// From how many bytes behind each other on it is cheaper to send a received page back than to copy it.
const REFER_BYTES: usize = 4096;

/// What was [`Received`] on a TCP connection and is not consumed yet, and the replies to it.
///
/// The bytes lie in the socket's receive queue. They are given up with [`consume()`](Received::consume()) and
/// [`send_back()`](Self::send_back()).
pub struct Stream<'a> {
    pub(crate) received: Received<'a>,
    pub(crate) replies: Replies<'a>,
    pub(crate) may_sleep: bool,
    pub(crate) peer: &'a SocketAddr,
}

impl<'a> Stream<'a> {
    /// See [`Replies::room()`].
    pub fn room(&self) -> usize {
        self.replies.room()
    }

    /// See [`Replies::may_go_on()`].
    #[inline]
    pub fn may_go_on(&self) -> bool {
        self.replies.may_go_on()
    }

    /// See [`Replies::append()`].
    ///
    /// # Errors
    ///
    /// `ENOSPC` when there would be more than [`REPLY_BYTES`]; nothing is appended then.
    pub fn reply(&mut self, bytes: &[u8]) -> Result {
        self.replies.append(bytes)
    }

    /// Returns what was received and the replies by themselves, to write a reply while the request is looked at where it lies.
    #[inline]
    pub fn split(&mut self) -> (&mut Received<'a>, &mut Replies<'a>) {
        (&mut self.received, &mut self.replies)
    }

    /// Consumes the next `count` bytes, or as many as there are and as there is [`room()`](Self::room()) for, and appends
    /// them to the replies. Returns how many.
    ///
    /// What lies in pages is sent from there, without a copy, if that is cheaper.
    pub fn send_back(&mut self, count: usize) -> usize {
        let wanted = count.min(self.available()).min(self.room());
        let mut left = wanted;
        // Nearly always it lies behind each other, and is short.
        if wanted <= self.received.cursor.run_len() && wanted < REFER_BYTES {
            let cursor = &self.received.cursor;
            let sent = self
                .replies
                .outgoing
                .copy(wanted, |buffer| cursor.copy(buffer));
            self.consume(sent);
            left -= sent;
        }
        while left != 0 {
            let sent = if self.received.cursor.page_run_len().min(left) >= REFER_BYTES {
                self.refer(left)
            } else {
                // Up to the next page that is worth to be referred to.
                let here = self.received.cursor.run_len().min(left);
                let cursor = &self.received.cursor;
                self.replies
                    .outgoing
                    .copy(here, |buffer| cursor.copy(buffer))
            };
            if sent == 0 {
                break;
            }
            self.consume(sent);
            left -= sent;
        }
        wanted - left
    }

    /// Appends the page that is next, at most `max` bytes of it. Returns how many.
    fn refer(&mut self, max: usize) -> usize {
        let Some(run) = self.received.cursor.page_run(max) else {
            return 0;
        };
        let len = run.len();
        if self.replies.outgoing.refer(run) {
            len
        } else {
            0
        }
    }

    /// Counts a request that was served. What a request is, only the service knows.
    #[inline]
    pub fn count_request(&mut self) {
        self.replies.count_requests(1);
    }

    /// Returns whether this call may sleep, for memory or a disk but not for a peer. If not, [`Progress::Defer`](crate::Progress::Defer)
    /// leads to one that may.
    pub fn may_sleep(&self) -> bool {
        self.may_sleep
    }

    /// Returns the address of the peer.
    pub fn peer(&self) -> SocketAddr {
        *self.peer
    }
}

impl<'a> Deref for Stream<'a> {
    type Target = Received<'a>;

    fn deref(&self) -> &Received<'a> {
        &self.received
    }
}

impl<'a> DerefMut for Stream<'a> {
    fn deref_mut(&mut self) -> &mut Received<'a> {
        &mut self.received
    }
}

/// The replies of one call of [`Service::stream()`](crate::Service::stream()).
pub struct Replies<'a> {
    outgoing: &'a mut Outgoing,
    /// How many bytes of replies the socket takes.
    room: usize,
    requests: u64,
    /// How many requests may be served until others have their turn.
    budget: u64,
}

impl<'a> Replies<'a> {
    /// None yet, for a socket that takes `room` bytes, to as many requests as `budget` says.
    pub(crate) fn new(outgoing: &'a mut Outgoing, room: usize, budget: u64) -> Self {
        Self {
            outgoing,
            room,
            requests: 0,
            budget,
        }
    }

    /// How many requests were counted.
    pub(crate) fn requests(&self) -> u64 {
        self.requests
    }

    /// Returns how many bytes of replies the socket has room for. A reply may be longer, for it has to be appended whole,
    /// but no request should be served when there is none.
    #[inline]
    pub fn room(&self) -> usize {
        self.room.saturating_sub(self.outgoing.len())
    }

    /// Returns whether another request should be served: there is room for replies, and others do not wait for their turn
    /// yet. When it is `false`, return [`Progress::Need(1)`](crate::Progress::Need).
    #[inline]
    pub fn may_go_on(&self) -> bool {
        self.budget() != 0 && self.room() != 0
    }

    /// Returns how many more requests should be served until others have their turn.
    #[inline]
    pub fn budget(&self) -> u64 {
        self.budget.saturating_sub(self.requests)
    }

    /// Counts requests that were served. What a request is, only the service knows.
    #[inline]
    pub fn count_requests(&mut self, count: u64) {
        self.requests += count;
    }

    /// Returns how many bytes can be appended, of the [`REPLY_BYTES`] of a call.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.outgoing.room()
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    ///
    /// `ENOSPC` when there is not enough [`capacity()`](Self::capacity()); nothing is appended then.
    pub fn append(&mut self, bytes: &[u8]) -> Result {
        if bytes.len() > self.capacity() {
            return Err(ENOSPC);
        }
        self.outgoing.append(bytes);
        Ok(())
    }

    /// Appends what `write` writes: of a buffer of `max` bytes, as many as it says.
    ///
    /// # Errors
    ///
    /// `ENOSPC` when there is not enough [`capacity()`](Self::capacity()); `write` is not called then.
    #[inline]
    pub fn append_with(&mut self, max: usize, write: impl FnOnce(&mut [u8]) -> usize) -> Result {
        if max > self.capacity() {
            return Err(ENOSPC);
        }
        self.outgoing.copy(max, write);
        Ok(())
    }
}
