// SPDX-License-Identifier: GPL-2.0

//! What holds for all packets that an engine sends, whatever it has received: a bystander at both ends of the link, who knows
//! the protocol and nothing of the engine.

use std::collections::{BTreeSet, HashMap};

use crate::{
    link::{Nanos, IP_AND_UDP},
    packet::{
        Ack, Packet, ABORT, ACK, BUSY, CLIENT_INITIATED, DATA, DATA_BYTES, EXCEEDS_WINDOW,
        HEADER_BYTES, IDLE, JUMBO, LAST, MORE, OUT_OF_SEQUENCE, PING, PING_RESPONSE, REQUESTED,
        REQUEST_ACK,
    },
};

/// How many packets a peer takes that has not said it yet on that channel (OpenAFS, `rx_initReceiveWindow`).
const INITIAL_PEER_WINDOW: u32 = 16;

/// Which of the two a packet is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    Client,
    Server,
}

impl Side {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// What a side has sent of a call, and what has reached it.
#[derive(Debug, Default)]
pub(crate) struct Half {
    /// How often each DATA packet was sent, the first one first.
    pub(crate) sent: Vec<u32>,
    /// Packets of all types.
    pub(crate) packets: u32,
    last: Option<u32>,
    /// Up to which packet the peer has allowed to send, without that one.
    window_end: u32,
    /// Before this one, all have reached it, and these after it.
    missing: u32,
    reached: BTreeSet<u32>,
    highest_reached: u32,
    /// The serials of the packets that have reached it.
    serials: BTreeSet<u32>,
    /// `first` and `previous` of its last ACK.
    acked: (u32, u32),
}

impl Half {
    /// `peer_window` is how many packets the peer takes.
    fn new(peer_window: u32) -> Self {
        Self {
            window_end: 1 + peer_window,
            missing: 1,
            ..Self::default()
        }
    }

    /// How many DATA packets were sent again.
    pub(crate) fn resent(&self) -> u32 {
        self.sent.iter().map(|times| times.saturating_sub(1)).sum()
    }
}

/// All that was seen of one connection.
#[derive(Debug, Default)]
struct Connection {
    service_id: Option<u16>,
    /// The last serial of each side.
    serials: HashMap<Side, u32>,
}

/// What the server has had to do with a client's address, in bytes with the headers of IP.
#[derive(Debug, Default)]
struct Address {
    received: usize,
    sent: usize,
    /// When it came out that the client is there.
    proved: Option<Nanos>,
    /// What it must have received to know: the serials of the server's packets, by connection.
    serials: BTreeSet<(u32, u32, u32)>,
}

/// A call: epoch, cid with the channel, call number.
pub(crate) type Key = (u32, u32, u32);

#[derive(Debug, Default)]
pub(crate) struct Watch {
    connections: HashMap<(u32, u32), Connection>,
    calls: HashMap<(Key, Side), Half>,
    /// How many packets a side was told to send at most, on each channel.
    windows: HashMap<(u32, u32, Side), u32>,
    /// Of each client.
    addresses: HashMap<usize, Address>,
}

impl Watch {
    /// The call's half that `side` sends.
    pub(crate) fn half(&self, key: Key, side: Side) -> Option<&Half> {
        self.calls.get(&(key, side))
    }

    fn half_mut(&mut self, key: Key, side: Side) -> &mut Half {
        let window = self.windows.get(&(key.0, key.1, side)).copied();
        let new = || Half::new(window.unwrap_or(0).max(INITIAL_PEER_WINDOW));
        self.calls.entry((key, side)).or_insert_with(new)
    }

    /// When the server came to know that the client is where its packets come from.
    pub(crate) fn proved(&self, client: usize) -> Option<Nanos> {
        self.addresses.get(&client)?.proved
    }

    /// `side` gives a packet to the network. `client` is the client's address, whichever side that is.
    pub(crate) fn sent(&mut self, side: Side, client: usize, packet: &Packet) {
        if side == Side::Server {
            let address = self.addresses.entry(client).or_default();
            address.sent += IP_AND_UDP + HEADER_BYTES + packet.payload.len();
            let is_paid = address.proved.is_some() || address.sent <= address.received;
            assert!(
                is_paid,
                "{} bytes to an address that has sent {}",
                address.sent, address.received
            );
            address
                .serials
                .insert((packet.epoch, packet.cid & !3, packet.serial));
        }
        let connection = self.connections.entry(packet.connection()).or_default();
        let last = connection.serials.insert(side, packet.serial);
        assert!(
            last.is_none_or(|last| packet.serial == last + 1),
            "the serial does not follow"
        );
        let service_id = *connection.service_id.get_or_insert(packet.service_id);
        assert_eq!(packet.service_id, service_id, "another service");
        assert_eq!(
            packet.has(CLIENT_INITIATED),
            side == Side::Client,
            "the wrong direction"
        );
        assert_eq!(
            (packet.security_index, packet.checksum, packet.user_status),
            (0, 0, 0)
        );
        assert!(
            !packet.has(JUMBO) || packet.packet_type != DATA,
            "a jumbogram"
        );
        assert_eq!(
            packet.seq != 0,
            packet.packet_type == DATA,
            "DATA has a seq, and nothing else has"
        );
        let key = (packet.epoch, packet.cid, packet.call_number);
        let half = self.half_mut(key, side);
        half.packets += 1;
        match packet.packet_type {
            DATA => half.check_data(side, packet),
            ACK => half.check_ack(packet),
            ABORT => assert_eq!(packet.payload.len(), 4, "an ABORT is a code"),
            BUSY => assert_eq!((packet.payload.len(), side), (0, Side::Server), "a BUSY"),
            other => panic!("an engine has no reason to send type {other}"),
        }
    }

    /// A packet is about to be given to `side`.
    pub(crate) fn delivered(&mut self, now: Nanos, side: Side, client: usize, packet: &Packet) {
        if side == Side::Server {
            let address = self.addresses.entry(client).or_default();
            address.received += IP_AND_UDP + HEADER_BYTES + packet.payload.len();
            let echoed = packet
                .ack()
                .map(|ack| (packet.epoch, packet.cid & !3, ack.serial));
            if echoed.is_some_and(|echoed| address.serials.contains(&echoed)) {
                address.proved.get_or_insert(now);
            }
        }
        let key = (packet.epoch, packet.cid, packet.call_number);
        let half = self.half_mut(key, side);
        half.serials.insert(packet.serial);
        if packet.packet_type == DATA {
            if packet.seq >= half.missing {
                half.reached.insert(packet.seq);
            }
            while half.reached.remove(&half.missing) {
                half.missing += 1;
            }
            half.highest_reached = half.highest_reached.max(packet.seq);
        }
        if let Some((first, window)) = packet
            .ack()
            .and_then(|ack| Some((ack.first, *ack.trailer.get(2)?)))
        {
            half.window_end = half.window_end.max(first + window);
            let known = self
                .windows
                .entry((packet.epoch, packet.cid, side))
                .or_default();
            *known = window.max(*known);
        }
    }
}

impl Half {
    fn check_data(&mut self, side: Side, packet: &Packet) {
        let known = CLIENT_INITIATED | REQUEST_ACK | LAST | MORE;
        assert_eq!(packet.flags & !known, 0, "flags {:#x}", packet.flags);
        let is_last = packet.has(LAST);
        assert!(
            packet.payload.len() == DATA_BYTES || is_last,
            "{} bytes before the last",
            packet.payload.len()
        );
        assert!(
            packet.payload.len() <= DATA_BYTES,
            "{} bytes",
            packet.payload.len()
        );
        assert!(
            !is_last || side == Side::Client || !packet.has(REQUEST_ACK),
            "REQUEST_ACK with the last of a reply"
        );
        assert!(
            packet.seq < self.window_end,
            "seq {} in a window that ends before {}",
            packet.seq,
            self.window_end
        );
        if is_last {
            assert_eq!(
                *self.last.get_or_insert(packet.seq),
                packet.seq,
                "two packets are the last"
            );
        }
        if let Some(last) = self.last {
            assert_eq!(
                packet.seq == last,
                is_last,
                "LAST is with the last packet alone, which is {last}"
            );
            assert!(
                packet.seq <= last,
                "seq {} is after the last, {last}",
                packet.seq
            );
        }
        let index = packet.seq as usize - 1;
        assert!(
            index <= self.sent.len(),
            "seq {} after {} packets",
            packet.seq,
            self.sent.len()
        );
        if index == self.sent.len() {
            self.sent.push(0);
        }
        self.sent[index] += 1;
    }

    fn check_ack(&mut self, packet: &Packet) {
        let ack = Ack::parse(&packet.payload).expect("an ACK that is whole");
        // The question to a client that nobody knows is as short as it can be.
        let trailer_bytes = packet.payload.len() - 18 - ack.acks.len();
        let is_question = ack.reason == PING && !packet.has(CLIENT_INITIATED);
        assert!(
            trailer_bytes == 3 + 16 || (trailer_bytes == 0 && is_question),
            "{trailer_bytes} bytes after acks[]"
        );
        assert_eq!(packet.payload[..4], [0; 4], "bufferSpace and maxSkew");
        assert!(
            (REQUESTED..=IDLE).contains(&ack.reason),
            "reason {}",
            ack.reason
        );
        assert_eq!(
            packet.has(REQUEST_ACK),
            ack.reason == PING,
            "REQUEST_ACK goes with PING"
        );
        let known = CLIENT_INITIATED | REQUEST_ACK | JUMBO;
        assert_eq!(packet.flags & !known, 0, "flags {:#x}", packet.flags);
        let missing = self.missing;
        assert!(
            (1..=missing).contains(&ack.first),
            "firstPacket {} but {missing} has not come",
            ack.first
        );
        assert!(ack.acks.iter().all(|ack| *ack <= 1), "acks[] are 0 or 1");
        for (seq, bit) in (ack.first..).zip(&ack.acks) {
            assert!(
                *bit == 0 || seq < missing || self.reached.contains(&seq),
                "{seq} is acknowledged and has not come"
            );
        }
        if ack.reason == OUT_OF_SEQUENCE || ack.reason == EXCEEDS_WINDOW {
            assert!(
                ack.first > 1 || ack.previous > 0,
                "Linux gives up the call (ENETRESET)"
            );
        }
        assert!(
            ack.previous <= self.highest_reached,
            "previousPacket {} has not come",
            ack.previous
        );
        assert!(
            (ack.first, ack.previous) >= self.acked,
            "an ACK goes back to {:?} from {:?}",
            (ack.first, ack.previous),
            self.acked
        );
        self.acked = (ack.first, ack.previous);
        if ack.reason == PING_RESPONSE || ack.reason == REQUESTED {
            assert!(
                self.serials.contains(&ack.serial),
                "an answer to serial {}, which has not come",
                ack.serial
            );
        }
        if let [max_mtu, if_mtu, rwind, jumbo_max] = ack.trailer[..] {
            assert!(max_mtu as usize >= HEADER_BYTES + DATA_BYTES && if_mtu >= max_mtu);
            assert!((1..=255).contains(&rwind), "rwind {rwind}");
            assert!(rwind as usize >= ack.acks.len(), "more acks[] than rwind");
            assert_eq!(jumbo_max, 1, "an invitation to send jumbograms");
        }
    }
}
