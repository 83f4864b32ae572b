// SPDX-License-Identifier: GPL-2.0

//! Data that is known without being kept: what a byte is depends on nothing but where it is.
//!
//! It repeats after [`PERIOD`] bytes, so that a server needs no more memory than that for files of any size, and a client no
//! more to check them. Words are as random, so that what is in the wrong place, by as little as a bit or as much as a packet,
//! is not right by chance.

/// After how many bytes the content repeats.
pub const PERIOD: usize = 1 << 20;

/// How many bytes are made at once.
const WORD: usize = 8;

/// How many words there are before they repeat.
const WORDS: u64 = 1 << 17;

/// Writes the content from `offset` on, which is a multiple of eight, to `buffer`.
pub fn fill(offset: u64, buffer: &mut [u8]) {
    let first = (offset / 8) % WORDS;
    let words = (first..WORDS).chain((0..WORDS).cycle());
    for (chunk, number) in buffer.chunks_mut(WORD).zip(words) {
        let word = word(number).to_le_bytes();
        let word = word.get(..chunk.len()).unwrap_or_default();
        chunk.copy_from_slice(word);
    }
}

/// The word with this number (SplitMix64: Steele, Lea and Flood 2014).
const fn word(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, vec};

    #[test]
    fn a_part_is_the_same_as_in_the_whole() {
        let mut whole = vec![0; PERIOD];
        fill(0, &mut whole);
        for (offset, bytes) in [
            (0, 5),
            (8, 1412),
            (PERIOD - 8, 24),
            (PERIOD, 9),
            (7 * PERIOD + 64, 64),
        ] {
            let mut part = vec![0; bytes];
            fill(offset as u64, &mut part);
            let expected = (offset..offset + bytes).map(|at| whole[at % PERIOD]);
            assert!(
                part.iter().copied().eq(expected),
                "{bytes} bytes at {offset}"
            );
        }
    }

    #[test]
    fn no_word_is_there_twice() {
        let numbers: BTreeSet<u64> = (0..WORDS).map(word).collect();
        assert_eq!(numbers.len() as u64, WORDS);
    }
}
