// SPDX-License-Identifier: GPL-2.0

//! The course of a run over time, in parts of equal length.

use crate::{
    engine::Nanos,
    result::{Distribution, Interval},
};

/// How many intervals there are at most; then, two become one.
pub(crate) const MAX_INTERVALS: usize = 512;

/// Who looks on while a run goes on is told at least so often what threads do.
pub(crate) const MAX_SILENCE: Nanos = 1_000_000_000;

/// The course of the response latencies over time.
#[derive(Debug)]
pub(crate) struct Intervals {
    /// When the first begins.
    pub(crate) start: Nanos,
    /// How long each is.
    length: Nanos,
    past: Vec<Distribution>,
    /// While intervals are made of two each, what there is of that.
    halving: Option<Halving>,
    /// What there is of the present one.
    pub(crate) present: Distribution,
    /// When the present one ends.
    end: Nanos,
    /// How long each of the equal parts is, after which it is told what happened. If nobody looks on, an interval has one.
    slice: Nanos,
    /// When the present part ends.
    pub(crate) slice_end: Nanos,
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

impl Intervals {
    /// Intervals of this length, which is not 0.
    pub(crate) fn new(length: Nanos) -> Self {
        Self {
            start: 0,
            length,
            past: Vec::new(),
            halving: None,
            present: Distribution::default(),
            end: length,
            slice: length,
            slice_end: length,
        }
    }

    /// Says when the first one begins.
    pub(crate) fn begin(&mut self, start: Nanos) {
        self.start = start;
        self.end = start.saturating_add(self.length);
        self.slice_end = self.end;
    }

    /// Begins the next part, and the next interval if that was the last one.
    pub(crate) fn go_on(&mut self, in_slices: bool) {
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

    /// All of them, at the end.
    pub(crate) fn finish(&mut self, end: Nanos) -> Vec<Interval> {
        self.end_present();
        self.halve(MAX_INTERVALS);
        let length = self.length;
        let last = end.saturating_sub(self.start);
        let past = self.past.drain(..).enumerate();
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
        // What came at the very end is of the interval that ends there, and after the end nothing came.
        while let [.., before, Interval {
            length_ns: 0,
            response,
            ..
        }] = all.as_mut_slice()
        {
            before.response.merge(response);
            all.pop();
        }
        all
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
        let shape: Vec<_> = merged
            .iter()
            .map(|interval| {
                (
                    interval.start_ns,
                    interval.length_ns,
                    interval.response.len(),
                )
            })
            .collect();
        assert_eq!(shape, [(0, 20, 3), (20, 15, 3)]);
        assert_eq!(merged[1].response.buckets, [(21, 2), (31, 1)]);
        assert_eq!(merge_intervals(&[]), []);
    }
}
