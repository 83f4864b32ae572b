// SPDX-License-Identifier: GPL-2.0

//! What was taken out of a receive queue, so that the rest of a large request can come.

use crate::sys::{
    held::Held,
    tcp::Locked, //
};
use kernel::prelude::*;

/// Packets that were taken out of a receive queue, or copies of them, and are not consumed, and how much they are.
pub(crate) struct Holding {
    packets: KVVec<Held>,
    bytes: usize,
    memory: usize,
}

impl Holding {
    /// Creates one that holds nothing.
    pub(crate) fn new() -> Self {
        Self {
            packets: KVVec::new(),
            bytes: 0,
            memory: 0,
        }
    }

    /// Returns the packets, the oldest first.
    pub(crate) fn packets(&self) -> &[Held] {
        &self.packets
    }

    /// Returns how many bytes are held that are not consumed.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns how much memory the packets take.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    /// Returns whether nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Takes what is in the receive queue.
    ///
    /// Process context.
    ///
    /// # Errors
    ///
    /// As [`Locked::hold()`]. What could be taken before is held.
    pub(crate) fn take(&mut self, locked: &mut Locked) -> Result {
        let result = locked.hold(&mut self.packets);
        self.add_up();
        result
    }

    /// Gives up the first `count` bytes, or all if there are fewer. Returns how many.
    pub(crate) fn consume(&mut self, count: usize) -> usize {
        if self.is_empty() {
            return 0;
        }
        let mut left = count;
        let mut whole = 0;
        for packet in &mut self.packets {
            if left < packet.len() {
                packet.advance(left);
                left = 0;
                break;
            }
            left -= packet.len();
            whole += 1;
        }
        if whole == self.packets.len() {
            // A connection that waits for nothing keeps no memory.
            self.packets = KVVec::new();
        } else {
            let mut index = 0;
            self.packets.retain(|_| {
                index += 1;
                index > whole
            });
        }
        self.add_up();
        count - left
    }

    fn add_up(&mut self) {
        self.bytes = self.packets.iter().map(Held::len).sum();
        self.memory = self.packets.iter().map(Held::truesize).sum();
    }
}
