// SPDX-License-Identifier: GPL-2.0

//! What load a run puts on the server.

use serde::{Deserialize, Serialize};

use crate::{
    engine::Nanos,
    schedule::{Arrivals, Rate},
};

/// So often at least, a failure elsewhere, an interrupt and who looks on are remembered however long the timeout is.
const LONGEST_TICK: Nanos = 1_000_000_000;

/// What load a run puts on the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Over what the requests go.
    pub transport: Transport,
    /// How many threads there are; not 0.
    pub threads: usize,
    /// How many connections there are, shared out among the threads; at least one for each.
    pub connections: usize,
    /// How many requests of a connection may wait for their reply; not 0.
    pub in_flight: usize,
    /// When requests are sent.
    pub pace: Pace,
    /// For how long, after the warm-up.
    pub extent: Extent,
    /// How long requests are sent before any is measured.
    pub warmup_ns: Nanos,
    /// How many requests one call sends at most, and how many replies one receives; not 0.
    pub batch: usize,
    /// How long nothing may happen on a stream, and how long a datagram may take to be answered; not 0.
    pub timeout_ns: Nanos,
    /// How long an interval of the latencies over time is, if the run is not too long for so short ones; not 0.
    pub interval_ns: Nanos,
    /// What random arrivals depend on.
    pub seed: u64,
}

impl Load {
    /// Whether requests are sent at a rate, whatever the replies.
    pub fn is_open_loop(&self) -> bool {
        matches!(self.pace, Pace::Open { .. })
    }

    /// How often engines let the worker look for what is overdue.
    pub fn tick(&self) -> Nanos {
        (self.timeout_ns / 8).clamp(1, LONGEST_TICK)
    }
}

#[cfg(test)]
impl Load {
    /// One request on one connection. Tests say what else they need.
    pub(crate) fn of_one(transport: Transport) -> Self {
        Self {
            transport,
            threads: 1,
            connections: 1,
            in_flight: 1,
            pace: Pace::Closed,
            extent: Extent::Count(1),
            warmup_ns: 0,
            batch: 1,
            timeout_ns: 1,
            interval_ns: 1,
            seed: 0,
        }
    }
}

/// Over what requests go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// TCP.
    Stream,
    /// UDP.
    Datagrams,
    /// Calls of Rx, which is over UDP: each is answered once, or fails.
    Rx,
}

impl Transport {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stream => "TCP",
            Self::Datagrams => "UDP",
            Self::Rx => "Rx",
        }
    }
}

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// As soon as fewer wait than may: as fast as the server answers.
    Closed,
    /// At this rate of all connections together, whatever the server does.
    Open {
        /// Requests per second.
        rate: Rate,
        /// How they follow each other.
        arrivals: Arrivals,
    },
}

/// For how long a run goes on after its warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// Until so many requests were due on each connection.
    Count(u64),
    /// So many nanoseconds, and then for as long as the last replies take, but not longer than the timeout.
    Duration(Nanos),
}
