// SPDX-License-Identifier: GPL-2.0

//! How many times were how long, as ksf writes it down: `LOW:COUNT,LOW:COUNT,...`, or `-` for none.

use std::collections::BTreeMap;

use crate::record::number;

/// A count for each bucket that has any; a bucket is known by its lower bound in ns, a power of two or 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Histogram {
    buckets: BTreeMap<u64, u64>,
}

impl Histogram {
    /// Reads ksf's form, or returns `None` if this is something else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text == "-" {
            return Some(Self::default());
        }
        let bucket = |piece: &str| {
            let (low, count) = piece.split_once(':')?;
            Some((number(low)?, number(count)?))
        };
        Some(Self {
            buckets: text.split(',').map(bucket).collect::<Option<_>>()?,
        })
    }

    /// The lower bounds in ns and their counts, in their order.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.buckets.iter().map(|(&low, &count)| (low, count))
    }

    /// How many times there are.
    pub(crate) fn len(&self) -> u128 {
        self.buckets.values().map(|&count| u128::from(count)).sum()
    }

    /// What was counted since `before`, or `None` if less is counted now.
    pub(crate) fn since(&self, before: &Self) -> Option<Self> {
        let mut buckets = self.buckets.clone();
        for (low, count) in before.buckets() {
            let now = buckets.entry(low).or_default();
            *now = now.checked_sub(count)?;
        }
        buckets.retain(|_, count| *count != 0);
        Some(Self { buckets })
    }

    /// A time in ns that is longer than `percent` of all, or `None` if there are none: the end of the bucket in which
    /// the percentile is.
    pub(crate) fn percentile_below(&self, percent: u8) -> Option<u64> {
        let rank = (self.len() * u128::from(percent)).div_ceil(100);
        let mut seen = 0;
        self.buckets().find_map(|(low, count)| {
            seen += u128::from(count);
            (count != 0 && seen >= rank).then(|| end(low))
        })
    }
}

/// The end of the bucket that begins at `low`, which is the beginning of the next.
fn end(low: u64) -> u64 {
    low.saturating_mul(2).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(text: &str) -> Histogram {
        Histogram::parse(text).unwrap()
    }

    #[test]
    fn buckets_are_read_in_their_order() {
        let buckets: Vec<_> = histogram("1024:3,0:1,2048:2").buckets().collect();
        assert_eq!(buckets, [(0, 1), (1024, 3), (2048, 2)]);
        assert_eq!(histogram("-"), Histogram::default());
        for text in ["", "1024", "1024:", "a:1", "1024:3,", "1024:-1", "1:2:3"] {
            assert_eq!(Histogram::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_percentile_is_below_the_end_of_its_bucket() {
        let even = histogram("512:50,1024:49,65536:1");
        assert_eq!(even.percentile_below(50), Some(1024));
        assert_eq!(even.percentile_below(51), Some(2048));
        assert_eq!(even.percentile_below(99), Some(2048));
        assert_eq!(even.percentile_below(100), Some(131_072));
        let odd = histogram("1:1,2:1,4:1");
        assert_eq!(odd.percentile_below(50), Some(4));
        assert_eq!(odd.percentile_below(99), Some(8));
    }

    #[test]
    fn the_outermost_buckets_have_ends() {
        assert_eq!(histogram("0:1").percentile_below(50), Some(1));
        let last = histogram("9223372036854775808:18446744073709551615,1:18446744073709551615");
        assert_eq!(last.percentile_below(99), Some(u64::MAX));
        assert_eq!(last.percentile_below(50), Some(2));
    }

    #[test]
    fn without_times_there_is_no_percentile() {
        assert_eq!(histogram("-").percentile_below(50), None);
        assert_eq!(histogram("1024:0").percentile_below(99), None);
    }

    #[test]
    fn the_difference_is_what_came_since() {
        let before = histogram("1024:3,4096:1");
        let now = histogram("512:2,1024:3,4096:5");
        assert_eq!(now.since(&before), Some(histogram("512:2,4096:4")));
        assert_eq!(now.since(&now), Some(Histogram::default()));
        assert_eq!(before.since(&now), None);
        assert_eq!(histogram("-").since(&before), None);
    }
}
