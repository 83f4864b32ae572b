// SPDX-License-Identifier: GPL-2.0

//! Waits, receives, and says what was found.

use std::{io, os::fd::AsFd};

use rustix::{
    event::epoll,
    net::{recv, RecvFlags},
};

use super::{ready::Ready, Plain, RECEIVE_BYTES};
use crate::{
    clock,
    engine::{mmsg::Batch, Event, Nanos, Wait},
    load::Transport,
};

/// What is to be delivered. Bytes are in the buffer, and datagrams in the batch.
pub(super) enum Found {
    Bytes {
        connection: usize,
        length: usize,
        at: Nanos,
    },
    Batched,
    Sent {
        connection: usize,
    },
    Ended {
        connection: usize,
        error: Option<io::Error>,
    },
    Nothing,
}

impl Plain {
    /// Receives once from a connection.
    fn receive_from(&mut self, place: usize, wait: bool) -> Option<Found> {
        let connection = &mut self.connections[place];
        let socket = connection.socket.as_ref()?;
        if let Some(batch) = &mut self.batch {
            return match batch.receive(socket.as_fd(), wait) {
                Ok(()) => {
                    self.batch_of = (place, clock::now());
                    Some(Found::Batched)
                }
                Err(error) => connection.nothing(place, error),
            };
        }
        let flags = if wait {
            RecvFlags::empty()
        } else {
            RecvFlags::DONTWAIT
        };
        let limit = connection.limit.min(RECEIVE_BYTES);
        let received = recv(socket, &mut self.buffer[..limit], flags);
        self.received(place, received.map(|(_, length)| length))
    }

    /// What it means that a call received so many bytes, or failed.
    pub(super) fn received(
        &mut self,
        place: usize,
        received: rustix::io::Result<usize>,
    ) -> Option<Found> {
        let connection = &mut self.connections[place];
        let limit = connection.limit.min(RECEIVE_BYTES);
        let is_stream = self.transport == Transport::Stream;
        match received {
            Ok(0) if is_stream => Some(Found::Ended {
                connection: place,
                // The socket tells of a reset only once. A broken pipe is but the end of the stream seen from the other
                // side.
                error: connection
                    .close()
                    .filter(|error| error.kind() != io::ErrorKind::BrokenPipe),
            }),
            Ok(length) => {
                connection.is_dry = is_stream && length < limit;
                Some(Found::Bytes {
                    connection: place,
                    length,
                    at: clock::now(),
                })
            }
            Err(error) => connection.nothing(place, error.into()),
        }
    }

    /// What has come from connections that failed, and at last that they did.
    #[cold]
    fn find_failed(&mut self) -> Option<Found> {
        while let Some(&place) = self.failing.front() {
            let found = self.receive_from(place, false);
            if !matches!(found, Some(Found::Bytes { .. } | Found::Batched)) {
                self.failing.pop_front();
            }
            if let Some(found) = found {
                return Some(found);
            }
            // All that had come was received; now the failure is told. That of an abandoned connection is not.
            if let Some(error) = self.connections[place].close() {
                return Some(Found::Ended {
                    connection: place,
                    error: Some(error),
                });
            }
        }
        None
    }

    pub(super) fn find(&mut self, wait: Wait) -> io::Result<Found> {
        if self.batch.as_ref().is_some_and(Batch::has_next) {
            return Ok(Found::Batched);
        }
        if !self.failing.is_empty() {
            if let Some(found) = self.find_failed() {
                return Ok(found);
            }
        }
        if self.ready.is_some() {
            self.find_ready(wait)
        } else {
            self.find_alone(wait)
        }
    }

    /// Waits for the only connection.
    fn find_alone(&mut self, wait: Wait) -> io::Result<Found> {
        let is_full = self.connections[0].is_full;
        if wait == Wait::Tick && !self.busy_poll && !is_full && self.connections[0].socket.is_some()
        {
            return Ok(self.receive_from(0, true).unwrap_or(Found::Nothing));
        }
        let deadline = match wait {
            Wait::No => 0,
            Wait::Until(until) => until,
            Wait::Tick => clock::now().saturating_add(self.tick),
        };
        if wait == Wait::No {
            self.connections[0].is_dry = false;
        }
        loop {
            if self.connections[0].is_full && self.flush(0) {
                return Ok(Found::Sent { connection: 0 });
            }
            if self.busy_poll || !self.connections[0].is_dry {
                if let Some(found) = self.receive_from(0, false) {
                    return Ok(found);
                }
            }
            let now = if wait == Wait::No { 0 } else { clock::now() };
            if now >= deadline || !self.failing.is_empty() {
                return Ok(Found::Nothing);
            }
            if !self.busy_poll {
                self.connections[0].sleep(deadline - now)?;
            }
        }
    }

    /// Waits for several connections, and serves those that have something in turn.
    fn find_ready(&mut self, wait: Wait) -> io::Result<Found> {
        let mut deadline = match wait {
            Wait::No => 0,
            Wait::Until(until) => until,
            Wait::Tick => Nanos::MAX,
        };
        loop {
            while let Some((place, flags)) = self.ready.as_mut().and_then(Ready::next) {
                if flags.contains(epoll::EventFlags::OUT) && self.flush(place) {
                    return Ok(Found::Sent { connection: place });
                }
                if flags != epoll::EventFlags::OUT {
                    if let Some(found) = self.receive_from(place, false) {
                        return Ok(found);
                    }
                }
            }
            let now = if wait == Wait::No { 0 } else { clock::now() };
            if wait == Wait::Tick && deadline == Nanos::MAX {
                deadline = now.saturating_add(self.tick);
            }
            let sleep = if self.busy_poll {
                0
            } else {
                deadline.saturating_sub(now)
            };
            let Some(ready) = &mut self.ready else {
                return Ok(Found::Nothing);
            };
            if !self.failing.is_empty() || !ready.wait(sleep)? && now >= deadline {
                return Ok(Found::Nothing);
            }
        }
    }

    /// What is found, as it is delivered.
    pub(super) fn event(&mut self, found: Found) -> Event<'_> {
        match found {
            Found::Bytes {
                connection,
                length,
                at,
            } => Event::Received {
                connection,
                bytes: &self.buffer[..length],
                at,
                more: false,
            },
            Found::Batched => {
                let (connection, at) = self.batch_of;
                let (bytes, more) = self.batch.as_mut().map_or((&[][..], false), Batch::next);
                Event::Received {
                    connection,
                    bytes,
                    at,
                    more,
                }
            }
            Found::Sent { connection } => Event::Sent {
                connection,
                at: clock::now(),
                left: self.connections[connection].is_full,
            },
            Found::Ended { connection, error } => {
                let at = clock::now();
                match error {
                    Some(error) => Event::Failed {
                        connection,
                        at,
                        error,
                    },
                    None => Event::Closed { connection, at },
                }
            }
            Found::Nothing => Event::Idle { at: clock::now() },
        }
    }
}
