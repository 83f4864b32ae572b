// SPDX-License-Identifier: GPL-2.0

//! What has come, and how a connection ends.

use std::io;

use rustix::{
    io::Errno,
    net::{recv, RecvFlags},
};
use uring::Arrival;

use super::{sending::Sending, Found, Uring, REST_BYTES};
use crate::{clock, load::Transport};

impl Uring {
    #[inline(always)]
    pub(super) fn received(&mut self, place: usize, arrival: Option<Arrival>) -> Option<Found> {
        if !self.connections[place].is_open {
            if let Some(arrival) = arrival {
                self.ring.give_back(arrival);
            }
            return None;
        }
        Some(Found::Arrived {
            connection: place,
            arrival,
        })
    }

    /// A request to receive is at its end, and another one is needed, unless the connection is, too.
    #[cold]
    pub(super) fn received_last(
        &mut self,
        place: usize,
        result: io::Result<Option<Arrival>>,
    ) -> Option<Found> {
        let connection = &self.connections[place];
        let is_failing = connection.sending == Sending::Failed;
        match result {
            Ok(arrival) if arrival.is_some() || self.transport == Transport::Datagrams => {
                if is_failing {
                    self.failing.push_back(place);
                } else {
                    self.receive(place);
                }
                self.received(place, arrival)
            }
            _ if !connection.is_open => None,
            Ok(_) => Some(self.closed(place)),
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::CANCELED) if is_failing => {
                    self.failing.push_back(place);
                    None
                }
                Some(Errno::NOBUFS | Errno::AGAIN | Errno::INTR) => {
                    if is_failing {
                        self.failing.push_back(place);
                    } else {
                        self.starved.push(place);
                    }
                    None
                }
                _ => Some(self.ended(place, Some(error))),
            },
        }
    }

    pub(super) fn receive(&mut self, place: usize) {
        if self.connections[place].is_open {
            if let Err(error) = self.ring.receive(place) {
                self.broken.get_or_insert(error);
            }
        }
    }

    /// The next of what is left in the sockets of failing connections, or why they fail.
    #[cold]
    pub(super) fn find_rest(&mut self) -> Option<Found> {
        while let Some(&place) = self.failing.front() {
            if let Some(socket) = self.ring.socket(place) {
                self.rest.resize(REST_BYTES, 0);
                match recv(socket, &mut self.rest[..], RecvFlags::DONTWAIT) {
                    Ok((_, length)) if length != 0 || self.transport == Transport::Datagrams => {
                        self.rest.truncate(length);
                        return Some(Found::Rest { connection: place });
                    }
                    Ok(_) => return Some(self.closed(place)),
                    Err(Errno::AGAIN | Errno::INTR) => {
                        // All that had come was received; now the failure is told.
                        let error = self.connections[place].error.take();
                        return Some(self.ended(place, error));
                    }
                    Err(error) => return Some(self.ended(place, Some(error.into()))),
                }
            }
            self.failing.pop_front();
        }
        None
    }

    /// The server has ended its side of the stream, as far as receiving tells.
    fn closed(&mut self, place: usize) -> Found {
        // The socket tells of a reset only once. A broken pipe is but the end of the stream seen from the other side.
        let error = self.connections[place].error.take();
        self.ended(
            place,
            error.filter(|error| error.kind() != io::ErrorKind::BrokenPipe),
        )
    }

    #[cold]
    fn ended(&mut self, place: usize, error: Option<io::Error>) -> Found {
        self.close(place);
        Found::Ended {
            connection: place,
            error,
        }
    }

    #[cold]
    pub(super) fn close(&mut self, place: usize) {
        let connection = &mut self.connections[place];
        connection.is_open = false;
        if connection.sending == Sending::Queued {
            // What the kernel did not get until now, it cannot send any more. The rest is known when it has said so.
            if self.ring.is_sending(place) {
                connection.sending = Sending::Failed;
            }
        }
        if let Err(error) = self.ring.close(place) {
            self.broken.get_or_insert(error);
        }
        // That was a call, and something may have come on other connections.
        if self.ring.has_completions() {
            self.entered = clock::now();
        }
    }
}
