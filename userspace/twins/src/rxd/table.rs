// SPDX-License-Identifier: GPL-2.0

//! The clients: their addresses, and the connections of each.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    hash::{BuildHasher, RandomState},
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rx::{refuse, Identity, Instant, Peer, Served};
use wire::{
    rx::{packets, AbortCode, Flags, Header, PacketType},
    rxperf::SERVICE,
};

use crate::{outgoing::Outgoing, service::Rxperf};

/// After how long without a packet a connection is forgotten, in µs (Linux forgets an idle one after 2 min).
const IDLE_US: u64 = 120_000_000;

/// The clients of all listeners, in parts that are locked one by one.
#[derive(Debug)]
pub(crate) struct Table {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
}

impl Table {
    /// An empty table with so many parts.
    pub(crate) fn new(shards: usize) -> Self {
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// How many parts it has.
    pub(crate) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The number of the part that a client is in.
    pub(crate) fn place(&self, client: SocketAddr) -> usize {
        // The remainder is less than a `usize`.
        (self.hasher.hash_one(client) % self.shards.len() as u64) as usize
    }

    /// Locks a part.
    pub(crate) fn lock(&self, place: usize) -> MutexGuard<'_, Shard> {
        // A panic ends the process.
        self.shards[place]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A part of the clients.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    clients: HashMap<SocketAddr, Client>,
    /// When clients are to be looked at; a client may be there several times.
    agenda: BinaryHeap<Reverse<(Instant, SocketAddr)>>,
}

/// A client: an address and port.
struct Client {
    peer: Peer,
    connections: Vec<Served<Rxperf>>,
    /// When it is to be looked at, at the latest.
    looked_at: Option<Instant>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("peer", &self.peer)
            .field("connections", &self.connections.len())
            .finish_non_exhaustive()
    }
}

impl Shard {
    /// Takes a datagram. What answers it without a connection is put into `outgoing`. Returns whether there is a client whose
    /// turn it is.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
        outgoing: &mut Outgoing,
    ) -> bool {
        let Some((header, payload)) = Header::parse(datagram) else {
            return false;
        };
        if !header.flags.contains(Flags::CLIENT_INITIATED) {
            return false;
        }
        let is_data = PacketType::try_from(header.packet_type) == Ok(PacketType::Data);
        if is_data && (header.service_id != SERVICE || header.security_index != 0) {
            if let Some(refusal) = refuse(&header, AbortCode::INVALID_OPERATION) {
                outgoing.push_control(from, &refusal);
            }
            return false;
        }
        let client = if is_data {
            self.clients.entry(from).or_insert_with(Client::new)
        } else {
            match self.clients.get_mut(&from) {
                Some(client) => client,
                None => return false,
            }
        };
        let Some((served, peer)) = client.connection(now, &header, is_data) else {
            return false;
        };
        if !is_data {
            served.receive(now, peer, &mut Rxperf, &header, payload);
            return true;
        }
        let mut datagram_bytes = datagram.len();
        // What of a jumbogram is whole is taken.
        for packet in packets(header, payload).map_while(Result::ok) {
            let data = packet.bytes.into();
            served.receive_data(now, peer, &mut Rxperf, &packet.header, datagram_bytes, data);
            datagram_bytes = 0;
        }
        true
    }

    /// Puts what a client is to be sent into `outgoing`. Returns when it is to be looked at, if that is earlier than it was to be.
    pub(crate) fn transmit(
        &mut self,
        now: Instant,
        client: SocketAddr,
        outgoing: &mut Outgoing,
    ) -> Option<Instant> {
        let address = client;
        let client = self.clients.get_mut(&address)?;
        for served in &mut client.connections {
            while let Some(transmit) =
                served.poll_transmit(now, &mut client.peer, outgoing.header_room())
            {
                let call = transmit
                    .data
                    .and_then(|range| Some((served.call(range.channel)?, range)));
                match call {
                    Some((call, range)) => {
                        outgoing.push_data(address, call.part(range.offset, range.bytes));
                    }
                    None => outgoing.push(address, transmit.bytes),
                }
            }
        }
        let deadline = client.deadline();
        let is_earlier = client.looked_at.is_none_or(|at| deadline < at);
        is_earlier.then(|| {
            client.looked_at = Some(deadline);
            self.agenda.push(Reverse((deadline, address)));
            deadline
        })
    }

    /// Looks at the clients whose time has come, and puts what they are to be sent into `outgoing`. Returns when to look again.
    pub(crate) fn expire(&mut self, now: Instant, outgoing: &mut Outgoing) -> Option<Instant> {
        while let Some(Reverse((at, address))) = self.agenda.peek().copied() {
            if at > now {
                return Some(at);
            }
            self.agenda.pop();
            let Some(client) = self.clients.get_mut(&address) else {
                continue;
            };
            if client.looked_at != Some(at) {
                continue;
            }
            client.looked_at = None;
            client.expire(now);
            if client.connections.is_empty() {
                self.clients.remove(&address);
            } else {
                self.transmit(now, address, outgoing);
            }
        }
        None
    }
}

impl Client {
    fn new() -> Self {
        Self {
            peer: Peer::new(),
            connections: Vec::new(),
            looked_at: None,
        }
    }

    /// The connection that a packet is for, which is new if `may_begin`.
    fn connection(
        &mut self,
        now: Instant,
        header: &Header,
        may_begin: bool,
    ) -> Option<(&mut Served<Rxperf>, &mut Peer)> {
        let identity = Identity {
            epoch: header.epoch,
            cid: header.connection(),
            service_id: header.service_id,
        };
        let is_it = |served: &Served<Rxperf>| served.connection().identity() == identity;
        let place = match self.connections.iter().position(is_it) {
            Some(place) => place,
            None if may_begin => {
                let serial = fastrand::u32(..1 << 30);
                self.connections.push(Served::new(identity, serial, now));
                self.connections.len() - 1
            }
            None => return None,
        };
        Some((&mut self.connections[place], &mut self.peer))
    }

    fn expire(&mut self, now: Instant) {
        for served in &mut self.connections {
            served.expire(now, &mut self.peer, &mut Rxperf);
        }
        self.connections
            .retain(|served| now < idle_at(served) || served.connection().is_active());
    }

    /// When it is to be looked at, if nothing comes before.
    fn deadline(&self) -> Instant {
        let deadlines = self
            .connections
            .iter()
            .map(|served| served.deadline().unwrap_or_else(|| idle_at(served)));
        deadlines
            .min()
            .unwrap_or_else(|| Instant::from_micros(u64::MAX))
    }
}

/// When a connection is forgotten unless something comes.
fn idle_at(served: &Served<Rxperf>) -> Instant {
    served.connection().heard_at().after_us(IDLE_US)
}
