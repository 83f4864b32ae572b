// SPDX-License-Identifier: GPL-2.0

//! Pages that are sent.
//!
//! C header: [`include/linux/mm_types.h`](srctree/include/linux/mm_types.h)

use super::bindings;
use core::ptr::{
    self,
    NonNull, //
};

/// Memory that a send copies into, piece by piece. TCP gets a new one when it is used up.
///
/// # Invariants
///
/// `frag.page` is null or a page to which this value owns a reference.
pub(crate) struct PageFrag {
    frag: bindings::page_frag,
}

// SAFETY: A page belongs to no thread.
unsafe impl Send for PageFrag {}

impl PageFrag {
    /// Creates one that is used up already.
    pub(crate) fn new() -> Self {
        // INVARIANT: There is no page.
        Self {
            frag: bindings::page_frag {
                page: ptr::null_mut(),
                offset: 0,
                size: 0,
            },
        }
    }

    /// Returns it for C, which keeps the invariant.
    pub(super) fn as_mut_ptr(&mut self) -> *mut bindings::page_frag {
        &mut self.frag
    }
}

impl Drop for PageFrag {
    fn drop(&mut self) {
        // SAFETY: By the invariant.
        unsafe { bindings::ksf_shim_page_frag_free(&mut self.frag) };
    }
}

/// Bytes in a page that somebody else wrote, and that stay until this is dropped.
///
/// # Invariants
///
/// This value owns a reference to `page`, and `len` bytes from `offset` are in it, or in the pages behind it that belong
/// to the same allocation.
pub(crate) struct PageRun {
    page: NonNull<bindings::page>,
    offset: u32,
    len: u32,
}

// SAFETY: A page belongs to no thread.
unsafe impl Send for PageRun {}

impl PageRun {
    /// Takes a reference to bytes.
    ///
    /// # Safety
    ///
    /// `page` has `len` bytes from `offset`, and is not freed during this call.
    pub(super) unsafe fn new(page: NonNull<bindings::page>, offset: u32, len: u32) -> Self {
        // SAFETY: By the requirement of this function the page exists.
        unsafe { bindings::ksf_shim_get_page(page.as_ptr()) };
        // INVARIANT: The reference was taken just now; the rest is the requirement of this function.
        Self { page, offset, len }
    }

    /// How many bytes there are.
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// Gives up the first `count` bytes, or all if there are no more.
    pub(crate) fn advance(&mut self, count: usize) {
        // CAST: Not more than `len`.
        let count = count.min(self.len()) as u32;
        // INVARIANT: The rest of the bytes is where it was.
        self.offset += count;
        self.len -= count;
    }

    /// Describes the bytes for C.
    pub(super) fn as_bio_vec(&self) -> bindings::bio_vec {
        bindings::bio_vec {
            bv_page: self.page.as_ptr(),
            bv_len: self.len,
            bv_offset: self.offset,
        }
    }
}

impl Drop for PageRun {
    fn drop(&mut self) {
        // SAFETY: By the invariant the reference is ours.
        unsafe { bindings::ksf_shim_put_page(self.page.as_ptr()) };
    }
}
