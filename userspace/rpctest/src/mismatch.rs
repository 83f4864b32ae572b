// SPDX-License-Identifier: GPL-2.0

//! What can be wrong with a reply.

use std::{error, fmt};

use wire::{
    record,
    rpc::{AcceptStatus, Denial, Flavor, ReplyError},
};

use crate::procedure::Procedure;

/// Why a reply is not what it had to be. Requests are numbered from 0 here, and from 1 where it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// What the stream announces is no reply to what was called, or no record at all.
    Record(Procedure, record::Error),
    /// A record or a datagram that is too short for an xid has so many bytes.
    NoXid(u64),
    /// The xid is of no request of this connection.
    UnknownXid(u32),
    /// Something is wrong with the reply to a request.
    Reply(Procedure, u64, Wrong),
}

/// What is wrong with the reply to a request that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It is no reply, or malformed.
    Malformed(ReplyError),
    /// The call was denied.
    Denied(Denial),
    /// The call was accepted, but was not successful.
    Failed(AcceptStatus),
    /// The verifier is none that a server sends to who said to be nobody, or a Unix user.
    Verifier {
        /// The flavor of what was sent in the call.
        credential: Flavor,
        /// The flavor of the verifier.
        flavor: Flavor,
        /// How many bytes its body has.
        len: usize,
    },
    /// NULL has so many bytes of results.
    Surplus(u64),
    /// The results have so many bytes, which no XDR has.
    Unaligned(u64),
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(procedure, error) => write!(f, "as a reply to {procedure}, {error}"),
            Self::NoXid(len) => write!(f, "a reply of {len} bytes, which has no xid"),
            Self::UnknownXid(xid) => write!(
                f,
                "a reply with xid {xid:#010x}, which no request of this connection has"
            ),
            Self::Reply(procedure, number, wrong) => {
                write!(f, "request {} ({procedure}): {wrong}", number + 1)
            }
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => error.fmt(f),
            Self::Denied(denial) => write!(f, "denied, {denial}"),
            Self::Failed(status) => status.fmt(f),
            Self::Verifier {
                credential,
                flavor,
                len,
            } => write!(
                f,
                "a verifier of {flavor} with {len} bytes in reply to {credential}"
            ),
            Self::Surplus(len) => write!(f, "{len} bytes of results, where none are due"),
            Self::Unaligned(len) => {
                write!(f, "{len} bytes of results, which is no multiple of four")
            }
        }
    }
}

impl error::Error for Mismatch {}
