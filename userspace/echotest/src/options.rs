// SPDX-License-Identifier: GPL-2.0

//! The command line; the short names are those of ksf's echotest.

use std::time::Duration;

use clap::Parser;
use loadgen::{
    args::{number_in, NumberError},
    target::TargetError,
    Target,
};

/// Measures an echo server over TCP, and verifies every byte that comes back.
///
/// Closed loop: a message is sent when a reply has made room for it, so that a server that stalls also delays the
/// messages that would have met the stall, and the tail of the round trips looks better than it is.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, after_help = AFTER_HELP)]
pub(crate) struct Options {
    /// Threads, with a connection each
    #[arg(short, long, value_name = "N", default_value = "1", value_parser = number_in::<usize>(1..=4096))]
    pub(crate) jobs: usize,

    /// Messages in flight per connection
    #[arg(short = 'a', long, value_name = "N", default_value = "1", value_parser = number_in::<usize>(1..=65536))]
    pub(crate) in_flight: usize,

    /// Messages per connection and run
    #[arg(short, long, value_name = "N", default_value = "10k", value_parser = number_in::<u64>(1..=1 << 40))]
    pub(crate) count: u64,

    /// Runs, each with new connections
    #[arg(short, long, value_name = "N", default_value = "1", value_parser = number_in::<u64>(1..=1_000_000))]
    pub(crate) iterations: u64,

    /// Bytes per message, at most 16m
    #[arg(short, long, value_name = "N", default_value = "32", value_parser = number_in::<usize>(1..=16 << 20))]
    pub(crate) length: usize,

    /// Print the rows only
    #[arg(short = 'H', long)]
    pub(crate) no_headers: bool,

    /// Give up when nothing has been sent or received for so long
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Duration,

    /// The server; an IPv6 address is in brackets if a port follows [default port: 60007]
    #[arg(value_name = "HOST[:PORT]", value_parser = target)]
    pub(crate) target: Target,
}

const AFTER_HELP: &str = "\
N is a number, possibly with a suffix: k is 1024, K 1000, m 2^20, M 10^6.

seconds is from the first start to the last end. messages/s (round trips per second) and Mbit/s (in each direction)
are those of the time in which all connections were active. n/a stands for what cannot be told: a percentile of too few
round trips (p99 needs 368, p99.9 3688), or a rate if the connections were never all active at once.

The exit status is 0 only if every message came back and was right.";

const DEFAULT_PORT: u16 = 60007;

fn seconds(text: &str) -> Result<Duration, NumberError> {
    number_in::<u64>(1..=86_400)(text).map(Duration::from_secs)
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
    fn defaults_are_those_of_the_manual() {
        let options = Options::try_parse_from(["echotest", "server"]).unwrap();
        assert_eq!(
            (options.jobs, options.in_flight, options.iterations),
            (1, 1, 1)
        );
        assert_eq!((options.count, options.length), (10_240, 32));
        assert_eq!(options.timeout, Duration::from_secs(10));
        assert!(!options.no_headers);
        assert_eq!(options.target.to_string(), "server:60007");
    }

    #[test]
    fn short_and_long_names_are_the_same() {
        let short = "echotest -j 2 -a 3 -c 4K -i 5 -l 6k -H [::1]:8";
        let long =
            "echotest --jobs 2 --in-flight 3 --count 4K --iterations 5 --length 6k --no-headers [::1]:8";
        for line in [short, long] {
            let options = Options::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(
                (options.jobs, options.in_flight, options.iterations),
                (2, 3, 5),
                "{line}"
            );
            assert_eq!((options.count, options.length), (4_000, 6_144), "{line}");
            assert!(options.no_headers, "{line}");
            assert_eq!(options.target.to_string(), "[::1]:8", "{line}");
        }
    }
}
