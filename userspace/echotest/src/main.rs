// SPDX-License-Identifier: GPL-2.0

//! Load generator for echo servers, after ksf's tool of the same name.
//!
//! Every byte that comes back is verified; round trips are kept in full, not only as a mean.

mod client;
mod failure;
mod options;
mod pattern;

use std::{
    io::{self, Write},
    net::SocketAddr,
    process::ExitCode,
};

use anyhow::{bail, Context};
use clap::Parser;
use loadgen::{report, run::Outcome, Measured, Peer};

use crate::{
    client::{Client, Work},
    failure::Failure,
    options::Options,
    pattern::Pattern,
};

fn main() -> ExitCode {
    match measure(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is closed too, the exit status has to do.
            let _ = writeln!(io::stderr(), "echotest: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Does all runs and prints a row for each, and one for all together if there were several.
fn measure(options: &Options) -> anyhow::Result<()> {
    let mut rows = Rows {
        options,
        printed: 0,
        total: Measured::default(),
    };
    let result = do_runs(options, &mut rows);
    result.and(rows.print_total())
}

/// Does all runs, until one fails.
fn do_runs(options: &Options, rows: &mut Rows<'_>) -> anyhow::Result<()> {
    let target = &options.target;
    let mut peer = target
        .resolve()
        .with_context(|| format!("cannot resolve {target}"))?;
    let pattern = Pattern::new(options.length);
    for run in 1..=options.iterations {
        let mut clients = connect(options, &mut peer, &pattern, run)?;
        if run == 1 {
            rows.print_header(peer.address())?;
        }
        let mut outcome = loadgen::run(&mut clients, options.count, Client::exchange)
            .context("cannot start a thread")?;
        rows.print(run, &outcome.measured)?;
        if outcome.failures.is_empty() {
            outcome.failures.extend(close(&mut clients));
        }
        check(options, run, &outcome)?;
    }
    Ok(())
}

/// Opens the connections of one run.
fn connect<'a>(
    options: &Options,
    peer: &mut Peer,
    pattern: &'a Pattern,
    run: u64,
) -> anyhow::Result<Vec<Client<'a>>> {
    let work = Work {
        count: options.count,
        in_flight: options.in_flight,
        timeout: options.timeout,
    };
    let jobs = options.jobs as u64;
    // Every run says something else, so that the last one's bytes are noticed in it.
    let numbers = (run - 1) * jobs..run * jobs;
    numbers
        .map(|number| {
            Ok(Client::new(
                peer.connect(options.timeout)?,
                number,
                pattern,
                work,
            ))
        })
        .collect()
}

/// Ends all connections of a run that went well, and returns the first failure.
///
/// The rest is not waited for then: a server that never closes would cost the timeout for each connection.
fn close(clients: &mut [Client<'_>]) -> Option<(usize, Failure)> {
    let failed = |(client, result): (usize, Result<(), Failure>)| Some((client, result.err()?));
    let mut ended = clients.iter().map(Client::end).enumerate();
    if let Some(failure) = ended.find_map(failed) {
        return Some(failure);
    }
    let mut closed = clients.iter_mut().map(Client::expect_end).enumerate();
    closed.find_map(failed)
}

/// Says what went wrong first in a run, and what became of its messages.
fn check(options: &Options, run: u64, outcome: &Outcome<Failure>) -> anyhow::Result<()> {
    let Some((client, failure)) = outcome.failures.first() else {
        return Ok(());
    };
    let ledger = &outcome.measured.ledger;
    let more = match outcome.failures.len() - 1 {
        0 => String::new(),
        others => format!("; failed connections besides this one: {others}"),
    };
    bail!(
        "run {run}, connection {} of {}: {failure} (messages: {} scheduled, {} sent, {} answered, {} lost{more})",
        client + 1,
        options.jobs,
        ledger.scheduled,
        ledger.sent,
        ledger.answered,
        ledger.lost(),
    )
}

/// What is printed on standard output.
struct Rows<'a> {
    options: &'a Options,
    printed: u64,
    total: Measured,
}

impl Rows<'_> {
    fn print_header(&self, address: SocketAddr) -> anyhow::Result<()> {
        let Options {
            jobs,
            in_flight,
            count,
            length,
            no_headers,
            ..
        } = self.options;
        if *no_headers {
            return Ok(());
        }
        print(&format!(
            "echotest: TCP to {address}, closed loop; connections: {jobs}, in flight on each: {in_flight}, messages on \
             each: {count}, bytes per message: {length}\n\n{}",
            report::header()
        ))
    }

    fn print(&mut self, run: u64, measured: &Measured) -> anyhow::Result<()> {
        self.printed += 1;
        self.total.merge(measured);
        print(&report::row(
            &run.to_string(),
            measured,
            self.options.length,
        ))
    }

    /// Prints the row of all runs, unless one row says it all.
    fn print_total(&self) -> anyhow::Result<()> {
        if self.printed < 2 {
            return Ok(());
        }
        print(&report::row("all", &self.total, self.options.length))
    }
}

/// Prints at once, for a run may take long.
fn print(lines: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{lines}")
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}
