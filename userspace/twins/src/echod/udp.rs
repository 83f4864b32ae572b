// SPDX-License-Identifier: GPL-2.0

//! Datagrams: one socket for all clients.

use std::{convert::Infallible, io, net::UdpSocket};

use rustix::{
    event::epoll,
    io::Errno,
    net::{recvfrom, sendto, RecvFlags, SendFlags},
};

/// Serves until that fails.
pub(crate) fn serve(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Infallible> {
    socket.set_nonblocking(true)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let nothing = epoll::EventData::new_u64(0);
    epoll::add(&epoll, socket, nothing, epoll::EventFlags::IN)?;
    let mut events = [epoll::Event {
        flags: epoll::EventFlags::empty(),
        data: nothing,
    }];
    loop {
        match epoll::wait(&epoll, &mut events, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        match recvfrom(socket, &mut *buffer, RecvFlags::empty()) {
            // What cannot be sent is lost, as it may be anywhere on its way.
            Ok((length, _, Some(sender))) => {
                let _ = sendto(socket, &buffer[..length], SendFlags::empty(), &sender);
            }
            // A datagram may be dropped between the calls, for its checksum is wrong.
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
