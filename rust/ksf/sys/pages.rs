// SPDX-License-Identifier: GPL-2.0

//! Content that is sent again and again, without copying it.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use super::bindings;
use core::{
    ptr::NonNull,
    slice, //
};
use kernel::{
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::Arc, //
};

/// How many pages lie behind each other, as a power of two, if the kernel has as many. The more, the more seldom is a run of
/// bytes in two pieces.
const ORDER: u32 = 4;

/// Bytes that never change. Cloning it is cheap, and so is sending them: packets refer to the memory, which stays until the
/// last of them was sent, too.
#[derive(Clone)]
pub struct Pages {
    inner: Arc<Inner>,
}

/// What all clones share.
struct Inner {
    blocks: KVVec<Block>,
    /// How many bytes a block has, as a power of two.
    block_shift: usize,
    len: usize,
}

impl Pages {
    /// Makes `len` bytes of content: `fill` is called with the offset of each piece in turn, and writes it. The pieces lie
    /// behind each other, and together have at least `len` bytes.
    ///
    /// Process context.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(len: usize, mut fill: impl FnMut(usize, &mut [u8])) -> Result<Self> {
        let (blocks, order) = match blocks(len, ORDER) {
            Ok(blocks) => (blocks, ORDER),
            Err(_) => (blocks(len, 0)?, 0),
        };
        let block_shift = PAGE_SHIFT + order as usize;
        let mut inner = Inner {
            blocks,
            block_shift,
            len,
        };
        for (index, block) in inner.blocks.iter_mut().enumerate() {
            fill(index << block_shift, block.bytes());
        }
        Ok(Self {
            inner: Arc::new(inner, GFP_KERNEL)?,
        })
    }

    /// Returns how many bytes there are.
    pub fn len(&self) -> usize {
        self.inner.len
    }

    /// Returns whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.inner.len == 0
    }

    /// Returns where the byte at `offset` is, and how many lie behind each other from there on, at most `max`. [`None`] when
    /// there is no such byte.
    pub(super) fn run(&self, offset: usize, max: usize) -> Option<Run> {
        let left = self
            .inner
            .len
            .checked_sub(offset)
            .filter(|left| *left != 0)?;
        let page = self
            .inner
            .blocks
            .get(offset >> self.inner.block_shift)?
            .page;
        let block_bytes = 1 << self.inner.block_shift;
        let offset = offset & (block_bytes - 1);
        Some(Run {
            page,
            offset,
            len: (block_bytes - offset).min(left).min(max),
        })
    }
}

/// Bytes that lie behind each other in a block.
pub(super) struct Run {
    pub(super) page: NonNull<bindings::page>,
    pub(super) offset: usize,
    pub(super) len: usize,
}

/// Makes blocks for `len` bytes.
fn blocks(len: usize, order: u32) -> Result<KVVec<Block>> {
    let count = len.div_ceil(PAGE_SIZE << order);
    let mut blocks = KVVec::with_capacity(count, GFP_KERNEL)?;
    for _ in 0..count {
        // SAFETY: This is process context.
        let page = unsafe { bindings::ksf_shim_alloc_pages(order) };
        // INVARIANT: They were allocated just now, with zeroes, and nobody else has them.
        let block = Block {
            page: NonNull::new(page).ok_or(ENOMEM)?,
            order,
        };
        blocks.push(block, GFP_KERNEL)?;
    }
    Ok(blocks)
}

/// Pages that lie behind each other.
///
/// # Invariants
///
/// `page` is the first of 2^`order` pages, which were initialised, and to which this value owns a reference. Until it is
/// shared, nobody else has one.
struct Block {
    page: NonNull<bindings::page>,
    order: u32,
}

// SAFETY: A page belongs to no thread.
unsafe impl Send for Block {}

// SAFETY: What is shared is not written to.
unsafe impl Sync for Block {}

impl Block {
    /// Returns all bytes.
    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: By the invariants the page exists.
        let data = unsafe { bindings::ksf_shim_page_address(self.page.as_ptr()) };
        // SAFETY: By the invariants there are as many bytes, and they are nobody else's, for it is not shared.
        unsafe { slice::from_raw_parts_mut(data.cast(), PAGE_SIZE << self.order) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: By the invariants the reference is ours.
        unsafe { bindings::ksf_shim_put_page(self.page.as_ptr()) };
    }
}

#[kunit_tests(ksf_pages)]
mod tests {
    use super::*;

    #[test]
    fn runs_cover_the_content_and_no_more() -> Result {
        let block = PAGE_SIZE << ORDER;
        let len = 2 * block + 100;
        let mut filled = 0;
        let pages = Pages::new(len, |offset, bytes| {
            assert_eq!(offset, filled);
            filled += bytes.len();
        })?;
        assert!(filled >= len);
        assert_eq!(pages.len(), len);
        let mut offset = 0;
        while let Some(run) = pages.run(offset, 1412) {
            assert!(run.len != 0 && run.len <= 1412);
            offset += run.len;
        }
        assert_eq!(offset, len);
        assert!(pages.run(len, 1).is_none());
        assert!(Pages::new(0, |_, _| ())?.run(0, 1).is_none());
        Ok(())
    }
}
