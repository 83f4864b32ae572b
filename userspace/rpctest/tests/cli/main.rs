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

use std::ops::Deref;

use documented::{Description, Ledger, Tool};

const RPCTEST: Tool = Tool::new("rpctest", env!("CARGO_BIN_EXE_rpctest"), "RPCs");

/// What is said of rpctest.
fn description() -> Description {
    Description::new(
        RPCTEST,
        env!("CARGO_MANIFEST_DIR"),
        env!("CARGO_TARGET_TMPDIR"),
    )
}

/// What rpctest did.
struct Run(documented::Run);

impl Deref for Run {
    type Target = documented::Run;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Run {
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
    Run(RPCTEST.run(arguments))
}
