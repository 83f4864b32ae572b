// SPDX-License-Identifier: GPL-2.0

//! What an engine says to what, packet by packet: the rules that OpenAFS and Linux keep and rely on. The engine has one side
//! of a connection, and the test is the other.

mod aborts;
mod acks;
mod address;
mod client;
mod server;
mod timers;
mod vectors;

use std::{cell::Cell, rc::Rc};

use crate::{
    endpoint::{Endpoint, Happening, SERVICE},
    ledger::End,
    link::{Nanos, SECOND},
    packet::{
        Ack, Packet, ACK, CLIENT_INITIATED, DATA, DATA_BYTES, IDLE, LAST, PING, PING_RESPONSE,
        REQUEST_ACK,
    },
    storage::Meter,
    watch::Side,
};

const EPOCH: u32 = 0x8123_4567;
const CID: u32 = 0x0003_0040;

/// What the serials of the engine's packets follow.
const SERIAL: u32 = 0x1000;

/// What the test's side takes: as OpenAFS on an Ethernet, without jumbograms.
const TRAILER: [u32; 4] = [1444, 1444, 32, 1];

/// An engine's side of a connection, and what the test knows of it.
struct Script {
    now: Nanos,
    endpoint: Endpoint,
    peer: rx::Peer,
    meter: Meter,
    /// What the application was told, and the test has not looked at.
    happened: Vec<Happening>,
    /// The serial of the packet that the test made last.
    serial: Cell<u32>,
}

impl Script {
    fn new(side: Side) -> Self {
        let meter = Meter::default();
        Self {
            now: SECOND,
            endpoint: Endpoint::new(side, (EPOCH, CID), SERIAL, 256, &meter),
            peer: rx::Peer::new(),
            meter,
            happened: Vec::new(),
            serial: Cell::new(0),
        }
    }

    /// A server whose client has proved its address, by call 1 on channel 3.
    fn server() -> Self {
        let mut script = Self::new(Side::Server);
        script.hear(script.data(3, 1, 1, LAST, &[0; 64]));
        let said = script.reply(3, 1, &[0; 4 * DATA_BYTES]);
        let ping = said
            .iter()
            .find(|packet| is_ack(packet, PING))
            .expect("a question to a client that nobody knows");
        let pong = Ack {
            reason: PING_RESPONSE,
            serial: ping.serial,
            ..nothing()
        };
        script.hear(script.ack(3, 1, pong));
        script.hear(script.ack(3, 1, up_to(5)));
        assert_eq!(script.told().len(), 2, "a call that has ended");
        script
    }

    /// A server to which call 1 on channel 0 was made, and which has replied; and what it said last.
    fn replied(reply: &[u8]) -> (Self, Vec<Packet>) {
        let mut script = Self::server();
        script.hear(script.data(0, 1, 1, LAST, b"request"));
        let said = script.reply(0, 1, reply);
        script.told();
        (script, said)
    }

    /// A client which has made call 1 on channel 0, and what it said.
    fn client(request: &[u8]) -> (Self, Vec<Packet>) {
        let mut script = Self::new(Side::Client);
        let said = script.call(request);
        (script, said)
    }

    /// The client calls.
    fn call(&mut self, request: &[u8]) -> Vec<Packet> {
        let made = self
            .endpoint
            .call(self.now, &mut self.peer, Rc::from(request));
        made.expect("a free channel");
        self.said()
    }

    /// The server replies.
    fn reply(&mut self, channel: usize, call_number: u32, reply: &[u8]) -> Vec<Packet> {
        let is_replied = self.endpoint.reply(
            self.now,
            &mut self.peer,
            (channel, call_number),
            Rc::from(reply),
        );
        assert!(is_replied, "a call that can be replied to");
        self.said()
    }

    /// The engine's application aborts a call.
    fn abort(&mut self, channel: usize, call_number: u32, code: i32) -> Vec<Packet> {
        let call = (channel, call_number);
        self.endpoint
            .abort(self.now, &mut self.peer, call, code, &mut self.happened);
        self.said()
    }

    /// All that the engine wants to send now.
    fn said(&mut self) -> Vec<Packet> {
        let mut said = Vec::new();
        while let Some(datagram) = self.endpoint.transmit(self.now, &mut self.peer) {
            said.push(Packet::parse(&datagram).expect("a header"));
            assert!(said.len() < 1_000, "it never stops");
        }
        said
    }

    /// A packet comes. Returns what is said to it.
    fn hear(&mut self, packet: Packet) -> Vec<Packet> {
        self.hear_all(&[packet])
    }

    /// Packets come in one turn.
    fn hear_all(&mut self, packets: &[Packet]) -> Vec<Packet> {
        for packet in packets {
            self.endpoint.receive(&packet.to_bytes());
            while let Some(happened) = self.endpoint.step(self.now, &mut self.peer) {
                self.happened.extend(happened);
            }
        }
        self.said()
    }

    /// Time passes. Returns what was said, and after what time.
    fn wait(&mut self, time: Nanos) -> Vec<(Nanos, Packet)> {
        let (begin, end) = (self.now, self.now + time);
        let mut said = Vec::new();
        while let Some(at) = self.endpoint.deadline().filter(|at| *at <= end) {
            assert!(
                at > self.now || said.is_empty(),
                "a deadline that has passed"
            );
            self.now = at.max(self.now);
            self.endpoint
                .expire(self.now, &mut self.peer, &mut self.happened);
            let passed = self.now - begin;
            said.extend(self.said().into_iter().map(|packet| (passed, packet)));
        }
        self.now = end;
        said
    }

    /// Time passes until the engine says something.
    fn wait_for_word(&mut self) -> (Nanos, Vec<Packet>) {
        let begin = self.now;
        for _ in 0..100 {
            self.now = self
                .endpoint
                .deadline()
                .expect("something is due at some time")
                .max(self.now);
            self.endpoint
                .expire(self.now, &mut self.peer, &mut self.happened);
            let said = self.said();
            if !said.is_empty() {
                return (self.now - begin, said);
            }
        }
        panic!("nothing is said");
    }

    /// What the application was told since it was asked last.
    fn told(&mut self) -> Vec<Happening> {
        std::mem::take(&mut self.happened)
    }

    /// A packet of the test's side, with the next serial.
    fn packet(&self, packet_type: u8, channel: usize, call_number: u32) -> Packet {
        self.serial.set(self.serial.get() + 1);
        let flags = match self.endpoint.side() {
            Side::Client => 0,
            Side::Server => CLIENT_INITIATED,
        };
        Packet {
            epoch: EPOCH,
            cid: CID | channel as u32,
            call_number,
            serial: self.serial.get(),
            packet_type,
            flags,
            service_id: SERVICE,
            ..Packet::default()
        }
    }

    fn data(&self, channel: usize, call_number: u32, seq: u32, flags: u8, bytes: &[u8]) -> Packet {
        let packet = self.packet(DATA, channel, call_number);
        Packet {
            seq,
            flags: packet.flags | flags,
            payload: bytes.to_vec(),
            ..packet
        }
    }

    fn ack(&self, channel: usize, call_number: u32, ack: Ack) -> Packet {
        let packet = self.packet(ACK, channel, call_number);
        let asks = if ack.reason == PING { REQUEST_ACK } else { 0 };
        Packet {
            flags: packet.flags | asks,
            payload: ack.to_bytes(),
            ..packet
        }
    }
}

/// What an ACK says when nothing has come.
fn nothing() -> Ack {
    Ack {
        first: 1,
        previous: 0,
        serial: 0,
        reason: IDLE,
        acks: Vec::new(),
        trailer: TRAILER.to_vec(),
    }
}

/// What an ACK says when all before `first` was consumed.
fn up_to(first: u32) -> Ack {
    Ack {
        first,
        previous: first - 1,
        ..nothing()
    }
}

fn is_ack(packet: &Packet, reason: u8) -> bool {
    packet.ack().is_some_and(|ack| ack.reason == reason)
}

/// The numbers of the DATA packets among these.
fn seqs(packets: &[Packet]) -> Vec<u32> {
    packets
        .iter()
        .filter(|packet| packet.packet_type == DATA)
        .map(|packet| packet.seq)
        .collect()
}

/// The only one.
fn only(packets: &[Packet]) -> &Packet {
    let [packet] = packets else {
        panic!("not one packet: {packets:?}");
    };
    packet
}

/// Data of channel 0 that the application is told of.
fn got(bytes: &[u8], call_number: u32, is_first: bool, is_last: bool) -> Happening {
    Happening::Data {
        channel: 0,
        call_number,
        bytes: bytes.to_vec(),
        is_first,
        is_last,
    }
}

/// The end of a call on channel 0.
fn ended(call_number: u32, end: End) -> Happening {
    Happening::Ended {
        channel: 0,
        call_number,
        end,
    }
}
