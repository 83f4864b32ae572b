// SPDX-License-Identifier: GPL-2.0

//! Whether a run was steady, so that its figures stand for more than the moment.
//!
//! The rate and the median latency of the run's intervals are looked at for a drift, which is the slope of the straight
//! line through them, and for their spread around that line. The limits follow the steady state of SNIA's *Solid State
//! Storage Performance Test Specification*: the line changes by at most 10 % of the mean over the time that was measured,
//! and values are within 20 % of each other; of five normal values, as there, that is a standard deviation of 8.6 %, here
//! 10 %.
//!
//! A drift must also be significant. Neighbouring intervals tend to be alike, by which a plain t-test would be misled; so
//! the number of intervals is taken as the number of independent ones that their autocorrelation leaves (Santer et al.:
//! *Statistical significance of trends*, Journal of Geophysical Research 105(D6), 2000, equations 2 to 6).

use std::fmt;

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::result::{Distribution, Interval};

/// The greatest change over a run, relative to the mean, that is no drift.
pub const MAX_DRIFT: f64 = 0.1;
/// The greatest standard deviation of intervals, relative to the mean, that is steady.
pub const MAX_SPREAD: f64 = 0.1;
/// The greatest probability that a drift is but chance.
const SIGNIFICANT: f64 = 0.01;
/// How many intervals there must be.
const LEAST_INTERVALS: usize = 8;
/// How many replies an interval must have on the average; shorter ones are put together.
const LEAST_REPLIES: u64 = 100;

/// How a figure went over the time of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Course {
    /// The change from the first interval to the last, along a straight line, relative to the mean.
    pub drift: f64,
    /// How probable as great a drift is by chance.
    pub chance: f64,
    /// The standard deviation around the line, relative to the mean.
    pub spread: f64,
}

/// How a run went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steadiness {
    /// Replies per second.
    pub rate: Course,
    /// The median response latency.
    pub median: Course,
}

/// Why a run was not steady.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unsteady {
    /// The rate changed by this part of its mean.
    RateDrifts(f64),
    /// The rate's standard deviation is this part of its mean.
    RateVaries(f64),
    /// The median latency changed by this part of its mean.
    MedianDrifts(f64),
    /// The median latency's standard deviation is this part of its mean.
    MedianVaries(f64),
}

impl fmt::Display for Unsteady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let change = |f: &mut fmt::Formatter<'_>, what: &str, by: f64| {
            let direction = if by > 0.0 { "rose" } else { "fell" };
            write!(f, "the {what} {direction} by {:.0} %", by.abs() * 100.0)
        };
        match *self {
            Self::RateDrifts(by) => change(f, "rate", by),
            Self::MedianDrifts(by) => change(f, "median latency", by),
            Self::RateVaries(by) => {
                write!(
                    f,
                    "the rate varied by {:.0} % (standard deviation)",
                    by * 100.0
                )
            }
            Self::MedianVaries(by) => write!(
                f,
                "the median latency varied by {:.0} % (standard deviation)",
                by * 100.0
            ),
        }
    }
}

impl Steadiness {
    /// Judges the intervals of one run; `None` if there are too few, or too few replies, to tell.
    pub fn of(intervals: &[Interval]) -> Option<Self> {
        // The last one may be shorter than the others.
        let whole = intervals.split_last().map(|(last, others)| {
            let complete = others
                .first()
                .is_none_or(|first| last.length_ns >= first.length_ns);
            if complete {
                intervals
            } else {
                others
            }
        })?;
        let replies: u64 = whole.iter().map(|interval| interval.response.len()).sum();
        let mean = (replies / whole.len().max(1) as u64).max(1);
        let together = usize::try_from(LEAST_REPLIES.div_ceil(mean)).ok()?;
        let parts = whole.chunks_exact(together);
        if parts.len() < LEAST_INTERVALS || replies == 0 {
            return None;
        }

        let (mut rates, mut medians) = (Vec::new(), Vec::new());
        for part in parts {
            let mut latencies = Distribution::default();
            part.iter()
                .for_each(|interval| latencies.merge(&interval.response));
            let seconds = part.iter().map(|i| i.length_ns).sum::<u64>() as f64 * 1e-9;
            rates.push(latencies.len() as f64 / seconds);
            // In an interval without replies, the latencies to come are at least as long as any.
            medians.extend(latencies.quantile(0.5).map(|ns| ns as f64));
        }
        // Independent arrivals vary by themselves, by the square root of their number.
        let by_counting = 1.0 / (mean * together as u64) as f64;
        let mut rate = course(&rates)?;
        rate.spread = (rate.spread.powi(2) - by_counting).max(0.0).sqrt();
        Some(Self {
            rate,
            median: course(&medians)?,
        })
    }

    /// Why the run was not steady; empty if it was.
    pub fn objections(&self) -> Vec<Unsteady> {
        let drifts =
            |course: &Course| course.drift.abs() > MAX_DRIFT && course.chance < SIGNIFICANT;
        let varies = |course: &Course| course.spread > MAX_SPREAD;
        let Self { rate, median } = self;
        [
            drifts(rate).then_some(Unsteady::RateDrifts(rate.drift)),
            varies(rate).then_some(Unsteady::RateVaries(rate.spread)),
            drifts(median).then_some(Unsteady::MedianDrifts(median.drift)),
            varies(median).then_some(Unsteady::MedianVaries(median.spread)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// How values at equal distances in time went; `None` if there are too few, or their mean is not above 0.
fn course(values: &[f64]) -> Option<Course> {
    let points: Vec<(f64, f64)> = values
        .iter()
        .enumerate()
        .map(|(i, &y)| (i as f64, y))
        .collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    if mean <= 0.0 || !mean.is_finite() {
        return None;
    }
    let line = Line::through(&points)?;
    Some(Course {
        drift: line.slope * (values.len() - 1) as f64 / mean,
        chance: line.chance_of_slope(&points),
        spread: line.residual_deviation / mean,
    })
}

/// A straight line by least squares.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Line {
    intercept: f64,
    slope: f64,
    /// The standard error of the slope.
    slope_error: f64,
    /// The standard deviation of the points around the line.
    residual_deviation: f64,
}

impl Line {
    /// The line through at least three points that do not all have the same `x`.
    fn through(points: &[(f64, f64)]) -> Option<Self> {
        let n = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
        let (mean_x, mean_y) = (mean(|p| p.0), mean(|p| p.1));
        // Around the means, so that nothing large cancels.
        let sum = |of: fn(f64, f64) -> f64| -> f64 {
            points
                .iter()
                .map(|&(x, y)| of(x - mean_x, y - mean_y))
                .sum()
        };
        let sxx = sum(|x, _| x * x);
        if points.len() < 3 || sxx <= 0.0 {
            return None;
        }
        let slope = sum(|x, y| x * y) / sxx;
        let intercept = mean_y - slope * mean_x;
        let residuals = points.iter().map(|(x, y)| y - intercept - slope * x);
        let variance = residuals.map(|r| r * r).sum::<f64>() / (n - 2.0);
        Some(Self {
            intercept,
            slope,
            slope_error: (variance / sxx).sqrt(),
            residual_deviation: variance.sqrt(),
        })
    }

    /// How probable it is that there is as much slope by chance, the points being evenly spaced in time.
    fn chance_of_slope(&self, points: &[(f64, f64)]) -> f64 {
        let residuals: Vec<f64> = points
            .iter()
            .map(|(x, y)| y - self.intercept - self.slope * x)
            .collect();
        let squares: f64 = residuals.iter().map(|r| r * r).sum();
        if squares == 0.0 {
            return if self.slope == 0.0 { 1.0 } else { 0.0 };
        }
        let neighbours: f64 = residuals.windows(2).map(|pair| pair[0] * pair[1]).sum();
        let correlation = (neighbours / squares).clamp(0.0, 0.99);
        let n = points.len() as f64;
        let independent = n * (1.0 - correlation) / (1.0 + correlation);
        let freedom = independent - 2.0;
        if freedom <= 0.0 {
            return 1.0;
        }
        let error = self.slope_error * ((n - 2.0) / freedom).sqrt();
        let t = (self.slope / error).abs();
        StudentsT::new(0.0, 1.0, freedom).map_or(1.0, |student| 2.0 * student.sf(t))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Intervals of a second each, with so many replies of these latencies.
    fn intervals(of: impl IntoIterator<Item = (u64, u64)>) -> Vec<Interval> {
        of.into_iter()
            .enumerate()
            .map(|(i, (replies, ns))| Interval {
                start_ns: i as u64 * SECOND,
                length_ns: SECOND,
                response: Distribution {
                    buckets: if replies == 0 {
                        Vec::new()
                    } else {
                        vec![(ns, replies)]
                    },
                },
            })
            .collect()
    }

    fn objections(intervals: &[Interval]) -> Vec<Unsteady> {
        Steadiness::of(intervals).unwrap().objections()
    }

    fn normal(rng: &mut fastrand::Rng) -> f64 {
        (0..12).map(|_| rng.f64() - 0.5).sum()
    }

    /// The data set Norris of NIST's Statistical Reference Datasets, and its certified values.
    #[test]
    fn the_line_is_the_certified_one() {
        let y = [
            0.1, 338.8, 118.1, 888.0, 9.2, 228.1, 668.5, 998.5, 449.1, 778.9, 559.2, 0.3, 0.1,
            778.1, 668.8, 339.3, 448.9, 10.8, 557.7, 228.3, 998.0, 888.8, 119.6, 0.3, 0.6, 557.6,
            339.3, 888.0, 998.5, 778.9, 10.2, 117.6, 228.9, 668.4, 449.2, 0.2,
        ];
        let x = [
            0.2, 337.4, 118.2, 884.6, 10.1, 226.5, 666.3, 996.3, 448.6, 777.0, 558.2, 0.4, 0.6,
            775.5, 666.9, 338.0, 447.5, 11.6, 556.0, 228.1, 995.8, 887.6, 120.2, 0.3, 0.3, 556.8,
            339.1, 887.2, 999.0, 779.0, 11.1, 118.3, 229.2, 669.1, 448.9, 0.5,
        ];
        let points: Vec<_> = x.into_iter().zip(y).collect();
        let line = Line::through(&points).unwrap();
        for (found, certified) in [
            (line.intercept, -0.262_323_073_774_029),
            (line.slope, 1.002_116_818_020_45),
            (line.slope_error, 0.429_796_848_199_937e-3),
            (line.residual_deviation, 0.884_796_396_144_373),
        ] {
            assert!(
                (found / certified - 1.0).abs() < 1e-11,
                "{found} {certified}"
            );
        }
    }

    #[test]
    fn a_line_needs_three_points_at_more_than_one_place() {
        assert_eq!(Line::through(&[(0.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(Line::through(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]), None);
    }

    #[test]
    fn a_run_that_never_changes_is_steady() {
        assert_eq!(objections(&intervals([(1_000, 20_000); 20])), []);
    }

    #[test]
    fn a_drift_is_named_with_its_direction() {
        let falling = intervals((0..20).map(|i| (10_000 - 100 * i, 20_000)));
        let found = objections(&falling);
        let [Unsteady::RateDrifts(by)] = found[..] else {
            panic!("{found:?}");
        };
        assert!((by + 1_900.0 / 9_050.0).abs() < 1e-9);
        assert_eq!(found[0].to_string(), "the rate fell by 21 %");
        let rising = intervals((0..20).map(|i| (10_000, 20_000 + 500 * i)));
        assert_eq!(
            objections(&rising)[0].to_string(),
            "the median latency rose by 38 %"
        );
        // As much as is allowed.
        let slight = intervals((0..20).map(|i| (10_000 - 50 * i, 20_000)));
        assert_eq!(objections(&slight), []);
    }

    #[test]
    fn a_run_with_a_stall_varies() {
        let stalled = intervals((0..20).map(|i| if i == 9 { (0, 0) } else { (10_000, 20_000) }));
        let found = objections(&stalled);
        assert!(
            matches!(found[..], [Unsteady::RateVaries(by)] if by > 0.2),
            "{found:?}"
        );
        assert_eq!(
            found[0].to_string(),
            "the rate varied by 24 % (standard deviation)"
        );
    }

    #[test]
    fn random_arrivals_do_not_vary_by_themselves() {
        let mut rng = fastrand::Rng::with_seed(1);
        // 100 independent replies on the average: their number varies by 10 %, and that twice as often as not by more.
        let mut objected = 0;
        for _ in 0..200 {
            let run = intervals((0..50).map(|_| {
                let replies = 100.0 + 10.0 * normal(&mut rng);
                (replies as u64, 20_000)
            }));
            objected += usize::from(!objections(&run).is_empty());
        }
        assert!(objected <= 4, "{objected}");
    }

    #[test]
    fn intervals_with_few_replies_are_put_together() {
        // 7 or 13 a second are 100 or so in ten seconds.
        let run = intervals((0..200).map(|i| (7 + 6 * (i % 2), 20_000)));
        assert_eq!(objections(&run), []);
        assert_eq!(Steadiness::of(&run[..70]), None);
    }

    #[test]
    fn the_last_interval_may_be_cut_off() {
        let mut run = intervals([(1_000, 20_000); 9]);
        run[8].length_ns = SECOND / 10;
        run[8].response.buckets[0].1 = 1;
        assert_eq!(objections(&run), []);
        run.remove(0);
        assert_eq!(Steadiness::of(&run), None);
    }

    #[test]
    fn too_little_is_not_judged() {
        assert_eq!(Steadiness::of(&[]), None);
        assert_eq!(Steadiness::of(&intervals([(1_000, 20_000); 7])), None);
        assert_eq!(Steadiness::of(&intervals([(0, 0); 20])), None);
    }

    /// What is significant with 1 % is so by chance in 1 % of the cases, also if neighbours are alike.
    #[test]
    fn chance_is_not_taken_for_a_drift() {
        for (correlation, most) in [(0.0, 20), (0.5, 40)] {
            let mut rng = fastrand::Rng::with_seed(2);
            let mut significant = 0;
            for _ in 0..1_000 {
                let mut value = 0.0;
                let values: Vec<f64> = (0..60)
                    .map(|_| {
                        value = correlation * value + normal(&mut rng);
                        100.0 + value
                    })
                    .collect();
                significant += usize::from(course(&values).unwrap().chance < SIGNIFICANT);
            }
            assert!(significant <= most, "{correlation}: {significant} of 1,000");
        }
    }

    #[test]
    fn a_true_drift_is_found_in_noise() {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut found = 0;
        for _ in 0..100 {
            let run = intervals((0..60).map(|i| {
                let rate = 10_000.0 * (1.0 - 0.2 * f64::from(i) / 60.0 + 0.05 * normal(&mut rng));
                (rate as u64, 20_000)
            }));
            let objections = objections(&run);
            found += usize::from(matches!(objections[..], [Unsteady::RateDrifts(by)] if by < 0.0));
        }
        assert!(found >= 95, "{found}");
    }
}
