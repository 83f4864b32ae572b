// SPDX-License-Identifier: GPL-2.0

//! One socket of a ring.

use std::os::fd::OwnedFd;

/// One socket, and what the kernel does with it.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) held: Held,
    /// What the kernel reads while it sends.
    pub(crate) outgoing: Vec<u8>,
    pub(crate) sending: Sending,
    pub(crate) is_receiving: bool,
}

/// Who has a socket.
#[derive(Debug)]
pub(crate) enum Held {
    /// This process, under a number, and the ring.
    Here(OwnedFd),
    /// Only the ring, which has accepted it.
    InRing,
    /// Nobody: it was closed, or is not accepted yet.
    Nowhere,
}

/// What the kernel has to send on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    /// The request that is the last of so many that were collected; nothing, if the kernel has got so many.
    Queued(u64),
    /// A request that is not answered yet.
    Waiting,
}

impl Socket {
    pub(crate) fn new(held: Held) -> Self {
        Self {
            held,
            outgoing: Vec::new(),
            sending: Sending::Queued(0),
            is_receiving: false,
        }
    }

    /// The place of another socket from now on.
    pub(crate) fn be_accepted(&mut self, handed_over: u64) {
        self.held = Held::InRing;
        // That of its predecessor. Who has sent on a place without a socket may still have the kernel read it.
        if let Some(outgoing) = self.lend_outgoing(handed_over) {
            outgoing.clear();
        }
    }

    /// Whether the kernel has a request to send, or is going to get it, when it has got so many requests of the ring.
    #[inline]
    pub(crate) fn is_sending(&self, handed_over: u64) -> bool {
        match self.sending {
            Sending::Queued(last) => last > handed_over,
            Sending::Waiting => true,
        }
    }

    /// What it sends, unless the kernel has it.
    #[inline]
    pub(crate) fn lend_outgoing(&mut self, handed_over: u64) -> Option<&mut Vec<u8>> {
        (!self.is_sending(handed_over)).then_some(&mut self.outgoing)
    }
}
