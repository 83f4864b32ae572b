// SPDX-License-Identifier: GPL-2.0

//! What a run brought: plain data, to be merged, judged, printed and stored.
//!
//! Fields whose name ends in `_ns` are nanoseconds.

use serde::{Deserialize, Serialize};

use crate::{
    histogram::StoredHistogram,
    stats::order::{rank_of, value_at_rank},
    Histogram, Ledger,
};

/// The figures of one run, or of several that were merged.
pub type RunResult = Figures<Histogram>;

/// The same, kept for later in no more memory than the figures need.
pub type StoredResult = Figures<StoredHistogram>;

/// The figures of one run, or of several that were merged, with latencies in histograms of this kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures<H> {
    /// What became of the requests after the warm-up.
    pub ledger: Ledger,
    /// What became of the requests of the warm-up. They have no latencies.
    pub warmup: Ledger,
    /// From when a request was sent to when its reply had been received whole; of all that were answered in time.
    pub service: H,
    /// From when a request was intended to be sent to when its reply had been received whole. In closed loop, that is the
    /// same as `service`.
    pub response: H,
    /// When all threads were active.
    pub window: Window,
    /// From the end of the warm-up to the end of the last thread; for several runs, the sum.
    pub elapsed_ns: u64,
    /// What each thread did, in their order; of several runs, one after the other.
    pub threads: Vec<ThreadResult>,
    /// How it went over time; of several runs, one after the other.
    pub intervals: Vec<Interval>,
    /// What went wrong, the first first. Losses of datagrams are in the ledger only.
    pub failures: Vec<Failure>,
    /// What each connection did, if there are clients on each that know of its path, as with Rx; of several runs, one after
    /// the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<ClientResult>,
}

impl RunResult {
    /// Adds the figures of another run, as if both were parts of one.
    ///
    /// Histograms are merged: percentiles are never computed from percentiles.
    pub fn merge(&mut self, other: &Self) {
        self.ledger += &other.ledger;
        self.warmup += &other.warmup;
        self.service.merge(&other.service);
        self.response.merge(&other.response);
        self.window.length_ns += other.window.length_ns;
        self.window.answered += other.window.answered;
        self.elapsed_ns += other.elapsed_ns;
        self.threads.extend_from_slice(&other.threads);
        self.intervals.extend_from_slice(&other.intervals);
        self.failures.extend_from_slice(&other.failures);
        self.clients.extend_from_slice(&other.clients);
    }
}

impl<H> Figures<H> {
    /// The same with other histograms.
    fn with<T>(&self, service: T, response: T) -> Figures<T> {
        Figures {
            ledger: self.ledger,
            warmup: self.warmup,
            service,
            response,
            window: self.window,
            elapsed_ns: self.elapsed_ns,
            threads: self.threads.clone(),
            intervals: self.intervals.clone(),
            failures: self.failures.clone(),
            clients: self.clients.clone(),
        }
    }
}

impl From<&RunResult> for StoredResult {
    fn from(run: &RunResult) -> Self {
        run.with((&run.service).into(), (&run.response).into())
    }
}

impl From<&StoredResult> for RunResult {
    fn from(stored: &StoredResult) -> Self {
        stored.with((&stored.service).into(), (&stored.response).into())
    }
}

/// The time after the warm-up in which every thread was active, from the last one's start to the first one's end; in a run
/// of a duration, to the end of that.
///
/// Before and after it the server has fewer clients than were asked for, and a rate would be that of another load. So it
/// does not have the wait for replies that are lost, which nobody needs to make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// How long it was; zero if the threads were never active all at once.
    pub length_ns: u64,
    /// Right replies that came in it.
    pub answered: u64,
}

impl Window {
    /// Right replies a second; `None` if there was no window.
    pub fn rate(&self) -> Option<f64> {
        (self.length_ns != 0).then(|| self.answered as f64 / (self.length_ns as f64 * 1e-9))
    }
}

/// What one thread did after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadResult {
    /// The processor that it was bound to.
    pub cpu: Option<usize>,
    /// How many connections it had.
    pub connections: usize,
    /// Right replies in time.
    pub answered: u64,
    /// From the end of the warm-up to its end.
    pub elapsed_ns: u64,
    /// The time that it spent on a processor, by `CLOCK_THREAD_CPUTIME_ID`.
    pub cpu_ns: u64,
    /// The time that it could have run, but something else ran on its processor; `None` if the system does not tell.
    pub waited_ns: Option<u64>,
    /// Requests that it sent.
    pub sent: u64,
    /// How long after its intended time a request was sent, in all. 0 in closed loop.
    pub lag_total_ns: u64,
    /// How long after its intended time a request was sent at most. 0 in closed loop.
    pub lag_max_ns: u64,
}

/// What one client did after the warm-up: a connection whose engine knows of its path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientResult {
    /// Right replies.
    pub answered: u64,
    /// From the end of the warm-up to its last right reply.
    pub active_ns: u64,
    /// What was seen of its path.
    pub path: PathResult,
}

/// What a client saw of its path to the server, of the time after the warm-up. Packets are those of DATA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathResult {
    /// Packets that were sent, without those that were sent again.
    pub packets_sent: u64,
    /// Packets that were sent again.
    pub packets_resent: u64,
    /// Packets that were received, with duplicates.
    pub packets_received: u64,
    /// Packets that were received and had been received before: those that the server sent again without need, or the network
    /// twice.
    pub packets_duplicated: u64,
    /// Packets that came before one that was to come first: one was lost, or they overtook it.
    pub packets_reordered: u64,
    /// The smoothed round trip time at the end, if one was seen.
    pub smoothed_rtt_ns: Option<u64>,
    /// The congestion window with which a request would begin in the end, in packets.
    pub congestion_window: u64,
    /// How many packets the server may send that are not acknowledged.
    pub receive_window: u64,
}

/// A part of a run's time. Those of one run follow each other without gaps, from the end of the warm-up to its last reply or
/// to the end of its duration, and all but the last are of the same length.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// When it began, from the end of the warm-up.
    pub start_ns: u64,
    /// How long it was.
    pub length_ns: u64,
    /// The response latencies of the right replies that came in it, of all threads.
    pub response: Distribution,
}

/// A histogram without room for what did not occur: small, and to be read only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Distribution {
    /// The latencies that occurred, each rounded as in a [`Histogram`], and how often; the shortest first.
    pub buckets: Vec<(u64, u64)>,
}

impl Distribution {
    /// How many latencies there are.
    pub fn len(&self) -> u64 {
        self.buckets.iter().map(|&(_, count)| count).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// The latency that this part, from 0 to 1, of all does not exceed; `None` if there are none.
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        value_at_rank(&self.buckets, rank_of(quantile, self.len()))
    }

    /// Adds all latencies of `other`, in a time that is proportional to the number of buckets.
    pub fn merge(&mut self, other: &Self) {
        if self.is_empty() {
            self.buckets.clone_from(&other.buckets);
            return;
        }
        let mut both = Vec::with_capacity(self.buckets.len() + other.buckets.len());
        let mut rest = other.buckets.as_slice();
        for &(ns, count) in &self.buckets {
            let shorter = rest.iter().take_while(|&&(other, _)| other < ns).count();
            both.extend_from_slice(&rest[..shorter]);
            rest = &rest[shorter..];
            match rest {
                [(other, more), after @ ..] if *other == ns => {
                    both.push((ns, count + more));
                    rest = after;
                }
                _ => both.push((ns, count)),
            }
        }
        both.extend_from_slice(rest);
        self.buckets = both;
    }
}

/// What went wrong on a connection, which ended the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The place of the connection among all of its run, from 0.
    pub connection: usize,
    /// When, from the start of the run (not the end of its warm-up).
    pub at_ns: u64,
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// What is to be told of it, in one line.
    pub message: String,
}

/// What kinds of failure there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// A reply was not what it had to be.
    Mismatch,
    /// The server ended the stream before the last reply.
    ClosedEarly,
    /// The server did not end the stream after the last reply, although its client did.
    NotClosed,
    /// No reply came and nothing could be sent for so long that the connection was given up.
    NoProgress,
    /// A request was not answered, though later ones on its connection were, or the run was over for so long.
    Unanswered,
    /// The system's error, such as a reset or a refusal.
    System,
    /// The server aborted a call.
    Aborted,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distribution(buckets: &[(u64, u64)]) -> Distribution {
        Distribution {
            buckets: buckets.to_vec(),
        }
    }

    #[test]
    fn quantiles_are_those_of_the_ranks() {
        let ten = distribution(&[(1, 5), (2, 4), (100, 1)]);
        for (quantile, ns) in [
            (0.0, 1),
            (0.5, 1),
            (0.51, 2),
            (0.9, 2),
            (0.91, 100),
            (1.0, 100),
        ] {
            assert_eq!(ten.quantile(quantile), Some(ns), "{quantile}");
        }
        assert_eq!(Distribution::default().quantile(0.5), None);
        // Computed, that is 55.00000000000001.
        let hundred = Distribution {
            buckets: (1..=100).map(|ns| (ns, 1)).collect(),
        };
        assert_eq!(hundred.quantile(0.55), Some(55));
    }

    #[test]
    fn merged_distributions_have_each_latency_once() {
        let mut merged = distribution(&[(1, 2), (5, 1)]);
        merged.merge(&distribution(&[(1, 1), (3, 1), (5, 1), (9, 1)]));
        assert_eq!(merged, distribution(&[(1, 3), (3, 1), (5, 2), (9, 1)]));
        let mut none = Distribution::default();
        none.merge(&merged);
        assert_eq!(none, merged);
        assert_eq!(merged.len(), 7);
    }

    #[test]
    fn a_result_survives_json() {
        let mut result = RunResult::default();
        result.ledger.sent = 3;
        for ns in [1_000, 2_000, 70_000_000_000] {
            result.service.record(ns);
        }
        result.response = result.service.clone();
        result.intervals.push(Interval {
            start_ns: 0,
            length_ns: 5,
            response: distribution(&[(7, 1)]),
        });
        result.threads.push(ThreadResult {
            cpu: Some(1),
            ..ThreadResult::default()
        });
        result.failures.push(Failure {
            connection: 1,
            at_ns: 2,
            kind: FailureKind::NoProgress,
            message: "no progress for 1 s".to_owned(),
        });
        let text = serde_json::to_string(&result).unwrap();
        assert!(text.contains("\"no_progress\""), "{text}");
        assert_eq!(serde_json::from_str::<RunResult>(&text).unwrap(), result);
    }

    #[test]
    fn merging_adds_everything_up() {
        let mut one = RunResult {
            elapsed_ns: 1,
            window: Window {
                length_ns: 10,
                answered: 100,
            },
            threads: vec![ThreadResult::default()],
            ..RunResult::default()
        };
        one.ledger.sent = 1;
        one.warmup.sent = 2;
        one.service.record(5);
        one.response.record(6);
        let mut sum = one.clone();
        sum.merge(&one);
        assert_eq!((sum.ledger.sent, sum.warmup.sent), (2, 4));
        assert_eq!((sum.service.len(), sum.response.len()), (2, 2));
        assert_eq!((sum.elapsed_ns, sum.threads.len()), (2, 2));
        assert_eq!(
            sum.window,
            Window {
                length_ns: 20,
                answered: 200
            }
        );
        assert_eq!(sum.window.rate(), Some(1e10));
    }
}
