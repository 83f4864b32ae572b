// SPDX-License-Identifier: GPL-2.0

//! Connections that have the server hold something for them, for as long as it does.

use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Args;
use loadgen::args::number_in;

use crate::{
    allow_sockets, check,
    crowd::{self, Member, Next},
    events::Events,
    failure::Failure,
    options::{seconds, Common, Crowd, Duty},
    print,
    stream::{Origin, Shared, Stream, Turn},
};

/// How many bytes say how long a record is.
const PREFIX_BYTES: u64 = 4;

/// Begins a record that it does not end, reads nothing, stays, and comes back when the server closes it
///
/// A record begins with its length in 4 bytes, the highest first, which is also the mark of a fragment of an RPC message behind which
/// there are others. For an echo server, it is a request whose reply is not read.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    crowd: Crowd,

    /// Bytes that the record is to have
    #[arg(long, value_name = "N", default_value = "60k", value_parser = number_in::<u32>(1..=1 << 30))]
    announce: u32,

    /// Bytes of it that are sent at once
    #[arg(long, value_name = "N", default_value = "13500", value_parser = number_in::<u64>(0..=1 << 30))]
    bytes: u64,

    /// Then send one byte more each time, but the last one never
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    interval: Option<Duration>,

    /// How long to stay away when the server has closed a connection
    #[arg(long, value_name = "SECONDS", default_value = "0.5", value_parser = seconds)]
    pause: Duration,

    #[command(flatten)]
    duty: Duty,

    #[command(flatten)]
    common: Common,
}

/// Runs the command.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    ensure!(
        options.bytes < options.announce.into(),
        "a record of {} bytes would be complete",
        options.announce
    );
    let crowd = &options.crowd;
    let total = crowd.connections;
    allow_sockets(total)?;
    let until = options.duty.until();
    let mut shared = options.common.shared()?;
    let mut events = Events::new()?;
    let record = Record::new(options.announce);
    let now = Instant::now();
    let mut members: Vec<_> = (0..total)
        .map(|number| Hoard {
            options,
            record: &record,
            origin: crowd.origin(number),
            stream: None,
            goal: 0,
            next_at: now,
            closed: 0,
        })
        .collect();
    let failures = crowd::run(&mut members, total, &mut shared, &mut events, &until)?;
    check(&failures, total)?;
    print(&format!(
        "hoard: connections={total} closed={}",
        members.iter().map(|member| member.closed).sum::<u64>()
    ))
}

/// What is sent.
struct Record(Vec<u8>);

impl Record {
    fn new(announce: u32) -> Self {
        let mut bytes = announce.to_be_bytes().to_vec();
        bytes.resize(bytes.len() + announce as usize, 0);
        Self(bytes)
    }

    /// What comes behind so many bytes, up to the offset `to`.
    fn of(&self, sent: u64, to: u64) -> &[u8] {
        let range = sent as usize..to as usize;
        self.0.get(range).unwrap_or_default()
    }
}

/// One of the connections.
struct Hoard<'a> {
    options: &'a Options,
    record: &'a Record,
    origin: Origin,
    /// None, until it comes (back).
    stream: Option<Stream>,
    /// How many bytes are to be sent so far.
    goal: u64,
    /// When it comes back, or sends the next byte.
    next_at: Instant,
    /// How often the server has closed it.
    closed: u64,
}

impl Member for Hoard<'_> {
    fn advance(
        &mut self,
        number: usize,
        shared: &mut Shared,
        events: &Events,
    ) -> Result<Next, Failure> {
        match self.go_on(number, shared, events) {
            Err(failure) if failure.is_end() => {
                self.stream = None;
                self.closed += 1;
                self.next_at = Instant::now() + self.options.pause;
                Ok(Next::Wait(self.next_at))
            }
            result => result,
        }
    }
}

impl Hoard<'_> {
    /// Goes on until the server closes the connection.
    fn go_on(&mut self, number: usize, shared: &Shared, events: &Events) -> Result<Next, Failure> {
        let Options {
            announce,
            bytes,
            interval,
            ..
        } = self.options;
        let now = Instant::now();
        if self.stream.is_none() {
            if now < self.next_at {
                return Ok(Next::Wait(self.next_at));
            }
            self.goal = PREFIX_BYTES + bytes;
            self.next_at = now + interval.unwrap_or(shared.timeout);
        }
        let stream = Stream::open(&mut self.stream, number, self.origin, shared, events)?;
        if let (Some(interval), true) = (interval, now >= self.next_at) {
            let most = PREFIX_BYTES + u64::from(*announce) - 1;
            self.goal = (self.goal + 1).min(most);
            self.next_at = now + *interval;
        }
        let due = self.record.of(stream.sent(), self.goal);
        if stream.send_bytes(due)? == Turn::Progress {
            return Ok(Next::Again);
        }
        // Nothing is read that would tell.
        if stream.is_closed()? {
            return Err(stream.closed_early());
        }
        if interval.is_none() {
            self.next_at = now + shared.timeout;
        }
        Ok(Next::Wait(self.next_at))
    }
}
