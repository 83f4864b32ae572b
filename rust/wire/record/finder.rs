// SPDX-License-Identifier: GPL-2.0

//! Finding records where they lie.

use super::{
    Error,
    Limits,
    Mark,
    MARK_BYTES, //
};

/// Finds the next record in a stream whose bytes stay where they are until it is whole, as in a socket's receive queue.
///
/// It keeps no bytes, and looks at each mark once, however often more of the stream comes.
///
/// # Examples
///
/// ```
/// use wire::record::{Finder, Found, Limits};
///
/// let stream = b"\0\0\0\x02ab\x80\0\0\x01c\x80\0\0\0";
/// let at = |offset| stream.get(offset..)?.first_chunk().copied();
/// let mut finder = Finder::new(Limits { bytes: 1024, fragments: 64 });
/// assert_eq!(finder.next(7, at)?, Found::Need(10));
/// let Found::Record(record) = finder.next(stream.len(), at)? else { panic!() };
/// assert_eq!((record.span, record.bytes, record.fragments), (11, 3, 2));
/// # Ok::<(), wire::record::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Finder {
    limits: Limits,
    /// The fragments whose marks were seen, which is all of them if `is_last`.
    record: Extent,
    is_last: bool,
}

/// Where a record lies: at the beginning of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// How many bytes of the stream it takes, with its marks.
    pub span: usize,
    /// How many bytes it has.
    pub bytes: u32,
    /// How many fragments it has.
    pub fragments: u32,
}

impl Extent {
    const NOTHING: Self = Self {
        span: 0,
        bytes: 0,
        fragments: 0,
    };
}

/// What a [`Finder`] has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// So many bytes of the stream have to be there before more can be said.
    Need(usize),
    /// The record is whole.
    Record(Extent),
}

impl Finder {
    /// A finder at the beginning of a stream.
    #[inline]
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            record: Extent::NOTHING,
            is_last: false,
        }
    }

    /// Takes the next record off `stream`, and returns the two, if nothing was found of it yet and it lies there in one fragment:
    /// the short way, which most records can go.
    #[inline]
    pub fn take_whole<'a>(&self, stream: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let (mark, rest) = stream.split_first_chunk()?;
        let mark = Mark::from_bytes(*mark);
        let is_next = mark.is_last() && self.record.fragments == 0;
        let is_within_limits =
            mark.fragment_len() <= self.limits.bytes && self.limits.fragments != 0;
        if !is_next || !is_within_limits {
            return None;
        }
        rest.split_at_checked(usize::try_from(mark.fragment_len()).ok()?)
    }

    /// Looks at a stream of which `available` bytes are there. `mark_at` returns those from an offset on.
    ///
    /// With [`Found::Record`], the finder is at the beginning of the next record: the record has to be taken off the stream.
    ///
    /// # Errors
    ///
    /// A mark that exceeds the limits. There is nothing to go on with.
    #[inline]
    pub fn next(
        &mut self,
        available: usize,
        mut mark_at: impl FnMut(usize) -> Option<[u8; MARK_BYTES]>,
    ) -> Result<Found, Error> {
        while !self.is_last {
            let needed = self.record.span.saturating_add(MARK_BYTES);
            if available < needed {
                return Ok(Found::Need(needed));
            }
            let Some(mark) = mark_at(self.record.span) else {
                return Ok(Found::Need(needed));
            };
            self.begin(Mark::from_bytes(mark))?;
        }
        if available < self.record.span {
            return Ok(Found::Need(self.record.span));
        }
        let record = self.record;
        *self = Self::new(self.limits);
        Ok(Found::Record(record))
    }

    /// Adds a fragment, if it is within the limits.
    #[inline]
    fn begin(&mut self, mark: Mark) -> Result<(), Error> {
        let Limits { bytes, fragments } = self.limits;
        let announced = self.record.bytes.saturating_add(mark.fragment_len());
        if self.record.fragments >= fragments {
            return Err(Error::TooManyFragments { max: fragments });
        }
        if announced > bytes {
            let max = bytes;
            return Err(Error::TooLong { announced, max });
        }
        let len = usize::try_from(mark.fragment_len()).unwrap_or(usize::MAX);
        self.record = Extent {
            span: self
                .record
                .span
                .saturating_add(MARK_BYTES)
                .saturating_add(len),
            bytes: announced,
            fragments: self.record.fragments.saturating_add(1),
        };
        self.is_last = mark.is_last();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::record::{
        Parser,
        MAX_FRAGMENT, //
    };
    use std::{
        vec,
        vec::Vec, //
    };

    const LIMITS: Limits = Limits {
        bytes: 16,
        fragments: 3,
    };

    /// A record of two fragments, and one of one fragment.
    const STREAM: &[u8] = b"\0\0\0\x02ab\x80\0\0\x03cde\x80\0\0\x01f";

    /// What a finder at the beginning of `stream` says to all of it.
    fn find(stream: &[u8]) -> Result<Found, Error> {
        show(&mut Finder::new(LIMITS), stream)
    }

    /// What `finder` says to a stream of which no more than this is there.
    fn show(finder: &mut Finder, there: &[u8]) -> Result<Found, Error> {
        finder.next(there.len(), |offset| {
            there.get(offset..)?.first_chunk().copied()
        })
    }

    fn record(span: usize, bytes: u32, fragments: u32) -> Result<Found, Error> {
        Ok(Found::Record(Extent {
            span,
            bytes,
            fragments,
        }))
    }

    fn too_long(announced: u32) -> Result<Found, Error> {
        let max = LIMITS.bytes;
        Err(Error::TooLong { announced, max })
    }

    const TOO_MANY: Result<Found, Error> = Err(Error::TooManyFragments {
        max: LIMITS.fragments,
    });

    #[test]
    fn a_record_is_where_its_marks_say() {
        assert_eq!(find(STREAM), record(13, 5, 2));
        assert_eq!(find(b"\x80\0\0\x03abc"), record(7, 3, 1));
        assert_eq!(find(b"\x80\0\0\x03abcd"), record(7, 3, 1));
    }

    #[test]
    fn what_is_needed_is_known_at_each_prefix() {
        // The first mark; the first fragment and the second mark, which come together; the second fragment.
        let needed = [4, 4, 4, 4, 10, 10, 10, 10, 10, 10, 13, 13, 13];
        for (len, needed) in needed.into_iter().enumerate() {
            assert_eq!(find(&STREAM[..len]), Ok(Found::Need(needed)), "{len}");
        }
        assert_eq!(find(&STREAM[..13]), record(13, 5, 2));
    }

    #[test]
    fn a_finder_that_was_shown_a_part_goes_on_from_there() {
        for first in 0..13 {
            let mut finder = Finder::new(LIMITS);
            let before = show(&mut finder, &STREAM[..first]);
            assert!(matches!(before, Ok(Found::Need(_))), "{first}");
            assert_eq!(show(&mut finder, STREAM), record(13, 5, 2), "{first}");
            assert_eq!(show(&mut finder, &STREAM[13..]), record(5, 1, 1), "{first}");
        }
    }

    #[test]
    fn a_record_of_one_fragment_can_be_taken_at_once() {
        let finder = Finder::new(LIMITS);
        let (stream, behind) = (b"\x80\0\0\x03abcd", &b"d"[..]);
        assert_eq!(finder.take_whole(stream), Some((&b"abc"[..], behind)));
        assert_eq!(finder.take_whole(b"\x80\0\0\0"), Some((&b""[..], &b""[..])));
        for stream in [
            &b""[..],
            b"\x80\0\0",
            b"\x80\0\0\x03ab",
            b"\0\0\0\x03abc",
            STREAM,
        ] {
            assert_eq!(finder.take_whole(stream), None);
        }
        let long = [&b"\x80\0\0\x11"[..], &[7; 17]].concat();
        assert_eq!(finder.take_whole(&long), None);
        let none = Finder::new(Limits {
            fragments: 0,
            ..LIMITS
        });
        assert_eq!(none.take_whole(stream), None);
        // What is behind a mark that was looked at is no mark.
        let mut finder = Finder::new(LIMITS);
        let begun = show(&mut finder, &STREAM[..6]);
        assert_eq!(begun, Ok(Found::Need(10)));
        assert_eq!(finder.take_whole(b"\x80\0\0\0"), None);
    }

    #[test]
    fn a_mark_is_looked_at_once_and_only_when_it_is_there() {
        let (mut finder, mut looked) = (Finder::new(LIMITS), Vec::new());
        for len in 0..=13 {
            let there = &STREAM[..len];
            let _ = finder.next(len, |offset| {
                looked.push((len, offset));
                there.get(offset..)?.first_chunk().copied()
            });
        }
        assert_eq!(looked, [(4, 0), (10, 6)]);
    }

    #[test]
    fn a_mark_that_cannot_be_read_is_needed() {
        let mut finder = Finder::new(LIMITS);
        assert_eq!(finder.next(64, |_| None), Ok(Found::Need(4)));
        assert_eq!(show(&mut finder, STREAM), record(13, 5, 2));
    }

    #[test]
    fn after_a_record_the_next_begins_with_limits_of_its_own() {
        let full = [&b"\0\0\0\x0f"[..], &[7; 15], b"\0\0\0\0\x80\0\0\x01", &[8]].concat();
        let stream = full.repeat(3);
        let (mut finder, mut rest) = (Finder::new(LIMITS), &stream[..]);
        for _ in 0..3 {
            assert_eq!(show(&mut finder, rest), record(28, 16, 3));
            rest = &rest[28..];
        }
        assert_eq!(show(&mut finder, rest), Ok(Found::Need(4)));
    }

    #[test]
    fn a_record_may_have_nothing_in_it() {
        assert_eq!(find(b"\x80\0\0\0"), record(4, 0, 1));
        assert_eq!(find(b"\0\0\0\0\0\0\0\0\x80\0\0\0"), record(12, 0, 3));
        assert_eq!(find(b"\0\0\0\0\0\0\0\0\x80\0\0\x01a"), record(13, 1, 3));
        assert_eq!(find(b"\0\0\0\0\0\0\0\0"), Ok(Found::Need(12)));
    }

    #[test]
    fn a_record_has_as_many_bytes_as_the_limit_and_no_more() {
        assert_eq!(find(b"\x80\0\0\x10"), Ok(Found::Need(20)));
        assert_eq!(
            find(&[&b"\x80\0\0\x10"[..], &[0; 16]].concat()),
            record(20, 16, 1)
        );
        // One more is refused before any of its bytes are there.
        assert_eq!(find(b"\x80\0\0\x11"), too_long(17));
        assert_eq!(find(b"\0\0\0\x11"), too_long(17));
        let two = [&b"\0\0\0\x0f"[..], &[0; 15], b"\x80\0\0\x02"].concat();
        assert_eq!(find(&two), too_long(17));
        assert_eq!(find(&two[..22]), Ok(Found::Need(23)));
    }

    #[test]
    fn giant_fragments_are_refused_at_their_mark() {
        assert_eq!(find(b"\xff\xff\xff\xff"), too_long(MAX_FRAGMENT));
        assert_eq!(find(b"\x7f\xff\xff\xff"), too_long(MAX_FRAGMENT));
        let second = find(b"\0\0\0\x01a\xff\xff\xff\xff");
        assert_eq!(second, too_long(MAX_FRAGMENT + 1));
        // Nor does the sum of several wrap around, when there is hardly a limit.
        let mut finder = Finder::new(Limits {
            bytes: u32::MAX - 1,
            fragments: 64,
        });
        let mark_at = |_| Some(*b"\x7f\xff\xff\xff");
        let announced = u32::MAX;
        let max = u32::MAX - 1;
        let result = finder.next(usize::MAX, mark_at);
        assert_eq!(result, Err(Error::TooLong { announced, max }));
    }

    #[test]
    fn a_record_has_as_many_fragments_as_the_limit_also_empty_ones() {
        for fragment in [&b"\0\0\0\0"[..], b"\0\0\0\x01a"] {
            let last = &[&[fragment[0] | 0x80], &fragment[1..]].concat();
            let three = [fragment, fragment, last].concat();
            assert!(matches!(find(&three), Ok(Found::Record(_))));
            let four = [fragment, fragment, fragment, last].concat();
            assert_eq!(find(&four), TOO_MANY);
            // Without a last one it is no different.
            assert_eq!(find(&fragment.repeat(4)), TOO_MANY);
        }
    }

    #[test]
    fn an_error_stays() {
        let mut finder = Finder::new(LIMITS);
        for stream in [&b"\x80\0\0\x11"[..], b"\x80\0\0\x11ab"] {
            assert_eq!(show(&mut finder, stream), too_long(17));
        }
    }

    #[test]
    fn a_parser_finds_the_same_bytes() {
        let (mut parser, mut input) = (Parser::new(LIMITS), STREAM);
        let (mut ends, mut bytes) = (vec![], 0);
        while let Some(piece) = parser.next(&mut input).unwrap() {
            bytes += piece.bytes.len();
            if piece.ends_record {
                ends.push((STREAM.len() - input.len(), bytes));
                bytes = 0;
            }
        }
        let (mut finder, mut taken, mut found) = (Finder::new(LIMITS), 0, vec![]);
        while let Ok(Found::Record(record)) = show(&mut finder, &STREAM[taken..]) {
            taken += record.span;
            found.push((taken, record.bytes as usize));
        }
        assert_eq!(found, ends);
        assert_eq!(found, [(13, 5), (18, 1)]);
    }
}
