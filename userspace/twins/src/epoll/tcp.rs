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
    net::{accept_with, recv, send, shutdown, RecvFlags, SendFlags, Shutdown, SocketFlags},
};

use crate::{Served, Server, Service, BUFFER_BYTES};

/// How many events one call waits for at most.
const EVENTS: usize = 256;

/// Events come when something changes, for looking at a connection again after it was served costs more than telling epoll
/// about the few with which that was not all.
const FLAGS: EventFlags = EventFlags::IN
    .union(EventFlags::OUT)
    .union(EventFlags::RDHUP)
    .union(EventFlags::ET);

/// A connection and what it could not be sent yet.
#[derive(Debug)]
struct Connection<S> {
    socket: OwnedFd,
    stream: S,
    /// While there is something here nothing is received, so that a client that does not read is stopped by its window.
    unsent: Vec<u8>,
    /// Whether nothing more is served.
    is_over: bool,
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// It waits for the next event.
    Wait,
    /// There may be more to do, of which no event tells.
    Again,
    Close,
}

/// A listener and its connections.
///
/// What an event is about is said by the number of the descriptor, which also is a connection's place. A number that is
/// used anew has no event of its predecessor, for a wait returns at most one for each descriptor.
#[derive(Debug)]
pub struct Streams<S: Service> {
    epoll: OwnedFd,
    listener: TcpListener,
    /// Whether the system has no descriptor for another connection. Until one is closed, none is accepted.
    is_full: bool,
    connections: Vec<Option<Connection<S::Stream>>>,
    buffer: Vec<u8>,
    service: S,
}

impl<S: Service> Streams<S> {
    /// Has `service` serve the connections of `listener`.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn new(listener: TcpListener, service: S) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, key(&listener), EventFlags::IN)?;
        Ok(Self {
            epoll,
            listener,
            is_full: false,
            connections: Vec::new(),
            buffer: vec![0; BUFFER_BYTES],
            service,
        })
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
        epoll::add(&self.epoll, &socket, key(&socket), FLAGS)?;
        let place = key(&socket).u64() as usize;
        if self.connections.len() <= place {
            self.connections.resize_with(place + 1, || None);
        }
        self.connections[place] = Some(Connection {
            socket,
            stream: S::Stream::default(),
            unsent: Vec::new(),
            is_over: false,
        });
        Ok(())
    }

    /// Does what a connection can do now, and closes it if that is over.
    #[inline]
    fn turn(&mut self, place: usize, flags: EventFlags) -> io::Result<()> {
        let Some(connection) = &mut self.connections[place] else {
            return Ok(());
        };
        let then = if connection.unsent.is_empty() {
            connection.receive(&mut self.service, &mut self.buffer)
        } else {
            connection.send_on()
        };
        let ends = flags.contains(EventFlags::RDHUP);
        let is_blocked = !connection.unsent.is_empty();
        match then {
            Then::Wait if !ends || is_blocked => Ok(()),
            // The end of the stream came with what was received; only the next call says so.
            Then::Wait | Then::Again => {
                let (socket, data) = (&connection.socket, key(&connection.socket));
                Ok(epoll::modify(&self.epoll, socket, data, FLAGS)?)
            }
            Then::Close => self.close(place),
        }
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

impl<S: Service> Server for Streams<S> {
    fn serve(&mut self) -> io::Result<Infallible> {
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
                    self.turn(place as usize, event.flags)?;
                }
            }
        }
    }
}

impl<S> Connection<S> {
    /// Receives and serves, and keeps what cannot be sent yet.
    #[inline]
    fn receive(&mut self, service: &mut impl Service<Stream = S>, buffer: &mut [u8]) -> Then {
        let received = match recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
            Ok((0, _)) => return Then::Close,
            Ok((received, _)) => received,
            Err(Errno::AGAIN) => return Then::Wait,
            Err(Errno::INTR) => return Then::Again,
            Err(_) => return Then::Close,
        };
        let more = if received == buffer.len() {
            Then::Again
        } else {
            Then::Wait
        };
        if self.is_over {
            return more;
        }
        let Served { answer, is_last } = service.stream(&mut self.stream, &buffer[..received]);
        self.is_over = is_last;
        if !answer.is_empty() {
            let Some(sent) = self.send(answer) else {
                return Then::Close;
            };
            if sent < answer.len() {
                self.unsent.extend_from_slice(&answer[sent..]);
                return Then::Again;
            }
        }
        self.end_if_over();
        more
    }

    /// Sends what could not be sent before.
    fn send_on(&mut self) -> Then {
        match self.send(&self.unsent) {
            Some(0) => Then::Wait,
            Some(sent) => {
                self.unsent.drain(..sent);
                if self.unsent.is_empty() {
                    self.end_if_over();
                }
                Then::Again
            }
            None => Then::Close,
        }
    }

    /// Sends what the socket takes, and returns how much that is unless the stream is over.
    #[inline]
    fn send(&self, bytes: &[u8]) -> Option<usize> {
        match send(&self.socket, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => Some(sent),
            Err(Errno::AGAIN | Errno::INTR) => Some(0),
            Err(_) => None,
        }
    }

    /// Ends the stream to the client after the last answer, which was sent.
    #[inline]
    fn end_if_over(&self) {
        if self.is_over {
            // If the client has gone, receiving says so.
            let _ = shutdown(&self.socket, Shutdown::Write);
        }
    }
}

/// What the events of a socket carry.
fn key(socket: &impl AsRawFd) -> epoll::EventData {
    epoll::EventData::new_u64(u64::from(socket.as_raw_fd().unsigned_abs()))
}
