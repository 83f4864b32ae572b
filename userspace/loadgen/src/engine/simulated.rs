// SPDX-License-Identifier: GPL-2.0

//! An engine whose server, network and clock are a script: tests know what happened to every request, and when.

use std::{
    cell::RefCell,
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    io,
    rc::Rc,
};

use super::{Engine, Event, Nanos, Requests, Sent, Wait};

/// What the server does with a request: what it sends, and how long after the request came.
///
/// Nothing is a loss; two replies are a duplicate; replies whose times cross are a reordering.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fate(pub(crate) Vec<(Nanos, Action)>);

/// What a server does to a connection.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// It sends back what came.
    Reply,
    /// It sends something else.
    Send(Vec<u8>),
    /// It ends its side of the stream.
    Close,
    /// The connection breaks.
    Break(io::ErrorKind),
}

impl Fate {
    /// It is answered after this time.
    pub(crate) fn reply(after: Nanos) -> Self {
        Self(vec![(after, Action::Reply)])
    }

    /// It is lost.
    pub(crate) fn lost() -> Self {
        Self(Vec::new())
    }

    /// Something else happens as well.
    pub(crate) fn and(mut self, after: Nanos, action: Action) -> Self {
        self.0.push((after, action));
        self
    }
}

/// A request, as the script sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) connection: usize,
    /// How many came before on this connection.
    pub(crate) number: u64,
    /// When it came.
    pub(crate) at: Nanos,
}

/// What happens, and to which connection.
#[derive(Debug)]
struct Happening {
    connection: usize,
    what: What,
}

#[derive(Debug)]
enum What {
    Bytes(Vec<u8>),
    Closed,
    Broken(io::ErrorKind),
    /// The socket takes requests again.
    Room,
}

#[derive(Debug, Default)]
struct Connection {
    received: u64,
    /// Requests that the socket does not take yet.
    kept: VecDeque<Vec<u8>>,
    ended: bool,
    gone: bool,
    limit: usize,
}

/// What is to be known of the network and the system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Knobs {
    /// How long a [`Wait::Tick`] is.
    pub(crate) tick: Nanos,
    /// How many deliveries on a connection count as one call.
    pub(crate) batch: usize,
    /// From when until when no socket takes anything.
    pub(crate) blocked: (Nanos, Nanos),
    /// When the engine cannot wait any more.
    pub(crate) breaks_at: Nanos,
    /// How much time passes when the clock is read.
    pub(crate) cost: Nanos,
    /// How many bytes of a stream one delivery has at most.
    pub(crate) piece: usize,
    /// Whether the server ends its stream when the client has.
    pub(crate) closes: bool,
    /// When the server sends this number on the first connection, whatever came.
    pub(crate) foretold: Option<(Nanos, u64)>,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            tick: 1,
            batch: 1,
            blocked: (0, 0),
            breaks_at: Nanos::MAX,
            cost: 0,
            piece: usize::MAX,
            closes: true,
            foretold: None,
        }
    }
}

/// The engine; `script` says what becomes of each request.
pub(crate) struct Simulated<S> {
    now: Nanos,
    knobs: Knobs,
    script: S,
    connections: Vec<Connection>,
    /// What will happen; of what happens at the same time, what was decided first is first.
    future: BinaryHeap<Reverse<(Nanos, u64)>>,
    happenings: Vec<Option<Happening>>,
    /// How many requests each call that sent had.
    pub(crate) sends: Rc<RefCell<Vec<usize>>>,
    delivered: Vec<u8>,
    /// How many deliveries the present call has had.
    deliveries: usize,
}

impl<S: FnMut(Arrival) -> Fate> Simulated<S> {
    /// An engine whose clock begins at `now`.
    pub(crate) fn new(connections: usize, now: Nanos, knobs: Knobs, script: S) -> Self {
        let connection = || Connection {
            limit: usize::MAX,
            ..Connection::default()
        };
        let mut engine = Self {
            now,
            knobs,
            script,
            connections: (0..connections).map(|_| connection()).collect(),
            future: BinaryHeap::new(),
            happenings: Vec::new(),
            sends: Rc::default(),
            delivered: Vec::new(),
            deliveries: 0,
        };
        if let Some((at, number)) = knobs.foretold {
            engine.plan(at, 0, What::Bytes(number.to_be_bytes().to_vec()));
        }
        engine
    }

    /// Whether something comes on a connection right after this, and as part of the same call.
    fn has_more(&mut self, connection: usize) -> bool {
        self.deliveries += 1;
        let next = self.future.peek().filter(|next| next.0 .0 <= self.now);
        let next = next.and_then(|next| self.happenings[next.0 .1 as usize].as_ref());
        let more = next.is_some_and(|next| {
            next.connection == connection && matches!(next.what, What::Bytes(_))
        }) && self.deliveries < self.knobs.batch;
        if !more {
            self.deliveries = 0;
        }
        more
    }

    fn plan(&mut self, at: Nanos, connection: usize, what: What) {
        let number = self.happenings.len() as u64;
        self.happenings.push(Some(Happening { connection, what }));
        self.future.push(Reverse((at, number)));
    }

    /// A request comes to the server.
    fn arrive(&mut self, connection: usize, request: &[u8]) {
        let number = self.connections[connection].received;
        self.connections[connection].received += 1;
        let arrival = Arrival {
            connection,
            number,
            at: self.now,
        };
        for (after, action) in (self.script)(arrival).0 {
            let what = match action {
                Action::Reply => What::Bytes(request.to_vec()),
                Action::Send(bytes) => What::Bytes(bytes),
                Action::Close => What::Closed,
                Action::Break(kind) => What::Broken(kind),
            };
            self.plan(self.now + after, connection, what);
        }
    }

    fn is_blocked(&self) -> bool {
        (self.knobs.blocked.0..self.knobs.blocked.1).contains(&self.now)
    }
}

impl<S: FnMut(Arrival) -> Fate> Engine for Simulated<S> {
    fn now(&mut self) -> Nanos {
        self.now += self.knobs.cost;
        self.now
    }

    fn send(&mut self, connection: usize, requests: &mut Requests) -> Sent {
        let state = &self.connections[connection];
        assert!(!state.gone && !state.ended, "nothing is sent after the end");
        assert!(state.kept.is_empty(), "nothing is sent to a full socket");
        assert!(!requests.is_empty(), "nothing is sent in vain");
        self.sends.borrow_mut().push(requests.len());
        let starts = [0].into_iter().chain(requests.ends.iter().copied());
        let all: Vec<_> = starts
            .zip(&requests.ends)
            .map(|(start, &end)| requests.bytes[start..end].to_vec())
            .collect();
        if self.is_blocked() {
            self.connections[connection].kept = all.into();
            self.plan(self.knobs.blocked.1, connection, What::Room);
            return Sent::Partly;
        }
        for request in all {
            self.arrive(connection, &request);
        }
        Sent::All
    }

    fn unsent(&self, connection: usize) -> usize {
        self.connections[connection].kept.len()
    }

    fn unfinished(&self, connection: usize) -> usize {
        self.unsent(connection)
    }

    fn limit(&mut self, connection: usize, bytes: usize) {
        assert_ne!(bytes, 0, "a call receives something");
        self.connections[connection].limit = bytes;
    }

    fn poll(&mut self, wait: Wait) -> io::Result<Event<'_>> {
        if self.now >= self.knobs.breaks_at {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let until = match wait {
            Wait::No => self.now,
            Wait::Until(until) => until.max(self.now),
            Wait::Tick => self.now + self.knobs.tick,
        };
        loop {
            match self.future.peek() {
                Some(&Reverse((at, _))) if at <= until => self.now = self.now.max(at),
                _ => {
                    self.now = until;
                    return Ok(Event::Idle { at: self.now });
                }
            }
            let Some(Reverse((at, number))) = self.future.pop() else {
                unreachable!("it was peeked at");
            };
            let slot = &mut self.happenings[number as usize];
            let Some(Happening { connection, what }) = slot.take() else {
                unreachable!("everything happens once");
            };
            if self.connections[connection].gone {
                continue;
            }
            let now = self.now;
            match what {
                What::Bytes(mut bytes) => {
                    let most = self.knobs.piece.min(self.connections[connection].limit);
                    if bytes.len() > most {
                        let rest = bytes.split_off(most);
                        *slot = Some(Happening {
                            connection,
                            what: What::Bytes(rest),
                        });
                        self.future.push(Reverse((at, number)));
                    }
                    self.delivered = bytes;
                    let more = self.has_more(connection);
                    return Ok(Event::Received {
                        connection,
                        bytes: &self.delivered,
                        at: now,
                        more,
                    });
                }
                What::Closed => {
                    self.connections[connection].gone = true;
                    return Ok(Event::Closed {
                        connection,
                        at: now,
                    });
                }
                What::Broken(kind) => {
                    self.connections[connection].gone = true;
                    return Ok(Event::Failed {
                        connection,
                        at: now,
                        error: kind.into(),
                    });
                }
                What::Room => {
                    for request in std::mem::take(&mut self.connections[connection].kept) {
                        self.arrive(connection, &request);
                    }
                    return Ok(Event::Sent {
                        connection,
                        at: now,
                        left: false,
                    });
                }
            }
        }
    }

    fn end(&mut self, connection: usize) -> io::Result<()> {
        self.connections[connection].ended = true;
        if self.knobs.closes {
            self.plan(self.now, connection, What::Closed);
        }
        Ok(())
    }

    fn abandon(&mut self, connection: usize) {
        self.connections[connection].gone = true;
    }
}
