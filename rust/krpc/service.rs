// SPDX-License-Identifier: GPL-2.0

//! Messages in, replies out.

use crate::{
    params::{
        MAX_RECORD_BYTES,
        PRIVILEGED_PORT,
        SERVICE,
        UDP_ERRORS_PER_PEER, //
    },
    programs::Context,
    stats::{
        Fault,
        Stats, //
    },
    throttle::Throttle, //
};
use core::net::SocketAddr;
use kernel::{
    prelude::*,
    sync::Arc, //
};
use ksf::{
    Ahead,
    Datagram,
    Progress,
    Received,
    Replies,
    Service,
    Slot,
    Stream,
    Verdict,
    VIEW_BYTES, //
};
use wire::{
    record::{
        Extent,
        Finder,
        Found,
        Limits,
        Mark,
        MARK_BYTES, //
    },
    rpc::{
        server::{
            serve_if,
            Answer,
            Entry,
            Outcome,
            Reason,
            Request,
            MAX_ERROR_BYTES,
            MAX_HEADER_BYTES,
            SUCCESS_BYTES, //
        },
        AuthStat,
        NULL, //
    }, //
};

/// The most fragments of a record, of which sunrpc has no limit.
const MAX_FRAGMENTS: u32 = 64;

/// The most bytes of a reply over TCP, with its mark: results may be as long as arguments.
const MAX_REPLY_BYTES: usize = MARK_BYTES + SUCCESS_BYTES + VIEW_BYTES;

/// How many messages that are no calls a connection may send. Linux's clients send replies to a server that calls back.
const MAX_NOT_CALLS: u32 = 16;

/// The most bytes of a reply over UDP, so that nobody can use this server to send more to others than he sends to it.
const MAX_UDP_REPLY_BYTES: usize = MAX_ERROR_BYTES;

// A program sees as much of a message as lies in a view, in which a header fits.
const _: () = assert!(MAX_HEADER_BYTES + MARK_BYTES <= VIEW_BYTES);

/// The server.
pub(crate) struct Rpc {
    programs: &'static [Entry<Context>],
    stats: Arc<Stats>,
}

/// What is kept for a connection.
pub(crate) struct Conn {
    finder: Finder,
    /// How many messages were no calls.
    not_calls: u32,
}

impl Rpc {
    /// Creates a server of these programs.
    pub(crate) fn new(programs: &'static [Entry<Context>], stats: Arc<Stats>) -> Self {
        Self { programs, stats }
    }

    /// Says what becomes of a message of `peer`, and writes the reply into `buffer`.
    #[inline]
    fn serve(&self, peer: SocketAddr, message: &[u8], buffer: &mut [u8]) -> Outcome {
        let admit = |request: &Request<'_, Context>| {
            let is_privileged = || peer.port() < 1024;
            if request.procedure() == NULL || PRIVILEGED_PORT.get() == 0 || is_privileged() {
                Ok(())
            } else {
                Err(AuthStat::TOOWEAK)
            }
        };
        serve_if(self.programs, &(), message, buffer, admit)
    }

    /// Serves a message of a connection, and writes the reply into `buffer`, which has at least [`MAX_REPLY_BYTES`]. Returns
    /// how many bytes it has, and whether the connection goes on.
    #[inline]
    fn answer(&self, peer: &mut Peer<'_>, message: &[u8], buffer: &mut [u8]) -> (usize, bool) {
        let Some((mark, reply)) = buffer.split_first_chunk_mut::<MARK_BYTES>() else {
            return (0, false);
        };
        let outcome = self.serve(peer.address, message, reply);
        self.stats.outcome(peer.slot, &outcome);
        match outcome.answer {
            Answer::Reply(len) => {
                *mark = last_fragment(len);
                (MARK_BYTES + len, true)
            }
            Answer::Drop => {
                peer.conn.not_calls += 1;
                (0, peer.conn.not_calls < MAX_NOT_CALLS)
            }
            Answer::Close => (0, false),
        }
    }

    /// Serves the records at the beginning of the stream that lie in one view, and have one fragment: nearly all there are.
    /// Returns whether the connection goes on.
    fn serve_view(
        &self,
        peer: &mut Peer<'_>,
        received: &mut Received<'_>,
        replies: &mut Replies<'_>,
    ) -> Result<bool> {
        let len = received.available().min(VIEW_BYTES);
        let mut rest = received.view(len).ok_or(EIO)?;
        let (room, budget) = (replies.room(), replies.budget());
        let (mut goes_on, mut served) = (true, 0);
        replies.append_with(replies.capacity(), |buffer| {
            let mut used = 0;
            while goes_on && served < budget && used < room {
                let buffer = buffer.get_mut(used..).unwrap_or_default();
                if buffer.len() < MAX_REPLY_BYTES {
                    break;
                }
                let Some((message, behind)) = peer.conn.finder.take_whole(rest) else {
                    break;
                };
                rest = behind;
                served += 1;
                let len;
                (len, goes_on) = self.answer(peer, message, buffer);
                used += len;
            }
            used
        })?;
        replies.count_requests(served);
        let left = rest.len();
        received.consume(len - left);
        Ok(goes_on)
    }

    /// Serves a record that is at the beginning of the stream, of any length and any number of fragments. Returns whether
    /// the connection goes on.
    fn serve_record(
        &self,
        peer: &mut Peer<'_>,
        record: Extent,
        received: &mut Received<'_>,
        replies: &mut Replies<'_>,
    ) -> Result<bool> {
        let message = received.gather(gather);
        let mut goes_on = true;
        replies.append_with(MAX_REPLY_BYTES, |buffer| {
            let len;
            (len, goes_on) = self.answer(peer, message, buffer);
            len
        })?;
        replies.count_requests(1);
        received.consume(record.span);
        Ok(goes_on)
    }
}

/// A connection in one call.
struct Peer<'a> {
    conn: &'a mut Conn,
    address: SocketAddr,
    slot: Slot,
}

/// Whether there is room for the longest reply, and the budget is not spent.
fn may_answer(replies: &Replies<'_>) -> bool {
    replies.may_go_on() && replies.capacity() >= MAX_REPLY_BYTES
}

/// The mark of a reply of so many bytes, which are fewer than a fragment can have.
#[inline]
fn last_fragment(len: usize) -> [u8; MARK_BYTES] {
    let mark = u32::try_from(len).ok().and_then(|len| Mark::new(len, true));
    mark.map(Mark::to_bytes).unwrap_or_default()
}

/// Puts the fragments of a record behind each other, as far as there is room.
fn gather(mut ahead: Ahead<'_>, buffer: &mut [u8]) -> usize {
    let mut gathered = 0;
    while let Some(mark) = ahead.read_array().map(Mark::from_bytes) {
        let room = buffer.get_mut(gathered..).unwrap_or_default();
        let len = mark.fragment_len() as usize;
        let here = len.min(room.len());
        gathered += ahead.read(&mut room[..here]);
        if mark.is_last() || here < len {
            break;
        }
    }
    gathered
}

impl Service for Rpc {
    type Conn = Conn;
    type Core = Throttle;

    fn open(&self, _peer: SocketAddr) -> Result<Conn> {
        let limits = Limits {
            // What a connection may buffer is more than its longest record, for packets have their own size.
            bytes: u32::try_from(MAX_RECORD_BYTES.get().min(SERVICE.conn_bytes.get() / 2))?,
            fragments: MAX_FRAGMENTS,
        };
        Ok(Conn {
            finder: Finder::new(limits),
            not_calls: 0,
        })
    }

    fn stream(&self, conn: &mut Conn, stream: &mut Stream<'_>) -> Result<Progress> {
        let address = stream.peer();
        let (received, replies) = stream.split();
        let slot = received.slot();
        let peer = &mut Peer {
            conn,
            address,
            slot,
        };
        loop {
            if !self.serve_view(peer, received, replies)? {
                return Ok(Progress::Close);
            }
            if !may_answer(replies) {
                return Ok(Progress::Need(1));
            }
            let mark_at = |offset| {
                let mut ahead = received.ahead();
                ahead.skip(offset);
                ahead.read_array()
            };
            match peer.conn.finder.next(received.available(), mark_at) {
                Ok(Found::Need(bytes)) => return Ok(Progress::Need(bytes)),
                Ok(Found::Record(record)) => {
                    if !self.serve_record(peer, record, received, replies)? {
                        return Ok(Progress::Close);
                    }
                }
                // Where the next record begins is not known, but those before it are answered.
                Err(error) => {
                    self.stats.fault(slot, error.into());
                    return Ok(Progress::Close);
                }
            }
        }
    }

    fn datagram(&self, throttle: &mut Throttle, datagram: &mut Datagram<'_>) -> Result<Verdict> {
        let peer = datagram.peer();
        if peer.port() == 0 || peer.port() == datagram.local().port() {
            return Ok(Verdict::RefuseSource);
        }
        let len = datagram.available();
        let mut buffer = [0; MAX_UDP_REPLY_BYTES];
        let room = &mut buffer[..len.min(MAX_UDP_REPLY_BYTES)];
        let slot = datagram.slot();
        let message = datagram.view(len.min(VIEW_BYTES)).ok_or(EIO)?;
        let outcome = self.serve(peer, message, room);
        self.stats.outcome(slot, &outcome);
        match (outcome.answer, outcome.reason) {
            (Answer::Reply(_), Some(_))
                if !throttle.admits(peer.ip(), UDP_ERRORS_PER_PEER.get(), ksf::coarse_ms()) =>
            {
                self.stats.fault(slot, Fault::UdpLimited);
            }
            (Answer::Reply(len), _) => {
                datagram.reply(room.get(..len).unwrap_or_default())?;
            }
            (Answer::Drop, Some(reason)) if reason != Reason::NotACall => {
                self.stats.fault(slot, Fault::UdpNoRoom);
            }
            (Answer::Drop | Answer::Close, _) => {}
        }
        Ok(Verdict::Done)
    }
}
