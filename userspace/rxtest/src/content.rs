// SPDX-License-Identifier: GPL-2.0

//! What replies are made of, which servers are not agreed on.

use rx::content::{self, PERIOD};

/// The longest piece that is compared at once.
const MOST: usize = 1 << 16;

/// What replies are made of, as it is said on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Content {
    /// What the first bytes of the first reply of each client say
    #[default]
    Auto,
    /// Bytes that depend on their place, as krx and rxd send
    Pattern,
    /// Zeros, as Linux and OpenAFS send
    Zeros,
}

/// The bytes that replies are compared with.
#[derive(Debug)]
pub(crate) struct Expected {
    pattern: Box<[u8]>,
    zeros: Box<[u8]>,
}

impl Expected {
    /// All that there are.
    pub(crate) fn new() -> Self {
        let mut pattern = vec![0; PERIOD + MOST];
        content::fill(0, &mut pattern);
        Self {
            pattern: pattern.into(),
            zeros: vec![0; MOST].into(),
        }
    }

    /// Where bytes that begin at `offset` in a reply differ from its content: the place in the reply, what is there and what
    /// was to be. If nothing is known of the content, that is found out.
    pub(crate) fn compare(
        &self,
        content: &mut Content,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), Difference> {
        for (piece, number) in bytes.chunks(MOST).zip(0..) {
            let offset = offset + number * MOST as u64;
            // The remainder is less than a `usize`.
            let place = (offset % PERIOD as u64) as usize;
            let pattern = &self.pattern[place..place + piece.len()];
            let zeros = &self.zeros[..piece.len()];
            if *content == Content::Auto {
                *content = if piece == zeros {
                    Content::Zeros
                } else {
                    Content::Pattern
                };
            }
            let expected = if *content == Content::Zeros {
                zeros
            } else {
                pattern
            };
            if piece != expected {
                return Err(Difference::of(offset, piece, expected));
            }
        }
        Ok(())
    }
}

/// Where something differs from what it was to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The place of the first byte that is wrong.
    pub(crate) at: u64,
    pub(crate) found: u8,
    pub(crate) expected: u8,
}

impl Difference {
    /// Where these, which begin at `offset` and are not equal, differ first.
    #[cold]
    pub(crate) fn of(offset: u64, found: &[u8], expected: &[u8]) -> Self {
        let mut pairs = (offset..).zip(found.iter().zip(expected));
        let first = pairs.find(|(_, (found, expected))| found != expected);
        first.map_or(
            Self {
                at: offset,
                found: 0,
                expected: 0,
            },
            |(at, (found, expected))| Self {
                at,
                found: *found,
                expected: *expected,
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(offset: usize, length: usize) -> Vec<u8> {
        let mut all = vec![0; offset + length];
        content::fill(0, &mut all);
        all.split_off(offset)
    }

    #[test]
    fn what_the_content_is_is_found_out_once() {
        let expected = Expected::new();
        let mut content = Content::Auto;
        let first = pattern(0, 100);
        assert_eq!(expected.compare(&mut content, 0, &first), Ok(()));
        assert_eq!(content, Content::Pattern);
        for (offset, length) in [(1, 1412), (PERIOD - 7, 3 * MOST), (PERIOD, 5)] {
            let bytes = pattern(offset, length);
            let offset = offset as u64;
            assert_eq!(expected.compare(&mut content, offset, &bytes), Ok(()));
        }
        assert!(expected.compare(&mut content, 0, &[0; 9]).is_err());

        let mut content = Content::Auto;
        assert_eq!(expected.compare(&mut content, 0, &[0; 2 * MOST]), Ok(()));
        assert_eq!(content, Content::Zeros);
        assert!(expected.compare(&mut content, 0, &first).is_err());
    }

    #[test]
    fn the_first_wrong_byte_is_told() {
        let expected = Expected::new();
        for place in [0, 1, 999, MOST, 2 * MOST - 1] {
            let mut bytes = pattern(5, 2 * MOST);
            bytes[place] ^= 0x10;
            let difference = Difference {
                at: place as u64 + 5,
                found: bytes[place],
                expected: bytes[place] ^ 0x10,
            };
            let found = expected.compare(&mut Content::Pattern, 5, &bytes);
            assert_eq!(found, Err(difference));
        }
    }
}
