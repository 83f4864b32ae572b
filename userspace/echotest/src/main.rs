// SPDX-License-Identifier: GPL-2.0

//! Load generator for echo servers, after ksf's tool of the same name.
//!
//! Every byte that comes back is verified; round trips are kept in full, not only as a mean.

mod failure;
mod job;
mod options;
mod pattern;
mod tcp;
mod udp;

use std::{
    io::{self, Write},
    net::SocketAddr,
    process::ExitCode,
};

use anyhow::{bail, Context};
use loadgen::{report, run::Outcome, Measured, Peer};

use crate::{
    job::{Broken, Connection, Job, Work},
    options::Options,
    pattern::Pattern,
    tcp::Tcp,
    udp::Udp,
};

fn main() -> ExitCode {
    match measure(&Options::from_command_line()) {
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
    let pattern = Pattern::new(options.length);
    let result = if options.udp {
        do_runs::<Udp<'_>>(options, &pattern, &mut rows)
    } else {
        do_runs::<Tcp<'_>>(options, &pattern, &mut rows)
    };
    result.and(rows.print_total())?;
    check_losses(&rows.total)
}

/// Does all runs, until one fails.
fn do_runs<'a, C: Connection<'a>>(
    options: &Options,
    pattern: &'a Pattern,
    rows: &mut Rows<'_>,
) -> anyhow::Result<()> {
    let target = &options.target;
    let mut peer = target
        .resolve()
        .with_context(|| format!("cannot resolve {target}"))?;
    for run in 1..=options.iterations {
        let mut jobs = connect::<C>(options, &mut peer, pattern, run)?;
        if run == 1 {
            rows.print_header(C::PROTOCOL, peer.address())?;
        }
        let scheduled = options.count * options.connections() as u64;
        let mut outcome =
            loadgen::run(&mut jobs, scheduled, Job::exchange).context("cannot start a thread")?;
        rows.print(run, &outcome.measured)?;
        if outcome.failures.is_empty() {
            outcome.failures.extend(close(&mut jobs));
        }
        check(options, run, &outcome)?;
    }
    Ok(())
}

/// Opens the connections of one run, and shares them out among its threads.
fn connect<'a, C: Connection<'a>>(
    options: &Options,
    peer: &mut Peer,
    pattern: &'a Pattern,
    run: u64,
) -> anyhow::Result<Vec<Job<C>>> {
    let work = Work {
        count: options.count,
        in_flight: options.in_flight,
        timeout: options.timeout(),
    };
    let (jobs, all) = (options.jobs, options.connections());
    // Every run says something else, so that the last one's bytes are noticed in it.
    let earlier = (run - 1) * all as u64;
    (0..jobs)
        .map(|job| {
            let (first, end) = (job * all / jobs, (job + 1) * all / jobs);
            let connections =
                (first..end).map(|place| C::open(peer, earlier + place as u64, pattern, work));
            Ok(Job::new(connections.collect::<Result<_, _>>()?, first))
        })
        .collect()
}

/// Ends all connections of a run that went well, and returns the first failure.
///
/// The rest is not waited for then: a server that never closes would cost the timeout for each connection.
fn close<'a, C: Connection<'a>>(jobs: &mut [Job<C>]) -> Option<(usize, Broken)> {
    let failed = |(job, result): (usize, Result<(), Broken>)| Some((job, result.err()?));
    let mut ended = jobs.iter_mut().map(Job::end).enumerate();
    if let Some(broken) = ended.find_map(failed) {
        return Some(broken);
    }
    let mut closed = jobs.iter_mut().map(Job::expect_end).enumerate();
    closed.find_map(failed)
}

/// Says what went wrong first in a run, and what became of its messages.
fn check(options: &Options, run: u64, outcome: &Outcome<Broken>) -> anyhow::Result<()> {
    let Some((_, broken)) = outcome.failures.first() else {
        return Ok(());
    };
    let ledger = &outcome.measured.ledger;
    let more = match outcome.failures.len() - 1 {
        0 => String::new(),
        others => format!("; failed connections besides this one: {others}"),
    };
    bail!(
        "run {run}, connection {} of {}: {} (messages: {} scheduled, {} sent, {} answered, {} lost{more})",
        broken.connection + 1,
        options.connections(),
        broken.failure,
        ledger.scheduled,
        ledger.sent,
        ledger.answered,
        ledger.lost(),
    )
}

/// Says what was lost in runs that otherwise went well, which only datagrams can be.
fn check_losses(total: &Measured) -> anyhow::Result<()> {
    let ledger = &total.ledger;
    if ledger.lost() == 0 {
        return Ok(());
    }
    bail!(
        "datagrams were lost (messages: {} scheduled, {} sent, {} answered, {} lost, of which {} came late)",
        ledger.scheduled,
        ledger.sent,
        ledger.answered,
        ledger.lost(),
        ledger.late,
    )
}

/// What is printed on standard output.
struct Rows<'a> {
    options: &'a Options,
    printed: u64,
    total: Measured,
}

impl Rows<'_> {
    fn print_header(&self, protocol: &str, address: SocketAddr) -> anyhow::Result<()> {
        let Options {
            in_flight,
            count,
            length,
            no_headers,
            ..
        } = self.options;
        if *no_headers {
            return Ok(());
        }
        let connections = self.options.connections();
        let mut header = report::header();
        if self.options.udp {
            for name in DATAGRAM_COLUMNS {
                header += &format!(" {name:>COLUMN_WIDTH$}");
            }
        }
        print(&format!(
            "echotest: {protocol} to {address}, closed loop; connections: {connections}, in flight on each: {in_flight}, \
             messages on each: {count}, bytes per message: {length}\n\n{header}",
        ))
    }

    fn print(&mut self, run: u64, measured: &Measured) -> anyhow::Result<()> {
        self.printed += 1;
        self.total.merge(measured);
        self.print_row(&run.to_string(), measured)
    }

    /// Prints the row of all runs, unless one row says it all.
    fn print_total(&self) -> anyhow::Result<()> {
        if self.printed < 2 {
            return Ok(());
        }
        self.print_row("all", &self.total)
    }

    fn print_row(&self, label: &str, measured: &Measured) -> anyhow::Result<()> {
        let mut row = report::row(label, measured, self.options.length);
        if self.options.udp {
            let ledger = &measured.ledger;
            for cell in [
                ledger.lost(),
                ledger.late,
                ledger.duplicated,
                ledger.reordered,
            ] {
                row += &format!(" {cell:>COLUMN_WIDTH$}");
            }
        }
        print(&row)
    }
}

/// What only datagrams can be.
const DATAGRAM_COLUMNS: [&str; 4] = ["lost", "late", "duplicated", "reordered"];
const COLUMN_WIDTH: usize = 10;

/// Prints at once, for a run may take long.
fn print(lines: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{lines}")
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}
