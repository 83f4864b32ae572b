// SPDX-License-Identifier: GPL-2.0

//! What an RPC server has to say to any bytes, and bytes of all kinds to say it to.
//!
//! The answers come from RFC 5531 and from krpc's limits, by the places of bytes in a message; no code of `wire` takes
//! part. The server has NFS in the versions 2 to 4, each with NULL only, and may have ksf_echo: its procedure 1 takes an
//! opaque of at most 2048 bytes and nothing else, and returns it.

#[path = "calls/class.rs"]
pub(crate) mod class;
#[path = "calls/generator.rs"]
pub(crate) mod generator;

pub(crate) const NFS: u32 = 100_003;
pub(crate) const ECHO: u32 = 0x2000_6b65;

/// The most bytes of a record, without marks.
pub(crate) const MAX_RECORD: usize = 65_536;
/// The most fragments of a record.
pub(crate) const MAX_FRAGMENTS: usize = 64;
/// The message of another type than a call that closes its connection: this many of them are one too many.
pub(crate) const CLOSING_OTHER: usize = 16;
/// The most bytes that ksf_echo takes.
const MAX_ECHO: u32 = 2_048;
/// The most bytes of a reply over UDP.
const MAX_DATAGRAM: usize = 32;

/// What a server does about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It sends these bytes.
    Reply(Vec<u8>),
    /// It does nothing.
    Nothing,
    /// It closes the connection.
    Close,
}

/// What a server does about a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conversation {
    /// Its replies, with their marks.
    pub(crate) replies: Vec<u8>,
    /// How many replies these are.
    pub(crate) answered: usize,
    /// How many messages it says nothing to.
    pub(crate) ignored: usize,
    /// How many bytes of the stream it has to see before it closes the connection, if it does.
    pub(crate) closes_at: Option<usize>,
}

/// A server, as far as servers differ.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server {
    /// Whether it has ksf_echo.
    pub(crate) has_echo: bool,
}

impl Server {
    /// What is due for a message that came over TCP.
    pub(crate) fn answer(self, message: &[u8]) -> Answer {
        let word = |at| word(message, at);
        // The xid, and the type.
        match (word(0), word(4)) {
            (Some(_), Some(0)) if message.len() >= 24 => {}
            (Some(_), Some(1..)) => return Answer::Nothing,
            _ => return Answer::Close,
        }
        let accepted = |rest: &[u32]| reply(message, &[&[1, 0, 0, 0], rest].concat());
        let denied = |rest: &[u32]| reply(message, &[&[1, 1], rest].concat());
        if word(8) != Some(2) {
            return denied(&[0, 2, 2]);
        }
        let [program, version, procedure] = [12, 16, 20].map(|at| word(at).unwrap_or_default());
        // After the credential comes the verifier, and after that the arguments.
        let Some((verifier, arguments)) = end_of_auth(message, 24)
            .and_then(|verifier| Some((verifier, end_of_auth(message, verifier)?)))
        else {
            return denied(&[1, 1]);
        };
        let [flavor, length] = [24, 28].map(|at| word(at).unwrap_or_default());
        let is_known = match flavor {
            0 | 7 => length == 0,
            1 => is_unix_user(&message[32..32 + length as usize]),
            _ => false,
        };
        if !is_known {
            return denied(&[1, 1]);
        }
        if (word(verifier), word(verifier + 4)) != (Some(0), Some(0)) {
            return denied(&[1, 3]);
        }
        if flavor == 7 && procedure != 0 {
            return denied(&[1, 1]);
        }
        match (program, version, procedure) {
            (NFS, 2..=4, 0) => accepted(&[0]),
            (NFS, 2..=4, _) => accepted(&[3]),
            (NFS, _, _) => accepted(&[2, 2, 4]),
            (ECHO, _, _) if !self.has_echo => accepted(&[1]),
            (ECHO, 1, 0) => accepted(&[0]),
            (ECHO, 1, 1) => match echoed(message, arguments) {
                Some(result) => match accepted(&[0]) {
                    Answer::Reply(head) => Answer::Reply([&head, &result[..]].concat()),
                    other => other,
                },
                None => accepted(&[4]),
            },
            (ECHO, 1, _) => accepted(&[3]),
            (ECHO, _, _) => accepted(&[2, 1, 1]),
            _ => accepted(&[1]),
        }
    }

    /// The same for UDP, where no reply is long, and there is nothing to close.
    pub(crate) fn answer_datagram(self, message: &[u8]) -> Answer {
        match self.answer(message) {
            Answer::Close => Answer::Nothing,
            Answer::Reply(long) if long.len() > MAX_DATAGRAM => reply(message, &[1, 0, 0, 0, 5]),
            other => other,
        }
    }

    /// What is due for a stream.
    pub(crate) fn converse(self, stream: &[u8]) -> Conversation {
        let mut said = Conversation::default();
        let (mut at, mut message, mut fragments) = (0, Vec::new(), 0);
        while let Some(mark) = word(stream, at) {
            at += 4;
            let length = (mark & 0x7fff_ffff) as usize;
            fragments += 1;
            if fragments > MAX_FRAGMENTS || message.len() + length > MAX_RECORD {
                said.closes_at = Some(at);
                break;
            }
            let Some(bytes) = stream.get(at..at + length) else {
                break;
            };
            message.extend_from_slice(bytes);
            at += length;
            if mark >> 31 == 0 {
                continue;
            }
            match self.answer(&message) {
                Answer::Reply(reply) => {
                    said.answered += 1;
                    let mark = 0x8000_0000 | reply.len() as u32;
                    said.replies.extend_from_slice(&mark.to_be_bytes());
                    said.replies.extend_from_slice(&reply);
                }
                Answer::Nothing => {
                    said.ignored += 1;
                    if said.ignored == CLOSING_OTHER {
                        said.closes_at = Some(at);
                        break;
                    }
                }
                Answer::Close => {
                    said.closes_at = Some(at);
                    break;
                }
            }
            message.clear();
            fragments = 0;
        }
        said
    }
}

/// The four bytes from there on as a number.
pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(
        four.iter()
            .fold(0, |sum, byte| (sum << 8) | u32::from(*byte)),
    )
}

/// A multiple of four.
fn padded(length: u32) -> usize {
    (length as usize).div_ceil(4) * 4
}

/// A reply to a message: its first four bytes, and these words.
fn reply(message: &[u8], words: &[u32]) -> Answer {
    let words = words.iter().flat_map(|word| word.to_be_bytes());
    Answer::Reply(message[..4].iter().copied().chain(words).collect())
}

/// Where ends what begins there with a flavor and a length, if that is all there and within the limit.
fn end_of_auth(message: &[u8], at: usize) -> Option<usize> {
    let length = word(message, at + 4).filter(|length| *length <= 400)?;
    let end = at + 8 + padded(length);
    (end <= message.len()).then_some(end)
}

/// Whether the body of a credential is a stamp, a name, a user, a group, and other groups, and nothing else.
fn is_unix_user(body: &[u8]) -> bool {
    let Some(name) = word(body, 4).filter(|name| *name <= 255) else {
        return false;
    };
    let count_at = 16 + padded(name);
    let count = word(body, count_at).filter(|count| *count <= 16);
    count.is_some_and(|count| body.len() == count_at + 4 + 4 * count as usize)
}

/// What ksf_echo returns for arguments that begin there, with zeroes as padding.
fn echoed(message: &[u8], arguments: usize) -> Option<Vec<u8>> {
    let length = word(message, arguments).filter(|length| *length <= MAX_ECHO)?;
    let from = arguments + 4;
    if from + padded(length) != message.len() {
        return None;
    }
    let mut result = message[arguments..from + length as usize].to_vec();
    result.resize(4 + padded(length), 0);
    Some(result)
}
