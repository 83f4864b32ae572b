// SPDX-License-Identifier: GPL-2.0

//! Runs echotest against servers on the loopback network, good ones and bad ones.
//!
//! Nothing here depends on how fast anything is, but that an echo takes less time than the sleeps of servers that are to be
//! slow. The other clocks are the limits of `--timeout` and of [`echotest`], and they decide only tests of a server that would
//! keep its client waiting for ever.

mod agents;
mod broken_connections;
mod campaigns;
mod datagrams;
mod documentation;
mod engines;
mod files;
mod good;
mod interrupts;
mod load;
mod manual;
mod merge;
mod server;
mod stage;
mod usage;
mod warnings;
mod wrong_bytes;

use std::process::{Command, Output};

use documented::{Description, Ledger, Run, Tool};

const ECHOTEST: Tool = Tool::new("echotest", env!("CARGO_BIN_EXE_echotest"), "messages");

/// What is said of echotest.
fn description() -> Description {
    Description::new(
        ECHOTEST,
        env!("CARGO_MANIFEST_DIR"),
        env!("CARGO_TARGET_TMPDIR"),
    )
}

/// Runs echotest with these arguments, separated by spaces. One that hangs is ended, with status 124.
fn echotest(arguments: &str) -> Run {
    ECHOTEST.run(arguments)
}

/// echotest without arguments, under a limit of time.
fn command() -> Command {
    ECHOTEST.command()
}

fn run(command: &mut Command) -> Run {
    ECHOTEST.run_command(command)
}

fn finished(output: Output) -> Run {
    ECHOTEST.finished(output)
}
