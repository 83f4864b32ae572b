// SPDX-License-Identifier: GPL-2.0

//! One thread of a run: its connections, from the first request to the end of the stream.
//!
//! Nothing here allocates, locks or writes to memory that others use for a request; and for each request and its reply
//! the clock is read twice, once before the call that sends and once after the one that receives.

mod closed_loop;
mod ending;
mod exchange;
mod open_loop;

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

use self::{closed_loop::ClosedLoop, open_loop::OpenLoop};
use crate::{
    clock::{ThreadClock, ThreadTimes},
    course::Course,
    engine::{Engine, Nanos, Requests},
    link::{Limits, Link},
    load::{Extent, Load, Pace, Transport},
    protocol::Connection,
    pulse::Pulse,
    recorder::Recorder,
    result::{ClientResult, Failure},
    schedule::Schedule,
};

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
    thread: ThreadClock,
    /// How this thread had spent its time at the end of the warm-up.
    times_before: Option<ThreadTimes>,
    /// When the thread had done all but wait for what was lost.
    active_until: Nanos,
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
    /// How the thread spent its time; `None` if it sent nothing that is measured.
    pub(crate) times: Option<ThreadTimes>,
    /// What each connection did, if the engine knows of their paths.
    pub(crate) clients: Vec<ClientResult>,
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
            thread: ThreadClock::of_this_thread(),
            times_before: None,
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
        let times = self
            .times_before
            .map(|before| self.thread.read().since(before));
        let ends = self.course.wait_for_end();
        let at_end = match self.load.transport {
            Transport::Stream if ends => self.close().err(),
            Transport::Rx if ends => self.acknowledge().err(),
            _ => None,
        };
        Finished {
            clients: self.clients(),
            recorder: self.recorder,
            failures: self.failures,
            at_end,
            connections: self.links.len(),
            ended,
            active_until: self.active_until,
            times,
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
        self.engine.measure_from(self.limits.measure_from);
        if load.warmup_ns == 0 {
            self.times_before = Some(self.thread.read());
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

    /// What each connection did, if the engine knows of their paths.
    fn clients(&self) -> Vec<ClientResult> {
        let links = self.links.iter().enumerate();
        let clients = links.filter_map(|(place, link)| {
            Some(ClientResult {
                answered: link.answered,
                active_ns: link.active_until.saturating_sub(self.limits.measure_from),
                path: self.engine.path(place)?,
            })
        });
        clients.collect()
    }
}
