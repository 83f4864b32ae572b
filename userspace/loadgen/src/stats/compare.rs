// SPDX-License-Identifier: GPL-2.0

//! Which of two servers is faster.
//!
//! Runs of A and B alternate, so that what changes with time (frequencies, neighbours, temperature) meets both alike: each
//! pair is a run of A and one of B, and pairs are mirrored two by two, A B B A or B A A B, so that what grows steadily
//! favours neither. A coin decides which of the two, so that nothing periodic can follow the pattern (Box, Hunter, Hunter:
//! *Statistics for Experimenters*, 2nd edition, Wiley 2005, chapter 3, on randomised paired comparisons).
//!
//! Each pair gives the logarithm of one ratio, A's figure to B's. Their mean is the logarithm of the geometric mean of the
//! ratios, and its interval is the bootstrap's over pairs. That is the same whichever of the two is called A, and figures of
//! a ratio need no unit: what is said of them also holds on a machine that is slow or small.
//!
//! A verdict is given only if the interval allows it. The chance of a difference that is none is then at most the interval's
//! risk, 5 %, and less the greater the threshold.

use serde::{Deserialize, Serialize};

use super::bootstrap::{Bootstrap, Estimate, Interval};

/// One of the two that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

impl Side {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// The order of runs: pair after pair, without an end. The same seed gives the same order.
#[derive(Clone, Debug)]
pub struct Order {
    rng: fastrand::Rng,
    /// What follows from the coin that was tossed last, backwards.
    due: Vec<Side>,
}

impl Order {
    /// The order that this seed gives.
    pub fn new(seed: u64) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed),
            due: Vec::with_capacity(4),
        }
    }
}

impl Iterator for Order {
    type Item = Side;

    fn next(&mut self) -> Option<Side> {
        if self.due.is_empty() {
            let first = if self.rng.bool() { Side::A } else { Side::B };
            let (second, third) = (first.other(), first.other());
            // It reads the same backwards.
            self.due.extend([first, second, third, first]);
        }
        self.due.pop()
    }
}

/// The geometric mean of the ratios of A's figures to B's, given by pairs; `None` if a pair has no ratio, or there are none.
pub fn ratio(pairs: &[(f64, f64)], bootstrap: &Bootstrap) -> Option<Estimate> {
    let logarithms: Vec<f64> = pairs.iter().map(|(a, b)| (a / b).ln()).collect();
    if !logarithms.iter().all(|ln| ln.is_finite()) {
        return None;
    }
    bootstrap.estimate(pairs.len(), |times| {
        let parts = logarithms.iter().zip(times);
        let sum: f64 = parts.map(|(ln, &n)| ln * f64::from(n)).sum();
        (sum / pairs.len() as f64).exp()
    })
}

/// What an interval of a ratio allows to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The figure of this side is higher, by more than the threshold.
    Higher(Side),
    /// If they differ, then by no more than the threshold, which is not 0.
    Alike,
    /// Nothing.
    Untold,
}

/// The verdict on a ratio of A to B. Differences up to `threshold`, relative to the lower figure, do not matter.
pub fn verdict(ratio: Option<Interval>, threshold: f64) -> Verdict {
    // So that the verdict is the same the other way round, the lower limit is 1/(1 + threshold) and not 1 − threshold.
    let limit = 1.0 + threshold.max(0.0);
    match ratio {
        Some(Interval { lo, .. }) if lo > limit => Verdict::Higher(Side::A),
        Some(Interval { hi, .. }) if hi < 1.0 / limit => Verdict::Higher(Side::B),
        Some(Interval { lo, hi }) if threshold > 0.0 && lo >= 1.0 / limit && hi <= limit => {
            Verdict::Alike
        }
        _ => Verdict::Untold,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs of two servers in the order there is, on a machine that slows down steadily: the pairs of their figures.
    fn experiment(
        seed: u64,
        pairs: usize,
        noise: f64,
        drift: f64,
        true_ratio: f64,
    ) -> Vec<(f64, f64)> {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x5eed);
        let runs: Vec<(Side, f64)> = Order::new(seed)
            .take(2 * pairs)
            .enumerate()
            .map(|(number, side)| {
                let deviation: f64 = (0..12).map(|_| rng.f64() - 0.5).sum();
                let figure = 50_000.0 * (noise * deviation - drift * number as f64).exp();
                (
                    side,
                    if side == Side::A {
                        figure * true_ratio
                    } else {
                        figure
                    },
                )
            })
            .collect();
        let of = |pair: &[(Side, f64)], side| pair.iter().find(|run| run.0 == side).unwrap().1;
        let pair = |pair: &[(Side, f64)]| (of(pair, Side::A), of(pair, Side::B));
        runs.chunks(2).map(pair).collect()
    }

    fn fast(seed: u64) -> Bootstrap {
        Bootstrap {
            resamples: 2_000,
            ..Bootstrap::new(seed)
        }
    }

    /// How many of the experiments end with each verdict: A higher, B higher, alike.
    fn verdicts(experiments: u64, of: impl Fn(u64) -> Vec<(f64, f64)>, threshold: f64) -> [u64; 3] {
        let mut counts = [0; 3];
        for seed in 0..experiments {
            let interval = ratio(&of(seed), &fast(!seed)).unwrap().interval;
            match verdict(interval, threshold) {
                Verdict::Higher(Side::A) => counts[0] += 1,
                Verdict::Higher(Side::B) => counts[1] += 1,
                Verdict::Alike => counts[2] += 1,
                Verdict::Untold => {}
            }
        }
        counts
    }

    #[test]
    fn runs_are_mirrored_two_pairs_by_two() {
        let order: Vec<Side> = Order::new(1).take(4_000).collect();
        let mut first = [0; 2];
        for four in order.chunks(4) {
            assert_eq!((four[0], four[1]), (four[3], four[2]));
            assert_ne!(four[0], four[1]);
            first[usize::from(four[0] == Side::B)] += 1;
        }
        // A thousand coins: each side within five standard deviations of the half.
        assert!(first.iter().all(|n| (421..=579).contains(n)), "{first:?}");
        assert!(Order::new(1).take(40).eq(Order::new(1).take(40)));
        assert!(!Order::new(1).take(40).eq(Order::new(2).take(40)));
    }

    #[test]
    fn the_ratio_is_the_geometric_mean() {
        let estimate = ratio(&[(2.0, 1.0), (8.0, 1.0)], &Bootstrap::new(0)).unwrap();
        assert!((estimate.value - 4.0).abs() < 1e-12);
        assert_eq!(estimate.interval, None);
        for impossible in [(0.0, 1.0), (1.0, 0.0), (f64::NAN, 1.0), (0.0, 0.0)] {
            assert_eq!(ratio(&[(1.0, 1.0), impossible], &Bootstrap::new(0)), None);
        }
        assert_eq!(ratio(&[], &Bootstrap::new(0)), None);
    }

    #[test]
    fn it_does_not_matter_which_one_is_called_a() {
        let pairs = experiment(1, 10, 0.02, 0.0, 1.1);
        let swapped: Vec<_> = pairs.iter().map(|&(a, b)| (b, a)).collect();
        let one = ratio(&pairs, &Bootstrap::new(3)).unwrap().interval.unwrap();
        let other = ratio(&swapped, &Bootstrap::new(3))
            .unwrap()
            .interval
            .unwrap();
        assert!((one.lo * other.hi - 1.0).abs() < 1e-3 && (one.hi * other.lo - 1.0).abs() < 1e-3);
        assert_eq!(verdict(Some(one), 0.05), Verdict::Higher(Side::A));
        assert_eq!(verdict(Some(other), 0.05), Verdict::Higher(Side::B));
    }

    #[test]
    fn a_verdict_needs_the_whole_interval() {
        let of = |lo, hi, threshold| verdict(Some(Interval { lo, hi }), threshold);
        assert_eq!(of(1.011, 1.05, 0.01), Verdict::Higher(Side::A));
        assert_eq!(of(1.009, 1.05, 0.01), Verdict::Untold);
        assert_eq!(of(0.95, 0.99, 0.01), Verdict::Higher(Side::B));
        assert_eq!(of(0.95, 0.991, 0.01), Verdict::Untold);
        assert_eq!(of(0.995, 1.005, 0.01), Verdict::Alike);
        assert_eq!(of(0.995, 1.02, 0.01), Verdict::Untold);
        // Without a threshold, nothing is ever alike.
        assert_eq!(of(0.999, 1.001, 0.0), Verdict::Untold);
        assert_eq!(of(1.001, 1.002, 0.0), Verdict::Higher(Side::A));
        assert_eq!(verdict(None, 0.01), Verdict::Untold);
    }

    /// 300 experiments with two servers that are the same: with the risk of 5 %, 15 false verdicts are expected, and 26 are
    /// three standard deviations more.
    #[test]
    fn equal_servers_are_rarely_told_apart() {
        for pairs in [8, 20] {
            let [a, b, _] = verdicts(300, |seed| experiment(seed, pairs, 0.03, 0.0, 1.0), 0.0);
            assert!(a + b <= 26, "{pairs} pairs: {a} and {b}");
            // And neither side is favoured.
            assert!(a.abs_diff(b) <= 13, "{pairs} pairs: {a} and {b}");
        }
        let [a, b, _] = verdicts(300, |seed| experiment(seed, 10, 0.03, 0.0, 1.0), 0.02);
        assert!(a + b <= 3, "beyond a threshold: {a} and {b}");
    }

    /// 1 % less with each run, far more than the noise: it must not be taken for a difference.
    #[test]
    fn a_machine_that_slows_down_favours_nobody() {
        let [a, b, _] = verdicts(200, |seed| experiment(seed, 10, 0.002, 0.01, 1.0), 0.0);
        assert!(a + b <= 20, "{a} and {b}");
    }

    #[test]
    fn a_true_difference_is_found() {
        let [a, b, _] = verdicts(200, |seed| experiment(seed, 10, 0.02, 0.0, 1.05), 0.01);
        assert!(a >= 180 && b == 0, "{a} and {b}");
        let [a, b, _] = verdicts(
            200,
            |seed| experiment(seed, 10, 0.02, 0.0, 1.0 / 1.05),
            0.01,
        );
        assert!(b >= 180 && a == 0, "{a} and {b}");
    }

    #[test]
    fn servers_that_hardly_differ_are_alike() {
        let [a, b, alike] = verdicts(200, |seed| experiment(seed, 20, 0.01, 0.0, 1.002), 0.02);
        assert!(a + b == 0 && alike >= 195, "{a}, {b} and {alike}");
    }
}
