// SPDX-License-Identifier: GPL-2.0

//! Reading received bytes where they lie.

use super::{
    bindings,
    held::Held,
    page::PageRun,
    skb::Skb,
    tcp::{
        Locked,
        Position, //
    }, //
};
use core::{
    ptr::{
        self,
        NonNull, //
    },
    slice, //
};

/// A position in received bytes, which are in one or many skbs.
///
/// The bytes may be in pages that their sender can still write to, if it runs on this machine and spliced them into its
/// socket. So what is looked at is copied first, unless it is in the skb's own memory.
///
/// # Invariants
///
/// While `remaining` is not 0, `skb` is a valid skb of `source`, of which the bytes from `offset` to `end`, which are at
/// least one, come next, the first of them as `run` says. `run` has at least one byte then, and not more than `remaining`.
pub(crate) struct Cursor<'a> {
    source: Source<'a>,
    skb: *mut bindings::sk_buff,
    offset: u32,
    end: u32,
    run: Run,
    remaining: usize,
}

/// Where the skbs of a [`Cursor`] come from.
#[derive(Clone, Copy)]
enum Source<'a> {
    /// What was taken out of a socket's receive queue, then the queue.
    Held(&'a [Held], &'a Locked),
    /// A socket's receive queue.
    Queue(&'a Locked),
    /// One packet.
    Packet,
}

impl<'a> Cursor<'a> {
    /// The first unread byte of a TCP socket, of which `unread` can be read from its queue, after those that are held.
    #[inline(always)]
    pub(super) fn of_queue(held: &'a [Held], locked: &'a Locked, unread: usize) -> Self {
        let held_bytes: usize = held.iter().map(Held::len).sum();
        // INVARIANT: `enter()` makes it true.
        let mut this = Self {
            source: Source::Held(held, locked),
            skb: ptr::null_mut(),
            offset: 0,
            end: 0,
            run: Run::NONE,
            remaining: unread.saturating_add(held_bytes),
        };
        match locked.first().filter(|_| held.is_empty()) {
            Some(first) => {
                this.source = Source::Queue(locked);
                this.enter_at(first);
            }
            None => this.next(),
        }
        this
    }

    /// The first byte of a packet's payload.
    pub(crate) fn of_packet(skb: &'a Skb) -> Self {
        // INVARIANT: `enter()` makes it true; the packet lives for `'a`.
        let mut this = Self {
            source: Source::Packet,
            skb: ptr::null_mut(),
            offset: 0,
            end: 0,
            run: Run::NONE,
            remaining: skb.len(),
        };
        this.enter(skb.as_ptr(), 0);
        this
    }

    /// How many bytes there are from here on.
    #[inline]
    pub(crate) fn remaining(&self) -> usize {
        self.remaining
    }

    /// Goes `count` bytes on, or to the end.
    pub(crate) fn advance(&mut self, count: usize) {
        let mut count = count;
        if count >= self.remaining {
            // INVARIANT: Nothing remains.
            self.remaining = 0;
            self.run.len = 0;
            return;
        }
        while count != 0 {
            let here = count.min(self.run.len);
            if here == 0 {
                return;
            }
            count -= here;
            // INVARIANT: What is left of the run comes next; if nothing is, `refill()` finds it.
            self.remaining -= here;
            // CAST: A run is a part of an skb, whose length is a `u32`.
            self.offset += here as u32;
            self.run.advance(here);
            if self.run.len == 0 && self.remaining != 0 {
                self.refill();
            }
        }
    }

    /// Copies the bytes from here on, without going on. Returns how many: fewer than `buffer` has only at the end.
    pub(crate) fn copy(&self, buffer: &mut [u8]) -> usize {
        if buffer.len() <= self.run.len {
            self.run.copy(buffer);
            return buffer.len();
        }
        let mut at = self.fork();
        let mut copied = 0;
        while let Some(room) = buffer.get_mut(copied..).filter(|room| !room.is_empty()) {
            let count = at.run.len.min(room.len());
            if count == 0 {
                break;
            }
            at.run.copy(&mut room[..count]);
            copied += count;
            at.advance(count);
        }
        copied
    }

    /// Returns the next `count` bytes without copying, if they lie behind each other in memory that nobody writes to.
    pub(crate) fn stable(&self, count: usize) -> Option<&'a [u8]> {
        if self.run.page.is_some() || self.run.len < count {
            return None;
        }
        if count == 0 {
            return Some(&[]);
        }
        // SAFETY: The run has as many bytes. They are in the skb's own memory, which nobody writes to once it is
        // received (what is appended to what is held lies behind), and which is kept while the cursor's source is borrowed.
        Some(unsafe { slice::from_raw_parts(self.run.data, count) })
    }

    /// Returns a reference to the bytes from here on, at most `max`, if they are in a page.
    pub(crate) fn page_run(&self, max: usize) -> Option<PageRun> {
        let page = self.run.page?;
        // CAST: Not more than the length of a run, which is a `u32`.
        let len = self.run.len.min(max) as u32;
        // SAFETY: The run is in that page, which exists for as long as the cursor does.
        (len != 0).then(|| unsafe { PageRun::new(page, self.run.page_offset, len) })
    }

    /// How many bytes lie behind each other from here on in a page that can be referred to.
    pub(crate) fn page_run_len(&self) -> usize {
        if self.run.page.is_some() {
            self.run.len
        } else {
            0
        }
    }

    /// How many bytes lie behind each other from here on.
    pub(crate) fn run_len(&self) -> usize {
        self.run.len
    }

    /// Another cursor at the same position.
    pub(crate) fn fork(&self) -> Cursor<'a> {
        // INVARIANT: It is the same position in the same source.
        Cursor { ..*self }
    }

    /// Finds what lies behind a run that was read, which is not all.
    fn refill(&mut self) {
        if self.offset < self.end {
            self.enter(self.skb, self.offset);
        } else {
            self.next();
        }
    }

    /// Goes to the next skb, or to the first.
    fn next(&mut self) {
        match self.source {
            Source::Held([first, rest @ ..], locked) => {
                self.source = Source::Held(rest, locked);
                self.enter(first.as_ptr(), first.offset());
            }
            Source::Held([], locked) => {
                let mut offset = 0;
                self.source = Source::Queue(locked);
                // SAFETY: The socket's lock is held. What this frees was read already, and no cursor is there: they
                // borrow the lock, and reading needs it exclusively.
                let skb = unsafe { bindings::ksf_shim_tcp_first(locked.as_ptr(), &mut offset) };
                self.enter(skb, offset);
            }
            Source::Queue(locked) => {
                let mut offset = 0;
                // SAFETY: The skb is in the queue of this socket, whose lock is held.
                let skb =
                    unsafe { bindings::ksf_shim_tcp_next(locked.as_ptr(), self.skb, &mut offset) };
                self.enter(skb, offset);
            }
            Source::Packet => self.enter(ptr::null_mut(), 0),
        }
    }

    /// Goes to `offset` of `skb`. When that is not there, or the CPU cannot read it, this is the end, whatever was announced.
    fn enter(&mut self, skb: *mut bindings::sk_buff, offset: u32) {
        let mut position = Position {
            skb,
            offset,
            ..Position::default()
        };
        if !skb.is_null() {
            // SAFETY: The callers have it from the source.
            position.end = unsafe { bindings::ksf_shim_skb_len(skb) };
            // SAFETY: As above.
            unsafe { bindings::ksf_shim_skb_run(skb, offset, &mut position.run) };
        }
        self.enter_at(&position);
    }

    /// Goes to a position in the source, if there is one.
    #[inline(always)]
    fn enter_at(&mut self, position: &Position) {
        let run = &position.run;
        // INVARIANT: It is an skb of the source with at least a byte, or nothing remains.
        self.skb = position.skb;
        self.offset = position.offset;
        self.end = position.end;
        self.run = Run {
            data: run.data,
            len: (run.len as usize).min(self.remaining),
            page: NonNull::new(run.page),
            page_offset: run.page_offset,
        };
        if self.run.len == 0 {
            self.remaining = 0;
        }
    }
}

/// Bytes that lie behind each other.
///
/// # Invariants
///
/// `data` has `len` bytes, which exist for as long as the cursor does that has the run.
#[derive(Clone, Copy)]
struct Run {
    data: *const u8,
    len: usize,
    /// The page that they are in, unless they are in the skb's own memory, and where in it.
    page: Option<NonNull<bindings::page>>,
    page_offset: u32,
}

impl Run {
    const NONE: Self = Self {
        data: ptr::null(),
        len: 0,
        page: None,
        page_offset: 0,
    };

    /// Copies the first bytes, of which there are as many as `buffer` has.
    fn copy(&self, buffer: &mut [u8]) {
        let count = buffer.len().min(self.len);
        // SAFETY: By the invariants, and `buffer` has room for as many bytes and is nobody else's. Whoever still writes to
        // the run's page changes values, but nothing else.
        unsafe { ptr::copy_nonoverlapping(self.data, buffer.as_mut_ptr(), count) };
    }

    /// Gives up the first `count` bytes, of which there are as many.
    fn advance(&mut self, count: usize) {
        let count = count.min(self.len);
        // INVARIANT: The rest of the bytes is where it was.
        self.data = self.data.wrapping_add(count);
        self.len -= count;
        // CAST: Not more than the length of a run, which is a `u32`.
        self.page_offset += count as u32;
    }
}
