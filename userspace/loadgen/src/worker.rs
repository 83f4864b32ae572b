// SPDX-License-Identifier: GPL-2.0

//! One thread of a run: its connections, from the first request to the end of the stream.
//!
//! Nothing here allocates, locks or writes to memory that others use for a request; and for each request and its reply
//! the clock is read twice, once before the call that sends and once after the one that receives.

use std::{cmp::Reverse, collections::BinaryHeap, io, sync::Arc};

use crate::{
    clock,
    course::Course,
    engine::{Engine, Event, Nanos, Received, Requests, Wait},
    link::{seconds, Arrival, Broken, Limits, Link, Socket},
    load::{Extent, Load, Pace, Transport},
    protocol::Connection,
    pulse::Pulse,
    recorder::Recorder,
    result::{Failure, FailureKind},
    schedule::Schedule,
};

/// A thread that is behind skips so many requests before it looks for replies.
const SKIPS_AT_ONCE: usize = 256;

/// One thread's connections, and what it does with them.
pub(crate) struct Worker<'a, C, E> {
    load: &'a Load,
    course: &'a Course,
    engine: E,
    links: Vec<Link<C>>,
    /// The place of the first of them among all of the run.
    first: usize,
    start: Nanos,
    limits: Limits,
    /// When no more requests are due; 0 once a connection has failed, of this thread or another.
    until: Nanos,
    /// In open loop, when each connection has its next request due, or its end. The earliest is the first.
    agenda: BinaryHeap<Reverse<(Nanos, usize)>>,
    /// Requests that wait for their reply, on all connections.
    waiting: usize,
    /// Requests that were due and wait for their socket, on all connections.
    held: usize,
    next_check: Nanos,
    requests: Requests,
    recorder: Recorder,
    failures: Vec<Failure>,
    /// The processor time of this thread at the end of the warm-up.
    cpu_start: Option<Nanos>,
    /// When the thread had done all but wait for what was lost.
    active_until: Nanos,
}

/// What makes requests due. The exchange is compiled for each, so that one does not cost what only the other needs.
trait Pacing {
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

/// A reply makes the next request due.
struct ClosedLoop;

/// The schedule makes requests due.
struct OpenLoop;

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

/// What a worker leaves.
pub(crate) struct Finished {
    pub(crate) recorder: Recorder,
    /// Those of the exchange.
    pub(crate) failures: Vec<Failure>,
    /// That of the end, after an exchange without failures.
    pub(crate) at_end: Option<Failure>,
    pub(crate) connections: usize,
    pub(crate) ended: Nanos,
    /// When it had done all but wait for what was lost.
    pub(crate) active_until: Nanos,
    pub(crate) cpu_ns: Nanos,
}

impl<'a, C: Connection, E: Engine> Worker<'a, C, E> {
    /// A worker whose connections are the run's from `first` on, and the engine's in the same order.
    pub(crate) fn new(
        load: &'a Load,
        course: &'a Course,
        engine: E,
        protocols: impl IntoIterator<Item = C>,
        first: usize,
    ) -> Self {
        let links: Vec<_> = protocols
            .into_iter()
            .map(|protocol| Link::new(protocol, load))
            .collect();
        Self {
            load,
            course,
            engine,
            first,
            start: 0,
            limits: Limits::new(load, 0),
            until: Nanos::MAX,
            agenda: BinaryHeap::with_capacity(links.len()),
            links,
            waiting: 0,
            held: 0,
            next_check: 0,
            requests: Requests::with_capacity(4096, load.batch),
            recorder: Recorder::new(load.is_open_loop(), load.interval_ns),
            failures: Vec::new(),
            cpu_start: None,
            active_until: 0,
        }
    }

    /// Tells here what it does, while it does it.
    pub(crate) fn watch(&mut self, pulse: Arc<Pulse>) {
        self.recorder.watch(pulse);
    }

    /// Sends all requests and receives all replies of a run that began at `start`; and then, if nothing failed in any
    /// thread, ends the streams.
    pub(crate) fn run(mut self, start: Nanos) -> Finished {
        self.begin(start);
        self.course.enter(self.engine.now());
        if self.load.is_open_loop() {
            self.exchange::<OpenLoop>();
        } else {
            self.exchange::<ClosedLoop>();
        }
        let ended = self.engine.now();
        self.course.leave(ended);
        let cpu_ns = self
            .cpu_start
            .map_or(0, |start| clock::thread_cpu_time().saturating_sub(start));
        let ends = self.course.wait_for_end() && self.load.transport == Transport::Stream;
        let at_end = if ends { self.close().err() } else { None };
        Finished {
            recorder: self.recorder,
            failures: self.failures,
            at_end,
            connections: self.links.len(),
            ended,
            active_until: self.active_until,
            cpu_ns,
        }
    }

    /// Sets everything that depends on when the run began.
    fn begin(&mut self, start: Nanos) {
        let load = self.load;
        self.start = start;
        self.limits = Limits::new(load, start);
        if let Extent::Duration(duration) = load.extent {
            self.until = self.limits.measure_from.saturating_add(duration);
            self.limits.replies_until = self.until.saturating_add(load.timeout_ns);
        }
        self.recorder.begin(self.limits.measure_from);
        if load.warmup_ns == 0 {
            self.cpu_start = Some(clock::thread_cpu_time());
        }
        if let Pace::Open { rate, arrivals } = load.pace {
            for (place, link) in self.links.iter_mut().enumerate() {
                let number = self.first + place;
                let schedule =
                    Schedule::new(rate, arrivals, number, load.connections, start, load.seed);
                self.agenda
                    .push(Reverse((schedule.next().min(self.until), place)));
                link.schedule = Some(schedule);
            }
        }
    }

    fn exchange<P: Pacing>(&mut self) {
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

    /// Looks for what is overdue.
    #[cold]
    fn check<P: Pacing>(&mut self, now: Nanos) {
        self.next_check = now.saturating_add(self.load.tick());
        self.recorder.look(now);
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
        if !left {
            link.socket = Socket::Ready;
            P::go_on(self, place, at);
        }
    }

    /// The server ended its side of a stream.
    fn closed(&mut self, place: usize, at: Nanos) {
        let link = &mut self.links[place];
        let done = at >= self.until || link.left == 0 && link.due.is_empty();
        if done && link.outstanding.waiting() == 0 {
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

    /// Gives a connection up, and stops the run.
    #[cold]
    fn fail(&mut self, place: usize, at: Nanos, broken: Broken) {
        self.give_up(place);
        let failure = self.failure(place, at, broken);
        self.failures.push(failure);
        self.course.fail();
    }

    #[cold]
    fn failure(&self, place: usize, at: Nanos, broken: Broken) -> Failure {
        Failure {
            connection: self.first + place,
            at_ns: at.saturating_sub(self.start),
            kind: broken.kind,
            message: broken.message,
        }
    }

    /// Gives all connections up, of which the system delivers nothing more.
    #[cold]
    fn fail_all(&mut self, at: Nanos, error: &io::Error) {
        let mut broken = Some(system(error));
        for place in 0..self.links.len() {
            if self.links[place].socket != Socket::Gone {
                match broken.take() {
                    Some(broken) => self.fail(place, at, broken),
                    None => self.give_up(place),
                }
            }
        }
        self.stop(at);
    }

    /// Accounts for everything on a connection that has no further events.
    fn give_up(&mut self, place: usize) {
        let unsent = self.engine.unsent(place);
        self.engine.abandon(place);
        self.finish(place);
        let link = &mut self.links[place];
        link.socket = Socket::Gone;
        self.waiting -= link.outstanding.waiting();
        for _ in 0..unsent {
            if let Some(number) = link.outstanding.take_back() {
                let ledger = self.recorder.ledger(link.is_measured(number));
                ledger.sent -= 1;
                ledger.skipped += 1;
            }
        }
        while let Some(number) = link.outstanding.drain() {
            self.recorder.ledger(link.is_measured(number)).lost += 1;
        }
    }

    /// The run ends early: nothing more is sent, but for what the engines have already.
    #[cold]
    fn stop(&mut self, now: Nanos) {
        self.until = 0;
        let replies_until = now.saturating_add(self.limits.timeout);
        self.limits.replies_until = self.limits.replies_until.min(replies_until);
        self.agenda.clear();
        for place in 0..self.links.len() {
            self.finish(place);
        }
    }

    /// Nothing more is due on a connection. What was, or would have been, is skipped.
    fn finish(&mut self, place: usize) {
        let link = &mut self.links[place];
        for intended in link.due.drain(..) {
            self.held -= 1;
            self.recorder
                .ledger(intended >= self.limits.measure_from)
                .skipped += 1;
        }
        if let Extent::Count(_) = self.load.extent {
            self.recorder.ledger.scheduled += link.left;
            self.recorder.ledger.skipped += link.left;
        }
        link.left = 0;
    }

    /// Ends all streams, and makes sure that nothing more comes and that the server ends its side too.
    ///
    /// The first failure says it all: a server that never closes would cost the timeout for each connection.
    fn close(&mut self) -> Result<(), Failure> {
        for place in 0..self.links.len() {
            if self.links[place].socket != Socket::Gone {
                self.engine.limit(place, usize::MAX);
                if let Err(error) = self.engine.end(place) {
                    let now = self.engine.now();
                    return Err(self.failure(place, now, system(&error)));
                }
            }
        }
        let deadline = self.engine.now().saturating_add(self.load.timeout_ns);
        let is_open =
            |link: &Link<C>| link.socket != Socket::Gone && link.protocol.server_ends_stream();
        while let Some(first_open) = self.links.iter().position(is_open) {
            let (place, at, broken) = match self.engine.poll(Wait::Until(deadline)) {
                Ok(Event::Received {
                    connection,
                    bytes,
                    at,
                    ..
                }) => {
                    self.recorder.ledger.mismatched += 1;
                    (connection, at, self.links[connection].surplus(bytes))
                }
                Ok(Event::Closed { connection, at }) => {
                    let link = &mut self.links[connection];
                    link.socket = Socket::Gone;
                    let Err(broken) = link.check_end() else {
                        continue;
                    };
                    self.recorder.ledger.mismatched += 1;
                    (connection, at, broken)
                }
                Ok(Event::Failed {
                    connection,
                    at,
                    error,
                }) => (connection, at, system(&error)),
                Ok(Event::Idle { at }) if at >= deadline => {
                    (first_open, at, not_closed(self.load.timeout_ns))
                }
                Ok(_) => continue,
                Err(error) => (first_open, deadline, system(&error)),
            };
            return Err(self.failure(place, at, broken));
        }
        Ok(())
    }
}

impl Pacing for ClosedLoop {
    #[inline(always)]
    fn next_wait<C: Connection, E: Engine>(_: &Worker<'_, C, E>, _: Nanos) -> Wait {
        Wait::Tick
    }

    #[inline(always)]
    fn dispatch<C: Connection, E: Engine>(_: &mut Worker<'_, C, E>, _: Nanos) {}

    fn go_on<C: Connection, E: Engine>(worker: &mut Worker<'_, C, E>, place: usize, now: Nanos) {
        let room = worker.room(place, now);
        worker.fill(place, room);
    }

    #[inline(always)]
    fn follow<C: Connection, E: Engine>(worker: &mut Worker<'_, C, E>, place: usize, now: Nanos) {
        match worker.room(place, now) {
            // As one came and one goes, as many wait as before.
            1 if worker.links[place].socket == Socket::Ready => worker.send_now(place, 1),
            room => worker.fill(place, room),
        }
    }
}

impl<C: Connection, E: Engine> Worker<'_, C, E> {
    /// In closed loop, how many requests may be sent on a connection.
    #[inline(always)]
    fn room(&self, place: usize, now: Nanos) -> usize {
        if now >= self.until {
            return 0;
        }
        let link = &self.links[place];
        let room = self.load.in_flight - link.outstanding.waiting();
        room.min(link.left.try_into().unwrap_or(usize::MAX))
    }

    /// Sends so many requests, or as many of them as the socket takes.
    #[inline(never)]
    fn fill(&mut self, place: usize, mut room: usize) {
        while room != 0 && self.links[place].socket == Socket::Ready {
            let count = room.min(self.load.batch);
            self.send_now(place, count);
            room -= count;
        }
        self.links[place].set_limit(place, self.load, &mut self.engine);
    }

    /// Sends so many requests with one call, which are due by that.
    #[inline(always)]
    fn send_now(&mut self, place: usize, count: usize) {
        let link = &mut self.links[place];
        let now = link.send(place, count, &mut self.engine, &mut self.requests);
        let ledger = if now >= self.limits.measure_from {
            link.measure(&mut self.cpu_start);
            link.left -= count as u64;
            &mut self.recorder.ledger
        } else {
            &mut self.recorder.warmup
        };
        ledger.scheduled += count as u64;
        ledger.sent += count as u64;
        for _ in 0..count {
            link.outstanding.push(now, now);
        }
        self.waiting += count;
    }
}

impl Pacing for OpenLoop {
    fn next_wait<C: Connection, E: Engine>(worker: &Worker<'_, C, E>, now: Nanos) -> Wait {
        match worker.agenda.peek() {
            Some(&Reverse((due, _))) if due <= now => Wait::No,
            Some(&Reverse((due, _))) => Wait::Until(due.min(worker.next_check)),
            None => Wait::Tick,
        }
    }

    /// Sends what is due on one connection, or skips it.
    ///
    /// It is one only, and one call, so that a thread that is behind receives as often as it sends.
    fn dispatch<C: Connection, E: Engine>(worker: &mut Worker<'_, C, E>, now: Nanos) {
        let Some(&Reverse((due, place))) = worker.agenda.peek() else {
            return;
        };
        if due > now {
            return;
        }
        let link = &mut worker.links[place];
        let Some(schedule) = &mut link.schedule else {
            return;
        };
        let (mut issued, mut skipped) = (0, 0);
        while schedule.next() <= now && issued < worker.load.batch && skipped < SKIPS_AT_ONCE {
            let intended = schedule.next();
            let measured = intended >= worker.limits.measure_from;
            if intended >= worker.until {
                break;
            }
            schedule.advance();
            let ledger = worker.recorder.ledger(measured);
            ledger.scheduled += 1;
            if link.outstanding.waiting() + link.due.len() < worker.load.in_flight {
                link.due.push_back(intended);
                worker.held += 1;
                issued += 1;
            } else {
                ledger.skipped += 1;
                skipped += 1;
            }
            link.left -= u64::from(measured);
            if link.left == 0 {
                break;
            }
        }
        // Whose last request is behind it stays until the end: a run is as long as it was to be.
        let next = schedule.next().min(worker.until);
        if link.left == 0 || now >= worker.until && next == worker.until {
            worker.agenda.pop();
        } else if let Some(mut first) = worker.agenda.peek_mut() {
            *first = Reverse((next, place));
        }
        if issued != 0 {
            Self::go_on(worker, place, now);
        }
    }

    /// Sends what was due and waited for the socket.
    fn go_on<C: Connection, E: Engine>(worker: &mut Worker<'_, C, E>, place: usize, _: Nanos) {
        let link = &mut worker.links[place];
        while !link.due.is_empty() && link.socket == Socket::Ready {
            let count = link.due.len().min(worker.load.batch);
            let now = link.send(place, count, &mut worker.engine, &mut worker.requests);
            for _ in 0..count {
                let intended = link.due.pop_front().unwrap_or(now);
                let measured = intended >= worker.limits.measure_from;
                if measured {
                    link.measure(&mut worker.cpu_start);
                    worker.recorder.lag(now.saturating_sub(intended));
                }
                link.outstanding.push(intended, now);
                worker.recorder.ledger(measured).sent += 1;
            }
            worker.held -= count;
            worker.waiting += count;
        }
        link.set_limit(place, worker.load, &mut worker.engine);
    }
}

#[cold]
fn system(error: &io::Error) -> Broken {
    Broken {
        kind: FailureKind::System,
        message: error.to_string(),
    }
}

#[cold]
fn not_closed(timeout: Nanos) -> Broken {
    Broken {
        kind: FailureKind::NotClosed,
        message: format!(
            "not closed by the server within {} of the client's end of stream",
            seconds(timeout)
        ),
    }
}
