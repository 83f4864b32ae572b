// SPDX-License-Identifier: GPL-2.0

//! Requests at a rate, whatever the server does.

use std::cmp::Reverse;

use super::{exchange::Pacing, Worker};
use crate::{
    engine::{Engine, Nanos, Wait},
    link::Socket,
    protocol::Connection,
};

/// A thread that is behind skips so many requests before it looks for replies.
const SKIPS_AT_ONCE: usize = 256;

/// The schedule makes requests due.
pub(super) struct OpenLoop;

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
                    link.measure(&worker.thread, &mut worker.times_before);
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
