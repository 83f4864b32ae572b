// SPDX-License-Identifier: GPL-2.0

//! Where a thread enters what it did: its own ledgers and histograms, which nobody else touches while it runs.

use std::{hint::black_box, sync::Arc};

use crate::{
    engine::Nanos,
    pulse::Pulse,
    result::{Distribution, Interval},
    tally::Tally,
    Histogram, Ledger,
};

/// How many intervals there are at most; then, two become one.
const MAX_INTERVALS: usize = 512;

/// Who looks on while a run goes on is told at least so often what threads do.
const MAX_SILENCE: Nanos = 1_000_000_000;

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

/// The course of the response latencies over time.
#[derive(Debug)]
struct Intervals {
    /// When the first begins.
    start: Nanos,
    /// How long each is.
    length: Nanos,
    past: Vec<Distribution>,
    /// While intervals are made of two each, what there is of that.
    halving: Option<Halving>,
    /// What there is of the present one.
    present: Distribution,
    /// When the present one ends.
    end: Nanos,
    /// How long each of the equal parts is, after which it is told what happened. If nobody looks on, an interval has one.
    slice: Nanos,
    /// When the present part ends.
    slice_end: Nanos,
}

/// Intervals that become half as many. All at once would keep the thread from its replies for too long.
#[derive(Clone, Copy, Debug)]
struct Halving {
    /// How many of the first past intervals are to be paired: an even number.
    of: usize,
    /// How many pairs are one each already. Those are the first, and behind them are as many that are empty.
    paired: usize,
}

/// So many pairs become one each when an interval ends.
const PAIRS_AT_ONCE: usize = 2;

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
            intervals: Intervals {
                start: 0,
                length: interval,
                past: Vec::new(),
                halving: None,
                present: Distribution::default(),
                end: interval,
                slice: interval,
                slice_end: interval,
            },
            in_window: 0,
            lag_total: 0,
            lag_max: 0,
        }
    }

    /// Says when the first interval begins, before which nothing is recorded.
    pub(crate) fn begin(&mut self, start: Nanos) {
        self.intervals.start = start;
        self.intervals.end = start.saturating_add(self.intervals.length);
        self.intervals.slice_end = self.intervals.end;
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
        self.intervals.end_present();
        self.intervals.halve(MAX_INTERVALS);
        let intervals = &mut self.intervals;
        let length = intervals.length;
        let last = end.saturating_sub(intervals.start);
        let past = intervals.past.drain(..).enumerate();
        let mut all: Vec<_> = past
            .map(|(number, response)| {
                let start_ns = number as Nanos * length;
                Interval {
                    start_ns,
                    length_ns: length.min(last.saturating_sub(start_ns)),
                    response,
                }
            })
            .collect();
        // What came at the very end is of the interval that ends there.
        if let [.., before, Interval {
            length_ns: 0,
            response,
            ..
        }] = all.as_mut_slice()
        {
            before.response.merge(response);
            all.pop();
        }
        let response = std::mem::take(&mut self.past_response);
        Recorded {
            service: match self.service {
                Some(_) => std::mem::take(&mut self.past_service),
                None => response.clone(),
            },
            response,
            intervals: all,
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

impl Intervals {
    /// Begins the next part, and the next interval if that was the last one.
    fn go_on(&mut self, in_slices: bool) {
        if self.slice_end >= self.end {
            self.end_present();
            self.end = self.end.saturating_add(self.length);
            self.halve(PAIRS_AT_ONCE);
            if self.past.len() == MAX_INTERVALS && self.halving.is_none() {
                self.coarsen(in_slices);
            }
        }
        self.slice_end = self.slice_end.saturating_add(self.slice);
    }

    fn end_present(&mut self) {
        self.past.push(std::mem::take(&mut self.present));
    }

    /// Makes one of two, so that a long run has no more of them than a short one.
    fn coarsen(&mut self, in_slices: bool) {
        self.halving = Some(Halving {
            of: MAX_INTERVALS,
            paired: 0,
        });
        self.length *= 2;
        if !in_slices || self.slice <= MAX_SILENCE / 2 {
            self.slice *= 2;
        }
        // An even number is past, so that the present one begins where one of twice the length does.
        self.end = self.start + (MAX_INTERVALS as Nanos / 2 + 1) * self.length;
    }

    /// Makes one interval of each of so many pairs, if there are pairs left.
    fn halve(&mut self, pairs: usize) {
        let Some(Halving { of, paired }) = self.halving else {
            return;
        };
        let end = (paired + pairs).min(of / 2);
        for pair in paired..end {
            let mut both = std::mem::take(&mut self.past[2 * pair]);
            both.merge(&std::mem::take(&mut self.past[2 * pair + 1]));
            self.past[pair] = both;
        }
        self.halving = (end < of / 2).then_some(Halving { of, paired: end });
        if self.halving.is_none() {
            self.past.drain(of / 2..of);
        }
    }
}

/// The intervals of all threads together. Those of one thread may be as long as two, or four, of another's.
pub(crate) fn merge_intervals(threads: &[Vec<Interval>]) -> Vec<Interval> {
    // All but the last are of full length.
    let length_of = |thread: &Vec<Interval>| match thread.as_slice() {
        [] => 0,
        [only] => only.length_ns,
        [first, ..] => first.length_ns,
    };
    let length = threads.iter().map(length_of).max().unwrap_or(0);
    let mut merged: Vec<Interval> = Vec::new();
    for interval in threads.iter().flatten() {
        let number = interval.start_ns.checked_div(length).unwrap_or(0) as usize;
        let grown = merged.len().max(number + 1);
        merged.resize_with(grown, Interval::default);
        let whole = &mut merged[number];
        whole.start_ns = number as u64 * length;
        let end = interval.start_ns + interval.length_ns;
        whole.length_ns = whole.length_ns.max(end - whole.start_ns);
        whole.response.merge(&interval.response);
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pulse::Pulses;

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

    #[test]
    fn the_intervals_of_threads_are_merged_by_their_times() {
        let of = |lengths: &[u64]| {
            let mut start_ns = 0;
            let interval = lengths.iter().map(|&length_ns| {
                let interval = Interval {
                    start_ns,
                    length_ns,
                    response: Distribution {
                        buckets: vec![(start_ns + 1, 1)],
                    },
                };
                start_ns += length_ns;
                interval
            });
            interval.collect::<Vec<_>>()
        };
        let merged = merge_intervals(&[of(&[10, 10, 10, 3]), of(&[20, 15]), of(&[])]);
        assert_eq!(shape(&merged), [(0, 20, 3), (20, 15, 3)]);
        assert_eq!(merged[1].response.buckets, [(21, 2), (31, 1)]);
        assert_eq!(merge_intervals(&[]), []);
    }
}
