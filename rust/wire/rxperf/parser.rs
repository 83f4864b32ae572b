// SPDX-License-Identifier: GPL-2.0

//! Reading a request that comes in pieces.

use super::{
    Error,
    Operation,
    Request,
    FILE,
    RECV,
    RPC,
    SEND,
    VERSION, //
};
use crate::xdr::UNIT;

/// What comes next in a request.
#[derive(Clone, Copy, Debug)]
enum Next {
    Version,
    Operation,
    ReadSize,
    WriteSize,
    /// How many bytes are to be taken or sent.
    Bytes,
    /// How many bytes RPC is to send.
    Recv,
    /// How many words the list of FILE has.
    Count,
    /// So many words of that list, of which the first says how much is to be taken or sent.
    List {
        left: u32,
        sends: bool,
    },
    /// So many bytes that are to be taken.
    Body {
        left: u64,
    },
    /// The cookie, of which so many bytes have come.
    Cookie {
        have: usize,
    },
}

impl Next {
    /// So many words of a list, or what follows it.
    const fn list(left: u32, sends: bool, request: &Request) -> Self {
        match left {
            0 => Self::body(request.request_bytes()),
            _ => Self::List { left, sends },
        }
    }

    /// So many bytes, or what follows them.
    const fn body(left: u64) -> Self {
        match left {
            0 => Self::Cookie { have: 0 },
            _ => Self::Body { left },
        }
    }
}

/// Reads a request that comes in pieces of any size. It keeps no more than a word of it.
#[derive(Clone, Debug)]
pub struct Parser {
    next: Next,
    request: Request,
    /// The bytes of the next word that have come.
    word: [u8; UNIT],
    have: usize,
    failed: Option<Error>,
}

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}

impl Parser {
    /// A parser at the beginning of a request.
    pub const fn new() -> Self {
        Self {
            next: Next::Version,
            request: Request {
                operation: Operation::Send { bytes: 0 },
                read_size: 0,
                write_size: 0,
            },
            word: [0; UNIT],
            have: 0,
            failed: None,
        }
    }

    /// Takes the next bytes of the request. After an error, it is the same error for ever.
    ///
    /// # Errors
    ///
    /// As soon as they cannot be those of a request.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match &mut self.next {
            // As most often: a short cut.
            Next::Body { left } if *left > bytes.len() as u64 => {
                *left = left.saturating_sub(bytes.len() as u64);
                Ok(())
            }
            _ => self.push_any(bytes),
        }
    }

    /// The request, as soon as all but the bytes that are to be taken has come, and until an error.
    #[inline]
    pub const fn request(&self) -> Option<Request> {
        match (self.failed, self.next) {
            (None, Next::Body { .. } | Next::Cookie { .. }) => Some(self.request),
            _ => None,
        }
    }

    /// The request, which has come in whole.
    ///
    /// # Errors
    ///
    /// If it has not, or if there was an error before.
    pub const fn finish(&self) -> Result<Request, Error> {
        match (self.failed, self.next) {
            (Some(error), _) => Err(error),
            (None, Next::Cookie { have: 0 | UNIT }) => Ok(self.request),
            (None, Next::Cookie { .. }) => Err(Error::Surplus),
            _ => Err(Error::Truncated),
        }
    }

    fn push_any(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        while !bytes.is_empty() {
            let result = match self.next {
                Next::Body { left } => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX);
                    let (body, rest) = bytes.split_at_checked(here).unwrap_or((bytes, &[]));
                    bytes = rest;
                    Ok(Next::body(left.saturating_sub(body.len() as u64)))
                }
                Next::Cookie { have } => {
                    let have = have.saturating_add(bytes.len());
                    bytes = &[];
                    match have {
                        0..=UNIT => Ok(Next::Cookie { have }),
                        _ => Err(Error::Surplus),
                    }
                }
                _ => match self.take_word(&mut bytes) {
                    Some(word) => self.word(word),
                    None => return Ok(()),
                },
            };
            match result {
                Ok(next) => self.next = next,
                Err(error) => {
                    self.failed = Some(error);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// The next word, once all of it has come.
    fn take_word(&mut self, bytes: &mut &[u8]) -> Option<u32> {
        for place in self.word.iter_mut().skip(self.have) {
            let (byte, rest) = bytes.split_first()?;
            *place = *byte;
            *bytes = rest;
            self.have = self.have.saturating_add(1);
        }
        self.have = 0;
        Some(u32::from_be_bytes(self.word))
    }

    /// Takes a word of what comes before the body, and returns what follows it.
    fn word(&mut self, word: u32) -> Result<Next, Error> {
        let request = &mut self.request;
        Ok(match (self.next, &mut request.operation) {
            (Next::Version, _) if word == VERSION => Next::Operation,
            (Next::Version, _) => return Err(Error::Version(word)),
            (Next::Operation, operation) => {
                *operation = match word {
                    SEND => Operation::Send { bytes: 0 },
                    RECV => Operation::Recv { bytes: 0 },
                    RPC => Operation::Rpc { send: 0, recv: 0 },
                    FILE => Operation::File { send: 0, recv: 0 },
                    _ => return Err(Error::Operation(word)),
                };
                Next::ReadSize
            }
            (Next::ReadSize, _) => {
                request.read_size = word;
                Next::WriteSize
            }
            (Next::WriteSize, operation) => {
                request.write_size = word;
                match operation {
                    Operation::File { .. } => Next::Count,
                    _ => Next::Bytes,
                }
            }
            (Next::Bytes, Operation::Send { bytes } | Operation::Recv { bytes }) => {
                *bytes = word;
                Next::body(request.request_bytes())
            }
            (Next::Bytes, Operation::Rpc { send, .. }) => {
                *send = word;
                Next::Recv
            }
            (Next::Recv, Operation::Rpc { recv, .. }) => {
                *recv = word;
                Next::body(request.request_bytes())
            }
            (Next::Count, _) => Next::list(word, false, request),
            (Next::List { left, sends }, Operation::File { send, recv }) => {
                if word != 0 && !sends && *recv != 0 {
                    return Err(Error::TakesAfterSending);
                }
                // So many words are never too many for this.
                let sum = if sends { recv } else { send };
                *sum = sum.saturating_add(word.into());
                Next::list(left.saturating_sub(1), sends ^ (word == 0), request)
            }
            // No others come together.
            (next, _) => next,
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::rxperf::COOKIE;
    use std::vec::Vec;

    /// The request of `rxperf client -c rpc -S 3 -R 30` of OpenAFS, with what follows it.
    const RPC_REQUEST: &[u8] = b"\0\0\0\x03\0\0\0\x03\0\x08\0\0\0\x08\0\0\
        \0\0\0\x03\0\0\0\x1eabc";

    fn request(operation: Operation) -> Request {
        Request {
            operation,
            read_size: 0x0008_0000,
            write_size: 0x0008_0000,
        }
    }

    /// What is said to a request, which comes in pieces of each size.
    fn parsed(bytes: &[u8]) -> Result<Request, Error> {
        let results = (1..=bytes.len().max(1)).map(|size| {
            let mut parser = Parser::new();
            for piece in bytes.chunks(size) {
                if let Err(error) = parser.push(piece) {
                    // It stays.
                    assert_eq!(parser.push(b""), Err(error));
                    assert_eq!(parser.push(bytes), Err(error));
                    assert_eq!(parser.finish(), Err(error));
                    assert_eq!(parser.request(), None);
                }
            }
            parser.finish()
        });
        let results: Vec<_> = results.collect();
        assert!(results.iter().all(|result| *result == results[0]));
        results[0]
    }

    /// A request with these words after its sizes.
    fn with(operation: u32, words: &[u32], body: &[u8]) -> Vec<u8> {
        let begin = [3, operation, 0x0008_0000, 0x0008_0000];
        let words = begin.iter().chain(words);
        let words = words.flat_map(|word| word.to_be_bytes());
        words.chain(body.iter().copied()).collect()
    }

    #[test]
    fn requests_are_read_with_and_without_a_cookie() {
        for (bytes, operation) in [
            (with(0, &[5], b"abcde"), Operation::Send { bytes: 5 }),
            (with(0, &[0], b""), Operation::Send { bytes: 0 }),
            (with(1, &[1 << 20], b""), Operation::Recv { bytes: 1 << 20 }),
            (
                with(1, &[u32::MAX], b""),
                Operation::Recv { bytes: u32::MAX },
            ),
            (RPC_REQUEST.to_vec(), Operation::Rpc { send: 3, recv: 30 }),
            (with(3, &[0, 0], b""), Operation::Rpc { send: 0, recv: 0 }),
        ] {
            assert_eq!(parsed(&bytes), Ok(request(operation)));
            let bytes = [&bytes[..], &COOKIE].concat();
            assert_eq!(parsed(&bytes), Ok(request(operation)));
            // Linux does not look at what it is.
            let bytes = [&bytes[..bytes.len() - 4], b"any4"].concat();
            assert_eq!(parsed(&bytes), Ok(request(operation)));
            for surplus in [1, 2, 3, 5, 100] {
                let bytes = [&bytes[..bytes.len() - 4], &[0; 100][..surplus]].concat();
                assert_eq!(parsed(&bytes), Err(Error::Surplus), "{surplus}");
            }
            let len = bytes.len() - COOKIE.len();
            for len in 0..len {
                assert_eq!(parsed(&bytes[..len]), Err(Error::Truncated), "{len}");
            }
        }
    }

    #[test]
    fn a_list_says_what_is_taken_and_then_what_is_sent() {
        let body = [7; 20];
        for (list, send, recv) in [
            (&[][..], 0, 0),
            (&[0], 0, 0),
            (&[2], 2, 0),
            (&[2, 3], 5, 0),
            (&[2, 3, 0, 1, 9, 0x4000_0000], 5, 0x4000_000a),
            (&[0, 1], 0, 1),
            // A second 0 changes nothing, if there is nothing to take then.
            (&[1, 0, 7, 0], 1, 7),
            (&[1, 0, 7, 0, 0, 8], 1, 15),
            (&[1, 0, 0, 4], 5, 0),
        ] {
            let words = [&[list.len() as u32], list].concat();
            let bytes = with(4, &words, &body[..4 * send as usize]);
            let expected = request(Operation::File { send, recv });
            assert_eq!(parsed(&bytes), Ok(expected), "{list:?}");
            assert_eq!(expected.reply_len(), 4 * recv);
        }
        let bytes = with(4, &[5, 1, 0, 7, 0, 4], &body);
        assert_eq!(parsed(&bytes), Err(Error::TakesAfterSending));
        // There may be more than there ever can be.
        let bytes = with(4, &[u32::MAX, u32::MAX, u32::MAX], b"");
        assert_eq!(parsed(&bytes), Err(Error::Truncated));
    }

    #[test]
    fn what_is_known_is_said_before_the_bytes_have_come() {
        let expected = request(Operation::Rpc { send: 3, recv: 30 });
        for len in 0..=RPC_REQUEST.len() {
            let mut parser = Parser::new();
            parser.push(&RPC_REQUEST[..len]).unwrap();
            let known = (len >= 24).then_some(expected);
            assert_eq!(parser.request(), known, "{len}");
            assert_eq!(parser.finish().is_ok(), len == RPC_REQUEST.len());
        }
    }

    #[test]
    fn other_versions_and_operations_are_refused_at_once() {
        for version in [0, 2, 4, u32::MAX] {
            let result = parsed(&version.to_be_bytes());
            assert_eq!(result, Err(Error::Version(version)));
        }
        for operation in [2, 5, u32::MAX] {
            let bytes = with(operation, &[], b"");
            assert_eq!(parsed(&bytes[..7]), Err(Error::Truncated));
            assert_eq!(parsed(&bytes[..8]), Err(Error::Operation(operation)));
        }
    }
}
