// SPDX-License-Identifier: GPL-2.0

//! Failures, and the end of the streams.

use std::io;

use super::Worker;
use crate::{
    engine::{Engine, Event, Nanos, Wait},
    link::{seconds, Broken, Link, Socket},
    load::Extent,
    protocol::Connection,
    result::{Failure, FailureKind},
};

impl<C: Connection, E: Engine> Worker<'_, C, E> {
    /// Gives a connection up, and stops the run.
    #[cold]
    pub(super) fn fail(&mut self, place: usize, at: Nanos, broken: Broken) {
        self.give_up(place, at);
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
    pub(super) fn fail_all(&mut self, at: Nanos, error: &io::Error) {
        let mut broken = Some(system(error));
        for place in 0..self.links.len() {
            if self.links[place].socket != Socket::Gone {
                match broken.take() {
                    Some(broken) => self.fail(place, at, broken),
                    None => self.give_up(place, at),
                }
            }
        }
        self.stop(at);
    }

    /// Accounts for everything on a connection that has no further events.
    fn give_up(&mut self, place: usize, at: Nanos) {
        let unsent = self.engine.unsent(place);
        self.engine.abandon(place);
        self.finish(place, at);
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
    pub(super) fn stop(&mut self, now: Nanos) {
        self.agenda.clear();
        for place in 0..self.links.len() {
            self.finish(place, now);
        }
        self.until = 0;
        let replies_until = now.saturating_add(self.limits.timeout);
        self.limits.replies_until = self.limits.replies_until.min(replies_until);
    }

    /// The time is over, and the thread is so far behind that what was due would make the run longer than it was to be.
    pub(super) fn skip_rest(&mut self, now: Nanos) {
        if !self.agenda.is_empty() {
            self.agenda.clear();
            for place in 0..self.links.len() {
                self.skip_due(place, self.until);
            }
            self.limits.replies_until = now.saturating_add(self.limits.timeout);
        }
    }

    /// Skips the requests of a connection that were due before `end`, and that the thread has not come to.
    fn skip_due(&mut self, place: usize, end: Nanos) {
        let link = &mut self.links[place];
        let Some(schedule) = &mut link.schedule else {
            return;
        };
        let of_warmup = schedule.skip_to(end.min(self.limits.measure_from));
        let measured = schedule.skip_to(end).min(link.left);
        link.left -= measured;
        for (is_measured, skipped) in [(false, of_warmup), (true, measured)] {
            let ledger = self.recorder.ledger(is_measured);
            ledger.scheduled += skipped;
            ledger.skipped += skipped;
        }
    }

    /// Nothing more is due on a connection. What was, or would have been, is skipped.
    fn finish(&mut self, place: usize, at: Nanos) {
        self.skip_due(place, at.min(self.until));
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
        link.schedule = None;
    }

    /// Ends all streams, and makes sure that nothing more comes and that the server ends its side too.
    ///
    /// The first failure says it all: a server that never closes would cost the timeout for each connection.
    pub(super) fn close(&mut self) -> Result<(), Failure> {
        for place in 0..self.links.len() {
            if self.links[place].socket != Socket::Gone {
                self.engine.limit(place, usize::MAX);
                if let Err(error) = self.engine.end(place) {
                    let now = self.engine.now();
                    return Err(self.failure(place, now, system(&error)));
                }
            }
        }
        let mut now = self.engine.now();
        let deadline = now.saturating_add(self.load.timeout_ns);
        let mut first_open = 0;
        loop {
            let is_gone = |link: &Link<C>| link.socket == Socket::Gone;
            while self.links.get(first_open).is_some_and(is_gone) {
                first_open += 1;
            }
            if first_open == self.links.len() {
                return Ok(());
            }
            if now >= deadline {
                return Err(self.failure(first_open, now, not_closed(self.load.timeout_ns)));
            }
            let (place, at, broken) = match self.engine.poll(Wait::Until(deadline)) {
                Ok(
                    Event::Received {
                        connection,
                        bytes,
                        at,
                        ..
                    }
                    | Event::Part {
                        connection,
                        bytes,
                        at,
                        ..
                    },
                ) => {
                    self.recorder.ledger.mismatched += 1;
                    (connection, at, self.links[connection].surplus(bytes))
                }
                Ok(Event::Closed { connection, at }) => {
                    let link = &mut self.links[connection];
                    link.socket = Socket::Gone;
                    now = at;
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
                Ok(Event::GaveUp {
                    connection,
                    at,
                    kind,
                    message,
                }) => (connection, at, Broken { kind, message }),
                Ok(Event::Sent { at, .. } | Event::Idle { at }) => {
                    now = at;
                    continue;
                }
                Err(error) => (first_open, now, system(&error)),
            };
            return Err(self.failure(place, at, broken));
        }
    }
}

impl<C: Connection, E: Engine> Worker<'_, C, E> {
    /// Has the last replies acknowledged, for which the server may wait.
    pub(super) fn acknowledge(&mut self) -> Result<(), Failure> {
        for place in 0..self.links.len() {
            if self.links[place].socket != Socket::Gone {
                if let Err(error) = self.engine.end(place) {
                    let now = self.engine.now();
                    return Err(self.failure(place, now, system(&error)));
                }
            }
        }
        Ok(())
    }
}

#[cold]
pub(super) fn system(error: &io::Error) -> Broken {
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
