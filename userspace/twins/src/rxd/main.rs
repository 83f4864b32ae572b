// SPDX-License-Identifier: GPL-2.0

//! The user-space twin of krx: the same engine, as one would run it with recvmmsg, sendmmsg and segmentation offload, and a
//! socket for each listener; or without any of these, to measure what each of them brings.

mod incoming;
mod listener;
mod outgoing;
mod service;
mod table;

use std::{
    convert::Infallible,
    io::{self, Write},
    num::NonZeroUsize,
    panic,
    process::{self, ExitCode},
    sync::mpsc,
    thread,
};

use anyhow::Context;
use clap::{Parser, ValueEnum};
use twins::listen;

use listener::Shared;

/// How many parts the table of clients has that several listeners share.
const SHARDS: usize = 64;

/// Answers calls of rxperf, over IPv4 and IPv6.
#[derive(Clone, Debug, Parser)]
#[command(version)]
struct Options {
    /// The port; with 0 the system chooses one, and it is printed
    #[arg(short, long, value_name = "PORT", default_value = "7009")]
    port: u16,

    /// How many threads receive [default: as many as there are processors]
    #[arg(short, long, value_name = "COUNT")]
    listeners: Option<NonZeroUsize>,

    /// Whether they share a socket or have one each
    #[arg(short, long, value_name = "SOCKETS", default_value = "each")]
    sockets: Sockets,

    /// How many datagrams are received or sent with one call
    #[arg(short, long, value_name = "COUNT", default_value = "64", value_parser = clap::value_parser!(u8).range(1..=64))]
    batch: u8,

    /// Whether packets are sent when a datagram has come, or when all that came together have been taken
    #[arg(short, long, value_name = "WHEN", default_value = "deferred")]
    transmit: Transmission,

    /// Each packet is a datagram of its own for the system
    #[arg(long)]
    no_gso: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sockets {
    Shared,
    Each,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Transmission {
    AtOnce,
    Deferred,
}

impl Options {
    fn batch(&self) -> usize {
        self.batch.into()
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    // One thread less would be another server.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |what| {
        hook(what);
        process::abort();
    }));
    let Err(error) = serve(&options);
    // If standard error is closed too, the exit status has to do.
    let _ = writeln!(io::stderr(), "rxd: {error:#}");
    ExitCode::FAILURE
}

/// Serves until that fails.
fn serve(options: &Options) -> anyhow::Result<Infallible> {
    let listeners = options
        .listeners
        .map_or_else(thread::available_parallelism, Ok)
        .context("cannot tell how many processors there are")?
        .get();
    let (address, tables) = match options.sockets {
        Sockets::Shared => {
            let socket = listen::udp(options.port)?;
            let address = socket.local_addr();
            (address, vec![(Shared::new(SHARDS, socket), listeners)])
        }
        Sockets::Each => {
            let sockets = listen::udp_group(options.port, listeners)?;
            let address = sockets[0].local_addr();
            let tables = sockets
                .into_iter()
                .map(|socket| (Shared::new(1, socket), 1));
            (address, tables.collect())
        }
    };
    let (ended, end) = mpsc::channel();
    for (shared, listeners) in tables {
        let spawn = |run: fn(&Shared, &Options) -> io::Result<Infallible>| {
            let (shared, options, ended) = (shared.clone(), options.clone(), ended.clone());
            thread::spawn(move || ended.send(run(&shared, &options)));
        };
        spawn(listener::keep_time);
        for _ in 0..listeners {
            spawn(listener::listen);
        }
    }
    listen::announce("rxd: serving Rx", address)?;
    end.recv()
        .context("a thread is gone")?
        .context("cannot serve")
}
