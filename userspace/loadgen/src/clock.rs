// SPDX-License-Identifier: GPL-2.0

//! The clocks of the system. Reading them is no system call where the vDSO has them.

use std::{fs::File, os::unix::fs::FileExt};

use rustix::time::{clock_gettime, ClockId, Timespec};

use crate::engine::Nanos;

/// The monotonic time, which all threads and processes of a machine share.
#[inline]
pub fn now() -> Nanos {
    nanos(clock_gettime(ClockId::Monotonic))
}

/// What the system counts of one thread.
#[derive(Debug)]
pub(crate) struct ThreadClock {
    schedstat: Option<File>,
}

/// How a thread has spent its time until now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThreadTimes {
    /// On a processor.
    pub(crate) cpu_ns: Nanos,
    /// Able to run, while something else ran on its processor; `None` if the system does not count it.
    pub(crate) waited_ns: Option<Nanos>,
}

impl ThreadClock {
    /// That of the thread that calls this, which is the only one that reads it.
    pub(crate) fn of_this_thread() -> Self {
        // It is there if the kernel was configured so.
        let schedstat = File::open("/proc/thread-self/schedstat").ok();
        Self { schedstat }
    }

    /// What there is until now.
    pub(crate) fn read(&self) -> ThreadTimes {
        ThreadTimes {
            cpu_ns: nanos(clock_gettime(ClockId::ThreadCPUTime)),
            waited_ns: self.waited(),
        }
    }

    /// The second number of its line.
    fn waited(&self) -> Option<Nanos> {
        let mut line = [0; 64];
        let length = self.schedstat.as_ref()?.read_at(&mut line, 0).ok()?;
        let line = std::str::from_utf8(line.get(..length)?).ok()?;
        line.split_whitespace().nth(1)?.parse().ok()
    }
}

impl ThreadTimes {
    /// What was spent since an earlier moment.
    pub(crate) fn since(self, earlier: Self) -> Self {
        let waited = self.waited_ns.zip(earlier.waited_ns);
        Self {
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
            waited_ns: waited.map(|(now, then)| now.saturating_sub(then)),
        }
    }
}

/// A length of time as the system takes it.
pub(crate) fn timespec(ns: Nanos) -> Timespec {
    Timespec {
        // Less than 2^35.
        tv_sec: (ns / 1_000_000_000).try_into().unwrap_or(i64::MAX),
        tv_nsec: (ns % 1_000_000_000).try_into().unwrap_or(0),
    }
}

#[inline]
fn nanos(time: Timespec) -> Nanos {
    // These clocks are not negative, and have 584 years.
    (time.tv_sec as Nanos)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(time.tv_nsec as Nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_split_into_seconds_and_nanoseconds() {
        for ns in [0, 1, 999_999_999, 1_000_000_000, 86_400_000_000_007] {
            assert_eq!(nanos(timespec(ns)), ns);
        }
        assert_eq!(timespec(2_000_000_003).tv_sec, 2);
    }

    #[test]
    fn a_thread_that_shares_its_processor_waits_for_it() {
        use rustix::thread::{sched_getaffinity, sched_setaffinity, CpuSet};
        let allowed = sched_getaffinity(None).unwrap();
        let cpu = (0..CpuSet::MAX_CPU).find(|&cpu| allowed.is_set(cpu));
        let mut only = CpuSet::new();
        only.set(cpu.unwrap());
        let is_over = std::sync::atomic::AtomicBool::new(false);
        let relaxed = std::sync::atomic::Ordering::Relaxed;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                sched_setaffinity(None, &only).unwrap();
                while !is_over.load(relaxed) {
                    std::hint::spin_loop();
                }
            });
            scope.spawn(|| {
                sched_setaffinity(None, &only).unwrap();
                let clock = ThreadClock::of_this_thread();
                let begun = clock.read();
                while clock.read().since(begun).waited_ns.unwrap() == 0 {}
                assert!(clock.read().since(begun).cpu_ns > 0);
                is_over.store(true, relaxed);
            });
        });
    }

    #[test]
    fn the_clock_does_not_go_back() {
        let times = [now(), now(), now()];
        assert!(times.is_sorted() && times[0] > 0);
    }
}
