// SPDX-License-Identifier: GPL-2.0

//! Record marking, RFC 5531 section 11: how messages are told apart in a stream of bytes.
//!
//! A record is one or more fragments. Before each comes its [`Mark`]: whether it is the record's last, and how many bytes
//! it has, of which there may be none. The RFC has no limit for a record; [`Limits`] are this side's own.

use core::{error, fmt, num::NonZeroU32};

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

/// Bytes of a record, in the order of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The bytes; there may be none where a record ends.
    pub bytes: &'a [u8],
    /// Whether the record ends with them.
    pub ends_record: bool,
}

/// Finds the records in a stream that arrives in pieces of any size. It keeps no bytes of them.
///
/// # Examples
///
/// ```
/// use wire::record::{Limits, Parser, Piece};
///
/// let mut parser = Parser::new(Limits { bytes: 1024, fragments: 64 });
/// let mut input = &b"\0\0\0\x02ab\x80\0\0\x03cd"[..];
/// let mut record = Vec::new();
/// while let Some(piece) = parser.next(&mut input)? {
///     record.extend_from_slice(piece.bytes);
///     assert!(!piece.ends_record);
/// }
/// assert_eq!((&record[..], parser.missing()), (&b"abcd"[..], 1));
/// let last = parser.next(&mut &b"e"[..])?;
/// assert_eq!(last, Some(Piece { bytes: b"e", ends_record: true }));
/// # Ok::<(), wire::record::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Parser {
    limits: Limits,
    /// The bytes of the next mark that have come.
    mark: [u8; MARK_BYTES],
    marked: usize,
    /// What is still to come of the fragment, in bytes.
    left: u32,
    is_last: bool,
    /// What the marks of the record have announced so far.
    announced: u32,
    fragments: u32,
    failed: Option<Error>,
}

impl Parser {
    /// A parser at the beginning of a stream.
    #[inline]
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            mark: [0; MARK_BYTES],
            marked: 0,
            left: 0,
            is_last: false,
            announced: 0,
            fragments: 0,
            failed: None,
        }
    }

    /// Takes bytes off the front of `input`, and returns the next that are a record's. `None` if there are none.
    ///
    /// With `None` the input is empty. After an error, it is the same error for ever.
    ///
    /// # Errors
    ///
    /// A mark that exceeds the limits, before any byte of its fragment is looked at.
    #[inline]
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Piece<'a>>, Error> {
        while self.left == 0 {
            let Some(mark) = self.take_mark(input)? else {
                return Ok(None);
            };
            self.begin(mark)?;
            if self.left == 0 && self.is_last {
                return Ok(Some(self.piece(&[])));
            }
        }
        if input.is_empty() {
            return Ok(None);
        }
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let (bytes, rest) = input.split_at_checked(left).unwrap_or((input, &[]));
        *input = rest;
        Ok(Some(self.piece(bytes)))
    }

    /// How many bytes have to come before the next mark or the next fragment is whole. After an error, that means nothing.
    #[inline]
    pub const fn missing(&self) -> usize {
        match self.left {
            0 => MARK_BYTES.saturating_sub(self.marked),
            left => left as usize,
        }
    }

    /// Whether the stream may end here: there is no record of which only a part has come. After an error, it may not.
    #[inline]
    pub const fn is_between_records(&self) -> bool {
        self.left == 0 && self.marked == 0 && self.fragments == 0 && self.failed.is_none()
    }

    /// The next mark, once all of it has come.
    #[inline]
    fn take_mark(&mut self, input: &mut &[u8]) -> Result<Option<Mark>, Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.marked == 0 {
            if let Some((mark, rest)) = input.split_first_chunk() {
                *input = rest;
                return Ok(Some(Mark::from_bytes(*mark)));
            }
        }
        Ok(self.take_mark_bytewise(input))
    }

    #[cold]
    fn take_mark_bytewise(&mut self, input: &mut &[u8]) -> Option<Mark> {
        for place in self.mark.iter_mut().skip(self.marked) {
            let (byte, rest) = input.split_first()?;
            *place = *byte;
            *input = rest;
            self.marked = self.marked.saturating_add(1);
        }
        self.marked = 0;
        Some(Mark::from_bytes(self.mark))
    }

    /// Begins a fragment, if it is within the limits.
    #[inline]
    fn begin(&mut self, mark: Mark) -> Result<(), Error> {
        let Limits { bytes, fragments } = self.limits;
        let announced = self.announced.saturating_add(mark.fragment_len());
        if self.fragments >= fragments {
            return Err(self.fail(Error::TooManyFragments { max: fragments }));
        }
        if announced > bytes {
            let max = bytes;
            return Err(self.fail(Error::TooLong { announced, max }));
        }
        self.announced = announced;
        self.fragments = self.fragments.saturating_add(1);
        self.left = mark.fragment_len();
        self.is_last = mark.is_last();
        Ok(())
    }

    #[cold]
    fn fail(&mut self, error: Error) -> Error {
        self.failed = Some(error);
        error
    }

    /// Takes these bytes, which are not more than are left of the fragment.
    #[inline]
    fn piece<'a>(&mut self, bytes: &'a [u8]) -> Piece<'a> {
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.left = self.left.saturating_sub(len);
        let ends_record = self.left == 0 && self.is_last;
        if ends_record {
            self.announced = 0;
            self.fragments = 0;
        }
        Piece { bytes, ends_record }
    }
}

/// The fragments of a record that is sent in several, with their marks.
///
/// The first has one byte, and so has the last if it is not the second: what matters most in a message, such as an xid, is
/// torn. Those between share the rest evenly. It is ksf's way to cut a record into three.
///
/// # Examples
///
/// ```
/// use std::num::NonZeroU32;
/// use wire::record::Fragments;
///
/// let mut stream = Vec::new();
/// for (mark, bytes) in Fragments::new(b"abcdefgh", NonZeroU32::new(3).unwrap()).unwrap() {
///     stream.extend_from_slice(&mark.to_bytes());
///     stream.extend_from_slice(bytes);
/// }
/// assert_eq!(stream, b"\0\0\0\x01a\0\0\0\x06bcdefg\x80\0\0\x01h");
/// ```
#[derive(Clone, Debug)]
pub struct Fragments<'a> {
    rest: &'a [u8],
    left: u32,
    is_first: bool,
}

impl<'a> Fragments<'a> {
    /// Splits `record` into `count` fragments, of which some have no bytes if there are more of them than bytes.
    ///
    /// `None` if the record has more than [`MAX_FRAGMENT`] bytes.
    pub fn new(record: &'a [u8], count: NonZeroU32) -> Option<Self> {
        let len = u32::try_from(record.len()).ok()?;
        (len <= MAX_FRAGMENT).then_some(Self {
            rest: record,
            left: count.get(),
            is_first: true,
        })
    }
}

impl<'a> Iterator for Fragments<'a> {
    type Item = (Mark, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let after = self.left.checked_sub(1)?;
        let len = match usize::try_from(after).ok()? {
            0 => self.rest.len(),
            _ if self.is_first => self.rest.len().min(1),
            between => self.rest.len().saturating_sub(1).checked_div(between)?,
        };
        let (bytes, rest) = self.rest.split_at_checked(len)?;
        (self.rest, self.left, self.is_first) = (rest, after, false);
        let mark = Mark::new(u32::try_from(len).ok()?, after == 0)?;
        Some((mark, bytes))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::{vec, vec::Vec};

    const LIMITS: Limits = Limits {
        bytes: 16,
        fragments: 3,
    };

    /// The records of `stream` when it comes in pieces of `size` bytes, and what ended it.
    fn records(stream: &[u8], size: usize) -> (Vec<Vec<u8>>, Result<Parser, Error>) {
        let mut parser = Parser::new(LIMITS);
        let (mut records, mut record) = (Vec::new(), Vec::new());
        for mut input in stream.chunks(size) {
            loop {
                match parser.next(&mut input) {
                    Ok(Some(piece)) => {
                        record.extend_from_slice(piece.bytes);
                        if piece.ends_record {
                            records.push(std::mem::take(&mut record));
                        }
                    }
                    Ok(None) => break,
                    Err(error) => return (records, Err(error)),
                }
            }
            assert!(input.is_empty());
        }
        (records, Ok(parser))
    }

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

    #[test]
    fn records_are_found_however_the_stream_is_cut() {
        let stream = b"\x80\0\0\x03abc\0\0\0\x02de\0\0\0\0\x80\0\0\x01f\x80\0\0\0\0\0\0\x01g\x80\0\0\0\x80\0\0\x01h";
        for size in 1..=stream.len() {
            let (records, parser) = records(stream, size);
            let expected: [&[u8]; 5] = [b"abc", b"def", b"", b"g", b"h"];
            assert_eq!(records, expected, "{size}");
            assert!(parser.unwrap().is_between_records(), "{size}");
        }
    }

    #[test]
    fn what_is_missing_is_known() {
        let stream = b"\0\0\0\x02ab\x80\0\0\x03cde";
        let missing = [4, 3, 2, 1, 2, 1, 4, 3, 2, 1, 3, 2, 1, 4];
        for (len, missing) in missing.into_iter().enumerate() {
            let parser = records(&stream[..len], len.max(1)).1.unwrap();
            assert_eq!(parser.missing(), missing, "{len}");
            let whole = len == 0 || len == stream.len();
            assert_eq!(parser.is_between_records(), whole, "{len}");
        }
    }

    #[test]
    fn a_record_has_as_many_bytes_as_the_limit_and_no_more() {
        let full = [&b"\0\0\0\x0f"[..], &[7; 15], b"\x80\0\0\x01", &[8]].concat();
        assert_eq!(records(&full, 5).0[0].len(), 16);
        // The 17th byte is refused when it is announced.
        let announced = [&full[..19], b"\x80\0\0\x02"].concat();
        for size in [1, 23] {
            let error = Error::TooLong {
                announced: 17,
                max: 16,
            };
            let (records, result) = records(&announced, size);
            assert_eq!((records, result.map(drop)), (vec![], Err(error)), "{size}");
        }
    }

    #[test]
    fn giant_fragments_are_refused_at_their_mark() {
        for (stream, announced) in [
            (&b"\xff\xff\xff\xff"[..], MAX_FRAGMENT),
            (b"\x7f\xff\xff\xff", MAX_FRAGMENT),
            (b"\0\0\0\x01a\xff\xff\xff\xff", MAX_FRAGMENT + 1),
        ] {
            let error = Error::TooLong { announced, max: 16 };
            assert_eq!(records(stream, 64).1.map(drop), Err(error));
        }
        // Nor does the sum of several wrap around.
        let mut parser = Parser::new(Limits {
            bytes: u32::MAX - 1,
            fragments: 64,
        });
        parser.announced = u32::MAX - 2;
        let result = parser.next(&mut &b"\x80\0\0\x02"[..]);
        assert!(matches!(result, Err(Error::TooLong { .. })));
    }

    #[test]
    fn a_record_has_as_many_fragments_as_the_limit_also_empty_ones() {
        let empty = b"\0\0\0\0";
        let good = [
            &empty[..],
            empty,
            b"\x80\0\0\x01a",
            empty,
            empty,
            b"\x80\0\0\0",
        ]
        .concat();
        assert_eq!(records(&good, 64).0, [&b"a"[..], b""]);
        let error = Error::TooManyFragments { max: 3 };
        for size in [1, 64] {
            let bad = [&empty[..], empty, empty, b"\x80\0\0\0"].concat();
            assert_eq!(records(&bad, size).1.map(drop), Err(error));
            // Without a last one it is no different.
            assert_eq!(records(&empty.repeat(4), size).1.map(drop), Err(error));
        }
    }

    #[test]
    fn after_an_error_there_are_no_more_records() {
        let mut parser = Parser::new(LIMITS);
        let error = parser.next(&mut &b"\x80\0\0\x11"[..]).unwrap_err();
        assert!(!parser.is_between_records());
        assert_eq!(parser.next(&mut &b"\x80\0\0\x01a"[..]), Err(error));
        assert_eq!(parser.next(&mut &b""[..]), Err(error));
    }

    #[test]
    fn a_record_is_split_into_as_many_fragments_as_asked_for() {
        let lens = |len: usize, count| {
            let record = [0; 64];
            let count = NonZeroU32::new(count).unwrap();
            let fragments: Vec<_> = Fragments::new(&record[..len], count).unwrap().collect();
            let (last, others) = fragments.split_last().unwrap();
            assert!(last.0.is_last() && others.iter().all(|(mark, _)| !mark.is_last()));
            let lens = fragments.iter().map(|(mark, bytes)| {
                assert_eq!(mark.fragment_len() as usize, bytes.len());
                bytes.len()
            });
            lens.collect::<Vec<_>>()
        };
        assert_eq!(lens(40, 1), [40]);
        assert_eq!(lens(40, 2), [1, 39]);
        assert_eq!(lens(40, 3), [1, 38, 1]);
        assert_eq!(lens(40, 5), [1, 12, 13, 13, 1]);
        assert_eq!(lens(3, 5), [1, 0, 0, 1, 1]);
        assert_eq!(lens(1, 3), [1, 0, 0]);
        assert_eq!(lens(0, 2), [0, 0]);
        assert_eq!(lens(40, 40), [1; 40]);
    }
}
