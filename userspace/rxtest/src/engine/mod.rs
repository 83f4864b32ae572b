// SPDX-License-Identifier: GPL-2.0

//! The engine of Rx: clients that call, each with a UDP port of its own, for one thread.
//!
//! It works in turns. A turn takes all that has come on a socket, datagram by datagram, and what a reply gets by that is
//! delivered at once; then everything is sent that is due by it: acknowledgements, and the calls that were made meanwhile.

mod client;
mod incoming;
mod outgoing;
mod ready;
mod storage;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    hash::{BuildHasher, RandomState},
    io,
    os::fd::{AsFd, OwnedFd},
};

use loadgen::{
    clock,
    engine::{Engine, Event, Nanos, Requests, Sent, Wait},
    load::Load,
    result::PathResult,
};
use nix::sys::socket::{setsockopt, sockopt::UdpGroSegment};
use rustix::net::sockopt;
use rx::{Instant, CHANNELS};
use wire::rx::{packets, Flags, Header, PacketType};

use self::{
    client::{Client, Failure, Packet, Part},
    incoming::Incoming,
    outgoing::Outgoing,
    ready::Ready,
    storage::Payload,
};

/// What a socket is to have room for, for each call that may be on its way: a window of packets, with what the system needs
/// to keep them.
const ROOM_FOR_CALL: usize = 1 << 20;

/// For how many calls there is room at most.
const MOST_ROOMS: usize = 16;

/// The engine of Rx.
pub(crate) struct RxEngine {
    clients: Vec<Client>,
    numbers: Numbers,
    ready: Ready,
    incoming: Incoming,
    /// The client that they came to, and when.
    turn_of: (usize, Nanos),
    /// Packets of the datagram that is taken apart.
    packets: VecDeque<(usize, Packet)>,
    /// The connection and channel where packets may be next that came before their turn.
    kept: Option<(usize, usize)>,
    /// What is delivered, if it was kept.
    delivered: Box<[u8]>,
    outgoing: Outgoing,
    /// Clients some of whose connections have a turn due, or that failed.
    due: Vec<usize>,
    failed: VecDeque<usize>,
    /// When connections are to be looked at; one may be there several times.
    agenda: BinaryHeap<Reverse<(Instant, usize, usize)>>,
    measure_from: Nanos,
    tick: Nanos,
    busy_poll: bool,
}

/// What connections are known by.
///
/// A server may tell them by these numbers alone, wherever they come from: so they are other ones for each thread of each run.
#[derive(Clone, Copy, Debug)]
struct Numbers {
    epoch: u32,
    first: u32,
    clients: u32,
}

impl Numbers {
    /// Those of so many clients.
    fn new(clients: usize) -> Self {
        // The standard library seeds its hash maps with random numbers of the system.
        let random = RandomState::new().hash_one(clients);
        Self {
            // The highest bit says that it is no time; OpenAFS leaves the next one out (`rx_SetEpoch()`).
            epoch: (random as u32 & 0x3fff_ffff) | 0x8000_0000,
            first: (random >> 32) as u32 & Self::MASK,
            clients: clients as u32,
        }
    }

    /// The two lowest bits of a number of 32 are the channel.
    const MASK: u32 = u32::MAX >> CHANNELS.ilog2();

    /// The epoch and number of a client's connection.
    fn of(self, client: usize, connection: usize) -> (u32, u32) {
        let number = connection as u32 * self.clients + client as u32;
        let number = self.first.wrapping_add(number) & Self::MASK;
        (self.epoch, number << CHANNELS.ilog2())
    }

    /// Which connection of a client a packet is for, if it has the numbers of one.
    fn connection(self, client: usize, header: &Header) -> Option<usize> {
        let number = header.connection() >> CHANNELS.ilog2();
        let number = number.wrapping_sub(self.first) & Self::MASK;
        let number = number.checked_sub(client as u32)?;
        let is_ours = header.epoch == self.epoch && number % self.clients == 0;
        is_ours.then_some((number / self.clients) as usize)
    }
}

/// The time, as the state machine has it.
fn instant(at: Nanos) -> Instant {
    Instant::from_micros(at / 1_000)
}

/// What is found to be delivered.
enum Found {
    Part(Part),
    Failed(usize, Failure),
}

impl RxEngine {
    /// An engine of the clients with these sockets.
    ///
    /// # Errors
    ///
    /// The system has no room for what waiting takes.
    pub(crate) fn new(sockets: Vec<OwnedFd>, load: &Load, busy_poll: bool) -> io::Result<Self> {
        let room = load.in_flight.min(MOST_ROOMS) * ROOM_FOR_CALL;
        for socket in &sockets {
            // Without it, datagrams come one by one.
            let _ = setsockopt(socket, UdpGroSegment, &true);
            // Only who may do anything gets more than the system's limit; and with less, packets are lost.
            let _ = sockopt::set_socket_recv_buffer_size_force(socket, room)
                .or_else(|_| sockopt::set_socket_recv_buffer_size(socket, room));
        }
        Ok(Self {
            numbers: Numbers::new(sockets.len()),
            ready: Ready::new(&sockets)?,
            clients: sockets.into_iter().map(Client::new).collect(),
            incoming: Incoming::new(),
            turn_of: (0, 0),
            packets: VecDeque::new(),
            kept: None,
            delivered: Box::default(),
            outgoing: Outgoing::new(),
            due: Vec::new(),
            failed: VecDeque::new(),
            agenda: BinaryHeap::new(),
            measure_from: 0,
            tick: load.tick(),
            busy_poll,
        })
    }

    /// Something has happened to a client.
    fn touch(&mut self, place: usize) {
        if self.clients[place].has_failed() {
            self.failed.push_back(place);
        }
        if self.clients[place].becomes_due() {
            self.due.push(place);
        }
    }

    /// The next thing to be delivered of what has come.
    fn find(&mut self) -> Option<Found> {
        let (place, at) = self.turn_of;
        let now = instant(at);
        loop {
            if let Some(place) = self.failed.pop_front() {
                match self.clients[place].take_failure() {
                    Some(failure) => return Some(Found::Failed(place, failure)),
                    None => continue,
                }
            }
            let client = self.clients.get_mut(place)?;
            if client.socket().is_none() {
                self.incoming.clear();
                self.packets.clear();
                self.kept = None;
                return None;
            }
            let part = if let Some((connection, channel)) = self.kept.take() {
                client.next_part(now, connection, channel)
            } else if let Some((connection, packet)) = self.packets.pop_front() {
                let is_counted = at >= self.measure_from;
                let copy = |data| self.incoming.bytes(data);
                client.receive_data(now, connection, packet, is_counted, copy)
            } else if self.take_datagram() {
                continue;
            } else {
                return None;
            };
            self.touch(place);
            if let Some(part) = part {
                self.kept = (!part.is_last).then_some((part.connection, part.channel));
                return Some(Found::Part(part));
            }
        }
    }

    /// Takes the next datagram apart; returns whether there was one.
    fn take_datagram(&mut self) -> bool {
        let (place, at) = self.turn_of;
        let Some(range) = self.incoming.next() else {
            return false;
        };
        let datagram = self.incoming.bytes(range.clone());
        let Some((header, payload)) = Header::parse(datagram) else {
            return true;
        };
        if header.flags.contains(Flags::CLIENT_INITIATED) {
            return true;
        }
        let Some(connection) = self.numbers.connection(place, &header) else {
            return true;
        };
        if PacketType::try_from(header.packet_type) != Ok(PacketType::Data) {
            self.clients[place].receive(instant(at), connection, &header, payload);
            self.touch(place);
            return true;
        }
        let start = range.end - payload.len();
        let mut datagram_bytes = range.len();
        // What of a jumbogram is whole is taken.
        for packet in packets(header, payload).map_while(Result::ok) {
            let from = start + packet.offset;
            let packet = Packet {
                header: packet.header,
                data: from..from + packet.bytes.len(),
                datagram_bytes: std::mem::take(&mut datagram_bytes),
            };
            self.packets.push_back((connection, packet));
        }
        true
    }

    /// Sends all that is due.
    fn transmit(&mut self) {
        if self.due.is_empty() {
            return;
        }
        let now = clock::now();
        let is_counted = now >= self.measure_from;
        while let Some(place) = self.due.pop() {
            let agenda = &mut self.agenda;
            let client = &mut self.clients[place];
            client.transmit(
                instant(now),
                is_counted,
                &mut self.outgoing,
                |at, connection| agenda.push(Reverse((at, place, connection))),
            );
            if self.clients[place].has_failed() {
                self.failed.push_back(place);
            }
        }
    }

    /// Does what is due when nothing comes; returns whether anything was.
    fn expire(&mut self, now: Nanos) -> bool {
        let now = instant(now);
        let mut any = false;
        while let Some(Reverse((at, place, connection))) = self.agenda.peek().copied() {
            if at > now {
                break;
            }
            self.agenda.pop();
            if let Some(at) = self.clients[place].expire(now, connection, at) {
                self.agenda.push(Reverse((at, place, connection)));
            }
            self.touch(place);
            any = true;
        }
        any
    }

    /// Receives what has come to a client.
    fn receive(&mut self, place: usize) {
        let Some(socket) = self.clients[place].socket() else {
            return;
        };
        match self.incoming.receive(socket.as_fd()) {
            Ok(()) => self.turn_of = (place, clock::now()),
            Err(error) => {
                let is_nothing = matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                );
                if !is_nothing {
                    self.clients[place].fail(Failure::System(error));
                    self.failed.push_back(place);
                }
            }
        }
    }

    /// What was found, as it is delivered.
    fn event(&mut self, found: Found) -> Event<'_> {
        let (place, at) = self.turn_of;
        match found {
            Found::Part(part) => {
                let bytes = match part.payload {
                    Payload::InPlace(range) => self.incoming.bytes(range),
                    Payload::Kept(bytes) => {
                        self.delivered = bytes;
                        &self.delivered
                    }
                };
                Event::Part {
                    connection: place,
                    number: part.number,
                    offset: part.offset,
                    bytes,
                    is_last: part.is_last,
                    at,
                }
            }
            Found::Failed(connection, failure) => {
                let at = clock::now();
                match failure {
                    Failure::System(error) => Event::Failed {
                        connection,
                        at,
                        error,
                    },
                    Failure::Call(kind, message) => Event::GaveUp {
                        connection,
                        at,
                        kind,
                        message,
                    },
                }
            }
        }
    }
}

impl Engine for RxEngine {
    fn now(&mut self) -> Nanos {
        clock::now()
    }

    /// Begins a call for each request. They are sent at the end of the turn.
    fn send(&mut self, place: usize, requests: &mut Requests) -> Sent {
        let now = instant(clock::now());
        let numbers = self.numbers;
        let client = &mut self.clients[place];
        if client.socket().is_none() {
            return Sent::Failed;
        }
        let mut from = 0;
        for end in requests.ends.iter().copied() {
            let request = &requests.bytes[from..end];
            if !client.call(now, request, |connection| numbers.of(place, connection)) {
                client.fail(Failure::System(io::Error::other(
                    "a request that Rx cannot carry",
                )));
                self.touch(place);
                return Sent::Failed;
            }
            from = end;
        }
        self.touch(place);
        Sent::All
    }

    fn unsent(&self, _place: usize) -> usize {
        0
    }

    fn unfinished(&self, _place: usize) -> usize {
        0
    }

    fn limit(&mut self, _place: usize, _bytes: usize) {}

    fn poll(&mut self, wait: Wait) -> io::Result<Event<'_>> {
        let mut deadline = match wait {
            Wait::No => Some(0),
            Wait::Until(until) => Some(until),
            Wait::Tick => None,
        };
        let mut has_asked = false;
        loop {
            if let Some(found) = self.find() {
                return Ok(self.event(found));
            }
            self.transmit();
            if !self.failed.is_empty() {
                continue;
            }
            if let Some(place) = self.ready.next() {
                self.receive(place);
                continue;
            }
            let now = clock::now();
            if self.expire(now) {
                continue;
            }
            let until = *deadline.get_or_insert(now.saturating_add(self.tick));
            // What comes may have nothing to deliver, without end.
            if has_asked && now >= until {
                return Ok(Event::Idle { at: now });
            }
            has_asked = true;
            let next = self.agenda.peek().map_or(Nanos::MAX, |Reverse((at, ..))| {
                at.as_micros().saturating_mul(1_000)
            });
            let sleep = if self.busy_poll {
                0
            } else {
                until.min(next).saturating_sub(now)
            };
            self.ready.wait(sleep)?;
        }
    }

    fn measure_from(&mut self, at: Nanos) {
        self.measure_from = at;
    }

    fn path(&self, place: usize) -> Option<PathResult> {
        Some(self.clients[place].path(instant(clock::now())))
    }

    /// Has what has come acknowledged.
    fn end(&mut self, place: usize) -> io::Result<()> {
        self.clients[place].acknowledge(instant(clock::now()));
        self.touch(place);
        self.transmit();
        match self.clients[place].take_failure() {
            Some(Failure::System(error)) => Err(error),
            Some(Failure::Call(_, message)) => Err(io::Error::other(message)),
            None => Ok(()),
        }
    }

    fn abandon(&mut self, place: usize) {
        self.clients[place].give_up(instant(clock::now()));
        self.touch(place);
        self.transmit();
        self.clients[place].close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(epoch: u32, cid: u32) -> Header {
        Header {
            epoch,
            cid,
            call_number: 1,
            seq: 1,
            serial: 1,
            packet_type: PacketType::Data as u8,
            flags: Flags::default(),
            user_status: 0,
            security_index: 0,
            checksum: 0,
            service_id: 147,
        }
    }

    #[test]
    fn each_connection_is_known_by_its_numbers() {
        for first in [0, 17, Numbers::MASK - 3, Numbers::MASK] {
            let numbers = Numbers {
                epoch: 0x8000_0001,
                first,
                clients: 3,
            };
            let mut seen = Vec::new();
            for client in 0..3 {
                for connection in 0..5 {
                    let (epoch, cid) = numbers.of(client, connection);
                    assert!(cid % 4 == 0 && !seen.contains(&cid), "{cid:#x}");
                    seen.push(cid);
                    let of = |client, epoch, cid| numbers.connection(client, &header(epoch, cid));
                    assert_eq!(of(client, epoch, cid | 3), Some(connection));
                    assert_eq!(of((client + 1) % 3, epoch, cid), None);
                    assert_eq!(of(client, epoch + 1, cid), None);
                }
            }
        }
    }

    #[test]
    fn epochs_are_random_and_say_so() {
        let [one, other] = [Numbers::new(1), Numbers::new(1)];
        assert_eq!(one.epoch >> 30, 0b10);
        assert_ne!((one.epoch, one.first), (other.epoch, other.first));
    }
}
