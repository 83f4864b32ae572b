// SPDX-License-Identifier: GPL-2.0

//! What a parser of records should say to a stream, found out in another way; and what it does say.

use wire::record::{Error, Limits, Parser};

/// What the parser is told.
pub(crate) const LIMITS: Limits = Limits {
    bytes: 300,
    fragments: 8,
};

/// What a parser says to a stream: the records, what it has of the next one, and how it ended.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) records: Vec<Vec<u8>>,
    pub(crate) begun: Vec<u8>,
    pub(crate) end: Result<(usize, bool), Error>,
}

/// Has the stream parsed in pieces that end where `cuts` say.
pub(crate) fn parse(stream: &[u8], cuts: &[usize]) -> Outcome {
    let mut parser = Parser::new(LIMITS);
    let (mut records, mut begun) = (Vec::new(), Vec::new());
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    cuts.push(stream.len());
    cuts.sort_unstable();
    let mut from = 0;
    for to in cuts {
        let mut input = &stream[from..to];
        from = to;
        loop {
            match parser.next(&mut input) {
                Ok(Some(piece)) => {
                    begun.extend_from_slice(piece.bytes);
                    if piece.ends_record {
                        records.push(std::mem::take(&mut begun));
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    return Outcome {
                        records,
                        begun,
                        end: Err(error),
                    }
                }
            }
        }
        assert!(input.is_empty());
    }
    let end = Ok((parser.missing(), parser.is_between_records()));
    Outcome {
        records,
        begun,
        end,
    }
}

/// What a parser should say to a stream that comes in one piece, by another way to find it out.
pub(crate) fn expected(mut stream: &[u8]) -> Outcome {
    let (mut records, mut begun) = (Vec::new(), Vec::new());
    let (mut announced, mut fragments) = (0, 0);
    let end = loop {
        if stream.len() < 4 {
            break Ok((4 - stream.len(), stream.is_empty() && fragments == 0));
        }
        let (mark, rest) = stream.split_at(4);
        let word = u32::from_be_bytes(mark.try_into().unwrap());
        let (is_last, len) = (word >= 0x8000_0000, (word & 0x7fff_ffff) as usize);
        if fragments == LIMITS.fragments {
            let max = LIMITS.fragments;
            break Err(Error::TooManyFragments { max });
        }
        fragments += 1;
        announced += len;
        if announced > LIMITS.bytes as usize {
            let (announced, max) = (announced as u32, LIMITS.bytes);
            break Err(Error::TooLong { announced, max });
        }
        if rest.len() < len {
            begun.extend_from_slice(rest);
            break Ok((len - rest.len(), false));
        }
        begun.extend_from_slice(&rest[..len]);
        stream = &rest[len..];
        if is_last {
            records.push(std::mem::take(&mut begun));
            (announced, fragments) = (0, 0);
        }
    };
    Outcome {
        records,
        begun,
        end,
    }
}
