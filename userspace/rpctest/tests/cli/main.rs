// SPDX-License-Identifier: GPL-2.0

//! Runs rpctest against servers on the loopback network, good ones and bad ones.
//!
//! Nothing here depends on how fast anything is: the only clocks are the limits of `--timeout` and of [`rpctest`], and
//! they decide only tests of a server that would keep its client waiting for ever.

mod broken_connections;
mod datagrams;
mod documentation;
mod good;
mod manual;
mod output;
mod rpcbind;
mod server;
mod usage;
mod wrong_replies;

use std::process::{Command, Output, Stdio};

/// What rpctest did.
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
    /// The first two cells of each row: the run and how many RPCs were answered.
    fn rows(&self) -> Vec<(&str, u64)> {
        fn cells(line: &str) -> Option<(&str, u64)> {
            let mut cells = line.split_whitespace();
            let label = cells.next()?;
            let is_row = label == "all" || label.parse::<u64>().is_ok();
            Some((label, cells.next()?.parse().ok()?)).filter(|_| is_row)
        }
        self.out.lines().filter_map(cells).collect()
    }

    /// What became of the RPCs of all runs, but for their warm-ups.
    #[track_caller]
    fn ledger(&self) -> Ledger {
        let summary = self.out.split("\nRPCs ").nth(1);
        let ledger = summary.and_then(Ledger::parse);
        ledger.unwrap_or_else(|| panic!("{}", self.out))
    }

    /// Checks that all is well, and that the last row tells of so many RPCs.
    #[track_caller]
    fn assert_good(&self, answered: u64) {
        let is_good = self.status == Some(0) && self.err.is_empty();
        assert!(is_good, "{}{}", self.out, self.err);
        assert_eq!(self.rows().last().map(|row| row.1), Some(answered));
    }

    /// Checks that the first run failed with this one line, which ends with how many RPCs of `scheduled` were sent, answered
    /// and lost; and that the row of the run is there.
    #[track_caller]
    fn assert_failed(&self, what: &str, [scheduled, sent, answered, lost]: [u64; 4]) {
        let line = format!(
            "rpctest: run 1, connection 1 of 1: {what} (RPCs: {scheduled} scheduled, {sent} sent, \
             {answered} answered, {lost} lost)\n"
        );
        assert_eq!(self.err, line, "{}", self.out);
        assert_eq!(self.status, Some(1), "{}", self.out);
        assert_eq!(self.rows(), [("1", answered)], "{}", self.out);
    }
}

/// Runs rpctest with these arguments, separated by spaces. One that hangs is ended, with status 124.
fn rpctest(arguments: &str) -> Run {
    let child = Command::new("timeout")
        .args(["60", env!("CARGO_BIN_EXE_rpctest")])
        .args(arguments.split_whitespace())
        .stdin(Stdio::null())
        .output();
    let Output {
        status,
        stdout,
        stderr,
    } = child.expect("timeout, of coreutils, is there");
    let text = |bytes| String::from_utf8(bytes).expect("rpctest writes UTF-8");
    Run {
        status: status.code(),
        out: text(stdout),
        err: text(stderr),
    }
}
