// SPDX-License-Identifier: GPL-2.0

//! What the threads of a run tell while it goes on, for progress and the live view.
//!
//! Each thread publishes into memory of its own, when an interval of its latencies is over anyway, and not for each request.
//! Whoever looks reads all of it. Nobody waits for anybody: the accesses are relaxed, so that what is read may be of slightly
//! different moments, and a ledger that is made of it need not add up. What is reported in the end does not come from here.

use std::sync::{
    atomic::{AtomicU64, Ordering::Relaxed},
    Arc,
};

use crate::{
    buckets::{bucket_of, longest_of},
    engine::Nanos,
    result::Distribution,
    Ledger,
};

/// Each power of two is cut into 32 buckets, so that a latency is known to 3 %.
const BITS: u32 = 5;

/// The last bucket is that of 68 s and of everything longer.
const BUCKETS: usize = bucket_of::<BITS>((1 << 36) - 1) + 1;

/// What one thread tells. It is aligned so that no other thread's is on the same cache lines.
#[derive(Debug)]
#[repr(align(128))]
pub struct Pulse {
    /// When it told last; 0 if it never has.
    at: AtomicU64,
    /// Those of a [`Ledger`], in its order, with the warm-up.
    counts: [AtomicU64; 9],
    /// How many of those that were scheduled are of the warm-up.
    warmup: AtomicU64,
    latencies: [AtomicU64; BUCKETS],
}

impl Pulse {
    fn new() -> Self {
        Self {
            at: AtomicU64::new(0),
            counts: [const { AtomicU64::new(0) }; 9],
            warmup: AtomicU64::new(0),
            latencies: [const { AtomicU64::new(0) }; BUCKETS],
        }
    }

    /// Publishes how things are at this time: what became of the thread's requests after the warm-up and in it, and the
    /// response latencies since it published last. Only the thread itself calls this.
    pub(crate) fn publish(
        &self,
        at: Nanos,
        measured: &Ledger,
        warmup: &Ledger,
        latencies: &Distribution,
    ) {
        let mut ledger = *measured;
        ledger += warmup;
        self.at.store(at, Relaxed);
        self.warmup.store(warmup.scheduled, Relaxed);
        let counts = [
            ledger.scheduled,
            ledger.sent,
            ledger.skipped,
            ledger.answered,
            ledger.late,
            ledger.lost,
            ledger.duplicated,
            ledger.reordered,
            ledger.mismatched,
        ];
        for (published, count) in self.counts.iter().zip(counts) {
            published.store(count, Relaxed);
        }
        for &(ns, count) in &latencies.buckets {
            // Nobody else writes, and an atomic addition would cost more.
            let published = &self.latencies[bucket_of::<BITS>(ns).min(BUCKETS - 1)];
            published.store(published.load(Relaxed) + count, Relaxed);
        }
    }
}

/// What all threads of a run tell.
#[derive(Debug)]
pub struct Pulses {
    threads: Box<[Arc<Pulse>]>,
}

impl Pulses {
    /// Of so many threads, which have told nothing yet.
    pub fn new(threads: usize) -> Self {
        Self {
            threads: (0..threads).map(|_| Arc::new(Pulse::new())).collect(),
        }
    }

    /// That of one thread, if there are so many.
    pub(crate) fn thread(&self, number: usize) -> Option<Arc<Pulse>> {
        self.threads.get(number).cloned()
    }

    /// What all threads have told up to now.
    pub fn look(&self) -> Look {
        let mut look = Look::default();
        let mut at = 0;
        for thread in &self.threads {
            at += u128::from(thread.at.load(Relaxed));
            look.warmup += thread.warmup.load(Relaxed);
            let [scheduled, sent, skipped, answered, late, lost, duplicated, reordered, mismatched] =
                thread.counts.each_ref().map(|count| count.load(Relaxed));
            look.ledger += &Ledger {
                scheduled,
                sent,
                skipped,
                answered,
                late,
                lost,
                duplicated,
                reordered,
                mismatched,
            };
            for (sum, count) in look.latencies.iter_mut().zip(&thread.latencies) {
                *sum += count.load(Relaxed);
            }
        }
        look.at = (at / self.threads.len().max(1) as u128) as Nanos;
        look
    }
}

/// What the threads had told at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// When they told it, on the average.
    pub at: Nanos,
    /// What had become of the requests, of all threads together and with the warm-up. It need not add up.
    pub ledger: Ledger,
    /// How many of those that were scheduled are of the warm-up.
    pub warmup: u64,
    latencies: [u64; BUCKETS],
}

impl Default for Look {
    fn default() -> Self {
        Self {
            at: 0,
            ledger: Ledger::default(),
            warmup: 0,
            latencies: [0; BUCKETS],
        }
    }
}

impl std::ops::AddAssign<&Self> for Look {
    /// Adds what those of another run told, whenever that was.
    fn add_assign(&mut self, other: &Self) {
        self.ledger += &other.ledger;
        self.warmup += other.warmup;
        for (sum, count) in self.latencies.iter_mut().zip(other.latencies) {
            *sum += count;
        }
    }
}

impl Look {
    /// How many requests waited for their reply.
    pub fn in_flight(&self) -> u64 {
        let Ledger {
            sent,
            answered,
            late,
            lost,
            ..
        } = self.ledger;
        sent.saturating_sub(answered + late + lost)
    }

    /// The latencies that were told between an earlier moment and this one, rounded up to 3 %.
    pub fn latencies_since(&self, earlier: &Self) -> Distribution {
        let both = self.latencies.iter().zip(&earlier.latencies).enumerate();
        Distribution {
            buckets: both
                .map(|(bucket, (now, then))| {
                    (longest_of::<BITS>(bucket), now.saturating_sub(*then))
                })
                .filter(|&(_, count)| count != 0)
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distribution(buckets: &[(u64, u64)]) -> Distribution {
        Distribution {
            buckets: buckets.to_vec(),
        }
    }

    fn ledger(sent: u64, answered: u64) -> Ledger {
        Ledger {
            scheduled: sent,
            sent,
            answered,
            late: 1,
            lost: 2,
            ..Ledger::default()
        }
    }

    #[test]
    fn all_threads_are_seen_together() {
        let pulses = Pulses::new(2);
        for (thread, ns) in [(0, 10), (1, 20)] {
            let pulse = pulses.thread(thread).unwrap();
            pulse.publish(
                100 * ns,
                &ledger(10, 5),
                &Ledger::default(),
                &distribution(&[(ns, 5)]),
            );
        }
        assert!(pulses.thread(2).is_none());
        let look = pulses.look();
        assert_eq!(
            (look.ledger.sent, look.ledger.answered, look.in_flight()),
            (20, 10, 4)
        );
        assert_eq!(look.at, 1_500);
        let latencies = look.latencies_since(&Look::default());
        assert_eq!(latencies, distribution(&[(10, 5), (20, 5)]));
    }

    #[test]
    fn the_warm_up_is_told_apart() {
        let pulses = Pulses::new(1);
        let pulse = pulses.thread(0).unwrap();
        pulse.publish(7, &ledger(10, 5), &ledger(20, 17), &Distribution::default());
        let look = pulses.look();
        assert_eq!((look.ledger.scheduled, look.warmup), (30, 20));
        assert_eq!(look.in_flight(), 2);
    }

    #[test]
    fn only_what_is_new_is_in_between() {
        let pulses = Pulses::new(1);
        let pulse = pulses.thread(0).unwrap();
        pulse.publish(
            7,
            &ledger(10, 5),
            &Ledger::default(),
            &distribution(&[(10, 5)]),
        );
        let first = pulses.look();
        pulse.publish(
            7,
            &ledger(30, 8),
            &Ledger::default(),
            &distribution(&[(10, 1), (1_000_000, 2)]),
        );
        let second = pulses.look();
        assert_eq!(second.ledger.sent, 30);
        let new = second.latencies_since(&first);
        assert_eq!(new.buckets[0], (10, 1));
        assert_eq!(new.buckets[1].1, 2);
        assert!((1_000_000..1_031_250).contains(&new.buckets[1].0));
        assert!(first.latencies_since(&first).is_empty());
    }

    #[test]
    fn what_is_longer_than_anything_is_in_the_last_bucket() {
        let pulses = Pulses::new(1);
        let pulse = pulses.thread(0).unwrap();
        pulse.publish(
            7,
            &ledger(1, 1),
            &Ledger::default(),
            &distribution(&[(u64::MAX, 1)]),
        );
        let latencies = pulses.look().latencies_since(&Look::default());
        assert_eq!(latencies.buckets, [(68_719_476_735, 1)]);
    }

    #[test]
    fn threads_share_no_cache_line() {
        assert_eq!(std::mem::align_of::<Pulse>(), 128);
        assert_eq!(std::mem::size_of::<Pulse>() % 128, 0);
    }
}
