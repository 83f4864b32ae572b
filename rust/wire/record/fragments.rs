// SPDX-License-Identifier: GPL-2.0

//! Cutting a record into fragments.

use core::num::NonZeroU32;

use super::{
    Mark,
    MAX_FRAGMENT, //
};

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
    use std::vec::Vec;

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
