// SPDX-License-Identifier: GPL-2.0

//! One thread's work: the connections that it has, which take turns.

use std::time::Duration;

use loadgen::{target::ConnectError, Peer, Recorder};

use crate::{failure::Failure, pattern::Pattern};

/// What one call receives at most: all replies that are there, if they are small, or any datagram.
const RECEIVE_BYTES: usize = 256 << 10;

/// How each connection shall work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// Messages to be sent.
    pub(crate) count: u64,
    /// Messages that may wait for their reply.
    pub(crate) in_flight: usize,
    /// How long nothing may happen; for a datagram, how long it may take to come back.
    pub(crate) timeout: Duration,
}

/// A connection, or a socket that exchanges datagrams with one server.
pub(crate) trait Connection<'a>: Send + Sized {
    /// What the connection's protocol is called.
    const PROTOCOL: &'static str;

    /// Opens the connection with this number, which its messages depend on.
    fn open(
        peer: &mut Peer,
        number: u64,
        pattern: &'a Pattern,
        work: Work,
    ) -> Result<Self, ConnectError>;

    /// Sends as much as may be in flight and the socket takes.
    fn send(&mut self, recorder: &mut Recorder<'_>) -> Result<(), Failure>;

    /// Whether replies are due.
    fn is_waiting(&self) -> bool;

    /// Receives and compares what there is, waiting for it if necessary.
    fn receive(&mut self, buffer: &mut [u8], recorder: &mut Recorder<'_>) -> Result<(), Failure>;

    /// Ends the client's side, after the last reply.
    fn end(&self) -> Result<(), Failure>;

    /// Makes sure, after [`Connection::end`], that nothing more comes and that the server ends its side too.
    fn expect_end(&mut self, buffer: &mut [u8]) -> Result<(), Failure>;
}

/// A failure, and on which connection it was.
#[derive(Debug)]
pub(crate) struct Broken {
    /// The connection's place among all of the run, from 0.
    pub(crate) connection: usize,
    /// What went wrong there.
    pub(crate) failure: Failure,
}

/// The connections of one thread.
#[derive(Debug)]
pub(crate) struct Job<C> {
    connections: Vec<C>,
    /// The place of the first of them among all of the run.
    first: usize,
    buffer: Box<[u8]>,
}

impl<'a, C: Connection<'a>> Job<C> {
    /// A job of `connections`, the first of which is the run's `first`.
    pub(crate) fn new(connections: Vec<C>, first: usize) -> Self {
        Self {
            connections,
            first,
            buffer: vec![0; RECEIVE_BYTES].into(),
        }
    }

    /// Sends all messages and receives all replies.
    ///
    /// All that may be in flight is sent on every connection before a reply is waited for on any: so every server has all
    /// its requests at once, and a single connection costs one call to send and one to receive for each message.
    pub(crate) fn exchange(&mut self, recorder: &mut Recorder<'_>) -> Result<(), Broken> {
        loop {
            self.each(|connection, _| connection.send(recorder))?;
            let mut waiting = false;
            self.each(|connection, buffer| {
                if connection.is_waiting() {
                    waiting = true;
                    connection.receive(buffer, recorder)?;
                }
                Ok(())
            })?;
            if !waiting {
                return Ok(());
            }
        }
    }

    /// Ends the client's side of all connections.
    pub(crate) fn end(&mut self) -> Result<(), Broken> {
        self.each(|connection, _| connection.end())
    }

    /// Makes sure, after [`Job::end`], that all connections are at their end.
    pub(crate) fn expect_end(&mut self) -> Result<(), Broken> {
        self.each(C::expect_end)
    }

    /// Does the same with each connection, until that fails.
    fn each(
        &mut self,
        mut action: impl FnMut(&mut C, &mut [u8]) -> Result<(), Failure>,
    ) -> Result<(), Broken> {
        for (place, connection) in self.connections.iter_mut().enumerate() {
            action(connection, &mut self.buffer).map_err(|failure| Broken {
                connection: self.first + place,
                failure,
            })?;
        }
        Ok(())
    }
}
