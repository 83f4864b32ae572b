// SPDX-License-Identifier: GPL-2.0

//! A connection that sends so many bytes and has all of them come back.

use std::time::Instant;

use crate::{
    crowd::{Member, Next},
    events::Events,
    failure::Failure,
    stream::{Origin, Shared, Stream, Turn},
};

/// One of many connections.
#[derive(Debug, Default)]
pub(crate) struct Echo {
    stream: Option<Stream>,
    origin: Origin,
    /// How many bytes are to come back in all.
    goal: u64,
    /// Whether the stream is to be ended then.
    ends: bool,
    /// Whether the client's side of it has ended.
    ended: bool,
    /// Whether it takes no part any more.
    has_left: bool,
}

impl Echo {
    /// A connection that is made when it has its first turn.
    pub(crate) fn new(origin: Origin) -> Self {
        Self {
            origin,
            ..Self::default()
        }
    }

    /// A connection that exists already.
    pub(crate) fn of(stream: Stream) -> Self {
        Self {
            stream: Some(stream),
            ..Self::default()
        }
    }

    /// Sets what is done next: that `more` bytes come back, and whether the stream ends after that.
    pub(crate) fn next(&mut self, more: u64, ends: bool) {
        self.goal += more;
        self.ends = ends;
        if let Some(stream) = &mut self.stream {
            stream.begin(Instant::now());
        }
    }

    /// Closes the connection, which takes no part any more.
    pub(crate) fn leave(&mut self) {
        self.stream = None;
        self.has_left = true;
    }

    /// How many bytes have come back.
    pub(crate) fn received(&self) -> u64 {
        self.stream.as_ref().map_or(0, Stream::received)
    }
}

impl Member for Echo {
    fn advance(
        &mut self,
        number: usize,
        shared: &mut Shared,
        events: &Events,
    ) -> Result<Next, Failure> {
        if self.has_left {
            return Ok(Next::Done);
        }
        let stream = Stream::open(&mut self.stream, number, self.origin, shared, events)?;
        let turn = stream.turn(shared, self.goal, u64::MAX)?;
        if self.ends && !self.ended && stream.sent() == self.goal {
            stream.end()?;
            self.ended = true;
        }
        match turn {
            Turn::End if self.ended => Ok(Next::Done),
            Turn::End => Err(stream.closed_early()),
            _ if !self.ends && stream.received() == self.goal => Ok(Next::Done),
            Turn::Progress => Ok(Next::Again),
            Turn::Blocked => stream.wait(shared),
        }
    }
}
