// SPDX-License-Identifier: GPL-2.0

//! The clocks of the system. Reading them is no system call where the vDSO has them.

use rustix::time::{clock_gettime, ClockId, Timespec};

use crate::engine::Nanos;

/// The monotonic time, which all threads and processes of a machine share.
#[inline]
pub fn now() -> Nanos {
    nanos(clock_gettime(ClockId::Monotonic))
}

/// The time that this thread has spent on a processor.
pub fn thread_cpu_time() -> Nanos {
    nanos(clock_gettime(ClockId::ThreadCPUTime))
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
    fn the_clock_does_not_go_back() {
        let times = [now(), now(), now()];
        assert!(times.is_sorted() && times[0] > 0);
    }
}
