// SPDX-License-Identifier: GPL-2.0

//! Each row of the table.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{ensure, Context};
use clap::Args;

use super::{
    hex, marked, null, resolve,
    rows::{self, Row, Stream, Tcp, Then, STREAMS},
    talk::{End, Post, Talk},
    Server,
};
use crate::print;

/// Sends each message and each stream of the table, on a connection of its own, and must get what the table says
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// UDP, which the messages are for
    #[arg(short, long)]
    udp: bool,

    /// The rows of a server that lets ports from 1024 on call NULL only, from such a port
    #[arg(long, conflicts_with = "no_echo")]
    unprivileged: bool,

    #[command(flatten)]
    server: Server,
}

/// After so many wrong answers, there is nothing to learn from more.
const MOST: usize = 8;

/// Runs the command.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let target = resolve(&options.server.target)?;
    let timeout = options.server.patience.timeout;
    let begun = Instant::now();
    let rows: Vec<_> = match (options.unprivileged, options.server.no_echo) {
        (true, _) => rows::unprivileged().collect(),
        (false, true) => rows::messages().collect(),
        (false, false) => rows::messages().chain(rows::echo()).collect(),
    };
    let streams = if options.udp || options.unprivileged {
        &[]
    } else {
        STREAMS
    };
    let mut failures = Vec::new();
    for row in &rows {
        if failures.len() == MOST {
            break;
        }
        let result = if options.udp {
            ask_over_udp(target, timeout, row)
        } else {
            ask(target, timeout, row)
        };
        let result = result.with_context(|| format!("{}: sent {}", row.name, hex(row.message)));
        failures.extend(result.err());
    }
    for stream in streams {
        if failures.len() == MOST {
            break;
        }
        let result = send(target, timeout, stream);
        let result =
            result.with_context(|| format!("{}: sent {}", stream.name, hex(stream.stream)));
        failures.extend(result.err());
    }
    let total = rows.len() + streams.len();
    print(&format!(
        "table: {} messages={} streams={} wrong={} seconds={:.3}",
        if options.udp { "udp" } else { "tcp" },
        rows.len(),
        streams.len(),
        failures.len(),
        begun.elapsed().as_secs_f64()
    ))?;
    let texts: Vec<_> = failures
        .iter()
        .map(|failure| format!("{failure:#}"))
        .collect();
    ensure!(
        failures.is_empty(),
        "{} of {total} rows were answered wrongly; {}",
        failures.len(),
        texts.join("; ")
    );
    Ok(())
}

/// The xid of the call that shows whether a connection goes on.
const NEXT: u32 = 0x6e65_7874;

fn ask(target: SocketAddr, timeout: Duration, row: &Row) -> anyhow::Result<()> {
    let message = marked(row.message);
    let (call, reply) = null(NEXT);
    let next = (&marked(&call)[..], &marked(&reply)[..]);
    match row.tcp {
        Tcp::Reply(due) => {
            let steps = [(&message[..], &marked(due)[..]), next];
            Talk::have(target, timeout, &steps, End::Ours)
        }
        Tcp::Nothing => Talk::have(target, timeout, &[(&message, b""), next], End::Ours),
        Tcp::Close => Talk::have(target, timeout, &[(&message, b"")], End::Theirs),
    }
}

fn send(target: SocketAddr, timeout: Duration, row: &Stream) -> anyhow::Result<()> {
    let due: Vec<_> = row.replies.iter().flat_map(|reply| marked(reply)).collect();
    let step = (row.stream, &due[..]);
    let (call, reply) = null(NEXT);
    match row.then {
        Then::Kept => {
            let steps = [step, (&marked(&call), &marked(&reply))];
            Talk::have(target, timeout, &steps, End::Ours)
        }
        Then::Waits => Talk::have(target, timeout, &[step], End::Ours),
        Then::Closed => Talk::have(target, timeout, &[step], End::Theirs),
        Then::ClosedBefore => Talk::have(target, timeout, &[step], End::TheirsEarly),
    }
}

/// What is not answered is followed by what is, and the reply to that is the first.
fn ask_over_udp(target: SocketAddr, timeout: Duration, row: &Row) -> anyhow::Result<()> {
    let mut post = Post::connect(target, timeout)?;
    let (call, reply) = null(NEXT);
    post.send(row.message)?;
    if let Some(due) = row.udp {
        expect(&mut post, due)?;
    }
    post.send(&call)?;
    expect(&mut post, &reply)
}

fn expect(post: &mut Post, due: &[u8]) -> anyhow::Result<()> {
    let got = post.receive()?;
    let got = got.with_context(|| format!("received nothing, where {} is due", hex(due)))?;
    ensure!(
        got == due,
        "received {}, where {} is due",
        hex(got),
        hex(due)
    );
    Ok(())
}
