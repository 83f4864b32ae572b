// SPDX-License-Identifier: GPL-2.0

//! What the messages say: pseudo-random bytes that tell every message and every place in it from the others.

/// How many different messages there are. A prime, so that what a server holds back or repeats does not fall on an
/// equal message because its buffers are some power of two.
const MESSAGES: usize = 8_179;

/// What a message has unless the user says otherwise.
const USUAL_BYTES: usize = 32;

/// How far apart in the pattern one message begins from the next on its connection. Far more than the number of
/// connections that are opened together, of which each begins one byte after the last.
const STRIDE: u64 = 5_003;

/// The bytes that all messages are cut from.
///
/// Message contents are windows into one sequence: they cost nothing to make, are compared as plain memory, and for
/// small messages stay in the fastest cache. Of two windows that begin at different places only one byte in 256 agrees,
/// so that a stream which is shifted, repeated, swapped with another one or delayed by a message is noticed within a few
/// bytes.
#[derive(Debug)]
pub(crate) struct Pattern {
    bytes: Vec<u8>,
    length: usize,
}

impl Pattern {
    /// The pattern of messages of `length` bytes.
    pub(crate) fn new(length: usize) -> Self {
        // Marsaglia's xorshift64, of which any seed but 0 has the full period.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let bytes = (0..MESSAGES - 1 + length).map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_be_bytes()[0]
        });
        Self {
            bytes: bytes.collect(),
            length,
        }
    }

    /// How long each message is.
    pub(crate) fn message_bytes(&self) -> usize {
        self.length
    }

    /// The message with this number, from 0, on the connection with this one.
    #[inline]
    pub(crate) fn message(&self, connection: u64, number: u64) -> &[u8] {
        self.at(Place::of(connection, number))
    }

    /// The message that begins at this place.
    #[inline]
    pub(crate) fn at(&self, place: Place) -> &[u8] {
        &self.bytes[place.0..][..self.length]
    }

    /// Whether these bytes are the message that begins at this place.
    #[inline(always)]
    pub(crate) fn is_at(&self, place: Place, bytes: &[u8]) -> bool {
        let message = self.at(place);
        // With the length as a constant, the usual message is compared without a call.
        match <&[u8; USUAL_BYTES]>::try_from(message) {
            Ok(message) => bytes == message,
            Err(_) => bytes == message,
        }
    }
}

/// Where in the pattern a message begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place(usize);

impl Place {
    /// The place of the message with this number, from 0, on the connection with this one.
    pub(crate) fn of(connection: u64, number: u64) -> Self {
        // Reduced first, so that neither the product nor the sum overflows.
        let messages = MESSAGES as u64;
        Self(((connection % messages + number % messages * STRIDE) % messages) as usize)
    }

    /// Goes on to the next message of the connection, without the divisions that any other takes.
    #[inline]
    pub(crate) fn advance(&mut self) {
        self.0 += STRIDE as usize;
        if self.0 >= MESSAGES {
            self.0 -= MESSAGES;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn messages_are_of_the_length_and_all_different() {
        for length in [8, 32, 1_000] {
            let pattern = Pattern::new(length);
            let all: HashSet<_> = (0..MESSAGES as u64)
                .map(|number| pattern.message(3, number))
                .collect();
            assert_eq!(all.len(), MESSAGES, "{length}");
            assert!(all.iter().all(|message| message.len() == length));
        }
    }

    #[test]
    fn the_next_place_is_that_of_the_next_number() {
        for connection in [0, 1, 8_178, 8_179, u64::MAX] {
            let mut place = Place::of(connection, 0);
            for number in 0..20_000 {
                assert_eq!(place.0, Place::of(connection, number).0);
                place.advance();
            }
        }
    }

    #[test]
    fn connections_say_different_things() {
        let pattern = Pattern::new(8);
        for number in [0, 1, 4_095, u64::MAX] {
            let all: HashSet<_> = (0..4_096)
                .map(|connection| pattern.message(connection, number))
                .collect();
            assert_eq!(all.len(), 4_096, "{number}");
        }
    }

    #[test]
    fn neighbours_do_not_meet_within_a_window() {
        // What the next connection says now, this one says only much later or earlier.
        let pattern = Pattern::new(8);
        for number in 0..64 {
            assert!((0..64).all(|other| pattern.message(0, number) != pattern.message(1, other)));
        }
    }

    #[test]
    fn a_stream_that_loses_or_repeats_bytes_is_noticed_at_once() {
        for length in [1, 2, 31, 32, 64, 1_031, 4_096, STRIDE as usize, MESSAGES] {
            let pattern = Pattern::new(length);
            let stream: Vec<u8> = (0..8_192u64.div_ceil(length as u64) + 64)
                .flat_map(|number| pattern.message(0, number).iter().copied())
                .collect();
            for shift in [
                1, 2, 3, 4, 8, 16, 31, 32, 33, 63, 64, 128, 512, 1_024, 1_448, 2_048, 4_096, 8_192,
            ] {
                let equal = stream
                    .iter()
                    .zip(&stream[shift..])
                    .take(64)
                    .filter(|(a, b)| a == b)
                    .count();
                assert!(
                    equal < 8,
                    "length {length}, shift {shift}: {equal} of 64 bytes agree"
                );
            }
        }
    }
}
