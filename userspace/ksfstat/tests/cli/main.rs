// SPDX-License-Identifier: GPL-2.0

//! Runs ksfstat on directories that the tests make.
//!
//! Where a table has to change between two reports its file is a pipe: ksfstat then waits until the test has said what
//! it is to read next, however slow the machine is.

mod errors;
mod fixture;
mod reports;
mod tables;

use std::process::{
    Command,
    Output,
    Stdio, //
};

use crate::fixture::Fixture;

/// What ksfstat did.
struct Run {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Run {
    /// Checks that there is nothing to complain about, and returns what was printed.
    #[track_caller]
    fn good(self) -> String {
        assert_eq!((self.status, self.err.as_str()), (Some(0), ""));
        self.out
    }

    /// Checks that it printed nothing and failed with this one line.
    #[track_caller]
    fn assert_failed(&self, line: &str) {
        assert_eq!(self.err, format!("ksfstat: {line}\n"));
        assert_eq!((self.status, self.out.as_str()), (Some(1), ""));
    }
}

/// Runs ksfstat on `fixture` with these arguments, separated by spaces. One that hangs is ended, with status 124.
fn ksfstat(fixture: &Fixture, arguments: &str) -> Run {
    let mut command = command(fixture);
    command.args(arguments.split_whitespace());
    run(&mut command)
}

/// ksfstat on `fixture`, under a limit of time.
fn command(fixture: &Fixture) -> Command {
    let mut command = bare_command();
    command.arg("--dir").arg(&fixture.dir);
    command
}

/// ksfstat without arguments, under a limit of time.
fn bare_command() -> Command {
    let mut command = Command::new("timeout");
    command.args(["60", env!("CARGO_BIN_EXE_ksfstat")]);
    command.stdin(Stdio::null());
    command
}

/// Waits for the end of `command`.
fn run(command: &mut Command) -> Run {
    let child = command.output();
    let Output {
        status,
        stdout,
        stderr,
    } = child.expect("timeout, of coreutils, is there");
    let text = |bytes| String::from_utf8(bytes).expect("ksfstat writes UTF-8");
    Run {
        status: status.code(),
        out: text(stdout),
        err: text(stderr),
    }
}
