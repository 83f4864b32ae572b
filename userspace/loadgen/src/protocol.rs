// SPDX-License-Identifier: GPL-2.0

//! What a load generator must know of a protocol: how a request is written, and how a reply is verified.
//!
//! A protocol does no I/O and knows no time. It is handed buffers to write to and bytes that came, and says which request
//! they answer. Sockets, schedules, what is in flight and what became of it are the library's.
//!
//! Requests are numbered from 0 on each connection, in the order in which they are sent: a request that was skipped has
//! no number.

use std::{error::Error, io, os::fd::OwnedFd};

use crate::{engine::Engine, load::Load};

/// A protocol with everything that is the same for all connections of a run: one value, shared by all threads.
pub trait Protocol: Sync {
    /// What is of one connection.
    type Connection: Connection;

    /// The state of a new connection.
    ///
    /// Of all connections of all runs, no two have the same `number`: what depends on it tells a reply of this connection
    /// from one that was meant for another, or for an earlier run. Numbers are consecutive, from 0.
    fn connection(&self, number: u64) -> Self::Connection;

    /// An engine of the protocol's own for the sockets of a thread, which it takes; `None` if one of the library's, which
    /// send requests and receive replies as they are, is right.
    ///
    /// # Errors
    ///
    /// The system has no room for what the engine takes.
    fn engine(
        &self,
        sockets: &mut Vec<OwnedFd>,
        load: &Load,
        busy_poll: bool,
    ) -> io::Result<Option<Box<dyn Engine>>> {
        let _ = (sockets, load, busy_poll);
        Ok(None)
    }
}

/// What a protocol knows of one connection, or of one socket that exchanges datagrams with the server.
///
/// All of it is called for every request, and should allocate nothing.
pub trait Connection: Send {
    /// What can be wrong with a reply. Its text names the request, numbered from 1, and what was expected instead.
    type Mismatch: Error + Send + 'static;

    /// The bytes of request `seq`. Each is asked for once, in the order of their numbers.
    ///
    /// A protocol whose requests differ in little keeps one of them, and changes only that.
    fn request(&mut self, seq: u64) -> &[u8];

    /// Verifies the next bytes of the stream of replies, which are never none.
    ///
    /// What is consumed has been verified as far as it went, and is not shown again: a large reply need not be kept. The
    /// caller comes back with the rest of the bytes, if any, and then with those that come later.
    ///
    /// `sent` is the number of requests that were sent, so that those from 0 to `sent - 1` may be answered here. That
    /// none is answered twice is the caller's business, unless replies come in order and carry no number.
    fn stream(&mut self, bytes: &[u8], sent: u64) -> Result<Progress, Self::Mismatch>;

    /// Verifies bytes of the stream that are one whole reply of the usual form, and returns the number of the request that
    /// it answers; or does nothing, if they are anything else, so that [`Connection::stream`] says what.
    ///
    /// This is where most replies cost little. [`Connection::reply_bytes`] is the same before and after it.
    #[inline]
    fn usual_reply(&mut self, bytes: &[u8], sent: u64) -> Option<u64> {
        let _ = (bytes, sent);
        None
    }

    /// Verifies one datagram, and returns the number of the request that it answers.
    ///
    /// That is a number below `sent`, as in [`Connection::stream`]. Any of them may come: also one that was answered
    /// before, or long ago.
    fn datagram(&mut self, bytes: &[u8], sent: u64) -> Result<u64, Self::Mismatch>;

    /// Verifies the next bytes of the reply to request `number`, which begin at `offset` in it. `is_last` says that nothing
    /// follows. They come in order, and request `number` was sent and is not answered.
    ///
    /// It is for protocols whose [engine](Protocol::engine) knows which request is answered, and not called for others.
    fn part(
        &mut self,
        number: u64,
        offset: u64,
        bytes: &[u8],
        is_last: bool,
    ) -> Result<(), Self::Mismatch> {
        let _ = (number, offset, bytes, is_last);
        Ok(())
    }

    /// How many bytes of the stream are missing until so many more replies are whole, or a guess where only the reply
    /// itself would tell; at least 1.
    ///
    /// This is what one call to the system receives at most, so that a client that shall receive one reply per call
    /// does. A guess that is wrong costs calls, and nothing else.
    fn reply_bytes(&self, replies: usize) -> usize;

    /// How many bytes of a reply have been consumed from the stream that is not whole yet; 0 between two replies.
    ///
    /// A stream that ends elsewhere than between two replies is wrong, also after the last reply that was waited for.
    fn partial_bytes(&self) -> usize;
}

/// How far [`Connection::stream`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that were verified: all that there were, or those up to the end of a reply.
    pub consumed: usize,
    /// The request whose reply ended with the last of them, if one did.
    pub answered: Option<u64>,
}
