// SPDX-License-Identifier: GPL-2.0

//! A line of a table: what ksf says about one object.

use crate::histogram::Histogram;

/// The keys and values of one object, in ksf's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    fields: Vec<(String, String)>,
}

impl Record {
    /// Reads `key=value` pieces. A piece that is something else comes from another ksf than those known here, and is left
    /// out.
    pub(crate) fn parse(line: &str) -> Self {
        let field = |piece: &str| {
            let (key, value) = piece.split_once('=')?;
            Some((key.to_owned(), value.to_owned()))
        };
        Self {
            fields: line.split_ascii_whitespace().filter_map(field).collect(),
        }
    }

    /// All keys with their values.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The value of `key`.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.fields()
            .find(|&(name, _)| name == key)
            .map(|(_, value)| value)
    }

    /// The value of `key`, if it is a number.
    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        self.get(key).and_then(number)
    }

    /// The value of `key`, if it is a histogram.
    pub(crate) fn histogram(&self, key: &str) -> Option<Histogram> {
        self.get(key).and_then(Histogram::parse)
    }
}

/// Reads a number as ksf writes one: decimal digits.
pub(crate) fn number(text: &str) -> Option<u64> {
    // Digits only: the standard library would also take a sign.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_pieces_with_a_key_and_a_value() {
        let record = Record::parse("service=echo bind=:: port=7 note=a=b empty=\n");
        assert_eq!(record.get("service"), Some("echo"));
        assert_eq!(record.get("bind"), Some("::"));
        assert_eq!(
            (record.number("port"), record.number("bind")),
            (Some(7), None)
        );
        assert_eq!(record.get("note"), Some("a=b"));
        assert_eq!(record.get("empty"), Some(""));
        assert_eq!(record.get("net"), None);
    }

    #[test]
    fn what_is_no_piece_is_left_out() {
        let record = Record::parse("cpu=0 !! state=running");
        assert_eq!(
            record.fields().collect::<Vec<_>>(),
            [("cpu", "0"), ("state", "running")]
        );
        assert_eq!(Record::parse(""), Record::default());
    }

    #[test]
    fn a_number_is_digits_only() {
        assert_eq!(number("18446744073709551615"), Some(u64::MAX));
        for text in ["", "-", "-1", "+1", "1k", "0x1", "18446744073709551616"] {
            assert_eq!(number(text), None, "{text:?}");
        }
    }
}
