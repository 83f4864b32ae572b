// SPDX-License-Identifier: GPL-2.0

//! Taking records off a stream that arrives in pieces.

use super::{
    Error,
    Limits,
    Mark,
    MARK_BYTES, //
};

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

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::record::MAX_FRAGMENT;
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
}
