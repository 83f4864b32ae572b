// SPDX-License-Identifier: GPL-2.0

//! What a request of rxperf is, found in all of it at once, and as OpenAFS's server goes about it.

use wire::{
    rxperf::{Error, Operation, Parser, Request},
    xdr::{self, Writer},
};

/// What a parser says to a request that comes in pieces that end where `cuts` say.
pub(crate) fn parse(bytes: &[u8], cuts: &[usize]) -> Result<Request, Error> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.push(bytes.len());
    cuts.sort_unstable();
    let mut parser = Parser::new();
    let mut from = 0;
    for to in cuts {
        let known = parser.request();
        let result = parser.push(&bytes[from..to]);
        from = to;
        if let Err(error) = result {
            assert_eq!(parser.push(b"\0"), Err(error));
            assert_eq!((parser.finish(), parser.request()), (Err(error), None));
            return result.map(|()| unreachable!());
        }
        // What is known stays.
        assert!(known.is_none() || parser.request() == known);
    }
    let result = parser.finish();
    assert!(result.is_err() || parser.request() == result.ok());
    result
}

/// What a parser should say, by another way to find it out.
pub(crate) fn expected(bytes: &[u8]) -> Result<Request, Error> {
    let word = |place: usize| {
        let bytes = bytes.get(4 * place..4 * place + 4);
        let bytes = bytes.ok_or(Error::Truncated)?;
        Ok(u32::from_be_bytes(bytes.try_into().unwrap()))
    };
    match word(0)? {
        3 => {}
        version => return Err(Error::Version(version)),
    }
    let (number, mut words) = (word(1)?, 5);
    if ![0, 1, 3, 4].contains(&number) {
        return Err(Error::Operation(number));
    }
    let (read_size, write_size, first) = (word(2)?, word(3)?, word(4)?);
    let (mut take, mut send) = (0, 0);
    let operation = match number {
        0 => {
            take = u64::from(first);
            Operation::Send { bytes: first }
        }
        1 => Operation::Recv { bytes: first },
        3 => {
            words += 1;
            take = u64::from(first);
            let recv = word(5)?;
            Operation::Rpc { send: first, recv }
        }
        _ => {
            let mut sends = false;
            for _ in 0..first {
                let count = word(words)?;
                words += 1;
                match (sends, count) {
                    (_, 0) => sends = !sends,
                    (true, _) => send += u64::from(count),
                    (false, _) if send > 0 => return Err(Error::TakesAfterSending),
                    (false, _) => take += u64::from(count),
                }
            }
            let operation = Operation::File {
                send: take,
                recv: send,
            };
            take *= 4;
            operation
        }
    };
    let body = (bytes.len() - 4 * words) as u64;
    match body.checked_sub(take) {
        None => Err(Error::Truncated),
        Some(0 | 4) => Ok(Request {
            operation,
            read_size,
            write_size,
        }),
        Some(_) => Err(Error::Surplus),
    }
}

/// The bytes as a request, however they are cut; and a request as it is written.
pub(crate) fn check(bytes: &[u8], cuts: &[usize]) {
    let expected = expected(bytes);
    assert_eq!(parse(bytes, &[]), expected);
    assert_eq!(parse(bytes, cuts), expected);
    let request = match expected {
        Ok(request) => request,
        Err(error) => {
            assert!(error.to_string().starts_with("a request "));
            assert!([-6, -453, -455].contains(&error.abort_code().0));
            return;
        }
    };
    let cookie = request.reply_len() - request.reply_bytes();
    assert_eq!(cookie, if request.has_cookie() { 4 } else { 0 });
    let mut buffer = [0xaa; Request::MAX_BYTES];
    let mut writer = Writer::new(&mut buffer);
    let result = request.write(&mut writer);
    if request.reply_bytes() / 4 > u32::MAX.into() {
        let (len, max) = (u32::MAX, u32::MAX);
        assert_eq!(result, Err(xdr::Error::TooLong { len, max }));
        return;
    }
    result.unwrap();
    let mut again = writer.written().to_vec();
    // A list may have been longer.
    let is_file = matches!(request.operation, Operation::File { .. });
    assert!(is_file || bytes.starts_with(&again));
    again.resize(again.len() + request.request_bytes() as usize, 7);
    assert_eq!(parse(&again, &[]), Ok(request));
}
