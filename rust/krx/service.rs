// SPDX-License-Identifier: GPL-2.0

//! What is done with packets, on each core.

use core::net::SocketAddr;
use kernel::{
    cpu::CpuId,
    prelude::*,
    sync::Arc, //
};
use ksf::{
    Flow,
    Packet,
    PacketService,
    Part,
    Turn, //
};
use rx::{
    refuse,
    Identity,
    Instant,
    Peer,
    Served,
    HEADER_BYTES,
    MAX_CONTROL_BYTES, //
};
use wire::{
    rx::{
        packets,
        AbortCode,
        Flags,
        Header,
        PacketType, //
    },
    rxperf::SERVICE, //
};

use crate::{
    agenda::Agenda,
    connections::{
        ConnectionKey,
        Table, //
    },
    content::Content,
    directory::Directory,
    params,
    rxperf::Rxperf,
    storage::Payload, //
};

/// How much of a packet that is not DATA is looked at, in bytes: Linux's pings are as long as it takes to find out the MTU.
const CONTROL_BYTES: usize = 512;

/// How many connections are looked at to make room for another one.
const VICTIMS: u64 = 8;

/// The service.
pub(crate) struct Rx {
    content: Content,
    directory: Arc<Directory>,
}

impl Rx {
    /// Creates it.
    ///
    /// Process context.
    pub(crate) fn new() -> Result<Self> {
        let cores = kernel::cpu::nr_cpu_ids() as usize;
        let max = usize::try_from(params::MAX_CONNS.get())?.saturating_mul(cores);
        Ok(Self {
            content: Content::new()?,
            directory: Arc::new(Directory::new(max)?, GFP_KERNEL)?,
        })
    }
}

/// A connection, and where its peer is.
struct Connection {
    key: ConnectionKey,
    served: Served<Rxperf>,
    flow: Flow,
    /// The peer's place.
    peer: usize,
    /// It is among those that have something to send.
    is_ready: bool,
    /// When it is to be looked at, at the latest.
    looked_at: Option<Instant>,
}

/// Where a connection is that this core does not know.
enum Met {
    /// It is new, and has this place.
    New(usize),
    /// This core has it.
    Elsewhere(CpuId),
    /// There is none.
    Nobody,
}

/// A peer, and how many connections it has.
struct Client {
    peer: Peer,
    connections: usize,
}

/// What a core has.
pub(crate) struct Core {
    cpu: CpuId,
    directory: Arc<Directory>,
    connections: Table<ConnectionKey, Connection>,
    clients: Table<SocketAddr, Client>,
    agenda: Agenda,
    /// Connections that may have something to send. There is room for all.
    ready: KVVec<usize>,
    rxperf: Rxperf,
    buffer: KVec<u8>,
}

impl PacketService for Rx {
    type Core = Core;

    fn core(&self, cpu: CpuId) -> Result<Core> {
        let max = usize::try_from(params::MAX_CONNS.get())?;
        Ok(Core {
            cpu,
            directory: self.directory.clone(),
            connections: Table::new(max)?,
            clients: Table::new(max)?,
            agenda: Agenda::new(),
            ready: KVVec::with_capacity(max, GFP_KERNEL)?,
            rxperf: Rxperf::new()?,
            buffer: KVec::from_elem(0, MAX_CONTROL_BYTES, GFP_KERNEL)?,
        })
    }

    fn turn(&self, core: &mut Core, turn: &mut Turn<'_>) -> Option<u64> {
        let now = Instant::from_micros(turn.now_us());
        core.expire(now);
        while let Some(packet) = turn.receive() {
            core.receive(now, packet, turn);
        }
        if core.transmit(now, &self.content, turn) {
            core.agenda.first().map(Instant::as_micros)
        } else {
            Some(turn.now_us())
        }
    }
}

impl Core {
    /// Takes a datagram.
    fn receive(&mut self, now: Instant, mut packet: Packet, turn: &mut Turn<'_>) {
        let Some((header, _)) = packet.head(HEADER_BYTES).and_then(Header::parse) else {
            return;
        };
        if !header.flags.contains(Flags::CLIENT_INITIATED) {
            return;
        }
        let is_data = PacketType::try_from(header.packet_type) == Ok(PacketType::Data);
        if is_data && (header.service_id != SERVICE || header.security_index != 0) {
            if let Some(refusal) = refuse(&header, AbortCode::INVALID_OPERATION) {
                let flow = *packet.flow();
                // What is not sent is asked for again.
                let _ = turn.send(&flow, &[Part::Bytes(&refusal)]);
            }
            return;
        }
        let identity = Identity {
            epoch: header.epoch,
            cid: header.connection(),
            service_id: header.service_id,
        };
        let key = ConnectionKey::new(identity, packet.flow().peer());
        let place = match self.connections.find(&key) {
            Some(place) => place,
            None => match self.meet(now, identity, key, packet.flow(), is_data) {
                Met::New(place) => place,
                Met::Elsewhere(cpu) => return turn.hand_over(packet, cpu),
                Met::Nobody => return,
            },
        };
        self.follow(place, packet.flow());
        let Some(connection) = self.connections.get_mut(place) else {
            return;
        };
        let Some(client) = self.clients.get_mut(connection.peer) else {
            return;
        };
        let (served, peer, service) = (&mut connection.served, &mut client.peer, &mut self.rxperf);
        let bytes = packet.len();
        if !is_data {
            let count = bytes.min(CONTROL_BYTES);
            let payload = packet.head(count).and_then(|head| head.get(HEADER_BYTES..));
            if let Some(payload) = payload {
                served.receive(now, peer, service, &header, payload);
            }
        } else if header.flags.contains(Flags::JUMBO_PACKET) {
            // Its parts end at different times, so each has a copy.
            let Some(payload) = packet.head(bytes).and_then(|head| head.get(HEADER_BYTES..)) else {
                return;
            };
            let mut datagram_bytes = bytes;
            for part in packets(header, payload).map_while(core::result::Result::ok) {
                let mut copy = KVec::new();
                if copy.extend_from_slice(part.bytes, GFP_ATOMIC).is_err() {
                    break;
                }
                let data = Payload::Copy(copy);
                served.receive_data(now, peer, service, &part.header, datagram_bytes, data);
                datagram_bytes = 0;
            }
        } else {
            let data = Payload::Datagram(packet, HEADER_BYTES);
            served.receive_data(now, peer, service, &header, bytes, data);
        }
        self.set_ready(place);
    }

    /// A packet came for a connection that this core does not have. It is a new one if `may_begin` and no other core has it.
    #[cold]
    fn meet(
        &mut self,
        now: Instant,
        identity: Identity,
        key: ConnectionKey,
        flow: &Flow,
        may_begin: bool,
    ) -> Met {
        if !may_begin {
            return self.directory.find(&key).map_or(Met::Nobody, Met::Elsewhere);
        }
        if self.connections.is_full() {
            self.evict();
        }
        match self.directory.claim(key, self.cpu) {
            Ok(cpu) if cpu == self.cpu => {}
            Ok(cpu) => return Met::Elsewhere(cpu),
            Err(_) => return Met::Nobody,
        }
        let place = self.begin(now, identity, key, flow);
        if place.is_none() {
            self.directory.release(&key);
        }
        place.map_or(Met::Nobody, Met::New)
    }

    /// Begins a connection, and returns its place if there is memory for it.
    fn begin(
        &mut self,
        now: Instant,
        identity: Identity,
        key: ConnectionKey,
        flow: &Flow,
    ) -> Option<usize> {
        let peer = self.client(flow.peer())?;
        // CAST: A number below 2^30.
        let serial = (ksf::random() >> 34) as u32;
        let connection = Connection {
            key,
            served: Served::new(identity, serial, now),
            flow: *flow,
            peer,
            is_ready: false,
            looked_at: None,
        };
        let place = self.connections.insert(key, connection).ok();
        match self.clients.get_mut(peer) {
            Some(client) if place.is_some() => client.connections += 1,
            _ => self.forget_client(peer),
        }
        place
    }

    /// The client of a connection may have moved: it is answered where its last packet came from.
    fn follow(&mut self, place: usize, flow: &Flow) {
        let is_there = |connection: &Connection| connection.flow == *flow;
        if self.connections.get(place).is_none_or(is_there) {
            return;
        }
        let Some(peer) = self.client(flow.peer()) else {
            return;
        };
        if let Some(client) = self.clients.get_mut(peer) {
            client.connections += 1;
        }
        if let Some(connection) = self.connections.get_mut(place) {
            connection.flow = *flow;
            let before = core::mem::replace(&mut connection.peer, peer);
            self.leave_client(before);
        }
    }

    /// Returns the place of the client at an address.
    fn client(&mut self, address: SocketAddr) -> Option<usize> {
        let place = self.clients.find(&address);
        place.or_else(|| {
            let client = Client {
                peer: Peer::new(),
                connections: 0,
            };
            self.clients.insert(address, client).ok()
        })
    }

    /// Forgets a client that has no connection.
    fn forget_client(&mut self, place: usize) {
        if self
            .clients
            .get(place)
            .is_some_and(|client| client.connections == 0)
        {
            self.clients.remove(place);
        }
    }

    /// A client has a connection less.
    fn leave_client(&mut self, place: usize) {
        if let Some(client) = self.clients.get_mut(place) {
            client.connections -= 1;
        }
        self.forget_client(place);
    }

    /// Forgets a connection.
    fn forget(&mut self, place: usize) {
        if let Some(connection) = self.connections.remove(place) {
            self.directory.release(&connection.key);
            self.leave_client(connection.peer);
        }
    }

    /// Makes room for a connection: of some that are chosen by chance, forgets the one that was silent for longest and has no call.
    fn evict(&mut self) {
        let places = self.connections.places() as u64;
        let victim = (0..VICTIMS)
            .filter_map(|_| {
                // CAST: Less than there are places.
                let place = (ksf::random() % places) as usize;
                let connection = self.connections.get(place)?.served.connection();
                (!connection.is_active()).then_some((connection.heard_at(), place))
            })
            .min();
        if let Some((_, place)) = victim {
            self.forget(place);
        }
    }

    /// The connection may have something to send.
    fn set_ready(&mut self, place: usize) {
        if let Some(connection) = self.connections.get_mut(place) {
            if !connection.is_ready && self.ready.push_within_capacity(place).is_ok() {
                connection.is_ready = true;
            }
        }
    }

    /// Does what is due although nothing came.
    fn expire(&mut self, now: Instant) {
        while let Some((at, place)) = self.agenda.pop(now) {
            let Some(connection) = self.connections.get_mut(place) else {
                continue;
            };
            if connection.looked_at != Some(at) {
                continue;
            }
            connection.looked_at = None;
            let Some(client) = self.clients.get_mut(connection.peer) else {
                continue;
            };
            connection
                .served
                .expire(now, &mut client.peer, &mut self.rxperf);
            if now >= idle_at(connection) && !connection.served.connection().is_active() {
                if !connection.is_ready {
                    self.forget(place);
                }
            } else {
                self.set_ready(place);
            }
        }
    }

    /// Sends what is to be sent. Returns whether that was all.
    fn transmit(&mut self, now: Instant, content: &Content, turn: &mut Turn<'_>) -> bool {
        while let Some(place) = self.ready.pop() {
            let Some(connection) = self.connections.get_mut(place) else {
                continue;
            };
            let Some(client) = self.clients.get_mut(connection.peer) else {
                continue;
            };
            let (served, flow) = (&mut connection.served, &connection.flow);
            while turn.may_go_on() {
                let Some(transmit) = served.poll_transmit(now, &mut client.peer, &mut self.buffer)
                else {
                    break;
                };
                let head = self.buffer.get(..transmit.bytes).unwrap_or_default();
                let part = transmit
                    .data
                    .and_then(|range| Some(served.call(range.channel)?.part(range.offset, range.bytes)));
                // What is not sent is lost, as it may be anywhere on its way.
                let _ = match part {
                    Some(part) => {
                        let [first, second] = content.parts(part.offset, part.content_bytes);
                        turn.send(flow, &[Part::Bytes(head), first, second, Part::Bytes(part.tail)])
                    }
                    None => turn.send(flow, &[Part::Bytes(head)]),
                };
            }
            if !turn.may_go_on() {
                // It was taken out just now.
                let _ = self.ready.push_within_capacity(place);
                return false;
            }
            connection.is_ready = false;
            let deadline = served.deadline().unwrap_or_else(|| idle_at(connection));
            if connection.looked_at.is_none_or(|at| deadline < at)
                && self.agenda.push(deadline, place).is_ok()
            {
                connection.looked_at = Some(deadline);
            }
        }
        true
    }
}

/// When a connection is forgotten unless something comes.
fn idle_at(connection: &Connection) -> Instant {
    let heard_at = connection.served.connection().heard_at();
    heard_at.after_us(params::IDLE_TIMEOUT_MS.get() * 1000)
}
