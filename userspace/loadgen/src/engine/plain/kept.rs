// SPDX-License-Identifier: GPL-2.0

//! What a socket did not take at once.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use rustix::net::send;

use super::{Plain, SEND};
use crate::{
    engine::{mmsg::Batch, Requests, Sent},
    load::Transport,
};

impl Plain {
    /// Keeps what a socket did not take: a full one, until it does, and a failed one for ever.
    #[cold]
    pub(super) fn keep(
        &mut self,
        place: usize,
        requests: &mut Requests,
        sent: io::Result<usize>,
    ) -> Sent {
        let connection = &mut self.connections[place];
        // Nothing was kept before: the buffers change hands without a copy.
        std::mem::swap(&mut connection.kept, requests);
        connection.kept_sent = match sent {
            Ok(sent) => sent,
            Err(error) if is_temporary(&error) => 0,
            Err(error) => {
                connection.error = Some(error);
                self.failing.push_back(place);
                return Sent::Failed;
            }
        };
        connection.is_full = true;
        self.watch(place);
        Sent::Partly
    }

    /// Sends what a full socket did not take; returns whether it took some of it now.
    #[cold]
    pub(super) fn flush(&mut self, place: usize) -> bool {
        let connection = &mut self.connections[place];
        let Some(socket) = &connection.socket else {
            return false;
        };
        let kept = &connection.kept;
        let from = connection.kept_sent;
        let (sent, all) = match self.transport {
            Transport::Stream => (
                send(socket, &kept.bytes[from..], SEND).map_err(io::Error::from),
                kept.bytes.len(),
            ),
            Transport::Datagrams | Transport::Rx => (
                send_datagrams(socket.as_fd(), self.batch.as_mut(), kept, from),
                kept.len(),
            ),
        };
        match sent {
            Ok(sent) => connection.kept_sent += sent,
            Err(error) if is_temporary(&error) => return false,
            Err(error) => {
                connection.error = Some(error);
                connection.is_full = false;
                self.failing.push_back(place);
                self.watch(place);
                return false;
            }
        }
        if connection.kept_sent == all {
            connection.kept.clear();
            connection.kept_sent = 0;
            connection.is_full = false;
            self.watch(place);
        }
        true
    }

    /// Has epoll tell of room in a socket while it is full, and only then.
    #[cold]
    fn watch(&self, place: usize) {
        let connection = &self.connections[place];
        if let (Some(ready), Some(socket)) = (&self.ready, &connection.socket) {
            ready.watch(place, socket, connection.is_full);
        }
    }
}

pub(super) fn is_temporary(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// Sends datagrams from the one with this place on; returns how many were taken.
#[inline]
pub(super) fn send_datagrams(
    socket: BorrowedFd<'_>,
    batch: Option<&mut Batch>,
    requests: &Requests,
    from: usize,
) -> io::Result<usize> {
    let start = from.checked_sub(1).map_or(0, |last| requests.ends[last]);
    match batch {
        Some(batch) => batch.send(socket, &requests.bytes, start, &requests.ends[from..]),
        None => {
            send(socket, &requests.bytes[start..requests.ends[from]], SEND)?;
            Ok(1)
        }
    }
}
