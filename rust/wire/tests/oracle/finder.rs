// SPDX-License-Identifier: GPL-2.0

//! A finder finds what a parser hands out, whatever it is shown of the stream and when.

use wire::record::{Error, Extent, Finder, Found, MARK_BYTES};

use super::records::{parse, Outcome, LIMITS};

/// What a finder says to a stream.
#[derive(Debug, PartialEq)]
struct Search {
    records: Vec<Vec<u8>>,
    /// What is left of the stream after them, and how many bytes have to come next; or why there are no more.
    end: Result<(usize, usize), Error>,
}

/// Shows the stream to a finder, up to where `shown` says: it is told where it was shown before, and what is needed.
fn find(stream: &[u8], mut shown: impl FnMut(usize, usize) -> usize) -> Search {
    let mut finder = Finder::new(LIMITS);
    let (mut records, mut taken, mut to) = (Vec::new(), 0, 0);
    // Where the last mark was that it has looked at.
    let mut looked = None;
    // Nothing of the next record was looked at.
    let mut is_new = true;
    loop {
        let there = &stream[taken..to];
        let whole = finder.take_whole(there);
        assert!(is_new || whole.is_none(), "a record is found twice");
        let found = finder.next(there.len(), |offset| {
            assert!(looked < Some(taken + offset), "a mark is looked at twice");
            looked = Some(taken + offset);
            there.get(offset..)?.first_chunk().copied()
        });
        match found {
            Ok(Found::Record(extent)) => {
                let (span, behind) = there.split_at(extent.span);
                let record = unmarked(span, extent);
                match whole {
                    Some(whole) => assert_eq!(whole, (&record[..], behind)),
                    None => assert!(extent.fragments != 1 || !is_new),
                }
                records.push(record);
                taken += extent.span;
                is_new = true;
            }
            Ok(Found::Need(needed)) => {
                assert_eq!(whole, None);
                is_new = is_new && there.len() < MARK_BYTES;
                assert!(needed > there.len(), "more is needed than is there");
                if to == stream.len() {
                    let end = Ok((there.len(), needed - there.len()));
                    return Search { records, end };
                }
                to = shown(to, taken + needed).clamp(to, stream.len());
            }
            Err(error) => {
                assert_eq!(whole, None);
                let end = Err(error);
                return Search { records, end };
            }
        }
    }
}

/// The bytes of a record that lies in `span`, and nothing else.
fn unmarked(mut span: &[u8], extent: Extent) -> Vec<u8> {
    let mut record = Vec::new();
    for fragment in 1..=extent.fragments {
        let (mark, rest) = span.split_first_chunk::<MARK_BYTES>().unwrap();
        let mark = u32::from_be_bytes(*mark);
        assert_eq!(mark >= 1 << 31, fragment == extent.fragments);
        let (bytes, rest) = rest.split_at((mark & (u32::MAX >> 1)) as usize);
        record.extend_from_slice(bytes);
        span = rest;
    }
    assert_eq!((span, record.len()), (&[][..], extent.bytes as usize));
    record
}

/// Compares what a finder and a parser say, when the stream is cut where `cuts` say, and when it is waited for.
pub(crate) fn check(stream: &[u8], cuts: &[usize]) {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    cuts.sort_unstable();
    let mut next = cuts.into_iter();
    let search = find(stream, |_, _| next.next().unwrap_or(stream.len()));
    let waiting = find(stream, |shown, needed| {
        assert!(shown < needed, "what is needed is there");
        needed
    });
    assert_eq!(waiting, search);

    let Outcome {
        records,
        begun,
        end,
    } = parse(stream, &[]);
    assert_eq!(search.records, records);
    match (search.end, end) {
        (Ok((left, needed)), Ok((missing, is_between))) => {
            assert_eq!(is_between, left == 0);
            assert!(left >= begun.len());
            // After a fragment that is not the last one, the mark of the next is needed too.
            assert!(needed == missing || needed == missing + MARK_BYTES);
        }
        (found, parsed) => assert_eq!(found.err(), parsed.err()),
    }
}
