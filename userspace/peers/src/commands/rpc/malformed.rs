// SPDX-License-Identifier: GPL-2.0

//! Records of all kinds, most of them wrong.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::Instant,
};

use anyhow::{bail, ensure, Context};
use clap::Args;
use loadgen::args::number_in;

use super::{
    calls::{self, class::Class, generator::Generator, Answer},
    hex, hex_up_to, null, resolve,
    talk::{End, Post, Talk},
    Load, Server,
};
use crate::print;

/// Sends generated records, most of them wrong, and must get the answer to each that an oracle says
///
/// Over TCP, each connection carries records until one of them ends it; the replies to those before it must come, and then
/// its end. A failure names the seed and the number of the connection, or of the batch of datagrams: --first repeats it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// UDP
    #[arg(short, long)]
    udp: bool,

    /// Connections, or sockets, at the same time
    #[arg(short, long, value_name = "N", default_value = "4", value_parser = number_in::<u64>(1..=256))]
    connections: u64,

    /// The most records on a connection, or datagrams of a socket that wait for replies
    #[arg(long, value_name = "N", default_value = "64", value_parser = number_in::<usize>(1..=1_000))]
    pipeline: usize,

    /// The number of the first connection or batch
    #[arg(long, value_name = "N", default_value = "0", value_parser = number_in::<u64>(0..=u64::MAX))]
    first: u64,

    #[command(flatten)]
    load: Load,

    #[command(flatten)]
    server: Server,
}

/// Among so many records, all classes are.
const MANY: u64 = 10_000;

/// How many datagrams of all sockets wait for replies at most, and about how many bytes of them, so that none is lost for
/// want of room in a socket.
const IN_FLIGHT: usize = 64;
const BYTES_IN_FLIGHT: usize = 32 << 10;

/// The most bytes that are shown of a stream.
const SHOWN: usize = 16 << 10;

/// What was sent, and what came back.
#[derive(Debug, Default)]
struct Tally {
    parts: u64,
    replies: u64,
    ignored: u64,
    closed: u64,
    classes: BTreeMap<Class, u64>,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.parts += other.parts;
        self.replies += other.replies;
        self.ignored += other.ignored;
        self.closed += other.closed;
        for (class, count) in &other.classes {
            *self.classes.entry(*class).or_default() += count;
        }
    }
}

/// What all threads share.
struct Run<'a> {
    options: &'a Options,
    oracle: calls::Server,
    target: SocketAddr,
    next: AtomicU64,
    sent: AtomicU64,
    is_over: AtomicBool,
}

/// Runs the command.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let run = Run {
        options,
        oracle: calls::Server {
            has_echo: !options.server.no_echo,
        },
        target: resolve(&options.server.target)?,
        next: AtomicU64::new(options.first),
        sent: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
    };
    let begun = Instant::now();
    let mut tally = Tally::default();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..options.connections)
            .map(|_| scope.spawn(|| run.thread()))
            .collect();
        let mut result = Ok(());
        for thread in threads {
            match thread.join() {
                Ok(Ok(part)) => tally.add(&part),
                Ok(Err(error)) => result = result.and(Err(error)),
                Err(_) => bail!("a thread has panicked"),
            }
        }
        result
    })?;
    let of_streams: &[_] = if options.udp { &[] } else { &Class::OF_STREAMS };
    let records = tally.classes.values().sum::<u64>();
    if records >= MANY {
        let all = Class::OF_MESSAGES.iter().chain(of_streams);
        for class in all {
            ensure!(tally.classes.contains_key(class), "no {class:?} was sent");
        }
    }
    let (transport, parts) = if options.udp {
        ("udp", "batches")
    } else {
        ("tcp", "connections")
    };
    print(&format!(
        "malformed: {transport} records={records} {parts}={} replies={} ignored={} closed={} classes={} seconds={:.3}",
        tally.parts,
        tally.replies,
        tally.ignored,
        tally.closed,
        tally.classes.len(),
        begun.elapsed().as_secs_f64()
    ))
}

impl Run<'_> {
    /// Has one connection, or one batch, after the other, until enough was sent or one of all threads fails.
    fn thread(&self) -> anyhow::Result<Tally> {
        let mut tally = Tally::default();
        let mut post = None;
        while !self.is_over.load(Relaxed) && self.sent.load(Relaxed) < self.options.load.count {
            let number = self.next.fetch_add(1, Relaxed);
            let mut generator = self.options.load.part(number);
            let result = if self.options.udp {
                self.batch(&mut generator, &mut post, &mut tally)
            } else {
                self.connection(&mut generator, &mut tally)
            };
            if let Err(error) = result {
                self.is_over.store(true, Relaxed);
                let seed = self.options.load.seed;
                return Err(error).with_context(|| format!("seed {seed}, number {number}"));
            }
            tally.parts += 1;
        }
        Ok(tally)
    }

    fn connection(&self, generator: &mut Generator, tally: &mut Tally) -> anyhow::Result<()> {
        let stream = generator.stream(self.oracle, self.options.pipeline);
        let due = self.oracle.converse(&stream.bytes);
        let end = match due.closes_at {
            None => End::Ours,
            Some(at) if at == stream.bytes.len() => End::Theirs,
            Some(_) => End::TheirsEarly,
        };
        let timeout = self.options.server.patience.timeout;
        Talk::have(self.target, timeout, &[(&stream.bytes, &due.replies)], end).with_context(
            || {
                let classes: Vec<_> = stream.records.iter().map(|(class, _)| class).collect();
                format!("{classes:?}, sent {}", hex_up_to(SHOWN, &stream.bytes))
            },
        )?;
        self.sent.fetch_add(stream.records.len() as u64, Relaxed);
        for (class, _) in stream.records {
            *tally.classes.entry(class).or_default() += 1;
        }
        tally.replies += due.answered as u64;
        tally.ignored += due.ignored as u64;
        tally.closed += u64::from(due.closes_at.is_some());
        Ok(())
    }

    /// Some datagrams at once, and one more that is answered.
    fn batch(
        &self,
        generator: &mut Generator,
        post: &mut Option<Post>,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let post = match post {
            Some(post) => post,
            none => none.insert(Post::connect(
                self.target,
                self.options.server.patience.timeout,
            )?),
        };
        let (mut sent, mut due) = (Vec::new(), Vec::new());
        let sockets = self.options.connections as usize;
        let most = self.options.pipeline.min(IN_FLIGHT / sockets).max(1);
        let mut bytes = 0;
        while sent.len() < most && bytes < BYTES_IN_FLIGHT / sockets {
            let class = generator.class();
            let message = generator.message(class);
            post.send(&message)?;
            bytes += message.len();
            match self.oracle.answer_datagram(&message) {
                Answer::Reply(reply) => due.push((reply, sent.len())),
                _ => tally.ignored += 1,
            }
            sent.push((class, message));
        }
        let (call, reply) = null(generator.number() as u32);
        post.send(&call)?;
        due.push((reply.to_vec(), sent.len()));
        tally.replies += due.len() as u64 - 1;
        while !due.is_empty() {
            let Some(got) = post.receive()? else {
                let (reply, number) = &due[0];
                match sent.get(*number) {
                    Some((class, message)) => bail!(
                        "{class:?}, sent {}: received nothing, where {} is due",
                        hex(message),
                        hex(reply)
                    ),
                    None => bail!("no reply to NULL after {} datagrams", sent.len()),
                }
            };
            match due.iter().position(|(reply, _)| reply == got) {
                Some(place) => drop(due.remove(place)),
                None => return Err(unexpected(got, &sent, &due)),
            }
        }
        self.sent.fetch_add(sent.len() as u64, Relaxed);
        for (class, _) in sent {
            *tally.classes.entry(class).or_default() += 1;
        }
        Ok(())
    }
}

/// Finds out what came instead of what: the reply to a message has its first four bytes.
#[cold]
fn unexpected(got: &[u8], sent: &[(Class, Vec<u8>)], due: &[(Vec<u8>, usize)]) -> anyhow::Error {
    let of_same = sent
        .iter()
        .enumerate()
        .find(|(_, (_, message))| message.get(..4).is_some_and(|xid| got.starts_with(xid)));
    let Some((number, (class, message))) = of_same else {
        return anyhow::anyhow!("received {}, which is no reply to any", hex(got));
    };
    let due = due.iter().find(|(_, of)| *of == number);
    anyhow::anyhow!(
        "{class:?}, sent {}: received {}, where {} is due",
        hex(message),
        hex(got),
        hex(due.map_or(&[], |(reply, _)| reply))
    )
}
