// SPDX-License-Identifier: GPL-2.0

//! Runs echotest against servers on the loopback network, good ones and bad ones.
//!
//! Nothing here depends on how fast anything is: the only clocks are the limits of `--timeout` and of [`echotest`], and
//! they decide only tests of a server that would keep its client waiting for ever.

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
mod wrong_bytes;

use std::process::{Command, Output, Stdio};

/// What echotest did.
struct Run {
    status: Option<i32>,
    out: String,
    err: String,
}

/// What became of the requests of all runs, as the line below the table says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ledger {
    scheduled: u64,
    sent: u64,
    skipped: u64,
    answered: u64,
    late: u64,
    lost: u64,
    duplicated: u64,
    reordered: u64,
    mismatched: u64,
}

impl Ledger {
    /// Of so many requests, all of which were answered.
    fn clean(requests: u64) -> Self {
        Self {
            scheduled: requests,
            sent: requests,
            answered: requests,
            ..Self::default()
        }
    }

    /// Reads `10 scheduled = 8 sent + 2 skipped; sent = …`, over as many lines as it takes.
    fn parse(text: &str) -> Option<Self> {
        let words: Vec<_> = text.split_whitespace().collect();
        let count = |name: &str| {
            let place = words
                .iter()
                .position(|word| word.trim_end_matches([',', ';']) == name)?;
            words[place.checked_sub(1)?].replace(',', "").parse().ok()
        };
        Some(Self {
            scheduled: count("scheduled")?,
            sent: count("sent")?,
            skipped: count("skipped")?,
            answered: count("answered")?,
            late: count("late")?,
            lost: count("lost")?,
            duplicated: count("duplicated")?,
            reordered: count("reordered")?,
            mismatched: count("mismatched")?,
        })
    }
}

impl Run {
    /// The first two cells of each row: the run and how many messages were answered.
    fn rows(&self) -> Vec<(&str, u64)> {
        fn cells(line: &str) -> Option<(&str, u64)> {
            let mut cells = line.split_whitespace();
            let label = cells.next()?;
            let is_row = label == "all" || label.parse::<u64>().is_ok();
            Some((label, cells.next()?.parse().ok()?)).filter(|_| is_row)
        }
        self.out.lines().filter_map(cells).collect()
    }

    /// What became of the messages of all runs, but for their warm-ups.
    #[track_caller]
    fn ledger(&self) -> Ledger {
        let summary = self.out.split("\nmessages ").nth(1);
        let ledger = summary.and_then(Ledger::parse);
        ledger.unwrap_or_else(|| panic!("{}", self.out))
    }

    /// The numbers of the first row; not a number where there is none.
    fn figures(&self) -> Vec<f64> {
        let is_row = |line: &&str| {
            let mut cells = line.split_whitespace();
            cells.next() == Some("1")
                && cells.all(|cell| cell == "n/a" || cell.parse::<f64>().is_ok())
        };
        let row = self.out.lines().find(is_row).unwrap_or_default();
        let cells = row.split_whitespace();
        cells.map(|cell| cell.parse().unwrap_or(f64::NAN)).collect()
    }

    /// Checks that all is well: these rows, and nothing to complain about.
    #[track_caller]
    fn assert_good(&self, rows: &[(&str, u64)]) {
        assert_eq!(
            (self.status, self.err.as_str()),
            (Some(0), ""),
            "{}",
            self.out
        );
        assert_eq!(self.rows(), rows, "{}", self.out);
    }

    /// Checks that it failed with this one line.
    #[track_caller]
    fn assert_failed(&self, line: &str) {
        assert_eq!(self.err, format!("echotest: {line}\n"), "{}", self.out);
        assert_eq!(self.status, Some(1), "{}", self.out);
    }
}

/// Runs echotest with these arguments, separated by spaces. One that hangs is ended, with status 124.
fn echotest(arguments: &str) -> Run {
    let mut command = command();
    command.args(arguments.split_whitespace());
    run(&mut command)
}

/// echotest without arguments, under a limit of time.
fn command() -> Command {
    let mut command = Command::new("timeout");
    command.args(["60", env!("CARGO_BIN_EXE_echotest")]);
    command
}

fn run(command: &mut Command) -> Run {
    let child = command.stdin(Stdio::null()).output();
    finished(child.expect("timeout, of coreutils, is there"))
}

fn finished(output: Output) -> Run {
    let Output {
        status,
        stdout,
        stderr,
    } = output;
    let text = |bytes| String::from_utf8(bytes).expect("echotest writes UTF-8");
    Run {
        status: status.code(),
        out: text(stdout),
        err: text(stderr),
    }
}
