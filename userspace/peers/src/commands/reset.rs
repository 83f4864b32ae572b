// SPDX-License-Identifier: GPL-2.0

//! Connections that go away at any point, most of them with a reset.

use std::time::Instant;

use clap::Args;
use loadgen::args::number_in;

use crate::{
    allow_sockets, check,
    crowd::{self, Member, Next},
    events::Events,
    failure::Failure,
    options::{Common, Crowd},
    print,
    random::Random,
    stream::{Origin, Shared, Stream, Turn},
    until::Until,
};

/// Sends something, reads some of what comes back, and then resets the connection, or closes one in four
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    crowd: Crowd,

    /// Connections that exist at the same time
    #[arg(long, value_name = "N", default_value = "16", value_parser = number_in::<usize>(1..=1_000_000))]
    at_once: usize,

    /// The most bytes that a connection sends
    #[arg(long, value_name = "N", default_value = "64k", value_parser = number_in::<u64>(0..=1 << 30))]
    bytes: u64,

    #[command(flatten)]
    common: Common,
}

/// Runs the command.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let crowd = &options.crowd;
    let total = crowd.connections;
    allow_sockets(options.at_once)?;
    let mut shared = options.common.shared()?;
    let mut events = Events::new()?;
    let begun = Instant::now();
    let mut members: Vec<_> = (0..total)
        .map(|number| Reset {
            plan: Plan::new(options.common.seed, number as u64, options.bytes),
            origin: crowd.origin(number),
            stream: None,
            sent: 0,
            received: 0,
        })
        .collect();
    let failures = crowd::run(
        &mut members,
        options.at_once,
        &mut shared,
        &mut events,
        &Until::NEVER,
    )?;
    check(&failures, total)?;
    let resets = members.iter().filter(|member| member.plan.resets).count();
    print(&format!(
        "reset: connections={total} reset={resets} closed={} sent={} received={} seconds={:.3}",
        total - resets,
        members.iter().map(|member| member.sent).sum::<u64>(),
        members.iter().map(|member| member.received).sum::<u64>(),
        begun.elapsed().as_secs_f64()
    ))
}

/// What a connection does.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// How many bytes it sends.
    send: u64,
    /// How many of them it reads.
    receive: u64,
    /// Whether it is reset, or closed. (Closing what was not read to its end is a reset, too.)
    resets: bool,
}

impl Plan {
    fn new(seed: u64, number: u64, bytes: u64) -> Self {
        let mut random = Random::of_part(seed, number);
        // Nothing, all, and each size between.
        let send = random.magnitude_in(0..=bytes);
        let receive = match random.number_in(0..=3) {
            0 => 0,
            1 => send,
            _ => random.number_in(0..=send),
        };
        Self {
            send,
            receive,
            resets: random.number_in(0..=3) != 0,
        }
    }
}

/// One of the connections.
#[derive(Debug)]
struct Reset {
    plan: Plan,
    origin: Origin,
    stream: Option<Stream>,
    sent: u64,
    received: u64,
}

impl Member for Reset {
    fn advance(
        &mut self,
        number: usize,
        shared: &mut Shared,
        events: &Events,
    ) -> Result<Next, Failure> {
        let Plan {
            send,
            receive,
            resets,
        } = self.plan;
        let stream = Stream::open(&mut self.stream, number, self.origin, shared, events)?;
        let turn = stream.turn(shared, send, receive)?;
        (self.sent, self.received) = (stream.sent(), stream.received());
        let is_over = self.received == receive
            && (self.sent == send || (self.sent > 0 && turn == Turn::Blocked));
        if is_over {
            if resets {
                stream.reset_on_close()?;
            }
            self.stream = None;
            return Ok(Next::Done);
        }
        match turn {
            Turn::Progress => Ok(Next::Again),
            Turn::Blocked => stream.wait(shared),
            Turn::End => Err(Failure::ClosedEarly {
                sent: self.sent,
                received: self.received,
            }),
        }
    }
}
