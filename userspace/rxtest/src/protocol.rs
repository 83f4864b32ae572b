// SPDX-License-Identifier: GPL-2.0

//! The requests, and what is verified of the replies.

use std::{io, os::fd::OwnedFd, sync::Arc};

use loadgen::{
    engine::Engine,
    protocol::{Connection, Progress, Protocol},
    Load,
};

use crate::{
    call::Call,
    content::{Content, Difference, Expected},
    engine::RxEngine,
    mismatch::{Mismatch, Wrong},
};

/// What is called and what is to be replied, for all clients.
#[derive(Clone, Debug)]
pub(crate) struct Rxperf(Arc<Calls>);

#[derive(Debug)]
struct Calls {
    call: Call,
    expected: Expected,
    content: Content,
}

impl Rxperf {
    /// Calls, all of which are the same, with replies of this content.
    pub(crate) fn new(call: Call, content: Content) -> Self {
        Self(Arc::new(Calls {
            call,
            expected: Expected::new(),
            content,
        }))
    }
}

impl Protocol for Rxperf {
    type Connection = Client;

    fn connection(&self, _: u64) -> Client {
        Client {
            calls: Arc::clone(&self.0),
            content: self.0.content,
        }
    }

    fn engine(
        &self,
        sockets: &mut Vec<OwnedFd>,
        load: &Load,
        busy_poll: bool,
    ) -> io::Result<Option<Box<dyn Engine>>> {
        let engine = RxEngine::new(std::mem::take(sockets), load, busy_poll)?;
        Ok(Some(Box::new(engine)))
    }
}

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    calls: Arc<Calls>,
    /// What replies are made of, once that is known.
    content: Content,
}

impl Client {
    fn verify(&mut self, offset: u64, bytes: &[u8], is_last: bool) -> Result<(), Wrong> {
        let Calls { call, expected, .. } = &*self.calls;
        let total = call.reply_bytes();
        let content_left = call.content_bytes().saturating_sub(offset);
        let split = usize::try_from(content_left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let (content, tail) = bytes.split_at(split);
        expected
            .compare(&mut self.content, offset, content)
            .map_err(|difference| Wrong::Byte(difference, total))?;
        let end = offset + bytes.len() as u64;
        if end > total {
            return Err(Wrong::TooLong(end, total));
        }
        let from = (end - tail.len() as u64).saturating_sub(call.content_bytes()) as usize;
        let cookie = &call.cookie()[from..from + tail.len()];
        if tail != cookie {
            return Err(Wrong::Cookie(Difference::of(offset, tail, cookie)));
        }
        if is_last && end != total {
            return Err(Wrong::TooShort(end, total));
        }
        Ok(())
    }
}

impl Connection for Client {
    type Mismatch = Mismatch;

    fn request(&mut self, _: u64) -> &[u8] {
        self.calls.call.request()
    }

    fn stream(&mut self, _: &[u8], sent: u64) -> Result<Progress, Mismatch> {
        Err(no_call(sent))
    }

    fn datagram(&mut self, _: &[u8], sent: u64) -> Result<u64, Mismatch> {
        Err(no_call(sent))
    }

    fn part(
        &mut self,
        number: u64,
        offset: u64,
        bytes: &[u8],
        is_last: bool,
    ) -> Result<(), Mismatch> {
        self.verify(offset, bytes, is_last)
            .map_err(|wrong| Mismatch { number, wrong })
    }

    fn reply_bytes(&self, _: usize) -> usize {
        usize::MAX
    }

    fn partial_bytes(&self) -> usize {
        0
    }
}

/// Rx knows which call everything belongs to.
#[cold]
fn no_call(sent: u64) -> Mismatch {
    Mismatch {
        number: sent.saturating_sub(1),
        wrong: Wrong::NoCall,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::rxperf::Operation;

    /// Verifies a reply to a call for so many bytes, in pieces of this size.
    fn verify(bytes: u32, reply: &[u8], piece: usize) -> Result<(), String> {
        let call = Call::new(Operation::Recv { bytes });
        let mut client = Rxperf::new(call, Content::Auto).connection(0);
        let pieces = reply.chunks(piece).count().max(1);
        let mut chunks = reply.chunks(piece);
        for number in 0..pieces {
            let part = chunks.next().unwrap_or_default();
            let offset = (number * piece) as u64;
            let is_last = number + 1 == pieces;
            client
                .part(6, offset, part, is_last)
                .map_err(|mismatch| mismatch.to_string())?;
        }
        Ok(())
    }

    fn reply(bytes: usize) -> Vec<u8> {
        let mut reply = vec![0; bytes];
        rx::content::fill(0, &mut reply);
        reply.extend_from_slice(&[0, 0, 0x47, 0x11]);
        reply
    }

    #[test]
    fn right_replies_are_right_in_any_pieces() {
        for bytes in [0, 1, 7, 100] {
            for piece in 1..=bytes + 5 {
                assert_eq!(verify(bytes as u32, &reply(bytes), piece), Ok(()));
                let mut zeros = vec![0; bytes];
                zeros.extend_from_slice(&[0, 0, 0x47, 0x11]);
                assert_eq!(verify(bytes as u32, &zeros, piece), Ok(()));
            }
        }
    }

    #[test]
    fn whatever_is_wrong_is_told() {
        let good = reply(100);
        let mut wrong_byte = good.clone();
        wrong_byte[41] = !wrong_byte[41];
        let mut wrong_cookie = good.clone();
        wrong_cookie[102] = 0x48;
        let long = [&good[..], &[0]].concat();
        for piece in [1, 3, 7, 1000] {
            let said = |reply: &[u8]| verify(100, reply, piece).unwrap_err();
            assert_eq!(
                said(&wrong_byte),
                format!(
                    "request 7: byte 42 of 104 is {:#04x} instead of {:#04x}",
                    wrong_byte[41], good[41]
                )
            );
            assert_eq!(
                said(&wrong_cookie),
                "request 7: a byte of the cookie that ends the reply is 0x48 instead of 0x47"
            );
            assert_eq!(
                said(&good[..103]),
                "request 7: a reply of 103 bytes instead of 104"
            );
            assert_eq!(
                said(&good[..5]),
                "request 7: a reply of 5 bytes instead of 104"
            );
            assert_eq!(said(&[]), "request 7: a reply of 0 bytes instead of 104");
            assert_eq!(
                said(&long),
                "request 7: a reply of at least 105 bytes instead of 104"
            );
        }
    }
}
