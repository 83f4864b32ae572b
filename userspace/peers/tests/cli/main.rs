// SPDX-License-Identifier: GPL-2.0

//! Runs each of the peers against servers on the loopback network, good ones and bad ones.
//!
//! A server is bad in one way at a time, and the peer that is to notice it must say so. Times are limits only, but for
//! those that the peers themselves measure.

mod datagrams;
mod flood;
mod good;
mod half_close;
mod hoard;
mod idle;
mod late;
mod many;
mod never_read;
mod reset;
mod rpc;
mod server;
mod slow;
mod usage;

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdout, Command, Stdio},
};

/// What peers did.
struct Run {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Run {
    /// Checks that all is well, and that there is nothing to complain about.
    #[track_caller]
    fn assert_good(&self) {
        assert_eq!(
            (self.status, self.err.as_str()),
            (Some(0), ""),
            "{}",
            self.out
        );
    }

    /// Checks that it failed with one line that begins so.
    #[track_caller]
    fn assert_failed(&self, start: &str) {
        assert!(
            self.err.starts_with(&format!("peers: {start}")),
            "{}{}",
            self.err,
            self.out
        );
        assert_eq!(
            (self.status, self.err.lines().count()),
            (Some(1), 1),
            "{}{}",
            self.err,
            self.out
        );
    }

    /// The number of `KEY=NUMBER` in the last line that has it.
    #[track_caller]
    fn number(&self, key: &str) -> u64 {
        let words = self.out.split_whitespace().rev();
        let mut values = words.filter_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        let value = values.next().and_then(|value| value.parse().ok());
        value.unwrap_or_else(|| panic!("no {key}: {}", self.out))
    }
}

/// Peers that run.
struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
    lines: String,
}

impl Running {
    /// Waits for a line that begins so.
    #[track_caller]
    fn wait_for(&mut self, start: &str) {
        loop {
            let from = self.lines.len();
            let length = self.out.read_line(&mut self.lines).unwrap();
            assert_ne!(length, 0, "ended without {start:?}: {}", self.lines);
            if self.lines[from..].starts_with(start) {
                return;
            }
        }
    }

    /// Says that it is over.
    fn tell(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// Waits for the end.
    fn end(mut self) -> Run {
        let mut err = String::new();
        self.out.read_to_string(&mut self.lines).unwrap();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut err)
            .unwrap();
        Run {
            status: self.child.wait().unwrap().code(),
            out: self.lines,
            err,
        }
    }
}

/// Starts peers with these arguments, separated by spaces. One that hangs is ended, with status 124.
fn start(arguments: &str) -> Running {
    let mut command = Command::new("timeout");
    let command = command.args(["60", env!("CARGO_BIN_EXE_peers")]);
    let command = command.args(arguments.split_whitespace());
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("timeout, of coreutils, is there");
    Running {
        out: BufReader::new(child.stdout.take().unwrap()),
        child,
        lines: String::new(),
    }
}

/// Runs peers to their end.
fn peers(arguments: &str) -> Run {
    start(arguments).end()
}
