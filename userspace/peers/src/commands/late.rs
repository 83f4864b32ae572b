// SPDX-License-Identifier: GPL-2.0

//! Connections that read only after they have sent all that they have.

use std::time::{Duration, Instant};

use clap::Args;
use loadgen::args::number_in;

use crate::{
    allow_sockets, check, crowd,
    echo::Echo,
    events::Events,
    options::{seconds, Common, Crowd},
    print,
    stall::Stall,
    until::Until,
};

/// Sends all it has, or as much as can be sent without reading, and only then reads
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    crowd: Crowd,

    /// Bytes on each connection
    #[arg(long, value_name = "N", default_value = "3m", value_parser = number_in::<u64>(1..=1 << 40))]
    bytes: u64,

    /// A connection that could send nothing for so long begins to read, and sends the rest while it does
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    quiet: Duration,

    /// Begin to read when standard input has a byte or ends
    #[arg(long)]
    hold: bool,

    #[command(flatten)]
    common: Common,
}

/// Runs the command.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let Options { crowd, bytes, .. } = options;
    let total = crowd.connections;
    allow_sockets(total)?;
    let mut shared = options.common.shared()?;
    let mut events = Events::new()?;
    let begun = Instant::now();
    let mut senders: Vec<_> = (0..total)
        .map(|number| Stall::new(crowd.origin(number), *bytes, options.quiet))
        .collect();
    let failures = crowd::run(&mut senders, total, &mut shared, &mut events, &Until::NEVER)?;
    check(&failures, total)?;
    print(&format!(
        "late: stalled connections={total} bytes={} sent={}",
        bytes * total as u64,
        senders.iter().map(Stall::sent).sum::<u64>()
    ))?;
    if options.hold {
        Until::new(None, true).wait(None, None)?;
    }
    let streams = senders.into_iter().filter_map(Stall::into_stream);
    let mut readers: Vec<_> = streams.map(Echo::of).collect();
    for reader in &mut readers {
        reader.next(*bytes, true);
    }
    let failures = crowd::run(&mut readers, total, &mut shared, &mut events, &Until::NEVER)?;
    check(&failures, total)?;
    print(&format!(
        "late: read connections={total} seconds={:.3}",
        begun.elapsed().as_secs_f64()
    ))
}
