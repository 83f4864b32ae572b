// SPDX-License-Identifier: GPL-2.0

//! Connections of which the client ends its side while much is still to come back.

use std::time::Instant;

use clap::Args;
use loadgen::args::number_in;

use crate::{
    check, crowd,
    echo::Echo,
    events::Events,
    options::{Common, Crowd},
    print,
    until::Until,
};

/// Sends so many bytes, ends its side of the stream, and must have all of them back and then the end
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Bytes, for each size on connections of its own
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1m,10m,100m",
          value_parser = number_in::<u64>(0..=1 << 40))]
    bytes: Vec<u64>,

    #[command(flatten)]
    crowd: Crowd,

    #[command(flatten)]
    common: Common,
}

/// Runs the command.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let crowd = &options.crowd;
    let mut shared = options.common.shared()?;
    for &bytes in &options.bytes {
        let begun = Instant::now();
        let mut events = Events::new()?;
        let mut members: Vec<_> = (0..crowd.connections)
            .map(|number| Echo::new(crowd.origin(number)))
            .collect();
        for member in &mut members {
            member.next(bytes, true);
        }
        let failures = crowd::run(
            &mut members,
            crowd.connections,
            &mut shared,
            &mut events,
            &Until::NEVER,
        )?;
        check(&failures, crowd.connections)?;
        print(&format!(
            "half-close: connections={} bytes={bytes} seconds={:.3}",
            crowd.connections,
            begun.elapsed().as_secs_f64()
        ))?;
    }
    Ok(())
}
