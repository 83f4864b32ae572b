// SPDX-License-Identifier: GPL-2.0

//! Where the state machine of Rx keeps packets: on the heap, but for those that are at their turn.

use std::ops::Range;

use rx::{Sent, Storage, MAX_WINDOW};

/// How many packets a window has places for: a power of two.
const PLACES: usize = MAX_WINDOW as usize + 1;

/// Storage from the heap.
#[derive(Debug)]
pub(super) enum Heap {}

/// The data of a packet.
#[derive(Debug)]
pub(super) enum Payload {
    /// At its turn when it came: it is where it was received.
    InPlace(Range<usize>),
    /// Before its turn: a copy.
    Kept(Box<[u8]>),
}

impl Storage for Heap {
    type Payload = Payload;
    type Unread = Box<[Option<Payload>]>;
    type Unacked = Box<[Sent]>;
}

impl Payload {
    /// How many bytes it has.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::InPlace(range) => range.len(),
            Self::Kept(bytes) => bytes.len(),
        }
    }
}

/// Places for packets of a reply that come before their turn.
pub(super) fn unread() -> Option<Box<[Option<Payload>]>> {
    Some((0..PLACES).map(|_| None).collect())
}

/// Places for what is to be known of the packets of a request of so many bytes; none for one packet.
pub(super) fn unacked(bytes: usize) -> Option<Box<[Sent]>> {
    let packets = bytes.div_ceil(rx::DATA_BYTES.into());
    let places = packets.min(PLACES).next_power_of_two();
    (places > 1).then(|| vec![Sent::default(); places].into())
}
