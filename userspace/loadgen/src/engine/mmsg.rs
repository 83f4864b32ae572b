// SPDX-License-Identifier: GPL-2.0

//! Several datagrams with one call.

use std::{
    array,
    io::{self, IoSlice, IoSliceMut},
    os::fd::{AsRawFd, BorrowedFd},
};

use nix::sys::socket::{recvmmsg, sendmmsg, MsgFlags, MultiHeaders};

/// How many datagrams one call sends or receives at most.
pub(crate) const MOST: usize = 64;

/// Room for any datagram, and for one byte more than the longest.
const DATAGRAM_BYTES: usize = 1 << 16;

/// What one call received, and what the calls need.
#[derive(Debug)]
pub(crate) struct Batch {
    headers: MultiHeaders<()>,
    buffer: Box<[u8]>,
    lengths: [usize; MOST],
    /// The next of those that were received.
    next: usize,
    /// How many were received.
    count: usize,
}

impl Batch {
    /// Room for `size` datagrams, at most [`MOST`].
    pub(crate) fn new(size: usize) -> Self {
        let size = size.clamp(1, MOST);
        Self {
            headers: MultiHeaders::preallocate(size, None),
            // Only as much as is written to takes memory.
            buffer: vec![0; size * DATAGRAM_BYTES].into(),
            lengths: [0; MOST],
            next: 0,
            count: 0,
        }
    }

    /// Receives what there is, up to the size of the batch. What is left of an earlier batch is forgotten.
    pub(crate) fn receive(&mut self, socket: BorrowedFd<'_>, wait: bool) -> io::Result<()> {
        self.clear();
        // Waits, if at all, for the first one only.
        let flags = if wait {
            MsgFlags::MSG_WAITFORONE
        } else {
            MsgFlags::MSG_DONTWAIT
        };
        let mut rooms = self.buffer.chunks_exact_mut(DATAGRAM_BYTES);
        let mut slices: [_; MOST] =
            array::from_fn(|_| [IoSliceMut::new(rooms.next().unwrap_or_default())]);
        let received = recvmmsg(
            socket.as_raw_fd(),
            &mut self.headers,
            slices.iter_mut(),
            flags,
            None,
        )?;
        for (length, datagram) in self.lengths.iter_mut().zip(received) {
            *length = datagram.bytes;
            self.count += 1;
        }
        Ok(())
    }

    /// Forgets what was received.
    pub(crate) fn clear(&mut self) {
        (self.next, self.count) = (0, 0);
    }

    /// Whether there is a next datagram.
    pub(crate) fn has_next(&self) -> bool {
        self.next < self.count
    }

    /// The next of the datagrams that were received, of which there must be one, and whether it has one after it.
    pub(crate) fn next(&mut self) -> (&[u8], bool) {
        let start = self.next * DATAGRAM_BYTES;
        let length = self.lengths[self.next];
        self.next += 1;
        (&self.buffer[start..start + length], self.has_next())
    }

    /// Sends datagrams, which end at `ends` in `bytes` and of which the first begins at `start`; returns how many of them
    /// the system took.
    pub(crate) fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        bytes: &[u8],
        start: usize,
        ends: &[usize],
    ) -> io::Result<usize> {
        let mut from = start;
        let mut ends = ends.iter();
        let mut count = 0;
        let slices: [_; MOST] = array::from_fn(|_| {
            let datagram = ends.next().map_or(&[][..], |&end| {
                count += 1;
                &bytes[std::mem::replace(&mut from, end)..end]
            });
            [IoSlice::new(datagram)]
        });
        let sent = sendmmsg(
            socket.as_raw_fd(),
            &mut self.headers,
            slices[..count].iter(),
            [None; MOST],
            [],
            MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL,
        )?;
        Ok(sent.count())
    }
}
