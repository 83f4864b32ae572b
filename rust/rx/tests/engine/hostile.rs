// SPDX-License-Identifier: GPL-2.0

//! Packets of all kinds in any state: an engine survives them, sends no storm, and is rid of everything when its calls are gone.

use std::rc::Rc;

use crate::{
    endpoint::{Endpoint, Happening, SERVICE},
    link::{Nanos, MICROSECOND, SECOND},
    packet::{Ack, Packet, ACK, CLIENT_INITIATED, DATA, LAST},
    storage::Meter,
    watch::Side,
};

pub(crate) const EPOCH: u32 = 0x8000_0001;
pub(crate) const CID: u32 = 4;

/// How many packets an engine may send in a turn.
const MOST_A_TURN: usize = 4 * 256;

/// Numbers that mean something, and others.
fn number(random: &mut fastrand::Rng, near: u32) -> u32 {
    match random.u32(..8) {
        0 => 0,
        1 => random.u32(..),
        2 => u32::MAX - random.u32(..3),
        3 => random.u32(..300),
        _ => near.wrapping_add(random.u32(..5)).wrapping_sub(2),
    }
}

/// A packet that is nearly right, for the calls that are on their way.
pub(crate) fn packet(
    random: &mut fastrand::Rng,
    side: Side,
    numbers: [u32; 4],
    seq: u32,
    serial: u32,
) -> Packet {
    let channel = random.usize(..4);
    let packet_type = match random.u32(..10) {
        0..4 => DATA,
        4..8 => ACK,
        _ => random.u8(..15),
    };
    let from_client = if side == Side::Server {
        CLIENT_INITIATED
    } else {
        0
    };
    let flags = random.u8(..) & random.u8(..) & !CLIENT_INITIATED;
    let payload = match packet_type {
        ACK => {
            let first = number(random, seq);
            let most = random.choice([0, 3, 40, 255]).unwrap_or(0);
            let count = random.usize(..=most);
            let ack = Ack {
                first,
                previous: number(random, first),
                serial: number(random, serial),
                reason: random.u8(..12),
                acks: (0..count).map(|_| random.u8(..3)).collect(),
                trailer: (0..random.usize(..5))
                    .map(|_| number(random, 1444))
                    .collect(),
            };
            let mut payload = ack.to_bytes();
            if random.u32(..10) == 0 {
                payload.truncate(random.usize(..=payload.len()));
            }
            payload
        }
        DATA => vec![
            0;
            random
                .choice([0, 1, 100, 1412, 1416, 1417, 3000])
                .unwrap_or(0)
        ],
        _ => vec![0xff; random.usize(..20)],
    };
    Packet {
        epoch: EPOCH,
        cid: CID | channel as u32,
        call_number: number(random, numbers[channel]),
        seq: number(random, seq),
        serial: number(random, serial),
        packet_type,
        flags: flags | from_client,
        user_status: random.u8(..2),
        security_index: 0,
        checksum: random.u16(..),
        service_id: SERVICE,
        payload,
    }
}

/// An engine that is spoken to by someone who knows the protocol and means no good.
struct Victim {
    now: Nanos,
    endpoint: Endpoint,
    peer: rx::Peer,
    meter: Meter,
    numbers: [u32; 4],
    /// What the application has to reply to.
    requests: Vec<(usize, u32)>,
    /// The newest numbers of the engine's packets.
    seq: u32,
    serial: u32,
    /// Calls whose end was not told yet: those that the application knows of.
    open: Vec<(usize, u32)>,
}

impl Victim {
    fn new(side: Side) -> Self {
        let meter = Meter::default();
        Self {
            now: SECOND,
            endpoint: Endpoint::new(side, (EPOCH, CID), 0, 64, &meter),
            peer: rx::Peer::new(),
            meter,
            numbers: [0; 4],
            requests: Vec::new(),
            seq: 1,
            serial: 0,
            open: Vec::new(),
        }
    }

    fn told(&mut self, happened: Vec<Happening>) {
        for happening in happened {
            let call = happening.call();
            match happening {
                Happening::Data {
                    is_first, is_last, ..
                } => {
                    if is_first && self.endpoint.side() == Side::Server {
                        assert!(!self.open.contains(&call), "{call:?} begins twice");
                        self.open.push(call);
                    }
                    assert!(
                        self.open.contains(&call),
                        "data of {call:?}, which is not open"
                    );
                    if is_last && self.endpoint.side() == Side::Server {
                        self.requests.push(call);
                    }
                }
                Happening::Ended { .. } => {
                    let open = self.open.len();
                    self.open.retain(|other| *other != call);
                    let is_known = self.open.len() < open;
                    // A server may end a call of which it has not got the first packet.
                    assert!(
                        is_known || self.endpoint.side() == Side::Server,
                        "{call:?} ends and is not open"
                    );
                }
            }
            self.numbers[call.0] = call.1;
        }
    }

    /// Sends all that is due.
    fn transmit(&mut self) {
        for _ in 0..MOST_A_TURN {
            let Some(datagram) = self.endpoint.transmit(self.now, &mut self.peer) else {
                return;
            };
            let packet = Packet::parse(&datagram).expect("a header");
            self.numbers[packet.channel()] = packet.call_number;
            self.serial = packet.serial;
            if packet.packet_type == DATA {
                self.seq = packet.seq;
            }
        }
        panic!("more than {MOST_A_TURN} packets in a turn");
    }

    fn hear(&mut self, datagram: &[u8]) {
        self.endpoint.receive(datagram);
        while let Some(happened) = self.endpoint.step(self.now, &mut self.peer) {
            self.told(happened);
        }
    }

    fn wait(&mut self, time: Nanos) {
        let end = self.now + time;
        let mut turns = 0;
        while let Some(at) = self.endpoint.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            let mut happened = Vec::new();
            self.endpoint
                .expire(self.now, &mut self.peer, &mut happened);
            self.told(happened);
            self.transmit();
            turns += 1;
            assert!(turns < 10_000, "{turns} deadlines in {} s", time / SECOND);
        }
        self.now = end;
    }

    /// What an application does now and then.
    fn act(&mut self, random: &mut fastrand::Rng) {
        let bytes: Rc<[u8]> = vec![0; random.choice([0, 10, 1412, 50_000]).unwrap_or(0)].into();
        if self.endpoint.side() == Side::Client {
            if let Some(call) = self.endpoint.call(self.now, &mut self.peer, bytes) {
                self.numbers[call.0] = call.1;
                self.open.push(call);
            }
        } else if let Some(call) = self.requests.pop() {
            let is_replied = self.endpoint.reply(self.now, &mut self.peer, call, bytes);
            assert_eq!(is_replied, self.open.contains(&call), "a reply to {call:?}");
        }
        if random.u32(..10) == 0 {
            if let Some(call) = self.open.first().copied() {
                let mut happened = Vec::new();
                self.endpoint
                    .abort(self.now, &mut self.peer, call, -6, &mut happened);
                self.told(happened);
            }
        }
    }
}

/// A history of an engine and its enemy.
fn survive(side: Side, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut victim = Victim::new(side);
    for _ in 0..200 {
        for _ in 0..random.u32(1..4) {
            let (numbers, seq, serial) = (victim.numbers, victim.seq, victim.serial);
            let mut datagram = packet(&mut random, side, numbers, seq, serial).to_bytes();
            if random.u32(..20) == 0 {
                let at = random.usize(..datagram.len());
                datagram[at] ^= 1 << random.u32(..8);
            }
            victim.hear(&datagram);
        }
        if random.u32(..4) == 0 {
            victim.act(&mut random);
        }
        victim.transmit();
        match random.u32(..20) {
            0 => victim.wait(random.u64(..30 * SECOND)),
            1..10 => victim.wait(random.u64(..300_000) * MICROSECOND),
            _ => {}
        }
    }
    // Nobody says anything any more, and the server's application replies to what it has.
    while let Some(call) = victim.requests.pop() {
        victim
            .endpoint
            .reply(victim.now, &mut victim.peer, call, vec![0; 5_000].into());
    }
    victim.transmit();
    victim.wait(1_000 * SECOND);
    assert_eq!(
        (victim.open, victim.meter.held()),
        (vec![], 0),
        "what nobody speaks of is gone"
    );
    assert_eq!(victim.endpoint.deadline(), None);
}

fn survive_all(side: Side) {
    for seed in 0..2_000 {
        let result = std::panic::catch_unwind(|| survive(side, seed));
        assert!(result.is_ok(), "seed {seed} of {side:?}");
    }
}

#[test]
fn a_server_survives_all_packets() {
    survive_all(Side::Server);
}

#[test]
fn a_client_survives_all_packets() {
    survive_all(Side::Client);
}

/// A good call after all that.
#[test]
fn a_good_client_is_served_beside_a_bad_one() {
    let mut random = fastrand::Rng::with_seed(1);
    let mut victim = Victim::new(Side::Server);
    for round in 1..500 {
        // The bad one knows the connection, and uses the other channels.
        for _ in 0..5 {
            let (numbers, seq, serial) = (victim.numbers, victim.seq, victim.serial);
            let bad = packet(&mut random, Side::Server, numbers, seq, serial);
            let is_elsewhere = bad.channel() != 0 && bad.call_number != 0;
            if is_elsewhere && (bad.packet_type == DATA || bad.packet_type == ACK) {
                victim.hear(&bad.to_bytes());
            }
        }
        victim.requests.clear();
        let good = Packet {
            epoch: EPOCH,
            cid: CID,
            call_number: round,
            seq: 1,
            serial: round,
            packet_type: DATA,
            flags: CLIENT_INITIATED | LAST,
            service_id: SERVICE,
            payload: vec![7; 64],
            ..Packet::default()
        };
        victim.hear(&good.to_bytes());
        assert_eq!(victim.requests, [(0, round)], "the request is read");
        victim.requests.clear();
        assert!(victim.endpoint.reply(
            victim.now,
            &mut victim.peer,
            (0, round),
            vec![8; 64].into()
        ));
        let mut is_answered = false;
        while let Some(datagram) = victim.endpoint.transmit(victim.now, &mut victim.peer) {
            let said = Packet::parse(&datagram).expect("a header");
            is_answered |=
                said.packet_type == DATA && said.channel() == 0 && said.call_number == round;
        }
        assert!(is_answered, "call {round}");
        victim.now += 1_000 * MICROSECOND;
    }
}
