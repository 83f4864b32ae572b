// SPDX-License-Identifier: GPL-2.0

//! Sends one call and receives the reply to it, in a time that has an end whatever the server does.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{anyhow, Context};
use loadgen::{
    load::Transport,
    socket::SocketOptions,
    target::{ConnectError, Peer},
};
use wire::record::{Limits, Mark, Parser};

use super::message::MAX_BYTES;

/// The most fragments of a reply.
const MAX_FRAGMENTS: u32 = 64;

/// A datagram is sent so often, as it or the reply may be lost.
const SENDS: u32 = 4;

/// When an answer is too late.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    at: Instant,
    timeout: Duration,
}

impl Deadline {
    /// The time when so much has passed from `now` on.
    pub(super) fn new(now: Instant, timeout: Duration) -> Self {
        Self {
            at: now + timeout,
            timeout,
        }
    }

    /// How much time is left, and more than none.
    fn left(&self) -> io::Result<Duration> {
        match self.at.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(self.error()),
            left => Ok(left),
        }
    }

    fn error(&self) -> io::Error {
        let seconds = (self.timeout.as_secs_f64() * 1e3).round() / 1e3;
        io::Error::new(ErrorKind::TimedOut, format!("no answer within {seconds} s"))
    }

    /// What the system's error is if the time is over.
    fn explain(&self, error: io::Error) -> io::Error {
        match error.kind() {
            ErrorKind::WouldBlock => self.error(),
            _ => error,
        }
    }
}

/// Sends a call to an address, and returns the reply to it.
pub(super) fn exchange(
    call: &[u8],
    address: SocketAddr,
    transport: Transport,
    options: &SocketOptions,
    deadline: Deadline,
) -> anyhow::Result<Vec<u8>> {
    let options = SocketOptions {
        timeout: deadline.left()?,
        ..*options
    };
    let sockets = Peer::from(address)
        .open(transport, 1, &options)
        .map_err(|ConnectError { error, .. }| anyhow!("cannot connect: {error}"))?;
    let socket = sockets.sockets.into_iter().next().context("no socket")?;
    match transport {
        Transport::Stream => {
            let stream = TcpStream::from(socket);
            over_stream(call, &mut Timed { stream, deadline })
        }
        Transport::Datagrams | Transport::Rx => {
            over_datagrams(call, &UdpSocket::from(socket), deadline)
        }
    }
}

/// A connection on which nothing takes longer than until the deadline.
struct Timed {
    stream: TcpStream,
    deadline: Deadline,
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.deadline.left()?))?;
        let received = self.stream.read(buffer);
        received.map_err(|error| self.deadline.explain(error))
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.deadline.left()?))?;
        let sent = self.stream.write(bytes);
        sent.map_err(|error| self.deadline.explain(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Sends a call as a record, and receives one.
fn over_stream(call: &[u8], stream: &mut (impl Read + Write)) -> anyhow::Result<Vec<u8>> {
    let mark = Mark::new(call.len() as u32, true).context("too long")?;
    stream.write_all(&[&mark.to_bytes()[..], call].concat())?;
    let mut parser = Parser::new(Limits {
        bytes: MAX_BYTES as u32,
        fragments: MAX_FRAGMENTS,
    });
    let mut record = Vec::new();
    let mut buffer = [0; MAX_BYTES];
    loop {
        // No more than is known to be of this record.
        let wanted = parser.missing().min(MAX_BYTES);
        let received = match stream.read(&mut buffer[..wanted]) {
            Ok(0) => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
            Ok(received) => received,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        let mut bytes = &buffer[..received];
        while let Some(piece) = parser.next(&mut bytes)? {
            record.extend_from_slice(piece.bytes);
            if piece.ends_record {
                return Ok(record);
            }
        }
    }
}

/// Sends a call as a datagram, more than once if need be, and receives the first that has its xid.
fn over_datagrams(call: &[u8], socket: &UdpSocket, deadline: Deadline) -> anyhow::Result<Vec<u8>> {
    let xid = call.first_chunk::<4>();
    let mut buffer = [0; MAX_BYTES];
    loop {
        socket.send(call)?;
        let patience = deadline.left()?.min(deadline.timeout / SENDS);
        let again = Deadline::new(Instant::now(), patience);
        while let Ok(left) = again.left() {
            socket.set_read_timeout(Some(left))?;
            match socket.recv(&mut buffer) {
                Ok(len) if buffer[..len].first_chunk() == xid => return Ok(buffer[..len].to_vec()),
                Ok(_) => {}
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::Interrupted => {}
                    _ => return Err(error.into()),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// A connection to a server that has these bytes to say.
    struct Server {
        said: Vec<u8>,
        says: VecDeque<u8>,
    }

    impl Read for Server {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.says.read(buffer)
        }
    }

    impl Write for Server {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.said.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn reply(says: &[u8]) -> Result<Vec<u8>, String> {
        let mut server = Server {
            said: Vec::new(),
            says: says.iter().copied().collect(),
        };
        let reply = over_stream(b"call", &mut server);
        assert_eq!(server.said, b"\x80\0\0\x04call");
        reply.map_err(|error| error.to_string())
    }

    #[test]
    fn a_record_is_received() {
        let stream = b"\0\0\0\x03rep\0\0\0\0\x80\0\0\x02ly\x80";
        assert_eq!(reply(stream), Ok(b"reply".to_vec()));
    }

    #[test]
    fn what_is_no_record_is_told() {
        for (says, error) in [
            (
                &b"\xff\xff\xff\xff"[..],
                "a record of at least 2147483647 bytes, where 692 are the limit",
            ),
            (&[0; 65 * 4], "a record of more than 64 fragments"),
            (b"\x80\0", "unexpected end of file"),
        ] {
            assert_eq!(reply(says), Err(error.to_owned()));
        }
    }
}
