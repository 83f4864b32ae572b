// SPDX-License-Identifier: GPL-2.0

//! Datagrams that a service keeps for as long as it likes.

use super::{
    cursor::Cursor,
    skb::Skb,
    udp::Flow, //
};
use core::{
    fmt,
    mem::ManuallyDrop, //
};

/// A datagram that was received.
///
/// It may be kept after the turn. How many are, is for the service to bound: they take [`truesize()`](Self::truesize()) bytes of
/// memory each, which may be much more than they are long.
pub struct Packet {
    skb: ManuallyDrop<Skb>,
    flow: Flow,
}

impl Packet {
    /// Takes over a datagram of [`Arrived::take()`](super::udp::Arrived::take()).
    pub(crate) fn new(skb: Skb) -> Self {
        Self {
            flow: Flow::of(&skb),
            skb: ManuallyDrop::new(skb),
        }
    }

    /// Returns where it came from, which is where an answer goes to.
    #[inline]
    pub fn flow(&self) -> &Flow {
        &self.flow
    }

    /// Returns how many bytes it has.
    pub fn len(&self) -> usize {
        self.skb.len()
    }

    /// Returns whether it has no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many bytes of memory it takes.
    pub fn truesize(&self) -> usize {
        self.skb.truesize()
    }

    /// Returns the first `count` bytes, behind each other, or [`None`] when there are fewer, or memory is short and they do not
    /// lie so yet.
    pub fn head(&mut self, count: usize) -> Option<&[u8]> {
        self.skb.head(count)
    }

    /// Copies bytes from `offset` on into `buffer`. Returns how many: fewer than it has room for only if there are no more.
    pub fn copy(&self, offset: usize, buffer: &mut [u8]) -> usize {
        copy(&self.skb, offset, buffer)
    }

    /// Makes it something that several may have.
    pub fn share(self) -> SharedPacket {
        SharedPacket {
            skb: ManuallyDrop::new(self.into_skb()),
        }
    }

    /// Returns the skb.
    pub(crate) fn into_skb(self) -> Skb {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: It is not dropped.
        unsafe { ManuallyDrop::take(&mut this.skb) }
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        // SAFETY: This is the only place where it is taken.
        unsafe { ManuallyDrop::take(&mut self.skb) }.consume();
    }
}

/// A datagram that was received, and that several may have: cloning it counts a reference. It can only be read.
pub struct SharedPacket {
    skb: ManuallyDrop<Skb>,
}

// SAFETY: An skb that is only read may be used from any thread.
unsafe impl Sync for SharedPacket {}

impl SharedPacket {
    /// Returns how many bytes it has.
    pub fn len(&self) -> usize {
        self.skb.len()
    }

    /// Returns whether it has no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many bytes of memory it takes, whoever else has it.
    pub fn truesize(&self) -> usize {
        self.skb.truesize()
    }

    /// Copies bytes as [`Packet::copy()`].
    pub fn copy(&self, offset: usize, buffer: &mut [u8]) -> usize {
        copy(&self.skb, offset, buffer)
    }
}

impl Clone for SharedPacket {
    fn clone(&self) -> Self {
        Self {
            // SAFETY: Nobody who has it does more than to read, as `Cursor` does, and to give the reference up.
            skb: ManuallyDrop::new(unsafe { self.skb.get() }),
        }
    }
}

impl Drop for SharedPacket {
    fn drop(&mut self) {
        // SAFETY: This is the only place where it is taken.
        unsafe { ManuallyDrop::take(&mut self.skb) }.consume();
    }
}

/// Copies bytes of a packet.
fn copy(skb: &Skb, offset: usize, buffer: &mut [u8]) -> usize {
    let mut cursor = Cursor::of_packet(skb);
    cursor.advance(offset);
    cursor.copy(buffer)
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packet").field("len", &self.len()).finish()
    }
}
