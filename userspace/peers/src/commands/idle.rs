// SPDX-License-Identifier: GPL-2.0

//! Connections that fall silent, and that the server is to close.

use std::time::Duration;

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

/// Falls silent, after an echo or before it has sent anything, and must be closed by the server in time
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    crowd: Crowd,

    /// Bytes that have come back before the silence
    #[arg(short, long, value_name = "N", default_value = "0", value_parser = number_in::<u64>(0..=1 << 30))]
    length: u64,

    /// How long the silence may last at least
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    earliest: Duration,

    /// How long the silence may last at most
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    latest: Duration,

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
    let mut members: Vec<_> = (0..total)
        .map(|number| Idle {
            options,
            origin: crowd.origin(number),
            stream: None,
            silence: Duration::ZERO,
        })
        .collect();
    let failures = crowd::run(&mut members, total, &mut shared, &mut events, &Until::NEVER)?;
    check(&failures, total)?;
    let silences = || members.iter().map(|member| member.silence.as_secs_f64());
    print(&format!(
        "idle: connections={total} silence_min={:.3} silence_max={:.3}",
        silences().fold(f64::INFINITY, f64::min),
        silences().fold(0.0, f64::max)
    ))
}

/// One of the connections.
struct Idle<'a> {
    options: &'a Options,
    origin: Origin,
    stream: Option<Stream>,
    /// How long it was silent when it was closed.
    silence: Duration,
}

impl Member for Idle<'_> {
    fn advance(
        &mut self,
        number: usize,
        shared: &mut Shared,
        events: &Events,
    ) -> Result<Next, Failure> {
        let Options { length, latest, .. } = self.options;
        let stream = Stream::open(&mut self.stream, number, self.origin, shared, events)?;
        let turn = stream.turn(shared, *length, u64::MAX);
        if stream.received() < *length {
            return match turn? {
                Turn::Progress => Ok(Next::Again),
                // Before all has come back, the end is a failure.
                Turn::Blocked | Turn::End => stream.wait(shared),
            };
        }
        let silence = stream.progress_at().elapsed();
        match turn {
            Ok(Turn::Progress) => Ok(Next::Again),
            Ok(Turn::Blocked) if silence < *latest => {
                Ok(Next::Wait(stream.progress_at() + *latest))
            }
            Ok(Turn::Blocked) => Err(Failure::NotClosed(*latest)),
            Ok(Turn::End) => self.closed(silence),
            Err(failure) if failure.is_end() => self.closed(silence),
            Err(failure) => Err(failure),
        }
    }
}

impl Idle<'_> {
    /// The server has closed the connection after this silence.
    fn closed(&mut self, silence: Duration) -> Result<Next, Failure> {
        let Options {
            earliest, latest, ..
        } = self.options;
        if silence < *earliest {
            return Err(Failure::ClosedTooSoon {
                after: silence,
                earliest: *earliest,
            });
        }
        if silence > *latest {
            return Err(Failure::NotClosed(*latest));
        }
        self.silence = silence;
        Ok(Next::Done)
    }
}
