// SPDX-License-Identifier: GPL-2.0

//! Replies on their way into a socket.

use crate::sys::{
    page::{
        PageFrag,
        PageRun, //
    },
    tcp::Locked, //
};
use core::ops::Range;
use kernel::{
    alloc::Flags,
    prelude::*, //
};

/// The replies of a turn, in a buffer that all connections of a core use one after the other.
pub(crate) struct Outgoing {
    buffer: KVVec<u8>,
    used: usize,
    parts: KVec<Part>,
    bytes: usize,
}

/// A part of the replies.
enum Part {
    /// Bytes of the buffer.
    Copied(Range<usize>),
    /// Bytes in pages that somebody else wrote.
    Page(PageRun),
}

/// How many parts a turn may have.
const PARTS: usize = 64;

impl Outgoing {
    /// Creates a buffer of `size` bytes.
    ///
    /// Process context.
    pub(crate) fn new(size: usize) -> Result<Self> {
        Ok(Self {
            buffer: KVVec::from_elem(0, size, GFP_KERNEL)?,
            used: 0,
            parts: KVec::with_capacity(PARTS, GFP_KERNEL)?,
            bytes: 0,
        })
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.parts.clear();
        self.used = 0;
        self.bytes = 0;
    }

    /// How many bytes there are in all.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes
    }

    /// How many more bytes can be copied.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        if self.has_part() {
            self.buffer.len() - self.used
        } else {
            0
        }
    }

    /// Whether another part may follow.
    #[inline]
    fn has_part(&self) -> bool {
        self.parts.len() < PARTS
    }

    /// Appends up to `len` bytes, as many as `fill` writes into the buffer that it is given. Returns how many.
    pub(crate) fn copy(&mut self, len: usize, fill: impl FnOnce(&mut [u8]) -> usize) -> usize {
        let start = self.used;
        let end = start + len.min(self.room());
        let Some(buffer) = self.buffer.get_mut(start..end) else {
            return 0;
        };
        let len = fill(buffer).min(end - start);
        if len == 0 {
            return 0;
        }
        self.used += len;
        self.bytes += len;
        if let Some(Part::Copied(range)) = self.parts.last_mut() {
            range.end += len;
        } else if self
            .parts
            .push_within_capacity(Part::Copied(start..start + len))
            .is_err()
        {
            // `room()` has said that there is one more.
            self.used -= len;
            self.bytes -= len;
            return 0;
        }
        len
    }

    /// Appends `bytes`, which fit into the [`room()`](Self::room()).
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.copy(bytes.len(), |buffer| {
            let len = buffer.len().min(bytes.len());
            buffer[..len].copy_from_slice(&bytes[..len]);
            len
        });
    }

    /// Appends bytes that are in pages, or returns `false` when there are too many parts.
    pub(crate) fn refer(&mut self, run: PageRun) -> bool {
        let len = run.len();
        let fits = self.parts.push_within_capacity(Part::Page(run)).is_ok();
        if fits {
            self.bytes += len;
        }
        fits
    }

    /// What was copied, from the beginning: all there is if nothing was referred to.
    pub(crate) fn copied(&self) -> &[u8] {
        self.buffer.get(..self.used).unwrap_or_default()
    }

    /// Sends all, and keeps in `unsent` what there is no room for. Returns how many calls that took.
    ///
    /// # Errors
    ///
    /// `ENOMEM` when the rest cannot be kept, and the errors of the connection.
    pub(crate) fn send(
        &mut self,
        locked: &mut Locked,
        frag: &mut PageFrag,
        unsent: &mut Unsent,
        flags: Flags,
    ) -> Result<u64> {
        // Nearly always there are some bytes, and room for them.
        if let [Part::Copied(range)] = &self.parts[..] {
            let bytes = self.buffer.get(range.clone()).unwrap_or_default();
            match locked.send_bytes(bytes, false, frag) {
                Ok(sent) if sent == bytes.len() => {
                    self.clear();
                    return Ok(1);
                }
                Ok(sent) => {
                    self.advance(0, sent);
                }
                Err(error) if error == EAGAIN => {}
                Err(error) => return Err(error),
            }
        }
        let mut calls = 0;
        let mut first = 0;
        let mut blocked = false;
        while first < self.parts.len() && !blocked {
            let parts = &self.parts[first..];
            let is_page = |part: &Part| matches!(part, Part::Page(_));
            let count = parts.iter().take_while(|part| is_page(part)).count();
            calls += 1;
            let result = if count == 0 {
                let Part::Copied(range) = &parts[0] else {
                    return Err(EINVAL);
                };
                let bytes = self.buffer.get(range.clone()).unwrap_or_default();
                locked.send_bytes(bytes, parts.len() > 1, frag)
            } else {
                let runs = parts.iter().filter_map(|part| match part {
                    Part::Page(run) => Some(run),
                    Part::Copied(_) => None,
                });
                locked.send_pages(runs.take(count), parts.len() > count, frag)
            };
            match result {
                Ok(sent) => first = self.advance(first, sent),
                Err(error) if error == EAGAIN => blocked = true,
                Err(error) => return Err(error),
            }
        }
        for part in self.parts.drain_all().skip(first) {
            unsent.keep(part, &self.buffer, flags)?;
        }
        Ok(calls)
    }

    /// Gives up the first `count` bytes from the part number `first` on. Returns the part that is the first then.
    fn advance(&mut self, mut first: usize, mut count: usize) -> usize {
        while let Some(part) = self.parts.get_mut(first) {
            match part {
                Part::Copied(range) => {
                    let here = count.min(range.len());
                    range.start += here;
                    count -= here;
                    if range.start < range.end {
                        break;
                    }
                }
                Part::Page(run) => {
                    let here = count.min(run.len());
                    run.advance(here);
                    count -= here;
                    if run.len() != 0 {
                        break;
                    }
                }
            }
            first += 1;
        }
        first
    }
}

/// Replies of one connection that its socket had no room for.
pub(crate) struct Unsent {
    parts: KVec<Kept>,
    /// The first part that is not sent.
    first: usize,
    bytes: usize,
}

/// A part of them.
enum Kept {
    /// Bytes, of which so many have been sent.
    Copied(KVVec<u8>, usize),
    /// Bytes in pages.
    Page(PageRun),
}

impl Unsent {
    /// Creates it with nothing in it, which takes no memory.
    pub(crate) fn new() -> Self {
        Self {
            parts: KVec::new(),
            first: 0,
            bytes: 0,
        }
    }

    /// How many bytes there are.
    pub(crate) fn len(&self) -> usize {
        self.bytes
    }

    fn keep(&mut self, part: Part, buffer: &[u8], flags: Flags) -> Result {
        let part = match part {
            Part::Copied(range) => {
                let bytes = buffer.get(range).unwrap_or_default();
                let mut copy = KVVec::new();
                copy.extend_from_slice(bytes, flags)?;
                self.bytes += bytes.len();
                Kept::Copied(copy, 0)
            }
            Part::Page(run) => {
                self.bytes += run.len();
                Kept::Page(run)
            }
        };
        self.parts.push(part, flags)?;
        Ok(())
    }

    /// Sends what is left.
    ///
    /// # Errors
    ///
    /// `EAGAIN` when some of it is still left, and the errors of the connection.
    pub(crate) fn send(&mut self, locked: &mut Locked, frag: &mut PageFrag) -> Result {
        while let Some(part) = self.parts.get_mut(self.first) {
            let (sent, whole) = match part {
                Kept::Copied(bytes, done) => {
                    let rest = bytes.get(*done..).unwrap_or_default();
                    let sent = locked.send_bytes(rest, false, frag)?;
                    *done += sent;
                    (sent, *done >= bytes.len())
                }
                Kept::Page(run) => {
                    let sent = locked.send_pages(core::iter::once(&*run), false, frag)?;
                    run.advance(sent);
                    (sent, run.len() == 0)
                }
            };
            self.bytes -= sent.min(self.bytes);
            if whole {
                self.first += 1;
            }
        }
        // A connection that waits for nothing keeps no memory.
        *self = Self::new();
        Ok(())
    }
}

#[kunit_tests(ksf_outgoing)]
mod tests {
    use super::*;

    fn copy(outgoing: &mut Outgoing, bytes: &[u8]) -> usize {
        let before = outgoing.len();
        outgoing.append(bytes);
        outgoing.len() - before
    }

    #[test]
    fn replies_are_in_order_and_bounded() -> Result {
        let mut outgoing = Outgoing::new(5)?;
        assert_eq!(copy(&mut outgoing, b"abc"), 3);
        assert_eq!(copy(&mut outgoing, b""), 0);
        assert_eq!(copy(&mut outgoing, b"defg"), 2);
        assert_eq!(copy(&mut outgoing, b"h"), 0);
        assert_eq!(outgoing.copied(), b"abcde");
        assert_eq!(outgoing.len(), 5);
        assert_eq!(outgoing.parts.len(), 1);
        outgoing.clear();
        assert_eq!(outgoing.len(), 0);
        assert_eq!(outgoing.room(), 5);
        Ok(())
    }

    #[test]
    fn what_is_sent_is_given_up_in_part() -> Result {
        let mut outgoing = Outgoing::new(16)?;
        assert_eq!(copy(&mut outgoing, b"abcdef"), 6);
        assert_eq!(outgoing.advance(0, 2), 0);
        let mut unsent = Unsent::new();
        for part in outgoing.parts.drain_all() {
            unsent.keep(part, &outgoing.buffer, GFP_KERNEL)?;
        }
        assert_eq!(unsent.len(), 4);
        let Some(Kept::Copied(bytes, 0)) = unsent.parts.first() else {
            return Err(EINVAL);
        };
        assert_eq!(bytes.as_slice(), b"cdef");
        Ok(())
    }

    #[test]
    fn what_is_sent_in_whole_is_done() -> Result {
        let mut outgoing = Outgoing::new(16)?;
        assert_eq!(copy(&mut outgoing, b"abcdef"), 6);
        assert_eq!(outgoing.advance(0, 6), 1);
        Ok(())
    }
}
