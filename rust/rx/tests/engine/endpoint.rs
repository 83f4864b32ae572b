// SPDX-License-Identifier: GPL-2.0

//! A connection of the engine as a host drives it: datagrams in and out, and what the application is told.

use std::{collections::VecDeque, fmt, rc::Rc};

use rx::{Connection, Data, Event, Identity, Instant, Outcome, Peer, Storage};
use wire::rx::{AbortCode, Header};

use crate::{
    ledger::End,
    link::{Nanos, MICROSECOND},
    packet::{Packet, CLIENT_INITIATED, DATA},
    storage::{Meter, Simulated},
    watch::Side,
};

/// The service that all clients call.
pub(crate) const SERVICE: u16 = 147;

/// What the application is told.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Happening {
    /// The next data of a call.
    Data {
        channel: usize,
        call_number: u32,
        bytes: Vec<u8>,
        is_first: bool,
        is_last: bool,
    },
    /// A call has ended.
    Ended {
        channel: usize,
        call_number: u32,
        end: End,
    },
}

impl Happening {
    /// Of which call: channel and number.
    pub(crate) fn call(&self) -> (usize, u32) {
        match self {
            Self::Data {
                channel,
                call_number,
                ..
            }
            | Self::Ended {
                channel,
                call_number,
                ..
            } => (*channel, *call_number),
        }
    }
}

impl fmt::Debug for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data { bytes, is_last, .. } => write!(
                f,
                "gets {} bytes{}",
                bytes.len(),
                if *is_last { ", the last" } else { "" }
            ),
            Self::Ended { end, .. } => write!(f, "ends as {end:?}"),
        }
    }
}

/// One side of a connection, with what its calls send.
pub(crate) struct Endpoint {
    pub(crate) connection: Connection<Simulated>,
    side: Side,
    places: usize,
    meter: Meter,
    /// The newest call of each channel, and what it sends.
    sends: [Option<(u32, Rc<[u8]>)>; rx::CHANNELS],
    /// How many DATA packets the engine says it has sent again.
    pub(crate) resent: u32,
    pub(crate) closed: Option<i32>,
    /// The packets of the datagram that have not been looked at, and its length until one was.
    received: VecDeque<(Header, Vec<u8>)>,
    datagram_bytes: usize,
    /// The channel that may have more data.
    reading: Option<usize>,
}

fn instant(now: Nanos) -> Instant {
    Instant::from_micros(now / MICROSECOND)
}

impl Endpoint {
    /// `serial` is what the first packet's follows.
    pub(crate) fn new(
        side: Side,
        (epoch, cid): (u32, u32),
        serial: u32,
        places: usize,
        meter: &Meter,
    ) -> Self {
        let identity = Identity {
            epoch,
            cid,
            service_id: SERVICE,
        };
        let of = match side {
            Side::Client => rx::Side::Client,
            Side::Server => rx::Side::Server,
        };
        Self {
            connection: Connection::new(of, identity, serial, instant(0)),
            side,
            places,
            meter: meter.clone(),
            sends: [const { None }; rx::CHANNELS],
            resent: 0,
            closed: None,
            received: VecDeque::new(),
            datagram_bytes: 0,
            reading: None,
        }
    }

    /// Whether a server makes a connection when this comes.
    pub(crate) fn may_begin(packet: &Packet) -> bool {
        let is_meant =
            packet.service_id == SERVICE && packet.security_index == 0 && packet.call_number != 0;
        is_meant && packet.packet_type == DATA && packet.has(CLIENT_INITIATED)
    }

    /// Takes a datagram; [`Self::step()`] gives it to the engine.
    pub(crate) fn receive(&mut self, datagram: &[u8]) {
        self.datagram_bytes = datagram.len();
        if let Some((header, payload)) = Header::parse(datagram) {
            let packets = wire::rx::packets(header, payload).map_while(Result::ok);
            self.received
                .extend(packets.map(|packet| (packet.header, packet.bytes.to_vec())));
        }
    }

    /// Gives the engine the next packet of the datagram, or asks for more data, until there is nothing to do. The application may
    /// do what it likes about each step before the next.
    pub(crate) fn step(&mut self, now: Nanos, peer: &mut Peer) -> Option<Vec<Happening>> {
        let mut happened = Vec::new();
        let at = instant(now);
        if let Some(channel) = self.reading.take() {
            let data = self.connection.next_data(at, peer, channel);
            self.tell(data, &mut happened);
            return Some(happened);
        }
        let (header, bytes) = self.received.pop_front()?;
        if header.packet_type != DATA {
            self.connection.receive(at, peer, &header, &bytes);
            self.drain(&mut happened);
            return Some(happened);
        }
        let payload = self.meter.hold(bytes);
        let (places, meter) = (self.places, &self.meter);
        let unread = || Some(meter.hold(std::iter::repeat_with(|| None).take(places).collect()));
        let datagram_bytes = std::mem::take(&mut self.datagram_bytes);
        let data = self
            .connection
            .receive_data(at, peer, &header, datagram_bytes, payload, unread);
        self.tell(data, &mut happened);
        Some(happened)
    }

    fn tell(
        &mut self,
        data: Option<Data<<Simulated as Storage>::Payload>>,
        happened: &mut Vec<Happening>,
    ) {
        let mut ended = Vec::new();
        self.drain(&mut ended);
        let Some(data) = data else {
            happened.extend(ended);
            return;
        };
        self.reading = Some(data.channel);
        let call = (data.channel, data.call_number);
        // The end of an earlier call makes room for this one; that of the call itself is told when it has its data.
        let (itself, others) = ended
            .into_iter()
            .partition::<Vec<_>, _>(|ended| ended.call() == call);
        happened.extend(others);
        happened.push(Happening::Data {
            channel: data.channel,
            call_number: data.call_number,
            bytes: data.payload.value.clone(),
            is_first: data.is_first,
            is_last: data.is_last,
        });
        happened.extend(itself);
    }

    /// Lets the engine look at the clock.
    pub(crate) fn expire(&mut self, now: Nanos, peer: &mut Peer, happened: &mut Vec<Happening>) {
        self.connection.expire(instant(now), peer);
        self.drain(happened);
    }

    fn drain(&mut self, happened: &mut Vec<Happening>) {
        while let Some(event) = self.connection.poll_event() {
            match event {
                Event::Ended {
                    channel,
                    call_number,
                    outcome,
                    counters,
                } => {
                    self.resent += counters.data_packets_resent;
                    let end = match outcome {
                        Outcome::Completed => End::Complete,
                        Outcome::RemoteAbort(code) => End::Aborted(code.0),
                        Outcome::LocalAbort(code) => End::Given(code.0),
                        Outcome::Dead => End::TimedOut,
                    };
                    happened.push(Happening::Ended {
                        channel,
                        call_number,
                        end,
                    });
                }
                Event::Closed(code) => {
                    assert!(self.closed.replace(code.0).is_none(), "closed twice")
                }
            }
        }
    }

    /// The next datagram that is to be sent.
    pub(crate) fn transmit(&mut self, now: Nanos, peer: &mut Peer) -> Option<Vec<u8>> {
        let mut datagram = vec![0; rx::MAX_CONTROL_BYTES];
        let transmit = self
            .connection
            .poll_transmit(instant(now), peer, &mut datagram)?;
        datagram.truncate(transmit.bytes);
        if let Some(data) = transmit.data {
            let (call_number, contents) =
                self.sends[data.channel].as_ref().expect("data of a call");
            assert_eq!(*call_number, data.call_number, "data of another call");
            let offset = usize::try_from(data.offset).unwrap();
            datagram.extend(&contents[offset..offset + usize::from(data.bytes)]);
        }
        Some(datagram)
    }

    pub(crate) fn deadline(&self) -> Option<Nanos> {
        self.connection
            .deadline()
            .map(|at| at.as_micros() * MICROSECOND)
    }

    fn unacked(&self) -> Option<<Simulated as Storage>::Unacked> {
        Some(self.meter.hold(vec![rx::Sent::default(); self.places]))
    }

    /// Calls; `None` if all channels are in use.
    pub(crate) fn call(
        &mut self,
        now: Nanos,
        peer: &mut Peer,
        request: Rc<[u8]>,
    ) -> Option<(usize, u32)> {
        let unacked = self.unacked();
        let made = self
            .connection
            .call(instant(now), peer, request.len() as u64, unacked)?;
        self.sends[made.0] = Some((made.1, request));
        Some(made)
    }

    /// Replies to a call, if it has not ended. Returns whether it has not.
    pub(crate) fn reply(
        &mut self,
        now: Nanos,
        peer: &mut Peer,
        call: (usize, u32),
        reply: Rc<[u8]>,
    ) -> bool {
        let (channel, call_number) = call;
        if self.connection.call_number(channel) != call_number {
            return false;
        }
        let unacked = self.unacked();
        let is_replied =
            self.connection
                .reply(instant(now), peer, channel, reply.len() as u64, unacked);
        if is_replied {
            self.sends[channel] = Some((call_number, reply));
        }
        is_replied
    }

    /// Aborts a call, if it has not ended.
    pub(crate) fn abort(
        &mut self,
        now: Nanos,
        peer: &mut Peer,
        call: (usize, u32),
        code: i32,
        happened: &mut Vec<Happening>,
    ) {
        let (channel, call_number) = call;
        if self.connection.call_number(channel) == call_number {
            self.connection
                .abort(instant(now), peer, channel, AbortCode(code));
            self.drain(happened);
        }
    }

    pub(crate) fn side(&self) -> Side {
        self.side
    }
}
