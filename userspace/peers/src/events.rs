// SPDX-License-Identifier: GPL-2.0

//! Waiting for many sockets.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use rustix::{
    buffer::spare_capacity,
    event::{epoll, Timespec},
    io::Errno,
};

use crate::until::Until;

/// Sockets, each with the number of its owner.
///
/// A socket is reported when something changes, and only then: its owner is to send or receive until it would block
/// before it waits. It leaves when it is closed.
pub(crate) struct Events {
    epoll: OwnedFd,
    buffer: Vec<epoll::Event>,
}

impl Events {
    /// Watches nothing yet.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            buffer: Vec::with_capacity(1024),
        })
    }

    /// Watches `socket` for the owner with this number.
    pub(crate) fn watch(&self, socket: impl AsFd, owner: usize) -> io::Result<()> {
        let flags = epoll::EventFlags::IN
            | epoll::EventFlags::OUT
            | epoll::EventFlags::RDHUP
            | epoll::EventFlags::ET;
        Ok(epoll::add(
            &self.epoll,
            socket,
            epoll::EventData::new_u64(owner as u64),
            flags,
        )?)
    }

    /// Waits until something changes, for `time` at most, and adds the owners that it concerns to `owners`. Returns
    /// whether it is over.
    pub(crate) fn wait(
        &mut self,
        until: &Until,
        time: Option<Duration>,
        owners: &mut Vec<usize>,
    ) -> io::Result<bool> {
        if until.wait(Some(self.epoll.as_fd()), time)? {
            return Ok(true);
        }
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        match epoll::wait(&self.epoll, spare_capacity(&mut self.buffer), Some(&now)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        owners.extend(self.buffer.drain(..).map(|event| event.data.u64() as usize));
        Ok(false)
    }
}
