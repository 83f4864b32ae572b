// SPDX-License-Identifier: GPL-2.0

//! Calls: one after the other on each channel of a connection.

use core::fmt;

use wire::rx::AbortCode;

use crate::{
    instant::{
        earlier,
        Instant, //
    },
    peer::Peer,
    receiver::Receiver,
    sender::Sender,
    storage::Storage, //
};

/// After how long without a word from the peer a call is given up, in µs (OpenAFS has
/// 12 s, and its file server 30 s; Linux has 20 s).
pub(crate) const DEAD_US: u64 = 20_000_000;

/// After how long without a word from the peer a client asks whether it is there, in µs.
const KEEPALIVE_US: u64 = DEAD_US / 6;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server's reply was acknowledged; the client has all of the reply.
    Completed,
    /// The peer aborted it, with this code.
    RemoteAbort(AbortCode),
    /// It was aborted here, with this code.
    LocalAbort(AbortCode),
    /// Nothing came from the peer for too long.
    Dead,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completed => f.write_str("completed"),
            Self::RemoteAbort(AbortCode(code)) => write!(f, "aborted by the peer with code {code}"),
            Self::LocalAbort(AbortCode(code)) => write!(f, "aborted with code {code}"),
            Self::Dead => f.write_str("the peer is silent"),
        }
    }
}

/// What was counted of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallCounters {
    /// DATA packets that were sent, without those that were sent again.
    pub data_packets_sent: u32,
    /// DATA packets that were sent again.
    pub data_packets_resent: u32,
    /// DATA packets that came, whatever became of them.
    pub data_packets_received: u32,
    /// The congestion window at the end, in packets.
    pub congestion_window: u32,
}

/// What a call is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// There was no call on the channel.
    Unused,
    /// Client: the request is sent.
    Requesting,
    /// Server: the request is received. Client: the reply is.
    Receiving,
    /// Server: the request is being served.
    Serving,
    /// Server: the reply is sent.
    Replying,
    /// It has ended.
    Ended,
}

/// A channel of a connection, and the newest call on it.
pub(crate) struct Channel<S: Storage> {
    /// The number of the newest call, or 0.
    pub(crate) number: u32,
    pub(crate) state: State,
    pub(crate) receiver: Receiver<S::Payload, S::Unread>,
    pub(crate) sender: Option<Sender<S::Unacked>>,
    /// How many packets the peer said to take on this channel.
    pub(crate) peer_window: Option<u32>,
    /// What any packet of the call is answered with.
    pub(crate) refused: Option<AbortCode>,
    /// A call that the peer is to be told of that it was aborted.
    pub(crate) abort: Option<(u32, AbortCode)>,
    /// The number of a call that is to be answered with BUSY.
    pub(crate) busy: Option<u32>,
    pub(crate) is_ping_due: bool,
    pub(crate) pinged_at: Instant,
    pub(crate) heard_at: Instant,
    /// How a call has ended, with its number, if the user does not know yet.
    pub(crate) ended: Option<(u32, Outcome, CallCounters)>,
    pub(crate) data_packets_received: u32,
}

impl<S: Storage> Channel<S> {
    pub(crate) const fn new() -> Self {
        Self {
            number: 0,
            state: State::Unused,
            receiver: Receiver::new(),
            sender: None,
            peer_window: None,
            refused: None,
            abort: None,
            busy: None,
            is_ping_due: false,
            pinged_at: Instant::from_micros(0),
            heard_at: Instant::from_micros(0),
            ended: None,
            data_packets_received: 0,
        }
    }

    /// Whether a call is on its way.
    pub(crate) const fn is_active(&self) -> bool {
        !matches!(self.state, State::Unused | State::Ended)
    }

    /// Begins call `number`.
    pub(crate) fn begin(&mut self, now: Instant, number: u32, state: State) {
        *self = Self {
            number,
            state,
            heard_at: now,
            pinged_at: now,
            peer_window: self.peer_window,
            abort: self.abort,
            ended: self.ended.take(),
            ..Self::new()
        };
    }

    /// Ends the call, unless it has ended.
    pub(crate) fn end(&mut self, now: Instant, peer: &mut Peer, outcome: Outcome) {
        if !self.is_active() {
            return;
        }
        let mut counters = CallCounters {
            data_packets_received: self.data_packets_received,
            ..CallCounters::default()
        };
        if let Some(sender) = self.sender.take() {
            counters.data_packets_sent = sender.next.saturating_sub(1);
            counters.data_packets_resent = sender.resent();
            counters.congestion_window = sender.congestion.window();
            if outcome == Outcome::Completed {
                peer.remember(now, &sender.congestion, sender.packets());
            }
        }
        self.state = State::Ended;
        self.receiver.free();
        self.receiver.acknowledge_implicitly();
        self.is_ping_due = false;
        self.ended = Some((self.number, outcome, counters));
    }

    /// Ends the call if it is a reply that the client has.
    pub(crate) fn end_if_acknowledged(&mut self, now: Instant, peer: &mut Peer) {
        let is_done = self.sender.as_ref().is_some_and(Sender::is_done);
        if is_done && self.state == State::Replying {
            self.end(now, peer, Outcome::Completed);
        }
    }

    /// Aborts the call with `code`, unless it has ended.
    pub(crate) fn abort(&mut self, now: Instant, peer: &mut Peer, code: AbortCode) {
        if self.is_active() {
            self.end(now, peer, Outcome::LocalAbort(code));
            self.refused = Some(code);
            self.abort = Some((self.number, code));
        }
    }

    /// Whether the call was aborted here. Who speaks of it is told then.
    pub(crate) fn refuse(&mut self) -> bool {
        if let Some(code) = self.refused {
            self.abort = Some((self.number, code));
        }
        self.refused.is_some()
    }

    /// When something is to be done although nothing comes.
    pub(crate) fn deadline(&self, is_client: bool) -> Option<Instant> {
        let sender = self.sender.as_ref().and_then(Sender::deadline);
        let deadline = earlier(self.receiver.deadline(), sender);
        earlier(
            deadline,
            earlier(self.dead_at(), self.keepalive_at(is_client)),
        )
    }

    /// When the call is given up.
    fn dead_at(&self) -> Option<Instant> {
        // While a request is served, it is the client who asks.
        let waits = self.is_active() && self.state != State::Serving;
        waits.then(|| self.heard_at.after_us(DEAD_US))
    }

    /// When the server is asked whether it is there.
    fn keepalive_at(&self, is_client: bool) -> Option<Instant> {
        let asks = is_client && self.is_active();
        asks.then(|| self.heard_at.max(self.pinged_at).after_us(KEEPALIVE_US))
    }

    /// Does what is due at [`Self::deadline()`].
    pub(crate) fn expire(&mut self, now: Instant, peer: &mut Peer, is_client: bool) {
        self.receiver.expire(now);
        if self.dead_at().is_some_and(|at| at <= now) {
            self.end(now, peer, Outcome::Dead);
            // The peer may be heard again, and is to know then.
            self.refused = Some(AbortCode::CALL_DEAD);
            return;
        }
        if let Some(sender) = &mut self.sender {
            self.is_ping_due |= sender.expire(now, &peer.rtt);
        }
        self.is_ping_due |= self.keepalive_at(is_client).is_some_and(|at| at <= now);
    }
}
