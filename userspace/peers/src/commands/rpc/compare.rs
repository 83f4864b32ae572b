// SPDX-License-Identifier: GPL-2.0

//! The same requests to two servers.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration, time::Instant};

use anyhow::{ensure, Context};
use clap::Args;
use loadgen::Target;

use super::{
    calls::{class::Class, generator::Generator, word, CLOSING_OTHER, MAX_RECORD},
    hex,
    known::{self, Asked, Outcome},
    marked, null, resolve,
    talk::{Post, Talk},
    target, Load, Patience,
};
use crate::print;

/// Sends the same generated requests to another server, for example knfsd, and to krpc, and compares what comes back
///
/// Differences that are known have a name and a reason, and are counted; any other is a failure. krpc is without ksf_echo.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// UDP
    #[arg(short, long)]
    udp: bool,

    #[command(flatten)]
    load: Load,

    #[command(flatten)]
    patience: Patience,

    /// The other server
    #[arg(value_name = "HOST[:PORT]", value_parser = target)]
    theirs: Target,

    /// krpc
    #[arg(value_name = "HOST[:PORT]", value_parser = target)]
    ours: Target,
}

/// Differences of one kind.
#[derive(Debug)]
struct Kind {
    count: u64,
    example: String,
}

/// The most differences that are shown for which there is no reason.
const SHOWN: usize = 3;

/// Runs the command.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let timeout = options.patience.timeout;
    let mut theirs = Peer::new(resolve(&options.theirs)?, timeout, options.udp);
    let mut ours = Peer::new(resolve(&options.ours)?, timeout, options.udp);
    let begun = Instant::now();
    let mut kinds = BTreeMap::<&str, Kind>::new();
    let (mut equal, mut answered, mut unexplained) = (0, 0, Vec::new());
    for number in 0..options.load.count {
        let mut generator = options.load.part(number);
        let asked = request(&mut generator, options.udp);
        let which = || {
            format!(
                "seed {}, number {number}, sent {}",
                options.load.seed,
                hex(&asked.sent)
            )
        };
        let their = theirs
            .ask(&asked)
            .with_context(|| format!("{}: {}", options.theirs, which()))?;
        let our = ours
            .ask(&asked)
            .with_context(|| format!("{}: {}", options.ours, which()))?;
        answered += u64::from(!our.replies.is_empty());
        if their == our {
            equal += 1;
            continue;
        }
        let example = || format!("{}: theirs {their}, ours {our}", which());
        match known::difference(&asked, &their, &our) {
            Some(name) => {
                let kind = kinds.entry(name).or_insert_with(|| Kind {
                    count: 0,
                    example: example(),
                });
                kind.count += 1;
            }
            None => unexplained.push(example()),
        }
    }
    print(&format!(
        "compare: {} requests={} answered={answered} equal={equal} explained={} unexplained={} seconds={:.3}",
        if options.udp { "udp" } else { "tcp" },
        options.load.count,
        kinds.values().map(|kind| kind.count).sum::<u64>(),
        unexplained.len(),
        begun.elapsed().as_secs_f64()
    ))?;
    for (name, Kind { count, example }) in &kinds {
        print(&format!(
            "compare: {name} count={count}: {}; {example}",
            known::reason(name)
        ))?;
    }
    let first = &unexplained[..unexplained.len().min(SHOWN)];
    ensure!(
        unexplained.is_empty(),
        "{} differences without a known reason; {}",
        unexplained.len(),
        first.join("; ")
    );
    Ok(())
}

/// A request that both servers answer, or close the connection for, at once.
fn request(generator: &mut Generator, is_udp: bool) -> Asked {
    loop {
        let class = match generator.below(32) {
            0 if !is_udp => Class::TooManyFragments,
            1 if !is_udp => Class::TooLong,
            // Half of them are as clients send them.
            2..16 => Class::Valid,
            _ => generator.class(),
        };
        let asked = if is_udp {
            let message = generator.message(class);
            Asked {
                sent: message.clone(),
                message,
                fragments: 1,
                is_udp: true,
            }
        } else {
            let mut record = generator.record(class);
            if class == Class::Valid && generator.below(128) == 0 {
                // All of a record that is too long for krpc.
                let mut message = generator.message(class);
                message.resize(MAX_RECORD + 1 + generator.below(4_096), 0);
                record = marked(&message);
            }
            if class == Class::OtherType && generator.below(4) == 0 {
                record = record.repeat(CLOSING_OTHER);
            }
            Asked::over_tcp(record)
        };
        // Where one server sees a record that is too long, the other may wait for its end.
        let is_endless = class == Class::TooLong && asked.announced() < 1 << 24;
        // knfsd takes no longer datagrams.
        let is_huge = is_udp && asked.message.len() > 32_768;
        if !is_endless && !is_huge {
            return asked;
        }
    }
}

/// The xid of the call that follows each request: what has not come before its reply, does not come.
const NEXT: u32 = 0x6e65_7874;

/// A server.
struct Peer {
    target: SocketAddr,
    timeout: Duration,
    is_udp: bool,
    /// The connection, which is kept while the server keeps it.
    talk: Option<Talk>,
}

impl Peer {
    fn new(target: SocketAddr, timeout: Duration, is_udp: bool) -> Self {
        Self {
            target,
            timeout,
            is_udp,
            talk: None,
        }
    }

    fn ask(&mut self, asked: &Asked) -> anyhow::Result<Outcome> {
        if self.is_udp {
            self.ask_over_udp(asked)
        } else {
            self.ask_over_tcp(asked)
        }
    }

    fn ask_over_tcp(&mut self, asked: &Asked) -> anyhow::Result<Outcome> {
        let mut talk = match self.talk.take() {
            Some(talk) => talk,
            None => Talk::connect(self.target, self.timeout)?,
        };
        let (call, next) = null(NEXT);
        let sent = [&asked.sent, &marked(&call)[..]].concat();
        let (mut sent, mut received) = (&sent[..], Vec::new());
        let mut outcome = Outcome::default();
        loop {
            if !talk.take(&mut received, &mut sent)? {
                outcome.is_closed = true;
                return Ok(outcome);
            }
            while let Some(record) = take_record(&mut received) {
                if record == next {
                    self.talk = Some(talk);
                    return Ok(outcome);
                }
                outcome.replies.push(record);
            }
        }
    }

    /// From a socket of its own, so that nothing is late.
    fn ask_over_udp(&self, asked: &Asked) -> anyhow::Result<Outcome> {
        let mut post = Post::connect(self.target, self.timeout)?;
        let (call, next) = null(NEXT);
        post.send(&asked.sent)?;
        post.send(&call)?;
        let mut outcome = Outcome::default();
        loop {
            let got = post.receive()?.context("no reply to NULL after it")?;
            if got == next {
                return Ok(outcome);
            }
            outcome.replies.push(got.to_vec());
        }
    }
}

/// Takes the first record off a stream, if it is whole. Servers send one fragment.
fn take_record(stream: &mut Vec<u8>) -> Option<Vec<u8>> {
    let end = 4 + (word(stream, 0)? & 0x7fff_ffff) as usize;
    let record = stream.get(4..end)?.to_vec();
    stream.drain(..end);
    Some(record)
}
