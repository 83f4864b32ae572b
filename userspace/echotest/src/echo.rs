// SPDX-License-Identifier: GPL-2.0

//! The protocol: what was sent comes back.
//!
//! A datagram begins with its number, so that the one that comes back says which it is, whatever happened to the others.
//! The numbers of a socket begin at a place of its own among all that 64 bits hold: another socket's, or another run's,
//! are none that it ever sent.

use std::{error, fmt, ops::RangeInclusive, sync::Arc};

use loadgen::{
    app::{KsfColumns, Tool},
    args::number_in,
    load::Transport,
    manual::{Example, Manual},
    protocol::{Connection, Progress, Protocol},
    socket::SocketOptions,
    target::{Server, Target},
};

use crate::pattern::{Pattern, Place};

/// The bytes of a datagram's number, which is the least that a datagram has.
const NUMBER_BYTES: usize = 8;

/// The most is what UDP over IPv4 takes.
const DATAGRAM_LENGTHS: RangeInclusive<usize> = NUMBER_BYTES..=65_507;

/// The options that only echotest has.
#[derive(Debug, clap::Args)]
pub(crate) struct EchoTool {
    /// Bytes per message, at most 16m; with --udp 8 to 65507
    #[arg(short, long, value_name = "N", default_value = "32", value_parser = number_in::<usize>(1..=16 << 20))]
    length: usize,
}

impl Tool for EchoTool {
    const NAME: &'static str = "echotest";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ABOUT: &'static str =
        "Measures an echo server over TCP or UDP, and verifies every byte that comes back.";
    const NOTES: &'static str = "The default port is 60007.\n\nMbit/s is in each direction.";
    const REQUESTS: &'static str = "messages";
    const MANUAL: Manual = Manual {
        description: &[
            "echotest sends messages to an echo server, over TCP or UDP, and verifies every byte that comes back. It \
             measures round trips and messages per second of any echo server: kecho of ksf, socat, that of an inetd.",
            "No two messages of a connection are the same as far as their length allows, and neither are those of two \
             connections or runs: what comes from elsewhere is noticed. A datagram begins with its number.",
        ],
        examples: &[
            Example {
                command: "echotest server",
                what: "Measure round trips, one message in flight.",
            },
            Example {
                command: "echotest -a 128 -i 10 server",
                what: "Keep 128 messages in flight, in 10 runs with connections of their own.",
            },
            Example {
                command: "echotest -u -l 1k -j 2 --cpus 0,1 server:7",
                what: "Exchange datagrams of 1,024 bytes with port 7, by two threads on processors of their own.",
            },
            Example {
                command: "echotest --rate 5k --arrivals exponential --duration 1s server",
                what: "Send 5,000 messages a second at random times, whatever the server does.",
            },
            Example {
                command: "echotest -i 5 --json=one.json --hdr-log one.hlog --plot one.html server",
                what: "Store everything that was measured, and draw it.",
            },
            Example {
                command: "echotest compare -i 10 -c 1k server:7 server",
                what: "Tell which of two servers is faster, by ten pairs of runs.",
            },
            Example {
                command: "echotest merge one.json",
                what: "Report a stored document again; of several, put together what machines measured at the same time.",
            },
        ],
        see_also: &[("rpctest", 1), ("ksfstat", 1)],
    };
    type Protocol = Echo;

    fn protocol(&self, transport: Transport, _: u64) -> Result<Echo, String> {
        if transport == Transport::Datagrams && !DATAGRAM_LENGTHS.contains(&self.length) {
            return Err(format!(
                "invalid value '{}' for '--length <N>' with '--udp': not in {} to {}",
                self.length,
                DATAGRAM_LENGTHS.start(),
                DATAGRAM_LENGTHS.end()
            ));
        }
        Ok(Echo {
            pattern: Arc::new(Pattern::new(self.length)),
            transport,
        })
    }

    fn request_bytes(&self, _: Transport) -> usize {
        self.length
    }

    fn subject(&self) -> Option<String> {
        Some(format!("messages of {} bytes", self.length))
    }

    fn ksf_columns(&self) -> Option<KsfColumns> {
        Some(KsfColumns::EchoTest)
    }

    fn default_target(
        &self,
        server: &Server,
        _: Transport,
        _: &SocketOptions,
    ) -> anyhow::Result<Target> {
        Ok(server.at(60007))
    }
}

/// Messages of one length.
#[derive(Debug)]
pub(crate) struct Echo {
    pattern: Arc<Pattern>,
    transport: Transport,
}

impl Protocol for Echo {
    type Connection = EchoConnection;

    fn connection(&self, number: u64) -> EchoConnection {
        EchoConnection {
            pattern: Arc::clone(&self.pattern),
            number,
            // Multiples of the golden ratio are as far apart as so many places can be.
            first: (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            has_numbers: self.transport == Transport::Datagrams,
            datagram: Vec::new(),
            to_send: Place::of(number, 0),
            next: 0,
            expected: Place::of(number, 0),
            partly: 0,
        }
    }
}

/// What one connection says, and how much of it came back.
#[derive(Debug)]
pub(crate) struct EchoConnection {
    pattern: Arc<Pattern>,
    number: u64,
    /// What the number of the first datagram is on the wire.
    first: u64,
    /// Whether messages begin with their number.
    has_numbers: bool,
    /// The last of those, if they do.
    datagram: Vec<u8>,
    /// Where the message to be sent next is.
    to_send: Place,
    /// In a stream, the message whose reply is due, and where it is.
    next: u64,
    expected: Place,
    /// How much of it has come.
    partly: usize,
}

impl Connection for EchoConnection {
    type Mismatch = Mismatch;

    #[inline(always)]
    fn request(&mut self, seq: u64) -> &[u8] {
        let content = self.pattern.at(self.to_send);
        self.to_send.advance();
        if !self.has_numbers {
            return content;
        }
        self.datagram.clear();
        self.datagram
            .extend_from_slice(&self.first.wrapping_add(seq).to_be_bytes());
        self.datagram.extend_from_slice(&content[NUMBER_BYTES..]);
        &self.datagram
    }

    #[inline(always)]
    fn usual_reply(&mut self, bytes: &[u8], sent: u64) -> Option<u64> {
        let is_next = self.next != sent && self.partly == 0;
        if !is_next || !self.pattern.is_at(self.expected, bytes) {
            return None;
        }
        self.expected.advance();
        self.next += 1;
        Some(self.next - 1)
    }

    fn stream(&mut self, bytes: &[u8], sent: u64) -> Result<Progress, Mismatch> {
        if self.next == sent {
            return Err(Mismatch::Surplus {
                bytes: bytes.len(),
                message: sent,
            });
        }
        let expected = &self.pattern.at(self.expected)[self.partly..];
        let consumed = bytes.len().min(expected.len());
        if bytes[..consumed] != expected[..consumed] {
            return Err(Mismatch::wrong_byte(
                self.next,
                self.partly,
                expected,
                bytes,
            ));
        }
        let answered = if consumed == expected.len() {
            self.next += 1;
            self.expected.advance();
            self.partly = 0;
            Some(self.next - 1)
        } else {
            self.partly += consumed;
            None
        };
        Ok(Progress { consumed, answered })
    }

    #[inline]
    fn datagram(&mut self, bytes: &[u8], sent: u64) -> Result<u64, Mismatch> {
        let length = self.pattern.message_bytes();
        let (number, content) = match bytes.split_first_chunk::<NUMBER_BYTES>() {
            Some(parts) if bytes.len() == length => parts,
            _ => {
                return Err(Mismatch::WrongLength {
                    expected: length,
                    got: bytes.len(),
                })
            }
        };
        let seq = u64::from_be_bytes(*number).wrapping_sub(self.first);
        if seq >= sent {
            return Err(Mismatch::NeverSent);
        }
        let expected = &self.pattern.message(self.number, seq)[NUMBER_BYTES..];
        if content != expected {
            return Err(Mismatch::wrong_byte(seq, NUMBER_BYTES, expected, content));
        }
        Ok(seq)
    }

    #[inline]
    fn reply_bytes(&self, replies: usize) -> usize {
        self.pattern.message_bytes().saturating_mul(replies) - self.partly
    }

    fn partial_bytes(&self) -> usize {
        self.partly
    }
}

/// What is wrong with a reply. Messages are numbered from 1, as a user counts, and offsets in them from 0.
#[derive(Debug)]
pub(crate) enum Mismatch {
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
}

impl Mismatch {
    /// The first byte of `got` that is not that of `expected`. Both begin at `offset` of the message, whose number is
    /// from 0.
    #[cold]
    fn wrong_byte(message: u64, offset: usize, expected: &[u8], got: &[u8]) -> Self {
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

impl fmt::Display for Mismatch {
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
        }
    }
}

impl error::Error for Mismatch {}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(length: usize, number: u64, transport: Transport) -> EchoConnection {
        let protocol = EchoTool { length }.protocol(transport, 1).unwrap();
        protocol.connection(number)
    }

    fn requests(connection: &mut EchoConnection, count: u64) -> Vec<Vec<u8>> {
        let request = |seq| connection.request(seq).to_vec();
        (0..count).map(request).collect()
    }

    #[test]
    fn datagrams_have_limits_of_their_own() {
        for (length, fits) in [(7, false), (8, true), (65_507, true), (65_508, false)] {
            let tool = EchoTool { length };
            assert_eq!(tool.protocol(Transport::Datagrams, 1).is_ok(), fits);
            assert!(tool.protocol(Transport::Stream, 1).is_ok());
        }
    }

    #[test]
    fn a_stream_is_verified_however_it_is_cut() {
        for piece in [1, 5, 32, 33, 320] {
            let mut connection = connection(32, 7, Transport::Stream);
            let stream = requests(&mut connection, 10).concat();
            let mut answered = Vec::new();
            for piece in stream.chunks(piece) {
                let mut rest = piece;
                while !rest.is_empty() {
                    let left = 320 - answered.len() * 32 - connection.partly;
                    assert_eq!(connection.reply_bytes(10 - answered.len()), left);
                    let progress = connection.stream(rest, 10).unwrap();
                    rest = &rest[progress.consumed..];
                    answered.extend(progress.answered);
                }
            }
            assert_eq!(answered, (0..10).collect::<Vec<_>>());
            let error = connection.stream(b"!", 10).unwrap_err();
            assert_eq!(
                error.to_string(),
                "bytes that were not sent: 1, after the reply to message 10"
            );
        }
    }

    #[test]
    fn each_wrong_byte_of_a_stream_is_found() {
        for place in 0..64 {
            let mut connection = connection(32, 0, Transport::Stream);
            let mut stream = requests(&mut connection, 2).concat();
            stream[place] ^= 1;
            let mut rest = stream.as_slice();
            let error = loop {
                match connection.stream(rest, 2) {
                    Ok(progress) => rest = &rest[progress.consumed..],
                    Err(error) => break error.to_string(),
                }
            };
            let start = format!("message {}, offset {}: ", place / 32 + 1, place % 32);
            assert!(error.starts_with(&start), "{error}");
        }
    }

    #[test]
    fn datagrams_say_which_they_are() {
        let mut connection = connection(32, 7, Transport::Datagrams);
        let requests = requests(&mut connection, 5);
        for seq in [4, 0, 0, 2] {
            assert_eq!(connection.datagram(&requests[seq], 5).unwrap(), seq as u64);
        }
        let early = connection.datagram(&requests[4], 4).unwrap_err();
        assert!(matches!(early, Mismatch::NeverSent));
        let mut wrong = requests[3].clone();
        wrong[9] ^= 1;
        let error = connection.datagram(&wrong, 5).unwrap_err();
        assert!(error.to_string().starts_with("message 4, offset 9: "));
        let error = connection.datagram(&wrong[..31], 5).unwrap_err();
        assert_eq!(error.to_string(), "a datagram of 31 bytes instead of 32");
    }

    #[test]
    fn sockets_share_no_numbers() {
        let mut this = connection(NUMBER_BYTES, 7, Transport::Datagrams);
        let mut others = (0..10_000).filter(|&number| number != 7);
        assert!(others.all(|number| {
            let other = connection(NUMBER_BYTES, number, Transport::Datagrams);
            let foreign = other.first.to_be_bytes();
            matches!(this.datagram(&foreign, 1 << 40), Err(Mismatch::NeverSent))
        }));
        let own = this.first.to_be_bytes();
        assert_eq!(this.datagram(&own, 1).unwrap(), 0);
    }
}
