// SPDX-License-Identifier: GPL-2.0

//! How several runs went over time, in as many points as can be told apart.

use crate::{
    result::{Distribution, Interval},
    stats::order::{least_sample, CONFIDENCE},
    RunResult,
};

/// The course of all runs of one server, one after the other.
///
/// However many runs there are, it has no more than some thousand intervals: if there were more, two become one.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    runs: Vec<Vec<Interval>>,
}

/// A part of the time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    /// When it began and ended, in seconds.
    pub(super) from: f64,
    pub(super) to: f64,
    /// Whether the one before it is of the same run.
    pub(super) goes_on: bool,
    /// Replies per second.
    pub(super) rate: f64,
    /// Latencies in nanoseconds; `None` if there are too few to tell.
    pub(super) median: Option<u64>,
    pub(super) p99: Option<u64>,
    pub(super) max: Option<u64>,
}

impl Timeline {
    /// The most intervals that are kept.
    const MOST: usize = 4_096;

    /// Adds a run.
    pub fn add(&mut self, run: &RunResult) {
        let mut intervals = run.intervals.clone();
        // What comes at the end, while connections end one after the other, tells little if it is short.
        if let [.., before, last] = intervals.as_mut_slice() {
            if last.length_ns < before.length_ns / 2 {
                *before = merged(&[before.clone(), last.clone()]);
                intervals.pop();
            }
        }
        self.runs.push(intervals);
        while self.intervals() > Self::MOST {
            self.coarsen();
        }
    }

    /// Whether nothing is known of any time.
    pub fn is_empty(&self) -> bool {
        self.intervals() == 0
    }

    /// At most so many points, or one for each run if these are more.
    pub(super) fn points(&self, most: usize) -> Vec<Point> {
        let together = self.intervals().div_ceil(most).max(1);
        let mut points = Vec::new();
        let mut start = 0;
        for run in &self.runs {
            for (number, part) in run.chunks(together).enumerate() {
                let whole = merged(part);
                let at = |ns: u64| (start + ns) as f64 * 1e-9;
                let quantile = |quantile| {
                    let enough = whole.response.len() >= least_sample(quantile, CONFIDENCE);
                    enough.then(|| whole.response.quantile(quantile)).flatten()
                };
                points.push(Point {
                    from: at(whole.start_ns),
                    to: at(whole.start_ns + whole.length_ns),
                    goes_on: number != 0,
                    rate: whole.response.len() as f64 / (whole.length_ns.max(1) as f64 * 1e-9),
                    median: quantile(0.5),
                    p99: quantile(0.99),
                    max: whole.response.quantile(1.0),
                });
            }
            start += run.last().map_or(0, |last| last.start_ns + last.length_ns);
        }
        points
    }

    fn intervals(&self) -> usize {
        self.runs.iter().map(Vec::len).sum()
    }

    /// Makes one of two intervals, or of two runs if they have but one each.
    fn coarsen(&mut self) {
        if self.runs.iter().any(|run| run.len() > 1) {
            for run in &mut self.runs {
                *run = run.chunks(2).map(merged).collect();
            }
            return;
        }
        let both = |pair: &[Vec<Interval>]| {
            let mut intervals = pair.concat();
            if let [first, second] = intervals.as_mut_slice() {
                second.start_ns = first.start_ns + first.length_ns;
                return vec![merged(&intervals)];
            }
            intervals
        };
        self.runs = self.runs.chunks(2).map(both).collect();
    }
}

/// Intervals that follow each other, as one; they are not none.
fn merged(intervals: &[Interval]) -> Interval {
    let mut response = Distribution::default();
    intervals
        .iter()
        .for_each(|interval| response.merge(&interval.response));
    Interval {
        start_ns: intervals[0].start_ns,
        length_ns: intervals.iter().map(|interval| interval.length_ns).sum(),
        response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// A run of seconds, with so many replies of a latency each.
    fn run(seconds: &[(u64, u64)]) -> RunResult {
        let interval = |(number, &(ns, count)): (usize, &(u64, u64))| Interval {
            start_ns: number as u64 * SECOND,
            length_ns: SECOND,
            response: Distribution {
                buckets: vec![(ns, count)],
            },
        };
        RunResult {
            intervals: seconds.iter().enumerate().map(interval).collect(),
            ..RunResult::default()
        }
    }

    #[test]
    fn runs_follow_each_other() {
        let mut timeline = Timeline::default();
        timeline.add(&run(&[(10, 1_000), (20, 5)]));
        timeline.add(&run(&[(30, 400)]));
        let point = |from: f64, goes_on, rate, [median, p99, max]: [Option<u64>; 3]| Point {
            from,
            to: from + 1.0,
            goes_on,
            rate,
            median,
            p99,
            max,
        };
        let expected = [
            point(0.0, false, 1_000.0, [Some(10); 3]),
            point(1.0, true, 5.0, [None, None, Some(20)]),
            point(2.0, false, 400.0, [Some(30); 3]),
        ];
        assert_eq!(timeline.points(10), expected);
    }

    #[test]
    fn a_short_end_is_part_of_what_was_before_it() {
        let mut short = run(&[(10, 1_000), (20, 900), (30, 99)]);
        short.intervals[2].length_ns = SECOND / 10;
        let mut timeline = Timeline::default();
        timeline.add(&short);
        let points = timeline.points(10);
        assert_eq!(
            (points.len(), points[1].to, points[1].max),
            (2, 2.1, Some(30))
        );
        assert!((points[1].rate - 999.0 / 1.1).abs() < 1e-9);
        // Half of the others' length is enough to stand alone.
        short.intervals[2].length_ns = SECOND / 2;
        timeline.add(&short);
        assert_eq!(timeline.points(10).len(), 5);
    }

    #[test]
    fn there_are_no_more_points_than_can_be_drawn() {
        let mut timeline = Timeline::default();
        timeline.add(&run(&[(10, 1_000); 100]));
        let points = timeline.points(10);
        assert_eq!(points.len(), 10);
        for (number, point) in points.iter().enumerate() {
            assert!((point.from - number as f64 * 10.0).abs() < 1e-9);
            assert!((point.to - point.from - 10.0).abs() < 1e-9);
            assert!((point.rate - 1_000.0).abs() < 1e-9);
        }
        assert_eq!(Timeline::default().points(10), []);
    }

    #[test]
    fn many_runs_are_kept_in_little_room_and_none_is_lost() {
        let mut timeline = Timeline::default();
        for _ in 0..5_000 {
            timeline.add(&run(&[(10, 7), (20, 3)]));
        }
        assert!((1_000..=Timeline::MOST).contains(&timeline.intervals()));
        let points = timeline.points(10_000);
        let replies: f64 = points
            .iter()
            .map(|point| point.rate * (point.to - point.from))
            .sum();
        assert!((replies - 50_000.0).abs() < 1e-3, "{replies}");
        assert_eq!(points.last().map(|point| point.to), Some(10_000.0));
        assert!(points.windows(2).all(|pair| pair[0].to == pair[1].from));
    }

    #[test]
    fn a_run_without_intervals_takes_no_time() {
        let mut timeline = Timeline::default();
        timeline.add(&RunResult::default());
        timeline.add(&run(&[(10, 1)]));
        assert_eq!(timeline.points(5).len(), 1);
    }
}
