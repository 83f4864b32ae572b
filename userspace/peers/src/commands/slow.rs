// SPDX-License-Identifier: GPL-2.0

//! Connections that send a byte now and then.

use std::time::{Duration, Instant};

use clap::Args;
use loadgen::args::number_in;

use crate::{
    allow_sockets, check,
    crowd::{self, Member, Next},
    events::Events,
    failure::Failure,
    options::{seconds, Common, Crowd},
    print,
    stream::{Origin, Shared, Stream, Turn},
    until::Until,
};

/// Sends one byte at a time, far apart, each of which must come back at once
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    crowd: Crowd,

    /// From one byte to the next
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    interval: Duration,

    /// How late a byte may come back
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    limit: Duration,

    /// Bytes on each connection
    #[arg(long, value_name = "N", default_value = "10", value_parser = number_in::<u64>(1..=1 << 40))]
    bytes: u64,

    #[command(flatten)]
    common: Common,
}

/// Runs the command.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let crowd = &options.crowd;
    let total = crowd.connections;
    allow_sockets(total)?;
    let mut shared = options.common.shared()?;
    let mut events = Events::new()?;
    let begun = Instant::now();
    let mut members: Vec<_> = (0..total)
        .map(|number| Slow {
            options,
            origin: crowd.origin(number),
            stream: None,
            goal: 0,
            asked_at: begun,
            awaits: false,
            ended: false,
        })
        .collect();
    let failures = crowd::run(&mut members, total, &mut shared, &mut events, &Until::NEVER)?;
    check(&failures, total)?;
    print(&format!(
        "slow: connections={total} bytes={} seconds={:.3}",
        options.bytes * total as u64,
        begun.elapsed().as_secs_f64()
    ))
}

/// One of the connections.
struct Slow<'a> {
    options: &'a Options,
    origin: Origin,
    stream: Option<Stream>,
    /// How many bytes are to be sent so far.
    goal: u64,
    /// When the last of them was.
    asked_at: Instant,
    /// Whether its reply, or the end of the stream, is still to come.
    awaits: bool,
    /// Whether the client's side of the stream has ended.
    ended: bool,
}

impl Member for Slow<'_> {
    fn advance(
        &mut self,
        number: usize,
        shared: &mut Shared,
        events: &Events,
    ) -> Result<Next, Failure> {
        let Options {
            bytes,
            interval,
            limit,
            ..
        } = self.options;
        let stream = Stream::open(&mut self.stream, number, self.origin, shared, events)?;
        let now = Instant::now();
        // The first byte is due at once.
        let is_due = self.goal == 0 || now >= self.asked_at + *interval;
        if !self.awaits && is_due {
            self.awaits = true;
            self.asked_at = now;
            if self.goal < *bytes {
                self.goal += 1;
            } else {
                stream.end()?;
                self.ended = true;
            }
        }
        let turn = stream.turn(shared, self.goal, u64::MAX)?;
        let now = Instant::now();
        let is_answered = if self.ended {
            turn == Turn::End
        } else {
            stream.received() == self.goal
        };
        if self.awaits && now > self.asked_at + *limit {
            return Err(Failure::Late(*limit));
        }
        self.awaits &= !is_answered;
        match turn {
            Turn::End if self.ended => Ok(Next::Done),
            Turn::End => Err(stream.closed_early()),
            Turn::Progress => Ok(Next::Again),
            Turn::Blocked => {
                let time = if self.awaits { *limit } else { *interval };
                Ok(Next::Wait(self.asked_at + time))
            }
        }
    }
}
