// SPDX-License-Identifier: GPL-2.0

//! Record marking, RFC 5531 section 11: how messages are told apart in a stream of bytes.
//!
//! A record is one or more fragments. Before each comes its [`Mark`]: whether it is the record's last, and how many bytes
//! it has, of which there may be none. The RFC has no limit for a record; [`Limits`] are this side's own.

mod finder;
mod fragments;
mod parser;

pub use finder::{
    Extent,
    Finder,
    Found, //
};
pub use fragments::Fragments;
pub use parser::{
    Parser,
    Piece, //
};

use core::{error, fmt};

/// How many bytes a mark takes in the stream.
pub const MARK_BYTES: usize = 4;

/// The longest fragment that can be marked, in bytes.
pub const MAX_FRAGMENT: u32 = (1 << 31) - 1;

/// What precedes a fragment in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u32);

impl Mark {
    const LAST: u32 = 1 << 31;

    /// The mark of a fragment of `len` bytes, or `None` if that is more than [`MAX_FRAGMENT`].
    #[inline]
    pub const fn new(len: u32, is_last: bool) -> Option<Self> {
        match (len, is_last) {
            (..=MAX_FRAGMENT, true) => Some(Self(len | Self::LAST)),
            (..=MAX_FRAGMENT, false) => Some(Self(len)),
            _ => None,
        }
    }

    /// Reads a mark: any four bytes are one.
    #[inline]
    pub const fn from_bytes(bytes: [u8; MARK_BYTES]) -> Self {
        Self(u32::from_be_bytes(bytes))
    }

    /// The mark as it is in the stream.
    #[inline]
    pub const fn to_bytes(self) -> [u8; MARK_BYTES] {
        self.0.to_be_bytes()
    }

    /// How many bytes the fragment has, without the mark.
    #[inline]
    pub const fn fragment_len(self) -> u32 {
        self.0 & MAX_FRAGMENT
    }

    /// Whether the fragment is the last one of its record.
    #[inline]
    pub const fn is_last(self) -> bool {
        self.0 & Self::LAST != 0
    }
}

/// Why a stream is given up. Where its next record begins is not known then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// A mark announces a fragment with which its record would be longer than it may be, both in bytes.
    TooLong {
        /// The fragments of the record up to and with this one.
        announced: u32,
        /// The limit.
        max: u32,
    },
    /// A record has more fragments than it may have.
    TooManyFragments {
        /// The limit.
        max: u32,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { announced, max } => {
                write!(
                    f,
                    "a record of at least {announced} bytes, where {max} are the limit"
                )
            }
            Self::TooManyFragments { max } => write!(f, "a record of more than {max} fragments"),
        }
    }
}

impl error::Error for Error {}

/// How large a record may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes, without marks.
    pub bytes: u32,
    /// Fragments, also those without any bytes.
    pub fragments: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_bit_marks_the_last_fragment() {
        // The mark of an NFS NULL call with AUTH_NONE, as in a capture.
        let mark = Mark::from_bytes([0x80, 0, 0, 0x28]);
        assert_eq!((mark.fragment_len(), mark.is_last()), (40, true));
        assert_eq!(Mark::new(40, true), Some(mark));
        assert_eq!(mark.to_bytes(), [0x80, 0, 0, 0x28]);

        let longest = Mark::from_bytes([0x7f, 0xff, 0xff, 0xff]);
        let (len, is_last) = (longest.fragment_len(), longest.is_last());
        assert_eq!((len, is_last), (MAX_FRAGMENT, false));
        assert_eq!(Mark::new(MAX_FRAGMENT, false), Some(longest));
        assert_eq!(Mark::new(MAX_FRAGMENT + 1, false), None);
        assert_eq!(Mark::new(u32::MAX, true), None);
    }
}
