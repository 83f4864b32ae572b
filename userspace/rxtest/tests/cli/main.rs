// SPDX-License-Identifier: GPL-2.0

//! Runs rxtest against servers on the loopback network, good ones and bad ones, over good networks and bad ones.
//!
//! Nothing here depends on how fast anything is: the only clocks are the limits of `--timeout` and of [`Tool::run`], and they
//! decide only tests of a server that would keep its client waiting for ever.

mod bad_networks;
mod documentation;
mod failures;
mod good;
mod output;
mod server;
mod usage;
mod wrong_replies;

use documented::{Run, Tool};

const PATH: &str = env!("CARGO_BIN_EXE_rxtest");

const FETCH: Tool = Tool::new("rxtest-fetch", PATH, "calls").run_by(&["rxtest", "fetch"]);

const RPC: Tool = Tool::new("rxtest-rpc", PATH, "calls").run_by(&["rxtest", "rpc"]);

/// The program.
const RXTEST: Tool = Tool::new("rxtest", PATH, "calls");

/// Checks that all is well, and that the only row tells of so many calls.
#[track_caller]
fn assert_good(run: &Run, answered: u64) {
    run.assert_good(&[("1", answered)]);
}

/// Checks that the only run failed with this one line, which ends with how many calls of `scheduled` were sent, answered and
/// lost; and that the row of the run is there.
#[track_caller]
fn assert_failed(run: &Run, what: &str, [scheduled, sent, answered, lost]: [u64; 4]) {
    run.assert_failed(&format!(
        "run 1, connection 1 of 1: {what} (calls: {scheduled} scheduled, {sent} sent, {answered} answered, {lost} lost)"
    ));
    assert_eq!(run.rows(), [("1", answered)], "{}", run.out);
}
