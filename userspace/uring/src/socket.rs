// SPDX-License-Identifier: GPL-2.0

//! One socket of a ring.

use std::os::fd::OwnedFd;

/// One socket, and what the kernel does with it.
#[derive(Debug)]
pub(crate) struct Socket {
    /// `None` if it was closed.
    pub(crate) descriptor: Option<OwnedFd>,
    /// What the kernel reads while it sends.
    pub(crate) outgoing: Vec<u8>,
    pub(crate) sending: Sending,
    pub(crate) is_receiving: bool,
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
    pub(crate) fn new(descriptor: OwnedFd) -> Self {
        Self {
            descriptor: Some(descriptor),
            outgoing: Vec::new(),
            sending: Sending::Queued(0),
            is_receiving: false,
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
}
