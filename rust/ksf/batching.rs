// SPDX-License-Identifier: GPL-2.0

//! Where a connection is served cheaper, for `serve=auto`.
//!
//! Softirq spares the wake-up of a thread, which is most of the cost when there is one request at a time. But a peer that
//! sends many before it reads the replies may be served cheaper by a worker, which finds several at once and answers them in
//! one send. What it costs in all, at the peer's side as well, shows in how fast requests come. So now and then, more and
//! more rarely, a worker tries, and goes on if requests come clearly faster then, twice: once may be because the peer had
//! something else to do before, as it has when it begins.

use crate::sys::clock::Ticks;
use kernel::prelude::*;

/// How many requests' worth of bytes are measured in softirq, and by a worker that tries.
const INLINE_REQUESTS: u64 = 256;
const WORKER_REQUESTS: u64 = 128;

/// After how many requests, at most, the other one is tried again, and how many times as many that is each time.
const PATIENCE: u64 = 65536;
const PATIENCE_GROWTH: u64 = 16;

/// What is known of a connection.
pub(crate) struct Batching {
    /// The bytes of a turn in softirq, as an average that follows slowly: what a request is taken to have.
    request_bytes: u64,
    /// After how many requests a worker tries.
    patience: u64,
    /// How many bytes are left until something is decided.
    bytes_left: u64,
    measured: Measured,
    /// What a KiB took in softirq.
    inline_cost: u64,
    /// The worker was better when it tried last.
    was_better: bool,
    /// The worker does not try any more: it was found to be better.
    is_settled: bool,
}

/// Bytes and the time in which they came.
#[derive(Clone, Copy)]
struct Measured {
    start: Ticks,
    bytes: u64,
}

impl Measured {
    fn start(now: Ticks) -> Self {
        Self {
            start: now,
            bytes: 0,
        }
    }

    /// Returns what a KiB took.
    fn cost(&self, now: Ticks) -> u64 {
        let time = now.since(self.start);
        time.saturating_mul(1024) / self.bytes.max(1)
    }
}

impl Batching {
    /// Nothing is known: softirq serves.
    pub(crate) fn new() -> Self {
        Self {
            request_bytes: 0,
            patience: INLINE_REQUESTS,
            bytes_left: 0,
            measured: Measured::start(Ticks::ZERO),
            inline_cost: 0,
            was_better: false,
            is_settled: false,
        }
    }

    /// A turn in softirq that began at `now` has served `bytes`. Returns whether a worker should try.
    pub(crate) fn inline_turn(&mut self, now: Ticks, bytes: u64) -> bool {
        if bytes == 0 {
            return false;
        }
        if self.request_bytes == 0 {
            self.request_bytes = bytes;
            self.watch_inline();
        }
        self.request_bytes = (self.request_bytes * 7 + bytes).div_ceil(8);
        // Only the last of them are measured, for the peer may have rested before.
        if self.bytes_left > INLINE_REQUESTS * self.request_bytes || self.measured.bytes == 0 {
            self.measured = Measured::start(now);
        }
        self.measured.bytes += bytes;
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        if self.bytes_left != 0 {
            return false;
        }
        self.inline_cost = self.measured.cost(now);
        self.is_settled = false;
        self.bytes_left = WORKER_REQUESTS.saturating_mul(self.request_bytes);
        self.measured = Measured::start(now);
        true
    }

    /// A turn of the worker that was to try, or to go on, and that began at `now`, has served `bytes`. Returns whether it
    /// should go on.
    pub(crate) fn worker_turn(&mut self, now: Ticks, bytes: u64) -> bool {
        self.measured.bytes += bytes;
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        if self.bytes_left != 0 {
            return true;
        }
        // A twentieth is no noise.
        let is_better = self.measured.cost(now) < self.inline_cost / 20 * 19;
        if is_better && self.was_better && !self.is_settled {
            self.is_settled = true;
            self.bytes_left = PATIENCE.saturating_mul(self.request_bytes);
            return true;
        }
        self.patience = if is_better || self.is_settled {
            INLINE_REQUESTS
        } else {
            (self.patience * PATIENCE_GROWTH).min(PATIENCE)
        };
        // Who was settled has to be better once more, not twice.
        self.was_better = is_better || self.is_settled;
        self.watch_inline();
        false
    }

    fn watch_inline(&mut self) {
        self.bytes_left = self.patience.saturating_mul(self.request_bytes);
        self.measured.bytes = 0;
    }
}

#[kunit_tests(ksf_batching)]
mod tests {
    use super::*;

    /// Serves requests of 32 bytes in softirq, each in so many ticks, until a worker is to try. Returns how many.
    fn inline(batching: &mut Batching, now: &mut u64, ticks: u64) -> u64 {
        let mut requests = 1;
        *now += ticks;
        while !batching.inline_turn(Ticks::from_bits(*now), 32) {
            requests += 1;
            *now += ticks;
        }
        requests
    }

    /// Serves requests by a worker, `batch` in a turn, each in so many ticks, until softirq is to, or for `limit` turns.
    fn worker(batching: &mut Batching, now: &mut u64, ticks: u64, batch: u64, limit: u64) -> u64 {
        let mut turns = 1;
        *now += ticks * batch;
        while batching.worker_turn(Ticks::from_bits(*now), 32 * batch) && turns < limit {
            turns += 1;
            *now += ticks * batch;
        }
        turns
    }

    #[test]
    fn a_slower_worker_tries_more_and_more_rarely() {
        let (mut batching, mut now) = (Batching::new(), 0);
        let mut patience = INLINE_REQUESTS;
        for _ in 0..4 {
            assert_eq!(inline(&mut batching, &mut now, 20_000), patience);
            assert_eq!(
                worker(&mut batching, &mut now, 30_000, 1, 1000),
                WORKER_REQUESTS
            );
            patience = (patience * PATIENCE_GROWTH).min(PATIENCE);
        }
    }

    #[test]
    fn a_worker_that_is_as_fast_does_not_go_on() {
        let (mut batching, mut now) = (Batching::new(), 0);
        inline(&mut batching, &mut now, 20_000);
        assert_eq!(
            worker(&mut batching, &mut now, 20_000, 1, 1000),
            WORKER_REQUESTS
        );
    }

    #[test]
    fn a_faster_worker_goes_on_and_is_questioned_later() {
        let (mut batching, mut now) = (Batching::new(), 0);
        for turns in [WORKER_REQUESTS, WORKER_REQUESTS + PATIENCE] {
            assert_eq!(inline(&mut batching, &mut now, 20_000), INLINE_REQUESTS);
            assert_eq!(
                worker(&mut batching, &mut now, 15_000, 4, u64::MAX),
                turns / 4
            );
        }
        assert_eq!(inline(&mut batching, &mut now, 20_000), INLINE_REQUESTS);
        let turns = worker(&mut batching, &mut now, 15_000, 4, u64::MAX);
        assert_eq!(turns, (WORKER_REQUESTS + PATIENCE) / 4);
    }

    #[test]
    fn a_worker_that_is_faster_once_does_not_go_on() {
        let (mut batching, mut now) = (Batching::new(), 0);
        // The peer does something else at first.
        inline(&mut batching, &mut now, 50_000);
        for _ in 0..2 {
            let turns = worker(&mut batching, &mut now, 30_000, 1, u64::MAX);
            assert_eq!(turns, WORKER_REQUESTS);
            inline(&mut batching, &mut now, 20_000);
        }
    }
}
