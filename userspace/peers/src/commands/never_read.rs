// SPDX-License-Identifier: GPL-2.0

//! Connections that send for ever and never read.

use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Args;

use crate::{
    allow_sockets, check, crowd,
    events::Events,
    options::{seconds, Common, Crowd, Duty},
    print,
    stall::Stall,
    until::Until,
};

/// Sends until it stalls, never reads, and stays
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    crowd: Crowd,

    /// A connection that could send nothing for so long has stalled
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    quiet: Duration,

    /// The server is to close all, instead of none
    #[arg(long)]
    closed: bool,

    #[command(flatten)]
    duty: Duty,

    #[command(flatten)]
    common: Common,
}

/// Runs the command.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let crowd = &options.crowd;
    let total = crowd.connections;
    allow_sockets(total)?;
    let until = options.duty.until();
    let mut shared = options.common.shared()?;
    let mut events = Events::new()?;
    let mut members: Vec<_> = (0..total)
        .map(|number| Stall::new(crowd.origin(number), u64::MAX, options.quiet))
        .collect();
    let begun = Instant::now();
    let mut failures = crowd::run(&mut members, total, &mut shared, &mut events, &Until::NEVER)?;
    if options.closed {
        // It may have closed some already. They are found again below.
        failures.retain(|(_, failure)| !failure.is_end());
    }
    check(&failures, total)?;
    print(&format!(
        "never-read: stalled connections={total} sent={} seconds={:.3}",
        members.iter().map(Stall::sent).sum::<u64>(),
        begun.elapsed().as_secs_f64()
    ))?;

    members.iter_mut().for_each(Stall::stay);
    let mut failures = crowd::run(&mut members, total, &mut shared, &mut events, &until)?;
    if options.closed {
        let before = failures.len();
        failures.retain(|(_, failure)| !failure.is_end());
        let closed = before - failures.len();
        check(&failures, total)?;
        ensure!(
            closed == total,
            "{closed} of {total} connections were closed by the server"
        );
    } else {
        check(&failures, total)?;
    }
    print(&format!(
        "never-read: over connections={total} sent={} seconds={:.3}",
        members.iter().map(Stall::sent).sum::<u64>(),
        begun.elapsed().as_secs_f64()
    ))
}
