// SPDX-License-Identifier: GPL-2.0

//! Buffers that the kernel chooses from when something has come: "provided buffers", in a ring that it shares with us.

use std::{
    cell::UnsafeCell,
    io, slice,
    sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering},
};

use io_uring::IoUring;

/// The only group of buffers.
pub(crate) const GROUP: u16 = 0;

/// Room for any datagram. It is no power of two, so that the beginnings of buffers, where small messages are, do not all
/// share the few places of the processor's cache that addresses with the same low bits have.
pub(crate) const BUFFER_BYTES: usize = (64 << 10) + 192;

/// How many buffers there are at most.
const MOST: usize = 4096;

/// One place of the ring, as the kernel defines it (`struct io_uring_buf`). Both sides access it at the same time, hence
/// the atomics.
#[repr(C)]
#[derive(Debug)]
struct Place {
    address: AtomicU64,
    length: AtomicU32,
    buffer: AtomicU16,
    /// That of the first place is the tail of the ring: how many buffers were ever put in.
    tail: AtomicU16,
}

/// The ring. It must be aligned to a page, of which none is larger.
#[repr(C, align(65536))]
#[derive(Debug)]
struct Places([Place; MOST]);

impl Place {
    const fn empty() -> Self {
        Self {
            address: AtomicU64::new(0),
            length: AtomicU32::new(0),
            buffer: AtomicU16::new(0),
            tail: AtomicU16::new(0),
        }
    }
}

/// Buffers, each of which is at any time either the kernel's or lent to the caller.
#[derive(Debug)]
pub(crate) struct Buffers {
    /// All buffers, one after the other. The kernel writes to those that are not lent.
    memory: Box<[UnsafeCell<u8>]>,
    places: Box<Places>,
    /// A power of two, less one.
    mask: u16,
    tail: u16,
    /// How many bytes are in each buffer that is lent.
    lent: Box<[Option<u32>]>,
}

impl Buffers {
    /// So many buffers, or the next power of two, all of which are the caller's until [`Buffers::register`].
    pub(crate) fn new(count: usize) -> Self {
        let count = count.clamp(1, MOST).next_power_of_two();
        // Comes zeroed from the system: only what is written to takes memory.
        let memory = Box::into_raw(vec![0_u8; count * BUFFER_BYTES].into_boxed_slice());
        Self {
            // SAFETY: `memory` was a box until now, and `UnsafeCell<u8>` has the same layout as `u8`.
            memory: unsafe { Box::from_raw(memory as *mut [UnsafeCell<u8>]) },
            places: Box::new(Places([const { Place::empty() }; MOST])),
            mask: (count - 1) as u16,
            tail: 0,
            lent: vec![Some(0); count].into(),
        }
    }

    /// Has a ring use these buffers, and gives all to it.
    ///
    /// # Safety
    ///
    /// The ring must have no request that receives into buffers when `self` is dropped, nor get one later.
    pub(crate) unsafe fn register(&mut self, uring: &IoUring) -> io::Result<()> {
        let address = self.places.0.as_ptr().expose_provenance() as u64;
        // SAFETY: the memory at `address` is ours, is aligned, has as many places as we say, is accessed by atomics only,
        // and stays until `self` is dropped; the kernel accesses it for requests that receive into buffers, of which
        // the caller promises that there are none then.
        unsafe {
            uring
                .submitter()
                .register_buf_ring_with_flags(address, self.mask + 1, GROUP, 0)
        }?;
        for buffer in 0..=self.mask {
            self.give_back(buffer);
        }
        Ok(())
    }

    /// Notes that the kernel has put so many bytes into a buffer, which is the caller's until it is given back.
    #[inline]
    pub(crate) fn lend(&mut self, buffer: u16, length: u32) {
        if let Some(lent) = self.lent.get_mut(usize::from(buffer)) {
            *lent = Some(length.min(BUFFER_BYTES as u32));
        }
    }

    /// What is in a buffer that is lent; nothing if it is not.
    #[inline]
    pub(crate) fn bytes(&self, buffer: u16) -> &[u8] {
        let buffer = usize::from(buffer);
        let Some(&Some(length)) = self.lent.get(buffer) else {
            return &[];
        };
        let first = self.memory[buffer * BUFFER_BYTES..].as_ptr().cast();
        // SAFETY: the buffer has `BUFFER_BYTES` bytes from `first`, of which `length` are no more, as `lend` made sure;
        // all of them are initialised, and the kernel does not write to a buffer that is lent. It stays lent for as long
        // as the slice lives, for `give_back` takes `&mut self`.
        unsafe { slice::from_raw_parts(first, length as usize) }
    }

    /// What is in a buffer that is lent, to be changed; nothing if it is not.
    #[inline]
    pub(crate) fn bytes_mut(&mut self, buffer: u16) -> &mut [u8] {
        let buffer = usize::from(buffer);
        let Some(&Some(length)) = self.lent.get(buffer) else {
            return &mut [];
        };
        let first = UnsafeCell::raw_get(self.memory[buffer * BUFFER_BYTES..].as_ptr());
        // SAFETY: as in `bytes`; and nobody else refers to the bytes, for `self` is borrowed as mutable.
        unsafe { slice::from_raw_parts_mut(first, length as usize) }
    }

    /// Gives a buffer that is lent to the kernel.
    #[inline]
    pub(crate) fn give_back(&mut self, buffer: u16) {
        let index = usize::from(buffer);
        if self.lent.get_mut(index).and_then(Option::take).is_none() {
            return;
        }
        let place = &self.places.0[usize::from(self.tail & self.mask)];
        let address = self.memory[index * BUFFER_BYTES..]
            .as_ptr()
            .expose_provenance();
        place.address.store(address as u64, Ordering::Relaxed);
        place.length.store(BUFFER_BYTES as u32, Ordering::Relaxed);
        place.buffer.store(buffer, Ordering::Relaxed);
        self.tail = self.tail.wrapping_add(1);
        self.places.0[0].tail.store(self.tail, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem;

    #[test]
    fn a_place_is_what_the_kernel_takes_it_for() {
        assert_eq!(mem::size_of::<Place>(), 16);
        assert_eq!(mem::offset_of!(Place, length), 8);
        assert_eq!(mem::offset_of!(Place, buffer), 12);
        assert_eq!(mem::offset_of!(Place, tail), 14);
        assert_eq!(mem::size_of::<Places>(), MOST * 16);
    }

    #[test]
    fn only_what_is_lent_can_be_read_or_given_back() {
        let mut buffers = Buffers::new(3);
        assert_eq!(buffers.mask, 3);
        buffers.give_back(2);
        buffers.give_back(2);
        assert_eq!(buffers.tail, 1);
        assert_eq!(buffers.bytes(2), []);
        assert_eq!(buffers.bytes_mut(2), []);
        buffers.lend(2, 5);
        buffers.bytes_mut(2)[4] = 1;
        assert_eq!(buffers.bytes(2), [0, 0, 0, 0, 1]);
        buffers.lend(2, u32::MAX);
        assert_eq!(buffers.bytes(2).len(), BUFFER_BYTES);
        for unknown in [4, u16::MAX] {
            buffers.lend(unknown, 1);
            buffers.give_back(unknown);
            assert_eq!(buffers.bytes(unknown), []);
            assert_eq!(buffers.bytes_mut(unknown), []);
        }
        assert_eq!(buffers.tail, 1);
    }

    #[test]
    fn buffers_follow_each_other_in_the_ring() {
        let mut buffers = Buffers::new(2);
        for buffer in [1, 0, 1] {
            buffers.lend(buffer, 1);
            buffers.give_back(buffer);
        }
        let [first, second, ..] = &buffers.places.0;
        assert_eq!(first.tail.load(Ordering::Relaxed), 3);
        let address = |place: &Place| place.address.load(Ordering::Relaxed) as usize;
        assert_eq!(address(first) - address(second), BUFFER_BYTES);
        assert_eq!(first.length.load(Ordering::Relaxed) as usize, BUFFER_BYTES);
    }
}
