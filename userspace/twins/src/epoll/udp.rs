// SPDX-License-Identifier: GPL-2.0

//! Datagrams: one socket for all clients.

use std::{convert::Infallible, io, net::UdpSocket, os::fd::OwnedFd};

use rustix::{
    event::epoll,
    io::Errno,
    net::{recvfrom, sendto, RecvFlags, SendFlags},
};

use crate::{Server, Service, BUFFER_BYTES};

/// A socket, and what answers its datagrams.
#[derive(Debug)]
pub struct Datagrams<S> {
    epoll: OwnedFd,
    socket: UdpSocket,
    buffer: Vec<u8>,
    service: S,
}

impl<S: Service> Datagrams<S> {
    /// Has `service` answer the datagrams of `socket`.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn new(socket: UdpSocket, service: S) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(
            &epoll,
            &socket,
            epoll::EventData::new_u64(0),
            epoll::EventFlags::IN,
        )?;
        Ok(Self {
            epoll,
            socket,
            buffer: vec![0; BUFFER_BYTES],
            service,
        })
    }
}

impl<S: Service> Server for Datagrams<S> {
    fn serve(&mut self) -> io::Result<Infallible> {
        let mut events = [epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        }];
        loop {
            match epoll::wait(&self.epoll, &mut events, None) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            match recvfrom(&self.socket, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((length, _, Some(sender))) => {
                    let answer = self.service.datagram(&mut self.buffer[..length]);
                    if let Some(length) = answer {
                        let answer = &self.buffer[..length];
                        // What cannot be sent is lost, as it may be anywhere on its way.
                        let _ = sendto(&self.socket, answer, SendFlags::empty(), &sender);
                    }
                }
                // A datagram may be dropped between the calls, for its checksum is wrong.
                Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
