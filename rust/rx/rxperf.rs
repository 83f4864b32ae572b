// SPDX-License-Identifier: GPL-2.0

//! The service of rxperf, as a server has it: what calls ask for, and what they get.

use wire::{
    rx::AbortCode,
    rxperf::{
        Parser,
        COOKIE, //
    }, //
};

use crate::server::Verdict;

/// A call of the service.
#[derive(Clone, Debug, Default)]
pub struct Call {
    parser: Parser,
    /// How many bytes of [`content`](crate::content) the reply has.
    content_bytes: u64,
    tail: &'static [u8],
}

/// A part of a reply: some [`content`](crate::content), and some bytes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where the content begins.
    pub offset: u64,
    /// How many bytes of content there are.
    pub content_bytes: usize,
    /// What follows it.
    pub tail: &'static [u8],
}

impl Call {
    /// A call of which nothing has come.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the request.
    ///
    /// # Errors
    ///
    /// The call is to be aborted with the code, for they cannot be those of a request.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), AbortCode> {
        self.parser.push(bytes).map_err(|error| error.abort_code())
    }

    /// The request is complete.
    pub fn finish(&mut self) -> Verdict {
        match self.parser.finish() {
            Ok(request) => {
                self.content_bytes = request.reply_bytes();
                if request.has_cookie() {
                    self.tail = &COOKIE;
                }
                Verdict::Reply(request.reply_len())
            }
            Err(error) => Verdict::Abort(error.abort_code()),
        }
    }

    /// The `bytes` of the reply from `offset` on, or as many of them as it has.
    pub fn part(&self, offset: u64, bytes: u16) -> Part {
        let content_left = self.content_bytes.saturating_sub(offset);
        let content_bytes = u16::try_from(content_left).map_or(bytes, |left| left.min(bytes));
        let tail_bytes = usize::from(bytes.saturating_sub(content_bytes));
        // Beyond the content, this is how much of the tail was before.
        let skip = usize::try_from(offset.saturating_sub(self.content_bytes)).unwrap_or(usize::MAX);
        let tail = self.tail.get(skip..).unwrap_or_default();
        Part {
            offset,
            content_bytes: usize::from(content_bytes),
            tail: tail.get(..tail_bytes).unwrap_or(tail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;
    use wire::{
        rxperf::{
            Operation,
            Request, //
        },
        xdr::Writer,
    };

    fn call(operation: Operation) -> (Call, Verdict) {
        let mut buffer = [0; 64];
        let mut writer = Writer::new(&mut buffer);
        let request = Request {
            operation,
            read_size: 1,
            write_size: 1,
        };
        request.write(&mut writer).unwrap();
        let mut call = Call::new();
        call.push(writer.written()).unwrap();
        let verdict = call.finish();
        (call, verdict)
    }

    #[test]
    fn a_reply_is_content_and_the_cookie() {
        let (call, verdict) = call(Operation::Recv { bytes: 10 });
        assert_eq!(verdict, Verdict::Reply(14));
        let part = |offset, bytes| {
            let part = call.part(offset, bytes);
            (part.offset, part.content_bytes, part.tail)
        };
        assert_eq!(part(0, 14), (0, 10, &COOKIE[..]));
        assert_eq!(part(3, 5), (3, 5, &[][..]));
        assert_eq!(part(8, 4), (8, 2, &COOKIE[..2]));
        assert_eq!(part(12, 2), (12, 0, &COOKIE[2..]));
        assert_eq!(part(14, 9), (14, 0, &[][..]));
        assert_eq!(part(u64::MAX, u16::MAX), (u64::MAX, 0, &[][..]));
    }

    #[test]
    fn a_reply_to_file_has_no_cookie() {
        let (call, verdict) = call(Operation::File { send: 0, recv: 5 });
        assert_eq!(verdict, Verdict::Reply(20));
        assert_eq!(call.part(0, 20).tail, &[] as &[u8]);
    }

    #[test]
    fn what_is_no_request_is_aborted() {
        assert_eq!(Call::new().push(&[0; 4]), Err(AbortCode::USER_ABORT));
        let (mut call, _) = call(Operation::Recv { bytes: 10 });
        assert_eq!(call.push(b"x"), Ok(()));
        assert_eq!(call.finish(), Verdict::Abort(AbortCode::SS_UNMARSHAL));
        assert_eq!(
            Call::new().finish(),
            Verdict::Abort(AbortCode::SS_UNMARSHAL)
        );
        let none: Vec<u8> = Vec::new();
        assert_eq!(Call::new().push(&none), Ok(()));
    }
}
