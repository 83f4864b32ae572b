// SPDX-License-Identifier: GPL-2.0

//! Choices that look random and are the same for the same seed.

use std::ops::RangeInclusive;

/// A sequence of pseudo-random numbers: Steele's and others' SplitMix64, to which any seed is good.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// The sequence of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A sequence of its own for the part with this number, whatever the others take from theirs.
    pub(crate) fn of_part(seed: u64, number: u64) -> Self {
        let mut random = Self::new(seed ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93));
        random.next();
        random
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `range`, all of them equally likely.
    pub(crate) fn number_in(&mut self, range: RangeInclusive<u64>) -> u64 {
        let choices = range.end() - range.start() + 1;
        range.start() + self.next() % choices
    }

    /// A number in `range`, of which each order of magnitude is equally likely.
    pub(crate) fn magnitude_in(&mut self, range: RangeInclusive<u64>) -> u64 {
        let bits = u64::from((range.end() | 1).ilog2()) + 1;
        let top = 1 << self.number_in(1..=bits);
        self.number_in(0..=top - 1)
            .clamp(*range.start(), *range.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides() {
        let take = |mut random: Random| (0..8).map(|_| random.next()).collect::<Vec<_>>();
        assert_eq!(take(Random::new(7)), take(Random::new(7)));
        assert_ne!(take(Random::new(7)), take(Random::new(8)));
        assert_eq!(take(Random::of_part(7, 1)), take(Random::of_part(7, 1)));
        assert_ne!(take(Random::of_part(7, 1)), take(Random::of_part(7, 2)));
    }

    #[test]
    fn ranges_are_kept_and_their_ends_reached() {
        let mut random = Random::new(0);
        let (mut uniform, mut orders) = ([false; 4], [false; 18]);
        for _ in 0..10_000 {
            uniform[random.number_in(5..=8) as usize - 5] = true;
            let number = random.magnitude_in(0..=100_000);
            assert!(number <= 100_000);
            orders[number.checked_ilog2().map_or(0, |order| order as usize + 1)] = true;
        }
        assert_eq!((uniform, orders), ([true; 4], [true; 18]));
        assert!((0..1_000).all(|_| (3..=9).contains(&random.magnitude_in(3..=9))));
    }
}
