// SPDX-License-Identifier: GPL-2.0

//! Where the engine keeps what it may not allocate.

use crate::{
    instant::Instant,
    MAX_WINDOW, //
};

/// What the user of the engine hands in for it to keep things in.
///
/// A call of one packet each way needs none of it. A window has as many packets as its storage has places, the largest
/// power of two of them, and at most 255 packets.
pub trait Storage {
    /// How many places there are for packets that come before their turn, when there are any: peers are told so before.
    const RECEIVE_WINDOW: u32 = MAX_WINDOW;
    /// The data of a DATA packet: whatever gives access to it.
    type Payload;
    /// Places for packets that came before their turn.
    type Unread: AsMut<[Option<Self::Payload>]> + AsRef<[Option<Self::Payload>]>;
    /// Places for what is to be known of packets that were sent and are not acknowledged.
    type Unacked: AsMut<[Sent]> + AsRef<[Sent]>;
}

/// What is known of a packet that was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// When it was sent last.
    pub(crate) at: Instant,
    /// Its serial number then.
    pub(crate) serial: u32,
    /// It was sent more than once.
    pub(crate) is_resent: bool,
}

/// How many of `places` a window uses: a power of two, so that a packet's place is found without a division.
#[inline]
pub(crate) fn usable(places: usize) -> usize {
    match places.checked_ilog2() {
        Some(log) => 1_usize.checked_shl(log).unwrap_or(0).min(256),
        None => 0,
    }
}

/// The place of packet `seq` among `usable` ones.
#[inline]
pub(crate) const fn place(seq: u32, usable: usize) -> usize {
    seq as usize & usable.wrapping_sub(1)
}
