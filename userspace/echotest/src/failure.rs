// SPDX-License-Identifier: GPL-2.0

//! What can go wrong on a connection.

use std::{error, fmt, io, time::Duration};

/// Why a connection was given up. Messages are numbered from 1, as a user counts, and offsets in them from 0.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A byte came back that is not the one that was sent.
    WrongByte {
        /// The message that was due.
        message: u64,
        /// The place of the byte in the message.
        offset: usize,
        /// What was sent.
        expected: u8,
        /// What came back.
        got: u8,
    },
    /// Bytes came back when no reply was due.
    Surplus {
        /// How many there were at least.
        bytes: usize,
        /// The last message that was sent.
        message: u64,
    },
    /// A datagram came back that is not as long as the one that was sent.
    WrongLength {
        /// The length of those that were sent.
        expected: usize,
        /// What came back.
        got: usize,
    },
    /// A datagram came back whose number is that of none that was sent.
    NeverSent,
    /// The server ended the stream before the last reply.
    ClosedEarly,
    /// The server did not end the stream after the last reply, although its client did.
    NotClosed(Duration),
    /// Nothing could be sent or received for so long.
    NoProgress(Duration),
    /// The system's error, for example that the connection was reset.
    Io(io::Error),
}

impl Failure {
    /// The first byte of `got` that is not that of `expected`. Both begin at `offset` of the message, whose number is
    /// from 0.
    #[cold]
    pub(crate) fn wrong_byte(message: u64, offset: usize, expected: &[u8], got: &[u8]) -> Self {
        let right = got
            .iter()
            .zip(expected)
            .take_while(|(got, expected)| got == expected)
            .count();
        Self::WrongByte {
            message: message + 1,
            offset: offset + right,
            expected: expected[right],
            got: got[right],
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongByte {
                message,
                offset,
                expected,
                got,
            } => {
                write!(
                    f,
                    "message {message}, offset {offset}: expected {expected:#04x}, got {got:#04x}"
                )
            }
            Self::Surplus { bytes, message } => {
                write!(
                    f,
                    "bytes that were not sent: {bytes}, after the reply to message {message}"
                )
            }
            Self::WrongLength { expected, got } => {
                write!(f, "a datagram of {got} bytes instead of {expected}")
            }
            Self::NeverSent => f.write_str("a datagram with a number that was never sent"),
            Self::ClosedEarly => f.write_str("closed by the server before the last reply"),
            Self::NotClosed(timeout) => {
                write!(
                    f,
                    "not closed by the server within {} s of the client's end of stream",
                    timeout.as_secs()
                )
            }
            Self::NoProgress(timeout) => write!(f, "no progress for {} s", timeout.as_secs()),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl error::Error for Failure {}
