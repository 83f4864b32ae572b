// SPDX-License-Identifier: GPL-2.0

//! Datagrams: one socket for all clients, and one request to receive for all datagrams.

use std::{convert::Infallible, io, net::UdpSocket};

use uring::{Completion, Ring, Wait};

use super::BUFFERS;
use crate::{Server, Service};

/// The place of the only socket.
const SOCKET: usize = 0;

/// A socket, and what answers its datagrams.
pub struct Datagrams<S> {
    ring: Ring,
    service: S,
}

impl<S: Service> Datagrams<S> {
    /// Has `service` answer the datagrams of `socket`.
    ///
    /// # Errors
    ///
    /// The system's, such as that it does not allow io_uring.
    pub fn new(socket: UdpSocket, service: S) -> io::Result<Self> {
        let mut ring = Ring::new(vec![socket.into()], BUFFERS)?;
        ring.receive_datagrams(SOCKET)?;
        Ok(Self { ring, service })
    }
}

impl<S: Service> Server for Datagrams<S> {
    fn serve(&mut self) -> io::Result<Infallible> {
        loop {
            self.ring.enter(Wait::Forever)?;
            let mut is_at_end = false;
            while let Some(completion) = self.ring.next_completion() {
                // What cannot be sent is lost, as it may be anywhere on its way.
                let Completion::Received { result, last, .. } = completion else {
                    continue;
                };
                is_at_end |= last;
                // Without a buffer, or if a checksum is wrong, there is nothing.
                if let Ok(Some(arrival)) = result {
                    match self.service.datagram(self.ring.datagram(&arrival)) {
                        Some(length) => self.ring.answer(SOCKET, arrival, length)?,
                        None => self.ring.give_back(arrival),
                    }
                }
            }
            if is_at_end {
                self.ring.submit()?;
                self.ring.receive_datagrams(SOCKET)?;
            }
        }
    }
}
