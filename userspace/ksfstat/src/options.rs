// SPDX-License-Identifier: GPL-2.0

//! The command line.

use std::{
    path::PathBuf,
    time::Duration, //
};

use clap::{
    value_parser,
    Parser, //
};

use crate::{
    source::DEFAULT_DIR,
    table::Table, //
};

/// Prints what ksf counts, and how fast it grows.
///
/// Without INTERVAL there is one report, of all that was counted since ksf was loaded. With it more follow, of what was
/// counted between two reads; the first one is still since loading.
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment, after_help = AFTER_HELP)]
pub(crate) struct Options {
    /// Tables to print, with commas between them
    #[arg(
        short,
        long,
        value_enum,
        value_name = "TABLE",
        value_delimiter = ',',
        default_value = "services,workers"
    )]
    tables: Vec<Table>,

    /// Print all tables
    #[arg(short, long, conflicts_with = "tables")]
    all: bool,

    /// Print a JSON document per report, each on a line
    #[arg(short, long)]
    pub(crate) json: bool,

    /// Leave out the report since loading
    #[arg(short = 'y', long, requires = "interval")]
    pub(crate) skip_first: bool,

    /// Where the tables are
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIR)]
    pub(crate) dir: PathBuf,

    /// Seconds from one report to the next, such as 1 or 0.5
    #[arg(value_name = "INTERVAL", value_parser = seconds)]
    pub(crate) interval: Option<Duration>,

    /// How many reports [default: until it is ended]
    #[arg(value_name = "COUNT", value_parser = value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
}

const AFTER_HELP: &str = "\
Numbers: k is 1000, M 10^6, G 10^9 and so on, of bytes too. A dash stands for what cannot be told: ksf does not have the
figure, or there was nothing to divide by. Text that has no room is cut at ~.

What ksf counts is a total in the report since loading, and per second in all others, by the time between the two reads.
What appeared, or began to count anew, between two reads counts from zero. conns, age, idle, memory, unsent, limit and
used are as they are at the moment.

p50 and p99: half, and 99 %, of the times of that report were less. ksf keeps times in buckets that are powers of two of
nanoseconds, so <2.0us says that the time in question was from 1024 to 2047 ns. queue delay is from a wake-up until the
turn that it asked for, serve time is how long the service itself took.

refuse and drop are the sums of all reasons for which ksf refused connections and dropped datagrams; --json has each.
inline is how many of the turns were in softirq, without a worker; snd/rq how many times something was sent per request.

rpc_procedures and rpc_errors are krpc's: without it they have no rows. failed are calls that were refused, or without
a result; what is no call of a procedure that krpc has is in rpc_errors only.

--json: values is what ksf says, rates is per second, and percentiles are the upper bounds of the buckets in ns.";

impl Options {
    /// The tables to print.
    pub(crate) fn tables(&self) -> &[Table] {
        if self.all {
            &Table::ALL
        } else {
            &self.tables
        }
    }
}

/// Reads an interval: decimal digits, and possibly a fraction.
fn seconds(text: &str) -> Result<Duration, &'static str> {
    // Digits only: the standard library would also take a sign, an exponent, and "inf".
    let is_number = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse::<f64>()
        .ok()
        .filter(|_| is_number)
        .ok_or("not a number of seconds")
        .and_then(|seconds| match seconds {
            0.1..=86_400.0 => Ok(Duration::from_secs_f64(seconds)),
            _ => Err("not in 0.1 to 86400"),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Options {
        Options::try_parse_from(line.split(' ')).unwrap()
    }

    #[test]
    fn the_command_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn defaults_are_those_of_the_manual() {
        let options = parse("ksfstat");
        assert_eq!(options.tables(), [Table::Services, Table::Workers]);
        assert_eq!(options.dir, PathBuf::from("/sys/kernel/debug/ksf"));
        assert_eq!((options.interval, options.count), (None, None));
        assert!(!options.json && !options.skip_first);
    }

    #[test]
    fn tables_are_those_that_were_named_in_their_order() {
        assert_eq!(
            parse("ksfstat -t peers,conns --tables limits").tables(),
            [Table::Peers, Table::Conns, Table::Limits]
        );
        assert_eq!(parse("ksfstat --all").tables(), Table::ALL);
    }

    #[test]
    fn an_interval_may_have_a_fraction() {
        let options = parse("ksfstat -y 0.25 7");
        assert_eq!(options.interval, Some(Duration::from_millis(250)));
        assert_eq!((options.count, options.skip_first), (Some(7), true));
        for text in ["", ".", "1s", "-1", "+1", "1e3", "inf", "NaN"] {
            assert_eq!(seconds(text), Err("not a number of seconds"), "{text:?}");
        }
        for text in ["0", "0.05", "86401", "9".repeat(400).as_str()] {
            assert_eq!(seconds(text), Err("not in 0.1 to 86400"), "{text:?}");
        }
    }
}
