// SPDX-License-Identifier: GPL-2.0

//! The figures of several runs together, with their intervals.
//!
//! A percentile of several runs is the one of all their latencies, never an average of percentiles; and so it is in every
//! resample.

use serde::{Deserialize, Serialize};

use super::{
    bootstrap::{Bootstrap, Estimate},
    order::{least_sample, rank_of, CONFIDENCE},
};
use crate::{
    result::{Distribution, Window},
    RunResult,
};

/// The three figures that are reported with an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Headline {
    /// The median response latency in nanoseconds.
    pub median_ns: Option<Estimate>,
    /// The 99th percentile of the response latency in nanoseconds; `None` if there are too few.
    pub p99_ns: Option<Estimate>,
    /// Replies per second while all threads were active.
    pub rate: Option<Estimate>,
}

impl Headline {
    /// The figures of these runs, and their intervals.
    pub fn of(runs: &Units, bootstrap: &Bootstrap) -> Self {
        let latencies: Vec<_> = runs.units.iter().map(|unit| &unit.response).collect();
        let pooled = Pooled::new(&latencies);
        // A run in which the threads were never all active has no rate, and says nothing of it.
        let windows = runs.units.iter().map(|unit| unit.window);
        let windows: Vec<_> = windows.filter(|window| window.length_ns != 0).collect();
        let rate = bootstrap.estimate(windows.len(), |times| {
            let sum = |part: fn(&Window) -> u64| -> f64 {
                let parts = windows.iter().zip(times);
                parts.map(|(w, &n)| part(w) as f64 * f64::from(n)).sum()
            };
            sum(|w| w.answered) / (sum(|w| w.length_ns) * 1e-9)
        });
        Self {
            median_ns: pooled.estimate(0.5, bootstrap),
            p99_ns: pooled.estimate(0.99, bootstrap),
            rate,
        }
    }
}

/// What is kept of each run for the intervals.
///
/// If there are more than a thousand runs, neighbours are put together: batches of runs are as independent of each other as
/// runs are, and there are enough of them.
#[derive(Clone, Debug)]
pub struct Units {
    units: Vec<Unit>,
    runs_in_unit: u64,
    /// How many runs the last unit lacks.
    missing: u64,
}

#[derive(Clone, Debug, Default)]
struct Unit {
    response: Distribution,
    window: Window,
}

impl Unit {
    fn merge(&mut self, other: &Self) {
        self.response.merge(&other.response);
        self.window.length_ns += other.window.length_ns;
        self.window.answered += other.window.answered;
    }
}

impl Default for Units {
    fn default() -> Self {
        Self {
            units: Vec::new(),
            runs_in_unit: 1,
            missing: 0,
        }
    }
}

impl Units {
    /// The most of them; twice as many as are left once there would be more.
    const MOST: usize = 1_000;

    /// Adds a run.
    pub fn add(&mut self, run: &RunResult) {
        if self.missing == 0 && self.units.len() == Self::MOST {
            let pairs = self.units.chunks_mut(2);
            let merged = pairs.map(|pair| {
                let mut first = std::mem::take(&mut pair[0]);
                pair[1..].iter().for_each(|second| first.merge(second));
                first
            });
            self.units = merged.collect();
            self.runs_in_unit *= 2;
        }
        if self.missing == 0 {
            self.units.push(Unit::default());
            self.missing = self.runs_in_unit;
        }
        self.missing -= 1;
        if let Some(last) = self.units.last_mut() {
            last.merge(&Unit {
                response: run.response.distribution(),
                window: run.window,
            });
        }
    }
}

impl<'a> FromIterator<&'a RunResult> for Units {
    fn from_iter<I: IntoIterator<Item = &'a RunResult>>(runs: I) -> Self {
        let mut units = Self::default();
        runs.into_iter().for_each(|run| units.add(run));
        units
    }
}

/// The latencies of several runs on one scale, so that any resample's percentile is found by a few additions.
#[derive(Clone, Debug)]
pub struct Pooled {
    runs: usize,
    /// All that occurred, the shortest first.
    values: Vec<u64>,
    /// For each of `values`, and there for each run, how many of the run's are at most as long.
    at_most: Vec<u64>,
}

impl Pooled {
    /// Puts the latencies of these runs together.
    pub fn new(runs: &[&Distribution]) -> Self {
        let mut values: Vec<u64> = runs
            .iter()
            .flat_map(|run| run.buckets.iter().map(|&(value, _)| value))
            .collect();
        values.sort_unstable();
        values.dedup();
        let mut at_most = vec![0; values.len() * runs.len()];
        for (place, run) in runs.iter().enumerate() {
            let mut buckets = run.buckets.iter().peekable();
            let mut sum = 0;
            for (value, row) in values.iter().zip(at_most.chunks_mut(runs.len())) {
                if let Some(&(_, count)) = buckets.next_if(|bucket| bucket.0 == *value) {
                    sum += count;
                }
                row[place] = sum;
            }
        }
        Self {
            runs: runs.len(),
            values,
            at_most,
        }
    }

    /// The quantile of all latencies, in nanoseconds, and its interval over the runs; `None` if there are too few latencies.
    pub fn estimate(&self, quantile: f64, bootstrap: &Bootstrap) -> Option<Estimate> {
        let all = self.count(self.values.len().checked_sub(1)?, &vec![1; self.runs]);
        if all < least_sample(quantile, CONFIDENCE) {
            return None;
        }
        bootstrap.estimate(self.runs, |times| {
            self.quantile(quantile, times)
                .map_or(f64::NAN, |ns| ns as f64)
        })
    }

    /// The quantile if each run is there so many times; `None` if none that is there has any latencies.
    fn quantile(&self, quantile: f64, times: &[u32]) -> Option<u64> {
        let all = self.count(self.values.len().checked_sub(1)?, times);
        if all == 0 {
            return None;
        }
        let rank = rank_of(quantile, all);
        let (mut first, mut last) = (0, self.values.len() - 1);
        while first < last {
            let middle = first + (last - first) / 2;
            if self.count(middle, times) < rank {
                first = middle + 1;
            } else {
                last = middle;
            }
        }
        Some(self.values[first])
    }

    /// How many latencies are at most as long as the value of this index.
    fn count(&self, index: usize, times: &[u32]) -> u64 {
        let row = &self.at_most[index * self.runs..][..self.runs];
        row.iter()
            .zip(times)
            .map(|(count, &n)| count * u64::from(n))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Histogram;

    fn distribution(values: impl IntoIterator<Item = u64>) -> Distribution {
        let mut histogram = Histogram::new();
        values.into_iter().for_each(|ns| histogram.record(ns));
        histogram.distribution()
    }

    fn run(values: impl IntoIterator<Item = u64>, answered: u64, length_ns: u64) -> RunResult {
        let mut run = RunResult {
            window: Window {
                length_ns,
                answered,
            },
            ..RunResult::default()
        };
        values.into_iter().for_each(|ns| run.response.record(ns));
        run
    }

    #[test]
    fn a_quantile_of_resampled_runs_is_that_of_all_their_latencies() {
        let mut rng = fastrand::Rng::with_seed(1);
        let runs: Vec<Distribution> = (0..6)
            .map(|run| distribution((0..200).map(|_| 1_000 * (run + 1) + rng.u64(..3_000))))
            .collect();
        let pooled = Pooled::new(&Vec::from_iter(&runs));
        for times in [[1; 6], [0, 0, 3, 0, 2, 1], [6, 0, 0, 0, 0, 0]] {
            let mut merged = Distribution::default();
            for (run, &n) in runs.iter().zip(&times) {
                (0..n).for_each(|_| merged.merge(run));
            }
            for quantile in [0.01, 0.5, 0.9, 0.99, 1.0] {
                assert_eq!(pooled.quantile(quantile, &times), merged.quantile(quantile));
            }
        }
    }

    #[test]
    fn a_percentile_needs_enough_latencies_of_all_runs_together() {
        let bootstrap = Bootstrap::new(1);
        let runs = |each| vec![distribution(1..=each); 8];
        let p99 = |each| Pooled::new(&Vec::from_iter(&runs(each))).estimate(0.99, &bootstrap);
        assert_eq!(p99(45), None);
        assert_eq!(p99(46).unwrap().value, 46.0);
        assert_eq!(p99(0), None);
        assert_eq!(Pooled::new(&[]).estimate(0.5, &bootstrap), None);
    }

    /// Ten thousand latencies a run are a sure figure of the run, but the runs differ: the interval must show that.
    #[test]
    fn the_interval_is_as_wide_as_the_runs_differ_however_many_latencies_they_have() {
        let runs = |by: u64| -> Vec<Distribution> {
            let one = |run: u64| distribution((0..10_000).map(|i| 100_000 + by * run + i % 100));
            (0..10).map(one).collect()
        };
        let width = |by| {
            let runs = runs(by);
            let pooled = Pooled::new(&Vec::from_iter(&runs));
            let estimate = pooled.estimate(0.5, &Bootstrap::new(2));
            estimate.unwrap().relative_width().unwrap()
        };
        assert!(width(0) < 0.001);
        assert!(width(5_000) > 0.1);
    }

    #[test]
    fn the_rate_is_that_of_all_windows_together() {
        let runs: Vec<RunResult> = [(1_000, 1_000_000_000), (3_000, 2_000_000_000), (5, 0)]
            .map(|(answered, length_ns)| run(1..=1_000, answered, length_ns))
            .into();
        let headline = Headline::of(&Units::from_iter(&runs), &Bootstrap::new(3));
        assert!((headline.rate.unwrap().value - 4_000.0 / 3.0).abs() < 1e-9);
        assert_eq!(headline.rate.unwrap().interval, None);
        assert_eq!(headline.median_ns.unwrap().value, 500.0);
        assert_eq!(headline.p99_ns.unwrap().value, 990.0);
    }

    #[test]
    fn five_runs_have_intervals() {
        let runs: Vec<RunResult> = (0..5)
            .map(|i| run((1..=100).map(|ns| ns * (100 + i)), 100 + i, 1_000))
            .collect();
        let headline = Headline::of(&Units::from_iter(&runs), &Bootstrap::new(4));
        for estimate in [headline.median_ns, headline.p99_ns, headline.rate] {
            let estimate = estimate.unwrap();
            let interval = estimate.interval.unwrap();
            assert!(interval.lo < estimate.value && estimate.value < interval.hi);
        }
    }

    #[test]
    fn no_runs_have_no_figures() {
        assert_eq!(
            Headline::of(&Units::default(), &Bootstrap::new(5)),
            Headline::default()
        );
    }

    #[test]
    fn many_runs_are_put_together_and_none_is_lost() {
        let mut units = Units::default();
        for number in 0..2_101 {
            units.add(&run([1_000 + number], number, 10));
        }
        assert!((500..=1_000).contains(&units.units.len()));
        let sizes = units.units.iter().map(|unit| unit.response.len());
        let (last, whole) = (sizes.clone().last().unwrap(), units.runs_in_unit);
        assert!(sizes.clone().rev().skip(1).all(|size| size == whole) && last <= whole);
        assert_eq!(sizes.sum::<u64>(), 2_101);
        let windows = units.units.iter().map(|unit| unit.window.answered);
        assert_eq!(windows.sum::<u64>(), 2_101 * 2_100 / 2);
    }
}
