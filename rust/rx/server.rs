// SPDX-License-Identifier: GPL-2.0

//! A connection with the service that its calls are for.

use wire::rx::{
    AbortCode,
    Header, //
};

use crate::{
    call::{
        CallCounters,
        Outcome, //
    },
    connection::{
        Connection,
        Event,
        Identity,
        Side, //
    },
    instant::Instant,
    peer::Peer,
    storage::Storage,
    transmit::Transmit,
    CHANNELS, //
};

/// What is to be done after a part of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The rest is awaited; after the last part, [`Served::reply()`] or [`Served::abort()`].
    Wait,
    /// The reply has so many bytes. What is left of the request is not looked at. To be said after the last part only.
    Reply(u64),
    /// The call is aborted.
    Abort(AbortCode),
}

/// What answers calls.
pub trait Service {
    /// Where the engine keeps what it has to.
    type Storage: Storage;
    /// What is kept of a call, until its reply has been acknowledged: the reply is read from it, and maybe again.
    type Call;

    /// Makes places for packets of a request that come before their turn. `None` when there is no memory: then they are
    /// dropped.
    fn unread(&mut self) -> Option<<Self::Storage as Storage>::Unread>;

    /// Makes places for a reply of so many packets. `None` when there is no memory: then one at a time is sent.
    fn unacked(&mut self, packets: u64) -> Option<<Self::Storage as Storage>::Unacked>;

    /// A call begins.
    ///
    /// # Errors
    ///
    /// It is aborted with that code.
    fn begin(&mut self, identity: Identity) -> Result<Self::Call, AbortCode>;

    /// Takes the next part of a request, in order.
    fn request(
        &mut self,
        call: &mut Self::Call,
        part: <Self::Storage as Storage>::Payload,
        is_last: bool,
    ) -> Verdict;

    /// A call has ended.
    fn end(&mut self, call: Self::Call, outcome: Outcome, counters: &CallCounters);
}

/// A server's side of a connection, and the calls on it.
///
/// It is driven as a [`Connection`] is: packets, then [`poll_transmit()`](Self::poll_transmit) until there is nothing.
pub struct Served<V: Service> {
    connection: Connection<V::Storage>,
    calls: [Option<V::Call>; CHANNELS],
}

impl<V: Service> Served<V> {
    /// A new connection, see [`Connection::new()`].
    pub fn new(identity: Identity, serial: u32, now: Instant) -> Self {
        Self {
            connection: Connection::new(Side::Server, identity, serial, now),
            calls: [const { None }; CHANNELS],
        }
    }

    /// The connection.
    pub const fn connection(&self) -> &Connection<V::Storage> {
        &self.connection
    }

    /// The call on a channel, if there is one.
    pub fn call(&self, channel: usize) -> Option<&V::Call> {
        self.calls.get(channel)?.as_ref()
    }

    /// Takes a DATA packet, see [`Connection::receive_data()`].
    pub fn receive_data(
        &mut self,
        now: Instant,
        peer: &mut Peer,
        service: &mut V,
        header: &Header,
        datagram_bytes: usize,
        payload: <V::Storage as Storage>::Payload,
    ) {
        let mut data =
            self.connection
                .receive_data(now, peer, header, datagram_bytes, payload, || {
                    service.unread()
                });
        self.end_calls(service);
        while let Some(part) = data {
            let channel = part.channel;
            self.request(
                now,
                peer,
                service,
                channel,
                part.payload,
                part.is_first,
                part.is_last,
            );
            self.end_calls(service);
            data = self.connection.next_data(now, peer, channel);
        }
    }

    /// Gives a part of a request to the service.
    #[expect(clippy::too_many_arguments, reason = "they are the fields of a part")]
    fn request(
        &mut self,
        now: Instant,
        peer: &mut Peer,
        service: &mut V,
        channel: usize,
        payload: <V::Storage as Storage>::Payload,
        is_first: bool,
        is_last: bool,
    ) {
        let Some(place) = self.calls.get_mut(channel) else {
            return;
        };
        if is_first {
            match service.begin(self.connection.identity()) {
                Ok(call) => *place = Some(call),
                Err(code) => return self.connection.abort(now, peer, channel, code),
            }
        }
        let Some(call) = place else {
            return;
        };
        match service.request(call, payload, is_last) {
            Verdict::Wait => {}
            Verdict::Reply(bytes) => self.reply(now, peer, service, channel, bytes),
            Verdict::Abort(code) => self.abort(now, peer, service, channel, code),
        }
    }

    /// Replies to the call on a channel, all of whose request the service has: with `bytes` of data.
    pub fn reply(
        &mut self,
        now: Instant,
        peer: &mut Peer,
        service: &mut V,
        channel: usize,
        bytes: u64,
    ) {
        let packets = peer.packets(bytes);
        let unacked = if packets > 1 {
            service.unacked(packets)
        } else {
            None
        };
        if !self.connection.reply(now, peer, channel, bytes, unacked) {
            self.abort(now, peer, service, channel, AbortCode::SS_MARSHAL);
        }
    }

    /// Aborts the call on a channel.
    pub fn abort(
        &mut self,
        now: Instant,
        peer: &mut Peer,
        service: &mut V,
        channel: usize,
        code: AbortCode,
    ) {
        self.connection.abort(now, peer, channel, code);
        self.end_calls(service);
    }

    /// Takes a packet of any other kind, see [`Connection::receive()`].
    pub fn receive(
        &mut self,
        now: Instant,
        peer: &mut Peer,
        service: &mut V,
        header: &Header,
        payload: &[u8],
    ) {
        self.connection.receive(now, peer, header, payload);
        self.end_calls(service);
    }

    /// When [`Self::expire()`] is to be called, if nothing comes before.
    pub fn deadline(&self) -> Option<Instant> {
        self.connection.deadline()
    }

    /// Does what is due at [`Self::deadline()`].
    pub fn expire(&mut self, now: Instant, peer: &mut Peer, service: &mut V) {
        self.connection.expire(now, peer);
        self.end_calls(service);
    }

    /// Returns the next packet that is to be sent, see [`Connection::poll_transmit()`].
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        peer: &mut Peer,
        buffer: &mut [u8],
    ) -> Option<Transmit> {
        self.connection.poll_transmit(now, peer, buffer)
    }

    /// Closes the connection: it is not needed any more.
    pub fn close(&mut self, now: Instant, peer: &mut Peer, service: &mut V, code: AbortCode) {
        self.connection.close(now, peer, code);
        self.end_calls(service);
    }

    /// Tells the service of the calls that have ended.
    #[inline]
    fn end_calls(&mut self, service: &mut V) {
        while let Some(event) = self.connection.poll_event() {
            let Event::Ended {
                channel,
                outcome,
                counters,
                ..
            } = event
            else {
                continue;
            };
            if let Some(call) = self.calls.get_mut(channel).and_then(Option::take) {
                service.end(call, outcome, &counters);
            }
        }
    }
}
