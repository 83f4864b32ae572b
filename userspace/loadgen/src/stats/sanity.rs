// SPDX-License-Identifier: GPL-2.0

//! Whether a run's figures agree with each other, and whether it was the server that was measured.

use std::fmt;

use crate::{result::ThreadResult, RunResult};

/// Little's law: the mean number of requests in flight is the rate of replies times the mean latency, whatever the order and
/// the distributions (Little: *A Proof for the Queuing Formula L = λW*, Operations Research 9(3), 1961).
///
/// In closed loop the number is known, for a reply makes room for the next request at once. If the product is greater, the
/// clock or the accounting is wrong. If it is less, requests were not in flight when they should have been: the client was
/// busy, or late to look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Little {
    /// How many requests were to be in flight, of all connections together.
    pub expected: f64,
    /// How many the rate and the latency say that there were.
    pub found: f64,
}

impl Little {
    /// How much more than expected may be found: latencies are of the whole run, and the rate is of its window.
    const MOST: f64 = 1.05;
    /// How much less: requests that are being written, or replies that are being verified, are not in flight.
    const LEAST: f64 = 0.8;

    /// What a run in closed loop says, with so many requests in flight of all connections together; `None` if it cannot be
    /// told, which is so if requests were lost, for they were in flight as well.
    pub fn of(run: &RunResult, in_flight: u64) -> Option<Self> {
        let lost = run.ledger.sent - run.ledger.answered.min(run.ledger.sent);
        let rate = run.window.rate()?;
        (lost == 0 && !run.service.is_empty() && in_flight > 0).then(|| Self {
            expected: in_flight as f64,
            found: rate * run.service.as_hdr().mean() * 1e-9,
        })
    }

    /// Whether the law holds, as nearly as it can be told.
    pub fn holds(&self) -> bool {
        (Self::LEAST..=Self::MOST).contains(&(self.found / self.expected))
    }
}

impl fmt::Display for Little {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "rate times mean latency is {:.3} requests in flight, not {}",
            self.found, self.expected
        )
    }
}

/// Why the client may be what was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClientLimit {
    /// This part of all threads were on a processor nearly all the time; the busiest one for this part of it.
    Processor {
        /// How many threads were.
        busy: usize,
        /// Of so many.
        threads: usize,
        /// The greatest part of its time that one was on a processor.
        most: f64,
    },
    /// Threads could have run, but something else ran on their processors; the one that waited longest, for this part of
    /// its time.
    Waited {
        /// How many threads waited for too large a part of it.
        threads: usize,
        /// Of so many.
        of: usize,
        /// The greatest part that one waited.
        most: f64,
    },
    /// In open loop, requests were sent too long after they were intended to be.
    Lag {
        /// By so many nanoseconds on the average.
        mean_ns: f64,
        /// Which is this part of the mean latency that is reported.
        of_latency: f64,
    },
}

impl fmt::Display for ClientLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Processor { busy, threads, most } => write!(
                f,
                "the client was the limit: {busy} of {threads} threads had no time left (busy for {:.0} %)",
                most * 100.0
            ),
            Self::Waited { threads, of, most } => write!(
                f,
                "the client waited for a processor: {threads} of {of} threads, for up to {:.0} % of the time",
                most * 100.0
            ),
            Self::Lag { mean_ns, of_latency } => write!(
                f,
                "the client was late: requests were sent {:.1} us after they were due, {:.0} % of the latency",
                mean_ns * 1e-3,
                of_latency * 100.0
            ),
        }
    }
}

impl ClientLimit {
    /// The part of its time from which on a thread is taken to have had none left.
    const BUSY: f64 = 0.95;
    /// The part of its time from which on it is no trifle how long a thread waited for a processor.
    const WAITED: f64 = 0.1;
    /// A thread that was there for less is not judged by how it spent its time, which was that of its beginning.
    const LEAST_NS: u64 = 100_000_000;
    /// The part of the mean latency from which on the lag is no trifle.
    const LATE: f64 = 0.1;

    /// What a run says. A thread that polls, instead of sleeping until there is something to do, is always on a processor,
    /// which tells nothing.
    pub fn of(run: &RunResult, polls: bool) -> Vec<Self> {
        let mut limits = Vec::new();
        // How many threads spent at least this part of their time so, and the greatest part.
        let spent = |time: fn(&ThreadResult) -> u64, least: f64| {
            let judged = run.threads.iter();
            let judged = judged.filter(|it| it.elapsed_ns >= Self::LEAST_NS && it.answered != 0);
            let parts = judged.map(|thread| time(thread) as f64 / thread.elapsed_ns as f64);
            let parts: Vec<f64> = parts.filter(|&part| part >= least).collect();
            (parts.len(), parts.into_iter().fold(0.0, f64::max))
        };
        let (busy, most) = spent(|thread| thread.cpu_ns, Self::BUSY);
        if busy > 0 && !polls {
            limits.push(Self::Processor {
                busy,
                threads: run.threads.len(),
                most,
            });
        }
        let (waited, most) = spent(|thread| thread.waited_ns.unwrap_or(0), Self::WAITED);
        if waited > 0 {
            limits.push(Self::Waited {
                threads: waited,
                of: run.threads.len(),
                most,
            });
        }
        let sum = |of: fn(&ThreadResult) -> u64| -> f64 {
            run.threads.iter().map(|thread| of(thread) as f64).sum()
        };
        let mean_ns = sum(|thread| thread.lag_total_ns) / sum(|thread| thread.sent);
        let of_latency = mean_ns / run.response.as_hdr().mean();
        // Without requests, neither is a number.
        if of_latency.is_finite() && of_latency >= Self::LATE {
            limits.push(Self::Lag {
                mean_ns,
                of_latency,
            });
        }
        limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Window;

    const SECOND: u64 = 1_000_000_000;

    /// A run of a second with so many replies after 1 ms each.
    fn run(replies: u64) -> RunResult {
        let mut run = RunResult {
            window: Window {
                length_ns: SECOND,
                answered: replies,
            },
            ..RunResult::default()
        };
        run.ledger.sent = replies;
        run.ledger.answered = replies;
        run.service.record(1_000_000);
        run.response.record(1_000_000);
        run
    }

    fn thread(cpu_ns: u64, lag_total_ns: u64) -> ThreadResult {
        ThreadResult {
            elapsed_ns: SECOND,
            sent: 1_000,
            answered: 1_000,
            cpu_ns,
            lag_total_ns,
            ..ThreadResult::default()
        }
    }

    #[test]
    fn as_many_as_are_in_flight_are_found() {
        let little = Little::of(&run(128_000), 128).unwrap();
        assert!((little.found / 128.0 - 1.0).abs() < 0.001 && little.holds());
        for (replies, holds) in [
            (134_000, true),
            (136_000, false),
            (103_000, true),
            (102_000, false),
        ] {
            let little = Little::of(&run(replies), 128).unwrap();
            assert_eq!(little.holds(), holds, "{replies}");
        }
    }

    /// ksf's own table: 10.78 million replies a second, 142.9 us each, of 16 times 128 in flight.
    #[test]
    fn the_table_of_ksf_does_not_hold() {
        let little = Little {
            expected: 2_048.0,
            found: 10_782_210.0 * 142.9e-6,
        };
        assert!(!little.holds());
        let text = "rate times mean latency is 1540.778 requests in flight, not 2048";
        assert_eq!(little.to_string(), text);
    }

    #[test]
    fn the_law_is_not_asked_where_it_tells_nothing() {
        assert_eq!(Little::of(&RunResult::default(), 1), None);
        assert_eq!(Little::of(&run(1_000), 0), None);
        let mut lossy = run(1_000);
        lossy.ledger.sent += 1;
        assert_eq!(Little::of(&lossy, 1), None);
    }

    #[test]
    fn threads_without_time_left_are_told() {
        let mut run = run(1_000);
        run.threads = vec![thread(SECOND / 2, 0), thread(SECOND * 97 / 100, 0)];
        let limits = ClientLimit::of(&run, false);
        assert_eq!(limits.len(), 1);
        let text = "the client was the limit: 1 of 2 threads had no time left (busy for 97 %)";
        assert_eq!(limits[0].to_string(), text);
        assert_eq!(ClientLimit::of(&run, true), []);
        run.threads.pop();
        assert_eq!(ClientLimit::of(&run, false), []);
    }

    #[test]
    fn threads_that_waited_for_a_processor_are_told() {
        let mut run = run(1_000);
        let waits = |ns| ThreadResult {
            waited_ns: ns,
            ..thread(SECOND / 10, 0)
        };
        run.threads = vec![
            waits(Some(SECOND * 49 / 100)),
            waits(Some(SECOND / 5)),
            waits(None),
        ];
        let limits = ClientLimit::of(&run, true);
        let text = "the client waited for a processor: 2 of 3 threads, for up to 49 % of the time";
        assert_eq!(limits.len(), 1);
        assert_eq!(limits[0].to_string(), text);
        run.threads = vec![waits(Some(SECOND * 9 / 100))];
        assert_eq!(ClientLimit::of(&run, false), []);
    }

    #[test]
    fn a_run_that_has_hardly_begun_says_nothing_of_the_client() {
        let mut run = run(1_000);
        let busy = thread(SECOND, 0);
        run.threads = vec![busy];
        assert_eq!(ClientLimit::of(&run, false).len(), 1);
        run.threads[0].answered = 0;
        assert_eq!(ClientLimit::of(&run, false), []);
        run.threads[0] = ThreadResult {
            elapsed_ns: SECOND / 1_000,
            ..busy
        };
        assert_eq!(ClientLimit::of(&run, false), []);
    }

    #[test]
    fn requests_that_are_sent_late_are_told() {
        let mut run = run(1_000);
        run.threads = vec![thread(0, 1_000 * 90_000), thread(0, 1_000 * 100_000)];
        assert_eq!(ClientLimit::of(&run, false), []);
        run.threads[0].lag_total_ns = 1_000 * 200_000;
        let limits = ClientLimit::of(&run, true);
        let text = "the client was late: requests were sent 150.0 us after they were due, 15 % of the latency";
        assert_eq!(limits.len(), 1);
        assert_eq!(limits[0].to_string(), text);
    }

    #[test]
    fn a_run_without_requests_says_nothing_of_the_client() {
        assert_eq!(ClientLimit::of(&RunResult::default(), false), []);
    }
}
