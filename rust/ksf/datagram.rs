// SPDX-License-Identifier: GPL-2.0

//! What a service sees of a UDP datagram.

use crate::{
    outgoing::Outgoing,
    sys::cursor::Cursor, //
};
use core::net::SocketAddr;
use kernel::prelude::*;

/// The most bytes that a datagram has, over IPv4.
pub const DATAGRAM_BYTES: usize = 65507;

/// A datagram that was received, and the reply to it.
pub struct Datagram<'a> {
    pub(crate) cursor: Cursor<'a>,
    pub(crate) outgoing: &'a mut Outgoing,
    pub(crate) view: &'a mut [u8],
    pub(crate) reply: Reply,
    pub(crate) may_sleep: bool,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
}

/// What is sent for a datagram.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Nothing.
    Nothing,
    /// What was written, which may be nothing.
    Written,
    /// The datagram as it is.
    SendBack,
}

impl Datagram<'_> {
    /// Returns how many bytes are not consumed.
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
    /// `count` is more than [`VIEW_BYTES`](crate::VIEW_BYTES).
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

    /// Consumes the next `count` bytes, or all if there are fewer.
    pub fn consume(&mut self, count: usize) {
        self.cursor.advance(count);
    }

    /// Appends `bytes` to the reply, which is sent even if nothing else follows and `bytes` is empty.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE` when it would be longer than [`DATAGRAM_BYTES`]; nothing is appended then.
    pub fn reply(&mut self, bytes: &[u8]) -> Result {
        if bytes.len() > DATAGRAM_BYTES.saturating_sub(self.outgoing.len()) {
            return Err(EMSGSIZE);
        }
        self.reply = Reply::Written;
        self.outgoing.append(bytes);
        Ok(())
    }

    /// The reply is the whole datagram, unchanged, in place of what was appended. It is not copied if nobody else
    /// holds it.
    pub fn send_back(&mut self) {
        self.reply = Reply::SendBack;
    }

    /// Returns whether this call may sleep, for memory or a disk but not for a peer. If not, [`Verdict::Defer`](crate::Verdict::Defer)
    /// leads to one that may.
    pub fn may_sleep(&self) -> bool {
        self.may_sleep
    }

    /// Returns who sent it.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Returns to which of this host's addresses it was sent, which is where the reply comes from.
    pub fn local(&self) -> SocketAddr {
        self.local
    }
}
