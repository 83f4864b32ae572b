// SPDX-License-Identifier: GPL-2.0

//! What the threads of one run share: the common start, whether all are active or one has failed, and the common end.

use std::sync::{
    atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::Relaxed},
    Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
};

use crate::{engine::Nanos, interrupt::Interrupt};

/// Not every thread has begun.
const STARTING: u8 = 0;
/// Every thread has begun, and none has ended.
const ALL_ACTIVE: u8 = 1;
/// At least one thread has ended.
const ENDING: u8 = 2;

/// The course of one run.
///
/// All that threads look at per request changes three times in a run, so that it stays in every core's cache. Relaxed
/// accesses do: nothing but the flags themselves is read through them, and the times only after the threads were joined.
#[derive(Debug)]
pub(crate) struct Course {
    threads: usize,
    gates: Mutex<Gates>,
    gates_changed: Condvar,
    begun: AtomicUsize,
    phase: AtomicU8,
    failed: AtomicBool,
    interrupt: Interrupt,
    opened: OnceLock<Nanos>,
    closed: OnceLock<Nanos>,
}

/// Barriers that can be given up, which the standard library's cannot.
#[derive(Debug, Default)]
struct Gates {
    ready: usize,
    ended: usize,
    cancelled: bool,
    /// When the last thread was ready.
    start: Nanos,
}

impl Course {
    /// A run of this many threads, which an interrupt ends early.
    pub(crate) fn new(threads: usize, interrupt: Interrupt) -> Self {
        Self {
            threads,
            gates: Mutex::default(),
            gates_changed: Condvar::new(),
            begun: AtomicUsize::new(0),
            phase: AtomicU8::new(STARTING),
            failed: AtomicBool::new(false),
            interrupt,
            opened: OnceLock::new(),
            closed: OnceLock::new(),
        }
    }

    /// Blocks until every thread has called this, each with the time at which it does. Returns that of the last one,
    /// which is the start of the run for all, or `None` if the run was cancelled.
    pub(crate) fn wait_for_start(&self, now: Nanos) -> Option<Nanos> {
        let mut gates = self.lock();
        gates.ready += 1;
        gates.start = gates.start.max(now);
        if gates.ready == self.threads {
            self.gates_changed.notify_all();
        }
        let gates = self
            .gates_changed
            .wait_while(gates, |gates| {
                gates.ready < self.threads && !gates.cancelled
            })
            .unwrap_or_else(PoisonError::into_inner);
        (!gates.cancelled).then_some(gates.start)
    }

    /// Sends everyone home who waits, or will wait, for the start or the end.
    pub(crate) fn cancel(&self) {
        self.lock().cancelled = true;
        self.gates_changed.notify_all();
    }

    /// Blocks until every thread has called this, after [`Course::leave`]; returns whether all went well.
    pub(crate) fn wait_for_end(&self) -> bool {
        let mut gates = self.lock();
        gates.ended += 1;
        if gates.ended == self.threads {
            self.gates_changed.notify_all();
        }
        let gates = self
            .gates_changed
            .wait_while(gates, |gates| {
                gates.ended < self.threads && !gates.cancelled
            })
            .unwrap_or_else(PoisonError::into_inner);
        !gates.cancelled && !self.has_failed()
    }

    fn lock(&self) -> MutexGuard<'_, Gates> {
        // Counts, a flag and a time are right even after a panic.
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread begins.
    pub(crate) fn enter(&self, now: Nanos) {
        let is_last = self.begun.fetch_add(1, Relaxed) + 1 == self.threads;
        // If somebody has ended already, there is no time in which all are active.
        if is_last
            && self
                .phase
                .compare_exchange(STARTING, ALL_ACTIVE, Relaxed, Relaxed)
                .is_ok()
        {
            self.opened.get_or_init(|| now);
        }
    }

    /// A thread ends.
    pub(crate) fn leave(&self, now: Nanos) {
        if self.phase.swap(ENDING, Relaxed) == ALL_ACTIVE {
            self.closed.get_or_init(|| now);
        }
    }

    /// A connection has failed: no thread shall send any more.
    pub(crate) fn fail(&self) {
        self.failed.store(true, Relaxed);
    }

    /// Whether every thread has begun and none has ended.
    #[inline]
    pub(crate) fn all_are_active(&self) -> bool {
        self.phase.load(Relaxed) == ALL_ACTIVE
    }

    /// Whether a connection has failed.
    fn has_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    /// Whether no thread shall send any more: a connection has failed, or somebody wants it.
    #[inline]
    pub(crate) fn is_stopping(&self) -> bool {
        self.has_failed() || self.interrupt.is_raised()
    }

    /// From when to when no thread had ended and all had begun; meant for after the end.
    pub(crate) fn window(&self) -> Option<(Nanos, Nanos)> {
        Some((*self.opened.get()?, *self.closed.get()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn nobody_starts_before_all_are_ready() {
        let course = Course::new(3, Interrupt::default());
        let ready = AtomicUsize::new(0);
        thread::scope(|scope| {
            for now in [7, 9, 8] {
                let (course, ready) = (&course, &ready);
                scope.spawn(move || {
                    ready.fetch_add(1, Relaxed);
                    assert_eq!(course.wait_for_start(now), Some(9));
                    assert_eq!(ready.load(Relaxed), 3);
                });
            }
        });
    }

    #[test]
    fn a_cancelled_run_lets_everyone_go() {
        let course = Course::new(3, Interrupt::default());
        thread::scope(|scope| {
            let early = scope.spawn(|| course.wait_for_start(1));
            course.cancel();
            let late = scope.spawn(|| course.wait_for_start(2));
            assert_eq!(early.join().unwrap(), None);
            assert_eq!(late.join().unwrap(), None);
        });
        assert!(!course.wait_for_end());
    }

    #[test]
    fn the_window_is_from_the_last_start_to_the_first_end() {
        let course = Course::new(2, Interrupt::default());
        course.enter(10);
        assert!(!course.all_are_active());
        course.enter(20);
        assert!(course.all_are_active());
        course.leave(50);
        assert!(!course.all_are_active());
        course.leave(60);
        assert_eq!(course.window(), Some((20, 50)));
    }

    #[test]
    fn there_is_no_window_if_one_ends_before_the_last_starts() {
        let course = Course::new(2, Interrupt::default());
        course.enter(10);
        course.leave(20);
        course.enter(30);
        assert!(!course.all_are_active());
        course.leave(40);
        assert_eq!(course.window(), None);
    }

    #[test]
    fn a_failure_is_seen_by_all() {
        let course = Course::new(2, Interrupt::default());
        thread::scope(|scope| {
            let other = scope.spawn(|| course.wait_for_end());
            assert!(!course.is_stopping());
            course.fail();
            assert!(course.is_stopping());
            assert!(!course.wait_for_end());
            assert!(!other.join().unwrap());
        });
    }

    #[test]
    fn an_interrupt_stops_a_run_that_goes_well() {
        let interrupt = Interrupt::default();
        let course = Course::new(1, interrupt.clone());
        assert!(!course.is_stopping());
        interrupt.raise();
        assert!(course.is_stopping());
        assert!(course.wait_for_end());
    }

    #[test]
    fn nobody_closes_before_all_have_ended() {
        let course = Course::new(2, Interrupt::default());
        let ended = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    ended.fetch_add(1, Relaxed);
                    assert!(course.wait_for_end());
                    assert_eq!(ended.load(Relaxed), 2);
                });
            }
        });
    }
}
