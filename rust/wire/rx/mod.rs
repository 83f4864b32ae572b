// SPDX-License-Identifier: GPL-2.0

//! Rx, the remote procedure calls of AFS over UDP, as OpenAFS (`src/rx/rx_packet.h`, `src/rx/rx.h`) and Linux
//! (`net/rxrpc/protocol.h`) lay it out. There is no standard: where the two differ, it is said what each does.
//!
//! A datagram is a [`Header`] and a payload, which the header's [`PacketType`] gives a meaning; of DATA it may be several
//! packets, which [`packets`] takes apart. All numbers have their highest byte first.

mod abort;
mod ack;
pub mod debug;
mod header;
mod jumbo;
pub mod version;

pub use abort::AbortCode;
pub use ack::{
    Ack,
    AckError,
    AckReason,
    AckView,
    Trailer,
    ACK_FIXED_BYTES,
    ACK_PADDING,
    MAX_ACKS, //
};
pub use header::{
    Flags,
    Header,
    PacketType,
    HEADER_BYTES, //
};
pub use jumbo::{
    packets,
    JumboError,
    Packet,
    Packets,
    JUMBO_DATA_BYTES,
    JUMBO_HEADER_BYTES, //
};

use core::{error, fmt};

/// So many calls can run on a connection at once, each on a channel of its own.
pub const CHANNELS: usize = 4;

/// A number to which nothing is assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unassigned(pub u8);

impl fmt::Display for Unassigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, which means nothing there", self.0)
    }
}

impl error::Error for Unassigned {}
