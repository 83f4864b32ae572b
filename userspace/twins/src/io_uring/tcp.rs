// SPDX-License-Identifier: GPL-2.0

//! Streams: a listener and its connections, each with a request to receive that goes on until there is a reason to stop.

use std::{convert::Infallible, io, mem, net::TcpListener};

use rustix::{
    io::Errno,
    process::{getrlimit, Resource},
};
use uring::{Arrival, Completion, Ring, Wait};

use super::{connection::Connection, BUFFERS};
use crate::{Server, Service};

/// The place of the listener. Those of connections come after it.
const LISTENER: usize = 0;

/// How many connections there may be at most. Those beyond are closed.
const MOST: u64 = 65_536;

/// A listener and its connections, known by their places in the ring.
pub struct Streams<S: Service> {
    ring: Ring,
    connections: Vec<Option<Connection<S::Stream>>>,
    /// Those that have answers of this turn.
    answered: Vec<usize>,
    /// Those that may be ended when the answers of this turn are sent.
    ending: Vec<usize>,
    service: S,
}

impl<S: Service> Streams<S> {
    /// Has `service` serve the connections of `listener`.
    ///
    /// # Errors
    ///
    /// The system's, such as that it does not allow io_uring.
    pub fn new(listener: TcpListener, service: S) -> io::Result<Self> {
        // Room for connections is limited as if they were descriptors.
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(MOST);
        let room = descriptors.saturating_sub(1).min(MOST);
        let mut ring = Ring::with_room(vec![listener.into()], room as u32, BUFFERS)?;
        ring.accept(LISTENER)?;
        Ok(Self {
            ring,
            connections: Vec::new(),
            answered: Vec::new(),
            ending: Vec::new(),
            service,
        })
    }

    /// Acts on a completion.
    #[inline]
    fn complete(&mut self, completion: Completion) -> io::Result<()> {
        match completion {
            Completion::Received {
                socket,
                result,
                last,
            } => self.received(socket, result, last),
            Completion::Sent { socket, result } => self.sent(socket, result),
            Completion::Accepted { result, last } => {
                if last {
                    self.ring.accept(LISTENER)?;
                }
                // Who cannot be accepted is closed, or comes again.
                result.map_or(Ok(()), |place| self.accepted(place))
            }
            Completion::Alarm => Ok(()),
        }
    }

    fn accepted(&mut self, place: usize) -> io::Result<()> {
        if self.connections.len() <= place {
            self.connections.resize_with(place + 1, || None);
        }
        self.connections[place] = Some(Connection::default());
        self.ring.receive(place)
    }

    /// Serves what has come.
    #[inline]
    fn received(
        &mut self,
        place: usize,
        result: io::Result<Option<Arrival>>,
        last: bool,
    ) -> io::Result<()> {
        let Some(connection) = &mut self.connections[place] else {
            return Ok(());
        };
        match result {
            Ok(Some(arrival)) => {
                let (bytes, outgoing) = self.ring.bytes_and_outgoing(&arrival, place);
                let was_answered = connection.is_answered;
                connection.serve(&mut self.service, bytes, outgoing);
                if connection.is_answered && !was_answered {
                    self.answered.push(place);
                }
                self.ring.give_back(arrival);
            }
            Ok(None) => connection.is_at_end = true,
            // There was no buffer, or it was told to stop.
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::NOBUFS | Errno::CANCELED | Errno::INTR) => {}
                _ => connection.is_at_end = true,
            },
        }
        if connection.is_ending() {
            self.ending.push(place);
        }
        if last && !connection.is_at_end && connection.blocked_at.is_none() {
            self.ring.receive(place)?;
        }
        Ok(())
    }

    /// Goes on with what was not sent at once.
    fn sent(&mut self, place: usize, result: io::Result<u32>) -> io::Result<()> {
        let Some(connection) = &mut self.connections[place] else {
            return Ok(());
        };
        let was_blocked = connection.blocked_at.is_some();
        let sent = match result {
            Ok(sent) => Some(sent as usize),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(0),
            Err(_) => None,
        };
        let Some(sent) = sent else {
            connection.give_up();
            self.ending.push(place);
            return self.receive_on(place);
        };
        let outgoing = self.ring.outgoing(place);
        let sent = connection.blocked_at.unwrap_or(0) + sent;
        let length = outgoing.as_ref().map_or(0, |outgoing| outgoing.len());
        if sent < length {
            connection.blocked_at = Some(sent);
            self.ring.send_waiting(place, sent..length)?;
            return self.ring.stop_receiving(place);
        }
        connection.serve_on(&mut self.service, outgoing);
        if connection.is_answered {
            self.answered.push(place);
        }
        if connection.is_ending() {
            self.ending.push(place);
        }
        if was_blocked {
            self.receive_on(place)?;
        }
        Ok(())
    }

    /// Receives again after it was told to stop.
    fn receive_on(&mut self, place: usize) -> io::Result<()> {
        match &self.connections[place] {
            Some(connection) if !connection.is_at_end => self.ring.receive(place),
            _ => Ok(()),
        }
    }

    /// Has what a turn has answered sent.
    #[inline]
    fn send_answers(&mut self) -> io::Result<()> {
        while let Some(place) = self.answered.pop() {
            if let Some(connection) = &mut self.connections[place] {
                connection.is_answered = false;
                let length = self.ring.outgoing(place).map_or(0, |answers| answers.len());
                self.ring.send(place, 0..length)?;
            }
        }
        Ok(())
    }

    /// Ends what is at its end, unless there are answers to be sent, after which it is looked at again.
    fn end(&mut self, place: usize) -> io::Result<()> {
        let Some(connection) = &mut self.connections[place] else {
            return Ok(());
        };
        if connection.has_answers() {
            return Ok(());
        }
        if connection.is_at_end && !self.ring.is_receiving(place) {
            self.connections[place] = None;
            self.ring.close(place)
        } else if connection.is_over && !mem::replace(&mut connection.is_shut_down, true) {
            self.ring.shut_down(place)
        } else {
            Ok(())
        }
    }
}

impl<S: Service> Server for Streams<S> {
    fn serve(&mut self) -> io::Result<Infallible> {
        loop {
            let ending = mem::take(&mut self.ending);
            self.ring.enter(if ending.is_empty() {
                Wait::Forever
            } else {
                Wait::No
            })?;
            // Nothing, unless the kernel was short of memory.
            self.ring.submit()?;
            while let Some(completion) = self.ring.next_completion() {
                self.complete(completion)?;
            }
            for place in ending {
                self.end(place)?;
            }
            self.send_answers()?;
        }
    }
}
