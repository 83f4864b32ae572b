// SPDX-License-Identifier: GPL-2.0

//! What `rxperf` asks of a server: to take bytes, to send some, or both. As OpenAFS (`src/tools/rxperf/rxperf.c`) and Linux
//! (`net/rxrpc/rxperf.c`) have it, which is not everywhere the same.
//!
//! A request is the words [`VERSION`], the [`Operation`], two sizes, what the operation needs, and then as many bytes as that
//! says. The reply is as many bytes as that says, and the [`COOKIE`], but for [`Operation::File`], which has none.
//!
//! Linux needs the cookie, or any four bytes, after the request too, and fails with it missing or with more; OpenAFS's client
//! never sends it, and its server takes whatever follows. So a client always sends it, and a server takes both: [`Parser`].

mod parser;

pub use parser::Parser;

use core::{error, fmt};

use crate::{
    rx::AbortCode,
    xdr::{
        self,
        Writer,
        UNIT, //
    },
};

/// The UDP port.
pub const PORT: u16 = 7009;

/// The Rx service.
pub const SERVICE: u16 = 147;

/// The protocol's version, and the first word of a request.
pub const VERSION: u32 = 3;

/// What a reply ends with, and with some clients a request: 0x4711.
pub const COOKIE: [u8; UNIT] = [0x00, 0x00, 0x47, 0x11];

/// The number of [`Operation::Send`].
const SEND: u32 = 0;

/// The number of [`Operation::Recv`].
const RECV: u32 = 1;

/// The number of [`Operation::Rpc`].
const RPC: u32 = 3;

/// The number of [`Operation::File`].
const FILE: u32 = 4;

/// The largest size of a read or a write that OpenAFS's server takes, in bytes. To Linux and to [`Parser`] they mean nothing.
pub const MAX_SIZE: u32 = 512 * 1024;

/// What a request asks for. Who sends and receives is the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// To take bytes.
    Send {
        /// How many.
        bytes: u32,
    },
    /// To send bytes.
    Recv {
        /// How many.
        bytes: u32,
    },
    /// To take bytes, and then to send some.
    Rpc {
        /// How many to take.
        send: u32,
        /// How many to send.
        recv: u32,
    },
    /// To take words, and then to send some, by a list that says how many: those after a 0 are to be sent. Only OpenAFS has it.
    File {
        /// How many words to take.
        send: u64,
        /// How many words to send.
        recv: u64,
    },
}

/// A request, but for the bytes that are to be taken.
///
/// # Examples
///
/// ```
/// use wire::{rxperf::{Operation, Parser, Request, COOKIE}, xdr::Writer};
///
/// let request = Request {
///     operation: Operation::Rpc { send: 3, recv: 30 },
///     read_size: 4096,
///     write_size: 4096,
/// };
/// let mut buffer = [0; 64];
/// let mut writer = Writer::new(&mut buffer);
/// request.write(&mut writer)?;
/// writer.bytes(b"abc")?;
/// writer.bytes(&COOKIE)?;
///
/// let mut parser = Parser::new();
/// for piece in writer.written().chunks(5) {
///     parser.push(piece)?;
/// }
/// assert_eq!(parser.finish()?, request);
/// assert_eq!(request.reply_len(), 34);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is to be done, and with how much. OpenAFS takes numbers beyond 2³¹ − 1 for negative ones, and those for 0.
    pub operation: Operation,
    /// How many bytes to read at once, which is not seen from outside.
    pub read_size: u32,
    /// How many bytes to write at once, which is not seen from outside.
    pub write_size: u32,
}

impl Request {
    /// The most bytes that [`Self::write`] writes.
    pub const MAX_BYTES: usize = 8 * UNIT;

    /// How many bytes are to be taken, or the nearest `u64` to that.
    #[inline]
    pub const fn request_bytes(&self) -> u64 {
        match self.operation {
            Operation::Send { bytes } => bytes as u64,
            Operation::Recv { .. } => 0,
            Operation::Rpc { send, .. } => send as u64,
            Operation::File { send, .. } => send.saturating_mul(UNIT as u64),
        }
    }

    /// How many bytes are to be sent, without the cookie, or the nearest `u64` to that.
    #[inline]
    pub const fn reply_bytes(&self) -> u64 {
        match self.operation {
            Operation::Send { .. } => 0,
            Operation::Recv { bytes } => bytes as u64,
            Operation::Rpc { recv, .. } => recv as u64,
            Operation::File { recv, .. } => recv.saturating_mul(UNIT as u64),
        }
    }

    /// Whether the reply ends with the [`COOKIE`].
    #[inline]
    pub const fn has_cookie(&self) -> bool {
        !matches!(self.operation, Operation::File { .. })
    }

    /// How many bytes the reply has, with the cookie if there is one, or the nearest `u64` to that.
    #[inline]
    pub const fn reply_len(&self) -> u64 {
        let cookie = if self.has_cookie() { COOKIE.len() } else { 0 };
        self.reply_bytes().saturating_add(cookie as u64)
    }

    /// Writes the request; the bytes that are to be taken come next, and then the cookie.
    ///
    /// # Errors
    ///
    /// If there is no room, or FILE has more words than its list can say in one.
    pub fn write(&self, writer: &mut Writer<'_>) -> xdr::Result {
        writer.u32(VERSION)?;
        writer.u32(match self.operation {
            Operation::Send { .. } => SEND,
            Operation::Recv { .. } => RECV,
            Operation::Rpc { .. } => RPC,
            Operation::File { .. } => FILE,
        })?;
        writer.u32(self.read_size)?;
        writer.u32(self.write_size)?;
        match self.operation {
            Operation::Send { bytes } | Operation::Recv { bytes } => writer.u32(bytes),
            Operation::Rpc { send, recv } => {
                writer.u32(send)?;
                writer.u32(recv)
            }
            Operation::File { send, recv } => {
                let word = |words: u64| {
                    let max = u32::MAX;
                    u32::try_from(words).map_err(|_| xdr::Error::TooLong { len: max, max })
                };
                match (word(send)?, word(recv)?) {
                    (0, 0) => writer.u32(0),
                    (0, recv) => [2, 0, recv].iter().try_for_each(|word| writer.u32(*word)),
                    (send, 0) => [1, send].iter().try_for_each(|word| writer.u32(*word)),
                    (send, recv) => {
                        let words = [3, send, 0, recv];
                        words.iter().try_for_each(|word| writer.u32(*word))
                    }
                }
            }
        }
    }
}

/// Why bytes are no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The version is another.
    Version(u32),
    /// There is no such operation.
    Operation(u32),
    /// FILE wants words taken after some were sent, which no call of Rx can do.
    TakesAfterSending,
    /// The request ends too early. OpenAFS answers a SEND nevertheless.
    Truncated,
    /// What follows the request is no cookie. OpenAFS does not mind.
    Surplus,
}

impl Error {
    /// The code by which Linux aborts the call. OpenAFS has [`AbortCode::CALL_DEAD`] for all.
    pub const fn abort_code(self) -> AbortCode {
        match self {
            Self::Version(_) => AbortCode::USER_ABORT,
            Self::Operation(_) => AbortCode::OPCODE,
            Self::TakesAfterSending | Self::Truncated | Self::Surplus => AbortCode::SS_UNMARSHAL,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "a request of rxperf version {version}"),
            Self::Operation(number) => write!(f, "a request for the unknown operation {number}"),
            Self::TakesAfterSending => f.write_str("a request that goes on after its reply"),
            Self::Truncated => f.write_str("a request that is cut off"),
            Self::Surplus => f.write_str("a request with bytes too many"),
        }
    }
}

impl error::Error for Error {}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::vec::Vec;

    fn written(operation: Operation) -> Result<Vec<u8>, xdr::Error> {
        let request = Request {
            operation,
            read_size: 0x0102_0304,
            write_size: 0x0506_0708,
        };
        let mut buffer = [0; Request::MAX_BYTES];
        let mut writer = Writer::new(&mut buffer);
        request.write(&mut writer)?;
        let len = writer.len();
        for room in 0..len {
            let error = request.write(&mut Writer::new(&mut buffer[..room]));
            assert_eq!(error, Err(xdr::Error::NoRoom), "{room}");
        }
        Ok(buffer[..len].to_vec())
    }

    #[test]
    fn each_operation_has_its_words() {
        let file = |send, recv| Operation::File { send, recv };
        for (operation, number, words) in [
            (Operation::Send { bytes: 0x0901 }, 0, &[0x0901][..]),
            (Operation::Recv { bytes: 0x0901 }, 1, &[0x0901]),
            (
                Operation::Rpc {
                    send: 0x0901,
                    recv: 0x0902,
                },
                3,
                &[0x0901, 0x0902],
            ),
            (file(0x0901, 0x0902), 4, &[3, 0x0901, 0, 0x0902]),
            (file(0x0901, 0), 4, &[1, 0x0901]),
            (file(0, 0x0902), 4, &[2, 0, 0x0902]),
            (file(0, 0), 4, &[0]),
            (file(u32::MAX.into(), 0), 4, &[1, u32::MAX]),
        ] {
            let words = [&[3, number, 0x0102_0304, 0x0506_0708], words].concat();
            let expected: Vec<_> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            assert_eq!(written(operation), Ok(expected), "{operation:?}");
        }
        let (len, max) = (u32::MAX, u32::MAX);
        for operation in [file(1 << 32, 0), file(0, 1 << 32)] {
            let error = Err(xdr::Error::TooLong { len, max });
            assert_eq!(written(operation), error);
        }
    }

    #[test]
    fn lengths_follow_from_the_operation() {
        for (operation, request_bytes, reply_bytes, reply_len) in [
            (Operation::Send { bytes: 5 }, 5, 0, 4),
            (
                Operation::Recv { bytes: u32::MAX },
                0,
                0xffff_ffff,
                0x1_0000_0003,
            ),
            (Operation::Rpc { send: 3, recv: 30 }, 3, 30, 34),
            (Operation::File { send: 3, recv: 5 }, 12, 20, 20),
            (
                Operation::File {
                    send: u64::MAX,
                    recv: u64::MAX,
                },
                u64::MAX,
                u64::MAX,
                u64::MAX,
            ),
        ] {
            let request = Request {
                operation,
                read_size: 0,
                write_size: 0,
            };
            assert_eq!(request.request_bytes(), request_bytes);
            assert_eq!(request.reply_bytes(), reply_bytes);
            assert_eq!(request.reply_len(), reply_len);
        }
    }

    #[test]
    fn errors_have_the_codes_of_linux() {
        for (error, code) in [
            (Error::Version(2), -6),
            (Error::Operation(2), -455),
            (Error::TakesAfterSending, -453),
            (Error::Truncated, -453),
            (Error::Surplus, -453),
        ] {
            assert_eq!(error.abort_code(), AbortCode(code));
        }
    }
}
