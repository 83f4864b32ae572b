// SPDX-License-Identifier: GPL-2.0

//! Which latencies a histogram counts together: each power of two is cut into `1 << BITS` buckets of equal width.

use crate::engine::Nanos;

/// The bucket of a latency: up to `2 << BITS`, each has its own; beyond, two share one, then four, and so on.
#[inline]
pub(crate) const fn bucket_of<const BITS: u32>(latency: Nanos) -> usize {
    let parts = 1 << BITS;
    let doublings = (Nanos::BITS - BITS - 1) - (latency | parts).leading_zeros();
    ((doublings as u64 * parts) + (latency >> doublings)) as usize
}

/// The longest latency of a bucket.
pub(crate) const fn longest_of<const BITS: u32>(bucket: usize) -> Nanos {
    let parts = 1 << BITS;
    let bucket = bucket as u64;
    let doublings = (bucket / parts).saturating_sub(1);
    ((bucket - doublings * parts + 1) << doublings) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow_each_other_without_gaps<const BITS: u32>() {
        for bucket in 1..=bucket_of::<BITS>((1 << 36) - 1) {
            let first = longest_of::<BITS>(bucket - 1) + 1;
            let longest = longest_of::<BITS>(bucket);
            assert_eq!(
                (bucket_of::<BITS>(first), bucket_of::<BITS>(longest)),
                (bucket, bucket)
            );
            assert!(longest - first <= first >> BITS);
        }
        assert_eq!((bucket_of::<BITS>(0), longest_of::<BITS>(0)), (0, 0));
    }

    #[test]
    fn buckets_follow_each_other_without_gaps() {
        follow_each_other_without_gaps::<10>();
        follow_each_other_without_gaps::<5>();
    }
}
