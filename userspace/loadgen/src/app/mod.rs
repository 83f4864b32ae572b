// SPDX-License-Identifier: GPL-2.0

//! What `main` of every load generator does: read the command line, measure, report, and say by the exit status whether all
//! is well.

mod agent;
mod agents;
mod cli;
mod measure;
mod merge;
mod output;
mod printer;
mod tool;

use std::{
    env, fmt,
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context;
use clap::{error::ErrorKind, FromArgMatches};

pub use self::{
    cli::command,
    tool::{KsfColumns, Tool},
};
use self::{
    cli::{Cli, Command, OutputOptions},
    measure::Measurement,
};
use crate::{campaign::options::CampaignOptions, manual::Describe, stats::until_ci::UntilCi};

/// Runs a load generator by the command line of this process.
pub fn main<T: Tool>() -> ExitCode {
    let mut definition = command::<T>();
    // The words of its command before the last are of the program that it is a part of.
    let words = env::args_os().skip(T::COMMAND.len().saturating_sub(1));
    let matches = definition
        .try_get_matches_from_mut(words)
        .unwrap_or_else(|error| error.exit());
    let cli = Cli::<T>::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match run(&cli, &definition) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Problem::Usage(complaint)) => definition
            .error(ErrorKind::ValueValidation, complaint)
            .exit(),
        Err(Problem::Failure(error)) => {
            // If standard error is closed too, the exit status has to do.
            let _ = writeln!(io::stderr(), "{}: {error:#}", T::NAME);
            if error.is::<NoAnswer>() {
                ExitCode::from(NO_ANSWER)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// Why not all is well.
#[derive(Debug)]
enum Problem {
    /// The options do not go together.
    Usage(String),
    /// Something failed.
    Failure(anyhow::Error),
}

/// The exit status if all went well, and what was asked for could not be told.
const NO_ANSWER: u8 = 3;

/// What could not be told, although nothing failed.
#[derive(Debug)]
struct NoAnswer(String);

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoAnswer {}

impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        Self::Failure(error)
    }
}

/// Checks that all options say something: those about ksf's columns, only if these are printed, and where they are.
fn check_columns(tool: &impl Tool, ksf: bool, output: &OutputOptions) -> Result<(), Problem> {
    if ksf && output::takes_stdout(output) {
        let complaint = "the argument '--json' without a file cannot be used with '--ksf'";
        return Err(Problem::Usage(complaint.to_owned()));
    }
    let given = match tool.ksf_columns() {
        Some(KsfColumns::RpcTest(options)) => options.given(),
        Some(KsfColumns::EchoTest) => None,
        None if ksf => {
            let complaint = "the argument '--ksf' cannot be used: ksf has no such tool";
            return Err(Problem::Usage(complaint.to_owned()));
        }
        None => None,
    };
    match given.filter(|_| !ksf) {
        Some(option) => Err(Problem::Usage(format!(
            "the argument '{option}' cannot be used without '--ksf'"
        ))),
        None => Ok(()),
    }
}

fn run<T: Tool>(cli: &Cli<T>, definition: &clap::Command) -> Result<(), Problem> {
    match &cli.command {
        Some(Command::Compare(compare)) => {
            check_columns(&compare.tool, false, &compare.output)?;
            let iterations = compare.load.iterations;
            enough_runs(&compare.campaign, iterations)?;
            Measurement {
                load: &compare.load,
                tool: &compare.tool,
                output: &compare.output,
                view: compare.view,
                ksf: false,
                plan: compare.campaign.compare_plan(&compare.compare, iterations),
                servers: vec![&compare.a, &compare.b],
                is_agent: false,
            }
            .measure()
        }
        Some(Command::Merge(options)) => Ok(merge::merge::<T>(options)?),
        Some(Command::Describe(Describe::Completions(_))) if T::COMMAND.len() > 1 => {
            Err(Problem::Usage(format!(
                "completions are those of the whole program: {} completions",
                T::COMMAND[0]
            )))
        }
        Some(Command::Describe(describe)) => Ok(print(&describe.text(definition, &T::MANUAL))?),
        None if !cli.agents.agents.is_empty() => {
            check_columns(&cli.tool, false, &cli.output)?;
            Ok(agents::measure::<T>(cli)?)
        }
        None => {
            check_columns(&cli.tool, cli.ksf, &cli.output)?;
            let pace = cli.load.load(T::KIND).map_err(Problem::Usage)?.pace;
            enough_runs(&cli.campaign, cli.load.iterations)?;
            let plan = cli.campaign.plan(&cli.search, cli.load.iterations, pace);
            Measurement {
                load: &cli.load,
                tool: &cli.tool,
                output: &cli.output,
                view: cli.view,
                ksf: cli.ksf,
                plan,
                servers: cli.server.iter().collect(),
                is_agent: cli.agents.agent,
            }
            .measure()
        }
    }
}

/// Prints lines on standard error, where who reads rows or a document from standard output has them too.
fn tell<'a>(tool: &str, lines: impl IntoIterator<Item = &'a str>) {
    let mut out = io::stderr().lock();
    for line in lines {
        // What they are about is not lost by that.
        let _ = writeln!(out, "{tool}: {line}");
    }
}

/// Refuses to make runs until intervals are narrow, of so few that no interval would count.
fn enough_runs(campaign: &CampaignOptions, iterations: Option<u64>) -> Result<(), Problem> {
    let least = UntilCi::LEAST_RUNS;
    match (campaign.until_ci, iterations) {
        (Some(_), Some(most)) if most < least => Err(Problem::Usage(format!(
            "--until-ci takes at least {least} runs, and -i {most} allows fewer"
        ))),
        _ => Ok(()),
    }
}

/// Prints at once, for a run may take long.
fn print(lines: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", lines.trim_end_matches('\n'))
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}
