// SPDX-License-Identifier: GPL-2.0

//! How long a peer goes on.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{poll, PollFd, PollFlags, Timespec},
    io::Errno,
};

/// When something is over: at a time, when somebody says so, whichever is first, or never.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Until {
    at: Option<Instant>,
    told: bool,
}

impl Until {
    /// Over never.
    pub(crate) const NEVER: Self = Self {
        at: None,
        told: false,
    };

    /// Over after `time`, and, if `told`, when standard input has a byte or ends. Without both: never.
    pub(crate) fn new(time: Option<Duration>, told: bool) -> Self {
        Self {
            at: time.map(|time| Instant::now() + time),
            told,
        }
    }

    /// Waits until `fd` can be read, if there is one, but no longer than `time`, if there is a limit. Returns whether
    /// it is over.
    pub(crate) fn wait(
        &self,
        fd: Option<BorrowedFd<'_>>,
        time: Option<Duration>,
    ) -> io::Result<bool> {
        let left = self
            .at
            .map(|at| at.saturating_duration_since(Instant::now()));
        let time = left.into_iter().chain(time).min();
        let timeout = time.map(Timespec::try_from).transpose();
        let timeout = timeout.map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let stdin = io::stdin();
        let mut fds = Vec::with_capacity(2);
        if self.told {
            fds.push(PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN));
        }
        fds.extend(fd.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let told = self.told && !fds[0].revents().is_empty();
        Ok(told || self.at.is_some_and(|at| Instant::now() >= at))
    }
}
