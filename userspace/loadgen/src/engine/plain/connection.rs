// SPDX-License-Identifier: GPL-2.0

//! One connection.

use std::{io, os::fd::OwnedFd};

use rustix::event::{poll, PollFd, PollFlags};

use super::{found::Found, kept::is_temporary, ready::interrupted};
use crate::{
    clock,
    engine::{Nanos, Requests},
};

#[derive(Debug)]
pub(super) struct Connection {
    /// `None` after the last event.
    pub(super) socket: Option<OwnedFd>,
    /// How much one call shall receive.
    pub(super) limit: usize,
    /// What a full or failed socket did not take.
    pub(super) kept: Requests,
    /// How much of that has been sent since: bytes of a stream, and datagrams otherwise.
    pub(super) kept_sent: usize,
    /// Whether it waits for the socket to take what is kept.
    pub(super) is_full: bool,
    /// Why something could not be sent.
    pub(super) error: Option<io::Error>,
    /// Whether the last call received all that there was.
    pub(super) is_dry: bool,
}

impl Connection {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self {
            socket: Some(socket),
            limit: usize::MAX,
            kept: Requests::default(),
            kept_sent: 0,
            is_full: false,
            error: None,
            is_dry: false,
        }
    }

    /// Closes the socket; returns why something could not be sent on it, if that is so.
    pub(super) fn close(&mut self) -> Option<io::Error> {
        self.socket = None;
        self.is_full = false;
        self.error.take()
    }

    /// What it means that a call received nothing.
    pub(super) fn nothing(&mut self, place: usize, error: io::Error) -> Option<Found> {
        if is_temporary(&error) {
            self.is_dry = true;
            return None;
        }
        self.close();
        Some(Found::Ended {
            connection: place,
            error: Some(error),
        })
    }

    /// Sleeps until there is something to receive, or room to send if that is waited for, but no longer than this.
    pub(super) fn sleep(&mut self, longest: Nanos) -> io::Result<()> {
        let events = match &self.socket {
            Some(socket) => {
                let room = if self.is_full {
                    PollFlags::OUT
                } else {
                    PollFlags::empty()
                };
                let mut fds = [PollFd::new(socket, PollFlags::IN | room)];
                interrupted(poll(&mut fds, Some(&clock::timespec(longest))))?;
                fds[0].revents()
            }
            // At its end: nothing but time passes.
            None => {
                interrupted(poll(&mut [], Some(&clock::timespec(longest))))?;
                PollFlags::empty()
            }
        };
        // An error or the end of the stream is what receiving returns.
        self.is_dry = !events.intersects(PollFlags::IN | PollFlags::ERR | PollFlags::HUP);
        Ok(())
    }
}
