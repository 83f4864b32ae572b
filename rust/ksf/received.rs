// SPDX-License-Identifier: GPL-2.0

//! What was received, where it lies.

use crate::{
    stats::Slot,
    sys::cursor::Cursor, //
};

/// The longest view that [`Received::view()`] gives, in bytes.
pub const VIEW_BYTES: usize = 4096;

/// What was received and is not consumed yet, of a [`Stream`](crate::Stream) or a [`Datagram`](crate::Datagram).
///
/// The bytes lie in the packets that they came in, and are looked at there.
pub struct Received<'a> {
    pub(crate) cursor: Cursor<'a>,
    view: &'a mut [u8],
    /// How many bytes there were at first.
    bytes: usize,
    /// The context of this call.
    slot: Slot,
}

impl<'a> Received<'a> {
    /// What `cursor` goes over. `view` is where bytes are put that do not lie behind each other.
    pub(crate) fn new(cursor: Cursor<'a>, view: &'a mut [u8], slot: Slot) -> Self {
        Self {
            bytes: cursor.remaining(),
            cursor,
            view,
            slot,
        }
    }

    /// Returns how many bytes were consumed.
    pub(crate) fn consumed(&self) -> usize {
        self.bytes - self.available()
    }

    /// Returns how many bytes were received and not consumed.
    #[inline]
    pub fn available(&self) -> usize {
        self.cursor.remaining()
    }

    /// Copies the next bytes into `buffer` without consuming them. Returns how many: fewer than it has room for only if no
    /// more are available.
    pub fn peek(&self, buffer: &mut [u8]) -> usize {
        self.cursor.copy(buffer)
    }

    /// Returns the next `N` bytes without consuming them, or [`None`] if fewer are available.
    pub fn peek_array<const N: usize>(&self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        (self.peek(&mut bytes) == N).then_some(bytes)
    }

    /// Returns the next `count` bytes behind each other, without consuming them, or [`None`] if fewer are available or
    /// `count` is more than [`VIEW_BYTES`].
    ///
    /// They are not copied if they lie behind each other already, in memory that nobody else can write to.
    pub fn view(&mut self, count: usize) -> Option<&[u8]> {
        if count > self.available() {
            return None;
        }
        if let Some(bytes) = self.cursor.stable(count) {
            return Some(bytes);
        }
        let view = self.view.get_mut(..count)?;
        (self.cursor.copy(view) == count).then_some(view)
    }

    /// Returns what lies ahead, to look at it without consuming anything.
    pub fn ahead(&self) -> Ahead<'_> {
        Ahead {
            cursor: self.cursor.fork(),
        }
    }

    /// Returns the bytes that `gather` has put behind each other: of a buffer of [`VIEW_BYTES`], as many as it says.
    pub fn gather(&mut self, gather: impl FnOnce(Ahead<'_>, &mut [u8]) -> usize) -> &[u8] {
        let cursor = self.cursor.fork();
        let len = gather(Ahead { cursor }, self.view);
        self.view.get(..len).unwrap_or_default()
    }

    /// Returns the context of this call, which [`Counters`](crate::Counters) want to know.
    #[inline]
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// Consumes the next `count` bytes, or all if there are fewer.
    pub fn consume(&mut self, count: usize) {
        self.cursor.advance(count);
    }
}

/// A way through what was received and is not consumed.
pub struct Ahead<'a> {
    cursor: Cursor<'a>,
}

impl Ahead<'_> {
    /// Goes `count` bytes on, or to the end.
    pub fn skip(&mut self, count: usize) {
        self.cursor.advance(count);
    }

    /// Copies the next bytes into `buffer`, and goes on behind them. Returns how many: fewer than `buffer` has only at the
    /// end.
    pub fn read(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.cursor.copy(buffer);
        self.cursor.advance(count);
        count
    }

    /// Reads the next `N` bytes, or [`None`] if there are fewer.
    pub fn read_array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        (self.read(&mut bytes) == N).then_some(bytes)
    }
}
