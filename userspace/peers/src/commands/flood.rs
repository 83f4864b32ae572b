// SPDX-License-Identifier: GPL-2.0

//! As much as can be sent.

use std::{
    io,
    net::UdpSocket,
    time::{Duration, Instant},
};

use anyhow::{ensure, Context};
use clap::Args;
use loadgen::args::number_in;
use rustix::{
    io::Errno,
    net::{send, SendFlags},
};

use crate::{
    allow_sockets, asker,
    bytes::Bytes,
    check,
    crowd::{self, Member, Next},
    events::Events,
    failure::Failure,
    options::{Common, Crowd, Duty},
    print,
    stream::{Origin, Shared, Stream, Turn},
    until::Until,
};

/// Sends as fast as it can: over TCP without waiting for replies, over UDP without reading any
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// UDP, in which each connection is a socket
    #[arg(short, long)]
    udp: bool,

    #[command(flatten)]
    crowd: Crowd,

    /// Bytes that are sent with one call
    #[arg(short, long, value_name = "N", default_value = "32", value_parser = number_in::<u64>(1..=65_507))]
    length: u64,

    /// Bytes that may wait for their reply on a TCP connection
    #[arg(long, value_name = "N", default_value = "256k", value_parser = number_in::<u64>(1..=1 << 30))]
    window: u64,

    #[command(flatten)]
    duty: Duty,

    #[command(flatten)]
    common: Common,
}

/// Runs the command.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    allow_sockets(options.crowd.connections)?;
    if options.udp {
        run_udp(options)
    } else {
        run_tcp(options)
    }
}

fn run_tcp(options: &Options) -> anyhow::Result<()> {
    let crowd = &options.crowd;
    let total = crowd.connections;
    let until = options.duty.until();
    let mut shared = options.common.shared()?;
    let mut events = Events::new()?;
    let begun = Instant::now();
    let mut members: Vec<_> = (0..total)
        .map(|number| Flood {
            options,
            origin: crowd.origin(number),
            stream: None,
            ends: false,
            ended: false,
        })
        .collect();
    let failures = crowd::run(&mut members, total, &mut shared, &mut events, &until)?;
    check(&failures, total)?;
    // It is over: what is still on its way must come, too.
    for member in &mut members {
        member.ends = true;
    }
    let failures = crowd::run(&mut members, total, &mut shared, &mut events, &Until::NEVER)?;
    check(&failures, total)?;
    let received = members
        .iter()
        .map(|member| member.stream.as_ref().map_or(0, Stream::received));
    let (fewest, all) = (received.clone().min().unwrap_or(0), received.sum::<u64>());
    print(&format!(
        "flood: tcp connections={total} bytes={all} seconds={:.3}",
        begun.elapsed().as_secs_f64()
    ))?;
    ensure!(fewest > 0, "on a connection nothing came back");
    Ok(())
}

/// One of the TCP connections.
struct Flood<'a> {
    options: &'a Options,
    origin: Origin,
    stream: Option<Stream>,
    /// Whether nothing more is sent.
    ends: bool,
    /// Whether the client's side of the stream has ended.
    ended: bool,
}

impl Member for Flood<'_> {
    fn advance(
        &mut self,
        number: usize,
        shared: &mut Shared,
        events: &Events,
    ) -> Result<Next, Failure> {
        let Options { length, window, .. } = self.options;
        let stream = Stream::open(&mut self.stream, number, self.origin, shared, events)?;
        if self.ends && !self.ended {
            stream.begin(Instant::now());
            stream.end()?;
            self.ended = true;
        }
        let send_to = if self.ends {
            stream.sent()
        } else {
            (stream.sent() + length).min(stream.received() + window)
        };
        match stream.turn(shared, send_to, u64::MAX)? {
            Turn::End if self.ended => Ok(Next::Done),
            Turn::End => Err(stream.closed_early()),
            Turn::Progress => Ok(Next::Again),
            Turn::Blocked => stream.wait(shared),
        }
    }
}

/// How many datagrams are sent between two looks at whether it is over.
const DATAGRAMS: u64 = 64;

/// How long nothing is sent when the system has no room for it.
const PAUSE: Duration = Duration::from_millis(1);

/// What became of the datagrams.
#[derive(Debug, Default)]
struct Datagrams {
    sent: u64,
    /// Those for which the other host has said that nobody has the port.
    refused: u64,
}

fn run_udp(options: &Options) -> anyhow::Result<()> {
    let Options { crowd, length, .. } = options;
    let target = options.common.resolve()?;
    let bytes = Bytes::new(options.common.seed);
    let open = |number| {
        let source = crowd
            .origin(number)
            .source
            .map(|address| (address, 0).into());
        let socket = asker::open(target, source)?;
        socket.connect(target)?;
        Ok::<_, io::Error>(socket)
    };
    let sockets: Vec<_> = (0..crowd.connections)
        .map(open)
        .collect::<Result<_, _>>()
        .with_context(|| format!("cannot send to {target}"))?;
    let until = options.duty.until();
    let begun = Instant::now();
    let mut datagrams = Datagrams::default();
    let mut is_over = false;
    while !is_over {
        let mut has_room = false;
        for (socket, number) in sockets.iter().zip(0..) {
            let datagram = bytes.of(number, 0, *length);
            has_room |= send_some(socket, datagram, &mut datagrams).context("cannot send")?;
        }
        let pause = if has_room { Duration::ZERO } else { PAUSE };
        is_over = until.wait(None, Some(pause))?;
    }
    let Datagrams { sent, refused } = datagrams;
    print(&format!(
        "flood: udp sockets={} datagrams={sent} refused={refused} seconds={:.3}",
        crowd.connections,
        begun.elapsed().as_secs_f64()
    ))?;
    ensure!(
        refused == 0,
        "nobody has the port that {refused} of {sent} datagrams were sent to"
    );
    ensure!(sent > 0, "no datagram could be sent");
    Ok(())
}

/// Sends some datagrams, and returns whether the system had room for all of them.
fn send_some(socket: &UdpSocket, datagram: &[u8], datagrams: &mut Datagrams) -> io::Result<bool> {
    for _ in 0..DATAGRAMS {
        match send(socket, datagram, SendFlags::DONTWAIT) {
            Ok(_) => datagrams.sent += 1,
            // It is about an earlier one; this one was not sent.
            Err(Errno::CONNREFUSED) => datagrams.refused += 1,
            Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}
