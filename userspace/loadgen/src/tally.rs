// SPDX-License-Identifier: GPL-2.0

//! Counting latencies while they come: the same buckets as a [`Histogram`]'s, filled with fewer instructions.

use crate::{
    engine::Nanos,
    histogram::{Histogram, LONGEST_NS},
    result::Distribution,
};

/// Three significant digits: each power of two is cut into so many buckets.
const HALF: u64 = 1 << HALF_BITS;
const HALF_BITS: u32 = 10;

/// The longest latency that has a bucket of its own.
const LONGEST: Nanos = (1 << 36) - 1;

const BUCKETS: usize = bucket_of(LONGEST) + 1;

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
        match self.counts.get_mut(bucket_of(latency)) {
            Some(count) => *count += 1,
            None => self.counts[bucket_of(LONGEST_NS)] += 1,
        }
        self.min = self.min.min(latency);
        self.max = self.max.max(latency);
    }

    /// Moves all latencies to `total`, and returns them.
    pub(crate) fn drain(&mut self, total: &mut Histogram) -> Distribution {
        let mut buckets = Vec::new();
        if self.min <= self.max {
            let first = bucket_of(self.min.min(LONGEST_NS));
            let last = bucket_of(self.max.min(LONGEST));
            for (place, count) in self.counts[first..=last].iter_mut().enumerate() {
                if *count != 0 {
                    buckets.push((longest_of(first + place), std::mem::take(count)));
                }
            }
        }
        let distribution = Distribution { buckets };
        total.add(&distribution, self.min, self.max);
        (self.min, self.max) = (Nanos::MAX, 0);
        distribution
    }
}

/// The bucket of a latency, which is beyond all if that is longer than [`LONGEST`]: up to twice [`HALF`], each has its own; beyond, two share one, then four, and so on.
#[inline]
const fn bucket_of(latency: Nanos) -> usize {
    let doublings = (Nanos::BITS - HALF_BITS - 1) - (latency | HALF).leading_zeros();
    ((doublings as u64 * HALF) + (latency >> doublings)) as usize
}

/// The longest latency of a bucket.
const fn longest_of(bucket: usize) -> Nanos {
    let bucket = bucket as u64;
    let doublings = (bucket / HALF).saturating_sub(1);
    ((bucket - doublings * HALF + 1) << doublings) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn buckets_follow_each_other_without_gaps() {
        for bucket in 1..BUCKETS {
            let first = longest_of(bucket - 1) + 1;
            assert_eq!(bucket_of(first), bucket);
            assert_eq!(bucket_of(longest_of(bucket)), bucket);
        }
        assert_eq!(bucket_of(0), 0);
    }

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
