// SPDX-License-Identifier: GPL-2.0

//! What the order statistics of a sample say about the quantiles of that which it was taken from.
//!
//! Of `n` independent samples, the number that are below the true `q`-quantile is binomial with the parameters `n` and `q`,
//! whatever the distribution. So the `l`-th smallest is above that quantile only if fewer than `l` samples are below it,
//! the `u`-th smallest is below it only if at least `u` are, and both probabilities can be computed without any further
//! assumption (Hahn, Meeker: *Statistical Intervals*, Wiley 1991, section 5.2; David, Nagaraja: *Order Statistics*, 3rd
//! edition, Wiley 2003, section 7.1). If not even the largest sample is above the quantile with the confidence asked for,
//! there is no upper bound, and the sample is too small to tell of that quantile.
//!
//! The latencies of one run are not independent: a stall makes many of them long. An interval of this kind is therefore the
//! narrowest that can be had; what runs differ by is told by [`super::bootstrap`].

/// The confidence of every interval that is reported.
pub const CONFIDENCE: f64 = 0.95;

/// How many samples it takes to bound the `quantile` (between 0 and 1, both excluded) from both sides with `confidence`,
/// half of the risk on each side.
///
/// For the confidence of 95 %: 6 for the median, 36 for p90, 368 for p99, 3,688 for p99.9 and 36,887 for p99.99.
pub fn least_sample(quantile: f64, confidence: f64) -> u64 {
    // All samples are below the quantile with the probability of quantile^n, and above it with that of (1 - quantile)^n.
    let likelier = quantile.max(1.0 - quantile);
    (tail(confidence).ln() / likelier.ln()).ceil() as u64
}

/// The rank (from 1, the smallest) whose value is at most the `quantile` of that which `samples` were taken from, with half
/// of the risk that `confidence` leaves; `None` if there are too few samples.
///
/// Together with [`upper_rank`], it is the narrowest that keeps each side's risk, so that the true confidence is at least
/// the one asked for.
///
/// # Examples
///
/// ```
/// use loadgen::stats::order::{lower_rank, upper_rank};
/// assert_eq!(lower_rank(0.5, 20, 0.95), Some(6));
/// assert_eq!(upper_rank(0.5, 20, 0.95), Some(15));
/// ```
pub fn lower_rank(quantile: f64, samples: u64, confidence: f64) -> Option<u64> {
    // Counted from the other end, it is an upper one.
    upper_rank(1.0 - quantile, samples, confidence).map(|rank| samples + 1 - rank)
}

/// The rank whose value is at least that quantile; it may exist although the lower one does not.
pub fn upper_rank(quantile: f64, samples: u64, confidence: f64) -> Option<u64> {
    let rank = least_unlikely_to_be_reached(samples, quantile, tail(confidence))?;
    (rank <= samples).then_some(rank)
}

/// The value of this rank (from 1) among values that are each given with how often it occurred, in ascending order; the
/// last one if there are not so many, and `None` if there are none.
pub fn value_at_rank(buckets: &[(u64, u64)], rank: u64) -> Option<u64> {
    let mut seen = 0;
    buckets
        .iter()
        .find(|&&(_, count)| {
            seen += count;
            seen >= rank
        })
        .or(buckets.last())
        .map(|&(value, _)| value)
}

/// The rank of the `quantile` among so many samples, as HDR histograms have it: at least that part is at most as long.
pub fn rank_of(quantile: f64, samples: u64) -> u64 {
    // The rounding error of 0.999 * 1,000 must not make it the 1,000th.
    let exact = quantile * samples as f64;
    let near = exact.round();
    let rank = if (exact - near).abs() <= near * 4.0 * f64::EPSILON {
        near
    } else {
        exact.ceil()
    };
    (rank as u64).clamp(1, samples.max(1))
}

/// The risk on each side of a two-sided interval.
fn tail(confidence: f64) -> f64 {
    (1.0 - confidence) / 2.0
}

/// The least `u` for which a binomial variable is `u` or more with at most the probability `risk`; `None` if `q` is not
/// between 0 and 1.
///
/// The probabilities are summed relative to that of the most probable value, from which each follows from its neighbour by
/// one multiplication: no special function is needed, nothing cancels, and only about 20 standard deviations count, 4 ms of
/// work for 10^10 samples.
fn least_unlikely_to_be_reached(n: u64, q: f64, risk: f64) -> Option<u64> {
    /// Values that are this much less probable than the most probable one are as good as impossible.
    const NEGLIGIBLE: f64 = 1e-20;

    if !(q > 0.0 && q < 1.0) {
        return None;
    }
    let odds = q / (1.0 - q);
    let up = |k: u64| (n - k) as f64 / (k + 1) as f64 * odds; // from k to k + 1
    let mode = (((n + 1) as f64 * q) as u64).min(n);

    let mut total = 1.0;
    let (mut k, mut weight) = (mode, 1.0);
    while k > 0 && weight > NEGLIGIBLE {
        weight /= up(k - 1);
        k -= 1;
        total += weight;
    }
    (k, weight) = (mode, 1.0);
    while k < n && weight > NEGLIGIBLE {
        weight *= up(k);
        k += 1;
        total += weight;
    }
    // And back, the smallest first.
    let mut reached = 0.0;
    loop {
        reached += weight;
        if reached > risk * total || k == 0 {
            return Some(k + 1);
        }
        weight /= up(k - 1);
        k -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both ranks, between which the quantile is.
    fn ranks(quantile: f64, samples: u64, confidence: f64) -> Option<(u64, u64)> {
        let lower = lower_rank(quantile, samples, confidence)?;
        Some((lower, upper_rank(quantile, samples, confidence)?))
    }

    /// How many of 2^n outcomes of n coins have at most `most` heads.
    fn coins_with_at_most(n: u64, most: u64) -> u128 {
        let mut choose = 1_u128;
        let mut sum = 1;
        for k in 0..most {
            choose = choose * u128::from(n - k) / u128::from(k + 1);
            sum += choose;
        }
        sum
    }

    #[test]
    fn the_least_samples_are_those_that_are_promised() {
        for (quantile, samples) in [
            (0.5, 6),
            (0.9, 36),
            (0.99, 368),
            (0.999, 3_688),
            (0.9999, 36_887),
            (0.01, 368),
        ] {
            assert_eq!(least_sample(quantile, CONFIDENCE), samples, "{quantile}");
            assert!(ranks(quantile, samples, CONFIDENCE).is_some());
            assert_eq!(ranks(quantile, samples - 1, CONFIDENCE), None);
        }
    }

    /// The sample sizes from which the extreme is a bound with one-sided 95 % confidence: the A-basis (1st percentile) and
    /// the B-basis (10th percentile) of MIL-HDBK-17-1F, Polymer Matrix Composites, volume 1, section 8.3, and Wilks' 59.
    #[test]
    fn the_least_samples_of_one_side_are_those_of_the_handbook() {
        for (quantile, samples) in [(0.99, 299), (0.9, 29), (0.95, 59)] {
            assert_eq!(least_sample(quantile, 0.9), samples);
            assert_eq!(upper_rank(quantile, samples, 0.9), Some(samples));
            assert_eq!(upper_rank(quantile, samples - 1, 0.9), None);
            assert_eq!(lower_rank(1.0 - quantile, samples, 0.9), Some(1));
        }
    }

    /// Weiss: Introductory Statistics, and every other table of the sign test's intervals of a median.
    #[test]
    fn the_intervals_of_the_median_are_those_of_the_tables() {
        for (samples, lower, upper) in [
            (6, 1, 6),
            (7, 1, 7),
            (9, 2, 8),
            (10, 2, 9),
            (12, 3, 10),
            (15, 4, 12),
            (16, 4, 13),
            (17, 5, 13),
            (18, 5, 14),
            (20, 6, 15),
        ] {
            let interval = ranks(0.5, samples, CONFIDENCE);
            assert_eq!(interval, Some((lower, upper)), "{samples}");
        }
    }

    #[test]
    fn the_bounds_of_a_median_are_the_narrowest_that_whole_numbers_allow() {
        for samples in 6..=120 {
            let (lower, upper) = ranks(0.5, samples, CONFIDENCE).unwrap();
            assert_eq!(lower + upper, samples + 1);
            let all = 1_u128 << samples;
            assert!(coins_with_at_most(samples, lower - 1) * 40 <= all);
            assert!(coins_with_at_most(samples, lower) * 40 > all);
        }
    }

    #[test]
    fn the_bounds_of_any_quantile_keep_their_risk_and_are_the_narrowest() {
        for (samples, percent) in [
            (40_u32, 90_u32),
            (400, 99),
            (1_000, 99),
            (100, 10),
            (500, 68),
        ] {
            // Each probability on its own, as a product of its factors taken in an order that keeps it in range.
            let exactly = |k: u32| {
                let (mut p, mut successes, mut failures) = (1.0, k, samples - k);
                let mut choose = (1..=k).map(|i| f64::from(samples - k + i) / f64::from(i));
                loop {
                    if p < 1.0 {
                        if let Some(factor) = choose.next() {
                            p *= factor;
                            continue;
                        }
                    }
                    if successes > 0 {
                        (p, successes) = (p * f64::from(percent) / 100.0, successes - 1);
                    } else if failures > 0 {
                        (p, failures) = (p * (1.0 - f64::from(percent) / 100.0), failures - 1);
                    } else {
                        return choose.fold(p, |p, factor| p * factor);
                    }
                }
            };
            let at_least = |k: u64| -> f64 { (k as u32..=samples).map(exactly).sum() };
            let at_most = |k: u64| -> f64 { (0..=k as u32).map(exactly).sum() };
            let (lower, upper) =
                ranks(f64::from(percent) / 100.0, u64::from(samples), CONFIDENCE).unwrap();
            assert!(at_least(upper) <= 0.025 && at_least(upper - 1) > 0.025);
            assert!(at_most(lower - 1) <= 0.025 && at_most(lower) > 0.025);
        }
    }

    /// For large samples, the binomial distribution is the normal one.
    #[test]
    fn billions_of_samples_are_no_difficulty() {
        let (samples, quantile) = (10_000_000_000_u64, 0.99);
        let interval = ranks(quantile, samples, CONFIDENCE).unwrap();
        let middle = samples as f64 * quantile;
        let half = 1.959_963_985 * (middle * (1.0 - quantile)).sqrt();
        assert!((interval.0 as f64 - (middle - half)).abs() < 2.0);
        assert!((interval.1 as f64 - (middle + half)).abs() < 2.0);
    }

    #[test]
    fn a_sample_may_bound_a_quantile_from_one_side_only() {
        assert_eq!(upper_rank(0.99, 100, CONFIDENCE), None);
        assert_eq!(lower_rank(0.99, 100, CONFIDENCE), Some(97));
    }

    #[test]
    fn nothing_is_told_by_no_samples_nor_of_what_is_no_quantile() {
        assert_eq!(ranks(0.5, 0, CONFIDENCE), None);
        for quantile in [0.0, 1.0, -1.0, 2.0, f64::NAN] {
            assert_eq!(ranks(quantile, 1_000, CONFIDENCE), None);
        }
    }

    /// The promise itself: of many samples of a known distribution, the interval misses the true quantile in at most 5 %.
    #[test]
    fn the_true_quantile_is_inside_as_often_as_promised() {
        const EXPERIMENTS: usize = 2_000;
        let mut rng = fastrand::Rng::with_seed(1);
        let (lower, upper) = ranks(0.9, 200, CONFIDENCE).unwrap();
        let mut inside = 0;
        for _ in 0..EXPERIMENTS {
            let mut sample: Vec<f64> = (0..200).map(|_| rng.f64()).collect();
            sample.sort_by(f64::total_cmp);
            let at = |rank: u64| sample[rank as usize - 1];
            inside += usize::from(at(lower) <= 0.9 && 0.9 <= at(upper));
        }
        // At least 95 %, but not so much more that the interval would be wider than it has to be.
        assert!(
            (EXPERIMENTS * 945 / 1_000..EXPERIMENTS * 98 / 100).contains(&inside),
            "{inside}"
        );
    }

    #[test]
    fn ranks_are_found_among_what_occurred_more_than_once() {
        let buckets = [(10, 5), (20, 4), (1_000, 1)];
        for (rank, value) in [(1, 10), (5, 10), (6, 20), (9, 20), (10, 1_000), (11, 1_000)] {
            assert_eq!(value_at_rank(&buckets, rank), Some(value), "{rank}");
        }
        assert_eq!(value_at_rank(&[], 1), None);
    }

    #[test]
    fn the_rank_of_a_quantile_is_not_moved_by_rounding() {
        for samples in [10, 1_000, 100_000, 10_000_000] {
            for (quantile, per_mille) in [(0.1, 100), (0.7, 700), (0.9, 900), (0.997, 997)] {
                if samples * per_mille % 1_000 == 0 {
                    assert_eq!(rank_of(quantile, samples), samples * per_mille / 1_000);
                }
            }
        }
        assert_eq!((rank_of(0.5, 3), rank_of(0.99, 10)), (2, 10));
        assert_eq!((rank_of(0.0, 10), rank_of(1.0, 10)), (1, 10));
    }
}
