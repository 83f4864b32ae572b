// SPDX-License-Identifier: GPL-2.0

//! Packets on their way out, many with one call to the system.

use std::{
    io::{self, IoSlice},
    os::fd::{AsRawFd, BorrowedFd},
};

use nix::{
    errno::Errno,
    sys::socket::{sendmmsg, MsgFlags, MultiHeaders},
};
use rx::MAX_CONTROL_BYTES;

/// How many packets one call sends.
const MOST: usize = 64;

/// Packets that are to be sent on one socket.
#[derive(Debug)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    /// Where each packet ends.
    ends: Vec<usize>,
    headers: MultiHeaders<()>,
}

impl Outgoing {
    /// None yet.
    pub(super) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            ends: Vec::with_capacity(MOST),
            headers: MultiHeaders::preallocate(MOST, None),
        }
    }

    /// Room for a header, or for a packet without data. What of it is not pushed is forgotten.
    pub(super) fn room(&mut self) -> &mut [u8] {
        let start = self.ends.last().copied().unwrap_or(0);
        self.bytes.resize(start + MAX_CONTROL_BYTES, 0);
        &mut self.bytes[start..]
    }

    /// A packet of so many bytes of the room, and this data.
    pub(super) fn push(&mut self, bytes: usize, data: &[u8]) {
        let start = self.ends.last().copied().unwrap_or(0);
        self.bytes.truncate(start + bytes);
        self.bytes.extend_from_slice(data);
        self.ends.push(self.bytes.len());
    }

    /// Whether it is time to send.
    pub(super) fn is_full(&self) -> bool {
        self.ends.len() >= MOST
    }

    /// Forgets the packets.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Sends the packets. If the system has no room for them, it waits until they leave this machine, for which no peer is
    /// needed.
    ///
    /// # Errors
    ///
    /// The system's. What is left is forgotten.
    pub(super) fn flush(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        let sent = self.send(socket);
        self.clear();
        sent
    }

    fn send(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        let starts = [0].iter().chain(&self.ends);
        let packets: Vec<_> = starts
            .zip(&self.ends)
            .map(|(start, end)| [IoSlice::new(&self.bytes[*start..*end])])
            .collect();
        let mut left = &packets[..];
        while !left.is_empty() {
            let sent = sendmmsg(
                socket.as_raw_fd(),
                &mut self.headers,
                left.iter(),
                [None; MOST],
                [],
                MsgFlags::MSG_NOSIGNAL,
            );
            let count = match sent {
                Ok(sent) => sent.count(),
                Err(Errno::EINTR) => 0,
                // As if it were lost on its way.
                Err(Errno::ENOBUFS) => 1,
                Err(error) => return Err(error.into()),
            };
            left = left.get(count..).unwrap_or_default();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::UdpSocket, os::fd::AsFd};

    #[test]
    fn packets_have_what_was_pushed_and_no_more() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(server.local_addr().unwrap()).unwrap();
        let mut outgoing = Outgoing::new();
        for (header, data) in [("head", "data"), ("control", ""), ("", "data")] {
            outgoing.room()[..header.len()].copy_from_slice(header.as_bytes());
            outgoing.push(header.len(), data.as_bytes());
        }
        outgoing.room();
        outgoing.flush(client.as_fd()).unwrap();
        let mut buffer = [0; 64];
        for expected in ["headdata", "control", "data"] {
            let bytes = server.recv(&mut buffer).unwrap();
            assert_eq!(buffer[..bytes], *expected.as_bytes());
        }
        outgoing.flush(client.as_fd()).unwrap();
        server.set_nonblocking(true).unwrap();
        assert!(server.recv(&mut buffer).is_err());
    }

    #[test]
    fn more_packets_than_one_call_takes_are_sent() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(server.local_addr().unwrap()).unwrap();
        let mut outgoing = Outgoing::new();
        for number in 0..=MOST as u8 {
            outgoing.room();
            outgoing.push(0, &[number]);
        }
        assert!(outgoing.is_full());
        outgoing.flush(client.as_fd()).unwrap();
        for number in 0..=MOST as u8 {
            let mut buffer = [0; 2];
            assert_eq!((server.recv(&mut buffer).unwrap(), buffer[0]), (1, number));
        }
    }
}
