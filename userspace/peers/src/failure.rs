// SPDX-License-Identifier: GPL-2.0

//! What can go wrong with a peer.

use std::{
    error, fmt,
    io::{self, ErrorKind},
    net::SocketAddr,
    time::Duration,
};

use rustix::io::Errno;

/// Why a peer was given up. Offsets are those of the connection's stream, or of the datagram, from 0.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A byte came back that is not the one that was sent.
    WrongByte {
        /// The place of the byte.
        offset: u64,
        /// What was sent.
        expected: u8,
        /// What came back.
        got: u8,
    },
    /// More came back than was sent.
    Surplus {
        /// How many bytes were sent.
        sent: u64,
    },
    /// The server ended the stream before all that was sent had come back.
    ClosedEarly {
        /// How many bytes were sent.
        sent: u64,
        /// How many of them had come back.
        received: u64,
    },
    /// The server closed a connection sooner than it should.
    ClosedTooSoon {
        /// How long the connection had been silent.
        after: Duration,
        /// How long it may be silent.
        earliest: Duration,
    },
    /// The server did not close a connection that it should have closed.
    NotClosed(Duration),
    /// Nothing could be sent or received for so long.
    NoProgress(Duration),
    /// A reply came later than it may.
    Late(Duration),
    /// No reply came to a datagram, however often it was sent.
    NoReply {
        /// The datagram's size.
        size: usize,
        /// How often it was sent.
        sends: u32,
    },
    /// A datagram came that is no reply to what was sent.
    WrongDatagram {
        /// The size of the datagram that was sent last.
        expected: usize,
        /// The size of the one that came.
        got: usize,
    },
    /// A reply came from another address than the one that was asked.
    WrongSource(SocketAddr),
    /// A reply came where none is to come.
    Answered {
        /// The size of the reply.
        size: usize,
    },
    /// The system's error, for example that the connection was reset.
    Io(io::Error),
}

impl Failure {
    /// What two different pieces of equal length mean: the first wrong byte. `offset` is that of the pieces.
    #[cold]
    pub(crate) fn wrong_byte(offset: u64, expected: &[u8], got: &[u8]) -> Self {
        let right = expected
            .iter()
            .zip(got)
            .take_while(|(expected, got)| expected == got)
            .count();
        Self::WrongByte {
            offset: offset + right as u64,
            expected: expected[right],
            got: got[right],
        }
    }

    /// Whether the server, or the lack of one, ended the connection or kept it from being made.
    pub(crate) fn is_end(&self) -> bool {
        match self {
            Self::ClosedEarly { .. } => true,
            Self::Io(error) => matches!(
                error.kind(),
                ErrorKind::ConnectionRefused
                    | ErrorKind::ConnectionReset
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::BrokenPipe
                    | ErrorKind::NotConnected
            ),
            _ => false,
        }
    }

    /// Whether it may be that the server was not there.
    pub(crate) fn is_absence(&self) -> bool {
        self.is_end() || matches!(self, Self::NoReply { .. })
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Errno> for Failure {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongByte {
                offset,
                expected,
                got,
            } => {
                write!(
                    f,
                    "offset {offset}: expected {expected:#04x}, got {got:#04x}"
                )
            }
            Self::Surplus { sent } => write!(f, "more came back than the {sent} bytes sent"),
            Self::ClosedEarly { sent, received } => write!(
                f,
                "closed by the server with {received} of {sent} bytes sent back"
            ),
            Self::ClosedTooSoon { after, earliest } => write!(
                f,
                "closed by the server after {:.3} s of silence, which may last {:.3} s",
                after.as_secs_f64(),
                earliest.as_secs_f64()
            ),
            Self::NotClosed(time) => {
                write!(
                    f,
                    "not closed by the server within {:.3} s",
                    time.as_secs_f64()
                )
            }
            Self::NoProgress(time) => write!(f, "no progress for {:.3} s", time.as_secs_f64()),
            Self::Late(time) => write!(f, "no reply within {:.3} s", time.as_secs_f64()),
            Self::NoReply { size, sends } => {
                write!(f, "no reply to {size} bytes that were sent {sends} times")
            }
            Self::WrongDatagram { expected, got } => write!(
                f,
                "{got} bytes came that are no reply to the {expected} bytes that were sent"
            ),
            Self::WrongSource(address) => write!(f, "the reply came from {address}"),
            Self::Answered { size } => write!(f, "a reply of {size} bytes came"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl error::Error for Failure {}
