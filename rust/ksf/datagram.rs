// SPDX-License-Identifier: GPL-2.0

//! What a service sees of a UDP datagram.

use crate::{
    outgoing::Outgoing,
    received::Received, //
};
use core::{
    net::SocketAddr,
    ops::{
        Deref,
        DerefMut, //
    }, //
};
use kernel::prelude::*;

/// The most bytes that a datagram has, over IPv4.
pub const DATAGRAM_BYTES: usize = 65507;

/// A datagram that was [`Received`], and the reply to it.
pub struct Datagram<'a> {
    pub(crate) received: Received<'a>,
    pub(crate) outgoing: &'a mut Outgoing,
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

impl<'a> Deref for Datagram<'a> {
    type Target = Received<'a>;

    fn deref(&self) -> &Received<'a> {
        &self.received
    }
}

impl<'a> DerefMut for Datagram<'a> {
    fn deref_mut(&mut self) -> &mut Received<'a> {
        &mut self.received
    }
}
