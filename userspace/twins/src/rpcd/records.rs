// SPDX-License-Identifier: GPL-2.0

//! The records of a connection: what krpc does with them.

use wire::{
    record::{Extent, Finder, Found, Limits, Mark, MARK_BYTES},
    rpc::server::{serve, Answer, MAX_ERROR_BYTES},
};

use crate::programs::PROGRAMS;

/// krpc's, as they are by default.
const LIMITS: Limits = Limits {
    bytes: 65_536,
    fragments: 64,
};

/// So many messages that are no calls end a connection.
const MAX_STRAYS: u32 = 16;

/// What has come of a connection and is not served yet.
#[derive(Debug)]
pub(crate) struct Records {
    finder: Finder,
    /// The beginning of a record.
    kept: Vec<u8>,
    /// How many messages were no calls.
    strays: u32,
}

impl Default for Records {
    fn default() -> Self {
        Self {
            finder: Finder::new(LIMITS),
            kept: Vec::new(),
            strays: 0,
        }
    }
}

impl Records {
    /// Serves all records that are whole now, and appends the replies. Returns whether that was all: what comes after a
    /// record that nobody can serve is not looked at.
    #[inline]
    pub(crate) fn serve(&mut self, received: &[u8], replies: &mut Vec<u8>) -> bool {
        if !self.kept.is_empty() {
            return self.serve_kept(received, replies);
        }
        let Some(served) = self.serve_whole(received, replies) else {
            return true;
        };
        if served < received.len() {
            self.kept.extend_from_slice(&received[served..]);
        }
        false
    }

    fn serve_kept(&mut self, received: &[u8], replies: &mut Vec<u8>) -> bool {
        let mut kept = std::mem::take(&mut self.kept);
        kept.extend_from_slice(received);
        let served = self.serve_whole(&kept, replies);
        kept.drain(..served.unwrap_or(kept.len()));
        self.kept = kept;
        served.is_none()
    }

    /// Returns how many bytes the whole records have; `None` if one of them is the last.
    #[inline]
    fn serve_whole(&mut self, bytes: &[u8], replies: &mut Vec<u8>) -> Option<usize> {
        let mut rest = bytes;
        loop {
            let mark_at = |offset| rest.get(offset..)?.first_chunk().copied();
            let record = match self.finder.next(rest.len(), mark_at) {
                Ok(Found::Record(record)) => record,
                Ok(Found::Need(_)) => return Some(bytes.len() - rest.len()),
                Err(_) => return None,
            };
            let (marked, others) = rest.split_at(record.span);
            if record.fragments == 1 {
                self.answer(&marked[MARK_BYTES..], replies)?;
            } else {
                self.answer(&joined(marked, record), replies)?;
            }
            rest = others;
        }
    }

    /// Appends the reply to a message, if there is one; `None` if the message ends the connection.
    #[inline]
    fn answer(&mut self, message: &[u8], replies: &mut Vec<u8>) -> Option<()> {
        let start = replies.len();
        replies.extend_from_slice(&[0; MARK_BYTES + MAX_ERROR_BYTES]);
        let reply = &mut replies[start..];
        let (mark, room) = reply.split_at_mut(MARK_BYTES);
        let (length, then) = match serve(&PROGRAMS, &(), message, room).answer {
            Answer::Reply(length) => (length, Some(())),
            Answer::Drop => {
                self.strays += 1;
                (0, (self.strays < MAX_STRAYS).then_some(()))
            }
            Answer::Close => (0, None),
        };
        let end = match length {
            0 => start,
            length => {
                let whole = Mark::new(length as u32, true)?;
                mark.copy_from_slice(&whole.to_bytes());
                start + MARK_BYTES + length
            }
        };
        replies.truncate(end);
        then
    }
}

/// A record without its marks.
fn joined(mut marked: &[u8], record: Extent) -> Vec<u8> {
    let mut message = Vec::with_capacity(record.bytes as usize);
    while let Some((mark, rest)) = marked.split_first_chunk() {
        let length = Mark::from_bytes(*mark).fragment_len() as usize;
        let (fragment, rest) = rest.split_at(length);
        message.extend_from_slice(fragment);
        marked = rest;
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call of NULL by nobody, and its reply, both with their marks.
    const CALL: &[u8; 44] = b"\x80\0\0\x28\0\0\0\x07\0\0\0\0\0\0\0\x02\0\x01\x86\xa3\0\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    const REPLY: &[u8; 28] = b"\x80\0\0\x18\0\0\0\x07\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    const STRAY: &[u8; 12] = b"\x80\0\0\x08\0\0\0\x07\0\0\0\x01";

    #[test]
    fn a_stream_that_comes_in_pieces_is_served_as_if_it_came_at_once() {
        let mut stream = CALL.repeat(3);
        stream.extend(STRAY);
        // Two fragments.
        stream.extend([0, 0, 0, 9]);
        stream.extend(&CALL[4..13]);
        stream.extend([0x80, 0, 0, 31]);
        stream.extend(&CALL[13..]);
        for size in 1..=stream.len() {
            let (mut records, mut replies) = (Records::default(), Vec::new());
            for piece in stream.chunks(size) {
                assert!(!records.serve(piece, &mut replies));
            }
            assert_eq!(replies, REPLY.repeat(4), "in pieces of {size} bytes");
            assert!(records.kept.is_empty());
        }
    }

    #[test]
    fn what_nobody_can_serve_is_the_last() {
        for last in [
            &b"\x80\x01\0\x01"[..],
            b"\0\0\0\0".repeat(65).as_slice(),
            b"\x80\0\0\x04\0\0\0\x07",
            b"\x80\0\0\x08\0\0\0\x07\0\0\0\0",
            &STRAY.repeat(16),
        ] {
            let (mut records, mut replies) = (Records::default(), Vec::new());
            assert!(records.serve(&[CALL, last, CALL].concat(), &mut replies));
            assert_eq!(replies, REPLY, "{last:x?}");
        }
        let (mut records, mut replies) = (Records::default(), Vec::new());
        assert!(!records.serve(&STRAY.repeat(15), &mut replies));
        assert_eq!(replies, []);
    }
}
