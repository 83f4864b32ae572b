// SPDX-License-Identifier: GPL-2.0

//! The command line; the short names are those of ksf's echotest.

use std::{ffi::OsString, ops::RangeInclusive, time::Duration};

use clap::{error::ErrorKind, CommandFactory, Parser};
use loadgen::{
    args::{number_in, NumberError},
    target::TargetError,
    Target,
};

use crate::udp;

/// Measures an echo server over TCP or UDP, and verifies every byte that comes back.
///
/// Closed loop: a message is sent when a reply has made room for it, so that a server that stalls also delays the
/// messages that would have met the stall, and the tail of the round trips looks better than it is.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, after_help = AFTER_HELP)]
pub(crate) struct Options {
    /// Datagrams over UDP instead of a stream over TCP
    #[arg(short, long)]
    pub(crate) udp: bool,

    /// Threads
    #[arg(short, long, value_name = "N", default_value = "1", value_parser = number_in::<usize>(1..=4096))]
    pub(crate) jobs: usize,

    /// Connections, shared out among the threads [default: one for each thread]
    #[arg(long, value_name = "N", value_parser = number_in::<usize>(1..=65536))]
    connections: Option<usize>,

    /// Messages in flight per connection
    #[arg(short = 'a', long, value_name = "N", default_value = "1", value_parser = number_in::<usize>(1..=65536))]
    pub(crate) in_flight: usize,

    /// Messages per connection and run
    #[arg(short, long, value_name = "N", default_value = "10k", value_parser = number_in::<u64>(1..=1 << 40))]
    pub(crate) count: u64,

    /// Runs, each with new connections
    #[arg(short, long, value_name = "N", default_value = "1", value_parser = number_in::<u64>(1..=1_000_000))]
    pub(crate) iterations: u64,

    /// Bytes per message, at most 16m; with --udp 8 to 65507
    #[arg(short, long, value_name = "N", default_value = "32", value_parser = number_in::<usize>(1..=16 << 20))]
    pub(crate) length: usize,

    /// Print the rows only
    #[arg(short = 'H', long)]
    pub(crate) no_headers: bool,

    /// Give up when nothing has been sent or received for so long [default: 10]; with --udp, what has not come back
    /// after so long is lost [default: 1]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,

    /// The server; an IPv6 address is in brackets if a port follows [default port: 60007]
    #[arg(value_name = "HOST[:PORT]", value_parser = target)]
    pub(crate) target: Target,
}

const AFTER_HELP: &str = "\
N is a number, possibly with a suffix: k is 1024, K 1000, m 2^20, M 10^6.

seconds is from the first start to the last end. messages/s (round trips per second) and Mbit/s (in each direction)
are those of the time in which all connections were active. n/a stands for what cannot be told: a percentile of too few
round trips (p99 needs 368, p99.9 3688), or a rate if the connections were never all active at once.

A thread with several connections sends on all of them before it receives from any, so that the round trip of a message
includes the time in which its reply waits for its turn.

With --udp, lost are the datagrams that did not come back in time, and of those, late are the ones that came back after
all; duplicated are replies beyond the first, and reordered those that came after the reply to a later datagram.

The exit status is 0 only if every message came back, was right and, with --udp, in time.";

const DEFAULT_PORT: u16 = 60007;

const DATAGRAM_LENGTHS: RangeInclusive<usize> = udp::NUMBER_BYTES..=udp::MAX_BYTES;

impl Options {
    /// Reads the command line, and ends the process if that is wrong or asks for help.
    pub(crate) fn from_command_line() -> Self {
        Self::read(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    /// Reads a command line, and checks what depends on more than one of the options.
    fn read(
        line: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        let options = Self::try_parse_from(line)?;
        if options.udp && !DATAGRAM_LENGTHS.contains(&options.length) {
            return Err(Self::command().error(
                ErrorKind::ValueValidation,
                format!(
                    "invalid value '{}' for '--length <N>' with '--udp': not in {} to {}",
                    options.length,
                    DATAGRAM_LENGTHS.start(),
                    DATAGRAM_LENGTHS.end()
                ),
            ));
        }
        if options.connections() < options.jobs {
            return Err(Self::command().error(
                ErrorKind::ValueValidation,
                format!(
                    "invalid value '{}' for '--connections <N>': less than the {} threads",
                    options.connections(),
                    options.jobs
                ),
            ));
        }
        Ok(options)
    }

    /// Connections of all threads together.
    pub(crate) fn connections(&self) -> usize {
        self.connections.unwrap_or(self.jobs)
    }

    /// How long nothing may happen; for a datagram, how long it may take to come back.
    pub(crate) fn timeout(&self) -> Duration {
        let default = if self.udp { 1 } else { 10 };
        self.timeout.unwrap_or(Duration::from_secs(default))
    }
}

fn seconds(text: &str) -> Result<Duration, NumberError> {
    number_in::<u64>(1..=86_400)(text).map(Duration::from_secs)
}

fn target(text: &str) -> Result<Target, TargetError> {
    Target::parse(text, DEFAULT_PORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn defaults_are_those_of_the_manual() {
        let options = Options::read(["echotest", "server"]).unwrap();
        assert_eq!(
            (options.jobs, options.in_flight, options.iterations),
            (1, 1, 1)
        );
        assert_eq!((options.count, options.length), (10_240, 32));
        assert_eq!(options.timeout(), Duration::from_secs(10));
        assert_eq!(options.connections(), 1);
        assert!(!options.no_headers && !options.udp);
        assert_eq!(options.target.to_string(), "server:60007");
    }

    #[test]
    fn datagrams_have_limits_of_their_own() {
        let read = |line: &str| Options::read(line.split(' '));
        let options = read("echotest -u server").unwrap();
        assert_eq!((options.udp, options.length), (true, 32));
        assert_eq!(options.timeout(), Duration::from_secs(1));
        let options = read("echotest --udp --timeout 3 -l 65507 server").unwrap();
        assert_eq!(options.timeout(), Duration::from_secs(3));
        for length in [7, 65508] {
            assert!(read(&format!("echotest -u -l {length} server")).is_err());
            assert!(read(&format!("echotest -l {length} server")).is_ok());
        }
    }

    #[test]
    fn there_is_a_connection_for_each_thread_at_least() {
        let read = |line: &str| Options::read(line.split(' '));
        assert_eq!(read("echotest -j 3 server").unwrap().connections(), 3);
        let options = read("echotest -j 3 --connections 1K server").unwrap();
        assert_eq!((options.jobs, options.connections()), (3, 1_000));
        assert!(read("echotest -j 3 --connections 2 server").is_err());
    }

    #[test]
    fn short_and_long_names_are_the_same() {
        let short = "echotest -j 2 -a 3 -c 4K -i 5 -l 6k -H [::1]:8";
        let long =
            "echotest --jobs 2 --in-flight 3 --count 4K --iterations 5 --length 6k --no-headers [::1]:8";
        for line in [short, long] {
            let options = Options::read(line.split(' ')).unwrap();
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
