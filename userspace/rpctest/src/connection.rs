// SPDX-License-Identifier: GPL-2.0

//! The calls and replies of one connection.

use std::sync::Arc;

use loadgen::protocol::{Connection, Progress, Protocol};
use wire::{
    record::{Limits, Parser},
    rpc::Reply,
};

use crate::{
    mismatch::Mismatch,
    reply::{self, Expected},
    request::Request,
};

/// The most bytes of results that are received in reply to what may have results.
const MAX_RESULTS: u32 = 16 << 20;

/// The xids of consecutive connections begin so far apart, the golden section of all that there are: however many
/// connections there are, they share the xids out about evenly.
const XID_STRIDE: u32 = 0x9e37_79b1;

/// The mark of a usual reply: one fragment of 24 bytes.
const USUAL_MARK: [u8; 4] = [0x80, 0, 0, 24];
const USUAL_BYTES: usize = 28;
/// What follows its xid: a reply, accepted, AUTH_NONE with no bytes, successful.
const USUAL_REST: [u8; 20] = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// What is called and what is to be replied, for all connections.
#[derive(Clone, Debug)]
pub(crate) struct Rpc(Arc<Calls>);

#[derive(Debug)]
struct Calls {
    request: Request,
    expected: Expected,
    limits: Limits,
    first_xid: u32,
}

impl Rpc {
    /// Calls, the first of which has the xid `first_xid`: one that a server cannot guess.
    pub(crate) fn new(request: Request, expected: Expected, first_xid: u32) -> Self {
        let head = Reply::MAX_BYTES as u32;
        let results = if expected.procedure.is_null() {
            0
        } else {
            MAX_RESULTS
        };
        let limits = Limits {
            bytes: head + results,
            // Nobody needs more of them than bytes of the longest header, and old servers send results by 4000 bytes.
            fragments: head + results / 1024,
        };
        Self(Arc::new(Calls {
            request,
            expected,
            limits,
            first_xid,
        }))
    }
}

impl Protocol for Rpc {
    type Connection = RpcConnection;

    fn connection(&self, number: u64) -> RpcConnection {
        RpcConnection {
            calls: Arc::clone(&self.0),
            request: self.0.request.clone(),
            first_xid: (number as u32)
                .wrapping_mul(XID_STRIDE)
                .wrapping_add(self.0.first_xid),
            parser: Parser::new(self.0.limits),
            head: Vec::with_capacity(Reply::MAX_BYTES),
            len: 0,
            stream_len: 0,
            last_stream_len: USUAL_BYTES,
            is_usual: true,
        }
    }
}

/// One connection, or one socket that exchanges datagrams with the server.
#[derive(Debug)]
pub(crate) struct RpcConnection {
    calls: Arc<Calls>,
    /// The last request.
    request: Request,
    first_xid: u32,
    parser: Parser,
    /// The beginning of a reply that comes in pieces.
    head: Vec<u8>,
    /// How many bytes of that reply have come.
    len: u64,
    /// The same, with marks.
    stream_len: usize,
    /// How many bytes the last reply had, with marks; at first, those of a usual reply of NULL.
    last_stream_len: usize,
    /// Whether the next reply is at its beginning, and was expected to be a usual one.
    is_usual: bool,
}

impl RpcConnection {
    #[inline]
    fn verify(&self, head: &[u8], len: u64, sent: u64) -> Result<u64, Mismatch> {
        self.calls.expected.verify(head, len, self.first_xid, sent)
    }

    /// Which request this answers, if it is a usual reply. Comparing it costs a third of taking it apart.
    #[inline(always)]
    fn answered(&self, reply: &[u8; USUAL_BYTES], sent: u64) -> Option<u64> {
        let (mark, rest) = reply.split_first_chunk()?;
        let (xid, rest) = rest.split_first_chunk()?;
        if !self.is_usual || *mark != USUAL_MARK || *rest != USUAL_REST {
            return None;
        }
        reply::number(u32::from_be_bytes(*xid), self.first_xid, sent)
    }

    /// Keeps what matters of a piece of a reply.
    #[cold]
    fn keep(&mut self, bytes: &[u8]) {
        let room = Reply::MAX_BYTES - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.len += bytes.len() as u64;
    }

    /// Verifies a reply that came in pieces.
    #[cold]
    fn verify_kept(&mut self, sent: u64) -> Result<u64, Mismatch> {
        let verified = self.verify(&self.head, self.len, sent);
        self.head.clear();
        self.len = 0;
        verified
    }
}

impl Connection for RpcConnection {
    type Mismatch = Mismatch;

    #[inline(always)]
    fn request(&mut self, seq: u64) -> &[u8] {
        let xid = self.first_xid.wrapping_add(seq as u32);
        self.request.with_xid(xid)
    }

    #[inline(always)]
    fn usual_reply(&mut self, bytes: &[u8], sent: u64) -> Option<u64> {
        self.answered(bytes.try_into().ok()?, sent)
    }

    fn stream(&mut self, bytes: &[u8], sent: u64) -> Result<Progress, Mismatch> {
        let first = bytes.first_chunk();
        if let Some(number) = first.and_then(|reply| self.answered(reply, sent)) {
            return Ok(Progress {
                consumed: USUAL_BYTES,
                answered: Some(number),
            });
        }
        let mut rest = bytes;
        let mut answered = None;
        while answered.is_none() {
            let piece = self
                .parser
                .next(&mut rest)
                .map_err(|error| Mismatch::Record(self.calls.expected.procedure, error))?;
            let Some(piece) = piece else {
                break;
            };
            if piece.ends_record && self.len == 0 {
                answered = Some(self.verify(piece.bytes, piece.bytes.len() as u64, sent)?);
                continue;
            }
            self.keep(piece.bytes);
            if piece.ends_record {
                answered = Some(self.verify_kept(sent)?);
            }
        }
        let consumed = bytes.len() - rest.len();
        self.stream_len += consumed;
        if answered.is_some() {
            self.last_stream_len = std::mem::take(&mut self.stream_len);
        }
        self.is_usual = self.parser.is_between_records() && self.last_stream_len == USUAL_BYTES;
        Ok(Progress { consumed, answered })
    }

    fn datagram(&mut self, bytes: &[u8], sent: u64) -> Result<u64, Mismatch> {
        self.verify(bytes, bytes.len() as u64, sent)
    }

    #[inline]
    fn reply_bytes(&self, replies: usize) -> usize {
        if self.is_usual {
            return USUAL_BYTES * replies;
        }
        let bytes = self.last_stream_len.saturating_mul(replies);
        // A reply that is longer than the last one says so itself.
        bytes
            .saturating_sub(self.stream_len)
            .max(self.parser.missing())
    }

    fn partial_bytes(&self) -> usize {
        self.stream_len
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{mismatch::Wrong, procedure::Procedure};
    use std::num::NonZeroU32;
    use wire::{
        record::{self, Fragments, Mark},
        rpc::{AcceptStatus, CallView, Credential, Flavor},
        xdr::Writer,
    };

    fn rpc(number: u32) -> Rpc {
        let procedure = Procedure {
            program: 100_003,
            version: 3,
            number,
        };
        let one = Some(NonZeroU32::MIN);
        let request = Request::new(procedure, Credential::None, one).unwrap();
        let credential = Flavor::NONE;
        let expected = Expected {
            procedure,
            credential,
        };
        Rpc::new(request, expected, 0xffff_fff0)
    }

    /// The connection, and a successful reply to each of so many requests that it sent.
    fn exchange(procedure: u32, sent: u64) -> (RpcConnection, Vec<Vec<u8>>) {
        let mut connection = rpc(procedure).connection(3);
        let replies = (0..sent).map(|seq| {
            let request = connection.request(seq);
            let xid = CallView::new(&request[4..]).unwrap().xid();
            let mut reply = vec![0; 24];
            Reply::accepted(xid, AcceptStatus::Success)
                .write(&mut Writer::new(&mut reply))
                .unwrap();
            reply
        });
        let replies = replies.collect();
        (connection, replies)
    }

    fn marked(reply: &[u8], fragments: u32) -> Vec<u8> {
        let fragments = Fragments::new(reply, NonZeroU32::new(fragments).unwrap()).unwrap();
        fragments
            .flat_map(|(mark, bytes)| [&mark.to_bytes()[..], bytes].concat())
            .collect()
    }

    /// Which requests a stream of replies answers, when it comes in pieces of `size` bytes.
    fn answered(
        connection: &mut RpcConnection,
        stream: &[u8],
        size: usize,
        sent: u64,
    ) -> Result<Vec<u64>, Mismatch> {
        let mut answered = Vec::new();
        for mut piece in stream.chunks(size) {
            while !piece.is_empty() {
                let progress = connection.stream(piece, sent)?;
                assert!(progress.consumed != 0);
                piece = &piece[progress.consumed..];
                answered.extend(progress.answered);
            }
        }
        Ok(answered)
    }

    #[test]
    fn replies_in_any_order_and_any_fragments_answer_their_requests() {
        for size in 1..=150 {
            let (mut connection, replies) = exchange(0, 4);
            let stream = [
                marked(&replies[2], 1),
                marked(&replies[0], 3),
                marked(&replies[3], 40),
                marked(&replies[1], 1),
            ];
            let answered = answered(&mut connection, &stream.concat(), size, 4);
            assert_eq!(answered, Ok(vec![2, 0, 3, 1]), "{size}");
        }
    }

    #[test]
    fn each_connection_has_xids_of_its_own() {
        let (mut connection, _) = exchange(0, 4);
        let mut other = rpc(0).connection(4);
        let request = other.request(0);
        let xid = CallView::new(&request[4..]).unwrap().xid();
        let mut reply = [0; 24];
        Reply::accepted(xid, AcceptStatus::Success)
            .write(&mut Writer::new(&mut reply))
            .unwrap();
        let unknown = Err(Mismatch::UnknownXid(xid));
        assert_eq!(connection.datagram(&reply, 4), unknown);
        assert_eq!(other.datagram(&reply, 1), Ok(0));
    }

    #[test]
    fn a_giant_fragment_is_refused_at_its_mark_and_not_kept() {
        let (mut connection, _) = exchange(0, 1);
        let procedure = connection.calls.expected.procedure;
        let giant = connection.stream(b"\xff\xff\xff\xff", 1);
        let (announced, max) = (record::MAX_FRAGMENT, 432);
        let error = record::Error::TooLong { announced, max };
        assert_eq!(giant, Err(Mismatch::Record(procedure, error)));
        assert_eq!(connection.head.capacity(), Reply::MAX_BYTES);
        let text = Mismatch::Record(procedure, error).to_string();
        assert_eq!(
            text,
            "as a reply to nfs version 3 NULL, a record of at least 2147483647 bytes, where 432 are the limit"
        );
    }

    #[test]
    fn results_are_counted_and_not_kept() {
        for (results, wrong) in [(1 << 20, None), ((1 << 20) + 2, Some(()))] {
            let (mut connection, replies) = exchange(1, 1);
            let mark = Mark::new(24 + results as u32, true).unwrap();
            let stream = [&mark.to_bytes()[..], &replies[0], &vec![7; results]].concat();
            let result = answered(&mut connection, &stream, 4096, 1);
            match wrong {
                None => assert_eq!(result, Ok(vec![0])),
                Some(()) => {
                    let wrong = Wrong::Unaligned(results as u64);
                    let procedure = connection.calls.expected.procedure;
                    assert_eq!(result, Err(Mismatch::Reply(procedure, 0, wrong)));
                }
            }
            assert_eq!(connection.head.capacity(), Reply::MAX_BYTES);
        }
    }

    #[test]
    fn results_may_come_in_many_fragments() {
        let (mut connection, replies) = exchange(1, 1);
        let reply = [&replies[0][..], &[7; 4000 * 1000]].concat();
        let answered = answered(&mut connection, &marked(&reply, 1000), 65_536, 1);
        assert_eq!(answered, Ok(vec![0]));
    }

    #[test]
    fn results_that_look_like_a_reply_are_none() {
        for size in 1..=60 {
            let (mut connection, replies) = exchange(1, 2);
            let results = marked(&replies[1], 1);
            let reply = [&replies[0][..], &results].concat();
            let answered = answered(&mut connection, &marked(&reply, 1), size, 2);
            assert_eq!(answered, Ok(vec![0]), "{size}");
        }
    }

    #[test]
    fn replies_are_expected_to_be_as_long_as_the_last() {
        let (mut connection, replies) = exchange(0, 3);
        assert_eq!(connection.reply_bytes(1), 28);
        assert_eq!(connection.reply_bytes(32), 28 * 32);
        let stream = marked(&replies[0], 3);
        assert_eq!(stream.len(), 36);
        connection.stream(&stream[..30], 3).unwrap();
        // It is longer than was thought, but one byte of this fragment is all that is known to be missing.
        assert_eq!(connection.reply_bytes(1), 1);
        connection.stream(&stream[30..], 3).unwrap();
        assert_eq!(connection.reply_bytes(1), 36);
        connection.stream(&stream[..9], 3).unwrap();
        assert_eq!(connection.reply_bytes(2), 63);
        let (mut connection, _) = exchange(1, 1);
        connection.stream(b"\x80\x01\0\0", 1).unwrap();
        assert_eq!(connection.reply_bytes(1), 65_536);
    }
}
