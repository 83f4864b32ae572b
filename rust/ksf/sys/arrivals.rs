// SPDX-License-Identifier: GPL-2.0

//! Packets that wait for who serves them: a lock-free list that many contexts push to and one takes whole.
//!
//! It is the kernel's `llist`, by the link that each packet has anyway, so pushing allocates nothing.
//!
//! C header: [`include/linux/llist.h`](srctree/include/linux/llist.h)

use super::{
    bindings,
    skb::Skb, //
};
use core::{
    mem,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    prelude::*,
    types::Opaque, //
};

/// Packets in the order in which they were pushed.
///
/// # Invariants
///
/// All packets of `list` are owned by it.
pub(crate) struct Arrivals {
    list: Opaque<bindings::llist_head>,
}

// SAFETY: A packet belongs to no thread.
unsafe impl Send for Arrivals {}

// SAFETY: It is a list that many may push to and take from at the same time.
unsafe impl Sync for Arrivals {}

impl Arrivals {
    /// Creates an empty list.
    pub(crate) fn new() -> Self {
        // INVARIANT: There is no packet.
        Self {
            list: Opaque::new(bindings::llist_head {
                first: ptr::null_mut(),
            }),
        }
    }

    /// Pushes a packet and returns whether the list was empty before. What was written before this is visible to who takes the
    /// packet.
    ///
    /// Any context.
    pub(crate) fn push(&self, skb: Skb) -> bool {
        // INVARIANT: The packet is given to the list.
        // SAFETY: The list is valid, and the packet is on no other one, for it had one owner.
        unsafe { bindings::ksf_shim_skb_push(self.list.get(), skb.into_raw()) }
    }

    /// Takes all packets.
    ///
    /// Any context.
    pub(crate) fn take(&self) -> Batch {
        // SAFETY: The list is valid.
        let first = unsafe { bindings::ksf_shim_skb_take(self.list.get()) };
        // INVARIANT: They move from the list to the batch whole.
        Batch { first }
    }

    /// Returns whether the list is empty at this moment.
    ///
    /// Any context.
    pub(crate) fn is_empty(&self) -> bool {
        // SAFETY: The pointer is valid and aligned, and others access it as a whole.
        unsafe { (&raw const (*self.list.get()).first).read_volatile() }.is_null()
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        self.take();
    }
}

/// The packets that were taken from [`Arrivals`], the first that was pushed first.
///
/// # Invariants
///
/// `first` is null or a packet of this batch, which owns it and those behind it.
pub(crate) struct Batch {
    first: *mut bindings::sk_buff,
}

// SAFETY: A packet belongs to no thread.
unsafe impl Send for Batch {}

impl Batch {
    /// Creates an empty batch.
    pub(crate) fn new() -> Self {
        // INVARIANT: There is no packet.
        Self {
            first: ptr::null_mut(),
        }
    }

    /// Returns whether there is no packet left.
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_null()
    }
}

impl Iterator for Batch {
    type Item = Skb;

    fn next(&mut self) -> Option<Skb> {
        let skb = NonNull::new(self.first)?;
        // INVARIANT: The rest begins with the next packet, and this one is given up.
        // SAFETY: By the invariants.
        self.first = unsafe { bindings::ksf_shim_skb_split(skb.as_ptr()) };
        // SAFETY: By the invariants it was the batch's, and it is on no list now.
        Some(unsafe { Skb::from_raw(skb) })
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.for_each(mem::drop);
    }
}

#[kunit_tests(ksf_arrivals)]
mod tests {
    use super::*;

    fn packet(id: u8) -> Result<Skb> {
        let mut skb = Skb::new_datagram(1, true)?;
        skb.write(0, &[id])?;
        Ok(skb)
    }

    fn id(skb: Option<Skb>) -> Option<u8> {
        let mut byte = [0];
        super::super::cursor::Cursor::of_packet(&skb?).copy(&mut byte);
        Some(byte[0])
    }

    #[test]
    fn packets_are_taken_in_order() -> Result {
        let list = Arrivals::new();
        assert!(list.is_empty());
        assert!(list.push(packet(1)?));
        assert!(!list.push(packet(2)?));
        let mut batch = list.take();
        assert!(list.is_empty());
        assert!(list.push(packet(3)?));
        assert_eq!(id(batch.next()), Some(1));
        assert!(!batch.is_empty());
        assert_eq!(id(batch.next()), Some(2));
        assert!(batch.is_empty());
        assert_eq!(id(batch.next()), None);
        // What nobody takes is dropped with the list.
        Ok(())
    }
}
