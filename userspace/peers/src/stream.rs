// SPDX-License-Identifier: GPL-2.0

//! A TCP connection that never blocks, and that knows what is to come back.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{poll, PollFd, PollFlags, Timespec},
    io::Errno,
    net::{
        bind, connect, getsockname, recv, send, shutdown, socket_with, sockopt, AddressFamily,
        RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType,
    },
};

use crate::{
    bytes::{Bytes, PIECE_BYTES},
    crowd::Next,
    events::Events,
    failure::Failure,
};

/// What all connections of a command share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The server.
    pub(crate) target: SocketAddr,
    /// What is sent.
    pub(crate) bytes: Bytes,
    /// How long nothing may happen.
    pub(crate) timeout: Duration,
    /// Where bytes are received, until they are compared.
    buffer: Box<[u8]>,
}

impl Shared {
    /// Connections to `target` that say what `seed` decides.
    pub(crate) fn new(target: SocketAddr, seed: u64, timeout: Duration) -> Self {
        Self {
            target,
            bytes: Bytes::new(seed),
            timeout,
            buffer: vec![0; PIECE_BYTES].into(),
        }
    }
}

/// Where a connection comes from, and with what.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Origin {
    /// Its own address. The system decides by default.
    pub(crate) source: Option<IpAddr>,
    /// The bytes of its socket's buffers. The system decides by default.
    pub(crate) buffers: Option<usize>,
}

/// What a turn has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Bytes were sent or received: there may be more to do.
    Progress,
    /// Nothing, until the socket changes.
    Blocked,
    /// The server has ended the stream, after all that was sent had come back.
    End,
}

/// A connection and how far it has come.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: OwnedFd,
    /// Its number, which its bytes depend on.
    number: u64,
    sent: u64,
    received: u64,
    /// When something happened last.
    progress_at: Instant,
}

impl Stream {
    /// Begins to connect. Whether it succeeds shows when something is sent or received.
    pub(crate) fn connect(shared: &Shared, number: u64, origin: Origin) -> Result<Self, Failure> {
        let target = shared.target;
        let family = match target {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        if let Some(bytes) = origin.buffers {
            sockopt::set_socket_send_buffer_size(&socket, bytes)?;
            sockopt::set_socket_recv_buffer_size(&socket, bytes)?;
        }
        if let Some(source) = origin.source {
            bind(&socket, &SocketAddr::new(source, 0))?;
        }
        match connect(&socket, &target) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        // Without a server on a local port, a socket may happen to be given that port and to connect to itself.
        if SocketAddr::try_from(getsockname(&socket)?).is_ok_and(|own| own == target) {
            return Err(io::Error::from(ErrorKind::ConnectionRefused).into());
        }
        Ok(Self {
            socket,
            number,
            sent: 0,
            received: 0,
            progress_at: Instant::now(),
        })
    }

    /// The connection in `slot`. If there is none, begins to connect, as member `number` of a crowd.
    pub(crate) fn open<'a>(
        slot: &'a mut Option<Self>,
        number: usize,
        origin: Origin,
        shared: &Shared,
        events: &Events,
    ) -> Result<&'a mut Self, Failure> {
        Ok(match slot {
            Some(stream) => stream,
            none => {
                let stream = Self::connect(shared, number as u64, origin)?;
                events.watch(&stream, number)?;
                none.insert(stream)
            }
        })
    }

    /// How many bytes were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// How many bytes came back.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// When something happened last.
    pub(crate) fn progress_at(&self) -> Instant {
        self.progress_at
    }

    /// Counts the time without progress anew.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.progress_at = now;
    }

    /// Sends once, up to the offset `send_to`, and receives once, up to the offset `receive_to`.
    pub(crate) fn turn(
        &mut self,
        shared: &mut Shared,
        send_to: u64,
        receive_to: u64,
    ) -> Result<Turn, Failure> {
        let sent = self.send(shared, send_to)?;
        if self.received >= receive_to {
            return Ok(sent);
        }
        Ok(match self.receive(shared, receive_to)? {
            Turn::Blocked => sent,
            other => other,
        })
    }

    /// What a connection that is blocked waits for: to go on, within the timeout.
    ///
    /// # Errors
    ///
    /// The timeout is over.
    pub(crate) fn wait(&self, shared: &Shared) -> Result<Next, Failure> {
        let deadline = self.progress_at + shared.timeout;
        if Instant::now() < deadline {
            Ok(Next::Wait(deadline))
        } else {
            Err(Failure::NoProgress(shared.timeout))
        }
    }

    /// Waits until there is a turn that gets further, for a connection whose thread has nothing else to do.
    ///
    /// # Errors
    ///
    /// The timeout is over.
    pub(crate) fn wait_alone(&self, shared: &Shared, send_to: u64) -> Result<(), Failure> {
        let Next::Wait(deadline) = self.wait(shared)? else {
            return Ok(());
        };
        let mut flags = PollFlags::IN;
        flags.set(PollFlags::OUT, self.sent < send_to);
        let mut fds = [PollFd::new(&self.socket, flags)];
        let time = deadline.saturating_duration_since(Instant::now());
        let timeout =
            Timespec::try_from(time).map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends once, up to the offset `to`, and receives nothing.
    pub(crate) fn send(&mut self, shared: &Shared, to: u64) -> Result<Turn, Failure> {
        let due = shared
            .bytes
            .of(self.number, self.sent, to.saturating_sub(self.sent));
        self.send_bytes(due)
    }

    /// Sends once, of these bytes, which nobody knows of who receives.
    pub(crate) fn send_bytes(&mut self, due: &[u8]) -> Result<Turn, Failure> {
        if due.is_empty() {
            return Ok(Turn::Blocked);
        }
        match send(&self.socket, due, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(sent) => {
                self.sent += sent as u64;
                self.progress_at = Instant::now();
                Ok(Turn::Progress)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(Turn::Blocked),
            Err(error) => Err(error.into()),
        }
    }

    /// Receives once, up to the offset `to`, and compares.
    fn receive(&mut self, shared: &mut Shared, to: u64) -> Result<Turn, Failure> {
        let Shared { bytes, buffer, .. } = shared;
        let room = usize::try_from(to - self.received)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let length = match recv(&self.socket, &mut buffer[..room], RecvFlags::DONTWAIT) {
            Ok((0, _)) if self.received == self.sent => return Ok(Turn::End),
            Ok((0, _)) => return Err(self.closed_early()),
            Ok((length, _)) => length,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(Turn::Blocked),
            Err(error) => return Err(error.into()),
        };
        let got = &buffer[..length];
        if length as u64 > self.sent - self.received {
            return Err(Failure::Surplus { sent: self.sent });
        }
        let expected = bytes.of(self.number, self.received, length as u64);
        if got != expected {
            return Err(Failure::wrong_byte(self.received, expected, got));
        }
        self.received += length as u64;
        self.progress_at = Instant::now();
        Ok(Turn::Progress)
    }

    /// What it means that the server has ended the stream before all that was sent had come back.
    pub(crate) fn closed_early(&self) -> Failure {
        Failure::ClosedEarly {
            sent: self.sent,
            received: self.received,
        }
    }

    /// Ends the client's side of the stream.
    pub(crate) fn end(&self) -> Result<(), Failure> {
        Ok(shutdown(&self.socket, Shutdown::Write)?)
    }

    /// Whether the server has ended the stream or reset the connection, whatever is still to be read.
    pub(crate) fn is_closed(&self) -> Result<bool, Failure> {
        let mut fds = [PollFd::new(&self.socket, PollFlags::RDHUP)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        match poll(&mut fds, Some(&now)) {
            Ok(_) => Ok(!fds[0].revents().is_empty()),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes closing reset the connection, as a host that crashes would.
    pub(crate) fn reset_on_close(&self) -> Result<(), Failure> {
        Ok(sockopt::set_socket_linger(
            &self.socket,
            Some(Duration::ZERO),
        )?)
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
