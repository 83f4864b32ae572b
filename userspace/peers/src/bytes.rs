// SPDX-License-Identifier: GPL-2.0

//! What is sent: a stream of pseudo-random bytes for each connection, of which every place is known at any time.

use crate::random::Random;

/// After so many bytes a stream repeats itself. A prime, so that what a server loses or repeats, in pieces of the size
/// of its buffers, does not fall on equal bytes.
const PERIOD: usize = 65_521;

/// The most bytes that are had in one piece.
pub(crate) const PIECE_BYTES: usize = 65_536;

/// The bytes of all streams.
///
/// Each stream is one sequence that begins at another place, so that what is due is had without making it, is compared
/// as plain memory, and needs no memory of its own. Of two places only one byte in 256 agrees.
#[derive(Debug)]
pub(crate) struct Bytes {
    table: Vec<u8>,
}

impl Bytes {
    /// The bytes of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut table: Vec<_> = (0..PERIOD)
            .map(|_| random.next().to_be_bytes()[0])
            .collect();
        // A piece that begins at the last place is as long as any other.
        for place in 0..PIECE_BYTES {
            table.push(table[place]);
        }
        Self { table }
    }

    /// The bytes of the stream with this number from `offset`: `length` of them, or as many as are had in one piece.
    #[inline]
    pub(crate) fn of(&self, stream: u64, offset: u64, length: u64) -> &[u8] {
        let period = PERIOD as u64;
        // Any factor that is no multiple of the prime gives each of its streams another place.
        let start = (stream % period * 25_013 + offset % period) % period;
        &self.table[start as usize..][..length.min(PIECE_BYTES as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_stream_is_the_same_whatever_pieces_it_is_taken_in() {
        let bytes = Bytes::new(1);
        let mut whole = Vec::new();
        while whole.len() < 300_000 {
            let piece = bytes.of(9, whole.len() as u64, u64::MAX);
            assert_eq!(piece.len(), PIECE_BYTES);
            whole.extend_from_slice(piece);
        }
        let mut random = Random::new(2);
        for _ in 0..1_000 {
            let from = random.number_in(0..=200_000);
            let length = random.number_in(0..=PIECE_BYTES as u64);
            let piece = bytes.of(9, from, length);
            assert_eq!(piece, &whole[from as usize..][..length as usize]);
        }
    }

    #[test]
    fn streams_and_seeds_differ() {
        let bytes = Bytes::new(1);
        let all: HashSet<_> = (0..20_000).map(|stream| bytes.of(stream, 0, 8)).collect();
        assert_eq!(all.len(), 20_000);
        assert_ne!(bytes.of(0, 0, 32), Bytes::new(2).of(0, 0, 32));
    }

    #[test]
    fn a_stream_that_loses_or_repeats_bytes_is_noticed_at_once() {
        let bytes = Bytes::new(1);
        for shift in [
            1,
            2,
            3,
            4,
            8,
            32,
            1_448,
            4_096,
            16_384,
            65_536,
            131_072,
            1 << 20,
        ] {
            let (here, there) = (bytes.of(0, 0, 64), bytes.of(0, shift, 64));
            let equal = here.iter().zip(there).filter(|(a, b)| a == b).count();
            assert!(equal < 8, "{shift}: {equal} of 64 bytes agree");
        }
    }
}
