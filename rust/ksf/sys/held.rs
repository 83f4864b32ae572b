// SPDX-License-Identifier: GPL-2.0

//! What was taken out of a socket's receive queue, for the rest of a large request would not fit into the queue.
//!
//! A packet stays as it is if it is worth its memory. A peer may also send a byte at a time, each in a packet that takes some
//! hundred times as much: such bytes are gathered in memory of our own. So what is held takes no more than some four times the
//! memory of its bytes, however the peer has cut them.

use super::{
    bindings,
    skb::Skb, //
};
use core::ptr::NonNull;
use kernel::prelude::*;

/// How many bytes are gathered in one skb. With what it needs besides, that is just below 4 KiB.
const GATHERED_BYTES: u32 = 3584;

/// A packet of a receive queue, or what was gathered of several.
///
/// # Invariants
///
/// Unless `room` is 0, `skb` was made by [`Skb::with_room()`], was never cloned, and has room for `room` bytes more.
pub(crate) struct Held {
    skb: Skb,
    offset: u32,
    room: u32,
}

impl Held {
    /// Takes bytes of `skb` from `offset` on, and puts them behind those that are `held`. Returns how many: 0 only when there
    /// are none, and not always all.
    ///
    /// Process context.
    ///
    /// # Safety
    ///
    /// `skb` is valid.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and `EFAULT` when the CPU cannot read them. Nothing is taken then.
    pub(super) unsafe fn take(
        held: &mut KVVec<Self>,
        skb: NonNull<bindings::sk_buff>,
        offset: u32,
    ) -> Result<usize> {
        // SAFETY: By the requirement of this function.
        let len = unsafe { bindings::ksf_shim_skb_len(skb.as_ptr()) }.saturating_sub(offset);
        if len == 0 {
            return Ok(0);
        }
        // SAFETY: As above.
        let is_wasteful = unsafe { bindings::ksf_shim_skb_truesize(skb.as_ptr()) } / 2 > len;
        let gathering = held.last_mut().filter(|last| last.room != 0);
        let count = match gathering {
            // One that is worth its memory, too, if it fits: the room would be lost.
            Some(last) if is_wasteful || len <= last.room => {
                let count = len.min(last.room);
                // SAFETY: As above; what is held is nobody else's. Neither `len` nor `room` is 0.
                unsafe { last.gather(skb, offset, count) }?;
                count
            }
            _ if is_wasteful => {
                let count = len.min(GATHERED_BYTES);
                // INVARIANT: It was made just now.
                let mut gathering = Self {
                    skb: Skb::with_room(GATHERED_BYTES)?,
                    offset: 0,
                    room: GATHERED_BYTES,
                };
                // SAFETY: As above; it is another skb, and has this room.
                unsafe { gathering.gather(skb, offset, count) }?;
                held.push(gathering, GFP_KERNEL)?;
                count
            }
            _ => {
                // The queue's own skb is freed by TCP whoever else refers to it, so it cannot be shared.
                // SAFETY: As above; this is process context.
                let skb = unsafe { Skb::clone_of(skb, true) }?;
                // INVARIANT: It has no room.
                let clone = Self {
                    skb,
                    offset,
                    room: 0,
                };
                held.push(clone, GFP_KERNEL)?;
                len
            }
        };
        Ok(count as usize)
    }

    /// Appends `count` bytes of `skb`.
    ///
    /// # Safety
    ///
    /// `skb` is valid, and not that of `self`. `count` is at least 1 and not more than `room`.
    ///
    /// # Errors
    ///
    /// As [`Skb::append()`].
    unsafe fn gather(
        &mut self,
        skb: NonNull<bindings::sk_buff>,
        offset: u32,
        count: u32,
    ) -> Result {
        // SAFETY: By the requirements of this function, and by the invariants, for `room` is not 0.
        unsafe { self.skb.append(skb, offset, count) }?;
        // INVARIANT: So much less is left.
        self.room -= count;
        Ok(())
    }

    /// How many bytes were not read yet.
    pub(crate) fn len(&self) -> usize {
        self.skb.len().saturating_sub(self.offset as usize)
    }

    /// How much memory it takes.
    pub(crate) fn truesize(&self) -> usize {
        self.skb.truesize()
    }

    /// Gives up the first `count` bytes, which are not all.
    pub(crate) fn advance(&mut self, count: usize) {
        // CAST: Less than the length of an skb, which is an `u32`.
        self.offset += count.min(self.len()) as u32;
    }

    /// Returns the skb for C.
    pub(super) fn as_ptr(&self) -> *mut bindings::sk_buff {
        self.skb.as_ptr()
    }

    /// Where in the skb the first byte is that was not read yet.
    pub(super) fn offset(&self) -> u32 {
        self.offset
    }
}

#[kunit_tests(ksf_held)]
mod tests {
    use super::{
        super::cursor::Cursor,
        *, //
    };

    /// Takes packets of these lengths, the first byte of each of which was read before, with the numbers from 0 on behind it.
    fn taken(lens: impl Iterator<Item = usize>) -> Result<KVVec<Held>> {
        let mut held = KVVec::new();
        let mut next = 0usize;
        for len in lens {
            let mut packet = Skb::new_datagram(1 + len, true)?;
            let mut bytes = KVec::with_capacity(len, GFP_KERNEL)?;
            for _ in 0..len {
                bytes.push(next as u8, GFP_KERNEL)?;
                next += 1;
            }
            packet.write(1, &bytes)?;
            let skb = NonNull::new(packet.as_ptr()).ok_or(EINVAL)?;
            let mut offset = 1;
            loop {
                // SAFETY: The packet exists.
                let count = unsafe { Held::take(&mut held, skb, offset) }?;
                if count == 0 {
                    break;
                }
                offset += count as u32;
            }
        }
        Ok(held)
    }

    /// How many bytes are held, if they are the right ones.
    fn verified(held: &[Held]) -> Result<usize> {
        let mut next = 0usize;
        for one in held {
            let mut at = Cursor::of_packet(&one.skb);
            at.advance(one.offset as usize);
            let mut byte = [0];
            for _ in 0..one.len() {
                at.copy(&mut byte);
                if byte[0] != next as u8 {
                    return Err(EINVAL);
                }
                at.advance(1);
                next += 1;
            }
        }
        Ok(next)
    }

    fn memory(held: &[Held]) -> usize {
        held.iter().map(Held::truesize).sum()
    }

    #[test]
    fn single_bytes_are_gathered() -> Result {
        let held = taken((0..10_000).map(|_| 1))?;
        assert_eq!(verified(&held)?, 10_000);
        assert_eq!(held.len(), 3);
        assert!(memory(&held) < 20_000);
        Ok(())
    }

    #[test]
    fn large_packets_are_not_copied() -> Result {
        let held = taken([60_000, 50_000].into_iter())?;
        assert_eq!(verified(&held)?, 110_000);
        assert_eq!(held.len(), 2);
        assert!(held.iter().all(|one| one.room == 0));
        Ok(())
    }

    #[test]
    fn packets_that_fit_behind_what_is_gathered_are() -> Result {
        let held = taken((0..100).flat_map(|_| [1, 1400]))?;
        assert_eq!(verified(&held)?, 140_100);
        assert!(memory(&held) < 2 * 140_100);
        Ok(())
    }

    #[test]
    fn the_order_stays_when_some_are_gathered() -> Result {
        let held = taken((0..20).flat_map(|_| [1, 50_000, 2, 3]))?;
        assert_eq!(verified(&held)?, 20 * 50_006);
        assert_eq!(held.len(), 41);
        Ok(())
    }

    #[test]
    fn what_was_read_is_not_held() -> Result {
        let mut held = taken([10, 1].into_iter())?;
        let one = held.last_mut().ok_or(EINVAL)?;
        one.advance(8);
        assert_eq!(one.len(), 3);
        let mut rest = [0; 3];
        let mut at = Cursor::of_packet(&one.skb);
        at.advance(one.offset as usize);
        at.copy(&mut rest);
        assert_eq!(rest, [8, 9, 10]);
        Ok(())
    }
}
