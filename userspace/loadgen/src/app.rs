// SPDX-License-Identifier: GPL-2.0

//! What `main` of every load generator does: read the command line, run, report, and say by the exit status whether all
//! is well.

use std::{
    io::{self, Write},
    net::SocketAddr,
    process::ExitCode,
};

use anyhow::{bail, Context};
use clap::{error::ErrorKind, Args, CommandFactory, FromArgMatches, Parser};

use crate::{
    load::{Extent, Load, Pace, Transport},
    options::LoadOptions,
    protocol::Protocol,
    report,
    result::RunResult,
    session::Session,
    socket::SocketOptions,
    target::Server,
    Ledger,
};

/// A load generator: a protocol, and the options that only it has.
pub trait Tool: Args + 'static {
    /// What it is called.
    const NAME: &'static str;
    /// Its version.
    const VERSION: &'static str;
    /// What it is for: a line, and possibly more after an empty one.
    const ABOUT: &'static str;
    /// What is to be said of the default port and of its own figures.
    const NOTES: &'static str;
    /// What it calls its requests, in the plural.
    const REQUESTS: &'static str;
    /// The protocol.
    type Protocol: Protocol;

    /// The protocol with these options, over this transport.
    ///
    /// # Errors
    ///
    /// The options do not go together; what is returned says why, as a complaint about the command line.
    fn protocol(&self, transport: Transport) -> Result<Self::Protocol, String>;

    /// The bytes of a request over this transport, and of its reply if they are the same.
    fn request_bytes(&self, transport: Transport) -> usize;

    /// The port of a server that was named without one. To find it out, the server's host may be asked.
    ///
    /// # Errors
    ///
    /// It could not be found out.
    fn default_port(
        &self,
        server: &Server,
        transport: Transport,
        options: &SocketOptions,
    ) -> anyhow::Result<u16>;

    /// What is asked of the server, if the name of the tool does not say that.
    fn subject(&self) -> Option<String> {
        None
    }
}

/// The command line of a load generator.
#[derive(Debug, Parser)]
#[command(arg_required_else_help = true)]
struct Cli<T: Tool> {
    #[command(flatten)]
    load: LoadOptions,

    #[command(flatten)]
    tool: T,

    /// The server; an IPv6 address is in brackets if a port follows
    #[arg(value_name = "HOST[:PORT]", value_parser = Server::parse)]
    server: Server,
}

const NOTES: &str = "\
N is a number, possibly with a suffix: k is 1024, K 1000, m 2^20, M 10^6. TIME is in seconds unless its unit is ms, s, m
or h.

seconds is from the first start to the last end, without the warm-up. The rates are those of the time in which all
threads were active. n/a stands for what cannot be told: a percentile of too few round trips (p99 needs 368, p99.9 3688),
or a rate if the threads were never all active at once.

Closed loop (without --rate): a request is sent when a reply has made room for it, so that a server that stalls also
delays the requests that would have met the stall, and the tail looks better than it is. Open loop (with --rate): a
request is sent when it is due, and its time counts from then, whatever the server and this program did meanwhile;
skipped are those that were not sent because as many as -a allows were in flight.

With --udp, lost are the datagrams that did not come back at all, and late those that came back after the timeout;
duplicated are replies beyond the first, and reordered those that came after the reply to a later datagram.

The exit status is 0 only if everything that was sent was answered, rightly and in time.";

fn command<T: Tool>() -> clap::Command {
    let about = T::ABOUT.lines().next().unwrap_or_default();
    Cli::<T>::command()
        .name(T::NAME)
        .version(T::VERSION)
        .about(about)
        .long_about(T::ABOUT)
        .after_help(format!("{}\n\n{NOTES}", T::NOTES))
}

/// Runs a load generator by the command line of this process.
pub fn main<T: Tool>() -> ExitCode {
    let mut command = command::<T>();
    let matches = command.get_matches_mut();
    let cli = Cli::<T>::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let complain = |complaint: String| -> ! {
        command
            .clone()
            .error(ErrorKind::ValueValidation, complaint)
            .exit()
    };
    let load = cli.load.load().unwrap_or_else(|error| complain(error));
    let protocol = cli
        .tool
        .protocol(load.transport)
        .unwrap_or_else(|error| complain(error));
    match measure(&cli, &load, &protocol) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is closed too, the exit status has to do.
            let _ = writeln!(io::stderr(), "{}: {error:#}", T::NAME);
            ExitCode::FAILURE
        }
    }
}

/// Does all runs and prints a row for each, and one for all together if there were several.
fn measure<T: Tool>(cli: &Cli<T>, load: &Load, protocol: &T::Protocol) -> anyhow::Result<()> {
    let mut rows = Rows {
        cli,
        load,
        printed: 0,
        total: RunResult::default(),
    };
    let result = do_runs(cli, load, protocol, &mut rows);
    result.and(rows.print_total())?;
    check_losses::<T>(&rows.total)
}

/// Does all runs, until one fails.
fn do_runs<T: Tool>(
    cli: &Cli<T>,
    load: &Load,
    protocol: &T::Protocol,
    rows: &mut Rows<'_, T>,
) -> anyhow::Result<()> {
    let options = cli.load.socket_options();
    let port = match cli.server.port() {
        Some(port) => port,
        None => cli
            .tool
            .default_port(&cli.server, load.transport, &options)?,
    };
    let target = cli.server.at(port);
    let mut session = Session::new(protocol, &target, cli.load.machine(), options)?;
    for run in 1..=cli.load.iterations.unwrap_or(1) {
        let sockets = session.connect(load)?;
        if run == 1 {
            if let Some(error) = &sockets.busy_poll_refused {
                let _ = writeln!(
                    io::stderr(),
                    "{}: threads look for replies all the time, and not at the network device itself: {error}",
                    T::NAME
                );
            }
            rows.print_header(session.address())?;
        }
        let result = session.run(load, sockets)?;
        rows.print(run, &result)?;
        check::<T>(load, run, &result)?;
    }
    Ok(())
}

/// Says what went wrong first in a run, and what became of its requests.
fn check<T: Tool>(load: &Load, run: u64, result: &RunResult) -> anyhow::Result<()> {
    let ledger = &result.ledger;
    if !ledger.adds_up() || !result.warmup.adds_up() {
        bail!("run {run}: a defect of this program: its figures do not add up: {result:?}");
    }
    let Some(failure) = result.failures.first() else {
        return Ok(());
    };
    let more = match result.failures.len() - 1 {
        0 => String::new(),
        others => format!("; failed connections besides this one: {others}"),
    };
    bail!(
        "run {run}, connection {} of {}: {} ({}{more})",
        failure.connection + 1,
        load.connections,
        failure.message,
        in_words::<T>(ledger),
    )
}

fn in_words<T: Tool>(ledger: &Ledger) -> String {
    let late = match ledger.late {
        0 => String::new(),
        late => format!(", {late} late"),
    };
    format!(
        "{}: {} scheduled, {} sent, {} answered{late}, {} lost",
        T::REQUESTS,
        ledger.scheduled,
        ledger.sent,
        ledger.answered,
        ledger.lost,
    )
}

/// Says what was lost or late in runs that otherwise went well, which only datagrams can be.
fn check_losses<T: Tool>(total: &RunResult) -> anyhow::Result<()> {
    let mut all = total.ledger;
    all += &total.warmup;
    let what = match (all.lost, all.late) {
        (0, 0) => return Ok(()),
        (0, _) => "datagrams came late",
        _ => "datagrams were lost",
    };
    bail!("{what} ({})", in_words::<T>(&all))
}

/// What is printed on standard output.
struct Rows<'a, T: Tool> {
    cli: &'a Cli<T>,
    load: &'a Load,
    printed: u64,
    total: RunResult,
}

impl<T: Tool> Rows<'_, T> {
    fn print_header(&self, address: SocketAddr) -> anyhow::Result<()> {
        if self.cli.load.no_headers {
            return Ok(());
        }
        let load = self.load;
        let mut header = report::header(T::REQUESTS);
        for (name, _) in columns(load) {
            header += &format!(" {name:>COLUMN_WIDTH$}");
        }
        let requests = T::REQUESTS;
        let protocol = match load.transport {
            Transport::Stream => "TCP",
            Transport::Datagrams => "UDP",
        };
        let pace = match load.pace {
            Pace::Closed => "closed loop".to_owned(),
            Pace::Open { rate, .. } => format!("open loop, {rate} {requests}/s"),
        };
        let extent = match load.extent {
            Extent::Count(count) => format!("{requests} on each: {count}"),
            Extent::Duration(ns) => format!("seconds: {}", ns as f64 * 1e-9),
        };
        let subject = self.cli.tool.subject();
        let subject = subject.map_or_else(String::new, |subject| subject + ", ");
        print(&format!(
            "{}: {subject}{protocol} to {address}, {pace}; connections: {}, in flight on each: {}, {extent}, bytes per {}: {}\n\n\
             {header}",
            T::NAME,
            load.connections,
            load.in_flight,
            requests.trim_end_matches('s'),
            self.cli.tool.request_bytes(load.transport),
        ))
    }

    fn print(&mut self, run: u64, result: &RunResult) -> anyhow::Result<()> {
        self.printed += 1;
        self.total.merge(result);
        self.print_row(&run.to_string(), result)
    }

    /// Prints the row of all runs, unless one row says it all.
    fn print_total(&self) -> anyhow::Result<()> {
        if self.printed < 2 {
            return Ok(());
        }
        self.print_row("all", &self.total)
    }

    fn print_row(&self, label: &str, result: &RunResult) -> anyhow::Result<()> {
        let bytes = self.cli.tool.request_bytes(self.load.transport);
        let mut row = report::row(label, result, bytes);
        for (_, cell) in columns(self.load) {
            row += &format!(" {:>COLUMN_WIDTH$}", cell(&result.ledger));
        }
        print(&row)
    }
}

const COLUMN_WIDTH: usize = 10;

/// The name of a column, and its cell.
type Column = (&'static str, fn(&Ledger) -> u64);

/// What requests can be in open loop only, and what datagrams only.
fn columns(load: &Load) -> impl Iterator<Item = Column> {
    const SKIPPED: [Column; 1] = [("skipped", |ledger| ledger.skipped)];
    const DATAGRAMS: [Column; 4] = [
        ("lost", |ledger| ledger.lost),
        ("late", |ledger| ledger.late),
        ("duplicated", |ledger| ledger.duplicated),
        ("reordered", |ledger| ledger.reordered),
    ];
    let skipped = load.is_open_loop().then_some(SKIPPED);
    let datagrams = (load.transport == Transport::Datagrams).then_some(DATAGRAMS);
    skipped
        .into_iter()
        .flatten()
        .chain(datagrams.into_iter().flatten())
}

/// Prints at once, for a run may take long.
fn print(lines: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{lines}")
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}
