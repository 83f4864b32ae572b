// SPDX-License-Identifier: GPL-2.0

//! Peers of an echo server that demand much of it or behave badly, and a good one that shows what they cost others; and
//! peers of an RPC server.

mod asker;
mod bytes;
mod commands;
mod crowd;
mod echo;
mod events;
mod failure;
mod options;
mod random;
mod stall;
mod stream;
mod until;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::{bail, Context};
use clap::Parser;
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};

use crate::{
    failure::Failure,
    options::{Command, Options},
};

fn main() -> ExitCode {
    let result = match Options::parse().command {
        Command::Many(options) => commands::many::run(&options),
        Command::NeverRead(options) => commands::never_read::run(&options),
        Command::Late(options) => commands::late::run(&options),
        Command::Slow(options) => commands::slow::run(&options),
        Command::Idle(options) => commands::idle::run(&options),
        Command::Hoard(options) => commands::hoard::run(&options),
        Command::HalfClose(options) => commands::half_close::run(&options),
        Command::Reset(options) => commands::reset::run(&options),
        Command::Datagrams(options) => commands::datagrams::run(&options),
        Command::Flood(options) => commands::flood::run(&options),
        Command::Good(options) => commands::good::run(&options),
        Command::Rpc(options) => commands::rpc::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is closed too, the exit status has to do.
            let _ = writeln!(io::stderr(), "peers: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a line at once, for somebody may wait for it.
fn print(line: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}

/// Fails if any of `total` connections did, and says how the first ones did.
fn check(failures: &[(usize, Failure)], total: usize) -> anyhow::Result<()> {
    if failures.is_empty() {
        return Ok(());
    }
    let first = failures.iter().take(3);
    let first: Vec<_> = first
        .map(|(number, failure)| format!("connection {}: {failure}", number + 1))
        .collect();
    bail!(
        "{} of {total} connections failed; {}",
        failures.len(),
        first.join("; ")
    )
}

/// Allows this process to have as many sockets open.
fn allow_sockets(count: usize) -> anyhow::Result<()> {
    // A few for what is open besides.
    let needed = count as u64 + 32;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let wanted = Rlimit {
        current: Some(needed),
        maximum: limit.maximum.map(|maximum| maximum.max(needed)),
    };
    setrlimit(Resource::Nofile, wanted).with_context(|| format!("cannot have {needed} files open"))
}
