// SPDX-License-Identifier: GPL-2.0

//! A connection that sends until it stalls, and reads nothing.

use std::time::{Duration, Instant};

use crate::{
    crowd::{Member, Next},
    events::Events,
    failure::Failure,
    stream::{Origin, Shared, Stream, Turn},
};

/// A time that no test lasts for.
const LONG: Duration = Duration::from_secs(86_400);

/// One of many connections.
#[derive(Debug)]
pub(crate) struct Stall {
    stream: Option<Stream>,
    origin: Origin,
    /// How many bytes it has to send.
    bytes: u64,
    /// How long nothing can be sent when it has stalled.
    quiet: Duration,
    /// Whether it stays when it has stalled.
    stays: bool,
}

impl Stall {
    /// A connection that is made when it has its first turn, and that is done when it has sent `bytes` or could send
    /// nothing for the time `quiet`.
    pub(crate) fn new(origin: Origin, bytes: u64, quiet: Duration) -> Self {
        Self {
            stream: None,
            origin,
            bytes,
            quiet,
            stays: false,
        }
    }

    /// From now on it is never done: it sends what can be sent, and fails when the server closes it.
    pub(crate) fn stay(&mut self) {
        self.stays = true;
    }

    /// How many bytes were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.stream.as_ref().map_or(0, Stream::sent)
    }

    /// The connection, for something else.
    pub(crate) fn into_stream(self) -> Option<Stream> {
        self.stream
    }
}

impl Member for Stall {
    fn advance(
        &mut self,
        number: usize,
        shared: &mut Shared,
        events: &Events,
    ) -> Result<Next, Failure> {
        let stream = Stream::open(&mut self.stream, number, self.origin, shared, events)?;
        let now = Instant::now();
        if stream.send(shared, self.bytes)? == Turn::Progress {
            return Ok(Next::Again);
        }
        // Nothing is read that would tell.
        if stream.is_closed()? {
            return Err(Failure::ClosedEarly {
                sent: stream.sent(),
                received: 0,
            });
        }
        if self.stays {
            return Ok(Next::Wait(now + LONG));
        }
        if stream.sent() == self.bytes {
            return Ok(Next::Done);
        }
        // One that has sent nothing is not connected yet.
        if stream.sent() == 0 {
            return stream.wait(shared);
        }
        let quiet_at = stream.progress_at() + self.quiet;
        Ok(if now < quiet_at {
            Next::Wait(quiet_at)
        } else {
            Next::Done
        })
    }
}
