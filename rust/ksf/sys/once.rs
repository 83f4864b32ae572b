// SPDX-License-Identifier: GPL-2.0

//! Numbers that one context writes and others may read at the same time: the kernel's `READ_ONCE()` and `WRITE_ONCE()`.
//!
//! The kernel crate's atomics call a function for each access, which is too much for what is counted in every turn.
//!
//! C header: [`include/asm-generic/rwonce.h`](srctree/include/asm-generic/rwonce.h)

use core::cell::UnsafeCell;

/// A number of 64 bits. Each access is whole, and none orders any other.
#[repr(transparent)]
pub(crate) struct Once64 {
    value: UnsafeCell<u64>,
}

// SAFETY: The value is only touched by volatile accesses of an aligned machine word, which the kernel's memory model takes for
// relaxed atomic ones (`tools/memory-model/Documentation/`): a reader sees one of the values that were written.
unsafe impl Sync for Once64 {}

impl Once64 {
    /// Creates a number.
    pub(crate) const fn new(value: u64) -> Self {
        // On a machine of 32 bits an access would not be whole.
        const { assert!(usize::BITS == 64) };
        Self {
            value: UnsafeCell::new(value),
        }
    }

    /// Returns the number.
    ///
    /// Any context.
    #[inline(always)]
    pub(crate) fn get(&self) -> u64 {
        // SAFETY: The pointer is valid and aligned; see `Sync` for who else may write to it.
        unsafe { self.value.get().read_volatile() }
    }

    /// Sets the number.
    ///
    /// Any context.
    #[inline(always)]
    pub(crate) fn set(&self, value: u64) {
        // SAFETY: The pointer is valid and aligned; see `Sync` for who else may read or write it.
        unsafe { self.value.get().write_volatile(value) };
    }

    /// Adds to the number. If two do that at the same time, one of them may be lost.
    ///
    /// Any context.
    #[inline(always)]
    pub(crate) fn add(&self, by: u64) {
        self.set(self.get().wrapping_add(by));
    }
}
