// SPDX-License-Identifier: GPL-2.0

//! Requests that follow replies, as fast as the server answers.

use super::{exchange::Pacing, Worker};
use crate::{
    engine::{Engine, Nanos, Wait},
    link::Socket,
    protocol::Connection,
};

/// A reply makes the next request due.
pub(super) struct ClosedLoop;

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
            link.measure(&self.thread, &mut self.times_before);
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
