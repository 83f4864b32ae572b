// SPDX-License-Identifier: GPL-2.0

//! The simulation: hosts that run the engine, the links between them, and virtual time.
//!
//! ```text
//!  client 1 ─┐  up: one queue, one transmitter   ┌─▶
//!  client 2 ─┼──────────────────────────────────▶│ server: connections by (epoch, cid), one peer a client
//!  client 3 ─┘◀──────────────────────────────────┘
//!               down: another
//! ```
//!
//! Everything that is random comes from the seed, and what happens at the same time happens in the order in which it was
//! caused: a seed is a history.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use crate::{
    endpoint::{Endpoint, Happening},
    ledger::{End, Ledger},
    link::{Link, Nanos, MICROSECOND, SECOND},
    packet::{Packet, DATA_BYTES},
    plan::{Plan, Serve},
    storage::Meter,
    watch::{Key, Side, Watch},
};

/// A client aborts its calls so (`RX_USER_ABORT`).
const USER_ABORT: i32 = -6;

/// How many datagrams are no storm: for each packet of data, and of calls that wait.
const MOST_DATAGRAMS_A_PACKET: u64 = 10;
const MOST_OTHER_DATAGRAMS: u64 = 4_000;

/// From where on a server's packets are numbered, so that nobody guesses it.
const SERVER_SERIAL: u32 = 0x1234_5678;

/// Where a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Address {
    Server,
    Client(usize),
}

/// What happens at a time.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A datagram reaches the host. It was sent by that client, or to it.
    Arrival(Address, usize, Vec<u8>),
    /// A host looks at what has come, and at the time.
    Turn(Address),
    /// A client wants to make a call.
    Call(usize),
    /// The server is done with a call.
    Served(usize),
    /// A client has enough of a call.
    GiveUp(usize),
}

/// A machine.
#[derive(Default)]
struct Host {
    /// What has come since the last turn, and of which client it is.
    inbox: Vec<(usize, Vec<u8>)>,
    /// What it knows of the remote addresses: of each client at the server, of the server at a client.
    peers: BTreeMap<usize, rx::Peer>,
    /// By client, epoch and cid: on a client, only its own.
    endpoints: BTreeMap<(usize, u32, u32), Endpoint>,
    /// The turn that is the next.
    turn_at: Option<Nanos>,
}

/// A simulation that runs.
pub(crate) struct World {
    pub(crate) now: Nanos,
    pub(crate) plan: Plan,
    pub(crate) ledger: Ledger,
    pub(crate) watch: Watch,
    pub(crate) up: Link,
    pub(crate) down: Link,
    pub(crate) meter: Meter,
    hosts: BTreeMap<Address, Host>,
    events: BinaryHeap<Reverse<(Nanos, u64, Event)>>,
    caused: u64,
    datagrams: u64,
    /// After so many it is taken for a storm.
    most_datagrams: u64,
    /// Calls that wait for a channel.
    waiting: Vec<usize>,
    is_traced: bool,
    /// When the last datagram was sent.
    pub(crate) last_sent: Nanos,
}

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        let ledger = Ledger::new(&plan);
        let calls = plan.clients.iter().flat_map(|client| &client.calls);
        let packets = calls
            .map(|call| (call.request_bytes + call.reply_bytes).div_ceil(DATA_BYTES) as u64 + 2)
            .sum::<u64>();
        let mut world = Self {
            now: 0,
            up: Link::new(plan.up.clone(), plan.seed ^ (1 << 40)),
            down: Link::new(plan.down.clone(), plan.seed ^ (2 << 40)),
            watch: Watch::default(),
            meter: Meter::default(),
            hosts: BTreeMap::new(),
            events: BinaryHeap::new(),
            caused: 0,
            datagrams: 0,
            most_datagrams: MOST_OTHER_DATAGRAMS + MOST_DATAGRAMS_A_PACKET * packets,
            waiting: Vec::new(),
            is_traced: std::env::var_os("RX_TRACE").is_some(),
            last_sent: 0,
            ledger,
            plan,
        };
        world.hosts.insert(Address::Server, Host::default());
        for (client, plan) in world.plan.clients.iter().enumerate() {
            let mut host = Host::default();
            for connection in 0..plan.connections {
                let epoch = 0x8000_0000 | ((client as u32 + 1) * 0x1001);
                let cid = (connection as u32 + 1) << 2;
                let endpoint = Endpoint::new(
                    Side::Client,
                    (epoch, cid),
                    0,
                    world.plan.places,
                    &world.meter,
                );
                host.endpoints.insert((client, epoch, cid), endpoint);
            }
            world.hosts.insert(Address::Client(client), host);
        }
        for index in 0..world.ledger.entries.len() {
            let start = world.ledger.entries[index].plan.start;
            world.at(start, Event::Call(index));
        }
        world
    }

    /// Lets time pass until `end` or until nothing more is going to happen. Returns whether something is.
    pub(crate) fn run_until(&mut self, end: Nanos) -> bool {
        while let Some(Reverse((at, _, _))) = self.events.peek() {
            if *at > end {
                self.now = end;
                return true;
            }
            let Some(Reverse((at, _, event))) = self.events.pop() else {
                break;
            };
            self.now = at;
            self.happen(event);
        }
        false
    }

    /// Lets time pass until all calls have ended for their clients, at the latest until `end`.
    pub(crate) fn run_calls(&mut self, end: Nanos) {
        while !self.are_ended() {
            let Some(Reverse((at, _, event))) = self.events.pop() else {
                break;
            };
            assert!(at <= end, "calls have not ended: {:?}", self.unended());
            self.now = at;
            self.happen(event);
        }
        assert!(
            self.are_ended(),
            "nothing happens any more, and calls have not ended: {:?}",
            self.unended()
        );
    }

    fn are_ended(&self) -> bool {
        self.ledger
            .entries
            .iter()
            .all(|entry| entry.ended.is_some())
    }

    fn unended(&self) -> Vec<usize> {
        let entries = self.ledger.entries.iter().enumerate();
        entries
            .filter(|(_, entry)| entry.ended.is_none())
            .map(|(index, _)| index)
            .collect()
    }

    /// When any host wants to do something by itself.
    pub(crate) fn deadlines(&self) -> Vec<(Address, Nanos)> {
        let mut deadlines = Vec::new();
        for (address, host) in &self.hosts {
            let of = host.endpoints.values().filter_map(Endpoint::deadline);
            deadlines.extend(of.map(|at| (*address, at)));
        }
        deadlines
    }

    fn at(&mut self, at: Nanos, event: Event) {
        self.caused += 1;
        self.events
            .push(Reverse((at.max(self.now), self.caused, event)));
    }

    fn trace(&self, what: impl FnOnce() -> String) {
        if self.is_traced {
            println!("{:>12.6} {}", self.now as f64 / SECOND as f64, what());
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrival(address, client, datagram) => {
                let gather = self.plan.gather;
                let host = self.host(address);
                host.inbox.push((client, datagram));
                self.turn_by(address, self.now + gather);
            }
            Event::Turn(address) => self.turn(address),
            Event::Call(index) => self.make_call(index),
            Event::Served(index) => self.serve(index),
            Event::GiveUp(index) => self.give_up(index),
        }
    }

    fn host(&mut self, address: Address) -> &mut Host {
        self.hosts.get_mut(&address).expect("a host")
    }

    /// Has the host take a turn by `at`.
    fn turn_by(&mut self, address: Address, at: Nanos) {
        // Its clock counts µs.
        let at = at.max(self.now).next_multiple_of(MICROSECOND);
        let host = self.host(address);
        if host.turn_at.is_none_or(|turn_at| at < turn_at) {
            host.turn_at = Some(at);
            self.at(at, Event::Turn(address));
        }
    }

    /// Receives all that has arrived, and then sends all that is due.
    fn turn(&mut self, address: Address) {
        let now = self.now;
        let host = self.host(address);
        if host.turn_at != Some(now) {
            // An earlier one was asked for after this.
            return;
        }
        host.turn_at = None;
        for (client, datagram) in std::mem::take(&mut host.inbox) {
            self.receive(address, client, &datagram);
        }
        let keys: Vec<_> = self.host(address).endpoints.keys().copied().collect();
        for key in keys {
            let host = self.host(address);
            let peer = host.peers.entry(key.0).or_default();
            let endpoint = host.endpoints.get_mut(&key).expect("an endpoint");
            if endpoint.deadline().is_some_and(|at| at <= now) {
                let mut happenings = Vec::new();
                endpoint.expire(now, peer, &mut happenings);
                self.react(address, key, happenings);
            }
        }
        self.transmit(address);
    }

    fn receive(&mut self, address: Address, client: usize, datagram: &[u8]) {
        let Some(packet) = Packet::parse(datagram) else {
            return;
        };
        let side = side(address);
        if self.plan.is_honest() {
            self.watch.delivered(self.now, side, client, &packet);
        }
        self.trace(|| format!("{side:?} {client} gets {packet}"));
        let now = self.now;
        let (places, meter) = (self.plan.places, self.meter.clone());
        let (epoch, cid) = packet.connection();
        let key = (client, epoch, cid);
        let host = self.host(address);
        if address == Address::Server && !host.endpoints.contains_key(&key) {
            if !Endpoint::may_begin(&packet) {
                return;
            }
            let serial = SERVER_SERIAL + cid;
            host.endpoints.insert(
                key,
                Endpoint::new(Side::Server, (epoch, cid), serial, places, &meter),
            );
        }
        let Some(endpoint) = host.endpoints.get_mut(&key) else {
            return;
        };
        endpoint.receive(datagram);
        loop {
            let host = self.host(address);
            let peer = host.peers.entry(client).or_default();
            let endpoint = host.endpoints.get_mut(&key).expect("an endpoint");
            let Some(happenings) = endpoint.step(now, peer) else {
                break;
            };
            self.react(address, key, happenings);
        }
    }

    /// What the applications do.
    fn react(&mut self, address: Address, key: (usize, u32, u32), happenings: Vec<Happening>) {
        let side = side(address);
        for happening in happenings {
            let (channel, call_number) = happening.call();
            let call: Key = (key.1, key.2 | channel as u32, call_number);
            let Some(index) = self.ledger.find(call) else {
                assert!(
                    !self.plan.is_honest(),
                    "{happening:?} of a call that nobody made"
                );
                continue;
            };
            self.trace(|| format!("{side:?} {} call {index} {happening:?}", key.0));
            match happening {
                Happening::Data { bytes, is_last, .. } => self.got(side, index, &bytes, is_last),
                Happening::Ended { end, .. } => self.ended(side, index, end),
            }
        }
    }

    fn got(&mut self, side: Side, index: usize, bytes: &[u8], is_last: bool) {
        if !self.plan.is_honest() {
            // The bytes may be others, and the server does something with them.
            if side == Side::Server && is_last && !self.ledger.entries[index].is_executed() {
                self.at(self.now, Event::Served(index));
            }
            return;
        }
        self.ledger.got(index, side, bytes, is_last);
        if side == Side::Client {
            return;
        }
        let now = self.now;
        let serve = self.ledger.entries[index].plan.serve;
        match serve {
            Serve::Reply(0) if is_last => self.serve(index),
            Serve::Reply(wait) if is_last => self.at(now + wait, Event::Served(index)),
            Serve::Abort(_, wait) if is_last => self.at(now + wait, Event::Served(index)),
            Serve::AbortEarly(code) => self.abort(Address::Server, index, code),
            _ => {}
        }
    }

    fn ended(&mut self, side: Side, index: usize, end: End) {
        self.ledger.ended(self.now, index, side, end);
        if side == Side::Client {
            for index in std::mem::take(&mut self.waiting) {
                self.at(self.now, Event::Call(index));
            }
        }
    }

    fn abort(&mut self, address: Address, index: usize, code: i32) {
        let entry = &self.ledger.entries[index];
        let (client, key) = (entry.client, entry.key);
        let (epoch, cid, call_number) = key.expect("a call that was made");
        let key = (client, epoch, cid & !3);
        let mut happenings = Vec::new();
        let now = self.now;
        let host = self.host(address);
        let peer = host.peers.entry(client).or_default();
        if let Some(endpoint) = host.endpoints.get_mut(&key) {
            endpoint.abort(
                now,
                peer,
                ((cid & 3) as usize, call_number),
                code,
                &mut happenings,
            );
        }
        self.react(address, key, happenings);
        self.turn_by(address, now);
    }

    fn make_call(&mut self, index: usize) {
        let entry = &self.ledger.entries[index];
        let (client, connection) = (entry.client, entry.plan.connection);
        let request = entry.contents(Side::Client);
        let client_aborts = entry.plan.client_aborts;
        let now = self.now;
        let host = self.host(Address::Client(client));
        let (&key, endpoint) = host
            .endpoints
            .iter_mut()
            .nth(connection)
            .expect("a connection");
        let peer = host.peers.entry(client).or_default();
        let Some((channel, call_number)) = endpoint.call(now, peer, request) else {
            self.waiting.push(index);
            return;
        };
        let call = (key.1, key.2 | channel as u32, call_number);
        self.ledger.made(now, index, call);
        self.trace(|| format!("Client {client} makes call {index}"));
        if let Some(wait) = client_aborts {
            self.at(now + wait, Event::GiveUp(index));
        }
        self.turn_by(Address::Client(client), now);
    }

    /// The server is done with a call.
    fn serve(&mut self, index: usize) {
        let entry = &self.ledger.entries[index];
        let (client, reply) = (entry.client, entry.contents(Side::Server));
        let (epoch, cid, call_number) = entry.key.expect("a call that was made");
        if let Serve::Abort(code, _) = entry.plan.serve {
            return self.abort(Address::Server, index, code);
        }
        let now = self.now;
        let host = self.host(Address::Server);
        let peer = host.peers.entry(client).or_default();
        if let Some(endpoint) = host.endpoints.get_mut(&(client, epoch, cid & !3)) {
            let is_replied = endpoint.reply(now, peer, ((cid & 3) as usize, call_number), reply);
            let is_ended = self.ledger.entries[index].served.is_some();
            assert!(
                is_replied != is_ended || !self.plan.is_honest(),
                "a call that has ended is replied to: {is_ended}"
            );
        }
        self.turn_by(Address::Server, now);
    }

    fn give_up(&mut self, index: usize) {
        let entry = &self.ledger.entries[index];
        if entry.ended.is_none() {
            self.abort(Address::Client(entry.client), index, USER_ABORT);
        }
    }

    /// Sends all that is due, and sees to it that there is a turn when more is.
    fn transmit(&mut self, address: Address) {
        let now = self.now;
        let side = side(address);
        let keys: Vec<_> = self.host(address).endpoints.keys().copied().collect();
        let mut deadline: Option<Nanos> = None;
        for key in keys {
            let client = key.0;
            loop {
                let host = self.host(address);
                let peer = host.peers.entry(client).or_default();
                let endpoint = host.endpoints.get_mut(&key).expect("an endpoint");
                let Some(datagram) = endpoint.transmit(now, peer) else {
                    if let Some(at) = endpoint.deadline() {
                        deadline = Some(deadline.map_or(at, |other| other.min(at)));
                    }
                    break;
                };
                self.send(side, client, datagram);
            }
        }
        if let Some(at) = deadline {
            assert!(
                at > now,
                "a deadline at {at}, which is not after {now}, although all was done"
            );
            self.turn_by(address, at);
        }
    }

    fn send(&mut self, side: Side, client: usize, datagram: Vec<u8>) {
        self.datagrams += 1;
        assert!(self.datagrams < self.most_datagrams, "a storm");
        self.last_sent = self.now;
        let packet = Packet::parse(&datagram).expect("a header");
        self.trace(|| format!("{side:?} {client} sends {packet}"));
        if self.plan.is_honest() {
            self.watch.sent(side, client, &packet);
        }
        let (link, to) = match side {
            Side::Client => (&mut self.up, Address::Server),
            Side::Server => (&mut self.down, Address::Client(client)),
        };
        let arrivals = link.carry(self.now, datagram);
        if arrivals.is_empty() {
            self.trace(|| format!("                lost: serial {}", packet.serial));
        }
        for (at, datagram) in arrivals {
            self.at(at, Event::Arrival(to, client, datagram));
        }
    }
}

fn side(address: Address) -> Side {
    match address {
        Address::Server => Side::Server,
        Address::Client(_) => Side::Client,
    }
}
