// SPDX-License-Identifier: GPL-2.0

//! Datagrams that came, many with one call to the system.

use std::{
    io::{self, IoSliceMut},
    ops::Range,
    os::fd::{AsRawFd, BorrowedFd},
};

use nix::{
    cmsg_space,
    sys::socket::{recvmmsg, ControlMessageOwned, MsgFlags, MultiHeaders},
};

/// How many messages one call receives. Each may be many datagrams of one size, where the system has them together.
const MESSAGES: usize = 16;

/// Room for the longest datagram, and as many of one size as the system puts together.
const MESSAGE_BYTES: usize = 1 << 16;

/// What one call received of one size.
#[derive(Clone, Copy, Debug)]
struct Message {
    bytes: usize,
    /// How many bytes each datagram of it has, but the last.
    datagram_bytes: usize,
}

/// Datagrams that came.
#[derive(Debug)]
pub(super) struct Incoming {
    buffer: Box<[u8]>,
    messages: Vec<Message>,
    /// The message that the next datagram is of, and where it begins there.
    next: (usize, usize),
}

impl Incoming {
    /// None yet.
    pub(super) fn new() -> Self {
        Self {
            // Only as much as is written to takes memory.
            buffer: vec![0; MESSAGES * MESSAGE_BYTES].into(),
            messages: Vec::with_capacity(MESSAGES),
            next: (0, 0),
        }
    }

    /// Receives what there is, up to some tens of kilobytes. What is left of an earlier call is forgotten.
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        self.clear();
        // Not kept: what the system wrote there about one message would be the room for the next.
        let mut headers = MultiHeaders::<()>::preallocate(MESSAGES, Some(cmsg_space!(i32)));
        let mut slices: Vec<_> = self
            .buffer
            .chunks_exact_mut(MESSAGE_BYTES)
            .map(|room| [IoSliceMut::new(room)])
            .collect();
        let received = recvmmsg(
            socket.as_raw_fd(),
            &mut headers,
            slices.iter_mut(),
            MsgFlags::MSG_DONTWAIT,
            None,
        )?;
        for message in received {
            let segment = message.cmsgs().ok().and_then(|mut messages| {
                messages.find_map(|message| match message {
                    ControlMessageOwned::UdpGroSegments(bytes) => usize::try_from(bytes).ok(),
                    _ => None,
                })
            });
            self.messages.push(Message {
                bytes: message.bytes,
                datagram_bytes: segment.filter(|bytes| *bytes != 0).unwrap_or(message.bytes),
            });
        }
        Ok(())
    }

    /// Forgets what was received.
    pub(super) fn clear(&mut self) {
        self.messages.clear();
        self.next = (0, 0);
    }

    /// Where the next datagram is, if there is one.
    pub(super) fn next(&mut self) -> Option<Range<usize>> {
        let (number, from) = self.next;
        let message = self.messages.get(number)?;
        let to = (from + message.datagram_bytes).min(message.bytes);
        self.next = if to < message.bytes {
            (number, to)
        } else {
            (number + 1, 0)
        };
        let start = number * MESSAGE_BYTES;
        Some(start + from..start + to)
    }

    /// Bytes that were received.
    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::UdpSocket, os::fd::AsFd};

    use nix::sys::socket::{setsockopt, sockopt::UdpGroSegment};
    use rustix::net::{sendto, SendFlags};

    /// All datagrams of one call.
    fn received(incoming: &mut Incoming, socket: &UdpSocket) -> Vec<Vec<u8>> {
        incoming.receive(socket.as_fd()).unwrap();
        let mut all = Vec::new();
        while let Some(range) = incoming.next() {
            all.push(incoming.bytes(range).to_vec());
        }
        all
    }

    #[test]
    fn each_datagram_is_by_itself_however_they_came() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        setsockopt(&client, UdpGroSegment, &true).unwrap();
        let address = client.local_addr().unwrap();
        let mut incoming = Incoming::new();
        for _ in 0..2 {
            for datagram in [&b"one"[..], b"", b"three"] {
                server.send_to(datagram, address).unwrap();
            }
            let all = received(&mut incoming, &client);
            assert_eq!(all, [&b"one"[..], b"", b"three"]);
        }
        // Cut into pieces of four bytes by the system, which delivers them together.
        nix::sys::socket::setsockopt(&server, nix::sys::socket::sockopt::UdpGsoSegment, &4)
            .unwrap();
        sendto(&server, b"aaaabbbbcc", SendFlags::empty(), &address).unwrap();
        let all = received(&mut incoming, &client);
        assert_eq!(all, [&b"aaaa"[..], b"bbbb", b"cc"]);
        let nothing = incoming.receive(client.as_fd()).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(incoming.next(), None);
    }
}
