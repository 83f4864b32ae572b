// SPDX-License-Identifier: GPL-2.0

//! What the clients of one run share: the common start, and whether all are active or one has failed.

use std::{
    sync::{
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::Relaxed},
        Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
    },
    time::{Duration, Instant},
};

/// Not every client has begun.
const STARTING: u8 = 0;
/// Every client has begun, and none has ended.
const ALL_ACTIVE: u8 = 1;
/// At least one client has ended.
const ENDING: u8 = 2;

/// The course of one run.
///
/// All that clients look at per request changes three times in a run, so that it stays in every core's cache. Relaxed
/// accesses do: nothing but the flags themselves is read through them, and the instants only after the threads were joined.
#[derive(Debug)]
pub(crate) struct Course {
    clients: usize,
    start: Mutex<Start>,
    start_changed: Condvar,
    begun: AtomicUsize,
    phase: AtomicU8,
    failed: AtomicBool,
    opened: OnceLock<Instant>,
    closed: OnceLock<Instant>,
}

/// A barrier that can be given up, which the standard library's cannot.
#[derive(Debug, Default)]
struct Start {
    ready: usize,
    cancelled: bool,
}

impl Course {
    /// A run of this many clients.
    pub(crate) fn new(clients: usize) -> Self {
        Self {
            clients,
            start: Mutex::default(),
            start_changed: Condvar::new(),
            begun: AtomicUsize::new(0),
            phase: AtomicU8::new(STARTING),
            failed: AtomicBool::new(false),
            opened: OnceLock::new(),
            closed: OnceLock::new(),
        }
    }

    /// Blocks until every client has called this; returns `false` if the run was cancelled.
    pub(crate) fn wait_for_all(&self) -> bool {
        let mut start = self.lock_start();
        start.ready += 1;
        if start.ready == self.clients {
            self.start_changed.notify_all();
        }
        let start = self
            .start_changed
            .wait_while(start, |start| {
                start.ready < self.clients && !start.cancelled
            })
            .unwrap_or_else(PoisonError::into_inner);
        !start.cancelled
    }

    /// Sends everyone home who waits, or will wait, for the start.
    pub(crate) fn cancel(&self) {
        self.lock_start().cancelled = true;
        self.start_changed.notify_all();
    }

    fn lock_start(&self) -> MutexGuard<'_, Start> {
        // A count and a flag are right even after a panic.
        self.start.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client begins, at the time that is returned.
    pub(crate) fn enter(&self) -> Instant {
        let now = Instant::now();
        let is_last = self.begun.fetch_add(1, Relaxed) + 1 == self.clients;
        // If somebody has ended already, there is no time in which all are active.
        if is_last
            && self
                .phase
                .compare_exchange(STARTING, ALL_ACTIVE, Relaxed, Relaxed)
                .is_ok()
        {
            self.opened.get_or_init(|| now);
        }
        now
    }

    /// A client ends, at the time that is returned.
    pub(crate) fn leave(&self, failed: bool) -> Instant {
        let now = Instant::now();
        if self.phase.swap(ENDING, Relaxed) == ALL_ACTIVE {
            self.closed.get_or_init(|| now);
        }
        if failed {
            self.failed.store(true, Relaxed);
        }
        now
    }

    /// Whether every client has begun and none has ended.
    #[inline]
    pub(crate) fn all_are_active(&self) -> bool {
        self.phase.load(Relaxed) == ALL_ACTIVE
    }

    /// Whether a client has failed.
    #[inline]
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    /// For how long all clients were active; meant for after the end.
    pub(crate) fn window(&self) -> Duration {
        match (self.opened.get(), self.closed.get()) {
            (Some(&opened), Some(&closed)) => closed.saturating_duration_since(opened),
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn nobody_starts_before_all_are_ready() {
        let course = Course::new(3);
        let ready = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    ready.fetch_add(1, Relaxed);
                    assert!(course.wait_for_all());
                    assert_eq!(ready.load(Relaxed), 3);
                });
            }
        });
    }

    #[test]
    fn a_cancelled_run_lets_everyone_go() {
        let course = Course::new(3);
        thread::scope(|scope| {
            let early = scope.spawn(|| course.wait_for_all());
            course.cancel();
            let late = scope.spawn(|| course.wait_for_all());
            assert!(!early.join().unwrap());
            assert!(!late.join().unwrap());
        });
    }

    #[test]
    fn the_window_is_from_the_last_start_to_the_first_end() {
        let course = Course::new(2);
        course.enter();
        assert!(!course.all_are_active());
        let opened = course.enter();
        assert!(course.all_are_active());
        let closed = course.leave(false);
        assert!(!course.all_are_active());
        course.leave(false);
        assert_eq!(course.window(), closed - opened);
    }

    #[test]
    fn there_is_no_window_if_one_ends_before_the_last_starts() {
        let course = Course::new(2);
        course.enter();
        course.leave(false);
        course.enter();
        assert!(!course.all_are_active());
        course.leave(false);
        assert_eq!(course.window(), Duration::ZERO);
    }

    #[test]
    fn a_failure_is_seen_by_all() {
        let course = Course::new(2);
        course.enter();
        course.enter();
        course.leave(false);
        assert!(!course.has_failed());
        course.leave(true);
        assert!(course.has_failed());
    }
}
