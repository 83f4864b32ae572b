// SPDX-License-Identifier: GPL-2.0

//! The good client, which shows what the others cost it.

use std::time::{Duration, Instant};

use anyhow::{ensure, Context};
use clap::Args;
use loadgen::{args::number_in, histogram::Percentile, Histogram};

use crate::{
    asker::{Asker, Patience},
    bytes::Bytes,
    failure::Failure,
    options::{seconds, Common, Duty},
    print,
    random::Random,
    stream::{Origin, Shared, Stream, Turn},
};

/// Sends a request now and then, and must have all of it back in time
///
/// It ends with the first reply that is wrong or that does not come, and goes on after one that is late.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// UDP
    #[arg(short, long)]
    udp: bool,

    /// From a reply to the next request
    #[arg(long, value_name = "SECONDS", default_value = "0.02", value_parser = seconds)]
    interval: Duration,

    /// The most bytes of a request
    #[arg(short, long, value_name = "N", default_value = "1000", value_parser = number_in::<u64>(1..=65_507))]
    length: u64,

    /// How late a reply may come, counted from when its request was sent first, or its connection was begun
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    limit: Duration,

    /// Requests on each TCP connection; the first is followed by another one, and so on
    #[arg(long, value_name = "N", value_parser = number_in::<u64>(1..=1 << 40))]
    reconnect: Option<u64>,

    /// UDP: ask again when no reply has come for so long
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    wait: Duration,

    /// UDP: how often to ask again
    #[arg(long, value_name = "N", default_value = "0", value_parser = number_in::<u32>(0..=1_000))]
    resends: u32,

    /// The server may go and come back: connections that end, and datagrams without reply, are counted only
    #[arg(long)]
    restarts: bool,

    #[command(flatten)]
    duty: Duty,

    #[command(flatten)]
    common: Common,
}

/// Runs the command.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let until = options.duty.until();
    let mut client = Client::new(options)?;
    let mut random = Random::new(options.common.seed);
    let mut tally = Tally::default();
    let result = loop {
        let length = random.number_in(1..=options.length);
        let begun = Instant::now();
        match client.ask(length) {
            Ok(resends) => tally.answered(begun.elapsed(), options.limit, resends),
            Err(failure) if options.restarts && failure.is_absence() => tally.lost += 1,
            Err(failure) => {
                break Err(failure).with_context(|| format!("request {}", tally.requests() + 1))
            }
        }
        match until.wait(None, Some(options.interval)) {
            Ok(false) => {}
            Ok(true) => break client.end().context("at the end"),
            Err(error) => break Err(error.into()),
        }
    };
    tally.print(options.udp)?;
    match result {
        // It was just going.
        Err(error) if options.restarts && error.downcast_ref().is_some_and(Failure::is_absence) => {
        }
        result => result?,
    }
    ensure!(!tally.histogram.is_empty(), "no request was answered");
    ensure!(
        tally.late == 0,
        "{} of {} replies came later than after {:.3} s",
        tally.late,
        tally.histogram.len(),
        options.limit.as_secs_f64()
    );
    Ok(())
}

/// What became of the requests.
#[derive(Debug, Default)]
struct Tally {
    /// The round trips.
    histogram: Histogram,
    /// How many of them were longer than they may be.
    late: u64,
    /// Requests without reply.
    lost: u64,
    /// Datagrams that were sent again.
    resent: u64,
}

impl Tally {
    fn answered(&mut self, round_trip: Duration, limit: Duration, resends: u32) {
        self.histogram
            .record(u64::try_from(round_trip.as_nanos()).unwrap_or(u64::MAX));
        self.late += u64::from(round_trip > limit);
        self.resent += u64::from(resends);
    }

    fn requests(&self) -> u64 {
        self.histogram.len() + self.lost
    }

    fn print(&self, udp: bool) -> anyhow::Result<()> {
        let percentile = |percentile| microseconds(self.histogram.percentile(percentile));
        print(&format!(
            "good: {} requests={} late={} lost={} resent={} p50_us={} p99_us={} max_us={}",
            if udp { "udp" } else { "tcp" },
            self.requests(),
            self.late,
            self.lost,
            self.resent,
            percentile(Percentile(5_000)),
            percentile(Percentile(9_900)),
            microseconds(self.histogram.max()),
        ))
    }
}

/// Writes a round trip that may not be known.
fn microseconds(round_trip: Option<Duration>) -> String {
    round_trip.map_or_else(|| "n/a".to_owned(), |time| time.as_micros().to_string())
}

/// The client of either protocol.
enum Client<'a> {
    Tcp(Tcp<'a>),
    Udp(Udp),
}

impl<'a> Client<'a> {
    fn new(options: &'a Options) -> anyhow::Result<Self> {
        Ok(if options.udp {
            Self::Udp(Udp::new(options)?)
        } else {
            Self::Tcp(Tcp {
                options,
                shared: options.common.shared()?,
                stream: None,
                connections: 0,
                requests: 0,
            })
        })
    }

    /// Sends so many bytes, has them come back, and returns how often they were sent again.
    fn ask(&mut self, length: u64) -> Result<u32, Failure> {
        match self {
            Self::Tcp(tcp) => tcp.ask(length).map(|()| 0),
            Self::Udp(udp) => udp.ask(length),
        }
    }

    /// Makes sure that nothing more comes, and ends.
    fn end(&mut self) -> Result<(), Failure> {
        match self {
            Self::Tcp(tcp) => tcp.end(),
            Self::Udp(udp) => udp.asker.expect_silence(udp.patience.wait),
        }
    }
}

/// The client over TCP.
struct Tcp<'a> {
    options: &'a Options,
    shared: Shared,
    stream: Option<Stream>,
    /// How many connections there were.
    connections: u64,
    /// How many requests were answered on the last one.
    requests: u64,
}

impl Tcp<'_> {
    fn ask(&mut self, length: u64) -> Result<(), Failure> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                self.connections += 1;
                self.requests = 0;
                Stream::connect(&self.shared, self.connections, Origin::default())?
            }
        };
        let goal = stream.sent() + length;
        go_on(&mut stream, &mut self.shared, goal, false)?;
        self.stream = Some(stream);
        self.requests += 1;
        if Some(self.requests) == self.options.reconnect {
            self.end()?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Failure> {
        let Some(mut stream) = self.stream.take() else {
            return Ok(());
        };
        stream.end()?;
        let goal = stream.sent();
        go_on(&mut stream, &mut self.shared, goal, true)
    }
}

/// Has `goal` bytes come back on a connection in all, and then, if it `ends`, the end of the stream.
fn go_on(stream: &mut Stream, shared: &mut Shared, goal: u64, ends: bool) -> Result<(), Failure> {
    stream.begin(Instant::now());
    loop {
        match stream.turn(shared, goal, u64::MAX)? {
            Turn::End if ends => return Ok(()),
            Turn::End => return Err(stream.closed_early()),
            _ if stream.received() == goal && !ends => return Ok(()),
            Turn::Progress => {}
            Turn::Blocked => stream.wait_alone(shared, goal)?,
        }
    }
}

/// The client over UDP.
struct Udp {
    asker: Asker,
    bytes: Bytes,
    /// How many requests there were.
    requests: u64,
    patience: Patience,
}

impl Udp {
    fn new(options: &Options) -> anyhow::Result<Self> {
        let target = options.common.resolve()?;
        Ok(Self {
            asker: Asker::new(target, None, true)
                .with_context(|| format!("cannot send to {target}"))?,
            bytes: Bytes::new(options.common.seed),
            requests: 0,
            patience: Patience {
                wait: options.wait,
                resends: options.resends,
            },
        })
    }

    fn ask(&mut self, length: u64) -> Result<u32, Failure> {
        self.requests += 1;
        let request = self.bytes.of(self.requests, 0, length);
        Ok(self.asker.ask(request, self.patience)? - 1)
    }
}
