// SPDX-License-Identifier: GPL-2.0

//! The command line of a load generator.

use std::{path::PathBuf, time::Duration};

use clap::{Args, CommandFactory, Parser, Subcommand};

use super::Tool;
use crate::{
    campaign::options::{CampaignOptions, CompareOptions, SearchOptions},
    manual::Describe,
    options::{time_in, LoadOptions, DAY},
    report::options::PlotFile,
    target::Server,
};

/// The command line of a load generator.
#[derive(Debug, Parser)]
#[command(
    arg_required_else_help = true,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true
)]
pub(super) struct Cli<T: Tool> {
    #[command(flatten)]
    pub(super) load: LoadOptions,

    #[command(flatten)]
    pub(super) campaign: CampaignOptions,

    #[command(flatten)]
    pub(super) search: SearchOptions,

    #[command(flatten)]
    pub(super) output: OutputOptions,

    #[command(flatten)]
    pub(super) view: ViewOptions,

    /// Print the columns of ksf's own tool
    #[arg(long, conflicts_with = "search")]
    pub(super) ksf: bool,

    #[command(flatten)]
    pub(super) agents: AgentOptions,

    #[command(flatten)]
    pub(super) tool: T,

    /// The server; an IPv6 address is in brackets if a port follows
    #[arg(value_name = "HOST[:PORT]", value_parser = Server::parse, required = true)]
    pub(super) server: Option<Server>,

    #[command(subcommand)]
    pub(super) command: Option<Command<T>>,
}

/// What else can be done than to measure one server.
#[derive(Debug, Subcommand)]
pub(super) enum Command<T: Tool> {
    /// Compare two servers, by runs in random order
    Compare(Box<Compare<T>>),
    /// Merge the JSON documents of several machines that measured at the same time
    Merge(Merge),
    #[command(flatten)]
    Describe(Describe),
}

/// The options of compare.
#[derive(Debug, Args)]
pub(super) struct Compare<T: Tool> {
    #[command(flatten)]
    pub(super) load: LoadOptions,

    #[command(flatten)]
    pub(super) campaign: CampaignOptions,

    #[command(flatten)]
    pub(super) compare: CompareOptions,

    #[command(flatten)]
    pub(super) output: OutputOptions,

    #[command(flatten)]
    pub(super) view: ViewOptions,

    #[command(flatten)]
    pub(super) tool: T,

    /// The first server, called A
    #[arg(value_name = "HOST[:PORT]", value_parser = Server::parse)]
    pub(super) a: Server,

    /// The second server, called B
    #[arg(value_name = "HOST[:PORT]", value_parser = Server::parse)]
    pub(super) b: Server,
}

/// The options of merge.
#[derive(Debug, Args)]
pub(super) struct Merge {
    #[command(flatten)]
    pub(super) output: OutputOptions,

    /// Print only the rows, and warnings on standard error
    #[arg(short = 'H', long)]
    pub(super) no_headers: bool,

    /// Merge also runs that were not at the same time, by the clocks of their machines
    #[arg(long)]
    pub(super) any_time: bool,

    /// What --json wrote on each of the machines
    #[arg(value_name = "FILE", required = true)]
    pub(super) files: Vec<PathBuf>,
}

/// Where the results go, and in what form.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct OutputOptions {
    /// Write everything that was measured as JSON into a file, or to standard output in place of the table
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    pub(super) json: Option<PathBuf>,

    /// Write the latencies over time into a file that HDR tools read
    #[arg(long, value_name = "FILE")]
    pub(super) hdr_log: Option<PathBuf>,

    /// Draw the percentiles, and latencies and rate over time, into a file whose name ends with .html or .svg
    #[arg(long, value_name = "FILE")]
    pub(super) plot: Option<PlotFile>,
}

/// What is shown while it goes on.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(super) struct ViewOptions {
    /// Show rate and latencies of the last second while it goes on, if standard error is a terminal
    #[arg(long)]
    pub(super) live: bool,
}

/// How several machines measure together.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct AgentOptions {
    /// Measure from these hosts, on which this program is started over ssh, and merge what they measured; each puts the whole
    /// load on the server, with a seed of its own
    #[arg(
        long,
        value_name = "HOST,...",
        value_delimiter = ',',
        value_parser = host,
        conflicts_with_all = ["search", "until_ci", "live", "ksf"]
    )]
    pub(super) agents: Vec<String>,

    /// The command that runs a command on a host: words between spaces, to which the host and a shell's command line are added
    #[arg(
        long,
        value_name = "COMMAND",
        default_value = "ssh -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=10",
        requires = "agents"
    )]
    pub(super) agent_shell: String,

    /// What this program is called on the agents' hosts [default: as here]; it is quoted, so that ~ and $ stand for themselves
    #[arg(long, value_name = "PATH", requires = "agents")]
    pub(super) agent_program: Option<String>,

    /// Give up when an agent has said nothing for so long [default: 30 more than --timeout]
    #[arg(long, value_name = "TIME", value_parser = time_in(Duration::from_secs(1)..=DAY), requires = "agents")]
    pub(super) agent_timeout: Option<Duration>,

    /// Be an agent: before each run, say that it is ready and wait for a line
    #[arg(long, hide = true)]
    pub(super) agent: bool,
}

/// Anything else than a name would be an option to the command that is to go there.
fn host(name: &str) -> Result<String, &'static str> {
    if name.is_empty() || name.starts_with('-') || name.contains(char::is_whitespace) {
        return Err("not the name of a host");
    }
    Ok(name.to_owned())
}

const NOTES: &str = "\
N is a number, possibly with a suffix: k is 1024, K 1000, m 2^20, M 10^6. TIME is in seconds unless its unit is ms, s, m
or h.

seconds is from the end of the warm-up to the last end. The rates are those of the time in which all threads were active.
n/a stands for what cannot be told: a percentile of too few round trips (p99 needs 368, p99.9 3688), or a rate if the
threads were never all active at once.

Closed loop (without --rate): a request is sent when a reply has made room for it, so that a server that stalls also
delays the requests that would have met the stall, and the tail looks better than it is. Open loop (with --rate): a
request is sent when it is due, and its time counts from then, whatever the server and this program did meanwhile;
skipped are those that were not sent because as many as -a allows were in flight.

scheduled = sent + skipped, and sent = answered + late + lost: late are replies that came after the timeout, and lost is
what has none. duplicated are replies beyond the first, reordered those that came after the reply to a later request, and
mismatched those that were wrong.

The exit status is 0 only if everything that was sent was answered, rightly and in time (of a search: at the rates that
keep the objective), and the question has an answer. It is 3 if only the answer is missing: no rate is known that keeps
the objective of --search, the intervals of --until-ci are not narrow enough after as many runs as are allowed, or compare
cannot tell anything. It is 2 for a command line that cannot be understood, and 1 for everything else.";

/// The definition of the command line of a tool. If that is a subcommand, it has the name of this.
pub fn command<T: Tool>() -> clap::Command {
    let about = T::ABOUT.lines().next().unwrap_or_default();
    let notes = format!("{}\n\n{NOTES}", T::NOTES);
    let examples = T::MANUAL.examples.iter();
    let examples =
        examples.map(|example| format!("\n  {}\n      {}", example.command, example.what));
    let examples: String = examples.collect();
    let name = T::COMMAND.last().copied().unwrap_or(T::NAME);
    let usage = T::COMMAND.join(" ");
    let command = Cli::<T>::command()
        .name(name)
        .display_name(T::NAME)
        .bin_name(&usage)
        .version(T::VERSION)
        .about(about)
        .override_usage(format!("{usage} [OPTIONS] HOST[:PORT] | COMMAND"))
        .long_about(T::ABOUT)
        .after_long_help(format!("{notes}\n\nExamples:{examples}"))
        .after_help(notes);
    // Whatever is changed of a subcommand is put behind the others.
    let command = match T::KIND.transport {
        Some(_) => fitted::<T>(command)
            .mut_arg("ksf", |ksf| ksf.hide(true))
            .mut_subcommand("compare", fitted::<T>),
        None => command,
    };
    match T::COMMAND {
        // Those of a program have all that its tools have.
        [_, _, ..] => command.mut_subcommand("completions", |completions| completions.hide(true)),
        _ => command,
    }
}

/// The command of a tool with a transport of its own, with the options that are of any meaning for that.
fn fitted<T: Tool>(command: clap::Command) -> clap::Command {
    let mut command = T::adapt(command);
    for option in ["udp", "batch", "engine"] {
        command = command.mut_arg(option, |arg| arg.hide(true));
    }
    command
}
