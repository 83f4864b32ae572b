// SPDX-License-Identifier: GPL-2.0

//! Datagrams of all sizes.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Args;
use loadgen::args::number_in;

use crate::{
    asker::{Asker, Patience},
    bytes::Bytes,
    options::{seconds, Common},
    print,
    random::Random,
};

/// The largest datagram over IPv4.
const LARGEST: u64 = 65_507;

/// Sizes at which something may change: those around powers of two, the payload of an Ethernet frame over IPv4 and over
/// IPv6, as it is and with jumbo frames, the smallest that every host takes, and the largest.
const SIZES: [u64; 56] = [
    0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511,
    512, 513, 1_023, 1_024, 1_025, 1_231, 1_232, 1_233, 1_451, 1_452, 1_453, 1_471, 1_472, 1_473,
    2_047, 2_048, 2_049, 4_095, 4_096, 4_097, 8_191, 8_192, 8_193, 8_972, 8_973, 16_383, 16_385,
    32_767, 32_768, 32_769, 65_506, 65_507,
];

/// Sends datagrams of all sizes, and has each of them come back
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Sizes, instead of those at which something may change
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = number_in::<u64>(0..=LARGEST))]
    sizes: Vec<u64>,

    /// Random sizes, after the others
    #[arg(long, value_name = "N", default_value = "50", value_parser = number_in::<u64>(0..=1 << 40))]
    random: u64,

    /// Ask again when no reply has come for so long
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    wait: Duration,

    /// How often to ask again
    #[arg(long, value_name = "N", default_value = "3", value_parser = number_in::<u32>(0..=1_000))]
    resends: u32,

    /// The address that datagrams come from
    #[arg(long, value_name = "ADDRESS")]
    source: Option<IpAddr>,

    /// The port that they come from
    #[arg(long, value_name = "PORT", default_value = "0", value_parser = number_in::<u16>(0..=65_535))]
    source_port: u16,

    /// Take replies from anywhere, and look where they come from
    #[arg(long)]
    unconnected: bool,

    /// No reply is to come, although one comes to another port that asks the same after it
    #[arg(long)]
    no_reply: bool,

    #[command(flatten)]
    common: Common,
}

/// How long nothing may come after the last reply.
const SILENCE: Duration = Duration::from_millis(200);

/// Runs the command.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let begun = Instant::now();
    let target = options.common.resolve()?;
    let bytes = Bytes::new(options.common.seed);
    let patience = Patience {
        wait: options.wait,
        resends: options.resends,
    };
    let open = |source| {
        Asker::new(target, source, !options.unconnected)
            .with_context(|| format!("cannot send to {target}"))
    };
    let mut asker = open(options.source(target))?;
    let mut other = if options.no_reply {
        Some(open(None)?)
    } else {
        None
    };
    let (mut datagrams, mut resent) = (0, 0);
    for size in options.sizes() {
        let request = bytes.of(datagrams, 0, size);
        let sends = if let Some(other) = &mut other {
            let sent = asker.send(request);
            sent.and_then(|()| other.ask(request, patience))
        } else {
            asker.ask(request, patience)
        };
        datagrams += 1;
        resent += sends.with_context(|| format!("datagram {datagrams}, of {size} bytes"))? - 1;
    }
    let silence = if options.no_reply {
        options.wait
    } else {
        SILENCE
    };
    asker
        .expect_silence(silence)
        .context("after the last datagram")?;
    print(&format!(
        "datagrams: datagrams={datagrams} resent={resent} seconds={:.3}",
        begun.elapsed().as_secs_f64()
    ))
}

impl Options {
    fn sizes(&self) -> impl Iterator<Item = u64> + '_ {
        let fixed = if self.sizes.is_empty() {
            &SIZES
        } else {
            self.sizes.as_slice()
        };
        let mut random = Random::new(self.common.seed);
        let random = (0..self.random).map(move |_| random.magnitude_in(0..=LARGEST));
        fixed.iter().copied().chain(random)
    }

    fn source(&self, target: SocketAddr) -> Option<SocketAddr> {
        let any = match target {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let is_given = self.source.is_some() || self.source_port != 0;
        is_given.then(|| SocketAddr::new(self.source.unwrap_or(any), self.source_port))
    }
}
