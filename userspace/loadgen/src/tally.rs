// SPDX-License-Identifier: GPL-2.0

//! Counting latencies while they come: the same buckets as a [`Histogram`]'s, filled with fewer instructions.

use crate::{
    buckets::{bucket_of, longest_of},
    engine::Nanos,
    histogram::{Histogram, LONGEST_NS},
    result::Distribution,
};

/// Three significant digits: each power of two is cut into 1,024 buckets.
const BITS: u32 = 10;

/// The longest latency that has a bucket of its own.
const LONGEST: Nanos = (1 << 36) - 1;

const BUCKETS: usize = bucket_of::<BITS>(LONGEST) + 1;

/// Latencies of a short time.
pub(crate) struct Tally {
    counts: Box<[u64]>,
    min: Nanos,
    max: Nanos,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            counts: vec![0; BUCKETS].into(),
            min: Nanos::MAX,
            max: 0,
        }
    }

    /// Counts one latency.
    #[inline(always)]
    pub(crate) fn record(&mut self, latency: Nanos) {
        match self.counts.get_mut(bucket_of::<BITS>(latency)) {
            Some(count) => *count += 1,
            // It is longer than [`LONGEST`].
            None => self.counts[bucket_of::<BITS>(LONGEST_NS)] += 1,
        }
        self.min = self.min.min(latency);
        self.max = self.max.max(latency);
    }

    /// Moves all latencies to `total`, and returns them.
    pub(crate) fn drain(&mut self, total: &mut Histogram) -> Distribution {
        let mut buckets = Vec::new();
        if self.min <= self.max {
            let first = bucket_of::<BITS>(self.min.min(LONGEST_NS));
            let last = bucket_of::<BITS>(self.max.min(LONGEST));
            for (place, count) in self.counts[first..=last].iter_mut().enumerate() {
                if *count != 0 {
                    buckets.push((longest_of::<BITS>(first + place), std::mem::take(count)));
                }
            }
        }
        let distribution = Distribution { buckets };
        total.add(&distribution, self.min, self.max);
        (self.min, self.max) = (Nanos::MAX, 0);
        distribution
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Latencies of all magnitudes.
    fn latencies() -> impl Strategy<Value = Nanos> {
        (0..64_u32, any::<u64>()).prop_map(|(shift, bits)| bits >> shift)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_counts_as_the_histogram_does(latencies in prop::collection::vec(latencies(), 0..100)) {
            let mut expected = Histogram::new();
            let mut tally = Tally::new();
            let mut total = Histogram::new();
            // In two parts, so that what one leaves would be in the other.
            for part in latencies.chunks(50) {
                for &latency in part {
                    expected.record(latency);
                    tally.record(latency);
                }
                let drained = tally.drain(&mut total);
                prop_assert_eq!(drained.len(), part.len() as u64);
            }
            prop_assert_eq!(&total, &expected);
            prop_assert_eq!(total.distribution(), expected.distribution());
            prop_assert!(tally.drain(&mut total).is_empty());
            prop_assert_eq!(total, expected);
        }
    }
}
