// SPDX-License-Identifier: GPL-2.0

//! Packets.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

use super::{
    bindings,
    errno, //
};
use core::{
    mem,
    ptr::NonNull,
    slice, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};

/// A packet of which this value is the only owner. Dropping it counts as a drop for tools such as `dropwatch`.
///
/// # Invariants
///
/// `skb` is valid, and this value owns the one reference to it.
pub(crate) struct Skb {
    skb: NonNull<bindings::sk_buff>,
}

// SAFETY: An skb belongs to no thread.
unsafe impl Send for Skb {}

impl Skb {
    /// Takes an skb over.
    ///
    /// # Safety
    ///
    /// `skb` is valid, and the caller gives up the one reference to it.
    pub(super) unsafe fn from_raw(skb: NonNull<bindings::sk_buff>) -> Self {
        // INVARIANT: By the requirement of this function.
        Self { skb }
    }

    /// Makes an skb for a datagram of `len` bytes of zeroes or of what was there before: they have to be written.
    ///
    /// Any context; process context with `may_sleep`.
    ///
    /// # Errors
    ///
    /// `ENOBUFS` when memory is short.
    pub(crate) fn new_datagram(len: usize, may_sleep: bool) -> Result<Self> {
        let len = u32::try_from(len)?;
        // SAFETY: Any length will do, and the flags fit the context.
        let skb = unsafe { bindings::ksf_shim_udp_alloc(len, gfp(may_sleep)) };
        let skb = NonNull::new(skb).ok_or(errno::no_buffers())?;
        // INVARIANT: It was made just now.
        Ok(Self { skb })
    }

    /// Takes another reference to the packet.
    ///
    /// # Safety
    ///
    /// Until all but one are given up, nobody who has one does more than to read, and to give it up.
    pub(super) unsafe fn get(&self) -> Self {
        // SAFETY: The skb is valid.
        unsafe { bindings::ksf_shim_skb_get(self.as_ptr()) };
        // INVARIANT: The reference was taken just now; that there are others does no harm by the requirement of this function.
        Self { skb: self.skb }
    }

    /// Makes an skb without data, with room for `own` bytes in its own memory, that is sent by a
    /// [`Sender`](super::sender::Sender).
    ///
    /// Any context.
    ///
    /// # Errors
    ///
    /// `ENOBUFS` when memory is short.
    pub(super) fn begin(own: usize) -> Result<Self> {
        let own = u32::try_from(own)?;
        // SAFETY: Any length will do.
        let skb = unsafe { bindings::ksf_shim_udp_begin(own) };
        // INVARIANT: It was made just now.
        Ok(Self {
            skb: NonNull::new(skb).ok_or(errno::no_buffers())?,
        })
    }

    /// Makes another skb with the same data. The data is no longer to be written to.
    ///
    /// # Safety
    ///
    /// `skb` is valid. The context allows to sleep, with `may_sleep`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) unsafe fn clone_of(
        skb: NonNull<bindings::sk_buff>,
        may_sleep: bool,
    ) -> Result<Self> {
        // SAFETY: By the requirement of this function.
        let clone = unsafe { bindings::skb_clone(skb.as_ptr(), gfp(may_sleep)) };
        // INVARIANT: It was made just now.
        Ok(Self {
            skb: NonNull::new(clone).ok_or(ENOMEM)?,
        })
    }

    /// Makes an skb without data, with room for `len` bytes in its own memory: see [`append()`](Self::append()).
    ///
    /// Process context.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn with_room(len: u32) -> Result<Self> {
        // SAFETY: Any length will do, and this is process context.
        let skb = unsafe { bindings::ksf_shim_skb_alloc(len, gfp(true)) };
        // INVARIANT: It was made just now.
        Ok(Self {
            skb: NonNull::new(skb).ok_or(ENOMEM)?,
        })
    }

    /// Copies `len` bytes of `from`, from `offset` on, behind the data.
    ///
    /// # Safety
    ///
    /// `self` is one of [`with_room()`](Self::with_room()) that was never cloned, and what was appended before has left room
    /// for `len` bytes. `from` is valid, and another skb.
    ///
    /// # Errors
    ///
    /// `EFAULT` when `from` does not have these bytes, or the CPU cannot read them. Nothing is appended then.
    pub(super) unsafe fn append(
        &mut self,
        from: NonNull<bindings::sk_buff>,
        offset: u32,
        len: u32,
    ) -> Result {
        // SAFETY: By the requirements of this function: there is room, and no other skb has it. C checks what `from` has.
        to_result(unsafe {
            bindings::ksf_shim_skb_append(self.as_ptr(), from.as_ptr(), offset, len)
        })
    }

    /// Writes `bytes` at `offset` of the payload.
    ///
    /// # Errors
    ///
    /// `EFAULT` when they do not fit.
    pub(crate) fn write(&mut self, offset: usize, bytes: &[u8]) -> Result {
        let offset = u32::try_from(offset)?;
        let len = u32::try_from(bytes.len())?;
        // SAFETY: The skb is valid and nobody else uses it; C checks the range.
        to_result(unsafe {
            bindings::ksf_shim_udp_write(self.as_ptr(), offset, bytes.as_ptr().cast(), len)
        })
    }

    /// Gives up what is behind the first `len` bytes.
    pub(super) fn cut(&mut self, len: usize) {
        if let Ok(len) = u32::try_from(len) {
            // SAFETY: The skb is valid and nobody else uses it.
            unsafe { bindings::ksf_shim_udp_cut(self.as_ptr(), len) };
        }
    }

    /// Returns the first `count` bytes, which it moves to the skb's own memory if they are not there. [`None`] when there are fewer,
    /// or memory is short.
    pub(super) fn head(&mut self, count: usize) -> Option<&[u8]> {
        let len = u32::try_from(count).ok()?;
        // SAFETY: The skb is valid and nobody else uses it.
        let data = unsafe { bindings::ksf_shim_skb_head(self.as_ptr(), len) };
        if data.is_null() {
            return None;
        }
        // SAFETY: There are as many bytes in the skb's own memory, which nobody writes to once it is received, and which is kept
        // while it is borrowed.
        Some(unsafe { slice::from_raw_parts(data, count) })
    }

    /// Lets go of what a received packet refers to besides its data, so that it may be kept. Its [`mark()`](Self::mark()) is 0
    /// then.
    pub(crate) fn detach(&mut self) {
        // SAFETY: The skb is valid and nobody else uses it.
        unsafe { bindings::ksf_shim_skb_detach(self.as_ptr()) };
    }

    /// Returns a number that whoever has a detached packet may keep with it.
    pub(crate) fn mark(&self) -> u8 {
        // SAFETY: The skb is valid.
        unsafe { bindings::ksf_shim_skb_mark(self.as_ptr()) }
    }

    /// Sets that number.
    pub(crate) fn set_mark(&mut self, mark: u8) {
        // SAFETY: The skb is valid and nobody else uses it.
        unsafe { bindings::ksf_shim_skb_set_mark(self.as_ptr(), mark) };
    }

    /// How many bytes of payload there are.
    pub(crate) fn len(&self) -> usize {
        // SAFETY: The skb is valid.
        unsafe { bindings::ksf_shim_skb_len(self.as_ptr()) as usize }
    }

    /// How much memory it takes.
    pub(crate) fn truesize(&self) -> usize {
        // SAFETY: The skb is valid.
        unsafe { bindings::ksf_shim_skb_truesize(self.as_ptr()) as usize }
    }

    /// Frees a packet that was served.
    ///
    /// Any context but hard interrupts.
    pub(crate) fn consume(self) {
        // SAFETY: The reference is given up.
        unsafe { bindings::ksf_shim_consume_skb(self.into_raw()) };
    }

    /// Returns the skb for C.
    pub(super) fn as_ptr(&self) -> *mut bindings::sk_buff {
        self.skb.as_ptr()
    }

    /// Gives the reference to the caller.
    pub(super) fn into_raw(self) -> *mut bindings::sk_buff {
        let skb = self.as_ptr();
        mem::forget(self);
        skb
    }
}

/// With which flags memory is allocated.
fn gfp(may_sleep: bool) -> bindings::gfp_t {
    if may_sleep {
        bindings::GFP_KERNEL
    } else {
        bindings::GFP_ATOMIC
    }
}

impl Drop for Skb {
    fn drop(&mut self) {
        // SAFETY: By the invariants the reference is ours.
        unsafe { bindings::ksf_shim_drop_skb(self.as_ptr()) };
    }
}
