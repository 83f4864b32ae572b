// SPDX-License-Identifier: GPL-2.0

//! Connections.

use wire::rx::{
    AbortCode,
    AckReason,
    AckView,
    Flags,
    Header,
    PacketType, //
};

use crate::{
    call::{
        CallCounters,
        Channel,
        Outcome,
        State, //
    },
    instant::{
        earlier,
        Instant, //
    },
    peer::Peer,
    receiver::Taken,
    sender::Sender,
    storage::Storage,
    transmit::cost,
    CHANNELS,
    HEADER_BYTES, //
};

/// For how long a client waits for its next call to acknowledge a reply of one packet before it does so itself, in µs.
const LAST_ACK_US: u64 = 10_000;

/// Which side of a connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that calls.
    Client,
    /// The one that is called.
    Server,
}

/// What a connection is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// When the client started, or a random number; the highest bit says that it is random.
    pub epoch: u32,
    /// The number of the connection: a multiple of four.
    pub cid: u32,
    /// The service that is called, not 0.
    pub service_id: u16,
}

/// The data of a packet, at its turn.
#[derive(Debug, PartialEq, Eq)]
pub struct Data<P> {
    /// On which channel.
    pub channel: usize,
    /// Of which call.
    pub call_number: u32,
    /// The data.
    pub payload: P,
    /// It is the first of its call in this direction.
    pub is_first: bool,
    /// It is the last of its call in this direction.
    pub is_last: bool,
}

/// Something that the user has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A call has ended, and what the engine was handed in for it is given up.
    Ended {
        /// On which channel.
        channel: usize,
        /// Its number.
        call_number: u32,
        /// How.
        outcome: Outcome,
        /// What was counted of it.
        counters: CallCounters,
    },
    /// The connection is of no use any more; its calls have ended.
    Closed(AbortCode),
}

/// A connection: four channels for calls, one call at a time on each.
///
/// It is driven by its user in *turns*: all packets that have come are given to [`receive_data()`](Self::receive_data)
/// and [`receive()`](Self::receive), then [`poll_transmit()`](Self::poll_transmit) says which packets are to be sent until there are none.
/// At the latest at [`deadline()`](Self::deadline), [`expire()`](Self::expire) is called, and a turn follows. After
/// each of these, [`poll_event()`](Self::poll_event) is asked until there is nothing, before data is looked at.
///
/// Packets belong to it that have its epoch and its number (without the channel), and are of the other side.
pub struct Connection<S: Storage> {
    pub(crate) side: Side,
    pub(crate) identity: Identity,
    /// The number of the packet that was sent last.
    pub(crate) serial: u32,
    /// The one that it would have been before the first packet.
    first_serial: u32,
    pub(crate) channels: [Channel<S>; CHANNELS],
    /// The channel that is to be looked at first.
    pub(crate) turn: usize,
    /// How many bytes a peer may be sent that has not proved its address.
    pub(crate) credit: u64,
    /// The number of the last ping, and when it was sent.
    pub(crate) ping: Option<(u32, Instant)>,
    /// When to ping again for a proof of the peer's address; `None`: at once.
    pub(crate) reach_at: Option<Instant>,
    /// How many µs after that, or 0.
    pub(crate) reach_us: u64,
    pub(crate) closed: Option<AbortCode>,
    is_close_told: bool,
    pub(crate) is_abort_due: bool,
    heard_at: Instant,
}

impl<S: Storage> Connection<S> {
    /// A new connection, before its first packet.
    ///
    /// The packets have numbers beyond `serial`. That of a server is to be random, and below 2^30: who echoes such a number is
    /// where its packets say it is.
    pub fn new(side: Side, identity: Identity, serial: u32, now: Instant) -> Self {
        Self {
            side,
            identity,
            serial,
            first_serial: serial,
            channels: [const { Channel::new() }; CHANNELS],
            turn: 0,
            credit: 0,
            ping: None,
            reach_at: None,
            reach_us: 0,
            closed: None,
            is_close_told: false,
            is_abort_due: false,
            heard_at: now,
        }
    }

    /// What it is known by.
    pub const fn identity(&self) -> Identity {
        self.identity
    }

    /// When something came for it last.
    pub const fn heard_at(&self) -> Instant {
        self.heard_at
    }

    /// Whether a call is on its way.
    pub fn is_active(&self) -> bool {
        self.channels.iter().any(Channel::is_active)
    }

    /// The number of the newest call on a channel, or 0.
    pub fn call_number(&self, channel: usize) -> u32 {
        self.channels
            .get(channel)
            .map_or(0, |channel| channel.number)
    }

    /// Calls: `length` bytes are to be sent. Returns channel and number of the call, or `None` if no channel is free, or the
    /// connection is closed, or nobody could send so much.
    ///
    /// For a client.
    pub fn call(
        &mut self,
        now: Instant,
        peer: &Peer,
        length: u64,
        unacked: Option<S::Unacked>,
    ) -> Option<(usize, u32)> {
        if self.closed.is_some() || self.side != Side::Client {
            return None;
        }
        let free = |channel: &Channel<S>| !channel.is_active() && channel.number != u32::MAX;
        let index = self.channels.iter().position(free)?;
        let channel = self.channels.get_mut(index)?;
        let sender = Sender::new(
            now,
            peer,
            Side::Client,
            channel.peer_window,
            length,
            unacked,
        )?;
        let number = channel.number.saturating_add(1);
        channel.begin(now, number, State::Requesting);
        channel.sender = Some(sender);
        Some((index, number))
    }

    /// Replies to the call on a channel, whose last data has been received: `length` bytes are to be sent. Returns whether
    /// there is such a call, and so much can be sent.
    ///
    /// For a server.
    pub fn reply(
        &mut self,
        now: Instant,
        peer: &Peer,
        channel: usize,
        length: u64,
        unacked: Option<S::Unacked>,
    ) -> bool {
        let Some(channel) = self.serving(channel) else {
            return false;
        };
        let Some(sender) = Sender::new(
            now,
            peer,
            Side::Server,
            channel.peer_window,
            length,
            unacked,
        ) else {
            return false;
        };
        channel.sender = Some(sender);
        channel.state = State::Replying;
        channel.heard_at = now;
        // The first packet of a reply acknowledges the request.
        channel.receiver.acknowledge_implicitly();
        true
    }

    fn serving(&mut self, channel: usize) -> Option<&mut Channel<S>> {
        let channel = self.channels.get_mut(channel)?;
        (channel.state == State::Serving).then_some(channel)
    }

    /// Of what the call on a channel sends, only the first `bytes` are there yet.
    pub fn set_available(&mut self, channel: usize, bytes: u64) {
        if let Some(sender) = self.sender(channel) {
            sender.set_available(bytes);
        }
    }

    /// The last packet that the call on a channel sends waits until all others are acknowledged. Then the user may still
    /// [`abort()`](Self::abort) instead.
    pub fn hold_last(&mut self, channel: usize) {
        if let Some(sender) = self.sender(channel) {
            sender.hold_last();
        }
    }

    fn sender(&mut self, channel: usize) -> Option<&mut Sender<S::Unacked>> {
        self.channels.get_mut(channel)?.sender.as_mut()
    }

    /// Aborts the call on a channel, unless it has ended.
    pub fn abort(&mut self, now: Instant, peer: &mut Peer, channel: usize, code: AbortCode) {
        if let Some(channel) = self.channels.get_mut(channel) {
            channel.abort(now, peer, code);
        }
    }

    /// Closes the connection: all of its calls are aborted with `code`, and the peer is told.
    pub fn close(&mut self, now: Instant, peer: &mut Peer, code: AbortCode) {
        if self.closed.is_none() {
            self.is_abort_due = true;
            self.end_all(now, peer, code, Outcome::LocalAbort(code));
        }
    }

    fn end_all(&mut self, now: Instant, peer: &mut Peer, code: AbortCode, outcome: Outcome) {
        self.closed = Some(code);
        for channel in &mut self.channels {
            channel.end(now, peer, outcome);
        }
    }

    /// A packet was received, of a datagram of `datagram_bytes` (for the packets of a jumbogram but the first, 0).
    fn hear(&mut self, now: Instant, header: &Header, datagram_bytes: usize) -> bool {
        let is_client = header.flags.contains(Flags::CLIENT_INITIATED);
        let is_ours = header.epoch == self.identity.epoch
            && header.connection() == self.identity.cid
            && is_client == (self.side == Side::Server);
        if is_ours {
            self.heard_at = now;
            if datagram_bytes != 0 {
                self.credit = self.credit.saturating_add(cost(datagram_bytes));
            }
        }
        is_ours
    }

    /// Takes a DATA packet, whose header is `header`, in a datagram of `datagram_bytes` with all headers of Rx (0 for the packets of a
    /// jumbogram but the first). Returns the data that is to be looked at now, if it is its turn; then [`Self::next_data()`] may
    /// have more.
    ///
    /// `unread` makes places for packets that come before their turn; it is called once for a call of several packets.
    pub fn receive_data(
        &mut self,
        now: Instant,
        peer: &mut Peer,
        header: &Header,
        datagram_bytes: usize,
        payload: S::Payload,
        unread: impl FnOnce() -> Option<S::Unread>,
    ) -> Option<Data<S::Payload>> {
        if !self.hear(now, header, datagram_bytes) {
            return None;
        }
        if self.closed.is_some() {
            self.is_abort_due = true;
            return None;
        }
        // Packets of DATA are numbered from 1.
        if header.seq == 0 {
            return None;
        }
        let is_server = self.side == Side::Server;
        let index = header.channel();
        let channel = self.channels.get_mut(index)?;
        if is_server {
            Self::meet(channel, now, peer, header);
        }
        if header.call_number != channel.number {
            return None;
        }
        channel.heard_at = now;
        channel.data_packets_received = channel.data_packets_received.saturating_add(1);
        if channel.refuse() {
            return None;
        }
        // Of a call that has ended, only who lost our acknowledgement of its last packet needs another one.
        if !channel.is_active() && !channel.receiver.is_done() {
            return None;
        }
        if channel.state == State::Requesting {
            // A reply acknowledges the request.
            if let Some(sender) = &mut channel.sender {
                sender.on_implicit_ack();
            }
            channel.state = State::Receiving;
        }
        if channel.is_active() {
            channel.receiver.prepare(header.seq, header.flags, unread);
        }
        let is_first = header.seq == 1;
        let taken = channel
            .receiver
            .take(now, header.seq, header.serial, header.flags, payload);
        match taken {
            Taken::InOrder { payload, is_last } => {
                if is_last {
                    Self::complete(channel, now, peer, is_server);
                }
                Some(Data {
                    channel: index,
                    call_number: header.call_number,
                    payload,
                    is_first,
                    is_last,
                })
            }
            Taken::Not => None,
            Taken::Wrong => {
                channel.abort(now, peer, AbortCode::PROTOCOL_ERROR);
                None
            }
        }
    }

    /// A server got a packet of DATA: is it one of a new call?
    fn meet(channel: &mut Channel<S>, now: Instant, peer: &mut Peer, header: &Header) {
        if header.call_number <= channel.number {
            return;
        }
        match channel.state {
            // The client has given up on a call, and begins another: OpenAFS has it wait until the first one is gone.
            State::Receiving | State::Serving => {
                channel.abort(now, peer, AbortCode::CALL_DEAD);
                channel.abort = None;
                channel.busy = Some(header.call_number);
                return;
            }
            // Who calls again has the reply to the last call.
            State::Replying => channel.end(now, peer, Outcome::Completed),
            State::Unused | State::Requesting | State::Ended => {}
        }
        channel.begin(now, header.call_number, State::Receiving);
    }

    /// All data of a call was received.
    fn complete(channel: &mut Channel<S>, now: Instant, peer: &mut Peer, is_server: bool) {
        if is_server {
            channel.state = State::Serving;
            channel.receiver.free();
        } else {
            channel.end(now, peer, Outcome::Completed);
            channel.receiver.acknowledge_last(now.after_us(LAST_ACK_US));
        }
    }

    /// Returns the next data on a channel, if it has come before its turn.
    pub fn next_data(
        &mut self,
        now: Instant,
        peer: &mut Peer,
        channel: usize,
    ) -> Option<Data<S::Payload>> {
        let index = channel;
        let is_server = self.side == Side::Server;
        let channel = self.channels.get_mut(index)?;
        let (payload, is_last) = channel.receiver.next_kept()?;
        if is_last {
            Self::complete(channel, now, peer, is_server);
        }
        Some(Data {
            channel: index,
            call_number: channel.number,
            payload,
            is_first: false,
            is_last,
        })
    }

    /// Takes a packet of any other kind than DATA, with its payload.
    pub fn receive(&mut self, now: Instant, peer: &mut Peer, header: &Header, payload: &[u8]) {
        if !self.hear(now, header, payload.len().saturating_add(HEADER_BYTES)) {
            return;
        }
        match PacketType::try_from(header.packet_type) {
            Ok(PacketType::Ack) => self.receive_ack(now, peer, header, payload),
            Ok(PacketType::AckAll) => self.receive_ack_all(now, peer, header),
            Ok(PacketType::Abort) => self.receive_abort(now, peer, header, payload),
            // To a client it says that somebody is there.
            Ok(PacketType::Busy) => {
                if let Some(channel) = self.current(header) {
                    channel.heard_at = now;
                }
            }
            // There is nothing that could be proved by anybody on a connection without security (Linux,
            // `none_respond_to_challenge()`).
            Ok(PacketType::Challenge | PacketType::Response) => {
                self.close(now, peer, AbortCode::PROTOCOL_ERROR);
            }
            _ => {}
        }
    }

    /// The channel that a packet is for, if it is for the newest call there.
    fn current(&mut self, header: &Header) -> Option<&mut Channel<S>> {
        let channel = self.channels.get_mut(header.channel())?;
        (channel.number == header.call_number && channel.number != 0).then_some(channel)
    }

    fn receive_ack(&mut self, now: Instant, peer: &mut Peer, header: &Header, payload: &[u8]) {
        let Ok(view) = AckView::parse(payload) else {
            return;
        };
        let ack = view.ack();
        let is_echo = self.has_sent(ack.serial);
        let is_server = self.side == Side::Server;
        let ping = self.ping.filter(|(serial, _)| *serial == ack.serial);
        let Some(channel) = self.current(header) else {
            return;
        };
        channel.heard_at = now;
        // A client that asks for a call that has ended, and does not know, has to find out by hearing nothing.
        if channel.refuse() || (is_server && !channel.is_active()) {
            return;
        }
        if let Some(trailer) = view.trailer() {
            peer.set_max_mtu(trailer.max_mtu);
            channel.peer_window = Some(trailer.rwind);
        }
        if let Some(sender) = &mut channel.sender {
            if sender.on_ack(now, &view, header.serial, peer).is_err() {
                return channel.abort(now, peer, AbortCode::PROTOCOL_ERROR);
            }
            channel.end_if_acknowledged(now, peer);
        }
        if ack.reason == AckReason::Ping {
            channel
                .receiver
                .acknowledge(AckReason::PingResponse, header.serial);
        } else if header.flags.contains(Flags::REQUEST_ACK) {
            channel
                .receiver
                .acknowledge(AckReason::Requested, header.serial);
        }
        if let Some((_, at)) = ping {
            peer.rtt.sample(now, now.us_since(at));
            self.ping = None;
        }
        if is_echo {
            peer.prove(now);
            self.reach_at = None;
            self.reach_us = 0;
        }
    }

    /// Whether a packet with this number was sent lately. Who knows the number has got the packet.
    fn has_sent(&self, serial: u32) -> bool {
        /// Few enough to make guessing hopeless.
        const LATELY: u32 = 1 << 12;
        let age = self.serial.wrapping_sub(serial);
        age < LATELY.min(self.serial.wrapping_sub(self.first_serial))
    }

    fn receive_ack_all(&mut self, now: Instant, peer: &mut Peer, header: &Header) {
        let Some(channel) = self.current(header) else {
            return;
        };
        channel.heard_at = now;
        if let Some(sender) = &mut channel.sender {
            sender.on_implicit_ack();
            channel.end_if_acknowledged(now, peer);
        }
    }

    fn receive_abort(&mut self, now: Instant, peer: &mut Peer, header: &Header, payload: &[u8]) {
        let code = AbortCode::parse(payload).unwrap_or(AbortCode::PROTOCOL_ERROR);
        if header.call_number == 0 {
            if self.closed.is_none() {
                self.end_all(now, peer, code, Outcome::RemoteAbort(code));
            }
        } else if let Some(channel) = self.current(header) {
            channel.end(now, peer, Outcome::RemoteAbort(code));
        }
    }

    /// Returns what the user has to know, until there is nothing.
    pub fn poll_event(&mut self) -> Option<Event> {
        for (index, channel) in self.channels.iter_mut().enumerate() {
            if let Some((call_number, outcome, counters)) = channel.ended.take() {
                return Some(Event::Ended {
                    channel: index,
                    call_number,
                    outcome,
                    counters,
                });
            }
        }
        let code = self.closed.filter(|_| !self.is_close_told)?;
        self.is_close_told = true;
        Some(Event::Closed(code))
    }

    /// When [`Self::expire()`] is to be called, if nothing comes before.
    pub fn deadline(&self) -> Option<Instant> {
        let is_client = self.side == Side::Client;
        let deadline = self
            .channels
            .iter()
            .fold(None, |at, channel| earlier(at, channel.deadline(is_client)));
        earlier(deadline, self.reach_at)
    }

    /// Does what is due at [`Self::deadline()`]. A turn has to follow.
    pub fn expire(&mut self, now: Instant, peer: &mut Peer) {
        let is_client = self.side == Side::Client;
        for channel in &mut self.channels {
            channel.expire(now, peer, is_client);
        }
        self.reach_at.take_if(|at| *at <= now);
    }
}
