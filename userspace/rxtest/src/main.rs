// SPDX-License-Identifier: GPL-2.0

//! Load generator for Rx servers of the service rxperf: krx, Linux's and OpenAFS's.
//!
//! `fetch` asks for large replies, `rpc` makes small calls. Every byte of every reply is checked.

mod abort;
mod call;
mod content;
mod engine;
mod fetch;
mod mismatch;
mod protocol;
mod rpc;
mod version;
mod words;

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
};

use clap::{Args, Command, FromArgMatches};
use loadgen::{
    app::{self, Tool},
    manual::{self, Completions, Example, Manual},
};

use crate::{fetch::Fetch, rpc::Rpc, version::Version};

const NAME: &str = "rxtest";

const MANUAL: Manual = Manual {
    description: &[
        "rxtest measures Rx servers of the service rxperf: krx of ksf, Linux's in-kernel server, OpenAFS's. Rx is the protocol \
         of remote procedure calls over UDP that AFS has. It simulates clients, each with a UDP port of its own, and checks \
         every byte of every reply.",
        "Each of the commands that measure has a manual page of its own.",
    ],
    examples: &[
        Example {
            command: "rxtest fetch --clients 100 --files 10 -j 2 server",
            what: "Let a hundred clients fetch ten files of 1 MiB each.",
        },
        Example {
            command: "rxtest rpc server",
            what: "Measure round trips of small calls.",
        },
        Example {
            command: "rxtest version server",
            what: "Ask a server which program it is.",
        },
    ],
    see_also: &[("rxtest-fetch", 1), ("rxtest-rpc", 1), ("rxdebug", 1)],
};

fn main() -> ExitCode {
    let command = env::args_os().nth(1);
    match command.as_ref().and_then(|command| command.to_str()) {
        Some("fetch") => app::main::<Fetch>(),
        Some("rpc") => app::main::<Rpc>(),
        _ => other(),
    }
}

/// The definition of the whole command line.
fn definition() -> Command {
    let examples: Vec<_> = MANUAL
        .examples
        .iter()
        .map(|example| format!("\n  {}\n      {}", example.command, example.what))
        .collect();
    Command::new(NAME)
        .version(Fetch::VERSION)
        .about("Measures Rx servers, and checks every byte.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .after_help(format!("Examples:{}", examples.concat()))
        .subcommand(app::command::<Fetch>())
        .subcommand(app::command::<Rpc>())
        .subcommand(
            Version::augment_args(Command::new("version"))
                .about("Ask a server which program it is"),
        )
        .subcommand(
            Completions::augment_args(Command::new("completions"))
                .about("Print the completions for a shell"),
        )
        .subcommand(Command::new("man").about("Print the manual page, for man -l -"))
}

/// Does what is not measuring.
fn other() -> ExitCode {
    let mut definition = definition();
    let matches = definition
        .try_get_matches_from_mut(env::args_os())
        .unwrap_or_else(|error| error.exit());
    let text = match matches.subcommand() {
        Some(("version", matches)) => Version::from_arg_matches(matches)
            .unwrap_or_else(|error| error.exit())
            .ask(),
        Some(("completions", matches)) => {
            let completions =
                Completions::from_arg_matches(matches).unwrap_or_else(|error| error.exit());
            Ok(manual::shell_completions(&definition, completions.shell))
        }
        _ => Ok(manual::overview_page(&definition, &MANUAL)),
    };
    let printed = text.and_then(|text| {
        let mut out = io::stdout().lock();
        writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush())?;
        Ok(())
    });
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is closed too, the exit status has to do.
            let _ = writeln!(io::stderr(), "{NAME}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_defined() {
        definition().debug_assert();
    }
}
