// SPDX-License-Identifier: GPL-2.0

//! Everything that a person sees of a campaign: text made from results, without input or output.
//!
//! - [`table`]: a row per run, and what is said above it; [`summary`]: what is said below it
//! - [`clients`]: what is said of clients that know of their paths
//! - [`warnings`]: why figures may not be what they seem; [`failure`]: what went wrong
//! - [`answer`]: what a search or a comparison found
//! - [`plot`]: a picture; [`progress`] and [`live`]: how things are while it goes on
//! - [`ksf`]: the columns of ksf's own tools
//!
//! And what other programs read: [`json`] documents, which [`merge`] puts together, and [`hdr_log`]; with the
//! [`provenance`] of the figures.
//!
//! Every figure that cannot be told is `n/a`: a percentile of too few latencies, a rate if the threads were never all
//! active at once. Lines are at most [`WIDTH`] columns wide, unless numbers are so long that they cannot be.

pub mod answer;
pub mod clients;
pub mod failure;
pub mod hdr_log;
pub mod json;
pub mod ksf;
pub mod live;
pub mod merge;
pub mod number;
pub mod options;
pub mod plot;
pub mod progress;
pub mod provenance;
pub mod summary;
pub mod table;
pub mod warnings;

use clap::ValueEnum;
use number::{count_of, grouped, rate};

use crate::load::{Load, Pace};

/// How wide a line is at most.
pub const WIDTH: usize = 120;

/// What the figures are of.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// The name of the tool.
    pub tool: &'static str,
    /// What it asks of whom, such as `NFS 3 NULL over TCP to [::1]:2049`.
    pub what: String,
    /// What it calls its requests, in the plural.
    pub requests: &'static str,
    /// The load; of a search, but for the rate.
    pub load: Load,
    /// Whether each run has a rate of its own.
    pub searches: bool,
    /// Whether threads look for replies all the time instead of sleeping until one comes.
    pub polls: bool,
    /// How many bytes of the protocol a request has.
    pub request_bytes: u64,
    /// How many bytes of the protocol a usual reply has, if that is known.
    pub reply_bytes: Option<u64>,
}

impl Subject {
    /// Two lines: what is measured, and what the latencies mean.
    pub fn heading(&self) -> String {
        let threads = count_of(self.load.threads as u64, "thread");
        let connections = count_of(self.load.connections as u64, "connection");
        let what = format!("{}: {}; {threads}, {connections}", self.tool, self.what);
        format!("{what}\n{}", self.kind())
    }

    /// What kind of loop it is, and what that means for the latencies.
    pub fn kind(&self) -> String {
        let in_flight = grouped(self.load.in_flight as u64);
        match self.load.pace {
            Pace::Closed => format!(
                "closed loop, {in_flight} in flight on each connection: the tail is not corrected for coordinated omission"
            ),
            Pace::Open { rate: at, arrivals } => {
                let at = if self.searches {
                    String::new()
                } else {
                    format!(" at {}/s", rate(at.as_per_second()))
                };
                let arrivals = arrivals.to_possible_value();
                let arrivals = arrivals.as_ref().map_or("", |value| value.get_name());
                format!(
                    "open loop, {arrivals} arrivals{at}, at most {in_flight} in flight on each connection: \
                     latency from the intended time"
                )
            }
        }
    }

    /// How many bytes a request and its reply have in the direction that has more of them, of those that are known.
    fn bytes_one_way(&self) -> u64 {
        self.request_bytes.max(self.reply_bytes.unwrap_or_default())
    }
}

/// Puts parts on as few lines as are wide enough, after a label on the first; all begin in the same column.
pub(crate) fn labelled(label: &str, parts: &[String]) -> String {
    /// Where the text begins.
    const INDENT: usize = 12;
    let mut text = format!("{label:<INDENT$}");
    let mut column = INDENT;
    for (number, part) in parts.iter().enumerate() {
        if number != 0 {
            text.push(';');
            column += 1;
            // The semicolon that may follow it must fit as well.
            if column + part.chars().count() + 2 <= WIDTH {
                text.push(' ');
                column += 1;
            } else {
                text.push_str(&format!("\n{:INDENT$}", ""));
                column = INDENT;
            }
        }
        text.push_str(part);
        column += part.chars().count();
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        load::{Extent, Transport},
        schedule::{Arrivals, Rate},
    };

    pub(crate) fn closed() -> Subject {
        Subject {
            tool: "rpctest",
            what: "NFS 3 NULL over TCP to [::1]:2049".to_owned(),
            requests: "requests",
            load: Load {
                threads: 2,
                connections: 4,
                in_flight: 128,
                extent: Extent::Count(1_000),
                ..Load::of_one(Transport::Stream)
            },
            searches: false,
            polls: false,
            request_bytes: 44,
            reply_bytes: Some(28),
        }
    }

    pub(crate) fn open() -> Subject {
        let closed = closed();
        Subject {
            load: Load {
                threads: 1,
                connections: 1,
                in_flight: 4_096,
                pace: Pace::Open {
                    rate: Rate::per_second(50_000.0).unwrap(),
                    arrivals: Arrivals::Exponential,
                },
                ..closed.load
            },
            ..closed
        }
    }

    #[test]
    fn the_heading_says_what_the_latencies_mean() {
        assert_eq!(
            closed().heading(),
            "rpctest: NFS 3 NULL over TCP to [::1]:2049; 2 threads, 4 connections\n\
             closed loop, 128 in flight on each connection: the tail is not corrected for coordinated omission"
        );
        assert_eq!(
            open().heading(),
            "rpctest: NFS 3 NULL over TCP to [::1]:2049; 1 thread, 1 connection\n\
             open loop, exponential arrivals at 50,000/s, at most 4,096 in flight on each connection: \
             latency from the intended time"
        );
    }

    #[test]
    fn a_search_has_no_rate_of_its_own() {
        let search = Subject {
            searches: true,
            ..open()
        };
        assert_eq!(
            search.kind(),
            "open loop, exponential arrivals, at most 4,096 in flight on each connection: latency from the intended time"
        );
    }

    #[test]
    fn headings_are_not_too_wide() {
        for subject in [closed(), open()] {
            assert!(subject.heading().lines().all(|line| line.len() <= WIDTH));
        }
    }

    #[test]
    fn what_does_not_fit_goes_to_the_next_line() {
        let parts = ["a".repeat(60), "b".repeat(46), "c".to_owned()];
        let expected = format!("label       {};\n            {}; c", parts[0], parts[1]);
        assert_eq!(labelled("label", &parts), expected);
        let fits = ["a".repeat(60), "b".repeat(45), "c".to_owned()];
        let expected = format!("label       {}; {};\n            c", fits[0], fits[1]);
        assert_eq!(labelled("label", &fits), expected);
        assert_eq!(expected.lines().next().map(str::len), Some(WIDTH));
    }
}
