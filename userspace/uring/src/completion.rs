// SPDX-License-Identifier: GPL-2.0

//! What the kernel says of requests.

use std::io;

use io_uring::cqueue;

/// What a completion answers: the low bits of what the kernel returns with it; the others are the place of the socket.
pub(crate) mod tag {
    /// A send that does not wait, and is answered only if it did not send everything.
    pub(crate) const SEND: u64 = 0;
    pub(crate) const WAITING_SEND: u64 = 1;
    pub(crate) const RECEIVE: u64 = 2;
    pub(crate) const CANCEL: u64 = 3;
    pub(crate) const ALARM: u64 = 4;
    pub(crate) const ACCEPT: u64 = 5;
    /// The end of a socket that was accepted.
    pub(crate) const END: u64 = 6;
    pub(crate) const BITS: u32 = 3;
}

/// What the kernel says of a request.
#[derive(Debug)]
pub enum Completion {
    /// [`Ring::send_waiting`](crate::Ring::send_waiting), or a [`Ring::send`](crate::Ring::send) that did not send everything.
    Sent {
        /// The place of the socket.
        socket: usize,
        /// How many bytes were sent, which may be fewer than there were if it is a stream.
        result: io::Result<u32>,
    },
    /// [`Ring::receive`](crate::Ring::receive): something has come.
    Received {
        /// The place of the socket.
        socket: usize,
        /// What has come: `None` is an empty datagram, or the end of the stream.
        result: io::Result<Option<Arrival>>,
        /// Whether the request is at its end. It always is after an error or with `None`, and may be at any time.
        last: bool,
    },
    /// [`Ring::accept`](crate::Ring::accept): a connection, or that none can be accepted.
    Accepted {
        /// The place of the new socket.
        result: io::Result<usize>,
        /// Whether the request is at its end. It always is after an error, and may be at any time.
        last: bool,
    },
    /// [`Ring::set_alarm`](crate::Ring::set_alarm): it is time.
    Alarm,
}

/// Bytes that have come, in a buffer that is lent to the caller, who gives it back with [`Ring::give_back`](crate::Ring::give_back).
#[derive(Debug, PartialEq, Eq)]
#[must_use = "there are only so many buffers"]
pub struct Arrival {
    pub(crate) buffer: u16,
}

/// What the kernel returns with the completion of a request.
#[inline]
pub(crate) fn user_data(socket: usize, tag: u64) -> u64 {
    ((socket as u64) << tag::BITS) | tag
}

#[inline]
pub(crate) fn result_of(entry: &cqueue::Entry) -> io::Result<u32> {
    let result = entry.result();
    u32::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}
