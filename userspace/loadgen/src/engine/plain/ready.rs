// SPDX-License-Identifier: GPL-2.0

//! Waits for several connections.

use std::{io, os::fd::OwnedFd};

use rustix::{buffer::spare_capacity, event::epoll, io::Errno};

use crate::{clock, engine::Nanos};

/// How many connections one call to epoll tells of.
const EVENTS: usize = 256;

/// Which of several connections have something.
pub(super) struct Ready {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    next: usize,
}

impl Ready {
    pub(super) fn new(sockets: &[OwnedFd]) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (place, socket) in sockets.iter().enumerate() {
            let data = epoll::EventData::new_u64(place as u64);
            epoll::add(&epoll, socket, data, epoll::EventFlags::IN)?;
        }
        Ok(Self {
            epoll,
            events: Vec::with_capacity(EVENTS),
            next: 0,
        })
    }

    /// Watches a connection for something to receive, and for room to send if that is waited for.
    pub(super) fn watch(&self, place: usize, socket: &OwnedFd, for_room: bool) {
        let events = if for_room {
            epoll::EventFlags::IN | epoll::EventFlags::OUT
        } else {
            epoll::EventFlags::IN
        };
        let data = epoll::EventData::new_u64(place as u64);
        // Fails only for what is not watched, and all sockets are.
        let _ = epoll::modify(&self.epoll, socket, data, events);
    }

    /// The next of the connections that the last call told of, and what it said.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Option<(usize, epoll::EventFlags)> {
        let event = self.events.get(self.next)?;
        self.next += 1;
        Some((event.data.u64() as usize, event.flags))
    }

    /// Asks which connections have something, waiting for so long at most; returns whether there are any.
    pub(super) fn wait(&mut self, longest: Nanos) -> io::Result<bool> {
        self.events.clear();
        self.next = 0;
        let timeout = clock::timespec(longest);
        interrupted(epoll::wait(
            &self.epoll,
            spare_capacity(&mut self.events),
            Some(&timeout),
        ))?;
        Ok(!self.events.is_empty())
    }
}

/// A wait that a signal ended, such as to stop and continue, has brought nothing.
pub(super) fn interrupted(result: rustix::io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(Errno::INTR) => Ok(0),
        result => Ok(result?),
    }
}
