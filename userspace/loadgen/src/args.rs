// SPDX-License-Identifier: GPL-2.0

//! Numbers on the command line, written as ksf's own tools take them.

use std::{error, fmt, ops::RangeInclusive};

/// Why a number on the command line was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NumberError {
    /// Not decimal digits with at most one of the suffixes.
    Malformed,
    /// Outside of the range that makes sense there.
    OutOfRange(RangeInclusive<u64>),
}

impl fmt::Display for NumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("not a number with an optional suffix k, K, m or M"),
            Self::OutOfRange(range) => write!(f, "not in {} to {}", range.start(), range.end()),
        }
    }
}

impl error::Error for NumberError {}

/// Returns a parser of whole numbers in `range`, for clap's `value_parser`.
///
/// A number is decimal digits and possibly a suffix: `k` is 1024, `K` 1000, `m` 2^20 and `M` 10^6.
///
/// # Examples
///
/// ```
/// let length = loadgen::args::number_in::<usize>(1..=4096);
/// assert_eq!(length("2k"), Ok(2048));
/// assert!(length("5k").is_err());
/// ```
pub fn number_in<T: TryFrom<u64>>(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, NumberError> + Clone + Send + Sync + 'static {
    move |text| {
        let (digits, unit) = match text.char_indices().last() {
            Some((end, 'k')) => (&text[..end], 1 << 10),
            Some((end, 'K')) => (&text[..end], 1_000),
            Some((end, 'm')) => (&text[..end], 1 << 20),
            Some((end, 'M')) => (&text[..end], 1_000_000),
            _ => (text, 1),
        };
        // Digits only: the standard library would also take a sign.
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NumberError::Malformed);
        }
        // With digits only, parsing can but overflow.
        digits
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(unit))
            .filter(|number| range.contains(number))
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| NumberError::OutOfRange(range.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_those_of_ksf() {
        let number = number_in::<u64>(0..=u64::MAX);
        for (text, value) in [
            ("0", 0),
            ("17", 17),
            ("10k", 10_240),
            ("10K", 10_000),
            ("2m", 2_097_152),
            ("2M", 2_000_000),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(number(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn anything_but_digits_and_one_suffix_is_malformed() {
        let number = number_in::<u64>(0..=u64::MAX);
        for text in [
            "", "k", "-1", "+1", "1kk", "1 k", " 1", "1g", "1.5k", "0x10", "1\u{b5}", "\u{663}",
        ] {
            assert_eq!(number(text), Err(NumberError::Malformed), "{text:?}");
        }
    }

    #[test]
    fn the_range_includes_both_ends_and_overflow_is_outside() {
        let number = number_in::<u16>(2..=1024);
        assert_eq!(number("2"), Ok(2));
        assert_eq!(number("1k"), Ok(1024));
        for text in [
            "1",
            "1025",
            "2k",
            "18446744073709551616",
            "18446744073709551615m",
        ] {
            assert_eq!(
                number(text),
                Err(NumberError::OutOfRange(2..=1024)),
                "{text}"
            );
        }
        assert_eq!(number("1").unwrap_err().to_string(), "not in 2 to 1024");
    }

    #[test]
    fn a_number_that_its_type_cannot_hold_is_out_of_range() {
        assert_eq!(
            number_in::<u8>(0..=300)("300"),
            Err(NumberError::OutOfRange(0..=300))
        );
    }
}
