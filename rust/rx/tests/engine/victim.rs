// SPDX-License-Identifier: GPL-2.0

//! An engine, and someone who knows the protocol and means no good: it survives all packets in any state, sends no storm, and is
//! rid of everything when nobody speaks any more.

use std::rc::Rc;

use crate::{
    choices::Choices,
    endpoint::{Endpoint, Happening, SERVICE},
    link::{Nanos, MICROSECOND, MILLISECOND, SECOND},
    packet::{Ack, Packet, ACK, CLIENT_INITIATED, DATA, LAST, PING_RESPONSE},
    storage::Meter,
    watch::Side,
};

pub(crate) const EPOCH: u32 = 0x8000_0001;
pub(crate) const CID: u32 = 4;

/// How many packets an engine may send in a turn.
const MOST_A_TURN: usize = 4 * 256;

/// What the enemy has seen: the numbers of the newest call on each channel, of the newest DATA, and of the newest packet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Known {
    pub(crate) calls: [u32; 4],
    pub(crate) seq: u32,
    pub(crate) serial: u32,
}

impl Known {
    /// The engine has sent this.
    pub(crate) fn see(&mut self, packet: &Packet) {
        self.calls[packet.channel()] = packet.call_number;
        self.serial = packet.serial;
        if packet.packet_type == DATA {
            self.seq = packet.seq;
        }
    }
}

/// Numbers that mean something, and others.
fn number(choices: &mut impl Choices, near: u32) -> u32 {
    match choices.below(8) {
        0 => 0,
        1 => choices.word(),
        2 => u32::MAX - choices.below(3),
        3 => choices.below(300),
        _ => near.wrapping_add(choices.below(5)).wrapping_sub(2),
    }
}

/// A packet that is nearly right, for the calls that are on their way, to an engine on `side`.
pub(crate) fn packet(choices: &mut impl Choices, side: Side, known: &Known) -> Packet {
    let channel = choices.below(4);
    let packet_type = match choices.below(10) {
        0..4 => DATA,
        4..8 => ACK,
        _ => choices.below(15) as u8,
    };
    let from_client = match side {
        Side::Server => CLIENT_INITIATED,
        Side::Client => 0,
    };
    let flags = (choices.below(256) & choices.below(256)) as u8 & !CLIENT_INITIATED;
    let payload = match packet_type {
        ACK => ack(choices, known),
        DATA => vec![0; choices.one_of(&[0, 1, 100, 1412, 1416, 1417, 3000])],
        _ => vec![0xff; choices.below(20) as usize],
    };
    Packet {
        epoch: EPOCH,
        cid: CID | channel,
        call_number: number(choices, known.calls[channel as usize]),
        seq: number(choices, known.seq),
        serial: number(choices, known.serial),
        packet_type,
        flags: flags | from_client,
        user_status: choices.below(2) as u8,
        security_index: 0,
        checksum: choices.below(3) as u16,
        service_id: SERVICE,
        payload,
    }
}

/// The payload of an ACK that is nearly right.
fn ack(choices: &mut impl Choices, known: &Known) -> Vec<u8> {
    let first = number(choices, known.seq);
    let most = choices.one_of(&[1, 4, 41, 256]);
    let count = choices.below(most);
    let ack = Ack {
        first,
        previous: number(choices, first),
        serial: number(choices, known.serial),
        reason: choices.below(12) as u8,
        acks: (0..count).map(|_| choices.below(3) as u8).collect(),
        trailer: (0..choices.below(5))
            .map(|_| number(choices, 1444))
            .collect(),
    };
    let mut payload = ack.to_bytes();
    if choices.below(10) == 0 {
        payload.truncate(choices.below(payload.len() as u32) as usize);
    }
    payload
}

/// An engine that is spoken to by someone who knows the protocol and means no good.
struct Victim {
    now: Nanos,
    endpoint: Endpoint,
    peer: rx::Peer,
    meter: Meter,
    known: Known,
    /// What the application has to reply to.
    requests: Vec<(usize, u32)>,
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
            known: Known::default(),
            requests: Vec::new(),
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
            self.known.calls[call.0] = call.1;
        }
    }

    /// Sends all that is due.
    fn transmit(&mut self) {
        for _ in 0..MOST_A_TURN {
            let Some(datagram) = self.endpoint.transmit(self.now, &mut self.peer) else {
                return;
            };
            let packet = Packet::parse(&datagram).expect("a header");
            self.known.see(&packet);
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
    fn act(&mut self, choices: &mut impl Choices) {
        let bytes: Rc<[u8]> = vec![0; choices.one_of(&[0, 10, 1412, 50_000])].into();
        if self.endpoint.side() == Side::Client {
            if let Some(call) = self.endpoint.call(self.now, &mut self.peer, bytes) {
                self.known.calls[call.0] = call.1;
                self.open.push(call);
            }
        } else if let Some(call) = self.requests.pop() {
            let is_replied = self.endpoint.reply(self.now, &mut self.peer, call, bytes);
            assert_eq!(is_replied, self.open.contains(&call), "a reply to {call:?}");
        }
        if choices.below(10) == 0 {
            if let Some(call) = self.open.first().copied() {
                let mut happened = Vec::new();
                self.endpoint
                    .abort(self.now, &mut self.peer, call, -6, &mut happened);
                self.told(happened);
            }
        }
    }

    /// A packet comes that is nearly right, or nearly that.
    fn suffer(&mut self, choices: &mut impl Choices) {
        let mut datagram = packet(choices, self.endpoint.side(), &self.known).to_bytes();
        if choices.below(20) == 0 {
            let at = choices.below(datagram.len() as u32) as usize;
            datagram[at] ^= 1 << choices.below(8);
        }
        self.hear(&datagram);
    }
}

/// A history of an engine on `side`.
pub(crate) fn survive(side: Side, choices: &mut impl Choices) {
    let mut victim = Victim::new(side);
    while choices.goes_on() {
        for _ in 0..=choices.below(3) {
            victim.suffer(choices);
        }
        if choices.below(4) == 0 {
            victim.act(choices);
        }
        victim.transmit();
        match choices.below(20) {
            0 => victim.wait(u64::from(choices.below(30_000)) * MILLISECOND),
            1..10 => victim.wait(u64::from(choices.below(300_000)) * MICROSECOND),
            _ => {}
        }
    }
    // Nobody says anything any more, and the server's application replies to what it has.
    while let Some(call) = victim.requests.pop() {
        let reply = vec![0; 5_000].into();
        victim
            .endpoint
            .reply(victim.now, &mut victim.peer, call, reply);
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

/// The packet of a small request on channel 0.
fn request(number: u32) -> Packet {
    Packet {
        epoch: EPOCH,
        cid: CID,
        call_number: number,
        seq: 1,
        serial: number,
        packet_type: DATA,
        flags: CLIENT_INITIATED | LAST,
        service_id: SERVICE,
        payload: vec![7; 64],
        ..Packet::default()
    }
}

/// A server to which a client has proved its address, or else what the bad one causes is paid by the good one.
fn proven() -> Victim {
    let mut victim = Victim::new(Side::Server);
    victim.hear(&request(1).to_bytes());
    let call = victim.requests.pop().expect("a request");
    let reply = vec![8; 5_000].into();
    assert!(victim
        .endpoint
        .reply(victim.now, &mut victim.peer, call, reply));
    victim.transmit();
    let pong = Ack {
        first: 1,
        serial: victim.known.serial,
        reason: PING_RESPONSE,
        ..Ack::default()
    };
    let answer = Packet {
        seq: 0,
        packet_type: ACK,
        flags: CLIENT_INITIATED,
        payload: pong.to_bytes(),
        ..request(1)
    };
    victim.hear(&answer.to_bytes());
    victim.transmit();
    victim
}

/// Good calls of a client beside other packets on the other channels.
pub(crate) fn serve_beside(choices: &mut impl Choices) {
    let mut victim = proven();
    let mut number = 1;
    while choices.goes_on() {
        for _ in 0..5 {
            let bad = packet(choices, Side::Server, &victim.known);
            let is_elsewhere = bad.channel() != 0 && bad.call_number != 0;
            if is_elsewhere && (bad.packet_type == DATA || bad.packet_type == ACK) {
                victim.hear(&bad.to_bytes());
            }
        }
        victim.requests.clear();
        number += 1;
        let good = request(number);
        victim.hear(&good.to_bytes());
        let call = (0, number);
        assert_eq!(victim.requests, [call], "the request is read");
        victim.requests.clear();
        let reply = vec![8; 64].into();
        assert!(victim
            .endpoint
            .reply(victim.now, &mut victim.peer, call, reply));
        let mut is_answered = false;
        while let Some(datagram) = victim.endpoint.transmit(victim.now, &mut victim.peer) {
            let said = Packet::parse(&datagram).expect("a header");
            is_answered |=
                said.packet_type == DATA && said.channel() == 0 && said.call_number == number;
        }
        assert!(is_answered, "call {number}");
        victim.now += MILLISECOND;
    }
}
