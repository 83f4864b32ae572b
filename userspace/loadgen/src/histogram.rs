// SPDX-License-Identifier: GPL-2.0

//! Latencies, kept as an HDR histogram: 1 ns to 60 s with three significant digits, in 220 KB whatever their number.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::result::Distribution;

/// A place in the distribution: how many of 10,000 round trips are at most as long. The median is 5,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percentile(pub u16);

/// The longest round trip that the buckets tell from longer ones.
pub(crate) const LONGEST_NS: u64 = 60_000_000_000;

/// How many round trips were how long.
///
/// It is stored, by serde, as its extremes and those of its buckets that are not empty.
#[derive(Clone, PartialEq)]
pub struct Histogram {
    buckets: hdrhistogram::Histogram<u64>,
    /// The extremes are kept beside the buckets, for there they would be rounded.
    min_ns: u64,
    max_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Histogram {
    /// Without the buckets, which are 27,648.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("len", &self.len())
            .field("min", &self.min())
            .field("max", &self.max())
            .finish_non_exhaustive()
    }
}

impl Histogram {
    /// Returns an empty histogram; the only place that allocates.
    pub fn new() -> Self {
        // Fails only on bounds or digits that the library does not support, and these are constants.
        let buckets = hdrhistogram::Histogram::new_with_bounds(1, LONGEST_NS, 3)
            .expect("1 ns to 60 s with three digits is supported");
        Self {
            buckets,
            min_ns: u64::MAX,
            max_ns: 0,
        }
    }

    /// Adds one round trip, in nanoseconds. One longer than 60 s counts as 60 s in the percentiles; the maximum is exact.
    #[inline]
    pub fn record(&mut self, ns: u64) {
        self.buckets.saturating_record(ns);
        self.min_ns = self.min_ns.min(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    /// Adds round trips, of which the shortest and the longest are known exactly.
    pub(crate) fn add(&mut self, distribution: &Distribution, min_ns: u64, max_ns: u64) {
        for &(ns, count) in &distribution.buckets {
            self.buckets.saturating_record_n(ns, count);
        }
        if !distribution.is_empty() {
            self.min_ns = self.min_ns.min(min_ns);
            self.max_ns = self.max_ns.max(max_ns);
        }
    }

    /// Adds all round trips of `other`.
    pub fn merge(&mut self, other: &Self) {
        // Both have the same bounds, so that every value of one fits the other.
        self.buckets
            .add(&other.buckets)
            .expect("all histograms have the same bounds");
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// The number of round trips.
    pub fn len(&self) -> u64 {
        self.buckets.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shortest round trip, or `None` if there is none.
    pub fn min(&self) -> Option<Duration> {
        (!self.is_empty()).then_some(Duration::from_nanos(self.min_ns))
    }

    /// The longest round trip, or `None` if there is none.
    pub fn max(&self) -> Option<Duration> {
        (!self.is_empty()).then_some(Duration::from_nanos(self.max_ns))
    }

    /// The round trip at `percentile`, or `None` if there are too few to tell.
    ///
    /// There are enough if the longest one bounds the true percentile from above with 97.5 % confidence (the upper end of
    /// a two-sided 95 % interval): 6 for the median, 36 for p90, 368 for p99, 3,688 for p99.9 and 36,887 for p99.99.
    pub fn percentile(&self, percentile: Percentile) -> Option<Duration> {
        let quantile = f64::from(percentile.0) / 10_000.0;
        if quantile.powf(self.len() as f64) > 0.025 {
            return None;
        }
        // The library answers with the upper end of a bucket.
        let ns = self
            .buckets
            .value_at_quantile(quantile)
            .clamp(self.min_ns, self.max_ns);
        Some(Duration::from_nanos(ns))
    }

    /// The mean, and the standard deviation of this sample, in nanoseconds and to three digits; `None` if there are none.
    pub fn moments(&self) -> Option<(f64, f64)> {
        (!self.is_empty()).then(|| (self.buckets.mean(), self.buckets.stdev()))
    }

    /// All round trips, rounded to the longest that their bucket takes.
    pub fn distribution(&self) -> Distribution {
        let recorded = self.buckets.iter_recorded();
        Distribution {
            buckets: recorded
                .map(|bucket| (bucket.value_iterated_to(), bucket.count_at_value()))
                .collect(),
        }
    }

    /// The buckets, for what the library that they are of can do with them, such as writing them in the format that all
    /// HDR tools read. There, one longer than 60 s is 60 s, and the extremes are rounded.
    pub fn as_hdr(&self) -> &hdrhistogram::Histogram<u64> {
        &self.buckets
    }
}

/// What is known of a histogram by its buckets: the extremes are rounded as well.
impl From<&Distribution> for Histogram {
    fn from(distribution: &Distribution) -> Self {
        let mut histogram = Self::new();
        for &(ns, count) in distribution.buckets.iter().filter(|bucket| bucket.1 != 0) {
            histogram.buckets.saturating_record_n(ns, count);
            histogram.min_ns = histogram.min_ns.min(ns);
            histogram.max_ns = histogram.max_ns.max(ns);
        }
        histogram
    }
}

/// What is stored of a histogram: no room for what did not occur, so that many can be kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct StoredHistogram {
    min_ns: Option<u64>,
    max_ns: Option<u64>,
    buckets: Distribution,
}

/// What may be found in a file.
#[derive(Deserialize)]
struct Stored {
    min_ns: Option<u64>,
    max_ns: Option<u64>,
    buckets: Distribution,
}

impl From<&Histogram> for StoredHistogram {
    fn from(histogram: &Histogram) -> Self {
        let not_empty = !histogram.is_empty();
        Self {
            min_ns: not_empty.then_some(histogram.min_ns),
            max_ns: not_empty.then_some(histogram.max_ns),
            buckets: histogram.distribution(),
        }
    }
}

/// Why what is stored is no histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredError {
    /// There are more round trips than can be counted.
    TooMany,
    /// There are round trips, and not which are the shortest and the longest.
    NoExtremes,
}

impl fmt::Display for StoredError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooMany => "more round trips than can be counted",
            Self::NoExtremes => "round trips without their extremes",
        })
    }
}

impl TryFrom<Stored> for StoredHistogram {
    type Error = StoredError;

    fn try_from(stored: Stored) -> Result<Self, StoredError> {
        let counts = stored.buckets.buckets.iter().map(|&(_, count)| count);
        let total = counts.into_iter().try_fold(0, u64::checked_add);
        let has_extremes = match (stored.min_ns, stored.max_ns) {
            (Some(min), Some(max)) => min <= max,
            _ => false,
        };
        match total {
            None => Err(StoredError::TooMany),
            Some(0) => Ok(Self::default()),
            Some(_) if !has_extremes => Err(StoredError::NoExtremes),
            Some(_) => Ok(Self {
                min_ns: stored.min_ns,
                max_ns: stored.max_ns,
                buckets: stored.buckets,
            }),
        }
    }
}

impl From<&StoredHistogram> for Histogram {
    fn from(stored: &StoredHistogram) -> Self {
        let mut histogram = Self::new();
        if let (Some(min), Some(max)) = (stored.min_ns, stored.max_ns) {
            histogram.add(&stored.buckets, min, max);
        }
        histogram
    }
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        StoredHistogram::from(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        StoredHistogram::deserialize(deserializer).map(|stored| Self::from(&stored))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moments_are_those_of_the_sample() {
        // The example of every text book: 2, 4, 4, 4, 5, 5, 7, 9 have the mean 5 and the standard deviation 2.
        let histogram = filled([2, 4, 4, 4, 5, 5, 7, 9].map(|ns| ns * 1_000_000));
        let (mean, deviation) = histogram.moments().unwrap();
        assert!((mean / 5e6 - 1.0).abs() < 1e-3, "{mean}");
        assert!((deviation / 2e6 - 1.0).abs() < 2e-3, "{deviation}");
        assert_eq!(Histogram::new().moments(), None);
    }

    fn filled(values_ns: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::new();
        for ns in values_ns {
            histogram.record(ns);
        }
        histogram
    }

    #[test]
    fn an_empty_one_knows_nothing() {
        let histogram = Histogram::new();
        assert!(histogram.is_empty());
        assert_eq!(
            (
                histogram.min(),
                histogram.max(),
                histogram.percentile(Percentile(5_000))
            ),
            (None, None, None)
        );
    }

    #[test]
    fn a_percentile_needs_enough_samples() {
        for (percentile, enough) in [
            (5_000, 6),
            (9_000, 36),
            (9_900, 368),
            (9_990, 3_688),
            (9_999, 36_887),
        ] {
            let mut histogram = filled(1..enough);
            assert_eq!(
                histogram.percentile(Percentile(percentile)),
                None,
                "{percentile} of {}",
                enough - 1
            );
            histogram.record(enough);
            assert!(
                histogram.percentile(Percentile(percentile)).is_some(),
                "{percentile} of {enough}"
            );
        }
    }

    #[test]
    fn percentiles_have_three_digits_and_extremes_are_exact() {
        let histogram = filled((1..=10_000).map(|step| step * 1_000 + 7));
        assert_eq!(histogram.min(), Some(Duration::from_nanos(1_007)));
        assert_eq!(histogram.max(), Some(Duration::from_nanos(10_000_007)));
        for (percentile, exact) in [
            (5_000, 5_000_007.0),
            (9_000, 9_000_007.0),
            (9_900, 9_900_007.0),
        ] {
            let ns = histogram
                .percentile(Percentile(percentile))
                .unwrap()
                .as_nanos() as f64;
            assert!(
                (ns / exact - 1.0).abs() < 0.001,
                "{percentile}: {ns} is not {exact}"
            );
        }
    }

    #[test]
    fn no_percentile_is_beyond_the_extremes() {
        let histogram = filled([1_000_001; 1_000]);
        assert_eq!(histogram.percentile(Percentile(9_900)), histogram.max());
        // Past the buckets, only the maximum is exact.
        let histogram = filled([70_000_000_000; 1_000]);
        assert_eq!(histogram.max(), Some(Duration::from_secs(70)));
        assert!(histogram.percentile(Percentile(9_900)).unwrap() >= Duration::from_secs(60));
    }

    #[test]
    fn merging_is_recording_everything_in_one() {
        let (low, high) = (
            (1..=500).map(|step| step * 100),
            (1..=500).map(|step| step * 7_000),
        );
        let mut merged = filled(low.clone());
        merged.merge(&filled(high.clone()));
        let all = filled(low.chain(high));
        assert_eq!(
            (merged.len(), merged.min(), merged.max()),
            (1_000, all.min(), all.max())
        );
        for percentile in [5_000, 9_000, 9_900] {
            assert_eq!(
                merged.percentile(Percentile(percentile)),
                all.percentile(Percentile(percentile))
            );
        }
    }

    #[test]
    fn merging_an_empty_one_changes_nothing() {
        let mut histogram = filled([5, 6, 7]);
        histogram.merge(&Histogram::new());
        assert_eq!(
            (histogram.len(), histogram.min()),
            (3, Some(Duration::from_nanos(5)))
        );
        assert_eq!(histogram.max(), Some(Duration::from_nanos(7)));
    }

    #[test]
    fn what_is_stored_is_read_back() {
        for histogram in [
            Histogram::new(),
            filled([1, 1, 2_047, 2_048, 2_049, 123_456_789, 70_000_000_000]),
        ] {
            let text = serde_json::to_string(&histogram).unwrap();
            assert_eq!(serde_json::from_str::<Histogram>(&text).unwrap(), histogram);
        }
    }

    #[test]
    fn a_distribution_is_as_good_as_its_histogram() {
        let histogram = filled([1, 1, 2_047, 4_096, 123_456_789]);
        let distribution = histogram.distribution();
        assert_eq!(Histogram::from(&distribution).distribution(), distribution);
        assert_eq!(Histogram::from(&Distribution::default()), Histogram::new());
    }

    #[test]
    fn what_cannot_be_a_histogram_is_refused() {
        for text in [
            r#"{"min_ns":1,"max_ns":2,"buckets":[[1,18446744073709551615],[2,1]]}"#,
            r#"{"min_ns":3,"max_ns":2,"buckets":[[1,1],[2,1]]}"#,
            r#"{"min_ns":null,"max_ns":2,"buckets":[[1,1]]}"#,
            r#"{"min_ns":1,"max_ns":2}"#,
        ] {
            assert!(serde_json::from_str::<Histogram>(text).is_err(), "{text}");
        }
    }
}
