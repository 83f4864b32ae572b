// SPDX-License-Identifier: GPL-2.0

//! Sets of packets.

/// How many packets a set can tell apart.
pub(crate) const SPAN: u32 = 256;

/// A set of packets of one call, by sequence number, none of which is [`SPAN`] or more from another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seqs {
    /// A bit for each, at its number modulo [`SPAN`].
    words: [u64; 4],
    len: u32,
}

impl Seqs {
    /// How many there are.
    #[inline]
    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    /// Whether there are none.
    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether `seq` is one of them.
    #[inline]
    pub(crate) fn contains(&self, seq: u32) -> bool {
        self.word(seq) & bit(seq) != 0
    }

    /// Adds `seq`. Returns whether it was not there.
    #[inline]
    pub(crate) fn insert(&mut self, seq: u32) -> bool {
        let word = self.word_mut(seq);
        let is_new = *word & bit(seq) == 0;
        *word |= bit(seq);
        self.len = self.len.saturating_add(u32::from(is_new));
        is_new
    }

    /// Takes `seq` out. Returns whether it was there.
    #[inline]
    pub(crate) fn remove(&mut self, seq: u32) -> bool {
        if self.len == 0 {
            return false;
        }
        let word = self.word_mut(seq);
        let was_there = *word & bit(seq) != 0;
        *word &= !bit(seq);
        self.len = self.len.saturating_sub(u32::from(was_there));
        was_there
    }

    /// Takes all out.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Which of the 64 packets from `base` on are there, that one in the lowest bit.
    #[inline]
    pub(crate) fn from(&self, base: u32) -> u64 {
        let shift = base % 64;
        let low = self.word(base).checked_shr(shift).unwrap_or(0);
        let high = self.word(base.wrapping_add(64));
        // Without a shift there is nothing of the next word.
        low | high.checked_shl(64_u32.wrapping_sub(shift)).unwrap_or(0)
    }

    /// The lowest of those that are there and not below `base`, of which none is [`SPAN`] or more above it.
    pub(crate) fn first_from(&self, base: u32) -> Option<u32> {
        if self.len == 0 {
            return None;
        }
        (0..SPAN).step_by(64).find_map(|offset| {
            let base = base.wrapping_add(offset);
            let bits = self.from(base);
            (bits != 0).then(|| base.wrapping_add(bits.trailing_zeros()))
        })
    }

    #[inline]
    const fn word(&self, seq: u32) -> u64 {
        let [a, b, c, d] = self.words;
        match (seq / 64) % 4 {
            0 => a,
            1 => b,
            2 => c,
            _ => d,
        }
    }

    #[inline]
    fn word_mut(&mut self, seq: u32) -> &mut u64 {
        let [a, b, c, d] = &mut self.words;
        match (seq / 64) % 4 {
            0 => a,
            1 => b,
            2 => c,
            _ => d,
        }
    }
}

#[inline]
const fn bit(seq: u32) -> u64 {
    1_u64.wrapping_shl(seq % 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Numbers without a pattern (xorshift).
    fn numbers(seed: u64) -> impl Iterator<Item = u64> {
        std::iter::successors(Some(seed), |x| {
            let x = x ^ (x << 13);
            let x = x ^ (x >> 7);
            Some(x ^ (x << 17))
        })
    }

    #[test]
    fn it_is_the_set_that_the_library_has() {
        let (mut ours, mut theirs) = (Seqs::default(), BTreeSet::new());
        let base = u32::MAX - 100;
        for number in numbers(1).take(100_000) {
            let seq = base.wrapping_add(number as u32 % SPAN);
            if number >> 60 < 8 {
                assert_eq!(ours.insert(seq), theirs.insert(seq));
            } else {
                assert_eq!(ours.remove(seq), theirs.remove(&seq));
            }
            assert_eq!(ours.len() as usize, theirs.len());
            assert_eq!(ours.is_empty(), theirs.is_empty());
            let probe = base.wrapping_add((number >> 32) as u32 % 192);
            assert_eq!(ours.contains(probe), theirs.contains(&probe));
            let bits = (0..64).filter(|n| theirs.contains(&probe.wrapping_add(*n)));
            assert_eq!(ours.from(probe), bits.map(|n| 1 << n).sum::<u64>());
            let first = (0..SPAN).map(|n| base.wrapping_add(n));
            assert_eq!(
                ours.first_from(base),
                first.clone().find(|seq| theirs.contains(seq))
            );
        }
        ours.clear();
        assert!(ours.is_empty() && ours.first_from(base).is_none());
    }
}
