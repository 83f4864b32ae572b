// SPDX-License-Identifier: GPL-2.0

//! The command line, and what several commands have in common there.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use loadgen::{args::number_in, target::TargetError, Target};

use crate::{
    commands,
    stream::{Origin, Shared},
    until::Until,
};

/// Demanding and badly behaved peers of an echo server, and a good one to run beside them; and those of an RPC server.
///
/// Every byte that comes back is verified. What looks random is decided by the seed.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, after_help = AFTER_HELP)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
N is a number, possibly with a suffix: k is 1024, K 1000, m 2^20, M 10^6. SECONDS may have decimals.

The exit status is 0 only if all was seen that was expected.";

/// The peers.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Many(commands::many::Options),
    NeverRead(commands::never_read::Options),
    Late(commands::late::Options),
    Slow(commands::slow::Options),
    Idle(commands::idle::Options),
    Hoard(commands::hoard::Options),
    HalfClose(commands::half_close::Options),
    Reset(commands::reset::Options),
    Datagrams(commands::datagrams::Options),
    Flood(commands::flood::Options),
    Good(commands::good::Options),
    Rpc(commands::rpc::Options),
}

/// The options of all commands.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Decides all that looks random
    #[arg(long, value_name = "N", default_value = "1", value_parser = number_in::<u64>(0..=u64::MAX))]
    pub(crate) seed: u64,

    /// Give up when nothing has been sent or received for so long
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Duration,

    /// The server; an IPv6 address is in brackets if a port follows [default port: 60007]
    #[arg(value_name = "HOST[:PORT]", value_parser = target)]
    target: Target,
}

impl Common {
    /// The first address of the server.
    pub(crate) fn resolve(&self) -> anyhow::Result<SocketAddr> {
        let peer = self.target.resolve();
        Ok(peer
            .with_context(|| format!("cannot resolve {}", self.target))?
            .address())
    }

    /// What the connections of a command share.
    pub(crate) fn shared(&self) -> anyhow::Result<Shared> {
        Ok(Shared::new(self.resolve()?, self.seed, self.timeout))
    }
}

/// How many connections there are, and where they come from.
#[derive(Debug, Args)]
pub(crate) struct Crowd {
    /// Connections
    #[arg(short, long, value_name = "N", default_value = "1", value_parser = number_in::<usize>(1..=1_000_000))]
    pub(crate) connections: usize,

    /// The first address that connections come from
    #[arg(long, value_name = "ADDRESS")]
    source: Option<IpAddr>,

    /// Addresses that connections come from in turn: this many, from --source on
    #[arg(long, value_name = "N", default_value = "1", requires = "source", value_parser = number_in::<u32>(1..=65536))]
    sources: u32,

    /// Bytes of the sockets' buffers each way; the system decides by default
    #[arg(long, value_name = "N", value_parser = number_in::<usize>(1..=1 << 30))]
    buffers: Option<usize>,
}

impl Crowd {
    /// Where the connection with this number comes from, and with what.
    pub(crate) fn origin(&self, number: usize) -> Origin {
        let step = (number % self.sources as usize) as u32;
        let source = self.source.map(|first| match first {
            IpAddr::V4(first) => IpAddr::V4((u32::from(first).wrapping_add(step)).into()),
            IpAddr::V6(first) => IpAddr::V6((u128::from(first).wrapping_add(step.into())).into()),
        });
        Origin {
            source,
            buffers: self.buffers,
        }
    }
}

/// How long a peer goes on.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Duty {
    /// Go on for so long
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    seconds: Option<Duration>,

    /// Go on until standard input has a byte or ends
    #[arg(long)]
    until_told: bool,
}

impl Duty {
    /// When it is over, if it begins now.
    pub(crate) fn until(&self) -> Until {
        Until::new(self.seconds, self.until_told)
    }
}

const DEFAULT_PORT: u16 = 60007;

/// Reads a number of seconds.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.parse().ok().filter(|&number| number <= 86_400.0);
    number
        .and_then(|number| Duration::try_from_secs_f64(number).ok())
        .ok_or_else(|| "not a number from 0 to 86400".to_owned())
}

fn target(text: &str) -> Result<Target, TargetError> {
    Target::parse(text, DEFAULT_PORT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn seconds_may_have_decimals() {
        for (text, milliseconds) in [("0", 0), ("1", 1_000), ("0.25", 250), ("86400", 86_400_000)] {
            assert_eq!(
                seconds(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for text in ["", "-1", "1s", "86401", "inf", "nan"] {
            assert!(seconds(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn sources_follow_each_other() {
        let crowd = |source: &str, sources| Crowd {
            connections: 1,
            source: source.parse().ok(),
            sources,
            buffers: None,
        };
        let ten = crowd("127.0.0.1", 10);
        let address = |number| ten.origin(number).source.unwrap().to_string();
        assert_eq!(
            (address(0), address(9), address(10)),
            ("127.0.0.1".into(), "127.0.0.10".into(), "127.0.0.1".into())
        );
        assert_eq!(crowd("::1", 2).origin(3).source.unwrap().to_string(), "::2");
        assert_eq!(crowd("", 1).origin(3).source, None);
    }
}
