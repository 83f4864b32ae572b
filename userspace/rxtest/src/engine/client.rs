// SPDX-License-Identifier: GPL-2.0

//! A client: a UDP port of its own, and the connections on which it calls.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

use loadgen::result::{FailureKind, PathResult};
use rx::{Connection, Data, Event, Identity, Instant, Outcome, Peer, Side, CHANNELS};
use wire::{
    rx::{AbortCode, Header},
    rxperf::SERVICE,
};

use super::{
    outgoing::Outgoing,
    storage::{unacked, unread, Heap, Payload},
};
use crate::abort;

/// For how long a reply of one packet may wait for the next call to acknowledge it, in µs: more than the state machine waits.
const LAST_ACK_US: u64 = 20_000;

/// A packet of DATA that came.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) header: Header,
    /// Where its data was received.
    pub(super) data: std::ops::Range<usize>,
    /// How long the datagram was, for the first packet of one.
    pub(super) datagram_bytes: usize,
}

/// A part of a reply, in order.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) connection: usize,
    pub(super) channel: usize,
    /// The number of the request that it answers.
    pub(super) number: u64,
    /// Where it begins in the reply.
    pub(super) offset: u64,
    pub(super) payload: Payload,
    pub(super) is_last: bool,
}

/// Why a client cannot go on.
#[derive(Debug)]
pub(super) enum Failure {
    /// What the system said.
    System(io::Error),
    /// What became of a call.
    Call(FailureKind, String),
}

/// A call that is on its way.
#[derive(Debug)]
struct Call {
    /// The number of its request.
    number: u64,
    request: Box<[u8]>,
    /// How many packets of the reply have come, in order, and how many bytes.
    packets: u32,
    bytes: u64,
}

/// A connection of Rx, and its calls.
struct Calls {
    rx: Connection<Heap>,
    calls: [Option<Call>; CHANNELS],
    /// Its turn is due.
    is_due: bool,
    /// When it is to be looked at, at the latest, as the engine was told.
    looked_at: Option<Instant>,
}

/// A client.
pub(super) struct Client {
    /// `None` after its last event.
    socket: Option<OwnedFd>,
    peer: Peer,
    connections: Vec<Calls>,
    /// The connections with free channels, each as often as it has some.
    free: Vec<usize>,
    /// The connections whose turn is due.
    due: Vec<usize>,
    /// The engine knows that there are some.
    is_due: bool,
    failure: Option<Failure>,
    /// How many requests there were.
    requests: u64,
    path: PathResult,
}

impl Client {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self {
            socket: Some(socket),
            peer: Peer::new(),
            connections: Vec::new(),
            free: Vec::new(),
            due: Vec::new(),
            is_due: false,
            failure: None,
            requests: 0,
            path: PathResult::default(),
        }
    }

    pub(super) fn socket(&self) -> Option<&OwnedFd> {
        self.socket.as_ref()
    }

    /// What it saw of its path until now.
    pub(super) fn path(&self, now: Instant) -> PathResult {
        PathResult {
            smoothed_rtt_ns: self
                .peer
                .rtt()
                .smoothed_us()
                .map(|us| us.saturating_mul(1_000)),
            congestion_window: self.peer.window(now).into(),
            receive_window: rx::MAX_WINDOW.into(),
            ..self.path
        }
    }

    /// It cannot go on.
    pub(super) fn fail(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
    }

    /// Whether it cannot go on, and nobody was told why.
    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// It has no further events.
    pub(super) fn close(&mut self) {
        self.socket = None;
        self.failure = None;
    }

    /// Why it cannot go on, once. Nothing if it is closed.
    pub(super) fn take_failure(&mut self) -> Option<Failure> {
        let failure = self.failure.take()?;
        self.socket.is_some().then_some(failure)
    }

    /// Calls, on a connection that is made by `identity` if no channel is free. Returns whether that is possible.
    pub(super) fn call(
        &mut self,
        now: Instant,
        request: &[u8],
        identity: impl FnOnce(usize) -> (u32, u32),
    ) -> bool {
        let place = match self.free.pop() {
            Some(place) => place,
            None => self.connect(now, identity),
        };
        let connection = &mut self.connections[place];
        let places = unacked(request.len());
        let length = request.len() as u64;
        let Some((channel, _)) = connection.rx.call(now, &self.peer, length, places) else {
            return false;
        };
        connection.calls[channel] = Some(Call {
            number: self.requests,
            request: request.into(),
            packets: 0,
            bytes: 0,
        });
        self.requests += 1;
        self.touch(place);
        true
    }

    /// Makes a connection, all of whose channels but one are free.
    fn connect(&mut self, now: Instant, identity: impl FnOnce(usize) -> (u32, u32)) -> usize {
        let place = self.connections.len();
        let (epoch, cid) = identity(place);
        let identity = Identity {
            epoch,
            cid,
            service_id: SERVICE,
        };
        self.connections.push(Calls {
            rx: Connection::new(Side::Client, identity, 0, now),
            calls: [const { None }; CHANNELS],
            is_due: false,
            looked_at: None,
        });
        self.free.extend([place; CHANNELS - 1]);
        place
    }

    /// The turn of a connection is due.
    fn touch(&mut self, place: usize) {
        let connection = &mut self.connections[place];
        if !connection.is_due {
            connection.is_due = true;
            self.due.push(place);
        }
    }

    /// Takes a packet of DATA for the connection with this place. `copy` gives its data if that is to be kept.
    pub(super) fn receive_data<'a>(
        &mut self,
        now: Instant,
        place: usize,
        packet: Packet,
        is_counted: bool,
        copy: impl FnOnce(std::ops::Range<usize>) -> &'a [u8],
    ) -> Option<Part> {
        let connection = self.connections.get_mut(place)?;
        let Packet {
            header,
            data,
            datagram_bytes,
        } = packet;
        let channel = header.channel();
        let call = connection.calls[channel].as_ref();
        let is_current = header.call_number == connection.rx.call_number(channel);
        let next = call.filter(|_| is_current).map(|call| call.packets + 1);
        let payload = if next == Some(header.seq) {
            Payload::InPlace(data)
        } else {
            Payload::Kept(copy(data).into())
        };
        if is_counted {
            self.path.packets_received += 1;
            match next {
                Some(next) if header.seq < next => self.path.packets_duplicated += 1,
                Some(next) if header.seq > next => self.path.packets_reordered += 1,
                Some(_) => {}
                // Of a call that has ended.
                None => self.path.packets_duplicated += 1,
            }
        }
        let data = connection.rx.receive_data(
            now,
            &mut self.peer,
            &header,
            datagram_bytes,
            payload,
            unread,
        );
        self.touch(place);
        self.took(place, data)
    }

    /// The next part of the reply on a channel, if it has come before its turn.
    pub(super) fn next_part(&mut self, now: Instant, place: usize, channel: usize) -> Option<Part> {
        let connection = self.connections.get_mut(place)?;
        let data = connection.rx.next_data(now, &mut self.peer, channel)?;
        self.took(place, Some(data))
    }

    /// What data is a part of; and tells what has happened by it.
    fn took(&mut self, place: usize, data: Option<Data<Payload>>) -> Option<Part> {
        let part = data.and_then(|data| {
            let call = self.connections[place].calls[data.channel].as_mut()?;
            let offset = call.bytes;
            call.bytes += data.payload.len() as u64;
            call.packets += 1;
            Some(Part {
                connection: place,
                channel: data.channel,
                number: call.number,
                offset,
                payload: data.payload,
                is_last: data.is_last,
            })
        });
        self.take_events(place);
        part
    }

    /// Takes a packet of any other kind for the connection with this place.
    pub(super) fn receive(&mut self, now: Instant, place: usize, header: &Header, payload: &[u8]) {
        let Some(connection) = self.connections.get_mut(place) else {
            return;
        };
        connection.rx.receive(now, &mut self.peer, header, payload);
        self.touch(place);
        self.take_events(place);
    }

    /// Does what is due on a connection when nothing comes, if it is; otherwise tells when it will be.
    pub(super) fn expire(&mut self, now: Instant, place: usize, at: Instant) -> Option<Instant> {
        let connection = self.connections.get_mut(place)?;
        if connection.looked_at != Some(at) {
            return None;
        }
        connection.looked_at = None;
        let deadline = connection.rx.deadline()?;
        if deadline > now {
            connection.looked_at = Some(deadline);
            return Some(deadline);
        }
        connection.rx.expire(now, &mut self.peer);
        self.touch(place);
        self.take_events(place);
        None
    }

    /// Whether its turn has become due, since this was last asked.
    pub(super) fn becomes_due(&mut self) -> bool {
        let becomes = !self.due.is_empty() && !self.is_due;
        self.is_due |= becomes;
        becomes
    }

    /// Sends what is due on all connections. `look` is told when to look at which, if that is earlier than before.
    pub(super) fn transmit(
        &mut self,
        now: Instant,
        is_counted: bool,
        outgoing: &mut Outgoing,
        mut look: impl FnMut(Instant, usize),
    ) {
        self.is_due = false;
        while let Some(place) = self.due.pop() {
            self.connections[place].is_due = false;
            if let Err(error) = self.transmit_on(now, place, is_counted, outgoing) {
                outgoing.clear();
                return self.fail(Failure::System(error));
            }
            let connection = &mut self.connections[place];
            let deadline = connection.rx.deadline();
            let earlier = deadline.filter(|at| connection.looked_at.is_none_or(|old| *at < old));
            if let Some(at) = earlier {
                connection.looked_at = Some(at);
                look(at, place);
            }
        }
        let Some(socket) = &self.socket else {
            return outgoing.clear();
        };
        if let Err(error) = outgoing.flush(socket.as_fd()) {
            self.fail(Failure::System(error));
        }
    }

    fn transmit_on(
        &mut self,
        now: Instant,
        place: usize,
        is_counted: bool,
        outgoing: &mut Outgoing,
    ) -> io::Result<()> {
        let connection = &mut self.connections[place];
        while let Some(transmit) = connection
            .rx
            .poll_transmit(now, &mut self.peer, outgoing.room())
        {
            let data = transmit.data.and_then(|range| {
                let call = connection.calls[range.channel].as_ref()?;
                let start = usize::try_from(range.offset).ok()?;
                call.request.get(start..start + usize::from(range.bytes))
            });
            if is_counted && transmit.data.is_some() {
                let count = if transmit.is_resent {
                    &mut self.path.packets_resent
                } else {
                    &mut self.path.packets_sent
                };
                *count += 1;
            }
            outgoing.push(transmit.bytes, data.unwrap_or_default());
            if outgoing.is_full() {
                match &self.socket {
                    Some(socket) => outgoing.flush(socket.as_fd())?,
                    None => outgoing.clear(),
                }
            }
        }
        Ok(())
    }

    /// Has all that came acknowledged in the next turn.
    pub(super) fn acknowledge(&mut self, now: Instant) {
        let soon = now.after_us(LAST_ACK_US);
        for place in 0..self.connections.len() {
            let connection = &mut self.connections[place];
            if connection.rx.deadline().is_some_and(|at| at <= soon) {
                connection.rx.expire(soon, &mut self.peer);
                self.touch(place);
            }
        }
    }

    /// Tells the server in the next turn that calls are not waited for any more.
    pub(super) fn give_up(&mut self, now: Instant) {
        for place in 0..self.connections.len() {
            let connection = &mut self.connections[place];
            if connection.rx.is_active() {
                let code = AbortCode::USER_ABORT;
                connection.rx.close(now, &mut self.peer, code);
                self.touch(place);
            }
        }
    }

    /// Takes note of calls that have ended.
    fn take_events(&mut self, place: usize) {
        let connection = &mut self.connections[place];
        while let Some(event) = connection.rx.poll_event() {
            let failure = match event {
                Event::Ended {
                    channel, outcome, ..
                } => {
                    let Some(call) = connection.calls[channel].take() else {
                        continue;
                    };
                    if outcome == Outcome::Completed {
                        self.free.push(place);
                        continue;
                    }
                    let (kind, what) = failed(outcome);
                    Failure::Call(kind, format!("request {}: {what}", call.number + 1))
                }
                Event::Closed(code) => Failure::Call(
                    FailureKind::Aborted,
                    format!("the connection was aborted with {}", abort::in_words(code)),
                ),
            };
            self.failure.get_or_insert(failure);
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("peer", &self.peer)
            .field("connections", &self.connections.len())
            .finish_non_exhaustive()
    }
}

/// What is to be told of a call that failed.
fn failed(outcome: Outcome) -> (FailureKind, String) {
    match outcome {
        Outcome::RemoteAbort(code) => (
            FailureKind::Aborted,
            format!("aborted by the server with {}", abort::in_words(code)),
        ),
        // Nothing else has the state machine abort a client's call.
        Outcome::LocalAbort(code) => (
            FailureKind::Mismatch,
            format!(
                "the server contradicts itself: aborted with {}",
                abort::in_words(code)
            ),
        ),
        Outcome::Dead | Outcome::Completed => (
            FailureKind::NoProgress,
            "the server is silent, also when it is asked whether it is there".to_owned(),
        ),
    }
}
