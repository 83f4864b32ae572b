// SPDX-License-Identifier: GPL-2.0

//! What krpc answers to what, byte by byte: the specification of an RPC server as its clients see it.
//!
//! Messages are put together from pieces that a reader of RFC 5531 knows, without marks; replies are written out. No code
//! of ksf made any of them.

/// Bytes that are a constant, of pieces that are arrays.
macro_rules! bytes {
    ($($part:expr),+ $(,)?) => {{
        const PARTS: &[&[u8]] = &[$(&$part),+];
        const JOINED: [u8; super::length(PARTS)] = super::joined(PARTS);
        &JOINED
    }};
}

mod auth;
mod calls;
mod streams;

pub(crate) use streams::STREAMS;

/// What happens on a TCP connection when it gets a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tcp {
    /// A reply, here without its mark. The connection is kept.
    Reply(&'static [u8]),
    /// Nothing. The connection is kept.
    Nothing,
    /// The server closes the connection.
    Close,
}

/// A message, and what it gets on a connection or a socket of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) message: &'static [u8],
    pub(crate) tcp: Tcp,
    /// The datagram that comes back, if one does.
    pub(crate) udp: Option<&'static [u8]>,
}

impl Row {
    /// A message with the same answer over TCP and UDP.
    const fn reply(name: &'static str, message: &'static [u8], reply: &'static [u8]) -> Self {
        Self {
            name,
            message,
            tcp: Tcp::Reply(reply),
            udp: Some(reply),
        }
    }

    /// Whether it is a call that is served.
    pub(crate) fn is_served(&self) -> bool {
        matches!(self.tcp, Tcp::Reply(reply) if reply.get(4..24) == SUCCESS.get(4..))
    }

    /// A message that nobody answers.
    const fn nothing(name: &'static str, message: &'static [u8]) -> Self {
        Self {
            name,
            message,
            tcp: Tcp::Nothing,
            udp: None,
        }
    }

    /// A message that ends a connection.
    const fn close(name: &'static str, message: &'static [u8]) -> Self {
        Self {
            name,
            message,
            tcp: Tcp::Close,
            udp: None,
        }
    }
}

/// A stream with its marks, and what it gets on a connection of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    pub(crate) name: &'static str,
    pub(crate) stream: &'static [u8],
    /// The replies, in their order, without marks.
    pub(crate) replies: &'static [&'static [u8]],
    /// What becomes of the connection after them.
    pub(crate) then: Then,
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It is kept, and takes the next record.
    Kept,
    /// It is kept, and waits for the rest of a record.
    Waits,
    /// The server closes it, and has seen all that was sent.
    Closed,
    /// The server closes it, and something came after what it closes it for, so that it may be reset.
    ClosedBefore,
}

/// The messages that are for any server of NFS with the versions 2 to 4 of NULL.
pub(crate) fn messages() -> impl Iterator<Item = &'static Row> {
    calls::CALLS
        .iter()
        .chain(auth::CREDENTIALS)
        .chain(auth::VERIFIERS)
}

/// Those that are for a server that has ksf_echo, too.
pub(crate) fn echo() -> impl Iterator<Item = &'static Row> {
    calls::ECHO.iter()
}

/// Those for a server that has ksf_echo and `privileged_port=1`, from a port that is not.
pub(crate) fn unprivileged() -> impl Iterator<Item = &'static Row> {
    calls::UNPRIVILEGED.iter()
}

/// The xid of the messages here, but for those that are about it.
const XID: [u8; 4] = *b"\x9a\x3b\x5c\x7d";
/// A call of RPC version 2, up to the program.
const CALL: [u8; 12] = *b"\x9a\x3b\x5c\x7d\0\0\0\0\0\0\0\x02";
/// AUTH_NONE, of a credential or of a verifier.
const NONE: [u8; 8] = *b"\0\0\0\0\0\0\0\0";
/// The program, its version and its procedure: NFS version 3 NULL.
const NULL: [u8; 12] = *b"\0\x01\x86\xa3\0\0\0\x03\0\0\0\0";

const SUCCESS: &[u8] = b"\x9a\x3b\x5c\x7d\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const PROG_UNAVAIL: &[u8] = b"\x9a\x3b\x5c\x7d\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01";
const PROG_MISMATCH_2_4: &[u8] =
    b"\x9a\x3b\x5c\x7d\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x02\0\0\0\x04";
const PROC_UNAVAIL: &[u8] = b"\x9a\x3b\x5c\x7d\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x03";
const RPC_MISMATCH: &[u8] = b"\x9a\x3b\x5c\x7d\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\x02";
const BADCRED: &[u8] = b"\x9a\x3b\x5c\x7d\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x01";
const BADVERF: &[u8] = b"\x9a\x3b\x5c\x7d\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x03";

const fn length(parts: &[&[u8]]) -> usize {
    let (mut sum, mut part) = (0, 0);
    while part < parts.len() {
        sum += parts[part].len();
        part += 1;
    }
    sum
}

const fn joined<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut joined = [0; N];
    let (mut at, mut part) = (0, 0);
    while part < parts.len() {
        let mut byte = 0;
        while byte < parts[part].len() {
            joined[at] = parts[part][byte];
            at += 1;
            byte += 1;
        }
        part += 1;
    }
    joined
}
