// SPDX-License-Identifier: GPL-2.0

//! XDR, the external data representation of RFC 4506: everything is a multiple of four bytes, the highest first.
//!
//! A [`Reader`] takes values off a slice, a [`Writer`] puts them into one.
//!
//! Opaque data is padded with zero bytes to a multiple of four. RFC 4506 asks this of those who write, and says nothing on
//! what a reader should do about other bytes there; neither Linux's sunrpc nor libtirpc looks at them. [`Reader::new`] does
//! as they do, and [`Reader::strict`], which is for verifying what a server writes, refuses them.

use core::{error, fmt};

/// Everything is a multiple of so many bytes.
pub const UNIT: usize = 4;

/// How many bytes follow opaque data of `len` bytes, so that both together are a multiple of [`UNIT`].
pub const fn padding(len: usize) -> usize {
    len.wrapping_neg() % UNIT
}

/// How many bytes opaque data of `len` bytes takes with its padding, or the nearest `usize` to that.
pub const fn padded(len: usize) -> usize {
    len.saturating_add(padding(len))
}

/// Why a value could not be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The bytes end before the value does.
    Truncated,
    /// A length is beyond the limit that its reader or writer knows, both in elements.
    TooLong {
        /// The length.
        len: u32,
        /// The limit.
        max: u32,
    },
    /// A boolean is neither 0 nor 1.
    NotABool(u32),
    /// An enumeration has no such value.
    NotInEnum(u32),
    /// A byte of the padding is not zero, which only a strict reader minds.
    NonZeroPadding,
    /// So many bytes are left after the last value.
    Surplus(usize),
    /// The buffer ends before the value does that is to be written.
    NoRoom,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("cut off"),
            Self::TooLong { len, max } => write!(f, "a length of {len}, where {max} is the limit"),
            Self::NotABool(value) => write!(f, "{value} where 0 or 1 is due"),
            Self::NotInEnum(value) => write!(f, "{value}, which means nothing there"),
            Self::NonZeroPadding => f.write_str("padding that is not zero"),
            Self::Surplus(bytes) => write!(f, "{bytes} bytes too many"),
            Self::NoRoom => f.write_str("no room in the buffer"),
        }
    }
}

impl error::Error for Error {}

/// The result of reading or writing.
pub type Result<T = ()> = core::result::Result<T, Error>;

/// Takes values off the front of a slice.
///
/// After an error it is where it was before, or in the midst of the value that was wrong: there is nothing to go on with.
///
/// # Examples
///
/// ```
/// use wire::xdr::Reader;
///
/// let mut reader = Reader::new(b"\0\0\0\x07\0\0\0\x03abc\0");
/// assert_eq!(reader.u32(), Ok(7));
/// assert_eq!(reader.opaque(255), Ok(&b"abc"[..]));
/// assert_eq!(reader.finish(), Ok(()));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    strict: bool,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`, whatever the padding is.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            strict: false,
        }
    }

    /// Reads `bytes`, and refuses padding that is not zero.
    #[inline]
    pub const fn strict(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            strict: true,
        }
    }

    /// What has not been read.
    #[inline]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Makes sure that everything has been read.
    #[inline]
    pub const fn finish(&self) -> Result {
        match self.rest.len() {
            0 => Ok(()),
            bytes => Err(Error::Surplus(bytes)),
        }
    }

    /// An unsigned integer.
    #[inline]
    pub fn u32(&mut self) -> Result<u32> {
        self.take_array().map(|bytes| u32::from_be_bytes(*bytes))
    }

    /// A signed integer.
    #[inline]
    pub fn i32(&mut self) -> Result<i32> {
        self.take_array().map(|bytes| i32::from_be_bytes(*bytes))
    }

    /// An unsigned hyper integer.
    #[inline]
    pub fn u64(&mut self) -> Result<u64> {
        self.take_array().map(|bytes| u64::from_be_bytes(*bytes))
    }

    /// A boolean. RFC 4506 knows 0 and 1, and so does this, although sunrpc takes all else for true.
    #[inline]
    pub fn bool(&mut self) -> Result<bool> {
        match self.u32()? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(Error::NotABool(value)),
        }
    }

    /// A value of an enumeration, which knows what its numbers mean.
    #[inline]
    pub fn enumeration<T: TryFrom<u32>>(&mut self) -> Result<T> {
        let value = self.u32()?;
        T::try_from(value).map_err(|_| Error::NotInEnum(value))
    }

    /// The length of what follows, in its elements, of which there may be `max`.
    #[inline]
    pub fn length(&mut self, max: u32) -> Result<u32> {
        match self.u32()? {
            len if len > max => Err(Error::TooLong { len, max }),
            len => Ok(len),
        }
    }

    /// Opaque data, or a string, of at most `max` bytes, with its length before it.
    #[inline]
    pub fn opaque(&mut self, max: u32) -> Result<&'a [u8]> {
        let len = self.length(max)?;
        self.opaque_fixed(usize::try_from(len).map_err(|_| Error::Truncated)?)
    }

    /// Opaque data of `len` bytes.
    #[inline]
    pub fn opaque_fixed(&mut self, len: usize) -> Result<&'a [u8]> {
        let bytes = self.take(len)?;
        let padding = self.take(padding(len))?;
        if self.strict && padding.iter().any(|byte| *byte != 0) {
            return Err(Error::NonZeroPadding);
        }
        Ok(bytes)
    }

    /// Bytes without padding.
    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// As many bytes as the caller's array has, without padding.
    #[inline]
    pub(crate) fn take_array<const N: usize>(&mut self) -> Result<&'a [u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }
}

/// Puts values into a buffer, one after the other.
///
/// After an error, what was written is only a part of a value, and of no use.
///
/// # Examples
///
/// ```
/// use wire::xdr::Writer;
///
/// let mut buffer = [0xff; 64];
/// let mut writer = Writer::new(&mut buffer);
/// writer.u32(7)?;
/// writer.opaque(b"abc")?;
/// assert_eq!(writer.written(), b"\0\0\0\x07\0\0\0\x03abc\0");
/// # Ok::<(), wire::xdr::Error>(())
/// ```
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut [u8],
    len: usize,
}

impl<'a> Writer<'a> {
    /// Writes into `buffer`, from its beginning.
    #[inline]
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }

    /// What has been written.
    #[inline]
    pub fn written(&self) -> &[u8] {
        // It is never longer than the buffer.
        self.buffer.get(..self.len).unwrap_or_default()
    }

    /// How many bytes have been written.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing has been written.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// An unsigned integer.
    #[inline]
    pub fn u32(&mut self, value: u32) -> Result {
        self.bytes(&value.to_be_bytes())
    }

    /// A signed integer.
    #[inline]
    pub fn i32(&mut self, value: i32) -> Result {
        self.bytes(&value.to_be_bytes())
    }

    /// An unsigned hyper integer.
    #[inline]
    pub fn u64(&mut self, value: u64) -> Result {
        self.bytes(&value.to_be_bytes())
    }

    /// A boolean.
    #[inline]
    pub fn bool(&mut self, value: bool) -> Result {
        self.u32(value.into())
    }

    /// Opaque data, or a string, with its length before it.
    #[inline]
    pub fn opaque(&mut self, data: &[u8]) -> Result {
        let len = u32::try_from(data.len()).map_err(|_| Error::TooLong {
            len: u32::MAX,
            max: u32::MAX,
        })?;
        self.u32(len)?;
        self.opaque_fixed(data)
    }

    /// Opaque data whose length the reader knows.
    #[inline]
    pub fn opaque_fixed(&mut self, data: &[u8]) -> Result {
        const ZEROES: [u8; UNIT] = [0; UNIT];
        self.bytes(data)?;
        // It is shorter than a unit.
        self.bytes(ZEROES.get(..padding(data.len())).unwrap_or_default())
    }

    /// Bytes that are XDR already, or not at all.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) -> Result {
        let place = self
            .buffer
            .get_mut(self.len..)
            .and_then(|rest| rest.get_mut(..bytes.len()))
            .ok_or(Error::NoRoom)?;
        place.copy_from_slice(bytes);
        self.len = self.len.saturating_add(bytes.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_fills_the_unit() {
        for (len, bytes) in [(0, 0), (1, 3), (2, 2), (3, 1), (4, 0), (5, 3), (400, 0)] {
            assert_eq!((padding(len), padded(len)), (bytes, len + bytes), "{len}");
        }
        assert_eq!((padding(usize::MAX), padded(usize::MAX)), (1, usize::MAX));
    }

    #[test]
    fn the_example_of_rfc_4506_is_read_and_written() {
        // Section 7: struct file { filename "sillyprog", type EXEC "lisp", owner "john", data "(quit)" }.
        const FILE: [u8; 48] = *b"\x00\x00\x00\x09sillyprog\x00\x00\x00\
            \x00\x00\x00\x02\x00\x00\x00\x04lisp\x00\x00\x00\x04john\x00\x00\x00\x06(quit)\x00\x00";
        let mut reader = Reader::strict(&FILE);
        assert_eq!(reader.opaque(255), Ok(&b"sillyprog"[..]));
        assert_eq!(reader.u32(), Ok(2));
        assert_eq!(reader.opaque(255), Ok(&b"lisp"[..]));
        assert_eq!(reader.opaque(32), Ok(&b"john"[..]));
        assert_eq!(reader.opaque(65_535), Ok(&b"(quit)"[..]));
        assert_eq!(reader.finish(), Ok(()));

        let mut buffer = [0xff; FILE.len()];
        let mut writer = Writer::new(&mut buffer);
        writer.opaque(b"sillyprog").unwrap();
        writer.u32(2).unwrap();
        writer.opaque(b"lisp").unwrap();
        writer.opaque(b"john").unwrap();
        writer.opaque(b"(quit)").unwrap();
        assert_eq!(writer.written(), FILE);
        assert_eq!(writer.u32(0), Err(Error::NoRoom));
        assert_eq!(writer.bytes(&[]), Ok(()));
    }

    #[test]
    fn integers_are_big_endian() {
        let mut buffer = [0; 24];
        let mut writer = Writer::new(&mut buffer);
        assert!(writer.is_empty());
        writer.u32(0x0102_0304).unwrap();
        writer.i32(-2).unwrap();
        writer.u64(0x0506_0708_090a_0b0c).unwrap();
        writer.bool(true).unwrap();
        writer.bool(false).unwrap();
        assert_eq!(writer.len(), 24);
        let bytes =
            *b"\x01\x02\x03\x04\xff\xff\xff\xfe\x05\x06\x07\x08\x09\x0a\x0b\x0c\0\0\0\x01\0\0\0\0";
        assert_eq!(buffer, bytes);
        let mut reader = Reader::new(&bytes);
        assert_eq!((reader.u32(), reader.i32()), (Ok(0x0102_0304), Ok(-2)));
        assert_eq!(reader.u64(), Ok(0x0506_0708_090a_0b0c));
        assert_eq!((reader.bool(), reader.bool()), (Ok(true), Ok(false)));
        assert_eq!(reader.u32(), Err(Error::Truncated));
    }

    #[test]
    fn a_bool_is_0_or_1() {
        for value in [2, 0x0100_0000, u32::MAX] {
            let bytes = value.to_be_bytes();
            assert_eq!(Reader::new(&bytes).bool(), Err(Error::NotABool(value)));
        }
    }

    #[test]
    fn an_enum_has_the_values_that_it_has() {
        struct Even;
        impl TryFrom<u32> for Even {
            type Error = ();
            fn try_from(value: u32) -> core::result::Result<Self, ()> {
                (value % 2 == 0).then_some(Self).ok_or(())
            }
        }
        assert!(Reader::new(b"\0\0\0\x04").enumeration::<Even>().is_ok());
        let odd = Reader::new(b"\0\0\0\x05").enumeration::<Even>();
        assert_eq!(odd.err(), Some(Error::NotInEnum(5)));
    }

    #[test]
    fn only_a_strict_reader_minds_what_the_padding_is() {
        for bytes in [b"a\x01\0\0", b"a\0\x01\0", b"a\0\0\x80"] {
            assert_eq!(Reader::new(bytes).opaque_fixed(1), Ok(&b"a"[..]));
            let refused = Reader::strict(bytes).opaque_fixed(1);
            assert_eq!(refused, Err(Error::NonZeroPadding));
        }
        assert_eq!(Reader::strict(b"a\0\0\0").opaque_fixed(1), Ok(&b"a"[..]));
    }

    #[test]
    fn padding_that_is_missing_is_missed() {
        assert_eq!(Reader::new(b"abc").opaque_fixed(3), Err(Error::Truncated));
        let data = b"\0\0\0\x05abcde\0\0";
        assert_eq!(Reader::new(data).opaque(5), Err(Error::Truncated));
    }

    #[test]
    fn lengths_have_limits() {
        let bytes = b"\0\0\0\x05abcde\0\0\0";
        assert_eq!(Reader::new(bytes).opaque(5), Ok(&b"abcde"[..]));
        let beyond = Error::TooLong { len: 5, max: 4 };
        assert_eq!(Reader::new(bytes).opaque(4), Err(beyond));
        let huge = b"\xff\xff\xff\xffabcd";
        assert_eq!(Reader::new(huge).opaque(u32::MAX), Err(Error::Truncated));
    }

    #[test]
    fn what_is_left_over_is_told() {
        let mut reader = Reader::new(b"\0\0\0\x01abc");
        assert_eq!(reader.u32(), Ok(1));
        assert_eq!(reader.finish(), Err(Error::Surplus(3)));
        assert_eq!(reader.rest(), b"abc");
    }

    #[test]
    fn a_buffer_that_is_too_small_is_told() {
        for room in 0..8 {
            let mut buffer = [0; 8];
            let mut writer = Writer::new(&mut buffer[..room]);
            assert_eq!(writer.opaque(b"abc"), Err(Error::NoRoom), "{room}");
        }
    }
}
