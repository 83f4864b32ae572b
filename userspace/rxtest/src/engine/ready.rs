// SPDX-License-Identifier: GPL-2.0

//! Waits for the clients' sockets.

use std::{io, os::fd::OwnedFd};

use rustix::{buffer::spare_capacity, event::epoll, io::Errno, time::Timespec};

use loadgen::engine::Nanos;

/// How many sockets one call tells of.
const EVENTS: usize = 256;

/// Which sockets have something.
pub(super) struct Ready {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    next: usize,
}

impl Ready {
    /// For these sockets, which are known by their places from then on.
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

    /// The next of the sockets that the last call told of.
    pub(super) fn next(&mut self) -> Option<usize> {
        let event = self.events.get(self.next)?;
        self.next += 1;
        Some(event.data.u64() as usize)
    }

    /// Asks which sockets have something, waiting for so long at most.
    pub(super) fn wait(&mut self, longest: Nanos) -> io::Result<()> {
        self.events.clear();
        self.next = 0;
        let timeout = Timespec {
            tv_sec: (longest / 1_000_000_000) as i64,
            tv_nsec: (longest % 1_000_000_000) as i64,
        };
        match epoll::wait(
            &self.epoll,
            spare_capacity(&mut self.events),
            Some(&timeout),
        ) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
