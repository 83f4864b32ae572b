// SPDX-License-Identifier: GPL-2.0

//! Streams: a listener and its connections.

use std::{
    convert::Infallible,
    io,
    net::TcpListener,
    os::fd::{AsRawFd, OwnedFd},
};

use rustix::{
    event::epoll::{self, EventFlags},
    io::Errno,
    net::{accept_with, listen, recv, send, sockopt, RecvFlags, SendFlags, SocketFlags},
};

/// How many connections may wait for being accepted; the system's own limit is often lower.
const BACKLOG: i32 = 4096;

/// How many events one call waits for at most.
const EVENTS: usize = 256;

/// A connection and what it could not be sent yet.
#[derive(Debug)]
struct Connection {
    socket: OwnedFd,
    /// While there is something here nothing is received, so that a client that does not read is stopped by its window.
    unsent: Vec<u8>,
}

/// A server and its connections.
///
/// What an event is about is said by the number of the descriptor, which also is a connection's place. A number that is
/// used anew has no event of its predecessor, for a wait returns at most one for each descriptor.
#[derive(Debug)]
pub(crate) struct Server {
    epoll: OwnedFd,
    listener: TcpListener,
    /// Whether the system has no descriptor for another connection. Until one is closed, none is accepted.
    is_full: bool,
    connections: Vec<Option<Connection>>,
}

impl Server {
    /// A server on `listener`.
    pub(crate) fn new(listener: TcpListener) -> io::Result<Self> {
        listen(&listener, BACKLOG)?;
        listener.set_nonblocking(true)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, key(&listener), EventFlags::IN)?;
        Ok(Self {
            epoll,
            listener,
            is_full: false,
            connections: Vec::new(),
        })
    }

    /// Serves until that fails, which is for no reason that a client could give.
    pub(crate) fn serve(&mut self, buffer: &mut [u8]) -> io::Result<Infallible> {
        let listener = key(&self.listener).u64();
        let mut events = [epoll::Event {
            flags: EventFlags::empty(),
            data: key(&self.listener),
        }; EVENTS];
        loop {
            let ready = match epoll::wait(&self.epoll, &mut events, None) {
                Ok(ready) => ready,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            for event in &events[..ready] {
                let place = event.data.u64();
                if place == listener {
                    self.accept()?;
                } else {
                    self.echo(place as usize, buffer)?;
                }
            }
        }
    }

    /// Accepts a connection.
    fn accept(&mut self) -> io::Result<()> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = match accept_with(&self.listener, flags) {
            Ok(socket) => socket,
            Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                self.is_full = true;
                return Ok(epoll::modify(
                    &self.epoll,
                    &self.listener,
                    key(&self.listener),
                    EventFlags::empty(),
                )?);
            }
            // The client has gone, or the network has something to say about it.
            Err(_) => return Ok(()),
        };
        sockopt::set_tcp_nodelay(&socket, true)?;
        epoll::add(&self.epoll, &socket, key(&socket), EventFlags::IN)?;
        let place = key(&socket).u64() as usize;
        if self.connections.len() <= place {
            self.connections.resize_with(place + 1, || None);
        }
        self.connections[place] = Some(Connection {
            socket,
            unsent: Vec::new(),
        });
        Ok(())
    }

    /// Does what a connection can do now, and closes it if that is over.
    #[inline]
    fn echo(&mut self, place: usize, buffer: &mut [u8]) -> io::Result<()> {
        let Some(connection) = &mut self.connections[place] else {
            return Ok(());
        };
        let was_blocked = !connection.unsent.is_empty();
        let goes_on = if was_blocked {
            connection.send_on()
        } else {
            connection.receive(buffer)
        };
        if !goes_on {
            return self.close(place);
        }
        let is_blocked = !connection.unsent.is_empty();
        if is_blocked != was_blocked {
            let flags = if is_blocked {
                EventFlags::OUT
            } else {
                EventFlags::IN
            };
            epoll::modify(
                &self.epoll,
                &connection.socket,
                key(&connection.socket),
                flags,
            )?;
        }
        Ok(())
    }

    /// Closes a connection.
    fn close(&mut self, place: usize) -> io::Result<()> {
        self.connections[place] = None;
        if self.is_full {
            self.is_full = false;
            let data = key(&self.listener);
            epoll::modify(&self.epoll, &self.listener, data, EventFlags::IN)?;
        }
        Ok(())
    }
}

impl Connection {
    /// Receives and sends back, and keeps what cannot be sent yet; returns whether the stream goes on.
    #[inline]
    fn receive(&mut self, buffer: &mut [u8]) -> bool {
        match recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
            Ok((0, _)) => false,
            Ok((received, _)) => match self.send(&buffer[..received]) {
                Some(sent) => {
                    if sent < received {
                        self.unsent.extend_from_slice(&buffer[sent..received]);
                    }
                    true
                }
                None => false,
            },
            Err(error) => is_transient(error),
        }
    }

    /// Sends what could not be sent before; returns whether the stream goes on.
    fn send_on(&mut self) -> bool {
        let sent = self.send(&self.unsent);
        if let Some(sent) = sent {
            self.unsent.drain(..sent);
        }
        sent.is_some()
    }

    /// Sends what the socket takes, and returns how much that is unless the stream is over.
    #[inline]
    fn send(&self, bytes: &[u8]) -> Option<usize> {
        match send(&self.socket, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => Some(sent),
            Err(error) => is_transient(error).then_some(0),
        }
    }
}

fn is_transient(error: Errno) -> bool {
    matches!(error, Errno::AGAIN | Errno::INTR)
}

/// What the events of a socket carry.
fn key(socket: &impl AsRawFd) -> epoll::EventData {
    epoll::EventData::new_u64(u64::from(socket.as_raw_fd().unsigned_abs()))
}
