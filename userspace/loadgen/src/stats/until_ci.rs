// SPDX-License-Identifier: GPL-2.0

//! Runs until the intervals are narrow enough.
//!
//! To stop as soon as an interval is narrow favours the moments at which it is so by chance, and then the true figure is
//! inside a little less often than promised (Chow, Robbins: *On the Asymptotic Theory of Fixed-Width Sequential Confidence
//! Intervals for the Mean*, Annals of Mathematical Statistics 36(2), 1965: right in the limit of narrow intervals). So no
//! fewer than 10 runs are made. Simulated with normal figures and 17 to 60 runs until it is enough, 95 % then are 94 %.

use serde::{Deserialize, Serialize};

use super::bootstrap::Estimate;

/// What to do after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// One more run.
    GoOn,
    /// All intervals are narrow enough.
    Enough,
    /// Not all are, but no more runs are allowed.
    GaveUp,
}

/// Decides after each run.
#[derive(Clone, Debug)]
pub struct UntilCi {
    width: f64,
    most: u64,
    runs: u64,
}

impl UntilCi {
    /// The number of runs before which no interval is trusted.
    pub const LEAST_RUNS: u64 = 10;

    /// Until no interval is wider than `width`, relative to its figure; or until there are `most` runs.
    pub fn new(width: f64, most: u64) -> Self {
        Self {
            width,
            most,
            runs: 0,
        }
    }

    /// A run was made, after which these are the figures that matter; one that is `None` could not be told.
    pub fn after_run(&mut self, figures: &[Option<Estimate>]) -> Decision {
        self.runs += 1;
        let narrow = |figure: &Option<Estimate>| {
            figure
                .and_then(|figure| figure.relative_width())
                .is_some_and(|width| width <= self.width)
        };
        if self.runs >= Self::LEAST_RUNS && figures.iter().all(narrow) {
            Decision::Enough
        } else if self.runs >= self.most {
            Decision::GaveUp
        } else {
            Decision::GoOn
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::bootstrap::{Bootstrap, Interval};

    fn figure(width: f64) -> Option<Estimate> {
        Some(Estimate {
            value: 100.0,
            interval: Some(Interval {
                lo: 100.0 - 50.0 * width,
                hi: 100.0 + 50.0 * width,
            }),
        })
    }

    fn after(runs: u64, until: &mut UntilCi, figures: &[Option<Estimate>]) -> Decision {
        (1..runs).for_each(|_| assert_eq!(until.after_run(figures), Decision::GoOn));
        until.after_run(figures)
    }

    #[test]
    fn it_is_enough_once_every_interval_is_narrow() {
        let mut until = UntilCi::new(0.02, 99);
        let wide = [figure(0.019), figure(0.021)];
        assert_eq!(after(50, &mut until, &wide), Decision::GoOn);
        let narrow = [figure(0.019), figure(0.02)];
        assert_eq!(until.after_run(&narrow), Decision::Enough);
    }

    #[test]
    fn ten_runs_are_made_however_narrow_the_intervals_are() {
        let mut until = UntilCi::new(0.02, 99);
        assert_eq!(after(10, &mut until, &[figure(0.0)]), Decision::Enough);
    }

    #[test]
    fn it_is_given_up_after_the_last_run_that_is_allowed() {
        let mut until = UntilCi::new(0.02, 30);
        assert_eq!(after(30, &mut until, &[figure(0.5)]), Decision::GaveUp);
        let mut until = UntilCi::new(0.02, 3);
        assert_eq!(after(3, &mut until, &[figure(0.0)]), Decision::GaveUp);
        let mut until = UntilCi::new(0.02, 10);
        assert_eq!(after(10, &mut until, &[figure(0.0)]), Decision::Enough);
    }

    #[test]
    fn a_figure_that_cannot_be_told_is_never_enough() {
        let mut until = UntilCi::new(0.02, 20);
        assert_eq!(
            after(20, &mut until, &[figure(0.0), None]),
            Decision::GaveUp
        );
        let without_interval = Some(Estimate {
            value: 1.0,
            interval: None,
        });
        let mut until = UntilCi::new(0.02, 20);
        assert_eq!(after(20, &mut until, &[without_interval]), Decision::GaveUp);
    }

    #[test]
    fn stopping_early_keeps_most_of_the_confidence() {
        const EXPERIMENTS: u64 = 120;
        let mut inside = 0;
        for seed in 0..EXPERIMENTS {
            let mut rng = fastrand::Rng::with_seed(seed);
            let bootstrap = Bootstrap {
                resamples: 2_000,
                ..Bootstrap::new(!seed)
            };
            let mut until = UntilCi::new(0.02, 200);
            let mut runs = Vec::new();
            let last = loop {
                // Around 100, with a deviation of 2: about 15 runs are needed.
                let deviation: f64 = (0..12).map(|_| rng.f64() - 0.5).sum();
                runs.push(100.0 + 2.0 * deviation);
                if runs.len() < UntilCi::LEAST_RUNS as usize {
                    assert_eq!(until.after_run(&[None]), Decision::GoOn);
                    continue;
                }
                let estimate = bootstrap.estimate(runs.len(), |times| {
                    let parts = runs.iter().zip(times);
                    parts.map(|(run, &n)| run * f64::from(n)).sum::<f64>() / runs.len() as f64
                });
                match until.after_run(&[estimate]) {
                    Decision::GoOn => {}
                    Decision::Enough => break estimate.unwrap().interval.unwrap(),
                    Decision::GaveUp => panic!("200 runs are not enough"),
                }
            };
            inside += u64::from(last.lo <= 100.0 && 100.0 <= last.hi);
        }
        assert!(inside >= EXPERIMENTS * 9 / 10, "{inside} of {EXPERIMENTS}");
    }
}
