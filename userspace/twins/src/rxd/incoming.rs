// SPDX-License-Identifier: GPL-2.0

//! Datagrams that came, many with one call to the system.

use std::{
    io::{self, IoSliceMut},
    net::{SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket},
    os::fd::AsRawFd,
};

use nix::{
    errno::Errno,
    sys::socket::{recvmmsg, MsgFlags, MultiHeaders, SockaddrStorage},
};

/// The longest datagram: a jumbogram of OpenAFS, or a ping with which Linux tries how long they may be.
const DATAGRAM_BYTES: usize = 1 << 16;

/// Datagrams that came.
#[derive(Debug)]
pub(crate) struct Incoming {
    headers: MultiHeaders<SockaddrStorage>,
    buffer: Box<[u8]>,
    received: Vec<(SocketAddr, usize)>,
}

impl Incoming {
    /// Takes up to `batch` of them with one call.
    pub(crate) fn new(batch: usize) -> Self {
        Self {
            headers: MultiHeaders::preallocate(batch, None),
            // Only as much as is written to takes memory.
            buffer: vec![0; batch * DATAGRAM_BYTES].into(),
            received: Vec::with_capacity(batch),
        }
    }

    /// Waits for a datagram, and receives those that are there.
    ///
    /// # Errors
    ///
    /// The system's, for no reason that a client could give.
    pub(crate) fn receive(&mut self, socket: &UdpSocket) -> io::Result<()> {
        self.received.clear();
        let mut slices: Vec<_> = self
            .buffer
            .chunks_exact_mut(DATAGRAM_BYTES)
            .map(|room| [IoSliceMut::new(room)])
            .collect();
        let received = recvmmsg(
            socket.as_raw_fd(),
            &mut self.headers,
            slices.iter_mut(),
            // Waits for the first one only.
            MsgFlags::MSG_WAITFORONE,
            None,
        );
        match received {
            Ok(messages) => {
                for message in messages {
                    let from = message.address.as_ref().and_then(address);
                    // Without an address it is nobody's, and is passed over.
                    let nobody = SocketAddr::from(([0; 4], 0));
                    self.received.push((from.unwrap_or(nobody), message.bytes));
                }
                Ok(())
            }
            // What an earlier datagram met with.
            Err(Errno::EINTR | Errno::ECONNREFUSED) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// What was received, with its sender.
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        let rooms = self.buffer.chunks_exact(DATAGRAM_BYTES);
        self.received
            .iter()
            .zip(rooms)
            .map(|((from, bytes), room)| (*from, &room[..*bytes]))
    }
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage
        .as_sockaddr_in()
        .map(|address| SocketAddrV4::from(*address).into());
    v4.or_else(|| {
        storage
            .as_sockaddr_in6()
            .map(|address| SocketAddrV6::from(*address).into())
    })
}
