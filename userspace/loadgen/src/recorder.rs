// SPDX-License-Identifier: GPL-2.0

//! Where a thread enters what it did: its own ledgers and histograms, which nobody else touches while it runs.

use std::{hint::black_box, sync::Arc};

use crate::{
    engine::Nanos,
    intervals::Intervals,
    pulse::Pulse,
    result::{Distribution, Interval},
    tally::Tally,
    Histogram, Ledger,
};

/// The figures of one thread.
pub(crate) struct Recorder {
    /// Of the requests after the warm-up.
    pub(crate) ledger: Ledger,
    /// Of those in it.
    pub(crate) warmup: Ledger,
    /// The latencies of the present interval. In closed loop, the service's are the same as the responses', and only
    /// those are kept.
    service: Option<Tally>,
    response: Tally,
    /// Those of the intervals that are over.
    past_service: Histogram,
    past_response: Histogram,
    intervals: Intervals,
    /// Where it is told what the thread does, if anybody looks on.
    pulse: Option<Arc<Pulse>>,
    /// Right replies while all threads were active.
    pub(crate) in_window: u64,
    /// How long after their intended times requests were sent, in all and at most.
    pub(crate) lag_total: Nanos,
    pub(crate) lag_max: Nanos,
}

/// Records so many latencies of all magnitudes up to a second as a thread does, or does everything but that. It is for
/// measuring what recording costs.
#[doc(hidden)]
pub fn record_latencies(count: u64, is_recorded: bool) {
    let mut recorder = Recorder::new(false, Nanos::MAX);
    let mut random = 1_u64;
    for _ in 0..count {
        // A generator that costs little (xorshift).
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let latency = black_box((random >> 34) >> (random & 31));
        if is_recorded {
            recorder.record(0, 0, latency);
        }
    }
    black_box(recorder.finish(0));
}

/// The figures of one thread at its end.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) service: Histogram,
    pub(crate) response: Histogram,
    pub(crate) intervals: Vec<Interval>,
}

impl Recorder {
    /// A recorder, with all the room that it needs but for intervals. They are `interval` long, which is not 0.
    pub(crate) fn new(open_loop: bool, interval: Nanos) -> Self {
        Self {
            ledger: Ledger::default(),
            warmup: Ledger::default(),
            service: open_loop.then(Tally::new),
            response: Tally::new(),
            past_service: Histogram::new(),
            past_response: Histogram::new(),
            pulse: None,
            intervals: Intervals::new(interval),
            in_window: 0,
            lag_total: 0,
            lag_max: 0,
        }
    }

    /// Says when the first interval begins, before which nothing is recorded.
    pub(crate) fn begin(&mut self, start: Nanos) {
        self.intervals.begin(start);
    }

    /// Tells here what the thread does, after each interval and at least every second.
    pub(crate) fn watch(&mut self, pulse: Arc<Pulse>) {
        self.pulse = Some(pulse);
    }

    /// Looks at the time although nothing came.
    pub(crate) fn look(&mut self, now: Nanos) {
        if now >= self.intervals.slice_end {
            self.go_on(now);
        } else if now < self.intervals.start {
            self.tell(now, &Distribution::default());
        }
    }

    /// The ledger of the warm-up, or of what comes after it.
    #[inline]
    pub(crate) fn ledger(&mut self, measured: bool) -> &mut Ledger {
        if measured {
            &mut self.ledger
        } else {
            &mut self.warmup
        }
    }

    /// The latency of a request after the warm-up that was answered at `at`.
    #[inline(always)]
    pub(crate) fn record(&mut self, intended: Nanos, sent: Nanos, at: Nanos) {
        if at >= self.intervals.slice_end {
            self.go_on(at);
        }
        if let Some(service) = &mut self.service {
            service.record(at.saturating_sub(sent));
        }
        // No clock that is read later shows an earlier time.
        self.response.record(at.saturating_sub(intended));
    }

    /// A request after the warm-up was sent, so long after its intended time.
    #[inline]
    pub(crate) fn lag(&mut self, lag: Nanos) {
        self.lag_total += lag;
        self.lag_max = self.lag_max.max(lag);
    }

    /// The figures at the end.
    pub(crate) fn finish(&mut self, end: Nanos) -> Recorded {
        if end >= self.intervals.slice_end {
            self.go_on(end);
        }
        self.end_slice(end);
        let intervals = self.intervals.finish(end);
        let response = std::mem::take(&mut self.past_response);
        Recorded {
            service: match self.service {
                Some(_) => std::mem::take(&mut self.past_service),
                None => response.clone(),
            },
            response,
            intervals,
        }
    }

    /// Ends intervals until `at` is in the present one.
    #[cold]
    fn go_on(&mut self, at: Nanos) {
        while at >= self.intervals.slice_end {
            self.end_slice(self.intervals.slice_end);
            self.intervals.go_on(self.pulse.is_some());
        }
    }

    fn end_slice(&mut self, at: Nanos) {
        if let Some(service) = &mut self.service {
            service.drain(&mut self.past_service);
        }
        let response = self.response.drain(&mut self.past_response);
        self.tell(at, &response);
        self.intervals.present.merge(&response);
    }

    fn tell(&self, at: Nanos, response: &Distribution) {
        if let Some(pulse) = &self.pulse {
            pulse.publish(at, &self.ledger, &self.warmup, response);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        intervals::{MAX_INTERVALS, MAX_SILENCE},
        pulse::Pulses,
    };

    fn recorder(open_loop: bool, start: Nanos, interval: Nanos) -> Recorder {
        let mut recorder = Recorder::new(open_loop, interval);
        recorder.begin(start);
        recorder
    }

    /// What was recorded in each interval: start, length and how many.
    fn shape(intervals: &[Interval]) -> Vec<(u64, u64, u64)> {
        intervals
            .iter()
            .map(|interval| {
                (
                    interval.start_ns,
                    interval.length_ns,
                    interval.response.len(),
                )
            })
            .collect()
    }

    #[test]
    fn replies_are_in_the_interval_in_which_they_came() {
        let mut recorder = recorder(false, 1_000, 100);
        for at in [1_000, 1_099, 1_100, 1_350] {
            recorder.record(at - 50, at - 50, at);
        }
        let recorded = recorder.finish(1_360);
        assert_eq!(
            shape(&recorded.intervals),
            [(0, 100, 2), (100, 100, 1), (200, 100, 0), (300, 60, 1)]
        );
        assert_eq!(recorded.intervals[0].response.buckets, [(50, 2)]);
        assert_eq!(recorded.response.len(), 4);
        assert_eq!(recorded.service, recorded.response);
    }

    #[test]
    fn an_end_at_an_intervals_end_leaves_no_empty_one() {
        let mut recorder = recorder(false, 0, 100);
        recorder.record(0, 0, 10);
        assert_eq!(shape(&recorder.finish(100).intervals), [(0, 100, 1)]);
    }

    #[test]
    fn a_reply_at_the_very_end_is_in_the_last_interval() {
        let mut recorder = recorder(false, 0, 100);
        recorder.record(0, 0, 10);
        recorder.record(0, 0, 100);
        assert_eq!(shape(&recorder.finish(100).intervals), [(0, 100, 2)]);
    }

    #[test]
    fn open_loop_has_two_latencies() {
        let mut recorder = recorder(true, 0, 100);
        recorder.record(10, 30, 70);
        let recorded = recorder.finish(80);
        assert_eq!(recorded.service.distribution().buckets, [(40, 1)]);
        assert_eq!(recorded.response.distribution().buckets, [(60, 1)]);
    }

    #[test]
    fn a_long_run_has_coarser_intervals_and_loses_nothing() {
        let mut recorder = recorder(false, 7, 10);
        let count = 10 * MAX_INTERVALS as u64;
        for number in 0..count {
            let at = 7 + number * 10;
            recorder.record(at, at, at);
        }
        let recorded = recorder.finish(7 + count * 10);
        let intervals = &recorded.intervals;
        assert!((MAX_INTERVALS / 2..MAX_INTERVALS).contains(&intervals.len()));
        assert_eq!(shape(intervals)[..2], [(0, 160, 16), (160, 160, 16)]);
        let total: u64 = intervals
            .iter()
            .map(|interval| interval.response.len())
            .sum();
        assert_eq!((total, recorded.response.len()), (count, count));
    }

    #[test]
    fn who_looks_on_is_told_in_time_although_intervals_are_long() {
        let pulses = Pulses::new(1);
        let mut recorder = recorder(false, 7, MAX_SILENCE / 10);
        recorder.watch(pulses.thread(0).unwrap());
        let mut seen = pulses.look();
        for tenth in 0..10 * MAX_INTERVALS as u64 {
            let at = 7 + tenth * MAX_SILENCE / 10;
            recorder.ledger(true).answered += 1;
            recorder.record(at, at, at);
            let look = pulses.look();
            assert!(at - look.at.max(7) < MAX_SILENCE, "{at}");
            assert_eq!(
                look.latencies_since(&seen).len(),
                look.ledger.answered.max(1) - seen.ledger.answered.max(1)
            );
            seen = look;
        }
        let end = 7 + MAX_INTERVALS as u64 * MAX_SILENCE;
        let recorded = recorder.finish(end);
        assert_eq!(
            shape(&recorded.intervals)[0],
            (0, MAX_SILENCE * 16 / 10, 16)
        );
        assert_eq!(recorded.response.len(), 10 * MAX_INTERVALS as u64);
        assert_eq!(
            (pulses.look().at, pulses.look().ledger.answered),
            (end, 10 * MAX_INTERVALS as u64)
        );
    }

    #[test]
    fn silence_and_the_warm_up_are_told_too() {
        let pulses = Pulses::new(1);
        let mut recorder = recorder(false, 1_000, 100);
        recorder.watch(pulses.thread(0).unwrap());
        recorder.ledger(false).scheduled = 7;
        recorder.look(500);
        assert_eq!((pulses.look().at, pulses.look().warmup), (500, 7));
        recorder.look(1_099);
        assert_eq!(pulses.look().at, 500);
        recorder.look(1_350);
        assert_eq!(pulses.look().at, 1_300);
        assert_eq!(
            shape(&recorder.finish(1_360).intervals),
            [(0, 100, 0), (100, 100, 0), (200, 100, 0), (300, 60, 0)]
        );
    }
}
