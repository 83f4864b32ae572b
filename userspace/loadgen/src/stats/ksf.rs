// SPDX-License-Identifier: GPL-2.0

//! The columns of ksf's rpctest, computed as its documentation means them.
//!
//! rpctest prints a line after each run, with figures of all runs so far; the last of 99 lines is the result. What it
//! computes differs from what it says, and this module from what it computes, as follows:
//!
//! | column | rpctest | here |
//! |---|---|---|
//! | MedRPC | the replies of this run, divided by the median time of all threads in all runs so far: the last line mixes one run's count with all runs' times, and a thread that is slower than the median is left out | the median over runs of each run's rate, in the window in which all threads were active |
//! | MedLat | the median over runs of each run's median, of all its threads' latencies together | the same |
//! | MinLat, quantiles, MaxLat | of the last run | of all latencies of all runs |
//! | quantiles | of buckets of 25 to 49 ns up to 206 ms; what is longer is only counted | of an HDR histogram, three digits up to 60 s; none if there are too few latencies to tell |
//! | MinRPC, MedRPC, MaxRPC (`-x`) | of each run's replies, divided by thread times | of the runs' rates |
//! | MinTime, MedTime, MaxTime (`-x`) | of all threads in all runs | the same |
//! | with `-m` | running averages in place of medians | the same, of the figures above |

use crate::{
    stats::order::{least_sample, CONFIDENCE},
    Histogram, RunResult,
};

/// The quantiles that rpctest prints unless told otherwise, in percent: the median, and the parts of a normal distribution
/// that are within one, two and three standard deviations of its mean, and those that are not.
pub const QUANTILES: [f64; 7] = [0.3, 4.6, 31.7, 50.0, 68.3, 95.4, 99.7];

/// The middle of several runs' figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Middle {
    /// The median; of an even number of runs, the mean of the two in the middle.
    #[default]
    Median,
    /// The mean, as with rpctest's `-m`.
    Mean,
}

/// The least, the middle and the greatest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The least.
    pub min: f64,
    /// The median, or the mean with `-m`.
    pub mid: f64,
    /// The greatest.
    pub max: f64,
}

/// What is known after the runs so far.
#[derive(Clone, Debug, Default)]
pub struct Running {
    middle: Middle,
    total: u64,
    rates: Vec<f64>,
    medians_ns: Vec<f64>,
    thread_seconds: Vec<f64>,
    latencies: Histogram,
}

impl Running {
    /// Before the first run.
    pub fn new(middle: Middle) -> Self {
        Self {
            middle,
            ..Self::default()
        }
    }

    /// Adds a run.
    pub fn add(&mut self, run: &RunResult) {
        self.total += run.ledger.answered;
        self.rates.extend(run.window.rate());
        let median = run.response.distribution().quantile(0.5);
        self.medians_ns.extend(median.map(|ns| ns as f64));
        let seconds = run
            .threads
            .iter()
            .map(|thread| thread.elapsed_ns as f64 * 1e-9);
        self.thread_seconds.extend(seconds);
        self.latencies.merge(&run.response);
    }

    /// TotalRPC: the replies of all runs.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// MinRPC, MedRPC and MaxRPC: the replies per second of the runs; `None` if none had all threads active at once.
    pub fn rate(&self) -> Option<Range> {
        self.range(&self.rates)
    }

    /// MinTime, MedTime and MaxTime: for how many seconds each thread was active in each run.
    pub fn thread_seconds(&self) -> Option<Range> {
        self.range(&self.thread_seconds)
    }

    /// MedLat: the middle of the runs' median latencies, in nanoseconds.
    pub fn median_ns(&self) -> Option<f64> {
        self.range(&self.medians_ns).map(|range| range.mid)
    }

    /// One of the quantiles, in percent, of all latencies, in nanoseconds; `None` if there are too few to tell.
    pub fn quantile_ns(&self, percent: f64) -> Option<u64> {
        let quantile = percent / 100.0;
        let inside = quantile > 0.0 && quantile < 1.0;
        (inside && self.latencies.len() >= least_sample(quantile, CONFIDENCE))
            .then(|| self.latencies.distribution().quantile(quantile))?
    }

    /// All latencies, for MinLat and MaxLat.
    pub fn latencies(&self) -> &Histogram {
        &self.latencies
    }

    fn range(&self, values: &[f64]) -> Option<Range> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let mid = match self.middle {
            Middle::Median => (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0,
            Middle::Mean => sorted.iter().sum::<f64>() / sorted.len() as f64,
        };
        Some(Range { min, mid, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::{ThreadResult, Window};

    const SECOND: u64 = 1_000_000_000;

    /// A run of two threads, a second and `slow` seconds long, with all latencies the same; in the first second, both are
    /// active.
    fn run(answered: u64, ns: u64, slow: u64) -> RunResult {
        let mut run = RunResult {
            window: Window {
                length_ns: SECOND,
                answered,
            },
            ..RunResult::default()
        };
        run.ledger.answered = answered + 1;
        (0..1_000).for_each(|_| run.response.record(ns));
        run.threads = [1, slow]
            .map(|seconds| ThreadResult {
                elapsed_ns: seconds * SECOND,
                ..ThreadResult::default()
            })
            .into();
        run
    }

    fn running(middle: Middle, runs: &[RunResult]) -> Running {
        let mut running = Running::new(middle);
        runs.iter().for_each(|run| running.add(run));
        running
    }

    #[test]
    fn the_rate_is_the_median_of_the_runs_rates() {
        let runs = [run(100, 1_000, 1), run(900, 1_000, 1), run(200, 1_000, 50)];
        let running = running(Middle::Median, &runs);
        // rpctest would divide the 201 replies of the last run by the median thread's time, 1 s.
        let expected = Range {
            min: 100.0,
            mid: 200.0,
            max: 900.0,
        };
        assert_eq!(running.rate(), Some(expected));
        assert_eq!(running.total(), 1_203);
        let expected = Range {
            min: 1.0,
            mid: 1.0,
            max: 50.0,
        };
        assert_eq!(running.thread_seconds(), Some(expected));
    }

    #[test]
    fn the_latency_is_the_median_of_the_runs_medians() {
        let runs = [
            run(1, 1_000, 1),
            run(1, 1_200, 1),
            run(1, 2_000, 1),
            run(1, 1_100, 1),
        ];
        assert_eq!(running(Middle::Median, &runs).median_ns(), Some(1_150.0));
        assert_eq!(
            running(Middle::Median, &runs[..3]).median_ns(),
            Some(1_200.0)
        );
        assert_eq!(running(Middle::Mean, &runs).median_ns(), Some(1_325.0));
    }

    #[test]
    fn quantiles_are_of_all_runs() {
        let runs = [run(1, 1_000, 1), run(1, 2_000, 1)];
        let running = running(Middle::Median, &runs);
        let found: Vec<_> = QUANTILES.iter().map(|&q| running.quantile_ns(q)).collect();
        let [low, high] = [Some(1_000), Some(2_000)];
        assert_eq!(found, [low, low, low, low, high, high, high]);
        assert_eq!(running.latencies().len(), 2_000);
    }

    #[test]
    fn quantiles_of_too_few_latencies_are_not_told() {
        let running = running(Middle::Median, &[run(1, 1_000, 1)]);
        let found: Vec<_> = QUANTILES
            .iter()
            .map(|&q| running.quantile_ns(q).is_some())
            .collect();
        // 0.3 % and 99.7 % need 1,228.
        assert_eq!(found, [false, true, true, true, true, true, false]);
        for nonsense in [0.0, 100.0, -1.0, f64::NAN] {
            assert_eq!(running.quantile_ns(nonsense), None);
        }
    }

    #[test]
    fn without_runs_there_is_nothing() {
        let running = Running::new(Middle::Median);
        assert_eq!(
            (running.rate(), running.median_ns(), running.total()),
            (None, None, 0)
        );
        assert_eq!(
            (running.thread_seconds(), running.quantile_ns(50.0)),
            (None, None)
        );
    }
}
