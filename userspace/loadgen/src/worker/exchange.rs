// SPDX-License-Identifier: GPL-2.0

//! Requests and replies, from the first that is sent to the last that is due.

use std::io;

use super::{closed_loop::ClosedLoop, ending::system, Worker};
use crate::{
    engine::{Engine, Event, Nanos, Received, Wait},
    link::{Arrival, Broken, Part, Socket},
    load::Transport,
    protocol::Connection,
    result::FailureKind,
    schedule::Schedule,
};

/// What makes requests due. The exchange is compiled for each, so that one does not cost what only the other needs.
pub(super) trait Pacing {
    /// How long there is nothing to do but to receive.
    fn next_wait<C: Connection, E: Engine>(worker: &Worker<'_, C, E>, now: Nanos) -> Wait;

    /// Does what is due by the time.
    fn dispatch<C: Connection, E: Engine>(worker: &mut Worker<'_, C, E>, now: Nanos);

    /// Sends what may be sent on a connection, as its replies, the socket or lost datagrams have made room.
    fn go_on<C: Connection, E: Engine>(worker: &mut Worker<'_, C, E>, place: usize, now: Nanos);

    /// The same after a usual reply, which leaves it as it is how much the engine is to receive.
    #[inline(always)]
    fn follow<C: Connection, E: Engine>(worker: &mut Worker<'_, C, E>, place: usize, now: Nanos) {
        Self::go_on(worker, place, now);
    }
}

/// What one call to the engine brought.
#[derive(Clone, Copy, Debug)]
struct Turn {
    at: Nanos,
    /// Whether there was nothing.
    idle: bool,
    /// Whether the next event is of the same call.
    more: bool,
}

impl Turn {
    /// One that brought something, and nothing after it.
    #[inline(always)]
    fn at(at: Nanos) -> Self {
        Self {
            at,
            idle: false,
            more: false,
        }
    }
}

impl<C: Connection, E: Engine> Worker<'_, C, E> {
    pub(super) fn exchange<P: Pacing>(&mut self) {
        let mut now = self.start;
        let mut more = false;
        self.next_check = now.saturating_add(self.load.tick());
        for place in 0..self.links.len() {
            P::go_on(self, place, now);
        }
        loop {
            if self.course.is_stopping() && self.until != 0 {
                self.stop(now);
            }
            if !more {
                P::dispatch(self, now);
            }
            if self.waiting == 0 && self.held == 0 && self.agenda.is_empty() {
                break;
            }
            now = match self.turn::<P>(P::next_wait(self, now)) {
                Ok(turn) => {
                    more = turn.more;
                    turn.at
                }
                Err(error) => {
                    self.fail_all(now, &error);
                    self.active_until = self.last_activity(now);
                    return;
                }
            };
            if now >= self.next_check {
                self.check::<P>(now);
            }
        }
        self.active_until = self.last_activity(now);
        if self.load.transport == Transport::Datagrams {
            self.drain(now);
        }
    }

    /// When the thread had done all but wait for what was lost.
    fn last_activity(&self, now: Nanos) -> Nanos {
        // A run of a duration is as long as it was to be, however few its requests, unless it was stopped.
        let is_over = self.until != 0 && now >= self.until;
        let links = self.links.iter().map(|link| link.active_until);
        links
            .chain(is_over.then_some(self.until))
            .max()
            .unwrap_or_default()
    }

    /// Waits for something and does what follows from it.
    #[inline(always)]
    fn turn<P: Pacing>(&mut self, wait: Wait) -> io::Result<Turn> {
        let received = if wait == Wait::Tick {
            self.engine.receive()
        } else {
            None
        };
        let (received, more) = match received {
            Some(received) => (received, false),
            None => match self.engine.poll(wait)? {
                Event::Received {
                    connection,
                    bytes,
                    at,
                    more,
                } => {
                    let received = Received {
                        connection,
                        bytes,
                        at,
                    };
                    (received, more)
                }
                Event::Part {
                    connection,
                    number,
                    offset,
                    bytes,
                    is_last,
                    at,
                } => {
                    let part = Part {
                        number,
                        offset,
                        is_last,
                    };
                    let arrival = Arrival {
                        bytes,
                        at,
                        in_window: self.limits.is_measured(at) && self.course.all_are_active(),
                    };
                    let link = &mut self.links[connection];
                    let entered =
                        link.receive_part(part, arrival, &self.limits, &mut self.recorder);
                    self.received_part::<P>(connection, is_last, at, entered);
                    return Ok(Turn::at(at));
                }
                Event::GaveUp {
                    connection,
                    at,
                    kind,
                    message,
                } => {
                    self.fail(connection, at, Broken { kind, message });
                    return Ok(Turn::at(at));
                }
                Event::Sent {
                    connection,
                    at,
                    left,
                } => {
                    self.sent::<P>(connection, at, left);
                    return Ok(Turn::at(at));
                }
                Event::Closed { connection, at } => {
                    self.closed(connection, at);
                    return Ok(Turn::at(at));
                }
                Event::Failed {
                    connection,
                    at,
                    error,
                } => {
                    self.fail(connection, at, system(&error));
                    return Ok(Turn::at(at));
                }
                Event::Idle { at } => {
                    return Ok(Turn {
                        idle: true,
                        ..Turn::at(at)
                    })
                }
            },
        };
        let Received {
            connection,
            bytes,
            at,
        } = received;
        let link = &mut self.links[connection];
        let in_window = self.limits.is_measured(at) && self.course.all_are_active();
        let arrival = Arrival {
            bytes,
            at,
            in_window,
        };
        match link.receive_usual(arrival, &self.limits, &mut self.recorder) {
            Ok(()) => {
                self.waiting -= 1;
                if !more {
                    P::follow(self, connection, at);
                }
            }
            Err(usual) => {
                let waited = link.outstanding.waiting();
                let verified = link.receive(usual, arrival, &self.limits, &mut self.recorder);
                self.waiting -= waited - link.outstanding.waiting();
                match verified {
                    Ok(()) if more => {}
                    Ok(()) => P::go_on(self, connection, at),
                    Err(broken) => self.fail(connection, at, broken),
                }
            }
        }
        Ok(Turn {
            more,
            ..Turn::at(at)
        })
    }

    /// Does what follows from a part of a reply.
    #[inline(never)]
    fn received_part<P: Pacing>(
        &mut self,
        place: usize,
        is_last: bool,
        at: Nanos,
        entered: Result<(), Broken>,
    ) {
        match entered {
            Ok(()) if is_last => {
                self.waiting -= 1;
                P::go_on(self, place, at);
            }
            Ok(()) => {}
            Err(broken) => self.fail(place, at, broken),
        }
    }

    /// Looks for what is overdue.
    #[cold]
    fn check<P: Pacing>(&mut self, now: Nanos) {
        let tick = self.load.tick();
        self.next_check = now.saturating_add(tick);
        self.recorder.look(now);
        if now >= self.until.saturating_add(tick) {
            self.skip_rest(now);
        }
        for place in 0..self.links.len() {
            let link = &mut self.links[place];
            if link.socket == Socket::Gone {
                continue;
            }
            let waited = link.outstanding.waiting();
            let checked = link.check(now, &self.limits, &mut self.recorder);
            let given_up = waited - link.outstanding.waiting();
            self.waiting -= given_up;
            match checked {
                Err(broken) => self.fail(place, now, broken),
                Ok(()) if given_up != 0 => P::go_on(self, place, now),
                Ok(()) => {}
            }
        }
    }

    /// Receives what is there already after the last datagram was settled: others may have come twice, or late.
    fn drain(&mut self, now: Nanos) {
        self.until = 0;
        let enough = now.saturating_add(self.load.tick());
        loop {
            match self.turn::<ClosedLoop>(Wait::No) {
                Ok(Turn {
                    at, idle: false, ..
                }) if at < enough => {}
                _ => break,
            }
        }
    }

    /// What a full socket did not take was sent, or a part of it.
    #[cold]
    fn sent<P: Pacing>(&mut self, place: usize, at: Nanos, left: bool) {
        let link = &mut self.links[place];
        link.note_progress(at);
        let socket = match link.socket {
            Socket::Ready | Socket::Full if left => Socket::Full,
            Socket::Full => Socket::Ready,
            as_before => as_before,
        };
        link.set_socket(place, socket, &self.engine);
        P::go_on(self, place, at);
    }

    /// The server ended its side of a stream.
    fn closed(&mut self, place: usize, at: Nanos) {
        let link = &mut self.links[place];
        // A thread that is behind still has to send what was due before.
        let next_due = link.schedule.as_ref().map_or(at, Schedule::next);
        let is_sent = link.left == 0 || at >= self.until && next_due >= self.until;
        let is_done = is_sent && link.due.is_empty() && link.outstanding.waiting() == 0;
        if is_done && self.engine.unfinished(place) == 0 {
            link.socket = Socket::Gone;
            if let Err(broken) = link.check_end() {
                self.recorder
                    .ledger(at >= self.limits.measure_from)
                    .mismatched += 1;
                self.fail(place, at, broken);
            }
        } else {
            self.fail(
                place,
                at,
                Broken {
                    kind: FailureKind::ClosedEarly,
                    message: "closed by the server before the last reply".to_owned(),
                },
            );
        }
    }
}
